"""
The rows of a bind, without the program: what PostgreSQL alone takes for them.
"""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from agi_router.db.connection import Connection

__all__ = ["copied", "copy_in", "insert_script"]

_SERIALS = 10_000
_COLUMNS = """
SELECT attname FROM pg_attribute
 WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
 ORDER BY attnum
"""
_TABLES = ("agi_router.binding", "agi_router.route")


def insert_script(connection: Connection, block: int) -> str:
    """
    A pgbench script that inserts rows like those of an AXB binding of *block*, in one statement.

    The id, the number and the tags are others each time.
    """
    row = connection.execute(
        "SELECT * FROM agi_router.binding WHERE block = %s LIMIT 1", (block,)
    ).fetchone()
    assert row is not None
    routes = connection.execute(
        "SELECT * FROM agi_router.route WHERE block = %s AND binding_id = %s", (block, row["id"])
    ).fetchall()
    assert len(routes) == 2
    x_number = f"({block * _SERIALS}::bigint + :serial)"
    binding = _values(connection, _TABLES[0], row, {"id": "nextval('agi_router.binding_id')"})
    values = []
    for own, other, route in zip((0, 1), (1, 0), routes, strict=True):
        drawn = {
            "binding_id": "(SELECT id FROM made)",
            "x_number": x_number,
            "shown": x_number,
            "caller_tag": f":tag{own}",
            "callee_tags": f"ARRAY[:tag{other}]::bigint[]",
        }
        values.append(f"({_values(connection, _TABLES[1], route, drawn)})")
    names = ", ".join(_columns(connection, _TABLES[1]))
    statement = (
        f"WITH made AS (INSERT INTO {_TABLES[0]} ({', '.join(_columns(connection, _TABLES[0]))})"
        f" VALUES ({binding}) RETURNING id)"
        f" INSERT INTO {_TABLES[1]} ({names}) VALUES {', '.join(values)};"
    )
    draws = [rf"\set serial random(0, {_SERIALS - 1})"]
    draws += [rf"\set tag{each} random(1, 9223372036854775807)" for each in (0, 1)]
    return "\n".join([*draws, statement]) + "\n"


def copied(connection: Connection, size: int) -> list[tuple[bytes, bytes]]:
    """
    The rows of all bindings and their routes as COPY takes them, so many bindings at a time.
    """
    ids = connection.execute("SELECT block, id FROM agi_router.binding ORDER BY id").fetchall()
    pieces = []
    for start in range(0, len(ids), size):
        batch = [row["id"] for row in ids[start : start + size]]
        pieces.append(
            (
                _copy_out(connection, _TABLES[0], "id", batch),
                _copy_out(connection, _TABLES[1], "binding_id", batch),
            )
        )
    return pieces


def copy_in(connection: Connection, pieces: Sequence[tuple[bytes, bytes]]) -> None:
    """
    Write them, each piece in a transaction of its own.
    """
    for piece in pieces:
        with connection.transaction(), connection.cursor() as cursor:
            for table, data in zip(_TABLES, piece, strict=True):
                names = sql.SQL(", ".join(_columns(connection, table)))
                text = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
                    sql.SQL(table), names
                )
                with cursor.copy(text) as copy:
                    copy.write(data)


def _copy_out(connection: Connection, table: str, column: str, ids: Sequence[int]) -> bytes:
    text = sql.SQL(
        "COPY (SELECT {} FROM {} WHERE {} = ANY ({})) TO STDOUT (FORMAT binary)"
    ).format(
        sql.SQL(", ".join(_columns(connection, table))),
        sql.SQL(table),
        sql.Identifier(column),
        sql.Literal(list(ids)),
    )
    with connection.cursor() as cursor, cursor.copy(text) as copy:
        return b"".join(bytes(part) for part in copy)


def _columns(connection: Connection, table: str) -> list[str]:
    return [row["attname"] for row in connection.execute(_COLUMNS, (table,)).fetchall()]


def _values(connection: Connection, table: str, row: dict[str, Any], drawn: dict[str, str]) -> str:
    cursor = psycopg.ClientCursor(connection)
    return ", ".join(
        drawn.get(name) or cursor.mogrify("%s", (row[name],))
        for name in _columns(connection, table)
    )

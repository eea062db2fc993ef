"""
The rows of a bind, without the program: what PostgreSQL alone takes for them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from agi_router.db.connection import Connection

__all__ = ["CopyForm", "Inserts", "copied", "copy_in", "insert_script"]

Inserts: TypeAlias = Literal["each", "together"]
"""Whether each table is inserted into by a statement of its own, or all by one."""

CopyForm: TypeAlias = Literal["text", "binary"]
"""How COPY is given rows: as it takes them unless told, or as PostgreSQL keeps them."""

_SERIALS = 10_000
_COLUMNS = """
SELECT attname FROM pg_attribute
 WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
 ORDER BY attnum
"""
_BINDING, _ROUTE, _EVENT = "agi_router.binding", "agi_router.route", "agi_router.event"


def insert_script(connection: Connection, block: int, inserts: Inserts) -> str:
    """
    A pgbench script that inserts rows like those of an AXB binding of *block*, in a transaction.

    Its event is among them, if it was told. The ids, the number and the tags are others each time.
    """
    row = _first(connection, _BINDING, "block = %s", [block])
    assert row is not None
    own = [block, row["id"]]
    routes = connection.execute(
        f"SELECT * FROM {_ROUTE} WHERE block = %s AND binding_id = %s".encode(), own
    ).fetchall()
    assert len(routes) == 2
    event = _first(connection, _EVENT, "block = %s AND binding_id = %s", own)
    x_number = f"({block * _SERIALS}::bigint + :serial)"
    made = ":id" if inserts == "each" else "(SELECT id FROM made)"
    first = _insert(connection, _BINDING, [(row, {"id": "nextval('agi_router.binding_id')"})])
    pairs = []
    for caller, callee, route in zip((0, 1), (1, 0), routes, strict=True):
        drawn = {
            "binding_id": made,
            "x_number": x_number,
            "shown": x_number,
            "caller_tag": f":tag{caller}",
            "callee_tags": f"ARRAY[:tag{callee}]::bigint[]",
        }
        pairs.append((route, drawn))
    others = [_insert(connection, _ROUTE, pairs)]
    if event is not None:
        drawn = {"id": "nextval('agi_router.event_id')", "binding_id": made}
        others.append(_insert(connection, _EVENT, [(event, drawn)]))
    if inserts == "each":
        lines = [
            "BEGIN;",
            rf"{first} RETURNING id \gset",
            *(f"{each};" for each in others),
            "COMMIT;",
        ]
    else:
        *within, last = others
        more = "".join(f", also{place} AS ({each})" for place, each in enumerate(within))
        lines = [f"WITH made AS ({first} RETURNING id){more} {last};"]
    draws = [rf"\set serial random(0, {_SERIALS - 1})"]
    draws += [rf"\set tag{each} random(1, 9223372036854775807)" for each in (0, 1)]
    return "\n".join([*draws, *lines]) + "\n"


def copied(connection: Connection, size: int, form: CopyForm) -> list[dict[str, bytes]]:
    """
    The rows of all bindings, their routes and their events, so many bindings at a time.

    As COPY takes them, by their tables.
    """
    ids = connection.execute(f"SELECT id FROM {_BINDING} ORDER BY id".encode()).fetchall()
    told = _first(connection, _EVENT, "true", []) is not None
    columns = {_BINDING: "id", _ROUTE: "binding_id", **({_EVENT: "binding_id"} if told else {})}
    pieces = []
    for start in range(0, len(ids), size):
        batch = [row["id"] for row in ids[start : start + size]]
        pieces.append(
            {
                table: _copy_out(connection, table, column, batch, form)
                for table, column in columns.items()
            }
        )
    return pieces


def copy_in(connection: Connection, pieces: Sequence[Mapping[str, bytes]], form: CopyForm) -> None:
    """
    Write them, each piece in a transaction of its own.
    """
    for piece in pieces:
        with connection.transaction(), connection.cursor() as cursor:
            for table, data in piece.items():
                names = sql.SQL(", ".join(_columns(connection, table)))
                text = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(
                    sql.SQL(table), names, sql.SQL(form)
                )
                with cursor.copy(text) as copy:
                    copy.write(data)


def _first(
    connection: Connection, table: str, where: str, values: Sequence[Any]
) -> dict[str, Any] | None:
    return connection.execute(
        f"SELECT * FROM {table} WHERE {where} LIMIT 1".encode(), values
    ).fetchone()


def _copy_out(
    connection: Connection, table: str, column: str, ids: Sequence[int], form: CopyForm
) -> bytes:
    text = sql.SQL("COPY (SELECT {} FROM {} WHERE {} = ANY ({})) TO STDOUT (FORMAT {})").format(
        sql.SQL(", ".join(_columns(connection, table))),
        sql.SQL(table),
        sql.Identifier(column),
        sql.Literal(list(ids)),
        sql.SQL(form),
    )
    with connection.cursor() as cursor, cursor.copy(text) as copy:
        return b"".join(bytes(part) for part in copy)


def _columns(connection: Connection, table: str) -> list[str]:
    return [row["attname"] for row in connection.execute(_COLUMNS, (table,)).fetchall()]


def _insert(
    connection: Connection, table: str, rows: Sequence[tuple[dict[str, Any], dict[str, str]]]
) -> str:
    """
    A statement that inserts rows, each as it was but for what is drawn.
    """
    cursor = psycopg.ClientCursor(connection)
    names = _columns(connection, table)

    def written(value: Any) -> str:
        return cursor.mogrify("%s", (Jsonb(value) if isinstance(value, dict) else value,))

    values = [
        ", ".join(drawn.get(name) or written(row[name]) for name in names) for row, drawn in rows
    ]
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({'), ('.join(values)})"

"""The schema that migrations make, as one text: its diff is what a reviewer reads."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from harness.database import Server, on_the_oldest

SCHEMA = Path(__file__).with_name("schema.sql")
HEADER = """\
-- The schema as pg_dump of PostgreSQL 15 tells it, without days of calls, events and texts, and
-- without functions: these have files of their own. Written by:
-- ./tests/run postgres -- -k test_schema --write-schema
"""
# Statements of sessions, owners, and what has another name or other words every day.
LEFT_OUT = re.compile(
    r"(SET|SELECT pg_catalog\.set_config|\\restrict|\\unrestrict)\b"
    r"|ALTER [^;]* OWNER TO"
    r"|(CREATE|COMMENT ON) FUNCTION"
    r"|.*\bagi_router\.(call|event|message)_\d{8}",
    re.DOTALL,
)


def statements(dump: str) -> list[str]:
    """Split what pg_dump tells into statements, without its comments and bodies of functions."""
    bare = re.sub(r"(\$\w*\$).*?\1", "", dump, flags=re.DOTALL)
    lines = [line for line in bare.splitlines() if line and not line.startswith("--")]
    # A command of psql has a line of its own.
    text = "\n".join(f"{line};" if line.startswith("\\") else line for line in lines)
    return [each.strip() for each in re.split(r"(?<=;)\n", text + "\n") if each.strip()]


def schema(server: Server, dsn: str) -> str:
    """The schema of a database, normalised."""
    command: list[str | Path] = [
        server.program("pg_dump"),
        "--schema-only",
        "--schema=agi_router",
        dsn,
    ]
    dump = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    kept = [each for each in statements(dump) if not LEFT_OUT.match(each)]
    return "\n".join([HEADER, *(f"{each}\n" for each in kept)])


@on_the_oldest
def test_schema(server: Server, dsn: str, request: pytest.FixtureRequest) -> None:
    """The migrations make what schema.sql says; --write-schema writes it anew."""
    made = schema(server, dsn)
    if request.config.getoption("--write-schema", default=False):
        SCHEMA.write_text(made, "utf-8")
    assert made == SCHEMA.read_text("utf-8")


def test_statements_are_told_apart() -> None:
    """Semicolons in bodies and comments split nothing, and commands of psql end by themselves."""
    dump = (
        "\\restrict x\n\n-- a; b\nCREATE FUNCTION f() AS $_$\nBEGIN;\nEND;\n$_$;\nCREATE TYPE t;\n"
    )
    assert statements(dump) == ["\\restrict x;", "CREATE FUNCTION f() AS ;", "CREATE TYPE t;"]

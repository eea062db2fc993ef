"""The files of sql/: what is in which, and what its statements must not be."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import agi_router
from agi_router.db.migrate import functions

PACKAGE = Path(agi_router.__file__).parent
SQL = PACKAGE.parent / "sql"
ROOMS = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
# What lies over it where one database stands for many (docs/operate-many.md).
OVERLAY = (SQL / "cells/global.sql").read_text("utf-8")
FILES = {path.relative_to(SQL).as_posix(): path.read_text("utf-8") for path in SQL.rglob("*.sql")}
FILES = {name: text for name, text in FILES.items() if not name.startswith(("cells/", "citus/"))}
FUNCTIONS = {name: text for name, text in FILES.items() if name.startswith("functions/")}
QUERIES = {name: text for name, text in FILES.items() if name.startswith("queries/")}
HEADER = re.compile(r"^-- (\w+) --$", re.MULTILINE)


def test_every_file_has_its_room() -> None:
    """Functions and queries lie in the rooms of the package, and nowhere else."""
    for name in FILES:
        kind, _, rest = name.partition("/")
        room = {"functions": rest.partition("/")[0], "queries": rest.removesuffix(".sql")}
        assert kind == "migrations" or room[kind] in ROOMS, name


def test_every_function_stands_once() -> None:
    """One file defines one function, of its name, and comments on it; no other file does."""
    stems = [Path(name).stem for name in FUNCTIONS]
    assert len(set(stems)) == len(stems)
    for name, text in FILES.items():
        made = re.findall(r"\bCREATE (?:OR REPLACE )?FUNCTION agi_router\.(\w+)", text)
        told = re.findall(r"\bCOMMENT ON FUNCTION agi_router\.(\w+)", text)
        assert made == told == ([Path(name).stem] if name in FUNCTIONS else []), name


def test_a_cell_looks_at_its_standbys_as_the_program_does() -> None:
    """The view that a cell shows has the very statement of ``doctor``."""
    text = QUERIES["queries/db.sql"].partition("-- look_at_replication --")[2].partition(";")[0]
    asked = "\n".join(line for line in text.splitlines() if line and not line.startswith("--"))
    assert asked in (SQL / "cells/cell.sql").read_text("utf-8")


_OF_FUNCTIONS = (
    "here",
    "joining",
    "rotating",
    "binding",
    "aged",
    "packed",
    "everywhere",
    "in_every",
)


def test_cells_name_what_there_is() -> None:
    """Whatever the overlay of cells names exists; and no function of its own lacks words."""
    lists = {
        name: re.findall(r"'(\w+)'", body)
        for name, body in re.findall(
            r"FUNCTION agi_cells\.(\w+)\(\) RETURNS text\[\].*?ARRAY\[(.*?)\]", OVERLAY, re.DOTALL
        )
    }
    stems = {Path(name).stem for name in FUNCTIONS}
    tables = set(re.findall(r"TABLE agi_router\.(\w+)", FILES["migrations/0001_baseline.sql"]))
    assert set(lists) == {"tables", "copied", *_OF_FUNCTIONS}
    assert all(stems.issuperset(lists[each]) for each in _OF_FUNCTIONS)
    assert tables.issuperset(lists["tables"] + lists["copied"])
    made = re.findall(r"CREATE OR REPLACE FUNCTION (agi_cells\.\w+)", OVERLAY)
    assert set(made) == set(re.findall(r"COMMENT ON FUNCTION (agi_cells\.\w+)", OVERLAY))


def test_functions_can_be_applied_again() -> None:
    """And triggers; each runs the function that it stands with, on a table that is locked."""
    (locked,) = re.findall(
        r"^LOCK TABLE (.*?)\s+IN SHARE ROW", QUERIES["queries/db.sql"], re.MULTILINE | re.DOTALL
    )
    tables = re.split(r",\s+", locked)
    for name, text in FUNCTIONS.items():
        assert not re.search(r"\bCREATE (FUNCTION|TRIGGER|CONSTRAINT)\b", text), name
        triggers = re.findall(
            r"^CREATE OR REPLACE TRIGGER (\w+)\s.*?\bON (agi_router\.\w+)\s.*?"
            r"EXECUTE FUNCTION agi_router\.(\w+)\((?:'[\w.]+'(?:, '\w+')*)?\);$",
            text,
            re.MULTILINE | re.DOTALL,
        )
        found = next(each for each in functions() if each.name == Path(name).stem)
        assert found.triggers == tuple(trigger for trigger, _, _ in triggers)
        for _, table, function in triggers:
            assert table in tables
            assert function == Path(name).stem


def test_migrations_make_no_functions() -> None:
    """Nor call any: they are applied before all functions."""
    for name, text in FILES.items():
        if name.startswith("migrations/"):
            code = re.sub(r"--.*", "", text)
            assert not re.search(r"\b(FUNCTION|TRIGGER|PROCEDURE)\b", code), name
            for function in functions():
                assert f"agi_router.{function.name}(" not in code, name


def test_the_name_of_a_query_is_its_own() -> None:
    """Over all files; and each has a sentence."""
    names = Counter(name for text in QUERIES.values() for name in HEADER.findall(text))
    assert [name for name, count in names.items() if count > 1] == []
    for text in QUERIES.values():
        for part in HEADER.split(text)[2::2]:
            assert part.startswith("\n-- ")


def test_every_query_is_used() -> None:
    """By the program."""
    named: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        named.update(re.findall(r'"(\w+)"', path.read_text("utf-8")))
    assert {name for text in QUERIES.values() for name in HEADER.findall(text)} <= named


# What follows lets statements run on one database and on many: see sql/README.md.


def code_of(text: str) -> str:
    """Leave comments and words in quotes away."""
    return re.sub(r"--.*|'[^']*'", "", text)


def statements(text: str) -> list[str]:
    """Split code at semicolons; that of a function, too."""
    return code_of(text).split(";")


def test_no_select_is_without_columns() -> None:
    """Engines that rewrite statements have to name what comes out."""
    for name, text in FILES.items():
        assert not re.search(r"\b(SELECT|PERFORM)\s+(FROM\b|\))", code_of(text)), name


def test_no_function_speaks_in_rows_of_tables() -> None:
    """An argument or a result that is a table's row hangs on that table, wherever it is moved."""
    tables = re.findall(r"\bCREATE TABLE agi_router\.(\w+)", "".join(FILES.values()))
    row = re.compile(rf"\bagi_router\.({'|'.join(tables)})\b")
    for name, text in FUNCTIONS.items():
        assert not row.search(text.partition("$$")[0]), name


def test_the_block_comes_first() -> None:
    """Whoever routes a call of a function by its block finds it there."""
    for name, text in FUNCTIONS.items():
        arguments = re.findall(r"[(,]\s*(_\w+) \w", text.partition("RETURNS")[0])
        assert "_block" not in arguments[1:], name


def test_what_changes_rows_asks_no_clock() -> None:
    """A volatile function, or a stable one of columns, is not sent to where the rows are."""
    span = re.compile(r"\w+\.\w+ [+-] (make_interval\(|interval\b)")
    for name, text in FILES.items():
        for statement in statements(text):
            if re.search(r"\b(UPDATE agi_router|DELETE FROM)\b", statement):
                assert "clock_timestamp()" not in statement, name
                assert not span.search(statement), name


def test_keys_are_asserted_inside() -> None:
    """As an argument, they would be asserted where the function is called, not where it writes."""
    asserting = (
        r"\s*PERFORM agi_router\.assert_current_keys\(_block(\[1\])?, _tag_key, _seal_key\);"
    )
    for name, text in FILES.items():
        assert not re.search(r"[(,]\s*agi_router\.assert_current_keys\(", code_of(text)), name
        own = ("functions/keys/assert_current_keys", "functions/keys/find_key_faults")
        if "_tag_key integer, _seal_key integer" not in text or name.startswith(own):
            continue
        if re.search(r"agi_router\.bind_drawn\(\s*_block, _tag_key, _seal_key,", text):
            # It has all tags and sealed values written by one that asserts them.
            assert not re.search(r"(INTO|UPDATE) agi_router\.(binding|route)\b", text), name
            continue
        begin = text.partition("BEGIN\n")[2]
        if "find_key_faults(_tag_key, _seal_key)" in text:
            # The lock comes first; the look behind it is part of another one.
            lock = "LOCK TABLE agi_router.key IN ROW SHARE MODE;"
            assert code_of(begin).lstrip().startswith(lock), name
            continue
        assert re.match(asserting, begin), name


def test_newest_first_is_by_time() -> None:
    """Sequences of several databases say nothing of each other."""
    for name, file in QUERIES.items():
        parts = HEADER.split(file)
        for query, text in zip(parts[1::2], parts[2::2], strict=True):
            if "newest first" in text:
                last = text.rpartition("ORDER BY ")[2]
                times = "begins|created|received|set|added|filed|moved|signed"
                time = rf"(\w\.)?(({times})_at|at) DESC, "
                assert re.match(time, last), (name, query)

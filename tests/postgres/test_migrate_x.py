"""Bindings on middle numbers of before move to 700 numbers, once."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from postgres.test_cli import Cli

from agi_router.bindings.store import BindingStore
from agi_router.bulk.importer import Importer, Tally
from agi_router.db.connection import Connection, Queries
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import LockedThing
from agi_router.persons.store import LockStore
from harness.database import one
from harness.values import X

FILE = """\
old,mode,order,a,b,ttl,user_data
95013000001,axb,A-1,13912349001,13912349002,30d,"two
lines"
95013000001,axb,A-2,13912349003,13912349004,30d,
13012340001,axb,A-3,13912349001,13912349004,30d,
13012340001,axb,A-4,13912349001,13912349002,30d,
13012340002,axyb,A-5,13912349005,13912349006,30d,
700123456780001,axb,A-6,13912349005,13912349006,30d,
,axb,A-7,13912349005,13912349006,30d,
95013000001,axb,A-8,1391234,13912349006,30d,
95013000009,axb,A-9,1391234,13912349006,30d,
95013000009,,,,,,
"""


@pytest.fixture
def cli(store: BindingStore, dsn: str, keys: KeyRing, tmp_path: Path) -> Cli:
    """The command line on this test's database, which has one block."""
    assert store
    write_key_ring(tmp_path / "key", keys)
    return Cli({"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(tmp_path / "key")})


def rows(path: Path) -> list[dict[str, str]]:
    """A file of CSV."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_file(cli: Cli, connection: Connection, tmp_path: Path) -> None:
    """All that can moves, with one number for one; what cannot is told, and again nothing is."""
    (tmp_path / "old.csv").write_text(FILE)
    command = (
        *("migrate-x", tmp_path / "old.csv", "--map", tmp_path / "map.csv", "--json", "--force"),
        *("--rejects", tmp_path / "rejects.csv"),
    )
    done = cli(*command)
    assert done.code == 65
    told = json.loads(done.out)
    assert (told["bound"], told["already_there"], told["rejected"]) == (4, 0, 6)
    moved = rows(tmp_path / "map.csv")
    assert [each["order"] for each in moved] == ["A-1", "A-2", "A-3", "A-5"]
    new = {each["order"]: each["new"] for each in moved}
    assert new["A-1"] == new["A-2"] != new["A-3"]
    assert {each["old"] for each in moved} == {"95013000001", "13012340001", "13012340002"}
    assert all(each["new"].startswith("700") and len(each["new"]) == len(str(X)) for each in moved)
    assert [each["new"] == each["new_b"] for each in moved] == [True, True, True, False]
    rejected = rows(tmp_path / "rejects.csv")
    assert [each["order"] for each in rejected] == ["A-4", "A-6", "A-7", "A-8", "A-9", ""]
    assert "is a 700 number already" in rejected[1]["fault"]
    assert "is no number" in rejected[2]["fault"]
    ends = one(
        connection,
        "SELECT count(*) FROM agi_router.binding WHERE expires_at > now() + interval '29 days'",
    )
    assert ends == 4
    # Whoever calls an old number is told; the first 700 number in its place stands for all.
    kept = connection.execute(
        "SELECT number, x_number FROM agi_router.old_number ORDER BY number"
    ).fetchall()
    assert {row["number"]: str(row["x_number"]) for row in kept} == {
        "95013000001": new["A-1"],
        "13012340001": new["A-3"],
        "13012340002": new["A-5"],
    }
    again = json.loads(cli(*command).out)
    assert (again["bound"], again["already_there"], again["rejected"]) == (0, 4, 6)
    assert rows(tmp_path / "map.csv") == moved
    assert one(connection, "SELECT count(*) FROM agi_router.binding") == 4
    (tmp_path / "none.csv").write_text("mode,order\n")
    assert "'old'" in cli("migrate-x", tmp_path / "none.csv", "--map", tmp_path / "m").err


def test_many_that_cannot(
    cli: Cli, store: BindingStore, connection: Connection, keys: KeyRing, tmp_path: Path
) -> None:
    """Rows of one number that cannot be bound take no import each; those that can share theirs."""
    locked = PhoneNumber.parse("13912349009")
    LockStore(Queries(connection), keys).set(
        LockedThing(subject=Subject.PERSON, person=locked), LockReason.MISUSE, by="-"
    )
    store.pools.add("default", "p")
    lines = ["old,mode,order,a,b,ttl,pool"]
    lines += [f"95013000001,axb,L-{n},13912349009,139123491{n:02},1d," for n in range(40)]
    lines += [f"95013000001,axb,G-{n},139123492{n:02},139123493{n:02},1d,p" for n in range(9)]
    (tmp_path / "old.csv").write_text("\n".join(lines))
    imports: list[object] = []
    run = Importer.run

    def counted(self: Importer, *arguments: Any, **more: Any) -> Tally:
        imports.append(self)
        return run(self, *arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Importer, "run", counted)
        done = cli("migrate-x", tmp_path / "old.csv", "--map", tmp_path / "map.csv", "--json")
    told = json.loads(done.out)
    assert (told["bound"], told["rejected"]) == (9, 40)
    moved = rows(tmp_path / "map.csv")
    assert [each["order"] for each in moved] == [f"G-{n}" for n in range(9)]
    assert len({each["new"] for each in moved}) == 1
    assert len(imports) == 4

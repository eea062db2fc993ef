"""A damaged row hides no other: it is printed as damaged, and the end says so."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from postgres.test_cli import Cli
from postgres.test_import import Importing

from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Gxb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bulk.columns import EXPORTED
from agi_router.consent.ledger import Act, How, Statement
from agi_router.db.connection import Connection, Queries
from agi_router.errors import SealError
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.maintenance.holds import HeldThing, HoldStore
from agi_router.persons.appeal_states import Spans
from agi_router.persons.appeal_store import AppealStore
from agi_router.persons.blocklist import EntryState, Pairing
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import LockedThing
from agi_router.persons.real_name_store import RealNameStore
from agi_router.persons.real_names import RealName
from harness.cli import run
from harness.database import bind, one
from harness.values import BLOCK, A, B, C, D, X

Damage = Callable[[Connection, Binding], None]


def alter(connection: Connection, made: Binding) -> None:
    """Turn one bit of each sealed number."""
    connection.execute(
        "UPDATE agi_router.route SET callee = set_bit(callee, 200, 1 - get_bit(callee, 200))"
        " WHERE binding_id = %s",
        (made.id.id,),
    )


def cut(connection: Connection, made: Binding) -> None:
    """Leave nothing but the beginning, as a limited backup would."""
    connection.execute(
        "UPDATE agi_router.route SET callee = substring(callee FOR 5) WHERE binding_id = %s",
        (made.id.id,),
    )


def seal_elsewhere(connection: Connection, made: Binding) -> None:
    """Seal by a key that is nowhere."""
    connection.execute(
        "UPDATE agi_router.route SET callee = set_byte(callee, 1, 77) WHERE binding_id = %s",
        (made.id.id,),
    )


def write_as_text(connection: Connection, made: Binding) -> None:
    """Write its text for its bytes: with standard_conforming_strings off that was done."""
    connection.execute(
        "UPDATE agi_router.route SET callee = convert_to(callee::text, 'UTF8')"
        " WHERE binding_id = %s",
        (made.id.id,),
    )


def put_other_words(connection: Connection, made: Binding) -> None:
    """Write what no release ever wrote, past the triggers."""
    connection.execute("ALTER TABLE agi_router.binding DISABLE TRIGGER USER")
    connection.execute(
        "UPDATE agi_router.binding SET direction = 'up', counting = 'none' WHERE id = %s",
        (made.id.id,),
    )
    connection.execute("ALTER TABLE agi_router.binding ENABLE TRIGGER USER")


def never_end(connection: Connection, made: Binding) -> None:
    """Have it end at no time that a calendar has."""
    connection.execute(
        "UPDATE agi_router.binding SET expires_at = 'infinity' WHERE id = %s", (made.id.id,)
    )


def begin_in_antiquity(connection: Connection, made: Binding) -> None:
    """Have it begin before the calendar does."""
    connection.execute(
        "UPDATE agi_router.binding SET begins_at = '0044-03-15 BC' WHERE id = %s", (made.id.id,)
    )


@pytest.fixture
def cli(store: BindingStore, dsn: str, keys: KeyRing, tmp_path: Path) -> Cli:
    """The command line on this test's database, which has one block."""
    assert store
    file = tmp_path / "key"
    write_key_ring(file, keys)
    return Cli({"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(file)})


@pytest.mark.parametrize(
    "damage",
    [
        alter,
        cut,
        seal_elsewhere,
        write_as_text,
        put_other_words,
        never_end,
        begin_in_antiquity,
    ],
)
def test_the_others_are_told(
    damage: Damage, cli: Cli, store: BindingStore, connection: Connection
) -> None:
    """Of three one is damaged: all are listed and exported, and each command ends with 70."""
    first, broken, last = (
        bind(store, a, b, x=BLOCK.number(serial), order_id="O-1")
        for serial, (a, b) in enumerate(((A, B), (C, D), (A, C)), start=1)
    )
    damage(connection, broken)
    words = (
        "agi-router: 1 binding(s) are damaged, and calls on them are refused: see 'agi-router"
        f" show' why; bind these anew, or restore them from a backup: {broken.id}\n"
    )
    listed, table, shown, fine, exported = cli.many(
        [
            ("list", "--json"),
            ("list",),
            ("show", broken.id),
            ("show", first.id),
            ("export",),
        ]
    )
    for done in (listed, table, shown):
        assert (done.code, done.err) == (70, words)
    assert fine.code == 0
    # Newest first: what began in antiquity comes last.
    rows = json_of(listed.out)
    assert {row["id"]: row["damage"] is None for row in rows} == {
        str(last.id): True,
        str(broken.id): False,
        str(first.id): True,
    }
    assert sorted(line.split()[3] for line in table.out.splitlines()[1:]) == sorted(
        [A.masked, "damaged", A.masked]
    )
    assert f" {broken.id}\nmode " in shown.out
    assert (exported.code, exported.err) == (70, f"exported 3 binding(s)\n{words}")
    cells = list(csv.DictReader(io.StringIO(exported.out)))
    assert [(row["id"], row["state"], row["a"] == "") for row in cells] == [
        (str(first.id), "active", False),
        (str(broken.id), "damaged", True),
        (str(last.id), "active", False),
    ]


def json_of(text: str) -> list[dict[str, Any]]:
    """Read what a command that failed at its end has printed."""
    return json.loads(text)  # type: ignore[no-any-return]


def test_calls_that_no_router_has_written(
    cli: Cli, store: BindingStore, connection: Connection
) -> None:
    """They are listed as they stand, and hide no other."""
    bind(store)
    for name, block, received in (("1", 5, "now()"), ("2", 6, "'infinity'"), ("3", 7, "now()")):
        connection.execute(
            "INSERT INTO agi_router.call"
            " (block, id, day, x_number, binding_id, state, received_at)"
            f" VALUES (%s, %s, current_date, 7, 1, 'settled', {received})",
            (block, name),
        )
    listed, table = cli.many([("calls", "--json"), ("calls",)])
    assert (listed.code, table.code) == (0, 0)
    assert [row["binding"] for row in json_of(listed.out)] == ["6-1", "7-1", "5-1"]


def test_it_can_be_ended(cli: Cli, store: BindingStore, connection: Connection) -> None:
    """Ending a damaged binding, or its order, ends it, and tells of it and of the others."""
    broken, other = (
        bind(store, a, b, x=BLOCK.number(serial), order_id="O-1")
        for serial, (a, b) in enumerate(((A, B), (C, D)), start=1)
    )
    alter(connection, broken)
    ended = cli("unbind", "--order", "O-1", "--json")
    assert ended.code == 70
    assert [row["id"] for row in json_of(ended.out)] == [str(broken.id), str(other.id)]
    assert one(connection, "SELECT count(*) FROM agi_router.binding WHERE ended_at IS NULL") == 0


def test_a_damaged_group_is_left_alone(store: BindingStore, connection: Connection) -> None:
    """Who its members are is not known, so nobody joins or leaves."""
    terms = Terms(expires_at=bind(store).expires_at)
    group = store.bind(Gxb(members=(A, C), b=B, default=A), terms, x=BLOCK.number(7))
    alter(connection, group)
    with pytest.raises(SealError) as told:
        store.add_members(group.id, [D])
    assert str(told.value).startswith(f"binding {group.id} cannot be read: ")


def test_an_import_takes_no_damaged_row_for_one_that_is_over(importing: Importing) -> None:
    """It is a fault of the file, and not counted as over."""
    cells = dict.fromkeys(EXPORTED, "") | {"mode": "axb", "order": "O-1", "state": "damaged"}
    tally = importing(f"{','.join(cells)}\n{','.join(cells.values())}\n")
    assert (tally.over, tally.rejected) == (0, 1)
    assert importing.faults == [
        (2, "state: the binding was damaged where it comes from: bind it anew")
    ]


def break_seals(connection: Connection, table: str, where: str = "true") -> None:
    """Turn one bit of what is sealed in some rows."""
    connection.execute(
        f"UPDATE agi_router.{table} SET sealed = set_bit(sealed, 200, 1 - get_bit(sealed, 200))"
        f" WHERE {where}"
    )


def test_what_is_known_of_persons(cli: Cli, store: BindingStore, connection: Connection) -> None:
    """Each list shows the damaged row beside the sound one, ends with 70 and names it."""
    bind(store, A, B, x=X)
    queries, said = Queries(connection), Statement(act=Act.GIVEN, how=How.PAPER)
    spans, names = Spans(), RealNameStore(Queries(connection), store.keys)
    holds = HoldStore(queries, store.keys)
    kept: list[tuple[int, int, int, int, int, int]] = []
    for person in (A, B):
        lock = store.locks.set(
            LockedThing(subject=Subject.PERSON, person=person), LockReason.MISUSE, by="a test"
        )
        entry = store.blocklist.add(Pairing(person=person, other=C), by="a test")
        consent = store.consents.write(person, "default", said, by="a test")
        name = names.write(person, RealName.YES, source="carrier", by="a test")
        appeal = AppealStore(queries, store.keys, spans).file(lock.id, by="a test")
        hold = holds.add(HeldThing(person=person), case="P-1", reason="a test", by="a test")
        kept.append((lock.id, entry.id, consent.id, name.id, appeal.id, hold.id))
    store.add_group("default", "sound", (C,))
    store.add_group("default", "broken", (D,))
    (lock_id, entry_id, consent_id, name_id, appeal_id, hold_id), sound = kept
    break_seals(connection, "lock", f"id = {lock_id}")
    connection.execute(
        "UPDATE agi_router.blocklist SET other_sealed = '\\x00' WHERE id = %s", (entry_id,)
    )
    break_seals(connection, "person_mark", f"tag = {store.keys.tag(A)}")
    break_seals(connection, "group_member", f"tag = {store.keys.tag(D)}")
    lists: list[tuple[tuple[str, ...], int | str, int | str, str]] = [
        (("lock", "list"), lock_id, sound[0], "person"),
        (("blocklist", "list"), entry_id, sound[1], "person"),
        (("consent", "list"), consent_id, sound[2], "person"),
        (("person", "real-name", "list"), name_id, sound[3], "person"),
        (("appeal", "list"), appeal_id, sound[4], "person"),
        (("retention", "hold", "list"), hold_id, sound[5], "person"),
        (("party-group", "list"), "broken", "sound", "members"),
    ]
    for command, broken, fine, shown in lists:
        listed, table = cli(*command, "--json"), cli(*command)
        assert (listed.code, table.code) == (70, 70), command
        assert listed.err == table.err
        assert listed.err.startswith("agi-router: 1 ")
        assert listed.err.endswith(f": {broken}\n")
        rows = {row.get("id", ""): row for row in json_of(listed.out)} | {
            row.get("name", ""): row for row in json_of(listed.out)
        }
        told, whole = rows[str(broken)], rows[str(fine)]
        assert (bool(told[shown]), told["damage"] is None) == (False, False), command
        assert (bool(whole[shown]), whole["damage"]) == (True, None), command
        if command[0] != "appeal":
            assert " damaged " in table.out
    for command, broken in ((("lock", "show"), lock_id), (("blocklist", "show"), entry_id)):
        done = cli(*command, broken)
        assert (done.code, done.out.split()[:2]) == (70, ["id", str(broken)])
    for command in (("lock", "show"), ("blocklist", "show")):
        done = run([*command, "--person", "-", "--json"], cli.env, typed=A.digits)
        assert (done.code, len(json_of(done.out))) == (70, 1)
    for command in (("trace", str(X)), ("trace", "--person", "-", "--since", "1h")):
        done = run([*command, "--json"], cli.env, typed=A.digits)
        traced = json.loads(done.out)
        assert (done.code, done.err.endswith(f": lock {lock_id}\n")) == (70, True)
        assert {row["id"]: row["damage"] is None for row in traced["locks"]} == {
            str(lock_id): False,
            str(sound[0]): True,
        }
        assert A.masked in str(traced["bound"])
    # By the person it is not lifted; by its id it is.
    done = run(["lock", "lift", "--person", "-"], cli.env, typed=A.digits)
    assert (done.code, store.locks.find(lock_id).lifted) == (70, False)
    assert cli("lock", "lift", lock_id).code == 70
    assert cli("blocklist", "remove", entry_id).code == 70
    assert store.locks.find(lock_id).lifted
    assert store.blocklist.find(entry_id).state is EntryState.REMOVED
    until = cli("lock", "list", "--all").out
    assert until.count("reviewed") == 1


@pytest.fixture
def importing(store: BindingStore, dsn: str, keys: KeyRing) -> Importing:
    """An import into this test's database, which has one block."""
    assert store
    return Importing(dsn, keys)

"""Importing: all or nothing, again and again, killed, at once, and never a number told."""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import re
import signal
import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from postgres.test_cli import PROGRAM, Cli, snapshot
from postgres.test_locks import forge, on_number, on_person, on_tenant, put

from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Axb, Axyb, Gxb
from agi_router.bindings.requests import Fault
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import BindingState, Callback, Counting, Direction, Language, Side
from agi_router.bulk import importer
from agi_router.bulk.copy_rows import BINDING, ROUTE
from agi_router.bulk.csv_file import Record
from agi_router.bulk.exporter import export_rows
from agi_router.bulk.importer import Importer, Tally, Watcher
from agi_router.calls.decision import Route, decide
from agi_router.db.connection import Connection, Queries, connect
from agi_router.errors import (
    BindingConflict,
    BindingEnded,
    BindingNotFound,
    CsvError,
    StoreError,
    TenantNotFound,
)
from agi_router.inventory.capacity import Quarantine
from agi_router.inventory.model import BlockState
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.numbers import Block, PhoneNumber, XNumber
from agi_router.persons.blocklist import Pairing
from agi_router.tenants.scope import OPERATOR
from agi_router.tenants.store import TenantStore
from harness.database import (
    HOUR,
    NO_REST,
    a_call,
    bind,
    dials,
    expire,
    look_up,
    on_each_version,
    on_one_server,
    one,
    until,
)
from harness.values import BLOCK, A, B, C, D, X

pytestmark = on_each_version

SIDES = (Side.A, Side.B)


def party(serial: int, head: int = 135) -> PhoneNumber:
    """Return a number that no other serial has."""
    return PhoneNumber(digits=f"{head}{serial:08}")


def axb_rows(count: int, *, first: int = 0) -> str:
    """Return a file of bindings, each with its own order and parties."""
    rows = (
        f"axb,A-{i},{party(i).digits},{party(i, 136).digits}" for i in range(first, first + count)
    )
    return "\n".join(("mode,order,a,b", *rows, ""))


@dataclass
class Importing:
    """Imports into one database, and what was told meanwhile."""

    dsn: str
    keys: KeyRing
    processes: int = 1
    quarantine: Quarantine = NO_REST
    tenant: str | None = None
    faults: list[tuple[int, str]] = field(default_factory=list)
    read: Any = None
    waited: int = 0

    def __call__(self, text: str | bytes, **options: Any) -> Tally:
        self.faults = []
        # As the command has it: on a busy machine rows take their time between two statements.
        with connect(self.dsn, idle=600) as connection:
            return Importer(
                connection,
                self.keys,
                fixed_lines=False,
                ttl=HOUR,
                quarantine=self.quarantine,
                open_modes=True,
                processes=self.processes,
                watcher=Watcher(
                    header=lambda _: None,
                    rejected=self._rejected,
                    waiting=self._waiting,
                    encoding=lambda _: None,
                    read=self.read or (lambda _: None),
                ),
                scope=OPERATOR
                if self.tenant is None
                else TenantStore(Queries(connection)).scope(self.tenant),
            ).run(io.BytesIO(text.encode() if isinstance(text, str) else text), **options)

    def _rejected(self, record: Record, faults: Sequence[Fault]) -> None:
        self.faults += ((record.line, str(fault)) for fault in faults)

    def _waiting(self) -> None:
        self.waited += 1


@pytest.fixture
def importing(store: BindingStore, dsn: str, keys: KeyRing) -> Importing:
    """An import into this test's database, which has one block."""
    assert store
    return Importing(dsn, keys)


@pytest.fixture
def cli(store: BindingStore, dsn: str, keys: KeyRing, tmp_path: Path) -> Cli:
    """The command line on this test's database, which has one block."""
    assert store
    file = tmp_path / "key"
    write_key_ring(file, keys)
    return Cli({"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(file)})


def everything(store: BindingStore) -> list[Binding]:
    """Return all bindings, the oldest first."""
    return sorted(store.stream(everything=True, order_id=None), key=lambda each: each.id.id)


def rings(store: BindingStore, caller: PhoneNumber, x: XNumber) -> Route:
    """Return where a call goes now."""
    call = a_call(caller, x)
    answer = look_up(store, call, at=None)
    decision = decide(call, answer.facts, now=answer.now)
    assert isinstance(decision, Route)
    return decision


def test_every_mode_is_bound_as_by_hand(importing: Importing, store: BindingStore) -> None:
    """What is imported is what `bind` makes: parties, numbers, terms, and where calls go."""
    a, b, c, d = (each.digits for each in (A, B, C, D))
    tally = importing(
        "mode,order,a,members,b,callback,default,x,y,max_calls,count,direction,ring,max_duration,language,ttl\n"
        f"axb,O-1,{a},,{b},,,700123456780001,,7,attempts,a,30s,1h,en,2h\n"
        f"axyb,O-2,{a},,{b},,,700123456780002,700123456780003,,,,,,,\n"
        f"gxb,O-3,,{a};{c},{b},last,{c},700123456780004,,,,,,,,\n"
        f"gxyb,O-4,,{a} {c} {d},{b},all,,700123456780005,700123456780006,,,,,,,\n"
    )
    assert (tally, importing.faults) == (Tally(bound=4), [])
    numbers = [BLOCK.number(serial) for serial in range(7)]
    full: dict[str, Any] = {
        "max_calls": 7,
        "counting": Counting.ATTEMPTS,
        "direction": Direction.A,
        "ring_timeout": timedelta(seconds=30),
        "max_duration": HOUR,
        "language": Language.EN,
    }
    by_hand = [
        store.bind(
            parties,
            Terms(expires_at=store.now() + HOUR, **terms),
            x=BLOCK.number(x + 100),
            y=None if y is None else BLOCK.number(y + 100),
        )
        for parties, x, y, terms in (
            (Axb(a=A, b=B), 1, None, full),
            (Axyb(a=A, b=B), 2, 3, {}),
            (Gxb(members=(A, C), b=B, callback=Callback.LAST, default=C), 4, None, {}),
        )
    ]
    imported = everything(store)[:4]
    for one_, other in zip(imported[:3], by_hand, strict=True):
        for name in (
            *("mode", "state", "tenant", "max_calls", "calls_used", "counting", "direction"),
            *("ring_timeout", "max_duration", "language", "callback", "called_back"),
        ):
            assert getattr(one_, name) == getattr(other, name), name
        assert [(p.side, p.number, dials(p).serial + 100) for p in one_.parties] == [
            (p.side, p.number, dials(p).serial) for p in other.parties
        ]
    assert [each.order_id for each in imported] == ["O-1", "O-2", "O-3", "O-4"]
    lives = [each.expires_at - each.begins_at for each in imported]
    assert all(abs(life - HOUR) < timedelta(minutes=1) for life in lives[1:])
    assert abs(lives[0] - 2 * HOUR) < timedelta(minutes=1)
    for caller, x, callees, shown in (
        (A, 1, (B,), 1),
        (A, 2, (B,), 3),
        (B, 3, (A,), 2),
        (C, 4, (B,), 4),
        (B, 4, (C,), 4),
        (D, 5, (B,), 6),
        (B, 6, (A, C, D), 5),
    ):
        route = rings(store, caller, numbers[x])
        assert (route.callees, route.shown) == (callees, numbers[shown])


def test_a_group_of_two_hundred(importing: Importing, store: BindingStore) -> None:
    """And not one more."""
    members = [party(i) for i in range(201)]
    text = "mode;order;members;b\n" + "".join(
        f'gxb;O-{size};"{";".join(m.digits for m in members[:size])}";{B.digits}\n'
        for size in (200, 201)
    )
    assert importing(text, keep_going=True) == Tally(bound=1, rejected=1)
    assert importing.faults == [(3, "a group has 1 to 200 members")]
    (made,) = everything(store)
    assert {p.number for p in made.parties if p.side is Side.A} == set(members[:200])


def test_columns_are_all_there(connection: Connection) -> None:
    """A column that a migration adds is either loaded, or has what every new row has."""
    columns: dict[str, set[str]] = {}
    for row in connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'agi_router' AND table_name IN ('binding', 'route')"
    ).fetchall():
        columns.setdefault(row["table_name"], set()).add(row["column_name"])
    fresh = {
        "calls_used",
        "calls_settled",
        "begins_at",
        "ended_at",
        "state",
        "version",
        "sequence",
        "messages_used",
        "replaced",
    }
    # What only `bind --same-x` fills, and what is not loaded but bound row by row.
    apart = {"pair_tag", "extension", "open_number", "y_ttl", "parent_id", "party_group"}
    called = {"begins_at", "last_callee", "last_tag", "last_at", "child_id"}
    assert columns == {
        "binding": {*BINDING.columns, *fresh, *apart},
        "route": {*ROUTE.columns, *called},
    }


def test_one_fault_and_nothing_is_imported(
    importing: Importing, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All faults are told, also those behind the first; nothing is left of what was loaded."""
    monkeypatch.setattr(importer, "_CHUNK", 10)
    before = snapshot(connection)
    lines = axb_rows(50).splitlines()
    lines[15] = "axb,A-1,13800000001,"
    lines[40] = "xyz,,13800000001,13800000009"
    assert importing("\n".join(lines)) == Tally(rejected=2)
    assert importing.faults == [
        (16, "b: a binding by axb needs it"),
        (41, "mode: one of axb, axyb, gxb, gxyb, ax, axe"),
        (41, "order: it is required"),
    ]
    assert snapshot(connection) == before
    # No more are looked for than are wanted.
    assert importing("\n".join(lines), limit=1) == Tally(rejected=1)
    assert snapshot(connection) == before


@on_one_server
def test_a_file_that_breaks_off(importing: Importing, connection: Connection) -> None:
    """It is no file of rows; by --keep-going, what stands before the fault is imported."""
    before = snapshot(connection)
    broken = axb_rows(3).encode() + b"\xff\xfe\n"
    with pytest.raises(CsvError, match="line 5: it is neither UTF-8 nor GB18030"):
        importing(broken)
    assert snapshot(connection) == before
    with pytest.raises(CsvError, match="line 2502: a quotation mark"):
        importing(axb_rows(2500).encode() + b'axb,"', keep_going=True)
    assert one(connection, "SELECT count(*) FROM agi_router.binding") == 2500


def test_a_dry_run_writes_nothing(
    importing: Importing,
    store: BindingStore,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And says just what the import would say: faults, conflicts, what is there already."""
    monkeypatch.setattr(importer, "_CHUNK", 3)
    bind(store, A, B, order_id="O-1")
    held = bind(store, C, D, x=BLOCK.number(7))
    a, b, c, d, e = (each.digits for each in (A, B, C, D, party(1)))
    text = (
        "mode,order,a,b,x\n"
        f"axb,O-1,{a},{b},\n"  # there already
        f"axb,O-2,{a},{b},700123456780009\n"
        f"axb,O-3,{c},{e},700123456780007\n"  # held by a binding
        f"axb,O-4,{e},{b},700123456780009\n"  # held by line 3, in another chunk
        f"axb,O-5,{e},{c},700123456780010\n"
        f"axb,O-6,{e},{d},700123456780010\n"  # held by line 6, in the same
        f"axb,O-2,{a},{b},700123456780009\n"  # says the same as line 3
        f"axb,O-7,{a},{b},700123456790001\n"  # no block of ours
        f"axb,O-8,{a},{b},\n"
    )
    before = snapshot(connection)
    dry = importing(text, dry_run=True)
    dry_faults = importing.faults
    assert snapshot(connection) == before
    assert dry == Tally(bound=3, there=2, rejected=4)
    assert dry_faults == [
        (4, f"x: {C} is on 700123456780007 already, by binding {held.id}"),
        (5, f"x: {B} is on 700123456780009 already, by line 3"),
        (7, f"x: {party(1)} is on 700123456780010 already, by line 6"),
        (9, "x: block 70012345679 is not ours, or takes no new bindings of this tenant"),
    ]
    assert importing(text) == Tally(there=2, rejected=4)
    assert (importing.faults, snapshot(connection)) == (dry_faults, before)
    assert importing(text, keep_going=True) == dry
    assert importing.faults == dry_faults


@on_one_server
def test_again(importing: Importing, store: BindingStore, connection: Connection) -> None:
    """A second import changes nothing: not with other workers, nor whatever has come since."""
    text = axb_rows(4100) + f"gxb,G-1,,{B.digits}\n".replace(",,", ",")
    text = (
        "mode,order,a,b,members,ttl\n"
        + "".join(f"{line},,\n" for line in axb_rows(4100).splitlines()[1:])
        + f"gxb,G-1,,{B.digits},{A.digits};{C.digits},1h\n"
    )
    assert importing(text) == Tally(bound=4101)
    group = everything(store)[-1]
    store.add_members(group.id, [D])
    store.remove_member(group.id, A)
    store.unbind(everything(store)[0].id)
    expire(connection, everything(store)[1].id)
    before = snapshot(connection)
    assert importing(text) == Tally(there=4101)
    importing.processes = 2
    assert importing(text, keep_going=True) == Tally(there=4101)
    assert importing(text, dry_run=True) == Tally(there=4101)
    assert snapshot(connection) == before
    # In another order of the lines, with members in another order, and numbers asked for.
    lines = text.splitlines()
    lines[-1] = f"gxb,G-1,,{B.digits},{C.digits} {A.digits},2h"
    assert importing("\n".join((lines[0], *reversed(lines[1:])))) == Tally(there=4101)
    assert snapshot(connection) == before


def test_what_makes_a_row_another(importing: Importing, store: BindingStore) -> None:
    """Order, mode, tenant and each party; one order may have many bindings."""
    store_rows = (
        f"axb,O-1,{A.digits},{B.digits},",
        f"axb,O-1,{B.digits},{A.digits},",
        f"axb,O-1,{A.digits},{C.digits},",
        f"axyb,O-1,{A.digits},{B.digits},",
        f"axb,O-2,{A.digits},{B.digits},",
        f"axb,O-1,{A.digits},{B.digits},rides",
    )
    with connect(importing.dsn) as connection:
        connection.execute("INSERT INTO agi_router.tenant (name) VALUES ('rides')")
    text = "\n".join(("mode,order,a,b,tenant", *store_rows))
    assert importing(text) == Tally(bound=6)
    assert importing(text) == Tally(there=6)
    assert len(everything(store)) == 6
    assert importing("mode,order,a,b,tenant\n" + f"axb,O-1,{A.digits},{B.digits},nobody") == Tally(
        rejected=1
    )
    assert importing.faults == [(2, "tenant: there is no active tenant of this name")]


def test_what_was_bound_by_hand_is_there(importing: Importing, store: BindingStore) -> None:
    """`bind --order` and a file say the same."""
    bind(store, A, B, order_id="O-1")
    bind(store, A, B, x=None)
    text = f"mode,order,a,b\naxb,O-1,{A.digits},{B.digits}\naxb,O-2,{A.digits},{B.digits}\n"
    assert importing(text) == Tally(bound=1, there=1)


def test_keys_are_rotated(importing: Importing, store: BindingStore) -> None:
    """With a newer key in the ring, what an older one has tagged is found."""
    assert importing(axb_rows(3)) == Tally(bound=3)
    fresh = KeyRing.generate()
    importing.keys = KeyRing(
        tag_keys=(*importing.keys.tag_keys, (2, fresh.tag_keys[0][1])),
        seal_keys=importing.keys.seal_keys,
    )
    assert importing(axb_rows(4)) == Tally(bound=1, there=3)
    assert store


def test_a_row_that_is_over_where_it_comes_from(importing: Importing, store: BindingStore) -> None:
    """It is left out, and counted."""
    text = (
        "mode,order,a,b,state,expires\n"
        f"axb,O-1,{A.digits},{B.digits},unbound,2100-01-01T00:00:00Z\n"
        f"axb,O-2,{A.digits},{B.digits},active,\n"
    )
    assert importing(text) == Tally(bound=1, over=1)
    assert [each.order_id for each in everything(store)] == ["O-2"]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("2000-01-01T00:00:00Z", "expires: the expiry is in the past"),
        ("2200-01-01T00:00:00Z", "expires: a binding may live 90 days at most"),
    ],
)
def test_lives(importing: Importing, cell: str, message: str) -> None:
    """They are as long as those of single binds."""
    row = f"axb,O-1,{A.digits},{B.digits},{cell}"
    assert importing(f"mode,order,a,b,expires\n{row}\n") == Tally(rejected=1)
    assert importing.faults == [(2, message)]
    assert importing(f"mode,order,a,b,ttl\naxb,O-1,{A.digits},{B.digits},0") == Tally(rejected=1)
    assert importing.faults == [(2, "ttl: 1m is the least")]


def test_the_place_of_an_ended_binding(
    importing: Importing, store: BindingStore, connection: Connection
) -> None:
    """It makes room, and its routes are kept elsewhere."""
    gone = bind(store, A, B)
    store.unbind(gone.id)
    late = bind(store, C, D)
    expire(connection, late.id)
    text = (
        f"mode,order,a,b,x\naxb,O-1,{A.digits},{B.digits},{X}\naxb,O-2,{C.digits},{D.digits},{X}\n"
    )
    assert importing(text) == Tally(bound=2)
    assert one(connection, "SELECT count(*) FROM agi_router.past_route") == 4
    assert {each.state.value for each in everything(store)} == {"unbound", "expired", "active"}
    assert rings(store, A, X).callees == (B,)


@on_one_server
def test_nobody_meets_himself(importing: Importing, connection: Connection) -> None:
    """Dealt numbers are used once before one is used twice; a party gets a number each time."""
    courier = A.digits
    rows = [f"axb,O-{i},{courier},{party(i).digits}" for i in range(3000)]
    assert importing("\n".join(("mode,order,a,b", *rows))) == Tally(bound=3000)
    most = one(
        connection,
        "SELECT max(n) FROM (SELECT count(*) AS n FROM agi_router.route GROUP BY x_number) x",
    )
    assert most == 2
    # The same again for others of his: where he is already, another number is dealt.
    rows = [f"axb,P-{i},{courier},{party(i, 136).digits}" for i in range(3000)]
    assert importing("\n".join(("mode,order,a,b", *rows))) == Tally(bound=3000)
    used = one(connection, "SELECT count(DISTINCT x_number) FROM agi_router.route")
    assert used == 6000


@on_one_server
def test_the_last_numbers_are_found(importing: Importing, connection: Connection) -> None:
    """A party on all numbers but three gets these; then it is told that there is none."""
    rows = [
        f"axb,O-{i},{A.digits},{party(i).digits},{BLOCK.number(i)}"
        for i in range(10_000)
        if i not in {17, 4711, 9999}
    ]
    assert importing("\n".join(("mode,order,a,b,x", *rows))) == Tally(bound=9997)
    rows = [f"axb,P-{i},{A.digits},{party(i, 136).digits}" for i in range(5)]
    text = "\n".join(("mode,order,a,b", *rows))
    assert importing(text, keep_going=True) == Tally(bound=3, rejected=2)
    assert all("no 700 number can be had" in fault for _, fault in importing.faults)
    assert one(
        connection,
        "SELECT array_agg(x_number ORDER BY x_number) = %s FROM agi_router.route r JOIN"
        " agi_router.binding b ON b.block = r.block AND b.id = r.binding_id"
        " WHERE b.order_id LIKE 'P-%%' AND r.side = 'a'",
        [BLOCK.number(i).value for i in (17, 4711, 9999)],
    )


def test_two_numbers(importing: Importing, store: BindingStore) -> None:
    """Of one block, and different, also where one of them is given."""
    a, b = A.digits, B.digits
    text = (
        "mode,order,a,b,x,y\n"
        f"axyb,O-1,{a},{b},,\n"
        f"axyb,O-2,{a},{b},700123456780002,\n"
        f"axyb,O-3,{a},{b},,700123456780003\n"
        f"axyb,O-4,{a},{b},700123456780002,\n"
        f"axyb,O-5,{a},{b},700123456780006,700123456780006\n"
        f"axyb,O-6,{a},{b},,700123456780003\n"
    )
    assert importing(text, keep_going=True) == Tally(bound=3, rejected=3)
    assert importing.faults == [
        (5, f"x: {A} is on 700123456780002 already, by line 3"),
        (6, "a binding by axyb has two different numbers"),
        (7, f"y: {B} is on 700123456780003 already, by line 4"),
    ]
    for made in everything(store):
        x, y = (next(dials(p) for p in made.parties if p.side is side) for side in SIDES)
        assert x != y
        assert x.block == y.block == BLOCK


def test_blocks_that_take_none(
    importing: Importing, store: BindingStore, connection: Connection
) -> None:
    """A drained block, one of another tenant, none at all."""
    tenant = one(connection, "INSERT INTO agi_router.tenant (name) VALUES ('rides') RETURNING id")
    own = Block.parse("70012345679")
    store.inventory.add_block(own, operator=None, certificate=None)
    connection.execute(
        "UPDATE agi_router.block SET tenant_id = %s WHERE block = %s", (tenant, own.value)
    )
    store.inventory.set_block_state(BLOCK, BlockState.DRAINING)
    rows = (
        f"axb,O-1,{A.digits},{B.digits},,\n"
        f"axb,O-2,{A.digits},{B.digits},{X},\n"
        f"axb,O-3,{A.digits},{B.digits},{own.number(1)},\n"
        f"axb,O-4,{A.digits},{B.digits},,rides\n"
    )
    assert importing(f"mode,order,a,b,x,tenant\n{rows}", keep_going=True) == Tally(
        bound=1, rejected=3
    )
    refused = "is not ours, or takes no new bindings of this tenant"
    assert importing.faults == [
        (2, "no block is open for new bindings of this tenant"),
        (3, f"x: block {BLOCK} {refused}"),
        (4, f"x: block {own} {refused}"),
    ]
    assert [each.id.block for each in everything(store)] == [own]


@pytest.mark.parametrize("options", [{"keep_going": True}, {"dry_run": True}])
def test_what_is_locked_is_not_bound(
    importing: Importing,
    store: BindingStore,
    connection: Connection,
    options: dict[str, bool],
) -> None:
    """A party, a number, a tenant; not who has the same tag, nor for another tenant."""
    store.inventory.tenants.add("rides")
    store.inventory.tenants.add("meals")
    bind(store, D, C, x=BLOCK.number(9), order_id="O-9")
    misuse = [
        put(store, on_person(A)).id,
        put(store, on_number(X)).id,
        put(store, on_tenant("meals")).id,
        put(store, on_person(C)).id,
    ]
    put(store, on_person(B, "rides"))
    # Who is on a block list is bound, and kept from the other at the call.
    store.blocklist.add(Pairing(person=party(6), other=party(7)), by="a test")
    forge(connection, importing.keys, A, importing.keys.tag(party(7)))
    rows = (
        f"axb,O-1,{A.digits},{party(1).digits},,,",
        f"ax,O-2,{A.digits},,,,",
        f"axb,O-3,{party(3).digits},{B.digits},{X},,",
        f"axb,O-4,{party(4).digits},{B.digits},,,",
        f"axb,O-5,{party(5).digits},{B.digits},,,rides",
        f"axb,O-6,{party(6).digits},{party(7).digits},,,",
        f"axyb,O-7,{party(8).digits},{party(9).digits},{BLOCK.number(2)},,meals",
        f"axb,O-9,{D.digits},{C.digits},,,",
    )
    text = "\n".join(("mode,order,a,b,x,y,tenant", *rows))
    assert importing(text, **options) == Tally(bound=2, there=1, rejected=5)
    why = "nothing is bound for it until the lock is lifted or ends"
    assert importing.faults == [
        (2, f"a party is locked (misuse, lock {misuse[0]}): {why}"),
        (3, f"a party is locked (misuse, lock {misuse[0]}): {why}"),
        (4, f"x: {party(3)} cannot be on {X}: it is locked (misuse, lock {misuse[1]})"),
        (6, f"a party is locked (misuse, lock {misuse[3] + 1}): {why}"),
        (8, f"tenant 'meals' is locked (misuse, lock {misuse[2]})"),
    ]


def test_locked_numbers_are_not_dealt(
    importing: Importing, store: BindingStore, connection: Connection
) -> None:
    """All numbers of the only block but two are locked: on those the rows are bound."""
    connection.execute(
        "INSERT INTO agi_router.lock (id, subject, key, reason, set_by, set_at, starts_at)"
        " SELECT nextval('agi_router.lock_id'), 'number', %s + n, 'maintenance', 'a test', now(),"
        " now() FROM generate_series(0, 9997) n",
        (BLOCK.number(0).value,),
    )
    connection.execute(
        b"INSERT INTO agi_router.lock_mark (key, lock_id, subject, reason, starts_at)"
        b" SELECT key, id, subject, reason, starts_at FROM agi_router.lock"
    )
    assert importing(axb_rows(3)) == Tally(bound=3)
    assert {dials(p) for made in everything(store) for p in made.parties} <= {
        BLOCK.number(9998),
        BLOCK.number(9999),
    }


def test_an_import_keeps_no_lock_off(importing: Importing, store: BindingStore) -> None:
    """A file may take its time, and somebody is to be locked now."""
    store.connection.execute("SET lock_timeout = '20s'")
    importing.read = lambda _: put(store, on_person(A))
    assert importing(f"mode,order,a\nax,O-1,{A.digits}\n") == Tally(bound=1)
    assert len(store.locks.of_person(A)) == 1


def test_a_file_of_one_tenant(importing: Importing, store: BindingStore) -> None:
    """It names nobody else and no block of anybody else; what says nothing is its own."""
    ours, theirs = Block.parse("70012345679"), Block.parse("70012345670")
    for name, block in (("rides", ours), ("meals", theirs)):
        store.inventory.tenants.add(name)
        store.inventory.add_block(block, operator=None, certificate=None, tenant=name)
    importing.tenant = "rides"
    rows = (
        f"axb,O-1,{party(0).digits},{party(1).digits},,,meals",
        f"ax,O-2,{party(2).digits},,,,meals",
        f"axb,O-3,{party(3).digits},{party(4).digits},{theirs.number(1)},,",
        f"axyb,O-4,{party(5).digits},{party(6).digits},,{theirs.number(2)},rides",
        f"ax,O-5,{party(7).digits},,{theirs.number(3)},,",
        f"axb,O-6,{party(8).digits},{party(9).digits},,,default",
        f"axb,O-7,{party(10).digits},{party(11).digits},{BLOCK.number(1)},,",
        f"ax,O-8,{party(12).digits},,,,",
        f"axb,O-9,{party(13).digits},{party(14).digits},{ours.number(9)},,rides",
    )
    text = "\n".join(("mode,order,a,b,x,y,tenant", *rows))
    for options in ({"dry_run": True}, {"keep_going": True}):
        assert importing(text, **options) == Tally(bound=3, rejected=6)
        alone = "tenant: this is an import of tenant 'rides' alone"
        closed = f"block {theirs} is not ours, or takes no new bindings of this tenant"
        assert importing.faults == [
            (2, alone),
            (3, alone),
            (4, f"x: {closed}"),
            (5, f"y: {closed}"),
            (6, closed),
            (7, alone),
        ]
    made = store.bindings(everything=True, order_id=None, limit=9)
    assert {each.tenant for each in made} == {"rides"}
    importing.tenant = "nobody"
    with pytest.raises(TenantNotFound):
        importing(text)


@pytest.mark.parametrize("options", [{"keep_going": True}, {}])
def test_tenants_are_told_if_it_is_asked_for(
    importing: Importing, connection: Connection, options: dict[str, Any]
) -> None:
    """Of what is bound, once; who wants none hears nothing, and by itself an import is silent."""
    TenantStore(Queries(connection)).add("rides")
    connection.execute(
        "UPDATE agi_router.tenant SET told = '{binding.created}' WHERE name = 'default'"
    )

    def rows(first: int) -> str:
        told = [
            f"axb,O-{i},{party(2 * i).digits},{party(2 * i + 1).digits},{tenant}"
            for i, tenant in enumerate(["", "", "rides"], first)
        ]
        return "\n".join(("mode,order,a,b,tenant", *told))

    count = "SELECT count(*) FROM agi_router.event WHERE type = 'binding.created'"
    assert importing(rows(0), **options).bound == 3
    assert importing(rows(3), dry_run=True, tell=True).bound == 3
    assert one(connection, count) == 0
    assert importing(rows(3), tell=True, **options).bound == 3
    assert importing(rows(3), tell=True, **options).there == 3
    assert one(connection, count) == 2


@pytest.mark.parametrize("options", [{"dry_run": True}, {"keep_going": True}, {}])
@pytest.mark.parametrize("over", [False, True])
@pytest.mark.parametrize("mode", ["axb", "axyb", "ax"])
def test_a_file_of_one_tenant_tells_nothing_of_others(
    mode: str,
    over: bool,  # noqa: FBT001
    options: dict[str, bool],
    importing: Importing,
    open_store: BindingStore,
) -> None:
    """Whoever stands on a number of another tenant's, the answer is the same, and names nobody."""
    open_store.inventory.tenants.add("rides")
    y = BLOCK.number(2)
    terms = Terms(expires_at=open_store.now() + HOUR)
    foreign = open_store.bind(Axyb(a=A, b=B), terms, x=X, y=y)
    if over:
        open_store.unbind(foreign.id)
    importing.tenant = "rides"
    importing.quarantine = Quarantine(number=timedelta(), party=timedelta(days=7))
    cells: list[tuple[PhoneNumber, PhoneNumber, object, object]] = [
        (A, C, X, ""),
        (B, C, X, ""),
        (D, C, X, ""),
        (C, D, X, ""),
    ]
    if mode == "axyb":
        cells += [(D, B, "", y), (D, A, "", y), (A, D, BLOCK.number(3), y)]
    rows = [
        f"{mode},O-{i},{a.digits},{'' if mode == 'ax' else b.digits},{x},{y_number}"
        for i, (a, b, x, y_number) in enumerate(cells)
    ]
    tally = importing("\n".join(("mode,order,a,b,x,y", *rows)), **options)
    assert tally == Tally(rejected=len(rows))
    words = (
        "bindings of other tenants are on this number, or were not long ago: leave it out, or"
        " give another one"
    )
    assert importing.faults == [
        (line, f"{'x' if line < 6 else 'y'}: {words}") for line in range(2, len(rows) + 2)
    ]


def test_a_file_of_one_tenant_and_its_own(importing: Importing, store: BindingStore) -> None:
    """On its own numbers it is told what is in the way; another's operator is told as ever."""
    store.inventory.tenants.add("rides")
    mine = bind(store, tenant="rides")
    text = f"mode,order,a,b,x\naxb,O-1,{A.digits},{C.digits},{X}\n"
    for importing.tenant in ("rides", None):
        importing(text)
        assert importing.faults == [
            (2, f"x: {A} is on {X} already, by binding {mine.id}"),
        ]
    importing.tenant = "rides"
    fine = f"mode,order,a,b,x\naxb,O-1,{C.digits},{D.digits},{X}\n"
    assert importing(fine) == Tally(bound=1)


def test_a_number_rests_long_enough_for_others(
    importing: Importing, store: BindingStore, connection: Connection
) -> None:
    """What other tenants' bindings have left behind so long ago that nothing rests is free."""
    store.inventory.tenants.add("rides")
    expire(connection, bind(store).id)
    importing.tenant = "rides"
    text = f"mode,order,a,b,x\naxb,O-1,{A.digits},{C.digits},{X}\n"
    assert importing(text) == Tally(bound=1)


def test_a_tenant_is_not_told_on_how_many_numbers_a_party_is(
    importing: Importing, store: BindingStore, connection: Connection
) -> None:
    """Where no number can be had, that is all that a tenant is told."""
    store.inventory.tenants.add("rides")
    connection.execute(
        "INSERT INTO agi_router.past_route (block, x_number, caller_tag, binding_id, side,"
        " begins_at, ends_at)"
        " SELECT %s, %s + n, 1, 1, 'a', now() - interval '1 hour', now() - interval '1 second'"
        " FROM generate_series(0, 9999) n",
        (BLOCK.value, BLOCK.number(0).value),
    )
    importing.quarantine = Quarantine(number=HOUR, party=timedelta())
    text = f"mode,order,a,b\naxb,O-1,{A.digits},{B.digits}\nax,O-2,{C.digits},\n"
    for tenant, words in (
        (None, "no 700 number can be had: of 10,000 numbers in 1 open block(s) 10,000 rest"),
        ("rides", "no 700 number can be had for these parties"),
    ):
        importing.tenant = tenant
        assert importing(text, keep_going=True) == Tally(rejected=2)
        assert [why.partition(", and on")[0] for _, why in importing.faults] == [words] * 2


def test_orders_of_two_tenants(store: BindingStore) -> None:
    """Ids of orders are theirs: what is done for one of them leaves the other's alone."""
    store.inventory.tenants.add("rides")
    mine = bind(store, order_id="O-1", tenant="rides")
    other = bind(store, C, D, order_id="O-1")

    store.inventory.tenants.add("nobody")

    def of(tenant: str) -> BindingStore:
        return store.within(store.inventory.tenants.scope(tenant))

    def exported(within: BindingStore) -> int:
        return len(list(export_rows(within, everything=False, order_id="O-1")))

    assert [exported(store), *(exported(of(each)) for each in ("rides", "default", "nobody"))] == [
        2,
        1,
        1,
        0,
    ]
    assert [each.id for each in of("rides").end_order("O-1")] == [mine.id]
    assert store.find(other.id).state is BindingState.ACTIVE
    with pytest.raises(BindingEnded):
        of("rides").end_order("O-1")
    with pytest.raises(BindingNotFound):
        of("nobody").end_order("O-1")
    assert [each.id for each in store.end_order("O-1")] == [other.id]


@on_one_server
def test_a_tenants_own_blocks_come_first(importing: Importing, store: BindingStore) -> None:
    """As for single binds; shared ones only where a party is on all of its own numbers."""
    store.inventory.tenants.add("rides")
    own = Block.parse("70012345679")
    store.inventory.add_block(own, operator=None, certificate=None, tenant="rides")
    rows = [f"axb,O-{i},{party(i).digits},{party(i, 136).digits},rides" for i in range(50)]
    text = "\n".join(("mode,order,a,b,tenant", *rows))
    assert importing(text, dry_run=True) == importing(text) == Tally(bound=50)
    assert {each.id.block for each in everything(store)} == {own}
    rows = [
        f"axb,P-{i},{A.digits},{party(i, 137).digits},rides,{own.number(i)}" for i in range(10_000)
    ]
    assert importing("\n".join(("mode,order,a,b,tenant,x", *rows))).bound == 10_000
    text = f"mode,order,a,b,tenant\naxb,Q-1,{A.digits},{B.digits},rides\n"
    assert importing(text) == Tally(bound=1)
    assert everything(store)[-1].id.block == BLOCK


@on_one_server
def test_a_block_that_is_drained_meanwhile(importing: Importing, store: BindingStore) -> None:
    """What was seen when the import began is asked again."""
    other = Block.parse("70012345679")
    store.inventory.add_block(other, operator=None, certificate=None)
    rows = [f"axb,O-{i},{party(i).digits},{party(i, 136).digits}," for i in range(4000)]
    rows += [
        f"axb,P-{i},{party(i).digits},{party(i, 136).digits},{other.number(i)}" for i in range(9)
    ]

    def drain(_: int) -> None:
        store.inventory.set_block_state(other, BlockState.DRAINING)

    importing.read = drain
    text = "\n".join(("mode,order,a,b,x", *rows))
    assert importing(text, keep_going=True) == Tally(bound=4000, rejected=9)
    assert {fault for _, fault in importing.faults} == {f"x: block {other} takes no new bindings"}
    late = [each for each in everything(store) if int((each.order_id or "").split("-")[1]) >= 2000]
    assert {each.id.block for each in late} == {BLOCK}


def test_imports_at_once(importing: Importing, store: BindingStore) -> None:
    """They follow each other, so that what is in both files is bound once."""
    text = axb_rows(3000)
    others = [Importing(importing.dsn, importing.keys) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        tallies = list(pool.map(lambda each: each(text), others))
    assert sorted(tally.bound for tally in tallies) == [0, 0, 3000]
    assert sorted(tally.there for tally in tallies) == [0, 3000, 3000]
    assert len(everything(store)) == 3000


def test_binds_at_once(importing: Importing, connection: Connection) -> None:
    """While others bind the same parties on the same numbers, one of the two has each place."""
    count = 400
    rows = [
        f"axb,O-{i},{party(i).digits},{party(i, 136).digits},{BLOCK.number(i)}"
        for i in range(count)
    ]
    stop = threading.Event()
    bound: list[int] = []

    def others() -> None:
        with connect(importing.dsn) as own:
            hand = BindingStore(own, importing.keys)
            for i in reversed(range(count)):
                try:
                    bind(hand, party(i), party(i, 136), x=BLOCK.number(i))
                    bound.append(i)
                except BindingConflict:
                    pass
                if stop.is_set():
                    return

    worker = threading.Thread(target=others)
    worker.start()
    until(lambda: len(bound) > 20)
    tally = importing("\n".join(("mode,order,a,b,x", *rows)), keep_going=True)
    stop.set()
    worker.join()
    assert tally.bound + tally.rejected == count
    assert tally.rejected >= 20
    assert tally.bound + len(bound) == one(connection, "SELECT count(*) FROM agi_router.binding")
    assert one(connection, "SELECT count(*) FROM agi_router.route") == 2 * (
        tally.bound + len(bound)
    )


def test_a_place_taken_between_looking_and_loading(
    importing: Importing, store: BindingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unique key says so, and the set is looked at again."""
    copy = Importer._copy
    taken: list[Binding] = []

    def late(self: Importer, name: str, rows: Sequence[bytes]) -> None:
        if not taken:
            taken.append(bind(store, A, B))
        copy(self, name, rows)

    monkeypatch.setattr(Importer, "_copy", late)
    text = (
        f"mode,order,a,b,x\naxb,O-1,{A.digits},{C.digits},{X}\naxb,O-2,{C.digits},{D.digits},{X}\n"
    )
    assert importing(text, keep_going=True) == Tally(bound=1, rejected=1)
    assert importing.faults == [(2, f"x: {A} is on {X} already, by binding {taken[0].id}")]


@on_one_server
def test_killed_and_again(
    cli: Cli, store: BindingStore, connection: Connection, tmp_path: Path
) -> None:
    """After kill -9 in the middle, no worker is left, and another import does the rest, once."""
    count = 30_000
    file = tmp_path / "orders.csv"
    file.write_text(axb_rows(count))
    for number in range(4):
        store.inventory.add_block(
            Block(value=BLOCK.value + 1 + number), operator=None, certificate=None
        )
    before = 0
    for _ in range(2):
        with subprocess.Popen(
            [PROGRAM, "import", file, "--keep-going", "--processes", "2"],
            env={"PATH": os.environ["PATH"], **cli.env},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            until(lambda: _bindings(connection) > before, timeout=60)  # noqa: B023
            process.send_signal(signal.SIGKILL)
        until(lambda: not _session(process.pid), timeout=60)
        before = _bindings(connection)
    assert 0 < before < count
    assert cli("import", file, "--json").json == {
        "bound": count - before,
        "already_there": before,
        "over": 0,
        "rejected": 0,
        "faults": [],
    }
    assert _bindings(connection) == count
    assert one(connection, "SELECT count(DISTINCT order_id) FROM agi_router.binding") == count
    assert one(connection, "SELECT count(*) FROM agi_router.route") == 2 * count


def _bindings(connection: Connection) -> int:
    return int(one(connection, "SELECT count(*) FROM agi_router.binding"))


def _session(leader: int) -> list[str]:
    """The processes that are left of a session."""
    found = subprocess.run(
        ["ps", "-o", "pid=", "-s", str(leader)], check=False, capture_output=True, text=True
    )
    return found.stdout.split()


@on_one_server
def test_a_worker_dies(importing: Importing, connection: Connection) -> None:
    """Nothing is imported, and nobody waits for it for ever."""
    importing.processes = 2

    def kill(_: int) -> None:
        for child in multiprocessing.active_children():
            child.kill()

    importing.read = kill
    with pytest.raises(StoreError, match="a worker process has died"):
        importing(axb_rows(40_000))
    assert _bindings(connection) == 0


def test_a_lost_connection(importing: Importing, connection: Connection) -> None:
    """Nothing is imported."""

    def cut(_: int) -> None:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    importing.read = cut
    with pytest.raises(StoreError):
        importing(axb_rows(5000))
    assert _bindings(connection) == 0


@on_one_server
def test_rejects_are_corrected_and_imported(cli: Cli, store: BindingStore, tmp_path: Path) -> None:
    """What is rejected comes back as it came, with the reason, and as no formula."""
    file, rejects, more = (tmp_path / name for name in ("in.csv", "rejects.csv", "more.csv"))
    file.write_bytes(
        b"\xef\xbb\xbfmode;order;a;b\r\n"
        b"axb;O-1;13800000001;13900000011\r\n"
        b"axb;=1+1;13800000001;138000\r\n"
        b"axb;O-3;13800000002\r\n"
        b'axb;"O;4";13800000003;13800000003\r\n'
    )
    done = cli("import", file, "--keep-going", "--rejects", rejects)
    assert done.code == 65
    assert done.err.splitlines() == [
        "line 3: b: a mobile number has 11 digits beginning 13 to 19; got 6 digits",
        "line 4: the header has 4 columns, this row 3",
        "line 5: A and B are the same number; a binding needs two",
        "agi-router: the rest was imported: 3 row(s) cannot be bound",
    ]
    assert rejects.stat().st_mode & 0o777 == 0o600
    again = cli("import", rejects, "--keep-going")
    assert again.err.endswith("agi-router: nothing was imported: 3 row(s) cannot be bound\n")
    text = rejects.read_bytes().decode()
    assert text.startswith("fault,mode,order,a,b\r\n")
    assert "'=1+1,13800000001,138000" in text
    # Nobody's file is overwritten.
    assert (
        "exists and is left as it is"
        in cli("import", file, "--keep-going", "--rejects", rejects).err
    )
    corrected = (
        text.replace(",138000\r", ",13900000012\r")
        .replace(",13800000002\r", ",13800000002,13900000013\r")
        .replace(",13800000003,13800000003\r", ",13800000003,13900000014\r")
    )
    more.write_bytes(corrected.encode())
    assert cli("import", more).code == 0
    assert {each.order_id for each in everything(store)} == {"O-1", "=1+1", "O-3", "O;4"}
    # Rejected once more, the reason of before makes room for the new one.
    assert cli("import", rejects, "--keep-going", "--rejects", rejects, "--force").code == 65
    assert rejects.read_bytes().decode().startswith("fault,mode,order,a,b\r\n")


@on_one_server
def test_the_command(cli: Cli, connection: Connection, tmp_path: Path) -> None:
    """By people and programs, from files and standard input."""
    file = tmp_path / "in.csv"
    file.write_text(axb_rows(2))
    dry = cli("import", file, "--dry-run")
    assert (dry.code, dry.out.split()[:3]) == (0, ["would", "bind", "2"])
    assert _bindings(connection) == 0
    with file.open("rb") as stdin:
        piped = subprocess.run(
            [PROGRAM, "import", "-", "--json"],
            env={"PATH": os.environ["PATH"], **cli.env},
            stdin=stdin,
            check=True,
            capture_output=True,
        )
    assert json.loads(piped.stdout)["bound"] == 2
    assert cli("import", file).out.split()[:5] == ["bound", "0", "already", "there", "2"]
    file.write_text("mode,order,a,b\naxb,O-1,13912340001,1391234\n")
    failed = cli("import", file)
    assert failed.code == 65
    assert failed.out == ""
    assert failed.err.splitlines()[-1] == (
        "agi-router: nothing was imported: 1 row(s) cannot be bound; correct them, or use"
        " --keep-going"
    )
    assert cli("import", file, "--json").code == 65
    for content, message in (
        (b"", "the file is empty"),
        (b"13912340001,13912340002\n", "the header's column 1 is not known"),
        (b"mode,order\n\0", "line 2: it holds a NUL"),
    ):
        file.write_bytes(content)
        assert message in cli("import", file).error
    assert cli("import", tmp_path / "none.csv").code == 2
    assert cli("import", file, "--rejects", tmp_path / "r").code == 2


@on_one_server
def test_somebody_looks_on(cli: Cli, tmp_path: Path) -> None:
    """On a terminal a bar shows how much of the file is done; elsewhere there is none."""
    file = tmp_path / "in.csv"
    file.write_text(axb_rows(5000))
    assert cli("import", file, "--dry-run").err == ""
    terminal, theirs = os.openpty()
    with subprocess.Popen(
        [PROGRAM, "import", file],
        env={"PATH": os.environ["PATH"], "TERM": "xterm", **cli.env},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        # Reading what nobody holds open any more fails on Linux.
        with contextlib.suppress(OSError):
            while piece := os.read(terminal, 4096):
                shown += piece
        assert process.wait() == 0
    os.close(terminal)
    assert b"importing" in shown
    assert b"100%" in shown


HOSTILE = (
    "'; DROP TABLE agi_router.binding; --",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd",
    "\\.",
    "\\N",
    "NULL",
    "%(order_id)s %s",
    "{1,2}",
    '"; "',
    "汉字 😀",
    "'",
)
UNSEEN = ("\x1b[31m\x07\x08", "a\u202e13", "a\r\nb\tc")


def test_hostile_cells(importing: Importing, store: BindingStore) -> None:
    """An order is any text that can be seen, and nothing but text."""

    def file(orders: Sequence[str]) -> str:
        quoted = ('"' + text.replace('"', '""') + '"' for text in orders)
        rows = [f"axb,{order},{party(i).digits},{B.digits}" for i, order in enumerate(quoted)]
        return "\n".join(("mode,order,a,b", *rows))

    text = file(HOSTILE)
    assert importing(file(UNSEEN)) == Tally(rejected=len(UNSEEN))
    assert importing(text) == Tally(bound=len(HOSTILE))
    assert [each.order_id for each in everything(store)] == list(HOSTILE)
    assert importing(text) == Tally(there=len(HOSTILE))


def test_no_number_is_told(
    cli: Cli, store: BindingStore, tmp_path: Path, connection: Connection
) -> None:
    """Not where numbers stand in wrong columns, nor in conflicts, nor by the database."""
    bind(store, A, B)
    a, b, c, d = (each.digits for each in (A, B, C, D))
    file = tmp_path / "in.csv"
    file.write_text(
        "mode,order,a,b,x,ttl,tenant,max_calls\n"
        f"axb,O-1,{a},{c},{X},,,\n"
        f"{a},O-2,{b},{c},{d},{a},{b},{c}\n"
        f"axb,O-3,{a}0,{b}x,{d},{a},{b},{c}\n"
        f'axb,O-4,{a},{b},,,"{d}",\n'
        f"axb,O-5,{a},{a},,,,\n"
        f'axb,O-6,"{a}"{b},,,,,\n'
    )
    # The fixture looks for the numbers in all that is printed.
    for options in ((), ("--json",), ("--dry-run",), ("--keep-going",)):
        assert cli("import", file, *options).code == 65
    connection.execute(
        "ALTER TABLE agi_router.route ADD CONSTRAINT odd CHECK (callee IS NULL) NOT VALID"
    )
    file.write_text(f"mode,order,a,b\naxb,O-9,{a},{b}\n")
    assert cli("import", file).error.endswith("(23514)")
    kept = one(connection, "SELECT string_agg(b::text, '') FROM agi_router.binding b")
    assert not re.search(f"{a}|{b}|{c}|{d}", kept)


def test_numbers_rest(importing: Importing, store: BindingStore) -> None:
    """What a binding has just left is not given again, to its parties for longer."""
    store.unbind(bind(store, A, B).id)
    importing.quarantine = Quarantine(number=HOUR, party=2 * HOUR)
    text = f"mode,order,a,b,x\naxb,O-1,{C.digits},{D.digits},{X}\n"
    assert importing(text, keep_going=True) == Tally(rejected=1)
    assert re.fullmatch(
        rf"x: {re.escape(str(C))} cannot be on {X} before \S+: a binding on it has just ended",
        importing.faults[0][1],
    )
    importing.quarantine = Quarantine(number=timedelta(), party=2 * HOUR)
    again = f"mode,order,a,b,x\naxb,O-2,{A.digits},{D.digits},{X}\n"
    assert importing(again, keep_going=True) == Tally(rejected=1)
    assert f"{A} was on {X} by another binding" in importing.faults[0][1]
    # Others may come at once, and who is not sent there gets another number.
    assert importing(text + f"axb,O-3,{A.digits},{D.digits},\n") == Tally(bound=2)
    (found,) = store.bindings(everything=False, order_id="O-3", limit=1)
    assert found.parties[0].dials != X


def test_numbers_for_strangers(importing: Importing, store: BindingStore) -> None:
    """They are bound as by hand, once, and nobody shares a number that is kept for one."""
    y = BLOCK.number(2)
    text = (
        "mode,order,a,b,x,y_ttl,extension,callback,window\n"
        f"ax,O-1,{A.digits},,{X},,,last,30m\n"
        f"axe,O-2,{A.digits},,{y},,0042,,\n"
        f"axe,O-3,{B.digits},,{y},,,,\n"
        f"axyb,O-4,{A.digits},{B.digits},,3m,,,\n"
    )
    assert importing(text, dry_run=True) == Tally(bound=4)
    assert store.bindings(everything=True, order_id=None, limit=10) == []
    assert importing(text) == Tally(bound=4)
    assert importing(text) == Tally(there=4)
    made = {
        each.order_id: each for each in store.bindings(everything=False, order_id=None, limit=9)
    }
    assert made["O-1"].callback_window == timedelta(minutes=30)
    assert made["O-2"].extension == "0042"
    assert made["O-3"].extension not in {None, "0042"}
    assert made["O-4"].y_ttl == timedelta(minutes=3)
    # With the extension that was chosen it is the same; with another one it is not.
    chosen, other = made["O-3"].extension, "0043"
    for extension, tally in (
        (chosen, Tally(there=1)),
        ("", Tally(there=1)),
        (other, Tally(bound=1)),
        (other, Tally(there=1)),
    ):
        text = f"mode,order,a,x,extension\naxe,O-3,{B.digits},,{extension}\n"
        assert importing(text, dry_run=True) == tally
        assert importing(text) == tally
    for row in (f"axb,P-1,{C.digits},{D.digits},{X}", f"ax,P-2,{C.digits},,{y}"):
        assert importing(f"mode,order,a,b,x\n{row}\n", keep_going=True) == Tally(rejected=1)
        (_, fault), *_ = importing.faults
        assert "strangers may call" in fault

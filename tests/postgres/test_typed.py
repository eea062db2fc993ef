"""What people type at the command line: stray spaces, lists, 700 numbers, pipes; found again."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from postgres.test_cli import PROGRAM, Cli, axb, cli, key_file

from agi_router.bindings.modes import Gxb
from agi_router.bindings.names import filter_values
from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection
from agi_router.db.queries import query
from agi_router.texts import SHORTENED
from harness.database import (
    HOUR,
    a_call,
    admit_as_router,
    an_end,
    bind,
    expire,
    new_call_id,
    on_each_version,
    one,
)
from harness.values import BLOCK, A, B, C, D, X

__all__ = ["cli", "key_file"]

CASES = Path(__file__).resolve().parents[1] / "cases/files"


@pytest.fixture
def inside(cli: Cli) -> Cli:
    """The command line without any process of its own."""
    return replace(cli, processes=frozenset())


def test_an_order_is_found_however_it_is_typed(inside: Cli, store: BindingStore) -> None:
    """The number does not outlive its order for a space that came along from a page."""
    assert store
    for serial, (bound, typed) in enumerate(
        [(" B-77", "B-77"), ("B-78\t", "\u00a0B-78"), ("\u202dB-79\u202c", "B-79\u200b")]
    ):
        made = inside(*axb("--order", bound, "--json", b=f"1377777000{serial}")).json
        assert made["order"] == bound.strip("\t \u202d\u202c")
        assert [each["id"] for each in inside("list", "--order", typed, "--json").json] == [
            made["id"]
        ]
        assert [each["state"] for each in inside("unbind", "--order", typed, "--json").json] == [
            "order_ended"
        ]


def test_orders_of_a_file_are_found(inside: Cli, store: BindingStore) -> None:
    """What Excel saves with stray spaces, and in an encoding of its own."""
    done = inside("import", CASES / "orders.csv", "--keep-going")
    assert (done.code, done.err.splitlines()) == (
        65,
        [
            f"line 4: order: {SHORTENED}",
            "agi-router: the rest was imported: 1 row(s) cannot be bound",
        ],
    )
    assert {each.order_id for each in store.bindings(everything=True, order_id=None, limit=9)} == {
        "B-77",
        "2026-0001",
    }
    for order in ("B-77", "2026-0001"):
        assert inside("unbind", "--order", order).code == 0
    for name, order, told in (
        ("gbk.csv", "订单9", "the file is not in UTF-8; it is read as GB18030\n"),
        ("utf-16-le.csv", "粤B9", "the file is not in UTF-8; it is read as UTF-16\n"),
        ("empty.csv", "o-1", ""),
    ):
        done = inside("import", CASES / name)
        assert (done.code, done.err) == (0, told)
        assert done.out.splitlines()[0].split() == ["bound", "1"]
        assert inside("unbind", "--order", order).code == 0
    done = inside("import", CASES / "workbook.xlsx")
    assert done.code == 65
    assert done.err == (
        "agi-router: nothing was imported: the file is an Excel workbook (.xlsx) or another"
        " archive; save it as 'CSV UTF-8 (comma delimited)' and import that\n"
    )


def test_a_tenant_is_found_however_it_is_typed(inside: Cli, store: BindingStore) -> None:
    """Its name is the same at every command."""
    assert store
    free = ("--no-order", "--consent", "off")
    assert inside("tenant", "add", " rides\u200b", *free, "--json").json["name"] == "rides"
    again = inside("tenant", "add", "rides\u00a0")
    assert (again.code, again.err) == (73, "agi-router: tenant 'rides' is already there\n")
    assert inside("tenant", "suspend", "\u2060rides").code == 0
    assert inside("tenant", "activate", "rides ").code == 0
    made = inside(*axb("--tenant", "\u3000rides", "--json"))
    assert made.json["tenant"] == "rides"
    block = ("block", "add", "70012345679", "--tenant", "rides\t", "--json")
    assert inside(*block).json["tenant"] == "rides"


def test_members_in_one_text(inside: Cli, store: BindingStore) -> None:
    """As they stand in a message or a cell."""
    assert store
    b, c, d, e = (f"1377777001{serial}" for serial in range(4))
    made = inside(
        "bind",
        "gxb",
        "--b",
        B.digits,
        "--members",
        f"{b}、138 7777 0015",
        "--members",
        c,
        "--json",
    )
    assert set(made.json["members"]) == {"137****0010", "138****0015", "137****0011"}
    grown = inside("group", "add", made.json["id"], "--members", f"{d}，{e}", "--json").json
    assert set(grown["members"]) == {*made.json["members"], "137****0012", "137****0013"}


def test_from_a_number_to_its_binding(
    inside: Cli, store: BindingStore, connection: Connection
) -> None:
    """Wherever a binding is named, its 700 number names it, if it is alone there."""
    x = BLOCK.number(7)
    written = f"+86 700-{str(x)[3:]}"
    none = inside("show", x)
    assert (none.code, none.err) == (66, f"agi-router: no binding is or was on {x}\n")
    first = bind(store, x=x)
    assert inside("show", written, "--json").json["id"] == str(first.id)
    end = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    assert inside("extend", x, "--expires", end, "--json").json["id"] == str(first.id)
    second = bind(store, C, D, x=x)
    for command in ("show", "unbind"):
        several = inside(command, x)
        assert (several.code, several.err) == (
            66,
            f"agi-router: several bindings live on {x}: {second.id}, {first.id}; name one\n",
        )
    assert inside("unbind", second.id).code == 0
    assert inside("unbind", x, "--json").json["id"] == str(first.id)
    over = inside("unbind", x)
    assert (over.code, over.err) == (
        66,
        f"agi-router: no binding lives on {x}; see 'agi-router list --all --x {x}'\n",
    )
    # Of those that are over, the last one.
    assert inside("show", x, "--json").json["id"] == str(second.id)
    # Also where its place is another's by now.
    third = bind(store, x=x)
    expire(connection, third.id)
    assert one(connection, "SELECT count(*) FROM agi_router.past_route") == 2
    found = inside("list", "--all", "--x", x, "--json").json
    # By when they began; the third one's beginning was put back.
    assert [each["id"] for each in found] == [str(each.id) for each in (second, first, third)]
    assert inside("list", "--x", x, "--json").json == []


@on_each_version
def test_more_than_are_named(inside: Cli, store: BindingStore) -> None:
    """Five bindings of a number are named, and where the others are listed."""
    made = [
        inside(*axb("--x", X, "--json", a=f"1377777002{i}", b=f"1377777003{i}")).json["id"]
        for i in range(6)
    ]
    told = ", ".join(made[:0:-1])
    done = inside("show", X)
    assert done.code == 66
    assert done.err == (
        f"agi-router: several bindings live on {X}: {told} and more (see 'agi-router list --x"
        f" {X}'); name one\n"
    )
    assert len(inside("list", "--x", X, "--json").json) == 6
    terms = Terms(expires_at=store.now() + HOUR)
    group = store.bind(Gxb(members=(A, C), b=B), terms, x=BLOCK.number(3))
    grown = inside("group", "add", BLOCK.number(3), "--members", D.digits, "--json").json
    assert grown["id"] == str(group.id)


async def test_calls_are_found_by_what_is_known_of_them(
    inside: Cli, store: BindingStore, admissions: AdmissionStore
) -> None:
    """By binding, number, order and reason; together they narrow it down."""
    one_, two = bind(store, order_id="B-77"), bind(store, C, D, x=BLOCK.number(2))
    three = bind(store, C, A, x=BLOCK.number(3), order_id="B-77")
    ids = {}
    for name, caller, x in (
        ("one", A, X),
        ("two", C, BLOCK.number(2)),
        ("three", A, BLOCK.number(3)),
    ):
        ids[name] = new_call_id()
        admission, _ = await admit_as_router(admissions, a_call(caller, x), ids[name])
        assert admission.admitted
    ids["refused"] = new_call_id()
    refused = an_end(ids["refused"], None, x=BLOCK.number(2), reason=Reason.STRANGER)
    await admissions.settle([refused])
    for options, names in (
        ((), {"one", "two", "three", "refused"}),
        (("--binding", one_.id), {"one"}),
        (("--binding", X), {"one"}),
        (("--order", " B-77"), {"one", "three"}),
        (("--x", BLOCK.number(2)), {"two", "refused"}),
        (("--x", BLOCK.number(2), "--reason", "stranger"), {"refused"}),
        (("--reason", "expired"), set()),
        (("--binding", two.id, "--x", X), set()),
        (("--order", "B-77", "--x", three.parties[0].dials), {"three"}),
        (("--since", "10min"), {"one", "two", "three", "refused"}),
    ):
        found = inside("calls", *options, "--json").json
        assert {each["id"] for each in found} == {ids[name] for name in names}, options
    none = inside("calls", "--order", "B-79")
    assert (none.code, none.err) == (66, "agi-router: no binding was made for this order\n")


@pytest.mark.parametrize(
    "words",
    [
        ("--json", "list"),
        ("list", "--json"),
        ("--json", "block", "list"),
        ("block", "--json", "list"),
        ("--json", "pool"),
        ("--json", "calls", "--since", "1h"),
    ],
)
def test_json_before_or_behind(inside: Cli, store: BindingStore, words: tuple[str, ...]) -> None:
    """It means the same; where a command has none, it says so."""
    assert store
    assert isinstance(inside(*words).json, list)
    for none in (("--json", "serve"), ("serve", "--json")):
        assert (inside(*none).code, "--json" in inside(*none).err) == (2, True)
    assert inside("--json", "--version").code == 0


def test_a_reader_that_leaves(cli: Cli, store: BindingStore) -> None:
    """``head -1`` has what it wants: that is no failure, and nothing is said."""
    for serial in range(3):
        bind(store, x=BLOCK.number(30 + serial), order_id="漢" * 128)
    for command in (("list", "--json"), ("export",), ("--help",), ("list",)):
        read, write = os.pipe()
        os.close(read)
        try:
            done = subprocess.run(
                [PROGRAM, *command],
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **cli.env},
                stdout=write,
                stderr=subprocess.PIPE,
                check=False,
                text=True,
                timeout=60,
            )
        finally:
            os.close(write)
        assert (done.returncode, done.stderr) == (0, ""), command


def test_many_bindings_are_not_read_for_one(connection: Connection) -> None:
    """On filled tables no look-up reads a table of them from end to end."""
    for statement in FILLED.split(";"):
        connection.execute(statement.encode())
    filled = one(connection, "SELECT tableoid::regclass::text FROM agi_router.call LIMIT 1")
    filled = filled.removeprefix("agi_router.")
    since = {"since": datetime.now(UTC) - timedelta(days=1), "reason": None, "limit": 100}
    number = {"block": 70000000007, "x_number": 700000000070007}
    dialled = {**since, **number, "blocks": [70000000007], "bindings": None}
    bound = {**since, "x_number": None, "blocks": [70000000007] * 2, "bindings": [7, 107]}
    for name, values in (
        ("list_on_number", {**number, "all": True, "order_id": None, "limit": 100}),
        ("list_order", {"all": True, "order_id": "O-7", "limit": None}),
        ("find_call", {"id": "pbx-7", "day": datetime.now(UTC).date()}),
        ("list_calls_of", dialled),
        ("list_calls_of", bound),
        ("list_traced_calls", {**bound, **number, "until": datetime.now(UTC)}),
        ("list_calls_of_traced", {**bound, "until": datetime.now(UTC)}),
    ):
        asked = {**filter_values(), "outcome": None, "until": None, "scope": None, **values}
        assert connection.execute(query(name), asked).fetchall()
        plan = connection.execute(b"EXPLAIN (FORMAT JSON) " + query(name), asked).fetchone()
        assert plan is not None
        read = scans(plan["QUERY PLAN"][0]["Plan"])
        assert not read & {"route", "past_route", "binding", filled}, name
        if "calls" in name:
            assert {f"{filled}_x_number_idx", f"{filled}_id_idx"} <= indexes(plan), name
        if name == "find_call":
            assert f"{filled}_pkey" in indexes(plan)


def indexes(plan: object) -> set[str]:
    """Return the indexes that a plan uses."""
    return set(re.findall(r"'Index Name': '(\w+)'", repr(plan)))


def scans(plan: dict[str, Any]) -> set[str]:
    """Return the tables that a plan reads from end to end."""
    found = {plan["Relation Name"]} if plan["Node Type"] == "Seq Scan" else set()
    return found.union(*map(scans, plan.get("Plans", ())))


FILLED = """
SELECT agi_router.ensure_days('call', now()::date - 1, now()::date + 1);
INSERT INTO agi_router.block (block) SELECT 70000000000 + i FROM generate_series(0, 99) i;
INSERT INTO agi_router.binding (block, tenant_id, mode, expires_at, order_id)
SELECT 70000000000 + i % 100, 1, 'axb', now() + '1h', 'O-' || i FROM generate_series(1, 20000) i;
INSERT INTO agi_router.route (block, x_number, caller_tag, binding_id, shown, ends_at, side,
                              callee, caller)
SELECT block, block * 10000 + id % 10000, id, id, block * 10000 + id % 10000, expires_at, 'a',
       '', ''
  FROM agi_router.binding;
INSERT INTO agi_router.past_route (block, x_number, caller_tag, binding_id, shown, ends_at, side,
                                   callee, caller, begins_at)
SELECT block, x_number, caller_tag, binding_id, shown, ends_at, side, callee, caller, now()
  FROM agi_router.route;
INSERT INTO agi_router.call (block, id, day, x_number, binding_id, state)
SELECT block, 'pbx-' || id, now()::date, block * 10000 + id % 10000, id, 'settled'
  FROM agi_router.binding;
ANALYZE
"""

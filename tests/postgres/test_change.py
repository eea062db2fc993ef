"""Changing what is agreed, while a binding lives."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Axb, Axe, Axyb, Gxb
from agi_router.bindings.reasons import Reason
from agi_router.bindings.rows import order_tags
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import CHANGEABLE, Span, Term, Terms, Text, Whole, Words
from agi_router.bindings.words import BindingState, Direction
from agi_router.calls.decision import Refusal, decide
from agi_router.calls.end import Outcome
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection
from agi_router.errors import (
    BindingChanged,
    BindingEnded,
    BindingNotFound,
    ExpiryInvalid,
    LimitTooLow,
    ModeError,
)
from agi_router.keys.file import write_key_ring
from harness.cli import Done, run
from harness.database import (
    HOUR,
    a_call,
    admit_as_router,
    an_end,
    bind,
    expire,
    look_up,
    new_call_id,
    on_each_version,
    one,
)
from harness.values import A, B, C, D, X

BY_NAME = {term.name: term for term in CHANGEABLE}


def sample(term: Term) -> Any:
    """A value that is not the default."""
    match term.kind:
        case Words(enum=enum):
            return next(each for each in enum if each is not term.default)
        case Whole():
            return 7
        case Span(low=low):
            return low
        case Text(longest=longest):
            # Of all kinds, and as long as may be.
            return "订单 1\n\t'\"\\{}😀".ljust(longest, "~")
        case _:
            return "mon 09:00-18:00" if term.word == "hours" else "rides"


@on_each_version
@pytest.mark.parametrize("name", BY_NAME)
def test_every_term(store: BindingStore, name: str) -> None:
    """It is said anew and taken back; each time the version rises, and nothing else changes."""
    made = bind(store)
    assert made.version == 1
    changed = store.change(made.id, **{name: sample(BY_NAME[name])})
    assert getattr(changed, name) == sample(BY_NAME[name])
    assert changed == store.find(made.id)
    again = store.change(made.id, **{name: None})
    assert (changed.version, again.version) == (2, 3)
    assert again == _with(made, version=3)


def _with(binding: Binding, **values: Any) -> Binding:
    fields = {name: getattr(binding, name) for name in binding.__dataclass_fields__}
    return Binding(**{**fields, **values})


def test_nothing_new(store: BindingStore) -> None:
    """What is so already, and a change of nothing, leave the version as it is."""
    made = bind(store, direction=Direction.A, max_calls=3)
    assert store.change(made.id, direction=Direction.A, max_calls=3) == made
    assert store.change(made.id) == made


def test_what_cannot_be_changed(store: BindingStore) -> None:
    """No column that is no term, whatever it is called."""
    made = bind(store)
    for name in ("tenant", "tenant_id", "mode", "calls_used", "version; DROP", "state"):
        changes: Any = {name: "x"}
        with pytest.raises(TypeError):
            store.change(made.id, **changes)


def test_next_call_is_judged_by_it(store: BindingStore) -> None:
    """At once: nothing is kept of what was agreed before."""
    made = bind(store)
    store.change(made.id, direction=Direction.B)
    answer = look_up(store, a_call(), at=None)
    decision = decide(a_call(), answer.facts, now=answer.now)
    assert isinstance(decision, Refusal)
    assert decision.reason is Reason.WRONG_DIRECTION


@on_each_version
@pytest.mark.parametrize("minutes", [1, 600])
def test_end(store: BindingStore, connection: Connection, minutes: int) -> None:
    """Earlier, or later; its routes end with it, so its number is free when it is said to be."""
    made = bind(store)
    end = store.now().replace(microsecond=0) + timedelta(minutes=minutes)
    assert store.change(made.id, expires_at=end).expires_at == end
    ends = connection.execute("SELECT DISTINCT ends_at FROM agi_router.route").fetchall()
    assert [row["ends_at"] for row in ends] == [end]


@pytest.mark.parametrize(
    ("shift", "words"), [(-HOUR, "in the past"), (timedelta(days=91), "90 days at most")]
)
def test_end_out_of_bounds(store: BindingStore, shift: timedelta, words: str) -> None:
    made = bind(store)
    with pytest.raises(ExpiryInvalid, match=words):
        store.change(made.id, expires_at=store.now() + shift)
    assert store.find(made.id) == made


async def test_limit(store: BindingStore, admissions: AdmissionStore) -> None:
    """It may fall to what is used, not below; where none will come back it is over."""
    made = bind(store, max_calls=5)
    calls = [new_call_id() for _ in range(2)]
    for each in calls:
        await admit_as_router(admissions, a_call(), each)
    with pytest.raises(LimitTooLow):
        store.change(made.id, max_calls=1)
    assert store.change(made.id, max_calls=2).state is BindingState.ACTIVE
    await admissions.settle([an_end(each, Outcome.ANSWERED) for each in calls])
    assert store.find(made.id).state is BindingState.USED_UP


def test_limit_of_texts(store: BindingStore, connection: Connection) -> None:
    """Not below those that are used."""
    made = bind(store, max_messages=3)
    connection.execute("UPDATE agi_router.binding SET messages_used = 2")
    with pytest.raises(LimitTooLow):
        store.change(made.id, max_messages=1)
    changed = store.change(made.id, max_messages=2)
    assert (changed.max_messages, changed.messages_used, changed.max_calls) == (2, 2, None)


async def test_limit_where_there_was_none(store: BindingStore, admissions: AdmissionStore) -> None:
    """What has been used counts, that of calls that are up may come back."""
    made = bind(store)
    over, up = new_call_id(), new_call_id()
    for each in (over, up):
        await admit_as_router(admissions, a_call(), each)
    await admissions.settle([an_end(over, Outcome.ANSWERED)])
    assert store.change(made.id, max_calls=2).state is BindingState.ACTIVE
    await admissions.settle([an_end(up, Outcome.ANSWERED)])
    assert store.find(made.id).state is BindingState.USED_UP

    other = bind(store, C, D)
    call = new_call_id()
    await admit_as_router(admissions, a_call(C), call)
    await admissions.settle([an_end(call, Outcome.ANSWERED)])
    ended = store.change(other.id, max_calls=1)
    assert (ended.state, ended.ended_at is None) == (BindingState.USED_UP, False)


@pytest.mark.parametrize(
    "parties",
    [
        Axb(a=A, b=B),
        Axyb(a=A, b=B, y_ttl=HOUR),
        Gxb(members=(D, A, C), b=B),
        Axe(a=A, extension="12"),
    ],
    ids=["axb", "axyb", "gxb", "axe"],
)
def test_order(open_store: BindingStore, connection: Connection, parties: Any) -> None:
    """An import recognises it by its new order, and the old one has none any more."""
    store = open_store
    terms = Terms(expires_at=store.now() + HOUR, order_id="O-1")
    made = store.bind(parties, terms, x=X)
    assert store.change(made.id, order_id="O-2").order_id == "O-2"
    tags = order_tags(parties, tenant="default", order_id="O-2", keys=store.keys)
    assert one(connection, "SELECT order_tag FROM agi_router.binding") == tags[0]
    with pytest.raises(BindingNotFound):
        store.end_order("O-1")
    assert store.change(made.id, order_id=None).order_id is None
    assert one(connection, "SELECT order_tag FROM agi_router.binding") is None


Change = Callable[[BindingStore, Binding, "int | None"], Binding]
CHANGES: dict[str, Change] = {
    "change": lambda store, made, version: store.change(made.id, version=version, max_calls=9),
    "order": lambda store, made, version: store.change(made.id, version=version, order_id="O"),
    "add": lambda store, made, version: store.add_members(made.id, [D], version=version),
    "remove": lambda store, made, version: store.remove_member(made.id, C, version=version),
    "default": lambda store, made, version: store.set_default(made.id, C, version=version),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_version(store: BindingStore, change: Change) -> None:
    """Who names another version than it has changes nothing; each change makes another."""
    made = store.bind(Gxb(members=(A, C), b=B), Terms(expires_at=store.now() + HOUR), x=X)
    later = store.change(made.id, out_id="by another")
    with pytest.raises(BindingChanged):
        change(store, made, made.version)
    assert store.find(made.id) == later
    assert change(store, made, later.version).version == later.version + 1


@pytest.mark.parametrize("how", ["unbind", "extend", "end_order"])
def test_version_of_other_changes(store: BindingStore, how: str) -> None:
    """They make one too."""
    made = bind(store, order_id="O-1")
    match how:
        case "unbind":
            store.unbind(made.id)
        case "extend":
            store.extend(made.id, made.expires_at + HOUR)
        case _:
            store.end_order("O-1")
    assert store.find(made.id).version == 2


async def test_calls_leave_the_version(store: BindingStore, admissions: AdmissionStore) -> None:
    """It is of what people agree."""
    made = bind(store, max_calls=1)
    call = new_call_id()
    await admit_as_router(admissions, a_call(), call)
    await admissions.settle([an_end(call, Outcome.ANSWERED)])
    found = store.find(made.id)
    assert (found.state, found.version) == (BindingState.USED_UP, 1)


@pytest.mark.parametrize("how", ["unbound", "expired", "missing"])
def test_over(store: BindingStore, connection: Connection, how: str) -> None:
    """What is over is not changed, nor what never was."""
    made = bind(store)
    error: type[Exception] = BindingEnded
    match how:
        case "unbound":
            store.unbind(made.id)
        case "expired":
            expire(connection, made.id)
        case _:
            made, error = _with(made, id=type(made.id)(made.id.block, 10**9)), BindingNotFound
    for changes in ({"max_calls": 3}, {"order_id": "O-2"}, {"expires_at": later(store)}):
        with pytest.raises(error):
            store.change(made.id, **changes)


def later(store: BindingStore) -> datetime:
    return store.now() + HOUR


async def test_a_number_made_on_a_call(store: BindingStore, admissions: AdmissionStore) -> None:
    """It is changed by its parent, whose end is its own at the latest."""
    terms = Terms(expires_at=store.now() + HOUR)
    made = store.bind(Axyb(a=A, b=B, y_ttl=timedelta(minutes=30)), terms, x=X)
    await admit_as_router(admissions, a_call(), new_call_id())
    (child,) = (
        each
        for each in store.bindings(everything=True, order_id=None, limit=9)
        if each.parent is not None
    )
    with pytest.raises(ModeError, match="change its parent"):
        store.change(child.id, max_calls=2)
    end = store.now() + timedelta(minutes=5)
    store.change(made.id, expires_at=end)
    assert store.find(child.id).expires_at == end


def test_the_command_line(
    store: BindingStore, dsn: str, tmp_path: Path, connection: Connection
) -> None:
    """It takes what is new, and what is agreed no longer; others stay as they are."""
    file = tmp_path / "key"
    write_key_ring(file, store.keys)
    env = {"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(file)}
    made = bind(store, max_calls=3, direction=Direction.A)

    def change(*options: str) -> Done:
        return run(["change", str(made.id), *options, "--json"], env)

    changed = change("--ttl", "2h", "--ring", "20s", "--out-id", "4711", "--version", "1").json
    assert (changed["ring"], changed["out_id"], changed["version"]) == (20, "4711", 2)
    assert (changed["max_calls"], changed["direction"]) == (3, "a")
    assert store.find(made.id).expires_at > made.expires_at
    unset = change("--unset", "max-calls", "--unset", "direction", "--order", "O-2").json
    assert (unset["max_calls"], unset["direction"], unset["order"]) == (None, "both", "O-2")
    for options, code, words in (
        (("--version", "1", "--order", "O-3"), 73, "was changed since it was read"),
        (("--expires", "2020-01-01T00:00:00Z"), 65, "in the past"),
        ((), 2, "say what is to change"),
        (("--ring", "9s", "--unset", "ring"), 2, "not both"),
        (("--a", "13912340001", "--b", "13912340002"), 2, "by itself"),
        (("--b", "13912340002", "--ring", "9s"), 2, "by itself"),
        (("--a", "1391234"), 65, "number"),
    ):
        done = change(*options)
        assert (done.code, words in done.err) == (code, True)
    replaced = run(["change", str(made.id), "--a", "-", "--json"], env, typed=f"{C.digits}\n")
    assert (replaced.json["a"], replaced.json["version"]) == (C.masked, 4)
    acts = connection.execute("SELECT act, subject FROM agi_router.audit ORDER BY id").fetchall()
    assert acts[-1] == {"act": "change", "subject": f"another a of binding {made.id}"}
    assert {each["subject"] for each in acts[:-1]} == {f"binding {made.id}"}

"""A Y made on the first call: made once, lives by itself, ends with its parent."""

from __future__ import annotations

import asyncio
import io
from datetime import timedelta
from typing import Any

import pytest

from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Y_TTL, Axyb
from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import BindingState, Direction, Side
from agi_router.calls.decision import AllocationNeeded, Refusal, Route
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection
from agi_router.feeds.model import FeedKind, NumberForm, Trust
from agi_router.feeds.recycler import Recycler
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.tenants.model import UnknownNumbers
from harness.database import (
    HOUR,
    Clock,
    a_call,
    admit_as_router,
    an_end,
    bind,
    call_states,
    expire,
    new_call_id,
    on_each_version,
    one,
)
from harness.values import BLOCK, A, B, C, X

pytestmark = on_each_version

TIMEOUT = 10.0


def make(store: BindingStore, **terms: Any) -> Binding:
    """Bind A and B for an hour; a Y lives three minutes."""
    agreed = Terms(expires_at=store.now() + HOUR, **terms)
    return store.bind(Axyb(a=A, b=B, y_ttl=Y_TTL), agreed, x=X)


async def place(
    admissions: AdmissionStore, caller: PhoneNumber = A, dialled: XNumber = X
) -> tuple[PhoneNumber, XNumber] | Reason:
    """Place a call as the router does: whom it rings and what is shown, or why nobody."""
    call = a_call(caller, dialled)
    admission, decision = await admit_as_router(admissions, call, new_call_id())
    assert admission.admitted is isinstance(decision, Route)
    if isinstance(decision, Route):
        return decision.callees[0], decision.shown
    assert isinstance(decision, Refusal)
    return decision.reason


async def made_by_a_call(admissions: AdmissionStore) -> XNumber:
    """Let A call B; return the number that B was shown."""
    answer = await place(admissions)
    assert isinstance(answer, tuple)
    assert answer[0] == B
    return answer[1]


def children(store: BindingStore) -> list[Binding]:
    """All children, newest first."""
    found = store.bindings(everything=True, order_id=None, limit=99)
    return [each for each in found if each.parent is not None]


async def test_the_first_call_makes_y(store: BindingStore, admissions: AdmissionStore) -> None:
    """B calls it back; the next calls of A show the same; all uses are the parent's."""
    made = make(store, order_id="A-1")
    assert {(p.side, p.number, p.dials) for p in made.parties} == {
        (Side.A, A, X),
        (Side.B, B, None),
    }
    y = await made_by_a_call(admissions)
    assert y != X
    assert y.block == BLOCK
    assert await place(admissions) == (B, y)
    assert await place(admissions, B, y) == (A, X)
    [child] = children(store)
    parties = {(Side.A, A, X), (Side.B, B, y)}
    for each in (store.find(made.id), child):
        assert {(p.side, p.number, p.dials) for p in each.parties} == parties
    assert (child.parent, child.mode, child.order_id) == (made.id, "axyb", "A-1")
    assert child.expires_at - child.begins_at <= timedelta(minutes=3)
    assert (store.find(made.id).calls_used, child.calls_used) == (3, 0)


async def test_nobody_else_is_on_y(store: BindingStore, admissions: AdmissionStore) -> None:
    """Neither A nor a stranger, and B not on X."""
    make(store)
    y = await made_by_a_call(admissions)
    for caller, dialled in ((A, y), (C, y), (C, X), (B, X)):
        assert await place(admissions, caller, dialled) is Reason.STRANGER


@pytest.mark.parametrize("end", ["expired", "unbound"])
async def test_the_next_call_makes_another(
    end: str, store: BindingStore, admissions: AdmissionStore, connection: Connection
) -> None:
    """Once Y is over; on the old one B hears so, and nobody rings."""
    made = make(store)
    y = await made_by_a_call(admissions)
    [child] = children(store)
    if end == "expired":
        expire(connection, child.id)
    else:
        store.unbind(child.id)
    assert await place(admissions, B, y) is Reason.EXPIRED
    another = await made_by_a_call(admissions)
    assert another not in {X, y}
    assert await place(admissions, B, y) is not None
    assert await place(admissions, B, another) == (A, X)
    assert len(children(store)) == 2
    assert store.find(made.id).state is BindingState.ACTIVE


async def test_a_y_does_not_outlive_its_parent(
    clock: Clock, store: BindingStore, admissions: AdmissionStore
) -> None:
    """Its own end is never later."""
    made = make(store)
    clock.set(made.expires_at - timedelta(minutes=1))
    await made_by_a_call(admissions)
    [child] = children(store)
    assert child.expires_at == made.expires_at


@pytest.mark.parametrize("end", ["unbound", "order_ended"])
async def test_children_end_with_their_parent(
    end: str, store: BindingStore, admissions: AdmissionStore
) -> None:
    """B's next call is refused, and so is A's."""
    made = make(store, order_id="A-1")
    y = await made_by_a_call(admissions)
    if end == "unbound":
        store.unbind(made.id)
    else:
        store.end_order("A-1")
    assert [each.state for each in children(store)] == [BindingState(end)]
    for caller, dialled in ((A, X), (B, y)):
        assert await place(admissions, caller, dialled) is Reason(end)


async def test_children_wait_with_their_parent(
    store: BindingStore, admissions: AdmissionStore
) -> None:
    """As long as nobody knows whose number A has; then both go on."""
    make(store)
    y = await made_by_a_call(admissions)
    store.inventory.tenants.set_unknown_numbers("default", UnknownNumbers.HOLD)
    recycler = Recycler(store.connection, store.keys)
    feed = recycler.store.add(
        "unicom",
        kind=FeedKind.STDIN,
        path=None,
        numbers=NumberForm.PLAIN,
        trust=Trust.FULL,
    )
    for status, heard in (("unknown", Reason.RECYCLE_UNKNOWN), ("kept", None)):
        text = f"number,status\n{A.digits},{status}\n"
        recycler.run(feed, io.BytesIO(text.encode()), name="file")
        for caller, dialled, rings in ((A, X, (B, y)), (B, y, (A, X))):
            assert await place(admissions, caller, dialled) == (heard or rings)


async def test_first_calls_at_once_make_one(
    store: BindingStore, admissions: AdmissionStore, connection: Connection
) -> None:
    """All of them show the same Y."""
    make(store)
    answers = await asyncio.gather(*(place(admissions) for _ in range(12)))
    assert len(set(answers)) == 1
    assert len(children(store)) == 1
    assert len(call_states(connection)) == 12


async def test_no_y_is_made_for_a_refused_call(
    store: BindingStore, admissions: AdmissionStore
) -> None:
    """Neither where the direction is closed, nor for a stranger."""
    make(store, direction=Direction.B)
    assert await place(admissions) is Reason.WRONG_DIRECTION
    assert await place(admissions, C) is Reason.STRANGER
    assert children(store) == []


async def test_no_number_can_be_had(
    store: BindingStore, admissions: AdmissionStore, connection: Connection
) -> None:
    """The call is not admitted, and says what is missing; nothing is counted."""
    made = make(store)
    # B is on every other number.
    connection.execute("ALTER TABLE agi_router.route DISABLE TRIGGER route_new")
    other = bind(store, C, B, x=BLOCK.number(0))
    connection.execute(
        "CREATE FUNCTION pg_temp.taken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE unique_violation USING CONSTRAINT = 'route_pkey'; END $$"
    )
    connection.execute(
        "CREATE TRIGGER taken BEFORE INSERT ON agi_router.route FOR EACH ROW"
        " EXECUTE FUNCTION pg_temp.taken()"
    )
    admission, decision = await admit_as_router(admissions, a_call(), new_call_id())
    assert not admission.admitted
    assert isinstance(decision, AllocationNeeded)
    assert (store.find(made.id).calls_used, children(store)) == (0, [])
    assert other.state is BindingState.ACTIVE


async def test_a_retry_takes_nothing_more(store: BindingStore, admissions: AdmissionStore) -> None:
    """The same call asked twice: one use, one Y, one answer."""
    made = make(store, max_calls=1)
    call_id = new_call_id()
    first, _ = await admit_as_router(admissions, a_call(), call_id)
    again, _ = await admit_as_router(admissions, a_call(), call_id)
    assert first.facts.hit is not None
    assert again.facts.hit is not None
    assert first.facts.hit.shown == again.facts.hit.shown
    assert again.admitted
    assert store.find(made.id).calls_used == 1
    await admissions.settle([an_end(call_id)])
    assert store.find(made.id).calls_used == 0


async def test_the_order_counts_children_no_further(
    store: BindingStore, admissions: AdmissionStore, connection: Connection
) -> None:
    """Uses are limited by the parent, for calls in both ways."""
    make(store, max_calls=2)
    y = await made_by_a_call(admissions)
    assert await place(admissions, B, y) == (A, X)
    assert await place(admissions, B, y) is Reason.USED_UP
    assert await place(admissions) is Reason.USED_UP
    assert one(connection, "SELECT count(*) FROM agi_router.binding") == 2

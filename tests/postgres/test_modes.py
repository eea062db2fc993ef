"""Modes on a real database: who reaches whom, what is shown, and what is kept, in every mode."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Axb, Axyb, Gxb, Gxyb, Parties
from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import BindingState, Callback, Direction, Side
from agi_router.calls.decision import Refusal, Route, decide
from agi_router.calls.end import Outcome
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection
from agi_router.errors import BindingConflict, ModeError, NoNumberAvailable
from agi_router.keys.ring import KeyRing
from agi_router.numbers import Block, PhoneNumber, XNumber
from harness.database import (
    HOUR,
    a_call,
    an_end,
    bind,
    call_states,
    calls_used,
    expire,
    new_call_id,
    new_party,
    on_each_version,
    one,
)
from harness.values import BLOCK, A, B, C, D, X, Y

pytestmark = on_each_version

TIMEOUT = 10.0
ELSEWHERE = Block.parse("70012345679")
GROUP = (A, C, D)
STRANGER = PhoneNumber.parse("13912340099")

Answer = tuple[tuple[PhoneNumber, ...], XNumber] | Reason


def make(
    store: BindingStore,
    parties: Parties,
    x: XNumber | None = X,
    y: XNumber | None = Y,
    **terms: Any,
) -> Binding:
    """Bind parties of any mode for an hour; a mode with one number gets X."""
    agreed = Terms(expires_at=store.now() + HOUR, **terms)
    return store.bind(parties, agreed, x=x, y=y if parties.numbers == 2 else None)


def group(
    callback: Callback = Callback.DEFAULT,
    default: PhoneNumber | None = None,
    *,
    mode: type[Gxb] = Gxb,
    members: tuple[PhoneNumber, ...] = GROUP,
) -> Gxb:
    return mode(members=members, b=B, callback=callback, default=default)


async def call(admissions: AdmissionStore, caller: PhoneNumber, dialled: XNumber) -> Answer:
    """Place a call as the router does; the database admits it if and only if the rule routes."""
    admission = await admissions.admit(a_call(caller, dialled), new_call_id(), timeout=TIMEOUT)
    decision = decide(a_call(caller, dialled), admission.facts, now=admission.now)
    assert admission.admitted is isinstance(decision, Route)
    if isinstance(decision, Route):
        return decision.callees, decision.shown
    assert isinstance(decision, Refusal)
    return decision.reason


# Of a mode: parties, and for each who calls and what it dials, whom it reaches and what is shown.
Named = Axb | Gxb

TABLES: dict[str, tuple[Named, list[tuple[PhoneNumber, XNumber, Answer]]]] = {
    "axb": (
        Axb(a=A, b=B),
        [
            (A, X, ((B,), X)),
            (B, X, ((A,), X)),
            (C, X, Reason.STRANGER),
            (A, Y, Reason.NO_BINDING),
        ],
    ),
    "axyb": (
        Axyb(a=A, b=B),
        [
            (A, X, ((B,), Y)),
            (B, Y, ((A,), X)),
            # Each is a stranger on the other's number.
            (A, Y, Reason.STRANGER),
            (B, X, Reason.STRANGER),
            (C, X, Reason.STRANGER),
            (C, Y, Reason.STRANGER),
        ],
    ),
    "gxb default": (
        group(Callback.DEFAULT, C),
        [
            *((member, X, ((B,), X)) for member in GROUP),
            # Whoever has called.
            (B, X, ((C,), X)),
            (STRANGER, X, Reason.STRANGER),
        ],
    ),
    "gxb no default": (
        group(Callback.DEFAULT),
        [(A, X, ((B,), X)), (B, X, Reason.NO_DEFAULT_PARTY)],
    ),
    "gxb last": (
        group(Callback.LAST, D),
        [
            (B, X, ((D,), X)),
            (A, X, ((B,), X)),
            (B, X, ((A,), X)),
            (B, X, ((A,), X)),
            (C, X, ((B,), X)),
            (A, X, ((B,), X)),
            (B, X, ((A,), X)),
            (C, X, ((B,), X)),
            (STRANGER, X, Reason.STRANGER),
            (B, X, ((C,), X)),
        ],
    ),
    "gxb last, nobody yet": (
        group(Callback.LAST),
        [
            (B, X, Reason.NO_DEFAULT_PARTY),
            (STRANGER, X, Reason.STRANGER),
            (B, X, Reason.NO_DEFAULT_PARTY),
            (C, X, ((B,), X)),
            (B, X, ((C,), X)),
        ],
    ),
    "gxb all": (
        group(Callback.ALL),
        [*((member, X, ((B,), X)) for member in GROUP), (B, X, (GROUP, X))],
    ),
    "gxyb default": (
        group(Callback.DEFAULT, C, mode=Gxyb),
        [
            *((member, X, ((B,), Y)) for member in GROUP),
            (B, Y, ((C,), X)),
            (B, X, Reason.STRANGER),
            (A, Y, Reason.STRANGER),
            (STRANGER, X, Reason.STRANGER),
            (STRANGER, Y, Reason.STRANGER),
        ],
    ),
    "gxyb last": (
        group(Callback.LAST, mode=Gxyb),
        [
            (B, Y, Reason.NO_DEFAULT_PARTY),
            (D, X, ((B,), Y)),
            (B, Y, ((D,), X)),
            # A member who dials B's number has not called.
            (A, Y, Reason.STRANGER),
            (B, Y, ((D,), X)),
        ],
    ),
    "gxyb all": (
        group(Callback.ALL, mode=Gxyb),
        [(A, X, ((B,), Y)), (B, Y, (GROUP, X))],
    ),
}


@pytest.mark.parametrize("name", TABLES)
async def test_who_reaches_whom(
    name: str, store: BindingStore, admissions: AdmissionStore, connection: Connection
) -> None:
    """Every row of the mode, one call after the other; each that is routed takes one use."""
    parties, rows = TABLES[name]
    made = make(store, parties)
    for caller, dialled, expected in rows:
        assert await call(admissions, caller, dialled) == expected, (caller, dialled)
    routed = [expected for *_, expected in rows if not isinstance(expected, Reason)]
    assert store.find(made.id).calls_used == len(routed) == len(call_states(connection))


@pytest.mark.parametrize("name", ["axyb", "gxb default", "gxyb default"])
@pytest.mark.parametrize("direction", [Direction.A, Direction.B])
async def test_direction(
    name: str, direction: Direction, store: BindingStore, admissions: AdmissionStore
) -> None:
    """The closed side is refused by name and takes no use; the other one is not touched by it."""
    parties, rows = TABLES[name]
    made = make(store, parties, direction=direction, max_calls=1)
    open_side = [A] if direction is Direction.A else [B]
    closed: set[PhoneNumber] = {*parties.side_a, parties.b} - (
        {*parties.side_a} if direction is Direction.A else {parties.b}
    )
    for caller, dialled, expected in rows:
        if caller in closed and not isinstance(expected, Reason):
            assert await call(admissions, caller, dialled) is Reason.WRONG_DIRECTION
    assert store.find(made.id).calls_used == 0
    for caller, dialled, expected in rows:
        if caller in open_side and not isinstance(expected, Reason):
            assert await call(admissions, caller, dialled) == expected


async def test_a_closed_direction_hides_that_nobody_would_ring(
    store: BindingStore, admissions: AdmissionStore
) -> None:
    """Both wrong: the direction is told, as the rules have it."""
    make(store, group(), direction=Direction.A)
    assert await call(admissions, B, X) is Reason.WRONG_DIRECTION


async def test_no_default_takes_no_use(
    store: BindingStore, admissions: AdmissionStore, connection: Connection
) -> None:
    """A call back that can ring nobody leaves neither a use nor a row."""
    make(store, group(), max_calls=1)
    for _ in range(3):
        assert await call(admissions, B, X) is Reason.NO_DEFAULT_PARTY
    assert (calls_used(connection), call_states(connection)) == (0, {})
    assert await call(admissions, A, X) == ((B,), X)
    # The last use is taken now, and that is told first.
    assert await call(admissions, B, X) is Reason.USED_UP


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (b"UPDATE agi_router.binding SET max_calls = 1", Reason.USED_UP),
        (b"UPDATE agi_router.tenant SET active = false", Reason.TENANT_SUSPENDED),
        (b"UPDATE agi_router.block SET valid_until = now()", Reason.CERTIFICATE_INVALID),
        (b"UPDATE agi_router.binding SET direction = 'b'", Reason.WRONG_DIRECTION),
    ],
    ids=["used-up", "tenant", "certificate", "direction"],
)
async def test_a_refused_call_is_no_last_call(
    change: bytes,
    reason: Reason,
    store: BindingStore,
    admissions: AdmissionStore,
    connection: Connection,
) -> None:
    """Only a member whose call was let through is called back."""
    made = make(store, group(Callback.LAST))
    assert await call(admissions, A, X) == ((B,), X)
    connection.execute(change)
    assert await call(admissions, C, X) is reason
    assert store.find(made.id).called_back == (A,)


async def test_a_lost_reply_does_not_make_a_last_call_again(
    store: BindingStore, admissions: AdmissionStore
) -> None:
    """A call that is asked for twice was one call: who called after it stays the last."""
    made = make(store, group(Callback.LAST), max_calls=2)
    call_id = new_call_id()
    await admissions.admit(a_call(A), call_id, timeout=TIMEOUT)
    await call(admissions, C, X)
    again = await admissions.admit(a_call(A), call_id, timeout=TIMEOUT)
    assert again.admitted
    found = store.find(made.id)
    assert (found.called_back, found.calls_used) == ((C,), 2)


async def test_a_call_that_is_not_answered_is_a_last_call_too(
    store: BindingStore, admissions: AdmissionStore, connection: Connection
) -> None:
    """It is the call that B missed whose caller is wanted; the use is given back all the same."""
    made = make(store, group(Callback.LAST, A))
    call_id = new_call_id()
    await admissions.admit(a_call(D), call_id, timeout=TIMEOUT)
    await admissions.settle([an_end(call_id, Outcome.NO_ANSWER)])
    assert calls_used(connection) == 0
    assert await call(admissions, B, X) == ((D,), X)
    assert store.find(made.id).called_back == (D,)


async def test_groups_do_not_mix(store: BindingStore, admissions: AdmissionStore) -> None:
    """On one number, each B calls back the last of its own group."""
    mine, theirs = [new_party(), new_party()], [new_party(), new_party()]
    other = new_party()
    make(store, group(Callback.LAST, members=tuple(mine)))
    make(store, Gxb(members=tuple(theirs), b=other, callback=Callback.LAST))
    assert await call(admissions, mine[0], X) == ((B,), X)
    assert await call(admissions, theirs[1], X) == ((other,), X)
    assert await call(admissions, B, X) == ((mine[0],), X)
    assert await call(admissions, other, X) == ((theirs[1],), X)


ALL_MODES: list[Callable[[], Named]] = [
    lambda: Axb(a=A, b=B),
    lambda: Axyb(a=A, b=B),
    group,
    lambda: group(Callback.LAST, C),
    lambda: group(Callback.ALL),
    lambda: group(Callback.SEQUENCE),
    lambda: group(mode=Gxyb),
    lambda: group(Callback.LAST, C, mode=Gxyb),
    lambda: group(Callback.ALL, mode=Gxyb),
]


def expected_parties(
    parties: Named, x: XNumber, y: XNumber
) -> set[tuple[Side, PhoneNumber, XNumber | None]]:
    dialled_by_b = y if parties.numbers == 2 else x
    return {
        *((Side.A, member, x) for member in parties.side_a),
        (Side.B, parties.b, dialled_by_b),
    }


def shown_parties(binding: Binding) -> set[tuple[Side, PhoneNumber, XNumber | None]]:
    found = [(party.side, party.number, party.dials) for party in binding.parties]
    assert len(set(found)) == len(found)
    return set(found)


@pytest.mark.parametrize("parties", ALL_MODES)
@pytest.mark.parametrize("end", ["expired", "unbound"])
async def test_found_again(
    end: str,
    parties: Callable[[], Named],
    store: BindingStore,
    admissions: AdmissionStore,
    connection: Connection,
) -> None:
    """Parties and their numbers show while it lives, when it is over, and when it is replaced."""
    bound = parties()
    made = make(store, bound)
    expected = expected_parties(bound, X, Y)
    assert shown_parties(made) == expected
    assert made.called_back == bound.called_back
    assert (made.mode, made.callback) == (bound.mode, getattr(bound, "callback", None))
    await call(admissions, A, X)
    back = store.find(made.id).called_back
    assert back == ((A,) if made.callback is Callback.LAST else bound.called_back)
    if end == "expired":
        expire(connection, made.id)
    else:
        store.unbind(made.id)
    assert shown_parties(store.find(made.id)) == expected
    # Replaced member by member, then B.
    for party in (*bound.side_a, bound.b):
        x = X if party != bound.b or bound.numbers == 1 else Y
        bind(store, party, new_party(), x=x)
        found = store.find(made.id)
        assert shown_parties(found) == expected
        assert found.state is BindingState(end)
    # Who called last is forgotten with B's row.
    assert store.find(made.id).called_back == bound.called_back


@pytest.mark.parametrize("parties", ALL_MODES)
def test_numbers_are_chosen(parties: Callable[[], Named], store: BindingStore) -> None:
    """One or two of one open block, others each time; each may be given."""
    store.inventory.add_block(ELSEWHERE, operator=None, certificate=None)
    bound = parties()
    seen: set[XNumber | None] = set()
    for _ in range(6):
        numbers = {party.dials for party in make(store, bound, None, None).parties}
        assert len(numbers) == bound.numbers
        assert len({number.block for number in numbers if number}) == 1
        assert not numbers & seen
        seen |= numbers
    # Numbers that no choice above has drawn: these parties are on those already.
    free = (number for number in map(BLOCK.number, range(1, 10_000)) if number not in seen)
    x = next(free)
    given = make(store, bound, x, None)
    assert {party.dials for party in given.parties if party.side is Side.A} == {x}
    seen |= {party.dials for party in given.parties}
    if bound.numbers == 2:
        y = next(free)
        y_given = make(store, bound, None, y)
        assert {party.dials for party in y_given.parties if party.side is Side.B} == {y}


def test_one_party_needs_a_number_that_is_fresh_for_it_only(store: BindingStore) -> None:
    """B's number may serve others meanwhile, and even A's other bindings on another side."""
    make(store, Axyb(a=A, b=B), X, Y)
    make(store, Axyb(a=C, b=D), X, Y)
    # A dials Y here, which B dials above.
    make(store, Axyb(a=A, b=C), Y, BLOCK.number(3))
    with pytest.raises(BindingConflict):
        make(store, Axyb(a=A, b=D), X, BLOCK.number(4))
    with pytest.raises(BindingConflict):
        make(store, Axyb(a=D, b=B), BLOCK.number(5), Y)


@pytest.mark.parametrize(
    ("parties", "x", "y"),
    [
        (Axb(a=A, b=B), X, Y),
        (Axb(a=A, b=B), None, Y),
        (group(), X, Y),
        (Axyb(a=A, b=B), X, X),
        (Axyb(a=A, b=B), X, ELSEWHERE.number(1)),
        (group(mode=Gxyb), X, X),
    ],
)
def test_numbers_that_do_not_fit_the_mode(
    parties: Parties, x: XNumber | None, y: XNumber, store: BindingStore, connection: Connection
) -> None:
    """One number or two different ones of one block, by the mode; nothing is half written."""
    store.inventory.add_block(ELSEWHERE, operator=None, certificate=None)
    with pytest.raises(ModeError):
        store.bind(parties, Terms(expires_at=store.now() + HOUR), x=x, y=y)
    assert one(connection, "SELECT count(*) FROM agi_router.binding") == 0


@pytest.mark.parametrize("parties", [Axyb(a=A, b=B), group(), group(mode=Gxyb)])
def test_a_conflict_names_who_and_which(
    parties: Parties, store: BindingStore, connection: Connection
) -> None:
    """The member that is in the way, masked, its number, and the binding that has it."""
    holder = make(store, Axb(a=parties.side_a[-1], b=STRANGER))
    before = one(connection, "SELECT count(*) FROM agi_router.route")
    with pytest.raises(BindingConflict) as caught:
        make(store, parties)
    message = str(caught.value)
    assert message.startswith(
        f"{parties.side_a[-1].masked} is on {X} already, by binding {holder.id}"
    )
    assert not any(party.digits in message for party in (*parties.side_a, B, STRANGER))
    assert caught.value.constraint == "route_pkey"
    assert one(connection, "SELECT count(*) FROM agi_router.route") == before


def test_a_conflict_names_all(store: BindingStore) -> None:
    """Each member that is in the way, and B."""
    first = make(store, Axb(a=C, b=STRANGER))
    second = make(store, Axb(a=B, b=D))
    with pytest.raises(BindingConflict) as caught:
        make(store, group())
    for party, holder in ((C, first), (B, second), (D, second)):
        assert f"{party.masked} is on {X} already, by binding {holder.id}" in str(caught.value)
    assert A.masked not in str(caught.value)


def test_the_same_parties_in_any_order(store: BindingStore, connection: Connection) -> None:
    """Members that change places conflict with themselves until the group before has ended."""
    for members in permutations(GROUP):
        made = make(store, group(members=members))
        with pytest.raises(BindingConflict):
            make(store, group(members=tuple(reversed(members))))
        expire(connection, made.id)
    assert one(connection, "SELECT count(*) FROM agi_router.route") == len(GROUP) + 1


def test_a_full_block(connection: Connection, store: BindingStore, keys: KeyRing) -> None:
    """Where B is on every number but one, two numbers are found for A and it, or none."""
    holder = bind(store, B, STRANGER)
    with connection.cursor().copy(
        "COPY agi_router.route (block, x_number, caller_tag, binding_id, shown, side, callee,"
        " ends_at) FROM STDIN"
    ) as copy:
        for serial in range(10_000):
            x = BLOCK.number(serial)
            if x not in {X, BLOCK.number(5555)}:
                row = (BLOCK.value, x.value, keys.tag(B), holder.id.id, x.value, "a", b"-")
                copy.write_row((*row, holder.expires_at))
    made = make(store, Axyb(a=A, b=B), None, None)
    (b_number,) = (party.dials for party in made.parties if party.side is Side.B)
    assert b_number == BLOCK.number(5555)
    with pytest.raises(NoNumberAvailable):
        make(store, Axyb(a=C, b=B), None, None)

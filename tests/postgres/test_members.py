"""Members who come and go while their group's binding lives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from threading import Barrier

import pytest

from agi_router.bindings import modes
from agi_router.bindings.model import Binding, BindingId
from agi_router.bindings.modes import GROUP_MAX, Axb, Axyb, Gxb, Gxyb
from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Callback, Side
from agi_router.calls.decision import Refusal, Route, decide
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, connect
from agi_router.errors import (
    AgiRouterError,
    BindingConflict,
    BindingEnded,
    BindingNotFound,
    MemberNotFound,
    ModeError,
    SameParty,
)
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber, XNumber
from harness.database import (
    HOUR,
    NO_REST,
    a_call,
    bind,
    expire,
    look_up,
    new_call_id,
    new_party,
    on_each_version,
    one,
    until,
)
from harness.values import BLOCK, A, B, C, D, E, F, X, Y

pytestmark = on_each_version

TIMEOUT = 10.0
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"

Stores = Callable[[], BindingStore]


@pytest.fixture
def stores(dsn: str, keys: KeyRing) -> Iterator[Stores]:
    """Open stores with connections of their own."""
    with ExitStack() as stack:
        yield lambda: BindingStore(stack.enter_context(connect(dsn)), keys, NO_REST)


def make(
    store: BindingStore,
    members: Sequence[PhoneNumber] = (A, C),
    callback: Callback = Callback.DEFAULT,
    default: PhoneNumber | None = None,
    *,
    mode: type[Gxb] = Gxb,
    b: PhoneNumber = B,
) -> Binding:
    """Bind a group for an hour, on X, and on Y where the mode has a number for B."""
    return store.bind(
        mode(members=tuple(members), b=b, callback=callback, default=default),
        Terms(expires_at=store.now() + HOUR),
        x=X,
        y=Y if mode is Gxyb else None,
    )


def members_of(binding: Binding) -> set[PhoneNumber]:
    return {party.number for party in binding.parties if party.side is Side.A}


def outcome(
    store: BindingStore, caller: PhoneNumber, dialled: XNumber = X
) -> tuple[tuple[PhoneNumber, ...], XNumber] | Reason:
    """Return what would become of a call."""
    looked = look_up(store, a_call(caller, dialled), at=None)
    decision = decide(a_call(caller, dialled), looked.facts, now=looked.now)
    if isinstance(decision, Refusal):
        return decision.reason
    assert isinstance(decision, Route)
    return decision.callees, decision.shown


async def place(admissions: AdmissionStore, caller: PhoneNumber, dialled: XNumber = X) -> None:
    admission = await admissions.admit(a_call(caller, dialled), new_call_id(), timeout=TIMEOUT)
    assert admission.admitted


@pytest.mark.parametrize(("mode", "dialled_by_b"), [(Gxb, X), (Gxyb, Y)])
def test_added(mode: type[Gxb], dialled_by_b: XNumber, store: BindingStore) -> None:
    """New members reach B through the group's number and are shown as members."""
    made = make(store, mode=mode, default=A)
    assert outcome(store, D) is Reason.STRANGER
    changed = store.add_members(made.id, [D, E])
    assert members_of(changed) == {A, C, D, E}
    assert {p.dials for p in changed.parties if p.side is Side.A} == {X}
    for member in (A, C, D, E):
        assert outcome(store, member) == ((B,), dialled_by_b)
    assert outcome(store, B, dialled_by_b) == ((A,), X)
    assert store.find(made.id) == changed


@pytest.mark.parametrize(("mode", "dialled_by_b"), [(Gxb, X), (Gxyb, Y)])
def test_removed(mode: type[Gxb], dialled_by_b: XNumber, store: BindingStore) -> None:
    """Who has left is a stranger on the number and is shown no more, then or afterwards."""
    made = make(store, (A, C, D), mode=mode, default=A)
    changed = store.remove_member(made.id, C)
    assert members_of(changed) == {A, D}
    assert outcome(store, C) is Reason.STRANGER
    assert outcome(store, A) == ((B,), dialled_by_b)
    assert outcome(store, B, dialled_by_b) == ((A,), X)
    ended = store.unbind(made.id)
    assert members_of(ended) == {A, D}
    # On the number again, by another binding.
    bind(store, C, A)
    assert members_of(store.find(made.id)) == {A, D}


def test_who_was_removed_is_free_at_once(store: BindingStore) -> None:
    """The number may be used by another binding of that party while the group lives on."""
    made = make(store)
    with pytest.raises(BindingConflict):
        bind(store, C, D)
    store.remove_member(made.id, C)
    bind(store, C, D)
    assert outcome(store, C) == ((D,), X)
    with pytest.raises(BindingConflict) as caught:
        store.add_members(made.id, [C])
    assert f"{C.masked} is on {X} already, by binding" in str(caught.value)


def test_comes_and_goes(store: BindingStore, connection: Connection) -> None:
    """As often as wanted; and what is left over does not bar the place for anybody."""
    made = make(store)
    for _ in range(4):
        store.remove_member(made.id, C)
        assert outcome(store, C) is Reason.STRANGER
        store.add_members(made.id, [C])
        assert outcome(store, C) == ((B,), X)
    assert one(connection, "SELECT count(*) FROM agi_router.past_route WHERE left_group") == 4
    store.unbind(made.id)
    bind(store, C, A)
    assert members_of(store.find(made.id)) == {A, C}


@pytest.mark.parametrize(
    ("callback", "default"), [(Callback.DEFAULT, A), (Callback.LAST, A)], ids=str
)
def test_the_one_called_back_leaves(
    callback: Callback, default: PhoneNumber, store: BindingStore
) -> None:
    """Then nobody is called back, until a default is set."""
    made = make(store, callback=callback, default=default)
    assert store.remove_member(made.id, A).called_back == ()
    assert outcome(store, B) is Reason.NO_DEFAULT_PARTY
    assert store.set_default(made.id, C).called_back == (C,)
    assert outcome(store, B) == ((C,), X)


async def test_the_last_who_called_leaves(store: BindingStore, admissions: AdmissionStore) -> None:
    """Not the one before is called back, but the default, until another member has called."""
    made = make(store, (A, C, D), Callback.LAST, D)
    await place(admissions, A)
    await place(admissions, C)
    assert outcome(store, B) == ((C,), X)
    store.remove_member(made.id, C)
    assert outcome(store, B) == ((D,), X)
    await place(admissions, A)
    assert outcome(store, B) == ((A,), X)
    # The default leaving changes nothing as long as somebody has called.
    store.remove_member(made.id, D)
    assert outcome(store, B) == ((A,), X)


async def test_the_last_who_called_of_late(
    store: BindingStore, admissions: AdmissionStore, connection: Connection
) -> None:
    """After the window the default rings again; a call within it begins it anew."""
    agreed = Terms(expires_at=store.now() + HOUR)
    window = timedelta(minutes=5)
    parties = Gxb(members=(A, C), b=B, callback=Callback.LAST, default=C, window=window)
    made = store.bind(parties, agreed, x=X)
    await place(admissions, A)
    assert outcome(store, B) == ((A,), X)
    older = "UPDATE agi_router.route SET last_at = last_at - interval '3 minutes'"
    connection.execute(older)
    await place(admissions, A)
    connection.execute(older)
    assert (outcome(store, B), store.find(made.id).called_back) == (((A,), X), (A,))
    connection.execute(older)
    assert (outcome(store, B), store.find(made.id).called_back) == (((C,), X), (C,))


def test_ringing_in_turn(store: BindingStore) -> None:
    """In the order in which they came; who leaves is passed over."""
    made = make(store, (C, A), callback=Callback.SEQUENCE)
    assert outcome(store, B) == ((C, A), X)
    store.add_members(made.id, [E, D])
    assert outcome(store, B) == ((C, A, E, D), X)
    store.remove_member(made.id, A)
    assert outcome(store, B) == ((C, E, D), X)
    with pytest.raises(ModeError, match="has no default"):
        store.set_default(made.id, E)


async def test_a_new_member_may_be_the_last_who_called(
    store: BindingStore, admissions: AdmissionStore
) -> None:
    """Who was added is called back like those who were there from the start."""
    made = make(store, callback=Callback.LAST, mode=Gxyb)
    store.add_members(made.id, [D])
    await place(admissions, D)
    assert outcome(store, B, Y) == ((D,), X)


def test_all_ring(store: BindingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes rings too, who goes does not; as many as may and no more."""
    monkeypatch.setattr(modes, "GROUP_MAX", 3)
    made = make(store, callback=Callback.ALL)
    assert outcome(store, B) == ((A, C), X)
    store.add_members(made.id, [D])
    assert outcome(store, B) == ((A, C, D), X)
    with pytest.raises(ModeError, match="1 to 3 members"):
        store.add_members(made.id, [E])
    assert outcome(store, E) is Reason.STRANGER
    store.remove_member(made.id, A)
    assert outcome(store, B) == ((C, D), X)
    store.add_members(made.id, [E])
    assert outcome(store, B) == ((C, D, E), X)
    for member in (E, C):
        store.remove_member(made.id, member)
    assert outcome(store, B) == ((D,), X)


def test_somebody_stays(store: BindingStore) -> None:
    """The last member cannot be removed; the binding can be unbound instead."""
    made = make(store, (A,), default=A)
    with pytest.raises(ModeError, match="unbind it instead"):
        store.remove_member(made.id, A)
    assert outcome(store, B) == ((A,), X)


def test_no_more_than_a_group_may_have(store: BindingStore) -> None:
    """All of them, or none if that is one too many."""
    members = [new_party() for _ in range(GROUP_MAX - 2)]
    made = make(store)
    assert len(members_of(store.add_members(made.id, members))) == GROUP_MAX
    with pytest.raises(ModeError, match=str(GROUP_MAX)):
        store.add_members(made.id, [D])
    assert len(members_of(store.find(made.id))) == GROUP_MAX


@pytest.mark.parametrize("members", [[A], [B], [D, A], [D, D]], ids=str)
def test_nobody_twice(members: list[PhoneNumber], store: BindingStore) -> None:
    """A member, B, or one named twice is no new member, and nobody else comes in with it."""
    made = make(store)
    with pytest.raises(SameParty):
        store.add_members(made.id, members)
    assert members_of(store.find(made.id)) == {A, C}


def test_a_conflict_lets_nobody_in(store: BindingStore, connection: Connection) -> None:
    """All or none; it names who is in the way; and the expired are left alone."""
    made = make(store, (A,), Callback.ALL)
    over = bind(store, E, F)
    expire(connection, over.id)
    holder = bind(store, D, new_party())
    with pytest.raises(BindingConflict) as caught:
        store.add_members(made.id, [E, D])
    assert str(caught.value).startswith(f"{D.masked} is on {X} already, by binding {holder.id}")
    assert caught.value.constraint == "route_pkey"
    assert outcome(store, B) == ((A,), X)
    assert outcome(store, E) is Reason.EXPIRED
    state = one(connection, "SELECT state FROM agi_router.binding WHERE id = %s", over.id.id)
    assert state == "active"


def test_the_place_of_an_ended_binding_is_taken(
    store: BindingStore, connection: Connection
) -> None:
    """A new member who was on the number by a binding that is over gets the place."""
    made = make(store)
    over = bind(store, D, E)
    expire(connection, over.id)
    store.add_members(made.id, [D])
    assert outcome(store, D) == ((B,), X)
    assert {party.number for party in store.find(over.id).parties} == {D, E}


def test_default_is_set(store: BindingStore) -> None:
    """Any member, as often as wanted; who was none is one then, and B is none."""
    made = make(store)
    for member in (C, A, A):
        assert store.set_default(made.id, member).called_back == (member,)
        assert outcome(store, B) == ((member,), X)
    with pytest.raises(SameParty):
        store.set_default(made.id, B)
    assert outcome(store, B) == ((A,), X)
    changed = store.set_default(made.id, D)
    assert changed.called_back == (D,)
    assert {party.number for party in changed.parties if party.side is Side.A} == {A, C, D}
    assert (outcome(store, B), outcome(store, D)) == (((D,), X), ((B,), X))
    store.remove_member(made.id, D)
    assert outcome(store, B) != ((D,), X)


def test_a_default_who_cannot_be_on_the_number(store: BindingStore) -> None:
    """He would be shown a number that leads him to somebody else."""
    made = make(store)
    taken = bind(store, D, E, x=X)
    with pytest.raises(BindingConflict, match=str(taken.id)):
        store.set_default(made.id, D)
    assert store.find(made.id) == made
    with pytest.raises(BindingConflict):
        store.bind(
            Gxb(members=(new_party(),), b=new_party(), default=D),
            Terms(expires_at=store.now() + HOUR),
            x=X,
        )


async def test_default_until_somebody_calls(
    store: BindingStore, admissions: AdmissionStore
) -> None:
    """By the callback "last" a default holds until the next member's call."""
    made = make(store, callback=Callback.LAST)
    await place(admissions, A)
    store.set_default(made.id, C)
    assert outcome(store, B) == ((C,), X)
    await place(admissions, A)
    assert outcome(store, B) == ((A,), X)


def test_who_rings_all_has_no_default(store: BindingStore) -> None:
    """To set one would change nothing, so it is refused."""
    made = make(store, callback=Callback.ALL)
    with pytest.raises(ModeError, match="no default"):
        store.set_default(made.id, A)
    assert outcome(store, B) == ((A, C), X)


CHANGES: dict[str, Callable[[BindingStore, BindingId], Binding]] = {
    "add": lambda store, name: store.add_members(name, [D]),
    "remove": lambda store, name: store.remove_member(name, A),
    "default": lambda store, name: store.set_default(name, A),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("end", ["expired", "unbound", "order_ended"])
def test_over(change: str, end: str, store: BindingStore, connection: Connection) -> None:
    """A binding that is over does not change any more."""
    made = make(store)
    if end == "expired":
        expire(connection, made.id)
    else:
        connection.execute("UPDATE agi_router.binding SET state = %s, ended_at = now()", (end,))
    before = store.find(made.id)
    with pytest.raises(BindingEnded, match=end):
        CHANGES[change](store, made.id)
    assert store.find(made.id) == before


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("parties", [Axb(a=A, b=B), Axyb(a=A, b=B)])
def test_no_group(change: str, parties: Axb, store: BindingStore) -> None:
    """A binding of two has no members."""
    made = store.bind(parties, Terms(expires_at=store.now() + HOUR))
    with pytest.raises(ModeError, match=f"has no group: its mode is {parties.mode}"):
        CHANGES[change](store, made.id)


@pytest.mark.parametrize("change", CHANGES)
def test_no_binding(change: str, store: BindingStore) -> None:
    """What is not there is said to be."""
    with pytest.raises(BindingNotFound):
        CHANGES[change](store, BindingId.parse(f"{BLOCK}-999"))


def test_no_member(store: BindingStore) -> None:
    """Who is none cannot leave: B, a stranger, or who has left; and is named masked."""
    made = make(store, (A, C, D))
    store.remove_member(made.id, D)
    for other in (B, D, E):
        with pytest.raises(MemberNotFound) as caught:
            store.remove_member(made.id, other)
        assert str(caught.value) == f"{other.masked} is no member of binding {made.id}"


def test_members_under_an_older_key(
    store: BindingStore, connection: Connection, keys: KeyRing
) -> None:
    """With a new key in front, members of before and after are found and called back alike."""
    made = make(store, (A, C, D), Callback.ALL)
    fresh = KeyRing.generate()
    both = KeyRing(
        tag_keys=(*keys.tag_keys, (2, fresh.tag_keys[0][1])),
        seal_keys=(*keys.seal_keys, (2, fresh.seal_keys[0][1])),
    )
    later = BindingStore(connection, both, NO_REST)
    later.remove_member(made.id, C)
    later.add_members(made.id, [E])
    assert members_of(later.find(made.id)) == {A, D, E}
    assert outcome(later, B) == ((A, D, E), X)
    for member in (A, D, E):
        assert outcome(later, member) == ((B,), X)


def race(works: list[Callable[[], object]]) -> list[object]:
    """Do all at the same moment; return what came of each."""
    barrier = Barrier(len(works))

    def run(work: Callable[[], object]) -> object:
        barrier.wait()
        try:
            return work()
        except AgiRouterError as error:
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def test_several_come_at_once(
    store: BindingStore, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those who come at once so many get in as may ring, and each of them rings."""
    monkeypatch.setattr(modes, "GROUP_MAX", 3)
    opened = [stores() for _ in range(4)]
    for round_ in range(5):
        made = store.bind(
            Gxb(members=(A,), b=B, callback=Callback.ALL),
            Terms(expires_at=store.now() + HOUR),
            x=BLOCK.number(100 + round_),
        )
        results = race(
            [
                lambda s=each, m=member, made=made: s.add_members(made.id, [m])  # type: ignore[misc]
                for each, member in zip(opened, (C, D, E, F), strict=True)
            ]
        )
        assert sum(isinstance(result, Binding) for result in results) == 2
        assert sum(isinstance(result, ModeError) for result in results) == 2
        found = store.find(made.id)
        assert set(found.called_back) == members_of(found)
        assert len(found.called_back) == 3


def test_all_leave_at_once(store: BindingStore, stores: Stores) -> None:
    """One of them stays, and is the only one called back."""
    opened = [stores() for _ in range(3)]
    for round_ in range(5):
        made = store.bind(
            Gxb(members=(A, C, D), b=B, callback=Callback.ALL),
            Terms(expires_at=store.now() + HOUR),
            x=BLOCK.number(100 + round_),
        )
        results = race(
            [
                lambda s=each, m=member, made=made: s.remove_member(made.id, m)  # type: ignore[misc]
                for each, member in zip(opened, (A, C, D), strict=True)
            ]
        )
        assert sum(isinstance(result, ModeError) for result in results) == 1
        found = store.find(made.id)
        assert len(members_of(found)) == 1
        assert set(found.called_back) == members_of(found)


def test_one_place_for_two_groups(store: BindingStore, stores: Stores) -> None:
    """Of two groups that want one member on one number at once, one has it."""
    opened = [stores(), stores()]
    for round_ in range(5):
        x = BLOCK.number(100 + round_)
        made = [
            store.bind(
                Gxb(members=(new_party(),), b=new_party()),
                Terms(expires_at=store.now() + HOUR),
                x=x,
            )
            for _ in opened
        ]
        if round_ % 2:
            expire(opened[0]._queries._connection, bind(store, D, E, x=x).id)
        results = race(
            [
                lambda s=each, m=m: s.add_members(m.id, [D])  # type: ignore[misc]
                for each, m in zip(opened, made, strict=True)
            ]
        )
        assert sorted(type(result).__name__ for result in results) == [
            "Binding",
            "BindingConflict",
        ]


def test_unbound_while_a_member_comes(
    store: BindingStore, stores: Stores, keys: KeyRing, cell: Connection
) -> None:
    """The change waits for the other and then sees that it is too late."""
    made = make(store)
    changing = stores()
    with ThreadPoolExecutor(1) as pool:
        with cell.transaction():
            BindingStore(cell, keys).unbind(made.id)
            late = pool.submit(changing.add_members, made.id, [D])
            until(lambda: one(cell, WAITING))
        with pytest.raises(BindingEnded, match="unbound"):
            late.result(timeout=10)
    assert members_of(store.find(made.id)) == {A, C}


async def test_a_call_waits_for_the_change(
    store: BindingStore, stores: Stores, admissions: AdmissionStore, cell: Connection
) -> None:
    """A member who is just leaving never becomes the one whom B calls back."""
    made = make(store, (A, C), Callback.LAST, A)
    changing = stores()
    changing._queries._connection.execute("BEGIN")
    changing.remove_member(made.id, C)
    with ThreadPoolExecutor(1) as pool:

        def commit_once_it_waits() -> None:
            until(lambda: one(cell, WAITING))
            changing._queries._connection.execute("COMMIT")

        done = pool.submit(commit_once_it_waits)
        await admissions.admit(a_call(C), new_call_id(), timeout=TIMEOUT)
        done.result(timeout=10)
    assert store.find(made.id).called_back == (A,)

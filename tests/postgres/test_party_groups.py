"""Party groups: members that many bindings share, and what a change of them does to all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
from postgres.test_import import Importing

from agi_router.bindings import group_members, modes
from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Gxb, Gxyb
from agi_router.bindings.once import bind_once
from agi_router.bindings.party_groups import PartyGroup
from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import BindingState, Callback, Side
from agi_router.bulk.exporter import export_rows
from agi_router.calls.decision import Refusal, Route, decide
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, connect
from agi_router.errors import (
    AgiRouterError,
    BindingConflict,
    BindingEnded,
    GroupChanged,
    GroupExists,
    GroupInUse,
    GroupNotFound,
    MemberNotFound,
    ModeError,
    NumberResting,
    PartyLocked,
    SameParty,
    StoreError,
)
from agi_router.inventory.capacity import Quarantine
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.numbers import Block, PhoneNumber, XNumber
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import LockedThing
from harness.cli import run
from harness.database import (
    HOUR,
    NO_REST,
    a_call,
    bind,
    dials,
    expire,
    look_up,
    new_call_id,
    new_party,
    on_each_version,
    one,
)
from harness.values import A, B, C, D, E, F, X

OTHER = Block.parse("70022345678")
TEAM = "night-shift"
MANY = 20

Stores = Callable[[], BindingStore]


@pytest.fixture
def stores(dsn: str, keys: KeyRing) -> Iterator[Stores]:
    """Open stores with connections of their own."""
    with ExitStack() as stack:
        yield lambda: BindingStore(stack.enter_context(connect(dsn)), keys, NO_REST)


@pytest.fixture
def group(store: BindingStore) -> PartyGroup:
    """A group of the tenant ``default``."""
    store.inventory.add_block(OTHER, operator=None, certificate=None)
    return store.add_group("default", TEAM, [A, C])


def by_group(
    store: BindingStore,
    b: PhoneNumber = B,
    *,
    x: XNumber | None = None,
    callback: Callback = Callback.DEFAULT,
    default: PhoneNumber | None = None,
    mode: type[Gxb] = Gxb,
    group: str = TEAM,
) -> Binding:
    """Bind for an hour."""
    parties = mode(group=group, b=b, callback=callback, default=default)
    return store.bind(parties, Terms(expires_at=store.now() + HOUR), x=x)


def members_of(binding: Binding) -> set[PhoneNumber]:
    return {party.number for party in binding.parties if party.side is Side.A}


def number_of(binding: Binding, side: Side = Side.A) -> XNumber:
    return next(dials(party) for party in binding.parties if party.side is side)


def outcome(
    store: BindingStore, caller: PhoneNumber, dialled: XNumber
) -> tuple[PhoneNumber, ...] | Reason:
    """Whom a call would ring, or why nobody."""
    looked = look_up(store, a_call(caller, dialled), at=None)
    decision = decide(a_call(caller, dialled), looked.facts, now=looked.now)
    if isinstance(decision, Refusal):
        return decision.reason
    assert isinstance(decision, Route)
    return decision.callees


def at_once(work: Sequence[Callable[[], object]]) -> list[object]:
    """Do all of it at the same moment; what each returned, or the error it raised."""
    barrier = Barrier(len(work))

    def wait(each: Callable[[], object]) -> object:
        barrier.wait()
        try:
            return each()
        except AgiRouterError as error:
            return error

    with ThreadPoolExecutor(len(work)) as pool:
        return list(pool.map(wait, work))


def test_added(store: BindingStore, group: PartyGroup) -> None:
    """It has its members in their order, and a name that is its tenant's alone."""
    assert (group.members, group.bindings) == ((A, C), 0)
    assert store.find_group_by_id("default", group.id) == group
    with pytest.raises(GroupExists):
        store.add_group("default", TEAM)
    store.inventory.tenants.add("drivers")
    other = store.add_group("drivers", TEAM, label="of drivers")
    assert (other.members, other.label) == ((), "of drivers")
    assert store.groups(limit=None) == [other, group]
    assert store.groups(limit=None, after=other.cursor) == [group]
    assert store.groups(tenant="drivers", limit=None) == [other]
    for wrong in ([A, A], [new_party() for _ in range(modes.GROUP_MAX + 1)]):
        with pytest.raises((SameParty, ModeError)):
            store.add_group("default", "day-shift", wrong)
    changed = store.label_group("default", TEAM, "by night", version=group.version)
    assert changed.label == "by night"
    with pytest.raises(GroupChanged):
        store.label_group("default", TEAM, None, version=group.version)
    with pytest.raises(GroupNotFound):
        store.find_group_by_id("drivers", group.id)


@on_each_version
@pytest.mark.parametrize("mode", [Gxb, Gxyb])
def test_members_of_all_bindings(
    store: BindingStore, connection: Connection, mode: type[Gxb]
) -> None:
    """Who comes reaches every B, who goes reaches none; whoever stays is not touched."""
    store.inventory.add_block(OTHER, operator=None, certificate=None)
    store.add_group("default", TEAM, [A, C])
    given = store.bind(
        mode(group=TEAM, b=F, callback=Callback.SEQUENCE),
        Terms(expires_at=store.now() + HOUR),
        x=OTHER.number(7),
        y=OTHER.number(8) if mode is Gxyb else None,
    )
    made = [*(by_group(store, b, mode=mode, default=C) for b in (B, D)), given]
    assert [each.group for each in made] == [TEAM] * 3
    assert all(members_of(each) == {A, C} for each in made)
    changed = store.change_members("default", TEAM, joining=[E], leaving=[C])
    assert (changed.members, changed.bindings) == ((A, E), 3)
    for before, b in zip(made, (B, D, F), strict=True):
        now = store.find(before.id)
        assert (members_of(now), now.version) == ({A, E}, before.version + 1)
        x, y = number_of(now), number_of(now, Side.B)
        assert outcome(store, A, x) == outcome(store, E, x) == (b,)
        assert outcome(store, C, x) is Reason.STRANGER
        back = (A, E) if b == F else Reason.NO_DEFAULT_PARTY
        assert outcome(store, b, y) == back
    # In another order: only where all ring one after the other it matters.
    turned = store.set_members("default", TEAM, [E, A])
    assert turned.version != changed.version
    assert outcome(store, F, number_of(store.find(made[2].id), Side.B)) == (E, A)
    assert store.set_members("default", TEAM, [E, A]).version == turned.version
    # Every way by which the bindings could be read still fits.
    assert {each.damage for each in store.bindings(everything=True, order_id=None, limit=9)} == {
        None
    }
    seals = b"SELECT count(*) FROM agi_router.group_member"
    assert one(connection, seals.decode()) == 2


async def test_who_called_last(
    store: BindingStore, admissions: AdmissionStore, group: PartyGroup
) -> None:
    """Who has gone is not called back; who has come is."""
    assert group.members == (A, C)
    made = by_group(store, x=X, callback=Callback.LAST)

    async def call(caller: PhoneNumber) -> None:
        assert (await admissions.admit(a_call(caller, X), new_call_id(), timeout=10)).admitted

    await call(C)
    assert outcome(store, B, X) == (C,)
    store.change_members("default", TEAM, joining=[D], leaving=[C])
    assert outcome(store, B, X) is Reason.NO_DEFAULT_PARTY
    await call(D)
    assert outcome(store, B, X) == (D,)
    store.change_members("default", TEAM, leaving=[A])
    assert outcome(store, B, X) == (D,)
    assert store.set_default(made.id, D).called_back == (D,)


@on_each_version
def test_all_or_nothing(store: BindingStore, group: PartyGroup) -> None:
    """One binding that a member cannot be in keeps the change from all, and is named."""
    second = by_group(store, D, x=OTHER.number(1))
    first = by_group(store, x=X)
    taken = bind(store, E, F, x=OTHER.number(1))
    with pytest.raises(BindingConflict) as told:
        store.change_members("default", TEAM, joining=[E], leaving=[A])
    assert f"{E.masked} is on {OTHER.number(1)} already, by binding {taken.id}" in str(told.value)
    with pytest.raises(SameParty, match=str(second.id)):
        store.set_members("default", TEAM, [A, D])
    too_many = [new_party() for _ in range(modes.GROUP_MAX - 1)]
    for joining, leaving in (([C], []), ([F, F], []), ([], [F]), ([], [A, C]), (too_many, [])):
        with pytest.raises((SameParty, MemberNotFound, ModeError)):
            store.change_members("default", TEAM, joining=joining, leaving=leaving)
    with pytest.raises(GroupChanged):
        store.set_members("default", TEAM, [A], version=group.version + 1)
    assert store.find_group("default", TEAM) == PartyGroup(
        **{name: getattr(group, name) for name in PartyGroup.__slots__} | {"bindings": 2}
    )
    assert [store.find(each.id) for each in (first, second)] == [first, second]


def test_quarantine(connection: Connection, keys: KeyRing, store: BindingStore) -> None:
    """Who was on a binding's number by another one of late cannot come; who left the group can."""
    rested = BindingStore(connection, keys, Quarantine(number=timedelta(), party=HOUR))
    store.add_group("default", TEAM, [A, C])
    made = by_group(store, x=X)
    ended = store.unbind(bind(store, E, F).id)
    assert ended.state is BindingState.UNBOUND
    with pytest.raises(NumberResting) as told:
        rested.change_members("default", TEAM, joining=[D, E])
    assert f"{E.masked} was on {X} by another binding" in str(told.value)
    assert members_of(store.find(made.id)) == {A, C}
    rested.change_members("default", TEAM, joining=[D], leaving=[C])
    rested.change_members("default", TEAM, joining=[C], leaving=[D])
    assert members_of(store.find(made.id)) == {A, C}


def test_bindings_that_are_over(
    store: BindingStore, connection: Connection, group: PartyGroup
) -> None:
    """They keep the members that they had, whether anybody has noticed their end or not."""
    unbound, expired, alive = (by_group(store, b) for b in (B, D, F))
    store.unbind(unbound.id)
    expire(connection, expired.id)
    changed = store.change_members("default", TEAM, joining=[E], leaving=[A])
    assert (group.members, changed.members, changed.bindings) == ((A, C), (C, E), 1)
    assert members_of(store.find(alive.id)) == {C, E}
    for each in (unbound, expired):
        assert members_of(store.find(each.id)) == {A, C}
    with pytest.raises(GroupInUse):
        store.remove_group("default", TEAM)
    store.unbind(alive.id)
    assert store.remove_group("default", TEAM).members == (C, E)
    with pytest.raises(GroupNotFound):
        by_group(store)
    assert store.find(unbound.id).group == TEAM


def test_what_a_bind_asks_of_it(
    store: BindingStore, group: PartyGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has members, B is none of them; so many bindings live by it."""
    store.add_group("default", "nobody")
    with pytest.raises(ModeError, match="has no members yet"):
        by_group(store, group="nobody")
    with pytest.raises(SameParty):
        by_group(store, A)
    monkeypatch.setattr(group_members, "BINDINGS_MAX", 2)
    made = [by_group(store, b) for b in (B, D)]
    with pytest.raises(GroupInUse, match="as many as may"):
        by_group(store, E)
    store.unbind(made[0].id)
    assert by_group(store, E).group == group.name


def test_its_members_are_not_one_bindings(store: BindingStore, group: PartyGroup) -> None:
    """They come and go in the group alone; the rest of such a binding changes as any does."""
    made = by_group(store, default=A)
    with pytest.raises(ModeError, match=f"those of party group {TEAM}"):
        store.add_members(made.id, [E])
    with pytest.raises(ModeError, match=f"those of party group {TEAM}"):
        store.remove_member(made.id, C)
    with pytest.raises(ModeError):
        store.replace(made.id, Side.A, E)
    assert store.set_default(made.id, C).called_back == (C,)
    assert store.replace(made.id, Side.B, D).group == TEAM
    with pytest.raises(SameParty):
        store.replace(made.id, Side.B, A)
    assert group.version == store.find_group("default", TEAM).version


@on_each_version
def test_another_group(store: BindingStore, group: PartyGroup) -> None:
    """A binding gets another group, on its number; then changes of the one before are not its."""
    made = by_group(store, x=X, default=C)
    own = store.bind(Gxb(members=(A, D), b=E), Terms(expires_at=store.now() + HOUR))
    store.add_group("default", "day-shift", [C, D])
    moved = store.set_group(made.id, "day-shift")
    assert (moved.group, members_of(moved), moved.called_back) == ("day-shift", {C, D}, (C,))
    assert outcome(store, A, X) is Reason.STRANGER
    assert outcome(store, D, X) == (B,)
    store.change_members("default", TEAM, joining=[F], leaving=[C])
    assert store.find(made.id) == moved
    store.change_members("default", "day-shift", joining=[A], leaving=[C])
    assert members_of(store.find(made.id)) == {A, D}
    assert members_of(store.set_group(own.id, TEAM)) == {A, F}
    assert store.find_group("default", TEAM).bindings == 1
    with pytest.raises(GroupNotFound):
        store.set_group(made.id, "nobody")
    with pytest.raises(SameParty):
        store.set_group(
            by_group(store, A, group=store.add_group("default", "g3", [E]).name).id, TEAM
        )
    pair = bind(store, D, E, x=None)
    with pytest.raises(ModeError):
        store.set_group(pair.id, TEAM)
    store.unbind(made.id)
    with pytest.raises(BindingEnded):
        store.set_group(made.id, TEAM)
    assert group.members == (A, C)


def test_the_order_of_a_binding(store: BindingStore, group: PartyGroup) -> None:
    """It is known again though its group has other members by now."""
    terms = Terms(expires_at=store.now() + HOUR, order_id="A-1")
    parties = Gxb(group=TEAM, b=B)
    made = bind_once(store, parties, terms)
    store.set_members("default", TEAM, [D, *group.members])
    assert bind_once(store, parties, terms).id == made.id
    store.change(made.id, order_id="A-2")
    assert bind_once(store, parties, terms).id != made.id


def test_binds_beside_changes(store: BindingStore, stores: Stores, group: PartyGroup) -> None:
    """Whoever binds while members come: in the end every binding has who is in the group."""
    people = [new_party() for _ in range(MANY)]
    binders = [stores() for _ in range(MANY // 2)]
    changers = [stores() for _ in range(MANY // 2)]
    work: list[Callable[[], object]] = [
        lambda each=each, b=b: by_group(each, b)  # type: ignore[misc]
        for each, b in zip(binders, people, strict=False)
    ]
    work += [
        lambda each=each, who=who: each.change_members("default", TEAM, joining=[who])  # type: ignore[misc]
        for each, who in zip(changers, people[len(binders) :], strict=True)
    ]
    results = at_once(work)
    made = results[: len(binders)]
    assert all(isinstance(each, Binding) for each in made), made
    assert all(isinstance(each, PartyGroup) for each in results[len(binders) :]), results
    members = {*group.members, *people[len(binders) :]}
    assert {*store.find_group("default", TEAM).members} == members
    for each in made:
        assert isinstance(each, Binding)
        assert members_of(store.find(each.id)) == members


def test_changes_beside_each_other(store: BindingStore, stores: Stores, group: PartyGroup) -> None:
    """The same binding is changed in other ways too: each of them is done, or said not to be."""
    made = by_group(store, default=A)
    who = [new_party() for _ in range(4)]
    results = at_once(
        [
            lambda: stores().change_members("default", TEAM, joining=who[:1]),
            lambda: stores().change_members("default", TEAM, joining=who[1:2], leaving=[C]),
            lambda: stores().set_default(made.id, A),
            lambda: stores().replace(made.id, Side.B, D),
            lambda: stores().change(made.id, max_calls=9),
        ]
    )
    assert not [each for each in results if isinstance(each, Exception)], results
    now = store.find(made.id)
    members = {A, *who[:2]}
    assert {*store.find_group("default", TEAM).members} == members_of(now) == members
    assert (now.max_calls, now.called_back) == (9, (A,))
    assert outcome(store, D, number_of(now)) == (A,)
    assert group.name == now.group


def test_a_binding_that_was_tampered_with(
    store: BindingStore, connection: Connection, group: PartyGroup
) -> None:
    """Where a binding has not the group's members, nothing is written, and it is named."""
    made = by_group(store)
    connection.execute(
        b"DELETE FROM agi_router.route WHERE side = 'a' AND caller_tag = %s", [store.keys.tag(A)]
    )
    with pytest.raises(StoreError, match=str(made.id)):
        store.change_members("default", TEAM, joining=[D])
    assert store.find_group("default", TEAM).members == group.members
    connection.execute(b"UPDATE agi_router.group_member SET sealed = %s", [b"4" * 60])
    damaged = store.find_group("default", TEAM)
    assert (damaged.members, damaged.damage is None) == ((), False)
    assert TEAM in {each.name for each in store.groups(limit=None)}


def test_a_file(store: BindingStore, dsn: str, group: PartyGroup) -> None:
    """Its rows name groups; what is exported names them, and is the same when it is read again."""
    importing = Importing(dsn, store.keys)
    rows = [
        "mode,order,members,group,b",
        f"gxb,A-1,,{TEAM},{B.digits}",
        f"gxb,A-2,{A.digits},{TEAM},{B.digits}",
        f"gxb,A-3,,nobody,{B.digits}",
        f"gxb,A-4,,,{B.digits}",
        f"axb,A-5,,{TEAM},{B.digits}",
        "",
    ]
    tally = importing("\n".join(rows), keep_going=True)
    assert (tally.bound, tally.rejected) == (1, 4)
    told = dict(importing.faults)
    assert told[3] == "members: give members or group, not both"
    assert "has no party group nobody" in told[4]
    assert told[5] == "members: a binding by gxb needs it, or group"
    (made,) = store.bindings(everything=False, order_id="A-1", limit=9)
    assert (made.group, members_of(made)) == (TEAM, {*group.members})
    store.change_members("default", TEAM, joining=[D])
    again = importing("\n".join(rows[:2]))
    assert (again.bound, again.there) == (0, 1)
    ((*cells,),) = export_rows(store, everything=False, order_id=None)
    assert TEAM in cells
    assert A.masked not in cells


def test_the_command_line(store: BindingStore, dsn: str, tmp_path: Path) -> None:
    """A group is made, named by binds, changed with them, and removed; each is on record."""
    file = tmp_path / "key"
    write_key_ring(file, store.keys)
    env = {"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(file)}
    team = ("party-group",)
    made = run([*team, "add", TEAM, "--members", f"{A.digits},{C.digits}", "--json"], env).json
    assert (made["name"], made["members"]) == (TEAM, [A.masked, C.masked])
    assert run([*team, "add", TEAM], env).code == 73
    bound = run(["bind", "gxb", "--group", TEAM, "--b", B.digits, "--json"], env).json
    assert (bound["group"], bound["members"]) == (TEAM, [A.masked, C.masked])
    for wrong in ((), ("--members", D.digits, "--group", TEAM)):
        assert run(["bind", "gxb", *wrong, "--b", B.digits], env).code == 2
    changed = run(
        [*team, "members", TEAM, "--add", D.digits, "--remove", A.digits, "--json"], env
    ).json
    assert changed["members"] == run(["show", bound["id"], "--json"], env).json["members"]
    assert changed["members"] == [C.masked, D.masked]
    assert run([*team, "members", TEAM], env).code == 2
    stale = [*team, "members", TEAM, "--set", E.digits, "--version", str(made["version"])]
    assert run(stale, env).code == 73
    only = run([*team, "members", TEAM, "--set", E.digits, "--json"], env).json
    assert only["members"] == [E.masked]
    named = run([*team, "change", TEAM, "--label", "by night", "--json"], env).json
    assert named["version"] != only["version"]
    assert run([*team, "change", TEAM], env).code == 2
    assert run([*team, "change", TEAM, "--unset", "label", "--json"], env).json["label"] is None
    assert E.masked in run([*team, "show", TEAM], env).out
    assert TEAM in run([*team, "list"], env).out
    assert run([*team, "remove", TEAM], env).code == 73
    run([*team, "add", "day-shift", "--members", F.digits], env)
    moved = run(["change", bound["id"], "--group", "day-shift", "--json"], env).json
    assert (moved["group"], moved["members"]) == ("day-shift", [F.masked])
    assert run(["change", bound["id"], "--group", TEAM, "--b", A.digits], env).code == 2
    assert run([*team, "remove", TEAM], env).code == 0
    assert run([*team, "show", TEAM], env).code == 66
    assert [each["name"] for each in run([*team, "list", "--json"], env).json] == ["day-shift"]
    acts = [row["act"] for row in run(["audit", "list", "--json"], env).json]
    assert acts.count("party-group members") == 2
    assert acts.count("party-group remove") == 1


def test_who_is_locked_comes_into_no_binding(store: BindingStore, group: PartyGroup) -> None:
    """Neither with the group, nor later; the others stay, and the group as it was."""
    bound = by_group(store)
    for person in (D, C):
        thing = LockedThing(subject=Subject.PERSON, person=person)
        store.locks.set(thing, LockReason.MISUSE, by="a test")
    with pytest.raises(PartyLocked):
        store.change_members("default", TEAM, joining=[D])
    assert store.find_group("default", TEAM).version == group.version
    assert members_of(store.find(bound.id)) == {A, C}
    with pytest.raises(PartyLocked):
        by_group(store, E)


@pytest.mark.parametrize("mode", [Gxb, Gxyb])
def test_a_default_who_is_not_of_the_group(
    store: BindingStore, group: PartyGroup, mode: type[Gxb]
) -> None:
    """He is of that binding alone, reaches B, and leaves where another is said."""
    assert group.members == (A, C)
    made = by_group(store, default=D, mode=mode)
    other = by_group(store, new_party(), mode=mode)
    assert (members_of(made), made.called_back) == ({A, C, D}, (D,))
    assert members_of(other) == {A, C}
    a_number, b_number = number_of(made), number_of(made, Side.B)
    assert outcome(store, B, b_number) == (D,)
    assert outcome(store, D, a_number) == (B,)
    # The group changes in all of its bindings, whether somebody is beside it or not.
    store.change_members("default", TEAM, joining=[E], leaving=[A])
    assert members_of(store.find(made.id)) == {C, D, E}
    assert outcome(store, B, b_number) == (D,)
    # Another beside it takes his place; so does a member.
    assert members_of(store.set_default(made.id, F)) == {C, E, F}
    assert outcome(store, D, a_number) is Reason.STRANGER
    assert outcome(store, B, b_number) == (F,)
    # Who comes to the group is beside it no more, and stays.
    store.change_members("default", TEAM, joining=[F])
    assert members_of(store.find(made.id)) == {C, E, F} == members_of(store.find(other.id))
    assert members_of(store.set_default(made.id, D)) == {C, D, E, F}
    assert members_of(store.set_default(made.id, C)) == {C, E, F}
    assert outcome(store, B, b_number) == (C,)
    assert store.find_group("default", TEAM).members == (C, E, F)


def test_a_default_of_a_full_group(
    store: BindingStore, group: PartyGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No binding more lives by it."""
    assert group
    made = by_group(store)
    monkeypatch.setattr(group_members, "BINDINGS_MAX", 1)
    for default in (D, A):
        assert store.set_default(made.id, default).called_back == (default,)
    with pytest.raises(GroupInUse):
        by_group(store, new_party())

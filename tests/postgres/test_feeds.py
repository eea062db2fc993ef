"""Feeds of numbers with new owners: whose binding ends, whose does not, and what is left of it."""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import tracemalloc
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Ax, Axb, Axyb, Gxb
from agi_router.bindings.parties import open_callees
from agi_router.bindings.policy import Affinity, NumberPolicy
from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import BindingState, Callback, Messages, Side
from agi_router.calls.arrival import Call
from agi_router.calls.decision import Refusal, Route, decide
from agi_router.calls.ports import Admission
from agi_router.calls.store import AdmissionStore
from agi_router.consent.ledger import Act, How, Statement, Taken
from agi_router.db.arrays import array_of_integers
from agi_router.db.connection import Connection, Queries, connect
from agi_router.errors import (
    ConsentMissing,
    CsvError,
    FeedBusy,
    FeedExists,
    FeedInvalid,
    FeedNotFound,
    PartyUnverified,
    StoreError,
)
from agi_router.events.model import EventType
from agi_router.events.store import EventStore
from agi_router.feeds import recycler as recycling
from agi_router.feeds.digests import DigestIndex
from agi_router.feeds.model import Feed, FeedKind, Notice, NumberForm, Trust
from agi_router.feeds.recycler import Recycler
from agi_router.feeds.store import FeedStore
from agi_router.keys.registry import key_ids
from agi_router.maintenance.classes import Retention
from agi_router.maintenance.retention import Sweep
from agi_router.messages.model import Outgoing, Text
from agi_router.messages.store import Ended, MessageStore
from agi_router.numbers import PhoneNumber
from agi_router.persons.real_name_store import RealNameStore
from agi_router.persons.real_names import RealName
from agi_router.tenants.model import UnknownNumbers
from agi_router.tenants.rules import Consent, RulesChange
from harness.database import (
    HOUR,
    NO_REST,
    a_call,
    admit_as_router,
    bind,
    dials,
    expire,
    look_up,
    new_call_id,
    on_each_version,
    one,
)
from harness.values import BLOCK, A, B, C, D, X

YESTERDAY = "2000-01-01"
HEADER = "number,status,date\n"
DIGESTS = {NumberForm.MD5: "md5", NumberForm.SHA256: "sha256", NumberForm.SM3: "sm3"}


@pytest.fixture
def recycler(connection: Connection, store: BindingStore) -> Recycler:
    """What reads files."""
    return Recycler(connection, store.keys)


@pytest.fixture
def feed(recycler: Recycler) -> Feed:
    """A feed of plain numbers."""
    return add(recycler)


def add(
    recycler: Recycler,
    name: str = "unicom",
    numbers: NumberForm = NumberForm.PLAIN,
    trust: Trust = Trust.FULL,
) -> Feed:
    return recycler.store.add(name, kind=FeedKind.STDIN, path=None, numbers=numbers, trust=trust)


def now(store: BindingStore) -> str:
    return store.now().isoformat()


def line(number: PhoneNumber, status: str = "reissued", date: str = "") -> str:
    return f"{number.digits},{status},{date}\n"


def run(recycler: Recycler, feed: Feed, *lines: str) -> dict[str, Any]:
    """Read a file, and return its report."""
    text = HEADER + "".join(lines)
    run_id = recycler.run(feed, io.BytesIO(text.encode()), name="file")
    return recycler.store.run(run_id)


def hears(store: BindingStore, call: Call) -> Reason | None:
    """Why a call is refused, if it is."""
    found = look_up(store, call, at=None)
    decision = decide(call, found.facts, now=found.now)
    assert isinstance(decision, Refusal | Route)
    return decision.reason if isinstance(decision, Refusal) else None


@on_each_version
@pytest.mark.parametrize("status", ["reissued", "3"])
def test_a_new_owner(store: BindingStore, recycler: Recycler, feed: Feed, status: str) -> None:
    """The binding rings nobody, the other party hears why, and the new owner is a stranger."""
    made = bind(store)
    other = bind(store, C, D, x=BLOCK.number(2))
    report = run(recycler, feed, line(B, status, now(store)), line(new_party()))
    found = store.find(made.id)
    assert found.state is BindingState.PARTY_RECYCLED
    assert {each.number for each in found.parties} == {A, B}
    assert hears(store, a_call(A)) is Reason.PARTY_RECYCLED
    assert hears(store, a_call(B)) in {Reason.NO_BINDING, Reason.STRANGER}
    assert store.find(other.id).state is BindingState.ACTIVE
    counts = ("taken", "matched", "ended", "malformed")
    assert [report[each] for each in counts] == [2, 1, 1, 1]


def new_party() -> PhoneNumber:
    """Somebody of whom nothing is known; its date is missing, and so its line is malformed."""
    return PhoneNumber.parse("13912349999")


def test_a_binding_with_the_new_owner(store: BindingStore, recycler: Recycler, feed: Feed) -> None:
    """What began after the date goes on."""
    before = now(store)
    made = bind(store)
    report = run(recycler, feed, line(A, "reissued", before), line(B, "cancelled", YESTERDAY))
    assert store.find(made.id).state is BindingState.ACTIVE
    assert (report["matched"], report["ended"]) == (1, 0)
    assert [each["outcome"] for each in recycler.store.matches(report["id"])] == ["began_later"]
    assert hears(store, a_call(A)) is None


@pytest.mark.parametrize("mode", ["group", "pair", "y"])
def test_who_came_in_later(store: BindingStore, recycler: Recycler, feed: Feed, mode: str) -> None:
    """A new owner in an older binding is none of before; whoever stayed is as old as he was."""
    terms = Terms(expires_at=store.now() + HOUR)
    modes = {
        "group": Gxb(members=(A,), b=B),
        "pair": Axb(a=A, b=B),
        "y": Axyb(a=A, b=B, y_ttl=timedelta(minutes=5)),
    }
    made = store.bind(modes[mode], terms)
    issued = now(store)
    if mode == "group":
        store.add_members(made.id, [C])
    else:
        store.replace(made.id, Side.B, C)
    report = run(recycler, feed, line(C, "reissued", issued))
    assert [each["outcome"] for each in recycler.store.matches(report["id"])] == ["began_later"]
    assert store.find(made.id).state is BindingState.ACTIVE
    assert run(recycler, feed, line(A, "reissued", issued))["ended"] == 1
    assert store.find(made.id).state is BindingState.PARTY_RECYCLED


@pytest.mark.parametrize("trust", Trust)
@pytest.mark.parametrize("what", UnknownNumbers)
def test_nobody_knows(
    store: BindingStore, recycler: Recycler, trust: Trust, what: UnknownNumbers
) -> None:
    """The tenant says what becomes of it; so it does where a feed is not trusted."""
    feed = add(recycler, trust=trust)
    store.inventory.tenants.set_unknown_numbers("default", what)
    made = bind(store)
    status = "unknown" if trust is Trust.FULL else "reissued"
    report = run(recycler, feed, line(A, status, now(store)))
    assert (
        store.find(made.id).state
        is {
            UnknownNumbers.RING: BindingState.ACTIVE,
            UnknownNumbers.HOLD: BindingState.HELD,
            UnknownNumbers.REFUSE: BindingState.RECYCLE_UNKNOWN,
        }[what]
    )
    rings = what is UnknownNumbers.RING
    assert hears(store, a_call(B)) is (None if rings else Reason.RECYCLE_UNKNOWN)
    assert (report["matched"], report["ended"]) == (1, int(what is UnknownNumbers.REFUSE))


@on_each_version
@pytest.mark.parametrize("form", [NumberForm.PLAIN, NumberForm.MD5])
def test_a_binding_waits(store: BindingStore, recycler: Recycler, form: NumberForm) -> None:
    """It rings nobody until it is known of each party; a hint knows nothing; an end is an end."""
    feed = add(recycler, numbers=form)
    hint = add(recycler, "hint", numbers=form, trust=Trust.HINT)

    def told(which: Feed, *lines: str) -> int:
        """The number of bindings that have ended."""
        if form is NumberForm.PLAIN:
            return int(run(recycler, which, *lines)["ended"])
        hashed = []
        for each in lines:
            digits, _, rest = each.partition(",")
            hashed.append(f"{hashlib.md5(digits.encode()).hexdigest()},{rest}")  # noqa: S324
        return int(run(recycler, which, *hashed)["ended"])

    store.inventory.tenants.set_unknown_numbers("default", UnknownNumbers.HOLD)
    made, other = bind(store), bind(store, C, D, x=BLOCK.number(2))
    assert told(feed, line(A, "unknown"), line(B, "unknown"), line(C, "unknown")) == 0
    assert {store.find(each.id).state for each in (made, other)} == {BindingState.HELD}
    assert told(feed, line(A, "kept")) == 0
    assert told(hint, line(B, "kept")) == 0
    assert hears(store, a_call(A)) is Reason.RECYCLE_UNKNOWN
    # The last word of a file counts.
    assert told(feed, line(B, "unknown"), line(B, "kept"), line(D, "kept")) == 0
    assert store.find(made.id).state is BindingState.ACTIVE
    assert hears(store, a_call(A)) is None
    for state, which in ((BindingState.HELD, other), (BindingState.ACTIVE, made)):
        listed = store.bindings(everything=False, order_id=None, state=state, limit=9)
        assert [each.id for each in listed] == [which.id]
    # Nobody is free of it by what others are told.
    recycler.store.release(other.id)
    with pytest.raises(FeedInvalid, match="is not held"):
        recycler.store.release(other.id)
    assert told(feed, line(C, "unknown"), line(D, "kept")) == 0
    assert told(feed, line(C, "reissued", now(store))) == 1
    assert store.find(other.id).state is BindingState.PARTY_RECYCLED


@on_each_version
def test_who_leaves_is_waited_for_no_more(
    store: BindingStore, recycler: Recycler, feed: Feed
) -> None:
    """Whether a party is replaced, a member removed, or a party group changed; who stays is."""
    store.inventory.tenants.set_unknown_numbers("default", UnknownNumbers.HOLD)
    store.add_group("default", "team", [A, C])
    terms = Terms(expires_at=store.now() + HOUR)
    pair = bind(store)
    group = store.bind(Gxb(members=(A, C), b=D), terms, x=BLOCK.number(2))
    team = store.bind(Gxb(group="team", b=D), terms, x=BLOCK.number(3))
    other = store.bind(Gxb(group="team", b=B), terms, x=BLOCK.number(4))
    run(recycler, feed, line(A, "unknown"), line(B, "unknown"))
    every = [each.id for each in (pair, group, team, other)]
    assert {store.find(each).state for each in every} == {BindingState.HELD}
    store.replace(pair.id, Side.A, C)
    store.remove_member(group.id, A)
    store.change_members("default", "team", leaving=[A])
    assert [store.find(each).state for each in every] == [
        BindingState.HELD,
        BindingState.ACTIVE,
        BindingState.ACTIVE,
        BindingState.HELD,
    ]
    assert hears(store, a_call(C)) is Reason.RECYCLE_UNKNOWN
    store.replace(pair.id, Side.B, D)
    assert store.find(pair.id).state is BindingState.ACTIVE
    assert hears(store, a_call(C)) is None


@on_each_version
@pytest.mark.parametrize("form", [NumberForm.PLAIN, NumberForm.SHA256])
def test_a_member_of_a_party_group(
    store: BindingStore, recycler: Recycler, connection: Connection, form: NumberForm
) -> None:
    """He leaves it, and what was bound by it ends, though it was after the new owner came."""
    feed = add(recycler, numbers=form)

    def told(date: str) -> dict[str, Any]:
        digits = A.digits
        if form is not NumberForm.PLAIN:
            digits = hashlib.new(form.value, digits.encode()).hexdigest()
        return run(recycler, feed, f"{digits},reissued,{date}\n")

    before = now(store)
    first = store.add_group("default", "team", [A, C]).version
    store.add_group("default", "others", [C, D])
    terms = Terms(expires_at=store.now() + HOUR)
    reissued = now(store)
    bound = [store.bind(Gxb(group=each, b=B), terms).id for each in ("team", "team", "others")]
    assert told(before)["ended"] == 0
    assert store.find_group("default", "team").members == (A, C)
    assert told(reissued)["ended"] == 2
    states = [store.find(each).state for each in bound]
    ended = BindingState.PARTY_RECYCLED
    assert states == [ended, ended, BindingState.ACTIVE]
    team = store.find_group("default", "team")
    assert (team.members, team.version > first) == ((C,), True)
    later = store.bind(Gxb(group="team", b=B), terms)
    assert {each.number for each in later.parties} == {B, C}
    # Damaged, and nobody whom the file names: it is counted, and hides nothing.
    connection.execute(b"UPDATE agi_router.group_member SET sealed = '\\x0401010000'")
    told(now(store))
    assert (recycler.damaged > 0) is (form is not NumberForm.PLAIN)


@pytest.mark.parametrize("wish", UnknownNumbers)
def test_nobody_knows_of_a_member(
    store: BindingStore, recycler: Recycler, feed: Feed, wish: UnknownNumbers
) -> None:
    """He stays in his party group where his tenant lets such numbers ring."""
    store.inventory.tenants.set_unknown_numbers("default", wish)
    store.add_group("default", "team", [A, C])
    run(recycler, feed, line(A, "unknown"))
    members = (C,) if wish is UnknownNumbers.REFUSE else (A, C)
    assert store.find_group("default", "team").members == members


def test_who_has_the_number_still(store: BindingStore, recycler: Recycler, feed: Feed) -> None:
    """Nothing changes, and nothing is met."""
    made = bind(store)
    report = run(recycler, feed, line(A, "kept"), line(B, "2"), line(C, "not"))
    assert store.find(made.id).state is BindingState.ACTIVE
    assert (report["kept"], report["matched"]) == (3, 0)


@on_each_version
def test_the_same_file_twice(store: BindingStore, recycler: Recycler, feed: Feed) -> None:
    """It is the same run, and a binding that was made since goes on."""
    made = bind(store)
    text = line(A, "reissued", now(store))
    first = run(recycler, feed, text)
    again = bind(store, x=BLOCK.number(2))
    assert run(recycler, feed, text) == first
    assert store.find(made.id).state is BindingState.PARTY_RECYCLED
    assert store.find(again.id).state is BindingState.ACTIVE


@pytest.mark.parametrize("quote", ["", '"'])
def test_it_goes_on_where_it_stood(
    connection: Connection,
    store: BindingStore,
    monkeypatch: pytest.MonkeyPatch,
    quote: str,
) -> None:
    """Wherever a run dies: what it reports in the end is what one that did not die reports."""
    made = [bind(store, A, B), bind(store, C, D, x=BLOCK.number(2))]
    when = now(store)
    # In blocks, or line by line.
    lines = [
        f"{quote}{line(A, 'reissued', when)}".replace(",", f"{quote},", 1),
        "nonsense,reissued,\n",
        line(C, "cancelled", when),
    ]
    recycler = Recycler(connection, store.keys, plain_step=1, piece=1)
    feed = add(recycler)

    class Killed(Exception):  # noqa: N818
        pass

    deaths = ["_act_once", "_forget_callers"]
    for death in deaths:
        with monkeypatch.context() as patch:

            def die(*_: Any, **__: Any) -> None:
                raise Killed

            patch.setattr(Recycler, death, die)
            with pytest.raises(Killed):
                run(recycler, feed, *lines)
    advance = FeedStore.advance
    with monkeypatch.context() as patch:

        def advance_and_die(self: FeedStore, *args: Any, **values: Any) -> None:
            advance(self, *args, **values)
            raise Killed

        patch.setattr(FeedStore, "advance", advance_and_die)
        for _ in lines:
            with pytest.raises(Killed):
                run(recycler, feed, *lines)
    report = run(recycler, feed, *lines)
    assert [store.find(each.id).state for each in made] == [BindingState.PARTY_RECYCLED] * 2
    counts = ("taken", "reissued", "cancelled", "malformed", "matched", "ended")
    assert [report[each] for each in counts] == [3, 1, 1, 1, 2, 2]
    assert [fault.line for fault in recycler.store.faults(report["id"])] == [3]
    assert report["ended_at"] is not None


@pytest.mark.parametrize(
    ("form", "processes"), [*((form, 1) for form in DIGESTS), (NumberForm.SHA256, 2)]
)
def test_digests(
    connection: Connection,
    store: BindingStore,
    form: NumberForm,
    processes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever is sealed in a live binding is found by his digest, in every mode."""
    monkeypatch.setattr(recycling, "_STREAMED", 2)
    recycler = Recycler(connection, store.keys, processes=processes)
    feed = add(recycler, numbers=form)
    made = bind_modes(store)
    bystander = bind(store, PHONES[8], PHONES[9], x=BLOCK.number(9))
    members = [PHONES[3], PHONES[1], PHONES[5], PHONES[6]]
    lines = [
        f"{hashlib.new(DIGESTS[form], each.digits.encode()).hexdigest()},1,{now(store)}\n"
        for each in members
    ]
    report = run(recycler, feed, *lines)
    assert {store.find(each.id).state for each in made} == {BindingState.PARTY_RECYCLED}
    assert store.find(bystander.id).state is BindingState.ACTIVE
    assert (report["matched"], report["ended"]) == (4, 4)


PHONES = [PhoneNumber.parse(f"1391234100{serial}") for serial in range(10)]


@pytest.mark.parametrize("form", [NumberForm.PLAIN, NumberForm.SHA256])
def test_a_damaged_row(connection: Connection, store: BindingStore, form: NumberForm) -> None:
    """It hides no other party; where it may be of who is looked for, it is counted."""
    recycler = Recycler(connection, store.keys)
    feed = add(recycler, numbers=form)
    terms = Terms(expires_at=store.now() + HOUR)
    group = store.bind(Gxb(members=(A, C), b=B), terms, x=X)
    pair = bind(store, D, PHONES[1], x=BLOCK.number(2))
    spoil = "UPDATE agi_router.route SET {0} = set_bit({0}, 200, 1 - get_bit({0}, 200))"
    spoil += " WHERE caller_tag = %s AND binding_id = %s"
    for column, number, made in (("caller", C, group), ("callee", D, pair)):
        connection.execute(spoil.format(column).encode(), (store.keys.tag(number), made.id.id))

    def recycle(number: PhoneNumber) -> tuple[int, int]:
        what = number.digits
        if form is not NumberForm.PLAIN:
            what = hashlib.new(form.value, what.encode()).hexdigest()
        before = recycler.damaged
        ended: int = run(recycler, feed, f"{what},1,{now(store)}\n")["ended"]
        return ended, recycler.damaged - before

    # A run that looks for digests opens all, and meets both.
    everywhere = 0 if form is NumberForm.PLAIN else 2
    assert recycle(PHONES[1]) == (0, everywhere or 1)
    assert recycle(C) == (0, everywhere or 1)
    assert recycle(A) == (1, everywhere)
    assert recycle(D) == (1, everywhere and 1)


def test_an_algorithm_that_is_not_there(
    connection: Connection, store: BindingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said before anything is looked for, however many look."""

    def lacking(*_: object, **__: object) -> None:
        raise ValueError

    recycler = Recycler(connection, store.keys, processes=2)
    feed = add(recycler, numbers=NumberForm.SM3)
    digest = hashlib.new("sm3", A.digits.encode()).hexdigest()
    monkeypatch.setattr(hashlib, "new", lacking)
    with pytest.raises(FeedInvalid, match="sm3 cannot be had"):
        run(recycler, feed, f"{digest},0,\n")


def bind_modes(store: BindingStore) -> list[Binding]:
    """A binding of each form of sealing: a pair, a group, a Y to come, strangers."""
    terms = Terms(expires_at=store.now() + HOUR)
    modes = [
        Axyb(a=PHONES[0], b=PHONES[1]),
        Gxb(members=(PHONES[2], PHONES[3]), b=PHONES[4], callback=Callback.LAST),
        Axyb(a=PHONES[5], b=PHONES[7], y_ttl=timedelta(minutes=5)),
        Ax(a=PHONES[6], callback=Callback.LAST),
    ]
    wide = BindingStore(store.connection, store.keys, NO_REST, open_modes=True)
    return [wide.bind(each, terms) for each in modes]


@pytest.mark.parametrize("place", [0, 1, 3, 4, 5, 6, 7])
def test_every_mode(store: BindingStore, recycler: Recycler, feed: Feed, place: int) -> None:
    """A party of whatever side is found by tag, too; the bindings of others go on."""
    made = bind_modes(store)
    run(recycler, feed, line(PHONES[place], "reissued", now(store)))
    states = [store.find(each.id).state for each in made]
    assert states.count(BindingState.PARTY_RECYCLED) == 1
    of = {0: 0, 1: 0, 3: 1, 4: 1, 5: 2, 7: 2, 6: 3}
    assert states[of[place]] is BindingState.PARTY_RECYCLED


def test_a_tag_of_two(
    connection: Connection, store: BindingStore, recycler: Recycler, feed: Feed
) -> None:
    """Who has the tag of another number by chance is left alone."""
    made = bind(store)
    connection.execute(
        "UPDATE agi_router.route SET caller_tag = %s WHERE caller_tag = %s",
        (store.keys.tag(C), store.keys.tag(A)),
    )
    report = run(recycler, feed, line(C, "reissued", now(store)))
    assert (report["matched"], report["ended"]) == (0, 0)
    assert one(connection, "SELECT state FROM agi_router.binding WHERE id = %s", made.id.id) == (
        "active"
    )


async def test_nobody_is_called_back_who_is_somebody_else(
    connection: Connection,
    store: BindingStore,
    open_admissions: AdmissionStore,
    recycler: Recycler,
    feed: Feed,
) -> None:
    """A stranger who called last is forgotten, and the binding goes on."""
    wide = BindingStore(connection, store.keys, NO_REST, open_modes=True)
    made = wide.bind(Ax(a=A, callback=Callback.LAST), Terms(expires_at=store.now() + HOUR), x=X)
    await admit_as_router(open_admissions, a_call(C), new_call_id())
    known = "SELECT count(*) FROM agi_router.route WHERE last_tag IS NOT NULL"
    assert one(connection, known) == 1
    before = (store.now() - HOUR).isoformat()
    run(recycler, feed, line(C, "reissued", before))
    assert one(connection, known) == 1
    run(recycler, feed, line(C, "reissued", now(store)))
    assert one(connection, known) == 0
    assert store.find(made.id).state is BindingState.ACTIVE


@pytest.mark.parametrize("form", [NumberForm.PLAIN, NumberForm.SHA256])
async def test_no_answer_reaches_who_is_somebody_else(
    connection: Connection,
    store: BindingStore,
    open_admissions: AdmissionStore,
    recycler: Recycler,
    form: NumberForm,
) -> None:
    """A text to a stranger is not sent to who has his number then; nor tried by who tries it."""
    kind = FeedKind.STDIN
    own = recycler.store.add("own", kind=kind, path=None, numbers=form, trust=Trust.FULL)
    wide = BindingStore(connection, store.keys, NO_REST, open_modes=True)
    terms = Terms(expires_at=store.now() + HOUR, messages=Messages.BOTH)
    wide.bind(Ax(a=A, callback=Callback.LAST), terms, x=X)
    texts = MessageStore(
        open_admissions.pool, store.keys, link="sip", validity=HOUR, open_modes=True
    )
    # Of two to C one is in hand; D was heard of last, and has his number still.
    for writer in (C, A, A, D, A):
        text = Text(sender=writer, x_number=X, body="a")
        answer = await texts.admit(text, secrets.token_bytes(32), timeout=30)
        assert isinstance(answer, Admission)
        assert answer.admitted
        if writer == C or one(connection, "SELECT count(*) FROM agi_router.message") == 2:
            assert len(await texts.take(1, timeout=30)) == 1

    def told(when: str) -> dict[str, Any]:
        owner = C.digits if form is NumberForm.PLAIN else hashlib.sha256(C.digits.encode())
        number = owner if isinstance(owner, str) else owner.hexdigest()
        return run(recycler, own, f"{number},reissued,{when}\n")

    states = (
        "SELECT string_agg(concat_ws(' ', side, state, reason), ', ' ORDER BY received_at)"
        " FROM agi_router.message"
    )
    waiting = "b queued, a queued, a queued, b queued, a queued"
    told((store.now() - HOUR).isoformat())
    assert one(connection, states) == waiting
    told(now(store))
    assert one(connection, states) == waiting.replace(
        "a queued, a queued", "a queued, a failed party_recycled"
    )
    connection.execute("UPDATE agi_router.message_out SET next_at = now() - interval '1s'")
    taken = await texts.take(10, timeout=30)
    assert [each.reason for each in taken if isinstance(each, Ended)] == ["expired"]
    assert {each.receiver for each in taken if isinstance(each, Outgoing)} == {A, D}
    assert recycler.damaged == 0


def test_the_new_owner_inherits_nothing(
    connection: Connection, store: BindingStore, recycler: Recycler, feed: Feed
) -> None:
    """He is bound, and the pair of before asks for no number."""
    made = store.bind(
        Axb(a=A, b=B),
        Terms(expires_at=store.now() + HOUR),
        choice=NumberPolicy(same_x=Affinity.PREFER),
    )
    pair = "SELECT pair_tag FROM agi_router.binding WHERE id = %s"
    assert one(connection, pair, made.id.id) is not None
    run(recycler, feed, line(A, "reissued", now(store)))
    assert one(connection, pair, made.id.id) is None
    again = bind(store, x=BLOCK.number(3))
    assert run(recycler, feed, line(A, "reissued", YESTERDAY))["ended"] == 0
    assert store.find(again.id).state is BindingState.ACTIVE
    assert hears(store, a_call(A, BLOCK.number(3))) is None


def test_the_new_owner_is_no_party_of_what_is_over(
    connection: Connection, store: BindingStore, recycler: Recycler, feed: Feed
) -> None:
    """How the old owner's binding ended he does not hear, nor does he get its number; B does."""

    def prefer() -> Binding:
        return store.bind(
            Axb(a=A, b=B),
            Terms(expires_at=store.now() + HOUR),
            choice=NumberPolicy(same_x=Affinity.PREFER),
        )

    def paired(made: Binding) -> bool:
        asked = "SELECT pair_tag IS NOT NULL AS paired FROM agi_router.binding WHERE id = %s"
        return bool(one(connection, asked, made.id.id))

    before = store.now()
    first = prefer()
    x = dials(first.parties[0])
    expire(connection, first.id)
    # What is of the new owner himself is not touched.
    run(recycler, feed, line(A, "reissued", YESTERDAY))
    run(recycler, feed, line(A, "unknown"))
    assert (paired(first), hears(store, a_call(A, x))) == (True, Reason.EXPIRED)
    run(recycler, feed, line(A, "cancelled", now(store)))
    assert (paired(first), hears(store, a_call(A, x))) == (False, Reason.NO_BINDING)
    assert hears(store, a_call(B, x)) is Reason.EXPIRED
    second = prefer()
    store.unbind(second.id)
    # Its place was taken since.
    connection.execute(
        "SELECT agi_router.retire_routes(array_agg(block), array_agg(x_number),"
        " array_agg(caller_tag), array_agg(binding_id), NULL)"
        " FROM agi_router.route WHERE binding_id = %s",
        (second.id.id,),
    )
    run(recycler, feed, line(A, "reissued", before.isoformat()))
    assert paired(second)
    assert run(recycler, feed, line(A, "reissued", now(store)))["ended"] == 0
    assert not paired(second)
    assert recycler.damaged == 0


def test_what_is_over_is_forgotten_at_once(
    connection: Connection,
    store: BindingStore,
    recycler: Recycler,
    feed: Feed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many bindings are over, none waits until the one before is answered."""
    for made in (bind(store), bind(store, A, C, x=BLOCK.number(2))):
        expire(connection, made.id)
    asked: list[tuple[str, int]] = []
    row_of_each = Queries.row_of_each

    def noted(self: Queries, name: str, values: Iterable[dict[str, Any]]) -> Any:
        given = list(values)
        asked.append((name, len(given)))
        return row_of_each(self, name, given)

    monkeypatch.setattr(Queries, "row_of_each", noted)
    run(recycler, feed, line(A, "reissued", now(store)))
    assert ("forget_recycled", 2) in asked


@pytest.mark.parametrize("form", [NumberForm.PLAIN, NumberForm.SHA256])
def test_what_the_old_owner_has_said(
    connection: Connection, store: BindingStore, form: NumberForm
) -> None:
    """His consent and his real name count for nobody; who agrees later, or stays, is bound."""
    recycler = Recycler(connection, store.keys)
    feed = add(recycler, numbers=form)
    names = RealNameStore(Queries(connection), store.keys)
    rules = RulesChange(consent=Consent.REQUIRED, needs_real_name=True)
    store.inventory.tenants.set_rules("default", rules)

    def say(number: PhoneNumber, at: datetime | None = None) -> None:
        said = Statement(act=Act.GIVEN, how=How.PAPER, at=at)
        store.consents.write(number, "default", said, by="a test")
        names.write(number, RealName.YES, source="carrier", by="a test", checked_at=at)

    def recycle(number: PhoneNumber, status: str = "reissued", at: str = "") -> dict[str, Any]:
        what = number.digits
        if form is not NumberForm.PLAIN:
            what = hashlib.new(form.value, what.encode()).hexdigest()
        return run(recycler, feed, f"{what},{status},{at or now(store)}\n")

    def noted() -> list[Any]:
        found = connection.execute("SELECT * FROM agi_router.new_owner ORDER BY person_id")
        return found.fetchall()

    for each in (A, B):
        say(each)
    before = store.now()
    # Somebody else had the number before; nobody knows; it is his still; another number's.
    recycle(A, at=YESTERDAY)
    recycle(A, "unknown")
    recycle(A, "kept")
    recycle(C)
    first = bind(store)
    assert len(noted()) == 1
    recycle(A)
    assert store.find(first.id).state is BindingState.PARTY_RECYCLED
    with pytest.raises(PartyUnverified):
        bind(store, x=BLOCK.number(2))
    assert names.status(A).status is RealName.UNKNOWN
    assert names.status(B).status is RealName.YES
    names.write(A, RealName.YES, source="carrier", by="a test")
    with pytest.raises(ConsentMissing):
        bind(store, x=BLOCK.number(2))
    # What was said before is of the old owner, whenever it is written down.
    say(A, before)
    with pytest.raises(ConsentMissing):
        bind(store, x=BLOCK.number(2))
    say(A)
    say(A, before)
    given = Statement(act=Act.GIVEN, how=How.APP, at=before)
    assert store.consents.write_given("default", [(A, given), (B, given)], by="a test") == [
        Taken.REISSUED_SINCE,
        Taken.ADDED,
    ]
    lines = store.consents.of_person(A)
    assert [each.void for each in lines] == [True, False, True, True]
    names.write(A, RealName.NO, source="carrier", by="a test", checked_at=before)
    kept = noted()
    recycle(A, "cancelled", YESTERDAY)
    assert noted() == kept
    shown = names.all(person=A, limit=9)
    assert [each.void for each in shown] == [each.checked_at <= before for each in shown]
    made = bind(store, x=BLOCK.number(2))
    assert {each.number for each in store.find(made.id).parties} == {A, B}


def test_a_person_who_is_damaged(
    connection: Connection, store: BindingStore, recycler: Recycler, feed: Feed
) -> None:
    """Nothing of one is void whose number does not open, and that of another with its tag."""
    said = Statement(act=Act.GIVEN, how=How.PAPER)
    for each in (A, B):
        store.consents.write(each, "default", said, by="a test")
    swap = "UPDATE agi_router.person_mark SET tag = %s WHERE tag = %s"
    connection.execute(swap, (store.keys.tag(C), store.keys.tag(A)))
    run(recycler, feed, line(C, "reissued", now(store)), line(D, "reissued", now(store)))
    assert recycler.damaged == 1
    assert one(connection, "SELECT count(*) FROM agi_router.new_owner") == 0


def test_strangers_cost_one_statement(
    store: BindingStore, recycler: Recycler, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many numbers of a step nobody knows, they are looked for together, and only once."""
    made = bind(store)
    asked: list[str] = []
    rows = Queries.rows

    def noted(self: Queries, name: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        asked.append(name)
        return rows(self, name, values)

    monkeypatch.setattr(Queries, "rows", noted)
    when = now(store)
    strangers = [line(PhoneNumber(digits=f"139{i:08}"), "reissued", when) for i in range(3000)]
    assert run(recycler, feed, *strangers)["matched"] == 0
    assert asked.count("find_met") == 1
    assert "list_recycled" not in asked
    assert run(recycler, feed, *strangers, line(A, "reissued", when))["ended"] == 1
    assert (asked.count("find_met"), asked.count("list_recycled")) == (2, 1)
    assert store.find(made.id).state is BindingState.PARTY_RECYCLED


def test_an_end_waits_for_no_disk(
    connection: Connection, store: BindingStore, recycler: Recycler, feed: Feed
) -> None:
    """Ends are flushed with the step that notes them: that one waits, as all else does."""
    bind(store)
    shown = "SHOW synchronous_commit"
    flushed = []
    with connection.transaction():
        run(recycler, feed, line(A, "reissued", now(store)))
        flushed.append(one(connection, shown))
    flushed.append(one(connection, shown))
    assert flushed == ["off", "on"]


def test_an_end_reads_no_whole_table(
    connection: Connection, store: BindingStore, recycler: Recycler, feed: Feed
) -> None:
    """Nor where it was planned when nothing was over yet: each end adds to what is."""
    made = bind(store)
    report = run(recycler, feed, line(A, "reissued", YESTERDAY))
    connection.execute("VACUUM ANALYZE agi_router.past_route")
    queries = Queries(connection)
    known = {"block": made.id.block.value, "id": made.id.id, "tags": store.keys.tags(A)}
    known |= {"until": store.now() + HOUR}
    ids = key_ids(store.keys)
    met = {"version": 1, "unknown": False, "line": 1}
    each = {name: [value] for name, value in (known | met).items()}
    each["tags"] = [array_of_integers(store.keys.tags(A))]
    read = "SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'past_route'"
    with connection.transaction():
        ended = queries.row("end_recycled", each | ids | {"run_id": report["id"]})
        queries.row("forget_recycled", known | ids)
        assert ended is not None
        assert (ended["outcome"], one(connection, read)) == ("ended", 0)


def test_ends_in_one_transaction(
    connection: Connection,
    store: BindingStore,
    recycler: Recycler,
    feed: Feed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each is judged by itself; whoever is held by somebody else keeps no other waiting."""
    monkeypatch.setattr(recycling, "_ENDS", 3)
    asked: list[int] = []
    end = Recycler._end_some

    def noted(self: Recycler, run: Any, met: Sequence[Any]) -> Any:
        asked.append(len(met))
        if asked == [3, 2, 1]:
            # All but the one that is held are over by now.
            assert states() == ["active", *4 * ["party_recycled"]]
            other.rollback()
        return end(self, run, met)

    def states() -> list[str]:
        rows = connection.execute(b"SELECT state FROM agi_router.binding ORDER BY id").fetchall()
        return [row["state"] for row in rows]

    for place in range(5):
        bind(store, PHONES[place], PHONES[9], x=BLOCK.number(20 + place))
    with connect(store.connection.info.dsn, idle=0) as other:
        other.autocommit = False
        other.execute(b"SELECT id FROM agi_router.binding ORDER BY id LIMIT 1 FOR UPDATE")
        monkeypatch.setattr(Recycler, "_end_some", noted)
        when = now(store)
        lines = [line(PHONES[place], "reissued", when) for place in range(5)]
        report = run(recycler, feed, *lines)
    assert (asked, report["ended"], set(states())) == ([3, 2, 1], 5, {"party_recycled"})


def test_a_member_leaves_one_binding_after_the_other(
    store: BindingStore, recycler: Recycler, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has been bound by his group meanwhile is waited for in order, as others do."""
    store.add_group("default", "team", [A, C])
    when, asked, made = now(store), list[int](), list[Any]()
    leave, end = Recycler._leave_group, Recycler._end_some

    def late(self: Recycler, *given: Any) -> None:
        terms = Terms(expires_at=store.now() + HOUR)
        made.extend(store.bind(Gxb(group="team", b=B), terms).id for _ in range(3))
        leave(self, *given)

    def noted(self: Recycler, run: Any, met: Sequence[Any]) -> Any:
        asked.append(len(met))
        return end(self, run, met)

    monkeypatch.setattr(Recycler, "_leave_group", late)
    monkeypatch.setattr(Recycler, "_end_some", noted)
    run(recycler, feed, line(A, "reissued", when))
    assert asked == [1, 1, 1]
    assert {store.find(each).state for each in made} == {BindingState.PARTY_RECYCLED}


def test_his_past_ends_with_the_binding(
    connection: Connection, store: BindingStore, recycler: Recycler, feed: Feed
) -> None:
    """To the microsecond: a trace of the moment after it finds nobody."""
    bind(store)
    run(recycler, feed, line(A, "reissued", now(store)))
    ends = (
        "SELECT count(*) FROM agi_router.past_route p JOIN agi_router.binding b"
        " ON (b.block, b.id) = (p.block, p.binding_id) WHERE p.ends_at = b.ended_at"
    )
    assert one(connection, ends) == 1


def test_each_in_a_transaction_of_its_own(connection: Connection) -> None:
    """One that fails is told when all are over, and takes no other with it."""
    queries = Queries(connection)

    def add(*names: str) -> Any:
        values = [{"name": each, "needs_order": True, "consent": "off"} for each in names]
        return queries.row_of_each("add_tenant", values)

    def there() -> set[str]:
        return {row["name"] for row in connection.execute("SELECT name FROM agi_router.tenant")}

    assert len(add("a", "b")) == 2
    assert add() == []
    with pytest.raises(StoreError):
        add("c", "", "d")
    assert there() == {"default", "a", "b", "c", "d"}
    with pytest.raises(StoreError), queries.transaction():
        add("e", "")
    assert there() == {"default", "a", "b", "c", "d"}
    assert len(add("f")) == 1


def test_what_tenants_are_told(
    connection: Connection, store: BindingStore, recycler: Recycler, feed: Feed
) -> None:
    """The end of a binding, and what the file meant; no number and no tag stands in either."""
    events = EventStore(Queries(connection), store.keys)
    events.set_types("default", [EventType.BINDING_ENDED, EventType.FEED_FINISHED])
    made = bind(store)
    report = run(recycler, feed, line(B, "reissued", now(store)))
    told = [event for event, _ in events.events("default", limit=10).events]
    assert [event.type for event in told] == [EventType.BINDING_ENDED, EventType.FEED_FINISHED]
    assert (told[0].binding, told[0].data["state"]) == (made.id, "party_recycled")
    wanted = {"feed": "unicom", "run": report["id"], "matched": 1, "ended": 1}
    assert {name: told[1].data[name] for name in wanted} == wanted
    for number in (A, B):
        assert number.digits not in json.dumps([event.data for event in told], default=str)


def test_malformed_lines(recycler: Recycler, feed: Feed) -> None:
    """Each is told by its line, without a digit of it."""
    future = "2100-01-01"
    report = run(
        recycler,
        feed,
        "12345,reissued,2026-01-31\n",
        line(A, "lost", YESTERDAY),
        line(A, "reissued", "soon"),
        line(A, "reissued", future),
        line(A, "reissued"),
        f"{A.digits}\n",
    )
    faults = recycler.store.faults(report["id"])
    assert [fault.line for fault in faults] == [2, 3, 4, 5, 6, 7]
    assert report["malformed"] == report["taken"] == 6
    assert not any(digit in fault.why for fault in faults for digit in ("12345", A.digits, future))


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_json_lines(store: BindingStore, recycler: Recycler, feed: Feed, encoding: str) -> None:
    """One object a line, whatever else stands in it."""
    made = bind(store)
    good = {"number": A.digits, "status": 1, "date": now(store), "省": "北京"}
    text = json.dumps(good, ensure_ascii=False) + "\n\n[1]\n{broken\n" + "[" * 50_000
    run_id = recycler.run(feed, io.BytesIO(text.encode(encoding)), name="file.jsonl")
    report = recycler.store.run(run_id)
    assert (report["ended"], report["malformed"]) == (1, 3)
    assert store.find(made.id).state is BindingState.PARTY_RECYCLED


def test_a_broken_file(recycler: Recycler, feed: Feed) -> None:
    """It says which line, and is no run that is done."""
    with pytest.raises(CsvError, match="number"):
        recycler.run(feed, io.BytesIO(b"a,b\n1,2\n"), name="file")
    assert recycler.store.runs("unicom", limit=9)[0]["ended_at"] is None


@pytest.mark.parametrize("fault", [b'"', b"\xff\n", b"\0\n"])
def test_a_file_that_breaks_off(
    store: BindingStore, recycler: Recycler, feed: Feed, fault: bytes
) -> None:
    """What stands before the fault is done, each time as far; the mended file does the rest."""
    made, other = bind(store), bind(store, C, D, x=BLOCK.number(2))
    lines = [line(A, "reissued", now(store)), line(C, "reissued", now(store))]
    begin = f"{HEADER}{lines[0]}".encode()
    for _ in range(2):
        with pytest.raises(CsvError, match="line 3"):
            recycler.run(feed, io.BytesIO(begin + fault + lines[1].encode()), name="file")
        [report] = recycler.store.runs("unicom", limit=9)
        assert (report["taken"], report["ended"], report["ended_at"]) == (1, 1, None)
    assert store.find(made.id).state is BindingState.PARTY_RECYCLED
    assert store.find(other.id).state is BindingState.ACTIVE
    assert run(recycler, feed, *lines)["ended"] == 1
    assert store.find(other.id).state is BindingState.PARTY_RECYCLED


@pytest.mark.parametrize("form", [NumberForm.PLAIN, NumberForm.SHA256])
def test_a_number_that_stands_there_often(
    store: BindingStore, recycler: Recycler, form: NumberForm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sealed is opened once for it, and the record that reaches furthest holds."""
    feed = add(recycler, numbers=form)
    made = bind(store)
    other = bind(store, C, D, x=BLOCK.number(2))
    opened = []

    def counted(row: dict[str, Any], keys: Any) -> Any:
        opened.append(row)
        return open_callees(row, keys)

    monkeypatch.setattr(recycling, "open_callees", counted)
    lines = [line(A, "unknown"), line(C, "reissued", YESTERDAY)] * 50
    lines += [line(C, "reissued", now(store)), *lines]
    if form is NumberForm.SHA256:
        for each in (A, C):
            digest = hashlib.sha256(each.digits.encode()).hexdigest()
            lines = [text.replace(each.digits, digest) for text in lines]
    indexed: list[int] = []

    class Counted(DigestIndex):
        """Tells how many digests are looked for."""

        @classmethod
        def of(cls, notices: Sequence[Notice]) -> Any:
            indexed.append(len(notices))
            return DigestIndex.of(notices)

    monkeypatch.setattr(recycling, "DigestIndex", Counted)
    report = run(recycler, feed, *lines)
    assert indexed == ([2] if form is NumberForm.SHA256 else [])
    assert (report["taken"], report["matched"], report["ended"]) == (201, 2, 1)
    assert len(opened) <= 8
    assert store.find(made.id).state is BindingState.ACTIVE
    assert store.find(other.id).state is BindingState.PARTY_RECYCLED


def test_members_of_one_group(
    store: BindingStore, recycler: Recycler, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first who has a new owner ends it; nothing is opened for the others."""
    members = [PhoneNumber.parse(f"138001380{serial:02}") for serial in range(50)]
    made = store.bind(Gxb(members=tuple(members), b=B), Terms(expires_at=store.now() + HOUR), x=X)
    ends: list[Any] = []

    def counted(feed_run: Any, met: Any, **given: Any) -> Any:
        ends.extend(met)
        return end_each(feed_run, met, **given)

    end_each = recycler._end_each
    monkeypatch.setattr(recycler, "_end_each", counted)
    run(recycler, feed, *(line(each, "reissued", now(store)) for each in members))
    assert store.find(made.id).state is BindingState.PARTY_RECYCLED
    assert len(ends) == 1


def test_long_cells(recycler: Recycler, feed: Feed) -> None:
    """What stands in a file is not held until a step is done."""
    lines = [f"1,{'x' * 60_000},\n"] * 200
    tracemalloc.start()
    try:
        stream = io.BytesIO((HEADER + "".join(lines)).encode())
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        recycler.run(feed, stream, name="file")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # A piece for the digest is 1 MiB; the cells together are 12 MB.
    assert peak - before < 6_000_000


def test_feeds(connection: Connection, recycler: Recycler) -> None:
    """They have names, and one reads each at a time."""
    feeds = recycler.store
    feed = add(recycler)
    with pytest.raises(FeedExists):
        add(recycler)
    with pytest.raises(FeedNotFound):
        feeds.find("nobody")
    with pytest.raises(FeedNotFound):
        feeds.runs("nobody", limit=1)
    with pytest.raises(FeedNotFound):
        feeds.run(1)
    for kind, path in (
        (FeedKind.STDIN, "/a"),
        (FeedKind.FILE, None),
        (FeedKind.FOLDER, "relative"),
    ):
        with pytest.raises(FeedInvalid):
            feeds.add("other", kind=kind, path=path, numbers=NumberForm.PLAIN, trust=Trust.FULL)
    with connect(connection.info.dsn) as other:
        theirs = FeedStore(Queries(other))
        with theirs.held(feed):
            with pytest.raises(FeedBusy):
                run(recycler, feed)
            # Its bindings would not end, though the file says so.
            with pytest.raises(FeedBusy):
                feeds.remove("unicom")
        run(recycler, feed)
        feeds.remove("unicom")
        with pytest.raises(FeedNotFound):
            theirs.begin(feed, "file", bytes(32))
    with pytest.raises(FeedNotFound):
        feeds.remove("unicom")


def test_reports_are_swept(
    connection: Connection, store: BindingStore, recycler: Recycler, feed: Feed
) -> None:
    """Past retention; that a file was read is known for ever, or it would act as of today."""
    store.inventory.tenants.set_unknown_numbers("default", UnknownNumbers.REFUSE)
    bind(store)
    old = [line(A, "unknown"), "bad,bad,\n"]
    first = run(recycler, feed, *old)
    young = bind(store, C, D, x=BLOCK.number(2))
    run(recycler, feed, line(C, "unknown"), "bad,bad,\n")
    connection.execute(
        "UPDATE agi_router.feed_run SET begun_at = now() - interval '800 days' WHERE id = %s",
        (first["id"],),
    )
    list(Sweep(connection, NO_REST, Retention()).steps())
    assert not recycler.store.faults(first["id"])
    assert not recycler.store.matches(first["id"])
    for name in ("feed_run", "feed_fault", "feed_match"):
        wanted = 2 if name == "feed_run" else 1
        assert one(connection, f"SELECT count(*) FROM agi_router.{name}") == wanted
    assert store.find(young.id).state is BindingState.RECYCLE_UNKNOWN
    again = bind(store, x=BLOCK.number(3))
    assert run(recycler, feed, *old)["id"] == first["id"]
    assert store.find(again.id).state is BindingState.ACTIVE

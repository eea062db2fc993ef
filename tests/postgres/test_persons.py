"""
Persons: whatever happens in whatever order, no call and no text reaches who may not be reached.

A machine binds, locks, appeals, carries over to other numbers, recycles, holds, agrees, withdraws,
replaces, changes keys and hours, and calls, in a clock that is given; strangers call where they
may. A model in plain Python says what must come of each call and text, and of each bind. Rates are
counted by routers, and no part of it.

``PERSONS_LONG=1000,60`` makes a thousand runs of sixty steps, other ones each time.
"""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from postgres.test_messages_agree import asked

from agi_router.bindings.model import BindingId
from agi_router.bindings.modes import Ax, Axb, Axe, Axyb, Gxb, Parties
from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import BindingState, Callback, Messages, Side
from agi_router.calls.arrival import Call, DialledExtension
from agi_router.calls.decision import Refusal, Route, decide
from agi_router.calls.end import call_day
from agi_router.calls.ports import Admission
from agi_router.calls.rows import caller_tags, read_admission
from agi_router.consent.ledger import Act, How, Statement
from agi_router.db.connection import Connection, Queries, connect
from agi_router.db.queries import query
from agi_router.errors import (
    AgiRouterError,
    AppealNotReady,
    BindingConflict,
    ConsentMissing,
    Locked,
    ModeError,
    NoNumberAvailable,
    RequestInvalid,
    SameParty,
)
from agi_router.feeds.model import FeedKind, NumberForm, Trust
from agi_router.feeds.recycler import Recycler
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import check_keys, key_ids
from agi_router.keys.ring import KeyKind, KeyRing, Purpose, Row
from agi_router.maintenance.rotation import Rotation
from agi_router.messages.decision import Taken, decide_text
from agi_router.messages.model import Text, name_message
from agi_router.messages.openness import answered_by, sealed_stranger, sender_tags
from agi_router.numbers import Block, PhoneNumber, XNumber
from agi_router.persons.appeal_states import AppealState as State
from agi_router.persons.appeal_states import Spans, to_prompt
from agi_router.persons.appeal_store import AppealStore
from agi_router.persons.appeals import EVIDENCE, OPEN, AppealStep, Evidence, take
from agi_router.persons.blocklist import Pairing
from agi_router.persons.effects import BlockDirection, LockReason, Subject
from agi_router.persons.locks import LockedThing
from agi_router.tenants.model import UnknownNumbers
from agi_router.tenants.rules import Consent, RulesChange
from harness.cells import Cells
from harness.database import NO_REST, Server, a_call, new_call_id, set_clock
from harness.values import BLOCK, A, B, C, D

NOW = datetime(2030, 3, 1, 12, tzinfo=UTC)
OTHER_BLOCK = Block(value=70022345678)
PEOPLE = [A, B, C, D]
PLACES = [BLOCK.number(1), BLOCK.number(2), OTHER_BLOCK.number(1)]
BLOCKS = [BLOCK, OTHER_BLOCK]
OPEN_PLACES: dict[XNumber, str | None] = {BLOCK.number(3): None, OTHER_BLOCK.number(3): "12"}
"""Where strangers call, and what they type there."""
DEFAULT, OTHER = "default", "others"
TEAM = "team"
SPANS = Spans(
    evidence=timedelta(seconds=15), review=timedelta(seconds=15), decision=timedelta(seconds=15)
)
MOST_KEYS = 5
BY, JUDGE = "a test", "somebody else"
LIVE = {BindingState.ACTIVE, BindingState.HELD}
# When it begins all week long is 20:00 in Shanghai.
HOURS = {None: True, "20:00-21:00": True, "20:01-21:00": None, "09:00-10:00": False}
RINGS_ALL = {Callback.ALL, Callback.SEQUENCE}

people = st.sampled_from(PEOPLE)
several = st.permutations(PEOPLE)
places = st.sampled_from(PLACES)
tenants = st.sampled_from([DEFAULT, OTHER])
orders = st.sampled_from([None, "O-1"])
picks = st.integers(0, 9)
spans = st.sampled_from([0, 5, 10]).map(lambda seconds: timedelta(seconds=seconds))
reasons = st.sampled_from([LockReason.MISUSE, LockReason.ARREARS, LockReason.MAINTENANCE])
STATUSES = ["reissued", "unknown", "kept"]
statuses = st.sampled_from(["reissued", "reissued", "unknown", "unknown", "kept"])
ends = st.none() | st.sampled_from([5, 10]).map(lambda seconds: timedelta(seconds=seconds))
hours = st.sampled_from([None, None, *HOURS])
soon = st.sampled_from([0, 0, 5]).map(lambda seconds: timedelta(seconds=seconds))
others = st.one_of(
    st.tuples(st.just("number"), st.sampled_from([*PLACES, *OPEN_PLACES])),
    st.tuples(st.just("block"), st.sampled_from(BLOCKS)),
    st.tuples(st.just("tenant"), tenants),
)


@dataclass(eq=False)
class Life:
    """A binding as the model sees it."""

    name: BindingId
    tenant: str
    order: str | None
    stated: How | None
    numbers: tuple[XNumber, XNumber]
    members: list[PhoneNumber]
    b: PhoneNumber
    callback: Callback | None
    team: bool
    expires: datetime
    since: dict[PhoneNumber, datetime]
    """When each who is or was a party came first."""
    state: BindingState = BindingState.ACTIVE
    last: PhoneNumber | None = None
    hours: str | None = None
    waits: set[PhoneNumber] = field(default_factory=set)
    """Of whom nobody knows whether the number has a new owner: it is held for them."""

    @property
    def parties(self) -> list[PhoneNumber]:
        return [*self.members, self.b]

    def places(self) -> Iterator[tuple[XNumber, PhoneNumber | None]]:
        """Where its parties call; nobody in particular: strangers do."""
        for member in self.members:
            yield self.numbers[0], member
        yield self.numbers[1], self.b

    def alive(self, now: datetime) -> bool:
        return self.state in LIVE and self.expires > now

    def rung(self, caller: PhoneNumber) -> list[PhoneNumber]:
        """Whom a call rings, if nothing is in the way."""
        if caller != self.b:
            return [self.b]
        if self.callback is None or self.callback in RINGS_ALL:
            return list(self.members)
        return [] if self.last is None else [self.last]

    def reached_by(self, caller: PhoneNumber) -> None:
        """Whoever of a group has called or written last is who is called back."""
        if self.callback is Callback.LAST and caller != self.b:
            self.last = caller

    def leave(self, person: PhoneNumber) -> None:
        self.members.remove(person)
        if self.last == person:
            self.last = None
        self.know(person)

    def know(self, person: PhoneNumber) -> None:
        """It is held for one the less."""
        self.waits.discard(person)
        if self.state is BindingState.HELD and not self.waits:
            self.state = BindingState.ACTIVE


@dataclass(eq=False)
class OpenLife(Life):
    """A binding by which strangers reach A, who calls the last of them back."""

    extension: str | None = None
    last_at: datetime | None = None

    @property
    def parties(self) -> list[PhoneNumber]:
        return list(self.members)

    def places(self) -> Iterator[tuple[XNumber, PhoneNumber | None]]:
        """A's own, and that of strangers."""
        yield self.numbers[0], self.members[0]
        yield self.numbers[0], None

    def rung(self, caller: PhoneNumber) -> list[PhoneNumber]:
        """A, or whom A calls back."""
        if caller != self.members[0]:
            return list(self.members)
        return [] if self.last is None else [self.last]

    def remember(self, caller: PhoneNumber, now: datetime) -> None:
        """The last stranger is called back; of two at one moment the first."""
        if caller not in self.members and (self.last_at is None or self.last_at < now):
            self.last, self.last_at = caller, now

    def forget(self, person: PhoneNumber, since: datetime) -> None:
        """Nobody is called back whose number has another owner since."""
        if self.last == person and self.last_at is not None and self.last_at < since:
            self.last = self.last_at = None


@dataclass(eq=False)
class LockKept:
    """A lock as the model sees it, and what became of the last appeal against it."""

    subject: str
    what: Any
    tenant: str | None
    reason: LockReason
    made: datetime
    starts: datetime
    ends: datetime | None
    lifted: bool = False
    appeal: int | None = None
    state: State | None = None
    deadline: datetime | None = None

    def lift(self) -> None:
        self.lifted = True
        if self.state in OPEN:
            self.state = State.LIFTED

    def over(self, now: datetime) -> bool:
        return self.lifted or (self.ends is not None and self.ends <= now)

    def holds(self, now: datetime) -> bool:
        return self.starts <= now and not self.over(now)

    def on(self, person: PhoneNumber, tenant: str | None) -> bool:
        """Whether it is on a person, everywhere or for a tenant."""
        return self.what == person and self.tenant in {None, tenant}

    def stops(self, life: Life) -> bool:
        """Whether a binding may be carried over for it."""
        return (
            any(self.on(each, life.tenant) for each in life.parties)
            or self.what in life.numbers
            or self.what == life.name.block
        )


@dataclass(eq=False)
class Entry:
    """An entry of a block list as the model sees it."""

    person: PhoneNumber
    other: PhoneNumber | None
    tenant: str | None
    direction: BlockDirection
    added: datetime
    ends: datetime | None
    removed: bool = False

    def keeps(self, caller: PhoneNumber, callee: PhoneNumber, tenant: str, now: datetime) -> bool:
        holds = not self.removed and (self.ends is None or self.ends > now)
        out = self.person == caller and self.other in {None, callee}
        inwards = self.person == callee and self.other in {None, caller}
        return (
            holds
            and self.tenant in {None, tenant}
            and (
                (out and self.direction is not BlockDirection.IN)
                or (inwards and self.direction is not BlockDirection.OUT)
            )
        )


@dataclass
class Model:
    """All that is bound, locked, blocked and agreed, in plain Python."""

    now: datetime = NOW
    lives: list[Life] = field(default_factory=list)
    routes: dict[tuple[XNumber, PhoneNumber | None], Life] = field(default_factory=dict)
    """By which binding somebody calls, alive or over: the last that took the place."""
    locks: dict[int, LockKept] = field(default_factory=dict)
    entries: dict[int, Entry] = field(default_factory=dict)
    lines: list[tuple[PhoneNumber, str, Act, str | None, datetime]] = field(default_factory=list)
    consents: dict[str, Consent] = field(default_factory=dict)
    hours: dict[str, str | None] = field(default_factory=dict)
    unknown: dict[str, UnknownNumbers] = field(default_factory=dict)
    teams: dict[str, dict[PhoneNumber, datetime]] = field(default_factory=dict)

    def alive(self) -> list[Life]:
        return [each for each in self.lives if each.alive(self.now)]

    def held(self) -> Iterator[Life]:
        """Those that wait to learn whose number a party has."""
        return (each for each in self.alive() if each.state is BindingState.HELD)

    def locked(self, *subjects: str) -> Iterator[LockKept]:
        """The locks in force on such things."""
        for each in self.locks.values():
            if each.subject in subjects and each.holds(self.now):
                yield each

    def on(self, person: PhoneNumber, tenant: str | None) -> list[LockKept]:
        """The locks in force on a person, everywhere or for a tenant."""
        return [each for each in self.locked("person") if each.on(person, tenant)]

    def number_locked(self, x: XNumber, *, whole: bool = False) -> bool:
        """Whether a number or its block is locked; *whole*: its block."""
        of = (x.block,) if whole else (x, x.block)
        return any(each.what in of for each in self.locked("number", "block"))

    def tenant_locked(self, tenant: str) -> bool:
        return any(each.what == tenant for each in self.locked("tenant"))

    def is_open(self, life: Life) -> bool:
        """Whether it is within the hours of a binding, else of its tenant."""
        always = HOURS[life.hours or self.hours[life.tenant]]
        return self.now >= NOW + timedelta(minutes=1) if always is None else always

    def agrees(self, person: PhoneNumber, tenant: str, order: str | None) -> bool:
        said = [
            act
            for who, whose, act, about, _ in self.lines
            if (who, whose) == (person, tenant) and about in {None, order}
        ]
        return bool(said) and said[-1] is Act.GIVEN

    def change_owner(self, person: PhoneNumber, since: datetime) -> None:
        """Nothing of the old owner counts: words, block list, locks, calls, what is over."""
        for lock in self.locks.values():
            if lock.what == person and lock.made < since and not lock.over(self.now):
                lock.lift()
        for entry in self.entries.values():
            if person in {entry.person, entry.other} and entry.added < since:
                entry.removed = True
        self.lines = [each for each in self.lines if each[0] != person or each[4] >= since]
        for life in self.lives:
            if isinstance(life, OpenLife):
                life.forget(person, since)
        for place, life in list(self.routes.items()):
            began = life.since.get(person, since)
            if place[1] == person and began < since and not life.alive(self.now):
                del self.routes[place]

    def hurdles(
        self,
        tenant: str,
        parties: Collection[PhoneNumber],
        newcomers: Collection[PhoneNumber],
        taken: Collection[tuple[XNumber, PhoneNumber | None]],
        order: str | None,
        stated: How | None,
        *,
        own: Life | None = None,
        team: bool = False,
    ) -> set[type[Exception]]:
        """
        The errors with which somebody may be told that a bind cannot be.

        A number that is locked keeps nobody out of a party group, but its block does.
        """
        found: set[type[Exception]] = set()
        if any(self.on(each, tenant) for each in parties) or self.tenant_locked(tenant):
            found.add(Locked)
        if any(self.number_locked(x, whole=team) for x, _ in taken):
            found |= {Locked, NoNumberAvailable}
        for place in taken:
            life = self.routes.get(place)
            if life is not None and life is not own and life.alive(self.now):
                found.add(BindingConflict)
        rule = self.consents[tenant]
        if not (
            rule is Consent.OFF
            or (rule is Consent.ASSERTED and stated is not None)
            or all(self.agrees(each, tenant, order) for each in newcomers)
        ):
            found.add(ConsentMissing)
        return found

    def state(
        self,
        tenant: str,
        newcomers: Collection[PhoneNumber],
        order: str | None,
        stated: How | None,
    ) -> None:
        """What a tenant states with a bind is written down."""
        if self.consents[tenant] is Consent.ASSERTED and stated is not None:
            self.lines += [(each, tenant, Act.GIVEN, order, self.now) for each in newcomers]

    def expected(
        self, caller: PhoneNumber, x: XNumber, *, text: bool
    ) -> tuple[Reason | None, Life | None, list[PhoneNumber]]:
        """What must come of a call or a text: why not, by which binding, who is reached."""
        now, life = self.now, self.routes.get((x, caller))
        if life is None:
            anyones = self.routes.get((x, None))
            # A text says no extension.
            life = None if text and getattr(anyones, "extension", None) else anyones
        if self.number_locked(x):
            return Reason.X_LOCKED, life, []
        if self.on(caller, None):
            return Reason.PARTY_LOCKED, life, []
        if life is None:
            return Reason.STRANGER, None, []
        rung = life.rung(caller)
        tenant = life.tenant
        unblocked = [each for each in rung if not self.kept(caller, each, tenant)]
        free = [each for each in unblocked if not self.on(each, tenant)]
        strangers = isinstance(life, OpenLife)
        shown = life.numbers[1] if x == life.numbers[0] else life.numbers[0]
        over = Reason.EXPIRED if life.state in LIVE else Reason(life.state)
        fails: list[tuple[bool, Reason]] = [
            (self.tenant_locked(tenant), Reason.TENANT_SUSPENDED),
            (self.number_locked(shown), Reason.X_LOCKED),
            (not life.alive(now), over),
            (life.state is BindingState.HELD, Reason.RECYCLE_UNKNOWN),
            (
                text
                and (
                    getattr(life, "extension", None) is not None
                    or (life.callback is Callback.ALL and len(rung) > 1)
                ),
                Reason.MODE_UNSUPPORTED,
            ),
            (bool(self.on(caller, tenant)), Reason.PARTY_LOCKED),
            (not rung, Reason.NO_CALLBACK if strangers else Reason.NO_DEFAULT_PARTY),
            (not unblocked, Reason.BLOCKED),
            (not free, Reason.CALLEE_LOCKED),
            (not self.is_open(life), Reason.OUTSIDE_HOURS),
            (text and unblocked[:1] != rung[:1], Reason.BLOCKED),
            (text and free[:1] != rung[:1], Reason.CALLEE_LOCKED),
        ]
        why = next((reason for fails_now, reason in fails if fails_now), None)
        return why, life, [] if why else free[:1] if text else free

    def kept(self, caller: PhoneNumber, callee: PhoneNumber, tenant: str) -> bool:
        return any(each.keeps(caller, callee, tenant, self.now) for each in self.entries.values())


class Machine(RuleBasedStateMachine):
    """What may happen to four persons on three numbers, for two tenants."""

    opened: Callable[[], AbstractContextManager[Connection]]
    """A connection whose database nobody has written to, and of which nothing is kept."""
    at_once: bool
    """Whether all is in one database, in which one transaction changes all that is bound."""
    keys: KeyRing
    path: Path

    @initialize()
    def begin(self) -> None:
        self.model = Model()
        self.stack = ExitStack()
        self.connection = self.stack.enter_context(self.opened())
        set_clock(self.connection, NOW)
        self.queries = Queries(self.connection)
        self.use(check_keys(self.connection, self.keys))
        self.feed = self.recycler.store.add(
            "a feed", kind=FeedKind.STDIN, path=None, numbers=NumberForm.PLAIN, trust=Trust.FULL
        )
        for block in BLOCKS:
            self.store.inventory.add_block(block, operator=None, certificate=None)
        known = self.store.inventory.tenants
        known.add(OTHER)
        for tenant, consent, unknown in (
            (DEFAULT, Consent.OFF, UnknownNumbers.HOLD),
            (OTHER, Consent.ASSERTED, UnknownNumbers.REFUSE),
        ):
            self.hold(tenant, consent)
            self.wait_for(tenant, unknown)
            self.open(tenant, None)
            self.store.add_group(tenant, TEAM, [C])
            self.model.teams[tenant] = {C: NOW}
        self.told: dict[tuple[XNumber, PhoneNumber, bool], Any] = {}
        self.turn = 0
        always = next(each for each in HOURS if each and HOURS[each])
        self.bind([B, A, C, D], "axb", Callback.LAST, PLACES[0], DEFAULT, None, None, 3600, always)
        self.bind([B, A, C, D], "gxb", Callback.ALL, PLACES[1], OTHER, "O-1", How.APP, 3600, None)
        self.bind([D, C, B, A], "team", Callback.LAST, PLACES[2], DEFAULT, None, None, 30, None)
        for x in OPEN_PLACES:
            self.bind_open(A, x, DEFAULT, None, None, 3600, None)
        self.wait(10)

    def use(self, keys: KeyRing) -> None:
        """Do all by these keys from now on."""
        self.keys = keys
        self.store = BindingStore(self.connection, keys, NO_REST, open_modes=True)
        self.appeals = AppealStore(self.queries, keys, SPANS)
        self.recycler = Recycler(self.connection, keys)

    @precondition(lambda self: self.at_once)
    @precondition(lambda self: len(self.keys.tag_keys) + len(self.keys.seal_keys) < MOST_KEYS)
    @rule(kinds=st.sampled_from([("tag",), ("seal",), ("tag", "seal")]), whole=st.booleans())
    def rotate(self, kinds: tuple[KeyKind, ...], whole: bool) -> None:  # noqa: FBT001 - drawn
        """Write by new keys, and perhaps bring what stands there under them: nothing changes."""
        self.path.unlink(missing_ok=True)
        write_key_ring(self.path, self.keys)
        rotation = Rotation(self.connection, self.keys, self.path)
        rotation.switch(rotation.add(kinds))
        if whole:
            for _ in rotation.renewal().run():
                pass
            rotation.renew_secrets()
        self.use(rotation.keys)

    # What is bound.

    def attempt(self, hurdles: set[type[Exception]], work: Callable[[], Any]) -> Any:
        """Do what is refused if and only if something stands in the way, and by its name."""
        try:
            done = work()
        except tuple(hurdles):
            return None
        assert not hurdles
        return done

    @rule(
        who=several,
        kind=st.sampled_from(["axb", "axb", "axyb", "gxb", "team"]),
        callback=st.sampled_from([Callback.LAST, Callback.ALL, Callback.SEQUENCE]),
        x=places,
        tenant=tenants,
        order=orders,
        stated=st.sampled_from([How.APP, How.APP, None]),
        life=st.sampled_from([10, 30, 3600]),
        hours=hours,
    )
    def bind(
        self,
        who: list[PhoneNumber],
        kind: str,
        callback: Callback,
        x: XNumber,
        tenant: str,
        order: str | None,
        stated: How | None,
        life: int,
        hours: str | None,
    ) -> None:
        """Bind two, or a group and one, on a number that is given."""
        model = self.model
        b, members = who[0], who[1:2]
        numbers = x, x
        parties: Parties = Axb(a=members[0], b=b)
        if kind == "axyb":
            numbers = x, PLACES[1] if x == PLACES[0] else x.block.number(9)
            parties = Axyb(a=members[0], b=b)
        elif kind == "gxb":
            members = who[1:3]
            parties = Gxb(members=tuple(members), b=b, callback=callback)
        elif kind == "team":
            members = list(model.teams[tenant])
            parties = Gxb(group=TEAM, b=b, callback=callback)
        grouped = kind in {"gxb", "team"}
        taken = [*((numbers[0], each) for each in members), (numbers[1], b)]
        hurdles = model.hurdles(tenant, {*members, b}, {*members, b}, taken, order, stated)
        if not members:
            hurdles.add(ModeError)
        if b in members:
            hurdles.add(SameParty)
        made = self.attempt(
            hurdles,
            lambda: self.store.bind(
                parties,
                Terms(
                    expires_at=model.now + timedelta(seconds=life),
                    tenant=tenant,
                    order_id=order,
                    consent=stated,
                    messages=Messages.BOTH,
                    hours=hours,
                ),
                x=x,
                y=numbers[1] if kind == "axyb" else None,
            ),
        )
        if made is None:
            return
        model.state(tenant, [*members, b], order, stated)
        born = Life(
            made.id,
            tenant,
            order,
            stated,
            numbers,
            members,
            b,
            callback if grouped else None,
            kind == "team",
            made.expires_at,
            dict.fromkeys((*members, b), model.now),
            hours=hours,
        )
        model.lives.append(born)
        model.routes.update(dict.fromkeys(born.places(), born))

    @rule(
        a=people,
        x=st.sampled_from(list(OPEN_PLACES)),
        tenant=tenants,
        order=orders,
        stated=st.sampled_from([How.APP, None]),
        life=st.sampled_from([10, 3600]),
        hours=hours,
    )
    def bind_open(
        self,
        a: PhoneNumber,
        x: XNumber,
        tenant: str,
        order: str | None,
        stated: How | None,
        life: int,
        hours: str | None,
    ) -> None:
        """Bind one whom strangers reach, on a number that is nobody else's."""
        model, extension = self.model, OPEN_PLACES[x]
        hurdles = model.hurdles(tenant, {a}, {a}, [(x, a), (x, None)], order, stated)
        parties = Ax(a=a) if extension is None else Axe(a=a, extension=extension)
        terms = Terms(
            expires_at=model.now + timedelta(seconds=life),
            tenant=tenant,
            order_id=order,
            consent=stated,
            hours=hours,
            messages=Messages.BOTH,
        )
        made = self.attempt(hurdles, lambda: self.store.bind(parties, terms, x=x))
        if made is None:
            return
        model.state(tenant, [a], order, stated)
        born = OpenLife(
            made.id,
            tenant,
            order,
            stated,
            (x, x),
            [a],
            a,
            None,
            team=False,
            expires=made.expires_at,
            since={a: model.now},
            hours=hours,
            extension=extension,
        )
        model.lives.append(born)
        model.routes.update(dict.fromkeys(born.places(), born))

    def alive(self, pick: int, *, group: bool | None = None) -> Life | None:
        """One of those that live."""
        found = [
            each
            for each in self.model.alive()
            if group in {None, each.callback is not None and not each.team}
        ]
        return found[pick % len(found)] if found else None

    @precondition(lambda self: self.model.alive())
    @rule(pick=picks)
    def unbind(self, pick: int) -> None:
        """Unbind one that lives."""
        life = self.alive(pick)
        assert life is not None
        self.store.unbind(life.name)
        life.state = BindingState.UNBOUND

    @precondition(lambda self: self.model.alive())
    @rule(pick=picks, side=st.sampled_from(Side), person=people)
    def replace(self, pick: int, side: Side, person: PhoneNumber) -> None:
        """Put another into the place of A or B."""
        life, model = self.alive(pick), self.model
        assert life is not None
        nobody = Side.B if isinstance(life, OpenLife) else Side.A
        grouped = life.callback is not None or isinstance(life, OpenLife)
        if person in life.parties or (grouped and side is nobody):
            return
        leaves = life.b if side is Side.B else life.members[0]
        whole = {*life.parties, person} - {leaves}
        came = life.numbers[1] if side is Side.B else life.numbers[0], person
        others = [place for place in life.places() if place[1] != leaves]
        hurdles = model.hurdles(
            life.tenant, whole, [person], [came, *others], life.order, life.stated, own=life
        )
        done = self.attempt(hurdles, lambda: self.store.replace(life.name, side, person))
        if done is None:
            return
        model.state(life.tenant, [person], life.order, life.stated)
        for place in life.places():
            model.routes.pop(place)
        if side is Side.B:
            life.b = person
        else:
            life.members[0] = person
        life.know(leaves)
        life.last = None
        if isinstance(life, OpenLife):
            life.last_at = None
        life.since.setdefault(person, model.now)
        model.routes.update(dict.fromkeys(life.places(), life))

    @precondition(lambda self: self.alive(0, group=True))
    @rule(pick=picks, person=people)
    def change_members(self, pick: int, person: PhoneNumber) -> None:
        """Let somebody into a group of its own, or take it out."""
        life, model = self.alive(pick, group=True), self.model
        assert life is not None
        if person == life.b:
            return
        place = life.numbers[0], person
        if person in life.members:
            only: set[type[Exception]] = {ModeError} if len(life.members) == 1 else set()
            if self.attempt(only, lambda: self.store.remove_member(life.name, person)):
                life.leave(person)
                del model.routes[place]
            return
        hurdles = model.hurdles(
            life.tenant, {life.b, person}, [person], [place], life.order, life.stated
        )
        if self.attempt(hurdles, lambda: self.store.add_members(life.name, [person])):
            model.state(life.tenant, [person], life.order, life.stated)
            life.members.append(person)
            life.since.setdefault(person, model.now)
            model.routes[place] = life

    @rule(tenant=tenants, person=people)
    def change_team(self, tenant: str, person: PhoneNumber) -> None:
        """Let somebody into a party group or take it out, in all bindings by it at once."""
        model = self.model
        team = model.teams[tenant]
        lives = [each for each in model.alive() if each.team and each.tenant == tenant]
        hurdles: set[type[Exception]] = set()
        if person in team:
            if lives and len(team) == 1:
                hurdles = {ModeError}
        else:
            for life in lives:
                place = life.numbers[0], person
                hurdles |= model.hurdles(
                    tenant, [person], [person], [place], life.order, life.stated, team=True
                )
                if life.b == person:
                    hurdles.add(SameParty)
        leaving = [person] if person in team else []
        joining = [] if person in team else [person]
        done = self.attempt(
            hurdles,
            lambda: self.store.change_members(tenant, TEAM, joining=joining, leaving=leaving),
        )
        if done is None:
            return
        for life in lives:
            place = life.numbers[0], person
            if person in team:
                life.leave(person)
                del model.routes[place]
            else:
                model.state(tenant, [person], life.order, life.stated)
                life.members.append(person)
                life.since.setdefault(person, model.now)
                model.routes[place] = life
        if person in team:
            del team[person]
        else:
            team[person] = model.now

    @rule(pick=picks, order=orders)
    def change_order(self, pick: int, order: str | None) -> None:
        """A binding comes under another order, to which its parties must have agreed."""
        life, model = self.alive(pick), self.model
        if life is None or order == life.order:
            return
        hurdles = model.hurdles(life.tenant, (), life.parties, (), order, life.stated)
        hurdles.discard(Locked)
        if self.attempt(hurdles, lambda: self.store.change(life.name, order_id=order)):
            model.state(life.tenant, life.parties, order, life.stated)
            life.order = order

    # Who is locked.

    @rule(person=people, tenant=st.none() | tenants, reason=reasons, after=soon, span=ends)
    def lock_person(
        self,
        person: PhoneNumber,
        tenant: str | None,
        reason: LockReason,
        after: timedelta,
        span: timedelta | None,
    ) -> None:
        """Lock a person, everywhere or for a tenant."""
        self.lock("person", person, tenant, reason, after, span)

    @rule(thing=others, reason=reasons, after=soon, span=ends)
    def lock_other(
        self,
        thing: tuple[str, Any],
        reason: LockReason,
        after: timedelta,
        span: timedelta | None,
    ) -> None:
        """Lock a number, a block or a tenant."""
        self.lock(*thing, None, reason, after, span)

    def lock(
        self,
        subject: str,
        what: Any,
        tenant: str | None,
        reason: LockReason,
        after: timedelta,
        span: timedelta | None,
    ) -> None:
        """Lock something now or later, for a time or for long."""
        if span is None and reason is LockReason.MAINTENANCE:
            reason = LockReason.ARREARS
        starts = self.model.now + after
        until = None if span is None else starts + span
        named = {subject: what} if subject != "tenant" else {}
        locked = LockedThing(
            subject=Subject(subject), tenant=what if subject == "tenant" else tenant, **named
        )
        made = self.store.locks.set(locked, reason, by=BY, starts_at=starts, ends_at=until)
        self.model.locks[made.id] = LockKept(
            subject, what, tenant, reason, self.model.now, starts, until
        )

    def lock_at(self, pick: int) -> tuple[int, LockKept]:
        found = sorted(self.model.locks)
        lock_id = found[pick % len(found)]
        return lock_id, self.model.locks[lock_id]

    @precondition(lambda self: self.model.locks)
    @rule(pick=picks)
    def lift(self, pick: int) -> None:
        """Lift a lock, unless it is over."""
        lock_id, kept = self.lock_at(pick)
        if kept.over(self.model.now):
            return
        self.store.locks.lift(lock_id, by=BY)
        kept.lift()

    @precondition(lambda self: self.model.locks)
    @rule(pick=picks, step=st.sampled_from(["file", "evidence", *AppealStep]))
    def appeal(self, pick: int, step: str) -> None:
        """Do a step of an appeal that may be done."""
        lock_id, kept = self.lock_at(pick)
        now = self.model.now
        if step == "file":
            if kept.over(now) or kept.state in OPEN:
                return
            found = self.appeals.file(lock_id, by=BY)
            kept.appeal = found.id
            kept.state = State.FILED if EVIDENCE[kept.reason] else State.COMPLETE
        elif step == "evidence":
            if kept.state is not State.FILED or kept.appeal is None:
                return
            for kind in EVIDENCE[kept.reason]:
                evidence = Evidence(kind=kind, reference="a ticket", digest="0" * 64)
                found = self.appeals.add_evidence(kept.appeal, evidence, by=BY)
            kept.state = State.COMPLETE
        else:
            wanted = AppealStep(step)
            if wanted in {AppealStep.COMPLETE, AppealStep.LAPSE} or kept.appeal is None:
                return
            try:
                kept_next = take(kept.state or State.LAPSED, wanted, actor=JUDGE, set_by=BY)
            except AgiRouterError:
                return
            found = self.appeals.take(kept.appeal, wanted, by=JUDGE)
            kept.state = kept_next
            if wanted is AppealStep.LIFT:
                kept.lifted = True
        assert found.state is kept.state
        span = SPANS.of(found.state)
        kept.deadline = None if span is None else now + span

    def upheld(self) -> list[LockKept]:
        """The locks against which an appeal was of no use."""
        return [each for each in self.model.locks.values() if each.state is State.UPHELD]

    @precondition(lambda self: self.model.alive())
    @rule(
        pick=picks,
        side=st.sampled_from(["a", "b", "number", "block"]),
        instead=people,
        then=st.sampled_from([None, "lift", *STATUSES]),
    )
    def uphold(self, pick: int, side: str, instead: PhoneNumber, then: str | None) -> None:
        """Lock what stops a binding, uphold that, carry it over; a feed tells of a party then."""
        life = self.alive(pick)
        assert life is not None
        match side:
            case "number":
                thing: tuple[str, Any] = "number", life.numbers[0]
            case "block":
                thing = "block", life.name.block
            case _:
                thing = "person", life.parties[0 if side == "a" else -1]
        self.lock(*thing, None, LockReason.ARREARS, timedelta(), None)
        for step in ("file", "evidence", AppealStep.REVIEW, AppealStep.UPHOLD):
            self.appeal(len(self.model.locks) - 1, step)
        kept = self.model.locks[max(self.model.locks)]
        if then == "lift":
            # Then nothing is carried over any more.
            self.lift(len(self.model.locks) - 1)
        self.carry_over(kept, life, instead if thing[0] == "person" else None)
        if then in STATUSES:
            # Whoever was carried over is as old a party as before.
            self.recycle(life.parties[-1 if side == "a" else 0], timedelta(), then)

    @precondition(lambda self: self.upheld())
    @rule(pick=picks, other=picks, instead=st.none() | people)
    def rebind(self, pick: int, other: int, instead: PhoneNumber | None) -> None:
        """Carry a binding over for which it was upheld before, if the lock stops it."""
        kept = self.upheld()[pick % len(self.upheld())]
        stopped = [each for each in self.model.alive() if kept.stops(each)]
        if stopped:
            self.carry_over(kept, stopped[other % len(stopped)], instead)

    def carry_over(self, kept: LockKept, life: Life, instead: PhoneNumber | None) -> None:
        """Carry a binding over to another number, without whoever is locked."""
        model, appeal_id = self.model, kept.appeal
        assert appeal_id is not None
        hurdles, members, b = self.without(kept, life, instead)
        if life.state is BindingState.HELD:
            hurdles.add(RequestInvalid)
        if kept.over(model.now):
            hurdles.add(AppealNotReady)
        whole = {*members} if isinstance(life, OpenLife) else {*members, b}
        hurdles |= model.hurdles(life.tenant, whole, whole, (), life.order, life.stated)
        if all(self.model.number_locked(each.number(0), whole=True) for each in BLOCKS):
            hurdles.add(NoNumberAvailable)
        made = self.attempt(
            hurdles,
            lambda: self.store.rebind(
                self.appeals.find(appeal_id), life.name, instead=instead, by=JUDGE
            ),
        )
        if made is None:
            return
        model.state(life.tenant, whole, life.order, life.stated)
        life.state = BindingState.UNBOUND
        agreed = (life.tenant, life.order, life.hours, life.expires)
        assert (made.tenant, made.order_id, made.hours, made.expires_at) == agreed
        dials = [each.dials for each in made.parties]
        assert None not in dials
        assert not {*dials} & {*life.numbers}
        born = replace(
            life,
            name=made.id,
            numbers=(dials[0], dials[-1]),
            members=list(members),
            b=b,
            state=BindingState.ACTIVE,
            since=dict.fromkeys(whole, model.now) | life.since,
            last=None,
            waits=set(),
        )
        if isinstance(born, OpenLife):
            born.last_at = None
        model.lives.append(born)
        model.routes.update(dict.fromkeys(born.places(), born))

    def without(
        self, kept: LockKept, life: Life, instead: PhoneNumber | None
    ) -> tuple[set[type[Exception]], list[PhoneNumber], PhoneNumber]:
        """Who is bound in place of the parties of a binding, and what is wrong with that."""
        hurdles: set[type[Exception]] = set()
        members, b = list(life.members), life.b
        if kept.subject != "person":
            return {RequestInvalid} if instead is not None else hurdles, members, b
        if life.callback is not None and kept.what in members:
            if life.team:
                return {RequestInvalid}, members, b
            come = [] if instead is None or instead in members else [instead]
            members = [*(each for each in members if each != kept.what), *come]
            if not members:
                return {RequestInvalid}, members, b
        elif instead is None:
            return {RequestInvalid}, members, b
        elif kept.what in members:
            members = [instead]
        else:
            b = instead
        if b in members and not isinstance(life, OpenLife):
            hurdles.add(SameParty)
        return hurdles, members, b

    # Whose number has another owner, and who agrees.

    @rule(person=people, ago=spans, status=statuses)
    def recycle(self, person: PhoneNumber, ago: timedelta, status: str) -> None:
        """A feed says since when a number has a new owner, that it has none, or is unknown."""
        model = self.model
        until = model.now - ago if status == "reissued" else model.now
        line = f"number,status,date\n{person.digits},{status},{until.isoformat()}\n"
        file = io.BytesIO(line.encode())
        self.recycler.run(self.feed, file, name="file", digest=secrets.token_bytes(32))
        sure = status == "reissued"
        if status == "kept":
            for life in model.alive():
                life.know(person)
            return
        for life in model.alive():
            began = life.since.get(person, model.now)
            if life.team:
                began = min(began, model.teams[life.tenant].get(person, began))
            if person in life.parties and began < until:
                self.doubt(life, person, sure=sure)
        for tenant, team in model.teams.items():
            goes = sure or model.unknown[tenant] is UnknownNumbers.REFUSE
            if goes and team.get(person, until) < until:
                del team[person]
        if sure:
            model.change_owner(person, until)

    def doubt(self, life: Life, person: PhoneNumber, *, sure: bool) -> None:
        """What becomes of a binding whose party may be another one by now."""
        policy = self.model.unknown[life.tenant]
        if not sure and policy is UnknownNumbers.RING:
            return
        if not sure and policy is UnknownNumbers.HOLD:
            life.state = BindingState.HELD
            life.waits.add(person)
            return
        life.state = BindingState.PARTY_RECYCLED if sure else BindingState.RECYCLE_UNKNOWN
        for place in life.places():
            # Who has the number now is a stranger there.
            if place[1] == person:
                self.model.routes.pop(place)

    @precondition(lambda self: any(self.model.held()))
    @rule(pick=picks)
    def release(self, pick: int) -> None:
        """The operator lets a binding ring again that is held."""
        found = list(self.model.held())
        life = found[pick % len(found)]
        self.recycler.store.release(life.name)
        life.waits.clear()
        life.state = BindingState.ACTIVE

    @rule(tenant=tenants, unknown=st.sampled_from(UnknownNumbers))
    def wait_for(self, tenant: str, unknown: UnknownNumbers) -> None:
        """Say what becomes of bindings whose party nobody knows."""
        self.store.inventory.tenants.set_unknown_numbers(tenant, unknown)
        self.model.unknown[tenant] = unknown

    @rule(tenant=tenants, hours=hours)
    def open(self, tenant: str, hours: str | None) -> None:
        """Say in which hours calls and texts go through."""
        self.store.inventory.tenants.set_hours(tenant, hours)
        self.model.hours[tenant] = hours

    @rule(
        who=several,
        x=places,
        direction=st.sampled_from(BlockDirection),
        anybody=st.booleans(),
        inwards=st.booleans(),
    )
    def come_anew(
        self,
        who: list[PhoneNumber],
        x: XNumber,
        direction: BlockDirection,
        anybody: bool,  # noqa: FBT001 - drawn
        inwards: bool,  # noqa: FBT001 - drawn
    ) -> None:
        """Somebody was kept from another and locked, and a new owner of the number is bound."""
        pair = [who[1], who[0], *who[2:]] if inwards else who
        self.keep_apart(pair, anybody and not inwards, None, direction, None)
        self.lock("person", who[0], None, LockReason.ARREARS, timedelta(), None)
        self.wait(1)
        self.recycle(who[0], timedelta(), "reissued")
        self.bind(who, "axb", Callback.LAST, x, DEFAULT, None, None, 3600, None)

    @rule(tenant=tenants, consent=st.sampled_from(Consent))
    def hold(self, tenant: str, consent: Consent) -> None:
        """Hold a tenant to consent, or no more."""
        self.store.inventory.tenants.set_rules(tenant, RulesChange(consent=consent))
        self.model.consents[tenant] = consent

    @rule(person=people, tenant=tenants, order=orders)
    def agree(self, person: PhoneNumber, tenant: str, order: str | None) -> None:
        """Agree to be bound."""
        said = Statement(act=Act.GIVEN, how=How.PAPER, order=order)
        self.store.consents.write(person, tenant, said, by=BY)
        self.model.lines.append((person, tenant, Act.GIVEN, order, self.model.now))

    @rule(person=people, tenant=tenants, order=orders)
    def withdraw(self, person: PhoneNumber, tenant: str, order: str | None) -> None:
        """Agree no longer: what one is party of ends."""
        model = self.model
        mine = [
            life
            for life in model.alive()
            if person in life.parties and life.tenant == tenant and order in {None, life.order}
        ]
        said = Statement(act=Act.WITHDRAWN, order=order)
        _, ended = self.store.withdraw(person, tenant, said, by=BY)
        assert {each.id for each in ended} == {life.name for life in mine}
        for life in mine:
            life.state = BindingState.CONSENT_WITHDRAWN
        model.lines.append((person, tenant, Act.WITHDRAWN, order, model.now))
        if order is None:
            model.teams[tenant].pop(person, None)

    # Who is kept from whom.

    @rule(
        pair=several,
        anybody=st.booleans(),
        tenant=st.none() | tenants,
        direction=st.sampled_from(BlockDirection),
        span=ends,
    )
    def keep_apart(
        self,
        pair: list[PhoneNumber],
        anybody: bool,  # noqa: FBT001 - drawn
        tenant: str | None,
        direction: BlockDirection,
        span: timedelta | None,
    ) -> None:
        """Put a person on a block list."""
        person, other = pair[0], None if anybody else pair[1]
        now = self.model.now
        until = None if span is None else now + span
        pairing = Pairing(person=person, other=other, tenant=tenant)
        made = self.store.blocklist.add(pairing, by=BY, direction=direction, ends_at=until)
        self.model.entries[made.id] = Entry(person, other, tenant, direction, now, until)

    @precondition(lambda self: self.model.entries)
    @rule(pick=picks)
    def take_off(self, pick: int) -> None:
        """Remove an entry, unless it is over."""
        found = sorted(self.model.entries)
        entry_id = found[pick % len(found)]
        entry = self.model.entries[entry_id]
        if not entry.removed and (entry.ends is None or entry.ends > self.model.now):
            self.store.blocklist.remove(entry_id, by=BY)
            entry.removed = True

    # Time.

    @rule(span=st.sampled_from([1, 5, 10]))
    def wait(self, span: int) -> None:
        """Let time pass, to the moment at which things begin and end."""
        self.model.now += timedelta(seconds=span)
        set_clock(self.connection, self.model.now)

    @rule()
    def look_after(self) -> None:
        """Put away what is over: that changes nothing but what is late."""
        for name in ("end_locks", "lapse_appeals", "end_blocklist", "expire_bindings"):
            self.queries.row(name, {"limit": 100})
        for kept in self.model.locks.values():
            if kept.over(self.model.now) and kept.state in OPEN:
                kept.state = State.LIFTED
            late = kept.deadline is not None and kept.deadline <= self.model.now
            if late and kept.state is State.FILED:
                kept.state = State.LAPSED

    # Who is reached.

    @invariant()
    def reached(self) -> None:
        """Who calls or writes reaches whom it must: where that has changed, and others in turn."""
        numbers = [*PLACES, *OPEN_PLACES, *self.carried()]
        for place, (x, caller, text) in enumerate(product(numbers, PEOPLE, (False, True))):
            why, life, rung = self.model.expected(caller, x, text=text)
            told = why, life, tuple(rung)
            if self.told.get((x, caller, text)) != told or place % 12 == self.turn % 12:
                self.told[x, caller, text] = told
                (self.text if text else self.call)(caller, x)
        self.turn += 1

    def carried(self) -> list[XNumber]:
        """Numbers that were found for the bindings that were carried over last."""
        found = dict.fromkeys(each for life in self.model.lives for each in life.numbers)
        return [each for each in found if each not in {*PLACES, *OPEN_PLACES}][-3:]

    def call(self, caller: PhoneNumber, x: XNumber) -> None:
        """Call: who rings is who must, or the reason says what keeps the caller off."""
        why, life, rung = self.model.expected(caller, x, text=False)
        call = self.dial(caller, x)
        answer = self.admit(call)
        decision = decide(call, answer.facts, now=answer.now)
        assert answer.admitted is isinstance(decision, Route)
        match decision:
            case Route():
                assert why is None, why
                assert life is not None
                assert list(decision.callees) == rung
                assert decision.binding == str(life.name)
                life.reached_by(caller)
                if isinstance(life, OpenLife):
                    self.remember(life, caller)
            case Refusal():
                self.check_refusal(decision, caller, why, life)
            case _:
                raise AssertionError(decision)

    def check_refusal(
        self, decision: Refusal, caller: PhoneNumber, why: Reason | None, life: Life | None
    ) -> None:
        """The reason is the one, and a locked caller hears of its own lock and appeal."""
        nobody = {Reason.NO_BINDING, Reason.STRANGER}
        assert why is decision.reason or {why, decision.reason} <= nobody, (why, decision)
        if decision.reason is Reason.PARTY_LOCKED:
            tenant = None if life is None else life.tenant
            mine = self.model.on(caller, tenant) or self.model.on(caller, None)
            heard = {(each.reason, to_prompt(each.state)) for each in mine}
            assert (decision.lock, decision.appeal) in heard

    def text(self, caller: PhoneNumber, x: XNumber) -> None:
        """Send a text: who receives it is who must."""
        why, life, rung = self.model.expected(caller, x, text=True)
        answer = self.admit_text(caller, x)
        text = Text(sender=caller, x_number=x, body="a")
        found = decide_text(text, answer.facts, now=answer.now)
        assert answer.admitted is isinstance(found, Taken)
        if isinstance(found, Taken):
            assert why is None, why
            assert life is not None
            assert [found.receiver] == rung
            life.reached_by(caller)
            if isinstance(life, OpenLife):
                life.remember(caller, self.model.now)
        else:
            assert isinstance(found, Refusal)
            nobody = {Reason.NO_BINDING, Reason.STRANGER}
            assert why is found.reason or {why, found.reason} <= nobody, (why, found)

    def remember(self, life: OpenLife, caller: PhoneNumber) -> None:
        """Write a stranger down, as the router does."""
        if caller in life.members:
            return
        x = life.numbers[0].value
        row = Row(life.name.id, x, 0, Side.A, shown=x)
        values = {
            "block": life.name.block.value,
            "id": life.name.id,
            "at": self.model.now,
            "caller": self.keys.seal([caller], row, Purpose.LAST_CALLER),
            "tag": self.keys.tag(caller),
        }
        self.queries.execute("remember_caller", {**values, **key_ids(self.keys)})
        life.remember(caller, self.model.now)

    def dial(self, caller: PhoneNumber, x: XNumber) -> Call:
        """A call; a stranger types the extension where there is one."""
        life = self.model.routes.get((x, None))
        known = (x, caller) in self.model.routes
        if known or not isinstance(life, OpenLife) or life.extension is None:
            return a_call(caller, x)
        return replace(a_call(caller, x), typed=DialledExtension(extension=life.extension))

    def admit(self, call: Call) -> Admission:
        x, strangers = call.x_number, (call.x_number, None) in self.model.routes
        tags, person = caller_tags(call, self.keys, open_modes=strangers)
        # Its day is bound by the server's own clock, which nobody here sets.
        call_id = new_call_id()
        values = {
            "block": x.block.value,
            "x_number": x.value,
            "tags": tags,
            "person": person,
            "strangers": [],
            "call_id": call_id,
            "day": call_day(call_id),
        }
        name = "admit_person" if strangers else "admit"
        row = self.connection.execute(query(name), values).fetchone()
        assert row is not None
        return read_admission(row, call.caller, x, self.keys)

    def admit_text(self, caller: PhoneNumber, x: XNumber) -> Admission:
        name = name_message(x.block, NOW, secrets.randbits(64))
        text, known = Text(sender=caller, x_number=x, body="a"), None
        while True:
            values = {
                **asked(self.keys, caller, x, name),
                **sealed_stranger(text, self.keys, known),
                "tags": sender_tags(text, self.keys, open_modes=(x, None) in self.model.routes),
            }
            row = self.connection.execute(query("admit_message"), values).fetchone()
            assert row is not None
            answer = read_admission(row, caller, x, self.keys, text=True)
            binding = answered_by(text, answer)
            if answer.admitted or binding == known:
                return answer
            known = binding

    def teardown(self) -> None:
        if hasattr(self, "model"):
            self.stack.close()


@pytest.fixture
def machine(
    server: Server | Cells, request: pytest.FixtureRequest, keys: KeyRing, tmp_path: Path
) -> type[Machine]:
    """The machine, on a database of its own; or where there are cells, on one for each run."""
    if isinstance(server, Cells):
        opened = partial(_on_cells, server)
    else:
        opened = partial(_undone, request.getfixturevalue("shadowed"))

    class Here(Machine):
        path = tmp_path / "key"
        at_once = not isinstance(server, Cells)

    Here.opened = staticmethod(opened)
    Here.keys = keys
    return Here


@contextmanager
def _undone(connection: Connection) -> Iterator[Connection]:
    with connection.transaction(force_rollback=True):
        yield connection


@contextmanager
def _on_cells(cells: Cells) -> Iterator[Connection]:
    """A cell sees what is committed in front, and nothing else."""
    dsn = cells.clone()
    clock = cells.clock(dsn)
    try:
        with connect(dsn) as connection:
            yield connection
    finally:
        clock.close()
        cells.drop(dsn)


def test_an_old_owner_leaves_nothing_behind(machine: type[Machine]) -> None:
    """Neither a lock nor an entry of a block list holds for whoever has the number by now."""
    for inwards in (False, True):
        found = machine()
        found.begin()
        with found.stack:
            found.come_anew(
                [A, B, C, D], PLACES[0], BlockDirection.BOTH, anybody=False, inwards=inwards
            )
            found.reached()


def test_what_is_carried_over_is_as_old_as_before(machine: type[Machine]) -> None:
    """It has its terms and its end, and a new owner of a party's number ends it."""
    for side in ("a", "number"):
        found = machine()
        found.begin()
        with found.stack:
            found.uphold(0, side, D, "reissued")
            assert found.model.lives[-1].state is BindingState.PARTY_RECYCLED
            found.reached()


def test_whatever_happens(machine: type[Machine]) -> None:
    """No call and no text reaches who may not be reached, and nobody is refused without a rule."""
    usual = "45,30" if machine.at_once else "3,25"
    runs, steps = map(int, os.environ.get("PERSONS_LONG", usual).split(","))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=runs,
            stateful_step_count=steps,
            deadline=None,
            report_multiple_bugs=False,
            derandomize="PERSONS_LONG" not in os.environ,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

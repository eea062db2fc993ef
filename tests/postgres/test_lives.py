"""Any order of binding, ending, calling, sweeping: the database does what a plain model does."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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

from agi_router.bindings.model import Binding, BindingId
from agi_router.bindings.modes import Axb
from agi_router.bindings.policy import Affinity, NumberPolicy
from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import BindingState, Counting, Side
from agi_router.calls.decision import Refusal, Route, decide
from agi_router.calls.end import Outcome, call_day
from agi_router.calls.rows import read_admission
from agi_router.db.connection import Connection
from agi_router.db.queries import query
from agi_router.errors import BindingConflict, BindingEnded, BindingNotFound, NumberResting
from agi_router.inventory.capacity import Quarantine
from agi_router.keys.ring import KeyRing
from agi_router.maintenance.classes import Retention
from agi_router.maintenance.retention import Sweep
from agi_router.numbers import PhoneNumber, XNumber
from harness.database import a_call, bind, dials, new_call_id, on_each_version, set_clock
from harness.values import BLOCK, A, B, C, D

pytestmark = on_each_version

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
RESTS = Quarantine(number=timedelta(minutes=10), party=timedelta(hours=1))
RETENTION = Retention()
PLACES = [BLOCK.number(serial) for serial in range(2)]
PEOPLE = [A, B, C, D]
MINUTE = timedelta(minutes=1)
UNTOLD = ("reason", "ring_ms", "talk_ms", "released_by", "cause", "sip_status", "clock")

people = st.permutations(PEOPLE).map(lambda order: order[:2])
places = st.sampled_from(PLACES)
lives = st.sampled_from([1, 5, 30]).map(lambda minutes: minutes * MINUTE)
# A rest's last moment, and the one after it, are where rules differ.
jumps = st.sampled_from([1, 5, 9, 10, 11, 30, 50, 60]).map(lambda minutes: minutes * MINUTE)
picks = st.integers(0, 99)


@dataclass
class Life:
    """A binding as the model sees it."""

    name: BindingId
    pair: frozenset[PhoneNumber]
    x: XNumber
    expires: datetime
    max_calls: int | None
    counting: Counting
    order: str
    sticky: bool
    ended: datetime | None = None
    state: BindingState = BindingState.ACTIVE
    used: int = 0
    settled: int = 0
    forgotten: bool = False

    @property
    def end(self) -> datetime:
        return self.ended or self.expires

    def alive(self, now: datetime) -> bool:
        return self.end > now

    def state_at(self, now: datetime) -> BindingState:
        if self.state is BindingState.ACTIVE and not self.alive(now):
            return BindingState.EXPIRED
        return self.state


@dataclass
class Reserved:
    """A call that was let through and has not ended."""

    call_id: str
    x: XNumber
    life: Life


class Machine(RuleBasedStateMachine):
    """What may happen to bindings on two numbers, and between four people."""

    connection: Connection
    keys: KeyRing

    @initialize()
    def begin(self) -> None:
        self.now = START
        self.lives: list[Life] = []
        self.calls: list[Reserved] = []
        self.connection.execute(
            b"TRUNCATE agi_router.binding, agi_router.binding_hold, agi_router.route,"
            b" agi_router.past_route, agi_router.call, agi_router.block"
        )
        self.store = BindingStore(self.connection, self.keys, RESTS)
        set_clock(self.connection, self.now)
        self.store.inventory.add_block(BLOCK, operator=None, certificate=None)

    def refusal(self, pair: frozenset[PhoneNumber], x: XNumber) -> type[Exception] | None:
        """Return why *pair* may not be bound on *x* now."""
        here = [each for each in self.lives if each.x == x]
        for each in here:
            if each.alive(self.now) or each.pair == pair:
                continue
            if each.end + RESTS.number > self.now:
                return NumberResting
            if each.pair & pair and each.end + RESTS.party > self.now:
                return NumberResting
        if any(each.alive(self.now) and each.pair & pair for each in here):
            return BindingConflict
        return None

    def row(self, caller: PhoneNumber, x: XNumber) -> Life | None:
        """Return the binding that *caller* hits on *x*: the last one that took the place."""
        found = [each for each in self.lives if each.x == x and caller in each.pair]
        return found[-1] if found and not found[-1].forgotten else None

    def made(
        self,
        binding: Binding,
        pair: frozenset[PhoneNumber],
        *,
        sticky: bool,
        counting: Counting,
        order: str,
    ) -> None:
        assert binding == self.store.find(binding.id)
        sides = {party.side: party for party in binding.parties}
        assert {party.number for party in sides.values()} == pair
        self.lives.append(
            Life(
                binding.id,
                pair,
                dials(sides[Side.A]),
                binding.expires_at,
                binding.max_calls,
                counting,
                order,
                sticky,
            )
        )

    @rule(
        pair=people,
        x=places,
        life=lives,
        max_calls=st.none() | st.integers(1, 2),
        counting=st.sampled_from(Counting),
        order=st.sampled_from(["A-1", "A-2"]),
    )
    def bind_here(
        self,
        pair: Sequence[PhoneNumber],
        x: XNumber,
        life: timedelta,
        max_calls: int | None,
        counting: Counting,
        order: str,
    ) -> None:
        """Bind on a number that is given."""
        expected = self.refusal(frozenset(pair), x)
        try:
            made = bind(
                self.store,
                *pair,
                x=x,
                life=life,
                max_calls=max_calls,
                counting=counting,
                order_id=order,
            )
        except (NumberResting, BindingConflict) as error:
            refused: type[Exception] | None = type(error)
        else:
            refused = None
            self.made(made, frozenset(pair), sticky=False, counting=counting, order=order)
        assert refused is expected

    @rule(pair=people, life=lives, same_x=st.none() | st.sampled_from(Affinity))
    def bind_anywhere(
        self, pair: Sequence[PhoneNumber], life: timedelta, same_x: Affinity | None
    ) -> None:
        """Bind on a number that is chosen: never one that rests, and the old one where asked."""
        both = frozenset(pair)
        terms = Terms(expires_at=self.now + life, order_id="A-3")
        made = self.store.bind(
            Axb(a=pair[0], b=pair[1]), terms, choice=NumberPolicy(same_x=same_x)
        )
        x = dials(made.parties[0])
        assert self.refusal(both, x) is None
        if same_x is Affinity.AVOID:
            assert not any(each.x == x and each.pair & both for each in self.lives)
        if same_x is Affinity.PREFER:
            before = [
                each
                for each in self.lives
                if each.sticky and each.pair == both and not each.alive(self.now)
            ]
            last = max(before, key=self.begun, default=None)
            if last is not None and self.refusal(both, last.x) is None:
                assert x in {each.x for each in before if self.begun(each) == self.begun(last)}
        self.made(
            made,
            both,
            sticky=same_x is Affinity.PREFER,
            counting=Counting.ANSWERED,
            order="A-3",
        )

    def begun(self, life: Life) -> datetime:
        return self.store.find(life.name).begins_at

    @precondition(lambda self: self.lives)
    @rule(pick=picks, life=lives)
    def extend(self, pick: int, life: timedelta) -> None:
        """Extend a binding, alive or over."""
        one = self.lives[pick % len(self.lives)]
        alive = one.alive(self.now)
        end = max(self.now, one.expires) + life
        try:
            self.store.extend(one.name, end)
        except BindingEnded:
            assert not alive
        else:
            assert alive
            one.expires = end

    @precondition(lambda self: self.lives)
    @rule(pick=picks)
    def unbind(self, pick: int) -> None:
        """Unbind a binding, alive or over."""
        one = self.lives[pick % len(self.lives)]
        alive = one.alive(self.now)
        try:
            self.store.unbind(one.name)
        except BindingEnded:
            assert not alive
        else:
            assert alive
            one.ended, one.state = self.now, BindingState.UNBOUND

    @rule(order=st.sampled_from(["A-1", "A-2", "A-3"]))
    def end_order(self, order: str) -> None:
        """End an order."""
        mine = [each for each in self.lives if each.order == order and each.alive(self.now)]
        try:
            ended = {each.id for each in self.store.end_order(order)}
        except (BindingEnded, BindingNotFound):
            ended = set()
        assert ended == {each.name for each in mine}
        for each in mine:
            each.ended, each.state = self.now, BindingState.ORDER_ENDED

    @rule(jump=jumps)
    def wait(self, jump: timedelta) -> None:
        """Let time pass; what expires meanwhile does so unnoticed."""
        self.now += jump
        set_clock(self.connection, self.now)

    @rule(caller=st.sampled_from(PEOPLE), x=places)
    def call(self, caller: PhoneNumber, x: XNumber) -> None:
        """Call: a binding that lives is hit, or the reason says what became of the last one."""
        # Its day is bound by the server's own clock, which nobody here sets.
        call_id = new_call_id()
        row = self.connection.execute(
            query("admit"),
            {
                "block": x.block.value,
                "x_number": x.value,
                "tags": [*self.keys.tags(caller), 0],
                "person": self.keys.tags(caller),
                "strangers": [],
                "call_id": call_id,
                "day": call_day(call_id),
            },
        ).fetchone()
        assert row is not None
        admission = read_admission(row, caller, x, self.keys)
        decision = decide(a_call(caller, x), admission.facts, now=admission.now)
        life = self.row(caller, x)
        match decision:
            case Route():
                assert admission.admitted
                assert life is not None
                # Nobody is ever reached by a binding that is over, and only who was bound.
                assert life.alive(self.now)
                assert decision.binding == str(life.name)
                assert {*decision.callees, caller} == life.pair
                assert life.max_calls is None or life.used < life.max_calls
                life.used += 1
                self.calls.append(Reserved(call_id, x, life))
            case Refusal():
                assert not admission.admitted
                assert decision.reason is self.reason(life, x)

    @precondition(lambda self: any(each.alive(self.now) for each in self.lives))
    @rule(pick=picks, side=st.integers(0, 1))
    def call_within_life(self, pick: int, side: int) -> None:
        """Call by a binding that lives, or most calls would be refused."""
        alive = [each for each in self.lives if each.alive(self.now)]
        life = alive[pick % len(alive)]
        caller = sorted(life.pair, key=lambda party: party.digits)[side]
        if life.x in PLACES:
            self.call(caller, life.x)

    def reason(self, life: Life | None, x: XNumber) -> Reason | None:
        """Return why a call that hits *life* is refused."""
        if life is None:
            bound = any(each.x == x and each.alive(self.now) for each in self.lives)
            return Reason.STRANGER if bound else Reason.NO_BINDING
        if not life.alive(self.now):
            return Reason(life.state_at(self.now))
        full = life.max_calls is not None and life.used >= life.max_calls
        return Reason.USED_UP if full else None

    @precondition(lambda self: self.calls)
    @rule(pick=picks, outcome=st.sampled_from([Outcome.ANSWERED, Outcome.BUSY, None]))
    def settle(self, pick: int, outcome: Outcome | None) -> None:
        """End a call, and tell of it twice."""
        call = self.calls.pop(pick % len(self.calls))
        values = {
            "day": call_day(call.call_id),
            "block": [call.x.block.value],
            "id": [call.call_id],
            "x_number": [call.x.value],
            "ended_at": [self.now],
            "outcome": [outcome],
            "kept": [False],
            **{name: [None] for name in UNTOLD},
        }
        for _ in range(2):
            self.connection.execute(query("settle"), values)
        life = call.life
        kept = outcome is Outcome.ANSWERED or (
            outcome is not None and life.counting is Counting.ATTEMPTS
        )
        if not kept:
            life.used -= 1
            return
        life.settled += 1
        if life.max_calls is not None and life.settled >= life.max_calls and life.alive(self.now):
            life.ended, life.state = self.now, BindingState.USED_UP

    @rule()
    def sweep(self) -> None:
        """Sweep: of all that is asked here, only the oldest ends are forgotten."""
        for _ in Sweep(self.connection, RESTS, RETENTION, batch=3).steps():
            pass
        for each in self.lives:
            each.forgotten |= each.end + RESTS.memory <= self.now

    @invariant()
    def same(self) -> None:
        """Every binding stands as in the model, and its routes know when it ends."""
        rows: list[dict[str, Any]] = self.connection.execute(
            b"SELECT b.*, (SELECT array_agg(DISTINCT r.ends_at) FROM agi_router.route r"
            b" WHERE r.block = b.block AND r.binding_id = b.id) AS ends FROM agi_router.binding b"
        ).fetchall()
        found = {row["id"]: row for row in rows}
        assert found.keys() == {each.name.id for each in self.lives}
        for each in self.lives:
            row = found[each.name.id]
            assert row["calls_used"] == each.used
            assert row["expires_at"] == each.expires
            assert row["state"] in {each.state, each.state_at(self.now)}
            assert row["ends"] in (None, [each.end])
        alive = [
            (each.x, party) for each in self.lives if each.alive(self.now) for party in each.pair
        ]
        assert len(alive) == len(set(alive))


def test_lives(shadowed: Connection, keys: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happens in whatever order, there is no difference."""
    # What fails must fail again; and the same candidates every time make numbers meet.
    monkeypatch.setattr(random, "SystemRandom", lambda: random.Random(1))  # noqa: S311

    class Here(Machine):
        connection = shadowed

    Here.keys = keys
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

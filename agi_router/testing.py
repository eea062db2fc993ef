"""
For tests of programs that use this package: admissions in memory, and a clock that stands.

Neither Asterisk nor PostgreSQL is needed: give :class:`MemoryAdmissions` to a
:class:`agi_router.calls.router.Router` of your own, bind as you would by the store, and see where
each call is sent.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agi_router.bindings.facts import Facts, RouteHit
from agi_router.bindings.model import BindingId
from agi_router.bindings.modes import Parties, compile_routes
from agi_router.bindings.routes import RouteRow
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import BindingState, Callback, Counting, Mode, Side
from agi_router.calls.arrival import Call
from agi_router.calls.decision import AllocationNeeded, Route, decide
from agi_router.calls.ports import Admission
from agi_router.errors import BindingConflict, BindingNotFound, NoNumberAvailable
from agi_router.numbers import BLOCK_SIZE, PhoneNumber, XNumber

__all__ = ["FrozenClock", "MemoryAdmissions"]

_THEN = datetime(2026, 1, 31, 15, 4, 5, tzinfo=UTC)


class FrozenClock:
    """
    A clock that goes on only when it is told to; call it for the time.

    Args:
        now: What it shows first, timezone-aware.
    """

    def __init__(self, now: datetime = _THEN) -> None:
        self._now = now

    def __call__(self) -> datetime:
        """
        What it shows.
        """
        return self._now

    def advance(self, by: timedelta) -> None:
        """
        Go on.
        """
        self._now += by


@dataclass(slots=True, kw_only=True)
class _Bound:
    """
    A binding and what has become of it.
    """

    id: BindingId
    parties: Parties
    terms: Terms
    rows: list[RouteRow]
    begins_at: datetime
    state: BindingState = BindingState.ACTIVE
    ended_at: datetime | None = None
    used: int = 0
    last: tuple[PhoneNumber, datetime] | None = None
    """Who called last, where that is who is called back."""
    y_until: datetime | None = None
    """Until when a Y lives that a call has made."""

    def lives(self, now: datetime) -> bool:
        """
        Whether nothing has ended it.
        """
        return self.ended_at is None and self.terms.expires_at > now

    @property
    def calls_back(self) -> Side:
        """
        The side that calls back.
        """
        return Side.A if self.parties.mode.open else Side.B


class MemoryAdmissions:
    """
    Bindings and calls in memory: the port :class:`agi_router.calls.ports.Admissions`.

    A call is admitted if :func:`agi_router.calls.decision.decide` says so, to which PostgreSQL's
    guard is held too. A use is taken once for each call id. Quarantine, tenants and the dates of a
    block are not looked at: every block is in service, and a number is free for a caller unless a
    live binding has it there.

    Args:
        clock: By which bindings begin and end.
    """

    def __init__(self, clock: FrozenClock | None = None) -> None:
        self.clock = clock or FrozenClock()
        """The clock."""
        self.calls: dict[str, Admission] = {}
        """What was answered to each call, by its id, in the order in which they came."""
        self._bound: list[_Bound] = []
        self._taken: dict[str, _Bound] = {}

    def bind(
        self, parties: Parties, terms: Terms, *, x: XNumber, y: XNumber | None = None
    ) -> BindingId:
        """
        Bind *parties* on *x*, and on *y* where their mode has two numbers.

        Raises:
            ModeError: The mode does not allow these numbers.
            BindingConflict: A live binding has one of the callers on the number that it dials.
        """
        rows = list(compile_routes(parties, x, y or x))
        for row in rows:
            taken = self._find(row.x_number, row.caller, row.extension)
            if taken is not None and taken[0].lives(self.clock()):
                raise BindingConflict(f"{row.x_number} is taken by binding {taken[0].id}")
        name = BindingId(x.block, len(self._bound) + 1)
        self._bound.append(
            _Bound(id=name, parties=parties, terms=terms, rows=rows, begins_at=self.clock())
        )
        return name

    def unbind(self, name: BindingId) -> None:
        """
        End a binding now.

        Raises:
            BindingNotFound: There is none of this name.
        """
        for bound in self._bound:
            if bound.id == name:
                bound.state, bound.ended_at = BindingState.UNBOUND, self.clock()
                return
        raise BindingNotFound(f"there is no binding {name}")

    def end(self, call_id: str, *, answered: bool) -> None:
        """
        End a call: a use comes back if nobody answered, and the binding counts answered calls.
        """
        bound = self._taken.pop(call_id, None)
        if bound is not None and not answered and bound.terms.counting is Counting.ANSWERED:
            bound.used -= 1

    async def admit(self, call: Call, call_id: str, *, timeout: float) -> Admission:  # noqa: ASYNC109
        """
        Take one use for *call*, if it may be connected; the same answer for the same *call_id*.
        """
        del timeout
        if call_id not in self.calls:
            self.calls[call_id] = self._admit(call, call_id)
            if not self.calls[call_id].admitted:
                # As in the database: only what takes a use is kept.
                return self.calls.pop(call_id)
        return self.calls[call_id]

    async def allocate(self, needed: AllocationNeeded, *, timeout: float) -> None:  # noqa: ASYNC109
        """
        Make the Y that a callee is to be shown: the first number of the block that is free for it.

        Raises:
            NoNumberAvailable: None is.
        """
        del timeout
        (bound,) = (each for each in self._bound if str(each.id) == needed.binding)
        y = self._free_number(needed)
        back = RouteRow(
            x_number=y,
            caller=needed.callee,
            callees=(needed.caller,),
            shown=needed.x_number,
            side=Side.B,
        )
        (row,) = (each for each in bound.rows if each.side is Side.A)
        assert bound.parties.y_ttl is not None  # noqa: S101 - only such a binding needs one
        bound.y_until = self.clock() + bound.parties.y_ttl
        bound.rows = [
            RouteRow(
                x_number=row.x_number,
                caller=row.caller,
                callees=row.callees,
                shown=y,
                side=row.side,
            ),
            back,
        ]

    def _admit(self, call: Call, call_id: str) -> Admission:
        now = self.clock()
        found = self._hit(call)
        facts = Facts(
            block_known=True,
            certificate_valid=True,
            x_bound=any(True for _ in self._living(call.x_number)),
            x_extended=found is None
            and any(each.parties.mode is Mode.AXE for each in self._living(call.x_number)),
            hit=None if found is None else self._describe(*found),
        )
        admitted = isinstance(decide(call, facts, now=now), Route)
        if admitted and found is not None:
            bound, row = found
            bound.used += 1
            self._taken[call_id] = bound
            if bound.parties.callback is Callback.LAST and row.side is not bound.calls_back:
                bound.last = (call.caller, now)
        return Admission(admitted=admitted, facts=facts, now=now)

    def _hit(self, call: Call) -> tuple[_Bound, RouteRow] | None:
        """
        The row of a call: the caller's own, else that of the extension it typed, or of anyone.
        """
        typed = None if call.typed is None else call.typed.extension
        return self._find(call.x_number, call.caller, None) or self._find(
            call.x_number, None, typed
        )

    def _find(
        self, x_number: XNumber, caller: PhoneNumber | None, extension: str | None
    ) -> tuple[_Bound, RouteRow] | None:
        place = (x_number, caller, extension)
        # The newest: it has taken the place of those that are over.
        for bound in reversed(self._bound):
            for row in bound.rows:
                if (row.x_number, row.caller, row.extension) == place:
                    return bound, row
        return None

    def _living(self, x_number: XNumber) -> Iterator[_Bound]:
        for bound in self._bound:
            if bound.lives(self.clock()) and any(row.x_number == x_number for row in bound.rows):
                yield bound

    def _free_number(self, needed: AllocationNeeded) -> XNumber:
        block = needed.x_number.block
        for serial in range(BLOCK_SIZE):
            number = block.number(serial)
            if number != needed.x_number and self._find(number, needed.callee, None) is None:
                return number
        raise NoNumberAvailable(f"no number of block {block} is free")

    def _describe(self, bound: _Bound, row: RouteRow) -> RouteHit:
        terms, parties = bound.terms, bound.parties
        caller, at = bound.last if bound.last and row.side is bound.calls_back else (None, None)
        return RouteHit(
            block=bound.id.block,
            binding_id=bound.id.id,
            mode=parties.mode,
            side=row.side,
            callees=row.callees,
            shown=row.shown,
            state=bound.state,
            direction=terms.direction,
            begins_at=bound.begins_at,
            expires_at=terms.expires_at,
            ended_at=bound.ended_at,
            max_calls=terms.max_calls,
            calls_used=bound.used,
            ring_timeout=terms.ring_timeout,
            max_duration=terms.max_duration,
            language=terms.language,
            tenant_active=True,
            callback=parties.callback,
            last_caller=caller,
            last_at=at,
            callback_window=parties.window,
            child_until=bound.y_until,
            display=terms.display_b if row.side is Side.A else terms.display_a,
            prompts=terms.prompts,
        )

"""
The router: one arrival in, one destination out, within a deadline; whatever fails, a refusal.
"""

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self, TypeGuard

from agi_router.bindings.reasons import Reason
from agi_router.bindings.words import Language
from agi_router.calls.arrival import Call
from agi_router.calls.call_limits import CallLimits
from agi_router.calls.check import Verdict
from agi_router.calls.decision import (
    AllocationNeeded,
    Ask,
    Decision,
    Refusal,
    Route,
    decide,
    refuse_old_number,
    screen,
)
from agi_router.calls.dialplan import Destination, to_ask, to_dial, to_refuse
from agi_router.calls.identity import Signalled, read_caller
from agi_router.calls.merged import First, Requests
from agi_router.calls.ports import Admissions, Checker, Meter, OldNumbers
from agi_router.calls.refusal_limit import RefusalLimit
from agi_router.errors import AgiRouterError, NumberError, StoreBusy
from agi_router.logs import LateLog
from agi_router.numbers import PhoneNumber, parse_old_number
from agi_router.rates import OFF, Rate
from agi_router.tenants.call_rates import CallRates

__all__ = ["Arrival", "Lives", "Router"]

log = logging.getLogger(__name__)

_NO_RATES = CallRates()
_TRIES = 4
_EXTENSIONS = "extensions"
_SECOND = 10**9
"""In the unit of the clock."""
# What there is on a number costs the store a tenth of a millisecond more or less. Whoever is to
# learn nothing waits for the same moment; a prompt of seconds follows.
_STRICT_ANSWER = _SECOND // 10
# Of those refused because too many call; the others are not told. A prompt lasts seconds, at 50
# packets a second, and costs Asterisk more than a call: what it costs would be refused besides.
_SPARED_PROMPTS = Rate(10, timedelta(seconds=1))


Lives = Callable[[First], Awaitable[bool]]
"""Tells whether a call still has its channel; where that cannot be told, it has."""


async def _is_alive(_first: First) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """
    A call as a door received it: nothing in it is trusted.
    """

    call_id: str
    caller: Signalled = field(repr=False)
    dialled: str
    typed: str | None = field(default=None, repr=False)
    """What was typed when an extension was asked for; :obj:`None` if none was."""
    attempts_left: int | None = None
    """How often it may be asked for once more; :obj:`None` if it was not yet."""
    channel: str = ""
    """The channel's name; empty if it is not known."""
    old: bool = False
    """Whether it came in where calls to middle numbers of before do: nobody is rung for it."""
    request: str = field(default="", repr=False)
    """What copies of its INVITE have in common, its Call-ID; empty if that is not known."""

    @property
    def trunk(self) -> str:
        """
        Where it came in, for the limit on refused calls; empty if that is not known.
        """
        return self.channel.rpartition("-")[0]

    @classmethod
    def from_dialplan(
        cls, call_id: str, channel: str, args: Sequence[str], *, request: str
    ) -> Self:
        """
        What the dialplan told of a call.

        Args:
            call_id: Asterisk's unique id of the call's channel.
            channel: The channel's name: "PJSIP/carrier-in-0000002a", the trunk and a number.
            args: The number dialled and what the INVITE says of the caller; then, if an extension
                was asked for, what was typed and how often it may be asked for once more; "old"
                stands there of a call that came in where those to middle numbers of before do.
                Anything else has not come through our dialplan, and is a call to no number.
            request: What copies of its INVITE have in common.
        """
        dialled = caller = ""
        typed: str | None = None
        attempts_left: int | None = None
        old = False
        match args:
            case (dialled, caller) | (dialled, caller, "", ""):
                pass
            case (dialled, caller, "", "old"):
                old = True
            case (dialled, caller, typed, tries) if tries.isascii() and tries.isdigit():
                attempts_left = int(tries[:3])
            case _:
                # A pattern whose guard failed has bound its names nevertheless.
                dialled, caller, typed = "", "", None
        return cls(
            call_id=call_id,
            caller=Signalled.from_dialplan(caller),
            dialled=dialled,
            typed=typed,
            attempts_left=attempts_left,
            channel=channel,
            old=old,
            request=request,
        )


class Router:
    """
    Decides calls. One router serves any number of calls at once.

    Between calls it keeps nothing but how often callers and trunks were refused lately, and which
    requests came in the last half minute.

    Args:
        store: Where calls are admitted.
        timeout: Seconds for one admission, after which the call is refused.
        ring_timeout: For bindings that have none.
        max_duration: For bindings that have none.
        language: For bindings that have none, and for strangers.
        fixed_lines: Whether fixed lines may call.
        believe_from: Whether a caller whom nobody asserts is who From says.
        extension_tries: How often a stranger is asked for an extension; 0: never.
        meter: Who counts and times decisions, if anybody does.
        strict: Whether refused callers are to learn nothing about bindings.
        caller_limit: How many refused calls of one caller are let through to the store.
        trunk_limit: The same for all callers of one trunk together.
        extension_limit: How many wrong extensions may be typed on one number by all callers
            together: a caller's number can be another one in each call.
        call_rates: How many calls go through, of all tenants.
        old_numbers: Who knows the middle numbers of before the move to 700, if anybody does.
        old_until: Until when their callers are told that they have changed; :obj:`None`: always.
        checker: Who is asked whether an admitted call may be connected; without one, no call is
            connected whose tenant has a check.
        clock: Nanoseconds; does not go back.
    """

    def __init__(
        self,
        store: Admissions,
        *,
        timeout: float,
        ring_timeout: timedelta,
        max_duration: timedelta,
        language: Language,
        fixed_lines: bool,
        believe_from: bool = True,
        extension_tries: int = 0,
        meter: Meter | None = None,
        strict: bool = False,
        caller_limit: Rate = OFF,
        trunk_limit: Rate = OFF,
        extension_limit: Rate = OFF,
        call_rates: CallRates = _NO_RATES,
        old_numbers: OldNumbers | None = None,
        old_until: datetime | None = None,
        checker: Checker | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._store = store
        self._timeout = timeout
        self._ring_timeout = ring_timeout
        self._max_duration = max_duration
        self._language = language
        self._fixed_lines = fixed_lines
        self._believe_from = believe_from
        self._extension_tries = extension_tries
        self._meter = meter
        self._strict = strict
        self._limits = {
            "caller": RefusalLimit(caller_limit),
            "trunk": RefusalLimit(trunk_limit),
            _EXTENSIONS: RefusalLimit(extension_limit),
        }
        self._requests = Requests()
        self._old_numbers = old_numbers
        self._old_until = old_until
        self._checker = checker
        self._checks_all = checker is not None and checker.asks_of_all
        self._clock = clock
        self._spared = RefusalLimit(_SPARED_PROMPTS)
        # Callers are remembered by a hash whose key is in no other place.
        self._salt = secrets.token_bytes(16)
        self._call_limits = CallLimits(call_rates, self._hide)
        self._late_log = LateLog(log)
        self.ways_in: frozenset[str] | None = None
        """Where calls may come in, as :attr:`Arrival.trunk` has it; :obj:`None`: anywhere."""
        self.unjudged = asyncio.Event()
        """Set when a call was refused because it came in elsewhere; whoever looks clears it."""

    async def answer(self, arrival: Arrival, lives: Lives = _is_alive) -> Destination:
        """
        Decide *arrival* and say where its channel goes on.

        Never raises: what cannot be decided is refused, as ``no_capacity`` where too many wait,
        else as ``platform_fault``.

        Args:
            arrival: The call.
            lives: Asked where it is the copy of another one.
        """
        begun = self._clock()
        decision: Decision
        try:
            decision = await self._decide(arrival, lives)
        except StoreBusy:
            decision = Refusal(reason=Reason.NO_CAPACITY)
        except AgiRouterError as error:
            log.warning(
                "call.undecided",
                extra={"call": arrival.call_id, "error": type(error).__name__},
            )
            decision = Refusal(reason=Reason.PLATFORM_FAULT)
        except Exception:  # a defect of ours must not leave the caller without an answer
            log.exception("call.undecided", extra={"call": arrival.call_id})
            decision = Refusal(reason=Reason.PLATFORM_FAULT)
        if self._strict and self._is_hidden(decision):
            wait = begun + _STRICT_ANSWER - self._clock()
            await asyncio.sleep(max(0, wait) / _SECOND)
        elif self._meter is not None:
            self._meter.took((self._clock() - begun) / _SECOND)
        return self.destination(decision, arrival.call_id)

    def destination(self, decision: Decision, call_id: str) -> Destination:
        """
        Log and count a decision, and say where it leads.
        """
        if self._meter is not None and isinstance(decision, Route | Refusal):
            # Whoever reads metrics may also call: a strict router tells neither the true reason.
            self._meter.decided(
                decision.undisclosed if self._strict and self._is_hidden(decision) else decision
            )
        match decision:
            case Route():
                self._late_log.info("call.routed", call=call_id, binding=decision.binding)
                return to_dial(
                    decision,
                    ring_timeout=self._ring_timeout,
                    max_duration=self._max_duration,
                    language=self._language,
                )
            case Ask():
                self._late_log.info("call.asked", call=call_id, again=decision.again)
                return to_ask(decision, language=self._language)
            case AllocationNeeded():
                # The store has tried to make it.
                log.warning("call.no_number", extra={"call": call_id, "binding": decision.binding})
                refusal = Refusal(reason=Reason.PLATFORM_FAULT, binding=decision.binding)
                return self.destination(refusal, call_id)
            case Refusal():
                self._late_log.info(
                    "call.refused",
                    call=call_id,
                    reason=decision.reason.value,
                    binding=decision.binding,
                )
                return to_refuse(
                    decision,
                    language=self._language,
                    strict=self._strict,
                    # Of a copy nobody is to hear anything: its caller hears the first one.
                    silent=decision.reason is Reason.MERGED
                    or (decision.reason is Reason.NO_CAPACITY and self._is_crowd()),
                )

    @staticmethod
    def _is_hidden(decision: Decision | None) -> TypeGuard[Refusal]:
        """
        Whether, if strict, nobody but the record is to know why, nor by how long it took.
        """
        return isinstance(decision, Refusal) and decision.reason.reveals_binding

    def _is_crowd(self) -> bool:
        """
        Whether no more prompts can be spared for now; one is taken if not.
        """
        now = self._clock()
        crowd = self._spared.reached("", now=now)
        if not crowd:
            self._spared.note("", now=now)
        return crowd

    async def _decide(self, arrival: Arrival, lives: Lives) -> Decision:
        deadline = self._clock() + int(self._timeout * _SECOND)
        trunk = arrival.trunk
        if self.ways_in is not None and trunk not in self.ways_in:
            # Nothing is known of what its caller id is worth, nor of what it is shown.
            log.warning("call.unjudged", extra={"call": arrival.call_id, "endpoint": trunk})
            self.unjudged.set()
            return Refusal(reason=Reason.PLATFORM_FAULT)
        attempts_left = (
            self._extension_tries
            if arrival.attempts_left is None
            else min(arrival.attempts_left, self._extension_tries)
        )
        caller = read_caller(arrival.caller, believe_from=self._believe_from)
        screened = screen(
            caller=caller,
            dialled=arrival.dialled,
            fixed_lines=self._fixed_lines,
            attempts_left=attempts_left,
            # Where nobody is asked, nothing was typed.
            typed=arrival.typed if self._extension_tries else None,
        )
        if arrival.old and isinstance(screened, Call):
            # No end would be told of it, so no use either.
            screened = Refusal(reason=Reason.X_MALFORMED)
        sources = self._sources(trunk, screened)
        if not isinstance(screened, Call):
            return await self._refuse(arrival, caller, screened, sources)
        if self._is_limited(sources):
            # Not noted, or redialling would never be of use again.
            return Refusal(reason=Reason.RATE_CALLER)
        if await self._is_copy(arrival, screened, lives):
            return Refusal(reason=Reason.MERGED)
        decision = await self._admit(screened, arrival.call_id)
        if isinstance(decision, Route):
            decision = await self._let_through(screened, arrival.call_id, decision, deadline)
        self._note(arrival, decision, sources)
        return decision

    def _note(
        self, arrival: Arrival, decision: Decision, sources: Mapping[str, bytes | str]
    ) -> None:
        """
        Count a refusal for whoever is held to a limit for it.
        """
        refused = isinstance(decision, Refusal) and not (
            decision.reason.is_platform_fault or decision.reason in _RATES
        )
        for of, key in sources.items():
            # To be asked again is to have typed a wrong one.
            counts = refused or (of == _EXTENSIONS and isinstance(decision, Ask))
            if counts and self._limits[of].note(key, now=self._clock()):
                log.warning(
                    "refusals.limited",
                    extra={"call": arrival.call_id, "of": of, "trunk": arrival.trunk},
                )

    async def _refuse(
        self,
        arrival: Arrival,
        caller: str | Reason,
        screened: Refusal,
        sources: Mapping[str, bytes | str],
    ) -> Refusal:
        """
        Refuse a call to no 700 number, or of nobody; one to a middle number of before as such.
        """
        old = self._read_old(arrival.dialled, screened)
        if old is None:
            self._note(arrival, screened, sources)
            return screened
        callers = self._caller_of_old(caller)
        if self._is_limited(callers):
            return Refusal(reason=Reason.RATE_CALLER)
        refusal = await self._find_changed(old, screened)
        # People dial numbers of before for years: that is no fault of the trunk.
        self._note(arrival, refusal, sources if refusal.moved_to is None else callers)
        return refusal

    def _read_old(self, dialled: str, screened: Refusal) -> str | None:
        """
        What was dialled, if it may be a middle number of before.
        """
        if self._old_numbers is None or screened.reason is not Reason.X_MALFORMED:
            return None
        try:
            return parse_old_number(dialled)
        except NumberError:
            return None

    async def _find_changed(self, old: str, screened: Refusal) -> Refusal:
        """
        The refusal of a call to a middle number of before; of any other, what it was.
        """
        assert self._old_numbers is not None  # noqa: S101 - else none was read
        new = await self._old_numbers.find_new_number(old, timeout=self._timeout)
        if new is None:
            return screened
        return refuse_old_number(new, now=datetime.now(UTC), until=self._old_until)

    async def _is_copy(self, arrival: Arrival, call: Call, lives: Lives) -> bool:
        """
        Whether the network has forked its INVITE, and another call that came by it goes on.

        To another number it is no copy, although the network may have forked that, too. Of another
        caller it is none either, or a stranger who knows a request could have it refused.
        """
        if not arrival.request:
            return False
        text = f"{call.x_number.value} {call.caller.digits} {arrival.request}"
        encoded = text.encode("utf-8", "surrogatepass")
        request = hashlib.blake2b(encoded, digest_size=16, key=self._salt).digest()
        this = First(arrival.call_id, arrival.channel)
        while first := self._requests.meet(request, this, now=self._clock()):
            if await lives(first):
                return True
            # A network that tries again where the first try has ended. Of its copies one is next.
            self._requests.give_up(request, first)
        return False

    def _sources(self, trunk: str, screened: Call | Refusal) -> dict[str, bytes | str]:
        """
        Who is held to a limit for this call.

        Its caller, if it shows one; its trunk; and the number on which an extension was typed.
        """
        sources: dict[str, bytes | str] = {}
        if isinstance(screened, Call):
            sources["caller"] = self._hide(screened.caller)
            if screened.typed is not None:
                sources[_EXTENSIONS] = screened.x_number.digits
        if trunk:
            sources["trunk"] = trunk
        return sources

    def _caller_of_old(self, caller: str | Reason) -> dict[str, bytes | str]:
        """
        Who is held to a limit for a call to a middle number of before: its caller, of any kind.
        """
        if isinstance(caller, Reason):
            return {}
        try:
            return {"caller": self._hide(PhoneNumber.parse(caller, fixed_lines=True))}
        except NumberError:
            return {}

    def _is_limited(self, sources: Mapping[str, bytes | str]) -> bool:
        """
        Whether one of them was refused too often of late.
        """
        now = self._clock()
        return any(self._limits[of].reached(key, now=now) for of, key in sources.items())

    def _hide(self, person: PhoneNumber) -> bytes:
        """
        What is remembered of a person.
        """
        digits = person.digits.encode("ascii")
        return hashlib.blake2b(digits, digest_size=8, key=self._salt).digest()

    async def _admit(self, call: Call, call_id: str) -> Decision:
        begun = self._clock()
        decision: Decision | None = None
        try:
            decision = await self._try_to_admit(call, call_id)
            return decision
        finally:
            if self._meter is not None and not (self._strict and self._is_hidden(decision)):
                self._meter.admission_took((self._clock() - begun) / _SECOND)

    async def _try_to_admit(self, call: Call, call_id: str) -> Decision:
        """
        Take a use for *call* if it is to be routed.

        Between the store's guard and its look at the facts a use may have come back, or a binding
        been made: a call that may be routed by the facts is no refusal, so it is tried again. So
        is one that needs a number, once the store has tried to make it.
        """
        deadline = self._clock() + int(self._timeout * _SECOND)
        timeout = self._timeout
        for _ in range(_TRIES):
            admission = await self._store.admit(call, call_id, timeout=timeout)
            decision = decide(call, admission.facts, now=admission.now)
            if isinstance(decision, Route) is admission.admitted and not isinstance(
                decision, AllocationNeeded
            ):
                return decision
            if admission.admitted:
                break
            timeout = self._left(deadline)
            if isinstance(decision, AllocationNeeded):
                await self._store.allocate(decision, timeout=timeout)
                timeout = self._left(deadline)
        else:
            if isinstance(decision, AllocationNeeded):
                return decision
        # The guard and the rule must be one. A use that was taken comes back at the end.
        log.error("decision.disagrees", extra={"call": call_id})
        return Refusal(reason=Reason.PLATFORM_FAULT)

    async def _let_through(
        self, call: Call, call_id: str, route: Route, deadline: int
    ) -> Route | Refusal:
        """
        Hold an admitted call to the limits, and have it confirmed where somebody is to be asked.

        Its use comes back where it is refused, and then it does not count.
        """
        noted = self._clock()
        decision = self._call_limits.take(call, route, now=noted)
        if isinstance(decision, Refusal) or not (decision.tenant_check or self._checks_all):
            return decision
        checked = await self._check(call, call_id, decision, deadline)
        if isinstance(checked, Refusal):
            self._call_limits.give_back(call, decision, noted=noted)
        return checked

    async def _check(
        self, call: Call, call_id: str, route: Route, deadline: int
    ) -> Route | Refusal:
        """
        Have an admitted call confirmed. Its use comes back where it is refused.
        """
        verdict = Verdict.UNAVAILABLE
        if self._checker is not None:
            left = self._left(deadline)
            verdict = await self._checker.check(call, call_id, route, timeout=left)
        if verdict is Verdict.YES:
            return route
        return Refusal(
            reason=_BY_VERDICT[verdict],
            binding=route.binding,
            language=route.language,
            prompts=route.prompts,
        )

    def _left(self, deadline: int) -> float:
        return max(0.0, (deadline - self._clock()) / _SECOND)


# Refusals that do not count as such, or redialling would never be of use again.
_RATES = frozenset({Reason.RATE_CALLER, Reason.RATE_CALLEE, Reason.RATE_X, Reason.RATE_TENANT})
_BY_VERDICT = {
    Verdict.NO: Reason.CHECK_REFUSED,
    Verdict.UNAVAILABLE: Reason.CHECK_UNAVAILABLE,
}

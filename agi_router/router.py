"""
The router: one arrival in, one destination out, within a deadline; whatever fails, a refusal.
"""

import logging
from dataclasses import dataclass, field
from datetime import timedelta
from time import perf_counter

from agi_router.decision import decide, screen
from agi_router.errors import AgiRouterError, StoreBusy
from agi_router.extension import Destination, to_ask, to_dial, to_refuse
from agi_router.model import (
    Ask,
    Call,
    Decision,
    Language,
    NumberNeeded,
    Reason,
    Refusal,
    Route,
)
from agi_router.ports import Admission, Admissions, Meter

__all__ = ["Arrival", "Router"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """
    A call as a door received it: nothing in it is trusted.
    """

    call_id: str
    caller: str = field(repr=False)
    presentation: str
    dialled: str
    typed: str | None = field(default=None, repr=False)
    """What was typed when an extension was asked for; :obj:`None` if none was."""
    tries_left: int | None = None
    """How often it may be asked for once more; :obj:`None` if it was not yet."""


class Router:
    """
    Decides calls. One router serves any number of calls at once and keeps nothing between them.

    Args:
        store: Where calls are admitted.
        timeout: Seconds for one admission, after which the call is refused.
        ring_timeout: For bindings that have none.
        max_duration: For bindings that have none.
        language: For bindings that have none, and for strangers.
        fixed_lines: Whether fixed lines may call.
        extension_tries: How often a stranger is asked for an extension; 0: never.
        meter: Who counts and times decisions, if anybody does.
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
        extension_tries: int = 0,
        meter: Meter | None = None,
    ) -> None:
        self._store = store
        self._timeout = timeout
        self._ring_timeout = ring_timeout
        self._max_duration = max_duration
        self._language = language
        self._fixed_lines = fixed_lines
        self._extension_tries = extension_tries
        self._meter = meter

    async def answer(self, arrival: Arrival) -> Destination:
        """
        Decide *arrival* and say where its channel goes on.

        Never raises: what cannot be decided is refused, as ``no_capacity`` where too many wait,
        else as ``platform_fault``.
        """
        begun = perf_counter()
        decision: Decision
        try:
            decision = await self._decide(arrival)
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
        if self._meter is not None:
            self._meter.took(perf_counter() - begun)
        return self.destination(decision, arrival.call_id)

    def destination(self, decision: Decision, call_id: str) -> Destination:
        """
        Log and count a decision, and say where it leads.
        """
        if self._meter is not None and isinstance(decision, Route | Refusal):
            self._meter.decided(decision)
        match decision:
            case Route():
                log.info("call.routed", extra={"call": call_id, "binding": decision.binding})
                return to_dial(
                    decision,
                    ring_timeout=self._ring_timeout,
                    max_duration=self._max_duration,
                    language=self._language,
                )
            case Ask():
                log.info("call.asked", extra={"call": call_id, "again": decision.again})
                return to_ask(decision, language=self._language)
            case NumberNeeded():
                # The store has tried to make it.
                log.warning("call.no_number", extra={"call": call_id, "binding": decision.binding})
                refusal = Refusal(reason=Reason.PLATFORM_FAULT, binding=decision.binding)
                return self.destination(refusal, call_id)
            case Refusal():
                log.info(
                    "call.refused",
                    extra={
                        "call": call_id,
                        "reason": decision.reason.value,
                        "binding": decision.binding,
                    },
                )
                return to_refuse(decision, language=self._language)

    async def _decide(self, arrival: Arrival) -> Decision:
        tries_left = (
            self._extension_tries
            if arrival.tries_left is None
            else min(arrival.tries_left, self._extension_tries)
        )
        screened = screen(
            caller=arrival.caller,
            presentation=arrival.presentation,
            dialled=arrival.dialled,
            fixed_lines=self._fixed_lines,
            tries_left=tries_left,
            # Where nobody is asked, nothing was typed.
            typed=arrival.typed if self._extension_tries else None,
        )
        if not isinstance(screened, Call):
            return screened
        admission = await self._admit(screened, arrival.call_id)
        decision = decide(screened, admission.facts, now=admission.now)
        if isinstance(decision, Route) is not admission.admitted:
            # The guard and the rule must be one. A use that was taken comes back at the end.
            log.error("decision.disagrees", extra={"call": arrival.call_id})
            return Refusal(reason=Reason.PLATFORM_FAULT)
        return decision

    async def _admit(self, call: Call, call_id: str) -> Admission:
        begun = perf_counter()
        try:
            return await self._store.admit(call, call_id, timeout=self._timeout)
        finally:
            if self._meter is not None:
                self._meter.admission_took(perf_counter() - begun)

"""
Traces as they are shown, to people and to programs.
"""

from collections.abc import Callable
from typing import Any

from agi_router.bindings.words import Side
from agi_router.calls.views import describe_call
from agi_router.consent.views import describe_consent
from agi_router.messages.views import describe_message
from agi_router.numbers import PhoneNumber
from agi_router.persons.views import describe_lock
from agi_router.traces.model import Stretch, Trace

__all__ = ["describe_trace", "reveal_trace"]

_Shown = Callable[[PhoneNumber], str]


def describe_trace(trace: Trace) -> dict[str, Any]:
    """
    A trace as it is printed: numbers of parties masked.
    """
    return _describe(trace, lambda number: number.masked)


def reveal_trace(trace: Trace) -> dict[str, Any]:
    """
    The same with the numbers of parties in full; only after a row of the audit.
    """
    return _describe(trace, lambda number: number.digits)


def _describe(trace: Trace, told: _Shown) -> dict[str, Any]:
    return {
        "since": trace.since,
        "until": trace.until,
        "bound": [_describe_stretch(each, told) for each in trace.bound],
        "calls": list(map(describe_call, trace.calls)),
        "messages": list(map(describe_message, trace.messages)),
        "locks": list(map(describe_lock, trace.locks)),
        "consents": list(map(describe_consent, trace.consents)),
        "cut": trace.cut,
    }


def _describe_stretch(stretch: Stretch, told: _Shown) -> dict[str, Any]:
    return {
        "binding": str(stretch.binding),
        "tenant": stretch.tenant,
        "order": stretch.order,
        "mode": stretch.mode,
        "state": stretch.state.value,
        "since": stretch.since,
        "until": stretch.until,
        **{
            side.value: [
                {"number": told(party.number), "dials": party.dials and str(party.dials)}
                for party in stretch.parties
                if party.side is side
            ]
            for side in Side
        },
        "called_back": list(map(told, stretch.called_back)),
        "damage": stretch.damage,
    }

"""
The extensions that carry a decision into the dialplan: a small wire format.

``continue`` takes a context and an extension and no variables, so the extension carries all that
the dialplan needs, fields separated by ``*``. Asterisk cuts it at 79 characters in silence; the
last field, ``end``, is what the dialplan checks to notice a cut.

Rule for the editor: written here, read by ``dialplan/agi_router.conf`` only. Change both together
and raise ``AGI_ROUTER_DIALPLAN``.
"""

from dataclasses import dataclass, field
from datetime import timedelta

from agi_router.model import Language, Refusal, Route

__all__ = ["DIALPLAN_VERSION", "Destination", "to_dial", "to_refuse"]

DIALPLAN_VERSION = "2"
"""The value of the dialplan's global ``AGI_ROUTER_DIALPLAN`` that goes with this module."""

_SECOND = timedelta(seconds=1)
# Three fixed lines of 12 digits and the longest of all other fields make 74 characters.
_CALLEES_MAX = 3


@dataclass(frozen=True, slots=True)
class Destination:
    """
    Where ``continue`` sends a channel.
    """

    context: str
    extension: str = field(repr=False)
    """At most 79 characters; may hold a real number, so it is never logged."""
    variables: dict[str, str] = field(default_factory=dict, repr=False)
    """Channel variables to set before; they cost a request each, so they are rare."""


def to_dial(
    route: Route, *, ring_timeout: timedelta, max_duration: timedelta, language: Language
) -> Destination:
    """
    Where a routed call goes on: ``callees*shown*ring*longest*language*end``, times in seconds.

    Callees are joined by ``+``. More than a few do not fit: then the first field is ``list``, and
    they travel in a variable.

    Args:
        route: The decision.
        ring_timeout: Used where the binding has none.
        max_duration: Used where the binding has none.
        language: Used where the binding has none.
    """
    callees = "+".join(callee.digits for callee in route.callees)
    few = len(route.callees) <= _CALLEES_MAX
    return Destination(
        "agi-router-dial",
        f"{callees if few else 'list'}*{route.shown.digits}"
        f"*{(route.ring_timeout or ring_timeout) // _SECOND}"
        f"*{(route.max_duration or max_duration) // _SECOND}"
        f"*{(route.language or language).value}*end",
        {} if few else {"AGI_ROUTER_CALLEES": callees},
    )


def to_refuse(refusal: Refusal, *, language: Language) -> Destination:
    """
    Where a refused call goes on: ``reason*prompt*cause*language*end``.
    """
    reason = refusal.reason
    return Destination(
        "agi-router-refuse",
        f"{reason.value}*{reason.prompt}*{reason.cause}"
        f"*{(refusal.language or language).value}*end",
    )

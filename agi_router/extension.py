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


@dataclass(frozen=True, slots=True)
class Destination:
    """
    Where ``continue`` sends a channel.
    """

    context: str
    extension: str = field(repr=False)
    """At most 79 characters; may hold a real number, so it is never logged."""


def to_dial(
    route: Route, *, ring_timeout: timedelta, max_duration: timedelta, language: Language
) -> Destination:
    """
    Where a routed call goes on: ``callees*shown*ring*longest*language*end``, times in seconds.

    Callees are joined by ``+``. Three fixed lines of 12 digits and the longest of all other fields
    make 71 characters; a fourth callee would be cut. (More could travel in a channel variable, but
    one that is set through ARI marks the channel's thread: from then on Asterisk forbids
    ``FILE()``, which writes its end.)

    Args:
        route: The decision.
        ring_timeout: Used where the binding has none.
        max_duration: Used where the binding has none.
        language: Used where the binding has none.
    """
    return Destination(
        "agi-router-dial",
        f"{'+'.join(callee.digits for callee in route.callees)}*{route.shown.digits}"
        f"*{(route.ring_timeout or ring_timeout) // _SECOND}"
        f"*{(route.max_duration or max_duration) // _SECOND}"
        f"*{(route.language or language).value}*end",
    )


def to_refuse(refusal: Refusal, *, language: Language, strict: bool = False) -> Destination:
    """
    Where a refused call goes on: ``reason*prompt*cause*language*end``.

    Args:
        refusal: The decision. Its reason is what goes on record, in any case.
        language: Used where the binding has none.
        strict: Whether the caller is to learn nothing about a binding.
    """
    told = refusal.strictly if strict else refusal
    return Destination(
        "agi-router-refuse",
        f"{refusal.reason.value}*{told.reason.prompt}*{told.cause}"
        f"*{(told.language or language).value}*end",
    )

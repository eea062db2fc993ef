"""
The extensions that carry a decision into the dialplan: a small wire format.

``continue`` takes a context and an extension and no variables, so the extension carries all that
the dialplan needs, fields separated by ``*``. Asterisk cuts it at 79 characters in silence; the
last field, ``end``, is what the dialplan checks to notice a cut. What does not fit travels in
parts: each but the last is kept by the dialplan, which then asks for the next one.

Rule for the editor: written here, read by ``dialplan/agi_router.conf`` only. Change both together
and raise ``AGI_ROUTER_DIALPLAN``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from agi_router.bindings.words import Display, Language
from agi_router.calls.decision import Ask, Refusal, Route
from agi_router.calls.treatment import treat

__all__ = ["DIALPLAN_VERSION", "EXTENSION_MAX", "Destination", "to_ask", "to_dial", "to_refuse"]

DIALPLAN_VERSION = "8"
"""The value of the dialplan's global ``AGI_ROUTER_DIALPLAN`` that goes with this module."""

EXTENSION_MAX = 79
"""What ``continue`` carries."""

# So many at once Asterisk can build into what it dials by one function: 4 kB.
_MANY = 100

_SECOND = timedelta(seconds=1)
_DISPLAYS = {Display.NUMBER: "n", Display.ANONYMOUS: "a"}
# Behind it: where the dialplan is to leave a line as the callee answers, and where both hear the
# anti-fraud notice before they are joined.
_TELL = "t"
_NOTICE = "f"
# And where the call is to be recorded, once both have been told.
_RECORD = "r"


@dataclass(frozen=True, slots=True)
class Destination:
    """
    Where ``continue`` sends a channel.
    """

    context: str
    extension: str = field(repr=False)
    """At most 79 characters; may hold a real number, so it is never logged."""
    later: tuple["Destination", ...] = field(default=(), repr=False)
    """Where it is sent next, each time that it comes back for more."""


def to_dial(
    route: Route, *, ring_timeout: timedelta, max_duration: timedelta, language: Language
) -> Destination:
    """
    Where a routed call goes on: ``callees*shown*ring*longest*language*display*prompts*end``.

    Times are in seconds, callees joined by ``+``. Where all of it is longer than an extension,
    the first callees go ahead in parts. (They could travel in a channel variable, but one that is
    set through ARI marks the channel's thread: from then on Asterisk forbids ``FILE()``, which
    writes its end.)

    Args:
        route: The decision.
        ring_timeout: Used where the binding has none.
        max_duration: Used where the binding has none.
        language: Used where the binding has none.
    """
    rest = (
        f"*{route.shown.digits}"
        f"*{(route.ring_timeout or ring_timeout) // _SECOND}"
        f"*{(route.max_duration or max_duration) // _SECOND}"
        f"*{(route.language or language).value}"
        f"*{_DISPLAYS[route.display]}{_TELL if route.tell_answer else ''}"
        f"{_NOTICE if route.notice else ''}{_RECORD if route.record else ''}"
        f"*{route.prompts or ''}*end"
    )
    *parts, last = _pieces([callee.digits for callee in route.callees], rest)
    context = "agi-router-dial" if len(route.callees) <= _MANY else "agi-router-many"
    if route.sequence:
        context = "agi-router-sequence"
    destinations = [
        *(Destination("agi-router-part", part) for part in parts),
        Destination(context, last),
    ]
    return Destination(
        destinations[0].context, destinations[0].extension, later=tuple(destinations[1:])
    )


def _pieces(callees: Sequence[str], rest: str) -> Iterator[str]:
    """
    *callees* joined by ``+`` and followed by *rest*, cut before a callee where it is too long.
    """
    piece = ""
    for text in (*(f"{callee}+" for callee in callees[:-1]), callees[-1] + rest):
        if piece and len(piece) + len(text) > EXTENSION_MAX:
            yield piece
            piece = ""
        piece += text
    yield piece


def to_ask(ask: Ask, *, language: Language) -> Destination:
    """
    Where a caller is asked for an extension: ``prompt*tries left*language*end``.
    """
    prompt = "wrong_extension" if ask.again else "ask_extension"
    return Destination("agi-router-ask", f"{prompt}*{ask.attempts_left}*{language.value}*end")


def to_refuse(
    refusal: Refusal, *, language: Language, strict: bool = False, silent: bool = False
) -> Destination:
    """
    Where a refused call goes on: ``reason*prompt*cause*language*prompts*end``.

    Before that stands the 700 number in whose place a middle number of before was dialled.

    Behind the end stands, after an empty field, what has become of the caller's appeal: its prompt
    follows.

    Args:
        refusal: The decision. Its reason is what goes on record, in any case.
        language: Used where the binding has none.
        strict: Whether the caller is to learn nothing about a binding.
        silent: Whether no prompt is played: the cause is sent at once.
    """
    told = refusal.undisclosed if strict else refusal
    cause, prompt = treat(told)
    # Its end is on record under that number.
    moved = "" if refusal.moved_to is None else f"{refusal.moved_to.digits}*"
    return Destination(
        "agi-router-changed" if moved else "agi-router-refuse",
        f"{moved}{refusal.reason.value}*{'' if silent else prompt}*{cause}"
        f"*{(told.language or language).value}*{told.prompts or ''}*end"
        f"{'' if told.appeal is None or silent else f'**{told.appeal}'}",
    )

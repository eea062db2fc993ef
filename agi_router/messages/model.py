"""
Texts, as values: what they are called, what becomes of them, and when one is tried again.

::

      held ──released──> queued; not released in time, or discarded ──> failed
    queued ──take──> in hand ──taken──> sent ──receipts──> delivered, undelivered, unknown
       ^                 ├─ temporary, or no answer ──> queued, later
       │                 ├─ for good ──> failed
       └── lease over ───┘
    queued ── its time or its binding's is over ──> expired, failed
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from agi_router.numbers import Block, PhoneNumber, XNumber
from agi_router.smpp.codings import Alphabet
from agi_router.smpp.parts import choose_coding, cut

__all__ = [
    "ANSWER",
    "CARRIED",
    "GIVEN_UP",
    "LEASE",
    "LONGEST",
    "MOST_PARTS",
    "RETRIES",
    "ROOM",
    "TURN",
    "WRITE",
    "CarriedText",
    "Hands",
    "MessageState",
    "Outgoing",
    "Text",
    "count_parts",
    "is_certain",
    "is_temporary",
    "message_block",
    "message_day",
    "name_message",
    "pause_after",
]

CARRIED: Final = "http"
"""The door of texts that their carriers keep; no link is called so."""
GIVEN_UP: Final = "given_up"
"""Why a text has failed whose sender had given up by the time at which it was stored."""
MOST_PARTS: Final = 10
"""Short messages that a text may be."""
LONGEST: Final = 4096
"""Octets, in UTF-8, that a text may have: some 1,300 Chinese characters."""
RETRIES: Final = tuple(
    timedelta(seconds=seconds) for seconds in (5, 15, 60, 5 * 60, 15 * 60, 60 * 60)
)
"""How long a text waits after its first try, its second and so on; then as after the last."""
ROOM: Final = 1.0
"""Seconds in which a text that was stored as in hand must have room, or it is put off."""
TURN: Final = 10.0
"""Seconds in which a text that was taken must have its turn, or it is put off."""
ANSWER: Final = 32.0
"""Seconds for which an answer is waited for, at most: SIP gives up then."""
WRITE: Final = 10.0
"""Seconds in which the end of a try is written, or it never is."""
_TOLD: Final = 5.0
LEASE: Final = timedelta(seconds=_TOLD + ROOM + TURN + ANSWER + WRITE)
"""How long one try may take: until we know that it is ours, and then all that it waits for."""

_NAME = re.compile(r"(700[0-9]{8})-([0-9]{9,11})\.([0-9]{1,10})")
_LARGEST_RANDOM = 10**10
# What may pass by itself: time-outs, somebody who is away, a server that is down or overloaded.
_TEMPORARY = frozenset({408, 480, 500, 503, 504})
# Said by who sits between, of an answer that did not come in time: the text may have arrived.
_UNCERTAIN = frozenset({408, 504})


class MessageState(StrEnum):
    """
    What has become of a text.
    """

    HELD = "held"
    """It is owed once its tenant releases it."""
    QUEUED = "queued"
    """It is owed."""
    SENT = "sent"
    """The next hop has taken it. SIP has no receipts: nobody knows more."""
    FAILED = "failed"
    EXPIRED = "expired"
    DELIVERED = "delivered"
    """It was sent, and its receipts say that it has arrived."""
    UNDELIVERED = "undelivered"
    """It was sent, and a receipt says that it never will arrive."""
    UNKNOWN = "unknown"
    """It was sent, and a receipt is missing or says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """
    A text that somebody wants to send; its numbers are parsed.
    """

    sender: PhoneNumber
    x_number: XNumber
    body: str = field(repr=False)

    @property
    def octets(self) -> int:
        """
        How long it is, in UTF-8.
        """
        return len(self.body.encode())

    @property
    def parts(self) -> int:
        """
        How many short messages it is.
        """
        return count_parts(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedText(Text):
    """
    A text that its carrier keeps and delivers, and asks about: we never have what it says.
    """

    body: str = field(default="", init=False, repr=False)
    said_octets: int
    """How long it is, in UTF-8, as its carrier says."""
    said_parts: int
    """How many short messages it is, ditto."""

    @property
    def octets(self) -> int:
        """
        How long it is.
        """
        return self.said_octets

    @property
    def parts(self) -> int:
        """
        How many short messages it is.
        """
        return self.said_parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """
    A text that is in hand to be sent.
    """

    id: str
    attempts: int
    """The how-manieth try this is."""
    maybe_twice: bool
    """Whether an earlier try may have delivered it."""
    receiver: PhoneNumber
    shown: XNumber
    """Whom the receiver sees."""
    body: str = field(repr=False)
    left: timedelta = timedelta(hours=24)
    """For how long it is tried."""

    @property
    def block(self) -> Block:
        """
        Where it is kept.
        """
        return self.shown.block


class Hands(Protocol):
    """
    Who sends texts as soon as they are stored.
    """

    @property
    def free(self) -> bool:
        """
        Whether one more can be sent at once.
        """
        ...

    def hand_over(self, message: Outgoing) -> None:
        """
        Send *message*, which was stored as in hand; must not raise.
        """
        ...

    def wake(self) -> None:
        """
        One was stored that is in nobody's hands; must not raise.
        """
        ...


def name_message(block: Block, now: datetime, chance: int) -> str:
    """
    A name for a new text: it tells its block and its second.

    Args:
        block: Of the number it is sent to.
        now: The time, timezone-aware.
        chance: Any whole number that nobody can guess.
    """
    return f"{block}-{int(now.timestamp())}.{chance % _LARGEST_RANDOM}"


def message_day(name: str) -> date:
    """
    The day, in UTC, on which a text is kept: that of the second in its name.

    Raises:
        ValueError: It is no name of a text.
    """
    return datetime.fromtimestamp(int(_read_name(name)[2]), UTC).date()


def message_block(name: str) -> Block:
    """
    The block in which a text is kept.

    Raises:
        ValueError: It is no name of a text.
    """
    return Block.parse(_read_name(name)[1])


def _read_name(name: str) -> re.Match[str]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError("a text's id looks like 70012345678-1790000000.123")
    return match


def pause_after(attempts: int) -> timedelta:
    """
    How long a text waits after so many tries, 1 or more.
    """
    return RETRIES[min(attempts, len(RETRIES)) - 1]


def is_temporary(status: int | None) -> bool:
    """
    Whether a text that was answered so is tried again.

    Args:
        status: A final SIP status; :obj:`None` where there was no answer.
    """
    return status is None or status in _TEMPORARY


def is_certain(status: int | None) -> bool:
    """
    Whether a text whose try was refused so has certainly not arrived by it.

    Args:
        status: A final SIP status; :obj:`None` where there was no answer.
    """
    return status is not None and status not in _UNCERTAIN


def count_parts(body: str) -> int:
    """
    How many short messages a text is, as carriers and platforms count them: 1 or more.
    """
    return len(cut(body, choose_coding(body, Alphabet.GSM7)))

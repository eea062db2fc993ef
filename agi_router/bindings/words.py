"""
The words of a binding: closed sets, and texts that have a rule.

The values are the words of database, command line and logs.
"""

import re
from enum import StrEnum

from agi_router.texts import LONGEST_NAME, check_name

__all__ = [
    "BindingState",
    "Callback",
    "Counting",
    "Direction",
    "Display",
    "Language",
    "Messages",
    "Mode",
    "Recording",
    "Side",
    "check_group",
    "check_order_id",
    "check_pool",
    "check_prompts",
]


class Mode(StrEnum):
    """
    The kind of a binding. The hot path never looks at it.
    """

    AXB = "axb"
    AXYB = "axyb"
    GXB = "gxb"
    GXYB = "gxyb"
    AX = "ax"
    AXE = "axe"

    @property
    def open(self) -> bool:
        """
        Whether strangers reach A: their side is B.
        """
        return self in {Mode.AX, Mode.AXE}


class Side(StrEnum):
    """
    On which side of a binding a caller stands.
    """

    A = "a"
    B = "b"


class Direction(StrEnum):
    """
    Which side may call: both, only A, or only B.
    """

    BOTH = "both"
    A = "a"
    B = "b"

    def allows(self, side: Side) -> bool:
        """
        Whether a caller standing on *side* may call.
        """
        return self is Direction.BOTH or self.value == side.value


class Messages(StrEnum):
    """
    Which side may text the other: both, only A, only B, or none.
    """

    BOTH = "both"
    A = "a"
    B = "b"
    OFF = "off"

    def allows(self, side: Side) -> bool:
        """
        Whether a sender standing on *side* may text.
        """
        return self is Messages.BOTH or self.value == side.value


class Recording(StrEnum):
    """
    Whether calls are recorded.
    """

    ON = "on"
    OFF = "off"


class Callback(StrEnum):
    """
    Who rings when a group is called back: the default, who called last, all at once or in turn.

    Where strangers call A, whom A calls back: a fixed number, or who called last.
    """

    DEFAULT = "default"
    LAST = "last"
    ALL = "all"
    SEQUENCE = "sequence"


class Display(StrEnum):
    """
    What a side sees when it is called: the 700 number that it dials to call back, or no number.
    """

    NUMBER = "number"
    ANONYMOUS = "anonymous"


class Counting(StrEnum):
    """
    What takes one of a binding's uses for good: answered calls, or every leg dialled.
    """

    ANSWERED = "answered"
    ATTEMPTS = "attempts"


class Language(StrEnum):
    """
    Language of the prompts: Mandarin or English.
    """

    ZH = "zh"
    EN = "en"


class BindingState(StrEnum):
    """
    Whether a binding is alive, or what ended it.
    """

    ACTIVE = "active"
    HELD = "held"
    """It lives and rings nobody: nobody knows whether a party's number has a new owner."""
    EXPIRED = "expired"
    UNBOUND = "unbound"
    ORDER_ENDED = "order_ended"
    USED_UP = "used_up"
    PARTY_RECYCLED = "party_recycled"
    """A party's number has a new owner, or none."""
    RECYCLE_UNKNOWN = "recycle_unknown"
    """Nobody knows whether it has, and the tenant lets no such number ring."""
    CONSENT_WITHDRAWN = "consent_withdrawn"
    """A party no longer agrees to it."""

    @property
    def lives(self) -> bool:
        """
        Whether a binding in this state is not over.
        """
        return self in {BindingState.ACTIVE, BindingState.HELD}


_PROMPTS = re.compile(r"[a-z0-9][a-z0-9_-]{0,15}")
# It begins with a letter: so it is no number, and may stand in a path.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")


def check_order_id(text: str) -> str:
    """
    Return *text*, stripped, if it may be the id of an order: 1 to 128 characters that are seen.

    Raises:
        ValueError: If it may not; says how to repair what a spreadsheet has shortened.
    """
    return check_name(text, what="an order's id", longest=LONGEST_NAME)


def check_prompts(text: str) -> str:
    """
    Return *text* if it may name a set of prompts: a folder beside those shipped.

    Raises:
        ValueError: If it may not.
    """
    if not _PROMPTS.fullmatch(text):
        raise ValueError("a name has 1 to 16 of a-z, 0-9, '_' and '-'")
    return text


def check_pool(text: str) -> str:
    """
    Return *text* if it may be a pool's name.

    Raises:
        ValueError: If it may not.
    """
    return _check_name(text, "a pool's name")


def check_group(text: str) -> str:
    """
    Return *text* if it may be a party group's name.

    Raises:
        ValueError: If it may not.
    """
    return _check_name(text, "a party group's name")


def _check_name(text: str, what: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"{what} has 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', and begins with a letter"
        )
    return text

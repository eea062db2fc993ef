"""
A binding and its parts, as values: all frozen.

Closed sets are enums; their values are the words of database, command line and logs.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from agi_router.errors import BindingNotFound
from agi_router.numbers import E164, Block, XNumber
from agi_router.texts import LONGEST_NAME, check_name, strip

__all__ = [
    "BindingId",
    "BindingState",
    "Callback",
    "Counting",
    "Direction",
    "Display",
    "Language",
    "Mode",
    "Party",
    "RouteRow",
    "Side",
    "StoredBinding",
    "Terms",
    "check_order_id",
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
    EXPIRED = "expired"
    UNBOUND = "unbound"
    ORDER_ENDED = "order_ended"
    USED_UP = "used_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRow:
    """
    One compiled row: whoever dials *x_number* as *caller* rings *callees*, who are shown *shown*.
    """

    x_number: XNumber
    caller: E164 | None
    """The caller the row is for, or :obj:`None` for anyone."""
    callees: tuple[E164, ...]
    """Whom to ring; nobody if the other side has no default."""
    shown: XNumber | None
    """The number the callee sees; :obj:`None` if it is made on the first call."""
    side: Side
    """The side the caller stands on."""
    extension: str | None = None
    """The digits by which anyone reaches the row, where the number has extensions."""


_PROMPTS = re.compile(r"[a-z0-9][a-z0-9_-]{0,15}")


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


@dataclass(frozen=True, slots=True, order=True)
class BindingId:
    """
    The name of a binding, ``<block>-<id>``: the block tells where it is kept.
    """

    block: Block
    id: int

    @classmethod
    def parse(cls, text: str) -> "BindingId":
        """
        Read a binding's name.

        Raises:
            BindingNotFound: The text names no binding that could exist.
        """
        expected = "a binding's id looks like 70012345678-1, or is the 700 number that it is on"
        block, _, serial = strip(text).partition("-")
        try:
            if not (serial.isascii() and serial.isdigit()):
                raise BindingNotFound(expected)
            return cls(Block.parse(block), min(int(serial[:19]), 2**63 - 1))
        except ValueError:
            raise BindingNotFound(expected) from None

    def __str__(self) -> str:
        return f"{self.block}-{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """
    What is agreed for a binding beside its parties.
    """

    expires_at: datetime
    max_calls: int | None = None
    counting: Counting = Counting.ANSWERED
    direction: Direction = Direction.BOTH
    ring_timeout: timedelta | None = None
    max_duration: timedelta | None = None
    language: Language | None = None
    display_a: Display = Display.NUMBER
    """What A's side sees when it is called."""
    display_b: Display = Display.NUMBER
    prompts: str | None = None
    """The set of prompts that its callers hear; :obj:`None`: those shipped."""
    order_id: str | None = None
    tenant: str = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """
    One party of a stored binding, and the number it dials.
    """

    side: Side
    number: E164
    dials: XNumber | None
    """:obj:`None` while its number is not made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBinding:
    """
    A binding as it is kept.
    """

    id: BindingId
    mode: Mode
    state: BindingState
    tenant: str
    order_id: str | None
    begins_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    max_calls: int | None
    calls_used: int
    counting: Counting
    direction: Direction
    ring_timeout: timedelta | None
    max_duration: timedelta | None
    language: Language | None
    display_a: Display
    display_b: Display
    prompts: str | None
    callback: Callback | None
    callback_window: timedelta | None
    extension: str | None
    y_ttl: timedelta | None
    """How long a Y lives that is made on a call; :obj:`None`: Y is as old as the binding."""
    parent: BindingId | None
    """The binding whose call has made this one."""
    parties: tuple[Party, ...]
    called_back: tuple[E164, ...]
    """Whom B reaches, or A where strangers may call, as it stands."""
    damage: str | None = None
    """Why its parties cannot be read; they are left out then."""

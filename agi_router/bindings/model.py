"""
A binding and its parts, as values: all frozen.

Closed sets are enums; their values are the words of database, command line and logs.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from agi_router.bindings.terms import Terms
from agi_router.bindings.words import BindingState, Callback, Mode, Side
from agi_router.cursors import Cursor
from agi_router.errors import BindingNotFound
from agi_router.numbers import Block, PhoneNumber, XNumber
from agi_router.texts import strip

__all__ = ["Binding", "BindingId", "Party"]


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
class Party:
    """
    One party of a stored binding, and the number it dials.
    """

    side: Side
    number: PhoneNumber
    dials: XNumber | None
    """:obj:`None` while its number is not made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding(Terms):
    """
    A binding as it is kept, with its terms.
    """

    id: BindingId
    mode: Mode
    state: BindingState
    begins_at: datetime
    ended_at: datetime | None
    calls_used: int
    messages_used: int
    version: int
    """How often somebody has said what is agreed."""
    group: str | None
    """The name of the party group that is side A; :obj:`None`: it has members of its own."""
    callback: Callback | None
    callback_window: timedelta | None
    extension: str | None
    y_ttl: timedelta | None
    """How long a Y lives that is made on a call; :obj:`None`: Y is as old as the binding."""
    parent: BindingId | None
    """The binding whose call has made this one."""
    parties: tuple[Party, ...]
    called_back: tuple[PhoneNumber, ...]
    """Whom B reaches, or A where strangers may call, as it stands."""
    damage: str | None = None
    """Why its parties cannot be read; they are left out then."""

    @property
    def cursor(self) -> Cursor:
        """
        Where the page of a list ends that it is the last of.
        """
        return Cursor(self.begins_at, str(self.id))

"""
Bindings as they are kept and shown.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from agi_router.bindings.model import (
    BindingState,
    Callback,
    Counting,
    Direction,
    Display,
    Language,
    Mode,
    Side,
    check_prompts,
)
from agi_router.errors import BindingNotFound
from agi_router.numbers import E164, Block, XNumber
from agi_router.texts import strip

__all__ = [
    "BindingId",
    "Party",
    "StoredBinding",
    "Terms",
    "read_binding",
    "read_damaged",
    "seconds",
]

# What stands for a word of a row that is none of ours.
_WORDS: dict[str, StrEnum] = {
    "mode": Mode.AXB,
    "state": BindingState.ACTIVE,
    "counting": Counting.ANSWERED,
    "direction": Direction.BOTH,
    "language": Language.ZH,
    "display_a": Display.NUMBER,
    "display_b": Display.NUMBER,
    "callback": Callback.DEFAULT,
}


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


def read_binding(
    row: dict[str, Any],
    parties: tuple[Party, ...],
    called_back: tuple[E164, ...],
    *,
    damage: str | None = None,
) -> StoredBinding:
    """
    Read one row of bindings, whose parties were read from its routes.

    Raises:
        ValueError: The row holds what is never written.
    """
    state = BindingState(row["state"])
    ended_at = row["ended_at"]
    if state is BindingState.ACTIVE and row["expires_at"] <= row["now"]:
        # Nobody has noticed yet; the clock ended it.
        state, ended_at = BindingState.EXPIRED, row["expires_at"]
    return StoredBinding(
        id=BindingId(Block(value=row["block"]), row["id"]),
        mode=Mode(row["mode"]),
        state=state,
        tenant=row["tenant"],
        order_id=row["order_id"],
        begins_at=row["begins_at"],
        expires_at=row["expires_at"],
        ended_at=ended_at,
        max_calls=row["max_calls"],
        calls_used=row["calls_used"],
        counting=Counting(row["counting"]),
        direction=Direction(row["direction"]),
        ring_timeout=_span(row["ring_timeout"]),
        max_duration=_span(row["max_duration"]),
        language=None if row["language"] is None else Language(row["language"]),
        display_a=Display(row["display_a"] or Display.NUMBER),
        display_b=Display(row["display_b"] or Display.NUMBER),
        prompts=row["prompts"] and check_prompts(row["prompts"]),
        callback=None if row["callback"] is None else Callback(row["callback"]),
        callback_window=_span(row["callback_window"]),
        extension=row["extension"],
        y_ttl=_span(row["y_ttl"]),
        parent=None
        if row["parent_id"] is None
        else BindingId(Block(value=row["block"]), row["parent_id"]),
        parties=parties,
        called_back=called_back,
        damage=damage,
    )


def read_damaged(row: dict[str, Any], damage: str) -> StoredBinding:
    """
    Read what can be read of a row of bindings, without its parties.

    Args:
        row: The row.
        damage: Why not all of it can be. Words that are none of ours are replaced.
    """
    sound = {
        name: row[name] if row[name] in {None, *map(str, type(word))} else word
        for name, word in _WORDS.items()
    }
    try:
        check_prompts(row["prompts"] or "")
    except ValueError:
        sound["prompts"] = None
    return read_binding({**row, **sound}, (), (), damage=damage)


def seconds(value: timedelta | None) -> int | None:
    """
    A span in the store's unit.
    """
    return None if value is None else int(value.total_seconds())


def _span(value: int | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=value)

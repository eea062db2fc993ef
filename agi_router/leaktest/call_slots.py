"""
Call slots: the people of a call and the numbers they dial. A slot carries one call at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agi_router.bindings.words import Mode
from agi_router.leaktest.vectors import Party

__all__ = ["MODES", "NUMBERS_PER_SLOT", "CallSlot", "people"]

MODES = (Mode.AXB, Mode.AXYB)
NUMBERS_PER_SLOT = 3

# Names that nothing else in a call is likely to spell, and addresses of RFC 5737.
_PEOPLE = (
    ("Lin Daiyu", "林黛玉", "192.0.2.11"),
    ("Wang Xifeng", "王熙凤", "198.51.100.22"),
    ("Shi Xiangyun", "史湘云", "203.0.113.33"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSlot:
    """
    The people of the calls of one slot.

    Attributes:
        a: One party of the bindings.
        b: The other.
        other: A third party, who is in none.
        dialled: For each mode, what A dials and what B dials.
    """

    a: Party
    b: Party
    other: Party
    dialled: Mapping[Mode, tuple[str, str]]


def people(numbers: Sequence[str]) -> tuple[Party, Party, Party]:
    """
    A, B and the third party of a slot.

    Args:
        numbers: Their numbers; no two may share their last eight digits, or one would be found in
            the other.

    Raises:
        ValueError: They are not three, or two of them are alike.
    """
    if len({number[-8:] for number in numbers}) != NUMBERS_PER_SLOT:
        raise ValueError("expected three numbers that differ in their last eight digits")
    a, b, other = (
        Party(number=number, name=name, hanzi=hanzi, address=address)
        for number, (name, hanzi, address) in zip(numbers, _PEOPLE, strict=True)
    )
    return a, b, other

"""
Examples that many tests speak of: invented numbers and one moment.

What is a test's own point stands in the test: a number at the end of a range, a moment at an
hour's turn. What a block or a database must not have twice is drawn by the test
(:mod:`harness.database`), and taken from nowhere here. Where a line of text or a body of HTTP is
wanted, a test takes the digits: ``A.digits``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from agi_router.numbers import Block, PhoneNumber

__all__ = ["BLOCK", "LINE", "NOW", "A", "B", "C", "D", "E", "F", "X", "Y", "call_id"]

A: Final = PhoneNumber(digits="13912340001")
"""A party; by most examples the one who calls."""

B: Final = PhoneNumber(digits="13912340002")
"""The other one."""

C: Final = PhoneNumber(digits="13912340003")
"""Somebody else."""

D: Final = PhoneNumber(digits="13912340004")
"""One more, as for a second binding; then there are E and F."""

E: Final = PhoneNumber(digits="13912340005")
F: Final = PhoneNumber(digits="13912340006")

LINE: Final = PhoneNumber(digits="01062345678")
"""A fixed line, of Beijing."""

BLOCK: Final = Block(value=70012345678)
"""A block of 700 numbers."""

X: Final = BLOCK.number(1)
"""A 700 number."""

Y: Final = BLOCK.number(2)
"""Another one of the same block."""

NOW: Final = datetime(2025, 3, 14, 21, 30, 25, tzinfo=UTC)
"""A moment, at which it is the next day already in China."""


def call_id(serial: int) -> str:
    """
    The id of a call, of the day of :data:`NOW`.
    """
    return f"pbx1-1741988825.{serial}"

"""
Examples that many tests speak of: invented numbers and one moment.

What is a test's own point stands in the test: a number at the end of a range, a moment at an
hour's turn. What a block or a database must not have twice is drawn by the test
(:mod:`harness.database`), and taken from nowhere here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from agi_router.numbers import PhoneNumber, XNumber

__all__ = ["LINE", "NOW", "A", "B", "C", "X", "Y", "call_id"]

A: Final = PhoneNumber(digits="13800130001")
"""A party; by most examples the one who calls."""

B: Final = PhoneNumber(digits="13900130002")
"""The other one."""

C: Final = PhoneNumber(digits="13700130003")
"""Somebody else."""

LINE: Final = PhoneNumber(digits="01062345678")
"""A fixed line, of Beijing."""

X: Final = XNumber(value=700012345670001)
"""A 700 number."""

Y: Final = XNumber(value=700012345670002)
"""Another one of the same block."""

NOW: Final = datetime(2025, 3, 14, 21, 30, 25, tzinfo=UTC)
"""A moment, at which it is the next day already in China."""


def call_id(serial: int) -> str:
    """
    The id of a call, of the day of :data:`NOW`.
    """
    return f"pbx1-1741988825.{serial}"

"""Real numbers that Hypothesis draws: built of integers, which is faster than by an expression."""

from __future__ import annotations

from hypothesis import strategies as st

_NOT_PEOPLES = ("1349", "140", "141", "144", "174")

mobiles = (
    st.integers(13_000_000_000, 19_999_999_999)
    .map(str)
    .filter(lambda digits: not digits.startswith(_NOT_PEOPLES))
)
"""Mobile numbers of people, by the shipped ranges."""

_areas = (
    st.just("010")
    | st.integers(20, 29).map("0{}".format)
    | st.integers(300, 999).map("0{}".format)
)
_subscribers = st.integers(1_000_000, 99_999_999).map(str)

fixed_lines = st.builds("{}{}".format, _areas, _subscribers)
"""Fixed lines, with their area."""

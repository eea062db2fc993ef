"""Modes: what holds for the rows of any binding."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agi_router.model import RouteRow, Side
from agi_router.modes import Axb, Parties, compile_routes
from agi_router.numbers import E164, XNumber

x_numbers = st.integers(700 * 10**12, 701 * 10**12 - 1).map(XNumber.from_int)
numbers = st.from_regex(
    r"1[3-9][0-9]{9}|0(10|2[0-9]|[3-9][0-9]{2})[1-9][0-9]{6,7}", fullmatch=True
).map(lambda digits: E164(digits=digits))
# A new mode joins here; the properties below do not change.
bindings: st.SearchStrategy[Parties] = st.lists(numbers, min_size=2, max_size=2, unique=True).map(
    lambda pair: Axb(a=pair[0], b=pair[1])
)


def follow(rows: tuple[RouteRow, ...], dialled: XNumber, caller: E164) -> RouteRow:
    """Return the one row that a call hits."""
    [row] = [row for row in rows if (row.x_number, row.caller) == (dialled, caller)]
    return row


@given(bindings, x_numbers)
def test_the_called_party_is_shown_what_it_dials_to_call_back(
    parties: Parties, x: XNumber
) -> None:
    """Follow a leg twice and be back where it began."""
    rows = compile_routes(parties, x)
    for row in rows:
        back = follow(rows, row.shown, row.callee)
        assert (back.callee, back.shown) == (row.caller, row.x_number)
        assert {row.side, back.side} == {Side.A, Side.B}


@given(bindings, x_numbers)
def test_no_two_rows_have_one_key(parties: Parties, x: XNumber) -> None:
    """The dialled number and the caller tell where a call goes."""
    rows = compile_routes(parties, x)
    assert rows
    assert len({(row.x_number, row.caller) for row in rows}) == len(rows)


@given(bindings, x_numbers)
def test_all_rows_lie_in_one_block(parties: Parties, x: XNumber) -> None:
    """The block is the shard key: one binding, one shard."""
    rows = compile_routes(parties, x)
    assert {number.block for row in rows for number in (row.x_number, row.shown)} == {x.block}


@given(bindings, x_numbers)
def test_nobody_rings_itself(parties: Parties, x: XNumber) -> None:
    """A caller never reaches its own phone."""
    assert all(row.caller != row.callee for row in compile_routes(parties, x))

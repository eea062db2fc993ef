"""Modes: a table of what a binding compiles into."""

from __future__ import annotations

import pytest

from agi_router.errors import SameParty
from agi_router.model import Mode, RouteRow, Side
from agi_router.modes import Axb, Parties, compile_routes, mode_of
from agi_router.numbers import E164, XNumber

X = XNumber(value=700012345670001)
A = E164(digits="13800130001")
B = E164(digits="13900130002")
LINE = E164(digits="01062345678")


@pytest.mark.parametrize(
    ("parties", "rows"),
    [
        # Both dial X, reach each other, and are shown X.
        (Axb(a=A, b=B), [(X, A, B, X, Side.A), (X, B, A, X, Side.B)]),
        # A is who was named first, whatever the numbers.
        (Axb(a=B, b=A), [(X, B, A, X, Side.A), (X, A, B, X, Side.B)]),
        # A fixed line, where they are allowed.
        (Axb(a=A, b=LINE), [(X, A, LINE, X, Side.A), (X, LINE, A, X, Side.B)]),
    ],
)
def test_compile(parties: Parties, rows: list[tuple[XNumber, E164, E164, XNumber, Side]]) -> None:
    """Who dials what as whom rings whom, who is shown what."""
    expected = tuple(
        RouteRow(x_number=dialled, caller=caller, callee=callee, shown=shown, side=side)
        for dialled, caller, callee, shown, side in rows
    )
    assert compile_routes(parties, X) == expected


@pytest.mark.parametrize("again", [A, E164.parse("+86 138 0013 0001")])
def test_nobody_is_bound_with_itself(again: E164) -> None:
    """However the number is written, A is not B."""
    with pytest.raises(SameParty):
        compile_routes(Axb(a=A, b=again), X)


def test_the_type_of_the_parties_names_the_mode() -> None:
    """An Axb is an AXB binding."""
    assert mode_of(Axb(a=A, b=B)) is Mode.AXB

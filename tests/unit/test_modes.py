"""Modes: a table for each of what a binding compiles into, and what no mode allows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from agi_router.errors import ModeError, SameParty
from agi_router.model import Callback, Mode, RouteRow, Side
from agi_router.modes import (
    GROUP_MAX,
    RING_ALL_MAX,
    Axb,
    Axyb,
    Gxb,
    Gxyb,
    Parties,
    compile_routes,
)
from agi_router.numbers import E164, XNumber

X = XNumber(value=700012345670001)
Y = XNumber(value=700012345670002)
ELSEWHERE = XNumber(value=700012345680002)
A = E164(digits="13800130001")
B = E164(digits="13900130002")
G1, G2, G3 = (E164(digits=f"1370013000{serial}") for serial in (1, 2, 3))
LINE = E164(digits="01062345678")
GROUP = (G1, G2, G3)

Row = tuple[XNumber, E164, tuple[E164, ...], XNumber, Side]


def group(mode: type[Gxb], callback: Callback, default: E164 | None = None, *members: E164) -> Gxb:
    """Return the group, or another one, and B."""
    return mode(members=members or GROUP, b=B, callback=callback, default=default)


@pytest.mark.parametrize(
    ("parties", "rows"),
    [
        # Both dial X, reach each other, and are shown X.
        (Axb(a=A, b=B), [(X, A, (B,), X, Side.A), (X, B, (A,), X, Side.B)]),
        # A is who was named first, whatever the numbers.
        (Axb(a=B, b=A), [(X, B, (A,), X, Side.A), (X, A, (B,), X, Side.B)]),
        # A fixed line, where they are allowed.
        (Axb(a=A, b=LINE), [(X, A, (LINE,), X, Side.A), (X, LINE, (A,), X, Side.B)]),
    ],
)
def test_axb(parties: Parties, rows: list[Row]) -> None:
    """Who dials what rings whom, and what is shown; nobody else is anybody on X."""
    assert compile_routes(parties, X, X) == _rows(rows)


@pytest.mark.parametrize(
    ("parties", "rows"),
    [
        # A dials X and B is shown Y, which B dials, and A is shown X.
        (Axyb(a=A, b=B), [(X, A, (B,), Y, Side.A), (Y, B, (A,), X, Side.B)]),
        (Axyb(a=B, b=A), [(X, B, (A,), Y, Side.A), (Y, A, (B,), X, Side.B)]),
    ],
)
def test_axyb(parties: Parties, rows: list[Row]) -> None:
    """Each dials and sees a number of its own, and is a stranger on the other's."""
    assert compile_routes(parties, X, Y) == _rows(rows)


@pytest.mark.parametrize(
    ("callback", "default", "rung"),
    [
        # B's call back rings the default member, or nobody.
        (Callback.DEFAULT, G2, (G2,)),
        (Callback.DEFAULT, None, ()),
        # Until somebody has called, the default stands in for the last caller.
        (Callback.LAST, G3, (G3,)),
        (Callback.LAST, None, ()),
        # All at once, in the order in which they were named.
        (Callback.ALL, None, GROUP),
    ],
)
@pytest.mark.parametrize(("mode", "b_number"), [(Gxb, X), (Gxyb, Y)])
def test_groups(
    mode: type[Gxb],
    b_number: XNumber,
    callback: Callback,
    default: E164 | None,
    rung: tuple[E164, ...],
) -> None:
    """Every member dials X and rings B; B dials what it is shown and rings whom callback says."""
    rows: list[Row] = [
        *((X, member, (B,), b_number, Side.A) for member in GROUP),
        (b_number, B, rung, X, Side.B),
    ]
    assert compile_routes(group(mode, callback, default), X, b_number) == _rows(rows)


def _rows(rows: list[Row]) -> tuple[RouteRow, ...]:
    return tuple(
        RouteRow(x_number=dialled, caller=caller, callees=callees, shown=shown, side=side)
        for dialled, caller, callees, shown, side in rows
    )


@pytest.mark.parametrize(
    ("parties", "mode", "numbers", "side_a"),
    [
        (Axb(a=A, b=B), Mode.AXB, 1, (A,)),
        (Axyb(a=A, b=B), Mode.AXYB, 2, (A,)),
        (group(Gxb, Callback.ALL), Mode.GXB, 1, GROUP),
        (group(Gxyb, Callback.ALL), Mode.GXYB, 2, GROUP),
    ],
)
def test_the_type_of_the_parties_names_the_mode(
    parties: Parties, mode: Mode, numbers: int, side_a: tuple[E164, ...]
) -> None:
    """The class tells the mode, how many numbers it has, and who stands on side A."""
    assert (parties.mode, parties.numbers, parties.side_a) == (mode, numbers, side_a)


@pytest.mark.parametrize("again", [A, E164.parse("+86 138 0013 0001")])
@pytest.mark.parametrize("mode", [Axb, Axyb])
def test_nobody_is_bound_with_itself(mode: type[Axb], again: E164) -> None:
    """However the number is written, A is not B."""
    with pytest.raises(SameParty):
        mode(a=A, b=again)


@pytest.mark.parametrize(
    ("members", "default", "error", "words"),
    [
        ((G1, G1), None, SameParty, "different numbers"),
        ((G1, B), None, SameParty, "different numbers"),
        ((B,), None, SameParty, "different numbers"),
        ((), None, ModeError, "1 to 200 members"),
        # Whom B calls back is one of them.
        ((G1, G2), G3, ModeError, "a member of the group"),
        ((G1, G2), B, ModeError, "a member of the group"),
    ],
)
@pytest.mark.parametrize("mode", [Gxb, Gxyb])
def test_groups_that_cannot_be(
    mode: type[Gxb],
    members: tuple[E164, ...],
    default: E164 | None,
    error: type[Exception],
    words: str,
) -> None:
    """Nobody twice, nobody on both sides, at least one; and a default from among them."""
    with pytest.raises(error, match=words):
        mode(members=members, b=B, default=default)


def many(count: int) -> tuple[E164, ...]:
    """Return *count* numbers."""
    return tuple(E164(digits=f"137{serial:08}") for serial in range(count))


@pytest.mark.parametrize(
    ("callback", "largest"),
    [
        (Callback.DEFAULT, GROUP_MAX),
        (Callback.LAST, GROUP_MAX),
        (Callback.ALL, RING_ALL_MAX),
    ],
)
@pytest.mark.parametrize("mode", [Gxb, Gxyb])
def test_the_largest_group(mode: type[Gxb], callback: Callback, largest: int) -> None:
    """So many and not one more."""
    parties = group(mode, callback, None, *many(largest))
    numbers = (X, X) if mode is Gxb else (X, Y)
    assert len(compile_routes(parties, *numbers)) == largest + 1
    with pytest.raises(ModeError, match=str(largest)):
        group(mode, callback, None, *many(largest + 1))


def test_who_rings_all_has_no_default() -> None:
    """It would never ring alone, so to name it is a mistake."""
    with pytest.raises(ModeError, match="no default"):
        group(Gxb, Callback.ALL, G1)


PARTIES: list[Callable[[], Parties]] = [
    lambda: Axb(a=A, b=B),
    lambda: Axyb(a=A, b=B),
    lambda: group(Gxb, Callback.LAST),
    lambda: group(Gxyb, Callback.LAST),
]


@pytest.mark.parametrize(
    ("make", "numbers"), [*product(PARTIES, [(X, X), (X, Y), (Y, X), (X, ELSEWHERE)])]
)
def test_numbers_fit_the_mode(
    make: Callable[[], Parties], numbers: tuple[XNumber, XNumber]
) -> None:
    """One number or two different ones, as the mode has it, and both of one block."""
    parties = make()
    one = len(set(numbers)) == 1
    if one is (parties.numbers == 1) and ELSEWHERE not in numbers:
        assert compile_routes(parties, *numbers)
        return
    words = "one block" if parties.numbers == 2 and not one else "one number|two different"
    with pytest.raises(ModeError, match=words):
        compile_routes(parties, *numbers)

"""Modes: a table for each of what a binding compiles into, and what no mode allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from agi_router.bindings.modes import (
    GROUP_MAX,
    Y_TTL,
    Ax,
    Axb,
    Axe,
    Axyb,
    Gxb,
    Gxyb,
    Parties,
    compile_routes,
    replace_party,
)
from agi_router.bindings.routes import RouteRow, compile_child
from agi_router.bindings.words import Callback, Mode, Side
from agi_router.errors import ModeError, SameParty
from agi_router.numbers import PhoneNumber, XNumber
from harness.values import LINE, A, B, C, D, E, X, Y

ELSEWHERE = XNumber(value=700123456790002)
G1, G2, G3 = C, D, E
GROUP = (G1, G2, G3)

Row = tuple[XNumber, PhoneNumber, tuple[PhoneNumber, ...], XNumber, Side]


def group(
    mode: type[Gxb], callback: Callback, default: PhoneNumber | None = None, *members: PhoneNumber
) -> Gxb:
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
    default: PhoneNumber | None,
    rung: tuple[PhoneNumber, ...],
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
    parties: Parties, mode: Mode, numbers: int, side_a: tuple[PhoneNumber, ...]
) -> None:
    """The class tells the mode, how many numbers it has, and who stands on side A."""
    assert (parties.mode, parties.numbers, parties.side_a) == (mode, numbers, side_a)


@pytest.mark.parametrize("again", [A, PhoneNumber.parse("+86 139 1234 0001")])
@pytest.mark.parametrize("mode", [Axb, Axyb])
def test_nobody_is_bound_with_itself(mode: type[Axb], again: PhoneNumber) -> None:
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
        # Whom B calls back may be none of them, but not B.
        ((G1, G2), B, SameParty, "different numbers"),
    ],
)
@pytest.mark.parametrize("mode", [Gxb, Gxyb])
def test_groups_that_cannot_be(
    mode: type[Gxb],
    members: tuple[PhoneNumber, ...],
    default: PhoneNumber | None,
    error: type[Exception],
    words: str,
) -> None:
    """Nobody twice, nobody on both sides, at least one."""
    with pytest.raises(error, match=words):
        mode(members=members, b=B, default=default)


def many(count: int) -> tuple[PhoneNumber, ...]:
    """Return *count* numbers."""
    return tuple(PhoneNumber(digits=f"137{serial:08}") for serial in range(count))


@pytest.mark.parametrize("callback", list(Callback))
@pytest.mark.parametrize("mode", [Gxb, Gxyb])
def test_the_largest_group(mode: type[Gxb], callback: Callback) -> None:
    """So many and not one more."""
    parties = group(mode, callback, None, *many(GROUP_MAX))
    numbers = (X, X) if mode is Gxb else (X, Y)
    assert len(compile_routes(parties, *numbers)) == GROUP_MAX + 1
    with pytest.raises(ModeError, match=str(GROUP_MAX)):
        group(mode, callback, None, *many(GROUP_MAX + 1))


@pytest.mark.parametrize("callback", [Callback.ALL, Callback.SEQUENCE])
def test_who_rings_all_has_no_default(callback: Callback) -> None:
    """It would never ring alone, so to name it is a mistake."""
    with pytest.raises(ModeError, match="no default"):
        group(Gxb, callback, G1)


SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("callback", "window", "words"),
    [
        (Callback.LAST, SECOND, None),
        (Callback.LAST, None, None),
        (Callback.LAST, timedelta(0), "a second at least"),
        (Callback.LAST, SECOND / 2, "a second at least"),
        (Callback.LAST, timedelta(days=90), None),
        (Callback.LAST, timedelta(days=90) + SECOND, "90 days at most"),
        (Callback.DEFAULT, SECOND, "--callback last"),
    ],
)
def test_windows(callback: Callback, window: timedelta | None, words: str | None) -> None:
    """Only who called last is called back for a time, in groups and where strangers call."""
    makers: list[Callable[[], Parties]] = [
        lambda: Gxb(members=(G1,), b=B, callback=callback, window=window),
        lambda: Ax(a=A, callback=callback, window=window),
        lambda: Axe(a=A, callback=callback, window=window, extension="1"),
    ]
    for make in makers:
        if words is None:
            make()
        else:
            with pytest.raises(ModeError, match=words):
                make()


@pytest.mark.parametrize("default", [None, B])
@pytest.mark.parametrize("extension", [None, "1234"])
def test_anyone_reaches_a(default: PhoneNumber | None, extension: str | None) -> None:
    """A row for A, who calls back, and one for anyone, perhaps with an extension."""
    parties = (
        Ax(a=A, default=default)
        if extension is None
        else Axe(a=A, default=default, extension=extension)
    )
    back = () if default is None else (default,)
    assert compile_routes(parties, X, X) == (
        RouteRow(x_number=X, caller=A, callees=back, shown=X, side=Side.A),
        RouteRow(x_number=X, caller=None, callees=(A,), shown=X, side=Side.B, extension=extension),
    )
    assert (parties.side_a, parties.side_b, parties.mode.open) == ((A,), (), True)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Ax(a=A, default=A), SameParty, "same number"),
        (lambda: Ax(a=A, callback=Callback.ALL), ModeError, "a fixed number, or who called last"),
        (lambda: Axe(a=A, callback=Callback.SEQUENCE), ModeError, "axe calls back"),
        (lambda: Axe(a=A, extension=""), ModeError, "1 to 4 digits"),
        (lambda: Axe(a=A, extension="12345"), ModeError, "1 to 4 digits"),
        (lambda: compile_routes(Axe(a=A), X, X), ModeError, "not chosen yet"),
        (lambda: Axyb(a=A, b=A, y_ttl=Y_TTL), SameParty, "same number"),
        (lambda: Axyb(a=A, b=B, y_ttl=timedelta(0)), ModeError, "a second at least"),
        (lambda: Axyb(a=A, b=B, y_ttl=timedelta(days=91)), ModeError, "90 days at most"),
    ],
)
def test_what_these_modes_do_not_allow(
    make: Callable[[], object], error: type[Exception], words: str
) -> None:
    """Each is said in words."""
    with pytest.raises(error, match=words):
        make()


def test_a_number_made_on_a_call() -> None:
    """First only A's row, which shows nothing yet; the call adds the number, and the row of B."""
    parties = Axyb(a=A, b=B, y_ttl=Y_TTL)
    own = RouteRow(x_number=X, caller=A, callees=(B,), shown=None, side=Side.A)
    assert compile_routes(parties, X, X) == (own,)
    assert compile_child(A, X, B, Y) == (
        replace(own, shown=Y),
        RouteRow(x_number=Y, caller=B, callees=(A,), shown=X, side=Side.B),
    )
    assert (parties.side_a, parties.side_b) == ((A,), ())
    assert (Axyb(a=A, b=B).side_b, group(Gxb, Callback.ALL).side_b) == ((B,), (B,))


PARTIES: list[Callable[[], Parties]] = [
    lambda: Axb(a=A, b=B),
    lambda: Axyb(a=A, b=B),
    lambda: group(Gxb, Callback.LAST),
    lambda: group(Gxyb, Callback.LAST),
    lambda: Axyb(a=A, b=B, y_ttl=Y_TTL),
    lambda: Ax(a=A),
    lambda: Axe(a=A, extension="1"),
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


@pytest.mark.parametrize(
    ("parties", "side", "replaced"),
    [
        (Axb(a=A, b=B), Side.A, Axb(a=G1, b=B)),
        (Axyb(a=A, b=B, y_ttl=Y_TTL), Side.B, Axyb(a=A, b=G1, y_ttl=Y_TTL)),
        (
            group(Gxb, Callback.ALL, None, G2, G3),
            Side.B,
            replace(group(Gxb, Callback.ALL, None, G2, G3), b=G1),
        ),
        (Ax(a=A, default=B), Side.A, Ax(a=G1, default=B)),
        (Axe(a=A, extension="12"), Side.A, Axe(a=G1, extension="12")),
    ],
)
def test_one_is_replaced(parties: Parties, side: Side, replaced: Parties) -> None:
    """The others, and what is agreed with them, stay."""
    assert replace_party(parties, side, G1) == replaced


@pytest.mark.parametrize(
    ("parties", "side", "number", "error"),
    [
        (Axb(a=A, b=B), Side.A, B, SameParty),
        (Axb(a=A, b=B), Side.B, A, SameParty),
        (group(Gxyb, Callback.DEFAULT, G1), Side.B, G1, SameParty),
        (group(Gxb, Callback.DEFAULT, G1), Side.A, A, ModeError),
        (Ax(a=A, default=B), Side.A, B, SameParty),
        (Ax(a=A), Side.B, G1, ModeError),
    ],
)
def test_who_cannot_be_replaced(
    parties: Parties, side: Side, number: PhoneNumber, error: type[Exception]
) -> None:
    """A group, whoever calls; and by nobody who is there already."""
    with pytest.raises(error):
        replace_party(parties, side, number)

"""
The compiled rows of a binding: who rings whom, and who is shown what.

Modes make them of their parties (:mod:`agi_router.bindings.modes`). A router, which is to stay
small, imports this file and no mode.
"""

from dataclasses import dataclass

from agi_router.bindings.words import Side
from agi_router.numbers import PhoneNumber, XNumber

__all__ = ["SEALED_UNTIL_CALL", "RouteRow", "compile_child", "from_a", "from_b"]

SEALED_UNTIL_CALL = Side.A
"""The side in whose row the caller is sealed too, where B's number is made as A calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRow:
    """
    One compiled row: whoever dials *x_number* as *caller* rings *callees*, who are shown *shown*.
    """

    x_number: XNumber
    caller: PhoneNumber | None
    """The caller the row is for, or :obj:`None` for anyone."""
    callees: tuple[PhoneNumber, ...]
    """Whom to ring; nobody if the other side has no default."""
    shown: XNumber | None
    """The number the callee sees; :obj:`None` if it is made on the first call."""
    side: Side
    """The side the caller stands on."""
    extension: str | None = None
    """The digits by which anyone reaches the row, where the number has extensions."""


def from_a(
    caller: PhoneNumber, a_number: XNumber, b: PhoneNumber, *, shown: XNumber | None
) -> RouteRow:
    """
    The row by which A, or one of side A, reaches B.
    """
    return RouteRow(x_number=a_number, caller=caller, callees=(b,), shown=shown, side=Side.A)


def from_b(
    b: PhoneNumber, b_number: XNumber, callees: tuple[PhoneNumber, ...], *, shown: XNumber
) -> RouteRow:
    """
    The row by which B reaches those whom it calls back.
    """
    return RouteRow(x_number=b_number, caller=b, callees=callees, shown=shown, side=Side.B)


def compile_child(
    a: PhoneNumber, a_number: XNumber, b: PhoneNumber, b_number: XNumber
) -> tuple[RouteRow, RouteRow]:
    """
    What a call of A makes of the rows: A's own, which shows *b_number* from then on, and B's.

    Args:
        a: Who calls.
        a_number: What A dials.
        b: Who is called.
        b_number: What B is shown: made for this call, in the block of *a_number*.
    """
    return (
        from_a(a, a_number, b, shown=b_number),
        from_b(b, b_number, (a,), shown=a_number),
    )

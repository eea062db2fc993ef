"""
Binding modes: one compiler per mode, from a binding to route rows.

Rules for the editor:

1. A new mode is a new dataclass, a new compiler and a new line in :func:`compile_routes`. The
   look-up, the decision and the dialplan do not change.
2. *The called party is shown the number it must dial to call back.* Where a mode must break this
   for one side, its docstring says so, and its test names the exception.
3. All numbers of one binding lie in one block: the block is the shard key.
"""

from dataclasses import dataclass

from agi_router.errors import SameParty
from agi_router.model import Mode, RouteRow, Side
from agi_router.numbers import E164, XNumber

__all__ = ["Axb", "Parties", "compile_routes", "mode_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axb:
    """
    The parties of an AXB binding: A and B both dial X, reach each other, and are shown X.
    """

    a: E164
    b: E164


Parties = Axb
"""The parties of a binding; its type names the mode."""


def mode_of(_parties: Parties) -> Mode:
    """
    The mode of a binding of *parties*.
    """
    return Mode.AXB


def compile_routes(parties: Parties, x: XNumber) -> tuple[RouteRow, ...]:
    """
    The route rows that let *parties* reach each other through *x*.

    Returns:
        The rows, no two with the same dialled number and caller.

    Raises:
        SameParty: A party would be bound with itself.
    """
    return _compile_axb(parties, x)


def _compile_axb(parties: Axb, x: XNumber) -> tuple[RouteRow, ...]:
    if parties.a == parties.b:
        raise SameParty
    return (
        RouteRow(x_number=x, caller=parties.a, callee=parties.b, shown=x, side=Side.A),
        RouteRow(x_number=x, caller=parties.b, callee=parties.a, shown=x, side=Side.B),
    )

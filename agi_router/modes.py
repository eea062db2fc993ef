"""
Binding modes: compilers from a binding's parties to route rows.

A binding has two sides, A and B. Side A dials the *a_number*, side B the *b_number*; in AXB and
GXB both are one number, X. Side A is one party, or a group.

Rules for the editor:

1. A new mode is a new class of parties and a line in :func:`compile_routes`. The look-up, the
   decision and the dialplan do not change.
2. *The called party is shown the number it must dial to call back.* It reaches the caller again,
   except in a group: there it reaches whom the group's callback says.
3. All numbers of one binding lie in one block: the block is the shard key.
"""

from dataclasses import dataclass
from typing import ClassVar

from agi_router.errors import ModeError, SameParty
from agi_router.model import Callback, Mode, RouteRow, Side
from agi_router.numbers import E164, XNumber

__all__ = [
    "GROUP_MAX",
    "RING_ALL_MAX",
    "Axb",
    "Axyb",
    "Gxb",
    "Gxyb",
    "Parties",
    "compile_routes",
]

RING_ALL_MAX = 3
"""Members of a group that rings all at once: so many fit into what ``continue`` carries."""

GROUP_MAX = 200
"""Members of a group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axb:
    """
    A and B both dial X, reach each other, and are shown X.

    Raises:
        SameParty: A and B are one number.
    """

    mode: ClassVar[Mode] = Mode.AXB
    numbers: ClassVar[int] = 1
    a: E164
    b: E164

    def __post_init__(self) -> None:
        if self.a == self.b:
            raise SameParty

    @property
    def side_a(self) -> tuple[E164, ...]:
        """
        Those who dial the a_number.
        """
        return (self.a,)

    @property
    def called_back(self) -> tuple[E164, ...]:
        """
        Whom B reaches.
        """
        return (self.a,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axyb(Axb):
    """
    A dials one number and is shown it, B another.
    """

    mode: ClassVar[Mode] = Mode.AXYB
    numbers: ClassVar[int] = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Gxb:
    """
    Every member of a group reaches B through X; B, dialling X, reaches whom *callback* says.

    Raises:
        SameParty: B is a member, or a member is named twice.
        ModeError: The group is empty or too large, or the default is no member or of no use.
    """

    mode: ClassVar[Mode] = Mode.GXB
    numbers: ClassVar[int] = 1
    members: tuple[E164, ...]
    b: E164
    callback: Callback = Callback.DEFAULT
    default: E164 | None = None
    """Whom B reaches by default, and by ``last`` until a member has called."""

    def __post_init__(self) -> None:
        if len({*self.members, self.b}) != len(self.members) + 1:
            raise SameParty("the members of a group and B must all be different numbers")
        if not 1 <= len(self.members) <= GROUP_MAX:
            raise ModeError(f"a group has 1 to {GROUP_MAX} members")
        if self.callback is Callback.ALL and len(self.members) > RING_ALL_MAX:
            raise ModeError(f"a group that rings all at once has {RING_ALL_MAX} members at most")
        if self.callback is Callback.ALL and self.default is not None:
            raise ModeError("a group that rings all at once has no default member")
        if self.default is not None and self.default not in self.members:
            raise ModeError("the default is to be a member of the group")

    @property
    def side_a(self) -> tuple[E164, ...]:
        """
        Those who dial the a_number.
        """
        return self.members

    @property
    def called_back(self) -> tuple[E164, ...]:
        """
        Whom B reaches, until a call changes that by ``last``.
        """
        if self.callback is Callback.ALL:
            return self.members
        return () if self.default is None else (self.default,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gxyb(Gxb):
    """
    The members dial one number and are shown it, B another.
    """

    mode: ClassVar[Mode] = Mode.GXYB
    numbers: ClassVar[int] = 2


Parties = Axb | Gxb
"""The parties of a binding; the class names the mode."""


def compile_routes(parties: Parties, a_number: XNumber, b_number: XNumber) -> tuple[RouteRow, ...]:
    """
    The route rows that let *parties* reach each other.

    Args:
        parties: Who is bound.
        a_number: What side A dials and is shown.
        b_number: What side B dials and is shown; the same where the mode has one number.

    Returns:
        The rows, no two with the same dialled number and caller.

    Raises:
        ModeError: The mode has one number and two are given, or the other way round; or they lie
            in two blocks.
    """
    if (a_number != b_number) != (parties.numbers == 2):  # noqa: PLR2004
        raise ModeError(
            f"a binding by {parties.mode} has "
            + ("one number" if parties.numbers == 1 else "two different numbers")
        )
    if a_number.block != b_number.block:
        raise ModeError("the numbers of a binding lie in one block")
    return (
        *(
            RouteRow(
                x_number=a_number,
                caller=caller,
                callees=(parties.b,),
                shown=b_number,
                side=Side.A,
            )
            for caller in parties.side_a
        ),
        RouteRow(
            x_number=b_number,
            caller=parties.b,
            callees=parties.called_back,
            shown=a_number,
            side=Side.B,
        ),
    )

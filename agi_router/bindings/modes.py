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
from datetime import timedelta
from typing import ClassVar

from agi_router.bindings.model import RouteRow
from agi_router.bindings.words import Callback, Mode, Side
from agi_router.errors import ModeError, SameParty
from agi_router.numbers import PhoneNumber, XNumber, is_extension

__all__ = [
    "GROUP_MAX",
    "Y_TTL",
    "Ax",
    "Axb",
    "Axe",
    "Axyb",
    "AxybOnCall",
    "Gxb",
    "Gxyb",
    "Parties",
    "compile_child",
    "compile_routes",
]

GROUP_MAX = 200
"""Members of a group."""

Y_TTL = timedelta(minutes=3)
"""How long a Y lives that was made on a call, where nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axb:
    """
    A and B both dial X, reach each other, and are shown X.

    Raises:
        SameParty: A and B are one number.
    """

    mode: ClassVar[Mode] = Mode.AXB
    numbers: ClassVar[int] = 1
    a: PhoneNumber
    b: PhoneNumber

    def __post_init__(self) -> None:
        if self.a == self.b:
            raise SameParty

    @property
    def side_a(self) -> tuple[PhoneNumber, ...]:
        """
        Those who dial the a_number.
        """
        return (self.a,)

    @property
    def side_b(self) -> tuple[PhoneNumber, ...]:
        """
        Those who dial the b_number from the beginning.
        """
        return (self.b,)

    @property
    def called_back(self) -> tuple[PhoneNumber, ...]:
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
class AxybOnCall(Axyb):
    """
    As AXYB, but B's number is made when A calls, for a while; A's next call makes another.
    """

    numbers: ClassVar[int] = 1
    y_ttl: timedelta = Y_TTL

    def __post_init__(self) -> None:
        # Not super(): slots make the class anew, and the cell still holds the old one.
        Axyb.__post_init__(self)
        if self.y_ttl < timedelta(seconds=1):
            raise ModeError("a number made on a call lives for a second at least")

    @property
    def side_b(self) -> tuple[PhoneNumber, ...]:
        """
        Nobody yet.
        """
        return ()


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
    members: tuple[PhoneNumber, ...]
    b: PhoneNumber
    callback: Callback = Callback.DEFAULT
    default: PhoneNumber | None = None
    """Whom B reaches by default, and by ``last`` while nobody is to be called back."""
    window: timedelta | None = None
    """How long who called last is called back; :obj:`None`: as long as the binding lives."""

    def __post_init__(self) -> None:
        if len({*self.members, self.b}) != len(self.members) + 1:
            raise SameParty("the members of a group and B must all be different numbers")
        if not 1 <= len(self.members) <= GROUP_MAX:
            raise ModeError(f"a group has 1 to {GROUP_MAX} members")
        if self.rings_all and self.default is not None:
            raise ModeError("a group all of whose members ring has no default member")
        _check_window(self.callback, self.window)
        if self.default is not None and self.default not in self.members:
            raise ModeError("the default is to be a member of the group")

    @property
    def side_a(self) -> tuple[PhoneNumber, ...]:
        """
        Those who dial the a_number.
        """
        return self.members

    @property
    def side_b(self) -> tuple[PhoneNumber, ...]:
        """
        Those who dial the b_number from the beginning.
        """
        return (self.b,)

    @property
    def rings_all(self) -> bool:
        """
        Whether B's call rings every member: at once, or one after the other in their order.
        """
        return self.callback in {Callback.ALL, Callback.SEQUENCE}

    @property
    def called_back(self) -> tuple[PhoneNumber, ...]:
        """
        Whom B reaches, unless by ``last`` somebody has called.
        """
        if self.rings_all:
            return self.members
        return () if self.default is None else (self.default,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gxyb(Gxb):
    """
    The members dial one number and are shown it, B another.
    """

    mode: ClassVar[Mode] = Mode.GXYB
    numbers: ClassVar[int] = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ax:
    """
    Anyone reaches A through X; A, dialling X, calls back whom *callback* says.

    Raises:
        SameParty: The fixed number is A's.
        ModeError: The callback or its window does not go with this mode.
    """

    mode: ClassVar[Mode] = Mode.AX
    numbers: ClassVar[int] = 1
    a: PhoneNumber
    callback: Callback = Callback.LAST
    default: PhoneNumber | None = None
    """Whom A reaches by default, and by ``last`` while nobody is to be called back."""
    window: timedelta | None = None
    """How long who called last is called back; :obj:`None`: as long as the binding lives."""

    def __post_init__(self) -> None:
        if self.callback not in {Callback.DEFAULT, Callback.LAST}:
            raise ModeError(f"{self.mode} calls back a fixed number, or who called last")
        if self.a == self.default:
            raise SameParty
        _check_window(self.callback, self.window)

    @property
    def side_a(self) -> tuple[PhoneNumber, ...]:
        """
        Those who dial the a_number.
        """
        return (self.a,)

    @property
    def side_b(self) -> tuple[PhoneNumber, ...]:
        """
        Nobody in particular.
        """
        return ()

    @property
    def fixed(self) -> tuple[PhoneNumber, ...]:
        """
        Whom A reaches, unless by ``last`` somebody has called.
        """
        return () if self.default is None else (self.default,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axe(Ax):
    """
    As AX, but X is shared: anyone who types the extension after the answer reaches A.

    Raises:
        ModeError: The extension is not 1 to 4 digits.
    """

    mode: ClassVar[Mode] = Mode.AXE
    extension: str | None = None
    """1 to 4 digits; :obj:`None` until it is chosen."""

    def __post_init__(self) -> None:
        Ax.__post_init__(self)
        if self.extension is not None and not is_extension(self.extension):
            raise ModeError("an extension has 1 to 4 digits")


def _check_window(callback: Callback, window: timedelta | None) -> None:
    if window is None:
        return
    if callback is not Callback.LAST:
        raise ModeError("only the last caller is called back for a time: --callback last")
    if window < timedelta(seconds=1):
        raise ModeError("the last caller is called back for a second at least")


Parties = Axb | Gxb | Ax
"""The parties of a binding; the class names the mode."""


def compile_routes(parties: Parties, a_number: XNumber, b_number: XNumber) -> tuple[RouteRow, ...]:
    """
    The route rows that let *parties* reach each other.

    Args:
        parties: Who is bound.
        a_number: What side A dials and is shown.
        b_number: What side B dials and is shown; the same where the mode has one number, or B's
            is made on the first call.

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
    match parties:
        case AxybOnCall():
            return (_from_a(parties.a, a_number, parties.b, shown=None),)
        case Ax():
            return _compile_open(parties, a_number)
        case _:
            return (
                *(
                    _from_a(caller, a_number, parties.b, shown=b_number)
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


def _compile_open(parties: Ax, x_number: XNumber) -> tuple[RouteRow, ...]:
    extension = None
    if isinstance(parties, Axe):
        extension = parties.extension
        if extension is None:
            raise ModeError("the extension is not chosen yet")
    return (
        RouteRow(
            x_number=x_number,
            caller=parties.a,
            callees=parties.fixed,
            shown=x_number,
            side=Side.A,
        ),
        RouteRow(
            x_number=x_number,
            caller=None,
            extension=extension,
            callees=(parties.a,),
            shown=x_number,
            side=Side.B,
        ),
    )


def _from_a(
    caller: PhoneNumber, a_number: XNumber, b: PhoneNumber, *, shown: XNumber | None
) -> RouteRow:
    return RouteRow(x_number=a_number, caller=caller, callees=(b,), shown=shown, side=Side.A)


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
        _from_a(a, a_number, b, shown=b_number),
        RouteRow(x_number=b_number, caller=b, callees=(a,), shown=a_number, side=Side.B),
    )

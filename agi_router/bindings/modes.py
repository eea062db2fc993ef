"""
Binding modes: compilers from a binding's parties to route rows.

A binding has two sides, A and B. Side A dials the *a_number*, side B the *b_number*; in AXB and
GXB both are one number, X. Side A is one party, or a group.

Rules for the editor:

1. A new mode is a class here with its line in :data:`MODES`, and a word in
   :class:`agi_router.bindings.words.Mode`. What files, the command line and JSON may say of it is
   read off the class (:meth:`Parties.said`); its columns and what is shown of it, too. The
   look-up, the decision and the dialplan do not change.
2. *The called party is shown the number it must dial to call back.* It reaches the caller again,
   except in a group: there it reaches whom the group's callback says.
3. All numbers of one binding lie in one block: the block is the shard key.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from datetime import timedelta
from enum import StrEnum
from functools import cache
from typing import Any, ClassVar, NamedTuple, Self

from agi_router.bindings.expiry import LONGEST_LIFE
from agi_router.bindings.routes import SEALED_UNTIL_CALL, RouteRow, from_a, from_b
from agi_router.bindings.words import Callback, Mode, Side
from agi_router.durations import format_duration
from agi_router.errors import ModeError, SameParty
from agi_router.numbers import PhoneNumber, XNumber, is_extension

__all__ = [
    "GROUP_MAX",
    "MODES",
    "Y_TTL",
    "Ax",
    "Axb",
    "Axe",
    "Axyb",
    "Gxb",
    "Gxyb",
    "Parties",
    "Said",
    "compile_routes",
    "group_of",
    "replace_party",
]

GROUP_MAX = 200
"""Members of a group."""

Y_TTL = timedelta(minutes=3)
"""How long a Y lives that was made on a call, where nothing else is said."""

_SECOND = timedelta(seconds=1)
_WINDOW = (
    "how long who called last is called back, e.g. 30m; as long as the binding lives if absent"
)


class Said(NamedTuple):
    """
    What may be said of the parties of one mode by one word.
    """

    word: str
    """The attribute; as in files, options and JSON, see :mod:`agi_router.bindings.fields`."""
    needed: bool
    instead: str | None
    """The word that may be said instead of a needed one."""
    about: str
    """What it is in this mode, for people."""
    only: tuple[StrEnum, ...]
    """The words that this mode takes of a set; empty: all of them."""
    default: Any
    """What holds where it is not said."""


def _about(
    about: str,
    *,
    only: tuple[StrEnum, ...] = (),
    instead: str | None = None,
) -> dict[str, Any]:
    return {"about": about, "only": only, "instead": instead}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties(ABC):
    """
    The parties of a binding; the class names the mode.

    What a mode lacks is :obj:`None` here.
    """

    mode: ClassVar[Mode]
    two_numbers: ClassVar[bool] = False
    """Whether B dials another number than A."""
    help: ClassVar[str]
    """What it is, for the command line: the first line, and perhaps more behind an empty one."""
    examples: ClassVar[tuple[str, ...]]
    """Options of ``agi-router bind``, for its help."""

    @classmethod
    def said(cls) -> tuple[Said, ...]:
        """
        What may be said of its parties.
        """
        return _said(cls)

    @classmethod
    def needs(cls) -> tuple[str, ...]:
        """
        The words that have to be said.
        """
        return tuple(each.word for each in _said(cls) if each.needed)

    @classmethod
    def instead(cls) -> Mapping[str, str]:
        """
        The words that have to be said unless another one is, and not both.
        """
        return {each.word: each.instead for each in _said(cls) if each.instead is not None}

    @classmethod
    def may(cls) -> tuple[str, ...]:
        """
        The words that may be said besides: of its parties, and its numbers.
        """
        numbers = ("x", "y") if cls.two_numbers else ("x",)
        return (*(each.word for each in _said(cls) if not each.needed), *numbers)

    @classmethod
    def make(cls, values: Mapping[str, Any]) -> Self:
        """
        Make them of values by word; others than its own are left.

        Raises:
            SameParty: One number is named twice.
            ModeError: They do not go together.
        """
        return cls(**{each.word: values[each.word] for each in _said(cls) if each.word in values})

    @property
    def numbers(self) -> int:
        """
        How many 700 numbers are held from the beginning.
        """
        return 2 if self.two_numbers else 1

    @property
    @abstractmethod
    def side_a(self) -> tuple[PhoneNumber, ...]:
        """
        Those who dial the a_number.
        """

    @property
    @abstractmethod
    def side_b(self) -> tuple[PhoneNumber, ...]:
        """
        Those who dial the b_number from the beginning.
        """

    @property
    @abstractmethod
    def called_back(self) -> tuple[PhoneNumber, ...]:
        """
        Whom B reaches, or A where strangers may call; unless it is who called last.
        """

    @property
    def people(self) -> frozenset[PhoneNumber]:
        """
        All who take part: who may call, and the fixed number that is called back.
        """
        return frozenset((*self.side_a, *self.side_b, *self.called_back))

    @abstractmethod
    def routes(self, a_number: XNumber, b_number: XNumber) -> tuple[RouteRow, ...]:
        """
        Their rows; see :func:`compile_routes`.
        """

    @property
    def sealed_for(self) -> Side | None:
        """
        The side for whose row the callers of side A are sealed too, if they are.
        """
        return None

    @property
    def group(self) -> str | None:
        """
        The name of the party group that is side A.
        """
        return None

    @property
    def callback(self) -> Callback | None:
        """
        Who is called back, where that is not plain.
        """
        return None

    @property
    def window(self) -> timedelta | None:
        """
        How long who called last is called back.
        """
        return None

    @property
    def extension(self) -> str | None:
        """
        The digits by which strangers reach A.
        """
        return None

    @property
    def y_ttl(self) -> timedelta | None:
        """
        How long a Y lives that is made on a call.
        """
        return None

    @property
    def in_bulk(self) -> bool:
        """
        Whether an import may load it among many; by itself it has columns that others lack.
        """
        return not self.mode.open and self.y_ttl is None and self.group is None

    def with_members(self, members: tuple[PhoneNumber, ...]) -> "Parties":
        """
        The same, where side A is a party group with these members.

        Raises:
            SameParty: B is one of them.
            ModeError: There is none, or the default is none of them.
        """
        del members
        return self

    def with_extension(self, choose: Callable[[], str]) -> "Parties":
        """
        The same, with an extension that is chosen where the mode needs one and none is given.
        """
        del choose
        return self


@cache
def _said(parties: type[Parties]) -> tuple[Said, ...]:
    return tuple(
        Said(
            word=each.name,
            needed=each.default is MISSING or each.metadata["instead"] is not None,
            instead=each.metadata["instead"],
            about=each.metadata["about"],
            only=each.metadata["only"],
            default=None if each.default in {MISSING, ()} else each.default,
        )
        for each in fields(parties)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Axb(Parties):
    """
    A and B both dial X, reach each other, and are shown X.

    Raises:
        SameParty: A and B are one number.
    """

    mode: ClassVar[Mode] = Mode.AXB
    help: ClassVar[str] = "A and B reach each other through one number, X, and see only X."
    examples: ClassVar[tuple[str, ...]] = (
        "--a - --b - --ttl 2h",
        "--a - --b - --x 700123456780001 --max-calls 10 --max-duration 30m --order A-1001 --json",
    )
    a: PhoneNumber = field(metadata=_about("mobile number of party A"))
    b: PhoneNumber = field(metadata=_about("mobile number of party B"))

    def __post_init__(self) -> None:
        if self.a == self.b:
            raise SameParty

    @property
    def side_a(self) -> tuple[PhoneNumber, ...]:
        """
        A.
        """
        return (self.a,)

    @property
    def side_b(self) -> tuple[PhoneNumber, ...]:
        """
        B.
        """
        return (self.b,)

    @property
    def called_back(self) -> tuple[PhoneNumber, ...]:
        """
        A.
        """
        return (self.a,)

    def routes(self, a_number: XNumber, b_number: XNumber) -> tuple[RouteRow, ...]:
        """
        A reaches B, and B reaches A.
        """
        return (
            from_a(self.a, a_number, self.b, shown=b_number),
            from_b(self.b, b_number, self.called_back, shown=a_number),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Axyb(Axb):
    """
    A dials one number and is shown it, B another.

    With *y_ttl* B's number is made when A calls, for a while; A's next call makes another.
    """

    mode: ClassVar[Mode] = Mode.AXYB
    two_numbers: ClassVar[bool] = True
    help: ClassVar[str] = """\
A dials and sees one number, B another; both lie in one block.

With --y-on-call only A's number is held from the beginning. A call of A while there is none
makes a number for B, which B can call back as long as it lives."""
    examples: ClassVar[tuple[str, ...]] = (
        "--a - --b - --ttl 2h",
        "--a - --b - --y-on-call --y-ttl 10m",
    )
    y_ttl: timedelta | None = field(
        default=None,
        metadata=_about(
            f"how long such a number lives, e.g. 10m; {format_duration(Y_TTL)} if absent"
        ),
    )

    def __post_init__(self) -> None:
        # Not super(): slots make the class anew, and the cell still holds the old one.
        Axb.__post_init__(self)
        if self.y_ttl is not None and not _SECOND <= self.y_ttl <= LONGEST_LIFE:
            raise ModeError(
                "a number made on a call lives for a second at least, and"
                f" {LONGEST_LIFE.days} days at most"
            )

    @property
    def numbers(self) -> int:
        """
        One, where B's is made when A calls.
        """
        return 2 if self.y_ttl is None else 1

    @property
    def side_b(self) -> tuple[PhoneNumber, ...]:
        """
        B, or nobody yet.
        """
        return (self.b,) if self.y_ttl is None else ()

    @property
    def sealed_for(self) -> Side | None:
        """
        A's own, where there is no row of B yet.
        """
        return None if self.y_ttl is None else SEALED_UNTIL_CALL

    def routes(self, a_number: XNumber, b_number: XNumber) -> tuple[RouteRow, ...]:
        """
        As in AXB; only A's row where B's number is made when A calls.
        """
        if self.y_ttl is not None:
            return (from_a(self.a, a_number, self.b, shown=None),)
        return Axb.routes(self, a_number, b_number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gxb(Parties):
    """
    Every member of a group reaches B through X; B, dialling X, reaches whom *callback* says.

    The group is the binding's own, or a party group of its tenant. Of that only the name is known
    until the store says who is in it, by :meth:`with_members`.

    Raises:
        SameParty: B is a member or the default, or a member is named twice.
        ModeError: The group is empty or too large, or the default is of no use.
    """

    mode: ClassVar[Mode] = Mode.GXB
    help: ClassVar[str] = (
        "Every member of a group reaches B through X; B reaches the group by the callback."
    )
    examples: ClassVar[tuple[str, ...]] = (
        "--members - --b - --callback last --window 30m --default - --ttl 2h",
        "--members - --b - --callback sequence --ring 15s",
        "--group night-shift --b - --ttl 2h",
    )
    members: tuple[PhoneNumber, ...] = field(
        default=(),
        metadata=_about(
            "mobile number of a member, or several with commas; as often as needed; or give group",
            instead="group",
        ),
    )
    group: str | None = field(
        default=None,
        metadata=_about("name of the tenant's party group whose members are the group"),
    )
    b: PhoneNumber = field(metadata=_about("mobile number of party B"))
    callback: Callback = field(
        default=Callback.DEFAULT,
        metadata=_about(
            "who rings when B calls: the default member, who called last, all at once, or all in"
            " sequence, one after the other"
        ),
    )
    default: PhoneNumber | None = field(
        default=None, metadata=_about("whom B reaches by default; a member or not")
    )
    """
    Whom B reaches by default, and by ``last`` while nobody is to be called back.

    Who is not of the group reaches B as well: he is shown the number, and has to reach by it who
    called him.
    """
    window: timedelta | None = field(default=None, metadata=_about(_WINDOW))
    """How long who called last is called back; :obj:`None`: as long as the binding lives."""

    def __post_init__(self) -> None:
        if len({*self.members, self.b}) != len(self.members) + 1:
            raise SameParty("the members of a group and B must all be different numbers")
        if self.default == self.b:
            raise SameParty("the default member and B must be different numbers")
        named = self.group is not None and not self.members
        # Whoever is the default beside them counts: read back, he is one of them.
        if not named and not 1 <= len(self.side_a) <= GROUP_MAX:
            raise ModeError(f"a group has 1 to {GROUP_MAX} members")
        if self.rings_all and self.default is not None:
            raise ModeError("a group all of whose members ring has no default member")
        _check_window(self.callback, self.window)

    def with_members(self, members: tuple[PhoneNumber, ...]) -> Parties:
        """
        Itself with the members of its party group, if it has one.
        """
        if self.group is None:
            return self
        if not members:
            raise ModeError(f"party group {self.group} has no members yet: add one first")
        return replace(self, members=members)

    @property
    def side_a(self) -> tuple[PhoneNumber, ...]:
        """
        The members, and the default beside them where it is none of them.
        """
        # Of a group that is only named nobody is known yet.
        if not self.members or self.default is None or self.default in self.members:
            return self.members
        return (*self.members, self.default)

    @property
    def side_b(self) -> tuple[PhoneNumber, ...]:
        """
        B.
        """
        return (self.b,)

    @property
    def sealed_for(self) -> Side | None:
        """
        B's row, which may call back any of them.
        """
        return Side.B

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

    def routes(self, a_number: XNumber, b_number: XNumber) -> tuple[RouteRow, ...]:
        """
        Each member reaches B; B reaches whom the callback says.
        """
        return (
            *(from_a(each, a_number, self.b, shown=b_number) for each in self.side_a),
            from_b(self.b, b_number, self.called_back, shown=a_number),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gxyb(Gxb):
    """
    The members dial one number and are shown it, B another.
    """

    mode: ClassVar[Mode] = Mode.GXYB
    two_numbers: ClassVar[bool] = True
    help: ClassVar[str] = "As gxb, but the group dials and sees one number, and B another."
    examples: ClassVar[tuple[str, ...]] = ("--members - --b - --callback all --ttl 2h",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ax(Parties):
    """
    Anyone reaches A through X; A, dialling X, calls back whom *callback* says.

    Raises:
        SameParty: The fixed number is A's.
        ModeError: The callback or its window does not go with this mode.
    """

    mode: ClassVar[Mode] = Mode.AX
    help: ClassVar[str] = """\
Anyone reaches A through X, which is A's alone; A, dialling X, calls back.

It lets strangers call, and nothing says that 700 numbers may: it needs AGI_ROUTER_OPEN_MODES."""
    examples: ClassVar[tuple[str, ...]] = (
        "--a - --window 30m --ttl 2h",
        "--a - --callback default --default -",
    )
    a: PhoneNumber = field(metadata=_about("mobile number of party A"))
    callback: Callback = field(
        default=Callback.LAST,
        metadata=_about(
            "whom A's call reaches: a fixed number, or who called last",
            only=(Callback.DEFAULT, Callback.LAST),
        ),
    )
    default: PhoneNumber | None = field(
        default=None,
        metadata=_about('the fixed number; with "last" while nobody has called'),
    )
    """Whom A reaches by default, and by ``last`` while nobody is to be called back."""
    window: timedelta | None = field(default=None, metadata=_about(_WINDOW))
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
        A.
        """
        return (self.a,)

    @property
    def side_b(self) -> tuple[PhoneNumber, ...]:
        """
        Nobody in particular.
        """
        return ()

    @property
    def sealed_for(self) -> Side | None:
        """
        A's own row: that of B is anyone's.
        """
        return Side.A

    @property
    def called_back(self) -> tuple[PhoneNumber, ...]:
        """
        Whom A reaches, unless by ``last`` somebody has called.
        """
        return () if self.default is None else (self.default,)

    def routes(self, a_number: XNumber, b_number: XNumber) -> tuple[RouteRow, ...]:
        """
        A reaches whom the callback says; anyone reaches A.
        """
        del b_number
        return (
            RouteRow(
                x_number=a_number,
                caller=self.a,
                callees=self.called_back,
                shown=a_number,
                side=Side.A,
            ),
            RouteRow(
                x_number=a_number,
                caller=None,
                extension=self.extension,
                callees=(self.a,),
                shown=a_number,
                side=Side.B,
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Axe(Ax):
    """
    As AX, but X is shared: anyone who types the extension after the answer reaches A.

    Raises:
        ModeError: The extension is not 1 to 4 digits.
    """

    mode: ClassVar[Mode] = Mode.AXE
    help: ClassVar[str] = """\
Anyone who dials X and then types the extension reaches A; A, dialling X, calls back.

Many share one X. It lets strangers call, and nothing says that 700 numbers may: it needs
AGI_ROUTER_OPEN_MODES."""
    examples: ClassVar[tuple[str, ...]] = (
        "--a - --ttl 2h",
        "--a - --x 700123456780001 --extension 1234 --window 30m",
    )
    extension: str | None = field(
        default=None,
        metadata=_about("1 to 4 digits, which nobody has on X; chosen if absent"),
    )
    """:obj:`None` until it is chosen."""

    def __post_init__(self) -> None:
        Ax.__post_init__(self)
        if self.extension is not None and not is_extension(self.extension):
            raise ModeError("an extension has 1 to 4 digits")

    def with_extension(self, choose: Callable[[], str]) -> Parties:
        """
        Itself, if an extension is given.
        """
        return self if self.extension is not None else replace(self, extension=choose())

    def routes(self, a_number: XNumber, b_number: XNumber) -> tuple[RouteRow, ...]:
        """
        As in AX, but for those who type the extension.
        """
        if self.extension is None:
            raise ModeError("the extension is not chosen yet")
        return Ax.routes(self, a_number, b_number)


MODES: Mapping[Mode, type[Parties]] = {each.mode: each for each in (Axb, Axyb, Gxb, Gxyb, Ax, Axe)}
"""The parties of each mode."""


def replace_party(parties: Parties, side: Side, number: PhoneNumber) -> Parties:
    """
    The same parties, but for who is A, or B.

    Args:
        parties: Who is bound.
        side: Who leaves.
        number: Who comes instead.

    Raises:
        ModeError: The mode has nobody in particular on that side.
        SameParty: The one who comes is the other one, or is called back.
    """
    if side not in {each.name for each in fields(parties)}:
        raise ModeError(_NOBODY[side].format(parties.mode))
    return replace(parties, **{side.value: number})


_NOBODY = {
    Side.A: "{}: side A is a group; let members into it, and take others out",
    Side.B: "{}: side B is whoever calls; there is nobody to be replaced",
}


def group_of(mode: Mode) -> type[Gxb] | None:
    """
    The parties of a mode whose members come and go; :obj:`None` where side A is no group.
    """
    parties = MODES[mode]
    return parties if issubclass(parties, Gxb) else None


def _check_window(callback: Callback, window: timedelta | None) -> None:
    if window is None:
        return
    if callback is not Callback.LAST:
        raise ModeError("only the last caller is called back for a time: --callback last")
    if not _SECOND <= window <= LONGEST_LIFE:
        raise ModeError(
            f"the last caller is called back for a second at least, and {LONGEST_LIFE.days} days"
            " at most"
        )


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
    two = a_number != b_number
    if two != (parties.numbers == 2):  # noqa: PLR2004
        raise ModeError(
            f"a binding by {parties.mode} has "
            + ("one number" if parties.numbers == 1 else "two different numbers")
        )
    if two and a_number.block != b_number.block:
        raise ModeError("the numbers of a binding lie in one block")
    return parties.routes(a_number, b_number)

"""
All that may be said of a new binding, by the word that people use.

:data:`FIELDS` is the only list: columns of files, options of the command line and fields of JSON
bear these words. Which of them a mode takes is said by its class
(:meth:`agi_router.bindings.modes.Parties.said`); the terms are those of
:data:`agi_router.bindings.terms.TERMS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from agi_router.bindings.terms import TERMS, Kind, Name, Span, Words
from agi_router.bindings.words import Callback, Mode, check_group, check_order_id
from agi_router.errors import ModeError
from agi_router.numbers import PhoneNumber, XNumber, is_extension, parse_members
from agi_router.tenants.model import check_tenant
from agi_router.texts import narrow
from agi_router.times import parse_time

__all__ = ["FIELDS", "Dialled", "Field", "Members", "Moment", "PartyNumber", "reader"]

_SECOND, _MINUTE = timedelta(seconds=1), timedelta(minutes=1)


@dataclass(frozen=True)
class PartyNumber(Kind):
    """
    A party's number.
    """

    fixed_lines: bool = False

    def read(self, text: str) -> PhoneNumber:
        """
        Read it in any form in which people write it.

        Raises:
            NumberError: It is none.
        """
        return PhoneNumber.parse(text, fixed_lines=self.fixed_lines)


@dataclass(frozen=True)
class Members(Kind):
    """
    The numbers of a group's members.
    """

    fixed_lines: bool = False

    def read(self, text: str) -> tuple[PhoneNumber, ...]:
        """
        Read a list of them.

        Raises:
            NumberError: One is none, or there is none.
        """
        return parse_members(text, fixed_lines=self.fixed_lines)


@dataclass(frozen=True)
class Dialled(Kind):
    """
    A 700 number.
    """

    def read(self, text: str) -> XNumber:
        """
        Read it.

        Raises:
            NumberError: It is none.
        """
        return XNumber.parse(text)


@dataclass(frozen=True)
class Moment(Kind):
    """
    A time.
    """

    def read(self, text: str) -> datetime:
        """
        Read it; without an offset it is of this machine's zone.

        Raises:
            ValueError: It is none.
        """
        return parse_time(text)

    def write(self, value: datetime) -> str:
        """
        Write it with its offset.
        """
        return value.isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """
    What one word says.
    """

    about: str
    """What it is, for people, in any mode."""
    kind: Kind


def _check_extension(text: str) -> str:
    text = narrow(text)
    if not is_extension(text):
        raise ModeError("an extension has 1 to 4 digits")
    return text


FIELDS: Mapping[str, Field] = {
    "mode": Field(
        about="word of its [mode](modes.md), like `axb`; required",
        kind=Words(Mode),
    ),
    "a": Field(about="number of party A; required but for groups", kind=PartyNumber()),
    "members": Field(
        about="numbers of a group's members, with `;`, `、`, `/`, a comma or a space between;"
        " required for groups, unless `group` is given",
        kind=Members(),
    ),
    "group": Field(
        about="name of the tenant's [party group](modes.md#party-groups) whose members are the"
        " group",
        kind=Name(check_group),
    ),
    "callback": Field(
        about="`default`, `last`, `all`, `sequence`: whom B of a group calls back, or A where"
        " strangers may call",
        kind=Words(Callback),
    ),
    "default": Field(
        about="number of the group's default member, or the fixed one that A calls back",
        kind=PartyNumber(),
    ),
    "window": Field(
        about="how long who called last is called back, like `30m`; always if empty",
        kind=Span(_SECOND, bare=_MINUTE),
    ),
    "extension": Field(
        about="1 to 4 digits by which A is reached on X; chosen if empty",
        kind=Name(_check_extension),
    ),
    "b": Field(about="number of party B; required unless strangers may call", kind=PartyNumber()),
    "x": Field(about="the 700 number that A's side dials; chosen if empty", kind=Dialled()),
    "y": Field(
        about="the 700 number that B dials, where it is another one; chosen if empty",
        kind=Dialled(),
    ),
    "y_ttl": Field(
        about="instead of `y`: B's number is made when A calls, and lives so long",
        kind=Span(_SECOND, bare=_MINUTE),
    ),
    "ttl": Field(
        about="how long it lives from now, like `2h`; a minute at least", kind=Span(_MINUTE)
    ),
    "expires": Field(
        about="or when it ends, like `2026-01-31T15:04:05+08:00`; by this machine's zone if it has"
        " none",
        kind=Moment(),
    ),
    **{term.word: Field(about=term.about, kind=term.kind) for term in TERMS},
    "order": Field(about="the order behind it, 1 to 128 characters", kind=Name(check_order_id)),
    "tenant": Field(about="whose order it is; `default` if empty", kind=Name(check_tenant)),
}
"""
What one may say, in the order in which it is written.
"""

_OF_FIXED_LINES: Mapping[type[Kind], Kind] = {
    PartyNumber: PartyNumber(fixed_lines=True),
    Members: Members(fixed_lines=True),
}


def reader(word: str, *, fixed_lines: bool = False) -> Kind:
    """
    The kind of what a word says.

    Args:
        word: One of :data:`FIELDS`.
        fixed_lines: Whether fixed lines may be parties.
    """
    kind = FIELDS[word].kind
    return _OF_FIXED_LINES.get(type(kind), kind) if fixed_lines else kind

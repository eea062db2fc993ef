"""
The kinds of values that options take.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from agi_router.bindings.fields import FIELDS, Members
from agi_router.bindings.modes import Said
from agi_router.bindings.terms import Kind, Name, Span, Term, Text, Whole, Words
from agi_router.bindings.words import check_group, check_order_id
from agi_router.cli.output import echo
from agi_router.durations import parse_duration, parse_within
from agi_router.errors import RequestInvalid
from agi_router.tenants.model import check_tenant
from agi_router.texts import strip
from agi_router.times import parse_time

__all__ = [
    "COUNT",
    "GROUP",
    "LIFE",
    "NUMBER",
    "ORDER_ID",
    "ROW",
    "SECRET",
    "SINCE",
    "SPAN",
    "TENANT",
    "TIME",
    "Checked",
    "Duration",
    "options_of",
    "party_option",
    "scope_option",
    "term_option",
    "usage",
]


# Characters: a group of 200 members, each with spaces and a country code, and some.
_LONGEST_LINE = 8192


class Duration(click.ParamType[Any]):
    """
    A duration such as ``2h``, ``30m``, ``1h30m`` or ``45`` (seconds).

    Args:
        low: The shortest allowed.
        high: The longest allowed, if there is a limit.
        bare: The shortest that a number without a unit may say.
    """

    name = "duration"

    def __init__(
        self, low: timedelta, high: timedelta | None = None, *, bare: timedelta = timedelta()
    ) -> None:
        self._low = low
        self._high = high
        self._bare = bare

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """
        Read *value*, or fail as wrong usage.
        """
        if isinstance(value, timedelta):
            return value
        try:
            return parse_within(value, self._low, self._high, bare=self._bare)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Time(click.ParamType[Any]):
    """
    A time; without an offset it is this machine's.
    """

    name = "iso8601"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """
        Read *value*, or fail as wrong usage.
        """
        if isinstance(value, datetime):
            return value
        try:
            return parse_time(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Since(click.ParamType[Any]):
    """
    A time, or a duration before now.
    """

    name = "duration|iso8601"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """
        Read *value*, or fail as wrong usage.
        """
        if isinstance(value, datetime):
            return value
        try:
            return datetime.now(UTC) - parse_duration(value)
        except (ValueError, OverflowError):
            return TIME.convert(value, param, ctx)


class Checked(click.ParamType[Any]):
    """
    A text that a rule of the core takes, and returns as it is, stripped or read.

    Args:
        name: What it is, for help texts.
        check: Returns it, or raises :exc:`ValueError`.
    """

    def __init__(self, name: str, check: Callable[[str], Any]) -> None:
        self.name = name
        self._check = check

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """
        Take *value*, or fail as wrong usage.
        """
        try:
            return self._check(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Number(click.ParamType[Any]):
    """
    A real number as people write it, or ``-``: the next line of standard input.

    What stands on a command line is in process listings and shell histories.
    """

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """
        Take *value* as it is, or a line; fail as wrong usage where there is none.
        """
        if value != "-":
            return str(value)
        if sys.stdin.isatty() and param is not None:
            echo(f"{param.opts[0]}: ", nl=False, err=True)
        line = sys.stdin.readline(_LONGEST_LINE + 1)
        if len(line) > _LONGEST_LINE:
            self.fail(
                f"standard input has a line of more than {_LONGEST_LINE} characters", param, ctx
            )
        line = strip(line)
        if not line:
            self.fail("standard input has no line for it", param, ctx)
        return line


class _Secret(_Number):
    """
    A secret: the next line of standard input, and nothing else.
    """

    name = "secret"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """
        Take a line; fail as wrong usage where another word than ``-`` is given.
        """
        if value != "-":
            self.fail("a secret is read from standard input: give - in its place", param, ctx)
        return super().convert(value, param, ctx)


_SECOND, _MINUTE = timedelta(seconds=1), timedelta(minutes=1)
COUNT = click.IntRange(1, 2**31 - 1)
ROW = click.IntRange(1, 2**63 - 1)
LIFE = Duration(_MINUTE)
SPAN = Duration(_SECOND, bare=_MINUTE)
NUMBER = _Number()
SECRET = _Secret()
ORDER_ID = Checked("id", check_order_id)
GROUP = Checked("name", check_group)
TENANT = Checked("name", check_tenant)
TIME = _Time()
SINCE = _Since()


def scope_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """
    The option that keeps a command to one tenant's things.
    """
    return click.option(
        "--tenant",
        type=TENANT,
        metavar="NAME",
        help="Only what is this tenant's, as if nothing else were there.",
    )(command)


def _type_of(kind: Kind) -> click.ParamType[Any]:
    match kind:
        case Words(enum=enum):
            return click.Choice([each.value for each in enum])
        case Whole(high=high):
            return click.IntRange(1, high)
        case Span(low=low, high=longest, bare=bare):
            return Duration(low, longest, bare=bare)
        case Name(check=check):
            return Checked("name", check)
        case Text():
            return Checked("text", kind.read)
        case _:
            raise TypeError(kind)


def term_option(term: Term, *, new: bool = True) -> Callable[[Any], Any]:
    """
    The option by which a command takes a term of a binding.

    Args:
        term: The term.
        new: Whether the binding is new, so that what is left out has its default.
    """
    return click.option(
        f"--{term.word.replace('_', '-')}",
        term.word,
        type=_type_of(term.kind),
        default=None if term.default is None or not new else term.kind.write(term.default),
        show_default=new and term.default is not None,
        # NumberPolicy gives the text of a word.
        callback=lambda _, __, value: (
            term.kind.load(value) if isinstance(term.kind, Words) and value is not None else value
        ),
        help=f"{term.about[0].upper()}{term.about[1:]}.".replace("`", '"'),
    )


def party_option(said: Said) -> Callable[[Any], Any]:
    """
    The option by which a command takes what may be said of the parties of a mode.

    Numbers and words arrive as they were typed; those of a list as a tuple.
    """
    kind = FIELDS[said.word].kind
    metavar = None
    match kind:
        case Words():
            words = said.only or tuple(kind.enum)
            type_: click.ParamType[Any] | None = click.Choice([each.value for each in words])
        case Span():
            type_ = _type_of(kind)
        case Name():
            # What is wrong with it is not wrong with the command line.
            type_, metavar = None, said.word.upper()
        case _:
            type_, metavar = NUMBER, "NUM"
    # Where there is none it is left out: None would be one.
    default: dict[str, Any] = {} if said.default is None else {"default": kind.write(said.default)}
    return click.option(
        f"--{said.word.replace('_', '-')}",
        said.word,
        type=type_,
        metavar=metavar,
        required=said.needed and said.instead is None,
        multiple=isinstance(kind, Members),
        help=f"{said.about[0].upper()}{said.about[1:]}.",
        **default,
        show_default=said.default is not None,
    )


def options_of(*decorators: Callable[[Any], Any]) -> list[click.Parameter]:
    """
    The options that decorators would give a command, in their order.
    """

    def command() -> None:
        """Nothing: it carries the options."""

    for decorator in reversed(decorators):
        decorator(command)
    return list(reversed(getattr(command, "__click_params__", [])))


@contextmanager
def usage() -> Iterator[None]:
    """
    Words that do not go together are wrong usage of the options that bear them.

    Raises:
        click.UsageError: They do not.
    """
    try:
        yield
    except RequestInvalid as error:
        text = str(error)
        for word in error.words:
            text = re.sub(rf"\b{word}\b", f"--{word.replace('_', '-')}", text)
        raise click.UsageError(text) from None

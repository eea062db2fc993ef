"""
``agi-router bind``, ``unbind``, ``extend``, ``show``, ``list``: bindings.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import click

from agi_router.bindings.choose import Affinity, NumberPolicy
from agi_router.bindings.expiry import find_expiry
from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Y_TTL, Ax, Axb, Axe, Axyb, AxybOnCall, Gxb, Gxyb, Parties
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import TERMS, Terms
from agi_router.bindings.views import describe_binding
from agi_router.bindings.words import Callback
from agi_router.cli.arguments import (
    LIFE,
    NUMBER,
    ORDER_ID,
    SPAN,
    TENANT,
    TIME,
    scope_option,
    term_option,
)
from agi_router.cli.context import read_settings
from agi_router.cli.output import echo_json, echo_pairs, echo_table, json_option
from agi_router.cli.stores import open_store
from agi_router.durations import format_duration
from agi_router.errors import SealError
from agi_router.numbers import PhoneNumber, XNumber, parse_members

__all__ = [
    "NAME",
    "bind",
    "echo_binding",
    "extend",
    "fail_if_damaged",
    "list_",
    "number_reader",
    "read_members",
    "show",
    "unbind",
]

NAME = click.argument("name", metavar="ID|700…")
"""
A binding, by its id or by its number; see :meth:`agi_router.bindings.names.BindingNames.find`.
"""

# How many are named where a number has several.

_TTL = click.option(
    "--ttl", type=LIFE, help="How long it lives from now, e.g. 2h; a minute at least."
)
_EXPIRES = click.option(
    "--expires", type=TIME, help="When it ends, e.g. 2026-01-31T15:04:05+08:00."
)

_NAMED = 5


@click.group("bind")
def bind() -> None:
    """
    Bind parties to 700 numbers, by one of the modes below.

    A number given as - is the next line of standard input, here and wherever a real number is
    asked for: what stands on a command line can be read by every user of the machine. A line for
    --g may name several members.
    """


_Command = TypeVar("_Command", bound=Callable[..., Any])


def _terms_options(command: _Command) -> _Command:
    """
    The options that bindings of all modes share; they arrive as one dictionary.
    """
    options = (
        _TTL,
        _EXPIRES,
        *map(term_option, TERMS),
        click.option("--order", type=ORDER_ID, help="The order behind it."),
        click.option(
            "--tenant",
            type=TENANT,
            metavar="NAME",
            default="default",
            show_default=True,
            help="Whose order it is; numbers come from its own blocks first.",
        ),
        click.option(
            "--operator-digit",
            type=click.IntRange(0, 9),
            help="Only numbers of blocks with this digit after 700.",
        ),
        click.option(
            "--same-x",
            type=click.Choice([each.value for each in Affinity]),
            help="Where numbers are chosen: prefer the ones that the same parties had before, as"
            " far as both times they asked so; or avoid every number that one of them was on.",
        ),
        json_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


_X = click.option("--x", metavar="700…", help="The 700 number; chosen from the blocks if absent.")
_X_OF_TWO = click.option(
    "--x", metavar="700…", help="The number that A's side dials; chosen if absent."
)
_Y_OF_TWO = click.option("--y", metavar="700…", help="The number that B dials; chosen if absent.")
_A = click.option(
    "--a", required=True, type=NUMBER, metavar="NUM", help="Mobile number of party A."
)
_B = click.option(
    "--b", required=True, type=NUMBER, metavar="NUM", help="Mobile number of party B."
)
_G = click.option(
    "--g",
    "members",
    required=True,
    multiple=True,
    type=NUMBER,
    metavar="NUM",
    help="Mobile number of a member, or several with commas; as often as needed.",
)
_CALLBACK = click.option(
    "--callback",
    type=click.Choice([each.value for each in Callback]),
    default=Callback.DEFAULT.value,
    show_default=True,
    help="Who rings when B calls: the default member, who called last, all at once, or all in"
    " sequence, one after the other.",
)
_DEFAULT = click.option("--default", type=NUMBER, metavar="NUM", help="The default member.")
_WINDOW = click.option(
    "--window",
    type=SPAN,
    help="How long who called last is called back, e.g. 30m; as long as the binding lives if"
    " absent.",
)
_OPEN_CALLBACK = click.option(
    "--callback",
    type=click.Choice([Callback.DEFAULT.value, Callback.LAST.value]),
    default=Callback.LAST.value,
    show_default=True,
    help="Whom A's call reaches: a fixed number, or who called last.",
)
_FIXED = click.option(
    "--default",
    type=NUMBER,
    metavar="NUM",
    help='The fixed number; with "last" while nobody has called.',
)


@bind.command("axb")
@_A
@_B
@_X
@_terms_options
def axb(a: str, b: str, x: str | None, **terms: Any) -> None:
    r"""
    A and B reach each other through one number, X, and see only X.

    \b
    Examples:
      agi-router bind axb --a - --b - --ttl 2h
      agi-router bind axb --a - --b - --x 700123456780001 \
          --max-calls 10 --max-duration 30m --order A-1001 --json
    """
    number = number_reader()
    _make(Axb(a=number(a), b=number(b)), x, None, terms)


@bind.command("axyb")
@_A
@_B
@_X_OF_TWO
@_Y_OF_TWO
@click.option("--y-on-call", is_flag=True, help="Make B's number when A calls, not now.")
@click.option(
    "--y-ttl",
    type=SPAN,
    help=f"How long such a number lives, e.g. 10m; {format_duration(Y_TTL)} if absent.",
)
@_terms_options
def axyb(
    a: str,
    b: str,
    x: str | None,
    y: str | None,
    y_ttl: timedelta | None,
    *,
    y_on_call: bool,
    **terms: Any,
) -> None:
    r"""
    A dials and sees one number, B another; both lie in one block.

    With --y-on-call only A's number is held from the beginning. A call of A while there is none
    makes a number for B, which B can call back as long as it lives.

    \b
    Examples:
      agi-router bind axyb --a - --b - --ttl 2h
      agi-router bind axyb --a - --b - --y-on-call --y-ttl 10m
    """
    number = number_reader()
    if not y_on_call:
        if y_ttl is not None:
            raise click.UsageError("--y-ttl goes with --y-on-call")
        _make(Axyb(a=number(a), b=number(b)), x, y, terms)
        return
    if y is not None:
        raise click.UsageError("give --y or --y-on-call, not both")
    _make(AxybOnCall(a=number(a), b=number(b), y_ttl=y_ttl or Y_TTL), x, None, terms)


@bind.command("gxb")
@_G
@_B
@_CALLBACK
@_DEFAULT
@_WINDOW
@_X
@_terms_options
def gxb(  # noqa: PLR0917 - options, not arguments
    members: Sequence[str],
    b: str,
    callback: str,
    default: str | None,
    window: timedelta | None,
    x: str | None,
    **terms: Any,
) -> None:
    r"""
    Every member of a group reaches B through X; B reaches the group by the callback.

    \b
    Examples:
      agi-router bind gxb --g - --b - \
          --callback last --window 30m --default - --ttl 2h
      agi-router bind gxb --g - --b - \
          --callback sequence --ring 15s
    """
    _make(_group(Gxb, members, b, callback, default, window), x, None, terms)


@bind.command("gxyb")
@_G
@_B
@_CALLBACK
@_DEFAULT
@_WINDOW
@_X_OF_TWO
@_Y_OF_TWO
@_terms_options
def gxyb(  # noqa: PLR0917 - options, not arguments
    members: Sequence[str],
    b: str,
    callback: str,
    default: str | None,
    window: timedelta | None,
    x: str | None,
    y: str | None,
    **terms: Any,
) -> None:
    r"""
    As gxb, but the group dials and sees one number, and B another.

    \b
    Example:
      agi-router bind gxyb --g - --b - \
          --callback all --ttl 2h
    """
    _make(_group(Gxyb, members, b, callback, default, window), x, y, terms)


@bind.command("ax")
@_A
@_OPEN_CALLBACK
@_FIXED
@_WINDOW
@_X
@_terms_options
def ax(
    a: str,
    callback: str,
    default: str | None,
    window: timedelta | None,
    x: str | None,
    **terms: Any,
) -> None:
    r"""
    Anyone reaches A through X, which is A's alone; A, dialling X, calls back.

    It lets strangers call, and nothing says that 700 numbers may: it needs AGI_ROUTER_OPEN_MODES.

    \b
    Examples:
      agi-router bind ax --a - --window 30m --ttl 2h
      agi-router bind ax --a - --callback default --default -
    """
    number = number_reader()
    _make(
        Ax(
            a=number(a),
            callback=Callback(callback),
            default=None if default is None else number(default),
            window=window,
        ),
        x,
        None,
        terms,
    )


@bind.command("axe")
@_A
@_OPEN_CALLBACK
@_FIXED
@_WINDOW
@_X
@click.option(
    "--extension", metavar="DIGITS", help="1 to 4 digits, which nobody has on X; chosen if absent."
)
@_terms_options
def axe(  # noqa: PLR0917 - options, not arguments
    a: str,
    callback: str,
    default: str | None,
    window: timedelta | None,
    x: str | None,
    extension: str | None,
    **terms: Any,
) -> None:
    r"""
    Anyone who dials X and then types the extension reaches A; A, dialling X, calls back.

    Many share one X. It lets strangers call, and nothing says that 700 numbers may: it needs
    AGI_ROUTER_OPEN_MODES.

    \b
    Examples:
      agi-router bind axe --a - --ttl 2h
      agi-router bind axe --a - --x 700123456780001 --extension 1234 --window 30m
    """
    number = number_reader()
    _make(
        Axe(
            a=number(a),
            callback=Callback(callback),
            default=None if default is None else number(default),
            window=window,
            extension=extension,
        ),
        x,
        None,
        terms,
    )


def number_reader() -> Callable[[str], PhoneNumber]:
    """
    What reads a party's number as it is typed.
    """
    fixed_lines = read_settings().fixed_lines
    return lambda text: PhoneNumber.parse(text, fixed_lines=fixed_lines)


def _group(  # noqa: PLR0917 - options, not arguments
    mode: type[Gxb],
    members: Sequence[str],
    b: str,
    callback: str,
    default: str | None,
    window: timedelta | None,
) -> Gxb:
    number = number_reader()
    return mode(
        members=read_members(members),
        b=number(b),
        callback=Callback(callback),
        default=None if default is None else number(default),
        window=window,
    )


def read_members(texts: Sequence[str]) -> tuple[PhoneNumber, ...]:
    """
    The numbers of a group's members; each text is one, or a list of them.
    """
    fixed_lines = read_settings().fixed_lines
    return tuple(
        number for text in texts for number in parse_members(text, fixed_lines=fixed_lines)
    )


def _make(parties: Parties, x: str | None, y: str | None, given: dict[str, Any]) -> None:
    """
    Make a binding and print it.

    Args:
        parties: Who is bound.
        x: Number that A's side dials, as it was typed.
        y: Number that B dials, as it was typed.
        given: What :func:`_terms_options` has collected.
    """
    x_number = None if x is None else XNumber.parse(x)
    y_number = None if y is None else XNumber.parse(y)
    settings = read_settings()
    with open_store(settings) as store:
        terms = Terms(
            expires_at=_expiry(store, given["ttl"], given["expires"], default=settings.ttl),
            order_id=given["order"],
            tenant=given["tenant"],
            **{term.name: given[term.name] for term in TERMS},
        )
        choice = NumberPolicy(
            operator_digit=given["operator_digit"],
            same_x=given["same_x"] and Affinity(given["same_x"]),
        )
        made = store.bind(parties, terms, x=x_number, y=y_number, choice=choice)
        echo_binding(made, as_json=given["as_json"])


@click.command()
@click.argument("name", metavar="[ID|700…]", required=False)
@click.option("--order", type=ORDER_ID, help="End all bindings of this order instead of one.")
@scope_option
@json_option
def unbind(name: str | None, order: str | None, tenant: str | None, *, as_json: bool) -> None:
    r"""
    End a binding now, or all of an order. A call that is up goes on; the next one is refused.

    Instead of its id a binding may be named by its 700 number, if it is the only one there.

    \b
    Examples:
      agi-router unbind 70012345678-42
      agi-router unbind 700123456780001
      agi-router unbind --order A-1001
      agi-router unbind --order A-1001 --tenant couriers
    """
    if (name is None) is (order is None):
        raise click.UsageError("give a binding or --order, and not both")
    with open_store(read_settings(), tenant=tenant) as store:
        if order is not None:
            _echo_all(store.end_order(order), as_json=as_json)
        elif name is not None:
            echo_binding(store.unbind(store.names.find(name)), as_json=as_json)


@click.command()
@NAME
@_TTL
@_EXPIRES
@scope_option
@json_option
def extend(
    name: str,
    ttl: timedelta | None,
    expires: datetime | None,
    tenant: str | None,
    *,
    as_json: bool,
) -> None:
    r"""
    Move the end of a binding to a later time.

    \b
    Example:
      agi-router extend 70012345678-42 --ttl 1h
    """
    if ttl is None and expires is None:
        raise click.UsageError("give --ttl or --expires")
    with open_store(read_settings(), tenant=tenant) as store:
        end = _expiry(store, ttl, expires, default=timedelta())
        echo_binding(store.extend(store.names.find(name), end), as_json=as_json)


@click.command()
@NAME
@scope_option
@json_option
def show(name: str, tenant: str | None, *, as_json: bool) -> None:
    r"""
    Show one binding, by its id or its 700 number; real numbers are masked.

    Of a number on which none lives any more it is the last one. What is damaged is shown so far as
    it can be read.

    \b
    Examples:
      agi-router show 70012345678-42
      agi-router show 700123456780001
    """
    with open_store(read_settings(), tenant=tenant) as store:
        echo_binding(store.find(store.names.find(name, over=True)), as_json=as_json)


@click.command("list")
@click.option("--all", "everything", is_flag=True, help="Also those that are over.")
@click.option("--order", type=ORDER_ID, help="Only those of one order.")
@click.option("--x", metavar="700…", help="Only those on one 700 number.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@scope_option
@json_option
def list_(
    order: str | None,
    x: str | None,
    limit: int,
    tenant: str | None,
    *,
    everything: bool,
    as_json: bool,
) -> None:
    r"""
    List bindings, newest first. Those that are damaged are listed too, and end it with 70.

    \b
    Examples:
      agi-router list --order A-1001
      agi-router list --all --x 700123456780001
    """
    x_number = None if x is None else XNumber.parse(x)
    with open_store(read_settings(), tenant=tenant) as store:
        found = store.bindings(
            everything=everything, order_id=order, x_number=x_number, limit=limit
        )
    _echo_all(found, as_json=as_json)


def _echo_all(found: Sequence[Binding], *, as_json: bool) -> None:
    rows = [describe_binding(each) for each in found]
    if as_json:
        echo_json(rows)
    else:
        _echo_table(rows)
    fail_if_damaged([str(each.id) for each in found if each.damage is not None])


def _echo_table(rows: Sequence[dict[str, Any]]) -> None:
    echo_table(
        ("id", "mode", "x", "a or group", "b", "state", "calls", "expires"),
        [
            (
                r["id"],
                r["mode"],
                r["x"],
                "damaged" if r["damage"] else ", ".join(r["g"]) if "g" in r else r["a"],
                r["b"],
                r["state"],
                f"{r['calls_used']}/{r['max_calls'] or '∞'}",
                r["expires_at"],
            )
            for r in rows
        ],
        empty="no bindings",
    )


def _expiry(
    store: BindingStore,
    ttl: timedelta | None,
    expires: datetime | None,
    *,
    default: timedelta,
) -> datetime:
    if ttl is not None and expires is not None:
        raise click.UsageError("give --ttl or --expires, not both")
    return find_expiry(store.now(), ttl=ttl, expires_at=expires, default=default)


def echo_binding(binding: Binding, *, as_json: bool) -> None:
    """
    Print a binding.

    Raises:
        SealError: It is damaged; so far as it can be read it is printed all the same.
    """
    (echo_json if as_json else echo_pairs)(describe_binding(binding))
    fail_if_damaged([] if binding.damage is None else [str(binding.id)])


def fail_if_damaged(names: Sequence[str]) -> None:
    """
    Say that bindings are damaged, after all that can be read has been printed.

    Raises:
        SealError: There are such.
    """
    if names:
        some = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        raise SealError(
            f"{len(names)} binding(s) are damaged, and calls on them are refused: see 'agi-router"
            f" show' why; bind these anew, or restore them from a backup: {some}"
        )

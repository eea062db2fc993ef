"""
``agi-router bind``, ``unbind``, ``extend``, ``show``, ``list``: bindings.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from textwrap import wrap
from typing import Any

import click
from click.core import ParameterSource

from agi_router.bindings.expiry import find_expiry
from agi_router.bindings.fields import reader
from agi_router.bindings.model import Binding, BindingId
from agi_router.bindings.modes import MODES, Parties
from agi_router.bindings.policy import Affinity, NumberPolicy
from agi_router.bindings.requests import BindRequest, make_request, place_y
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import CHANGEABLE, TERMS
from agi_router.bindings.views import describe_binding
from agi_router.bindings.words import BindingState, Mode, Side
from agi_router.cli.acts import MOST_THINGS, acting
from agi_router.cli.arguments import (
    COUNT,
    GROUP,
    LIFE,
    NUMBER,
    ORDER_ID,
    TENANT,
    TIME,
    options_of,
    party_option,
    scope_option,
    term_option,
    usage,
)
from agi_router.cli.context import read_settings
from agi_router.cli.damage import damaged_among, echo_rows, fail_if_damaged
from agi_router.cli.output import echo_json, echo_pairs, echo_table, json_option
from agi_router.cli.stores import open_store
from agi_router.keys.ring import DESTROYED
from agi_router.numbers import PhoneNumber, XNumber, parse_members
from agi_router.settings import Settings

__all__ = [
    "DAMAGED_BINDINGS",
    "NAME",
    "bind",
    "change",
    "changing",
    "echo_binding",
    "extend",
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

_TTL = click.option(
    "--ttl", type=LIFE, help="How long it lives from now, e.g. 2h; a minute at least."
)
_EXPIRES = click.option(
    "--expires", type=TIME, help="When it ends, e.g. 2026-01-31T15:04:05+08:00."
)

DAMAGED_BINDINGS = (
    "binding(s) are damaged, and calls on them are refused: see 'agi-router show' why; bind these"
    " anew, or restore them from a backup"
)
"""What :func:`fail_if_damaged` says of bindings."""


@click.group("bind")
def bind() -> None:
    """
    Bind parties to 700 numbers, by one of the modes below.

    A number given as - is the next line of standard input, here and wherever a real number is
    asked for: what stands on a command line can be read by every user of the machine. A line for
    --members may name several.
    """


def _terms_options() -> list[click.Parameter]:
    """
    The options that bindings of all modes share.
    """
    return options_of(
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


def _numbers_options(parties: type[Parties]) -> Iterator[Callable[[Any], Any]]:
    """
    The options by which the numbers of a mode are given.
    """
    if not parties.two_numbers:
        about = "The 700 number; chosen from the blocks if absent."
        yield click.option("--x", metavar="700…", help=about)
        return
    about = "The number that A's side dials; chosen if absent."
    yield click.option("--x", metavar="700…", help=about)
    yield click.option("--y", metavar="700…", help="The number that B dials; chosen if absent.")


def _command(parties: type[Parties]) -> click.Command:
    """
    The command that binds by one mode.
    """
    examples = "\n".join(map(partial(_example, parties.mode), parties.examples))
    options = options_of(*map(party_option, parties.said()), *_numbers_options(parties))
    if any(each.word == "y_ttl" for each in parties.said()):
        about = "Make B's number when A calls, not now."
        options += options_of(click.option("--y-on-call", is_flag=True, help=about))
    return click.Command(
        parties.mode.value,
        callback=partial(_bind, parties.mode),
        params=[*options, *_terms_options()],
        help=f"{parties.help}\n\n\b\nExamples:\n{examples}",
    )


def _example(mode: Mode, options: str) -> str:
    """
    A command in lines as one types it.
    """
    lines = wrap(
        f"agi-router bind {mode} {options}", 72, break_long_words=False, break_on_hyphens=False
    )
    return "  " + " \\\n      ".join(lines)


def _bind(mode: Mode, *, as_json: bool, **given: Any) -> None:
    """
    Make a binding and print it.

    Args:
        mode: Its mode.
        as_json: Whether it is printed as JSON.
        given: What the options say, by word; :obj:`None` or nothing where one is absent.
    """
    settings = read_settings()
    choice = NumberPolicy(
        operator_digit=given.pop("operator_digit"),
        same_x=(same_x := given.pop("same_x")) and Affinity(same_x),
    )
    said = {word: value for word, value in given.items() if value not in {None, ()}}
    with usage():
        said = place_y(said)
    values = {word: _read(word, value, settings) for word, value in said.items()}
    values["mode"] = mode
    request = None if "pool" in values else _request(values)
    with open_store(settings) as store, acting(store.connection, "a binding") as act:
        if request is None:
            pool = store.pools.find(values["tenant"], values["pool"])
            with usage():
                values = pool.fill(_without_defaults(values))
            request = _request(values)
        made = store.make(request, default_ttl=settings.ttl, choice=choice)
        act.subject = f"binding {made.id}"
        act.note(act.subject, {}, describe_binding(made))
    echo_binding(made, as_json=as_json)


def _without_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """
    The same without what nobody has typed; its tenant apart.
    """
    source = click.get_current_context().get_parameter_source
    kept = {"mode", "tenant"}
    return {
        word: value
        for word, value in values.items()
        if word in kept or source(word) is not ParameterSource.DEFAULT
    }


def _request(values: Mapping[str, Any]) -> BindRequest:
    with usage():
        return make_request(values)


def _read(word: str, value: Any, settings: Settings) -> Any:
    """
    The value of an option; numbers, lists of them and words arrive as they were typed.
    """
    kind = reader(word, fixed_lines=settings.fixed_lines)
    if isinstance(value, tuple):
        return tuple(number for text in value for number in kind.read(text))
    return kind.read(value) if type(value) is str else value


for _parties in MODES.values():
    bind.add_command(_command(_parties))


def number_reader() -> Callable[[str], PhoneNumber]:
    """
    What reads a party's number as it is typed.
    """
    fixed_lines = read_settings().fixed_lines
    return lambda text: PhoneNumber.parse(text, fixed_lines=fixed_lines)


def read_members(texts: Sequence[str]) -> tuple[PhoneNumber, ...]:
    """
    The numbers of a group's members; each text is one, or a list of them.
    """
    fixed_lines = read_settings().fixed_lines
    return tuple(
        number for text in texts for number in parse_members(text, fixed_lines=fixed_lines)
    )


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
        if name is not None:
            with changing(store, name) as found:
                ended = store.unbind(found)
            echo_binding(ended, as_json=as_json)
            return
        assert order is not None  # noqa: S101 - looked at above
        with acting(store.connection, f"order {order}") as act:
            all_ended = store.end_order(order)
            act.subject += f", bindings: {len(all_ended)}"
            act.after = {
                f"binding {each.id}": {"state": each.state} for each in all_ended[:MOST_THINGS]
            }
    _echo_all(all_ended, as_json=as_json)


@contextmanager
def changing(store: BindingStore, name: str) -> Iterator[BindingId]:
    """
    A transaction in which a command changes a binding: how it was and is then is written down.

    Args:
        store: Where.
        name: Its id, or its 700 number.
    """
    found = store.names.find(name)
    with acting(store.connection, f"binding {found}") as act:
        before = describe_binding(store.find(found))
        yield found
        act.note(act.subject, before, describe_binding(store.find(found)))


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
    if ttl is not None and expires is not None:
        raise click.UsageError("give --ttl or --expires, not both")
    with open_store(read_settings(), tenant=tenant) as store, changing(store, name) as found:
        end = find_expiry(store.now(), ttl=ttl, expires_at=expires, default=timedelta())
        extended = store.extend(found, end)
    echo_binding(extended, as_json=as_json)


def _replace(
    name: str, word: str, who: str, *, version: int | None, tenant: str | None
) -> Binding:
    """
    Put another into the place of A, of B or of a group, and write that down.
    """
    number = None if word == "group" else number_reader()(who)
    with open_store(read_settings(), tenant=tenant) as store:
        found = store.names.find(name)
        with acting(store.connection, f"another {word} of binding {found}") as act:
            before = store.find(found)
            # Of the one that is written down as it was.
            kept = before.version if version is None else version
            if number is None:
                made = store.set_group(found, who, version=kept)
            else:
                made = store.replace(found, Side(word), number, version=kept)
                act.tag = store.keys.tag(number)
            act.note(f"binding {found}", describe_binding(before), describe_binding(made))
            return made


_NAMES = {"order": "order_id", **{term.word: term.name for term in CHANGEABLE}}


def _changes_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """
    The options that say what is to change.
    """
    for option in reversed(
        (
            click.option("--a", type=NUMBER, metavar="NUM", help="Who takes the place of A."),
            click.option("--b", type=NUMBER, metavar="NUM", help="Who takes the place of B."),
            click.option("--group", type=GROUP, help="The party group that becomes side A."),
            _TTL,
            _EXPIRES,
            *(term_option(term, new=False) for term in CHANGEABLE),
            click.option("--order", type=ORDER_ID, help="The order behind it."),
            click.option(
                "--unset",
                type=click.Choice([word.replace("_", "-") for word in _NAMES]),
                multiple=True,
                help="What is agreed no longer, or is as it is by default; as often as needed.",
            ),
            click.option(
                "--version",
                type=COUNT,
                help='Only if it has this version still, as "show" tells it.',
            ),
            scope_option,
            json_option,
        )
    ):
        command = option(command)
    return command


@click.command()
@NAME
@_changes_options
def change(  # noqa: PLR0917 - options, not arguments
    name: str,
    a: str | None,
    b: str | None,
    group: str | None,
    ttl: timedelta | None,
    expires: datetime | None,
    unset: Sequence[str],
    version: int | None,
    tenant: str | None,
    *,
    as_json: bool,
    **given: Any,
) -> None:
    r"""
    Change what is agreed for a binding, while it lives; a call that is up goes on as it began.

    Its end may be earlier or later than before. What is left out stays as it is.

    A, B or a party group is replaced by another by itself; that is on record.

    \b
    Examples:
      agi-router change 70012345678-42 --ttl 30m --direction a
      agi-router change 70012345678-42 --max-calls 20 --out-id 4711 --version 3
      agi-router change 70012345678-42 --unset max-calls --unset ring
      agi-router change 70012345678-42 --a -
    """
    changes = {_NAMES[word]: value for word, value in given.items() if value is not None}
    for word in unset:
        key = _NAMES[word.replace("-", "_")]
        if key in changes:
            raise click.UsageError(f"give --{word} or --unset {word}, not both")
        changes[key] = None
    people = {word: who for word, who in {"a": a, "b": b, "group": group}.items() if who}
    if people:
        if len(people) > 1 or changes or ttl is not None or expires is not None:
            raise click.UsageError("change --a, --b or --group by itself")
        ((word, who),) = people.items()
        binding = _replace(name, word, who, version=version, tenant=tenant)
        echo_binding(binding, as_json=as_json)
        return
    if ttl is None and expires is None and not changes:
        raise click.UsageError("say what is to change")
    if ttl is not None and expires is not None:
        raise click.UsageError("give --ttl or --expires, not both")
    with open_store(read_settings(), tenant=tenant) as store, changing(store, name) as found:
        if ttl is not None or expires is not None:
            now = store.now()
            changes["expires_at"] = find_expiry(
                now, ttl=ttl, expires_at=expires, default=timedelta()
            )
        changed = store.change(found, version=version, **changes)
    echo_binding(changed, as_json=as_json)


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
@click.option(
    "--party",
    type=NUMBER,
    metavar="NUM",
    help="Only those that this number is a party of, or the fixed number to call back.",
)
@click.option(
    "--state",
    type=click.Choice([each.value for each in BindingState]),
    help="Only those in this state; those that are over need no --all.",
)
@click.option("--mode", type=click.Choice([each.value for each in Mode]), help="Only of one mode.")
@click.option("--limit", type=COUNT, default=100, show_default=True, help="At most so many.")
@scope_option
@json_option
def list_(  # noqa: PLR0917 - options, not arguments
    order: str | None,
    x: str | None,
    party: str | None,
    state: str | None,
    mode: str | None,
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
      agi-router list --party -
    """
    settings = read_settings()
    x_number = None if x is None else XNumber.parse(x)
    number = None if party is None else PhoneNumber.parse(party, fixed_lines=settings.fixed_lines)
    with open_store(settings, tenant=tenant) as store:
        found = store.bindings(
            everything=everything or state is not None,
            order_id=order,
            x_number=x_number,
            party=number,
            state=None if state is None else BindingState(state),
            mode=None if mode is None else Mode(mode),
            limit=limit,
        )
    _echo_all(found, as_json=as_json)


def _echo_all(found: Sequence[Binding], *, as_json: bool) -> None:
    rows = [describe_binding(each) for each in found]
    echo_rows(rows, _echo_table, DAMAGED_BINDINGS, as_json=as_json)


def _echo_table(rows: Sequence[dict[str, Any]]) -> None:
    echo_table(
        ("id", "mode", "x", "a or group", "b", "state", "calls", "expires"),
        [
            (
                r["id"],
                r["mode"],
                r["x"],
                (DESTROYED if r["damage"] == DESTROYED else "damaged")
                if r["damage"]
                else ", ".join(r["members"])
                if "members" in r
                else r["a"],
                r["b"],
                r["state"],
                f"{r['calls_used']}/{r['max_calls'] or '∞'}",
                r["expires_at"],
            )
            for r in rows
        ],
        empty="no bindings",
    )


def echo_binding(binding: Binding, *, as_json: bool) -> None:
    """
    Print a binding.

    Raises:
        SealError: It is damaged; so far as it can be read it is printed all the same.
    """
    described = describe_binding(binding)
    (echo_json if as_json else echo_pairs)(described)
    fail_if_damaged(damaged_among([described]), DAMAGED_BINDINGS)

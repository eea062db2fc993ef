"""
``agi-router bind``, ``unbind``, ``extend``, ``show``, ``list``: bindings.
"""

from datetime import datetime, timedelta
from typing import Any

import click

from agi_router.adapters.bindings import BindingId, BindingStore, StoredBinding, Terms
from agi_router.cli.arguments import COUNT, DURATION, ORDER_ID, TIME, Duration
from agi_router.cli.output import echo_json, echo_pairs, echo_table, json_option
from agi_router.cli.workplace import open_store, read_settings
from agi_router.errors import ExpiryInvalid
from agi_router.model import Counting
from agi_router.modes import Axb
from agi_router.numbers import E164, XNumber

__all__ = ["bind", "extend", "list_", "show", "unbind"]

_TTL = click.option("--ttl", type=DURATION, help="How long it lives from now, e.g. 2h.")
_EXPIRES = click.option(
    "--expires", type=TIME, help="When it ends, e.g. 2026-01-31T15:04:05+08:00."
)


@click.group("bind")
def bind() -> None:
    """
    Bind parties to a 700 number.
    """


@bind.command("axb")
@click.option("--a", required=True, metavar="NUM", help="Mobile number of the first party.")
@click.option("--b", required=True, metavar="NUM", help="Mobile number of the second party.")
@click.option("--x", metavar="700…", help="The 700 number; chosen from the blocks if absent.")
@_TTL
@_EXPIRES
@click.option("--max-calls", type=COUNT, help="Calls in all; no limit if absent.")
@click.option(
    "--count",
    "counting",
    type=click.Choice([each.value for each in Counting]),
    default=Counting.ANSWERED.value,
    show_default=True,
    help="What uses up a call: being answered, or every leg dialled.",
)
@click.option(
    "--max-duration",
    type=Duration(timedelta(seconds=1), timedelta(minutes=240)),
    help="Longest call, e.g. 30m; 240m at most.",
)
@click.option("--order", type=ORDER_ID, help="The order behind it.")
@json_option
def axb(  # noqa: PLR0917
    a: str,
    b: str,
    x: str | None,
    ttl: timedelta | None,
    expires: datetime | None,
    max_calls: int | None,
    counting: str,
    max_duration: timedelta | None,
    order: str | None,
    *,
    as_json: bool,
) -> None:
    r"""
    A and B reach each other through one number, X, and see only X.

    \b
    Examples:
      agi-router bind axb --a 13800000001 --b 13800000002 --ttl 2h
      agi-router bind axb --a 13800000001 --b 13800000002 --x 700123456780001 \
          --max-calls 10 --max-duration 30m --order A-1001 --json
    """
    settings = read_settings()
    parties = Axb(
        a=E164.parse(a, fixed_lines=settings.fixed_lines),
        b=E164.parse(b, fixed_lines=settings.fixed_lines),
    )
    x_number = None if x is None else XNumber.parse(x)
    with open_store(settings) as store:
        terms = Terms(
            expires_at=_expiry(store, ttl, expires, default=settings.ttl),
            max_calls=max_calls,
            counting=Counting(counting),
            max_duration=max_duration,
            order_id=order,
        )
        _echo(store.bind(parties, terms, x=x_number), as_json=as_json)


@click.command()
@click.argument("name", metavar="ID")
@json_option
def unbind(name: str, *, as_json: bool) -> None:
    """
    End a binding now. A call that is up goes on; the next one is refused.
    """
    with open_store(read_settings()) as store:
        _echo(store.unbind(BindingId.parse(name)), as_json=as_json)


@click.command()
@click.argument("name", metavar="ID")
@_TTL
@_EXPIRES
@json_option
def extend(name: str, ttl: timedelta | None, expires: datetime | None, *, as_json: bool) -> None:
    r"""
    Move the end of a binding to a later time.

    \b
    Example:
      agi-router extend 70012345678-42 --ttl 1h
    """
    if ttl is None and expires is None:
        raise click.UsageError("give --ttl or --expires")
    with open_store(read_settings()) as store:
        end = _expiry(store, ttl, expires, default=timedelta())
        _echo(store.extend(BindingId.parse(name), end), as_json=as_json)


@click.command()
@click.argument("name", metavar="ID")
@json_option
def show(name: str, *, as_json: bool) -> None:
    """
    Show one binding; real numbers are masked.
    """
    with open_store(read_settings()) as store:
        _echo(store.find(BindingId.parse(name)), as_json=as_json)


@click.command("list")
@click.option("--all", "everything", is_flag=True, help="Also those that are over.")
@click.option("--order", metavar="ID", help="Only those of one order.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@json_option
def list_(order: str | None, limit: int, *, everything: bool, as_json: bool) -> None:
    """
    List bindings, newest first.
    """
    with open_store(read_settings()) as store:
        found = store.bindings(everything=everything, order_id=order, limit=limit)
    rows = [_described(each) for each in found]
    if as_json:
        echo_json(rows)
        return
    echo_table(
        ("id", "mode", "x", "a", "b", "state", "calls", "expires"),
        [
            (
                r["id"],
                r["mode"],
                r["x"],
                r.get("a"),
                r.get("b"),
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
    if expires is not None:
        return expires
    try:
        return store.now() + (default if ttl is None else ttl)
    except OverflowError:
        raise ExpiryInvalid("the expiry is too far away") from None


def _echo(binding: StoredBinding, *, as_json: bool) -> None:
    (echo_json if as_json else echo_pairs)(_described(binding))


def _described(binding: StoredBinding) -> dict[str, Any]:
    """
    A binding as it is printed: numbers of parties masked.
    """
    numbers = sorted({party.dials for party in binding.parties})
    return {
        # A string: ids are names, not for reckoning.
        "id": str(binding.id),
        "mode": binding.mode,
        "x": str(numbers[0]) if numbers else None,
        **{party.side.value: party.number.masked for party in binding.parties},
        "state": binding.state.value,
        "begins_at": binding.begins_at,
        "expires_at": binding.expires_at,
        "ended_at": binding.ended_at,
        "max_calls": binding.max_calls,
        "calls_used": binding.calls_used,
        "count": binding.counting.value,
        "max_duration": _whole_seconds(binding.max_duration),
        "order": binding.order_id,
        "tenant": binding.tenant,
    }


def _whole_seconds(value: timedelta | None) -> int | None:
    return None if value is None else int(value.total_seconds())

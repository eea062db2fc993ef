"""
``agi-router pool``: how full the blocks are, how many are needed, and named sets of them.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import click

from agi_router.bindings.pool_store import PoolStore
from agi_router.bindings.pools import Pool
from agi_router.bindings.views import describe_pool
from agi_router.bindings.words import Callback, Language, Mode, check_pool, check_prompts
from agi_router.cli.arguments import COUNT, SPAN, TENANT, Checked, Duration, scope_option, usage
from agi_router.cli.context import open_serving_database, read_settings
from agi_router.cli.output import echo, echo_json, echo_pairs, echo_table, json_option
from agi_router.cli.stores import open_inventory
from agi_router.db.connection import Queries
from agi_router.durations import format_duration
from agi_router.inventory.capacity import size_pool
from agi_router.inventory.store import InventoryStore
from agi_router.inventory.views import describe_size
from agi_router.numbers import BLOCK_SIZE, Block

__all__ = ["group"]

_MAX_TTL = timedelta(days=90)
# What may be unset of a pool, as its option is called, and what it is.
_UNSET = {
    "block": "blocks",
    "operator-digit": "operator_digit",
    **{word: word for word in ("mode", "callback", "window", "language", "prompts")},
}


@click.group("pool", invoke_without_command=True)
@scope_option
@json_option
@click.pass_context
def group(ctx: click.Context, tenant: str | None, *, as_json: bool) -> None:
    r"""
    Show how many numbers of each block are bound, rest, locked and free, and when none will be.

    The commands below keep pools by name: sets of a tenant's numbers that bindings name.

    The forecast is linear: numbers held (bound or resting) go on growing as they did in the last
    24 hours. Returned blocks are left out.

    \b
    Examples:
      agi-router pool
      agi-router pool size --pairs 50000 --ttl 2h
      agi-router pool add FC1001 --tenant couriers --block 70012345678
    """
    if ctx.invoked_subcommand is not None:
        if as_json:
            raise click.UsageError("--json goes behind the subcommand")
        if tenant is not None:
            raise click.UsageError("--tenant goes behind the subcommand")
        return
    with open_inventory(read_settings(), tenant=tenant) as inventory:
        rows = inventory.statistics()
    if as_json:
        echo_json(rows)
        return
    _echo_capacity(rows)


@group.command("size")
@click.option("--pairs", type=COUNT, required=True, help="Pairs bound at once.")
@click.option(
    "--ttl",
    type=Duration(timedelta(minutes=1), _MAX_TTL),
    required=True,
    help="How long a binding lives, on average.",
)
@click.option(
    "--quarantine",
    type=Duration(timedelta(), _MAX_TTL),
    help="How long a number rests; AGI_ROUTER_NUMBER_QUARANTINE if absent.",
)
@click.option(
    "--share",
    type=COUNT,
    default=1,
    show_default=True,
    help="Pairs that share a number at once, coming and going together.",
)
@json_option
def size(
    pairs: int, ttl: timedelta, quarantine: timedelta | None, share: int, *, as_json: bool
) -> None:
    r"""
    Reckon how many blocks are needed for so many pairs at once.

    A number is bound for the TTL and then rests, so that many numbers more are needed. Besides,
    nobody meets another party on a number for AGI_ROUTER_PARTY_QUARANTINE: the busiest party needs
    as many numbers as it has bindings in that time.

    \b
    Example:
      agi-router pool size --pairs 50000 --ttl 2h --quarantine 10m
    """
    rest = read_settings().quarantine.number if quarantine is None else quarantine
    needed = size_pool(pairs=pairs, ttl=ttl, quarantine=rest, share=share)
    if as_json:
        echo_json(describe_size(needed, pairs=pairs, ttl=ttl, quarantine=rest, share=share))
        return
    life, pause = format_duration(ttl), format_duration(rest)
    lines: list[tuple[Any, str]] = [
        (needed.bound, f"numbers bound at once: {pairs:,} pairs ÷ {share:,} a number"),
        (needed.resting, f"numbers resting meanwhile: {needed.bound:,} × {pause} ÷ {life}"),
        (needed.numbers, "numbers"),
        (needed.blocks, f"blocks of {BLOCK_SIZE:,}"),
    ]
    for value, words in lines:
        echo(f"{value:>14,}  {words}")


_TENANT = click.option(
    "--tenant", type=TENANT, default="default", show_default=True, help="Whose."
)
_NAME = click.argument("name", type=Checked("name", check_pool), metavar="NAME")


def _said_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """
    The options that say what a pool is.
    """
    for option in reversed(
        (
            click.option(
                "--block",
                "blocks",
                type=Checked("block", Block.parse),
                multiple=True,
                help="Numbers come from this block alone, or from these; as often as needed.",
            ),
            click.option(
                "--operator-digit",
                type=click.IntRange(0, 9),
                help="Numbers have this digit after 700.",
            ),
            click.option(
                "--mode",
                type=click.Choice([each.value for each in Mode]),
                help="The only mode in it, and that of bindings that say none.",
            ),
            click.option(
                "--callback",
                type=click.Choice([each.value for each in Callback]),
                help="Who is called back, where a binding does not say.",
            ),
            click.option(
                "--window", type=SPAN, help="How long who called last is, e.g. 30m; with last."
            ),
            click.option(
                "--language",
                type=click.Choice([each.value for each in Language]),
                help="What callers hear.",
            ),
            click.option("--prompts", type=Checked("name", check_prompts), help="Set of prompts."),
        )
    ):
        command = option(command)
    return command


@group.command("add")
@_NAME
@_TENANT
@_said_options
@json_option
def add(name: str, tenant: str, *, as_json: bool, **given: Any) -> None:
    r"""
    Add a pool: a named set of a tenant's numbers, with what bindings on them have by default.

    \b
    Examples:
      agi-router pool add FC1001 --tenant couriers --block 70012345678
      agi-router pool add hotline --mode gxb --callback last --window 30m
    """
    with _open(act=f"pool {name} of tenant {tenant}") as pools, usage():
        pool = pools.add(tenant, name, **_said(given))
    _echo(pool, as_json=as_json)


@group.command("list")
@click.option("--tenant", type=TENANT, help="Only those of this tenant.")
@json_option
def list_(tenant: str | None, *, as_json: bool) -> None:
    r"""
    List the pools, newest first.

    \b
    Example:
      agi-router pool list --tenant couriers
    """
    with _open() as pools:
        rows = list(map(describe_pool, pools.all(tenant=tenant, limit=None)))
    if as_json:
        echo_json(rows)
        return
    echo_table(
        ("name", "tenant", "blocks", "mode"),
        [(r["name"], r["tenant"], len(r["blocks"]) or "any", r["mode"] or "any") for r in rows],
        empty="no pools: add one with 'agi-router pool add'",
    )


@group.command("show")
@_NAME
@_TENANT
@json_option
def show(name: str, tenant: str, *, as_json: bool) -> None:
    r"""
    Show a pool, and how full its blocks are.

    \b
    Example:
      agi-router pool show city --tenant couriers
    """
    with _open() as pools:
        found = pools.find(tenant, name)
        rows = pools.capacity(found)
    if as_json:
        echo_json({**describe_pool(found), "capacity": rows})
        return
    _echo(found, as_json=False)
    _echo_capacity(rows)


@group.command("change")
@_NAME
@_TENANT
@_said_options
@click.option(
    "--unset",
    type=click.Choice(_UNSET),
    multiple=True,
    help="What it has no longer; as often as needed.",
)
@json_option
def change(name: str, tenant: str, unset: Sequence[str], *, as_json: bool, **given: Any) -> None:
    r"""
    Change a pool; what is left out stays. Bindings that were made in it stay as they are.

    \b
    Example:
      agi-router pool change FC1001 --tenant couriers --callback last --unset operator-digit
    """
    said = _said(given)
    for word in unset:
        if _UNSET[word] in said:
            raise click.UsageError(f"--unset {word} goes without --{word}")
    changes = {**said, **{_UNSET[word]: None for word in unset}}
    if not changes:
        raise click.UsageError("say what is to change")
    with _open(act=f"pool {name} of tenant {tenant}") as pools, usage():
        pool = pools.change(tenant, name, **changes)
    _echo(pool, as_json=as_json)


@group.command("remove")
@_NAME
@_TENANT
@json_option
def remove(name: str, tenant: str, *, as_json: bool) -> None:
    r"""
    Remove a pool. Bindings that were made in it stay as they are.

    \b
    Example:
      agi-router pool remove city --tenant couriers
    """
    with _open(act=f"pool {name} of tenant {tenant}") as pools:
        pool = pools.remove(tenant, name)
    _echo(pool, as_json=as_json)


@contextmanager
def _open(*, act: str | None = None) -> Iterator[PoolStore]:
    with open_serving_database(settings := read_settings(), act=act) as connection:
        queries = Queries(connection)
        yield PoolStore(queries, InventoryStore(queries, settings.quarantine))


def _said(given: dict[str, Any]) -> dict[str, Any]:
    """
    What the options say, as a pool has it.
    """
    kinds = {"mode": Mode, "callback": Callback, "language": Language}
    return {
        word: kinds[word](value) if word in kinds else value
        for word, value in given.items()
        if value not in {None, ()}
    }


def _echo(pool: Pool, *, as_json: bool) -> None:
    described = describe_pool(pool)
    if as_json:
        echo_json(described)
        return
    echo_pairs({**described, "blocks": ", ".join(described["blocks"]) or "any"})


def _echo_capacity(rows: list[dict[str, Any]]) -> None:
    columns = ("bound", "resting", "locked", "free", "growth")
    echo_table(
        ("block", "tenant", "state", *columns, "exhausted"),
        [
            (
                *(r["block"], r["tenant"], r["closed"] or r["state"]),
                *(r[name] for name in columns),
                r["exhausted_at"] or "never",
            )
            for r in rows
        ],
        empty="no blocks yet: add one with 'agi-router block add'",
    )

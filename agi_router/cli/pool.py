"""
``agi-router pool``: how full the blocks are, how long they last, how many are needed.
"""

from datetime import timedelta
from typing import Any

import click

from agi_router.cli.arguments import COUNT, Duration, scope_option
from agi_router.cli.context import read_settings
from agi_router.cli.output import echo, echo_json, echo_table, json_option
from agi_router.cli.stores import open_inventory
from agi_router.durations import format_duration
from agi_router.inventory.capacity import size_pool
from agi_router.numbers import BLOCK_SIZE

__all__ = ["group"]

_MAX_TTL = timedelta(days=90)


@click.group("pool", invoke_without_command=True)
@scope_option
@json_option
@click.pass_context
def group(ctx: click.Context, tenant: str | None, *, as_json: bool) -> None:
    r"""
    Show how many numbers of each block are bound, rest and are free, and when none will be.

    The forecast is linear: numbers held (bound or resting) go on growing as they did in the last
    24 hours. Returned blocks are left out.

    \b
    Examples:
      agi-router pool
      agi-router pool size --pairs 50000 --ttl 2h
    """
    if ctx.invoked_subcommand is not None:
        if as_json:
            raise click.UsageError("--json goes behind the subcommand")
        if tenant is not None:
            raise click.UsageError("--tenant goes without a subcommand")
        return
    with open_inventory(read_settings(), tenant=tenant) as inventory:
        rows = inventory.statistics()
    if as_json:
        echo_json(rows)
        return
    columns = ("block", "tenant", "state", "bound", "resting", "free", "growth")
    echo_table(
        (*columns, "exhausted"),
        [(*(r[name] for name in columns), r["exhausted_at"] or "never") for r in rows],
        empty="no blocks yet: add one with 'agi-router block add'",
    )


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
        echo_json(
            {
                "pairs": pairs,
                "share": share,
                "ttl": _seconds(ttl),
                "quarantine": _seconds(rest),
                "bound": needed.bound,
                "resting": needed.resting,
                "numbers": needed.numbers,
                "blocks": needed.blocks,
            }
        )
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


def _seconds(value: timedelta) -> int:
    return int(value.total_seconds())

"""
``agi-router events``: what tenants are told, to be pulled.
"""

from datetime import datetime
from typing import Any

import click

from agi_router.cli.arguments import SINCE, TENANT, TIME
from agi_router.cli.context import read_settings
from agi_router.cli.damage import fail_if_damaged
from agi_router.cli.output import echo, echo_json, echo_table, json_option
from agi_router.cli.stores import open_events
from agi_router.cli.webhooks import EVENT_NAME, TYPES
from agi_router.events.model import Cursor, EventType, event_name
from agi_router.events.shapes import cloud_event

__all__ = ["group"]

_DAMAGED = "event(s) have damaged rows, of which nothing can be told: restore them from a backup"


class _Cursor(click.ParamType[Any]):
    """
    A place in the events of a tenant.
    """

    name = "cursor"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Cursor:
        """
        Read *value*, or fail as wrong usage.
        """
        try:
            return value if isinstance(value, Cursor) else Cursor.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


_TENANT = click.option(
    "--tenant", type=TENANT, default="default", show_default=True, help="Whose."
)


@click.group("events")
def group() -> None:
    """
    Events: what tenants are told of their bindings and calls.
    """


@group.command("write")
@_TENANT
@click.option("--types", type=TYPES, help="With commas, or all.")
@click.option("--none", is_flag=True, help="No more events.")
@json_option
def write(tenant: str, types: tuple[EventType, ...] | None, *, none: bool, as_json: bool) -> None:
    r"""
    Say which types of events are written for a tenant. Without an option, show them.

    A webhook has its types written by itself.

    \b
    Example:
      agi-router events write --tenant shop --types binding.ended,call.ended
    """
    if types is not None and none:
        raise click.UsageError("say --types or --none")
    act = f"events of tenant {tenant}" if types is not None or none else None
    with open_events(read_settings(), act=act) as (store, _):
        if types is not None or none:
            store.set_types(tenant, types or ())
        written = store.types(tenant)
    if as_json:
        echo_json({"tenant": tenant, "types": list(written)})
    else:
        echo(",".join(written) or "none")


@group.command("list")
@_TENANT
@click.option("--after", type=_Cursor(), help="Behind this place: the last list's next.")
@click.option("--since", type=SINCE, help="Only those since a time, or how long ago.")
@click.option("--until", type=TIME, help="Only those before a time.")
@click.option("--types", type=TYPES, help="Only these, with commas.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="At most so many.",
)
@json_option
def list_(
    *,
    tenant: str,
    after: Cursor | None,
    since: datetime | None,
    until: datetime | None,
    types: tuple[EventType, ...] | None,
    limit: int,
    as_json: bool,
) -> None:
    r"""
    List events of a tenant, oldest first, and the place behind them.

    Whoever goes on from that place misses none and sees none twice. Those whose rows are damaged
    are named, and end it with 70.

    \b
    Example:
      agi-router events list --tenant shop --after 7512.301 --json
    """
    with open_events(read_settings()) as (store, _):
        page = store.events(
            tenant, after=after, since=since, until=until, types=types, limit=limit
        )
    damaged = list(map(event_name, page.damaged))
    if as_json:
        told = [cloud_event(event, parties) for event, parties in page.events]
        echo_json({"events": told, "damaged": damaged, "next": str(page.next)})
    else:
        echo_table(
            ("at", "type", "binding", "call"),
            [
                (event.at, event.type, event.binding, event.data.get("call_id"))
                for event, _ in page.events
            ],
            empty="no events",
        )
        echo(f"next: {page.next}")
    fail_if_damaged(damaged, _DAMAGED)


@group.command("show")
@click.argument("event_id", type=EVENT_NAME, metavar="EVENT")
def show(event_id: int) -> None:
    r"""
    Show an event in JSON, as a webhook gets it; numbers of parties are masked.

    \b
    Example:
      agi-router events show evt_4711
    """
    with open_events(read_settings()) as (store, _):
        echo_json(cloud_event(*store.event(event_id)))

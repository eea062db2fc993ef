"""
``agi-router webhook``: where tenants have events sent to.
"""

from datetime import datetime, timedelta
from typing import Any

import click

from agi_router.cli.acts import record_act
from agi_router.cli.arguments import COUNT, ROW, SINCE, SPAN, TENANT, TIME, Checked, Duration
from agi_router.cli.context import read_settings
from agi_router.cli.output import echo_json, echo_pairs, echo_table, json_option
from agi_router.cli.stores import open_events
from agi_router.db.connection import Queries
from agi_router.events.addresses import address_on_record
from agi_router.events.model import (
    LARGEST_BATCH,
    LONGEST_WAIT,
    EventType,
    Format,
    Numbers,
    check_url,
    check_webhook,
    event_name,
    parse_event_name,
    parse_types,
)
from agi_router.events.views import describe_attempt, describe_webhook

__all__ = ["EVENT_NAME", "TYPES", "group"]


class _Types(click.ParamType[Any]):
    """
    Types of events, with commas.
    """

    name = "types"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[EventType, ...]:
        """
        Read *value*, or fail as wrong usage.
        """
        if isinstance(value, tuple):
            return value
        try:
            return parse_types(value.split(","))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _EventName(click.ParamType[Any]):
    """
    The id of an event.
    """

    name = "event"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """
        Read *value*, or fail as wrong usage.
        """
        try:
            return value if isinstance(value, int) else parse_event_name(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


TYPES = _Types()
"""Types of events, with commas, or all of them."""

EVENT_NAME = _EventName()
"""The id of an event."""

_BATCH = click.IntRange(1, LARGEST_BATCH)
_OF_BATCH = "So many events are sent in one request at most."
_WAIT = Duration(timedelta(), timedelta(seconds=LONGEST_WAIT))
_OF_WAIT = "So long a batch that is not full waits for more, like 5s."

_ID = click.argument("webhook_id", type=ROW, metavar="ID")


@click.group("webhook")
def group() -> None:
    """
    Webhooks: events are sent to a tenant's address, signed, until they arrive.
    """


@group.command("add")
@click.argument("url", type=Checked("url", check_url))
@click.option("--tenant", type=TENANT, default="default", show_default=True, help="Whose.")
@click.option("--types", type=TYPES, default="all", show_default=True, help="With commas.")
@click.option(
    "--format",
    "form",
    type=click.Choice([each.value for each in Format]),
    default=Format.CLOUDEVENTS.value,
    show_default=True,
    help="How events are written; ali is that of an older service.",
)
@click.option("--batch", type=_BATCH, default=1, show_default=True, help=_OF_BATCH)
@click.option("--batch-wait", type=_WAIT, default="0s", show_default=True, help=_OF_WAIT)
@click.option("--full", is_flag=True, help="Send real numbers in full. It is on record.")
@click.option("--reason", metavar="TEXT", help="Why they are sent in full.")
@json_option
def add(
    url: str,
    tenant: str,
    types: tuple[EventType, ...],
    form: str,
    *,
    batch: int,
    batch_wait: timedelta,
    full: bool,
    reason: str | None,
    as_json: bool,
) -> None:
    r"""
    Send events of a tenant to URL from now on. The secret that signs them is shown this once.

    \b
    Example:
      agi-router webhook add https://shop.example/hooks --tenant shop --types call.ended
    """
    if reason is not None and not full:
        raise click.UsageError("--reason goes with --full")
    numbers = Numbers.FULL if full else Numbers.MASKED
    batches: Any = {"batch": batch, "batch_wait": batch_wait}
    check_webhook(url, types, Format(form), numbers, **batches)
    with open_events(read_settings()) as (store, queries):
        _record(queries, url, reason, full=full)
        webhook, secret = store.add(
            tenant, url, types, form=Format(form), numbers=numbers, **batches
        )
    (echo_json if as_json else _echo)({**describe_webhook(webhook), "secret": secret})


@group.command("list")
@click.option("--tenant", type=TENANT, help="Only those of this tenant.")
@json_option
def list_(tenant: str | None, *, as_json: bool) -> None:
    r"""
    List webhooks, with how many deliveries each is owed, and how many are held.

    \b
    Example:
      agi-router webhook list
    """
    with open_events(read_settings()) as (store, _):
        rows = [describe_webhook(webhook, debts) for webhook, debts in store.webhooks(tenant)]
    if as_json:
        echo_json(rows)
        return
    echo_table(
        ("id", "tenant", "url", "state", "failures", "owed", "held"),
        [
            (r["id"], r["tenant"], r["url"], r["state"], r["failures"], r["owed"], r["held"])
            for r in rows
        ],
        empty="no webhooks",
    )


@group.command("show")
@_ID
@click.option("--limit", type=COUNT, default=20, show_default=True, help="At most so many.")
@json_option
def show(webhook_id: int, limit: int, *, as_json: bool) -> None:
    r"""
    Show a webhook and the last tries to deliver to it.

    \b
    Example:
      agi-router webhook show 3
    """
    with open_events(read_settings()) as (store, _):
        described = describe_webhook(store.find(webhook_id))
        tries = [describe_attempt(row) for row in store.attempts(webhook_id, limit=limit)]
    if as_json:
        echo_json({**described, "deliveries": tries})
        return
    _echo(described)
    echo_table(
        ("at", "event", "try", "status", "ms", "why"),
        [(r["at"], r["event"], r["try"], r["status"], r["ms"], r["why"]) for r in tries],
        empty="nothing was sent of late",
    )


@group.command("change")
@_ID
@click.option("--url", type=Checked("url", check_url), help="Send events there.")
@click.option("--types", type=TYPES, help="Send these, with commas.")
@click.option(
    "--format",
    "form",
    type=click.Choice([each.value for each in Format]),
    help="How events are written.",
)
@click.option("--batch", type=_BATCH, help=_OF_BATCH)
@click.option("--batch-wait", type=_WAIT, help=_OF_WAIT)
@click.option("--full/--masked", "full", default=None, help="How real numbers are sent.")
@click.option("--reason", metavar="TEXT", help="Why they are sent in full.")
@json_option
def change(
    webhook_id: int,
    url: str | None,
    types: tuple[EventType, ...] | None,
    form: str | None,
    *,
    batch: int | None,
    batch_wait: timedelta | None,
    full: bool | None,
    reason: str | None,
    as_json: bool,
) -> None:
    r"""
    Change a webhook; what is left out stays as it is.

    \b
    Example:
      agi-router webhook change 3 --url https://shop.example/hooks --types call.ended
    """
    if (url, types, form, batch, batch_wait, full) == (None,) * 6:
        raise click.UsageError(
            "say --url, --types, --format, --batch, --batch-wait, --full or --masked"
        )
    with open_events(read_settings()) as (store, queries):
        found = store.find(webhook_id)
        numbers = found.numbers if full is None else (Numbers.FULL if full else Numbers.MASKED)
        if reason is not None and numbers is not Numbers.FULL:
            raise click.UsageError("--reason goes with real numbers in full")
        _record(queries, url or found.url, reason, full=numbers is Numbers.FULL)
        changed = store.change(
            webhook_id,
            url=url,
            types=types,
            form=None if form is None else Format(form),
            numbers=numbers,
            batch=batch,
            batch_wait=batch_wait,
            version=found.version,
        )
    (echo_json if as_json else _echo)(describe_webhook(changed))


@group.command("pause")
@_ID
@json_option
def pause(webhook_id: int, *, as_json: bool) -> None:
    r"""
    Send nothing to a webhook. What it is owed is kept.

    \b
    Example:
      agi-router webhook pause 3
    """
    with open_events(read_settings(), act=f"webhook {webhook_id}") as (store, _):
        described = describe_webhook(store.pause(webhook_id))
    (echo_json if as_json else _echo)(described)


@group.command("resume")
@_ID
@json_option
def resume(webhook_id: int, *, as_json: bool) -> None:
    r"""
    Send to a webhook again that was paused, has failed or was gone; what it was owed too.

    \b
    Example:
      agi-router webhook resume 3
    """
    with open_events(read_settings(), act=f"webhook {webhook_id}") as (store, _):
        described = describe_webhook(store.resume(webhook_id))
    (echo_json if as_json else _echo)(described)


@group.command("test")
@_ID
@json_option
def test(webhook_id: int, *, as_json: bool) -> None:
    r"""
    Send a webhook an event that is of nothing; "webhook show" tells what became of it.

    \b
    Example:
      agi-router webhook test 3
    """
    with open_events(read_settings(), act=f"webhook {webhook_id}") as (store, _):
        name = event_name(store.test(webhook_id))
    (echo_json if as_json else echo_pairs)({"event": name})


@group.command("resend")
@_ID
@click.option("--event", type=EVENT_NAME, metavar="EVENT", help="This one.")
@click.option("--since", type=SINCE, help="Those since a time, or how long ago.")
@click.option("--until", type=TIME, help="Those until a time.")
@json_option
def resend(
    webhook_id: int,
    event: int | None,
    since: datetime | None,
    until: datetime | None,
    *,
    as_json: bool,
) -> None:
    r"""
    Send a webhook events again, under the ids they had.

    \b
    Example:
      agi-router webhook resend 3 --since 2h
    """
    if (event is None) == (since is None) or (until is not None and since is None):
        raise click.UsageError("say --event, or --since and perhaps --until")
    with open_events(read_settings(), act=f"webhook {webhook_id}") as (store, _):
        count = store.resend(webhook_id, event_id=event, since=since, until=until)
    (echo_json if as_json else echo_pairs)({"owed": count})


@group.command("rotate-secret")
@_ID
@click.option(
    "--overlap",
    type=SPAN,
    default="1d",
    show_default=True,
    help="How long events are signed with the old secret too.",
)
@json_option
def rotate_secret(webhook_id: int, overlap: timedelta, *, as_json: bool) -> None:
    r"""
    Give a webhook a new secret, and show it this once.

    \b
    Example:
      agi-router webhook rotate-secret 3
    """
    with open_events(read_settings(), act=f"webhook {webhook_id}") as (store, _):
        secret = store.rotate_secret(webhook_id, overlap=overlap)
    (echo_json if as_json else echo_pairs)({"secret": secret})


@group.command("remove")
@_ID
@json_option
def remove(webhook_id: int, *, as_json: bool) -> None:
    r"""
    Remove a webhook, with what it is owed. Its events stay, for others and to be pulled.

    \b
    Example:
      agi-router webhook remove 3
    """
    with open_events(read_settings(), act=f"webhook {webhook_id}") as (store, _):
        store.remove(webhook_id)
    (echo_json if as_json else echo_pairs)({"removed": str(webhook_id)})


def _record(queries: Queries, url: str, reason: str | None, *, full: bool) -> None:
    """
    Write down what a webhook is sent from now on.
    """
    what = "numbers in full" if full else "events"
    record_act(queries, f"{what} to {address_on_record(url)}", reason=reason)


def _echo(described: dict[str, Any]) -> None:
    echo_pairs({**described, "types": ", ".join(described["types"])})

"""
``agi-router messages`` and ``message``: what became of texts, and one by hand.
"""

import asyncio
import secrets
from datetime import datetime
from typing import NoReturn

import click

from agi_router.bindings.names import BindingNames
from agi_router.bindings.reasons import Reason
from agi_router.calls.decision import Refusal
from agi_router.cli.acts import record_act
from agi_router.cli.arguments import NUMBER, SINCE, scope_option
from agi_router.cli.context import open_serving_database, read_settings
from agi_router.cli.output import echo, echo_json, echo_pairs, echo_table, json_option
from agi_router.cli.stores import find_scope
from agi_router.db.connection import Queries
from agi_router.errors import StoreUnavailable
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.messages.decision import screen_text
from agi_router.messages.model import MessageState, Text
from agi_router.messages.records import MessageRecords
from agi_router.messages.taking import Accepted
from agi_router.messages.views import describe_message
from agi_router.service.text_place import open_place
from agi_router.settings import Settings

__all__ = ["group", "messages"]

_TIMEOUT = 10.0


@click.command()
@click.option(
    "--since", type=SINCE, default="24h", show_default=True, help="A time, or how long ago."
)
@click.option("--until", type=SINCE, help="Only those before a time, or so long ago.")
@click.option("--binding", metavar="ID|700…", help="Only those that used one binding.")
@click.option(
    "--state",
    type=click.Choice([each.value for each in MessageState]),
    help="Only those in one state.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many."
)
@scope_option
@json_option
def messages(  # noqa: PLR0917 - options, not arguments
    since: datetime,
    until: datetime | None,
    binding: str | None,
    state: str | None,
    limit: int,
    tenant: str | None,
    *,
    as_json: bool,
) -> None:
    r"""
    List texts that were accepted, newest first; never what they say.

    \b
    Examples:
      agi-router messages --since 1h
      agi-router messages --state queued
    """
    with open_serving_database(read_settings()) as connection:
        scope = find_scope(connection, tenant)
        names = BindingNames(Queries(connection), scope)
        found = MessageRecords(connection, scope).messages(
            since=since,
            until=until,
            binding=None if binding is None else names.find(binding, over=True),
            state=None if state is None else MessageState(state),
            limit=limit,
        )
    rows = list(map(describe_message, found))
    if as_json:
        echo_json(rows)
        return
    echo_table(
        ("received", "x", "binding", "side", "state", "why", "tries", "text"),
        [
            (
                r["received_at"],
                r["x"],
                r["binding"],
                r["side"],
                r["state"],
                r["reason"],
                r["attempts"],
                r["id"],
            )
            for r in rows
        ],
        empty="no texts",
    )


@click.group("message")
def group() -> None:
    """
    Look at one text, release it, discard it, or send one.
    """


@group.command()
@click.argument("name", metavar="ID")
@scope_option
@json_option
def show(name: str, tenant: str | None, *, as_json: bool) -> None:
    r"""
    Show what has become of a text; never what it says.

    \b
    Example:
      agi-router message show 70012345678-1790000000.123
    """
    with open_serving_database(read_settings()) as connection:
        row = MessageRecords(connection, find_scope(connection, tenant)).find(name)
    (echo_json if as_json else echo_pairs)(describe_message(row))


@group.command()
@click.argument("name", metavar="ID")
@scope_option
@json_option
def release(name: str, tenant: str | None, *, as_json: bool) -> None:
    r"""
    Let a text go that is held: it is sent at once.

    \b
    Example:
      agi-router message release 70012345678-1790000000.123
    """
    with open_serving_database(read_settings(), act=f"text {name}") as connection:
        row = MessageRecords(connection, find_scope(connection, tenant)).release(name)
    (echo_json if as_json else echo_pairs)(describe_message(row))


@group.command()
@click.argument("name", metavar="ID")
@scope_option
@json_option
def discard(name: str, tenant: str | None, *, as_json: bool) -> None:
    r"""
    End a text that is not sent yet: what it says is deleted, and its use comes back.

    \b
    Example:
      agi-router message discard 70012345678-1790000000.123
    """
    with open_serving_database(read_settings(), act=f"text {name}") as connection:
        row = MessageRecords(connection, find_scope(connection, tenant)).discard(name)
    (echo_json if as_json else echo_pairs)(describe_message(row))


@group.command()
@click.option(
    "--from", "sender", required=True, type=NUMBER, metavar="NUM", help="Who sends it: a party."
)
@click.option("--to", required=True, metavar="700…", help="The number it is sent to.")
@click.option(
    "--text", required=True, type=NUMBER, help="What it says; -: the next line of standard input."
)
@click.option(
    "--link", default="sip", show_default=True, help="The door by which it goes: sip, or a link."
)
@json_option
def send(sender: str, to: str, text: str, link: str, *, as_json: bool) -> None:
    r"""
    Send a text as if *--from* had: it is judged, counted, stored, and sent by the door.

    \b
    Example:
      agi-router message send --from - --to 700123456780001 --text -
    """
    settings = read_settings()
    screened = screen_text(sender=sender, to=to, body=text, fixed_lines=settings.fixed_lines)
    if isinstance(screened, Refusal):
        _refuse(screened.reason)
    keys = settings.load_keys()
    with open_serving_database(settings) as connection:
        ring = check_keys(connection, keys)
        record_act(Queries(connection), f"a text to {screened.x_number}")
    taken = asyncio.run(_send(settings, ring, screened, link))
    if isinstance(taken, Reason):
        _refuse(taken)
    if as_json:
        echo_json({"id": taken.id})
    else:
        echo(f"accepted: {taken.id}")


async def _send(settings: Settings, keys: KeyRing, text: Text, link: str) -> Accepted | Reason:
    """
    Take a text as the door does.

    Raises:
        StoreUnavailable: It is not known whether it was stored, or it was not.
    """
    async with open_place(settings, keys) as place:
        # Each is a request of its own.
        taken = await place.take(text, secrets.token_bytes(32), link=link, timeout=_TIMEOUT)
    if isinstance(taken, Accepted | Reason):
        return taken
    raise StoreUnavailable


class _Refused(click.ClickException):
    """
    A rule says no: as whatever else does not fit to what is there.
    """

    exit_code = 73


def _refuse(reason: Reason) -> NoReturn:
    raise _Refused(f"the text is refused: {reason.value}")

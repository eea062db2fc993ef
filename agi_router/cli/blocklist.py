"""
``agi-router blocklist``: who is kept from whom.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import click

from agi_router.cli.acts import record_act
from agi_router.cli.arguments import NUMBER, SPAN, TENANT, TIME, Checked, scope_option
from agi_router.cli.context import read_settings
from agi_router.cli.damage import damaged_among, echo_rows, fail_if_damaged
from agi_router.cli.locks import here
from agi_router.cli.output import echo_json, echo_pairs, echo_table, json_option
from agi_router.cli.stores import open_store
from agi_router.db.connection import Queries
from agi_router.numbers import PhoneNumber
from agi_router.persons.blocklist import BlocklistEntry, Pairing, parse_entry_id
from agi_router.persons.effects import BlockDirection
from agi_router.persons.views import describe_entry
from agi_router.records.audit import check_note

__all__ = ["group"]

_DAMAGED = (
    "entries of block lists are damaged: see 'agi-router blocklist show' why; remove these and add"
    " them anew, or restore them from a backup"
)
_COLUMNS = ("id", "person", "other", "for", "direction", "state", "until")
_ENTRY = Checked("id", parse_entry_id)


@click.group("blocklist")
def group() -> None:
    """
    Block lists: which persons are not to reach which others.
    """


@group.command("add")
@click.option("--person", required=True, type=NUMBER, metavar="NUM", help="Whose entry it is; -.")
@click.option("--other", type=NUMBER, metavar="NUM", help="From whom; from anybody if absent; -.")
@click.option("--tenant", type=TENANT, metavar="NAME", help="In this tenant's bindings alone.")
@click.option(
    "--direction",
    type=click.Choice([each.value for each in BlockDirection]),
    default=BlockDirection.BOTH.value,
    show_default=True,
    help="out: what the person asks of the other; in: the other way.",
)
@click.option("--until", "ends_at", type=TIME, help="Until when; until it is removed if absent.")
@click.option("--for", "span", type=SPAN, help="For how long from now, instead of --until.")
@click.option("--note", type=Checked("text", check_note), help="Why, for people.")
@json_option
def add(  # noqa: PLR0917 - options
    person: str,
    other: str | None,
    tenant: str | None,
    direction: str,
    ends_at: datetime | None,
    span: timedelta | None,
    note: str | None,
    *,
    as_json: bool,
) -> None:
    r"""
    Keep a person from another one, or from anybody: their calls and texts are refused.

    Nothing that is bound ends by it, and calls that are up go on.

    \b
    Examples:
      agi-router blocklist add --person - --other - --direction out
      agi-router blocklist add --person - --tenant couriers --for 7d --note "asked for it"
    """
    if span is not None and ends_at is not None:
        raise click.UsageError("give --for or --until, and not both")
    settings = read_settings()
    pairing = Pairing(
        person=PhoneNumber.parse(person, fixed_lines=settings.fixed_lines),
        other=None
        if other is None
        else PhoneNumber.parse(other, fixed_lines=settings.fixed_lines),
        tenant=tenant,
    )
    with open_store(settings) as store, store.connection.transaction():
        made = store.blocklist.add(
            pairing,
            by=here(),
            direction=BlockDirection(direction),
            note=note,
            ends_at=ends_at if span is None else store.now() + span,
        )
        tag = store.keys.tag(pairing.person)
        record_act(Queries(store.connection), f"blocklist entry {made.id}", tag=tag)
    _echo(made, as_json=as_json)


@group.command("list")
@click.option("--all", "everything", is_flag=True, help="Those that are over, too.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many."
)
@scope_option
@json_option
def list_(limit: int, tenant: str | None, *, everything: bool, as_json: bool) -> None:
    r"""
    List entries, newest first. Those that are damaged are listed too, and end it with 70.

    \b
    Example:
      agi-router blocklist list
    """
    with open_store(read_settings(), tenant=tenant) as store:
        entries = store.blocklist.all(everything=everything, limit=limit)
    _echo_list(entries, as_json=as_json)


@group.command("show")
@click.argument("entry_id", type=_ENTRY, metavar="[ID]", required=False)
@click.option("--person", type=NUMBER, metavar="NUM", help="All that this number is on instead.")
@click.option("--all", "everything", is_flag=True, help="Of a person, those that are over, too.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many."
)
@scope_option
@json_option
def show(
    entry_id: int | None,
    person: str | None,
    limit: int,
    tenant: str | None,
    *,
    everything: bool,
    as_json: bool,
) -> None:
    r"""
    Show an entry, or all that a person is on, on either side.

    Of a person those are shown too that are damaged, and may be of it.

    \b
    Examples:
      agi-router blocklist show 18
      agi-router blocklist show --person -
    """
    if (entry_id is None) is (person is None):
        raise click.UsageError("give an id or --person, and not both")
    settings = read_settings()
    with open_store(settings, tenant=tenant) as store:
        if entry_id is not None:
            _echo(store.blocklist.find(entry_id), as_json=as_json)
            return
        number = PhoneNumber.parse(person or "", fixed_lines=settings.fixed_lines)
        tag = store.keys.tag(number)
        subject = "the block list entries of a person"
        record_act(Queries(store.connection), subject, tag=tag)
        entries = store.blocklist.of_person(number, everything=everything, limit=limit)
    _echo_list(entries, as_json=as_json)


@group.command("remove")
@click.argument("entry_id", type=_ENTRY, metavar="ID")
@json_option
def remove(entry_id: int, *, as_json: bool) -> None:
    r"""
    Remove an entry now.

    \b
    Example:
      agi-router blocklist remove 18
    """
    with open_store(read_settings()) as store, store.connection.transaction():
        removed = store.blocklist.remove(entry_id, by=here())
        record_act(Queries(store.connection), f"blocklist entry {removed.id}")
    _echo(removed, as_json=as_json)


def _echo(entry: BlocklistEntry, *, as_json: bool) -> None:
    row = describe_entry(entry)
    (echo_json if as_json else echo_pairs)(row)
    fail_if_damaged(damaged_among([row]), _DAMAGED)


def _echo_list(entries: Sequence[BlocklistEntry], *, as_json: bool) -> None:
    rows = list(map(describe_entry, entries))
    echo_rows(rows, _echo_table, _DAMAGED, as_json=as_json)


def _echo_table(rows: Sequence[dict[str, Any]]) -> None:
    echo_table(
        _COLUMNS,
        [
            (
                row["id"],
                "damaged" if row["damage"] else row["person"],
                None if row["damage"] else row["other"] or "anybody",
                row["tenant"] or "all",
                row["direction"],
                row["state"],
                row["over_at"] or row["ends_at"] or "removed",
            )
            for row in rows
        ],
        empty="no entries",
    )

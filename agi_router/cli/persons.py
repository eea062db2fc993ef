"""
``agi-router person``: what is known of persons.
"""

from datetime import datetime
from typing import Any

import click

from agi_router.cli.acts import acting, record_act
from agi_router.cli.arguments import NUMBER, TENANT, TIME, Checked, scope_option
from agi_router.cli.context import read_settings
from agi_router.cli.damage import echo_rows, with_damage
from agi_router.cli.locks import here
from agi_router.cli.output import echo_json, echo_pairs, echo_table, json_option
from agi_router.cli.stores import open_store
from agi_router.db.connection import Queries
from agi_router.numbers import PhoneNumber
from agi_router.persons.real_name_store import RealNameStore
from agi_router.persons.real_name_views import describe_real_name, describe_status
from agi_router.persons.real_names import RealName, check_source

__all__ = [
    "group",
    "real_name",
]

_DAMAGED = (
    "line(s) are damaged: whose they are cannot be read until the table of persons is restored"
    " from a backup"
)
_SUBJECT = "the real name of a person"
_COLUMNS = ("id", "person", "tenant", "status", "source", "checked_at")
_PERSON = click.option(
    "--person",
    required=True,
    type=NUMBER,
    metavar="NUM",
    help="Who: a real number; - for a line of standard input.",
)
_STATUS = click.Choice([each.value for each in RealName])


@click.group("person")
def group() -> None:
    """
    What is known of persons; their locks, consent and block lists are commands of their own.
    """


@group.group("real-name")
def real_name() -> None:
    """
    Whether a person is known by its real name: the result of a check, never a name or a paper.
    """


@real_name.command("set")
@_PERSON
@click.option("--status", required=True, type=_STATUS, help="What was found.")
@click.option(
    "--source", required=True, type=Checked("text", check_source), help="Who has checked."
)
@click.option("--at", type=TIME, help="When that was; now if absent.")
@click.option(
    "--tenant", type=TENANT, metavar="NAME", help="For this tenant alone; for all if absent."
)
@json_option
def set_(
    person: str,
    status: str,
    source: str,
    at: datetime | None,
    tenant: str | None,
    *,
    as_json: bool,
) -> None:
    r"""
    Write down whether a person is known by its real name.

    \b
    Example:
      agi-router person real-name set --person - --status yes --source carrier
    """
    settings = read_settings()
    number = PhoneNumber.parse(person, fixed_lines=settings.fixed_lines)
    with open_store(settings) as store, acting(store.connection, _SUBJECT) as act:
        act.tag = store.keys.tag(number)
        names = RealNameStore(Queries(store.connection), store.keys)
        line = names.write(
            number, RealName(status), source=source, by=here(), tenant=tenant, checked_at=at
        )
        act.subject += f": line {line.id}"
    (echo_json if as_json else echo_pairs)(describe_real_name(line))


@real_name.command("show")
@_PERSON
@scope_option
@json_option
def show(person: str, tenant: str | None, *, as_json: bool) -> None:
    r"""
    Show whether a person is known by its real name, and what was written down of it.

    \b
    Example:
      agi-router person real-name show --person - --tenant couriers
    """
    settings = read_settings()
    with open_store(settings, tenant=tenant) as store:
        queries = Queries(store.connection)
        number = PhoneNumber.parse(person, fixed_lines=settings.fixed_lines)
        record_act(queries, _SUBJECT, tag=store.keys.tag(number))
        names = RealNameStore(queries, store.keys, store.scope)
        found = describe_status(names.status(number))
        lines = [describe_real_name(each) for each in names.all(person=number, limit=1000)]
    if as_json:
        echo_json({**found, "real_names": lines})
        return
    echo_pairs(found)
    _echo_list(lines)


@real_name.command("list")
@click.option("--status", type=_STATUS, help="That say so.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many."
)
@scope_option
@json_option
def list_(status: str | None, limit: int, tenant: str | None, *, as_json: bool) -> None:
    r"""
    List what was written down, newest first. What is damaged is listed too, and ends it with 70.

    \b
    Example:
      agi-router person real-name list --status no
    """
    with open_store(read_settings(), tenant=tenant) as store:
        names = RealNameStore(Queries(store.connection), store.keys, store.scope)
        found = names.all(status=None if status is None else RealName(status), limit=limit)
    lines = [describe_real_name(each) for each in found]
    echo_rows(lines, _echo_list, _DAMAGED, as_json=as_json)


def _echo_list(rows: list[dict[str, Any]]) -> None:
    echo_table(_COLUMNS, with_damage(rows, "person", _COLUMNS), empty="no lines")

"""
``agi-router complaint``: complaints about calls, and how many are too many.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any, BinaryIO

import click

from agi_router.bulk.complaints import ComplaintImporter
from agi_router.cli.acts import record_act
from agi_router.cli.arguments import TENANT, TIME, Checked, scope_option
from agi_router.cli.context import read_settings
from agi_router.cli.exit_codes import exit_code
from agi_router.cli.locks import here
from agi_router.cli.output import echo, echo_json, echo_pairs, echo_table, json_option
from agi_router.cli.stores import open_store
from agi_router.cli.tally import echo_tally
from agi_router.db.connection import Queries
from agi_router.errors import CsvError
from agi_router.numbers import XNumber
from agi_router.persons.complaint_store import ComplaintStore
from agi_router.persons.complaint_views import describe_complaint, describe_count
from agi_router.persons.complaints import (
    ComplaintKind,
    check_complaint_reference,
    check_complaint_source,
)
from agi_router.persons.effects import Subject
from agi_router.persons.locks import LockedThing, parse_lock_id
from agi_router.records.audit import check_note

__all__ = ["group"]

_COLUMNS = ("id", "x", "tenant", "kind", "at", "source", "reference", "dismissed_at")
_ID = Checked("id", partial(parse_lock_id, what="a complaint's", listed="complaint list"))
_NOTE = Checked("text", check_note)


@click.group("complaint")
def group() -> None:
    """
    Complaints about calls; a number or tenant with too many is stopped.
    """


@group.command("file")
@click.option("--x", required=True, metavar="700…", help="The 700 number that was shown.")
@click.option("--at", required=True, type=TIME, help="When the call was.")
@click.option(
    "--kind",
    required=True,
    type=click.Choice([each.value for each in ComplaintKind]),
    help="What.",
)
@click.option(
    "--source",
    required=True,
    type=Checked("text", check_complaint_source),
    help="Who passes it on.",
)
@click.option(
    "--reference",
    required=True,
    type=Checked("text", check_complaint_reference),
    help="What it is known by there: one that comes twice is one.",
)
@click.option(
    "--tenant", type=TENANT, metavar="NAME", help="Whose call it was; found out if absent."
)
@click.option("--note", type=_NOTE, help="What else is said; nothing of who has complained.")
@json_option
def file(  # noqa: PLR0917 - options
    x: str,
    at: datetime,
    kind: str,
    source: str,
    reference: str,
    tenant: str | None,
    note: str | None,
    *,
    as_json: bool,
) -> None:
    r"""
    Write a complaint down; with too many its tenant, or its number, is locked for misuse.

    \b
    Example:
      agi-router complaint file --x 700… --at 2026-03-01T10:00+08:00 --kind harassment \
          --source 12321 --reference C-77
    """
    number = XNumber.parse(x)
    with _opened(None) as (complaints, queries), queries.transaction():
        made = complaints.file(
            number,
            ComplaintKind(kind),
            at=at,
            source=source,
            reference=reference,
            by=here(),
            tenant=tenant,
            note=note,
        )
        record_act(queries, f"complaint {made.id}")
    (echo_json if as_json else echo_pairs)(describe_complaint(made))


@group.command("import")
@click.argument("file", type=click.File("rb"))
@click.option(
    "--source",
    type=Checked("text", check_complaint_source),
    help="Who passes on what names no other source.",
)
@json_option
@click.pass_context
def import_(context: click.Context, file: BinaryIO, source: str | None, *, as_json: bool) -> None:
    r"""
    Write down complaints from FILE ("-": standard input).

    FILE is CSV with the columns x, at, kind and reference, and perhaps source, tenant and note.
    What is there is left out, so a file may be imported again, and goes on where it was killed.
    Exits with 65 if a row is not written; which, and why, is told by its line.

    \b
    Example:
      agi-router complaint import complaints.csv --source 12321
    """
    code = 0
    with _opened(None) as (complaints, queries):
        record_act(queries, "complaints from a file")
        now = queries.row("now", {})
        assert now is not None  # noqa: S101 - a SELECT without FROM has one row
        importer = ComplaintImporter(
            complaints, by=here(), now=now["clock_timestamp"], source=source
        )
        try:
            importer.run(file)
        except CsvError as error:
            # What was written is told all the same.
            echo(f"agi-router: {error}", err=True)
            code = exit_code(error)
    context.exit(echo_tally(importer.tally, as_json=as_json) or code)


@group.command("dismiss")
@click.argument("complaint_id", type=_ID, metavar="ID")
@click.option("--note", type=_NOTE, help="Why.")
@json_option
def dismiss(complaint_id: int, note: str | None, *, as_json: bool) -> None:
    r"""
    Have a complaint count no longer; what it has stopped stays so until its lock is lifted.

    \b
    Example:
      agi-router complaint dismiss 5 --note "another number was meant"
    """
    with _opened(None) as (complaints, queries), queries.transaction():
        found = complaints.dismiss(complaint_id, by=here(), note=note)
        record_act(queries, f"complaint {found.id}", reason=note)
    (echo_json if as_json else echo_pairs)(describe_complaint(found))


@group.command("list")
@click.option("--x", metavar="700…", help="About this number.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many."
)
@scope_option
@json_option
def list_(x: str | None, limit: int, tenant: str | None, *, as_json: bool) -> None:
    r"""
    List complaints, newest first.

    \b
    Example:
      agi-router complaint list --tenant couriers
    """
    number = None if x is None else XNumber.parse(x)
    with _opened(tenant) as (complaints, _):
        found = [describe_complaint(each) for each in complaints.all(x_number=number, limit=limit)]
    if as_json:
        echo_json(found)
        return
    rows = [tuple(row[name] for name in _COLUMNS) for row in found]
    echo_table(_COLUMNS, rows, empty="no complaints")


@group.command("count")
@click.option("--x", metavar="700…", help="Of this number.")
@click.option("--of", "whose", type=TENANT, metavar="NAME", help="Of this tenant.")
@json_option
def count(x: str | None, whose: str | None, *, as_json: bool) -> None:
    r"""
    Show how a number or a tenant stands: complaints, calls, and whether these are too many.

    The part of the legal share is 1 where they are all of it; at half of it a thing is stopped.
    Where so many calls are found that the complaints are few, no more of them are counted.

    \b
    Example:
      agi-router complaint count --of couriers
    """
    if (x is None) is (whose is None):
        raise click.UsageError("give --x or --of")
    thing = (
        LockedThing(subject=Subject.TENANT, tenant=whose)
        if x is None
        else LockedThing(subject=Subject.NUMBER, number=XNumber.parse(x))
    )
    with _opened(None) as (complaints, _):
        told: dict[str, Any] = describe_count(complaints.count(thing))
    if as_json:
        echo_json(told)
        return
    if told.pop("more_calls"):
        told["calls"] = f"at least {told['calls']}"
        told["part_of_share"] = f"at most {told['part_of_share']}"
    echo_pairs(told)


@contextmanager
def _opened(tenant: str | None) -> Iterator[tuple[ComplaintStore, Queries]]:
    settings = read_settings()
    with open_store(settings, tenant=tenant) as store:
        queries = Queries(store.connection)
        yield ComplaintStore(queries, store.keys, settings.complaint_limits, store.scope), queries

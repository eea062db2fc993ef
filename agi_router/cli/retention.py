"""
``agi-router retention``: what is kept for how long, what is held, and proofs of what was deleted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click

from agi_router.bindings.words import check_order_id
from agi_router.cli.acts import record_act
from agi_router.cli.arguments import COUNT, NUMBER, ROW, SINCE, TENANT, Checked
from agi_router.cli.context import open_database, read_settings, tell_of_cells
from agi_router.cli.damage import echo_rows
from agi_router.cli.locks import here
from agi_router.cli.output import echo, echo_json, echo_pairs, echo_table, json_option
from agi_router.cli.stores import open_store
from agi_router.db.connection import Queries
from agi_router.db.migrate import check_schema
from agi_router.db.rights import Purpose, check_rights, has_rights
from agi_router.errors import HoldNotFound
from agi_router.maintenance.classes import KINDS
from agi_router.maintenance.deletion import Deletion
from agi_router.maintenance.holds import HeldThing, Hold, HoldStore
from agi_router.maintenance.pace import paced
from agi_router.maintenance.proofs import kept, proofs
from agi_router.maintenance.views import describe_hold, describe_kept, describe_proof
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.records.audit import check_case, check_note

__all__ = ["group"]

_ALL = 1_000_000
_DAMAGED = (
    "hold(s) are damaged: whom they are on cannot be read until the table of persons is restored"
    " from a backup"
)
_CASE = Checked("text", check_case)
_NOTE = Checked("text", check_note)


@click.group("retention")
def group() -> None:
    """
    Retention: what is kept for how long, what is held, and proofs of what was deleted.
    """


@group.command("show")
@json_option
def show(*, as_json: bool) -> None:
    r"""
    Say of each kind how long it is kept, its oldest day, about how many rows, and when that goes.

    \b
    Example:
      agi-router retention show
    """
    with _reading() as queries:
        rows = list(map(describe_kept, kept(queries, read_settings().kept)))
    if as_json:
        echo_json(rows)
        return
    _echo_kept(rows, empty="nothing is kept")


@group.command("run")
@click.option("--dry-run", is_flag=True, help="Say what is due, and delete nothing.")
@click.option(
    "--batch",
    type=click.IntRange(1, 100_000),
    default=500,
    show_default=True,
    help="Rows that a step takes at most.",
)
@json_option
def run(batch: int, *, dry_run: bool, as_json: bool) -> None:
    r"""
    Delete what is past retention, as a role that was granted --for retain.

    A role that serves may not, by "serve" and "sweep" neither; where the schema's owner serves, it
    does so once a day. Calls are not held up. Interrupted, the next run goes on.

    \b
    Examples:
      agi-router retention run --dry-run
      agi-router retention run
    """
    settings = read_settings()
    with open_database(settings) as connection:
        check_schema(connection)
        deletes = not dry_run or has_rights(connection, Purpose.RETAIN)
        check_rights(connection, Purpose.RETAIN if deletes else Purpose.AUDIT)
        queries = Queries(connection)
        if dry_run:
            due = [describe_kept(each) for each in kept(queries, settings.kept) if each.due]
            if as_json:
                echo_json(due)
            else:
                _echo_kept(due, empty="nothing is due")
            return
        record_act(queries, "what is past retention")
        rows = {kind: 0 for kind, rule in KINDS.items() if rule.by_us}
        deletion = Deletion(connection, settings.kept, batch=batch)
        for step in paced(deletion.steps(again=True)):
            rows[step.kind] += step.rows
        tell_of_cells(queries, "deleted")
    if deletion.busy:
        echo("agi-router: another process deletes just now; nothing was done", err=True)
    (echo_json if as_json else echo_pairs)({kind.value: count for kind, count in rows.items()})


@group.command("proofs")
@click.option("--since", type=SINCE, default="366d", show_default=True, help="Deleted since then.")
@click.option("--limit", type=COUNT, default=100, show_default=True, help="At most so many.")
@json_option
def list_proofs(since: datetime, limit: int, *, as_json: bool) -> None:
    r"""
    List what was deleted, the latest first: of which day, how many rows, by which rule, digest.

    The audit has a row of each; see "audit list" and "audit verify".

    \b
    Example:
      agi-router retention proofs --since 30d
    """
    with _reading() as queries:
        rows = [describe_proof(row) for row in proofs(queries, since=since, limit=limit)]
    if as_json:
        echo_json(rows)
        return
    echo_table(
        ("ended", "kind", "day", "rows", "rule", "digest"),
        [
            (
                row["ended_at"],
                row["kind"],
                row["day"] if row["whole_day"] else f"up to {row['day']}",
                row["rows"],
                row["rule"],
                row["digest"],
            )
            for row in rows
        ],
        empty="nothing was deleted",
    )


@group.group("hold")
def _hold() -> None:
    """
    Legal holds: what is not deleted as long as a case needs it.
    """


@_hold.command("add")
@click.option("--case", required=True, type=_CASE, help="The case that it is for.")
@click.option("--reason", required=True, type=_NOTE, help="Why.")
@click.option(
    "--x", "number", type=Checked("number", XNumber.parse), metavar="700…", help="This 700 number."
)
@click.option("--person", type=NUMBER, metavar="NUM", help="A real number; - asks for it.")
@click.option("--order", type=Checked("text", check_order_id), help="The id of an order.")
@click.option("--tenant", type=TENANT, metavar="NAME", help="Whose order alone.")
@json_option
def add(  # noqa: PLR0917 - options
    case: str,
    reason: str,
    number: XNumber | None,
    person: str | None,
    order: str | None,
    tenant: str | None,
    *,
    as_json: bool,
) -> None:
    r"""
    Hold a 700 number, a person or an order: what a trace tells of it is kept from now on.

    \b
    Examples:
      agi-router retention hold add --case P-2026-17 --reason "police request" --person -
      agi-router retention hold add --case P-2026-17 --reason "police request" --x 700…
      agi-router retention hold add --case P-2026-17 --reason claim --order O-1 --tenant couriers
    """
    settings = read_settings()
    try:
        thing = HeldThing(
            number=number,
            person=None
            if person is None
            else PhoneNumber.parse(person, fixed_lines=settings.fixed_lines),
            order=order,
            tenant=tenant,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    with _holds() as (store, queries), queries.transaction():
        made = store.add(thing, case=case, reason=reason, by=here())
        tag = None if thing.person is None else store.keys.tag(thing.person)
        subject = f"hold {made.id} of case {case}"
        record_act(queries, subject, reason=reason, case=case, tag=tag)
    _echo_holds([made], as_json=as_json)


@_hold.command("list")
@click.option("--case", type=_CASE, help="Of this case alone.")
@click.option("--person", type=NUMBER, metavar="NUM", help="On this person: - asks for it.")
@click.option("--all", "everything", is_flag=True, help="Those that were released, too.")
@click.option("--limit", type=COUNT, default=100, show_default=True, help="At most so many.")
@json_option
def list_(
    case: str | None, person: str | None, limit: int, *, everything: bool, as_json: bool
) -> None:
    r"""
    List holds, newest first.

    \b
    Example:
      agi-router retention hold list --case P-2026-17
    """
    settings = read_settings()
    number = (
        None if person is None else PhoneNumber.parse(person, fixed_lines=settings.fixed_lines)
    )
    with _holds() as (store, _):
        found = store.all(case=case, person=number, everything=everything, limit=limit)
    _echo_holds(found, as_json=as_json)


@_hold.command("release")
@click.argument("ids", nargs=-1, type=ROW, metavar="[ID]...")
@click.option("--case", type=_CASE, help="All holds of a case instead.")
@click.option("--note", required=True, type=_NOTE, help="Why.")
@json_option
def release(ids: tuple[int, ...], case: str | None, note: str, *, as_json: bool) -> None:
    r"""
    Release holds: what is past retention goes with the next deletion.

    \b
    Examples:
      agi-router retention hold release 7 --note "case closed"
      agi-router retention hold release --case P-2026-17 --note "case closed"
    """
    if bool(ids) is (case is not None):
        raise click.UsageError("give ids or --case, and not both")
    with _holds() as (store, queries), queries.transaction():
        wanted = ids or [each.id for each in store.all(case=case, limit=_ALL)]
        if not wanted:
            raise HoldNotFound(f"there is no hold of case {case}, or all were released before")
        released = []
        for each in wanted:
            hold = store.release(each, by=here(), note=note)
            released.append(hold)
            record_act(queries, f"hold {each} of case {hold.case}", reason=note, case=hold.case)
    _echo_holds(released, as_json=as_json)


@contextmanager
def _reading() -> Iterator[Queries]:
    """
    The database for those who only look: an auditor's role may, too.
    """
    with open_database(read_settings()) as connection:
        check_schema(connection)
        check_rights(connection, Purpose.AUDIT)
        yield Queries(connection)


@contextmanager
def _holds() -> Iterator[tuple[HoldStore, Queries]]:
    with open_store(read_settings()) as store:
        queries = Queries(store.connection)
        yield HoldStore(queries, store.keys), queries


def _echo_kept(rows: list[dict[str, Any]], *, empty: str) -> None:
    columns = ("kind", "class", "days", "since", "oldest", "rows", "next_on", "deleted_by")
    echo_table(
        [each.replace("_", " ") for each in columns],
        [[row[each] for each in columns] for row in rows],
        empty=empty,
    )


def _echo_holds(holds: list[Hold], *, as_json: bool) -> None:
    rows = list(map(describe_hold, holds))
    echo_rows(rows, _echo_hold_table, _DAMAGED, as_json=as_json)


def _echo_hold_table(rows: list[dict[str, Any]]) -> None:
    echo_table(
        ("id", "case", "on", "reason", "set by", "set", "released by"),
        [
            (
                row["id"],
                row["case"],
                "damaged" if row["damage"] else row["x"] or row["person"] or row["order"],
                row["reason"],
                row["set_by"],
                row["set_at"],
                row["released_by"],
            )
            for row in rows
        ],
        empty="no holds",
    )

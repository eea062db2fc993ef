"""
``agi-router appeal``: objections to locks, from their filing to their end.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import click

from agi_router.cli.acts import record_act
from agi_router.cli.arguments import NUMBER, Checked, scope_option
from agi_router.cli.bindings import echo_binding
from agi_router.cli.context import read_settings
from agi_router.cli.damage import damaged_among, echo_rows, fail_if_damaged
from agi_router.cli.locks import here
from agi_router.cli.output import echo_json, echo_pairs, echo_table, json_option
from agi_router.cli.stores import open_store
from agi_router.db.connection import Queries
from agi_router.numbers import PhoneNumber
from agi_router.persons.appeal_states import AppealState
from agi_router.persons.appeal_store import AppealStore
from agi_router.persons.appeal_views import describe_appeal
from agi_router.persons.appeals import (
    Appeal,
    AppealStep,
    Evidence,
    EvidenceKind,
    check_digest,
    check_reference,
)
from agi_router.persons.locks import parse_lock_id
from agi_router.records.audit import check_note

__all__ = ["group"]

_DAMAGED = (
    "appeal(s) are against damaged locks: see 'agi-router appeal show' why; lift these locks, or"
    " restore them from a backup"
)
_COLUMNS = ("id", "lock", "reason", "state", "missing", "due")
_ID = Checked("id", partial(parse_lock_id, what="an appeal's", listed="appeal list"))
_LOCK = Checked("id", parse_lock_id)
_NOTE = Checked("text", check_note)


@click.group("appeal")
def group() -> None:
    """
    Appeals against locks.
    """


@group.command("file")
@click.option("--lock", "lock_id", type=_LOCK, required=True, metavar="ID", help="The lock.")
@click.option("--note", type=_NOTE, help="What the person says.")
@scope_option
@json_option
def file(lock_id: int, note: str | None, tenant: str | None, *, as_json: bool) -> None:
    r"""
    File an appeal against a lock; it shows which evidence is missing, and until when.

    \b
    Example:
      agi-router appeal file --lock 17 --note "it was not me"
    """
    with _opened(tenant) as (appeals, queries), queries.transaction():
        made = appeals.file(lock_id, by=here(), note=note)
        record_act(queries, f"appeal {made.id}", reason=note)
    _echo(made, as_json=as_json)


@group.command("evidence")
@click.argument("appeal_id", type=_ID, metavar="ID")
@click.option(
    "--kind", required=True, type=click.Choice([each.value for each in EvidenceKind]), help="What."
)
@click.option(
    "--reference",
    required=True,
    type=Checked("text", check_reference),
    help="Where the paper lies; it never comes here.",
)
@click.option(
    "--digest",
    required=True,
    type=Checked("digest", check_digest),
    metavar="HEX",
    help="SHA-256 of what lies there.",
)
@scope_option
@json_option
def evidence(
    appeal_id: int, kind: str, reference: str, digest: str, tenant: str | None, *, as_json: bool
) -> None:
    r"""
    Back an appeal with one more piece of evidence. With the last one it is complete.

    \b
    Example:
      agi-router appeal evidence 3 --kind payment_record --reference ticket-77 \
          --digest 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    """
    piece = Evidence(kind=EvidenceKind(kind), reference=reference, digest=digest)
    with _opened(tenant) as (appeals, queries), queries.transaction():
        found = appeals.add_evidence(appeal_id, piece, by=here())
        record_act(queries, f"appeal {found.id}")
    _echo(found, as_json=as_json)


@group.command("review")
@click.argument("appeal_id", type=_ID, metavar="ID")
@scope_option
@json_option
def review(appeal_id: int, tenant: str | None, *, as_json: bool) -> None:
    r"""
    Begin to review an appeal. Not for whoever has set the lock.

    \b
    Example:
      agi-router appeal review 3
    """
    _take(appeal_id, AppealStep.REVIEW, None, tenant, as_json=as_json)


@group.command("decide")
@click.argument("appeal_id", type=_ID, metavar="ID")
@click.option("--lift", is_flag=True, help="The lock is lifted.")
@click.option("--uphold", is_flag=True, help="The lock stays.")
@click.option("--note", type=_NOTE, help="Why.")
@scope_option
@json_option
def decide(
    appeal_id: int,
    note: str | None,
    tenant: str | None,
    *,
    lift: bool,
    uphold: bool,
    as_json: bool,
) -> None:
    r"""
    Decide an appeal that is in review. Not for whoever has set the lock.

    \b
    Example:
      agi-router appeal decide 3 --lift --note "the calls were wanted"
    """
    if lift is uphold:
        raise click.UsageError("say --lift or --uphold, and not both")
    step = AppealStep.LIFT if lift else AppealStep.UPHOLD
    _take(appeal_id, step, note, tenant, as_json=as_json)


@group.command("withdraw")
@click.argument("appeal_id", type=_ID, metavar="ID")
@click.option("--note", type=_NOTE, help="Why.")
@scope_option
@json_option
def withdraw(appeal_id: int, note: str | None, tenant: str | None, *, as_json: bool) -> None:
    r"""
    Withdraw an appeal.

    \b
    Example:
      agi-router appeal withdraw 3
    """
    _take(appeal_id, AppealStep.WITHDRAW, note, tenant, as_json=as_json)


@group.command("rebind")
@click.argument("appeal_id", type=_ID, metavar="ID")
@click.option(
    "--binding", "name", required=True, metavar="ID|700…", help="The binding that the lock stops."
)
@click.option(
    "--with",
    "instead",
    type=NUMBER,
    metavar="NUM",
    help="Who takes the place of a person who is locked; - for a line of standard input.",
)
@scope_option
@json_option
def rebind(
    appeal_id: int, name: str, instead: str | None, tenant: str | None, *, as_json: bool
) -> None:
    r"""
    Carry a binding over to another 700 number, once the appeal was upheld.

    The new binding has the order, the terms and the end of the old one, which ends.

    \b
    Examples:
      agi-router appeal rebind 3 --binding 70012345678-42
      agi-router appeal rebind 4 --binding 70012345678-43 --with -
    """
    settings = read_settings()
    come = (
        None if instead is None else PhoneNumber.parse(instead, fixed_lines=settings.fixed_lines)
    )
    with open_store(settings, tenant=tenant) as store:
        queries = Queries(store.connection)
        appeals = AppealStore(queries, store.keys, settings.appeal_spans, store.scope)
        with queries.transaction():
            found = store.names.find(name)
            made = store.rebind(appeals.find(appeal_id), found, instead=come, by=here())
            record_act(queries, f"appeal {appeal_id}: binding {found} by {made.id}")
    echo_binding(made, as_json=as_json)


@group.command("list")
@click.option(
    "--state", type=click.Choice([each.value for each in AppealState]), help="In this state."
)
@click.option("--lock", "lock_id", type=_LOCK, metavar="ID", help="Against this lock.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many."
)
@scope_option
@json_option
def list_(
    state: str | None, lock_id: int | None, limit: int, tenant: str | None, *, as_json: bool
) -> None:
    r"""
    List appeals, newest first.

    \b
    Example:
      agi-router appeal list --state in_review
    """
    with _opened(tenant) as (appeals, _):
        found = appeals.all(
            state=None if state is None else AppealState(state), lock_id=lock_id, limit=limit
        )
    _echo_list(found, as_json=as_json)


@group.command("show")
@click.argument("appeal_id", type=_ID, metavar="ID")
@scope_option
@json_option
def show(appeal_id: int, tenant: str | None, *, as_json: bool) -> None:
    r"""
    Show an appeal: its state, what is missing, until when, and what the person is told.

    \b
    Example:
      agi-router appeal show 3
    """
    with _opened(tenant) as (appeals, _):
        found = appeals.find(appeal_id)
    _echo(found, as_json=as_json)


@contextmanager
def _opened(tenant: str | None) -> Iterator[tuple[AppealStore, Queries]]:
    settings = read_settings()
    with open_store(settings, tenant=tenant) as store:
        queries = Queries(store.connection)
        yield AppealStore(queries, store.keys, settings.appeal_spans, store.scope), queries


def _take(
    appeal_id: int, step: AppealStep, note: str | None, tenant: str | None, *, as_json: bool
) -> None:
    with _opened(tenant) as (appeals, queries), queries.transaction():
        found = appeals.take(appeal_id, step, by=here(), note=note)
        record_act(queries, f"appeal {found.id}", reason=note)
    _echo(found, as_json=as_json)


def _echo(appeal: Appeal, *, as_json: bool) -> None:
    described = describe_appeal(appeal)
    if as_json:
        echo_json(described)
    else:
        _echo_pairs(described)
    fail_if_damaged(damaged_among([described]), _DAMAGED)


def _echo_pairs(described: dict[str, Any]) -> None:
    pieces = [f"{each['kind']}: {each['reference']}" for each in described["evidence"]]
    carried = [
        f"{each['old_binding_id']} by {each['new_binding_id']}" for each in described["rebinds"]
    ]
    echo_pairs(
        described
        | {
            "text": described["text"]["en"],
            "missing": ", ".join(described["missing"]) or "nothing",
            "evidence": ", ".join(pieces) or "none",
            "offers": ", ".join(described["offers"]) or "nothing",
            "rebinds": ", ".join(carried) or "none",
        }
    )


def _echo_list(appeals: Sequence[Appeal], *, as_json: bool) -> None:
    rows: list[dict[str, Any]] = list(map(describe_appeal, appeals))
    echo_rows(rows, _echo_table, _DAMAGED, as_json=as_json)


def _echo_table(rows: Sequence[dict[str, Any]]) -> None:
    echo_table(
        _COLUMNS,
        [
            (
                row["id"],
                row["lock_id"],
                row["reason"],
                row["state"],
                row["missing"],
                row["deadline_at"],
            )
            for row in rows
        ],
        empty="no appeals",
    )

"""
``agi-router trace``: who was behind a 700 number at some time, and where a person was bound.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from agi_router import logs
from agi_router.cli.arguments import COUNT, NUMBER, SINCE, TIME, Checked, Duration
from agi_router.cli.context import read_settings
from agi_router.cli.damage import damaged_among, fail_if_damaged
from agi_router.cli.locks import on
from agi_router.cli.output import echo, echo_json, echo_table, json_option
from agi_router.cli.stores import open_store
from agi_router.db.connection import Queries
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.records.audit import Audit, AuditEntry, check_case
from agi_router.traces.model import around
from agi_router.traces.store import Tracer
from agi_router.traces.views import describe_trace, reveal_trace

__all__ = ["trace"]

_ACT = "trace --reveal"
_DAMAGED = (
    "of what is told are damaged: see 'agi-router show' and 'agi-router lock show' why; restore"
    " them from a backup"
)


@click.command()
@click.argument("x", metavar="[700…]", required=False)
@click.option("--at", type=TIME, help="The time, with a 700 number; now if absent.")
@click.option(
    "--window",
    type=Duration(timedelta(seconds=1), timedelta(days=366)),
    default="1h",
    show_default=True,
    help="How much before and behind that time is looked at, too.",
)
@click.option("--person", type=NUMBER, metavar="NUM", help="A real number instead: - asks for it.")
@click.option("--since", type=SINCE, help="From when on, with a person: a time, or how long ago.")
@click.option("--until", type=SINCE, help="Until when, with a person; now if absent.")
@click.option(
    "--limit",
    type=COUNT,
    default=1000,
    show_default=True,
    help="At most so many bindings, calls and texts each.",
)
@click.option("--reveal", is_flag=True, help="Show real numbers in full; needs the next two.")
@click.option("--case", type=Checked("text", check_case), help="The case that it is for.")
@click.option("--reason", help="Why.")
@json_option
def trace(  # noqa: PLR0917 - options, not arguments
    x: str | None,
    at: datetime | None,
    window: timedelta,
    person: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    case: str | None,
    reason: str | None,
    *,
    reveal: bool,
    as_json: bool,
) -> None:
    r"""
    Tell who was behind a 700 number at a time, or where a person was bound; and what came of it.

    Bindings with their tenants, orders and parties of then, calls, texts, locks that held, and
    what the parties had agreed to. What is damaged is told too, and ends it with 70.
    Numbers are masked. With --reveal they are shown, after a row of the audit; so often in an hour
    as AGI_ROUTER_TRACES_PER_HOUR says. A trace of a person is a row of the audit in any case.

    \b
    Examples:
      agi-router trace 700123456780001 --at 2026-03-01T12:00+08:00 --window 2h
      agi-router trace --person - --since 30d --reveal --case P-2026-17 --reason "police request"
    """
    _check_usage(x, at, person, since, until)
    if {case is not None, reason is not None} != {reveal}:
        raise click.UsageError("--reveal, --case and --reason go together")
    settings = read_settings()
    x_number = None if x is None else XNumber.parse(x)
    number = (
        None if person is None else PhoneNumber.parse(person, fixed_lines=settings.fixed_lines)
    )
    what = AuditEntry(
        act=_ACT if reveal else "trace",
        subject="a person" if x_number is None else f"number {x_number}",
        reason=None if reason is None else logs.redact(reason),
        case_id=case,
    )
    with open_store(settings) as store:
        audit = Audit(Queries(store.connection))
        if number is not None:
            what = replace(what, tag=store.keys.tag(number))
        if reveal:
            audit.record_limited(what, acts=[_ACT], most=settings.traces_per_hour)
        elif number is not None:
            audit.record(what)
        tracer = Tracer(store.connection, store.keys)
        if number is not None and since is not None:
            found = tracer.person(
                number, since=since, until=until or datetime.now(UTC), limit=limit
            )
        elif x_number is not None:
            begin, end = around(at or datetime.now(UTC), window)
            found = tracer.number(x_number, since=begin, until=end, limit=limit)
    told = (reveal_trace if reveal else describe_trace)(found)
    (echo_json if as_json else _echo)(told)
    damaged = [f"binding {each}" for each in damaged_among(told["bound"], "binding")]
    damaged += [f"lock {each}" for each in damaged_among(told["locks"])]
    # One binding may stand there several times.
    fail_if_damaged(list(dict.fromkeys(damaged)), _DAMAGED)


def _check_usage(
    x: str | None,
    at: datetime | None,
    person: str | None,
    since: datetime | None,
    until: datetime | None,
) -> None:
    if (x is None) is (person is None):
        raise click.UsageError("give a 700 number or --person, and not both")
    if x is not None and (since is not None or until is not None):
        raise click.UsageError("a 700 number takes --at and --window, and no --since or --until")
    if person is not None and (since is None or at is not None):
        raise click.UsageError("--person needs --since, and takes no --at")


def _echo(told: dict[str, Any]) -> None:
    echo_table(
        ("since", "until", "binding", "tenant", "order", "state", "a", "b", "called back"),
        [
            (
                each["since"],
                each["until"],
                each["binding"],
                each["tenant"],
                each["order"],
                each["state"],
                _parties(each["a"]),
                each["damage"] or _parties(each["b"]),
                " ".join(each["called_back"]),
            )
            for each in told["bound"]
        ],
        empty="nobody was bound",
    )
    echo("")
    echo_table(
        ("at", "call", "binding", "to", "side", "shown", "reason", "outcome", "ended"),
        [
            (
                each["received_at"],
                each["id"],
                each["binding"],
                each["x"],
                each["side"],
                each["shown"],
                each["reason"],
                each["outcome"],
                each["ended_at"],
            )
            for each in told["calls"]
        ],
        empty="no calls",
    )
    echo("")
    echo_table(
        ("at", "text", "binding", "to", "side", "shown", "state", "reason"),
        [
            (
                each["received_at"],
                each["id"],
                each["binding"],
                each["x"],
                each["side"],
                each["shown"],
                each["state"],
                each["reason"],
            )
            for each in told["messages"]
        ],
        empty="no texts",
    )
    echo("")
    echo_table(
        ("lock", "on", "reason", "since", "until", "over"),
        [
            (
                each["id"],
                on(each),
                each["reason"],
                each["starts_at"],
                each["ends_at"],
                each["over_at"],
            )
            for each in told["locks"]
        ],
        empty="no locks",
    )
    echo("")
    echo_table(
        ("consent", "of", "to", "act", "order", "how", "at", "with"),
        [
            tuple(
                each[name]
                for name in ("id", "person", "tenant", "act", "order", "how", "at", "binding")
            )
            for each in told["consents"]
        ],
        empty="no consents",
    )
    if told["cut"]:
        echo("there is more: say a shorter time, or a larger --limit", err=True)


def _parties(parties: list[dict[str, Any]]) -> str:
    return " ".join(f"{each['number']}→{each['dials'] or '?'}" for each in parties)

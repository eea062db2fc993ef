"""
``agi-router explain`` and ``calls``: what would happen to a call, and what happened.
"""

from datetime import datetime

import click

from agi_router.bindings.names import BindingNames
from agi_router.bindings.reasons import Reason
from agi_router.calls.arrival import Call
from agi_router.calls.decision import AllocationNeeded, Ask, Decision, Refusal, Route
from agi_router.calls.end import Outcome
from agi_router.calls.explanation import explain_call
from agi_router.calls.lookup import CallLookup
from agi_router.calls.ports import Admission
from agi_router.calls.treatment import treat
from agi_router.calls.views import describe_call, describe_explanation, name_callees
from agi_router.cli.arguments import COUNT, NUMBER, ORDER_ID, SINCE, TIME, scope_option
from agi_router.cli.context import open_serving_database, read_settings
from agi_router.cli.output import echo, echo_json, echo_table, json_option
from agi_router.cli.stores import find_scope, open_store
from agi_router.db.connection import Queries
from agi_router.messages.explanation import explain_text
from agi_router.messages.model import Text
from agi_router.messages.records import MessageRecords
from agi_router.messages.views import describe_text_explanation
from agi_router.numbers import XNumber
from agi_router.settings import Settings

__all__ = ["calls", "explain"]


@click.command()
@click.option(
    "--from", "caller", required=True, type=NUMBER, metavar="NUM", help="Caller id as it arrives."
)
@click.option("--to", "dialled", required=True, metavar="700…", help="What is dialled.")
@click.option("--extension", metavar="DIGITS", help="What the caller types when asked for it.")
@click.option("--message", is_flag=True, help="Of a text instead of a call.")
@click.option("--at", type=TIME, help="Decide as of this time instead of now.")
@scope_option
@json_option
def explain(
    caller: str,
    dialled: str,
    extension: str | None,
    at: datetime | None,
    tenant: str | None,
    *,
    message: bool,
    as_json: bool,
) -> None:
    r"""
    Show the decision on a call, or on a text, rule by rule; nothing is done and nothing counted.

    With --at, times are judged as of then; uses are counted as they stand now.

    \b
    Example:
      agi-router explain --from - --to 700123456780001
    """
    settings = read_settings()
    if message:
        if extension is not None:
            raise click.UsageError("give --message or --extension, not both")
        _explain_text(settings, sender=caller, to=dialled, at=at, tenant=tenant, as_json=as_json)
        return

    def look(call: Call) -> Admission:
        with open_store(settings, tenant=tenant) as store:
            lookup = CallLookup(store.connection, store.scope)
            return lookup.facts(call, store.keys, at=at, open_modes=settings.open_modes)

    explanation = explain_call(
        look,
        caller=caller,
        dialled=dialled,
        extension=extension,
        at=at,
        fixed_lines=settings.fixed_lines,
        open_modes=settings.open_modes,
        rates=settings.call_rates,
    )
    if as_json:
        echo_json(describe_explanation(explanation, strict=settings.strict))
        return
    for step in explanation.steps:
        echo(f"{'yes' if step.holds else 'NO ':4} {step.rule}")
    for limit in explanation.limits:
        echo(f"     counted by each router: {limit}")
    echo(_told(explanation.decision, strict=settings.strict))


@click.command()
@click.option(
    "--since",
    type=SINCE,
    default="24h",
    show_default=True,
    help="A time, or how long ago.",
)
@click.option("--id", "call_id", metavar="ID", help="The one of this id, whenever it was.")
@click.option("--binding", metavar="ID|700…", help="Only those that used one binding.")
@click.option("--order", type=ORDER_ID, help="Only those that used a binding of one order.")
@click.option("--x", metavar="700…", help="Only those to one 700 number, refused ones too.")
@click.option(
    "--reason",
    type=click.Choice([each.value for each in Reason]),
    metavar="WORD",
    help="Only those refused for one reason, like stranger or expired.",
)
@click.option(
    "--outcome",
    type=click.Choice([each.value for each in Outcome]),
    metavar="WORD",
    help="Only those whose callee did this, like answered or busy.",
)
@click.option("--until", type=SINCE, help="Only those before a time, or so long ago.")
@click.option("--limit", type=COUNT, default=100, show_default=True, help="At most so many.")
@scope_option
@json_option
def calls(  # noqa: PLR0917 - options, not arguments
    since: datetime,
    call_id: str | None,
    binding: str | None,
    order: str | None,
    x: str | None,
    reason: str | None,
    outcome: str | None,
    until: datetime | None,
    limit: int,
    tenant: str | None,
    *,
    as_json: bool,
) -> None:
    r"""
    List calls, newest first: admitted and refused ones.

    A refused call used no binding: look for it by the number that was dialled.

    \b
    Examples:
      agi-router calls --since 1h
      agi-router calls --id pbx1-1769843045.17 --json
      agi-router calls --since 7d --order A-1001
      agi-router calls --x 700123456780001 --reason stranger
    """
    if binding is not None and order is not None:
        raise click.UsageError("give --binding or --order, not both")
    if call_id is not None and (binding, order, x, reason, outcome, until) != (None,) * 6:
        raise click.UsageError("--id names the one call: give nothing else that it has to be")
    x_number = None if x is None else XNumber.parse(x)
    with open_serving_database(read_settings()) as connection:
        scope = find_scope(connection, tenant)
        names = BindingNames(Queries(connection), scope)
        used = None
        if binding is not None:
            used = [names.find(binding, over=True)]
        elif order is not None:
            used = names.of(order)
        lookup = CallLookup(connection, scope)
        if call_id is not None:
            found = [lookup.find(call_id)]
        else:
            found = lookup.calls(
                since=since,
                bindings=used,
                x_number=x_number,
                reason=None if reason is None else Reason(reason),
                outcome=None if outcome is None else Outcome(outcome),
                until=until,
                limit=limit,
            )
        rows = list(map(describe_call, found))
    if as_json:
        echo_json(rows)
        return
    echo_table(
        ("received", "x", "binding", "side", "verdict", "why", "talk", "call"),
        [
            (
                r["received_at"],
                r["x"],
                r["binding"],
                r["side"],
                r["verdict"],
                r["reason"] or r["outcome"],
                None if r["talk_ms"] is None else f"{r['talk_ms'] / 1000:.1f}s",
                r["id"],
            )
            for r in rows
        ],
        empty="no calls",
    )


def _explain_text(
    settings: Settings,
    *,
    sender: str,
    to: str,
    at: datetime | None,
    tenant: str | None,
    as_json: bool,
) -> None:
    def look(text: Text) -> Admission:
        with open_store(settings, tenant=tenant) as store:
            return MessageRecords(store.connection, store.scope).facts(
                text, store.keys, at=at, open_modes=settings.open_modes
            )

    explanation = explain_text(look, sender=sender, to=to, at=at, fixed_lines=settings.fixed_lines)
    described = describe_text_explanation(explanation)
    if as_json:
        echo_json(described)
        return
    for step in explanation.steps:
        echo(f"{'yes' if step.holds else 'NO ':4} {step.rule}")
    if described["reason"] is not None:
        echo(f"refuse: {described['reason']}")
        return
    shown = described["shown"] or "a number that the text makes"
    echo(f"take: {described['receiver']} gets it from {shown} (binding {described['binding']})")


def _told(decision: Decision, *, strict: bool) -> str:
    """
    A decision in a line for people.
    """
    match decision:
        case Route():
            shown = f"is shown {decision.shown}" if decision.display == "number" else "sees nobody"
            turn = " in turn" if decision.sequence else ""
            rings = f"{name_callees(decision)} rings{turn}"
            return f"route: {rings} and {shown} (binding {decision.binding})"
        case AllocationNeeded():
            return (
                f"route: {name_callees(decision)} rings and is shown a number that the call makes"
                f" (binding {decision.binding})"
            )
        case Ask():
            return "ask: the caller is answered and asked for an extension"
        case Refusal():
            cause, prompt = treat(decision.undisclosed if strict else decision)
            return f"refuse: {decision.reason.value} (prompt {prompt}, cause {cause})"

"""
``agi-router consent``: who has agreed to be reached through 700 numbers, and who no longer does.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, BinaryIO, TypeVar

import click

from agi_router.bulk.consents import ConsentImporter
from agi_router.cli.acts import acting, record_act
from agi_router.cli.arguments import NUMBER, ORDER_ID, TENANT, TIME, Checked, scope_option
from agi_router.cli.context import read_settings
from agi_router.cli.damage import echo_rows, with_damage
from agi_router.cli.exit_codes import exit_code
from agi_router.cli.locks import here
from agi_router.cli.output import echo, echo_json, echo_pairs, echo_table, json_option
from agi_router.cli.stores import open_store
from agi_router.cli.tally import echo_tally
from agi_router.consent.ledger import Act, How, Purpose, Statement, check_evidence, check_version
from agi_router.consent.views import describe_consent
from agi_router.db.connection import Queries
from agi_router.errors import CsvError
from agi_router.numbers import PhoneNumber

__all__ = ["group"]

_DAMAGED = (
    "line(s) of the ledger are damaged: whose they are cannot be read until the table of persons"
    " is restored from a backup"
)
_SUBJECT = "the consent of a person"
_COLUMNS = ("id", "person", "tenant", "act", "purpose", "order", "how", "at")
_Command = TypeVar("_Command", bound=Callable[..., Any])


@click.group("consent")
def group() -> None:
    """
    Consent: a ledger of who has agreed, to whom, and who has withdrawn.
    """


def _said(command: _Command) -> _Command:
    """
    The options that say who says what.
    """
    for option in (
        click.option(
            "--evidence",
            type=Checked("digest", check_evidence),
            help="SHA-256 or SM3 of the evidence that the tenant keeps, in hexadecimal.",
        ),
        click.option("--at", type=TIME, help="When it was said; now if absent."),
        click.option("--order", type=ORDER_ID, help="For this order alone; for all if absent."),
        click.option(
            "--purpose",
            type=click.Choice([each.value for each in Purpose]),
            default=Purpose.BINDING.value,
            show_default=True,
            help="To be bound, or recorded.",
        ),
        click.option("--tenant", required=True, type=TENANT, metavar="NAME", help="To whom."),
        click.option(
            "--person",
            required=True,
            type=NUMBER,
            metavar="NUM",
            help="Who: a real number; - for a line of standard input.",
        ),
    ):
        command = option(command)
    return command


@group.command("give")
@_said
@click.option("--how", required=True, type=click.Choice([each.value for each in How]), help="How.")
@click.option(
    "--text-version",
    "version",
    type=Checked("version", check_version),
    help="Which text was agreed to.",
)
@json_option
def give(  # noqa: PLR0917 - options
    person: str,
    tenant: str,
    purpose: str,
    order: str | None,
    at: datetime | None,
    evidence: str | None,
    how: str,
    version: str | None,
    *,
    as_json: bool,
) -> None:
    r"""
    Write down that a person has agreed.

    \b
    Example:
      agi-router consent give --person - --tenant couriers --how app --text-version 2026-07
    """
    settings = read_settings()
    said = Statement(
        act=Act.GIVEN,
        purpose=Purpose(purpose),
        order=order,
        how=How(how),
        at=at,
        evidence=evidence,
        version=version,
    )
    number = PhoneNumber.parse(person, fixed_lines=settings.fixed_lines)
    with open_store(settings) as store, acting(store.connection, _SUBJECT) as act:
        act.tag = store.keys.tag(number)
        line = store.consents.write(number, tenant, said, by=here())
        act.subject += f": line {line.id}"
    (echo_json if as_json else echo_pairs)(describe_consent(line))


@group.command("withdraw")
@_said
@click.option("--cut", is_flag=True, help="Cut the calls that the person is in on these bindings.")
@json_option
def withdraw(  # noqa: PLR0917 - options
    person: str,
    tenant: str,
    purpose: str,
    order: str | None,
    at: datetime | None,
    evidence: str | None,
    *,
    cut: bool,
    as_json: bool,
) -> None:
    r"""
    Write down that a person no longer agrees, and end its bindings of the tenant at once.

    Calls that are up go on, unless they are cut; the next is refused.

    \b
    Example:
      agi-router consent withdraw --person - --tenant couriers
    """
    settings = read_settings()
    said = Statement(
        act=Act.WITHDRAWN,
        purpose=Purpose(purpose),
        order=order,
        at=at,
        evidence=evidence,
        cut=cut,
    )
    number = PhoneNumber.parse(person, fixed_lines=settings.fixed_lines)
    with open_store(settings) as store, acting(store.connection, _SUBJECT) as act:
        act.tag = store.keys.tag(number)
        line, ended = store.withdraw(number, tenant, said, by=here())
        act.subject += f": line {line.id}"
    told = {**describe_consent(line), "ended": [str(each.id) for each in ended]}
    (echo_json if as_json else echo_pairs)(told)


@group.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--tenant", required=True, type=TENANT, metavar="NAME", help="To whom.")
@json_option
@click.pass_context
def import_(context: click.Context, file: BinaryIO, tenant: str, *, as_json: bool) -> None:
    r"""
    Write down what persons have agreed to before, from FILE ("-": standard input).

    FILE is CSV with the columns number, how and when, and perhaps purpose, order, evidence and
    version. What the ledger has is left out, so a file may be imported again, and goes on where it
    was killed. Who has withdrawn since is not brought back. Exits with 65 if a row is not written.

    \b
    Example:
      agi-router consent import agreed.csv --tenant couriers
    """
    settings = read_settings()
    code = 0
    with open_store(settings) as store:
        record_act(Queries(store.connection), f"consent from a file, to tenant {tenant}")
        importer = ConsentImporter(
            store.consents,
            tenant,
            by=here(),
            now=store.now(),
            fixed_lines=settings.fixed_lines,
        )
        try:
            importer.run(file)
        except CsvError as error:
            # What was written is told all the same.
            echo(f"agi-router: {error}", err=True)
            code = exit_code(error)
    context.exit(echo_tally(importer.tally, as_json=as_json) or code)


@group.command("list")
@click.option("--order", type=ORDER_ID, help="About this order.")
@click.option("--act", type=click.Choice([each.value for each in Act]), help="That say so.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many."
)
@scope_option
@json_option
def list_(
    order: str | None, act: str | None, limit: int, tenant: str | None, *, as_json: bool
) -> None:
    r"""
    List lines, newest first. Those that are damaged are listed too, and end it with 70.

    \b
    Example:
      agi-router consent list --tenant couriers --act withdrawn
    """
    with open_store(read_settings(), tenant=tenant) as store:
        lines = store.consents.all(order=order, act=None if act is None else Act(act), limit=limit)
    _echo_list([describe_consent(each) for each in lines], as_json=as_json)


@group.command("show")
@click.option(
    "--person",
    required=True,
    type=NUMBER,
    metavar="NUM",
    help="Whose: a real number; - for a line of standard input.",
)
@scope_option
@json_option
def show(person: str, tenant: str | None, *, as_json: bool) -> None:
    r"""
    Show the lines about a person, newest first.

    \b
    Example:
      agi-router consent show --person -
    """
    settings = read_settings()
    with open_store(settings, tenant=tenant) as store:
        number = PhoneNumber.parse(person, fixed_lines=settings.fixed_lines)
        tag = store.keys.tag(number)
        record_act(Queries(store.connection), _SUBJECT, tag=tag)
        lines = store.consents.of_person(number)
    _echo_list([describe_consent(each) for each in lines], as_json=as_json)


def _echo_list(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    echo_rows(rows, _echo_table, _DAMAGED, as_json=as_json)


def _echo_table(rows: list[dict[str, Any]]) -> None:
    echo_table(_COLUMNS, with_damage(rows, "person", _COLUMNS), empty="no lines")

"""
``agi-router tenant``: the business users whose orders the bindings serve.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from operator import itemgetter
from typing import Any

import click

from agi_router.cli import tenant_checks, tenant_texts
from agi_router.cli.arguments import TENANT, TIME, Checked, usage
from agi_router.cli.context import read_settings
from agi_router.cli.output import echo_json, echo_pairs, echo_table, json_option
from agi_router.cli.stores import open_inventory
from agi_router.rates import OFF, Rate, parse_rate
from agi_router.tenants.bind_rates import parse_bind_rate, read_bind_rates
from agi_router.tenants.call_rates import read_call_rates
from agi_router.tenants.hours import check_hours
from agi_router.tenants.model import Quota, UnknownNumbers, check_quota
from agi_router.tenants.rules import Consent, RulesChange, check_scene
from agi_router.tenants.views import describe_tenant
from agi_router.texts import LONGEST_NAME, check_name

__all__ = ["group"]


@dataclass(frozen=True)
class _Most:
    """
    A quota that was typed; of nothing, there is none.
    """

    value: int | None


_QUOTA = Checked("number|none", lambda text: _Most(check_quota(text)))
_PAPER = Checked(
    "text", lambda text: check_name(text, what="a qualification", longest=LONGEST_NAME)
)


@dataclass(frozen=True)
class _Hours:
    """
    Hours that were typed; of nothing, always.
    """

    value: str | None


def _read_hours(text: str) -> _Hours:
    return _Hours(None if text.strip().lower() == "always" else check_hours(text))


def _read_rate(text: str) -> Rate:
    return OFF if text.strip().lower() == "none" else parse_rate(text)


def _read_bind_rate(text: str) -> Rate:
    return OFF if text.strip().lower() == "none" else parse_bind_rate(text)


_HOURS = Checked("hours", _read_hours)
_RATE = Checked("rate|none", _read_rate)
_BIND_RATE = Checked("rate|none", _read_bind_rate)
_NAME = click.argument("name", type=TENANT, metavar="NAME")


@click.group("tenant")
def group() -> None:
    """
    Tenants: blocks may be kept for one, and bindings are made for one.
    """


group.add_command(tenant_checks.group)
group.add_command(tenant_texts.group)


@group.command("add")
@_NAME
@click.option(
    "--order/--no-order",
    "needs_order",
    default=True,
    help="Whether each of its bindings needs an order's id; it does if absent.",
)
@click.option(
    "--consent",
    type=click.Choice([each.value for each in Consent]),
    default=Consent.REQUIRED.value,
    show_default=True,
    help="Whether its parties' consent is in the ledger before, or is stated with each bind.",
)
@json_option
def add(name: str, consent: str, *, needs_order: bool, as_json: bool) -> None:
    r"""
    Add a tenant.

    \b
    Examples:
      agi-router tenant add couriers
      agi-router tenant add trials --no-order --consent off
    """
    with open_inventory(read_settings(), act=f"tenant {name}") as inventory:
        row = inventory.tenants.add(name, needs_order=needs_order, consent=Consent(consent))
    _echo(row, as_json=as_json)


@group.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    r"""
    List the tenants, with how many blocks are kept for each.

    \b
    Example:
      agi-router tenant list --json
    """
    with open_inventory(read_settings()) as inventory:
        rows = [
            {**describe_tenant(row), "blocks": row["blocks"]}
            for row in sorted(inventory.tenants.all(), key=itemgetter("name"))
        ]
    if as_json:
        echo_json(rows)
    else:
        echo_table(
            ("name", "state", "blocks"),
            [(r["name"], r["state"], r["blocks"]) for r in rows],
            empty="no tenants",
        )


@group.command("suspend")
@_NAME
@json_option
def suspend(name: str, *, as_json: bool) -> None:
    r"""
    Refuse every call and every new binding of a tenant, from now on. Calls that are up go on.

    \b
    Example:
      agi-router tenant suspend couriers
    """
    with open_inventory(read_settings(), act=f"tenant {name}") as inventory:
        _echo(inventory.tenants.set_active(name, active=False), as_json=as_json)


@group.command("activate")
@_NAME
@json_option
def activate(name: str, *, as_json: bool) -> None:
    r"""
    Let a suspended tenant's calls and bindings go on.

    \b
    Example:
      agi-router tenant activate couriers
    """
    with open_inventory(read_settings(), act=f"tenant {name}") as inventory:
        _echo(inventory.tenants.set_active(name, active=True), as_json=as_json)


@group.command("unknown")
@_NAME
@click.argument("what", type=click.Choice([each.value for each in UnknownNumbers]))
@json_option
def unknown(name: str, what: str, *, as_json: bool) -> None:
    r"""
    Say what becomes of a tenant's bindings where a feed does not know a number's owner.

    They go on and ring; they are held and calls are refused until a feed knows, or you release
    them by 'agi-router feed release'; or they end.

    \b
    Example:
      agi-router tenant unknown couriers refuse
    """
    with open_inventory(read_settings(), act=f"tenant {name}: unknown {what}") as inventory:
        row = inventory.tenants.set_unknown_numbers(name, UnknownNumbers(what))
    _echo(row, as_json=as_json)


@group.command("notice")
@_NAME
@click.argument("heard", type=click.Choice(["on", "off"]))
@json_option
def notice(name: str, heard: str, *, as_json: bool) -> None:
    r"""
    Say whether both parties hear the anti-fraud notice after the answer, before they are joined.

    It is on unless you say otherwise.

    \b
    Example:
      agi-router tenant notice couriers off
    """
    with open_inventory(read_settings(), act=f"tenant {name}: notice {heard}") as inventory:
        row = inventory.tenants.set_notice(name, notice=heard == "on")
    _echo(row, as_json=as_json)


@group.command("limit")
@_NAME
@click.option(
    "--max-bindings", type=_QUOTA, help="So many of its bindings may live at once; none: any."
)
@click.option("--max-binds", type=_QUOTA, help="So many may be made on a day; none: any.")
@click.option(
    "--max-requests",
    type=_QUOTA,
    help="So many requests may its API keys make in a minute together, at each process of the HTTP"
    " door; none: any.",
)
@json_option
def limit(
    name: str,
    max_bindings: "_Most | None",
    max_binds: "_Most | None",
    max_requests: "_Most | None",
    *,
    as_json: bool,
) -> None:
    r"""
    Say how many bindings a tenant may have, and how often it may ask. What is left out stays.

    A day begins at 00:00 UTC. It is heeded within ten seconds.

    \b
    Example:
      agi-router tenant limit couriers --max-bindings 100000 --max-binds none
    """
    wanted = {
        Quota.BINDINGS: max_bindings,
        Quota.BINDS: max_binds,
        Quota.REQUESTS: max_requests,
    }
    if set(wanted.values()) == {None}:
        raise click.UsageError("say --max-bindings, --max-binds or --max-requests")
    said = {f"max_{quota}": most.value or "any" for quota, most in wanted.items() if most}
    with open_inventory(read_settings(), act=f"tenant {name}: {_said(said)}") as inventory:
        for quota, most in wanted.items():
            if most is not None:
                row = inventory.tenants.set_quota(name, quota, most.value)
    _echo(row, as_json=as_json)


@group.command("qualify")
@_NAME
@click.option("--number", type=_PAPER, help="Number of the paper that says so.")
@click.option("--issuer", type=_PAPER, help="Who has issued it.")
@click.option("--from", "valid_from", type=TIME, help="Since when; since ever if absent.")
@click.option("--until", "valid_until", type=TIME, help="Until when; for ever if absent.")
@json_option
def qualify(
    name: str,
    number: str | None,
    issuer: str | None,
    valid_from: datetime | None,
    valid_until: datetime | None,
    *,
    as_json: bool,
) -> None:
    r"""
    Say by what a tenant is qualified, and until when. What was said before is forgotten.

    Outside of that time its calls are refused, and nothing new is bound for it.

    \b
    Example:
      agi-router tenant qualify couriers --number B2-20260001 --issuer MIIT --until 2028-01-01
    """
    until = "ever" if valid_until is None else valid_until.isoformat()
    act = f"tenant {name}: qualification until {until}"
    with open_inventory(read_settings(), act=act) as inventory, usage():
        row = inventory.tenants.qualify(
            name, number=number, issuer=issuer, valid_from=valid_from, valid_until=valid_until
        )
    _echo(row, as_json=as_json)


@group.command("rules")
@_NAME
@click.option(
    "--order/--no-order", "needs_order", default=None, help="Whether a binding needs an order."
)
@click.option(
    "--scene",
    "scenes",
    multiple=True,
    type=Checked("code", check_scene),
    metavar="CODE",
    help="A use that it binds for, as often as needed: each binding names one.",
)
@click.option("--any-scene", is_flag=True, help="Bindings may name any scene, or none.")
@click.option(
    "--max-pair-binds", type=_QUOTA, help="So often the same two may be bound in an hour."
)
@click.option("--max-order-pairs", type=_QUOTA, help="So many pairs may be bound by one order.")
@click.option(
    "--refuse-pairs/--tell-pairs",
    "refuses_pairs",
    default=None,
    help="Whether more pairs are refused, or only told by the event order.crowded.",
)
@click.option(
    "--consent",
    type=click.Choice([each.value for each in Consent]),
    help="Whether its parties' consent is stated with each bind, or is in the ledger before.",
)
@click.option(
    "--real-name/--no-real-name",
    "needs_real_name",
    default=None,
    help="Whether nobody is bound who is not known by its real name.",
)
@json_option
def rules(
    name: str,
    scenes: tuple[str, ...],
    max_pair_binds: "_Most | None",
    max_order_pairs: "_Most | None",
    consent: str | None,
    *,
    needs_order: bool | None,
    refuses_pairs: bool | None,
    needs_real_name: bool | None,
    any_scene: bool,
    as_json: bool,
) -> None:
    r"""
    Say what the bindings of a tenant keep to. What is left out stays as it is.

    \b
    Examples:
      agi-router tenant rules couriers --scene parcel --scene meal
      agi-router tenant rules couriers --max-pair-binds 30 --max-order-pairs 5 --refuse-pairs
    """
    if scenes and any_scene:
        raise click.UsageError("give --scene or --any-scene, and not both")
    change = RulesChange(
        needs_order=needs_order,
        scenes=list(dict.fromkeys(scenes)) if scenes or any_scene else None,
        max_pair_binds=_limit(max_pair_binds),
        max_order_pairs=_limit(max_order_pairs),
        refuses_pairs=refuses_pairs,
        consent=None if consent is None else Consent(consent),
        needs_real_name=needs_real_name,
    )
    if change == RulesChange():
        raise click.UsageError("say what they keep to")
    with open_inventory(read_settings(), act=f"tenant {name}: {change}") as inventory:
        row = inventory.tenants.set_rules(name, change)
    _echo(row, as_json=as_json)


@group.command("hours")
@_NAME
@click.argument("hours", type=_HOURS, metavar="HOURS|always", required=False)
@click.option("--zone", metavar="NAME", help="The time zone, like Asia/Shanghai.")
@json_option
def hours(name: str, hours: "_Hours | None", zone: str | None, *, as_json: bool) -> None:
    r"""
    Say in which hours calls and texts go through of bindings that have no hours of their own.

    \b
    Examples:
      agi-router tenant hours couriers "mon-fri 08:00-21:00; sat 22:00-02:00"
      agi-router tenant hours couriers always --zone Asia/Urumqi
    """
    if hours is None and zone is None:
        raise click.UsageError("say hours, or --zone")
    said = {} if hours is None else {"hours": hours.value or "always"}
    said |= {} if zone is None else {"time_zone": zone}
    with open_inventory(read_settings(), act=f"tenant {name}: {_said(said)}") as inventory:
        if zone is not None:
            row = inventory.tenants.set_time_zone(name, zone)
        if hours is not None:
            row = inventory.tenants.set_hours(name, hours.value)
    _echo(row, as_json=as_json)


@group.command("record")
@_NAME
@click.argument("word", type=click.Choice(["on", "off"]), metavar="on|off")
@json_option
def record(name: str, word: str, *, as_json: bool) -> None:
    r"""
    Say whether calls are recorded of those bindings that say nothing of it themselves.

    \b
    Example:
      agi-router tenant record couriers on
    """
    with open_inventory(read_settings(), act=f"tenant {name}: record {word}") as inventory:
        row = inventory.tenants.set_record(name, on=word == "on")
    _echo(row, as_json=as_json)


@group.command("calls")
@_NAME
@click.option("--caller", type=_RATE, help="Of each caller; none: any.")
@click.option("--callee", type=_RATE, help="To each callee; none: any.")
@click.option("--number", type=_RATE, help="To each 700 number; none: any.")
@click.option("--all", "tenant", type=_RATE, help="Of all its bindings; none: any.")
@json_option
def calls(name: str, *, as_json: bool, **said: "Rate | None") -> None:
    r"""
    Say how many calls of a tenant go through in a time. What is left out stays as it is.

    Each router counts by itself.

    \b
    Example:
      agi-router tenant calls couriers --caller 30/1h --number none --all 100/1s
    """
    given = {of: rate for of, rate in said.items() if rate is not None}
    if not given:
        raise click.UsageError("say --caller, --callee, --number or --all")
    with open_inventory(read_settings(), act=f"tenant {name}: {_said(given)}") as inventory:
        known = read_call_rates(inventory.tenants.find(name)["call_limits"] or {})
        row = inventory.tenants.set_call_rates(name, replace(known, **given))
    _echo(row, as_json=as_json)


@group.command("binds")
@_NAME
@click.option("--a", type=_BIND_RATE, help="Of each person as side A; none: any.")
@click.option("--b", type=_BIND_RATE, help="Of each person as side B; none: any.")
@click.option("--number", type=_BIND_RATE, help="On each 700 number; none: any.")
@click.option("--all", "tenant", type=_BIND_RATE, help="Of all its bindings; none: any.")
@json_option
def binds(name: str, *, as_json: bool, **said: "Rate | None") -> None:
    r"""
    Say how many bindings a tenant makes in a time. What is left out stays as it is.

    A bind that is one too many is refused. For what is of a day, and for many, see 'limit'.

    \b
    Example:
      agi-router tenant binds couriers --a 30/1h --b 10/1d --number none --all 100/1s
    """
    given = {of: rate for of, rate in said.items() if rate is not None}
    if not given:
        raise click.UsageError("say --a, --b, --number or --all")
    with open_inventory(read_settings(), act=f"tenant {name}: {_said(given)}") as inventory:
        known = read_bind_rates(inventory.tenants.find(name)["bind_limits"] or {})
        change = RulesChange(bind_rates=replace(known, **given))
        row = inventory.tenants.set_rules(name, change)
    _echo(row, as_json=as_json)


def _said(given: Mapping[str, object]) -> str:
    """
    What becomes what, as the audit says it.
    """
    return ", ".join(f"{name} {value}" for name, value in given.items())


def _limit(most: "_Most | None") -> int | None:
    return None if most is None else most.value or 0


def _echo(row: dict[str, Any], *, as_json: bool) -> None:
    (echo_json if as_json else echo_pairs)(describe_tenant(row))

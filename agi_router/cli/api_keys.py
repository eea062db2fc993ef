"""
``agi-router api-key``: what programs prove themselves with at the HTTP door.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click

from agi_router.cli.acts import record_act
from agi_router.cli.arguments import LIFE, TENANT, TIME, Checked
from agi_router.cli.context import open_serving_database, read_settings
from agi_router.cli.output import echo_json, echo_pairs, echo_table, json_option
from agi_router.db.connection import Queries
from agi_router.keys.registry import check_keys
from agi_router.tenants.api_key_store import ApiKeyStore
from agi_router.tenants.api_keys import (
    LONGEST_WAIT,
    KeyForm,
    KeyRole,
    KeyScope,
    Network,
    check_label,
    check_limits,
    check_scopes,
    parse_network,
    write_bearer,
)
from agi_router.tenants.views import describe_api_key

__all__ = ["group"]

_MOST = click.IntRange(1, 10**9)


@click.group("api-key")
def group() -> None:
    """
    API keys: a tenant has two at once, and so has the operator.
    """


@group.command("create")
@click.option(
    "--tenant", type=TENANT, metavar="NAME", help="Whose it is: it reaches nothing of others."
)
@click.option("--operator", is_flag=True, help="Make it the operator's instead: for all tenants.")
@click.option(
    "--label", required=True, type=Checked("text", check_label), help="What you call it."
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([each.value for each in KeyScope]),
    metavar="SCOPE",
    help=f"What it may do, as often as needed: {', '.join(KeyScope)}.",
)
@click.option(
    "--role",
    type=click.Choice([each.value for each in KeyRole]),
    help="All that an auditor, an operator or an admin may do; of the operator's keys alone.",
)
@click.option(
    "--signed",
    is_flag=True,
    help="Its secret signs requests (ACS3, or RPC 1.0 of older clients), and is not sent.",
)
@click.option("--acs3", is_flag=True, help="The same, but by ACS3 alone.")
@click.option(
    "--network",
    "networks",
    multiple=True,
    type=Checked("network", parse_network),
    metavar="NETWORK",
    help="Where requests may come from, like 192.0.2.0/24, as often as needed; from anywhere if"
    " absent.",
)
@click.option(
    "--not-before", "begins_at", type=TIME, help="It opens nothing before; from now on if absent."
)
@click.option(
    "--ttl",
    type=LIFE,
    default="365d",
    show_default=True,
    help="How long it lives from its beginning.",
)
@click.option(
    "--max-binds", type=_MOST, metavar="N", help="So many bindings may it make on a day (UTC)."
)
@click.option(
    "--max-requests",
    type=_MOST,
    metavar="N",
    help="So many requests may it make in a minute, at each process of the door;"
    " AGI_ROUTER_HTTP_RATE holds for every key besides.",
)
@json_option
def create(  # noqa: PLR0917 - options, not arguments
    tenant: str | None,
    label: str,
    scopes: Sequence[str],
    role: str | None,
    networks: Sequence[Network],
    begins_at: datetime | None,
    ttl: timedelta,
    max_binds: int | None,
    max_requests: int | None,
    *,
    operator: bool,
    signed: bool,
    acs3: bool,
    as_json: bool,
) -> None:
    r"""
    Make a key and print its secret, once: nobody can print it again.

    \b
    Examples:
      agi-router api-key create --tenant couriers --label orders \
          --scope bindings:read --scope bindings:write
      agi-router api-key create --operator --label console --scope tenants:write --signed
      agi-router api-key create --operator --label audit --role auditor
    """
    if (tenant is None) is not operator:
        raise click.UsageError("give --tenant or --operator, and not both")
    if role is not None and not operator:
        raise click.UsageError("--role goes with --operator")
    if begins_at is not None and begins_at > datetime.now(UTC) + LONGEST_WAIT:
        raise click.UsageError(f"--not-before: no more than {LONGEST_WAIT.days} days ahead")
    form = KeyForm.BEARER
    if signed or acs3:
        form = KeyForm.ACS3 if acs3 else KeyForm.SIGNED
    of_role = frozenset[KeyScope]() if role is None else KeyRole(role).scopes
    try:
        allowed = check_scopes({*map(KeyScope, scopes), *of_role}, tenant=tenant)
    except ValueError as error:
        raise click.UsageError(f"--scope: {error}") from None
    try:
        check_limits(allowed, tenant=tenant, max_binds=max_binds, max_requests=max_requests)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    settings = read_settings()
    with open_serving_database(settings) as connection:
        queries = Queries(connection)
        key, secret = ApiKeyStore(queries).add(
            tenant=tenant,
            form=form,
            label=label,
            scopes=allowed,
            networks=networks,
            life=ttl,
            begins_at=begins_at,
            keys=check_keys(connection, settings.load_keys()),
            max_binds=max_binds,
            max_requests=max_requests,
        )
        record_act(queries, f"API key {key.id}")
    shown = {"secret": secret} if form.signs else {"bearer": write_bearer(key.id, secret)}
    (echo_json if as_json else echo_pairs)({**describe_api_key(key), **shown})


@group.command("list")
@click.option("--tenant", type=TENANT, metavar="NAME", help="Only those of this tenant.")
@json_option
def list_(tenant: str | None, *, as_json: bool) -> None:
    r"""
    List the keys, without their secrets.

    \b
    Example:
      agi-router api-key list
    """
    with open_serving_database(read_settings()) as connection:
        rows = [
            describe_api_key(key)
            for key in reversed(ApiKeyStore(Queries(connection)).all(tenant=tenant))
        ]
    if as_json:
        echo_json(rows)
        return
    echo_table(
        ("id", "tenant", "label", "form", "scopes", "state", "expires", "last used"),
        [
            (
                row["id"],
                row["tenant"] or "operator",
                row["label"],
                row["form"],
                row["scopes"],
                row["state"],
                row["expires_at"],
                row["last_used_at"],
            )
            for row in rows
        ],
        empty="no API keys: make one with 'agi-router api-key create'",
    )


@group.command("revoke")
@click.argument("key_id", metavar="ID")
@json_option
def revoke(key_id: str, *, as_json: bool) -> None:
    r"""
    Let a key open nothing from now on.

    \b
    Example:
      agi-router api-key revoke qkzwhtdmxcvbnrpl
    """
    with open_serving_database(read_settings()) as connection:
        queries = Queries(connection)
        key = ApiKeyStore(queries).revoke(key_id)
        record_act(queries, f"API key {key.id}")
    (echo_json if as_json else echo_pairs)(describe_api_key(key))

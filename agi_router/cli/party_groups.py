"""
``agi-router party-group``: groups of parties that many bindings share.
"""

from collections.abc import Callable, Sequence
from typing import Any

import click

from agi_router.bindings.party_groups import LONGEST_LABEL, PartyGroup
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Text
from agi_router.bindings.views import describe_group
from agi_router.cli.acts import acting
from agi_router.cli.arguments import COUNT, GROUP, NUMBER, TENANT, Checked
from agi_router.cli.bindings import read_members
from agi_router.cli.context import read_settings
from agi_router.cli.damage import damaged_among, fail_if_damaged
from agi_router.cli.output import echo_json, echo_pairs, echo_table, json_option
from agi_router.cli.stores import open_store

__all__ = ["group"]

_DAMAGED = (
    "party group(s) are damaged: see 'agi-router party-group show' why; restore their members from"
    " a backup"
)
_TENANT = click.option(
    "--tenant", type=TENANT, default="default", show_default=True, help="Whose."
)
_NAME = click.argument("name", type=GROUP, metavar="NAME")
_LABEL = click.option(
    "--label",
    type=Checked("text", Text(LONGEST_LABEL).read),
    help=f"A text of your own, 1 to {LONGEST_LABEL} characters.",
)
_VERSION = click.option(
    "--version", type=COUNT, help='Only if it has this version still, as "show" tells it.'
)


def _members_option(word: str, name: str, about: str) -> Callable[[Any], Any]:
    return click.option(
        f"--{word}",
        name,
        multiple=True,
        type=NUMBER,
        metavar="NUM",
        help=f"{about}, or several with commas; as often as needed.",
    )


@click.group("party-group")
def group() -> None:
    r"""
    Party groups: named sets of a tenant's parties that many bindings share as their group.

    Who comes or goes does so in all bindings by the group at once. For the members of one binding
    alone see "agi-router group".

    \b
    Examples:
      agi-router party-group add night-shift --members -
      agi-router bind gxb --group night-shift --b - --ttl 2h
      agi-router party-group members night-shift --add - --remove -
    """


@group.command("add")
@_NAME
@_TENANT
@_members_option("members", "members", "Mobile number of a member")
@_LABEL
@json_option
def add(
    name: str, tenant: str, members: Sequence[str], label: str | None, *, as_json: bool
) -> None:
    r"""
    Add a party group; it may have no members yet.

    \b
    Example:
      agi-router party-group add night-shift --tenant couriers --members -
    """
    numbers = read_members(members)
    _do(
        lambda store: store.add_group(tenant, name, numbers, label=label),
        as_json=as_json,
    )


@group.command("list")
@click.option("--tenant", type=TENANT, help="Only those of this tenant.")
@json_option
def list_(tenant: str | None, *, as_json: bool) -> None:
    r"""
    List the party groups, newest first.

    \b
    Example:
      agi-router party-group list --tenant couriers
    """
    with open_store(read_settings()) as store:
        rows = list(map(describe_group, store.groups(tenant=tenant, limit=None)))
    if as_json:
        echo_json(rows)
    else:
        echo_table(
            ("name", "tenant", "members", "bindings"),
            [
                (
                    row["name"],
                    row["tenant"],
                    "damaged" if row["damage"] else len(row["members"]),
                    row["bindings"],
                )
                for row in rows
            ],
            empty="no party groups: add one with 'agi-router party-group add'",
        )
    fail_if_damaged(damaged_among(rows, "name"), _DAMAGED)


@group.command("show")
@_NAME
@_TENANT
@json_option
def show(name: str, tenant: str, *, as_json: bool) -> None:
    r"""
    Show a party group; real numbers are masked.

    \b
    Example:
      agi-router party-group show riders --tenant couriers
    """
    with open_store(read_settings()) as store:
        _echo(store.find_group(tenant, name), as_json=as_json)


@group.command("change")
@_NAME
@_TENANT
@_LABEL
@click.option("--unset", type=click.Choice(["label"]), help="What it has no longer.")
@_VERSION
@json_option
def change(
    name: str,
    tenant: str,
    label: str | None,
    unset: str | None,
    version: int | None,
    *,
    as_json: bool,
) -> None:
    r"""
    Change what a party group is labelled by.

    \b
    Example:
      agi-router party-group change night-shift --label "couriers by night"
    """
    if (label is None) is (unset is None):
        raise click.UsageError("give --label or --unset label, and not both")
    _do(
        lambda store: store.label_group(tenant, name, label, version=version),
        as_json=as_json,
    )


@group.command("members")
@_NAME
@_TENANT
@_members_option("add", "joining", "Mobile number of who comes in")
@_members_option("remove", "leaving", "Mobile number of who goes")
@_members_option("set", "wished", "Instead: mobile number of a member, in the order of all")
@_VERSION
@json_option
def members(  # noqa: PLR0917 - options, not arguments
    name: str,
    tenant: str,
    joining: Sequence[str],
    leaving: Sequence[str],
    wished: Sequence[str],
    version: int | None,
    *,
    as_json: bool,
) -> None:
    r"""
    Let members in and take others out, in all bindings by the party group; or none if one cannot.

    A call that is up goes on. Where B's call back would have reached one who has gone, it reaches
    nobody until a default is set or, by the callback "last", a member has called.

    \b
    Examples:
      agi-router party-group members night-shift --add - --remove -
      agi-router party-group members night-shift --set -
    """
    if bool(wished) is bool(joining or leaving):
        raise click.UsageError("give --add and --remove, or --set")
    incoming, outgoing, all_of_them = map(read_members, (joining, leaving, wished))

    def work(store: BindingStore) -> PartyGroup:
        if all_of_them:
            return store.set_members(tenant, name, all_of_them, version=version)
        return store.change_members(
            tenant, name, joining=incoming, leaving=outgoing, version=version
        )

    _do(work, as_json=as_json)


@group.command("remove")
@_NAME
@_TENANT
@_VERSION
@json_option
def remove(name: str, tenant: str, version: int | None, *, as_json: bool) -> None:
    r"""
    Remove a party group by which no binding lives.

    \b
    Example:
      agi-router party-group remove riders --tenant couriers
    """
    _do(
        lambda store: store.remove_group(tenant, name, version=version),
        as_json=as_json,
    )


def _do(work: Callable[[BindingStore], PartyGroup], *, as_json: bool) -> None:
    """
    Do something with a party group, write that down, and print the group.
    """
    with open_store(read_settings()) as store, acting(store.connection, "a party group") as act:
        done = work(store)
        act.subject = f"party group {done.name} of tenant {done.tenant}"
    _echo(done, as_json=as_json)


def _echo(done: PartyGroup, *, as_json: bool) -> None:
    described = describe_group(done)
    if as_json:
        echo_json(described)
    else:
        members = ", ".join(described["members"]) or (
            "damaged" if described["damage"] else "nobody yet"
        )
        echo_pairs({**described, "members": members})
    fail_if_damaged(damaged_among([described], "name"), _DAMAGED)

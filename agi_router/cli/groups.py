"""
``agi-router group``: the members of a group, while its binding lives.
"""

from collections.abc import Sequence

import click

from agi_router.cli.arguments import NUMBER, scope_option
from agi_router.cli.bindings import NAME, changing, echo_binding, number_reader, read_members
from agi_router.cli.context import read_settings
from agi_router.cli.output import json_option
from agi_router.cli.stores import open_store

__all__ = ["group"]


@click.group("group")
def group() -> None:
    """
    Members of a group (gxb, gxyb), while its binding lives.
    """


@group.command("add")
@NAME
@click.option(
    "--members",
    required=True,
    multiple=True,
    type=NUMBER,
    metavar="NUM",
    help="Mobile number of a new member, or several with commas; as often as needed.",
)
@scope_option
@json_option
def add(name: str, members: Sequence[str], tenant: str | None, *, as_json: bool) -> None:
    r"""
    Let members into a group: all of them, or none if one cannot be.

    \b
    Example:
      agi-router group add 70012345678-42 --members -
    """
    numbers = read_members(members)
    with open_store(read_settings(), tenant=tenant) as store, changing(store, name) as found:
        changed = store.add_members(found, numbers)
    echo_binding(changed, as_json=as_json)


@group.command("remove")
@NAME
@click.option(
    "--member", required=True, type=NUMBER, metavar="NUM", help="Mobile number of the member."
)
@scope_option
@json_option
def remove(name: str, member: str, tenant: str | None, *, as_json: bool) -> None:
    r"""
    Take a member out of a group. A call that is up goes on.

    If B's call back would have reached this member, it reaches nobody until a default is set or,
    by the callback "last", a member has called.

    \b
    Example:
      agi-router group remove 70012345678-42 --member -
    """
    number = number_reader()(member)
    with open_store(read_settings(), tenant=tenant) as store, changing(store, name) as found:
        changed = store.remove_member(found, number)
    echo_binding(changed, as_json=as_json)


@group.command("default")
@NAME
@click.option(
    "--member",
    required=True,
    type=NUMBER,
    metavar="NUM",
    help="Mobile number of who is reached: a member or another; of AX and AXE, the fixed number.",
)
@scope_option
@json_option
def default(name: str, member: str, tenant: str | None, *, as_json: bool) -> None:
    r"""
    Set whom B reaches; by the callback "last", until a member has called.

    Of AX and AXE it is whom A reaches, until somebody has called.

    \b
    Example:
      agi-router group default 70012345678-42 --member -
    """
    number = number_reader()(member)
    with open_store(read_settings(), tenant=tenant) as store, changing(store, name) as found:
        changed = store.set_default(found, number)
    echo_binding(changed, as_json=as_json)

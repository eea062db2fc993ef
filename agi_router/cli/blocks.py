"""
``agi-router block``: the managed blocks that numbers are taken from.
"""

from datetime import datetime
from typing import Any

import click

from agi_router.cli.arguments import TENANT, TIME, Checked, scope_option, usage
from agi_router.cli.context import read_settings
from agi_router.cli.output import echo_json, echo_pairs, echo_table, json_option
from agi_router.cli.stores import open_inventory
from agi_router.inventory.model import (
    BlockState,
    CertificateChange,
    check_carrier,
    check_certificate,
)
from agi_router.inventory.views import describe_block, describe_certificate
from agi_router.numbers import Block

__all__ = ["group"]

_PREFIX = click.argument("prefix", metavar="PREFIX11")
_CERTIFICATE = click.option(
    "--certificate",
    type=Checked("text", check_certificate),
    help="Number of the certificate that assigns the block.",
)
_VALID_FROM = click.option(
    "--valid-from", type=TIME, help="Start of the certificate; before it, no calls."
)
_VALID_UNTIL = click.option(
    "--valid-until", type=TIME, help="End of the certificate; from then on, no calls."
)


@click.group("block")
def group() -> None:
    """
    Managed blocks: 10,000 numbers each.
    """


@group.command("add")
@_PREFIX
@click.option("--operator", type=Checked("text", check_carrier), help="Name of the carrier.")
@_CERTIFICATE
@click.option(
    "--tenant", type=TENANT, metavar="NAME", help="Keep it for this tenant; shared if absent."
)
@_VALID_FROM
@_VALID_UNTIL
@json_option
def add(  # noqa: PLR0917 - options, not arguments
    prefix: str,
    operator: str | None,
    certificate: str | None,
    tenant: str | None,
    valid_from: datetime | None,
    valid_until: datetime | None,
    *,
    as_json: bool,
) -> None:
    r"""
    Add a block by its 11 digits.

    \b
    Examples:
      agi-router block add 70012345678 --operator "China Mobile" --certificate 2025-0001
      agi-router block add 70012345679 --tenant couriers --valid-until 2028-01-01
    """
    block = Block.parse(prefix)
    with open_inventory(read_settings(), act=f"block {block}") as inventory, usage():
        row = inventory.add_block(
            block,
            operator=operator,
            certificate=certificate,
            tenant=tenant,
            valid_from=valid_from,
            valid_until=valid_until,
        )
    _echo(row, as_json=as_json)


@group.command("show")
@_PREFIX
@scope_option
@json_option
def show(prefix: str, tenant: str | None, *, as_json: bool) -> None:
    r"""
    Show one block.

    \b
    Example:
      agi-router block show 70012345678
    """
    with open_inventory(read_settings(), tenant=tenant) as inventory:
        row = inventory.block(Block.parse(prefix))
    _echo(row, as_json=as_json)


@group.command("drain")
@_PREFIX
@json_option
def drain(prefix: str, *, as_json: bool) -> None:
    r"""
    Make no new bindings in a block; those that live go on, and so do their calls.

    \b
    Example:
      agi-router block drain 70012345678
    """
    _set_state(prefix, BlockState.DRAINING, as_json=as_json)


@group.command("return")
@_PREFIX
@json_option
def return_(prefix: str, *, as_json: bool) -> None:
    r"""
    Take a block out of service: no bindings, no calls. Refused while bindings live in it.

    \b
    Example:
      agi-router block return 70012345678
    """
    _set_state(prefix, BlockState.RETURNED, as_json=as_json)


@group.command("activate")
@_PREFIX
@json_option
def activate(prefix: str, *, as_json: bool) -> None:
    r"""
    Let a block that is draining or was returned take bindings and calls again.

    \b
    Example:
      agi-router block activate 70012345678
    """
    _set_state(prefix, BlockState.ACTIVE, as_json=as_json)


@group.command("certify")
@_PREFIX
@_CERTIFICATE
@_VALID_FROM
@_VALID_UNTIL
@click.option("--for-ever", is_flag=True, help="It has no end any more.")
@json_option
def certify(
    prefix: str,
    certificate: str | None,
    valid_from: datetime | None,
    valid_until: datetime | None,
    *,
    for_ever: bool,
    as_json: bool,
) -> None:
    r"""
    Say by what certificate a block is assigned, and until when; what is left out stays.

    \b
    Example:
      agi-router block certify 70012345678 --certificate 2028-0001 --valid-until 2032-01-01
    """
    block = Block.parse(prefix)
    if for_ever and valid_until is not None:
        raise click.UsageError("--valid-until and --for-ever cannot be used together")
    said = CertificateChange()
    if certificate is not None:
        said["certificate"] = certificate
    if valid_from is not None:
        said["valid_from"] = valid_from
    if valid_until is not None or for_ever:
        said["valid_until"] = valid_until
    if not said:
        raise click.UsageError("say what has changed: --certificate, --valid-until and the like")
    act = f"block {block}: {describe_certificate(said)}"
    with open_inventory(read_settings(), act=act) as inventory, usage():
        row = inventory.certify_block(block, said)
    _echo(row, as_json=as_json)


@group.command("list")
@scope_option
@json_option
def list_(tenant: str | None, *, as_json: bool) -> None:
    r"""
    List the blocks, with how many bindings live in each.

    \b
    Example:
      agi-router block list
    """
    with open_inventory(read_settings(), tenant=tenant) as inventory:
        rows = list(map(describe_block, inventory.blocks()))
    if as_json:
        echo_json(rows)
    else:
        echo_table(
            ("block", "operator", "certificate", "tenant", "state", "bindings"),
            [
                (
                    r["block"],
                    r["operator"],
                    r["certificate"],
                    r["tenant"] or "shared",
                    r["state"],
                    r["bindings"],
                )
                for r in rows
            ],
            empty="no blocks yet: add one with 'agi-router block add'",
        )


def _set_state(prefix: str, state: BlockState, *, as_json: bool) -> None:
    block = Block.parse(prefix)
    with open_inventory(read_settings(), act=f"block {block}") as inventory:
        row = inventory.set_block_state(block, state)
    _echo(row, as_json=as_json)


def _echo(row: dict[str, Any], *, as_json: bool) -> None:
    (echo_json if as_json else echo_pairs)(describe_block(row))

"""
``agi-router link``: links to message centres, and who has each.
"""

from typing import Any

import click

from agi_router.cli.context import open_serving_database, read_settings
from agi_router.cli.output import echo, echo_json, echo_table, json_option
from agi_router.messages.records import LinkRecords
from agi_router.messages.views import describe_link

__all__ = ["group"]


@click.group("link")
def group() -> None:
    """
    List the links to message centres, or have one unbound.
    """


@group.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    r"""
    List links: which process has each, since when it is bound, and how many texts it owes.

    \b
    Example:
      agi-router link list
    """
    with open_serving_database(read_settings()) as connection:
        rows = list(map(describe_link, LinkRecords(connection).links()))
    if as_json:
        echo_json(rows)
        return
    echo_table(
        ("link", "state", "machine", "bound since", "texts owed"),
        [
            (
                r["name"],
                r["state"],
                r["node"],
                r["up_since"],
                r["owed"],
            )
            for r in rows
        ],
        empty="no links",
    )


@group.command()
@click.argument("name", metavar="LINK")
@json_option
def drain(name: str, *, as_json: bool) -> None:
    r"""
    Have a link unbound once what is under way is sent; texts that it owes wait.

    \b
    Example:
      agi-router link drain carrier
    """
    _show(_drain(name, drained=True), as_json=as_json)


@group.command()
@click.argument("name", metavar="LINK")
@json_option
def resume(name: str, *, as_json: bool) -> None:
    r"""
    Have a link bound again that was drained.

    \b
    Example:
      agi-router link resume carrier
    """
    _show(_drain(name, drained=False), as_json=as_json)


def _drain(name: str, *, drained: bool) -> dict[str, Any]:
    with open_serving_database(read_settings(), act=f"link {name}") as connection:
        return describe_link(LinkRecords(connection).drain(name, drained=drained))


def _show(link: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        echo_json(link)
    else:
        echo(f"{link['name']}: {link['state']}, {link['owed']} texts owed")

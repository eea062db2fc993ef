"""
``agi-router cell``: the databases behind this one, and how calls find their way to them.
"""

from importlib.resources import files
from pathlib import Path
from typing import TextIO

import click

from agi_router.cli.context import read_settings
from agi_router.cli.output import echo, echo_json, echo_table, json_option
from agi_router.cli.stores import open_inventory
from agi_router.files import written_whole
from agi_router.inventory.cells import proxy_tables, read_places

__all__ = ["group"]

_CONFIGURATION = "kamailio.cfg"


@click.group("cell")
def group() -> None:
    """
    Cells: databases with blocks of their own, one where there is no other.
    """


@group.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    r"""
    List the cells, with how many blocks each has.

    \b
    Example:
      agi-router cell list
    """
    with open_inventory(read_settings()) as inventory:
        rows = [
            {
                "cell": cell.number,
                "name": cell.name,
                "away": cell.away,
                "blocks": len(cell.blocks),
            }
            for cell in inventory.cells()
        ]
    if as_json:
        echo_json(rows)
    else:
        columns = ("cell", "name", "away", "blocks")
        echo_table(columns, [[row[name] for name in columns] for row in rows], empty="no cells")


@group.command("export")
@click.option(
    "--kamailio",
    "directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="The directory that Kamailio reads.",
)
@click.option(
    "--places",
    "source",
    type=click.File("r", encoding="utf-8"),
    required=True,
    help="What machines and trunks there are; - reads stdin.",
)
@json_option
def export(directory: Path, source: TextIO, *, as_json: bool) -> None:
    r"""
    Write what a Kamailio in front has to know: which block is where, and who may call.

    \b
    A line of the places is a word, a name and an address:
      node north 10.0.1.11:5060      an Asterisk of the cell; without other cells it is "one"
      door north 10.0.1.11:5062      its door for texts
      trunk carrier-a 192.0.2.10     calls come from there
      out carrier-a 192.0.2.20:5060  calls and texts go there

    \b
    Example:
      agi-router cell export --kamailio /etc/kamailio/agi-router --places /etc/kamailio/places
    """
    with open_inventory(read_settings()) as inventory:
        cells = inventory.cells()
    try:
        tables = proxy_tables(cells, read_places(source.read()))
    except ValueError as error:
        raise click.UsageError(f"--places: {error}") from None
    shipped = files("agi_router.dialplan").joinpath(_CONFIGURATION).read_text("utf-8")
    for name, text in {_CONFIGURATION: shipped, **tables}.items():
        _write(directory / name, text)
    if as_json:
        echo_json({"directory": str(directory), "blocks": sum(len(c.blocks) for c in cells)})
    else:
        echo(f"written into {directory}; a Kamailio that runs reads it by")
        for command in ("dispatcher.reload", "htable.reload trunks", "htable.reload blocks"):
            echo(f"  kamcmd {command}")


def _write(path: Path, text: str) -> None:
    try:
        with written_whole(path, replace=True, readable=True) as file:
            file.write(text)
    except OSError as error:
        raise click.UsageError(f"--kamailio: {path}: {error.strerror}") from None

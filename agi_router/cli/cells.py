"""
``agi-router cell``: the databases behind this one, and how calls find their way to them.
"""

import shlex
import subprocess
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TextIO

import click

from agi_router.cli.acts import record_act
from agi_router.cli.arguments import Checked
from agi_router.cli.context import open_serving_database, read_settings
from agi_router.cli.output import echo, echo_json, echo_pairs, echo_table, json_option
from agi_router.cli.stores import open_inventory
from agi_router.db.connection import Queries
from agi_router.files import written_whole
from agi_router.inventory.cells import Cell, Places, proxy_tables, read_places
from agi_router.inventory.moves import MOST_BINDINGS, BlockMove, MoveStep
from agi_router.inventory.store import InventoryStore
from agi_router.inventory.views import describe_move
from agi_router.numbers import Block

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


@group.command("status")
@json_option
def status(*, as_json: bool) -> None:
    r"""
    Show of each cell whether it answers, what it has to do, and how many numbers it has left.

    Calls per second are those of tenants within the last minute. "behind" is how much the cell has
    still to be told of what was written in the global database.

    \b
    Example:
      agi-router cell status
    """
    with open_inventory(read_settings()) as inventory:
        loads = inventory.loads()
    if as_json:
        echo_json(loads)
        return
    columns = {
        "cell": "name",
        "answers": "answers",
        "away": "away",
        "blocks": "blocks",
        "numbers free": "numbers_free",
        "until": "exhausted_at",
        "bindings": "bindings",
        "calls up": "calls_up",
        "calls/s": "calls_per_second",
        "size": "bytes",
        "behind": "bytes_behind",
    }
    rows = [[_shown(name, load) for name in columns.values()] for load in loads]
    echo_table(tuple(columns), rows, empty="no cells")


def _shown(name: str, load: dict[str, Any]) -> Any:
    value = load[name]
    if name == "bytes_behind" and load["followed"] is False:
        return "cut off"
    return f"{value / 2**20:,.0f} MB" if name.startswith("bytes") and value is not None else value


@group.command("away")
@click.argument("name")
def away(name: str) -> None:
    r"""
    Say that a cell does not answer: all that is about all cells goes on without it.

    Lists, traces and ends of orders say which cells are missing; no number is drawn there. Its
    blocks stay its own, and what is in it is there when it is back.

    \b
    Example:
      agi-router cell away south
    """
    _set_away(name, away=True)


@group.command("back")
@click.argument("name")
def back(name: str) -> None:
    r"""
    Say that a cell answers again.

    \b
    Example:
      agi-router cell back south
    """
    _set_away(name, away=False)


def _set_away(name: str, *, away: bool) -> None:
    act = f"cell {name} {'is away' if away else 'is back'}"
    with open_inventory(read_settings(), act=act) as inventory:
        if not inventory.set_away(name, away=away):
            raise click.UsageError(f"there is no cell {name} beside others")


@group.command("move")
@click.argument("block", type=Checked("block", Block.parse), metavar="PREFIX11")
@click.option("--to", "to_name", metavar="CELL", help="The cell that is to have it.")
@click.option("--undo", is_flag=True, help="Leave it where it was, while that can be had.")
@click.option(
    "--wait",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Seconds to wait for calls to end that were up as it went.",
)
@click.option(
    "--most",
    type=click.IntRange(0),
    default=MOST_BINDINGS,
    show_default=True,
    help="How many bindings may live on it: the more, the longer calls are refused.",
)
@click.option(
    "--kamailio",
    "directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The directory of Kamailio, for which tables are written as soon as the block is there.",
)
@click.option(
    "--places",
    "source",
    type=click.File("r", encoding="utf-8"),
    help="As for export, with --kamailio.",
)
@click.option(
    "--reload",
    "reloads",
    multiple=True,
    metavar="COMMAND",
    help="Run behind that, without a shell; as often as needed.",
)
@json_option
def move(  # noqa: PLR0917 - options, not arguments
    block: Block,
    to_name: str | None,
    directory: Path | None,
    source: TextIO | None,
    reloads: Sequence[str],
    wait: float,
    most: int,
    *,
    undo: bool,
    as_json: bool,
) -> None:
    r"""
    Move a block to another cell, with all that is of it, while calls come.

    New numbers are drawn elsewhere until it is there. Calls to the block are refused for a moment,
    and counted. Whoever is killed in between runs the same command again, which goes on; run again
    behind the end, it fetches what has come to the old cell since. A cell that does not answer
    meanwhile leaves the block where it was, if that can be had.

    \b
    Examples:
      agi-router cell move 70012345678 --to south
      agi-router cell move 70012345678 --to south --kamailio /etc/kamailio/agi-router \
        --places /etc/kamailio/places --reload "kamcmd htable.reload blocks"
    """
    if undo == (to_name is not None):
        raise click.UsageError("give --to, or --undo")
    if (directory is None) != (source is None):
        raise click.UsageError("--kamailio goes with --places")
    settings = read_settings()
    with open_serving_database(settings) as connection:
        queries = Queries(connection)
        inventory = InventoryStore(queries, settings.quarantine)
        proxy = None
        if directory is not None and source is not None:
            proxy = _Proxy(inventory, directory, _places(source), reloads)
        act = f"block {block} {'stays' if undo else f'to cell {to_name}'}"
        way = inventory.move(block, to_name or "", begun=lambda asked: record_act(asked, act))
        if to_name is None:
            _undo(way)
            return
        at = way.run(wait=wait, opened=lambda: None if proxy is None else proxy.tell(), most=most)
    _echo_move(block, at, as_json=as_json)


def _undo(way: BlockMove) -> None:
    if not way.undo():
        raise click.UsageError("--undo: it does not move, or its new cell has it: go on with --to")


def _echo_move(block: Block, at: MoveStep, *, as_json: bool) -> None:
    if at.step == "refused":
        why = _REFUSED[at.waits or "unknown"]
        raise click.UsageError(f"--to: {why.format(origin=at.from_name, target=at.to_name)}")
    described = describe_move(block, at)
    if as_json:
        echo_json(described)
    else:
        echo_pairs(described)
    if at.step != "done":
        echo(
            f"calls are up that began in cell {at.from_name}: run this again when they have ended",
            err=True,
        )


class _Proxy:
    """
    A Kamailio in front, which is told where blocks are.
    """

    def __init__(
        self,
        inventory: InventoryStore,
        directory: Path,
        places: Places,
        reloads: Sequence[str],
    ) -> None:
        self._inventory = inventory
        self._directory = directory
        self._places = places
        self._reloads = reloads
        # What cannot be written is better known before.
        _tables(inventory.cells(), places)

    def tell(self) -> None:
        """
        Write its tables, and have it read them; without that all is moved the same.
        """
        _export(self._directory, self._inventory.cells(), self._places)
        for command in self._reloads:
            try:
                subprocess.run(
                    shlex.split(command),
                    check=True,
                    timeout=10,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )
            except (OSError, ValueError, subprocess.SubprocessError):
                echo(f"warning: this has failed, run it by hand: {command}", err=True)


_REFUSED = {
    "unknown": "there is no such cell",
    "there": "the block is there",
    "away": "one of the two cells is away",
    "moves": "the block is on its way from {origin} to {target}: go on there, or --undo",
    "late": "rows have come to the cell before since its last move: --to {origin} fetches them",
}


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
    places = _places(source)
    with open_inventory(read_settings()) as inventory:
        cells = inventory.cells()
    _export(directory, cells, places)
    if as_json:
        echo_json({"directory": str(directory), "blocks": sum(len(c.blocks) for c in cells)})
    else:
        echo(f"written into {directory}; a Kamailio that runs reads it by")
        for command in ("dispatcher.reload", "htable.reload trunks", "htable.reload blocks"):
            echo(f"  kamcmd {command}")


def _places(source: TextIO) -> Places:
    try:
        return read_places(source.read())
    except ValueError as error:
        raise click.UsageError(f"--places: {error}") from None


def _tables(cells: Sequence[Cell], places: Places) -> dict[str, str]:
    try:
        return proxy_tables(cells, places)
    except ValueError as error:
        raise click.UsageError(f"--places: {error}") from None


def _export(directory: Path, cells: Sequence[Cell], places: Places) -> None:
    tables = _tables(cells, places)
    shipped = files("agi_router.dialplan").joinpath(_CONFIGURATION).read_text("utf-8")
    for name, text in {_CONFIGURATION: shipped, **tables}.items():
        _write(directory / name, text)


def _write(path: Path, text: str) -> None:
    try:
        with written_whole(path, replace=True, readable=True) as file:
            file.write(text)
    except OSError as error:
        raise click.UsageError(f"--kamailio: {path}: {error.strerror}") from None

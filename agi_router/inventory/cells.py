"""
Which machines a call is for, by the block of its number: cells, and the tables of a SIP proxy.

The tables are those that ``dialplan/kamailio.cfg`` reads: two of db_text, one of dispatcher.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final, NamedTuple

from agi_router.numbers import Block

__all__ = ["Cell", "Places", "Socket", "proxy_tables", "read_places"]

_SIP_PORT: Final = 5060
_LARGEST_PORT: Final = 65535
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,30}")
# As dialplan/kamailio.cfg has them: the set of a cell's nodes is its number + 1.
_FIRST_SET: Final = 1
_DOORS: Final = 1000
_OUT: Final = 2001
_COLUMNS: Final = "key_name(string) key_type(int) value_type(int) key_value(string) expires(int)\n"
_TEXT, _INTEGER = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """
    A database that has blocks of its own.

    Attributes:
        number: Its number, from 0 on.
        name: What people call it.
        away: Whether an operator has said that it does not answer.
        blocks: What it has, in order.
    """

    number: int
    name: str
    away: bool
    blocks: tuple[Block, ...]


class Socket(NamedTuple):
    """
    Where somebody takes SIP by UDP.
    """

    address: IPv4Address
    port: int

    def __str__(self) -> str:
        """
        As a SIP URI has it.
        """
        return f"{self.address}:{self.port}"


@dataclass(slots=True)
class Places:
    """
    Which machines there are.

    Attributes:
        nodes: The Asterisks of each cell, by its name.
        doors: Its doors for texts.
        trunks: From which addresses calls come, each with the name of its trunk.
        out: Where calls and texts go out.
    """

    nodes: dict[str, list[Socket]] = field(default_factory=dict)
    doors: dict[str, list[Socket]] = field(default_factory=dict)
    trunks: dict[IPv4Address, str] = field(default_factory=dict)
    out: list[Socket] = field(default_factory=list)


def read_places(text: str) -> Places:
    """
    Read what an operator has written of machines.

    Each line is ``node``, ``door``, ``trunk`` or ``out``, the name of a cell or of a trunk, and an
    address. ``#`` begins a comment.

    Raises:
        ValueError: It cannot be read; says which line and why.
    """
    places = Places()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words:
            try:
                _add(places, words)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
    if not places.trunks:
        raise ValueError("no trunk is named, so no call could come in or go out")
    return places


def _add(places: Places, words: Sequence[str]) -> None:
    match words:
        case ["node", name, place]:
            _add_socket(places, places.nodes.setdefault(_named(name), []), place)
        case ["door", name, place]:
            _add_socket(places, places.doors.setdefault(_named(name), []), place)
        case ["trunk", name, place]:
            _add_trunk(places, _named(name), _address(place))
        case ["out", name, place]:
            _add_socket(places, places.out, place)
            # Whoever is called there hangs up from there.
            _add_trunk(places, _named(name), places.out[-1].address)
        case _:
            raise ValueError("a line is 'node', 'door', 'trunk' or 'out', a name and an address")


def _add_socket(places: Places, to: list[Socket], place: str) -> None:
    address, colon, port = place.partition(":")
    if colon and not (port.isascii() and port.isdigit() and 0 < int(port) <= _LARGEST_PORT):
        raise ValueError(f"a port is a whole number from 1 to {_LARGEST_PORT}")
    socket = Socket(_address(address), int(port) if colon else _SIP_PORT)
    given = [*places.nodes.values(), *places.doors.values(), places.out]
    if any(socket in each for each in given):
        raise ValueError(f"{socket} is named twice")
    to.append(socket)


def _add_trunk(places: Places, name: str, address: IPv4Address) -> None:
    if places.trunks.setdefault(address, name) != name:
        raise ValueError(f"{address} is the trunk {places.trunks[address]} already")


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("a name is a small letter, and up to 30 small letters, digits, hyphens")
    return name


def _address(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise ValueError("an address is one of IPv4, like 192.0.2.1") from None


def proxy_tables(cells: Sequence[Cell], places: Places) -> dict[str, str]:
    """
    What a proxy in front has to know, as the texts of its files.

    Args:
        cells: All cells.
        places: Their machines, and the trunks.

    Returns:
        By the names of files, in the order in which they are to be written and read: what a block
        leads to is there before the block is.

    Raises:
        ValueError: A cell that has blocks has no node, or a machine is of no cell.
    """
    strange = (places.nodes.keys() | places.doors.keys()) - {cell.name for cell in cells}
    if strange:
        known = ", ".join(cell.name for cell in cells)
        raise ValueError(f"there is no cell {', '.join(sorted(strange))}, only {known}")
    for cell in cells:
        if cell.blocks and cell.name not in places.nodes:
            raise ValueError(f"cell {cell.name} has blocks, and no node is named for it")
    sets = [(_OUT, places.out)]
    for cell in cells:
        first = _FIRST_SET + cell.number
        sets.append((first, places.nodes.get(cell.name, [])))
        sets.append((first + _DOORS, places.doors.get(cell.name, [])))
    return {
        "dispatcher.list": "".join(
            f"{number} sip:{socket}\n" for number, sockets in sorted(sets) for socket in sockets
        ),
        "trunks": _table((str(each), _TEXT, name) for each, name in places.trunks.items()),
        "blocks": _table(
            (str(block), _INTEGER, str(_FIRST_SET + cell.number))
            for cell in cells
            for block in cell.blocks
        ),
    }


def _table(rows: Iterable[tuple[str, int, str]]) -> str:
    """
    A table of db_text, in which the key of a row is text.
    """
    lines = [f"{key}:{_TEXT}:{kind}:{value}:0\n" for key, kind, value in rows]
    return _COLUMNS + "".join(lines)

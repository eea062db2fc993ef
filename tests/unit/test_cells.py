"""Cells: what is written of machines, and the tables of a proxy made of it."""

from __future__ import annotations

import re

import pytest

from agi_router.inventory.cells import Cell, proxy_tables, read_places
from agi_router.numbers import Block

_PLACES = """
# in front
node north 192.0.2.11
node north 192.0.2.12:5070   # the second
node south 192.0.2.21
door south 192.0.2.21:5062
trunk beijing 198.51.100.1
trunk beijing 198.51.100.2
out beijing 198.51.100.3:5080
"""


def cell(number: int, name: str, *blocks: str) -> Cell:
    """A cell."""
    made = tuple(Block.parse(block) for block in blocks)
    return Cell(number=number, name=name, away=False, blocks=made)


CELLS = [
    cell(0, "north", "70012345678", "70012345679"),
    cell(1, "south", "70012345680"),
    cell(2, "empty"),
]


def test_tables() -> None:
    """A block leads to the nodes of its cell, an address to the name of its trunk."""
    tables = proxy_tables(CELLS, read_places(_PLACES))
    assert tables["dispatcher.list"].splitlines() == [
        "1 sip:192.0.2.11:5060",
        "1 sip:192.0.2.12:5070",
        "2 sip:192.0.2.21:5060",
        "1002 sip:192.0.2.21:5062",
        "2001 sip:198.51.100.3:5080",
    ]
    columns, *blocks = tables["blocks"].splitlines()
    assert re.findall(r"(\w+)\(", columns) == [
        "key_name",
        "key_type",
        "value_type",
        "key_value",
        "expires",
    ]
    assert blocks == ["70012345678:0:1:1:0", "70012345679:0:1:1:0", "70012345680:0:1:2:0"]
    assert tables["trunks"].splitlines()[1:] == [
        "198.51.100.1:0:0:beijing:0",
        "198.51.100.2:0:0:beijing:0",
        "198.51.100.3:0:0:beijing:0",
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("proxy north 192.0.2.1", "line 2: a line is 'node', 'door', 'trunk' or 'out'"),
        ("node north", "line 2: a line is"),
        ("node North 192.0.2.1", "line 2: a name is a small letter"),
        ("trunk a\tb 192.0.2.1", "line 2: a line is"),
        ("node north example.com", "line 2: an address is one of IPv4"),
        ("node north 192.0.2.1:", "line 2: a port is a whole number from 1 to 65535"),
        ("node north 192.0.2.1:65536", "line 2: a port is"),
        ("node north 192.0.2.1:٥٠٦٠", "line 2: a port is"),
        ("trunk other 198.51.100.9", "line 2: 198.51.100.9 is the trunk beijing already"),
        ("out beijing 198.51.100.9\nnode north 198.51.100.9:5060", "line 3: .* is named twice"),
    ],
)
def test_what_cannot_be_read(line: str, said: str) -> None:
    """The line is named, and what it should be."""
    with pytest.raises(ValueError, match=said):
        read_places(f"trunk beijing 198.51.100.9\n{line}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("node north 192.0.2.1", "cell south has blocks, and no node is named for it"),
        (f"{_PLACES}\nnode west 192.0.2.9", "there is no cell west, only north, south, empty"),
    ],
)
def test_what_does_not_fit(text: str, said: str) -> None:
    """No block leads nowhere, and no machine is of nobody."""
    with pytest.raises(ValueError, match=said):
        proxy_tables(CELLS, read_places(f"{text}\ntrunk beijing 198.51.100.1"))


def test_no_trunk() -> None:
    """Without one nobody could call."""
    with pytest.raises(ValueError, match="no trunk is named"):
        read_places("# nothing\n")

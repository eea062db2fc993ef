"""
Who is where: each server has an address of its own, all of one loopback.

The carrier, where phones call from and are called, is at the first address of it.
"""

from dataclasses import dataclass

from testpbx.state import CARRIER_OUT_PORT, HOST, SIP_PORT

__all__ = ["CARRIER_OUT", "CELLS", "FRONT", "GLOBAL", "MOVING", "SIP", "Cell", "Machine", "places"]


@dataclass(frozen=True, slots=True)
class Machine:
    """A name and an address."""

    name: str
    host: str


@dataclass(frozen=True, slots=True)
class Cell:
    """
    A cell as it is at first.

    Attributes:
        number: Its number.
        name: What people call it.
        block: A block that it has.
    """

    number: int
    name: str
    block: str

    @property
    def nodes(self) -> tuple[Machine, Machine]:
        """Its Asterisks, each with a router."""
        return self._machine("1", 1), self._machine("2", 2)

    @property
    def databases(self) -> tuple[Machine, Machine]:
        """Its PostgreSQL, and the standby of it."""
        return self._machine("a", 11), self._machine("b", 12)

    @property
    def hosts(self) -> str:
        """Both of them, as libpq has them."""
        return ",".join(each.host for each in self.databases)

    def _machine(self, word: str, last: int) -> Machine:
        return Machine(f"{self.name}-{word}", f"127.0.{self.number + 1}.{last}")


CELLS = (Cell(0, "north", "70012345678"), Cell(1, "south", "70012345679"))
MOVING = "70012345670"
"""A block of the first cell that is moved to the second one."""
GLOBAL = Machine("global", "127.0.0.20")
FRONT = Machine("front", "127.0.0.10")
SIP = (FRONT.host, SIP_PORT)
CARRIER_OUT = (HOST, CARRIER_OUT_PORT)


def places() -> str:
    """What `agi-router cell export` has to know."""
    nodes = [f"node {cell.name} {node.host}" for cell in CELLS for node in cell.nodes]
    carrier = [f"trunk carrier {HOST}", f"out carrier {HOST}:{CARRIER_OUT_PORT}"]
    return "\n".join([*nodes, *carrier, ""])

"""
The command `tests/bench/run cells`: what it costs to admit a call in a cell, and by the proxy.

CPU seconds of all servers, for each admission of a router's store: on one database, in a cell, and
through the global database of two cells; in turns.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import asyncio
import json
import secrets
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from statistics import median

from agi_router.bindings.modes import Axb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import connect
from agi_router.keys.ring import KeyRing
from agi_router.numbers import Block, XNumber
from harness.cells import Cells
from harness.database import HOUR, NO_REST, Server, a_call, new_call_id, until_async
from harness.values import BLOCK, A, B

from .cpu import Taken

_BLOCKS = [Block(value=BLOCK.value + place) for place in range(8)]
_NUMBERS = 50
"""How many of each block are bound."""
_SESSIONS = 4
_WARM = 50
"""Calls of each session before the first round."""


def seed(dsn: str, keys: KeyRing, blocks: Sequence[Block]) -> list[XNumber]:
    """Bind A and B on some numbers of these blocks; returns the numbers."""
    numbers = [block.number(place) for block in blocks for place in range(1, _NUMBERS + 1)]
    with connect(dsn, idle=0) as connection:
        store = BindingStore(connection, keys, NO_REST)
        for block in blocks:
            store.inventory.add_block(block, operator=None, certificate=None)
        for number in numbers:
            store.bind(Axb(a=A, b=B), Terms(expires_at=store.now() + HOUR), x=number)
    return numbers


class Way:
    """A way by which calls are admitted: a store that is open, and what stands behind it."""

    def __init__(
        self,
        admissions: AdmissionStore,
        places: Sequence[Sequence[XNumber]],
        servers: Sequence[Server],
    ) -> None:
        self._admissions = admissions
        self._places = places
        self._servers = servers
        self.cpu: list[int] = []
        """Of each round, nanoseconds of CPU that all servers took."""
        self.waits: list[float] = []
        """Of each call, milliseconds that it waited."""

    async def round(self, args: argparse.Namespace) -> None:
        """
        Admit calls, so many at once, all in one database.

        Cells have machines of their own. Asked in turns on this one, each would find its caches
        full of the other's; and whoever has had the round before would find them his own, so some
        calls come first that are not counted.
        """
        numbers = self._places[len(self.cpu) % len(self._places)]
        waits = len(self.waits)
        await self._calls(_WARM, numbers)
        del self.waits[waits:]
        before = self._used()
        each = args.calls // args.clients
        await asyncio.gather(*(self._calls(each, numbers) for _ in range(args.clients)))
        self.cpu.append(self._used() - before)

    async def warm(self) -> None:
        """Each session plans its statements anew for a while."""
        for numbers in self._places:
            await asyncio.gather(*(self._calls(_WARM, numbers) for _ in range(_SESSIONS)))
        self.waits.clear()

    async def _calls(self, count: int, numbers: Sequence[XNumber]) -> None:
        """Admit calls one after the other."""
        for _ in range(count):
            began = time.perf_counter()
            call = a_call(A, secrets.choice(numbers))
            answer = await self._admissions.admit(call, new_call_id(), timeout=10.0)
            assert answer.admitted
            self.waits.append(1000 * (time.perf_counter() - began))

    def _used(self) -> int:
        """Nanoseconds; their processes are the same from the first call to the last."""
        return sum(Taken.by(pid).cpu for server in self._servers for pid in server.processes())


async def measure(args: argparse.Namespace) -> dict[str, Way]:
    """The rounds, in turns, and each time in the other order."""
    keys = KeyRing.generate()
    with ExitStack() as stack:
        one_box, cells = stack.enter_context(Server("15")), stack.enter_context(Cells())
        alone, many = one_box.clone(), cells.clone()
        numbers = seed(many, keys, _BLOCKS)
        cells.hurry()
        north = cells.dsns(many)[0]
        with connect(north) as connection:
            rows = connection.execute("SELECT block FROM agi_router.block ORDER BY block")
            blocks = [Block(value=row["block"]) for row in rows.fetchall()]
        # The same in one database as in one cell.
        of_north = seed(alone, keys, blocks)
        of_south = [number for number in numbers if number.block not in blocks]
        many_servers = [cells.front, *cells.cells]
        async with AsyncExitStack() as open_stores:

            async def way(dsn: str, servers: Sequence[Server], *places: Sequence[XNumber]) -> Way:
                store = AdmissionStore(dsn, keys, connections=_SESSIONS)
                await open_stores.enter_async_context(store)
                await until_async(lambda: store.pool.connected)
                made = Way(store, places, servers)
                await made.warm()
                return made

            ways = {
                "one database": await way(alone, [one_box], of_north),
                "a cell": await way(north, [cells.cells[0]], of_north),
                "the proxy": await way(many, many_servers, of_north, of_south),
            }
            turn = [*ways.values()]
            for _ in range(args.rounds):
                for each in turn:
                    await each.round(args)
                turn.reverse()
    return ways


def figures(found: dict[str, Way], calls: int) -> dict[str, dict[str, float]]:
    """Of each way the CPU of a call, its ratio to one database, and what a call waits."""
    alone = found["one database"].cpu
    return {
        name: {
            "cpu_ms": round(sum(way.cpu) / len(way.cpu) / calls / 1e6, 4),
            # Each round beside that of one database: whatever else the machine does is in both.
            "ratio": round(median(a / b for a, b in zip(way.cpu, alone, strict=True)), 3),
            "ratio_of_sums": round(sum(way.cpu) / sum(alone), 3),
            "p50_ms": round(median(way.waits), 2),
        }
        for name, way in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/run cells", description=__doc__)
    parser.add_argument("--calls", type=int, default=300, help="of a round; default 300")
    parser.add_argument("--clients", type=int, default=1, help="calls at once; default 1")
    parser.add_argument("--rounds", type=int, default=40, help="of each; default 40")
    parser.add_argument("--json", type=Path, help="also write the result there")
    args = parser.parse_args()
    found = figures(asyncio.run(measure(args)), args.calls // args.clients * args.clients)
    print("| admissions by | CPU ms | ÷ one database | of all rounds | p50 ms |")
    print("|---|--:|--:|--:|--:|")
    for name, row in found.items():
        print(f"| {name} | " + " | ".join(map(str, row.values())) + " |")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1), "utf-8")


if __name__ == "__main__":
    main()

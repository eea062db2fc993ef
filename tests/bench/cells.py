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

from .cpu import Processes

_BLOCKS = [Block(value=BLOCK.value + place) for place in range(8)]
_NUMBERS = 50
"""How many of each block are bound."""


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


async def admit(
    dsn: str,
    keys: KeyRing,
    numbers: Sequence[XNumber],
    servers: Sequence[Server],
    args: argparse.Namespace,
) -> tuple[float, float]:
    """CPU milliseconds for each admission, and the median of what one waits, in milliseconds."""
    waits: list[float] = []
    async with AdmissionStore(dsn, keys, connections=4) as admissions:
        await until_async(lambda: admissions.pool.connected)

        async def calls(count: int) -> None:
            for _ in range(count):
                began = time.perf_counter()
                call = a_call(A, secrets.choice(numbers))
                answer = await admissions.admit(call, new_call_id(), timeout=10.0)
                assert answer.admitted
                waits.append(1000 * (time.perf_counter() - began))

        def used() -> float:
            seen = Processes()
            return sum(seen.cpu(server.pid) for server in servers)

        await calls(100)
        waits.clear()
        before = used()
        await asyncio.gather(*(calls(args.calls // args.clients) for _ in range(args.clients)))
        spent = used() - before
    return 1000 * spent / len(waits), median(waits)


async def measure(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """The rounds, in turns."""
    keys = KeyRing.generate()
    found: dict[str, list[tuple[float, float]]] = {}
    with Server("15") as one_box, Cells() as cells:
        alone, many = one_box.clone(), cells.clone()
        numbers = seed(many, keys, _BLOCKS)
        cells.hurry()
        with connect(cells.dsns(many)[0]) as north:
            rows = north.execute("SELECT block FROM agi_router.block ORDER BY block").fetchall()
        # The same in one database as in one cell.
        of_north = seed(alone, keys, [Block(value=row["block"]) for row in rows])
        ways: dict[str, tuple[str, Sequence[XNumber], Sequence[Server]]] = {
            "one database": (alone, of_north, [one_box]),
            "a cell": (cells.dsns(many)[0], of_north, [cells.cells[0]]),
            "the proxy": (many, numbers, [cells.front, *cells.cells]),
        }
        for _ in range(args.rounds):
            for name, (dsn, some, servers) in ways.items():
                found.setdefault(name, []).append(await admit(dsn, keys, some, servers, args))
    return {
        name: {
            "cpu_ms": round(median(cpu for cpu, _ in rounds), 3),
            "p50_ms": round(median(wait for _, wait in rounds), 2),
            "spread": round(max(cpu for cpu, _ in rounds) / min(cpu for cpu, _ in rounds), 2),
        }
        for name, rounds in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/run cells", description=__doc__)
    parser.add_argument("--calls", type=int, default=4000, help="of a round; default 4000")
    parser.add_argument("--clients", type=int, default=8, help="calls at once; default 8")
    parser.add_argument("--rounds", type=int, default=5, help="of each; default 5")
    parser.add_argument("--json", type=Path, help="also write the result there")
    args = parser.parse_args()
    found = asyncio.run(measure(args))
    alone = found["one database"]["cpu_ms"]
    print(
        "| admissions by | CPU ms | ÷ one database | max ÷ min | p50 ms |\n|---|--:|--:|--:|--:|"
    )
    for name, row in found.items():
        print(
            f"| {name} | {row['cpu_ms']} | {row['cpu_ms'] / alone:.2f} | {row['spread']}"
            f" | {row['p50_ms']} |"
        )
    if args.json:
        args.json.write_text(json.dumps(found, indent=1), "utf-8")


if __name__ == "__main__":
    main()

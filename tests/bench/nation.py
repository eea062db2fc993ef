"""
The command `tests/bench/run nation`: the machines for a nation's orders, by what was measured.

The figures stand in ``nation.json``, each with where it comes from: a test compares those of pages
and of other benches. Those of WAL and of rows are its own (``--measure``): they are the same on a
busy machine. What is assumed of people and of machines stands in this file.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Final

__all__ = ["FIGURES", "Assumed", "figures", "table"]

FIGURES: Final = Path(__file__).with_name("nation.json")
_DAY: Final = 86_400
_TB: Final = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """
    What no bench can say.
    """

    orders: float = 350e6
    """Of a day; each is one binding."""
    calls: float = 2.5
    """Of an order."""
    talk: float = 40.0
    """Seconds of a call, those that nobody answers included."""
    texts: float = 0.2
    """Of an order."""
    peak: float = 4.0
    """The busiest minute ÷ the mean of the day: 2.5 to 3 by the hours, 1.5 on a festival."""
    busy: float = 0.6
    """Share of a core that may be used at that time."""
    node_cores: int = 16
    """Of an Asterisk with its routers."""
    database_cores: int = 16
    nodes: int = 8
    """Of a cell; one of them may fail at the peak."""
    life: float = 2.0 * 3600
    """Seconds for which a binding lives."""
    kept: float = 190.0
    """Days for which bindings and calls are kept."""
    copies: int = 3
    """Of each database: a primary and two standbys."""


def figures() -> dict[str, float]:
    """What was measured, by name."""
    return {name: each["value"] for name, each in _read().items()}


def _read() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(FIGURES.read_text("utf-8"))
    return found


class Load:
    """
    What there is to do at the peak.

    Args:
        assumed: Of people.
    """

    def __init__(self, assumed: Assumed) -> None:
        self.binds = assumed.orders / _DAY * assumed.peak
        """A second, as the next two."""
        self.calls = self.binds * assumed.calls
        self.texts = self.binds * assumed.texts
        self.up = self.calls * assumed.talk
        """Calls at one moment."""


def cores(m: Mapping[str, float], a: Assumed) -> dict[str, tuple[str, float]]:
    """The cores that are needed, and how that follows, by what they are for."""
    load = Load(a)
    found = {}
    for name, what, each, rate in (
        (
            "calls",
            "calls: Asterisk, routers",
            m["asterisk_ms_per_call"] + m["router_ms_per_call"],
            load.calls,
        ),
        ("talk", "talk, native bridge and guard", m["talk_ms_per_second"], load.up),
        ("simple", "talk by the simple bridge instead", m["simple_ms_per_second"], load.up),
        ("texts", "texts: doors", m["door_ms_per_text"], load.texts),
        ("front", "Kamailio", m["kamailio_ms_per_call"], load.calls),
        ("doors", "HTTP doors", m["door_ms_per_bind"], load.binds),
        ("proxy", "the global database", m["proxy_ms_per_bind"], load.binds),
        ("calls_kept", "PostgreSQL in cells: calls", m["postgres_ms_per_call"], load.calls),
        ("binds_kept", "PostgreSQL in cells: binds", m["postgres_ms_per_bind"], load.binds),
        ("texts_kept", "PostgreSQL in cells: texts", m["postgres_ms_per_text"], load.texts),
    ):
        how = f"{what} | {each:.4g} ms × {rate:,.0f} ÷ {a.busy:g}"
        found[name] = how, rate * each / 1000 / a.busy
    return found


def lines(m: Mapping[str, float], a: Assumed) -> Iterator[tuple[str, str, str]]:
    """What there is to be, how it follows, and how much of it."""
    load = Load(a)
    binds = f"{a.orders / 1e6:g} million ÷ {_DAY:,} × {a.peak:g}"
    yield "binds a second at the peak", binds, f"{load.binds:,.0f}"
    yield "calls a second", f"× {a.calls:g}", f"{load.calls:,.0f}"
    yield "texts a second", f"× {a.texts:g}", f"{load.texts:,.0f}"
    yield "calls that are up", f"× {a.talk:g} s", f"{load.up:,.0f}"
    needed = cores(m, a)
    for told, count in needed.values():
        what, _, how = told.partition(" | ")
        yield f"cores for {what}", how, f"{count:,.0f}"
    of = {name: count for name, (_, count) in needed.items()}
    nodes = (of["calls"] + of["talk"] + of["texts"]) / a.node_cores
    databases = (of["calls_kept"] + of["binds_kept"] + of["texts_kept"]) / a.database_cores
    cells = max(ceil(nodes / (a.nodes - 1)), ceil(databases))
    how = f"{nodes:,.0f} nodes of {a.node_cores} cores, {a.nodes - 1} of {a.nodes} of a cell"
    yield "cells", f"{how}; the databases would need {ceil(databases)}", f"{cells:,}"
    yield from _of_a_cell(m, a, cells, databases)
    counts = {
        "Asterisk with routers and doors for texts": cells * a.nodes,
        "PostgreSQL of cells": cells * a.copies,
        "Kamailio": ceil(of["front"] / a.node_cores) + 2,
        "HTTP doors": ceil(of["doors"] / a.node_cores) + 2,
        "the global database": a.copies * ceil(of["proxy"] / a.database_cores),
    }
    for name, count in counts.items():
        yield f"machines: {name}", "", f"{count:,}"
    yield "machines in all", f"of {a.node_cores} cores", f"{sum(counts.values()):,}"
    added = (of["simple"] - of["talk"]) / a.node_cores / (a.nodes - 1) * a.nodes
    yield "… more by the simple bridge", "", f"{added:,.0f}"


def _of_a_cell(
    m: Mapping[str, float], a: Assumed, cells: int, databases: float
) -> Iterator[tuple[str, str, str]]:
    """What one cell has of it, and its disks."""
    load = Load(a)
    yield "calls a second in a cell", "", f"{load.calls / cells:,.0f}"
    yield "binds a second in a cell", "", f"{load.binds / cells:,.0f}"
    up = load.up / cells / (a.nodes - 1)
    yield "calls that are up on a node", f"{a.nodes - 1} of {a.nodes}", f"{up:,.0f}"
    used = 100 * databases / cells * a.busy
    yield "its primary's cores in use", f"of {a.database_cores}", f"{used:.0f} %"
    wal = m["wal_per_bind"] + a.calls * m["wal_per_call"]
    yield "WAL of an order", "a bind and its calls", f"{wal / 1000:.1f} kB"
    rate = wal * load.binds / cells / 1e6
    yield "WAL of a cell at the peak", f"× {load.binds / cells:,.0f}", f"{rate:.1f} MB/s"
    alive = a.orders / _DAY * a.life / 1e6
    yield "bindings alive", f"for {a.life / 3600:g} h", f"{alive:.0f} million"
    row = m["bytes_per_binding"] + m["bytes_per_routes"] + a.calls * m["bytes_per_call"]
    disk = row * a.orders * a.kept / _TB
    how = f"{row / 1000:.2f} kB an order; a copy"
    yield f"disk for {a.kept:g} days", how, f"{disk:,.0f} TB, {disk / cells:.1f} TB a cell"


def table(measured: Mapping[str, float], assumed: Assumed) -> str:
    """The same as a table in Markdown."""
    rows = ["| what | how | |", "|---|---|--:|"]
    rows += [f"| {what} | {how} | {value} |" for what, how, value in lines(measured, assumed)]
    return "\n".join(rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/run nation", description=__doc__)
    parser.add_argument(
        "--measure", type=int, metavar="N", help="WAL and rows of N binds and calls"
    )
    for name, kind in (("orders", float), ("calls", float), ("talk", float), ("peak", float)):
        parser.add_argument(f"--{name}", type=kind, default=getattr(Assumed(), name))
    args = parser.parse_args()
    if args.measure:
        from .sizes import measure  # noqa: PLC0415 - it needs a server, the arithmetic none

        found = asyncio.run(measure(args.measure))
        known = _read()
        for name, value in found.items():
            known[name]["value"] = value
        FIGURES.write_text(json.dumps(known, indent=2, ensure_ascii=False) + "\n", "utf-8")
    assumed = Assumed(orders=args.orders, calls=args.calls, talk=args.talk, peak=args.peak)
    print(table(figures(), assumed), end="")


if __name__ == "__main__":
    main()

"""
The demo of many: calls through all of it while its parts die, and what each caller saw.

1. Bindings are made in the global database, which sends each to the cell of its number.
2. What callers saw is read off the wire, both sides; the books of the cells are compared with it.
3. Each line is called one way only, so whoever else rings was rung wrongly.
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from agi_router.bindings.modes import Axb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.db.connection import connect
from agi_router.numbers import Block, PhoneNumber
from agi_router.settings import Settings
from testpbx.cells.plan import CARRIER_OUT, CELLS, SIP, Cell
from testpbx.cells.site import Site, say
from testpbx.cells.traffic import RATE, Books, Line, Seen, Traffic, now
from testpbx.demo import HAN, LI, Attempt, Result, as_columns, check, identity, table
from testpbx.errors import PbxError
from testpbx.phones import Phones
from testpbx.waiting import until

__all__ = ["demo"]

# Lines of each cell in each scene: as many calls as there are in a second.
_LINES = RATE // len(CELLS)
_LIFE = timedelta(hours=1)
# Calls that have to be answered before a fault, and after it.
_BEFORE, _AFTER = 15, 20
_WORDS = {0: "no answer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    A row of the table: what the callers of one cell saw in one scene.

    Attributes:
        scene: What happened meanwhile.
        cell: The cell that they called.
        seen: What they saw.
        books: What is in the books of it.
    """

    scene: str
    cell: str
    seen: Seen
    books: Books

    @property
    def differences(self) -> list[str]:
        """What is not as it has to be."""
        seen, books = self.seen, self.books
        whole = seen.connected - seen.cut
        found = []
        if seen.wrong:
            found.append(f"{seen.wrong} calls rang at somebody else")
        if seen.leaks:
            found.append(f"{seen.leaks} leaks")
        if not seen.connected:
            found.append("nobody was connected")
        if seen.connected + sum(seen.refused.values()) != seen.tried:
            found.append("some calls have no end")
        if books.used != books.answered or abs(books.answered - whole) > seen.near:
            found.append(
                f"{whole} callers talked to the end, and there are {books.answered} rows"
                f" and {books.used} uses"
            )
        return [f"{self.scene}, {self.cell}: {each}" for each in found]

    def printed(self) -> tuple[str, ...]:
        """What is printed of it."""
        seen, books = self.seen, self.books
        refused = {_WORDS.get(status, str(status)): n for status, n in seen.refused.items()}
        return (
            self.scene,
            self.cell,
            str(seen.tried),
            str(seen.connected),
            str(seen.cut or "-"),
            _so_many(refused),
            _so_many(books.reasons),
            f"{seen.gap:.1f} s",
            str(seen.wrong),
            str(seen.leaks),
            f"{books.used} = {books.answered} = {seen.connected - seen.cut}",
            "DIFFERS" if self.differences else "ok",
        )


_HEAD = (
    *("while", "called", "calls", "connected", "cut off", "refused", "on record", "longest gap"),
    *("wrong rings", "leaks", "uses = rows = talked", ""),
)


def _so_many(what: Mapping[str, int]) -> str:
    return ", ".join(f"{count} × {word}" for word, count in sorted(what.items())) or "-"


def counts(rows: Sequence[Row]) -> str:
    """Render the rows for people."""
    return as_columns([_HEAD, *(row.printed() for row in rows)])


class Demo:
    """
    One run.

    Args:
        site: It is up, and nobody has called yet.
        work: Directory for the captures.
    """

    def __init__(self, site: Site, work: Path) -> None:
        self._site = site
        self._phones = Phones(work, sip=SIP, carrier_out=CARRIER_OUT)
        self._serial = itertools.count(1)
        self._recorded: dict[str, int] = {}
        self.scenes: list[Callable[[], list[Row]]] = [self.asterisk_killed, self.primary_killed]

    def both_ways(self) -> list[Result]:
        """In each cell, A calls B and B calls A by their number."""
        return [each for cell in CELLS for each in self._both_ways(cell)]

    def _both_ways(self, cell: Cell) -> Iterator[Result]:
        x = f"{cell.block}{next(self._serial):04}"
        pair = ("--a", LI.number, "--b", HAN.number)
        self._cli("bind", "axb", *pair, "--x", x)
        for way, caller, callee in (("A→X→B", LI, HAN), ("B→X→A", HAN, LI)):
            attempt = Attempt(
                title=f"{cell.name}: {way}",
                caller=caller,
                dialled=x,
                parties=(LI, HAN),
                rings=callee,
                why="answered",
            )
            call = self._phones.call(
                caller.number,
                x,
                name=caller.name,
                headers=[identity(caller)],
                callee_headers=[identity(callee)],
            )
            yield check(attempt, call, self._record(x))

    def asterisk_killed(self) -> list[Row]:
        """One of two Asterisks of a cell dies; it is started again when others have called."""
        north = CELLS[0]
        node = self._site.nodes[north.nodes[0].name]
        say("calls to both cells; an Asterisk of the north is killed")
        lines = self._lines()
        with Traffic(self._site, self._phones, lines) as traffic:
            self._warm(traffic)
            death = now()
            node.kill_asterisk()
            traffic.connects(_AFTER, cell=north, since=death)
            say("it is started again")
            node.start_asterisk()
            traffic.connects(_BEFORE, cell=north, since=now())
        return self._rows("an Asterisk of the north is killed", traffic, lines, death=death)

    def primary_killed(self) -> list[Row]:
        """The primary of a cell dies, and its standby is promoted."""
        north = CELLS[0]
        say("calls to both cells; the primary of the north is killed, and its standby promoted")
        lines = self._lines()
        with Traffic(self._site, self._phones, lines) as traffic:
            self._warm(traffic)
            self._site.primary(north).kill()
            self._site.standby(north).promote()
            promoted = now()
            traffic.connects(_AFTER, cell=north, since=promoted)
        # The global database is told where to ask from now on.
        self._site.follow_primary(north, north.databases[1])
        return self._rows("the primary of the north is killed", traffic, lines)

    def _warm(self, traffic: Traffic) -> None:
        began = now()
        for cell in CELLS:
            traffic.connects(_BEFORE, cell=cell, since=began)

    def _rows(
        self, scene: str, traffic: Traffic, lines: Sequence[Line], *, death: datetime | None = None
    ) -> list[Row]:
        rows = []
        for cell in CELLS:
            own = [line for line in lines if line.cell == cell]
            seen = traffic.seen(own, death=death if cell is CELLS[0] else None)
            rows.append(Row(scene=scene, cell=cell.name, seen=seen, books=traffic.books(own)))
        return rows

    def _lines(self) -> list[Line]:
        """New lines in both cells, half of them from A to B and half from B to A."""
        settings = Settings.from_env(self._site.env)
        lines = []
        with connect(settings.dsn) as connection:
            store = BindingStore(connection, settings.load_keys())
            terms = Terms(expires_at=store.now() + _LIFE)
            for cell in CELLS * _LINES:
                serial = next(self._serial)
                # Nothing of the one is found in the other.
                a, b = f"136{serial * 9973:08}", f"137{serial * 7919 + 50_000_000:08}"
                parties = Axb(a=PhoneNumber(digits=a), b=PhoneNumber(digits=b))
                x = Block.parse(cell.block).number(serial)
                made = store.bind(parties, terms, x=x)
                caller, callee = (a, b) if serial % 4 < 2 else (b, a)  # noqa: PLR2004 - both in each cell
                lines.append(
                    Line(cell=cell, caller=caller, callee=callee, x=x.digits, binding=str(made.id))
                )
        return lines

    def _record(self, x: str) -> Any:
        """The newest call on a number, once it is settled."""
        found: list[Any] = []

        def settled() -> bool:
            found[:] = [r for r in self._cli("calls", "--x", x) if r["state"] == "settled"]
            return len(found) > self._recorded.get(x, 0)

        if not until(settled, timeout=60):
            raise PbxError("a call is not on record")
        self._recorded[x] = len(found)
        return found[0]

    def _cli(self, *arguments: str) -> Any:
        done = subprocess.run(
            ["agi-router", *arguments, "--json"],
            env=self._site.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PbxError(f"agi-router {arguments[0]}: {done.stderr.strip()}")
        return json.loads(done.stdout)


def demo(site: Site, *, as_json: bool) -> bool:
    """Run it, and print the tables; returns whether all is as it has to be."""
    work = Path(tempfile.mkdtemp(prefix="agi-router-cells-"))
    began = time.monotonic()
    run = Demo(site, work)
    say("calls both ways in both cells")
    results = run.both_ways()
    rows = [row for scene in run.scenes for row in scene()]
    differences = [
        *(f"{each.attempt.title}: {what}" for each in results for what in each.differences),
        *(what for row in rows for what in row.differences),
    ]
    text = f"{table(results)}\n\n{counts(rows)}"
    if as_json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "differences": differences}))
    print(f"\n{text}\n", file=sys.stderr if as_json else sys.stdout)
    for each in differences:
        say(each)
    calls = len(results) + sum(row.seen.tried for row in rows)
    if differences:
        say(f"{len(differences)} differences; captures are in {work}")
        return False
    shutil.rmtree(work)
    say(f"{calls} calls, each as it has to be, in {time.monotonic() - began:.0f} s")
    return True

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
from contextlib import contextmanager
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
from testpbx.cells.plan import CARRIER_OUT, CELLS, MOVING, SIP, Cell, Machine
from testpbx.cells.site import Site, say
from testpbx.cells.traffic import FORBIDDEN, RATE, Books, Line, Seen, Traffic, now
from testpbx.demo import HAN, LI, Attempt, Result, as_columns, check, identity, table
from testpbx.errors import PbxError
from testpbx.phones import Phones
from testpbx.waiting import until

__all__ = ["demo"]

NORTH, SOUTH = CELLS
BLOCKS = {cell.name: cell.block for cell in CELLS}
# Lines on each of two blocks in each scene: as many as there are calls in a second.
_LINES = RATE // 2
_LIFE = timedelta(hours=1)
# Calls that have to be answered before a fault, and after it.
_BEFORE, _AFTER = 15, 20
# The Asterisks that had calls to a number: ids begin with their names.
_HAD = """
SELECT DISTINCT substring(c.id FROM '^[a-z]+-[0-9]+') FROM agi_router.call c WHERE c.x_number = %s
"""
_WORDS = {0: "no answer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    A row of the table: what the callers of one place saw in one scene.

    Attributes:
        scene: What happened meanwhile.
        place: Where they called.
        seen: What they saw.
        books: What is in the books of their numbers.
        most: How many had to be connected; :obj:`None`: whoever could be.
    """

    scene: str
    place: str
    seen: Seen
    books: Books
    most: int | None = None

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
        if self.most not in {None, seen.connected}:
            found.append(f"{seen.connected} were connected, and not {self.most}")
        if books.used != books.answered or abs(books.answered - whole) > seen.near:
            found.append(
                f"{whole} callers talked to the end, and there are {books.answered} rows"
                f" and {books.used} uses"
            )
        return [f"{self.scene}, {self.place}: {each}" for each in found]

    def printed(self) -> tuple[str, ...]:
        """What is printed of it."""
        seen, books = self.seen, self.books
        refused = {_WORDS.get(status, str(status)): n for status, n in seen.refused.items()}
        return (
            self.scene,
            self.place,
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
        self.scenes: list[Callable[[], list[Row]]] = [
            self.ten_of_fifty,
            self.asterisk_drained,
            self.asterisk_killed,
            self.block_moved,
            self.primary_killed,
            self.tenant_switched_off,
        ]

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

    def ten_of_fifty(self) -> list[Row]:
        """A limit holds over both Asterisks of a cell."""
        say("fifty calls at once to a number of the north that has ten left")
        return [self._at_once("fifty call at once, and ten are left", 50, of=10, by=NORTH.nodes)]

    def asterisk_drained(self) -> list[Row]:
        """One of two Asterisks of a cell gets no call, as before it is upgraded."""
        say("calls to a number of the north; one of its Asterisks is drained")
        first, second = NORTH.nodes
        with self._site.drained(NORTH, first):
            return [self._at_once("an Asterisk of the north is drained", 6, of=6, by=(second,))]

    def _at_once(self, scene: str, calls: int, *, of: int, by: Sequence[Machine]) -> Row:
        """So many calls to one number with so many left, and which Asterisks had them."""
        [line] = self._lines({"a number": NORTH.block}, count=1, max_calls=of)
        traffic = Traffic(self._site, self._phones, [line]).at_once(calls)
        books = traffic.books([line])
        names = {name for (name,) in self._site.primary(NORTH).sql(_HAD, int(line.x))}
        if names != {machine.name for machine in by}:
            raise PbxError(f"{scene}: the calls came to {', '.join(sorted(names))}")
        return Row(scene=scene, place=line.place, seen=traffic.seen([line]), books=books, most=of)

    def asterisk_killed(self) -> list[Row]:
        """One of two Asterisks of a cell dies; it is started again when others have called."""
        say("calls to both cells; an Asterisk of the north is killed")
        node = self._site.nodes[NORTH.nodes[0].name]
        lines = self._lines(BLOCKS)
        with self._traffic(lines) as traffic:
            death = now()
            node.kill_asterisk()
            traffic.gets(_AFTER, place=NORTH.name, since=death)
            say("it is started again")
            node.start_asterisk()
            traffic.gets(_BEFORE, place=NORTH.name, since=now())
        return self._rows("an Asterisk of the north is killed", traffic, lines, death=death)

    def block_moved(self) -> list[Row]:
        """A block goes from one cell to the other."""
        say("calls to two blocks of the north; one of them is moved to the south")
        lines = self._lines({"north": NORTH.block, "the block": MOVING})
        with self._traffic(lines) as traffic:
            self._site.move(MOVING, SOUTH)
            traffic.gets(_AFTER, place="the block", since=now())
        taken = "SELECT count(*) FROM agi_router.call WHERE block = %s AND id LIKE 'south-%%'"
        [[count]] = self._site.primary(SOUTH).sql(taken, int(MOVING))
        if not count:
            raise PbxError("no call to the block that was moved was taken by the south")
        return self._rows("a block of the north is moved to the south", traffic, lines)

    def primary_killed(self) -> list[Row]:
        """The primary of a cell dies, and its standby is promoted."""
        say("calls to both cells; the primary of the north is killed, and its standby promoted")
        lines = self._lines(BLOCKS)
        with self._traffic(lines) as traffic:
            self._site.primary(NORTH).kill()
            self._site.standby(NORTH).promote()
            traffic.gets(_AFTER, place=NORTH.name, since=now())
        return self._rows("the primary of the north is killed", traffic, lines)

    def tenant_switched_off(self) -> list[Row]:
        """One command in the global database, when the north has a primary that was none."""
        say("calls to both cells; their tenant is switched off")
        lines = self._lines(BLOCKS)
        with self._traffic(lines) as traffic:
            self._site.cli("tenant", "suspend", "default")
            since = now()
            for cell in CELLS:
                traffic.gets(_AFTER, place=cell.name, since=since, status=FORBIDDEN)
        return self._rows("then their tenant is switched off", traffic, lines)

    @contextmanager
    def _traffic(self, lines: Sequence[Line]) -> Iterator[Traffic]:
        """Calls on some lines, from before a block is entered until it is left."""
        with Traffic(self._site, self._phones, lines) as traffic:
            began = now()
            for place in {line.place for line in lines}:
                traffic.gets(_BEFORE, place=place, since=began)
            yield traffic

    @staticmethod
    def _rows(
        scene: str, traffic: Traffic, lines: Sequence[Line], *, death: datetime | None = None
    ) -> list[Row]:
        rows = []
        for place in dict.fromkeys(line.place for line in lines):
            own = [line for line in lines if line.place == place]
            seen = traffic.seen(own, death=death if place == NORTH.name else None)
            rows.append(Row(scene=scene, place=place, seen=seen, books=traffic.books(own)))
        return rows

    def _lines(
        self, blocks: Mapping[str, str], *, count: int = _LINES, max_calls: int | None = None
    ) -> list[Line]:
        """New lines on each of some blocks, half of them from A to B and half from B to A."""
        settings = Settings.from_env(self._site.env)
        lines = []
        with connect(settings.dsn) as connection:
            store = BindingStore(connection, settings.load_keys())
            terms = Terms(expires_at=store.now() + _LIFE, max_calls=max_calls)
            # In turns: so are the calls.
            for turn, (place, block) in itertools.product(range(count), blocks.items()):
                serial = next(self._serial)
                # Nothing of the one is found in the other.
                a, b = f"136{serial * 9973:08}", f"137{serial * 7919 + 50_000_000:08}"
                parties = Axb(a=PhoneNumber(digits=a), b=PhoneNumber(digits=b))
                made = store.bind(parties, terms, x=Block.parse(block).number(serial))
                caller, callee = (b, a) if turn % 2 else (a, b)
                x = f"{block}{serial:04}"
                lines.append(
                    Line(place=place, caller=caller, callee=callee, x=x, binding=str(made.id))
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
    try:
        say("calls both ways in both cells")
        results = run.both_ways()
        rows = [row for scene in run.scenes for row in scene()]
    except BaseException:
        say(f"captures are in {work}")
        raise
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

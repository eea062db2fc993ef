"""
The site: what `up` makes, in the order of docs/operate-many.md.

All of it runs on the ground (ground.py), so `down` has nothing to ask it.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from testpbx import kamailio, pbx, processes, state
from testpbx.cells import plan
from testpbx.cells.plan import CELLS, FRONT, GLOBAL, Cell, Machine
from testpbx.cells.postgres import DATABASE, OWNER, ROLE, Postgres
from testpbx.errors import PbxError, last_line
from testpbx.rootfs import RootFs
from testpbx.state import Places, State
from testpbx.waiting import until

__all__ = ["Node", "Site", "say"]

# What the dialplan and the router have for a decision: all are on one machine here.
_PATIENCE = """
[globals](+)
AGI_ROUTER_PATIENCE=2.0
AGI_ROUTER_PATIENCE_FALLBACK=3.0
"""
_PATIENT = {"AGI_ROUTER_PATIENCE": "2.0", "AGI_ROUTER_DECISION_TIMEOUT": "1.8"}
_SOON = 60.0


def say(text: str) -> None:
    """Report progress; standard output is for the result."""
    print(f"cells: {text}", file=sys.stderr)


class Node:
    """
    An Asterisk and its router: what the test PBX is, at another address and without a database.

    Args:
        site: Where it stands.
        cell: Whose it is.
        machine: Its name and address.
    """

    def __init__(self, site: "Site", cell: Cell, machine: Machine) -> None:
        self._site = site
        self._cell = cell
        self._machine = machine
        self._root = site.inside / "roots" / machine.name
        self._places = Places(
            checkout=site.places.checkout,
            cache=site.inside / "cache",
            state=site.inside / machine.name,
        )
        self._form = RootFs(self._places)

    def start(self) -> None:
        """Make it and start it; it serves when this returns."""
        places = self._places
        self._mount()
        made = State(
            engine="rootfs",
            checkout=str(places.checkout),
            rootfs=str(self._root),
            journal=f"{self._root}/var/spool/agi-router",
            dsn=f"host={self._cell.hosts} dbname={DATABASE} user={ROLE}",
            database_port=0,
            database_password="",
            ari_password=State.password(),
            agi_secret=State.password(),
            router=True,
            complete=True,
            host=self._machine.host,
            name=self._machine.name,
            carrier=FRONT.host,
            out=f"{FRONT.host}:{state.SIP_PORT}",
        )
        state.save(places, made)
        state.new_logs(places)
        shutil.copy(self._site.key_file, places.key_file)
        self._form.prepare(made, router=True)
        with (self._root / "etc/asterisk/extensions.conf").open("a") as conf:
            conf.write(_PATIENCE)
        self._form.start_asterisk(made)
        self._form.start_router(made, {**pbx.environment(made, places), **_PATIENT})

    def kill_asterisk(self) -> None:
        """Kill Asterisk, as a machine that loses its power would."""
        pid_file = self._places.state / "asterisk.pid"
        os.kill(processes.running(pid_file), 9)
        until(lambda: not processes.running(pid_file), timeout=_SOON)

    def start_asterisk(self) -> None:
        """Start it again; its router finds it by itself."""
        if made := state.load(self._places):
            self._form.start_asterisk(made)

    @property
    def servers(self) -> dict[str, bool]:
        """Which of its servers run."""
        return {
            f"{self._machine.name} {name}": self._form.alive(name)
            for name in ("asterisk", "router", "fastagi")
        }

    def _mount(self) -> None:
        """A root of its own: a layer in memory over the one that all have."""
        layer = self._site.inside / "layers" / self._machine.name
        upper, work = layer / "upper", layer / "work"
        for each in (upper, work, self._root):
            each.mkdir(parents=True)
        options = f"lowerdir={os.environ['PBX_ROOTFS']},upperdir={upper},workdir={work}"
        mount = ["mount", "-t", "overlay", "-o", options, "overlay", str(self._root)]
        done = subprocess.run(mount, check=False, capture_output=True, text=True)
        if done.returncode:
            raise PbxError(f"no root for {self._machine.name}: {done.stderr.strip()}")


class Site:
    """
    All servers.

    Args:
        places: The checkout, where things are kept, and our state directory.
        inside: The directory in memory on the ground.
    """

    def __init__(self, places: Places, inside: Path) -> None:
        self.places = places
        self.inside = inside
        self.front = inside / "front"
        self.globally = self._postgres(GLOBAL)
        self.databases = {
            each.name: self._postgres(each) for cell in CELLS for each in cell.databases
        }
        self.nodes = {each.name: Node(self, cell, each) for cell in CELLS for each in cell.nodes}

    @property
    def data(self) -> Path:
        """Where the data of the databases are: on the disk, as they would be."""
        return self.places.cache / f"postgres-{self.places.state.name}"

    @property
    def key_file(self) -> Path:
        """The key ring that all have."""
        return self.inside / "key"

    @property
    def env(self) -> dict[str, str]:
        """With what `agi-router` asks all cells."""
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "PATH") if name in os.environ}
        return kept | {
            "AGI_ROUTER_DSN": self.globally.dsn(),
            "AGI_ROUTER_KEY_FILE": str(self.key_file),
        }

    def primary(self, cell: Cell) -> Postgres:
        """The database of a cell as it is at first."""
        return self.databases[cell.databases[0].name]

    def standby(self, cell: Cell) -> Postgres:
        """The one that takes its place."""
        return self.databases[cell.databases[1].name]

    def up(self) -> None:
        """Make all of it."""
        (self.inside / "cache").mkdir()
        say("making the databases")
        pbx.run_cli(self.env, "key", "new", "--file", str(self.key_file))
        primaries = [self.primary(cell) for cell in CELLS]
        _together(partial(self._make, each) for each in (self.globally, *primaries))
        self._join()
        say("starting the standbys, four Asterisks with their routers, and Kamailio")
        _together(
            [
                *(partial(self._follow, cell) for cell in CELLS),
                *(each.start for each in self.nodes.values()),
                self._start_front,
            ]
        )
        (self.inside / "complete").touch()

    def cli(self, *arguments: str) -> None:
        """Run `agi-router` on all cells."""
        pbx.run_cli(self.env, *arguments)

    def move(self, block: str, cell: Cell) -> None:
        """Move a block to another cell, and tell Kamailio."""
        reloads = [word for each in kamailio.reloads(self.front) for word in ("--reload", each)]
        tables = ("--kamailio", str(self.front), "--places", str(self._places_file))
        self.cli("cell", "move", block, "--to", cell.name, *tables, *reloads)

    @contextmanager
    def drained(self, cell: Cell, machine: Machine) -> Iterator[None]:
        """Have Kamailio send no call to an Asterisk of a cell until the block is left."""
        place = (str(cell.number + 1), f"sip:{machine.host}:{state.SIP_PORT}")
        kamailio.tell(self.front, "dispatcher.set_state", "dx", *place)
        yield
        kamailio.tell(self.front, "dispatcher.set_state", "ax", *place)

    @property
    def servers(self) -> dict[str, bool]:
        """Which servers run."""
        found = {f"{each.machine.name} postgres": each.runs for each in self._all_databases()}
        for node in self.nodes.values():
            found |= node.servers
        found["front kamailio"] = bool(processes.running(self._front_pid))
        return found

    def describe(self) -> dict[str, Any]:
        """What `up --json` prints."""
        return {
            "sip": "{}:{}".format(*plan.SIP),
            "carrier_out": "{}:{}".format(*plan.CARRIER_OUT),
            "env": {name: value for name, value in self.env.items() if name.startswith("AGI_")},
            "servers": self.servers,
        }

    @property
    def _front_pid(self) -> Path:
        return self.inside / "front.pid"

    @property
    def _places_file(self) -> Path:
        return self.front / "places"

    def _all_databases(self) -> list[Postgres]:
        return [self.globally, *self.databases.values()]

    def _postgres(self, machine: Machine) -> Postgres:
        return Postgres(
            machine,
            home=self.data,
            state=self.inside,
            logs=self.inside / "cache",
            settings=self.places.checkout / "docker/postgres/postgresql.conf",
        )

    def _make(self, database: Postgres) -> None:
        """Make a database of agi_router."""
        database.make()
        owner = self.env | {"AGI_ROUTER_DSN": database.dsn(OWNER)}
        pbx.run_cli(owner, "db", "migrate")
        pbx.run_cli(owner, "db", "grant", ROLE)

    def _join(self) -> None:
        """Make three databases one: two cells, and the global one before them."""
        overlay = self.places.checkout / "sql/cells"
        for cell in CELLS:
            self.primary(cell).sql("CREATE ROLE agi_mover LOGIN")
            self.primary(cell).load(overlay / "cell.sql")
            self.primary(cell).sql("SELECT agi_cells.become(%s)", cell.number)
        self.globally.load(overlay / "global.sql")
        for cell in CELLS:
            self.globally.sql(
                "INSERT INTO agi_cells.cell (id, name, host, dbname, login)"
                " VALUES (%s, %s, %s, %s, %s)",
                *(cell.number, cell.name, cell.hosts, DATABASE, ROLE),
            )
        self.globally.sql("SELECT agi_cells.compose()")
        owner = self.env | {"AGI_ROUTER_DSN": self.globally.dsn(OWNER)}
        pbx.run_cli(owner, "db", "grant", ROLE)
        for cell in CELLS:
            self.primary(cell).sql("TRUNCATE agi_router.tenant, agi_router.key CASCADE")
            self.primary(cell).sql(
                f"CREATE SUBSCRIPTION agi_cell_{cell.number}"
                f" CONNECTION '{self.globally.dsn('postgres')}'"
                f" PUBLICATION agi_cell_{cell.number}"
            )
        # Six seconds before each talk of so many.
        pbx.run_cli(owner, "tenant", "notice", "default", "off")
        pbx.run_cli(owner, "tenant", "rules", "default", "--no-order", "--consent", "off")
        for cell, block in [*((cell, cell.block) for cell in CELLS), (CELLS[0], plan.MOVING)]:
            self._add_block(cell, block)

    def _add_block(self, cell: Cell, block: str) -> None:
        """Add a block to a cell, and wait until it is there."""
        self.globally.sql("UPDATE agi_cells.cell SET open = (id = %s)", cell.number)
        self.cli("block", "add", block)
        self.globally.sql("UPDATE agi_cells.cell SET open = true")
        asked = "SELECT count(*) FROM agi_router.block WHERE block = %s"
        if not until(lambda: self.primary(cell).sql(asked, int(block)) == [(1,)], timeout=_SOON):
            raise PbxError(f"block {block} has not come to the cell {cell.name}")

    def _follow(self, cell: Cell) -> None:
        self.standby(cell).follow(self.primary(cell))
        self.primary(cell).wait_for_standbys(count=1)

    def _start_front(self) -> None:
        self.front.mkdir()
        listen = f'listen=udp:{FRONT.host}:{state.SIP_PORT}\n#!substdef "!TABLES!{self.front}!g"\n'
        (self.front / "local.cfg").write_text(listen)
        self._places_file.write_text(plan.places())
        places = str(self._places_file)
        self.cli("cell", "export", "--kamailio", str(self.front), "--places", places)
        log = self.front / "log"
        processes.start(
            self._front_pid, kamailio.command(self.front), log=log, env=kamailio.environment()
        )
        if not until(self._front_answers, timeout=_SOON):
            raise PbxError(f"Kamailio does not answer: {last_line(log)}")

    def _front_answers(self) -> bool:
        try:
            return "kamailio" in kamailio.tell(self.front, "core.version").lower()
        except (RuntimeError, subprocess.CalledProcessError):
            return False


def _together(jobs: Iterable[Callable[[], None]]) -> None:
    """Do several things at once; the first that fails is told of, when all are over."""
    with ThreadPoolExecutor() as pool:
        for each in [pool.submit(job) for job in jobs]:
            each.result()

"""
Patroni promotes: the configuration that is shipped, by Debian's packages, on loopback.

Three machines stand for three processes of Patroni, each with its PostgreSQL; etcd is one process.
``PATRONI_FAULT=dead`` kills Patroni with its PostgreSQL, as a machine dies that loses its power.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from postgres.test_crash import Callers, check_books
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from agi_router.bindings.store import BindingStore
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, Queries, connect
from agi_router.db.migrate import migrate
from agi_router.keys.ring import KeyRing
from agi_router.tenants.store import TenantStore
from harness.database import (
    ROLE,
    Server,
    bind,
    database_of,
    free_default,
    on_the_oldest,
    one,
    until,
    until_async,
)
from harness.free_port import free_port, own_host
from harness.values import BLOCK
from testpbx import processes

SHIPPED = Path(__file__).parents[2] / "docker/patroni/patroni.yml"
# Each port is listened on long after it is drawn.
HOST = own_host()
PASSWORD = "xxx"
LIMIT = 400
PATIENCE = 120.0
FAULT = os.environ.get("PATRONI_FAULT", "crashed")


class Member:
    """One machine."""

    def __init__(self, name: str, home: Path, etcd: int) -> None:
        self.name = name
        self.home = home / name
        self.home.mkdir()
        self.port, self._api = free_port(HOST), free_port(HOST)
        root = Path(os.environ["PBX_PATRONI"])
        # The file as it is, but for the directory of the socket, which all three would share.
        config = self.home / "config.yml"
        text = SHIPPED.read_text("utf-8")
        assert text.count("/var/run/postgresql") == 1
        config.write_text(text.replace("/var/run/postgresql", str(self.home)), "utf-8")
        address = f"{HOST}:{self._api}"
        env = {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(root / "usr/lib/python3/dist-packages"),
            "PATRONI_NAME": name,
            "PATRONI_RESTAPI_LISTEN": address,
            "PATRONI_RESTAPI_CONNECT_ADDRESS": address,
            "PATRONI_ETCD3_HOSTS": f"{HOST}:{etcd}",
            "PATRONI_POSTGRESQL_LISTEN": f"{HOST}:{self.port}",
            "PATRONI_POSTGRESQL_CONNECT_ADDRESS": f"{HOST}:{self.port}",
            "PATRONI_POSTGRESQL_DATA_DIR": str(self.home / "data"),
            "PATRONI_POSTGRESQL_PGPASS": str(self.home / "pgpass"),
        }
        account = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if account is not None:
            os.chown(self.home, account.pw_uid, -1)
        self.log = self.home / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["/usr/bin/python3", "-m", "patroni", config],
                env=env,
                cwd=self.home,
                stdout=log,
                stderr=log,
                user=None if account is None else account.pw_uid,
                extra_groups=None if account is None else [],
            )

    def answers(self, path: str) -> bool:
        """Whether Patroni says yes."""
        try:
            urllib.request.urlopen(f"http://{HOST}:{self._api}/{path}", timeout=5).close()
        except OSError:
            return False
        return True

    def keep_slot(self, name: str, database: str) -> None:
        """Have a logical slot on the primary, and on those that may become it."""
        slot = {"type": "logical", "database": database, "plugin": "pgoutput"}
        # Which rows they need the primary hears every ten seconds, else.
        quick = {"parameters": {"wal_receiver_status_interval": 1}}
        line = http.client.HTTPConnection(HOST, self._api, timeout=5)
        line.request("PATCH", "/config", json.dumps({"slots": {name: slot}, "postgresql": quick}))
        assert line.getresponse().status == 200
        line.close()

    def database(self, name: str = "postgres") -> Connection:
        """A session of the superuser."""
        dsn = make_conninfo(
            "",
            host=HOST,
            port=self.port,
            dbname=name,
            user="postgres",
            password=PASSWORD,
        )
        return psycopg.connect(dsn, autocommit=True, row_factory=dict_row)

    def kill_postgres(self) -> None:
        """Kill all of it at once."""
        data = self.home / "data"
        pid = int((data / "postmaster.pid").read_text().split()[0])
        memory = processes.memory_of(data)
        os.kill(pid, signal.SIGSTOP)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in map(int, children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not any(map(processes.started, map(int, children))))
        processes.free_memory(memory)

    def remove(self) -> None:
        """End it, with its PostgreSQL."""
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError, ValueError, IndexError):
            self.kill_postgres()


@pytest.fixture
def members() -> Iterator[list[Member]]:
    """Three machines, one of which is the primary, with two standbys that follow."""
    memory = "/dev/shm" if shutil.disk_usage("/dev/shm").free > 2**30 else None  # noqa: S108
    with ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="agi-router-patroni-", dir=memory))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        stack.callback(show, home)
        home.chmod(0o755)
        clients, peers = (f"http://{HOST}:{free_port(HOST)}" for _ in range(2))
        with (home / "etcd.log").open("wb") as log:
            etcd = subprocess.Popen(
                [
                    Path(os.environ["PBX_PATRONI"]) / "usr/bin/etcd",
                    *("--data-dir", home / "etcd", "--name", "n1"),
                    *("--listen-client-urls", clients, "--advertise-client-urls", clients),
                    *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers),
                    *("--initial-cluster", f"n1={peers}"),
                ],
                stdout=log,
                stderr=log,
            )
        stack.callback(etcd.wait)
        stack.callback(etcd.kill)
        made = []
        for name in ("n1", "n2", "n3"):
            made.append(Member(name, home, int(clients.rpartition(":")[2])))
            stack.callback(made[-1].remove)
        wait(lambda: whole(made))
        yield made


def show(home: Path) -> None:
    """Write how the logs end, which pytest shows of a test that fails."""
    for log in (home / "etcd.log", *sorted(home.glob("*/log"))):
        sys.stdout.write(f"== {log}\n{log.read_text(errors='replace')[-6000:]}\n")


def wait(condition: Callable[[], object]) -> None:
    """Ask until it is so; Patroni looks every two seconds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time: see how the logs end"
        time.sleep(0.1)


def leader(members: list[Member]) -> Member | None:
    """The one that Patroni says is the primary."""
    return next((each for each in members if each.answers("primary")), None)


def whole(members: list[Member]) -> bool:
    """Whether two standbys follow a primary whose commits wait for one of them."""
    return (
        leader(members) is not None
        and sum(each.answers("replica") for each in members) == len(members) - 1
        and any(each.answers("synchronous") for each in members)
    )


@contextlib.contextmanager
def followed(server: Server, cell: str, dsn: str) -> Iterator[Callable[[str], bool]]:
    """Have a cell's database follow the primary; whether a tenant of that name has come there."""
    with server.admin(database_of(cell)) as following:
        place = make_conninfo(dsn, user="postgres", target_session_attrs="read-write")
        following.execute(
            f"CREATE SUBSCRIPTION agi_cell_0 CONNECTION '{place}' PUBLICATION agi_cell_0"
            " WITH (copy_data = false, create_slot = false)"
        )
        has = "SELECT count(*) FROM agi_router.tenant WHERE name = %s"
        try:
            yield lambda name: bool(one(following, has, name))
        finally:
            following.execute("ALTER SUBSCRIPTION agi_cell_0 DISABLE")
            following.execute("ALTER SUBSCRIPTION agi_cell_0 SET (slot_name = NONE)")
            following.execute("DROP SUBSCRIPTION agi_cell_0")


def safe(first: Member) -> bool:
    """Whether two standbys may take over, and have slots that the primary keeps rows for."""
    with first.database() as admin:
        ready = (
            "SELECT (SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
            "           AND application_name LIKE 'n_') = 2"
            "   AND (SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync') = 1"
            "   AND (SELECT count(*) FROM pg_replication_slots"
            "         WHERE slot_type = 'physical' AND active AND catalog_xmin IS NOT NULL) = 2"
        )
        return bool(one(admin, ready))


def kill_again(first: Member, members: list[Member]) -> None:
    """Where no standby answers Patroni in the two seconds that they have, it starts this again."""
    if leader(members) is not first:
        return
    wait(lambda: safe(first) and whole(members))
    first.kill_postgres()
    wait(lambda: leader(members) is not first and whole(members))


def add_tenant(dsn: str, name: str) -> None:
    """Write something that cells have copies of."""
    with connect(dsn) as connection:
        TenantStore(Queries(connection)).add(name)


@on_the_oldest
async def test_promoted(
    members: list[Member],
    server: Server,
    dsn: str,
    keys: KeyRing,
    record_property: Callable[[str, object], None],
) -> None:
    """
    The primary dies while calls come: what was told is there, and each use is counted once.

    A cell that follows it goes on with the new one.
    """
    cell = dsn
    first = leader(members)
    assert first is not None
    with first.database() as admin:
        admin.execute(f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{PASSWORD}'")
        admin.execute(f"CREATE DATABASE {ROLE} OWNER {ROLE}")
        assert one(admin, "SHOW synchronous_standby_names")
    with first.database(ROLE) as admin:
        # Before the slot, or what is written between them could not be told.
        admin.execute("CREATE PUBLICATION agi_cell_0")
    first.keep_slot("agi_cell_0", ROLE)
    dsn = make_conninfo(
        "",
        host=",".join([HOST] * len(members)),
        port=",".join(str(each.port) for each in members),
        dbname=ROLE,
        user=ROLE,
        password=PASSWORD,
    )
    with connect(dsn) as connection:
        migrate(connection)
        free_default(connection)
        store = BindingStore(connection, keys)
        store.inventory.add_block(BLOCK, operator=None, certificate=None)
        bind(store, max_calls=LIMIT)
    with first.database(ROLE) as admin:
        admin.execute("ALTER PUBLICATION agi_cell_0 ADD TABLE agi_router.tenant")
        slots = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'agi_cell_0'"
        await asyncio.to_thread(wait, lambda: one(admin, slots))
    with followed(server, cell, dsn) as came:
        add_tenant(dsn, "before")
        await asyncio.to_thread(wait, lambda: came("before"))
        await asyncio.to_thread(wait, lambda: safe(first) and whole(members))
        async with AdmissionStore(dsn, keys, connections=4) as admissions:
            await until_async(lambda: admissions.pool.connected)
            callers = Callers(admissions)
            work = asyncio.ensure_future(callers.run())
            await until_async(lambda: len(callers.admitted) >= 50)
            gone = time.monotonic()
            if FAULT == "dead":
                first.process.kill()
            await asyncio.to_thread(first.kill_postgres)
            await until_async(lambda: admissions.pool.connected == 0)
            before = len(callers.admitted)
            await until_async(lambda: len(callers.admitted) > before, timeout=PATIENCE)
            record_property("longest gap [s]", round(time.monotonic() - gone, 1))
            record_property("asked again", callers.retries)
            await asyncio.wait_for(work, PATIENCE)
        await asyncio.to_thread(kill_again, first, members)
        assert leader(members) not in {first, None}
        with connect(dsn) as connection:
            check_books(connection, callers, LIMIT)
        add_tenant(dsn, "after")
        await asyncio.to_thread(wait, lambda: came("after"))
    if FAULT == "crashed":
        # It comes back by itself, as a standby.
        await asyncio.to_thread(wait, lambda: whole(members))
        assert first.answers("replica")

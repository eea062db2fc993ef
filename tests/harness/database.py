"""What the tests of this tier share: servers of their own, the clock, values, waiting."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Self
from unittest import mock

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from agi_router.bindings.model import Binding, Party
from agi_router.bindings.modes import Axb
from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Side
from agi_router.calls.arrival import Call
from agi_router.calls.decision import AllocationNeeded, Decision, Route, decide
from agi_router.calls.end import End, Outcome, call_day
from agi_router.calls.lookup import CallLookup
from agi_router.calls.ports import Admission
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, Queries
from agi_router.db.migrate import migrate
from agi_router.db.session import SETTINGS
from agi_router.inventory.capacity import Quarantine
from agi_router.keys.ring import KeyRing, Purpose, Row
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.tenants.rules import Consent, RulesChange
from agi_router.tenants.store import TenantStore
from harness.values import A, B, X
from testpbx import processes

HOUR = timedelta(hours=1)
NO_REST = Quarantine(number=timedelta(), party=timedelta())
"""For tests that bind again at once on the same number."""
SOON = 60.0
"""Seconds in which anything that is waited for must have come."""
OLDEST, NEWEST = "15", "18"
"""The versions of PostgreSQL that are supported."""
on_each_version = pytest.mark.postgres(OLDEST, NEWEST)
"""For tests of SQL itself: functions, rights, COPY, plans, what a server says."""
on_one_server = pytest.mark.postgres(NEWEST)
"""For tests of words and arguments among those; for others it is so anyway."""
on_the_oldest = pytest.mark.postgres(OLDEST)
"""For tests of what only the oldest server has, as Debian builds it."""

ROLE = "agi_router"
_TEMPLATE = "masked"
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - made with mkdtemp
_serial = count(1)


def dials(party: Party) -> XNumber:
    """What a party dials, in a mode where that is known from the beginning."""
    assert party.dials is not None
    return party.dials


def until(condition: Callable[[], object], *, timeout: float = SOON) -> None:
    """Poll *condition* until it holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.005)


async def until_async(condition: Callable[[], object], *, timeout: float = SOON) -> None:  # noqa: ASYNC109
    """Poll *condition* until it holds, and let others work."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.005)


class Server:
    """
    A PostgreSQL of one version, on loopback and with a directory of its own.

    Args:
        version: Its major version.
        durable: Whether commits reach the disk; only where the server is killed.
    """

    def __init__(self, version: str, *, durable: bool = False) -> None:
        self.version = version
        self._programs = _programs(version)
        self._durable = durable
        # PostgreSQL refuses to run as root.
        self._user = _account() if os.geteuid() == 0 else None
        self._home = Path(
            tempfile.mkdtemp(prefix=f"agi-router-pg{version}-", dir=None if durable else _memory())
        )
        if self._user is not None:
            os.chown(self._home, self._user, -1)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        # Opened once: it costs a third as much as cloning does.
        self._copier: Connection | None = None

    def __enter__(self) -> Self:
        try:
            self._initialise()
            self.start()
            with self.admin() as admin:
                # No superuser, as in production.
                admin.execute(f"CREATE ROLE {ROLE} LOGIN CREATEDB")
                admin.execute(f"CREATE DATABASE {_TEMPLATE} OWNER {ROLE}")
            with self.connect(self.dsn(_TEMPLATE)) as connection:
                migrate(connection)
                free_default(connection)
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self._home / "data"

    @property
    def pid(self) -> int:
        """Its first process."""
        assert self._process is not None
        return self._process.pid

    def processes(self) -> list[int]:
        """Its first process, and all others."""
        return [self.pid, *self._children()]

    @property
    def log(self) -> Path:
        """Its log."""
        return self._home / "log"

    @property
    def runs(self) -> bool:
        """Whether it was started, and nothing has ended it since."""
        return self._process is not None

    def program(self, name: str) -> Path:
        """One of the programs that belong to it."""
        return self._programs / name

    def dsn(self, database: str, *, user: str = ROLE) -> str:
        return make_conninfo(
            "", host="127.0.0.1", port=self._port, dbname=database, user=user, gssencmode="disable"
        )

    @staticmethod
    def connect(dsn: str) -> Connection:
        return psycopg.connect(dsn, autocommit=True, row_factory=dict_row)

    def admin(self, database: str = "postgres") -> Connection:
        """Connect as superuser."""
        return self.connect(self.dsn(database, user="postgres"))

    def clone(self, *, migrated: bool = True) -> str:
        """Make a database, migrated or empty, and return its DSN."""
        name = f"test_{next(_serial)}"
        template = _TEMPLATE if migrated else "template1"
        self._copying().execute(
            f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy OWNER {ROLE}"
        )
        return self.dsn(name)

    def cell(self, dsn: str) -> str:
        """The database that has the rows of a database's first block: itself."""
        return dsn

    def cell_admin(self, dsn: str) -> Connection:
        """Connect to that one as superuser."""
        return self.connect(make_conninfo(self.cell(dsn), user="postgres"))

    def drop(self, dsn: str) -> None:
        self._copying().execute(f"DROP DATABASE {database_of(dsn)} WITH (FORCE)")

    def clock(self, dsn: str) -> Clock:
        """The clock of a database."""
        return Clock(self, dsn)

    def standby(self) -> Server:
        """Return a server that follows this one, running; whoever asks for it removes it."""
        follower = Server(self.version, durable=self._durable)
        self.copy_to(follower, "--write-recovery-conf")
        follower.start()
        return follower

    def copy_to(self, other: Server, *options: str) -> None:
        """Give a server that has not been started what this one has, which runs."""
        done = subprocess.run(
            [
                self._programs / "pg_basebackup",
                *("-D", other.data, "-d", self.dsn("", user="postgres")),
                *("--wal-method=stream", "--checkpoint=fast", *options),
            ],
            user=self._user,
            extra_groups=None if self._user is None else [],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    def promote(self) -> None:
        """Make a standby the primary."""
        with self.admin() as admin:
            assert one(admin, "SELECT pg_promote()")

    def start(self, *, serving: bool = True) -> None:
        """Start it, and wait until it serves."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._programs / "postgres",
                    *("-D", self.data, "-p", str(self._port), "-k", self._home),
                    *("-c", "listen_addresses=127.0.0.1", "-c", "autovacuum=off"),
                    # As our sessions have it: what is asked once is not compiled.
                    *("-c", "jit=off"),
                    # Beneath its directory, which is removed however it ends.
                    *("-c", "dynamic_shared_memory_type=mmap"),
                    *(() if self._durable else ("-c", "fsync=off", "-c", "full_page_writes=off")),
                ],
                user=self._user,
                extra_groups=None if self._user is None else [],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if serving:
            until(self._serves)

    def configure(self, *lines: str) -> None:
        """Add lines to its configuration, for its next start."""
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    def stop_smartly(self) -> None:
        """Let nobody in any more; it ends when the last one leaves."""
        assert self._process is not None
        self._stop_copying()
        self._process.terminate()

    def wait(self) -> None:
        """Wait until it has ended."""
        assert self._process is not None
        self._process.wait(SOON)
        self._process = None

    def kill(self) -> None:
        """Kill all of it at once, as a power cut would."""
        assert self._process is not None
        self._stop_copying()
        memory = processes.memory_of(self.data)
        # A stopped postmaster makes no more children.
        self._process.send_signal(signal.SIGSTOP)
        children = self._children()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._process = None
        # A new one does not start while any of them still has its memory.
        until(lambda: not any(map(processes.started, children)))
        processes.free_memory(memory)

    def freeze(self) -> None:
        """Stop all its processes; connections stay open and nothing is answered."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def remove(self) -> None:
        """End it and delete its files."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self._home)

    def _copying(self) -> Connection:
        """The connection on which databases are made and dropped."""
        if self._copier is None:
            self._copier = self.admin()
        return self._copier

    def _stop_copying(self) -> None:
        if self._copier is not None:
            self._copier.close()
            self._copier = None

    def _initialise(self) -> None:
        done = subprocess.run(
            [
                self._programs / "initdb",
                *("-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8"),
                *("--no-locale", "--no-sync", "--no-instructions"),
            ],
            user=self._user,
            extra_groups=None if self._user is None else [],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    def _serves(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text(errors="replace")[-2000:]
        try:
            self.admin().close()
        except psycopg.OperationalError:
            return False
        return True

    def _children(self) -> list[int]:
        assert self._process is not None
        pid = self._process.pid
        try:
            return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
        except (FileNotFoundError, ProcessLookupError):
            # It has ended by itself.
            return []

    def _signal_all(self, signum: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(signum)
        for pid in self._children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)


def _programs(version: str) -> Path:
    if version == "18":
        # The wheel holds several; its module would start a server of its own.
        found = list(Path(sys.prefix).glob("lib/python3*/site-packages/*/pginstall18/bin"))
    else:
        found = list(Path(f"/usr/lib/postgresql/{version}").glob("bin"))
    assert found, f"PostgreSQL {version} is not installed"
    return found[0]


def _memory() -> str | None:
    """A directory in memory, if there is one with room: cloning is ten times as fast."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage(_SHARED_MEMORY).free > 2**30:
            return _SHARED_MEMORY
    return None


def _account() -> int:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    raise AssertionError("no account to run PostgreSQL as")


class Clock:
    """
    The clock of the sessions that begin from now on in one database.

    What tells the time is shadowed by functions that look at a session setting.
    """

    def __init__(self, server: Server, dsn: str) -> None:
        self._admin = server.admin(database_of(dsn))
        self._database = database_of(dsn)
        self._admin.execute("CREATE SCHEMA clock")
        self.shadow(self._admin, "nullif(current_setting('test.now', true), '')::timestamptz")
        self._admin.execute(
            "CREATE FUNCTION clock.set(_at timestamptz) RETURNS void LANGUAGE sql AS $$"
            " SELECT set_config('test.now', _at::text, false) $$"
        )
        # A session's own search path stands above that of its database.
        self._path = mock.patch.dict(SETTINGS, search_path="clock, pg_catalog")
        self._path.start()

    @staticmethod
    def shadow(admin: Connection, at: str) -> None:
        """Make the functions that tell the time, of the expression *at*."""
        for name in ("clock_timestamp", "statement_timestamp", "now"):
            admin.execute(
                f"CREATE FUNCTION clock.{name}() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$"
                f" SELECT coalesce({at}, pg_catalog.{name}()) $$"
            )
        admin.execute(f"GRANT USAGE ON SCHEMA clock TO {ROLE}")
        admin.execute(_CLOCK_OF_OWNERS)

    def set(self, when: datetime) -> None:
        """Set the clock of sessions to come."""
        self._admin.execute(f"ALTER DATABASE {self._database} SET test.now = '{when.isoformat()}'")

    def close(self) -> None:
        self._path.stop()
        self._admin.close()


# Functions that run as their owner have a search path of their own.
_CLOCK_OF_OWNERS = """
DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT oid::regprocedure AS name FROM pg_catalog.pg_proc
              WHERE pronamespace = 'agi_router'::regnamespace AND prosecdef LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = clock, pg_catalog, pg_temp', f.name);
    END LOOP;
END
$$
"""


def set_clock(connection: Connection, when: datetime) -> None:
    """Set the clock of one session, begun under a :class:`Clock`."""
    connection.execute("SELECT clock.set(%s)", (when,))


class Proxy:
    """A line to the database that can be cut where it hurts."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        place = conninfo_to_dict(dsn)
        self._server = (str(place["host"]), int(place["port"] or 0))
        self._writers: set[asyncio.StreamWriter] = set()
        self._port = 0
        self.cuts = 0
        self.delay = 0.0
        """Seconds by which each reply comes late."""
        self.silent = False
        """Whether nothing goes through any more, on lines that are open and on new ones."""
        self.armed = 0
        """How many of the next replies to prepared statements are lost, and the line with them."""

    @property
    def dsn(self) -> str:
        return make_conninfo(self._dsn, port=self._port)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self._writers:
                writer.transport.abort()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection(*self._server)
        self._writers |= {writer, ours}
        asked = asyncio.Event()

        async def forward() -> None:
            while chunk := await reader.read(65536):
                # Bind: a prepared statement is executed with values. Parse without a name: a
                # transaction of several of them begins.
                if (
                    chunk[:1] == b"B" or (chunk[:1] == b"P" and chunk[5:6] == b"\0")
                ) and self.armed:
                    asked.set()
                if not self.silent:
                    ours.write(chunk)

        async def back() -> None:
            while chunk := await theirs.read(65536):
                # The server speaks after its commit, and is not heard.
                if asked.is_set() and self.armed:
                    self.armed -= 1
                    self.cuts += 1
                    return
                await asyncio.sleep(self.delay)
                writer.write(chunk)

        ways = [asyncio.ensure_future(forward()), asyncio.ensure_future(back())]
        with contextlib.suppress(OSError):
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for each in (writer, ours):
            each.transport.abort()
            self._writers.discard(each)


def free_default(connection: Connection) -> None:
    """Hold the tenant ``default`` to nothing: binds of most tests have no order, nor consent."""
    TenantStore(Queries(connection)).set_rules(
        "default", RulesChange(needs_order=False, consent=Consent.OFF)
    )


def database_of(dsn: str) -> str:
    return str(conninfo_to_dict(dsn)["dbname"])


def one(connection: Connection, query: str, *values: Any) -> Any:
    """Return the only value of a query."""
    row = connection.execute(query, values).fetchone()
    assert row is not None
    (value,) = row.values()
    return value


def calls_used(connection: Connection) -> int:
    """Return the uses taken of all bindings together."""
    return int(one(connection, "SELECT coalesce(sum(calls_used), 0) FROM agi_router.binding"))


def call_states(connection: Connection) -> dict[str, str]:
    """Return the state of each call."""
    rows = connection.execute("SELECT id, state FROM agi_router.call").fetchall()
    return {row["id"]: row["state"] for row in rows}


def bind(
    store: BindingStore,
    a: PhoneNumber = A,
    b: PhoneNumber = B,
    *,
    x: XNumber | None = X,
    life: timedelta = HOUR,
    **terms: Any,
) -> Binding:
    """Bind two parties for an hour."""
    return store.bind(Axb(a=a, b=b), Terms(expires_at=store.now() + life, **terms), x=x)


def expire(connection: Connection, name: Any) -> None:
    """Make a binding one that has just expired, unnoticed by anybody."""
    connection.execute(
        "UPDATE agi_router.binding SET begins_at = now() - interval '1 hour',"
        " expires_at = now() - interval '1 second' WHERE id = %s",
        (name.id,),
    )


def insert_route(
    connection: Connection,
    keys: KeyRing,
    *,
    binding: int,
    caller: PhoneNumber | None,
    callee: PhoneNumber | None,
    x: XNumber = X,
    side: str = "a",
    shown: XNumber | None = X,
) -> None:
    """Insert a route as it is wanted; no caller: for anyone; no callee: nobody to ring."""
    tag = 0 if caller is None else keys.tag(caller)
    row = Row(binding, x.value, tag, Side(side), None if shown is None else shown.value)
    connection.execute(
        "INSERT INTO agi_router.route (block, x_number, caller_tag, binding_id, shown, side,"
        " callee, callee_tags, ends_at) SELECT b.block, %s, %s, b.id, %s, %s, %s, %s,"
        " coalesce(b.ended_at, b.expires_at) FROM agi_router.binding b"
        " WHERE b.block = %s AND b.id = %s",
        (
            x.value,
            tag,
            row.shown,
            side,
            keys.seal([callee], row, Purpose.CALLEE) if callee else None,
            [keys.tag(callee)] if callee else None,
            x.block.value,
            binding,
        ),
    )


def forged(keys: KeyRing, person: PhoneNumber, lock_id: int, tag: int) -> bytes:
    """Seal a locked person under a tag that is not its own, as if both were of one tag."""
    with mock.patch.object(KeyRing, "tags", return_value=[tag]):
        return keys.seal_locked(person, lock_id)[0][1]


def new_call_id(when: datetime | None = None, *, node: str = "pbx1") -> str:
    """Return a call id that was not used before."""
    epoch = int((when or datetime.now(UTC)).timestamp())
    return f"{node}-{epoch}.{next(_serial)}"


def new_party() -> PhoneNumber:
    """Return a number that no other test knows."""
    return PhoneNumber(
        digits=f"1{secrets.choice('35689')}{secrets.choice('5678')}{secrets.randbelow(10**8):08}"
    )


def a_call(caller: PhoneNumber = A, x: XNumber = X) -> Call:
    return Call(caller=caller, x_number=x)


async def admit_as_router(
    admissions: AdmissionStore,
    call: Call,
    call_id: str,
    *,
    timeout: float = 10.0,  # noqa: ASYNC109
) -> tuple[Admission, Decision]:
    """Admit a call as the router does: a number it needs is made, and then it is tried again."""
    for _ in range(4):
        answer = await admissions.admit(call, call_id, timeout=timeout)
        decision = decide(call, answer.facts, now=answer.now)
        if isinstance(decision, AllocationNeeded):
            await admissions.allocate(decision, timeout=timeout)
        elif isinstance(decision, Route) is answer.admitted:
            break
    return answer, decision


def look_up(store: BindingStore, call: Call, *, at: datetime | None) -> Admission:
    """What a call would find, by the keys of a store; strangers are found as it may bind them."""
    lookup = CallLookup(store.connection)
    return lookup.facts(call, store.keys, at=at, open_modes=store._open_modes)


def an_end(
    call_id: str,
    outcome: Outcome | None = Outcome.NO_ANSWER,
    *,
    x: XNumber = X,
    reason: Reason | None = None,
    cause: int = 16,
) -> End:
    """Return the end of a call that was not answered, unless said otherwise."""
    answered = outcome is Outcome.ANSWERED
    return End(
        call_id=call_id,
        day=call_day(call_id),
        x_number=x,
        ended_at=datetime.now(UTC),
        reason=reason,
        outcome=outcome,
        ring_time=None if outcome is None else timedelta(seconds=2),
        talk_time=timedelta(seconds=30) if answered else None,
        released_by=None,
        cause=cause,
    )

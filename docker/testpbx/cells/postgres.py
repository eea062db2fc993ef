"""
The databases: PostgreSQL of Debian 12, which has PL/Proxy for it.

Nobody is asked for a password: whoever is on this network is root, or one of our servers.
"""

import os
import pwd
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from testpbx import processes
from testpbx.cells.plan import Machine
from testpbx.errors import PbxError, last_line
from testpbx.waiting import until, until_ready

__all__ = ["DATABASE", "OWNER", "ROLE", "Postgres"]

DATABASE = ROLE = "agi_router"
OWNER = "agi_router_owner"
_SUPERUSER = "postgres"
_PROGRAMS = Path("/usr/lib/postgresql/15/bin")
_ENV = {"PATH": str(_PROGRAMS), "LANG": "C.UTF-8"}
# Behind those of docker/postgres, which say what is never logged.
_SETTINGS = """
include '{shipped}'
listen_addresses = '{host}'
wal_level = logical
max_wal_size = 128MB
min_wal_size = 32MB
shared_buffers = 32MB
wal_retrieve_retry_interval = 200ms
hba_file = '{hba}'
"""
_HBA = "host all,replication all 127.0.0.0/8 trust\n"


class Postgres:
    """
    One PostgreSQL, with a directory of its own.

    Args:
        machine: Its name and address.
        home: Directory for its data; the account that it runs as can go there.
        state: Directory in which it is noted which process it is.
        logs: Directory for its log.
        settings: Where the settings are that are shipped.
    """

    def __init__(
        self, machine: Machine, *, home: Path, state: Path, logs: Path, settings: Path
    ) -> None:
        self.machine = machine
        self.data = home / machine.name
        self._pid_file = state / f"{machine.name}.pid"
        self._log = logs / f"postgres-{machine.name}.log"
        self._settings = settings
        self._account = pwd.getpwnam("postgres")

    def make(self) -> None:
        """Make a cluster, with the roles and the database of docker/postgres; start it."""
        self._own()
        options = ("-U", _SUPERUSER, "--encoding=UTF8", "--no-locale", "--no-sync")
        self._run("initdb", "-D", self.data, *options)
        shipped = shutil.copy(self._settings, self.data / "shipped.conf")
        hba = self.data / "our_hba.conf"
        hba.write_text(_HBA)
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write(_SETTINGS.format(shipped=shipped, host=self.machine.host, hba=hba))
        self.start()
        self.sql(f"CREATE ROLE {ROLE} LOGIN", database="postgres")
        self.sql(f"CREATE ROLE {OWNER} LOGIN IN ROLE {ROLE}", database="postgres")
        self.sql(f"CREATE DATABASE {DATABASE} OWNER {OWNER}", database="postgres")

    def follow(self, primary: "Postgres") -> None:
        """Become a standby, by a copy; it follows when this returns."""
        self._own()
        self._run(
            "pg_basebackup",
            *("-D", self.data, "--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
            *("-d", f"{primary.dsn(_SUPERUSER)} application_name={self.machine.name}"),
        )
        conf = self.data / "postgresql.conf"
        text = conf.read_text().replace(primary.machine.host, self.machine.host)
        conf.write_text(text.replace(str(primary.data), str(self.data)))
        self.start()
        asked = "SELECT state FROM pg_stat_replication WHERE application_name = %s"
        name = self.machine.name
        if not until(lambda: primary.sql(asked, name) == [("streaming",)], timeout=60):
            raise PbxError(f"{self.machine.name} does not follow: {last_line(self._log)}")

    def start(self) -> None:
        """Start it on the cluster that is there, and wait until it answers."""
        processes.start(
            self._pid_file,
            [str(_PROGRAMS / "postgres"), "-D", str(self.data)],
            log=self._log,
            env=_ENV,
            user=self._account.pw_uid,
            group=self._account.pw_gid,
        )
        if not until_ready(self._answers, lambda: self.runs):
            raise PbxError(f"{self.machine.name} does not start: {last_line(self._log)}")

    def kill(self) -> None:
        """Kill all of it at once, as a machine that loses its power would."""
        pid = processes.running(self._pid_file)
        memory = processes.memory_of(self.data)
        # What stands still makes no more children.
        os.kill(pid, signal.SIGSTOP)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in [*map(int, children), pid]:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        until(lambda: not self.runs, timeout=30)
        processes.free_memory(memory)

    def promote(self) -> None:
        """Make a standby the primary; it takes writes when this returns."""
        if self.sql("SELECT pg_promote(true, 60)") != [(True,)]:
            raise PbxError(f"{self.machine.name} cannot be promoted: {last_line(self._log)}")

    def wait_for_standbys(self, *, count: int) -> None:
        """Let a commit wait until so many of its standbys have it."""
        names = f"ANY {count} (*)" if count else ""
        self.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        self.sql("SELECT pg_reload_conf()")

    @property
    def runs(self) -> bool:
        """Whether it runs."""
        return bool(processes.running(self._pid_file))

    def dsn(self, user: str = ROLE) -> str:
        """How it is reached."""
        return f"host={self.machine.host} dbname={DATABASE} user={user}"

    def sql(
        self, statement: str, *values: object, database: str = DATABASE
    ) -> list[tuple[Any, ...]]:
        """Run a statement, or several without values, as superuser; returns its rows."""
        with psycopg.connect(
            f"host={self.machine.host} dbname={database} user={_SUPERUSER}", autocommit=True
        ) as connection:
            done = connection.execute(statement.encode(), values or None)
            return done.fetchall() if done.description else []

    def load(self, file: Path) -> None:
        """Run a file of SQL, whole or not at all."""
        self.sql(f"BEGIN;\n{file.read_text('utf-8')}\nCOMMIT;")

    def _own(self) -> None:
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700, parents=True)
        os.chown(self.data, self._account.pw_uid, self._account.pw_gid)

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [_PROGRAMS / program, *arguments],
            env=_ENV,
            cwd="/",
            user=self._account.pw_uid,
            group=self._account.pw_gid,
            extra_groups=[],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise PbxError(f"{program} of {self.machine.name}: {done.stderr.strip()}")

    def _answers(self) -> bool:
        try:
            self.sql("SELECT 1", database="postgres")
        except psycopg.OperationalError:
            return False
        return True

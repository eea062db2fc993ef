"""
The parts of the test PBX that chaos takes hold of: Asterisk, PostgreSQL, the router, records.
"""

import json
import os
import random
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from agi_router.bindings.modes import Axb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.db.connection import connect
from agi_router.errors import StoreError
from agi_router.numbers import Block, PhoneNumber
from agi_router.settings import Settings
from harness.pbx import STATE, Dialplan, frozen, tree
from harness.pbx import Router as RouterProcess
from testpbx import processes, state
from testpbx.rootfs import RootFs
from testpbx.state import ARI_PORT, HOST, Places
from testpbx.waiting import until

__all__ = ["CallRecords", "Count", "Dialplan", "Router", "Servers", "frozen"]

# Not that of other tiers: their bindings may still be there, or the block be returned.
_BLOCK = Block.parse("70012345671")
_RESTART = 0.3

_COUNT = """
SELECT (SELECT coalesce(sum(calls_used), 0)
          FROM agi_router.binding
         WHERE block = %(block)s) AS used,
       count(*) AS calls,
       count(*) FILTER (WHERE state = 'reserved') AS reserved,
       count(*) FILTER (WHERE outcome = 'answered') AS answered,
       count(*) FILTER (WHERE state = 'settled' AND outcome IS NULL AND reason IS NULL) AS unseen
  FROM agi_router.call
 WHERE block = %(block)s
"""
_BACKENDS = b"""
SELECT pid FROM pg_stat_activity WHERE starts_with(application_name, 'agi_router serve')
"""
_THERE = "SELECT FROM agi_router.block WHERE block = %(block)s"
_LIMIT = """
UPDATE agi_router.binding b
   SET max_duration = %(seconds)s
  FROM agi_router.route r
 WHERE r.x_number = %(x)s AND b.block = r.block AND b.id = r.binding_id
"""
_FORGET = """
DELETE FROM agi_router.call WHERE block = %(block)s;
UPDATE agi_router.binding SET calls_used = 0, max_duration = NULL WHERE block = %(block)s;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """
    What the records say of all calls since they were opened.
    """

    used: int
    """Uses that the bindings have taken."""
    calls: int
    reserved: int
    answered: int
    unseen: int
    """Calls whose end nobody saw."""


class CallRecords:
    """
    Bindings to call through, and what became of their uses.

    Args:
        env: The settings of the PBX.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._settings = Settings.from_env(env)

    def open(self, bindings: int) -> list[tuple[str, str]]:
        """
        Begin anew with some bindings; returns who dials which number.
        """
        with connect(self._settings.dsn) as connection:
            # In the second test of a run it is there, with all its bindings.
            if connection.execute(_THERE.encode(), {"block": _BLOCK.value}).fetchone() is None:
                store = BindingStore(connection, self._settings.load_keys())
                with connection.transaction():
                    store.inventory.add_block(_BLOCK, operator=None, certificate=None)
                    self._bind(store, bindings)
            for statement in _FORGET.split(";")[:-1]:
                connection.execute(statement.encode(), {"block": _BLOCK.value})
        return [(a, x) for a, _, x in map(self._pair, range(bindings))]

    def limit(self, x: str, *, seconds: int) -> None:
        """
        Let calls on one number last no longer.
        """
        with connect(self._settings.dsn) as connection:
            connection.execute(_LIMIT.encode(), {"x": int(x), "seconds": seconds})

    def count(self) -> Count:
        """
        What the records say now.
        """
        with connect(self._settings.dsn) as connection:
            row = connection.execute(_COUNT.encode(), {"block": _BLOCK.value}).fetchone()
        assert row is not None
        return Count(**row)

    def settled(self, calls: int, *, timeout: float = 60) -> Count:
        """
        What they say once *calls* calls are on record and none is open, or after the time-out.
        """
        until(lambda: (now := self.count()).calls >= calls and now.reserved == 0, timeout=timeout)
        return self.count()

    def _bind(self, store: BindingStore, bindings: int) -> None:
        terms = Terms(expires_at=store.now() + timedelta(days=1))
        for serial in range(bindings):
            a, b, x = self._pair(serial)
            store.bind(
                Axb(a=PhoneNumber(digits=a), b=PhoneNumber(digits=b)),
                terms,
                x=_BLOCK.number(int(x[-4:])),
            )

    @staticmethod
    def _pair(serial: int) -> tuple[str, str, str]:
        a, b = (f"{head}{serial * 9973 % 10**8:08}" for head in ("136", "137"))
        return a, b, _BLOCK.number(serial).digits


class Router(RouterProcess):
    """
    A router process, started again when it dies, as systemd does.

    Args:
        env: Its whole environment.
        log: File its output is appended to.
        door: The one it serves: ``ari`` or ``agi``.
        descriptors: How many it may have open; by default as many as we may.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        log: Path,
        *,
        door: str = "ari",
        descriptors: int | None = None,
    ) -> None:
        super().__init__(env, log, door=door, descriptors=descriptors)
        self._over = threading.Event()
        self._keeper: threading.Thread | None = None

    def start(self, *, keep: bool = True) -> None:
        """
        Start it, and wait until its door is open.

        Args:
            keep: Whether it is started again when it dies.
        """
        super().start()
        if keep:
            self._over.clear()
            self._keeper = threading.Thread(target=self._keep, daemon=True)
            self._keeper.start()

    def kill(self) -> None:
        """
        Kill it.
        """
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """
        Let it end in an orderly way; returns its exit code.
        """
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def leave(self) -> None:
        """
        Start it no more.
        """
        self._over.set()
        if self._keeper is not None:
            self._keeper.join()

    def stop(self) -> None:
        """
        End it, whatever its state.
        """
        self.leave()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.terminate()

    def answers(self, path: str) -> int:
        """
        What its health server answers; 0 if nothing.
        """
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:9700{path}", timeout=2) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return 0

    def _keep(self) -> None:
        assert self.process is not None
        while not self._over.wait(0.05):
            if self.process.poll() is not None and not self._over.wait(_RESTART):
                self.launch()


class Servers:
    """
    Asterisk and PostgreSQL of the test PBX, in its form without Docker.

    Args:
        pbx: What `pbx up --json` says.
    """

    def __init__(self, pbx: Mapping[str, Any]) -> None:
        self._places = Places(
            checkout=Path(os.environ["PBX_CHECKOUT"]),
            cache=Path(os.environ["PBX_CACHE"]),
            state=STATE,
        )
        loaded = state.load(self._places)
        assert loaded is not None
        self._state = loaded
        self._form = RootFs(self._places)
        self._dsn = str(pbx["dsn"])
        self._password = loaded.ari_password

    def kill_backend(self, dice: random.Random) -> None:
        """
        Kill one of the processes that serve the router; PostgreSQL then restarts them all.
        """
        pids: list[int] = []

        def found() -> bool:
            # It may still be at the restart that the last one caused.
            with suppress(StoreError), connect(self._dsn) as connection:
                pids[:] = [row["pid"] for row in connection.execute(_BACKENDS).fetchall()]
            return bool(pids)

        assert until(found, timeout=60)
        with suppress(ProcessLookupError):
            os.kill(dice.choice(pids), signal.SIGKILL)

    def kill(self, service: str) -> None:
        """
        Kill a server with all its children.
        """
        first = int((STATE / f"{service}.pid").read_text().split()[0])
        # So that it makes no more children.
        os.kill(first, signal.SIGSTOP)
        pids = tree(first)
        for pid in reversed(pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # Our own child, once it was started again from here; PostgreSQL takes a zombie for alive.
        with suppress(ChildProcessError):
            os.waitpid(first, 0)
        # A new one does not start while any of them still has its memory.
        assert until(lambda: not any(map(processes.started, pids)), timeout=60)
        assert not self._form.alive(service)

    def start_postgres(self) -> None:
        """
        Start PostgreSQL again; returns when it answers.
        """
        self._form.run_database(self._state)

    def start_asterisk(self) -> None:
        """
        Start Asterisk again; returns when it is fully booted.
        """
        self._form.start_asterisk(self._state)

    def channels(self) -> int:
        """
        How many channels Asterisk has.
        """
        manager = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        manager.add_password(None, f"http://{HOST}:{ARI_PORT}/", "router", self._password)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPBasicAuthHandler(manager)
        )
        with opener.open(f"http://{HOST}:{ARI_PORT}/ari/channels", timeout=10) as response:
            return len(json.load(response))

    def console(self, command: str) -> str:
        """
        What Asterisk's console says to a command.
        """
        done = subprocess.run(
            ["chroot", self._state.rootfs, "asterisk", "-rx", command],
            check=True,
            capture_output=True,
            text=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
        )
        return done.stdout

    @contextmanager
    def frozen_postgres(self) -> Iterator[None]:
        """
        PostgreSQL that does not move, for the time of a block.
        """
        with frozen("postgres"):
            yield

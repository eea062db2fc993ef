"""
The parts of the test PBX that tests hold in their hand: command line, router, and whole servers.
"""

import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import psycopg

from harness.cli import Done, run
from testpbx.rootfs import router_env
from testpbx.state import ASTERISK_ACCOUNT, ROUTER_ACCOUNT
from testpbx.waiting import ari_answers, ari_tells, fastagi_answers, until

BLOCK = "70012345678"
CARRIER_IN = "carrier-in-of-a-name-so-long-that-asterisk-works-out-no-device-states-for-it"
"""The endpoint on which calls come in."""
CARRIER_OUT = "carrier-out-0"
"""One of those on which calls go out."""
STATE = Path(os.environ.get("PBX_STATE") or "/run/agi-router-pbx")


def calls_on(x: str, records: Sequence[Any]) -> list[Any]:
    """
    Those of *records* that are on a number, in the order in which Asterisk got them, newest first.

    A refused call is on record with the second in which it came, an admitted one with the moment
    of its admission: of two within a second the time does not tell which was first.
    """
    return sorted((each for each in records if each["x"] == x), key=channel_of, reverse=True)


def channel_of(record: Any) -> tuple[int, int]:
    """The second in which Asterisk got a call, and which it was since Asterisk started."""
    second, _, serial = record["id"].rpartition("-")[2].partition(".")
    return int(second), int(serial)


class Cli:
    """The command line, with the environment of the test PBX."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = dict(env)
        # By number that was drawn: its last binding, and the second before it was made.
        self._drawn: dict[str, tuple[str, int]] = {}

    def __call__(self, *arguments: str, typed: Sequence[str] = ()) -> Any:
        """Run a command with ``--json``, type lines into it, and return what it printed."""
        text = "".join(f"{line}\n" for line in typed)
        second = int(time.time())
        printed = run([*arguments, "--json"], self.env, typed=text).json
        if arguments[0] == "bind" and "--x" not in arguments:
            self._note_drawn(printed, second)
        return printed

    def _note_drawn(self, binding: Any, second: int) -> None:
        """Keep in mind since when numbers are a binding's, unless it was made before."""
        for number in (binding["x"], binding.get("y")):
            if self._drawn.get(number, ("", 0))[0] != binding["id"]:
                self._drawn[number] = binding["id"], second

    def doctor(self, **settings: str) -> Done:
        """What the doctor says in JSON, whatever it finds."""
        return run(["doctor", "--json"], {**self.env, **settings})

    def bind(self, a: str, b: str, *options: str) -> Any:
        """Bind two parties by AXB."""
        return self("bind", "axb", "--a", a, "--b", b, *options)

    def record(self, x: str) -> Any:
        """
        The newest call on a number, once it is settled.

        Of several, the last one may not be on record yet: then ask for :meth:`records`.
        """
        return self.records(x, 1)[0]

    def records(self, x: str, count: int) -> list[Any]:
        """
        All calls on a number, newest first, once there are *count* and all are settled.

        Those of other people, before the number was drawn for a binding, are left out.
        """
        found: list[Any] = []

        def settled() -> bool:
            _, since = self._drawn.get(x, ("", 0))
            calls = calls_on(x, self("calls", "--x", x, "--limit", "1000"))
            found[:] = [call for call in calls if channel_of(call)[0] >= since]
            return len(found) >= count and all(c["state"] == "settled" for c in found)

        assert until(settled, timeout=30), found
        return found


class Router:
    """A router process of the test PBX, which tests may kill and start again."""

    def __init__(
        self,
        env: Mapping[str, str],
        log: Path,
        *,
        door: str = "ari",
        descriptors: int | None = None,
    ) -> None:
        # Not when it is launched: a thread may do that while a command has another environment.
        self._cache = Path(os.environ["PBX_CACHE"])
        self._env = dict(env)
        self._limit = [] if descriptors is None else ["prlimit", f"--nofile={descriptors}"]
        if door == "agi":
            self._env["AGI_ROUTER_METRICS_LISTEN"] = "127.0.0.1:9701"
        self._log = log
        # Several write to one file, one after the other.
        self._before = log.stat().st_size if log.exists() else 0
        self._door = door
        _made.append(self)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until its door is open."""
        self.launch()
        assert until(self.registered, timeout=60), self._log.read_text()

    def launch(self) -> None:
        """Start it and wait for nothing."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._limit, "agi-router", "serve", "--door", self._door, "--take-over"],
                env=router_env(self._env, self._cache, STATE),
                stdout=log,
                stderr=log,
                user=ROUTER_ACCOUNT,
                group=ASTERISK_ACCOUNT,
                extra_groups=[],
            )

    def send(self, signum: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(signum)

    def wait(self) -> int:
        """Wait for its end, and return its exit code."""
        assert self.process is not None
        code = self.process.wait(20)
        # So has Asterisk, where it knows; while there is a call that came to it, the name is kept.
        assert until(lambda: not self.registered(), timeout=60)
        return code

    @property
    def runs(self) -> bool:
        """Whether its process is there."""
        return self.process is not None and self.process.poll() is None

    @contextmanager
    def serving(self) -> Iterator[Self]:
        """Start it for the time of a block; whatever happens, it does not run afterwards."""
        try:
            self.start()
            yield self
        finally:
            self.stop()

    def ensure(self) -> None:
        """Start it if it does not run, and wait until its door is open: Asterisk may be new."""
        if self.runs:
            self.send(signal.SIGCONT)
        else:
            self.start()
        assert until(self.registered, timeout=60), self._log.read_text()

    def stop(self) -> None:
        """End it in an orderly way."""
        if self.runs:
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
            try:
                assert self.wait() == 0
            finally:
                self.end()

    def end(self) -> None:
        """End its process, whatever it does and whoever serves besides."""
        if self.process is None or not self.runs:
            return
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def registered(self) -> bool:
        """Whether its door is open: Asterisk knows the application, or FastAGI answers."""
        if self._door == "agi":
            return fastagi_answers()
        app = self._env.get("AGI_ROUTER_ARI_APP", "agi_router")
        return ari_answers(f"applications/{app}", self._env["AGI_ROUTER_ARI_PASSWORD"])

    @property
    def log(self) -> str:
        """What has been logged in its file since it was made."""
        with self._log.open("rb") as file:
            file.seek(self._before)
            return file.read().decode()

    def says(self, *words: str, since: int = 0) -> bool:
        """Whether all of *words* come to stand in its log, behind its first *since* characters."""
        return until(lambda: all(each in self.log[since:] for each in words), timeout=20)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it not move for the time of a block."""
        assert self.process is not None
        with _frozen(self.process.pid):
            yield


_made: list[Router] = []


def stop_routers() -> None:
    """End those of the tier that was before, so that none stands by beside another tier's own."""
    for each in _made:
        if type(each) is Router:
            each.stop()


def end_others(router: Router) -> None:
    """End all but one: a test that has failed may have left some, which serve or stand by."""
    for each in _made:
        if each is not router:
            each.end()


class Dialplan:
    """The globals of the dialplan that runs."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._conf = root / "etc/asterisk/extensions.conf"
        self._shipped = self._conf.read_text("utf-8")
        self._trunk = root / "etc/asterisk/pjsip.conf"
        self._as_it_is = self._trunk.read_text("utf-8")

    def set(self, **values: str) -> None:
        """Override globals as a site does, in a section of its own below the include."""
        self.extend("\n".join(["[globals](+)", *(f"{name}={values[name]}" for name in values)]))

    def extend(self, text: str) -> None:
        """Add to what is shipped as a site does, below the include."""
        self.load(f"{self._shipped}\n{text}\n")

    def reset(self) -> None:
        """Go back to what is shipped."""
        self.load(self._shipped)
        self._enter(self._as_it_is)

    def enter_at(self, context: str) -> None:
        """Let the carrier's calls come in at another context."""
        shipped = "context=agi-router-in\n"
        assert self._as_it_is.count(shipped) == 1
        self._enter(self._as_it_is.replace(shipped, f"context={context}\n"))

    def _enter(self, text: str) -> None:
        if self._trunk.read_text("utf-8") != text:
            self._trunk.write_text(text, "utf-8")
            self._command("module reload res_pjsip.so")

    def get(self, name: str) -> str:
        """The value of a global now; empty if there is none."""
        shown = re.search(rf"(?m)^\s*{name}=(.*)$", self._command("dialplan show globals"))
        return shown[1].strip() if shown else ""

    def shown(self, context: str) -> str:
        """A context as Asterisk has loaded it."""
        return self._command(f"dialplan show {context}")

    def load(self, text: str) -> None:
        """Let Asterisk read *text* as extensions.conf."""
        self._conf.write_text(text, "utf-8")
        # Globals stay over a reload where the file does not name them any more.
        for name in ("agi_router", "agi_router_2"):
            self._command(f'dialplan set global AGI_ROUTER_NEXT_{name} ""')
        self._command("dialplan reload")

    def _command(self, text: str) -> str:
        done = subprocess.run(
            ["chroot", str(self._root), "asterisk", "-rx", text],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout


class Asterisk:
    """The Asterisk of the test PBX: its console, and its configuration files."""

    def __init__(self, pbx: Mapping[str, Any]) -> None:
        self._root = Path(pbx["rootfs"])
        self._etc = self._root / "etc/asterisk"
        self._password = pbx["env"]["AGI_ROUTER_ARI_PASSWORD"]

    def command(self, text: str) -> str:
        """Run a command of the console, and return what it printed."""
        done = subprocess.run(
            ["chroot", str(self._root), "asterisk", "-rx", text],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    @contextmanager
    def appended(self, file: str, text: str, reload: str) -> Iterator[None]:
        """Add *text* to a configuration file and run *reload*; undo both after the block."""
        path = self._etc / file
        before = path.read_text() if path.exists() else ""
        with self.replaced(file, f"{before}\n{text}\n", reload):
            yield

    @contextmanager
    def replaced(self, file: str, text: str, reload: str) -> Iterator[None]:
        """Put *text* in place of a configuration file, like :meth:`appended`."""
        path = self._etc / file
        before = path.read_text() if path.exists() else None
        path.write_text(text)
        try:
            self.command(reload)
            yield
        finally:
            if before is None:
                path.unlink()
            else:
                path.write_text(before)
            self.command(reload)

    @contextmanager
    def trunk(self, name: str) -> Iterator[None]:
        """Let calls go out on other endpoints, joined by ``&``, for the time of a block."""
        self.command(f"dialplan set global AGI_ROUTER_TRUNK {name}")
        try:
            yield
        finally:
            self.command("dialplan reload")

    def hang_up(self) -> None:
        """End all calls, and wait until they are over."""
        self.command("channel request hangup all")
        assert until(lambda: "0 active channels" in self.command("core show channels"), timeout=60)

    def restart(self) -> None:
        """Start it anew, in place; calls that are up are gone. Wait until ARI answers again."""
        before = self._startup()
        assert before is not None
        self.command("core restart now")
        # It may be back before anybody has seen that it was away.
        assert until(lambda: self._startup() not in {None, before}, timeout=60)
        self.command("core waitfullybooted")

    def _startup(self) -> bytes | None:
        """When it was started; nothing where it does not answer."""
        return ari_tells("asterisk/info?only=status", self._password)


def unused_number(database: psycopg.Connection[dict[str, Any]]) -> str:
    """
    A number of the block of all tests on which nobody is or was bound, and nobody has called.

    Which those are is drawn: a number that is written down may be anybody's.
    """
    [row] = database.execute(
        "SELECT x FROM generate_series(%(block)s * 10000, %(block)s * 10000 + 9999) AS x WHERE x"
        " NOT IN (SELECT x_number FROM agi_router.route UNION SELECT x_number FROM"
        " agi_router.past_route UNION SELECT x_number FROM agi_router.call) LIMIT 1",
        {"block": int(BLOCK)},
    ).fetchall()
    return str(row["x"])


def expire(database: psycopg.Connection[dict[str, Any]], binding: Mapping[str, Any]) -> None:
    """Make a binding one that has just expired, unnoticed by anybody."""
    database.execute(
        "UPDATE agi_router.binding SET begins_at = now() - interval '1 hour',"
        " expires_at = now() - interval '1 second' WHERE block || '-' || id = %s",
        [binding["id"]],
    )


def tree(pid: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


@contextmanager
def frozen(service: str) -> Iterator[None]:
    """A server of the PBX that does not move, with all its children, for the time of a block."""
    with _frozen(int((STATE / f"{service}.pid").read_text().split()[0])):
        yield


@contextmanager
def _frozen(first: int) -> Iterator[None]:
    """
    A process and its descendants that do not move for the time of a block.

    The signal does not wait until they stand: another thread may answer meanwhile, and a server
    make another child.
    """
    pids: list[int] = []

    def all_stand() -> bool:
        """Whether those do that there are now; who is new is stopped too."""
        more = [pid for pid in tree(first) if pid not in pids]
        pids.extend(more)
        for pid in more:
            _signal(pid, signal.SIGSTOP)
        return not more and all(map(_stands, pids))

    try:
        assert until(all_stand, timeout=20), pids
        yield
    finally:
        for pid in reversed(pids):
            _signal(pid, signal.SIGCONT)


def _signal(pid: int, signum: signal.Signals) -> None:
    # A child may have ended meanwhile.
    with suppress(ProcessLookupError):
        os.kill(pid, signum)


def _stands(pid: int) -> bool:
    """Whether no thread of a process moves; one that has ended does not."""
    try:
        states = [
            # Behind the name, which may hold anything: proc(5).
            (task / "stat").read_text().rpartition(") ")[2][0]
            for task in Path(f"/proc/{pid}/task").iterdir()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return not Path(f"/proc/{pid}").exists()
    return all(state in "TtZX" for state in states)


def ask(path: str) -> tuple[int, str]:
    """Ask the health server; 0 if nobody answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:9700{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""

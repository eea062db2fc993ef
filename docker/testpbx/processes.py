"""
Servers that outlive this command, and how they are stopped again.

A pid file holds the pid and the time that process started: a pid alone may by now belong to
somebody else.
"""

import os
import resource
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from testpbx.waiting import until

# Seconds a server may take for an orderly end.
PATIENCE = 15

# Popen would complain about a server that nobody waits for, as soon as it is forgotten here.
_servers: list[subprocess.Popen[bytes]] = []


def raise_limits() -> int:
    """Let the servers open as many files as this machine allows; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (65536, hard):
        # Raising the hard limit is refused in some containers.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
            return wanted
    return soft


def started(pid: int) -> str:
    """
    The start time of a process in clock ticks since boot; empty if it is gone or a zombie.

    A zombie with threads is not gone: they hold its sockets until they have ended, too.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The name, in parentheses, may hold anything; fields are counted behind it.
    fields = stat.rpartition(")")[2].split()
    state, threads, since = fields[0], int(fields[17]), fields[19]
    return "" if state in "ZX" and threads <= 1 else since


def memory_of(cluster: Path) -> str | None:
    """The id of the System V segment of the PostgreSQL that runs on a cluster, if it has one."""
    with suppress(FileNotFoundError):
        for line in (cluster / "postmaster.pid").read_text().splitlines()[6:7]:
            # Its key and its id, once it has one.
            return line.split()[-1] if line.strip() else None
    return None


def free_memory(segment: str | None) -> None:
    """Give a segment back whose PostgreSQL was killed: a machine without power has none."""
    if segment is not None:
        subprocess.run(["ipcrm", "-m", segment], check=False, capture_output=True)


def start(
    pid_file: Path,
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str],
    user: int | None = None,
    group: int | None = None,
    umask: int = -1,
) -> None:
    """
    Start a server that survives this command.

    Args:
        pid_file: Where to write down which process it is.
        command: Program and arguments.
        log: File its output is appended to.
        env: Its whole environment.
        user: User id to run as; by default our own.
        group: Group id; by default that of the user's number.
        umask: What others may not do with its files; by default as ours.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            cwd="/",
            user=user,
            group=user if group is None else group,
            umask=umask,
            extra_groups=None if user is None else [],
            start_new_session=True,
        )
    _servers.append(process)
    pid_file.write_text(f"{process.pid} {started(process.pid)}")


def running(pid_file: Path) -> int:
    """The pid of the server, or 0 if it does not run."""
    try:
        pid, then = pid_file.read_text().split()
    except (OSError, ValueError):
        return 0
    return int(pid) if started(int(pid)) == then else 0


def stop(pid_file: Path, *, politely: signal.Signals = signal.SIGTERM) -> None:
    """
    Stop a server, in the end by force. Does nothing if it does not run.

    Args:
        pid_file: The file :func:`start` wrote; removed.
        politely: The signal that asks for an orderly end; after PATIENCE seconds it is killed with
            all its children.
    """
    if pid := running(pid_file):
        with suppress(ProcessLookupError):
            os.kill(pid, politely)
        if not until(lambda: not running(pid_file), timeout=PATIENCE):
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            until(lambda: not running(pid_file), timeout=5)
    pid_file.unlink(missing_ok=True)

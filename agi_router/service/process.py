"""
What the kernel tells of this process, under the names that Prometheus' own clients use.
"""

import gc
import os
import resource
import secrets
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from agi_router.service.exposition import Family, Kind, Sample

__all__ = ["is_gone", "keep_for_good", "own_name", "process_families"]

_PROC: Final = Path("/proc")
# Fields of /proc/self/stat behind the name, which may hold anything (proc(5)).
_USER, _SYSTEM, _STARTED, _VIRTUAL, _RESIDENT = 11, 12, 19, 20, 21


def process_families() -> Iterator[Family]:
    """
    Memory, CPU, start and descriptors of this process.

    Raises:
        OSError: The kernel does not tell.
    """
    fields = (_PROC / "self/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    page = os.sysconf("SC_PAGE_SIZE")
    booted = next(
        int(line.split()[1])
        for line in (_PROC / "stat").read_text("ascii").splitlines()
        if line.startswith("btime ")
    )
    cpu = (int(fields[_USER]) + int(fields[_SYSTEM])) / ticks
    started = booted + int(fields[_STARTED]) / ticks
    yield _family("virtual_memory_bytes", "Virtual memory.", int(fields[_VIRTUAL]))
    yield _family("resident_memory_bytes", "Resident memory.", int(fields[_RESIDENT]) * page)
    yield _family("start_time_seconds", "When it started, in Unix time.", started)
    yield _family("cpu_seconds_total", "User and system CPU.", cpu, "counter")
    yield _family("open_fds", "Open descriptors.", len(list((_PROC / "self/fd").iterdir())))
    yield _family(
        "max_fds",
        "Most descriptors that it may open.",
        resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    )


def keep_for_good() -> None:
    """
    Let Python's collector of garbage look no more at what this process has by now.

    It has that until it ends. All else stands still while it is looked through: for 50 to 200 ms
    in the HTTP door.
    """
    gc.collect()
    gc.freeze()


def own_name() -> str:
    """
    A name of this process that no other has, of this machine or another, now or later.

    Raises:
        OSError: The kernel does not tell.
    """
    return f"{_world()}:{os.getpid()}:{_started(os.getpid())}"


def is_gone(name: str) -> bool:
    """
    Whether another process has certainly ended; not known of one that cannot be seen from here.

    Args:
        name: Its own :func:`own_name`.
    """
    world, _, rest = name.partition(":")
    pid, _, started = rest.partition(":")
    if world != _world():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        # Another account's: it lives.
        pass
    except (OSError, ValueError, OverflowError):
        return False
    try:
        # What lives may be another one by now; and may be hidden (proc(5), hidepid).
        return str(_started(int(pid))) != started
    except (OSError, ValueError):
        return False


def _world() -> str:
    # Of containers of one machine each sees its own processes alone.
    return _boot() + f"/{(_PROC / 'self/ns/pid').stat().st_ino}"


@cache
def _boot() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        # It is hidden: this process knows no other, and no other knows it.
        return secrets.token_hex(16)


def _started(pid: int) -> int:
    stat = (_PROC / f"{pid}/stat").read_text("ascii", "replace")
    return int(stat.rpartition(")")[2].split()[_STARTED])


def _family(name: str, text: str, value: float, kind: Kind = "gauge") -> Family:
    return Family(f"process_{name}", text, kind, [Sample(value)])

"""
Kamailio as Debian has it, not installed, with a configuration and a directory of its own.

The directory holds ``kamailio.cfg`` and all that it reads.
"""

import os
import shlex
import subprocess
from pathlib import Path

__all__ = ["command", "environment", "reload", "reloads", "tell"]

# What makes one that runs read its tables again.
_RELOAD = ("dispatcher.reload", "htable.reload trunks", "htable.reload blocks")


def _program() -> Path:
    return Path(os.environ["PBX_KAMAILIO"])


def _modules() -> Path:
    return next(_program().parents[1].glob("lib/*/kamailio/modules"))


def environment() -> dict[str, str]:
    """The environment of its programs."""
    return {"LD_LIBRARY_PATH": str(_modules().parent)}


def command(home: Path) -> list[str]:
    """What runs it with the files of a directory, in the foreground."""
    files = ("-f", home / "kamailio.cfg", "-L", _modules(), "-Y", home, "-w", home)
    return [str(_program()), *map(str, files), "-n", "1", "-DD", "-E"]


def _kamcmd(home: Path, *words: str) -> list[str]:
    return [str(_program().with_name("kamcmd")), "-s", f"unix:{home}/kamailio_ctl", *words]


def tell(home: Path, *words: str) -> str:
    """
    Run a command of kamcmd on the one of a directory, and return what it printed.

    Raises:
        RuntimeError: It was refused.
    """
    done = subprocess.run(
        _kamcmd(home, *words),
        env=environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    # It ends with 0 all the same.
    if "error" in done.stdout + done.stderr:
        raise RuntimeError(f"kamcmd {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


def reload(home: Path) -> None:
    """Have the one of a directory read its tables again."""
    for each in _RELOAD:
        tell(home, *each.split())


def reloads(home: Path) -> list[str]:
    """The same as commands, each in a line, for who is told what to run."""
    where = [f"{name}={value}" for name, value in environment().items()]
    return [shlex.join(["env", *where, *_kamcmd(home, *each.split())]) for each in _RELOAD]

"""
Kamailio as Debian has it, with a configuration and a directory of its own.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Kamailio", "kamailio"]


class Kamailio:
    """One that runs."""

    def __init__(self, home: Path, libraries: Path, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._home = home
        self._libraries = libraries

    @property
    def log(self) -> str:
        """All that it has said."""
        return (self._home / "log").read_text("utf-8", "replace")

    def tell(self, *words: str) -> str:
        """Run a command of kamcmd, and return what it printed."""
        program = Path(os.environ["PBX_KAMAILIO"]).with_name("kamcmd")
        done = subprocess.run(
            [program, "-s", f"unix:{self._home}/kamailio_ctl", *words],
            env={"LD_LIBRARY_PATH": str(self._libraries)},
            check=True,
            capture_output=True,
            text=True,
        )
        # It ends with 0 all the same.
        assert "error" not in done.stdout + done.stderr, done
        return done.stdout


@contextmanager
def kamailio(home: Path) -> Iterator[Kamailio]:
    """Run ``kamailio.cfg`` of a directory, whose other files are its own too."""
    program = Path(os.environ["PBX_KAMAILIO"])
    modules = next(program.parents[1].glob("lib/*/kamailio/modules"))
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                *("-f", home / "kamailio.cfg", "-L", modules, "-Y", home, "-w", home),
                *("-n", "1", "-DD", "-E"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"LD_LIBRARY_PATH": str(modules.parent)},
        )
    running = Kamailio(home, modules.parent, process)
    try:
        yield running
        assert process.poll() is None, running.log
    finally:
        process.terminate()
        process.wait()

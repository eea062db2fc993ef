"""
Kamailio for the time of a test, with a configuration and a directory of its own.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testpbx.kamailio import command, environment, reload, tell

__all__ = ["Kamailio", "kamailio"]


class Kamailio:
    """One that runs."""

    def __init__(self, home: Path) -> None:
        self._home = home

    @property
    def log(self) -> str:
        """All that it has said."""
        return (self._home / "log").read_text("utf-8", "replace")

    def tell(self, *words: str) -> str:
        """Run a command of kamcmd, and return what it printed."""
        return tell(self._home, *words)

    def reload(self) -> None:
        """Let it read its tables again."""
        reload(self._home)


@contextmanager
def kamailio(home: Path) -> Iterator[Kamailio]:
    """Run ``kamailio.cfg`` of a directory, whose other files are its own too."""
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            command(home), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment()
        )
    running = Kamailio(home)
    try:
        yield running
        assert process.poll() is None, running.log
    finally:
        process.terminate()
        process.wait()

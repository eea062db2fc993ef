"""The Asterisk of the test PBX: what the benchmark adds to it, and switches on and off."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import BenchError
from .variants import bench_dialplan

__all__ = ["Asterisk"]

_CDR_CONF = "[general]\nenable={}\n"
# The fields are named, not written as dialplan functions: the fast form of cdr_custom. The end
# mark shows a cut line.
_CDR_CUSTOM_CONF = """\
[{file}]
format = dsv
separator_character = |
quoting_method = none
fields = userfield, start(double), answer(double), end(double), disposition, "end"
"""
_CDR_FILE = "/var/spool/asterisk/agi-router-bench/records"
# Loaded for good: cdr_custom leaves its callback registered when it is unloaded, so that a second
# load writes each record twice, or runs into memory that is gone (seen in 22.10.1).
_CDR_MODULES = ("res_cdrel_custom.so", "cdr_custom.so", "func_cdr.so")


class Asterisk:
    """
    The Asterisk in one root file system.

    Args:
        root: The root, seen from here.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._etc = root / "etc/asterisk"

    @property
    def records(self) -> Path:
        """The file that cdr_custom appends to, seen from here."""
        return self._root / _CDR_FILE.lstrip("/")

    @property
    def version(self) -> str:
        """Its version, e.g. 22.10.1."""
        # The console may first complain about the machine.
        found = re.search(r"^Asterisk ([\d.]+)", self._command("core show version"), re.MULTILINE)
        return found[1] if found else "unknown"

    def prepare(self) -> None:
        """Add the entries of the variants, and what cdr_custom needs; it stays off."""
        shipped = (self._etc / "agi_router.conf").read_text("utf-8")
        (self._etc / "bench.conf").write_text(bench_dialplan(shipped), "utf-8")
        with (self._etc / "extensions.conf").open("a", encoding="utf-8") as file:
            file.write('\n#include "bench.conf"\n')
        self._command("dialplan reload")
        if "bench.conf" not in self._command("dialplan show agi-router-in"):
            raise BenchError("Asterisk does not take the benchmark's dialplan; see its log")
        (self._etc / "cdr_custom.conf").write_text(_CDR_CUSTOM_CONF.format(file=_CDR_FILE))
        # cdr_custom never makes a directory: every record would be lost.
        self.records.parent.mkdir(exist_ok=True)
        self._inside("chown", "asterisk:", str(Path(_CDR_FILE).parent))
        for module in _CDR_MODULES:
            self._command(f"module load {module}")

    @contextmanager
    def call_records(self) -> Iterator[None]:
        """Let Asterisk write call records, for the time of a block."""
        self._switch_records(on=True)
        try:
            yield
        finally:
            self._switch_records(on=False)

    def _switch_records(self, *, on: bool) -> None:
        (self._etc / "cdr.conf").write_text(_CDR_CONF.format("yes" if on else "no"))
        self._command("module reload cdr")
        status = self._command("cdr show status")
        # A denominator with call records on would flatter us, a record written twice would not.
        if not re.search(rf"Logging: +{'Enabled' if on else 'Disabled'}", status) or (
            on and status.count("CDR File custom") != 1
        ):
            raise BenchError(f"Asterisk does not switch call records {'on' if on else 'off'}")

    def _command(self, text: str) -> str:
        return self._inside("asterisk", "-rx", text)

    def _inside(self, *command: str) -> str:
        done = subprocess.run(
            ["chroot", str(self._root), *command],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise BenchError(f"{' '.join(command)}: {said or f'exit {done.returncode}'}")
        return done.stdout

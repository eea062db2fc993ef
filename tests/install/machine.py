"""
A machine of an operator's: Debian with Asterisk and PostgreSQL as they are installed, and booted.

It has processes, mounts, users and a systemd of its own. The network is one that this process
enters as well, with nothing but addresses of RFC 5737 on loopback: the phones of the tests are the
carrier. Nothing outside changes, and nothing is left.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from testpbx.waiting import until

BOOT = Path(__file__).parent / "boot"
PBX, CARRIER, TRUNK = "192.0.2.1", "192.0.2.10", "192.0.2.20"
_CLONE_NEWNET = 0x40000000
_ENV = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}


class MachineError(Exception):
    """A command failed, or the machine does not boot; the message holds what was printed."""


@contextmanager
def own_network() -> Iterator[None]:
    """Be in a network of one's own for the time of a block, with its children, not its threads."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(_CLONE_NEWNET):
            raise MachineError(f"no network of its own: {os.strerror(ctypes.get_errno())}")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            for address in (PBX, CARRIER, TRUNK):
                subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
            yield
        finally:
            if libc.setns(before, _CLONE_NEWNET):
                raise MachineError("the network of before is lost")
    finally:
        os.close(before)


class Machine:
    """
    The machine, from boot to power off.

    Args:
        root: A Debian root; it is not changed.
        work: Directory for its log.
    """

    def __init__(self, root: Path, work: Path) -> None:
        self._root = root
        self._log = work / "boot.log"
        self._init = 0
        self._boot: subprocess.Popen[bytes] | None = None

    def boot(self, checkout: Path) -> None:
        """
        Boot, and wait until all of its services are up.

        Raises:
            MachineError: It does not boot.
        """
        spaces = ("--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--cgroup")
        # With us it ends, however we end.
        end = ["setpriv", "--pdeathsig", "KILL"]
        self._boot = subprocess.Popen(
            [*end, "unshare", *spaces, BOOT, self._root, checkout, self._log],
            start_new_session=True,
        )
        if not until(self._has_booted, timeout=300):
            told = self._log.read_text(errors="replace") if self._log.exists() else ""
            raise MachineError(f"it does not boot: {told}")

    def _has_booted(self) -> bool:
        assert self._boot is not None
        pid = self._boot.pid
        if self._boot.poll() is not None:
            raise MachineError(f"it does not boot: {self._log.read_text(errors='replace')}")
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if not children:
            return False
        self._init = int(children[0])
        if Path(f"/proc/{self._init}/comm").read_text() != "systemd\n":
            return False
        return self.tell("systemctl is-system-running") in {"running", "degraded"}

    @property
    def seen_from_outside(self) -> Path:
        """Its root directory."""
        return Path(f"/proc/{self._init}/root")

    def tell(self, command: str) -> str:
        """What a command of the shell prints, whatever its exit code."""
        return self.run(command).stdout.strip()

    def run(
        self, command: str, *, directory: str = "/root/agi_router", user: str = "root"
    ) -> subprocess.CompletedProcess[str]:
        """Run a script of the shell as somebody at the machine would; its errors go to stdout."""
        enter = ["nsenter", "-t", str(self._init), "-m", "-p", "-u", "-i", "-C"]
        shell = ["bash", "-euo", "pipefail", "-c", f"cd {directory}\n{command}"]
        account = [] if user == "root" else ["runuser", "-u", user, "--"]
        return subprocess.run(
            [*enter, "env", "-i", *_assignments(), *account, *shell],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )

    def do(self, command: str, *, codes: Sequence[int] = (0,)) -> str:
        """
        The same, where it must succeed.

        Raises:
            MachineError: It ended with another exit code than one of *codes*.
        """
        done = self.run(command)
        if done.returncode not in codes:
            raise MachineError(f"{command}\nended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def journal(self) -> str:
        """What our units have logged."""
        return self.tell("journalctl --unit 'agi-router@*' --output cat --lines 60")

    def off(self) -> None:
        """Switch it off, at once."""
        if self._boot is not None:
            self._boot.send_signal(signal.SIGKILL)
            self._boot.wait()


def _assignments() -> list[str]:
    return [f"{name}={value}" for name, value in _ENV.items()]

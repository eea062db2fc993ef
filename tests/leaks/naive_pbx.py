"""
The negative control: a second Asterisk, set up by somebody who masks From and nothing else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agi_router.bindings.words import Mode
from agi_router.leaktest.call_slots import CallSlot
from testpbx.waiting import until

__all__ = ["FAR", "MODE", "NEAR", "SIP", "naive_pbx"]

CONFIGURATION = Path(__file__).parent / "naive"
SIP, NEAR, FAR = ("127.0.0.1", 5062), ("127.0.0.1", 5072), ("127.0.0.1", 5092)
# It knows pairs of numbers; modes are no affair of its.
MODE = Mode.AXB


@contextmanager
def naive_pbx(rootfs: Path, slots: Sequence[CallSlot]) -> Iterator[None]:
    """Run it in *rootfs*, with the bindings of *slots*, for the time of a block."""
    home = rootfs / "srv/naive"
    shutil.rmtree(home, ignore_errors=True)
    for name in ("db", "spool", "run", "log"):
        (home / name).mkdir(parents=True)
    shutil.copytree(CONFIGURATION, home / "etc")
    (home / "etc/bindings.conf").write_text("".join(map(bindings, slots)))
    process = subprocess.Popen(
        ["chroot", rootfs, "/usr/sbin/asterisk", "-f", "-C", "/srv/naive/etc/asterisk.conf"],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert until(lambda: "fully booted" in console(rootfs, "core waitfullybooted"), timeout=60)
        yield
    finally:
        process.terminate()
        process.wait(20)
        if "PYTEST_KEEP" not in os.environ:
            shutil.rmtree(home)


def bindings(slot: CallSlot) -> str:
    """The dialplan's lines for one slot."""
    x_of_a, x_of_b = slot.dialled[MODE]
    return "".join(
        f"exten => {x}/{caller.number},1,Set(CALLEE={callee.number})\n"
        " same => n,Goto(masked,${EXTEN},1)\n"
        for x, caller, callee in ((x_of_a, slot.a, slot.b), (x_of_b, slot.b, slot.a))
    )


def console(rootfs: Path, command: str) -> str:
    """What a command prints on its console; nothing while it does not answer."""
    return subprocess.run(
        ["chroot", rootfs, "asterisk", "-C", "/srv/naive/etc/asterisk.conf", "-rx", command],
        check=False,
        capture_output=True,
        text=True,
    ).stdout

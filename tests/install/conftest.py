"""
Fixtures of the installation: a machine on which nothing of ours is, and one on which all is.

They last for one module: this process is in the machine's network as long, and the tiers that come
after it are not to see it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from install.carrier import Carrier
from install.machine import CARRIER, PBX, TRUNK, Machine, own_network
from install.page import blocks

from harness.pbx import calls_on
from testpbx.phones import Call, Does, Phones
from testpbx.waiting import until

PHONE = (TRUNK, 5091)
CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Debian with Asterisk and PostgreSQL, booted; nothing of ours."""
    assert "PBX_MACHINE" in os.environ, "run it by ./tests/run install, which makes the machine"
    with own_network():
        machine = Machine(Path(os.environ["PBX_MACHINE"]), tmp_path_factory.mktemp("machine"))
        try:
            machine.boot(CHECKOUT)
            yield machine
        finally:
            machine.off()


class Site:
    """What is there once the page has been followed, as its operator and its callers see it."""

    def __init__(self, machine: Machine, work: Path, carrier: Carrier) -> None:
        self.machine = machine
        self.carrier = carrier
        self.near = Phones(work / "near", sip=(PBX, 5060), carrier_out=(CARRIER, 5090))
        self.far = Phones(work / "far", sip=(PBX, 5060), carrier_out=PHONE)

    def cli(self, *arguments: str) -> Any:
        """Run a command as the operator does, with ``--json``."""
        return json.loads(self.machine.do(f"agi-router {' '.join(arguments)} --json"))

    def bind(self, a: str, b: str, *options: str) -> Any:
        """Bind two parties by AXB."""
        return self.cli("bind", "axb", "--a", a, "--b", b, *options)

    def call(self, number: str, dialled: str, *, does: Does = Does.ANSWER) -> Call:
        """One call from the carrier's network, to whomever the PBX rings."""
        with self.far.listen(does) as callee:
            (heard,) = self.near.dial(number, dialled, hold=0.5).heard()
        return Call(caller=heard, callee=callee.messages)

    def records(self, x: str, count: int) -> list[Any]:
        """All calls on a number, newest first, once there are *count* and all are settled."""
        found: list[Any] = []

        def settled() -> bool:
            found[:] = calls_on(x, self.cli("calls", "--limit", "1000"))
            return len(found) >= count and all(each["state"] == "settled" for each in found)

        assert until(settled, timeout=60), (found, self.machine.journal())
        return found

    def doctor(self) -> tuple[int, list[str]]:
        """The doctor's exit code, and what it says that is not ``ok``, a line each."""
        done = self.machine.run("agi-router doctor")
        return done.returncode, [
            line for line in done.stdout.splitlines() if line.split()[0] in {"warn", "fail"}
        ]

    def wait_for_the_router(self) -> None:
        """Wait until both doors serve, and the trunk is known to be there."""
        self.machine.run("asterisk -rx 'core waitfullybooted'")
        self.machine.run("asterisk -rx 'pjsip qualify agi-router-trunk'")
        assert until(lambda: self.doctor() == (0, []), timeout=60), self.doctor()


@pytest.fixture(scope="module")
def site(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The machine after the seven steps of the page, each block as it stands there."""
    carrier = Carrier((TRUNK, 5090), PHONE)
    with carrier.there():
        for block in blocks():
            if block.section[0].isdecimal():
                machine.do(block.commands)
        # Binds of the tests have no order, nor consent.
        machine.do("agi-router tenant rules default --no-order --consent off")
        yield Site(machine, tmp_path_factory.mktemp("phones"), carrier)


def agi_router(machine: Machine, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this checkout's program outside the machine, on what is in it."""
    inside = machine.seen_from_outside
    etc = inside / "etc/agi-router"
    env = {
        "PATH": os.environ["PATH"],
        "AGI_ROUTER_DSN": f"host={inside}/run/postgresql dbname=agi_router user=agi-router",
        "AGI_ROUTER_KEY_FILE": str(etc / "key"),
        "AGI_ROUTER_ARI_PASSWORD_FILE": str(etc / "ari-password"),
    }
    return subprocess.run(
        ["agi-router", *arguments], env=env, check=False, capture_output=True, text=True
    )

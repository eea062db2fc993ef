"""
What pages tell to run beside a shell, for tests of pages.
"""

import contextlib
import os
import shlex
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2

from harness.cli import run
from harness.pbx import STATE
from testpbx.rootfs import router_env
from testpbx.state import ASTERISK_ACCOUNT, ROUTER_ACCOUNT

LOG = STATE / "logs/page.log"
"""What they log."""


def free_door() -> str:
    """An address at which a door may listen."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"127.0.0.1:{probe.getsockname()[1]}"


def is_ready(door: str) -> bool:
    """Whether a door by HTTP answers there."""
    with contextlib.suppress(httpx2.TransportError):
        return httpx2.get(f"http://{door}/readyz", timeout=30).status_code == 200
    return False


@contextlib.contextmanager
def served(commands: list[str], env: dict[str, str]) -> Iterator[str]:
    """
    Run the commands of a shell; those with ``&`` until the end, as the service's account.

    Yields the API key.
    """
    key, beside = "", []
    try:
        for line in commands:
            words = shlex.split(line.removesuffix("&").strip())
            if words[0] == "export":
                env |= dict([words[1].split("=", 1)])
            elif line.endswith("&"):
                with LOG.open("ab") as file:
                    process = subprocess.Popen(
                        words,
                        env=router_env(env, Path(os.environ["PBX_CACHE"]), STATE),
                        stdout=file,
                        stderr=file,
                        user=ROUTER_ACCOUNT,
                        group=ASTERISK_ACCOUNT,
                        extra_groups=[],
                    )
                beside.append(process)
            else:
                told = run([*words[1:], "--json"], env).json
                key = told.get("bearer", key)
        yield key
    finally:
        for process in beside:
            process.terminate()
        assert [process.wait(30) for process in beside] == [0] * len(beside), LOG.read_text()

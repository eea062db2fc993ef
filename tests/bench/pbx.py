"""The test PBX for the time of a run."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import BenchError

__all__ = ["pbx_up"]

_PBX = str(Path(__file__).resolve().parents[2] / "docker/pbx")
# What variants add to the shipped profile; it is loaded, and idle, when others are measured.
_MODULES = ("cdr_custom", "cdr_pgsql", "func_cdr", "func_odbc", "res_cdrel_custom", "res_odbc")


@contextmanager
def pbx_up(*, router: bool = True) -> Iterator[dict[str, Any]]:
    """
    Let the test PBX run for the time of a block.

    Args:
        router: Whether a router belongs to it.

    Returns:
        What `pbx up --json` says of it; its environment with our consent to the added modules.

    Raises:
        BenchError: It does not start, or one runs already.
    """
    # Our own database: the one of the caller's environment could not be measured.
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AGI_ROUTER_", "PG"))}
    unsafe = {"AGI_ROUTER_UNSAFE_PROFILE": ",".join(f"modules/{name}.so" for name in _MODULES)}
    env |= unsafe

    def run(*command: str) -> str:
        done = subprocess.run([_PBX, *command], check=False, stdout=subprocess.PIPE, env=env)
        if done.returncode and command[0] != "status":
            raise BenchError(f"docker/pbx {command[0]} failed")
        return done.stdout.decode()

    if run("status").strip() != "down":
        raise BenchError("a PBX is up; run ./docker/pbx down first")
    try:
        options = [] if router else ["--no-router"]
        pbx: dict[str, Any] = json.loads(run("up", "--engine", "rootfs", "--json", *options))
        pbx["env"] |= unsafe
        yield pbx
    finally:
        run("down")

"""
The command `tests/bench/run idle`: what each process of ours takes while nothing happens.

The test PBX is up with its two routers, and beside it the door for platforms, the one for texts by
SIP, and the deliverer. Nobody calls or asks; windows follow each other.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from testpbx import processes
from testpbx.waiting import until

from .cpu import Taken
from .errors import BenchError
from .pbx import pbx_up

ABOUT = """\
CPU and wake-ups of each process of ours while nothing happens. See tests/bench/README.md.
"""
# Beside the routers: their words, and the settings that they need besides.
_BESIDE = {
    "http": (["serve", "--door", "http"], {"AGI_ROUTER_HTTP_LISTEN": "127.0.0.1:8700"}),
    "sip-messages": (
        ["serve", "--door", "sip-messages"],
        {
            "AGI_ROUTER_SIP_LISTEN": "127.0.0.1:5070",
            "AGI_ROUTER_SIP_NEXT": "127.0.0.1:5071",
            "AGI_ROUTER_SIP_PEERS": "127.0.0.1",
            "AGI_ROUTER_METRICS_LISTEN": "127.0.0.1:9703",
        },
    ),
    "deliver": (["deliver"], {}),
}
# Until what is done once after a start is over, such as the first counting.
_SETTLE = 15.0


def measure(pids: Mapping[str, int], *, seconds: float, rounds: int) -> dict[str, dict[str, Any]]:
    """
    What each process takes, as a share of a core, and how often it wakes in a second.

    Args:
        pids: The processes, by name.
        seconds: Of a window.
        rounds: How many windows.
    """
    shares: dict[str, list[float]] = {name: [] for name in pids}
    wakeups: dict[str, list[float]] = {name: [] for name in pids}
    for _ in range(rounds):
        before, since = {name: Taken.by(pid) for name, pid in pids.items()}, time.monotonic()
        time.sleep(seconds)
        passed = time.monotonic() - since
        for name, pid in pids.items():
            taken = Taken.by(pid) - before[name]
            shares[name].append(taken.cpu / 10**9 / passed)
            wakeups[name].append(taken.wakeups / passed)
    return {
        name: {
            "core_percent": round(100 * median(shares[name]), 3),
            "core_percent_min": round(100 * min(shares[name]), 3),
            "core_percent_max": round(100 * max(shares[name]), 3),
            "wakeups_per_s": round(median(wakeups[name]), 1),
        }
        for name in pids
    }


@contextmanager
def beside(env: Mapping[str, str], log: Path) -> Iterator[dict[str, int]]:
    """The other processes of ours run for the time of a block."""
    with ExitStack() as stack:
        pids = {}
        for name, (words, settings) in _BESIDE.items():
            file = stack.enter_context((log / f"{name}.log").open("wb"))
            process = stack.enter_context(
                subprocess.Popen(
                    ["agi-router", *words],
                    env={**os.environ, **env, **settings},
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                )
            )
            stack.callback(process.terminate)
            pids[name] = process.pid
            if until(lambda ended=process.poll: ended() is not None, timeout=2):  # type: ignore[misc]
                raise BenchError(f"{name} does not run: {file.name}")
        yield pids


def main() -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tests/bench/run idle", description=ABOUT)
    parser.add_argument("--seconds", type=float, metavar="S", default=20.0)
    parser.add_argument("--rounds", type=int, metavar="N", default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    args = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="agi-router-bench-"))
    try:
        with (
            pbx_up() as pbx,
            beside({**pbx["env"], "AGI_ROUTER_DSN": pbx["dsn"]}, work) as pids,
        ):
            state = Path(pbx["logs"]).parent
            routers = {
                name: processes.running(state / f"{name}.pid") for name in ("router", "fastagi")
            }
            time.sleep(_SETTLE)
            table = measure({**routers, **pids}, seconds=args.seconds, rounds=args.rounds)
    except (BenchError, OSError) as error:
        print(f"error: {error} (logs: {work})", file=sys.stderr)
        return 1
    print("| process | % of a core (min–max) | wake-ups a second |")
    print("| --- | --: | --: |")
    for name, row in table.items():
        spread = f"{row['core_percent_min']}–{row['core_percent_max']}"
        print(f"| {name} | {row['core_percent']} ({spread}) | {row['wakeups_per_s']} |")
    if args.json:
        args.json.write_text(json.dumps({"idle": table}, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

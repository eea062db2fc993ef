"""
The command `tests/bench/run delivery`: how long after the hang-up a receiver has `call.ended`.

Real calls, signalling only. The receiver is on the same machine, so what is measured is ours: the
journal's line, the settlement, the outbox and the deliverer.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from agi_router.errors import AgiRouterError
from harness.cli import run
from harness.receiver import Received, Receiver, Reply
from testpbx.waiting import until

from .cpu import Processes
from .errors import BenchError
from .pbx import pbx_up
from .session import Session, say
from .variants import Variant

ABOUT = """\
Time from a caller's BYE until a webhook's receiver on this machine has call.ended. See
tests/bench/README.md.
"""
_PATIENCE = 60.0
_SPARE_BINDINGS = 10_000


def arguments() -> argparse.Namespace:
    """Parse the command line; exits with 2 if it is none of ours."""
    parser = argparse.ArgumentParser(prog="tests/bench/run delivery", description=ABOUT)
    parser.add_argument("--calls", type=int, metavar="N", default=1_800)
    parser.add_argument("--rate", type=int, metavar="R", default=30, help="calls per second")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    args = parser.parse_args()
    if args.calls < 2 or args.rate < 1:
        parser.error("at least two calls, and one a second")
    return args


class Arrivals:
    """When each call was told of, in seconds of the epoch, by the number dialled."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}

    def take(self, received: Received) -> Reply:
        """Note that an event has come; of one that comes again, the first time."""
        self.at.setdefault(received.told["data"]["x_number"], time.time())
        return Reply()


def measure(session: Session, env: Mapping[str, str], *, calls: int, rate: int) -> dict[str, Any]:
    """
    Place calls, and see when each was told of.

    Returns:
        Seconds from BYE to the receiver, ``p50_s``, ``p99_s`` and ``max_s``; ``deliverer_ms``, the
        deliverer's CPU for an event.

    Raises:
        BenchError: A call failed, or was not told of.
    """
    arrivals = Arrivals()
    with Receiver(arrivals.take) as receiver:
        made = run(["webhook", "add", receiver.url, "--types", "call.ended", "--json"], env).json
        with delivering(env) as deliverer:
            before = Processes()
            say(f"placing {calls} calls at {rate}/s")
            placed = session.calls(Variant.JOURNAL, calls, seed=0)
            load = session.phones.call("told", placed, sip=session.sip, rate=rate)
            until(lambda: len(arrivals.at) >= calls, timeout=_PATIENCE)
            after = Processes()
        run(["webhook", "remove", made["id"], "--json"], env)
    if load.failed or len(arrivals.at) != calls:
        raise BenchError(f"of {calls} calls {load.failed} failed, {len(arrivals.at)} were told of")
    delays = [at - load.hung_up[number] for number, at in arrivals.at.items()]
    return {
        "calls": calls,
        "rate": rate,
        "p50_s": median(delays),
        "p99_s": quantiles(delays, n=100)[98],
        "max_s": max(delays),
        "deliverer_ms": 1000 * (after.cpu(deliverer) - before.cpu(deliverer)) / calls,
    }


@contextmanager
def delivering(env: Mapping[str, str]) -> Iterator[int]:
    """Let a deliverer run for the time of a block; gives its process."""
    with subprocess.Popen(
        ["agi-router", "deliver"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **env, "AGI_ROUTER_WEBHOOK_HOSTS": "127.0.0.1"},
    ) as process:
        try:
            yield process.pid
        finally:
            process.terminate()


def main() -> int:
    """Run the command line; returns the exit code."""
    args = arguments()
    work = Path(tempfile.mkdtemp(prefix="agi-router-bench-"))
    try:
        with (
            pbx_up() as pbx,
            Session.opened(
                pbx,
                work,
                bindings=max(args.calls, _SPARE_BINDINGS),
                variants=[Variant.JOURNAL],
            ) as session,
        ):
            env = {**pbx["env"], "AGI_ROUTER_DSN": pbx["dsn"]}
            result = measure(session, env, calls=args.calls, rate=args.rate)
    except (BenchError, AgiRouterError, OSError) as error:
        print(f"error: {error} (traces: {work})", file=sys.stderr)
        return 1
    shutil.rmtree(work)
    print("| calls | calls/s | BYE to receiver p50, s | p99 | max | deliverer, CPU ms |")
    print("| --: | --: | --: | --: | --: | --: |")
    print(
        f"| {result['calls']} | {result['rate']} | {result['p50_s']:.2f} | {result['p99_s']:.2f}"
        f" | {result['max_s']:.2f} | {result['deliverer_ms']:.2f} |"
    )
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""
The command `tests/bench/run memory`: what the router keeps while many calls are up.

Real calls, signalling only, placed at a rate that the machine can do and held until all of them
are up at once; the memory is that of the router's processes before, then, and when the last has
ended.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from agi_router.errors import AgiRouterError
from testpbx.waiting import until

from .errors import BenchError
from .pbx import pbx_up
from .session import Session, say
from .variants import Variant

__all__ = ["hold_calls"]

ABOUT = """\
Memory of the router's processes with many calls up. See tests/bench/README.md.
"""
_RATE = 100
# All are up for this long before the first one ends.
_HOLD = 15.0
_MEGABYTE = 2**20
# Longer than the dialplan waits for anything, and five visits to the journal.
_REST = 2.0


def hold_calls(session: Session, *, calls: int, rate: int = _RATE) -> dict[str, Any]:
    """
    Hold calls, and see what the router's processes have in memory.

    Returns:
        ``router_rss_mb``, the resident memory of the ARI door's process with all calls up, and
        ``memory``: the processes by moment, in MB.

    Raises:
        BenchError: Not all calls came up, or not all ended as they should.
    """
    session.asterisk.without_media_timeout()
    moments = {"before": _resident(session)}
    talk = calls / rate * 1.3 + _HOLD
    placed = session.calls(Variant.JOURNAL, calls, seed=0)
    say(f"placing {calls} calls")
    with session.phones.calling("held", placed, sip=session.sip, rate=rate, talk=talk) as phone:
        up = until(
            lambda: session.asterisk.calls >= calls or phone.poll() is not None, timeout=talk
        )
        moments["up"] = _resident(session)
        if not up or phone.poll() is not None:
            raise BenchError(f"only {session.asterisk.calls} of {calls} calls came up")
        say(f"{calls} calls are up")
        if phone.wait():
            raise BenchError("calls that were held failed")
    time.sleep(_REST)
    moments["after"] = _resident(session)
    return {
        "router_rss_mb": moments["up"]["router"],
        "memory": {"calls": calls, **moments},
    }


def _resident(session: Session) -> dict[str, float]:
    """Resident memory of the router's processes, in MB."""
    return {name: _rss(session.pids[name]) for name in ("router", "fastagi")}


def _rss(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    kilobytes = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return round(int(kilobytes.split()[1]) * 1024 / _MEGABYTE, 1)


def main() -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tests/bench/run memory", description=ABOUT)
    parser.add_argument("--calls", type=int, metavar="N", default=5000)
    parser.add_argument("--rate", type=int, metavar="R", default=_RATE, help="calls per second")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    args = parser.parse_args()
    if args.calls < 1 or args.rate < 1:
        parser.error("at least one call, and one a second")
    work = Path(tempfile.mkdtemp(prefix="agi-router-bench-"))
    try:
        with (
            pbx_up() as pbx,
            Session.opened(
                pbx, work, bindings=max(args.calls, 10_000), variants=[Variant.JOURNAL]
            ) as session,
        ):
            result = hold_calls(session, calls=args.calls, rate=args.rate)
    except (BenchError, AgiRouterError, OSError) as error:
        print(f"error: {error} (traces: {work})", file=sys.stderr)
        return 1
    shutil.rmtree(work)
    held = result["memory"]
    print("| MB resident | before | with the calls up | after |\n| --- | --: | --: | --: |")
    for name in held["before"]:
        shown = " | ".join(f"{held[moment][name]:.1f}" for moment in ("before", "up", "after"))
        print(f"| {name} | {shown} |")
    print(f"\ncalls {held['calls']}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

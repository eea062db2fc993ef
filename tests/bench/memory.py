"""
The command `tests/bench/run memory`: what the router keeps while many calls are up.

Real calls, signalling only. They are placed and held until all of them are up at once. Where the
test PBX lets in fewer, for want of descriptors, as many as it does are held, and then all are
placed one after the other while the lines that report their ends are kept back: for the router,
and in its database, all of them are up.
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
# Placed beyond what is wanted, as a share: one that fails must not make all others worthless.
_SPARE = 0.1
_MEGABYTE = 10**6
# Longer than the dialplan waits for anything, and five runs to the journal.
_REST = 2.0
_PATIENCE = 60.0


def hold_calls(session: Session, *, calls: int, rate: int = _RATE) -> dict[str, Any]:
    """
    Let calls be up, and see what the router's processes have in memory.

    Returns:
        ``router_rss_mb``, the resident memory of the ARI door's process with all calls up, and
        ``memory``: the processes by moment, in MB, and how many calls Asterisk held at once.

    Raises:
        BenchError: So many calls did not come up.
    """
    held = min(calls, int(session.asterisk.calls_max / (1 + _SPARE)))
    moments = {"before": _resident(session)}
    moments["held"] = _hold(session, held, rate=rate)
    moments["up"] = moments["held"] if held == calls else _withhold(session, calls, rate=rate)
    time.sleep(_REST)
    moments["after"] = _resident(session)
    return {
        "router_rss_mb": moments["up"]["router"],
        "memory": {"calls": calls, "held": held, "moments": moments},
    }


def _hold(session: Session, calls: int, *, rate: int) -> dict[str, float]:
    """Memory while Asterisk has these calls at once."""
    session.asterisk.without_media_timeout()
    talk = calls / rate * 1.3 + _HOLD
    placed = session.calls(Variant.JOURNAL, spared(calls), seed=0)
    say(f"holding {calls} calls")
    with session.phones.calling("held", placed, sip=session.sip, rate=rate, talk=talk) as phone:
        up = until(
            lambda: session.asterisk.calls >= calls or phone.poll() is not None, timeout=talk
        )
        resident = _resident(session)
        if not up or phone.poll() is not None:
            raise BenchError(f"only {session.asterisk.calls} of {calls} calls came up")
        phone.wait()
    return resident


def _withhold(session: Session, calls: int, *, rate: int) -> dict[str, float]:
    """Memory while the router has heard of these calls, and not of their ends."""
    # Every five minutes the router looks for calls that have ended unheard of, and settles them.
    for attempt in range(2):
        say(f"placing {calls} calls whose ends are kept back")
        since = session.database.now()
        with session.asterisk.ends_kept_back():
            placed = session.calls(Variant.JOURNAL, spared(calls), seed=1 + attempt)
            session.phones.call("withheld", placed, sip=session.sip, rate=rate)
            resident = _resident(session)
            reserved = session.database.count(since).reserved
        if reserved >= calls:
            break
    else:
        raise BenchError(f"only {reserved} of {calls} calls are up in the database")
    if not until(lambda: not session.database.count(since).reserved, timeout=_PATIENCE):
        raise BenchError("the router does not settle the calls whose ends were kept back")
    return resident


def spared(calls: int) -> int:
    """How many calls are placed so that *calls* come up."""
    return calls + round(calls * _SPARE)


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
                pbx, work, bindings=max(spared(args.calls), 10_000), variants=[Variant.JOURNAL]
            ) as session,
        ):
            result = hold_calls(session, calls=args.calls, rate=args.rate)
    except (BenchError, AgiRouterError, OSError) as error:
        print(f"error: {error} (traces: {work})", file=sys.stderr)
        return 1
    shutil.rmtree(work)
    memory = result["memory"]
    print("| | calls up | router (ARI), MB resident | FastAGI door, MB resident |")
    print("| --- | --: | --: | --: |")
    counts = {"before": 0, "held": memory["held"], "up": memory["calls"], "after": 0}
    for moment, count in counts.items():
        one = memory["moments"][moment]
        print(f"| {moment} | {count} | {one['router']:.1f} | {one['fastagi']:.1f} |")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

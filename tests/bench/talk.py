"""
The command `tests/bench/run talk`: what a talked second costs Asterisk, bridge by bridge.

One Asterisk with Debian's own configuration and a plain Dial(): its native bridge is turned off
and on at its console, and the guard in front of its sound with it. Calls are set up, then a
window opens, and closes before the first BYE: no signalling is in it. Each phone sends 50 packets
a second: the caller plays silence, the callee echoes it.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from agi_router.pbx.guard_test import try_guard
from agi_router.pbx.media_guard import TABLE, MediaPorts, make_ruleset
from testpbx.waiting import until

from .asterisk import StockAsterisk
from .errors import BenchError
from .numbers import Call
from .phones import Phones

__all__ = ["Sample", "measure"]

ABOUT = """\
CPU of Asterisk per talked second of a call, on the simple bridge, on the native one, and on the
native one behind the media guard; all in one run, in turn. See tests/bench/README.md.
"""
# As Debian's rtp.conf has them.
_PORTS = MediaPorts(10000, 20000)
_CARRIER_OUT = "127.0.0.1:5090"
# The first one twice: by how much it differs from itself is the noise.
VARIANTS = ("simple", "native", "guarded", "simple_again")
_SETTLE = 2.0
_RATE = 20
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """
    One window.

    Attributes:
        variant: By which bridge.
        cpu_ms: Asterisk's CPU, per call and second.
        wakeups: Its voluntary context switches, per call and second.
        refused: Packets that the guard has dropped.
    """

    variant: str
    cpu_ms: float
    wakeups: float
    refused: int


def measure(
    asterisk: StockAsterisk, phones: Phones, variant: str, *, number: int, calls: int, seconds: int
) -> Sample:
    """
    Let calls talk by one bridge, and see what Asterisk has taken.

    Raises:
        BenchError: They were not all up, or went by another bridge.
    """
    native = not variant.startswith("simple")
    asterisk.command(f"bridge technology {'un' if native else ''}suspend native_rtp")
    placed = [
        Call(caller=f"138{n:08}", dialled=f"9700{number:04}{n:08}", callee=f"139{n:08}")
        for n in range(calls)
    ]
    talk = calls / _RATE + 2 * _SETTLE + seconds + _PATIENCE
    with (
        _guard(on=variant == "guarded"),
        phones.calling(
            f"{number:03}-{variant}",
            placed,
            sip=asterisk.sip,
            rate=_RATE,
            talk=talk,
            sound=True,
        ),
    ):
        if not until(lambda: _bridges(asterisk, native=native) == calls, timeout=_PATIENCE):
            raise BenchError(f"{variant}: {_bridges(asterisk, native=native)} of {calls} calls")
        time.sleep(_SETTLE)
        before, since = _taken(asterisk.pid), time.monotonic()
        time.sleep(seconds)
        after, passed = _taken(asterisk.pid), time.monotonic() - since
        refused = _refused() if variant == "guarded" else 0
        if _bridges(asterisk, native=native) != calls:
            raise BenchError(f"{variant}: calls have ended")
    asterisk.command("channel request hangup all")
    if not until(lambda: _bridges(asterisk, native=native) == 0, timeout=_PATIENCE):
        raise BenchError("calls do not end")
    whole = calls * passed
    return Sample(
        variant=variant,
        cpu_ms=(after[0] - before[0]) / 10**6 / whole,
        wakeups=(after[1] - before[1]) / whole,
        refused=refused,
    )


def _bridges(asterisk: StockAsterisk, *, native: bool) -> int:
    """How many calls are joined by this bridge."""
    name = "native_rtp" if native else "simple_bridge"
    said = asterisk.command("bridge show all")
    return len(re.findall(rf"\s2\s+\S+\s+{name}\b", said))


def _taken(pid: int) -> tuple[int, int]:
    """Nanoseconds of CPU, and voluntary context switches, of all threads that are there."""
    nanoseconds = switches = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            nanoseconds += int((task / "schedstat").read_text("ascii").split()[0])
            status = (task / "status").read_text("ascii")
        except (FileNotFoundError, ProcessLookupError):
            continue
        switches += int(re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE)[0])
    return nanoseconds, switches


@contextmanager
def _guard(*, on: bool) -> Iterator[None]:
    if not on:
        yield
        return
    _nft("-f", "-", rules=make_ruleset(_PORTS, seed=secrets.randbits(32)))
    try:
        if faults := try_guard(_PORTS).faults:
            raise BenchError(f"the guard does not work: {'; '.join(faults)}")
        _nft("reset", "counters", "table", "inet", TABLE)
        yield
    finally:
        _nft("delete", "table", "inet", TABLE)


def _refused() -> int:
    counters = json.loads(_nft("-j", "list", "counters", "table", "inet", TABLE))["nftables"]
    return sum(each["counter"]["packets"] for each in counters if "counter" in each)


def _nft(*words: str, rules: str = "") -> str:
    done = subprocess.run(
        ["nft", *words], input=rules, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise BenchError(f"nft: {done.stderr.strip()}")
    return done.stdout


def _show(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Print a table of medians, and of ratios within a round; returns it."""
    by = {name: [each for each in samples if each.variant == name] for name in VARIANTS}
    print("| bridge | CPU, ms per call-second | ÷ simple (min–max) | wake-ups per call-second |")
    print("| --- | --: | --: | --: |")
    table = {}
    for name, rounds in by.items():
        ratios = [one.cpu_ms / two.cpu_ms for one, two in zip(rounds, by["simple"], strict=True)]
        row = table[name] = {
            "cpu_ms_per_call_s": round(median(each.cpu_ms for each in rounds), 3),
            "vs_simple": round(median(ratios), 3),
            "vs_simple_min": round(min(ratios), 3),
            "vs_simple_max": round(max(ratios), 3),
            "wakeups_per_call_s": round(median(each.wakeups for each in rounds), 1),
            "refused": sum(each.refused for each in rounds),
        }
        spread = f"{row['vs_simple_min']}–{row['vs_simple_max']}"
        print(
            f"| {name} | {row['cpu_ms_per_call_s']} | {row['vs_simple']} ({spread})"
            f" | {row['wakeups_per_call_s']} |"
        )
    guarded = [
        one.cpu_ms / two.cpu_ms for one, two in zip(by["guarded"], by["native"], strict=True)
    ]
    table["guarded"]["vs_native"] = round(median(guarded), 3)
    print(f"\nguarded ÷ native: {median(guarded):.3f} ({min(guarded):.3f}–{max(guarded):.3f})")
    return table


def main() -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tests/bench/run talk", description=ABOUT)
    parser.add_argument("--calls", type=int, metavar="N", default=60)
    parser.add_argument("--seconds", type=int, metavar="S", default=10)
    parser.add_argument("--rounds", type=int, metavar="N", default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    args = parser.parse_args()
    samples: list[Sample] = []
    work = Path(tempfile.mkdtemp(prefix="agi-router-bench-"))
    asterisk = StockAsterisk(Path(os.environ["PBX_ROOTFS"]), carrier_out=_CARRIER_OUT)
    phones = Phones(work, carrier_out=_CARRIER_OUT)
    try:
        with asterisk.running():
            for number in range(args.rounds):
                for variant in VARIANTS:
                    sample = measure(
                        asterisk,
                        phones,
                        variant,
                        number=number,
                        calls=args.calls,
                        seconds=args.seconds,
                    )
                    samples.append(sample)
                    print(
                        f"bench: round {number + 1}: {variant} {sample.cpu_ms:.3f} ms,"
                        f" {sample.refused} refused",
                        file=sys.stderr,
                    )
    except (BenchError, OSError) as error:
        print(f"error: {error} (traces: {work})", file=sys.stderr)
        return 1
    table = _show(samples)
    if args.json:
        told = {"talk": table, "samples": [asdict(each) for each in samples]}
        args.json.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

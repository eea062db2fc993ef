"""
The command `tests/bench/run talk`: what a talked second of a call costs, bridge by bridge.

One Asterisk with Debian's own configuration and a plain Dial(), and beside it rtpengine, in a
network of their own. Calls are up by the simple bridge, by the native one, and by rtpengine, all
the time; the phones of one kind talk, for a window of some seconds, and then those of the next. So
windows are short, no signalling is in them, and a slow minute of the machine meets all alike. The
guard is put in front of Asterisk's sound, and recordings begin and end, while calls are up.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from agi_router.pbx.guard_test import try_guard
from agi_router.pbx.media_guard import TABLE, MediaPorts, make_ruleset
from agi_router.pbx.sound_state import count_refused
from testpbx.waiting import until

from .asterisk import StockAsterisk
from .cpu import Taken
from .errors import BenchError
from .plots import draw_talk
from .rtpengine import RtpEngine
from .sip_ends import SipEnds
from .sound import Heard, Sound

__all__ = ["Window", "measure"]

ABOUT = """\
CPU per talked second of a call: by the simple bridge, and recorded there, by the native one
without and with the media guard, and by rtpengine; in turn, while all calls are up. See
tests/bench/README.md.
"""
# As Debian's rtp.conf has them.
_PORTS = MediaPorts(10000, 20000)
_CARRIER_OUT = "127.0.0.1:5090"
# Of which calls; the first ones twice: by how much they differ from themselves is the noise.
VARIANTS = {
    "simple": "simple",
    "native": "native",
    "guarded": "native",
    "rtpengine": "rtpengine",
    "recorded": "simple",
    "simple_again": "simple",
}
_GROUPS = ("simple", "native", "rtpengine")
# Until phones that begin to talk are heard.
_SETTLE = 0.5
_PATIENCE = 60.0
_FOREMOST = -20
# A share of the packets; where more are late a round is void.
_LATE_AT_MOST = 0.001
# The ladder: calls, and shares that end it where two steps in a row have more.
_FIRST, _STEP, _LATE, _SLOW = 200, 50, 0.01, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """
    One window.

    Attributes:
        variant: Whose calls have talked, and whether behind the guard.
        cpu_ms: CPU of Asterisk or rtpengine, per call and second.
        wakeups: Its voluntary context switches, per call and second.
        phones_ms: What the phones took, per call and second: on this machine they pay for the
            guard, as whoever sends has a packet looked at.
        heard: What the phones have sent and heard.
    """

    variant: str
    cpu_ms: float
    wakeups: float
    phones_ms: float
    heard: Heard

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, and as good as nothing late: the machine had time for all."""
        heard = self.heard
        return not heard.lost and heard.late <= _LATE_AT_MOST * heard.received


class _Bridges:
    """An Asterisk whose calls are joined by one bridge or the other, as it is told."""

    def __init__(self, asterisk: StockAsterisk, ends: SipEnds, *sounds: Sound) -> None:
        self.asterisk = asterisk
        self._ends = ends
        self._sounds = sounds
        self.up = {"simple_bridge": 0, "native_rtp": 0}

    def call(self, group: int, count: int, *, native: bool) -> None:
        """
        Let so many more calls talk.

        Raises:
            BenchError: They are not all joined by this bridge.
        """
        self.asterisk.command(f"bridge technology {'un' if native else ''}suspend native_rtp")
        for sound in self._sounds:
            place(self._ends.call, sound, group, count // len(self._sounds))
        self.up["native_rtp" if native else "simple_bridge"] += count
        if not until(self.are_up, timeout=_PATIENCE):
            raise BenchError(f"calls are joined otherwise: {self._joined()}, not {self.up}")

    def are_up(self) -> bool:
        """Whether all calls are joined as they should be."""
        return self._joined() == self.up

    def _joined(self) -> dict[str, int]:
        said = self.asterisk.command("bridge show all")
        return {name: len(re.findall(rf"\s2\s+\S+\s+{name}\b", said)) for name in self.up}


def place(
    call: Callable[[int, int], tuple[int, int]], sound: Sound, group: int, count: int
) -> None:
    """Place so many calls, whose phones talk from now on."""
    for _ in range(count):
        near, far = sound.port(), sound.port()
        to_near, to_far = call(near, far)
        sound.add(group, near, to_near)
        sound.add(group, far, to_far)


def measure(
    root: Path, work: Path, *, calls: int, seconds: float, rounds: int, pinned: bool = False
) -> Iterator[Window]:
    """
    Let all kinds of calls talk in turn, every other round the other way round.

    Args:
        root: A root with Asterisk and rtpengine.
        work: For traces.
        calls: Of each kind.
        seconds: Of a window.
        rounds: How many.
        pinned: Whether the phones have one core, and all else another.

    Raises:
        BenchError: Not all calls are up, or go by another bridge; or the guard has dropped some.
    """
    with ExitStack() as stack:
        asterisk = StockAsterisk(root, carrier_out=_CARRIER_OUT)
        stack.enter_context(asterisk.running())
        sound = stack.enter_context(Sound.playing(work))
        engine = stack.enter_context(RtpEngine.running(root, work / "rtpengine.log"))
        ends = stack.enter_context(SipEnds.opened(asterisk.sip, carrier_out=_CARRIER_OUT))
        bridges = _Bridges(asterisk, ends, sound)
        if pinned:
            for core, pid in enumerate((sound.pid, asterisk.pid, engine.pid)):
                _pin(pid, min(core, 1))
        bridges.call(_GROUPS.index("simple"), calls, native=False)
        recorded = asterisk.callees()
        bridges.call(_GROUPS.index("native"), calls, native=True)
        # A call whose recording begins or ends is joined anew: by the simple bridge, as it was.
        asterisk.command("bridge technology suspend native_rtp")
        place(engine.call, sound, _GROUPS.index("rtpengine"), calls)
        for number in range(rounds):
            for variant in list(VARIANTS)[:: -1 if number % 2 else 1]:
                with (
                    _guard(on=variant == "guarded"),
                    asterisk.recorded(recorded if variant == "recorded" else ()),
                ):
                    pid = engine.pid if variant == "rtpengine" else asterisk.pid
                    yield _look(variant, pid, sound, calls=calls, seconds=seconds)
                    refused = sum(_refused().values()) if variant == "guarded" else 0
                if refused or not bridges.are_up():
                    raise BenchError(f"the guard drops {refused} packets, or calls have ended")


def _look(variant: str, pid: int, sound: Sound, *, calls: int, seconds: float) -> Window:
    """Open a window, and close it."""
    group = _GROUPS.index(VARIANTS[variant])
    sound.play(group)
    time.sleep(_SETTLE)
    sound.told()
    before, phones, since = Taken.by(pid), Taken.by(sound.pid), time.monotonic()
    time.sleep(seconds)
    spent, whole = Taken.by(pid) - before, calls * (time.monotonic() - since)
    return Window(
        variant=variant,
        cpu_ms=spent.cpu / 10**6 / whole,
        wakeups=spent.wakeups / whole,
        phones_ms=(Taken.by(sound.pid) - phones).cpu / 10**6 / whole,
        heard=sound.told()[group],
    )


def _pin(pid: int, core: int) -> None:
    """Keep a process on one core; threads that it makes later stay there too."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


@contextmanager
def _guard(*, on: bool) -> Iterator[None]:
    if not on:
        yield
        return
    _nft("-f", "-", rules=make_ruleset(_PORTS, seed=secrets.randbits(32)))
    try:
        if faults := try_guard(_PORTS).faults:
            raise BenchError(f"the guard does not work: {'; '.join(faults)}")
        yield
    finally:
        _nft("delete", "table", "inet", TABLE)


def _refused() -> dict[str, int]:
    return count_refused(_nft("-j", "list", "counters", "table", "inet", TABLE))


def _nft(*words: str, rules: str = "") -> str:
    done = subprocess.run(
        ["nft", *words], input=rules, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise BenchError(f"nft: {done.stderr.strip()}")
    return done.stdout


def climb(root: Path, work: Path, *, native: bool, seconds: float) -> list[dict[str, Any]]:
    """
    Let more and more calls talk, until two steps in a row are too many.

    Args:
        root: A root with Asterisk.
        work: For traces.
        native: Whether by the native bridge behind the guard, or by the simple one.
        seconds: Of a step.
    """
    steps: list[dict[str, Any]] = []
    with ExitStack() as stack:
        asterisk = StockAsterisk(root, carrier_out=_CARRIER_OUT)
        stack.enter_context(asterisk.running())
        stack.enter_context(_guard(on=native))
        # One could not keep more than a core busy.
        one, two = (stack.enter_context(Sound.playing(work, first=at)) for at in (21000, 25500))
        ends = stack.enter_context(SipEnds.opened(asterisk.sip, carrier_out=_CARRIER_OUT))
        bridges = _Bridges(asterisk, ends, one, two)
        calls = 0
        while not (len(steps) > 1 and all(step["too_many"] for step in steps[-2:])):
            more = _STEP if steps else _FIRST
            try:
                bridges.call(0, more, native=native)
            except BenchError as error:
                # No call more can be had.
                print(f"bench: {error}", file=sys.stderr)
                break
            calls += more
            time.sleep(_SETTLE)
            one.told(), two.told()
            before, since = Taken.by(asterisk.pid), time.monotonic()
            time.sleep(seconds)
            spent, passed = Taken.by(asterisk.pid) - before, time.monotonic() - since
            heard = one.told()[0] + two.told()[0]
            late = (heard.lost + heard.late) / max(1, heard.received)
            slow = heard.slow / max(1, heard.sent)
            step = {
                "calls": calls,
                "cores": round(spent.cpu / 10**9 / passed, 2),
                "late": round(late, 5),
                "phones_late": round(slow, 5),
                "p99_ms": heard.p99 / 1000,
                "too_many": late > _LATE or slow > _SLOW,
            }
            steps.append(step)
            print(f"bench: {'guarded' if native else 'simple'}: {step}", file=sys.stderr)
    return steps


def _most(steps: Sequence[Mapping[str, Any]]) -> int:
    return max((step["calls"] for step in steps if not step["too_many"]), default=0)


def summed_up(windows: Sequence[Window], *, calls: int) -> dict[str, Any]:
    """
    What the windows tell: ratios within a round, then their median, least and most.

    Args:
        windows: All rounds, each whole. Those in which packets were lost or late are left out.
        calls: Of each kind.
    """
    whole = [
        {each.variant: each for each in windows[start : start + len(VARIANTS)]}
        for start in range(0, len(windows), len(VARIANTS))
    ]
    clean = [each for each in whole if all(window.clean for window in each.values())]
    # Where all are void they tell something all the same, and say that they are.
    rounds = clean or whole

    def ratios(one: str, two: str) -> dict[str, float]:
        return _spread([each[one].cpu_ms / each[two].cpu_ms for each in rounds])

    def row(name: str) -> dict[str, Any]:
        some = [each[name] for each in rounds]
        received = sum(each.heard.received for each in some)
        simple = [median((each["simple"].cpu_ms, each["simple_again"].cpu_ms)) for each in rounds]
        return {
            "cpu_ms_per_call_s": round(median(each.cpu_ms for each in some), 3),
            "vs_simple": _spread([a.cpu_ms / b for a, b in zip(some, simple, strict=True)]),
            "wakeups_per_call_s": round(median(each.wakeups for each in some), 1),
            "phones_ms_per_call_s": round(median(each.phones_ms for each in some), 3),
            "lost": sum(each.heard.lost for each in some),
            "late_share": round(sum(each.heard.late for each in some) / max(1, received), 6),
            "p50_ms": median(each.heard.p50 for each in some) / 1000,
            "p99_ms": median(each.heard.p99 for each in some) / 1000,
        }

    return {
        "calls": calls,
        "rounds": len(whole),
        "void": len(whole) - len(clean),
        "bridges": {name: row(name) for name in VARIANTS},
        "guarded_vs_native": ratios("guarded", "native"),
        "recorded_vs_simple": ratios("recorded", "simple"),
        "guarded_vs_rtpengine": ratios("guarded", "rtpengine"),
        "noise": ratios("simple_again", "simple"),
    }


def _spread(ratios: Sequence[float]) -> dict[str, float]:
    return {
        "median": round(median(ratios), 3),
        "min": round(min(ratios), 3),
        "max": round(max(ratios), 3),
    }


def _shown(spread: Mapping[str, float]) -> str:
    return f"{spread['median']} ({spread['min']}–{spread['max']})"


def _show(told: Mapping[str, Any]) -> None:
    print(
        "| bridge | CPU, ms per call-second | ÷ simple (min–max) | wake-ups per call-second"
        " | phones, ms per call-second | lost | late | p50, p99, ms |"
    )
    print("| --- | --: | --: | --: | --: | --: | --: | --: |")
    for name, row in told["bridges"].items():
        print(
            f"| {name} | {row['cpu_ms_per_call_s']} | {_shown(row['vs_simple'])}"
            f" | {row['wakeups_per_call_s']} | {row['phones_ms_per_call_s']} | {row['lost']}"
            f" | {100 * row['late_share']:.3f} % | {row['p50_ms']:.2f}, {row['p99_ms']:.2f} |"
        )
    print(f"\nguarded ÷ native: {_shown(told['guarded_vs_native'])}")
    print(f"recorded ÷ simple: {_shown(told['recorded_vs_simple'])}")
    print(f"guarded ÷ rtpengine, one thread: {_shown(told['guarded_vs_rtpengine'])}")
    print(f"rounds: {told['rounds']}, of them void, for packets lost or late: {told['void']}")
    print(f"simple, at the other end of the round ÷ simple: {_shown(told['noise'])}")


def arguments() -> argparse.Namespace:
    """Parse the command line; exits with 2 if it is none of ours."""
    parser = argparse.ArgumentParser(prog="tests/bench/run talk", description=ABOUT)
    parser.add_argument("--calls", type=int, metavar="N", default=60, help="of each kind")
    parser.add_argument("--seconds", type=float, metavar="S", default=3.0, help="of a window")
    parser.add_argument("--rounds", type=int, metavar="N", default=20, help="of six windows")
    parser.add_argument(
        "--pin", action="store_true", help="the phones to one core, all else to another"
    )
    parser.add_argument(
        "--ladder", action="store_true", help="and how many can talk at once, by two bridges"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw it there, as SVG")
    args = parser.parse_args()
    if args.calls < 1 or args.seconds <= 0 or args.rounds < 1:
        parser.error("at least one call, one round, and some time")
    return args


def main() -> int:
    """Run the command line; returns the exit code."""
    args = arguments()
    work = Path(tempfile.mkdtemp(prefix="agi-router-bench-"))
    root = Path(os.environ["PBX_ROOTFS"])
    # Phones that wait for a core would be late; all that is started from here inherits it.
    os.setpriority(os.PRIO_PROCESS, 0, _FOREMOST)
    windows: list[Window] = []
    try:
        for window in measure(
            root,
            work,
            calls=args.calls,
            seconds=args.seconds,
            rounds=args.rounds,
            pinned=args.pin,
        ):
            windows.append(window)
            print(f"bench: {window.variant} {window.cpu_ms:.3f} ms", file=sys.stderr)
        told = summed_up(windows, calls=args.calls)
        if args.ladder:
            told["ladder"] = {
                name: climb(root, work, native=name == "guarded", seconds=args.seconds)
                for name in ("simple", "guarded")
            }
    except (BenchError, OSError) as error:
        print(f"error: {error} (traces: {work})", file=sys.stderr)
        return 1
    _show(told)
    if args.ladder:
        most = {name: _most(steps) for name, steps in told["ladder"].items()}
        ratio = most["guarded"] / max(1, most["simple"])
        print(f"talk at once: simple {most['simple']}, guarded {most['guarded']}: {ratio:.2f}")
    if args.json:
        whole = {"talk": told, "windows": [asdict(each) for each in windows]}
        args.json.write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
    if args.plot:
        args.plot.write_text(draw_talk(told["bridges"]), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

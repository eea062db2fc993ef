"""The command `tests/bench/run`."""

# ruff: noqa: T201  (a command prints)

import argparse
import importlib.util
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agi_router.errors import AgiRouterError

from .clean_rate import Search
from .errors import BenchError
from .memory import hold_calls
from .pbx import pbx_up
from .plots import draw
from .report import GOALS, Result, Sample
from .session import Session, say
from .variants import DEFAULT, Variant

ABOUT = """\
CPU per call and post-dial delay of the shipped call path and of other ways to do the same, as
ratios to a plain Dial() on the same Asterisk, all in one run. See tests/bench/README.md.
"""
CODES = "exit codes: 0 measured; 1 calls failed, or nothing could be measured; 2 usage"

_WARM_UP = 100
_SWEEP_SECONDS = 10
_PROBE_SECONDS = 15
# From all rounds and probes, so that none makes the calls of another.
_PROBE_SEED = 1000
_HELD = 5000


def arguments() -> argparse.Namespace:
    """Parse the command line; exits with 2 if it is none of ours."""

    def positive(text: str) -> int:
        if (value := int(text)) < 1:
            raise ValueError
        return value

    def rates(text: str) -> list[int]:
        return [positive(one) for one in text.split(",") if one]

    def variants(text: str) -> list[Variant]:
        chosen = {Variant(name) for name in text.split(",")}
        return [variant for variant in Variant if variant in chosen]

    parser = argparse.ArgumentParser(
        prog="tests/bench/run",
        description=ABOUT,
        epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="2 rounds of 300 calls, 20,000 routes, no other parts: to see that it works",
    )
    parser.add_argument("--rounds", type=positive, metavar="N", help="default 5")
    parser.add_argument(
        "--rate", type=positive, metavar="R", default=200, help="calls per second; default 200"
    )
    parser.add_argument(
        "--rates", type=rates, metavar="R,R,…", help="also at these; default 50,100,300, or none"
    )
    parser.add_argument(
        "--calls", type=positive, metavar="N", help="calls per variant and round, default 2000"
    )
    parser.add_argument(
        "--bindings", type=positive, metavar="N", help="two routes each; default 500,000"
    )
    parser.add_argument(
        "--variants", type=variants, metavar="V,V,…", help=f"of {', '.join(Variant)}"
    )
    parser.add_argument(
        "--clean-rate",
        action=argparse.BooleanOptionalAction,
        help="search the highest clean rate; default without --quick",
    )
    parser.add_argument(
        "--parts",
        action=argparse.BooleanOptionalAction,
        help="also measure memory and admissions; default without --quick",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw the plots there")
    args = parser.parse_args()
    quick = args.quick
    args.rounds = args.rounds or (2 if quick else 5)
    args.calls = args.calls or (300 if quick else 2000)
    args.bindings = args.bindings or (10_000 if quick else 500_000)
    args.variants = args.variants or list(DEFAULT)
    if args.rates is None:
        args.rates = [] if quick else [50, 100, 300]
    args.clean_rate = not quick if args.clean_rate is None else args.clean_rate
    args.parts = not quick if args.parts is None else args.parts
    if {Variant.CDR, Variant.ODBC_CDR} <= set(args.variants):
        parser.error("cdr and odbc_cdr cannot be in one run: both would write all records")
    if args.bindings < args.calls:
        parser.error("no binding is called twice in a round: more bindings, or fewer calls")
    return args


def compare(session: Session, args: argparse.Namespace) -> Iterator[Sample]:
    """All variants in turn, round by round, at the main rate and then at the others."""
    say("warming up")
    for variant in args.variants:
        tell(session.measure(variant, number=0, count=min(_WARM_UP, args.calls), rate=args.rate))
    plan = [(args.rate, args.calls)]
    plan += [
        (rate, min(rate * _SWEEP_SECONDS, args.bindings))
        for rate in args.rates
        if rate != args.rate
    ]
    for rate, count in plan:
        say(f"{rate} calls/s")
        for number in range(1, args.rounds + 1):
            for variant in args.variants:
                for _ in range(2):
                    sample = session.measure(variant, number=number, count=count, rate=rate)
                    yield sample
                    tell(sample)
                    if not sample.faults:
                        break


def clean_rates(session: Session, args: argparse.Namespace) -> dict[str, Any]:
    """The highest clean rates of a static Dial() and of ours, searched in turn."""
    searches = {
        variant: Search(args.rate)
        for variant in (Variant.STATIC, Variant.JOURNAL)
        if variant in args.variants
    }
    number = _PROBE_SEED
    while any(search.rate for search in searches.values()):
        for variant, search in searches.items():
            if (rate := search.rate) is None:
                continue
            number += 1
            count = min(rate * _PROBE_SECONDS, args.bindings)
            for _ in range(2):
                sample = session.measure(variant, number=number, count=count, rate=rate)
                word = "not clean: " + "; ".join(sample.faults) if sample.faults else "clean"
                say(f"{variant} at {rate}/s: {word}")
                if not sample.faults:
                    break
            search.tell(clean=not sample.faults)
    found = {variant.value: search.clean for variant, search in searches.items()}
    static = found.get(Variant.STATIC)
    ours = found.get(Variant.JOURNAL)
    return {
        "clean_rate": found,
        "clean_rate_vs_static": round(ours / static, 3) if static and ours is not None else None,
    }


def admissions() -> Mapping[str, Any]:
    """The goals that `tests/bench/run admission` measures; nothing where it is not there."""
    if importlib.util.find_spec("bench.admission") is None:
        say("no bench.admission: not measured")
        return {}
    say("measuring admissions")
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        done = subprocess.run(
            [sys.executable, "-m", "bench.admission", "--json", file.name],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
        )
        if done.returncode:
            raise BenchError("tests/bench/run admission failed")
        measured = json.loads(Path(file.name).read_text("utf-8"))
    return {goal.name: measured[goal.name] for goal in GOALS if goal.name in measured}


def part(measured: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """What a part gives; nothing if it fails, because an hour of rounds must not be lost by it."""
    try:
        return measured()
    except BenchError as error:
        say(f"not measured: {error}")
        return {}


def tell(sample: Sample) -> None:
    """Report what a round gave."""
    text = f"round {sample.round}: {sample.variant:12} {sample.sum_ms:6.2f} ms/call"
    if sample.faults:
        text += f"  void: {'; '.join(sample.faults)}"
    say(text)


def measure(args: argparse.Namespace, work: Path) -> Result:
    """The whole run."""
    parts: dict[str, Any] = {}
    with (
        pbx_up() as pbx,
        Session.opened(pbx, work, bindings=args.bindings, variants=args.variants) as session,
    ):
        samples: Sequence[Sample] = list(compare(session, args))
        if args.clean_rate:
            parts |= part(lambda: clean_rates(session, args))
        if args.parts:
            parts |= part(lambda: hold_calls(session, calls=_HELD))
        versions = session.versions
    if args.parts:
        parts |= part(admissions)
    about = {
        **versions,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "rounds": args.rounds,
        "calls": args.calls,
        "routes": 2 * args.bindings,
    }
    return Result(
        about=about, rate=args.rate, variants=args.variants, samples=samples, parts=parts
    )


def main() -> int:
    """Run the command line; returns the exit code."""
    args = arguments()
    # Whoever ends us wants the PBX down, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    work = Path(tempfile.mkdtemp(prefix="agi-router-bench-"))
    try:
        result = measure(args, work)
    except (BenchError, AgiRouterError, OSError) as error:
        print(f"error: {error} (traces: {work})", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, SystemExit):
        shutil.rmtree(work)
        print("error: interrupted", file=sys.stderr)
        return 130
    print(result.to_markdown())
    if args.json:
        text = json.dumps(result.to_json(), indent=1, ensure_ascii=False)
        args.json.write_text(text + "\n", "utf-8")
    if args.plots:
        draw(result.to_json(), args.plots)
    if result.void:
        say(f"traces are in {work}")
    else:
        shutil.rmtree(work)
    if result.failed:
        print("error: calls failed, or a variant has no clean round", file=sys.stderr)
    return int(result.failed)


if __name__ == "__main__":
    sys.exit(main())

"""From rounds to a table: medians, ratios within a round, percentiles, goals. No I/O."""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from .variants import SERVERS, Variant

__all__ = ["GOALS", "Goal", "Result", "Sample", "goals_table"]


@dataclass(frozen=True, slots=True)
class Goal:
    """
    What a figure is to be.

    Attributes:
        name: Of the figure, in the JSON.
        sign: How it compares with the limit.
        limit: The limit.
        what: The figure in words.
    """

    name: str
    sign: str
    limit: float
    what: str

    def met(self, figure: float) -> bool:
        """Whether a figure is good enough."""
        compare: dict[str, Callable[[float, float], bool]] = {
            "<": operator.lt,
            "≤": operator.le,
            "≥": operator.ge,
        }
        return compare[self.sign](figure, self.limit)


GOALS = (
    Goal("cpu_vs_static", "≤", 1.25, "CPU per call ÷ static Dial()"),
    Goal("cpu_vs_odbc_cdr", "<", 1.0, "CPU per call ÷ func_odbc + cdr_pgsql"),
    Goal("cpu_vs_stock", "≤", 1.0, "CPU per call ÷ static Dial(), Debian's configuration"),
    Goal("pdd_added_p50_ms", "≤", 2.0, "added post-dial delay, p50, ms"),
    Goal("pdd_added_p99_ms", "≤", 8.0, "added post-dial delay, p99, ms"),
    Goal("clean_rate_vs_static", "≥", 0.85, "highest clean rate ÷ static Dial()"),
    Goal("admit_vs_pgbench", "≥", 0.5, "admissions/s of one router ÷ pgbench"),
    Goal("admit_flatness", "≤", 1.2, "admission at 10^7 routes ÷ at 10^4"),
    Goal("router_rss_mb", "≤", 60.0, "router memory, 5,000 calls up, MB"),
)

_OURS = Variant.JOURNAL
_RATIOS = {
    "cpu_vs_static": Variant.STATIC,
    "cpu_vs_odbc_cdr": Variant.ODBC_CDR,
    "cpu_vs_stock": Variant.STOCK,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """
    One variant in one round.

    Attributes:
        variant: The variant.
        round: The round, from 1.
        asked: Calls per second that were to be sent.
        calls: How many calls.
        seconds: Length of the window in which CPU was counted.
        cpu: CPU seconds by server; the router's with those of the variant's reader.
        out: Seconds from INVITE in to INVITE out, call by call.
        delays: Seconds from INVITE in to 180 back, call by call.
        rate: Calls per second as they were really sent.
        faults: Why it does not count, in words; empty for a clean one.
    """

    variant: Variant
    round: int
    asked: int
    calls: int
    seconds: float
    cpu: Mapping[str, float]
    out: tuple[float, ...]
    delays: tuple[float, ...]
    rate: float
    faults: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether calls failed, or the records do not show them as they were."""
        # Messages sent again disturb the measurement, but no call.
        return any(not fault.startswith("disturbed") for fault in self.faults)

    def cpu_ms(self, server: str) -> float:
        """Milliseconds of CPU per call of one server."""
        return 1000 * self.cpu[server] / self.calls

    @property
    def sum_ms(self) -> float:
        """
        Milliseconds of CPU per call of all that the variant needs.

        A static Dial() needs Asterisk only. Leaving out what an idle router and an idle
        database take makes the denominator smaller, never larger.
        """
        return sum(map(self.cpu_ms, self.variant.servers))

    def pdd_ms(self, percent: int) -> float | None:
        """Post-dial delay, INVITE in to 180 back, that *percent* of the calls had at most."""
        return _percentile(sorted(self.delays), percent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """
    A whole run.

    Attributes:
        about: Versions and parameters, in the order of the last line.
        rate: Calls per second to which the goals belong.
        variants: What was compared, in order.
        samples: All that was measured, at all rates, void ones too.
        parts: Figures of other parts of the run, which go into the JSON as they are; a goal among
            them counts.
    """

    about: Mapping[str, Any]
    rate: int
    variants: Sequence[Variant]
    samples: Sequence[Sample]
    parts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def void(self) -> list[Sample]:
        """What does not count."""
        return [sample for sample in self.samples if sample.faults]

    @property
    def failed(self) -> bool:
        """Whether calls failed, and again when repeated, or a variant has no clean round."""
        clean = {(s.asked, s.variant, s.round) for s in self.samples if not s.faults}
        # Only the rate of the goals must be within what the machine can do.
        lost = any(
            s.failed and (s.asked, s.variant, s.round) not in clean
            for s in self.void
            if s.asked == self.rate
        )
        return lost or not all(self._clean(variant, self.rate) for variant in self.variants)

    def to_json(self) -> dict[str, Any]:
        """The same as the tables, and every round."""
        goals = {goal.name: None for goal in GOALS} | self._ratio_goals() | self._delay_goals()
        rates = sorted({sample.asked for sample in self.samples})
        return {
            **goals,
            **{name: value for name, value in self.parts.items() if value is not None},
            "rate": self.rate,
            "variants": self._at(self.rate),
            "sweep": {str(rate): self._at(rate) for rate in rates},
            "about": dict(self.about),
            "void": [
                {
                    "variant": s.variant,
                    "rate": s.asked,
                    "round": s.round,
                    "faults": list(s.faults),
                }
                for s in self.void
            ],
            "samples": [
                {
                    "variant": s.variant,
                    "round": s.round,
                    "void": bool(s.faults),
                    "calls": s.calls,
                    "rate": s.asked,
                    "rate_sent": round(s.rate, 2),
                    "seconds": round(s.seconds, 2),
                    "cpu_ms": _rounded({server: s.cpu_ms(server) for server in SERVERS}),
                    **_rounded({"pdd_ms_p50": s.pdd_ms(50), "pdd_ms_p99": s.pdd_ms(99)}),
                }
                for s in self.samples
            ],
        }

    def to_markdown(self) -> str:
        """The tables, and what they were measured with."""
        result = self.to_json()
        rates = [rate for rate in result["sweep"] if int(rate) != self.rate]
        tables = [f"{self.rate} calls/s:\n\n{_table(result['variants'])}"]
        tables += [f"{rate} calls/s:\n\n{_table(result['sweep'][rate])}" for rate in rates]
        names = {"asterisk": "Asterisk", "postgresql": "PostgreSQL", "python": "Python"}
        about = " · ".join(
            f"{names.get(name, name)} {value}" for name, value in self.about.items()
        )
        void = "".join(
            f"\nvoid: {s.variant} at {s.asked}/s, round {s.round}: {'; '.join(s.faults)}"
            for s in self.void
        )
        if (clean := result.get("clean_rate")) is not None:
            found = ", ".join(f"{name} {rate}/s" for name, rate in clean.items())
            tables.append(f"highest clean rate: {found}")
        return "\n\n".join([*tables, f"{about}{void}", goals_table(result)])

    def _clean(self, variant: Variant, rate: int) -> dict[int, Sample]:
        return {
            s.round: s
            for s in self.samples
            if s.variant is variant and s.asked == rate and not s.faults
        }

    def _pairs(self, ours: Variant, other: Variant, rate: int) -> list[tuple[Sample, Sample]]:
        """Rounds in which both were clean."""
        theirs = self._clean(other, rate)
        return [
            (sample, theirs[number])
            for number, sample in self._clean(ours, rate).items()
            if number in theirs
        ]

    def _ratios(self, ours: Variant, other: Variant, rate: int) -> list[float]:
        return [one.sum_ms / two.sum_ms for one, two in self._pairs(ours, other, rate)]

    def _ratio_goals(self) -> dict[str, float | None]:
        return _rounded(
            {
                name: _median(self._ratios(_OURS, other, self.rate))
                for name, other in _RATIOS.items()
            }
        )

    def _delay_goals(self) -> dict[str, float | None]:
        pairs = self._pairs(_OURS, Variant.STATIC, self.rate)
        return _rounded(
            {
                f"pdd_added_p{percent}_ms": _median(
                    (one.pdd_ms(percent) or 0) - (two.pdd_ms(percent) or 0) for one, two in pairs
                )
                for percent in (50, 99)
            }
        )

    def _at(self, rate: int) -> dict[str, Any]:
        return {variant.value: self._variant(variant, rate) for variant in self.variants}

    def _variant(self, variant: Variant, rate: int) -> dict[str, Any]:
        samples = self._clean(variant, rate).values()
        ratios = self._ratios(variant, Variant.STATIC, rate)
        by_server = {server: _median(s.cpu_ms(server) for s in samples) for server in SERVERS}
        idle = {name: by_server.pop(name) for name in SERVERS if name not in variant.servers}
        out = sorted(delay for sample in samples for delay in sample.out)
        delays = sorted(delay for sample in samples for delay in sample.delays)
        sums = [s.sum_ms for s in samples]
        return {
            "rounds": len(samples),
            "cpu_ms": _rounded(
                {
                    **by_server,
                    "sum": _median(sums),
                    "sum_min": min(sums, default=None),
                    "sum_max": max(sums, default=None),
                }
            ),
            "idle_ms": _rounded(idle),
            **_rounded(
                {
                    "cpu_vs_static": _median(ratios),
                    "cpu_vs_static_min": min(ratios, default=None),
                    "cpu_vs_static_max": max(ratios, default=None),
                    "out_ms_p50": _percentile(out, 50),
                    "out_ms_p99": _percentile(out, 99),
                    "pdd_ms_p50": _percentile(delays, 50),
                    "pdd_ms_p99": _percentile(delays, 99),
                    "rate_min": min((s.rate for s in samples), default=None),
                }
            ),
        }


def goals_table(result: Mapping[str, Any]) -> str:
    """Each goal with its figure, and whether it is met."""
    rows = []
    for goal in GOALS:
        figure = result.get(goal.name)
        verdict = "not measured" if figure is None else "met" if goal.met(figure) else "missed"
        shown = "–" if figure is None else f"{figure:.2f}"
        rows.append((goal.name, goal.what, shown, f"{goal.sign} {goal.limit:g}", verdict))
    return _markdown(("goal", "what", "figure", "goal", ""), rows, left=2)


def _table(variants: Mapping[str, Any]) -> str:
    rows: list[tuple[str, ...]] = []
    for name, one in variants.items():
        if not one["rounds"]:
            rows.append((name, "0", *("void",) * 10))
            continue
        cpu, idle = one["cpu_ms"], one["idle_ms"]
        ratios = (one[f"cpu_vs_static{end}"] for end in ("", "_min", "_max"))
        middle, low, high = ("" if r is None else f"{r:.2f}" for r in ratios)
        delays = (one[f"{kind}_ms_p{p}"] for kind in ("out", "pdd") for p in (50, 99))
        rows.append(
            (
                name,
                str(one["rounds"]),
                *(
                    f"({idle[server]:.2f})" if server in idle else f"{cpu[server]:.2f}"
                    for server in SERVERS
                ),
                f"{cpu['sum']:.2f}",
                middle,
                f"{low}–{high}",
                *(f"{delay:.1f}" for delay in delays),
            )
        )
    head = (
        *("variant", "rounds", "Asterisk", "router", "PostgreSQL", "sum, ms/call"),
        *("÷ static", "min–max", "out p50, ms", "out p99", "PDD p50, ms", "PDD p99"),
    )
    return _markdown(head, rows, left=1)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> str:
    line = [*("---",) * left, *("--:",) * (len(head) - left)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, line, *rows))


def _median(values: Iterable[float]) -> float | None:
    known = list(values)
    return median(known) if known else None


def _percentile(ordered: Sequence[float], percent: int) -> float | None:
    """Milliseconds below which *percent* of the values lie: the nearest rank."""
    if not ordered:
        return None
    return 1000 * ordered[-(-len(ordered) * percent // 100) - 1]


def _rounded(values: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: None if value is None else round(value, 3) for name, value in values.items()}

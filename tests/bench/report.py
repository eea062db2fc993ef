"""From rounds to a table: medians, ratios within a round, percentiles. No I/O."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from .variants import Variant

__all__ = ["SERVERS", "Result", "Sample"]

SERVERS = ("asterisk", "router", "postgres")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """
    One variant in one round.

    Attributes:
        variant: The variant.
        round: The round, from 1.
        calls: How many calls.
        seconds: Length of the window in which CPU was counted.
        cpu: CPU seconds by server; the router's with those of the variant's reader.
        delays: Seconds from INVITE to 180, call by call.
        rate: Calls per second as they were really sent.
        faults: Why it does not count, in words; empty for a clean one.
        failed: Whether calls failed, or the books do not show them as they were.
    """

    variant: Variant
    round: int
    calls: int
    seconds: float
    cpu: Mapping[str, float]
    delays: tuple[float, ...]
    rate: float
    faults: tuple[str, ...] = ()
    failed: bool = False

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
        servers = SERVERS if self.variant.admits else ("asterisk",)
        return sum(map(self.cpu_ms, servers))


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """
    A whole run.

    Attributes:
        about: Versions and parameters, in the order of the last line.
        samples: All that was measured, void ones too.
    """

    about: Mapping[str, Any]
    samples: Sequence[Sample]

    @property
    def void(self) -> list[Sample]:
        """What does not count."""
        return [sample for sample in self.samples if sample.faults]

    @property
    def failed(self) -> bool:
        """Whether calls failed where a repetition did not help, or there is no result."""
        clean = {(s.variant, s.round) for s in self.samples if not s.faults}
        lost = any(s.failed and (s.variant, s.round) not in clean for s in self.void)
        return lost or not self._ratios(Variant.JOURNAL)

    def to_json(self) -> dict[str, Any]:
        """The same as the table, and every round."""
        variants = {variant.value: self._variant(variant) for variant in Variant}
        return {
            "cpu_vs_static": variants[Variant.JOURNAL]["cpu_vs_static"],
            "variants": variants,
            **self.about,
            "void": [
                {"variant": s.variant, "round": s.round, "faults": list(s.faults)}
                for s in self.void
            ],
            "samples": [
                {
                    "variant": s.variant,
                    "round": s.round,
                    "void": bool(s.faults),
                    "calls": s.calls,
                    "rate": round(s.rate, 2),
                    "seconds": round(s.seconds, 2),
                    "cpu_ms": _rounded({server: s.cpu_ms(server) for server in SERVERS}),
                }
                for s in self.samples
            ],
        }

    def to_markdown(self) -> str:
        """The table, and what it was measured with."""
        rows: list[tuple[str, ...]] = [
            (
                *("variant", "Asterisk", "router", "PostgreSQL", "sum, ms/call"),
                *("÷ static", "min–max", "PDD p50, ms", "PDD p99, ms"),
            ),
            ("---", *("--:",) * 8),
        ]
        for variant in Variant:
            one = self._variant(variant)
            if not one["rounds"]:
                rows.append((variant.value, *("void",) * 8))
                continue
            cpu, idle = one["cpu_ms"], one["idle_ms"]
            ratios = (one[f"cpu_vs_static{end}"] for end in ("", "_min", "_max"))
            middle, low, high = ("–" if r is None else f"{r:.2f}" for r in ratios)
            rows.append(
                (
                    variant.value,
                    *(
                        f"({idle[server]:.2f})" if server in idle else f"{cpu[server]:.2f}"
                        for server in SERVERS
                    ),
                    f"{cpu['sum']:.2f}",
                    middle,
                    f"{low}–{high}",
                    f"{one['pdd_ms_p50']:.1f}",
                    f"{one['pdd_ms_p99']:.1f}",
                )
            )
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        names = {"asterisk": "Asterisk", "postgresql": "PostgreSQL", "python": "Python"}
        about = " · ".join(
            f"{names.get(name, name)} {value}" for name, value in self.about.items()
        )
        void = "".join(
            f"\nvoid: {s.variant}, round {s.round}: {'; '.join(s.faults)}" for s in self.void
        )
        return f"{table}\n\n{about}{void}"

    def _clean(self, variant: Variant) -> dict[int, Sample]:
        return {s.round: s for s in self.samples if s.variant is variant and not s.faults}

    def _ratios(self, variant: Variant) -> list[float]:
        static = self._clean(Variant.STATIC)
        return [
            sample.sum_ms / static[number].sum_ms
            for number, sample in self._clean(variant).items()
            if number in static
        ]

    def _variant(self, variant: Variant) -> dict[str, Any]:
        samples = self._clean(variant).values()
        ratios = self._ratios(variant)
        by_server = {server: _median(s.cpu_ms(server) for s in samples) for server in SERVERS}
        idle = {} if variant.admits else {name: by_server.pop(name) for name in SERVERS[1:]}
        delays = sorted(delay for sample in samples for delay in sample.delays)
        return {
            "rounds": len(samples),
            "cpu_ms": _rounded({**by_server, "sum": _median(s.sum_ms for s in samples)}),
            "idle_ms": _rounded(idle),
            **_rounded(
                {
                    "cpu_vs_static": _median(ratios),
                    "cpu_vs_static_min": min(ratios, default=None),
                    "cpu_vs_static_max": max(ratios, default=None),
                    "pdd_ms_p50": _percentile(delays, 50),
                    "pdd_ms_p99": _percentile(delays, 99),
                    "rate_min": min((s.rate for s in samples), default=None),
                }
            ),
        }


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

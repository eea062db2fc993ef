"""
The pictures of a run, as SVG documents that a README can show.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from .variants import SERVERS

__all__ = ["draw", "draw_talk"]

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 640, 260, 62, 62, 20, 56
# Told apart by people who see red and green alike (Okabe and Ito).
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#000000", "#999999")
_SERVERS = {"asterisk": "Asterisk", "router": "router", "postgres": "PostgreSQL"}


@dataclass(frozen=True, slots=True)
class _Axes:
    """
    The frame of a picture: a title, a legend, and values from zero up.
    """

    title: str
    unit: str
    below: str
    highest: float

    @property
    def step(self) -> float:
        """Between two marks: 1, 2 or 5 of some power of ten."""
        rough = self.highest / 5
        power = 10.0 ** floor(log10(rough))
        return next(power * part for part in (1, 2, 5, 10) if power * part >= rough)

    @property
    def top(self) -> float:
        return ceil(self.highest / self.step) * self.step

    def y(self, value: float) -> float:
        return _TOP + (1 - value / self.top) * _HEIGHT

    def document(self, shapes: Sequence[str], legend: Sequence[str]) -> str:
        bottom, right = _TOP + _HEIGHT, _LEFT + _WIDTH
        marks = []
        for number in range(round(self.top / self.step) + 1):
            value = number * self.step
            y = self.y(value)
            marks.append(
                f'<path d="M{_LEFT},{y:.1f} H{right}" stroke="#ddd"/>'
                f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
            )
        boxes = []
        x = float(_LEFT)
        for name, colour in zip(legend, _COLOURS, strict=False):
            boxes.append(
                f'<rect x="{x:.0f}" y="34" width="11" height="11" fill="{colour}"/>'
                f'<text x="{x + 16:.0f}" y="44">{escape(name)}</text>'
            )
            x += 34 + 7 * len(name)
        return "\n".join(
            [
                (
                    f'<svg xmlns="http://www.w3.org/2000/svg" width="{right + _RIGHT}"'
                    f' height="{bottom + _BOTTOM}" font-family="sans-serif" font-size="12">'
                ),
                '<rect width="100%" height="100%" fill="white"/>',
                (
                    f'<text x="{_LEFT}" y="20" font-weight="bold" font-size="14">'
                    f"{escape(self.title)}</text>"
                ),
                *boxes,
                *marks,
                *shapes,
                f'<path d="M{_LEFT},{_TOP} V{bottom} H{right}" fill="none" stroke="black"/>',
                (
                    f'<text transform="translate(16 {_TOP + _HEIGHT / 2}) rotate(-90)"'
                    f' text-anchor="middle">{escape(self.unit)}</text>'
                ),
                (
                    f'<text x="{_LEFT + _WIDTH / 2}" y="{bottom + 42}" text-anchor="middle">'
                    f"{escape(self.below)}</text>"
                ),
                "</svg>\n",
            ]
        )


def _label(x: float, text: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{_TOP + _HEIGHT + 18}" text-anchor="middle">{escape(text)}</text>'
    )


def _bar(x: float, width: float, low: float, high: float, colour: str) -> str:
    """A bar between two heights on the page; *high* is the upper one."""
    return (
        f'<rect x="{x:.1f}" y="{high:.1f}" width="{width:.1f}" height="{low - high:.1f}"'
        f' fill="{colour}"/>'
    )


def _value(x: float, y: float, value: float) -> str:
    return f'<text x="{x:.1f}" y="{y - 4:.1f}" text-anchor="middle">{value:.1f}</text>'


def cpu_by_variant(rate: int, variants: Mapping[str, Any]) -> str:
    """CPU per call of each variant, its servers on top of each other."""
    # Medians by server need not add up to the median of the sums, which is what is written above.
    stacks = {
        name: [one["cpu_ms"].get(server) or 0.0 for server in SERVERS]
        for name, one in variants.items()
    }
    axes = _Axes(
        title=f"CPU per call, {rate} calls/s",
        unit="ms of CPU per call",
        below="variant; the number is the median of the sums, the line its smallest and largest",
        highest=max(
            max(sum(stacks[name]), one["cpu_ms"]["sum_max"]) for name, one in variants.items()
        )
        * 1.05,
    )
    slot = _WIDTH / len(variants)
    shapes = []
    for place, (name, stack) in enumerate(stacks.items()):
        x, width = _LEFT + (place + 0.2) * slot, 0.6 * slot
        total = 0.0
        for part, colour in zip(stack, _COLOURS, strict=False):
            shapes.append(_bar(x, width, axes.y(total), axes.y(total + part), colour))
            total += part
        cpu = variants[name]["cpu_ms"]
        middle = x + width / 2
        low, high = axes.y(cpu["sum_min"]), axes.y(cpu["sum_max"])
        shapes += [
            f'<path d="M{middle:.1f},{low:.1f} V{high:.1f}" stroke="black" stroke-width="1.5"/>',
            _value(middle, min(high, axes.y(total)), cpu["sum"]),
            _label(middle, name),
        ]
    return axes.document(shapes, list(_SERVERS.values()))


def delay_by_variant(rate: int, variants: Mapping[str, Any]) -> str:
    """Post-dial delay of each variant: median and 99th percentile, out and back."""
    kinds = {
        "out_ms_p50": "INVITE out, p50",
        "out_ms_p99": "INVITE out, p99",
        "pdd_ms_p50": "180 back, p50",
        "pdd_ms_p99": "180 back, p99",
    }
    axes = _Axes(
        title=f"Post-dial delay, {rate} calls/s",
        unit="ms after INVITE in",
        below="variant",
        highest=max(one[kind] for one in variants.values() for kind in kinds) * 1.05,
    )
    slot = _WIDTH / len(variants)
    width = 0.84 * slot / len(kinds)
    shapes = []
    for place, (name, one) in enumerate(variants.items()):
        for bar, (kind, colour) in enumerate(zip(kinds, _COLOURS, strict=False)):
            x = _LEFT + (place + 0.08) * slot + bar * width
            shapes.append(_bar(x, width * 0.92, axes.y(0), axes.y(one[kind]), colour))
            shapes.append(
                f'<text x="{x + width / 2:.1f}" y="{axes.y(one[kind]) - 3:.1f}" font-size="9"'
                f' text-anchor="middle">{one[kind]:.{int(one[kind] < 10)}f}</text>'
            )
        shapes.append(_label(_LEFT + (place + 0.5) * slot, name))
    return axes.document(shapes, list(kinds.values()))


def cpu_by_rate(sweep: Mapping[str, Any]) -> str:
    """CPU per call of each variant, against the rate."""
    rates = [int(rate) for rate in sweep]
    lines: dict[str, list[tuple[int, float]]] = {}
    for rate, variants in sweep.items():
        for name, one in variants.items():
            if one["rounds"]:
                lines.setdefault(name, []).append((int(rate), one["cpu_ms"]["sum"]))
    axes = _Axes(
        title="CPU per call against the rate",
        unit="ms of CPU per call",
        below="calls per second; a rate at which a variant had no clean round is left out",
        highest=max(value for points in lines.values() for _, value in points) * 1.05,
    )
    widest = max(rates) * 1.05

    def x(rate: int) -> float:
        return _LEFT + rate / widest * _WIDTH

    shapes = [_label(x(rate), str(rate)) for rate in rates]
    for points, colour in zip(lines.values(), _COLOURS, strict=False):
        path = " ".join(f"{x(rate):.1f},{axes.y(value):.1f}" for rate, value in points)
        shapes.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        shapes += [
            f'<circle cx="{x(rate):.1f}" cy="{axes.y(value):.1f}" r="3.5" fill="{colour}"/>'
            for rate, value in points
        ]
    return axes.document(shapes, list(lines))


def draw_talk(bridges: Mapping[str, Any]) -> str:
    """
    CPU per talked second of a call by each bridge, as shares of the simple one's.

    Args:
        bridges: Of each the ratio to the simple bridge, as ``talk`` tells it.
    """
    ratios = {name: one["vs_simple"] for name, one in bridges.items()}
    axes = _Axes(
        title="CPU per talked second of a call",
        unit="÷ simple bridge",
        below="what joins the call; the number is the median of all windows, the line its range",
        highest=max(one["max"] for one in ratios.values()) * 1.05,
    )
    slot = _WIDTH / len(ratios)
    shapes = []
    for place, (name, one) in enumerate(ratios.items()):
        x, width = _LEFT + (place + 0.25) * slot, 0.5 * slot
        middle = x + width / 2
        low, high = axes.y(one["min"]), axes.y(one["max"])
        shapes += [
            _bar(x, width, axes.y(0), axes.y(one["median"]), _COLOURS[0]),
            f'<path d="M{middle:.1f},{low:.1f} V{high:.1f}" stroke="black" stroke-width="1.5"/>',
            (
                f'<text x="{middle:.1f}" y="{high - 5:.1f}" text-anchor="middle">'
                f"{one['median']:.2f}</text>"
            ),
            _label(middle, name),
        ]
    return axes.document(shapes, [])


def draw(result: Mapping[str, Any], directory: Path) -> None:
    """
    Draw what a run has measured; a variant without a clean round is left out.

    Args:
        result: The run's JSON.
        directory: Where the files go; made if it is not there.
    """
    directory.mkdir(parents=True, exist_ok=True)
    measured = {name: one for name, one in result["variants"].items() if one["rounds"]}
    pictures = {}
    if measured:
        pictures["cpu-by-variant"] = cpu_by_variant(result["rate"], measured)
        pictures["delay-by-variant"] = delay_by_variant(result["rate"], measured)
    if len(result["sweep"]) > 1:
        pictures["cpu-by-rate"] = cpu_by_rate(result["sweep"])
    for name, picture in pictures.items():
        (directory / f"{name}.svg").write_text(picture, "utf-8")

"""
A chart: values over time, as an SVG that a README can show.
"""

from collections.abc import Sequence
from xml.sax.saxutils import escape

__all__ = ["chart"]

_WIDTH, _HEIGHT, _LEFT, _TOP = 720, 160, 60, 28


def chart(title: str, unit: str, points: Sequence[tuple[float, float]]) -> str:
    """
    One line from zero up, as an SVG document.

    Args:
        title: What is shown.
        unit: Of the values.
        points: Minutes and values, in the order of time.
    """
    last, highest = points[-1][0] or 1, max(value for _, value in points) * 1.25 or 1
    line = " ".join(
        f"{_LEFT + minute / last * _WIDTH:.1f},{_TOP + (1 - value / highest) * _HEIGHT:.1f}"
        for minute, value in points
    )
    bottom = _TOP + _HEIGHT
    marks = "".join(
        f'<text x="{_LEFT - 6}" y="{_TOP + (1 - part) * _HEIGHT + 4:.0f}" text-anchor="end">'
        f"{part * highest:.0f}</text>"
        for part in (0, 0.5, 1)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 20}"'
        f' height="{bottom + 32}" font-family="sans-serif" font-size="12">\n'
        '<rect width="100%" height="100%" fill="white"/>\n'
        f'<text x="{_LEFT}" y="16" font-weight="bold">{escape(title)} [{escape(unit)}]</text>\n'
        f'<path d="M{_LEFT},{_TOP} V{bottom} H{_LEFT + _WIDTH}" fill="none" stroke="black"/>\n'
        f"{marks}\n"
        f'<text x="{_LEFT + _WIDTH}" y="{bottom + 16}" text-anchor="end">{last:.0f} min</text>\n'
        f'<polyline points="{line}" fill="none" stroke="#1f5fa8" stroke-width="1.5"/>\n'
        "</svg>\n"
    )

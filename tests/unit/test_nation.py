"""The arithmetic for a nation: its figures are those that were measured, its page shows it."""

from __future__ import annotations

import json
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
from bench.nation import FIGURES, Assumed, figures, table

TOP = Path(__file__).parents[2]
KNOWN: dict[str, dict[str, Any]] = json.loads(FIGURES.read_text("utf-8"))


@pytest.mark.parametrize("name", KNOWN)
def test_each_figure_is_where_it_comes_from(name: str) -> None:
    """It stands in a page or in the result of a bench, or this bench has measured it."""
    figure = KNOWN[name]
    assert figure["value"] > 0
    if figure.get("measured"):
        return
    text = (TOP / figure["file"]).read_text("utf-8")
    if "at" in figure:
        assert reduce(getitem, figure["at"], json.loads(text)) == figure["value"]
        return
    assert text.count(figure["says"]) == 1
    parts = figure.get("less", [figure["value"], 0])
    assert round(parts[0] - parts[1], 3) == round(figure["value"], 3)
    assert all(str(part) in figure["says"] for part in parts if part)


def test_the_page_shows_it() -> None:
    """docs/operate-many.md has the very table: `tests/bench/run nation` prints it."""
    page = (TOP / "docs/operate-many.md").read_text("utf-8")
    assert table(figures(), Assumed()) in page


def test_twice_the_orders_take_twice_the_cores() -> None:
    """What grows with the orders grows with them."""
    once, twice = (table(figures(), Assumed(orders=each)).splitlines() for each in (350e6, 700e6))

    def cores(lines: list[str]) -> list[float]:
        return [
            float(line.split("|")[3].replace(",", "")) for line in lines if "| cores for" in line
        ]

    assert len(cores(once)) == len(cores(twice)) == 10
    for small, large in zip(cores(once), cores(twice), strict=True):
        assert large == pytest.approx(2 * small, abs=1)

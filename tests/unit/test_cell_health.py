"""What is said of cells, by what they and the global database say."""

from __future__ import annotations

from typing import Any

import pytest

from agi_router.inventory.cell_health import judge_cell, judge_proxy, tell_unheard
from agi_router.service.cell_watch import CellWatch

PROXY: dict[str, Any] = {
    "migrations": ["1 a"],
    "functions": ["admit x", "bind y"],
    "uncomposed": [],
    "unconnected": [],
    "unpublished": [],
}
SAID: dict[str, Any] = {
    "number": 3,
    "migrations": ["1 a"],
    "functions": ["admit x", "bind y"],
    "subscriptions": 1,
    "enabled": True,
    "works": True,
    "heard_ago": 1.0,
    "faults": [],
}
SEEN: dict[str, Any] = {"follows": True, "unsent": 0}


@pytest.mark.parametrize(
    ("seen", "said", "fails", "words"),
    [
        ({}, {"number": 2}, True, "become(3)"),
        ({}, {"migrations": ["1 b"]}, True, "other tables"),
        ({}, {"functions": ["admit z", "bind y"]}, True, "(admit)"),
        ({}, {"functions": []}, True, "(admit, bind)"),
        ({}, {"faults": ["a_trigger", "become"]}, True, "(a_trigger, become)"),
        ({}, {"subscriptions": 0}, True, "no subscription"),
        ({}, {"enabled": False}, True, "disabled"),
        ({"follows": None}, {}, True, "no slot"),
        ({"follows": False}, {}, True, "does not get through"),
        ({}, {"works": False}, True, "does not get through"),
        ({"unsent": 2**30}, {}, False, "1024 MB"),
        ({}, {"heard_ago": 60.0}, False, "no sign of life for 60 s"),
    ],
)
def test_one_cell(seen: dict[str, Any], said: dict[str, Any], words: str, *, fails: bool) -> None:
    """One thing is wrong, and named."""
    (fault,) = judge_cell(3, SEEN | seen, SAID | said, PROXY)
    assert fault.fails is fails
    assert words in fault.text


def test_the_proxy() -> None:
    """What it should ask otherwise; of many, some are named."""
    assert not [*judge_cell(3, SEEN, SAID, PROXY), *judge_proxy(PROXY)]
    for name in ("uncomposed", "unconnected", "unpublished"):
        (fault,) = judge_proxy(PROXY | {name: ["a", "b", "c", "d", "e"]})
        assert fault.fails
        assert "a, b, c and 2 more" in fault.text


def test_the_watch(caplog: pytest.LogCaptureFixture) -> None:
    """Each change is told once; what holds is told whenever it is asked."""
    watch = CellWatch()
    rows: list[dict[str, Any]] = [
        {"name": "north", "behind": 1.0},
        {"name": "south", "behind": None},
    ]
    assert watch.judge(rows)
    assert not watch.judge([])
    assert not watch.remarks
    late = [{"name": "north", "behind": 8.4}]
    assert watch.judge(late)
    assert watch.judge(late)
    (line,) = watch.remarks
    assert line.startswith("cell north: ")
    assert "8 s" in line
    watch.judge(rows)
    assert not watch.remarks
    assert [each.message for each in caplog.records] == ["cell.cut_off", "cell.back"]
    assert "9 s" in tell_unheard(9.0)

"""
Which lane of the tests has which file.
"""

from pathlib import Path

import pytest

from harness.shares import is_ours

CALLS, KEYS = Path("tests/calls/test_calls.py"), Path("tests/calls/test_keys.py")


def test_each_file_has_one_lane(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever comes first has it, and has it still in a second try."""
    monkeypatch.setenv("PBX_SHARES", str(tmp_path))
    taken = []
    for lane, file in (("one", CALLS), ("two", CALLS), ("two", KEYS), ("one", KEYS)):
        monkeypatch.setenv("PBX_LANE", lane)
        taken.append((is_ours(file), is_ours(file)))

    assert taken == [(True, True), (False, False), (True, True), (False, False)]


def test_a_run_that_is_no_lane_has_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is where a tier is run by its name."""
    monkeypatch.delenv("PBX_LANE", raising=False)
    monkeypatch.delenv("PBX_SHARES", raising=False)

    assert is_ours(CALLS)

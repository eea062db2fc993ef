"""
Many on one machine, as a newcomer tries it: what is printed is true, and nothing of it stays.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

CELLS = Path(__file__).parents[2] / "docker/cells"
PLACES = {
    "fifty call at once, and ten are left": ("a number",),
    "an Asterisk of the north is drained": ("a number",),
    "an Asterisk of the north is killed": ("north", "south"),
    "a block of the north is moved to the south": ("north", "the block"),
    "the primary of the north is killed": ("north", "south"),
    "then their tenant is switched off": ("north", "south"),
}


def cells(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run([CELLS, *words], check=False, capture_output=True, text=True)


def test_the_demo() -> None:
    """Callers of both cells are connected whatever dies, nobody else rings, books are exact."""
    done = cells("demo", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["differences"] == []
    rows = report["rows"]
    assert [(row["scene"], row["place"]) for row in rows] == [
        (scene, place) for scene, places in PLACES.items() for place in places
    ]
    for row in rows:
        seen, books = row["seen"], row["books"]
        assert seen["connected"] > 0
        assert (seen["wrong"], seen["leaks"], books["reserved"]) == (0, 0, 0)
        assert books["used"] == books["answered"]
    assert (cells("status").stdout, cells("run", "true").returncode) == ("down\n", 1)
    assert [row["seen"]["connected"] for row in rows[:2]] == [10, 6]
    left = Path("/run/agi-router-cells"), _cache() / "postgres-agi-router-cells"
    assert not any(each.exists() for each in left)


def _cache() -> Path:
    return Path(os.environ.get("PBX_CACHE", "/var/cache/agi-router"))

"""What is said of standbys."""

from __future__ import annotations

from datetime import timedelta

import pytest
from psycopg.conninfo import conninfo_to_dict

from agi_router.db.replication import Replication, hosts_of


def replication(
    names: str = "",
    *,
    followers: int = 0,
    waited_for: int | None = 0,
    lag: timedelta | None = None,
    idle: tuple[str, ...] = (),
    lost: tuple[str, ...] = (),
) -> Replication:
    return Replication(names, followers, waited_for, lag, idle, lost)


@pytest.mark.parametrize(
    ("names", "needed"),
    [
        ("", 0),
        ("*", 1),
        ("a, b", 1),
        ("ANY 1 (a, b)", 1),
        ("any 2(a, b, c)", 2),
        ("FIRST 3 (a, b, c)", 3),
        ("2 (a, b)", 2),
        ('"ANY 2 (x)"', 1),
    ],
)
def test_how_many_a_commit_waits_for(names: str, needed: int) -> None:
    """As PostgreSQL reads the setting."""
    assert replication(names).needed == needed
    if needed:
        assert replication(names, followers=needed, waited_for=needed - 1).hangs
    enough = replication(names, followers=needed, waited_for=needed)
    assert enough.hangs is None
    assert len([*enough.warnings()]) == bool(needed)
    more = replication(names, followers=needed + 1, waited_for=needed + 1)
    assert [*more.warnings()] == []


def test_what_is_told() -> None:
    """One box has nothing of it; a role that sees less is told that it does."""
    assert not replication().exists
    found = replication(followers=2, lag=timedelta(seconds=1))
    assert found.exists
    assert "may be lost" in str(found)
    assert "1.0 s behind" in str(found)
    assert "pg_read_all_stats" in str(replication("*", followers=2, waited_for=None))
    # Then all that follow are taken to be waited for.
    assert replication("*", followers=0, waited_for=None).hangs
    bad = replication(lag=timedelta(seconds=11), idle=("one",), lost=("two",))
    late, idle, lost = bad.warnings()
    assert "11 s behind" in late
    assert "'one'" in idle
    assert "'two'" in lost


@pytest.mark.parametrize(
    ("dsn", "hosts"),
    [
        ("", {":5432": (None, None)}),
        ("host=a", {"a:5432": ("a", None)}),
        ("host=a,b", {"a:5432": ("a", None), "b:5432": ("b", None)}),
        ("host=a,b port=5433", {"a:5433": ("a", "5433"), "b:5433": ("b", "5433")}),
        ("host=a,b port=1,2", {"a:1": ("a", "1"), "b:2": ("b", "2")}),
        ("postgresql://a:1,b:2/d", {"a:1": ("a", "1"), "b:2": ("b", "2")}),
    ],
)
def test_each_host(
    monkeypatch: pytest.MonkeyPatch,
    dsn: str,
    hosts: dict[str, tuple[str | None, str | None]],
) -> None:
    """Each host by itself, with its port."""
    for name in ("PGHOST", "PGHOSTADDR", "PGPORT"):
        monkeypatch.delenv(name, raising=False)
    found = {name: conninfo_to_dict(each) for name, each in hosts_of(dsn).items()}
    assert {name: (each.get("host"), each.get("port")) for name, each in found.items()} == hosts


def test_hosts_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the connection string leaves out, libpq takes from there."""
    monkeypatch.setenv("PGHOST", "a,b")
    monkeypatch.setenv("PGPORT", "1,2")
    monkeypatch.delenv("PGHOSTADDR", raising=False)
    assert [*hosts_of("dbname=d")] == ["a:1", "b:2"]

"""Retention: the classes, their floors, and the arithmetic of days."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from agi_router.durations import parse_duration
from agi_router.errors import SettingsError
from agi_router.maintenance.classes import (
    FLOORS,
    KINDS,
    Kind,
    Retention,
    RetentionClass,
    digest_names,
    end_of,
)
from agi_router.maintenance.holds import HeldThing
from agi_router.settings import Settings
from harness.values import A, X

PAGE = Path(__file__).parents[2] / "docs/operate.md"
DAY = timedelta(days=1)


def test_the_page_tells_the_same() -> None:
    """docs/operate.md has a row for each kind."""
    rows = re.findall(
        r"(?m)^\| `(\w+)` \| ([^|]+) \| `(\w+)` \| ([^|]+) \|$", PAGE.read_text("utf-8")
    )
    assert rows == [(kind, rule.what, rule.of, rule.since) for kind, rule in KINDS.items()]


@pytest.mark.parametrize(
    ("name", "of", "too_short"),
    [
        ("AGI_ROUTER_RETENTION", RetentionClass.RECORDS, "183d"),
        ("AGI_ROUTER_RETENTION_LOGS", RetentionClass.LOGS, "730d"),
    ],
)
def test_a_floor_holds(name: str, of: RetentionClass, too_short: str) -> None:
    """What is set lies above it, in whole days; the error says which floor and why."""
    kept = Settings.from_env({name: FLOORS[of]}).kept
    kind = next(kind for kind, rule in KINDS.items() if rule.of is of)
    assert kept.kept(kind) == parse_duration(FLOORS[of])
    for value in (too_short, "3651d", "800d1h", "x"):
        with pytest.raises(SettingsError, match=f"{FLOORS[of]} to 3650d: {of} have to be kept"):
            Settings.from_env({name: value})


def test_no_six_months_and_no_two_years_are_longer() -> None:
    """Whenever they begin."""
    for first in (date(2026, 1, 1) + n * DAY for n in range(1600)):
        half = date(first.year + (first.month > 6), (first.month + 5) % 12 + 1, 1)
        months = half - first.replace(day=1)
        assert months <= parse_duration(FLOORS[RetentionClass.RECORDS])
        begin = first.replace(day=1)
        assert begin.replace(year=begin.year + 2) - begin <= parse_duration(
            FLOORS[RetentionClass.LOGS]
        )


@pytest.mark.parametrize("kind", Kind)
def test_whole_days(kind: Kind) -> None:
    """A day goes once all of it is past retention, and not a day earlier."""
    retention = Retention()
    today = date(2026, 7, 1)
    last = retention.last_day(kind, today)
    assert retention.gone_on(kind, last) == today
    midnight = datetime(2026, 7, 1, tzinfo=UTC)
    assert end_of(last) + retention.kept(kind) == midnight
    assert f"{retention.kept(kind).days} days" in retention.rule(kind)


def test_a_digest_is_the_same_in_any_steps() -> None:
    """And another one for other names, or another order."""
    names = ["a", "b", "c"]
    whole = digest_names(bytes(32), names)
    assert digest_names(digest_names(bytes(32), names[:1]), names[1:]) == whole
    assert digest_names(bytes(32), names[::-1]) != whole
    assert digest_names(bytes(32), ["a"]) == hashlib.sha256(bytes(32) + b"a").digest()


def test_one_thing_is_held() -> None:
    """A number, a person or an order; a tenant with an order alone."""
    HeldThing(order="O-1", tenant="couriers")
    for said in ({}, {"number": X, "person": A}, {"number": X, "tenant": "couriers"}):
        with pytest.raises(ValueError, match=r"say one thing|goes with"):
            HeldThing(**said)  # type: ignore[arg-type]

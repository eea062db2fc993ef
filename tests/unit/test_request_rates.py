"""Requests counted by who asks: a key and its tenant, each by its own limit."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agi_router.doors.http.request_rates import Asking, RequestRates, lower_rate
from agi_router.rates import OFF, Rate

MINUTE = timedelta(minutes=1)
SECOND = 1_000_000_000


def asking(key: str, most: int, tenant: str = "couriers", of_all: int = 0) -> list[Asking]:
    """Whoever asks with a key of a tenant."""
    return [
        Asking("key", key, Rate(most, MINUTE)),
        Asking("tenant", tenant, Rate(of_all, MINUTE)),
    ]


def served(rates: RequestRates, who: list[Asking], times: int, now: int = 0) -> list[bool]:
    """Whether each of some requests is."""
    return [rates.count(who, now=now)[0] for _ in range(times)]


def test_without_limits_nothing_is_counted() -> None:
    assert RequestRates().count(asking("a", 0), now=0) == (True, {})


def test_what_is_left_is_told_of_each() -> None:
    """In the order in which they are asked for; one that is refused takes nothing of the other."""
    rates = RequestRates()
    assert rates.count(asking("a", 1, of_all=3), now=0) == (
        True,
        {
            "RateLimit-Policy": '"key";q=1;w=60, "tenant";q=3;w=60',
            "RateLimit": '"key";r=0;t=60, "tenant";r=2;t=20',
        },
    )
    assert served(rates, asking("a", 1, of_all=3), 3) == [False] * 3
    # Whoever comes again then is served.
    told = rates.count(asking("a", 1, of_all=3), now=SECOND)[1]
    assert (told["Retry-After"], told["RateLimit"]) == ("59", '"key";r=0;t=59, "tenant";r=2;t=19')
    assert served(rates, asking("b", 9, of_all=3), 3) == [True, True, False]
    assert served(rates, asking("c", 9, tenant="drivers", of_all=3), 1) == [True]
    assert served(rates, asking("c", 9, tenant="drivers", of_all=3), 1, now=60 * SECOND) == [True]


def test_another_limit_counts_anew() -> None:
    rates = RequestRates()
    assert served(rates, asking("a", 1), 2) == [True, False]
    assert served(rates, asking("a", 2), 3) == [True, True, False]


def test_no_more_are_remembered_than_it_holds() -> None:
    """Who asked longest ago is forgotten."""
    rates = RequestRates(capacity=2)
    for key in ("a", "b", "a", "c"):
        rates.count(asking(key, 2), now=0)
    assert served(rates, asking("a", 2), 1) == [False]
    assert served(rates, asking("b", 2), 2) == [True, True]


@pytest.mark.parametrize(
    ("first", "second", "lower"),
    [
        (OFF, OFF, OFF),
        (OFF, Rate(5, MINUTE), Rate(5, MINUTE)),
        (Rate(5, MINUTE), OFF, Rate(5, MINUTE)),
        (Rate(5, MINUTE), Rate(2, timedelta(seconds=1)), Rate(5, MINUTE)),
        (Rate(7, MINUTE), Rate(5, MINUTE), Rate(5, MINUTE)),
    ],
)
def test_the_lower_of_two(first: Rate, second: Rate, lower: Rate) -> None:
    assert lower_rate(first, second) == lower

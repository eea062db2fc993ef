"""The size of a pool: enough, not more than that, and never less for more."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from agi_router.inventory.capacity import size_pool
from agi_router.numbers import BLOCK_SIZE

counts = st.integers(1, 10**9)
spans = st.integers(1, 90 * 86400).map(lambda seconds: timedelta(seconds=seconds))


@given(pairs=counts, share=st.integers(1, 200), ttl=spans, quarantine=spans | st.just(timedelta()))
def test_enough_and_not_more(
    pairs: int, share: int, ttl: timedelta, quarantine: timedelta
) -> None:
    """N x (ttl + quarantine) / ttl, rounded up once for pairs and once for rests."""
    found = size_pool(pairs=pairs, ttl=ttl, quarantine=quarantine, share=share)
    assert found.bound * share >= pairs > (found.bound - 1) * share
    whole, life = ttl + quarantine, ttl // timedelta(seconds=1)
    needed = found.bound * (whole // timedelta(seconds=1))
    assert found.numbers * life >= needed > (found.numbers - 1) * life
    assert found.numbers == found.bound + found.resting
    assert found.blocks * BLOCK_SIZE >= found.numbers > (found.blocks - 1) * BLOCK_SIZE


@given(pairs=counts, more=counts, ttl=spans, quarantine=spans)
def test_never_less_for_more(pairs: int, more: int, ttl: timedelta, quarantine: timedelta) -> None:
    """More pairs or longer rests need no fewer numbers; longer lives, no more that rest."""
    few = size_pool(pairs=pairs, ttl=ttl, quarantine=quarantine)
    assert size_pool(pairs=pairs + more, ttl=ttl, quarantine=quarantine).numbers > few.numbers
    assert size_pool(pairs=pairs, ttl=ttl, quarantine=quarantine * 2).numbers >= few.numbers
    assert size_pool(pairs=pairs, ttl=ttl * 2, quarantine=quarantine).resting <= few.resting

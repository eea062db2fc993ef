"""
When a binding may end.
"""

from datetime import datetime, timedelta

from agi_router.errors import (
    ExpiryInvalid,
)

__all__ = ["LONGEST_LIFE", "check_expiry", "find_expiry"]


LONGEST_LIFE = timedelta(days=90)
"""A binding may not live longer; "never" would contradict that an order ends."""


def check_expiry(expires_at: datetime, now: datetime) -> None:
    """
    Make sure that a binding may end at a time.

    Raises:
        ExpiryInvalid: It is in the past, or too far away.
    """
    if expires_at <= now:
        raise ExpiryInvalid("the expiry is in the past")
    if expires_at > now + LONGEST_LIFE:
        raise ExpiryInvalid(f"a binding may live {LONGEST_LIFE.days} days at most")


def find_expiry(
    now: datetime, *, ttl: timedelta | None, expires_at: datetime | None, default: timedelta
) -> datetime:
    """
    When a new binding ends.

    Args:
        now: The store's time.
        ttl: How long it is to live, if that is given.
        expires_at: When it is to end, if that is given instead.
        default: How long it lives where neither is.

    Raises:
        ExpiryInvalid: Both are given, or its end is in the past or too far away.
    """
    if ttl is not None and expires_at is not None:
        raise ExpiryInvalid("a life and an end are given: give one of them")
    try:
        end = expires_at or now + (default if ttl is None else ttl)
    except OverflowError:
        raise ExpiryInvalid("the expiry is too far away") from None
    check_expiry(end, now)
    return end

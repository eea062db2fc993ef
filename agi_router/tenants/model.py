"""
What a tenant may be called, what it says of numbers whose owner is unknown, and its limits.
"""

from enum import StrEnum

from agi_router.texts import LONGEST_NAME, check_name

__all__ = ["Quota", "UnknownNumbers", "check_quota", "check_tenant"]

_LARGEST = 1_000_000_000


class UnknownNumbers(StrEnum):
    """
    What becomes of a binding where a feed does not know whether a party's number has a new owner.
    """

    RING = "ring"
    """It goes on."""
    HOLD = "hold"
    """It rings nobody, until a feed knows or the operator releases it."""
    REFUSE = "refuse"
    """It ends."""


class Quota(StrEnum):
    """
    Of what a tenant may have only so many.
    """

    BINDINGS = "bindings"
    """Bindings that live at once."""
    BINDS = "binds"
    """Bindings that are made on a day, which begins at 00:00 UTC."""
    REQUESTS = "requests"
    """Requests that its API keys make in a minute, together, at each process of the HTTP door."""


def check_quota(text: str) -> int | None:
    """
    Read a quota: a number of 1 or more, or ``none``.

    Raises:
        ValueError: It is neither.
    """
    if text.strip().lower() == "none":
        return None
    if text.isascii() and text.isdigit() and 1 <= int(text[:11]) <= _LARGEST:
        return int(text)
    raise ValueError("a quota is a number from 1 to 1000000000, or none")


def check_tenant(text: str) -> str:
    """
    Return *text*, stripped, if it may be a tenant's name: 1 to 128 characters that are seen.

    Raises:
        ValueError: If it may not.
    """
    return check_name(text, what="a tenant's name", longest=LONGEST_NAME)

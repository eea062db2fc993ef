"""
What a tenant may be called, and what it says of numbers whose owner is unknown.
"""

from enum import StrEnum

from agi_router.texts import LONGEST_NAME, check_name

__all__ = ["UnknownNumbers", "check_tenant"]


class UnknownNumbers(StrEnum):
    """
    What becomes of a binding where a feed does not know whether a party's number has a new owner.
    """

    RING = "ring"
    """It goes on."""
    REFUSE = "refuse"
    """It ends."""


def check_tenant(text: str) -> str:
    """
    Return *text*, stripped, if it may be a tenant's name: 1 to 128 characters that are seen.

    Raises:
        ValueError: If it may not.
    """
    return check_name(text, what="a tenant's name", longest=LONGEST_NAME)

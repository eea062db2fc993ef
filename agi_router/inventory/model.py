"""
What a managed block may be.
"""

from enum import StrEnum

__all__ = ["BlockState"]


class BlockState(StrEnum):
    """
    Whether a block takes new bindings and calls, only calls, or neither.
    """

    ACTIVE = "active"
    DRAINING = "draining"
    RETURNED = "returned"

"""
What a managed block and a number of it may be.
"""

from enum import StrEnum

__all__ = ["BlockState", "NumberState"]


class BlockState(StrEnum):
    """
    Whether a block takes new bindings and calls, only calls, or neither.
    """

    ACTIVE = "active"
    DRAINING = "draining"
    RETURNED = "returned"


class NumberState(StrEnum):
    """
    Whether somebody is bound on a number, or was not long ago.
    """

    FREE = "free"
    BOUND = "bound"
    RESTING = "resting"

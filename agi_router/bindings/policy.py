"""
How numbers are chosen for new bindings, as it is asked for.
"""

from dataclasses import dataclass
from enum import StrEnum

from agi_router.numbers import Block

__all__ = ["Affinity", "NumberPolicy"]


class Affinity(StrEnum):
    """
    Whether the same parties are to have the number again that they had before, or never.
    """

    PREFER = "prefer"
    AVOID = "avoid"


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberPolicy:
    """
    How numbers are chosen where none is given.
    """

    operator_digit: int | None = None
    """The digit after 700; :obj:`None` for any."""
    same_x: Affinity | None = None
    blocks: tuple[Block, ...] = ()
    """Only numbers of these; none: of any."""

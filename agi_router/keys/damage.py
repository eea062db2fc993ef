"""
What does not open: whoever shows it shows it as damaged, and all that stands beside it.
"""

from collections.abc import Callable
from typing import TypeVar

from agi_router.errors import RowInvalid, SealError

__all__ = ["open_or_tell"]

_Opened = TypeVar("_Opened")


def open_or_tell(open_it: Callable[[], _Opened]) -> tuple[_Opened | None, str | None]:
    """
    Open what is sealed in a row that is shown. Never for what decides on a call, a text or a bind.

    Args:
        open_it: Opens it.

    Returns:
        What was opened and :obj:`None`; or :obj:`None`, and why it does not open.
    """
    try:
        return open_it(), None
    except SealError as error:
        return None, str(error)
    except ValueError:
        # What the error says could be what stands there.
        return None, str(RowInvalid())

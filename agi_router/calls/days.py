"""
The days of calls, each a partition of its own, and why one cannot be made.

A day is made two weeks before it comes. Until it is, its calls go to the default partition: the
service misses nothing, and only dropping them by whole days does.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agi_router.errors import StoreError, StoreHeld

__all__ = ["check_days"]


def check_days(rows: Sequence[Mapping[str, Any]]) -> None:
    """
    Make sure that the coming days are there.

    Args:
        rows: Those of the statement ``ensure_call_days``.

    Raises:
        StoreHeld: Some could not be made now; they can be later.
        StoreError: Some cannot be made before somebody does something for it.
    """
    if not rows:
        return
    days = f"{len(rows)} day(s) of calls from {rows[0]['day']} on have no partition yet"
    if any(row["why"] == "crowded" for row in rows):
        raise StoreError(
            f"{days}: agi_router.call_other has too many rows to be looked through while calls"
            " wait; see docs/operate.md, Days of calls"
        )
    raise StoreHeld(f"{days}: somebody reads the calls, a dump perhaps; they are made after it")

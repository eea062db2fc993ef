"""
The days of calls and of events, each a partition of its own, and why one cannot be made.

A day is made two weeks before it comes. Until it is, its rows go to the default partition: the
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
        rows: Those of the statement ``ensure_days``.

    Raises:
        StoreHeld: Some could not be made now; they can be later.
        StoreError: Some cannot be made before somebody does something for it.
    """
    if not rows:
        return
    first = rows[0]
    days = f"{len(rows)} day(s) of {first['parent']}s from {first['day']} on have no partition yet"
    for row in rows:
        if row["why"] == "crowded":
            raise StoreError(
                f"{days}: agi_router.{row['parent']}_other has too many rows to be looked through"
                " while calls wait; see docs/operate.md, Days of calls"
            )
    raise StoreHeld(f"{days}: somebody reads them, a dump perhaps; they are made after it")

"""
What is on record, and what lies in a bucket: which of the two lacks something.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Final

from agi_router.recordings.bucket import Bucket
from agi_router.recordings.store import RecordingLedger

__all__ = ["FOLDERS", "Comparison", "compare"]

FOLDERS: Final = tuple(map("".join, product("abcdef", repeat=2)))
"""The first letters of files' names, by which a bucket is looked through."""

# Within which a file may be on its way to its record.
_YOUNG: Final = timedelta(hours=1)


@dataclass(slots=True)
class Comparison:
    """
    What was found.

    Attributes:
        files: How many files lie in the bucket.
        missing: Names of those that are on record there, and are not.
        strange: Names of those that no record has, and that are there for an hour.
    """

    files: int = 0
    missing: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)


def compare(
    bucket: Bucket, ledger: RecordingLedger, folders: Iterable[str] | None = None
) -> Comparison:
    """
    Compare files of a bucket with the records, a folder at a time.

    Args:
        bucket: The bucket.
        ledger: The records.
        folders: Of :data:`FOLDERS`; all, if absent.

    Raises:
        RecordingsUnusable: The bucket cannot be asked.
    """
    bucket.prepare()
    told = Comparison()
    for folder in FOLDERS if folders is None else folders:
        since = datetime.now(UTC) - _YOUNG
        places = dict(ledger.names(folder))
        files = dict(bucket.names(folder))
        told.files += len(files)
        told.strange += (name for name in files if name not in places and files[name] < since)
        gone = (name for name in places if places[name] == bucket.name and name not in files)
        # Deleted between the two looks.
        told.missing += (name for name in gone if ledger.find_vault(name) == bucket.name)
    # Put on record between the two looks.
    told.strange = [name for name in told.strange if ledger.find_vault(name) is None]
    return told

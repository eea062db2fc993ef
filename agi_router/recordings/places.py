"""
Where sealed recordings lie: in a directory here, or in a bucket that they were brought to.

A file is on record with the name of the one place that it lies in. It is brought in steps, each of
which may be the last one of a process, and done again: it is put into the bucket; the record says
so; it goes from the directory. Whoever looks for it looks here first, and then there.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from agi_router.errors import RecordingDamaged, RecordingsUnusable
from agi_router.keys.segments import FileCipher
from agi_router.recordings.bucket import Bucket
from agi_router.recordings.store import RecordingLedger
from agi_router.recordings.vault import Vault, opened_segments

__all__ = ["Places"]

# So many files that cannot be brought are taken for a bucket that is away.
_GIVE_UP: Final = 3
# After which what was begun and never ended is nobody's any more.
_LEFT: Final = timedelta(days=1)


class Places:
    """
    A directory, and the bucket that its files are brought to.

    Args:
        vault: The directory.
        bucket: The bucket; :obj:`None`: they stay.
    """

    def __init__(self, vault: Vault, bucket: Bucket | None) -> None:
        self.vault = vault
        """The directory."""
        self.bucket = bucket
        """The bucket, if there is one."""

    def read(self, name: str, cipher: FileCipher, key: bytes) -> Iterator[bytes]:
        """
        What a recording says, some at a time, each checked.

        Raises:
            RecordingDamaged: It is not there, or not as it was sealed.
            RecordingsUnusable: The bucket cannot be asked.
        """
        try:
            file = self.vault.open(name)
        except OSError as error:
            # Not here, or not for the account that asks.
            if self.bucket is None:
                raise RecordingDamaged(f"its file cannot be read: {error.strerror}") from error
            yield from self.bucket.read(name, cipher, key)
            return
        with file:
            yield from opened_segments(file.read, name, cipher, key)

    def bring(self, ledger: RecordingLedger) -> int:
        """
        Bring what is on record to the bucket.

        Returns:
            How many files were brought.

        Raises:
            RecordingsUnusable: Directory or bucket cannot be used; what is left waits.
            StoreError: The database failed; nothing is lost.
        """
        if self.bucket is None:
            return 0
        self.bucket.prepare()
        brought, refused, failed = 0, 0, []
        names = self.vault.names()
        places = ledger.find_vaults(names)
        # What has no row is not on record yet, or no more: then it is erased by that.
        for each in filter(places.__contains__, names):
            try:
                brought += self._bring(each, places[each], self.bucket, ledger)
            except RecordingsUnusable as error:
                # It may be of this file alone, and keeps no other from being brought.
                failed.append(error)
                refused += not isinstance(error, _FileUnusable)
                if refused >= _GIVE_UP:
                    break
        if failed:
            raise failed[0]
        return brought

    def count_waiting(self) -> int | None:
        """
        How many files are still here; :obj:`None`: the directory cannot be used.
        """
        try:
            return len(self.vault.names())
        except RecordingsUnusable:
            return None

    def tidy(self, ledger: RecordingLedger) -> None:
        """
        Remove the files whose keys were destroyed, and what was begun in the bucket and left.

        Those of the directory go first, for which the bucket is not needed.

        Raises:
            RecordingsUnusable: Directory or bucket cannot be used.
        """
        bucket = self.bucket
        if bucket is None:
            ledger.erase_gone(self.vault.name, self.vault.erase)
            return
        for each in ledger.gone(self.vault.name):
            self.vault.erase(each)
        bucket.prepare()
        # Whoever was killed while it was brought has left it in both.
        for place in (self.vault.name, bucket.name):
            ledger.erase_gone(place, self._erase_both)
        bucket.abort_left(datetime.now(UTC) - _LEFT)

    def _bring(
        self, name: str, place: str | None, bucket: Bucket, ledger: RecordingLedger
    ) -> bool:
        if place is None:
            # Killed while it was brought, and then its key was destroyed.
            self.vault.erase(name)
            return False
        if place not in {self.vault.name, bucket.name}:
            # Of another directory or bucket, whose it is.
            return False
        try:
            with self.vault.open(name) as file:
                bucket.put(name, file)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _FileUnusable(f"a sealed file cannot be read: {error.strerror}") from error
        if place == self.vault.name:
            ledger.move(name, self.vault.name, bucket.name)
        now = ledger.find_vaults([name])
        if name not in now:
            # Deleted with its row, which has said so; or its block goes to another cell.
            return False
        if now[name] is None:
            # Its key was destroyed meanwhile.
            self._erase_both(name)
            return False
        self.vault.erase(name)
        return True

    def _erase_both(self, name: str) -> None:
        """
        A file that is on record here may be in the bucket already, and the other way round.
        """
        self.vault.erase(name)
        if self.bucket is not None:
            self.bucket.erase(name)


class _FileUnusable(RecordingsUnusable):
    """
    One file cannot be read: the bucket has nothing to do with it.
    """

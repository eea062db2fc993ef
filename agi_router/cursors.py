"""
Where a page of a list begins.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from agi_router.errors import CursorInvalid

__all__ = ["Cursor", "numbered"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LARGEST_NUMBER = 2**63 - 1
_TEXT = re.compile(r"(-?[0-9]{1,18})\|([\w.-]{1,128})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cursor:
    """
    The last item of a page: the next page begins behind it, whatever has come or gone since.

    Lists are newest first, and by name where two items are of one time. To programs a cursor is a
    text that means nothing.

    Attributes:
        at: Time of the item.
        name: Its name.
    """

    at: datetime
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read what :meth:`__str__` has written.

        Raises:
            CursorInvalid: It has not.
        """
        try:
            plain = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)).decode()
            found = _TEXT.fullmatch(plain)
            if found is None:
                raise CursorInvalid
            return cls(_EPOCH + int(found[1]) * _MICROSECOND, found[2])
        except (ValueError, OverflowError):
            raise CursorInvalid from None

    @property
    def number(self) -> int:
        """
        The name of the item, in a list whose items have numbers for names.

        Raises:
            CursorInvalid: It is of another list.
        """
        digits = self.name.isascii() and self.name.isdigit()
        if not digits or not 0 < int(self.name) <= _LARGEST_NUMBER:
            raise CursorInvalid
        return int(self.name)

    def __str__(self) -> str:
        """
        As programs get it: base64url, without what fills it up.
        """
        plain = f"{(self.at - _EPOCH) // _MICROSECOND}|{self.name}"
        return urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def numbered(after: Cursor | None) -> dict[str, datetime | int | None]:
    """
    What the query of a list whose items have numbers for names is told of where a page begins.

    Args:
        after: The last item of another page; :obj:`None`: the list begins.

    Raises:
        CursorInvalid: It is of another list.
    """
    if after is None:
        return {"after_at": None, "after_id": None}
    return {"after_at": after.at, "after_id": after.number}

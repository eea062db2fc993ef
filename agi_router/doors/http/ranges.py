"""
One range of octets, as a player asks that jumps (RFC 9110, section 14).

Several ranges in one request, and what is no range at all, are answered with the whole, as the
standard allows.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from agi_router.schemas.problems import Problem

__all__ = ["OctetRange", "read_range"]

# Longer numbers are no place in any file.
_ASKED: Final = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class OctetRange:
    """
    A part of something.

    Attributes:
        first: Its first octet, from 0 on.
        end: Behind its last octet.
        whole: How many there are in all.
    """

    first: int
    end: int
    whole: int

    def __str__(self) -> str:
        return f"bytes {self.first}-{self.end - 1}/{self.whole}"

    def cut(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """
        What lies in it of the whole, which is read no further than that.
        """
        place = 0
        for piece in pieces:
            part = piece[max(0, self.first - place) : max(0, self.end - place)]
            place += len(piece)
            if part:
                yield part
            if place >= self.end:
                return


def read_range(said: str | None, whole: int) -> OctetRange | None:
    """
    What is asked for of *whole* octets; :obj:`None`: all of them.

    Args:
        said: The header ``Range``, if there is one.
        whole: How many octets there are.

    Raises:
        Problem: ``range_unsatisfiable``: nothing of it is there.
    """
    asked = None if said is None else _ASKED.fullmatch(said.strip())
    if asked is None:
        return None
    first, last, of_end = asked.groups()
    if of_end is not None:
        begin, end = max(0, whole - int(of_end)), whole
    else:
        begin, end = int(first), min(whole, int(last) + 1 if last else whole)
        if last and int(last) < begin:
            return None
    if begin >= whole:
        headers = {"Content-Range": f"bytes */{whole}", "Accept-Ranges": "bytes"}
        raise Problem.of_door("range_unsatisfiable", headers=headers)
    return OctetRange(begin, end, whole)

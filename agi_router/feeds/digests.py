"""
Digests of numbers: those of a feed, and the numbers in the database that have them.

A digest cannot be turned back, so whoever looks for it opens what is sealed and makes the digest
of it: on all cores, by :class:`agi_router.bulk.workers.Workshop`.
"""

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Self

from agi_router.bindings.group_members import open_member
from agi_router.bindings.parties import open_callees, open_caller, open_last_caller
from agi_router.bindings.words import Mode, Side
from agi_router.errors import FeedInvalid, SealError
from agi_router.feeds.model import Notice, NumberForm
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber
from agi_router.persons.effect_rows import open_entry

__all__ = ["DigestIndex", "Finder", "Found", "Rows", "digest_maker", "open_each"]

_Reader = Callable[[], Iterable[PhoneNumber]]

_HEAD = 8


class DigestIndex(NamedTuple):
    """
    Digests, to be found by bisection: some 50 bytes each, and no object.

    Attributes:
        heads: The first eight bytes of each, rising.
        places: The place of each in what it was made of.
        whole: All of them, one behind the other.
        size: Bytes of one.
    """

    heads: "array[int]"
    places: "array[int]"
    whole: bytes
    size: int

    @classmethod
    def of(cls, notices: Sequence[Notice]) -> Self:
        """
        An index of records whose numbers are digests, all of one size.
        """
        digests = [each.number for each in notices if isinstance(each.number, bytes)]
        order = sorted(range(len(digests)), key=digests.__getitem__)
        return cls(
            heads=array("Q", (int.from_bytes(digests[i][:_HEAD], "big") for i in order)),
            places=array("Q", order),
            whole=b"".join([digests[i] for i in order]),
            size=len(digests[0]) if digests else 0,
        )

    def find(self, digest: bytes) -> list[int]:
        """
        The places of the records that have a digest.
        """
        head = int.from_bytes(digest[:_HEAD], "big")
        at = bisect_left(self.heads, head)
        found = []
        while at < len(self.heads) and self.heads[at] == head:
            if self.whole[at * self.size : (at + 1) * self.size] == digest:
                found.append(self.places[at])
            at += 1
        return found


class Rows(NamedTuple):
    """
    Some rows of a statement that streams what is sealed: in ``sql/queries``, ``stream_…``.
    """

    rows: Sequence[dict[str, Any]]


class Found(NamedTuple):
    """
    What was found in some rows: the places of records, each with its number.

    Attributes:
        hits: Place and number.
        opened: How many numbers were compared.
        damaged: In how many rows something does not open.
    """

    hits: list[tuple[int, PhoneNumber]]
    opened: int
    damaged: int

    def packed(self) -> Self:
        """
        The same, to be sent to another process.
        """
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Finder:
    """
    Opens rows, and finds the numbers that have a digest of a feed.

    Attributes:
        keys: To open with.
        form: How the digests are made.
        index: The digests.
    """

    keys: KeyRing
    form: NumberForm
    index: DigestIndex

    def prepare(self, chunk: Rows) -> Found:
        """
        Look through some rows.
        """
        make = digest_maker(self.form)
        hits: list[tuple[int, PhoneNumber]] = []
        opened = damaged = 0
        for row in chunk.rows:
            numbers, broken = open_each(_readers(row, self.keys))
            damaged += broken
            opened += len(numbers)
            for number in numbers:
                hits += ((place, number) for place in self.index.find(make(number)))
        return Found(hits, opened, damaged)


def digest_maker(form: NumberForm) -> Callable[[PhoneNumber], bytes]:
    """
    What makes the digest of a number: of its digits as they are dialled.

    Raises:
        FeedInvalid: The OpenSSL of this Python lacks the algorithm.
    """
    try:
        empty = hashlib.new(form.value, usedforsecurity=False)
    except ValueError:
        raise FeedInvalid(
            f"{form} cannot be had: the OpenSSL of this Python lacks it; use another one"
        ) from None

    def make(number: PhoneNumber) -> bytes:
        own = empty.copy()
        own.update(number.digits.encode("ascii"))
        return own.digest()

    return make


def open_each(readers: Iterable[_Reader]) -> tuple[list[PhoneNumber], bool]:
    """
    All numbers that open, and whether others do not: what is damaged hides nothing beside it.

    Args:
        readers: Each opens what is sealed together.
    """
    found: list[PhoneNumber] = []
    broken = False
    for read in readers:
        try:
            found += read()
        except SealError:
            broken = True
    return found, broken


def _open_person(row: dict[str, Any], keys: KeyRing) -> tuple[PhoneNumber]:
    return (keys.open_person(row["sealed"], row["person_id"], row["tag"]),)


def _open_locked(row: dict[str, Any], keys: KeyRing) -> tuple[PhoneNumber]:
    return (keys.open_locked(row["sealed"], row["lock_id"], row["key"]),)


def _readers(row: dict[str, Any], keys: KeyRing) -> Iterator[_Reader]:
    """
    What opens all that is sealed in a row.
    """
    if "other_sealed" in row:
        yield partial(open_entry, row, keys)
        return
    if "person_id" in row:
        yield partial(_open_person, row, keys)
        return
    if "lock_id" in row:
        yield partial(_open_locked, row, keys)
        return
    if "sealed" in row:
        yield partial(open_member, row, keys)
        return
    yield partial(open_callees, row, keys)
    yield partial(open_last_caller, row, keys, mode=Mode(row["mode"]))
    if row["caller"] is not None:
        # A member is sealed for the row of B; elsewhere A is for its own.
        place = row
        if row["back_x"] is not None:
            place = {
                "binding_id": row["binding_id"],
                "x_number": row["back_x"],
                "caller_tag": row["back_tag"],
                "side": Side.B,
                "shown": row["back_shown"],
            }
        yield partial(open_caller, row, place, keys)

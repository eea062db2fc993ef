"""Ranges of octets: whatever is asked for, what comes is that part of the whole."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_router.doors.http.ranges import read_range
from agi_router.keys.segments import SEGMENT, FileCipher, SegmentSealer, clear_length
from agi_router.schemas.problems import Problem

WHOLE = bytes(range(200))


@given(
    first=st.none() | st.integers(0, 250),
    last=st.none() | st.integers(0, 250),
    cuts=st.lists(st.integers(0, len(WHOLE)), max_size=5),
)
def test_a_range(first: int | None, last: int | None, cuts: list[int]) -> None:
    """Of a whole that comes in any pieces."""
    said = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    places = [0, *sorted(cuts), len(WHOLE)]
    pieces = [WHOLE[begin:end] for begin, end in pairwise(places)]
    if first is None:
        expected = WHOLE if last is None else WHOLE[len(WHOLE) - min(last, len(WHOLE)) :]
        missing = last == 0
    else:
        expected = WHOLE[first:] if last is None else WHOLE[first : last + 1]
        missing = first >= len(WHOLE) and (last is None or last >= first)
        if last is not None and last < first:
            expected = WHOLE
    if missing:
        with pytest.raises(Problem, match="Nothing lies"):
            read_range(said, len(WHOLE))
        return
    part = read_range(said, len(WHOLE))
    assert (WHOLE if part is None else b"".join(part.cut(pieces))) == expected


@pytest.mark.parametrize(
    "said", [None, "", "bytes", "bytes=", "bytes=-", "bytes=0-1,3-4", "items=0-1", "bytes=a-b"]
)
def test_no_range(said: str | None) -> None:
    """The whole."""
    assert read_range(said, 5) is None


@pytest.mark.parametrize("clear", [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT])
def test_clear_length(clear: int) -> None:
    """As it was sealed."""
    sealed = bytearray()
    sealer = SegmentSealer(sealed.extend, FileCipher.AES_256_GCM, bytes(32), b"")
    sealer.write(bytes(clear))
    sealer.close()
    assert clear_length(len(sealed)) == clear

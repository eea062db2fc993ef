"""Sealing: what holds for any number, row and key."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agi_router.errors import KeyRingError, SealError
from agi_router.numbers import E164, XNumber
from agi_router.seal import Cipher, KeyRing

x_numbers = st.integers(700 * 10**12, 701 * 10**12 - 1).map(XNumber.from_int)
parties = st.from_regex(r"1[3-9][0-9]{9}|010[2-8][0-9]{7}", fullmatch=True).map(
    lambda digits: E164(digits=digits)
)
groups = st.lists(parties, min_size=1, max_size=3)
tags = st.integers(-(2**63), 2**63 - 1)
# Rows that are near each other, too.
rows = st.tuples(x_numbers | st.just(XNumber.from_int(700 * 10**12)), tags | st.integers(-2, 2))
keys = st.lists(
    st.tuples(st.integers(1, 255), st.binary(min_size=32, max_size=32)),
    min_size=1,
    max_size=4,
    unique_by=lambda key: key[0],
).map(tuple)
rings = st.builds(KeyRing, tag_keys=keys, seal_keys=keys, cipher=st.sampled_from(Cipher))


@given(rings, groups, x_numbers, tags)
def test_sealed_opens_in_its_row(ring: KeyRing, numbers: list[E164], x: XNumber, tag: int) -> None:
    """What was sealed opens again, and carries neither a number nor a repeat."""
    sealed = ring.seal(numbers, x=x, tag=tag)
    assert ring.open(sealed, x=x, tag=tag) == tuple(numbers)
    assert not any(number.digits.encode() in sealed for number in numbers)
    assert sealed != ring.seal(numbers, x=x, tag=tag)


@given(rings, parties, rows, rows)
def test_sealed_opens_in_no_other_row(
    ring: KeyRing, number: E164, row: tuple[XNumber, int], other: tuple[XNumber, int]
) -> None:
    """A ciphertext that is moved does not open."""
    assume(row != other)
    sealed = ring.seal([number], x=row[0], tag=row[1])
    with pytest.raises(SealError):
        ring.open(sealed, x=other[0], tag=other[1])


@given(rings, parties, x_numbers, tags, st.data())
def test_altered_does_not_open(
    ring: KeyRing, number: E164, x: XNumber, tag: int, data: st.DataObject
) -> None:
    """Whichever bit is turned, the seal is broken."""
    sealed = bytearray(ring.seal([number], x=x, tag=tag))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(SealError):
        ring.open(bytes(sealed), x=x, tag=tag)


@given(rings, st.binary(max_size=80), x_numbers, tags)
def test_any_bytes_raise_only_a_seal_error(
    ring: KeyRing, junk: bytes, x: XNumber, tag: int
) -> None:
    """Opening is total over bytes."""
    with pytest.raises(SealError):
        ring.open(junk, x=x, tag=tag)


@given(rings, parties, x_numbers)
def test_tags(ring: KeyRing, caller: E164, x: XNumber) -> None:
    """One tag a key, the current first, 64 bits, never 0, always the same."""
    tags = ring.tags(x, caller)
    assert len(tags) == len(ring.tag_keys)
    assert tags[0] == ring.tag(x, caller)
    assert tags == ring.tags(x, caller)
    assert all(-(2**63) <= tag < 2**63 and tag != 0 for tag in tags)


@given(rings)
def test_ring_survives_being_written(ring: KeyRing) -> None:
    """Text and ring say the same, also on one line."""
    assert KeyRing.parse(ring.to_text(), cipher=ring.cipher) == ring
    assert KeyRing.parse(ring.to_text().replace("\n", ";"), cipher=ring.cipher) == ring
    assert KeyRing.parse(ring.to_text()).fingerprints() == ring.fingerprints()


@given(st.text() | st.text(st.sampled_from("tagsel 12;#\nAAB=+/")))
def test_any_text_raises_only_a_key_ring_error(text: str) -> None:
    """Parsing is total over text."""
    with pytest.raises(KeyRingError):
        KeyRing.parse(text)

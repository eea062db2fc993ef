"""Sealing: what holds for any number, row and key."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agi_router.bindings.words import Side
from agi_router.errors import KeyRingError, SealError
from agi_router.keys.ring import Cipher, KeyRing, Purpose, Row
from agi_router.numbers import PhoneNumber
from harness.draws import fixed_lines, mobiles

parties = (mobiles | fixed_lines).map(lambda digits: PhoneNumber(digits=digits))
groups = st.lists(parties, min_size=1, max_size=3)
tags = st.integers(-(2**63), 2**63 - 1)
x_values = st.integers(700 * 10**12, 701 * 10**12 - 1)
# Rows that are near each other, too.
rows = st.builds(
    Row,
    binding_id=st.integers(1, 2**63 - 1) | st.integers(1, 3),
    x_number=x_values | st.just(700 * 10**12),
    caller_tag=tags | st.integers(-2, 2),
    side=st.sampled_from(Side),
    shown=st.none() | x_values | st.just(700 * 10**12),
)
places = st.tuples(rows, st.sampled_from(Purpose))
keys = st.lists(
    st.tuples(st.integers(1, 255), st.binary(min_size=32, max_size=32)),
    min_size=1,
    max_size=4,
    unique_by=lambda key: key[0],
).map(tuple)
rings = st.builds(KeyRing, tag_keys=keys, seal_keys=keys, cipher=st.sampled_from(Cipher))


@given(rings, groups, places)
def test_sealed_opens_in_its_place(
    ring: KeyRing, numbers: list[PhoneNumber], place: tuple[Row, Purpose]
) -> None:
    """What was sealed opens again, and carries neither a number nor a repeat."""
    sealed = ring.seal(numbers, *place)
    assert ring.open(sealed, *place) == tuple(numbers)
    assert not any(number.digits.encode() in sealed for number in numbers)
    assert sealed != ring.seal(numbers, *place)


@given(rings, parties, places, places)
def test_sealed_opens_in_no_other_place(
    ring: KeyRing, number: PhoneNumber, place: tuple[Row, Purpose], other: tuple[Row, Purpose]
) -> None:
    """A ciphertext that is moved, or whose row is changed, does not open."""
    assume(place != other)
    sealed = ring.seal([number], *place)
    with pytest.raises(SealError):
        ring.open(sealed, *other)


@given(rings, parties, places, st.data())
def test_a_column_is_changed(
    ring: KeyRing, number: PhoneNumber, place: tuple[Row, Purpose], data: st.DataObject
) -> None:
    """Whichever one it is, and whatever to, the seal is broken."""
    row, purpose = place
    sealed = ring.seal([number], row, purpose)
    column = data.draw(st.sampled_from(Row._fields))
    other = row._replace(**{column: getattr(data.draw(rows), column)})
    assume(row != other)
    with pytest.raises(SealError):
        ring.open(sealed, other, purpose)


@given(rings, parties, places, st.data())
def test_altered_does_not_open(
    ring: KeyRing, number: PhoneNumber, place: tuple[Row, Purpose], data: st.DataObject
) -> None:
    """Whichever bit is turned, the seal is broken."""
    sealed = bytearray(ring.seal([number], *place))
    where = data.draw(st.integers(0, len(sealed) - 1))
    sealed[where] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(SealError):
        ring.open(bytes(sealed), *place)


@given(rings, st.binary(max_size=80), places)
def test_any_bytes_raise_only_a_seal_error(
    ring: KeyRing, junk: bytes, place: tuple[Row, Purpose]
) -> None:
    """OpenBlocks is total over bytes."""
    with pytest.raises(SealError):
        ring.open(junk, *place)


@given(rings, parties)
def test_tags(ring: KeyRing, number: PhoneNumber) -> None:
    """One tag a key, the current first, 64 bits, never 0, always the same."""
    tags = ring.tags(number)
    assert len(tags) == len(ring.tag_keys)
    assert tags[0] == ring.tag(number)
    assert tags == ring.tags(number)
    assert all(-(2**63) <= tag < 2**63 and tag != 0 for tag in tags)


@given(rings)
def test_ring_survives_being_written(ring: KeyRing) -> None:
    """Text and ring say the same, also on one line, with a floor and without."""
    assert KeyRing.parse(ring.with_floor.to_text(), cipher=ring.cipher) == ring.with_floor
    assert KeyRing.parse(ring.to_text(), cipher=ring.cipher) == ring
    assert KeyRing.parse(ring.to_text().replace("\n", ";"), cipher=ring.cipher) == ring
    assert KeyRing.parse(ring.to_text()).fingerprints() == ring.fingerprints()


@given(st.text() | st.text(st.sampled_from("tagselfor 12;#\nAAB=+/")))
def test_any_text_raises_only_a_key_ring_error(text: str) -> None:
    """Parsing is total over text."""
    with pytest.raises(KeyRingError):
        KeyRing.parse(text)

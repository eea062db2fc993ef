"""SMPP, for any octets and any text."""

from __future__ import annotations

from contextlib import suppress
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from agi_router.smpp import (
    Address,
    Alphabet,
    BadPdu,
    BadText,
    Framer,
    ShortMessage,
    Splitting,
    choose_coding,
    decode,
    encode,
    is_receipt,
    join,
    messages_of,
    part_of,
    read_message,
    read_receipt,
    write_message,
)
from harness import values

X, B = Address(number=values.X.digits), Address(number=values.B.digits)
# All planes, and what the seven-bit alphabet has, so that it comes up.
TEXTS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("@£$Δ_ΦΞ^{}\\[~]|€ab1 \n"),
    ),
    max_size=700,
)


@given(TEXTS, st.sampled_from(Splitting), st.sampled_from(Alphabet), st.randoms())
def test_a_text_comes_back(
    text: str, splitting: Splitting, default: Alphabet, chance: Random
) -> None:
    """In any order of its parts."""
    sent = messages_of(
        text,
        source=X,
        destination=B,
        reference=7,
        splitting=splitting,
        default=default,
        most=255,
    )
    chance.shuffle(sent)
    parts = [part_of(read_message(write_message(each))) for each in sent]
    assert decode(join(parts), parts[0].data_coding, default=default) == text
    for each in sent:
        assert len(each.octets) <= 160


@given(TEXTS, st.sampled_from(Alphabet))
def test_a_coding_has_what_it_is_chosen_for(text: str, default: Alphabet) -> None:
    """All of it."""
    coding = choose_coding(text, default)
    assert decode(encode(text, coding, default=default), coding, default=default) == text


@given(st.binary(max_size=400), st.integers(0, 255), st.integers(0, 16))
def test_any_octets(octets: bytes, esm_class: int, coding: int) -> None:
    """They are read, or refused by an error of ours."""
    with suppress(BadPdu):
        message = read_message(octets)
        assert read_message(write_message(message)) == message
    message = ShortMessage(
        source=X, destination=B, esm_class=esm_class, octets=octets[:254], data_coding=coding
    )
    with suppress(BadPdu):
        part_of(message)
    with suppress(BadText):
        decode(octets, coding)
    if is_receipt(message):
        read_receipt(message)
    with suppress(BadPdu):
        list(Framer().feed(octets))

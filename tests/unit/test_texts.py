"""Texts that people hand over: what is taken off, what is refused, and in which words."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from agi_router.bindings.words import check_order_id
from agi_router.inventory.model import check_carrier, check_certificate
from agi_router.tenants.model import check_tenant
from agi_router.texts import SHORTENED, check_name, is_shortened, narrow, shown, strip

UNSEEN = (
    "{} holds a character that cannot be seen or told from a space (U+{}, the {}. of {}): type it"
    " anew"
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("B-77", "B-77"),
        (" B-77 ", "B-77"),
        ("\tB-77\r\n", "B-77"),
        ("\u00a0B-77\u200b", "B-77"),
        ("\u202dB-77\u202c", "B-77"),
        ("\ufeffB-77\u3000", "B-77"),
        ("订单 9", "订单 9"),
        ("订单\u30009", "订单\u30009"),
        ("x" * 128 + " ", "x" * 128),
        ("1E-5", "1E-5"),
        ("2E17", "2E17"),
        ("A2.0E+17", "A2.0E+17"),
    ],
)
def test_names_as_they_are_meant(text: str, name: str) -> None:
    """What stands around a name is no part of it."""
    assert check_order_id(text) == check_tenant(text) == name
    assert check_carrier(text) == check_certificate(text) == name
    assert check_order_id(name) == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an order's id has 1 to 128 characters"),
        (" \u200b\t", "an order's id has 1 to 128 characters"),
        ("x" * 129, "an order's id has 1 to 128 characters"),
        ("2.02611E+17", SHORTENED),
        (" 2E+17", SHORTENED),
        ("2,02611e+17", SHORTENED),
        ("-1.5E+5", SHORTENED),
        ("B\t77", UNSEEN.format("an order's id", "0009", 2, 4)),
        ("B\u200b77", UNSEEN.format("an order's id", "200B", 2, 4)),
        ("B\u00a077", UNSEEN.format("an order's id", "00A0", 2, 4)),
        ("订单\n9", UNSEEN.format("an order's id", "000A", 3, 4)),
        ("\x1b[2J", UNSEEN.format("an order's id", "001B", 1, 4)),
        ("\x1b订\u202e", UNSEEN.format("an order's id", "001B", 1, 2)),
        ("B\ufe0f7", UNSEEN.format("an order's id", "FE0F", 2, 3)),
        ("B\U000e00417", UNSEEN.format("an order's id", "E0041", 2, 3)),
        ("B\ud8007", UNSEEN.format("an order's id", "D800", 2, 3)),
    ],
)
def test_names_that_nobody_could_type_again(text: str, message: str) -> None:
    """Each is refused with its place and how to repair it; nothing of it is quoted."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - compared whole below
        check_order_id(text)
    assert str(caught.value) == message
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        check_tenant(text)
    assert str(caught.value) == message.replace("an order's id", "a tenant's name")


def test_every_character_that_is_not_seen() -> None:
    """Controls, formats, surrogates and spaces of every kind but two are refused inside."""
    taken = set()
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"}:
            try:
                check_name(f"a{char}b", what="a name", longest=3)
            except ValueError:
                continue
            taken.add(char)
    # Written, though a format: signs that stand before numbers in Arabic, Syriac and Kaithi; joins
    # of Egyptian signs; musical beams; shorthand.
    shown = {
        char
        for first, last in (
            *((0x0600, 0x0605), (0x06DD, 0x06DD), (0x070F, 0x070F), (0x0890, 0x0891)),
            *((0x08E2, 0x08E2), (0x110BD, 0x110CD), (0x13430, 0x1343F)),
            *((0xFFF9, 0xFFFB), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0x180E, 0x180E)),
        )
        for char in map(chr, range(first, last + 1))
    }
    assert taken - shown == {" ", "\u3000"}


def test_strip_and_narrow() -> None:
    """What a Chinese keyboard makes wide is made narrow; other letters stay."""
    assert narrow("２ｈ　３０ｍ：") == "2h 30m:"
    assert narrow("2h") == "2h"
    assert narrow("订单") == "订单"
    assert strip("\u200f 订单 \u2069") == "订单"
    assert strip(" \x1d2h\t") == "2h"


@pytest.mark.parametrize("text", ["", "1", "1e5", "E+17", "2.0E+", "1.2.3E+4", "12E+4", "x2E+4"])
def test_not_shortened(text: str) -> None:
    """What only looks like it from afar."""
    assert not is_shortened(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("A-1001 订单\u3000七", "A-1001 订单\u3000七"),
        ("\x1b[31m\x07\x7f", r"\u001b[31m\u0007\u007f"),
        ("\x9b2J\u202e\u2028\u200f", r"\u009b2J\u202e\u2028\u200f"),
        ("\U000e0041\ud800", r"\udb40\udc41\ud800"),
        ("a\nb\tc", r"a\u000ab\u0009c"),
    ],
)
def test_what_a_terminal_is_to_show(text: str, told: str) -> None:
    """What cannot be seen is an escape, as JSON has it; what names hold is not touched."""
    assert shown(text) == told
    assert shown("a\nb\x1b\tc", keep="\n\t") == "a\nb\\u001b\tc"

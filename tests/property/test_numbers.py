"""Numbers: what holds for any text and any number."""

from __future__ import annotations

import contextlib
import re
import traceback

from hypothesis import example, given
from hypothesis import strategies as st

from agi_router.errors import NumberError
from agi_router.numbers import Block, PhoneNumber, XNumber
from harness.draws import fixed_lines, mobiles

x_numbers = st.integers(700 * 10**12, 701 * 10**12 - 1).map(XNumber.from_int)

# Texts near enough to a number to be taken for one.
near = st.text(st.sampled_from("0123456789+-() 86700\uff10\uff11\u00b2\u0661a\n"), max_size=24)
texts = st.text() | near | st.from_regex(r"(\+|00)?(86)?0?[0-9 -]{5,20}", fullmatch=True)

gaps = st.text(st.sampled_from(" -()\u00a0\u2011\u2013\u3000"), max_size=2)


@st.composite
def written(draw: st.DrawFn, digits: str) -> str:
    """Return *digits* grouped in any way, perhaps in full width."""
    if draw(st.booleans()):
        digits = digits.translate({ord("0") + n: chr(0xFF10 + n) for n in range(10)})
    return draw(gaps) + "".join(digit + draw(gaps) for digit in digits)


@given(texts)
@example("13800130001\n")
def test_any_text_is_a_number_or_a_number_error(text: str) -> None:
    """Parsing raises nothing else, and what it returns is canonical."""
    with contextlib.suppress(NumberError):
        x = XNumber.parse(text)
        assert re.fullmatch("700[0-9]{12}", x.digits)
        assert XNumber.parse(x.digits) == x
    with contextlib.suppress(NumberError):
        block = Block.parse(text)
        assert re.fullmatch("700[0-9]{8}", block.digits)
        assert Block.parse(block.digits) == block
    with contextlib.suppress(NumberError):
        party = PhoneNumber.parse(text)
        assert re.fullmatch("1[3-9][0-9]{9}", party.digits)
        assert PhoneNumber.parse(party.digits) == party
    with contextlib.suppress(NumberError):
        party = PhoneNumber.parse(text, fixed_lines=True)
        assert re.fullmatch("[01][0-9]{9,11}", party.digits)
        assert PhoneNumber.parse(party.digits, fixed_lines=True) == party


@given(texts)
def test_an_error_shows_no_digits_of_the_text(text: str) -> None:
    """A message holds counts and rules, never four digits in a row."""
    for parse in (XNumber.parse, Block.parse, PhoneNumber.parse):
        message = ""
        try:
            parse(text)
        except NumberError as error:
            message = "".join(traceback.format_exception_only(error))
        assert not re.search("[0-9]{4}", message)


@given(st.data(), x_numbers, st.sampled_from(["", "86", "+86", "0086"]))
def test_every_spelling_of_a_700_number(data: st.DataObject, x: XNumber, prefix: str) -> None:
    """However it is written, it is the same number, and its parts make it up."""
    assert XNumber.parse(data.draw(written(prefix + x.digits))) == x
    assert x.digits == f"{x.block}{x.serial:04d}"
    assert x.block.number(x.serial) == x


@given(st.data(), mobiles, st.sampled_from(["", "0", "86", "+86", "0086", "+860"]))
def test_every_spelling_of_a_mobile(data: st.DataObject, digits: str, prefix: str) -> None:
    """However it is written, it is the same number, with or without fixed lines."""
    text = data.draw(written(prefix + digits))
    assert PhoneNumber.parse(text).digits == digits
    assert PhoneNumber.parse(text, fixed_lines=True).digits == digits


@given(st.data(), fixed_lines, st.sampled_from(["0", "86", "+86", "0086", "+860"]))
def test_every_spelling_of_a_fixed_line(data: st.DataObject, digits: str, prefix: str) -> None:
    """However it is written, it is the same number."""
    text = data.draw(written(prefix + digits.removeprefix("0")))
    # Without + or 00, a country code needs ten digits after it to be one.
    if not (prefix == "86" and len(digits) == 10):
        assert PhoneNumber.parse(text, fixed_lines=True).digits == digits


@given(mobiles | fixed_lines)
def test_masking_hides(digits: str) -> None:
    """At most seven digits show, and at least four are hidden."""
    number = PhoneNumber(digits=digits)
    for shown in (str(number), repr(number)[13:-1], f"{number}", number.masked):
        visible = re.sub("[^0-9]", "", shown)
        assert len(visible) <= 7
        assert len(shown) == len(digits)
        assert shown.count("*") >= 4
        assert digits.startswith(shown.split("*")[0])
        assert digits.endswith(shown.split("*")[-1])

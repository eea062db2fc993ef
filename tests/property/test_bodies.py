"""Phone numbers in texts: found however they are written, and struck out without a rest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agi_router.messages.bodies import STRUCK, holds_number, strike_numbers
from agi_router.messages.rules import NumberRule, TextRules, judge_body
from agi_router.numbers import PhoneNumber

A = PhoneNumber.parse("13800000001")
B = PhoneNumber.parse("13900000002")
OTHER = "15012345678"

# By script: ASCII, full width, Arabic, Devanagari, bold, Chinese, as a banker writes them.
SCRIPTS = (
    "0123456789",
    "０１２３４５６７８９",
    "٠١٢٣٤٥٦٧٨٩",
    "०१२३४५६७८९",
    "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗",
    "〇一二三四五六七八九",
    "零壹贰叁肆伍陆柒捌玖",
)
# No digits, and nothing that has a digit's value.
words = st.text(alphabet=st.sampled_from("abz你我，。 -+.\n\u200b😀"), max_size=20)
signs = st.text(alphabet=st.sampled_from(" .-,，()（）\u200b"), max_size=3)
bodies = st.text(
    alphabet=st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("0138 -一")),
    max_size=80,
)


@st.composite
def written(draw: st.DrawFn, number: str, between: st.SearchStrategy[str]) -> str:
    """Return *number* in scripts of any kind, with something between its digits."""
    one = draw(st.booleans())
    script = draw(st.sampled_from(SCRIPTS))
    signs_of = [script if one else draw(st.sampled_from(SCRIPTS)) for _ in number]
    digits = [of[int(digit)] for of, digit in zip(signs_of, number, strict=True)]
    return "".join(digit + draw(between) for digit in digits[:-1]) + digits[-1]


@given(
    party=st.sampled_from([A, B]),
    data=st.data(),
    before=words,
    behind=words,
)
def test_a_partys_number_is_found_whatever_stands_between(
    party: PhoneNumber, data: st.DataObject, before: str, behind: str
) -> None:
    """In any script, split by any words."""
    body = before + data.draw(written(party.digits, words)) + behind
    assert holds_number(body, [A, B])
    assert not holds_number(strike_numbers(body, [A, B]), [A, B])


@given(
    data=st.data(), before=words, behind=words, prefix=st.sampled_from(["", "+86 ", "0086", "0"])
)
def test_any_number_is_found_that_is_spaced_or_dotted(
    data: st.DataObject, before: str, behind: str, prefix: str
) -> None:
    """And each of its digits is struck out."""
    number = data.draw(written(OTHER, signs))
    struck = strike_numbers(before + prefix + number + behind, [])
    assert struck.count(STRUCK) >= len(OTHER)
    assert not holds_number(struck, [])


@given(body=bodies)
def test_only_digits_of_numbers_are_struck_out(body: str) -> None:
    """As many characters remain, and nothing remains to be found; without a number all stays."""
    struck = strike_numbers(body, [A, B])
    assert len(struck) == len(body)
    assert not holds_number(struck, [A, B])
    assert holds_number(body, [A, B]) is (struck != body)
    for old, new in zip(body, struck, strict=True):
        assert new in {old, STRUCK}


@given(body=bodies)
def test_the_three_rules_agree(body: str) -> None:
    """Refused is what would be redacted, and passed is what was written."""
    judged = {rule: judge_body(body, TextRules(numbers=rule), A) for rule in NumberRule}
    passed, redacted = judged[NumberRule.PASS], judged[NumberRule.REDACT]
    assert passed is not None
    assert redacted is not None
    assert passed.body == body
    assert (judged[NumberRule.REFUSE] is None) is (redacted.body != body)

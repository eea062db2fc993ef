"""Numbers: every accepted form, every fault, and masking."""

from __future__ import annotations

import re

import pytest

from agi_router import numbers
from agi_router.errors import NumberError, NumberFault
from agi_router.numbers import Block, PhoneNumber, XNumber, is_extension, parse_old_number

X = "700012345670009"
MOBILE = "13800130001"

DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"


@pytest.mark.parametrize(
    "text",
    [
        X,
        f"86{X}",
        f"+86{X}",
        f"0086{X}",
        f" {X} ",
        "700 0123 4567 0009",
        "+86 700-0-1234567-0009",
        "700\u00a0012345670009",
        "\u3000700012345670009",
        "\uff17\uff10\uff10012345670009",
        "\uff0b86700012345670009",
        *(f"700{dash}012345670009" for dash in DASHES),
    ],
)
def test_x_number_forms(text: str) -> None:
    """A 700 number in any spelling is the same 15 digits."""
    assert XNumber.parse(text) == XNumber.from_int(int(X))


def test_x_number_parts() -> None:
    """700, operator, platform, serial; the block is the first eleven."""
    x = XNumber.parse("700312345670009")
    assert (x.digits, str(x), f"{x}") == ("700312345670009",) * 3
    assert (x.value, x.block, x.serial) == (700312345670009, Block(value=70031234567), 9)
    assert x.operator == "3"
    assert x < XNumber.from_int(x.value + 1)
    assert len({x, XNumber.parse(x.digits)}) == 1


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("", NumberFault.EMPTY, "empty"),
        ("  ", NumberFault.EMPTY, "empty"),
        ("anonymous", NumberFault.NOT_DIGITS, "something else"),
        ("7000123456700O9", NumberFault.NOT_DIGITS, "something else"),
        (f"{X}\n", NumberFault.NOT_DIGITS, "something else"),
        (f"{X}&PJSIP/1", NumberFault.NOT_DIGITS, "something else"),
        (X[:-1], NumberFault.TOO_SHORT, "15 digits; got 14"),
        ("7", NumberFault.TOO_SHORT, "15 digits; got 1"),
        ("+86", NumberFault.TOO_SHORT, "15 digits; got 0"),
        (f"{X}1", NumberFault.TOO_LONG, "15 digits; got 16"),
        (f"+86{X}1", NumberFault.TOO_LONG, "15 digits; got 16"),
        (MOBILE, NumberFault.NOT_700, "begins with 700"),
        ("701012345670009", NumberFault.NOT_700, "begins with 700"),
        (f"+{X}", NumberFault.NOT_700, "begins with 700"),
        (f"8686{X}", NumberFault.NOT_700, "begins with 700"),
        (f"0{X}", NumberFault.NOT_700, "begins with 700"),
    ],
)
def test_x_number_faults(text: str, kind: NumberFault, words: str) -> None:
    """What is not a 700 number is told by its shape."""
    with pytest.raises(NumberError, match=re.escape(words)) as caught:
        XNumber.parse(text)
    assert caught.value.kind is kind


@pytest.mark.parametrize(
    "value", [0, -1, -(700 * 10**12), 70001234567, 699_999_999_999_999, 701_000_000_000_000]
)
def test_x_number_from_a_wrong_integer(value: int) -> None:
    """The store cannot hand out what is not a 700 number."""
    with pytest.raises(NumberError) as caught:
        XNumber.from_int(value)
    assert caught.value.kind is NumberFault.NOT_700


def test_x_number_at_the_edges_of_the_range() -> None:
    """The first and the last 700 number are numbers."""
    assert XNumber.from_int(700 * 10**12).digits == "700000000000000"
    assert XNumber.from_int(701 * 10**12 - 1).digits == "700999999999999"


def test_block() -> None:
    """A block holds the numbers 0000 to 9999."""
    block = Block.parse("+86 700 3 1234567")
    assert (block.digits, str(block), block.value) == ("70031234567", "70031234567", 70031234567)
    assert block.operator == "3"
    assert block.number(0).digits == "700312345670000"
    assert block.number(9999).digits == "700312345679999"
    assert block.number(42).block == block
    assert block < Block(value=block.value + 1)


@pytest.mark.parametrize("serial", [-1, 10000])
def test_serial_outside_the_block(serial: int) -> None:
    """There is no eleventh thousand."""
    with pytest.raises(ValueError, match="0 to 9999"):
        Block(value=70031234567).number(serial)


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("", NumberFault.EMPTY, "empty"),
        ("x", NumberFault.NOT_DIGITS, "something else"),
        ("7003123456", NumberFault.TOO_SHORT, "a block has 11 digits; got 10"),
        (X, NumberFault.TOO_LONG, "a block has 11 digits; got 15"),
        (MOBILE, NumberFault.NOT_700, "a block begins with 700"),
    ],
)
def test_block_faults(text: str, kind: NumberFault, words: str) -> None:
    """What is not a block is told by its shape."""
    with pytest.raises(NumberError, match=re.escape(words)) as caught:
        Block.parse(text)
    assert caught.value.kind is kind


def test_block_from_a_wrong_integer() -> None:
    """A 700 number is not a block."""
    with pytest.raises(NumberError) as caught:
        Block(value=int(X))
    assert caught.value.kind is NumberFault.NOT_700


@pytest.mark.parametrize(
    "text",
    [
        MOBILE,
        f"+86{MOBILE}",
        f"0086{MOBILE}",
        f"86{MOBILE}",
        f"0{MOBILE}",
        f"+860{MOBILE}",
        "138 0013 0001",
        "138-0013-0001",
        "+86 (0) 138 0013 0001",
        "(+86)13800130001",
        "\uff08+86\uff09138\u20130013\u20130001",
        "\u202f138\u20090013\u20090001 ",
        "\uff11\uff13\uff18\uff10\uff10\uff11\uff13\uff10\uff10\uff10\uff11",
        *(f"138{dash}00130001" for dash in DASHES),
    ],
)
def test_mobile_forms(text: str) -> None:
    """A mobile in any spelling is the same eleven digits."""
    number = PhoneNumber.parse(text)
    assert number.digits == MOBILE
    assert number == PhoneNumber(digits=MOBILE)
    assert number.is_mobile


@pytest.mark.parametrize("prefix", ["13", "14", "15", "16", "17", "18", "19"])
def test_mobile_prefixes(prefix: str) -> None:
    """13 to 19 are mobiles; finer ranges are data, not code."""
    assert PhoneNumber.parse(f"{prefix}900000000").is_mobile


@pytest.mark.parametrize(
    ("text", "digits", "masked"),
    [
        ("010 8888 6666", "01088886666", "010****6666"),
        ("(010) 8888-6666", "01088886666", "010****6666"),
        ("+86 10 8888 6666", "01088886666", "010****6666"),
        ("+86 (0) 10 8888 6666", "01088886666", "010****6666"),
        ("861088886666", "01088886666", "010****6666"),
        ("021-6666888", "0216666888", "021****888"),
        ("0755-88886666", "075588886666", "075*****6666"),
        ("0086 755 8888666", "07558888666", "075****8666"),
    ],
)
def test_fixed_lines(text: str, digits: str, masked: str) -> None:
    """A fixed line is accepted only where the setting says so."""
    number = PhoneNumber.parse(text, fixed_lines=True)
    assert (number.digits, number.masked) == (digits, masked)
    assert not number.is_mobile
    with pytest.raises(NumberError) as caught:
        PhoneNumber.parse(text)
    assert caught.value.kind is NumberFault.FIXED_LINE


@pytest.mark.parametrize("fixed_lines", [False, True])
@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("", NumberFault.EMPTY, "empty"),
        (" \t", NumberFault.EMPTY, "empty"),
        ("anonymous", NumberFault.WITHHELD, "withheld"),
        (" Anonymous ", NumberFault.WITHHELD, "withheld"),
        ("restricted", NumberFault.WITHHELD, "withheld"),
        ("unavailable", NumberFault.WITHHELD, "withheld"),
        ("unknown", NumberFault.WITHHELD, "withheld"),
        ("PRIVATE", NumberFault.WITHHELD, "withheld"),
        ("()", NumberFault.NOT_DIGITS, "something else"),
        ("+", NumberFault.NOT_DIGITS, "something else"),
        ("139&PJSIP/13900000000", NumberFault.NOT_DIGITS, "something else"),
        ("13800130001@carrier", NumberFault.NOT_DIGITS, "something else"),
        ("13800130001\n", NumberFault.NOT_DIGITS, "something else"),
        ("138\t00130001", NumberFault.NOT_DIGITS, "something else"),
        ("13800130001\0", NumberFault.NOT_DIGITS, "something else"),
        ("1380013000l", NumberFault.NOT_DIGITS, "something else"),
        ("138+00130001", NumberFault.NOT_DIGITS, "something else"),
        ("++8613800130001", NumberFault.NOT_DIGITS, "something else"),
        ("138.0013.0001", NumberFault.NOT_DIGITS, "something else"),
        # Digits to str.isdigit, not to a telephone network.
        ("1380013000\u00b2", NumberFault.NOT_DIGITS, "something else"),
        ("1380013000\u2461", NumberFault.NOT_DIGITS, "something else"),
        (
            "\u0661\u0663\u0668\u0660\u0660\u0661\u0663\u0660\u0660\u0660\u0661",
            NumberFault.NOT_DIGITS,
            "something else",
        ),
        ("1380013000\U0001d7d9", NumberFault.NOT_DIGITS, "something else"),
        ("1380013000", NumberFault.TOO_SHORT, "13 to 19; got 10 digits"),
        ("+861380013000", NumberFault.TOO_SHORT, "13 to 19; got 10 digits"),
        ("110", NumberFault.TOO_SHORT, "13 to 19; got 3 digits"),
        ("0", NumberFault.TOO_SHORT, "13 to 19; got 0 digits"),
        ("+86", NumberFault.TOO_SHORT, "13 to 19; got 0 digits"),
        ("88886666", NumberFault.TOO_SHORT, "13 to 19; got 8 digits"),
        ("4008123123", NumberFault.TOO_SHORT, "13 to 19; got 10 digits"),
        ("138001300011", NumberFault.TOO_LONG, "13 to 19; got 12 digits"),
        ("868613800130001", NumberFault.TOO_LONG, "13 to 19; got 13 digits"),
        ("442071234567", NumberFault.TOO_LONG, "13 to 19; got 12 digits"),
        ("12800130001", NumberFault.NOT_MOBILE, "got 11 beginning otherwise"),
        ("86138001300", NumberFault.NOT_MOBILE, "got 11 beginning otherwise"),
        ("+8612800130001", NumberFault.NOT_MOBILE, "got 11 beginning otherwise"),
        ("+442071234567", NumberFault.FOREIGN, "another country code"),
        ("00442071234567", NumberFault.FOREIGN, "another country code"),
        ("+8521234567", NumberFault.FOREIGN, "another country code"),
        ("+13800130001", NumberFault.FOREIGN, "another country code"),
        ("0013800130001", NumberFault.FOREIGN, "another country code"),
        (X, NumberFault.IS_700, "got a 700 number"),
        (f"+86{X}", NumberFault.IS_700, "got a 700 number"),
        (f"0086{X}", NumberFault.IS_700, "got a 700 number"),
        (f"86 {X}", NumberFault.IS_700, "got a 700 number"),
    ],
)
def test_party_faults(text: str, kind: NumberFault, words: str, *, fixed_lines: bool) -> None:
    """What is not a party's number is told by its shape, without a digit of it."""
    with pytest.raises(NumberError, match=re.escape(words)) as caught:
        PhoneNumber.parse(text, fixed_lines=fixed_lines)
    assert caught.value.kind is kind
    assert not re.search(r"\d{3}", str(caught.value).replace("700", ""))


@pytest.mark.parametrize("digits", ["", "1380013000", f"86{MOBILE}", f"{MOBILE}\n", X, "110"])
def test_only_canonical_digits_make_a_party(digits: str) -> None:
    """Without parsing, only the national form is taken."""
    with pytest.raises(NumberError) as caught:
        PhoneNumber(digits=digits)
    assert caught.value.kind is NumberFault.NOT_MOBILE


def test_party_shows_itself_masked() -> None:
    """No way of turning a party into text shows it in full."""
    number = PhoneNumber(digits=MOBILE)
    assert number.masked == "138****0001"
    assert str(number) == f"{number}" == "%s" % number == "138****0001"  # noqa: UP031
    assert f"{number:>13}" == "  138****0001"
    assert repr(number) == f"{number!r}" == "<PhoneNumber 138****0001>"
    assert MOBILE not in repr([number, {"number": number}])


def test_exports() -> None:
    """What is public is listed, and the kinds of faults with it."""
    assert set(numbers.__all__) == {
        "BLOCK_SIZE",
        "Block",
        "PhoneNumber",
        "NumberFault",
        "XNumber",
        "is_extension",
        "is_withheld",
        "judge_by",
        "judged_by",
        "parse_members",
        "parse_old_number",
    }


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("0", True),
        ("0000", True),
        ("1234", True),
        ("", False),
        ("12345", False),
        ("12*", False),
        ("1 2", False),
        ("1\n", False),
        # Digits of other scripts are none.
        ("\u0661", False),
        ("\uff11", False),
    ],
)
def test_extensions(text: str, *, good: bool) -> None:
    """One to four digits, and nothing else."""
    assert is_extension(text) is good


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the number is empty"),
        (" ; 、\u200b", "the number is empty"),
        ("13800130001;138", "a mobile number has 11 digits beginning 13 to 19; got 3 digits"),
        # Neither one number nor several: what is wrong is told of the whole.
        ("13800130001 138", "a mobile number has 11 digits beginning 13 to 19; got 14 digits"),
        ("01082345678", "a mobile number is needed; got a fixed line"),
    ],
)
def test_lists_that_are_none(text: str, message: str) -> None:
    """The first piece that is no number is told."""
    with pytest.raises(NumberError) as caught:
        numbers.parse_members(text)
    assert str(caught.value) == message


def test_a_list_of_fixed_lines() -> None:
    """They are members where they are allowed."""
    found = numbers.parse_members("01082345678 / 138 0013 0001", fixed_lines=True)
    assert [number.digits for number in found] == ["01082345678", "13800130001"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("95013000001", "95013000001"),
        ("950-1300 0001", "95013000001"),
        ("+8695013000001", "95013000001"),
        ("008613012340001", "13012340001"),
        ("8613012340001", "13012340001"),
        # Without + or 00 a whole number follows.
        ("86123", "86123"),
        ("700123456789", "700123456789"),
    ],
)
def test_an_old_number(text: str, expected: str) -> None:
    """As trunks and files write it."""
    assert parse_old_number(text) == expected


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", NumberFault.EMPTY),
        ("_X.", NumberFault.NOT_DIGITS),
        ("12", NumberFault.OTHER_RANGE),
        (21 * "1", NumberFault.OTHER_RANGE),
        ("+14155550100", NumberFault.OTHER_RANGE),
        ("700123456780001", NumberFault.IS_700),
        ("+86700123456780001", NumberFault.IS_700),
    ],
)
def test_what_is_no_old_number(text: str, kind: NumberFault) -> None:
    """Nor is a 700 number."""
    with pytest.raises(NumberError) as caught:
        parse_old_number(text)
    assert caught.value.kind is kind

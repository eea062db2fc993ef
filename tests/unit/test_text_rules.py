"""A tenant's rules for texts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agi_router.messages.bodies import holds_number, strike_numbers
from agi_router.messages.rules import (
    MOST_WORDS,
    NumberRule,
    TextRules,
    check_hold,
    check_words,
    judge_body,
)
from agi_router.numbers import PhoneNumber

A = PhoneNumber.parse("13800000001")
B = PhoneNumber.parse("13900000002")


@pytest.mark.parametrize(
    ("body", "struck"),
    [
        ("我的号码13800000001", "我的号码***********"),
        ("打138-0000-0001", "打***-****-****"),
        ("１３８ ００００ ０００１！", "*** **** ****！"),
        ("一三八〇〇〇〇〇〇〇一", "***********"),
        ("幺三八零零零零零零零幺", "***********"),
        ("1 3 8 0 0 0 0 0 0 0 1", "* * * * * * * * * * *"),
        ("1️⃣3️⃣8️⃣00000001", "*️⃣*️⃣*️⃣********"),
        ("前面138，中间是0000，最后0001", "前面***，中间是****，最后****"),
        ("138 then 0 0 0 and 0 and 0 0 0 at last 1", "*** then * * * and * and * * * at last *"),
        # Split by decoys of the other kind.
        ("138一0000二0001", "***一****二****"),
        # Of others: with a prefix, a fixed line, two in a row.
        ("+86 150 1234 5678", "+** *** **** ****"),
        ("010-12345678", "***-********"),
        ("15012345678,15087654321", "***********,***********"),
        ("one 150 and 1234 and 5678", "one *** and **** and ****"),
        # None of these is a number.
        ("验证码 123456，柜号 12", "验证码 123456，柜号 12"),
        ("订单 202611291326570001", "订单 202611291326570001"),
        ("我有一个，你有三个", "我有一个，你有三个"),
        ("700123456784910", "700123456784910"),
        ("12345678901", "12345678901"),
        # A party's is looked for in a longer group too; what it leaves is looked at again.
        ("9913800000001", "99***********"),
        ("1380001380000000100001", "*" * 22),
        # Numbers within numbers without an end: each look would find one more.
        ("13800" * 20 + "000001" * 20 + " 12", "*" * 220 + " **"),
        ("", ""),
    ],
)
def test_numbers(body: str, struck: str) -> None:
    """Those of the parties, and any other."""
    assert strike_numbers(body, [A, B]) == struck
    assert holds_number(body, [A, B]) is (struck != body)


@pytest.mark.parametrize(
    ("rules", "body", "judged"),
    [
        (TextRules(), "13800000001", "13800000001"),
        (TextRules(numbers=NumberRule.REDACT), "13800000001", "***********"),
        (TextRules(numbers=NumberRule.REFUSE), "13800000001", None),
        (TextRules(numbers=NumberRule.REFUSE), "到门口了", "到门口了"),
        (TextRules(words=("加微信",)), "可以加 微\u200b信吗", None),
        (TextRules(words=("WeChat",)), "ｗｅｃｈａｔ?", None),
        (TextRules(words=("加微信",)), "到门口了", "到门口了"),
        (TextRules(templates=("到了",)), "到 了", "到 了"),
        (TextRules(templates=("到了",)), "到了吗", None),
        (TextRules(templates=("您的快递到了，在*。", "*号柜")), "您的快递到了，在门口。", "same"),
        (TextRules(templates=("您的快递到了，在*。", "*号柜")), "12号柜", "same"),
        (TextRules(templates=("您的快递到了，在*。",)), "您的快递到了", None),
        (TextRules(templates=("a*b*c",)), "a1b2c", "same"),
        (TextRules(templates=("a*b*c",)), "a1c", None),
        (TextRules(templates=("a*b*c",)), "x1b2c", None),
        # One place is not taken twice.
        (TextRules(templates=("aa*aa",)), "aaa", None),
    ],
)
def test_rules(rules: TextRules, body: str, judged: str | None) -> None:
    """What is refused, and what a text is to say."""
    found = judge_body(body, rules, A)
    assert (found and found.body) == (body if judged == "same" else judged)


@pytest.mark.parametrize(
    ("body", "out"), [("TD", True), (" ｔｄ\n", True), ("退订", True), ("TD please", False)]
)
def test_words_to_opt_out(body: str, out: bool) -> None:  # noqa: FBT001
    """The whole text is one."""
    found = judge_body(body, TextRules(opt_out=("TD", "退订"), templates=("*TD*",)), A)
    assert found is not None
    assert found.opts_out is out


def test_a_list_of_words() -> None:
    """Each once, in their order."""
    assert check_words(["b", "a", "b"]) == ("b", "a")
    for words in ([""], [" "], ["*"], ["a\0"], ["a" * 501], ["a"] * (MOST_WORDS + 1)):
        with pytest.raises(ValueError, match="entr"):
            check_words(words)


def test_how_long_texts_are_held() -> None:
    """From a second to a day."""
    assert check_hold(timedelta(hours=1)) == timedelta(hours=1)
    for hold in (timedelta(0), timedelta(days=2)):
        with pytest.raises(ValueError, match="1 second to 1 day"):
            check_hold(hold)

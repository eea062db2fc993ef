"""Parameters of Alibaba Cloud's actions: what is read, and what is said of the rest."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from agi_router.doors.alibaba.parameters import (
    NumberInvalid,
    ParameterInvalid,
    ParameterMissing,
    Parameters,
)
from agi_router.errors import ExpiryInvalid
from agi_router.numbers import PhoneNumber, XNumber


def of(**values: str) -> Parameters:
    return Parameters(values)


def test_what_is_empty_is_not_there() -> None:
    """Clients send fields that they have not filled."""
    parameters = of(OutId="", OrderId="A-1")
    assert parameters.text("OutId") is None
    assert parameters.text("Other") is None
    assert parameters.need("OrderId") == "A-1"
    assert "OrderId" in parameters
    assert "OutId" not in parameters
    for name in ("OutId", "Other"):
        with pytest.raises(ParameterMissing, match=name):
            parameters.need(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", None), ("0", 0), ("4711", 4711), ("9223372036854775807", 2**63 - 1), ("007", 7)],
)
def test_whole_numbers(text: str, expected: int | None) -> None:
    assert of(SubsId=text).whole("SubsId") == expected


@pytest.mark.parametrize(
    "text", ["-1", "+1", "1.0", "1e3", " 1", "４", "9223372036854775808", "x"]
)
def test_what_is_no_whole_number(text: str) -> None:
    with pytest.raises(ParameterInvalid, match=r"^SubsId: a whole number, 0 to"):
        of(SubsId=text).whole("SubsId")


def test_whole_numbers_have_bounds() -> None:
    assert of(CallTimeout="5").whole("CallTimeout", low=5, high=120) == 5
    for text in ("4", "121"):
        with pytest.raises(ParameterInvalid, match="5 to 120"):
            of(CallTimeout=text).whole("CallTimeout", low=5, high=120)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("True", True), ("true", True), ("False", False), ("false", False), ("", None)],
)
def test_flags(text: str, expected: bool | None) -> None:  # noqa: FBT001
    """As Python and Node write them."""
    assert of(NeedRecord=text).flag("NeedRecord") is expected


@pytest.mark.parametrize("text", ["1", "yes", "T", "truе"])
def test_what_is_no_flag(text: str) -> None:
    with pytest.raises(ParameterInvalid, match="true or false"):
        of(NeedRecord=text).flag("NeedRecord")


def test_times_are_those_of_beijing() -> None:
    expected = datetime(2026, 1, 31, 7, 4, 5, tzinfo=UTC)
    assert of(Expiration="2026-01-31 15:04:05").time("Expiration") == expected


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T15:04:05",
        "2026-1-31 15:04:05",
        "2026-02-30 15:04:05",
        "2026-01-31 15:04:05+08:00",
        "0001-01-01 00:00:00",
        "２026-01-31 15:04:05",
    ],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ExpiryInvalid, match=r"^Expiration looks like"):
        of(Expiration=text).time("Expiration")


def test_a_time_has_to_be_there() -> None:
    with pytest.raises(ParameterMissing):
        of(Expiration="").time("Expiration")


def test_parties() -> None:
    assert of(TelA="13800010001").party("TelA") == PhoneNumber(digits="13800010001")
    assert of(TelA="").some_party("TelA") is None
    assert of(TelA="+86 138 0001 0001").some_party("TelA") == PhoneNumber(digits="13800010001")
    fixed = Parameters({"TelA": "02112345678"}, fixed_lines=True)
    assert fixed.party("TelA") == PhoneNumber(digits="02112345678")


@pytest.mark.parametrize(
    "text", ["1380001000", "02112345678", "700123456780001", "anonymous", "x"]
)
def test_what_is_no_party(text: str) -> None:
    with pytest.raises(NumberInvalid, match=r"^TelA: ") as caught:
        of(TelA=text).party("TelA")
    assert text not in str(caught.value)
    with pytest.raises(ParameterMissing):
        of(TelA="").party("TelA")


def test_700_numbers() -> None:
    assert of(TelX="700123456780001").need_x("TelX") == XNumber(value=700123456780001)
    assert of().x("TelX") is None
    with pytest.raises(ParameterMissing):
        of().need_x("TelX")
    with pytest.raises(ParameterInvalid, match="TelX: a 700 number begins with 700"):
        of(TelX="13800010001").x("TelX")


def test_objects_in_a_text() -> None:
    assert of(Audio='{"a": 1}').mapping("Audio") == {"a": 1}
    assert of(Audio="").mapping("Audio") is None
    for text in ("[]", "1", "{", "[" * 100_000):
        with pytest.raises(ParameterInvalid, match="Audio: ") as caught:
            of(Audio=text).mapping("Audio")
        assert text not in str(caught.value)


def rows(values: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {name: row.text(name) for name in ("PhoneNoA", "Expiration", "Flag")}
        for row in Parameters(values).rows("List")
    ]


def test_a_list_comes_in_two_forms() -> None:
    """One JSON text, or flat."""
    wanted = [
        {"PhoneNoA": "13800010001", "Expiration": "2026-01-31 15:04:05", "Flag": "true"},
        {"PhoneNoA": "13800010002", "Expiration": None, "Flag": None},
    ]
    told = [
        {"PhoneNoA": 13800010001, "Expiration": "2026-01-31 15:04:05", "Flag": True},
        {"PhoneNoA": "13800010002"},
    ]
    assert rows({"List": json.dumps(told)}) == wanted
    flat = {
        "List.2.PhoneNoA": "13800010002",
        "List.1.PhoneNoA": "13800010001",
        "List.1.Expiration": "2026-01-31 15:04:05",
        "List.1.Flag": "true",
        "Other": "1",
    }
    assert rows(flat) == wanted


@pytest.mark.parametrize(
    "values",
    [
        {"List": "{}"},
        {"List": "[1]"},
        {"List": "x"},
        {"List.0.PhoneNoA": "1"},
        {"List.2.PhoneNoA": "1"},
        {"List.1": "1"},
        {"List.x.PhoneNoA": "1"},
    ],
)
def test_what_is_no_list(values: dict[str, str]) -> None:
    with pytest.raises(ParameterInvalid, match=r"^List: "):
        rows(values)


def test_a_list_has_to_be_there() -> None:
    for values in ({}, {"List": ""}, {"List": "[]"}):
        with pytest.raises(ParameterMissing):
            rows(values)

"""Logs: one line a record, and no real number in it."""

from __future__ import annotations

import io
import logging
import re
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agi_router import logs
from agi_router.logs import Formatter, redact
from agi_router.numbers import PhoneNumber, XNumber
from harness.draws import mobiles

LOG = logging.getLogger("agi_router.test")


@pytest.mark.parametrize(
    "text",
    [
        "700012345678901",
        "86700012345678901 +86700138001380001 0086700138001380001",
        "sip:700138001380001@10.0.0.138:5060",
        "shown=700138001380001 x=700013800138000,",
        "70012345678-42",
        "70013800138-1380",
        "pbx1-1741988825.42",
        "pbx13-1741988825.42 pbx86-1741988825.7 pbx0755-1741988825.1 pbx01-1741988825.9",
        "1741988825.13800 2025-03-13 138 ms",
        "2025-03-13 4194304 started",
        "2025-03-14T21:30:25.420138+08:00",
        "2025-03-14 13:21:30,138 20250314213025 20250314-213025",
        "1741988825420",
        "PJSIP/carrier-00000021 7c9f13d0-1a80-4138-8000-13800138ab00",
        "cause 16 after 412 ms, 1380 of 10000",
        "127.0.0.1:5432 192.168.138.1 [::1]:8088",
        "138****0001 010****6666",
        "400000000000 999999999999",
    ],
)
def test_what_stays(text: str) -> None:
    """700 numbers, ids, times and addresses are readable."""
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("13800130001", "138****0001"),
        ("+8613800130001", "138****0001"),
        ("008613800130001", "138****0001"),
        ("8613800130001", "138****0001"),
        ("013800130001", "138****0001"),
        ("+86 138 0013 0001", "138****0001"),
        ("+86 (0) 138 0013 0001", "138****0001"),
        ("0086-138-0013-0001", "138****0001"),
        ("138-0013-0001", "138****0001"),
        ("138.0013.0001", "138****0001"),
        ("138\u00a00013\u20110001", "138****0001"),
        ("\u202d138\u200b0013\u200b0001\u202c", "\u202d138****0001\u202c"),
        ("1 3 8 0 0 1 3 0 0 0 1", "138****0001"),
        ("\uff11\uff13\uff18\uff10\uff10\uff11\uff13\uff10\uff10\uff10\uff11", "138****0001"),
        ("(+86)13800130001", "(138****0001"),
        ("sip:+8613800130001@10.0.0.1", "sip:138****0001@10.0.0.1"),
        ("PJSIP/13800130001@carrier", "PJSIP/138****0001@carrier"),
        ("r*13800130001*700012345678901*45", "r*138****0001*700012345678901*45"),
        ("callee=13800130001,x", "callee=138****0001,x"),
        ("b'13800130001'", "b'138****0001'"),
        ("x13800130001y", "x138****0001y"),
        ("1741988825.42 13800130001", "1741988825.42 138****0001"),
        ("2025-03-14 13800130001", "2025-03-14 138****0001"),
        ("700 13800130001 13900130002", "700 138****0001 139****0002"),
        ("13 13800130001 13", "13 138****0001 13"),
        # A trunk prefix, an escaped space, an escaped plus.
        ("913800130001", "913****0001"),
        ("1795113800130001", "179****0001"),
        ("%2013800130001", "%201****0001"),
        ("%2B8613800130001", "%2B138****0001"),
        ("70001234567890113800130001", "700****0001"),
        ("01088886666", "010****6666"),
        ("010-8888-6666", "010****6666"),
        ("(010) 8888 6666", "(010****6666"),
        ("0755 8888666", "075****8666"),
        ("075588886666", "075****6666"),
        ("0216666888", "021****888"),
        ("+86 10 8888 6666", "861****6666"),
        ("861088886666", "861****6666"),
    ],
)
def test_what_is_masked(text: str, shown: str) -> None:
    """A real number in any spelling is masked, wherever it stands."""
    assert redact(text) == shown
    assert redact(shown) == shown


@given(
    mobiles,
    st.lists(st.sampled_from(["", " ", "-", "\u2011", " - "]), min_size=11, max_size=11),
    st.sampled_from(["", "0", "86", "+86", "+86 ", "0086"]),
    st.text(st.characters(exclude_categories=["Nd"]), max_size=8),
)
def test_any_mobile_is_masked(digits: str, gaps: list[str], prefix: str, around: str) -> None:
    """However grouped and whatever stands around it, four digits are gone."""
    number = "".join(digit + gap for digit, gap in zip(digits, [*gaps[1:], ""], strict=True))
    shown = redact(f"{around}{prefix}{number}{around}")
    assert digits not in re.sub("[^0-9]", "", shown)
    assert f"{digits[:3]}****{digits[-4:]}" in shown


@given(st.integers(700 * 10**12, 701 * 10**12 - 1), st.text("=:@ ,-/*", min_size=1, max_size=3))
def test_any_700_number_stays(x: int, between: str) -> None:
    """Next to another and to a call id, a 700 number is readable."""
    line = f"{x}{between}{x} call=pbx1-1741988825.42 {x}"
    assert redact(line) == line


@given(st.text() | st.text(st.sampled_from("0123456789 -+()."), max_size=60))
def test_any_text(text: str) -> None:
    """Redaction never fails, and once is enough for one mobile a line."""
    assert isinstance(redact(text), str)


@given(st.from_regex(logs._PLAIN, fullmatch=True))
@example("pbx1-1741988825.42")
@example("70012345678-17")
def test_what_is_taken_for_plain_would_stay(text: str) -> None:
    assert redact(text) == text
    assert not logs._QUOTED.search(text)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Logging as serve sets it up, into memory; undone afterwards."""
    root, hook = logging.getLogger(), sys.excepthook
    before = root.handlers[:], root.level
    stream = io.StringIO()
    logs.set_up("INFO", stream=stream)
    yield stream
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level, sys.excepthook = *before, hook


def line(stream: io.StringIO) -> str:
    """Return the one line that was written, without its time."""
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    time, _, rest = text[:-1].partition(" ")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
    return rest


def fail(message: str) -> None:
    """Raise an error that carries *message*."""
    raise ValueError(message)


class Colour(Enum):
    """Something with a value."""

    RED = "red"


class Hostile:
    """A value that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("13800130001")


def test_event_and_fields(stream: io.StringIO) -> None:
    """Level, logger, event, and every field in its form."""
    LOG.info(
        "call.admitted",
        extra={
            "call": "pbx1-1741988825.42",
            "x": XNumber.parse("700012345678901"),
            "caller": PhoneNumber.parse("13800130001"),
            "raw": 13800130001,
            "took": 0.0138001380013800,
            "none": None,
            "yes": True,
            "no": False,
            "reason": Colour.RED,
            "at": datetime(2025, 3, 14, 21, 30, tzinfo=UTC),
            "empty": "",
            "words": 'two "words"\n\\',
            "hostile": Hostile(),
            "parties": ["+86 138 0013 0001"],
        },
    )
    assert line(stream) == (
        "INFO agi_router.test call.admitted call=pbx1-1741988825.42 x=700012345678901"
        " caller=138****0001 raw=138****0001 took=0.0138001 none=- yes=true no=false reason=red"
        ' at="2025-03-14 21:30:00+00:00" empty="" words="two \\"words\\"\\n\\\\"'
        " hostile=<Hostile> parties=['138****0001']"
    )


def test_message_is_one_line(stream: io.StringIO) -> None:
    """Ends of lines, control characters and turns of direction are escaped."""
    LOG.warning("a %s", "b\r\nINFO forged\x1b[2J\u2028\u202e\t13800130001")
    assert line(stream) == (
        "WARNING agi_router.test a b\\r\\nINFO forged\\u001b[2J\\u2028\\u202e\\t138****0001"
    )


def test_traceback_is_masked(stream: io.StringIO) -> None:
    """The traceback is one field, without the number that an exception carries."""
    try:
        fail("no route for +86 138 0013 0001")
    except ValueError:
        LOG.exception("call.failed", extra={"call": "1741988825.42"}, stack_info=True)
    text = line(stream)
    assert text.startswith("ERROR agi_router.test call.failed call=1741988825.42 exception=")
    assert "\\nValueError: no route for 138****0001" in text
    assert "Traceback (most recent call last):\\n" in text
    assert 'stack="Stack (most recent call last)' in text
    assert "0013" not in text


def test_cached_traceback_is_masked() -> None:
    """A traceback that another formatter left on the record is no way around."""
    record = logging.makeLogRecord({"msg": "x", "exc_text": "KeyError: 13800130001"})
    assert Formatter().format(record).endswith('exception="KeyError: 138****0001"')


def test_arguments_that_do_not_fit() -> None:
    """A wrong record of a library neither breaks the log nor shows its arguments."""
    record = logging.makeLogRecord({"msg": "%d calls", "args": ("13800130001",)})
    assert Formatter().format(record).endswith(" %d calls")


def test_closed_stream(stream: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing can be written, nothing is said: least of all the arguments."""
    stream.close()
    LOG.info("call from %s", "13800130001")
    assert capsys.readouterr().err == ""


def test_level(stream: io.StringIO) -> None:
    """What is below the level is not written."""
    LOG.debug("quiet")
    assert stream.getvalue() == ""


def test_uncaught_exceptions_and_warnings(stream: io.StringIO) -> None:
    """Both go through the same net."""
    try:
        fail("13800130001")
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    assert "ValueError: 138****0001" in line(stream)
    stream.seek(0)
    stream.truncate()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("about 13800130001", stacklevel=1)
    assert "UserWarning: about 138****0001" in line(stream)

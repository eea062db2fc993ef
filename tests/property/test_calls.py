"""The end of a call: what holds for any line."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_router.bindings.reasons import Reason
from agi_router.calls.end import End, call_day, parse_end
from agi_router.errors import ProtocolError
from agi_router.numbers import XNumber

MS = timedelta(milliseconds=1)

x_numbers = st.integers(700 * 10**12, 701 * 10**12 - 1).map(XNumber.from_int)
call_ids = st.from_regex(r"([A-Za-z0-9_.-]{1,64}-)?[0-9]{9,11}\.[0-9]{1,10}", fullmatch=True)
statuses = st.sampled_from(
    ["", "ANSWER", "BUSY", "NOANSWER", "CANCEL", "CONGESTION", "CHANUNAVAIL"]
)
reasons = st.just("") | st.sampled_from(Reason).map(lambda reason: reason.value)
numbers = st.just("") | st.integers(0, 2**31 - 1).map(str)
sources = st.sampled_from(["", "dialplan/builtin", "PJSIP/in-00000001", "PJSIP/out-00000002"])

lines = st.tuples(
    st.just("2"),
    call_ids,
    x_numbers.map(lambda x: x.digits),
    st.integers(0, 2**33).map(str),
    reasons,
    statuses,
    numbers,
    numbers,
    sources,
    st.just("PJSIP/in-00000001"),
    st.just("") | st.integers(0, 127).map(str),
    st.just("") | st.integers(100, 699).map(str),
    st.just("") | st.integers(5, 14_400).map(str),
    st.sampled_from(["", "ring", "whole"]),
    st.just("end"),
).map("|".join)

# A line with one of its fields replaced: near enough to be taken for one.
garbage = st.text(alphabet=st.characters(exclude_characters="|")) | st.integers().map(str)
spoilt = st.builds(
    lambda line, place, junk: "|".join(
        junk if n == place else field for n, field in enumerate(line.split("|"))
    ),
    lines,
    st.integers(0, 14),
    garbage,
)


@given(st.text() | spoilt | st.text(st.sampled_from("12|700end. -"), max_size=40))
def test_any_text_is_an_end_or_a_protocol_error(text: str) -> None:
    """Reading raises nothing else, and what it returns is consistent in itself."""
    try:
        end = parse_end(text)
    except ProtocolError:
        return
    assert end.day == call_day(end.call_id)
    assert end.reason is None or end.outcome is None
    assert end.ended_at.tzinfo is UTC
    assert 700 * 10**12 <= end.x_number.value < 701 * 10**12


@given(lines)
def test_a_whole_line_tells_what_was_written(text: str) -> None:
    """No field is lost or moved."""
    _, call_id, dialled, ended, reason, status, ring, talk, _, _, cause, leg, *_ = text.split("|")
    end = parse_end(text)
    assert (end.call_id, end.x_number.digits) == (call_id, dialled)
    assert end.ended_at == datetime.fromtimestamp(int(ended), UTC)
    assert (end.outcome is None) is (status == "")
    assert end.reason == (None if status or not reason else reason)
    assert end.ring_time == (int(ring) * MS if ring else None)
    assert end.talk_time == (int(talk) * MS if talk else None)
    assert end.cause == int(cause or 0)
    assert status in {"", "CANCEL"} or end.sip_status in {None, 200, int(leg or 0)}


@given(lines, st.data())
def test_a_cut_line_is_never_read(text: str, data: st.DataObject) -> None:
    """Wherever a line is cut, or joined to the next, nobody takes it for a whole one."""
    cut = data.draw(st.integers(0, len(text) - 1))
    for broken in (text[:cut], text[cut + 1 :] if cut else text[1:], text[:cut] + text):
        if broken != text:
            with pytest.raises(ProtocolError):
                parse_end(broken)


@given(st.text())
def test_any_text_is_a_call_id_or_a_protocol_error(text: str) -> None:
    """Reading the day raises nothing else."""
    with contextlib.suppress(ProtocolError):
        assert call_day(text).year >= 1973


@given(call_ids, x_numbers, st.datetimes(timezones=st.just(UTC)))
def test_an_unseen_end_meets_the_row_of_its_call(
    call_id: str, x_number: XNumber, now: datetime
) -> None:
    """It has the day of the call and not that of its discovery, and claims no answer."""
    end = End.unseen(call_id, x_number, now=now)
    assert (end.day, end.ended_at) == (call_day(call_id), now)
    assert (end.outcome, end.reason, end.released_by) == (None, None, None)

"""The end of a call: lines of the end journal, outcomes, who hung up, the day of a call."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from agi_router.bindings.reasons import Reason
from agi_router.calls.end import (
    Answer,
    Clock,
    End,
    Outcome,
    ReleasedBy,
    UnknownEnd,
    call_begin,
    call_day,
    keeps_use,
    parse_end,
    parse_line,
)
from agi_router.errors import ProtocolError
from harness.values import A, X

CALL_ID = "pbx1-1741988825.42"
NEAR = "PJSIP/carrier-in-0000002a"
FAR = "PJSIP/carrier-out-0000002b"


def line(
    *,
    version: str = "2",
    call_id: str = CALL_ID,
    dialled: str = X.digits,
    ended: str = "1741988890",
    reason: str = "",
    status: str = "",
    ring: str = "",
    talk: str = "",
    source: str = NEAR,
    channel: str = NEAR,
    cause: str = "16",
    leg_status: str = "",
    longest: str = "",
    clock: str = "",
    mark: str = "end",
) -> str:
    """Return a line as the hangup handler writes it."""
    fields = (version, call_id, dialled, ended, reason, status)
    of_leg = (leg_status, longest, clock)
    return "|".join((*fields, ring, talk, source, channel, cause, *of_leg, mark))


def old_line(**fields: str) -> str:
    """Return a line as dialplans before version 6 wrote it."""
    *told, _, _, _, mark = line(version="1", **fields).split("|")
    return "|".join((*told, mark))


def end(
    *,
    reason: Reason | None = None,
    outcome: Outcome | None = None,
    ring: int | None = None,
    talk: int | None = None,
    released_by: ReleasedBy = ReleasedBy.CALLER,
    cause: int = 16,
    sip_status: int | None = None,
    clock: Clock | None = None,
) -> End:
    """Return the end that a line tells; times in milliseconds."""
    return End(
        call_id=CALL_ID,
        day=date(2025, 3, 14),
        x_number=X,
        ended_at=datetime(2025, 3, 14, 21, 48, 10, tzinfo=UTC),
        reason=reason,
        outcome=outcome,
        ring_time=None if ring is None else timedelta(milliseconds=ring),
        talk_time=None if talk is None else timedelta(milliseconds=talk),
        released_by=released_by,
        cause=cause,
        sip_status=200 if outcome is Outcome.ANSWERED else sip_status,
        clock=clock,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Answered; the caller hung up, then the callee, then the limit of the call.
        (
            line(status="ANSWER", ring="4210", talk="61007"),
            end(outcome=Outcome.ANSWERED, ring=4210, talk=61007),
        ),
        (
            line(status="ANSWER", ring="0", talk="1", source=FAR),
            end(outcome=Outcome.ANSWERED, ring=0, talk=1, released_by=ReleasedBy.CALLEE),
        ),
        # The callee's answer crossed the caller's CANCEL: its channel was never up.
        (
            line(status="ANSWER", ring="0", talk="0"),
            end(outcome=Outcome.CALLER_GAVE_UP, ring=0, talk=0, sip_status=200),
        ),
        (
            line(status="ANSWER", ring="0"),
            end(outcome=Outcome.CALLER_GAVE_UP, ring=0, sip_status=200),
        ),
        # A burst of sound needs no longer.
        (
            line(status="ANSWER", ring="900", talk="1", source=NEAR),
            end(outcome=Outcome.ANSWERED, ring=900, talk=1),
        ),
        (
            line(status="ANSWER", ring="900", talk="3600000", source="dialplan/builtin"),
            end(outcome=Outcome.ANSWERED, ring=900, talk=3600000, released_by=ReleasedBy.US),
        ),
        # Not answered: the refusing context names what the caller heard; it is no refusal of ours.
        (
            line(status="BUSY", reason="busy", source="dialplan/app", cause="17"),
            end(outcome=Outcome.BUSY, released_by=ReleasedBy.US, cause=17),
        ),
        (
            line(status="NOANSWER", reason="no_answer", ring="45000", source="", cause="19"),
            end(outcome=Outcome.NO_ANSWER, ring=45000, released_by=ReleasedBy.US, cause=19),
        ),
        (
            line(status="CHANUNAVAIL", reason="platform_fault", source="", cause="31"),
            end(outcome=Outcome.UNKNOWN, released_by=ReleasedBy.US, cause=31),
        ),
        # The caller gave up while it rang; while the router decided; before a cause was there.
        (
            line(status="CANCEL", ring="3000", cause="127"),
            end(outcome=Outcome.CALLER_GAVE_UP, ring=3000, cause=127),
        ),
        (line(cause="0"), end(cause=0)),
        (line(cause=""), end(cause=0)),
        # Refused.
        (
            line(reason="stranger", source="dialplan/builtin", cause="21"),
            end(reason=Reason.STRANGER, released_by=ReleasedBy.US, cause=21),
        ),
        (
            line(reason="platform_fault", cause="31"),
            end(reason=Reason.PLATFORM_FAULT, cause=31),
        ),
        # The trunk's own way to write the number.
        (line(dialled=f"+86{X}"), end()),
    ],
)  # fmt: skip
def test_parse_end(text: str, expected: End) -> None:
    """A line tells how a call ended."""
    assert parse_end(text) == expected


@pytest.mark.parametrize(
    ("status", "leg_status", "sip_status"),
    [
        # Who answers has sent the one status of an answer.
        ("ANSWER", "", 200),
        ("BUSY", "486", 486),
        ("CONGESTION", "503", 503),
        ("CHANUNAVAIL", "699", 699),
        # It only rang; nothing came of it, or several rang.
        ("NOANSWER", "180", None),
        ("NOANSWER", "", None),
        ("CHANUNAVAIL", "700", None),
        # Of one who rang before the last, whose caller has given up.
        ("CANCEL", "486", None),
        # No leg was dialled.
        ("", "", None),
    ],
)
def test_sip_status(status: str, leg_status: str, sip_status: int | None) -> None:
    """The final status of the leg, where it gave one."""
    told = line(status=status, talk="1", leg_status=leg_status)
    assert parse_end(told).sip_status == sip_status


@pytest.mark.parametrize(
    ("told", "clock"),
    [
        (line(status="NOANSWER", source="", clock="ring"), Clock.RING),
        # Its caller does not wait for the prompt.
        (line(status="NOANSWER", clock="ring"), Clock.RING),
        (line(status="NOANSWER", source="", cause="44"), None),
        # One rang out, and the next one is busy.
        (line(status="BUSY", source="", clock="ring"), None),
        (line(status="ANSWER", talk="3000", longest="3", source=""), Clock.TALK),
        (line(status="ANSWER", talk="2999", longest="3", source=""), None),
        (line(status="ANSWER", longest="3", source=""), None),
        (line(status="ANSWER", talk="2999", longest="3", source="", cause="44"), Clock.MEDIA),
        (line(status="ANSWER", talk="9", longest="3", source="", clock="whole"), Clock.WHOLE),
        # Who hangs up in the last moment has ended it, and no clock; so has who says 44.
        (line(status="ANSWER", talk="3000", longest="3"), None),
        (line(status="ANSWER", talk="1", longest="3", source=FAR, cause="44"), None),
        (line(status="", source="", clock="whole"), None),
        # An operator ends it, by Asterisk's console.
        (line(status="ANSWER", talk="9", source=""), None),
    ],
)
def test_clock(told: str, clock: Clock | None) -> None:
    """The clock that ended a call, if one did."""
    assert parse_end(told).clock is clock


def test_a_line_of_an_older_dialplan() -> None:
    """It tells all but what was not written then."""
    told = old_line(status="ANSWER", ring="900", talk="1")
    assert parse_end(told) == end(outcome=Outcome.ANSWERED, ring=900, talk=1)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_comes_back(reason: Reason) -> None:
    """What the router refused for is what is booked."""
    assert parse_end(line(reason=reason.value)).reason is reason


@pytest.mark.parametrize(
    "text",
    [
        # Cut anywhere, or two lines run into each other.
        "",
        "1",
        line()[:-1],
        line()[: line().index("|end")],
        line(mark=""),
        line(mark="en"),
        line() + line(),
        line() + "|end",
        line(mark="end\n"),
        f" {line()}",
        # Another version, or not as that one is; another file.
        line(version="1"),
        line(version="3"),
        f"2{old_line()[1:]}",
        line(version=""),
        "Mar 14 21:30:25 pbx1 asterisk[42]: end",
        "\x00" * 64,
        # A field is not of its form.
        line(call_id=""),
        line(call_id="pbx1"),
        line(call_id="pbx1-1741988825"),
        line(call_id="pbx1-1741988825.42\n"),
        line(call_id="pbx 1-1741988825.42"),
        line(dialled=""),
        line(dialled=A.digits),
        line(dialled=X.digits[:-1]),
        line(ended=""),
        line(ended="now"),
        line(ended="1741988890.5"),
        line(ended="9" * 20),
        line(ended="9" * 5000),
        line(ended="253402300800"),
        line(reason="because"),
        line(reason="STRANGER"),
        line(status="ANSWER", ring="soon"),
        line(status="ANSWER", talk="1.5"),
        line(status="ANSWER", talk="9" * 30),
        line(cause="normal"),
        line(status="BUSY", leg_status="SIP"),
        line(status="ANSWER", talk="1", source="", longest="long"),
    ],
)
def test_garbage(text: str) -> None:
    """What is not a whole line is a ProtocolError, and is not repeated in its message."""
    with pytest.raises(ProtocolError) as caught:
        parse_end(text)
    assert A.digits not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "text",
    [
        line(cause="32768"),
        line(status="ANSWER", ring=str(2**31)),
        line(status="ANSWER", talk=str(2**31)),
    ],
)
def test_numbers_that_the_store_cannot_keep(text: str) -> None:
    """A cause fits a smallint of the store, a time in milliseconds an integer."""
    with pytest.raises(ProtocolError):
        parse_end(text)


@pytest.mark.parametrize(
    ("status", "cause", "outcome"),
    [
        # The words of Dial(), whatever the cause.
        ("ANSWER", 16, Outcome.ANSWERED),
        ("ANSWER", 0, Outcome.ANSWERED),
        ("ANSWER", 17, Outcome.ANSWERED),
        ("BUSY", 17, Outcome.BUSY),
        ("BUSY", 21, Outcome.BUSY),
        ("NOANSWER", 0, Outcome.NO_ANSWER),
        ("NOANSWER", 19, Outcome.NO_ANSWER),
        ("CANCEL", 0, Outcome.CALLER_GAVE_UP),
        ("CANCEL", 127, Outcome.CALLER_GAVE_UP),
        # Where they say nothing, the Q.850 cause.
        ("CHANUNAVAIL", 1, Outcome.NO_SUCH_NUMBER),
        ("CHANUNAVAIL", 22, Outcome.NO_SUCH_NUMBER),
        ("CHANUNAVAIL", 28, Outcome.NO_SUCH_NUMBER),
        ("CONGESTION", 17, Outcome.BUSY),
        ("CONGESTION", 18, Outcome.NO_ANSWER),
        ("CONGESTION", 19, Outcome.NO_ANSWER),
        ("CONGESTION", 102, Outcome.NO_ANSWER),
        ("CONGESTION", 20, Outcome.ABSENT),
        ("CONGESTION", 21, Outcome.REJECTED),
        *(("CONGESTION", cause, Outcome.NETWORK_FAULT) for cause in (2, 3, 27, 34, 38)),
        *(("CHANUNAVAIL", cause, Outcome.NETWORK_FAULT) for cause in (41, 42, 44)),
        # Nothing is known for certain.
        *(("CONGESTION", cause, Outcome.UNKNOWN) for cause in (0, 16, 31, 58, 127)),
        ("CHANUNAVAIL", 0, Outcome.UNKNOWN),
        ("INVALIDARGS", 0, Outcome.UNKNOWN),
        ("answer", 16, Outcome.UNKNOWN),
        # No leg was dialled.
        ("", 16, None),
        ("", 17, None),
    ],
)
def test_outcome(status: str, cause: int, outcome: Outcome | None) -> None:
    """Layer 2 of the domain notes: what became of the dialled leg."""
    told = line(status=status, cause=str(cause), talk="1" if status == "ANSWER" else "")
    assert parse_end(told).outcome is outcome


@pytest.mark.parametrize(
    ("source", "released_by"),
    [
        (NEAR, ReleasedBy.CALLER),
        (FAR, ReleasedBy.CALLEE),
        # Another call's near leg is not ours; the name is compared in full.
        (f"{NEAR}0", ReleasedBy.CALLEE),
        ("dialplan/builtin", ReleasedBy.US),
        ("dialplan/app_stasis", ReleasedBy.US),
        ("ARI", ReleasedBy.US),
        ("", ReleasedBy.US),
    ],
)
def test_released_by(source: str, released_by: ReleasedBy) -> None:
    """The hang-up source is the caller's channel, another channel, or a part of Asterisk."""
    assert parse_end(line(source=source)).released_by is released_by


@pytest.mark.parametrize(
    ("call_id", "day"),
    [
        (CALL_ID, date(2025, 3, 14)),
        # The last second of a day, in UTC, and the first of the next.
        ("pbx1-1741996799.1", date(2025, 3, 14)),
        ("pbx1-1741996800.1", date(2025, 3, 15)),
        # No systemname; one with dashes, dots and digits in it; a long one.
        ("1741988825.42", date(2025, 3, 14)),
        ("pbx-1741996800-b.example_7-1741988825.42", date(2025, 3, 14)),
        (f"{'p' * 64}-1741988825.42", date(2025, 3, 14)),
        # The first second of ten digits, and the last of nine.
        ("1000000000.0", date(2001, 9, 9)),
        ("999999999.4294967295", date(2001, 9, 9)),
        # The last one that is taken.
        ("99999999999.9999999999", date(5138, 11, 16)),
    ],
)
def test_call_day(call_id: str, day: date) -> None:
    """The day of a call is read from the second in its id."""
    assert call_day(call_id) == day


@pytest.mark.parametrize(
    "call_id",
    [
        "",
        "pbx1",
        "pbx1-",
        "1741988825",
        "1741988825.",
        ".42",
        "-1741988825.42",
        "99999999.1",
        "100000000000.1",
        "1741988825.42949672950",
        f"{'p' * 65}-1741988825.42",
        "pbx/1-1741988825.42",
        "pbx1-1741988825.42\n",
        "pbx1-\u0661741988825.42",
        "pbx\u00e9-1741988825.42",
        A.digits,
    ],
)
def test_not_a_call_id(call_id: str) -> None:
    """Anything else is no call id; the message does not repeat it."""
    with pytest.raises(ProtocolError, match=f"not a call id: {len(call_id)} characters"):
        call_day(call_id)


def test_a_line_of_an_answer() -> None:
    """Which call it is, and when, to the millisecond; the line of an end is read beside it."""
    assert parse_line(f"answered|{CALL_ID}|+86{X}|1741988830123|end") == Answer(
        call_id=CALL_ID,
        day=date(2025, 3, 14),
        x_number=X,
        answered_at=datetime(2025, 3, 14, 21, 47, 10, 123_000, tzinfo=UTC),
    )
    assert parse_line(line()) == end()


@pytest.mark.parametrize(
    "text",
    [
        f"answered|{CALL_ID}|{X}|1741988830123|en",
        f"answered|{CALL_ID}|{X}|1741988830123",
        f"answered|{CALL_ID}|{X}|1741988830123|16|end",
        f"answered|{CALL_ID}|{A.digits}|1741988830123|end",
        f"answered|{CALL_ID}|{X}|soon|end",
        f"answered|{CALL_ID}|{X}|{9 * 10**30}|end",
        f"answered|pbx1|{X}|1741988830123|end",
        "answered",
    ],
)
def test_garbage_of_an_answer(text: str) -> None:
    """It is refused as that of an end is, and not repeated."""
    with pytest.raises(ProtocolError) as caught:
        parse_line(text)
    assert A.digits not in str(caught.value)


def test_an_end_that_nobody_saw() -> None:
    """It is dated, and nothing is known about it."""
    now = datetime(2025, 3, 15, 1, 2, 3, tzinfo=UTC)
    assert End.unseen(CALL_ID, X, now=now) == End(
        call_id=CALL_ID,
        day=date(2025, 3, 14),
        x_number=X,
        ended_at=now,
        reason=None,
        outcome=None,
        ring_time=None,
        talk_time=None,
        released_by=None,
        cause=0,
    )
    with pytest.raises(ProtocolError):
        End.unseen("pbx1", X, now=now)


BEGIN = datetime(2025, 3, 14, 21, 47, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rule", "asterisk_since", "kept"),
    [
        # It was up all the while: the call ended in an orderly way, and its line is lost.
        (UnknownEnd.LIKELY, BEGIN - timedelta(hours=1), True),
        (UnknownEnd.LIKELY, BEGIN, True),
        # It was cut off: it may have been answered by then, or not.
        (UnknownEnd.LIKELY, BEGIN + timedelta(seconds=9), None),
        (UnknownEnd.LIKELY, BEGIN + timedelta(seconds=10), True),
        (UnknownEnd.LIKELY, BEGIN + timedelta(hours=1), True),
        (UnknownEnd.TAKEN, BEGIN + timedelta(seconds=1), True),
        (UnknownEnd.GIVEN_BACK, BEGIN - timedelta(hours=1), False),
        (UnknownEnd.GIVEN_BACK, BEGIN + timedelta(hours=1), False),
    ],
)
def test_what_an_unknown_end_costs(
    rule: UnknownEnd, asterisk_since: datetime, *, kept: bool | None
) -> None:
    """By the operator's rule; else by whether it may have been answered."""
    assert call_begin(CALL_ID) == BEGIN
    assert keeps_use(CALL_ID, rule, asterisk_since=asterisk_since) is kept
    end = End.unseen(CALL_ID, X, now=BEGIN, kept=kept)
    assert end.kept is kept


def test_no_call_id_no_rule() -> None:
    """Where it is to be looked at."""
    with pytest.raises(ProtocolError):
        keeps_use("pbx1", UnknownEnd.LIKELY, asterisk_since=BEGIN)


@pytest.mark.parametrize(
    ("notice", "talk", "source", "cause", "clock", "expected"),
    [
        ("", "", NEAR, "16", "", (Outcome.CALLER_GAVE_UP, None, ReleasedBy.CALLER)),
        ("missing", "", NEAR, "16", "", (Outcome.CALLER_GAVE_UP, None, ReleasedBy.CALLER)),
        ("missing", "90", NEAR, "16", "", (Outcome.ANSWERED, 90, ReleasedBy.CALLER)),
        ("heard", "90", FAR, "16", "", (Outcome.ANSWERED, 90, ReleasedBy.CALLEE)),
        # A clock that was set back.
        ("heard", "-90", FAR, "16", "", (Outcome.ANSWERED, 0, ReleasedBy.CALLEE)),
        # By the caller, the callee, a lock, and the limit of the whole call.
        ("cut", "", NEAR, "16", "", (Outcome.ANSWERED, 0, ReleasedBy.CALLER)),
        ("cut", "", "", "16", "", (Outcome.ANSWERED, 0, ReleasedBy.CALLEE)),
        ("cut", "", "", "21", "", (Outcome.ANSWERED, 0, ReleasedBy.US)),
        ("cut", "", "", "16", "whole", (Outcome.ANSWERED, 0, ReleasedBy.US)),
    ],
)
def test_a_notice(
    notice: str,
    talk: str,
    source: str,
    cause: str,
    clock: str,
    expected: tuple[Outcome, int | None, ReleasedBy],
) -> None:
    """Who hangs up in it ends a call that was answered, in which nobody has talked."""
    fields = f"3|{CALL_ID}|{X}|1741988890||ANSWER|0|{talk}|{source}|{NEAR}|{cause}||60|{clock}"

    found = parse_end(f"{fields}|{notice}|end")

    time = None if found.talk_time is None else found.talk_time // timedelta(milliseconds=1)
    assert (found.outcome, time, found.released_by) == expected
    assert (found.notice or "") == notice
    with pytest.raises(ProtocolError):
        parse_end(f"{fields}|else|end")
    # Nobody has heard one in a call that was not answered.
    unanswered = parse_end(f"{fields.replace('ANSWER', 'CANCEL').replace('-90', '')}|cut|end")
    assert unanswered.outcome is Outcome.CALLER_GAVE_UP

"""
The end of a call: the line that the dialplan's hangup handler writes, and what it means.

The line is written by ``[agi-router-end]`` of the shipped dialplan and read only here:
``3|call id|dialled|ended|reason|DIALSTATUS|ring ms|talk ms|who hung up|channel|cause|SIP status of
the leg|longest talk|clock|notice|end``; before it comes ``answered|call id|dialled|answered|end``,
where somebody wants to hear of that while the call goes on. One that begins with 2 lacks the
notice, and one with 1 the four before the end: dialplans before versions 8 and 6 wrote such. A
line holds no real number. The call id is Asterisk's UNIQUEID, ``<systemname>-<epoch>.<counter>``.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Self

from agi_router.bindings.reasons import Reason
from agi_router.errors import NumberError, ProtocolError
from agi_router.numbers import XNumber

__all__ = [
    "Answer",
    "Clock",
    "End",
    "Notice",
    "Outcome",
    "ReleasedBy",
    "UnknownEnd",
    "call_begin",
    "call_day",
    "dials_a_pattern",
    "keeps_use",
    "parse_end",
    "parse_line",
]

_CALL_ID = re.compile(r"(?:[\w.-]{1,64}-)?(\d{9,11})\.\d{1,10}", re.ASCII)
# How many fields a line of each version has.
_FIELDS = {"1": 12, "2": 15, "3": 16}
_ANSWERED_LINE = "answered"
_LARGEST_CAUSE = 127
# For INVITE, the one status of an answer (RFC 3261, 21.2); the least that ends a transaction.
_ANSWERED = 200
_FINAL_STATUSES = range(200, 700)
_NORMAL = 16
_NO_CHANNEL = 44
# The dialplan's own, in small letters. Asterisk takes the name of one for a number that fits it.
_PATTERNS = frozenset(f"_{form}700xxxxxxxxxxxx" for form in ("", "86", "+86", "0086"))
# What the store can keep: 24 days.
_LONGEST_MS = 2**31 - 1
_MS = timedelta(milliseconds=1)
# Who is rung takes some seconds to answer.
_ANSWERED_AFTER = timedelta(seconds=10)


class Outcome(StrEnum):
    """
    What became of a dialled leg (layer 2 of the domain notes, section 4.2).
    """

    ANSWERED = "answered"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    ABSENT = "absent"
    NO_SUCH_NUMBER = "no_such_number"
    CALLER_GAVE_UP = "caller_gave_up"
    NETWORK_FAULT = "network_fault"
    UNKNOWN = "unknown"


class ReleasedBy(StrEnum):
    """
    Who ended the call.
    """

    CALLER = "caller"
    CALLEE = "callee"
    US = "us"


class Clock(StrEnum):
    """
    Which clock ended a call whose callee was dialled.
    """

    RING = "ring"
    """The ringing time; of the last one, where they rang in turn."""
    TALK = "talk"
    """The longest talk of the binding, or else of the router."""
    MEDIA = "media"
    """No sound came from a side for the endpoint's ``rtp_timeout``."""
    WHOLE = "whole"
    """The limit of the whole call, which holds where another one has failed."""


class Notice(StrEnum):
    """
    What came of the notice that both hear between the callee's answer and their talk.
    """

    HEARD = "heard"
    CUT = "cut"
    """One of them hung up before it was over, or nobody answered."""
    MISSING = "missing"
    """Asterisk found no file: the call went on without."""
    LONG = "long"
    """The file is longer than a notice may be: the call went on without."""


_BY_STATUS = {
    "ANSWER": Outcome.ANSWERED,
    "BUSY": Outcome.BUSY,
    "NOANSWER": Outcome.NO_ANSWER,
    "CANCEL": Outcome.CALLER_GAVE_UP,
}
# Q.850 causes of a leg that was neither answered nor busy; all others say nothing for certain.
_BY_CAUSE = {
    **dict.fromkeys((1, 22, 28), Outcome.NO_SUCH_NUMBER),
    **dict.fromkeys((18, 19, 102), Outcome.NO_ANSWER),
    **dict.fromkeys((2, 3, 27, 34, 38, 41, 42, 44), Outcome.NETWORK_FAULT),
    17: Outcome.BUSY,
    20: Outcome.ABSENT,
    21: Outcome.REJECTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    The callee of a call has answered; the call goes on.
    """

    call_id: str
    day: date
    """The day of the call's row, read from the call id."""
    x_number: XNumber
    answered_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """
    The end of one call.
    """

    call_id: str
    day: date
    """The day of the call's row, read from the call id."""
    x_number: XNumber
    ended_at: datetime
    reason: Reason | None
    """Why the call was refused; :obj:`None` if a leg was dialled, or the caller did not wait."""
    outcome: Outcome | None
    """What became of the dialled leg; :obj:`None` if none was dialled."""
    ring_time: timedelta | None
    talk_time: timedelta | None
    released_by: ReleasedBy | None
    cause: int
    """Q.850 cause, 0 if none was given."""
    sip_status: int | None = None
    """The final SIP status of the callee's leg; :obj:`None` where it gave none, or several rang at
    once and nobody answered."""
    clock: Clock | None = None
    """Which clock ended it; :obj:`None`: none, or no leg was dialled."""
    kept: bool | None = False
    """Whether the use stays taken though nobody saw the end; :obj:`None`: by an answer told."""
    notice: Notice | None = None
    """What came of the notice; :obj:`None`: its tenant has none."""

    @classmethod
    def unseen(
        cls, call_id: str, x_number: XNumber, *, now: datetime, kept: bool | None = False
    ) -> Self:
        """
        The end of a call that nobody saw end: Asterisk was killed, or its line was lost.

        Args:
            call_id: The call.
            x_number: The number it dialled.
            now: When its absence was noticed.
            kept: Whether its use stays taken, see :func:`keeps_use`.

        Raises:
            ProtocolError: The text is no call id.
        """
        return cls(
            call_id=call_id,
            day=call_day(call_id),
            x_number=x_number,
            ended_at=now,
            reason=None,
            outcome=None,
            ring_time=None,
            talk_time=None,
            released_by=None,
            cause=0,
            kept=kept,
        )


class UnknownEnd(StrEnum):
    """
    What the use of a call costs whose end nobody saw.
    """

    LIKELY = "likely"
    """It stays taken where the call may have been answered, as far as is known."""
    TAKEN = "taken"
    GIVEN_BACK = "given_back"


def keeps_use(call_id: str, rule: UnknownEnd, *, asterisk_since: datetime) -> bool | None:
    """
    Whether a call whose end nobody saw keeps its use.

    A call that began with this Asterisk ended in an orderly way, and its line is lost: it may have
    been answered. One that began before was cut off when the one before ended, at the latest when
    this one started.

    Args:
        call_id: The call.
        rule: What the operator wants.
        asterisk_since: When this Asterisk started.

    Returns:
        :obj:`None` where it has hardly been answered: it does where an answer was told.

    Raises:
        ProtocolError: The text is no call id.
    """
    if rule is not UnknownEnd.LIKELY:
        return rule is UnknownEnd.TAKEN
    begin = call_begin(call_id)
    return begin >= asterisk_since or asterisk_since - begin >= _ANSWERED_AFTER or None


def call_day(call_id: str) -> date:
    """
    The day, in UTC, on which a call's row is kept: that of the second in its id.

    Raises:
        ProtocolError: The text is no call id.
    """
    return call_begin(call_id).date()


def call_begin(call_id: str) -> datetime:
    """
    The second in which a call began, by Asterisk's clock.

    Raises:
        ProtocolError: The text is no call id.
    """
    match = _CALL_ID.fullmatch(call_id)
    if match is None:
        raise ProtocolError(f"not a call id: {len(call_id)} characters")
    return datetime.fromtimestamp(int(match[1]), UTC)


def parse_line(line: str) -> Answer | End:
    """
    Read one line of the end journal, of whichever kind.

    Raises:
        ProtocolError: The line is cut, or a field is not of its form.
    """
    fields = line.split("|")
    if fields[0] != _ANSWERED_LINE:
        return parse_end(line)
    match fields:
        case [_, call_id, dialled, answered, "end"]:
            try:
                return Answer(
                    call_id=call_id,
                    day=call_day(call_id),
                    x_number=XNumber.parse(dialled),
                    answered_at=datetime.fromtimestamp(int(answered) / 1000, UTC),
                )
            except (NumberError, ValueError, OverflowError, OSError) as error:
                raise _fault(error) from None
        case _:
            raise ProtocolError(f"not a line of the end journal: {len(fields)} fields")


def parse_end(line: str) -> End:
    """
    Read one line of the end journal.

    Raises:
        ProtocolError: The line is cut, or a field is not of its form.
    """
    fields = line.split("|")
    if len(fields) != _FIELDS.get(fields[0]) or fields[-1] != "end":
        raise ProtocolError(f"not a line of the end journal: {len(fields)} fields")
    _, call_id, dialled, ended, reason, status, ring, talk, source, channel, cause, *new = fields
    leg_status, longest, clock, notice = [*new[:-1], "", "", "", ""][:4]
    try:
        heard = Notice(notice) if notice else None
        # The notice is heard once both sides are answered; a clock that is set back makes no talk
        # shorter than none.
        met = heard in {Notice.HEARD, Notice.CUT} and status == "ANSWER"
        talk = "0" if met and not talk.isdecimal() else talk
        released_by = _released_by(source, channel)
        if heard is Notice.CUT and (source, cause, clock) == ("", str(_NORMAL), ""):
            # Before the two are joined the callee's end is no source of the caller's.
            released_by = ReleasedBy.CALLEE
        return End(
            call_id=call_id,
            day=call_day(call_id),
            x_number=XNumber.parse(dialled),
            ended_at=datetime.fromtimestamp(int(ended), UTC),
            reason=Reason(reason) if reason and not status else None,
            outcome=_outcome(status, _bounded(cause or "0", _LARGEST_CAUSE), talk, met=met)
            if status
            else None,
            ring_time=_bounded(ring, _LONGEST_MS) * _MS if ring else None,
            talk_time=_bounded(talk, _LONGEST_MS) * _MS if talk else None,
            released_by=released_by,
            cause=_bounded(cause or "0", _LARGEST_CAUSE),
            sip_status=_sip_status(status, leg_status),
            clock=_clock_of_talk(clock, talk, longest, cause)
            if status == "ANSWER" and released_by is ReleasedBy.US
            else _clock_of_ringing(status, clock),
            notice=heard,
        )
    except (NumberError, ValueError, OverflowError, OSError) as error:
        raise _fault(error) from None


def _fault(error: Exception) -> ProtocolError:
    if isinstance(error, NumberError):
        return ProtocolError(f"the dialled number of an end line is wrong: {error}")
    return ProtocolError("a field of an end line is not of its form")


def dials_a_pattern(line: str) -> bool:
    """
    Tell whether a line that :func:`parse_end` does not read belongs to a call to no number at all.

    Anybody may dial ``_700XXXXXXXXXXXX``, or one with 86, as it stands in the dialplan, in letters
    of either case and with hyphens. The call is refused like any other to no number: there is
    nothing to settle.
    """
    fields = line.split("|")
    if len(fields) != _FIELDS.get(fields[0]):
        return False
    dialled, status = fields[2], fields[5]
    return dialled.replace("-", "").lower() in _PATTERNS and not status


def _bounded(text: str, largest: int) -> int:
    # What the store cannot keep would stop all lines beside it.
    value = int(text)
    if not 0 <= value <= largest:
        raise ValueError
    return value


def _outcome(status: str, cause: int, talk: str, *, met: bool) -> Outcome:
    # The callee's answer is not the caller's: where it crosses the caller's CANCEL, the caller
    # hears 487, and the dialplan says that it has not talked. Nor have two of whom one hung up in
    # the notice, but that call was answered on both sides.
    if status == "ANSWER" and not int(talk or "0") and not met:
        return Outcome.CALLER_GAVE_UP
    return _BY_STATUS.get(status) or _BY_CAUSE.get(cause, Outcome.UNKNOWN)


def _released_by(source: str, channel: str) -> ReleasedBy:
    # The hang-up source is the name of a channel, or the part of Asterisk that hung up.
    if source == channel:
        return ReleasedBy.CALLER
    return ReleasedBy.CALLEE if source.startswith("PJSIP/") else ReleasedBy.US


def _sip_status(status: str, leg_status: str) -> int | None:
    # Of a leg that goes on ringing when its caller gives up, the dialplan may still know the one
    # that rang before.
    if status in {"", "CANCEL"}:
        return None
    if status == "ANSWER":
        return _ANSWERED
    found = int(leg_status or "0")
    return found if found in _FINAL_STATUSES else None


def _clock_of_ringing(status: str, told: str) -> Clock | None:
    return Clock.RING if (status, told) == ("NOANSWER", Clock.RING) else None


def _clock_of_talk(told: str, talk: str, longest: str, cause: str) -> Clock | None:
    if told == Clock.WHOLE:
        return Clock.WHOLE
    # Both legs are ended alike: the talk has lasted as long as it may, or it has not.
    if longest and int(talk or "0") >= int(longest) * 1000:
        return Clock.TALK
    return Clock.MEDIA if cause == str(_NO_CHANNEL) else None

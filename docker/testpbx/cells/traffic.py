"""
Traffic: calls at a rate through both cells, what each caller saw, and what is in the books.

All of it is read off the wire, as the phones have it, but for the books.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Self

from agi_router.leaktest.leaks import find_leaks
from agi_router.leaktest.messages import Message, invites_in, received_by
from testpbx.cells.site import Site
from testpbx.errors import PbxError
from testpbx.phones import Does, Heard, Phones, RunningPhone
from testpbx.waiting import until

__all__ = ["CALLEE", "CALLER", "FORBIDDEN", "OK", "Books", "Line", "Seen", "Traffic", "now"]

CALLER, CALLEE = "Li Lei", "Han Meimei"
"""Their names: that of all who call, and that of all who are called."""
RATE = 20
"""Calls a second."""
TALK = 1.0
# Who calls at once: so many in a second, who talk until all have called.
_TOGETHER, _TALK_TOGETHER = 100, 3.0
OK, FORBIDDEN = 200, 403
# A call whose end and the death of its Asterisk are so near may be in the books or not: the line
# of its end is written after its BYE was answered.
_NEAR = timedelta(milliseconds=500)
_PATIENCE = 90.0
_BOOKS = """
SELECT (SELECT coalesce(sum(b.calls_used), 0)
          FROM agi_router.binding b
         WHERE b.block || '-' || b.id = ANY (%s)),
       count(*) FILTER (WHERE c.outcome = 'answered'),
       count(*) FILTER (WHERE c.state = 'reserved')
  FROM agi_router.call c
 WHERE c.x_number = ANY (%s)
"""
_REASONS = """
SELECT c.reason, count(*)
  FROM agi_router.call c
 WHERE c.x_number = ANY (%s) AND c.reason IS NOT NULL
 GROUP BY 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    Somebody who calls a number, and who has to ring then; it is never called the other way.

    Attributes:
        place: What people call the place of the number.
        binding: What binds the two, by its name.
    """

    place: str
    caller: str
    callee: str
    x: str
    binding: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the databases say of the calls on some lines."""

    used: int
    answered: int
    reserved: int
    reasons: dict[str, int]


@dataclass(slots=True)
class Seen:
    """
    What callers saw, and what their callees heard.

    Attributes:
        tried: How many called.
        connected: How many of them talked.
        cut: Those of them whose talk ended with their Asterisk.
        near: Those of them that ended by themselves at the moment of its death.
        refused: The others by their final status, 0 where none came.
        gap: Seconds between two connected calls, at most.
        wrong: Calls that rang at somebody whom they were not for.
        leaks: Places where one side was told the other's number or name.
    """

    tried: int = 0
    connected: int = 0
    cut: int = 0
    near: int = 0
    refused: dict[int, int] = field(default_factory=dict)
    gap: float = 0.0
    wrong: int = 0
    leaks: int = 0


class Traffic:
    """
    Calls on some lines, from when a block is entered until it is left; then what became of them.

    Args:
        site: Where the books are.
        phones: The phones.
        lines: Who calls.
    """

    def __init__(self, site: Site, phones: Phones, lines: Sequence[Line]) -> None:
        self._site = site
        self._phones = phones
        self._lines = lines
        self._stack = ExitStack()
        self._heard: tuple[Heard, ...] = ()
        self._came: tuple[Message, ...] = ()

    def __enter__(self) -> Self:
        self._called = self._stack.enter_context(self._listen(whole=False))
        callers = [(line.caller, line.x) for line in self._lines]
        self._calling = self._phones.load(callers, name=CALLER, rate=RATE, hold=TALK)
        return self

    def __exit__(self, *exc: object) -> None:
        if exc[0] is None:
            self._calling.hang_up()
            self._heard = self._calling.over()
        self._calling.kill()
        self._stack.close()
        self._came = self._called.messages

    def at_once(self, calls: int) -> Self:
        """Place so many calls at once on the one line instead, and wait for their end."""
        [line] = self._lines
        with self._listen(whole=True) as called:
            self._heard = self._phones.dial(
                line.caller,
                line.x,
                name=CALLER,
                hold=_TALK_TOGETHER,
                calls=calls,
                rate=_TOGETHER,
            ).heard()
        self._came = called.messages
        return self

    def _listen(self, *, whole: bool) -> AbstractContextManager[RunningPhone]:
        return self._phones.listen(
            Does.ANSWER,
            ring=0.1,
            hold=15,
            headers=[f'P-Asserted-Identity: "{CALLEE}" <sip:carrier.example>'],
            whole=whole,
        )

    def gets(self, count: int, *, place: str, since: datetime, status: int = OK) -> None:
        """
        Wait until so many calls to a place that were placed after a time have a final status.

        Raises:
            PbxError: They have not.
        """
        numbers = {line.x for line in self._lines if line.place == place}

        def enough() -> bool:
            placed = (
                each
                for each in self._calling.so_far()
                if each.status == status
                and _began(each) > since
                and each.messages[0].request_user in numbers
            )
            return sum(1 for _ in placed) >= count

        # Each look reads all that was said.
        if not until(enough, timeout=_PATIENCE, pause=0.5):
            raise PbxError(f"in {_PATIENCE:.0f} s no {count} calls to {place} got {status}")

    def seen(self, lines: Iterable[Line], *, death: datetime | None = None) -> Seen:
        """
        What became of the calls on some lines.

        Args:
            lines: They.
            death: When an Asterisk was killed, if one was.
        """
        by_x = {line.x: line for line in lines}
        heard = [each for each in self._heard if each.messages[0].request_user in by_x]
        seen = Seen(tried=len(heard))
        answered = [each for each in heard if each.status == OK]
        seen.connected = len(answered)
        seen.refused = dict(Counter(each.status or 0 for each in heard if each.status != OK))
        seen.cut = sum(not _ended(each) for each in answered)
        if death is not None:
            ends = (each.messages[-1].at for each in answered if _ended(each))
            seen.near = sum(abs(end - death) < _NEAR for end in ends)
        times = sorted(map(_began, answered))
        gaps = (later - earlier for earlier, later in pairwise(times))
        seen.gap = max(gaps, default=timedelta()).total_seconds()
        for line in by_x.values():
            at_caller = [m for each in heard for m in each.messages if _is_of(each, line)]
            seen.leaks += len(
                find_leaks(received_by(at_caller), numbers=[line.callee], names=[CALLEE])
            )
        self._look_at_callees(by_x, seen)
        return seen

    def books(self, lines: Iterable[Line]) -> Books:
        """
        What the databases say, once no call on these lines is open.

        Raises:
            PbxError: Some are open still.
        """
        lines = list(lines)
        names, numbers = [line.binding for line in lines], [int(line.x) for line in lines]

        def counted() -> tuple[int, ...]:
            [row] = self._site.globally.sql(_BOOKS, names, numbers)
            return tuple(map(int, row))

        if not until(lambda: counted()[2] == 0, timeout=_PATIENCE):
            raise PbxError(f"{counted()[2]} calls are still open in the books")
        used, answered, reserved = counted()
        reasons = dict(self._site.globally.sql(_REASONS, numbers))
        return Books(used=used, answered=answered, reserved=reserved, reasons=reasons)

    def _look_at_callees(self, by_x: dict[str, Line], seen: Seen) -> None:
        """Who rang, and what they were told."""
        told: dict[str, list[Message]] = {}
        for message in self._came:
            told.setdefault(message.call_id, []).append(message)
        of_line: dict[str, list[Message]] = {}
        known = {line.x for line in self._lines}
        for invite in invites_in(self._came):
            line = by_x.get(invite.from_user or "")
            if line is not None:
                seen.wrong += invite.request_user != line.callee
                of_line.setdefault(line.x, []).extend(told[invite.call_id])
            elif invite.from_user not in known:
                seen.wrong += 1
        for x, messages in of_line.items():
            numbers, names = [by_x[x].caller], [CALLER]
            seen.leaks += len(find_leaks(received_by(messages), numbers=numbers, names=names))


def _is_of(heard: Heard, line: Line) -> bool:
    return heard.messages[0].request_user == line.x


def _began(heard: Heard) -> datetime:
    return heard.messages[0].at


def _ended(heard: Heard) -> bool:
    """Whether either side hung up, and the other one knew."""
    asked = any(m.start_line.startswith("BYE ") and not m.sent for m in heard.messages)
    told = any(m.status == OK and m.method == "BYE" and not m.sent for m in heard.messages)
    return asked or told


def now() -> datetime:
    """The time by the clock of the phones."""
    return datetime.now(UTC)

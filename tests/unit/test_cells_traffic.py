"""What the demo of many reads off the wire: who rang, what was told, whose talk was cut."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from agi_router.leaktest.messages import Message
from testpbx.cells.demo import Row
from testpbx.cells.traffic import Books, Line, Seen, Traffic
from testpbx.phones import Heard

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
X = "700123456780003"
LINE = Line(place="north", caller="13600029919", callee="13750023757", x=X, binding="1-1")


def said(
    start: str, *, sent: bool, after: float = 0.0, sender: str = X, more: str = ""
) -> Message:
    """A message of the call."""
    method = "BYE" if "BYE" in start or "BYE" in more else "INVITE"
    text = f"{start}\r\nFrom: <sip:{sender}@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: 1\r\n"
    text += f"CSeq: 1 {method}\r\n{more}\r\n\r\n"
    return Message.parse(text.encode(), at=BEGAN + timedelta(seconds=after), sent=sent)


def at_caller(*more: Message) -> tuple[Message, ...]:
    """What the caller's phone saw of a call that was answered."""
    invite = said(f"INVITE sip:{X}@h SIP/2.0", sent=True, sender=LINE.caller)
    return (invite, said("SIP/2.0 200 OK", sent=False, sender=LINE.caller), *more)


def at_callee(number: str = LINE.callee, *, shown: str = X, more: str = "") -> tuple[Message, ...]:
    """What the callee's phone saw."""
    return (said(f"INVITE sip:{number}@h SIP/2.0", sent=False, sender=shown, more=more),)


ENDED = said("SIP/2.0 200 OK", sent=False, after=1.0, sender=LINE.caller, more="X-Of: BYE")


def seen(
    caller: Sequence[Message], callee: Sequence[Message], *, death: datetime | None = None
) -> Seen:
    """What is read off them."""
    traffic = Traffic(cast("Any", None), cast("Any", None), [LINE])
    traffic._heard = (Heard.of(caller),)
    traffic._came = tuple(callee)
    return traffic.seen([LINE], death=death)


def test_a_call_as_it_has_to_be() -> None:
    """Nobody else rang, and neither was told of the other."""
    assert seen(at_caller(ENDED), at_callee()) == Seen(tried=1, connected=1)


@pytest.mark.parametrize(
    "callee",
    [at_callee("13800000001"), at_callee(shown="700123456780004"), at_callee(LINE.caller)],
    ids=["somebody else", "from another number", "the caller"],
)
def test_a_wrong_ring(callee: Sequence[Message]) -> None:
    """Whoever rings must be the one that the caller's number leads to."""
    assert seen(at_caller(ENDED), callee).wrong == 1


@pytest.mark.parametrize(
    ("caller", "callee"),
    [
        (at_caller(ENDED), at_callee(more=f"Contact: <sip:{LINE.caller}@h>")),
        (at_caller(ENDED), at_callee(more="Subject: li lei")),
        (at_caller(said(f"BYE sip:{LINE.callee}@h SIP/2.0", sent=False)), at_callee()),
        (at_caller(said("BYE sip:x SIP/2.0", sent=False, more="A: Han Meimei")), at_callee()),
    ],
)
def test_a_leak(caller: Sequence[Message], callee: Sequence[Message]) -> None:
    """Numbers and names, at either side."""
    assert seen(caller, callee).leaks == 1


def test_a_talk_that_is_cut() -> None:
    """Neither side has heard that it is over."""
    assert seen(at_caller(), at_callee()).cut == 1
    death = BEGAN + timedelta(seconds=1.2)
    assert seen(at_caller(ENDED), at_callee(), death=death).near == 1


@pytest.mark.parametrize(
    ("found", "used", "answered", "what"),
    [
        (Seen(tried=3, connected=3), 3, 3, ""),
        (Seen(tried=3, connected=3), 2, 3, "2 uses"),
        (Seen(tried=3, connected=3, cut=1), 3, 3, "2 callers talked to the end"),
        (Seen(tried=3, connected=3, near=1), 2, 2, ""),
        (Seen(tried=3, refused={403: 3}), 0, 0, "nobody was connected"),
        (Seen(tried=3, connected=3, wrong=1), 3, 3, "somebody else"),
        (Seen(tried=3, connected=3, leaks=2), 3, 3, "2 leaks"),
    ],
)
def test_what_differs(found: Seen, used: int, answered: int, what: str) -> None:
    """The books are those of the callers who talked to the end."""
    books = Books(used=used, answered=answered, reserved=0, reasons={})
    told = Row(scene="a fault", place="north", seen=found, books=books).differences
    assert len(told) == bool(what)
    assert what in "".join(told)

"""The ladder picture: well formed, in the order of time, and without a real number in it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import pytest

from agi_router.leaktest.messages import Message
from harness import values
from testpbx.ladder import draw_ladder

A, B, STRANGER = values.A.digits, values.B.digits, values.C.digits
X = values.X.digits
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
TEXT = "{http://www.w3.org/2000/svg}text"


def said(
    ms: float, arrow: str, start_line: str, *, cseq: str = "1 INVITE", from_: str = A, to: str = X
) -> Message:
    """A message *ms* after noon; *arrow* is ``>`` where the phone sent it, ``<`` otherwise."""
    lines = [
        start_line,
        f'From: "Li Lei" <sip:{from_}@127.0.0.1>;tag=1',
        f"To: <sip:{to}@127.0.0.1>",
        f"CSeq: {cseq}",
    ]
    raw = "\r\n".join([*lines, "", ""]).encode()
    return Message.parse(raw, at=NOON + timedelta(milliseconds=ms), sent=arrow == ">")


CALLER = [
    said(0, ">", f"INVITE sip:{X}@127.0.0.1 SIP/2.0"),
    said(1, "<", "SIP/2.0 100 Trying"),
    said(7.0, "<", "SIP/2.0 180 Ringing"),
    said(210, "<", "SIP/2.0 200 OK"),
    said(211, ">", "ACK sip:127.0.0.1 SIP/2.0", cseq="1 ACK"),
    said(1011, ">", "BYE sip:127.0.0.1 SIP/2.0", cseq="2 BYE"),
    said(1013, "<", "SIP/2.0 200 OK", cseq="2 BYE"),
]
CALLEE = [
    said(5, "<", f"INVITE sip:{B}@127.0.0.1 SIP/2.0", from_=X, to=B),
    # Noted later than its effect on the other leg.
    said(7.4, ">", "SIP/2.0 180 Ringing", from_=X, to=B),
    said(206, ">", "SIP/2.0 200 OK", from_=X, to=B),
    said(208, "<", f"ACK sip:{B}@127.0.0.1 SIP/2.0", cseq="1 ACK", from_=X, to=B),
    said(1012.4, "<", f"BYE sip:{B}@127.0.0.1 SIP/2.0", cseq="2 BYE", from_=X, to=B),
    said(1014.6, ">", "SIP/2.0 200 OK", cseq="2 BYE", from_=X, to=B),
]
REFUSED = [
    said(0, ">", f"INVITE sip:{X}@127.0.0.1 SIP/2.0", from_=STRANGER),
    said(1, "<", "SIP/2.0 100 Trying"),
    said(4, "<", "SIP/2.0 183 Session Progress"),
    said(6400, "<", "SIP/2.0 403 Forbidden"),
    said(6401, ">", f"ACK sip:{X}@127.0.0.1 SIP/2.0", cseq="1 ACK"),
]


def texts(svg: str) -> list[str]:
    """All texts of the picture, from top to bottom."""
    labels = [
        (float(text.attrib["y"]), "".join(text.itertext()))
        for text in ET.fromstring(svg).iter(TEXT)  # noqa: S314 - our own picture
    ]
    return [label for _, label in sorted(labels, key=lambda pair: pair[0])]


def arrows(svg: str) -> list[str]:
    """Words on the arrows and between them, from top to bottom."""
    word = re.compile(r"[A-Z]{3,}|\d{3} .+|agi_router: .+|conversation.+")
    return [text for text in texts(svg) if word.fullmatch(text)]


def test_an_answered_call_from_top_to_bottom() -> None:
    assert arrows(draw_ladder(caller=CALLER, callee=CALLEE)) == [
        "INVITE",
        "100 Trying",
        "agi_router: resolve, admit",
        "INVITE",
        "180 Ringing",
        "180 Ringing",
        "200 OK",
        "ACK",
        "200 OK",
        "ACK",
        "conversation, 0.8 s, audio by way of Asterisk",
        "BYE",
        "BYE",
        "200 OK",
        "200 OK",
    ]


def test_times_are_since_the_first_invite_and_never_run_back() -> None:
    times = [
        int(text) for text in texts(draw_ladder(caller=CALLER, callee=CALLEE)) if text.isdecimal()
    ]
    assert times[:6] == [0, 1, 5, 7, 7, 206]
    assert times == sorted(times)


def test_a_cause_stands_above_its_effect_although_noted_later() -> None:
    """B's 180 points to the middle from the right, and comes first."""
    svg = draw_ladder(caller=CALLER, callee=CALLEE)
    ringing = re.findall(r'<text x="(\d+)" y="(\d+)"[^>]*>180 Ringing', svg)
    (right, upper), (left, lower) = ringing
    assert int(right) > int(left)
    assert int(upper) < int(lower)


def test_a_refused_call_shows_the_refusal_and_no_second_leg() -> None:
    svg = draw_ladder(caller=REFUSED, callee=[])
    assert arrows(svg) == [
        "INVITE",
        "100 Trying",
        "agi_router: resolve, refuse",
        "183 Session Progress",
        "403 Forbidden",
        "ACK",
    ]
    assert "does not ring" in texts(svg)


@pytest.mark.parametrize(("caller", "callee"), [(CALLER, CALLEE), (REFUSED, [])])
def test_no_real_number_and_no_name_is_in_the_picture(
    caller: list[Message], callee: list[Message]
) -> None:
    svg = draw_ladder(caller=caller, callee=callee, title=f"{A}, +86{B} and {X}")
    for secret in (A, B, STRANGER, A[-8:], B[-8:], "Li Lei"):
        assert secret not in svg
    assert X in svg
    assert "139****000" in svg


def test_each_invite_says_from_and_to_whom() -> None:
    labels = texts(draw_ladder(caller=CALLER, callee=CALLEE))
    labels = [re.sub(r"\s+", " ", label) for label in labels if label.startswith("From ")]
    assert labels == [f"From 139****0001 To {X}", f"From {X} To 139****0002"]


def test_hostile_text_stays_text() -> None:
    invite = said(0, ">", f"INVITE sip:{X}@127.0.0.1 SIP/2.0", from_="<b>&amp;\"'")
    final = said(1, "<", "SIP/2.0 403 <script>&")
    assert "403 <script>&" in texts(draw_ladder(caller=[invite, final], callee=[], title="<&>"))


def test_the_same_call_gives_the_same_bytes() -> None:
    assert draw_ladder(caller=CALLER, callee=CALLEE) == draw_ladder(caller=CALLER, callee=CALLEE)


def test_nothing_is_fetched_from_anywhere() -> None:
    svg = draw_ladder(caller=CALLER, callee=CALLEE)
    assert re.findall(r"https?://[^\"]+", svg) == ["http://www.w3.org/2000/svg"]
    assert "href" not in svg


def test_no_call_no_picture() -> None:
    with pytest.raises(ValueError, match="no call"):
        draw_ladder(caller=[], callee=CALLEE)

"""
Ladder: the messages of both legs of a call in, a picture of its flow out, as SVG.

1. Pure and deterministic: the same messages give the same bytes.
2. No real number gets into the picture: every text goes through
   :func:`agi_router.leaktest.leaks.mask`. The 700 number is shown in full, because everybody may
   know it.
3. One message is one arrow, in the order of time, whichever phone saw it.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from xml.sax.saxutils import escape

from agi_router.leaktest.leaks import mask
from agi_router.leaktest.messages import Message

__all__ = ["draw_ladder"]

WIDTH = 1000
LEFT, RIGHT = 88, 968
A, PBX, B = 200, 528, 856
TIME = 68
HEAD = 104
HEAD_HEIGHT = 78
FIRST_ROW = 204

LATE = timedelta(milliseconds=1)

INK = "#1d2733"
SOFT = "#667485"
FAINT = "#c9d1db"
PAPER = "#ffffff"
BLUE = "#1f5fbf"
GREEN = "#1b7f4b"
RED = "#b3261e"
X_COLOUR = "#0b6e78"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the picture: an arrow, or a word on what happens between two arrows."""

    height: int
    message: Message | None = None
    near: bool = True
    decision: str = ""
    talk: float | None = None


def draw_ladder(
    *, caller: Sequence[Message], callee: Sequence[Message], title: str = "Call flow"
) -> str:
    """
    Draw the flow of one call.

    Args:
        caller: What the calling phone sent and received; begins with its INVITE.
        callee: What the called phone sent and received; empty if it never rang.
        title: The line on top; numbers in it are masked too.

    Returns:
        An SVG document.

    Raises:
        ValueError: *caller* is empty.
    """
    if not caller:
        raise ValueError("there is no call without a message of the caller")
    rows = _rows(caller, callee)
    bottom = FIRST_ROW + sum(row.height for row in rows)
    parts = [
        *_frame(title, caller=caller, callee=callee, bottom=bottom),
        *_drawn(rows),
        *_footer(bottom),
    ]
    height = bottom + 68
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    fonts = "'DejaVu Sans', Verdana, Helvetica, Arial, sans-serif"
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{fonts}">',
            f"<title>{_text(title)}</title>",
            f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


def _rows(caller: Sequence[Message], callee: Sequence[Message]) -> list[Row]:
    legs = _merged(caller, callee)
    invited = next((message for message in callee if _is_request(message, "INVITE")), None)
    answered = _conversation(legs)
    rows: list[Row] = []
    decided = False
    for message, near in legs:
        # What the router said shows in the first message that follows from it.
        follows = (message is invited) if invited else near and (message.status or 0) > 100  # noqa: PLR2004
        if follows and not decided:
            decided = True
            word = "admit" if invited else "refuse"
            rows.append(Row(height=56, decision=f"agi_router: resolve, {word}"))
        if answered and message is answered[1]:
            talk = (answered[1].at - answered[0].at).total_seconds()
            rows.append(Row(height=54, talk=talk))
        rows.append(
            Row(
                height=56 if message.start_line.startswith("INVITE ") else 38,
                message=message,
                near=near,
            )
        )
    return rows


def _merged(caller: Sequence[Message], callee: Sequence[Message]) -> list[tuple[Message, bool]]:
    """
    Merge the two legs in the order of time, each message with whether it is the caller's.

    SIPp notes the time of a message that it sent after the fact, so an effect on one leg may bear
    an earlier time than its cause on the other. The order within a leg is always right.
    """
    near = [(message, True) for message in caller]
    far = [(message, False) for message in callee]
    return list(
        heapq.merge(near, far, key=lambda leg: leg[0].at - LATE if leg[0].sent else leg[0].at)
    )


def _times(rows: Sequence[Row]) -> list[float]:
    """Milliseconds of the rows' messages; no cause later than its effect, see :func:`_merged`."""
    messages = [row.message for row in rows if row.message]
    start = messages[0].at
    times: list[float] = []
    for message in reversed(messages):
        since = (message.at - start).total_seconds() * 1000
        times.append(min([since, *times[-1:]]))
    return times[::-1]


def _conversation(legs: Sequence[tuple[Message, bool]]) -> tuple[Message, Message] | None:
    """Return the message that completes the answer, and the one that ends the talk."""
    acks = [message for message, _ in legs if _is_request(message, "ACK")]
    bye = next((message for message, _ in legs if _is_request(message, "BYE")), None)
    return (acks[-1], bye) if acks and bye else None


def _is_request(message: Message, method: str) -> bool:
    return message.status is None and message.method == method


def _frame(
    title: str, *, caller: Sequence[Message], callee: Sequence[Message], bottom: int
) -> list[str]:
    invite = caller[0]
    far = next((message for message in callee if _is_request(message, "INVITE")), None)
    x_number = invite.request_user or "?"
    top = HEAD - 14
    parts = [
        _label(PBX, 40, _text(title), size=20, weight=600),
        _label(
            PBX,
            65,
            "SIP as both phones captured it, by the time since the first INVITE",
            size=12,
            fill=SOFT,
        ),
        # Each party's side of the picture: all it ever learns is the number in the middle.
        _rect(LEFT, top, RIGHT - LEFT, bottom - top + 12, fill="#f1faf5", radius=10),
        _rect(LEFT, top, PBX - LEFT, bottom - top + 12, fill="#f2f7fd", radius=10),
        _rect(PBX - 10, top, 10, bottom - top + 12, fill="#f2f7fd"),
        *(_line(x, HEAD + HEAD_HEIGHT, x, bottom, colour=FAINT, width=1.5) for x in (A, PBX, B)),
        _label(TIME, HEAD + HEAD_HEIGHT - 4, "ms", size=11, fill=SOFT, anchor="end"),
    ]
    shown = (far.user("from") if far else None) or "no number"
    heads = [
        (A, "phone A", invite.user("from") or "number withheld", f"dials {x_number}"),
        (PBX, "Asterisk", "with agi_router", ""),
        (
            B,
            "phone B",
            (far.request_user if far else None) or "not called",
            f"is shown {shown}" if far else "does not ring",
        ),
    ]
    for x, name, number, knows in heads:
        y = HEAD + (26 if knows else 35)
        edge = FAINT if knows else INK
        parts += [
            _rect(x - 96, HEAD, 192, HEAD_HEIGHT, fill=PAPER, stroke=edge, radius=8),
            _label(x, y, name, size=15, weight=600),
            _label(x, y + 20, _text(number), size=12, fill=SOFT),
            _label(x, y + 39, _numbers(knows), size=11.5, fill=SOFT),
        ]
    return parts


def _drawn(rows: Sequence[Row]) -> list[str]:
    parts = []
    y = FIRST_ROW
    times = iter(_times(rows))
    for row in rows:
        if row.message:
            parts += _arrow(row.message, near=row.near, y=y + 24, since=next(times))
        elif row.talk is not None:
            middle = y + 24
            parts += [
                _rect(A + 14, y + 9, B - A - 28, 30, fill="#e4f4ea", stroke="#9fd3b4", radius=15),
                _label(
                    PBX,
                    middle + 4,
                    f"conversation, {row.talk:.1f} s, audio by way of Asterisk",
                    size=12,
                    fill=GREEN,
                ),
            ]
        else:
            parts += [
                _rect(PBX - 108, y + 8, 216, 32, fill="#fff6dd", stroke="#e0bf62", radius=6),
                _label(PBX, y + 28, row.decision, size=12, weight=600),
            ]
        y += row.height
    return parts


def _arrow(message: Message, *, near: bool, y: int, since: float) -> list[str]:
    phone = A if near else B
    begin, end = (phone, PBX) if message.sent else (PBX, phone)
    step = 1 if end > begin else -1
    colour = _colour(message)
    middle = (A + PBX) // 2 if near else (PBX + B) // 2
    word = message.method if message.status is None else f"{message.status} {message.phrase}"
    point, back = end - 2 * step, end - 12 * step
    dashed = colour == SOFT
    parts = [
        _label(TIME, y + 4, f"{since:.0f}", size=11, fill=SOFT, anchor="end"),
        _line(begin + 2 * step, y, end - 10 * step, y, colour=colour, width=1.8, dashed=dashed),
        f'<polygon points="{point},{y} {back},{y - 4.5} {back},{y + 4.5}" fill="{colour}"/>',
        _label(middle, y - 7, _text(word), size=13, weight=600, fill=colour),
    ]
    if _is_request(message, "INVITE"):
        said = f"From {message.user('from') or '?'}   To {message.user('to') or '?'}"
        parts.append(_label(middle, y + 18, _numbers(said), size=11.5, fill=INK))
    return parts


def _colour(message: Message) -> str:
    match message.status:
        case None:
            return BLUE
        case status if status < 200:  # noqa: PLR2004
            return SOFT
        case status if status < 300:  # noqa: PLR2004
            return GREEN
    return RED


def _footer(bottom: int) -> list[str]:
    parts = []
    x = LEFT
    for colour, word in (
        (BLUE, "request"),
        (SOFT, "provisional"),
        (GREEN, "success"),
        (RED, "refusal"),
    ):
        y = bottom + 38
        parts += [
            _line(x, y, x + 26, y, colour=colour, width=2.5, dashed=colour == SOFT),
            _label(x + 33, y + 4, word, size=11, fill=SOFT, anchor="start"),
        ]
        x += 52 + 7 * len(word)
    said = "real numbers masked, the 700 number in full"
    parts.append(_label(RIGHT, bottom + 42, said, size=11, fill=SOFT, anchor="end"))
    return parts


def _text(text: str) -> str:
    return escape(mask(text))


def _numbers(text: str) -> str:
    """Markup for *text* with its 700 numbers standing out."""
    words = []
    for word in mask(text).split(" "):
        plain = escape(word)
        if word.startswith("700") and word.isdecimal():
            plain = f'<tspan font-weight="600" fill="{X_COLOUR}">{plain}</tspan>'
        words.append(plain)
    # XML folds spaces; a wide gap is one that cannot break.
    return " ".join(words).replace("   ", " \u00a0 ")


def _label(
    x: float,
    y: float,
    markup: str,
    *,
    size: float,
    fill: str = INK,
    weight: int = 400,
    anchor: str = "middle",
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" font-weight="{weight}" fill="{fill}"'
        f' text-anchor="{anchor}">{markup}</text>'
    )


def _line(
    x1: int, y1: int, x2: int, y2: int, *, colour: str, width: float, dashed: bool = False
) -> str:
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    return (
        f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}"'
        f' stroke-width="{width:g}"{dashes}/>'
    )


def _rect(
    x: int, y: int, width: int, height: int, *, fill: str, stroke: str = "none", radius: int = 0
) -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{radius}" fill="{fill}"'
        f' stroke="{stroke}"/>'
    )

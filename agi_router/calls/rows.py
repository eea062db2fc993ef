"""
Rows of the type ``agi_router.facts``, as values.

Rule for the editor: nothing of a row goes on unread. Its words are of closed sets, its numbers are
700 numbers, a name is checked as where it came in: who writes to the database could else put into
the dialplan whatever he likes.
"""

from datetime import timedelta
from typing import Any

from agi_router.bindings.model import (
    BindingState,
    Callback,
    Direction,
    Display,
    Language,
    Mode,
    Side,
    check_prompts,
)
from agi_router.calls.arrival import Call
from agi_router.calls.facts import Facts, Leg
from agi_router.calls.ports import Admission
from agi_router.errors import RowInvalid
from agi_router.keys.ring import KeyRing, Purpose, Row
from agi_router.numbers import Block, XNumber

__all__ = ["caller_tags", "read_admission"]


def read_admission(row: dict[str, Any], x_number: XNumber, keys: KeyRing) -> Admission:
    """
    Read one row of facts about a caller on *x_number*.

    Raises:
        SealError: The callee does not open with these keys.
        RowInvalid: The row holds what is never written.
    """
    return Admission(
        admitted=row["admitted"],
        now=row["now"],
        facts=Facts(
            block_known=row["block_known"],
            certificate_valid=row["certificate_valid"],
            x_bound=row["x_bound"],
            x_extended=row["x_extended"],
            leg=None if row["binding_id"] is None else _read_leg(row, x_number, keys),
        ),
    )


def caller_tags(call: Call, keys: KeyRing, *, open_modes: bool) -> list[int]:
    """
    The tags to look *call* up by, in order of preference.

    Args:
        call: The call; once its caller has typed an extension, that is who is looked up.
        keys: What tags are made with.
        open_modes: Whether strangers get through where a binding says so.
    """
    if call.typed is not None:
        return keys.extension_tags(call.x_number, call.typed.extension)
    tags = keys.tags(call.x_number, call.caller)
    # 0 is the row for anyone.
    return [*tags, 0] if open_modes else tags


def _read_leg(row: dict[str, Any], x_number: XNumber, keys: KeyRing) -> Leg:
    try:
        return _read_words(row, x_number, keys)
    except ValueError:
        # The chain would show what stands there.
        raise RowInvalid from None


def _read_words(row: dict[str, Any], x_number: XNumber, keys: KeyRing) -> Leg:
    mode, side = Mode(row["mode"]), Side(row["side"])
    last = row["last_callee"]
    route = Row(row["binding_id"], x_number.value, row["caller_tag"], side, row["shown"])
    return Leg(
        block=Block(value=x_number.block),
        binding_id=row["binding_id"],
        mode=mode,
        side=side,
        callees=() if row["callee"] is None else keys.open(row["callee"], route, Purpose.CALLEE),
        shown=None if row["shown"] is None else XNumber.from_int(row["shown"]),
        state=BindingState(row["state"]),
        direction=Direction(row["direction"]),
        begins_at=row["begins_at"],
        expires_at=row["expires_at"],
        ended_at=row["ended_at"],
        max_calls=row["max_calls"],
        calls_used=row["calls_used"],
        ring_timeout=_seconds(row["ring_timeout"]),
        max_duration=_seconds(row["max_duration"]),
        language=None if row["language"] is None else Language(row["language"]),
        tenant_active=row["tenant_active"],
        callback=None if row["callback"] is None else Callback(row["callback"]),
        last_caller=None
        if last is None
        else keys.open(last, route.for_strangers if mode.open else route, Purpose.LAST_CALLER)[0],
        last_at=row["last_at"],
        callback_window=_seconds(row["callback_window"]),
        child_until=row["child_until"],
        display=Display(row["display"] or Display.NUMBER),
        prompts=row["prompts"] and check_prompts(row["prompts"]),
    )


def _seconds(value: int | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=value)

"""
Rows of the type ``agi_router.facts``, as values.
"""

from datetime import timedelta
from typing import Any

from agi_router.model import (
    BindingState,
    Call,
    Callback,
    Direction,
    Display,
    Facts,
    Language,
    Leg,
    Mode,
    Side,
)
from agi_router.numbers import Block, XNumber
from agi_router.ports import Admission
from agi_router.seal import KeyRing

__all__ = ["caller_tags", "read_admission"]


def read_admission(row: dict[str, Any], x_number: XNumber, keys: KeyRing) -> Admission:
    """
    Read one row of facts about a caller on *x_number*.

    Raises:
        SealError: The callee does not open with these keys.
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
    mode = Mode(row["mode"])
    last = row["last_callee"]
    return Leg(
        block=Block(value=x_number.block),
        binding_id=row["binding_id"],
        mode=mode,
        side=Side(row["side"]),
        callees=()
        if row["callee"] is None
        else keys.open(row["callee"], x=x_number, tag=row["caller_tag"]),
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
        # A stranger's call does not know A's tag.
        last_caller=None
        if last is None
        else keys.open(last, x=x_number, tag=0 if mode.open else row["caller_tag"])[0],
        last_at=row["last_at"],
        callback_window=_seconds(row["callback_window"]),
        child_until=row["child_until"],
        display=Display(row["display"] or Display.NUMBER),
        prompts=row["prompts"],
    )


def _seconds(value: int | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=value)

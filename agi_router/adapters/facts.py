"""
Rows of the type ``agi_router.facts``, as values.
"""

from datetime import timedelta
from typing import Any

from agi_router.model import BindingState, Direction, Facts, Language, Leg, Mode, Side
from agi_router.numbers import Block, XNumber
from agi_router.ports import Admission
from agi_router.seal import KeyRing

__all__ = ["read_admission"]


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
            leg=None if row["binding_id"] is None else _read_leg(row, x_number, keys),
        ),
    )


def _read_leg(row: dict[str, Any], x_number: XNumber, keys: KeyRing) -> Leg:
    return Leg(
        block=Block(value=x_number.block),
        binding_id=row["binding_id"],
        mode=Mode(row["mode"]),
        side=Side(row["side"]),
        callees=()
        if row["callee"] is None
        else keys.open(row["callee"], x=x_number, tag=row["caller_tag"]),
        shown=XNumber.from_int(row["shown"]),
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
    )


def _seconds(value: int | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=value)

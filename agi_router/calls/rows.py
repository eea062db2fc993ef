"""
Rows of the type ``agi_router.facts``, as values.

Rule for the editor: nothing of a row goes on unread. Its words are of closed sets, its numbers are
700 numbers, a name is checked as where it came in: who writes to the database could else put into
the dialplan whatever he likes.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

from agi_router.bindings.facts import Facts, RouteHit
from agi_router.bindings.words import (
    BindingState,
    Callback,
    Direction,
    Display,
    Language,
    Messages,
    Mode,
    Side,
    check_prompts,
)
from agi_router.calls.arrival import Call
from agi_router.calls.check import TenantService, Unanswered
from agi_router.calls.ports import Admission
from agi_router.errors import RowInvalid
from agi_router.keys.ring import KeyRing, Purpose, Row
from agi_router.numbers import XNumber

__all__ = ["caller_tags", "check_sealed_for", "read_admission", "read_service"]

_Word = TypeVar("_Word", bound=StrEnum)


class _Words(dict[str, _Word], Generic[_Word]):
    """
    The members of an enumeration by what they are written as; much cheaper than to call it.

    Raises:
        ValueError: There is no such member.
    """

    def __init__(self, kind: type[_Word]) -> None:
        super().__init__((each.value, each) for each in kind)

    def __missing__(self, text: str) -> _Word:
        raise ValueError


_MODES: Final = _Words(Mode)
_SIDES: Final = _Words(Side)
_STATES: Final = _Words(BindingState)
_DIRECTIONS: Final = _Words(Direction)
_MESSAGES: Final = _Words(Messages)
_LANGUAGES: Final = _Words(Language)
_CALLBACKS: Final = _Words(Callback)
_DISPLAYS: Final = _Words(Display)
_UNANSWERED: Final = _Words(Unanswered)


def read_admission(
    row: dict[str, Any], x_number: XNumber, keys: KeyRing, *, text: bool = False
) -> Admission:
    """
    Read one row of facts about a caller on *x_number*: for a call, or for a *text*.

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
            hit=None if row["binding_id"] is None else _read_hit(row, x_number, keys, text=text),
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
        return keys.extension_tags(call.typed.extension)
    tags = keys.tags(call.caller)
    # 0 is the row for anyone.
    return [*tags, 0] if open_modes else tags


def _read_hit(row: dict[str, Any], x_number: XNumber, keys: KeyRing, *, text: bool) -> RouteHit:
    try:
        mode, side = _MODES[row["mode"]], _SIDES[row["side"]]
        last = row["last_callee"]
        route = Row(row["binding_id"], x_number.value, row["caller_tag"], side, row["shown"])
        return RouteHit(
            block=x_number.block,
            binding_id=row["binding_id"],
            mode=mode,
            side=side,
            callees=()
            if row["callee"] is None
            else keys.open(row["callee"], route, Purpose.CALLEE),
            shown=None if row["shown"] is None else XNumber.from_int(row["shown"]),
            state=_STATES[row["state"]],
            direction=(_MESSAGES if text else _DIRECTIONS)[row["direction"]],
            begins_at=row["begins_at"],
            expires_at=row["expires_at"],
            ended_at=row["ended_at"],
            max_calls=row["max_calls"],
            calls_used=row["calls_used"],
            ring_timeout=_seconds(row["ring_timeout"]),
            max_duration=_seconds(row["max_duration"]),
            language=None if row["language"] is None else _LANGUAGES[row["language"]],
            tenant_active=row["tenant_active"],
            callback=None if row["callback"] is None else _CALLBACKS[row["callback"]],
            last_caller=None
            if last is None
            else keys.open(last, route.for_strangers if mode.open else route, Purpose.LAST_CALLER)[
                0
            ],
            last_at=row["last_at"],
            callback_window=_seconds(row["callback_window"]),
            child_until=row["child_until"],
            display=_DISPLAYS[row["display"] or Display.NUMBER],
            prompts=row["prompts"] and check_prompts(row["prompts"]),
            tell_answer=row["tell_answer"] is True,
            tenant_check=row["tenant_check"] is True,
        )
    except ValueError:
        # The chain would show what stands there.
        raise RowInvalid from None


def check_sealed_for(tenant_id: int) -> str:
    """
    What the secrets of a tenant's check are sealed for.
    """
    return f"check {tenant_id}"


def read_service(row: dict[str, Any], keys: KeyRing) -> TenantService:
    """
    Read the service that is asked for a tenant.

    Raises:
        SealError: Its secret does not open with these keys.
        RowInvalid: The row holds what is never written.
    """
    where = check_sealed_for(row["tenant_id"])
    sealed = (row["secret"], row["old_secret"])
    try:
        return TenantService(
            tenant_id=row["tenant_id"],
            url=row["url"],
            unanswered=_UNANSWERED[row["unanswered"]],
            timeout=None if row["timeout_ms"] is None else row["timeout_ms"] / 1000,
            secrets=tuple(keys.open_secret(each, where) for each in sealed if each is not None),
        )
    except ValueError:
        raise RowInvalid from None


def _seconds(value: int | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=value)

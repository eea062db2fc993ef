"""
Rows of the type ``agi_router.facts``, as values.

Rule for the editor: nothing of a row goes on unread. Its words are of closed sets, its numbers are
700 numbers, a name is checked as where it came in: who writes to the database could else put into
the dialplan whatever he likes.
"""

from dataclasses import replace
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
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.persons.effect_rows import read_ban, read_effect
from agi_router.persons.effects import Ban, Effect, Subject, holds_for
from agi_router.tenants.call_rates import read_call_rates
from agi_router.tenants.hours import Hours

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


_BLOCKLIST: Final = "blocklist"
"""What the mark of an entry says in the place where that of a lock says what is locked."""
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
    row: dict[str, Any],
    caller: PhoneNumber,
    x_number: XNumber,
    keys: KeyRing,
    *,
    text: bool = False,
) -> Admission:
    """
    Read one row of facts about *caller* on *x_number*: for a call, or for a *text*.

    Raises:
        SealError: The callee does not open with these keys.
        RowInvalid: The row holds what is never written.
    """
    hit = None if row["binding_id"] is None else _read_hit(row, x_number, keys, text=text)
    locks: tuple[Effect, ...] = ()
    strangers: tuple[int, ...] = ()
    if row["locks"]:
        locks, on_hit, strangers = _read_locks(row, caller, x_number, hit, keys)
        bans, other_strangers = _read_bans(row, caller, hit, keys)
        strangers += other_strangers
        hit = None if hit is None else replace(hit, locks=on_hit, bans=bans)
    if row["limits"] and hit is not None:
        hit = _read_limits(row["limits"], hit)
    return Admission(
        admitted=row["admitted"],
        now=row["now"],
        facts=Facts(
            block_known=row["block_known"],
            certificate_valid=row["certificate_valid"],
            x_bound=row["x_bound"],
            x_extended=row["x_extended"],
            hit=hit,
            locks=locks,
        ),
        strangers=strangers,
    )


def _read_locks(
    row: dict[str, Any],
    caller: PhoneNumber,
    x_number: XNumber,
    hit: RouteHit | None,
    keys: KeyRing,
) -> tuple[tuple[Effect, ...], tuple[Effect, ...], tuple[int, ...]]:
    """
    The locks that were found: on the number and caller, on what is of the hit, and strangers' ids.
    """
    # One person has a mark for each tag key.
    found = {
        each["id"]: read_effect(each, keys)
        for each in row["locks"]
        if each["subject"] != _BLOCKLIST
    }.values()
    numbers, parties = {x_number.value}, [caller, *_others(hit)]
    if hit is not None:
        numbers |= set() if hit.shown is None else {hit.shown.value}
    first, on_hit, strangers = [], [], []
    for each in found:
        if not holds_for(
            each,
            numbers=numbers,
            block=x_number.block.value,
            tenant=row["tenant_id"],
            people=parties,
        ):
            strangers.append(each.id)
        elif (
            each.subject is Subject.BLOCK
            or (each.subject is Subject.NUMBER and each.key == x_number.value)
            or (each.person == caller and each.everywhere)
        ):
            first.append(each)
        else:
            on_hit.append(each)
    return tuple(first), tuple(on_hit), tuple(strangers)


def _read_limits(limits: dict[str, Any], hit: RouteHit) -> RouteHit:
    """
    The hours and the rates that hold for a call or a text.
    """
    hours, calls = limits["hours"], limits["calls"]
    try:
        return replace(
            hit,
            hours=None if hours is None else Hours.parse(hours),
            minute=limits["minute"] or 0,
            call_rates=None if calls is None else read_call_rates(calls),
        )
    except ValueError:
        # The chain would show what stands there.
        raise RowInvalid from None


def _read_bans(
    row: dict[str, Any], caller: PhoneNumber, hit: RouteHit | None, keys: KeyRing
) -> tuple[tuple[Ban, ...], tuple[int, ...]]:
    """
    The entries of block lists that were found: between these persons, and strangers' ids.
    """
    found = {
        each["id"]: read_ban(each, keys) for each in row["locks"] if each["subject"] == _BLOCKLIST
    }.values()
    others = _others(hit)
    bans = tuple(ban for ban in found if any(ban.keeps(caller, other) for other in others))
    # Where nobody is hit, there is nobody to be kept from.
    strangers = () if hit is None else tuple(ban.id for ban in found if ban not in bans)
    return bans, strangers


def _others(hit: RouteHit | None) -> tuple[PhoneNumber, ...]:
    """
    Whom a call may ring.
    """
    if hit is None:
        return ()
    return hit.callees if hit.last_caller is None else (*hit.callees, hit.last_caller)


def caller_tags(call: Call, keys: KeyRing, *, open_modes: bool) -> tuple[list[int], list[int]]:
    """
    The tags to look *call* up by, in order of preference; and those of the person who calls.

    Args:
        call: The call; once its caller has typed an extension, that is who is looked up.
        keys: What tags are made with.
        open_modes: Whether strangers get through where a binding says so.
    """
    person = keys.tags(call.caller)
    if call.typed is not None:
        return keys.extension_tags(call.typed.extension), person
    # 0 is the row for anyone.
    return [*person, 0] if open_modes else person, person


def _read_hit(row: dict[str, Any], x_number: XNumber, keys: KeyRing, *, text: bool) -> RouteHit:
    try:
        mode, side = _MODES[row["mode"]], _SIDES[row["side"]]
        last = row["last_callee"]
        route = Row(row["binding_id"], x_number.value, row["caller_tag"], side, row["shown"])
        return RouteHit(
            block=x_number.block,
            binding_id=row["binding_id"],
            tenant_id=row["tenant_id"],
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
            tenant_qualified=row["tenant_qualified"] is not False,
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
            record=row["record"] is True,
            tenant_check=row["tenant_check"] is True,
            notice=row["notice"] is True,
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

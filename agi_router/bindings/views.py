"""
Bindings as they are shown, to people and to programs: numbers of parties are masked.
"""

from collections.abc import Callable, Sequence
from typing import Any

from agi_router.bindings.model import Binding, Party
from agi_router.bindings.modes import MODES, group_of
from agi_router.bindings.party_groups import PartyGroup
from agi_router.bindings.pools import Pool
from agi_router.bindings.rows import seconds
from agi_router.bindings.terms import TERMS
from agi_router.bindings.words import Side
from agi_router.numbers import PhoneNumber

__all__ = [
    "describe_binding",
    "describe_group",
    "describe_pool",
    "reveal_binding",
    "reveal_group",
]

_Shown = Callable[[PhoneNumber], str]


def describe_binding(binding: Binding) -> dict[str, Any]:
    """
    A binding as it is printed: numbers of parties masked.
    """
    return _describe(binding, lambda number: number.masked)


def reveal_binding(binding: Binding) -> dict[str, Any]:
    """
    The same with the numbers of parties in full; only after a row of the audit.
    """
    return _describe(binding, lambda number: number.digits)


def _describe(binding: Binding, told: _Shown) -> dict[str, Any]:
    a = [party for party in binding.parties if party.side is Side.A]
    b = [party for party in binding.parties if party.side is Side.B]
    return {
        # A string: ids are names, not for reckoning.
        "id": str(binding.id),
        "mode": binding.mode,
        **_numbers(binding, a, b),
        **_callback(binding, a, told),
        "b": next((told(party.number) for party in b), None),
        "state": binding.state.value,
        "begins_at": binding.begins_at,
        "expires_at": binding.expires_at,
        "ended_at": binding.ended_at,
        "calls_used": binding.calls_used,
        "messages_used": binding.messages_used,
        **{term.word: term.store(getattr(binding, term.name)) for term in TERMS},
        "order": binding.order_id,
        "tenant": binding.tenant,
        "version": binding.version,
        "damage": binding.damage,
    }


def describe_group(group: PartyGroup) -> dict[str, Any]:
    """
    A party group as it is printed: numbers of members masked.
    """
    return _describe_group(group, lambda number: number.masked)


def reveal_group(group: PartyGroup) -> dict[str, Any]:
    """
    The same with the numbers of members in full; only after a row of the audit.
    """
    return _describe_group(group, lambda number: number.digits)


def _describe_group(group: PartyGroup, told: _Shown) -> dict[str, Any]:
    return {
        "id": str(group.id),
        "name": group.name,
        "tenant": group.tenant,
        "label": group.label,
        "members": [told(number) for number in group.members],
        "bindings": group.bindings,
        "created_at": group.created_at,
        "version": group.version,
        "damage": group.damage,
    }


def describe_pool(pool: Pool) -> dict[str, Any]:
    """
    A pool as it is printed.
    """
    return {
        "name": pool.name,
        "tenant": pool.tenant,
        "blocks": list(map(str, pool.blocks)),
        "operator_digit": pool.operator_digit,
        "mode": pool.mode,
        "callback": pool.callback,
        "window": seconds(pool.window),
        "language": pool.language,
        "prompts": pool.prompts,
        "created_at": pool.created_at,
        "version": pool.version,
    }


def _numbers(binding: Binding, a: Sequence[Party], b: Sequence[Party]) -> dict[str, Any]:
    """
    What each side dials.
    """
    described: dict[str, Any] = {"x": next((str(party.dials) for party in a), None)}
    if MODES[binding.mode].two_numbers:
        described["y"] = next((str(party.dials) for party in b if party.dials), None)
    if binding.y_ttl is not None:
        described["y_ttl"] = seconds(binding.y_ttl)
    if binding.parent is not None:
        described["parent"] = str(binding.parent)
    if binding.extension is not None:
        described["extension"] = binding.extension
    return described


def _callback(binding: Binding, a: Sequence[Party], told: _Shown) -> dict[str, Any]:
    """
    Side A, and who is called back where that is not plain.
    """
    numbers = [told(party.number) for party in a]
    grouped = group_of(binding.mode) is not None
    described: dict[str, Any] = (
        {"members": numbers} if grouped else {"a": next(iter(numbers), None)}
    )
    if grouped:
        described["group"] = binding.group
    if binding.callback is not None:
        described["callback"] = binding.callback
        described["window"] = seconds(binding.callback_window)
        described["called_back"] = [told(number) for number in binding.called_back]
    return described

"""
Bindings as the store keeps them: their rows read, and the tags of their orders.
"""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any

from agi_router.bindings.model import Binding, BindingId, Party
from agi_router.bindings.modes import Parties
from agi_router.bindings.terms import TERMS
from agi_router.bindings.words import (
    BindingState,
    Callback,
    Mode,
)
from agi_router.keys.ring import KeyRing
from agi_router.numbers import Block, PhoneNumber

__all__ = [
    "order_tags",
    "read_binding",
    "read_damaged",
    "read_state",
    "seconds",
    "tag_order",
]


def order_tags(parties: Parties, *, tenant: str, order_id: str, keys: KeyRing) -> list[int]:
    """
    The tags by which an order's binding of these parties is recognised, the current key's first.
    """
    return tag_order(
        parties.mode,
        parties.side_a,
        parties.side_b,
        group=parties.group,
        tenant=tenant,
        order_id=order_id,
        keys=keys,
    )


def tag_order(
    mode: Mode,
    side_a: Sequence[PhoneNumber],
    side_b: Sequence[PhoneNumber],
    *,
    group: str | None,
    tenant: str,
    order_id: str,
    keys: KeyRing,
) -> list[int]:
    """
    The same for parties that are known by their sides; a party group is known by its name.
    """
    if group is not None:
        # Whoever comes and goes: it is the same order still.
        return keys.order_tags(tenant, order_id, f"{mode} {group}", numbers=side_b)
    members = sorted(side_a, key=lambda number: number.digits)
    return keys.order_tags(tenant, order_id, mode, numbers=[*members, *side_b])


# What stands for a word of a row that is none of ours.
_WORDS: dict[str, StrEnum] = {
    "mode": Mode.AXB,
    "state": BindingState.ACTIVE,
    "callback": Callback.DEFAULT,
}


def read_state(row: dict[str, Any]) -> BindingState:
    """
    What has become of a binding by its row and the time in it, whether or not anybody has noticed.

    Raises:
        ValueError: The row holds what is never written.
    """
    state = BindingState(row["state"])
    over = state.lives and row["expires_at"] <= row["now"]
    return BindingState.EXPIRED if over else state


def read_binding(
    row: dict[str, Any],
    parties: tuple[Party, ...],
    called_back: tuple[PhoneNumber, ...],
    *,
    damage: str | None = None,
) -> Binding:
    """
    Read one row of bindings, whose parties were read from its routes.

    Raises:
        ValueError: The row holds what is never written.
    """
    state = read_state(row)
    # Where nobody has noticed yet that the clock ended it, no time is written either.
    noticed = state == row["state"]
    return Binding(
        id=BindingId(Block(value=row["block"]), row["id"]),
        mode=Mode(row["mode"]),
        state=state,
        tenant=row["tenant"],
        order_id=row["order_id"],
        begins_at=row["begins_at"],
        expires_at=row["expires_at"],
        ended_at=row["ended_at"] if noticed else row["expires_at"],
        calls_used=row["calls_used"],
        messages_used=row["messages_used"],
        version=row["version"],
        **{term.name: term.load(row[term.name]) for term in TERMS},
        group=row["party_group"],
        callback=None if row["callback"] is None else Callback(row["callback"]),
        callback_window=_span(row["callback_window"]),
        extension=row["extension"],
        y_ttl=_span(row["y_ttl"]),
        parent=None
        if row["parent_id"] is None
        else BindingId(Block(value=row["block"]), row["parent_id"]),
        parties=parties,
        called_back=called_back,
        damage=damage,
    )


def read_damaged(row: dict[str, Any], damage: str) -> Binding:
    """
    Read what can be read of a row of bindings, without its parties.

    Args:
        row: The row.
        damage: Why not all of it can be. Words that are none of ours are replaced.
    """
    sound = {
        name: row[name] if row[name] in {None, *map(str, type(word))} else word
        for name, word in _WORDS.items()
    }
    for term in TERMS:
        try:
            term.load(row[term.name])
        except ValueError:
            sound[term.name] = term.default
    return read_binding({**row, **sound}, (), (), damage=damage)


def seconds(value: timedelta | None) -> int | None:
    """
    A span in the store's unit.
    """
    return None if value is None else int(value.total_seconds())


def _span(value: int | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=value)

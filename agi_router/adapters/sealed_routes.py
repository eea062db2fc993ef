"""
Route rows as the store keeps them: callers tagged, callees sealed.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from agi_router.model import Mode, RouteRow, Side
from agi_router.modes import Ax, AxybOnCall, Gxb, Parties
from agi_router.numbers import E164, XNumber
from agi_router.seal import KeyRing

__all__ = [
    "SealedRoute",
    "find_back",
    "order_tags",
    "route_columns",
    "seal_routes",
    "tag_caller",
    "tag_order",
    "tags_of_caller",
]


def tag_caller(row: RouteRow, keys: KeyRing) -> int:
    """
    The tag that the caller of *row* is found by, or the extension it types; 0 for anyone.
    """
    if row.extension is not None:
        return keys.extension_tag(row.x_number, row.extension)
    return 0 if row.caller is None else keys.tag(row.x_number, row.caller)


def tags_of_caller(row: RouteRow, keys: KeyRing) -> list[int]:
    """
    The tags that the caller of *row* may be found by: under every key, the current one first.
    """
    if row.extension is not None:
        return keys.extension_tags(row.x_number, row.extension)
    return [0] if row.caller is None else keys.tags(row.x_number, row.caller)


def find_back(
    parties: Parties, rows: Sequence[RouteRow], keys: KeyRing
) -> tuple[XNumber, int] | None:
    """
    The place for which the callers of side A are sealed too: its number and its tag.

    It is B's row of a group, and A's own where there is none of B yet or B is anyone: so it can be
    tagged anew. Elsewhere there is none.
    """
    if not isinstance(parties, Gxb | AxybOnCall | Ax):
        return None
    side = Side.B if isinstance(parties, Gxb) else Side.A
    (row,) = (row for row in rows if row.side is side)
    return row.x_number, tag_caller(row, keys)


class SealedRoute(NamedTuple):
    """
    One route row as the store keeps it.
    """

    x_number: int
    caller_tag: int
    shown: int | None
    side: Side
    callee: bytes | None
    caller: bytes | None


def seal_routes(
    rows: Sequence[RouteRow], keys: KeyRing, *, back: tuple[XNumber, int] | None
) -> list[SealedRoute]:
    """
    Route rows, numbers tagged and sealed.

    Args:
        rows: What a mode has compiled.
        keys: To tag and seal with.
        back: See :func:`find_back`.
    """
    return [_seal_route(row, keys, back) for row in rows]


def _seal_route(row: RouteRow, keys: KeyRing, back: tuple[XNumber, int] | None) -> SealedRoute:
    tag = tag_caller(row, keys)
    return SealedRoute(
        x_number=row.x_number.value,
        caller_tag=tag,
        shown=None if row.shown is None else row.shown.value,
        side=row.side,
        callee=keys.seal(row.callees, x=row.x_number, tag=tag) if row.callees else None,
        # In a group sealed for the row of B, where it becomes the callee when B calls back.
        caller=keys.seal([row.caller], x=back[0], tag=back[1])
        if back is not None and row.side is Side.A and row.caller
        else None,
    )


def route_columns(routes: Sequence[SealedRoute]) -> dict[str, list[Any]]:
    """
    The same as columns.
    """
    return {
        name: [route[place] for route in routes] for place, name in enumerate(SealedRoute._fields)
    }


def order_tags(parties: Parties, *, tenant: str, order_id: str, keys: KeyRing) -> list[int]:
    """
    The tags by which an order's binding of these parties is recognised, the current key's first.
    """
    return tag_order(
        parties.mode,
        parties.side_a,
        parties.side_b,
        tenant=tenant,
        order_id=order_id,
        keys=keys,
    )


def tag_order(
    mode: Mode,
    side_a: Sequence[E164],
    side_b: Sequence[E164],
    *,
    tenant: str,
    order_id: str,
    keys: KeyRing,
) -> list[int]:
    """
    The same for parties that are known by their sides.
    """
    members = sorted(side_a, key=lambda number: number.digits)
    return keys.order_tags(tenant, order_id, mode, numbers=[*members, *side_b])

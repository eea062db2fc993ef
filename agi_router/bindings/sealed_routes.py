"""
Route rows as the store keeps them: callers tagged, callees sealed.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agi_router.bindings.routes import RouteRow
from agi_router.bindings.words import Side
from agi_router.db.arrays import array_of_bytes, array_of_integers, array_of_texts
from agi_router.errors import SealError
from agi_router.keys.ring import KeyRing, Purpose, Row
from agi_router.numbers import PhoneNumber

__all__ = [
    "SealedRoute",
    "check_caller",
    "find_back",
    "purpose_of_caller",
    "route_columns",
    "row_of",
    "seal_routes",
    "tag_caller",
    "tags_of_caller",
]


def tag_caller(row: RouteRow, keys: KeyRing) -> int:
    """
    The tag that the caller of *row* is found by, or the extension it types; 0 for anyone.
    """
    if row.extension is not None:
        return keys.extension_tag(row.extension)
    return 0 if row.caller is None else keys.tag(row.caller)


def tags_of_caller(row: RouteRow, keys: KeyRing) -> list[int]:
    """
    The tags that the caller of *row* may be found by: under every key, the current one first.
    """
    if row.extension is not None:
        return keys.extension_tags(row.extension)
    return [0] if row.caller is None else keys.tags(row.caller)


def row_of(route: Mapping[str, Any]) -> Row:
    """
    The row that the sealed values of *route*, as it was read from the store, are bound to.
    """
    return Row(
        binding_id=route["binding_id"],
        x_number=route["x_number"],
        caller_tag=route["caller_tag"],
        side=route["side"],
        shown=route["shown"],
    )


def check_caller(row: Row, caller: PhoneNumber, keys: KeyRing) -> None:
    """
    Make sure that *caller*, who is known from another row, is the one whom *row* is for.

    By the tag under any key: none but the holder of the keys can have made it.

    Raises:
        SealError: The row is for somebody else.
    """
    if row.caller_tag != 0 and row.caller_tag not in keys.tags(caller):
        raise SealError("a row is not that of the party whom the binding's other rows name")


def find_back(
    sealed_for: Side | None, rows: Sequence[RouteRow], keys: KeyRing, *, binding_id: int
) -> Row | None:
    """
    The row for which the callers of side A are sealed too.

    It is B's row of a group, and A's own where there is none of B yet or B is anyone: so it can be
    tagged anew. Elsewhere there is none.
    """
    if sealed_for is None:
        return None
    (row,) = (row for row in rows if row.side is sealed_for)
    return _row(row, tag_caller(row, keys), binding_id)


def purpose_of_caller(row: Row) -> Purpose:
    """
    What a caller of side A stands for in *row*, see :func:`find_back`.

    In the row of B it is whom B may call back: the admission copies it there.
    """
    return Purpose.CALLER if row.side == Side.A else Purpose.LAST_CALLER


def _row(row: RouteRow, tag: int, binding_id: int) -> Row:
    shown = None if row.shown is None else row.shown.value
    return Row(binding_id, row.x_number.value, tag, row.side, shown)


class SealedRoute(NamedTuple):
    """
    One route row as the store keeps it.
    """

    x_number: int
    caller_tag: int
    shown: int | None
    side: Side
    callee: bytes | None
    callee_tags: tuple[int, ...] | None
    """The tags of those who are sealed in *callee*, in their order."""
    caller: bytes | None


def seal_routes(
    rows: Sequence[RouteRow],
    keys: KeyRing,
    *,
    binding_id: int,
    back: Row | None,
    tags: Mapping[str, int] | None = None,
) -> list[SealedRoute]:
    """
    Route rows, numbers tagged and sealed.

    Args:
        rows: What a mode has compiled.
        keys: To tag and seal with.
        binding_id: Their binding.
        back: See :func:`find_back`.
        tags: Those that are known already, under the current key and by the digits of whose it is.
    """
    known = {} if tags is None else tags
    missing = {
        each.digits: each
        for row in rows
        for each in (row.caller, *row.callees)
        if each is not None and each.digits not in known
    }
    if missing:
        known = {**known, **{digits: keys.tag(each) for digits, each in missing.items()}}
    return [_seal_route(row, keys, binding_id, back, known) for row in rows]


def _seal_route(
    row: RouteRow,
    keys: KeyRing,
    binding_id: int,
    back: Row | None,
    tags: Mapping[str, int],
) -> SealedRoute:
    # By digits: they keep their hash, a number is hashed anew each time.
    tag = tag_caller(row, keys) if row.caller is None else tags[row.caller.digits]
    own = _row(row, tag, binding_id)
    callee = callee_tags = caller = None
    if row.callees:
        callee = keys.seal(row.callees, own, Purpose.CALLEE)
        callee_tags = tuple([tags[each.digits] for each in row.callees])
    if back is not None and row.side is Side.A and row.caller:
        caller = keys.seal([row.caller], back, purpose_of_caller(back))
    return SealedRoute(own.x_number, tag, own.shown, row.side, callee, callee_tags, caller)


def route_columns(routes: Sequence[SealedRoute]) -> dict[str, str]:
    """
    The same as columns, each an array as text.
    """
    return {
        "x_number": array_of_integers(route.x_number for route in routes),
        "caller_tag": array_of_integers(route.caller_tag for route in routes),
        "shown": array_of_texts(
            None if route.shown is None else str(route.shown) for route in routes
        ),
        "side": array_of_texts(route.side for route in routes),
        "callee": array_of_bytes(route.callee for route in routes),
        # Arrays of one array are of one length; as text they need not be.
        "callee_tags": array_of_texts(
            None if route.callee_tags is None else array_of_integers(route.callee_tags)
            for route in routes
        ),
        "caller": array_of_bytes(route.caller for route in routes),
    }

"""
Exporting: bindings as the rows that an import reads.

What is exported is what is left: of a limit the calls or texts that are left, of its life the end.
A binding without an order goes under its own name, because an import asks for an order.
"""

from collections.abc import Generator, Mapping
from contextlib import closing
from typing import Any

from agi_router.bindings.model import Binding
from agi_router.bindings.modes import MODES, group_of
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import TERMS
from agi_router.bindings.words import BindingState, Callback, Messages, Side
from agi_router.bulk.columns import DAMAGED, write_cells
from agi_router.db.connection import Queries
from agi_router.keys.ring import DESTROYED
from agi_router.numbers import PhoneNumber
from agi_router.records.audit import Audit, AuditEntry

__all__ = ["export_rows"]

_RING_ALL = frozenset({Callback.ALL, Callback.SEQUENCE})


def export_rows(
    store: BindingStore,
    *,
    everything: bool,
    order_id: str | None,
    reveal: AuditEntry | None = None,
) -> Generator[list[str], None, None]:
    """
    Rows by block and age, as they stand at one moment, however many there are; to be closed.

    Args:
        store: Where they are kept; its scope says whose.
        everything: Whether those that are over are exported too.
        order_id: The order they are to be of, if of one.
        reveal: What is written down before numbers of parties are shown in full; :obj:`None`:
            they are masked.

    Raises:
        StoreError: It could not be written down; nothing was shown.
    """
    # At once, and not when the first row is asked for.
    if reveal is not None:
        Audit(Queries(store.connection)).record(reveal)
    found = store.stream(everything=everything, order_id=order_id)
    return _rows(found, reveal=reveal is not None)


def _rows(
    found: Generator[Binding, None, None], *, reveal: bool
) -> Generator[list[str], None, None]:
    with closing(found):
        for binding in found:
            # A number that was made on a call is made again on the next.
            if binding.parent is None:
                yield write_cells(_values(binding, reveal=reveal))


def _values(binding: Binding, *, reveal: bool) -> Mapping[str, Any]:
    def shown(number: PhoneNumber) -> str:
        return number.digits if reveal else number.masked

    sides = {side: [p for p in binding.parties if p.side is side] for side in Side}
    dials = {side: parties[0].dials if parties else None for side, parties in sides.items()}
    grouped = group_of(binding.mode) is not None
    mode = MODES[binding.mode]
    # Where all ring there is no default.
    has_default = "default" in (*mode.needs(), *mode.may()) and binding.callback not in _RING_ALL
    # In their order, where they ring in it.
    members = (
        binding.called_back
        if binding.callback is Callback.SEQUENCE and grouped
        else [party.number for party in sides[Side.A]]
    )
    a = " ".join(map(shown, members))
    first = next(map(shown, binding.called_back), None)
    left = _rest(binding.max_calls, binding.calls_used)
    texts_left = _rest(binding.max_messages, binding.messages_used)
    return {
        **{term.word: getattr(binding, term.name) for term in TERMS},
        "mode": binding.mode,
        "members" if grouped else "a": (a or None) if binding.group is None else None,
        "group": binding.group,
        "callback": binding.callback,
        "default": first if has_default else None,
        "b": next((shown(party.number) for party in sides[Side.B]), None),
        "x": dials[Side.A],
        "y": dials[Side.B] if dials[Side.B] != dials[Side.A] and binding.y_ttl is None else None,
        "window": binding.callback_window,
        "extension": binding.extension,
        "y_ttl": binding.y_ttl,
        "expires": binding.expires_at,
        "max_calls": left,
        # It goes on for calls, and no limit is 0.
        "messages": Messages.OFF if texts_left == 0 else binding.messages,
        "max_messages": texts_left or None,
        "order": binding.order_id or str(binding.id),
        "tenant": binding.tenant,
        "id": binding.id,
        "state": _state(binding, left),
    }


def _rest(limit: int | None, used: int) -> int | None:
    return None if limit is None else limit - used


def _state(binding: Binding, left: int | None) -> str:
    if binding.damage not in {None, DESTROYED}:
        return DAMAGED
    if left == 0 and binding.state is BindingState.ACTIVE:
        return BindingState.USED_UP
    return binding.state

"""
The parties of events: no event holds them, they are read from the routes of its binding.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from agi_router.bindings.parties import read_parties
from agi_router.bindings.words import Side
from agi_router.db.connection import Queries
from agi_router.errors import SealError
from agi_router.events.fetching import ANSWER
from agi_router.events.model import Event, Numbers
from agi_router.events.shapes import Parties, asked_at
from agi_router.keys.ring import KeyRing

__all__ = ["open_parties"]

_COLUMNS = ("mode", "y_ttl", "parent_id")


def open_parties(
    queries: Queries, keys: KeyRing, events: Sequence[Event], *, numbers: Numbers, behind: bool
) -> list[Parties | None]:
    """
    The parties of each of *events* at its time; none where it has no binding, or not any more.

    A call is between those who were parties when it came: one may be replaced while they talk.

    :obj:`None` where they cannot be read: a row was sealed with a key that is not at hand, or is
    forged, or is in a database that does not answer.

    Args:
        queries: Where routes are kept.
        keys: What they are sealed with.
        events: The events.
        numbers: Masked or in full.
        behind: Whether databases behind this one may have them: they are not waited for long.

    Raises:
        StoreUnavailable: A database that has some stood still, and cost the session.
    """
    bound = [(event.binding, _then(event)) for event in events if event.binding is not None]
    values = {
        "block": [binding.block.value for binding, _ in bound],
        "id": [binding.id for binding, _ in bound],
        "at": [at for _, at in bound],
    }
    routes: dict[int, list[dict[str, Any]]] = {}
    for row in _asked(queries, values, behind=behind) if bound else ():
        routes.setdefault(row["place"] - 1, []).append(row)
    read = iter([_read(routes.get(place, []), keys, numbers) for place in range(len(bound))])
    return [{} if event.binding is None else next(read) for event in events]


def _asked(queries: Queries, values: dict[str, Any], *, behind: bool) -> list[dict[str, Any]]:
    if not behind:
        return queries.rows("list_parties_then", values)
    with queries.transaction_until(ANSWER):
        return queries.rows("list_parties_then", values)


def _then(event: Event) -> datetime:
    try:
        return asked_at(event)
    except (TypeError, ValueError, AttributeError):
        # Nobody is told of it.
        return event.at


def _read(routes: Sequence[dict[str, Any]], keys: KeyRing, numbers: Numbers) -> Parties | None:
    if not routes:
        return {}
    if routes[0]["x_number"] is None:
        return None
    binding = {name: routes[0][name] for name in _COLUMNS}
    found: dict[Side, list[str]] = {side: [] for side in Side}
    try:
        for party in read_parties(binding, routes, keys):
            shown = party.number.digits if numbers is Numbers.FULL else party.number.masked
            found[party.side].append(shown)
    except (SealError, ValueError):
        return None
    return found

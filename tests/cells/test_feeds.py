"""A feed is read once, in the global database, and ends bindings of all cells."""

from __future__ import annotations

import pytest
from cells.conftest import BLOCKS
from cells.test_cells import bound
from postgres.test_feeds import add, line, now, run

from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import BindingState
from agi_router.db.connection import Connection, Queries
from agi_router.errors import StoreUnavailable
from agi_router.events.model import EventType
from agi_router.events.store import EventStore
from agi_router.feeds.model import NumberForm
from agi_router.feeds.recycler import Recycler
from agi_router.tenants.model import UnknownNumbers
from agi_router.tenants.store import TenantStore
from harness.cells import NAMES, Cells
from harness.database import database_of
from harness.values import B


def test_bindings_of_all_cells(
    cells: Cells, dsn: str, connection: Connection, store: BindingStore
) -> None:
    """They are held, released and ended, with one report; one cell away keeps the step undone."""
    TenantStore(Queries(connection)).set_unknown_numbers("default", UnknownNumbers.HOLD)
    events = EventStore(Queries(connection), store.keys)
    events.set_types("default", [EventType.BINDING_ENDED, EventType.FEED_FINISHED])
    made = [bound(store, block) for block in BLOCKS]
    recycler = Recycler(connection, store.keys)
    feed = add(recycler)

    def outcomes(*lines: str) -> list[tuple[str, str]]:
        report = run(recycler, feed, *lines)
        matches = recycler.store.matches(report["id"])
        return [(match["outcome"], match["tenant"]) for match in matches]

    def states() -> set[BindingState]:
        return {store.find(each.id).state for each in made}

    assert outcomes(line(B, "unknown", now(store))) == [("held", "default")] * 2
    assert states() == {BindingState.HELD}
    assert outcomes(line(B, "kept", now(store))) == [("released", "default")] * 2
    assert states() == {BindingState.ACTIVE}
    cells.hurry()
    last = line(B, "reissued", now(store))
    with cells.admin(database_of(dsn)) as admin:
        admin.execute("SELECT agi_cells.set_away(%s, true)", (NAMES[1],))
        for each in (feed, add(recycler, "sums", NumberForm.SHA256)):
            with pytest.raises(StoreUnavailable, match=r"cell south does not answer"):
                run(recycler, each, last)
        admin.execute("SELECT agi_cells.set_away(%s, false)", (NAMES[1],))
    assert outcomes(last) == [("ended", "default")] * 2
    assert states() == {BindingState.PARTY_RECYCLED}
    told = [event.type for event, _ in events.events("default", limit=9).events]
    assert told[-3:] == [EventType.BINDING_ENDED] * 2 + [EventType.FEED_FINISHED]

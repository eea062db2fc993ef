"""Lists, page by page: each item once, whatever comes and goes meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Axb, Gxb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import BindingState, Mode
from agi_router.calls.end import Outcome
from agi_router.calls.lookup import CallLookup, cursor_of
from agi_router.cursors import Cursor
from agi_router.db.connection import Connection
from agi_router.errors import CursorInvalid
from agi_router.numbers import Block
from harness.database import HOUR, bind, expire, new_party, on_each_version
from harness.values import BLOCK, A, B, X

OTHER = Block.parse("70012345679")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def many(store: BindingStore, connection: Connection) -> list[Binding]:
    """Bindings of two tenants in two blocks, some of one moment, some over; newest first."""
    store.inventory.tenants.add("rides")
    store.inventory.add_block(OTHER, operator=None, certificate=None)
    for serial in range(12):
        a, b = new_party(), new_party()
        made = store.bind(
            Gxb(members=(a,), b=b) if serial % 4 == 3 else Axb(a=a, b=b),
            Terms(
                expires_at=store.now() + HOUR,
                tenant="rides" if serial % 3 else "default",
                order_id=f"O-{serial % 2}",
            ),
            x=(BLOCK, OTHER)[serial % 2].number(serial % 5),
        )
        # Not in the order of their ids, and three of one moment each.
        connection.execute(
            "UPDATE agi_router.binding SET begins_at = now() - %s WHERE id = %s",
            (timedelta(minutes=(serial * 7 % 12) // 3 + 2), made.id.id),
        )
        if serial % 5 == 0:
            store.unbind(made.id)
        elif serial == 4:
            expire(connection, made.id)
    return store.bindings(everything=True, order_id=None, limit=100)


def pages(
    read: Callable[..., list[Any]], cursor: Callable[[Any], Cursor], limit: int
) -> list[list[Any]]:
    """All pages of a list."""
    found: list[list[Any]] = []
    after = None
    while page := read(after=after, limit=limit):
        assert len(page) <= limit
        found.append(page)
        after = Cursor.parse(str(cursor(page[-1])))
    return found


FILTERS: list[tuple[dict[str, Any], Callable[[Binding], bool]]] = [
    ({"everything": True}, lambda _: True),
    ({"everything": False}, lambda each: each.state is BindingState.ACTIVE),
    ({"everything": True, "order_id": "O-1"}, lambda each: each.order_id == "O-1"),
    ({"everything": True, "mode": Mode.GXB}, lambda each: each.mode is Mode.GXB),
    (
        {"everything": True, "x_number": BLOCK.number(2)},
        lambda each: any(party.dials == BLOCK.number(2) for party in each.parties),
    ),
    *(
        ({"everything": True, "state": state}, lambda each, state=state: each.state is state)
        for state in BindingState
    ),
]


@on_each_version
def test_bindings(store: BindingStore, many: list[Binding]) -> None:
    """By every filter, on pages of any size, those that pass it, in one order."""
    assert len(many) == 12
    assert [each.cursor for each in many] != []
    ordered = sorted(many, key=lambda each: (each.begins_at, each.id), reverse=True)
    assert many == ordered
    for filters, passes in FILTERS:
        asked = {"order_id": None, **filters}
        expected = [each.id for each in many if passes(each)]
        for limit in (1, 2, 5, 100):
            found = pages(
                lambda asked=asked, **page: store.bindings(**asked, **page),
                lambda each: each.cursor,
                limit,
            )
            assert [each.id for page in found for each in page] == expected
    middle = many[5].begins_at
    since = store.bindings(everything=True, order_id=None, created_after=middle, limit=100)
    assert [each.id for each in since] == [each.id for each in many if each.begins_at > middle]
    assert since


def test_a_tenants_bindings(store: BindingStore, many: list[Binding]) -> None:
    """The same within a scope."""
    within = store.within(store.inventory.tenants.scope("rides"))
    found = pages(
        lambda **page: within.bindings(everything=True, order_id=None, **page),
        lambda each: each.cursor,
        3,
    )
    mine = [each.id for each in many if each.tenant == "rides"]
    assert [each.id for page in found for each in page] == mine


def test_what_comes_and_goes(
    store: BindingStore, connection: Connection, many: list[Binding]
) -> None:
    """What is made meanwhile moves nothing; what the last page ended with may even be gone."""
    first = store.bindings(everything=True, order_id=None, limit=4)
    bind(store, x=BLOCK.number(4000))
    gone = (first[-1].id.id,)
    connection.execute("DELETE FROM agi_router.route WHERE binding_id = %s", gone)
    connection.execute("DELETE FROM agi_router.binding WHERE id = %s", gone)
    rest = store.bindings(everything=True, order_id=None, after=first[-1].cursor, limit=100)
    assert [each.id for each in (*first, *rest)] == [each.id for each in many]


def test_a_cursor_of_another_list(store: BindingStore) -> None:
    with pytest.raises(CursorInvalid):
        store.bindings(everything=True, order_id=None, after=Cursor(LONG_AGO, "pbx1-1.2"), limit=1)


@on_each_version
def test_calls(store: BindingStore, connection: Connection) -> None:
    """The same of calls, of several days and moments."""
    made = store.bind(Axb(a=A, b=B), Terms(expires_at=store.now() + HOUR), x=X)
    now = store.now()
    for serial in range(20):
        at = now - timedelta(hours=serial // 3 * 11)
        connection.execute(
            "INSERT INTO agi_router.call (block, id, day, x_number, received_at, binding_id,"
            " tenant_id, outcome, state) VALUES (%s, %s, %s, %s, %s, %s, 1, %s, %s)",
            (
                BLOCK.value,
                f"pbx1-{int(at.timestamp())}.{serial}",
                at.astimezone(UTC).date(),
                X.value,
                at,
                made.id.id if serial % 2 else None,
                "answered" if serial % 4 == 1 else "busy",
                "reserved" if serial % 5 == 1 else "settled",
            ),
        )
    lookup = CallLookup(connection)
    asked: dict[str, Any] = {"since": LONG_AGO}
    every = lookup.calls(**asked, limit=100)
    assert len(every) == 20
    middle = every[7]["received_at"]
    for filters, passes in (
        ({}, lambda _: True),
        ({"bindings": [made.id]}, lambda row: row["binding_id"] is not None),
        ({"outcome": Outcome.ANSWERED}, lambda row: row["outcome"] == "answered"),
        ({"x_number": X}, lambda _: True),
        ({"bindings": [made.id], "x_number": X}, lambda row: row["binding_id"] is not None),
        ({"until": middle}, lambda row: row["received_at"] < middle),
    ):
        expected = [row["id"] for row in every if passes(row)]
        assert expected
        for limit in (1, 3, 100):
            found = pages(
                lambda filters=filters, **page: lookup.calls(**asked, **filters, **page),
                cursor_of,
                limit,
            )
            assert [row["id"] for page in found for row in page] == expected

"""What a binding may not be is refused by the database itself, whoever writes it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import connect
from agi_router.keys.ring import KeyRing
from harness.database import NO_REST, SOON, Server, bind, on_each_version
from harness.values import BLOCK

pytestmark = on_each_version

WRONG = {
    "binding_uses": [
        "calls_used = -1",
        "max_calls = 1, calls_used = 2",
    ],
    "binding_terms": [
        "max_calls = 0",
        "ring_timeout = 4",
        "ring_timeout = 121",
        "max_duration = 0",
        "max_duration = 14401",
        "language = 'fr'",
        "order_id = ''",
        "order_id = repeat('o', 129)",
        "counting = 'rings'",
        "direction = 'c'",
        "display_a = 'a'",
        "display_b = 'b'",
        "prompts = 'Own'",
    ],
    "binding_mode": [
        "mode = 'xyz', callback = NULL",
        "callback = 'first', mode = 'gxb'",
        "callback = 'last'",
        "mode = 'gxb'",
        "mode = 'gxb', callback = 'last', callback_window = 0",
        "mode = 'gxb', callback = 'all', callback_window = 60",
        "extension = '1'",
        "mode = 'axe', callback = 'last', open_number = block * 10000",
        "mode = 'axe', callback = 'last', open_number = block * 10000, extension = 'a'",
        "open_number = block * 10000",
        "mode = 'ax', callback = 'last'",
        "mode = 'ax', callback = 'last', open_number = 0",
        "mode = 'axyb', y_ttl = 0",
        "y_ttl = 60",
        "parent_id = id",
    ],
    "binding_state": [
        "state = 'lost', ended_at = now()",
        "state = 'expired'",
        "ended_at = now()",
        "calls_settled = -1",
    ],
}
"""By the name of what refuses it; each of an AXB binding otherwise in order."""

RIGHT = [
    "max_calls = 1, calls_used = 1, calls_settled = 1",
    "ring_timeout = 5, max_duration = 14400, language = 'en', order_id = repeat('o', 128)",
    "counting = 'attempts', direction = 'a', display_a = 'anonymous', prompts = 'own-1'",
    "mode = 'gxb', callback = 'last', callback_window = 1",
    "mode = 'axe', callback = 'last', open_number = block * 10000, extension = '0123'",
    "mode = 'axyb', y_ttl = 1, parent_id = id",
    "state = 'used_up', ended_at = now()",
]


@pytest.fixture(scope="module")
def shared(server: Server) -> Iterator[BindingStore]:
    """One database for all: what a test changes is undone."""
    dsn = server.clone()
    with connect(dsn, idle=int(SOON)) as connection:
        store = BindingStore(connection, KeyRing.generate(), NO_REST)
        store.inventory.add_block(BLOCK, operator=None, certificate=None)
        yield store
    server.drop(dsn)


@pytest.fixture
def store(shared: BindingStore) -> Iterator[BindingStore]:
    """Where one binding is made, which is gone after the test."""
    with shared.connection.transaction(force_rollback=True):
        yield shared


def refusal(store: BindingStore, statement: str) -> psycopg.errors.Diagnostic:
    """What the database says of a statement that it refuses, and undoes."""
    with pytest.raises(psycopg.errors.CheckViolation) as refused, store.connection.transaction():
        store.connection.execute(statement.encode())
    return refused.value.diag


@pytest.mark.parametrize(
    ("name", "change"), [(name, change) for name, each in WRONG.items() for change in each]
)
def test_what_a_binding_may_not_become(store: BindingStore, name: str, change: str) -> None:
    made = store.find(bind(store).id)
    refused = refusal(store, f"UPDATE agi_router.binding SET {change}")

    assert refused.constraint_name == name
    assert refused.table_name == "binding"
    assert store.find(made.id) == made


@pytest.mark.parametrize("change", RIGHT)
def test_what_a_binding_may_become(store: BindingStore, change: str) -> None:
    bind(store)
    done = store.connection.execute(f"UPDATE agi_router.binding SET {change}".encode())

    assert done.rowcount == 1


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        ("binding_uses", "calls_used", "-1"),
        ("binding_terms", "ring_timeout", "4"),
        ("binding_mode", "mode", "'gxb'"),
        ("binding_state", "state", "'expired'"),
    ],
)
def test_what_is_not_inserted(store: BindingStore, name: str, column: str, value: str) -> None:
    made = bind(store)
    columns = {
        "block": str(made.id.block.value),
        "tenant_id": "1",
        "mode": "'axb'",
        "expires_at": "now()",
        column: value,
    }
    names, values = ", ".join(columns), ", ".join(columns.values())
    statement = f"INSERT INTO agi_router.binding ({names}) VALUES ({values})"

    assert refusal(store, statement).constraint_name == name


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        ("route_side_check", "side", "'c'"),
        ("route_x_number_in_block", "x_number", "x_number + 10000"),
        ("route_shown_in_block", "shown", "shown + 10000"),
        ("route_last_callee_with_time", "last_at", "now()"),
    ],
)
def test_what_a_route_may_not_be(store: BindingStore, name: str, column: str, value: str) -> None:
    made = bind(store)
    columns = ["block", "x_number", "caller_tag", "binding_id", "shown", "side", "callee"]
    columns += ["callee_tags", "ends_at", "last_at"]
    given = {"caller_tag": "caller_tag + 1", column: value}
    names, values = ", ".join(columns), ", ".join(given.get(each, each) for each in columns)
    for statement in (
        f"UPDATE agi_router.route SET {column} = {value}",
        f"INSERT INTO agi_router.route ({names}) SELECT {values} FROM agi_router.route",
    ):
        refused = refusal(store, statement)

        assert (refused.constraint_name, refused.table_name) == (name, "route")
    assert store.find(made.id) == made

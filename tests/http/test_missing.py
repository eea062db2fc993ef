"""An answer about all says which cells are away."""

from __future__ import annotations

import pytest

from agi_router.db.connection import Connection
from harness.api import Client
from harness.values import A, B


@pytest.mark.usefixtures("store")
def test_whoever_reads_hears_what_is_missing(
    couriers: Client, operator: Client, connection: Connection
) -> None:
    """Lists, what is not found, ends of orders; where none is away nothing is said."""
    asked = (
        ("GET", "/v1/bindings", None),
        ("GET", "/v1/bindings/70012345678-1", None),
        ("POST", "/v1/orders/end", {"order": "O-1"}),
        ("POST", "/v1/bindings/search", {"party": A.digits}),
    )
    for method, path, body in asked:
        assert "Missing-Cells" not in couriers.ask(method, path, body).headers
    connection.execute(
        "CREATE OR REPLACE FUNCTION agi_router.list_missing() RETURNS SETOF text"
        " LANGUAGE sql STABLE AS $$ VALUES ('east'), ('west') $$"
    )
    for method, path, body in asked:
        assert couriers.ask(method, path, body).headers["Missing-Cells"] == "east, west"
    assert operator.ask("GET", "/v1/calls").headers["Missing-Cells"] == "east, west"
    # A bind is about one.
    bound = couriers.ask(
        "POST", "/v1/bindings", {"a": A.digits, "b": B.digits}, Idempotency_Key="missing-1"
    )
    assert bound.status_code == 201
    assert "Missing-Cells" not in bound.headers

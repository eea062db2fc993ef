"""Findings of misuse by HTTP: masked in the list, in full for the carrier, until it has them."""

from __future__ import annotations

from collections.abc import Callable

from starlette.testclient import TestClient

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Connection
from agi_router.numbers import PhoneNumber
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import LockedThing
from agi_router.tenants.api_keys import KeyScope
from harness.api import Client
from harness.database import bind
from harness.values import A, B


def lock(store: BindingStore, person: PhoneNumber) -> None:
    thing = LockedThing(subject=Subject.PERSON, person=person)
    store.locks.set(thing, LockReason.MISUSE, by="a test")


def test_findings(operator: Client, store: BindingStore, connection: Connection) -> None:
    """Page by page; handed out with numbers, which is on record; acknowledged once."""
    bind(store, A, B)
    for person in (A, B):
        lock(store, person)
    first = operator.get("/v1/findings?limit=1")
    second = operator.get(f"/v1/findings?limit=1&cursor={first['next_cursor']}")
    listed = [*first["findings"], *second["findings"]]
    assert [each["number"] for each in listed] == [A.masked, B.masked]
    digit = listed[0]["operator"]
    taken = operator.post("/v1/findings/take", {"operator": digit})["findings"]
    assert [each["number"] for each in taken] == [A.digits, B.digits]
    rows = connection.execute(b"SELECT act FROM agi_router.audit").fetchall()
    assert "POST /v1/findings/take" in {row["act"] for row in rows}
    up_to = {"operator": digit, "up_to": taken[-1]["id"]}
    for count in (2, 0):
        done = operator.post("/v1/findings/acknowledge", up_to)
        assert done == {"acknowledged": count}
    assert operator.get("/v1/findings") == {"findings": [], "next_cursor": None}
    assert len(operator.get("/v1/findings?everything=true")["findings"]) == 2
    wrong = operator.ask("GET", "/v1/findings?cursor=MHxh")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "cursor_invalid")


def test_numbers_need_their_scope(http: TestClient, make_key: Callable[..., str]) -> None:
    """The scope to write feeds alone shows no number."""
    narrow = Client(http, make_key(None, KeyScope.FEEDS_WRITE))
    refused = narrow.ask("POST", "/v1/findings/take", {"operator": 1})
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")

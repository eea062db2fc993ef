"""Locks by HTTP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from agi_router.cursors import Cursor
from agi_router.db.connection import Connection, connect
from harness.api import Client
from harness.database import one, until

A, B, C, D = (f"1380000071{serial}" for serial in range(4))
_WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND classid = 7002029"


def test_a_person_is_locked_and_let_go(operator: Client, couriers: Client) -> None:
    """A bind is refused by name meanwhile; the app of a tenant that knows it learns why."""
    couriers.bind(A, B)
    body = {"person": A, "reason": "arrears", "rule": "R-7", "note": "please pay"}
    made = operator.post("/v1/locks", body, status=201)
    assert made["person"].startswith("138****")
    refused = couriers.ask("POST", "/v1/bindings", {"a": A, "b": C}, Idempotency_Key="l-1")
    assert (refused.status_code, refused.json()["code"]) == (409, "party_locked")
    assert A not in refused.text
    found = couriers.post("/v1/locks/search", {"person": A})["locks"]
    assert [(each["id"], each["reason"], each["note"]) for each in found] == [
        (made["id"], "arrears", "please pay")
    ]
    assert found[0]["set_by"] is None
    # It has no binding of this tenant, so nothing is told of it.
    operator.post("/v1/locks", {"person": C, "reason": "misuse"}, status=201)
    assert couriers.post("/v1/locks/search", {"person": C})["locks"] == []
    lifted = operator.post(f"/v1/locks/{made['id']}/lift", {"note": "paid"})
    assert (lifted["state"], lifted["lift_note"]) == ("lifted", "paid")
    again = operator.ask("POST", f"/v1/locks/{made['id']}/lift", {})
    assert (again.status_code, again.json()["code"]) == (409, "lock_over")
    assert couriers.post("/v1/locks/search", {"person": A})["locks"] == []
    couriers.bind(A, D)


def test_a_tenants_key_locks_for_the_tenant(operator: Client, couriers: Client) -> None:
    """A person for itself alone; blocks and tenants are the operator's."""
    mine = couriers.post("/v1/locks", {"person": A, "reason": "misuse"}, status=201)
    assert mine["tenant"] == "couriers"
    assert couriers.get("/v1/locks")["locks"] == [mine]
    for word, value in (("block", "70012345678"), ("tenant", "couriers")):
        body = {word: value, "reason": "misuse"}
        told = couriers.ask("POST", "/v1/locks", body, Idempotency_Key=word)
        assert told.status_code in {403, 404}, told.text
    hidden = operator.post("/v1/locks", {"person": B, "reason": "misuse"}, status=201)
    assert couriers.ask("GET", f"/v1/locks/{hidden['id']}").json()["code"] == "lock_not_found"
    assert couriers.ask("GET", "/v1/locks/13800000001").status_code == 404
    assert couriers.ask("GET", f"/v1/locks/{A}x").json()["code"] == "lock_not_found"


def test_many_at_once(operator: Client, couriers: Client) -> None:
    """Numbers, blocks, those of a digit, each by itself; sent again nothing is set or lifted."""
    window = {"reason": "maintenance", "ends_at": "2036-03-01T04:00:00+08:00", "note": "works"}
    numbers = [f"70012345678000{serial}" for serial in range(3)]
    body = {**window, "x": [*numbers, "700999999990001"], "blocks": ["70012345678"]}
    done = operator.post("/v1/locks/batch", body)["results"]
    assert [each["status"] for each in done] == [201, 201, 201, 201, 404]
    assert done[4]["problem"]["code"] == "block_not_found"
    assert [each["lock"]["x"] for each in done[:4]] == [None, *numbers]
    assert [(each["x"], each["block"]) for each in done] == [
        (None, "70012345678"),
        *((x, None) for x in (*numbers, "700999999990001")),
    ]
    again = operator.post("/v1/locks/batch", {**body, "x": numbers, "operator": 1})["results"]
    assert again == [{**each, "status": 200} for each in done[:4]]
    other = operator.post("/v1/locks/batch", {**window, "rule": "R-1", "x": numbers[:1]})
    assert other["results"][0]["status"] == 201
    # What is not its own a tenant neither locks nor lifts.
    told = couriers.post("/v1/locks/batch", {"operator": 1, "reason": "misuse"})["results"]
    assert {each["status"] for each in told} <= {403, 404}
    assert couriers.post("/v1/locks/lift", {"x": numbers})["locks"] == []
    assert operator.post("/v1/locks/lift", {"x": numbers, "reason": "misuse"})["locks"] == []
    lifted = operator.post("/v1/locks/lift", {"x": numbers, "operator": 1, "note": "done"})
    assert {each["lift_note"] for each in lifted["locks"]} == {"done"}
    assert (len(lifted["locks"]), lifted["damaged"]) == (5, 0)
    assert operator.post("/v1/locks/lift", {"x": numbers, "operator": 1})["locks"] == []
    # Of a person a tenant lifts what it has set itself.
    operator.post("/v1/locks", {"person": A, "reason": "arrears"}, status=201)
    mine = couriers.post("/v1/locks", {"person": A, "reason": "arrears"}, status=201)
    (gone,) = couriers.post("/v1/locks/lift", {"person": A, "reason": "arrears"})["locks"]
    assert (gone["id"], gone["state"]) == (mine["id"], "lifted")
    assert len(operator.post("/v1/locks/lift", {"person": A})["locks"]) == 1
    for path in ("batch", "lift"):
        for wrong in ({}, {"x": ["1"]}, {"x": numbers, "person": A}):
            told = operator.ask("POST", f"/v1/locks/{path}", {**wrong, "reason": "misuse"})
            assert told.status_code == 422, told.text


def test_a_lock_of_another_hand_is_another_lock(operator: Client, couriers: Client) -> None:
    """A tenant that lifts its own lifts nothing of the operator's."""
    operator.post("/v1/blocks", {"block": "70012345679", "tenant": "couriers"}, status=201)
    x = "700123456790001"
    body = {"x": [x], "reason": "misuse"}
    (mine,) = couriers.post("/v1/locks/batch", body)["results"]
    (theirs,) = operator.post("/v1/locks/batch", body)["results"]
    assert (mine["status"], theirs["status"]) == (201, 201)
    (again,) = couriers.post("/v1/locks/batch", body)["results"]
    assert again == {**mine, "status": 200}
    (lifted,) = couriers.post("/v1/locks/lift", {"x": [x]})["locks"]
    assert lifted["id"] == mine["lock"]["id"]
    (left,) = operator.get(f"/v1/locks?x={x}")["locks"]
    assert left["id"] == theirs["lock"]["id"]


def test_two_batches_at_once(operator: Client, connection: Connection, dsn: str) -> None:
    """The one that comes second answers what the first has set."""
    body = {"x": ["700123456780001"], "reason": "misuse"}
    with connect(dsn) as other, ThreadPoolExecutor(2) as pool:
        with other.transaction():
            # As one does that sets a lock on it.
            other.execute("SELECT pg_advisory_xact_lock(7002029, (700123456780001 & 63)::integer)")
            both = [pool.submit(operator.post, "/v1/locks/batch", body) for _ in range(2)]
            until(lambda: one(connection, _WAITING) == 2)
        told = [each.result()["results"][0] for each in both]
    assert sorted(each["status"] for each in told) == [200, 201]
    assert told[0]["lock"]["id"] == told[1]["lock"]["id"]


def test_the_audit_knows_whose_locks_were_lifted(operator: Client, connection: Connection) -> None:
    """One by one, and all on a person."""
    for _ in range(2):
        made = operator.post("/v1/locks", {"person": A, "reason": "misuse"}, status=201)
    operator.post(f"/v1/locks/{made['id']}/lift", {})
    operator.post("/v1/locks/lift", {"person": A})
    tags = connection.execute("SELECT tag FROM agi_router.audit WHERE act LIKE '%lift'").fetchall()
    assert len(tags) == 2
    (tag,) = {each["tag"] for each in tags}
    assert tag is not None


def test_pages(operator: Client) -> None:
    """Newest first, each lock once."""
    numbers = [f"70012345678000{serial}" for serial in range(3)]
    for x in numbers:
        operator.post("/v1/locks", {"x": x, "reason": "security_risk"}, status=201)
    first = operator.get("/v1/locks?limit=2")
    rest = operator.get(f"/v1/locks?limit=2&cursor={first['next_cursor']}")
    assert [each["x"] for each in (*first["locks"], *rest["locks"])] == numbers[::-1]
    assert operator.get(f"/v1/locks?x={numbers[0]}&subject=number")["locks"][0]["x"] == numbers[0]
    assert operator.get("/v1/locks?reason=arrears")["locks"] == []
    for name in ("0", str(2**63), "0" * 30 + str(2**63), "9" * 100, "x"):
        told = operator.ask("GET", f"/v1/locks?cursor={Cursor(datetime.now(UTC), name)}")
        assert (told.status_code, told.json()["code"]) == (422, "cursor_invalid"), name


def test_what_is_damaged_hides_nothing(operator: Client, connection: Connection) -> None:
    """It stands in lists with null for the person, and why; by its id it can be ended."""
    for path, name, act in (("locks", "locks", "lift"), ("blocklist", "entries", "remove")):
        body = {"reason": "misuse"} if path == "locks" else {}
        made = [
            operator.post(f"/v1/{path}", {"person": each, **body}, status=201) for each in (A, B)
        ]
        table = path.removesuffix("s")
        connection.execute(
            f"UPDATE agi_router.{table} SET sealed = '\\x00' WHERE id = %s", (made[0]["id"],)
        )
        told = operator.get(f"/v1/{path}")[name]
        assert told[0] == made[1]
        assert told[1] == {**made[0], "person": None, "damage": told[1]["damage"]}
        assert told[1]["damage"]
        assert operator.post(f"/v1/{path}/search", {"person": A})[name] == [told[1]]
        assert operator.get(f"/v1/{path}/{made[0]['id']}") == told[1]
        assert operator.post(f"/v1/{path}/{made[0]['id']}/{act}", {})["damage"]


def test_what_is_asked_for_has_to_be_one_thing(operator: Client) -> None:
    """Else it is refused, and nothing of it is told back."""
    for body, pointer in (
        ({}, ""),
        ({"x": "700123456780001", "person": A}, ""),
        ({"x": "700123456780001", "tenant": "couriers"}, ""),
        ({"x": "1"}, "/x"),
        ({"block": "1"}, "/block"),
        ({"person": "1"}, "/person"),
    ):
        told = operator.ask(
            "POST", "/v1/locks", {**body, "reason": "misuse"}, Idempotency_Key=str(body)
        )
        assert told.status_code == 422, told.text
        assert told.json()["errors"][0]["pointer"] == pointer
        assert A not in told.text
    late = {"tenant": "couriers", "reason": "maintenance"}
    told = operator.ask("POST", "/v1/locks", late, Idempotency_Key="late")
    assert told.json()["code"] == "expiry_invalid"
    both = operator.post(
        "/v1/locks", {"person": A, "tenant": "couriers", "reason": "misuse"}, status=201
    )
    assert (both["subject"], both["tenant"]) == ("person", "couriers")
    tenant = operator.post("/v1/locks", {"tenant": "couriers", "reason": "misuse"}, status=201)
    block = operator.post("/v1/locks", {"block": "70012345678", "reason": "misuse"}, status=201)
    assert (tenant["subject"], block["block"]) == ("tenant", "70012345678")

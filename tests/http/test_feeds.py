"""Feeds by HTTP: a program tells which numbers have new owners, and bindings end."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Connection, Queries
from agi_router.feeds.model import RECORDS_AT_ONCE, FeedKind, NumberForm, Trust
from agi_router.feeds.store import FeedStore
from agi_router.feeds.waiting import MOST_WAITING, WaitingFiles
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import Cipher, KeyRing
from agi_router.maintenance.classes import Retention
from agi_router.maintenance.retention import Sweep
from agi_router.tenants.model import UnknownNumbers
from harness import cli
from harness.api import Client
from harness.database import NO_REST, one

A, B, C, D = (f"1380000060{serial}" for serial in range(4))
RECORDS = "/v1/feeds/carriers/records"


@pytest.fixture
def feed(operator: Client) -> Any:
    """A feed."""
    return operator.post("/v1/feeds", {"name": "carriers", "every": 86_400}, status=201)


def push(operator: Client, *records: dict[str, str], file: str = "1") -> Any:
    """Send records, and return what came of them."""
    return operator.post(RECORDS, {"file": file, "records": list(records)})


def reissued(store: BindingStore, number: str) -> dict[str, str]:
    """What says that a number has a new owner since this moment."""
    return {"number": number, "status": "reissued", "date": store.now().isoformat()}


def test_the_life_of_a_feed(operator: Client, connection: Connection, feed: Any) -> None:
    """Added, shown, removed; each change is on record."""
    assert (feed["kind"], feed["numbers"], feed["trust"]) == ("push", "plain", "full")
    assert (feed["every"], feed["overdue"], feed["last_at"]) == (86_400, False, None)
    again = operator.ask("POST", "/v1/feeds", {"name": "carriers"}, Idempotency_Key="again")
    assert (again.status_code, again.json()["code"]) == (409, "feed_exists")
    assert operator.get("/v1/feeds/carriers") == feed
    assert operator.get("/v1/feeds") == {"feeds": [feed]}
    assert operator.ask("DELETE", "/v1/feeds/carriers").json() == feed
    absent = operator.ask("DELETE", "/v1/feeds/carriers")
    assert (absent.status_code, absent.json()["code"]) == (404, "feed_not_found")
    rows = connection.execute(b"SELECT act, subject FROM agi_router.audit ORDER BY at").fetchall()
    assert [row["act"].partition(" ")[0] for row in rows] == ["POST", "DELETE"]
    assert {row["subject"] for row in rows} == {"feed carriers"}


@pytest.mark.usefixtures("feed")
def test_a_binding_that_waits_is_released(
    operator: Client, couriers: Client, store: BindingStore
) -> None:
    """By the operator alone, and once."""
    store.inventory.tenants.set_unknown_numbers("couriers", UnknownNumbers.HOLD)
    made = couriers.bind(A, B)
    told = push(operator, {"number": B, "status": "unknown"})
    assert [each["outcome"] for each in told["matches"]] == ["held"]
    path = f"/v1/bindings/{made['id']}"
    held = couriers.get(path)
    assert (held["state"], held["version"]) == ("held", made["version"] + 1)
    assert [each["id"] for each in couriers.get("/v1/bindings?state=held")["bindings"]] == [
        made["id"]
    ]
    assert couriers.ask("POST", f"{path}/release").status_code == 403
    assert operator.post(f"{path}/release", None)["state"] == "active"
    again = operator.ask("POST", f"{path}/release")
    assert (again.status_code, again.json()["code"]) == (422, "feed_invalid")


@pytest.mark.usefixtures("feed")
def test_bindings_of_old_owners_end(
    operator: Client, couriers: Client, store: BindingStore, connection: Connection
) -> None:
    """What cannot be read is told by its place; sent again, nothing more is done."""
    ended, lives = couriers.bind(A, B), couriers.bind(A, C)
    records = reissued(store, B), {"number": D, "status": "reissued"}, {"number": C, "status": "0"}
    told = push(operator, *records)
    counts = ("records", "reissued", "unknown", "malformed", "matched", "ended", "damaged")
    assert [told[each] for each in counts] == [3, 1, 1, 1, 2, 1, 0]
    assert [each["line"] for each in told["faults"]] == [2]
    outcomes = {each["binding"]: each["outcome"] for each in told["matches"]}
    assert outcomes == {ended["id"]: "ended", lives["id"]: "rings"}
    assert couriers.get(f"/v1/bindings/{ended['id']}")["state"] == "party_recycled"
    assert couriers.get(f"/v1/bindings/{lives['id']}")["state"] == "active"
    assert push(operator, *records) == told
    other = push(operator, *records, file="2")
    assert (other["run"] != told["run"], other["ended"]) == (True, 0)
    report = operator.get(f"/v1/feeds/carriers/runs/{told['run']}")
    assert {**report, "damaged": 0} == told
    path = "/v1/feeds/carriers/runs?limit=1"
    first = operator.get(path)
    then = operator.get(f"{path}&cursor={first['next_cursor']}")
    runs = first["runs"] + then["runs"]
    assert [each["run"] for each in runs] == [other["run"], told["run"]]
    assert operator.get(f"{path}&cursor={then['next_cursor']}")["runs"] == []
    assert operator.get("/v1/feeds/carriers")["last_at"] is not None
    dump = connection.execute(
        b"SELECT (SELECT json_agg(a) FROM agi_router.audit a)::text"
        b" || (SELECT json_agg(r) FROM agi_router.feed_run r)::text"
        b" || (SELECT json_agg(f) FROM agi_router.feed_fault f)::text AS all_of_it"
    ).fetchone()
    assert dump is not None
    assert not [each for each in (A, B, C, D) if each in dump["all_of_it"] + str(told)]


@pytest.mark.usefixtures("feed")
def test_what_is_refused(operator: Client, connection: Connection) -> None:
    """Without telling what came."""
    some = {"number": A, "status": "kept"}
    for body in (
        {"records": [some]},
        {"file": "1", "records": []},
        {"file": "1", "records": [some] * (RECORDS_AT_ONCE + 1)},
        {"file": "1", "records": [{**some, "owner": B}]},
        {"file": "1", "records": [{**some, "date": B * 10}]},
        {"file": "\n", "records": [some]},
    ):
        refused = operator.ask("POST", RECORDS, body)
        assert (refused.status_code, refused.json()["code"]) == (422, "request_invalid")
        assert A not in refused.text
        assert B not in refused.text
    feeds = FeedStore(Queries(connection))
    feeds.add(
        "files",
        kind=FeedKind.FILE,
        path="/srv/feed",
        numbers=NumberForm.PLAIN,
        trust=Trust.FULL,
    )
    push_body = {"file": "1", "records": [some]}
    elsewhere = operator.ask("POST", "/v1/feeds/files/records", push_body)
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (422, "feed_invalid")
    run = push(operator, some)["run"]
    for path in (f"/v1/feeds/files/runs/{run}", f"/v1/feeds/{A}", "/v1/feeds/carriers/runs/999"):
        absent = operator.ask("GET", path)
        assert (absent.status_code, absent.json()["code"]) == (404, "feed_not_found")
        assert A not in absent.text
    with feeds.held(feeds.find("carriers")):
        busy = operator.ask("POST", RECORDS, push_body)
    assert (busy.status_code, busy.json()["code"]) == (409, "feed_busy")


def test_a_feed_with_an_address(operator: Client, connection: Connection) -> None:
    """Its secret is told to nobody; it is asked soon, whatever its schedule; once."""
    body = {"name": "telecom", "kind": "pull", "path": "https://carrier.example/recycled"}
    secret = "Bearer s3cret-of-the-carrier"
    made = operator.post("/v1/feeds", {**body, "authorization": secret}, status=201)
    assert (made["kind"], made["authorized"], made["asked_at"]) == ("pull", True, None)
    asked = operator.post("/v1/feeds/telecom/pull", None, status=202)
    assert asked["asked_at"] is not None
    (feed,) = FeedStore(Queries(connection)).all()
    assert feed.due
    Queries(connection).execute("note_feed_failed", {"feed_id": feed.id, "why": "away"})
    assert not FeedStore(Queries(connection)).find("telecom").due
    path = "/v1/feeds/telecom/authorization"
    for said, is_kept in ((None, False), (secret, True)):
        told = operator.ask("PUT", path, {"authorization": said}).json()
        assert told["authorized"] is is_kept
    dump = connection.execute(
        b"SELECT (SELECT json_agg(a) FROM agi_router.audit a)::text"
        b" || (SELECT json_agg(p) FROM agi_router.feed_pull p)::text AS all_of_it"
    ).fetchone()
    assert dump is not None
    assert "s3cret" not in dump["all_of_it"] + str(told)


@pytest.mark.usefixtures("feed")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/feeds", {"name": "a", "kind": "pull"}),
        ("POST", "/v1/feeds", {"name": "a", "kind": "pull", "path": "http://127.0.0.1/x"}),
        ("POST", "/v1/feeds", {"name": "a", "kind": "pull", "path": "https://[x"}),
        ("POST", "/v1/feeds", {"name": "a", "kind": "folder", "path": "/srv"}),
        ("POST", "/v1/feeds", {"name": "a", "authorization": "Bearer x"}),
        ("POST", "/v1/feeds/carriers/pull", None),
        ("PUT", "/v1/feeds/carriers/authorization", {"authorization": "Bearer x"}),
        ("POST", "/v1/feeds/carriers/files", {"file": "a", "content": "a,b\n1,2\n"}),
    ],
)
def test_what_does_not_go_together(
    operator: Client, connection: Connection, method: str, path: str, body: Any
) -> None:
    """Is refused, and changes nothing."""
    assert operator.ask(method, path, body, Idempotency_Key="one").status_code == 422
    assert [feed.name for feed in FeedStore(Queries(connection)).all()] == ["carriers"]


@pytest.mark.usefixtures("feed")
def test_a_file(operator: Client, couriers: Client, store: BindingStore) -> None:
    """It is the one that the command line reads; sent again it changes nothing."""
    made = couriers.bind(A, B)
    content = f"number,status,date\n{B},reissued,{store.now().isoformat()}\n{C},x,\n"
    body = {"file": "today.csv", "content": content}
    told = operator.post("/v1/feeds/carriers/files", body)
    assert [told[each] for each in ("records", "malformed", "ended")] == [2, 1, 1]
    assert [each["line"] for each in told["faults"]] == [3]
    assert couriers.get(f"/v1/bindings/{made['id']}")["state"] == "party_recycled"
    assert operator.post("/v1/feeds/carriers/files", {**body, "file": "again.csv"}) == told


def test_digests_wait_for_the_timer(
    operator: Client,
    couriers: Client,
    store: BindingStore,
    dsn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Kept sealed, read by the timer, which may be killed; gone when they are done."""
    made, other = couriers.bind(A, B), couriers.bind(C, D)
    operator.post("/v1/feeds", {"name": "carriers", "numbers": "sha256"}, status=201)
    record = {**reissued(store, B), "number": hashlib.sha256(B.encode()).hexdigest()}
    body = {"file": "1", "records": [record, {"number": B, "status": "kept"}]}
    taken = operator.ask("POST", RECORDS, body)
    assert taken.status_code == 202
    run = taken.json()
    assert (run["state"], run["records"]) == ("unfinished", 0)
    where = taken.headers["Location"]
    assert where == f"/v1/feeds/carriers/runs/{run['run']}"
    line = f"{hashlib.sha256(D.encode()).hexdigest()},1,{record['date']}"
    file = {"file": "2.csv", "content": f"number,status,date\n{line}\n"}
    operator.post("/v1/feeds/carriers/files", file, status=202)
    assert operator.post(RECORDS, body, status=202) == run
    assert operator.get("/v1/feeds/carriers")["waiting"] == 2
    broken = operator.ask("POST", "/v1/feeds/carriers/files", {**file, "content": "a,b\n"})
    assert broken.status_code == 422
    assert operator.get("/v1/feeds/carriers")["waiting"] == 2
    kept = store.connection.execute(b"SELECT sealed FROM agi_router.feed_body").fetchall()
    assert not [each for each in kept if record["number"].encode() in each["sealed"]]
    key_file = tmp_path / "key"
    write_key_ring(key_file, store.keys)
    env = {"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(key_file)}
    pull = ("feed", "pull", "--processes", "1", "--json")

    def die(*_: object) -> None:
        raise SystemExit(137)

    with monkeypatch.context() as patch:
        patch.setattr(FeedStore, "finish", die)
        assert cli.run(pull, env).code == 137
    assert operator.get("/v1/feeds/carriers")["waiting"] == 2
    done = cli.run(pull, env).json
    assert [(each["run"], each["state"], each["ended"]) for each in done] == [
        (run["run"], "done", 1),
        (run["run"] + 1, "done", 1),
    ]
    report = operator.get(where)
    assert [report[each] for each in ("state", "records", "malformed")] == ["done", 2, 1]
    assert [each["binding"] for each in report["matches"]] == [made["id"]]
    for each in (made, other):
        assert couriers.get(f"/v1/bindings/{each['id']}")["state"] == "party_recycled"
    assert operator.post(RECORDS, body, status=202)["state"] == "done"
    assert operator.get("/v1/feeds/carriers")["waiting"] == 0
    assert cli.run(("feed", "pull", "carriers", "--json"), env).json == []


def test_what_nobody_reads(operator: Client, store: BindingStore) -> None:
    """So many files may wait; after a week they are forgotten, and sent again they wait anew."""
    operator.post("/v1/feeds", {"name": "carriers", "numbers": "md5"}, status=201)
    feed = FeedStore(Queries(store.connection)).find("carriers")
    waiting = WaitingFiles(Queries(store.connection), store.keys)
    counted = "SELECT agi_router.seals_so_far()"
    seals = one(store.connection, counted)
    for place in range(MOST_WAITING):
        waiting.keep(feed, str(place), "{}\n", place.to_bytes(32, "big"))
    assert one(store.connection, counted) == seals + MOST_WAITING
    body = {"file": "more", "records": [{"number": "0" * 32, "status": "kept"}]}
    refused = operator.ask("POST", RECORDS, body)
    assert (refused.status_code, refused.json()["code"]) == (409, "feed_busy")
    assert "feed pull" in refused.json()["detail"]
    first = waiting.all(feed)[0]
    assert waiting.keep(feed, "0", "{}\n", bytes(32)) == first.run_id
    other = KeyRing.parse(store.keys.to_text(), cipher=Cipher.SM4_GCM)
    renewed = WaitingFiles(Queries(store.connection), other)
    seals = one(store.connection, counted)
    assert [renewed.renew(), renewed.renew()] == [MOST_WAITING, 0]
    assert one(store.connection, counted) == seals + MOST_WAITING
    assert renewed.open(first) == b"{}\n"
    store.connection.execute(
        b"UPDATE agi_router.feed_body SET came_at = now() - interval '8 days'"
    )
    list(Sweep(store.connection, NO_REST, Retention()).steps())
    assert waiting.all(feed) == []
    operator.post(RECORDS, body, status=202)
    assert operator.get("/v1/feeds/carriers")["waiting"] == 1

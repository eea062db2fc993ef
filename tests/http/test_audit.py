"""The audit by HTTP, and what a key of each role may do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from agi_router.db.connection import Connection, Queries
from agi_router.db.queries import query
from agi_router.errors import RequestInvalid, StoreUnavailable
from agi_router.records.audit import Audit
from agi_router.records.chain import Algorithm, Head, SigningKey
from agi_router.records.signing import AuditChain
from agi_router.tenants.api_keys import KeyRole, KeyScope, parse_bearer
from harness.api import Client
from harness.api_scopes import SCOPED
from harness.database import one
from harness.values import BLOCK

A, B, C = "13800000731", "13800000732", "13800000733"


class Kept:
    """Heads that are kept in memory."""

    def __init__(self) -> None:
        self.heads: list[Head] = []

    @property
    def last(self) -> Head | None:
        """The last one."""
        return self.heads[-1] if self.heads else None

    def append(self, head: Head) -> None:
        """Add one."""
        self.heads.append(head)


def test_pages_and_filters(operator: Client, couriers: Client) -> None:
    """Newest first, page by page; no real number is in it."""
    couriers.bind(A, B)
    for _ in range(3):
        operator.post("/v1/bindings/search", {"number": A})
    rows = operator.get("/v1/audit?act=POST+/v1/bindings/search&limit=200")["audit"]
    assert len(rows) >= 3
    assert rows == sorted(rows, key=lambda row: (row["at"], int(row["id"])), reverse=True)
    assert A not in str(rows)
    first = operator.get("/v1/audit?act=POST+/v1/bindings/search&limit=2")
    rest = operator.get(
        f"/v1/audit?act=POST+/v1/bindings/search&limit=200&cursor={first['next_cursor']}"
    )
    assert first["audit"] + rest["audit"] == rows
    key = rows[0]["api_key"]
    assert {row["api_key"] for row in operator.get(f"/v1/audit?api_key={key}")["audit"]} == {key}
    assert operator.get("/v1/audit?case=none&user=nobody")["audit"] == []
    assert operator.get("/v1/audit?until=2020-01-01T00:00:00Z")["audit"] == []
    assert operator.ask("GET", "/v1/audit?cursor=x").status_code == 422
    assert couriers.ask("GET", "/v1/audit").status_code == 403


@pytest.mark.parametrize("role", KeyRole)
def test_what_a_role_may(role: KeyRole, make_key: Callable[..., str], http: object) -> None:
    """An auditor reads and cannot act; nobody but an admin says who may."""
    client = Client(http, make_key(None, *role.scopes))  # type: ignore[arg-type]
    for method, path, scope in SCOPED:
        answer = client.ask(method, path, {} if method != "GET" else None)
        refused = answer.status_code == 403 and answer.json()["code"] == "scope_missing"
        assert refused is (scope not in role.scopes), (method, path, answer.text)
        changes = method != "GET" and not path.endswith(("/search", "/explanations"))
        reads = not changes or path.startswith(("/v1/traces", "/v1/audit"))
        if role is KeyRole.AUDITOR:
            assert reads or refused, (method, path)
    assert not {KeyScope.NUMBERS_READ, KeyScope.RECORDINGS_HEAR} & KeyRole.AUDITOR.scopes
    assert not {each for each in KeyRole.AUDITOR.scopes if not each.reads}


def test_who_from_where_and_what_it_was(operator: Client, make_key: Callable[..., str]) -> None:
    """The role of the key, the address, what stood before and after; persons by their tag."""
    made = operator.post("/v1/locks", {"person": A, "reason": "misuse"}, status=201)
    operator.post(f"/v1/locks/{made['id']}/lift", {"note": f"asked by {B}"})
    operator.ask("PATCH", "/v1/tenants/couriers", {"active": False})
    operator.ask("PATCH", "/v1/tenants/couriers", {"active": True, "notice": False})
    rows = operator.get("/v1/audit?limit=5")["audit"]
    assert {row["role"] for row in rows} == {"admin"}
    assert all(row["address"] for row in rows)
    notice, again, suspended, lifted, locked = rows
    assert (suspended["before"], suspended["after"]) == (
        {"tenant couriers": {"active": True}},
        {"tenant couriers": {"active": False}},
    )
    assert again["after"] == {"tenant couriers": {"active": True}}
    # Each row has what was changed for it.
    assert notice["before"] == {"tenant couriers": {"notice": True}}
    lock = f"lock {made['id']}"
    assert locked["before"] is None
    assert locked["after"][lock]["reason"] == "misuse"
    assert locked["after"][lock]["sealed"] == "sealed"
    assert lifted["before"] is None
    assert lifted["after"][lock]["over_at"] is not None
    assert A not in str(rows) + B
    found = operator.post("/v1/audit/search", {"person": A})["audit"]
    assert [row["act"] for row in found] == [
        "POST /v1/audit/search",
        "POST /v1/locks/{lock_id}/lift",
        "POST /v1/locks",
    ]
    assert {row["tag"] for row in found} == {locked["tag"]}
    assert operator.post("/v1/audit/search", {"person": B})["audit"][1:] == []
    key = parse_bearer(make_key(None, *KeyRole.AUDITOR.scopes))
    assert key is not None
    bound = operator.bind(A, B, tenant="drivers")
    path, tag = f"/v1/bindings/{bound['id']}", operator.ask("GET", f"/v1/bindings/{bound['id']}")
    replaced = operator.ask("PATCH", path, {"b": C}, **{"If-Match": tag.headers["etag"]})
    assert replaced.status_code == 200, replaced.text
    (row,) = operator.get("/v1/audit?limit=1")["audit"]
    thing = f"binding {bound['id']}"
    assert (row["before"][thing]["b"], row["after"][thing]["b"]) == (bound["b"], "138****0733")
    assert operator.ask("DELETE", f"/v1/keys/{key[0]}").status_code == 200
    (revoked,) = operator.get("/v1/audit?limit=1")["audit"]
    assert revoked["before"] == {f"api_key {key[0]}": {"state": "active"}}
    assert revoked["after"][f"api_key {key[0]}"]["state"] == "revoked"


def test_heads_and_a_look(operator: Client, couriers: Client, connection: Connection) -> None:
    """Heads are read and kept elsewhere; with them nothing that was signed is changed unseen."""
    heads = Kept()
    chain, key = AuditChain(Queries(connection)), SigningKey.generate()
    for _ in range(3):
        operator.post("/v1/bindings/search", {"number": A})
        chain.sign(heads, key, Algorithm.SHA256)
    page = operator.get("/v1/audit/heads?limit=2")
    rest = operator.get(f"/v1/audit/heads?cursor={page['next_cursor']}")["heads"]
    kept = [*page["heads"], *rest]
    assert [Head.read(each) for each in kept] == heads.heads[:0:-1]
    asked = {"public_keys": [key.partner.to_pem()], "heads": kept}
    told = operator.post("/v1/audit/verify", asked)
    assert (told["whole"], told["signed"], told["next"]) == (True, kept[0]["position"], None)
    # By parts, each from a head to another one; each finds what was inserted in its time.
    places = [0, *(each.position for each in heads.heads[1:])]
    most = max(to - of for of, to in pairwise(places))
    behind: int | None = 0
    ends = []
    while behind is not None:
        verdict, behind = chain.verify_stretch([], [key.partner], after=behind, rows=most)
        ends.append((behind, verdict.rows <= most))
        assert not verdict.findings
    assert ends[-1] == (None, True)
    assert {end for end, _ in ends[:-1]} <= set(places)
    assert all(few for _, few in ends)
    # One without a head within so many rows is not looked at, however far the next one is.
    connection.execute(b"DELETE FROM agi_router.audit_head WHERE position < %s", [places[-1]])
    with pytest.raises(RequestInvalid):
        chain.verify_stretch([], [key.partner], rows=most)
    verdict, behind = chain.verify_stretch(heads.heads, [key.partner], rows=most)
    assert ([*verdict.findings], behind) == ([], places[1])
    # Nor is one beside another look, and it is not written down.
    written = one(connection, "SELECT count(*) FROM agi_router.audit")
    with chain.looked_at_alone():
        busy = operator.ask("POST", "/v1/audit/verify", asked)
    assert (busy.status_code, busy.json()["code"]) == (503, "store_busy")
    assert one(connection, "SELECT count(*) FROM agi_router.audit") == written
    assert operator.post("/v1/audit/verify", asked)["whole"]
    verdict, _ = chain.verify_stretch([], [key.partner], after=10**6, rows=1)
    assert verdict.findings
    # Whoever has the database removes the last of it, and the copies of heads.
    connection.execute(
        b"DELETE FROM agi_router.audit_chain WHERE position > %s", [kept[1]["position"]]
    )
    connection.execute(
        b"DELETE FROM agi_router.audit_head WHERE position > %s", [kept[1]["position"]]
    )
    told = operator.post("/v1/audit/verify", asked)
    assert not told["whole"]
    assert told["findings"][0]["position"] == kept[1]["position"] + 1
    stranger = {**asked, "public_keys": [SigningKey.generate().partner.to_pem()]}
    assert not operator.post("/v1/audit/verify", stranger)["whole"]
    for wrong in ({"public_keys": ["none"]}, {**asked, "heads": [{**kept[0], "digest": "x"}]}):
        assert operator.ask("POST", "/v1/audit/verify", wrong).status_code == 422
    assert couriers.ask("POST", "/v1/audit/verify", asked).status_code == 403


def test_what_cannot_be_audited_is_not_done(
    operator: Client,
    connection: Connection,
    make_key: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The change and its row are one: of links, blocks and keys as of all else."""
    found = parse_bearer(make_key(None, KeyScope.LINKS_READ))
    assert found is not None
    values = {"name": "sip", "holder": "h", "node": "here", "for": timedelta(hours=1)}
    connection.execute(query("hold_link"), {**values, "up": True, "heard": None, "gone": ""})
    read = ("/v1/links", "/v1/blocks", "/v1/keys")

    def lose(*_: object) -> None:
        raise StoreUnavailable("its answer was lost")

    def seen() -> list[Any]:
        return [operator.get(path) for path in read]

    before = seen()
    monkeypatch.setattr(Audit, "record", lose)
    for method, path, body in (
        ("POST", "/v1/links/sip/drain", None),
        ("POST", "/v1/blocks", {"block": "70098765432", "operator": "test"}),
        ("PATCH", f"/v1/blocks/{BLOCK}", {"state": "draining"}),
        ("DELETE", f"/v1/keys/{found[0]}", None),
    ):
        answer = operator.ask(method, path, body, Idempotency_Key="one")
        assert answer.status_code == 503, (path, answer.text)
    assert seen() == before

"""Exports by HTTP: how days stand, what was packed of them, and asking for one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256

from agi_router.db.connection import Connection, Queries
from agi_router.exports.days import ExportDays
from agi_router.exports.kinds import ZONE
from agi_router.tenants.api_keys import KeyScope
from harness.api import Client

TODAY = datetime.now(ZONE).date()
YESTERDAY, BEFORE = (TODAY - timedelta(days=each) for each in (1, 2))
EXPORTS = "/v1/exports"
# What a recipient is handed is what was signed, spaces and all.
SIGNED = json.dumps({"manifest": "agi_router export manifest 1", "signature": "-"}, indent=1)


def test_days(
    operator: Client, make_key: Callable[..., str], http: object, connection: Connection
) -> None:
    """Listed, shown, asked for; an auditor's key looks, and has nothing packed."""
    auditor = Client(http, make_key(None, KeyScope.EXPORTS_READ))  # type: ignore[arg-type]
    assert auditor.get(EXPORTS) == {"exports": [], "next_cursor": None}
    nobody = dict.fromkeys(("asked_at", "asked_by", "tried_at", "failure"))
    day = {"day": str(BEFORE), "state": "missing", "packages": []}
    assert auditor.get(f"{EXPORTS}/{BEFORE}") == {**day, **nobody}
    pack = f"{EXPORTS}/{BEFORE}/pack"
    refused = auditor.ask("POST", pack)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    asked = operator.post(pack, None, status=202)
    assert (asked["state"], asked["tried_at"]) == ("asked", None)
    assert asked["asked_by"].startswith("API key ")
    assert auditor.get(f"{EXPORTS}/{BEFORE}") == asked
    row = connection.execute(b"SELECT act, subject FROM agi_router.audit").fetchone()
    assert row == {"act": f"POST {EXPORTS}/{{day}}/pack", "subject": f"day {BEFORE}"}
    days = ExportDays(Queries(connection))
    ((found, at),) = days.asked()
    days.tried(found, at, "the key cannot be read")
    told = auditor.get(f"{EXPORTS}/{BEFORE}")
    assert (told["state"], told["failure"]) == ("missing", "the key cannot be read")
    first = auditor.get(f"{EXPORTS}?limit=1")
    assert [each["day"] for each in first["exports"]] == [str(YESTERDAY)]
    rest = auditor.get(f"{EXPORTS}?limit=2&cursor={first['next_cursor']}")
    assert rest == {"exports": [told], "next_cursor": None}


def test_a_manifest(operator: Client, couriers: Client, connection: Connection) -> None:
    """It is told as it was signed, to the operator alone."""
    digest = sha256(SIGNED.encode()).digest()
    values = {
        "day": YESTERDAY,
        "sequence": 0,
        "numbers": "masked",
        "recipient": "5d0bca4e0cf1a19c",
        "records": '{"calls": 2}',
        "manifest": digest,
        "signed": SIGNED,
        "tenants": "{}",
    }
    Queries(connection).execute("record_export", values)
    (told,) = operator.get(EXPORTS)["exports"]
    (package,) = told["packages"]
    assert (told["state"], package["name"]) == ("packed", f"{YESTERDAY}-000")
    assert (package["manifest"], package["records"]) == (digest.hex(), {"calls": 2})
    path = f"{EXPORTS}/{YESTERDAY}/{digest.hex()}"
    assert operator.ask("GET", path).text == SIGNED
    assert couriers.ask("GET", path).status_code == 403
    old = TODAY - timedelta(days=400)
    for method, absent in (
        ("GET", f"{EXPORTS}/{BEFORE}/{digest.hex()}"),
        ("GET", f"{EXPORTS}/{YESTERDAY}/0a"),
        ("GET", f"{EXPORTS}/{TODAY}"),
        ("GET", f"{EXPORTS}/9999-12-31"),
        ("GET", f"{EXPORTS}/13800000001"),
        ("POST", f"{EXPORTS}/{TODAY}/pack"),
        ("POST", f"{EXPORTS}/{old}/pack"),
    ):
        refused = operator.ask(method, absent)
        assert (refused.status_code, refused.json()["code"]) == (404, "export_not_found")
        assert "138" not in refused.text

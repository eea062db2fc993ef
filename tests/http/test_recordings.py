"""Recordings by HTTP: a tenant lists and hears its own, after a row of the audit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agi_router.calls.end import call_day
from agi_router.db.connection import Connection, Queries
from agi_router.doors.http.options import Options
from agi_router.keys.ring import KeyRing
from agi_router.keys.segments import FileCipher
from agi_router.numbers import XNumber
from agi_router.recordings.model import Kept, Note, RecordingState
from agi_router.recordings.store import RecordingLedger
from agi_router.recordings.vault import Vault, new_key
from harness.api import Client

A, B = "13800000911", "13800000912"
CALL, NAME, CIPHER = "pbx1-1790000000.911", "abcdefabcdefabcdef", FileCipher.AES_256_GCM


@pytest.fixture
def options(options: Options, tmp_path: Path) -> Options:
    """With a directory of sealed recordings of its own."""
    return replace(options, recordings_sealed=tmp_path)


def test_a_recording(
    operator: Client,
    couriers: Client,
    drivers: Client,
    connection: Connection,
    ring: KeyRing,
    options: Options,
) -> None:
    """Its tenant and the operator hear it; another tenant learns nothing of it."""
    bound = couriers.bind(A, B, record="on")
    x = XNumber.parse(bound["x"])
    connection.execute(
        b"INSERT INTO agi_router.call (block, id, day, x_number, binding_id, tenant_id, state)"
        b" SELECT b.block, %s, %s, %s, b.id, b.tenant_id, 'settled' FROM agi_router.binding b"
        b" WHERE b.id = %s",
        [CALL, call_day(CALL), x.value, int(bound["id"].partition("-")[2])],
    )
    vault = Vault(options.recordings_sealed)
    vault.prepare()
    key, sealed_key = new_key(ring, NAME, CIPHER)
    octets, digest = vault.seal(NAME, [b"sound"], CIPHER, key)
    vault.put_away(NAME)
    note = Note(
        call_id=CALL, day=call_day(CALL), x_number=x, begun_at_ms=1_790_000_000_000, told=True
    )
    kept = Kept(
        name=NAME,
        note=note,
        state=RecordingState.READY,
        gap=None,
        length_ms=10,
        octets=octets,
        sha256=digest,
        cipher=CIPHER,
        sealed_key=sealed_key,
    )
    assert RecordingLedger(Queries(connection)).keep(kept, ring)

    (told,) = couriers.get(f"/v1/recordings?binding={bound['id']}")["recordings"]
    assert told == couriers.get(f"/v1/recordings/{CALL}")
    assert (told["call"], told["tenant"], told["state"]) == (CALL, "couriers", "ready")
    for client in (couriers, operator):
        heard = client.ask("GET", f"/v1/recordings/{CALL}/sound")
        assert (heard.content, heard.headers["content-type"]) == (b"sound", "audio/wav")
    acts = [row["act"] for row in operator.get("/v1/audit")["audit"]]
    assert acts.count("GET /v1/recordings/{call}/sound") == 2
    assert drivers.get("/v1/recordings")["recordings"] == []
    for path in (f"/v1/recordings/{CALL}", f"/v1/recordings/{CALL}/sound"):
        assert drivers.ask("GET", path).json()["code"] == "recording_not_found"

"""Recordings by HTTP: a tenant lists and hears its own, after a row of the audit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agi_router.db.connection import Connection, Queries
from agi_router.doors.http.options import Options
from agi_router.keys.ring import KeyRing
from agi_router.recordings.store import RecordingLedger
from agi_router.recordings.vault import Vault
from harness.api import Client
from harness.recordings import SOUND, DirectoryBucket, keep_recording

A, B = "13800000911", "13800000912"
CALL, NAME = "pbx1-1790000000.911", "abcdefabcdefabcdef"


@pytest.fixture
def options(options: Options, tmp_path: Path) -> Options:
    """With places of sealed recordings of its own."""
    bucket = DirectoryBucket(tmp_path / "bucket")
    return replace(options, recordings_sealed=tmp_path / "sealed", recordings_bucket=bucket)


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
    place = {"binding": bound["id"], "x": bound["x"], "call_id": CALL, "name": NAME}
    keep_recording(connection, ring, options.recordings_sealed, **place)

    (told,) = couriers.get(f"/v1/recordings?binding={bound['id']}")["recordings"]
    assert told == couriers.get(f"/v1/recordings/{CALL}")
    assert (told["call"], told["tenant"], told["state"]) == (CALL, "couriers", "ready")
    sound = f"/v1/recordings/{CALL}/sound"
    for query in ("", "?case=P-1", "?reason=court+order"):
        assert operator.ask("GET", sound + query).status_code == 422
    for client, query in ((couriers, ""), (operator, "?case=P-1&reason=court+order")):
        heard = client.ask("GET", sound + query)
        assert (heard.content, heard.headers["content-type"]) == (SOUND, "audio/wav")
    for said, first, last in (("bytes=1-2", 1, 2), ("bytes=3-", 3, 4), ("bytes=-2", 3, 4)):
        heard = couriers.ask("GET", sound, Range=said)
        told = f"bytes {first}-{last}/{len(SOUND)}"
        assert (heard.status_code, heard.headers["content-range"]) == (206, told)
        assert heard.content == SOUND[first : last + 1]
    beyond = couriers.ask("GET", sound, Range="bytes=5-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */5")
    assert beyond.json()["code"] == "range_unsatisfiable"
    assert couriers.ask("GET", sound, Range="bytes=0-1,3-4").content == SOUND
    query = f"binding={bound['id']}&since=2026-09-20T00:00:00Z"
    (call,) = couriers.get(f"/v1/calls?{query}")["calls"]
    assert call["recording"] == "ready"
    assert drivers.get("/v1/recordings")["recordings"] == []
    for path in (f"/v1/recordings/{CALL}", f"/v1/recordings/{CALL}/sound"):
        assert drivers.ask("GET", path).json()["code"] == "recording_not_found"
    # In the bucket it is heard as well.
    vault = Vault(options.recordings_sealed)
    assert options.recordings_bucket is not None
    with vault.open(NAME) as file:
        options.recordings_bucket.put(NAME, file)
    vault.erase(NAME)
    assert couriers.ask("GET", sound).content == SOUND
    # A file that is not there is told as such, and it is on record that it was asked for.
    options.recordings_bucket.erase(NAME)
    lost = couriers.ask("GET", sound)
    assert (lost.status_code, lost.json()["code"]) == (500, "recording_damaged")
    rows = operator.get("/v1/audit?act=GET+/v1/recordings")["audit"]
    # The last first: a lost one, one that was heard in a bucket, four ranges, and the whole.
    assert [(row["case_id"], row["reason"]) for row in rows] == [
        *[(None, None)] * 6,
        ("P-1", "court order"),
        (None, None),
    ]

    case = {"id": "P-1", "reason": f"asked for by {A}"}
    delete = f"/v1/recordings/{CALL}/delete"
    hold = {"case": "P-1", "reason": "police", "x": bound["x"]}
    held = operator.post("/v1/retention/holds", hold, status=201)
    early = {"case": case, "early": True}
    assert operator.ask("POST", delete, early).json()["code"] == "recording_kept"
    operator.post(f"/v1/retention/holds/{held['id']}/release", {"note": "closed"})
    assert operator.ask("POST", delete, {"case": case}).json()["code"] == "recording_kept"
    assert couriers.ask("POST", delete, early).status_code == 403
    assert operator.post(delete, early)["state"] == "deleted"
    past = couriers.ask("GET", sound, Range="bytes=99-")
    for told in (operator.ask("POST", delete, early), past):
        assert told.json()["code"] == "recording_not_found"
    (row, *_) = operator.get("/v1/audit")["audit"]
    assert (row["act"], row["case_id"]) == ("POST /v1/recordings/{call}/delete", "P-1")
    assert (row["subject"], A in str(row)) == (f"recording of call {CALL}", False)


def test_files_and_records(
    operator: Client,
    couriers: Client,
    connection: Connection,
    ring: KeyRing,
    options: Options,
) -> None:
    """A folder of the bucket beside the records: what is missing is named."""
    bound = couriers.bind(A, B, record="on")
    place = {"binding": bound["id"], "x": bound["x"], "call_id": CALL, "name": NAME}
    keep_recording(connection, ring, options.recordings_sealed, **place)
    vault, bucket = Vault(options.recordings_sealed), options.recordings_bucket
    assert bucket is not None
    with vault.open(NAME) as file:
        bucket.put(NAME, file)
    RecordingLedger(Queries(connection)).move(NAME, vault.name, bucket.name)
    files = "/v1/recordings/files"
    told = operator.get(f"{files}?folder=ab")
    assert (told["files"], told["missing"], told["next_folder"]) == (1, [], "ac")
    bucket.erase(NAME)
    told = operator.get(f"{files}?folder=ab")
    assert (told["files"], told["missing"], told["strange"]) == (0, [NAME], [])
    assert operator.get(files)["next_folder"] == "ab"
    assert operator.get(f"{files}?folder=ff")["next_folder"] is None
    assert operator.ask("GET", f"{files}?folder=zz").status_code == 422
    assert couriers.ask("GET", files).status_code == 403

"""Consent from a file: each row once, nothing brought back that was withdrawn, faults by line."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from agi_router.bindings.store import BindingStore
from agi_router.bulk import consents
from agi_router.consent.ledger import Act, How, Purpose, Statement
from agi_router.db.connection import Connection
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from harness.cli import run
from harness.database import one
from harness.values import A, B, C

HEADER = "number,how,when,purpose,order,evidence,version\n"


def test_a_file(
    store: BindingStore,
    connection: Connection,
    dsn: str,
    keys: KeyRing,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Batch by batch; again it changes nothing; faults keep no other row from being written."""
    monkeypatch.setattr(consents, "_BATCH", 2)
    write_key_ring(tmp_path / "key", keys)
    env = {"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(tmp_path / "key")}
    command = ["consent", "import", "--tenant", "default", "--json"]
    before = (store.now() - timedelta(hours=1)).isoformat()
    later = (store.now() + timedelta(hours=1)).isoformat()
    for each in (None, "A-2"):
        store.consents.write(C, "default", Statement(act=Act.WITHDRAWN, order=each), by="a test")
    digest = "ab" * 32
    rows = [
        f"{A.digits},app,{before},,A-1,{digest},2026-02\n",
        f"{B.digits},PAPER,{before},recording,,,\n",
        f"{C.digits},app,{before},,A-2,,\n",
        # It is known before what the row above lacks, and told behind it.
        f"{A.digits},sms,{before},,,,\n",
        # The same again, in one file.
        f"{A.digits},app,{before},binding,A-1,{digest.upper()},2026-02\n",
        # Of another purpose he has withdrawn nothing.
        f"{C.digits},spoken,{before},recording,,,\n",
        f"{A.digits},app,{later},,,,\n",
        f"{A.digits},app,,,,,\n",
        f"1{A.digits},app,{before},,,,\n",
        f"{A.digits},app,{before},calling,,,\n",
        f"{A.digits},app,{before},,,x,\n",
    ]
    path = tmp_path / "agreed.csv"
    path.write_text(HEADER + "".join(rows), "utf-8")
    counts = []
    for _ in range(2):
        done = run([*command, str(path)], env)
        assert done.code == 65
        assert A.digits not in done.out + done.err
        told = json.loads(done.out)
        counts.append([told[name] for name in ("rows", "added", "known", "refused")])
        assert [each["line"] for each in told["faults"]] == [4, 5, 8, 9, 10, 11, 12]
    assert counts == [[11, 3, 1, 7], [11, 0, 4, 7]]
    lines = store.consents.of_person(A)
    assert [(each.how, each.order, each.evidence) for each in lines] == [(How.APP, "A-1", digest)]
    assert [each.purpose for each in store.consents.of_person(B)] == [Purpose.RECORDING]
    acts = "SELECT count(*) FROM agi_router.audit WHERE act = 'consent import'"
    assert one(connection, acts) == 2
    path.write_text(f"number,how,when\n{B.digits},app,{before}\n", "utf-8")
    assert run([*command, str(path)], env).json["added"] == 1
    path.write_text("number,how\n1,app\n", "utf-8")
    broken = run([*command, str(path)], env)
    assert broken.code == 65
    assert "name the column 'when'" in broken.err

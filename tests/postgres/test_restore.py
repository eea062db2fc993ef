"""A database that came back from a backup gives no id again."""

from __future__ import annotations

import os

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Connection
from harness.cli import run
from harness.database import bind, new_party, on_each_version, one

pytestmark = on_each_version


def test_ids_go_on_further(dsn: str, store: BindingStore, connection: Connection) -> None:
    """Those of bindings and all that is counted as they are; with a row of the audit."""
    before = bind(store, new_party(), new_party(), x=None)
    env = {"PATH": os.environ["PATH"], "AGI_ROUTER_DSN": dsn}
    said = run(["db", "restored", "--reason", "disk lost", "--json"], env).json
    after = bind(store, new_party(), new_party(), x=None)

    assert said["skipped"] == 1_000_000
    assert {"binding_id", "event_id", "lock_id", "seals", "audit_id_seq"} <= set(said["counters"])
    assert after.id.id > before.id.id + said["skipped"]
    subject = "SELECT subject || ': ' || reason FROM agi_router.audit WHERE act = 'db restored'"
    assert one(connection, subject) == "the database: disk lost"

"""The key of a period is destroyed: whom it has sealed is read by nobody, and counted."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from pathlib import Path

import pytest
from postgres.test_cli import Cli

from agi_router.bindings.model import Binding
from agi_router.bindings.store import BindingStore
from agi_router.inventory.capacity import Quarantine
from agi_router.keys.file import load_key_ring, write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.maintenance.classes import Retention
from agi_router.maintenance.retention import Sweep
from harness.database import bind, one
from harness.values import BLOCK, A, B, C, X

OLD = timedelta(days=200)


@pytest.fixture
def key_file(tmp_path: Path, keys: KeyRing) -> Path:
    """The keys of this test's database."""
    write_key_ring(tmp_path / "key", keys)
    return tmp_path / "key"


@pytest.fixture
def cli(store: BindingStore, dsn: str, key_file: Path) -> Cli:
    """The command line on this test's database."""
    assert store
    return Cli({"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(key_file)})


def set_end(store: BindingStore, binding: Binding, ago: timedelta) -> None:
    """Let a binding have ended some time ago, and not before it began."""
    name = {"block": binding.id.block.value, "id": binding.id.id, "ago": ago}
    store.connection.execute(
        "UPDATE agi_router.binding SET begins_at = now() - %(ago)s - interval '1 day',"
        " ended_at = now() - %(ago)s, expires_at = now() - %(ago)s"
        " WHERE block = %(block)s AND id = %(id)s",
        name,
    )
    store.connection.execute(
        "UPDATE agi_router.route SET begins_at = now() - %(ago)s - interval '1 day',"
        " ends_at = now() - %(ago)s WHERE block = %(block)s AND binding_id = %(id)s",
        name,
    )


def sweep(store: BindingStore) -> None:
    """Move what is over out of the way, and keep it."""
    retention = Retention(records=timedelta(days=3650))
    for _ in Sweep(store.connection, Quarantine(), retention).steps():
        pass


def refused(cli: Cli, *words: str) -> str:
    """What the command says when it refuses to destroy the first key."""
    done = cli("key", "destroy", "1", *words)
    assert done.code != 0
    return str(done.err)


def test_a_period(cli: Cli, store: BindingStore, key_file: Path, tmp_path: Path) -> None:
    """Nothing that lives, is young or is held goes with it; what is over is told as destroyed."""
    over, lives = bind(store, A, B), bind(store, A, C, x=BLOCK.number(2))
    number = str(X)
    store.unbind(over.id)
    assert "is current" in refused(cli)
    # It is not out of the way yet, so the routes are where calls look.
    assert cli("key", "rotate", "--seal", "--leave-over", "--json").code == 0
    told = refused(cli)
    assert "not of what is over and swept" in told
    assert "quarantine" in told
    set_end(store, over, OLD)
    sweep(store)
    set_end(store, over, timedelta(days=100))
    assert "ended less than six months ago" in refused(cli)
    set_end(store, over, OLD)
    hold = ("retention", "hold")
    set_hold = cli(*hold, "add", "--x", number, "--case", "P-1", "--reason", "police", "--json")
    assert "a hold keeps" in refused(cli)
    assert cli(*hold, "release", set_hold.json[0]["id"], "--note", "closed").code == 0

    would = cli("key", "destroy", "1", "--json").json
    assert (would["state"], would["bindings"]) == ("old", 1)
    assert "not the word" in refused(cli, "--confirm", "2-00000000")
    done = cli("key", "destroy", "1", "--confirm", would["confirm"], "--reason", "end", "--json")
    assert (done.code, done.json["state"]) == (0, "destroyed")
    assert [key for key, _ in load_key_ring(key_file).seal_keys] == [2]
    subject, reason = one_row(store)
    assert would["digest"] in subject
    assert reason == "end"

    # It is shown, listed, traced and exported, and ends with 0.
    shown = cli("show", str(over.id), "--json")
    assert (shown.code, shown.json["damage"], shown.json["state"]) == (0, "destroyed", "unbound")
    assert cli("show", str(lives.id), "--json").json["damage"] is None
    rows = cli("list", "--all", "--json").json
    assert [row["damage"] for row in rows if row["id"] == str(over.id)] == ["destroyed"]
    assert "destroyed" in cli("list", "--all").out
    at = store.now() - OLD - timedelta(hours=1)
    traced = cli("trace", number, "--at", at.isoformat(), "--json")
    assert (traced.code, [each["damage"] for each in traced.json["bound"]]) == (0, ["destroyed"])
    assert cli("export", "--all", "-o", str(tmp_path / "all.csv")).code == 0
    with (tmp_path / "all.csv").open(newline="") as file:
        states = {row["id"]: row["state"] for row in csv.DictReader(file)}
    assert states[str(over.id)] == "unbound"
    # Nothing is left to renew, and nothing fails for it; the key is not destroyed twice.
    renewed = cli("key", "renew", "--json")
    assert (renewed.code, json.loads(renewed.out)["left"]) == (0, [])
    assert "was destroyed before" in refused(cli)
    checks = json.loads(cli("doctor", "--json").out)["checks"]
    [key] = [each["text"] for each in checks if each["check"] == "key"]
    assert key.endswith("destroyed: seal key 1")
    # The tag key that only such values need goes, too.
    assert cli("key", "rotate", "--tag", "--json").code == 0
    assert cli("key", "retire", "tag", "1").code == 0
    assert cli("show", str(over.id), "--json").json["damage"] == "destroyed"
    assert one(store.connection, "SELECT count(*) FROM agi_router.binding") == 2


def one_row(store: BindingStore) -> tuple[str, str]:
    """Subject and reason of the last row of the audit about a seal key."""
    row = store.connection.execute(
        "SELECT subject, reason FROM agi_router.audit WHERE subject LIKE 'seal key 1:%'"
    ).fetchone()
    assert row is not None
    return row["subject"], row["reason"]

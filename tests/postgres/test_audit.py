"""The audit: whoever has real numbers shown to him is written down first, or sees none."""

from __future__ import annotations

import json
import os
import pwd
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from postgres.test_cli import Cli, program

from agi_router.bindings.store import BindingStore
from agi_router.bulk.exporter import export_rows
from agi_router.cli.acts import MOST_THINGS
from agi_router.db.connection import Connection, Queries, connect
from agi_router.errors import AgiRouterError
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.logs import redact
from agi_router.numbers import PhoneNumber
from agi_router.records import audit
from agi_router.records.audit import Actor, Audit, AuditEntry
from agi_router.records.configuration import record_settings
from agi_router.tenants.store import TenantStore
from harness.database import bind, on_each_version, one
from harness.values import A, B, C

pytestmark = on_each_version

ME = pwd.getpwuid(os.getuid()).pw_name
MASKED = (
    "13800000001",
    "+8613800000001",
    "008613800000001",
    "https://example.com/?x=%208613800000001&y=1",
    "１３８００００００００１",
    "138‐0000‐0001",
    "+86 138 0000 0001",
    "138.0000.0001",
    "＋86（0）138-0000-0001",
    "02188880001",
    "+86 21 8888 0001",
)
SHOWN = [
    "700123456789012",
    "86700138000000012",
    "70012345678-138000000",
    "pbx1-1741988825.42",
    "2026-11-30T04:00:00.123456+00:00",
    "1741988825123",
    'a ± "quoted" \\ text',
]


@pytest.fixture
def cli(store: BindingStore, dsn: str, keys: KeyRing, tmp_path: Path) -> Cli:
    """The command line on this test's database, with one binding."""
    bind(store, A, B, order_id="A-1001")
    file = tmp_path / "key"
    write_key_ring(file, keys)
    return Cli({"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(file)})


def test_who_it_was(cli: Cli, tmp_path: Path, connection: Connection) -> None:
    """The user is the kernel's, what sudo says a hint; no real number is in it."""
    file = tmp_path / "out.csv"
    done = cli(
        *("export", "--reveal", "--order", "A-1001", "-o", file),
        *("--reason", f"asked for by {C.digits}"),
        SUDO_USER="somebody-else",
    )
    assert done.code == 0
    assert A.digits in file.read_text()
    (row,) = connection.execute(b"SELECT * FROM agi_router.audit").fetchall()
    assert (row["uid"], row["name"], row["effective_uid"]) == (os.getuid(), ME, os.geteuid())
    assert (row["claimed"], row["act"]) == ("somebody-else", "export")
    assert row["subject"] == f"--order A-1001 -o {file}"
    assert row["reason"] == f"asked for by {C}"
    assert not any(party.digits in str(row) for party in (A, B, C))
    listed, told = cli("audit", "list"), cli("audit", "list", "--json")
    assert f"{ME} ({os.getuid()})" in listed.out
    assert [each["claimed"] for each in json.loads(told.out)] == ["somebody-else"]
    assert cli("audit", "list", "--since", "2100-01-01").out == (
        "nobody had a real number shown to him, or changed anything that is recorded\n"
    )


def test_what_is_masked_is_not_in_it(cli: Cli, connection: Connection, tmp_path: Path) -> None:
    """Nobody is written down who sees nothing; a reason goes with a revelation."""
    assert cli("export", "-o", tmp_path / "out.csv").code == 0
    assert cli("export", "--reason", "none").code == 2
    assert one(connection, "SELECT count(*) FROM agi_router.audit") == 0


@pytest.mark.parametrize(
    "fault",
    [
        "DROP TABLE agi_router.audit CASCADE",
        "ALTER TABLE agi_router.audit ADD CHECK (act <> 'export')",
        "ALTER DATABASE {} SET default_transaction_read_only = on",
    ],
)
def test_where_it_cannot_be_written(
    fault: str, cli: Cli, connection: Connection, tmp_path: Path
) -> None:
    """Nothing is shown, and no file is made or overwritten."""
    name = one(connection, "SELECT current_database()")
    connection.execute(fault.format(name).encode())
    file, old = tmp_path / "out.csv", tmp_path / "old.csv"
    old.write_text("precious")
    for done in (
        cli("export", "--reveal"),
        cli("export", "--reveal", "-o", file),
        cli("export", "--reveal", "--force", "-o", old),
    ):
        assert (done.code != 0, done.out) == (True, "")
    assert (file.exists(), old.read_text()) == (False, "precious")


def test_it_is_committed_before_the_first_row(store: BindingStore, dsn: str) -> None:
    """Others see it while nothing was shown yet; and where it fails there is no row at all."""
    bind(store)
    what = AuditEntry(act="export", subject="all", reason=None)
    with connect(dsn) as other:
        rows = export_rows(store, everything=True, order_id=None, reveal=what)
        assert one(other, "SELECT count(*) FROM agi_router.audit") == 1
        assert A.digits in next(rows)
        rows.close()
        other.execute(b"DROP TABLE agi_router.audit CASCADE")
    with pytest.raises(AgiRouterError):
        export_rows(store, everything=True, order_id=None, reveal=what)


def test_what_the_kernel_tells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The login, where there is one; a user without a name goes by its number."""
    login = tmp_path / "loginuid"
    monkeypatch.setattr(audit, "_LOGIN", login)
    assert Actor.here({}).login_uid is None
    for text, uid in (("4294967295", None), ("1000", 1000), ("x", None)):
        login.write_text(text)
        assert Actor.here({"SUDO_USER": "x"}).login_uid == uid
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    actor = Actor.here({})
    assert (actor.uid, actor.name, actor.claimed) == (4_000_000, "4000000", None)


def test_what_was_before(cli: Cli, store: BindingStore, connection: Connection) -> None:
    """Of what a command changes, a binding too; and whoever it is about is found by its tag."""

    def typed(party: PhoneNumber, *words: str) -> str:
        done = program(words, {"PATH": os.environ["PATH"], **cli.env}, typed=f"{party.digits}\n")
        assert done.code == 0, done.err
        return done.out

    (binding,) = store.bindings(everything=True, order_id=None, limit=2)
    for text, shown in (
        ("电13800000001", "电138****0001"),
        ("１３８００００００００１", "138****0001"),
        ("138‐0000‐0001", "138****0001"),
    ):
        changed = cli("change", binding.id, "--user-data", text)
        assert changed.code == 0, changed.err
        told = cli("audit", "list", "--json").json[0]
        assert told["after"][f"binding {binding.id}"]["user_data"] == shown
    assert cli("unbind", binding.id).code == 0
    assert cli("tenant", "add", "couriers").code == 0
    assert cli("tenant", "notice", "couriers", "off").code == 0
    typed(A, "lock", "set", "--person", "-", "--reason", "misuse")
    for number in range(22):
        pair = (PhoneNumber.parse(f"13800{side}00{number:02}") for side in (10, 11))
        bind(store, *pair, order_id="订单17001234567")
    assert cli("unbind", "--order", "订单17001234567").code == 0
    whole = cli("audit", "list", "--json").json[0]
    assert whole["subject"] == "order 订单170****4567, bindings: 22"
    assert len(whole["after"]) == MOST_THINGS
    _, locked, off, added, ended, *_ = cli("audit", "list", "--json").json
    assert ended["before"][f"binding {binding.id}"]["state"] == "active"
    assert ended["after"][f"binding {binding.id}"]["state"] == "unbound"
    assert added["before"] is None
    assert added["after"]["tenant couriers"]["notice"] is True
    assert off["before"] == {"tenant couriers": {"notice": True}}
    assert off["after"] == {"tenant couriers": {"notice": False}}
    user = one(connection, "SELECT session_user")
    assert {each["role"] for each in (locked, off, added, ended)} == {user}
    told = json.loads(typed(A, "audit", "list", "--person", "-", "--json"))
    assert [each["subject"] for each in told] == [locked["subject"]]
    assert json.loads(typed(C, "audit", "list", "--person", "-", "--json")) == []
    assert not any(party.digits in str(locked) for party in (A, B, C))


def test_what_is_masked_within_it(connection: Connection) -> None:
    """Numbers in texts of any kind, though what is beside them is no ASCII; and no others."""
    queries = Queries(connection)
    said = {"订单17001234567": ["电13800000001", 13800000001, None, True], "at": datetime.now(UTC)}
    entry = AuditEntry(act="test", subject="all", reason=None, before=said, after={"x": SHOWN})
    Audit(queries).record(entry)
    (row,) = Audit(queries).rows(since=datetime.now(UTC) - timedelta(hours=1), limit=9)
    assert row["before"]["订单170****4567"] == ["电138****0001", 13800000001, None, True]
    assert row["after"] == {"x": SHOWN}
    record_settings(queries, "ari", {"AGI_ROUTER_NOTE": "电１３８００００００００１"})
    for text in MASKED:
        assert "****" in redact(text)
        value = json.dumps({text: [text, {"x": f"的{text}."}]})
        masked = one(connection, "SELECT agi_router.mask_change(%s::jsonb)::text", value)
        assert "***" in masked
        assert "0001" not in masked.translate({0xFF10: "0", 0xFF11: "1"}), text
    octets = '["\\\\x0102", {"a": "\\\\x03"}]'
    asked = "SELECT agi_router.mask_change(%s::jsonb)"
    assert one(connection, asked, octets) == ["sealed", {"a": "sealed"}]
    assert one(connection, asked, json.dumps(SHOWN)) == SHOWN
    addresses = [
        "https://me:s1@shop.example:8443/a@b?token=s1",
        "http://shop.example?a\n@b",
        "https",
    ]
    assert one(connection, asked, json.dumps(addresses)) == [
        *("https://shop.example:8443/a@b", "http://shop.example", "https"),
    ]
    assert one(connection, "SELECT agi_router.mask_change(NULL)::text") == "null"


def test_names_are_of_one_thing(connection: Connection) -> None:
    """Two tenants' pools of one name, and keys of one number, are told apart; twenty in all."""
    queries = Queries(connection)
    with queries.transaction():
        connection.execute(
            b"INSERT INTO agi_router.tenant (name) VALUES ('t1'), ('t2');"
            b"INSERT INTO agi_router.party_group (tenant_id, name)"
            b" SELECT id, 'g1' FROM agi_router.tenant WHERE name IN ('t1', 't2')"
        )
        Audit(queries).record(AuditEntry(act="test", subject="all", reason=None))
    with queries.transaction():
        connection.execute(b"DELETE FROM agi_router.party_group WHERE name = 'g1'")
        connection.execute(
            b"INSERT INTO agi_router.tenant (name) SELECT 'n' || i FROM generate_series(1, 30) i"
        )
        Audit(queries).record(AuditEntry(act="test", subject="all", reason=None))
    made, gone = connection.execute(
        b"SELECT before, after FROM agi_router.audit ORDER BY id"
    ).fetchall()
    ids = [
        row["id"]
        for row in connection.execute(
            b"SELECT id FROM agi_router.tenant WHERE name IN ('t1', 't2') ORDER BY id"
        ).fetchall()
    ]
    names = {f"party_group {each}/g1" for each in ids}
    assert names <= made["after"].keys()
    assert gone["before"].keys() == names
    assert len(gone["after"]) == 18


def test_what_is_never_in_it(connection: Connection) -> None:
    """Octets, and numbers within texts; and no more than twenty things."""
    queries = Queries(connection)
    tenants = TenantStore(queries)
    with queries.transaction():
        for number in range(25):
            tenants.add(f"t{number}")
        paper = {"number": f"of {B.digits}", "issuer": "138 0000 0001"}
        tenants.qualify("t1", **paper, valid_from=None, valid_until=None)
        connection.execute(b"UPDATE agi_router.key SET state = state")
        Audit(queries).record(AuditEntry(act="test", subject="all", reason=None))
        Audit(queries).record(AuditEntry(act="test", subject="nothing more", reason=None))
    first, second = connection.execute(
        b"SELECT before, after FROM agi_router.audit ORDER BY id"
    ).fetchall()
    assert (len(first["after"]), second["after"]) == (20, None)
    assert "***" in str(first["after"]["tenant t1"])
    assert B.digits not in str(first)
    assert "0000" not in str(first["after"]["tenant t1"])


def test_settings(connection: Connection) -> None:
    """Whoever serves with others than before is on record."""
    queries = Queries(connection)
    said = {"AGI_ROUTER_RETENTION": "190d", "AGI_ROUTER_LANGUAGE": "zh"}
    assert record_settings(queries, "ari", said)
    assert not record_settings(queries, "ari", said)
    assert record_settings(queries, "http", said)
    assert record_settings(queries, "ari", {**said, "AGI_ROUTER_RETENTION": "200d"})
    rows = Audit(queries).rows(since=datetime.now(UTC) - timedelta(hours=1), limit=9)
    assert [row["subject"] for row in rows] == [f"what serves {x}" for x in ("ari", "http", "ari")]
    assert rows[0]["before"] == {"AGI_ROUTER_RETENTION": "190d"}
    assert rows[0]["after"]["AGI_ROUTER_RETENTION"] == "200d"

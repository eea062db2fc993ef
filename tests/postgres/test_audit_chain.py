"""The audit is what was signed, or the first row that is not is named, however it was changed."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres.test_cli import Cli

from agi_router.db.connection import Connection, Queries, connect
from agi_router.db.rights import Purpose, check_rights, grant, renew_grants
from agi_router.errors import AuditBroken, AuditFileInvalid, StoreError
from agi_router.records.audit import Audit, AuditEntry
from agi_router.records.chain import Algorithm, Head, SigningKey
from agi_router.records.signing import AuditChain
from agi_router.records.verification import KEPT, Verdict
from harness.database import Server, database_of, on_each_version, one

pytestmark = on_each_version

KEY = SigningKey.generate()
# Row 3 of 8; heads hold the places 4 and 8.
THIRD = "(SELECT audit_id FROM agi_router.audit_chain WHERE position = 3)"
NO_REFERENCE = "ALTER TABLE agi_router.audit_chain DROP CONSTRAINT audit_chain_audit"


class Kept:
    """Heads that are kept in memory."""

    def __init__(self) -> None:
        self.heads: list[Head] = []

    @property
    def last(self) -> Head | None:
        return self.heads[-1] if self.heads else None

    def append(self, head: Head) -> None:
        self.heads.append(head)


class Audited:
    """An audit that is written and signed."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.chain = AuditChain(Queries(connection))
        self.kept = Kept()

    def write(self, rows: int) -> None:
        for number in range(rows):
            Audit(Queries(self.connection)).record(
                AuditEntry(act="lock set", subject=f"lock {number}", reason=None)
            )

    def sign(
        self, by: Algorithm = Algorithm.SHA256, *, key: SigningKey = KEY, kept: Kept | None = None
    ) -> Head:
        return self.chain.sign(self.kept if kept is None else kept, key, by)

    def verify(self) -> Verdict:
        return self.chain.verify(self.kept.heads, [KEY.partner])

    def do(self, *statements: str) -> None:
        """What somebody does who may do everything in the database."""
        for each in statements:
            self.connection.execute(each.encode())


@pytest.fixture
def audited(connection: Connection) -> Audited:
    """Eight rows, signed four by four."""
    made = Audited(connection)
    for by in Algorithm:
        made.write(4)
        made.sign(by)
    return made


def test_it_is_whole(audited: Audited) -> None:
    """All that was signed is there; what came since is counted."""
    assert audited.verify() == Verdict(rows=8, signed=8, unsigned=0, findings=[])
    audited.write(3)
    assert audited.verify() == Verdict(rows=8, signed=8, unsigned=3, findings=[])
    assert audited.sign().position == 11
    assert audited.verify() == Verdict(rows=11, signed=11, unsigned=0, findings=[])
    assert audited.sign().position == 11


def test_an_empty_one(connection: Connection) -> None:
    """It is signed too, so that no row can be removed from before the first."""
    empty = Audited(connection)
    assert [each.what[:7] for each in empty.verify().findings] == ["no head"]
    assert empty.sign().position == 0
    assert empty.verify() == Verdict(rows=0, signed=0, unsigned=0, findings=[])


SWAP = f"""
UPDATE agi_router.audit a SET subject = b.subject, at = b.at
  FROM agi_router.audit b
 WHERE (a.id, b.id) IN (({THIRD}, {THIRD} + 1), ({THIRD} + 1, {THIRD}))
"""
_SOME = "(SELECT min(id) + 2 FROM agi_router.audit)"
CHANGE = f"UPDATE agi_router.audit SET subject = 'nothing' WHERE id = {_SOME}"
REMOVE = f"DELETE FROM agi_router.audit WHERE id = {_SOME}"
# A row among the others: whoever may do everything gives it any id.
INSERT = """
INSERT INTO agi_router.audit OVERRIDING SYSTEM VALUE
SELECT 0, at, 0, 'root', 0, NULL, NULL, 'pbx', 'lock set', 'lock 9' FROM agi_router.audit LIMIT 1
"""
TAMPERED: dict[str, tuple[tuple[str, ...], str, int]] = {
    "changed": (
        (f"UPDATE agi_router.audit SET subject = 'nothing' WHERE id = {THIRD}",),
        "changed",
        3,
    ),
    "time changed": (
        (f"UPDATE agi_router.audit SET at = at - interval '1 s' WHERE id = {THIRD}",),
        "changed",
        3,
    ),
    "a value taken away": (
        (f"UPDATE agi_router.audit SET login_uid = 4294967294, claimed = 'x' WHERE id = {THIRD}",),
        "changed",
        3,
    ),
    "removed": ((NO_REFERENCE, f"DELETE FROM agi_router.audit WHERE id = {THIRD}"), "removed", 3),
    "removed with its place": (
        ("DELETE FROM agi_router.audit_chain WHERE position = 3",),
        "removed from the chain",
        3,
    ),
    "places closed up": (
        (
            "ALTER TABLE agi_router.audit_chain DROP CONSTRAINT audit_chain_position",
            "DELETE FROM agi_router.audit_chain WHERE position = 3",
            "UPDATE agi_router.audit_chain SET position = -position WHERE position > 3",
            "UPDATE agi_router.audit_chain SET position = -position - 1 WHERE position < 0",
        ),
        "changed",
        3,
    ),
    "moved": ((SWAP,), "not at its place", 3),
    "the first removed": (
        ("DELETE FROM agi_router.audit_chain WHERE position < 4",),
        "removed from the chain",
        1,
    ),
    "the last removed": (
        ("DELETE FROM agi_router.audit_chain WHERE position > 6",),
        "8 were signed and 6 are there",
        5,
    ),
    "all removed": (("DELETE FROM agi_router.audit_chain",), "8 were signed and 0 are there", 1),
    "another algorithm": (
        ("UPDATE agi_router.audit_chain SET algorithm = 'md5' WHERE position = 3",),
        "algorithm",
        3,
    ),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_what_was_tampered_with(audited: Audited, how: str) -> None:
    """Somebody may do everything in the database, and has not the key."""
    statements, what, position = TAMPERED[how]
    audited.do(*statements)
    (finding,) = audited.verify().findings
    assert what in finding.what
    assert finding.position == position


@pytest.mark.parametrize(
    "change", [CHANGE, REMOVE, INSERT], ids=["changed", "removed", "inserted"]
)
def test_a_chain_that_was_made_anew(audited: Audited, change: str) -> None:
    """Whoever makes all digests anew meets a head that was signed before."""
    audited.do("DELETE FROM agi_router.audit_chain", change)
    own = Kept()
    audited.sign(key=SigningKey.generate(), kept=own)
    findings = audited.verify().findings
    assert findings[0].position == 1
    assert "places 1 to 4 are not those that were signed" in findings[0].what
    # And his own head is signed by nobody who is believed.
    audited.kept.heads += own.heads
    assert any("signed by none" in each.what for each in audited.verify().findings)
    del audited.kept.heads[-len(own.heads) :]
    with pytest.raises(AuditBroken, match="audit verify"):
        audited.sign()


def test_a_row_of_before(audited: Audited) -> None:
    """What turns up later than it can be is inserted: it gets no place, and is named each time."""
    audited.do(
        "INSERT INTO agi_router.audit (at, uid, name, effective_uid, host, act, subject)"
        " VALUES (now() - interval '2 h', 0, 'root', 0, 'pbx', 'lock set', 'lock 9')"
    )
    row = one(audited.connection, "SELECT max(id) FROM agi_router.audit")
    for _ in range(2):
        (finding,) = audited.verify().findings
        assert (finding.audit_id, finding.position, "inserted" in finding.what) == (
            row,
            None,
            True,
        )
        assert audited.sign().position == 8
    # By parts, too, once: in the one of whose time it is.
    first, behind = audited.chain.verify_stretch(audited.kept.heads, [KEY.partner], rows=4)
    assert ([each.audit_id for each in first.findings], behind) == ([row], 4)
    rest = audited.chain.verify_stretch(audited.kept.heads, [KEY.partner], after=4, rows=4)
    assert rest == (Verdict(rows=4, signed=8, unsigned=0, findings=[]), None)


def test_heads_that_are_lost(audited: Audited) -> None:
    """Nothing is signed beside them; what was kept of them elsewhere still holds."""
    kept = audited.kept.heads
    first, audited.kept.heads = kept[1], []
    with pytest.raises(AuditBroken, match="bring the file back"):
        audited.sign()
    audited.kept.heads = [first]
    assert audited.verify() == Verdict(rows=8, signed=4, unsigned=4, findings=[])


def test_a_first_signature_that_fails(connection: Connection) -> None:
    """It can be tried again: a head was there before any place."""

    class Full(Kept):
        def append(self, head: Head) -> None:
            if head.position:
                raise AuditFileInvalid("the disk is full")
            super().append(head)

    first = Audited(connection)
    first.write(2)
    first.do("UPDATE agi_router.audit SET at = at - interval '1 day'")
    full = Full()
    with pytest.raises(AuditFileInvalid):
        first.sign(kept=full)
    first.kept.heads = full.heads
    assert first.verify() == Verdict(rows=2, signed=0, unsigned=2, findings=[])
    assert first.sign().position == 2
    assert first.verify() == Verdict(rows=2, signed=2, unsigned=0, findings=[])


def test_two_heads_that_differ(audited: Audited) -> None:
    """A database that was brought back from a backup and went on is told apart."""
    head = audited.kept.heads[1]
    audited.kept.heads.append(KEY.sign(head.position, bytes(32), head.signed_at))
    assert [each.what for each in audited.verify().findings] == ["two heads of one place differ"]


def test_what_is_over_is_deleted_up_to_a_head(audited: Audited) -> None:
    """After two years a head stands for the rows before it; sooner they were removed."""
    audited.do(
        "CREATE TEMPORARY TABLE old AS SELECT audit_id FROM agi_router.audit_chain"
        " WHERE position <= 4"
    )
    audited.do("DELETE FROM agi_router.audit_chain WHERE position <= 4")
    audited.do("DELETE FROM agi_router.audit WHERE id IN (SELECT audit_id FROM old)")
    assert [each.position for each in audited.verify().findings] == [1]
    old = audited.kept.heads[1]
    audited.kept.heads[1] = KEY.sign(old.position, old.digest, old.signed_at - KEPT)
    assert audited.verify() == Verdict(rows=4, signed=8, unsigned=0, findings=[])
    audited.write(1)
    assert audited.sign().position == 9


def test_nobody_waits_for_the_chain(audited: Audited, dsn: str) -> None:
    """Rows are written while the audit is being signed, and one that commits late gets a place."""
    with connect(dsn) as other, connect(dsn) as signer:
        with other.transaction():
            Audited(other).write(1)
            # It has the lower id, and is not there yet.
            audited.write(1)
            assert audited.sign().position == 9
        with signer.transaction():
            signer.execute(b"SELECT pg_advisory_xact_lock(7002040)")
            other.execute(b"SET statement_timeout = '20s'")
            Audited(other).write(1)
    assert audited.sign().position == 11
    assert audited.verify() == Verdict(rows=11, signed=11, unsigned=0, findings=[])


def test_many_rows_are_read_once(connection: Connection) -> None:
    """However many are signed at once: each is read to be signed, and once by its place."""
    many = Audited(connection)
    many.do(
        "INSERT INTO agi_router.audit (uid, name, effective_uid, host, act, subject)"
        " SELECT 0, 'root', 0, 'pbx', 'lock set', 'lock ' || n FROM generate_series(1, 10000) n"
    )
    with connection.transaction():
        assert many.sign().position == 10_000
        read = one(
            connection,
            "SELECT pg_stat_get_xact_tuples_returned(c) + pg_stat_get_xact_tuples_fetched(c)"
            "  FROM CAST('agi_router.audit'::regclass AS oid) c",
        )
    assert read <= 30_000
    assert many.verify() == Verdict(rows=10_000, signed=10_000, unsigned=0, findings=[])


@pytest.fixture
def cli(dsn: str, tmp_path: Path) -> Cli:
    """The command line on this test's database."""
    del tmp_path
    return Cli({"AGI_ROUTER_DSN": dsn})


def test_commands(cli: Cli, connection: Connection, tmp_path: Path) -> None:
    """A key, a signature each hour, a look at it; and what somebody did to it."""
    key, heads = tmp_path / "key", tmp_path / "heads"
    made = cli("audit", "new-key", "--file", key, "--json").json
    assert made["public"] == f"{key}.pub"
    sign = ("audit", "sign", "--key", key, "--heads", heads)
    verify = ("audit", "verify", "--public-key", f"{key}.pub", "--heads", heads)
    assert cli(*sign, AGI_ROUTER_DSN="host=/nowhere").code == 69
    assert not heads.exists()
    Audited(connection).write(2)
    first = cli(*sign, "--digest", "sm3")
    assert json.loads(first.out)["position"] == 2
    Audited(connection).write(1)
    told = cli(*verify)
    assert told.code == 0
    assert told.out == "the audit is as it was signed: 2 row(s); 1 not signed yet\n"
    assert cli(*verify, "--json").json == {
        "whole": True,
        "rows": 2,
        "signed": 2,
        "unsigned": 1,
        "findings": [],
    }
    assert cli(*sign).code == 0
    connection.execute(b"UPDATE agi_router.audit SET act = 'none' WHERE subject = 'lock 1'")
    told = cli(*verify)
    assert (told.code, told.out[:8]) == (1, "place 2:")
    found = cli(*verify, "--json")
    told = json.loads(found.out)
    assert (found.code, told["whole"], told["findings"][0]["position"]) == (1, False, 2)
    connection.execute(b"DELETE FROM agi_router.audit_chain WHERE position = 3")
    assert cli(*sign).code == 70
    assert cli("audit", "sign", "--key", tmp_path / "none", "--heads", heads).code == 78


@pytest.fixture
def role(server: Server) -> Iterator[str]:
    """A role that may log in, and nothing else."""
    name = f"audits {secrets.token_hex(4)}"
    with server.admin() as admin:
        admin.execute(f'CREATE ROLE "{name}" LOGIN')
    yield name
    with server.admin() as admin:
        admin.execute(f'DROP ROLE "{name}"')


@pytest.mark.parametrize("purpose", Purpose)
def test_who_may_change_it(
    purpose: Purpose, audited: Audited, server: Server, dsn: str, role: str
) -> None:
    """Nobody but the owner: an auditor reads and does nothing, a signer adds places."""
    grant(audited.connection, role, purpose)
    assert (role in renew_grants(audited.connection)) is True
    rights = "SELECT has_table_privilege(%s, %s, %s)"
    for table in ("audit", "audit_chain", "audit_head"):
        for right in ("UPDATE", "DELETE", "TRUNCATE"):
            assert not one(audited.connection, rights, role, f"agi_router.{table}", right)
    may = {
        Purpose.SERVE: {("audit", "INSERT")},
        Purpose.RETAIN: {("audit", "INSERT")},
        Purpose.DELIVER: set(),
        Purpose.AUDIT: set(),
        Purpose.SIGN: {("audit_chain", "INSERT"), ("audit_head", "INSERT")},
        Purpose.EXPORT: {("audit", "INSERT")},
    }[purpose]
    for table in ("audit", "audit_chain", "audit_head", "lock", "tenant", "binding"):
        if purpose is not Purpose.SERVE or table.startswith("audit"):
            held = one(audited.connection, rights, role, f"agi_router.{table}", "INSERT")
            assert held is ((table, "INSERT") in may)
    own = server.dsn(database_of(dsn), user=role)
    verify = Cli({"AGI_ROUTER_DSN": own})("audit", "list")
    assert (verify.code == 0) is (purpose in {Purpose.SERVE, Purpose.AUDIT})
    changes = one(
        audited.connection,
        "SELECT count(*) FROM pg_class c WHERE c.relnamespace = 'agi_router'::regnamespace"
        " AND c.relkind IN ('r', 'p')"
        " AND has_table_privilege(%s, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')",
        role,
    )
    assert (changes == 0) is (purpose is Purpose.AUDIT)
    with connect(own) as connection:
        if purpose is Purpose.SIGN:
            check_rights(connection, purpose)
            assert AuditChain(Queries(connection)).sign(audited.kept, KEY, Algorithm.SM3)
        else:
            with pytest.raises(StoreError, match="db grant"):
                check_rights(connection, Purpose.SIGN)
    with server.admin(database_of(dsn)) as admin:
        admin.execute(f'DROP OWNED BY "{role}"')

"""What machines did on a day is held by a row of the audit."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from psycopg.errors import QueryCanceled

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Connection, Queries, connect, translated
from agi_router.errors import StoreError
from agi_router.maintenance.classes import Retention
from agi_router.maintenance.deletion import Deletion
from agi_router.maintenance.holds import HeldThing, HoldStore
from agi_router.maintenance.retention import Sweep
from agi_router.records.audit import Audit, AuditEntry
from agi_router.records.digests import ACT, DayDigests
from harness.database import NO_REST, bind, new_party, one
from harness.values import BLOCK

TODAY = datetime.now(UTC).date()
DAY = timedelta(days=1)
OLD = TODAY - 300 * DAY
X0 = BLOCK.number(0).value
CALL = """
INSERT INTO agi_router.call (block, id, day, x_number, state)
VALUES (70012345678, %s, %s, 700123456780001, 'settled')
"""
PROOF = """
INSERT INTO agi_router.deletion (kind, day, whole, rule, deleted, ended_at)
VALUES ('call', %s, true, 'records', 1, now() + interval '1 year')
"""


def differences(connection: Connection) -> list[str]:
    """What is found."""
    return [each.what for each in DayDigests(Queries(connection)).compare(TODAY)]


def test_a_day(connection: Connection, store: BindingStore) -> None:
    """It is made once, and tells when anything was added, removed or exchanged since."""
    for number in (1, 2):
        bind(store, new_party(), new_party(), x=None)
        connection.execute(CALL.encode(), [f"pbx1-1790000000.{number}", TODAY])
    digests = DayDigests(Queries(connection))
    assert digests.missing(TODAY + DAY) == []
    assert digests.missing(TODAY + 2 * DAY) == [TODAY]
    assert digests.make(TODAY)
    assert not digests.make(TODAY)
    assert digests.missing(TODAY + 2 * DAY) == []
    subject = one(connection, "SELECT subject FROM agi_router.audit WHERE act = %s", ACT)
    assert subject.startswith(f"{TODAY} binds 2 ")
    assert ", calls 2 " in subject
    assert differences(connection) == []
    connection.execute(b"UPDATE agi_router.call SET id = id || '9' WHERE id LIKE '%.1'")
    (found,) = differences(connection)
    assert found.startswith(f"of the calls of {TODAY} there were 2, and 2 are there")
    connection.execute(b"UPDATE agi_router.call SET id = rtrim(id, '9') WHERE id LIKE '%.19'")
    assert differences(connection) == []
    connection.execute(b"DELETE FROM agi_router.call WHERE id LIKE '%.1'")
    assert len(differences(connection)) == 1
    # A proof of a deletion that cannot be.
    connection.execute(PROOF.encode(), [TODAY])
    assert len(differences(connection)) == 1
    for subject in ("none", "2026-02-30 binds 2 "):
        connection.execute(
            b"UPDATE agi_router.audit SET subject = %s WHERE act = %s", [subject, ACT]
        )
        assert differences(connection) == ["a row is no digest of a day"]


def test_what_retention_deletes(connection: Connection) -> None:
    """It excuses what is missing, with its proof in the audit; days without a digest are named."""
    connection.execute(b"UPDATE agi_router.tenant SET created_at = %s", [OLD - DAY])
    for number, day in enumerate((OLD, OLD + 2 * DAY)):
        connection.execute(CALL.encode(), [f"pbx1-1790000000.{number}", day])
    digests = DayDigests(Queries(connection))
    assert digests.make(OLD)
    gap = differences(connection)
    assert len(gap) == 297
    assert gap[0] == f"there is no digest of {OLD + DAY}: the sweep did not make it"
    connection.execute(b"DELETE FROM agi_router.call WHERE day = %s", [OLD])
    connection.execute(PROOF.encode(), [OLD])
    assert len(differences(connection)) == len(gap) + 1
    connection.execute(CALL.encode(), ["pbx1-1790000000.0", OLD])
    for _ in Deletion(connection, Retention()).steps():
        pass
    assert differences(connection) == gap


def test_what_a_forged_proof_excuses(connection: Connection) -> None:
    """No part of a day of calls, however old: retention takes all of it, and within a day."""
    connection.execute(b"UPDATE agi_router.tenant SET created_at = %s", [OLD - DAY])
    for number in range(3):
        connection.execute(CALL.encode(), [f"pbx1-1790000000.{number}", OLD])
    assert DayDigests(Queries(connection)).make(OLD)
    gap = differences(connection)
    connection.execute(b"DELETE FROM agi_router.call WHERE id LIKE '%.1'")
    # As the role of the service may: both the proof and its row of the audit.
    connection.execute(
        b"INSERT INTO agi_router.deletion (kind, day, whole, rule, deleted, ended_at)"
        b" VALUES ('call', %s, true, 'records', 1, clock_timestamp() + interval '1 s')",
        [OLD],
    )
    Audit(Queries(connection)).record(
        AuditEntry(
            act="retention",
            subject=f"call of {OLD}: 1 calls, sha256 {'00' * 32}",
            reason="records",
        )
    )
    assert len(differences(connection)) == len(gap) + 1
    # Nor does one that has not ended: all of it if it was begun within a day, else nothing.
    begun = (
        b"UPDATE agi_router.deletion SET ended_at = NULL, begun_at = now() - %s,"
        b" digest = sha256('another')"
    )
    connection.execute(begun, [timedelta(0)])
    assert len(differences(connection)) == len(gap) + 1
    connection.execute(b"DELETE FROM agi_router.call")
    assert differences(connection) == gap
    connection.execute(begun, [timedelta(hours=25)])
    assert len(differences(connection)) == len(gap) + 1


@pytest.mark.parametrize("own", [False, True], ids=["strays", "in a table of their day"])
@pytest.mark.parametrize("held", [(1,), (1, 2)], ids=["some", "all"])
def test_what_is_held(
    connection: Connection, store: BindingStore, held: tuple[int, ...], *, own: bool
) -> None:
    """It counts wherever it stands; once nothing holds it, what deletes it excuses it."""
    connection.execute(b"UPDATE agi_router.tenant SET created_at = %s", [OLD])
    if own:
        connection.execute(b"SELECT agi_router.ensure_days('call', %s, %s)", [OLD, OLD])
    for number in (1, 2):
        connection.execute(CALL.encode(), [f"pbx1-1790000000.{number}", OLD])
    connection.execute(b"UPDATE agi_router.call SET x_number = %s + right(id, 1)::integer", [X0])
    assert DayDigests(Queries(connection)).make(OLD)
    gap = differences(connection)
    holds = HoldStore(Queries(connection), store.keys)
    made = [
        holds.add(HeldThing(number=BLOCK.number(number)), case="P", reason="r", by="a test")
        for number in held
    ]

    def delete() -> int:
        return sum(step.rows for step in Deletion(connection, Retention()).steps(again=True))

    assert delete() == 2 - len(made)
    assert one(connection, "SELECT count(*) FROM agi_router.call") == 0
    assert differences(connection) == gap
    for each in made:
        holds.release(each.id, by="a test", note="closed")
    assert delete() == len(made)
    assert differences(connection) == gap


def test_one_that_fails(connection: Connection, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has longer than other statements of a sweep, and fails alone; another one leaves it."""
    connection.execute(b"UPDATE agi_router.tenant SET created_at = %s", [TODAY - 4 * DAY])
    days = [TODAY - n * DAY for n in (4, 3, 2)]
    digests = DayDigests(Queries(connection))
    with connect(dsn) as other, other.transaction():
        one(other, "SELECT pg_advisory_xact_lock(7002047)")
        assert not digests.make(days[0])
    write = DayDigests._write

    def slow(self: DayDigests, day: date) -> None:
        limit = one(connection, "SELECT current_setting('statement_timeout')")
        assert limit == "4min"
        if day == days[1]:
            with translated():
                raise QueryCanceled
        write(self, day)

    monkeypatch.setattr(DayDigests, "_write", slow)
    swept = sum(step.digests for step in Sweep(connection, NO_REST, Retention()).steps())
    assert swept == 2
    assert digests.missing(TODAY) == [days[1]]
    with pytest.raises(StoreError):
        digests.make(days[1])

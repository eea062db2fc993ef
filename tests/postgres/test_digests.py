"""What machines did on a day is held by a row of the audit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Connection, Queries
from agi_router.records.digests import ACT, DayDigests
from harness.database import bind, new_party, one

TODAY = datetime.now(UTC).date()
CALL = """
INSERT INTO agi_router.call (block, id, day, x_number, state)
VALUES (70012345678, %s, %s, 700123456780001, 'settled')
"""


def differences(connection: Connection) -> list[str]:
    """What is found."""
    return [each.what for each in DayDigests(Queries(connection)).compare()]


def test_a_day(connection: Connection, store: BindingStore) -> None:
    """It is made once, and tells when anything was added, removed or exchanged since."""
    for number in (1, 2):
        bind(store, new_party(), new_party(), x=None)
        connection.execute(CALL.encode(), [f"pbx1-1790000000.{number}", TODAY])
    digests = DayDigests(Queries(connection))
    assert list(digests.make(TODAY)) == []
    assert list(digests.make(TODAY + timedelta(days=1))) == []
    assert list(digests.make(TODAY + timedelta(days=2))) == [TODAY]
    assert list(digests.make(TODAY + timedelta(days=2))) == []
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
    connection.execute(
        b"INSERT INTO agi_router.deletion (kind, day, whole, rule, deleted, ended_at)"
        b" VALUES ('call', %s, true, 'records', 1, now() + interval '1 second')",
        [TODAY],
    )
    assert differences(connection) == []
    connection.execute(b"UPDATE agi_router.audit SET subject = 'none' WHERE act = %s", [ACT])
    assert differences(connection) == ["a row is no digest of a day"]

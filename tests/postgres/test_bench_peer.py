"""What the benchmark compares us with keeps the same accounts, or the ratio would say nothing."""

from __future__ import annotations

from pathlib import Path

import bench
import pytest

from agi_router.db.connection import Connection
from harness.database import one

PEER = Path(bench.__file__).with_name("peer.sql")
X = 700_1234_5678_0001
A, B = 13_900_000_001, 13_900_000_002
MAX_CALLS = 2


@pytest.fixture
def peer(connection: Connection) -> Connection:
    """Its tables, with one binding of two uses."""
    connection.execute(PEER.read_bytes())
    connection.execute(
        "INSERT INTO peer.block VALUES (%s, 'active', '-infinity', 'infinity')", [X // 10_000]
    )
    connection.execute(
        "INSERT INTO peer.binding VALUES"
        " (1, 1, 'both', now(), now() + interval '1 hour', NULL, %s, 0, 45, 7200)",
        [MAX_CALLS],
    )
    for caller, callee, side in ((A, B, "a"), (B, A, "b")):
        connection.execute(
            "INSERT INTO peer.route VALUES (%s, %s, %s, %s, 1)", [X, caller, callee, side]
        )
    return connection


def admit(peer: Connection, call_id: str, *, caller: int = A) -> str | None:
    """As func_odbc asks: everything is text."""
    row = peer.execute(
        "SELECT callee, ring_timeout, max_duration FROM peer.admit(%s, %s, %s)",
        [str(X), str(caller), call_id],
    ).fetchone()
    return None if row is None else row["callee"]


def record(peer: Connection, call_id: str, disposition: str) -> None:
    """As cdr_pgsql writes."""
    peer.execute(
        'INSERT INTO peer.cdr (start, "end", billsec, disposition, uniqueid)'
        " VALUES (now(), now(), 1, %s, %s)",
        [disposition, call_id],
    )


def used(peer: Connection) -> int:
    """Uses taken."""
    return int(one(peer, "SELECT calls_used FROM peer.binding"))


def states(peer: Connection) -> dict[str, str]:
    """Calls on record, with their states."""
    return {row["id"]: row["state"] for row in peer.execute("SELECT id, state FROM peer.call")}


def test_admits_within_the_limit_and_reserves(peer: Connection) -> None:
    assert admit(peer, "1") == str(B)
    assert admit(peer, "2", caller=B) == str(A)
    assert admit(peer, "3") is None
    assert used(peer) == MAX_CALLS
    assert states(peer) == {"1": "reserved", "2": "reserved"}


def test_a_stranger_is_not_admitted(peer: Connection) -> None:
    assert admit(peer, "1", caller=A + 7) is None
    assert (used(peer), states(peer)) == (0, {})


@pytest.mark.parametrize(
    ("disposition", "left"), [("ANSWERED", 1), ("NO ANSWER", 0), ("BUSY", 0), ("FAILED", 0)]
)
def test_a_use_comes_back_unless_answered(peer: Connection, disposition: str, left: int) -> None:
    admit(peer, "1")
    record(peer, "1", disposition)
    assert (used(peer), states(peer)) == (left, {"1": "settled"})


def test_a_second_record_settles_nothing(peer: Connection) -> None:
    admit(peer, "1")
    admit(peer, "2")
    record(peer, "1", "BUSY")
    record(peer, "1", "BUSY")
    record(peer, "9", "BUSY")
    assert used(peer) == 1
    assert states(peer) == {"1": "settled", "2": "reserved"}

"""
Feeds, their runs and findings as they are shown, to people and to programs.

No number stands in them, but where a carrier is told of a finding.
"""

from collections.abc import Sequence
from typing import Any

from agi_router.feeds.findings import Finding
from agi_router.feeds.model import Fault, Feed

__all__ = [
    "describe_fault",
    "describe_feed",
    "describe_finding",
    "describe_match",
    "describe_run",
    "reveal_finding",
]


def describe_feed(feed: Feed) -> dict[str, Any]:
    """
    A feed as it is printed; times in seconds.
    """
    return {
        "name": feed.name,
        "kind": feed.kind.value,
        "path": feed.path,
        "numbers": feed.numbers.value,
        "trust": feed.trust.value,
        "every": None if feed.every is None else int(feed.every.total_seconds()),
        "created_at": feed.created_at,
        "last_at": feed.last_at,
        "overdue": feed.overdue,
        "authorized": feed.authorized,
        "pulled_at": feed.pulled_at,
        "failed_at": feed.failed_at,
        "failure": feed.failure,
        "asked_at": feed.asked_at,
        "waiting": feed.waiting,
    }


def describe_run(row: dict[str, Any], faults: Sequence[Fault] | None = None) -> dict[str, Any]:
    """
    A run, from its row; with the lines that cannot be read, if they are given.
    """
    told = {
        "run": row["id"],
        "feed": row["feed"],
        "file": row["file"],
        "state": "unfinished" if row["ended_at"] is None else "done",
        "begun_at": row["begun_at"],
        "ended_at": row["ended_at"],
        "records": row["taken"],
        "reissued": row["reissued"],
        "cancelled": row["cancelled"],
        "kept": row["kept"],
        "unknown": row["unknown"],
        "malformed": row["malformed"],
        "matched": row["matched"],
        "ended": row["ended"],
    }
    return told if faults is None else {**told, "faults": list(map(describe_fault, faults))}


def describe_fault(fault: Fault) -> dict[str, Any]:
    """
    A line that cannot be read, and why.
    """
    return {"line": fault.line, "why": fault.why}


def describe_match(row: dict[str, Any]) -> dict[str, Any]:
    """
    A binding that a run has met, from its row.
    """
    return {
        "line": row["line"],
        "binding": f"{row['block']}-{row['binding_id']}",
        "tenant": row["tenant"],
        "outcome": row["outcome"],
        "at": row["at"],
    }


def describe_finding(finding: Finding) -> dict[str, Any]:
    """
    A finding of misuse, its number masked.
    """
    return {
        "id": finding.id,
        "operator": finding.operator,
        "number": None if finding.person is None else finding.person.masked,
        "status": finding.status.value,
        "source": finding.source,
        "since": finding.since,
        "rule": finding.rule,
        "found_at": finding.found_at,
        "taken_at": finding.taken_at,
        "acknowledged_at": finding.acknowledged_at,
        "damage": finding.damage,
    }


def reveal_finding(finding: Finding) -> dict[str, Any]:
    """
    A finding as its carrier is told: with the number, which is put on record.
    """
    return {
        "id": finding.id,
        "number": None if finding.person is None else finding.person.digits,
        "status": finding.status.value,
        "since": finding.since.isoformat(timespec="seconds"),
        "rule": finding.rule,
    }

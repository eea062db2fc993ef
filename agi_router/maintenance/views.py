"""
Retention as it is shown, to people and to programs; numbers of persons masked.
"""

from typing import Any

from agi_router.maintenance.classes import KINDS
from agi_router.maintenance.holds import Hold
from agi_router.maintenance.proofs import Kept

__all__ = ["describe_hold", "describe_kept", "describe_proof"]


def describe_kept(each: Kept) -> dict[str, Any]:
    """
    What is kept of a kind.
    """
    rule = KINDS[each.kind]
    return {
        "kind": each.kind.value,
        "what": rule.what,
        "class": rule.of.value,
        "days": each.days,
        "since": rule.since,
        "oldest": each.oldest and each.oldest.isoformat(),
        "rows": each.rows,
        "next_on": each.next_on and each.next_on.isoformat(),
        "due": each.due,
        "deleted_by": "the sweep" if rule.by_us else "its owner",
    }


def describe_hold(hold: Hold) -> dict[str, Any]:
    """
    A hold.
    """
    thing = hold.thing
    return {
        "id": str(hold.id),
        "case": hold.case,
        "reason": hold.reason,
        "x": None if thing.number is None else str(thing.number),
        "person": None if thing.person is None else thing.person.masked,
        "order": thing.order,
        "tenant": thing.tenant,
        "set_by": hold.set_by,
        "set_at": hold.set_at,
        "released_by": hold.released_by,
        "released_at": hold.released_at,
        "release_note": hold.release_note,
        "damage": thing.damage,
    }


def describe_proof(row: dict[str, Any]) -> dict[str, Any]:
    """
    The proof of a deletion.
    """
    return {
        "id": str(row["id"]),
        "kind": row["kind"],
        "day": row["day"].isoformat(),
        "whole_day": row["whole"],
        "rows": row["deleted"],
        "digest": row["digest"].hex(),
        "rule": row["rule"],
        "begun_at": row["begun_at"],
        "ended_at": row["ended_at"],
    }

"""
Locks and entries of block lists as they are shown; numbers of persons masked.
"""

from typing import Any

from agi_router.persons.blocklist import BlocklistEntry
from agi_router.persons.locks import Lock

__all__ = ["describe_entry", "describe_lock"]


def describe_entry(entry: BlocklistEntry) -> dict[str, Any]:
    """
    An entry of a block list as it is printed.
    """
    pairing = entry.pairing
    return {
        "id": str(entry.id),
        "person": None if pairing is None else pairing.person.masked,
        "other": None if pairing is None or pairing.other is None else pairing.other.masked,
        "tenant": entry.tenant,
        "direction": entry.direction.value,
        "state": entry.state.value,
        "note": entry.note,
        "added_at": entry.added_at,
        "added_by": entry.added_by,
        "ends_at": entry.ends_at,
        "over_at": entry.over_at,
        "damage": entry.damage,
    }


def describe_lock(lock: Lock) -> dict[str, Any]:
    """
    A lock as it is printed.
    """
    thing = lock.thing
    return {
        "id": str(lock.id),
        "subject": thing.subject.value,
        "x": None if thing.number is None else str(thing.number),
        "block": None if thing.block is None else str(thing.block),
        "person": None if thing.person is None else thing.person.masked,
        "tenant": thing.tenant,
        "reason": lock.reason.value,
        "state": lock.state.value,
        "rule": lock.rule,
        "note": lock.note,
        "starts_at": lock.starts_at,
        "ends_at": lock.ends_at,
        "over_at": lock.over_at,
        "set_at": lock.set_at,
        "set_by": lock.set_by,
        "lifted_by": lock.lifted_by,
        "lift_note": lock.lift_note,
        "cut": lock.cut,
        "damage": thing.damage,
    }

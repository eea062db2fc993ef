"""
Locks as they are shown, to people and to programs; numbers of persons masked.
"""

from typing import Any

from agi_router.persons.locks import Lock

__all__ = ["describe_lock"]


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
    }

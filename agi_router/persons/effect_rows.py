"""
What is in force, from its rows in the database.
"""

from typing import Any

from agi_router.errors import RowInvalid
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber
from agi_router.persons.effects import Ban, BlockDirection, Effect, LockReason, Subject

__all__ = ["open_entry", "read_ban", "read_effect"]


def read_effect(row: dict[str, Any], keys: KeyRing) -> Effect:
    """
    Read a lock that is in force, as ``agi_router.describe_locks`` has it.

    Raises:
        SealError: The person does not open with these keys.
        RowInvalid: It is what is never written.
    """
    try:
        subject, reason = Subject(row["subject"]), LockReason(row["reason"])
        sealed = None if row["sealed"] is None else bytes.fromhex(row["sealed"])
    except ValueError:
        # The chain would show what stands there.
        raise RowInvalid from None
    if (sealed is None) is (subject is Subject.PERSON):
        raise RowInvalid
    return Effect(
        id=row["id"],
        subject=subject,
        reason=reason,
        key=row["key"],
        person=None if sealed is None else keys.open_locked(sealed, row["id"], row["key"]),
        everywhere=row["tenant_id"] is None,
        appeal=row.get("appeal"),
    )


def open_entry(row: dict[str, Any], keys: KeyRing) -> list[PhoneNumber]:
    """
    The persons of an entry, or of a mark of one: its own first, then the other, if there is one.

    Raises:
        SealError: One does not open with these keys.
    """
    sealed = ((row["key"], row["sealed"]), (row["other_key"], row["other_sealed"]))
    return [keys.open_locked(seal, row["id"], tag) for tag, seal in sealed if seal is not None]


def read_ban(row: dict[str, Any], keys: KeyRing) -> Ban:
    """
    Read an entry that is in force, as ``agi_router.describe_locks`` has it.

    Raises:
        SealError: A person does not open with these keys.
        RowInvalid: It is what is never written.
    """
    try:
        direction = BlockDirection(row["direction"])
        seals = {
            name: None if row[name] is None else bytes.fromhex(row[name])
            for name in ("sealed", "other_sealed")
        }
    except (ValueError, KeyError):
        # The chain would show what stands there.
        raise RowInvalid from None
    if seals["sealed"] is None:
        raise RowInvalid
    person, *others = open_entry({**row, **seals}, keys)
    return Ban(
        id=row["id"], person=person, other=others[0] if others else None, direction=direction
    )

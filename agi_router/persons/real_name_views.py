"""
What is known of real names, as it is shown; numbers of persons masked.
"""

from typing import Any

from agi_router.persons.real_names import RealNameLine, RealNameStatus

__all__ = ["describe_real_name", "describe_status"]


def describe_real_name(line: RealNameLine) -> dict[str, Any]:
    """
    A line as it is printed.
    """
    return {
        "id": str(line.id),
        "person": None if line.person is None else line.person.masked,
        "tenant": line.tenant,
        "status": line.status.value,
        "source": line.source,
        "checked_at": line.checked_at,
        "void": line.void,
        "added_at": line.added_at,
        "added_by": line.added_by,
        "damage": line.damage,
    }


def describe_status(status: RealNameStatus) -> dict[str, Any]:
    """
    What counts, as it is printed.
    """
    return {
        "status": status.status.value,
        "source": status.source,
        "checked_at": status.checked_at,
    }

"""
Complaints as they are shown.
"""

from typing import Any

from agi_router.persons.complaints import Complaint, ComplaintCount

__all__ = ["describe_complaint", "describe_count"]


def describe_complaint(complaint: Complaint) -> dict[str, Any]:
    """
    A complaint as it is printed.
    """
    return {
        "id": str(complaint.id),
        "x": str(complaint.x_number),
        "tenant": complaint.tenant,
        "kind": complaint.kind.value,
        "at": complaint.at,
        "source": complaint.source,
        "reference": complaint.reference,
        "note": complaint.note,
        "added_at": complaint.added_at,
        "added_by": complaint.added_by,
        "dismissed_at": complaint.dismissed_at,
        "dismiss_note": complaint.dismiss_note,
    }


def describe_count(count: ComplaintCount) -> dict[str, Any]:
    """
    How a number or a tenant stands, as it is printed.
    """
    number = count.thing.number
    return {
        "subject": count.thing.subject.value,
        "x": None if number is None else str(number),
        "tenant": count.thing.tenant,
        "complaints": count.complaints,
        "calls": count.calls,
        "more_calls": count.more_calls,
        "part_of_share": count.part_of_share,
        "since": count.since,
        "level": count.level.value,
    }

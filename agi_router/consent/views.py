"""
Lines of the ledger as they are shown, to people and to programs; numbers masked.
"""

from typing import Any

from agi_router.consent.ledger import ConsentLine

__all__ = ["describe_consent"]


def describe_consent(line: ConsentLine) -> dict[str, Any]:
    """
    A line as it is printed.
    """
    return {
        "id": str(line.id),
        "person": None if line.person is None else line.person.masked,
        "tenant": line.tenant,
        "act": line.act.value,
        "purpose": line.purpose.value,
        "order": line.order,
        "how": None if line.how is None else line.how.value,
        "at": line.at,
        "evidence": line.evidence,
        "version": line.version,
        "binding": line.binding,
        "cut": line.cut,
        "void": line.void,
        "added_at": line.added_at,
        "added_by": line.added_by,
        "damage": line.damage,
    }

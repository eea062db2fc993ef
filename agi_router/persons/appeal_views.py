"""
Appeals as they are shown, to people and to programs; numbers of persons masked.
"""

from typing import Any

from agi_router.persons.appeals import NOTICES, Appeal

__all__ = ["describe_appeal"]


def describe_appeal(appeal: Appeal) -> dict[str, Any]:
    """
    An appeal as it is printed.
    """
    thing = appeal.thing
    return {
        "id": str(appeal.id),
        "lock_id": str(appeal.lock_id),
        "subject": thing.subject.value,
        "x": None if thing.number is None else str(thing.number),
        "block": None if thing.block is None else str(thing.block),
        "person": None if thing.person is None else thing.person.masked,
        "reason": appeal.reason.value,
        "tenant": appeal.tenant,
        "state": appeal.state.value,
        "text": dict(NOTICES[appeal.state]),
        "missing": [each.value for each in appeal.missing],
        "evidence": [
            {
                "kind": each.kind.value,
                "reference": each.reference,
                "digest": each.digest,
                "added_at": each.added_at,
            }
            for each in appeal.evidence
        ],
        "note": appeal.note,
        "filed_at": appeal.filed_at,
        "filed_by": appeal.filed_by,
        "state_at": appeal.state_at,
        "deadline_at": appeal.deadline_at,
        "overdue": appeal.overdue,
        "reviewer": appeal.reviewer,
        "decided_by": appeal.decided_by,
        "decision_note": appeal.decision_note,
        "offers": ["rebind"] if appeal.offers_rebind else [],
        "rebinds": [
            {"old_binding_id": each.old, "new_binding_id": each.new, "at": each.at}
            for each in appeal.rebinds
        ],
        "damage": thing.damage,
    }

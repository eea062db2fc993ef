"""
Texts as they are shown, to people and to programs: never what they say, numbers of parties masked.
"""

from typing import Any

from agi_router.calls.decision import Refusal
from agi_router.calls.views import describe_checks
from agi_router.messages.decision import Taken
from agi_router.messages.explanation import TextExplanation
from agi_router.messages.rule_store import TenantRules

__all__ = [
    "describe_link",
    "describe_message",
    "describe_rules",
    "describe_text_explanation",
]


def describe_message(row: dict[str, Any]) -> dict[str, Any]:
    """
    The record of a text, from its row.
    """
    return {
        "id": row["id"],
        "tenant": row["tenant"],
        "x": str(row["x_number"]),
        "binding": f"{row['block']}-{row['binding_id']}",
        "side": row["side"],
        "shown": str(row["shown"]),
        "octets": row["octets"],
        "parts": row["parts"],
        "state": row["state"],
        "reason": row["reason"],
        "status": row["status"],
        "attempts": row["attempts"],
        "maybe_twice": row["maybe_twice"],
        "received_at": row["received_at"],
        "expires_at": row["expires_at"],
        "done_at": row["done_at"],
        **describe_checks(row),
    }


def describe_rules(found: TenantRules) -> dict[str, Any]:
    """
    A tenant's rules for texts.
    """
    rules = found.rules
    return {
        "tenant": found.tenant,
        "numbers": rules.numbers.value,
        "words": list(rules.words),
        "templates": list(rules.templates),
        "opt_out": list(rules.opt_out),
        "hold": None if rules.hold is None else int(rules.hold.total_seconds()),
        "checked": rules.checked,
        "changed_at": found.changed_at,
    }


def describe_link(row: dict[str, Any]) -> dict[str, Any]:
    """
    A link to a message centre, from its row.
    """
    if not row["held"]:
        state = "unserved"
    elif row["up_since"] is not None:
        state = "draining" if row["drained"] else "up"
    else:
        state = "drained" if row["drained"] else "down"
    return {
        "name": row["name"],
        "state": state,
        "drained": row["drained"],
        "node": row["node"],
        "up_since": row["up_since"] if row["held"] else None,
        "owed": row["owed"],
    }


def describe_text_explanation(explanation: TextExplanation) -> dict[str, Any]:
    """
    A decision on a text, with the rules that led to it.
    """
    decision = explanation.decision
    refused = isinstance(decision, Refusal)
    return {
        "verdict": "refuse" if refused else "take",
        "reason": decision.reason.value if isinstance(decision, Refusal) else None,
        "binding": decision.binding,
        "receiver": None if isinstance(decision, Refusal) else decision.receiver.masked,
        "shown": str(decision.shown) if isinstance(decision, Taken) else None,
        "at": explanation.at,
        "rules": [{"rule": step.rule, "holds": step.holds} for step in explanation.steps],
    }

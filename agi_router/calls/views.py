"""
Calls and decisions as they are shown, to people and to programs: numbers of parties are masked.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from agi_router.calls.check import TenantCheck
from agi_router.calls.decision import (
    AllocationNeeded,
    Ask,
    Decision,
    Refusal,
    Route,
)
from agi_router.calls.end import Outcome
from agi_router.calls.explanation import Explanation
from agi_router.calls.treatment import treat

__all__ = [
    "describe_call",
    "describe_check",
    "describe_checks",
    "describe_decision",
    "describe_explanation",
    "name_callees",
]


def name_callees(decision: Route | AllocationNeeded) -> str:
    """
    Who is rung, masked.
    """
    callees = decision.callees if isinstance(decision, Route) else (decision.callee,)
    return ", ".join(callee.masked for callee in callees)


def describe_decision(decision: Decision, *, strict: bool) -> dict[str, Any]:
    """
    A decision, and what its caller hears; *strict* says whether reasons are kept from it.
    """
    described: dict[str, Any] = dict.fromkeys(
        ("verdict", "reason", "shown", "ring", "binding", "prompt", "cause")
    )
    match decision:
        case Route():
            described |= {
                "verdict": "route",
                "shown": str(decision.shown),
                "ring": name_callees(decision),
                "binding": decision.binding,
                "display": decision.display.value,
                "sequence": decision.sequence,
            }
        case AllocationNeeded():
            described |= {
                "verdict": "route",
                "ring": name_callees(decision),
                "binding": decision.binding,
            }
        case Ask():
            described |= {"verdict": "ask", "prompt": "ask_extension"}
        case Refusal():
            treatment = treat(decision.undisclosed if strict else decision)
            described |= {
                "verdict": "refuse",
                "reason": decision.reason.value,
                "binding": decision.binding,
                "prompt": treatment.prompt,
                "cause": treatment.cause,
            }
    return described


def describe_explanation(explanation: Explanation, *, strict: bool) -> dict[str, Any]:
    """
    A decision with the rules that led to it.
    """
    return {
        **describe_decision(explanation.decision, strict=strict),
        "at": explanation.at,
        "rules": [{"rule": step.rule, "holds": step.holds} for step in explanation.steps],
        "limits": list(explanation.limits),
    }


def describe_check(check: TenantCheck) -> dict[str, Any]:
    """
    A tenant's own check as it is printed.
    """
    return {
        "tenant": check.tenant,
        "url": check.url,
        "unanswered": check.unanswered,
        "timeout_ms": check.timeout_ms,
        "created_at": check.created_at,
    }


def describe_call(row: dict[str, Any]) -> dict[str, Any]:
    """
    A call record, from its row.
    """
    binding = row["binding_id"]
    # Neither: the caller hung up before there was a decision.
    decided = "gave_up" if binding is None else "route"
    return {
        "id": row["id"],
        "tenant": row["tenant"],
        "x": str(row["x_number"]),
        "binding": None if binding is None else f"{row['block']}-{binding}",
        "shown": None if row["shown"] is None else str(row["shown"]),
        "side": row["side"],
        "verdict": "refuse" if row["reason"] else decided,
        "reason": row["reason"],
        "outcome": row["outcome"],
        "state": row["state"],
        "received_at": row["received_at"],
        "ringing_at": _after(row["received_at"], row["ring_ms"]),
        "answered_at": row["answered_at"] or _answered_at(row),
        "ended_at": row["ended_at"],
        "ring_ms": row["ring_ms"],
        "talk_ms": row["talk_ms"],
        "released_by": row["released_by"],
        "cause": row["cause"],
        "sip_status": row["sip_status"],
        "clock": row["clock"],
        "cut": row["cut"],
        **describe_checks(row),
        "recording": row["recording"],
    }


def describe_checks(row: Mapping[str, Any]) -> dict[str, Any]:
    """
    What the operator's service and the tenant's own have said of a call or a text.
    """
    return {
        "check_id": None if row["check_id"] is None else str(row["check_id"]),
        "check_verdict": row["check_verdict"],
        "check_ms": row["check_ms"],
        "tenant_check_id": None if row["tenant_check_id"] is None else str(row["tenant_check_id"]),
        "tenant_check_verdict": row["tenant_check_verdict"],
        "tenant_check_ms": row["tenant_check_ms"],
    }


def _answered_at(row: Mapping[str, Any]) -> datetime | None:
    """
    When a call was answered whose end is the first that was heard of it: perhaps as it ended.
    """
    if row["outcome"] != Outcome.ANSWERED or row["ended_at"] is None:
        return None
    ended_at: datetime = row["ended_at"]
    return ended_at - timedelta(milliseconds=row["talk_ms"] or 0)


def _after(when: datetime | None, ms: int | None) -> datetime | None:
    return None if when is None or not ms else when + timedelta(milliseconds=ms)

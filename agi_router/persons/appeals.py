"""
Appeals: what becomes of an objection to a lock, who may do the next step, and until when.

Filed, with evidence complete, in review; then lifted, upheld, withdrawn or lapsed. Rules for the
editor:

1. Whoever has set a lock neither reviews an appeal against it nor decides it: two actors.
2. Evidence is a reference and a digest. The paper itself is never here.
3. Who files and is late loses the appeal; a review that is late is told of, and costs nothing.

Source:
    Domain notes, 0.7.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agi_router.cursors import Cursor
from agi_router.errors import AppealNotReady, AppealOver, SameActor
from agi_router.persons.appeal_states import AppealState
from agi_router.persons.effects import LockReason
from agi_router.persons.locks import LockedThing
from agi_router.texts import check_name

__all__ = [
    "EVIDENCE",
    "NOTICES",
    "OPEN",
    "REBOUND",
    "STEPS",
    "Appeal",
    "AppealStep",
    "Evidence",
    "EvidenceKind",
    "Rebind",
    "StepRule",
    "check_digest",
    "check_reference",
    "find_missing",
    "take",
]

_LONGEST_REFERENCE = 128
_DIGEST = re.compile("[0-9a-f]{64}")


class AppealStep(StrEnum):
    """
    What may be done with an appeal.
    """

    COMPLETE = "complete"
    REVIEW = "review"
    LIFT = "lift"
    UPHOLD = "uphold"
    WITHDRAW = "withdraw"
    LAPSE = "lapse"


class EvidenceKind(StrEnum):
    """
    What an appeal is backed with.
    """

    PAYMENT_RECORD = "payment_record"
    CALLS_IN_QUESTION = "calls_in_question"
    TENANT_STATEMENT = "tenant_statement"
    IDENTITY_PROOF = "identity_proof"
    BOUND_NUMBER = "bound_number"
    ACCOUNT_DATA = "account_data"
    EXPLANATION = "explanation"
    DEVICE_OR_ORDER_PROOF = "device_or_order_proof"


EVIDENCE: Mapping[LockReason, tuple[EvidenceKind, ...]] = {
    LockReason.MISUSE: (EvidenceKind.CALLS_IN_QUESTION, EvidenceKind.TENANT_STATEMENT),
    LockReason.SECURITY_RISK: (EvidenceKind.EXPLANATION, EvidenceKind.DEVICE_OR_ORDER_PROOF),
    LockReason.ACCOUNT_ANOMALY: (
        EvidenceKind.IDENTITY_PROOF,
        EvidenceKind.BOUND_NUMBER,
        EvidenceKind.ACCOUNT_DATA,
    ),
    LockReason.ARREARS: (EvidenceKind.PAYMENT_RECORD,),
    LockReason.MAINTENANCE: (),
}
"""What an appeal needs, by the reason of the lock."""

OPEN = frozenset({AppealState.FILED, AppealState.COMPLETE, AppealState.IN_REVIEW})
"""The states in which something may be done yet."""


@dataclass(frozen=True, slots=True)
class StepRule:
    """
    When a step may be done, and what it leads to.

    Attributes:
        sources: The states in which it may be done.
        target: What it leads to.
        second_actor: Whether whoever has set the lock may not do it.
    """

    sources: frozenset[AppealState]
    target: AppealState
    second_actor: bool = False


STEPS: Mapping[AppealStep, StepRule] = {
    AppealStep.COMPLETE: StepRule(frozenset({AppealState.FILED}), AppealState.COMPLETE),
    AppealStep.REVIEW: StepRule(
        frozenset({AppealState.COMPLETE}), AppealState.IN_REVIEW, second_actor=True
    ),
    AppealStep.LIFT: StepRule(
        frozenset({AppealState.IN_REVIEW}), AppealState.LIFTED, second_actor=True
    ),
    AppealStep.UPHOLD: StepRule(
        frozenset({AppealState.IN_REVIEW}), AppealState.UPHELD, second_actor=True
    ),
    AppealStep.WITHDRAW: StepRule(OPEN, AppealState.WITHDRAWN),
    AppealStep.LAPSE: StepRule(frozenset({AppealState.FILED}), AppealState.LAPSED),
}
"""Every step."""

NOTICES: Mapping[AppealState, Mapping[str, str]] = {
    AppealState.FILED: {
        "zh": "您的申诉已收到,请在期限内补齐材料。",
        "en": "Your appeal has arrived. Please send what is missing in time.",
    },
    AppealState.COMPLETE: {
        "zh": "您的申诉材料已齐,正在等待审核。",
        "en": "Your appeal is complete and waits for its review.",
    },
    AppealState.IN_REVIEW: {
        "zh": "您的申诉正在审核。",
        "en": "Your appeal is being reviewed.",
    },
    AppealState.LIFTED: {
        "zh": "限制已解除,可以继续使用本服务。",
        "en": "The lock is lifted. You can use the service again.",
    },
    AppealState.UPHELD: {
        "zh": "申诉未通过,限制保持不变。",
        "en": "Your appeal was not granted. The lock stays.",
    },
    AppealState.WITHDRAWN: {
        "zh": "您的申诉已撤回。",
        "en": "Your appeal was withdrawn.",
    },
    AppealState.LAPSED: {
        "zh": "申诉材料逾期未补齐,申诉已失效。您可以重新申诉。",
        "en": "Your appeal has lapsed, as something was missing. You may appeal again.",
    },
}
"""What the person is told, by state and language."""

REBOUND: Mapping[str, str] = {
    "zh": "您的订单已更换联系号码,请使用新号码。",
    "en": "Your order has another number. Please use the new one.",
}
"""What the parties of a binding are told that was carried over, by language."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    One piece of evidence: where it lies, and the digest of what lies there.
    """

    kind: EvidenceKind
    reference: str
    digest: str
    """SHA-256, 64 hexadecimal digits."""
    added_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebind:
    """
    A binding that was carried over to another number as an appeal was upheld.
    """

    old: str
    """The binding that has ended."""
    new: str
    """The one that has its place."""
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Appeal:
    """
    An appeal, as it stands at one moment.
    """

    id: int
    lock_id: int
    thing: LockedThing
    reason: LockReason
    tenant: str | None
    """Who has filed it; :obj:`None`: the operator."""
    state: AppealState
    note: str | None
    filed_by: str | None
    """:obj:`None` where that is not told; so below."""
    filed_at: datetime
    state_at: datetime
    deadline_at: datetime | None
    overdue: bool
    reviewer: str | None
    decided_by: str | None
    decision_note: str | None
    evidence: tuple[Evidence, ...]
    offers_rebind: bool = False
    """Whether bindings that its lock stops may be carried over to another number."""
    rebinds: tuple[Rebind, ...] = ()
    """Those that were."""

    @property
    def missing(self) -> tuple[EvidenceKind, ...]:
        """
        What is missing yet.
        """
        return find_missing(self.reason, {each.kind for each in self.evidence})

    @property
    def cursor(self) -> Cursor:
        """
        Where a page of a list ends that this is the last of.
        """
        return Cursor(self.filed_at, str(self.id))


def find_missing(reason: LockReason, given: Collection[EvidenceKind]) -> tuple[EvidenceKind, ...]:
    """
    What an appeal against a lock for *reason* needs beside what was *given*.
    """
    return tuple(each for each in EVIDENCE[reason] if each not in given)


def take(state: AppealState, step: AppealStep, *, actor: str | None, set_by: str) -> AppealState:
    """
    What a step leads to.

    Args:
        state: What has become of the appeal so far.
        step: The step.
        actor: Who does it; :obj:`None`: the clock.
        set_by: Who has set the lock.

    Raises:
        AppealOver: The appeal is over.
        AppealNotReady: Another step comes first.
        SameActor: Whoever has set the lock may not.
    """
    rule = STEPS[step]
    if state not in OPEN:
        raise AppealOver(f"the appeal is {state.value} already")
    if state not in rule.sources:
        raise AppealNotReady(
            f"the appeal is {state.value}: {step.value} is for one that is"
            f" {' or '.join(sorted(each.value for each in rule.sources))}"
        )
    if rule.second_actor and actor == set_by:
        raise SameActor("whoever has set a lock does not judge it: let somebody else do it")
    return rule.target


def check_reference(text: str) -> str:
    """
    Return *text*, stripped, if it may say where evidence lies.

    Raises:
        ValueError: If it may not.
    """
    return check_name(text, what="a reference", longest=_LONGEST_REFERENCE)


def check_digest(text: str) -> str:
    """
    Return *text* if it is a SHA-256 in hexadecimal digits, in small letters.

    Raises:
        ValueError: It is none.
    """
    if not _DIGEST.fullmatch(text.lower()):
        raise ValueError("a digest is a SHA-256: 64 hexadecimal digits")
    return text.lower()

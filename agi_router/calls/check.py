"""
The real-time check (核验): whether a verification service lets a call through, or a text.

What is asked and what counts as an answer; :mod:`agi_router.calls.verifier` sends it. There is one
service of the operator's, and one of each tenant that wants it. Whatever is no answer in time
refuses the call, unless the tenant has said that it rings where its own service is silent.

Source: domain notes 0.4: "every call passes a real-time check before it is connected".
"""

import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from agi_router.bindings.words import Side
from agi_router.numbers import PhoneNumber, XNumber

__all__ = [
    "LARGEST_ANSWER",
    "NOTE_CHECK",
    "AnswerError",
    "Checked",
    "Question",
    "TenantCheck",
    "TenantService",
    "Unanswered",
    "Verdict",
    "judge",
    "read_verdict",
]

LARGEST_ANSWER = 4096
"""Bytes of an answer's body; a longer one is none."""

NOTE_CHECK = 0.05
"""Seconds that are kept of a decision's time for writing down what became of its check."""


class Verdict(StrEnum):
    """
    What became of a check.
    """

    YES = "yes"
    NO = "no"
    UNAVAILABLE = "unavailable"
    """There was no answer, or none that can be read."""


class Unanswered(StrEnum):
    """
    What becomes of a call about which the service of its tenant says nothing in time.
    """

    REFUSE = "refuse"
    RING = "ring"


class AnswerError(ValueError):
    """
    What came is no answer; the words say why, and hold nothing of it.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """
    One check, as it goes on the record of its call.
    """

    id: str
    verdict: Verdict
    ms: int
    """Milliseconds that it took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantCheck:
    """
    A tenant's own check, as it is managed; without its secrets.
    """

    tenant: str
    url: str
    unanswered: Unanswered
    timeout_ms: int | None
    """Milliseconds that it has, if those are fewer than the operator's; :obj:`None`: as many."""
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantService:
    """
    The service that is asked for a tenant. Its ``repr`` shows no secret.
    """

    tenant_id: int
    url: str = field(repr=False)
    """As the row has it: whoever connects looks at it."""
    unanswered: Unanswered
    timeout: float | None
    """Seconds that it has, as above."""
    secrets: tuple[str, ...] = field(repr=False)
    """What questions are signed with: the current one first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """
    What a verification service is asked about one call, or one text.
    """

    id: str
    """A UUID; the answer repeats it."""
    about: str
    """The id of the call or of the text."""
    asked_at: datetime
    binding: str
    x_number: XNumber
    side: Side
    """The side on which the caller, or the sender, stands."""
    tenant: str
    of_text: bool = False
    order_id: str | None = None
    out_id: str | None = None
    industrial_id: str | None = None
    caller: PhoneNumber | None = field(default=None, repr=False)
    """Only where the operator wants real numbers to be sent."""
    callees: tuple[PhoneNumber, ...] = field(default=(), repr=False)

    def to_json(self) -> bytes:
        """
        The body of the request, in UTF-8: ``docs/check.md`` has its fields.
        """
        asked = {
            "id": self.id,
            "message_id" if self.of_text else "call_id": self.about,
            "asked_at": self.asked_at.isoformat(),
            "x": str(self.x_number),
            "binding": self.binding,
            "side": self.side.value,
            "tenant": self.tenant,
            "order": self.order_id,
            "out_id": self.out_id,
            "industrial_id": self.industrial_id,
        }
        numbers = {}
        if self.caller is not None:
            callees = [callee.digits for callee in self.callees]
            numbers = {"caller": self.caller.digits, "callees": callees}
        return json.dumps({**asked, **numbers}).encode()


def read_verdict(status: int, body: bytes, *, question_id: str) -> Verdict:
    """
    What a verification service has answered.

    Args:
        status: The HTTP status.
        body: The body.
        question_id: The id that was sent.

    Returns:
        Yes or no.

    Raises:
        AnswerError: It is no answer to this question.
    """
    if status != 200:  # noqa: PLR2004 - OK
        raise AnswerError(f"status {status}")
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise AnswerError("no JSON") from None
    if not isinstance(answer, dict) or answer.get("id") != question_id:
        raise AnswerError("the answer to another question")
    match answer.get("verdict"):
        case "yes":
            return Verdict.YES
        case "no":
            return Verdict.NO
        case _:
            raise AnswerError("neither yes nor no")


def judge(operator: Checked | None, tenant: Checked | None, unanswered: Unanswered) -> Verdict:
    """
    What becomes of a call.

    Args:
        operator: What the operator's service said; :obj:`None`: it was not asked.
        tenant: The same of its tenant's.
        unanswered: What the tenant wants where its service has said nothing.
    """
    verdicts = [each.verdict for each in (operator, tenant) if each is not None]
    if Verdict.NO in verdicts:
        return Verdict.NO
    if operator is not None and operator.verdict is Verdict.UNAVAILABLE:
        return Verdict.UNAVAILABLE
    if Verdict.UNAVAILABLE in verdicts and unanswered is Unanswered.REFUSE:
        return Verdict.UNAVAILABLE
    return Verdict.YES

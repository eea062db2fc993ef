"""Texts as values: names, states, tries, and the decision to take one."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from agi_router.bindings.facts import Facts, RouteHit
from agi_router.bindings.reach import Asked, explain
from agi_router.bindings.reasons import Reason
from agi_router.bindings.words import BindingState, Callback, Messages, Mode, Side
from agi_router.calls.decision import Refusal
from agi_router.calls.ports import Admission
from agi_router.messages.decision import AllocationNeeded, Taken, decide_text, screen_text
from agi_router.messages.explanation import explain_text
from agi_router.messages.model import (
    ANSWER,
    LEASE,
    LONGEST,
    RETRIES,
    TURN,
    WRITE,
    Outgoing,
    Text,
    count_parts,
    is_certain,
    is_temporary,
    message_block,
    message_day,
    name_message,
    pause_after,
)
from agi_router.numbers import Block
from agi_router.sip import T1
from agi_router.smpp import Patience
from harness.values import NOW, A, B, C, X

HOUR = timedelta(hours=1)
TEXT = Text(sender=A, x_number=X, body="at the gate")
HIT = RouteHit(
    block=X.block,
    binding_id=42,
    mode=Mode.AXB,
    side=Side.A,
    callees=(B,),
    shown=X,
    state=BindingState.ACTIVE,
    direction=Messages.BOTH,
    begins_at=NOW - HOUR,
    expires_at=NOW + HOUR,
    ended_at=None,
    max_calls=3,
    calls_used=2,
    ring_timeout=None,
    max_duration=None,
    language=None,
    tenant_active=True,
)
FACTS = Facts(block_known=True, certificate_valid=True, x_bound=True, hit=HIT)


def decided(**changed: Any) -> Reason | Taken | AllocationNeeded:
    """Decide upon the text, with something else of the row."""
    facts = replace(FACTS, hit=replace(HIT, **changed))
    found = decide_text(TEXT, facts, now=NOW)
    return found.reason if isinstance(found, Refusal) else found


def test_a_text_is_taken() -> None:
    """Its receiver sees the number shown."""
    assert decided() == Taken(binding=HIT.binding, side=HIT.side, receiver=B, shown=X)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"direction": Messages.OFF}, Reason.MESSAGES_OFF),
        ({"direction": Messages.B}, Reason.WRONG_DIRECTION),
        ({"direction": Messages.A, "side": Side.B}, Reason.WRONG_DIRECTION),
        ({"calls_used": 3}, Reason.USED_UP),
        ({"state": BindingState.USED_UP, "ended_at": NOW}, Reason.USED_UP),
        ({"mode": Mode.AX, "callback": Callback.LAST, "callees": ()}, Reason.NO_CALLBACK),
        ({"mode": Mode.AXE, "callback": Callback.DEFAULT}, Reason.MODE_UNSUPPORTED),
        (
            {"mode": Mode.GXB, "callback": Callback.ALL, "callees": (B, C), "side": Side.B},
            Reason.MODE_UNSUPPORTED,
        ),
        ({"expires_at": NOW}, Reason.EXPIRED),
        ({"tenant_active": False}, Reason.TENANT_SUSPENDED),
        ({"callees": ()}, Reason.NO_DEFAULT_PARTY),
        ({"callees": (A,)}, Reason.SELF_CALL),
        # The first rule that fails gives the reason.
        ({"direction": Messages.OFF, "calls_used": 3}, Reason.MESSAGES_OFF),
        ({"direction": Messages.OFF, "expires_at": NOW}, Reason.EXPIRED),
    ],
)
def test_why_a_text_is_refused(changed: dict[str, Any], reason: Reason) -> None:
    """By the rules of calls, but for uses and sides, which are its own."""
    assert decided(**changed) is reason


def test_who_receives_a_text_of_several() -> None:
    """Of those who ring in turn, the first; of all at once, the only one."""
    group = {"mode": Mode.GXB, "side": Side.B}
    for callback, callees in ((Callback.SEQUENCE, (C, B)), (Callback.ALL, (C,))):
        found = decided(**group, callback=callback, callees=callees)
        assert isinstance(found, Taken)
        assert found.receiver == C


def test_a_number_is_made_first() -> None:
    """As for a call."""
    assert decided(shown=None) == AllocationNeeded(binding=HIT.binding, binding_id=42, receiver=B)


def test_a_stranger_is_refused() -> None:
    """There is no binding to name."""
    found = decide_text(TEXT, replace(FACTS, hit=None), now=NOW)
    assert found == Refusal(reason=Reason.STRANGER)


def test_the_rules_are_told() -> None:
    """Those of texts, in their order."""
    steps = [step.rule for step in explain(A, FACTS, now=NOW, asked=Asked.TEXT)]
    assert "texts are left" in steps
    assert "calls are left" not in steps


@pytest.mark.parametrize(
    ("sender", "to", "body", "reason"),
    [
        (A.digits, "70012345678", "", Reason.X_MALFORMED),
        (Reason.CALLER_HIDDEN, str(X), "", Reason.CALLER_HIDDEN),
        ("106900001", str(X), "", Reason.CALLER_FOREIGN),
        (A.digits, str(X), "a" * (LONGEST + 1), Reason.TOO_LONG),
        (A.digits, str(X), "你" * (LONGEST // 3 + 1), Reason.TOO_LONG),
    ],
)
def test_what_is_refused_unseen(sender: str | Reason, to: str, body: str, reason: Reason) -> None:
    """For its numbers, or its length in octets."""
    found = screen_text(sender=sender, to=to, body=body)
    assert isinstance(found, Refusal)
    assert found.reason is reason


def test_a_text_is_read() -> None:
    """With its numbers parsed; its ``repr`` does not show what it says."""
    found = screen_text(sender=f"+86{A.digits}", to=str(X), body="a" * LONGEST)
    assert found == Text(sender=A, x_number=X, body="a" * LONGEST)
    assert "aaa" not in repr(found)


def test_names() -> None:
    """One tells its block and its day."""
    block = Block.parse("70012345678")
    name = name_message(block, NOW, 2**64)
    assert name == f"70012345678-{int(NOW.timestamp())}.3709551616"
    assert message_day(name) == date(2025, 3, 14)
    for wrong in ("", "70012345678-1.2", name + "x"):
        with pytest.raises(ValueError, match="looks like"):
            message_day(wrong)


def test_when_a_text_is_tried_again() -> None:
    """Later and later, and then as late."""
    assert [pause_after(n) for n in range(1, 9)] == [*RETRIES, RETRIES[-1], RETRIES[-1]]
    assert list(RETRIES) == sorted(RETRIES)


@pytest.mark.parametrize(
    ("status", "again"), [(None, True), (408, True), (480, True), (503, True), (404, False)]
)
def test_what_may_pass_by_itself(status: int | None, again: bool) -> None:  # noqa: FBT001
    """A refusal for good is one."""
    assert is_temporary(status) is again


@pytest.mark.parametrize(
    ("status", "certain"), [(None, False), (408, False), (504, False), (503, True)]
)
def test_what_has_certainly_not_arrived(status: int | None, certain: bool) -> None:  # noqa: FBT001
    """A proxy that has waited for nothing does not know."""
    assert is_certain(status) is certain


def test_where_an_outgoing_text_is_kept() -> None:
    """In the block of the number shown; what it says is not shown."""
    sent = Outgoing(id="1", attempts=1, maybe_twice=False, receiver=B, shown=X, body="secret")
    assert sent.block == X.block
    assert "secret" not in repr(sent)


def test_the_block_in_a_name() -> None:
    """It tells where the text is kept."""
    assert message_block(name_message(X.block, NOW, 7)) == X.block
    with pytest.raises(ValueError, match="looks like"):
        message_block("70012345678-1")


def test_a_decision_is_explained() -> None:
    """Rule by rule, by those of texts, up to the first that fails."""

    def look(said: Text) -> Admission:
        assert (said.sender, said.x_number) == (A, X)
        return Admission(admitted=False, facts=facts, now=NOW)

    facts = FACTS
    found = explain_text(look, sender=A.digits, to=str(X))
    assert (found.decision, found.at) == (
        Taken(binding=HIT.binding, side=HIT.side, receiver=B, shown=X),
        NOW,
    )
    assert all(step.holds for step in found.steps)
    facts = replace(FACTS, hit=replace(HIT, direction=Messages.OFF))
    found = explain_text(look, sender=A.digits, to=str(X))
    assert isinstance(found.decision, Refusal)
    assert [step.rule for step in found.steps if not step.holds] == ["texts are on"]
    assert found.steps[-1].rule == "texts are on"


def test_numbers_alone_explain_a_refusal() -> None:
    """The store is not asked."""

    def look(_: Text) -> Admission:
        raise AssertionError

    found = explain_text(look, sender="anonymous", to=str(X), at=NOW)
    assert isinstance(found.decision, Refusal)
    assert (found.decision.reason, found.at) == (Reason.CALLER_HIDDEN, NOW)
    assert [step.holds for step in found.steps] == [False]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        # 152 septets and an escape that would be cut.
        ("a" * 152 + "€" + "a" * 151, 2),
        ("a" * 152 + "€" + "a" * 152, 3),
        ("你" * 70, 1),
        ("你" * 71, 2),
        ("a" * 69 + "你", 1),
        ("a" * 70 + "你", 2),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        # A pair is not cut: 33 of them in each part.
        ("😀" * 66, 2),
        ("😀" * 67, 3),
        ("`", 1),
        ("`" * 71, 2),
    ],
)
def test_how_many_parts_a_text_has(text: str, parts: int) -> None:
    """By the alphabet of seven bits, or in UTF-16."""
    assert count_parts(text) == parts


def test_a_lease_is_longer_than_all_that_a_try_waits_for() -> None:
    """Its turn, an answer by either protocol, and a slow end; so nobody else begins meanwhile."""
    answer = max(64 * T1, Patience().submit)
    assert answer <= ANSWER
    assert timedelta(seconds=TURN + answer + WRITE) < LEASE

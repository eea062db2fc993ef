"""The values: the closed set of reasons, each with a cause and a prompt, and directions."""

from __future__ import annotations

import csv
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from importlib.resources import files

import pytest

from agi_router.bindings.facts import RouteHit
from agi_router.bindings.reasons import Reason
from agi_router.bindings.words import BindingState, Direction, Language, Mode, Side
from agi_router.calls.arrival import Call
from agi_router.calls.decision import Refusal
from agi_router.calls.treatment import treat
from agi_router.persons.effects import LockReason
from harness.values import BLOCK, A, B, X

# The words of the domain notes, 4.1.
WORDS = {
    "x_malformed",
    "x_unknown",
    "x_locked",
    "number_changed",
    "number_retired",
    "no_binding",
    "stranger",
    "expired",
    "idle_expired",
    "order_ended",
    "unbound",
    "consent_withdrawn",
    "used_up",
    "wrong_direction",
    "messages_off",
    "mode_unsupported",
    "too_long",
    "body_refused",
    "no_default_party",
    "no_callback",
    "self_call",
    "extension_missing",
    "extension_wrong",
    "party_locked",
    "party_unverified",
    "party_recycled",
    "recycle_unknown",
    "blocked",
    "caller_hidden",
    "caller_foreign",
    "caller_type",
    "rate_caller",
    "rate_callee",
    "rate_x",
    "rate_tenant",
    "outside_hours",
    "check_refused",
    "check_unavailable",
    "tenant_suspended",
    "tenant_unqualified",
    "certificate_invalid",
    "region_not_served",
    "no_capacity",
    "platform_fault",
}

SIP_STATUSES = {1: 404, 21: 403, 22: 410, 31: 480, 34: 503}


def prompts() -> dict[str, dict[str, str]]:
    """Return the shipped prompts by name."""
    text = files("agi_router.dialplan").joinpath("prompts.tsv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    return {row["name"]: row for row in rows}


def test_the_set_of_reasons_is_closed() -> None:
    """
    All words of the domain notes and three of ours.

    A locked callee is not told to the caller; a caller id may be there and not be readable; a copy
    of a call is none.
    """
    ours = {"callee_locked", "caller_unreadable", "merged"}
    assert {reason.value for reason in Reason} == WORDS | ours


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_has_a_cause_that_becomes_a_sip_status(reason: Reason) -> None:
    """Asterisk has a SIP status for the cause; any other would leave as 603."""
    assert treat(Refusal(reason=reason)).cause in SIP_STATUSES


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_has_a_prompt_in_both_languages(reason: Reason) -> None:
    """The caller hears why, in Mandarin and in English."""
    prompt = prompts()[treat(Refusal(reason=reason)).prompt]
    assert prompt["zh"].strip()
    assert prompt["en"].strip()


@pytest.mark.parametrize("lock", LockReason)
def test_whoever_is_locked_hears_why(lock: LockReason) -> None:
    """In both languages; where the prompt was never made, that of its first two words."""
    refusal = Refusal(reason=Reason.PARTY_LOCKED, lock=lock)
    assert treat(refusal) == (21, f"you_locked_{lock}")
    prompt = prompts()[treat(refusal).prompt]
    assert prompt["zh"].strip()
    assert prompt["en"].strip()
    assert treat(refusal.undisclosed).prompt == "no_relation"
    shorter = {"_".join(name.split("_")[:2]) for name in prompts()}
    assert shorter <= prompts().keys()


@pytest.mark.parametrize(
    ("reason", "cause", "prompt"),
    [
        # The rows of the domain notes, 2.2.
        (Reason.X_MALFORMED, 1, "number_bad"),
        (Reason.X_UNKNOWN, 1, "number_bad"),
        (Reason.X_LOCKED, 31, "paused"),
        (Reason.NUMBER_CHANGED, 22, "number_changed"),
        (Reason.NUMBER_RETIRED, 1, "number_bad"),
        (Reason.NO_BINDING, 21, "no_relation"),
        (Reason.EXPIRED, 21, "order_ended"),
        (Reason.ORDER_ENDED, 21, "order_ended"),
        (Reason.UNBOUND, 21, "order_ended"),
        (Reason.USED_UP, 21, "used_up"),
        (Reason.WRONG_DIRECTION, 21, "one_way"),
        (Reason.NO_DEFAULT_PARTY, 21, "one_way"),
        (Reason.CALLER_HIDDEN, 21, "show_number"),
        (Reason.CALLER_FOREIGN, 21, "no_foreign"),
        (Reason.CALLER_TYPE, 21, "use_mobile"),
        (Reason.PARTY_LOCKED, 21, "you_locked"),
        (Reason.CALLEE_LOCKED, 31, "unreachable"),
        (Reason.PARTY_RECYCLED, 31, "party_changed"),
        (Reason.RECYCLE_UNKNOWN, 31, "party_changed"),
        (Reason.RATE_CALLER, 21, "too_often"),
        (Reason.OUTSIDE_HOURS, 21, "hours"),
        (Reason.CHECK_REFUSED, 21, "not_verified"),
        (Reason.CHECK_UNAVAILABLE, 31, "try_later"),
        (Reason.TENANT_SUSPENDED, 21, "paused"),
        (Reason.TENANT_UNQUALIFIED, 21, "paused"),
        (Reason.CERTIFICATE_INVALID, 21, "paused"),
        (Reason.NO_CAPACITY, 34, "lines_busy"),
        (Reason.PLATFORM_FAULT, 31, "try_later"),
    ],
)
def test_what_a_reason_sounds_like(reason: Reason, cause: int, prompt: str) -> None:
    """Cause and prompt are those of the domain notes."""
    assert treat(Refusal(reason=reason)) == (cause, prompt)


@pytest.mark.parametrize("reason", [Reason.NO_BINDING, Reason.STRANGER, Reason.BLOCKED])
def test_a_stranger_learns_nothing(reason: Reason) -> None:
    """Nobody can tell by ear or by status whether a number is bound."""
    assert treat(Refusal(reason=reason)) == treat(Refusal(reason=Reason.STRANGER))


def test_only_a_crowd_makes_the_network_try_another_node() -> None:
    """34 leaves as 503, which can take a route out of service; policy must never do that."""
    crowded = [each for each in Reason if treat(Refusal(reason=each)).cause == 34]
    assert crowded == [Reason.NO_CAPACITY]


@pytest.mark.parametrize(
    ("direction", "a", "b"),
    [(Direction.BOTH, True, True), (Direction.A, True, False), (Direction.B, False, True)],
)
def test_direction(direction: Direction, *, a: bool, b: bool) -> None:
    """A direction names the side that may call."""
    assert (direction.allows(Side.A), direction.allows(Side.B)) == (a, b)


def test_a_binding_is_named_after_its_block() -> None:
    """The name alone tells the shard; and values do not change."""
    now = datetime(2025, 3, 14, tzinfo=UTC)
    leg = RouteHit(
        block=BLOCK,
        binding_id=42,
        mode=Mode.AXB,
        side=Side.A,
        callees=(B,),
        shown=X,
        state=BindingState.ACTIVE,
        direction=Direction.BOTH,
        begins_at=now,
        expires_at=now,
        ended_at=None,
        max_calls=None,
        calls_used=0,
        ring_timeout=None,
        max_duration=None,
        language=None,
        tenant_active=True,
    )
    assert leg.binding == "70012345678-42"
    with pytest.raises(FrozenInstanceError):
        leg.calls_used = 1  # type: ignore[misc]


def test_no_value_shows_a_real_number() -> None:
    """A call that reaches a log as a whole is masked."""
    call = Call(caller=A, x_number=X)
    assert A.digits not in f"{call} {call!r}"


# Known without a look at what is bound on the number.
PLAIN = {
    Reason.X_MALFORMED,
    Reason.X_UNKNOWN,
    Reason.NUMBER_CHANGED,
    Reason.NUMBER_RETIRED,
    Reason.CERTIFICATE_INVALID,
    Reason.CALLER_HIDDEN,
    Reason.CALLER_FOREIGN,
    Reason.CALLER_TYPE,
    Reason.CALLER_UNREADABLE,
    Reason.RATE_CALLER,
    Reason.MERGED,
    Reason.TOO_LONG,
    Reason.CHECK_UNAVAILABLE,
    Reason.NO_CAPACITY,
    Reason.PLATFORM_FAULT,
}


@pytest.mark.parametrize("reason", Reason)
def test_strictly(reason: Reason) -> None:
    """What depends on a binding is told as that there is none, in nobody's language."""
    refusal = Refusal(reason=reason, binding="70012345678-1", language=Language.EN)
    assert reason.reveals_binding is (reason not in PLAIN)
    assert refusal.undisclosed == (
        refusal if reason in PLAIN else Refusal(reason=Reason.NO_BINDING)
    )


def test_too_short() -> None:
    """Digits are missing: the network may say so."""
    assert treat(Refusal(reason=Reason.X_MALFORMED, too_short=True)) == (28, "number_bad")


def test_faults_of_ours() -> None:
    """Nobody is held to account for these."""
    ours = {Reason.CHECK_UNAVAILABLE, Reason.NO_CAPACITY, Reason.PLATFORM_FAULT}
    assert {reason for reason in Reason if reason.is_platform_fault} == ours

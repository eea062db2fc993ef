"""
Locks: a person, a 700 number, a block or a tenant that neither calls, nor is called, nor is bound.

Rules for the editor:

1. Locks overlap: each holds by itself, and of several the strongest speaks.
2. A lock holds from its start until its end, to the microsecond, as the database's clock has it.
   One without an end holds until somebody lifts it.
3. A lock is found by a tag or a number, and may be another person's with the same tag. It holds
   for whoever's number its seal has, and for nobody else.

Source:
    Domain notes, 0.7.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from agi_router.cursors import Cursor
from agi_router.numbers import Block, PhoneNumber, XNumber
from agi_router.persons.effects import LockReason, Subject
from agi_router.texts import check_name

__all__ = [
    "REASONS",
    "Lock",
    "LockState",
    "LockedThing",
    "ReasonRule",
    "check_rule",
    "parse_lock_id",
]

_LONGEST_RULE = 128
_LARGEST_ID = 2**63 - 1


class LockState(StrEnum):
    """
    Whether a lock holds.
    """

    PLANNED = "planned"
    IN_FORCE = "in_force"
    LIFTED = "lifted"
    ENDED = "ended"
    """Its time was over."""


@dataclass(frozen=True, slots=True)
class ReasonRule:
    """
    What a reason means.

    Attributes:
        case: What has happened.
        lifts: How such a lock ends.
        needs_end: Whether it has to have an end.
        cuts: Whether it may cut calls that are up.
    """

    case: str
    lifts: str
    needs_end: bool = False
    cuts: bool = False


REASONS: dict[LockReason, ReasonRule] = {
    LockReason.MISUSE: ReasonRule("harassing calls, spam, unlawful use", "by a review", cuts=True),
    LockReason.SECURITY_RISK: ReasonRule(
        "odd behaviour that the platform has seen", "by a review, or at its end", cuts=True
    ),
    LockReason.ACCOUNT_ANOMALY: ReasonRule(
        "a wrong password or code too often, a stolen account",
        "at its end, or as the owner proves to be it",
    ),
    LockReason.ARREARS: ReasonRule("unpaid", "when payment is reported"),
    LockReason.MAINTENANCE: ReasonRule(
        "work of a carrier or the platform", "at the end of its window", needs_end=True
    ),
}
"""Every reason, the strongest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedThing:
    """
    What a lock is on.

    Attributes:
        subject: Its kind.
        number: The 700 number, where it is one.
        block: The block, where it is one.
        person: The real number, where it is a person.
        tenant: The tenant that is locked; of a person, the one for which alone it is, or
            :obj:`None` for everywhere.
        damage: Why it cannot be read; then it is known by its kind and tenant alone.
    """

    subject: Subject
    number: XNumber | None = None
    block: Block | None = None
    person: PhoneNumber | None = field(default=None, repr=False)
    tenant: str | None = None
    damage: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """
    A lock, as it stands at one moment.
    """

    id: int
    thing: LockedThing
    reason: LockReason
    rule: str | None
    note: str | None
    """What the person may be told."""
    set_by: str | None
    """Who has set it; :obj:`None` where that is not told."""
    set_at: datetime
    starts_at: datetime
    ends_at: datetime | None
    """:obj:`None`: until it is reviewed."""
    over_at: datetime | None
    lifted: bool
    """Whether somebody has ended it before its time."""
    lifted_by: str | None
    lift_note: str | None
    cut: bool
    """Whether calls that are up as it begins are cut."""
    own: bool
    """Whether it is of the hand of whoever has asked for it: the operator, or the same tenant."""
    liftable: bool
    """Whether whoever has asked for it may lift it."""
    now: datetime
    """When it stood so."""

    @property
    def state(self) -> LockState:
        """
        Whether it holds.
        """
        if self.lifted:
            return LockState.LIFTED
        if self.over_at is not None or (self.ends_at is not None and self.ends_at <= self.now):
            return LockState.ENDED
        return LockState.PLANNED if self.starts_at > self.now else LockState.IN_FORCE

    @property
    def cursor(self) -> Cursor:
        """
        Where a page of a list ends that this is the last of.
        """
        return Cursor(self.set_at, str(self.id))


def check_rule(text: str) -> str:
    """
    Return *text*, stripped, if it may name the rule by which a lock was set.

    Raises:
        ValueError: If it may not.
    """
    return check_name(text, what="a rule", longest=_LONGEST_RULE)


def parse_lock_id(text: str, *, what: str = "a lock's", listed: str = "lock list") -> int:
    """
    Read the id of a lock, or of what is numbered alike.

    Args:
        text: What was typed.
        what: Whose id it is, for the error.
        listed: The command that shows ids.

    Raises:
        ValueError: It is none.
    """
    # What is longer is not read: of very many digits int() says something else.
    digits = text.isascii() and text.isdigit() and len(text) <= len(str(_LARGEST_ID))
    if not digits or not 0 < int(text) <= _LARGEST_ID:
        raise ValueError(f"{what} id is a whole number, as 'agi-router {listed}' shows it")
    return int(text)

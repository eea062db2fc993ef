"""
Locks and block lists as a call, a text or a bind meets them: what is in force, and whom it is on.

A router imports this file, and nothing of how they are set, shown and ended.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from agi_router.numbers import PhoneNumber

__all__ = [
    "Ban",
    "BlockDirection",
    "Effect",
    "LockReason",
    "Subject",
    "find_strongest",
    "holds_for",
]


class Subject(StrEnum):
    """
    What kind of thing a lock is on.
    """

    NUMBER = "number"
    """A 700 number."""
    PERSON = "person"
    TENANT = "tenant"
    BLOCK = "block"


class LockReason(StrEnum):
    """
    Why something is locked; the strongest first.
    """

    MISUSE = "misuse"
    SECURITY_RISK = "security_risk"
    ACCOUNT_ANOMALY = "account_anomaly"
    ARREARS = "arrears"
    MAINTENANCE = "maintenance"


class BlockDirection(StrEnum):
    """
    What an entry refuses, seen from its person.
    """

    BOTH = "both"
    OUT = "out"
    """What the person asks of the other."""
    IN = "in"
    """What the other asks of the person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """
    A lock that is in force, so far as a call or a bind needs it.
    """

    id: int
    subject: Subject
    reason: LockReason
    key: int
    """The 700 number, block or tenant; of a person nothing."""
    person: PhoneNumber | None = field(default=None, repr=False)
    everywhere: bool = True
    """Whether it holds for all tenants."""
    appeal: str | None = None
    """What has become of the last appeal against it."""


def holds_for(
    effect: Effect,
    *,
    numbers: Collection[int],
    block: int,
    tenant: int | None,
    people: Collection[PhoneNumber],
) -> bool:
    """
    Whether a lock that was found by a key is on what was meant, and not a stranger's.

    Args:
        effect: The lock.
        numbers: The 700 numbers that are used.
        block: Their block.
        tenant: Whose binding it is; :obj:`None` where there is none.
        people: All who take part.
    """
    match effect.subject:
        case Subject.NUMBER:
            return effect.key in numbers
        case Subject.BLOCK:
            return effect.key == block
        case Subject.TENANT:
            return effect.key == tenant
    return effect.person in people


def find_strongest(effects: Iterable[Effect]) -> Effect | None:
    """
    Of several locks the one that speaks; :obj:`None` where there is none.
    """
    order: Sequence[LockReason] = list(LockReason)
    return min(effects, key=lambda each: (order.index(each.reason), each.id), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ban:
    """
    An entry that is in force, so far as a call or a text needs it.
    """

    id: int
    person: PhoneNumber = field(repr=False)
    other: PhoneNumber | None = field(default=None, repr=False)
    direction: BlockDirection = BlockDirection.BOTH

    def keeps(self, caller: PhoneNumber, callee: PhoneNumber) -> bool:
        """
        Whether *caller* may not reach *callee* by it.
        """
        if (
            self.person == caller
            and self.direction is not BlockDirection.IN
            and self.other in {None, callee}
        ):
            return True
        return (
            self.person == callee
            and self.direction is not BlockDirection.OUT
            and self.other in {None, caller}
        )

"""
What a trace tells.

Rules for the editor:

1. A trace tells who was a party *then*: whoever was replaced, has left or came later stands there
   with the times of that.
2. What is known of a person is found by tags, which two may share, and is told only once the
   sealed number was opened and is that person's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from agi_router.bindings.model import BindingId, Party
from agi_router.bindings.words import BindingState, Mode
from agi_router.consent.ledger import ConsentLine
from agi_router.numbers import PhoneNumber
from agi_router.persons.locks import Lock

__all__ = ["Stretch", "Trace", "around", "join_stretches"]

_TOGETHER = timedelta(milliseconds=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """
    A time in which a binding had the same parties.

    Attributes:
        binding: Its id.
        tenant: The tenant that it is for.
        order: The order that it is for, if one was named.
        mode: Its mode.
        state: What has become of it by now.
        since: When these became its parties.
        until: When they no longer were; in the future where it is to end then.
        parties: Who was bound, on which side, dialling what; none where they cannot be read.
        called_back: Who else was rung by it: a number that callers of the other side reach.
        damage: Why the parties cannot be read.
    """

    binding: BindingId
    tenant: str
    order: str | None
    mode: Mode
    state: BindingState
    since: datetime
    until: datetime
    parties: tuple[Party, ...]
    called_back: tuple[PhoneNumber, ...]
    damage: str | None = None

    def concerns(self, person: PhoneNumber) -> bool:
        """
        Whether somebody was a party of it, or was rung by it; so it may be where it is damaged.
        """
        return (
            self.damage is not None
            or person in self.called_back
            or any(party.number == person for party in self.parties)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """
    Who was bound in a time, which calls and texts came of it, and which locks stood.

    Attributes:
        since: Its begin.
        until: Its end.
        bound: Who was bound, the earliest first.
        calls: Records of calls, newest first.
        messages: Records of texts, newest first.
        locks: Locks that held in that time on the number, its block, the tenants and the persons.
        consents: What the parties had said by the end of that time to the tenants by whom they
            were bound, of their orders or of all: newest first.
        cut: Whether there is more than was asked for.
    """

    since: datetime
    until: datetime
    bound: Sequence[Stretch]
    calls: Sequence[dict[str, Any]]
    messages: Sequence[dict[str, Any]]
    locks: Sequence[Lock]
    consents: Sequence[ConsentLine]
    cut: bool


def around(at: datetime, width: timedelta) -> tuple[datetime, datetime]:
    """
    The time that lies so much before and behind a moment, as far as there is such a time.
    """
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    return at - min(width, at - first), at + min(width, last - at)


def join_stretches(stretches: Iterable[Stretch]) -> list[Stretch]:
    """
    The same times with those made one that follow each other and have the same parties.

    A moment in which the rows of a new binding were being written is left out.

    Args:
        stretches: Those of each binding one after the other, by time.
    """
    joined: list[Stretch] = []
    for each in stretches:
        last = joined[-1] if joined else None
        if last is not None and each == replace(last, since=each.since, until=each.until):
            joined[-1] = replace(last, until=each.until)
        elif last is not None and _is_half_written(last, each, joined[:-1]):
            joined[-1] = each
        else:
            joined.append(each)
    return joined


def _is_half_written(first: Stretch, then: Stretch, before: Sequence[Stretch]) -> bool:
    """
    Whether nothing is lost of who was a party by leaving out the first moment of a binding.
    """
    begins = not before or before[-1].binding != first.binding
    return (
        begins
        and first.binding == then.binding
        and first.until - first.since < _TOGETHER
        and set(first.parties) <= set(then.parties)
        and set(first.called_back) <= {*then.called_back, *(each.number for each in then.parties)}
    )

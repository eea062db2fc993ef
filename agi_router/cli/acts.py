"""
What commands do is on record: the audit gets a row in the transaction that does it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import click

from agi_router import logs
from agi_router.db.connection import Connection, Queries
from agi_router.records.audit import Audit, AuditEntry, differing

__all__ = ["MOST_THINGS", "Act", "acting", "record_act"]

MOST_THINGS: Final = 20
"""Of so many things a row says what stood, and what stands; as ``note_change`` has it."""


@dataclass(slots=True)
class Act:
    """
    What is being done.

    Attributes:
        subject: What it is done to; known at the end, where something is made.
        tag: The person that it is about, if it is about one.
        before: What stood before, of what the database does not note by itself: a binding.
        after: What stands now.
    """

    subject: str
    tag: int | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None

    def note(self, name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """
        Note what differs of a thing, by its name; a thing that was made was nothing before.
        """
        self.before, self.after = differing(name, before, after)


@contextmanager
def acting(connection: Connection, subject: str) -> Iterator[Act]:
    """
    A transaction in which a command does something; at its end that is written down.

    Args:
        connection: Where it is done.
        subject: What it is done to; numbers in it are masked.

    Raises:
        StoreError: It cannot be written down; then nothing was done.
    """
    act = Act(subject)
    queries = Queries(connection)
    with queries.transaction():
        yield act
        record_act(queries, act.subject, tag=act.tag, before=act.before, after=act.after)


def record_act(
    queries: Queries,
    subject: str,
    *,
    reason: str | None = None,
    case: str | None = None,
    tag: int | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """
    Write down that the command that runs does something.

    Args:
        queries: Where.
        subject: What it is done to.
        reason: Why, if that was said.
        case: The case that it is for, if there is one.
        tag: See :class:`Act`.
        before: See :class:`Act`.
        after: See :class:`Act`.
    """
    name = click.get_current_context().command_path.partition(" ")[2]
    Audit(queries).record(
        AuditEntry(
            act=name,
            subject=logs.redact(subject),
            reason=None if reason is None else logs.redact(reason),
            case_id=case,
            tag=tag,
            before=before,
            after=after,
        )
    )

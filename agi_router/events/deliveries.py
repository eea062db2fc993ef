"""
What webhooks are owed, as the database keeps it: for whoever delivers.

Nothing is under way in a transaction. What is taken comes back when its lease is over, so a
program that dies loses nothing, and what it had sent already is sent twice under one id.
"""

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from agi_router.db.connection import Connection, Queries
from agi_router.errors import SealError
from agi_router.events.fetching import fetch_events
from agi_router.events.model import (
    Event,
    Format,
    Numbers,
    WebhookState,
    batch_name,
    event_name,
)
from agi_router.events.parties import open_parties
from agi_router.events.schedule import FAILED_AFTER
from agi_router.events.sender import Answer
from agi_router.events.shapes import Parties
from agi_router.events.store import read_event, sealed_for
from agi_router.keys.ring import KeyRing

__all__ = ["Backlog", "Delivery", "DeliveryStore", "Due", "Parcel"]

log = logging.getLogger(__name__)

# Longer than any try takes, and than its answer waits to be written down.
_LEASE = timedelta(seconds=30)
_UNREADABLE = timedelta(minutes=1)
_EXPIRED = 500
_FORGOTTEN = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """
    A webhook that is to be sent something now. Its ``repr`` shows no secret.
    """

    id: int
    url: str = field(repr=False)
    format: Format
    numbers: Numbers
    batch: int
    """So many events are sent in one request at most."""
    failures: int
    secrets: tuple[str, ...] = field(repr=False)
    """What is signed with: the current one first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """
    An event that was taken to be sent to a webhook.
    """

    webhook: Due
    event: Event
    parties: Parties | None = field(repr=False)
    """:obj:`None`: they cannot be read."""
    tries: int
    """With this one."""
    owed: timedelta
    """For how long it had been owed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """
    What is sent in one request: a delivery, or a batch of some.
    """

    deliveries: tuple[Delivery, ...]
    """Of one webhook and one try; in the order in which they are sent, one at least."""
    batch: int | None = None
    """What the batch is numbered by, on every try; :obj:`None`: it is none."""

    @property
    def webhook(self) -> Due:
        """
        To whom it is sent.
        """
        return self.deliveries[0].webhook

    @property
    def tries(self) -> int:
        """
        Tries, with this one.
        """
        return self.deliveries[0].tries

    @property
    def owed(self) -> timedelta:
        """
        For how long the last of it had been owed: none is given up because another is old.
        """
        return min(each.owed for each in self.deliveries)

    @property
    def name(self) -> str:
        """
        What it is called outside, the same on every try.
        """
        if self.batch is None:
            return event_name(self.deliveries[0].event.id)
        return batch_name(self.batch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """
    What webhooks are owed, by all deliverers together.
    """

    waiting: int = 0
    """Deliveries that active webhooks are owed."""
    held: int = 0
    """Those that nobody tries any more, until somebody asks for it."""
    oldest: timedelta = timedelta()
    """For how long the oldest of those that wait has been owed."""
    off: int = 0
    """Webhooks that were switched off."""


class DeliveryStore:
    """
    What webhooks are owed.

    Args:
        connection: See :func:`agi_router.db.connection.connect`.
    """

    def __init__(self, connection: Connection) -> None:
        self._queries = Queries(connection)
        self._behind = True

    def due(self, keys: KeyRing) -> list[Due]:
        """
        The webhooks that are owed something now; one whose secrets do not open waits a minute.
        """
        found = []
        for row in self._queries.rows("list_due_webhooks", {}):
            try:
                found.append(_due(row, keys))
            except SealError as error:
                log.warning(
                    "webhook.unreadable", extra={"webhook": row["id"], "error": str(error)}
                )
                self._queries.execute("postpone_webhook", {"id": row["id"], "pause": _UNREADABLE})
        return found

    def claim(self, webhook: Due, keys: KeyRing, *, limit: int) -> list[Delivery]:
        """
        Take some of what a webhook is owed now; nobody else does until the lease is over.

        Of each binding only the first event is taken: the next one when it has arrived.

        Args:
            webhook: Whose.
            keys: To open the parties' numbers.
            limit: At most so many.
        """
        values = {"id": webhook.id, "limit": limit, "lease": _LEASE}
        return self._read(self._queries.rows("claim_deliveries", values), webhook, keys)

    def _read(self, rows: Sequence[dict[str, Any]], webhook: Due, keys: KeyRing) -> list[Delivery]:
        events = [read_event(row) for row in rows]
        parties = open_parties(
            self._queries, keys, events, numbers=webhook.numbers, behind=self._behind
        )
        return [
            Delivery(
                webhook=webhook, event=event, parties=of, tries=row["tries"], owed=row["owed"]
            )
            for row, event, of in zip(rows, events, parties, strict=True)
        ]

    def claim_batch(self, webhook: Due, keys: KeyRing) -> tuple[int, list[Delivery]] | None:
        """
        Take a batch, as :meth:`claim` takes single ones: one that has failed before, as it was.

        Args:
            webhook: Whose.
            keys: To open the parties' numbers.

        Returns:
            What it is numbered by, and what is in it; :obj:`None`: there is none now.
        """
        values = {
            "id": webhook.id,
            "limit": webhook.batch,
            "lease": _LEASE,
            # Of its own: what arrived once may be sent again in another one.
            "batch": secrets.randbits(62),
        }
        rows = self._queries.rows("claim_batch", values)
        if not rows:
            return None
        return rows[0]["batch"], self._read(rows, webhook, keys)

    def finish(self, done: Sequence[tuple[Parcel, Answer]]) -> None:
        """
        Note what has arrived: it is owed no more.
        """
        each = [(one, answer) for parcel, answer in done for one in parcel.deliveries]
        values = {
            "webhook_id": [one.webhook.id for one, _ in each],
            "event_id": [one.event.id for one, _ in each],
            "tries": [one.tries for one, _ in each],
            "status": [answer.status for _, answer in each],
            "ms": [answer.ms for _, answer in each],
        }
        self._queries.execute("finish_deliveries", values)

    def fail(
        self, parcel: Parcel, answer: Answer, *, delay: timedelta | None, pause: timedelta
    ) -> WebhookState | None:
        """
        Note a try that has failed.

        Args:
            parcel: What was tried.
            answer: What came of it.
            delay: When it is tried again; :obj:`None`: it is held.
            pause: For how long nothing is sent to the webhook.

        Returns:
            What the webhook is now; :obj:`None` where it was switched off before.
        """
        events = [each.event.id for each in parcel.deliveries]
        values = {
            "webhook_id": parcel.webhook.id,
            "event_id": events,
            "tries": parcel.tries,
            "status": answer.status,
            "ms": answer.ms,
            "why": answer.why,
            "delay": delay,
            "pause": pause,
            "gone": answer.gone,
            "patience": FAILED_AFTER,
        }
        with self._queries.transaction():
            row = self._queries.row("fail_delivery", values)
            # Of one that was switched off, or paused, meanwhile what is held is told as well.
            state = None if row is None else WebhookState(row["state"])
            held = events if delay is None else []
            if held or state not in {None, WebhookState.ACTIVE}:
                self._tell_trouble(parcel.webhook, held)
        return state

    def put_off(self, delivery: Delivery, *, delay: timedelta | None) -> None:
        """
        Try later what could not be tried; that is no fault of the receiver's.

        Args:
            delivery: What was taken.
            delay: When it is tried again; :obj:`None`: it is held.
        """
        values = {
            "webhook_id": delivery.webhook.id,
            "event_id": delivery.event.id,
            "tries": delivery.tries,
            "delay": delay,
        }
        with self._queries.transaction():
            self._queries.execute("put_off_delivery", values)
            if delay is None:
                self._tell_trouble(delivery.webhook, [delivery.event.id])

    def _tell_trouble(self, webhook: Due, held: Sequence[int]) -> None:
        values = {"webhook_id": webhook.id, "held": list(held)}
        self._queries.execute("tell_trouble", values)

    def backlog(self) -> Backlog:
        """
        Count what webhooks are owed.
        """
        row = self._queries.row("count_deliveries", {})
        assert row is not None  # noqa: S101 - an aggregate has one row
        return Backlog(**row)

    def expire_bindings(self) -> bool:
        """
        Mark some bindings that the clock has ended, which tells of it.

        What databases behind this one tell comes here before.

        Returns:
            Whether it was as many as are marked at a time, so that there may be more.

        Raises:
            StoreUnavailable: One of them stood still, and cost the connection.
        """
        marked, self._behind = fetch_events(self._queries, expired=_EXPIRED)
        return marked + self._count("expire_bindings", _EXPIRED) >= _EXPIRED

    def forget_attempts(self) -> int:
        """
        Delete some tries that nobody asks for any more; returns how many.
        """
        return self._count("forget_attempts", _FORGOTTEN)

    def _count(self, name: str, limit: int) -> int:
        row = self._queries.row(name, {"limit": limit})
        assert row is not None  # noqa: S101 - an aggregate has one row
        return row["rows"]  # type: ignore[no-any-return]


def _due(row: dict[str, Any], keys: KeyRing) -> Due:
    where = sealed_for(row["id"])
    sealed = (row["secret"], row["old_secret"])
    return Due(
        id=row["id"],
        url=row["url"],
        format=Format(row["format"]),
        numbers=Numbers(row["numbers"]),
        batch=row["batch"],
        failures=row["failures"],
        secrets=tuple(keys.open_secret(each, where) for each in sealed if each is not None),
    )

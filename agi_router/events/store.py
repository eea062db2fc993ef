"""
Events and webhooks, as the database keeps them: for those who manage and pull.

Whoever delivers works with :mod:`agi_router.events.deliveries`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agi_router.bindings.model import BindingId
from agi_router.db.connection import Queries
from agi_router.errors import (
    EventNotFound,
    SealError,
    TenantNotFound,
    WebhookChanged,
    WebhookLimit,
    WebhookNotFound,
)
from agi_router.events.fetching import fetch_events
from agi_router.events.model import (
    Cursor,
    Event,
    EventType,
    Format,
    Numbers,
    Webhook,
    WebhookState,
    check_webhook,
    event_name,
)
from agi_router.events.parties import open_parties
from agi_router.events.shapes import Parties, is_damaged
from agi_router.events.signature import new_secret
from agi_router.keys.registry import assert_current_keys
from agi_router.keys.renewal import renew_locked, renewed_secrets
from agi_router.keys.ring import KeyRing
from agi_router.numbers import Block
from agi_router.tenants.scope import OPERATOR, Scope

__all__ = ["MOST_WEBHOOKS", "Debts", "EventStore", "Page", "read_event", "sealed_for"]

MOST_WEBHOOKS = 20
"""Webhooks that a tenant may have: each event is written once more for every one of them."""

_OLDEST = Cursor(0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Debts:
    """
    What a webhook is owed.
    """

    owed: int
    """Deliveries that are under way or will be tried."""
    held: int
    """Those that have failed for seven days; they are tried when somebody asks for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """
    Some events of a tenant, and where to go on.
    """

    events: list[tuple[Event, Parties]]
    """Each with its parties, masked; nobody where they cannot be read."""
    damaged: tuple[int, ...]
    """The ids of those whose rows are damaged, so that nothing can be told of them."""
    next: Cursor
    """Behind the last of all; where there is none, as it was given."""


class EventStore:
    """
    Where it is said who is told of what.

    Args:
        queries: Where all of it is kept.
        keys: To seal secrets, and to open the parties of events.
        scope: Whose things are seen and changed.
    """

    def __init__(self, queries: Queries, keys: KeyRing, *, scope: Scope = OPERATOR) -> None:
        self._queries = queries.given(scope.values)
        self._keys = keys

    def set_types(self, tenant: str, types: Sequence[EventType]) -> None:
        """
        Say which types of events are written for a tenant, for it to pull; of none, none are.

        A webhook gets of its types those that are written.

        Raises:
            TenantNotFound: There is no such tenant.
        """
        if self._queries.row("set_told", {"tenant": tenant, "types": list(types)}) is None:
            raise TenantNotFound(f"there is no tenant {tenant!r}")

    def types(self, tenant: str) -> tuple[EventType, ...]:
        """
        Which types of events are written for a tenant.

        Raises:
            TenantNotFound: There is no such tenant.
        """
        row = self._queries.row("find_told", {"tenant": tenant})
        if row is None:
            raise TenantNotFound(f"there is no tenant {tenant!r}")
        return tuple(map(EventType, row["told"]))

    def add(
        self,
        tenant: str,
        url: str,
        types: Sequence[EventType],
        *,
        form: Format = Format.CLOUDEVENTS,
        numbers: Numbers = Numbers.MASKED,
        batch: int = 1,
        batch_wait: timedelta = timedelta(),
    ) -> tuple[Webhook, str]:
        """
        Add a webhook; its types of events are written for the tenant from now on.

        Args:
            tenant: Whose it is.
            url: As :func:`agi_router.events.model.check_url` allows it.
            types: What it gets.
            form: How events are written.
            numbers: Whether real numbers are sent in full. That has to be on record before.
            batch: So many events are sent in one request at most, 1 to 100.
            batch_wait: For so long, in whole seconds up to a minute, a batch that is not full
                waits for more.

        Returns:
            It, and its secret, which is shown this once.

        Raises:
            TenantNotFound: There is no such tenant.
            WebhookInvalid: The format does not go with the types or the numbers, or the address
                would send numbers in the open.
            WebhookLimit: The tenant has as many as may be.
        """
        check_webhook(url, types, form, numbers, batch=batch, batch_wait=batch_wait)
        secret = new_secret()
        with self._queries.transaction():
            assert_current_keys(self._queries, self._keys)
            tenant_id = self._tell(tenant, types)
            count = self._queries.row("count_webhooks", {"tenant_id": tenant_id})
            if count is None or count["count"] >= MOST_WEBHOOKS:
                raise WebhookLimit
            webhook_id = self._new_id()
            values = {
                "id": webhook_id,
                "tenant_id": tenant_id,
                "url": url,
                "types": list(types),
                "format": form,
                "numbers": numbers,
                "batch": batch,
                "batch_wait": int(batch_wait.total_seconds()),
                "secret": self._keys.seal_secret(secret, sealed_for(webhook_id)),
            }
            self._queries.row("add_webhook", values)
        return self.find(webhook_id), secret

    def webhooks(self, tenant: str | None = None) -> list[tuple[Webhook, Debts]]:
        """
        The webhooks of one tenant, or of all, with what each is owed.
        """
        return self._list(tenant=tenant, webhook_id=None)

    def find(self, webhook_id: int) -> Webhook:
        """
        One webhook.

        Raises:
            WebhookNotFound: There is none.
        """
        return self.look_at(webhook_id)[0]

    def look_at(self, webhook_id: int) -> tuple[Webhook, Debts]:
        """
        One webhook, with what it is owed.

        Raises:
            WebhookNotFound: There is none.
        """
        found = self._list(tenant=None, webhook_id=webhook_id)
        if not found:
            raise _not_found(webhook_id)
        return found[0]

    def change(
        self,
        webhook_id: int,
        *,
        url: str | None = None,
        types: Sequence[EventType] | None = None,
        form: Format | None = None,
        numbers: Numbers | None = None,
        batch: int | None = None,
        batch_wait: timedelta | None = None,
        version: int | None = None,
    ) -> Webhook:
        """
        Say anew what a webhook is; what is left out stays as it is.

        What it is owed already is sent so, too.

        Args:
            webhook_id: Which.
            url: As :func:`agi_router.events.model.check_url` allows it.
            types: What it gets from now on; they are written for its tenant.
            form: How events are written.
            numbers: Whether real numbers are sent in full. That has to be on record before, and
                another address of a webhook that sends them so.
            batch: So many events are sent in one request at most, 1 to 100.
            batch_wait: For so long a batch that is not full waits for more.
            version: That it is to have still; :obj:`None`: any.

        Returns:
            It, as it is now.

        Raises:
            WebhookNotFound: There is none.
            WebhookChanged: It has another version by now.
            WebhookInvalid: The format does not go with the types or the numbers, or the address
                would send numbers in the open.
        """
        with self._queries.transaction():
            found = self.find(webhook_id)
            if version not in {None, found.version}:
                raise WebhookChanged
            values: dict[str, Any] = {
                "url": url or found.url,
                "types": list(types or found.types),
                "format": form or found.format,
                "numbers": numbers or found.numbers,
                "batch": batch or found.batch,
            }
            wait = found.batch_wait if batch_wait is None else batch_wait
            check_webhook(
                values["url"],
                values["types"],
                values["format"],
                values["numbers"],
                batch=values["batch"],
                batch_wait=wait,
            )
            values["batch_wait"] = int(wait.total_seconds())
            if types:
                self._tell(found.tenant, types)
            # Of two at once the second finds what the first has made of it.
            asked = {"id": webhook_id, "version": found.version, **values}
            if self._queries.row("change_webhook", asked) is None:
                raise WebhookChanged
        return self.find(webhook_id)

    def pause(self, webhook_id: int) -> Webhook:
        """
        Send nothing to a webhook; what it is owed is kept.

        Raises:
            WebhookNotFound: There is none.
        """
        return self._set_state(webhook_id, WebhookState.PAUSED)

    def resume(self, webhook_id: int) -> Webhook:
        """
        Send to a webhook again, what it was owed meanwhile too.

        Raises:
            WebhookNotFound: There is none.
        """
        return self._set_state(webhook_id, WebhookState.ACTIVE)

    def remove(self, webhook_id: int, *, version: int | None = None) -> None:
        """
        Remove a webhook, with what it is owed.

        Args:
            webhook_id: It.
            version: That it is to have still; :obj:`None`: any.

        Raises:
            WebhookChanged: It has another version by now.
            WebhookNotFound: There is none.
        """
        with self._queries.transaction():
            row = self._queries.row("remove_webhook", {"id": webhook_id, "version": version})
            if row is None:
                self.find(webhook_id)
                raise WebhookChanged
            self._queries.execute("forget_deliveries", {"id": webhook_id})

    def rotate_secret(self, webhook_id: int, *, overlap: timedelta) -> str:
        """
        Give a webhook a new secret, by which events are signed beside the old one for a time.

        Returns:
            The new one, which is shown this once.

        Raises:
            WebhookNotFound: There is none.
        """
        secret = new_secret()
        sealed = self._keys.seal_secret(secret, sealed_for(webhook_id))
        with self._queries.transaction():
            assert_current_keys(self._queries, self._keys)
            self._changed("rotate_webhook_secret", webhook_id, secret=sealed, overlap=overlap)
        return secret

    def test(self, webhook_id: int) -> int:
        """
        Owe a webhook an event that is of nothing.

        Returns:
            The event's id.

        Raises:
            WebhookNotFound: There is none.
        """
        return self._changed("test_webhook", webhook_id)["event_id"]  # type: ignore[no-any-return]

    def resend(
        self,
        webhook_id: int,
        *,
        event_id: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> int:
        """
        Owe a webhook events of its types again: one, or those of a time; they keep their ids.

        Returns:
            How many.

        Raises:
            WebhookNotFound: There is no such webhook.
        """
        self.find(webhook_id)
        values = {"id": webhook_id, "tenant": None}
        asked = {"event_id": event_id, "since": since, "until": until}
        return len(self._queries.rows("resend", {**values, **asked}))

    def resend_to_all(
        self,
        tenant: str,
        *,
        event_id: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> int:
        """
        Owe every webhook of a tenant events of its types again, as :meth:`resend` does one.

        Returns:
            How many deliveries.

        Raises:
            TenantNotFound: There is no such tenant.
        """
        self.types(tenant)
        values = {"id": None, "tenant": tenant}
        asked = {"event_id": event_id, "since": since, "until": until}
        return len(self._queries.rows("resend", {**values, **asked}))

    def attempts(self, webhook_id: int, *, limit: int) -> list[dict[str, Any]]:
        """
        The last tries to deliver to a webhook, newest first.

        Raises:
            WebhookNotFound: There is none.
        """
        self.find(webhook_id)
        return self._queries.rows("list_attempts", {"id": webhook_id, "limit": limit})

    def events(
        self,
        tenant: str,
        *,
        after: Cursor | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        types: Sequence[EventType] | None = None,
        limit: int,
    ) -> Page:
        """
        Events of a tenant behind a place, each once, in the order in which they became visible.

        Args:
            tenant: Whose.
            after: The place; :obj:`None` for the beginning.
            since: Only those that were written since.
            until: Only those that were written before.
            types: Only those.
            limit: At most so many.

        Raises:
            TenantNotFound: There is no such tenant.
        """
        self.types(tenant)
        place = after or _OLDEST
        values = {
            "tenant": tenant,
            "xid": str(place.xid),
            "id": place.id,
            "since": since,
            "until": until,
            "types": None if types is None else list(types),
            "limit": limit,
        }
        fetched = fetch_events(self._queries)
        with self._queries.renewed() as queries:
            rows = queries.rows("list_events", values)
            if rows:
                place = Cursor(int(rows[-1]["xid"]), rows[-1]["id"])
            found = [read_event(row) for row in rows]
            damaged = {event.id for event in found if is_damaged(event)}
            whole = [event for event in found if event.id not in damaged]
            return Page(
                events=self._with_parties(queries, whole, behind=fetched.behind),
                damaged=tuple(event.id for event in found if event.id in damaged),
                next=place,
            )

    def event(self, event_id: int) -> tuple[Event, Parties]:
        """
        One event with its parties, masked; nobody where they cannot be read.

        Raises:
            EventNotFound: There is none.
            SealError: Its row is damaged.
        """
        rows = self._queries.rows("find_event", {"id": event_id})
        if not rows:
            raise EventNotFound(f"there is no event {event_name(event_id)}")
        event = read_event(rows[0])
        if is_damaged(event):
            raise SealError(
                f"the row of event {event_name(event_id)} is damaged: restore it from a backup"
            )
        return self._with_parties(self._queries, [event], behind=True)[0]

    def renew(self) -> int:
        """
        Seal secrets with the current key that were sealed with an older one, or by another cipher.

        Returns:
            How many webhooks had such.

        Raises:
            SealError: One does not open.
        """

        def seal(row: dict[str, Any]) -> None:
            sealed = renewed_secrets(self._keys, row, sealed_for(row["id"]))
            self._queries.row("seal_webhook_secrets", sealed)

        return renew_locked(self._queries, self._keys, "list_webhook_secrets", seal)

    def _with_parties(
        self, queries: Queries, events: Sequence[Event], *, behind: bool
    ) -> list[tuple[Event, Parties]]:
        parties = open_parties(queries, self._keys, events, numbers=Numbers.MASKED, behind=behind)
        return [(event, of or {}) for event, of in zip(events, parties, strict=True)]

    def _tell(self, tenant: str, types: Sequence[EventType]) -> int:
        """
        Have types of events written for a tenant, besides those that are; returns its id.

        Its row is locked then.
        """
        row = self._queries.row("find_told", {"tenant": tenant})
        if row is None:
            raise TenantNotFound(f"there is no tenant {tenant!r}")
        told = [each.value for each in EventType if each in {*row["told"], *types}]
        self._queries.row("set_told", {"tenant": tenant, "types": told})
        return row["id"]  # type: ignore[no-any-return]

    def _new_id(self) -> int:
        row = self._queries.row("new_webhook_id", {})
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        return row["id"]  # type: ignore[no-any-return]

    def _list(self, *, tenant: str | None, webhook_id: int | None) -> list[tuple[Webhook, Debts]]:
        rows = self._queries.rows("list_webhooks", {"tenant": tenant, "id": webhook_id})
        return [(_webhook(row), Debts(owed=row["owed"], held=row["held"])) for row in rows]

    def _set_state(self, webhook_id: int, state: WebhookState) -> Webhook:
        self._changed("set_webhook_state", webhook_id, state=state)
        return self.find(webhook_id)

    def _changed(self, name: str, webhook_id: int, **values: Any) -> dict[str, Any]:
        row = self._queries.row(name, {"id": webhook_id, **values})
        if row is None:
            raise _not_found(webhook_id)
        return row


def sealed_for(webhook_id: int) -> str:
    """
    What the secrets of a webhook are sealed for.
    """
    return f"webhook {webhook_id}"


def read_event(row: dict[str, Any]) -> Event:
    """
    An event from its row, of which ``tenant`` is the name.
    """
    binding = row["binding_id"]
    return Event(
        id=row["id"],
        type=EventType(row["type"]),
        at=row["at"],
        tenant=row["tenant"],
        binding=None if binding is None else BindingId(Block(value=row["block"]), binding),
        sequence=row["sequence"],
        data=row["data"],
    )


def _webhook(row: dict[str, Any]) -> Webhook:
    return Webhook(
        id=row["id"],
        tenant=row["tenant"],
        url=row["url"],
        types=tuple(map(EventType, row["types"])),
        format=Format(row["format"]),
        numbers=Numbers(row["numbers"]),
        batch=row["batch"],
        batch_wait=timedelta(seconds=row["batch_wait"]),
        state=WebhookState(row["state"]),
        failures=row["failures"],
        failed_since=row["failed_since"],
        created_at=row["created_at"],
        version=row["version"],
    )


def _not_found(webhook_id: int) -> WebhookNotFound:
    return WebhookNotFound(f"there is no webhook {webhook_id}")

"""
Texts as they are asked for by hand: what would become of one, what has become of them.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

from agi_router.bindings.model import BindingId
from agi_router.calls.ports import Admission
from agi_router.calls.rows import read_admission
from agi_router.cursors import Cursor
from agi_router.db.connection import Connection, Queries
from agi_router.errors import LinkNotFound, MessageNotFound, MessageNotHeld, MessageOver
from agi_router.keys.ring import KeyRing
from agi_router.messages.model import (
    CARRIED,
    MessageState,
    Text,
    message_block,
    message_day,
)
from agi_router.messages.openness import sender_tags
from agi_router.numbers import Block, XNumber
from agi_router.tenants.scope import OPERATOR, Scope

__all__ = ["DISCARDED", "LinkRecords", "MessageRecords", "Seen", "cursor_of"]

DISCARDED = "discarded"
"""Why a text has failed that somebody discarded."""


@dataclass(frozen=True, slots=True)
class Seen:
    """
    A text that was accepted by the same request before.
    """

    record: dict[str, Any]
    is_same: bool
    """Whether what was asked for then was the same, too."""
    receiver_tag: int | None
    """Tag, by any key, of whom its carrier was told; :obj:`None`: no carrier keeps it."""


class MessageRecords:
    """
    Texts, as they are asked for by hand.

    Args:
        connection: See :func:`agi_router.db.connection.connect`.
        scope: Who asks.
    """

    def __init__(self, connection: Connection, scope: Scope = OPERATOR) -> None:
        self._queries = Queries(connection, scope.values)

    def facts(
        self, text: Text, keys: KeyRing, *, at: datetime | None, open_modes: bool
    ) -> Admission:
        """
        The facts about *text* at a time, nothing taken; uses are counted as they stand now.

        Args:
            text: The text.
            keys: To find its sender, and to open.
            at: The time; :obj:`None`: now.
            open_modes: Whether strangers get through where a binding says so.
        """
        row = self._queries.row(
            "find_message_facts",
            {
                "block": text.x_number.block.value,
                "x_number": text.x_number.value,
                "tags": sender_tags(text, keys, open_modes=open_modes),
                "at": at,
                "strangers": [],
            },
        )
        assert row is not None  # noqa: S101 - the function returns one row always
        return read_admission(row, text.sender, text.x_number, keys, text=True)

    def messages(
        self,
        *,
        since: datetime,
        until: datetime | None = None,
        binding: BindingId | None = None,
        x_number: XNumber | None = None,
        state: MessageState | None = None,
        after: Cursor | None = None,
        limit: int,
    ) -> list[dict[str, Any]]:
        """
        Records of texts since a time, newest first.

        Args:
            since: The time.
            until: Only those before this time.
            binding: Only those that used this one.
            x_number: Only those to this number.
            state: Only those in this state.
            after: Only those behind the last one of another page, see :func:`cursor_of`.
            limit: At most so many.
        """
        block = None
        if binding is not None:
            block = binding.block.value
        elif x_number is not None:
            block = x_number.block.value
        return self._queries.rows(
            "list_messages",
            {
                "since": since,
                "until": until,
                "block": block,
                "binding_id": None if binding is None else binding.id,
                "x_number": None if x_number is None else x_number.value,
                "state": state,
                "after_at": None if after is None else after.at,
                "after_id": None if after is None else after.name,
                "id": None,
                "limit": limit,
            },
        )

    def find(self, name: str) -> dict[str, Any]:
        """
        The record of one text.

        Raises:
            MessageNotFound: There is none.
        """
        try:
            since = datetime.combine(message_day(name), time(), UTC)
            block = message_block(name)
        except ValueError as error:
            raise MessageNotFound(str(error)) from None
        values = {
            **dict.fromkeys(("until", "binding_id", "x_number", "state", "after_at", "after_id")),
            "since": since,
            "block": block.value,
            "id": name,
            "limit": 1,
        }
        row = self._queries.row("list_messages", values)
        if row is None:
            raise MessageNotFound
        return row

    def release(self, name: str) -> dict[str, Any]:
        """
        Let a text go that is held: it is due at once.

        Returns:
            Its record.

        Raises:
            MessageNotFound: There is none.
            MessageNotHeld: It is not held, or the time for it is over.
        """
        found = self.find(name)
        if self._queries.row("release_message", {"block": found["block"], "id": name}) is None:
            raise MessageNotHeld
        return self.find(name)

    def seen(self, block: Block, same: Sequence[bytes], asked: Sequence[bytes]) -> Seen | None:
        """
        The text that was accepted by a request within the last ten minutes, if any.

        Args:
            block: Of the number it is sent to.
            same: Digests of the request, by any key.
            asked: The same of what it asks for.
        """
        row = self._queries.row("find_seen_message", {"block": block.value, "sames": list(same)})
        if row is None:
            return None
        with contextlib.suppress(MessageNotFound):
            return Seen(self.find(row["id"]), row["asked"] in asked, row["receiver_tag"])
        return None

    def report(self, name: str, state: MessageState) -> dict[str, Any]:
        """
        Note what has become of a text that its carrier keeps; the same may be told again.

        Args:
            name: Its id.
            state: Delivered, undelivered, by which its use comes back, or unknown.

        Returns:
            Its record.

        Raises:
            MessageNotFound: There is none that its carrier keeps.
            MessageOver: Something else was told of it.
        """
        found = self.find(name)
        values = {
            "block": found["block"],
            "id": name,
            "day": message_day(name),
            "link": CARRIED,
            "state": state,
        }
        row = self._queries.row("report_message", values)
        if row is None:
            raise MessageNotFound
        if not row["noted"]:
            raise MessageOver
        return self.find(name)

    def discard(self, name: str) -> dict[str, Any]:
        """
        End a text that is owed and not being sent; its use comes back.

        Returns:
            Its record.

        Raises:
            MessageNotFound: There is none.
            MessageOver: It is being sent, or has ended.
        """
        found = self.find(name)
        values = {"block": found["block"], "id": name, "reason": DISCARDED}
        if self._queries.row("discard_message", values) is None:
            raise MessageOver
        return self.find(name)


class LinkRecords:
    """
    Links to message centres, as they are asked for by hand.

    Args:
        connection: See :func:`agi_router.db.connection.connect`.
    """

    def __init__(self, connection: Connection) -> None:
        self._queries = Queries(connection)

    def links(self) -> list[dict[str, Any]]:
        """
        All that were ever served, by their names.
        """
        return self._queries.rows("list_links", {})

    def drain(self, name: str, *, drained: bool) -> dict[str, Any]:
        """
        Say whether a link is to be unbound; whoever has it does so within seconds.

        Returns:
            Its row.

        Raises:
            LinkNotFound: There is none.
        """
        if self._queries.row("drain_link", {"name": name, "drained": drained}) is None:
            raise LinkNotFound
        return next(row for row in self.links() if row["name"] == name)

    def forget(self, name: str) -> None:
        """
        Forget a link that nobody serves any more: texts that it owes have failed.
        """
        self._queries.rows("end_link_texts", {"name": name, "reason": DISCARDED})
        self._queries.rows("forget_link", {"name": name})


def cursor_of(row: dict[str, Any]) -> Cursor:
    """
    Where the page of a list ends that this record is the last of.
    """
    return Cursor(row["received_at"], row["id"])

"""
What would happen to a call, and what happened: for people, nothing is taken.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from agi_router.bindings.model import (
    BindingId,
)
from agi_router.bindings.reasons import Reason
from agi_router.calls.arrival import Call
from agi_router.calls.end import Outcome, call_day
from agi_router.calls.ports import Admission
from agi_router.calls.rows import caller_tags, read_admission
from agi_router.cursors import Cursor
from agi_router.db.connection import Connection, Queries
from agi_router.errors import CallNotFound, ProtocolError
from agi_router.keys.ring import KeyRing
from agi_router.numbers import XNumber
from agi_router.tenants.scope import OPERATOR, Scope

__all__ = ["CallLookup", "cursor_of"]


class CallLookup:
    """
    Calls, as they are asked for by hand.

    Args:
        connection: See :func:`agi_router.db.connection.connect`.
        scope: Who asks.
    """

    def __init__(self, connection: Connection, scope: Scope = OPERATOR) -> None:
        self._queries = Queries(connection, scope.values)

    def facts(
        self, call: Call, keys: KeyRing, *, at: datetime | None, open_modes: bool
    ) -> Admission:
        """
        The facts about *call* at a time, nothing taken; uses are counted as they stand now.
        """
        x_number = call.x_number
        tags, person = caller_tags(call, keys, open_modes=open_modes)
        row = self._queries.row(
            "find_facts",
            {
                "block": x_number.block.value,
                "x_number": x_number.value,
                "tags": tags,
                "at": at,
                "person": person,
                "strangers": [],
            },
        )
        assert row is not None  # noqa: S101 - the function returns one row always
        return read_admission(row, call.caller, call.x_number, keys)

    def find(self, call_id: str) -> dict[str, Any]:
        """
        The record of one call.

        Args:
            call_id: Its id, as records and events have it.

        Raises:
            CallNotFound: There is none, or it is another tenant's.
        """
        try:
            day = call_day(call_id)
        except ProtocolError:
            # What was asked for could be anything, a number too.
            raise CallNotFound from None
        row = self._queries.row("find_call", {"id": call_id, "day": day})
        if row is None:
            raise CallNotFound
        return row

    def calls(
        self,
        *,
        since: datetime,
        bindings: Sequence[BindingId] | None = None,
        x_number: XNumber | None = None,
        reason: Reason | None = None,
        outcome: Outcome | None = None,
        until: datetime | None = None,
        after: Cursor | None = None,
        limit: int,
    ) -> list[dict[str, Any]]:
        """
        Call records since a time, newest first.

        Args:
            since: The time.
            bindings: Only those that used one of these.
            x_number: Only those to this number.
            reason: Only those refused for this reason.
            outcome: Only those whose dialled leg had this outcome.
            until: Only those before this time.
            after: Only those behind the last one of another page, see :func:`cursor_of`.
            limit: At most so many.
        """
        values: dict[str, Any] = {
            "since": since,
            "reason": reason,
            "outcome": outcome,
            "until": until,
            "after_at": None if after is None else after.at,
            "after_id": None if after is None else after.name,
            "limit": limit,
        }
        values["x_number"] = None if x_number is None else x_number.value
        if bindings is not None:
            values["blocks"] = [name.block.value for name in bindings]
            values["bindings"] = [name.id for name in bindings]
        elif x_number is not None:
            values |= {"blocks": [x_number.block.value], "bindings": None}
        else:
            return self._queries.rows("list_calls", values)
        return self._queries.rows("list_calls_of", values)


def cursor_of(row: dict[str, Any]) -> Cursor:
    """
    Where the page of a list ends that this call record is the last of.
    """
    return Cursor(row["received_at"], row["id"])

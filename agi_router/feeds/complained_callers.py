"""
Who has called where somebody complains: whom carriers are told of, once there are too many.

It is looked for once, while routes and calls are there that say so, and kept in the register of
persons. Of a group nobody knows which member has called, and of a number that was shown in calls
of several which of them is meant.
"""

import contextlib
from typing import Any

from agi_router.bindings.parties import read_parties
from agi_router.db.connection import Queries
from agi_router.errors import SealError
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber
from agi_router.persons.register import PersonRegister

__all__ = ["ComplainedCallers"]

_AT_ONCE = 500


class ComplainedCallers:
    """
    The callers of one database's complaints.

    Args:
        queries: Where they are kept.
        keys: To open and to seal them.
    """

    def __init__(self, queries: Queries, keys: KeyRing) -> None:
        self._queries = queries
        self._keys = keys
        self._register = PersonRegister(queries, keys)

    def note_new(self) -> None:
        """
        Note who has called, of all complaints at which nobody has looked yet.

        Raises:
            KeysOutdated: The keys were rotated since they were read.
        """
        after = 0
        while rows := self._queries.rows(
            "list_new_complaints", {"after": after, "limit": _AT_ONCE}
        ):
            after = rows[-1]["id"]
            with self._queries.transaction():
                for row in rows:
                    # What does not open now may do so with the keys of tomorrow.
                    with contextlib.suppress(SealError):
                        self._note(row["id"], self._find(row))

    def _note(self, complaint_id: int, caller: PhoneNumber | None) -> None:
        person_id = None if caller is None else self._register.add({caller})[caller]
        values = {"id": complaint_id, "person_id": person_id}
        self._queries.execute("note_complained_caller", values)

    def _find(self, call: dict[str, Any]) -> PhoneNumber | None:
        """
        Who has placed a call; :obj:`None`: nobody knows.

        Raises:
            SealError: The parties do not open.
        """
        if call["binding_id"] is None or call["side"] is None:
            return None
        values = {
            "block": [call["block"]],
            "id": [call["binding_id"]],
            "at": [call["received_at"]],
        }
        routes = self._queries.rows("list_parties_then", values)
        if not routes:
            return None
        try:
            parties = read_parties(routes[0], routes, self._keys)
        except ValueError:
            # What is damaged says nothing of anybody.
            return None
        callers = {party.number for party in parties if party.side == call["side"]}
        return callers.pop() if len(callers) == 1 else None

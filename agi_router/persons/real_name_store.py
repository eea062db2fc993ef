"""
Real names, as the database keeps them.

Lines are added and never changed. A person is one of the register, so keys are rotated there.
"""

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

from agi_router.cursors import Cursor, numbered
from agi_router.db.clock import check_has_been
from agi_router.db.connection import Queries
from agi_router.errors import PartyUnverified
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber
from agi_router.persons.real_names import RealName, RealNameLine, RealNameStatus
from agi_router.persons.register import PersonRegister
from agi_router.tenants.scope import OPERATOR, Scope
from agi_router.tenants.store import TenantStore

__all__ = ["RealNameStore", "check_verified"]


class RealNameStore:
    """
    What is known of real names; for a tenant, what it has said itself, and what counts for it.

    Args:
        queries: Where it is kept.
        keys: To find persons.
        scope: Who asks.
    """

    def __init__(self, queries: Queries, keys: KeyRing, scope: Scope = OPERATOR) -> None:
        self._queries = queries.given(scope.values)
        self._scope = scope
        self._tenants = TenantStore(queries, scope)
        self._register = PersonRegister(queries, keys)

    def write(
        self,
        person: PhoneNumber,
        status: RealName,
        *,
        source: str,
        by: str,
        tenant: str | None = None,
        checked_at: datetime | None = None,
    ) -> RealNameLine:
        """
        Write down what was found of a person.

        Args:
            person: Who.
            status: What.
            source: Who has checked.
            by: Who writes it: the user of a host, or an API key.
            tenant: For which tenant alone it counts; :obj:`None`: for all.
            checked_at: When that was; :obj:`None`: now.

        Raises:
            OperatorOnly: A tenant says what counts for all.
            TenantNotFound: There is no such tenant.
            RequestInvalid: It is to be checked in the future.
            KeysOutdated: The keys were rotated since they were read.
        """
        if tenant is None:
            self._scope.check_operator("says what counts for all tenants")
        check_has_been(self._queries, checked_at, word="checked_at")
        tenant_id = None if tenant is None else self._tenants.find_id(tenant)
        with self._queries.transaction():
            values = {
                "tenant_id": tenant_id,
                "person_id": self._register.add({person})[person],
                "status": status,
                "source": source,
                "checked_at": checked_at,
                "added_by": by[:128],
            }
            row = self._queries.row("add_real_name", values)
            (line,) = self._read(
                self._queries.rows("find_real_name", {"id": row["id"] if row else 0})
            )
        return line

    def status(self, person: PhoneNumber, *, tenant: str | None = None) -> RealNameStatus:
        """
        What counts of a person.

        Args:
            person: Who.
            tenant: For which tenant; :obj:`None`: for whoever asks.

        Raises:
            TenantNotFound: There is no such tenant.
        """
        tenant_id = self._scope.tenant_id if tenant is None else self._tenants.find_id(tenant)
        return _find({person}, tenant_id, self._queries, self._register)[person]

    def all(
        self,
        *,
        person: PhoneNumber | None = None,
        status: RealName | None = None,
        after: Cursor | None = None,
        limit: int,
    ) -> list[RealNameLine]:
        """
        Lines, newest first.

        Args:
            person: Only those about this person.
            status: Only those that say so.
            after: Only those behind the last one of another page.
            limit: At most so many.

        Raises:
            CursorInvalid: *after* is none of this list.
        """
        ids = None if person is None else list(self._register.find({person}))
        values = {
            "ids": ids,
            "status": status,
            **numbered(after),
            "limit": limit,
        }
        return self._read(self._queries.rows("list_real_names", values))

    def _read(self, rows: Collection[dict[str, Any]]) -> list[RealNameLine]:
        people = self._register.open({row["person_id"] for row in rows})
        return [
            RealNameLine(
                id=row["id"],
                person=people[row["person_id"]][0],
                damage=people[row["person_id"]][1],
                tenant=row["tenant"],
                status=RealName(row["status"]),
                source=row["source"],
                checked_at=row["checked_at"],
                void=row["void"],
                added_at=row["added_at"],
                added_by=row["added_by"] if self._scope.whole else None,
            )
            for row in rows
        ]


def check_verified(
    people: Collection[PhoneNumber], tenant_id: int, queries: Queries, keys: KeyRing
) -> None:
    """
    Make sure that all of some people are known by their real names, to a tenant.

    Raises:
        PartyUnverified: One is not.
    """
    described = PersonRegister(queries, keys).describe(people, new=False)
    values = {"tenant_id": tenant_id, "people": json.dumps(described)}
    row = queries.row("all_verified", values)
    if row is None or not row["verified"]:
        # Which of them is told to nobody: whoever binds knows whom to have checked.
        raise PartyUnverified


def _find(
    people: Collection[PhoneNumber],
    tenant_id: int | None,
    queries: Queries,
    register: PersonRegister,
) -> dict[PhoneNumber, RealNameStatus]:
    places = list(dict.fromkeys(people))
    known = register.find(places)
    values = {
        "ids": list(known),
        "places": [places.index(each) for each in known.values()],
        "tenant_id": tenant_id,
    }
    nothing = RealNameStatus(status=RealName.UNKNOWN, source=None, checked_at=None)
    found = dict.fromkeys(places, nothing)
    for row in queries.rows("find_real_names", values) if known else ():
        found[places[row["place"]]] = RealNameStatus(
            status=RealName(row["status"]), source=row["source"], checked_at=row["checked_at"]
        )
    return found

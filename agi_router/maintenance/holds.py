"""
Legal holds: what is not deleted, whatever its class says, until a case needs it no more.

Rules for the editor:

1. What a hold keeps is said by ``agi_router.list_held`` alone.
2. A person is held by the register of persons: found again by opening its sealed number, and kept
   findable while keys are rotated.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agi_router.cursors import Cursor, numbered
from agi_router.db.connection import Queries
from agi_router.errors import HoldNotFound
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.persons.register import PersonRegister
from agi_router.tenants.store import TenantStore

__all__ = ["HeldThing", "Hold", "HoldStore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldThing:
    """
    What is held: one of a 700 number, a person, or an order.

    Attributes:
        number: All that was bound on it, and all calls to it.
        person: All that it was a party of, or was rung by.
        order: All that was bound by it.
        tenant: Of which tenant alone the order is; :obj:`None`: of any.
        damage: Why the person cannot be read.
    """

    number: XNumber | None = None
    person: PhoneNumber | None = field(default=None, repr=False)
    order: str | None = None
    tenant: str | None = None
    damage: str | None = None

    def __post_init__(self) -> None:
        """
        Raise :exc:`ValueError` where it is not one thing.
        """
        things = [self.number, self.person or self.damage, self.order]
        if things.count(None) != 2:  # noqa: PLR2004 - all but one
            raise ValueError("say one thing: a 700 number, a person, or an order")
        if self.tenant is not None and self.order is None:
            raise ValueError("a tenant goes with an order")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """
    A hold, whatever has become of it.
    """

    id: int
    case: str
    reason: str
    thing: HeldThing
    set_by: str
    set_at: datetime
    released_by: str | None
    """:obj:`None`: it holds."""
    released_at: datetime | None
    release_note: str | None

    @property
    def cursor(self) -> Cursor:
        """
        Where a page of a list ends that this is the last of.
        """
        return Cursor(self.set_at, str(self.id))


class HoldStore:
    """
    The holds of one database.

    Args:
        queries: Where they are kept.
        keys: To find persons.
    """

    def __init__(self, queries: Queries, keys: KeyRing) -> None:
        self._queries = queries
        self.keys = keys
        """By which persons are found."""
        self._register = PersonRegister(queries, keys)

    def add(self, thing: HeldThing, *, case: str, reason: str, by: str) -> Hold:
        """
        Hold a thing from now on: what was, and what will be.

        Raises:
            TenantNotFound: There is no such tenant.
            KeysOutdated: The keys were rotated since they were read.
        """
        tenant_id = None
        if thing.tenant is not None:
            tenant_id = TenantStore(self._queries).find_id(thing.tenant)
        with self._queries.transaction():
            person = thing.person
            person_id = None if person is None else self._register.add([person])[person]
            values = {
                "case_id": case,
                "reason": reason,
                "x_number": None if thing.number is None else thing.number.value,
                "person_id": person_id,
                "order_id": thing.order,
                "tenant_id": tenant_id,
                "set_by": by[:128],
            }
            row = self._queries.row("add_hold", values)
            return self.find(row["id"] if row else 0)

    def find(self, hold_id: int) -> Hold:
        """
        One hold.

        Raises:
            HoldNotFound: There is none of this id.
        """
        rows = self._list(ids=[hold_id], everything=True)
        if not rows:
            raise HoldNotFound(f"there is no hold {hold_id}")
        return rows[0]

    def all(
        self,
        *,
        case: str | None = None,
        person: PhoneNumber | None = None,
        everything: bool = False,
        after: Cursor | None = None,
        limit: int,
    ) -> list[Hold]:
        """
        Holds, newest first.

        Args:
            case: Of this case alone.
            person: On this person alone.
            everything: Those that were released, too.
            after: Behind the last one of another page.
            limit: At most so many.

        Raises:
            CursorInvalid: The cursor is of another list.
        """
        people = None if person is None else list(self._register.find([person]))
        return self._list(
            case_id=case, people=people, everything=everything, after=after, limit=limit
        )

    def release(self, hold_id: int, *, by: str, note: str | None) -> Hold:
        """
        Let go of a hold: what is past retention goes with the next deletion.

        Raises:
            HoldNotFound: There is none of this id that holds.
        """
        values = {"id": hold_id, "released_by": by[:128], "note": note}
        if self._queries.row("release_hold", values) is None:
            raise HoldNotFound(f"there is no hold {hold_id}, or it was released before")
        return self.find(hold_id)

    def _list(
        self,
        *,
        ids: Collection[int] | None = None,
        case_id: str | None = None,
        people: Collection[int] | None = None,
        everything: bool,
        after: Cursor | None = None,
        limit: int | None = None,
    ) -> list[Hold]:
        values = {
            "ids": None if ids is None else list(ids),
            "case_id": case_id,
            "people": None if people is None else list(people),
            "everything": everything,
            **numbered(after),
            "limit": limit,
        }
        rows = self._queries.rows("list_holds", values)
        people = self._register.open({row["person_id"] for row in rows} - {None})
        return [_read(row, *people.get(row["person_id"], (None, None))) for row in rows]


def _read(row: dict[str, Any], person: PhoneNumber | None, damage: str | None) -> Hold:
    number = row["x_number"]
    return Hold(
        id=row["id"],
        case=row["case_id"],
        reason=row["reason"],
        thing=HeldThing(
            number=None if number is None else XNumber(value=number),
            person=person,
            order=row["order_id"],
            tenant=row["tenant"],
            damage=damage,
        ),
        set_by=row["set_by"],
        set_at=row["set_at"],
        released_by=row["released_by"],
        released_at=row["released_at"],
        release_note=row["release_note"],
    )

"""
Complaints, as the database keeps them, and the stop that comes of too many.

Rules for the editor:

1. A stop is a lock for misuse, by a rule of its own: it is shown, lifted and appealed against as
   any other. Nobody in particular has set it, so anybody may judge.
2. After a stop was lifted, counting begins anew: what was reviewed stops nothing again.
3. One complaint sets one lock: of a tenant, else of the number. Two would be waited for in a
   circle with a batch of binds.
"""

from datetime import datetime
from typing import Any, Final

from agi_router.cursors import Cursor, numbered
from agi_router.db.clock import check_has_been
from agi_router.db.connection import Queries
from agi_router.errors import BlockNotFound, ComplaintNotFound
from agi_router.keys.ring import KeyRing
from agi_router.numbers import XNumber
from agi_router.persons.complaint_limits import ComplaintLevel, ComplaintLimits
from agi_router.persons.complaints import Complaint, ComplaintCount, ComplaintKind
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import LockedThing
from agi_router.persons.store import LockStore
from agi_router.tenants.scope import OPERATOR, Scope
from agi_router.tenants.store import TenantStore

__all__ = ["RULE", "ComplaintStore"]

RULE: Final = "complaints"
"""The rule of the locks that come of complaints, and who has set them."""


class ComplaintStore:
    """
    The complaints of one database; for a tenant, those about its calls.

    Args:
        queries: Where they are kept.
        keys: To lock.
        limits: How many are too many.
        scope: Who asks.
    """

    def __init__(
        self, queries: Queries, keys: KeyRing, limits: ComplaintLimits, scope: Scope = OPERATOR
    ) -> None:
        self._queries = queries.given(scope.values)
        self._scope = scope
        self._limits = limits
        self._tenants = TenantStore(queries, scope)
        self._locks = LockStore(queries, keys, scope)

    def file(
        self,
        x_number: XNumber,
        kind: ComplaintKind,
        *,
        at: datetime,
        source: str,
        reference: str,
        by: str,
        tenant: str | None = None,
        note: str | None = None,
    ) -> Complaint:
        """
        Write a complaint down; its number, or its tenant, is stopped where there are too many.

        One that comes a second time changes nothing.

        Args:
            x_number: The 700 number that was shown.
            kind: What is complained of.
            at: When the call was.
            source: Who passes it on.
            reference: What it is known by there.
            by: Who writes it: the user of a host, or an API key.
            tenant: Whose call it was; :obj:`None`: that is found out.
            note: What else is said.

        Raises:
            OperatorOnly: A tenant asks.
            BlockNotFound: The number is of no block of ours.
            TenantNotFound: There is no such tenant.
            RequestInvalid: The call is to be in the future.
        """
        self._scope.check_operator("writes complaints down")
        check_has_been(self._queries, at, word="at")
        if self._queries.row("find_own_block", {"block": x_number.block.value}) is None:
            raise BlockNotFound(f"block {x_number.block} is not ours")
        values = {
            "block": x_number.block.value,
            "x_number": x_number.value,
            "tenant_id": None if tenant is None else self._tenants.find_id(tenant),
            "kind": kind,
            "at": at,
            "source": source,
            "reference": reference,
            "note": note,
            "added_by": by[:128],
        }
        with self._queries.transaction():
            self._queries.row("lock_complaints", {})
            row = self._queries.row("add_complaint", values)
            if row is None:
                row = self._queries.row("find_same_complaint", values)
                return self.find(row["id"] if row else 0)
            made = self.find(row["id"])
            self._judge(made)
        return made

    def knows(self, source: str, reference: str) -> bool:
        """
        Whether a complaint was written down that is known by this there.

        Raises:
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("looks for complaints of others")
        values = {"source": source, "reference": reference}
        return self._queries.row("find_same_complaint", values) is not None

    def find(self, complaint_id: int) -> Complaint:
        """
        One complaint.

        Raises:
            ComplaintNotFound: There is none of this id.
        """
        row = self._queries.row("find_complaint", {"id": complaint_id})
        if row is None:
            raise ComplaintNotFound(f"there is no complaint {complaint_id}")
        return self._read(row)

    def all(
        self,
        *,
        x_number: XNumber | None = None,
        tenant: str | None = None,
        after: Cursor | None = None,
        limit: int,
    ) -> list[Complaint]:
        """
        Complaints, newest first.

        Args:
            x_number: Only those about this number.
            tenant: Only those about calls of this tenant.
            after: Only those behind the last one of another page.
            limit: At most so many.

        Raises:
            TenantNotFound: There is no such tenant.
            CursorInvalid: *after* is none of this list.
        """
        values = {
            "x_number": None if x_number is None else x_number.value,
            "tenant_id": None if tenant is None else self._tenants.find_id(tenant),
            **numbered(after),
            "limit": limit,
        }
        return list(map(self._read, self._queries.rows("list_complaints", values)))

    def dismiss(self, complaint_id: int, *, by: str, note: str | None = None) -> Complaint:
        """
        Have a complaint count no longer, as it is unfounded; what it has stopped stays so.

        Raises:
            OperatorOnly: A tenant asks.
            ComplaintNotFound: There is none of this id.
        """
        self._scope.check_operator("dismisses complaints")
        self.find(complaint_id)
        self._queries.row("dismiss_complaint", {"id": complaint_id, "by": by[:128], "note": note})
        return self.find(complaint_id)

    def count(self, thing: LockedThing, *, brief: bool = False) -> ComplaintCount:
        """
        How a 700 number or a tenant stands.

        Args:
            thing: The number or the tenant.
            brief: Whether no calls are counted where the complaints are too few to matter.

        Raises:
            TenantNotFound: There is no such tenant.
            BlockNotFound: A tenant asks for a number that is none of its own.
        """
        number = thing.number
        if number is not None and not self._scope.whole:
            self._check_own(number)
        tenant_id = None if thing.tenant is None else self._tenants.find_id(thing.tenant)
        asked = {
            **self._key(thing),
            "within": self._limits.window,
            "block": None if number is None else number.block.value,
            "x_number": None if number is None else number.value,
            "tenant_id": tenant_id,
        }
        found = self._queries.row("count_complaints", asked)
        assert found is not None  # noqa: S101 - since when it is counted is always known
        name = "count_calls_of_tenant" if number is None else "count_calls_of_number"
        # Of a tenant days of calls are read, and each complaint that is written is judged.
        counts = not brief or self._limits.matter(found["complaints"])
        most = self._limits.enough_calls(found["complaints"]) if counts else 0
        row = self._queries.row(name, {**asked, "since": found["since"], "most": most})
        calls: int = row["calls"] if row else 0
        return ComplaintCount(
            thing=thing,
            complaints=found["complaints"],
            calls=calls,
            more_calls=calls >= most,
            part_of_share=self._limits.part_of_share(found["complaints"], calls),
            since=found["since"],
            level=self._limits.judge(found["complaints"], calls),
        )

    def _check_own(self, number: XNumber) -> None:
        """
        Make sure that a number is one of the tenant's: when it was stopped is told by its count.
        """
        asked = {"block": number.block.value, "x_number": number.value}
        if self._queries.row("find_own_number", asked) is None:
            raise BlockNotFound(f"{number} is no number of this tenant")

    def _judge(self, complaint: Complaint) -> None:
        things = [LockedThing(subject=Subject.NUMBER, number=complaint.x_number)]
        if complaint.tenant is not None:
            things.insert(0, LockedThing(subject=Subject.TENANT, tenant=complaint.tenant))
        for thing in things:
            count = self.count(thing, brief=True)
            if count.level is ComplaintLevel.CALM:
                continue
            stopped = self._queries.row("find_stop", self._key(thing))
            lock_id = None if stopped is None else stopped["id"]
            made = count.level is ComplaintLevel.STOP and lock_id is None
            if made:
                lock_id = self._locks.set(thing, LockReason.MISUSE, by=RULE, rule=RULE).id
                told = {"act": "lock set", "what": "lock", "ids": [lock_id], "reason": RULE}
                self._queries.row("record_by_itself", told)
            values = {
                "id": complaint.id,
                "subject": thing.subject,
                "complaints": count.complaints,
                "calls": count.calls,
                "level": count.level,
                "lock_id": lock_id,
            }
            self._queries.row("tell_complaints", values)
            if made:
                return

    def _key(self, thing: LockedThing) -> dict[str, Any]:
        key = (
            self._tenants.find_id(thing.tenant or "")
            if thing.number is None
            else thing.number.value
        )
        return {"subject": thing.subject, "key": key, "rule": RULE}

    def _read(self, row: dict[str, Any]) -> Complaint:
        return Complaint(
            id=row["id"],
            x_number=XNumber.from_int(row["x_number"]),
            tenant=row["tenant"],
            kind=ComplaintKind(row["kind"]),
            at=row["at"],
            source=row["source"],
            reference=row["reference"],
            note=row["note"],
            added_at=row["added_at"],
            added_by=row["added_by"] if self._scope.whole else None,
            dismissed_at=row["dismissed_at"],
            dismiss_note=row["dismiss_note"],
        )

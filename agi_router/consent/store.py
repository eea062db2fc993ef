"""
The consent ledger, as the database keeps it.

Rules for the editor:

1. Whoever serves may read and add lines, and change none.
2. Who binds for a tenant that asks for consent shares the tenant's place until the transaction
   ends, and who writes a line for somebody takes it alone. So a withdrawal sees every binding that
   was made before it, and none is made of what it has withdrawn.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from agi_router.consent.ledger import (
    Act,
    ConsentLine,
    How,
    Purpose,
    Statement,
    Taken,
    find_taken,
)
from agi_router.cursors import Cursor, numbered
from agi_router.db.clock import check_has_been
from agi_router.db.connection import Queries
from agi_router.errors import ConsentMissing, ConsentNotFound, StoreHeld
from agi_router.keys.registry import assert_current_keys
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber
from agi_router.persons.register import PersonRegister
from agi_router.tenants.scope import OPERATOR, Scope
from agi_router.tenants.store import TenantStore

__all__ = ["ConsentLedger", "ConsentStore"]


class ConsentLedger:
    """
    Lines of any tenant, for a store that says whose.

    Args:
        queries: Where they are kept.
        keys: To find persons.
    """

    def __init__(self, queries: Queries, keys: KeyRing) -> None:
        self._queries = queries
        self._keys = keys
        self._register = PersonRegister(queries, keys)

    def hold(self, tenant_id: int, *, alone: bool = False) -> None:
        """
        Share a tenant's place until the transaction ends, or take it alone.
        """
        name = "lock_consents" if alone else "share_consents"
        self._queries.execute(name, {"tenant_id": tenant_id})

    def check(self, tenant_id: int, people: Collection[PhoneNumber], order: str | None) -> None:
        """
        Make sure that all of some people agree to be bound for a tenant.

        Raises:
            ConsentMissing: One does not.
        """
        values = {
            "tenant_id": tenant_id,
            "people": json.dumps(self._register.describe(people, new=False)),
            "order_id": order,
        }
        row = self._queries.row("all_agree", values)
        if row is None or not row["agree"]:
            # Which of them is told to nobody: whoever binds knows whom to ask.
            raise ConsentMissing

    def describe(
        self, people: Collection[PhoneNumber], *, new: bool
    ) -> list[dict[str, int | str]]:
        """
        See :meth:`PersonRegister.describe`.
        """
        return self._register.describe(people, new=new)

    def state(
        self,
        tenant_id: int,
        people: Collection[PhoneNumber],
        *,
        order: str | None,
        how: How,
        binding: str,
    ) -> None:
        """
        Write down what a tenant states with a bind: that all of some people agree.

        Raises:
            KeysOutdated: The keys were rotated since they were read.
        """
        assert_current_keys(self._queries, self._keys)
        values = {
            "tenant_id": tenant_id,
            "people": json.dumps(self._register.describe(people, new=True)),
            "order_id": order,
            "how": how,
            "binding": binding,
        }
        self._queries.row("state_consents", values)

    def check_none_withdrawn(self, tenant_id: int) -> None:
        """
        Make sure that nobody has withdrawn since the transaction under way has begun.

        Raises:
            StoreHeld: Somebody has: what was bound may be of that person.
        """
        self.hold(tenant_id)
        if self._queries.row("find_withdrawal", {"tenant_id": tenant_id}) is not None:
            raise StoreHeld("somebody has withdrawn its consent meanwhile: import the file again")

    def add(
        self, people: Collection[PhoneNumber], tenant_id: int, said: Statement, by: str
    ) -> int:
        """
        Write the same line of each of some people; the id of the last one.

        Raises:
            KeysOutdated: The keys were rotated since they were read.
        """
        ids = self._register.add(people)
        values = {
            "tenant_id": tenant_id,
            "act": said.act,
            "purpose": said.purpose,
            "order_id": said.order,
            "how": said.how,
            "at": said.at,
            "evidence": None if said.evidence is None else bytes.fromhex(said.evidence),
            "version": said.version,
            "binding": said.binding,
            "cut": said.cut,
            "added_by": by[:128],
        }
        line_id = 0
        for person_id in sorted(ids.values()):
            row = self._queries.row("add_consent", {**values, "person_id": person_id})
            line_id = row["id"] if row else 0
        return line_id

    def of(self, people: Collection[PhoneNumber], tenant_id: int | None) -> list[ConsentLine]:
        """
        The lines about some people, newest first.
        """
        known = self._register.find(people)
        values = {"ids": list(known), "tenant_id": tenant_id}
        rows = self._queries.rows("list_consents_of_persons", values) if known else []
        return [_line(row, known[row["person_id"]]) for row in rows]

    def owned_since(self, people: Collection[PhoneNumber]) -> dict[PhoneNumber, datetime]:
        """
        Since when some people have their numbers, those of whom a feed has said that they are new.
        """
        known = self._register.find(people)
        rows = self._queries.rows("find_new_owners", {"ids": list(known)}) if known else []
        found: dict[PhoneNumber, datetime] = {}
        for row in rows:
            person = known[row["person_id"]]
            found[person] = max(row["since"], found.get(person, row["since"]))
        return found

    def read(self, rows: Collection[dict[str, Any]]) -> list[ConsentLine]:
        """
        Lines, from their rows.
        """
        people = self._register.open({row["person_id"] for row in rows})
        return [_line(row, *people[row["person_id"]]) for row in rows]


class ConsentStore:
    """
    The ledger of one database; for a tenant, its own lines.

    Args:
        queries: Where it is kept.
        keys: To find persons.
        scope: Who asks.
    """

    def __init__(self, queries: Queries, keys: KeyRing, scope: Scope = OPERATOR) -> None:
        self._queries = queries.given(scope.values)
        self._scope = scope
        self._tenants = TenantStore(queries, scope)
        self._ledger = ConsentLedger(self._queries, keys)

    def hold(self, tenant: str) -> None:
        """
        Take a tenant's place alone, until the transaction ends.

        Raises:
            TenantNotFound: There is no such tenant.
        """
        self._ledger.hold(self._tenants.find_id(tenant), alone=True)

    def write(self, person: PhoneNumber, tenant: str, said: Statement, *, by: str) -> ConsentLine:
        """
        Write a line. Of a withdrawal, :meth:`BindingStore.withdraw` ends bindings as well.

        Args:
            person: Who has said it.
            tenant: To whom.
            said: What.
            by: Who writes it: the user of a host, or an API key.

        Raises:
            TenantNotFound: There is no such tenant.
            RequestInvalid: It is to be said in the future.
            KeysOutdated: The keys were rotated since they were read.
        """
        tenant_id = self._tenants.find_id(tenant)
        check_has_been(self._queries, said.at, word="at")
        with self._queries.transaction():
            self._ledger.hold(tenant_id, alone=True)
            line_id = self._ledger.add({person}, tenant_id, said, by)
            return self.find(line_id)

    def write_given(
        self, tenant: str, given: Sequence[tuple[PhoneNumber, Statement]], *, by: str
    ) -> list[Taken]:
        """
        Write what persons have agreed to before, in one transaction; what is known is left out.

        Args:
            tenant: To whom.
            given: Who has said what; each says when.
            by: Who writes it.

        Returns:
            What became of each.

        Raises:
            TenantNotFound: There is no such tenant.
            KeysOutdated: The keys were rotated since they were read.
        """
        tenant_id = self._tenants.find_id(tenant)
        done = []
        with self._queries.transaction():
            self._ledger.hold(tenant_id, alone=True)
            people = {person for person, _ in given}
            known: dict[PhoneNumber, list[ConsentLine]] = {person: [] for person in people}
            for line in self._ledger.of(people, tenant_id):
                # They are looked for by their numbers, so that none is damaged.
                if line.person is not None:
                    known[line.person].append(line)
            since = self._ledger.owned_since(people)
            written: set[tuple[PhoneNumber, Statement]] = set()
            for person, said in given:
                taken = find_taken(known[person], said, owned_since=since.get(person))
                if taken is Taken.ADDED and (person, said) in written:
                    taken = Taken.KNOWN
                if taken is Taken.ADDED:
                    self._ledger.add({person}, tenant_id, said, by)
                    written.add((person, said))
                done.append(taken)
        return done

    def find(self, line_id: int) -> ConsentLine:
        """
        One line.

        Raises:
            ConsentNotFound: There is none of this id.
        """
        row = self._queries.row("find_consent", {"id": line_id})
        if row is None:
            raise ConsentNotFound(f"the ledger has no line {line_id}")
        return self._told(self._ledger.read([row]))[0]

    def all(
        self,
        *,
        tenant: str | None = None,
        order: str | None = None,
        act: Act | None = None,
        after: Cursor | None = None,
        limit: int,
    ) -> list[ConsentLine]:
        """
        Lines, newest first.

        Args:
            tenant: Only those for this tenant.
            order: Only those about this order.
            act: Only those that say so.
            after: Only those behind the last one of another page.
            limit: At most so many.

        Raises:
            CursorInvalid: *after* is none of this list.
            TenantNotFound: There is no such tenant.
        """
        values = {
            "tenant_id": None if tenant is None else self._tenants.find_id(tenant),
            "order_id": order,
            "act": act,
            **numbered(after),
            "limit": limit,
        }
        return self._told(self._ledger.read(self._queries.rows("list_consents", values)))

    def of_person(self, person: PhoneNumber, *, tenant: str | None = None) -> list[ConsentLine]:
        """
        The lines about one person, newest first.

        Raises:
            TenantNotFound: There is no such tenant.
        """
        tenant_id = None if tenant is None else self._tenants.find_id(tenant)
        return self._told(self._ledger.of({person}, tenant_id))

    def _told(self, lines: list[ConsentLine]) -> list[ConsentLine]:
        """
        Lines as whoever asks is told them: who wrote them is nothing to a tenant.
        """
        return lines if self._scope.whole else [replace(each, added_by=None) for each in lines]


def _line(
    row: dict[str, Any], person: PhoneNumber | None, damage: str | None = None
) -> ConsentLine:
    return ConsentLine(
        id=row["id"],
        person=person,
        tenant=row["tenant"],
        act=Act(row["act"]),
        purpose=Purpose(row["purpose"]),
        order=row["order_id"],
        how=None if row["how"] is None else How(row["how"]),
        at=row["at"],
        evidence=None if row["evidence"] is None else row["evidence"].hex(),
        version=row["version"],
        binding=row["binding"],
        cut=row["cut"],
        void=row["void"],
        added_at=row["added_at"],
        added_by=row["added_by"],
        damage=damage,
    )

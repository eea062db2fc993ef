"""
Block lists, as the database keeps them.

Rules for the editor:

1. A tag may be that of somebody else: what is done to a person opens the sealed number first.
2. A live entry has a mark for each tag key among those of locks, so that a call finds both by one
   look, also while keys are rotated.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from agi_router.cursors import Cursor, numbered
from agi_router.db.connection import Queries
from agi_router.errors import (
    BlocklistEntryNotFound,
    BlocklistEntryOver,
    ExpiryInvalid,
    RowInvalid,
)
from agi_router.keys.damage import open_or_tell
from agi_router.keys.registry import key_ids
from agi_router.keys.renewal import each_left, renew_each
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber
from agi_router.persons.blocklist import BlocklistEntry, Pairing, check_pairing
from agi_router.persons.effect_rows import open_entry
from agi_router.persons.effects import BlockDirection
from agi_router.tenants.scope import OPERATOR, Scope
from agi_router.tenants.store import TenantStore

__all__ = ["BlocklistStore"]


class BlocklistStore:
    """
    The block lists of one database; for a tenant, the entries that hold for it alone.

    Args:
        queries: Where they are kept.
        keys: To tag and seal persons.
        scope: Who asks.
    """

    def __init__(self, queries: Queries, keys: KeyRing, scope: Scope = OPERATOR) -> None:
        self._queries = queries.given(scope.values)
        self._keys = keys
        self._scope = scope
        self._tenants = TenantStore(queries, scope)

    def add(
        self,
        pairing: Pairing,
        *,
        by: str,
        direction: BlockDirection = BlockDirection.BOTH,
        note: str | None = None,
        ends_at: datetime | None = None,
    ) -> BlocklistEntry:
        """
        Keep persons apart from now on.

        Args:
            pairing: Who is kept from whom.
            by: Who does it: the user of a host, or an API key.
            direction: What is refused.
            note: Why, for people.
            ends_at: Until when; :obj:`None`: until it is removed.

        Raises:
            RequestInvalid: Both persons are one.
            OperatorOnly: A tenant asks for more than its own bindings.
            TenantNotFound: There is no such tenant.
            ExpiryInvalid: It would be over already.
            KeysOutdated: The keys were rotated since they were read.
        """
        check_pairing(pairing)
        if pairing.tenant is None:
            self._scope.check_operator("blocks persons for all tenants")
        tenant_id = None if pairing.tenant is None else self._tenants.find_id(pairing.tenant)
        now = self._queries.row("now", {})
        assert now is not None  # noqa: S101 - a SELECT without FROM has one row
        if ends_at is not None and ends_at <= now["clock_timestamp"]:
            raise ExpiryInvalid("an entry of a block list ends in the future")
        row = self._queries.row("new_lock_id", {})
        entry_id: int = row["id"] if row else 0
        person = self._keys.seal_locked(pairing.person, entry_id)
        other = [] if pairing.other is None else self._keys.seal_locked(pairing.other, entry_id)
        values = {
            "id": entry_id,
            "keys": [tag for tag, _ in person],
            "sealed": [sealed for _, sealed in person],
            "other_keys": [tag for tag, _ in other],
            "other_sealed": [sealed for _, sealed in other],
            "tenant_id": tenant_id,
            "direction": direction,
            "note": note,
            "added_by": by,
            "ends_at": ends_at,
            **key_ids(self._keys),
        }
        self._queries.row("add_to_blocklist", values)
        return self.find(entry_id)

    def find(self, entry_id: int) -> BlocklistEntry:
        """
        One entry, whatever has become of it.

        Raises:
            BlocklistEntryNotFound: There is none of this id.
        """
        row = self._queries.row("find_blocklist_entry", {"id": entry_id})
        if row is None:
            raise BlocklistEntryNotFound(f"there is no entry {entry_id} of a block list")
        return self._read(row)

    def all(
        self,
        *,
        tenant: str | None = None,
        everything: bool = False,
        after: Cursor | None = None,
        limit: int,
    ) -> list[BlocklistEntry]:
        """
        Entries, newest first.

        Args:
            tenant: Only those for this tenant alone.
            everything: Those that are over, too.
            after: Only those behind the last one of another page.
            limit: At most so many.

        Raises:
            CursorInvalid: *after* is none of this list.
            TenantNotFound: There is no such tenant.
        """
        return list(
            map(
                self._read,
                self._rows(tenant=tenant, everything=everything, after=after, limit=limit),
            )
        )

    def of_person(
        self, person: PhoneNumber, *, everything: bool = False, limit: int
    ) -> list[BlocklistEntry]:
        """
        The entries that a person is on either side of, newest first.

        So it may be of those that are damaged.

        Args:
            person: The real number.
            everything: Those that are over, too.
            limit: At most so many.
        """
        tags = self._keys.tags(person)
        found = map(self._read, self._rows(tags=tags, everything=everything, limit=limit))
        return [
            each
            for each in found
            if each.pairing is None or person in {each.pairing.person, each.pairing.other}
        ]

    def remove(self, entry_id: int, *, by: str) -> BlocklistEntry:
        """
        Let an entry hold no more.

        Args:
            entry_id: Its id.
            by: Who does it.

        Raises:
            BlocklistEntryNotFound: There is none of this id.
            BlocklistEntryOver: It is over already.
            OperatorOnly: A tenant removes what the operator has added.
        """
        found = self.find(entry_id)
        if not self.remove_all([found], by=by):
            raise BlocklistEntryOver(
                f"entry {entry_id} is {self.find(entry_id).state.value} already"
            )
        return self.find(entry_id)

    def remove_all(self, entries: Sequence[BlocklistEntry], *, by: str) -> list[BlocklistEntry]:
        """
        Let those of some entries hold no more that are not over, all at once.

        Raises:
            OperatorOnly: A tenant removes what the operator has added.
        """
        for each in entries:
            if not each.removable:
                self._scope.check_operator("removes what he has put on a block list")
        values = {"ids": [each.id for each in entries], "removed_by": by}
        return [
            self.find(row["id"]) for row in self._queries.rows("remove_from_blocklist", values)
        ]

    def forget(self, row: dict[str, Any], person: PhoneNumber, *, by: str) -> bool:
        """
        End an entry that a number with a new owner is on; whether it was.

        Args:
            row: As ``list_recycled_entries`` has it.
            person: The number.
            by: What says so.

        Raises:
            SealError: A number of the entry does not open.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("ends what a person has left behind")
        if person not in open_entry(row, self._keys):
            return False
        values = {"ids": [row["id"]], "removed_by": by}
        return bool(self._queries.rows("remove_from_blocklist", values))

    def mark(self, tag_key: int) -> int:
        """
        Mark live entries under a tag key that they have no mark of; how many.

        Raises:
            SealError: One does not open.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("rotates keys")
        done = 0
        for row in each_left(self._queries, "list_unmarked_blocklist", {"tag_key": tag_key}):
            # Of an entry that was removed meanwhile there is no mark any more.
            for values in self._sealed(row):
                if values["sealed"][2] == tag_key:
                    self._queries.row("add_blocklist_mark", values)
                    self._count(values)
            done += 1
        return done

    def renew(self) -> int:
        """
        Bring entries under the current keys; how many values there were.

        Marks under older tag keys go with those of locks.

        Raises:
            SealError: One does not open.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("rotates keys")
        self.mark(self._keys.tag_key_id)

        def seal(row: dict[str, Any]) -> None:
            values = next(self._sealed(row))
            self._queries.execute(
                "seal_blocklist_mark" if row["mark"] else "seal_blocklist_entry", values
            )
            self._count(values)

        values = {"header": self._keys.header, "tag_key": self._keys.tag_key_id}
        return renew_each(self._queries, self._keys, "list_sealed_blocklist", values, seal)

    def _sealed(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """
        An entry as it is sealed anew for each tag key, that of the current one first.
        """
        person, *others = open_entry(row, self._keys)
        sealed = self._keys.seal_locked(person, row["id"])
        other = [self._keys.seal_locked(each, row["id"]) for each in others]
        for place, (tag, seal) in enumerate(sealed):
            other_tag, other_seal = other[0][place] if other else (None, None)
            yield {
                "id": row["id"],
                "key": tag,
                "sealed": seal,
                "other_key": other_tag,
                "other_sealed": other_seal,
            }

    def _count(self, values: dict[str, Any]) -> None:
        self._queries.row("count_seals", {"count": 1 if values["other_sealed"] is None else 2})

    def _rows(
        self,
        *,
        tenant: str | None = None,
        tags: Sequence[int] | None = None,
        everything: bool,
        after: Cursor | None = None,
        limit: int,
    ) -> list[dict[str, Any]]:
        values = {
            "tenant_id": None if tenant is None else self._tenants.find_id(tenant),
            "tags": tags,
            "everything": everything,
            **numbered(after),
            "limit": limit,
        }
        return self._queries.rows("list_blocklist", values)

    def _read(self, row: dict[str, Any]) -> BlocklistEntry:
        try:
            direction = BlockDirection(row["direction"])
        except ValueError:
            raise RowInvalid from None
        pairing, damage = open_or_tell(lambda: self._read_pairing(row))
        return BlocklistEntry(
            id=row["id"],
            pairing=pairing,
            tenant=row["tenant"],
            direction=direction,
            note=row["note"],
            # Who they are is nothing to a tenant.
            added_by=row["added_by"] if self._scope.whole else None,
            added_at=row["added_at"],
            ends_at=row["ends_at"],
            over_at=row["over_at"],
            removed=row["removed_by"] is not None,
            removable=self._scope.whole or row["setter_id"] == self._scope.tenant_id,
            now=row["now"],
            damage=damage,
        )

    def _read_pairing(self, row: dict[str, Any]) -> Pairing:
        person, *others = open_entry(row, self._keys)
        return Pairing(person=person, other=others[0] if others else None, tenant=row["tenant"])

"""
Locks, as the database keeps them.

Rules for the editor:

1. A tag may be that of somebody else: what is done to a person opens the sealed number first.
2. A live lock has a mark for each tag key, so that calls and binds find it while keys are rotated.
   The switch to a new tag key marks those that have none under it, in its own transaction.
3. Each lock is set in a transaction of its own: it waits for the binds of its own person alone.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from agi_router.cursors import Cursor, numbered
from agi_router.db.connection import Queries
from agi_router.errors import (
    BlockNotFound,
    ExpiryInvalid,
    Locked,
    LockNotFound,
    LockOver,
    NumberLocked,
    PartyLocked,
    RequestInvalid,
    RowInvalid,
    TenantLocked,
)
from agi_router.keys.damage import open_or_tell
from agi_router.keys.registry import assert_current_keys, key_ids
from agi_router.keys.renewal import each_left, renew_each
from agi_router.keys.ring import KeyRing
from agi_router.numbers import Block, PhoneNumber, XNumber
from agi_router.persons.effect_rows import read_effect
from agi_router.persons.effects import Effect, LockReason, Subject, find_strongest, holds_for
from agi_router.persons.locks import REASONS, Lock, LockedThing
from agi_router.tenants.scope import OPERATOR, Scope
from agi_router.tenants.store import TenantStore

__all__ = ["LockStore", "refusal"]

_ALL = 1_000_000
_CUTTING = " and ".join(reason for reason, rule in REASONS.items() if rule.cuts)


class LockStore:
    """
    The locks of one database; for a tenant, those on it, for it and on its own blocks.

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

    def set(
        self,
        thing: LockedThing,
        reason: LockReason,
        *,
        by: str,
        rule: str | None = None,
        note: str | None = None,
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
        cut: bool = False,
    ) -> Lock:
        """
        Lock a thing.

        Args:
            thing: It.
            reason: Why.
            by: Who does it: the user of a host, or an API key.
            rule: The rule by which it is done.
            note: What the person may be told.
            starts_at: From when; :obj:`None`: from now.
            ends_at: Until when; :obj:`None`: until it is reviewed.
            cut: Whether calls that are up as it begins are cut.

        Raises:
            RequestInvalid: Calls are not cut for this reason.
            OperatorOnly: A tenant locks what is not its own.
            TenantNotFound: There is no such tenant.
            BlockNotFound: A number's block, or the block, is not ours, or another tenant's.
            ExpiryInvalid: It would end before it begins, or has no end and needs one.
            KeysOutdated: The keys were rotated since they were read.
        """
        if cut and not REASONS[reason].cuts:
            raise RequestInvalid(f"a lock for {reason} cuts no calls: {_CUTTING} do")
        self._check_times(reason, starts_at, ends_at)
        tenant_id = self._check_reach(thing)
        row = self._queries.row("new_lock_id", {})
        lock_id: int = row["id"] if row else 0
        block = thing.block or (thing.number and thing.number.block)
        marks = self._marks(thing, lock_id, tenant_id)
        values = {
            "block": None if block is None else block.value,
            "id": lock_id,
            "subject": thing.subject,
            "keys": [key for key, _ in marks],
            "sealed": [sealed for _, sealed in marks],
            "tenant_id": tenant_id,
            "reason": reason,
            "rule": rule,
            "note": note,
            "set_by": by,
            "starts_at": starts_at,
            "ends_at": ends_at,
            "cut": cut,
            **key_ids(self._keys),
        }
        self._queries.row("set_lock", values)
        return self.find(lock_id)

    def await_others(self, thing: LockedThing) -> None:
        """
        Wait for whoever is just locking a 700 number or a block; others wait for this transaction.

        What is looked for behind it is there already, or set by nobody else meanwhile.

        Raises:
            KeysOutdated: The keys were rotated since they were read.
        """
        # In the order of agi_router.set_lock.
        assert_current_keys(self._queries, self._keys)
        found = thing.number or thing.block
        self._queries.row("await_other_locks", {"key": None if found is None else found.value})

    def find(self, lock_id: int) -> Lock:
        """
        One lock, whatever has become of it.

        Raises:
            LockNotFound: There is none of this id.
        """
        row = self._queries.row("find_lock", {"id": lock_id})
        if row is None:
            raise LockNotFound(f"there is no lock {lock_id}")
        return self._read(row)

    def find_concerning(self, lock_id: int) -> Lock:
        """
        The same; for a tenant also one that holds everywhere on a party of its bindings.

        Raises:
            LockNotFound: There is none of this id.
        """
        row = self._queries.row("find_concerning", {"id": lock_id})
        if row is None:
            raise LockNotFound(f"there is no lock {lock_id}")
        return self._read(row)

    def all(
        self,
        *,
        subject: Subject | None = None,
        reason: LockReason | None = None,
        things: Collection[XNumber | Block] | None = None,
        tenant: str | None = None,
        everything: bool = False,
        after: Cursor | None = None,
        limit: int,
    ) -> list[Lock]:
        """
        Locks, newest first.

        Args:
            subject: Only those on such things.
            reason: Only those for this reason.
            things: Only those on one of these 700 numbers and blocks.
            tenant: Only those on, or for, this tenant.
            everything: Those that are over, too.
            after: Only those behind the last one of another page.
            limit: At most so many.

        Raises:
            CursorInvalid: *after* is none of this list.
            TenantNotFound: There is no such tenant.
        """
        values = {
            "subject": subject,
            "reason": reason,
            "keys": None if things is None else [_key(each) for each in things],
            "tenant_id": None if tenant is None else self._tenants.find_id(tenant),
            "everything": everything,
            **numbered(after),
            "limit": limit,
        }
        return list(map(self._read, self._queries.rows("list_locks", values)))

    def of_person(self, person: PhoneNumber, *, everything: bool = False) -> list[Lock]:
        """
        The locks on one person, newest first; so may those be that are damaged.

        A tenant sees those that are for it; and those that hold everywhere, of a person who is or
        was a party of one of its bindings.

        Args:
            person: The real number.
            everything: Those that are over, too.
        """
        values = {"tags": self._keys.tags(person), "everything": everything}
        found = map(self._read, self._queries.rows("list_locks_of_person", values))
        return [
            lock for lock in found if lock.thing.damage is not None or lock.thing.person == person
        ]

    def on_things(
        self, things: Sequence[LockedThing], reason: LockReason | None = None
    ) -> list[Lock]:
        """
        The locks that are not over on 700 numbers and blocks, or on one person or tenant.

        Of a person without a tenant they are those that hold everywhere, which are not of the same
        hand as a tenant's.

        Args:
            things: These.
            reason: Only those for this reason.

        Raises:
            TenantNotFound: There is no such tenant.
        """
        if not things:
            return []
        person, tenant = things[0].person, things[0].tenant
        if person is not None:
            found = [lock for lock in self.of_person(person) if lock.thing.tenant == tenant]
        elif tenant is not None:
            found = self.all(subject=Subject.TENANT, tenant=tenant, limit=_ALL)
        else:
            places = [each.number or each.block for each in things]
            found = self.all(things=[each for each in places if each is not None], limit=_ALL)
        return [lock for lock in found if reason in {None, lock.reason}]

    def in_time(
        self,
        *,
        things: Collection[XNumber | Block],
        people: Collection[PhoneNumber],
        tenants: Collection[str],
        since: datetime,
        until: datetime,
    ) -> list[Lock]:
        """
        The locks that held in a time, those that are over included; the earliest first.

        Args:
            things: 700 numbers and blocks.
            people: Real numbers.
            tenants: Names.
            since: The begin of that time.
            until: Its end.

        Raises:
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("traces")
        values = {
            "keys": [_key(each) for each in things],
            "tags": [tag for each in people for tag in self._keys.tags(each)],
            "tenants": list(tenants),
            "since": since,
            "until": until,
        }
        found = map(self._read, self._queries.rows("list_locks_in_time", values))
        return [lock for lock in found if lock.thing.person is None or lock.thing.person in people]

    def lift(self, lock_id: int, *, by: str, note: str | None = None) -> Lock:
        """
        Lift a lock now.

        Args:
            lock_id: Its id.
            by: Who does it.
            note: Why.

        Raises:
            LockNotFound: There is none of this id.
            LockOver: It is over already.
            OperatorOnly: A tenant lifts what the operator has set.
        """
        self._check_liftable(self.find(lock_id))
        if not self._lift([lock_id], by, note):
            raise LockOver(f"lock {lock_id} is {self.find(lock_id).state.value} already")
        return self.find(lock_id)

    def lift_all(self, locks: Sequence[Lock], *, by: str, note: str | None = None) -> list[Lock]:
        """
        Lift those of some locks that are not over, all at once.

        Raises:
            OperatorOnly: A tenant lifts what the operator has set.
        """
        for lock in locks:
            self._check_liftable(lock)
        return [self.find(each) for each in self._lift([lock.id for lock in locks], by, note)]

    def forget(self, row: dict[str, Any], person: PhoneNumber, *, by: str) -> bool:
        """
        Lift a lock on a number that has a new owner since; whether it was on that number.

        Args:
            row: As ``list_recycled_locks`` has it.
            person: The number.
            by: What says so.

        Raises:
            SealError: The person of the lock does not open.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("ends what a person has left behind")
        if self._keys.open_locked(row["sealed"], row["id"], row["key"]) != person:
            return False
        lifted = self._lift([row["id"]], by, None)
        self._queries.row(
            "record_by_itself",
            {"act": "lock lift", "what": "lock", "ids": lifted, "reason": by},
        )
        return bool(lifted)

    def check_free(
        self,
        people: Collection[PhoneNumber],
        numbers: Collection[XNumber],
        block: Block,
        tenant: str,
    ) -> list[int]:
        """
        Make sure that nothing of a bind that was refused is locked.

        Returns:
            Locks that were found by a tag of *people*, and are of somebody else.

        Raises:
            PartyLocked: A party is.
            NumberLocked: A number or its block is.
            TenantLocked: The tenant is.
        """
        tenant_id = self._tenants.find_id(tenant)
        tags = [tag for each in people for tag in self._keys.tags(each)]
        values = {
            "keys": [*tags, *(each.value for each in numbers), block.value, tenant_id],
            "tenant_id": tenant_id,
        }
        found = [
            read_effect(row, self._keys) for row in self._queries.rows("list_effects", values)
        ]
        ours = [
            each
            for each in found
            if holds_for(
                each,
                numbers={number.value for number in numbers},
                block=block.value,
                tenant=tenant_id,
                people=people,
            )
        ]
        if (strongest := find_strongest(ours)) is not None:
            raise refusal(strongest, tenant, whole=self._scope.whole)
        return [each.id for each in found]

    def pass_strangers(self, lock_ids: Collection[int]) -> None:
        """
        Let the binds of this session pass locks that are of somebody else; none: no more.
        """
        strangers = f"{{{','.join(map(str, lock_ids))}}}" if lock_ids else ""
        self._queries.row("pass_strangers", {"strangers": strangers})

    def mark(self, tag_key: int) -> int:
        """
        Mark live locks of persons under a tag key that they have no mark of; how many.

        Raises:
            SealError: One does not open.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("rotates keys")
        done = 0
        for row in each_left(self._queries, "list_unmarked_locks", {"tag_key": tag_key}):
            person = self._keys.open_locked(row["sealed"], row["id"], row["key"])
            for tag, sealed in self._keys.seal_locked(person, row["id"]):
                if sealed[2] == tag_key:
                    values = {"id": row["id"], "key": tag, "sealed": sealed}
                    self._queries.row("add_lock_mark", values)
                    self._queries.row("count_seals", {"count": 1})
            done += 1
        return done

    def renew(self, *, routes_done: bool) -> int:
        """
        Bring locks under the current keys; how many values there were.

        Args:
            routes_done: Whether no route has a tag of an older key any more: marks by such are
                deleted then.

        Raises:
            SealError: One does not open.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("rotates keys")
        self.mark(self._keys.tag_key_id)

        def seal(row: dict[str, Any]) -> None:
            person = self._keys.open_locked(row["sealed"], row["id"], row["key"])
            tag, sealed = self._keys.seal_locked(person, row["id"])[0]
            self._queries.execute(
                "seal_lock_mark" if row["mark"] else "seal_lock",
                {"id": row["id"], "key": tag, "sealed": sealed},
            )
            self._queries.row("count_seals", {"count": 1})

        values = {"header": self._keys.header, "tag_key": self._keys.tag_key_id}
        done = renew_each(self._queries, self._keys, "list_sealed_locks", values, seal)
        if routes_done:
            self._queries.execute("drop_old_lock_marks", {"tag_key": self._keys.tag_key_id})
        return done

    def _lift(self, lock_ids: Sequence[int], by: str, note: str | None) -> list[int]:
        values = {"ids": list(lock_ids), "lifted_by": by, "note": note}
        return [row["id"] for row in self._queries.rows("lift_locks", values)]

    def _check_times(
        self, reason: LockReason, starts_at: datetime | None, ends_at: datetime | None
    ) -> None:
        if ends_at is None:
            if REASONS[reason].needs_end:
                raise ExpiryInvalid(f"a lock for {reason} needs an end: say until when it holds")
            return
        row = self._queries.row("now", {})
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        if ends_at <= (starts_at or row["clock_timestamp"]) or ends_at <= row["clock_timestamp"]:
            raise ExpiryInvalid("a lock ends after it begins, and in the future")

    def _check_reach(self, thing: LockedThing) -> int | None:
        """
        Make sure that whoever asks may lock a thing, or unlock it; the tenant it is for.
        """
        block = thing.block or (thing.number and thing.number.block)
        values = {"block": None if block is None else block.value}
        if block is not None and self._queries.row("find_own_block", values) is None:
            raise BlockNotFound(f"block {block} is not ours")
        own = thing.subject is Subject.NUMBER or (
            thing.subject is Subject.PERSON and thing.tenant is not None
        )
        if not own:
            self._scope.check_operator("locks blocks, tenants, and persons everywhere")
        return None if thing.tenant is None else self._tenants.find_id(thing.tenant)

    def _check_liftable(self, lock: Lock) -> None:
        if not lock.liftable:
            self._scope.check_operator("lifts what he has locked")

    def _marks(
        self, thing: LockedThing, lock_id: int, tenant_id: int | None
    ) -> list[tuple[int, bytes | None]]:
        if thing.person is not None:
            return list(self._keys.seal_locked(thing.person, lock_id))
        found = thing.number or thing.block
        key = tenant_id if found is None else found.value
        if key is None:
            raise RequestInvalid("say what is to be locked")
        return [(key, None)]

    def _read(self, row: dict[str, Any]) -> Lock:
        try:
            subject, reason = Subject(row["subject"]), LockReason(row["reason"])
        except ValueError:
            raise RowInvalid from None
        thing, damage = open_or_tell(lambda: self._read_thing(row, subject))
        own = row["setter_id"] == self._scope.tenant_id
        return Lock(
            id=row["id"],
            thing=thing or LockedThing(subject=subject, tenant=row["tenant"], damage=damage),
            reason=reason,
            rule=row["rule"],
            note=row["note"],
            # Who they are is nothing to a tenant.
            set_by=row["set_by"] if self._scope.whole else None,
            set_at=row["set_at"],
            starts_at=row["starts_at"],
            ends_at=row["ends_at"],
            over_at=row["over_at"],
            lifted=row["lifted_by"] is not None,
            lifted_by=row["lifted_by"] if self._scope.whole else None,
            lift_note=row["lift_note"],
            cut=row["cut"],
            own=own,
            liftable=self._scope.whole or own,
            now=row["now"],
        )

    def _read_thing(self, row: dict[str, Any], subject: Subject) -> LockedThing:
        key, sealed = row["key"], row["sealed"]
        return LockedThing(
            subject=subject,
            number=XNumber.from_int(key) if subject is Subject.NUMBER else None,
            block=Block(value=key) if subject is Subject.BLOCK else None,
            person=None if sealed is None else self._keys.open_locked(sealed, row["id"], key),
            tenant=row["tenant"],
        )


def refusal(effect: Effect, tenant: str, *, whole: bool) -> Locked:
    """
    Why nothing is bound for a tenant where a lock is in force.

    Args:
        effect: The lock.
        tenant: The tenant.
        whole: Whether the operator asks. A tenant learns nothing more of a person who is locked
            everywhere.
    """
    which = f"{effect.reason}, lock {effect.id}"
    match effect.subject:
        case Subject.PERSON:
            # Which of them is locked is told to nobody who does not know it.
            said = f" ({which})" if whole or not effect.everywhere else ""
            return PartyLocked(
                f"a party is locked{said}: nothing is bound for it until the lock is lifted or"
                " ends"
            )
        case Subject.TENANT:
            return TenantLocked(f"tenant {tenant!r} is locked ({which})")
        case _:
            return NumberLocked(
                f"the number or its block is locked ({which}): choose another, or wait until it is"
                " not"
            )


def _key(thing: XNumber | Block) -> int:
    return thing.value

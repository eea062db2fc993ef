"""
Rotation: from one key to the next, while calls go on.

1. New keys are written to the key file, where they are only read with.
2. Every router reads the file again when it changes, and says by the name of its connections which
   keys it has. So it is seen when all know the new ones.
3. From one moment on all write with the new keys: the database says so.
4. The rows of before are renewed (:mod:`agi_router.bindings.reseal`).
5. A key that no row needs is retired, and taken out of the file.
6. A seal key is a period where what is over was left under it. It may be destroyed: then nobody
   reads whom these rows name, in backups neither, and they are counted all the same.

Each step may be interrupted, and the next run goes on from there.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agi_router.bindings.group_members import GroupMembers
from agi_router.bindings.reseal import Renewal
from agi_router.calls.tenant_checks import TenantCheckStore
from agi_router.db.connection import Connection, Queries
from agi_router.durations import parse_duration
from agi_router.errors import KeyInUse, KeyRingError
from agi_router.events.store import EventStore
from agi_router.feeds.pull_store import PullStore
from agi_router.feeds.waiting import WaitingFiles
from agi_router.keys.file import replace_key_ring
from agi_router.keys.registry import KINDS, check_keys, known_keys, lock_keys, make_current
from agi_router.keys.ring import KeyKind, KeyRing
from agi_router.maintenance.classes import FLOORS, WHY, RetentionClass
from agi_router.persons.blocklist_store import BlocklistStore
from agi_router.persons.register import PersonRegister
from agi_router.persons.store import LockStore
from agi_router.recordings.store import RecordingLedger
from agi_router.tenants.api_key_store import ApiKeyStore

__all__ = ["Period", "Rotation"]

_LARGEST_ID = 255
_HEADER = 3


@dataclass(frozen=True, slots=True)
class Period:
    """
    What goes with a seal key.

    Attributes:
        key: Its id.
        values: Sealed values.
        bindings: Bindings that are over, whose parties nobody will read.
        digest: SHA-256 of their names, in order.
    """

    key: int
    values: int
    bindings: int
    digest: str

    @property
    def word(self) -> str:
        """
        By which it is confirmed that this, and nothing else, is meant.
        """
        return f"{self.bindings}-{self.digest[:8]}"

    def __str__(self) -> str:
        return (
            f"seal key {self.key}: {self.values} value(s) of {self.bindings} binding(s), sha256"
            f" {self.digest}"
        )


@dataclass(frozen=True, slots=True)
class _Needed:
    """
    How many sealed values need each key; and each seal key, of what is over and out of the way.
    """

    keys: Counter[tuple[KeyKind, int]]
    past: Counter[int]


class Rotation:
    """
    The keys of one database, to be changed; nobody else changes them meanwhile.

    Args:
        connection: See :func:`agi_router.db.connection.connect`.
        keys: As :func:`check_keys` returned them.
        path: The key file.

    Raises:
        KeyInUse: Somebody else is changing them.
    """

    def __init__(self, connection: Connection, keys: KeyRing, path: Path) -> None:
        self._connection = connection
        self._queries = Queries(connection)
        self._path = path
        self.keys = keys
        """As they stand."""
        row = self._queries.row("try_lock_rotation", {})
        if row is None or not row["locked"]:
            raise KeyInUse("the keys are being changed by another command; wait until it is done")

    def add(self, kinds: Iterable[KeyKind]) -> dict[KeyKind, int]:
        """
        Write a new key of each kind to the file; one that was never written with is taken first.

        Returns:
            The ids of the new keys.

        Raises:
            KeyRingError: The file cannot be replaced, or all ids were used.
        """
        known = known_keys(self._queries, self.keys)
        ring = self.keys
        chosen: dict[KeyKind, int] = {}
        for kind in kinds:
            waiting = [i for (k, i), row in known.items() if k == kind and row["state"] == "new"]
            chosen[kind] = max(waiting) if waiting else 1 + max(i for k, i in known if k == kind)
            if chosen[kind] > _LARGEST_ID:
                raise KeyRingError(f"all {_LARGEST_ID} ids of {kind} keys were used")
            if not waiting:
                ring = ring.with_new(kind, chosen[kind])
        if ring != self.keys:
            replace_key_ring(self._path, ring)
            self.keys = check_keys(self._connection, ring)
        return chosen

    def unaware(self) -> list[str]:
        """
        The connections of routers that do not know all these keys: process id, role and address.
        """
        return [
            _told(row)
            for row in self._queries.rows("list_routers", {})
            if row["application_name"].split()[-1] != self.keys.digest
        ]

    def switch(self, ids: Mapping[KeyKind, int]) -> None:
        """
        Write with these keys from now on, all at one moment; the file lists them last.

        From then on the file keeps older ones from being current again. Nobody who wrote with them
        goes on, in cells neither: what needs them can be counted.

        Raises:
            StoreHeld: Somebody writes for long, an import in a cell perhaps; nothing was changed.
            StoreUnavailable: A cell does not answer, or is away. If it died in the midst, others
                may write with the new keys: binds there fail until this is done again.
        """
        tag_key = ids.get("tag", self.keys.tag_key_id)
        # Most of them before anybody has to wait.
        locks = LockStore(self._queries, self.keys)
        blocklist = BlocklistStore(self._queries, self.keys)
        people = PersonRegister(self._queries, self.keys)
        locks.mark(tag_key)
        blocklist.mark(tag_key)
        people.mark(tag_key)

        def at_once() -> None:
            with self._queries.transaction():
                lock_keys(self._queries, behind=True)
                locks.mark(tag_key)
                blocklist.mark(tag_key)
                people.mark(tag_key)
                make_current(self._queries, ids, behind=True)

        # A cell may hear of a key that was added at the very moment.
        self._queries.again(at_once)
        self.keys = check_keys(self._connection, self.keys)
        self.raise_floor()

    def raise_floor(self) -> None:
        """
        Let the file keep keys that are older than the current ones from being current again.

        Raises:
            KeyRingError: The file cannot be replaced.
        """
        # For those who look at the file only, too: routers read it again.
        self.keys = self.keys.with_floor
        replace_key_ring(self._path, self.keys)

    def finish(self) -> None:
        """
        Where a switch got no further than the database, see to the file.
        """
        several = len(self.keys.tag_keys) + len(self.keys.seal_keys) > len(KINDS)
        if several and self.keys != self.keys.with_floor:
            self.raise_floor()

    def renewal(self, *, over: bool = True) -> Renewal:
        """
        What brings the rows under the current keys.

        Args:
            over: Whether those of bindings that are over are brought, too.

        Raises:
            StoreUnavailable: A database behind this one is left out of all lists.
        """
        self._assert_whole()
        return Renewal(self._queries, self.keys, over=over)

    def weigh(self, keyid: int) -> Period:
        """
        What would go with a seal key.

        Raises:
            KeyRingError: There is no such key.
            KeyInUse: Something needs it that is not over, is held, or is younger than the law
                lets it be.
            StoreUnavailable: A database behind this one is left out of all lists.
        """
        self._assert_whole()
        state = known_keys(self._queries, self.keys).get(("seal", keyid), {}).get("state")
        if state is None:
            raise KeyRingError(f"there is no seal key {keyid}")
        if state != "old":
            raise KeyInUse(f"seal key {keyid} is {state}: only one that is old can be destroyed")
        floor = parse_duration(FLOORS[RetentionClass.RECORDS])
        row = self._queries.row("weigh_destruction", {"id": keyid, "floor": floor})
        assert row is not None  # noqa: S101 - it counts
        needed = self._needed()
        values = needed.past[keyid]
        elsewhere = needed.keys["seal", keyid] - values
        anew = "run 'agi-router key rotate --seal --leave-over'"
        rested = "'agi-router sweep' moves what is over once nobody's quarantine needs it"
        for count, what in (
            (elsewhere, f"value(s) that are not of what is over and swept: {anew}; {rested}"),
            (row["living"], f"binding(s) that live: {anew}"),
            (row["young"], f"binding(s) that ended less than {WHY[RetentionClass.RECORDS]} ago"),
            (row["held"], "binding(s) that a hold keeps: see 'agi-router retention hold list'"),
        ):
            if count > 0:
                raise KeyInUse(f"seal key {keyid} has sealed {count} {what}")
        return Period(keyid, values, row["bindings"], row["digest"])

    def destroy(self, period: Period, note: Callable[[Queries], None]) -> None:
        """
        Destroy a seal key: what it has sealed is read by nobody any more.

        Args:
            period: As it was weighed.
            note: Puts it on record, in the same transaction.

        Raises:
            KeyInUse: Something else would go by now, or may not.
            KeyRingError: The file cannot be replaced: then say it again.
        """
        with self._queries.transaction():
            lock_keys(self._queries)
            if self.weigh(period.key) != period:
                raise KeyInUse("something else would be destroyed by now: weigh it again")
            note(self._queries)
            self._queries.execute("destroy_key", {"id": period.key})
        self.forget()

    def forget(self) -> None:
        """
        Take keys out of the file that are no more by the database.

        Raises:
            KeyRingError: The file cannot be replaced.
        """
        self.keys = check_keys(self._connection, self.keys)
        replace_key_ring(self._path, self.keys)

    def renew_secrets(self) -> int:
        """
        Bring what belongs to no binding under the current keys.

        That is the secrets of API keys, webhooks, tenants' checks and feeds, files that wait to be
        read, the keys of recordings, the members of groups, entries of block lists, persons of
        whom lines are kept, and locks: these and persons are found by tags of older keys as long
        as a route has one, so renew routes first.

        Returns:
            How many there were.

        Raises:
            SealError: One does not open.
            StoreUnavailable: A database behind this one is left out of all lists.
        """
        routes_done = self.renewal().outstanding() == 0
        return (
            ApiKeyStore(self._queries).renew(self.keys)
            + EventStore(self._queries, self.keys).renew()
            + TenantCheckStore(self._queries, self.keys).renew()
            + PullStore(self._queries, self.keys).renew()
            + WaitingFiles(self._queries, self.keys).renew()
            + RecordingLedger(self._queries).renew(self.keys)
            + GroupMembers(self._queries, self.keys).renew()
            + BlocklistStore(self._queries, self.keys).renew()
            + LockStore(self._queries, self.keys).renew(routes_done=routes_done)
            + PersonRegister(self._queries, self.keys).renew(routes_done=routes_done)
        )

    def retire(self, kind: KeyKind, keyid: int) -> None:
        """
        Take a key out of the file, and never use it again.

        Raises:
            KeyInUse: It is the current one, or a row needs it.
            KeyRingError: There is no such key, or the file cannot be replaced.
            StoreUnavailable: A database behind this one is left out of all lists.
        """
        self._assert_whole()
        known = known_keys(self._queries, self.keys)
        state = known[kind, keyid]["state"] if (kind, keyid) in known else None
        if state is None:
            raise KeyRingError(f"there is no {kind} key {keyid}")
        if state == "current":
            raise KeyInUse(f"{kind} key {keyid} is the current one: rotate first")
        # Nobody writes with it since another one became current, so the count cannot rise.
        if uses := self.uses()[kind, keyid]:
            raise KeyInUse(
                f"{kind} key {keyid} is needed by {uses} sealed value(s): run 'agi-router key"
                " renew' first"
            )
        with self._queries.transaction():
            lock_keys(self._queries)
            self._queries.execute("retire_key", {"kind": kind, "id": keyid})
        self.keys = check_keys(self._connection, self.keys)
        # Also where a run before this one got no further than the database.
        replace_key_ring(self._path, self.keys)

    def _assert_whole(self) -> None:
        """
        See that what is counted is all there is: a key that is missed is taken out of the file.
        """
        self._queries.execute("assert_whole", {})

    def uses(self) -> Counter[tuple[KeyKind, int]]:
        """
        How many sealed values need each key: to be opened, or to find their row.

        What is too short to be one needs none; what nobody can open needs no tag, as it is never
        tagged anew.
        """
        return self._needed().keys

    def _needed(self) -> "_Needed":
        needed = _Needed(keys=Counter(), past=Counter())
        for row in self._queries.rows("count_keys", {}):
            if len(row["header"]) == _HEADER:
                _, seal, tag = row["header"]
                needed.past[seal] += row["past"]
                needed.keys["seal", seal] += row["values"]
                if seal not in self.keys.destroyed:
                    needed.keys["tag", tag] += row["values"]
        return needed

    def listed(self) -> list[dict[str, object]]:
        """
        All keys that this database knows, with what they are for and how many values need them.

        Of seal keys also how many values each has sealed.
        """
        uses = self.uses()
        known = known_keys(self._queries, self.keys)
        return [
            {
                "kind": kind,
                "id": keyid,
                "state": row["state"],
                "seen_at": row["seen_at"],
                "current_at": row["current_at"],
                "uses": uses[kind, keyid],
                "sealed": row["sealed"],
            }
            for kind in KINDS
            for (other, keyid), row in known.items()
            if other == kind
        ]


def _told(router: Mapping[str, Any]) -> str:
    """Which connection it is, so that somebody can find it."""
    place = "at an address that only a superuser is told"
    if router["address_told"]:
        place = (
            f"from {router['address']}" if router["address"] else "on the database's own machine"
        )
    return f"pid {router['pid']} of {router['role']!r} {place}"

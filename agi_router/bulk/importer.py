"""
Importing: the rows of a file become bindings, all or none, or batch by batch.

1. An order with its parties is bound once: a row that is recognised by its ``order_tag`` is there
   already, also where the binding is over by now. So a file may be read again, after a crash too,
   and changes nothing that is done.
2. Imports follow each other; binding and calling go on meanwhile.
3. What the file asks for is looked up set by set, and loaded by COPY: a chunk as a whole where
   nothing is in the way of any of it, which is nearly always, else row by row. The unique key of
   the routes has the last word: where somebody was faster, the rows are looked at again.
4. A dry run writes nothing but a table of its own session, in which it remembers what the file has
   asked for so far.
5. Each transaction makes sure that its keys are the current ones, and holds them. Where they were
   rotated since the import began it ends; read again, the file goes on where it was.
6. What strangers may call, and what gets a number on a call, is bound row by row, as by ``bind``.
7. Locks are asked for set by set, and none is kept from being set: a file takes its time. What is
   bound while a lock is just being set is refused at the call.
"""

import random
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import Any, BinaryIO

import psycopg

from agi_router.bindings.conflicts import FOREIGN
from agi_router.bindings.model import BindingId
from agi_router.bindings.policy import NumberPolicy
from agi_router.bindings.pools import Pool
from agi_router.bindings.requests import BindRequest, Fault
from agi_router.bindings.rows import order_tags
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bulk.columns import Header
from agi_router.bulk.copy_rows import copy_statement, pack_file
from agi_router.bulk.csv_file import CsvReader, Record
from agi_router.bulk.workers import Batch, Chunk, Entry, Place, Prepared, Sealer, Workshop
from agi_router.db.arrays import array_of_integers, array_of_texts
from agi_router.db.connection import KEYS_OUTDATED, Connection, Queries, translated
from agi_router.db.queries import query
from agi_router.errors import (
    AgiRouterError,
    CsvError,
    KeysOutdated,
    NoNumberAvailable,
    StoreError,
    StoreHeld,
    TenantNotFound,
)
from agi_router.inventory.capacity import Quarantine
from agi_router.keys.registry import key_ids
from agi_router.keys.ring import KeyRing
from agi_router.numbers import BLOCK_SIZE, Block, XNumber
from agi_router.persons.effect_rows import read_effect
from agi_router.persons.effects import Effect, Subject, find_strongest, holds_for
from agi_router.persons.store import refusal
from agi_router.tenants.quotas import take_quota
from agi_router.tenants.scope import OPERATOR, Scope

__all__ = ["Importer", "Tally", "Watcher"]

_CHUNK = 2000
# How often numbers are dealt out anew before they are searched for.
_DEALS = 6
# How often a set is loaded anew where somebody was faster, before it is halved.
_TRIES = 4
_POLICY = NumberPolicy()
# Somebody else took a place between looking and loading.
_OUTRUN = (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected)


@dataclass(slots=True, kw_only=True)
class Tally:
    """
    What has become of the rows.
    """

    bound: int = 0
    there: int = 0
    """Bound before, by this order and for these parties."""
    over: int = 0
    """Over where they come from; left out."""
    rejected: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """
    Who is told while an import runs.

    Attributes:
        rejected: A row cannot be bound, and why.
        waiting: Another import is running.
        read: So many bytes of the file have been read and dealt with.
        header: The header was read, and is one of ours.
        encoding: The file is not in UTF-8, and is read by this one.
    """

    header: Callable[[Sequence[str]], None]
    rejected: Callable[[Record, Sequence[Fault]], None]
    waiting: Callable[[], None]
    read: Callable[[int], None]
    encoding: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """
    What has become of a set of entries.
    """

    bound: list[Entry]
    there: int
    refused: list[tuple[Entry, Place | None, str]]
    """With the place that cannot be had, or none, and why."""
    locked: list[tuple[Entry, str]]
    """Those whom no other number would help, and why."""


class Importer:
    """
    One import.

    Args:
        connection: See :func:`agi_router.db.connection.connect`.
        keys: To tag and seal with.
        fixed_lines: Whether fixed lines may be parties.
        ttl: Life of a binding, where a row says nothing.
        quarantine: How long numbers are kept from new bindings.
        open_modes: Whether numbers may be bound that strangers can call.
        processes: How many worker processes.
        watcher: Who is told.
        scope: Whose rows alone are taken.
    """

    def __init__(
        self,
        connection: Connection,
        keys: KeyRing,
        *,
        fixed_lines: bool,
        ttl: timedelta,
        quarantine: Quarantine,
        open_modes: bool,
        processes: int,
        watcher: Watcher,
        scope: Scope = OPERATOR,
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._queries = Queries(connection)
        self._bound: Counter[int] = Counter()
        self._limited: frozenset[int] = frozenset()
        self._asking: frozenset[int] = frozenset()
        self._ruled: frozenset[int] = frozenset()
        self._store_of_one = BindingStore(
            connection, keys, quarantine, open_modes=open_modes, scope=scope
        )
        self._store_of_one.counting = False
        self._quarantine = quarantine
        self._fixed_lines = fixed_lines
        self._ttl = ttl
        self._processes = processes
        self._watcher = watcher
        self._tenant = scope.tenant
        self._dry = False
        self._telling = False
        self._waited = False
        self._broken: CsvError | None = None
        # Those of the chunk that is worked on, by line.
        self._records: Mapping[int, Record] = {}
        self._rejected: list[tuple[Record, Sequence[Fault]]] = []
        self.tally = Tally()
        # Numbers of the bindings made here, in their order, and the lines they are from.
        self._ids = array("q")
        self._lines = array("q")

    def run(
        self,
        stream: BinaryIO,
        *,
        keep_going: bool = False,
        dry_run: bool = False,
        tell: bool = False,
        limit: int | None = None,
    ) -> Tally:
        """
        Import a file.

        Args:
            stream: The file.
            keep_going: Whether the rows that can be bound are, in batches, though others cannot.
            dry_run: Whether all is looked at and nothing is written.
            tell: Whether tenants who want such events are told of each binding.
            limit: So many rejected rows end the import.

        Returns:
            What has become of the rows. Where some are rejected and *keep_going* is not asked for,
            none is bound.

        Raises:
            CsvError: The file is not a CSV file, or its header is not ours; by *keep_going*, what
                stands before the fault is imported.
            StoreError: The database failed; likewise.
            TenantNotFound: There is no such active tenant as the one whose rows are taken.
            QuotaExceeded: A tenant may not have so many bindings; likewise, and none otherwise.
        """
        self._dry = dry_run
        self._telling = tell
        reader = CsvReader(stream, self._watcher.encoding)
        pools = self.pools()
        self._header = Header(
            reader.header, fixed_lines=self._fixed_lines, tenant=self._tenant, pools=pools
        )
        self._watcher.header(self._header.names)
        with translated(), _rotated_meanwhile():
            self._sealer = self._make_sealer(pools)
            with Workshop(self._sealer, processes=self._processes) as workshop:
                if keep_going and not dry_run:
                    for chunk, prepared in workshop.work(self._chunks(reader)):
                        with self._transaction():
                            self._store(chunk, prepared)
                        self._watcher.read(reader.bytes_read)
                        if limit is not None and self.tally.rejected >= limit:
                            break
                    if self._broken is not None:
                        raise self._broken
                else:
                    self._run_whole(reader, workshop, limit)
        return self.tally

    def pools(self) -> dict[tuple[str, str], Pool]:
        """
        The pools that rows may name, by tenant and name.
        """
        found = self._store_of_one.pools.all(limit=None)
        return {(pool.tenant, pool.name): pool for pool in found}

    def _run_whole(
        self, reader: CsvReader, workshop: Workshop[Chunk, Prepared], limit: int | None
    ) -> None:
        with self._transaction():
            if self._dry:
                self._execute("begin_rehearsal", {})
            for chunk, prepared in workshop.work(self._chunks(reader)):
                self._store(chunk, prepared)
                self._watcher.read(reader.bytes_read)
                if limit is not None and self.tally.rejected >= limit:
                    break
            if not self._dry and (self.tally.rejected or self._broken is not None):
                self.tally.bound = 0
                raise psycopg.Rollback
        if self._broken is not None:
            raise self._broken

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._connection.transaction():
            # One that began before this is not found at the end. Undone, it keeps nobody off.
            with self._connection.transaction(force_rollback=True):
                self._execute("await_withdrawals", {"tenants": sorted(self._asking)})
            if not self._dry and not self._execute("try_lock_imports", {})[0]["locked"]:
                if not self._waited:
                    self._watcher.waiting()
                    self._waited = True
                self._execute("lock_imports", {})
            if not self._dry:
                # After the imports' lock: who rotates keys takes both in this order.
                self._execute("assert_current_keys", key_ids(self._keys))
            self._execute("steer_import", {})
            self._bound.clear()
            yield
            self._check_unruled()
            # At the end: until then no other bind of these tenants waits.
            for tenant_id, count in sorted(self._bound.items()):
                if tenant_id in self._asking:
                    # Its transaction may be of an hour, so nobody waits for it.
                    self._store_of_one.rules.check_none_withdrawn(tenant_id)
                if tenant_id in self._limited:
                    take_quota(self._queries, tenant_id, count)

    def _check_unruled(self) -> None:
        """
        Make sure that no tenant has rules by now whose rows were loaded as if it had none.

        Raises:
            StoreHeld: One has: what was loaded may break them.
        """
        values = {"tenants": sorted(self._bound.keys() - self._ruled)}
        for row in self._execute("hold_unruled", values):
            raise StoreHeld(
                f"rules of tenant {row['name']!r} were set meanwhile: import the file again"
            )

    def _make_sealer(self, pools: Mapping[tuple[str, str], Pool]) -> Sealer:
        rows = self._execute("list_active_tenants", {})
        tenants = {row["name"]: row["id"] for row in rows}
        self._limited = frozenset(row["id"] for row in rows if row["limited"])
        self._asking = frozenset(row["id"] for row in rows if row["asks_consent"])
        self._ruled = frozenset(row["id"] for row in rows if row["ruled"])
        if self._tenant is not None and self._tenant not in tenants:
            raise TenantNotFound(f"there is no active tenant {self._tenant!r}")
        return Sealer(
            keys=self._keys,
            names=self._header.names,
            fixed_lines=self._fixed_lines,
            tenant=self._tenant,
            tenants=tenants,
            ruled=frozenset(row["name"] for row in rows if row["ruled"]),
            blocks={
                row["block"]: row["tenant_id"] for row in self._execute("list_all_open_blocks", {})
            },
            ttl=self._ttl,
            pools=pools,
        )

    def _chunks(self, reader: CsvReader) -> Iterator[Chunk]:
        # Where the walk through the numbers begins is nobody's to guess.
        first = random.SystemRandom().randrange(2**32)
        records = self._until_broken(reader)
        while batch := list(islice(records, _CHUNK)):
            ids, now = self._reserve(len(batch))
            if not self._dry:
                self._ids.extend(ids)
                self._lines.extend(record.line for record in batch)
            yield Chunk(records=batch, ids=ids, first=first, now=now)
            first += len(batch)

    def _until_broken(self, reader: CsvReader) -> Iterator[Record]:
        """
        The records, as far as the file is one of records; they are dealt with before it is said.
        """
        try:
            yield from reader
        except CsvError as error:
            self._broken = error

    def _reserve(self, count: int) -> tuple[Sequence[int], datetime]:
        (row,) = self._execute("reserve_ids", {"count": 0 if self._dry else count})
        return (range(count) if self._dry else row["ids"]), row["now"]

    def _store(self, chunk: Chunk, prepared: Prepared) -> None:
        """
        Bind what has become of a chunk, and tell of the rows that cannot be bound, in their order.
        """
        self._rejected.clear()
        self._bind_chunk(chunk, prepared)
        self.tally.rejected += len(self._rejected)
        for record, faults in sorted(self._rejected, key=lambda each: each[0].line):
            self._watcher.rejected(record, faults)

    def _bind_chunk(self, chunk: Chunk, prepared: Prepared) -> None:
        self._records = records = {record.line: record for record in chunk.records}
        self.tally.over += prepared.over
        for line, faults in groupby(prepared.faults, key=lambda each: each[0]):
            self._reject(records[line], [fault for _, fault in faults])
        for line in prepared.single:
            self._bind_single(records[line], chunk.now)
        batch = None if self._dry or self._telling else prepared.batch
        if batch is not None and self._load_batch(batch):
            self.tally.bound += batch.size
            self._bound.update(batch.tenants)
            return
        left = prepared.entries
        for deal in range(1, _DEALS + 1):
            left = self._load_or_reject(left)
            if not left:
                return
            left = [
                again
                for entry in left
                if (again := self._deal(entry, records[entry.line], chunk.now, deal)) is not None
            ]
        for entry in left:
            self._search(entry, records[entry.line], chunk.now)

    def _load_batch(self, batch: Batch) -> bool:
        """
        Load a whole chunk, unless anything is in the way of any of it: then nothing is done.
        """
        with suppress(*_OUTRUN), self._connection.transaction():
            if self._in_the_way(batch):
                return False
            self._copy("copy_bindings", [batch.bindings])
            self._copy("copy_routes", [batch.routes])
            return True
        return False

    def _in_the_way(self, batch: Batch) -> bool:
        orders = {"order_id": batch.order_id, "order_tag": batch.order_tag}
        places = {"x_number": batch.x_number, "caller_tag": batch.caller_tag}
        return bool(
            self._execute("find_bound", orders)
            or len(self._execute("lock_open_blocks", {"block": batch.blocks})) < len(batch.blocks)
            or self._execute("find_held", {**places, "party_quarantine": self._quarantine.party})
            or self._foreign(batch.given)
            or self._execute("find_marks", {"keys": batch.keys})
            or self._execute(
                "find_closed_numbers",
                {"x_number": batch.numbers, "number_quarantine": self._quarantine.number},
            )
        )

    def _load_or_reject(self, entries: list[Entry]) -> list[Entry]:
        """
        Load *entries*; return those for which other numbers would do.
        """
        left = []
        for entry, place, why in self._load_and_tell(entries):
            if place.x_number in entry.given if place else entry.given:
                record = self._records[entry.line]
                self._reject(record, [self._conflict(record, place, why)])
            else:
                left.append(entry)
        return left

    def _deal(self, entry: Entry, record: Record, now: datetime, deal: int) -> Entry | None:
        """
        The same row with other numbers; from half of the deals on, shared ones.
        """
        again = self._sealer.entry(
            self._row(record),
            line=entry.line,
            binding_id=entry.id,
            place=random.SystemRandom().randrange(2**32),
            now=now,
            shared=deal >= _DEALS // 2,
        )
        if isinstance(again, Fault):
            self._reject(record, [again])
            return None
        return again

    def _search(self, entry: Entry, record: Record, now: datetime) -> None:
        """
        Bind one row on numbers that are searched for: most are taken.
        """
        row = self._row(record)
        chooser = self._store_of_one.chooser
        pool = self._sealer.pool(row)
        choice = _POLICY if pool is None else pool.narrow(_POLICY)
        opening = chooser.opening(row.tenant, choice)
        try:
            for numbers in chooser.pairs(row.parties, opening, choice, row.x, row.y):
                if self._bind_on(numbers, row, entry, now):
                    return
        except NoNumberAvailable as error:
            self._reject(record, [Fault(None, str(error))])

    def _bind_single(self, record: Record, now: datetime) -> None:
        """
        Bind one row as it would be bound by itself.
        """
        row = self._row(record)
        expires_at = self._sealer.expiry(row, now)
        if isinstance(expires_at, Fault):
            self._reject(record, [expires_at])
            return
        order_id = row.order_id
        assert order_id is not None  # noqa: S101 - a row without one is a fault
        tags = order_tags(row.parties, tenant=row.tenant, order_id=order_id, keys=self._keys)
        # Not part of the tag: whoever leaves the choice does not know which one it was.
        extension = row.parties.extension
        values = {"order_id": order_id, "order_tag": tags, "extension": extension}
        if self._execute("find_bound_single", values):
            self.tally.there += 1
            return
        given = array_of_integers(each.value for each in (row.x, row.y) if each is not None)
        terms = Terms(expires_at=expires_at, order_id=order_id, tenant=row.tenant, **row.terms)
        if foreign := self._foreign(given):
            self._reject(record, [_foreign_fault(row, foreign)])
            return
        try:
            with self._connection.transaction():
                self._store_of_one.bind(row.parties, terms, x=row.x, y=row.y)
                self.tally.bound += 1
                self._bound[self._sealer.tenants[row.tenant]] += not self._dry
                if self._dry:
                    raise psycopg.Rollback
        except AgiRouterError as error:
            # Somebody may have come to the number meanwhile.
            if foreign := self._foreign(given):
                self._reject(record, [_foreign_fault(row, foreign)])
            else:
                self._reject(record, [Fault(None, str(error))])

    def _note_bound(self, entries: Sequence[Entry]) -> None:
        self.tally.bound += len(entries)
        if not self._dry:
            self._bound.update(entry.tenant_id for entry in entries)

    def _bind_on(
        self, numbers: tuple[XNumber, XNumber], row: BindRequest, entry: Entry, now: datetime
    ) -> bool:
        again = self._sealer.on(
            row,
            numbers,
            line=entry.line,
            binding_id=entry.id,
            tenant_id=entry.tenant_id,
            now=now,
        )
        if isinstance(again, Fault):
            return False
        return not self._load_and_tell([again])

    def _load_and_tell(self, entries: Sequence[Entry]) -> list[tuple[Entry, Place | None, str]]:
        """
        Load *entries*; reject those that are locked, and return those that cannot be had so.
        """
        loaded = self._load(entries)
        self._note_bound(loaded.bound)
        self.tally.there += loaded.there
        for entry, why in loaded.locked:
            self._reject(self._records[entry.line], [Fault(None, why)])
        return loaded.refused

    def _load(self, entries: Sequence[Entry]) -> _Loaded:
        """
        Load a set of entries, as far as they can be.
        """
        for _ in range(_TRIES):
            try:
                with self._connection.transaction():
                    return self._rehearse(entries) if self._dry else self._load_once(entries)
            except _OUTRUN:
                # Somebody else took a place between looking and loading: look again.
                continue
        if len(entries) == 1:
            raise StoreError("others bind the same parties all the time; try again later")
        # The fewer are loaded at once, the shorter is the time between.
        half = len(entries) // 2
        one, other = self._load(entries[:half]), self._load(entries[half:])
        return _Loaded(
            bound=one.bound + other.bound,
            there=one.there + other.there,
            refused=one.refused + other.refused,
            locked=one.locked + other.locked,
        )

    def _load_once(self, entries: Sequence[Entry]) -> _Loaded:
        fresh = self._without_bound(entries)
        there = len(entries) - len(fresh)
        fresh, locked, on_locked = self._without_locked(fresh)
        blocks = sorted({entry.block for entry in fresh})
        taking = {row["block"] for row in self._execute("lock_open_blocks", {"block": blocks})}
        bound, refused, ended = self._without_held(fresh, taking)
        for block, places in groupby(sorted(ended), key=_block):
            own = list(places)
            # One that has come to life again under an older key would not be seen by COPY.
            self._execute(
                "evict_ended_routes",
                {
                    "block": block,
                    "x_number": array_of_integers(place.x_number for place in own),
                    "caller_tag": array_of_integers(place.caller_tag for place in own),
                },
            )
        if bound:
            self._copy("copy_bindings", [entry.binding for entry in bound])
            self._copy("copy_routes", [entry.routes for entry in bound])
            if self._telling:
                ids = {
                    "block": array_of_integers(entry.block for entry in bound),
                    "id": array_of_integers(entry.id for entry in bound),
                }
                self._execute("tell_bound", ids)
        return _Loaded(bound=bound, there=there, refused=refused + on_locked, locked=locked)

    def _without_bound(self, entries: Sequence[Entry]) -> list[Entry]:
        """
        Those of *entries* that were not bound before; the first of those that say the same.
        """
        pairs = [(i, entry, tag) for i, entry in enumerate(entries) for tag in entry.order_tags]
        found = self._execute(
            "find_bound",
            {
                "order_id": array_of_texts(entry.order_id for _, entry, _ in pairs),
                "order_tag": array_of_integers(tag for _, _, tag in pairs),
            },
        )
        bound = {pairs[row["place"] - 1][0] for row in found}
        fresh = {
            entry.order_tags[0]: entry
            for i, entry in reversed(list(enumerate(entries)))
            if i not in bound
        }
        return sorted(fresh.values(), key=lambda entry: entry.line)

    def _without_locked(
        self, entries: Sequence[Entry]
    ) -> tuple[list[Entry], list[tuple[Entry, str]], list[tuple[Entry, Place | None, str]]]:
        """
        Part *entries*: no lock is in force; one on a party or the tenant; one on a number.
        """
        keys = set().union(*(entry.keys for entry in entries))
        marks: dict[int, list[dict[str, Any]]] = {}
        for mark in self._execute("find_marks", {"keys": array_of_integers(keys)}):
            marks.setdefault(mark["key"], []).append(mark)
        free: list[Entry] = []
        locked: list[tuple[Entry, str]] = []
        on_locked: list[tuple[Entry, Place | None, str]] = []
        for entry in entries:
            found = [
                read_effect(mark, self._keys)
                for key in entry.keys & marks.keys()
                for mark in marks[key]
                if mark["tenant_id"] in {None, entry.tenant_id}
            ]
            effect = self._strongest(entry, found) if found else None
            if effect is None:
                free.append(entry)
            elif effect.subject is Subject.NUMBER:
                place = next(each for each in entry.places if each.x_number == effect.key)
                why = f"cannot be on {place.x_number}: it is locked"
                on_locked.append((entry, place, f"{why} ({effect.reason}, lock {effect.id})"))
            else:
                row = self._row(self._records[entry.line])
                locked.append(
                    (entry, str(refusal(effect, row.tenant, whole=self._tenant is None)))
                )
        return free, locked, on_locked

    def _strongest(self, entry: Entry, found: Sequence[Effect]) -> Effect | None:
        """
        Of some locks the one that keeps *entry* from being bound.
        """
        row = self._row(self._records[entry.line])
        numbers = {place.x_number for place in entry.places}
        return find_strongest(
            each
            for each in found
            if holds_for(
                each,
                numbers=numbers,
                block=entry.block,
                tenant=entry.tenant_id,
                people=row.parties.people,
            )
        )

    def _without_held(
        self, entries: Sequence[Entry], taking: set[int]
    ) -> tuple[list[Entry], list[tuple[Entry, Place | None, str]], list[Place]]:
        """
        Which of *entries* can be loaded, which cannot and why, and which places are to be cleared.

        Args:
            entries: The entries.
            taking: The blocks that take new bindings.
        """
        places = [place for entry in entries for place in entry.places]
        # Where the parties may be, under every key, and the place that each is to have.
        found = [(place, place) for place in places]
        found += [pair for entry in entries for pair in entry.older]
        rows = self._execute(
            "find_held",
            {
                "x_number": array_of_integers(place.x_number for place, _ in found),
                "caller_tag": array_of_integers(place.caller_tag for place, _ in found),
                "party_quarantine": self._quarantine.party,
            },
        )
        held = [(*found[row["place"] - 1], row) for row in rows]
        closed = {
            row["x_number"]: row["until"]
            for row in self._execute(
                "find_closed_numbers",
                {
                    "x_number": array_of_integers({place.x_number for place in places}),
                    "number_quarantine": self._quarantine.number,
                },
            )
        }
        kept = {
            **{
                place: _why_closed(place, closed[place.x_number])
                for place in places
                if place.x_number in closed
            },
            **{
                place: f"is on {place.x_number} already, by"
                f" {self._holder(place, row['binding_id'])}"
                if row["lives"]
                else f"was on {place.x_number} by another binding and may not be again before"
                f" {row['until'].isoformat(timespec='seconds')}"
                for _, place, row in held
                if row["lives"] or row["until"] is not None
            },
        }
        # After the others: who is found by them is found by this as well.
        foreign = self._foreign(
            array_of_integers({number for entry in entries for number in entry.given})
        )
        kept |= {
            place: FOREIGN
            for entry in entries
            for place in entry.places
            if place.x_number in foreign and place.x_number in entry.given
        }
        bound, refused = _first_come(entries, kept, taking)
        wanted = {place for entry in bound for place in entry.places}
        return bound, refused, [there for there, place, _ in held if place in wanted]

    def _rehearse(self, entries: Sequence[Entry]) -> _Loaded:
        """
        What :meth:`_load_once` would do, remembered instead of done.
        """
        fresh = self._without_bound(entries)
        again = self._find_rehearsed([(entry.order_tags[0], 0) for entry in fresh])
        fresh = [entry for i, entry in enumerate(fresh) if i not in again]
        there = len(entries) - len(fresh)
        fresh, locked, on_locked = self._without_locked(fresh)
        bound, refused, _ = self._without_held(fresh, {entry.block for entry in fresh})
        places = [place for entry in bound for place in entry.places]
        lines = self._find_rehearsed([(place.caller_tag, place.x_number) for place in places])
        kept = {
            places[i]: f"is on {places[i].x_number} already, by line {line}"
            for i, line in lines.items()
        }
        bound, taken = _first_come(bound, kept, {entry.block for entry in bound})
        rows = [
            (tag, x_number, entry.line)
            for entry in bound
            for tag, x_number in [
                (entry.order_tags[0], 0),
                *((place.caller_tag, place.x_number) for place in entry.places),
            ]
        ]
        self._execute(
            "rehearse",
            {
                name: array_of_integers(row[i] for row in rows)
                for i, name in enumerate(("tag", "x_number", "line"))
            },
        )
        return _Loaded(
            bound=bound, there=there, refused=[*refused, *taken, *on_locked], locked=locked
        )

    def _find_rehearsed(self, wanted: Sequence[tuple[int, int]]) -> dict[int, int]:
        """
        The lines that have taken some of these tags and numbers before, by their place.
        """
        rows = self._execute(
            "find_rehearsed",
            {
                "tag": array_of_integers(tag for tag, _ in wanted),
                "x_number": array_of_integers(x_number for _, x_number in wanted),
            },
        )
        return {row["place"] - 1: row["line"] for row in rows}

    def _foreign(self, numbers: str) -> set[int]:
        """
        Those of these numbers on which other tenants' bindings are, for an import of one tenant.

        Args:
            numbers: An array as text.
        """
        if self._tenant is None:
            return set()
        values = {"x_number": numbers, "tenant": self._tenant, "memory": self._quarantine.memory}
        return {row["x_number"] for row in self._execute("find_foreign_numbers", values)}

    def _holder(self, place: Place, binding_id: int) -> str:
        """
        Who holds a place, for people.
        """
        i = bisect_left(self._ids, binding_id)
        if i < len(self._ids) and self._ids[i] == binding_id:
            return f"line {self._lines[i]}"
        return f"binding {BindingId(Block(value=_block(place)), binding_id)}"

    def _conflict(self, record: Record, place: Place | None, why: str) -> Fault:
        """
        Why a row cannot have the number it gives.
        """
        row = self._row(record)
        if place is None:
            return Fault("y" if row.x is None else "x", why)
        x_number = XNumber.from_int(place.x_number)
        if why == FOREIGN:
            return _foreign_fault(row, {x_number.value})
        parties = (*row.parties.side_a, *row.parties.side_b)
        who = next((each for each in parties if self._keys.tag(each) == place.caller_tag), None)
        return Fault(
            "x" if x_number == row.x else "y",
            f"{who or 'anyone'} {why}",
        )

    def _row(self, record: Record) -> BindRequest:
        row = self._header.read(record.cells)
        assert isinstance(row, BindRequest)  # noqa: S101 - an entry was made of it
        return row

    def _reject(self, record: Record, faults: Sequence[Fault]) -> None:
        self._rejected.append((record, faults))

    def _copy(self, name: str, rows: Sequence[bytes]) -> None:
        with self._connection.cursor().copy(copy_statement(name)) as copy:
            copy.write(pack_file(rows))

    def _execute(self, name: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        cursor = self._connection.execute(query(name), values, prepare=False)
        return cursor.fetchall() if cursor.description is not None else []


@contextmanager
def _rotated_meanwhile() -> Iterator[None]:
    try:
        yield
    except psycopg.DatabaseError as error:
        if error.sqlstate != KEYS_OUTDATED:
            raise
        raise KeysOutdated(
            "the keys were rotated meanwhile; import the file again: what is bound is recognised"
        ) from None


def _foreign_fault(row: BindRequest, foreign: set[int]) -> Fault:
    on_x = row.x is not None and row.x.value in foreign
    return Fault("x" if on_x else "y", FOREIGN)


def _block(place: Place) -> int:
    return place.x_number // BLOCK_SIZE


def _why_closed(place: Place, until: datetime | None) -> str:
    if until is None:
        return (
            f"cannot be on {place.x_number}: a binding that strangers may call has it for itself"
        )
    return (
        f"cannot be on {place.x_number} before {until.isoformat(timespec='seconds')}: a binding on"
        " it has just ended"
    )


def _first_come(
    entries: Sequence[Entry], kept: dict[Place, str], taking: set[int]
) -> tuple[list[Entry], list[tuple[Entry, Place | None, str]]]:
    """
    Which of *entries* can have their places, and which cannot and why.

    Args:
        entries: The entries, in the order of the file; but who gives a number comes first.
        kept: Places that cannot be had, and why: what the party there does.
        taking: The blocks that take new bindings.
    """
    places = [place for entry in entries for place in entry.places]
    if (
        not kept
        and len(set(places)) == len(places)
        and taking.issuperset({entry.block for entry in entries})
    ):
        return list(entries), []
    kept = dict(kept)
    can: list[Entry] = []
    cannot: list[tuple[Entry, Place | None, str]] = []
    for entry in sorted(entries, key=lambda entry: not entry.given):
        taken = next((place for place in entry.places if place in kept), None)
        if entry.block not in taking:
            cannot.append((entry, None, f"block {entry.block} takes no new bindings"))
        elif taken is not None:
            cannot.append((entry, taken, kept[taken]))
        else:
            for place in entry.places:
                kept[place] = f"is on {place.x_number} already, by line {entry.line}"
            can.append(entry)
    return can, cannot

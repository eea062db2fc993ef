"""
Sealing in bulk: rows of a file are read, given numbers, tagged, sealed and packed, on all cores.

The workshop takes other crafts that need keys, too: feeds open what is sealed in it.

1. Workers are processes that are started afresh, not forked: they inherit no connection. Keys
   reach them through a pipe, never by a command line or a file.
2. A worker ends when its parent does, however that ended.
3. Not the pool of the standard library: Python 3.11's may wait for ever for a worker that died.
4. A worker has seen no database: what it says of blocks is as they were when the import began. The
   loader asks again, and the keys of the database decide.
"""

import contextlib
import multiprocessing
import os
import pickle
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from itertools import chain, islice
from multiprocessing.connection import Connection
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, Self, TypeVar

from agi_router.bindings.expiry import find_expiry
from agi_router.bindings.modes import compile_routes
from agi_router.bindings.parties import mode_columns
from agi_router.bindings.pools import Pool
from agi_router.bindings.requests import BindRequest, Fault
from agi_router.bindings.routes import RouteRow
from agi_router.bindings.rows import order_tags
from agi_router.bindings.sealed_routes import find_back, seal_routes, tags_of_caller
from agi_router.bulk.columns import Header
from agi_router.bulk.copy_rows import BINDING, ROUTE, pack_array, to_microseconds
from agi_router.bulk.csv_file import Record
from agi_router.db.arrays import array_of_integers, array_of_texts
from agi_router.errors import BlockNotFound, ExpiryInvalid, ModeError, StoreError
from agi_router.keys.ring import Cipher, KeyRing
from agi_router.number_ranges import RangesInForce
from agi_router.numbers import BLOCK_SIZE, Block, XNumber, judge_by, judged_by

__all__ = [
    "Batch",
    "Chunk",
    "Craft",
    "Entry",
    "Made",
    "Place",
    "Prepared",
    "Sealer",
    "Workshop",
    "cores",
]

# Coprime with the size of a block, and far from a small part of it: neighbours in the file lie far
# apart in the block, and all numbers come once before one comes twice.
_STRIDE = 6_181
_APART = BLOCK_SIZE // 2


class Place(NamedTuple):
    """
    One caller on one number: where no two bindings may be.
    """

    x_number: int
    caller_tag: int


class Entry(NamedTuple):
    """
    One binding, ready to be loaded.

    Attributes:
        line: The line of the file it is from.
        id: Its number.
        block: Its block.
        tenant_id: Its tenant.
        given: Its numbers that the file gives; others would do as well.
        order_id: The order behind it.
        order_tags: By which it is recognised, the current key's first.
        places: The places its routes take.
        older: Where their callers may be found by the tags of older keys: the place there, and
            the one in *places*.
        binding: Its row, packed.
        routes: The rows of its routes, packed.
    """

    line: int
    id: int
    block: int
    tenant_id: int
    given: tuple[int, ...]
    order_id: str
    order_tags: tuple[int, ...]
    places: tuple[Place, ...]
    older: tuple[tuple[Place, Place], ...]
    binding: bytes
    routes: bytes

    @property
    def keys(self) -> set[int]:
        """
        What a lock on its tenant, its numbers or its parties is found by; in bulk, all may call.
        """
        return {self.tenant_id, *(each for place in self.places for each in place)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """
    Some rows of a file, to be worked on together.

    Attributes:
        records: The rows.
        ids: Numbers for the bindings, one for each row.
        first: How many rows of the file come before.
        now: The database's clock.
    """

    records: Sequence[Record]
    ids: Sequence[int]
    first: int
    now: datetime


class Batch(NamedTuple):
    """
    The entries of a chunk as one, for statements that take them all: arrays as text, and rows.

    Attributes:
        size: How many.
        tenants: Of which tenant how many.
        blocks: Their blocks, each once, in order.
        numbers: The numbers they are on, each once.
        given: Those of them that the file gives.
        order_id: Their orders.
        order_tag: By which they are recognised.
        x_number: The numbers of their places.
        caller_tag: The tags of their places.
        keys: What a lock on any of them is found by.
        bindings: Their rows, packed.
        routes: The rows of their routes, packed.
    """

    size: int
    tenants: Mapping[int, int]
    blocks: list[int]
    numbers: str
    given: str
    order_id: str
    order_tag: str
    x_number: str
    caller_tag: str
    keys: str
    bindings: bytes
    routes: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """
    What has become of a chunk.

    Attributes:
        batch: The bindings to load, all at once; :obj:`None` where some are in each other's way,
            or could be found by the tags of older keys.
        faults: Line and fault of the rows that cannot be bound.
        over: How many rows say that they are over.
        single: The lines of rows that are bound one by one.
    """

    batch: Batch | None
    faults: list[tuple[int, Fault]]
    over: int
    single: list[int]
    # Packed by a worker, and unpacked only where they are needed.
    kept: list[Entry] | bytes

    @property
    def entries(self) -> list[Entry]:
        """
        The bindings to load, one by one.
        """
        if isinstance(self.kept, bytes):
            return pickle.loads(self.kept)  # type: ignore[no-any-return]  # noqa: S301 - our own
        return self.kept

    def packed(self) -> Self:
        """
        The same, to be sent to another process.
        """
        return replace(self, kept=pickle.dumps(self.entries, pickle.HIGHEST_PROTOCOL))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealer:
    """
    Makes entries of rows.

    Attributes:
        keys: To tag and seal with.
        names: The header.
        fixed_lines: Whether fixed lines may be parties.
        tenant: Whose rows alone are taken; :obj:`None` for anybody's.
        tenants: Ids of the active tenants, by name.
        blocks: The blocks of ours that take new bindings, and the tenants they are kept for.
        ttl: Life of a binding, where a row says nothing.
        pools: The pools that rows may name, by tenant and name.
        ruled: The tenants with rules of their own: their rows are bound one by one. All rows name
            an order anyhow.
    """

    keys: KeyRing
    names: tuple[str, ...]
    fixed_lines: bool
    tenant: str | None
    tenants: Mapping[str, int]
    blocks: Mapping[int, int | None]
    ttl: timedelta
    pools: Mapping[tuple[str, str], Pool] = field(default_factory=dict)
    ruled: frozenset[str] = frozenset()
    # By tenant and pool, as they are asked for: its own, and those shared by all.
    _open_blocks: dict[tuple[int, str | None], tuple[list[int], list[int]]] = field(
        default_factory=dict, init=False, compare=False
    )

    def prepare(self, chunk: Chunk) -> Prepared:
        """
        Work on a chunk.
        """
        header = Header(
            self.names, fixed_lines=self.fixed_lines, tenant=self.tenant, pools=self.pools
        )
        entries: list[Entry] = []
        faults: list[tuple[int, Fault]] = []
        over = 0
        single: list[int] = []
        for number, (record, binding_id) in enumerate(
            zip(chunk.records, chunk.ids, strict=True), start=chunk.first
        ):
            row = header.read(record.cells)
            if row is None:
                over += 1
            elif isinstance(row, list):
                faults += ((record.line, fault) for fault in row)
            elif not row.parties.in_bulk or row.tenant in self.ruled:
                single.append(record.line)
            else:
                entry = self.entry(
                    row, line=record.line, binding_id=binding_id, place=number, now=chunk.now
                )
                if isinstance(entry, Fault):
                    faults.append((record.line, entry))
                else:
                    entries.append(entry)
        return Prepared(
            batch=_as_batch(entries) if len(self.keys.tag_keys) == 1 else None,
            faults=faults,
            over=over,
            single=single,
            kept=entries,
        )

    def entry(
        self,
        row: BindRequest,
        *,
        line: int,
        binding_id: int,
        place: int,
        now: datetime,
        shared: bool = False,
    ) -> Entry | Fault:
        """
        Make an entry of a row, or say why it cannot be bound.

        Args:
            row: The row.
            line: Its line.
            binding_id: The number that its binding gets.
            place: Its place in the walk through the numbers, if some are to be chosen.
            now: The database's clock.
            shared: Whether numbers of the tenant's own blocks were tried in vain.
        """
        tenant_id = self.tenants.get(row.tenant)
        if tenant_id is None:
            return Fault("tenant", "there is no active tenant of this name")
        numbers = self._numbers(row, tenant_id, place, shared=shared)
        if isinstance(numbers, Fault):
            return numbers
        return self.on(
            row, numbers, line=line, binding_id=binding_id, tenant_id=tenant_id, now=now
        )

    def on(
        self,
        row: BindRequest,
        numbers: tuple[XNumber, XNumber],
        *,
        line: int,
        binding_id: int,
        tenant_id: int,
        now: datetime,
    ) -> Entry | Fault:
        """
        Make an entry of a row and its numbers: A's and B's.
        """
        parties, order_id = row.parties, row.order_id
        assert order_id is not None  # noqa: S101 - a row without one is a fault
        expires_at = self.expiry(row, now)
        if isinstance(expires_at, Fault):
            return expires_at
        try:
            rows = compile_routes(parties, *numbers)
        except ModeError as error:
            return Fault(None, str(error))
        back = find_back(parties.sealed_for, rows, self.keys, binding_id=binding_id)
        routes = seal_routes(rows, self.keys, binding_id=binding_id, back=back)
        block = numbers[0].block.value
        ends_at = to_microseconds(expires_at)
        tags = order_tags(parties, tenant=row.tenant, order_id=order_id, keys=self.keys)
        shared = {
            "tenant_id": tenant_id,
            **mode_columns(parties, numbers[0]),
            **row.terms,
        }
        return Entry(
            line=line,
            id=binding_id,
            block=block,
            tenant_id=tenant_id,
            given=tuple([number.value for number in (row.x, row.y) if number is not None]),
            order_id=order_id,
            order_tags=tuple(tags),
            places=tuple([Place(route.x_number, route.caller_tag) for route in routes]),
            older=self._older(rows),
            binding=BINDING.pack(
                (block, binding_id, tags[0], ends_at),
                (order_id.encode(),),
                tuple([shared[name] for name in BINDING.shared]),
            ),
            routes=b"".join(
                [
                    ROUTE.pack(
                        (block, binding_id, x_number, tag, shown, ends_at),
                        (callee, None if callee_tags is None else pack_array(callee_tags), caller),
                        (side,),
                    )
                    # In one order for all: else two who bind the same parties could deadlock.
                    for x_number, tag, shown, side, callee, callee_tags, caller in sorted(routes)
                ]
            ),
        )

    def _older(self, rows: Sequence[RouteRow]) -> tuple[tuple[Place, Place], ...]:
        """
        Where the callers of *rows* may be found by the tags of older keys; see :class:`Entry`.
        """
        if len(self.keys.tag_keys) == 1:
            return ()
        return tuple(
            (Place(route.x_number.value, tag), Place(route.x_number.value, tags[0]))
            for route in rows
            for tags in (tags_of_caller(route, self.keys),)
            for tag in tags[1:]
        )

    def expiry(self, row: BindRequest, now: datetime) -> datetime | Fault:
        """
        When the binding of a row ends, or why it may not.
        """
        try:
            return find_expiry(now, ttl=row.ttl, expires_at=row.expires_at, default=self.ttl)
        except ExpiryInvalid as error:
            return Fault("ttl" if row.expires_at is None else "expires", str(error))

    def _numbers(
        self, row: BindRequest, tenant_id: int, place: int, *, shared: bool
    ) -> tuple[XNumber, XNumber] | Fault:
        """
        The numbers of A and of B, dealt out where they are not given.
        """
        given = row.x or row.y
        pool = self.pool(row)
        if given is not None:
            if pool is not None:
                try:
                    pool.check_numbers((row.x, row.y))
                except BlockNotFound as error:
                    return Fault("y" if row.x is None else "x", str(error))
            if not self._open(given.block.value, tenant_id):
                return Fault(
                    "y" if row.x is None else "x",
                    f"block {given.block} is not ours, or takes no new bindings of this tenant",
                )
            block = given.block
        else:
            own, others = self._blocks_of(tenant_id, pool)
            blocks = others or own if shared else own or others
            if not blocks:
                return Fault(None, "no block is open for new bindings of this tenant")
            block, place = Block(value=blocks[place % len(blocks)]), place // len(blocks)
        serial = place * _STRIDE % BLOCK_SIZE
        if row.parties.numbers == 1:
            one = row.x or block.number(serial)
            return one, one
        x_number = row.x or block.number(serial)
        y_number = row.y or block.number((serial + _APART) % BLOCK_SIZE)
        if x_number == y_number and (row.x is None or row.y is None):
            other = block.number((x_number.serial + 1) % BLOCK_SIZE)
            return (x_number, other) if row.y is None else (other, y_number)
        return x_number, y_number

    def pool(self, row: BindRequest) -> Pool | None:
        """
        The pool that a row names.
        """
        name: str | None = row.terms["pool"]
        return None if name is None else self.pools[row.tenant, name]

    def _blocks_of(self, tenant_id: int, pool: Pool | None) -> tuple[list[int], list[int]]:
        whose = tenant_id, None if pool is None else pool.name
        if whose not in self._open_blocks:
            blocks = {
                block: owner
                for block, owner in self.blocks.items()
                if pool is None or pool.takes(Block(value=block))
            }
            own = [block for block, owner in blocks.items() if owner == tenant_id]
            others = [block for block, owner in blocks.items() if owner is None]
            self._open_blocks[whose] = own, others
        return self._open_blocks[whose]

    def _open(self, block: int, tenant_id: int) -> bool:
        return self.blocks.get(block, -1) in {None, tenant_id}


def _as_batch(entries: Sequence[Entry]) -> Batch | None:
    """
    *entries* as one, unless some of them say the same or want the same place.
    """
    places = [place for entry in entries for place in entry.places]
    tags = [entry.order_tags[0] for entry in entries]
    if not entries or len(set(tags)) < len(tags) or len(set(places)) < len(places):
        return None
    return Batch(
        size=len(entries),
        tenants=Counter(entry.tenant_id for entry in entries),
        blocks=sorted({entry.block for entry in entries}),
        numbers=array_of_integers({place.x_number for place in places}),
        given=array_of_integers({number for entry in entries for number in entry.given}),
        order_id=array_of_texts(entry.order_id for entry in entries),
        order_tag=array_of_integers(tags),
        x_number=array_of_integers(place.x_number for place in places),
        caller_tag=array_of_integers(place.caller_tag for place in places),
        keys=array_of_integers(set().union(*(entry.keys for entry in entries))),
        bindings=b"".join([entry.binding for entry in entries]),
        routes=b"".join([entry.routes for entry in entries]),
    )


def cores() -> int:
    """
    How many cores this process may use.
    """
    return len(os.sched_getaffinity(0))


class Made(Protocol):
    """
    What a craft makes of a piece of work.
    """

    def packed(self) -> Self:
        """
        The same, to be sent to another process.
        """


_Given = TypeVar("_Given")
_Given_contra = TypeVar("_Given_contra", contravariant=True)
_Made = TypeVar("_Made", bound=Made)
_Made_co = TypeVar("_Made_co", bound=Made, covariant=True)


class Craft(Protocol[_Given_contra, _Made_co]):
    """
    What a worker does: a dataclass.

    Its ``keys`` reach a worker as text, and its other fields as they are.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def keys(self) -> KeyRing:
        """
        To tag, seal and open with.
        """

    def prepare(self, chunk: _Given_contra, /) -> _Made_co:
        """
        Work on a piece.
        """


class Workshop(Generic[_Given, _Made]):
    """
    Works on chunks, several at once, and gives them back in their order.

    Args:
        craft: What is done with a chunk.
        processes: How many workers; with one, or with a single chunk, the work is done here.
    """

    def __init__(self, craft: Craft[_Given, _Made], *, processes: int) -> None:
        self._craft = craft
        self._processes = processes
        self._workers: list[_Worker[_Given, _Made]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()

    def work(self, chunks: Iterator[_Given]) -> Iterator[tuple[_Given, _Made]]:
        """
        Work on *chunks*; no more of them are read than there are workers, and one.

        Raises:
            StoreError: A worker has died.
        """
        head = list(islice(chunks, 2))
        whole = chain(head, chunks)
        if self._processes == 1 or len(head) < 2:  # noqa: PLR2004
            for chunk in whole:
                yield chunk, self._craft.prepare(chunk)
            return
        self._workers = [_Worker(self._craft) for _ in range(self._processes)]
        # A worker has one chunk at a time: its answer is taken before it is given the next. So
        # neither waits for the other to read, and the answers come in the order of the chunks.
        waiting: deque[tuple[_Given, _Worker[_Given, _Made]]] = deque()
        try:
            for worker, chunk in zip(self._workers, whole, strict=False):
                worker.pipe.send(chunk)
                waiting.append((chunk, worker))
            while waiting:
                done, worker = waiting.popleft()
                prepared = worker.pipe.recv()
                chunk_next = next(whole, None)
                if chunk_next is not None:
                    worker.pipe.send(chunk_next)
                    waiting.append((chunk_next, worker))
                yield done, prepared
        except (EOFError, OSError):
            raise StoreError("a worker process has died") from None


class _Worker(Generic[_Given, _Made]):
    """
    A process that does a craft.
    """

    def __init__(self, craft: Craft[_Given, _Made]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe: Connection[_Given, _Made]
        self.pipe, theirs = context.Pipe()
        # A ring does not travel as it is: its ciphers hold what is not Python's.
        plain = {
            each.name: getattr(craft, each.name)
            for each in fields(craft)
            if each.init and each.name != "keys"
        }
        self._process = context.Process(
            target=_serve,
            args=(
                theirs,
                type(craft),
                (craft.keys.to_text(), craft.keys.cipher),
                plain,
                judged_by(),
            ),
            daemon=True,
        )
        self._process.start()
        # Else it would not be noticed that the worker is gone.
        theirs.close()

    def stop(self) -> None:
        """
        End the process, whatever it does.
        """
        self.pipe.close()
        self._process.terminate()
        self._process.join()


def _serve(
    pipe: "Connection[Any, Any]",
    craft: Callable[..., Craft[Any, Made]],
    keys: tuple[str, Cipher],
    plain: dict[str, Any],
    ranges: RangesInForce,
) -> None:
    """
    Work as a worker, until the parent is gone.
    """
    judge_by(ranges)
    # Ctrl-C reaches the whole group; the parent ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker = craft(keys=KeyRing.parse(keys[0], cipher=keys[1]), **plain)
    with contextlib.suppress(EOFError, OSError):
        while True:
            pipe.send(worker.prepare(pipe.recv()).packed())

"""
Admission and settling: the router's few statements.

A statement whose reply was lost is asked again, by the pool or by whoever gave up: admitting and
settling are idempotent by call id.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

import psycopg

from agi_router.bindings.routes import SEALED_UNTIL_CALL, compile_child
from agi_router.bindings.sealed_routes import find_back, seal_routes
from agi_router.bindings.words import Callback, Side
from agi_router.calls.arrival import Call
from agi_router.calls.check import Checked, Question, TenantService
from agi_router.calls.days import check_days
from agi_router.calls.decision import AllocationNeeded, Route
from agi_router.calls.end import Answer, End, call_day
from agi_router.calls.ports import Admission
from agi_router.calls.rows import caller_tags, read_admission, read_service
from agi_router.db.connection import KEYS_OUTDATED
from agi_router.db.fast_connection import LOCK_WAIT, FastConnection
from agi_router.db.pool import ConnectionPool, SharedWork
from agi_router.db.prepared import Value
from agi_router.db.queries import query
from agi_router.db.session import check_backend
from agi_router.errors import (
    NodeTaken,
    NumberError,
    ProtocolError,
    RowRefused,
    StoreError,
    StoreHeld,
)
from agi_router.inventory.capacity import Quarantine
from agi_router.keys.registry import key_ids, using_current
from agi_router.keys.ring import KeyRing, Purpose, Row
from agi_router.numbers import BLOCK_SIZE, XNumber

__all__ = [
    "AdmissionStore",
    "BindingCount",
    "Broken",
    "NumberCount",
    "Statistics",
    "Unsettled",
    "Untold",
    "calls_of",
]

log = logging.getLogger(__name__)

_SETTLE_BATCH = 500
# Milliseconds for which the binding of a single call is waited for: nobody waits for what that
# holds; and all bindings of the calls that are settled at once together.
_WAIT_FOR_ONE = 200
_SETTLE_WAIT = 1000
# What is counted at once takes the database some milliseconds.
_COUNTED_BINDINGS = 20_000
_COUNTED_NUMBERS = 1_000
_CANDIDATES = 64
_RESERVED_PAGE = 10_000
_QUARANTINE = Quarantine()

_Count = TypeVar("_Count")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """
    The state of the service, as the database has it.
    """

    open_calls: int
    """Calls that are reserved and not settled, of all nodes."""
    blocks: Mapping[str, int]
    """Managed blocks, by state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingCount:
    """
    How many of some bindings are alive.
    """

    block: int
    id: int
    """The last of them, with its block."""
    alive: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberCount:
    """
    What some numbers of an active block do.
    """

    last: int
    """The last of them."""
    numbers: int
    """How many these are."""
    bound: int
    resting: int
    """Not bound, and kept from new bindings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """
    The end of a call by which the database would have to write what it refuses.
    """

    end: End
    binding: str | None
    """The binding it used, whose row is at fault most likely; :obj:`None` if none is known."""
    why: str
    """What the database says, without values."""


@dataclass(slots=True)
class Unsettled:
    """
    Ends of calls that could not be settled.
    """

    held: list[End] = field(default_factory=list)
    """Somebody holds their bindings: tell them again, later."""
    refused: list[End] = field(default_factory=list)
    """No call may have their day: telling them again is of no use."""
    broken: list[Broken] = field(default_factory=list)
    """The database refuses them, whatever else is settled: somebody has to look at the row."""
    waited: int = 0
    """Milliseconds for which bindings were waited for in vain."""


@dataclass(slots=True)
class Untold:
    """
    Answers of callees that could not be told while their calls go on; their ends will tell.
    """

    held: list[Answer] = field(default_factory=list)
    """Somebody holds their bindings: tell them again, later."""
    refused: list[Answer] = field(default_factory=list)
    """The database refuses them: somebody has to look at the row."""
    waited: int = 0
    """Milliseconds for which bindings were waited for in vain."""


def calls_of(node: str) -> tuple[str, str]:
    """
    Between which texts the ids of calls of an Asterisk lie, and perhaps some others.

    Args:
        node: Its ``systemname``; may be empty.
    """
    # Before Asterisk's own part, digits, the id has the name and a dash, or nothing.
    return (f"{node}-", f"{node}.") if node else ("0", ":")


class AdmissionStore:
    """
    Where calls are admitted and settled.

    ``async with`` connects, and keeps connected.

    Args:
        dsn: libpq connection string; :obj:`None` leaves it to the ``PG…`` variables.
        keys: To find callers and to open callees.
        connections: How many connections, and workers.
        quarantine: How long numbers are kept from new bindings; where one is made on a call.
        open_modes: Whether strangers get through where a binding says so.
    """

    def __init__(
        self,
        dsn: str | None,
        keys: KeyRing,
        *,
        connections: int,
        quarantine: Quarantine = _QUARANTINE,
        open_modes: bool = False,
    ) -> None:
        self._keys = keys
        self._quarantine = quarantine
        self._open_modes = open_modes
        self.pool = ConnectionPool(dsn or "", size=connections, name=_name(keys))
        self.node: str | None = None
        """The ``systemname`` of the Asterisk that is served, once it was seen."""
        self.cuts = asyncio.Event()
        """Set when a lock that cuts calls has begun; whoever cuts them clears it."""
        self.heard_ago: float | None = None
        """
        Seconds since the global database was last heard of, as of the last :meth:`check`.

        :obj:`None`: there is none, this database is alone.
        """

    @property
    def keys(self) -> KeyRing:
        """
        Those of this moment.
        """
        return self._keys

    @property
    def open_modes(self) -> bool:
        """
        Whether strangers get through where a binding says so.
        """
        return self._open_modes

    async def __aenter__(self) -> Self:
        """
        Start to connect.
        """
        await self.pool.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """
        Close the connections.
        """
        await self.pool.__aexit__(kind, error, trace)

    async def use(self, keys: KeyRing) -> None:
        """
        Find and open with these keys from now on, and say so to whoever rotates them.

        When a connection bears the new name, no statement with the tags of before is under way on
        it: it does one thing at a time.
        """
        self._keys = keys
        await self.pool.rename(_name(keys))

    async def admit(self, call: Call, call_id: str, *, timeout: float) -> Admission:  # noqa: ASYNC109
        """
        Take one use for *call* if every guard holds: :class:`agi_router.calls.ports.Admissions`.
        """
        x_number = call.x_number
        keys = self._keys
        statement = "admit" if call.typed is None else "admit_person"

        def values() -> dict[str, Value]:
            # With the keys of this moment, however long it waited.
            nonlocal keys
            keys = self._keys
            tags, person = caller_tags(call, keys, open_modes=self._open_modes)
            return {
                "block": x_number.block.value,
                "x_number": x_number.value,
                "tags": tags,
                "call_id": call_id,
                "day": call_day(call_id),
                "person": person,
                "strangers": [],
            }

        async def read(connection: FastConnection, rows: list[dict[str, Any]]) -> Admission:
            if not rows:
                raise ProtocolError("the call to admit is over already")
            answer = read_admission(rows[0], call.caller, call.x_number, keys)
            strangers = answer.strangers
            while answer.strangers and not answer.admitted:
                # A lock of somebody else with the same tag keeps nobody off.
                past = {**values(), "strangers": strangers}
                rows = await connection.fetch("admit_person", past)
                answer = read_admission(rows[0], call.caller, call.x_number, keys)
                strangers += answer.strangers
            if answer.admitted:
                await self._remember(connection, call, answer)
            return answer

        async def alone(connection: FastConnection) -> Admission:
            asked = values()
            try:
                rows = await connection.fetch(statement, asked)
            except psycopg.errors.UniqueViolation:
                rows = await connection.fetch("find_reservation", asked)
            return await read(connection, rows)

        work = SharedWork(statement, values, read, alone)
        answer: Admission = await self.pool.submit(
            work, timeout=timeout, fail_fast=True, about=call
        )
        return answer

    async def _remember(self, connection: FastConnection, call: Call, answer: Admission) -> None:
        """
        Write a stranger down for A's call back. Until that is done the call has no answer.
        """
        leg = answer.facts.hit
        if (
            leg is None
            or not leg.mode.open
            or leg.side is not Side.B
            or leg.callback is not Callback.LAST
        ):
            return
        values = {"block": leg.block.value, "id": leg.binding_id, "at": answer.now}

        # That of A, who calls back; it shows the number that is dialled.
        x_number = call.x_number.value
        row = Row(leg.binding_id, x_number, 0, Side.A, shown=x_number)

        async def write(keys: KeyRing) -> None:
            caller = keys.seal([call.caller], row, Purpose.LAST_CALLER)
            await connection.execute(
                query("remember_caller"),
                {**values, **key_ids(keys), "caller": caller, "tag": keys.tag(call.caller)},
            )

        await self._write(connection, write)

    async def allocate(self, needed: AllocationNeeded, *, timeout: float) -> None:  # noqa: ASYNC109
        """
        Make the number a callee is to be shown: :class:`agi_router.calls.ports.Admissions`.
        """

        async def work(connection: FastConnection) -> None:
            async def write(keys: KeyRing) -> None:
                await self._add_child(connection, needed, keys)

            # Somebody else may just have taken it.
            with contextlib.suppress(psycopg.errors.UniqueViolation):
                await self._write(connection, write)

        about = (needed.x_number.block.value, needed.binding_id)
        await self.pool.submit(work, timeout=timeout, about=about)

    async def find_new_number(self, old: str, *, timeout: float) -> XNumber | None:  # noqa: ASYNC109
        """
        What has come in the place of an old number: :class:`agi_router.calls.ports.OldNumbers`.
        """

        async def work(connection: FastConnection) -> dict[str, Any] | None:
            asked = await connection.execute(query("find_new_number"), {"number": old})
            return await asked.fetchone()

        row = await self.pool.submit(work, timeout=timeout)
        return None if row is None else XNumber.from_int(row["x_number"])

    async def _add_child(
        self, connection: FastConnection, needed: AllocationNeeded, keys: KeyRing
    ) -> None:
        block = needed.x_number.block
        serials = random.SystemRandom().sample(range(BLOCK_SIZE), _CANDIDATES)
        # Under every key: by any of them the callee may be there.
        tags = keys.tags(needed.callee)
        values = {
            "block": block.value,
            "x_number": [
                y_number.value
                for y_number in map(block.number, serials)
                if y_number != needed.x_number
            ],
            "tags": tags,
            "number_quarantine": self._quarantine.number,
            "party_quarantine": self._quarantine.party,
        }
        cursor = await connection.execute(query("choose_x"), values)
        chosen = await cursor.fetchone()
        if chosen is None:
            return
        y_number = XNumber.from_int(chosen["x_number"])
        a, b = needed.caller, needed.callee
        rows = compile_child(a, needed.x_number, b, y_number)
        back = find_back(SEALED_UNTIL_CALL, rows, keys, binding_id=needed.binding_id)
        own, other = seal_routes(rows, keys, binding_id=needed.binding_id, back=back)
        child = {
            **key_ids(keys),
            "block": block.value,
            "id": needed.binding_id,
            "x_number": own.x_number,
            "x_tag": own.caller_tag,
            "x_callee": own.callee,
            "x_caller": own.caller,
            "y_number": other.x_number,
            "y_tags": tags,
            "y_callee": other.callee,
        }
        await connection.execute(query("add_child"), child)

    async def find_question(
        self,
        call: Call,
        call_id: str,
        route: Route,
        *,
        timeout: float,  # noqa: ASYNC109
    ) -> tuple[Question, TenantService | None]:
        """
        What verification services are to be asked about an admitted call; without real numbers.

        Returns:
            The question, and the service of the call's tenant, if it has one.

        Raises:
            StoreError: No answer within *timeout* seconds, or the call is over already.
            SealError: The secret of the tenant's service does not open.
        """
        values = _key(call, call_id)

        async def work(connection: FastConnection) -> dict[str, Any] | None:
            return await (await connection.execute(query("find_checked"), values)).fetchone()

        row = await self.pool.submit(work, timeout=timeout, about=call)
        if row is None:
            raise StoreError("the call to check is over already")
        question = Question(
            id=str(uuid4()),
            about=call_id,
            asked_at=row["asked_at"],
            binding=route.binding,
            x_number=call.x_number,
            side=Side(row["side"]),
            tenant=row["tenant"],
            order_id=row["order_id"],
            out_id=row["out_id"],
            industrial_id=row["industrial_id"],
        )
        return question, None if row["url"] is None else read_service(row, self._keys)

    async def note_checks(
        self,
        call: Call,
        call_id: str,
        operator: Checked | None,
        tenant: Checked | None,
        *,
        timeout: float,  # noqa: ASYNC109
    ) -> None:
        """
        Write what became of the checks of a call on its record.

        Args:
            call: The call.
            call_id: Its id.
            operator: What the operator's service said; :obj:`None`: it was not asked.
            tenant: The same of its tenant's.
            timeout: Seconds.

        Raises:
            StoreError: No answer within *timeout* seconds, or the store failed.
        """
        values = {
            **_key(call, call_id),
            **_checked("", operator),
            **_checked("tenant_", tenant),
        }

        async def work(connection: FastConnection) -> None:
            await connection.execute(query("note_checks"), values)

        await self.pool.submit(work, timeout=timeout, about=call)

    async def _write(
        self, connection: FastConnection, write: Callable[[KeyRing], Awaitable[None]]
    ) -> None:
        """
        Write under the current keys; where others have become so a moment ago, under those.

        Raises:
            KeyRingError: They are not at hand.
        """
        try:
            await write(self._keys)
        except psycopg.DatabaseError as error:
            if error.sqlstate != KEYS_OUTDATED:
                raise
        else:
            return
        cursor = await connection.execute(query("list_keys"))
        rows = await cursor.fetchall()
        self._keys = using_current(self._keys, rows)
        await write(self._keys)

    async def tell_answers(self, answers: Sequence[Answer], *, timeout: float = 10.0) -> Untold:  # noqa: ASYNC109
        """
        Tell tenants that callees have answered, once of each call however often it is told.

        Raises:
            StoreError: Some may be told and some not; tell all again.
        """
        left = Untold()
        for _, some in groupby(sorted(answers, key=lambda a: (a.day, a.call_id)), _day):
            unique = list({answer.call_id: answer for answer in some}.values())
            for start in range(0, len(unique), _SETTLE_BATCH):
                await self._tell_free(unique[start : start + _SETTLE_BATCH], timeout, left)
        return left

    async def _tell_free(self, answers: Sequence[Answer], timeout: float, left: Untold) -> None:  # noqa: ASYNC109
        """
        Tell of *answers*; where a binding of theirs is held, or a row is at fault, each alone.

        Nobody waits for long: the ends behind them tell of them too.
        """
        if left.waited >= _SETTLE_WAIT:
            left.held.extend(answers)
            return
        values = {
            "block": [each.x_number.block.value for each in answers],
            "day": answers[0].day,
            "id": [each.call_id for each in answers],
            "at": [each.answered_at for each in answers],
        }

        async def work(connection: FastConnection) -> None:
            await connection.execute(query("answer_calls"), values)

        try:
            await self.pool.submit(work, timeout=timeout)
        except (StoreHeld, RowRefused) as error:
            held = isinstance(error, StoreHeld)
            left.waited += LOCK_WAIT * held
            if len(answers) == 1:
                (left.held if held else left.refused).extend(answers)
                return
            for each in answers:
                await self._tell_free([each], timeout, left)

    async def settle(self, ends: Sequence[End], *, timeout: float = 10.0) -> Unsettled:  # noqa: ASYNC109
        """
        Settle ended calls, each exactly once however often it is told.

        Returns:
            Those that are not settled.

        Raises:
            StoreError: Some may be settled and some not; tell all again.
        """
        left = Unsettled()
        for day, ended in groupby(sorted(ends, key=lambda e: (e.day, e.call_id)), _day):
            unique = list({end.call_id: end for end in ended}.values())
            for start in range(0, len(unique), _SETTLE_BATCH):
                batch = unique[start : start + _SETTLE_BATCH]
                await self._settle_free(day, batch, timeout, left)
        return left

    async def _settle_free(
        self,
        day: Any,
        batch: Sequence[End],
        timeout: float,  # noqa: ASYNC109
        left: Unsettled,
    ) -> None:
        """
        Settle *batch*; where somebody holds a binding of it, or a row is at fault, its halves.

        While it waits for one binding, calls on the others wait for it: that is not for long, and
        not often.
        """
        wait = LOCK_WAIT if len(batch) > 1 else _WAIT_FOR_ONE
        if left.waited < _SETTLE_WAIT:
            try:
                missed = await self._settle(day, batch, timeout, wait)
                # Admitted while the batch was being settled; or settled before.
                if again := [end for end in batch if end.call_id in missed]:
                    missed = await self._settle(day, again, timeout, wait)
                    left.refused += [end for end in again if missed.get(end.call_id) is False]
            except StoreHeld:
                left.waited += wait
            except RowRefused as error:
                if len(batch) == 1:
                    left.broken.append(await self._broken(batch[0], str(error), timeout))
                    return
            else:
                return
        if len(batch) == 1 or left.waited >= _SETTLE_WAIT:
            left.held.extend(batch)
            return
        # In another order each time: none is for ever behind those that are held.
        mixed = random.SystemRandom().sample(batch, len(batch))
        for half in (mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :]):
            await self._settle_free(day, half, timeout, left)

    async def _broken(self, end: End, why: str, timeout: float) -> Broken:  # noqa: ASYNC109
        values = {"day": end.day, "block": end.x_number.block.value, "id": end.call_id}

        async def work(connection: FastConnection) -> dict[str, Any] | None:
            return await (await connection.execute(query("find_used"), values)).fetchone()

        used = await self.pool.submit(work, timeout=timeout)
        binding = None
        if used is not None and used["binding_id"] is not None:
            binding = f"{used['block']}-{used['binding_id']}"
        return Broken(end=end, binding=binding, why=why)

    async def see_node(
        self,
        name: str,
        entity_id: str,
        started_at: datetime,
        *,
        timeout: float = 10.0,  # noqa: ASYNC109
    ) -> None:
        """
        Note that an Asterisk is alive, whose calls are kept here.

        Args:
            name: Its ``systemname``; may be empty.
            entity_id: Its entity id.
            started_at: When it was started.
            timeout: Seconds to wait.

        Raises:
            NodeTaken: Another one of this name has been seen within the last two minutes.
            StoreError: No answer.
        """
        values = {"name": name, "entity_id": entity_id, "started_at": started_at}
        self.node = name

        async def work(connection: FastConnection) -> dict[str, Any] | None:
            if await (await connection.execute(query("see_node"), values)).fetchone():
                return None
            return await (await connection.execute(query("node"), values)).fetchone()

        other = await self.pool.submit(work, timeout=timeout)
        if other is not None:
            named = f"the systemname {name}, as this one" if name else "no systemname, as this one"
            raise NodeTaken(
                f"another Asterisk, of entity id {other['entity_id']} and started"
                f" {other['started_at']:%Y-%m-%d %H:%M:%S}, is alive and has {named}: their calls"
                " cannot be told apart. Give each a systemname of its own in asterisk.conf, and"
                " restart it",
                certain=other["entity_id"] != entity_id,
            )

    async def is_seen(self, node: str, *, timeout: float = 10.0) -> bool | None:  # noqa: ASYNC109
        """
        Whether an Asterisk of this name has been seen within the last two minutes; None: never.

        Raises:
            StoreError: No answer.
        """

        async def work(connection: FastConnection) -> bool | None:
            cursor = await connection.execute(query("seen_node"), {"name": node})
            row = await cursor.fetchone()
            return None if row is None else row["lately"]

        return await self.pool.submit(work, timeout=timeout)  # type: ignore[no-any-return]

    async def reserved(self, node: str, *, timeout: float = 10.0) -> dict[str, XNumber]:  # noqa: ASYNC109
        """
        All calls of one node that are not settled, however old, with the number each dialled.

        Rows that no admission writes are left out, and told how many: settling finds none of them.

        Args:
            node: Asterisk's ``systemname``; may be empty.
            timeout: Seconds to wait for each page of them.

        Raises:
            StoreError: No answer.
        """
        found: dict[str, XNumber] = {}
        invalid = 0
        after, before = calls_of(node)
        while True:
            rows = await self._page_of_reserved(node, after, before, timeout)
            for row in rows:
                x_number = _dialled(row)
                if x_number is None:
                    invalid += 1
                else:
                    found[row["id"]] = x_number
            if len(rows) < _RESERVED_PAGE:
                break
            after = rows[-1]["id"]
        if invalid:
            log.error("calls.invalid", extra={"node": node, "rows": invalid})
        return found

    async def check(self, *, timeout: float) -> datetime:  # noqa: ASYNC109
        """
        Ask the database for the time, at the place in the queue that a call would have.

        What it says besides wakes whoever cuts calls: no statement is asked for that alone.

        Raises:
            StoreError: It gives none, or there is a pooler between.
        """

        async def work(connection: FastConnection) -> datetime:
            row = await (await connection.execute(query("beat"))).fetchone()
            check_backend(connection, row or {})
            if row is None:
                raise StoreError("the database does not know the time")
            if row["cuts"]:
                self.cuts.set()
            self.heard_ago = row["heard_ago"]
            now: datetime = row["clock_timestamp"]
            return now

        return await self.pool.submit(work, timeout=timeout)  # type: ignore[no-any-return]

    async def statistics(self, *, timeout: float = 10.0) -> Statistics:  # noqa: ASYNC109
        """
        How many calls are open, and blocks in each state.

        Raises:
            StoreError: No answer.
        """

        async def work(connection: FastConnection) -> Statistics:
            counts = await (await connection.execute(query("count_open_calls"))).fetchone()
            blocks = await (await connection.execute(query("count_blocks"))).fetchall()
            if counts is None:
                raise StoreError("the database counts nothing")
            return Statistics(**counts, blocks={row["state"]: row["blocks"] for row in blocks})

        return await self.pool.submit(work, timeout=timeout)  # type: ignore[no-any-return]

    async def count_bindings(
        self,
        after: BindingCount | None,
        *,
        timeout: float = 10.0,  # noqa: ASYNC109
    ) -> BindingCount | None:
        """
        How many bindings of the next piece are alive.

        Args:
            after: The piece before; :obj:`None` for the first.
            timeout: Seconds to wait.

        Returns:
            The count; :obj:`None` behind the last piece.

        Raises:
            StoreError: No answer.
        """
        block, id_ = (0, 0) if after is None else (after.block, after.id)
        values = {"block": block, "id": id_, "limit": _COUNTED_BINDINGS}

        return await self._count("count_bindings", values, BindingCount, timeout)

    async def count_numbers(
        self,
        after: NumberCount | None,
        *,
        timeout: float = 10.0,  # noqa: ASYNC109
    ) -> NumberCount | None:
        """
        How many numbers of the next piece of an active block are bound and rest.

        Args:
            after: The piece before; :obj:`None` for the first.
            timeout: Seconds to wait.

        Returns:
            The count; :obj:`None` behind the last piece.

        Raises:
            StoreError: No answer.
        """
        values = {
            "after": -1 if after is None else after.last,
            "limit": _COUNTED_NUMBERS,
            "number_quarantine": self._quarantine.number,
        }

        return await self._count("count_numbers", values, NumberCount, timeout)

    async def ensure_days(self, *, timeout: float = 10.0) -> None:  # noqa: ASYNC109
        """
        Make the coming days' partitions.

        Raises:
            StoreError: No answer, or some could not be made now.
        """

        async def work(connection: FastConnection) -> list[dict[str, Any]]:
            return await (await connection.execute(query("ensure_days"))).fetchall()

        check_days(await self.pool.submit(work, timeout=timeout))

    async def _page_of_reserved(
        self,
        node: str,
        after: str,
        before: str,
        timeout: float,  # noqa: ASYNC109
    ) -> list[dict[str, Any]]:
        values = {"node": node, "after": after, "before": before, "limit": _RESERVED_PAGE}

        async def work(connection: FastConnection) -> list[dict[str, Any]]:
            cursor = await connection.execute(query("list_reserved"), values)
            return await cursor.fetchall()

        return await self.pool.submit(work, timeout=timeout)  # type: ignore[no-any-return]

    async def _count(
        self,
        name: str,
        values: Mapping[str, Any],
        read: Callable[..., _Count],
        timeout: float,  # noqa: ASYNC109
    ) -> _Count | None:
        async def work(connection: FastConnection) -> _Count | None:
            row = await (await connection.execute(query(name), values)).fetchone()
            return None if row is None else read(**row)

        return await self.pool.submit(work, timeout=timeout)  # type: ignore[no-any-return]

    async def _settle(
        self,
        day: Any,
        ends: Sequence[End],
        timeout: float,  # noqa: ASYNC109
        wait: int,
    ) -> dict[str, bool]:
        """
        Those that were not settled, and whether there is such a call.
        """
        values = {"day": day, **_columns(ends)}

        async def settle(connection: FastConnection) -> dict[str, bool]:
            cursor = await connection.execute(query("settle"), values)
            return {row["id"]: row["known"] for row in await cursor.fetchall()}

        async def work(connection: FastConnection) -> dict[str, bool]:
            if wait == LOCK_WAIT:
                return await settle(connection)
            async with connection.waiting(wait):
                return await settle(connection)

        return await self.pool.submit(work, timeout=timeout)  # type: ignore[no-any-return]


def _key(call: Call, call_id: str) -> dict[str, Any]:
    return {"block": call.x_number.block.value, "day": call_day(call_id), "call_id": call_id}


def _checked(prefix: str, checked: Checked | None) -> dict[str, Any]:
    told = (None,) * 3 if checked is None else (checked.id, checked.verdict, checked.ms)
    return dict(zip((f"{prefix}id", f"{prefix}verdict", f"{prefix}ms"), told, strict=True))


def _name(keys: KeyRing) -> str:
    return f"agi_router serve {keys.digest}"


def _day(told: Answer | End) -> Any:
    return told.day


def _dialled(row: Mapping[str, Any]) -> XNumber | None:
    """
    The number that a reserved call dialled; :obj:`None` if no admission has written its row.
    """
    try:
        x_number = XNumber.from_int(row["x_number"])
        ours = (row["block"], row["day"]) == (x_number.block.value, call_day(row["id"]))
    except (NumberError, ProtocolError):
        return None
    return x_number if ours else None


def _columns(ends: Sequence[End]) -> dict[str, list[Any]]:
    return {
        "block": [end.x_number.block.value for end in ends],
        "id": [end.call_id for end in ends],
        "x_number": [end.x_number.value for end in ends],
        "ended_at": [end.ended_at for end in ends],
        "reason": [end.reason for end in ends],
        "outcome": [end.outcome for end in ends],
        "ring_ms": [_ms(end.ring_time) for end in ends],
        "talk_ms": [_ms(end.talk_time) for end in ends],
        "released_by": [end.released_by for end in ends],
        "cause": [end.cause for end in ends],
        "sip_status": [end.sip_status for end in ends],
        "clock": [end.clock for end in ends],
        "kept": [end.kept for end in ends],
    }


def _ms(value: Any) -> int | None:
    return None if value is None else round(value.total_seconds() * 1000)

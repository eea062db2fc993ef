"""
Where texts are taken, kept and sent from.

A statement whose reply was lost is asked again: a text is known by the request that brought it,
and its end by its number of tries.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from agi_router.bindings.model import BindingId
from agi_router.calls.ports import Admission
from agi_router.calls.rows import read_admission
from agi_router.db.connection import KEYS_OUTDATED
from agi_router.db.fast_connection import FastConnection
from agi_router.db.pool import ConnectionPool, SharedWork
from agi_router.db.queries import query
from agi_router.errors import NumberError, RowInvalid, SealError, StoreUnavailable
from agi_router.keys.registry import key_ids, using_current
from agi_router.keys.ring import KeyRing, Purpose, Row
from agi_router.messages.model import (
    LEASE,
    MessageState,
    Outgoing,
    Text,
    count_parts,
    message_day,
    name_message,
)
from agi_router.messages.rules import TextRules, read_rules
from agi_router.numbers import XNumber

__all__ = ["UNJUDGED", "Ended", "JudgedBy", "MessageStore", "Owed", "Repeated", "Unasked"]

# Which unique constraint tells a repeat.
_SEEN = "message_seen_pkey"
# Requests that are forgotten at once.
_FORGOTTEN = 5000


@dataclass(frozen=True, slots=True)
class Repeated:
    """
    The same request was taken before.
    """


@dataclass(frozen=True, slots=True)
class Unasked:
    """
    The database was not asked: nothing is stored by this request.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedBy:
    """
    By which rules of its tenant a text was judged, and what follows.
    """

    version: int | None
    """:obj:`None`: its tenant has none."""
    hold: timedelta | None = None
    """How long it waits for its release."""
    opts_out: bool = False
    """Whether its sender is to be texted no more."""


UNJUDGED = JudgedBy(version=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """
    What a door has still to send.
    """

    owed: int
    oldest: float
    """Seconds since the oldest was accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """
    A text that is due and cannot be sent any more.
    """

    block: int
    id: str
    attempts: int
    state: MessageState
    reason: str


class MessageStore:
    """
    Texts of one installation.

    Args:
        pool: Connections to its database, running.
        keys: To find senders, to seal and to open.
        link: The door that is served: what it takes goes out by it, too.
        validity: How long a text is tried, unless its binding ends before.
    """

    def __init__(
        self, pool: ConnectionPool, keys: KeyRing, *, link: str, validity: timedelta
    ) -> None:
        self._pool = pool
        self.keys = keys
        self._link = link
        self._validity = validity

    @property
    def link(self) -> str:
        """
        The door that is served.
        """
        return self._link

    def use(self, keys: KeyRing) -> None:
        """
        Find, seal and open with these keys from now on.
        """
        self.keys = keys

    @staticmethod
    def name_text(text: Text) -> str:
        """
        A name for a new text.
        """
        return name_message(text.x_number.block, datetime.now(UTC), secrets.randbits(64))

    def digest(self, *parts: bytes) -> bytes:
        """
        By what a request is known again: a keyed hash, for it holds numbers.
        """
        # Of the oldest key: it stays the same when another one becomes current.
        return self.keys.request_tags(b"message", *parts)[-1]

    async def admit(
        self,
        text: Text,
        same: bytes,
        *,
        name: str | None = None,
        judged: JudgedBy = UNJUDGED,
        timeout: float,  # noqa: ASYNC109
    ) -> Admission | Repeated | Unasked:
        """
        Take *text* if every guard holds, and store it to be sent; tell the facts either way.

        It is not taken either where its tenant has other rules than it was judged by.

        Args:
            text: The text.
            same: Digest of its request, see :meth:`digest`: what was taken once is not again.
            name: What it is to be called, see :meth:`name_text`; :obj:`None`: by any such name.
            judged: By which rules it was judged, see :meth:`find_rules`.
            timeout: Seconds to wait.

        Raises:
            StoreError: The store was asked and failed, or has not answered within *timeout*
                seconds: nobody knows whether it was taken, and asking again with the same digest
                tells.
            SealError: The receiver does not open.
        """
        x_number = text.x_number
        name = name or self.name_text(text)

        strangers: tuple[int, ...] = ()

        def values() -> dict[str, Any]:
            return {
                **key_ids(self.keys),
                "strangers": list(strangers),
                "block": x_number.block.value,
                "x_number": x_number.value,
                "tags": self.keys.tags(text.sender),
                "id": name,
                "day": message_day(name),
                "same": same,
                "link_in": self._link,
                "link_out": self._link,
                "validity": self._validity,
                "octets": len(text.body.encode()),
                "parts": count_parts(text.body),
                "body": self.keys.seal_text(text.body, name),
                "rules": judged.version,
                "hold": judged.hold,
                "opts_out": judged.opts_out,
            }

        asked = given_up = False

        def asked_values() -> dict[str, Any]:
            nonlocal asked
            if given_up:
                raise StoreUnavailable("nobody waits for it any more")
            asked = True
            return values()

        async def read(
            connection: FastConnection, rows: list[dict[str, Any]]
        ) -> Admission | Repeated:
            nonlocal strangers
            answer = read_admission(rows[0], text.sender, x_number, self.keys, text=True)
            while answer.strangers and not answer.admitted:
                # A lock of somebody else with the same tag keeps nobody off.
                strangers += answer.strangers
                row = await self._write(connection, "admit_message", values)
                if row is None:
                    return Repeated()
                answer = read_admission(row, text.sender, x_number, self.keys, text=True)
            return answer

        async def alone(connection: FastConnection) -> Admission | Repeated:
            row = await self._write(connection, "admit_message", asked_values)
            return Repeated() if row is None else await read(connection, [row])

        # Texts that wait at the same moment share a transaction. Each is a statement of its own,
        # so the use that one takes is there for the next.
        work = SharedWork("admit_message", asked_values, read, alone)
        try:
            admitted: Admission | Repeated = await self._pool.submit(
                work, timeout=timeout, fail_fast=True, about=text.sender
            )
        except StoreUnavailable:
            if asked:
                raise
            # Nor will it be: what was said by then must stay true.
            given_up = True
            return Unasked()
        return admitted

    async def _write(
        self, connection: FastConnection, name: str, values: Callable[[], dict[str, Any]]
    ) -> dict[str, Any] | None:
        """
        Write what a request brought; no row where the same request was taken before.
        """
        try:
            rows = await self.write_sealed(connection, name, values)
        except psycopg.errors.UniqueViolation as error:
            if error.diag.constraint_name != _SEEN:
                raise
            return None
        return rows[0]

    async def write_sealed(
        self, connection: FastConnection, name: str, values: Callable[[], dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """
        Write under the current keys; where others have become so a moment ago, under those.

        Args:
            connection: A connection.
            name: The statement.
            values: Makes what it is given, by the keys as they are.

        Returns:
            Its rows.
        """
        try:
            return await connection.fetch(name, values())
        except psycopg.DatabaseError as error:
            if error.sqlstate != KEYS_OUTDATED:
                raise
        rows = await (await connection.execute(query("list_keys"))).fetchall()
        self.keys = using_current(self.keys, rows)
        return await connection.fetch(name, values())

    async def find_rules(
        self,
        binding: BindingId,
        *,
        timeout: float,  # noqa: ASYNC109
    ) -> tuple[int, TextRules] | None:
        """
        By what the texts of a binding are judged, and its version; :obj:`None`: by nothing.

        Raises:
            StoreError: No answer within *timeout* seconds, or the store failed.
        """
        values = {"block": binding.block.value, "binding_id": binding.id}

        async def work(connection: FastConnection) -> dict[str, Any] | None:
            return await _one(connection, "find_message_rules", values)

        row = await self._pool.submit(work, timeout=timeout)
        return None if row is None else (row.pop("version"), read_rules(row))

    async def take(self, limit: int, *, timeout: float) -> list[Outgoing | Ended]:  # noqa: ASYNC109
        """
        Take texts of this door that are due, *limit* at most, for :data:`LEASE`.

        What cannot be opened, or is over, comes as :class:`Ended`: to be finished.

        Raises:
            StoreError: No answer within *timeout* seconds, or the store failed.
        """
        values = {"link": self._link, "limit": limit, "lease": LEASE}

        async def work(connection: FastConnection) -> list[dict[str, Any]]:
            return await (await connection.execute(query("take_messages"), values)).fetchall()

        rows: list[dict[str, Any]] = await self._pool.submit(work, timeout=timeout)
        return [self._read(row) for row in rows]

    def _read(self, row: dict[str, Any]) -> Outgoing | Ended:
        if row["ended"] is not None or row["over"]:
            state = MessageState.EXPIRED if row["over"] else MessageState.FAILED
            return _ended(row, state, row["ended"] or "expired")
        try:
            shown = XNumber.from_int(row["shown"])
            route = Row(
                row["binding_id"], row["x_number"], row["caller_tag"], row["side"], shown.value
            )
            receivers = self.keys.open(row["callee"], route, Purpose(row["purpose"]))
            body = self.keys.open_text(row["body"], row["id"])
        except (SealError, NumberError, ValueError, RowInvalid):
            return _ended(row, MessageState.FAILED, "platform_fault")
        members = row["members"]
        # Under whichever key: the rows may have been tagged again since.
        if members is not None and set(members).isdisjoint(self.keys.tags(receivers[0])):
            return _ended(row, MessageState.FAILED, "unbound")
        return Outgoing(
            id=row["id"],
            attempts=row["attempts"],
            maybe_twice=row["maybe_twice"],
            receiver=receivers[0],
            shown=shown,
            body=body,
            left=row["time_left"],
        )

    async def finish(
        self,
        message: Outgoing | Ended,
        state: MessageState,
        *,
        reason: str | None,
        status: int | None,
        timeout: float,  # noqa: ASYNC109
    ) -> bool:
        """
        End a text: what it said is deleted, and its use comes back unless it was sent.

        Returns:
            Whether it was still owed.

        Raises:
            StoreError: No answer within *timeout* seconds, or the store failed.
        """
        values = {
            **_key(message),
            "state": state,
            "reason": reason,
            "status": status,
        }

        async def read(_: FastConnection, rows: list[dict[str, Any]]) -> bool:
            return bool(rows)

        async def alone(connection: FastConnection) -> bool:
            return bool(await connection.fetch("finish_message", values))

        work = SharedWork("finish_message", lambda: values, read, alone)
        return await self._pool.submit(  # type: ignore[no-any-return]
            work, timeout=timeout, about=message.id
        )

    async def put_off(
        self,
        message: Outgoing,
        pause: timedelta,
        *,
        known: bool,
        timeout: float,  # noqa: ASYNC109
    ) -> None:
        """
        Try a text again after *pause*.

        Args:
            message: The text.
            pause: How long it waits.
            known: Whether it has certainly not arrived by this try.
            timeout: Seconds to wait.

        Raises:
            StoreError: No answer within *timeout* seconds, or the store failed.
        """
        values = {**_key(message), "pause": pause, "known": known}

        async def work(connection: FastConnection) -> None:
            await connection.execute(query("put_off_message"), values)

        await self._pool.submit(work, timeout=timeout, about=message.id)

    async def forget_seen(self, *, timeout: float) -> int:  # noqa: ASYNC109
        """
        Forget requests that nobody repeats any more; how many these were.

        Raises:
            StoreError: No answer within *timeout* seconds, or the store failed.
        """

        async def work(connection: FastConnection) -> int:
            row = await _one(connection, "forget_seen_messages", {"limit": _FORGOTTEN})
            return 0 if row is None else row["rows"]

        forgotten = rows = await self._pool.submit(work, timeout=timeout)
        while rows == _FORGOTTEN:
            rows = await self._pool.submit(work, timeout=timeout)
            forgotten += rows
        return forgotten  # type: ignore[no-any-return]

    async def count_owed(self, *, timeout: float) -> Owed:  # noqa: ASYNC109
        """
        How many texts this door has still to send, and for how long the oldest waits.

        Raises:
            StoreError: No answer within *timeout* seconds, or the store failed.
        """

        async def work(connection: FastConnection) -> Owed:
            row = await _one(connection, "count_owed_messages", {"link": self._link})
            return Owed(owed=0, oldest=0.0) if row is None else Owed(**row)

        return await self._pool.submit(work, timeout=timeout)  # type: ignore[no-any-return]


async def _one(
    connection: FastConnection, name: str, values: dict[str, Any]
) -> dict[str, Any] | None:
    row: dict[str, Any] | None = await (await connection.execute(query(name), values)).fetchone()
    return row


def _ended(row: dict[str, Any], state: MessageState, reason: str) -> Ended:
    return Ended(
        block=row["block"],
        id=row["id"],
        attempts=row["attempts"],
        state=state,
        reason=reason,
    )


def _key(message: Outgoing | Ended) -> dict[str, Any]:
    block = message.block if isinstance(message, Ended) else message.block.value
    return {"block": block, "id": message.id, "attempts": message.attempts}

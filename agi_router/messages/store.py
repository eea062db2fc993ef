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
from uuid import uuid4

import psycopg

from agi_router.bindings.facts import RouteHit
from agi_router.bindings.model import BindingId
from agi_router.bindings.reach import parties_of
from agi_router.bindings.words import Side
from agi_router.calls.check import Checked, Question, TenantService
from agi_router.calls.ports import Admission
from agi_router.calls.rows import read_admission, read_service
from agi_router.db.connection import KEYS_OUTDATED, violated
from agi_router.db.fast_connection import FastConnection
from agi_router.db.pool import ConnectionPool, SharedWork
from agi_router.db.queries import query
from agi_router.db.turns import Turns
from agi_router.errors import NumberError, RowInvalid, SealError, StoreUnavailable
from agi_router.keys.registry import key_ids, using_current
from agi_router.keys.ring import KeyRing, Purpose, Row
from agi_router.messages.model import (
    LEASE,
    CarriedText,
    Hands,
    MessageState,
    Outgoing,
    Text,
    message_day,
    name_message,
)
from agi_router.messages.openness import answered_by, sealed_stranger, sender_tags
from agi_router.messages.rules import NO_RULES, TextRules, read_rules
from agi_router.numbers import XNumber
from agi_router.tenants.scope import OPERATOR, Scope

__all__ = [
    "UNASKED_OF",
    "UNJUDGED",
    "Ended",
    "FoundRules",
    "JudgedBy",
    "MessageStore",
    "Owed",
    "Repeated",
    "Unasked",
]

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
    operator: Checked | None = None
    """What the operator's verification service has said; :obj:`None`: it was not asked."""
    checked: Checked | None = None
    """The same of its tenant's."""


UNJUDGED = JudgedBy(version=None)
"""By none, as its tenant has none."""
UNASKED_OF = JudgedBy(version=-1)
"""By none yet: so no text is taken, and the facts are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRules:
    """
    Whose the texts of a binding are, and by what they are judged.
    """

    tenant_id: int
    version: int | None
    """:obj:`None`: by nothing."""
    rules: TextRules


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
        open_modes: Whether strangers get through where a binding says so.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        keys: KeyRing,
        *,
        link: str,
        validity: timedelta,
        open_modes: bool = False,
    ) -> None:
        self._pool = pool
        self.keys = keys
        self._link = link
        self._validity = validity
        self._open_modes = open_modes
        self.turns = Turns(pool)
        """What is written of each text: those that come and those that end go together."""

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
        asked: bytes | None = None,
        name: str | None = None,
        judged: JudgedBy = UNJUDGED,
        hands: Hands | None = None,
        scope: Scope = OPERATOR,
        timeout: float,  # noqa: ASYNC109
    ) -> Admission | Repeated | Unasked:
        """
        Take *text* if every guard holds, and store it to be sent; tell the facts either way.

        It is not taken either where its tenant has other rules than it was judged by.

        Args:
            text: The text.
            same: Digest of its request, see :meth:`digest`: what was taken once is not again.
            asked: Digest of what was asked for, where the request is known by less than that.
            name: What it is to be called, see :meth:`name_text`; :obj:`None`: by any such name.
            judged: By which rules it was judged, see :meth:`find_rules`.
            hands: Who gets it as soon as it is stored, though nobody waits for the answer by then;
                where there is no room it is :meth:`taken <take>`.
            scope: Whose bindings there are.
            timeout: Seconds to wait.

        Raises:
            StoreError: The store was asked and failed, or has not answered within *timeout*
                seconds: nobody knows whether it was taken, and asking again with the same digest
                tells.
            SealError: The receiver does not open.
        """
        asking = _Asking(
            self,
            text,
            same,
            said=asked,
            name=name or self.name_text(text),
            judged=judged,
            hands=hands,
            scope=scope,
            validity=self._validity,
            open_modes=self._open_modes,
        )
        # Texts that wait at the same moment share a transaction. Each is a statement of its own,
        # so the use that one takes is there for the next.
        work = SharedWork("admit_message", asking.values, asking.read, asking.alone)
        # Those of a door go with what ends there; there is a store of its own for who is no door.
        waits = self._pool if hands is None else self.turns
        try:
            admitted: Admission | Repeated = await waits.submit(
                work, timeout=timeout, fail_fast=True, about=text.sender
            )
        except StoreUnavailable:
            if asking.asked:
                raise
            # Nor will it be: what was said by then must stay true.
            asking.given_up = True
            return Unasked()
        return admitted

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
    ) -> FoundRules | None:
        """
        By what the texts of a binding are judged; :obj:`None`: there is no such binding.

        Raises:
            StoreError: No answer within *timeout* seconds, or the store failed.
        """
        values = {"block": binding.block.value, "binding_id": binding.id}

        async def work(connection: FastConnection) -> dict[str, Any] | None:
            return await _one(connection, "find_message_rules", values)

        row = await self._pool.submit(work, timeout=timeout)
        if row is None:
            return None
        version = row["version"]
        rules = NO_RULES if version is None else read_rules(row)
        return FoundRules(tenant_id=row["tenant_id"], version=version, rules=rules)

    async def find_question(
        self,
        text: Text,
        *,
        name: str,
        binding: BindingId,
        side: Side,
        timeout: float,  # noqa: ASYNC109
    ) -> tuple[Question, TenantService | None]:
        """
        What the verification service of its tenant is to be asked about a text.

        Returns:
            The question, and that service, if there is one.

        Raises:
            StoreError: No answer within *timeout* seconds, or the store failed.
            SealError: The secret of the service does not open.
        """
        values = {"block": binding.block.value, "binding_id": binding.id}

        async def work(connection: FastConnection) -> dict[str, Any] | None:
            return await _one(connection, "find_text_question", values)

        row = await self._pool.submit(work, timeout=timeout)
        if row is None:
            raise RowInvalid
        question = Question(
            id=str(uuid4()),
            about=name,
            asked_at=row["asked_at"],
            binding=str(binding),
            x_number=text.x_number,
            side=side,
            tenant=row["tenant"],
            of_text=True,
            order_id=row["order_id"],
            out_id=row["out_id"],
            industrial_id=row["industrial_id"],
        )
        return question, None if row["url"] is None else read_service(row, self.keys)

    async def take(self, limit: int, *, timeout: float) -> list[Outgoing | Ended]:  # noqa: ASYNC109
        """
        Take texts of this door that are due, *limit* at most, for :data:`LEASE`.

        What cannot be opened, or is over, comes as :class:`Ended`: to be finished.

        Raises:
            StoreError: No answer within *timeout* seconds, or the store failed.
        """
        values: dict[str, Any] = {"link": self._link, "limit": limit, "lease": LEASE}

        async def work(connection: FastConnection) -> list[dict[str, Any]]:
            return await connection.fetch("take_messages", values)

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

        return bool(
            await self.turns.fetch("finish_message", values, about=message.id, timeout=timeout)
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


class _Asking:
    """
    One text that the store is asked to take.

    Args:
        store: The store.
        text: The text.
        same: Digest of its request.
        name: What it is called.
        judged: By which rules it was judged.
        hands: Who sends it at once.
        scope: Whose bindings there are.
        validity: How long it is tried.
        open_modes: Whether strangers get through.
    """

    def __init__(
        self,
        store: MessageStore,
        text: Text,
        same: bytes,
        *,
        said: bytes | None,
        name: str,
        judged: JudgedBy,
        hands: Hands | None,
        scope: Scope,
        validity: timedelta,
        open_modes: bool,
    ) -> None:
        self._store = store
        self._text = text
        self._same = same
        self._said = said
        self._name = name
        self._judged = judged
        self._hands = hands
        self._scope = scope
        self._validity = validity
        self._open_modes = open_modes
        self._strangers: tuple[int, ...] = ()
        # The binding whose A is to answer the sender, once it is known.
        self._stranger_of: int | None = None
        # By what was asked last, which is what is answered.
        self._leased = False
        self.asked = False
        """Whether the database was."""
        self._asked_twice = False
        self.given_up = False
        """Whether it must not be any more."""

    def values(self) -> dict[str, Any]:
        """
        What the statement is given.

        Raises:
            StoreUnavailable: It must not be asked any more.
        """
        if self.given_up:
            raise StoreUnavailable("nobody waits for it any more")
        self._asked_twice = self.asked
        self.asked = True
        keys, link, text, judged = self._store.keys, self._store.link, self._text, self._judged
        hands = self._hands
        self._leased = hands is not None and judged.hold is None and hands.free
        return {
            **key_ids(keys),
            "strangers": list(self._strangers),
            "block": text.x_number.block.value,
            "x_number": text.x_number.value,
            "tags": sender_tags(text, keys, open_modes=self._open_modes),
            "id": self._name,
            "day": message_day(self._name),
            "same": self._same,
            "asked": self._said,
            "link_in": link,
            "link_out": link,
            "validity": self._validity,
            "octets": text.octets,
            "parts": text.parts,
            "body": None
            if isinstance(text, CarriedText)
            else keys.seal_text(text.body, self._name),
            "rules": judged.version,
            "hold": judged.hold,
            "opts_out": judged.opts_out,
            "lease": LEASE if self._leased else None,
            **self._scope.values,
            **_checked("check", judged.operator),
            **_checked("tenant_check", judged.checked),
            **sealed_stranger(text, keys, self._stranger_of),
        }

    async def read(
        self, connection: FastConnection, rows: list[dict[str, Any]]
    ) -> Admission | Repeated:
        """
        What the statement answered; what it stored is on its way by then.

        Raises:
            StoreError: The store failed.
            SealError: The receiver does not open.
        """
        if rows[0]["admitted"] is None:
            return await self._repeated(connection)
        answer = self._admission(rows[0])
        while not answer.admitted and self._learns(answer):
            row = await self._write(connection)
            if row is None:
                return await self._repeated(connection)
            answer = self._admission(row)
        hit, hands = answer.facts.hit, self._hands
        if answer.admitted and hands is not None and hit is not None:
            if self._leased:
                hands.hand_over(self._stored(hit, answer.now))
            else:
                hands.wake()
        return answer

    def _learns(self, answer: Admission) -> bool:
        """
        Whether it has told what it is to be asked with again.
        """
        if answer.strangers:
            # A lock of somebody else with the same tag keeps nobody off.
            self._strangers += answer.strangers
            return True
        binding = None if self._judged == UNASKED_OF else answered_by(self._text, answer)
        if binding in {None, self._stranger_of}:
            return False
        self._stranger_of = binding
        return True

    async def alone(self, connection: FastConnection) -> Admission | Repeated:
        """
        Ask in a transaction of its own.

        Raises:
            StoreError: The store failed.
            SealError: The receiver does not open.
        """
        row = await self._write(connection)
        if row is None:
            return await self._repeated(connection)
        return await self.read(connection, [row])

    async def _repeated(self, connection: FastConnection) -> Repeated:
        """
        It was taken before: perhaps by ourselves, on a line that was lost before it said so.
        """
        if self._hands is not None and self._asked_twice:
            # Then nobody sends it.
            values = {
                "block": self._text.x_number.block.value,
                "id": self._name,
                "attempts": 1,
                "pause": timedelta(),
                "known": True,
            }
            await connection.execute(query("put_off_message"), values)
            self._hands.wake()
        return Repeated()

    async def _write(self, connection: FastConnection) -> dict[str, Any] | None:
        """
        Ask; :obj:`None` where the same request was taken before.
        """
        try:
            rows = await self._store.write_sealed(connection, "admit_message", self.values)
        except psycopg.errors.UniqueViolation as error:
            if violated(error) != _SEEN:
                raise
            return None
        return None if rows[0]["admitted"] is None else rows[0]

    def _admission(self, row: dict[str, Any]) -> Admission:
        text = self._text
        return read_admission(row, text.sender, text.x_number, self._store.keys, text=True)

    def _stored(self, hit: RouteHit, now: datetime) -> Outgoing:
        """
        What was stored as in hand, as :meth:`MessageStore.take` would tell it.
        """
        assert hit.shown is not None  # noqa: S101 - a text without one is not admitted
        over = min(filter(None, (now + self._validity, hit.expires_at, hit.child_until)))
        return Outgoing(
            id=self._name,
            attempts=1,
            maybe_twice=False,
            receiver=parties_of(hit, now)[0],
            shown=hit.shown,
            body=self._text.body,
            left=over - now,
        )


async def _one(
    connection: FastConnection, name: str, values: dict[str, Any]
) -> dict[str, Any] | None:
    row: dict[str, Any] | None = await (await connection.execute(query(name), values)).fetchone()
    return row


def _checked(name: str, checked: Checked | None) -> dict[str, Any]:
    told = (None,) * 3 if checked is None else (checked.id, checked.verdict, checked.ms)
    return dict(zip((f"{name}_id", f"{name}_verdict", f"{name}_ms"), told, strict=True))


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

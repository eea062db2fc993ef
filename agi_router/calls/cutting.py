"""
Cutting: calls that are up as a lock begins, or consent is withdrawn, which is to end them.

Either is written by the command line or the HTTP door, in another process. A router hears of it by
the look at the database that it has anyway, once a second, and looks then for calls of its own
Asterisk. Several routers of one Asterisk find the same calls; cutting one twice is of no harm.

Rules for the editor:

1. A call is found by tags, which may be those of strangers, and by its binding, whose other
   parties may be the ones who talk. Asterisk knows who does: it is asked before a call is cut.
2. Calls are cut one by one, by their ids. There is no list of all channels: in one frame it would
   end Asterisk where there are many.
3. The reason goes on record first. Where the router dies in between, the next look cuts the call.
"""

import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Protocol

from agi_router.ari import AriClient, AriRefused
from agi_router.bindings.reasons import Reason
from agi_router.calls.identity import Signalled, read_caller
from agi_router.calls.store import AdmissionStore, calls_of
from agi_router.db.fast_connection import FastConnection
from agi_router.db.queries import query
from agi_router.errors import NumberError
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber
from agi_router.persons.effect_rows import read_effect
from agi_router.persons.effects import Effect, find_strongest

__all__ = ["Cutter"]

log = logging.getLogger(__name__)

# Call rejected: both legs are told so.
_CAUSE: Final = 21
_GONE: Final = 404
_TIMEOUT: Final = 10.0


class _AtHand(Protocol):
    def __call__(self, job: str, /) -> AbstractAsyncContextManager[AriClient]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Up:
    """
    A call that goes on, and the grounds on which it may have to be cut.
    """

    call_id: str
    block: int
    day: date
    grounds: tuple["_Ground", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """
    A lock, or a line of the ledger by which somebody has withdrawn.

    Attributes:
        name: What it is known by.
        person: Who has to be in the call; :obj:`None`: whoever is.
        lock: The lock.
    """

    name: str
    person: PhoneNumber | None
    lock: Effect | None

    @property
    def reason(self) -> str:
        """
        What stands on the call's record.
        """
        return Reason.CONSENT_WITHDRAWN if self.lock is None else self.lock.reason


class Cutter:
    """
    Cuts calls of the Asterisk that is served.

    Args:
        store: Where calls and locks are kept.
        at_hand: How Asterisk is asked, where there is something to ask.
        believe_from: Whether a caller whom nobody asserts is who From says.
        fixed_lines: Whether fixed lines may call.
    """

    def __init__(
        self, store: AdmissionStore, at_hand: _AtHand, *, believe_from: bool, fixed_lines: bool
    ) -> None:
        self._store = store
        self._at_hand = at_hand
        self._believe_from = believe_from
        self._fixed_lines = fixed_lines
        # Calls with none of those who are locked in them: Asterisk is asked once.
        self._passed: frozenset[tuple[str, str]] = frozenset()

    async def look(self) -> None:
        """
        Cut what is to be cut now.

        Raises:
            StoreError: No answer.
            SealError: A lock does not open.
            AsteriskError: Asterisk cannot be asked.
        """
        found = await self._find()
        self._passed &= {(call.call_id, each.name) for call in found for each in call.grounds}
        left = [call for call in found if any(self._new(call, each) for each in call.grounds)]
        if left:
            async with self._at_hand("cut") as ari:
                for call in left:
                    await self._cut(ari, call)

    def _new(self, call: _Up, ground: _Ground) -> bool:
        return (call.call_id, ground.name) not in self._passed

    async def _find(self) -> Sequence[_Up]:
        if self._store.node is None:
            return []
        after, before = calls_of(self._store.node)
        values = {"node": self._store.node, "after": after, "before": before}

        async def work(connection: FastConnection) -> list[dict[str, Any]]:
            return await (await connection.execute(query("find_cuts"), values)).fetchall()

        keys = self._store.keys
        rows = await self._store.pool.submit(work, timeout=_TIMEOUT)
        return [
            _Up(
                call_id=row["id"],
                block=row["block"],
                day=row["day"],
                grounds=tuple(_read_ground(each, keys) for each in row["locks"]),
            )
            for row in rows
        ]

    async def _cut(self, ari: AriClient, call: _Up) -> None:
        """
        Cut a call, if a lock is on what it uses, or one who is in it is locked or has withdrawn.
        """
        of_persons = any(each.person is not None for each in call.grounds)
        people = await self._people(ari, call) if of_persons else frozenset()
        if people is None:
            return
        hit = _strongest(
            [each for each in call.grounds if each.person is None or each.person in people]
        )
        if hit is None:
            self._passed |= {(call.call_id, each.name) for each in call.grounds}
            return
        await self._note(call, hit.reason)
        try:
            await ari.hangup(call.call_id, reason_code=_CAUSE)
        except AriRefused as error:
            if error.status != _GONE:
                raise
        log.info(
            "call.cut", extra={"call": call.call_id, "ground": hit.name, "reason": str(hit.reason)}
        )

    async def _note(self, call: _Up, reason: str) -> None:
        values = {"block": call.block, "day": call.day, "id": call.call_id, "reason": reason}

        async def work(connection: FastConnection) -> None:
            await connection.execute(query("note_cut"), values)

        await self._store.pool.submit(work, timeout=_TIMEOUT)

    async def _people(self, ari: AriClient, call: _Up) -> frozenset[PhoneNumber] | None:
        """
        The persons of its grounds who are in a call; :obj:`None` where it is over, or not dialled.

        While several ring, each of them is.
        """
        said = await _variable(ari, call.call_id, "CALLER")
        callees = await _variable(ari, call.call_id, "DIALEDPEERNUMBER") or await _variable(
            ari, call.call_id, "CALLEE"
        )
        if not (said and callees):
            return None
        caller = self._read(said)
        # As it was dialled: perhaps with a prefix, and with the endpoint behind it.
        dialled = [each.partition("@")[0] for each in callees.split("+")]
        return frozenset(
            each.person
            for each in call.grounds
            if each.person is not None
            and (
                each.person == caller
                or any(number.endswith(each.person.digits) for number in dialled)
            )
        )

    def _read(self, said: str) -> PhoneNumber | None:
        caller = read_caller(Signalled.from_dialplan(said), believe_from=self._believe_from)
        if isinstance(caller, Reason):
            return None
        try:
            return PhoneNumber.parse(caller, fixed_lines=self._fixed_lines)
        except NumberError:
            return None


def _read_ground(row: dict[str, Any], keys: KeyRing) -> _Ground:
    """
    Read a ground, as ``agi_router.find_cuts`` has it.

    Raises:
        SealError: The person does not open with these keys.
        RowInvalid: It is what is never written.
    """
    if row["subject"] != "consent":
        lock = read_effect(row, keys)
        return _Ground(name=f"lock {lock.id}", person=lock.person, lock=lock)
    sealed = bytes.fromhex(row["sealed"])
    person = keys.open_person(sealed, row["person_id"], row["key"])
    return _Ground(name=f"consent {row['id']}", person=person, lock=None)


def _strongest(grounds: Sequence[_Ground]) -> _Ground | None:
    """
    Of several grounds the one that is told: a lock before a withdrawal.
    """
    lock = find_strongest(each.lock for each in grounds if each.lock is not None)
    return next((each for each in grounds if each.lock is lock), None)


async def _variable(ari: AriClient, channel: str, name: str) -> str:
    """
    A variable of a channel; empty where it is not set, or the channel is gone.
    """
    try:
        return await ari.channel_variable(channel, name)
    except AriRefused as error:
        if error.status != _GONE:
            raise
        return ""

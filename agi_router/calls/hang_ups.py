"""
Hang-ups that nobody hears of: those during a warning before the end of a call.

What ``L()`` of ``Dial()`` plays takes a hang-up for its own end (``waitstream_core`` of Asterisk,
``main/file.c``), and the bridge is not told (``bridge_channel_handle_interval`` of
``main/bridge_channel.c``, up to 22.10 at least). No sound comes from that side any more, so
nothing wakes its thread until ``rtp_timeout``: the other side stays in a dead call.

But Asterisk has noted whose hang-up it was, on both channels. So while a call is in its last
minutes, which few ever are, it is asked for that once a second, and the call is ended.

Rules for the editor:

1. A warning needs no router: limits and what is spoken are Asterisk's own. Without a router it
   takes ``rtp_timeout`` again.
2. The database is asked for calls that are near, and they are remembered: a look reads all calls
   that go on, so the pause behind it is two thousand times as long as it took, and ten seconds at
   most. While the database is away, those that are remembered are asked for all the same.
3. A call is asked for until it is over, for what wakes a channel that still plays is lost, too.
"""

import logging
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol

from agi_router.ari import AriClient, AriRefused
from agi_router.calls.store import AdmissionStore, calls_of
from agi_router.db.fast_connection import FastConnection
from agi_router.db.queries import query

__all__ = ["HangUpWatch"]

log = logging.getLogger(__name__)

_WARNING: Final = "AGI_ROUTER_WARNING"
# Normal clearing, as of any hang-up.
_CAUSE: Final = 16
_GONE: Final = 404
_TIMEOUT: Final = 10.0
# Seconds between two looks for calls, at most; find_warned.sql looks one further. They may take
# one part of so many of the time.
_MOST: Final = 10.0
_SHARE: Final = 2000


class _AtHand(Protocol):
    def __call__(self, job: str, /) -> AbstractAsyncContextManager[AriClient]: ...


@dataclass(frozen=True, slots=True)
class _Call:
    """
    A call that is warned from a monotonic second on, at the earliest.
    """

    call_id: str
    warned_from: float


class HangUpWatch:
    """
    Ends calls of the Asterisk that is served of which a side has hung up during a warning.

    Args:
        store: Where calls are kept.
        at_hand: How Asterisk is asked, where there is something to ask.
        longest: Of bindings that say nothing.
    """

    def __init__(self, store: AdmissionStore, at_hand: _AtHand, *, longest: timedelta) -> None:
        self._store = store
        self._at_hand = at_hand
        self._longest = longest
        self._near: list[_Call] = []
        self._look_at = 0.0

    async def look(self) -> None:
        """
        Look once.

        Raises:
            StoreError: No answer.
            AsteriskError: Asterisk cannot be asked.
        """
        try:
            if time.monotonic() >= self._look_at:
                await self._look_for_more()
        finally:
            await self._end_left()

    async def _end_left(self) -> None:
        due = [each for each in self._near if each.warned_from <= time.monotonic()]
        if due:
            async with self._at_hand("hang_ups") as ari:
                for call in due:
                    if not await _end_if_left(ari, call.call_id):
                        self._near.remove(call)

    async def _look_for_more(self) -> None:
        begun = time.monotonic()
        async with self._at_hand("hang_ups") as ari:
            warning = _seconds(await ari.get_variable(_WARNING))
        # Where nobody is warned, no call is looked for.
        self._near = await self._find(self._store.node, warning) if warning else []
        now = time.monotonic()
        self._look_at = now + min(_MOST, _SHARE * (now - begun))

    async def _find(self, node: str | None, warning: int) -> list[_Call]:
        if node is None:
            return []
        after, before = calls_of(node)
        longest = self._longest // timedelta(seconds=1)
        values = {
            "node": node,
            "after": after,
            "before": before,
            "longest": longest,
            "warning": warning,
        }

        async def work(connection: FastConnection) -> list[dict[str, Any]]:
            return await (await connection.execute(query("find_warned"), values)).fetchall()

        rows = await self._store.pool.submit(work, timeout=_TIMEOUT)
        now = time.monotonic()
        return [_Call(row["id"], now + row["warned_in"]) for row in rows]


async def _end_if_left(ari: AriClient, call_id: str) -> bool:
    """
    End a call if a side has left it; returns whether it went on until now.
    """
    try:
        # On both channels, since they are joined.
        source = await ari.channel_variable(call_id, "CHANNEL(hangupsource)")
        if source:
            await ari.hangup(call_id, reason_code=_CAUSE)
            log.info("call.left", extra={"call": call_id})
    except AriRefused as error:
        if error.status != _GONE:
            raise
        return False
    return True


def _seconds(said: str) -> int:
    """
    The global as the dialplan has it; what is no number warns nobody.
    """
    return int(said) if said.isascii() and said.isdigit() else 0

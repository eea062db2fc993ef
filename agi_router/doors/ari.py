"""
The ARI door: calls that enter the Stasis application are answered by the router, once.
"""

import asyncio
import contextlib
import logging
from dataclasses import replace
from datetime import timedelta

from agi_router.ari import (
    ApplicationReplaced,
    AriClient,
    AriError,
    AriRefused,
    Connected,
    StasisStart,
    UserEvent,
)
from agi_router.bindings.reasons import Reason
from agi_router.calls.decision import Refusal
from agi_router.calls.dialplan import Destination
from agi_router.calls.merged import First
from agi_router.calls.router import Arrival, Router
from agi_router.clocks import OtherClock, steady
from agi_router.pbx import rules as profile

__all__ = ["EVENTS", "AriDoor"]

log = logging.getLogger(__name__)

EVENTS = ("StasisStart", "ChannelUserevent")
"""The events that Asterisk is asked to send."""

# Calls whose parts are kept at once. Who has not come for them in the dialplan's patience never
# will.
_PARTED = 1000
_PART_LIFE = 10.0
_MORE = ("more",)
# The event by which Asterisk is asked for the time; seconds between two questions, and at least
# so many where a call is found to be late.
_TIME = "agi_router_time"
_ASK_TIME = 10.0
_ASK_TIME_AGAIN = 1.0


class AriDoor:
    """
    Answers the calls of one ARI application.

    Args:
        ari: The connected client.
        router: Who decides.
        waiting_limit: How many calls may wait for a decision at once. At 300 calls/s each waits
            some milliseconds; a crowd means that the database hangs or that more calls come than
            can be served, and more waiting helps nobody: they are refused at once.
        patience: How long the dialplan waits for an answer before it asks another door. Measured
            from the event's own time: the clock is that of Asterisk, and is compared with ours.
    """

    def __init__(
        self, ari: AriClient, router: Router, *, waiting_limit: int, patience: timedelta
    ) -> None:
        self._ari = ari
        self._router = router
        self._waiting_limit = waiting_limit
        self._patience = patience.total_seconds()
        self._calls: set[asyncio.Task[None]] = set()
        self._parted: dict[str, Destination] = {}
        # Not all of them: who is refused for the crowd is no part of it. A burst that arrives at
        # once is served up to the limit.
        self._deciding = 0
        self.clock = OtherClock("Asterisk's", limit=patience / timedelta(seconds=2))
        """Asterisk's clock."""
        self._asked_at: float | None = None
        self._ask_time = asyncio.Event()
        self.connected = asyncio.Event()
        """Set at each (re)connection; whoever waits for it clears it."""
        self.replaced = asyncio.Event()
        """Set when another router has taken the application over: no more calls come here."""

    @property
    def waiting(self) -> int:
        """
        How many calls wait for a decision.
        """
        return self._deciding

    async def serve(self) -> None:
        """
        Take calls until the client is closed.
        """
        async for event in self._ari:
            match event:
                case StasisStart(args=(profile.LOOK,)):
                    pass
                case StasisStart():
                    task = asyncio.create_task(self._take(event))
                    self._calls.add(task)
                    task.add_done_callback(self._calls.discard)
                case UserEvent(name=name) if name == _TIME and self._asked_at is not None:
                    self.clock.told(event.timestamp, asked=self._asked_at)
                    self._asked_at = None
                case Connected():
                    self.connected.set()
                    self._ask_time.set()
                case ApplicationReplaced():
                    # Its calls came before this event, and requests for them are still heard.
                    self.replaced.set()
                case _:
                    pass

    async def compare_clocks(self) -> None:
        """
        Compare Asterisk's clock with ours, for ever.
        """
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ASK_TIME):
                    await self._ask_time.wait()
            self._ask_time.clear()
            self._asked_at = steady()
            try:
                await self._ari.raise_event(_TIME)
            except AriError as error:
                log.info("clock.deferred", extra={"error": str(error)})
            await asyncio.sleep(_ASK_TIME_AGAIN)

    async def drain(self) -> None:
        """
        Wait until every call taken has its answer.
        """
        while self._calls:
            await asyncio.wait(self._calls)

    async def _take(self, event: StasisStart) -> None:
        late = self.clock.steadily(event.timestamp) + self._patience
        # A process that was frozen finds calls that have gone elsewhere: none of them is taken.
        destination = None if steady() > late else await self._answer(event)
        # And it may have been frozen just now. Whatever it said would fetch the call back from
        # another router; what it has reserved is settled with the call.
        if destination is None or steady() > late:
            log.warning("call.late", extra={"call": event.channel.id})
            # Or somebody has set Asterisk's clock back.
            self._ask_time.set()
            return
        if destination.later:
            destination = self._part(event.channel.id, destination)
        try:
            await self._ari.continue_in_dialplan(
                event.channel.id, context=destination.context, extension=destination.extension
            )
        except AriRefused as error:
            # 404, 409: the caller did not wait. The hangup handler reports the end.
            log.info("call.gone", extra={"call": event.channel.id, "status": error.status})
        except (AriError, ValueError) as error:
            # The dialplan's patience ends the wait, and the hangup handler reports the end.
            log.warning("call.unanswered", extra={"call": event.channel.id, "error": str(error)})

    async def _answer(self, event: StasisStart) -> Destination:
        if event.args == _MORE:
            return self._next(event.channel.id)
        return await self._decide(event)

    async def _decide(self, event: StasisStart) -> Destination:
        if self._deciding >= self._waiting_limit:
            refusal = Refusal(reason=Reason.NO_CAPACITY)
            return self._router.destination(refusal, event.channel.id)
        channel = event.channel
        arrival = Arrival.from_dialplan(
            channel.id, channel.name, event.args, request=channel.protocol_id
        )
        self._deciding += 1
        try:
            return await self._router.answer(arrival, self._lives)
        finally:
            self._deciding -= 1

    async def _lives(self, first: First) -> bool:
        try:
            return await self._ari.has_channel(first.call_id)
        except (AriError, ValueError):
            return True

    def _part(self, call_id: str, destination: Destination) -> Destination:
        """
        Keep what does not go along with the first part of *destination*.
        """
        if call_id not in self._parted:
            if len(self._parted) >= _PARTED:
                return self._router.destination(Refusal(reason=Reason.NO_CAPACITY), call_id)
            asyncio.get_running_loop().call_later(_PART_LIFE, self._parted.pop, call_id, None)
        after, *later = destination.later
        self._parted[call_id] = replace(after, later=tuple(later))
        return destination

    def _next(self, call_id: str) -> Destination:
        """
        The part that follows on the one sent before.
        """
        after = self._parted.pop(call_id, None)
        if after is None:
            return self._router.destination(Refusal(reason=Reason.PLATFORM_FAULT), call_id)
        return after

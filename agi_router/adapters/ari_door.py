"""
The ARI door: calls that enter the Stasis application are answered by the router, once.
"""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from agi_router.ari import (
    ApplicationReplaced,
    AriClient,
    AriError,
    AriRefused,
    Connected,
    StasisStart,
)
from agi_router.errors import AsteriskError
from agi_router.extension import Destination
from agi_router.model import Reason, Refusal
from agi_router.router import Arrival, Router

__all__ = ["EVENTS", "AriDoor"]

log = logging.getLogger(__name__)

EVENTS = ("StasisStart",)
"""The events that Asterisk is asked to send."""

# Calls that may wait for a decision at once. At 300 calls/s each waits some milliseconds; a crowd
# like this means that the database hangs, and more waiting helps nobody.
_CROWD = 1000


class AriDoor:
    """
    Answers the calls of one ARI application.

    Args:
        ari: The connected client.
        router: Who decides.
        patience: How long the dialplan waits for an answer before it asks another door. Measured
            from the event's own time: the clock is that of Asterisk.
    """

    def __init__(self, ari: AriClient, router: Router, *, patience: timedelta) -> None:
        self._ari = ari
        self._router = router
        self._patience = patience
        self._calls: set[asyncio.Task[None]] = set()
        self.connected = asyncio.Event()
        """Set at each (re)connection; whoever waits for it clears it."""

    async def serve(self) -> None:
        """
        Take calls until the client is closed.

        Raises:
            AsteriskError: Another router took the application over.
        """
        async for event in self._ari:
            match event:
                case StasisStart():
                    task = asyncio.create_task(self._take(event))
                    self._calls.add(task)
                    task.add_done_callback(self._calls.discard)
                case Connected():
                    self.connected.set()
                case ApplicationReplaced():
                    raise AsteriskError(
                        f"another router took over the ARI application {event.application!r};"
                        " run one per application name"
                    )
                case _:
                    pass

    async def drain(self) -> None:
        """
        Wait until every call taken has its answer.
        """
        while self._calls:
            await asyncio.wait(self._calls)

    async def _take(self, event: StasisStart) -> None:
        # A process that was frozen finds calls that have gone elsewhere: none of them is taken.
        destination = None if self._is_late(event) else await self._decide(event)
        # And it may have been frozen just now. Whatever it said would fetch the call back from
        # another router; what it has reserved is settled with the call.
        if destination is None or self._is_late(event):
            log.warning("call.late", extra={"call": event.channel.id})
            return
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

    async def _decide(self, event: StasisStart) -> Destination:
        if len(self._calls) > _CROWD:
            return self._router.destination(Refusal(reason=Reason.NO_CAPACITY), event.channel.id)
        # Anything but what our dialplan sends has not come through it.
        dialled, presentation = event.args if len(event.args) == 2 else ("", "")  # noqa: PLR2004
        return await self._router.answer(
            Arrival(
                call_id=event.channel.id,
                caller=event.channel.caller_number,
                presentation=presentation,
                dialled=dialled,
            )
        )

    def _is_late(self, event: StasisStart) -> bool:
        return datetime.now(UTC) > event.timestamp + self._patience

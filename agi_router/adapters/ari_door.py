"""
The ARI door: calls that enter the Stasis application are answered by the router, once.
"""

import asyncio
import logging

from agi_router.ari import (
    ApplicationReplaced,
    AriClient,
    AriError,
    AriRefused,
    Connected,
    StasisStart,
)
from agi_router.errors import AsteriskError
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
    """

    def __init__(self, ari: AriClient, router: Router) -> None:
        self._ari = ari
        self._router = router
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
        channel = event.channel
        # Anything but what our dialplan sends has not come through it.
        dialled, presentation = event.args if len(event.args) == 2 else ("", "")  # noqa: PLR2004
        if len(self._calls) > _CROWD:
            refusal = Refusal(reason=Reason.NO_CAPACITY)
            destination = self._router.destination(refusal, channel.id)
        else:
            destination = await self._router.answer(
                Arrival(
                    call_id=channel.id,
                    caller=channel.caller_number,
                    presentation=presentation,
                    dialled=dialled,
                    # "PJSIP/carrier-in-0000002a": the endpoint, and a number of the channel.
                    trunk=channel.name.rpartition("-")[0],
                )
            )
        try:
            await self._ari.continue_in_dialplan(
                channel.id, context=destination.context, extension=destination.extension
            )
        except AriRefused as error:
            # 404, 409: the caller did not wait. The hangup handler reports the end.
            log.info("call.gone", extra={"call": channel.id, "status": error.status})
        except (AriError, ValueError) as error:
            # The dialplan's patience ends the wait, and the hangup handler reports the end.
            log.warning("call.unanswered", extra={"call": channel.id, "error": str(error)})

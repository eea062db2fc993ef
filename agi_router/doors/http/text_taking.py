"""
What takes texts for the HTTP door: connections of its own, as the doors for texts have them.

They are opened with the first text and closed when none has come for some seconds: so few ask for
it that nothing is to be kept for them, and after a rotation the old keys are soon unknown here.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from typing import Final

from agi_router.bindings.reasons import Reason
from agi_router.doors.http.options import Options
from agi_router.errors import AgiRouterError
from agi_router.keys.ring import KeyRing
from agi_router.messages.limits import TextLimits
from agi_router.messages.model import Text
from agi_router.messages.store import Repeated
from agi_router.messages.taking import Accepted, OpenPlace, TextPlace
from agi_router.schemas.problems import Problem
from agi_router.tenants.scope import Scope

__all__ = ["TextTaking"]

_KEPT: Final = 3.0
# Seconds that the store has for each step.
_PATIENCE: Final = 5.0
_FORGET_EVERY: Final = 60.0
_FORGETTING: Final = 10.0


@dataclass(slots=True, eq=False)
class _Opened:
    """
    A place that is open, in the loop that has opened it.
    """

    place: TextPlace
    keys: KeyRing
    loop: asyncio.AbstractEventLoop
    closing: contextlib.AsyncExitStack
    users: int = 0
    idle: asyncio.TimerHandle | None = field(default=None)


class TextTaking:
    """
    Takes texts.

    Args:
        options: As the operator has set them.
    """

    def __init__(self, options: Options) -> None:
        self._open = options.open_place
        self.limits = TextLimits(*options.text_limits)
        """How many of a sender, to a number, and of a tenant."""
        self._opened: _Opened | None = None
        self._forget_at = 0.0
        self._beside: set[asyncio.Task[None]] = set()

    async def take(
        self, text: Text, same: bytes, *, asked: bytes, keys: KeyRing, link: str, scope: Scope
    ) -> Accepted | Repeated | Reason:
        """
        Take a text.

        Args:
            text: The text.
            same: Digest of its request.
            asked: Digest of what it asks for.
            keys: Those of this moment.
            link: The door by which it goes out.
            scope: By whose bindings it may go.

        Raises:
            Problem: The store could not be asked: nothing is taken.
            StoreError: Nobody knows whether it was taken.
            SealError: The receiver does not open.
        """
        if self._open is None:
            raise Problem.of_door("busy", headers={"Retry-After": "1"})
        if time.monotonic() >= self._forget_at:
            self._forget_at = time.monotonic() + _FORGET_EVERY
            self._start(self._forget(self._open, keys))
        async with self._lend(self._open, keys) as place:
            taken = await place.take(
                text,
                same,
                asked=asked,
                link=link,
                limits=self.limits,
                scope=scope,
                timeout=_PATIENCE,
            )
        if isinstance(taken, Accepted | Repeated | Reason):
            return taken
        raise Problem.of_door("busy", headers={"Retry-After": "1"})

    @contextlib.asynccontextmanager
    async def _lend(self, open_place: OpenPlace, keys: KeyRing) -> AsyncIterator[TextPlace]:
        loop = asyncio.get_running_loop()
        opened = self._opened
        if opened is None or opened.keys.digest != keys.digest or opened.loop is not loop:
            closing = contextlib.AsyncExitStack()
            place = await closing.enter_async_context(open_place(keys))
            before, opened = self._opened, _Opened(place, keys, loop, closing)
            self._opened = opened
            if before is not None and before.loop is loop:
                self._close_unused(before)
        opened.users += 1
        if opened.idle is not None:
            opened.idle.cancel()
        try:
            yield opened.place
        finally:
            opened.users -= 1
            opened.idle = loop.call_later(_KEPT, self._close_unused, opened)

    def _close_unused(self, opened: _Opened) -> None:
        """
        Close a place that nobody uses; whoever uses it last sees to it else.
        """
        if opened.users:
            return
        if self._opened is opened:
            self._opened = None
        if opened.idle is not None:
            opened.idle.cancel()
        self._start(opened.closing.aclose())

    async def _forget(self, open_place: OpenPlace, keys: KeyRing) -> None:
        """
        Forget requests that are too old to come again: no door for texts may do it here.
        """
        with contextlib.suppress(AgiRouterError):
            async with self._lend(open_place, keys) as place:
                await place.forget_seen(timeout=_FORGETTING)

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

"""
A thread beside the event loop, for work that blocks: a disk, a database, a name that is looked up.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["SideThread"]

_Result = TypeVar("_Result")
_Item = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class SideThread:
    """
    One thread that does one piece of work after the other.

    A piece that hangs (a disk that is gone) keeps those behind it waiting, and nobody else: not
    the event loop, not the end of the process, and no other thread.

    Args:
        name: What it is called.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._items: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def do(self, work: Callable[..., _Result], *arguments: object) -> _Result:
        """
        Do *work* and return its result; where nobody waits any more, it is not begun.
        """
        loop = asyncio.get_running_loop()
        result: asyncio.Future[_Result] = loop.create_future()
        if self._thread is None:
            # A daemon: the process does not wait for it at its end.
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        self._items.put((loop, result, lambda: work(*arguments)))
        return await result

    @property
    def wanted(self) -> bool:
        """
        Whether more waits behind what is being done; for that, which may end early.
        """
        return not self._items.empty()

    def _work(self) -> None:
        while True:
            loop, result, work = self._items.get()
            if result.done():
                continue
            try:
                told: tuple[Any, BaseException | None] = (work(), None)
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
                told = (None, error)
            try:
                loop.call_soon_threadsafe(_tell, result, *told)
            except RuntimeError:
                # The loop is closed: nobody waits any more.
                return


def _tell(result: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if result.done():
        return
    if error is None:
        result.set_result(value)
    else:
        result.set_exception(error)

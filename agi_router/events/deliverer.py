"""
Delivering: what is owed is taken, sent by threads, and noted as it ends.

One thread works with the database, the others only send. So no transaction is open while a
receiver is waited for, and a slow receiver takes at most half of what the others leave.
"""

import json
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import timedelta
from enum import StrEnum
from queue import Empty, SimpleQueue
from typing import Final

from agi_router.db.connection import Connection
from agi_router.errors import StoreError
from agi_router.events.deliveries import Backlog, Delivery, DeliveryStore, Due, Parcel
from agi_router.events.model import WebhookState, event_name
from agi_router.events.schedule import IN_FLIGHT, PROBED_AFTER, next_delay, pause_of_webhook
from agi_router.events.sender import Answer, Request, Try
from agi_router.events.shapes import is_damaged, shape_of
from agi_router.events.signature import signed_headers
from agi_router.keys.ring import KeyRing

__all__ = ["Deliverer", "Result"]

log = logging.getLogger(__name__)

_THREADS: Final = 64
# Seconds between two looks at what is owed: a look costs an idle database some 0.1 ms.
_LOOK: Final = 0.2
# Seconds between two looks at what the clock has ended.
_EXPIRE: Final = 1.0
_FORGET: Final = 600.0
# Seconds between two counts of what is owed, and after which one who has not moved hangs.
_COUNT: Final = 60.0
_STILL: Final = 60.0
_RETRY: Final = 1.0
_RANDOM = random.SystemRandom()


class Result(StrEnum):
    """
    How a try ended.
    """

    DELIVERED = "delivered"
    FAILED = "failed"
    UNREADABLE = "unreadable"
    """It could not be sent."""
    HELD = "held"
    """One of the two before, and there is to be no further try."""


class Deliverer:
    """
    Delivers what webhooks are owed, and tells of bindings that the clock ends.

    Args:
        connect: A connection to the database, as a context.
        keys: The keys as they are now; asked before each look.
        allowed: Hosts that may have any address, and be reached without TLS.
        threads: How many deliveries are under way at once.
    """

    def __init__(
        self,
        connect: Callable[[KeyRing], AbstractContextManager[Connection]],
        keys: Callable[[], KeyRing],
        *,
        allowed: Collection[str] = (),
        threads: int = _THREADS,
    ) -> None:
        self._connect = connect
        self._keys = keys
        self._allowed = frozenset(allowed)
        self._threads = threads
        self._ended: SimpleQueue[tuple[Parcel, Answer]] = SimpleQueue()
        # By the parcel itself: of two that are alike, one asked for again beside one under way,
        # each ends.
        self._under_way: dict[int, Try] = {}
        self._of_webhook: Counter[int] = Counter()
        self._kept: list[tuple[Parcel, Answer]] = []
        self._moved = time.monotonic()
        self._counted = -_COUNT
        self.ended = dict.fromkeys(Result, 0)
        """How many tries have ended, by how."""
        self.backlog = Backlog()
        """What webhooks are owed, as it was counted last."""
        self.trouble: list[str] = []
        """What keeps it from delivering, a line each."""

    @property
    def under_way(self) -> int:
        """
        How many deliveries have not ended yet.
        """
        return len(self._under_way)

    @property
    def alive(self) -> bool:
        """
        Whether it has moved lately.
        """
        return time.monotonic() - self._moved < _STILL

    def run(self, stop: threading.Event, alive: Callable[[], None] = lambda: None) -> None:
        """
        Deliver until *stop* is set; what is under way then is waited for and noted.

        A database that is away is tried again.

        Args:
            stop: When to end.
            alive: Called some times a second.
        """
        with ThreadPoolExecutor(self._threads, thread_name_prefix="deliver") as pool:
            while not (stop.is_set() and not self._under_way and not self._kept):
                alive()
                self._moved = time.monotonic()
                keys = self._keys()
                try:
                    with self._connect(keys) as connection:
                        self.trouble = []
                        self._work(DeliveryStore(connection), keys, pool, stop, alive)
                except StoreError as error:
                    self.trouble = [f"database: {error}"]
                    log.warning("database.away", extra={"error": str(error)})
                    if stop.is_set():
                        # What has been sent is sent again after its lease.
                        return
                    stop.wait(_RETRY)

    def _work(
        self,
        store: DeliveryStore,
        keys: KeyRing,
        pool: ThreadPoolExecutor,
        stop: threading.Event,
        alive: Callable[[], None],
    ) -> None:
        """
        Work on one connection, until the keys are others or there is no more to do.
        """
        expired = forgotten = -_FORGET
        while True:
            more = False
            alive()
            self._moved = time.monotonic()
            self._cut()
            self._note(store)
            if stop.is_set():
                if not self._under_way:
                    return
            elif self._keys() != keys:
                return
            else:
                now = time.monotonic()
                if now - expired >= _EXPIRE:
                    more = store.expire_bindings()
                    # As fast as they come: of a platform's orders thousands may end in a second.
                    expired = expired if more else now
                if now - forgotten >= _FORGET:
                    store.forget_attempts()
                    forgotten = now
                self._send(store, keys, pool)
                if now - self._counted >= _COUNT:
                    # Said before: a count that takes too long ends the connection, and keeps
                    # nobody from delivering on the next one.
                    self._counted = now
                    self.backlog = store.backlog()
            self._wait(0 if more else _LOOK)

    def _send(self, store: DeliveryStore, keys: KeyRing, pool: ThreadPoolExecutor) -> None:
        for webhook in store.due(keys):
            limit = self._room(webhook)
            if not limit:
                continue
            for parcel in self._claim(store, webhook, keys, limit):
                attempt = Try(self._request(parcel))
                self._under_way[id(parcel)] = attempt
                self._of_webhook[webhook.id] += 1
                pool.submit(self._run, parcel, attempt)

    def _claim(
        self, store: DeliveryStore, webhook: Due, keys: KeyRing, limit: int
    ) -> Iterator[Parcel]:
        """
        Up to so many parcels for a webhook; what cannot be read is put off.
        """
        if webhook.batch == 1:
            for delivery in self._readable(store, store.claim(webhook, keys, limit=limit)):
                yield Parcel(deliveries=(delivery,))
            return
        for _ in range(limit):
            taken = store.claim_batch(webhook, keys)
            if taken is None:
                return
            batch, deliveries = taken
            if readable := tuple(self._readable(store, deliveries)):
                yield Parcel(deliveries=readable, batch=batch)

    def _readable(
        self, store: DeliveryStore, deliveries: Iterable[Delivery]
    ) -> Iterator[Delivery]:
        for delivery in deliveries:
            if is_damaged(delivery.event, delivery.webhook.format):
                # No try mends a row, and the next events of its binding wait for it.
                self._put_off(store, delivery, None)
            elif delivery.parties is None:
                delay = next_delay(delivery.tries, delivery.owed, _RANDOM.random)
                self._put_off(store, delivery, delay)
            else:
                yield delivery

    def _room(self, webhook: Due) -> int:
        """
        How many deliveries more a webhook may have under way.
        """
        most = 1 if webhook.failures >= PROBED_AFTER else IN_FLIGHT
        own = self._of_webhook[webhook.id]
        free = self._threads - len(self._under_way)
        # Half of what others leave: so there is room for one more, however many are slow.
        share = max((free + own) // 2, min(free, 1))
        return max(0, min(most, share) - own)

    def _run(self, parcel: Parcel, attempt: Try) -> None:
        self._ended.put((parcel, attempt.run()))

    def _request(self, parcel: Parcel) -> Request:
        webhook = parcel.webhook
        shapes = [
            shape_of(each.event, each.parties or {}, webhook.format) for each in parcel.deliveries
        ]
        shape, kind = shapes[0]
        if parcel.batch is not None:
            shape = [each for each, _ in shapes]
            kind = "application/cloudevents-batch+json"
        body = json.dumps(shape, ensure_ascii=False, separators=(",", ":")).encode()
        signed = signed_headers(parcel.name, int(time.time()), body, webhook.secrets)
        return Request(
            url=webhook.url,
            headers={
                "content-type": f"{kind}; charset=utf-8",
                "user-agent": "agi-router",
                **signed,
            },
            body=body,
            format=webhook.format,
            allowed=self._allowed,
        )

    def _cut(self) -> None:
        for attempt in self._under_way.values():
            if attempt.overdue:
                attempt.cut()

    def _wait(self, longest: float) -> None:
        """
        Until something has ended, or *longest* seconds are over.
        """
        try:
            self._kept.append(self._ended.get(timeout=longest))
        except Empty:
            return

    def _note(self, store: DeliveryStore) -> None:
        """
        Note what has ended; what cannot be noted now is kept for the next connection.
        """
        while not self._ended.empty():
            self._kept.append(self._ended.get())
        arrived = [each for each in self._kept if each[1].why is None]
        if arrived:
            store.finish(arrived)
            self.ended[Result.DELIVERED] += sum(len(each.deliveries) for each, _ in arrived)
            self._forget(arrived)
        for parcel, answer in list(self._kept):
            self._fail(store, parcel, answer)
            self._forget([(parcel, answer)])

    def _fail(self, store: DeliveryStore, parcel: Parcel, answer: Answer) -> None:
        webhook = parcel.webhook
        delay = next_delay(parcel.tries, parcel.owed, _RANDOM.random, wish=answer.wish)
        pause = pause_of_webhook(webhook.failures + 1, wish=answer.wish)
        state = store.fail(parcel, answer, delay=delay, pause=pause)
        self._count(Result.FAILED, delay, len(parcel.deliveries))
        told = {
            "webhook": webhook.id,
            "delivery": parcel.name,
            "tries": parcel.tries,
            "why": answer.why,
        }
        if delay is None:
            log.error("delivery.held", extra=told)
        if state is not None and state is not WebhookState.ACTIVE:
            log.error("webhook.off", extra=told | {"state": state.value})

    def _put_off(self, store: DeliveryStore, delivery: Delivery, delay: timedelta | None) -> None:
        store.put_off(delivery, delay=delay)
        self._count(Result.UNREADABLE, delay)
        told = {"webhook": delivery.webhook.id, "delivery": event_name(delivery.event.id)}
        log.error("delivery.unreadable", extra=told | {"held": delay is None})

    def _count(self, result: Result, delay: timedelta | None, deliveries: int = 1) -> None:
        self.ended[result] += deliveries
        if delay is None:
            self.ended[Result.HELD] += deliveries

    def _forget(self, noted: Collection[tuple[Parcel, Answer]]) -> None:
        gone = {id(parcel) for parcel, _ in noted}
        self._kept = [each for each in self._kept if id(each[0]) not in gone]
        for parcel, _ in noted:
            del self._under_way[id(parcel)]
            self._of_webhook[parcel.webhook.id] -= 1

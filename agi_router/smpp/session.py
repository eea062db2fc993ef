"""
One session with a message centre, as a transceiver: it lives as long as its connection.

Rules for the editor:

1. What reads the socket waits for nothing: what a message is to become is found out in a task of
   its own, and answered when it is known, in any order.
2. A message that was sent and has no answer is of unknown fate, however its session ends. One that
   was not sent is not.
3. Whoever has a session of its own connects again; nothing is sent twice here.
4. No log record and no error holds what stood in a PDU.

Source:
    SMPP v3.4, 2.2 (states), 2.7 (windows), 4.1 to 4.11 (operations), 7.2 (timers).
"""

import asyncio
import contextlib
import itertools
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Self, TypeAlias

from .errors import BadPdu, BindRefused, LinkDown, NoAnswer, SubmitRefused
from .wire import (
    RESPONSE,
    Command,
    Framer,
    Pdu,
    ShortMessage,
    Status,
    read_message,
    read_text_field,
    write_bind,
    write_message,
    write_text_field,
)

__all__ = ["Deliver", "Patience", "Transceiver"]

log = logging.getLogger(__name__)

Deliver: TypeAlias = Callable[[ShortMessage], Awaitable[int]]
"""What becomes of a message that came: the ``command_status`` that it is answered with."""

_PIECE: Final = 65_536
_LAST_SEQUENCE: Final = 0x7FFFFFFF
# What a peer that reads nothing may leave unread.
_LARGEST_BACKLOG: Final = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """
    Seconds.
    """

    bind: float = 10.0
    """Until a bind has its answer, the connection before it included."""
    submit: float = 30.0
    """Until a message has its answer."""
    idle: float = 30.0
    """Without an answer of the peer, until it is asked whether it lives."""
    enquire: float = 10.0
    """Until it has said so."""
    unbind: float = 5.0


class Transceiver:
    """
    A session; made by :meth:`bound`.

    Args:
        reader: What comes.
        writer: What goes.
        deliver: Called with each message that comes, receipts too, in a task of its own.
        window: Messages of ours that may wait for their answer at once.
        patience: How long what is waited for.
        most_in_hand: How many that come may have no answer yet; as many as *window*, if not given.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        deliver: Deliver,
        window: int,
        patience: Patience,
        most_in_hand: int | None = None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._deliver = deliver
        self._patience = patience
        self._places = asyncio.Semaphore(window)
        self._most_in_hand = most_in_hand or window
        self._sequence = itertools.cycle(range(1, _LAST_SEQUENCE + 1))
        self._waiting: dict[int, asyncio.Future[Pdu]] = {}
        self._in_hand: set[asyncio.Task[None]] = set()
        self._heard = asyncio.get_running_loop().time()
        self._ended = asyncio.Event()
        self._bound = False
        self.heard_at: float | None = None
        """By the clock of the loop: the peer has read what was answered before."""
        self.unbound = False
        """Whether the peer has answered that we part: it has read all before."""
        self.unreadable = 0
        """PDUs that could not be read."""
        self.reason = "the session was ended"
        """Why it has ended."""

    @classmethod
    @asynccontextmanager
    async def bound(
        cls,
        host: str,
        port: int,
        *,
        system_id: str,
        password: str,
        deliver: Deliver,
        system_type: str = "",
        window: int = 10,
        most_in_hand: int | None = None,
        tls: ssl.SSLContext | None = None,
        patience: Patience | None = None,
    ) -> AsyncIterator[Self]:
        """
        Connect and bind, for the time of a block; it is unbound at its end.

        Args:
            host: Of the message centre.
            port: Its port.
            system_id: Who we are.
            password: What proves it.
            deliver: See above.
            system_type: As agreed with the message centre.
            window: See above.
            most_in_hand: How many that come may have no answer yet, and more are throttled; if it
                is not given, as many as *window*.
            tls: How to encrypt; :obj:`None`: not.
            patience: How long what is waited for.

        Raises:
            LinkDown: There is no connection, or no answer.
            BindRefused: The message centre said no.
            BadPdu: A name or the password does not fit its field.
        """
        patience = patience or Patience()
        bind = write_bind(system_id=system_id, password=password, system_type=system_type)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience.bind
        try:
            async with asyncio.timeout_at(deadline):
                reader, writer = await asyncio.open_connection(host, port, ssl=tls)
        except TimeoutError:
            raise LinkDown("no connection in time") from None
        except OSError as error:
            raise LinkDown(f"no connection: {_words(error)}") from None
        session = cls(
            reader,
            writer,
            deliver=deliver,
            window=window,
            patience=patience,
            most_in_hand=most_in_hand,
        )
        tasks = [loop.create_task(session._read()), loop.create_task(session._watch())]
        try:
            await session._bind(bind, deadline)
            yield session
            await session._unbind()
        finally:
            await session._close(tasks)

    @property
    def unanswered(self) -> int:
        """
        How many requests of ours wait for their answer.
        """
        return len(self._waiting)

    @property
    def is_up(self) -> bool:
        """
        Whether messages may be sent.
        """
        return self._bound and not self._ended.is_set()

    async def ended(self) -> str:
        """
        Wait until the session is over; why it is.
        """
        await self._ended.wait()
        return self.reason

    async def answered(self) -> None:
        """
        Wait until all that has come by now has its answer.
        """
        await asyncio.gather(*self._in_hand, return_exceptions=True)

    async def submit(self, message: ShortMessage, *, by: float | None = None) -> str:
        """
        Send a message.

        Args:
            message: It.
            by: When it must be sent, by the clock of the loop; :obj:`None`: whenever the window
                has a place.

        Returns:
            The id by which its receipts tell of it, as the message centre wrote it.

        Raises:
            LinkDown: It was not sent: there is no session any more, or no place in time.
            SubmitRefused: It was refused.
            NoAnswer: It was sent, and nobody knows whether it was taken.
            BadPdu: It does not fit into a PDU.
        """
        body = write_message(message)
        try:
            async with asyncio.timeout_at(by):
                await self._places.acquire()
        except TimeoutError:
            raise LinkDown("no place in the window in time") from None
        try:
            if not self.is_up:
                raise LinkDown(self.reason)
            answer = await self._ask_to_take(body)
        finally:
            self._places.release()
        if answer.status != Status.OK:
            raise SubmitRefused(answer.status)
        try:
            return read_text_field(answer.body, "message_id")
        except BadPdu:
            # It was taken; no receipt will be known to be its.
            self.unreadable += 1
            return ""

    async def _ask_to_take(self, body: bytes) -> Pdu:
        try:
            return await self._ask(Command.SUBMIT_SM, body, self._patience.submit)
        except TimeoutError:
            raise NoAnswer("no answer in time") from None
        except LinkDown as error:
            raise NoAnswer(str(error)) from None

    async def _bind(self, body: bytes, deadline: float) -> None:
        try:
            left = deadline - asyncio.get_running_loop().time()
            answer = await self._ask(Command.BIND_TRANSCEIVER, body, left)
        except TimeoutError:
            raise LinkDown("no answer to the bind in time") from None
        if answer.status != Status.OK:
            raise BindRefused(answer.status)

    async def _unbind(self) -> None:
        if self.is_up:
            # Nobody minds: what is not answered now is not unbound, and ends with its connection.
            with contextlib.suppress(TimeoutError, LinkDown):
                await self._ask(Command.UNBIND, b"", self._patience.unbind)
                self.unbound = True

    async def _ask(self, command: Command, body: bytes, seconds: float) -> Pdu:
        """
        Send a request, and wait for its answer.

        Raises:
            TimeoutError: None came in time.
            LinkDown: The session has ended before.
        """
        sequence = next(self._sequence)
        answer: asyncio.Future[Pdu] = asyncio.get_running_loop().create_future()
        self._waiting[sequence] = answer
        try:
            self._send(Pdu(command=command, sequence=sequence, body=body))
            asked_at = asyncio.get_running_loop().time()
            async with asyncio.timeout(seconds):
                found = await answer
            # It reads in order, so it had read all that was written before it read this.
            self.heard_at = max(self.heard_at or asked_at, asked_at)
            return found
        finally:
            del self._waiting[sequence]

    def _send(self, pdu: Pdu) -> None:
        if self._ended.is_set():
            raise LinkDown(self.reason)
        self._writer.write(pdu.write())
        if self._writer.transport.get_write_buffer_size() > _LARGEST_BACKLOG:
            self._end("the peer does not read")

    async def _read(self) -> None:
        """
        Take what comes, until nothing more does.
        """
        framer = Framer()
        loop = asyncio.get_running_loop()
        try:
            while not self._ended.is_set() and (data := await self._reader.read(_PIECE)):
                self._heard = loop.time()
                for pdu in framer.feed(data):
                    self._take(pdu)
            self._end("the peer has closed the connection")
        except BadPdu as error:
            self.unreadable += 1
            self._end(str(error))
        except OSError as error:
            self._end(f"the connection is lost: {_words(error)}")

    def _take(self, pdu: Pdu) -> None:
        if pdu.command & RESPONSE:
            if pdu.command == Command.BIND_TRANSCEIVER | RESPONSE and pdu.status == Status.OK:
                # Not when whoever waits for it is awake: a message may come right behind it.
                self._bound = True
            waiting = self._waiting.get(pdu.sequence)
            if waiting is not None and not waiting.done():
                waiting.set_result(pdu)
            return
        match pdu.command:
            case Command.DELIVER_SM if self._bound:
                self._take_message(pdu)
            case Command.ENQUIRE_LINK:
                self._answer(pdu, Status.OK)
            case Command.UNBIND:
                self._answer(pdu, Status.OK)
                self._end("the peer has ended the session")
            case _:
                nack = Pdu(
                    command=Command.GENERIC_NACK,
                    status=Status.INVALID_COMMAND,
                    sequence=pdu.sequence,
                )
                with contextlib.suppress(LinkDown):
                    self._send(nack)

    def _take_message(self, pdu: Pdu) -> None:
        try:
            message = read_message(pdu.body)
        except BadPdu:
            self.unreadable += 1
            self._answer(pdu, Status.PERMANENT)
            return
        if len(self._in_hand) >= self._most_in_hand:
            self._answer(pdu, Status.THROTTLED)
            return
        task = asyncio.get_running_loop().create_task(self._deliver_one(pdu, message))
        self._in_hand.add(task)
        task.add_done_callback(self._in_hand.discard)

    async def _deliver_one(self, pdu: Pdu, message: ShortMessage) -> None:
        try:
            status = await self._deliver(message)
        except Exception as error:  # noqa: BLE001 - what it says may hold what a person wrote
            log.error("a message could not be handled: %s", type(error).__name__)  # noqa: TRY400
            status = Status.TEMPORARY
        self._answer(pdu, status)

    def _answer(self, pdu: Pdu, status: int) -> None:
        # A message's answer has an id, which is always empty (4.6.2).
        body = write_text_field("") if pdu.command == Command.DELIVER_SM else b""
        # Without a session nobody hears it, and the peer asks again in the next one.
        with contextlib.suppress(LinkDown):
            self._send(
                Pdu(
                    command=pdu.command | RESPONSE,
                    status=status,
                    sequence=pdu.sequence,
                    body=body,
                )
            )

    async def _watch(self) -> None:
        """
        Ask a silent peer whether it lives.
        """
        loop = asyncio.get_running_loop()
        while not self._ended.is_set():
            # A peer that only asks is asked too: it shows what it has heard.
            left = (
                min(self._heard, self.heard_at or self._heard) + self._patience.idle - loop.time()
            )
            if left > 0:
                await asyncio.sleep(left)
                continue
            try:
                await self._ask(Command.ENQUIRE_LINK, b"", self._patience.enquire)
            except TimeoutError:
                self._end("the peer does not answer")
            except LinkDown:
                return

    def _end(self, reason: str) -> None:
        if self._ended.is_set():
            return
        self.reason = reason
        self._ended.set()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(LinkDown(reason))

    async def _close(self, tasks: list[asyncio.Task[None]]) -> None:
        self._end(self.reason)
        for task in (*tasks, *self._in_hand):
            task.cancel()
        await asyncio.gather(*tasks, *self._in_hand, return_exceptions=True)
        self._writer.close()
        # Not for as long as a peer that reads nothing likes.
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._patience.unbind):
                await self._writer.wait_closed()


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__

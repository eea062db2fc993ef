"""A message centre that does as it is told, for tests of what a real one does seldom."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agi_router.smpp import (
    RESPONSE,
    Address,
    Command,
    Framer,
    Part,
    Pdu,
    ShortMessage,
    Status,
    Tag,
    decode,
    join,
    part_of,
    read_message,
    write_message,
)
from harness.database import SOON, until_async

__all__ = ["Centre", "centre", "receipt_of"]


def receipt_of(
    name: str, *, state: str = "DELIVRD", source: str = "", to: str = ""
) -> ShortMessage:
    """A receipt, as most message centres write it."""
    text = (
        f"id:{name} sub:001 dlvrd:001 submit date:2601311504 done date:2601311504"
        f" stat:{state} err:000 text:-"
    )
    return ShortMessage(
        source=Address(number=source),
        destination=Address(number=to),
        esm_class=4,
        octets=text.encode(),
        parameters=((Tag.RECEIPTED_MESSAGE_ID, name.encode() + b"\0"),),
    )


@dataclass
class Centre:
    """
    A message centre with one account; it takes any password but ``wrong``.

    Attributes:
        submitted: What it was given, in order.
        raw: All octets that came.
        status: What it answers, by the message and how many came before it; nothing if that is
            :obj:`None`.
        receipts: When it tells that a message has arrived: ``never``, ``before`` or ``after`` the
            answer.
        binds: How many binds there were.
    """

    submitted: list[ShortMessage] = field(default_factory=list)
    raw: bytes = b""
    status: Callable[[ShortMessage, int], int | None] = lambda _, __: Status.OK
    receipts: str = "never"
    bind_status: int = Status.OK
    binds: int = 0
    port: int = 0
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _waiting: dict[int, asyncio.Future[int]] = field(default_factory=dict)
    _names: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _serial: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def is_bound(self) -> bool:
        """Whether a session is up."""
        return bool(self._writers)

    @property
    def texts(self) -> list[str]:
        """The texts that it was given, of those that are whole, in the order of their ends."""
        groups: dict[tuple[str, str, int, int], list[Part]] = {}
        found = []
        for message in self.submitted:
            part = part_of(message)
            key = (message.source.number, message.destination.number, part.reference, part.total)
            group = groups.setdefault(key, [])
            group.append(part)
            if len({each.number for each in group}) == part.total:
                parts = list({each.number: each for each in groups.pop(key)}.values())
                found.append(decode(join(parts), part.data_coding))
        return found

    async def bound(self) -> None:
        """Wait until a session is up."""
        await until_async(lambda: self.is_bound)

    async def deliver(self, message: ShortMessage) -> int | None:
        """Send a message to the other side: its answer; nothing if the session ends before."""
        sequence = next(self._serial)
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[sequence] = answer
        self._write(
            Pdu(command=Command.DELIVER_SM, sequence=sequence, body=write_message(message))
        )
        async with asyncio.timeout(SOON):
            found = await answer
        return None if found < 0 else found

    def cut(self) -> None:
        """Cut the connection."""
        for writer in self._writers:
            writer.transport.abort()

    def _write(self, pdu: Pdu) -> None:
        self._writers[-1].write(pdu.write())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a session."""
        framer = Framer()
        try:
            while data := await reader.read(65536):
                self.raw += data
                for pdu in framer.feed(data):
                    self._take(pdu, writer)
        except ConnectionError:
            pass
        finally:
            if writer in self._writers:
                self._writers.remove(writer)
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_result(-1)
            self._waiting.clear()
            writer.close()

    def _take(self, pdu: Pdu, writer: asyncio.StreamWriter) -> None:
        if pdu.command & RESPONSE:
            waiting = self._waiting.pop(pdu.sequence, None)
            if waiting is not None:
                waiting.set_result(pdu.status)
            return
        match pdu.command:
            case Command.BIND_TRANSCEIVER:
                self.binds += 1
                self._answer(pdu, writer, self.bind_status, b"centre\0")
                if self.bind_status == Status.OK:
                    self._writers.append(writer)
            case Command.SUBMIT_SM:
                self._take_text(pdu, writer)
            case _:
                self._answer(pdu, writer, Status.OK)

    def _take_text(self, pdu: Pdu, writer: asyncio.StreamWriter) -> None:
        message = read_message(pdu.body)
        status = self.status(message, len(self.submitted))
        if status != Status.OK:
            if status is not None:
                self._answer(pdu, writer, status)
            return
        self.submitted.append(message)
        # Never the same again, though somebody clears what was submitted.
        name = f"{next(self._names):08X}"
        told = receipt_of(name, source=message.destination.number)
        if self.receipts == "before":
            self._tell(told)
        self._answer(pdu, writer, status, f"{name}\0".encode())
        if self.receipts == "after":
            self._tell(told)

    @staticmethod
    def _answer(pdu: Pdu, writer: asyncio.StreamWriter, status: int, body: bytes = b"") -> None:
        made = Pdu(command=pdu.command | RESPONSE, status=status, sequence=pdu.sequence, body=body)
        writer.write(made.write())

    def _tell(self, told: ShortMessage) -> None:
        body = write_message(told)
        self._write(Pdu(command=Command.DELIVER_SM, sequence=next(self._serial), body=body))


@asynccontextmanager
async def centre() -> AsyncIterator[Centre]:
    """A message centre that listens."""
    made = Centre()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.cut()

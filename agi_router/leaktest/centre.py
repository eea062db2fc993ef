"""
A message centre of the leak test's own, with one account that takes any password.

It keeps what comes to it, and tells in receipts what a real one does: whom each text went to.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from agi_router.leaktest.text_vectors import NAME
from agi_router.smpp import (
    RESPONSE,
    Address,
    BadPdu,
    BadText,
    Command,
    Framer,
    Pdu,
    ShortMessage,
    Tag,
    decode,
    part_of,
    read_message,
    write_message,
)

__all__ = ["Centre", "centre"]


@dataclass(slots=True, eq=False)
class Centre:
    """
    A message centre.
    """

    port: int = 0
    """On loopback."""
    arrived: dict[str, bytes] = field(default_factory=dict)
    """Octets of the PDUs that were submitted, by what they say."""
    came: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with whatever comes."""
    _writer: asyncio.StreamWriter | None = None
    _waiting: dict[int, asyncio.Future[Pdu | None]] = field(default_factory=dict)
    _serial: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def is_bound(self) -> bool:
        """
        Whether a session is up.
        """
        return self._writer is not None

    async def deliver(self, message: ShortMessage, *, timeout: float) -> Pdu | None:  # noqa: ASYNC109
        """
        Send a text to who is bound: its answer; :obj:`None`: there is none in so many seconds.
        """
        if self._writer is None:
            return None
        sequence = next(self._serial)
        answer: asyncio.Future[Pdu | None] = asyncio.get_running_loop().create_future()
        self._waiting[sequence] = answer
        body = write_message(message)
        self._writer.write(Pdu(command=Command.DELIVER_SM, sequence=sequence, body=body).write())
        try:
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            return None
        finally:
            self._waiting.pop(sequence, None)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """
        Serve a session until it ends.
        """
        framer = Framer()
        try:
            with suppress(ConnectionError, BadPdu):
                while data := await reader.read(65536):
                    for pdu in framer.feed(data):
                        self._take(pdu, writer)
                        self.came.set()
        finally:
            if self._writer is writer:
                self._writer = None
                for answer in self._waiting.values():
                    if not answer.done():
                        answer.set_result(None)
            writer.close()

    def _take(self, pdu: Pdu, writer: asyncio.StreamWriter) -> None:
        if pdu.command & RESPONSE:
            answer = self._waiting.get(pdu.sequence)
            if answer is not None and not answer.done():
                answer.set_result(pdu)
            return
        body = b""
        if pdu.command == Command.BIND_TRANSCEIVER:
            self._writer = writer
            body = b"leaktest\0"
        elif pdu.command == Command.SUBMIT_SM:
            name = str(next(self._serial))
            body = name.encode() + b"\0"
        writer.write(Pdu(command=pdu.command | RESPONSE, sequence=pdu.sequence, body=body).write())
        if pdu.command == Command.SUBMIT_SM:
            message = read_message(pdu.body)
            said = _said(message)
            self.arrived[said] = self.arrived.get(said, b"") + pdu.write()
            receipt = write_message(_receipt(name, message))
            told = Pdu(command=Command.DELIVER_SM, sequence=next(self._serial), body=receipt)
            writer.write(told.write())


def _said(message: ShortMessage) -> str:
    """
    What a text says; nothing where that cannot be read.
    """
    with suppress(BadPdu, BadText):
        part = part_of(message)
        return decode(part.octets, part.data_coding)
    return ""


def _receipt(name: str, message: ShortMessage) -> ShortMessage:
    """
    That a text has arrived, as most message centres tell it, and its receiver in each place.
    """
    receiver = message.destination.number
    text = (
        f"id:{name} sub:001 dlvrd:001 submit date:2601311504 done date:2601311504"
        f" stat:DELIVRD err:000 text:{receiver} {NAME}"
    )
    return ShortMessage(
        source=Address(number=receiver),
        destination=message.source,
        esm_class=4,
        octets=text.encode(),
        parameters=((Tag.RECEIPTED_MESSAGE_ID, name.encode() + b"\0"),),
    )


@asynccontextmanager
async def centre() -> AsyncIterator[Centre]:
    """
    A message centre that listens on a port of loopback, for the time of a block.
    """
    made = Centre()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()

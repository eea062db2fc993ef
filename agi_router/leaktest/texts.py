"""
The leak test of texts: what a sender's side tells of itself, and what of that the door sends on.

Both sides of the carrier are played: texts come from one address, and what the door sends goes to
the other, which answers with the receiver's number and name wherever an answer has room for them.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from agi_router.bindings.words import Side
from agi_router.errors import LeakTestError
from agi_router.leaktest.carrier import Address, show
from agi_router.leaktest.leaks import find_leaks
from agi_router.leaktest.text_vectors import HOST, NAME, write_text
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.sip import BadMessage, Request, Response, answer, build, parse

__all__ = ["ARRIVES", "AT_ONCE", "TextPair", "TextResult", "run_texts"]

# Seconds after which a sender repeats its request, as SIP does; then it gives up.
_REPEATS: Final = (0.5, 1.0, 2.0, 4.0, 4.0, 4.0)
ARRIVES: Final = 10.0
"""Seconds for which a text that was accepted is waited for."""
AT_ONCE: Final = 8
"""So many texts are under way at once."""
_ACCEPTED: Final = 202
_TELLING: Final = ("contact", "p-asserted-identity", "reply-to", "server", "x-callee")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPair:
    """
    Two parties who may text each other.
    """

    a: PhoneNumber
    b: PhoneNumber
    x: XNumber
    """What both write to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextResult:
    """
    What came of a text.
    """

    vector: str
    sender: Side | None
    """:obj:`None`: it is of no text, but of what the door tells of all."""
    findings: tuple[str, ...] = ()
    """What of its sender was found at the receiver's side, or of the receiver at the sender's."""
    fault: str = ""
    """Why it proves nothing; empty: it arrived."""


@dataclass(slots=True, eq=False)
class _Peer(asyncio.DatagramProtocol):
    """
    One side of the carrier: it keeps what comes, and answers what is asked.
    """

    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """Final statuses and octets, by branch."""
    texts: dict[str, bytes] = field(default_factory=dict)
    """Octets of the texts that came, by what they say."""
    told: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """What is told in the answer to each text, by what it says."""
    came: asyncio.Event = field(default_factory=asyncio.Event)
    transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Keep the way out."""
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        """Keep what has come, and answer a request."""
        with suppress(BadMessage):
            message = parse(data)
            if isinstance(message, Response):
                if message.status >= 200:  # noqa: PLR2004 - final
                    self.answers[message.via.branch] = message.status, data
            elif message.method == "MESSAGE":
                self._take(message, data, address)
        self.came.set()

    def _take(self, request: Request, data: bytes, address: Any) -> None:
        said = request.body.decode("utf-8", "replace")
        told = self.told.get(said)
        if told is None:
            # Somebody's: the door is to try it again, when its next hop is another one.
            made = answer(request, 480, "Temporarily Unavailable", tag="leaktest")
        else:
            self.texts[said] = self.texts.get(said, b"") + data
            made = answer(request, 200, "OK", tag="leaktest", headers=told)
        self.transport.sendto(build(made), address)

    async def wait(self, seconds: float) -> None:
        """
        Wait until something comes, for so long at most.
        """
        self.came.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.came.wait()


async def run_texts(
    vectors: Iterable[str],
    pairs: Sequence[TextPair],
    *,
    door: Address,
    near: Address,
    far: Address,
) -> list[TextResult]:
    """
    Send a text for each vector from either side, and search what comes of it.

    Args:
        vectors: Their names.
        pairs: Whose texts they are, in turn: the door holds each sender to a limit.
        door: Where it takes SIP over UDP.
        near: Address of this machine to write from.
        far: Address of this machine that the door sends to.

    Raises:
        LeakTestError: An address of this machine cannot be had.
    """
    plan = [(vector, side) for vector in vectors for side in Side]
    gate = asyncio.Semaphore(AT_ONCE)
    async with _peer(near) as sending, _peer(far) as receiving:

        async def place(number: int, vector: str, side: Side) -> TextResult:
            async with gate:
                text = _Text(vector, side, pairs[number % len(pairs)])
                return await text.run(sending, receiving, door)

        tasks = [place(number, *each) for number, each in enumerate(plan)]
        return list(await asyncio.gather(*tasks))


class _Text:
    """
    One text on its way.
    """

    def __init__(self, vector: str, side: Side, pair: TextPair) -> None:
        self._vector = vector
        self._side = side
        self._x = pair.x
        a, b = pair.a.digits, pair.b.digits
        self._sender, self._receiver = (a, b) if side is Side.A else (b, a)
        # Letters, so that nothing of it is taken for a number.
        self._name = "".join(secrets.choice("abcdefghjkmnpqrstuvwxyz") for _ in range(12))

    async def run(self, sending: _Peer, receiving: _Peer, door: Address) -> TextResult:
        """
        Send it, wait for what comes of it, and search that.
        """
        said, branch = f"leaktest {self._name}", f"z9hG4bK{self._name}"
        identity = f'"{NAME}" <sip:{self._receiver}@{HOST}>'
        receiving.told[said] = [(header, identity) for header in _TELLING]
        data = write_text(
            self._vector,
            sender=self._sender,
            to=str(self._x),
            branch=branch,
            call=self._name,
            body=said,
        )
        for pause in _REPEATS:
            sending.transport.sendto(data, door)
            if await _until(sending, lambda: branch in sending.answers, pause):
                break
        else:
            return self._result(fault="the door has not answered")
        status, answered = sending.answers[branch]
        if status != _ACCEPTED:
            return self._result(fault=f"the door has answered {status}, not {_ACCEPTED}")
        if not await _until(receiving, lambda: said in receiving.texts, ARRIVES):
            return self._result(fault=f"it has not arrived at the far side in {ARRIVES:g} s")
        return self._result(receiving.texts[said], answered)

    def _result(
        self, arrived: bytes = b"", answered: bytes = b"", *, fault: str = ""
    ) -> TextResult:
        findings = [
            f"at the receiver: {leak}"
            for leak in find_leaks(arrived, numbers=[self._sender], names=[NAME, HOST])
        ]
        findings += [
            f"at the sender: {leak}" for leak in find_leaks(answered, numbers=[self._receiver])
        ]
        return TextResult(
            vector=self._vector, sender=self._side, findings=tuple(findings), fault=fault
        )


async def _until(peer: _Peer, holds: Callable[[], bool], seconds: float) -> bool:
    """
    Wait until something holds of what has come to a peer; whether it does in so many seconds.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not holds() and (left := end - loop.time()) > 0:
        await peer.wait(left)
    return holds()


@asynccontextmanager
async def _peer(address: Address) -> AsyncIterator[_Peer]:
    loop = asyncio.get_running_loop()
    try:
        transport, peer = await loop.create_datagram_endpoint(_Peer, local_addr=address)
    except OSError as error:
        raise LeakTestError(f"{show(address)} cannot be had: {error.strerror}") from None
    try:
        yield peer
    finally:
        transport.close()

"""
The door for texts by SIP MESSAGE (RFC 3428): requests of peers in, requests to the next hop out.

1. A text is accepted (202) only once it is stored: before that nothing is said but a refusal.
   Where nobody knows whether it was stored, nothing is said at all: the sender repeats its
   request, and the store knows it again. Where the store was not asked, 503 is said at once; but
   not while a copy of the request may have been stored, by us or by who was here before us.
2. Nothing of a sender's request goes on but what the text says: Call-ID, tags, Via and From are
   made anew, and no other header of it is read but those that tell who sends.
3. UDP and TCP are taken on the same port (:mod:`agi_router.doors.sip_streams`). Who sends by TCP
   does not repeat: where it is not known whether a text was stored, the store is asked again.
4. A packet that has waited in the socket for longer than its sender waits before it repeats is
   dropped. The kernel says when it came. So is a text whose sender has given up by the time at
   which it is stored, as happens where this process stood still meanwhile.
5. Who is no peer, by its address, hears nothing. A request that is no MESSAGE is answered 405.
6. No log line holds a number, a header or a text.

Source:
    RFC 3261, 8.2 and 18.2.2 (answers go where the request came from), RFC 3581 (rport), RFC 3428,
    7 (202 where the text is stored) and 8.
"""

import asyncio
import contextlib
import logging
import secrets
import socket
import struct
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from agi_router.bindings.reasons import Reason
from agi_router.calls.decision import Refusal
from agi_router.calls.identity import Signalled, read_caller
from agi_router.calls.ports import Admissions, OldNumbers
from agi_router.doors.outbox import Counts, Outbox, Outcome, Tasks
from agi_router.doors.sip_streams import Streams, Way
from agi_router.messages.checker import TextChecker
from agi_router.messages.decision import screen_text
from agi_router.messages.limits import TextLimits
from agi_router.messages.model import (
    MessageState,
    Outgoing,
    Text,
    is_certain,
    is_temporary,
    pause_after,
)
from agi_router.messages.old_numbers import OldNumberTexts
from agi_router.messages.store import MessageStore, Repeated, Unasked
from agi_router.messages.taking import Accepted, take_text
from agi_router.rates import OFF, Rate
from agi_router.sip import (
    LARGEST_BODY,
    T1,
    Answered,
    BadMessage,
    ClientTransaction,
    Key,
    Message,
    Request,
    Response,
    ServerTransactions,
    answer,
    branch_of,
    build,
    key_of,
    parse,
)

__all__ = ["Address", "Options", "SipMessageDoor", "Transport", "status_of"]

log = logging.getLogger(__name__)

_METHOD: Final = "MESSAGE"
# Seconds after which a sender repeats at the latest: what is older waits for its repeat.
_TOO_OLD: Final = 4.0
_ADMISSION: Final = 0.45
# Seconds for which a sender repeats a request.
_REPEATED_FOR: Final = 64 * T1
_LARGEST: Final = LARGEST_BODY
# Packets that are read before others have their turn: who sends without an end stops nobody.
_AT_ONCE: Final = 64
# Seconds after which the store is asked again about what came by a stream.
_AGAIN: Final = (0.5, 1.0, 2.0, 4.0, 8.0, None)
# Ports that are tried where the system chooses: what is free for UDP may not be for TCP.
_PORTS_TRIED: Final = 20
_TIMESTAMP = getattr(socket, "SO_TIMESTAMPNS", 35)
_TIMESPEC = struct.Struct("@ll")

Address = tuple[str, int]

# By reason; all that is left is policy, and answered alike: a status of its own for locks would
# tell that the other side is locked.
_STATUSES: Final = {
    Reason.X_MALFORMED: (404, "Not Found"),
    Reason.X_UNKNOWN: (404, "Not Found"),
    Reason.NUMBER_CHANGED: (410, "Gone"),
    Reason.NUMBER_RETIRED: (404, "Not Found"),
    Reason.TOO_LONG: (413, "Request Entity Too Large"),
    Reason.CHECK_UNAVAILABLE: (503, "Service Unavailable"),
    Reason.NO_CAPACITY: (503, "Service Unavailable"),
    Reason.PLATFORM_FAULT: (503, "Service Unavailable"),
}


class Transport(StrEnum):
    """
    By which SIP goes.
    """

    UDP = "udp"
    TCP = "tcp"


@dataclass(frozen=True, slots=True)
class _Datagrams:
    """
    The way to an address by UDP.
    """

    own: socket.socket
    address: Address
    reliable: bool = False

    def write(self, data: bytes) -> None:
        """
        Send a message; it may be lost all the same: the other side repeats, or we do.
        """
        with contextlib.suppress(OSError):
            self.own.sendto(data, self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """
    How the door is served.
    """

    listen: Address
    """An address of IPv4 and a port."""
    next_hop: Address
    """Where texts are sent to."""
    peers: Collection[str]
    """Addresses that texts are taken from."""
    believe_from: bool = True
    fixed_lines: bool = False
    strict: bool = False
    sender_limit: Rate = OFF
    """How many texts of one sender are looked at."""
    number_limit: Rate = OFF
    """How many to one number."""
    tenant_limit: Rate = OFF
    """How many of one tenant are taken."""
    waiting: int = 1000
    """How many texts may wait for the store."""
    transport: Transport = Transport.UDP
    """By which texts are sent; they are taken by either."""
    window: int = 50
    """How many may be on their way at once."""
    old_until: datetime | None = None
    """Until when senders to numbers of before the move to 700 are told so; always."""


def status_of(reason: Reason, *, strict: bool) -> tuple[int, str]:
    """
    How a refused text is answered.

    Args:
        reason: Why it is refused.
        strict: Whether nobody is to learn anything about a binding.
    """
    if strict and reason.reveals_binding:
        return (403, "Forbidden")
    return _STATUSES.get(reason, (403, "Forbidden"))


class _LateHands:
    """
    Sends what is stored, but nothing whose sender has given up by then.

    Args:
        outbox: Who sends.
        until: When it gives up, on the clock of :func:`time.monotonic`.
    """

    def __init__(self, outbox: Outbox, until: float) -> None:
        self._outbox = outbox
        self._until = until
        self.missed: int | None = None
        """How often a text was tried that was stored too late: this process stood still."""

    @property
    def free(self) -> bool:
        """
        Whether one more can be sent at once.
        """
        return self._outbox.free

    def hand_over(self, message: Outgoing) -> None:
        """
        Send what is in hand, if somebody waits for it; else who stored it has it cancelled.
        """
        if self._is_late:
            self.missed = message.attempts
        else:
            self._outbox.hand_over(message)

    def wake(self) -> None:
        """
        One was stored that is in nobody's hands.
        """
        if self._is_late:
            self.missed = 0
        else:
            self._outbox.wake()

    @property
    def _is_late(self) -> bool:
        return time.monotonic() > self._until


class SipMessageDoor:
    """
    One socket, by which texts come and go.

    Args:
        store: Where they are kept.
        admissions: What makes numbers that a receiver can be shown.
        options: How it is served.
        checker: Who has texts confirmed whose tenants want that; without one these are refused.
        old_numbers: Who knows the numbers of before the move to 700, if anybody does.
    """

    def __init__(
        self,
        store: MessageStore,
        admissions: Admissions,
        options: Options,
        checker: TextChecker | None = None,
        *,
        old_numbers: OldNumbers | None = None,
    ) -> None:
        self._store = store
        self._admissions = admissions
        self._checker = checker
        self._options = options
        self.counts = Counts()
        self._known = ServerTransactions()
        # Until when a copy of a request may have been stored without an answer: of each, of all.
        self._unsure: dict[Key, float] = {}
        self._all_unsure = 0.0
        self._limits = TextLimits(options.sender_limit, options.number_limit, options.tenant_limit)
        self._old = OldNumberTexts(old_numbers, options.old_until, self._limits)
        self._sent: dict[str, tuple[ClientTransaction, asyncio.Event, Way]] = {}
        self._waiting = 0
        self._tasks = Tasks()
        self._outbox = Outbox(
            store, self._send, counts=self.counts, tasks=self._tasks, window=options.window
        )
        self._socket: socket.socket | None = None
        self._streams = Streams(options.peers, self._take_message, self._lose)
        self.opened = asyncio.Event()
        """Set once it is served."""

    @property
    def waiting(self) -> int:
        """
        How many texts wait for the store.
        """
        return self._waiting

    @property
    def under_way(self) -> int:
        """
        How many texts are being sent.
        """
        return len(self._sent)

    @property
    def address(self) -> Address:
        """
        Where it listens; the port is one of the system's own choice where none was given.
        """
        assert self._socket is not None, "it is not served"  # noqa: S101 - a fault of ours
        host, port = self._socket.getsockname()
        return (host, port)

    async def serve(self, stop: asyncio.Event) -> None:
        """
        Take and send texts until *stop*; what is in hand then is sent to its end.

        Raises:
            OSError: The address cannot be had.
            Exception: A fault of ours, by which nothing would be sent any more.
        """
        opened, stream = _open(self._options.listen)
        with opened, stream:
            self._socket = opened
            # Who was here before us may have stored what is repeated now.
            self._all_unsure = time.monotonic() + _REPEATED_FOR
            loop = asyncio.get_running_loop()
            loop.add_reader(opened, self._read)
            server = await self._streams.listen(stream)
            self.opened.set()
            sending = self._outbox.start()
            stopping = asyncio.create_task(stop.wait())
            try:
                # It ends by itself only by a fault of ours. Who cannot send must not accept.
                await asyncio.wait({stopping, sending}, return_when="FIRST_COMPLETED")
            finally:
                stopping.cancel()
                self._outbox.close()
                await asyncio.gather(sending, return_exceptions=True)
                await self._tasks.ended()
                loop.remove_reader(opened)
                server.close()
                # What came meanwhile has its answer, too.
                await self._tasks.ended()
                self._streams.close()
            await sending

    def _read(self) -> None:
        """
        Read what has come.
        """
        assert self._socket is not None  # noqa: S101 - a fault of ours
        for _ in range(_AT_ONCE):
            try:
                data, extra, _, address = self._socket.recvmsg(_LARGEST, 64)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                # What an earlier packet of ours met: nobody listens there.
                continue
            age = _age(extra)
            if address[0] not in self._options.peers or age > _TOO_OLD:
                continue
            with contextlib.suppress(BadMessage):
                message = parse(data)
                if isinstance(message, Response):
                    self._receive(message)
                else:
                    port = address[1] if message.via.rport else message.via.port or 5060
                    back = _Datagrams(self._socket, (address[0], port))
                    self._take(message, back, time.monotonic() - age)

    def _receive(self, response: Response) -> None:
        found = self._sent.get(branch_of(response, _METHOD))
        if found is not None:
            found[0].receive(response)
            found[1].set()

    def _take_message(self, message: Message, way: Way) -> None:
        if isinstance(message, Response):
            self._receive(message)
        else:
            self._take(message, way, time.monotonic())

    def _lose(self, way: Way) -> None:
        """
        No answer comes by this way any more.
        """
        for transaction, changed, used in self._sent.values():
            if used is way:
                transaction.give_up()
                changed.set()

    def _take(self, request: Request, back: Way, came_at: float) -> None:
        """
        Take a request.

        Args:
            request: It.
            back: By which it is answered.
            came_at: When it came, on the clock of :func:`time.monotonic`.
        """
        key = key_of(request)
        # Read before anything is kept: who sends no Call-ID gets no answer.
        request.one("call-id"), request.cseq, request.one("from"), request.one("to")
        if request.method == "ACK":
            return
        known = self._known.take(key, time.monotonic())
        if known is not None:
            if isinstance(known, Answered):
                back.write(known.data)
            return
        if request.method != _METHOD:
            self._answer(request, key, back, (405, "Method Not Allowed"), allow=True)
        elif request.cseq[1] != _METHOD:
            self._answer(request, key, back, (400, "Bad Request"))
        elif self._waiting < self._options.waiting:
            self._waiting += 1
            until = came_at + _REPEATED_FOR
            self._tasks.start(self._admit(request, key, back, until))
        elif self._may_be_stored(key, back):
            self._leave(key)
        else:
            self._answer(request, key, back, (503, "Service Unavailable"), again=True)

    def _leave(self, key: Key) -> None:
        """
        Leave a request without an answer: its repeat is asked again.
        """
        self.counts.unanswered += 1
        self._known.drop(key)

    async def _admit(self, request: Request, key: Key, back: Way, until: float) -> None:
        status: tuple[int, str] | None
        try:
            match self._screen(request):
                case None:
                    status = (415, "Unsupported Media Type")
                case Reason() as reason:
                    status = self._refuse(await self._explain(reason, request))
                case Text() as text:
                    status = await self._store_it(text, request, key, back, until)
        except Exception as error:  # noqa: BLE001
            log.warning("message.unanswered", extra={"error": type(error).__name__})
            status = None
        finally:
            self._waiting -= 1
        if status is None:
            self._leave(key)
            return
        self._answer(request, key, back, status, again=status[0] == 503)  # noqa: PLR2004

    async def _store_it(
        self, text: Text, request: Request, key: Key, back: Way, until: float
    ) -> tuple[int, str] | None:
        """
        The answer to a text; none where nobody knows whether it, or a copy, was stored.

        Args:
            text: The text.
            request: Its request.
            key: Of that.
            back: By which it is answered.
            until: When its sender gives up.
        """
        # A repeat of one that had no answer was counted.
        if key not in self._unsure and (too_many := self._limits.count(text)):
            return None if self._may_be_stored(key, back) else self._refuse(too_many)
        # Who has sent it by a stream does not repeat it: so we ask again.
        for pause in _AGAIN if back.reliable else (None,):
            try:
                status = await self._decide(text, request, key, back, until)
            except Exception as error:  # noqa: BLE001
                # Whatever it is, perhaps it was stored: a refusal would be untrue.
                log.warning("message.unanswered", extra={"error": type(error).__name__})
                self._note_unsure(key)
                status = None
            if status is not None or pause is None:
                return status
            await asyncio.sleep(pause)
        return None

    def _note_unsure(self, key: Key) -> None:
        now = time.monotonic()
        # In the order in which they came, so the first are over first.
        while self._unsure and (oldest := next(iter(self._unsure))) and self._unsure[oldest] < now:
            del self._unsure[oldest]
        self._unsure.pop(key, None)
        self._unsure[key] = now + _REPEATED_FOR

    def _may_be_stored(self, key: Key, way: Way) -> bool:
        """
        Whether a copy of this request may have been stored by now.
        """
        # A connection to us is none to who was here before.
        of_all = 0.0 if way.reliable else self._all_unsure
        return time.monotonic() < max(self._unsure.get(key, 0.0), of_all)

    def _screen(self, request: Request) -> Text | Reason | None:
        """
        The text of a request, or why it is refused; :obj:`None`: it is none.
        """
        body = _body_of(request)
        if body is None:
            return None
        screened = screen_text(
            sender=self._sender_of(request),
            to=_user_of(request.uri),
            body=body,
            fixed_lines=self._options.fixed_lines,
        )
        return screened.reason if isinstance(screened, Refusal) else screened

    def _sender_of(self, request: Request) -> str | Reason:
        signalled = Signalled(
            asserted=tuple(request.all("p-asserted-identity")),
            privacy=tuple(request.all("privacy")),
            sender=request.one("from"),
        )
        return read_caller(signalled, believe_from=self._options.believe_from)

    async def _explain(self, reason: Reason, request: Request) -> Reason:
        return await self._old.explain(
            reason,
            sender=self._sender_of(request),
            to=_user_of(request.uri),
            timeout=_ADMISSION,
        )

    async def _decide(
        self, text: Text, request: Request, key: Key, back: Way, until: float
    ) -> tuple[int, str] | None:
        hands = _LateHands(self._outbox, until)
        with self.counts.timed():
            stored = await take_text(
                text,
                self._digest(request),
                store=self._store,
                admissions=self._admissions,
                checker=self._checker,
                limits=self._limits,
                hands=hands,
                timeout=_ADMISSION,
            )
        match stored:
            case Repeated():
                self.counts.repeats += 1
            case Unasked():
                unsure = self._may_be_stored(key, back)
                return None if unsure else self._refuse(Reason.PLATFORM_FAULT)
            case Reason():
                return self._refuse(stored)
            case Accepted():
                self.counts.accepted += 1
                if hands.missed is not None:
                    # Its sender was told by the network that it has failed, and may write anew.
                    await self._outbox.cancel(
                        stored.id, text.x_number.block, attempts=hands.missed
                    )
                    return None
        return (202, "Accepted")

    def _refuse(self, reason: Reason) -> tuple[int, str]:
        # Anybody could write and count: where nobody is to learn anything, nor by the metrics.
        hidden = self._options.strict and reason.reveals_binding
        self.counts.refused[Reason.NO_BINDING if hidden else reason] += 1
        log.info("message.refused", extra={"reason": reason.value})
        return status_of(reason, strict=self._options.strict)

    def _digest(self, request: Request) -> bytes:
        number, method = request.cseq
        parts = (
            request.via.branch,
            request.one("call-id"),
            f"{number} {method}",
            request.tag("from"),
        )
        return self._store.digest(*(part.encode("latin-1") for part in parts))

    def _answer(
        self,
        request: Request,
        key: Key,
        back: Way,
        status: tuple[int, str],
        *,
        allow: bool = False,
        again: bool = False,
    ) -> None:
        headers = [("allow", _METHOD)] if allow else []
        headers += [("retry-after", "5")] if again else []
        headers += [("accept", "text/plain")] if status[0] == 415 else []  # noqa: PLR2004
        made = answer(request, *status, tag=secrets.token_hex(8), headers=headers)
        data = build(made)
        self._known.answered(key, data, time.monotonic())
        back.write(data)

    async def _send(self, message: Outgoing) -> Outcome:
        branch = f"z9hG4bK{secrets.token_hex(12)}"
        try:
            way = await self._way_out()
        except OSError:
            return Outcome(pause=pause_after(message.attempts), known=True)
        transaction = ClientTransaction(time.monotonic(), reliable=way.reliable)
        changed = asyncio.Event()
        self._sent[branch] = (transaction, changed, way)
        try:
            data = build(self._request(message, branch))
            way.write(data)
            while not transaction.is_over(now := time.monotonic()):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, transaction.next_at - now)):
                        await changed.wait()
                changed.clear()
                if transaction.repeats(time.monotonic()):
                    way.write(data)
        finally:
            del self._sent[branch]
        status = transaction.status
        if status is not None and status < 300:  # noqa: PLR2004
            return Outcome(state=MessageState.SENT, status=status)
        if is_temporary(status):
            return Outcome(
                status=status, pause=pause_after(message.attempts), known=is_certain(status)
            )
        return Outcome(state=MessageState.FAILED, reason="refused", status=status)

    async def _way_out(self) -> Way:
        """
        By which texts go to the next hop.

        Raises:
            OSError: There is none.
        """
        if self._options.transport is Transport.TCP:
            return await self._streams.connect(self._options.next_hop)
        assert self._socket is not None  # noqa: S101 - a fault of ours
        return _Datagrams(self._socket, self._options.next_hop)

    def _request(self, message: Outgoing, branch: str) -> Request:
        """
        The request by which a text goes out: the number shown, the receiver, what it says.
        """
        host, port = self.address
        own = f"SIP/2.0/{self._options.transport.upper()} {host}:{port}"
        next_host, next_port = self._options.next_hop
        # The number that its receiver dials is all that is told of the sender.
        return Request(
            method=_METHOD,
            uri=f"sip:{message.receiver.digits}@{next_host}:{next_port}",
            headers=[
                ("via", f"{own};branch={branch};rport"),
                ("max-forwards", "70"),
                ("from", f"<sip:{message.shown}@{host}>;tag={secrets.token_hex(8)}"),
                ("to", f"<sip:{message.receiver.digits}@{next_host}>"),
                # The same for each try, by which a receiver may know it again.
                ("call-id", f"{message.id}@{host}"),
                ("cseq", f"{message.attempts} {_METHOD}"),
                ("content-type", "text/plain;charset=UTF-8"),
            ],
            body=message.body.encode(),
        )


def _open(address: Address) -> tuple[socket.socket, socket.socket]:
    """
    A socket for UDP and one for TCP at an address; at one of the system's own choice for port 0.

    Raises:
        OSError: It cannot be had.
    """
    for left in reversed(range(1 if address[1] else _PORTS_TRIED)):
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            datagrams.settimeout(0)
            datagrams.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)
            datagrams.bind(address)
            stream.settimeout(0)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            stream.bind(datagrams.getsockname())
        except OSError:
            datagrams.close()
            stream.close()
            if not left:
                raise
        else:
            return datagrams, stream
    raise AssertionError("the last one was raised")


def _age(extra: list[tuple[int, int, bytes]]) -> float:
    """
    Seconds that a packet has waited in the socket, by the kernel's stamp; 0 without one.
    """
    for level, kind, value in extra:
        if level == socket.SOL_SOCKET and kind == _TIMESTAMP:
            seconds, nanoseconds = _TIMESPEC.unpack(value[: _TIMESPEC.size])
            return float(time.time() - seconds - nanoseconds / 1e9)
    return 0.0


def _body_of(request: Request) -> str | None:
    """
    What a request says; :obj:`None` where it is no text of UTF-8.
    """
    lines = request.all("content-type")
    if len(lines) != 1 or request.all("content-encoding"):
        return None
    kind, _, parameters = lines[0].lower().partition(";")
    charset = parameters.replace(" ", "").replace('"', "")
    if kind.strip() != "text/plain" or charset not in {"", "charset=utf-8", "charset=us-ascii"}:
        return None
    try:
        return request.body.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _user_of(uri: str) -> str:
    """
    The user of a SIP URI, or the number of a tel URI, without parameters; empty without one.
    """
    scheme, _, rest = uri.partition(":")
    if scheme.lower() == "tel":
        return rest.partition(";")[0]
    user, found, _ = rest.partition("@")
    return user.partition(";")[0].partition(":")[0] if found else ""

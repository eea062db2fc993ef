"""
The door for texts by SMPP 3.4: one transceiver to one message centre, both ways.

1. A text is answered once its fate is written: 0 when it is stored, a refusal when it is refused.
   Where nobody knows within half a second, the answer is "temporary": the message centre sends it
   again, and the store knows it again. We ask the store again all the same.
2. A part of a long text is kept, sealed, before it is answered. The text is taken when all of its
   parts are there, once, however many they are.
3. Nothing of a sender's PDU goes on but what the text says. The receiver is shown the 700 number,
   as an address of unknown type: with "international" a phone writes a + in front of it.
4. One process at a time has a link, by a lease. Who loses it unbinds. Others stand by.
5. A short message that was sent and has no answer is of unknown fate: its text is marked, and what
   was answered of it is not sent again.
6. A receipt is written down before it is answered, whether or not its text is known by then.
7. No log line holds a number, a field or a text.

Source:
    SMPP v3.4: 4.4, 4.6 (submit_sm, deliver_sm), 5.1.3 (status), 5.2.17 (registered_delivery),
    7.1.1 (relative time).
"""

import asyncio
import contextlib
import logging
import secrets
import ssl
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from agi_router.bindings.reasons import Reason
from agi_router.calls.decision import Refusal
from agi_router.calls.ports import Admissions, OldNumbers
from agi_router.doors.outbox import Counts, Outbox, Outcome, Tasks
from agi_router.errors import AgiRouterError
from agi_router.messages.checker import TextChecker
from agi_router.messages.decision import screen_text
from agi_router.messages.limits import TextLimits
from agi_router.messages.link_store import LinkStore
from agi_router.messages.model import (
    TURN,
    WRITE,
    MessageState,
    Outgoing,
    Text,
    count_parts,
    pause_after,
)
from agi_router.messages.old_numbers import OldNumberTexts
from agi_router.messages.repeats import CONTENT, Repeats
from agi_router.messages.store import MessageStore, Repeated, Unasked
from agi_router.messages.taking import Accepted, take_text
from agi_router.numbers import Block
from agi_router.rates import OFF, Rate
from agi_router.smpp import (
    Address,
    Alphabet,
    BadPdu,
    BadText,
    Coding,
    IdForm,
    LinkDown,
    NoAnswer,
    Pace,
    Part,
    ReceiptState,
    ShortMessage,
    SmppError,
    Splitting,
    Status,
    SubmitRefused,
    Transceiver,
    decode,
    is_receipt,
    join,
    messages_of,
    normal_id,
    part_of,
    read_receipt,
)

__all__ = ["LinkCounts", "Options", "SmppDoor", "status_of"]

log = logging.getLogger(__name__)

_ADMISSION: Final = 0.45
# Seconds within which a text has its answer.
_ANSWERED: Final = 0.48
# Seconds of these for which a text waits until it can be sent as soon as it is stored.
_ROOM: Final = 0.2
_RENEWED_EVERY: Final = 1.0
_LEASE: Final = 6.0
# Seconds for which an earlier session's texts may come again.
_RETURN: Final = 300.0
# Seconds between the moment at which a text is stored, by the database, and that of its answer.
_ANSWERED_WITHIN: Final = 5.0
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
# Seconds until the next try of one that had no place in the window by then.
_NO_PLACE: Final = 1.0
# Seconds after which the store is asked again where nobody knows whether it has stored a text.
_AGAIN: Final = (0.5, 1.0, 2.0, 4.0, None)
_INTERNATIONAL: Final = 1
_LETTERS: Final = 5
_UNKNOWN: Final = 0
_TELEPHONE: Final = 1
_UDHI: Final = 0x40

_TEMPORARY: Final = frozenset(
    {Status.SYSTEM_ERROR, Status.QUEUE_FULL, Status.THROTTLED, Status.TEMPORARY}
)
# By reason; all that is left is policy.
_STATUSES: Final = {
    Reason.X_MALFORMED: Status.INVALID_DESTINATION,
    Reason.X_UNKNOWN: Status.INVALID_DESTINATION,
    Reason.NUMBER_CHANGED: Status.INVALID_DESTINATION,
    Reason.NUMBER_RETIRED: Status.INVALID_DESTINATION,
    Reason.CHECK_UNAVAILABLE: Status.TEMPORARY,
    Reason.NO_CAPACITY: Status.TEMPORARY,
    Reason.PLATFORM_FAULT: Status.TEMPORARY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """
    How a link is served.
    """

    host: str
    port: int
    system_id: str
    password: str = field(repr=False)
    system_type: str = ""
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    window: int = 20
    """Short messages that may wait for their answer at once."""
    rate: float = 100
    """Short messages in a second, at most."""
    alphabet: Alphabet = Alphabet.GSM7
    """What the message centre takes for its own."""
    gb18030: bool = True
    """Whether coding 15 is GB18030, as in China; elsewhere it is nothing."""
    ids: IdForm = IdForm.EXACT
    splitting: Splitting = Splitting.UDH
    drop_refused: bool = False
    """Whether a refused text is answered as if it were accepted."""
    most_parts: int = 10
    fixed_lines: bool = False
    strict: bool = False
    sender_limit: Rate = OFF
    number_limit: Rate = OFF
    tenant_limit: Rate = OFF
    old_until: datetime | None = None
    """Until when senders to numbers of before the move to 700 are told so; always."""
    waiting: int = 1000
    """How many texts may wait for the store."""
    holder: str
    """What this process is called, among all that there are."""
    node: str
    """What its machine is called."""
    is_gone: Callable[[str], bool] = lambda _: False
    """Whether another process has certainly ended, by its name."""


@dataclass(slots=True)
class LinkCounts:
    """
    What a link has seen so far, besides texts.
    """

    parts: int = 0
    """Parts of long texts."""
    incomplete: int = 0
    """Parts that were given up, as the others did not come."""
    receipts: dict[ReceiptState, int] = field(
        default_factory=lambda: dict.fromkeys(ReceiptState, 0)
    )
    unreadable: int = 0
    """Short messages and receipts that could not be read."""
    throttled: int = 0
    """Short messages that the message centre found to be too many."""
    binds: int = 0


def status_of(reason: Reason, *, strict: bool) -> Status:
    """
    How a refused text is answered.

    Args:
        reason: Why it is refused.
        strict: Whether nobody is to learn anything about a binding.
    """
    if strict and reason.reveals_binding:
        return Status.PERMANENT
    return _STATUSES.get(reason, Status.PERMANENT)


class SmppDoor:
    """
    One link.

    Args:
        store: Where texts are kept.
        links: Where the rest is.
        admissions: What makes numbers that a receiver can be shown.
        options: How it is served.
        checker: Who has texts confirmed whose tenants want that; without one these are refused.
        old_numbers: Who knows the numbers of before the move to 700, if anybody does.
    """

    def __init__(
        self,
        store: MessageStore,
        links: LinkStore,
        admissions: Admissions,
        options: Options,
        checker: TextChecker | None = None,
        *,
        old_numbers: OldNumbers | None = None,
    ) -> None:
        self._store = store
        self._links = links
        self._admissions = admissions
        self._checker = checker
        self._options = options
        self.counts = Counts()
        self.link_counts = LinkCounts()
        self._limits = TextLimits(options.sender_limit, options.number_limit, options.tenant_limit)
        self._old = OldNumberTexts(old_numbers, options.old_until, self._limits)
        self._repeats = Repeats()
        self._pace = Pace(options.rate)
        self._tasks = Tasks()
        self._outbox = Outbox(
            store, self._send, counts=self.counts, tasks=self._tasks, window=options.window
        )
        self._link: Transceiver | None = None
        self._closing = False
        self._waiting = 0
        # Until when the link is ours, by the clock of the loop.
        self._held_until = 0.0
        self._drained = False
        self._heard_at: float | None = None
        self._looked = asyncio.Event()
        self.trouble = "link: nobody has it yet"
        """Why it is not bound, in a line; empty where it is."""

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
        return self._outbox.under_way

    @property
    def is_up(self) -> bool:
        """
        Whether it is bound.
        """
        return self._link is not None and self._link.is_up

    @property
    def window_used(self) -> int:
        """
        How many short messages wait for their answer.
        """
        return 0 if self._link is None else self._link.unanswered

    @property
    def rate(self) -> float:
        """
        Short messages in a second, as the message centre bears it.
        """
        return self._pace.rate

    async def serve(self, stop: asyncio.Event) -> None:
        """
        Take and send texts until *stop*; what is in hand then is brought to its end.

        Raises:
            Exception: A fault of ours, by which nothing would be sent any more.
        """
        keeping = asyncio.create_task(self._keep())
        stopping = asyncio.create_task(stop.wait())
        pause = _FIRST_PAUSE
        try:
            while not stop.is_set():
                if not self._may_bind():
                    pause = _FIRST_PAUSE
                    await self._next_look(stopping)
                    continue
                try:
                    await self._serve_session(stopping, keeping)
                    pause = _FIRST_PAUSE
                except (SmppError, AgiRouterError) as error:
                    self.trouble = f"link: not bound: {_words(error)}"
                    log.warning("link.down", extra={"error": _words(error)})
                    await asyncio.wait({stopping, keeping}, timeout=pause)
                    pause = min(2 * pause, _LONGEST_PAUSE)
                if keeping.done():
                    await keeping
        finally:
            stopping.cancel()
            keeping.cancel()
            await asyncio.gather(keeping, stopping, return_exceptions=True)
            await self._tasks.ended()
            # Where that cannot be written the lease ends.
            with contextlib.suppress(AgiRouterError):
                await self._tell(lease=0.0)

    async def _next_look(self, stopping: "asyncio.Task[bool]") -> None:
        self._looked.clear()
        looked = asyncio.create_task(self._looked.wait())
        await asyncio.wait({stopping, looked}, return_when="FIRST_COMPLETED")
        looked.cancel()

    def _may_bind(self) -> bool:
        return asyncio.get_running_loop().time() < self._held_until and not self._drained

    async def _keep(self) -> None:
        """
        Keep the link, again and again, for ever.
        """
        while True:
            try:
                await self._tell(lease=_LEASE)
            except AgiRouterError as error:
                self.trouble = self.trouble or "link: the database does not say whose it is"
                log.info("link.deferred", extra={"error": type(error).__name__})
            self._looked.set()
            await asyncio.sleep(_RENEWED_EVERY)

    async def _tell(self, *, lease: float) -> None:
        loop = asyncio.get_running_loop()
        link = self._link
        if link is not None and link.heard_at is not None:
            self._heard_at = link.heard_at - _ANSWERED_WITHIN
        asked_at = loop.time()
        heard = None if self._heard_at is None else timedelta(seconds=asked_at - self._heard_at)
        hold = await self._links.hold(
            self._options.holder,
            node=self._options.node,
            lease=timedelta(seconds=lease),
            up=self.is_up,
            heard=heard,
            timeout=_RENEWED_EVERY,
        )
        if not hold.held and self._options.is_gone(hold.holder):
            hold = await self._links.hold(
                self._options.holder,
                node=self._options.node,
                lease=timedelta(seconds=lease),
                up=False,
                heard=None,
                gone=hold.holder,
                timeout=_RENEWED_EVERY,
            )
        self._drained = hold.drained
        self._held_until = asked_at + lease if hold.held else 0.0
        if not hold.held:
            self.trouble = "link: another process has it"
        elif hold.drained:
            self.trouble = "link: drained; 'agi-router link resume' binds it again"
        elif self.is_up:
            self.trouble = ""

    async def _serve_session(
        self, stopping: "asyncio.Task[bool]", keeping: "asyncio.Task[None]"
    ) -> None:
        """
        Bind, and serve the link until it ends, *stopping* is over, or it is not ours any more.

        Raises:
            SmppError: It could not be bound, or was lost.
            StoreError: The database did not say what may come again.
            Exception: A fault of ours.
        """
        options = self._options
        loop = asyncio.get_running_loop()
        # What an earlier session has begun to store is stored by now, or never will be.
        await self._tasks.ended()
        names = await self._links.unheard(timeout=WRITE)
        self._repeats.may_return(names, until=loop.time() + _RETURN)
        async with Transceiver.bound(
            options.host,
            options.port,
            system_id=options.system_id,
            password=options.password,
            system_type=options.system_type,
            deliver=self._deliver,
            window=options.window,
            most_in_hand=options.waiting,
            tls=options.tls,
        ) as link:
            self._link, self._closing, self.trouble = link, False, ""
            self.link_counts.binds += 1
            log.info("link.up", extra={"link": self._store.link})
            sending = self._outbox.start()
            ended = asyncio.create_task(link.ended())
            try:
                waited = {stopping, keeping, sending, ended}
                while self._may_bind() and not any(each.done() for each in waited):
                    await asyncio.wait(waited, timeout=0.5, return_when="FIRST_COMPLETED")
            finally:
                self._closing = True
                self._outbox.close()
                ended.cancel()
                await asyncio.gather(sending, ended, return_exceptions=True)
                await self._tasks.ended()
                await link.answered()
        self.link_counts.unreadable += link.unreadable
        if link.unbound:
            self._heard_at = loop.time()
        elif link.heard_at is not None:
            self._heard_at = link.heard_at - _ANSWERED_WITHIN
        self._link = None
        await sending
        if not link.unbound:
            raise LinkDown(link.reason)
        self.trouble = "link: unbound"
        log.info("link.unbound", extra={"link": self._store.link})

    async def _deliver(self, message: ShortMessage) -> int:
        if self._closing:
            return Status.TEMPORARY
        # Though the session ends meanwhile: what is begun is known when the next one begins.
        return await self._tasks.finish(self._take(message))

    async def _take(self, message: ShortMessage) -> int:
        if is_receipt(message):
            return await self._note_receipt(message)
        if self._waiting >= self._options.waiting:
            return Status.THROTTLED
        return await self._take_text(message)

    async def _note_receipt(self, message: ShortMessage) -> int:
        receipt = read_receipt(message)
        if receipt is None:
            # It would come again and again.
            self.link_counts.unreadable += 1
            return Status.OK
        if receipt.state is not ReceiptState.UNDER_WAY:
            name = normal_id(receipt.message_id, self._options.ids, answer=False)
            try:
                await self._links.note_receipt(
                    name, MessageState(receipt.state.value), timeout=WRITE
                )
            except AgiRouterError as error:
                log.warning("message.unanswered", extra={"error": type(error).__name__})
                return Status.TEMPORARY
        self.link_counts.receipts[receipt.state] += 1
        return Status.OK

    async def _take_text(self, message: ShortMessage) -> int:
        try:
            part = part_of(message)
        except BadPdu:
            return self._unreadable()
        sender, to = _sender_of(message.source), message.destination.number
        screened = screen_text(
            sender=sender, to=to, body="", fixed_lines=self._options.fixed_lines
        )
        if isinstance(screened, Refusal):
            return self._refuse(
                await self._old.explain(screened.reason, sender=sender, to=to, timeout=_ADMISSION)
            )
        if part.total > 1:
            return await self._take_part(screened, message, part)
        content = self._digest(
            message, part.octets, bytes((message.esm_class & _UDHI, part.data_coding))
        )
        now = asyncio.get_running_loop().time()
        same = self._repeats.find(content, now=now)
        if same is None:
            if too_many := self._limits.count(screened):
                return self._refuse(too_many)
            same = Repeats.make(content, secrets.token_bytes(CONTENT))
        until = now + _ANSWERED
        status = await self._admit_in_time(screened, [part], same, until=until)
        if status == Status.TEMPORARY:
            self._repeats.may_return([same], until=now + _RETURN)
        return status

    async def _take_part(self, text: Text, message: ShortMessage, part: Part) -> int:
        if part.total > self._options.most_parts:
            return self._refuse(Reason.TOO_LONG)
        group = self._digest(
            message,
            bytes((part.total, part.data_coding)) + part.reference.to_bytes(2),
        )
        block = text.x_number.block
        until = asyncio.get_running_loop().time() + _ANSWERED
        try:
            parts = await self._links.keep_part(
                block,
                group,
                number=part.number,
                total=part.total,
                octets=part.octets,
                timeout=_ADMISSION,
            )
        except AgiRouterError as error:
            return self._unsure(error)
        self.link_counts.parts += not parts.known
        if parts.over:
            self.counts.repeats += 1
            return Status.OK
        if len(parts.octets) == 1 and not parts.known and (too_many := self._limits.count(text)):
            return await self._close_in_time(block, group, self._refuse(too_many), until=until)
        if len(parts.octets) < part.total:
            return Status.OK
        whole = [
            Part(total=part.total, number=number, data_coding=part.data_coding, octets=octets)
            for number, octets in parts.octets.items()
        ]
        same = self._store.digest(b"whole", group, *(each.octets for each in whole))
        status = await self._admit_in_time(text, whole, same, until=until)
        return await self._close_in_time(block, group, status, until=until)

    async def _close_in_time(
        self, block: Block, group: bytes, status: int, *, until: float
    ) -> int:
        """
        Delete what the parts of a text say whose fate is written; it goes on after *until*.
        """
        if status != Status.TEMPORARY:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._tasks.finish(self._close_parts(block, group))
        return status

    async def _close_parts(self, block: Block, group: bytes) -> None:
        try:
            await self._links.close_parts(block, group, timeout=WRITE)
        except AgiRouterError as error:
            # They are given up when their time is over.
            log.warning("message.end_unwritten", extra={"error": type(error).__name__})

    def _digest(self, message: ShortMessage, *more: bytes) -> bytes:
        source, to = message.source, message.destination
        return self._store.digest(
            self._store.link.encode(),
            source.number.encode(),
            bytes((source.ton, to.ton)),
            to.number.encode(),
            *more,
        )

    async def _admit_in_time(
        self, text: Text, parts: Sequence[Part], same: bytes, *, until: float
    ) -> int:
        """
        Take a text; it goes on where there is no answer by *until*, on the loop's clock.
        """
        try:
            async with asyncio.timeout_at(until):
                return await self._tasks.finish(self._admit(text, parts, same))
        except TimeoutError:
            return Status.TEMPORARY

    async def _admit(self, text: Text, parts: Sequence[Part], same: bytes) -> int:
        self._waiting += 1
        try:
            return await self._admit_whole(text, parts, same)
        finally:
            self._waiting -= 1

    async def _admit_whole(self, text: Text, parts: Sequence[Part], same: bytes) -> int:
        body = self._read(parts)
        if body is None:
            return self._unreadable()
        whole = screen_text(
            sender=text.sender.digits,
            to=str(text.x_number),
            body=body,
            fixed_lines=self._options.fixed_lines,
        )
        if isinstance(whole, Refusal) or count_parts(body) > self._options.most_parts:
            return self._refuse(whole.reason if isinstance(whole, Refusal) else Reason.TOO_LONG)
        match await self._ask_store(whole, same):
            case None:
                self.counts.unanswered += 1
                return Status.TEMPORARY
            case Repeated():
                self.counts.repeats += 1
            case Unasked():
                return self._refuse(Reason.PLATFORM_FAULT)
            case Reason() as reason:
                return self._refuse(reason)
            case Accepted():
                self.counts.accepted += 1
        return Status.OK

    async def _ask_store(
        self, text: Text, same: bytes
    ) -> Accepted | Repeated | Unasked | Reason | None:
        """
        What the store says to a text; :obj:`None` where nobody knows whether it is stored.

        Not every message centre sends again what it is told to: so we ask again.
        """
        unsure = False
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await self._outbox.room(_ROOM)
        timeout = _ADMISSION - (loop.time() - begun)
        for pause in _AGAIN:
            try:
                with self.counts.timed():
                    stored = await take_text(
                        text,
                        same,
                        store=self._store,
                        admissions=self._admissions,
                        checker=self._checker,
                        limits=self._limits,
                        hands=self._outbox,
                        timeout=timeout,
                    )
            except Exception as error:  # noqa: BLE001 - whatever it is, perhaps it was stored
                log.warning("message.unanswered", extra={"error": type(error).__name__})
                unsure = True
            else:
                if not (unsure and isinstance(stored, Unasked)):
                    return stored
            if pause is None or self._closing:
                break
            timeout = _ADMISSION
            await asyncio.sleep(pause)
        return None

    def _read(self, parts: Sequence[Part]) -> str | None:
        """
        What a text says; :obj:`None` where that cannot be read.
        """
        coding = parts[0].data_coding
        if coding == Coding.GB18030 and not self._options.gb18030:
            return None
        try:
            return decode(join(parts), coding, default=self._options.alphabet)
        except BadText:
            return None

    def _unsure(self, error: Exception) -> int:
        self.counts.unanswered += 1
        log.warning("message.unanswered", extra={"error": type(error).__name__})
        return Status.TEMPORARY

    def _unreadable(self) -> int:
        self.link_counts.unreadable += 1
        return Status.PERMANENT

    def _refuse(self, reason: Reason) -> int:
        options = self._options
        # Anybody could write and count: where nobody is to learn anything, nor by the metrics.
        hidden = options.strict and reason.reveals_binding
        self.counts.refused[Reason.NO_BINDING if hidden else reason] += 1
        log.info("message.refused", extra={"reason": reason.value})
        status = status_of(reason, strict=options.strict)
        return Status.OK if options.drop_refused and status != Status.TEMPORARY else status

    async def _send(self, message: Outgoing) -> Outcome:
        options = self._options
        by = asyncio.get_running_loop().time() + TURN
        try:
            pieces = messages_of(
                message.body,
                source=Address(number=str(message.shown), ton=_UNKNOWN, npi=_TELEPHONE),
                destination=Address(number=message.receiver.digits, ton=_UNKNOWN, npi=_TELEPHONE),
                # The same for each try, so that parts of two tries fit together.
                reference=zlib.crc32(message.id.encode()) & 0xFF,
                splitting=options.splitting,
                default=options.alphabet,
                most=options.most_parts,
                validity=_relative(message.left),
            )
        except BadText:
            return Outcome(state=MessageState.FAILED, reason=Reason.TOO_LONG.value)
        try:
            had = (
                await self._links.sent_parts(message, timeout=WRITE)
                if message.attempts > 1
                else set()
            )
        except AgiRouterError:
            # Nothing was sent.
            return Outcome(pause=pause_after(message.attempts))
        wanted = [number for number in range(1, len(pieces) + 1) if number not in had]
        results = await asyncio.gather(
            *(self._submit(pieces[number - 1], by=by) for number in wanted)
        )
        sent = {
            # An answer without an id: no receipt will be known to be its.
            number: normal_id(found, options.ids, answer=True) or f"{message.id}/{number}"
            for number, found in zip(wanted, results, strict=True)
            if isinstance(found, str)
        }
        failures = [found for found in results if not isinstance(found, str)]
        if not failures or sent:
            try:
                ended = await self._links.note_sent(
                    message, sent, total=len(pieces), status=Status.OK, timeout=WRITE
                )
            except AgiRouterError as error:
                # Its lease ends, and it is taken again as one that may have arrived.
                log.warning("message.end_unwritten", extra={"error": type(error).__name__})
                return Outcome()
            if ended:
                self._outbox.note_end(message.id, MessageState.SENT)
            if not failures:
                return Outcome()
        return _judge(failures, message.attempts)

    async def _submit(self, piece: ShortMessage, *, by: float) -> "str | SmppError | float":
        """
        Submit one short message.

        Args:
            piece: It.
            by: When it must have its turn, by the clock of the loop.

        Returns:
            What the message centre calls it; or why it was not taken; or in how many seconds it
            would have its turn, where that is too late.
        """
        loop = asyncio.get_running_loop()
        wait = self._pace.wait(loop.time())
        if loop.time() + wait > by:
            return wait
        self._pace.take(loop.time())
        if wait > 0:
            await asyncio.sleep(wait)
        link = self._link
        if link is None:
            return LinkDown("the session is over")
        try:
            return await link.submit(piece, by=by)
        except LinkDown as error:
            # Those before it have all places of the window, and wait for their answers.
            return _NO_PLACE if link.is_up else error
        except SubmitRefused as error:
            if error.status == Status.THROTTLED:
                self.link_counts.throttled += 1
                self._pace.throttled(loop.time())
            return error
        except SmppError as error:
            return error


def _judge(failures: "Sequence[SmppError | float]", attempts: int) -> Outcome:
    """
    What becomes of a text of which not all was taken.
    """
    refusals = [each.status for each in failures if isinstance(each, SubmitRefused)]
    final = [status for status in refusals if status not in _TEMPORARY]
    if final:
        return Outcome(state=MessageState.FAILED, reason="refused", status=final[0])
    if any(isinstance(each, BadPdu) for each in failures):
        return Outcome(state=MessageState.FAILED, reason="platform_fault")
    known = not any(isinstance(each, NoAnswer) for each in failures)
    if refusals or not known:
        status = refusals[0] if refusals else None
        return Outcome(status=status, pause=pause_after(attempts), known=known)
    # It was not sent: as soon as there is a link and a turn.
    late = [each for each in failures if isinstance(each, float)]
    return Outcome(pause=timedelta(seconds=max(late, default=0.0)))


def _sender_of(address: Address) -> str | Reason:
    """
    Who sends, as the message centre says; a word of letters is nobody's number.
    """
    if address.ton == _LETTERS:
        return Reason.CALLER_FOREIGN
    number = address.number
    if address.ton == _INTERNATIONAL and number[:1].isascii() and number[:1].isdigit():
        return number if number.startswith("00") else f"+{number}"
    return number


def _relative(left: timedelta) -> str:
    """
    A time as SMPP writes those that begin now.
    """
    seconds = max(60, int(left.total_seconds()))
    days, seconds = divmod(seconds, 86_400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    return f"0000{min(days, 99):02}{hours:02}{minutes:02}{seconds:02}000R"


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, SmppError) else type(error).__name__

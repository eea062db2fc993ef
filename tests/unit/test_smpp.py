"""The octets of SMPP: what is read, what is written, what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agi_router.smpp import (
    RESPONSE,
    Address,
    Alphabet,
    BadPdu,
    BadText,
    BindRefused,
    Coding,
    Command,
    Framer,
    IdForm,
    LinkDown,
    NoAnswer,
    Part,
    Patience,
    Pdu,
    Receipt,
    ReceiptState,
    ShortMessage,
    Splitting,
    Status,
    SubmitRefused,
    Tag,
    Transceiver,
    choose_coding,
    cut,
    decode,
    encode,
    is_receipt,
    join,
    messages_of,
    normal_id,
    part_of,
    read_message,
    read_receipt,
    write_bind,
    write_message,
)
from agi_router.smpp.wire import LARGEST_PDU, read_text_field, write_text_field
from harness import values

X, B = Address(number=values.X.digits), Address(number=values.B.digits)
CHINESE = "你好😀" * 60


def a_message(**fields: Any) -> ShortMessage:
    return ShortMessage(**{"source": B, "destination": X, **fields})


# --- PDUs -------------------------------------------------------------------------------------


def test_a_message_as_it_stands_in_the_standard() -> None:
    """Field by field."""
    body = write_message(
        a_message(
            octets=b"hi", esm_class=0x40, data_coding=8, validity="000001000000000R",
            registered_delivery=1, parameters=((Tag.SAR_TOTAL, b"\2"),),
        )
    )  # fmt: skip
    assert body == (
        b"\0"  # service_type
        b"\0\x0113912340002\0"
        b"\0\x01700123456780001\0"
        b"\x40\0\0"  # esm_class, protocol_id, priority_flag
        b"\0"  # schedule_delivery_time
        b"000001000000000R\0"
        b"\1\0\x08\0"  # registered_delivery, replace_if_present, data_coding, sm_default_msg_id
        b"\2hi"
        b"\x02\x0e\x00\x01\x02"
    )
    assert read_message(body).parameter(Tag.SAR_TOTAL) == b"\2"


def test_a_bind() -> None:
    """For version 3.4 and all numbers."""
    assert write_bind(system_id="router", password="secret") == (b"router\0secret\0\0\x34\0\0\0")


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\0" * 3,
        b"7 characters\0",
        write_message(a_message(octets=b"hi"))[:-1],
        write_message(a_message(parameters=((Tag.SAR_TOTAL, b"\2"),)))[:-1],
        write_message(a_message()) + b"\2",
        write_message(a_message()).replace(b"139", b"\xff39"),
    ],
    ids=lambda broken: broken.hex()[:12],
)
def test_what_is_no_message(broken: bytes) -> None:
    """It is told without what stands in it."""
    with pytest.raises(BadPdu) as caught:
        read_message(broken)
    assert "139" not in str(caught.value)


@pytest.mark.parametrize(
    "write",
    [
        lambda: write_message(a_message(octets=b"." * 255)),
        lambda: write_message(a_message(source=Address(number="1" * 21))),
        lambda: write_message(a_message(parameters=((Tag.MESSAGE_PAYLOAD, b"." * 65_536),))),
        lambda: write_text_field("ü"),
        lambda: write_text_field("a\0b"),
        lambda: write_bind(system_id="s" * 16, password=""),
        lambda: write_bind(system_id="", password="p" * 9),
    ],
)
def test_what_does_not_fit(write: Callable[[], bytes]) -> None:
    """It is refused before it is sent."""
    with pytest.raises(BadPdu):
        write()


def test_a_stream_is_cut_into_pdus() -> None:
    """Wherever it comes in pieces."""
    pdus = [Pdu(command=Command.ENQUIRE_LINK, sequence=n, body=b"x" * n) for n in range(1, 4)]
    stream = b"".join(each.write() for each in pdus)
    for size in (1, 7, len(stream)):
        framer = Framer()
        found: list[Pdu] = []
        for at in range(0, len(stream), size):
            found += framer.feed(stream[at : at + size])
        assert found == pdus


@pytest.mark.parametrize("length", [0, 15, LARGEST_PDU + 1, 2**32 - 1])
def test_a_length_that_is_none(length: int) -> None:
    """Nobody knows where the next PDU begins."""
    with pytest.raises(BadPdu, match="command_length"):
        list(Framer().feed(length.to_bytes(4) + bytes(12)))


def test_texts_of_answers() -> None:
    """An answer may have no body."""
    assert read_text_field(b"", "message_id") == ""
    assert read_text_field(b"4711\0", "message_id") == "4711"
    with pytest.raises(BadPdu):
        read_text_field(b"4711", "message_id")


def test_nothing_is_shown() -> None:
    """Neither numbers nor text."""
    message = a_message(octets=b"at the gate", parameters=((Tag.MESSAGE_PAYLOAD, b"secret"),))
    shown = repr((message, Pdu(command=5, sequence=1, body=write_message(message))))
    for told in ("138", "700123", "gate", "secret"):
        assert told not in shown


# --- texts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("@£$", b"\x00\x01\x02"),
        ("{€}", b"\x1b\x28\x1b\x65\x1b\x29"),
        ("Ünal ß", b"\x5enal \x1e"),
    ],
)
def test_seven_bits(text: str, octets: bytes) -> None:
    """One character an octet, two for those of the extension."""
    assert encode(text, Coding.DEFAULT) == octets
    assert decode(octets, 0) == text


@pytest.mark.parametrize(
    ("octets", "text"),
    [(b"a\x1b", "a "), (b"a\x1b\x1b", "a "), (b"\x1ba", "a")],
    ids=["escape at the end", "two escapes", "what the extension lacks"],
)
def test_escapes(octets: bytes, text: str) -> None:
    """As a phone shows them."""
    assert decode(octets, 0) == text


@pytest.mark.parametrize(
    ("octets", "coding", "default"),
    [
        (b"\x80", 0, Alphabet.GSM7),
        (b"\x1b\x80", 0, Alphabet.GSM7),
        (b"\x80", 0, Alphabet.ASCII),
        (b"\x80", 1, Alphabet.GSM7),
        (b"\xd8\x3d", 8, Alphabet.GSM7),
        (b"a", 8, Alphabet.GSM7),
        (b"\xff", 15, Alphabet.GSM7),
        (b"a", 4, Alphabet.GSM7),
    ],
)
def test_octets_that_are_no_text(octets: bytes, coding: int, default: Alphabet) -> None:
    """Nothing is replaced."""
    with pytest.raises(BadText):
        decode(octets, coding, default=default)


@pytest.mark.parametrize(
    ("text", "coding"), [("你", Coding.DEFAULT), ("你", Coding.LATIN1), ("\ud83d", Coding.UCS2)]
)
def test_texts_that_a_coding_does_not_have(text: str, coding: Coding) -> None:
    """Nothing is replaced."""
    with pytest.raises(BadText):
        encode(text, coding)


@pytest.mark.parametrize(
    ("text", "default", "coding"),
    [
        ("at the gate [3]", Alphabet.GSM7, Coding.DEFAULT),
        ("ç", Alphabet.GSM7, Coding.UCS2),
        ("ç", Alphabet.LATIN1, Coding.DEFAULT),
        ("ç", Alphabet.ASCII, Coding.UCS2),
        ("你", Alphabet.LATIN1, Coding.UCS2),
    ],
)
def test_the_coding_of_a_text(text: str, default: Alphabet, coding: Coding) -> None:
    """What takes the least, and every phone reads."""
    assert choose_coding(text, default) is coding
    octets = encode(text, coding, default=default)
    assert decode(octets, coding, default=default) == text


# --- parts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("a" * 160, [160]),
        ("a" * 161, [153, 8]),
        ("€" * 80, [160]),
        # An escape and what follows it are not parted.
        ("€" * 81, [152, 10]),
        ("你" * 70, [140]),
        ("你" * 71, [134, 8]),
        # Nor is a pair.
        (CHINESE, [132, 134, 134, 80]),
        ("", [0]),
    ],
)
def test_where_a_text_is_cut(text: str, sizes: list[int]) -> None:
    """Between characters."""
    coding = choose_coding(text, Alphabet.GSM7)
    pieces = cut(text, coding)
    assert list(map(len, pieces)) == sizes
    assert "".join(decode(each, coding) for each in pieces) == text


@pytest.mark.parametrize("splitting", Splitting)
@pytest.mark.parametrize("text", ["at the gate", "€" * 200, CHINESE])
def test_a_text_comes_back(text: str, splitting: Splitting) -> None:
    """By any way, in any order."""
    sent = messages_of(text, source=X, destination=B, reference=17, splitting=splitting)
    parts = [part_of(read_message(write_message(each))) for each in reversed(sent)]
    assert {each.total for each in parts} == {len(parts)}
    assert decode(join(parts), parts[0].data_coding) == text
    assert len({each.reference for each in parts}) == 1


def test_too_long() -> None:
    """A text may take so many messages and no more."""
    most = messages_of("a" * 1530, source=X, destination=B, reference=1)
    assert len(most) == 10
    with pytest.raises(BadText, match="takes 11 messages"):
        messages_of("a" * 1531, source=X, destination=B, reference=1)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"\x05\x00\x03\x07\x02\x01", (7, 2, 1)),
        (b"\x06\x08\x04\x01\x02\x03\x02", (258, 3, 2)),
        # Ports before it, which are passed over.
        (b"\x0b\x05\x04\x15\x81\x00\x00\x00\x03\x07\x02\x02", (7, 2, 2)),
        (b"\x00", (0, 1, 1)),
        # Cut off inside: it says nothing.
        (b"\x03\x00\x03\x07", (0, 1, 1)),
        # Of another length than it can have.
        (b"\x04\x00\x02\x07\x02", (0, 1, 1)),
        (b"\x04\x08\x02\x07\x02", (0, 1, 1)),
    ],
)
def test_headers(header: bytes, expected: tuple[int, int, int]) -> None:
    """Both references, whatever else stands there."""
    part = part_of(a_message(esm_class=0x40, octets=header + b"text"))
    assert (part.reference, part.total, part.number) == expected
    assert part.octets == b"text"


@pytest.mark.parametrize(
    "octets", [b"", b"\x05\x00", b"\x05\x00\x03\x07\x02\x03", b"\x05\x00\x03\x07\x02\x00"]
)
def test_headers_that_cannot_be_right(octets: bytes) -> None:
    """It is told without what stands in it."""
    with pytest.raises(BadPdu):
        part_of(a_message(esm_class=0x40, octets=octets))


def test_optional_parameters_that_are_not_all_there() -> None:
    """It is a text of its own."""
    message = a_message(octets=b"a", parameters=((Tag.SAR_TOTAL, b"\2"),))
    assert part_of(message) == Part(data_coding=0, octets=b"a")


# --- receipts ---------------------------------------------------------------------------------


NPM = (
    b"id:0000A1 sub:001 dlvrd:001 submit date:2601311504 done date:2601311504"
    b" stat:DELIVRD err:000 text:id:9 stat:UNDELIV"
)
JASMIN = b"id:0000A1 submit date:2601311504 done date:2601311504 stat:UNDELIV err:012 text:-"


@pytest.mark.parametrize(
    ("octets", "parameters", "expected"),
    [
        (NPM, (), Receipt(message_id="0000A1", state=ReceiptState.DELIVERED, error="000")),
        (JASMIN, (), Receipt(message_id="0000A1", state=ReceiptState.UNDELIVERED, error="012")),
        # Parameters count more.
        (
            NPM,
            ((Tag.RECEIPTED_MESSAGE_ID, b"B2\0"), (Tag.MESSAGE_STATE, b"\x06")),
            Receipt(message_id="B2", state=ReceiptState.UNDER_WAY, error="000"),
        ),
        (
            b"",
            ((Tag.RECEIPTED_MESSAGE_ID, b"B2"), (Tag.MESSAGE_STATE, b"\x09")),
            Receipt(message_id="B2", state=ReceiptState.UNKNOWN, error=None),
        ),
        (b"stat:DELIVRD", (), None),
        # What a person wrote is no id.
        (b"stat:DELIVRD text:id:7", (), None),
    ],
)
def test_receipts(
    octets: bytes, parameters: tuple[tuple[int, bytes], ...], expected: Receipt | None
) -> None:
    """By keys, whatever stands between them."""
    message = a_message(esm_class=0x04, octets=octets, parameters=parameters)
    assert is_receipt(message)
    assert read_receipt(message) == expected


@pytest.mark.parametrize(("esm_class", "receipt"), [(0, False), (0x40, False), (0x20, True)])
def test_what_is_a_receipt(esm_class: int, *, receipt: bool) -> None:
    """And what is a person's."""
    assert is_receipt(a_message(esm_class=esm_class)) is receipt


@pytest.mark.parametrize(
    ("form", "answer", "receipt", "alike"),
    [
        (IdForm.EXACT, "0A", "0a", False),
        (IdForm.UPPER, "00A", "a", True),
        (IdForm.HEX_DEC, "1F", "31", True),
        (IdForm.HEX_DEC, "1F", "0031", True),
        (IdForm.HEX_DEC, "x-7", "x-7", True),
    ],
)
def test_ids(form: IdForm, answer: str, receipt: str, *, alike: bool) -> None:
    """As the message centre writes them."""
    same = normal_id(answer, form, answer=True) == normal_id(receipt, form, answer=False)
    assert same is alike


# --- sessions ---------------------------------------------------------------------------------

QUICK = Patience(bind=20, submit=20, idle=20, enquire=20, unbind=20)
Script = Callable[["Centre"], Awaitable[None]]


class Centre:
    """A message centre that does what a test says, PDU by PDU."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._framer = Framer()
        self._come: list[Pdu] = []
        self._serial = 0

    async def take(self, command: int) -> Pdu:
        """The next PDU, which is to be this one."""
        while not self._come:
            data = await self._reader.read(4096)
            assert data, "the session was ended"
            self._come += self._framer.feed(data)
        pdu = self._come.pop(0)
        assert pdu.command == command, hex(pdu.command)
        return pdu

    async def gone(self) -> None:
        """Wait until nothing more comes."""
        while await self._reader.read(4096):
            pass

    def answer(self, pdu: Pdu, status: int = 0, body: bytes = b"") -> None:
        """Answer a PDU."""
        self.send(
            Pdu(
                command=pdu.command | RESPONSE, status=status, sequence=pdu.sequence, body=body
            ).write()
        )

    def ask(self, command: int, body: bytes = b"") -> None:
        """Ask for something."""
        self._serial += 1
        self.send(Pdu(command=command, sequence=self._serial, body=body).write())

    def send(self, data: bytes) -> None:
        """Send octets."""
        self._writer.write(data)

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()

    async def bind(self) -> None:
        """Let somebody in."""
        self.answer(await self.take(Command.BIND_TRANSCEIVER), body=b"centre\0")


@asynccontextmanager
async def centre(script: Script) -> AsyncIterator[int]:
    """The port of a message centre; what fails in its script fails the test."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await script(Centre(reader, writer))
            done.set_result(None)
        except BaseException as error:  # noqa: BLE001
            done.set_exception(error)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
        async with asyncio.timeout(60):
            await done
    finally:
        server.close()


async def fine(_: ShortMessage) -> int:
    return Status.OK


@asynccontextmanager
async def session(
    port: int,
    deliver: Callable[[ShortMessage], Awaitable[int]] = fine,
    *,
    window: int = 10,
    patience: Patience = QUICK,
) -> AsyncIterator[Transceiver]:
    async with Transceiver.bound(
        "127.0.0.1", port, system_id="router", password="secret", deliver=deliver,
        window=window, patience=patience,
    ) as link:  # fmt: skip
        yield link


async def unbound(peer: Centre) -> None:
    peer.answer(await peer.take(Command.UNBIND))
    await peer.gone()


async def test_the_life_of_a_session() -> None:
    """Bound, used both ways, unbound."""
    came: list[bytes] = []
    heard = asyncio.Event()

    async def script(peer: Centre) -> None:
        bind = await peer.take(Command.BIND_TRANSCEIVER)
        assert bind.body.startswith(b"router\0secret\0")
        # Right behind the answer, in one piece.
        answer = Pdu(command=Command.BIND_TRANSCEIVER | RESPONSE, sequence=bind.sequence)
        first = Pdu(
            command=Command.DELIVER_SM, sequence=9, body=write_message(a_message(octets=b"one"))
        )
        peer.send(answer.write() + first.write())
        told = await peer.take(Command.DELIVER_SM | RESPONSE)
        assert (told.status, told.sequence, told.body) == (Status.OK, 9, b"\0")
        peer.ask(Command.ENQUIRE_LINK)
        await peer.take(Command.ENQUIRE_LINK | RESPONSE)
        peer.ask(Command.DATA_SM)
        nack = await peer.take(Command.GENERIC_NACK)
        assert nack.status == Status.INVALID_COMMAND
        # What nobody has asked for.
        peer.answer(Pdu(command=Command.SUBMIT_SM, sequence=99))
        heard.set()
        submit = await peer.take(Command.SUBMIT_SM)
        assert read_message(submit.body).payload == b"two"
        peer.answer(submit, body=b"4711\0")
        await unbound(peer)

    async def take(message: ShortMessage) -> int:
        came.append(message.payload)
        return Status.OK

    async with centre(script) as port:
        async with session(port, take) as link:
            await heard.wait()
            assert await link.submit(a_message(octets=b"two")) == "4711"
            assert came == [b"one"]
        assert not link.is_up
        with pytest.raises(LinkDown):
            await link.submit(a_message())


async def test_answers_come_in_any_order() -> None:
    """Each finds its own; no more wait at once than the window has."""

    async def script(peer: Centre) -> None:
        await peer.bind()
        first, second = [await peer.take(Command.SUBMIT_SM) for _ in range(2)]
        peer.answer(second, body=b"second\0")
        third = await peer.take(Command.SUBMIT_SM)
        peer.answer(third, Status.THROTTLED)
        peer.answer(first, body=b"not closed")
        await unbound(peer)

    async with centre(script) as port, session(port, window=2) as link:
        told = await asyncio.gather(
            *(link.submit(a_message(octets=bytes((n,)))) for n in range(3)), return_exceptions=True
        )
    assert told[:2] == ["", "second"]
    assert isinstance(told[2], SubmitRefused)
    assert told[2].status == Status.THROTTLED
    assert str(told[2]) == "the message was refused with status 0x00000058"
    assert link.unreadable == 1


async def test_a_window_that_is_full() -> None:
    """What has no place in time is certainly not sent; the place of another is not lost by it."""

    async def script(peer: Centre) -> None:
        await peer.bind()
        first = await peer.take(Command.SUBMIT_SM)
        late.set()
        await given_up.wait()
        peer.answer(first, body=b"first\0")
        peer.answer(await peer.take(Command.SUBMIT_SM), body=b"third\0")
        await unbound(peer)

    late, given_up = asyncio.Event(), asyncio.Event()
    async with centre(script) as port, session(port, window=1) as link:
        first = asyncio.create_task(link.submit(a_message(octets=b"1")))
        await late.wait()
        with pytest.raises(LinkDown, match="no place"):
            await link.submit(a_message(octets=b"2"), by=0.0)
        assert link.is_up
        given_up.set()
        assert await first == "first"
        assert await link.submit(a_message(octets=b"3"), by=0.0) == "third"


async def test_a_bind_that_is_refused() -> None:
    """With its status; the password is in no error."""

    async def script(peer: Centre) -> None:
        peer.answer(await peer.take(Command.BIND_TRANSCEIVER), 0x0E)
        await peer.gone()

    async with centre(script) as port:
        with pytest.raises(BindRefused, match="0x0000000e") as caught:
            async with session(port):
                pass
    assert caught.value.status == 0x0E


@pytest.mark.parametrize("closes", [False, True])
async def test_a_bind_without_an_answer(*, closes: bool) -> None:
    """In time, or at once where the connection is closed."""

    async def script(peer: Centre) -> None:
        if closes:
            await peer.take(Command.BIND_TRANSCEIVER)
            peer.close()
        else:
            # On a busy machine it may be given up before anything is sent.
            await peer.gone()

    async with centre(script) as port:
        patience = Patience(bind=30 if closes else 0.05)
        with pytest.raises(LinkDown, match="closed" if closes else "in time"):
            async with session(port, patience=patience):
                pass


async def test_nobody_there() -> None:
    """It is told so."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(LinkDown, match="no connection"):
        async with session(port):
            pass


@pytest.mark.parametrize("closes", [False, True])
async def test_a_message_without_an_answer(*, closes: bool) -> None:
    """It was sent: nobody knows."""

    async def script(peer: Centre) -> None:
        await peer.bind()
        await peer.take(Command.SUBMIT_SM)
        if closes:
            peer.close()
        else:
            await unbound(peer)

    async with centre(script) as port:
        patience = Patience(submit=30 if closes else 0.05, unbind=20)
        async with session(port, patience=patience) as link:
            with pytest.raises(NoAnswer):
                await link.submit(a_message())


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (Pdu(command=Command.UNBIND, sequence=1).write(), "the peer has ended the session"),
        (b"\xff" * 16, "a command_length out of bounds"),
    ],
)
async def test_what_ends_a_session(sent: bytes, reason: str) -> None:
    """Whoever waits for its end is told why."""

    async def script(peer: Centre) -> None:
        await peer.bind()
        peer.send(sent)
        await peer.gone()

    async with centre(script) as port, session(port) as link:
        assert await link.ended() == reason
        with pytest.raises(LinkDown, match=reason):
            await link.submit(a_message())


@pytest.mark.parametrize("answers", [False, True])
async def test_a_peer_that_is_silent_is_asked(*, answers: bool) -> None:
    """Again and again, and is gone where it says nothing."""

    async def script(peer: Centre) -> None:
        await peer.bind()
        asked = await peer.take(Command.ENQUIRE_LINK)
        if answers:
            peer.answer(asked)
            await peer.take(Command.ENQUIRE_LINK)
            peer.close()
        else:
            await peer.gone()

    patience = Patience(idle=0.05, enquire=30 if answers else 0.05)
    async with centre(script) as port, session(port, patience=patience) as link:
        reason = "the peer has closed the connection" if answers else "the peer does not answer"
        assert await link.ended() == reason


async def test_what_cannot_be_read_or_handled(caplog: pytest.LogCaptureFixture) -> None:
    """It is answered, and nothing of it is told; too many at once are throttled."""
    hold, done = asyncio.Event(), asyncio.Event()

    async def script(peer: Centre) -> None:
        await peer.bind()
        peer.ask(Command.DELIVER_SM, b"no message")
        assert (await peer.take(Command.DELIVER_SM | RESPONSE)).status == Status.PERMANENT
        peer.ask(Command.DELIVER_SM, write_message(a_message(octets=b"held")))
        peer.ask(Command.DELIVER_SM, write_message(a_message(octets=b"one too many")))
        assert (await peer.take(Command.DELIVER_SM | RESPONSE)).status == Status.THROTTLED
        hold.set()
        assert (await peer.take(Command.DELIVER_SM | RESPONSE)).status == Status.TEMPORARY
        done.set()
        await unbound(peer)

    async def take(message: ShortMessage) -> int:
        await hold.wait()
        raise ValueError(message.payload)

    async with centre(script) as port, session(port, take, window=1) as link:
        await done.wait()
    assert link.unreadable == 1
    assert [record.getMessage() for record in caplog.records] == [
        "a message could not be handled: ValueError"
    ]

"""The door for texts by SMPP, at a message centre and with a phone that nobody of us wrote."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import pytest
from clients.conftest import POOL
from clients.kannel import two_centres
from clients.test_smpp import (
    HERE,
    INSTALLED,
    PATIENCE,
    TEXTS,
    Library,
    Mailbox,
    centre,
    running,
    session,
)
from postgres.test_message_leaks import tells
from postgres.test_smpp_leaks import said

from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Messages
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection
from agi_router.doors.smpp import Options, SmppDoor
from agi_router.messages.link_store import LinkStore
from agi_router.messages.store import MessageStore
from agi_router.smpp import (
    Address,
    Coding,
    Part,
    ShortMessage,
    Splitting,
    Transceiver,
    decode,
    encode,
    join,
    messages_of,
    write_message,
)
from harness.database import bind, dials, one, until_async
from harness.values import A, B

# Characters of all planes, of both alphabets of GSM, and what stands at the edges of UTF-16.
ALPHABET = "abc @€{}[]~|^\\\f\n你好门口ñΔ\ud7ff\ue000\ufffd\uffff😀\U00010000\U0002a6d6\U0010ffff"


def long_texts(parts: int) -> list[str]:
    """Texts of so many parts, of 153 characters and of 67."""
    return [("1234567890" * 153)[: 153 * parts], ("门口😀" * 168)[: 50 * parts]]


@dataclass
class World:
    """A door at a message centre, and a phone at its other account."""

    port: int
    x: str
    box: Mailbox
    phone: Transceiver | None
    parts: dict[tuple[int, int], list[Part]]

    async def send(self, messages: Iterable[ShortMessage]) -> None:
        """Let the phone send, all at once."""
        assert self.phone is not None
        await asyncio.gather(*map(self.phone.submit, messages))

    async def texts(self, count: int) -> list[str]:
        """Wait until so many texts have come to the phone."""
        found: list[str] = []
        while len(found) < count:
            [part], _ = await self.box.texts_and_receipts(1, 0)
            group = self.parts.setdefault((part.reference, part.total), [])
            group.append(part)
            if len(group) == part.total:
                found.append(
                    decode(join(self.parts.pop((part.reference, part.total))), part.data_coding)
                )
        return found


@contextlib.asynccontextmanager
async def one_centre(library: Library = Library.NPM) -> AsyncIterator[tuple[int, int]]:
    """The port of the router's message centre, which is that of the phones."""
    async with centre(library=library) as port:
        yield port, port


@contextlib.asynccontextmanager
async def world(
    dsn: str,
    store: BindingStore,
    splitting: Splitting,
    *,
    phone: bool = True,
    way: Callable[[], AbstractAsyncContextManager[tuple[int, int]]] = one_centre,
) -> AsyncIterator[World]:
    """The door is bound, and a binding made."""
    made = bind(
        store,
        x=None,
        tenant=POOL,
        messages=Messages.BOTH,
        order_id=f"order-{secrets.token_hex(8)}",
    )
    box = Mailbox()
    async with (
        AdmissionStore(dsn, store.keys, connections=4) as admissions,
        way() as (near, port),
        contextlib.AsyncExitStack() as stack,
    ):
        texts = MessageStore(
            admissions.pool, store.keys, link=splitting.value, validity=timedelta(days=1)
        )
        options = Options(
            host="127.0.0.1",
            port=near,
            system_id="router",
            password="secret",
            holder=str(near),
            node="here",
            rate=10_000,
            splitting=splitting,
        )
        door = SmppDoor(texts, LinkStore(admissions.pool, texts), admissions, options)
        stop = asyncio.Event()
        task = asyncio.create_task(door.serve(stop))
        await until_async(lambda: door.is_up)
        link = await stack.enter_async_context(session(port, "phone", box)) if phone else None
        yield World(port, str(dials(made.parties[0])), box, link, {})
        stop.set()
        await task


def cut_anywhere(text: str, reference: int, *, source: str, to: str) -> list[ShortMessage]:
    """A text as a phone sends it that cuts surrogate pairs, and counts to 65,535."""
    octets = encode(text, Coding.UCS2)
    pieces = [octets[at : at + 132] for at in range(0, len(octets), 132)] or [b""]
    return [
        ShortMessage(
            source=Address(number=source),
            destination=Address(number=to),
            esm_class=0x40,
            data_coding=Coding.UCS2,
            octets=b"\x06\x08\x04" + reference.to_bytes(2) + bytes((len(pieces), number)) + piece,
        )
        for number, piece in enumerate(pieces, 1)
    ]


def a_random_text(chance: random.Random) -> str:
    """A text of up to some six short messages."""
    return "".join(chance.choices(ALPHABET, k=chance.choice([1, 70, 71, 160, 161, 300])))


@pytest.mark.parametrize("splitting", Splitting)
async def test_texts_in_every_coding(
    splitting: Splitting, dsn: str, connection: Connection, store: BindingStore
) -> None:
    """Each comes out as it went in, however it is cut, and is known to have arrived."""
    async with world(dsn, store, splitting) as there:
        for number, text in enumerate(TEXTS):
            await there.send(
                messages_of(
                    text,
                    source=Address(number=A.digits),
                    destination=Address(number=there.x),
                    reference=number,
                    splitting=splitting,
                )
            )
            assert await there.texts(1) == [text]
        count = (
            "SELECT count(*) FROM agi_router.message"
            f" WHERE state = 'delivered' AND x_number = {there.x}"
        )
        await until_async(lambda: one(connection, count) == len(TEXTS))


@pytest.mark.parametrize("library", Library)
async def test_random_texts(
    library: Library, request: pytest.FixtureRequest, dsn: str, store: BindingStore
) -> None:
    """All planes, with surrogate pairs that are cut: equal at the other end."""
    chance = random.Random(700)  # noqa: S311 - the same ones each time
    count = request.config.getoption("--random-texts")
    async with world(dsn, store, Splitting.UDH, way=partial(one_centre, library)) as there:
        for number in range(count):
            text = a_random_text(chance)
            await there.send(cut_anywhere(text, 1000 + number, source=A.digits, to=there.x))
            assert await there.texts(1) == [text]


async def test_texts_by_way_of_kannel(dsn: str, store: BindingStore) -> None:
    """Two message centres and kannel between: as they went in, also where pairs are cut."""
    chance = random.Random(701)  # noqa: S311 - the same ones each time
    async with world(dsn, store, Splitting.UDH, way=two_centres) as there:
        for number, text in enumerate([*TEXTS, *(a_random_text(chance) for _ in range(20))]):
            whole = number < len(TEXTS)
            source, to = A.digits, there.x
            parts = (
                messages_of(
                    text,
                    source=Address(number=source),
                    destination=Address(number=to),
                    reference=number,
                )
                if whole
                else cut_anywhere(text, 1000 + number, source=source, to=to)
            )
            await there.send(parts)
            assert await there.texts(1) == [text]


async def test_texts_of_smpplib(dsn: str, connection: Connection, store: BindingStore) -> None:
    """A phone that parts surrogates: each of its texts is one, and reaches the message centre."""
    python = INSTALLED / "venv/bin/python"
    async with (
        world(dsn, store, Splitting.UDH, phone=False) as there,
        running(python, HERE / "smpplib_client.py", str(there.port), B.digits, there.x) as client,
    ):
        assert client.stdin is not None
        assert client.stdout is not None
        for text in TEXTS:
            client.stdin.write(json.dumps(text).encode() + b"\n")
            assert json.loads(await client.stdout.readline())
        count = (
            "SELECT count(*) FROM agi_router.message"
            f" WHERE state IN ('sent', 'delivered') AND x_number = {there.x}"
        )
        await until_async(lambda: one(connection, count) == len(TEXTS))


@pytest.mark.parametrize("splitting", [Splitting.UDH, Splitting.PAYLOAD])
async def test_texts_of_aiosmpplib(
    splitting: Splitting, dsn: str, connection: Connection, store: BindingStore
) -> None:
    """A phone that joins what comes itself: each text is as it went in, up to ten parts."""
    python = INSTALLED / "venv/bin/python"
    # It writes 153 characters into a part, though some take two octets, and joins the tenth part
    # after the first.
    in_parts = [text for text in TEXTS if "€" * 100 not in text]
    in_parts += long_texts(9 if splitting is Splitting.UDH else 10)
    texts = [*((text, True) for text in in_parts), *((text, False) for text in TEXTS)]
    async with (
        world(dsn, store, splitting, phone=False) as there,
        running(
            python, HERE / "aiosmpplib_client.py", str(there.port), B.digits, there.x
        ) as client,
    ):
        assert client.stdin is not None
        assert client.stdout is not None
        for text, parts in texts:
            client.stdin.write(json.dumps({"text": text, "parts": parts}).encode() + b"\n")
            async with asyncio.timeout(PATIENCE):
                told = json.loads(await client.stdout.readline())
            assert told == {"text": text, "from": there.x}
        count = (
            "SELECT count(*) FROM agi_router.message"
            f" WHERE state = 'delivered' AND x_number = {there.x}"
        )
        await until_async(lambda: one(connection, count) == len(texts))


async def test_what_kannel_tells() -> None:
    """Passing the same texts on as it comes, it tells who sent each; the door tells none."""
    planted = said(A)
    box, ours = Mailbox(), Mailbox()
    async with (
        two_centres() as (near, far),
        session(near, "router", box),
        session(far, "phone", ours) as phone,
    ):
        await asyncio.gather(*map(phone.submit, planted.values()))
        came = [await box.message() for _ in planted]
    told = [name for message in came if (name := tells(write_message(message), A))]
    assert len(told) >= 60

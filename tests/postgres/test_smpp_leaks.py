"""Nothing that a message centre says of a sender crosses the door for SMPP, nor of a receiver."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from postgres.test_message_leaks import dump, tells
from postgres.test_smpp_door import serving

from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Messages
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection
from agi_router.doors import smpp
from agi_router.keys.ring import KeyRing
from agi_router.leaktest import link_texts
from agi_router.leaktest.centre import Centre as OwnCentre
from agi_router.leaktest.centre import centre as own_centre
from agi_router.leaktest.link_vectors import LINK_VECTORS, plant
from agi_router.leaktest.text_vectors import NAME
from agi_router.leaktest.texts import TextPair
from agi_router.numbers import PhoneNumber
from agi_router.service.message_gauges import LinkGauges, show_link
from agi_router.service.metrics import Figures
from agi_router.smpp import Address, ShortMessage, Status, Transceiver, write_message
from harness.canaries import found
from harness.database import SOON, bind, one, until_async
from harness.smsc import Centre, centre, receipt_of
from harness.values import A, B, C, X


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A door that waits for the database as long as a test does."""
    monkeypatch.setattr(smpp, "_ADMISSION", SOON)


def said(sender: PhoneNumber) -> dict[str, ShortMessage]:
    """A text for each way in which its sender could be told; each names its way."""
    return {name: plant(name, sender=sender.digits, to=str(X), body=name) for name in LINK_VECTORS}


def relayed(message: ShortMessage, receiver: PhoneNumber) -> bytes:
    """What a relay sends on that puts other numbers where the addresses stand, and no more."""
    return write_message(
        replace(
            message,
            source=Address(number=str(X)),
            destination=Address(number=receiver.digits),
        )
    )


@pytest.mark.parametrize("way", [(A, B), (B, A)], ids=["from-a", "from-b"])
async def test_vectors(
    way: tuple[PhoneNumber, PhoneNumber],
    store: BindingStore,
    connection: Connection,
    admissions: AdmissionStore,
    keys: KeyRing,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each is planted in a text of its own; a naive relay tells by nearly all of them."""
    caplog.set_level(logging.DEBUG)
    bind(store, messages=Messages.BOTH)
    sender, receiver = way
    planted = said(sender)
    assert len(planted) >= 60
    async with centre() as smsc, serving(admissions, keys, smsc, window=100) as world:
        await smsc.bound()
        await asyncio.gather(*(taken(smsc, message) for message in planted.values()))
        stranger = replace(planted["callback_num"], source=Address(number=C.digits))
        assert await smsc.deliver(stranger) == Status.PERMANENT
        sent = "SELECT count(*) FROM agi_router.message WHERE state = 'sent'"
        await until_async(lambda: one(connection, sent) == len(planted))
        assert sorted(smsc.texts) == sorted(planted)
        await receipts(smsc, sender, receiver)
        figures = Figures()
        show_link(figures, door=world.door, gauges=LinkGauges(world.links))
        metrics = figures.tell()
        # Before the door ends: what it owes is there, too.
        rows = dump(connection)
    crossed(smsc, sender, receiver)
    naive = [bool(tells(relayed(message, receiver), sender)) for message in planted.values()]
    assert sum(naive) >= 60
    records = "\n".join(str(vars(record)) for record in caplog.records)
    assert "message.ended" in records
    assert b"agi_router_smpp_receipts_total" in metrics
    assert tells(records.encode() + metrics + rows, A, B, C) == []
    assert not any(name in records for name in planted if len(name) > 8)


async def taken(smsc: Centre, message: ShortMessage) -> None:
    """Send a text until it is taken, as message centres do."""
    while (status := await smsc.deliver(message)) != Status.OK:
        assert status == Status.TEMPORARY


async def receipts(smsc: Centre, sender: PhoneNumber, receiver: PhoneNumber) -> None:
    """Let receipts come that tell the text and both numbers: nobody hears of that."""
    for number in range(len(smsc.submitted)):
        told = receipt_of(f"{number + 1:08X}", source=receiver.digits, to=str(X))
        words = told.octets.removesuffix(b"-") + f"{sender.digits} {NAME}".encode()
        assert await smsc.deliver(replace(told, octets=words)) == Status.OK


def crossed(smsc: Centre, sender: PhoneNumber, receiver: PhoneNumber) -> None:
    """All that came to the message centre names its receiver, as an address, and nobody else."""
    assert tells(smsc.raw, sender, C) == []
    assert found(smsc.raw.replace(receiver.digits.encode(), b""), [receiver.digits]) == []
    assert smsc.raw.count(receiver.digits.encode()) == len(smsc.submitted)


async def test_the_leak_test_sees() -> None:
    """What a naive relay tells, by nearly all vectors; one that swallows texts is a fault."""
    tasks: list[asyncio.Task[str]] = []
    async with own_centre() as made:

        async def pass_on(message: ShortMessage) -> int:
            if message.esm_class & 0x3C:
                return Status.OK
            receiver = B if message.source.number.endswith(A.digits) else A
            other = replace(
                message,
                source=Address(number=str(X)),
                destination=Address(number=receiver.digits),
            )
            tasks.append(asyncio.create_task(link.submit(other)))
            return Status.OK

        async with relay(made, pass_on) as link:
            pairs = [TextPair(a=A, b=B, x=X)]
            found_ = await link_texts.run_link_texts(LINK_VECTORS, pairs, made)
            await asyncio.gather(*tasks)
    assert [each.fault for each in found_ if each.fault] == []
    assert sum(bool(each.findings) for each in found_) >= 120


async def test_a_text_that_does_not_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    """It proves nothing, and nor does one that is refused."""
    monkeypatch.setattr(link_texts, "ARRIVES", 0.01)
    statuses = iter([Status.TEMPORARY, Status.OK, Status.PERMANENT])
    monkeypatch.setattr(link_texts, "_AGAIN", 0.01)

    async def swallow(_: ShortMessage) -> int:
        return next(statuses)

    async with own_centre() as made, relay(made, swallow):
        found_ = await link_texts.run_link_texts(["priority"], [TextPair(a=A, b=B, x=X)], made)
    assert {each.fault for each in found_} == {
        "it has not arrived at the message centre in 0.01 s",
        "the door has answered 0x65",
    }


@asynccontextmanager
async def relay(
    made: OwnCentre, deliver: Callable[[ShortMessage], Awaitable[int]]
) -> AsyncIterator[Transceiver]:
    """Something that is bound to the message centre of the leak test."""
    login = {"system_id": "naive", "password": "naive", "deliver": deliver, "window": 100}
    async with Transceiver.bound("127.0.0.1", made.port, **login) as link:  # type: ignore[arg-type]
        yield link

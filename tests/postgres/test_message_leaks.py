"""Nothing that a sender's side says of the sender crosses the door, nor of the receiver back."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from postgres.test_sip_messages import World, a_branch, serving

from agi_router.bindings.modes import Ax
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Messages
from agi_router.calls.store import AdmissionStore
from agi_router.cli import leaktest_texts
from agi_router.db.connection import Connection
from agi_router.keys.ring import KeyRing
from agi_router.leaktest import texts
from agi_router.leaktest.carrier import Address
from agi_router.leaktest.text_vectors import NAME, TEXT_VECTORS, write_text
from agi_router.leaktest.texts import TextPair, run_texts
from agi_router.messages.store import MessageStore
from agi_router.numbers import PhoneNumber
from agi_router.service.message_gauges import MessageGauges, show_messages
from agi_router.service.metrics import Figures
from agi_router.sip import Request, answer, build, parse
from harness.canaries import found
from harness.database import HOUR, bind, one, until_async
from harness.values import A, B, C, X


@pytest.fixture
async def world(admissions: AdmissionStore, keys: KeyRing) -> AsyncIterator[World]:
    """A door between two peers."""
    store = MessageStore(admissions.pool, keys, link="sip", validity=timedelta(days=1))
    async with serving(store, admissions) as made:
        yield made


def said(vector: str, sender: PhoneNumber, number: int, what: str = "") -> bytes:
    """A text that says so of its sender; its body names the vector."""
    return write_text(
        vector,
        sender=sender.digits,
        to=str(X),
        branch=f"z9hG4bK-{number}{what}",
        call=f"call-{number}",
        body=vector,
    )


def relayed(data: bytes, receiver: PhoneNumber) -> bytes:
    """What a relay sends on that puts another number where numbers stand, and no more."""
    read = parse(data)
    assert isinstance(read, Request)
    users = {"from": f"<sip:{X}@relay.example>;tag=1", "to": f"<sip:{receiver.digits}@b.example>"}
    headers = [(name, users.get(name, value)) for name, value in read.headers]
    return build(replace(read, uri=f"sip:{receiver.digits}@b.example", headers=headers))


def tells(data: bytes, *parties: PhoneNumber) -> list[str]:
    """What of these, or of a name, stands in *data*, however it is spelled."""
    spelled = found(data, [party.digits for party in parties])
    return spelled + [NAME] * (NAME.encode() in data)


@pytest.mark.parametrize("way", [(A, B), (B, A)], ids=["from-a", "from-b"])
async def test_vectors(
    way: tuple[PhoneNumber, PhoneNumber],
    store: BindingStore,
    connection: Connection,
    world: World,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each is planted in a text of its own; a naive relay tells by nearly all of them."""
    caplog.set_level(logging.DEBUG)
    bind(store, messages=Messages.BOTH)
    sender, receiver = way
    world.receiver.headers = [
        (name, f'"{NAME}" <sip:{receiver.digits}@b.example>')
        for name in ("contact", "p-asserted-identity", "reply-to", "server", "x-callee")
    ]
    planted = [said(vector, sender, number) for number, vector in enumerate(TEXT_VECTORS)]
    assert len({a_branch(data) for data in planted}) == len(TEXT_VECTORS) >= 50
    assert await world.ask(*planted) == [202] * len(planted)
    assert await world.ask(said("Subject", C, 1, "stranger")) == [403]
    await until_async(
        lambda: (
            one(connection, "SELECT count(*) FROM agi_router.message WHERE state = 'sent'")
            == len(TEXT_VECTORS)
        )
    )
    assert {sent.body.decode() for sent in world.receiver.requests} == TEXT_VECTORS.keys()
    for data in world.receiver.received:
        assert tells(data, sender, C) == [], parse(data).body
        assert b"carrier.example" not in data
    # What is answered repeats what its own request said, and nothing of the other side.
    for data in world.sender.received:
        assert found(data, [receiver.digits]) == []
    naive = [bool(tells(relayed(data, receiver), sender)) for data in planted]
    assert sum(naive) >= 40
    records = "\n".join(str(vars(record)) for record in caplog.records)
    figures = Figures()
    show_messages(figures, door=world.door, gauges=MessageGauges(world.store))
    told = figures.tell()
    assert b"agi_router_messages_accepted_total" in told
    assert "message.ended" in records
    assert tells(records.encode() + told, A, B, C) == []
    assert "Subject" not in records
    assert tells(dump(connection), A, B, C) == []


async def test_vectors_of_a_stranger_and_of_the_answer(
    open_store: BindingStore,
    open_admissions: AdmissionStore,
    keys: KeyRing,
    connection: Connection,
) -> None:
    """By AX anybody writes to A, and A answers: each sees X, and nothing of the other."""
    terms = Terms(expires_at=open_store.now() + HOUR, messages=Messages.BOTH)
    open_store.bind(Ax(a=A), terms, x=X)
    store = MessageStore(
        open_admissions.pool, keys, link="sip", validity=timedelta(days=1), open_modes=True
    )
    async with serving(store, open_admissions) as world:
        for sender, receiver in ((C, A), (A, C)):
            seen, heard = len(world.receiver.received), len(world.sender.received)
            vectors = dict(enumerate(TEXT_VECTORS))
            planted = [said(each, sender, n, sender.digits) for n, each in vectors.items()]
            assert await world.ask(*planted) == [202] * len(planted)
            owed = "SELECT count(*) FROM agi_router.message_out"
            await until_async(lambda: one(connection, owed) == 0)  # noqa: B023
            sent = world.receiver.requests[-len(planted) :]
            assert {each.body.decode() for each in sent} == TEXT_VECTORS.keys()
            assert {each.uri.partition("@")[0] for each in sent} == {f"sip:{receiver.digits}"}
            assert {each.one("from").partition("@")[0] for each in sent} == {f"<sip:{X}"}
            for data in world.receiver.received[seen:]:
                assert tells(data, sender) == []
            for data in world.sender.received[heard:]:
                assert found(data, [receiver.digits]) == []
    assert tells(dump(connection), A, C) == []


def dump(connection: Connection) -> bytes:
    """Every row of every table."""
    tables: list[dict[str, Any]] = connection.execute(
        b"SELECT c.oid::regclass::text AS name FROM pg_class c"
        b" WHERE c.relnamespace = 'agi_router'::regnamespace AND c.relkind IN ('r', 'p')"
        b" AND NOT c.relispartition"
    ).fetchall()
    return b"\n".join(
        str(one(connection, f"SELECT string_agg(t::text, ' ') FROM {table['name']} t")).encode()
        for table in tables
    )


class Naive(asyncio.DatagramProtocol):
    """A relay that puts other numbers where numbers stand, and sends on what it got."""

    def __init__(self, far: Address) -> None:
        self._far = far

    def connection_made(self, transport: Any) -> None:
        """Keep the way out."""
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        """Send it on, and say that it was accepted."""
        request = parse(data)
        if isinstance(request, Request):
            self._transport.sendto(relayed(data, B), self._far)
            self._transport.sendto(build(answer(request, 202, "Accepted", tag="1")), address)


def free_address() -> Address:
    """An address that nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        host, port = probe.getsockname()
        return host, port


async def test_the_leak_test_sees() -> None:
    """What a naive relay tells, by nearly all vectors."""
    loop = asyncio.get_running_loop()
    near, far = free_address(), free_address()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: Naive(far), local_addr=("127.0.0.1", 0)
    )
    door = transport.get_extra_info("sockname")
    pairs = [TextPair(a=A, b=C, x=X)]
    found_ = await run_texts(TEXT_VECTORS, pairs, door=door, near=near, far=far)
    transport.close()
    assert [each.fault for each in found_ if each.fault] == []
    assert sum(bool(each.findings) for each in found_) >= 80


async def test_a_text_that_does_not_arrive(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It proves nothing: the far side is not the next hop of the door."""
    monkeypatch.setattr(texts, "ARRIVES", 0.01)
    loop = asyncio.get_running_loop()
    near, far, elsewhere = free_address(), free_address(), free_address()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: Naive(elsewhere), local_addr=("127.0.0.1", 0)
    )
    door = transport.get_extra_info("sockname")
    pairs = [TextPair(a=A, b=C, x=X)]
    found_ = await run_texts(["Subject"], pairs, door=door, near=near, far=far)
    transport.close()
    fault = "it has not arrived at the far side in 0.01 s"
    assert [each.fault for each in found_] == [fault] * 2
    leaktest_texts.tell_texts(found_, as_json=True)
    told = json.loads(capsys.readouterr().out)
    text = {"vector": "Subject", "sender": "a", "findings": [], "fault": fault}
    assert told == {"ok": False, "texts": [text, {**text, "sender": "b"}]}

"""Nothing that a sender's side says of the sender crosses the door, nor of the receiver back."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from postgres.test_sip_messages import World, a_branch, serving

from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Messages
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection
from agi_router.keys.ring import KeyRing
from agi_router.messages.store import MessageStore
from agi_router.numbers import PhoneNumber
from agi_router.service.message_gauges import MessageGauges, show_messages
from agi_router.service.metrics import Figures
from agi_router.sip import Request, build, parse
from harness.canaries import found
from harness.database import bind, one, until_async
from harness.values import A, B, C, X

NAME = "Zhang San"
# What stands beside the least that a request has; {n} is who sends, {w} what it is called.
VECTORS = {
    "display name in From": 'From: "{w} {n}" <sip:{n}@carrier.example>;tag=1',
    "parameter of From": "From: <sip:{n}@carrier.example;nai={n}>;tag=1;x={n}",
    "tag of From": "From: <sip:{n}@carrier.example>;tag={n}",
    "host of From": "From: <sip:{n}@{n}.carrier.example>;tag=1",
    "From in the compact form": 'f: "{w}" <sip:{n}@carrier.example>;tag=1',
    "From as tel": "From: <tel:+86{n}>;tag=1",
    "Call-ID": "Call-ID: {n}@carrier.example",
    "Call-ID in the compact form": "i: {w}{n}",
    "display name in To": 'To: "{w} {n}" <sip:{x}@router.example>',
    "parameter of To": "To: <sip:{x}@router.example>;x={n}",
    "host of To": "To: <sip:{x}@{n}.example>",
    "P-Asserted-Identity": 'P-Asserted-Identity: "{w}" <sip:{n}@carrier.example>',
    "P-Asserted-Identity as tel": "P-Asserted-Identity: <tel:+86{n}>",
    "P-Preferred-Identity": 'P-Preferred-Identity: "{w}" <sip:{n}@carrier.example>',
    "Remote-Party-ID": 'Remote-Party-ID: "{w}" <sip:{n}@carrier.example>;party=calling',
    "Diversion": "Diversion: <sip:{n}@carrier.example>;reason=unconditional",
    "History-Info": "History-Info: <sip:{n}@carrier.example>;index=1",
    "Referred-By": "Referred-By: <sip:{n}@carrier.example>",
    "Contact": "Contact: <sip:{n}@192.0.2.9>",
    "Contact in the compact form": 'm: "{w}" <sip:{n}@192.0.2.9>',
    "Reply-To": "Reply-To: {w} <sip:{n}@carrier.example>",
    "Record-Route": "Record-Route: <sip:{n}@192.0.2.9;lr>",
    "Route": "Route: <sip:{n}@192.0.2.9;lr>",
    "Path": "Path: <sip:{n}@192.0.2.9;lr>",
    "a second Via": "Via: SIP/2.0/UDP {n}.example;branch=z9hG4bK{n}",
    "Subject": "Subject: from {w}, {n}",
    "Subject in the compact form": "s: from {n}",
    "Organization": "Organization: {w}",
    "User-Agent": "User-Agent: {w} {n}",
    "Server": "Server: {n}",
    "Call-Info": "Call-Info: <http://carrier.example/{n}.png>;purpose=icon",
    "Alert-Info": "Alert-Info: <http://carrier.example/{n}>",
    "Error-Info": "Error-Info: <sip:{n}@carrier.example>",
    "In-Reply-To": "In-Reply-To: {n}@carrier.example",
    "Identity": "Identity: {n};info=<https://carrier.example/{n}>",
    "Geolocation": "Geolocation: <sip:{n}@carrier.example>",
    "P-Charging-Vector": "P-Charging-Vector: icid-value={n};orig-ioi={n}",
    "P-Access-Network-Info": "P-Access-Network-Info: 3GPP-E-UTRAN;x={n}",
    "P-Visited-Network-ID": 'P-Visited-Network-ID: "{w} {n}"',
    "P-Called-Party-ID": "P-Called-Party-ID: <sip:{n}@carrier.example>",
    "P-Served-User": "P-Served-User: <sip:{n}@carrier.example>",
    "Accept-Contact": "Accept-Contact: *;x={n}",
    "Content-Disposition": 'Content-Disposition: render;filename="{n}"',
    "Content-Language": "Content-Language: {n}",
    "Content-ID": "Content-ID: <{n}@carrier.example>",
    "MIME-Version": "MIME-Version: {n}",
    "Date": "Date: {n}",
    "Authorization": 'Authorization: Digest username="{n}",realm="{w}"',
    "Proxy-Authorization": 'Proxy-Authorization: Digest username="{n}"',
    "User-to-User": "User-to-User: {n};encoding=hex",
    "a header of one's own": "X-Caller: {n}",
    "a folded header": "X-Caller: a\r\n {n} {w}",
    "a header that is repeated": "X-Caller: a\r\nX-Caller: {n}",
    "escapes": "X-Caller: {e}",
}


@pytest.fixture
async def world(admissions: AdmissionStore, keys: KeyRing) -> AsyncIterator[World]:
    """A door between two peers."""
    store = MessageStore(admissions.pool, keys, link="sip", validity=timedelta(days=1))
    async with serving(store, admissions) as made:
        yield made


def said(vector: str, sender: PhoneNumber, number: int, what: str = "") -> bytes:
    """A text that says so of its sender; its body names the vector."""
    line = VECTORS[vector].format(
        n=sender.digits, w=NAME, x=X, e="".join(f"%{ord(digit):x}" for digit in sender.digits)
    )
    names = {"f": "from", "i": "call-id"}
    own = line.partition(":")[0].lower()
    least = {
        "from": f"From: <sip:{sender.digits}@carrier.example>;tag=1",
        "to": f"To: <sip:{X}@router.example>",
        "call-id": f"Call-ID: call-{number}",
    }
    least.pop(names.get(own, own), None)
    lines = [
        f"MESSAGE sip:{X}@router.example SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK-{number}{what};rport",
        *least.values(),
        "CSeq: 1 MESSAGE",
        line,
        "Content-Type: text/plain",
        f"Content-Length: {len(vector)}",
    ]
    return "\r\n".join([*lines, "", vector]).encode()


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
    planted = [said(vector, sender, number) for number, vector in enumerate(VECTORS)]
    assert len({a_branch(data) for data in planted}) == len(VECTORS) >= 50
    assert await world.ask(*planted) == [202] * len(planted)
    assert await world.ask(said("Subject", C, 1, "stranger")) == [403]
    await until_async(
        lambda: (
            one(connection, "SELECT count(*) FROM agi_router.message WHERE state = 'sent'")
            == len(VECTORS)
        )
    )
    assert {sent.body.decode() for sent in world.receiver.requests} == VECTORS.keys()
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

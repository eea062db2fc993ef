"""docs/messages.md: the recipe for Kamailio, as it stands but for places and its patience."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from clients.conftest import POOL
from postgres.test_sip_messages import Peer, a_branch, a_request, peer

from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Messages
from agi_router.calls.store import AdmissionStore
from agi_router.doors.sip_messages import Options, SipMessageDoor
from agi_router.messages.store import MessageStore
from agi_router.sip import Request, build
from harness.database import bind, dials, until_async
from harness.free_port import free_port
from harness.kamailio import kamailio
from harness.values import A, B, C

HOST = "127.0.0.1"
PAGE = Path(__file__).parents[2] / "docs/messages.md"


@dataclass
class World:
    """One address for calls and texts, with the door and a stand-in for Asterisk behind it."""

    address: tuple[str, int]
    carrier: Peer
    asterisk: Peer
    x: str
    stop: asyncio.Event
    door: asyncio.Task[None]

    async def ask(self, data: bytes) -> int:
        """Send a request to the address, again and again; its final answer."""
        branch, answers = a_branch(data), self.carrier.answers

        def answered() -> bool:
            return answers.get(branch, 100) >= 200

        for _ in range(60):
            self.carrier.transport.sendto(data, self.address)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await until_async(answered)
                return answers[branch]
        raise AssertionError("nobody answers")


def recipe(*, own: int, door: int, asterisk: int, carrier: int) -> str:
    """The page's lines, with places that are free here."""
    found = re.search(r"(?ms)^```\n(#!KAMAILIO\n.*?)^```", PAGE.read_text("utf-8"))
    assert found
    text = found[1]
    for told, meant in (
        ("listen=udp:192.0.2.1:5060", f"listen=udp:{HOST}:{own}"),
        ("192.0.2.9:5060", f"{HOST}:{carrier}"),
        ('"192.0.2.1" && $sp == 5062', f'"{HOST}" && $sp == {door}'),
        ("192.0.2.1:5062", f"{HOST}:{door}"),
        ("192.0.2.1:5080", f"{HOST}:{asterisk}"),
        ('"fr_timer", 5000', '"fr_timer", 500'),
    ):
        assert told in text, told
        text = text.replace(told, meant)
    return text


@pytest.fixture
async def world(dsn: str, store: BindingStore, tmp_path: Path) -> AsyncIterator[World]:
    """All of it, and a binding."""
    made = bind(
        store,
        x=None,
        tenant=POOL,
        messages=Messages.BOTH,
        order_id=f"order-{secrets.token_hex(8)}",
    )
    async with (
        peer() as carrier,
        peer() as asterisk,
        AdmissionStore(dsn, store.keys, connections=4) as admissions,
    ):
        own = free_port(HOST)
        texts = MessageStore(
            admissions.pool, store.keys, link="kamailio", validity=timedelta(days=1)
        )
        door = SipMessageDoor(
            texts,
            admissions,
            Options(listen=(HOST, 0), next_hop=(HOST, own), peers={HOST}),
        )
        stop = asyncio.Event()
        task = asyncio.create_task(door.serve(stop))
        await door.opened.wait()
        text = recipe(own=own, door=door.address[1], asterisk=asterisk.port, carrier=carrier.port)
        (tmp_path / "kamailio.cfg").write_text(text)
        with kamailio(tmp_path):
            yield World((HOST, own), carrier, asterisk, str(dials(made.parties[0])), stop, task)
        stop.set()
        await task


async def test_one_address(world: World) -> None:
    """Texts both ways without their senders' numbers; the rest at Asterisk; a dead door told."""
    for number, (sender, receiver) in enumerate(((A, B), (B, A)), 1):
        assert await world.ask(a_request(sender.digits, world.x)) == 202
        await until_async(lambda: len(world.carrier.requests) >= number)  # noqa: B023
        came = world.carrier.requests[-1]
        assert came.uri.startswith(f"sip:{receiver.digits}@")
        assert came.one("from").startswith(f"<sip:{world.x}@")
        assert sender.digits not in str(came)
    assert await world.ask(a_request(C.digits, world.x)) == 403
    options = Request(
        method="OPTIONS",
        uri=f"sip:{world.x}@router.example",
        headers=[
            ("via", f"SIP/2.0/UDP {HOST}:5070;branch=z9hG4bK{secrets.token_hex(8)};rport"),
            ("from", "<sip:nobody@carrier.example>;tag=1"),
            ("to", f"<sip:{world.x}@router.example>"),
            ("call-id", secrets.token_hex(8)),
            ("cseq", "1 OPTIONS"),
            ("max-forwards", "70"),
        ],
        body=b"",
    )
    assert await world.ask(build(options)) == 200
    assert [each.method for each in world.asterisk.requests] == ["OPTIONS"]
    world.stop.set()
    await world.door
    assert await world.ask(a_request(A.digits, world.x)) == 408

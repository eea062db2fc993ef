"""The carrier: the phone that gets each message, and what becomes of those for nobody."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from agi_router.errors import LeakTestError
from agi_router.leaktest.carrier import Carrier, Leg, parse_address, show


class Peer:
    """A plain socket that plays a phone or the PBX."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)  # noqa: FBT003
        self.address: tuple[str, int] = self.socket.getsockname()

    async def send(self, text: bytes, to: tuple[str, int]) -> None:
        await asyncio.get_running_loop().sock_sendto(self.socket, text, to)

    async def receive(self) -> bytes:
        return await asyncio.wait_for(
            asyncio.get_running_loop().sock_recv(self.socket, 65536), timeout=10
        )


@pytest.fixture
def pbx() -> Iterator[Peer]:
    """Plays the PBX."""
    peer = Peer()
    yield peer
    peer.socket.close()


@pytest.fixture
def phone() -> Iterator[Peer]:
    """Plays a phone."""
    peer = Peer()
    yield peer
    peer.socket.close()


def free() -> tuple[str, int]:
    """An address that was free a moment ago."""
    peer = Peer()
    peer.socket.close()
    return peer.address


NEAR, FAR = free(), free()


@pytest_asyncio.fixture
async def carrier(pbx: Peer) -> AsyncIterator[Carrier]:
    """The carrier around that PBX."""
    async with Carrier.open(pbx=pbx.address, near=NEAR, far=FAR) as carrier:
        yield carrier


def message(start: str, call_id: str = "1", cseq: str = "1 INVITE", to: str = "<sip:b>") -> bytes:
    """A message as short as can be."""
    lines = (
        start,
        "Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1",
        "From: <sip:a>;tag=a",
        f"To: {to}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq}",
    )
    return "\r\n".join((*lines, "", "")).encode()


async def test_a_caller_and_the_pbx_hear_each_other(
    carrier: Carrier, pbx: Peer, phone: Peer
) -> None:
    """By its Call-ID; all is kept, and an answer is noticed."""
    leg = Leg(phone=phone.address)
    carrier.near.join(leg, call_id="1")
    invite, answer = (
        message("INVITE sip:x@h SIP/2.0"),
        message("SIP/2.0 200 OK", to="<sip:b>;tag=b"),
    )

    await phone.send(invite, NEAR)
    assert await pbx.receive() == invite
    assert not leg.accepted.is_set()
    await pbx.send(answer, NEAR)
    assert await phone.receive() == answer

    assert leg.accepted.is_set()
    assert [(m.sent, m.raw) for m in leg.messages] == [(True, invite), (False, answer)]
    assert carrier.unexpected == []


@pytest.mark.parametrize("dialled", ["13800000001", "+8613800000001", "8613800000001"])
async def test_a_call_goes_to_the_phone_that_is_dialled(
    carrier: Carrier, pbx: Peer, phone: Peer, dialled: str
) -> None:
    """In whatever form the trunk writes the number; what follows goes there by its Call-ID."""
    leg = Leg(phone=phone.address)
    carrier.far.join(leg, number="13800000001")
    invite, ack = message(f"INVITE sip:{dialled}@h SIP/2.0"), message("ACK sip:b@h SIP/2.0")

    await pbx.send(invite, FAR)
    assert await phone.receive() == invite
    await pbx.send(ack, FAR)
    assert await phone.receive() == ack
    await phone.send(message("SIP/2.0 180 Ringing"), FAR)
    assert (await pbx.receive()).startswith(b"SIP/2.0 180")


async def test_an_answer_goes_the_way_that_the_call_has_come(
    carrier: Carrier, pbx: Peer, phone: Peer
) -> None:
    """Where proxies stand before the PBX, all that follows goes by them: RFC 3261, 12.1.1."""
    leg = Leg(phone=phone.address)
    carrier.far.join(leg, number="13800000001")
    own = b"Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\n"
    way = b"via: SIP/2.0/UDP p2\r\nrecord-route: <sip:p2;lr>\r\nrecord-route: <sip:p1;lr>\r\n"
    invite = message("INVITE sip:13800000001@h SIP/2.0").replace(own, own + way)

    await pbx.send(invite, FAR)
    assert await phone.receive() == invite
    await phone.send(message("SIP/2.0 200 OK"), FAR)
    assert await pbx.receive() == message("SIP/2.0 200 OK").replace(
        own, own.replace(b"V", b"v") + way
    )
    # Another request came another way, and its answer has that.
    later = message("SIP/2.0 200 OK", cseq="2 BYE").replace(b"z9hG4bK1", b"z9hG4bK2")
    await phone.send(later, FAR)
    assert await pbx.receive() == later


async def test_a_call_to_anybody_else_is_told_of_and_refused(carrier: Carrier, pbx: Peer) -> None:
    """On the trunk, and at the address that nobody should ever call."""
    host, _, port = carrier.decoy.rpartition(":")
    for place in (FAR, (host, int(port))):
        await pbx.send(message("INVITE sip:13900000002@h SIP/2.0"), place)
        answer = await pbx.receive()

        assert answer.startswith(b"SIP/2.0 603 ")
        assert b"To: <sip:b>;tag=" in answer
    assert [message.request_user for message in carrier.unexpected] == ["13900000002"] * 2


@pytest.mark.usefixtures("carrier")
async def test_a_pbx_that_asks_finds_its_carrier(pbx: Peer) -> None:
    """OPTIONS is answered: a trunk that is thought dead is not called."""
    await pbx.send(message("OPTIONS sip:h SIP/2.0", cseq="1 OPTIONS"), FAR)

    assert (await pbx.receive()).startswith(b"SIP/2.0 200 ")


async def test_what_comes_late_is_kept(carrier: Carrier, pbx: Peer, phone: Peer) -> None:
    """The phone is gone, its call is not forgotten."""
    leg = Leg(phone=phone.address)
    carrier.near.join(leg, call_id="1")
    await phone.send(message("INVITE sip:x@h SIP/2.0"), NEAR)
    await pbx.receive()
    carrier.near.leave(leg)

    await pbx.send(message("BYE sip:a@h SIP/2.0", cseq="2 BYE"), NEAR)
    # Messages are read in order: when this one is answered, the other has been read.
    await pbx.send(message("OPTIONS sip:h SIP/2.0", call_id="2", cseq="1 OPTIONS"), NEAR)
    await pbx.receive()

    assert [m.method for m in leg.messages] == ["INVITE", "BYE"]


@pytest.mark.usefixtures("carrier")
async def test_an_address_that_is_taken_is_an_error(pbx: Peer) -> None:
    with pytest.raises(LeakTestError, match="cannot listen"):
        async with Carrier.open(pbx=pbx.address, near=NEAR, far=FAR):
            pass


@pytest.mark.parametrize("text", ["127.0.0.1:5060", "10.0.0.255:1"])
def test_addresses(text: str) -> None:
    assert show(parse_address(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "127.0.0.1", "pbx:5060", "127.0.0.256:5060", "127.0.0.1:0", "127.0.0.1:65536", "::1:5"],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:5060"):
        parse_address(text)


async def test_a_call_of_another_run_is_told_that_there_is_none(
    carrier: Carrier, pbx: Peer, phone: Peer
) -> None:
    """
    It is not counted, as nobody of this run has called; a call of this run's is, wherever it goes.

    The PBX ends a call of which it has heard nothing for 30 s, and so in the midst of another run.
    """
    carrier.near.join(Leg(phone=phone.address), call_id="1")
    for call_id, counted in (("of-another-run", 0), ("1", 1)):
        bye = message("BYE sip:13800000001@h SIP/2.0", call_id, "2 BYE", to="<sip:b>;tag=b")
        await pbx.send(bye, FAR)
        answer = (await pbx.receive()).decode()
        assert answer.startswith("SIP/2.0 481 ")
        assert "\r\nTo: <sip:b>;tag=b\r\n" in answer
        assert len(carrier.unexpected) == counted


async def test_a_phone_that_is_gone_is_answered_for(
    carrier: Carrier, pbx: Peer, phone: Peer
) -> None:
    """What comes for its call is kept, and the PBX need not send it again."""
    leg = Leg(phone=phone.address)
    carrier.near.join(leg, call_id="1")
    carrier.near.leave(leg)
    await pbx.send(message("BYE sip:b@h SIP/2.0", "1", "2 BYE", to="<sip:b>;tag=b"), NEAR)
    assert (await pbx.receive()).startswith(b"SIP/2.0 481 ")
    assert [each.method for each in leg.messages] == ["BYE"]
    assert carrier.unexpected == []

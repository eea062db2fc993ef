"""One call of the leak test: what is a finding, and what makes it prove nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agi_router.bindings.words import Mode
from agi_router.leaktest.call import Call
from agi_router.leaktest.call_setup import CallSetup
from agi_router.leaktest.call_slots import people
from agi_router.leaktest.carrier import Carrier
from agi_router.leaktest.media import Media
from agi_router.leaktest.messages import Message
from agi_router.leaktest.packets import packets_of, sound_of
from agi_router.leaktest.results import Result, Scenario
from agi_router.leaktest.vectors import VECTORS, End, Sound, Vector

CALLER, CALLEE, OTHER = people(["13800000001", "13900000002", "13700000003"])

INVITE = "INVITE sip:13900000002@h SIP/2.0"
OK = "SIP/2.0 200 OK"


def message(
    start: str, text: str = "", *, sent: bool = False, call_id: str = "1", method: str = "INVITE"
) -> Message:
    """A message that says *text*."""
    lines = (
        start,
        f"Call-ID: {call_id}",
        f"CSeq: 1 {method}",
        "To: <sip:b>",
        f"X: {text}",
        "",
        "",
    )
    return Message.parse("\r\n".join((*lines, "", "")).encode(), at=datetime.now(UTC), sent=sent)


def vector_of(name: str) -> Vector:
    """The vector of a name."""
    return next(each for each in VECTORS if each.name == name)


class Played:
    """A call that only the test plays: what passed is put in by hand."""

    def __init__(self, vector: str, work: Path) -> None:
        chosen = vector_of(vector)
        setup = CallSetup(
            vector=chosen,
            caller=CALLER,
            callee=CALLEE,
            other=OTHER,
            dialled="700123456780001",
            near="127.0.0.1:5070",
            far="127.0.0.1:5090",
            pbx="127.0.0.1:5060",
            decoy="127.0.0.1:5099",
            early_media=False,
            call_id="call",
            tag="tag",
        )
        scenario = Scenario(vector=chosen, mode=Mode.AXB, from_a=True, early_media=False)
        self.carrier = Carrier()
        self.call = Call(scenario, setup, self.carrier, work, "sipp")
        self.call._sound = {end: [Media()] for end in End}

    def caller(self, *messages: Message) -> None:
        self._keep(self.call._caller.leg.messages, messages)

    def callee(self, *messages: Message) -> None:
        self._keep(self.call._callee.leg.messages, messages)

    @staticmethod
    def _keep(kept: list[Message], messages: Iterable[Message]) -> None:
        kept.extend(messages)

    @property
    def result(self) -> Result:
        return self.call.read()


@pytest.fixture
def played(tmp_path: Path) -> Played:
    """A call that went as it should: both told who they are, and neither heard of the other."""
    call = Played("subject", tmp_path)
    call.caller(message(INVITE, "Lin Daiyu 13800000001", sent=True), message(OK))
    call.callee(message(INVITE), message(OK, "王熙凤 13900000002", sent=True))
    return call


def test_clean(played: Played) -> None:
    assert (played.result.findings, played.result.faults) == ((), ())
    assert played.result.invites == 1
    assert not played.call.was_in_vain()


@pytest.mark.parametrize(
    "text",
    ["13900000002", "+86 139-0000-0002", "王熙凤", "wang xifeng", "198.51.100.22", "13700000003"],
)
def test_what_the_caller_must_not_hear(played: Played, text: str) -> None:
    """The callee's number, names and address; and nothing of the third party."""
    assert not played.result.findings
    played.caller(message("SIP/2.0 180 Ringing", text))

    (finding,) = played.result.findings
    assert finding.at is End.CALLER
    assert "in SIP/2.0 180 Ringing" in str(finding)


def test_what_the_callee_must_not_hear(played: Played) -> None:
    """Also what came late; its own number is no finding."""
    played.callee(message("UPDATE sip:13900000002@h SIP/2.0", "13800000001", method="UPDATE"))

    (finding,) = played.result.findings
    assert finding.at is End.CALLEE
    assert not played.call.was_in_vain()


def test_what_comes_with_the_sound(played: Played) -> None:
    for packet in packets_of((Sound.EXTENSION,), CALLER):
        played.call._sound[End.CALLEE][0].keep(packet.data)

    assert {finding.at for finding in played.result.findings} == {End.CALLEE}


@pytest.mark.parametrize("number", ["13900000002", "13700000003"])
def test_a_call_to_an_address_of_their_choice(played: Played, number: str) -> None:
    """A request that names one of the call and is for nobody; others' are others'."""
    played.carrier.unexpected.append(message("INVITE sip:13600000004@h SIP/2.0"))
    played.carrier.unexpected.append(message("SIP/2.0 200 OK", number))
    assert not played.result.findings
    played.carrier.unexpected.append(message(f"INVITE sip:{number}@h SIP/2.0"))

    (finding,) = played.result.findings
    assert finding.at is None
    assert number not in str(finding)


def test_a_second_invite_is_a_fault_that_no_other_try_mends(played: Played) -> None:
    played.callee(message(INVITE, call_id="2"))

    assert played.result.invites == 2
    assert played.result.faults == ("2 calls to the callee instead of 1",)
    assert not played.call.was_in_vain()


def test_an_invite_that_is_sent_again_is_the_same(played: Played) -> None:
    """A retransmission is no second call."""
    played.callee(message(INVITE))

    assert played.result.invites == 1


def test_nobody_told_anything(tmp_path: Path) -> None:
    """A call in which nothing was planted, or that was not answered, proves nothing."""
    call = Played("update", tmp_path)
    call.caller(message(INVITE, sent=True), message("SIP/2.0 480 Temporarily Unavailable"))

    assert call.result.findings == ()
    assert call.result.faults == (
        "the callee has not planted its number",
        "the callee has not planted its name",
        "the callee has sent no UPDATE",
        "the caller has not planted its number",
        "the caller has not planted its name",
        "the caller has sent no UPDATE",
        "0 calls to the callee instead of 1",
        "the caller got 480",
    )
    assert call.call.was_in_vain()


@pytest.mark.parametrize(
    ("vector", "status", "good"),
    [
        ("cancel", "487 Request Terminated", True),
        ("cancel", "200 OK", False),
        ("redirect-302-sip", "486 Busy Here", True),
        ("redirect-302-sip", "200 OK", False),
        ("update", "200 OK", True),
        ("update", "603 Decline", False),
    ],
)
def test_how_a_call_has_to_end(tmp_path: Path, vector: str, status: str, good: bool) -> None:  # noqa: FBT001
    call = Played(vector, tmp_path)
    call.caller(message(f"SIP/2.0 {status}"))

    assert (f"the caller got {status[:3]}" not in call.result.faults) is good


def test_no_sound_is_a_fault(tmp_path: Path) -> None:
    """Where RTP is told something, some must have come through."""
    call = Played("rtcp", tmp_path)
    call.caller(message(OK))
    call.callee(message(INVITE))
    for end, party in zip(End, (CALLER, CALLEE), strict=True):
        call.call._sound[end][0].sent += [
            each.data for each in packets_of(call.call._setup.vector.sound, party)
        ]
    assert list(call.result.faults) == ["a side has heard nothing of the other"]
    for end in End:
        call.call._sound[end][0].keep(sound_of((), CALLER).data)

    assert not call.result.faults


def test_a_packet_that_is_spoilt(played: Played) -> None:
    """One that says it is padded, and is not, is a fault: its end is lost."""
    played.call._setup = replace(played.call._setup, vector=vector_of("rtp-padding"))
    for end in End:
        played.call._sound[end][0].keep(sound_of((), CALLER).data)
    assert "a packet came that says it is padded, and is not" not in played.result.faults
    plain = sound_of((), CALLER).data
    played.call._sound[End.CALLER][0].keep(bytes([plain[0] | 0x20]) + plain[1:])

    assert "a packet came that says it is padded, and is not" in played.result.faults

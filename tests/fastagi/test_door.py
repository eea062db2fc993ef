"""The FastAGI door: one call, one answer; whatever a peer does, it costs the peer."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import struct
import threading
import time
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agi_router.bindings.reasons import Reason
from agi_router.bindings.words import Language
from agi_router.calls.decision import Refusal, Route
from agi_router.calls.dialplan import Destination, to_dial, to_refuse
from agi_router.calls.router import Router
from agi_router.doors.fastagi import FastAgiDoor, _send, _sendable, answers, token_of
from agi_router.errors import AsteriskError, ProtocolError
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.rates import Rate
from harness.identities import told as identity
from testpbx.waiting import until

from .conftest import (
    CALL,
    CROWD,
    SECRET,
    STRANGERS,
    A,
    B,
    Connect,
    Lines,
    Peer,
    RunningDoor,
    Store,
    X,
    told,
)

SET = 'SET VARIABLE "DESTINATION" "{}"\n'
ROUTED = SET.format(f"agi-router-dial,{B}*{X}*45*3600*zh*n**end")
STRANGER = SET.format("agi-router-refuse,stranger*no_relation*21*zh**end")
MERGED = SET.format("agi-router-refuse,merged**31*zh**end")
TOO_OFTEN = SET.format("agi-router-refuse,rate_caller*too_often*21*zh**end")
MALFORMED = SET.format("agi-router-refuse,x_malformed*number_bad*1*zh**end")
DONE = "200 result=1\n"


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the events that were logged by the door, and by asyncio."""
    return [record.getMessage() for record in caplog.records]


def is_free(door: RunningDoor) -> bool:
    """Whether the door serves nobody."""
    return door.door.busy + door.door.strangers == 0


def test_a_call_is_answered_once(connect: Connect, store: Store) -> None:
    """One command with the router's answer, and the connection ends."""
    peer = connect()
    peer.tell(told())
    assert peer.line() == ROUTED
    peer.send(DONE)
    assert peer.line() == ""
    assert store.asked == [CALL]


def test_a_refusal_is_an_answer(connect: Connect) -> None:
    """A stranger is refused by name, like at the other door."""
    peer = connect()
    peer.tell(told("13700000009"))
    assert peer.line() == STRANGER


def by_one_request(serial: int, **changes: str) -> Lines:
    """Return what is told of one of the calls that come by one INVITE."""
    return told(
        **{
            "agi_uniqueid": f"pbx1-1741988825.{serial}",
            "agi_channel": f"PJSIP/carrier-in-{serial:08x}",
            "agi_arg_4": "",
            "agi_arg_5": "",
            "agi_arg_6": "6cf615d5bcaac778352a8f1f3360d23f02f34ec1",
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("200 result=4\n", MERGED),
        ("200 result=-1\n", ROUTED),
        ("200 result=\n", MERGED),
        ("511 Command Not Permitted on a dead channel or intercept routine\n", MERGED),
        ("what?\n", MERGED),
    ],
    ids=["lives", "ended", "none", "dead", "unreadable"],
)
def test_a_copy_is_known_by_its_request(connect: Connect, answer: str, expected: str) -> None:
    """Asterisk is asked whether the first one lives; where it does not say so, it does."""
    first, second = connect(), connect()
    first.tell(by_one_request(1))
    assert first.line() == ROUTED
    second.tell(by_one_request(2))
    assert second.line() == 'CHANNEL STATUS "PJSIP/carrier-in-00000001"\n'
    second.send(answer)
    assert second.line() == expected


def test_no_question_is_made_of_a_name_that_could_be_more(connect: Connect) -> None:
    """A quote in it would end it."""
    first, second = connect(), connect()
    first.tell(by_one_request(1, agi_channel='PJSIP/"in-00000001'))
    assert first.line() == ROUTED
    second.tell(by_one_request(2))
    assert second.line() == MERGED


def test_a_trunk_is_known_by_its_channel(store: Store) -> None:
    """Who comes in by the same endpoint is held to one limit with the others."""
    door = RunningDoor(store, trunk_limit=Rate(1, timedelta(hours=1)))
    try:
        answers = []
        for caller, endpoint in (("13700000009", "in"), ("13700000008", "in"), (A, "other")):
            peer = Peer(door.door.port)
            peer.tell(told(caller, agi_channel=f"PJSIP/{endpoint}-0000002b"))
            answers.append(peer.line())
            peer.close()
    finally:
        door.close()
    assert answers == [STRANGER, TOO_OFTEN, ROUTED]


@pytest.mark.parametrize(
    ("caller", "refusal"),
    [
        (identity(privacy=["id"], sender=f"<sip:{A}@carrier>"), "caller_hidden*show_number"),
        (identity(asserted=["?"], sender=f"<sip:{A}@carrier>"), "caller_unreadable*not_verified"),
        ("allowed", "caller_unreadable*not_verified"),
        ("", "caller_unreadable*not_verified"),
    ],
)
def test_a_caller_who_is_not_known(
    connect: Connect, store: Store, caller: str, refusal: str
) -> None:
    """What the INVITE says is an argument; whom Asterisk takes for the caller is not asked."""
    peer = connect()
    peer.tell(told(agi_arg_3=caller))
    assert peer.line() == SET.format(f"agi-router-refuse,{refusal}*21*zh**end")
    assert store.asked == []


@pytest.mark.parametrize(
    "lines",
    [
        [line for line in told() if line[0] not in {"agi_arg_2", "agi_arg_3"}],
        [line for line in told() if line[0] != "agi_arg_3"],
        told(agi_arg_4="more"),
        told(agi_arg_2="T"),
        told(agi_arg_2='700"; DROP'),
    ],
    ids=["none", "one", "three", "T", "no-number"],
)
def test_other_arguments_are_not_from_our_dialplan(
    connect: Connect, store: Store, lines: Lines
) -> None:
    """Refused, and nobody is looked up."""
    peer = connect()
    peer.tell(lines)
    assert peer.line() == MALFORMED
    assert store.asked == []


@pytest.mark.parametrize(
    "caller",
    [
        '13912340001" \\nHANGUP',
        "$(reboot)",
        "13912340001&ext=1",
        "%0AHANGUP",
        "\u0661\u0663",
        "x" * 900,
    ],
)
def test_what_a_caller_sends_is_never_sent_back(connect: Connect, caller: str) -> None:
    """A caller's number is read, never repeated: what goes out are words of ours."""
    peer = connect()
    peer.tell(told(caller))
    assert peer.line() == SET.format("agi-router-refuse,caller_unreadable*not_verified*21*zh**end")


def test_a_name_in_another_encoding(connect: Connect) -> None:
    """A display name may hold any bytes; the call goes on."""
    peer = connect()
    head = "".join(f"{name}: {value}\n" for name, value in told(agi_calleridname="@"))
    peer.send(head.encode().replace(b"@", b"\xc0\xff\xfe") + b"\n")
    assert peer.line() == ROUTED


@pytest.mark.parametrize(
    "injected",
    [
        # As a line end in a caller's number makes them: it stands before the arguments.
        "agi_uniqueid: pbx1-1741988825.43",
        "agi_callerid: 13700000009",
        "agi_arg_1: 700123456780002",
        "agi_network_script: health",
        "200 result=1",
        "HANGUP",
        "x: y",
        "AGI_uniqueid: 1",
    ],
)
def test_what_asterisk_does_not_tell(
    connect: Connect, store: Store, caplog: pytest.LogCaptureFixture, injected: str
) -> None:
    """Nothing is told twice, and nothing else: the call is dropped, and nobody is looked up."""
    peer = connect()
    peer.tell(told(agi_callerid=f"{A}\n{injected}"))
    assert peer.line() == ""
    assert store.asked == []
    assert until(lambda: "fastagi.refused" in events(caplog), timeout=20)


def test_what_follows_the_end_of_what_is_told(connect: Connect, store: Store) -> None:
    """An empty line in a caller's number would hide the rest."""
    peer = connect()
    peer.tell(told(agi_callerid=f"{A}\nagi_arg_1: {X}\nagi_arg_2: allowed\n"))
    assert peer.line() == ""
    assert store.asked == []


@pytest.mark.parametrize("name", ["agi_arg_x", "agi_arg_"])
def test_an_argument_without_a_number(connect: Connect, store: Store, name: str) -> None:
    """The connection is dropped."""
    peer = connect()
    peer.tell([*told(), (name, "x")])
    assert peer.line() == ""
    assert store.asked == []


@pytest.mark.parametrize("call_id", ["", "1.1", f"{CALL}\r", "13912340001", "../../etc"])
def test_what_is_no_call_id(
    connect: Connect, store: Store, caplog: pytest.LogCaptureFixture, call_id: str
) -> None:
    """It could not be settled, and has no place in a log."""
    caplog.set_level(logging.DEBUG)
    peer = connect()
    peer.tell(told(agi_uniqueid=call_id if call_id != f"{CALL}\r" else "x y"))
    assert peer.line() == ""
    assert store.asked == []
    assert until(lambda: "fastagi.refused" in events(caplog), timeout=20)
    assert A not in " ".join(str(vars(record)) for record in caplog.records)


@pytest.mark.parametrize(
    "script", ["", "/", "other", "route/../x", "routes", "xroute", "route?a=b&"]
)
def test_another_script(connect: Connect, store: Store, script: str) -> None:
    """Only what our dialplan asks for is answered; a query is passed over."""
    peer = connect()
    peer.tell(told(agi_network_script=script))
    assert peer.line() == (ROUTED if script.startswith("route?") else "")
    assert store.asked == ([CALL] if script.startswith("route?") else [])


def test_health(connect: Connect, store: Store) -> None:
    """Somebody who asks whether the door is there speaks AGI, and is answered in it."""
    peer = connect()
    peer.tell([("agi_network_script", "health")])
    assert peer.line() == "NOOP\n"
    assert peer.line() == ""
    assert store.asked == []


def test_answers(door: RunningDoor) -> None:
    """The doctor's question: somebody is there, of our secret; nobody; somebody who is frozen."""
    assert answers("127.0.0.1", door.door.port)
    assert answers("127.0.0.1", door.door.port, secret=SECRET)
    assert not answers("127.0.0.1", door.door.port, secret="another-secret-0123456789")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not answers("127.0.0.1", silent.getsockname()[1], timeout=0.2)
        port = silent.getsockname()[1]
    assert not answers("127.0.0.1", port)


def test_a_caller_who_has_hung_up_before(connect: Connect, store: Store) -> None:
    """A connection that is closed already, as a frozen process finds it, takes no use."""
    peer = connect()
    head = "".join(f"{name}: {value}\n" for name, value in told())
    peer.send(head)
    # The last line and the end go out together.
    peer.socket.sendall(b"\n", socket.MSG_MORE)
    peer.socket.shutdown(socket.SHUT_WR)
    assert peer.line() == ""
    assert store.asked == []


def test_a_hang_up_in_the_middle(
    connect: Connect, door: RunningDoor, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection breaks while the router decides: the next call does not notice."""
    store.open.clear()
    peer = connect()
    peer.tell(told())
    assert until(lambda: store.asked == [CALL], timeout=20)
    peer.close()
    store.open.set()
    assert until(lambda: is_free(door), timeout=20)
    assert "call.unanswered" in events(caplog)
    again = connect()
    again.tell(told())
    assert again.line() == ROUTED


@pytest.mark.parametrize(
    ("reply", "event"),
    [
        ("511 Command Not Permitted on a dead channel or intercept routine\n", "call.gone"),
        ("510 Invalid or unknown command\n", "call.unanswered"),
        ("520-Invalid command syntax.\n520 End of proper usage.\n", "call.unanswered"),
        ("200 result=0\n", "call.unanswered"),
        ("200 result=-1\n", "call.unanswered"),
        ("200 outcome=1\n", "call.unanswered"),
        ("200 result=1 (hangup)\n", "call.unanswered"),
        ("what?\n", "call.unanswered"),
        ("\n", "call.unanswered"),
        ("999 result=1\n", "call.unanswered"),
        ("", "call.unanswered"),
        ("200 resu", "call.unanswered"),
    ],
)
def test_a_reply_that_is_none(
    connect: Connect,
    door: RunningDoor,
    caplog: pytest.LogCaptureFixture,
    reply: str,
    event: str,
) -> None:
    """It is logged, and the connection ends; the dialplan refuses."""
    caplog.set_level(logging.INFO)
    peer = connect()
    peer.tell(told())
    assert peer.line() == ROUTED
    peer.send(reply)
    peer.socket.shutdown(socket.SHUT_WR)
    assert peer.line() == ""
    assert until(lambda: is_free(door), timeout=20)
    assert [text for text in events(caplog) if text.startswith(("call.g", "call.u"))] == [event]


def test_a_hang_up_line_before_the_reply(
    connect: Connect, door: RunningDoor, caplog: pytest.LogCaptureFixture
) -> None:
    """Asterisk tells of a hang-up by a line of its own, and still answers the command."""
    peer = connect()
    peer.tell(told())
    assert peer.line() == ROUTED
    peer.send(f"HANGUP\n{DONE}")
    assert peer.line() == ""
    assert until(lambda: is_free(door), timeout=20)
    assert events(caplog) == []


def test_a_flood_of_hang_up_lines(connect: Connect, door: RunningDoor) -> None:
    """It ends the conversation, and nothing else."""
    peer = connect()
    peer.tell(told())
    assert peer.line() == ROUTED
    with contextlib.suppress(OSError):
        peer.send("HANGUP\n" * 10_000)
    assert peer.line() == ""
    assert until(lambda: is_free(door), timeout=20)


@pytest.mark.parametrize(
    "flood",
    [
        b"agi_x: " + b"y" * 100_000,
        b"".join(b"agi_x%d: y\n" % number for number in range(10_000)),
        b"\xff" * 100_000,
    ],
    ids=["line", "lines", "bytes"],
)
def test_too_much(connect: Connect, store: Store, flood: bytes) -> None:
    """Whoever sends more than Asterisk does is dropped; nothing of it is kept."""
    peer = connect()
    with contextlib.suppress(OSError):
        peer.send(flood)
    assert peer.line() == ""
    assert store.asked == []


def test_silence(connect: Connect, door: RunningDoor) -> None:
    """Who connects and says nothing has the place for a short time only."""
    peer = connect()
    assert until(lambda: not is_free(door), timeout=20)
    assert peer.line() == ""
    assert until(lambda: is_free(door), timeout=20)


def test_a_slow_peer(connect: Connect, door: RunningDoor, store: Store) -> None:
    """The time is that of the whole conversation: a byte now and then does not make it longer."""
    peer = connect()
    text = "".join(f"{name}: {value}\n" for name, value in told())
    with contextlib.suppress(OSError):
        for byte in text.encode()[:400]:
            peer.send(bytes([byte]))
            time.sleep(0.02)
    assert peer.line() == ""
    assert until(lambda: is_free(door), timeout=20)
    assert store.asked == []


@pytest.mark.parametrize("patience", [1.0])
def test_no_reply(connect: Connect, door: RunningDoor, caplog: pytest.LogCaptureFixture) -> None:
    """Silence after the command ends the conversation, too; it is no hang-up of a caller."""
    peer = connect()
    peer.tell(told())
    assert peer.line() == ROUTED
    assert peer.line() == ""
    assert until(lambda: is_free(door), timeout=20)
    assert events(caplog) == ["call.unanswered"]


def test_a_connection_that_closes_at_once(
    connect: Connect,
    door: RunningDoor,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Nothing in the log, no traceback anywhere."""
    caplog.set_level(logging.INFO, "agi_router")
    connect().close()
    assert until(lambda: is_free(door), timeout=20)
    after = connect()
    after.tell(told())
    assert after.line() == ROUTED
    assert {"fastagi.gone", "fastagi.refused"}.isdisjoint(events(caplog))
    assert capfd.readouterr() == ("", "")


def test_a_crowd(
    connect: Connect, door: RunningDoor, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever comes when all places are taken is dropped at once; said once; then all is well."""
    store.open.clear()
    waiting = [connect() for _ in range(CROWD)]
    for number, peer in enumerate(waiting):
        peer.tell(told(agi_uniqueid=f"pbx1-1741988825.{number}"))
    assert until(lambda: len(store.asked) == CROWD, timeout=20)
    assert door.door.crowding == []
    for _ in range(20):
        late = connect()
        late.tell(told())
        assert late.line() == ""
    assert events(caplog) == ["fastagi.crowded"]
    assert door.door.crowding == ["fastagi: more calls than can be answered"]
    store.open.set()
    assert [peer.line() for peer in waiting] == [ROUTED] * CROWD
    for peer in waiting:
        peer.send(DONE)
    assert until(lambda: is_free(door), timeout=20)
    after = connect()
    after.tell(told())
    assert after.line() == ROUTED


TOKENS = {
    "none": "",
    "guessed": "0" * 40,
    "of-another-secret": token_of("another-secret-0123456789", CALL),
    "of-another-call": token_of(SECRET, "pbx1-1741988825.43"),
    "of-health": token_of(SECRET, "health"),
    "the-secret-itself": SECRET,
    "of-no-secret": token_of("", CALL),
    "no-ascii": "\u0661" * 40,
}


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
def test_loopback_is_no_login(
    connect: Connect, store: Store, caplog: pytest.LogCaptureFixture, token: str
) -> None:
    """An account of this machine that has no secret is told nothing, and takes no use."""
    peer = connect()
    peer.tell(told(agi_arg_1=token))
    assert peer.line() == ""
    assert store.asked == []
    assert until(lambda: "fastagi.refused" in events(caplog), timeout=20)
    logged = " ".join(str(vars(record)) for record in caplog.records)
    assert SECRET not in logged
    assert token_of(SECRET, CALL) not in logged


def test_who_guesses_fills_no_log(
    connect: Connect, door: RunningDoor, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Hundreds of guesses are a few lines; Asterisk's call between them gets its answer."""
    for guess in range(300):
        peer = connect()
        peer.tell(told(agi_arg_1=f"{guess:040x}"))
        assert peer.line() == ""
        peer.close()
    peer = connect()
    peer.tell(told())
    assert peer.line() == ROUTED
    assert store.asked == [CALL]
    assert door.door.refused == 300
    # One line a second: this takes a second, on a slow machine some.
    assert len(events(caplog)) < 100


@pytest.mark.parametrize("days", [-400, -2, 2, 400])
def test_a_call_of_another_day(connect: Connect, store: Store, days: int) -> None:
    """A call comes on the day that its id says, or the one beside it; else it is none."""
    peer = connect()
    peer.tell(told(agi_uniqueid=f"pbx1-{1741988825 + days * 86400}.42"))
    assert peer.line() == ""
    assert store.asked == []


@pytest.mark.parametrize("days", [-1, 0, 1])
def test_a_call_around_midnight(connect: Connect, days: int) -> None:
    """The two clocks may be on either side of it."""
    peer = connect()
    peer.tell(told(agi_uniqueid=f"pbx1-{1741988825 + days * 86400}.42"))
    assert peer.line() == ROUTED


def test_idle_connections_keep_nobody_out(
    connect: Connect, door: RunningDoor, caplog: pytest.LogCaptureFixture
) -> None:
    """However many come and say nothing: who has the secret is answered, and it is told."""
    assert door.door.crowding == []
    idle = [connect() for _ in range(5 * STRANGERS)]
    assert until(lambda: door.door.sent_away >= 4 * STRANGERS, timeout=20)
    for number in range(20):
        peer = connect()
        peer.tell(told(agi_uniqueid=f"pbx1-1741988825.{number}"))
        assert peer.line() == ROUTED
        peer.send(DONE)
        assert peer.line() == ""
        idle.append(connect())
    assert events(caplog) == ["lobby.crowded"]
    assert door.door.crowding == [f"fastagi: more than {STRANGERS} connections that show no token"]


def test_half_a_head_costs_no_thread(connect: Connect, door: RunningDoor) -> None:
    """Who has not shown a token waits in the lobby, for a short time."""
    # Who answers runs in a thread that may just be starting.
    assert answers("127.0.0.1", door.door.port)
    before = threading.active_count()
    for _ in range(STRANGERS):
        connect().send("agi_network: yes\n")
    assert until(lambda: door.door.strangers == STRANGERS, timeout=20)
    assert threading.active_count() == before
    assert until(lambda: door.door.strangers == 0, timeout=20)


RESETS = {
    "at once": "",
    "in the head": "agi_network: yes\nagi_ne",
    "with the head": "".join(f"{name}: {value}\n" for name, value in told()) + "\n",
    "after a wrong token": "agi_uniqueid: 1\n\n",
}


@pytest.mark.parametrize("said", RESETS.values(), ids=RESETS)
def test_a_connection_that_is_reset(
    connect: Connect,
    door: RunningDoor,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    said: str,
) -> None:
    """However it breaks: no traceback, and the next call does not notice."""
    for _ in range(20):
        peer = connect()
        peer.send(said)
        reset(peer)
    assert until(lambda: is_free(door), timeout=20)
    again = connect()
    again.tell(told())
    assert again.line() == ROUTED
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.exc_info]


def test_a_connection_that_is_reset_before_the_answer(
    connect: Connect, door: RunningDoor, store: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    """The router decides, and nobody is there any more."""
    store.open.clear()
    peer = connect()
    peer.tell(told())
    assert until(lambda: store.asked == [CALL], timeout=20)
    reset(peer)
    store.open.set()
    assert until(lambda: is_free(door), timeout=20)
    assert capfd.readouterr() == ("", "")


def reset(peer: Peer) -> None:
    """End a connection by a reset."""
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


@pytest.mark.parametrize("host", ["::1", "localhost"])
def test_other_addresses(store: Store, host: str) -> None:
    """IPv6, and a name, which may stand for several; an address that we do not have is named."""
    if host == "::1" and not has_ipv6():
        with pytest.raises(AsteriskError, match=r"AGI_ROUTER_AGI_LISTEN: cannot listen on ::1:0"):
            RunningDoor(store, host=host)
        return
    door = RunningDoor(store, host=host)
    try:
        assert answers(host, door.door.port, secret=SECRET)
    finally:
        door.close()


def has_ipv6() -> bool:
    """Whether this machine has a loopback of IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_drain(connect: Connect, door: RunningDoor, store: Store) -> None:
    """Calls that were taken get their answer; nobody else is taken."""
    store.open.clear()
    peer = connect()
    peer.tell(told())
    assert until(lambda: store.asked == [CALL], timeout=20)
    door.serving.cancel()

    def refused() -> bool:
        try:
            connect().close()
        except ConnectionError:
            return True
        return False

    assert until(refused, timeout=20)
    store.open.set()
    assert peer.line() == ROUTED
    peer.send(DONE)
    door.stop()
    assert is_free(door)


@pytest.mark.parametrize("reason", Reason)
def test_every_refusal_can_be_sent(reason: Reason) -> None:
    """What the router may say is made of what the door sends."""
    destination = to_refuse(Refusal(reason=reason), language=Language.EN)
    assert _sendable(destination) == f"agi-router-refuse,{destination.extension}"


@pytest.mark.parametrize("text", ['a"', "a\nHANGUP", "a b", "a,b", "${A}", "a\r", "a|b", ""])
def test_what_is_never_sent(text: str) -> None:
    """Pystrix would send it as it is: a second command, or another context."""
    for destination in (Destination("agi-router-dial", text), Destination(text, "1")):
        with pytest.raises(ProtocolError):
            _sendable(destination)


def test_the_address_is_taken(door: RunningDoor, store: Store) -> None:
    """It is said by name, before anybody is served."""
    router = Router(
        store,
        timeout=1,
        ring_timeout=timedelta(seconds=45),
        max_duration=timedelta(hours=1),
        language=Language.ZH,
        fixed_lines=False,
    )
    second = FastAgiDoor(router, host="127.0.0.1", port=door.door.port, secret=SECRET)
    with pytest.raises(
        AsteriskError, match=r"AGI_ROUTER_AGI_LISTEN: cannot listen on 127\.0\.0\.1"
    ):
        second.open()


@pytest.mark.parametrize("members", [3, 100, 200])
def test_what_does_not_fit_into_one_extension(members: int) -> None:
    """Goes ahead in variables, each short enough for a command; together they are the whole."""
    callees = tuple(PhoneNumber(digits=f"138{n:08}") for n in range(members))
    route = Route(
        binding="70012345678-1",
        callees=callees,
        shown=XNumber.parse(X),
        sequence=True,
        ring_timeout=None,
        max_duration=None,
        language=None,
    )
    destination = to_dial(
        route,
        ring_timeout=timedelta(seconds=45),
        max_duration=timedelta(hours=1),
        language=Language.ZH,
    )
    told: list[str] = []
    agi = SimpleNamespace(execute=lambda action: told.append(action.command))
    _send(cast(Any, agi), destination)
    assert all(len(command) < 2048 for command in told)
    set_to: dict[str, str] = {}
    for command in told:
        found = re.fullmatch(r'SET VARIABLE "(\w+)" "(.*)"', command.strip())
        assert found is not None
        set_to[found[1]] = found[2]
    assert list(set_to)[-1] == "DESTINATION"
    context, _, last = set_to["DESTINATION"].partition(",")
    assert context == "agi-router-sequence"
    whole = set_to.get("PART_0", "") + set_to.get("PART_1", "") + last
    assert whole.startswith("+".join(each.digits for each in callees) + "*")
    assert whole.endswith("*end")

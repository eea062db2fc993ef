"""SIP messages: what is read, what is refused, and what goes out."""

from __future__ import annotations

import pytest

from agi_router.sip import BadMessage, Framer, Request, Response, answer, build, parse
from agi_router.sip.wire import LARGEST_BODY, LARGEST_HEAD

ASKED = (
    "MESSAGE sip:700123456780001@router.example SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKabc;rport\r\n"
    "v: SIP / 2.0 / TCP [2001:db8::1] ; branch=z9hG4bKdef\r\n"
    'f: "Zhang; tag=wrong" <sip:13800000001@carrier.example>;tag=one\r\n'
    "To: <sip:700123456780001@router.example;tag=wrong>\r\n"
    "i: a-1@carrier.example\r\n"
    "CSeq:  7   MESSAGE\r\n"
    "Subject: a\r\n  folded line\r\n"
    "c: text/plain;charset=UTF-8\r\n"
    "l: 6\r\n"
    "\r\n"
)
BODY = "你好".encode()


def asked(*, without: str = "", **changed: str) -> bytes:
    """Return the request with lines changed, by the first letters before their colon."""
    lines = []
    for line in ASKED.rstrip("\r\n").split("\r\n"):
        name = line.partition(":")[0]
        if name != without:
            lines.append(f"{name}: {changed[name]}" if name in changed else line)
    return "\r\n".join([*lines, "", ""]).encode() + BODY


def test_a_request_is_read() -> None:
    """Compact forms, folds, several hops; a tag stands behind the address and nowhere else."""
    read = parse(asked())
    assert isinstance(read, Request)
    assert (read.method, read.uri) == ("MESSAGE", "sip:700123456780001@router.example")
    assert read.body == BODY
    assert (read.tag("from"), read.tag("to")) == ("one", "")
    assert read.one("subject") == "a folded line"
    assert read.cseq == (7, "MESSAGE")
    assert (read.via.transport, read.via.host, read.via.port) == ("UDP", "192.0.2.1", 5070)
    assert (read.via.branch, read.via.rport) == ("z9hG4bKabc", True)
    assert "13800000001" not in repr(read)
    assert "700123456780001" not in repr(read)


def test_what_stands_behind_a_body_is_none_of_it() -> None:
    """A datagram may hold more than its length says; without a length it is the body."""
    read = parse(asked(l="3") + b"more")
    assert read.body == BODY[:3]
    assert parse(asked(without="l")).body == BODY


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"MESSAGE sip:a SIP/2.0\r\nVia: x",
        b"MESSAGE sip:a SIP/3.0\r\n\r\n",
        b"MESSAGE sip:a b SIP/2.0\r\n\r\n",
        b"SIP/2.0 99 Low\r\n\r\n",
        asked(l="7"),
        asked(l="-1"),
        asked(l="6\r\nContent-Length: 5"),
        asked(l=str(LARGEST_BODY + 1)) + bytes(LARGEST_BODY),
        asked(Subject="a\nb"),
        asked(Subject="a\0b"),
        asked(Subject="a\r\nno header"),
        asked(Subject="a" * LARGEST_HEAD),
        asked(Subject="a" + "\r\nx: y" * 200),
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    """And the error shows nothing of it."""
    with pytest.raises(BadMessage) as caught:
        parse(data)
    assert "13800000001" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"CSeq": "MESSAGE 7"}, "cseq"),
        ({"CSeq": "2147483648 MESSAGE"}, "cseq"),
        ({"Via": "SIP/2.0/UDP"}, "via"),
        ({"Via": "SIP/2.0/UDP 192.0.2.1:0;branch=a"}, "via"),
        ({"Via": "SIP/2.0/UDP 192.0.2.1:65536;branch=a"}, "via"),
        ({"Via": "SIP/2.0/UDP 192.0.2.1 branch=a"}, "via"),
    ],
)
def test_what_is_asked_for_is_read_strictly(changed: dict[str, str], name: str) -> None:
    """A CSeq or a Via that is none."""
    with pytest.raises(BadMessage):
        getattr(parse(asked(**changed)), name)


def test_a_message_without_a_hop_is_refused() -> None:
    """Nobody can answer it."""
    read = parse(b"MESSAGE sip:a SIP/2.0\r\nVia-Not: 1\r\n\r\n")
    with pytest.raises(BadMessage):
        _ = read.via
    with pytest.raises(BadMessage):
        read.one("call-id")


def test_parameters_without_a_value_and_several_hops_in_a_line() -> None:
    """The first is the topmost."""
    read = parse(asked(Via="SIP/2.0/tcp a.example;x, SIP/2.0/UDP b.example;branch=z9hG4bKb"))
    assert (read.via.transport, read.via.host, read.via.port) == ("TCP", "a.example", None)
    assert (read.via.branch, read.via.rport) == ("", False)


def test_an_answer_repeats_what_it_must_and_nothing_else() -> None:
    """All hops, From, To with our tag, Call-ID and CSeq."""
    read = parse(asked())
    assert isinstance(read, Request)
    made = parse(build(answer(read, 202, "Accepted", tag="ours", headers=[("x-a", "1")])))
    assert isinstance(made, Response)
    assert (made.status, made.reason, made.body) == (202, "Accepted", b"")
    assert made.all("via") == read.all("via")
    assert (made.tag("from"), made.tag("to")) == ("one", "ours")
    assert (made.one("call-id"), made.cseq) == (read.one("call-id"), read.cseq)
    assert {name for name, _ in made.headers} == {
        *("via", "from", "to", "call-id", "cseq"),
        *("x-a", "content-length"),
    }


def test_an_answer_leaves_a_tag_as_it_is() -> None:
    """A request within a dialog has one already."""
    read = parse(asked(To="<sip:a@b>;tag=theirs"))
    assert isinstance(read, Request)
    assert answer(read, 481, "None", tag="ours").tag("to") == "theirs"


def test_nothing_that_is_written_breaks_a_line() -> None:
    """A value with a line end is a fault of ours."""
    with pytest.raises(ValueError, match="line end"):
        build(Request(method="MESSAGE", uri="sip:a", headers=[("to", "a\r\nb: c")]))


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_stream_is_cut_into_messages(size: int) -> None:
    """However it comes; line ends between messages are left out."""
    stream = (
        b"\r\n\r\n"
        + asked()
        + b"\r\n"
        + asked()
        + build(Response(status=200, reason="OK", headers=[]))
    )
    framer = Framer()
    assert not framer.is_waiting
    read = [
        message
        for start in range(0, len(stream), size)
        for message in framer.feed(stream[start : start + size])
    ]
    assert [message.body for message in read] == [BODY, BODY, b""]
    assert not framer.is_waiting
    list(framer.feed(b"M"))
    assert framer.is_waiting


@pytest.mark.parametrize(
    "data",
    [
        asked(without="l"),
        asked(l=str(LARGEST_BODY + 1)),
        b"a" * (LARGEST_HEAD + 1),
        b"nothing\r\n\r\n",
    ],
)
def test_a_stream_that_cannot_be_cut_is_refused(data: bytes) -> None:
    """Whoever reads it leaves."""
    with pytest.raises(BadMessage):
        list(Framer().feed(data))

"""Whatever arrives as SIP, it is a message or a BadMessage, and what is answered can be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_router.sip import BadMessage, Framer, Request, Response, answer, build, key_of, parse

LINES = [
    b"MESSAGE sip:700123456780001@router.example SIP/2.0",
    b"SIP/2.0 202 Accepted",
    b"Via: SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKabc;rport",
    b'v: SIP / 2.0 / TCP [2001:db8::1] ; branch=1, SIP/2.0/UDP a;x="y;z\\""',
    b'From: "Zhang; tag=wrong" <sip:13800000001@carrier.example>;tag=one',
    b"t: <sip:700123456780001@router.example>",
    b"Call-ID: a-1@carrier.example",
    b"CSeq: 7 MESSAGE",
    b" folded",
    b"Content-Length: 2",
    b"c: text/plain",
]
messages = st.lists(st.one_of(st.sampled_from(LINES), st.binary(max_size=40)), max_size=14).map(
    b"\r\n".join
)


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    """A packet that looks like SIP, with octets of it changed, left out or doubled."""
    data = draw(st.one_of(st.just(b"\r\n".join(LINES)), messages)) + b"\r\n\r\nhi"
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        end = start + draw(st.integers(0, 4))
        data = data[:start] + draw(st.binary(max_size=4)) + data[end:]
    return data


@given(packets())
def test_whatever_comes_is_a_message_or_none(data: bytes) -> None:
    """No other error; an answer to a request can be written, read, and holds no line of others."""
    try:
        read = parse(data)
        if isinstance(read, Response):
            return
        key_of(read)
        _ = read.cseq, read.one("call-id"), read.one("from")
        made = parse(build(answer(read, 202, "Accepted", tag="ours")))
    except BadMessage:
        return
    assert made.all("via") == read.all("via")
    assert made.one("call-id") == read.one("call-id")
    assert made.cseq == read.cseq
    again = parse(build(read))
    assert isinstance(again, Request)
    assert (again.body, key_of(again)) == (read.body, key_of(read))


@given(st.lists(packets(), min_size=1, max_size=3), st.integers(1, 50))
def test_whatever_comes_in_a_stream(found: list[bytes], size: int) -> None:
    """It is cut into messages or refused."""
    stream = b"".join(found)
    framer = Framer()
    try:
        for start in range(0, len(stream), size):
            list(framer.feed(stream[start : start + size]))
    except BadMessage:
        with pytest.raises(BadMessage):
            list(Framer().feed(stream))

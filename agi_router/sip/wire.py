"""
SIP messages: octets in, values out, and back.

1. A message is read by the grammar's lines only: a start line, headers, a body as long as
   Content-Length says. What a header means is left to whoever asks for it; what is asked for here
   (Via, CSeq) is read strictly.
2. Header values are latin-1: a byte is a character, so what came goes back as it came.
3. Everything has a bound, and every pattern is possessive: no message takes long.
4. ``repr`` shows neither headers nor body.

Source:
    RFC 3261, 7 (messages), 7.3 (compact forms), 8.2.6 (answers), 18.3 (framing), 20.42 (Via).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from .errors import BadMessage

__all__ = [
    "LARGEST_BODY",
    "LARGEST_HEAD",
    "Framer",
    "Message",
    "Request",
    "Response",
    "Via",
    "answer",
    "build",
    "parse",
]

LARGEST_HEAD = 16 * 1024
"""Octets of a start line with its headers."""
LARGEST_BODY = 64 * 1024
"""Octets of a body."""
_MOST_HEADERS = 200
_WORD = r"[A-Za-z0-9.!%*_+`'~-]"
_REQUEST = re.compile(rf"({_WORD}{{1,32}}+) ([!-~]{{1,1024}}+) SIP/2\.0", re.IGNORECASE)
_RESPONSE = re.compile(r"SIP/2\.0 ([1-6][0-9]{2}) ?([^\r\n]*+)", re.IGNORECASE)
_HEADER = re.compile(rf"({_WORD}{{1,64}}+)[ \t]*+:[ \t]*+(.*+)", re.DOTALL)
_FOLDED = re.compile(r"\r\n[ \t]++")
_LENGTH = re.compile(r"[0-9]{1,6}")
_CSEQ = re.compile(rf"([0-9]{{1,10}})[ \t]++({_WORD}{{1,32}}+)")
_HOST = r"(?:\[[0-9A-Fa-f:.]{2,45}+\]|[A-Za-z0-9._-]{1,253}+)"
_VIA = re.compile(
    rf"SIP[ \t]*+/[ \t]*+2\.0[ \t]*+/[ \t]*+({_WORD}{{1,16}}+)[ \t]++"
    rf"({_HOST})(?:[ \t]*+:[ \t]*+([0-9]{{1,5}}))?+"
    r"((?:[ \t]*+;[^,\"]*+|\"(?:[^\"\\]|\\.)*+\")*+)[ \t]*+(?:,|\Z)",
    re.IGNORECASE,
)
_PARAMETER = re.compile(rf";[ \t]*+({_WORD}++)[ \t]*+(?:=[ \t]*+([^;,\s\"]++))?+")
_TAG = re.compile(rf";[ \t]*+tag[ \t]*+=[ \t]*+({_WORD}++)", re.IGNORECASE)
_COMPACT = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "l": "content-length",
    "c": "content-type",
    "e": "content-encoding",
    "m": "contact",
    "k": "supported",
    "s": "subject",
}
# What an answer repeats of its request.
_REPEATED = ("via", "from", "to", "call-id", "cseq")
_LARGEST_PORT = 65535
_LARGEST_CSEQ = 2**31 - 1

_Headers: TypeAlias = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Via:
    """
    The topmost hop of a message.
    """

    transport: str
    """In capital letters."""
    host: str
    port: int | None
    branch: str
    """Empty where there is none."""
    rport: bool
    """Whether an answer is wanted at the port that the request came from (RFC 3581)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    headers: _Headers = field(repr=False)
    """Names in small letters and in their long form, values without folds, as they came."""
    body: bytes = field(default=b"", repr=False)

    def all(self, name: str) -> list[str]:
        """
        The lines of a header, by its long name in small letters.
        """
        return [value for own, value in self.headers if own == name]

    def one(self, name: str) -> str:
        """
        The only line of a header.

        Raises:
            BadMessage: There is none, or more than one.
        """
        found = self.all(name)
        if len(found) != 1:
            raise BadMessage(f"{len(found)} lines of {name}, where one is due")
        return found[0]

    def tag(self, name: str) -> str:
        """
        The tag of From or To; empty where there is none.
        """
        # A display name may hold whatever it likes: a tag stands behind the address.
        behind = self.one(name).rpartition(">")[2]
        match = _TAG.search(behind)
        return match[1] if match else ""

    @property
    def cseq(self) -> tuple[int, str]:
        """
        Number and method of CSeq.

        Raises:
            BadMessage: It is missing or malformed.
        """
        match = _CSEQ.fullmatch(self.one("cseq"))
        if match is None or int(match[1]) > _LARGEST_CSEQ:
            raise BadMessage("a CSeq that is none")
        return int(match[1]), match[2]

    @property
    def via(self) -> Via:
        """
        The topmost Via.

        Raises:
            BadMessage: It is missing or malformed.
        """
        lines = self.all("via")
        match = _VIA.match(lines[0]) if lines else None
        if match is None or (match[3] and not 0 < int(match[3]) <= _LARGEST_PORT):
            raise BadMessage("a Via that is none")
        parameters = {name.lower(): value for name, value in _PARAMETER.findall(match[4])}
        return Via(
            transport=match[1].upper(),
            host=match[2],
            port=int(match[3]) if match[3] else None,
            branch=parameters.get("branch", ""),
            rport="rport" in parameters,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(_Parts):
    """
    A request.
    """

    method: str
    uri: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response(_Parts):
    """
    An answer.
    """

    status: int
    reason: str = field(repr=False)


Message: TypeAlias = Request | Response


def parse(data: bytes) -> Message:
    """
    Read a datagram: one message, whose body ends where Content-Length says, or with the datagram.

    Raises:
        BadMessage: It is none, or its body is cut off.
    """
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        raise BadMessage("a message without an end of its headers")
    message = _parse_head(head)
    length = _length(message)
    if length is None:
        length = len(body)
    if length > len(body) or length > LARGEST_BODY:
        raise BadMessage("a body that is shorter than its length, or too long")
    return _with_body(message, body[:length])


class Framer:
    """
    Cuts a stream (TCP) into messages.
    """

    def __init__(self) -> None:
        self._held = b""

    @property
    def is_waiting(self) -> bool:
        """
        Whether a message has begun that is not whole.
        """
        return bool(self._held)

    def feed(self, data: bytes) -> Iterator[Message]:
        """
        The messages that are whole with *data*.

        Raises:
            BadMessage: What comes cannot be cut any more: the connection is of no use.
        """
        self._held += data
        while True:
            # Between messages, line ends keep a connection alive (RFC 5626, 3.5.1).
            self._held = self._held.lstrip(b"\r\n")
            head, found, rest = self._held.partition(b"\r\n\r\n")
            if len(head) > LARGEST_HEAD:
                raise BadMessage("headers that are too long")
            if not found:
                return
            message = _parse_head(head)
            length = _length(message)
            if length is None or length > LARGEST_BODY:
                raise BadMessage("a message of a stream without its length, or too long")
            if len(rest) < length:
                return
            self._held = rest[length:]
            yield _with_body(message, rest[:length])


def build(message: Message) -> bytes:
    """
    Write a message; Content-Length is added.

    Raises:
        ValueError: A header or the start line holds a line end, or what is not latin-1.
    """
    start = (
        f"{message.method} {message.uri} SIP/2.0"
        if isinstance(message, Request)
        else f"SIP/2.0 {message.status} {message.reason}"
    )
    lines = [start, *(f"{name.title()}: {value}" for name, value in message.headers)]
    lines.append(f"Content-Length: {len(message.body)}")
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a line of a message holds a line end")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + message.body


def answer(
    request: Request, status: int, reason: str, *, tag: str, headers: _Headers = ()
) -> Response:
    """
    The answer to *request*, with what has to be repeated of it.

    Args:
        request: What is answered.
        status: 200 to 699.
        reason: Its phrase.
        tag: Ours, for To, unless the request has one there.
        headers: Others.

    Raises:
        BadMessage: The request has no To, or several.
    """
    to = request.one("to")
    tagged = to if request.tag("to") else f"{to};tag={tag}"
    repeated = [
        (name, tagged if name == "to" else value)
        for name, value in request.headers
        if name in _REPEATED
    ]
    return Response(status=status, reason=reason, headers=[*repeated, *headers])


def _parse_head(head: bytes) -> Message:
    if len(head) > LARGEST_HEAD:
        raise BadMessage("headers that are too long")
    text = _FOLDED.sub(" ", head.decode("latin-1"))
    start, *lines = text.split("\r\n")
    if len(lines) > _MOST_HEADERS:
        raise BadMessage("too many headers")
    headers = []
    for line in lines:
        match = _HEADER.fullmatch(line)
        if match is None or "\n" in line or "\r" in line or "\0" in line:
            raise BadMessage("a header that is none")
        name = match[1].lower()
        headers.append((_COMPACT.get(name, name), match[2].rstrip(" \t")))
    if request := _REQUEST.fullmatch(start):
        return Request(method=request[1], uri=request[2], headers=headers)
    if response := _RESPONSE.fullmatch(start):
        return Response(status=int(response[1]), reason=response[2], headers=headers)
    raise BadMessage("a start line that is none")


def _length(message: Message) -> int | None:
    lines = set(message.all("content-length"))
    if not lines:
        return None
    if len(lines) > 1:
        raise BadMessage("two lengths of one body")
    text = lines.pop()
    if not _LENGTH.fullmatch(text):
        raise BadMessage("a length that is none")
    return int(text)


def _with_body(message: Message, body: bytes) -> Message:
    if isinstance(message, Request):
        return Request(method=message.method, uri=message.uri, headers=message.headers, body=body)
    return Response(
        status=message.status, reason=message.reason, headers=message.headers, body=body
    )

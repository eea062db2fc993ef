"""
SIP messages as a phone saw them: SIPp's message trace, taken apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

__all__ = ["Invite", "Message", "invites_in", "parse_trace", "received_by", "user_of"]

# RFC 3261, 20: headers have a short form.
_COMPACT = {
    "c": "content-type",
    "f": "from",
    "i": "call-id",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "s": "subject",
    "t": "to",
    "v": "via",
}
_TRACE_HEAD = re.compile(
    rb"^-{20,} (?P<at>\d{4}-\d\d-\d\d[ \t]\d\d:\d\d:\d\d\.\d{6})\r?\n"
    rb"\w+ message (?P<way>sent|received) [(\[](?P<size>\d+)[)\]]? ?bytes\)? ?:\n\n",
    re.MULTILINE,
)
_USER = re.compile(r"sips?:([^@<>;?\s]*)@|tel:([^<>;?\s]*)", re.IGNORECASE)
_TAG = re.compile(r";\s*tag=([^;>\s]+)", re.IGNORECASE)
_DISPLAY_NAME = re.compile(r'^\s*(?:"((?:[^"\\]|\\.)*)"|([^"<]*?))\s*<')


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """
    One SIP message as a phone sent or received it.

    Attributes:
        at: When, in the clock of the machine.
        sent: Whether the phone sent it; otherwise the phone received it.
        start_line: Request line or status line.
        headers: Names in lower case and in their long form, values as they came, in order.
        body: What follows the empty line.
        raw: Every byte of it.
    """

    at: datetime
    sent: bool
    start_line: str
    headers: tuple[tuple[str, str], ...]
    body: str
    raw: bytes = field(repr=False)

    @classmethod
    def parse(cls, raw: bytes, *, at: datetime, sent: bool) -> Self:
        """Take *raw* apart. Never raises: a test has to see a malformed message too."""
        head, _, body = raw.decode("utf-8", "replace").replace("\r\n", "\n").partition("\n\n")
        start_line, *lines = re.sub(r"\n[ \t]+", " ", head).split("\n")
        pairs = (line.partition(":") for line in lines if ":" in line)
        names = ((name.strip().lower(), value.strip()) for name, _, value in pairs)
        headers = tuple((_COMPACT.get(name, name), value) for name, value in names)
        return cls(at=at, sent=sent, start_line=start_line, headers=headers, body=body, raw=raw)

    @property
    def status(self) -> int | None:
        """Status code of a response, :obj:`None` for a request."""
        match self.start_line.split():
            case ["SIP/2.0", code, *_] if code.isdecimal():
                return int(code)
        return None

    @property
    def phrase(self) -> str:
        """Reason phrase of a response, empty for a request."""
        return "" if self.status is None else self.start_line.partition(" ")[2][4:]

    @property
    def method(self) -> str:
        """Method of the request, or of the request that a response answers."""
        if self.status is None:
            return self.start_line.partition(" ")[0]
        return (self.header("cseq") or "").rpartition(" ")[2]

    @property
    def call_id(self) -> str:
        """The Call-ID, empty if there is none."""
        return self.header("call-id") or ""

    @property
    def request_user(self) -> str | None:
        """User part of the Request-URI, :obj:`None` for a response."""
        return None if self.status is not None else user_of(self.start_line.partition(" ")[2])

    def header(self, name: str) -> str | None:
        """First value of the header *name*."""
        return next((value for key, value in self.headers if key == name.lower()), None)

    def user(self, name: str) -> str | None:
        """User part of the address in the header *name*."""
        value = self.header(name)
        return None if value is None else user_of(value)

    def tag(self, name: str) -> str:
        """Tag in the header *name*, empty if it has none."""
        found = _TAG.search(self.header(name) or "")
        return found[1] if found else ""

    def display_name(self, name: str) -> str | None:
        """Display name in the header *name*."""
        found = _DISPLAY_NAME.match(self.header(name) or "")
        return (found[1] or found[2] or None) if found else None


def user_of(address: str) -> str | None:
    """User part of the SIP or tel URI in *address*; :obj:`None` if it has no user."""
    # A display name may hold anything, even a URI.
    found = _USER.search(address, address.rfind("<") + 1)
    return (found[1] or found[2]) if found else None


def parse_trace(trace: bytes) -> tuple[Message, ...]:
    """
    Messages of a SIPp message file (``-trace_msg``), in the order in which they were logged.

    Source:
        SIPp 3.6.1: a line of dashes with the local time, a line with direction and size, an
        empty line, and that many bytes. Phones run with TZ=UTC.
    """
    messages = []
    position = 0
    while found := _TRACE_HEAD.search(trace, position):
        position = found.end() + int(found["size"])
        at = datetime.fromisoformat(found["at"].decode().replace("\t", " ")).replace(tzinfo=UTC)
        raw = trace[found.end() : position]
        messages.append(Message.parse(raw, at=at, sent=found["way"] == b"sent"))
    return tuple(messages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invite:
    """
    What a phone was told by the INVITE that made it ring: user parts only.

    ``asserted_user`` is that of P-Asserted-Identity or Remote-Party-ID.
    """

    call_id: str
    request_user: str | None
    from_user: str | None
    from_name: str | None
    to_user: str | None
    contact_user: str | None
    asserted_user: str | None


def invites_in(messages: Iterable[Message]) -> tuple[Invite, ...]:
    """The calls that came in by *messages*: no retransmission, nothing within a dialog."""
    first: dict[str, Message] = {}
    for message in messages:
        new = ";tag=" not in (message.header("to") or "").lower()
        if message.start_line.startswith("INVITE ") and not message.sent and new:
            first.setdefault(message.call_id, message)
    return tuple(
        Invite(
            call_id=call_id,
            request_user=invite.request_user,
            from_user=invite.user("from"),
            from_name=invite.display_name("from"),
            to_user=invite.user("to"),
            contact_user=invite.user("contact"),
            asserted_user=invite.user("p-asserted-identity") or invite.user("remote-party-id"),
        )
        for call_id, invite in first.items()
    )


def received_by(messages: Iterable[Message]) -> bytes:
    """All bytes that a phone received, message by message."""
    return b"\n".join(message.raw for message in messages if not message.sent)

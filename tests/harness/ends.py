"""
Both ends of the carrier, held in the hand: each message is sent when a test wants it.
"""

from __future__ import annotations

import itertools
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from agi_router.leaktest.messages import Message

__all__ = ["SDP", "Caller", "Side", "clear_the_far_end", "sides"]

PBX, FAR = ("127.0.0.1", 5060), ("127.0.0.1", 5090)
SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio {} RTP/AVP 8\r\n"
)
_serial = itertools.count(1)


class Side:
    """One socket, and what came to it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.port = self.socket.getsockname()[1]
        self.came: list[Message] = []

    def send(self, *lines: str, body: str = "") -> None:
        """Send a message to the PBX."""
        kind = ["Content-Type: application/sdp"] if body else []
        text = "\r\n".join((*lines, *kind, f"Content-Length: {len(body)}", "", body))
        self.socket.sendto(text.encode(), PBX)

    def answer(self, request: Message, status: str, *, tag: str, body: str = "") -> None:
        """Answer a request that came."""
        kept = ("via", "from", "call-id", "cseq")
        to = request.header("to") or ""
        self.send(
            f"SIP/2.0 {status}",
            *(f"{name}: {value}" for name, value in request.headers if name in kept),
            f"To: {to}" if "tag=" in to else f"To: {to};tag={tag}",
            f"Contact: <sip:127.0.0.1:{self.port}>",
            body=body,
        )

    def wait(self, wanted: Callable[[Message], bool], *, patience: float = 20) -> Message:
        """The first message that is wanted; others that come are kept, and requests answered."""
        deadline = time.monotonic() + patience
        while True:
            for message in self.came:
                if wanted(message):
                    return message
            left = deadline - time.monotonic()
            assert left > 0, [message.start_line for message in self.came]
            self._take(left)

    def be_left_alone(self, quiet: float = 2) -> None:
        """
        Answer what still comes, until nothing does: else the next test would hear it again.

        Args:
            quiet: Seconds in which nothing has come.
        """
        while message := self._take(quiet):
            if message.method == "INVITE" and message.status is None:
                self.answer(message, "480 Temporarily Unavailable", tag="end")

    def _take(self, patience: float) -> Message | None:
        """Take what comes within so many seconds, if anything does."""
        if not select.select([self.socket], [], [], patience)[0]:
            return None
        raw = self.socket.recv(65_535)
        message = Message.parse(raw, at=datetime.now(UTC), sent=False)
        self.came.append(message)
        if message.method in {"BYE", "CANCEL"} and message.status is None:
            self.answer(message, "200 OK", tag="end")
        return message


@contextmanager
def sides() -> Iterator[tuple[Side, Side]]:
    """The carrier's two ends."""
    near, far = Side(("127.0.0.1", 0)), Side(FAR)
    try:
        yield near, far
    finally:
        near.socket.close()
        far.socket.close()


def clear_the_far_end() -> None:
    """Answer what Asterisk goes on to send to a called phone that has been killed."""
    far = Side(FAR)
    try:
        # It sends again after four seconds at most (RFC 3261, T2).
        far.be_left_alone(5)
    finally:
        far.socket.close()


class Caller:
    """A call from the near end."""

    def __init__(self, side: Side, number: str, x: str, *, fork_of: Caller | None = None) -> None:
        """The same request as another one, on another branch, where it is a fork of that."""
        self.side = side
        serial = next(_serial)
        self.tag: str = fork_of.tag if fork_of else str(serial)
        self.call_id = f"by-hand-{self.tag}"
        self.branch = f"z9hG4bKbyhand{serial}"
        self.x = x
        self.lines = (
            f"Via: SIP/2.0/UDP 127.0.0.1:{side.port};branch={self.branch}",
            f"From: <sip:{number}@127.0.0.1>;tag={self.tag}",
            f"To: <sip:{x}@127.0.0.1>",
            f"Call-ID: {self.call_id}",
            "Max-Forwards: 70",
        )

    def request(self, method: str, *more: str, body: str = "") -> None:
        """Send a request of the transaction of the INVITE."""
        start = f"{method} sip:{self.x}@127.0.0.1:5060 SIP/2.0"
        self.side.send(start, *self.lines, f"CSeq: 1 {method}", *more, body=body)

    def invite(self) -> None:
        """Call."""
        contact = f"Contact: <sip:127.0.0.1:{self.side.port}>"
        self.request("INVITE", contact, body=SDP.format(self.side.port + 2))

    def is_mine(self, message: Message) -> bool:
        """Whether it answers the INVITE."""
        via = message.header("via") or ""
        return message.method == "INVITE" and f"branch={self.branch}" in via.split(";")

    def rings(self) -> None:
        """Wait until the callee is heard to ring."""
        self.side.wait(lambda m: self.is_mine(m) and m.status == 180)

    def has_ended(self) -> bool:
        """Whether its final answer has come."""
        return any(self.is_mine(m) and (m.status or 0) >= 200 for m in self.side.came)

    def final(self, talk: Callable[[], object] = lambda: None) -> int:
        """The final status; a refusal is acknowledged, an answered call is ended after *talk*."""
        found = self.side.wait(lambda m: self.is_mine(m) and (m.status or 0) >= 200)
        assert found.status is not None
        to = f"To: {found.header('to')}"
        lines = [line for line in self.lines if not line.startswith("To:")]
        start = f"sip:{self.x}@127.0.0.1:5060 SIP/2.0"
        if found.status > 299:
            self.side.send(f"ACK {start}", *lines, to, "CSeq: 1 ACK")
        else:
            lines[0] += "x"
            self.side.send(f"ACK {start}", *lines, to, "CSeq: 1 ACK")
            talk()
            lines[0] += "x"
            self.side.send(f"BYE {start}", *lines, to, "CSeq: 2 BYE")
        return found.status

"""Both ends of calls by SIP: a caller, and a callee who answers, at once."""

import re
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from .errors import BenchError

__all__ = ["SipEnds", "sdp", "sound_port"]

_PATIENCE = 10.0
_LARGEST = 65536


def sdp(port: int) -> str:
    """The session description of an end whose sound, A-law, comes to a port."""
    return (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=ptime:20\r\n"
    )


def sound_port(text: str) -> int:
    """
    The port of sound in a session description.

    Raises:
        BenchError: There is none.
    """
    if found := re.search(r"^m=audio (\d+) ", text, re.MULTILINE):
        return int(found[1])
    raise BenchError("an answer has no port for sound")


class SipEnds:
    """
    Places calls and answers them, one after the other; made by :meth:`opened`.

    Args:
        pbx: Where calls are taken.
        caller: The caller's socket.
        callee: The callee's.
    """

    def __init__(self, pbx: str, caller: socket.socket, callee: socket.socket) -> None:
        host, _, port = pbx.rpartition(":")
        self._pbx = host, int(port)
        self._caller = caller
        self._callee = callee
        self._serial = 0

    @classmethod
    @contextmanager
    def opened(cls, pbx: str, *, carrier_out: str) -> Iterator[Self]:
        """
        Listen for the time of a block.

        Args:
            pbx: Where calls are taken.
            carrier_out: Where they come out.
        """
        host, _, port = carrier_out.rpartition(":")
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as callee,
        ):
            caller.bind(("127.0.0.1", 0))
            callee.bind((host, int(port)))
            yield cls(pbx, caller, callee)

    def call(self, near: int, far: int) -> tuple[int, int]:
        """
        Place a call, which stays up.

        Args:
            near: The port of the caller's sound.
            far: That of the callee's.

        Returns:
            The ports of the PBX to which either sends.

        Raises:
            BenchError: It is not answered in time.
        """
        self._serial += 1
        call = f"{self._serial}-talk"
        here = f"127.0.0.1:{self._caller.getsockname()[1]}"
        number = f"9700{self._serial:012}"
        head = [
            f"From: <sip:138{self._serial:08}@{here}>;tag=n{self._serial}",
            f"Call-ID: {call}",
            "Max-Forwards: 70",
            f"Contact: <sip:caller@{here}>",
        ]
        to = f"To: <sip:{number}@{self._pbx[0]}>"
        via = f"Via: SIP/2.0/UDP {here};branch=z9hG4bK-{call}"
        uri = f"sip:{number}@{self._pbx[0]}:{self._pbx[1]}"
        invite = [f"INVITE {uri} SIP/2.0", via, *head, to, "CSeq: 1 INVITE"]
        self._send(self._caller, self._pbx, invite, sdp(near))
        ours: dict[str, int] = {}
        until = time.monotonic() + _PATIENCE
        while len(ours) < 2 and time.monotonic() < until:
            for ready in select.select((self._caller, self._callee), (), (), 0.1)[0]:
                data, peer = ready.recvfrom(_LARGEST)
                text = data.decode()
                if text.startswith("INVITE ") and ready is self._callee:
                    ours["far"] = sound_port(text)
                    self._answer(text, peer, sdp(far))
                elif text.startswith("SIP/2.0 200") and _header(text, "CSeq").endswith("INVITE"):
                    ours["near"] = sound_port(text)
                    tagged = f"To: {_header(text, 'To')}"
                    ack = [f"ACK {uri} SIP/2.0", f"{via}-ack", *head, tagged, "CSeq: 1 ACK"]
                    self._send(self._caller, self._pbx, ack)
                elif not text.startswith(("SIP/2.0 ", "ACK ")):
                    self._answer(text, peer)
        if len(ours) < 2:
            raise BenchError("a call was not answered")
        return ours["near"], ours["far"]

    def _answer(self, request: str, peer: tuple[str, int], body: str = "") -> None:
        copied = re.findall(r"(?im)^((?:Via|From|Call-ID|CSeq|Record-Route): .*?)\r$", request)
        to = f"To: {_header(request, 'To')}"
        tag = "" if ";tag=" in to else f";tag=f{self._serial}"
        contact = f"Contact: <sip:callee@127.0.0.1:{self._callee.getsockname()[1]}>"
        lines = ["SIP/2.0 200 OK", *copied, f"{to}{tag}", contact]
        self._send(self._callee, peer, lines, body)

    @staticmethod
    def _send(by: socket.socket, peer: tuple[str, int], lines: list[str], body: str = "") -> None:
        kind = ["Content-Type: application/sdp"] if body else []
        text = "\r\n".join((*lines, *kind, f"Content-Length: {len(body)}", "", body))
        by.sendto(text.encode(), peer)


def _header(message: str, name: str) -> str:
    found = re.search(rf"(?im)^{name}: (.*?)\r$", message)
    return found[1] if found else ""

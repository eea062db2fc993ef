"""
Texts between two phones of the test PBX: what one sends by SIP MESSAGE, and what the other gets.

The door for texts is a process of its own beside the PBX, as it is beside an operator's. The
phones are two sockets on loopback: one sends as a party and repeats its request until it is
answered, as SIP does over UDP; the other is the next hop, which takes what goes out.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from agi_router.sip import BadMessage, Request, Response, answer, build, parse

__all__ = ["Carrier", "SentText", "TextError", "texts_served"]

_HOST = "127.0.0.1"
_PATIENCE = 60.0
_PAUSE = 0.5
_LARGEST = 65_535


class TextError(Exception):
    """The door did not start, or did not answer; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentText:
    """A text as both phones saw it."""

    status: int
    at_sender: bytes
    """All that the phone of its sender received."""
    at_receiver: tuple[Request, ...]
    raw_at_receiver: bytes


@dataclass(slots=True)
class Carrier:
    """Both phones, and the door between them."""

    door: tuple[str, int]
    next_hop: socket.socket
    _came: list[tuple[bytes, Request]] = field(default_factory=list)

    def listen(self) -> None:
        """Take what the door sends, and accept it, until the socket is closed."""
        with contextlib.suppress(OSError):
            while True:
                data, address = self.next_hop.recvfrom(_LARGEST)
                with contextlib.suppress(BadMessage):
                    message = parse(data)
                    if isinstance(message, Request):
                        self._came.append((data, message))
                        taken = answer(message, 200, "OK", tag=secrets.token_hex(4))
                        self.next_hop.sendto(build(taken), address)

    def send(self, sender: str, name: str, to: str, body: str, *, arrives: bool) -> SentText:
        """
        Send a text, and wait until it was answered and, if it is to arrive, has arrived.

        Raises:
            TextError: It was not answered, or has not arrived.
        """
        before = len(self._came)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
            phone.bind((_HOST, 0))
            phone.settimeout(_PAUSE)
            status, got = self._ask(phone, build(_request(sender, name, to, body)))
        deadline = time.monotonic() + _PATIENCE
        while arrives and len(self._came) == before:
            if time.monotonic() > deadline:
                raise TextError("a text that was accepted has not arrived")
            time.sleep(_PAUSE / 5)
        came = self._came[before:]
        return SentText(
            status=status,
            at_sender=got,
            at_receiver=tuple(request for _, request in came),
            raw_at_receiver=b"\n".join(data for data, _ in came),
        )

    def _ask(self, phone: socket.socket, data: bytes) -> tuple[int, bytes]:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            phone.sendto(data, self.door)
            with contextlib.suppress(TimeoutError, ConnectionError):
                got = phone.recv(_LARGEST)
                response = parse(got)
                if isinstance(response, Response):
                    return response.status, got
        raise TextError("the door for texts does not answer")


def _request(sender: str, name: str, to: str, body: str) -> Request:
    """A text in which its sender stands wherever one can stand."""
    own = f"{sender}@{_HOST}"
    return Request(
        method="MESSAGE",
        uri=f"sip:{to}@{_HOST}",
        headers=[
            ("via", f"SIP/2.0/UDP {_HOST};branch=z9hG4bK{secrets.token_hex(8)}-{sender};rport"),
            ("max-forwards", "70"),
            ("from", f'"{name}" <sip:{own}>;tag={sender}-{secrets.token_hex(4)}'),
            ("to", f"<sip:{to}@{_HOST}>"),
            ("call-id", f"{secrets.token_hex(8)}-{own}"),
            ("cseq", "1 MESSAGE"),
            ("contact", f'"{name}" <sip:{own}>'),
            ("p-asserted-identity", f'"{name}" <sip:{own}>'),
            ("user-agent", f"phone of {name} {sender}"),
            ("content-type", "text/plain;charset=UTF-8"),
        ],
        body=body.encode(),
    )


@contextlib.contextmanager
def texts_served(env: Mapping[str, str]) -> Iterator[Carrier]:
    """Serve texts beside the PBX, between two phones; *env* reaches its database."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as next_hop:
        next_hop.bind((_HOST, 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind((_HOST, 0))
            port = free.getsockname()[1]
        settings = {
            "AGI_ROUTER_SIP_LISTEN": f"{_HOST}:{port}",
            "AGI_ROUTER_SIP_NEXT": f"{_HOST}:{next_hop.getsockname()[1]}",
            "AGI_ROUTER_SIP_PEERS": _HOST,
            "AGI_ROUTER_METRICS_LISTEN": "off",
        }
        with subprocess.Popen(
            ["agi-router", "serve", "--door", "sip-messages"],
            env={**env, **settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as door:
            carrier = Carrier(door=(_HOST, port), next_hop=next_hop)
            listening = threading.Thread(target=carrier.listen, daemon=True)
            listening.start()
            try:
                yield carrier
            finally:
                door.terminate()
                door.wait(_PATIENCE)
                # Wakes the thread, which a close alone would not.
                with contextlib.suppress(OSError):
                    next_hop.shutdown(socket.SHUT_RDWR)
                listening.join(_PATIENCE)

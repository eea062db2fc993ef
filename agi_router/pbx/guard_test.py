"""
The guard's self-test: what comes through to a port of sound, tried without any right.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass

from agi_router.pbx.media_guard import REFUSED, MediaPorts, plain_packet

__all__ = ["GuardTest", "try_guard"]

# Seconds for a packet that comes, on this machine itself.
_PATIENCE = 2.0
_LONGEST = 65536
# So many ports of either end are asked for, since calls have some of them.
_TRIES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardTest:
    """
    What a self-test has seen.

    Attributes:
        ports: The ports that were tried, in order, each once.
        faults: What is wrong, a line each; empty if sound is guarded.
    """

    ports: tuple[int, ...]
    faults: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """
        Whether plain packets come, and no others.
        """
        return not self.faults


def try_guard(ports: MediaPorts) -> GuardTest:
    """
    Try the guard at the lowest and the highest free port of RTP, by IPv4 and IPv6.

    It takes a moment; where a packet is lost that should come, two seconds. Calls notice nothing:
    a port is tried only while it is nobody's.

    Args:
        ports: The ports of Asterisk's sound.
    """
    even = ports.even()
    tried: set[int] = set()
    faults: dict[str, list[str]] = {}
    for family, host in _addresses():
        for ends in (even[:_TRIES], even[: -_TRIES - 1 : -1]):
            found = _first_free(family, host, ends)
            if found is None:
                faults.setdefault("no port is free to be tried", []).append(f"{host} {ends[0]}")
                continue
            with closing(found):
                port = found.getsockname()[1]
                tried.add(port)
                for each in _seen(found, host, port):
                    faults.setdefault(each, []).append(f"{host} {port}")
    return GuardTest(
        ports=tuple(sorted(tried)),
        faults=tuple(f"{each} ({', '.join(where)})" for each, where in faults.items()),
    )


def _addresses() -> Iterator[tuple[socket.AddressFamily, str]]:
    yield socket.AF_INET, "127.0.0.1"
    with suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::1", 0))
        yield socket.AF_INET6, "::1"


def _first_free(
    family: socket.AddressFamily, host: str, ports: Sequence[int]
) -> socket.socket | None:
    for port in ports:
        with ExitStack() as stack:
            receiver = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            try:
                receiver.bind((host, port))
            except OSError:
                continue
            stack.pop_all()
            return receiver
    return None


def _seen(receiver: socket.socket, host: str, port: int) -> Iterator[str]:
    """What came through and should not have, or did not come."""
    # Last, what must come: all that came before it has come by then.
    mark = secrets.token_bytes(16)
    last = plain_packet()[:-16] + mark
    with socket.socket(receiver.family, socket.SOCK_DGRAM) as sender:
        receiver.settimeout(_PATIENCE)
        for each in REFUSED:
            sender.sendto(each.packet, (host, port))
        sender.sendto(last, (host, port))
        try:
            while not (came := receiver.recv(_LONGEST)).endswith(mark):
                # A guard that only hashes sources would let it through with another one.
                names = [e.name for e in REFUSED if _alike(e.packet, came)]
                yield f"{names[0] if names else 'a packet of somebody else'} came through"
        except TimeoutError:
            yield "a plain packet did not come through"


def _alike(sent: bytes, came: bytes) -> bool:
    """Whether they are the same but for their source."""
    return (sent[:8], sent[12:]) == (came[:8], came[12:])

"""
Raw SIP: datagrams as they are written, and whatever comes back.
"""

import select
import socket
import time
from collections.abc import Sequence

__all__ = ["exchange"]


def exchange(
    messages: Sequence[bytes],
    *,
    source: str = "127.0.0.1",
    to: tuple[str, int] = ("127.0.0.1", 5060),
    wait: float = 0.5,
) -> list[bytes]:
    """
    Send each message as one datagram from one socket, and collect what comes back.

    Args:
        messages: Whole messages; ``{port}`` in them becomes the port they are sent from.
        source: Address to send from; any of 127.0.0.0/8.
        to: Where to send.
        wait: Seconds without an answer after which nothing more is expected.

    Returns:
        Every datagram that came, retransmissions included.
    """
    came: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind((source, 0))
        port = str(phone.getsockname()[1]).encode()
        for message in messages:
            phone.sendto(message.replace(b"{port}", port), to)
        deadline = time.monotonic() + 10 * wait
        while select.select([phone], [], [], wait)[0] and time.monotonic() < deadline:
            came.append(phone.recv(65_535))
    return came

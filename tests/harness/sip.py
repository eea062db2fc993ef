"""
Raw SIP: datagrams as they are written, and whatever comes back.
"""

import re
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from agi_router.leaktest.messages import Message

__all__ = ["Answer", "exchange", "torture_messages"]

_FINAL = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """
    A response, and to which message it belongs.
    """

    call_id: str
    status: int


def exchange(
    messages: Sequence[bytes],
    *,
    source: str = "127.0.0.1",
    port: int = 0,
    to: tuple[str, int] = ("127.0.0.1", 5060),
    wait: float = 0.5,
    finals: int = 0,
) -> list[Answer]:
    """
    Send each message as one datagram from one socket, and collect what comes back.

    Refusals of an INVITE are acknowledged, so that Asterisk is done with them.

    Args:
        messages: Whole messages; ``{port}`` in them becomes the port they are sent from.
        source: Address to send from; any of 127.0.0.0/8.
        port: Port to send from; any free one if 0.
        to: Where to send.
        wait: Seconds without an answer after which nothing more is expected.
        finals: Number of calls that must get a final answer; at most ten seconds are waited.

    Returns:
        The responses, each status of each call once.
    """
    came: dict[Answer, None] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind((source, port))
        bound = str(phone.getsockname()[1]).encode()
        for message in messages:
            phone.sendto(message.replace(b"{port}", bound), to)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if not select.select([phone], [], [], wait)[0]:
                done = {answer.call_id for answer in came if answer.status >= _FINAL}
                if len(done) >= finals:
                    break
                continue
            raw = phone.recv(65_535)
            response = Message.parse(raw, at=datetime.now(UTC), sent=False)
            if response.status is None:
                continue
            came[Answer(response.call_id, response.status)] = None
            if response.status > _FINAL and response.method == "INVITE":
                phone.sendto(_acknowledgement(response), to)
    return list(came)


def _acknowledgement(response: Message) -> bytes:
    cseq = (response.header("cseq") or "").partition(" ")[0]
    lines = [
        "ACK sip:nobody@127.0.0.1 SIP/2.0",
        *(f"{name}: {response.header(name) or ''}" for name in ("Via", "From", "To", "Call-ID")),
        f"CSeq: {cseq} ACK",
        "Max-Forwards: 70",
        "Content-Length: 0",
    ]
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("utf-8", "surrogateescape")


def torture_messages(text: bytes) -> dict[str, bytes]:
    """
    Read messages written in the notation of RFC 4475, section 2.1.

    Args:
        text: Each begins with a line ``== SECTION NAME``.

    Returns:
        The messages by name, with CR LF.
    """
    _, *blocks = re.split(rb"(?m)^== \S+ (\S+)\n", text)
    return {
        name.decode(): _message(block)
        for name, block in zip(blocks[::2], blocks[1::2], strict=True)
    }


def _message(block: bytes) -> bytes:
    joined = re.sub(
        rb"<allOneLine>\n(.*?)\n</allOneLine>",
        lambda found: found[1].replace(b"\n", b""),
        block.rstrip(b"\n"),
        flags=re.DOTALL,
    )
    lines = joined.split(b"\n")
    # Where there is no body, the empty line that ends the headers is not printed.
    end = b"\r\n" if b"" in lines else b"\r\n\r\n"
    # Bytes are put in last: some are line ends to nobody but us.
    return re.sub(
        rb"<(hex|repeat)(?: count=(\d+))?>(.*?)</\1>",
        lambda found: found[3] * int(found[2]) if found[2] else bytes.fromhex(found[3].decode()),
        b"\r\n".join(lines) + end,
    )

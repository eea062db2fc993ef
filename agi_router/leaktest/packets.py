"""
Packets by which a phone tells who it is beside its sound: by RTP, RTCP, and what is neither.

Source:
    RFC 3550, 5.1 (header of RTP), 6.4 to 6.7 (RTCP); RFC 8285 (header extensions); RFC 4733
    (telephone events); RFC 3389 (comfort noise); RFC 4103 (T.140); RFC 2198 (RED); RFC 3611 (XR);
    RFC 4585 (feedback); RFC 8489 (STUN); RFC 8656 (TURN); RFC 6347 (DTLS); RFC 6189 (ZRTP);
    ITU-T T.38 (UDPTL).
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from agi_router.leaktest.vectors import Party, Sound

__all__ = ["SOUND_TYPES", "Packet", "Port", "packed_source", "packets_of", "sound_of"]

_SSRC = 0x5EC12E75
# A-law, 20 ms of it.
_A_LAW, _SAMPLES = 8, 160
_EVENT = 101
SOUND_TYPES = frozenset({0, _A_LAW})
"""
Payload types that the phones negotiate for sound.
"""
# Without those of sound: comfort noise, G.729, what is reserved, H.263, what RTCP looks like, and
# the first, some and the last of those that are agreed on by a session description.
_FOREIGN_TYPES = (13, 18, 19, 34, 72, 73, 76, 96, 98, 99, _EVENT, 110, 120, 127)
_SENDER_REPORT, _RECEIVER_REPORT, _DESCRIPTION, _GOODBYE, _APPLICATION = 200, 201, 202, 203, 204
_TRANSPORT_FEEDBACK, _PAYLOAD_FEEDBACK, _EXTENDED_REPORT = 205, 206, 207
# CNAME, NAME, EMAIL, PHONE, LOC, TOOL, NOTE: all items of SDES that are text.
_SDES = range(1, 8)


class Port(enum.Enum):
    """To which of the two ports of a phone's sound."""

    RTP = "RTP"
    RTCP = "RTCP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """
    One packet.

    Attributes:
        port: Where it goes.
        data: All of it. Where it belongs to the stream of sound, whoever sends it writes its
            number and its time into the bytes 2 to 7.
        in_stream: Whether it does.
    """

    port: Port
    data: bytes
    in_stream: bool


def packed_source(number: str) -> bytes:
    """
    The last eight digits of *number*, two in a byte: a source (SSRC, CSRC) that names its phone.
    """
    return bytes.fromhex(number[-8:])


def sound_of(kinds: tuple[Sound, ...], party: Party) -> Packet:
    """
    A packet of silence in which nothing is told, but by its source where *kinds* say so.
    """
    source = packed_source(party.number) if Sound.SOURCE in kinds else struct.pack("!I", _SSRC)
    return _rtp(source=source)


def packets_of(kinds: tuple[Sound, ...], party: Party) -> list[Packet]:
    """
    What *party* sends beside its sound.

    Args:
        kinds: By what it tells who it is.
        party: Who tells it.
    """
    source = sound_of(kinds, party).data[8:12]
    return [
        replace(each, data=each.data[:8] + source + each.data[12:]) if each.in_stream else each
        for kind in kinds
        for each in _MAKERS[kind](party)
    ]


def _telling(party: Party) -> bytes:
    return f"{party.name} {party.number}".encode()


def _rtp(
    *,
    source: bytes = b"\0\0\0\0",
    contributors: bytes = b"",
    extension: bytes = b"",
    payload: bytes = b"\xd5" * _SAMPLES,
    payload_type: int = _A_LAW,
    padding: bytes = b"",
) -> Packet:
    """A packet of the stream; its parts as they are on the wire."""
    first = 0x80 | len(contributors) // 4
    first |= 0x10 if extension else 0
    first |= 0x20 if padding else 0
    header = struct.pack("!BB6x", first, payload_type) + source
    data = header + contributors + extension + payload + padding
    return Packet(port=Port.RTP, data=data, in_stream=True)


def _extension(profile: int, content: bytes) -> bytes:
    content += bytes(-len(content) % 4)
    return struct.pack("!HH", profile, len(content) // 4) + content


def _words(party: Party, count: int) -> bytes:
    """So many sources: the number packed, then what is told, as far as it goes."""
    text = packed_source(party.number) + _telling(party)
    return text.ljust(4 * count, b" ")[: 4 * count]


def _extensions(party: Party) -> Iterator[Packet]:
    text = _telling(party)
    short = text[:16]
    element = bytes([0x10 | len(short) - 1]) + short
    rest = text[16:]
    for profile, content in (
        (0x1000, bytes([1, len(text)]) + text),
        (0xBEDE, element + (bytes([0x20 | len(rest) - 1]) + rest if rest else b"")),
        # 15 is kept: nobody reads on from there.
        (0xBEDE, bytes([0xF0 | len(short) - 1]) + text),
        (0x505A, text),
        (0x7700, text.ljust(200, b".")),
        (0x0001, bytes.fromhex(party.number + "0" * (len(party.number) % 2)) + text),
    ):
        yield _rtp(extension=_extension(profile, content))


def _contributors(party: Party) -> Iterator[Packet]:
    for count in (1, 3, 15):
        yield _rtp(contributors=_words(party, count))
    yield _rtp(
        contributors=_words(party, 15),
        extension=_extension(0x1000, _telling(party)),
        padding=_padding(_telling(party)),
    )


def _padding(text: bytes) -> bytes:
    return text + bytes([len(text) + 1])


def _paddings(party: Party) -> Iterator[Packet]:
    text = _telling(party)
    yield _rtp(padding=_padding(text))
    yield _rtp(padding=_padding(text.rjust(200)))
    yield _rtp(payload=b"", padding=_padding(text))


def _events(party: Party) -> Iterator[Packet]:
    """Digit 1, and the number digit by digit; behind each what is told."""
    text = _telling(party)
    yield _rtp(payload_type=_EVENT, payload=struct.pack("!BBH", 1, 0x0A, 160) + text)
    yield _rtp(payload_type=_EVENT, payload=struct.pack("!BBH", 1, 0x8A, 320) + text)
    yield _rtp(payload_type=_EVENT, payload=text)


def _foreign_types(party: Party) -> Iterator[Packet]:
    text = _telling(party)
    for payload_type in _FOREIGN_TYPES:
        yield _rtp(payload_type=payload_type, payload=text)
    # A redundant block in front of the sound.
    block = struct.pack("!BHB", 0x80 | 98, (160 << 2) | (len(text) >> 8), len(text) & 0xFF)
    yield _rtp(payload_type=99, payload=block + bytes([_A_LAW]) + text)


def _rtcp(*parts: tuple[int, int, bytes]) -> Packet:
    """A compound packet of parts: a count, a type, and what follows the length."""
    data = b"".join(
        struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body
        for count, kind, body in ((c, k, b + bytes(-len(b) % 4)) for c, k, b in parts)
    )
    return Packet(port=Port.RTCP, data=data, in_stream=False)


_OWN = struct.pack("!I", _SSRC)
_EMPTY_REPORT = (0, _RECEIVER_REPORT, _OWN)


def _texts_of_rtcp(party: Party) -> Iterator[Packet]:
    text = _telling(party)
    items = b"".join(struct.pack("!BB", item, len(text)) + text for item in _SDES)
    # A chunk ends with a null.
    description = (1, _DESCRIPTION, _OWN + items + b"\0")
    own = (0, _APPLICATION, _OWN + b"NAME" + text + bytes(-len(text) % 4))
    yield _rtcp(_EMPTY_REPORT, description, own)


def _rest_of_rtcp(party: Party) -> Iterator[Packet]:
    text = _telling(party)
    padded = text + bytes(-len(text) % 4)
    reason = bytes([len(text)]) + text
    block = struct.pack("!II4xI8x", int.from_bytes(packed_source(party.number), "big"), 0, 1)
    report = (1, _SENDER_REPORT, _OWN + struct.pack("!QII I", 1, 1, 1, 160) + block + padded)
    for part in (
        (0, _EXTENDED_REPORT, _OWN + struct.pack("!BBH", 250, 0, len(padded) // 4) + padded),
        (1, _TRANSPORT_FEEDBACK, _OWN + _OWN + padded),
        # REMB is a kind of it, and a full intra request another.
        (15, _PAYLOAD_FEEDBACK, _OWN + _OWN + b"REMB" + padded),
        (4, _PAYLOAD_FEEDBACK, _OWN + _OWN + padded),
        (1, _GOODBYE, _OWN + reason),
    ):
        yield _rtcp(_EMPTY_REPORT, part)
        # Reduced in size (RFC 5506).
        yield _rtcp(part)
    yield _rtcp(report)
    (texts,) = _texts_of_rtcp(party)
    # By the port of the other.
    yield replace(texts, port=Port.RTP)
    yield replace(
        _rtp(extension=_extension(0x1000, text), payload=text), port=Port.RTCP, in_stream=False
    )


def _other_protocols(party: Party) -> Iterator[Packet]:
    text = _telling(party)
    padded = text + bytes(-len(text) % 4)
    attributes = b"".join(
        struct.pack("!HH", kind, len(text)) + padded for kind in (0x0006, 0x8022)
    )
    stun = (
        struct.pack("!HHI12s", 0x0001, len(attributes), 0x2112A442, b"agi_router!!") + attributes
    )
    channel = struct.pack("!HH", 0x4000, len(text)) + padded
    hello = struct.pack("!BHHHIB", 22, 0xFEFD, 0, 0, 1, len(text)) + text
    zrtp = b"\x10\0\0\1ZRTP" + _OWN + b"\x50\x5a" + struct.pack("!H", 3) + b"Hello   " + text
    udptl = struct.pack("!HB", 1, len(text)) + text + b"\0\0"
    versions = [bytes([version << 6, _A_LAW]) + bytes(10) + text for version in (0, 1, 3)]
    for data in (stun, channel, hello, zrtp, udptl, *versions, text, text[:1]):
        for port in Port:
            yield Packet(port=port, data=data, in_stream=False)


_MAKERS: Mapping[Sound, Callable[[Party], Iterator[Packet]]] = {
    Sound.SOURCE: lambda _: iter(()),
    Sound.EXTENSION: _extensions,
    Sound.CONTRIBUTORS: _contributors,
    Sound.PADDING: _paddings,
    Sound.EVENT: _events,
    Sound.PAYLOAD: _foreign_types,
    Sound.RTCP_TEXT: _texts_of_rtcp,
    Sound.RTCP_REST: _rest_of_rtcp,
    Sound.PROTOCOL: _other_protocols,
}

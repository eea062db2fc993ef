"""
The media guard: which packets the kernel lets through to the ports of Asterisk's sound.

Asterisk's native bridge (``bridge_native_rtp.so``) hands a packet on as it came, and costs a third
less than the one that makes it anew. Behind the guard only plain packets come: sound, and events
without a tail. So nothing else can cross, whichever bridge joins a call.

Source:
    RFC 3550, 5.1 (RTP) and 6.4 (RTCP); RFC 4733, 2.3 (events); nft(8).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Self

__all__ = ["MODULE", "REFUSED", "TABLE", "MediaPorts", "Refusal", "make_ruleset", "plain_packet"]

MODULE: Final = "bridge_native_rtp.so"
"""
The module of the bridge that is for guarded sound only.
"""

TABLE: Final = "agi_router_media"
"""
The table of nftables, in the family ``inet``.
"""

_LOWEST, _HIGHEST = 1024, 65535
# A header of UDP, and one of RTP.
_UDP, _RTP = 8, 12
# 40 ms at 8,000 samples a second, a byte each.
_MOST_SOUND = 320
_EVENT, _NOISE = 4, 1
_SOUND_TYPES = (0, 8)
_COMFORT_NOISE = 13
_HIGHEST_TYPE = 127
# The time stamp of the self-test's packets: they are refused as all others, and counted apart.
_TRIED = 0x5E1F7E57
_RTCP_TYPES = "192-223"


@dataclass(frozen=True, slots=True)
class MediaPorts:
    """
    The ports of Asterisk's sound, as ``rtp.conf`` has them: RTP at the even ones, RTCP behind it.

    Attributes:
        first: ``rtpstart``.
        last: ``rtpend``.
    """

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read ``FIRST-LAST``.

        Raises:
            ValueError: It is no range of ports that a call fits in.
        """
        match = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", text.strip())
        ports = cls(int(match[1]), int(match[2])) if match else None
        if ports is None or not _LOWEST <= ports.first < ports.last - 2 <= _HIGHEST - 2:
            raise ValueError(
                "the ports of sound are FIRST-LAST as rtpstart and rtpend of rtp.conf, such as"
                f" 10000-20000: from {_LOWEST} to {_HIGHEST}, four at least"
            )
        return ports

    @classmethod
    def told(cls, settings: str) -> Self | None:
        """
        What ``rtp show settings`` of Asterisk's console says; nothing where it does not.
        """
        found = re.findall(r"^\s*Port (?:start|end):\s+([0-9]{1,5})\s*$", settings, re.MULTILINE)
        return cls(int(found[0]), int(found[1])) if len(found) == 2 else None  # noqa: PLR2004

    def even(self) -> range:
        """
        Those of RTP.
        """
        return range(self.first + self.first % 2, self.last, 2)

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """
    A packet that must not come through.

    Attributes:
        name: What is wrong with it.
        packet: It.
    """

    name: str
    packet: bytes


def make_ruleset(
    ports: MediaPorts,
    *,
    seed: int,
    events: Iterable[int] = (101,),
    noise: bool = False,
    counts_only: bool = False,
) -> str:
    """
    The rules, for ``nft -f``; given again they replace what was there.

    Args:
        ports: The ports of Asterisk's sound.
        seed: Of 32 bits, what the hash of sources begins with; nobody else knows it.
        events: The payload types by which the trunks agree on events.
        noise: Whether comfort noise may come, one byte of it.
        counts_only: Whether what would be refused is counted, and let through all the same.

    Raises:
        ValueError: A payload type is none of those that are agreed on (96 to 127).
    """
    event_types = sorted(set(events))
    if not all(96 <= each <= _HIGHEST_TYPE for each in event_types):  # noqa: PLR2004
        raise ValueError(f"payload types of events are 96 to {_HIGHEST_TYPE}")
    types = [*_SOUND_TYPES, *([_COMFORT_NOISE] if noise else []), *event_types]
    verdict = "return" if counts_only else "drop"
    kind = "@th,72,8 & 0x7f"
    # By IPv6 they come here before they are put together, and the rest would be read of none.
    fragments = "exthdr frag exists jump fragment"
    rules = [
        fragments,
        f"udp length < {_UDP + _RTP + 1} jump too_short",
        "@th,64,8 != 0x80 jump odd_header",
        f"{kind} != {_set(types)} jump payload_type",
    ]
    if event_types:
        rules.append(
            f"{kind} {_set(event_types)} udp length != {_UDP + _RTP + _EVENT} jump event_tail"
        )
    if noise:
        rules.append(
            f"{kind} {_COMFORT_NOISE} udp length != {_UDP + _RTP + _NOISE} jump noise_tail"
        )
    rules.append(f"udp length > {_UDP + _RTP + _MOST_SOUND} jump too_long")
    if not counts_only:
        # nftables mends no checksum after a change by place; by IPv4 it may be left out, by IPv6
        # it may not (RFC 8200, 8.1).
        rules.append(
            "meta nfproto ipv4 @th,128,32 set jhash ip saddr . udp sport . udp dport . @th,128,32"
            f" mod 4294967295 seed {seed:#010x} udp checksum set 0"
        )
    counters = [
        *("fragment", "too_short", "odd_header", "payload_type", "event_tail", "too_long"),
        "odd_control",
        *(["noise_tail"] if noise else []),
    ]
    return "\n".join(
        (
            f"table inet {TABLE} {{ }}",
            f"delete table inet {TABLE}",
            f"table inet {TABLE} {{",
            *(f"    counter {each} {{ }}" for each in (*counters, "self_test")),
            *(line for each in counters for line in _refusing(each, verdict)),
            "    chain input {",
            "        type filter hook input priority filter; policy accept;",
            f"        udp dport {ports} udp dport & 1 == 0 jump rtp",
            f"        udp dport {ports} udp dport & 1 == 1 jump rtcp",
            "    }",
            "    chain rtp {",
            *(f"        {rule}" for rule in rules),
            "    }",
            "    chain rtcp {",
            f"        {fragments}",
            "        @th,64,2 != 2 jump odd_control",
            f"        @th,72,8 != {{ {_RTCP_TYPES} }} jump odd_control",
            "    }",
            "}",
            "",
        )
    )


def _refusing(counter: str, verdict: str) -> Iterator[str]:
    """A chain that refuses and counts, the self-test's packets apart: they come by themselves."""
    yield f"    chain {counter} {{"
    yield f'        iif "lo" @th,96,32 {_TRIED:#010x} counter name self_test {verdict}'
    yield f"        counter name {counter} {verdict}"
    yield "    }"


def _set(types: Iterable[int]) -> str:
    return f"{{ {', '.join(map(str, types))} }}"


def plain_packet(source: int = 0x5EC12E75) -> bytes:
    """
    A packet of silence, A-law, 20 ms.

    Args:
        source: Its SSRC.
    """
    return _packet(source=source)


def _packet(
    *,
    first: int = 0x80,
    payload_type: int = 8,
    source: int = 0,
    beside: bytes = b"",
    payload: bytes = b"\xd5" * 160,
) -> bytes:
    return struct.pack("!BBHII", first, payload_type, 1, _TRIED, source) + beside + payload


REFUSED: Final = (
    Refusal(
        name="a header extension", packet=_packet(first=0x90, beside=b"\xbe\xde\0\1\x10x\0\0")
    ),
    Refusal(name="a contributing source", packet=_packet(first=0x81, beside=b"\0\0\0\1")),
    Refusal(name="padding", packet=_packet(first=0xA0, payload=b"\xd5" * 156 + b"\0\0\0\4")),
    Refusal(name="version 0", packet=_packet(first=0)),
    Refusal(name="a payload type of nobody's", packet=_packet(payload_type=34)),
    Refusal(name="an event with a tail", packet=_packet(payload_type=101, payload=bytes(14))),
    Refusal(name="1,000 bytes of sound", packet=_packet(payload=b"\xd5" * 1000)),
    Refusal(name="20,000 bytes of sound", packet=_packet(payload=b"\xd5" * 20_000)),
    Refusal(name="nothing but a header", packet=_packet(payload=b"")),
)
"""
What the self-test sends to a port of RTP, and must not get.
"""

"""
The phone: what one phone writes into its messages, planting or not.

Source:
    RFC 3261 (SIP), RFC 8866 (SDP), RFC 2046 (multipart).
"""

from __future__ import annotations

from collections.abc import Iterable

from agi_router.leaktest.call_setup import CallSetup
from agi_router.leaktest.vectors import End, Party, fill, plantings

__all__ = ["PhoneMessages", "message"]


class PhoneMessages:
    """
    One phone: how it writes its messages, planting or not.
    """

    def __init__(self, setup: CallSetup, side: End, *, party: Party | None = None) -> None:
        self.vector = setup.vector
        self.plants_here = side in setup.vector.by
        self.party = party or setup.party(side)
        self.address = setup.address(side)
        self.host = self.address.rpartition(":")[0]
        near = side is End.CALLER
        self._media = setup.near_media if near else setup.far_media
        self._second = setup.near_second if near else setup.far_second
        self._plants = plantings(
            self.party, other=setup.other.number, decoy=setup.decoy, trunk=setup.far
        )

    def planted(self, text: str) -> str:
        """*text* filled in, or nothing on a side that does not plant."""
        return fill(text, self._plants) if self.plants_here else ""

    def filled(self, text: str) -> str:
        """*text* filled in, on either side."""
        return fill(text, self._plants)

    @property
    def identity(self) -> str:
        """From, without its tag."""
        return self.planted(self.vector.sender) or f"<sip:{self.party.number}@{self.host}>"

    def contact(self, text: str = "") -> str:
        """Contact, by *text* or that of the call."""
        planted = self.planted(text or self.vector.contact)
        # Where the PBX sends what belongs to the dialog must stay this phone.
        planted = planted.replace("carrier.example", self.address)
        return planted or f"<sip:{self.party.number}@{self.address}>"

    def headers(self, lines: Iterable[str] = ()) -> list[str]:
        """The vector's header lines and *lines*."""
        return [self.planted(line) for line in (*self.vector.headers, *lines) if self.plants_here]

    def sdp(self, direction: str = "sendrecv", *, moves: bool = False) -> str:
        """A session description, its lines in the order of RFC 8866."""
        port = self._second if moves else self._media
        session = ["o=- 1 1 IN IP4 " + self.host, "s=-", f"c=IN IP4 {self.host}"]
        planted = [self.planted(line) for line in self.vector.session if self.plants_here]
        kinds = {line[0] for line in planted}
        session = [line for line in session if line[0] not in kinds] + planted
        session.sort(key=lambda line: "osiuepca".index(line[0]))
        attributes = [line for line in session if line.startswith("a=")]
        media = [self.planted(line) for line in self.vector.media if self.plants_here]
        beside = [codec.partition(" ")[0] for codec in self.vector.codecs]
        return "\n".join(
            (
                "v=0",
                *(line for line in session if line not in attributes),
                "t=0 0",
                *attributes,
                f"m=audio {port} RTP/AVP {' '.join(['8', '0', *beside])}",
                *(line for line in media if line.startswith("i=")),
                "a=rtpmap:8 PCMA/8000",
                "a=rtpmap:0 PCMU/8000",
                *(f"a=rtpmap:{codec}" for codec in self.vector.codecs),
                f"a={direction}",
                *(line for line in media if line.startswith("a=")),
            )
        )

    def offer(self, direction: str = "sendrecv", *, moves: bool = False) -> tuple[list[str], str]:
        """Header lines and body for a session description, with the vector's second part."""
        if self.vector.parts is None or not self.plants_here:
            return ["Content-Type: application/sdp"], self.sdp(direction, moves=moves)
        kind, text = self.vector.parts
        body = "\n".join(
            (
                "--part",
                "Content-Type: application/sdp",
                "",
                self.sdp(direction, moves=moves),
                "--part",
                f"Content-Type: {kind}",
                f"Content-Description: {self.planted('{name}')}",
                "",
                self.planted(text),
                "--part--",
            )
        )
        return ["Content-Type: multipart/mixed;boundary=part"], body


def message(start: str, headers: Iterable[str], body: str = "") -> str:
    """Join a message; SIPp puts in the length, and CR before each LF."""
    return "\n".join((start, *headers, "Content-Length: [len]", "", body))

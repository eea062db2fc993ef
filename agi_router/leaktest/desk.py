"""
The desk: what one phone writes into its messages, planting or not.

Source:
    RFC 3261 (SIP), RFC 8866 (SDP), RFC 2046 (multipart).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agi_router.leaktest.vectors import End, Party, Vector, fill, plantings

__all__ = ["Desk", "Scene", "message"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """
    Who is in a call, and where.

    Attributes:
        vector: What is planted.
        caller: Who calls.
        callee: Who is called.
        other: A third party, whom nobody may reach.
        dialled: The 700 number that the caller dials.
        near: Host and port of the caller's side, as the PBX sees it.
        far: Host and port of the callee's side, as the PBX sees it.
        pbx: Host and port of the PBX.
        decoy: Host and port at which nobody may arrive.
        early_media: Whether the callee sends 183 with a session description, or just 180.
        call_id: Call-ID of the caller's leg.
        tag: A word of the scenario's own, for tags and branches.
        near_media: Port of the caller's sound.
        far_media: Port of the callee's sound.
    """

    vector: Vector
    caller: Party
    callee: Party
    other: Party
    dialled: str
    near: str
    far: str
    pbx: str
    decoy: str
    early_media: bool
    call_id: str
    tag: str
    near_media: int = 9
    far_media: int = 9

    def party(self, side: End) -> Party:
        """Who is on a side."""
        return self.caller if side is End.CALLER else self.callee

    def address(self, side: End) -> str:
        """Host and port of a side."""
        return self.near if side is End.CALLER else self.far


class Desk:
    """
    One phone: how it writes its messages, planting or not.
    """

    def __init__(self, scene: Scene, side: End, *, party: Party | None = None) -> None:
        self.vector = scene.vector
        self.plants_here = side in scene.vector.by
        self.party = party or scene.party(side)
        self.address = scene.address(side)
        self.host = self.address.rpartition(":")[0]
        self._media = scene.near_media if side is End.CALLER else scene.far_media
        self._plants = plantings(
            self.party, other=scene.other.number, decoy=scene.decoy, trunk=scene.far
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

    def sdp(self, direction: str = "sendrecv") -> str:
        """A session description, its lines in the order of RFC 8866."""
        session = ["o=- 1 1 IN IP4 " + self.host, "s=-", f"c=IN IP4 {self.host}"]
        planted = [self.planted(line) for line in self.vector.session if self.plants_here]
        kinds = {line[0] for line in planted}
        session = [line for line in session if line[0] not in kinds] + planted
        session.sort(key=lambda line: "osiuepca".index(line[0]))
        attributes = [line for line in session if line.startswith("a=")]
        media = [self.planted(line) for line in self.vector.media if self.plants_here]
        return "\n".join(
            (
                "v=0",
                *(line for line in session if line not in attributes),
                "t=0 0",
                *attributes,
                f"m=audio {self._media} RTP/AVP 8 0",
                *(line for line in media if line.startswith("i=")),
                "a=rtpmap:8 PCMA/8000",
                "a=rtpmap:0 PCMU/8000",
                f"a={direction}",
                *(line for line in media if line.startswith("a=")),
            )
        )

    def offer(self, direction: str = "sendrecv") -> tuple[list[str], str]:
        """Header lines and body for a session description, with the vector's second part."""
        if self.vector.parts is None or not self.plants_here:
            return ["Content-Type: application/sdp"], self.sdp(direction)
        kind, text = self.vector.parts
        body = "\n".join(
            (
                "--part",
                "Content-Type: application/sdp",
                "",
                self.sdp(direction),
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

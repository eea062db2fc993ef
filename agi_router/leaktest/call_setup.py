"""
The setup of one call of the suite: what is planted, who is in it, and where they stand.
"""

from __future__ import annotations

from dataclasses import dataclass

from agi_router.leaktest.vectors import End, Party, Vector

__all__ = ["CallSetup"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSetup:
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
        near_second: The same, when it has moved.
        far_second: The same, when it has moved.
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
    near_second: int = 9
    far_second: int = 9

    def party(self, side: End) -> Party:
        """Who is on a side."""
        return self.caller if side is End.CALLER else self.callee

    def address(self, side: End) -> str:
        """Host and port of a side."""
        return self.near if side is End.CALLER else self.far

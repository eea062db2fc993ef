"""
What the dialplan tells of a caller, made as ``[agi-router-caller]`` makes it.
"""

from base64 import b64encode
from collections.abc import Sequence

from agi_router.calls.identity import Signalled

__all__ = ["from_header", "told"]


def from_header(user: str) -> Signalled:
    """A caller of whom there is From alone, with this user part."""
    return Signalled(sender=f"<sip:{user}@192.0.2.1>;tag=1")


def told(
    *, asserted: Sequence[str] = (), privacy: Sequence[str] = (), sender: str | None = None
) -> str:
    """The argument for an INVITE with these lines."""
    first, second = (*asserted, "", "")[:2]
    lines = (first, second, (*privacy, "")[0], "" if asserted else sender or "")
    told = [_line(text, most) for text, most in zip(lines, (900, 900, 100, 2000), strict=True)]
    return ".".join([f"{len(asserted)}", f"{len(privacy)}", *told, "end"])


def _line(text: str, most: int) -> str:
    raw = text.encode("utf-8", "surrogateescape")
    return f"{len(raw)}-{b64encode(raw[:most]).decode('ascii')}"

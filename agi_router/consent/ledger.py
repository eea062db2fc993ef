"""
The consent ledger: what a person has agreed to, line by line.

Rules for the editor:

1. A line is never changed: a withdrawal is a line of its own.
2. A line is about one order, or about all orders of a tenant. Of those that are about an order,
   general ones included, the last one speaks: ``agi_router.agrees`` (``sql/``).
3. The paper is never kept: a digest of it, and which text was agreed to.

Source:
    Domain notes, 0.5.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from agi_router.cursors import Cursor
from agi_router.numbers import PhoneNumber
from agi_router.texts import check_name

__all__ = [
    "NOT_TAKEN",
    "Act",
    "ConsentLine",
    "How",
    "Purpose",
    "Statement",
    "Taken",
    "check_evidence",
    "check_version",
    "find_taken",
]

_LONGEST_VERSION = 64
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Act(StrEnum):
    """
    What a line says.
    """

    GIVEN = "given"
    WITHDRAWN = "withdrawn"


class How(StrEnum):
    """
    How consent was given.
    """

    APP = "app"
    PAPER = "paper"
    SPOKEN = "spoken"


class Purpose(StrEnum):
    """
    What a person agrees to.
    """

    BINDING = "binding"
    """To be reached through 700 numbers."""
    RECORDING = "recording"
    """To have calls recorded. Kept for the tenant; no rule asks for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentLine:
    """
    A line of the ledger.
    """

    id: int
    person: PhoneNumber | None = field(repr=False)
    """:obj:`None`: that cannot be read."""
    tenant: str
    act: Act
    purpose: Purpose
    order: str | None
    """:obj:`None`: all orders of the tenant."""
    how: How | None
    """Of what was given."""
    at: datetime
    """When it was said."""
    evidence: str | None
    """SHA-256 or SM3 of the evidence, in hexadecimal."""
    version: str | None
    """Which text was agreed to."""
    binding: str | None
    """The binding with which it was stated."""
    cut: bool = False
    """Whether calls that were up are cut by what was withdrawn."""
    void: bool = False
    """Whether it counts no longer: the number has had a new owner since it was said."""
    added_at: datetime
    added_by: str | None
    """Who has written it; :obj:`None` where that is not told."""
    damage: str | None = None
    """Why its person cannot be read."""

    @property
    def cursor(self) -> Cursor:
        """
        Where a page of a list ends that this is the last of.
        """
        return Cursor(self.added_at, str(self.id))


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """
    What is written of a person: see :class:`ConsentLine`.
    """

    act: Act
    purpose: Purpose = Purpose.BINDING
    order: str | None = None
    how: How | None = None
    at: datetime | None = None
    """:obj:`None`: now."""
    evidence: str | None = None
    version: str | None = None
    binding: str | None = None
    cut: bool = False
    """Whether calls that are up are cut by what is withdrawn."""


class Taken(StrEnum):
    """
    What becomes of a line that was written down elsewhere, and is brought in.
    """

    ADDED = "added"
    KNOWN = "known"
    """The ledger has it."""
    WITHDRAWN_SINCE = "withdrawn_since"
    """It would speak again for somebody who has withdrawn after it."""
    REISSUED_SINCE = "reissued_since"
    """The number has had a new owner since: it would never count."""


NOT_TAKEN: Final[Mapping[Taken, str]] = {
    Taken.WITHDRAWN_SINCE: "the person has withdrawn since: nothing is brought back",
    Taken.REISSUED_SINCE: "the number has had a new owner since: ask the new one",
}
"""Why a line is not written that is brought in."""


def find_taken(
    lines: Iterable[ConsentLine], said: Statement, *, owned_since: datetime | None = None
) -> Taken:
    """
    What becomes of what a person has agreed to before.

    Args:
        lines: Those of the person for the tenant.
        said: What it has agreed to, and when.
        owned_since: Since when the number is its owner's of today, as far as that is known.
    """
    taken = Taken.ADDED
    if owned_since is not None and said.at is not None and said.at < owned_since:
        taken = Taken.REISSUED_SINCE
    for line in lines:
        if line.purpose is not said.purpose:
            continue
        if (line.act, line.order, line.how, line.at, line.evidence, line.version) == (
            *(said.act, said.order, said.how, said.at, said.evidence, said.version),
        ):
            return Taken.KNOWN
        about = line.order is None or said.order is None or line.order == said.order
        if line.act is Act.WITHDRAWN and about and said.at is not None and line.at >= said.at:
            taken = Taken.WITHDRAWN_SINCE
    return taken


def check_version(text: str) -> str:
    """
    Return *text*, stripped, if it may name a version of the text that is agreed to.

    Raises:
        ValueError: If it may not.
    """
    return check_name(text, what="a text's version", longest=_LONGEST_VERSION)


def check_evidence(text: str) -> str:
    """
    Return *text* in small letters, if it is a digest of 32 bytes in hexadecimal.

    Raises:
        ValueError: It is none.
    """
    if not _DIGEST.fullmatch(text.lower()):
        raise ValueError("evidence is a SHA-256 or SM3 in hexadecimal: 64 digits")
    return text.lower()

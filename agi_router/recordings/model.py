"""
A recording, and what may become of one.
"""

import re
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from agi_router.calls.end import call_day
from agi_router.cursors import Cursor
from agi_router.errors import ProtocolError
from agi_router.keys.segments import FileCipher
from agi_router.numbers import XNumber

__all__ = ["Gap", "Kept", "Note", "Recording", "RecordingState", "is_name", "parse_note"]

_NAME: Final = re.compile("[a-f]{8,120}")
_VERSION: Final = "1"


class RecordingState(StrEnum):
    """
    What there is of a call that was to be recorded.
    """

    READY = "ready"
    """All of it."""
    PARTIAL = "partial"
    """A part of it: see the gap."""
    MISSING = "missing"
    """Nothing: see the gap."""
    DELETED = "deleted"
    """Nothing any more: its key was destroyed."""


class Gap(StrEnum):
    """
    Why something of a recording is not there.
    """

    NO_NOTICE = "no_notice"
    """There was no file by which the parties could have been told."""
    CUT_OFF = "cut_off"
    """Asterisk ended while they talked."""
    NO_ROOM = "no_room"
    """The directory in memory was full."""
    LOST = "lost"
    """Nobody knows: nothing of it ever came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """
    What the dialplan notes of a call as its recording begins.
    """

    call_id: str
    day: date
    """The day of the call's row."""
    x_number: XNumber
    begun_at_ms: int
    """Milliseconds since 1970."""
    told: bool
    """Whether both were told, so that it is recorded."""


def parse_note(text: str) -> Note:
    """
    Read the line of ``[agi-router-recorded]``.

    That is ``1|call id|dialled|begun|recorded or no_notice|end``.

    Raises:
        ProtocolError: It is cut, or a field is not of its form.
    """
    match text.strip().split("|"):
        case [version, call_id, dialled, begun, told, "end"] if version == _VERSION:
            try:
                return Note(
                    call_id=call_id,
                    day=call_day(call_id),
                    x_number=XNumber.parse(dialled),
                    begun_at_ms=int(begun),
                    told={"recorded": True, Gap.NO_NOTICE.value: False}[told],
                )
            except (ValueError, KeyError, OverflowError, OSError):
                # The chain would show what stands there.
                raise ProtocolError("a field of a recording's note is not of its form") from None
        case fields:
            raise ProtocolError(f"not a note of a recording: {len(fields)} fields")


def is_name(text: str) -> bool:
    """
    Whether this is the name of a recording: letters, never a digit.
    """
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """
    What the process that keeps recordings has to tell of one.
    """

    name: str
    note: Note
    state: RecordingState
    gap: Gap | None
    length_ms: int = 0
    """Milliseconds of sound."""
    octets: int = 0
    """Of the sealed file."""
    sha256: bytes | None = None
    """Of the sealed file."""
    cipher: FileCipher | None = None
    sealed_key: bytes | None = field(default=None, repr=False)
    """The key of the file, sealed for it; :obj:`None`: there is no file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """
    A recording on record.
    """

    call_id: str
    tenant: str | None
    """:obj:`None`: of nobody in particular."""
    binding: str | None
    x_number: XNumber
    name: str | None
    """Of its file; :obj:`None`: there never was one."""
    state: RecordingState
    gap: Gap | None
    begun_at: datetime
    """When the parties were joined; of one of which nothing is known, when the call came."""
    length_ms: int
    octets: int
    sha256: bytes | None
    cipher: FileCipher | None
    sealed_key: bytes | None = field(repr=False)
    key_id: int | None
    """The seal key that its own key is sealed under."""

    @property
    def cursor(self) -> Cursor:
        """
        Where a page of a list ends that this is the last of.
        """
        return Cursor(self.begun_at, self.call_id)

"""
What is said of recordings.
"""

from typing import Any

from pydantic import Field

from agi_router.keys.segments import FileCipher
from agi_router.recordings.model import Gap, RecordingState
from agi_router.schemas.base import TIME, Body, Out, example
from agi_router.schemas.traces import CaseIn

__all__ = ["FilesOut", "RecordingDeleteIn", "RecordingOut", "RecordingsOut"]

_RECORDING: dict[str, Any] = {
    "call": "pbx1-1790000000.7",
    "tenant": "couriers",
    "binding": "70012345678-1",
    "x": "700123456780001",
    "state": "ready",
    "gap": None,
    "begun_at": TIME,
    "length_ms": 61000,
    "octets": 976090,
    "sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    "cipher": "aes-256-gcm",
    "key_id": 1,
}


class RecordingOut(Out):
    """
    What is on record of the recording of a call.
    """

    call: str
    tenant: str | None
    binding: str | None
    x: str = Field(description="The 700 number that was dialled.")
    state: RecordingState
    gap: Gap | None = Field(description="Why something is not there.")
    begun_at: str = Field(description="When the two were joined.")
    length_ms: int = Field(description="Milliseconds of sound.")
    octets: int = Field(description="Of the sealed file.")
    sha256: str | None = Field(description="Of the sealed file.")
    cipher: FileCipher | None
    key_id: int | None = Field(description="The seal key that its own key is sealed under.")

    model_config = example(_RECORDING)


class RecordingDeleteIn(Body):
    """
    Why a recording is deleted.
    """

    case: CaseIn
    early: bool = Field(default=False, description="Though six months are not over.")

    model_config = example({"case": {"id": "P-2026-17", "reason": "court order"}, "early": True})


class RecordingsOut(Out):
    """
    A page of recordings.
    """

    recordings: list[RecordingOut]
    next_cursor: str | None

    model_config = example({"recordings": [_RECORDING], "next_cursor": None})


class FilesOut(Out):
    """
    A folder of the bucket, compared with the records.
    """

    folder: str = Field(description="The first two letters of the names of its files.")
    files: int = Field(description="How many files lie in it.")
    missing: list[str] = Field(description="Files that are on record there, and are not.")
    strange: list[str] = Field(description="Files that no record has, and that are an hour old.")
    next_folder: str | None = Field(description="Which is next; null: it was the last.")

    model_config = example(
        {"folder": "aa", "files": 140, "missing": [], "strange": [], "next_folder": "ab"}
    )

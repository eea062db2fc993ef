"""
The prompts of the test PBX: a moment of each, where a test is not about what is heard.

A refusal is spoken before it is told, for three to seven seconds.
"""

import os
import shutil
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

__all__ = ["forget", "restore", "restored", "shorten"]

_SECONDS = 0.4
# Less of it would be no notice, and nothing would be recorded.
_LONGER = {"recording.wav": 0.6, "antifraud_recording.wav": 0.6}
_FOLDERS = ("zh/agi-router", "en/agi-router")


def forget(database: psycopg.Connection[Any], name: str) -> None:
    """Let no binding name a set that is gone: the doctor would look for it."""
    database.execute("UPDATE agi_router.binding SET prompts = NULL WHERE prompts = %s", (name,))


def shorten(root: Path) -> None:
    """Leave of each prompt of the PBX below *root* its first moment."""
    for file in _prompts(root):
        seconds = _LONGER.get(file.name, _SECONDS)
        with wave.open(str(file), "rb") as spoken:
            frames = spoken.readframes(round(seconds * spoken.getframerate()))
            shape = spoken.getparams()
        short = file.with_suffix(".short")
        with wave.open(str(short), "wb") as kept:
            kept.setparams(shape)
            kept.writeframes(frames)
        # A call may be listening.
        short.replace(file)


def restore(root: Path) -> None:
    """Have them whole again, as they are shipped."""
    for file in _prompts(root):
        folder, name = file.parent.relative_to(_sounds(root)), file.name
        whole = file.with_suffix(".whole")
        shutil.copyfile(Path(os.environ["PBX_PROMPTS"]) / folder / name, whole)
        whole.replace(file)


@contextmanager
def restored(root: Path) -> Iterator[None]:
    """Have them whole for the time of a block."""
    restore(root)
    try:
        yield
    finally:
        shorten(root)


def _prompts(root: Path) -> list[Path]:
    return [file for each in _FOLDERS for file in sorted((_sounds(root) / each).glob("*.wav"))]


def _sounds(root: Path) -> Path:
    return root / "usr/share/asterisk/sounds"

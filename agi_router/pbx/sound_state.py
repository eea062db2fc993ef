"""
Which bridge new calls are joined by, and what the media guard has refused.

The watch, which looks, tells the routers by a file that it writes whole each time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from agi_router.clocks import steady
from agi_router.files import UnfitFile, open_foreign
from agi_router.pbx.bridge_switch import NATIVE, UNKNOWN

__all__ = ["SoundState", "count_refused", "read_state", "write_state"]

# The watch tells some hundred bytes.
_LARGEST: Final = 64 * 1024
# What the self-test was refused says nothing of carriers.
_TRIED: Final = "self_test"


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundState:
    """
    What a watch has seen last.

    Attributes:
        bridge: The bridge that new calls are joined by: ``native``, ``simple`` or ``unknown``.
        why: Why it is not the native one.
        refused: Packets that the guard has refused, or counted, by counter; empty if unknown.
    """

    bridge: str
    why: str = ""
    refused: Mapping[str, int]

    @property
    def notes(self) -> list[str]:
        """
        What is to be said of it, a line each; nothing where all is as wanted.
        """
        if self.bridge == NATIVE:
            return []
        if self.bridge == UNKNOWN:
            return [f"sound: nobody knows which bridge joins calls: {self.why}"]
        return [f"sound: calls are joined by the {self.bridge} bridge: {self.why}"]

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """
        Read what :meth:`to_json` made.

        Raises:
            KeyError: Something is missing.
            ValueError: A count is none.
        """
        refused = {str(name): int(count) for name, count in dict(told["refused"]).items()}
        why = " ".join(str(told["why"]).split())
        return cls(bridge=str(told["bridge"]), why=why, refused=refused)

    def to_json(self) -> dict[str, Any]:
        """
        It as a document.
        """
        return {"bridge": self.bridge, "why": self.why, "refused": dict(self.refused)}


def count_refused(counters: str) -> dict[str, int]:
    """
    Packets by counter, of what ``nft -j list counters`` prints, without those of self-tests.

    Raises:
        ValueError: It is nothing of the kind.
    """
    try:
        found = [each["counter"] for each in json.loads(counters)["nftables"] if "counter" in each]
        return {each["name"]: int(each["packets"]) for each in found if each["name"] != _TRIED}
    except (KeyError, TypeError) as error:
        raise ValueError("these are no counters of nftables") from error


def write_state(file: Path, state: SoundState, *, lasts: float) -> None:
    """
    Put a state where routers read it. It holds no secret, and every account may read it.

    Args:
        file: Where; its directory is the watch's own.
        state: It.
        lasts: Seconds after which nobody is to believe it.

    Raises:
        OSError: It cannot be written.
    """
    told = {**state.to_json(), "until": steady() + lasts}
    new = file.with_suffix(".new")
    with suppress(FileNotFoundError):
        new.unlink()
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "w", encoding="utf-8") as text:
        # Whatever the umask of the watch is.
        os.fchmod(descriptor, 0o644)
        json.dump(told, text)
    new.replace(file)


def read_state(file: Path) -> SoundState | None:
    """
    The state in a file; nothing where there is none, none that can be read, or an old one.
    """
    try:
        with os.fdopen(_opened(file), "rb") as text:
            told = json.loads(text.read(_LARGEST))
        if told["until"] < steady():
            return None
        return SoundState.from_json(told)
    except (OSError, UnfitFile, LookupError, ArithmeticError, ValueError, TypeError):
        return None
    except RecursionError:
        # So deep is nothing that the watch writes.
        return None


def _opened(file: Path) -> int:
    """Open it; it is another account's, and no pipe is waited for."""
    directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return open_foreign(file.name, directory, writer=None)
    finally:
        os.close(directory)

"""What can go wrong with the test PBX, in words that say what to do."""

from pathlib import Path


class PbxError(Exception):
    """One line for the person at the keyboard."""


def last_line(log: Path) -> str:
    """The last line of a log, and where to find the rest."""
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return f"{lines[-1] if lines else 'it said nothing'} (see {log})"

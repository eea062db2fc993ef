"""
Recordings as they are shown, to people and to programs.
"""

from typing import Any

from agi_router.recordings.model import Recording

__all__ = ["describe_recording"]


def describe_recording(recording: Recording) -> dict[str, Any]:
    """
    A recording, without what was said and without its key.
    """
    return {
        "call": recording.call_id,
        "tenant": recording.tenant,
        "binding": recording.binding,
        "x": str(recording.x_number),
        "state": recording.state.value,
        "gap": recording.gap,
        "begun_at": recording.begun_at,
        "length_ms": recording.length_ms,
        "octets": recording.octets,
        "sha256": None if recording.sha256 is None else recording.sha256.hex(),
        "cipher": recording.cipher,
        "key_id": recording.key_id,
    }

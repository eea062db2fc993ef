"""
Two tracks of A-law as one WAV file in stereo: the caller on the left, the callee on the right.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Final

__all__ = ["HEADER", "RATE", "interleaved", "wav_header"]

RATE: Final = 8000
"""Samples of a track in a second, an octet each."""

HEADER: Final = 58
"""Octets before the sound."""

_SILENCE: Final = 0xD5
_CHUNK: Final = 1 << 16
_A_LAW: Final = 6


def wav_header(samples: int) -> bytes:
    """
    The beginning of a file of so many samples a track.
    """
    sound = 2 * samples
    form = struct.pack("<HHIIHHH", _A_LAW, 2, RATE, 2 * RATE, 2, 8, 0)
    return (
        b"RIFF"
        + struct.pack("<I", HEADER - 8 + sound)
        + b"WAVEfmt "
        + struct.pack("<I", len(form))
        + form
        + b"fact"
        + struct.pack("<II", 4, samples)
        + b"data"
        + struct.pack("<I", sound)
    )


def interleaved(
    left: Callable[[int], bytes], right: Callable[[int], bytes], samples: int
) -> Iterator[bytes]:
    """
    The sound of both tracks, some at a time; a track that is shorter ends in silence.

    Args:
        left: Reads so many octets of the first track, fewer at its end alone.
        right: The same of the second one.
        samples: Of the longer track.
    """
    while samples > 0:
        count = min(samples, _CHUNK)
        both = bytearray(2 * count)
        both[0::2] = left(count).ljust(count, bytes([_SILENCE]))
        both[1::2] = right(count).ljust(count, bytes([_SILENCE]))
        yield bytes(both)
        samples -= count

"""
Segments: how a file of any length is sealed, a piece at a time, under a key of its own.

Each segment has :data:`SEGMENT` octets of clear text, the last one fewer or as many, and is
sealed by itself with a tag of 16 octets. The nonce of a segment is its place, 11 octets, and an
octet that is 1 for the last one alone: so none can be left out, moved or cut off unseen. A key
seals one file.
"""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["SEGMENT", "FileCipher", "SegmentSealer", "clear_length", "open_segments"]

SEGMENT: Final = 2**20
"""Octets of clear text in a segment."""

_TAG: Final = 16


class FileCipher(StrEnum):
    """
    What seals contents: AES-256-GCM, or SM4-GCM (GB/T 32907) under a key of 128 bits.
    """

    AES_256_GCM = "aes-256-gcm"
    SM4_GCM = "sm4-gcm"

    @property
    def key_length(self) -> int:
        """
        Octets of a key.
        """
        return 32 if self is FileCipher.AES_256_GCM else 16

    def seal(self, key: bytes, nonce: bytes, clear: bytes, beside: bytes) -> bytes:
        """
        Seal something under a nonce that the key sees once.
        """
        if self is FileCipher.AES_256_GCM:
            return AESGCM(key).encrypt(nonce, clear, beside)
        sealing = Cipher(algorithms.SM4(key), modes.GCM(nonce)).encryptor()
        sealing.authenticate_additional_data(beside)
        return sealing.update(clear) + sealing.finalize() + sealing.tag

    def open(self, key: bytes, nonce: bytes, sealed: bytes, beside: bytes) -> bytes:
        """
        Open what was sealed so.

        Raises:
            InvalidTag: It was not.
        """
        if self is FileCipher.AES_256_GCM:
            return AESGCM(key).decrypt(nonce, sealed, beside)
        tag = sealed[-_TAG:]
        if len(tag) < _TAG:
            raise InvalidTag
        opening = Cipher(algorithms.SM4(key), modes.GCM(nonce, tag)).decryptor()
        opening.authenticate_additional_data(beside)
        return opening.update(sealed[:-_TAG]) + opening.finalize()


class SegmentSealer:
    """
    Seals what is written to it, in memory no more than a segment.

    Args:
        write: Takes what is sealed.
        cipher: By what.
        key: Under which; it seals nothing else.
        beside: What is authenticated with each segment.
    """

    def __init__(
        self, write: Callable[[bytes], object], cipher: FileCipher, key: bytes, beside: bytes
    ) -> None:
        self._write = write
        self._cipher = cipher
        self._key = key
        self._beside = beside
        self._rest = bytearray()
        self._place = 0

    def write(self, clear: bytes) -> None:
        """
        Seal some more.
        """
        self._rest += clear
        # What may be the last segment waits for the end.
        while len(self._rest) > SEGMENT:
            self._seal(bytes(self._rest[:SEGMENT]), last=False)
            del self._rest[:SEGMENT]

    def close(self) -> None:
        """
        Seal the last segment.
        """
        self._seal(bytes(self._rest), last=True)

    def _seal(self, clear: bytes, *, last: bool) -> None:
        nonce = _nonce(self._place, last=last)
        self._write(self._cipher.seal(self._key, nonce, clear, self._beside))
        self._place += 1


def open_segments(
    read: Callable[[int], bytes], cipher: FileCipher, key: bytes, beside: bytes
) -> Iterator[bytes]:
    """
    What was sealed, segment by segment, each checked.

    Args:
        read: Reads so many octets, fewer at the end alone.
        cipher: By what it was sealed.
        key: Under which.
        beside: What was authenticated with it.

    Raises:
        ValueError: It is not as it was sealed.
    """
    place = 0
    sealed = read(SEGMENT + _TAG)
    while True:
        following = read(SEGMENT + _TAG)
        nonce = _nonce(place, last=not following)
        try:
            yield cipher.open(key, nonce, sealed, beside)
        except (InvalidTag, ValueError):
            raise ValueError("is not as it was sealed") from None
        if not following:
            return
        sealed, place = following, place + 1


def clear_length(sealed: int) -> int:
    """
    Octets of clear text in so many that were sealed, tags and all.
    """
    return sealed - _TAG * max(1, -(-sealed // (SEGMENT + _TAG)))


def _nonce(place: int, *, last: bool) -> bytes:
    return place.to_bytes(11) + bytes([last])

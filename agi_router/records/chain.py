"""
The audit's chain: each row's digest holds that of the row before it, and signed heads hold all.

Rules for the editor:

1. A digest is over what a row says and over its place. Who changes, removes, inserts or moves one
   has to make all digests behind it anew, and then no head fits that was signed before.
2. A column without a value is left out, so a column that is added later changes no digest of
   before.
3. A head is text of one line, so that it can be printed, sent and kept anywhere.
4. The signing key is Ed25519 (RFC 8032), not SM2, which the cryptography library lacks.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

__all__ = ["BEGIN", "Algorithm", "Head", "SigningKey", "VerifyingKey", "digest_row"]

BEGIN: Final = bytes(32)
"""What stands for the digest before the first row."""

_ROW: Final = b"agi_router audit row 1\n"
_HEAD: Final = "agi_router audit head 1"


class Algorithm(StrEnum):
    """
    What makes a digest: SHA-256 (FIPS 180-4) or SM3 (GB/T 32905).
    """

    SHA256 = "sha256"
    SM3 = "sm3"


def digest_row(before: bytes, position: int, row: Mapping[str, Any], by: Algorithm) -> bytes:
    """
    The digest of a row at its place: 32 bytes.

    Args:
        before: The digest at the place before; :data:`BEGIN` at the first.
        position: The place, from 1.
        row: What the row says, by column; ``at`` is a time with offset.
        by: What makes the digest.
    """
    said = {
        name: value.astimezone(UTC).isoformat(timespec="microseconds")
        if isinstance(value, datetime)
        else value
        for name, value in row.items()
        if value is not None
    }
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    content = _ROW + before + position.to_bytes(8) + text.encode("ascii")
    return hashlib.new(by.value, content).digest()


@dataclass(frozen=True, slots=True)
class Head:
    """
    What somebody has signed: up to here the audit was so.

    Attributes:
        position: Place of the last row in it; 0: the audit was empty.
        digest: The digest there.
        signed_at: When, by the database's clock.
        key: Id of the key that signed.
        signature: By that key, over the rest.
    """

    position: int
    digest: bytes
    signed_at: datetime
    key: str
    signature: bytes

    def to_line(self) -> str:
        """
        The head as one line of JSON, without its end.
        """
        return json.dumps(self.describe())

    def describe(self) -> dict[str, Any]:
        """
        The head as JSON has it.
        """
        return {
            "position": self.position,
            "digest": self.digest.hex(),
            "signed_at": self.signed_at.astimezone(UTC).isoformat(timespec="microseconds"),
            "key": self.key,
            "signature": base64.b64encode(self.signature).decode("ascii"),
        }

    @classmethod
    def parse(cls, line: str) -> Self:
        """
        Read such a line; whether its signature is right is not looked at.

        Raises:
            ValueError: It is none.
        """
        return cls.read(json.loads(line))

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Self:
        """
        Read what :meth:`describe` says.

        Raises:
            ValueError: It is no head.
        """
        try:
            head = cls(
                position=int(said["position"]),
                digest=bytes.fromhex(said["digest"]),
                signed_at=datetime.fromisoformat(said["signed_at"]),
                key=str(said["key"]),
                signature=base64.b64decode(said["signature"], validate=True),
            )
        except (KeyError, TypeError) as error:
            raise ValueError("it lacks what a head has") from error
        if head.signed_at.tzinfo is None:
            raise ValueError("its time is without an offset")
        return head


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """
    What tells whether a head was signed by its partner.

    Args:
        key: The public key.
    """

    key: Ed25519PublicKey

    @property
    def id(self) -> str:
        """
        The first 16 hexadecimal digits of the key's SHA-256.
        """
        raw = self.key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return hashlib.sha256(raw).hexdigest()[:16]

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """
        Read one from PEM.

        Raises:
            ValueError: It is no public key of Ed25519.
        """
        try:
            key = load_pem_public_key(content)
        except (ValueError, UnsupportedAlgorithm):
            raise ValueError("is no public key in PEM") from None
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("is no key of Ed25519")  # noqa: TRY004 - what the file holds
        return cls(key)

    def to_pem(self) -> str:
        """
        The key as PEM.
        """
        return self.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def has_signed(self, head: Head) -> bool:
        """
        Whether a head is signed by this key's partner.
        """
        try:
            self.key.verify(
                head.signature, _signed_text(head.position, head.digest, head.signed_at)
            )
        except InvalidSignature:
            return False
        return head.key == self.id

    def has_signed_text(self, title: str, text: bytes, signature: bytes) -> bool:
        """
        Whether something else is signed by this key's partner, see :meth:`SigningKey.sign_text`.
        """
        try:
            self.key.verify(signature, _titled(title, text))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """
    What signs heads.

    Args:
        key: The private key.
    """

    key: Ed25519PrivateKey

    @classmethod
    def generate(cls) -> Self:
        """
        A new one.
        """
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """
        Read one from PEM.

        Raises:
            ValueError: It is no private key of Ed25519.
        """
        try:
            key = load_pem_private_key(content, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ValueError("is no private key in PEM without a password") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("is no key of Ed25519")  # noqa: TRY004 - what the file holds
        return cls(key)

    def to_pem(self) -> str:
        """
        The key as PEM, in clear.
        """
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def partner(self) -> VerifyingKey:
        """
        What tells whether this one has signed.
        """
        return VerifyingKey(self.key.public_key())

    def sign(self, position: int, digest: bytes, signed_at: datetime) -> Head:
        """
        Sign what the audit is up to a place.

        Args:
            position: Place of the last row; 0 where there is none.
            digest: The digest there; :data:`BEGIN` where there is none.
            signed_at: When, with offset.
        """
        signature = self.key.sign(_signed_text(position, digest, signed_at))
        return Head(position, digest, signed_at, self.partner.id, signature)

    def sign_text(self, title: str, text: bytes) -> bytes:
        """
        Sign something else than a head.

        Args:
            title: What it is; no head's.
            text: What it says.
        """
        return self.key.sign(_titled(title, text))


def _titled(title: str, text: bytes) -> bytes:
    return title.encode("ascii") + b"\n" + text


def _signed_text(position: int, digest: bytes, signed_at: datetime) -> bytes:
    at = signed_at.astimezone(UTC).isoformat(timespec="microseconds")
    return f"{_HEAD}\n{position}\n{digest.hex()}\n{at}\n".encode("ascii")

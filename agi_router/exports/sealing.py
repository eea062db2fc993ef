"""
Files that one recipient can open: the contents under a key of the file's own, which is wrapped.

A file is a line of JSON, its header, and then segments (:mod:`agi_router.keys.segments`). What is
authenticated beside each is the SHA-256 of the header with its line end.

The file's key is wrapped for a key of X25519 by an ephemeral one, HKDF-SHA256 (RFC 5869) over what
both have in common, with both public keys as salt, and AES-256-GCM under what comes of it; for an
RSA key by OAEP with SHA-256 (RFC 8017).
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from agi_router.keys.segments import FileCipher, SegmentSealer, open_segments

__all__ = ["Recipient", "RecipientKey", "Sealer", "open_sealed"]

_SMALLEST_RSA: Final = 2048
_LONGEST_HEADER: Final = 8192
_INFO: Final = b"agi_router export 1"
_OAEP: Final = OAEP(mgf=MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
_X25519: Final = "x25519-hkdf-sha256"
_RSA: Final = "rsa-oaep-sha256"


@dataclass(frozen=True, slots=True)
class Recipient:
    """
    For whom files are sealed.

    Args:
        key: The public key.
    """

    key: X25519PublicKey | RSAPublicKey

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """
        Read one from PEM.

        Raises:
            ValueError: It is no public key of X25519, nor one of RSA with 2048 bits or more.
        """
        try:
            key = load_pem_public_key(content)
        except (ValueError, UnsupportedAlgorithm):
            raise ValueError("is no public key in PEM") from None
        if isinstance(key, X25519PublicKey) or (
            isinstance(key, RSAPublicKey) and key.key_size >= _SMALLEST_RSA
        ):
            return cls(key)
        raise ValueError("is neither a key of X25519, nor one of RSA with 2048 bits or more")

    @property
    def id(self) -> str:
        """
        The first 16 hexadecimal digits of the SHA-256 of its SubjectPublicKeyInfo.
        """
        whole = self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(whole).hexdigest()[:16]

    def wrap(self, file_key: bytes) -> dict[str, str]:
        """
        What of a header lets the recipient find the key of a file.
        """
        if isinstance(self.key, RSAPublicKey):
            return {"wrap": _RSA, "key": _text(self.key.encrypt(file_key, _OAEP))}
        ephemeral = X25519PrivateKey.generate()
        wrapping = _common(ephemeral, self.key, ephemeral.public_key(), self.key)
        # That key seals nothing else.
        wrapped = AESGCM(wrapping).encrypt(bytes(12), file_key, _INFO)
        own = ephemeral.public_key().public_bytes_raw()
        return {"wrap": _X25519, "ephemeral": _text(own), "key": _text(wrapped)}


@dataclass(frozen=True, slots=True)
class RecipientKey:
    """
    What opens files.

    Args:
        key: The private key.
    """

    key: X25519PrivateKey | RSAPrivateKey

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """
        Read one from PEM.

        Raises:
            ValueError: It is no private key of X25519 or RSA.
        """
        try:
            key = load_pem_private_key(content, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ValueError("is no private key in PEM without a password") from None
        if not isinstance(key, X25519PrivateKey | RSAPrivateKey):
            raise ValueError("is no key of X25519 or RSA")  # noqa: TRY004 - what the file holds
        return cls(key)

    @property
    def partner(self) -> Recipient:
        """
        For whom files are that it opens.
        """
        return Recipient(self.key.public_key())

    def unwrap(self, header: dict[str, Any]) -> bytes:
        """
        The key of a file.

        Raises:
            ValueError: It is not for this recipient.
        """
        try:
            wrapped = base64.b64decode(header["key"], validate=True)
            if isinstance(self.key, RSAPrivateKey):
                return self.key.decrypt(wrapped, _OAEP)
            theirs = X25519PublicKey.from_public_bytes(base64.b64decode(header["ephemeral"]))
            wrapping = _common(self.key, theirs, theirs, self.key.public_key())
            return AESGCM(wrapping).decrypt(bytes(12), wrapped, _INFO)
        except (InvalidTag, KeyError, TypeError, ValueError):
            raise ValueError("is not sealed for this key") from None


class Sealer(SegmentSealer):
    """
    Seals what is written to it for a recipient, in memory no more than a segment.

    Args:
        write: Takes what is sealed.
        recipient: For whom.
        cipher: By what.
    """

    def __init__(
        self, write: Callable[[bytes], object], recipient: Recipient, cipher: FileCipher
    ) -> None:
        key = secrets.token_bytes(cipher.key_length)
        header = {
            "sealed": 1,
            "cipher": cipher.value,
            "recipient": recipient.id,
            **recipient.wrap(key),
        }
        line = json.dumps(header).encode("ascii") + b"\n"
        super().__init__(write, cipher, key, hashlib.sha256(line).digest())
        write(line)


def open_sealed(read: Callable[[int], bytes], key: RecipientKey) -> Iterator[bytes]:
    """
    What a sealed file says, segment by segment, each checked.

    Args:
        read: Reads so many octets of the file, fewer at its end alone.
        key: The recipient's.

    Raises:
        ValueError: It is not for this key, or is not as it was sealed.
    """
    head = b""
    while not head.endswith(b"\n"):
        octet = read(1)
        if not octet or len(head) > _LONGEST_HEADER:
            raise ValueError("is no sealed file")
        head += octet
    try:
        header = json.loads(head)
        cipher = FileCipher(header["cipher"])
    except (KeyError, TypeError, ValueError):
        raise ValueError("is no sealed file") from None
    file_key = key.unwrap(header)
    yield from open_segments(read, cipher, file_key, hashlib.sha256(head).digest())


def _common(
    own: X25519PrivateKey,
    theirs: X25519PublicKey,
    ephemeral: X25519PublicKey,
    recipient: X25519PublicKey,
) -> bytes:
    salt = ephemeral.public_bytes_raw() + recipient.public_bytes_raw()
    return HKDF(hashes.SHA256(), 32, salt, _INFO).derive(own.exchange(theirs))


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")

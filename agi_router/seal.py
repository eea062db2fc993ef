"""
Sealing: a real number becomes a tag to look up by, or a ciphertext that only its row can open.

1. No real number leaves here for the store but as a tag or sealed.
2. The **tag** of a caller is a keyed hash over the 700 number *and* the caller, so one person on
   two 700 numbers does not link. Tag 0 means "anyone" in the route table and is never returned.
   An order is recognised by a tag over its id and all its parties, in the same way.
3. A **sealed** number is bound to its row: 700 number and tag are authenticated with it, so a
   ciphertext that is moved to another row does not open.
4. Keys carry an id of 1 to 255. The last one listed of each kind is current and is used to
   write; all are used to read. Rotating is: add a line, rewrite the rows, take the old line out.
5. Nonces are random and 96 bits long: change the seal key before it has sealed 2**32 numbers
   (NIST SP 800-38D, section 8.3).
6. This file does no I/O; see :mod:`agi_router.keyfile`.

Format of a key ring, where ``;`` may stand for the end of a line and ``#`` begins a comment that
runs to the end of the line::

    tag  1 <base64 of 32 bytes>
    seal 1 <base64 of 32 bytes>

Format of sealed numbers (several are joined by ``+``): version (1 byte, 1), key id (1 byte), nonce
(12 bytes), ciphertext and its 16 bytes of authentication (AES-256-GCM).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agi_router.errors import KeyRingError, NumberError, SealError
from agi_router.numbers import E164, XNumber

__all__ = ["KeyKind", "KeyRing"]

KeyKind = Literal["tag", "seal"]
"""
What a key is for: finding a caller, or sealing a callee.
"""

_VERSION = 1
_HEADER = 2
_KEY = 32
_LARGEST_ID = 255
_NONCE = 12
_SEPARATOR = "+"
_LINE = re.compile(r"(tag|seal)\s+([0-9]{1,3})\s+(\S+)")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class KeyRing:
    """
    The keys of one installation. Its ``repr`` shows their ids only.

    Attributes:
        tag_keys: Ids and keys for tags, 32 bytes each, the current one last.
        seal_keys: Ids and keys for sealing, 32 bytes each, the current one last.

    Raises:
        KeyRingError: A kind has no key, an id is not 1 to 255 or comes twice, or a key is not
            32 bytes.
    """

    tag_keys: tuple[tuple[int, bytes], ...]
    seal_keys: tuple[tuple[int, bytes], ...]
    # Prepared once: tag and open are on the path of every call.
    _ciphers: dict[int, AESGCM] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        for kind, keys in (("tag", self.tag_keys), ("seal", self.seal_keys)):
            if not keys:
                raise KeyRingError(f"the key ring has no {kind} key")
            seen: set[int] = set()
            for keyid, key in keys:
                if not 1 <= keyid <= _LARGEST_ID:
                    raise KeyRingError("a key id is 1 to 255")
                if keyid in seen:
                    raise KeyRingError(f"{kind} key {keyid} is listed twice")
                if len(key) != _KEY:
                    raise KeyRingError(f"{kind} key {keyid} is not 32 bytes in base64")
                seen.add(keyid)
        ciphers = {keyid: AESGCM(key) for keyid, key in self.seal_keys}
        object.__setattr__(self, "_ciphers", ciphers)

    @classmethod
    def generate(cls) -> Self:
        """
        Make a ring of new random keys, one of each kind, with id 1.
        """
        return cls(
            tag_keys=((1, secrets.token_bytes(_KEY)),),
            seal_keys=((1, secrets.token_bytes(_KEY)),),
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read a key ring.

        Args:
            text: See the format in the module docstring.

        Raises:
            KeyRingError: Says which line is malformed, and shows nothing of it.
        """
        keys: dict[str, list[tuple[int, bytes]]] = {"tag": [], "seal": []}
        for number, line in enumerate(text.split("\n"), start=1):
            for entry in line.partition("#")[0].split(";"):
                if not entry.strip():
                    continue
                match = _LINE.fullmatch(entry.strip())
                if match is None:
                    raise KeyRingError(
                        f"key ring, line {number}: expected 'tag' or 'seal', a key id of 1 to"
                        " 255, and 32 bytes in base64"
                    )
                try:
                    key = base64.b64decode(match[3], validate=True)
                except (binascii.Error, ValueError):
                    # The chain would show a part of the key.
                    raise KeyRingError(f"key ring, line {number}: the key is not base64") from None
                keys[match[1]].append((int(match[2]), key))
        return cls(tag_keys=tuple(keys["tag"]), seal_keys=tuple(keys["seal"]))

    def to_text(self) -> str:
        """
        Write the ring in the format that :meth:`parse` reads. Secret.
        """
        return "".join(
            f"{kind} {keyid} {base64.b64encode(key).decode('ascii')}\n"
            for kind, keys in (("tag", self.tag_keys), ("seal", self.seal_keys))
            for keyid, key in keys
        )

    def tag(self, x: XNumber, caller: E164) -> int:
        """
        Return the tag of *caller* on *x* under the current key.

        Returns:
            A signed 64-bit integer, never 0.
        """
        return _tag(self.tag_keys[-1][1], x, caller)

    def tags(self, x: XNumber, caller: E164) -> list[int]:
        """
        Return the tags of *caller* on *x* under every tag key, the current one first.
        """
        return [_tag(key, x, caller) for _, key in reversed(self.tag_keys)]

    def pair_tag(self, parties: Collection[E164]) -> int:
        """
        Return the tag of these *parties* together, in any order, under the current tag key.

        Returns:
            A signed 64-bit integer.
        """
        together = ":".join(sorted(party.digits for party in parties))
        mac = hmac.digest(self.tag_keys[-1][1], f"pair:{together}".encode("ascii"), "sha256")
        return int.from_bytes(mac[:8], "big", signed=True)

    def extension_tag(self, x: XNumber, extension: str) -> int:
        """
        Return the tag of whoever types *extension* on *x*, under the current key.

        Returns:
            A signed 64-bit integer, never 0.
        """
        return _hash(self.tag_keys[-1][1], x, f"#{extension}")

    def extension_tags(self, x: XNumber, extension: str) -> list[int]:
        """
        Return the tags of *extension* on *x* under every tag key, the current one first.
        """
        return [_hash(key, x, f"#{extension}") for _, key in reversed(self.tag_keys)]

    def order_tags(self, *names: str, numbers: Sequence[E164]) -> list[int]:
        """
        Return the tags of an order with its parties under every tag key, the current one first.

        Args:
            names: What belongs to it beside the parties, none with a NUL.
            numbers: The parties, in an order that the caller keeps to.

        Returns:
            Signed 64-bit integers, never 0.
        """
        return [_order_tag(key, names, numbers) for _, key in reversed(self.tag_keys)]

    def seal(self, numbers: Sequence[E164], *, x: XNumber, tag: int) -> bytes:
        """
        Seal *numbers*, one or more, for the row of *x* and *tag*, under the current key.
        """
        keyid = self.seal_keys[-1][0]
        nonce = secrets.token_bytes(_NONCE)
        plain = _SEPARATOR.join(number.digits for number in numbers).encode("ascii")
        sealed = self._ciphers[keyid].encrypt(nonce, plain, _row(x, tag))
        return bytes((_VERSION, keyid)) + nonce + sealed

    def open(self, sealed: bytes, *, x: XNumber, tag: int) -> tuple[E164, ...]:
        """
        Open numbers that were sealed for the row of *x* and *tag*.

        Raises:
            SealError: Wrong key, wrong row or altered data.
        """
        if len(sealed) <= _HEADER + _NONCE or sealed[0] != _VERSION:
            raise SealError
        cipher = self._ciphers.get(sealed[1])
        if cipher is None:
            raise SealError(f"a number is sealed with key {sealed[1]}, which is not at hand")
        nonce, body = sealed[_HEADER : _HEADER + _NONCE], sealed[_HEADER + _NONCE :]
        try:
            plain = cipher.decrypt(nonce, body, _row(x, tag)).decode("ascii")
            return tuple(E164(digits=digits) for digits in plain.split(_SEPARATOR))
        except (InvalidTag, NumberError, UnicodeDecodeError):
            # The chain could carry what was decrypted.
            raise SealError from None

    def fingerprint(self, kind: KeyKind, keyid: int) -> bytes:
        """
        Return 8 bytes by which the store recognises a key without knowing it.

        Raises:
            KeyRingError: The ring has no such key.
        """
        try:
            return self.fingerprints()[kind, keyid]
        except KeyError:
            raise KeyRingError(f"the key ring has no {kind} key {keyid}") from None

    def fingerprints(self) -> dict[tuple[KeyKind, int], bytes]:
        """
        Return the fingerprint of every key.
        """
        rings: tuple[tuple[KeyKind, tuple[tuple[int, bytes], ...]], ...] = (
            ("tag", self.tag_keys),
            ("seal", self.seal_keys),
        )
        return {
            (kind, keyid): hmac.digest(key, b"agi_router fingerprint", "sha256")[:8]
            for kind, keys in rings
            for keyid, key in keys
        }

    @property
    def tag_key_id(self) -> int:
        """
        Id of the tag key in use for writing.
        """
        return self.tag_keys[-1][0]

    @property
    def seal_key_id(self) -> int:
        """
        Id of the seal key in use for writing.
        """
        return self.seal_keys[-1][0]

    def __repr__(self) -> str:
        tags, seals = ([keyid for keyid, _ in keys] for keys in (self.tag_keys, self.seal_keys))
        return f"<KeyRing tag={tags} seal={seals}>"


def _tag(key: bytes, x: XNumber, caller: E164) -> int:
    return _hash(key, x, caller.digits)


def _hash(key: bytes, x: XNumber, who: str) -> int:
    mac = hmac.digest(key, f"{x.digits}:{who}".encode("ascii"), "sha256")
    # 0 is the row for anyone.
    return int.from_bytes(mac[:8], "big", signed=True) or 1


def _order_tag(key: bytes, names: Sequence[str], numbers: Sequence[E164]) -> int:
    # No tag of a caller begins so: there, a digit comes first.
    message = "\0".join(("order", *names, *(number.digits for number in numbers)))
    # A command line may hold what is no character; the store refuses it in its own words.
    mac = hmac.digest(key, message.encode("utf-8", "surrogatepass"), "sha256")
    return int.from_bytes(mac[:8], "big", signed=True) or 1


def _row(x: XNumber, tag: int) -> bytes:
    return f"route.callee|{x.digits}|{tag}".encode("ascii")

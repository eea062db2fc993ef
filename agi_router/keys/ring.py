"""
Sealing: a real number becomes a tag to look up by, or a ciphertext that only its row can open.

1. No real number leaves here for the store but as a tag or sealed.
2. The **tag** of a person is a keyed hash of the number alone: by it the database finds all rows
   that concern one person, without knowing who that is. An extension has a tag in the same way.
   Tag 0 means "anyone" in the route table and is never returned. A tag has 64 bits, and two
   numbers may share one: what acts on a person opens the sealed number first. An order is
   recognised by a tag over its id and all its parties.
3. A **sealed** number is bound to what it stands for: its purpose, and the binding, the 700
   number, the tag, the side and the number shown of its row are authenticated with it. So a
   ciphertext that is moved to another row or column, or whose row is changed, does not open.
4. Keys carry an id of 1 to 255. One of each kind is current and is used to write, all are used to
   read. In a ring the last one listed is current; in use, the database says which it is
   (:mod:`agi_router.keys.registry`). A ring may have a **floor** for a kind: no key with a lower
   id is ever current again, whatever the database says.
5. Nonces are random and 96 bits long: change the seal key before it has sealed 2**32 numbers
   (NIST SP 800-38D, section 8.3).
6. A ring writes by one cipher and reads by all. AES-256-GCM uses a seal key as it is; SM4-GCM
   (GB/T 32907, RFC 8998), whose keys are 128 bits long, one derived from it (HKDF, RFC 5869).
7. This file does no I/O; see :mod:`agi_router.keys.file`.

Format of a key ring, where ``;`` may stand for the end of a line and ``#`` begins a comment that
runs to the end of the line; the floors may be absent::

    tag  1 <base64 of 32 bytes>
    seal 1 <base64 of 32 bytes>
    floor tag 1
    floor seal 1

Format of sealed numbers: version (1 byte: 4 for AES-256-GCM, 5 for SM4-GCM), id of the seal key
(1 byte), id of the key that the row's tags were made with (1 byte), nonce (12 bytes), ciphertext
and its 16 bytes of authentication. So a row says by itself which keys it needs.
Sealed are the numbers joined by ``+``, with spaces behind to 16, 32, 64 … bytes: the length tells
neither a fixed line from a mobile nor, closer than that, how many there are.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal, NamedTuple, Protocol, Self

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import ciphers
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from agi_router.errors import KeyMismatch, KeyRingError, NumberError, SealError
from agi_router.numbers import PhoneNumber

__all__ = ["DESTROYED", "Cipher", "KeyKind", "KeyRing", "Purpose", "Row"]

KeyKind = Literal["tag", "seal"]
"""
What a key is for: finding a caller, or sealing a callee.
"""


DESTROYED = "destroyed"
"""
Why a number does not open whose seal key was destroyed on purpose.
"""


class Cipher(StrEnum):
    """
    By what numbers are sealed: the international standard, or the national one.
    """

    AES_256_GCM = "aes-256-gcm"
    SM4_GCM = "sm4-gcm"


class Purpose(StrEnum):
    """
    What a sealed number stands for in its row.
    """

    CALLEE = "callee"
    """Whom the row rings."""
    CALLER = "caller"
    """Who dials the row, where no other row tells."""
    MEMBER = "member"
    """Who is in a party group: its row has the number of the group for that of a binding."""
    LAST_CALLER = "last_caller"
    """Who called last; and each member of a group, in the row of B, who may become that."""


class Row(NamedTuple):
    """
    The route row that a number is sealed for, by the names of its columns.
    """

    binding_id: int
    x_number: int
    caller_tag: int
    """0 for anyone."""
    side: str
    shown: int | None

    @property
    def for_strangers(self) -> Row:
        """
        The same row as it is sealed for by a stranger's call, which does not know A's tag.
        """
        return self._replace(caller_tag=0)


_VERSIONS = {Cipher.AES_256_GCM: 4, Cipher.SM4_GCM: 5}
_KNOWN = frozenset(_VERSIONS.values())
_HEADER = 3
_KEY = 32
# Bytes that SHA-256 takes at once.
_HASHED = 64
_LARGEST_ID = 255
_NONCE = 12
_TAG = 16
_SEPARATOR = "+"
_FILLER = " "
_SMALLEST = 16
_LINE = re.compile(r"(tag|seal)\s+([0-9]{1,3})\s+(\S+)")
_FLOOR = re.compile(r"floor\s+(tag|seal)\s+([0-9]{1,3})")


class _Aead(Protocol):
    """
    Authenticated encryption with one key, in the shape of :class:`AESGCM`.
    """

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes: ...


class _Sm4Gcm:
    """
    SM4-GCM; raises :exc:`UnsupportedAlgorithm` in use where OpenSSL does not have it.
    """

    def __init__(self, key: bytes) -> None:
        derived = HKDF(SHA256(), length=16, salt=None, info=b"agi_router sm4-gcm").derive(key)
        self._algorithm = algorithms.SM4(derived)

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes:
        encryptor = ciphers.Cipher(self._algorithm, modes.GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(associated_data)
        return encryptor.update(data) + encryptor.finalize() + encryptor.tag

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes:
        body, tag = data[:-_TAG], data[-_TAG:]
        if len(tag) < _TAG:
            raise InvalidTag
        decryptor = ciphers.Cipher(self._algorithm, modes.GCM(nonce, tag)).decryptor()
        decryptor.authenticate_additional_data(associated_data)
        return decryptor.update(body) + decryptor.finalize()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class KeyRing:
    """
    The keys of one installation. Its ``repr`` shows their ids only.

    Attributes:
        tag_keys: Ids and keys for tags, 32 bytes each, the current one last.
        seal_keys: Ids and keys for sealing, 32 bytes each, the current one last.
        cipher: By what it seals.
        tag_floor: No tag key with a lower id is current; 0 where that was never said.
        seal_floor: The same for seal keys.
        destroyed: Ids of seal keys that are nowhere any more, by the database.

    Raises:
        KeyRingError: A kind has no key, an id is not 1 to 255 or comes twice, a key is not
            32 bytes, the current one is below its floor, or the cipher is not to be had.
    """

    tag_keys: tuple[tuple[int, bytes], ...]
    seal_keys: tuple[tuple[int, bytes], ...]
    cipher: Cipher = Cipher.AES_256_GCM
    tag_floor: int = 0
    seal_floor: int = 0
    destroyed: frozenset[int] = frozenset()
    # Prepared once: tag and open are on the path of every call. By version and key id.
    _ciphers: dict[tuple[int, int], _Aead] = field(init=False, compare=False)
    # Those of the tag keys, the current one first; copied for each message.
    _macs: tuple[hmac.HMAC, ...] = field(init=False, compare=False)
    _current: bytes = field(init=False, compare=False)

    def __post_init__(self) -> None:
        for kind, keys, floor in (
            ("tag", self.tag_keys, self.tag_floor),
            ("seal", self.seal_keys, self.seal_floor),
        ):
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
            if keys[-1][0] < floor:
                raise KeyRingError(
                    f"the key ring lists {kind} key {keys[-1][0]} last, which is below the floor"
                    f" of {floor}: list the newest key last, and do not change the floor"
                )
        prepared: dict[tuple[int, int], _Aead] = {}
        for keyid, key in self.seal_keys:
            prepared[_VERSIONS[Cipher.AES_256_GCM], keyid] = AESGCM(key)
            prepared[_VERSIONS[Cipher.SM4_GCM], keyid] = _Sm4Gcm(key)
        object.__setattr__(self, "_ciphers", prepared)
        macs = tuple(hmac.new(key, digestmod="sha256") for _, key in reversed(self.tag_keys))
        object.__setattr__(self, "_macs", macs)
        object.__setattr__(self, "_current", self._header(self.tag_key_id))
        try:
            prepared[_VERSIONS[self.cipher], self.seal_key_id].encrypt(bytes(_NONCE), b"", b"")
        except UnsupportedAlgorithm:
            raise KeyRingError(
                f"{self.cipher} cannot be had: the OpenSSL of the cryptography library lacks it"
                " (it came with 3.1); install the library's own wheel, or choose another cipher"
            ) from None

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
    def parse(cls, text: str, *, cipher: Cipher = Cipher.AES_256_GCM) -> Self:
        """
        Read a key ring.

        Args:
            text: See the format in the module docstring.
            cipher: By what it is to seal.

        Raises:
            KeyRingError: Says which line is malformed, and shows nothing of it.
        """
        keys: dict[str, list[tuple[int, bytes]]] = {"tag": [], "seal": []}
        floors = {"tag": 0, "seal": 0}
        for number, line in enumerate(text.split("\n"), start=1):
            for entry in line.partition("#")[0].split(";"):
                if not entry.strip():
                    continue
                if floor := _FLOOR.fullmatch(entry.strip()):
                    floors[floor[1]] = max(floors[floor[1]], int(floor[2]))
                    continue
                match = _LINE.fullmatch(entry.strip())
                if match is None:
                    raise KeyRingError(
                        f"key ring, line {number}: expected 'tag' or 'seal', a key id of 1 to"
                        " 255, and 32 bytes in base64; or 'floor', 'tag' or 'seal', and a key id"
                    )
                try:
                    key = base64.b64decode(match[3], validate=True)
                except (binascii.Error, ValueError):
                    # The chain would show a part of the key.
                    raise KeyRingError(f"key ring, line {number}: the key is not base64") from None
                keys[match[1]].append((int(match[2]), key))
        return cls(
            tag_keys=tuple(keys["tag"]),
            seal_keys=tuple(keys["seal"]),
            cipher=cipher,
            tag_floor=floors["tag"],
            seal_floor=floors["seal"],
        )

    def to_text(self) -> str:
        """
        Write the ring in the format that :meth:`parse` reads. Secret.
        """
        return "".join(
            f"{kind} {keyid} {base64.b64encode(key).decode('ascii')}\n"
            for kind, keys in (("tag", self.tag_keys), ("seal", self.seal_keys))
            for keyid, key in keys
        ) + "".join(
            f"floor {kind} {floor}\n"
            for kind, floor in (("tag", self.tag_floor), ("seal", self.seal_floor))
            if floor
        )

    def tag(self, number: PhoneNumber) -> int:
        """
        Return the tag of *number* under the current key.

        Returns:
            A signed 64-bit integer, never 0.
        """
        return _tag(self._macs[0], number.digits)

    def tags(self, number: PhoneNumber) -> list[int]:
        """
        Return the tags of *number* under every tag key, the current one first.
        """
        return [_tag(mac, number.digits) for mac in self._macs]

    def bulk_tags(self, numbers: Sequence[bytes]) -> list[int]:
        """
        Return the tags of many *numbers*, given by their digits, in half the time of :meth:`tags`.

        Returns:
            Those of all numbers under the current key, then of all under each other one.
        """
        heads = b"".join(
            head for _, key in reversed(self.tag_keys) for head in _bulk_heads(key, numbers)
        )
        return [tag or 1 for tag in struct.unpack(f">{len(heads) // 8}q", heads)]

    def digests(self, number: PhoneNumber) -> list[bytes]:
        """
        Return the keyed hashes that the :meth:`tags` of *number* are the beginning of.

        Two numbers may have one tag, but no such hash: by it a number is known that is not opened.

        Returns:
            32 bytes for every tag key, the current one first.
        """
        return [_digest(mac, number.digits.encode("ascii")) for mac in self._macs]

    def pair_tag(self, parties: Collection[PhoneNumber]) -> int:
        """
        Return the tag of these *parties* together, in any order, under the current tag key.

        Returns:
            A signed 64-bit integer.
        """
        return _pair_tag(self._macs[0], parties)

    def pair_tags(self, parties: Collection[PhoneNumber]) -> list[int]:
        """
        Return the tags of these *parties* together under every tag key, the current one first.
        """
        return [_pair_tag(mac, parties) for mac in self._macs]

    def extension_tag(self, extension: str) -> int:
        """
        Return the tag of whoever types *extension*, under the current key.

        Returns:
            A signed 64-bit integer, never 0.
        """
        return _tag(self._macs[0], f"#{extension}")

    def extension_tags(self, extension: str) -> list[int]:
        """
        Return the tags of *extension* under every tag key, the current one first.
        """
        return [_tag(mac, f"#{extension}") for mac in self._macs]

    def order_tags(self, *names: str, numbers: Sequence[PhoneNumber]) -> list[int]:
        """
        Return the tags of an order with its parties under every tag key, the current one first.

        Args:
            names: What belongs to it beside the parties, none with a NUL.
            numbers: The parties, in an order that the caller keeps to.

        Returns:
            Signed 64-bit integers, never 0.
        """
        return [_order_tag(mac, names, numbers) for mac in self._macs]

    def seal(self, numbers: Sequence[PhoneNumber], row: Row, purpose: Purpose) -> bytes:
        """
        Seal *numbers*, one or more, for their place in *row*, under the current keys.

        Args:
            numbers: Real numbers.
            row: Its tags are of the current tag key; that of anyone is 0.
            purpose: What the numbers stand for in it.
        """
        header, nonce = self._current, secrets.token_bytes(_NONCE)
        cipher = self._ciphers[header[0], header[1]]
        plain = _fill(_SEPARATOR.join([number.digits for number in numbers])).encode("ascii")
        return header + nonce + cipher.encrypt(nonce, plain, header + _bound(row, purpose))

    def open(self, sealed: bytes, row: Row, purpose: Purpose) -> tuple[PhoneNumber, ...]:
        """
        Open numbers that were sealed for this place in *row*.

        Raises:
            SealError: Wrong key, wrong place or altered data, or a cipher that is not to be had.
        """
        plain = self._open(sealed, _bound(row, purpose))
        try:
            return tuple(
                PhoneNumber(digits=digits) for digits in plain.rstrip(_FILLER).split(_SEPARATOR)
            )
        except NumberError:
            # The chain could carry what was decrypted.
            raise SealError from None

    def request_tags(self, *parts: bytes) -> list[bytes]:
        """
        Return 32 bytes by which a request is known again, under every tag key, the current first.

        Args:
            parts: What it is made of.
        """
        found = []
        for mac in self._macs:
            own = mac.copy()
            # No tag of a caller, a pair or an order begins so, and each part ends where it ends.
            own.update(b"request")
            for part in parts:
                own.update(len(part).to_bytes(8, "big") + part)
            found.append(own.digest())
        return found

    def seal_locked(self, number: PhoneNumber, lock_id: int) -> list[tuple[int, bytes]]:
        """
        Seal the *number* of a locked person under the current seal key, once for each tag key.

        Returns:
            The tag under each tag key, and what is sealed for this lock and that tag, the current
            key's first.
        """
        return self._seal_tagged(number, lambda tag: _bound_lock(lock_id, tag))

    def open_locked(self, sealed: bytes, lock_id: int, tag: int) -> PhoneNumber:
        """
        Open the number of a locked person.

        Raises:
            SealError: Wrong key, another lock's or another tag's, or altered data.
        """
        return self._open_tagged(sealed, _bound_lock(lock_id, tag))

    def seal_person(self, number: PhoneNumber, person_id: int) -> list[tuple[int, bytes]]:
        """
        Seal the *number* of a person of the register, as :meth:`seal_locked` does for a lock.
        """
        return self._seal_tagged(number, lambda tag: _bound_person(person_id, tag))

    def open_person(self, sealed: bytes, person_id: int, tag: int) -> PhoneNumber:
        """
        Open the number of a person of the register.

        Raises:
            SealError: Wrong key, another person's or another tag's, or altered data.
        """
        return self._open_tagged(sealed, _bound_person(person_id, tag))

    def _seal_tagged(
        self, number: PhoneNumber, bound: Callable[[int], bytes]
    ) -> list[tuple[int, bytes]]:
        found: list[tuple[int, bytes]] = []
        plain = _fill(number.digits).encode("ascii")
        for (keyid, _), tag in zip(reversed(self.tag_keys), self.tags(number), strict=True):
            header = self._header(keyid)
            nonce = secrets.token_bytes(_NONCE)
            cipher = self._ciphers[header[0], self.seal_key_id]
            sealed = cipher.encrypt(nonce, plain, header + bound(tag))
            found.append((tag, header + nonce + sealed))
        return found

    def _open_tagged(self, sealed: bytes, bound: bytes) -> PhoneNumber:
        plain = self._open(sealed, bound)
        try:
            return PhoneNumber(digits=plain.rstrip(_FILLER))
        except NumberError:
            # The chain could carry what was decrypted.
            raise SealError from None

    def seal_secret(self, secret: str, key_id: str) -> bytes:
        """
        Seal the *secret* of an API key, for that key alone, under the current seal key.
        """
        header = self.secret_header
        nonce = secrets.token_bytes(_NONCE)
        cipher = self._ciphers[header[0], self.seal_key_id]
        bound = header + _bound_secret(key_id)
        return header + nonce + cipher.encrypt(nonce, secret.encode("ascii"), bound)

    def open_secret(self, sealed: bytes, key_id: str) -> str:
        """
        Open the secret of an API key.

        Raises:
            SealError: Wrong key, another API key's or altered data.
        """
        return self._open(sealed, _bound_secret(key_id))

    def renewed_secret(self, sealed: bytes, key_id: str) -> bytes:
        """
        The secret of an API key as it is sealed under the current seal key, by the cipher in use.

        Raises:
            SealError: Wrong key, another API key's or altered data.
        """
        secret = self.open_secret(sealed, key_id)
        current = sealed.startswith(self.secret_header)
        return sealed if current else self.seal_secret(secret, key_id)

    def seal_text(self, text: str, message_id: str) -> bytes:
        """
        Seal what a text says, for that text alone, under the current seal key.
        """
        header = self.secret_header
        nonce = secrets.token_bytes(_NONCE)
        cipher = self._ciphers[header[0], self.seal_key_id]
        bound = header + _bound_text(message_id)
        return header + nonce + cipher.encrypt(nonce, text.encode("utf-8"), bound)

    def open_text(self, sealed: bytes, message_id: str) -> str:
        """
        Open what a text says.

        Raises:
            SealError: Wrong key, another text's or altered data.
        """
        return self._open(sealed, _bound_text(message_id))

    def _open(self, sealed: bytes, bound: bytes) -> str:
        header = sealed[:_HEADER]
        if len(sealed) <= _HEADER + _NONCE or header[0] not in _KNOWN:
            raise SealError
        cipher = self._ciphers.get((header[0], header[1]))
        if cipher is None and header[1] in self.destroyed:
            raise SealError(DESTROYED)
        if cipher is None:
            raise SealError(f"a number is sealed with key {header[1]}, which is not at hand")
        nonce, body = sealed[_HEADER : _HEADER + _NONCE], sealed[_HEADER + _NONCE :]
        try:
            return cipher.decrypt(nonce, body, header + bound).decode("utf-8")
        except UnsupportedAlgorithm:
            raise SealError("a number is sealed by SM4-GCM, which this OpenSSL lacks") from None
        except (InvalidTag, UnicodeDecodeError):
            # The chain could carry what was decrypted.
            raise SealError from None

    @property
    def header(self) -> bytes:
        """
        How sealed numbers of today begin.

        What begins otherwise was sealed or tagged with an older key, or by the other cipher.
        """
        return self._current

    @property
    def secret_header(self) -> bytes:
        """
        The same of the secrets of API keys, which need no tag key.
        """
        return self._header(0)

    def using(self, *, tag: int, seal: int) -> Self:
        """
        The same keys with these two as the current ones.

        Raises:
            KeyRingError: The ring has no such key.
            KeyMismatch: One is below its floor.
        """
        for kind, keyid, floor in (("tag", tag, self.tag_floor), ("seal", seal, self.seal_floor)):
            if keyid < floor:
                raise KeyMismatch(
                    f"the database says that {kind} key {keyid} is current, and by the key file"
                    f" none below {floor} may be: where the database was restored from a backup,"
                    " use the key file of then; else somebody has turned the keys back"
                )
        return replace(
            self,
            tag_keys=_with_last("tag", self.tag_keys, tag),
            seal_keys=_with_last("seal", self.seal_keys, seal),
        )

    @property
    def with_floor(self) -> Self:
        """
        The same keys; none older than the two that are current may be current again.
        """
        return replace(self, tag_floor=self.tag_key_id, seal_floor=self.seal_key_id)

    def with_new(self, kind: KeyKind, keyid: int) -> Self:
        """
        The ring with one more key, random, which is not the current one.
        """
        new = (keyid, secrets.token_bytes(_KEY))
        if kind == "tag":
            return replace(self, tag_keys=(new, *self.tag_keys))
        return replace(self, seal_keys=(new, *self.seal_keys))

    def without(self, kind: KeyKind, keyid: int) -> Self:
        """
        The ring without one of its keys.

        Raises:
            KeyRingError: It was the only one of its kind.
        """
        if kind == "tag":
            return replace(self, tag_keys=_without(self.tag_keys, keyid))
        return replace(self, seal_keys=_without(self.seal_keys, keyid))

    def with_destroyed(self, keyid: int) -> Self:
        """
        The ring without a seal key, of which it is known that it is nowhere any more.
        """
        kept = tuple(each for each in self.seal_keys if each[0] != keyid)
        return replace(self, seal_keys=kept, destroyed=self.destroyed | {keyid})

    @property
    def digest(self) -> str:
        """
        Eight hexadecimal digits that tell one set of keys from another, whichever are current.
        """
        text = "".join(sorted(f"{k}{i}{f.hex()}" for (k, i), f in self.fingerprints().items()))
        return hmac.digest(b"agi_router key ring", text.encode("ascii"), "sha256")[:4].hex()

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

    def _header(self, tag_key_id: int) -> bytes:
        return bytes((_VERSIONS[self.cipher], self.seal_key_id, tag_key_id))

    def __repr__(self) -> str:
        tags, seals = ([keyid for keyid, _ in keys] for keys in (self.tag_keys, self.seal_keys))
        return f"<KeyRing tag={tags} seal={seals}>"


def _tag(mac: hmac.HMAC, who: str) -> int:
    # 0 is the row for anyone.
    return _first_eight(mac, who.encode("ascii")) or 1


def _pair_tag(mac: hmac.HMAC, parties: Collection[PhoneNumber]) -> int:
    together = ":".join(sorted(party.digits for party in parties))
    return _first_eight(mac, f"pair:{together}".encode("ascii"))


def _order_tag(mac: hmac.HMAC, names: Sequence[str], numbers: Sequence[PhoneNumber]) -> int:
    # No tag of a person begins so: there, a digit comes first.
    message = "\0".join(("order", *names, *(number.digits for number in numbers)))
    # A command line may hold what is no character; the store refuses it in its own words.
    return _first_eight(mac, message.encode("utf-8", "surrogatepass")) or 1


def _first_eight(mac: hmac.HMAC, message: bytes) -> int:
    return int.from_bytes(_digest(mac, message)[:8], "big", signed=True)


def _bulk_heads(key: bytes, messages: Iterable[bytes]) -> Iterator[bytes]:
    """
    The first eight bytes of the HMAC of each message, as RFC 2104 defines it.

    Both halves of the key are hashed once. Python's HMAC is copied as an object of Python, which
    takes longer than all else.
    """
    padded = key.ljust(_HASHED, b"\0")
    inner = hashlib.sha256(bytes(each ^ 0x36 for each in padded))
    outer = hashlib.sha256(bytes(each ^ 0x5C for each in padded))
    for message in messages:
        own, whole = inner.copy(), outer.copy()
        own.update(message)
        whole.update(own.digest())
        yield whole.digest()[:8]


def _digest(mac: hmac.HMAC, message: bytes) -> bytes:
    # Half the time of hmac.digest, which prepares the key anew.
    own = mac.copy()
    own.update(message)
    return own.digest()


def _bound(row: Row, purpose: Purpose) -> bytes:
    binding_id, x_number, tag, side, shown = row
    # Only the side is text, and no text can pass for another: before and behind it are integers.
    return f"{purpose}|{binding_id}|{x_number}|{shown}|{side}|{tag}".encode()


def _bound_lock(lock_id: int, tag: int) -> bytes:
    # No purpose of a row begins so.
    return f"lock|{lock_id}|{tag}".encode()


def _bound_person(person_id: int, tag: int) -> bytes:
    # Nor does a lock.
    return f"person|{person_id}|{tag}".encode()


def _bound_secret(key_id: str) -> bytes:
    # No purpose of a row begins so.
    return f"api_key|{key_id}".encode()


def _bound_text(message_id: str) -> bytes:
    # Neither a purpose of a row nor an API key begins so.
    return f"message|{message_id}".encode()


def _fill(plain: str) -> str:
    size = _SMALLEST
    while size < len(plain):
        size *= 2
    return plain.ljust(size, _FILLER)


def _with_last(
    kind: KeyKind, keys: tuple[tuple[int, bytes], ...], keyid: int
) -> tuple[tuple[int, bytes], ...]:
    last = tuple(each for each in keys if each[0] == keyid)
    if not last:
        raise KeyRingError(f"the key ring has no {kind} key {keyid}")
    return _without(keys, keyid) + last


def _without(keys: tuple[tuple[int, bytes], ...], keyid: int) -> tuple[tuple[int, bytes], ...]:
    return tuple(each for each in keys if each[0] != keyid)

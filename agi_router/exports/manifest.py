"""
What lies in a package, signed: files, counts and digests.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self

from agi_router.exports.kinds import KINDS, VERSION, ZONE
from agi_router.records.chain import SigningKey, VerifyingKey

__all__ = ["Manifest", "PackedFile", "digest", "name_package"]

_TITLE: Final = "agi_router export manifest 1"


def name_package(day: str, sequence: int) -> str:
    """
    The name of a package: the day and its place among those of the day, like ``2026-03-01-000``.
    """
    return f"{day}-{sequence:03}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedFile:
    """
    One file of a package.

    Attributes:
        name: Its name.
        kind: What its records are.
        records: How many.
        tenants: How many of them are of whom, by the tenant's name; the others are nobody's.
        clear_sha256: Of the records as they are written, neither compressed nor sealed.
        octets: Its length, as it lies there.
        sha256: Of it as it lies there.
    """

    name: str
    kind: str
    records: int
    tenants: Mapping[str, int]
    clear_sha256: str
    octets: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """
    What lies in a package.

    Attributes:
        day: The day.
        sequence: Its place: 0 is the day, what follows are corrections: records that came late,
            or have changed and take the place of those of the same key.
        made_at: When it was begun, ISO 8601.
        numbers: ``full`` or ``masked``.
        format: How the records are written.
        cipher: What seals the files.
        recipient: Id of the key that they are for.
        schema_sha256: Of ``schema.json`` beside it.
        files: The files.
    """

    day: str
    sequence: int
    made_at: str
    numbers: str
    format: str
    cipher: str
    recipient: str
    schema_sha256: str
    files: Sequence[PackedFile]

    @property
    def name(self) -> str:
        """
        The name of the package.
        """
        return name_package(self.day, self.sequence)

    @property
    def counts(self) -> dict[str, int]:
        """
        How many records of each kind.
        """
        return {
            kind.name: sum(each.records for each in self.files if each.kind == kind.name)
            for kind in KINDS
        }

    @property
    def tenants(self) -> dict[str, dict[str, int]]:
        """
        How many records of each kind are of whom, by the tenant's name.
        """
        found: dict[str, dict[str, int]] = {}
        for file in self.files:
            for tenant, records in file.tenants.items():
                kinds = found.setdefault(tenant, {kind.name: 0 for kind in KINDS})
                kinds[file.kind] += records
        return found

    def to_text(self, key: SigningKey) -> str:
        """
        It as signed JSON.
        """
        told = self._told()
        signature = key.sign_text(_TITLE, _canonical(told))
        told |= {"key": key.partner.id, "signature": base64.b64encode(signature).decode("ascii")}
        return json.dumps(told, indent=1) + "\n"

    @classmethod
    def parse(cls, text: str, keys: Sequence[VerifyingKey] | None = None) -> Self:
        """
        Read one.

        Args:
            text: What was written.
            keys: Those that are believed; :obj:`None`: the signature is not looked at.

        Raises:
            ValueError: It is none, or none of the keys has signed it.
        """
        try:
            told = json.loads(text)
            signature = base64.b64decode(told.pop("signature"), validate=True)
            told.pop("key")
            manifest = cls(
                **{name: told[name] for name in cls.__dataclass_fields__ if name != "files"},
                files=[PackedFile(**each) for each in told["files"]],
            )
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ValueError("is no manifest of an export") from None
        if keys is not None and not any(
            key.has_signed_text(_TITLE, _canonical(told), signature) for key in keys
        ):
            raise ValueError("is signed by none of the keys")
        return manifest

    def without_files(self) -> Self:
        """
        It before anything was written.
        """
        return replace(self, files=[])

    def _told(self) -> dict[str, Any]:
        return {
            "manifest": _TITLE,
            "schema_version": VERSION,
            "zone": str(ZONE),
            "compression": "gzip",
            **asdict(self),
            "counts": self.counts,
        }


def digest(content: bytes) -> str:
    """
    SHA-256 in hexadecimal.
    """
    return hashlib.sha256(content).hexdigest()


def _canonical(told: Mapping[str, Any]) -> bytes:
    return json.dumps(told, sort_keys=True, separators=(",", ":")).encode("ascii")

"""
What is said of exports of days.
"""

from typing import Any, Literal

from pydantic import Field

from agi_router.exports.days import DayState
from agi_router.schemas.base import TIME, NextCursor, Out, example

__all__ = ["ExportOut", "ExportsOut", "ManifestOut", "PackageOut", "PackedFileOut"]

_COUNTS = {"bindings": 120_000, "calls": 400_000, "texts": 3000, "locks": 12, "consents": 800}
_PACKAGE: dict[str, Any] = {
    "name": "2026-01-31-000",
    "sequence": 0,
    "made_at": TIME,
    "numbers": "masked",
    "recipient": "5d0bca4e0cf1a19c",
    "records": _COUNTS,
    "manifest": "9f" * 32,
}
_DAY: dict[str, Any] = {
    "day": "2026-01-31",
    "state": "packed",
    "packages": [_PACKAGE],
    "asked_at": None,
    "asked_by": None,
    "tried_at": None,
    "failure": None,
}
_FILE: dict[str, Any] = {
    "name": "calls-0001.jsonl.gz.sealed",
    "kind": "calls",
    "records": 400_000,
    "tenants": {"couriers": 400_000},
    "clear_sha256": "9f" * 32,
    "octets": 31_337_000,
    "sha256": "0c" * 32,
}
_MANIFEST: dict[str, Any] = {
    "manifest": "agi_router export manifest 1",
    "schema_version": 1,
    "zone": "Asia/Shanghai",
    "compression": "gzip",
    "day": "2026-01-31",
    "sequence": 0,
    "made_at": TIME,
    "numbers": "masked",
    "format": "jsonl",
    "cipher": "aes-256-gcm",
    "recipient": "5d0bca4e0cf1a19c",
    "schema_sha256": "5e" * 32,
    "files": [_FILE],
    "counts": _COUNTS,
    "key": "b7c1d0e2f3a40516",
    "signature": "c2lnbmVk",
}


class PackageOut(Out):
    """
    A package that was made of a day.
    """

    name: str
    sequence: int = Field(description="0: the day; what follows are corrections.")
    made_at: str
    numbers: Literal["masked", "full"]
    recipient: str = Field(description="Id of the key that it is sealed for.")
    records: dict[str, int] = Field(description="How many of each kind.")
    manifest: str = Field(description="SHA-256 of its manifest, in hexadecimal.")

    model_config = example(_PACKAGE)


class ExportOut(Out):
    """
    A day (Asia/Shanghai), and what was packed of it.
    """

    day: str
    state: DayState = Field(
        description="asked: it waits to be packed; packed: there is a package of it; missing:"
        " there is none."
    )
    packages: list[PackageOut]
    asked_at: str | None = Field(description="When somebody asked last that it is packed.")
    asked_by: str | None
    tried_at: str | None = Field(description="When that was done; null: it waits.")
    failure: str | None = Field(description="Why that has failed; null: it did not.")

    model_config = example(_DAY)


class ExportsOut(Out):
    """
    Days, the latest first, back to the first that was packed or asked for.
    """

    exports: list[ExportOut]
    next_cursor: NextCursor = None

    model_config = example({"exports": [_DAY]})


class PackedFileOut(Out):
    """
    A file of a package.
    """

    name: str
    kind: str
    records: int
    tenants: dict[str, int] = Field(description="How many of them are of whom.")
    clear_sha256: str = Field(description="Of the records, neither compressed nor sealed.")
    octets: int
    sha256: str = Field(description="Of the file as it lies there.")

    model_config = example(_FILE)


class ManifestOut(Out):
    """
    The manifest of a package, as it lies there; docs/export.md says over what it is signed.
    """

    manifest: str
    schema_version: int
    zone: str
    compression: str
    day: str
    sequence: int
    made_at: str
    numbers: Literal["masked", "full"]
    format: str
    cipher: str
    recipient: str
    schema_sha256: str
    files: list[PackedFileOut]
    counts: dict[str, int]
    key: str = Field(description="Id of the key that has signed it.")
    signature: str = Field(description="By Ed25519, in base64.")

    model_config = example(_MANIFEST)

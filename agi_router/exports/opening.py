"""
Opening a package: what a recipient does, or whoever wants to know whether it is whole.
"""

import shlex
import zlib
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from agi_router.errors import ExportInvalid
from agi_router.exports.manifest import Manifest, PackedFile, digest
from agi_router.exports.packer import MANIFEST, SCHEMA
from agi_router.exports.sealing import RecipientKey, open_sealed
from agi_router.records.chain import VerifyingKey

__all__ = ["open_file", "open_package"]

_GZIP: Final = 31
_KNOWN: Final = frozenset({MANIFEST, SCHEMA})


def open_package(
    directory: Path,
    key: RecipientKey,
    signers: Sequence[VerifyingKey],
    *,
    show: Callable[[PackedFile, bytes], None] | None = None,
) -> Manifest:
    """
    Open all of a package, and hold it against its signed manifest.

    Args:
        directory: The package.
        key: Its recipient's.
        signers: Whose signature is believed.
        show: Is given what the files say, bit by bit, before the end of each was checked.

    Raises:
        ExportInvalid: Something is not as it was packed.
    """
    name = shlex.quote(str(directory))
    try:
        manifest = Manifest.parse(directory.joinpath(MANIFEST).read_text("ascii"), signers)
        schema = directory.joinpath(SCHEMA).read_bytes()
        there = {each.name for each in directory.iterdir()}
    except OSError as error:
        missing = shlex.quote(str(error.filename or directory))
        raise ExportInvalid(f"{missing} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ExportInvalid(f"the manifest of {name} {error}") from None
    if directory.resolve().name != manifest.name:
        raise ExportInvalid(f"{name} is the package {manifest.name}, under another name")
    if digest(schema) != manifest.schema_sha256:
        raise ExportInvalid(f"the schema of {name} is not the one that was packed")
    if wrong := there ^ (_KNOWN | {each.name for each in manifest.files}):
        raise ExportInvalid(f"{name} and its manifest do not agree on {min(wrong)}")
    for each in manifest.files:
        for clear in open_file(directory, each, key):
            if show is not None:
                show(each, clear)
    return manifest


def open_file(directory: Path, file: PackedFile, key: RecipientKey) -> Iterator[bytes]:
    """
    What one file of a package says, bit by bit; that it is whole is known at its end.

    Raises:
        ExportInvalid: It is not as it was packed, or not for this key.
    """
    path = directory / file.name
    name = shlex.quote(str(path))
    clear, sealed = sha256(), sha256()
    octets = 0
    try:
        with path.open("rb") as stream:

            def read(length: int) -> bytes:
                nonlocal octets
                content = stream.read(length)
                sealed.update(content)
                octets += len(content)
                return content

            unpacking = zlib.decompressobj(_GZIP)
            for segment in open_sealed(read, key):
                content = unpacking.decompress(segment)
                clear.update(content)
                yield content
            content = unpacking.flush()
            clear.update(content)
            yield content
    except OSError as error:
        raise ExportInvalid(f"{name} cannot be read: {error.strerror}") from error
    except (ValueError, zlib.error) as error:
        why = "is not as it was sealed" if isinstance(error, zlib.error) else str(error)
        raise ExportInvalid(f"{name} {why}") from None
    digests = (octets, sealed.hexdigest(), clear.hexdigest())
    if digests != (file.octets, file.sha256, file.clear_sha256):
        raise ExportInvalid(f"{name} is not the file that was packed")

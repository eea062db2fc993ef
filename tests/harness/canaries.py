"""
Canaries: numbers that run through everything, and the search for them in whatever is left behind.

`testpbx.leaks` searches what a phone received; this searches what lies on a machine: logs, files,
databases, process tables. A number can stand there in more ways, and in the middle of anything.
"""

import base64
import hashlib
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["files_below", "found", "found_in_file", "spellings"]

_PIECE = 1 << 24
# Longer than any spelling: what lies across two pieces is found in the second.
_OVERLAP = 256


def spellings(digits: str) -> dict[str, bytes]:
    """
    How a number could stand somewhere; case does not count.

    Args:
        digits: Its national form.
    """
    text = digits.encode()
    value = int(digits)
    groups = (text[:3], text[3:7], text[7:])
    found = {
        "plain": text,
        "its last ten digits": text[1:],
        "its last eight digits": text[-8:],
        "reversed": text[::-1],
        "spaced": b" ".join(groups),
        "hyphenated": b"-".join(groups),
        "dotted": b".".join(groups),
        "percent-escaped": b"".join(b"%%%02x" % digit for digit in text),
        "JSON escapes": b"".join(b"\\u%04x" % digit for digit in text),
        "full width": "".join(chr(0xFEE0 + digit) for digit in text).encode(),
        "hex": text.hex().encode(),
        "base64": base64.b64encode(text).rstrip(b"=")[:-1],
        "base64, shifted by one": base64.b64encode(b"\0" + text)[2:-2],
        "base64, shifted by two": base64.b64encode(b"\0\0" + text)[3:-2],
        "UTF-16": digits.encode("utf-16-le"),
        "UTF-32": digits.encode("utf-32-le"),
        "bigint": struct.pack("<q", value),
        "bigint on the wire": struct.pack(">q", value),
        "bigint in hex": struct.pack(">q", value).hex().encode(),
        "bigint as number": f"{value:x}".encode(),
        "numeric": struct.pack("<3H", value // 10**8, value // 10**4 % 10**4, value % 10**4),
        "packed decimal": bytes.fromhex(f"{digits}f"),
    }
    # A hash without a key hides nothing: all mobile numbers can be tried in minutes.
    for name in ("md5", "sha1", "sha256"):
        for prefix in ("", "+86", "86"):
            digest = hashlib.new(name, f"{prefix}{digits}".encode())
            found[f"{name} of {prefix}, raw"] = digest.digest()
            found[f"{name} of {prefix}, hex"] = digest.hexdigest().encode()
    return found


def found(where: bytes, numbers: Iterable[str]) -> list[str]:
    """
    Name what is found of *numbers* in *where*: each number masked, with its spelling.

    Args:
        where: Anything.
        numbers: National forms.
    """
    lowered = where.lower()
    return [
        f"{number[:3]}****{number[-2:]}: {name}"
        for number in numbers
        for name, text in spellings(number).items()
        if text.lower() in lowered
    ]


def found_in_file(path: Path, numbers: Iterable[str]) -> list[str]:
    """The same of a file of any size; one that has gone meanwhile holds nothing."""
    numbers = list(numbers)
    hits: dict[str, None] = {}
    try:
        with path.open("rb") as file:
            tail = b""
            while piece := file.read(_PIECE):
                hits |= dict.fromkeys(found(tail + piece, numbers))
                tail = piece[-_OVERLAP:]
    except FileNotFoundError:
        pass
    return list(hits)


def files_below(*places: Path) -> Iterator[Path]:
    """Every regular file in *places*, files or directories; links are not followed."""
    for place in places:
        if place.is_file():
            yield place
        elif place.is_dir():
            for path in place.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    yield path

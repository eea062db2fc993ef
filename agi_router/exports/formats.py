"""
How the records of an export are written down.

A format that is not known yet is a class like these, named by an entry point of the group
``agi_router.export_formats`` in whatever package brings it.
"""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import Final, Protocol

from agi_router.errors import RequestInvalid
from agi_router.exports.kinds import Kind, read_cells

__all__ = ["FORMATS", "Csv", "Jsonl", "RecordFormat", "find_format"]

_GROUP: Final = "agi_router.export_formats"


class RecordFormat(Protocol):
    """
    Writes records; a file holds those of one kind.
    """

    @property
    def suffix(self) -> str:
        """
        What the names of its files end with, like ``jsonl``.
        """

    def begin(self, kind: Kind) -> bytes:
        """
        What stands before the first record of a file.
        """

    def encode(self, kind: Kind, lines: Sequence[bytes]) -> bytes:
        """
        Some records.

        Args:
            kind: What they are.
            lines: One each, see :func:`agi_router.exports.kinds.read_cells`.
        """

    def end(self, kind: Kind) -> bytes:
        """
        What stands behind the last record of a file.
        """


class Jsonl:
    """
    A JSON object a line, in UTF-8; empty cells are null.
    """

    suffix = "jsonl"

    def begin(self, kind: Kind) -> bytes:  # noqa: ARG002 - the interface
        """
        Nothing.
        """
        return b""

    def encode(self, kind: Kind, lines: Sequence[bytes]) -> bytes:
        """
        Some records: all by one template where none of them has anything to escape.
        """
        # More at once cost more each: they leave the processor's cache.
        some = (lines[at : at + _TOGETHER] for at in range(0, len(lines), _TOGETHER))
        return b"".join([self._encode(kind, each) for each in some])

    def _encode(self, kind: Kind, lines: Sequence[bytes]) -> bytes:
        template = _template(kind)
        if template is None or not _is_plain(b"".join(lines)):
            return b"".join([_object(kind, line) for line in lines])
        text = template * len(lines) % tuple(b"\t".join(lines).split(b"\t"))
        return text.replace(rb'"\N"', b"null").replace(rb"\N", b"null")

    def end(self, kind: Kind) -> bytes:  # noqa: ARG002 - the interface
        """
        Nothing.
        """
        return b""


class Csv:
    """
    CSV by RFC 4180 in UTF-8, with a header; an apostrophe stands before what looks like a formula.
    """

    suffix = "csv"

    def begin(self, kind: Kind) -> bytes:
        """
        The header.
        """
        return ",".join(column.name for column in kind.columns).encode() + b"\r\n"

    def encode(self, kind: Kind, lines: Sequence[bytes]) -> bytes:  # noqa: ARG002 - the interface
        """
        Some records.
        """
        text = b"\r\n".join([*lines, b""])
        if _is_plain(b"".join(lines)) and not _AWKWARD.search(text):
            return text.replace(rb"\N", b"").replace(b"\t", b",")
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerows([_harmless(cell or "") for cell in read_cells(line)] for line in lines)
        return out.getvalue().encode()

    def end(self, kind: Kind) -> bytes:  # noqa: ARG002 - the interface
        """
        Nothing.
        """
        return b""


FORMATS: Final[Mapping[str, type[RecordFormat]]] = {"jsonl": Jsonl, "csv": Csv}
"""Those that are shipped."""

_TOGETHER: Final = 500
_ESCAPED: Final = bytes({*range(0x20), *b'"\\'} - {ord("\t")})
_FORMULA: Final = "=+-@\t\r"
_AWKWARD: Final = re.compile(rb",|(?:^|[\t\n])[=+@-]")


def find_format(name: str) -> RecordFormat:
    """
    A format by its name: one that is shipped, or one of another package.

    Raises:
        RequestInvalid: There is none.
    """
    if name in FORMATS:
        return FORMATS[name]()
    for each in entry_points(group=_GROUP):
        if each.name == name:
            found: RecordFormat = each.load()()
            return found
    known = sorted({*FORMATS, *(each.name for each in entry_points(group=_GROUP))})
    raise RequestInvalid(f"there is no such format; there are {', '.join(known)}")


@cache
def _template(kind: Kind) -> bytes | None:
    """
    What becomes a record by its cells; :obj:`None`: cells of such records have to be looked into.
    """
    if any(column.type == "json" for column in kind.columns):
        return None
    cells = [
        f'"{each.name}":%b' if each.type == "integer" else f'"{each.name}":"%b"'
        for each in kind.columns
    ]
    return f"{{{','.join(cells)}}}\n".encode()


def _is_plain(text: bytes) -> bool:
    """
    Whether JSON, too, has nothing to escape: the ends of cells and empty ones apart.
    """
    rest = text.replace(rb"\N", b"")
    return len(rest.translate(None, _ESCAPED)) == len(rest)


def _object(kind: Kind, line: bytes) -> bytes:
    cells = read_cells(line)
    values = {
        column.name: cell if cell is None or column.type in {"text", "time"} else json.loads(cell)
        for column, cell in zip(kind.columns, cells, strict=True)
    }
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell and cell[0] in _FORMULA else cell

"""
Complaints in bulk: a CSV file of what carriers and offices pass on.

Each row is a transaction, as whoever has too many is stopped by the one that is too many. What is
there is left out, so a file that was begun is done again from its begin.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import BinaryIO, NamedTuple

from agi_router.bulk.csv_file import CsvReader, find_columns
from agi_router.bulk.tally import Tally
from agi_router.errors import BlockNotFound, NumberError, TenantNotFound
from agi_router.numbers import XNumber
from agi_router.persons.complaint_store import ComplaintStore
from agi_router.persons.complaints import (
    ComplaintKind,
    check_complaint_reference,
    check_complaint_source,
)
from agi_router.records.audit import check_note
from agi_router.tenants.model import check_tenant
from agi_router.texts import strip
from agi_router.times import check_past, parse_time

__all__ = ["ComplaintImporter"]

_COLUMNS = ("x", "at", "kind", "source", "reference", "tenant", "note")
_NEEDED = ("x", "at", "kind", "reference")


class _Row(NamedTuple):
    x_number: XNumber
    kind: ComplaintKind
    at: datetime
    source: str
    reference: str
    tenant: str | None
    note: str | None


class ComplaintImporter:
    """
    Writes complaints down that stand in files.

    Args:
        store: Where.
        by: Who writes them.
        now: The store's clock; no call was later.
        source: Who passes on what names no other source.
    """

    def __init__(
        self, store: ComplaintStore, *, by: str, now: datetime, source: str | None = None
    ) -> None:
        self._store = store
        self._by = by
        self._now = now
        self._source = source
        self.tally = Tally()
        """What came of what was read so far."""

    def run(self, stream: BinaryIO) -> None:
        """
        Write what a file says.

        Raises:
            CsvError: It cannot be read from some line on; the rows before it are written.
        """
        reader = CsvReader(stream)
        places = find_columns(reader.header, _COLUMNS, needed=_NEEDED, alone=True)
        for record in reader:
            self.tally.rows += 1
            told = {name: strip(record.cells[i]) for name, i in places if i < len(record.cells)}
            try:
                row = self._row(told)
                if self._store.knows(row.source, row.reference):
                    self.tally.known += 1
                    continue
                self._store.file(
                    row.x_number,
                    row.kind,
                    at=row.at,
                    source=row.source,
                    reference=row.reference,
                    by=self._by,
                    tenant=row.tenant,
                    note=row.note,
                )
            except BlockNotFound:
                self.tally.refuse(record.line, "the number is of no block of ours")
            except TenantNotFound:
                self.tally.refuse(record.line, "there is no such tenant")
            except (NumberError, ValueError) as error:
                self.tally.refuse(record.line, str(error))
            else:
                self.tally.added += 1

    def _row(self, told: Mapping[str, str]) -> _Row:
        """
        Read a row.

        Raises:
            NumberError: Its number is no 700 number.
            ValueError: Anything else cannot be read; says nothing of what stands there.
        """
        at = _time(told.get("at", ""))
        check_past(at, self._now, word="at")
        source = told.get("source") or self._source
        if not source:
            raise ValueError("who passes it on is missing: fill in the source, or give --source")
        tenant, note = told.get("tenant"), told.get("note")
        return _Row(
            x_number=XNumber.parse(told.get("x", "")),
            kind=_kind(told.get("kind", "")),
            at=at,
            source=check_complaint_source(source),
            reference=check_complaint_reference(told.get("reference", "")),
            tenant=check_tenant(tenant) if tenant else None,
            note=check_note(note) if note else None,
        )


def _time(text: str) -> datetime:
    if not text:
        raise ValueError("when the call was is missing")
    return parse_time(text)


def _kind(text: str) -> ComplaintKind:
    try:
        return ComplaintKind(text.lower())
    except ValueError:
        raise ValueError(f"a kind is one of {', '.join(ComplaintKind)}") from None

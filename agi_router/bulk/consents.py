"""
Consent in bulk: a CSV file of who has agreed to what, and when, into the ledger.

Rows are written some hundred at a time, each time in a transaction. What the ledger has is left
out, so an import that was killed is done again from the begin.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import BinaryIO, NamedTuple

from agi_router.bindings.words import check_order_id
from agi_router.bulk.csv_file import CsvReader, find_columns
from agi_router.bulk.tally import Tally
from agi_router.consent.ledger import (
    NOT_TAKEN,
    Act,
    How,
    Purpose,
    Statement,
    Taken,
    check_evidence,
    check_version,
)
from agi_router.consent.store import ConsentStore
from agi_router.errors import NumberError
from agi_router.numbers import PhoneNumber
from agi_router.texts import strip
from agi_router.times import check_past, parse_time

__all__ = ["ConsentImporter"]

_COLUMNS = ("number", "purpose", "order", "how", "when", "evidence", "version")
_REQUIRED = ("number", "how", "when")
_BATCH = 500


class _Row(NamedTuple):
    line: int
    person: PhoneNumber
    said: Statement


class ConsentImporter:
    """
    Writes what files say.

    Args:
        store: The ledger.
        tenant: To whom all of it was said.
        by: Who writes it.
        now: The store's clock; nothing was said later.
        fixed_lines: Whether fixed lines may be persons.
    """

    def __init__(
        self, store: ConsentStore, tenant: str, *, by: str, now: datetime, fixed_lines: bool
    ) -> None:
        self._store = store
        self._tenant = tenant
        self._by = by
        self._now = now
        self._fixed_lines = fixed_lines
        self.tally = Tally()
        """What came of what was read so far."""

    def run(self, stream: BinaryIO) -> None:
        """
        Write what a file says.

        Raises:
            CsvError: It cannot be read from some line on; the batches before it are written.
            TenantNotFound: There is no such tenant.
            KeysOutdated: The keys were rotated meanwhile; import the file again.
        """
        rows = self._read(stream)
        while batch := list(islice(rows, _BATCH)):
            said = [(row.person, row.said) for row in batch]
            taken = self._store.write_given(self._tenant, said, by=self._by)
            counts = Counter(taken)
            self.tally.added += counts[Taken.ADDED]
            self.tally.known += counts[Taken.KNOWN]
            for row, each in zip(batch, taken, strict=True):
                if each in NOT_TAKEN:
                    self.tally.refuse(row.line, NOT_TAKEN[each])

    def _read(self, stream: BinaryIO) -> Iterator[_Row]:
        reader = CsvReader(stream)
        places = find_columns(reader.header, _COLUMNS, needed=_REQUIRED, alone=True)
        for record in reader:
            self.tally.rows += 1
            cells = record.cells
            told = {name: strip(cells[i]) for name, i in places if i < len(cells)}
            try:
                person = PhoneNumber.parse(told.get("number", ""), fixed_lines=self._fixed_lines)
                said = _statement(told, self._now)
            except (NumberError, ValueError) as error:
                self.tally.refuse(record.line, str(error))
                continue
            yield _Row(record.line, person, said)


def _statement(told: Mapping[str, str], now: datetime) -> Statement:
    """
    What a row says.

    Raises:
        ValueError: It cannot be read; says nothing of what stands there.
    """
    if not told.get("when"):
        raise ValueError("when it was said is missing")
    at = parse_time(told["when"])
    check_past(at, now, word="when")
    order, evidence, version = (told.get(name) for name in ("order", "evidence", "version"))
    return Statement(
        act=Act.GIVEN,
        purpose=_purpose(told.get("purpose", "")),
        order=check_order_id(order) if order else None,
        how=_how(told.get("how", "")),
        at=at,
        evidence=check_evidence(evidence) if evidence else None,
        version=check_version(version) if version else None,
    )


def _purpose(text: str) -> Purpose:
    try:
        return Purpose(text.lower() or Purpose.BINDING)
    except ValueError:
        raise ValueError(f"a purpose is one of {', '.join(Purpose)}") from None


def _how(text: str) -> How:
    try:
        return How(text.lower())
    except ValueError:
        raise ValueError(f"how is one of {', '.join(How)}") from None

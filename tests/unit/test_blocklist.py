"""Who is kept from whom, by the rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from agi_router.errors import RequestInvalid
from agi_router.numbers import PhoneNumber
from agi_router.persons.blocklist import (
    BlocklistEntry,
    EntryState,
    Pairing,
    check_pairing,
    parse_entry_id,
)
from agi_router.persons.effects import Ban, BlockDirection
from agi_router.persons.views import describe_entry
from harness.values import NOW, A, B, C

ENTRY = BlocklistEntry(
    id=18,
    pairing=Pairing(person=A, other=B, tenant="couriers"),
    tenant="couriers",
    direction=BlockDirection.OUT,
    note=None,
    added_by="a test",
    added_at=NOW - timedelta(hours=1),
    ends_at=None,
    over_at=None,
    removed=False,
    removable=True,
    now=NOW,
)
BOTH, OUT, IN = BlockDirection.BOTH, BlockDirection.OUT, BlockDirection.IN


@pytest.mark.parametrize(
    ("other", "direction", "calls", "keeps"),
    [
        (B, BOTH, (A, B), True),
        (B, BOTH, (B, A), True),
        (B, OUT, (A, B), True),
        (B, OUT, (B, A), False),
        (B, IN, (A, B), False),
        (B, IN, (B, A), True),
        (B, BOTH, (A, C), False),
        (B, BOTH, (C, A), False),
        (B, BOTH, (B, C), False),
        (None, BOTH, (A, C), True),
        (None, BOTH, (C, A), True),
        (None, OUT, (C, A), False),
        (None, IN, (A, C), False),
        (None, IN, (C, A), True),
        (None, BOTH, (B, C), False),
    ],
)
def test_whom_an_entry_of_a_keeps_from_whom(
    other: PhoneNumber | None,
    direction: BlockDirection,
    calls: tuple[PhoneNumber, PhoneNumber],
    *,
    keeps: bool,
) -> None:
    """Its person and the other, or anybody, in its direction; and nobody else."""
    assert Ban(id=1, person=A, other=other, direction=direction).keeps(*calls) is keeps


@pytest.mark.parametrize(
    ("entry", "state"),
    [
        (ENTRY, EntryState.IN_FORCE),
        (replace(ENTRY, ends_at=NOW + timedelta(microseconds=1)), EntryState.IN_FORCE),
        (replace(ENTRY, ends_at=NOW), EntryState.ENDED),
        (replace(ENTRY, over_at=NOW), EntryState.ENDED),
        (replace(ENTRY, over_at=NOW, removed=True), EntryState.REMOVED),
    ],
)
def test_state(entry: BlocklistEntry, state: EntryState) -> None:
    """Until its end, or until somebody ends it."""
    assert entry.state is state
    assert entry.cursor.name == "18"


def test_nobody_is_kept_from_himself() -> None:
    """That would be no entry."""
    check_pairing(Pairing(person=A, other=B))
    check_pairing(Pairing(person=A))
    with pytest.raises(RequestInvalid):
        check_pairing(Pairing(person=A, other=A))


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "x", "13912340001" * 3, "١"])
def test_what_is_no_id(text: str) -> None:
    """Nothing of it is told back."""
    with pytest.raises(ValueError, match="whole number"):
        parse_entry_id(text)
    assert parse_entry_id("18") == 18


def test_as_it_is_shown() -> None:
    """Both masked; anybody as nobody."""
    shown = describe_entry(ENTRY)
    assert (shown["person"], shown["other"]) == ("139****0001", "139****0002")
    assert describe_entry(replace(ENTRY, pairing=Pairing(person=A)))["other"] is None
    assert "13912340001" not in repr(ENTRY)

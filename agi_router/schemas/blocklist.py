"""
What is said of block list entries.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from agi_router.persons.blocklist import EntryState
from agi_router.persons.effects import BlockDirection
from agi_router.records.audit import check_note
from agi_router.schemas.base import MASKED, TIME, Body, NextCursor, Out, example
from agi_router.schemas.fields import Number, Time
from agi_router.tenants.model import check_tenant

__all__ = ["BlocklistEntryOut", "BlocklistIn", "BlocklistOut", "BlocklistSearchIn"]


class BlocklistIn(Body):
    """
    A person who is to be kept from another one, or from anybody.
    """

    person: Number
    other: Number | None = Field(default=None, description="Absent: anybody.")
    tenant: Annotated[str, AfterValidator(check_tenant)] | None = Field(
        default=None, description="In whose bindings alone. Absent: in all, or the API key's own."
    )
    direction: BlockDirection = Field(
        default=BlockDirection.BOTH,
        strict=False,
        description="`out`: what the person asks of the other; `in`: the other way; or both.",
    )
    note: Annotated[str, AfterValidator(check_note)] | None = None
    ends_at: Time | None = Field(default=None, description="Absent: until it is removed.")

    model_config = example({"person": "13800000001", "other": "13800000002", "direction": "out"})


class BlocklistSearchIn(Body):
    """
    Whose entries are asked for.
    """

    person: Number
    everything: bool = Field(default=False, description="Those that are over, too.")

    model_config = example({"person": "13800000001"})


_ENTRY: dict[str, Any] = {
    "id": "18",
    "person": MASKED,
    "other": None,
    "tenant": "couriers",
    "direction": "both",
    "state": "in_force",
    "note": None,
    "added_at": TIME,
    "added_by": None,
    "ends_at": None,
    "over_at": None,
    "damage": None,
}


class BlocklistEntryOut(Out):
    """
    An entry of a block list. The numbers of persons are masked.
    """

    id: str
    person: str | None = Field(description="Whose entry it is, masked; null: it is damaged.")
    other: str | None = Field(
        description="From whom it keeps the person; null: from anybody, where it is not damaged."
    )
    tenant: str | None = Field(description="In whose bindings alone it holds; null: in all.")
    direction: BlockDirection
    state: EntryState
    note: str | None
    added_at: str
    added_by: str | None = Field(description="Told to the operator alone.")
    ends_at: str | None = Field(description="null: it holds until it is removed.")
    over_at: str | None
    damage: str | None = Field(description="Why its persons cannot be read.")

    model_config = example(_ENTRY)


class BlocklistOut(Out):
    """
    Entries of block lists, newest first.
    """

    entries: list[BlocklistEntryOut]
    next_cursor: NextCursor = None

    model_config = example({"entries": [_ENTRY]})

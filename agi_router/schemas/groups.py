"""
What is said of party groups.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from agi_router.bindings.modes import GROUP_MAX
from agi_router.bindings.party_groups import LONGEST_LABEL
from agi_router.bindings.terms import Text
from agi_router.bindings.words import check_group
from agi_router.schemas.base import MASKED, TIME, Body, NextCursor, Out, example
from agi_router.schemas.fields import Number
from agi_router.tenants.model import check_tenant

__all__ = ["Group", "GroupChange", "GroupIn", "GroupOut", "GroupsOut", "MembersIn"]

_Label = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_LABEL),
    AfterValidator(Text(LONGEST_LABEL).read),
]
Group = Annotated[str, Field(max_length=64), AfterValidator(check_group)]


class MembersIn(Body):
    """
    Members of a group.
    """

    members: list[Number] = Field(min_length=1, max_length=GROUP_MAX)

    model_config = example({"members": ["13800000003"]})


class GroupChange(Body):
    """
    What changes of a party group (RFC 7396): what is left out stays, null is what a new one has.
    """

    label: _Label | None = Field(
        default=None, description="A text of your own; comes back with it."
    )

    model_config = example({"label": "couriers by night"})


class GroupIn(GroupChange):
    """
    A party group to be added.
    """

    name: Group
    members: list[Number] = Field(
        default=[], max_length=GROUP_MAX, description="Its members, in their order."
    )
    tenant: Annotated[str, Field(max_length=512), AfterValidator(check_tenant)] | None = Field(
        default=None, description="Whose it is; the operator's keys alone may say so."
    )

    model_config = example({"name": "night-shift", "members": ["13800000001", "13800000003"]})


_GROUP: dict[str, Any] = {
    "id": "17",
    "name": "night-shift",
    "tenant": "couriers",
    "label": None,
    "members": [MASKED, "138****0003"],
    "bindings": 3,
    "created_at": TIME,
    "version": 1,
    "damage": None,
}


class GroupOut(Out):
    """
    A party group. Numbers of members are masked.
    """

    id: str
    name: str
    tenant: str
    label: str | None
    members: list[str] = Field(description="Its members, in their order.")
    bindings: int = Field(description="How many bindings by it live.")
    created_at: str
    version: int = Field(description="Another one after each change.")
    damage: str | None = Field(description="Why its members cannot be read.")

    model_config = example(_GROUP)


class GroupsOut(Out):
    """
    Party groups, newest first.
    """

    groups: list[GroupOut]
    next_cursor: NextCursor = None

    model_config = example({"groups": [_GROUP]})

"""
What is said of real-name statuses.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from agi_router.persons.real_names import RealName, check_source
from agi_router.schemas.base import MASKED, TIME, Body, NextCursor, Out, example
from agi_router.schemas.fields import Number, Time
from agi_router.tenants.model import check_tenant

__all__ = ["RealNameIn", "RealNameOut", "RealNameSearchIn", "RealNameStatusOut", "RealNamesOut"]


class RealNameSearchIn(Body):
    """
    Of whom it is asked whether it is known by its real name.
    """

    person: Number

    model_config = example({"person": "13800000001"})


class RealNameIn(RealNameSearchIn):
    """
    What was found of a person: the result alone, never a name or a paper.
    """

    status: Annotated[RealName, Field(strict=False)]
    source: Annotated[str, Field(max_length=512), AfterValidator(check_source)] = Field(
        description="Who has checked."
    )
    checked_at: Time | None = Field(default=None, description="When; now if left out.")
    tenant: Annotated[str, Field(max_length=512), AfterValidator(check_tenant)] | None = Field(
        default=None,
        description="For which tenant alone it counts; the operator's keys alone may say so, and"
        " else it counts for all.",
    )

    model_config = example({"person": "13800000001", "status": "yes", "source": "carrier"})


_REAL_NAME: dict[str, Any] = {
    "id": "812",
    "person": MASKED,
    "tenant": None,
    "status": "yes",
    "source": "carrier",
    "checked_at": TIME,
    "void": False,
    "added_at": TIME,
    "added_by": "API key qkzwhtdmxcvbnrpl",
    "damage": None,
}


class RealNameOut(Out):
    """
    Whether a person is known by its real name, as somebody has found. Its number is masked.
    """

    id: str
    person: str | None = Field(description="null: it is damaged.")
    tenant: str | None = Field(description="For which tenant alone it counts; null: for all.")
    status: RealName
    source: str = Field(description="Who has checked.")
    checked_at: str
    void: bool = Field(description="Whether the number has had a new owner since.")
    added_at: str
    added_by: str | None = Field(description="Told to the operator alone.")
    damage: str | None = Field(description="Why its person cannot be read.")

    model_config = example(_REAL_NAME)


class RealNamesOut(Out):
    """
    What was found, newest first.
    """

    real_names: list[RealNameOut]
    next_cursor: NextCursor = None

    model_config = example({"real_names": [_REAL_NAME]})


class RealNameStatusOut(Out):
    """
    What counts of a person for whoever asks, and the lines that it sees, newest first.
    """

    status: RealName
    source: str | None = Field(description="Who has checked; null: nobody.")
    checked_at: str | None
    real_names: list[RealNameOut]

    model_config = example(
        {
            "status": "yes",
            "source": "carrier",
            "checked_at": TIME,
            "real_names": [_REAL_NAME],
        }
    )

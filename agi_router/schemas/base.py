"""
What all bodies have in common, of requests and of answers.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["LARGEST_BATCH", "MASKED", "TIME", "Body", "NextCursor", "Out", "example"]


LARGEST_BATCH = 200
"""So many things one request makes; ``agi_router.take_quota`` reckons with it."""
TIME = "2026-01-31T15:04:05+00:00"
"""The time of examples."""
MASKED = "138****0001"
"""The number of examples."""


class Body(BaseModel):
    """
    A body: its fields are these and no others.
    """

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        # No message of pydantic may carry what came.
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )


class Out(BaseModel):
    """
    A body of an answer: its fields are these and no others.
    """

    model_config = ConfigDict(extra="forbid")


NextCursor = Annotated[
    str | None, Field(description="Where the next page begins; null: there is none.")
]
"""The last field of a page."""


def example(*values: Any) -> ConfigDict:
    """
    The settings of a model that has these examples.
    """
    return ConfigDict(json_schema_extra={"examples": list(values)})

"""
What queries say that several operations know.
"""

from typing import Annotated

from fastapi import Query

__all__ = ["CURSOR", "Binding", "Cursor", "Full", "Limit", "Number", "Since", "Tenant", "Until"]

CURSOR = "next_cursor of the page before; with the same filters."
"""What a cursor is, for the document; in a body, too."""

Cursor = Annotated[str | None, Query(max_length=256, description=CURSOR)]
"""Where a page begins."""

Limit = Annotated[int, Query(ge=1, le=200)]
"""How many are on a page."""

Tenant = Annotated[
    str | None,
    Query(max_length=512, description="Whose; the operator's keys alone may name another."),
]
"""Whose things are meant."""

Since = Annotated[
    str | None, Query(max_length=40, description="A time, with its offset; else a day ago.")
]
Until = Annotated[
    str | None, Query(max_length=40, description="Before this time, with its offset.")
]
Binding = Annotated[str | None, Query(max_length=40, description="That used it.")]
Full = Annotated[
    str | None,
    Query(
        pattern="^full$",
        description="Show the parties' numbers; needs the scope numbers:read, and is audited.",
    ),
]
"""Whether real numbers are shown."""
Number = Annotated[str | None, Query(max_length=32, description="To this 700 number.")]

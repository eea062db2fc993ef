"""
Fields that many bodies have, and how their values are read.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field

from agi_router.bindings.words import check_order_id
from agi_router.cursors import Cursor
from agi_router.errors import AgiRouterError
from agi_router.numbers import PhoneNumber
from agi_router.schemas.problems import FieldFault, Problem, problem_of

__all__ = [
    "MINUTE",
    "SECOND",
    "Number",
    "Time",
    "X",
    "read_cursor",
    "read_field",
    "read_members",
    "read_number",
    "read_order",
    "read_time",
    "seconds",
]

Value = TypeVar("Value")
_NUMBER = Field(
    max_length=64,
    description="A mainland mobile number, in any form that people write numbers in.",
    examples=["13800000001"],
)
Number = Annotated[str, _NUMBER]
X = Annotated[str, Field(max_length=32, description="A 700 number.", examples=["700123456780001"])]


def _read_time(value: object) -> datetime:
    try:
        read = datetime.fromisoformat(value if isinstance(value, str) else "")
        if read.tzinfo is not None and len(str(value)) > len("2026-01-31T15:04"):
            return read.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("a time looks like 2026-01-31T15:04:05+08:00, with its offset")


Time = Annotated[
    datetime,
    BeforeValidator(_read_time),
    Field(strict=False, examples=["2026-01-31T15:04:05+08:00"]),
]


def seconds(about: str, low: timedelta, high: timedelta | None = None) -> Any:
    """
    A field of whole seconds that may be left out.

    Args:
        about: What it is, for the document.
        low: The least that is taken.
        high: The most; None: no more is said here.
    """
    return Field(
        default=None,
        ge=int(low.total_seconds()),
        le=None if high is None else int(high.total_seconds()),
        description=f"Seconds: {about}.",
    )


SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def read_field(pointer: str, read: Callable[[], Value]) -> Value:
    """
    Read one field.

    Args:
        pointer: Where it is.
        read: Returns its value.

    Raises:
        Problem: It is not acceptable; names the field.
    """
    try:
        return read()
    except AgiRouterError as error:
        raise problem_of(error, pointer=pointer) from None


def read_order(text: str) -> str:
    """
    Read the id of an order, in a query.

    Raises:
        Problem: It is none.
    """
    try:
        return check_order_id(text)
    except ValueError as error:
        fault = FieldFault("/order", "order_invalid", str(error))
        raise Problem.of_fields([fault]) from None


def read_number(pointer: str, text: str, *, fixed_lines: bool) -> PhoneNumber:
    """
    Read a party's number.

    Raises:
        Problem: It is none; names the field.
    """
    return read_field(pointer, lambda: PhoneNumber.parse(text, fixed_lines=fixed_lines))


def read_members(texts: Sequence[str], *, fixed_lines: bool) -> tuple[PhoneNumber, ...]:
    """
    The numbers of a group's members.

    Raises:
        Problem: One is none; names its place.
    """
    return tuple(
        read_number(f"/members/{place}", text, fixed_lines=fixed_lines)
        for place, text in enumerate(texts)
    )


def read_cursor(text: str | None) -> Cursor | None:
    """
    Where a page begins.

    Raises:
        Problem: No list has given it.
    """
    return None if text is None else read_field("/cursor", lambda: Cursor.parse(text))


def read_time(pointer: str, text: str) -> datetime:
    """
    A time in a query, where a plus that is not escaped has become a space.

    Raises:
        Problem: It is none, or has no offset.
    """
    try:
        return _read_time(text.replace(" ", "+"))
    except ValueError as error:
        raise Problem.of_fields([FieldFault(pointer, "time_invalid", str(error))]) from None

"""
The parameters of an action, as clients of Alibaba Cloud write them.

Rules for the editor:

1. All are text. What is empty is not there: clients send fields that they have not filled.
2. A fault names the parameter and what it should look like, never what came: nearly every request
   holds real numbers.

Source:
    The wire of the four clients (see :mod:`agi_router.doors.alibaba.signature`): Python writes
    ``True``, Node ``true``; a nested list comes as one JSON text, or flat as ``Name.1.Field``.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, TypeVar

from agi_router.errors import ExpiryInvalid, NumberError
from agi_router.numbers import PhoneNumber, XNumber, parse_members

__all__ = ["ZONE", "NumberInvalid", "ParameterInvalid", "ParameterMissing", "Parameters"]

ZONE: Final = timezone(timedelta(hours=8))
"""The zone of times that name none."""

_WHOLE = re.compile(r"[0-9]{1,19}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_FLAT = re.compile(r"([0-9]{1,3})\.([A-Za-z]{1,64})")
_FLAGS: Final[Mapping[str, bool]] = {"true": True, "false": False}

_T = TypeVar("_T")


class ParameterMissing(ValueError):  # noqa: N818  (named after what happened)
    """
    A parameter that the action needs is not there, or is empty.

    Args:
        name: Of the parameter.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is missing")
        self.name = name


class ParameterInvalid(ValueError):  # noqa: N818  (named after what happened)
    """
    A parameter is not what the action takes.

    Args:
        name: Of the parameter.
        expected: What it should be; nothing of what came.
    """

    def __init__(self, name: str, expected: str) -> None:
        super().__init__(f"{name}: {expected}")
        self.name = name


class NumberInvalid(ParameterInvalid):
    """
    A parameter is no number of a party.
    """


class Parameters:
    """
    The parameters of one request.

    Args:
        values: As they came, by name.
        fixed_lines: Whether fixed lines may be parties.
    """

    def __init__(self, values: Mapping[str, str], *, fixed_lines: bool = False) -> None:
        self._values = values
        self._fixed_lines = fixed_lines

    def __contains__(self, name: str) -> bool:
        return bool(self._values.get(name))

    def beside(self, name: str, value: str) -> "Parameters":
        """
        The same, with one more: it stands in the place of one of this name that came.
        """
        return Parameters({**self._values, name: value}, fixed_lines=self._fixed_lines)

    def items(self) -> Iterable[tuple[str, str]]:
        """
        All of them, as they came.
        """
        return self._values.items()

    def text(self, name: str) -> str | None:
        """
        A parameter as it came; :obj:`None` where it is empty or not there.
        """
        return self._values.get(name) or None

    def need(self, name: str) -> str:
        """
        A parameter that has to be there.

        Raises:
            ParameterMissing: It is not.
        """
        found = self.text(name)
        if found is None:
            raise ParameterMissing(name)
        return found

    def read(self, name: str, reader: Callable[[str], _T]) -> _T | None:
        """
        A parameter as *reader* reads it; its ValueErrors say what was expected, and quote nothing.

        Raises:
            ParameterInvalid: It does not.
        """
        found = self.text(name)
        if found is None:
            return None
        try:
            return reader(found)
        except ValueError as error:
            raise ParameterInvalid(name, str(error)) from None

    def whole(self, name: str, *, low: int = 0, high: int = 2**63 - 1) -> int | None:
        """
        A whole number in decimal.

        Raises:
            ParameterInvalid: It is none, or out of bounds.
        """

        def read(text: str) -> int:
            if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
                raise ValueError(f"a whole number, {low} to {high}")
            return int(text)

        return self.read(name, read)

    def flag(self, name: str) -> bool | None:
        """
        ``true`` or ``false``, in either case.

        Raises:
            ParameterInvalid: It is neither.
        """

        def read(text: str) -> bool:
            try:
                return _FLAGS[text.lower()]
            except KeyError:
                raise ValueError("true or false") from None

        return self.read(name, read)

    def time(self, name: str) -> datetime:
        """
        A point in time, ``yyyy-MM-dd HH:mm:ss`` in :data:`ZONE`.

        Returns:
            It in UTC.

        Raises:
            ParameterMissing: It is not there.
            ExpiryInvalid: It is none.
        """
        text = self.need(name)
        if _TIME.fullmatch(text):
            try:
                return datetime.fromisoformat(text).replace(tzinfo=ZONE).astimezone(UTC)
            except (ValueError, OverflowError):
                pass
        raise ExpiryInvalid(f"{name} looks like 2026-01-31 15:04:05, in Beijing's time")

    def party(self, name: str) -> PhoneNumber:
        """
        The number of a party.

        Raises:
            ParameterMissing: It is not there.
            NumberInvalid: It is none.
        """
        try:
            return PhoneNumber.parse(self.need(name), fixed_lines=self._fixed_lines)
        except NumberError as error:
            raise NumberInvalid(name, str(error)) from None

    def some_party(self, name: str) -> PhoneNumber | None:
        """
        The number of a party, where one is given.

        Raises:
            NumberInvalid: It is none.
        """
        return self.party(name) if name in self else None

    def parties(self, name: str) -> tuple[PhoneNumber, ...]:
        """
        The numbers of parties, with commas between.

        Raises:
            ParameterMissing: It is not there.
            NumberInvalid: One is none.
        """
        try:
            return parse_members(self.need(name), fixed_lines=self._fixed_lines)
        except NumberError as error:
            raise NumberInvalid(name, str(error)) from None

    def pair(self, name: str) -> tuple[PhoneNumber, PhoneNumber]:
        """
        The numbers of two parties, with a colon between.

        Raises:
            ParameterMissing: It is not there.
            NumberInvalid: They are none.
        """
        try:
            one, _, other = self.need(name).partition(":")
            return (
                PhoneNumber.parse(one, fixed_lines=self._fixed_lines),
                PhoneNumber.parse(other, fixed_lines=self._fixed_lines),
            )
        except NumberError as error:
            raise NumberInvalid(name, str(error)) from None

    def x(self, name: str) -> XNumber | None:
        """
        A 700 number, where one is given.

        Raises:
            ParameterInvalid: It is none.
        """
        return self.read(name, XNumber.parse)

    def need_x(self, name: str) -> XNumber:
        """
        A 700 number that has to be there.

        Raises:
            ParameterMissing: It is not.
            ParameterInvalid: It is none.
        """
        found = self.x(name)
        if found is None:
            raise ParameterMissing(name)
        return found

    def mapping(self, name: str) -> dict[str, Any] | None:
        """
        A JSON object in a text.

        Raises:
            ParameterInvalid: It is none.
        """
        found = self.read(name, _json)
        if found is not None and not isinstance(found, dict):
            raise ParameterInvalid(name, "a JSON object")
        return found

    def rows(self, name: str) -> list["Parameters"]:
        """
        A list of objects: one JSON text, or flat as ``Name.1.Field``, counted from 1.

        Raises:
            ParameterMissing: It is not there.
            ParameterInvalid: It is none.
        """
        if name in self:
            found = self.read(name, _json)
            if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
                raise ParameterInvalid(name, "a JSON list of objects")
            rows = [{key: _plain(value) for key, value in row.items()} for row in found]
        else:
            rows = self._flat(name)
        if not rows:
            raise ParameterMissing(name)
        return [Parameters(row, fixed_lines=self._fixed_lines) for row in rows]

    def _flat(self, name: str) -> list[dict[str, str]]:
        found: dict[int, dict[str, str]] = {}
        for key, value in self._values.items():
            if key.startswith(f"{name}."):
                match = _FLAT.fullmatch(key.removeprefix(f"{name}."))
                if match is None:
                    raise ParameterInvalid(name, f"flat, its rows are {name}.1.Field")
                found.setdefault(int(match[1]), {})[match[2]] = value
        if set(found) != set(range(1, len(found) + 1)):
            raise ParameterInvalid(name, "its rows are counted from 1, and none is left out")
        return [found[place] for place in sorted(found)]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        # Its message quotes nothing, but the exception keeps the whole text.
        raise ValueError("JSON") from None


def _plain(value: Any) -> str:
    """
    A value of a row as the text that it would be by itself.
    """
    return value if isinstance(value, str) else json.dumps(value)

"""
What is in the way of a new route: live bindings, numbers that rest, bindings of other tenants.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from agi_router.bindings.context import BindingContext
from agi_router.bindings.model import BindingId
from agi_router.bindings.routes import RouteRow
from agi_router.bindings.sealed_routes import tags_of_caller
from agi_router.bindings.words import Mode
from agi_router.db.arrays import array_of_integers
from agi_router.errors import BindingConflict, NumberResting
from agi_router.numbers import Block, PhoneNumber, XNumber

__all__ = ["FOREIGN", "RouteConflicts", "place_columns", "until"]

FOREIGN = (
    "bindings of other tenants are on this number, or were not long ago: leave it out, or give"
    " another one"
)
"""
What a tenant is told of a number that others are on: neither who nor by what.
"""


class RouteConflicts(BindingContext):
    """
    How it is found out what is in the way of routes, and said.
    """

    def _resting(self, block: Block, rows: Sequence[RouteRow]) -> NumberResting | None:
        """
        Which places of a new binding's *rows* rest, in words; :obj:`None` if none does.
        """
        found = self._find_rests(block, None, rows, self._quarantine.number)
        words = [
            f"{each['x_number']} rests until {until(each)}, because a binding on it ended"
            if caller is None
            else f"{caller} was on {each['x_number']} by another binding and may not be again"
            f" before {until(each)}"
            for each, caller in found
        ]
        if not words:
            return None
        error = NumberResting("; ".join(words) + "; or choose another number")
        error.until = max(each["until"] for each, _ in found)
        return error

    def _check_foreign(self, *given: XNumber | None) -> None:
        """
        Make sure that a tenant who gives a number learns nothing of others on it.

        Where any are, or were not long ago, it is refused whoever they are: else he could try for
        each party whether it is on the number.

        Raises:
            BindingConflict: There are such.
        """
        numbers = [each.value for each in given if each is not None]
        if self.scope.whole or not numbers:
            return
        values = {
            "x_number": numbers,
            "tenant": self.scope.tenant,
            "memory": self._quarantine.memory,
        }
        for row in self._queries.rows("find_foreign_numbers", values):
            raise BindingConflict(f"{row['x_number']}: {FOREIGN}")

    def _find_rests(
        self, block: Block, binding_id: int | None, rows: Sequence[RouteRow], rest: timedelta
    ) -> list[tuple[dict[str, Any], PhoneNumber | None]]:
        """
        The places of *rows* that rest, each with the party it rests for; none: for everybody.
        """
        places = self._places(rows)
        found = self._queries.rows(
            "find_rests",
            {
                "block": block.value,
                "id": binding_id,
                **place_columns(places),
                "number_quarantine": rest,
                "party_quarantine": self._quarantine.party,
            },
        )
        return [
            (
                each,
                None
                if each["caller_tag"] is None
                else rows[places[each["x_number"], each["caller_tag"]]].caller,
            )
            for each in found
        ]

    def _places(self, rows: Sequence[RouteRow]) -> dict[tuple[int, int], int]:
        """
        Where the callers of *rows* may be found, as numbers and tags under every key: which row.
        """
        return {
            (row.x_number.value, tag): i
            for i, row in enumerate(rows)
            for tag in tags_of_caller(row, self.keys)
        }

    def _conflict(
        self, block: Block, rows: Sequence[RouteRow], constraint: str | None
    ) -> BindingConflict:
        places = self._places(rows)
        held = self._queries.rows(
            "find_conflict",
            {
                "block": block.value,
                "x_number": [x_number for x_number, _ in places],
                "caller_tag": [tag for _, tag in places],
            },
        )
        words = [
            f"{_who(rows[places[each['x_number'], each['caller_tag']]])} is on {each['x_number']}"
            f" already, by binding {BindingId(block, each['binding_id'])}"
            for each in held
        ]
        return BindingConflict(
            "; ".join(words) + "; unbind it, or choose another number" if words else None,
            constraint=constraint,
            bindings=[str(BindingId(block, each["binding_id"])) for each in held],
        )

    def _not_alone(self, mode: Mode, block: Block, rows: Sequence[RouteRow]) -> BindingConflict:
        numbers = [row.x_number.value for row in rows]
        values = {"block": block.value, "x_number": numbers, "mode": mode}
        words = [
            f"{each['x_number']} is in use by binding {BindingId(block, each['binding_id'])}"
            for each in self._queries.rows("find_others", values)
        ]
        return BindingConflict(
            "; ".join(words)
            + "; a number that strangers may call is shared with nobody, by extensions with its"
            " like; choose another number"
            if words
            else None,
            constraint="route_alone",
        )


def place_columns(places: dict[tuple[int, int], int]) -> dict[str, str]:
    """
    Places as columns, those of one row under one number; each an array as text.
    """
    return {
        "place_x": array_of_integers(x_number for x_number, _ in places),
        "place_tag": array_of_integers(tag for _, tag in places),
        "place": array_of_integers(places.values()),
    }


def _who(row: RouteRow) -> str:
    if row.extension is not None:
        return f"extension {row.extension}"
    return "anyone" if row.caller is None else str(row.caller)


def until(rest: dict[str, Any]) -> str:
    """
    Until when one of the places that rest does so, as it is told.
    """
    return rest["until"].isoformat(timespec="seconds")  # type: ignore[no-any-return]

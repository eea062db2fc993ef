"""
``agi-router number-range``: which mobile numbers are people's.
"""

import click

from agi_router.cli.context import read_settings
from agi_router.cli.output import echo_json, echo_table, json_option
from agi_router.number_ranges import NumberRange
from agi_router.numbering import load_ranges, today

__all__ = ["group"]


@click.group("number-range")
def group() -> None:
    """
    Ranges of mobile numbers: the shipped table, with that of AGI_ROUTER_NUMBER_RANGES.
    """


@group.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    r"""
    List the ranges. Of those in force, the longest that a number begins with says what it is.

    \b
    Example:
      agi-router number-range list --json
    """
    ranges = load_ranges(read_settings().number_ranges)
    rows = list(map(_described, ranges.rows))
    if as_json:
        echo_json({"as_of": ranges.as_of, "ranges": rows})
        return
    columns = ("prefix", "kind", "carrier", "from", "until", "in_force", "own", "note")
    echo_table(
        [each.replace("_", " ") for each in columns],
        [[row[each] for each in columns] for row in rows],
        empty="no ranges",
    )


def _described(row: NumberRange) -> dict[str, object]:
    return {
        "prefix": row.prefix,
        "kind": row.kind.value,
        "carrier": row.carrier or None,
        "from": row.since,
        "until": row.until,
        "in_force": row.holds(today()),
        "own": row.own,
        "note": row.note or None,
    }

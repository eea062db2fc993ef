"""
What is wrong with cells and with how they are asked, by what they and the global database say.

Each fault is a line for people: what it is, what it comes of where that is known, and what mends
it. Steps are those of docs/operate-many.md.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

__all__ = ["CUT_OFF_AFTER", "Fault", "judge_cell", "judge_proxy", "tell_unheard"]

CUT_OFF_AFTER: Final = 5.0
"""
Seconds without what is changed in the global database after which a cell counts as cut off.

Its sign of life goes out each second.
"""
# Bytes of WAL that may wait for a cell: more, and it has been away for long.
_MOST_UNSENT: Final = 64 * 2**20
_NAMED: Final = 3


class Fault(NamedTuple):
    """
    Something to be mended.
    """

    fails: bool
    """Whether calls, binds or what is changed for all do not get through."""
    text: str


def judge_proxy(proxy: Mapping[str, Any]) -> Iterator[Fault]:
    """
    What is wrong with how the global database asks its cells.

    Args:
        proxy: The row of ``look_at_proxy``.
    """
    again = "run agi_cells.compose() in the global database, as a superuser"
    if proxy["uncomposed"]:
        yield Fault(
            fails=True,
            text=f"{_some(proxy['uncomposed'])} would run in the global database, where there are"
            f" no rows: {again}",
        )
    if proxy["unconnected"]:
        yield Fault(
            fails=True,
            text=f"{_some(proxy['unconnected'])}: asked elsewhere than agi_cells.cell says, which"
            f" has changed since: {again}",
        )
    if proxy["unpublished"]:
        yield Fault(
            fails=True,
            text=f"{_some(proxy['unpublished'])}: not published to every cell: {again}; then ALTER"
            " PUBLICATION … ADD TABLE, and in the cell ALTER SUBSCRIPTION … REFRESH PUBLICATION",
        )


def judge_cell(
    number: int, seen: Mapping[str, Any], said: Mapping[str, Any], proxy: Mapping[str, Any]
) -> Iterator[Fault]:
    """
    What is wrong with one cell that has answered.

    Args:
        number: Its number.
        seen: Its row of ``look_at_cells``.
        said: Its row of ``look_at_cell``.
        proxy: The row of ``look_at_proxy``.
    """
    if said["number"] != number:
        yield Fault(
            fails=True,
            text=f"it has become cell {said['number']}, so two bindings may have one id: run"
            f" agi_cells.become({number}) in it, before anything is bound there",
        )
    if said["migrations"] != proxy["migrations"]:
        yield Fault(
            fails=True,
            text="it has other tables than the global database: run 'agi-router db migrate' with"
            " the DSN of the older one",
        )
    if differing := _differing(said["functions"], proxy["functions"]):
        yield Fault(
            fails=True,
            text=f"its functions are not those of the global database ({_some(differing)}): run"
            " 'agi-router db migrate' with the DSN of the older one",
        )
    if said["faults"]:
        yield Fault(
            fails=True,
            text=f"not all is in force that makes it a cell ({_some(said['faults'])}): load"
            f" sql/cells/cell.sql there once more, and run agi_cells.become({number})",
        )
    yield from _judge_following(seen, said)


def _judge_following(seen: Mapping[str, Any], said: Mapping[str, Any]) -> Iterator[Fault]:
    """
    Whether what is changed in the global database comes.
    """
    if not said["subscriptions"]:
        yield Fault(fails=True, text=_not_taken("it has no subscription: make it (step 3)"))
    elif not said["enabled"]:
        why = "its subscription is disabled: ALTER SUBSCRIPTION … ENABLE in it"
        yield Fault(fails=True, text=_not_taken(why))
    elif seen["follows"] is None:
        why = "its subscription has no slot here: name it in agi_cells.cell, or make both anew"
        yield Fault(fails=True, text=_not_taken(why))
    elif not (said["works"] and seen["follows"]):
        why = (
            "its subscription does not get through: its server's log says why (the line to the"
            " global database, a password, a row that is there already)"
        )
        yield Fault(fails=True, text=_not_taken(why))
    elif seen["unsent"] > _MOST_UNSENT:
        yield Fault(
            fails=False,
            text=f"{seen['unsent'] // 2**20} MB of what is changed here has not come there yet:"
            " look at its disk, and at the line between the two",
        )
    elif said["heard_ago"] > CUT_OFF_AFTER:
        yield Fault(
            fails=False,
            text=f"it has had no sign of life for {said['heard_ago']:.0f} s: 'agi-router serve"
            " --door http' gives one each second, with the global DSN",
        )


def tell_unheard(seconds: float) -> str:
    """
    What a router of a cell says that has not heard of the global database for so long.
    """
    return (
        f"cell: nothing has come from the global database for {seconds:.0f} s: whoever is locked"
        " or switched off there goes on here; 'agi-router doctor' with the global DSN says why"
    )


def _not_taken(why: str) -> str:
    return f"it takes nothing that is changed for all, locks and tenants that are off: {why}"


def _differing(ours: Sequence[str], theirs: Sequence[str]) -> list[str]:
    """
    The names that are not in both lists with one checksum.
    """
    return sorted({each.split()[0] for each in {*ours} ^ {*theirs}})


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")

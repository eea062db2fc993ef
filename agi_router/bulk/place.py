"""
Where a file may be loaded: into the database that has the rows themselves.

Where that is another one, COPY goes row by row, a transaction does not see what others bind
meanwhile, and what is bound by itself stays though the rest is undone. So nothing is begun there.
"""

from typing import Any

from agi_router.db.connection import Queries
from agi_router.errors import SettingsError

__all__ = ["check_loadable", "check_movable"]


def check_loadable(queries: Queries) -> None:
    """
    Make sure that bindings can be loaded into this database.

    Raises:
        SettingsError: They are in others, those of cells; says what to do.
    """
    place = _find_place(queries)
    if place["elsewhere"]:
        raise SettingsError(
            "AGI_ROUTER_DSN is the global database, and bindings are in its cells"
            f" ({', '.join(place['cells'])}): set it to the database of the cell whose numbers the"
            " file is to have. Nothing was read or bound"
        )


def check_movable(queries: Queries) -> None:
    """
    Make sure that bindings and the old numbers they come from are written in this one database.

    Raises:
        SettingsError: They are not, as there are cells; says what to do.
    """
    place = _find_place(queries)
    if place["elsewhere"] or place["is_cell"]:
        raise SettingsError(
            "old numbers are in the global database, and bindings in its cells: move them by POST"
            " /v1/old-numbers/batch of the HTTP API, which writes to both. Nothing was read or"
            " bound"
        )


def _find_place(queries: Queries) -> dict[str, Any]:
    place = queries.row("find_place", {})
    assert place is not None  # noqa: S101 - the table is there, as the schema was checked
    return place

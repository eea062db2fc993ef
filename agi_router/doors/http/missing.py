"""
Which cells are away: what they have is in no list, and in no answer about all.
"""

from typing import Any, Final

from agi_router.db.connection import Queries

__all__ = ["describe_missing", "find_missing"]

_HEADER: Final = "Missing-Cells"
# Operations beside those that read, that are about what is in all cells.
_OF_ALL: Final = frozenset({"end_order", "search_bindings", "trace_number", "trace_person"})
_ABOUT: Final = (
    "Databases that are away, with commas between them: nothing of theirs is in the answer, and"
    " nothing there was changed. Only where there are such."
)


def find_missing(queries: Queries, method: str, operation: str) -> dict[str, str]:
    """
    The header of an answer that lacks what is in cells that are away; nothing where none is.

    Args:
        queries: Of the database that is asked.
        method: Of the request.
        operation: Its name.

    Raises:
        StoreError: The database does not answer.
    """
    if method != "GET" and operation not in _OF_ALL:
        return {}
    names = [row["name"] for row in queries.rows("list_missing", {})]
    return {_HEADER: ", ".join(names)} if names else {}


def describe_missing(document: dict[str, Any]) -> None:
    """
    Write the header into a document, at the answers that may have it.
    """
    document["components"]["headers"] = {
        _HEADER: {"description": _ABOUT, "schema": {"type": "string"}}
    }
    for item in document["paths"].values():
        for method, operation in item.items():
            if method == "get" or operation["operationId"] in _OF_ALL:
                for status, answer in operation["responses"].items():
                    if status.startswith("2"):
                        answer.setdefault("headers", {})[_HEADER] = {
                            "$ref": f"#/components/headers/{_HEADER}"
                        }

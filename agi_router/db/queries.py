"""
The named queries of ``sql/queries/``, a file a room, by name.
"""

import re
from functools import cache
from importlib.resources import files

__all__ = ["query"]

_HEADER = re.compile(r"^-- (\w+) --$", re.MULTILINE)


@cache
def _queries() -> dict[str, str]:
    found: dict[str, str] = {}
    for file in files("agi_router.sql").joinpath("queries").iterdir():
        parts = _HEADER.split(file.read_text("utf-8"))[1:]
        found |= zip(parts[::2], map(str.strip, parts[1::2]), strict=True)
    return found


def query(name: str) -> bytes:
    """
    The text of one query, ready for psycopg.

    Raises:
        KeyError: There is no query of this name.
    """
    return _queries()[name].encode()

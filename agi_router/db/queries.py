"""
The named queries of ``sql/queries.sql``, by name.
"""

import re
from functools import cache
from importlib.resources import files

__all__ = ["query"]

_HEADER = re.compile(r"^-- (\w+) --$", re.MULTILINE)


@cache
def _queries() -> dict[str, str]:
    text = files("agi_router.sql").joinpath("queries.sql").read_text("utf-8")
    parts = _HEADER.split(text)[1:]
    return dict(zip(parts[::2], map(str.strip, parts[1::2]), strict=True))


def query(name: str) -> bytes:
    """
    The text of one query, ready for psycopg.

    Raises:
        KeyError: There is no query of this name.
    """
    return _queries()[name].encode()

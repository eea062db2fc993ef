"""
The named queries of ``sql/queries/``, a file a room, by name.
"""

import re
from functools import cache
from importlib.resources import files

__all__ = ["query"]

_HEADER = re.compile(rb"^-- \w+ --$", re.MULTILINE)


@cache
def query(name: str) -> bytes:
    """
    The text of one query, ready for psycopg.

    Raises:
        KeyError: There is no query of this name.
    """
    # What nobody asks for is not kept: a router needs few of them, and keeps them for ever.
    for file in files("agi_router.sql").joinpath("queries").iterdir():
        _, found, behind = (b"\n" + file.read_bytes()).partition(f"\n-- {name} --\n".encode())
        if found:
            return _HEADER.split(behind, maxsplit=1)[0].strip()
    raise KeyError(name)

"""
Arrays as PostgreSQL writes them: psycopg takes ten times as long for a long list.
"""

import re
from collections.abc import Iterable

__all__ = ["array_of_integers", "array_of_texts"]

_QUOTED = re.compile(r'["\\]')


def array_of_integers(values: Iterable[int]) -> str:
    """
    Write a ``bigint[]``.
    """
    return "{" + ",".join(map(str, values)) + "}"


def array_of_texts(values: Iterable[str]) -> str:
    """
    Write a ``text[]``.
    """
    return "{" + ",".join(['"' + _QUOTED.sub(r"\\\g<0>", each) + '"' for each in values]) + "}"

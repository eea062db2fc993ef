"""
How many short messages a text is, as carriers and platforms count them.

Source:
    3GPP TS 23.038, 6.2.1 (the alphabet and its extension); TS 23.040, 9.2.3.24.1 (several in one:
    a header of 7 septets, or of 3 UTF-16 units, is taken off each).
"""

from collections.abc import Iterable
from typing import Final

__all__ = ["count_parts"]

# Of the alphabet of seven bits: what takes one septet, and what takes two.
_ONE: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_TWO: Final = frozenset("\f^{}\\[~]|€")
_SEPTETS: Final = (160, 153)
_UNITS: Final = (70, 67)
_SURROGATES: Final = 0x10000


def count_parts(text: str) -> int:
    """
    Count the parts of *text*, 1 or more.

    It goes in the alphabet of seven bits if all of it can, and else in UTF-16. Neither a character
    of two septets nor one of two units is cut.
    """
    if all(character in _ONE or character in _TWO for character in text):
        return _parts((1 + (character in _TWO) for character in text), *_SEPTETS)
    return _parts((1 + (ord(character) >= _SURROGATES) for character in text), *_UNITS)


def _parts(sizes: Iterable[int], single: int, several: int) -> int:
    """
    Into how many parts characters of these sizes go.

    Args:
        sizes: Of each.
        single: What the only part holds.
        several: What each of several parts holds.
    """
    whole, parts, filled = 0, 1, 0
    for size in sizes:
        whole += size
        if filled + size > several:
            parts, filled = parts + 1, 0
        filled += size
    return 1 if whole <= single else parts

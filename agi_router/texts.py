r"""
Texts as people and spreadsheets hand them over: what stands around them, and what nobody sees.

Every door that takes the id of an order or the name of a tenant takes it through
:func:`check_name`, so what was written with a stray space or a mark of direction is found without.

Source:
    Unicode, Default_Ignorable_Code_Point (DerivedCoreProperties.txt), and the categories Cc, Cs,
    Zs, Zl, Zp.
"""

from __future__ import annotations

import re

__all__ = [
    "INVISIBLE",
    "LONGEST_NAME",
    "SHORTENED",
    "check_name",
    "is_shortened",
    "narrow",
    "shown",
    "strip",
]

LONGEST_NAME = 128
"""Characters of an order's id or a tenant's name."""


def _span(first: int, last: int) -> str:
    return "".join(map(chr, range(first, last + 1)))


# Shown as nothing: joiners, marks of direction, fillers, variation selectors, byte order marks.
_IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u3164\ufeff\uffa0"
    + _span(0x180B, 0x180F)
    + _span(0x200B, 0x200F)
    + _span(0x202A, 0x202E)
    + _span(0x2060, 0x206F)
    + _span(0xFE00, 0xFE0F)
)
_TAGS = r"\U000E0000-\U000E0FFF"
_CONTROLS = _span(0x00, 0x1F) + _span(0x7F, 0x9F) + "\u2028\u2029"
# Seen as a space, and another one. The ideographic space is wider, and typed in Chinese.
_SPACES = "\u00a0\u1680" + _span(0x2000, 0x200A) + "\u202f\u205f"
# What str.strip() takes away, and what is shown as nothing; other controls do not come by chance.
_EDGES = " \t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029\u3000" + _IGNORABLE + _SPACES
_UNSEEN = re.compile(rf"[{re.escape(_IGNORABLE + _CONTROLS + _SPACES)}{_TAGS}\ud800-\udfff]")

# What a spreadsheet makes of a long number: 2.02611E+17.
_SHORTENED = re.compile(r"[+-]?[0-9](?:[.,][0-9]+)?[eE]\+[0-9]{1,3}")
# ！ to ～ and the wide space, as they are typed with a Chinese keyboard.
_NARROW = str.maketrans(_span(0xFF01, 0xFF5E) + "\u3000", _span(0x21, 0x7E) + " ")

INVISIBLE = _IGNORABLE
"""
Characters that are shown as nothing.
"""

SHORTENED = (
    "a spreadsheet has shortened it to a form like 2.02E+17, and its last digits are lost:"
    " format the column as text, fill it again from where it came, and save the file anew"
)
"""
What is said of a cell that :func:`is_shortened`.
"""


def strip(text: str) -> str:
    """
    Take away spaces, line ends and invisible characters around *text*.
    """
    # As nearly all are written.
    return text.strip() if text.isascii() else text.strip(_EDGES)


def narrow(text: str) -> str:
    """
    Make letters, digits and signs of full width those of ASCII.
    """
    return text if text.isascii() else text.translate(_NARROW)


def is_shortened(text: str) -> bool:
    """
    Whether *text* is a long number as a spreadsheet shows it: its last digits are not there.
    """
    return _SHORTENED.fullmatch(text) is not None


def check_name(text: str, *, what: str, longest: int) -> str:
    """
    Take what people name things by: stripped, and of characters that can all be seen.

    Args:
        text: What was typed.
        what: What it is, for messages, which quote nothing of it.
        longest: The most characters it may have.

    Raises:
        ValueError: It is empty or too long, holds what cannot be seen, or is shortened.
    """
    name = strip(text)
    if not 1 <= len(name) <= longest:
        raise ValueError(f"{what} has 1 to {longest} characters")
    if is_shortened(name):
        raise ValueError(SHORTENED)
    if found := _UNSEEN.search(name):
        raise ValueError(
            f"{what} holds a character that cannot be seen or told from a space"
            f" (U+{ord(found[0]):04X}, the {found.start() + 1}. of {len(name)}): type it anew"
        )
    return name


def shown(text: str, *, keep: str = "") -> str:
    """
    Text that a terminal shows and does not obey: what cannot be seen is escaped as in JSON.

    Whatever :func:`check_name` takes stays as it is.

    Args:
        text: Of anybody's.
        keep: Characters that stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNSEEN.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def _escape(char: str) -> str:
    digits = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{digits[i : i + 4]}" for i in range(0, len(digits), 4))

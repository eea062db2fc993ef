"""
Phone numbers in what people write: found however they are written, and struck out.

A digit is a digit in any script, of full width, in a circle, or a Chinese numeral. Two kinds of
numbers are looked for:

1. **Those that are given**, of which it is certain that they are to stay hidden: all digits of the
   text one after the other, whatever stands between them, with Chinese numerals and without.
2. **Any other phone number**, a mobile or a fixed line with its area code: groups of digits that
   are nothing else together, with a few signs between them, or with words where each group has two
   digits or more. So an order's number may be taken for one, and one that is part of a longer
   group is not.

Whoever wants to tell a number can: by letters, or half of it in another text.

Source: Unicode, Numeric_Type; the forms of numbers are those of :mod:`agi_router.numbers`.
"""

import itertools
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from agi_router.numbers import PhoneNumber
from agi_router.texts import INVISIBLE

__all__ = ["STRUCK", "holds_number", "strike_numbers"]

STRUCK: Final = "*"
"""What stands for a digit that was struck out."""

_NUMERALS: Final = {
    sign: str(value)
    for value, signs in enumerate(
        ("〇零", "一壹幺弌", "二贰弍", "三叁弎", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖")
    )
    for sign in signs
}
_NUMBER: Final = re.compile(r"(?:(?:00)?86)?(?:0?1[3-9][0-9]{9}|0[1-9][0-9]{8,10})")
_LONGEST: Final = 16
_SHORTEST: Final = 10
# Characters between two groups of digits: signs and spaces; with words among them.
_SIGNS: Final = 3
_WORDS: Final = 16
# Of numbers within numbers: those that are looked at before each digit is struck out.
_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class _Digit:
    place: int
    value: str
    numeral: bool


# Digits that stand side by side.
_Group: TypeAlias = tuple[_Digit, ...]


def holds_number(body: str, parties: Collection[PhoneNumber]) -> bool:
    """
    Whether a text tells a phone number.

    Args:
        body: What it says.
        parties: Whose numbers are looked for most carefully.
    """
    return next(_find(body, parties), None) is not None


def strike_numbers(body: str, parties: Collection[PhoneNumber]) -> str:
    """
    What a text says, with each digit of a phone number struck out; as many characters as before.

    Args:
        body: What it says.
        parties: Whose numbers are looked for most carefully.
    """
    # What was around a number that is struck out may be one.
    for _ in range(_ROUNDS):
        places = {place for found in _find(body, parties) for place in found}
        if not places:
            return body
        body = _strike(body, places)
    # Nobody writes so but to cost us time.
    return _strike(body, {each.place for each in _digits(body)})


def _strike(body: str, places: Collection[int]) -> str:
    return "".join(STRUCK if n in places else char for n, char in enumerate(body))


def _find(body: str, parties: Collection[PhoneNumber]) -> Iterator[list[int]]:
    """
    The places of the digits of each phone number.
    """
    digits = list(_digits(body))
    if len(digits) < _SHORTEST:
        return
    plain = [each for each in digits if not each.numeral]
    for party in parties:
        for row in (digits, plain):
            yield from _find_party(row, party.digits)
    for row in (digits, plain):
        yield from _find_any(body, row)


def _digits(body: str) -> Iterator[_Digit]:
    for place, char in enumerate(body):
        if "0" <= char <= "9":
            yield _Digit(place, char, numeral=False)
        elif char >= "\x80":
            numeral = _NUMERALS.get(char)
            value = unicodedata.digit(char, None)
            if numeral is not None:
                yield _Digit(place, numeral, numeral=True)
            elif value is not None:
                yield _Digit(place, str(value), numeral=False)


def _find_party(row: Sequence[_Digit], number: str) -> Iterator[list[int]]:
    values = "".join(each.value for each in row)
    start = values.find(number)
    while start >= 0:
        yield [each.place for each in row[start : start + len(number)]]
        start = values.find(number, start + 1)


def _find_any(body: str, row: Sequence[_Digit]) -> Iterator[list[int]]:
    groups = list(_groups(row))
    near = [_are_near(body, one, other) for one, other in itertools.pairwise(groups)]
    for first in range(len(groups)):
        found: _Group = ()
        for last in range(first, len(groups)):
            if last > first and not near[last - 1]:
                break
            found += groups[last]
            if len(found) > _LONGEST:
                break
            if _NUMBER.fullmatch("".join(each.value for each in found)):
                yield [each.place for each in found]


def _groups(row: Sequence[_Digit]) -> Iterator[_Group]:
    group: list[_Digit] = []
    for each in row:
        if group and each.place > group[-1].place + 1:
            yield tuple(group)
            group = []
        group.append(each)
    if group:
        yield tuple(group)


def _are_near(body: str, one: _Group, other: _Group) -> bool:
    """
    Whether two groups that follow each other may be of one number.
    """
    between = body[one[-1].place + 1 : other[0].place]
    seen = [char for char in between if char not in INVISIBLE]
    if len(seen) <= _SIGNS and not any(map(str.isalnum, seen)):
        return True
    return len(seen) <= _WORDS and min(len(one), len(other)) > 1

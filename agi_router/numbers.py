r"""
Numbers: text in, a 700 number or a party's real number out.

1. Nothing downstream of ``parse`` handles a raw string: :class:`XNumber`, :class:`Block` and
   :class:`PhoneNumber` are types, and a value of one of them is canonical.
2. ``parse`` is total over :class:`str`: it returns a value or raises :exc:`NumberError`,
   nothing else.
3. A message tells the shape that came (how many digits, which kind), never a digit of it.
4. A real number shows itself masked wherever Python turns it into text (``str``, ``repr``,
   ``format``). Only :attr:`PhoneNumber.digits` gives it in full; grep for ``.digits``.
5. What a number looks like is judged here, and whose its range is by :mod:`.number_ranges`, where
   a text is read: what was sealed once opens, whatever became of its range.
6. Characters are an allow-list. ``str.isdigit`` and ``\d`` are not used: both take digits of
   other scripts, the first takes superscripts too.

Source:
    MIIT notice on the 700 range: 15 digits in use, 11 managed. Draft standard 号码保护服务业务
    技术要求: 700, operator 1, platform 7, serial 4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from agi_router.errors import NumberError, NumberFault
from agi_router.number_ranges import ANY_MOBILE, RangesInForce
from agi_router.texts import INVISIBLE, SHORTENED, is_shortened, strip

__all__ = [
    "BLOCK_SIZE",
    "Block",
    "NumberFault",
    "PhoneNumber",
    "XNumber",
    "is_extension",
    "is_withheld",
    "judge_by",
    "judged_by",
    "parse_members",
    "parse_old_number",
]

BLOCK_SIZE = 10_000
"""
Numbers in a block.
"""

_RANGE = 700
_MOBILE_LENGTH = 11

_SPACES = "\u0020\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_DASHES = "\u002d\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_PARENTHESES = "\u0028\u0029\uff08\uff09"
_FULL_WIDTH = "".join(map(chr, range(0xFF10, 0xFF1A))) + "\uff0b"

_CANONICAL = str.maketrans(
    _FULL_WIDTH, "0123456789+", _SPACES + _DASHES + _PARENTHESES + INVISIBLE
)

_DIGITS = re.compile(r"\+?[0-9]+")
_MOBILE = re.compile(r"1[3-9][0-9]{9}")
# As trunks write nearly all of them, and parse() would read them just so.
_TOLD_MOBILE = re.compile(r"(?:\+86)?(1[3-9][0-9]{9})")
_TOLD_700 = re.compile(r"(?:\+?86)?(700[0-9]{12})")
# Area codes are 010, 02x and 03xx to 09xx; none begins 013 to 019, so a mobile number with the
# long-distance 0 in front of it is never mistaken for a fixed line.
_FIXED = re.compile(r"0(?:10|2[0-9]|[3-9][0-9]{2})[1-9][0-9]{6,7}")

_ANY_700 = re.compile(r"(?:\+|00)?(?:86)?700[0-9]{12}")
# Without + or 00, 86 is the country code only if a whole number follows.
_MAINLAND = re.compile(r"(?:\+86|0086|86(?=[0-9]{10}))0?([0-9]*)")

# What a trunk puts before a number of the country; without + or 00 a whole number follows.
_OLD_ABROAD = re.compile(r"^(?:\+86|0086|86(?=[0-9]{10}))")
_OLD = re.compile(r"[0-9]{3,20}")

_WITHHELD = frozenset({"anonymous", "private", "restricted", "unavailable", "unknown"})


class _InForce:
    ranges = ANY_MOBILE


def judge_by(ranges: RangesInForce) -> None:
    """
    Take mobile numbers for people's that *ranges* say are: from now on, in all of this process.
    """
    _InForce.ranges = ranges


def judged_by() -> RangesInForce:
    """
    What says which mobile numbers are people's.
    """
    return _InForce.ranges


def _compact(text: str) -> str:
    """
    Take the grouping out of *text* and make its digits ASCII.

    Returns:
        One or more digits, perhaps with a ``+`` in front.

    Raises:
        NumberError: ``EMPTY`` or ``NOT_DIGITS``.
    """
    if not strip(text):
        raise NumberError(NumberFault.EMPTY, "the number is empty")
    if is_shortened(text):
        raise NumberError(NumberFault.NOT_DIGITS, SHORTENED)
    compact = text.translate(_CANONICAL)
    if _DIGITS.fullmatch(compact) is None:
        raise NumberError(
            NumberFault.NOT_DIGITS,
            "a number is written with digits, spaces, hyphens, parentheses and a + in front;"
            " got something else",
        )
    return compact


def _managed(text: str, *, length: int, what: str) -> int:
    """
    Read *length* digits beginning 700, with or without the country code.

    *what* names them in messages. Raises :exc:`NumberError`.
    """
    compact = _compact(text)
    for prefix in ("+86", "0086", "86"):
        if compact.startswith(prefix):
            compact = compact.removeprefix(prefix)
            break
    # A text that is too short to tell is too short.
    if not compact.startswith("700"[: len(compact)]):
        raise NumberError(NumberFault.NOT_700, f"{what} begins with 700; got something else")
    if len(compact) != length:
        short = len(compact) < length
        raise NumberError(
            NumberFault.TOO_SHORT if short else NumberFault.TOO_LONG,
            f"{what} has {length} digits; got {len(compact)}",
        )
    return int(compact)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class XNumber:
    """
    A 700 number: the one that the public dials and sees. Not a secret.

    Attributes:
        value: The number as an integer of exactly 15 digits beginning 700.

    Raises:
        NumberError: ``NOT_700``, where *value* is anything else.
    """

    value: int

    def __post_init__(self) -> None:
        if self.value // 10**12 != _RANGE:
            raise NumberError(NumberFault.NOT_700, "a 700 number has 15 digits beginning 700")

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read a 700 number as people and trunks write it.

        Args:
            text: ``700…``, ``86700…``, ``+86700…`` or ``0086700…``, grouped or not.

        Raises:
            NumberError: ``EMPTY``, ``NOT_DIGITS``, ``NOT_700``, ``TOO_SHORT`` or ``TOO_LONG``.
        """
        if told := _TOLD_700.fullmatch(text):
            return cls(value=int(told[1]))
        return cls(value=_managed(text, length=15, what="a 700 number"))

    @classmethod
    def from_int(cls, value: int) -> Self:
        """
        Take a 700 number as the store keeps it.

        Raises:
            NumberError: ``NOT_700``, where *value* is not 15 digits beginning 700.
        """
        return cls(value=value)

    @property
    def digits(self) -> str:
        """
        The 15 digits.
        """
        return str(self.value)

    @property
    def block(self) -> Block:
        """
        The managed block, its first 11 digits: the shard key.
        """
        return Block(value=self.value // BLOCK_SIZE)

    @property
    def serial(self) -> int:
        """
        The place in the block, 0 to 9999: its last four digits.
        """
        return self.value % BLOCK_SIZE

    @property
    def operator(self) -> str:
        """
        The operator digit, the one after 700.
        """
        return self.digits[3]

    def __str__(self) -> str:
        return self.digits


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Block:
    """
    A managed block as the ministry assigns it: 10,000 numbers.

    Attributes:
        value: The block as an integer of exactly 11 digits beginning 700.

    Raises:
        NumberError: ``NOT_700``, where *value* is anything else.
    """

    value: int

    def __post_init__(self) -> None:
        if self.value // 10**8 != _RANGE:
            raise NumberError(NumberFault.NOT_700, "a block has 11 digits beginning 700")

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read a block, in the spellings of :meth:`XNumber.parse`.

        Raises:
            NumberError: ``EMPTY``, ``NOT_DIGITS``, ``NOT_700``, ``TOO_SHORT`` or ``TOO_LONG``.
        """
        return cls(value=_managed(text, length=11, what="a block"))

    @property
    def digits(self) -> str:
        """
        The 11 digits.
        """
        return str(self.value)

    @property
    def operator(self) -> str:
        """
        The operator digit, the one after 700.
        """
        return self.digits[3]

    def number(self, serial: int) -> XNumber:
        """
        Return the 700 number at *serial*.

        Raises:
            ValueError: *serial* is not 0 to 9999.
        """
        if not 0 <= serial < BLOCK_SIZE:
            raise ValueError("a serial is 0 to 9999")
        return XNumber(value=self.value * BLOCK_SIZE + serial)

    def __str__(self) -> str:
        return self.digits


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PhoneNumber:
    """
    A party's real number: a mainland mobile, or a fixed line where they are allowed.

    Attributes:
        digits: The national form as dialled: 11 digits beginning 13 to 19, or a fixed line of
            10 to 12 digits with its 0 and area code. **The secret of the whole service**:
            everything else here is masked.

    Raises:
        NumberError: ``NOT_MOBILE``, where *digits* is anything else.
    """

    digits: str

    def __post_init__(self) -> None:
        if not (_MOBILE.fullmatch(self.digits) or _FIXED.fullmatch(self.digits)):
            raise NumberError(
                NumberFault.NOT_MOBILE, "not the national form of a mobile or a fixed line"
            )

    @classmethod
    def parse(cls, text: str, *, fixed_lines: bool = False) -> Self:
        """
        Read a party's number as people and trunks write it.

        Args:
            text: A mobile number, with or without ``+86``, ``0086``, ``86`` or the
                long-distance ``0`` in front, grouped or not. A fixed line needs its area code.
            fixed_lines: Accept fixed lines. Off for the 700 service, which speaks of real-named
                mobiles.

        Raises:
            NumberError: ``EMPTY``, ``WITHHELD``, ``NOT_DIGITS``, ``IS_700``, ``FOREIGN``,
                ``FIXED_LINE``, ``TOO_SHORT``, ``TOO_LONG``, ``NOT_MOBILE`` or ``OTHER_RANGE``.
        """
        if told := _TOLD_MOBILE.fullmatch(text):
            return cls._of_a_person(told[1])
        if is_withheld(text):
            raise NumberError(NumberFault.WITHHELD, "the number is withheld")
        compact = _compact(text)
        if _ANY_700.fullmatch(compact):
            raise NumberError(NumberFault.IS_700, "a party needs its own number; got a 700 number")
        if match := _MAINLAND.fullmatch(compact):
            national, fixed = match[1], f"0{match[1]}"
        elif compact.startswith(("+", "00")):
            raise NumberError(
                NumberFault.FOREIGN,
                "a mainland number is needed; got one with another country code",
            )
        else:
            national, fixed = compact.removeprefix("0"), compact
        if _MOBILE.fullmatch(national):
            return cls._of_a_person(national)
        if _FIXED.fullmatch(fixed):
            if fixed_lines:
                return cls(digits=fixed)
            raise NumberError(
                NumberFault.FIXED_LINE, "a mobile number is needed; got a fixed line"
            )
        expected = "a mobile number has 11 digits beginning 13 to 19; got"
        if len(national) == _MOBILE_LENGTH:
            raise NumberError(NumberFault.NOT_MOBILE, f"{expected} 11 beginning otherwise")
        short = len(national) < _MOBILE_LENGTH
        raise NumberError(
            NumberFault.TOO_SHORT if short else NumberFault.TOO_LONG,
            f"{expected} {len(national)} digits",
        )

    @classmethod
    def _of_a_person(cls, digits: str) -> Self:
        if not _InForce.ranges.is_mobile(digits):
            raise NumberError(
                NumberFault.OTHER_RANGE,
                "a person's mobile number is needed; by its range it is a"
                f" {_InForce.ranges.kind_of(digits)} number ('agi-router number-range list')",
            )
        return cls(digits=digits)

    @property
    def is_mobile(self) -> bool:
        """
        Whether this is a mobile number and not a fixed line.
        """
        return self.digits.startswith("1")

    @property
    def masked(self) -> str:
        """
        The form for display: at least four digits hidden, at most seven shown.
        """
        hidden = max(4, len(self.digits) - 7)
        return self.digits[:3] + "*" * hidden + self.digits[3 + hidden :]

    def __str__(self) -> str:
        return self.masked

    def __repr__(self) -> str:
        return f"<PhoneNumber {self.masked}>"

    def __format__(self, spec: str) -> str:
        return format(self.masked, spec)


# Between members of a group, as people part what they list.
_BETWEEN = re.compile(r"[、；;，,/\r\n]+")


def parse_members(text: str, *, fixed_lines: bool = False) -> tuple[PhoneNumber, ...]:
    """
    Read a list of parties' numbers; ``、；;，,/``, line ends or spaces stand between them.

    Raises:
        NumberError: See :meth:`PhoneNumber.parse`; also where there is no number in it.
    """
    pieces = [piece for piece in _BETWEEN.split(text) if strip(piece)]
    if not pieces:
        raise NumberError(NumberFault.EMPTY, "the number is empty")
    return tuple(
        number for piece in pieces for number in _parse_piece(piece, fixed_lines=fixed_lines)
    )


def _parse_piece(piece: str, *, fixed_lines: bool) -> list[PhoneNumber]:
    """
    Read one number, whose spaces group its digits, or several that have spaces between them.
    """
    try:
        return [PhoneNumber.parse(piece, fixed_lines=fixed_lines)]
    except NumberError:
        try:
            return [PhoneNumber.parse(word, fixed_lines=fixed_lines) for word in piece.split()]
        except NumberError:
            # Its parts are none either: what is wrong is wrong with the whole.
            pass
        raise


_EXTENSION = re.compile(r"[0-9]{1,4}")


def is_extension(text: str) -> bool:
    """
    Whether *text* is an extension behind a 700 number: 1 to 4 digits. Never raises.
    """
    return _EXTENSION.fullmatch(text) is not None


def is_withheld(text: str) -> bool:
    """
    Whether *text* is a word that networks put in place of a number that is hidden. Never raises.
    """
    return text.strip().lower() in _WITHHELD


def parse_old_number(text: str) -> str:
    """
    Read a middle number of before the move to 700, as a trunk or a file may write it.

    It was given to a platform and is nobody's own, so it is text: 3 to 20 digits, as people dial
    it within the country.

    Raises:
        NumberError: It is no number, or a 700 number.
    """
    compact = _compact(text)
    if _ANY_700.fullmatch(compact):
        raise NumberError(NumberFault.IS_700, "a 700 number is none of before the move to 700")
    digits = _OLD_ABROAD.sub("", compact)
    if _OLD.fullmatch(digits) is None:
        raise NumberError(
            NumberFault.OTHER_RANGE, "a middle number of before has 3 to 20 digits, and no other +"
        )
    return digits

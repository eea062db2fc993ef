"""
Leaks: a party's number or name in what the other party's phone received, however it is written.

1. The search is over raw bytes: a leak in a body or a broken header is a leak.
2. Rather one false alarm than one leak missed: no context makes a spelling harmless.
3. A finding names the secret masked. What is printed about a leak must not be the next one.
"""

from __future__ import annotations

import base64
import enum
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

__all__ = ["Leak", "Spelling", "find_leaks", "mask"]

# Between two digits of a grouped number. No line ends: the next header is another text.
_GAP = rb"(?:[ \t.,()/_-]|%20|%28|%29|%2D|%2E|\xc2\xa0|\xe2\x80[\x90-\x95]){0,3}"
_LAST_DIGITS = 8
# In base64 the letters at either end hold bits of the neighbours; what is left of a shorter name
# may occur anywhere.
_SHORTEST_IN_BASE64 = 6
_LONG_DIGITS = re.compile(r"(?<!\d)\d{7,}(?!\d)")
_X_NUMBER = re.compile(r"700\d{12}")


class Spelling(enum.Enum):
    """How a secret was written."""

    PLUS_86 = "with +86"
    ZERO_ZERO_86 = "with 0086"
    WITH_86 = "with 86"
    AS_TYPED = "as typed"
    ESCAPED = "%-escaped"
    GROUPED = "grouped"
    REVERSED = "reversed"
    LAST_EIGHT = "last eight digits"
    HEX = "in hexadecimal"
    BASE64 = "in base64"
    PACKED = "two digits in a byte"
    SOURCE = "as a source"
    NAME = "name"
    NAME_ESCAPED = "name, escaped"
    NAME_HEX = "name, in hexadecimal"
    NAME_BASE64 = "name, in base64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """
    One place in which a secret is written.

    Attributes:
        secret: The number masked, or the first letter of the name.
        spelling: How it is written there.
        offset: Where it begins, in bytes.
    """

    secret: str
    spelling: Spelling
    offset: int

    def __str__(self) -> str:
        return f"{self.secret} {self.spelling.value}, at byte {self.offset}"


def mask(text: str) -> str:
    """
    Hide all but three and four digits of every number of seven and more in *text*.

    A 700 number, 15 digits, is nobody's real number and stays as it is. A shorter run than eleven
    digits shows its last two digits only.
    """

    def hidden(match: re.Match[str]) -> str:
        digits = match[0]
        if _X_NUMBER.fullmatch(digits):
            return digits
        head, tail = (3, 4) if len(digits) > _LAST_DIGITS + 2 else (0, 2)
        return digits[:head] + "*" * (len(digits) - head - tail) + digits[-tail:]

    return _LONG_DIGITS.sub(hidden, text)


def find_leaks(
    received: bytes, *, numbers: Iterable[str], names: Iterable[str] = ()
) -> list[Leak]:
    """
    Find every spelling of the other party's *numbers* and *names* in *received*.

    Args:
        received: All bytes that one party's phone received.
        numbers: The other party's numbers, in any form with at least seven digits.
        names: The other party's names, at least two letters each; case does not count. They are
            looked for in UTF-8 and, where it has their letters, in GBK.

    Returns:
        The findings in the order of their place. One place counts once, by its most telling
        spelling.

    Raises:
        ValueError: A number or a name is too short to be searched for: a search that cannot find
            anything, or finds it everywhere, must not pass for a clean one.
    """
    leaks = [leak for number in numbers for leak in _of_number(received, number)]
    leaks += [leak for name in names for leak in _of_name(received, name)]
    return sorted(leaks, key=lambda leak: (leak.offset, leak.secret, leak.spelling.value))


def _of_number(received: bytes, number: str) -> Iterable[Leak]:
    digits = re.sub("[^0-9]", "", number)
    digits = digits.removeprefix("00")
    # 86 in front of eleven digits is the country; 86 may also begin a short number.
    if digits.startswith("86") and len(digits) > len("13800000001"):
        digits = digits[2:]
    if len(digits) < 7:  # noqa: PLR2004
        raise ValueError("a number to search for has at least seven digits")
    plain = digits.encode()
    last = plain[-_LAST_DIGITS:]
    spelt = {
        Spelling.PLUS_86: rb"\+86" + plain,
        Spelling.ZERO_ZERO_86: rb"0086" + plain,
        Spelling.WITH_86: rb"86" + plain,
        Spelling.AS_TYPED: plain,
        Spelling.ESCAPED: _escapable(plain),
        Spelling.GROUPED: _escapable(plain, between=_GAP),
        Spelling.REVERSED: _escapable(plain[::-1], between=_GAP),
    }
    if len(digits) > _LAST_DIGITS:
        spelt[Spelling.LAST_EIGHT] = _escapable(last, between=_GAP)
    # Whatever stands in front of the last digits is encoded together with them.
    spelt[Spelling.HEX] = _hexadecimal(last)
    spelt[Spelling.BASE64] = _in_base64(last)
    return _search(received, mask(digits), spelt)


def _of_name(received: bytes, name: str) -> Iterable[Leak]:
    if len(name.strip()) < 2:  # noqa: PLR2004
        raise ValueError("a name to search for has at least two letters")
    # Case beyond ASCII: the bytes of both cases, since the search is over bytes.
    cases = {name.strip(), name.strip().lower(), name.strip().upper()}
    forms = sorted({form for case in cases for form in _encoded(case)})
    spelt = {
        Spelling.NAME: rb"(?i:" + b"|".join(map(re.escape, forms)) + rb")",
        Spelling.NAME_ESCAPED: b"|".join(
            [*map(_escapable, forms), *(_references(case) for case in sorted(cases))]
        ),
        Spelling.NAME_HEX: b"|".join(map(_hexadecimal, forms)),
    }
    if any(len(form) >= _SHORTEST_IN_BASE64 for form in forms):
        spelt[Spelling.NAME_BASE64] = b"|".join(
            _in_base64(form) for form in forms if len(form) >= _SHORTEST_IN_BASE64
        )
    return _search(received, f"{name.strip()[0]}…", spelt)


def _encoded(name: str) -> Iterable[bytes]:
    """Yield *name* in UTF-8, and in GBK where that differs and has its letters."""
    yield name.encode()
    if not name.isascii():
        with suppress(UnicodeEncodeError):
            yield name.encode("gbk")


def _escapable(text: bytes, *, between: bytes = b"") -> bytes:
    r"""
    Return a pattern for *text* with gaps in *between*.

    Any byte may be written as in a URI (%31), in quoted-printable (=31), or with a backslash
    (\x31); a digit may be full-width.
    """
    return between.join(
        rb"(?i:"
        + re.escape(text[i : i + 1])
        + rb"|(?:%%|=|\\x)%02x%s)" % (text[i], _wide(text[i]))
        for i in range(len(text))
    )


def _wide(byte: int) -> bytes:
    """Return the other choice where *byte* is a digit: U+FF10 to U+FF19 in UTF-8."""
    return rb"|\xef\xbc\x%02x" % (byte + 0x60) if byte in b"0123456789" else b""


def _references(name: str) -> bytes:
    r"""Return a pattern for *name*, each letter as in JSON (\u6797) or in XML (&#26519;)."""
    return b"".join(
        rb"(?i:\\u%04x|&\#%d;|&\#x0*%x;)" % (ord(letter), ord(letter), ord(letter))
        for letter in name
    )


def _hexadecimal(text: bytes) -> bytes:
    """Return a pattern for the bytes of *text* in hexadecimal, set apart or not."""
    return rb"(?i:" + b"[ :]?".join(b"%02x" % byte for byte in text) + b")"


def _in_base64(text: bytes) -> bytes:
    """
    Return a pattern for *text* somewhere within a text in base64, either alphabet.

    Three bytes are four letters, so there are three ways for it to lie; a letter at either end
    that holds bits of the text around it is left out.
    """
    ways = []
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + text).rstrip(b"=")
        cut = 0 if (shift + len(text)) % 3 == 0 else 1
        inner = coded[(0, 2, 3)[shift] : len(coded) - cut]
        ways.append(re.escape(inner).replace(rb"\+", b"[+-]").replace(b"/", b"[/_]"))
    return b"|".join(ways)


def _search(received: bytes, secret: str, spelt: dict[Spelling, bytes]) -> Iterable[Leak]:
    pattern = b"|".join(b"(?P<%s>%s)" % (kind.name.encode(), p) for kind, p in spelt.items())
    for match in re.finditer(pattern, received):
        yield Leak(secret=secret, spelling=Spelling[str(match.lastgroup)], offset=match.start())

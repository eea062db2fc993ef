"""
Texts and the octets that stand for them in short messages.

Rules for the editor:

1. Nothing is replaced: a text that a coding does not have is not written in it, and octets that
   are no text in theirs are refused.
2. The seven-bit alphabet is written one character an octet, as SMPP does. A character of its
   extension takes two; they are never parted.

Source:
    3GPP TS 23.038, 4 (data coding), 6.2.1 (default alphabet and extension); SMPP v3.4, 5.2.19.
    15 is reserved in SMPP; in China it is GB18030 (``Msg_Fmt`` 15 of CMPP).
"""

from enum import IntEnum, StrEnum
from typing import Final

from .errors import BadText

__all__ = ["Alphabet", "Coding", "decode", "encode", "is_seven_bit"]

_BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPE: Final = 0x1B
_EXTENSION: Final = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}
_OCTETS: Final[dict[str, bytes]] = {
    **{each: bytes((place,)) for place, each in enumerate(_BASIC) if place != _ESCAPE},
    **{each: bytes((_ESCAPE, place)) for place, each in _EXTENSION.items()},
}


class Coding(IntEnum):
    """
    ``data_coding``: what octets stand for.
    """

    DEFAULT = 0
    """The alphabet of the message centre; see :class:`Alphabet`."""
    ASCII = 1
    LATIN1 = 3
    UCS2 = 8
    """UTF-16BE: surrogate pairs are written too, as phones do."""
    GB18030 = 15


class Alphabet(StrEnum):
    """
    What a message centre takes :attr:`Coding.DEFAULT` for.
    """

    GSM7 = "gsm7"
    LATIN1 = "latin1"
    ASCII = "ascii"


_CODECS: Final = {
    Coding.ASCII: "ascii",
    Coding.LATIN1: "latin-1",
    Coding.UCS2: "utf-16-be",
    Coding.GB18030: "gb18030",
}


def is_seven_bit(text: str) -> bool:
    """
    Whether the default alphabet of GSM has all of a text.
    """
    return all(each in _OCTETS for each in text)


def encode(text: str, coding: Coding, *, default: Alphabet = Alphabet.GSM7) -> bytes:
    """
    The octets of a text.

    Args:
        text: It.
        coding: Which are asked for.
        default: What the message centre takes :attr:`Coding.DEFAULT` for.

    Raises:
        BadText: The coding does not have all of it.
    """
    if coding is Coding.DEFAULT and default is Alphabet.GSM7:
        try:
            return b"".join([_OCTETS[each] for each in text])
        except KeyError:
            raise BadText("a character is not in the alphabet of GSM") from None
    try:
        return text.encode(_codec(coding, default))
    except UnicodeEncodeError:
        raise BadText(f"a character is not in {coding.name}") from None


def decode(octets: bytes, data_coding: int, *, default: Alphabet = Alphabet.GSM7) -> str:
    """
    The text that octets stand for.

    Args:
        octets: All of it: of a long one the parts are joined before.
        data_coding: As it came.
        default: What the message centre takes :attr:`Coding.DEFAULT` for.

    Raises:
        BadText: They are no text in this coding, or it is none of ours.
    """
    try:
        coding = Coding(data_coding)
    except ValueError:
        raise BadText(f"data_coding {data_coding} is not known here") from None
    if coding is Coding.DEFAULT and default is Alphabet.GSM7:
        return _decode_gsm(octets)
    try:
        return octets.decode(_codec(coding, default))
    except UnicodeDecodeError:
        raise BadText(f"octets are no text in {coding.name}") from None


def _codec(coding: Coding, default: Alphabet) -> str:
    if coding is Coding.DEFAULT:
        coding = Coding.LATIN1 if default is Alphabet.LATIN1 else Coding.ASCII
    return _CODECS[coding]


def _decode_gsm(octets: bytes) -> str:
    found = []
    rest = iter(octets)
    for octet in rest:
        if octet >= len(_BASIC):
            raise BadText("an octet is not in the alphabet of GSM")
        if octet != _ESCAPE:
            found.append(_BASIC[octet])
            continue
        following = next(rest, None)
        # What an extension does not have is the character of the basic table; an escape that
        # nothing follows, or another one, is a space (6.2.1.1).
        if following is None or following == _ESCAPE:
            found.append(" ")
        elif following in _EXTENSION:
            found.append(_EXTENSION[following])
        elif following < len(_BASIC):
            found.append(_BASIC[following])
        else:
            raise BadText("an octet is not in the alphabet of GSM")
    return "".join(found)

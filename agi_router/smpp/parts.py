"""
Long texts: how one is cut into short messages, and how its parts are known and joined.

Rules for the editor:

1. A text is cut between characters: neither a surrogate pair nor an escaped one is parted.
2. Parts are joined by octets and decoded after that: others cut where they like.

Source:
    3GPP TS 23.040, 9.2.3.24 (user data header), 9.2.3.24.1 and .8 (concatenation, 8 and 16 bits);
    SMPP v3.4, 5.3.2.22 to .24 (SAR), 5.3.2.32 (message_payload).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from .codings import Alphabet, Coding, encode, is_seven_bit
from .errors import BadPdu, BadText
from .wire import Address, ShortMessage, Tag

__all__ = ["Part", "Splitting", "choose_coding", "cut", "join", "messages_of", "part_of"]

_UDHI: Final = 0x40
_SHORT: Final = 140
_SHORT_GSM: Final = 160
# What a header of six octets leaves: of 160 septets its seven come off.
_PART: Final = 134
_PART_GSM: Final = 153
_BY_8, _BY_16 = 0x00, 0x08
_MOST: Final = 255


class Splitting(StrEnum):
    """
    How a text that is too long for one message goes out.
    """

    UDH = "udh"
    """In parts, with a header in the text of each."""
    SAR = "sar"
    """In parts, with optional parameters."""
    PAYLOAD = "payload"
    """As one, in ``message_payload``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """
    A message that came, or a part of one.
    """

    reference: int = 0
    """What all parts of a text have alike."""
    total: int = 1
    number: int = 1
    """Its place, from 1."""
    data_coding: int
    octets: bytes = field(repr=False)


def choose_coding(text: str, default: Alphabet) -> Coding:
    """
    The coding that every phone reads, and takes the least for a text.
    """
    if default is Alphabet.GSM7:
        return Coding.DEFAULT if is_seven_bit(text) else Coding.UCS2
    try:
        encode(text, Coding.DEFAULT, default=default)
    except BadText:
        return Coding.UCS2
    return Coding.DEFAULT


def cut(text: str, coding: Coding, *, default: Alphabet = Alphabet.GSM7) -> list[bytes]:
    """
    Octets of the messages that a text takes; one, where it fits.

    Raises:
        BadText: The coding does not have all of it.
    """
    gsm = coding is Coding.DEFAULT and default is Alphabet.GSM7
    whole = encode(text, coding, default=default)
    if len(whole) <= (_SHORT_GSM if gsm else _SHORT):
        return [whole]
    room = _PART_GSM if gsm else _PART
    pieces = [b""]
    for each in text:
        octets = encode(each, coding, default=default)
        if len(pieces[-1]) + len(octets) > room:
            pieces.append(b"")
        pieces[-1] += octets
    return pieces


def messages_of(
    text: str,
    *,
    source: Address,
    destination: Address,
    reference: int,
    splitting: Splitting = Splitting.UDH,
    default: Alphabet = Alphabet.GSM7,
    most: int = 10,
    validity: str = "",
    registered_delivery: int = 1,
) -> list[ShortMessage]:
    """
    The messages that a text goes out in, in order.

    Args:
        text: It.
        source: Whom it is shown to come from.
        destination: Whom it goes to.
        reference: What its parts have alike, 0 to 255; another one for each text to a receiver.
        splitting: How a long one goes out.
        default: What the message centre takes :attr:`Coding.DEFAULT` for.
        most: Parts that it may take.
        validity: ``validity_period``.
        registered_delivery: 1: a receipt is asked for; 0: none.

    Raises:
        BadText: It takes more parts.
    """
    coding = choose_coding(text, default)
    pieces = cut(text, coding, default=default)
    if len(pieces) > min(most, _MOST):
        raise BadText(f"the text takes {len(pieces)} messages, and {most} are allowed")

    def message(
        octets: bytes, parameters: tuple[tuple[int, bytes], ...] = (), esm_class: int = 0
    ) -> ShortMessage:
        return ShortMessage(
            source=source,
            destination=destination,
            esm_class=esm_class,
            data_coding=coding,
            octets=octets,
            validity=validity,
            registered_delivery=registered_delivery,
            parameters=parameters,
        )

    if len(pieces) == 1:
        return [message(pieces[0])]
    total = len(pieces)
    if splitting is Splitting.PAYLOAD:
        return [message(b"", ((Tag.MESSAGE_PAYLOAD, b"".join(pieces)),))]
    if splitting is Splitting.SAR:
        return [
            message(
                octets,
                (
                    (Tag.SAR_REFERENCE, reference.to_bytes(2)),
                    (Tag.SAR_TOTAL, bytes((total,))),
                    (Tag.SAR_NUMBER, bytes((number,))),
                ),
            )
            for number, octets in enumerate(pieces, 1)
        ]
    return [
        message(bytes((5, _BY_8, 3, reference, total, number)) + octets, (), _UDHI)
        for number, octets in enumerate(pieces, 1)
    ]


def part_of(message: ShortMessage) -> Part:
    """
    What part of a text a message is that came; the only one, if nothing says otherwise.

    Raises:
        BadPdu: What says so cannot be right.
    """
    octets = message.payload
    reference, total, number = _sar(message) or (0, 1, 1)
    if message.esm_class & _UDHI:
        if not octets or len(octets) < 1 + octets[0]:
            raise BadPdu("a user data header is cut off")
        header, octets = octets[1 : 1 + octets[0]], octets[1 + octets[0] :]
        for kind, value in _elements(header):
            if kind == _BY_8 and len(value) == 3:  # noqa: PLR2004 - as the standard says
                reference, total, number = value
            elif kind == _BY_16 and len(value) == 4:  # noqa: PLR2004 - as the standard says
                reference, (total, number) = int.from_bytes(value[:2]), value[2:]
    if not 1 <= number <= total:
        raise BadPdu("a part lies outside of its text")
    return Part(
        reference=reference,
        total=total,
        number=number,
        data_coding=message.data_coding,
        octets=octets,
    )


def join(parts: Sequence[Part]) -> bytes:
    """
    The octets of a text, from all of its parts in any order.
    """
    return b"".join(each.octets for each in sorted(parts, key=lambda each: each.number))


def _sar(message: ShortMessage) -> tuple[int, int, int] | None:
    found = [message.parameter(tag) for tag in (Tag.SAR_REFERENCE, Tag.SAR_TOTAL, Tag.SAR_NUMBER)]
    if None in found:
        return None
    reference, total, number = (int.from_bytes(each or b"") for each in found)
    return reference, total, number


def _elements(header: bytes) -> Iterator[tuple[int, bytes]]:
    """
    The elements of a user data header; one that is cut off is none.
    """
    at = 0
    while at + 2 <= len(header):
        kind, length = header[at], header[at + 1]
        value = header[at + 2 : at + 2 + length]
        if len(value) < length:
            return
        yield kind, value
        at += 2 + length

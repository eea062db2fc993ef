"""
Receipts: what a message centre tells of a message that it was given.

Rules for the editor:

1. Optional parameters count more than the text, which each message centre writes its own way.
2. The text is read by its keys, not by places; its ``text:`` is what a person wrote, and is never
   looked at.

Source:
    SMPP v3.4, 5.2.12 (esm_class), 5.2.28 (message_state), appendix B (receipt format).
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .wire import ShortMessage, Tag

__all__ = ["IdForm", "Receipt", "ReceiptState", "is_receipt", "normal_id", "read_receipt"]

_KIND: Final = 0x3C
_RECEIPT: Final = 0x04
_WORD: Final = re.compile(rb"(?i)\b(id|stat|err):([!-~]{1,65}+)")
_TEXT: Final = re.compile(rb"(?i)\btext:")
_BY_NUMBER: Final = {
    1: "ENROUTE",
    2: "DELIVRD",
    3: "EXPIRED",
    4: "DELETED",
    5: "UNDELIV",
    6: "ACCEPTD",
    7: "UNKNOWN",
    8: "REJECTD",
}


class ReceiptState(StrEnum):
    """
    What has become of a message.
    """

    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    """Expired, deleted, refused or undeliverable: it will not arrive any more."""
    UNKNOWN = "unknown"
    """The message centre does not know, or says what is not known here."""
    UNDER_WAY = "under_way"
    """Not the end: another receipt follows."""


_STATES: Final = {
    "DELIVRD": ReceiptState.DELIVERED,
    "EXPIRED": ReceiptState.UNDELIVERED,
    "DELETED": ReceiptState.UNDELIVERED,
    "UNDELIV": ReceiptState.UNDELIVERED,
    "REJECTD": ReceiptState.UNDELIVERED,
    "ENROUTE": ReceiptState.UNDER_WAY,
    "ACCEPTD": ReceiptState.UNDER_WAY,
}


class IdForm(StrEnum):
    """
    How a message centre writes one id in its answer and in its receipt.
    """

    EXACT = "exact"
    UPPER = "upper"
    """In either case, with or without leading zeros."""
    HEX_DEC = "hex_dec"
    """In hexadecimal in the answer, and in decimal in the receipt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """
    What a receipt tells.
    """

    message_id: str
    """As it stands there."""
    state: ReceiptState
    error: str | None
    """``err``, as the message centre numbers it."""


def is_receipt(message: ShortMessage) -> bool:
    """
    Whether a message that came is a receipt, or tells of one under way.
    """
    return message.esm_class & _KIND in {_RECEIPT, 0x20}


def read_receipt(message: ShortMessage) -> Receipt | None:
    """
    Read a receipt; :obj:`None` where nothing says of which message it is.
    """
    # What a person wrote may look like keys.
    words = {
        name.lower().decode(): value.decode("ascii")
        for name, value in reversed(_WORD.findall(_TEXT.split(message.payload, maxsplit=1)[0]))
    }
    told = message.parameter(Tag.RECEIPTED_MESSAGE_ID)
    name = (told or b"").split(b"\0", 1)[0].decode("latin-1") or words.get("id")
    if not name:
        return None
    number = message.parameter(Tag.MESSAGE_STATE)
    word = _BY_NUMBER.get(int.from_bytes(number)) if number else words.get("stat", "").upper()[:7]
    return Receipt(
        message_id=name,
        state=_STATES.get(word or "", ReceiptState.UNKNOWN),
        error=words.get("err"),
    )


def normal_id(text: str, form: IdForm, *, answer: bool) -> str:
    """
    An id in the form in which an answer's and its receipt's are alike.

    Args:
        text: As it came.
        form: How the message centre writes them.
        answer: Whether it stood in an answer, and not in a receipt.
    """
    if form is IdForm.UPPER:
        return text.upper().lstrip("0")
    if form is IdForm.HEX_DEC:
        try:
            return str(int(text, 16 if answer else 10))
        except ValueError:
            return text
    return text

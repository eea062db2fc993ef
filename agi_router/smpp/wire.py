"""
PDUs of SMPP 3.4: octets in, values out, and back.

1. A PDU is read by its length alone; what cannot be read inside it spoils no other.
2. Everything has a bound: no PDU is larger than :data:`LARGEST_PDU`.
3. ``repr`` shows neither addresses nor text nor passwords.

Source:
    SMPP v3.4 issue 1.2: 3.1 (types), 3.2 (layout), 4 (PDUs), 5.1.3 (status), 5.2.12 (esm_class),
    5.3 (optional parameters).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from .errors import BadPdu

__all__ = [
    "LARGEST_PDU",
    "RESPONSE",
    "Address",
    "Command",
    "Framer",
    "Pdu",
    "ShortMessage",
    "Status",
    "Tag",
    "read_message",
    "read_text_field",
    "write_bind",
    "write_message",
    "write_text_field",
]

LARGEST_PDU: Final = 70_000
"""Octets of a PDU: more than a ``message_payload`` of 64 KiB needs."""
RESPONSE: Final = 0x80000000
"""What a response's command has beside that of its request."""
_HEAD: Final = struct.Struct(">IIII")
_TLV: Final = struct.Struct(">HH")
_VERSION: Final = 0x34
_LONGEST_SHORT: Final = 254
_LONGEST_VALUE: Final = 0xFFFF


class Command(IntEnum):
    """
    What a PDU is (5.1.2.1); those that a transceiver meets.
    """

    GENERIC_NACK = 0x80000000
    SUBMIT_SM = 0x00000004
    DELIVER_SM = 0x00000005
    UNBIND = 0x00000006
    BIND_TRANSCEIVER = 0x00000009
    ENQUIRE_LINK = 0x00000015
    DATA_SM = 0x00000103


class Status(IntEnum):
    """
    ``command_status`` (5.1.3); those that mean something here.
    """

    OK = 0x00
    INVALID_LENGTH = 0x01
    INVALID_COMMAND = 0x03
    INVALID_STATE = 0x04
    SYSTEM_ERROR = 0x08
    INVALID_SOURCE = 0x0A
    INVALID_DESTINATION = 0x0B
    QUEUE_FULL = 0x14
    THROTTLED = 0x58
    TEMPORARY = 0x64
    PERMANENT = 0x65
    REFUSED = 0x66


class Tag(IntEnum):
    """
    Optional parameters (5.3.2) that are looked at.
    """

    RECEIPTED_MESSAGE_ID = 0x001E
    MESSAGE_STATE = 0x0427
    MESSAGE_PAYLOAD = 0x0424
    SAR_REFERENCE = 0x020C
    SAR_TOTAL = 0x020E
    SAR_NUMBER = 0x020F


@dataclass(frozen=True, slots=True, kw_only=True)
class Pdu:
    """
    One PDU.
    """

    command: int
    """A :class:`Command`, with :data:`RESPONSE` where it answers one."""
    status: int = 0
    sequence: int
    body: bytes = field(default=b"", repr=False)

    def write(self) -> bytes:
        """
        Its octets.
        """
        head = _HEAD.pack(_HEAD.size + len(self.body), self.command, self.status, self.sequence)
        return head + self.body


class Framer:
    """
    Cuts a stream of octets into PDUs.
    """

    def __init__(self) -> None:
        self._left = bytearray()

    def feed(self, data: bytes) -> Iterator[Pdu]:
        """
        Take octets as they come.

        Yields:
            The PDUs that are complete.

        Raises:
            BadPdu: A length is none: nobody knows where the next PDU begins.
        """
        self._left += data
        while len(self._left) >= _HEAD.size:
            length, command, status, sequence = _HEAD.unpack_from(self._left)
            if not _HEAD.size <= length <= LARGEST_PDU:
                raise BadPdu("a command_length out of bounds")
            if len(self._left) < length:
                return
            body = bytes(self._left[_HEAD.size : length])
            del self._left[:length]
            yield Pdu(command=command, status=status, sequence=sequence, body=body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """
    A number with its type (5.2.5) and plan (5.2.6).
    """

    number: str = field(repr=False)
    ton: int = 0
    npi: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortMessage:
    """
    What ``submit_sm`` and ``deliver_sm`` hold alike (4.4.1, 4.6.1).
    """

    source: Address
    destination: Address
    esm_class: int = 0
    data_coding: int = 0
    octets: bytes = field(default=b"", repr=False)
    """``short_message``, at most 254; longer ones stand in a ``message_payload``."""
    validity: str = ""
    """``validity_period``; empty: as the message centre has it."""
    registered_delivery: int = 0
    service_type: str = field(default="", repr=False)
    protocol_id: int = 0
    priority: int = 0
    parameters: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)
    """Optional ones, in order."""

    def parameter(self, tag: Tag) -> bytes | None:
        """
        The value of an optional parameter; the first, if there is one.
        """
        return next((value for own, value in self.parameters if own == tag), None)

    @property
    def payload(self) -> bytes:
        """
        What it says: ``short_message`` or, where that is empty, ``message_payload``.
        """
        return self.octets or self.parameter(Tag.MESSAGE_PAYLOAD) or b""


class _Reader:
    """
    Reads fields one after the other.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def octets(self, count: int, what: str) -> bytes:
        if self.left < count:
            raise BadPdu(f"{what} is cut off")
        found = self._data[self._at : self._at + count]
        self._at += count
        return found

    def number(self, what: str) -> int:
        return self.octets(1, what)[0]

    def text(self, longest: int, what: str) -> str:
        """A C-octet string (3.1) of at most *longest* octets with its NUL."""
        end = self._data.find(0, self._at, self._at + longest)
        if end < 0:
            raise BadPdu(f"{what} has no end")
        raw = self._data[self._at : end]
        self._at = end + 1
        if not raw.isascii():
            raise BadPdu(f"{what} is not ASCII")
        return raw.decode("ascii")


def read_text_field(body: bytes, what: str, *, longest: int = 65) -> str:
    """
    Read the only text of a response: a message's id, or who has answered a bind.

    Raises:
        BadPdu: There is none. An empty body is an empty text, as some message centres have it.
    """
    return _Reader(body).text(longest, what) if body else ""


def write_text_field(text: str) -> bytes:
    """
    Write a text with its end.

    Raises:
        BadPdu: It cannot stand in a PDU.
    """
    if not text.isascii() or "\0" in text:
        raise BadPdu("a text is ASCII without NUL")
    return text.encode("ascii") + b"\0"


def write_bind(*, system_id: str, password: str, system_type: str = "") -> bytes:
    """
    The body of a ``bind_transceiver`` (4.1.5), for all numbers.

    Raises:
        BadPdu: A text is longer than its field, or cannot stand there.
    """
    for what, text, longest in (
        ("system_id", system_id, 15),
        ("password", password, 8),
        ("system_type", system_type, 12),
    ):
        if len(text) > longest:
            raise BadPdu(f"{what} has {longest} characters at most")
    texts = b"".join(map(write_text_field, (system_id, password, system_type)))
    return texts + bytes((_VERSION, 0, 0)) + write_text_field("")


def read_message(body: bytes) -> ShortMessage:
    """
    Read the body of a ``submit_sm`` or ``deliver_sm``.

    Raises:
        BadPdu: It is none.
    """
    read = _Reader(body)
    service_type = read.text(6, "service_type")
    source = _read_address(read, "source_addr")
    destination = _read_address(read, "destination_addr")
    esm_class, protocol_id, priority = read.octets(3, "esm_class")
    read.text(17, "schedule_delivery_time")
    validity = read.text(17, "validity_period")
    registered_delivery, _, data_coding, _ = read.octets(4, "registered_delivery")
    octets = read.octets(read.number("sm_length"), "short_message")
    parameters = []
    while read.left:
        tag, length = _TLV.unpack(read.octets(_TLV.size, "an optional parameter"))
        parameters.append((tag, read.octets(length, "an optional parameter")))
    return ShortMessage(
        source=source,
        destination=destination,
        esm_class=esm_class,
        data_coding=data_coding,
        octets=octets,
        validity=validity,
        registered_delivery=registered_delivery,
        service_type=service_type,
        protocol_id=protocol_id,
        priority=priority,
        parameters=tuple(parameters),
    )


def write_message(message: ShortMessage) -> bytes:
    """
    Write the body of a ``submit_sm`` or ``deliver_sm``.

    Raises:
        BadPdu: Something is longer than its field.
    """
    if len(message.octets) > _LONGEST_SHORT:
        raise BadPdu(f"short_message has {_LONGEST_SHORT} octets at most")
    parameters = b""
    for tag, value in message.parameters:
        if len(value) > _LONGEST_VALUE:
            raise BadPdu("an optional parameter has 65,535 octets at most")
        parameters += _TLV.pack(tag, len(value)) + value
    return b"".join(
        (
            write_text_field(message.service_type),
            _write_address(message.source),
            _write_address(message.destination),
            bytes((message.esm_class, message.protocol_id, message.priority)),
            write_text_field(""),
            write_text_field(message.validity),
            bytes((message.registered_delivery, 0, message.data_coding, 0, len(message.octets))),
            message.octets,
            parameters,
        )
    )


def _read_address(read: _Reader, what: str) -> Address:
    ton, npi = read.octets(2, what)
    return Address(ton=ton, npi=npi, number=read.text(21, what))


def _write_address(address: Address) -> bytes:
    if len(address.number) > 20:  # noqa: PLR2004 - as the standard says
        raise BadPdu("an address has 20 characters at most")
    return bytes((address.ton, address.npi)) + write_text_field(address.number)

"""
A small typed asyncio client of message centres, by SMPP 3.4 as a transceiver.

It needs nothing but the standard library, and knows nothing of the rest of ``agi_router``. It
hands on raw octets with their coding, and answers a message when whoever took it says so::

    import asyncio
    from agi_router.smpp import Address, ShortMessage, Status, Transceiver, decode

    async def take(message: ShortMessage) -> int:
        print(len(message.payload), "octets")
        return Status.OK

    async def main() -> None:
        login = {"system_id": "router", "password": "secret"}
        async with Transceiver.bound("127.0.0.1", 2775, **login, deliver=take) as link:
            text = ShortMessage(
                source=Address(number="700123456780001"),
                destination=Address(number="13800000001"),
                octets=b"at the gate",
            )
            print(await link.submit(text))
            print(await link.ended())

    asyncio.run(main())

No error and no ``repr`` shows what stood in a PDU, so all of them may be logged.
"""

from .codings import Alphabet, Coding, decode, encode, is_seven_bit
from .errors import (
    BadPdu,
    BadText,
    BindRefused,
    LinkDown,
    NoAnswer,
    SmppError,
    SubmitRefused,
)
from .pace import Pace
from .parts import Part, Splitting, choose_coding, cut, join, messages_of, part_of
from .receipts import IdForm, Receipt, ReceiptState, is_receipt, normal_id, read_receipt
from .session import Deliver, Patience, Transceiver
from .wire import (
    LARGEST_PDU,
    RESPONSE,
    Address,
    Command,
    Framer,
    Pdu,
    ShortMessage,
    Status,
    Tag,
    read_message,
    write_bind,
    write_message,
)

__all__ = [
    "LARGEST_PDU",
    "RESPONSE",
    "Address",
    "Alphabet",
    "BadPdu",
    "BadText",
    "BindRefused",
    "Coding",
    "Command",
    "Deliver",
    "Framer",
    "IdForm",
    "LinkDown",
    "NoAnswer",
    "Pace",
    "Part",
    "Patience",
    "Pdu",
    "Receipt",
    "ReceiptState",
    "ShortMessage",
    "SmppError",
    "Splitting",
    "Status",
    "SubmitRefused",
    "Tag",
    "Transceiver",
    "choose_coding",
    "cut",
    "decode",
    "encode",
    "is_receipt",
    "is_seven_bit",
    "join",
    "messages_of",
    "normal_id",
    "part_of",
    "read_message",
    "read_receipt",
    "write_bind",
    "write_message",
]

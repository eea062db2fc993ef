"""
A client by the library aiosmpplib: sends texts that stand on lines of JSON, and says what came.

Arguments: the port of a message centre, who sends, and to which number. A line holds a text, and
whether it goes out in parts with headers; otherwise it is whole in message_payload where it is
long. Each is answered by the next text that comes, which the library has joined, and its sender.
"""

import asyncio
import json
import logging
import sys
from typing import Any

from aiosmpplib import ESME, AbstractHook, DeliverSm, PhoneNumber, SubmitSm

_UDHI = 0x40


class Mailbox(AbstractHook):  # type: ignore[misc]  # it has no types here
    """What came."""

    def __init__(self) -> None:
        self.texts: asyncio.Queue[DeliverSm] = asyncio.Queue()

    async def sending(self, *_: object) -> None:
        """Nothing."""

    async def received(self, smpp_message: Any, *_: object) -> None:
        """Keep a text."""
        if isinstance(smpp_message, DeliverSm) and not smpp_message.is_receipt():
            await self.texts.put(smpp_message)

    async def send_error(self, _: object, error: Exception, __: str) -> None:
        """End: whoever asked waits for a text."""
        sys.exit(f"not sent: {error!r}")


async def main(port: str, sender: str, receiver: str) -> None:
    """Send what is asked for, one after another."""
    box = Mailbox()
    client = ESME("127.0.0.1", int(port), "phone", "secret", hook=box, log_level=logging.ERROR)
    serving = asyncio.create_task(client.start())
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        await client.broker.enqueue(
            SubmitSm(
                short_message=asked["text"],
                source=PhoneNumber(sender),
                destination=PhoneNumber(receiver),
                esm_class=_UDHI if asked["parts"] else 0,
                auto_message_payload=not asked["parts"],
                registered_delivery=0,
            )
        )
        came = await box.texts.get()
        told = {"text": came.short_message or came.message_payload, "from": came.source.number}
        print(json.dumps(told), flush=True)  # noqa: T201
    await client.stop()
    await serving


asyncio.run(main(*sys.argv[1:]))

"""
A message centre by the library smpp34: what one account submits goes to the other.

Arguments: a port, and the two accounts. It says its port, on a line of JSON, once it listens, and
ends with its standard input. As in smsc.js, receipts come before the answer that names them, right
after it, and late, and what is not taken for the moment comes again.
"""

import asyncio
import itertools
import json
import sys
from typing import Any

import smpp34

_SERIAL = itertools.count(160)
_LATE = 0.05
# System error, queue full, throttled, and for the moment (SMPP 3.4, 5.1.3).
_SOON = {0x08, 0x14, 0x58, 0x64}


def _taken(message: Any) -> dict[str, Any]:
    """What is told of a message to whom it is delivered."""
    names = (
        *("source_addr", "source_addr_ton", "source_addr_npi"),
        *("destination_addr", "dest_addr_ton", "dest_addr_npi"),
        *("esm_class", "data_coding", "short_message", "tlvs"),
    )
    return {name: getattr(message, name) for name in names}


async def _relay(message: Any, own: Any, other: Any) -> None:
    """Deliver a message, and tell of it."""
    serial = next(_SERIAL)
    name, turn = f"{serial:08x}", serial % 3

    async def tell() -> None:
        await own.deliver_sm(
            source_addr=message.destination_addr,
            destination_addr=message.source_addr,
            esm_class=4,
            short_message=(
                f"id:{name} sub:001 dlvrd:001 submit date:2601311504 done date:2601311504"
                " stat:DELIVRD err:000 text:-"
            ).encode(),
            tlvs=[
                smpp34.Tlv(smpp34.TLV_RECEIPTED_MESSAGE_ID, name.encode() + b"\0"),
                smpp34.Tlv(smpp34.TLV_MESSAGE_STATE, b"\2"),
            ],
        )

    early = turn == 0 and message.registered_delivery
    if not early:
        message.accept(name)
    while (  # noqa: ASYNC110 - nobody tells when
        answer := await other.deliver_sm(**_taken(message))
    ).command_status in _SOON:
        await asyncio.sleep(0.5)
    if message.registered_delivery and answer.is_success:
        await asyncio.sleep(_LATE if turn == 1 else 0)
        await tell()
    if early:
        message.accept(name)


async def main(port: str, first: str, second: str) -> None:
    """Serve the two accounts."""
    server = smpp34.Server("127.0.0.1", int(port), system_id="centre")
    await server.start()
    print(json.dumps({"port": int(port)}), flush=True)  # noqa: T201
    names: dict[str, str] = {}
    sessions: dict[str, Any] = {}
    relays: set[asyncio.Task[None]] = set()
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    coming = asyncio.ensure_future(server.next())
    while True:
        await asyncio.wait({ended, coming}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            break
        event = coming.result()
        coming = asyncio.ensure_future(server.next())
        if isinstance(event, smpp34.Esme):
            names[event.session_id] = event.system_id
            sessions[event.system_id] = event
        elif isinstance(event, smpp34.SubmitSmEvent):
            name = names[event.session_id]
            other = sessions[second if name == first else first]
            task = asyncio.create_task(_relay(event, sessions[name], other))
            relays.add(task)
            task.add_done_callback(relays.discard)
    coming.cancel()
    await server.stop()


asyncio.run(main(*sys.argv[1:]))

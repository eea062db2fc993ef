"""
A client by the library smpplib: sends texts that stand on lines of JSON, and says what came.

Arguments: the port of a message centre, who sends, and to which number. Each text is answered by
the ids of its parts, on a line.
"""

import json
import select
import sys
from typing import Any

import smpplib.client
import smpplib.consts
import smpplib.gsm

port, sender, receiver = sys.argv[1:]
client: Any = smpplib.client.Client("127.0.0.1", int(port), allow_unknown_opt_params=True)
ids: list[str] = []
client.set_message_sent_handler(lambda pdu: ids.append(pdu.message_id.decode()))
client.set_message_received_handler(lambda pdu: None)  # noqa: ARG005 - by its name
client.connect()
client.bind_transceiver(system_id="phone", password="secret")
while True:
    ready, _, _ = select.select([sys.stdin, client._socket], [], [])
    if client._socket in ready:
        # The centre may answer whoever sends not before it is answered here.
        client.read_once()
        continue
    if not (line := sys.stdin.readline()):
        break
    ids.clear()
    parts, coding, kind = smpplib.gsm.make_parts(json.loads(line))
    for part in parts:
        client.send_message(
            source_addr=sender,
            destination_addr=receiver,
            short_message=part,
            data_coding=coding,
            esm_class=kind,
            registered_delivery=False,
        )
    while len(ids) < len(parts):
        client.read_once()
    print(json.dumps(ids), flush=True)  # noqa: T201
client.unbind()
client.disconnect()

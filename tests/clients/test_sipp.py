"""The door for texts by SIP, with SIPp on either side of it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from clients.conftest import POOL
from clients.test_kamailio import HOST

from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Messages
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection
from agi_router.doors.sip_messages import Options, SipMessageDoor, Transport
from agi_router.messages.store import MessageStore
from harness.database import bind, dials, one, until_async
from harness.free_port import free_port
from harness.values import A, B

COUNT = 40
PATIENCE = 60
SENDER = """<?xml version="1.0" encoding="UTF-8"?>
<scenario name="a phone that texts">
  <send retrans="500"><![CDATA[

    MESSAGE sip:{x}@[remote_ip]:[remote_port] SIP/2.0
    Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
    From: <sip:{sender}@carrier.example>;tag=[call_number]
    To: <sip:{x}@router.example>
    Call-ID: [call_id]
    CSeq: 1 MESSAGE
    Max-Forwards: 70
    Content-Type: text/plain;charset=UTF-8
    Content-Length: [len]

    text [call_number]
  ]]></send>
  <recv response="202"/>
</scenario>
"""
# It refuses what does not come from the 700 number, and to its own.
RECEIVER = """<?xml version="1.0" encoding="UTF-8"?>
<scenario name="a phone that is texted">
  <recv request="MESSAGE">
    <action>
      <ereg regexp="sip:{x}@" search_in="hdr" header="From:" check_it="true" assign_to="from"/>
      <ereg regexp="sip:{receiver}@" search_in="hdr" header="To:" check_it="true" assign_to="to"/>
    </action>
  </recv>
  <send><![CDATA[

    SIP/2.0 200 OK
    [last_Via:]
    [last_From:]
    [last_To:];tag=[call_number]
    [last_Call-ID:]
    [last_CSeq:]
    Content-Length: 0

  ]]></send>
  <Reference variables="from,to"/>
</scenario>
"""


async def sipp(home: Path, scenario: str, *arguments: str) -> asyncio.subprocess.Process:
    """SIPp with a scenario; it ends once that has been played so often."""
    name = home / f"{secrets.token_hex(4)}.xml"
    name.write_text(scenario)
    return await asyncio.create_subprocess_exec(
        *("sipp", "-sf", str(name), "-i", HOST, "-m", str(COUNT), "-nostdin", *arguments),
        cwd=home,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def ended_well(processes: Sequence[asyncio.subprocess.Process]) -> None:
    """Wait for their ends: all was as their scenarios have it."""
    try:
        async with asyncio.timeout(PATIENCE):
            assert [await each.wait() for each in processes] == [0] * len(processes)
    finally:
        for each in processes:
            if each.returncode is None:
                each.kill()
                await each.wait()


@pytest.mark.parametrize("transport", Transport)
async def test_texts(
    transport: Transport,
    tmp_path: Path,
    dsn: str,
    connection: Connection,
    store: BindingStore,
) -> None:
    """All are accepted, and reach the other side from the 700 number, once each."""
    made = bind(
        store,
        x=None,
        tenant=POOL,
        messages=Messages.BOTH,
        order_id=f"order-{secrets.token_hex(8)}",
    )
    x, port = str(dials(made.parties[0])), free_port()
    way = ("-t", "t1" if transport is Transport.TCP else "u1")
    async with AdmissionStore(dsn, store.keys, connections=4) as admissions:
        texts = MessageStore(
            admissions.pool, store.keys, link=f"sipp-{port}", validity=timedelta(days=1)
        )
        options = Options(
            listen=(HOST, 0), next_hop=(HOST, port), peers={HOST}, transport=transport
        )
        door = SipMessageDoor(texts, admissions, options)
        stop = asyncio.Event()
        task = asyncio.create_task(door.serve(stop))
        await door.opened.wait()
        told = RECEIVER.format(x=x, receiver=B.digits)
        receiver = await sipp(tmp_path, told, *way, "-p", str(port))
        told = SENDER.format(x=x, sender=A.digits)
        place = f"{HOST}:{door.address[1]}"
        sender = await sipp(tmp_path, told, place, *way, "-p", str(free_port()), "-r", "100")
        await ended_well([sender, receiver])
        sent = f"SELECT count(*) FROM agi_router.message WHERE state = 'sent' AND x_number = {x}"
        await until_async(lambda: one(connection, sent) == COUNT)
        stop.set()
        await task

"""Nothing that a message centre says of a sender crosses the door for SMPP, nor of a receiver."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest
from postgres.test_message_leaks import dump, tells
from postgres.test_smpp_door import serving

from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Messages
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection
from agi_router.doors import smpp
from agi_router.keys.ring import KeyRing
from agi_router.leaktest.text_vectors import NAME
from agi_router.numbers import PhoneNumber
from agi_router.service.message_gauges import LinkGauges, show_link
from agi_router.service.metrics import Figures
from agi_router.smpp import Address, Coding, ShortMessage, Status, encode, write_message
from harness.canaries import found
from harness.database import SOON, bind, one, until_async
from harness.smsc import Centre, centre, receipt_of
from harness.values import A, B, C, X

# Optional parameters (SMPP 3.4, 5.3.2; the last ones are vendors' own) that can hold a number.
PARAMETERS = {
    "dest_addr_subunit": 0x0005,
    "dest_network_type": 0x0006,
    "dest_bearer_type": 0x0007,
    "dest_telematics_id": 0x0008,
    "source_addr_subunit": 0x000D,
    "source_network_type": 0x000E,
    "source_bearer_type": 0x000F,
    "source_telematics_id": 0x0010,
    "qos_time_to_live": 0x0017,
    "payload_type": 0x0019,
    "additional_status_info_text": 0x001D,
    "receipted_message_id": 0x001E,
    "ms_msg_wait_facilities": 0x0030,
    "privacy_indicator": 0x0201,
    "source_subaddress": 0x0202,
    "dest_subaddress": 0x0203,
    "user_message_reference": 0x0204,
    "user_response_code": 0x0205,
    "source_port": 0x020A,
    "destination_port": 0x020B,
    "language_indicator": 0x020D,
    "sc_interface_version": 0x0210,
    "callback_num_pres_ind": 0x0302,
    "callback_num_atag": 0x0303,
    "number_of_messages": 0x0304,
    "callback_num": 0x0381,
    "dpf_result": 0x0420,
    "set_dpf": 0x0421,
    "ms_availability_status": 0x0422,
    "network_error_code": 0x0423,
    "delivery_failure_reason": 0x0425,
    "more_messages_to_send": 0x0426,
    "message_state": 0x0427,
    "ussd_service_op": 0x0501,
    "billing_identification": 0x060B,
    "source_node_id": 0x060F,
    "dest_network_id": 0x060E,
    "source_network_id": 0x060D,
    "display_time": 0x1201,
    "sms_signal": 0x1203,
    "ms_validity": 0x1204,
    "alert_on_message_delivery": 0x130C,
    "its_reply_type": 0x1380,
    "its_session_info": 0x1383,
    "a vendor's, imsi": 0x1400,
    "a vendor's, msc": 0x1401,
    "a vendor's, original sender": 0x1500,
    "a vendor's, charged party": 0x2150,
    "a vendor's, trace": 0x3FFF,
}
# Elements of a user data header (3GPP TS 23.040, 9.2.3.24).
ELEMENTS = {
    "ports of 8 bits": 0x04,
    "ports of 16 bits": 0x05,
    "SMSC control": 0x06,
    "source indicator": 0x07,
    "wireless control": 0x09,
    "text formatting": 0x0A,
    "user prompt": 0x13,
    "extended object": 0x14,
    "RFC 822 address": 0x20,
    "hyperlink": 0x21,
    "alternate reply address": 0x22,
    "voice mail": 0x23,
    "SIM toolkit": 0x70,
    "one of a carrier's own": 0xA0,
}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A door that waits for the database as long as a test does."""
    monkeypatch.setattr(smpp, "_ADMISSION", SOON)


def said(sender: PhoneNumber) -> dict[str, ShortMessage]:
    """A text for each way in which its sender could be told; each names its way."""
    told = f"{sender.digits} {NAME}".encode()
    base = ShortMessage(
        source=Address(number=f"86{sender.digits}", ton=1), destination=Address(number=str(X))
    )
    made = {
        "service_type": replace(base, service_type=sender.digits[:5]),
        "protocol_id": replace(base, protocol_id=0x7F),
        "priority": replace(base, priority=3),
        "validity_period": replace(base, validity="260131150405032+"),
        "a sender as it is dialled": replace(base, source=Address(number=sender.digits)),
        "a sender of a private plan": replace(
            base, source=Address(number=sender.digits, ton=3, npi=9)
        ),
    }
    for name, tag in PARAMETERS.items():
        made[name] = replace(base, parameters=((tag, told),))
    for name, kind in ELEMENTS.items():
        element = bytes((kind, len(told))) + told
        made[f"UDH: {name}"] = replace(
            base, esm_class=0x40, octets=bytes((len(element),)) + element
        )
    return {
        name: replace(message, octets=message.octets + encode(name, Coding.DEFAULT))
        for name, message in made.items()
    }


def relayed(message: ShortMessage, receiver: PhoneNumber) -> bytes:
    """What a relay sends on that puts other numbers where the addresses stand, and no more."""
    return write_message(
        replace(
            message,
            source=Address(number=str(X)),
            destination=Address(number=receiver.digits),
        )
    )


@pytest.mark.parametrize("way", [(A, B), (B, A)], ids=["from-a", "from-b"])
async def test_vectors(
    way: tuple[PhoneNumber, PhoneNumber],
    store: BindingStore,
    connection: Connection,
    admissions: AdmissionStore,
    keys: KeyRing,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each is planted in a text of its own; a naive relay tells by nearly all of them."""
    caplog.set_level(logging.DEBUG)
    bind(store, messages=Messages.BOTH)
    sender, receiver = way
    planted = said(sender)
    assert len(planted) >= 60
    async with centre() as smsc, serving(admissions, keys, smsc, window=100) as world:
        await smsc.bound()
        await asyncio.gather(*(taken(smsc, message) for message in planted.values()))
        stranger = replace(planted["callback_num"], source=Address(number=C.digits))
        assert await smsc.deliver(stranger) == Status.PERMANENT
        sent = "SELECT count(*) FROM agi_router.message WHERE state = 'sent'"
        await until_async(lambda: one(connection, sent) == len(planted))
        assert sorted(smsc.texts) == sorted(planted)
        await receipts(smsc, sender, receiver)
        figures = Figures()
        show_link(figures, door=world.door, gauges=LinkGauges(world.links))
        metrics = figures.tell()
        # Before the door ends: what it owes is there, too.
        rows = dump(connection)
    crossed(smsc, sender, receiver)
    naive = [bool(tells(relayed(message, receiver), sender)) for message in planted.values()]
    assert sum(naive) >= 60
    records = "\n".join(str(vars(record)) for record in caplog.records)
    assert "message.ended" in records
    assert b"agi_router_smpp_receipts_total" in metrics
    assert tells(records.encode() + metrics + rows, A, B, C) == []
    assert not any(name in records for name in planted if len(name) > 8)


async def taken(smsc: Centre, message: ShortMessage) -> None:
    """Send a text until it is taken, as message centres do."""
    while (status := await smsc.deliver(message)) != Status.OK:
        assert status == Status.TEMPORARY


async def receipts(smsc: Centre, sender: PhoneNumber, receiver: PhoneNumber) -> None:
    """Let receipts come that tell the text and both numbers: nobody hears of that."""
    for number in range(len(smsc.submitted)):
        told = receipt_of(f"{number + 1:08X}", source=receiver.digits, to=str(X))
        words = told.octets.removesuffix(b"-") + f"{sender.digits} {NAME}".encode()
        assert await smsc.deliver(replace(told, octets=words)) == Status.OK


def crossed(smsc: Centre, sender: PhoneNumber, receiver: PhoneNumber) -> None:
    """All that came to the message centre names its receiver, as an address, and nobody else."""
    assert tells(smsc.raw, sender, C) == []
    assert found(smsc.raw.replace(receiver.digits.encode(), b""), [receiver.digits]) == []
    assert smsc.raw.count(receiver.digits.encode()) == len(smsc.submitted)

"""
Vectors of texts by SMPP: every place of a ``deliver_sm`` that can tell who sends.

Source:
    SMPP v3.4, 4.6.1 and 5.3.2; 3GPP TS 23.040, 9.2.3.24.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from agi_router.leaktest.text_vectors import NAME
from agi_router.smpp import Address, Coding, ShortMessage, encode

__all__ = ["LINK_VECTORS", "plant"]

# Optional parameters (5.3.2; the last ones are vendors' own) that can hold a number.
_PARAMETERS: Final = {
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
# Elements of a user data header.
_ELEMENTS: Final = {
    "UDH: ports of 8 bits": 0x04,
    "UDH: ports of 16 bits": 0x05,
    "UDH: SMSC control": 0x06,
    "UDH: source indicator": 0x07,
    "UDH: wireless control": 0x09,
    "UDH: text formatting": 0x0A,
    "UDH: user prompt": 0x13,
    "UDH: extended object": 0x14,
    "UDH: RFC 822 address": 0x20,
    "UDH: hyperlink": 0x21,
    "UDH: alternate reply address": 0x22,
    "UDH: voice mail": 0x23,
    "UDH: SIM toolkit": 0x70,
    "UDH: one of a carrier's own": 0xA0,
}
_FIELDS: Final = (
    "service_type",
    "protocol_id",
    "priority",
    "validity_period",
    "a sender as it is dialled",
    "a sender of a private plan",
)

LINK_VECTORS: Final = (*_FIELDS, *_PARAMETERS, *_ELEMENTS)
"""Their names."""


def plant(vector: str, *, sender: str, to: str, body: str) -> ShortMessage:
    """
    A text that says so of its sender.

    Args:
        vector: Of :data:`LINK_VECTORS`.
        sender: Digits of its number.
        to: The number it is sent to.
        body: What it says; of letters that every alphabet has.
    """
    told = f"{sender} {NAME}".encode()
    said = encode(body, Coding.DEFAULT)
    message = ShortMessage(
        source=Address(number=f"86{sender}", ton=1),
        destination=Address(number=to),
        octets=said,
    )
    if vector in _PARAMETERS:
        return replace(message, parameters=((_PARAMETERS[vector], told),))
    if vector in _ELEMENTS:
        element = bytes((_ELEMENTS[vector], len(told))) + told
        return replace(message, esm_class=0x40, octets=bytes((len(element),)) + element + said)
    fields: dict[str, Any] = {
        "service_type": {"service_type": sender[:5]},
        "protocol_id": {"protocol_id": 0x7F},
        "priority": {"priority": 3},
        "validity_period": {"validity": "260131150405032+"},
        "a sender as it is dialled": {"source": Address(number=sender)},
        "a sender of a private plan": {"source": Address(number=sender, ton=3, npi=9)},
    }
    return replace(message, **fields[vector])

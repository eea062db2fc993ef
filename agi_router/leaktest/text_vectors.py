"""
Vectors of texts: every place of a SIP MESSAGE in which a sender's side may tell who sends.

Source:
    RFC 3261 and RFC 3428; RFC 3323, 3325, 4244, 7315 and drafts for the headers of carriers.
"""

from __future__ import annotations

from typing import Final

__all__ = ["HOST", "NAME", "TEXT_VECTORS", "write_text"]

NAME: Final = "Zhang San"
"""What each sender is called."""
HOST: Final = "carrier.example"
"""Where it is at home, which is not told either."""
_SHORT: Final = {"f": "from", "i": "call-id"}

TEXT_VECTORS: Final = {
    "display name in From": 'From: "{w} {n}" <sip:{n}@carrier.example>;tag=1',
    "parameter of From": "From: <sip:{n}@carrier.example;nai={n}>;tag=1;x={n}",
    "tag of From": "From: <sip:{n}@carrier.example>;tag={n}",
    "host of From": "From: <sip:{n}@{n}.carrier.example>;tag=1",
    "From in the compact form": 'f: "{w}" <sip:{n}@carrier.example>;tag=1',
    "From as tel": "From: <tel:+86{n}>;tag=1",
    "Call-ID": "Call-ID: {n}@carrier.example",
    "Call-ID in the compact form": "i: {w}{n}",
    "display name in To": 'To: "{w} {n}" <sip:{x}@router.example>',
    "parameter of To": "To: <sip:{x}@router.example>;x={n}",
    "host of To": "To: <sip:{x}@{n}.example>",
    "P-Asserted-Identity": 'P-Asserted-Identity: "{w}" <sip:{n}@carrier.example>',
    "P-Asserted-Identity as tel": "P-Asserted-Identity: <tel:+86{n}>",
    "P-Preferred-Identity": 'P-Preferred-Identity: "{w}" <sip:{n}@carrier.example>',
    "Remote-Party-ID": 'Remote-Party-ID: "{w}" <sip:{n}@carrier.example>;party=calling',
    "Diversion": "Diversion: <sip:{n}@carrier.example>;reason=unconditional",
    "History-Info": "History-Info: <sip:{n}@carrier.example>;index=1",
    "Referred-By": "Referred-By: <sip:{n}@carrier.example>",
    "Contact": "Contact: <sip:{n}@192.0.2.9>",
    "Contact in the compact form": 'm: "{w}" <sip:{n}@192.0.2.9>',
    "Reply-To": "Reply-To: {w} <sip:{n}@carrier.example>",
    "Record-Route": "Record-Route: <sip:{n}@192.0.2.9;lr>",
    "Route": "Route: <sip:{n}@192.0.2.9;lr>",
    "Path": "Path: <sip:{n}@192.0.2.9;lr>",
    "a second Via": "Via: SIP/2.0/UDP {n}.example;branch=z9hG4bK{n}",
    "Subject": "Subject: from {w}, {n}",
    "Subject in the compact form": "s: from {n}",
    "Organization": "Organization: {w}",
    "User-Agent": "User-Agent: {w} {n}",
    "Server": "Server: {n}",
    "Call-Info": "Call-Info: <http://carrier.example/{n}.png>;purpose=icon",
    "Alert-Info": "Alert-Info: <http://carrier.example/{n}>",
    "Error-Info": "Error-Info: <sip:{n}@carrier.example>",
    "In-Reply-To": "In-Reply-To: {n}@carrier.example",
    "Identity": "Identity: {n};info=<https://carrier.example/{n}>",
    "Geolocation": "Geolocation: <sip:{n}@carrier.example>",
    "P-Charging-Vector": "P-Charging-Vector: icid-value={n};orig-ioi={n}",
    "P-Access-Network-Info": "P-Access-Network-Info: 3GPP-E-UTRAN;x={n}",
    "P-Visited-Network-ID": 'P-Visited-Network-ID: "{w} {n}"',
    "P-Called-Party-ID": "P-Called-Party-ID: <sip:{n}@carrier.example>",
    "P-Served-User": "P-Served-User: <sip:{n}@carrier.example>",
    "Accept-Contact": "Accept-Contact: *;x={n}",
    "Content-Disposition": 'Content-Disposition: render;filename="{n}"',
    "Content-Language": "Content-Language: {n}",
    "Content-ID": "Content-ID: <{n}@carrier.example>",
    "MIME-Version": "MIME-Version: {n}",
    "Date": "Date: {n}",
    "Authorization": 'Authorization: Digest username="{n}",realm="{w}"',
    "Proxy-Authorization": 'Proxy-Authorization: Digest username="{n}"',
    "User-to-User": "User-to-User: {n};encoding=hex",
    "a header of one's own": "X-Caller: {n}",
    "a folded header": "X-Caller: a\r\n {n} {w}",
    "a header that is repeated": "X-Caller: a\r\nX-Caller: {n}",
    "escapes": "X-Caller: {e}",
}
"""A line of a header for each, by name: {n} is who sends, {w} what it is called, {x} whom to."""


def write_text(vector: str, *, sender: str, to: str, branch: str, call: str, body: str) -> bytes:
    """
    A text that says so of its sender.

    Args:
        vector: Of :data:`TEXT_VECTORS`.
        sender: Digits of its number.
        to: The number it is sent to.
        branch: What names the request.
        call: Its Call-ID, where the vector has none.
        body: What it says.
    """
    escaped = "".join(f"%{ord(digit):x}" for digit in sender)
    line = TEXT_VECTORS[vector].format(n=sender, w=NAME, x=to, e=escaped)
    own = line.partition(":")[0].lower()
    least = {
        "from": f"From: <sip:{sender}@{HOST}>;tag=1",
        "to": f"To: <sip:{to}@router.example>",
        "call-id": f"Call-ID: {call}",
    }
    least.pop(_SHORT.get(own, own), None)
    lines = [
        f"MESSAGE sip:{to}@router.example SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.9;branch={branch};rport",
        *least.values(),
        "CSeq: 1 MESSAGE",
        line,
        "Content-Type: text/plain",
        f"Content-Length: {len(body.encode())}",
    ]
    return "\r\n".join([*lines, "", body]).encode()

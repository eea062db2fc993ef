"""
The vectors: every place of a call in which a phone may tell who it is.

1. A vector is one noun and stands alone: what it plants is planted nowhere else in that call, so a
   leak names the vector that made it.
2. Each plants number and name. In a text, ``{…}`` stands for what :func:`plantings` lists.
3. ``stopped_by`` names what stops it on the shipped profile.
"""

from __future__ import annotations

import base64
import enum
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "BOTH",
    "CALLEE",
    "CALLER",
    "VECTORS",
    "End",
    "Outside",
    "Party",
    "Request",
    "Sound",
    "Vector",
    "fill",
    "plantings",
]


class End(enum.Enum):
    """One side of a call."""

    CALLER = "caller"
    CALLEE = "callee"


class Sound(enum.Enum):
    """By which packets beside its sound a phone tells who it is (:mod:`.packets`)."""

    SOURCE = "source"
    EXTENSION = "header extension"
    CONTRIBUTORS = "contributing sources"
    PADDING = "padding"
    EVENT = "telephone events"
    PAYLOAD = "payload types that were not agreed on"
    RTCP_TEXT = "texts of RTCP"
    RTCP_REST = "the rest of RTCP"
    PROTOCOL = "other protocols"


CALLER = frozenset({End.CALLER})
CALLEE = frozenset({End.CALLEE})
BOTH = CALLER | CALLEE


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """
    Somebody with a phone: an invented number, and the names the phone sends.

    Attributes:
        number: Eleven digits.
        name: Two words in Latin letters.
        hanzi: The same in Chinese.
        address: Where the phone would like its media: an address of RFC 5737, so nobody's.
    """

    number: str
    name: str
    hanzi: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    One request within the dialog.

    Attributes:
        method: INFO, UPDATE, ….
        sender: Its whole From, without the tag; that of the call if empty.
        contact: Its whole Contact, as in :class:`Vector`; that of the call if empty.
        headers: More header lines; ``Content-Type`` among them if there is a body.
        body: Its body.
        sdp: Whether it carries the phone's session description; then it has no other body.
        direction: The media direction in that description.
        moves: Whether that description has the sound come to the phone's second port.
    """

    method: str
    sender: str = ""
    contact: str = ""
    headers: tuple[str, ...] = ()
    body: str = ""
    sdp: bool = False
    direction: str = "sendrecv"
    moves: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """
    One request outside the dialog, from another phone, to the 700 number of the call.

    Attributes:
        request: What is sent.
        replaces: Whether it names the sender's leg in a Replaces header.
        stranger: Whether a third party sends it, instead of the one whose side it comes from.
    """

    request: Request
    replaces: bool = False
    stranger: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """
    One way to tell who one is.

    Attributes:
        name: Its noun.
        planted: What is planted, for people.
        stopped_by: What stops it, for people.
        by: Which sides plant.
        headers: Header lines in the first request, in every response to it, in requests within
            the dialog and in the BYE of a side that plants.
        sender: Whole From of that side's requests, without its tag; a plain one if empty.
        contact: Its whole Contact, ``carrier.example`` for its address; a plain one if empty.
        call_id: Call-ID of the caller; a random one if empty.
        session: Lines of the session description, at session level.
        media: The same, at media level.
        parts: Content type and text of a second part beside the session description.
        phrase: Reason phrase of the callee's responses; the usual one if empty.
        before: Status lines of responses before the ringing.
        after: The same, after it.
        early: Requests of the callee while it rings.
        final: Status line with which the callee refuses; it answers if empty.
        body: Content type and text of that final response's body.
        refused: Whether the router refuses such a call, so that nobody rings.
        cancel: With what the caller gives up while it rings; it waits for an answer if None.
        requests: Requests of each side within the dialog.
        outside: A request outside of it, from each side.
        sound: By which packets beside their sound the phones tell who they are.
        codecs: What is agreed on beside sound: ``a=rtpmap`` without its name.
        hung_up_by: Who ends the call.
        goodbye: With what; a plain BYE if None.
    """

    name: str
    planted: str
    stopped_by: str
    by: frozenset[End] = BOTH
    headers: tuple[str, ...] = ()
    sender: str = ""
    contact: str = ""
    call_id: str = ""
    session: tuple[str, ...] = ()
    media: tuple[str, ...] = ()
    parts: tuple[str, str] | None = None
    phrase: str = ""
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    early: tuple[Request, ...] = ()
    final: str = ""
    body: tuple[str, str] | None = None
    refused: bool = False
    cancel: Request | None = None
    requests: tuple[Request, ...] = ()
    outside: Outside | None = None
    sound: tuple[Sound, ...] = ()
    codecs: tuple[str, ...] = ()
    hung_up_by: End = End.CALLER
    goodbye: Request | None = None

    @property
    def moves(self) -> bool:
        """Whether sound moves to another port of its phone during the call."""
        return any(request.moves for request in self.requests)


def plantings(party: Party, *, other: str, decoy: str, trunk: str) -> dict[str, str]:
    """
    Return what the ``{…}`` of a vector's texts stand for.

    Args:
        party: Who plants.
        other: Number of a third party, whom nobody may reach.
        decoy: Host and port at which nobody may arrive.
        trunk: Host and port to which the PBX sends its calls.
    """
    number = party.number
    passport = {"orig": {"tn": f"86{number}"}, "name": party.name}
    return {
        "number": number,
        "name": party.name,
        "hanzi": party.hanzi,
        "address": party.address,
        # Bytes that are no UTF-8 travel as surrogates, see :func:`fill`.
        "gbk": party.hanzi.encode("gbk").decode("ascii", "surrogateescape"),
        "uri": f"sip:{number}@carrier.example",
        "identity": f'"{party.name} {party.hanzi}" <sip:{number}@carrier.example>',
        "grouped": f"{number[:3]} {number[3:7]}-{number[7:]}",
        "escaped": "".join(f"%{byte:02X}" for byte in f"{party.name} {number}".encode()),
        "reversed": number[::-1],
        "hex": f"{party.name} {number}".encode().hex(),
        "base64": base64.b64encode(f"{party.hanzi} {number}".encode()).decode(),
        "passport": ".".join(_base64url(part) for part in ({"alg": "ES256"}, passport, {})),
        "other": other,
        "decoy": decoy,
        "trunk": trunk,
    }


def _base64url(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def fill(text: str, plants: Mapping[str, str]) -> str:
    """
    Put *plants* into *text*; to be encoded as UTF-8 with ``surrogateescape``.

    Raises:
        KeyError: The text asks for something that is not there.
    """
    return re.sub(r"\{([a-z0-9]+)\}", lambda match: plants[match[1]], text)


# What a free text of any kind carries: every spelling at once.
_TELLING = (
    "{name} {hanzi} {number} +86{number} 0086{number} {grouped} {reversed} {escaped} {hex}"
    " {base64}"
)
_ANEW = "the PBX writes its own on each leg"
_NOT_RELAYED = "no header of one leg is relayed to the other (the dialplan adds none)"
_SHOWN = "Dial f(X), CALLERID(all)=<X>"
_CONNECTED = (
    "Dial I and o(X); trust_connected_line=no, send_connected_line=no, send_pai=no, send_rpid=no;"
    " out: trust_id_inbound=no"
)
_UPDATED = (
    "trust_connected_line=no, send_connected_line=no on both endpoints (Dial I ends at answer)"
)
_DIVERTED = "res_pjsip_diversion not loaded; send_diversion=no, send_history_info=no; Dial I"
_REDIRECTED = "Dial i; redirect_method=user; the way out has an empty context"
_REFUSED = "the dialplan answers by a cause of its own; text and headers end at the leg"
_SDP = "the session description is made anew; sdp_session=-, direct_media=no"
_MESSAGE = "res_pjsip_messaging not loaded"
_REBUILT = "bridge_native_rtp not loaded: packets of sound are made anew on each leg"
_UNAGREED = "Asterisk drops payload types that were not agreed on"
_RTCP = "RTCP is made anew on each leg"
_REFER = "res_pjsip_refer not loaded, allow_transfer=no; the way out has an empty context"

_IDENTITY = (
    "P-Asserted-Identity: {identity}",
    "P-Asserted-Identity: <tel:+86{number}>",
    "Remote-Party-ID: {identity};party=calling;id-type=subscriber;screen=yes",
)


def _header(name: str, *lines: str, stopped_by: str = _NOT_RELAYED) -> Vector:
    """A vector that is nothing but header lines, from both sides."""
    titles = dict.fromkeys(line.partition(":")[0] for line in lines)
    return Vector(name=name, planted=", ".join(titles), stopped_by=stopped_by, headers=lines)


def _session(name: str, planted: str, *lines: str) -> Vector:
    """A vector that is nothing but lines of the session description."""
    return Vector(name=name, planted=planted, stopped_by=_SDP, session=lines)


def _redirect(name: str, planted: str, status: str, *contacts: str) -> Vector:
    """A callee that sends the call elsewhere."""
    return Vector(
        name=name,
        planted=planted,
        stopped_by=_REDIRECTED,
        by=CALLEE,
        final=status,
        headers=(*(f"Contact: {each}" for each in contacts), "Diversion: {identity}"),
    )


def _refusal(status: str) -> Vector:
    """A callee that refuses, and says who it is in every place of the refusal."""
    code, _, usual = status.partition(" ")
    return Vector(
        name=f"refusal-{code}",
        planted=f"{status}: phrase, Warning, Error-Info, Reason, Retry-After, identities, body",
        stopped_by=_REFUSED,
        by=CALLEE,
        final=f"{code} {usual} {{name}} {{number}}",
        headers=(
            *_IDENTITY,
            'Warning: 399 carrier.example "{name} {hanzi} {grouped} is busy"',
            "Error-Info: <{uri}>",
            'Reason: Q.850;cause=17;text="{name} {number}"',
            "Retry-After: 120 (call {name} at {number})",
            "Contact: {identity}",
        ),
        body=("text/plain", _TELLING),
    )


def _request(
    name: str,
    planted: str,
    *requests: Request,
    stopped_by: str = _UPDATED,
) -> Vector:
    """Requests within the dialog, from both sides."""
    return Vector(name=name, planted=planted, stopped_by=stopped_by, requests=requests)


def _outside(
    name: str,
    planted: str,
    request: Request,
    *,
    stopped_by: str,
    replaces: bool = False,
    stranger: bool = False,
    by: frozenset[End] = BOTH,
) -> Vector:
    """A request outside the dialog, from both sides."""
    outside = Outside(request=request, replaces=replaces, stranger=stranger)
    return Vector(name=name, planted=planted, stopped_by=stopped_by, by=by, outside=outside)


_HEADERS = (
    Vector(
        name="from-name",
        planted="display names in From and Contact, in Latin letters and in UTF-8",
        stopped_by=_SHOWN,
        sender='"{name} {hanzi}" <sip:{number}@carrier.example>',
        contact='"{name} {grouped}" <sip:{number}@carrier.example>',
    ),
    Vector(
        name="from-name-gbk",
        planted="display name in From, in GBK",
        stopped_by=_SHOWN,
        by=CALLER,
        sender='"{gbk}" <sip:{number}@carrier.example>',
    ),
    Vector(
        name="from-name-number",
        planted="the number as display name, grouped; parameters of the From URI",
        stopped_by=_SHOWN,
        by=CALLER,
        sender='"{name} {grouped}" <sip:{number}@carrier.example;x-name={escaped}>',
    ),
    Vector(
        name="contact",
        planted="Contact: user, display name, parameters",
        stopped_by="contact_user unset, use_callerid_contact=no",
        contact='"{name}" <sip:{number}@carrier.example;x-name={escaped}>;x-number={number}',
    ),
    Vector(
        name="call-id",
        planted="Call-ID of the caller",
        stopped_by=_ANEW,
        by=CALLER,
        call_id="{escaped}-{number}",
    ),
    _header("p-asserted-identity", *_IDENTITY[:2], stopped_by=f"{_SHOWN}; {_CONNECTED}"),
    _header("p-preferred-identity", "P-Preferred-Identity: {identity}"),
    _header(
        "remote-party-id",
        "Remote-Party-ID: {identity};party=calling;screen=yes;privacy=off",
        "Remote-Party-ID: {identity};party=called;screen=yes;privacy=off",
        stopped_by=f"{_SHOWN}; {_CONNECTED}",
    ),
    Vector(
        name="privacy",
        planted="Privacy with P-Asserted-Identity, in responses",
        stopped_by=_CONNECTED,
        by=CALLEE,
        headers=("Privacy: header;session;user;id;critical", "P-Asserted-Identity: {identity}"),
    ),
    *(
        Vector(
            name=f"hidden-number-{kind.replace(';', '-')}",
            planted=f"anonymous From, Privacy: {kind}; the number in P-Asserted-Identity and"
            " Remote-Party-ID",
            stopped_by="the router refuses a hidden number; trust_id_outbound=no",
            by=CALLER,
            refused=True,
            sender='"Anonymous" <sip:anonymous@anonymous.invalid>',
            headers=(
                "P-Asserted-Identity: {identity}",
                "Remote-Party-ID: {identity};party=calling;privacy=full",
                f"Privacy: {kind}",
            ),
        )
        for kind in ("id", "header;session;user")
    ),
    _header(
        "diversion",
        "Diversion: {identity};reason=unconditional;counter=1",
        "Diversion: <tel:+86{number}>;reason=no-answer",
        stopped_by=_DIVERTED,
    ),
    _header(
        "history-info",
        "History-Info: <{uri}?Reason=SIP%3Bcause%3D302>;index=1",
        'History-Info: "{name}" <sip:{number}@carrier.example>;index=1.1;mp=1',
        stopped_by=_DIVERTED,
    ),
    _header("referred-by", "Referred-By: {identity}", stopped_by=_REFER),
    _header("reply-to", "Reply-To: {identity}"),
    _header("subject", f"Subject: {_TELLING}"),
    _header("organization", "Organization: {name} {hanzi} {number}"),
    _header("user-agent", "User-Agent: {name}/{number}", "Server: {name}/{number}"),
    _header(
        "call-info",
        "Call-Info: <http://carrier.example/{escaped}.jpg>;purpose=icon",
        "Call-Info: <data:text/vcard;base64,{base64}>;purpose=card",
    ),
    _header("alert-info", "Alert-Info: <http://carrier.example/{number}.wav>;name={escaped}"),
    _header(
        "geolocation",
        "Geolocation: <sip:{number}@location.example>, <http://location.example/{escaped}>",
        "Geolocation-Routing: yes",
    ),
    _header(
        "identity",
        "Identity: {passport};info=<https://cert.example/{number}>;alg=ES256;ppt=shaken",
        'Identity-Info: <https://cert.example/{escaped}>;n="{name}"',
    ),
    _header(
        "p-charging",
        "P-Charging-Vector: icid-value={number};orig-ioi={escaped}",
        "P-Charging-Function-Addresses: ccf={number};ecf={escaped}",
        "P-DCS-Billing-Info: {number}/{escaped}@carrier.example",
        "Charge: {identity}",
    ),
    _header(
        "p-headers",
        "P-Associated-URI: {identity}",
        "P-Called-Party-ID: {identity}",
        "P-Served-User: {identity};sescase=orig;regstate=reg",
        "P-User-Database: <aaa://{number}.carrier.example>",
        'P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp="{number}{escaped}"',
        'P-Visited-Network-ID: "{name} {number}"',
        "P-Profile-Key: <{uri}>",
        "P-Answer-State: {number}",
        "P-Refused-URI-List: {identity}",
    ),
    _header(
        "user-to-user",
        "User-to-User: {hex};encoding=hex;purpose=isdn-uui",
        "User-to-User: {base64};encoding=base64",
    ),
    _header(
        "session-id",
        "Session-ID: {hex};remote={number}",
        "X-Cisco-Guid: {number}",
        "Cisco-Guid: {hex}",
    ),
    _header(
        "warning",
        f'Warning: 399 carrier.example "{_TELLING}"',
        "Error-Info: <{uri}>",
        "In-Reply-To: {number}@{escaped}",
    ),
    _header(
        "reason",
        'Reason: SIP;cause=200;text="{name} {hanzi} {number}"',
        'Reason: Q.850;cause=16;text="{grouped} {escaped}"',
    ),
    _header(
        "caller-preferences",
        'Accept-Contact: *;sip.instance="{number}";description="<{name}>"',
        'Reject-Contact: *;description="<{escaped} {number}>"',
        "Request-Disposition: no-fork",
        'Feature-Caps: *;+g.3gpp.icsi-ref="{number}"',
    ),
    _header(
        "route",
        "X-Route: <sip:{number}@edge.example;lr;x={escaped}>",
        "Path: <sip:{number}@edge.example;lr;x={escaped}>",
        "Service-Route: <sip:{number}@edge.example;lr>",
    ),
    _header(
        "credentials",
        'Authorization: Digest username="{number}", realm="{name}", nonce="1", uri="{uri}",'
        ' response="00000000000000000000000000000000"',
        'Proxy-Authorization: Digest username="{escaped}", realm="{name}", nonce="1", uri="{uri}",'
        ' response="00000000000000000000000000000000"',
        "X-Proxy-Authorization: Basic {base64}",
    ),
    _header(
        "x-headers",
        "X-Caller: {name} {number}",
        "X-Real-Number: 0{number}",
        "X-CID: {grouped} {hanzi}",
        "X-Asterisk-HangupCause: {escaped}",
        "X-FS-Display-Name: {name}",
        "X-FS-Display-Number: {reversed}",
        "P-Telecom-Operator: {base64}",
    ),
)

_BODIES = (
    _session("sdp-origin", "o=", "o={number} 1 1 IN IP4 {escaped}.example"),
    _session("sdp-name", "s=", f"s={_TELLING}"),
    _session("sdp-information", "i=", f"i={_TELLING}"),
    _session("sdp-uri", "u=", "u=http://carrier.example/{number}/{escaped}"),
    _session("sdp-email", "e=", "e={number}@carrier.example ({name} {hanzi})"),
    _session("sdp-phone", "p=", "p=+86 {grouped} ({name})"),
    _session(
        "sdp-attributes",
        "a= at session level: tool, cat, keywds, x-*, identity, msid-semantic, group",
        "a=tool:{name} {number}",
        "a=cat:{escaped}",
        "a=keywds:{hanzi} {grouped}",
        "a=x-caller:{name} {number}",
        "a=identity:{base64}",
        "a=msid-semantic: WMS {number}",
        "a=charset:UTF-8",
    ),
    Vector(
        name="sdp-media",
        planted="i= and a= at media level: label, ssrc cname, msid, mid, fmtp, x-*",
        stopped_by=_SDP,
        media=(
            "i={name} {number}",
            "a=label:{number}",
            "a=ssrc:305419896 cname:{number}@{escaped}",
            "a=msid:{number} {escaped}",
            "a=mid:{number}",
            "a=fmtp:8 x-caller={number};x-name={escaped}",
            "a=x-caller:{name} {hanzi} {grouped}",
        ),
    ),
    Vector(
        name="media-address",
        planted="c= and o= with an address of the phone's own (searched for, too)",
        stopped_by="direct_media=no, media_address: the PBX stays in the media path",
        session=("o={number} 1 1 IN IP4 {address}", "c=IN IP4 {address}", "i={name}"),
    ),
    Vector(
        name="second-body",
        planted="a second body part beside the SDP: ISUP, vCard and the like",
        stopped_by=_ANEW,
        parts=("application/vnd.carrier+xml", f"<party>{_TELLING}</party>"),
    ),
)

_PROVISIONAL = (
    Vector(
        name="phrases",
        planted="reason phrases of 180, 183 and 200",
        stopped_by=_ANEW,
        by=CALLEE,
        phrase="{name} {hanzi} {number}",
    ),
    Vector(
        name="forwarded-before",
        planted="181 before the ringing: Diversion, History-Info, identities, Contact",
        stopped_by=f"{_DIVERTED}; {_CONNECTED}",
        by=CALLEE,
        before=("181 Call Is Being Forwarded To {name} {number}",),
        headers=(
            *_IDENTITY,
            "Diversion: {identity};reason=unconditional",
            "History-Info: <{uri}>",
        ),
        contact="{identity}",
    ),
    Vector(
        name="forwarded-after",
        planted="181 and 182 after the ringing: Diversion, History-Info, identities",
        stopped_by=f"{_DIVERTED}; {_CONNECTED}",
        by=CALLEE,
        after=("181 Call Is Being Forwarded To {name}", "182 Queued For {number}"),
        headers=(*_IDENTITY, "Diversion: {identity};reason=no-answer", "History-Info: <{uri}>"),
    ),
    Vector(
        name="early-update",
        planted="UPDATE and INFO of the callee while it rings: From, identities, body",
        stopped_by=f"{_CONNECTED}",
        by=CALLEE,
        early=(
            Request(method="UPDATE", sender="{identity}", contact="{identity}", headers=_IDENTITY),
            Request(method="INFO", headers=("Content-Type: text/plain",), body=_TELLING),
        ),
    ),
)

_FINAL = (
    _redirect(
        "redirect-302-sip",
        "302, Contact sip: at another host",
        "302 Moved Temporarily",
        '"{name}" <sip:{number}@{decoy}>',
    ),
    _redirect(
        "redirect-302-trunk",
        "302, Contact: another number on the same trunk",
        "302 Moved {name}",
        '"{name}" <sip:{other}@{trunk}>;x-number={number}',
    ),
    _redirect(
        "redirect-302-tel",
        "302, Contact tel:",
        "302 Moved Temporarily",
        '"{name}" <tel:+86{number}>',
    ),
    _redirect(
        "redirect-302-several",
        "302, several Contacts with q",
        "302 Moved Temporarily",
        '"{name}" <sip:{number}@{decoy}>;q=0.9',
        "<sip:{other}@{decoy}>;q=0.8",
        "<tel:{other}>;q=0.7",
        "<sips:{other}@{decoy}>;q=0.1",
    ),
    _redirect(
        "redirect-300",
        "300, Contact sip:",
        "300 Multiple Choices {name}",
        "<sip:{number}@{decoy}>",
        "<sip:{other}@{decoy}>",
    ),
    _redirect(
        "redirect-301",
        "301, Contact sip:",
        "301 Moved Permanently",
        '"{name}" <sip:{number}@{decoy}>',
    ),
    _redirect(
        "redirect-305",
        "305, Contact of a proxy",
        "305 Use Proxy {name}",
        "<sip:{number}@{decoy};lr>",
    ),
    Vector(
        name="alternative-380",
        planted="380 with an alternative service in XML, and Contact",
        stopped_by=_REDIRECTED,
        by=CALLEE,
        final="380 Alternative Service",
        headers=('Contact: "{name}" <sip:{other}@{decoy}>',),
        body=(
            "application/3gpp-ims+xml",
            f"<ims-3gpp><alternative-service>{_TELLING}</alternative-service></ims-3gpp>",
        ),
    ),
    *(
        Vector(
            name=f"challenge-{code}",
            planted=f"{code} {phrase}: realm, nonce, domain",
            stopped_by="no outbound_auth: the leg ends",
            by=CALLEE,
            final=f"{code} {phrase}",
            headers=(
                f'{header}: Digest realm="{{name}} {{number}}", nonce="{{hex}}", domain="{{uri}}"',
            ),
        )
        for code, phrase, header in (
            (401, "Unauthorized", "WWW-Authenticate"),
            (407, "Proxy Authentication Required", "Proxy-Authenticate"),
        )
    ),
    *map(
        _refusal,
        (
            "400 Bad Request",
            "403 Forbidden",
            "404 Not Found",
            "410 Gone",
            "433 Anonymity Disallowed",
            "480 Temporarily Unavailable",
            "484 Address Incomplete",
            "486 Busy Here",
            "488 Not Acceptable Here",
            "500 Server Internal Error",
            "503 Service Unavailable",
            "600 Busy Everywhere",
            "603 Decline",
            "606 Not Acceptable",
            "607 Unwanted",
        ),
    ),
)

_TEXT = ("Content-Type: text/plain;charset=UTF-8", "Subject: {name} {number}")
_WITHIN = (
    _request(
        "update",
        "UPDATE after the answer: From, Contact, P-Asserted-Identity, Remote-Party-ID",
        Request(method="UPDATE", sender="{identity}", contact="{identity}", headers=_IDENTITY),
    ),
    _request(
        "update-offer",
        "UPDATE with an offer, Diversion and History-Info",
        Request(
            method="UPDATE",
            headers=(*_IDENTITY, "Diversion: {identity}", "History-Info: <{uri}>"),
            sdp=True,
        ),
    ),
    _request(
        "reinvite",
        "re-INVITE: From, Contact, P-Asserted-Identity, Remote-Party-ID",
        Request(
            method="INVITE",
            sender="{identity}",
            contact="{identity}",
            headers=_IDENTITY,
            sdp=True,
        ),
    ),
    _request(
        "reinvite-empty",
        "re-INVITE without an offer: identities, Diversion",
        Request(method="INVITE", headers=(*_IDENTITY, "Diversion: {identity}")),
    ),
    _request(
        "session-refresh",
        "session refresh by UPDATE: Session-Expires, identities, From",
        Request(
            method="UPDATE",
            sender='"{name} {grouped}" <{uri}>',
            headers=(
                "Supported: timer",
                "Session-Expires: 1800;refresher=uac;x={number}",
                "Min-SE: 90;x={escaped}",
                *_IDENTITY,
            ),
        ),
    ),
    Vector(
        name="hold",
        planted="hold and retrieval: identities, SDP lines",
        stopped_by=f"{_UPDATED}; {_SDP}",
        requests=(
            Request(method="INVITE", headers=_IDENTITY, sdp=True, direction="sendonly"),
            Request(method="INVITE", headers=_IDENTITY, sdp=True),
        ),
        session=("i=held by {name} {number}",),
    ),
    _request(
        "refer",
        "REFER to a third party: Refer-To, Referred-By, identities",
        Request(
            method="REFER",
            headers=(
                "Refer-To: <sip:{other}@carrier.example>",
                "Referred-By: {identity}",
                *_IDENTITY,
            ),
        ),
        stopped_by=_REFER,
    ),
    _request(
        "refer-uri",
        "REFER to a URI of the sender's choice, tel: and sip:",
        Request(
            method="REFER",
            headers=(
                "Refer-To: <sip:{number}@{decoy}?X-Name={escaped}>",
                "Referred-By: {identity}",
            ),
        ),
        Request(
            method="REFER",
            headers=("Refer-To: <tel:+86{other}>", "Referred-By: {identity}"),
        ),
        stopped_by=_REFER,
    ),
    _request(
        "refer-replaces",
        "attended transfer: REFER with Replaces in Refer-To",
        Request(
            method="REFER",
            headers=(
                "Refer-To: <sip:{number}@{decoy}?Replaces={escaped}%3Bto-tag%3D1%3Bfrom-tag%3D1>",
                "Referred-By: {identity}",
            ),
        ),
        stopped_by=_REFER,
    ),
    _request(
        "message",
        "MESSAGE: body, Subject, From",
        Request(
            method="MESSAGE",
            sender="{identity}",
            headers=(*_TEXT, *_IDENTITY),
            body=_TELLING,
        ),
        stopped_by=_MESSAGE,
    ),
    _request(
        "message-html",
        "MESSAGE with HTML and with CPIM",
        Request(
            method="MESSAGE",
            headers=("Content-Type: text/html",),
            body="<a href='tel:+86{number}'>{name}</a>",
        ),
        Request(
            method="MESSAGE",
            headers=("Content-Type: message/cpim",),
            body="From: {name} <im:{number}@carrier.example>\n\n{grouped}",
        ),
        stopped_by=_MESSAGE,
    ),
    _request(
        "info",
        "INFO: a text, an information package, ISUP",
        Request(
            method="INFO",
            headers=("Info-Package: x-{number}", "Content-Type: text/plain", *_IDENTITY),
            body=_TELLING,
        ),
        Request(
            method="INFO",
            headers=("Content-Type: application/isup;version=itu-t92+",),
            body="{hex} {number} {name}",
        ),
        stopped_by="no module reads them; DTMF bodies become digits only",
    ),
    _request(
        "info-dtmf",
        "INFO with a key and more lines than that",
        Request(
            method="INFO",
            headers=("Content-Type: application/dtmf-relay", "Subject: {name}"),
            body="Signal=5\nDuration=160\nX-Caller={number}\nX-Name={name} {hanzi}",
        ),
        stopped_by="res_pjsip_dtmf_info reads key and duration only",
    ),
    _request(
        "notify",
        "NOTIFY: sipfrag, message summary, talk event",
        Request(
            method="NOTIFY",
            headers=(
                "Event: refer",
                "Subscription-State: active;reason={number}",
                "Content-Type: message/sipfrag",
            ),
            body="SIP/2.0 200 {name} {number}\nContact: {identity}",
        ),
        Request(
            method="NOTIFY",
            headers=(
                "Event: message-summary",
                "Subscription-State: active",
                "Content-Type: application/simple-message-summary",
            ),
            body="Messages-Waiting: yes\nMessage-Account: {uri}\nX-Name: {name}",
        ),
        stopped_by="res_pjsip_mwi and res_pjsip_refer not loaded, allow_subscribe=no",
    ),
    _request(
        "options",
        "OPTIONS: identities, body",
        Request(method="OPTIONS", headers=(*_IDENTITY, "Content-Type: text/plain"), body=_TELLING),
        stopped_by=_NOT_RELAYED,
    ),
    _request(
        "subscribe",
        "SUBSCRIBE and PUBLISH within the dialog",
        Request(
            method="SUBSCRIBE",
            headers=(
                "Event: dialog;id={number}",
                "Expires: 60",
                "Accept: application/dialog-info+xml",
                *_IDENTITY,
            ),
        ),
        Request(
            method="PUBLISH",
            headers=("Event: presence", "Content-Type: application/pidf+xml"),
            body="<presence entity='{uri}'><note>{name} {hanzi}</note></presence>",
        ),
        stopped_by="allow_subscribe=no; res_pjsip_exten_state and _publish_* not loaded",
    ),
)

_SOUND = (
    Vector(
        name="rtp-extension",
        planted="header extensions of RTP: one byte, two bytes, id 15, zfone's, 200 bytes, packed",
        stopped_by=_REBUILT,
        media=("a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid",),
        sound=(Sound.EXTENSION,),
    ),
    Vector(
        name="rtp-csrc",
        planted="contributing sources of RTP: 1, 3, 15; with extension and padding",
        stopped_by=_REBUILT,
        sound=(Sound.CONTRIBUTORS,),
    ),
    Vector(
        name="rtp-padding",
        planted="padding of RTP, behind sound and alone",
        stopped_by=_REBUILT,
        sound=(Sound.PADDING,),
    ),
    Vector(
        name="rtp-source",
        planted="the number, packed, as source (SSRC) of RTP; texts of RTCP",
        stopped_by=f"{_REBUILT}; {_RTCP}",
        sound=(Sound.SOURCE, Sound.RTCP_TEXT),
    ),
    Vector(
        name="rtp-event",
        planted="telephone events with a tail, and a text in place of one",
        stopped_by="an event is read, and made anew on the other leg",
        sound=(Sound.EVENT,),
        codecs=("101 telephone-event/8000",),
    ),
    Vector(
        name="rtp-event-alone",
        planted="the same where no events were agreed on",
        stopped_by=_UNAGREED,
        sound=(Sound.EVENT,),
    ),
    Vector(
        name="rtp-payload",
        planted="payload types that were not agreed on, each with a text; redundant blocks",
        stopped_by=_UNAGREED,
        sound=(Sound.PAYLOAD,),
    ),
    Vector(
        name="rtp-noise",
        planted="the same, with comfort noise and T.140 offered",
        stopped_by=f"{_UNAGREED}; comfort noise ends at the leg",
        sound=(Sound.PAYLOAD,),
        codecs=("13 CN/8000", "98 t140/1000"),
    ),
    Vector(
        name="rtp-protocol",
        planted="STUN, TURN, DTLS, ZRTP, UDPTL, versions 0, 1, 3 and text, on both ports",
        stopped_by="Asterisk reads RTP and RTCP there, and nothing else (no ICE, no DTLS)",
        sound=(Sound.PROTOCOL,),
    ),
    Vector(
        name="rtp-held",
        planted="all of these while the call is held, and when it is taken up again",
        stopped_by=f"{_REBUILT}; {_UNAGREED}; {_RTCP}",
        requests=(
            Request(method="INVITE", sdp=True, direction="sendonly"),
            Request(method="INVITE", sdp=True),
        ),
        sound=tuple(Sound),
    ),
    Vector(
        name="rtp-moved",
        planted="all of these, and again from another port after a re-INVITE that names it",
        stopped_by=f"{_REBUILT}; {_UNAGREED}; {_RTCP}",
        requests=(Request(method="INVITE", sdp=True, moves=True),),
        sound=tuple(Sound),
    ),
    Vector(
        name="rtcp",
        planted="RTCP: all texts of SDES (CNAME, NAME, EMAIL, PHONE, LOC, TOOL, NOTE), APP",
        stopped_by=_RTCP,
        sound=(Sound.RTCP_TEXT,),
    ),
    Vector(
        name="rtcp-rest",
        planted="RTCP: BYE, XR, feedback, extended reports, reduced in size; RTP and RTCP at the "
        "other's port",
        stopped_by=_RTCP,
        sound=(Sound.RTCP_REST,),
    ),
)

_OUTSIDE = (
    _outside(
        "replaces",
        "INVITE with Replaces, by which a third party takes a leg over",
        Request(
            method="INVITE",
            headers=(*_IDENTITY, "Supported: replaces", "Require: replaces"),
            sdp=True,
        ),
        stopped_by="res_pjsip_refer not loaded",
        replaces=True,
        stranger=True,
    ),
    _outside(
        "message-outside",
        "MESSAGE to the 700 number, outside the call",
        Request(method="MESSAGE", headers=(*_TEXT, *_IDENTITY), body=_TELLING),
        stopped_by=_MESSAGE,
    ),
    _outside(
        "refer-outside",
        "REFER outside the call: Refer-To, Referred-By",
        Request(
            method="REFER",
            headers=("Refer-To: <sip:{other}@carrier.example>", "Referred-By: {identity}"),
        ),
        stopped_by=_REFER,
    ),
    _outside(
        "subscribe-outside",
        "SUBSCRIBE to the 700 number's dialogs",
        Request(
            method="SUBSCRIBE",
            headers=(
                "Event: dialog",
                "Expires: 60",
                "Accept: application/dialog-info+xml",
                *_IDENTITY,
            ),
        ),
        stopped_by="allow_subscribe=no; res_pjsip_exten_state not loaded",
    ),
    _outside(
        "notify-outside",
        "NOTIFY outside the call",
        Request(
            method="NOTIFY",
            headers=(
                "Event: message-summary",
                "Subscription-State: active",
                "Content-Type: application/simple-message-summary",
            ),
            body="Messages-Waiting: yes\nMessage-Account: {uri}\nX-Name: {name}",
        ),
        stopped_by="res_pjsip_mwi not loaded",
    ),
    _outside(
        "options-outside",
        "OPTIONS outside the call: identities, body",
        Request(method="OPTIONS", headers=(*_IDENTITY, "Content-Type: text/plain"), body=_TELLING),
        stopped_by=_NOT_RELAYED,
    ),
)

_END = (
    *(
        Vector(
            name=f"bye-{side.value}",
            planted=f"BYE of the {side.value}: Reason texts, identities, From",
            stopped_by="only the cause number is read; suppress_q850_reason_headers=yes",
            by=frozenset({side}),
            hung_up_by=side,
            goodbye=Request(
                method="BYE",
                sender="{identity}",
                headers=(
                    'Reason: Q.850;cause=16;text="{name} {number}"',
                    'Reason: SIP;cause=200;text="{hanzi} {grouped}"',
                    "X-Hangup: {escaped}",
                    *_IDENTITY,
                    "Content-Type: text/plain",
                ),
                body=_TELLING,
            ),
        )
        for side in End
    ),
    Vector(
        name="cancel",
        planted="CANCEL: Reason texts, identities",
        stopped_by="only the cause number is read; suppress_q850_reason_headers=yes",
        by=CALLER,
        cancel=Request(
            method="CANCEL",
            headers=(
                'Reason: SIP;cause=487;text="{name} {number}"',
                'Reason: Q.850;cause=16;text="{hanzi} {grouped}"',
                *_IDENTITY,
            ),
        ),
    ),
)

VECTORS: tuple[Vector, ...] = (
    *_HEADERS,
    *_BODIES,
    *_PROVISIONAL,
    *_FINAL,
    *_WITHIN,
    *_SOUND,
    *_OUTSIDE,
    *_END,
)
"""
All vectors, in the order of a call.
"""

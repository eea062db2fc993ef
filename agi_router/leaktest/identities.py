"""
The identities: every form in which an INVITE may say who calls, and who must be taken for it.

1. A is bound with B, C with nobody. Whoever is taken for A makes B ring, for B A, else nobody.
2. An identity is one noun. In a text, ``{a}``, ``{b}`` and ``{c}`` stand for the three numbers.
3. ``taken_for`` is who calls by the carrier's word, or why the router refuses. Where it is a
   reason, or C, From mostly names A: whoever believes From lets a stranger in.

Source:
    RFC 3325 (P-Asserted-Identity), RFC 3323 (Privacy), RFC 3261 (headers), RFC 3966 (tel).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from agi_router.bindings.reasons import Reason

__all__ = ["IDENTITIES", "Identity", "Taken"]


class Taken(enum.Enum):
    """Who a caller may be taken for: one of the binding's parties, or a stranger to it."""

    A = "a"
    B = "b"
    C = "c"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """
    One form of saying who calls.

    Attributes:
        name: Its noun.
        headers: Header lines besides From, as they are sent: a line may be folded.
        taken_for: Who must be taken for the caller, or why nobody is.
        sender: From, with its name and without its tag.
    """

    name: str
    taken_for: Taken | Reason
    headers: tuple[str, ...] = ()
    sender: str = "From: <sip:{a}@carrier.example>"

    @property
    def unasserted(self) -> bool:
        """Whether the carrier says nothing, so that a setting says whether From counts."""
        return not any(
            line.partition(":")[0].strip().lower() == "p-asserted-identity"
            for line in self.headers
        )


_HIDDEN, _UNREADABLE, _FOREIGN = (
    Reason.CALLER_HIDDEN,
    Reason.CALLER_UNREADABLE,
    Reason.CALLER_FOREIGN,
)
_PAI = "P-Asserted-Identity: "


def _sent_by(name: str, sender: str, taken_for: Taken | Reason = Taken.A) -> Identity:
    return Identity(name=f"from-{name}", sender=sender, taken_for=taken_for)


def _asserted(name: str, *lines: str, taken_for: Taken | Reason = Taken.B) -> Identity:
    return Identity(
        name=f"pai-{name}", headers=tuple(_PAI + line for line in lines), taken_for=taken_for
    )


def _private(
    name: str, privacy: str, *lines: str, taken_for: Taken | Reason = _HIDDEN
) -> Identity:
    return Identity(
        name=f"privacy-{name}",
        headers=(*(_PAI + line for line in lines), privacy),
        taken_for=taken_for,
    )


_SIP, _TEL = "<sip:+86{b}@ims.example.cn;user=phone>", "<tel:+86{b}>"
_SIP_C, _TEL_C = "<sip:+86{c}@ims.example.cn;user=phone>", "<tel:+86{c}>"

IDENTITIES = (
    # From alone.
    _sent_by("plain", "From: <sip:{a}@carrier.example>"),
    _sent_by("country", "From: <sip:+86{a}@carrier.example;user=phone>"),
    _sent_by("quoted-name", 'From: "Lin, \\"D\\" <y>" <sip:{a}@carrier.example>'),
    _sent_by("bare", "From: sip:{a}@carrier.example"),
    _sent_by("short", "f: <sip:{a}@carrier.example>"),
    _sent_by("capitals", "FROM: <SIP:{a}@CARRIER.EXAMPLE>"),
    _sent_by("folded", "From:\r\n <sip:{a}@carrier.example>\r\n "),
    _sent_by("tel", "From: <tel:+86{a}>"),
    _sent_by("escaped", "From: <sip:%2B86{a}@carrier.example>"),
    _sent_by("context", "From: <sip:{a};phone-context=+86@carrier.example;user=phone>"),
    _sent_by("context-abroad", "From: <sip:{a};phone-context=+1@carrier.example>", _FOREIGN),
    _sent_by("anonymous", 'From: "Anonymous" <sip:anonymous@anonymous.invalid>', _HIDDEN),
    _sent_by("alias", "From: <sip:lin.daiyu@carrier.example>", _UNREADABLE),
    # One value of P-Asserted-Identity. From names A, and must not count.
    _asserted("sip", "<sip:{b}@ims.example.cn>"),
    _asserted("country", _SIP),
    _asserted("sips", "<sips:+86{b}@ims.example.cn>"),
    _asserted("tel", _TEL),
    _asserted("tel-local", "<tel:{b};phone-context=ims.example.cn>"),
    _asserted("bare-sip", "sip:+86{b}@ims.example.cn"),
    _asserted("bare-tel", "tel:+86{b}"),
    _asserted("name", "Lin Daiyu " + _SIP),
    _asserted("quoted-name", '"Lin, \\"D\\" <sip:{a}@x>, (y" ' + _SIP),
    _asserted("chinese-name", '"林黛玉" ' + _SIP),
    _asserted("parameters", "<sip:+86{b};npdi;cpc=ordinary@[2001:db8::1]:5060;user=phone;x>;y=z"),
    _asserted("isub", "<tel:+86{b};isub=12345>"),
    _asserted("context", "<sip:{b};phone-context=+86@ims.example.cn;user=phone>"),
    _asserted("escaped", "<sip:%2B86{b}@ims.example.cn>"),
    _asserted("grouped", "<tel:+86-{b}>"),
    _asserted("parentheses", "<tel:+86({b})>"),
    _asserted("capitals", "<TEL:+86{b}>"),
    Identity(
        name="pai-small-letters", headers=("p-asserted-identity \t:\t" + _TEL,), taken_for=Taken.B
    ),
    Identity(
        name="pai-folded",
        headers=('P-Asserted-Identity:\r\n\t"Lin"\r\n  ' + _TEL,),
        taken_for=Taken.B,
    ),
    _asserted("stranger", _SIP_C, taken_for=Taken.C),
    # Two values.
    _asserted("two-in-one-line", f"{_SIP}, {_TEL}"),
    _asserted("two-in-two-lines", _SIP, _TEL),
    _asserted("two-folded", f"{_SIP},\r\n {_TEL}"),
    _asserted("alias-and-tel", f"<sip:lin.daiyu@ims.example.cn>,{_TEL}"),
    _asserted("tel-and-alias", _TEL, "<sip:lin.daiyu@ims.example.cn>"),
    _asserted("two-strangers-in-one-line", f"{_SIP_C}, {_TEL_C}", taken_for=Taken.C),
    _asserted("two-strangers-in-two-lines", _SIP_C, _TEL_C, taken_for=Taken.C),
    _asserted("disagreement", f"{_SIP}, {_TEL_C}", taken_for=_UNREADABLE),
    _asserted("disagreement-in-two-lines", _SIP, _TEL_C, taken_for=_UNREADABLE),
    # What is there and is no identity.
    _asserted("three-lines", _SIP, _TEL, _SIP, taken_for=_UNREADABLE),
    _asserted("empty", "", taken_for=_UNREADABLE),
    _asserted("word", "unknown", taken_for=_UNREADABLE),
    _asserted("alias", "<sip:lin.daiyu@ims.example.cn>", taken_for=_UNREADABLE),
    _asserted("urn", "<urn:service:sos>", taken_for=_UNREADABLE),
    _asserted("open-quote", '"Lin ' + _SIP, taken_for=_UNREADABLE),
    _asserted("open-bracket", "<sip:+86{b}@ims.example.cn", taken_for=_UNREADABLE),
    _asserted("trailing-comma", f"{_SIP},", taken_for=_UNREADABLE),
    _asserted("bad-escape", "<sip:%2+86{b}@ims.example.cn>", taken_for=_UNREADABLE),
    _asserted("too-long", f"{_SIP};x=" + "x" * 5000, taken_for=_UNREADABLE),
    _asserted("context-abroad", "<tel:{b};phone-context=+1>", taken_for=_FOREIGN),
    _asserted("anonymous", "<sip:anonymous@anonymous.invalid>", taken_for=_HIDDEN),
    # What the dialplan could take for code of its own: a part of a value must not count.
    _asserted("brackets-of-a-function", '"x):0:9" ' + _TEL_C, taken_for=Taken.C),
    _asserted("variable", '"${{CALLERID(num)}}" ' + _TEL_C, taken_for=Taken.C),
    # Privacy.
    _private("id", "Privacy: id", _SIP),
    _private("id-critical", "Privacy: id;critical", "<sip:{b}@ims.example.cn>"),
    _private("user-id", "Privacy: user; id", _SIP),
    _private("header", "Privacy: header", _SIP),
    _private("capitals", "PRIVACY: ID", _SIP),
    _private("two-values", "Privacy: id", f"{_SIP}, {_TEL}"),
    _private("from", "Privacy: user"),
    _private("none", "Privacy: none", _SIP, taken_for=Taken.B),
    _private("session", "Privacy: session;critical", _SIP, taken_for=Taken.B),
    # Headers that many networks let a caller write: nothing follows from them.
    *(
        Identity(
            name=f"{header.lower()}-{against}",
            headers=(*lines, f"{header}: <sip:{{a}}@carrier.example>;party=calling;screen=yes"),
            sender="From: <sip:{c}@carrier.example>",
            taken_for=taken_for,
        )
        for header in ("Remote-Party-ID", "Diversion", "P-Preferred-Identity")
        for against, lines, taken_for in (
            ("from", (), Taken.C),
            ("pai", (_PAI + _SIP,), Taken.B),
        )
    ),
)
"""
What is tried, in the order of the report.
"""

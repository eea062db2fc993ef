"""
Who calls: what an INVITE says of its caller in, a number or a reason to refuse out.

1. P-Asserted-Identity is the carrier's word. Where it is present it is read, or the call is
   refused: From, which a caller writes itself, never stands in for one that cannot be read.
2. Two values, in one line or in two, must be one number; one that is no number (an alias) may
   stand beside one that is.
3. Privacy hides, whatever it asks for besides ``none``, ``critical``, ``session`` and ``history``.
4. Remote-Party-ID and Diversion are not even told: many networks let a caller write them.
5. Nothing in it is trusted: it comes as text that a caller may have made, of any length and bytes.

Rule for the editor: what is told is written by ``[agi-router-caller]`` of the shipped dialplan and
read only here. Change both together and raise ``AGI_ROUTER_DIALPLAN``.

Source:
    RFC 3325, 9.1 (P-Asserted-Identity); RFC 3323, 4.2 (Privacy); RFC 3261, 7.3.1, 20.10 and 25.1
    (headers, addresses); RFC 3966, 3 and 5 (tel, also as user part).
"""

import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

from agi_router.bindings.reasons import Reason
from agi_router.errors import NumberError
from agi_router.numbers import PhoneNumber, is_withheld

__all__ = ["Signalled", "read_caller"]

_TOLD = re.compile(
    r"([0-9]{1,3})\.([0-9]{1,3})" + r"\.([0-9]{1,5})-([A-Za-z0-9+/=]*+)" * 4 + r"\.end"
)

# One line of P-Asserted-Identity and no other: nearly every call.
_TOLD_USUALLY = re.compile(r"1\.0\.([0-9]{1,5})-([A-Za-z0-9+/=]*+)\.0-\.0-\.0-\.end")

# Header values, as latin-1: a byte is a character. Possessive, so that no text takes long.
_QUOTED = r'"(?:[^"\\]|\\.)*+"'
_WORDS = r"[A-Za-z0-9.!%*_+`'~ \t\x80-\xff-]*+"
_PARAMETERS = (
    r"(?:[ \t]*+;[ \t]*+[^\"<>,;=\s]++(?:[ \t]*+=[ \t]*+(?:" + _QUOTED + r"|[^\"<>,;\s]++))?+)*+"
)
_VALUE = re.compile(
    rf"[ \t]*+(?:(?:{_QUOTED}[ \t]*+|{_WORDS})<(?P<uri>[^<>\"\s]*+)>"
    rf"|(?P<bare>[^<>\",;?\s]++))(?P<parameters>{_PARAMETERS})[ \t]*+(?:(?P<more>,)|\Z)"
)
_SIP = re.compile(
    r"sips?:(?:(?P<user>[A-Za-z0-9_.!~*'()&=+$,;?/%-]*+)"
    r"(?::[A-Za-z0-9_.!~*'()&=+$,%-]*+)?@)?"
    r"(?P<host>\[[0-9a-f:.]++\]|[a-z0-9._-]++)(?::[0-9]{1,5}+)?"
    r"(?P<parameters>(?:;[^;?]*+)*+)(?:\?.*)?",
    re.IGNORECASE,
)
_TEL = re.compile(r"tel:(?P<user>.+)", re.IGNORECASE)
# What nearly every carrier asserts, so nearly every call: read by this one look.
_ORDINARY = re.compile(
    r"<(?:sip:(\+?[0-9]{5,20})@(?!(?i:anonymous\.invalid))[A-Za-z0-9.-]+(?:;user=phone)?"
    r"|tel:(\+?[0-9]{5,20}))>"
)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_PHONE = re.compile(r"\+?(?=[.()-]*+[0-9])[0-9.()-]++")
_SEPARATORS = str.maketrans("", "", ".()-")
_DOMAIN = re.compile(r"(?:[a-z0-9-]++\.)*+[a-z][a-z0-9-]*+")
_CONTEXT = "phone-context"
_CHINA = "+86"
_NOWHERE = "anonymous.invalid"

_SHOWS = frozenset({"none", "critical", "session", "history"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Signalled:
    """
    What an INVITE says of its caller. A line that was not told whole is :obj:`None`.
    """

    asserted: tuple[str | None, ...] = field(default=(), repr=False)
    """The lines of P-Asserted-Identity."""
    privacy: tuple[str | None, ...] = ()
    """Those of Privacy."""
    sender: str | None = field(default=None, repr=False)
    """From; where an identity is asserted nobody asks for it."""

    @classmethod
    def from_dialplan(cls, text: str) -> Self:
        """
        Read what the dialplan tells. Never raises.

        Args:
            text: ``asserted.privacy.first.second.privacy.from.end``: how many lines there are of
                P-Asserted-Identity and of Privacy, and the first two and the first of them; a line
                is its length in bytes, ``-`` and its BASE64. Anything else has not come whole, or
                not from our dialplan, and is a caller that cannot be read.
        """
        if usual := _TOLD_USUALLY.fullmatch(text):
            return cls(asserted=(_line(usual[1], usual[2]),))
        match = _TOLD.fullmatch(text)
        if match is None:
            return cls(asserted=(None,))
        first, second, privacy, sender = (
            _line(match[length], match[length + 1]) for length in (3, 5, 7, 9)
        )
        return cls(
            asserted=_lines(int(match[1]), first, second),
            privacy=_lines(int(match[2]), privacy),
            sender=sender,
        )


def read_caller(signalled: Signalled, *, believe_from: bool) -> str | Reason:
    """
    Say who calls. Never raises.

    Args:
        signalled: What the INVITE says.
        believe_from: Whether From counts where no identity is asserted.

    Returns:
        A telephone number, with or without ``+86``; or why the call is refused: ``caller_hidden``
        or ``caller_unreadable``.
    """
    if signalled.privacy and any(line is None or _hides(line) for line in signalled.privacy):
        return Reason.CALLER_HIDDEN
    if signalled.asserted:
        return _ordinary(signalled.asserted) or _asserted(signalled.asserted)
    if not believe_from:
        return Reason.CALLER_UNREADABLE
    found = _values(signalled.sender)
    if len(found) != 1:
        return Reason.CALLER_UNREADABLE
    return _agreed(found)


def _ordinary(lines: Sequence[str | None]) -> str | None:
    """
    The number in a single line of the usual form: what :func:`_asserted` would make of it.
    """
    if len(lines) > 1 or (line := lines[0]) is None:
        return None
    match = _ORDINARY.fullmatch(line)
    return match and (match[1] or match[2])


def _asserted(lines: Sequence[str | None]) -> str | Reason:
    """
    The one number that lines in any form are.
    """
    return _agreed([each for line in lines for each in _values(line)])


def _line(length: str, coded: str) -> str | None:
    if length == "0":
        return None
    try:
        line = binascii.a2b_base64(coded, strict_mode=True)
    except binascii.Error:
        return None
    return line.decode("latin-1") if line and len(line) == int(length) else None


def _lines(count: int, *lines: str | None) -> tuple[str | None, ...]:
    """
    As many lines as were counted; whatever is not told of them is unknown.
    """
    return tuple(lines[place] if place < len(lines) else None for place in range(count))


def _hides(line: str) -> bool:
    """
    Whether a line of Privacy asks for more than can be shown. An empty one is no legal form.
    """
    return any(word.strip(" \t").lower() not in _SHOWS for word in re.split("[;,]", line))


def _values(line: str | None) -> list[str | Reason | None]:
    """
    The values of one line, each as :func:`_value` has it.
    """
    found: list[str | Reason | None] = []
    place, more = 0, True
    while more:
        match = None if line is None else _VALUE.match(line, place)
        if match is None:
            return [Reason.CALLER_UNREADABLE]
        found.append(_value(match))
        place, more = match.end(), match["more"] is not None
    return found


def _value(match: re.Match[str]) -> str | Reason | None:
    """
    One address: a telephone number, a reason to refuse it, or :obj:`None` for an alias.
    """
    uri = match["bare"] or match["uri"]
    # Without brackets they belong to the header. Whoever meant them for the number is heard.
    parameters = match["parameters"]
    if _BAD_ESCAPE.search(uri):
        return Reason.CALLER_UNREADABLE
    if sip := _SIP.fullmatch(uri):
        if sip["host"].lower() == _NOWHERE:
            return Reason.CALLER_HIDDEN
        return _user(sip["user"] or "", sip["parameters"] + parameters)
    if tel := _TEL.fullmatch(uri):
        number = _user(tel["user"], parameters)
        # A tel URI is nothing but a number.
        return Reason.CALLER_UNREADABLE if number is None else number
    return Reason.CALLER_UNREADABLE


def _user(user: str, parameters: str) -> str | Reason | None:
    """
    A user part, which may be a number with parameters of its own.
    """
    text, _, own = user.partition(";")
    number = _unescaped(text)
    if not number or is_withheld(number):
        return Reason.CALLER_HIDDEN
    if not _PHONE.fullmatch(number):
        return None
    number = number.translate(_SEPARATORS)
    contexts = _contexts(f"{own};{parameters}")
    if not contexts:
        return number
    if len(contexts) > 1:
        return Reason.CALLER_UNREADABLE
    return _within(number, contexts.pop())


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


def _contexts(parameters: str) -> set[str]:
    """
    Where a local number is valid, as far as *parameters* tell.
    """
    pairs = (each.partition("=") for each in parameters.split(";"))
    return {
        _unescaped(value.strip(" \t")).lower()
        for name, _, value in pairs
        if name.strip(" \t").lower() == _CONTEXT
    }


def _within(number: str, context: str) -> str | Reason:
    """
    A number within a context: a domain says nothing of the country, a prefix does.
    """
    prefix = context.translate(_SEPARATORS) if _PHONE.fullmatch(context) else ""
    if not prefix.startswith("+"):
        return number if _DOMAIN.fullmatch(context) else Reason.CALLER_UNREADABLE
    if number.startswith("+"):
        return number if number.startswith(prefix) else Reason.CALLER_UNREADABLE
    if prefix == _CHINA:
        return number
    # What a part of a number is put together with may be somebody else's.
    if prefix.startswith(_CHINA) or _CHINA.startswith(prefix):
        return Reason.CALLER_UNREADABLE
    return prefix + number


def _agreed(found: Iterable[str | Reason | None]) -> str | Reason:
    """
    The one number that all values are, aliases left out.
    """
    numbers: dict[str, str] = {}
    reasons: set[Reason] = set()
    for each in found:
        if isinstance(each, Reason):
            reasons.add(each)
        elif each is not None:
            numbers.setdefault(_national(each), each)
    if Reason.CALLER_HIDDEN in reasons and len(reasons) == 1:
        return Reason.CALLER_HIDDEN
    if reasons or len(numbers) != 1:
        return Reason.CALLER_UNREADABLE
    return next(iter(numbers.values()))


def _national(number: str) -> str:
    """
    *number* in one form, so that two forms of one number are equal.
    """
    try:
        return PhoneNumber.parse(number, fixed_lines=True).digits
    except NumberError:
        return number

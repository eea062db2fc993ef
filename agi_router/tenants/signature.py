"""
Signed requests, by the scheme ACS3 that the clients of Alibaba Cloud speak.

The ``Authorization`` of a request names the algorithm, the key's id, the headers that are signed,
and the signature::

    ACS3-HMAC-SHA256 Credential=<key id>,SignedHeaders=host;x-acs-date,Signature=<hex>

What is signed is made anew from what came: method, path, query, those headers, and the hash of the
body. Rules for the editor:

1. The query is decoded and written anew, never taken as it came: clients send ``+``, ``%20`` or a
   plain ``*``, and all sign the strict form of RFC 3986.
2. What must be signed is listed here, not by the client: else it could leave out the date.
3. The hash of the body comes first, then the signature, in constant time; the date only then.
   Whether a nonce was used before is asked last, by whoever keeps them: a stranger fills nothing.

Source:
    The wire of ``alibabacloud_dyplsapi20170525`` 2.5.1 and ``@alicloud/openapi-client`` 0.4.15.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import NamedTuple
from urllib.parse import parse_qsl, quote

from agi_router.tenants.signature_window import WINDOW

__all__ = [
    "Algorithm",
    "Request",
    "Signature",
    "SignatureFault",
    "SignatureInvalid",
    "Stamp",
    "check_nonce",
    "check_window",
    "parse_signature",
    "read_query",
    "sign",
    "verify",
    "write_query",
]

_NEEDED = frozenset(
    {"host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce"}
    | {"x-acs-content-sha256"}
)
_NEEDED_IF_SENT = frozenset({"idempotency-key", "if-match"})
_FORM = re.compile(
    r"(ACS3-HMAC-SHA256|ACS3-HMAC-SM3) +Credential=([^,\s]{1,64}), *"
    r"SignedHeaders=([a-z0-9;-]{1,2048}), *Signature=([0-9a-f]{64})"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_NONCE = re.compile(r"[!-~]{8,128}")
_UNRESERVED = "-_.~"
# What HTTP lets stand around a value. str.strip would take U+00A0 too, which is a byte of a value.
_BLANKS = " \t"


class Algorithm(Enum):
    """
    By what bodies are hashed and requests signed: the international standard, or the national one.
    """

    SHA256 = "ACS3-HMAC-SHA256"
    SM3 = "ACS3-HMAC-SM3"

    @property
    def digest(self) -> str:
        """
        The name of its hash.
        """
        return "sha256" if self is Algorithm.SHA256 else "sm3"


class SignatureFault(Enum):
    """
    What is wrong with a signature.
    """

    MISSING = "missing"
    MALFORMED = "malformed"
    METHOD = "method"
    QUERY = "query"
    INCOMPLETE = "incomplete"
    REPEATED = "repeated"
    WRONG = "wrong"
    DATE = "date"
    EXPIRED = "expired"


class SignatureInvalid(ValueError):  # noqa: N818  (named after what happened)
    """
    A signature is not that of its request.

    Args:
        fault: What is wrong. The text that was signed is never told: it may hold real numbers.
    """

    def __init__(self, fault: SignatureFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Request:
    """
    A request, as far as it is signed.
    """

    method: str
    path: str
    """As it was asked for, decoded by nobody; the clients of Alibaba Cloud sign ``/``."""
    query: str
    """As it came, without the question mark."""
    headers: Sequence[tuple[str, str]]
    """Names in small letters."""
    body: bytes


class Stamp(NamedTuple):
    """
    What is not to come again within :data:`WINDOW`, before and behind: exactly as it was signed.

    In another spelling, of a blank more, it would be another one, and one signature good for many.
    """

    date: str
    nonce: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """
    What an ``Authorization`` says.
    """

    algorithm: Algorithm
    key_id: str
    signed: tuple[str, ...]
    """Names of the headers that are signed."""
    value: str
    """64 hexadecimal digits."""


def parse_signature(text: str) -> Signature:
    """
    Read the ``Authorization`` of a signed request.

    Raises:
        SignatureInvalid: ``MALFORMED``.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise SignatureInvalid(SignatureFault.MALFORMED)
    return Signature(
        algorithm=Algorithm(match[1]),
        key_id=match[2],
        signed=tuple(match[3].split(";")),
        value=match[4],
    )


def verify(request: Request, signature: Signature, secret: bytes, *, now: datetime) -> Stamp:
    """
    Make sure that whoever has *secret* has signed *request*, and not long ago.

    Args:
        request: What came.
        signature: What its ``Authorization`` says.
        secret: The key's.
        now: The time.

    Returns:
        What is good once.

    Raises:
        SignatureInvalid: It is not so.
    """
    headers = _headers(request)
    _check_complete(request, signature, headers)
    body_hash = hashlib.new(signature.algorithm.digest, request.body).hexdigest()
    told = headers["x-acs-content-sha256"].lower()
    if not hmac.compare_digest(body_hash.encode(), told.encode("utf-8", "replace")):
        raise SignatureInvalid(SignatureFault.WRONG)
    wanted = sign(request, signature.algorithm, signature.signed, secret)
    if not hmac.compare_digest(wanted, signature.value):
        raise SignatureInvalid(SignatureFault.WRONG)
    stamp = Stamp(headers["x-acs-date"], headers["x-acs-signature-nonce"])
    check_window(stamp.date, now)
    return stamp


def sign(request: Request, algorithm: Algorithm, signed: Sequence[str], secret: bytes) -> str:
    """
    The signature of a request: 64 hexadecimal digits.

    Args:
        request: It.
        algorithm: By what.
        signed: Names of the headers that are signed; the request has each of them once.
        secret: The key's.

    Raises:
        SignatureInvalid: ``QUERY``, where the query cannot be read; ``REPEATED``.
    """
    headers = _headers(request)
    names = sorted(signed)
    canonical = "\n".join(
        (
            request.method,
            request.path,
            write_query(read_query(request.query)),
            "".join(f"{name}:{headers[name]}\n" for name in names),
            ";".join(names),
            headers["x-acs-content-sha256"],
        )
    )
    hashed = hashlib.new(algorithm.digest, canonical.encode("utf-8", "surrogatepass")).hexdigest()
    return hmac.new(secret, f"{algorithm.value}\n{hashed}".encode(), algorithm.digest).hexdigest()


def read_query(query: str) -> list[tuple[str, str]]:
    """
    The names and values of a query, or of the form in a body, decoded; blank values stay.

    Raises:
        SignatureInvalid: ``QUERY``, where it cannot be read; ``REPEATED``.
    """
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=bool(query), errors="strict"
        )
    except ValueError:
        raise SignatureInvalid(SignatureFault.QUERY) from None
    if len({name for name, _ in pairs}) != len(pairs):
        raise SignatureInvalid(SignatureFault.REPEATED)
    return pairs


def write_query(pairs: Iterable[tuple[str, str]]) -> str:
    """
    A query as it is signed: sorted, in the strict form of RFC 3986.
    """
    return "&".join(
        f"{quote(name, safe=_UNRESERVED)}={quote(value, safe=_UNRESERVED)}"
        for name, value in sorted(pairs)
    )


def check_nonce(text: str) -> None:
    """
    Make sure that a nonce is 8 to 128 characters that are seen.

    Raises:
        SignatureInvalid: ``MALFORMED``.
    """
    if not _NONCE.fullmatch(text):
        raise SignatureInvalid(SignatureFault.MALFORMED)


def check_window(text: str, now: datetime) -> None:
    """
    Make sure that a date such as ``2026-01-31T12:00:00Z`` is within :data:`WINDOW`.

    Raises:
        SignatureInvalid: ``DATE``, where it is none; ``EXPIRED``.
    """
    if abs(_read_date(text) - now) > WINDOW:
        raise SignatureInvalid(SignatureFault.EXPIRED)


def _headers(request: Request) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, value in request.headers:
        # What is signed twice could be read in two ways.
        plain = value.strip(_BLANKS)
        found[name] = f"{found[name]},{plain}" if name in found else plain
    return found


def _check_complete(request: Request, signature: Signature, headers: Mapping[str, str]) -> None:
    needed = _NEEDED | ({"content-type"} if request.body else set())
    # They decide what is done: under another one it would be done again, or over a change.
    needed |= _NEEDED_IF_SENT & headers.keys()
    signed = set(signature.signed)
    if not needed <= signed <= headers.keys():
        raise SignatureInvalid(SignatureFault.INCOMPLETE)
    names = [name for name, _ in request.headers]
    if len(signed) != len(signature.signed) or any(names.count(name) > 1 for name in signed):
        raise SignatureInvalid(SignatureFault.REPEATED)
    check_nonce(headers["x-acs-signature-nonce"])


def _read_date(text: str) -> datetime:
    # strptime takes fewer digits, and spaces.
    if _DATE.fullmatch(text):
        try:
            return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError:
            pass
    raise SignatureInvalid(SignatureFault.DATE)

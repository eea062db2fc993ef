"""Signed requests: what is accepted, and that nothing that was changed is."""

from __future__ import annotations

import hashlib
import hmac
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from agi_router.tenants.signature import (
    Algorithm,
    Request,
    SignatureFault,
    SignatureInvalid,
    parse_signature,
    verify,
)
from agi_router.tenants.signature_window import WINDOW

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECRET = b"a-secret-of-a-key"
KEY = "abcdefghijklmnop"
NONCE = "0123456789abcdef0123456789abcdef"


def signed(
    *,
    method: str = "POST",
    path: str = "/v1/bindings",
    query: tuple[tuple[str, str], ...] = (),
    body: bytes = b"",
    algorithm: str = "ACS3-HMAC-SHA256",
    date: str = "2026-01-31T12:00:00Z",
    nonce: str = NONCE,
    raw: str | None = None,
    leave_out: str = "",
    more: tuple[tuple[str, str], ...] = (),
) -> tuple[Request, str]:
    """A request and its Authorization, by a signer of its own, as the clients write it."""
    digest = "sha256" if algorithm.endswith("SHA256") else "sm3"
    headers = {
        "host": "127.0.0.1:8700",
        "x-acs-action": "BindAxb700",
        "x-acs-version": "2017-05-25",
        "x-acs-date": date,
        "x-acs-signature-nonce": nonce,
        "x-acs-content-sha256": hashlib.new(digest, body).hexdigest(),
        "accept": "application/json",
        **({"content-type": "application/json"} if body else {}),
        **dict(more),
    }
    names = sorted(name for name in headers if name != leave_out)
    canonical_query = "&".join(
        f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(query)
    )
    lines = "".join(f"{name}:{headers[name]}\n" for name in names)
    canonical = "\n".join(
        (method, path, canonical_query, lines, ";".join(names), headers["x-acs-content-sha256"])
    )
    to_sign = f"{algorithm}\n{hashlib.new(digest, canonical.encode()).hexdigest()}"
    value = hmac.new(SECRET, to_sign.encode(), digest).hexdigest()
    request = Request(
        method=method,
        path=path,
        query=canonical_query if raw is None else raw,
        headers=tuple(headers.items()),
        body=body,
    )
    return request, (
        f"{algorithm} Credential={KEY},SignedHeaders={';'.join(names)},Signature={value}"
    )


def accepted(request: Request, authorization: str, *, now: datetime = NOW) -> str:
    """The nonce of a request that is accepted."""
    stamp = verify(request, parse_signature(authorization), SECRET, now=now)
    assert stamp.date == dict(request.headers)["x-acs-date"].strip(" \t")
    return stamp.nonce


def fault(request: Request, authorization: str, *, now: datetime = NOW) -> SignatureFault:
    """Why a request is not."""
    with pytest.raises(SignatureInvalid) as caught:
        accepted(request, authorization, now=now)
    return caught.value.fault


@pytest.mark.parametrize("algorithm", ["ACS3-HMAC-SHA256", "ACS3-HMAC-SM3"])
@pytest.mark.parametrize("body", [b"", b'{"order":"1"}'])
def test_what_is_signed_is_accepted(algorithm: str, body: bytes) -> None:
    """By the international standard, and by the national one."""
    assert accepted(*signed(algorithm=algorithm, body=body)) == NONCE
    assert parse_signature(signed(algorithm=algorithm)[1]).algorithm is Algorithm(algorithm)


@pytest.mark.parametrize(
    "raw", ["name=%E5%BC%A0%20%E4%B8%89&c=*+~", "c=%2A%20%7E&name=%E5%BC%A0+%E4%B8%89"]
)
def test_the_query_is_read_before_it_is_signed(raw: str) -> None:
    """Clients write it in several ways, and sign one."""
    query = (("name", "张 三"), ("c", "* ~"))
    assert accepted(*signed(query=query, raw=raw)) == NONCE


def test_blank_values_are_signed() -> None:
    """What is empty is there."""
    assert accepted(*signed(query=(("OutId", ""),), raw="OutId=")) == NONCE
    assert fault(*signed(query=(("OutId", ""),), raw="")) is SignatureFault.WRONG


@pytest.mark.parametrize("blank", ["\xa0", "\x85", "\x1c", "\u3000", "\x0b"])
def test_blanks_that_are_none(blank: str) -> None:
    """What is no blank of HTTP is a part of a value: else one signature had many spellings."""
    request, authorization = signed()
    for place, (name, value) in enumerate(request.headers):
        for other in (value + blank, blank + value):
            headers = list(request.headers)
            headers[place] = (name, other)
            assert fault(replace(request, headers=headers), authorization) in {
                SignatureFault.WRONG,
                SignatureFault.MALFORMED,
            }


@pytest.mark.parametrize("blank", [" ", "\t", "\t "])
def test_blanks_around_a_value(blank: str) -> None:
    """They belong to no value, and what is good once is the same."""
    request, authorization = signed()
    headers = [(name, blank + value + blank) for name, value in request.headers]
    assert accepted(replace(request, headers=headers), authorization) == NONCE


@pytest.mark.parametrize("raw", ["a=1&a=2", "a=1&b=2&a=1"])
def test_a_repeated_parameter_is_refused(raw: str) -> None:
    """It could be read in two ways."""
    assert fault(*signed(query=(("a", "1"),), raw=raw)) is SignatureFault.REPEATED


@pytest.mark.parametrize("raw", ["a", "a=%ff", "=&="])
def test_a_query_that_cannot_be_read(raw: str) -> None:
    """It is refused."""
    assert fault(*signed(raw=raw)) in {SignatureFault.QUERY, SignatureFault.REPEATED}


@pytest.mark.parametrize(
    "name",
    [
        "host",
        "x-acs-action",
        "x-acs-version",
        "x-acs-date",
        "x-acs-signature-nonce",
        "x-acs-content-sha256",
        "content-type",
    ],
)
def test_what_has_to_be_signed(name: str) -> None:
    """The client does not choose."""
    assert fault(*signed(body=b"{}", leave_out=name)) is SignatureFault.INCOMPLETE


@pytest.mark.parametrize("name", ["idempotency-key", "if-match"])
def test_what_has_to_be_signed_if_it_is_sent(name: str) -> None:
    """It decides what is done: nobody on the way may set, change or take it away."""
    sent = ((name, '"1"'),)
    request, authorization = signed(more=sent)
    assert accepted(request, authorization) == NONCE
    assert fault(*signed(more=sent, leave_out=name)) is SignatureFault.INCOMPLETE
    plain, unsigned = signed()
    added = replace(plain, headers=(*plain.headers, *sent))
    assert fault(added, unsigned) is SignatureFault.INCOMPLETE
    assert fault(plain, authorization) is SignatureFault.INCOMPLETE


def test_headers_that_are_there_twice() -> None:
    """Signed ones are refused, and so are names that are listed twice; others are nobody's."""
    request, authorization = signed()
    host = replace(request, headers=(*request.headers, ("host", "example.org")))
    assert fault(host, authorization) is SignatureFault.REPEATED
    listed = authorization.replace("SignedHeaders=accept", "SignedHeaders=accept;accept")
    assert fault(request, listed) is SignatureFault.REPEATED
    other = replace(request, headers=(*request.headers, ("via", "a"), ("via", "b")))
    assert accepted(other, authorization) == NONCE


def test_the_window() -> None:
    """A quarter of an hour, before and behind; on the second."""
    one = timedelta(seconds=1)
    for now in (NOW + WINDOW, NOW - WINDOW):
        assert accepted(*signed(), now=now) == NONCE
    for now in (NOW + WINDOW + one, NOW - WINDOW - one):
        assert fault(*signed(), now=now) is SignatureFault.EXPIRED


@pytest.mark.parametrize(
    "date", ["", "2026-1-31T12:00:00Z", "2026-02-31T12:00:00Z", "2026-01-31T12:00:00+08:00"]
)
def test_dates_that_are_none(date: str) -> None:
    """One form is taken."""
    assert fault(*signed(date=date)) is SignatureFault.DATE


def test_a_nonce_has_a_form() -> None:
    """What is kept of it is bounded."""
    assert fault(*signed(nonce="short")) is SignatureFault.MALFORMED
    assert fault(*signed(nonce="x" * 129)) is SignatureFault.MALFORMED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Bearer x",
        "ACS3-HMAC-MD5 Credential=a,SignedHeaders=host,Signature=" + "0" * 64,
        "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=" + "0" * 63,
        "ACS3-HMAC-SHA256 Credential=,SignedHeaders=host,Signature=" + "0" * 64,
        "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=Host,Signature=" + "0" * 64,
    ],
)
def test_what_is_no_signature(text: str) -> None:
    """It is refused before anything is looked up."""
    with pytest.raises(SignatureInvalid) as caught:
        parse_signature(text)
    assert caught.value.fault is SignatureFault.MALFORMED


def changed(rng: random.Random, text: str) -> str:
    """The same text with one character that is another one."""
    place = rng.randrange(len(text))
    new = chr((ord(text[place]) + rng.randrange(1, 94) - 33) % 94 + 33)
    return text[:place] + new + text[place + 1 :] if new != text[place] else text + "!"


def test_nothing_that_was_changed_is_accepted() -> None:
    """One character changed anywhere of what is signed: 10,000 times refused."""
    rng = random.Random(700)  # noqa: S311 - the same changes each time
    original, authorization = signed(query=(("a", "1 2"),), body=b'{"order":"A-1001"}')
    assert accepted(original, authorization) == NONCE
    signature = parse_signature(authorization)
    tried = 0
    while tried < 10_000:
        match rng.choice(("method", "path", "query", "body", "header", "value")):
            case "body":
                body = changed(rng, original.body.decode()).encode()
                request = replace(original, body=body)
            case "header":
                headers = list(original.headers)
                place = rng.randrange(len(headers))
                name, value = headers[place]
                headers[place] = (name, changed(rng, value))
                request = replace(original, headers=tuple(headers))
            case "value":
                value = changed(rng, signature.value)
                with pytest.raises(SignatureInvalid):
                    verify(original, replace(signature, value=value), SECRET, now=NOW)
                tried += 1
                continue
            case "method":
                request = replace(original, method=changed(rng, original.method))
            case "path":
                request = replace(original, path=changed(rng, original.path))
            case _:
                request = replace(original, query=changed(rng, original.query))
        tried += 1
        with pytest.raises(SignatureInvalid):
            verify(request, signature, SECRET, now=NOW)

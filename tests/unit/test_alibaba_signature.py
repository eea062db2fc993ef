"""The signatures that clients of Alibaba Cloud make: what is accepted, and that no change is."""

from __future__ import annotations

import hashlib
import hmac
import random
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from urllib.parse import quote, urlencode

import pytest

from agi_router.doors.alibaba.signature import FORM, SignedCall, read_call, sign_rpc
from agi_router.tenants.signature import Request, SignatureFault, SignatureInvalid

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECRET = b"a-secret-of-a-key"
KEY = "abcdefghijklmnop"
NONCE = "9a1c6f0e-0d0b-11f0-9cd2-0242ac120002"
AWKWARD = "张三 +*~/&='()!%"


def strict(text: str) -> str:
    return quote(text, safe="-_.~")


def rpc_signature(method: str, values: dict[str, str], digest: str = "sha1") -> str:
    """A signer of its own, as the clients write it."""
    query = "&".join(f"{strict(k)}={strict(v)}" for k, v in sorted(values.items()))
    to_sign = f"{method}&%2F&{strict(query)}"
    return b64encode(hmac.new(SECRET + b"&", to_sign.encode(), digest).digest()).decode()


def rpc_values(**own: str) -> dict[str, str]:
    return {
        "Action": "BindAxb700",
        "Version": "2017-05-25",
        "Format": "JSON",
        "Timestamp": "2026-01-31T12:00:00Z",
        "SignatureNonce": NONCE,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "AccessKeyId": KEY,
        "OwnerId": "1",
        **own,
    }


def rpc(
    *,
    method: str = "POST",
    in_body: bool = False,
    digest: str = "sha1",
    signature: str | None = None,
    own: Mapping[str, str] = MappingProxyType({}),
) -> Request:
    """A request that is signed by RPC 1.0."""
    values = rpc_values(**own)
    values["Signature"] = signature or rpc_signature(method, values, digest)
    query = "" if in_body else urlencode(values)
    return Request(
        method=method,
        path="/",
        query=query,
        headers=(("host", "127.0.0.1"), ("content-type", f"{FORM}; charset=utf-8")),
        body=urlencode(values).encode() if in_body else b"",
    )


def acs3(
    *,
    query: str = "",
    path: str = "/",
    body: bytes = b"",
    digest: str = "sha256",
    values: dict[str, str] | None = None,
    kind: str = FORM,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Request:
    """A request that is signed by ACS3; the path that is signed is ``/``."""
    algorithm = f"ACS3-HMAC-{digest.upper()}"
    signed = {
        "host": "127.0.0.1:8700",
        "x-acs-action": "BindAxb700",
        "x-acs-version": "2017-05-25",
        "x-acs-date": "2026-01-31T12:00:00Z",
        "x-acs-signature-nonce": NONCE,
        "x-acs-content-sha256": hashlib.new(digest, body).hexdigest(),
        **({"content-type": kind} if body else {}),
        **headers,
    }
    names = sorted(signed)
    canonical = "\n".join(
        (
            "POST",
            "/",
            "&".join(f"{strict(k)}={strict(v)}" for k, v in sorted((values or {}).items())),
            "".join(f"{name}:{signed[name]}\n" for name in names),
            ";".join(names),
            signed["x-acs-content-sha256"],
        )
    )
    to_sign = f"{algorithm}\n{hashlib.new(digest, canonical.encode()).hexdigest()}"
    value = hmac.new(SECRET, to_sign.encode(), digest).hexdigest()
    told = f"{algorithm} Credential={KEY},SignedHeaders={';'.join(names)},Signature={value}"
    return Request(
        method="POST",
        path=path,
        query=query,
        headers=(*signed.items(), ("authorization", told)),
        body=body,
    )


def accepted(request: Request, *, now: datetime = NOW) -> SignedCall:
    """What a request that is accepted asks for."""
    call = read_call(request)
    assert call.verify(SECRET, now=now) == ("2026-01-31T12:00:00Z", NONCE)
    return call


def fault(request: Request, *, now: datetime = NOW) -> SignatureFault:
    """Why a request is not."""
    with pytest.raises(SignatureInvalid) as caught:
        accepted(request, now=now)
    return caught.value.fault


@pytest.mark.parametrize("in_body", [False, True])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_rpc_is_accepted(method: str, *, in_body: bool) -> None:
    """The parameters may stand in the query, or in the body with all else."""
    call = accepted(rpc(method=method, in_body=in_body, own={"OutId": "", "OrderId": AWKWARD}))
    assert (call.action, call.version, call.key_id) == ("BindAxb700", "2017-05-25", KEY)
    assert call.parameters == {"OutId": "", "OrderId": AWKWARD}
    assert not call.token


def test_rpc_by_sha256() -> None:
    """The other method of that scheme."""
    accepted(rpc(digest="sha256", own={"SignatureMethod": "HMAC-SHA256"}))
    assert (
        fault(rpc(digest="sha1", own={"SignatureMethod": "HMAC-SHA256"})) is SignatureFault.WRONG
    )


def test_rpc_signs_query_and_body_together() -> None:
    """A client may put some in either; none may be in both."""
    values = rpc_values(OrderId="A-1")
    signature = rpc_signature("POST", values)
    del values["OrderId"]
    request = Request(
        method="POST",
        path="/",
        query=urlencode({**values, "Signature": signature}),
        headers=(("content-type", FORM),),
        body=b"OrderId=A-1",
    )
    assert accepted(request).parameters == {"OrderId": "A-1"}
    twice = replace(request, query=f"{request.query}&OrderId=A-1")
    assert fault(twice) is SignatureFault.REPEATED


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"SignatureVersion": "2.0"}, SignatureFault.METHOD),
        ({"SignatureMethod": "HMAC-MD5"}, SignatureFault.METHOD),
        ({"SignatureType": "BEARERTOKEN"}, SignatureFault.METHOD),
        ({"SignatureType": ""}, None),
        ({"SignatureNonce": "short"}, SignatureFault.MALFORMED),
        ({"Timestamp": "2026-01-31 12:00:00"}, SignatureFault.DATE),
        ({"Timestamp": "2026-01-31T11:44:59Z"}, SignatureFault.EXPIRED),
        ({"Timestamp": "2026-01-31T12:15:01Z"}, SignatureFault.EXPIRED),
    ],
)
def test_what_rpc_has_to_say(own: dict[str, str], expected: SignatureFault | None) -> None:
    """It is signed, and still refused where it says what we do not take."""
    request = rpc(own=own)
    if expected is None:
        accepted(request)
    else:
        assert fault(request) is expected


@pytest.mark.parametrize("signature", ["x", "张", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="])
def test_a_wrong_rpc_signature(signature: str) -> None:
    """Whatever it is made of."""
    assert fault(rpc(signature=signature)) is SignatureFault.WRONG


def test_what_is_not_signed() -> None:
    """It says so before anything is looked up."""
    request = Request(method="POST", path="/", query="Action=BindAxb", headers=(), body=b"")
    assert fault(request) is SignatureFault.MISSING
    assert fault(replace(request, query="", body=b"\xff")) is SignatureFault.MISSING


def test_tokens_are_seen() -> None:
    """Whoever has one is told that there are none here."""
    assert read_call(rpc(own={"SecurityToken": "x"})).token
    assert read_call(acs3(headers={"x-acs-security-token": "x"})).token


@pytest.mark.parametrize("digest", ["sha256", "sm3"])
def test_acs3_is_accepted(digest: str) -> None:
    """All of them in the query, as the Python client writes it."""
    values = {"OrderId": AWKWARD, "OutId": "", "TelX": "700123456780001"}
    call = accepted(acs3(query=urlencode(values), values=values, digest=digest))
    assert (call.action, call.version, call.key_id) == ("BindAxb700", "2017-05-25", KEY)
    assert call.parameters == values
    assert call.proof is not None


def test_acs3_in_a_body() -> None:
    """A form is signed by its hash."""
    body = urlencode({"OrderId": AWKWARD}).encode()
    request = acs3(body=body)
    assert accepted(request).parameters == {"OrderId": AWKWARD}
    assert fault(replace(request, body=body + b"1")) is SignatureFault.WRONG
    assert fault(acs3(body=b"OrderId=%ff")) is SignatureFault.QUERY
    assert fault(acs3(body=b"OrderId=\xff")) is SignatureFault.QUERY
    assert accepted(acs3(body=b"{}", kind="application/json")).parameters == {}


@pytest.mark.parametrize("path", ["/", "/dypls/", "/dypls"])
def test_the_path_that_is_signed(path: str) -> None:
    """Clients sign ``/`` wherever they send it."""
    accepted(acs3(path=path))


@pytest.mark.parametrize(
    "query",
    [
        "name=%E5%BC%A0%20%E4%B8%89&c=*+~'()!",
        "c=%2A%20%7E%27%28%29%21&name=%E5%BC%A0+%E4%B8%89",
    ],
)
def test_the_query_is_read_before_it_is_signed(query: str) -> None:
    """Clients write it in several ways, and sign one."""
    accepted(acs3(query=query, values={"name": "张 三", "c": "* ~'()!"}))


def test_the_edges_of_the_window() -> None:
    """A quarter of an hour, before and behind, for either scheme."""
    for request in (rpc(), acs3()):
        for off in (timedelta(minutes=15), timedelta(minutes=-15)):
            accepted(request, now=NOW + off)
            one = timedelta(seconds=1 if off > timedelta() else -1)
            assert fault(request, now=NOW + off + one) is SignatureFault.EXPIRED


def test_a_signature_of_another_method() -> None:
    """What was signed for GET is nothing for POST."""
    assert fault(replace(rpc(method="GET"), method="POST")) is SignatureFault.WRONG


def test_our_signer_is_that_of_others() -> None:
    """By the example of Alibaba Cloud's manual for RPC signatures."""
    values = {
        "TimeStamp": "2016-02-23T12:46:24Z",
        "Format": "XML",
        "AccessKeyId": "testid",
        "Action": "DescribeRegions",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
        "Version": "2014-05-26",
        "SignatureVersion": "1.0",
    }
    pairs = [
        ("Timestamp" if name == "TimeStamp" else name, value) for name, value in values.items()
    ]
    assert sign_rpc("GET", pairs, b"testsecret") == b"OLeaidS1JvxuMvnyHOwuJ+uX5qY="


def other(rng: random.Random, text: str) -> str:
    """The same text with one character that is another one."""
    place = rng.randrange(len(text))
    new = chr((ord(text[place]) - 33 + rng.randrange(1, 94)) % 94 + 33)
    return text[:place] + new + text[place + 1 :]


@pytest.mark.parametrize("scheme", ["query", "body", "acs3", "acs3 body"])
def test_nothing_that_was_changed_is_accepted(scheme: str) -> None:
    """One byte changed anywhere of what is signed: refused, 10,000 times in all."""
    rng = random.Random(700)  # noqa: S311 - the same changes each time
    values = {"OrderId": "A 1", "TelX": "700123456780001", "OutId": ""}
    original = {
        "query": lambda: rpc(own=values),
        "body": lambda: rpc(in_body=True, own=values),
        "acs3": lambda: acs3(query=urlencode(values), values=values),
        "acs3 body": lambda: acs3(body=urlencode(values).encode()),
    }[scheme]()
    meant = accepted(original)
    tried = 0
    while tried < 2_500:
        changed = one_changed(rng, original, scheme)
        if same_meaning(changed, original):
            continue
        tried += 1
        with pytest.raises(SignatureInvalid):
            verified(changed)
    assert accepted(original) == meant


def verified(request: Request) -> None:
    """Another key has another secret."""
    call = read_call(request)
    call.verify(SECRET if call.key_id == KEY else b"another", now=NOW)


def one_changed(rng: random.Random, request: Request, scheme: str) -> Request:
    """The same request with one byte that is another one."""
    part = rng.choice(("method", "parameters", "headers"))
    if part == "method":
        return replace(request, method=other(rng, request.method))
    if part == "headers" and scheme.startswith("acs3"):
        place = rng.randrange(len(request.headers))
        name, value = request.headers[place]
        changed = (other(rng, name), value) if rng.random() < 0.2 else (name, other(rng, value))
        kept = (*request.headers[:place], changed, *request.headers[place + 1 :])
        return replace(request, headers=kept)
    if scheme.endswith("body"):
        return replace(request, body=other(rng, request.body.decode()).encode())
    return replace(request, query=other(rng, request.query))


def same_meaning(one: Request, two: Request) -> bool:
    """Whether only the spelling differs: %2b and %2B are one, and so are a space's two forms."""
    if replace(one, query="", body=b"") != replace(two, query="", body=b""):
        return False
    try:
        return read_call(one).pairs == read_call(two).pairs
    except SignatureInvalid:
        return False


def test_nothing_tells_a_number() -> None:
    """Neither a request nor an error of it shows what came."""
    call = accepted(rpc(own={"TelA": "13800010001"}))
    assert "13800010001" not in repr(call)
    with pytest.raises(SignatureInvalid) as caught:
        read_call(rpc(own={"TelA": "13800010001"})).verify(b"another", now=NOW)
    assert "13800010001" not in repr(caught.value)

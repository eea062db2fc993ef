"""
What a client of Alibaba Cloud asks for, and by what it shows that it has the key's secret.

Two schemes are spoken. ``ACS3`` signs headers (:mod:`agi_router.tenants.signature`): action and
version stand there. ``RPC 1.0`` signs parameters, those of the query and those of the form in the
body together: everything stands among them, the signature too::

    METHOD & %2F & <the parameters but Signature, sorted, strictly written, and written once more>

Rules for the editor:

1. The path that is signed is ``/``, wherever the door stands.
2. No parameter may be there twice, nor in the query and in the body: it could be read in two ways.
3. What is wrong is told by a name. What was signed is never told: it holds real numbers.

Source:
    The wire of ``alibabacloud_dyplsapi20170525`` 2.5.1, ``aliyun-python-sdk-core`` 2.16.1,
    ``@alicloud/openapi-client`` 0.4.15 and ``@alicloud/pop-core`` 1.8.0.
"""

import hmac
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from urllib.parse import quote

from agi_router.tenants.signature import (
    Request,
    Signature,
    SignatureFault,
    SignatureInvalid,
    Stamp,
    check_nonce,
    check_window,
    parse_signature,
    read_query,
    verify,
    write_query,
)

__all__ = ["COMMON", "FORM", "SignedCall", "read_call", "sign_rpc", "verify_rpc"]

FORM: Final = "application/x-www-form-urlencoded"
"""What a body is that holds parameters."""

_DIGESTS: Final[Mapping[str, str]] = {"HMAC-SHA1": "sha1", "HMAC-SHA256": "sha256"}

COMMON: Final = frozenset(
    {"Action", "Version", "Format", "Timestamp", "AccessKeyId", "SecurityToken", "RegionId"}
    | {"Signature", "SignatureMethod", "SignatureNonce", "SignatureType", "SignatureVersion"}
    | {"OwnerId", "OwnerAccount", "ResourceOwnerId", "ResourceOwnerAccount"}
)
"""Parameters that belong to no action; they are signed all the same."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SignedCall:
    """
    A request, before anybody knows whether its signature is right.
    """

    action: str
    version: str
    key_id: str
    parameters: Mapping[str, str]
    """Those of the action."""
    token: bool
    """Whether it shows the token of a session."""
    proof: Signature | None
    """:obj:`None`: RPC 1.0; the proof is among the parameters."""
    request: Request
    pairs: Sequence[tuple[str, str]]
    """All parameters, as they are signed by RPC 1.0."""

    def verify(self, secret: bytes, *, now: datetime) -> Stamp:
        """
        Make sure that whoever has *secret* asks for this, and not long ago.

        Returns:
            What is good once.

        Raises:
            SignatureInvalid: It is not so.
        """
        if self.proof is not None:
            return verify(self.request, self.proof, secret, now=now)
        return verify_rpc(self.request.method, self.pairs, secret, now=now)


def read_call(request: Request) -> SignedCall:
    """
    What *request* asks for.

    Raises:
        SignatureInvalid: ``MISSING``, where nothing is signed; ``MALFORMED``, ``QUERY``,
            ``REPEATED``.
    """
    pairs = [*read_query(request.query), *read_query(_form(request))]
    values = dict(pairs)
    if len(values) != len(pairs):
        raise SignatureInvalid(SignatureFault.REPEATED)
    headers = dict(request.headers)
    authorization = headers.get("authorization")
    own = {name: value for name, value in pairs if name not in COMMON}
    if authorization is not None:
        proof = parse_signature(authorization)
        return SignedCall(
            action=headers.get("x-acs-action", ""),
            version=headers.get("x-acs-version", ""),
            key_id=proof.key_id,
            parameters=own,
            token="x-acs-security-token" in headers,
            proof=proof,
            request=replace(request, path="/"),
            pairs=pairs,
        )
    if "Signature" not in values:
        raise SignatureInvalid(SignatureFault.MISSING)
    return SignedCall(
        action=values.get("Action", ""),
        version=values.get("Version", ""),
        key_id=values.get("AccessKeyId", ""),
        parameters=own,
        token=bool(values.get("SecurityToken")),
        proof=None,
        request=request,
        pairs=pairs,
    )


def verify_rpc(
    method: str, pairs: Sequence[tuple[str, str]], secret: bytes, *, now: datetime
) -> Stamp:
    """
    Make sure that whoever has *secret* has signed *pairs* by RPC 1.0, and not long ago.

    Args:
        method: Of the request.
        pairs: All its parameters, none of them twice.
        secret: The key's.
        now: The time.

    Returns:
        What is good once.

    Raises:
        SignatureInvalid: It is not so; ``METHOD``, where it is signed by another one.
    """
    values = dict(pairs)
    if values.get("SignatureVersion") != "1.0" or values.get("SignatureType"):
        raise SignatureInvalid(SignatureFault.METHOD)
    stamp = Stamp(values.get("Timestamp", ""), values.get("SignatureNonce", ""))
    check_nonce(stamp.nonce)
    wanted = sign_rpc(method, pairs, secret)
    if not hmac.compare_digest(wanted, values.get("Signature", "").encode("utf-8", "replace")):
        raise SignatureInvalid(SignatureFault.WRONG)
    check_window(stamp.date, now)
    return stamp


def sign_rpc(method: str, pairs: Sequence[tuple[str, str]], secret: bytes) -> bytes:
    """
    The signature of parameters by RPC 1.0, in BASE64; a ``Signature`` among them is left out.

    Raises:
        SignatureInvalid: ``METHOD``.
    """
    digest = _DIGESTS.get(dict(pairs).get("SignatureMethod", ""))
    if digest is None:
        raise SignatureInvalid(SignatureFault.METHOD)
    query = write_query(pair for pair in pairs if pair[0] != "Signature")
    text = f"{method}&%2F&{quote(query, safe='-_.~')}"
    return b64encode(hmac.digest(secret + b"&", text.encode(), digest))


def _form(request: Request) -> str:
    """
    The body, where it holds parameters; anything else is signed by its hash and not read.
    """
    kind = dict(request.headers).get("content-type", "")
    if not request.body or kind.partition(";")[0].strip().lower() != FORM:
        return ""
    try:
        return request.body.decode("utf-8")
    except UnicodeDecodeError:
        raise SignatureInvalid(SignatureFault.QUERY) from None

"""A client of the Alibaba-compatible door, with a signer of its own."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import httpx2

__all__ = ["AlibabaClient", "beijing", "sign_rpc"]


def beijing(ahead: timedelta) -> str:
    """A time from now, as the actions take it."""
    return (datetime.now(UTC) + ahead + timedelta(hours=8)).strftime("%Y-%m-%d %H:%M:%S")


def _strict(text: str) -> str:
    return quote(text, safe="-_.~")


def _sorted(values: Mapping[str, str]) -> str:
    return "&".join(f"{_strict(k)}={_strict(v)}" for k, v in sorted(values.items()))


def sign_rpc(
    action: str, own: Mapping[str, str], *, key_id: str, secret: str, **common: str
) -> dict[str, str]:
    """Parameters that are signed by RPC 1.0."""
    values = {
        **own,
        "Action": action,
        "Version": "2017-05-25",
        "Format": "JSON",
        "Timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "SignatureNonce": secrets.token_hex(16),
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "AccessKeyId": key_id,
        **common,
    }
    text = f"POST&%2F&{_strict(_sorted(values))}".encode()
    mac = hmac.digest(f"{secret}&".encode(), text, "sha1")
    return {**values, "Signature": b64encode(mac).decode()}


@dataclass(frozen=True, slots=True)
class AlibabaClient:
    """
    Whoever asks with a key that signs.

    Attributes:
        http: By what it asks.
        key_id: Of the key.
        secret: Of the key.
    """

    http: httpx2.Client
    key_id: str
    secret: str

    def rpc(self, action: str, own: Mapping[str, str], **common: str) -> dict[str, str]:
        """Parameters that are signed by RPC 1.0."""
        return sign_rpc(action, own, key_id=self.key_id, secret=self.secret, **common)

    def acs3(self, action: str, own: Mapping[str, str], **common: str) -> dict[str, str]:
        """Headers that sign parameters by ACS3; names in *common* have ``_`` for ``-``."""
        headers = {
            "host": "127.0.0.1:8700",
            "x-acs-action": action,
            "x-acs-version": "2017-05-25",
            "x-acs-date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "x-acs-signature-nonce": secrets.token_hex(16),
            "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
            **{name.replace("_", "-"): value for name, value in common.items()},
        }
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        names = ";".join(sorted(headers))
        canonical = f"POST\n/\n{_sorted(own)}\n{lines}\n{names}\n{headers['x-acs-content-sha256']}"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"ACS3-HMAC-SHA256\n{hashed}".encode()
        value = hmac.digest(self.secret.encode(), to_sign, "sha256").hex()
        told = f"Credential={self.key_id},SignedHeaders={names},Signature={value}"
        return {**headers, "authorization": f"ACS3-HMAC-SHA256 {told}"}

    def send(self, action: str, own: Mapping[str, str]) -> httpx2.Response:
        """Ask by ACS3, all in the query."""
        query = urlencode(own)
        return self.http.post(f"/?{query}", headers=self.acs3(action, own))

    def ask(self, action: str, **own: str) -> Any:
        """What is answered with 200."""
        answer = self.send(action, own)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def code(self, action: str, **own: str) -> str:
        """The code of an answer, of whatever status."""
        told = self.send(action, own).json()
        assert {"Code", "Message", "RequestId"} <= set(told)
        return str(told["Code"])

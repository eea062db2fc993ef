"""A key that signs requests to /v1."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import UTC, datetime
from urllib.parse import urlsplit

from starlette.testclient import TestClient


class Signer:
    """Whoever signs requests, as the clients of Alibaba Cloud do."""

    def __init__(self, http: TestClient, key_id: str, secret: str) -> None:
        self.http, self.key_id, self.secret = http, key_id, secret

    def headers(
        self,
        method: str,
        url: str,
        body: bytes,
        *,
        algorithm: str,
        date: datetime | None = None,
        **more: str,
    ) -> dict[str, str]:
        """The headers of a request."""
        digest = "sm3" if algorithm.endswith("SM3") else "sha256"
        parts = urlsplit(url)
        when = date or datetime.now(UTC)
        headers = {
            "host": "testserver",
            "x-acs-action": "-",
            "x-acs-version": "v1",
            "x-acs-date": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "x-acs-signature-nonce": secrets.token_hex(16),
            "x-acs-content-sha256": hashlib.new(digest, body).hexdigest(),
            **({"content-type": "application/json"} if body else {}),
            **{name.replace("_", "-"): value for name, value in more.items()},
        }
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        canonical = "\n".join(
            (method, parts.path, parts.query, lines, names, headers["x-acs-content-sha256"])
        )
        text = f"{algorithm}\n{hashlib.new(digest, canonical.encode()).hexdigest()}"
        value = hmac.new(self.secret.encode(), text.encode(), digest).hexdigest()
        headers["authorization"] = (
            f"{algorithm} Credential={self.key_id},SignedHeaders={names},Signature={value}"
        )
        return headers

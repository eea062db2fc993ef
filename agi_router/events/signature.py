"""
Signing what is sent, as Standard Webhooks 1.0.0 has it.

A secret is 32 random bytes, written as ``whsec_`` and their base64. The signature is an
HMAC-SHA256 over the id, the time and the body, joined by dots. While a secret is changed both
sign.
"""

import base64
import hmac
import secrets
from collections.abc import Iterable

__all__ = ["new_secret", "signed_headers"]

_PREFIX = "whsec_"
_LENGTH = 32


def new_secret() -> str:
    """
    A new random secret.
    """
    return _PREFIX + base64.b64encode(secrets.token_bytes(_LENGTH)).decode("ascii")


def signed_headers(event: str, timestamp: int, body: bytes, keys: Iterable[str]) -> dict[str, str]:
    """
    The headers by which a receiver knows who has sent *body*, and when.

    Args:
        event: The event's id, the same on every try.
        timestamp: Seconds since 1970 of this try.
        body: What is sent, byte by byte.
        keys: The secrets it is signed with, as :func:`new_secret` wrote them.
    """
    signed = f"{event}.{timestamp}.".encode() + body
    return {
        "webhook-id": event,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_sign(key, signed) for key in keys),
    }


def _sign(key: str, signed: bytes) -> str:
    raw = base64.b64decode(key.removeprefix(_PREFIX), validate=True)
    return "v1," + base64.b64encode(hmac.digest(raw, signed, "sha256")).decode("ascii")

"""
What is said in the audit.
"""

from typing import Annotated, Any

from pydantic import Field

from agi_router.schemas.base import TIME, Body, NextCursor, Out, example
from agi_router.schemas.fields import Number

__all__ = [
    "ActOut",
    "AuditOut",
    "AuditSearchIn",
    "FindingOut",
    "HeadIn",
    "HeadOut",
    "HeadsOut",
    "VerdictOut",
    "VerifyIn",
]

_ACT: dict[str, Any] = {
    "id": "7",
    "at": TIME,
    "act": "lock set",
    "subject": "lock 17",
    "reason": None,
    "case_id": None,
    "api_key": None,
    "request_id": None,
    "name": "li",
    "uid": 1001,
    "effective_uid": 1001,
    "login_uid": 1001,
    "claimed": None,
    "host": "console",
    "role": "agi-router",
    "address": None,
    "tag": None,
    "before": {"lock 17": {"over_at": None}},
    "after": {"lock 17": {"over_at": TIME}},
}


class ActOut(Out):
    """
    A row of the audit; it holds no real number.
    """

    id: str
    at: str
    act: str = Field(description="The command, or the method and path of a request.")
    subject: str = Field(description="What was asked for, or changed.")
    reason: str | None
    case_id: str | None = Field(description="The case that a full trace, or a legal hold, is for.")
    api_key: str | None = Field(description="The key of a request; null: it was a command.")
    request_id: str | None
    name: str = Field(description="The user of the host; of a request, that of the door.")
    uid: int
    effective_uid: int
    login_uid: int | None = Field(description="Who had logged in, as the kernel keeps it.")
    claimed: str | None = Field(description="What sudo said: a hint, anybody can set it.")
    host: str
    role: str = Field(
        description="Of a request the role of its key, or its tenant; of a command the role of the"
        " database."
    )
    address: str | None = Field(description="Where a request came from; null: it was a command.")
    tag: str | None = Field(description="The person that it is about, as a keyed hash.")
    before: dict[str, Any] | None = Field(
        description="What stood before of what was changed, by its kind and name."
    )
    after: dict[str, Any] | None = Field(description="What stands in its place.")

    model_config = example(_ACT)


class AuditOut(Out):
    """
    Rows of the audit, newest first.
    """

    audit: list[ActOut]
    next_cursor: NextCursor = None

    model_config = example({"audit": [_ACT]})


class AuditSearchIn(Body):
    """
    About whom rows of the audit are asked for.
    """

    person: Number
    since: str | None = Field(
        default=None, max_length=40, description="A time, with its offset; else a year ago."
    )

    model_config = example({"person": "13800000001"})


_PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAO2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik=
-----END PUBLIC KEY-----
"""
_HEAD: dict[str, Any] = {
    "position": 4711,
    "digest": "c0" * 32,
    "signed_at": TIME,
    "key": "0123456789abcdef",
    "signature": "c2lnbmVk",
}


class HeadIn(Body):
    """
    A head as it was signed, and kept by whoever asks.
    """

    position: int = Field(ge=0, lt=2**63)
    digest: str = Field(max_length=64)
    signed_at: str = Field(max_length=40)
    key: str = Field(max_length=64)
    signature: str = Field(max_length=128)

    model_config = example(_HEAD)


class HeadOut(Out):
    """
    A head: up to this place the audit was so. As a line of a file, `audit verify` reads it.
    """

    position: int = Field(description="Place of the last row; 0: the audit was empty.")
    digest: str = Field(description="The digest there, in hexadecimal digits.")
    signed_at: str
    key: str = Field(description="The first 16 digits of the public key's SHA-256.")
    signature: str = Field(description="By Ed25519, in BASE64.")

    model_config = example(_HEAD)


class HeadsOut(Out):
    """
    Heads, the newest first.
    """

    heads: list[HeadOut]
    next_cursor: NextCursor = None

    model_config = example({"heads": [_HEAD]})


class VerifyIn(Body):
    """
    By which keys and heads a part of the audit is looked at.
    """

    public_keys: list[Annotated[str, Field(max_length=1000)]] = Field(
        min_length=1,
        max_length=8,
        description="The public keys that are believed, in PEM: your own copies.",
    )
    heads: list[HeadIn] = Field(
        default=[],
        max_length=200,
        description="Heads that you have kept: who has the database can remove those of here.",
    )
    after: int = Field(
        default=0, ge=0, lt=2**63, description="`next` of the part before; 0: the first one."
    )

    model_config = example({"public_keys": [_PUBLIC_KEY], "heads": [_HEAD]})


class FindingOut(Out):
    """
    One thing in which the audit is not what was signed.
    """

    what: str
    position: int | None = Field(description="The place in the chain; null: it has none.")
    audit_id: str | None = Field(description="The row, where there is one.")


class VerdictOut(Out):
    """
    What a look at a part of the audit has found.
    """

    whole: bool = Field(description="Whether nothing was found.")
    rows: int = Field(description="Rows that were looked at.")
    signed: int = Field(description="The place up to which a head holds the chain.")
    unsigned: int = Field(description="Rows behind it, or without a place yet.")
    findings: list[FindingOut]
    next: int | None = Field(
        description="Where the next part begins; null: it was the last, or something was found."
    )

    model_config = example(
        {
            "whole": True,
            "rows": 4711,
            "signed": 4711,
            "unsigned": 3,
            "findings": [],
            "next": None,
        }
    )

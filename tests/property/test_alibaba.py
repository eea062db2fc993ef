"""Whatever clients of Alibaba Cloud sign arrives as it was meant."""

from __future__ import annotations

import hmac
import random
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st

from agi_router.doors.alibaba.parameters import ParameterInvalid, ParameterMissing, Parameters
from agi_router.doors.alibaba.signature import COMMON, FORM, read_call
from agi_router.tenants.signature import Request

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECRET = b"a-secret-of-a-key"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda name: name not in COMMON
)
SPELLINGS = st.sampled_from(
    [lambda text: quote(text, safe="-_.~"), quote_plus, lambda text: quote(text, safe="*'()!")]
)


def strict(text: str) -> str:
    return quote(text, safe="-_.~")


@given(
    own=st.dictionaries(NAMES, TEXTS, max_size=4),
    spell=SPELLINGS,
    body=st.booleans(),
    order=st.randoms(use_true_random=False),
)
def test_what_is_signed_arrives(
    own: dict[str, str], spell: Callable[[str], str], order: random.Random, *, body: bool
) -> None:
    """In whatever spelling and order it travels."""
    values = {
        **own,
        "Action": "BindAxb",
        "Version": "2017-05-25",
        "Timestamp": "2026-01-31T12:00:00Z",
        "SignatureNonce": "0123456789abcdef",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "AccessKeyId": "abcdefghijklmnop",
    }
    query = "&".join(f"{strict(k)}={strict(v)}" for k, v in sorted(values.items()))
    mac = hmac.digest(SECRET + b"&", f"POST&%2F&{strict(query)}".encode(), "sha1")
    pairs = [*values.items(), ("Signature", b64encode(mac).decode())]
    order.shuffle(pairs)
    sent = "&".join(f"{spell(k)}={spell(v)}" for k, v in pairs)
    request = Request(
        method="POST",
        path="/",
        query="" if body else sent,
        headers=(("content-type", FORM),),
        body=sent.encode() if body else b"",
    )
    call = read_call(request)
    assert call.parameters == own
    assert call.verify(SECRET, now=NOW).nonce == "0123456789abcdef"


@given(text=TEXTS, name=st.sampled_from(["whole", "flag", "mapping", "rows", "x", "party"]))
def test_reading_is_total(text: str, name: str) -> None:
    """A parameter is read, or said to be wrong; nothing else is raised."""
    with suppress(ParameterInvalid, ParameterMissing):
        getattr(Parameters({"P": text}), name)("P")

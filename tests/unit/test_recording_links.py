"""An address of a recording: what it says, and when it is over."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from agi_router.recordings.links import LINK_LIFE, PATH, RecordingLink

NOW = datetime(2026, 1, 31, 7, 4, 5, tzinfo=UTC)
LINK = RecordingLink.new("abcdefab", "qwertyuiop", NOW)


# Of one length, as secrets are. HMAC fills a shorter one up with zeros (RFC 2104), so one that
# ends with them has the tags of another.
SECRETS = st.binary(min_size=32, max_size=32)


@given(secret=SECRETS, other=SECRETS)
def test_a_tag(secret: bytes, other: bytes) -> None:
    """It is good for what it was made of and for nothing else, and is letters."""
    target = urlsplit(LINK.target(secret))
    (tag,) = parse_qs(target.query)["tag"]
    assert target.path == f"{PATH}/abcdefab"
    assert re.fullmatch("[a-p]{64}", tag)
    assert LINK.is_tag(tag, secret)
    changed = ({"name": "abcdefaa"}, {"key": "qwertyuiou"}, {"until": LINK.until + 1})
    for each in changed:
        assert not replace(LINK, **each).is_tag(tag, secret)
    assert LINK.is_tag(tag, other) is (secret == other)
    assert not LINK.is_tag("ü", secret)


def test_its_time() -> None:
    """It is good for two hours, and not a second longer."""
    assert not LINK.is_over(NOW + LINK_LIFE - timedelta(seconds=1))
    assert LINK.is_over(NOW + LINK_LIFE)

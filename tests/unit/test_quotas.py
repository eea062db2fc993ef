"""Quotas, as they are typed."""

from __future__ import annotations

import pytest

from agi_router.tenants.model import check_quota


@pytest.mark.parametrize(
    ("text", "most"), [("1", 1), ("1000000000", 10**9), ("none", None), (" None ", None)]
)
def test_a_quota(text: str, most: int | None) -> None:
    """A number, or that there is none."""
    assert check_quota(text) == most


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "1000000001", "9" * 40, "٣", "no"])
def test_what_is_no_quota(text: str) -> None:
    """In words that say what one is."""
    with pytest.raises(ValueError, match="a quota is a number"):
        check_quota(text)

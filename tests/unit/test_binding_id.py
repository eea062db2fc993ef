"""The names of bindings."""

from __future__ import annotations

import pytest

from agi_router.bindings.model import BindingId
from agi_router.errors import BindingNotFound
from agi_router.numbers import Block


@pytest.mark.parametrize("text", ["70012345678-42", " 70012345678-42\t", "70012345678-0042"])
def test_a_name(text: str) -> None:
    name = BindingId.parse(text)
    assert name == BindingId(Block.parse("70012345678"), 42)
    assert str(name) == "70012345678-42"


def test_no_serial_is_too_long() -> None:
    """It names none that could exist, and none of the store's errors."""
    assert BindingId.parse(f"70012345678-{'9' * 30}").id == 2**63 - 1


@pytest.mark.parametrize(
    "text", ["", "42", "70012345678", "70012345678-", "70012345678-x", "x-1", "70012345678-\u0664"]
)
def test_no_name(text: str) -> None:
    with pytest.raises(BindingNotFound, match="looks like 70012345678-1"):
        BindingId.parse(text)

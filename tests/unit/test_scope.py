"""Scopes, as values."""

from __future__ import annotations

import pytest

from agi_router.errors import OperatorOnly, TenantNotFound
from agi_router.tenants.scope import OPERATOR, Scope

US = Scope(7, "ours")


def test_the_operator() -> None:
    """Nothing lies outside."""
    assert OPERATOR.whole
    assert OPERATOR.values == {"scope": None}
    OPERATOR.check_tenant("anybody")
    OPERATOR.check_operator("does this")


def test_a_tenant() -> None:
    """Others are as nobody, and what is the operator's is refused by name."""
    assert not US.whole
    assert US.values == {"scope": 7}
    US.check_tenant("ours")
    with pytest.raises(TenantNotFound, match="there is no tenant 'theirs'"):
        US.check_tenant("theirs")
    with pytest.raises(OperatorOnly, match="only the operator adds blocks"):
        US.check_operator("adds blocks")

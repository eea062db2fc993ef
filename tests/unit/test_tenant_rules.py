"""What the bindings of a tenant keep to."""

import pytest

from agi_router.errors import OrderMissing, SceneUnknown, TenantUnqualified
from agi_router.tenants.rules import (
    MOST_SCENES,
    TenantRules,
    check_qualified,
    check_scene,
    check_scenes,
)


def test_a_binding_needs_an_order() -> None:
    """Where its tenant says so, and nowhere else."""
    TenantRules(tenant_id=1).check(order=None, scene=None)
    rules = TenantRules(tenant_id=1, needs_order=True)
    rules.check(order="A-1", scene=None)
    with pytest.raises(OrderMissing):
        rules.check(order=None, scene=None)


@pytest.mark.parametrize("scene", [None, "taxi", "Parcel"])
def test_a_scene_is_one_of_the_tenants(scene: str | None) -> None:
    """Not another one, and not none; without a list it may be any."""
    TenantRules(tenant_id=1).check(order=None, scene=scene)
    rules = TenantRules(tenant_id=1, scenes=("parcel", "meal"))
    rules.check(order=None, scene="meal")
    with pytest.raises(SceneUnknown, match="say one of parcel, meal"):
        rules.check(order=None, scene=scene)


def test_a_tenant_is_qualified() -> None:
    """Or nothing is bound for it."""
    check_qualified("couriers", qualified=True)
    with pytest.raises(TenantUnqualified, match="'couriers'"):
        check_qualified("couriers", qualified=False)


@pytest.mark.parametrize("text", ["", "-x", "a b", "a" * 33, "快递"])
def test_what_is_no_scene(text: str) -> None:
    """It is a short code."""
    with pytest.raises(ValueError, match="1 to 32"):
        check_scene(text)


def test_scenes_of_a_tenant() -> None:
    """Each once, and not too many."""
    assert check_scenes(["b", "a", "b"]) == ["b", "a"]
    with pytest.raises(ValueError, match="at most 100"):
        check_scenes([f"s{each}" for each in range(MOST_SCENES + 1)])

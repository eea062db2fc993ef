"""API keys: ids, secrets, scopes, networks."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from agi_router.logs import redact
from agi_router.tenants.api_keys import (
    NO_DIGEST,
    ApiKey,
    KeyForm,
    KeyScope,
    KeyState,
    Network,
    check_label,
    check_limits,
    check_scopes,
    digest_secret,
    is_key_id,
    narrow_networks,
    new_key_id,
    new_secret,
    parse_bearer,
    parse_network,
    same_secret,
    write_bearer,
)
from agi_router.tenants.views import describe_api_key, describe_tenant
from harness.values import NOW


def a_key(*networks: Network) -> ApiKey:
    """A key of couriers."""
    return ApiKey(
        id="abcdefghijklmnop",
        tenant="couriers",
        form=KeyForm.BEARER,
        label="orders",
        scopes=frozenset({KeyScope.BINDINGS_WRITE, KeyScope.BINDINGS_READ}),
        networks=networks,
        state=KeyState.ACTIVE,
        created_at=NOW,
        begins_at=NOW,
        expires_at=NOW,
        revoked_at=None,
        last_used_at=None,
    )


def test_bearer_is_read_as_it_was_written() -> None:
    """Also where the secret holds what stands between the parts."""
    for secret in (new_secret(), "_" * 43, "-" * 43):
        key_id = new_key_id()
        assert parse_bearer(write_bearer(key_id, secret)) == (key_id, secret)
        assert same_secret(secret, digest_secret(secret))
        assert not same_secret(secret, digest_secret(new_secret()))
        assert not same_secret(secret, NO_DIGEST)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "agr_",
        "agr_abcdefghijklmnop",
        "agr_abcdefghijklmno_" + "a" * 43,
        "agr_abcdefghijklmnop_" + "a" * 42,
        "agr_abcdefghijklmnop_" + "a" * 44,
        "agr_abcdefghijklmnop_" + "ä" * 43,
        "agr_abcdefghijklmnoP_" + "a" * 43,
        "agr_abcdefghijklmnop_" + "a" * 43 + "\n",
        " agr_abcdefghijklmnop_" + "a" * 43,
    ],
)
def test_what_is_no_bearer(text: str) -> None:
    """Nothing is looked up for it."""
    assert parse_bearer(text) is None


def test_ids_pass_for_no_number() -> None:
    """Logs show them whole."""
    ids = {new_key_id() for _ in range(200)}
    assert len(ids) == 200
    assert all(redact(each) == each for each in ids)


def test_networks() -> None:
    """A key may be used from its networks only, if it has any."""
    here = parse_network(" 192.0.2.0/24 ")
    assert a_key().admits(ip_address("2001:db8::1"))
    assert a_key(here).admits(ip_address("192.0.2.9"))
    assert not a_key(here).admits(ip_address("198.51.100.1"))
    assert not a_key(here).admits(ip_address("2001:db8::1"))
    # As addresses are: a proxy may write those of IPv4 for IPv6.
    for old in ("::ffff:192.0.2.0/120", "::ffff:c000:200/120"):
        assert parse_network(old) == here
    assert parse_network("::/64").version == 6
    assert parse_network("2001:db8::/32") == ip_network("2001:db8::/32")
    with pytest.raises(ValueError, match="a network looks like"):
        parse_network("192.0.2.1/24")


def test_scopes() -> None:
    """Some are the operator's alone."""
    assert a_key().allows(KeyScope.BINDINGS_READ)
    assert not a_key().allows(KeyScope.NUMBERS_READ)
    every = frozenset(KeyScope)
    assert check_scopes(KeyScope, tenant=None) == every
    assert check_scopes([KeyScope.KEYS_WRITE], tenant="couriers") == {KeyScope.KEYS_WRITE}
    with pytest.raises(ValueError, match="one scope at least"):
        check_scopes([], tenant=None)
    with pytest.raises(ValueError, match=r"alone may have audit:read, .*, tenants:write"):
        check_scopes(every, tenant="couriers")


def test_label_is_a_name() -> None:
    """Of characters that are seen."""
    assert check_label(" orders ") == "orders"
    with pytest.raises(ValueError, match="a key's label has 1 to 64 characters"):
        check_label("o" * 65)


def test_how_they_are_shown() -> None:
    """Without a secret."""
    shown = describe_api_key(a_key(ip_network("192.0.2.0/24")))
    assert shown["scopes"] == ["bindings:read", "bindings:write"]
    assert shown["networks"] == ["192.0.2.0/24"]
    assert shown["tenant"] == "couriers"
    tenant = {
        "name": "couriers",
        "active": False,
        "unknown_numbers": "ring",
        "max_bindings": 9,
        "max_binds": None,
        "max_requests": None,
        **dict.fromkeys(("qualification", "qualified_by", "qualified_from", "qualified_until")),
        **dict.fromkeys(("max_pair_binds", "max_order_pairs", "hours", "call_limits")),
        "time_zone": "Asia/Shanghai",
        "needs_order": True,
        "needs_real_name": False,
        "bind_limits": None,
        "notice": True,
        "record": False,
        "scenes": ["parcel"],
        "refuses_pairs": False,
        "consent": "off",
        "created_at": NOW,
    }
    assert describe_tenant(tenant)["state"] == "suspended"
    assert describe_tenant(tenant)["unknown_numbers"] == "ring"
    assert describe_tenant(tenant)["scenes"] == ["parcel"]
    assert describe_tenant(tenant)["call_limits"] == {}
    assert describe_tenant({**tenant, "active": True})["state"] == "active"


def test_networks_within_others() -> None:
    """A key makes none that is good where it is not itself."""
    here, part, far, new = (
        parse_network(text)
        for text in ("192.0.2.0/24", "192.0.2.8/30", "198.51.100.0/24", "2001:db8::/32")
    )
    assert narrow_networks([far, new], within=[]) == [far, new]
    assert narrow_networks([], within=[here, new]) == [here, new]
    assert narrow_networks([part, new], within=[here, new]) == [part, new]
    for wanted in ([far], [part, far], [new], [parse_network("192.0.0.0/16")]):
        with pytest.raises(ValueError, match="not within"):
            narrow_networks(wanted, within=[here])


@pytest.mark.parametrize("text", ["", "a\0b", "q" * 15, "q" * 17, "Q" * 16, "q" * 15 + "1"])
def test_what_is_no_id(text: str) -> None:
    """It is not looked for."""
    assert is_key_id(new_key_id())
    assert not is_key_id(text)


def test_limits_of_a_key() -> None:
    """Nobody can give himself more, and the operator's keys have no quota."""
    plain, makes = {KeyScope.BINDINGS_WRITE}, {KeyScope.BINDINGS_WRITE, KeyScope.KEYS_WRITE}
    none: dict[str, int | None] = {"max_binds": None, "max_requests": None}
    check_limits(makes, tenant="couriers", **none)
    check_limits(plain, tenant="couriers", max_binds=1, max_requests=1)
    check_limits(plain, tenant=None, max_binds=None, max_requests=1)
    for limit in none:
        with pytest.raises(ValueError, match="keys:write"):
            check_limits(makes, tenant="couriers", **{**none, limit: 1})
    with pytest.raises(ValueError, match="operator"):
        check_limits(plain, tenant=None, max_binds=1, max_requests=None)

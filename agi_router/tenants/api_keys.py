"""
API keys: by which programs prove who they are, and what they may do.

Rules for the editor:

1. A key is of one tenant, or of the operator, who reaches all tenants.
2. A *bearer* key's secret is shown with each request, and kept as its SHA-256: 256 random bits
   need no slow hash. A *signing* key's secret never travels; it has to be read to check a
   signature, so it is kept sealed with the key ring.
3. An id is letters only: nothing that looks for real numbers takes it for one.
4. A secret is shown once, when it is made, and is in no message, log or ``repr``.
"""

import hmac
import re
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from agi_router.cursors import Cursor
from agi_router.texts import check_name

__all__ = [
    "ACTIVE_AT_ONCE",
    "LONGEST_WAIT",
    "NO_DIGEST",
    "Address",
    "ApiKey",
    "KeyForm",
    "KeyRole",
    "KeyScope",
    "KeyState",
    "Network",
    "check_label",
    "check_limits",
    "check_scopes",
    "digest_secret",
    "is_key_id",
    "narrow_networks",
    "new_key_id",
    "new_secret",
    "parse_bearer",
    "parse_network",
    "plain_network",
    "same_secret",
    "write_bearer",
]

Address = IPv4Address | IPv6Address
"""Where a request comes from."""

Network = IPv4Network | IPv6Network
"""Where requests may come from."""

ACTIVE_AT_ONCE = 6
"""Keys that the operator may have at once: for each role one in use, and its successor."""

LONGEST_WAIT = timedelta(days=366)
"""The time from its making until a key begins."""

_ID_LENGTH = 16
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SECRET_BYTES = 32
_LONGEST_LABEL = 64
# Bits before an address of IPv4 that is written for IPv6.
_MAPPED = 96
# 32 bytes in base64 have 43 characters.
_KEY_ID = re.compile(rf"[a-z]{{{_ID_LENGTH}}}")
_BEARER = re.compile(rf"agr_([a-z]{{{_ID_LENGTH}}})_([A-Za-z0-9_-]{{43}})")

NO_DIGEST = bytes(32)
"""What is compared with where there is no key: the answer takes as long, and no secret has it."""


class KeyForm(StrEnum):
    """
    How a program proves that it has the secret: by showing it, or by signing with it.
    """

    BEARER = "bearer"
    SIGNED = "signed"
    """By ACS3, or by the older RPC 1.0, most of whose clients know no hash but SHA-1."""
    ACS3 = "acs3"
    """By ACS3 alone."""

    @property
    def signs(self) -> bool:
        """
        Whether the secret signs, and is never shown.
        """
        return self is not KeyForm.BEARER


class KeyState(StrEnum):
    """
    Whether a key opens anything, or what ended it.
    """

    WAITING = "waiting"
    """Its time has not begun."""
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class KeyScope(StrEnum):
    """
    What a key may do.
    """

    BINDINGS_READ = "bindings:read"
    BINDINGS_WRITE = "bindings:write"
    POOLS_WRITE = "pools:write"
    CALLS_READ = "calls:read"
    FEEDS_READ = "feeds:read"
    FEEDS_WRITE = "feeds:write"
    MESSAGES_READ = "messages:read"
    MESSAGES_WRITE = "messages:write"
    MESSAGES_DECIDE = "messages:decide"
    LINKS_READ = "links:read"
    LINKS_WRITE = "links:write"
    EVENTS_READ = "events:read"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    CHECKS_READ = "checks:read"
    CHECKS_WRITE = "checks:write"
    LOCKS_READ = "locks:read"
    LOCKS_WRITE = "locks:write"
    APPEALS_READ = "appeals:read"
    APPEALS_WRITE = "appeals:write"
    BLOCKLIST_READ = "blocklist:read"
    BLOCKLIST_WRITE = "blocklist:write"
    CONSENTS_READ = "consents:read"
    CONSENTS_WRITE = "consents:write"
    REAL_NAMES_READ = "real_names:read"
    REAL_NAMES_WRITE = "real_names:write"
    COMPLAINTS_READ = "complaints:read"
    COMPLAINTS_WRITE = "complaints:write"
    RECORDINGS_READ = "recordings:read"
    RECORDINGS_HEAR = "recordings:hear"
    NUMBERS_READ = "numbers:read"
    INVENTORY_READ = "inventory:read"
    INVENTORY_WRITE = "inventory:write"
    TENANTS_WRITE = "tenants:write"
    KEYS_WRITE = "keys:write"
    AUDIT_READ = "audit:read"
    RETENTION_WRITE = "retention:write"
    EXPORTS_READ = "exports:read"
    EXPORTS_WRITE = "exports:write"

    @property
    def reads(self) -> bool:
        """
        Whether nothing is changed by it.
        """
        return self.value.endswith(":read")

    @property
    def of_operator(self) -> bool:
        """
        Whether the operator's keys alone may have it.
        """
        return self in {
            KeyScope.COMPLAINTS_WRITE,
            KeyScope.EXPORTS_READ,
            KeyScope.EXPORTS_WRITE,
            KeyScope.FEEDS_READ,
            KeyScope.FEEDS_WRITE,
            KeyScope.LINKS_READ,
            KeyScope.LINKS_WRITE,
            KeyScope.MESSAGES_DECIDE,
            KeyScope.INVENTORY_WRITE,
            KeyScope.TENANTS_WRITE,
            KeyScope.AUDIT_READ,
            KeyScope.RETENTION_WRITE,
        }


class KeyRole(StrEnum):
    """
    Who a key of the operator's is for.

    An auditor reads, and changes nothing; numbers stay masked, and no recording is heard. Who
    operates does the daily work. Who administers also says who may: tenants, API keys, blocks.
    """

    AUDITOR = "auditor"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def scopes(self) -> frozenset[KeyScope]:
        """
        What such a key may do.
        """
        match self:
            case KeyRole.AUDITOR:
                reads = {scope for scope in KeyScope if scope.reads}
                return frozenset(reads - {KeyScope.NUMBERS_READ})
            case KeyRole.OPERATOR:
                return frozenset(KeyScope) - _OF_ADMINS
            case _:
                return frozenset(KeyScope)


_OF_ADMINS = frozenset(
    {
        KeyScope.AUDIT_READ,
        KeyScope.INVENTORY_WRITE,
        KeyScope.KEYS_WRITE,
        KeyScope.TENANTS_WRITE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """
    A key as it is kept, without its secret.
    """

    id: str
    tenant: str | None
    """Whose it is; :obj:`None`: the operator's."""
    form: KeyForm
    label: str
    """What people call it."""
    scopes: frozenset[KeyScope]
    networks: tuple[Network, ...]
    """Where requests may come from; empty: from anywhere."""
    max_binds: int | None = None
    """So many bindings may it make on a day; :obj:`None`: any number."""
    max_requests: int | None = None
    """So many requests may it make in a minute; :obj:`None`: the door's setting alone holds."""
    state: KeyState
    created_at: datetime
    begins_at: datetime
    """Before, it opens nothing."""
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None
    """When it was used, to the minute; :obj:`None`: not yet."""

    @property
    def cursor(self) -> Cursor:
        """
        Where the page of a list ends that it is the last of.
        """
        return Cursor(self.created_at, self.id)

    def admits(self, address: Address) -> bool:
        """
        Whether a request from *address* may use it.
        """
        return not self.networks or any(address in network for network in self.networks)

    def allows(self, scope: KeyScope) -> bool:
        """
        Whether it may do what *scope* says.
        """
        return scope in self.scopes

    @property
    def role(self) -> str:
        """
        Whose it is, for the audit: a tenant, or the role of the operator's that may all it may.
        """
        if self.tenant is not None:
            return f"tenant {self.tenant}"
        return next(role for role in KeyRole if self.scopes <= role.scopes).value


def new_key_id() -> str:
    """
    A key's id: 75 random bits, so that two are never alike.
    """
    return "".join(secrets.choice(_LETTERS) for _ in range(_ID_LENGTH))


def new_secret() -> str:
    """
    A secret: 256 random bits, as 43 characters of A-Z, a-z, 0-9, ``_`` and ``-``.
    """
    return secrets.token_urlsafe(_SECRET_BYTES)


def write_bearer(key_id: str, secret: str) -> str:
    """
    What a program shows as a bearer: ``agr_<id>_<secret>``.
    """
    return f"agr_{key_id}_{secret}"


def parse_bearer(text: str) -> tuple[str, str] | None:
    """
    The id and the secret that a program has shown; :obj:`None` where it is no such text.
    """
    match = _BEARER.fullmatch(text)
    return None if match is None else (match[1], match[2])


def digest_secret(secret: str) -> bytes:
    """
    What is kept of a bearer's secret.
    """
    return sha256(secret.encode("ascii")).digest()


def same_secret(secret: str, digest: bytes) -> bool:
    """
    Whether *secret* is the one that *digest* was made of; takes as long whatever the answer is.
    """
    return hmac.compare_digest(digest_secret(secret), digest)


def is_key_id(text: str) -> bool:
    """
    Whether *text* may be the id of a key: anything else need not be looked for.
    """
    return _KEY_ID.fullmatch(text) is not None


def check_label(text: str) -> str:
    """
    Return *text*, stripped, if it may be a key's label: 1 to 64 characters that are seen.

    Raises:
        ValueError: If it may not.
    """
    return check_name(text, what="a key's label", longest=_LONGEST_LABEL)


def parse_network(text: str) -> Network:
    """
    Read an address or a network such as ``192.0.2.0/24``.

    Raises:
        ValueError: It is none; says what one looks like.
    """
    try:
        return plain_network(ip_network(text.strip()))
    except ValueError:
        raise ValueError(
            "a network looks like 192.0.2.0/24, 192.0.2.10 or 2001:db8::/32, with no bit set"
            " behind its length"
        ) from None


def plain_network(network: Network) -> Network:
    """
    A network as addresses in it are known: those of IPv4 as such, though it was written for IPv6.
    """
    first = network.network_address
    mapped = first.ipv4_mapped if isinstance(first, IPv6Address) else None
    return network if mapped is None else IPv4Network((mapped, network.prefixlen - _MAPPED))


def narrow_networks(
    networks: Sequence[Network], *, within: Sequence[Network]
) -> Sequence[Network]:
    """
    The networks of a key that another key makes: none that the other one may not be used from.

    Args:
        networks: Those that are wanted; none: the same.
        within: Those of the other key; none: anywhere.

    Raises:
        ValueError: One is not within them.
    """
    if not within:
        return networks
    for each in networks:
        # Of another version none is a part; supernet_of would raise.
        if not any(each.version == of.version and each.subnet_of(of) for of in within):  # type: ignore[arg-type]
            raise ValueError("a network is not within those of the API key that asks")
    return networks or within


def check_scopes(scopes: Iterable[KeyScope], *, tenant: str | None) -> frozenset[KeyScope]:
    """
    The scopes of a new key.

    Args:
        scopes: What it is to do.
        tenant: Whose it is to be; :obj:`None`: the operator's.

    Raises:
        ValueError: There is none, or one that a tenant's key may not have.
    """
    found = frozenset(scopes)
    if not found:
        raise ValueError("a key has one scope at least")
    if tenant is not None and (kept := sorted(each for each in found if each.of_operator)):
        raise ValueError(f"the operator's keys alone may have {', '.join(kept)}")
    return found


def check_limits(
    scopes: Collection[KeyScope],
    *,
    tenant: str | None,
    max_binds: int | None,
    max_requests: int | None,
) -> None:
    """
    Make sure that the limits of a new key hold.

    Args:
        scopes: What it may do.
        tenant: Whose it is; :obj:`None`: the operator's.
        max_binds: So many bindings may it make on a day; :obj:`None`: any number.
        max_requests: So many requests may it make in a minute; :obj:`None`: any number.

    Raises:
        ValueError: It could make a key without them; or it is the operator's, who binds for all
            tenants, and has a quota.
    """
    limited = max_binds is not None or max_requests is not None
    if limited and KeyScope.KEYS_WRITE in scopes:
        raise ValueError(
            "a key that has a limit may not have keys:write: it could make one without"
        )
    if max_binds is not None and tenant is None:
        raise ValueError("the operator's keys have no quota: give the tenant one")

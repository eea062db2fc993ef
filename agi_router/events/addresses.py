"""
Where events may be sent: not into the operator's own networks, unless the operator allows a host.

A tenant names the address, and could else have us ask what only we can reach.
"""

import socket
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit, urlunsplit

from agi_router.errors import WebhookInvalid

__all__ = ["address_on_record", "check_host", "is_public", "resolve"]

# By which an IPv6 address stands for one of IPv4 (RFC 6052).
_NAT64 = 0x0064FF9B << 96
_NOT_PUBLIC = (
    "the host has an address that is not public, and AGI_ROUTER_WEBHOOK_HOSTS does not allow the"
    " host"
)


def resolve(host: str, port: int, *, secure: bool, allowed: Collection[str]) -> str:
    """
    The address of *host* that is to be connected to, resolved this once.

    Args:
        host: A name or an address.
        port: The port.
        secure: Whether it is reached by TLS.
        allowed: Hosts that may have any address, and be reached without TLS.

    Raises:
        WebhookInvalid: It may not be reached; says why.
        OSError: It has no address now.
    """
    check_host(host, secure=secure, allowed=allowed)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(each[4][0]) for each in found]
    # All of them: else the next look could find another one.
    if host not in allowed and not all(map(is_public, addresses)):
        raise WebhookInvalid(_NOT_PUBLIC)
    return addresses[0]


def check_host(host: str, *, secure: bool, allowed: Collection[str]) -> None:
    """
    Make sure that *host* may be reached, as far as that is known before it is resolved.

    Args:
        host: A name or an address, without brackets.
        secure: Whether it is reached by TLS.
        allowed: Hosts that may have any address, and be reached without TLS.

    Raises:
        WebhookInvalid: It may not be reached; says why.
    """
    if host in allowed:
        return
    if not secure:
        raise WebhookInvalid(
            "the address is not https, and AGI_ROUTER_WEBHOOK_HOSTS has no such host"
        )
    if _is_address(host) and not is_public(host):
        raise WebhookInvalid(_NOT_PUBLIC)


def address_on_record(url: str) -> str:
    """
    An address as the audit says it for ever: without user and query, where receivers have tokens.

    What the database notes by itself, ``mask_change`` shortens alike.
    """
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def is_public(text: str) -> bool:
    """
    Whether an address is one of the Internet, and of one machine; no name or malformed one is.
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return address.is_global and not address.is_multicast and all(map(_is_plain, _inside(address)))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_plain(address: IPv4Address) -> bool:
    return address.is_global and not address.is_multicast


def _inside(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """
    The addresses of IPv4 that one of IPv6 leads to.
    """
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    # Or by the old way, in which 32 bits stood behind zeros alone (RFC 4291, 2.5.5.1).
    if int(address) >> 32 << 32 in {_NAT64, 0}:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in found if each is not None]

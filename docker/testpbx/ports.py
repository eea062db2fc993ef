"""Ports on loopback: which are free, and who has those that are not."""

import errno
import socket
from contextlib import suppress
from pathlib import Path

from testpbx.errors import PbxError
from testpbx.state import AGI_PORT, ARI_PORT, DATABASE_PORT, HOST, SIP_PORT


def taken(port: int, kind: socket.SocketKind) -> bool:
    """Whether somebody holds *port* on loopback."""
    with socket.socket(socket.AF_INET, kind) as probe:
        # Connections of a server that has just ended must not count.
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                return True
            raise
    return False


def holder(port: int, kind: socket.SocketKind) -> str:
    """Name and pid of the process that holds *port*, for a message."""
    table = "udp" if kind is socket.SOCK_DGRAM else "tcp"
    sockets = set()
    for family in ("", "6"):
        with suppress(OSError):
            for line in Path(f"/proc/net/{table}{family}").read_text().splitlines()[1:]:
                fields = line.split()
                if int(fields[1].rpartition(":")[2], 16) == port:
                    sockets.add(f"socket:[{fields[9]}]")
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if str(descriptor.readlink()) in sockets:
                process = descriptor.parent.parent
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return "another process"


def check_free() -> None:
    """Refuse to start beside somebody who has our ports."""
    for port, kind in (
        (SIP_PORT, socket.SOCK_DGRAM),
        (ARI_PORT, socket.SOCK_STREAM),
        (AGI_PORT, socket.SOCK_STREAM),
    ):
        if taken(port, kind):
            protocol = "udp" if kind is socket.SOCK_DGRAM else "tcp"
            raise PbxError(
                f"port {port}/{protocol} on {HOST} is taken by {holder(port, kind)}:"
                " stop it, then try again"
            )


def database_port() -> int:
    """The usual port of our PostgreSQL, or another free one."""
    if not taken(DATABASE_PORT, socket.SOCK_STREAM):
        return DATABASE_PORT
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])

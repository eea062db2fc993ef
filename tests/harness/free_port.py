"""
Ports for servers that have to be told theirs.
"""

import contextlib
import os
import random
import socket

# Below those that the kernel gives to connections, above those of sound.
_PORTS = range(30_100, 32_700)
_drawn: set[int] = set()


def own_host() -> str:
    """Return an address of loopback that no other process has, so that all its ports are free."""
    process = os.getpid()
    return f"127.{64 + (process >> 15 & 127)}.{process >> 7 & 255}.{1 + (process & 127)}"


def free_port(host: str = "127.0.0.1") -> int:
    """
    A port that nobody has, by TCP or UDP, and that the kernel gives to nobody meanwhile.

    None is drawn twice in a process: who has drawn one may listen on it much later.
    """
    for port in random.sample(sorted(set(_PORTS) - _drawn), 100):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                probe = stack.enter_context(socket.socket(socket.AF_INET, kind))
                probe.bind((host, port))
            _drawn.add(port)
            return port
    raise AssertionError("no port is free")

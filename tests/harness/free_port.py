"""
Ports for servers that have to be told theirs.
"""

import contextlib
import random
import socket

# Below those that the kernel gives to connections, above those of sound.
_PORTS = range(30_100, 32_700)


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody has, by TCP or UDP, and that the kernel gives to nobody meanwhile."""
    for port in random.sample(_PORTS, 100):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                probe = stack.enter_context(socket.socket(socket.AF_INET, kind))
                probe.bind((host, port))
            return port
    raise AssertionError("no port is free")

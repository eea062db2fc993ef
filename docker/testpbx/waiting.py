"""Waiting for servers: by asking them, never by sleeping a fixed time."""

import base64
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from testpbx.state import AGI_PORT, ARI_PORT, HOST


def until(condition: Callable[[], bool], *, timeout: float, pause: float = 0.05) -> bool:
    """
    Poll *condition* until it holds; :obj:`False` if it does not within *timeout* seconds.

    Between two looks there are *pause* seconds.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def until_ready(ready: Callable[[], bool], alive: Callable[[], bool]) -> bool:
    """Poll a starting server; :obj:`False` if it has ended, or says nothing for a minute."""
    answered = False

    def settled() -> bool:
        nonlocal answered
        answered = ready()
        return answered or not alive()

    until(settled, timeout=60)
    return answered


def ari_answers(path: str, password: str, *, host: str = HOST) -> bool:
    """Whether ARI answers 200 to a GET of *path*."""
    return ari_tells(path, password, host=host) is not None


def ari_tells(path: str, password: str, *, host: str = HOST) -> bytes | None:
    """What ARI answers to a GET of *path*; :obj:`None` unless it is 200."""
    credentials = base64.b64encode(f"router:{password}".encode()).decode()
    request = urllib.request.Request(
        f"http://{host}:{ARI_PORT}/ari/{path}",
        headers={"Authorization": f"Basic {credentials}"},
    )
    # No proxy of the environment may come between us and loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=2) as response:
            return bytes(response.read()) if response.status == 200 else None  # noqa: PLR2004
    except (urllib.error.URLError, OSError):
        return None


def health_answers(path: str, port: int) -> tuple[int, str]:
    """Status and text of a router's answer to a GET of *path*; 0 and nothing if it gives none."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{HOST}:{port}{path}", timeout=5) as response:
            return int(response.status), response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def fastagi_answers(host: str = HOST) -> bool:
    """Whether the FastAGI door answers: with a command, as to Asterisk."""
    try:
        with socket.create_connection((host, AGI_PORT), timeout=2) as connection:
            connection.sendall(b"agi_network_script: health\n\n")
            return connection.recv(5) == b"NOOP\n"
    except OSError:
        return False

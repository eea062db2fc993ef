"""
rtpengine in user space: the yardstick of what handing sound on may cost at least.

Source:
    rtpengine's documentation of the ng protocol: a cookie and a document in one datagram.
"""

import json
import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from testpbx.waiting import until

from .errors import BenchError
from .sip_ends import sdp, sound_port

__all__ = ["RtpEngine"]

_NG = ("127.0.0.1", 2223)
_PORTS = (30000, 32700)
_START_TIME = 30.0
_ANSWER_TIME = 2.0


class RtpEngine:
    """
    One that runs, with one thread; made by :meth:`running`.

    Args:
        pid: Its process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        """Its process."""
        self._serial = 0

    @classmethod
    @contextmanager
    def running(cls, root: Path, log: Path) -> Iterator[Self]:
        """
        Let it run for the time of a block.

        Args:
            root: The root that has it.
            log: What it prints.

        Raises:
            BenchError: It does not come up.
        """
        with log.open("wb") as file:
            process = subprocess.Popen(
                [
                    *("chroot", str(root), "rtpengine", "--config-file=none"),
                    *("--foreground", "--log-stderr"),
                    *("--interface=127.0.0.1", f"--listen-ng={_NG[0]}:{_NG[1]}", "--table=-1"),
                    *(f"--port-min={_PORTS[0]}", f"--port-max={_PORTS[1]}", "--num-threads=1"),
                    "--log-level=4",
                ],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        try:
            engine = cls(process.pid)
            if not until(engine.answers, timeout=_START_TIME):
                raise BenchError(f"rtpengine does not start: {log}")
            yield engine
        finally:
            process.terminate()
            process.wait()

    def answers(self) -> bool:
        """Whether it does."""
        try:
            return bool(self._ask("ping")["result"] == "pong")
        except OSError:
            return False

    def call(self, near: int, far: int) -> tuple[int, int]:
        """The same as :meth:`SipEnds.call`."""
        self._serial += 1
        call = {"call-id": f"{self._serial}-talk", "from-tag": "near"}
        offered = self._ask("offer", **call, sdp=sdp(near))
        answered = self._ask("answer", **call, **{"to-tag": "far"}, sdp=sdp(far))
        # What the callee is offered is where it sends to.
        return sound_port(answered["sdp"]), sound_port(offered["sdp"])

    @staticmethod
    def _ask(command: str, **words: str) -> dict[str, Any]:
        cookie = secrets.token_hex(8)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(_ANSWER_TIME)
            asking.connect(_NG)
            asking.send(f"{cookie} {json.dumps({'command': command, **words})}".encode())
            _, _, told = asking.recv(65536).decode().partition(" ")
        answer: dict[str, Any] = json.loads(told)
        if answer.get("result") not in {"ok", "pong"}:
            raise BenchError(f"rtpengine: {answer.get('error-reason')}")
        return answer

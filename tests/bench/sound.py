"""The phones' sound: one program for all ends of all calls, made of sound.c."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from .errors import BenchError

__all__ = ["Heard", "Sound"]

_SOURCE = Path(__file__).with_name("sound.c")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """
    What the ends of one group have sent and heard since they were last asked.

    Attributes:
        sent: Packets sent.
        slow: Of them those that the phones themselves sent more than 5 ms late.
        received: Packets that came.
        lost: Those that did not, by their numbers.
        late: Those that took more than 20 ms.
        p50: Microseconds that half of them took at most.
        p99: The same of 99 %.
    """

    sent: int
    slow: int
    received: int
    lost: int
    late: int
    p50: int
    p99: int

    def __add__(self, other: "Heard") -> "Heard":
        return Heard(
            sent=self.sent + other.sent,
            slow=self.slow + other.slow,
            received=self.received + other.received,
            lost=self.lost + other.lost,
            late=self.late + other.late,
            p50=max(self.p50, other.p50),
            p99=max(self.p99, other.p99),
        )


class Sound:
    """
    Ends that talk; made by :meth:`playing`.

    Args:
        process: The program.
        first: Behind this port its ends have theirs.
    """

    def __init__(self, process: subprocess.Popen[str], first: int) -> None:
        self._process = process
        self._port = first

    @classmethod
    @contextmanager
    def playing(cls, work: Path, *, first: int = 21000) -> Iterator[Self]:
        """
        Let them play for the time of a block.

        Args:
            work: Where the program is put.
            first: Behind this port its ends have theirs.

        Raises:
            BenchError: It cannot be made.
        """
        program = work / f"sound-{first}"
        made = subprocess.run(
            ["gcc", "-O2", "-o", str(program), str(_SOURCE)],
            check=False,
            capture_output=True,
            text=True,
        )
        if made.returncode:
            raise BenchError(f"gcc cannot make {_SOURCE}: {made.stderr.strip()}")
        with subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                yield cls(process, first)
            finally:
                process.kill()

    def port(self) -> int:
        """A port for an end, of which nobody else is told."""
        self._port += 2
        return self._port

    def add(self, group: int, port: int, peer: int) -> None:
        """Let an end talk from now on, from a port to another."""
        self._say(f"add {group} {port} {peer}")

    def play(self, group: int) -> None:
        """Let only the ends of one group send from now on."""
        self._say(f"play {1 << group}")

    def told(self) -> dict[int, Heard]:
        """What was sent and heard since this was last asked, by group."""
        self._say("tell")
        assert self._process.stdout is not None
        found: dict[int, Heard] = {}
        for line in self._process.stdout:
            if line == ".\n":
                return found
            group, *counts = map(int, line.split())
            names = ("sent", "slow", "received", "lost", "late", "p50", "p99")
            found[group] = Heard(**dict(zip(names, counts, strict=True)))
        raise BenchError("the phones' sound has ended")

    @property
    def pid(self) -> int:
        """The program."""
        return self._process.pid

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise BenchError("the phones' sound has ended") from None

"""
Accounts that attack: each runs programs of ``weapons/`` with its own rights, and none of ours.

An account need not be able to read those files, nor our Python: the text of a program is handed to
Debian's interpreter. All that a program has learnt is what it prints.
"""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Account", "Attack"]

_PYTHON = "/usr/bin/python3"
_WEAPONS = Path(__file__).with_name("weapons")


class Attack:
    """
    A program that an account runs.

    Args:
        process: It.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def learnt(self, *, timeout: float = 60) -> str:
        """
        Wait for its end and return all that it printed.
        """
        out, err = self._process.communicate(timeout=timeout)
        assert self._process.returncode == 0, err
        return out

    def end(self) -> None:
        """
        End it, wherever it is.
        """
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@dataclass(frozen=True, slots=True)
class Account:
    """
    An account of this machine, by its user and group id, which need not have a name.
    """

    uid: int
    gid: int

    @contextmanager
    def runs(
        self, weapon: str, *arguments: str, env: Mapping[str, str] | None = None
    ) -> Iterator[Attack]:
        """
        Let a program of ``weapons/`` run for the time of a block at the most.
        """
        program = (_WEAPONS / f"{weapon}.py").read_text("utf-8")
        process = subprocess.Popen(
            [_PYTHON, "-I", "-c", program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env=dict(env or {}),
            user=self.uid,
            group=self.gid,
            extra_groups=[],
        )
        attack = Attack(process)
        try:
            yield attack
        finally:
            attack.end()

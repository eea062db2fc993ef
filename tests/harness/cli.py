"""
The command line, run in the process of the test: starting a program takes half a second.

What only a program of its own shows is shown by programs: ``tests/postgres/test_cli.py``, the
service, and the tiers ``package`` and ``install``.
"""

import json
import os
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any
from unittest import mock

from agi_router.cli import main

__all__ = ["Done", "run"]


@dataclass(frozen=True, slots=True)
class Done:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, where it succeeded."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line on stderr of a command that failed and printed nothing."""
        assert self.code != 0
        assert self.out == ""
        assert self.err.startswith("agi-router: ")
        assert self.err.count("\n") == 1
        assert "Traceback" not in self.err
        return self.err.strip()


def run(arguments: Sequence[str], env: Mapping[str, str], *, typed: str = "") -> Done:
    """
    Run a command.

    Args:
        arguments: Those behind the name of the program.
        env: Its whole environment.
        typed: What stands on its standard input.
    """
    # Files, not text in memory: some commands write to the descriptor.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        with (
            mock.patch.dict(os.environ, env, clear=True),
            mock.patch.multiple(sys, stdin=StringIO(typed), stdout=out, stderr=err),
        ):
            codes: list[object] = []
            # A command may have an event loop of its own, and a test be in one.
            thread = threading.Thread(target=_into, args=(codes, list(arguments)))
            thread.start()
            thread.join()
        for file in (out, err):
            file.flush()
            file.seek(0)
        (code,) = codes
        assert isinstance(code, int), code
        return Done(code, out.read(), err.read())


def _into(codes: list[object], arguments: list[str]) -> None:
    try:
        main(arguments)
    except SystemExit as end:
        codes.append(end.code)

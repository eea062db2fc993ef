"""Other accounts of this machine, for tests of what they may do."""

from __future__ import annotations

import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["as_account", "open_to_all"]


def as_account(uid: int, work: Callable[[], str], *, groups: Sequence[int] = ()) -> str:
    """Do *work* in a child process that has only the rights of an account; return what it says."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups(groups)
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            said = work()
        except BaseException:  # noqa: BLE001 - it is told to the parent
            said = traceback.format_exc()
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as told:
        said = told.read()
    os.waitpid(pid, 0)
    return said


@contextmanager
def open_to_all() -> Iterator[Path]:
    """A directory that every account may enter, unlike pytest's."""
    path = Path(tempfile.mkdtemp(prefix="agi-router-test-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)

"""
The account that serves, for root to look with its eyes.

Root reads what the service may not, comes into a database whose accounts are told by their system
users, and finds every directory writable: what it sees so says nothing of the service.
"""

import contextlib
import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agi_router.files import account_name, open_directory

__all__ = ["Account"]


@dataclass(frozen=True, slots=True)
class Account:
    """
    An account of this machine, as systemd starts a service of it.
    """

    uid: int
    gid: int
    """The group that it serves in, which it shares with Asterisk."""

    @classmethod
    def serving(cls, journal: Path) -> "Account | None":
        """
        Whose service it is, by the owner of the end journal.

        Args:
            journal: The journal's directory.

        Returns:
            The account; :obj:`None` where this process cannot become it or has no need to, since
            it is not root's, or no other account is known.
        """
        if os.geteuid() != 0:
            return None
        with contextlib.suppress(OSError), open_directory(journal) as directory:
            status = os.fstat(directory)
            owner = status.st_uid
            with contextlib.suppress(FileNotFoundError):
                # The router's own, whoever made the directory.
                owner = os.stat("claimed", dir_fd=directory, follow_symlinks=False).st_uid
            return cls(owner, status.st_gid) if owner else None
        return None

    def __str__(self) -> str:
        """Its name."""
        return account_name(self.uid)

    @contextlib.contextmanager
    def acting(self) -> Iterator[None]:
        """
        Be this account for the time of a block, in all threads.
        """
        before = os.getgroups(), os.getegid(), os.geteuid(), os.environ.get("HOME")
        try:
            os.setgroups(self._groups())
            os.setegid(self.gid)
            os.environ["HOME"] = self._home()
            os.seteuid(self.uid)
            yield
        finally:
            groups, gid, uid, home = before
            os.seteuid(uid)
            os.setegid(gid)
            os.setgroups(groups)
            if home is None:
                os.environ.pop("HOME", None)
            else:
                os.environ["HOME"] = home

    def _groups(self) -> list[int]:
        try:
            account = pwd.getpwuid(self.uid)
        except KeyError:
            return [self.gid]
        return os.getgrouplist(account.pw_name, self.gid)

    def _home(self) -> str:
        try:
            return pwd.getpwuid(self.uid).pw_dir
        except KeyError:
            return "/nonexistent"

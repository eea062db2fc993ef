"""
Files that another account could read, exchange or fill, and what is done about it.

1. A private file is one that its owner alone may touch, or a credential of systemd, in whose
   directory nobody else comes. It is written whole: under another name,
   seen on disk, and only then given its own.
2. A directory is opened once and everything in it is named by that descriptor: whoever renames it
   meanwhile, or puts a link in its place, changes nothing.
3. What another account has left is opened without following a link and without waiting for a pipe,
   and is looked at once it is open: the look and the reading are of one file.
4. Whatever is read has a limit.
5. Root makes nothing by a path that another account could lead elsewhere.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import secrets
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

__all__ = [
    "UnfitFile",
    "account_name",
    "check_way",
    "may_write",
    "open_directory",
    "open_foreign",
    "open_private_directory",
    "read_private",
    "sync_directory",
    "written_whole",
]

_GROUP_AND_OTHERS: Final = 0o077
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# As the kernel has it, path_resolution(7).
_MOST_LINKS: Final = 40


class UnfitFile(Exception):  # noqa: N818  (named after what was found)
    """
    What has this name is not what it should be.

    Args:
        message: What it is, to stand behind the name; says what to do if it can.
    """


def read_private(path: Path, *, largest: int) -> bytes:
    """
    Read a file whole that nobody but its owner may touch.

    A link is followed: it is the operator's.

    Args:
        path: The file.
        largest: Bytes it may have.

    Raises:
        OSError: It is not there, or cannot be read.
        ValueError: No file can have this name.
        UnfitFile: It is no regular file, is open to others, or is too large.
    """
    # Not blocking: a named pipe must be refused and not waited for.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise UnfitFile("is not a regular file")
        if status.st_mode & _others_may(path):
            raise UnfitFile(
                f"is open to others (mode {stat.S_IMODE(status.st_mode):04o}):"
                f" run 'chmod 600 {shlex.quote(str(path))}'"
            )
        content = bytearray()
        while chunk := os.read(fd, largest + 1 - len(content)):
            content += chunk
    finally:
        os.close(fd)
    if len(content) > largest:
        raise UnfitFile(f"is too large: {largest} bytes are the most")
    return bytes(content)


@contextlib.contextmanager
def written_whole(
    path: Path, *, replace: bool = False, as_it_was: bool = False, readable: bool = False
) -> Iterator[TextIO]:
    """
    A file that its owner alone may read, there under its name only once it is whole and on disk.

    Args:
        path: Its name. A link of this name is replaced, not followed.
        replace: Whether a file of this name is replaced.
        as_it_was: Whether it gets the owner of the file that it replaces, and that one's mode.
        readable: Whether all accounts may read it.

    Yields:
        Where to write, as UTF-8; line ends are written as they are given.

    Raises:
        FileExistsError: There is a file of this name, or somebody has made one meanwhile.
        OSError: It cannot be written; then there is no file, or the one of before.
        ValueError: No file can have this name.
    """
    # Open all along: what is renamed is what was written, wherever the directory may be by then.
    directory = os.open(path.parent, _DIRECTORY)
    try:
        before = _status(path.name, directory)
        if before is not None and not replace:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        partial = f".{path.name[:64]}.{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(partial, flags, 0o600, dir_fd=directory)
        try:
            with os.fdopen(fd, "w", encoding="utf-8", newline="") as stream:
                # Whatever the umask takes away.
                os.fchmod(fd, 0o644 if readable else 0o600)
                if as_it_was and before is not None:
                    os.fchown(fd, before.st_uid, before.st_gid)
                    os.fchmod(fd, stat.S_IMODE(before.st_mode) & ~_GROUP_AND_OTHERS)
                yield stream
                stream.flush()
                os.fsync(fd)
            if replace:
                os.replace(partial, path.name, src_dir_fd=directory, dst_dir_fd=directory)
            else:
                # Unlike a renaming, this fails where somebody has made one meanwhile.
                os.link(partial, path.name, src_dir_fd=directory, dst_dir_fd=directory)
            _synced(directory, path.name, kept=replace)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial, dir_fd=directory)
    finally:
        os.close(directory)


def sync_directory(path: Path) -> None:
    """
    See on disk what was named, renamed or removed in a directory.

    Raises:
        OSError: It cannot be.
    """
    fd = os.open(path, _DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def open_directory(path: Path) -> Iterator[int]:
    """
    A directory that others may write to, open for the time of a block; a link is not followed.

    Raises:
        OSError: It is not there, is no directory, or may not be read.
        ValueError: No file can have this name.
    """
    fd = os.open(path, _DIRECTORY | os.O_NOFOLLOW)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def open_private_directory(name: str, directory: int, *, make: bool = False) -> Iterator[int]:
    """
    A directory of ours in one that others may write to, open for the time of a block.

    Args:
        name: Its name there.
        directory: The other one, open.
        make: Whether it is made where there is none.

    Raises:
        OSError: It is not there, is no directory, or cannot be made.
        UnfitFile: It belongs to another account, or others may write to it.
    """
    if make:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=directory)
    fd = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    try:
        status = os.fstat(fd)
        # Root may look at what belongs to the account that serves.
        if os.geteuid() not in {0, status.st_uid}:
            raise UnfitFile(
                f"{name} belongs to the account {status.st_uid}: give it to this one, or remove it"
            )
        if status.st_mode & _OTHERS_WRITE:
            raise UnfitFile(f"{name} is writable for other accounts: remove it")
        yield fd
    finally:
        os.close(fd)


def open_foreign(name: str, directory: int, *, writer: int | None) -> int:
    """
    Open a file to read that another account has written.

    Args:
        name: Its name.
        directory: Where it lies, open.
        writer: The user id of that account; :obj:`None` where it is not known.

    Returns:
        The file, open, and not blocking.

    Raises:
        OSError: It is not there, or may not be read.
        UnfitFile: It is a link or has a second name, is no regular file, or is another account's.
    """
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        raise UnfitFile("is a link")
    if stat.S_ISSOCK(status.st_mode):
        raise UnfitFile("is a socket")
    fd = os.open(
        name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory
    )
    try:
        # Once more, of what is open now.
        _judge(os.fstat(fd), writer)
    except BaseException:
        os.close(fd)
        raise
    return fd


def may_write(status: os.stat_result, uid: int) -> bool:
    """
    Whether an account may make files in a directory, by its mode; ACLs are not looked at.

    Args:
        status: The directory's.
        uid: The account's user id. Its groups are those in the list of this machine.
    """
    if uid == 0:
        return True
    if uid == status.st_uid:
        bits = status.st_mode >> 6
    elif status.st_gid in _groups(uid):
        bits = status.st_mode >> 3
    else:
        bits = status.st_mode
    return not ~bits & (os.W_OK | os.X_OK)


def check_way(path: Path) -> None:
    """
    Refuse a path that another account than root and ours could lead elsewhere.

    It is looked at as far as it is there: where nobody else may write, nobody else makes the rest.
    Links of root's are followed.

    Args:
        path: An absolute path.

    Raises:
        OSError: It cannot be looked at.
        UnfitFile: A part of it is another account's, or lies where others may exchange it.
    """
    ours = {0, os.geteuid()}
    rest = list(reversed(path.parts))
    links = 0
    at = Path("/")
    shared = False
    while rest:
        part = rest.pop()
        # What stands behind a link is joined to a path without any.
        at = at.parent if part == ".." else at / part
        try:
            status = at.lstat()
        except FileNotFoundError:
            if shared:
                raise UnfitFile(f"{at} could be made by others: make it first") from None
            return
        if status.st_uid not in ours:
            raise UnfitFile(f"{at} belongs to {account_name(status.st_uid)}, not to root")
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            rest += reversed(at.readlink().parts)
            at = at.parent
            continue
        # In a sticky directory what is root's stays where it is.
        shared = bool(status.st_mode & _OTHERS_WRITE)
        if shared and not status.st_mode & stat.S_ISVTX:
            raise UnfitFile(f"{at} is writable for others (mode {status.st_mode & 0o7777:04o})")


def account_name(uid: int) -> str:
    """
    What an account is called on this machine, or its number.
    """
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the account {uid}"


def _groups(uid: int) -> set[int]:
    if uid == os.geteuid():
        return {os.getegid(), *os.getgroups()}
    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        return set()
    return set(os.getgrouplist(account.pw_name, account.pw_gid))


def _others_may(path: Path) -> int:
    """
    The bits that the mode of *path* may not have.

    From systemd 254 on a credential's mode reads 0440: its owner is root, and the group's bits
    stand for the service's user, whom an ACL lets read (systemd.exec(5), CREDENTIALS_DIRECTORY).
    """
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials and path.absolute().parent == Path(credentials):
        return 0o037
    return _GROUP_AND_OTHERS


def _judge(status: os.stat_result, writer: int | None) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UnfitFile("is not a regular file")
    if status.st_nlink != 1:
        raise UnfitFile("has a second name")
    if writer is not None and status.st_uid != writer:
        raise UnfitFile(f"belongs to the account {status.st_uid}, not to {writer}")


def _synced(directory: int, name: str, *, kept: bool) -> None:
    """
    See the new name on disk; a file that may not last is none, unless it has replaced another.
    """
    try:
        os.fsync(directory)
    except OSError:
        if not kept:
            os.unlink(name, dir_fd=directory)
        raise


def _status(name: str, directory: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None

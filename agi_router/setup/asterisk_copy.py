"""
A copy of Asterisk's configuration that root alone may touch.

``/etc/asterisk`` is Asterisk's own in Debian: its account may put links, pipes and endless files
there. None of them is followed, waited for or read to its end, and nobody comes to the copy, in
which secrets are written.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agi_router.errors import SettingsError
from agi_router.files import UnfitFile, check_way, open_directory, open_foreign

__all__ = ["ASTERISK", "AsteriskCopy", "open_copy"]

ASTERISK = Path("/etc/asterisk")
"""
What Asterisk reads.
"""

# Bytes of all files together: a hundred times of what Debian's take.
_LARGEST: Final = 64 * 1024 * 1024
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK: Final = 1024 * 1024


class AsteriskCopy:
    """
    The copy, open.

    Args:
        directory: Its descriptor.
        path: Its name, for messages.
        owner: Whose new files are: user and group id.
    """

    def __init__(self, directory: int, path: Path, owner: tuple[int, int]) -> None:
        self._directory = directory
        self._path = path
        self._owner = owner

    def read(self, name: str) -> str | None:
        """
        The text of a file, or nothing where there is none; bytes that are not UTF-8 come through.

        Raises:
            SettingsError: It is a link or no file, or too large.
        """
        try:
            with os.fdopen(open_foreign(name, self._directory, writer=None), "rb") as file:
                content = file.read(_LARGEST + 1)
        except FileNotFoundError:
            return None
        except (OSError, UnfitFile) as error:
            raise SettingsError(f"{self._path / name} {_why(error)}: remove it") from None
        if len(content) > _LARGEST:
            raise SettingsError(f"{self._path / name} is larger than {_LARGEST} bytes: remove it")
        return content.decode("utf-8", errors="surrogateescape")

    def write(self, name: str, text: str) -> None:
        """
        Write a file that Asterisk reads and nobody else, whoever could read it before.

        It is a new one, with the owner of the one before; whatever had its name is replaced.
        """
        before = self._status(name)
        owner = self._owner if before is None else (before.st_uid, before.st_gid)
        partial = f".{name}.{secrets.token_hex(4)}"
        fd = os.open(partial, _NEW, 0o600, dir_fd=self._directory)
        try:
            with os.fdopen(
                fd, "w", encoding="utf-8", errors="surrogateescape", newline=""
            ) as file:
                file.write(text)
                os.fchown(fd, *owner)
                os.fchmod(fd, 0o640)
            os.replace(partial, name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial, dir_fd=self._directory)

    def remove(self, name: str) -> None:
        """
        Remove a file, if it is there.
        """
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._directory)

    def _status(self, name: str) -> os.stat_result | None:
        try:
            return os.stat(name, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return None


@contextlib.contextmanager
def open_copy(path: Path, *, source: Path = ASTERISK) -> Iterator[AsteriskCopy]:
    """
    A copy of *source*, made where *path* is not there, open for the time of a block.

    Args:
        path: Where the copy is: a directory with mode 0700.
        source: What Asterisk reads.

    Raises:
        SettingsError: Another account could come to the copy, or something in *source* cannot be
            copied; says what.
    """
    path = path.absolute()
    made = False
    try:
        # Not what Asterisk reads, by whatever name.
        if path.resolve() == source.resolve():
            raise SettingsError(
                f"{path} is what Asterisk reads: give a copy, look, and put it there"
            )
        check_way(path.parent)
        with open_directory(source) as original:
            status = os.fstat(original)
            with contextlib.suppress(FileExistsError):
                path.mkdir(mode=0o700)
                made = True
            if made:
                _copy(source, path)
        with open_directory(path) as directory:
            _check_private(path, directory)
            yield AsteriskCopy(directory, path, (status.st_uid, status.st_gid))
    except UnfitFile as error:
        raise SettingsError(
            f"{error}: use a directory of root's, like /root/asterisk.new"
        ) from None
    except OSError as error:
        at = error.filename or path
        why = "is a link, or no directory" if _is_link(error) else error.strerror
        raise SettingsError(f"{at}: {why}") from None


def _copy(source: Path, path: Path) -> None:
    try:
        _Copying(source, path).run()
    except BaseException:
        # Half a copy would be taken for a whole one next time.
        shutil.rmtree(path, ignore_errors=True)
        raise


class _Copying:
    """
    Copies a tree in which another account may change things meanwhile.
    """

    def __init__(self, source: Path, path: Path) -> None:
        self._source = source
        self._path = path
        self._left = _LARGEST

    def run(self) -> None:
        for folder, folders, names, directory in os.fwalk(self._source):
            there = self._path / Path(folder).relative_to(self._source)
            entered = []
            for name in (*folders, *names):
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                twin = there / name
                if stat.S_ISLNK(status.st_mode):
                    twin.symlink_to(os.readlink(name, dir_fd=directory))
                    os.chown(twin, status.st_uid, status.st_gid, follow_symlinks=False)
                elif stat.S_ISDIR(status.st_mode):
                    twin.mkdir(mode=0o700)
                    os.chown(twin, status.st_uid, status.st_gid)
                    twin.chmod(stat.S_IMODE(status.st_mode))
                    entered.append(name)
                else:
                    self._file(name, directory, Path(folder, name), twin)
            # Not what is a directory only by now, and a link in the copy.
            folders[:] = entered

    def _file(self, name: str, directory: int, path: Path, twin: Path) -> None:
        try:
            fd = open_foreign(name, directory, writer=None)
        except UnfitFile as error:
            raise SettingsError(f"{path} {error}: remove it") from None
        with os.fdopen(fd, "rb") as file, os.fdopen(os.open(twin, _NEW, 0o600), "wb") as copy:
            while chunk := file.read(_CHUNK):
                self._left -= len(chunk)
                if self._left < 0:
                    raise SettingsError(
                        f"{self._source} has more than {_LARGEST} bytes: remove what is not"
                        f" configuration, such as {path}"
                    )
                copy.write(chunk)
            status = os.fstat(fd)
            # The time is of the last writing.
            copy.flush()
            os.fchown(copy.fileno(), status.st_uid, status.st_gid)
            os.fchmod(copy.fileno(), stat.S_IMODE(status.st_mode))
            os.utime(copy.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))


def _check_private(path: Path, directory: int) -> None:
    status = os.fstat(directory)
    if status.st_uid != os.geteuid():
        raise UnfitFile(f"{path} is not root's")
    if status.st_mode & 0o077:
        raise UnfitFile(f"{path} is open to others (mode {stat.S_IMODE(status.st_mode):04o})")


def _is_link(error: OSError) -> bool:
    return error.errno in {errno.ELOOP, errno.ENOTDIR}


def _why(error: OSError | UnfitFile) -> str:
    return str(error) if isinstance(error, UnfitFile) else f"cannot be read ({error.strerror})"

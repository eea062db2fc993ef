"""Files that other accounts could read, exchange or fill: what is opened, and what is refused."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from agi_router.files import (
    UnfitFile,
    check_way,
    open_directory,
    open_foreign,
    open_private_directory,
    read_private,
    written_whole,
)
from harness.accounts import as_account, open_to_all

STRANGER = 64999


def test_a_private_file_is_read_whole(tmp_path: Path) -> None:
    """Also through a link, which is the operator's own."""
    path, link = tmp_path / "file", tmp_path / "link"
    path.touch(0o600)
    path.write_bytes(b"x" * 100_000)
    link.symlink_to(path)
    assert read_private(link, largest=100_000) == b"x" * 100_000
    with pytest.raises(UnfitFile, match="is too large: 99999 bytes are the most"):
        read_private(path, largest=99_999)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610])
def test_what_is_open_to_others_is_not_private(mode: int, tmp_path: Path) -> None:
    """It is refused, with the command that closes it."""
    path = tmp_path / "a file"
    path.touch()
    path.chmod(mode)
    with pytest.raises(UnfitFile) as caught:
        read_private(path, largest=10)
    assert str(caught.value) == f"is open to others (mode {mode:04o}): run 'chmod 600 '{path}''"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """It is no private file."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(UnfitFile, match="is not a regular file"):
        read_private(tmp_path / "pipe", largest=10)


def test_a_file_is_there_once_it_is_whole(tmp_path: Path) -> None:
    """Its owner's alone, whatever the umask, and by its own line ends."""
    path = tmp_path / "file"
    before = os.umask(0o777)
    try:
        with written_whole(path) as stream:
            stream.write("一\r\n")
            assert not path.exists()
    finally:
        os.umask(before)
    assert path.read_bytes() == "一\r\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError), written_whole(path):
        pass
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """Whoever puts one there gains nothing by it."""
    target, path = tmp_path / "target", tmp_path / "file"
    target.write_text("old")
    path.symlink_to(target)
    with written_whole(path, replace=True) as stream:
        stream.write("new")
    assert (target.read_text(), path.read_text(), path.is_symlink()) == ("old", "new", False)


def test_the_directory_may_be_exchanged_meanwhile(tmp_path: Path) -> None:
    """What is written stays in the one that was meant."""
    meant, other = tmp_path / "meant", tmp_path / "other"
    meant.mkdir()
    other.mkdir()
    with written_whole(meant / "file") as stream:
        stream.write("new")
        meant.rename(tmp_path / "elsewhere")
        meant.symlink_to(other)
    assert (tmp_path / "elsewhere/file").read_text() == "new"
    assert list(other.iterdir()) == []


def test_owner_and_mode_stay(tmp_path: Path) -> None:
    """Where they are asked to; what others may do does not."""
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o440)
    os.chown(path, STRANGER, STRANGER)
    with written_whole(path, replace=True, as_it_was=True) as stream:
        stream.write("new")
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (
        STRANGER,
        STRANGER,
        0o400,
    )


def make_link(path: Path) -> None:
    """A link to a file that is somebody's secret."""
    (path.parent / "secret").write_text("secret")
    path.symlink_to(path.parent / "secret")


def make_dangling_link(path: Path) -> None:
    """A link to nothing."""
    path.symlink_to(path.parent / "nothing")


def make_hard_link(path: Path) -> None:
    """A second name of a file."""
    (path.parent / "secret").write_text("secret")
    path.hardlink_to(path.parent / "secret")


def make_socket(path: Path) -> None:
    """A socket."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def make_foreign(path: Path) -> None:
    """A file of another account."""
    path.touch()
    os.chown(path, STRANGER, STRANGER)


UNFIT: list[tuple[Callable[[Path], object], str]] = [
    (make_link, "is a link"),
    (make_dangling_link, "is a link"),
    (make_hard_link, "has a second name"),
    (os.mkfifo, "is not a regular file"),
    (Path.mkdir, "is not a regular file"),
    (make_socket, "is a socket"),
    (make_foreign, f"belongs to the account {STRANGER}, not to 0"),
]


@pytest.mark.parametrize(("make", "words"), UNFIT)
def test_what_another_account_may_not_leave(
    make: Callable[[Path], object], words: str, tmp_path: Path
) -> None:
    """Nothing is read of it, and nobody waits."""
    make(tmp_path / "left")
    with open_directory(tmp_path) as directory, pytest.raises(UnfitFile) as caught:
        open_foreign("left", directory, writer=0)
    assert str(caught.value) == words


def test_what_another_account_has_written(tmp_path: Path) -> None:
    """A file of its own is read; of whom it is need not be known."""
    (tmp_path / "left").write_text("a line")
    os.chown(tmp_path / "left", STRANGER, STRANGER)
    with open_directory(tmp_path) as directory:
        for writer in (STRANGER, None):
            fd = open_foreign("left", directory, writer=writer)
            assert os.read(fd, 100) == b"a line"
            os.close(fd)


def test_a_directory_is_no_link(tmp_path: Path) -> None:
    """A link in its place is refused."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(NotADirectoryError), open_directory(tmp_path / "link"):
        pass


def test_a_private_directory(tmp_path: Path) -> None:
    """It is made for ourselves alone, and found again."""
    with open_directory(tmp_path) as directory:
        with pytest.raises(FileNotFoundError), open_private_directory("ours", directory):
            pass
        for make in (True, True, False):
            with open_private_directory("ours", directory, make=make) as ours:
                assert stat.S_IMODE(os.fstat(ours).st_mode) == 0o700


def test_a_private_directory_that_others_have_made(tmp_path: Path) -> None:
    """One that is open to them, or a link, is none."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o770)
    (tmp_path / "link").symlink_to(tmp_path / "open")
    with open_directory(tmp_path) as directory:
        with (
            pytest.raises(UnfitFile, match="open is writable for other accounts: remove it"),
            open_private_directory("open", directory, make=True),
        ):
            pass
        with (
            pytest.raises(NotADirectoryError),
            open_private_directory("link", directory, make=True),
        ):
            pass


def test_whose_a_private_directory_is() -> None:
    """Its owner's; root may look into it, another account may not."""
    with open_to_all() as shared:
        (shared / "theirs").mkdir()
        os.chown(shared / "theirs", STRANGER, STRANGER)

        def look() -> str:
            with open_directory(shared) as directory:
                try:
                    with open_private_directory("theirs", directory, make=True):
                        return "open"
                except UnfitFile as error:
                    return str(error)

        assert as_account(STRANGER, look) == look() == "open"
        assert as_account(STRANGER - 1, look) == (
            f"theirs belongs to the account {STRANGER}: give it to this one, or remove it"
        )


def test_a_way_that_is_roots() -> None:
    """Its links too, and what is not there yet; a sticky directory if its entry is there."""
    with open_to_all() as base:
        (base / "real").mkdir()
        (base / "link").symlink_to("../" + base.name + "/real")
        (base / "sticky").mkdir()
        (base / "sticky").chmod(0o1777)
        for name in ("real", "link", "link/new/newer", "sticky", "."):
            check_way(base / name)
        with pytest.raises(UnfitFile, match="sticky/new could be made by others"):
            check_way(base / "sticky/new")


@pytest.mark.parametrize("lead", [lambda base: base / "link/in", lambda base: base / "theirs/in"])
def test_a_way_that_somebody_else_can_turn(lead: Callable[[Path], Path]) -> None:
    """By a directory of theirs, also behind root's own link, or by a link of theirs."""
    with open_to_all() as base:
        (base / "theirs").mkdir()
        os.chown(base / "theirs", STRANGER, STRANGER)
        (base / "link").symlink_to("theirs")
        with pytest.raises(UnfitFile, match="theirs belongs to the account 64999, not to root"):
            check_way(lead(base))


def test_ways_with_links_of_others() -> None:
    """A link of theirs, links in a ring, and a directory that all may write to."""
    with open_to_all() as base:
        (base / "link").symlink_to("/")
        os.chown(base / "link", STRANGER, STRANGER, follow_symlinks=False)
        with pytest.raises(UnfitFile, match="link belongs to the account 64999"):
            check_way(base / "link")
        (base / "ring").symlink_to("ring")
        with pytest.raises(OSError, match="symbolic links"):
            check_way(base / "ring")
        base.chmod(0o777)
        with pytest.raises(UnfitFile, match=r"is writable for others \(mode 0777\)"):
            check_way(base / "new")

"""The copy of Asterisk's configuration: what Asterisk's account has put there is not obeyed."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agi_router.errors import SettingsError
from agi_router.setup import asterisk_copy
from agi_router.setup.asterisk_copy import open_copy
from harness.accounts import open_to_all

ASTERISK = 64998
DOCS = Path(__file__).parents[2] / "docs"
# Without hold on the terminal, by which an account could type as root (TIOCSTI).
AS_ASTERISK = "setsid --wait runuser -u asterisk -- "
READERS = ("diff -ru /etc/asterisk ",)


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory with ``etc``, which is Asterisk's, and ``secret``, which is root's."""
    with open_to_all() as path:
        etc = path / "etc"
        (etc / "manager.d").mkdir(parents=True)
        for name in ("pjsip.conf", "extensions.conf", "manager.d/README.conf"):
            (etc / name).write_text(f"; {name}\n")
        for each in (etc, *etc.rglob("*")):
            os.chown(each, ASTERISK, ASTERISK)
        (path / "secret").write_text("root's\n")
        (path / "secret").chmod(0o600)
        yield path


def test_a_copy_is_roots_alone(base: Path) -> None:
    """Its files are as they were, owners included; a new one is Asterisk's."""
    copy = base / "copy"
    os.utime(base / "etc/pjsip.conf", (1, 1))
    with open_copy(copy, source=base / "etc") as opened:
        assert opened.read("pjsip.conf") == "; pjsip.conf\n"
        assert opened.read("ari.conf") is None
        opened.write("ari.conf", "password=\udcff\n")
        opened.write("extensions.conf", "new\n")
        opened.remove("ari_none.conf")

    status = copy.stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (os.geteuid(), 0o700)
    assert (copy / "ari.conf").read_bytes() == b"password=\xff\n"
    assert (copy / "manager.d/README.conf").read_text() == "; manager.d/README.conf\n"
    assert (copy / "pjsip.conf").stat().st_mtime == 1
    for name in ("ari.conf", "extensions.conf", "pjsip.conf", "manager.d"):
        assert (copy / name).stat().st_uid == ASTERISK
    assert stat.S_IMODE((copy / "ari.conf").stat().st_mode) == 0o640
    assert not list(copy.glob(".*"))


def test_what_is_written_is_changed_again(base: Path) -> None:
    """The copy that is there is taken, and not made anew."""
    with open_copy(base / "copy", source=base / "etc") as opened:
        opened.write("ari.conf", "one\n")
    with open_copy(base / "copy", source=base / "etc") as opened:
        assert opened.read("ari.conf") == "one\n"
        opened.remove("ari.conf")
    assert not (base / "copy/ari.conf").exists()


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_not_written_through(base: Path, *, there: bool) -> None:
    """Asterisk's account makes a link in place of a file: it is refused, or replaced."""
    target = base / "secret" if there else base / "profile.sh"
    for name in ("manager.conf", "agi_router.conf"):
        (base / "etc" / name).symlink_to(target)
    with open_copy(base / "copy", source=base / "etc") as opened:
        with pytest.raises(SettingsError, match=r"manager\.conf is a link: remove it"):
            opened.read("manager.conf")
        opened.write("agi_router.conf", "ours\n")

    assert not (base / "copy/agi_router.conf").is_symlink()
    assert target.exists() is there
    assert (base / "secret").read_text() == "root's\n"
    assert (base / "secret").stat().st_uid == 0


def _pipe(base: Path) -> None:
    os.mkfifo(base / "etc/pipe.conf")


def _second_name(base: Path) -> None:
    os.link(base / "secret", base / "etc/second.conf")


def _endless(base: Path) -> None:
    os.truncate(base / "etc/pjsip.conf", 2**30)


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (_pipe, r"pipe\.conf is not a regular file: remove it"),
        (_second_name, r"second\.conf has a second name: remove it"),
        (_endless, r"etc has more than [0-9]+ bytes: remove what is not configuration"),
    ],
)
def test_what_cannot_be_copied_is_named(
    base: Path, plant: Callable[[Path], None], told: str
) -> None:
    """Nothing is waited for, and no half copy is left that would pass for a whole one."""
    plant(base)
    with pytest.raises(SettingsError, match=told), open_copy(base / "copy", source=base / "etc"):
        pass
    assert not (base / "copy").exists()


def _others(copy: Path) -> None:
    copy.mkdir(mode=0o700)
    os.chown(copy, ASTERISK, ASTERISK)


def _open(copy: Path) -> None:
    copy.mkdir()
    copy.chmod(0o755)


def _link(copy: Path) -> None:
    (copy.parent / "other").mkdir()
    copy.symlink_to("other")


def _open_parent(copy: Path) -> None:
    copy.parent.chmod(0o777)


def _others_parent(copy: Path) -> None:
    os.chown(copy.parent, ASTERISK, ASTERISK)


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (_others, "copy is not root's"),
        (_open, r"copy is open to others \(mode 0755\)"),
        (_link, "copy: is a link, or no directory"),
        (_open_parent, r"is writable for others \(mode 0777\)"),
        (_others_parent, f"belongs to the account {ASTERISK}, not to root"),
    ],
)
def test_a_place_that_others_come_to_is_refused(
    base: Path, plant: Callable[[Path], None], told: str
) -> None:
    """Secrets are written into it: nobody may have made it, or put it there."""
    plant(base / "copy")
    with pytest.raises(SettingsError, match=told), open_copy(base / "copy", source=base / "etc"):
        pass
    assert not (base / "other").exists() or not list((base / "other").iterdir())


def test_what_asterisk_reads_is_no_copy(base: Path) -> None:
    """By whatever name; and without a configuration there is nothing to copy."""
    (base / "link").symlink_to("etc")
    for name in ("etc", "link"):
        with (
            pytest.raises(SettingsError, match="is what Asterisk reads"),
            open_copy(base / name, source=base / "etc"),
        ):
            pass
    with (
        pytest.raises(SettingsError, match="none: No such file"),
        open_copy(base / "copy", source=base / "none"),
    ):
        pass


def test_a_file_without_end_is_not_read_whole(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a copy that somebody has edited."""
    monkeypatch.setattr(asterisk_copy, "_LARGEST", 100)
    with open_copy(base / "copy", source=base / "etc") as opened:
        (base / "copy/pjsip.conf").write_text("x" * 101)
        with pytest.raises(SettingsError, match="is larger than 100 bytes"):
            opened.read("pjsip.conf")


def test_a_directory_that_was_a_link_is_not_entered(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link when it was copied, and a directory a moment later: nothing goes through the link."""
    (base / "victim").mkdir()
    (base / "etc/late.d").symlink_to(base / "victim")
    readlink = os.readlink

    def swapped(name: str, *, dir_fd: int | None = None) -> str:
        target = readlink(name, dir_fd=dir_fd)
        os.unlink(name, dir_fd=dir_fd)
        os.mkdir(name, dir_fd=dir_fd)
        (base / "etc/late.d/zz.sh").write_text("A was here\n")
        return target

    monkeypatch.setattr(os, "readlink", swapped)
    with open_copy(base / "copy", source=base / "etc"):
        pass
    assert (base / "etc/late.d").is_dir()
    assert not list((base / "victim").iterdir())


@pytest.mark.parametrize("copy", ["asterisk.new", "asterisk.without"])
def test_the_pages_way_to_put_it_in_place(base: Path, copy: str) -> None:
    """Asterisk's account does it: what it leads elsewhere leads where it may write itself."""
    (command,) = (each for each in _commands() if f"/root/{copy} &&" in each)
    etc, new, victim = base / "etc", base / copy, base / "victim"
    victim.mkdir()
    (new / "zz.conf").mkdir(parents=True)
    # The last is no option.
    for name in ("pjsip.conf", "zz.conf/x.conf", "--remove-files.conf"):
        (new / name).write_text("new\n")
    (new / "pjsip.conf").chmod(0o640)
    (etc / "pjsip.conf").unlink()
    (etc / "pjsip.conf").symlink_to(base / "secret")
    # A directory that is another one by now.
    (etc / "zz.conf").symlink_to(victim)
    subprocess.run(["bash", "-o", "pipefail", "-c", _here(command, base)], check=True)

    status = (etc / "pjsip.conf").lstat()
    assert stat.S_ISREG(status.st_mode)
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (ASTERISK, 0o640)
    assert (etc / "pjsip.conf").read_text() == "new\n"
    assert (base / "secret").read_text() == "root's\n"
    assert not list(victim.iterdir())
    assert stat.S_IMODE(etc.stat().st_mode) == 0o755


def test_the_pages_way_to_keep_what_was_there(base: Path) -> None:
    """It has all files, and of what Asterisk's account may not read nothing; nobody reads it."""
    (command,) = (each for each in _commands() if ">/root/asterisk.before.tar" in each)
    (base / "etc/secret").symlink_to(base / "secret")
    subprocess.run(["bash", "-c", f"umask 077; {_here(command, base)}"], check=True)
    kept = base / "asterisk.before.tar"
    told = subprocess.run(["tar", "-tvf", kept], check=True, capture_output=True, text=True).stdout

    assert {line.split()[5] for line in told.splitlines()} >= {
        "./pjsip.conf",
        "./manager.d/README.conf",
    }
    assert b"root's\n" not in kept.read_bytes()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_root_does_nothing_in_what_asterisk_owns(page: Path) -> None:
    """On no page: Asterisk's account does it, apart from the terminal, or it is only read."""
    for command in _commands(page):
        for part in re.split(r"&&|\|\||[|;()]", command):
            if re.search(r"/etc/asterisk\b|\basterisk -r", part):
                assert part.strip().startswith((AS_ASTERISK, *READERS)), command


def _commands(page: Path = DOCS / "install.md") -> list[str]:
    """The commands of a page, those in text included; a line that goes on is one with the next."""
    text = re.sub(r"[\\|]\n *", lambda end: end[0].rstrip(), page.read_text("utf-8"))
    blocks = re.findall(r"(?ms)^```sh\n(.*?)^```$", text)
    indented = re.findall(r"(?m)^    (.+)$", text)
    quoted = [each for each in re.findall(r"`([^`\n]+)`", text) if " " in each]
    return [*(line for block in blocks for line in block.splitlines()), *indented, *quoted]


def _here(command: str, base: Path) -> str:
    """The command for the directories of a test, and an account that every machine has."""
    account = f"setpriv --reuid={ASTERISK} --regid={ASTERISK} --clear-groups --"
    command = command.replace("runuser -u asterisk --", account)
    return command.replace("/root/", f"{base}/").replace("/etc/asterisk", f"{base}/etc")

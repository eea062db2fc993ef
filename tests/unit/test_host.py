"""What setup makes as root, where another account could lead it elsewhere."""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from agi_router.setup import host
from agi_router.setup.host import Host, Step, asterisk_directory, steps
from harness.accounts import open_to_all

ROUTER, ASTERISK = 64997, 64998


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine of its own, as far as setup's journal and memory go."""
    with open_to_all() as path:
        monkeypatch.setattr(host, "JOURNAL", path / "spool/agi-router")
        monkeypatch.setattr(host, "_MADE", path / "setup.json")
        monkeypatch.setattr(host, "ETC", path / "etc")
        monkeypatch.setattr(host, "_KEY", path / "etc/key")
        monkeypatch.setattr(host, "_UNIT", path / "unit")
        (path / "spool").mkdir()
        monkeypatch.setattr(pwd, "getpwnam", lambda _: SimpleNamespace(pw_uid=ROUTER))
        monkeypatch.setattr(grp, "getgrnam", lambda _: SimpleNamespace(gr_gid=ASTERISK))
        yield path


def step(what: str) -> Step:
    (found,) = (each for each in steps(Host(), "agi_router") if what in each.what)
    return found


def rights(path: Path) -> tuple[int, int, int]:
    status = path.lstat()
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)


def test_the_journal_is_shared(base: Path) -> None:
    """Made, mended and removed again."""
    journal = base / "spool/agi-router"
    made = step(str(journal))
    assert made.look() == "missing"
    made.make()
    assert made.look() == ""
    assert rights(journal) == (ROUTER, ASTERISK, 0o3770)
    journal.chmod(0o755)
    assert made.look() == "of mode 0755, not 3770"
    os.chown(journal, 0, 0)
    assert made.look().startswith("not of agi-router")
    made.make()
    assert rights(journal) == (ROUTER, ASTERISK, 0o3770)
    # The router's own: if Asterisk's account made it, nothing would be settled.
    assert rights(journal / "claimed") == (ROUTER, ASTERISK, 0o700)
    (journal / "claimed").rmdir()
    assert made.look() == "without claimed"
    (journal / "claimed").mkdir()
    os.chown(journal / "claimed", ASTERISK, ASTERISK)
    assert re.fullmatch(r"left: claimed in it belongs to .+; remove it", made.look())
    assert ("removed", str(journal)) in list(Host().remove())
    assert not journal.exists()


def test_the_journal_is_not_made_through_a_link(base: Path) -> None:
    """Somebody has put one in its place: the directory behind it keeps its owner and mode."""
    victim = base / "etc"
    victim.mkdir()
    victim.chmod(0o755)
    (base / "spool/agi-router").symlink_to(victim)
    made = step("spool/agi-router")

    assert made.look() == "left: it is a link, or no directory; remove it"
    with pytest.raises(OSError, match="directory"):
        made.make()
    assert rights(victim) == (0, 0, 0o755)


def test_the_journal_is_not_where_others_could_move_it(base: Path) -> None:
    """As in Asterisk's own spool."""
    os.chown(base / "spool", ASTERISK, ASTERISK)
    told = step("spool/agi-router").look()
    assert told == f"left: {base}/spool belongs to the account {ASTERISK}, not to root"


def test_the_default_is_where_root_alone_writes() -> None:
    """Debian gives /var/spool/asterisk to Asterisk's account, and /var/spool to root."""
    assert host.JOURNAL.parent == Path("/var/spool")


@pytest.mark.parametrize(
    ("told", "taken"),
    [
        ("  Data directory:              /srv/asterisk\n", "/srv/asterisk"),
        ("  Data directory:              /srv/\x1b]0;owned\x07\n", "/default"),
        ("  Data directory:              /srv/\u202egpj\n", "/default"),
        ("  Data directory:              ../srv\n", "/default"),
    ],
)
def test_a_directory_that_asterisk_tells(
    told: str, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An absolute path that can be seen, or the default."""
    monkeypatch.setattr(host, "_run", lambda *_, **__: told)
    assert asterisk_directory("Data directory", "/default") == Path(taken)


def test_asterisk_is_not_asked_as_root(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Its account owns asterisk.conf, which `asterisk -rx` reads: it gains nothing by it.

    It is in a session of its own too: in that of a terminal it could type there (TIOCSTI).
    """
    monkeypatch.setattr(pwd, "getpwnam", {"asterisk": SimpleNamespace(pw_uid=ASTERISK)}.get)
    program = base / "asterisk"
    program.write_text(
        "#!/bin/sh\nset -- $(cat /proc/$$/stat)\n"
        'echo "  Data directory: /srv/$(id -u)/$(id -g)/$(id -G)/$(($6 == $$))"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{base}:{os.environ['PATH']}")
    told = asterisk_directory("Data directory", "/default")
    assert told == Path(f"/srv/{ASTERISK}/{ASTERISK}/{ASTERISK}/1")


def test_asterisk_that_says_nothing(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its account may leave a socket that nobody answers at: the usual place is taken."""
    monkeypatch.setattr(pwd, "getpwnam", {"asterisk": SimpleNamespace(pw_uid=ASTERISK)}.get)
    monkeypatch.setattr(host, "_ANSWER_TIME", 0.1)
    program = base / "asterisk"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{base}:{os.environ['PATH']}")
    assert asterisk_directory("Data directory", "/default") == Path("/default")


def test_prompts_are_not_made_where_asterisk_leads(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says where its data are, and its account may own that place."""
    data = base / "data"
    (data / "sounds/zh").mkdir(parents=True)
    monkeypatch.setattr(host, "asterisk_directory", lambda *_: data)
    assert step("sounds/zh").look().endswith(" missing")
    os.chown(data / "sounds", ASTERISK, ASTERISK)
    told = step("sounds/zh").look()
    assert told == f"left: {data}/sounds belongs to the account {ASTERISK}, not to root"


def test_the_http_door_is_asked_for(base: Path) -> None:
    """Its account, settings and unit are steps only then."""
    assert base
    without = [each.what for each in steps(Host(), "agi_router")]
    with_http = [each.what for each in steps(Host(), "agi_router", http=True)]
    assert [what for what in with_http if what not in without] == [
        "user agi-router-http",
        str(host.ETC / "http.env"),
        "/etc/systemd/system/agi-router-http.service",
        "/etc/systemd/system/agi-router-http@.service",
    ]
    settings = next(
        each for each in steps(Host(), "agi_router", http=True) if each.what.endswith("http.env")
    )
    (base / "etc").mkdir()
    assert settings.look() == "missing"
    settings.make()
    assert settings.look() == ""
    assert "AGI_ROUTER_HTTP_LISTEN=" in (base / "etc/http.env").read_text()

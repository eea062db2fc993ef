"""
What ``agi-router setup`` makes on this machine: account, files, directories, prompts.

Rules for the editor:

1. What is made is remembered, files with a digest of what was written. Only what is remembered and
   still as it was written is ever replaced or removed: the rest is somebody's own.
2. A step that has been done does nothing; one that cannot be done says what to do.
"""

import contextlib
import grp
import hashlib
import json
import os
import pwd
import re
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from agi_router.errors import SettingsError
from agi_router.files import UnfitFile, account_name, check_way, open_directory, written_whole
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.setup.snippets import (
    HTTP_USER,
    OWNER,
    USER,
    env_file,
    fastagi_env,
    http_env,
    http_instance,
    unit_file,
    wrapper,
)

__all__ = ["ETC", "JOURNAL", "Host", "Step", "asterisk_directory", "database_name", "steps"]

ETC = Path("/etc/agi-router")
"""
Where settings, keys and passwords are.
"""

JOURNAL = Path("/var/spool/agi-router")
"""
The end journal, shared with Asterisk; beside its spool, which Debian gives to Asterisk's account.
"""

_KEY = ETC / "key"

_GROUP = "asterisk"
_MADE = ETC / "setup.json"
_UNITS = Path("/etc/systemd/system")
_UNIT = _UNITS / "agi-router@.service"
_HTTP_UNIT = _UNITS / "agi-router-http.service"
_HTTP_INSTANCE = _UNITS / "agi-router-http@.service"
_WRAPPER = Path("/usr/local/sbin/agi-router")
# Sticky, or Asterisk could remove what is the router's; others have no business here.
_JOURNAL_MODE = 0o3770
_CLAIMED = "claimed"
# Seconds for a program that runs as Asterisk's account, whose socket may be of a silent one.
_ANSWER_TIME = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """
    One thing that an installation needs.

    Attributes:
        what: Its name, for people.
        look: What is missing or in the way, in words; empty where it is there.
        make: Makes it; only called where something is missing.
    """

    what: str
    look: Callable[[], str]
    make: Callable[[], None]


class Host:
    """
    What was made on this machine, remembered in a file beside the settings.
    """

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._things: list[str] = []
        with contextlib.suppress(FileNotFoundError):
            made = json.loads(_MADE.read_text("utf-8"))
            self._files, self._things = made["files"], made["things"]

    def made(self, thing: str) -> None:
        """
        Remember something that is no file.
        """
        if thing not in self._things:
            self._things.append(thing)
        self._save()

    def write(self, path: Path, text: str | bytes, *, mode: int = 0o644) -> None:
        """
        Write a file, and remember it.

        Raises:
            SettingsError: It is not ours, or cannot be written.
        """
        if self.foreign(path):
            raise SettingsError(f"{path} is not as setup has made it: it is left alone")
        content = text.encode() if isinstance(text, str) else text
        partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(content)
                os.fchmod(fd, mode)
            partial.replace(path)
        except OSError as error:
            raise SettingsError(f"{path} cannot be written: {error.strerror}") from None
        finally:
            partial.unlink(missing_ok=True)
        self._files[str(path)] = _digest(content)
        self._save()

    def foreign(self, path: Path) -> bool:
        """
        Whether there is a file that setup has not made, or that somebody has changed since.
        """
        if not os.path.lexists(path):
            return False
        known = self._files.get(str(path))
        return known is None or path.is_symlink() or known != _digest(path.read_bytes())

    def remove(self) -> Iterator[tuple[str, str]]:
        """
        Remove what was made, last things first, but for the key.

        Yields:
            What it was and what became of it, in words.
        """
        yield from self._stop()
        for name in reversed(self._files):
            path = Path(name)
            if not os.path.lexists(path):
                continue
            # Settings are the operator's to change, and of no use without the rest.
            if path.parent != ETC and self.foreign(path):
                yield "left", f"{path}: changed since it was made"
                continue
            path.unlink()
            yield "removed", name
            _remove_empty(path.parent)
        for thing in reversed(self._things):
            yield self._undo(thing)
        _MADE.unlink(missing_ok=True)
        _remove_empty(ETC)
        if _KEY.exists():
            yield "left", f"{_KEY}: without it no number in a backup can be read"

    def _undo(self, thing: str) -> tuple[str, str]:
        kind, _, name = thing.partition(" ")
        if kind == "directory":
            return _remove_journal(Path(name))
        if kind == "user":
            if name == USER and _KEY.exists():
                # Its owner's number may be given to somebody else.
                os.chown(_KEY, 0, 0)
            _run("userdel", name, check=False)
        return "removed", thing

    def _stop(self) -> Iterator[tuple[str, str]]:
        for unit in (_UNIT, _HTTP_UNIT, _HTTP_INSTANCE):
            if self.foreign(unit) or not unit.exists():
                continue
            named = unit.name.replace("@", "@*")
            for link in sorted(_UNITS.glob(f"*.wants/{named}")):
                _run("systemctl", "disable", link.name, check=False)
                yield "disabled", link.name
            if _booted():
                _run("systemctl", "stop", named, check=False)
                yield "stopped", named

    def _save(self) -> None:
        text = json.dumps({"files": self._files, "things": self._things}, indent=1)
        with written_whole(_MADE, replace=True) as file:
            file.write(text)


def steps(host: Host, database: str, *, http: bool = False) -> list[Step]:
    """
    All that an installation needs, in the order in which it is made.

    Args:
        host: Remembers what is made.
        database: Name of the database.
        http: Whether the HTTP door is served too.
    """
    program = f"{sys.prefix}/bin/agi-router"
    units = files("agi_router").joinpath("service")
    shipped = units.joinpath("agi-router@.service").read_text("utf-8")
    served = unit_file(units.joinpath("agi-router-http.service").read_text("utf-8"), program)
    of_http = [
        Step(
            what=f"user {HTTP_USER}",
            look=lambda: _look_account(HTTP_USER),
            make=lambda: _make_user(host, HTTP_USER),
        ),
        _kept(host, ETC / "http.env", http_env()),
        _file(host, _HTTP_UNIT, served, then=_reload_systemd),
        _file(host, _HTTP_INSTANCE, http_instance(served), then=_reload_systemd),
    ]
    return [
        Step(what=f"user {USER}", look=_look_user, make=lambda: _make_user(host, USER)),
        Step(what=str(ETC), look=_look_etc, make=_make_etc),
        Step(what=str(_KEY), look=_look_key, make=_make_key),
        _secret(host, ETC / "ari-password"),
        _secret(host, ETC / "agi-secret"),
        _kept(host, ETC / "env", env_file(database, USER)),
        _kept(host, ETC / "owner.env", env_file(database, OWNER)),
        _kept(host, ETC / "fastagi.env", fastagi_env()),
        Step(what=str(JOURNAL), look=_look_journal, make=lambda: _make_journal(host)),
        _file(host, _WRAPPER, wrapper(program), mode=0o755),
        _file(host, _UNIT, unit_file(shipped, program), then=_reload_systemd),
        *(of_http if http else ()),
        *(_prompts(host, language) for language in ("zh", "en")),
    ]


def database_name() -> str | None:
    """
    The database that the settings of the installation name, if there are any.
    """
    with contextlib.suppress(OSError):
        found = re.search(r"dbname=(\S+?)[\s\"]", (ETC / "env").read_text("utf-8"))
        if found:
            return found[1]
    return None


def asterisk_directory(what: str, default: str) -> Path:
    """
    A directory of Asterisk's, as the one that runs has it.

    Args:
        what: Its name in ``core show settings``, such as "Data directory".
        default: Where it is if Asterisk does not run, or names none.
    """
    done = _run("asterisk", "-rx", "core show settings", check=False, account=_asterisk())
    found = re.search(rf"(?m)^\s*{what}:\s*(/[!-~]*)$", done)
    return Path(found[1] if found else default)


def _asterisk() -> int | None:
    """
    The account whose asterisk.conf `asterisk -rx` reads first: it is run with its rights.
    """
    try:
        return pwd.getpwnam(_GROUP).pw_uid
    except KeyError:
        return None


def _file(
    host: Host, path: Path, text: str, *, mode: int = 0o644, then: Callable[[], None] | None = None
) -> Step:
    """
    A file that is written anew where a later version has another one.
    """

    def look() -> str:
        if not path.exists():
            return "missing"
        if path.read_text("utf-8") == text:
            return ""
        if host.foreign(path):
            return "left: it is not as setup has made it"
        return "outdated"

    def make() -> None:
        host.write(path, text, mode=mode)
        if then is not None:
            then()

    return Step(what=str(path), look=look, make=make)


def _kept(host: Host, path: Path, text: str, *, mode: int = 0o600) -> Step:
    """
    A file that is the operator's once it is there.
    """
    return Step(
        what=str(path),
        look=lambda: "" if path.exists() else "missing",
        make=lambda: host.write(path, text, mode=mode),
    )


def _secret(host: Host, path: Path) -> Step:
    return _kept(host, path, f"{secrets.token_hex(24)}\n")


def _look_user() -> str:
    try:
        grp.getgrnam(_GROUP)
    except KeyError:
        raise SettingsError(f"there is no group {_GROUP}: install Asterisk first") from None
    return _look_account(USER)


def _look_account(name: str) -> str:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return "missing"
    return ""


def _make_user(host: Host, name: str) -> None:
    command = ("useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent")
    _run(*command, "--shell", "/usr/sbin/nologin", name)
    # Before /etc/agi-router is there, nothing can be remembered.
    _make_etc()
    host.made(f"user {name}")


def _look_etc() -> str:
    return "" if ETC.is_dir() else "missing"


def _make_etc() -> None:
    ETC.mkdir(mode=0o755, exist_ok=True)
    ETC.chmod(0o755)


def _look_key() -> str:
    try:
        status = _KEY.stat()
    except FileNotFoundError:
        return "missing"
    if status.st_uid == 0:
        return f"of root: {USER} cannot read it"
    return ""


def _make_key() -> None:
    if not _KEY.exists():
        write_key_ring(_KEY, KeyRing.generate())
    user = pwd.getpwnam(USER)
    os.chown(_KEY, user.pw_uid, user.pw_gid)


def _look_journal() -> str:
    try:
        check_way(JOURNAL.parent)
        with open_directory(JOURNAL) as directory:
            status = os.fstat(directory)
            claimed = _owner_of_claimed(directory)
    except FileNotFoundError:
        return "missing"
    except UnfitFile as error:
        return f"left: {error}"
    except OSError:
        return "left: it is a link, or no directory; remove it"
    return _journal_fault(status, claimed)


def _journal_fault(status: os.stat_result, claimed: int | None) -> str:
    user, group = pwd.getpwnam(USER).pw_uid, grp.getgrnam(_GROUP).gr_gid
    if (status.st_uid, status.st_gid) != (user, group):
        return f"not of {USER} and the group {_GROUP}"
    if stat.S_IMODE(status.st_mode) != _JOURNAL_MODE:
        return f"of mode {stat.S_IMODE(status.st_mode):04o}, not {_JOURNAL_MODE:04o}"
    if claimed is None:
        return f"without {_CLAIMED}"
    if claimed != user:
        return f"left: {_CLAIMED} in it belongs to {account_name(claimed)}; remove it"
    return ""


def _owner_of_claimed(journal: int) -> int | None:
    try:
        return os.stat(_CLAIMED, dir_fd=journal, follow_symlinks=False).st_uid
    except FileNotFoundError:
        return None


def _make_journal(host: Host) -> None:
    with contextlib.suppress(FileExistsError):
        JOURNAL.mkdir(mode=0o700)
        host.made(f"directory {JOURNAL}")
    # What has been looked at may be another one by now.
    user, group = pwd.getpwnam(USER).pw_uid, grp.getgrnam(_GROUP).gr_gid
    with open_directory(JOURNAL) as directory:
        # The router's own comes first: who writes to the journal could make it, and stop settling.
        with contextlib.suppress(FileExistsError):
            os.mkdir(_CLAIMED, 0o700, dir_fd=directory)
            os.chown(_CLAIMED, user, group, dir_fd=directory, follow_symlinks=False)
        os.fchown(directory, user, group)
        os.fchmod(directory, _JOURNAL_MODE)


def _remove_journal(path: Path) -> tuple[str, str]:
    with contextlib.suppress(OSError):
        (path / _CLAIMED).rmdir()
    try:
        path.rmdir()
    except OSError as error:
        return "left", f"{path}: {error.strerror}"
    return "removed", str(path)


def _reload_systemd() -> None:
    if _booted():
        _run("systemctl", "daemon-reload")


def _booted() -> bool:
    # As sd_booted(3) tells it.
    return Path("/run/systemd/system").is_dir()


def _prompts(host: Host, language: str) -> Step:
    """
    The prompts of a language; what is there, a recording for instance, is left alone.
    """
    folder = asterisk_directory("Data directory", "/usr/share/asterisk")
    place = folder / "sounds" / language / "agi-router"

    def look() -> str:
        # Asterisk says where it is, and could say anything.
        try:
            check_way(place)
        except (OSError, UnfitFile) as error:
            return f"left: {error}"
        missing = [name for name in _prompt_names() if not (place / name).exists()]
        return f"{len(missing)} of {len(_prompt_names())} missing" if missing else ""

    def make() -> None:
        for program in ("espeak-ng", "sox"):
            if shutil.which(program) is None:
                raise SettingsError(f"{program} is missing: apt-get install espeak-ng sox")
        with tempfile.TemporaryDirectory() as work, as_file(files("agi_router.dialplan")) as ours:
            _run("bash", f"{ours}/make-prompts", work)
            place.mkdir(mode=0o755, parents=True, exist_ok=True)
            for name in _prompt_names():
                if not (place / name).exists():
                    spoken = Path(work, language, "agi-router", name).read_bytes()
                    host.write(place / name, spoken)

    return Step(what=f"prompts in {place}", look=look, make=make)


def _prompt_names() -> list[str]:
    table = files("agi_router.dialplan").joinpath("prompts.tsv").read_text("utf-8")
    return [f"{line.split()[0]}.wav" for line in table.splitlines()[1:]]


def _remove_empty(directory: Path) -> None:
    """
    Remove a directory of ours if nothing is in it.
    """
    if directory.name == "agi-router" or directory.name in {"zh", "en"}:
        with contextlib.suppress(OSError):
            directory.rmdir()
            _remove_empty(directory.parent)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _run(program: str, *arguments: str, check: bool = True, account: int | None = None) -> str:
    """
    What a program prints; it runs with the rights of *account* and of no other, if one is given.

    Raises:
        SettingsError: It is missing or has failed, if that is checked.
    """
    command: Sequence[str] = (program, *arguments)
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            user=account,
            group=None if account is None else grp.getgrnam(_GROUP).gr_gid,
            extra_groups=None if account is None else [],
            # It could type at the terminal of root, whose session it would be in (TIOCSTI).
            start_new_session=account is not None,
            timeout=None if account is None else _ANSWER_TIME,
        )
    except subprocess.TimeoutExpired:
        if check:
            raise SettingsError(f"{program} gives no answer for {_ANSWER_TIME:g} s") from None
        return ""
    except OSError as error:
        if check:
            raise SettingsError(f"{program} cannot be run: {error.strerror}") from None
        return ""
    if check and done.returncode:
        told = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise SettingsError(f"{' '.join(command)}: {told}")
    return done.stdout

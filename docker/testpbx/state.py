"""
What `up` remembers for `down` and `status`: one directory, one JSON file in it.

1. The file is written before anything is started, so `down` can clean up after any interruption.
2. It holds passwords: root alone reads it and sees what is in the directory.
"""

import dataclasses
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from testpbx.errors import PbxError

HOST = "127.0.0.1"
NAME = "pbx1"
SIP_PORT = 5060
CARRIER_OUT_PORT = 5090
ARI_PORT = 8088
METRICS_PORTS = {"ari": 9700, "agi": 9701}
AGI_PORT = 4573
# Accounts that nobody else has, by number: neither form needs them in a list of accounts. They
# share the end journal by the group of Asterisk's.
ASTERISK_ACCOUNT = 70070
ROUTER_ACCOUNT = 70071
# Away from 5432, where a developer's own server may stand.
DATABASE_PORT = 54329


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Directories and programs, as `docker/setup` names them."""

    checkout: Path
    cache: Path
    state: Path

    @classmethod
    def from_env(cls) -> Self:
        """Places named in the environment. `down` and `status` need no more than these."""
        return cls(
            checkout=Path(os.environ["PBX_CHECKOUT"]),
            cache=Path(os.environ["PBX_CACHE"]),
            state=Path(os.environ["PBX_STATE"]),
        )

    @property
    def venv(self) -> Path:
        """The venv with the checkout in it; known only to `up`."""
        return Path(os.environ["PBX_VENV"])

    @property
    def programs(self) -> Path:
        """A directory for PATH with the command `agi-router`."""
        return Path(os.environ["PBX_BIN"])

    @property
    def prompts(self) -> Path:
        """Sounds by language; known only to `up`."""
        return Path(os.environ["PBX_PROMPTS"])

    @property
    def logs(self) -> Path:
        """Logs of all servers, in both forms; they stay until the next `up`."""
        return self.cache / f"logs-{self.state.name}"

    @property
    def key_file(self) -> Path:
        """The router's key ring."""
        return self.state / "key"

    @property
    def media_state(self) -> Path:
        """Where the watch over the media guard tells what it sees, in a directory of its own."""
        return self.state / "media/state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """
    One PBX, from the first step of `up` to the last of `down`.

    Attributes:
        rootfs: The Debian root Asterisk runs in; empty in the Docker form.
        journal: Directory of the end journal as the router sees it in the root-fs form, and as the
            host sees it in both.
        dsn: How to reach PostgreSQL.
        database_port: Port of the server we start; 0 if the caller brought a database.
        router: Whether a router belongs to this PBX.
        media_guard: Whether its sound is guarded, so that calls are joined by the native bridge.
        complete: Whether `up` came to its end.
        host: The address at which all its servers listen.
        name: Its Asterisk's `systemname`.
        carrier: From which address calls come.
        out: Where calls go out to.
    """

    engine: str
    checkout: str
    rootfs: str
    journal: str
    dsn: str
    database_port: int
    database_password: str
    ari_password: str
    agi_secret: str
    router: bool = False
    media_guard: bool = False
    complete: bool = False
    host: str = HOST
    name: str = NAME
    carrier: str = HOST
    out: str = f"{HOST}:{CARRIER_OUT_PORT}"

    @staticmethod
    def password() -> str:
        """A password that needs no quoting in a URL, in SQL, or in a configuration file."""
        return secrets.token_hex(16)

    @property
    def secret_conf(self) -> str:
        """The file by which Asterisk's dialplan has the secret of FastAGI, and where it is."""
        return (
            f"[globals](+)\nAGI_ROUTER_AGI_SECRET={self.agi_secret}\n"
            f"AGI_ROUTER_AGI={self.host}:{AGI_PORT}\n"
        )

    def replace(self, **changes: Any) -> Self:
        """The same PBX, with *changes*."""
        return dataclasses.replace(self, **changes)


@contextmanager
def alone(places: Places) -> Iterator[None]:
    """One command at a time; the lock is not inherited by the servers."""
    with Path(f"{places.state}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def load(places: Places) -> State | None:
    """Read the state, or :obj:`None` if no PBX is up, not even partly."""
    try:
        text = (places.state / "state.json").read_text()
    except FileNotFoundError:
        return None
    except PermissionError:
        raise PbxError(f"cannot read {places.state}: run this as root") from None
    try:
        return State(**json.loads(text))
    except (TypeError, ValueError):
        raise PbxError(
            f"{places.state} is of another version: stop what runs, then remove it"
        ) from None


def share_journal(directory: Path) -> None:
    """Let Asterisk's account add files to a directory of the router's, and touch no others."""
    directory.mkdir(exist_ok=True)
    os.chown(directory, ROUTER_ACCOUNT, ASTERISK_ACCOUNT)
    directory.chmod(0o3770)


def new_logs(places: Places) -> None:
    """Make an empty directory for logs, open to root only; the state has a link to it."""
    shutil.rmtree(places.logs, ignore_errors=True)
    places.logs.mkdir(mode=0o700, parents=True)
    (places.state / "logs").symlink_to(places.logs)


def save(places: Places, state: State) -> None:
    """Write the state, whole or not at all."""
    # The router's account may go to its key through it, and see nothing else.
    places.state.mkdir(mode=0o711, parents=True, exist_ok=True)
    places.state.chmod(0o711)
    new = places.state / "state.json.new"
    new.touch(mode=0o600)
    new.write_text(json.dumps(dataclasses.asdict(state), indent=1))
    new.replace(places.state / "state.json")


def remove(places: Places) -> None:
    """Forget the PBX."""
    # The file goes last: an interrupted removal can be repeated.
    for path in places.state.iterdir() if places.state.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != "state.json":
            path.unlink()
    shutil.rmtree(places.state, ignore_errors=True)

"""
Fixtures of the attack tier: the test PBX with both doors served, calls of others, and accounts.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from attack.accounts import Account
from attack.others import Others
from chaos.conftest import BINDINGS, Callers, servers, table
from chaos.conftest import env as shipped
from psycopg.rows import dict_row

from agi_router.calls.journal import EndJournal
from calls.patience import SETTINGS, lengthen, shorten
from harness.load import callee
from harness.pbx import Cli
from harness.service import CallRecords, Router, Servers
from harness.table import Table
from testpbx.waiting import until

# They are the same as in chaos.
__all__ = ["servers", "shipped", "table"]

# What a login shell allows, and a service without a setting of its own.
_DESCRIPTORS = 1024
# No account of Debian or of a person.
_NOBODY_ELSE = 64242


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table, before pytest's last line; not where the chaos tier prints it already."""
    if not any("chaos" in str(each) for each in terminalreporter.config.args):
        for line in Table.lines():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def env(shipped: dict[str, str], pbx: dict[str, Any]) -> Iterator[dict[str, str]]:
    """The settings of the PBX, with a patience of seconds: an attack takes longer than a stall."""
    lengthen(Path(pbx["rootfs"]))
    yield {**shipped, **SETTINGS}
    shorten(Path(pbx["rootfs"]))


@pytest.fixture(scope="session")
def as_owner(pbx: dict[str, Any], env: dict[str, str]) -> dict[str, str]:
    """The settings of whoever owns the database."""
    return {**env, "AGI_ROUTER_DSN": pbx["dsn"]}


@pytest.fixture(scope="session")
def cli(as_owner: dict[str, str]) -> Cli:
    """The command line of an operator."""
    return Cli(as_owner)


@pytest.fixture
def doors(env: dict[str, str], pbx: dict[str, Any]) -> Iterator[tuple[Router, Router]]:
    """A router at the ARI door and one for FastAGI, not started again when they end."""
    logs = Path(pbx["logs"])
    both = (
        Router(env, logs / "attack.log", descriptors=_DESCRIPTORS),
        Router(env, logs / "attack-fastagi.log", door="agi", descriptors=_DESCRIPTORS),
    )
    try:
        # Both at once: each takes a second.
        for each in both:
            each.launch()
        for each in both:
            assert until(each.registered, timeout=60), each.log
        yield both
    finally:
        for each in both:
            each.stop()


@pytest.fixture
def router(doors: tuple[Router, Router]) -> Router:
    """The router at the ARI door."""
    return doors[0]


@pytest.fixture
def fastagi(doors: tuple[Router, Router]) -> Router:
    """The second door."""
    return doors[1]


@pytest.fixture
def database(pbx: dict[str, Any]) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A connection of somebody who may write to the database."""
    with psycopg.connect(pbx["dsn"], autocommit=True, row_factory=dict_row) as connection:
        yield connection


@pytest.fixture(scope="session")
def local() -> Account:
    """L: any local account, without files or passwords."""
    return Account(_NOBODY_ELSE, _NOBODY_ELSE)


@pytest.fixture(scope="session")
def asterisk_account(pbx: dict[str, Any]) -> Account:
    """A: the account that Asterisk runs as."""
    owner = (Path(pbx["rootfs"]) / "var/spool/asterisk").stat()
    return Account(owner.st_uid, owner.st_gid)


@pytest.fixture
def records(as_owner: dict[str, str]) -> CallRecords:
    """The records of calls."""
    return CallRecords(as_owner)


@pytest.fixture
def pairs(
    records: CallRecords, router: Router, fastagi: Router, servers: Servers, env: dict[str, str]
) -> list[tuple[str, str]]:
    """Who may call which number; no call of an earlier test is left, and there are no records."""
    assert router
    assert fastagi
    journal = EndJournal(Path(env["AGI_ROUTER_JOURNAL"]))
    assert until(lambda: servers.channels() == 0, timeout=60)
    assert until(lambda: journal.backlog().size == 0, timeout=60)
    return records.open(BINDINGS)


@pytest.fixture
def others(
    pbx: dict[str, Any], pairs: list[tuple[str, str]], tmp_path: Path, table: Table
) -> Iterator[Others]:
    """Other people's calls: all but the last binding's, and a callee who answers them all."""
    with callee(tmp_path / "callee", int(pbx["carrier_out"].rpartition(":")[2])):
        yield Others(Callers(tmp_path, pbx["sip"], pairs[:-50]), table)


@pytest.fixture
def secrets(env: dict[str, str]) -> list[str]:
    """What nobody may read: the keys, the passwords, and the connection string."""
    text = Path(env["AGI_ROUTER_KEY_FILE"]).read_text("ascii")
    keys = [line.split()[2] for line in text.splitlines() if line.startswith(("tag ", "seal "))]
    named = [env[name] for name in ("AGI_ROUTER_ARI_PASSWORD", "AGI_ROUTER_DSN") if env.get(name)]
    assert keys
    return [*keys, *named]

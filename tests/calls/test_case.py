"""
docs/case.md as it stands: each command, what it prints, and a real call that is cut.
"""

import contextlib
import os
import re
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from calls.page import free_door, is_ready, served
from calls.test_locks import is_up
from harness.cli import run
from harness.pbx import Cli
from testpbx.phones import Phones
from testpbx.waiting import until

PAGE = Path(__file__).parents[2] / "docs/case.md"
AT = "2026-03-01T21:14:05+08:00"
PEOPLE = ("13800000001", "13800000002")
X = "700123456784910"
BINDING = "70012345678-42"
LOCK = "1741"
KEY = "agr_kplcgdndlaiplnoa_secret"
# What differs from run to run: times, digests and counts, hosts.
VARIES = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ][\d:.]+(?:Z|[+-]\d\d:\d\d)?)?|\b[0-9a-f]{64}\b|@\w+"
    r"|\b\d+(?= row)|(?m:(?<=[a-z]) +[1-9]\d*$)"
)
# Accounts of their own on a machine in service.
APART = {"audit", "export", "retain"}


class Case:
    """
    The page, with what is so here in place of what it says.

    Args:
        env: What commands have around them.
        owner: The schema's owner, who has the rights of all accounts.
        names: What is so here, by what the page says.
    """

    def __init__(self, env: dict[str, str], owner: str, names: dict[str, str]) -> None:
        self._env = env
        self._owner = owner
        self._names = names
        self._blocks = iter(re.findall(r"(?ms)^```console\n(.*?)^```", PAGE.read_text("utf-8")))

    def play(self) -> None:
        """Run the commands of the next block, and hold what they print against the page."""
        text = re.sub(r" *\\\n *", " ", next(self._blocks))
        for who, line, rest in re.findall(r"(?m)^(\w+)[#$] (.+)\n((?:(?!\w+[#$] ).*\n)*)", text):
            typed = re.findall(r"(?m)^--\w+: (.+)$", rest)
            expected = re.sub(r"(?m)^--\w+: .+\n", "", rest)
            printed = self._run(
                who, self.here(line), self.here("".join(f"{each}\n" for each in typed))
            )
            self._learn(expected, printed)
            assert re.fullmatch(self._pattern(expected), _plain(printed)), f"{line}\n{printed}"

    def here(self, text: str) -> str:
        """What the page says, as it is so here."""
        names = "|".join(map(re.escape, self._names))
        return re.sub(rf"(?<![\w*])(?:{names})(?![\w*])", lambda name: self._names[name[0]], text)

    def _pattern(self, expected: str) -> str:
        parts = [re.escape(_plain(self.here(each))) for each in expected.split("…")]
        return r"\s*" + r".*?".join(parts)

    def _run(self, who: str, line: str, typed: str) -> str:
        if not line.startswith("agi-router "):
            env = {**os.environ, "KEY": self.here(KEY)}
            return subprocess.run(
                ["bash", "-c", line], env=env, check=True, capture_output=True, text=True
            ).stdout
        env = {**self._env, "AGI_ROUTER_DSN": self._owner} if who in APART else self._env
        done = run(shlex.split(line)[1:], env, typed=typed)
        # Real numbers are seen where they are asked for, with a reason.
        assert "--reveal" in line or not [each for each in PEOPLE if self.here(each) in done.out]
        return done.out + done.err

    def _learn(self, expected: str, printed: str) -> None:
        pairs = r"(?m)^(id|x|bearer|package) +(\S+)$"
        here = dict(re.findall(pairs, printed))
        self._names |= {told: here[name] for name, told in re.findall(pairs, expected)}


@pytest.fixture
def owned(database: psycopg.Connection[dict[str, Any]]) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the schema's owner; neither a chain nor an export is left behind."""
    yield database
    database.execute("DELETE FROM agi_router.audit_chain")
    database.execute("DELETE FROM agi_router.export_day")


def _plain(text: str) -> str:
    """A text without what differs from run to run, and without its columns."""
    return " ".join(VARIES.sub("#", text).split())


# Routes end as their binding does, without being told.
MOVES = """
SELECT agi_router.ensure_days('call', day - %(days)s, day - %(days)s)
  FROM (SELECT DISTINCT day FROM agi_router.call WHERE block || '-' || binding_id = %(id)s) o;
UPDATE agi_router.call
   SET day = day - %(days)s, received_at = received_at - %(by)s, ended_at = ended_at - %(by)s
 WHERE block || '-' || binding_id = %(id)s;
UPDATE agi_router.binding
   SET begins_at = begins_at - %(by)s, expires_at = expires_at - %(by)s,
       ended_at = ended_at - %(by)s
 WHERE block || '-' || id = %(id)s;
UPDATE agi_router.route SET begins_at = begins_at - %(by)s
 WHERE block || '-' || binding_id = %(id)s;
UPDATE agi_router.consent SET at = at - %(by)s, added_at = added_at - %(by)s
 WHERE binding = %(id)s;
UPDATE agi_router.lock
   SET set_at = set_at - %(by)s, starts_at = starts_at - %(by)s, over_at = over_at - %(by)s
 WHERE id = %(lock)s;
"""


def move_back(owned: psycopg.Connection[Any], case: Case, days: int) -> None:
    """Let days pass: have all that is on record of the case have been so long before."""
    by = timedelta(days=days)
    values = {"id": case.here(BINDING), "lock": int(case.here(LOCK)), "days": days, "by": by}
    for each in MOVES.split(";\n")[:-1]:
        owned.execute(each.encode(), values)


def test_the_case(
    cli: Cli,
    phones: Phones,
    pbx: dict[str, Any],
    owned: psycopg.Connection[Any],
    a: str,
    b: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From the call until nothing of it is kept. Days pass by moving what is on record."""
    monkeypatch.chdir(tmp_path)
    door = free_door()
    names = {
        "13800000001": a,
        "13800000002": b,
        "138****0001": f"{a[:3]}****{a[-4:]}",
        "138****0002": f"{b[:3]}****{b[-4:]}",
        "couriers": f"case-{secrets.token_hex(6)}",
        "P-2026-17": f"P-{secrets.token_hex(6)}",
        "C-77": f"C-{secrets.token_hex(6)}",
        "127.0.0.1:8700": door,
    }
    case = Case(cli.env, pbx["dsn"], names)
    env = {**cli.env, "AGI_ROUTER_HTTP_LISTEN": door}
    with (
        contextlib.ExitStack() as ends,
        phones.listen(),
        served(["agi-router serve --door http &"], env),
    ):
        case.play()
        ends.callback(cli, "api-key", "revoke", case.here(KEY).split("_")[1])
        assert until(partial(is_ready, door), timeout=60)
        x = case.here(X)
        # Another test may have locked the block within the trace's time.
        owned.execute(
            "DELETE FROM agi_router.lock"
            " WHERE subject = 'block' AND key = %s AND over_at IS NOT NULL",
            (int(x[:11]),),
        )
        talk = phones.dial(a, x)
        assert until(partial(is_up, talk), timeout=60)
        names[AT] = datetime.now(UTC).isoformat()
        case.play()
        case.play()
        talk.heard(timeout=60)
        cli.record(x)
        for _ in range(4):
            case.play()
        move_back(owned, case, 1)
        case.play()
        case.play()
        move_back(owned, case, 300)
        # As the service does each few minutes.
        cli("sweep")
        case.play()

"""The command line as people and programs run it: what it prints, how it ends, what it leaves."""

from __future__ import annotations

import json
import os
import pwd
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.calls.decision import Refusal
from agi_router.calls.end import Outcome
from agi_router.calls.store import AdmissionStore
from agi_router.calls.treatment import treat
from agi_router.db.connection import Connection
from agi_router.inventory.model import BlockState
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.logs import redact
from agi_router.numbers import Block
from agi_router.texts import shown
from harness.cli import Done, run
from harness.database import a_call, an_end, bind, calls_used, expire, new_call_id, one
from harness.values import BLOCK, A, B, C, D, X

PROGRAM = Path(sys.executable).parent / "agi-router"
SQL = Path(__file__).resolve().parents[2] / "sql"
NAMES = {A: "A", B: "B", C: "C", D: "D"}
SERVICE = pwd.getpwnam("nobody").pw_uid
OTHER = pwd.getpwnam("daemon").pw_uid


# They have to do with processes: signals, and what they end with.
PROCESSES = frozenset({"serve"})


@dataclass
class Cli:
    """The command line with an environment of its own, and the commands run as programs."""

    env: dict[str, str] = field(default_factory=dict)
    processes: frozenset[str] = PROCESSES

    def __call__(self, *arguments: object, **env: str | None) -> Done:
        given = {**self.env, **env}
        whole = {
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            **{name: value for name, value in given.items() if value is not None},
        }
        words = list(map(str, arguments))
        done = program(words, whole) if self.processes.intersection(words) else run(words, whole)
        for number, name in NAMES.items():
            assert number.digits not in done.out + done.err, f"{name} is told in full"
        return done

    def many(
        self,
        commands: Sequence[tuple[object, ...]],
        envs: Sequence[Mapping[str, str | None]] | None = None,
    ) -> list[Done]:
        """Run several commands, one after the other."""
        given = envs or [{}] * len(commands)
        return [self(*command, **env) for command, env in zip(commands, given, strict=True)]


def program(words: Sequence[str], env: Mapping[str, str], *, typed: str | None = None) -> Done:
    """Run the command line as the program that people start."""
    done = subprocess.run(
        [PROGRAM, *words],
        env=env,
        input=typed,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def key_file(tmp_path: Path, keys: KeyRing) -> Path:
    """A file with the keys of this test."""
    file = tmp_path / "key"
    write_key_ring(file, keys)
    return file


@pytest.fixture
def bare_cli() -> Cli:
    """The command line where nothing is set."""
    return Cli()


@pytest.fixture
def cli(dsn: str, key_file: Path) -> Cli:
    """The command line on this test's database."""
    return Cli(
        {
            "AGI_ROUTER_DSN": dsn,
            "AGI_ROUTER_KEY_FILE": str(key_file),
            # Tests bind again at once on the same number.
            "AGI_ROUTER_NUMBER_QUARANTINE": "0s",
            "AGI_ROUTER_PARTY_QUARANTINE": "0s",
        }
    )


def axb(*options: object, a: str = A.digits, b: str = B.digits) -> tuple[object, ...]:
    return ("bind", "axb", "--a", a, "--b", b, *options)


def explain(caller: str, dialled: object = X, *options: object) -> tuple[object, ...]:
    return ("explain", "--from", caller, "--to", dialled, *options)


def snapshot(connection: Connection) -> dict[str, list[Any]]:
    """All that a command could change."""
    return {
        table: connection.execute(
            f"SELECT t::text FROM agi_router.{table} t ORDER BY 1"
        ).fetchall()
        for table in ("block", "binding", "route", "past_route", "call", "tenant")
    }


def test_from_nothing_to_a_binding(empty_dsn: str, tmp_path: Path) -> None:
    """The first steps of the help, one after the other, as they are written there."""
    place = conninfo_to_dict(empty_dsn)
    file = tmp_path / "key"
    # The database is named by libpq's own variables here.
    cli = Cli(
        {
            "PGHOST": str(place["host"]),
            "PGPORT": str(place["port"]),
            "PGUSER": str(place["user"]),
            "PGDATABASE": str(place["dbname"]),
            "AGI_ROUTER_KEY_FILE": str(file),
        }
    )
    assert cli("key", "new", "--file", file).out.startswith(f"wrote {file}")
    assert file.stat().st_mode & 0o777 == 0o600
    status = cli("db", "status", "--json").json
    assert status["up_to_date"] is False
    assert cli("db", "migrate").out.splitlines()[-1] == "the schema is up to date"
    assert cli("db", "migrate", "--json").json == {"applied": [], "functions": []}
    status = cli("db", "status", "--json").json
    assert status["up_to_date"] is True
    shipped = sorted(int(path.name[:4]) for path in SQL.glob("migrations/*.sql"))
    assert [each["number"] for each in status["migrations"]] == shipped
    assert "0001_baseline" in cli("db", "status").out
    assert status["functions"] == {"missing": [], "different": [], "unknown": []}
    added = cli("block", "add", BLOCK, "--json").json
    assert (added["block"], added["first"], added["last"], added["state"]) == (
        str(BLOCK),
        "700123456780000",
        "700123456789999",
        "active",
    )
    # No real order, no binding; and nobody is bound who has not agreed.
    assert "without an order" in cli(*axb("--ttl", "2h")).error
    assert "agreed" in cli(*axb("--order", "A-1", "--consent", "app")).error
    for party in (A, B):
        cli("consent", "give", "--person", party.digits, "--tenant", "default", "--how", "app")
    made = cli(*axb("--ttl", "2h", "--order", "A-1", "--json")).json
    assert made["id"].startswith(f"{BLOCK}-")
    # Asked again, no key file is overwritten.
    before = file.read_text()
    assert cli("key", "new", "--file", file).error.endswith("choose another file")
    assert file.read_text() == before


def test_keys_are_printed(bare_cli: Cli) -> None:
    """A new ring can be read back, as text and as JSON."""
    text, wrapped = bare_cli.many([("key", "new"), ("key", "new", "--json")])
    assert KeyRing.parse(text.out) != KeyRing.parse(wrapped.json["key"])


def test_blocks(cli: Cli, store: BindingStore) -> None:
    """Blocks are added with what is known of them, and listed with their bindings."""
    bind(store)
    added = cli("block", "add", "700 1234 5679", "--operator", "中国移动", "--certificate", "7-1")
    assert added.code == 0
    assert "中国移动" in added.out
    told, listed = cli.many([("block", "list"), ("block", "list", "--json")])
    assert [(b["block"], b["operator"], b["certificate"], b["bindings"]) for b in listed.json] == [
        (str(BLOCK), None, None, 1),
        ("70012345679", "中国移动", "7-1", 0),
    ]
    assert told.out.splitlines()[0].split() == [
        "BLOCK",
        "OPERATOR",
        "CERTIFICATE",
        "TENANT",
        "STATE",
        "BINDINGS",
    ]
    assert cli("block", "add", BLOCK).error.endswith(f"block {BLOCK} is already there")


def test_bind_on_a_number(cli: Cli, connection: Connection, store: BindingStore) -> None:
    """All terms are taken; the object printed has what the issue promises."""
    made = cli(
        *axb("--x", X, "--max-calls", 10, "--count", "attempts", "--ttl", "2h"),
        *("--max-duration", "30m", "--order", "A-1001", "--json"),
    ).json
    assert {"id", "mode", "x", "expires_at", "max_calls"} <= made.keys()
    number = one(connection, "SELECT id FROM agi_router.binding")
    assert (made["id"], made["mode"], made["x"]) == (f"{BLOCK}-{number}", "axb", str(X))
    assert (made["max_calls"], made["calls_used"], made["count"]) == (10, 0, "attempts")
    assert (made["max_duration"], made["order"]) == (1800, "A-1001")
    assert (made["a"], made["b"]) == (A.masked, B.masked)
    ends = datetime.fromisoformat(made["expires_at"])
    assert ends.utcoffset() is not None
    assert abs(ends - store.now() - timedelta(hours=2)) < timedelta(minutes=1)


def test_bind_on_a_chosen_number(cli: Cli, store: BindingStore) -> None:
    """Numbers are read as people write them; X is chosen; the setting gives the end."""
    assert store
    expires = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
    a = f"+86 {A.digits[:3]}-{A.digits[3:7]}-{A.digits[7:]}"
    first, second, plain = cli.many(
        [
            axb("--json", a=a, b=f"0086{B.digits}"),
            axb("--expires", expires.isoformat(), "--json"),
            axb(),
        ]
    )
    assert first.json["x"].startswith(str(BLOCK))
    assert (first.json["a"], first.json["max_calls"]) == (A.masked, None)
    life = datetime.fromisoformat(first.json["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=23, minutes=58) < life <= timedelta(hours=24)
    assert datetime.fromisoformat(second.json["expires_at"]) == expires
    assert plain.code == 0
    assert "700" in plain.out


def test_life_of_a_binding(cli: Cli, store: BindingStore) -> None:
    """Shown, extended, listed, unbound; over, it cannot change and shows what it was."""
    made, other = bind(store, order_id="A-1"), bind(store, C, D)
    name = str(made.id)
    shown, told, all_, of_order = cli.many(
        [
            ("show", name, "--json"),
            ("show", name),
            ("list", "--json"),
            ("list", "--order", "A-1", "--json"),
        ]
    )
    assert (shown.json["id"], shown.json["state"], shown.json["x"]) == (name, "active", str(X))
    assert name in told.out
    assert A.masked in told.out
    assert [each["id"] for each in all_.json] == [str(other.id), name]
    assert [each["id"] for each in of_order.json] == [name]
    longer = cli("extend", name, "--ttl", "5h", "--json").json
    assert datetime.fromisoformat(longer["expires_at"]) > made.expires_at
    until = (made.expires_at + timedelta(days=2)).isoformat()
    assert cli("extend", name, "--expires", until, "--json").json["expires_at"] == until
    ended = cli("unbind", name, "--json").json
    assert (ended["id"], ended["state"]) == (name, "unbound")
    assert ended["ended_at"] is not None
    table, everything, again, more = cli.many(
        [
            ("list",),
            ("list", "--all", "--limit", 10),
            ("unbind", name),
            ("extend", name, "--ttl", "1h"),
        ]
    )
    assert name not in table.out
    assert str(other.id) in table.out
    assert name in everything.out
    for late in (again, more):
        assert late.code == 73
        assert late.error.endswith("is over (unbound); make a new one")


def test_lists_of_nothing(cli: Cli, store: BindingStore) -> None:
    """Empty lists are said in words, and are empty lists in JSON."""
    assert store
    done = cli.many([("list",), ("list", "--json"), ("calls",), ("calls", "--json")])
    assert [each.out.strip() for each in done] == ["no bindings", "[]", "no calls", "[]"]


def test_bindings_of_a_party(cli: Cli, store: BindingStore) -> None:
    """A number is one however it is written, and found whichever side it is on."""
    first, second = bind(store), bind(store, a=C, b=A, x=None)
    bind(store, a=C, b=D, x=None)

    found = json.loads(cli("list", "--json", "--party", f"+86 {A.digits}").out)
    assert [each["id"] for each in found] == [str(second.id), str(first.id)]
    assert cli("list", "--party", "12").code == os.EX_DATAERR


async def test_calls(cli: Cli, store: BindingStore, admissions: AdmissionStore) -> None:
    """Calls are listed, newest first, as what became of them."""
    made = bind(store, max_calls=3)
    ids = [new_call_id() for _ in range(4)]
    for each in ids[:3]:
        await admissions.admit(a_call(), each, timeout=10)
    await admissions.settle(
        [
            an_end(ids[0], Outcome.ANSWERED),
            an_end(ids[1], Outcome.BUSY),
            an_end(ids[3], None, reason=Reason.USED_UP),
        ]
    )
    listed, told, later, one_, named, absent, twice = cli.many(
        [
            ("calls", "--since", "1h", "--json"),
            ("calls",),
            ("calls", "--since", (datetime.now(UTC) + timedelta(minutes=5)).isoformat(), "--json"),
            ("calls", "--limit", 1, "--json"),
            ("calls", "--id", ids[1], "--json"),
            ("calls", "--id", new_call_id()),
            ("calls", "--id", ids[1], "--x", X),
        ]
    )
    rows = {row["id"]: row for row in listed.json}
    assert set(rows) == set(ids)
    assert {
        each: (row["verdict"], row["reason"], row["outcome"], row["state"], row["binding"])
        for each, row in rows.items()
    } == {
        ids[0]: ("route", None, "answered", "settled", str(made.id)),
        ids[1]: ("route", None, "busy", "settled", str(made.id)),
        ids[2]: ("route", None, None, "reserved", str(made.id)),
        ids[3]: ("refuse", "used_up", None, "settled", None),
    }
    assert rows[ids[0]]["talk_ms"] == 30000
    assert all(each in told.out for each in ids)
    assert later.json == []
    assert len(one_.json) == 1
    assert named.json == [rows[ids[1]]]
    assert (absent.code, twice.code) == (os.EX_NOINPUT, 2)


def test_explain(cli: Cli, connection: Connection, store: BindingStore) -> None:
    """The decision and its rules; nothing is changed by asking, now, then or in the future."""
    made = bind(store, max_calls=1)
    over = bind(store, C, D)
    expire(connection, over.id)
    before = snapshot(connection)
    past = (made.begins_at - timedelta(hours=1)).isoformat()
    future = (made.expires_at + timedelta(seconds=1)).isoformat()
    cases: dict[tuple[object, ...], tuple[str, str | None]] = {
        explain(A.digits): ("route", None),
        explain(f"+86{B.digits}"): ("route", None),
        explain(A.digits, X, "--at", past): ("refuse", "no_binding"),
        explain(A.digits, X, "--at", future): ("refuse", "expired"),
        explain(C.digits): ("refuse", "expired"),
        explain("13999999999"): ("refuse", "stranger"),
        explain(A.digits, BLOCK.number(5)): ("refuse", "no_binding"),
        explain(A.digits, "700999999990001"): ("refuse", "x_unknown"),
        # What arrives may be anything: refused, not an error.
        explain("anonymous"): ("refuse", "caller_hidden"),
        explain(""): ("refuse", "caller_hidden"),
        explain("+442071838750"): ("refuse", "caller_foreign"),
        explain("01012345678"): ("refuse", "caller_type"),
        explain(A.digits, "12345"): ("refuse", "x_malformed"),
    }
    done = cli.many([(*command, "--json") for command in cases])
    for (command, (verdict, why)), each in zip(cases.items(), done, strict=True):
        told = each.json
        assert (told["verdict"], told["reason"]) == (verdict, why), command
        assert {"shown", "ring", "rules", "at"} <= told.keys()
        if why is None:
            assert told["shown"] == str(X)
            assert told["ring"] in {A.masked, B.masked}
            assert told["binding"] == str(made.id)
            assert all(rule["holds"] for rule in told["rules"])
        else:
            assert told["shown"] is told["ring"] is None
            assert (told["prompt"], told["cause"]) == tuple(
                reversed(treat(Refusal(reason=Reason(why))))
            )
            assert not told["rules"][-1]["holds"]
    routed, refused = cli.many([explain(A.digits), explain(C.digits)])
    assert routed.out.splitlines()[-1] == (
        f"route: {B.masked} rings and is shown {X} (binding {made.id})"
    )
    assert "NO   the binding has not expired" in refused.out
    assert refused.out.splitlines()[-1].startswith(
        "refuse: expired (prompt order_ended, cause 21)"
    )
    assert snapshot(connection) == before
    assert calls_used(connection) == 0


def test_refused_commands(cli: Cli, connection: Connection, store: BindingStore) -> None:
    """Each bad input is one clear line, its own exit code, and nothing half written."""
    made = bind(store)
    over = bind(store, C, D)
    expire(connection, over.id)
    x2 = BLOCK.number(2)
    cases: list[tuple[tuple[object, ...], int, str]] = [
        # Numbers.
        (axb(a="138"), 65, "11 digits beginning 13 to 19; got 3 digits"),
        (axb(b="abc"), 65, "a number is written with digits"),
        (axb(a=""), 65, "the number is empty"),
        (axb(a="+442071838750"), 65, "another country code"),
        (axb(a="01012345678"), 65, "got a fixed line"),
        (axb(a=str(X)), 65, "got a 700 number"),
        (axb("--x", "70012345678"), 65, "a 700 number has 15 digits; got 11"),
        (axb("--x", "13800000009"), 65, "a 700 number begins with 700"),
        (("block", "add", "700123"), 65, "a block has 11 digits; got 6"),
        (("block", "add", "80012345678"), 65, "a block begins with 700"),
        # Times.
        (axb("--expires", "2020-01-01T00:00:00Z"), 65, "the expiry is in the past"),
        (axb("--ttl", "0"), 2, "1m is the least"),
        (axb("--ttl", "91d"), 65, "90 days at most"),
        (axb("--ttl", "999999d"), 65, "90 days at most"),
        (axb("--expires", "9999-12-31T23:59:59Z"), 65, "90 days at most"),
        (("extend", made.id, "--expires", "2020-01-01T00:00:00Z"), 65, "in the past"),
        (("extend", made.id, "--ttl", "1m"), 65, "it can only be extended"),
        # Parties and places.
        (axb(b=f"+86{A.digits}"), 65, "A and B are the same number"),
        (axb("--x", X), 73, f"{A.masked} is on {X} already, by binding {made.id}"),
        (axb("--x", "700999999990001"), 66, "block 70099999999 is not ours: add it first"),
        (("block", "add", BLOCK), 73, "is already there"),
        # Bindings.
        (("show", f"{BLOCK}-999999"), 66, f"there is no binding {BLOCK}-999999"),
        (("unbind", "70099999999-1"), 66, "there is no binding"),
        (("extend", "nonsense", "--ttl", "1h"), 66, "looks like 70012345678-1"),
        (("unbind", over.id), 73, "is over (expired)"),
        # Usage.
        (("bind", "axb", "--a", A.digits), 2, "Missing option '--b'"),
        (axb("--ttl", "soon"), 2, "a duration looks like"),
        (axb("--expires", "tomorrow"), 2, "a time looks like"),
        (axb("--ttl", "1h", "--expires", "2099-01-01T00:00:00Z"), 2, "not both"),
        (axb("--max-calls", "0"), 2, "--max-calls"),
        (axb("--count", "all"), 2, "--count"),
        (("extend", made.id), 2, "give --ttl or --expires"),
        (explain(A.digits, x2, "--at", "then"), 2, "a time looks like"),
        (("nothing",), 2, "No such command"),
    ]
    before = snapshot(connection)
    for (command, code, text), done in zip(
        cases, cli.many([command for command, *_ in cases]), strict=True
    ):
        assert (done.code, text in done.error) == (code, True), (command, done)
    assert snapshot(connection) == before


def test_terms_out_of_bounds(cli: Cli, store: BindingStore) -> None:
    """Terms that no binding can have are a mistake of the user's."""
    assert store
    done = cli.many(
        [
            axb("--max-duration", "300m"),
            axb("--max-duration", "0"),
            axb("--max-calls", "2147483648"),
            axb("--order", ""),
            axb("--order", "x" * 129),
        ]
    )
    assert {each.code for each in done} <= {2, 65}


def test_closed_blocks(cli: Cli, connection: Connection, store: BindingStore) -> None:
    """Without a number to give, the command says why and what to do."""
    assert store
    connection.execute(b"UPDATE agi_router.block SET state = 'draining'")
    chosen, given = cli.many([axb(), axb("--x", X)])
    assert chosen.code == given.code == 73
    assert "agi-router block add" in chosen.error
    assert "draining" in given.error


def test_settings_and_keys_are_wrong(
    cli: Cli, connection: Connection, store: BindingStore, keys: KeyRing, tmp_path: Path
) -> None:
    """A setting or a key that is wrong ends with 78, before anything is done."""
    made = bind(store)
    assert cli("show", made.id).code == 0  # the keys are remembered
    other, opened, torn = tmp_path / "other", tmp_path / "opened", tmp_path / "torn"
    write_key_ring(other, KeyRing.generate())
    write_key_ring(opened, keys)
    opened.chmod(0o644)
    torn.touch(mode=0o600)
    torn.write_text(keys.to_text()[:50])
    missing = tmp_path / "missing"
    before = snapshot(connection)
    cases: list[tuple[dict[str, str | None], str]] = [
        ({"AGI_ROUTER_KEY_FILE": str(other)}, "not the one the database was sealed with"),
        ({"AGI_ROUTER_KEY_FILE": str(opened)}, f"chmod 600 {opened}"),
        ({"AGI_ROUTER_KEY_FILE": str(torn)}, f"key file {torn}"),
        ({"AGI_ROUTER_KEY_FILE": str(missing)}, "run 'agi-router key new'"),
        ({"AGI_ROUTER_KEY_FILE": None}, "no key is set: run 'agi-router key new'"),
        ({"AGI_ROUTER_KEY": keys.to_text()}, "not both"),
        ({"AGI_ROUTER_TLL": "1h"}, "AGI_ROUTER_TLL is not a setting; the nearest is"),
        ({"AGI_ROUTER_TTL": "soon"}, "AGI_ROUTER_TTL is malformed"),
    ]
    secrets = [line.split()[2] for line in keys.to_text().splitlines()]
    command = axb("--x", BLOCK.number(2))
    results = cli.many([command] * len(cases), [env for env, _ in cases])
    for (env, text), done in zip(cases, results, strict=True):
        assert (done.code, text in done.error) == (78, True), (env, done)
        assert not any(secret[:12] in done.err for secret in secrets)
    assert snapshot(connection) == before
    # What opens no number needs no key.
    for words in (("tenant", "list"), ("block", "list"), ("pool",)):
        assert cli(*words, AGI_ROUTER_KEY_FILE=None).code == 0
    # The key itself may stand in the environment.
    text = keys.to_text().replace("\n", ";")
    assert cli("show", made.id, AGI_ROUTER_KEY=text, AGI_ROUTER_KEY_FILE=None).code == 0


def test_database_is_away(cli: Cli, dsn: str) -> None:
    """A database that is down, or a DSN that is none, ends with 69 and names no password."""
    down = make_conninfo(dsn, port=1, password="hunter2")
    *away, malformed, absent = cli.many(
        [("list",), axb(), ("db", "status"), ("serve",), ("list",), ("list",)],
        [
            *({"AGI_ROUTER_DSN": down},) * 4,
            {"AGI_ROUTER_DSN": "hunter2"},
            {"AGI_ROUTER_DSN": make_conninfo(dsn, dbname="absent")},
        ],
    )
    for done in away:
        assert (done.code, "cannot be reached: check that it runs" in done.error) == (69, True)
    for done in (malformed, absent):
        assert (done.code, done.error != "") == (69, True)
    assert not any("hunter2" in done.err for done in (*away, malformed))


def test_schema_does_not_fit(cli: Cli, dsn: str, empty_dsn: str) -> None:
    """A database that is older or newer ends with 76 and says which; it is not touched."""
    empty = cli("list", AGI_ROUTER_DSN=empty_dsn)
    assert (empty.code, "older than this program" in empty.error) == (76, True)
    with psycopg.connect(empty_dsn) as looking:
        found = looking.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'agi_router'")
        assert found.fetchone() == (0,)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO agi_router.migration VALUES (9999, 'later', 'x')")
        commands = [("list",), axb(), ("db", "migrate"), ("db", "status"), ("serve",)]
        for newer in cli.many(commands):
            assert (newer.code, "newer than this program" in newer.error) == (76, True)
        connection.execute("DELETE FROM agi_router.migration")
        older = cli("list")
        assert (older.code, "run 'agi-router db migrate'" in older.error) == (76, True)


def test_settings_are_shown(bare_cli: Cli) -> None:
    """Every setting and its value; secrets stay hidden."""
    listed = bare_cli("settings", "--json", AGI_ROUTER_DSN="password=hunter2").json
    assert listed["AGI_ROUTER_DSN"] == "(set, hidden)"
    assert listed["AGI_ROUTER_TTL"] == "1d"
    assert "hunter2" not in str(listed)


def test_settings_are_shown_by_name(bare_cli: Cli) -> None:
    """People too are told the names of variables as they are written."""
    assert "AGI_ROUTER_TTL=" in bare_cli("settings").out


def test_doctor_writes_nothing(cli: Cli, connection: Connection) -> None:
    """It may look with a key that is not to be the first one of the database."""
    checks = json.loads(cli("doctor", "--json").out)["checks"]
    assert {each["check"]: each["status"] for each in checks}["key"] == "ok"
    assert connection.execute("SELECT FROM agi_router.key").fetchall() == []


def test_doctor(cli: Cli, dsn: str, store: BindingStore, tmp_path: Path) -> None:
    """Each check by name; one that fails ends with 1, and the others are still told."""
    bind(store)
    store.inventory.tenants.set_record("default", on=True)
    ari = {"AGI_ROUTER_ARI_URL": "http://127.0.0.1:1", "AGI_ROUTER_ARI_PASSWORD": "hunter2"}
    done, down = cli.many(
        [("doctor", "--json"), ("doctor",)],
        [
            {**ari, "AGI_ROUTER_JOURNAL": str(tmp_path), "AGI_ROUTER_AGI_LISTEN": "off"},
            {
                **ari,
                "AGI_ROUTER_JOURNAL": str(tmp_path / "absent"),
                "AGI_ROUTER_AGI_LISTEN": "127.0.0.1:1",
                "AGI_ROUTER_DSN": make_conninfo(dsn, port=1),
            },
        ],
    )
    assert done.code == down.code == 1
    told = json.loads(done.out)
    assert told["ok"] is False
    assert {each["check"]: each["status"] for each in told["checks"]} == {
        "database": "ok",
        "schema": "ok",
        "clock": "ok",
        # The one role of the tests owns all.
        "rights": "warn",
        "key": "ok",
        "journal": "ok",
        # They are to be recorded, and no directory is set.
        "recordings": "warn",
        "ranges": "ok",
        "ari": "fail",
        "fastagi": "ok",
    }
    lines = {line.split()[1]: line.split()[0] for line in down.out.splitlines()}
    assert lines == {
        "database": "fail",
        "key": "ok",
        "journal": "fail",
        "ranges": "ok",
        "ari": "fail",
        "fastagi": "warn",
    }
    assert "hunter2" not in done.out + down.out


@pytest.fixture
def site() -> Iterator[Path]:
    """A directory that other accounts may come into, with a journal of the one that serves."""
    with TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        (place / "journal").mkdir()
        os.chown(place / "journal", SERVICE, SERVICE)
        yield place


def private(file: Path, text: str, owner: int) -> str:
    """A file of an account that nobody else reads."""
    file.write_text(text)
    file.chmod(0o600)
    os.chown(file, owner, owner)
    return str(file)


def test_the_doctor_looks_as_the_service(cli: Cli, keys: KeyRing, site: Path) -> None:
    """Root reads everything; what the account cannot that serves is a fault all the same."""
    serves = pwd.getpwuid(SERVICE).pw_name
    ring = keys.to_text()
    settings = {
        "AGI_ROUTER_JOURNAL": str(site / "journal"),
        "AGI_ROUTER_KEY_FILE": private(site / "key", ring, SERVICE),
        "AGI_ROUTER_ARI_URL": "http://127.0.0.1:1",
        "AGI_ROUTER_ARI_PASSWORD_FILE": private(site / "ari", "hunter2", SERVICE),
        "AGI_ROUTER_AGI_LISTEN": "off",
    }
    roots = private(site / "roots", ring, 0)
    others = private(site / "others", "hunter2", OTHER)
    handed = private(site / "handed", "hunter2", 0)
    (site / "closed").mkdir(mode=0o700)
    (site / "closed/journal").mkdir()
    os.chown(site / "closed/journal", SERVICE, SERVICE)
    done = cli.many(
        [("doctor", "--json")] * 5,
        [
            settings,
            {**settings, "AGI_ROUTER_KEY_FILE": roots},
            {**settings, "AGI_ROUTER_ARI_PASSWORD_FILE": others},
            {**settings, "AGI_ROUTER_ARI_PASSWORD_FILE": handed},
            {**settings, "AGI_ROUTER_JOURNAL": str(site / "closed/journal")},
        ],
    )
    fit, key, password, credential, journal = (
        {each["check"]: (each["status"], each["text"]) for each in json.loads(one.out)["checks"]}
        for one in done
    )
    assert fit["account"] == ("ok", f"looked as {serves}, whose the journal is")
    assert (fit["database"][0], fit["key"][0], fit["journal"][0]) == ("ok", "ok", "ok")
    assert key["key"] == ("fail", f"key file {roots} cannot be read: Permission denied")
    unread = "AGI_ROUTER_ARI_PASSWORD_FILE cannot be read: Permission denied"
    assert password["ari"] == ("fail", f"AGI_ROUTER_ARI_URL http://127.0.0.1:1: {unread}")
    # Of root's file systemd makes a credential, for the service.
    assert credential["ari"] == fit["ari"]
    assert unread not in fit["ari"][1]
    assert journal["journal"][0] == "fail"
    told = f"{site}/closed/journal (AGI_ROUTER_JOURNAL): Permission denied; "
    assert journal["journal"][1].startswith(told)


def test_fastagi_needs_an_address(cli: Cli, store: BindingStore, tmp_path: Path) -> None:
    """A door that is off, or whose address is taken, is said before anybody is served."""
    bind(store)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        off, busy = cli.many(
            [("serve", "--door", "agi")] * 2,
            [
                {
                    "AGI_ROUTER_JOURNAL": str(tmp_path),
                    "AGI_ROUTER_AGI_LISTEN": listen,
                    "AGI_ROUTER_AGI_SECRET": "0123456789abcdef" * 2,
                }
                for listen in ("off", address)
            ],
        )
    assert (off.code, busy.code) == (78, 69)
    assert "AGI_ROUTER_AGI_LISTEN is off" in off.error
    assert f"cannot listen on {address}" in busy.error


def test_numbers_from_standard_input(cli: Cli, store: BindingStore) -> None:
    """What must not stand in a process listing comes line by line, and is the same number."""
    done = subprocess.run(
        [PROGRAM, "bind", "gxb", "--b", "-", "--members", "-", "--members", "-", "--default", "-"],
        env={"PATH": os.environ["PATH"], **cli.env},
        input=f"{B.digits}\n {A.digits} \n+86{C.digits}\n{C.digits}\n",
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )

    shown = dict(re.split(" {2,}", line) for line in done.stdout.splitlines())
    assert (shown["members"], shown["b"]) == (f"{A.masked}, {C.masked}", B.masked)
    assert shown["called back"] == C.masked
    assert len(store.bindings(everything=False, order_id=None, limit=10)) == 1


HOSTILE = [
    "'; DROP TABLE agi_router.binding; --",
    "x' OR '1'='1",
    '"; DELETE FROM agi_router.route; --',
    "$1 %(a)s %s {0} ${x} $$;$$",
    "\\x00 \\' \\\\",
    "/* */ -- ; COMMIT;",
    "订单%_\U0001f4de" * 5,
    "-",
]
UNSEEN = ["/* */ -- \n; COMMIT; \t\r", "\x1b[2J\x07\u202e\u2028", "B\u200b7"]


def test_hostile_text(cli: Cli, store: BindingStore) -> None:
    """Text of an operator is text: kept as it is, found by itself alone, printed on its line."""
    for text in UNSEEN:
        for command in (axb("--order", text), ("list", "--order", text), ("tenant", "add", text)):
            assert cli(*command).code == 2
    for serial, text in enumerate(HOSTILE):
        made = cli(*axb("--order", text, b=f"1377777{serial:04}"))
        assert made.code == 0
        assert all(char.isprintable() for line in made.out.splitlines() for char in line)
        [found] = cli("list", "--order", text, "--json").json
        assert found["order"] == text
        shown = cli("list", "--order", text).out
        assert shown.count("\n") == 2
    assert cli("unbind", "--order", HOSTILE[1], "--json").code == 0
    left = store.bindings(everything=True, order_id=None, limit=100)
    assert {each.order_id for each in left} == {*HOSTILE}
    live = store.bindings(everything=False, order_id=None, limit=100)
    assert len(live) == len(HOSTILE) - 1


def test_hostile_names_of_blocks(cli: Cli) -> None:
    """The same of whoever assigned a block."""
    for text in UNSEEN:
        for option in ("--operator", "--certificate"):
            assert cli("block", "add", "70012345600", option, text).code == 2
    for serial, text in enumerate(HOSTILE):
        block = f"700123456{serial:02}"
        made = cli("block", "add", block, "--operator", text, "--certificate", text, "--json")
        assert (made.json["operator"], made.json["certificate"]) == (text, text)


def test_hostile_ids_and_numbers(cli: Cli) -> None:
    """Where a number, an id or a time is due, hostile text is a line of error, and no fault."""
    for text in [*HOSTILE[:-1], *UNSEEN[:2], "9" * 5000, ""]:
        for command in (axb(a=text), ("show", "--", text), ("calls", f"--since={text}")):
            done = cli(*command)
            assert done.code in {2, 65, 66}, (command, done.err)
            assert done.err.count("\n") == 1
        # Nobody is called by that name: a decision too.
        for caller, dialled in ((text, X), (A.digits, text)):
            refused = cli("explain", "--from", caller, "--to", dialled, "--json")
            assert refused.json["verdict"] == "refuse"


def test_bytes_that_are_no_text(cli: Cli) -> None:
    """Arguments in another encoding are wrong usage."""
    done = cli("list", "--order", "\udcff")
    assert (done.code, done.err.count("\n")) == (2, 1)


def test_help_has_examples(bare_cli: Cli) -> None:
    """Help is at every command; those that make or explain something show how."""
    commands = [
        *("key new", "db migrate", "extend", "unbind", "explain", "calls"),
        *("block add", "block drain", "block return", "block activate", "block certify"),
        *("bind axb", "bind axyb", "bind gxb", "bind gxyb"),
        *("group add", "group remove", "group default"),
    ]
    done = bare_cli.many([(*command.split(), "--help") for command in commands])
    for command, each in zip(commands, done, strict=True):
        assert each.code == 0
        # On a line of its own, to be copied.
        examples = [line.strip() for line in each.out.partition("Example")[2].splitlines()]
        assert any(f"agi-router {command}" in line for line in examples), command
        assert "\\b" not in each.out
    assert "Exit codes" in bare_cli("--help").out


def gxb(*options: object, mode: str = "gxb") -> tuple[object, ...]:
    return ("bind", mode, "--members", A.digits, "--members", C.digits, "--b", B.digits, *options)


def test_every_mode(cli: Cli, store: BindingStore) -> None:
    """What is printed of a binding of each mode, for programs and for people."""
    y = BLOCK.number(2)
    axyb, default, all_, last = cli.many(
        [
            ("bind", "axyb", *axb("--x", X, "--y", y, "--json")[2:]),
            gxb("--x", BLOCK.number(3), "--default", C.digits, "--json"),
            gxb("--x", BLOCK.number(4), "--callback", "all", "--json"),
            gxb("--callback", "last", "--direction", "b", "--ring", "20s", "--json", mode="gxyb"),
        ]
    )
    assert (axyb.json["mode"], axyb.json["x"], axyb.json["y"]) == ("axyb", str(X), str(y))
    assert (axyb.json["a"], axyb.json["b"]) == (A.masked, B.masked)
    for each, called_back in ((default, [C.masked]), (all_, [A.masked, C.masked]), (last, [])):
        made = each.json
        assert (made["members"], made["b"]) == ([A.masked, C.masked], B.masked)
        assert made["called_back"] == called_back
        assert ("y" in made) is (made["mode"] == "gxyb")
        assert "a" not in made
    assert [each.json["callback"] for each in (default, all_, last)] == ["default", "all", "last"]
    assert (last.json["direction"], last.json["ring"]) == ("b", 20)
    assert len({last.json["x"], last.json["y"]}) == 2
    shown, listed, refused = cli.many(
        [
            ("show", last.json["id"]),
            ("list",),
            explain(B.digits, last.json["y"], "--json"),
        ]
    )
    assert [line for line in shown.out.splitlines() if line.startswith("called back")] == [
        "called back    -"
    ]
    assert listed.out.count(f"{A.masked}, {C.masked}") == 3
    assert (refused.json["reason"], refused.json["ring"]) == ("no_default_party", None)
    both = cli(*explain(B.digits, BLOCK.number(4))).out.splitlines()[-1]
    assert both.startswith(f"route: {A.masked}, {C.masked} rings")
    assert store.bindings(everything=False, order_id=None, limit=10)


def test_terms_of_the_modes(cli: Cli, store: BindingStore) -> None:
    """Windows, turns, displays, prompts, numbers made on a call: given, and shown as given."""
    assert store
    last, turn, on_call = cli.many(
        [
            gxb(*("--callback", "last", "--window", "30m", "--prompts", "takeaway-2", "--json")),
            gxb("--callback", "sequence", "--display-a", "anonymous", "--json", mode="gxyb"),
            ("bind", "axyb", *axb("--y-on-call", "--y-ttl", "10m", "--json")[2:]),
        ]
    )
    assert (last.json["window"], last.json["prompts"]) == (1800, "takeaway-2")
    assert (last.json["display_a"], last.json["display_b"]) == ("number", "number")
    assert (turn.json["callback"], turn.json["display_a"]) == ("sequence", "anonymous")
    assert turn.json["called_back"] == [A.masked, C.masked]
    made = on_call.json
    assert (made["a"], made["b"]) == (A.masked, B.masked)
    assert (made["y"], made["y_ttl"], made["mode"]) == (None, 600, "axyb")
    told, turns, shown = cli.many(
        [
            explain(A.digits, made["x"]),
            explain(B.digits, turn.json["y"]),
            ("show", made["id"]),
        ]
    )
    assert told.out.splitlines()[-1].startswith(
        f"route: {B.masked} rings and is shown a number that the call makes"
    )
    assert turns.out.splitlines()[-1].startswith(
        f"route: {A.masked}, {C.masked} rings in turn and sees nobody"
    )
    assert [line.split() for line in shown.out.splitlines() if line.startswith("y ")] == [
        ["y", "-"],
        ["y", "ttl", "600"],
    ]


def test_numbers_that_strangers_may_call(cli: Cli, store: BindingStore) -> None:
    """Bound only where the setting is on; explained as the router would decide."""
    assert store
    on = {"AGI_ROUTER_OPEN_MODES": "on"}
    bind_ax = ("bind", "ax", "--a", A.digits, "--default", B.digits, "--x", X, "--json")
    y = BLOCK.number(2)
    bind_axe = ("bind", "axe", "--a", A.digits, "--extension", "1234", "--x", y, "--json")
    ax, axe, off = cli.many([bind_ax, bind_axe, bind_ax], [on, on, {}])
    assert "AGI_ROUTER_OPEN_MODES" in off.error
    assert (ax.json["a"], ax.json["b"], ax.json["callback"]) == (A.masked, None, "last")
    assert ax.json["called_back"] == [B.masked]
    assert (axe.json["extension"], axe.json["x"]) == ("1234", str(y))
    commands = [
        explain(C.digits, X, "--json"),
        explain(C.digits, X, "--json"),
        explain(C.digits, y),
        explain(C.digits, y, "--extension", "1234", "--json"),
        explain(C.digits, y, "--extension", "12", "--json"),
        explain(C.digits, y, "--json"),
    ]
    closed, through, asked, typed, wrong, nobody = cli.many(commands, [{}, on, on, on, on, {}])
    assert (closed.json["reason"], nobody.json["reason"]) == ("stranger", "stranger")
    assert (through.json["ring"], typed.json["ring"]) == (A.masked, A.masked)
    assert asked.out.splitlines()[-1].startswith("ask: ")
    assert wrong.json["reason"] == "extension_wrong"


def test_members(cli: Cli, store: BindingStore) -> None:
    """They come, go and become the default; the binding is printed as it is then."""
    assert store
    name = cli(*gxb("--json")).json["id"]
    added = cli(
        "group", "add", name, "--members", D.digits, "--members", "139 1234 0009", "--json"
    ).json
    assert len(added["members"]) == 4
    assert cli("group", "default", name, "--member", D.digits, "--json").json["called_back"] == [
        D.masked
    ]
    removed = cli("group", "remove", name, "--member", D.digits, "--json").json
    assert (len(removed["members"]), removed["called_back"]) == (3, [])
    assert D.masked not in removed["members"]
    assert name in cli("group", "add", name, "--members", D.digits).out


def test_an_order_ends(cli: Cli, store: BindingStore, connection: Connection) -> None:
    """All of its live bindings, printed as a list; calls are refused for that reason."""
    first, second = bind(store, order_id="A-1"), bind(store, C, D, order_id="A-1")
    bind(store, C, D, x=BLOCK.number(2), order_id="A-2")
    ended = cli("unbind", "--order", "A-1", "--json").json
    assert [(each["id"], each["state"]) for each in ended] == [
        (str(first.id), "order_ended"),
        (str(second.id), "order_ended"),
    ]
    told = cli(*explain(A.digits, X, "--json")).json
    assert (told["reason"], told["prompt"]) == ("order_ended", "order_ended")
    table = cli("unbind", "--order", "A-2").out.splitlines()
    assert (len(table), "order_ended" in table[1]) == (2, True)
    assert one(connection, "SELECT count(*) FROM agi_router.binding WHERE ended_at IS NULL") == 0


def test_blocks_come_and_go(cli: Cli, store: BindingStore) -> None:
    """Drained, returned once nobody is bound, and back in service; each printed as it is then."""
    made = bind(store)
    assert cli("block", "drain", BLOCK, "--json").json["state"] == "draining"
    assert cli("block", "return", BLOCK).error.startswith(
        f"agi-router: 1 binding(s) live in block {BLOCK}, the last until "
    )
    store.unbind(made.id)
    assert cli("block", "return", BLOCK, "--json").json["state"] == "returned"
    assert "active" in cli("block", "activate", BLOCK).out


def test_changes_that_are_refused(cli: Cli, connection: Connection, store: BindingStore) -> None:
    """Each is one line, an exit code of its own, and nothing half done."""
    pair = bind(store, order_id="A-1")
    over = bind(store, C, D, order_id="A-2")
    expire(connection, over.id)
    group = cli(*gxb("--x", BLOCK.number(2), "--json")).json["id"]
    alone = cli(*gxb("--x", BLOCK.number(3), "--callback", "all", "--json")).json["id"]
    bind(store, D, B, x=BLOCK.number(2 + 2))
    holder = bind(store, D, A, x=BLOCK.number(5))
    fresh = ["--members", "13912340021", "--members", "13912340022"]
    cases: list[tuple[tuple[object, ...], int, str]] = [
        (("group", "add", pair.id, "--members", D.digits), 65, "has no group: its mode is axb"),
        (("group", "add", over.id, "--members", D.digits), 73, "is over (expired)"),
        (("group", "add", f"{BLOCK}-999", "--members", D.digits), 66, "there is no binding"),
        (("group", "add", group, "--members", A.digits), 65, "must all be different numbers"),
        (("group", "add", group, "--members", B.digits), 65, "must all be different numbers"),
        (("group", "add", group, "--members", "138"), 65, "got 3 digits"),
        (("group", "add", group), 2, "Missing option '--members'"),
        (
            ("group", "remove", group, "--member", D.digits),
            66,
            f"{D.masked} is no member of binding",
        ),
        (("group", "remove", group), 2, "Missing option '--member'"),
        (("group", "default", group, "--member", B.digits), 65, "must be different numbers"),
        (("group", "default", alone, "--member", A.digits), 65, "has no default member"),
        ((*gxb("--x", X),), 73, f"{A.masked} is on {X} already, by binding {pair.id}"),
        ((*gxb("--default", B.digits),), 65, "must be different numbers"),
        ((*gxb("--callback", "all", "--default", A.digits),), 65, "has no default member"),
        ((*gxb("--callback", "sequence", "--default", A.digits),), 65, "has no default member"),
        ((*gxb("--window", "5m"),), 65, "--callback last"),
        ((*gxb("--callback", "last", "--window", "0s"),), 2, "1s is the least"),
        (("bind", "axyb", *axb("--y-ttl", "5m")[2:]), 2, "--y-on-call"),
        (("bind", "axyb", *axb("--y-on-call", "--y", X)[2:]), 2, "not both"),
        (axb("--prompts", "../x"), 2, "a name has 1 to 16"),
        (axb("--display-a", "real"), 2, "--display-a"),
        (("bind", "ax", "--a", fresh[1]), 65, "AGI_ROUTER_OPEN_MODES"),
        (("bind", "axe", "--a", fresh[1]), 65, "AGI_ROUTER_OPEN_MODES"),
        (("bind", "axe", "--a", fresh[1], "--extension", "12345"), 65, "1 to 4 digits"),
        (("bind", "ax", "--a", fresh[1], "--default", fresh[1]), 65, "two"),
        (("bind", "ax", "--a", fresh[1], "--callback", "all"), 2, "--callback"),
        ((*gxb("--callback", "some"),), 2, "--callback"),
        ((*gxb("--members", B.digits),), 65, "must all be different numbers"),
        (("bind", "gxb", "--b", B.digits), 2, "give --members or --group, and not both"),
        (("bind", "axyb", *axb("--x", X, "--y", X)[2:]), 65, "two different numbers"),
        (axb("--y", X), 2, "--y"),
        (axb("--ring", "4s"), 2, "5s to 2m is allowed"),
        (axb("--direction", "c"), 2, "--direction"),
        (("unbind",), 2, "give a binding or --order"),
        (("unbind", pair.id, "--order", "A-1"), 2, "not both"),
        (("unbind", "--order", "A-2"), 73, "over already"),
        (("unbind", "--order", "A-3"), 66, "no binding was made for this order"),
        (("block", "drain", "70012345679"), 66, "block 70012345679 is not ours"),
        (("block", "return", BLOCK), 73, f"live in block {BLOCK}"),
        (("block", "return", "7001"), 65, "a block has 11 digits; got 4"),
    ]
    before = snapshot(connection)
    for (command, code, text), done in zip(
        cases, cli.many([command for command, *_ in cases]), strict=True
    ):
        assert (done.code, text in done.error) == (code, True), (command, done)
    assert snapshot(connection) == before
    assert store.find(holder.id).state.value == "active"


def test_tenants_and_their_blocks(cli: Cli, store: BindingStore) -> None:
    """A tenant is added, has a block of its own, is suspended and goes on."""
    assert store
    free = ("--no-order", "--consent", "off")
    assert cli("tenant", "add", "couriers", *free, "--json").json["state"] == "active"
    assert cli("tenant", "add", "couriers").code == 73
    own = ("70022345678", "--tenant", "couriers", "--valid-until", "2099-01-01T00:00:00+08:00")
    added = cli("block", "add", *own, "--json").json
    assert (added["tenant"], added["operator_digit"], added["bindings"]) == ("couriers", "2", 0)
    assert datetime.fromisoformat(added["valid_until"]) == datetime(2098, 12, 31, 16, tzinfo=UTC)
    assert cli("block", "show", "70022345678", "--json").json == added
    assert "couriers" in cli("block", "list").out
    made = cli(*axb("--tenant", "couriers", "--json")).json
    assert made["x"].startswith("70022345678")
    assert made["tenant"] == "couriers"
    assert cli("tenant", "suspend", "couriers", "--json").json["state"] == "suspended"
    refused = cli(*axb("--tenant", "couriers"))
    assert (refused.code, "no active tenant 'couriers'" in refused.error) == (66, True)
    assert cli("tenant", "activate", "couriers").code == 0
    listed = cli("tenant", "list", "--json").json
    assert [(t["name"], t["state"], t["blocks"]) for t in listed] == [
        ("couriers", "active", 1),
        ("default", "active", 0),
    ]
    assert cli("tenant", "list").out.splitlines()[0].split() == ["NAME", "STATE", "BLOCKS"]
    assert cli("tenant", "suspend", "nobody").code == 66
    assert cli("tenant", "add", " ").code == 2
    dates = ("--valid-from", "2099-01-01", "--valid-until", "2098-01-01")
    assert cli("block", "add", "70032345678", *dates).code == 2
    assert cli("block", "show", "70032345678").code == 66


def test_wishes_for_a_number(cli: Cli, store: BindingStore) -> None:
    """The operator digit, and the same number again for the same pair or never."""
    store.inventory.add_block(Block.parse("70022345678"), operator=None, certificate=None)
    again = ("--same-x", "prefer", "--operator-digit", 2, "--json")
    first = cli(*axb(*again)).json
    assert first["x"].startswith("7002")
    assert cli("unbind", first["id"]).code == 0
    second = cli(*axb(*again)).json
    assert second["x"] == first["x"]
    assert cli("unbind", second["id"]).code == 0
    assert cli(*axb("--same-x", "avoid", "--json")).json["x"] != first["x"]
    none = cli(*axb("--operator-digit", 9))
    assert (none.code, "2 block(s) with another operator digit" in none.error) == (73, True)


def test_rests_are_settings(cli: Cli, store: BindingStore) -> None:
    """A number that was given up rests as long as the setting says."""
    store.unbind(bind(store).id)
    refused = cli(*axb("--x", X, a=C.digits, b=D.digits), AGI_ROUTER_NUMBER_QUARANTINE="10m")
    assert (refused.code, f"{X} rests until" in refused.error) == (73, True)
    party = cli(*axb("--x", X, b=C.digits), AGI_ROUTER_PARTY_QUARANTINE="30d")
    assert (party.code, f"{A.masked} was on {X} by another binding" in party.error) == (73, True)
    assert cli(*axb("--x", X, a=C.digits, b=D.digits)).code == 0
    assert cli("settings", AGI_ROUTER_RETENTION="30d").code == 78


def test_pool(cli: Cli, store: BindingStore) -> None:
    """What is bound, rests and is free, and until when it lasts."""
    bind(store)
    store.unbind(bind(store, C, D, x=BLOCK.number(2)).id)
    told, listed = cli("pool", AGI_ROUTER_NUMBER_QUARANTINE="10m"), cli("pool", "--json")
    assert told.out.splitlines()[0].split() == [
        *("BLOCK", "TENANT", "STATE", "BOUND", "RESTING", "LOCKED", "FREE"),
        *("GROWTH", "EXHAUSTED"),
    ]
    assert told.out.splitlines()[1].split()[3:8] == ["1", "1", "0", "9998", "2"]
    (row,) = listed.json
    assert (row["bound"], row["resting"], row["free"], row["growth"]) == (1, 0, 9999, 1)
    assert datetime.fromisoformat(row["exhausted_at"]) > datetime.now(UTC) + timedelta(days=9000)
    store.inventory.set_block_state(BLOCK, BlockState.DRAINING)
    assert "draining" in cli("pool").out


def test_pool_size(bare_cli: Cli) -> None:
    """The reckoning is shown; it needs no database."""
    size = ("pool", "size", "--pairs", 50000, "--ttl", "2h")
    assert bare_cli(*size, "--quarantine", "10m").out.splitlines() == [
        "        50,000  numbers bound at once: 50,000 pairs ÷ 1 a number",
        "         4,167  numbers resting meanwhile: 50,000 × 10m ÷ 2h",
        "        54,167  numbers",
        "             6  blocks of 10,000",
    ]
    shared = bare_cli(*size, "--share", 7, "--json").json
    assert (shared["quarantine"], shared["numbers"], shared["blocks"]) == (600, 7739, 1)
    assert bare_cli("pool", "--json", *size[1:]).json["blocks"] == 6
    assert bare_cli("pool", "size", "--pairs", 0, "--ttl", "2h").code == 2


def test_sweep(cli: Cli, connection: Connection, store: BindingStore) -> None:
    """What is over is swept up, and counted."""
    expire(connection, bind(store).id)
    nothing = dict.fromkeys(("days", "answers", "deleted", "digests", "told"), 0)
    done = {"expired": 1, "moved": 2, **nothing}
    assert cli("sweep", "--batch", 1, "--json").json == done
    assert cli("sweep").out.split()[:2] == ["expired", "0"]
    assert cli("sweep", "--batch", 0).code == 2


def test_what_needs_no_key_opens_none(cli: Cli) -> None:
    """Least privilege: nothing of blocks, tenants and records of calls is sealed."""
    commands = [
        "tenant list",
        "tenant add other",
        "block list",
        "pool",
        "calls",
        "audit list",
        "sweep",
    ]
    for done in cli.many(
        [tuple(c.split()) for c in commands], [{"AGI_ROUTER_KEY_FILE": None}] * 7
    ):
        assert done.code == 0, done.err


def test_feeds(cli: Cli, store: BindingStore, tmp_path: Path) -> None:
    """A feed is added, read from a folder and a pipe, and looked at; no number is shown."""
    made, other = bind(store), bind(store, C, D, x=BLOCK.number(2))
    folder = tmp_path / "feeds"
    folder.mkdir()
    when = store.now().isoformat()
    (folder / "one.csv").write_text(f"number,status,date\n{A.digits},reissued,{when}\nx,1,\n")
    added = cli("feed", "add", "unicom", "--kind", "folder", "--path", folder, "--every", "1d")
    assert "every       86400" in added.out
    cli("feed", "add", "pipe")
    [report] = cli("feed", "run", "unicom", "--json").json
    counts = {"records": 2, "reissued": 1, "malformed": 1, "matched": 1, "ended": 1}
    assert {name: report[name] for name in counts} == counts
    assert report["faults"][0]["line"] == 3
    assert cli("feed", "run", "unicom", "--json").json == [report]
    shown = cli("feed", "show", report["run"], "--json").json
    assert [each["binding"] for each in shown["matches"]] == [str(made.id)]
    assert "line 3: " in cli("feed", "show", report["run"]).out
    assert cli("show", made.id, "--json").json["state"] == "party_recycled"
    typed = f'{{"number": "{C.digits}", "status": "cancelled", "date": "{when}"}}\n'
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **cli.env}
    piped = program(["feed", "run", "pipe", "-"], env, typed=typed)
    assert (piped.code, C.digits in piped.out + piped.err) == (0, False)
    assert cli("show", other.id, "--json").json["state"] == "party_recycled"
    assert [each["name"] for each in cli("feed", "list", "--json").json] == ["pipe", "unicom"]
    assert "unicom" in cli("feed", "list").out
    assert len(cli("feed", "runs", "--json").json) == 2
    assert "one.csv" in cli("feed", "runs", "unicom").out
    (folder / "two.csv").write_text("number,status\n" + "x,1\n" * 11 + f"{A.digits},0\n")
    table = cli("feed", "run", "unicom").out
    assert [line.split()[2] for line in table.splitlines()] == ["FILE", "one.csv", "two.csv"]
    long = cli("feed", "run", "unicom", folder / "two.csv").out
    assert (long.count("line "), "and more: see 'agi-router feed show" in long) == (10, True)
    for file in folder.iterdir():
        file.unlink()
    assert cli("feed", "run", "unicom").out == "no files\n"
    wrong = cli("feed", "run", "pipe")
    assert (wrong.code, "has no file of its own" in wrong.err) == (65, True)
    assert cli("feed", "run", "nobody").code == 66
    assert cli("feed", "remove", "pipe").out == "feed pipe is removed\n"
    told = cli("tenant", "unknown", "default", "refuse", "--json").json
    assert told["unknown_numbers"] == "refuse"


def test_a_folder_with_what_is_no_feed(cli: Cli, store: BindingStore, tmp_path: Path) -> None:
    """Each file that cannot be read is told by its name, and the others are done."""
    made = bind(store)
    good = f"number,status,date\n{A.digits},reissued,{store.now().isoformat()}\n".encode()
    folder = tmp_path / "feeds"
    folder.mkdir()
    files = {
        b"1.csv": b"",
        b"2.xlsx": b"PK\3\4",
        b"3.csv": b'number,status\n"',
        b"README": b"Hi\n",
    }
    # A loop cannot even be looked at; a name may hold a number.
    (folder / "loop.csv").symlink_to("loop.csv")
    files[b"new\nline"] = b""
    files[f"x{C.digits}.csv".encode()] = b"number,status\nx,1\n"
    for name, content in {**files, b"z\xff.csv": good}.items():
        (folder / os.fsdecode(name)).write_bytes(content)
    cli("feed", "add", "unicom", "--kind", "folder", "--path", folder)
    for _ in range(2):
        done = cli("feed", "run", "unicom", "--json")
        assert done.code == 65
        reports = json.loads(done.out)
        masked = redact(f"x{C.digits}.csv")
        assert C.digits not in masked + done.out + done.err
        read = [(each["file"], each["ended"]) for each in reports]
        assert read == [(masked, 0), ("z\ufffd.csv", 1)]
        for name in (*files, b"loop.csv"):
            assert done.err.count(f"agi-router: {shown(redact(name.decode()))}: ") == 1
        # All of it is wrong: the feed may have been added with other --numbers.
        assert f"{masked}: no record can be read" in done.err
    assert cli("show", made.id, "--json").json["state"] == "party_recycled"
    assert cli("feed", "run", "unicom", folder / "1.csv").out == ""


def test_numbers_that_no_database_has(cli: Cli) -> None:
    """They are wrong usage, and no fault of ours."""
    large = 2**64
    limited = ("list", "calls", "audit list", "webhook show 1", "feed runs")
    commands = [(*each.split(), "--limit", large) for each in limited]
    commands += [("feed", "show", large), ("webhook", "show", large)]
    for done in cli.many(commands):
        assert (done.code, "is not in the range" in done.err) == (2, True), done.err
    for absent in (("feed", "show", 2**62), ("webhook", "show", 2**62)):
        assert cli(*absent).code == 66


def test_a_standard_input_that_is_closed(cli: Cli) -> None:
    """It is an empty one, and no fault of ours."""
    cli("feed", "add", "pipe")
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **cli.env}
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" feed run pipe - <&-', PROGRAM],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "the file is empty" in done.stderr) == (65, True), done.stderr


def test_a_feed_meets_damage(cli: Cli, connection: Connection, store: BindingStore) -> None:
    """What does not open may be of who has a new owner: the end of the command says so."""
    bind(store)
    connection.execute(b"UPDATE agi_router.route SET callee = substring(callee FOR 5)")
    cli("feed", "add", "pipe")
    typed = f"number,status,date\n{A.digits},reissued,{store.now().isoformat()}\n"
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **cli.env}
    done = program(["feed", "run", "pipe", "-"], env, typed=typed)
    assert (done.code, "1 binding(s) or row(s) do not open" in done.err) == (70, True)

"""Texts at the command line: sent, listed, shown, discarded, explained."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Messages
from agi_router.db.connection import Connection
from agi_router.db.queries import query
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from harness.cli import Done, run
from harness.database import HOUR, bind, one
from harness.values import A, B, C, X

BODY = "到门口了"
Cli = Callable[..., Done]


@pytest.fixture
def cli(dsn: str, keys: KeyRing, tmp_path: Path) -> Cli:
    """The command line on this test's database."""
    write_key_ring(tmp_path / "key", keys)
    environment = {"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(tmp_path / "key")}

    def call(*arguments: object, typed: str = "", **more: str) -> Done:
        return run(list(map(str, arguments)), {**environment, **more}, typed=typed)

    return call


def send(cli: Cli, sender: Any = A) -> Done:
    """Send a text from standard input."""
    arguments = ("message", "send", "--from", "-", "--to", X, "--text", "-", "--json")
    return cli(*arguments, typed=f"{sender.digits}\n{BODY}\n")


def test_a_text_by_hand(cli: Cli, connection: Connection, store: BindingStore) -> None:
    """It is taken, listed, shown and discarded; what it says and to whom is told nowhere."""
    made = bind(store, messages=Messages.BOTH, max_messages=1)
    name = send(cli).json["id"]
    assert send(cli).error.endswith("the text is refused: used_up")
    (listed,) = cli("messages", "--since", "1h", "--state", "queued", "--json").json
    shown = cli("message", "show", name, "--json")
    assert shown.json == listed
    assert (listed["id"], listed["x"], listed["shown"]) == (name, str(X), str(X))
    assert (listed["binding"], listed["side"], listed["attempts"]) == (str(made.id), "a", 0)
    table = cli("messages", "--binding", made.id)
    for told in (shown.out, table.out, cli("message", "show", name).out):
        assert name in told
        assert not any(secret in told for secret in (BODY, A.digits, B.digits))
    discarded = cli("message", "discard", name, "--json").json
    assert (discarded["state"], discarded["reason"]) == ("failed", "discarded")
    assert one(connection, "SELECT count(*) FROM agi_router.message_out") == 0
    assert one(connection, "SELECT sum(messages_used) FROM agi_router.binding") == 0
    assert "cannot be taken back" in cli("message", "discard", name).error
    assert cli("messages", "--state", "queued").out == "no texts\n"


def test_links(cli: Cli, connection: Connection, store: BindingStore) -> None:
    """Listed, drained and resumed; a text goes out by the one that is said."""
    bind(store, messages=Messages.BOTH)
    assert cli("link", "list").out == "no links\n"
    assert cli("link", "drain", "carrier").code == 66
    connection.execute(
        b"INSERT INTO agi_router.message_link (name, holder, node, until, up_since, heard_at)"
        b" VALUES ('carrier', 'x', 'host', now() + interval '1 hour', now(), now())"
    )
    arguments = ("message", "send", "--from", "-", "--to", X, "--text", "-", "--link", "carrier")
    assert cli(*arguments, typed=f"{A.digits}\n{BODY}\n").code == 0
    (listed,) = cli("link", "list", "--json").json
    assert (listed["name"], listed["state"], listed["owed"]) == ("carrier", "up", 1)
    assert cli("link", "drain", "carrier").out == "carrier: draining, 1 texts owed\n"
    connection.execute(b"UPDATE agi_router.message_link SET up_since = NULL")
    assert "drained" in cli("link", "list").out
    assert cli("link", "resume", "carrier", "--json").json["state"] == "down"
    connection.execute(b"UPDATE agi_router.message_link SET until = now()")
    assert cli("link", "list", "--json").json[0]["state"] == "unserved"


def test_what_cannot_be_discarded(cli: Cli, connection: Connection, store: BindingStore) -> None:
    """What is being sent, and what is not there."""
    bind(store, messages=Messages.BOTH)
    name = send(cli).json["id"]
    connection.execute(b"UPDATE agi_router.message_out SET in_hand = true")
    assert cli("message", "discard", name).code == 73
    assert one(connection, "SELECT count(*) FROM agi_router.message_out") == 1
    for missing in (name[:-1] + ("1" if name[-1] != "1" else "2"), "70012345678-1"):
        assert cli("message", "show", missing).code == 66


def test_a_text_that_waits_for_its_next_try_is_discarded(
    cli: Cli, connection: Connection, store: BindingStore
) -> None:
    """Also after a try of which nobody knows whether it arrived: that stays on record."""
    bind(store, messages=Messages.BOTH)
    name = send(cli).json["id"]
    with connection.transaction():
        connection.execute(
            b"UPDATE agi_router.message_out SET attempts = 1, in_hand = true, next_at = now()"
        )
        owed = connection.execute(
            b"SELECT block, id, attempts FROM agi_router.message_out"
        ).fetchone()
        assert owed is not None
        pause = {"pause": HOUR, "known": False}
        connection.execute(query("put_off_message"), {**owed, **pause})
    discarded = cli("message", "discard", name, "--json").json
    assert (discarded["state"], discarded["maybe_twice"]) == ("failed", True)


def test_explain(cli: Cli, store: BindingStore) -> None:
    """The decision and its rules, which are those of texts."""
    bind(store, messages=Messages.A)
    told = cli("explain", "--message", "--from", A.digits, "--to", X, "--json").json
    assert (told["verdict"], told["shown"], told["receiver"]) == ("take", str(X), B.masked)
    for sender, reason in ((B, "wrong_direction"), (C, "stranger")):
        done = cli("explain", "--message", "--from", sender.digits, "--to", X)
        assert done.out.endswith(f"refuse: {reason}\n")
    done = cli("explain", "--message", "--from", A.digits, "--to", X)
    assert f"take: {B.masked} gets it from {X}" in done.out
    assert cli("explain", "--message", "--from", "1", "--to", X, "--extension", "1").code == 2


def test_rules(cli: Cli, connection: Connection, store: BindingStore, tmp_path: Path) -> None:
    """Said one by one, shown, and taken back; what is held is released."""
    bind(store, messages=Messages.BOTH)
    words = tmp_path / "words"
    words.write_text("\ufeff加微信\n\n微信\n", encoding="utf-8")
    said = ("tenant", "texts", "set", "default")
    assert cli(*said, "--numbers", "redact", "--words", words, "--json").json["hold"] is None
    assert cli(*said, "--hold", "10m").code == 0
    shown = cli("tenant", "texts", "show", "default", "--json").json
    assert (shown["numbers"], shown["words"], shown["hold"]) == ("redact", ["加微信", "微信"], 600)
    assert "加微信, 微信" in cli("tenant", "texts", "show", "default").out
    name = send(cli).json["id"]
    assert cli("messages", "--state", "held", "--json").json[0]["id"] == name
    assert cli("message", "release", name, "--json").json["state"] == "queued"
    assert cli("message", "release", name).code == 73
    assert cli(*said, "--checked", "--json").json["checked"] is True
    # It has no verification service.
    assert send(cli).error.endswith("the text is refused: check_unavailable")
    for wrong in ((), ("--hold", "1w"), ("--words", tmp_path / "missing")):
        assert cli(*said, *wrong).code == 2
    cli(*said, "--numbers", "pass", "--words", "none", "--hold", "none", "--unchecked")
    assert one(connection, "SELECT count(*) FROM agi_router.message_rule") == 0


def test_the_doctor_knows_the_door(cli: Cli, connection: Connection, store: BindingStore) -> None:
    """Whether somebody listens, and whether somebody takes what is owed; else it is silent."""

    def told(**more: str) -> list[tuple[str, str]]:
        checks = json.loads(cli("doctor", "--json", **more).out)["checks"]
        return [(c["status"], c["text"]) for c in checks if c["check"] == "texts"]

    bind(store, messages=Messages.BOTH)
    send(cli)
    assert told() == []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.bind(("127.0.0.1", 0))
        listen = {"AGI_ROUTER_SIP_LISTEN": f"127.0.0.1:{door.getsockname()[1]}"}
        assert [status for status, _ in told(**listen)] == ["ok"]
        connection.execute(
            b"UPDATE agi_router.message_out SET next_at = now() - interval '2 minutes'"
        )
        [(status, text)] = told(**listen)
        assert status == "warn"
        assert text.startswith("1 texts that the door 'sip' owes are due, the first for 2m")
    connection.execute(b"UPDATE agi_router.message_out SET held = true")
    # An address of the net for documentation: no machine has it.
    [(status, text)] = told(AGI_ROUTER_SIP_LISTEN="192.0.2.1:5062")
    assert status == "warn"
    assert "is AGI_ROUTER_SIP_LISTEN an address of this machine?" in text

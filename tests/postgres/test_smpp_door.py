"""The door for texts by SMPP, with a message centre that does as it is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Messages
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection
from agi_router.doors import smpp
from agi_router.doors.smpp import Options, SmppDoor
from agi_router.errors import StoreUnavailable
from agi_router.keys.ring import KeyRing
from agi_router.messages import link_store
from agi_router.messages.link_store import LinkStore
from agi_router.messages.model import Text
from agi_router.messages.store import MessageStore
from agi_router.rates import Rate
from agi_router.smpp import (
    Address,
    Alphabet,
    IdForm,
    ShortMessage,
    Splitting,
    Status,
    messages_of,
)
from harness.database import SOON, bind, one, until_async
from harness.smsc import Centre, centre, receipt_of
from harness.values import A, B, C, X

BODY = "到门口了 😀"
LONG = "你好😀, at the gate. " * 30
LINK = "carrier"


@dataclass
class World:
    """A door and its message centre."""

    centre: Centre
    door: SmppDoor
    links: LinkStore
    task: asyncio.Task[None]
    stop: asyncio.Event

    async def end(self) -> None:
        """Let the door end."""
        self.stop.set()
        await self.task


@contextlib.asynccontextmanager
async def serving(
    admissions: AdmissionStore, keys: KeyRing, smsc: Centre, **options: Any
) -> AsyncIterator[World]:
    """A door that is served."""
    store = MessageStore(admissions.pool, keys, link=LINK, validity=timedelta(days=1))
    links = LinkStore(admissions.pool, store)
    given = {"holder": "this", "node": "here", "rate": 10_000, **options}
    door = SmppDoor(
        store,
        links,
        admissions,
        Options(host="127.0.0.1", port=smsc.port, system_id="us", password="secret", **given),
        old_numbers=admissions,
    )
    stop = asyncio.Event()
    task = asyncio.create_task(door.serve(stop))
    world = World(smsc, door, links, task, stop)
    try:
        yield world
    finally:
        smsc.status = lambda _, __: Status.OK
        await world.end()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A door that waits for the database as long as a test does."""
    monkeypatch.setattr(smpp, "_ADMISSION", SOON)
    monkeypatch.setattr(smpp, "_ANSWERED", SOON)


@pytest.fixture
async def smsc() -> AsyncIterator[Centre]:
    """A message centre."""
    async with centre() as made:
        yield made


@pytest.fixture
async def world(admissions: AdmissionStore, keys: KeyRing, smsc: Centre) -> AsyncIterator[World]:
    """A door that is bound."""
    async with serving(admissions, keys, smsc) as made:
        await smsc.bound()
        yield made


def a_text(
    body: str = BODY,
    *,
    sender: str = A.digits,
    to: str = str(X),
    splitting: Splitting = Splitting.UDH,
    reference: int = 7,
) -> list[ShortMessage]:
    """What a message centre sends of a text."""
    return messages_of(
        body,
        source=Address(number=sender),
        destination=Address(number=to),
        reference=reference,
        splitting=splitting,
    )


def states(connection: Connection) -> dict[str, int]:
    """How many texts are in which state."""
    rows = connection.execute(
        b"SELECT state, count(*) AS texts FROM agi_router.message GROUP BY state"
    ).fetchall()
    return {row["state"]: row["texts"] for row in rows}


@pytest.mark.parametrize("receipts", ["before", "after"])
@pytest.mark.parametrize("way", [(A, B), (B, A)], ids=["from-a", "from-b"])
async def test_a_text_and_its_receipt(
    way: tuple[Any, Any],
    receipts: str,
    connection: Connection,
    store: BindingStore,
    world: World,
) -> None:
    """It reaches the other party from the 700 number, and is known to have arrived."""
    bind(store, messages=Messages.BOTH)
    sender, receiver = way
    world.centre.receipts = receipts
    [message] = a_text(sender=sender.digits)
    assert await world.centre.deliver(message) == Status.OK
    await until_async(lambda: states(connection) == {"delivered": 1})
    [sent] = world.centre.submitted
    assert sent.source == Address(number=str(X), ton=0, npi=1)
    assert sent.destination.number == receiver.digits
    assert sent.registered_delivery == 1
    assert world.centre.texts == [BODY]
    assert sender.digits.encode() not in world.centre.raw
    assert one(connection, "SELECT count(*) FROM agi_router.message_out") == 0
    assert one(connection, "SELECT count(*) FROM agi_router.message_sent") == 0


@pytest.mark.parametrize("splitting", Splitting)
async def test_a_long_text(
    splitting: Splitting, connection: Connection, store: BindingStore, world: World
) -> None:
    """Its parts come in any order and twice; it is one text, which goes on whole."""
    bind(store, messages=Messages.BOTH)
    world.centre.receipts = "after"
    parts = a_text(LONG, splitting=splitting)
    again = parts if len(parts) > 1 else []
    for message in [*reversed(parts), *again]:
        assert await world.centre.deliver(message) == Status.OK
    await until_async(lambda: states(connection) == {"delivered": 1})
    assert world.centre.texts == [LONG]
    assert one(connection, "SELECT messages_used FROM agi_router.binding") == 1
    assert one(connection, "SELECT count(sealed) FROM agi_router.message_part") == 0


async def test_parts_at_once(connection: Connection, store: BindingStore, world: World) -> None:
    """Whoever brings the last one sees the others, also of texts that count alike."""
    bind(store, messages=Messages.BOTH)
    texts = [f"{number} {LONG}" for number in range(2)]
    parts = [part for number, text in enumerate(texts) for part in a_text(text, reference=number)]
    assert set(await asyncio.gather(*map(world.centre.deliver, parts))) == {Status.OK}
    await until_async(lambda: states(connection) == {"sent": 2})
    assert sorted(world.centre.texts) == texts
    # The phone begins to count anew.
    for message in a_text(f"new {LONG}", reference=0):
        assert await world.centre.deliver(message) == Status.OK
    await until_async(lambda: states(connection) == {"sent": 3})
    assert world.centre.texts[-1] == f"new {LONG}"


async def test_parts_that_are_cut_anywhere(store: BindingStore, world: World) -> None:
    """In the middle of a character; references of 16 bits."""
    bind(store, messages=Messages.BOTH)
    octets = LONG.encode("utf-16-be")
    pieces = [octets[at : at + 133] for at in range(0, len(octets), 133)]
    for number, piece in enumerate(pieces, 1):
        message = ShortMessage(
            source=Address(number=A.digits),
            destination=Address(number=str(X)),
            esm_class=0x40,
            data_coding=8,
            octets=b"\x06\x08\x04\x12\x34" + bytes((len(pieces), number)) + piece,
        )
        assert await world.centre.deliver(message) == Status.OK
    await until_async(lambda: world.centre.texts == [LONG])


async def test_parts_that_stay_away(
    connection: Connection, store: BindingStore, world: World
) -> None:
    """What has come of the text is given up, and is nobody's."""
    bind(store, messages=Messages.BOTH)
    assert await world.centre.deliver(a_text(LONG)[1]) == Status.OK
    assert await world.links.forget_parts(timedelta(hours=1), timeout=10) == 0
    assert await world.links.forget_parts(timedelta(0), timeout=10) == 1
    assert states(connection) == {}
    assert one(connection, "SELECT count(*) FROM agi_router.message_part") == 0


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"sender": C.digits}, Status.PERMANENT),
        ({"sender": ""}, Status.PERMANENT),
        ({"to": "700999999990001"}, Status.INVALID_DESTINATION),
        ({"to": "12345"}, Status.INVALID_DESTINATION),
    ],
)
async def test_what_is_refused(
    changed: dict[str, Any],
    status: Status,
    connection: Connection,
    store: BindingStore,
    world: World,
) -> None:
    """With its status; nothing is kept or sent. Of a long one the last part is."""
    bind(store, messages=Messages.BOTH)
    [message] = a_text(**changed)
    assert await world.centre.deliver(message) == status
    answers = [await world.centre.deliver(each) for each in a_text(LONG, **changed)]
    assert answers[-1] == status
    assert states(connection) == {}
    assert one(connection, "SELECT count(sealed) FROM agi_router.message_part") == 0
    assert one(connection, "SELECT messages_used FROM agi_router.binding") == 0


async def test_texts_to_old_numbers(connection: Connection, world: World) -> None:
    """They are told as what has no such number, and counted as what they are."""
    connection.execute(
        b"INSERT INTO agi_router.old_number (number, x_number, tenant_id)"
        b" VALUES ('95123456', %s, (SELECT min(id) FROM agi_router.tenant))",
        [X.value],
    )
    [message] = a_text(to="95123456")
    assert await world.centre.deliver(message) == Status.INVALID_DESTINATION
    assert world.door.counts.refused[Reason.NUMBER_CHANGED] == 1


async def test_senders_that_are_no_numbers_of_here(store: BindingStore, world: World) -> None:
    """A word of letters, and a number of another country that reads like one of ours."""
    bind(store, messages=Messages.BOTH)
    for address in (Address(number="BANK", ton=5, npi=0), Address(number=A.digits, ton=1)):
        message = ShortMessage(source=address, destination=Address(number=str(X)), octets=b"hello")
        assert await world.centre.deliver(message) == Status.PERMANENT
    assert world.door.counts.refused[Reason.CALLER_FOREIGN] == 2
    message = ShortMessage(
        source=Address(number=f"86{A.digits}", ton=1),
        destination=Address(number=f"86{X}", ton=1),
        octets=b"hello",
    )
    assert await world.centre.deliver(message) == Status.OK


async def test_what_cannot_be_read(store: BindingStore, world: World) -> None:
    """It is refused and counted."""
    bind(store, messages=Messages.BOTH)
    made = ShortMessage(source=Address(number=A.digits), destination=Address(number=str(X)))
    for message in (
        replace(made, data_coding=8, octets=b"\xd8\x00"),
        replace(made, data_coding=4, octets=b"binary"),
        replace(made, esm_class=0x40, octets=b"\x05\x00\x03\x01\x02\x09a"),
    ):
        assert await world.centre.deliver(message) == Status.PERMANENT
    assert world.door.link_counts.unreadable == 3
    # A receipt of nothing is answered, or it would come for ever.
    assert await world.centre.deliver(replace(made, esm_class=4)) == Status.OK
    assert world.door.link_counts.unreadable == 4


async def test_gb18030(
    admissions: AdmissionStore, keys: KeyRing, store: BindingStore, smsc: Centre
) -> None:
    """It is read where the link has it."""
    bind(store, messages=Messages.BOTH)
    message = ShortMessage(
        source=Address(number=A.digits),
        destination=Address(number=str(X)),
        data_coding=15,
        octets=BODY.encode("gb18030"),
    )
    async with serving(admissions, keys, smsc) as world:
        await smsc.bound()
        assert await smsc.deliver(message) == Status.OK
        await until_async(lambda: smsc.texts == [BODY])
        await world.end()
    async with serving(admissions, keys, smsc, gb18030=False):
        await until_async(lambda: smsc.binds == 2 and smsc.is_bound)
        assert await smsc.deliver(message) == Status.PERMANENT


async def test_too_many_of_one_sender(
    admissions: AdmissionStore, keys: KeyRing, store: BindingStore, smsc: Centre
) -> None:
    """A text of several parts is one."""
    bind(store, messages=Messages.BOTH)
    limit = Rate(2, timedelta(hours=1))
    async with serving(admissions, keys, smsc, sender_limit=limit) as world:
        await smsc.bound()
        for message in a_text(LONG):
            assert await smsc.deliver(message) == Status.OK
        assert await smsc.deliver(*a_text("two")) == Status.OK
        assert await smsc.deliver(*a_text("three")) == Status.PERMANENT
        assert world.door.counts.refused[Reason.RATE_CALLER] == 1


async def test_refused_ones_that_would_come_for_ever(
    admissions: AdmissionStore,
    keys: KeyRing,
    store: BindingStore,
    connection: Connection,
    smsc: Centre,
) -> None:
    """Where the link says so they are answered as if they were accepted."""
    bind(store, messages=Messages.OFF)
    async with serving(admissions, keys, smsc, drop_refused=True) as world:
        await smsc.bound()
        assert await smsc.deliver(*a_text()) == Status.OK
        assert world.door.counts.refused[Reason.MESSAGES_OFF] == 1
        assert states(connection) == {}


@pytest.mark.parametrize("status", [Status.THROTTLED, Status.QUEUE_FULL])
async def test_a_message_centre_that_is_full(
    status: Status, connection: Connection, store: BindingStore, world: World
) -> None:
    """The text waits for its next try, of which it has certainly not arrived."""
    bind(store, messages=Messages.BOTH)
    world.centre.status = lambda _, __: status
    rate = world.door.rate
    assert await world.centre.deliver(*a_text()) == Status.OK
    await until_async(lambda: world.door.counts.put_off == 1)
    assert (world.door.rate < rate) == (status == Status.THROTTLED)
    world.centre.status = lambda _, __: Status.OK
    await until_async(lambda: not one(connection, "SELECT in_hand FROM agi_router.message_out"))
    connection.execute(b"UPDATE agi_router.message_out SET next_at = now()")
    await until_async(lambda: states(connection) == {"sent": 1})
    assert not one(connection, "SELECT maybe_twice FROM agi_router.message")
    assert one(connection, "SELECT attempts FROM agi_router.message") == 2


async def test_parts_of_which_one_is_refused(
    connection: Connection, store: BindingStore, world: World
) -> None:
    """Those that were taken are not sent again."""
    bind(store, messages=Messages.BOTH)
    world.centre.status = lambda message, _: (
        Status.THROTTLED if message.octets[5] == 2 else Status.OK
    )
    for message in a_text(LONG):
        assert await world.centre.deliver(message) == Status.OK
    await until_async(lambda: world.door.counts.put_off == 1)
    taken = len(world.centre.submitted)
    assert taken == len(a_text(LONG)) - 1
    world.centre.status = lambda _, __: Status.OK
    await until_async(lambda: not one(connection, "SELECT in_hand FROM agi_router.message_out"))
    connection.execute(b"UPDATE agi_router.message_out SET next_at = now()")
    await until_async(lambda: states(connection) == {"sent": 1})
    assert len(world.centre.submitted) == taken + 1
    assert world.centre.texts == [LONG]


async def test_a_text_that_is_refused_for_good(
    connection: Connection, store: BindingStore, world: World
) -> None:
    """It has failed, its use comes back."""
    bind(store, messages=Messages.BOTH)
    world.centre.status = lambda _, __: Status.INVALID_DESTINATION
    assert await world.centre.deliver(*a_text()) == Status.OK
    await until_async(lambda: states(connection) == {"failed": 1})
    row = connection.execute(b"SELECT reason, status FROM agi_router.message").fetchone()
    assert row == {"reason": "refused", "status": Status.INVALID_DESTINATION}
    assert one(connection, "SELECT messages_used FROM agi_router.binding") == 0


@pytest.mark.parametrize(
    ("told", "state", "used"),
    [("UNDELIV", "undelivered", 0), ("UNKNOWN", "unknown", 1), ("DELIVRD", "delivered", 1)],
)
async def test_the_worst_of_the_receipts(
    told: str, state: str, used: int, connection: Connection, store: BindingStore, world: World
) -> None:
    """One of each part; what is under way is not the end, and a receipt may come twice."""
    bind(store, messages=Messages.BOTH)
    for message in a_text(LONG):
        assert await world.centre.deliver(message) == Status.OK
    await until_async(lambda: states(connection) == {"sent": 1})
    names = [f"{number:08X}" for number in range(1, len(world.centre.submitted) + 1)]
    for name in names[:-1]:
        for word in ("ENROUTE", "DELIVRD", "DELIVRD"):
            assert await world.centre.deliver(receipt_of(name, state=word)) == Status.OK
    assert states(connection) == {"sent": 1}
    assert await world.centre.deliver(receipt_of(names[-1], state=told)) == Status.OK
    assert states(connection) == {state: 1}
    assert one(connection, "SELECT messages_used FROM agi_router.binding") == used


async def test_receipts_that_never_come(
    connection: Connection, store: BindingStore, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows what became of the texts, however many they are."""
    monkeypatch.setattr(link_store, "_GIVEN_UP", 1)
    bind(store, messages=Messages.BOTH)
    for _ in range(2):
        assert await world.centre.deliver(*a_text()) == Status.OK
    await until_async(lambda: states(connection) == {"sent": 2})
    assert await world.centre.deliver(receipt_of("of nothing")) == Status.OK
    assert await world.links.count_unmatched(timeout=10) == 1
    assert await world.links.give_up_receipts(timeout=10) == 0
    connection.execute(b"UPDATE agi_router.message_sent SET until = now()")
    assert await world.links.give_up_receipts(timeout=10) == 2
    assert states(connection) == {"unknown": 2}
    assert await world.links.count_unmatched(timeout=10) == 0


async def test_ids_in_two_forms(
    admissions: AdmissionStore,
    keys: KeyRing,
    store: BindingStore,
    connection: Connection,
    smsc: Centre,
) -> None:
    """Hexadecimal in the answer, decimal in the receipt."""
    bind(store, messages=Messages.BOTH)
    async with serving(admissions, keys, smsc, ids=IdForm.HEX_DEC):
        await smsc.bound()
        for number in range(10):
            assert await smsc.deliver(*a_text(f"text {number}")) == Status.OK
        await until_async(lambda: states(connection) == {"sent": 10})
        # 0000000A in the answer.
        assert await smsc.deliver(receipt_of("10")) == Status.OK
        assert states(connection) == {"sent": 9, "delivered": 1}


async def test_a_link_that_is_cut(
    connection: Connection, store: BindingStore, world: World
) -> None:
    """What had no answer is sent again and marked; what comes again is the same text."""
    bind(store, messages=Messages.BOTH)
    world.centre.status = lambda _, __: None
    twice = a_text("once more")
    assert await world.centre.deliver(*twice) == Status.OK
    # Two texts that say the same are two in one session.
    assert await world.centre.deliver(*twice) == Status.OK
    await until_async(lambda: world.door.window_used >= 2)
    world.centre.status = lambda _, __: Status.OK
    world.centre.cut()
    await until_async(lambda: world.centre.binds == 2 and world.centre.is_bound)
    # It has not heard that both were stored.
    assert await world.centre.deliver(*twice) == Status.OK
    assert await world.centre.deliver(*twice) == Status.OK
    assert world.door.counts.repeats == 2
    assert one(connection, "SELECT count(*) FROM agi_router.message") == 2
    assert await world.centre.deliver(*twice) == Status.OK
    assert one(connection, "SELECT count(*) FROM agi_router.message") == 3
    connection.execute(b"UPDATE agi_router.message_out SET next_at = now()")
    await until_async(lambda: states(connection) == {"sent": 3})
    assert one(connection, "SELECT count(*) FROM agi_router.message WHERE maybe_twice") == 2
    assert one(connection, "SELECT messages_used FROM agi_router.binding") == 3


async def test_a_clean_end(
    admissions: AdmissionStore,
    keys: KeyRing,
    store: BindingStore,
    connection: Connection,
    smsc: Centre,
) -> None:
    """What is under way is sent to its end; nothing of the session comes again."""
    bind(store, messages=Messages.BOTH)
    async with serving(admissions, keys, smsc) as world:
        await smsc.bound()
        assert await smsc.deliver(*a_text()) == Status.OK
        await world.end()
        assert not smsc.is_bound
    await until_async(lambda: states(connection) == {"sent": 1})
    async with serving(admissions, keys, smsc, holder="another") as world:
        await until_async(lambda: smsc.is_bound)
        assert await smsc.deliver(*a_text()) == Status.OK
        assert world.door.counts.accepted == 1


async def test_one_process_has_a_link(
    admissions: AdmissionStore, keys: KeyRing, store: BindingStore, smsc: Centre
) -> None:
    """Another one stands by, and binds when it is gone."""
    assert store
    async with serving(admissions, keys, smsc, holder="first") as first:
        await smsc.bound()
        async with serving(
            admissions, keys, smsc, holder="second", is_gone=lambda name: name == "other"
        ) as second:
            await until_async(lambda: "another process" in second.door.trouble)
            assert smsc.binds == 1
            await first.end()
            await until_async(lambda: second.door.is_up)
    assert smsc.binds == 2


async def test_a_process_that_has_died(
    admissions: AdmissionStore, keys: KeyRing, store: BindingStore, smsc: Centre
) -> None:
    """Who knows that it is gone does not wait for its lease."""
    assert store
    ours = MessageStore(admissions.pool, keys, link=LINK, validity=timedelta(days=1))
    hold = await LinkStore(admissions.pool, ours).hold(
        "dead", node="here", lease=timedelta(days=1), up=True, heard=None, timeout=10
    )
    assert hold.held
    async with serving(admissions, keys, smsc, is_gone=lambda name: name == "dead"):
        await smsc.bound()


async def test_a_link_that_is_drained(
    connection: Connection, store: BindingStore, world: World
) -> None:
    """It is unbound until it is to be bound again."""
    assert store
    connection.execute(b"UPDATE agi_router.message_link SET drained = true")
    await until_async(lambda: not world.centre.is_bound and "drained" in world.door.trouble)
    connection.execute(b"UPDATE agi_router.message_link SET drained = false")
    await until_async(lambda: world.centre.is_bound)


async def test_a_bind_that_is_refused(
    admissions: AdmissionStore, keys: KeyRing, store: BindingStore, smsc: Centre
) -> None:
    """It says so, and tries again."""
    assert store
    smsc.bind_status = 0x0E
    async with serving(admissions, keys, smsc) as world:
        await until_async(lambda: "0x0000000e" in world.door.trouble)
        smsc.bind_status = Status.OK
        await smsc.bound()
        await until_async(lambda: not world.door.trouble)


async def test_an_alphabet_that_is_another(
    admissions: AdmissionStore, keys: KeyRing, store: BindingStore, smsc: Centre
) -> None:
    """Octets of coding 0 are read by what the link says."""
    bind(store, messages=Messages.BOTH)
    async with serving(admissions, keys, smsc, alphabet=Alphabet.LATIN1):
        await smsc.bound()
        message = ShortMessage(
            source=Address(number=A.digits),
            destination=Address(number=str(X)),
            octets="ÿé@".encode("latin-1"),
        )
        assert await smsc.deliver(message) == Status.OK
        await until_async(lambda: smsc.submitted)
        assert smsc.submitted[0].octets == "ÿé@".encode("latin-1")


async def test_a_text_leaves_without_being_looked_for(
    connection: Connection,
    store: BindingStore,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The door that stored it sends it at once, and keeps its lease until it was sent."""
    looked = 0

    async def nothing(*_: Any, **__: Any) -> list[Any]:
        nonlocal looked
        looked += 1
        return []

    monkeypatch.setattr(MessageStore, "take", nothing)
    await until_async(lambda: looked)
    bind(store, messages=Messages.BOTH)
    assert await world.centre.deliver(*a_text()) == Status.OK
    await until_async(lambda: states(connection) == {"sent": 1})
    assert world.centre.texts == [BODY]


async def test_rows_that_somebody_holds(
    admissions: AdmissionStore, connection: Connection, store: BindingStore, world: World
) -> None:
    """They are waited for: a text is not sent twice by that, nor a receipt asked for again."""
    bind(store, messages=Messages.BOTH)
    with connection.transaction():

        def hold(_: ShortMessage, __: int) -> Status:
            connection.execute(b"SELECT id FROM agi_router.message_out FOR UPDATE")
            return Status.OK

        world.centre.status = hold
        assert await world.centre.deliver(*a_text()) == Status.OK
        await until_async(lambda: world.centre.submitted and admissions.pool._queue._put_off.held)
    await until_async(lambda: states(connection) == {"sent": 1})
    assert not one(connection, "SELECT maybe_twice FROM agi_router.message")
    with connection.transaction():
        name = one(connection, "SELECT remote_id FROM agi_router.message_sent FOR UPDATE")
        told = asyncio.create_task(world.centre.deliver(receipt_of(name)))
        await until_async(lambda: told.done() or admissions.pool._queue._put_off.held)
    assert await told == Status.OK
    assert states(connection) == {"delivered": 1}


@pytest.mark.parametrize(("lost", "status"), [(1, Status.OK), (2, Status.TEMPORARY)])
async def test_a_text_of_which_nobody_knows(
    lost: int,
    status: Status,
    connection: Connection,
    store: BindingStore,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The store is asked again before the message centre is, which may not send it again."""
    monkeypatch.setattr(smpp, "_AGAIN", (0.0, None))
    bind(store, messages=Messages.BOTH)
    admit, asked = MessageStore.admit, 0

    async def lose(self: MessageStore, *args: Any, **named: Any) -> Any:
        nonlocal asked
        asked += 1
        answer = await admit(self, *args, **named)
        if asked <= lost:
            raise StoreUnavailable("its answer was lost")
        return answer

    monkeypatch.setattr(MessageStore, "admit", lose)
    [message] = a_text()
    assert await world.centre.deliver(message) == status
    assert world.door.counts.unanswered == int(status != Status.OK)
    if status != Status.OK:
        assert await world.centre.deliver(message) == Status.OK
    assert world.door.counts.repeats == 1
    await until_async(lambda: states(connection) == {"sent": 1})


@pytest.mark.parametrize("slow", ["keep_part", "close_parts"])
async def test_the_last_part_is_answered_in_time(
    slow: str,
    connection: Connection,
    store: BindingStore,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One deadline is for all that a part needs; what is late goes on, and is done once."""
    bind(store, messages=Messages.BOTH)
    *parts, last = a_text(LONG)
    for part in parts:
        assert await world.centre.deliver(part) == Status.OK
    work, ready = getattr(LinkStore, slow), asyncio.Event()

    async def late(self: LinkStore, *args: Any, **named: Any) -> Any:
        if slow == "close_parts":
            await ready.wait()
        elif not ready.is_set():
            await asyncio.sleep(2 * smpp._ANSWERED)
            ready.set()
        return await work(self, *args, **named)

    monkeypatch.setattr(LinkStore, slow, late)
    monkeypatch.setattr(smpp, "_ANSWERED", 0.3)
    if slow == "keep_part":
        assert await world.centre.deliver(last) == Status.TEMPORARY
    async with asyncio.timeout(SOON):
        while await world.centre.deliver(last) != Status.OK:
            pass
    ready.set()
    await until_async(
        lambda: one(connection, "SELECT count(sealed) FROM agi_router.message_part") == 0
    )
    await until_async(lambda: states(connection) == {"sent": 1})
    assert world.centre.texts == [LONG]


async def test_parts_of_a_text_that_was_refused_by_another(
    connection: Connection, store: BindingStore, world: World
) -> None:
    """Whichever that was, it is over, and what they say is not kept; until then all wait."""
    assert store
    same = b"s" * 32

    async def keep(number: int) -> tuple[bool, bool]:
        parts = await world.links.keep_part(
            X.block, same, number=number, total=3, octets=b"a", timeout=SOON
        )
        return parts.known, parts.over

    assert await keep(2) == (False, False)
    assert await keep(3) == (False, False)
    old = b"UPDATE agi_router.message_part SET at = now() - interval '2 hours'"
    connection.execute(old)
    assert await keep(3) == (True, False)
    assert await world.links.forget_parts(timedelta(hours=1), timeout=SOON) == 0
    await world.links.close_parts(X.block, same, timeout=SOON)
    assert await keep(1) == (False, True)
    assert await keep(1) == (True, True)
    assert one(connection, "SELECT count(sealed) FROM agi_router.message_part") == 0


async def test_requests_of_other_doors(
    admissions: AdmissionStore,
    keys: KeyRing,
    connection: Connection,
    store: BindingStore,
    world: World,
) -> None:
    """They are none of the message centre's, which has not heard of its own alone."""
    bind(store, messages=Messages.BOTH)
    same = {link: link[:1].encode() * 32 for link in (LINK, "sip")}
    for link, name in same.items():
        texts = MessageStore(admissions.pool, keys, link=link, validity=timedelta(days=1))
        text = Text(sender=A, x_number=X, body=BODY)
        await texts.admit(text, name, timeout=SOON)
    # However long this takes.
    connection.execute(b"UPDATE agi_router.message_seen SET at = now() + interval '1 hour'")
    assert await world.links.unheard(timeout=SOON) == [same[LINK]]

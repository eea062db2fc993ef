"""A tenant's rules for texts: judged before a text is taken, held, released, opted out of."""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta
from typing import Any

import pytest

from agi_router.bindings.modes import Gxb
from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Callback, Messages
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, Queries
from agi_router.errors import MessageNotHeld
from agi_router.events.model import EventType
from agi_router.events.store import EventStore
from agi_router.keys.ring import KeyRing
from agi_router.messages.checker import TextChecker, TextVerdicts
from agi_router.messages.limits import TextLimits
from agi_router.messages.model import MessageState, Outgoing, Text
from agi_router.messages.records import MessageRecords
from agi_router.messages.rule_store import TextRuleStore
from agi_router.messages.rules import NO_RULES, NumberRule, TextRules
from agi_router.messages.store import Ended, JudgedBy, MessageStore, Repeated
from agi_router.messages.taking import Accepted, take_text
from agi_router.numbers import PhoneNumber
from agi_router.rates import OFF, Rate
from harness.database import HOUR, bind, on_each_version, one
from harness.values import A, B, C, X

TIMEOUT = 30.0
TENANT = "default"


@pytest.fixture
def texts(admissions: AdmissionStore, keys: KeyRing) -> MessageStore:
    """Where texts are taken and sent from."""
    return MessageStore(admissions.pool, keys, link="sip", validity=timedelta(days=1))


@pytest.fixture
def rules(connection: Connection) -> TextRuleStore:
    """Where rules are said."""
    return TextRuleStore(Queries(connection))


@pytest.fixture
def take(texts: MessageStore, admissions: AdmissionStore) -> Any:
    """Have a text taken as a door does."""

    async def taken(body: str, sender: PhoneNumber = A, same: bytes | None = None) -> Any:
        return await take_text(
            Text(sender=sender, x_number=X, body=body),
            same or secrets.token_bytes(32),
            store=texts,
            admissions=admissions,
            timeout=TIMEOUT,
        )

    return taken


def used(connection: Connection) -> int:
    """Texts taken, of all bindings."""
    return int(one(connection, "SELECT sum(messages_used) FROM agi_router.binding"))


@on_each_version
async def test_each_text_is_judged_by_the_rules_of_the_moment(
    connection: Connection,
    store: BindingStore,
    rules: TextRuleStore,
    texts: MessageStore,
    take: Any,
) -> None:
    """Refused, redacted or passed, with the number of either party and of anybody."""
    bind(store, messages=Messages.BOTH)
    tells = f"call {A.digits[:3]} {A.digits[3:7]} {A.digits[7:]} or 一三九12340002"
    rules.put(TENANT, TextRules(numbers=NumberRule.REFUSE, words=("weixin",)))
    assert await take(tells) is Reason.BODY_REFUSED
    assert await take("my WeiXin") is Reason.BODY_REFUSED
    assert isinstance(await take("at the gate"), Accepted)
    rules.put(TENANT, TextRules(numbers=NumberRule.REDACT))
    assert isinstance(await take(tells), Accepted)
    rules.put(TENANT, NO_RULES)
    assert isinstance(await take(tells, B), Accepted)
    bodies = [
        each.body for each in await texts.take(9, timeout=TIMEOUT) if not isinstance(each, Ended)
    ]
    assert sorted(bodies) == sorted(["at the gate", "call *** **** **** or ***********", tells])
    assert used(connection) == 3
    rows = connection.execute("SELECT octets FROM agi_router.message").fetchall()
    assert sorted(row["octets"] for row in rows) == sorted(len(body.encode()) for body in bodies)


async def test_a_refusal_tells_no_number(
    store: BindingStore, rules: TextRuleStore, take: Any
) -> None:
    """Who guesses at the receiver's sees what he sees of anybody's; his own is refused."""
    bind(store, messages=Messages.BOTH)
    rules.put(TENANT, TextRules(numbers=NumberRule.REFUSE))
    assert await take("x".join(A.digits)) is Reason.BODY_REFUSED
    for guessed in (B, C):
        assert isinstance(await take("x".join(guessed.digits)), Accepted)


@on_each_version
async def test_a_text_that_was_judged_by_other_rules_is_not_taken(
    connection: Connection, store: BindingStore, rules: TextRuleStore, texts: MessageStore
) -> None:
    """Rules that change between a judgement and the admission are asked anew."""
    made = bind(store, messages=Messages.BOTH)
    text = Text(sender=A, x_number=X, body="a")

    async def offer(version: int | None) -> bool:
        judged = JudgedBy(version=version)
        answer = await texts.admit(text, secrets.token_bytes(32), judged=judged, timeout=TIMEOUT)
        assert not isinstance(answer, Repeated)
        return answer.admitted  # type: ignore[union-attr]

    found = await texts.find_rules(made.id, timeout=TIMEOUT)
    assert found is not None
    assert (found.version, found.rules) == (None, NO_RULES)
    assert await offer(None)
    assert not await offer(1)
    wanted = TextRules(words=("b",), templates=("*",), opt_out=("c",), hold=HOUR)
    rules.put(TENANT, wanted)
    found = await texts.find_rules(made.id, timeout=TIMEOUT)
    assert found is not None
    assert found.rules == wanted == rules.find(TENANT).rules
    assert not await offer(None)
    assert await offer(found.version)
    rules.put(TENANT, wanted)
    assert not await offer(found.version)
    rules.put(TENANT, NO_RULES)
    assert rules.find(TENANT).rules == NO_RULES
    assert one(connection, "SELECT count(*) FROM agi_router.message_rule") == 0
    assert await offer(None)


async def test_a_tenant_with_too_many_texts(
    connection: Connection, store: BindingStore, texts: MessageStore, admissions: AdmissionStore
) -> None:
    """No more are taken in a time; who is refused takes nothing of it, and no repeat does."""
    bind(store, messages=Messages.BOTH)
    limits = TextLimits(OFF, OFF, Rate(2, timedelta(days=1)))

    async def taken(sender: PhoneNumber = A, same: bytes | None = None) -> Any:
        return await take_text(
            Text(sender=sender, x_number=X, body="a"),
            same or secrets.token_bytes(32),
            store=texts,
            admissions=admissions,
            limits=limits,
            timeout=TIMEOUT,
        )

    same = secrets.token_bytes(32)
    assert await taken(C) is Reason.STRANGER
    assert isinstance(await taken(same=same), Accepted)
    assert await taken(same=same) == Repeated()
    assert isinstance(await taken(B), Accepted)
    assert await taken() is Reason.RATE_TENANT
    assert await taken(same=same) == Repeated()
    assert used(connection) == 2


async def test_texts_that_wait_for_a_service_at_once(
    connection: Connection, store: BindingStore, texts: MessageStore, admissions: AdmissionStore
) -> None:
    """Are not more than their tenant may have."""
    bind(store, messages=Messages.BOTH)
    limits = TextLimits(OFF, OFF, Rate(1, timedelta(days=1)))
    asked = asyncio.Barrier(2)

    class Service(TextChecker):
        def __init__(self) -> None:
            """It is asked of all."""

        @property
        def asks_of_all(self) -> bool:
            return True

        async def check(self, *_: Any, **__: Any) -> TextVerdicts:
            await asked.wait()
            return TextVerdicts(operator=None, tenant=None)

    async def taken() -> Any:
        return await take_text(
            Text(sender=A, x_number=X, body="a"),
            secrets.token_bytes(32),
            store=texts,
            admissions=admissions,
            checker=Service(),
            limits=limits,
            timeout=TIMEOUT,
        )

    found = await asyncio.gather(taken(), taken())
    assert found.count(Reason.RATE_TENANT) == 1
    assert used(connection) == 1


@on_each_version
async def test_a_repeat_of_a_text_with_rules_is_known(
    store: BindingStore, connection: Connection, rules: TextRuleStore, take: Any
) -> None:
    """Many at once are one text, and the limit holds."""
    bind(store, messages=Messages.BOTH, max_messages=3)
    rules.put(TENANT, TextRules(numbers=NumberRule.REDACT))
    same = secrets.token_bytes(32)
    found = await asyncio.gather(*(take("a", same=same) for _ in range(6)))
    assert sum(isinstance(each, Accepted) for each in found) == 1
    assert found.count(Repeated()) == 5
    found = await asyncio.gather(*(take("a") for _ in range(8)))
    assert sum(isinstance(each, Accepted) for each in found) == 2
    assert found.count(Reason.USED_UP) == 6
    assert used(connection) == 3


@on_each_version
async def test_a_text_that_is_held(
    connection: Connection,
    store: BindingStore,
    rules: TextRuleStore,
    texts: MessageStore,
    take: Any,
) -> None:
    """Nobody sends it before its release; its tenant is told of each step."""
    events = EventStore(Queries(connection), store.keys)
    kinds = [EventType.MESSAGE_HELD, EventType.MESSAGE_ACCEPTED, EventType.MESSAGE_FAILED]
    events.set_types(TENANT, kinds)
    bind(store, messages=Messages.BOTH, max_messages=3)
    rules.put(TENANT, TextRules(hold=HOUR))
    goes, stays, over = [(await take(str(each))).id for each in range(3)]
    records = MessageRecords(connection)
    assert {records.find(each)["state"] for each in (goes, stays, over)} == {"held"}
    assert await texts.take(9, timeout=TIMEOUT) == []
    assert (await texts.count_owed(timeout=TIMEOUT)).owed == 0
    assert records.release(goes)["state"] == "queued"
    with pytest.raises(MessageNotHeld):
        records.release(goes)
    [sent] = await texts.take(9, timeout=TIMEOUT)
    assert isinstance(sent, Outgoing)
    assert (sent.id, sent.attempts, sent.maybe_twice) == (goes, 1, False)
    assert records.discard(stays)["reason"] == "discarded"
    # Nobody says anything in time.
    connection.execute(
        b"UPDATE agi_router.message_out SET next_at = now() - interval '1s' WHERE held"
    )
    with pytest.raises(MessageNotHeld):
        records.release(over)
    [ended] = await texts.take(9, timeout=TIMEOUT)
    assert isinstance(ended, Ended)
    assert (ended.id, ended.state, ended.reason) == (over, MessageState.FAILED, "hold_expired")
    with pytest.raises(MessageNotHeld):
        records.release(over)
    assert await texts.finish(
        ended, ended.state, reason=ended.reason, status=None, timeout=TIMEOUT
    )
    assert (records.find(over)["reason"], records.find(over)["attempts"]) == ("hold_expired", 0)
    assert used(connection) == 1
    told = events.events(TENANT, limit=9).events
    held, accepted, failed = kinds
    assert [event.type for event, _ in told] == [held] * 3 + [accepted, failed, failed]
    assert told[0][0].data["state"] == "held"


async def test_a_text_is_held_no_longer_than_its_binding_lives(
    connection: Connection, store: BindingStore, rules: TextRuleStore, take: Any
) -> None:
    """What is held then is not sent."""
    bind(store, messages=Messages.BOTH)
    rules.put(TENANT, TextRules(hold=timedelta(days=1)))
    assert isinstance(await take("a"), Accepted)
    assert one(
        connection,
        "SELECT o.next_at = b.expires_at FROM agi_router.message_out o"
        " JOIN agi_router.binding b ON b.id = o.binding_id",
    )


@on_each_version
async def test_who_opts_out_is_texted_no_more(
    connection: Connection,
    store: BindingStore,
    rules: TextRuleStore,
    texts: MessageStore,
    take: Any,
) -> None:
    """The word reaches the other side; who wrote it may go on writing, and the tenant is told."""
    events = EventStore(Queries(connection), store.keys)
    events.set_types(TENANT, [EventType.BINDING_CHANGED])
    made = bind(store, messages=Messages.BOTH)
    rules.put(TENANT, TextRules(opt_out=("TD",)))
    assert isinstance(await take(" td", B), Accepted)
    [sent] = await texts.take(9, timeout=TIMEOUT)
    assert isinstance(sent, Outgoing)
    assert (sent.receiver, sent.body) == (A, " td")
    assert await take("a") is Reason.WRONG_DIRECTION
    assert isinstance(await take("b", B), Accepted)
    changed = store.find(made.id)
    assert (changed.messages, changed.version) == (Messages.B, made.version + 1)
    assert [event.type for event, _ in events.events(TENANT, limit=9).events] == [
        EventType.BINDING_CHANGED
    ]


async def test_no_member_opts_out_for_the_whole_group(
    store: BindingStore, rules: TextRuleStore, take: Any
) -> None:
    """Its word is a text as any other."""
    terms: dict[str, Any] = {"expires_at": store.now() + HOUR, "messages": Messages.BOTH}
    store.bind(Gxb(members=(A, C), b=B, callback=Callback.LAST), Terms(**terms), x=X)
    rules.put(TENANT, TextRules(opt_out=("TD",)))
    assert isinstance(await take("TD", C), Accepted)
    assert isinstance(await take("b", B), Accepted)

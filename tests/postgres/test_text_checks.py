"""A tenant's verification service is asked about each text before it is taken."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Messages
from agi_router.calls.check import Unanswered
from agi_router.calls.checker import TenantServices
from agi_router.calls.store import AdmissionStore
from agi_router.calls.tenant_checks import TenantCheckStore
from agi_router.calls.tenant_verifiers import TenantVerifiers
from agi_router.calls.verifier import HttpVerifier
from agi_router.db.connection import Connection, Queries
from agi_router.keys.ring import KeyRing
from agi_router.messages.checker import TextChecker
from agi_router.messages.model import Text
from agi_router.messages.records import MessageRecords
from agi_router.messages.rule_store import TextRuleStore
from agi_router.messages.rules import NO_RULES, NumberRule, TextRules
from agi_router.messages.store import MessageStore, Repeated
from agi_router.messages.taking import Accepted, take_text
from agi_router.messages.views import describe_message
from harness.database import bind, on_each_version, one
from harness.values import A, B, X
from harness.verification import Service, a_service

TIMEOUT = 30.0
TENANT = "default"
CHECKED = TextRules(checked=True)


@pytest.fixture
def texts(admissions: AdmissionStore, keys: KeyRing) -> MessageStore:
    """Where texts are taken."""
    return MessageStore(admissions.pool, keys, link="sip", validity=timedelta(days=1))


@pytest.fixture
def rules(connection: Connection) -> TextRuleStore:
    """Where rules are said."""
    return TextRuleStore(Queries(connection))


@pytest.fixture
def checks(connection: Connection, keys: KeyRing) -> TenantCheckStore:
    """Where services are named."""
    return TenantCheckStore(Queries(connection), keys)


@pytest.fixture
async def take(texts: MessageStore, admissions: AdmissionStore) -> AsyncIterator[Any]:
    """Have a text taken as a door does."""
    services = TenantServices(lambda: TenantVerifiers(timeout=5, allowed={"127.0.0.1"}))
    checker = TextChecker(texts, services)

    async def taken(
        body: str = "at the gate", *, same: bytes | None = None, checks: bool = True
    ) -> Any:
        return await take_text(
            Text(sender=A, x_number=X, body=body),
            same or secrets.token_bytes(32),
            store=texts,
            admissions=admissions,
            checker=checker if checks else None,
            timeout=TIMEOUT,
        )

    yield taken
    checker.close()


@pytest.fixture
def service() -> Iterator[Service]:
    """A service that says yes, until it is told otherwise."""
    with a_service() as made:
        yield made


def used(connection: Connection) -> int:
    """Texts taken, of all bindings."""
    return int(one(connection, "SELECT sum(messages_used) FROM agi_router.binding"))


def record(connection: Connection, name: str) -> dict[str, Any]:
    """What is shown of a text."""
    return describe_message(MessageRecords(connection).find(name))


@on_each_version
async def test_each_text_is_confirmed(
    connection: Connection,
    store: BindingStore,
    rules: TextRuleStore,
    checks: TenantCheckStore,
    take: Any,
    service: Service,
) -> None:
    """Its question names neither party, and what is said is on record; a repeat is known."""
    made = bind(store, messages=Messages.BOTH, order_id="order-1")
    rules.put(TENANT, CHECKED)
    # It has no service, or there is nobody who could ask it.
    assert await take() is Reason.CHECK_UNAVAILABLE
    checks.put(TENANT, f"http://127.0.0.1:{service.port}/texts")
    assert await take(checks=False) is Reason.CHECK_UNAVAILABLE
    assert (used(connection), service.asked) == (0, [])
    same = secrets.token_bytes(32)
    accepted = await take(same=same)
    assert isinstance(accepted, Accepted)
    [asked] = service.asked
    assert asked == {
        "id": asked["id"],
        "message_id": accepted.id,
        "asked_at": asked["asked_at"],
        "x": str(X),
        "binding": str(made.id),
        "side": "a",
        "tenant": TENANT,
        "order": "order-1",
        "out_id": None,
        "industrial_id": None,
    }
    told = record(connection, accepted.id)
    assert (told["tenant_check_id"], told["tenant_check_verdict"]) == (asked["id"], "yes")
    assert await take(same=same) == Repeated()
    # Who is refused by another rule is nobody's question.
    rules.put(TENANT, TextRules(checked=True, numbers=NumberRule.REFUSE))
    assert await take(A.digits) is Reason.BODY_REFUSED
    assert len(service.asked) == 1
    rules.put(TENANT, NO_RULES)
    accepted = await take()
    assert record(connection, accepted.id)["tenant_check_id"] is None
    assert len(service.asked) == 1


@on_each_version
async def test_what_is_not_confirmed_takes_no_use(
    connection: Connection,
    store: BindingStore,
    rules: TextRuleStore,
    checks: TenantCheckStore,
    take: Any,
    service: Service,
) -> None:
    """No is no; silence is what the tenant wants; and many at once keep to the limit."""
    bind(store, messages=Messages.BOTH, max_messages=4)
    rules.put(TENANT, CHECKED)
    url = f"http://127.0.0.1:{service.port}/texts"
    checks.put(TENANT, url)
    service.does = "no"
    assert await take() is Reason.CHECK_REFUSED
    for service.does in ("status 500", "frozen"):
        assert await take() is Reason.CHECK_UNAVAILABLE
    service.thawed.set()
    assert used(connection) == 0
    checks.put(TENANT, url, unanswered=Unanswered.RING)
    service.does = "status 500"
    accepted = await take()
    assert record(connection, accepted.id)["tenant_check_verdict"] == "unavailable"
    service.does = "no"
    assert await take() is Reason.CHECK_REFUSED
    service.does = "yes"
    found = await asyncio.gather(*(take() for _ in range(10)))
    assert sum(isinstance(each, Accepted) for each in found) == 3
    assert found.count(Reason.USED_UP) == 7
    connection.execute(b"UPDATE agi_router.binding SET messages_used = 0")
    connection.execute(b"UPDATE agi_router.tenant_check SET secret = '\\x00'")
    assert await take() is Reason.CHECK_UNAVAILABLE
    assert used(connection) == 0


@pytest.mark.parametrize("numbers", [False, True], ids=["masked", "with-numbers"])
async def test_the_operators_service(
    numbers: bool,  # noqa: FBT001
    connection: Connection,
    store: BindingStore,
    rules: TextRuleStore,
    checks: TenantCheckStore,
    texts: MessageStore,
    admissions: AdmissionStore,
    service: Service,
) -> None:
    """It is asked about each text, whatever its tenant wants, beside the tenant's own."""
    bind(store, messages=Messages.BOTH)
    checker = TextChecker(
        texts,
        TenantServices(lambda: TenantVerifiers(timeout=5, allowed={"127.0.0.1"})),
        HttpVerifier(f"http://127.0.0.1:{service.port}/all", timeout=5),
        numbers=numbers,
    )

    async def take(same: bytes | None = None) -> Any:
        return await take_text(
            Text(sender=A, x_number=X, body="at the gate"),
            same or secrets.token_bytes(32),
            store=texts,
            admissions=admissions,
            checker=checker,
            timeout=TIMEOUT,
        )

    same = secrets.token_bytes(32)
    accepted = await take(same)
    [asked] = service.asked
    assert asked["message_id"] == accepted.id
    real = {"caller": A.digits, "callees": [B.digits]} if numbers else {}
    assert {key: asked[key] for key in ("caller", "callees") if key in asked} == real
    told = record(connection, accepted.id)
    assert (told["check_id"], told["check_verdict"]) == (asked["id"], "yes")
    assert told["tenant_check_id"] is None
    assert await take(same) == Repeated()
    assert len(service.asked) == 1
    # Both are asked where the tenant wants that, and it is told no number.
    rules.put(TENANT, CHECKED)
    checks.put(TENANT, f"http://127.0.0.1:{service.port}/own", unanswered=Unanswered.RING)
    accepted = await take()
    told = record(connection, accepted.id)
    both = {asked["id"]: "caller" in asked for asked in service.asked[1:]}
    assert both == {told["check_id"]: numbers, told["tenant_check_id"]: False}
    # A tenant may want a text to go on though its own is silent; nobody's word stands for ours.
    service.does = "status 500"
    assert await take() is Reason.CHECK_UNAVAILABLE
    rules.put(TENANT, NO_RULES)
    service.does = "no"
    assert await take() is Reason.CHECK_REFUSED
    assert used(connection) == 2
    checker.close()


async def test_rules_that_change_while_it_is_asked(
    store: BindingStore,
    rules: TextRuleStore,
    checks: TenantCheckStore,
    take: Any,
    service: Service,
) -> None:
    """The text is judged by those that are then."""
    bind(store, messages=Messages.BOTH)
    rules.put(TENANT, CHECKED)
    checks.put(TENANT, f"http://127.0.0.1:{service.port}/texts")
    plain = service.answer

    def changes(name: str) -> tuple[int, bytes]:
        rules.put(TENANT, TextRules(checked=True, words=("gate",)))
        return plain(name)

    service.answer = changes  # type: ignore[assignment,method-assign]
    assert await take() is Reason.BODY_REFUSED
    assert len(service.asked) == 1

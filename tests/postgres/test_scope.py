"""Whose things an operation sees and changes: every one, found by introspection, is tried."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import pkgutil
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import agi_router
from agi_router.bindings.asked import Asked
from agi_router.bindings.conflicts import FOREIGN
from agi_router.bindings.model import Binding, BindingId
from agi_router.bindings.modes import Axb, Axe, Gxb
from agi_router.bindings.names import BindingNames
from agi_router.bindings.policy import NumberPolicy
from agi_router.bindings.pool_store import PoolStore
from agi_router.bindings.reasons import Reason
from agi_router.bindings.requests import make_request
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Callback, Messages, Mode, Side
from agi_router.bulk.importer import Importer
from agi_router.calls.lookup import CallLookup
from agi_router.calls.store import AdmissionStore
from agi_router.calls.tenant_checks import TenantCheckStore
from agi_router.calls.views import describe_call
from agi_router.consent.ledger import Act, How, Statement
from agi_router.consent.store import ConsentStore
from agi_router.db.connection import Connection, Queries, connect
from agi_router.db.queries import query
from agi_router.errors import (
    AgiRouterError,
    BindingConflict,
    GroupNotFound,
    OperatorOnly,
    TenantNotFound,
)
from agi_router.events.model import EventType
from agi_router.events.store import EventStore
from agi_router.inventory.model import BlockState, CertificateChange
from agi_router.inventory.store import InventoryStore
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import key_ids
from agi_router.keys.ring import KeyRing
from agi_router.messages.model import CARRIED, MessageState, Text, message_day, name_message
from agi_router.messages.records import MessageRecords
from agi_router.messages.rule_store import TextRuleStore
from agi_router.messages.rules import TextRules
from agi_router.numbers import Block, PhoneNumber, XNumber
from agi_router.persons.appeal_states import Spans
from agi_router.persons.appeal_store import AppealStore
from agi_router.persons.appeals import AppealStep, Evidence, EvidenceKind
from agi_router.persons.blocklist import Pairing
from agi_router.persons.blocklist_store import BlocklistStore
from agi_router.persons.complaint_limits import ComplaintLimits
from agi_router.persons.complaint_store import ComplaintStore
from agi_router.persons.complaints import ComplaintKind
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import LockedThing
from agi_router.persons.real_name_store import RealNameStore
from agi_router.persons.real_names import RealName
from agi_router.persons.store import LockStore
from agi_router.rates import Rate
from agi_router.recordings.store import RecordingStore
from agi_router.recordings.vault import Vault
from agi_router.tenants.api_key_store import ApiKeyStore, FoundKey
from agi_router.tenants.api_keys import ApiKey, KeyForm, KeyScope
from agi_router.tenants.call_rates import CallRates
from agi_router.tenants.model import Quota, UnknownNumbers
from agi_router.tenants.rules import RulesChange
from agi_router.tenants.scope import OPERATOR, Scope
from agi_router.tenants.store import TenantStore
from harness.cli import Done, run
from harness.database import HOUR, NO_REST, Server, a_call, an_end, new_call_id, on_one_server
from harness.values import BLOCK, A, B, C, D, E, F, X

SHARED, OWN, OTHERS = (Block.parse(f"7001234567{digit}") for digit in "567")
NOBODYS = Block.parse("70099999999")
_FILE = "abcdefabcdef"
US, THEM = "ours", "theirs"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Target:
    """What an operation is pointed at: a thing of others, or what is not there."""

    pair: BindingId
    group: BindingId
    x: XNumber
    """The pair's number, in a block that is shared."""
    order: str
    block: Block
    tenant: str
    key: str
    """An API key."""
    webhook: int
    event: int
    pool: str
    call: str
    message: str
    team: str
    """A party group."""
    team_id: int
    lock: int
    entry: int
    appeal: int
    line: int
    """Of the consent ledger."""
    complaint: int
    recording: str
    """The call that was recorded."""
    carried: str
    """A text that its carrier keeps."""


@dataclass
class World:
    """Two tenants and their things."""

    dsn: str
    connection: Connection
    store: BindingStore
    theirs: Target
    absent: Target
    own: Binding
    marks: frozenset[str]
    """What tells of others wherever it stands."""

    def scoped(self, scope: Scope) -> BindingStore:
        return self.store.within(scope)

    @property
    def us(self) -> Scope:
        return self.store.inventory.tenants.scope(US)

    def things_of_others(self) -> list[str]:
        """Every row of theirs, and all tenants and blocks, as text."""
        tables = {
            "binding": "tenant_id = (SELECT id FROM agi_router.tenant WHERE name = 'theirs')",
            "route": "(block, binding_id) IN (SELECT block, id FROM agi_router.binding"
            " WHERE tenant_id = (SELECT id FROM agi_router.tenant WHERE name = 'theirs'))",
            "past_route": "(block, binding_id) IN (SELECT block, id FROM agi_router.binding"
            " WHERE tenant_id = (SELECT id FROM agi_router.tenant WHERE name = 'theirs'))",
            "message": "tenant_id = (SELECT id FROM agi_router.tenant WHERE name = 'theirs')",
            "message_out": "(block, binding_id) IN (SELECT block, id FROM agi_router.binding"
            " WHERE tenant_id = (SELECT id FROM agi_router.tenant WHERE name = 'theirs'))",
            "call": "tenant_id = (SELECT id FROM agi_router.tenant WHERE name = 'theirs')",
            "api_key": "tenant_id IS DISTINCT FROM"
            " (SELECT id FROM agi_router.tenant WHERE name = 'ours')",
            "webhook": "tenant_id = (SELECT id FROM agi_router.tenant WHERE name = 'theirs')",
            "event": "tenant_id = (SELECT id FROM agi_router.tenant WHERE name = 'theirs')",
            "delivery": "webhook_id = (SELECT id FROM agi_router.webhook"
            " WHERE tenant_id = (SELECT id FROM agi_router.tenant WHERE name = 'theirs'))",
            "pool": "tenant_id = (SELECT id FROM agi_router.tenant WHERE name = 'theirs')",
            "tenant_check": "tenant_id = (SELECT id FROM agi_router.tenant WHERE name = 'theirs')",
            "party_group": "tenant_id = (SELECT id FROM agi_router.tenant WHERE name = 'theirs')",
            "group_member": "group_id IN (SELECT id FROM agi_router.party_group"
            " WHERE tenant_id = (SELECT id FROM agi_router.tenant WHERE name = 'theirs'))",
            "lock": "tenant_id = (SELECT id FROM agi_router.tenant WHERE name = 'theirs')",
            "appeal": "lock_id IN (SELECT id FROM agi_router.lock"
            " WHERE tenant_id = (SELECT id FROM agi_router.tenant WHERE name = 'theirs'))",
            "appeal_evidence": "true",
            "appeal_rebind": "true",
            "real_name": "true",
            "complaint": "true",
            "recording": "tenant_id = (SELECT id FROM agi_router.tenant WHERE name = 'theirs')",
            "tenant": "true",
            "block": "true",
        }
        return [
            f"{table} {row['row']}"
            for table, rule in tables.items()
            for row in self.connection.execute(
                f"SELECT t::text AS row FROM agi_router.{table} t WHERE {rule} ORDER BY 1".encode()
            )
        ]


def _terms(store: BindingStore, tenant: str, **terms: Any) -> Terms:
    return Terms(expires_at=store.now() + HOUR, tenant=tenant, **terms)


def _call(connection: Connection, keys: KeyRing, caller: PhoneNumber, x: XNumber) -> str:
    """Admit a call, without a router."""
    call_id = new_call_id()
    connection.execute(
        query("admit"),
        {
            "block": x.block.value,
            "x_number": x.value,
            "tags": keys.tags(caller),
            "person": keys.tags(caller),
            "strangers": [],
            "call_id": call_id,
            "day": datetime.now(UTC).date(),
        },
    )
    return call_id


def _same(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _text(
    connection: Connection,
    keys: KeyRing,
    sender: PhoneNumber,
    x: XNumber,
    *,
    carried: bool = False,
) -> str:
    """Take a text, without a door; or one that its carrier keeps."""
    name = name_message(x.block, datetime.now(UTC), secrets.randbits(64))
    connection.execute(
        query("admit_message"),
        {
            **key_ids(keys),
            "block": x.block.value,
            "x_number": x.value,
            "tags": keys.tags(sender),
            "id": name,
            "day": message_day(name),
            "same": _same(name),
            "asked": None,
            "link_in": CARRIED if carried else "sip",
            "link_out": "sip",
            "validity": HOUR,
            "octets": 1,
            "parts": 1,
            "body": None if carried else keys.seal_text("a", name),
            "strangers": [],
            "rules": None,
            "hold": None,
            "opts_out": False,
            "lease": None,
            "scope": None,
            "check_id": None,
            "check_verdict": None,
            "check_ms": None,
            "tenant_check_id": None,
            "tenant_check_verdict": None,
            "tenant_check_ms": None,
            "stranger_of": None,
            "stranger": None,
        },
    )
    return name


@pytest.fixture(scope="module")
def world(server: Server) -> Iterator[World]:
    """Two tenants: bindings of each in a shared block and in its own, and calls."""
    dsn = server.clone()
    keys = KeyRing.generate()
    # A machine that stands still for some seconds ends no test of those that follow.
    with connect(dsn, idle=0) as connection:
        store = BindingStore(connection, keys, NO_REST, open_modes=True)
        for name in (US, THEM):
            store.inventory.tenants.add(name, needs_order=name == THEM)
        for block, tenant in ((SHARED, None), (OWN, US), (OTHERS, THEM)):
            store.inventory.add_block(block, operator=None, certificate=None, tenant=tenant)
        x = SHARED.number(77)
        pair = store.bind(
            Axb(a=A, b=B),
            _terms(store, THEM, order_id="order-theirs", messages=Messages.BOTH),
            x=x,
        )
        group = store.bind(
            Gxb(members=(C, D), b=E, callback=Callback.DEFAULT, default=C),
            _terms(store, THEM, order_id="group-theirs"),
            x=OTHERS.number(88),
        )
        store.bind(Axe(a=F), _terms(store, THEM, order_id="axe-theirs"), x=OTHERS.number(99))
        own = store.bind(
            Gxb(members=(A,), b=B), _terms(store, US, order_id="order-ours"), x=OWN.number(11)
        )
        store.pools.add(THEM, "FC9001", blocks=(OTHERS,))
        store.pools.add(US, "FC9003")
        # A number that is no part of another one.
        connection.execute("SELECT setval('agi_router.party_group_id_seq', 54321098)")
        team = store.add_group(THEM, "night-9001", [C, E])
        store.add_group(US, "night-9003", [A])
        key, _ = _add_key(store, THEM)
        _add_key(store, US)
        connection.execute("SELECT setval('agi_router.webhook_id', 76543210)")
        connection.execute("SELECT setval('agi_router.event_id', 65432100)")
        events = _events(store)
        webhook, _ = events.add(THEM, "https://theirs.example/", [EventType.CALL_ENDED])
        events.add(US, "https://ours.example/", [EventType.CALL_ENDED])
        for name in (US, THEM):
            _checks(store).put(name, f"https://{name}.example/check")
        event = events.test(webhook.id)
        connection.execute("SELECT setval('agi_router.lock_id', 54321098)")
        lock = store.locks.set(
            LockedThing(subject=Subject.PERSON, person=E, tenant=THEM),
            LockReason.ARREARS,
            by="a test",
        )
        connection.execute("SELECT setval('agi_router.appeal_id', 21098765)")
        appeal = _appeals(store).file(lock.id, by="a test")
        connection.execute("SELECT setval('agi_router.lock_id', 32109876)")
        entry = store.blocklist.add(Pairing(person=E, other=F, tenant=THEM), by="a test")
        connection.execute("ALTER TABLE agi_router.consent ALTER COLUMN id RESTART 19876543")
        said = Statement(act=Act.GIVEN, how=How.APP)
        line = store.consents.write(E, THEM, said, by="a test")
        _real_names(store).write(E, RealName.YES, source="a test", by="a test", tenant=THEM)
        connection.execute("ALTER TABLE agi_router.complaint ALTER COLUMN id RESTART 18765432")
        complaint = _complaints(store).file(
            x,
            ComplaintKind.OTHER,
            at=store.now(),
            source="a test",
            reference="C-18765432",
            by="a test",
            tenant=THEM,
        )
        call = _call(connection, keys, A, x)
        recording = "pbx1-1790000000.76543"
        connection.execute(
            b"INSERT INTO agi_router.recording (block, call_id, day, x_number, tenant_id,"
            b" binding_id, name, state, gap, begun_at, length_ms, octets)"
            b" SELECT %s, %s, current_date, %s, t.id, %s, %s, 'missing', 'lost', now(), 0, 0"
            b" FROM agi_router.tenant t WHERE t.name = 'theirs'",
            [x.block.value, recording, x.value, pair.id.id, _FILE],
        )
        message = _text(connection, keys, A, x)
        carried = _text(connection, keys, A, x, carried=True)
        _call(connection, keys, A, own.parties[0].dials or x)
        yield World(
            dsn=dsn,
            connection=connection,
            store=store,
            theirs=Target(
                pair.id,
                group.id,
                x,
                "order-theirs",
                OTHERS,
                THEM,
                key.id,
                webhook.id,
                event,
                "FC9001",
                call,
                message,
                team.name,
                team.id,
                lock.id,
                entry.id,
                appeal.id,
                line.id,
                complaint.id,
                recording,
                carried,
            ),
            absent=Target(
                replace(pair.id, id=10**9),
                replace(group.id, id=10**9),
                SHARED.number(78),
                "order-none",
                NOBODYS,
                "nobody",
                "a" * 16,
                98765432,
                87654321,
                "FC9002",
                "pbx1-1790000000.97",
                f"{NOBODYS}-1790000000.1",
                "night-9002",
                43210987,
                10**9,
                10**9,
                10**9,
                10**9,
                10**9,
                "pbx1-1790000000.98",
                f"{NOBODYS}-1790000000.2",
            ),
            own=own,
            marks=frozenset(
                (
                    THEM,
                    str(pair.id),
                    str(group.id),
                    str(OTHERS),
                    str(x),
                    key.id,
                    "FC9001",
                    call,
                    message,
                    carried,
                    team.name,
                    str(webhook.id),
                    str(lock.id),
                    str(entry.id),
                    str(appeal.id),
                    str(line.id),
                    str(complaint.id),
                    recording,
                    "theirs.example",
                    E.masked,
                    F.masked,
                )
            ),
        )
    server.drop(dsn)


def _found(key: FoundKey | None) -> ApiKey | None:
    return None if key is None else key.key


def _api_keys(store: BindingStore) -> ApiKeyStore:
    return ApiKeyStore(Queries(store.connection), store.scope)


def _add_key(store: BindingStore, tenant: str) -> tuple[ApiKey, str]:
    return _api_keys(store).add(
        tenant=tenant,
        form=KeyForm.BEARER,
        label="a label",
        scopes=frozenset({KeyScope.BINDINGS_READ}),
        networks=(),
        life=HOUR,
        keys=store.keys,
    )


def _note_use(store: BindingStore, target: Target) -> datetime | None:
    """Note that a key was used, and look whether it was."""
    keys = _api_keys(store)
    keys.note_use(target.key)
    return keys.find(target.key).key.last_used_at


def _events(store: BindingStore) -> EventStore:
    return EventStore(Queries(store.connection), store.keys, scope=store.scope)


def _appeals(store: BindingStore) -> AppealStore:
    return AppealStore(Queries(store.connection), store.keys, Spans(), store.scope)


def _recordings(store: BindingStore) -> RecordingStore:
    return RecordingStore(Queries(store.connection), store.scope)


def _complaints(store: BindingStore) -> ComplaintStore:
    queries = Queries(store.connection)
    return ComplaintStore(queries, store.keys, ComplaintLimits(), store.scope)


def _real_names(store: BindingStore) -> RealNameStore:
    return RealNameStore(Queries(store.connection), store.keys, store.scope)


def _checks(store: BindingStore) -> TenantCheckStore:
    return TenantCheckStore(Queries(store.connection), store.keys, scope=store.scope)


def _text_rules(store: BindingStore) -> TextRuleStore:
    return TextRuleStore(Queries(store.connection), scope=store.scope)


Operation = Callable[[BindingStore, Target], Any]


def _lookup(store: BindingStore) -> CallLookup:
    return CallLookup(store.connection, store.scope)


def _records(store: BindingStore) -> MessageRecords:
    return MessageRecords(store.connection, store.scope)


def _bind(store: BindingStore, target: Target) -> Any:
    """Bind for another, or for nobody."""
    return store.bind(Axb(a=C, b=D), _terms(store, target.tenant))


def _sealed_for(store: BindingStore, entry_id: int) -> dict[str, Any]:
    """The row of an entry, or a lock, that E is on."""
    key, sealed = store.keys.seal_locked(E, entry_id)[0]
    return {
        "id": entry_id,
        "key": key,
        "sealed": sealed,
        "other_key": None,
        "other_sealed": None,
    }


def _set_lock(store: BindingStore, target: Target) -> Any:
    """Lock a person for another tenant."""
    person = LockedThing(subject=Subject.PERSON, person=D, tenant=target.tenant)
    return store.locks.set(person, LockReason.MISUSE, by="a test").thing.tenant


def _make(store: BindingStore, target: Target) -> Any:
    """The same, as it is asked for."""
    asked = make_request({"mode": Mode.AXB, "a": C, "b": D, "tenant": target.tenant})
    return store.make(asked, default_ttl=timedelta(days=1))


def _make_together(store: BindingStore, target: Target) -> Any:
    """Several of them; what is left out says why by itself."""
    asked = make_request({"mode": Mode.AXB, "a": C, "b": D, "tenant": target.tenant})
    return store.make_together(
        [(asked, NumberPolicy())] * 2, default_ttl=timedelta(days=1)
    ) or _make(store, target)


def _asked(store: BindingStore, target: Target) -> Asked:
    """Two parties, whose tenant is told."""
    return Asked(
        parties=Axb(a=C, b=D),
        terms=_terms(store, target.tenant),
        life=None,
        kept={"status": 200, **dict.fromkeys(("pool", "name", "payload"))},
        tell=lambda made, _: ({}, made.tenant),
    )


def _make_asked(store: BindingStore, target: Target) -> Any:
    """The same by one statement, as a key asks; what is left out says why by itself."""
    beside = {
        "api_key": target.key,
        "api_scope": KeyScope.BINDINGS_READ,
        **dict.fromkeys(("nonce", "signed_at")),
    }
    return store.make_asked(_asked(store, target), beside) or _make(store, target)


def _make_asked_together(store: BindingStore, target: Target) -> Any:
    """Several of these."""
    beside = {"api_key": target.key, "api_scope": KeyScope.BINDINGS_READ}
    unsigned = dict.fromkeys(("nonce", "signed_at"))
    asked = [_asked(store, target)] * 2
    return store.make_asked_together(asked, [unsigned] * 2, beside) or _make(store, target)


# What each operation does to a target. Where it makes something new, the target is where.
OPERATIONS: dict[tuple[type, str], Operation] = {
    (BindingStore, "now"): lambda store, _: store.now() > LONG_AGO,
    (BindingStore, "within"): lambda store, _: store.within(store.scope).scope == store.scope,
    (BindingStore, "bind"): _bind,
    (BindingStore, "make"): _make,
    (BindingStore, "make_together"): _make_together,
    (BindingStore, "make_asked"): _make_asked,
    (BindingStore, "make_asked_together"): _make_asked_together,
    (BindingStore, "unbind"): lambda store, target: store.unbind(target.pair),
    (BindingStore, "end_order"): lambda store, target: store.end_order(target.order),
    (BindingStore, "add_members"): lambda store, target: store.add_members(target.group, [F]),
    (BindingStore, "remove_member"): lambda store, target: store.remove_member(target.group, C),
    (BindingStore, "add_group"): lambda store, target: store.add_group(target.tenant, "team"),
    (BindingStore, "find_group"): lambda store, target: store.find_group(
        target.tenant, target.team
    ),
    (BindingStore, "find_group_by_id"): lambda store, target: store.find_group_by_id(
        target.tenant, target.team_id
    ),
    (BindingStore, "groups"): lambda store, target: [
        store.groups(tenant=tenant, limit=9) for tenant in (None, target.tenant)
    ],
    (BindingStore, "label_group"): lambda store, target: store.label_group(
        target.tenant, target.team, "another"
    ),
    (BindingStore, "change_members"): lambda store, target: store.change_members(
        target.tenant, target.team, joining=[F]
    ),
    (BindingStore, "set_members"): lambda store, target: store.set_members(
        target.tenant, target.team, [F]
    ),
    (BindingStore, "remove_group"): lambda store, target: store.remove_group(
        target.tenant, target.team
    ),
    (BindingStore, "set_group"): lambda store, target: [
        store.set_group(target.group, name) for name in ("night-9003", target.team)
    ],
    (BindingStore, "set_default"): lambda store, target: store.set_default(target.group, D),
    (BindingStore, "change"): lambda store, target: [
        store.change(target.pair, **changes) for changes in ({"max_calls": 9}, {"order_id": "O"})
    ],
    (BindingStore, "replace"): lambda store, target: [
        store.replace(target.pair, side, F) for side in Side
    ],
    (BindingStore, "extend"): lambda store, target: store.extend(
        target.pair, store.now() + timedelta(days=2)
    ),
    (BindingStore, "find"): lambda store, target: store.find(target.pair),
    (BindingStore, "bindings"): lambda store, target: [
        store.bindings(everything=everything, order_id=order, x_number=x, party=party, limit=100)
        for everything in (True, False)
        for order, x, party in (
            (None, None, None),
            (target.order, None, None),
            (None, target.x, None),
            (None, None, C),
        )
    ],
    (BindingStore, "stream"): lambda store, _: list(store.stream(everything=True, order_id=None)),
    (BindingNames, "find"): lambda store, target: store.names.find(str(target.x)),
    (BindingNames, "on"): lambda store, target: store.names.on(
        target.x, everything=True, limit=100
    ),
    (BindingNames, "of"): lambda store, target: store.names.of(target.order),
    (InventoryStore, "add_block"): lambda store, target: store.inventory.add_block(
        target.block, operator=None, certificate=None
    ),
    (InventoryStore, "blocks"): lambda store, _: store.inventory.blocks(),
    # Of one digit are blocks of all.
    (InventoryStore, "of_operator"): lambda store, _: store.inventory.of_operator(
        int(OTHERS.operator)
    ),
    (InventoryStore, "block"): lambda store, target: store.inventory.block(target.block),
    (InventoryStore, "cells"): lambda store, _: store.inventory.cells(),
    (InventoryStore, "set_away"): lambda store, _: store.inventory.set_away("south", away=True),
    (InventoryStore, "loads"): lambda store, _: store.inventory.loads(),
    (InventoryStore, "look_at_cells"): lambda store, _: store.inventory.look_at_cells(beat=False),
    (InventoryStore, "move"): lambda store, target: store.inventory.move(target.block, "one"),
    (InventoryStore, "set_block_state"): lambda store, target: store.inventory.set_block_state(
        target.block, BlockState.DRAINING
    ),
    (InventoryStore, "certify_block"): lambda store, target: store.inventory.certify_block(
        target.block, CertificateChange(certificate="2028-1")
    ),
    (InventoryStore, "statistics"): lambda store, _: store.inventory.statistics(),
    (InventoryStore, "unrested"): lambda store, target: len(
        store.inventory.unrested(target.block)
    ),
    (InventoryStore, "number_state"): lambda store, target: store.inventory.number_state(
        target.block.number(1)
    ),
    (PoolStore, "add"): lambda store, target: store.pools.add(target.tenant, "FC1"),
    (PoolStore, "find"): lambda store, target: store.pools.find(target.tenant, target.pool),
    (PoolStore, "all"): lambda store, target: [
        store.pools.all(tenant=tenant, limit=9) for tenant in (None, target.tenant)
    ],
    (PoolStore, "change"): lambda store, target: store.pools.change(
        target.tenant, target.pool, mode=Mode.AXB
    ),
    (PoolStore, "remove"): lambda store, target: store.pools.remove(target.tenant, target.pool),
    (PoolStore, "capacity"): lambda store, target: store.pools.capacity(
        replace(store.pools.all(limit=1)[0], tenant=target.tenant, blocks=(target.block,))
    ),
    (TenantStore, "add"): lambda store, target: store.inventory.tenants.add(target.tenant),
    (TenantStore, "all"): lambda store, _: store.inventory.tenants.all(),
    (TenantStore, "set_active"): lambda store, target: store.inventory.tenants.set_active(
        target.tenant, active=False
    ),
    (TenantStore, "set_unknown_numbers"): lambda store, target: (
        store.inventory.tenants.set_unknown_numbers(target.tenant, UnknownNumbers.REFUSE)
    ),
    (TenantStore, "set_quota"): lambda store, target: store.inventory.tenants.set_quota(
        target.tenant, Quota.BINDS, 9
    ),
    (TenantStore, "qualify"): lambda store, target: store.inventory.tenants.qualify(
        target.tenant, number="B2-1", issuer=None, valid_from=None, valid_until=None
    ),
    (TenantStore, "set_rules"): lambda store, target: store.inventory.tenants.set_rules(
        target.tenant, RulesChange(needs_order=True)
    ),
    (TenantStore, "set_notice"): lambda store, target: store.inventory.tenants.set_notice(
        target.tenant, notice=False
    ),
    (TenantStore, "set_hours"): lambda store, target: store.inventory.tenants.set_hours(
        target.tenant, "09:00-18:00"
    ),
    (TenantStore, "set_record"): lambda store, target: store.inventory.tenants.set_record(
        target.tenant, on=True
    ),
    (TenantStore, "set_time_zone"): lambda store, target: store.inventory.tenants.set_time_zone(
        target.tenant, "Asia/Urumqi"
    ),
    (TenantStore, "set_call_rates"): lambda store, target: store.inventory.tenants.set_call_rates(
        target.tenant, CallRates(caller=Rate(30, HOUR))
    ),
    (BindingStore, "find_pool"): lambda store, target: store.find_pool(target.tenant, target.pool),
    (BindingStore, "hold_together"): lambda store, target: store.hold_together(
        [make_request({"mode": Mode.AXB, "a": A, "b": B, "tenant": target.tenant})]
    ),
    (TenantStore, "rules"): lambda store, target: store.inventory.tenants.rules(target.tenant),
    (TenantStore, "find"): lambda store, target: store.inventory.tenants.find(target.tenant),
    (TenantStore, "find_id"): lambda store, target: store.inventory.tenants.find_id(target.tenant),
    (TenantStore, "scope"): lambda store, target: store.inventory.tenants.scope(target.tenant),
    (ApiKeyStore, "add"): lambda store, target: _add_key(store, target.tenant)[0].tenant,
    (ApiKeyStore, "find"): lambda store, target: _api_keys(store).find(target.key).key,
    (ApiKeyStore, "find_shown"): lambda store, target: _found(
        _api_keys(store).find_shown(target.key)
    ),
    (ApiKeyStore, "all"): lambda store, target: [
        _api_keys(store).all(tenant=tenant) for tenant in (None, target.tenant)
    ],
    (ApiKeyStore, "revoke"): lambda store, target: _api_keys(store).revoke(target.key),
    (ApiKeyStore, "note_use"): _note_use,
    (ApiKeyStore, "renew"): lambda store, _: _api_keys(store).renew(store.keys),
    (EventStore, "set_types"): lambda store, target: _events(store).set_types(target.tenant, []),
    (EventStore, "types"): lambda store, target: _events(store).types(target.tenant),
    (EventStore, "add"): lambda store, target: _events(store).add(
        target.tenant, "https://shop.example/", [EventType.CALL_ENDED]
    ),
    (EventStore, "webhooks"): lambda store, target: [
        _events(store).webhooks(tenant) for tenant in (None, target.tenant)
    ],
    (EventStore, "find"): lambda store, target: _events(store).find(target.webhook),
    (EventStore, "change"): lambda store, target: _events(store).change(
        target.webhook, url="https://shop.example/", types=[EventType.CALL_REFUSED]
    ),
    (EventStore, "event"): lambda store, target: _events(store).event(target.event),
    (EventStore, "look_at"): lambda store, target: _events(store).look_at(target.webhook),
    (EventStore, "pause"): lambda store, target: _events(store).pause(target.webhook),
    (EventStore, "resume"): lambda store, target: _events(store).resume(target.webhook),
    (EventStore, "remove"): lambda store, target: _events(store).remove(target.webhook),
    (EventStore, "rotate_secret"): lambda store, target: _events(store).rotate_secret(
        target.webhook, overlap=HOUR
    ),
    (EventStore, "test"): lambda store, target: _events(store).test(target.webhook),
    (EventStore, "resend"): lambda store, target: _events(store).resend(
        target.webhook, since=LONG_AGO
    ),
    (EventStore, "resend_to_all"): lambda store, target: _events(store).resend_to_all(
        target.tenant, since=LONG_AGO
    ),
    (EventStore, "attempts"): lambda store, target: _events(store).attempts(
        target.webhook, limit=9
    ),
    (EventStore, "events"): lambda store, target: _events(store).events(target.tenant, limit=9),
    (EventStore, "renew"): lambda store, _: _events(store).renew(),
    (TenantCheckStore, "put"): lambda store, target: _checks(store).put(
        target.tenant, "https://shop.example/"
    ),
    (TenantCheckStore, "find"): lambda store, target: _checks(store).find(target.tenant),
    (TenantCheckStore, "rotate_secret"): lambda store, target: _checks(store).rotate_secret(
        target.tenant, overlap=HOUR
    ),
    (TenantCheckStore, "remove"): lambda store, target: _checks(store).remove(target.tenant),
    (TenantCheckStore, "renew"): lambda store, _: _checks(store).renew(),
    (TextRuleStore, "find"): lambda store, target: _text_rules(store).find(target.tenant),
    (TextRuleStore, "put"): lambda store, target: _text_rules(store).put(
        target.tenant, TextRules(words=("a",))
    ),
    (BindingStore, "withdraw"): lambda store, target: [
        store.withdraw(
            C, target.tenant, Statement(act=Act.WITHDRAWN, order=target.order), by="a test"
        )[0].tenant
    ],
    (ConsentStore, "hold"): lambda store, target: store.consents.hold(target.tenant),
    (ConsentStore, "write"): lambda store, target: (
        store.consents.write(
            C, target.tenant, Statement(act=Act.GIVEN, how=How.APP), by="a test"
        ).tenant
    ),
    (ConsentStore, "write_given"): lambda store, target: store.consents.write_given(
        target.tenant, [(E, Statement(act=Act.GIVEN, how=How.APP, at=store.now()))], by="a test"
    ),
    (ConsentStore, "find"): lambda store, target: store.consents.find(target.line),
    (ConsentStore, "all"): lambda store, _: store.consents.all(limit=100),
    (ConsentStore, "of_person"): lambda store, _: store.consents.of_person(E),
    (ComplaintStore, "file"): lambda store, target: (
        _complaints(store)
        .file(
            target.x,
            ComplaintKind.OTHER,
            at=LONG_AGO,
            source="a test",
            reference="C-2",
            by="a test",
            tenant=target.tenant,
        )
        .tenant
    ),
    (ComplaintStore, "knows"): lambda store, target: _complaints(store).knows(
        "a test", f"C-{target.complaint}"
    ),
    (ComplaintStore, "find"): lambda store, target: _complaints(store).find(target.complaint),
    (ComplaintStore, "all"): lambda store, target: [
        _complaints(store).all(x_number=x, limit=100) for x in (None, target.x)
    ],
    (ComplaintStore, "dismiss"): lambda store, target: _complaints(store).dismiss(
        target.complaint, by="a test"
    ),
    (ComplaintStore, "count"): lambda store, target: [
        _complaints(store).count(thing).complaints
        for thing in (
            LockedThing(subject=Subject.NUMBER, number=target.x),
            LockedThing(subject=Subject.TENANT, tenant=target.tenant),
        )
    ],
    (RecordingStore, "find"): lambda store, target: _recordings(store).find(target.recording),
    (RecordingStore, "find_named"): lambda store, _: _recordings(store).find_named(_FILE),
    (RecordingStore, "all"): lambda store, target: [
        _recordings(store).all(limit=100),
        _recordings(store).all(binding=target.pair, limit=100),
        _recordings(store).all(x_number=target.x, limit=100),
        _recordings(store).all(tenant=target.tenant, limit=100),
    ],
    (RecordingStore, "listen"): lambda store, target: _recordings(store).listen(
        _recordings(store).find(target.recording), Vault(Path("/nowhere")), store.keys
    ),
    (RealNameStore, "write"): lambda store, target: (
        _real_names(store)
        .write(C, RealName.YES, source="a test", by="a test", tenant=target.tenant)
        .tenant
    ),
    (RealNameStore, "status"): lambda store, target: _real_names(store).status(
        E, tenant=target.tenant
    ),
    (RealNameStore, "all"): lambda store, _: [
        _real_names(store).all(person=person, limit=100) for person in (None, E)
    ],
    (LockStore, "set"): _set_lock,
    (LockStore, "await_others"): lambda store, target: store.locks.await_others(
        LockedThing(subject=Subject.NUMBER, number=target.x)
    ),
    (LockStore, "find"): lambda store, target: store.locks.find(target.lock),
    (LockStore, "find_concerning"): lambda store, target: store.locks.find_concerning(target.lock),
    (AppealStore, "file"): lambda store, target: _appeals(store).file(target.lock, by="a test"),
    (AppealStore, "find"): lambda store, target: _appeals(store).find(target.appeal),
    (AppealStore, "all"): lambda store, target: [
        _appeals(store).all(lock_id=lock_id, limit=100) for lock_id in (None, target.lock)
    ],
    (AppealStore, "add_evidence"): lambda store, target: _appeals(store).add_evidence(
        target.appeal,
        Evidence(kind=EvidenceKind.PAYMENT_RECORD, reference="a", digest="00" * 32),
        by="a test",
    ),
    (BindingStore, "rebind"): lambda store, target: store.rebind(
        _appeals(store).find(target.appeal), target.pair, instead=F, by="a test"
    ),
    (AppealStore, "take"): lambda store, target: _appeals(store).take(
        target.appeal, AppealStep.WITHDRAW, by="a test"
    ),
    (LockStore, "all"): lambda store, target: [
        store.locks.all(everything=True, things=things, limit=100)
        for things in (None, [target.x], [target.block])
    ],
    (LockStore, "of_person"): lambda store, _: store.locks.of_person(E, everything=True),
    (LockStore, "on_things"): lambda store, target: [
        store.locks.on_things([thing])
        for thing in (
            LockedThing(subject=Subject.BLOCK, block=target.block),
            LockedThing(subject=Subject.PERSON, person=E, tenant=target.tenant),
        )
    ],
    (LockStore, "in_time"): lambda store, target: [
        lock
        for lock in store.locks.in_time(
            things=[], people=[E], tenants=[], since=LONG_AGO, until=store.now() + HOUR
        )
        if lock.id == target.lock
    ],
    (LockStore, "lift"): lambda store, target: store.locks.lift(target.lock, by="a test"),
    (LockStore, "lift_all"): lambda store, target: store.locks.lift_all(
        [store.locks.find(target.lock)], by="a test"
    ),
    (LockStore, "check_free"): lambda store, target: store.locks.check_free(
        [C], [target.x], target.block, target.tenant
    ),
    (LockStore, "forget"): lambda store, target: store.locks.forget(
        _sealed_for(store, target.lock), F, by="a test"
    ),
    (LockStore, "pass_strangers"): lambda store, _: store.locks.pass_strangers(()),
    (LockStore, "mark"): lambda store, _: store.locks.mark(store.keys.tag_key_id),
    (LockStore, "renew"): lambda store, _: store.locks.renew(routes_done=False),
    (BlocklistStore, "add"): lambda store, target: (
        store.blocklist.add(Pairing(person=C, other=D, tenant=target.tenant), by="a test").tenant
    ),
    (BlocklistStore, "find"): lambda store, target: store.blocklist.find(target.entry),
    (BlocklistStore, "all"): lambda store, _: store.blocklist.all(everything=True, limit=100),
    (BlocklistStore, "of_person"): lambda store, _: [
        store.blocklist.of_person(each, everything=True, limit=100) for each in (E, F)
    ],
    (BlocklistStore, "remove"): lambda store, target: store.blocklist.remove(
        target.entry, by="a test"
    ),
    (BlocklistStore, "remove_all"): lambda store, target: store.blocklist.remove_all(
        [store.blocklist.find(target.entry)], by="a test"
    ),
    (BlocklistStore, "forget"): lambda store, target: store.blocklist.forget(
        _sealed_for(store, target.entry), F, by="a test"
    ),
    (BlocklistStore, "mark"): lambda store, _: store.blocklist.mark(store.keys.tag_key_id),
    (BlocklistStore, "renew"): lambda store, _: store.blocklist.renew(),
    (CallLookup, "facts"): lambda store, target: replace(
        _lookup(store).facts(a_call(A, target.x), store.keys, at=None, open_modes=True),
        now=LONG_AGO,
    ),
    (MessageRecords, "facts"): lambda store, target: replace(
        _records(store).facts(
            Text(sender=A, x_number=target.x, body=""), store.keys, at=None, open_modes=True
        ),
        now=LONG_AGO,
    ),
    (MessageRecords, "messages"): lambda store, target: [
        _records(store).messages(since=LONG_AGO, binding=binding, limit=100)
        for binding in (None, target.pair)
    ],
    (MessageRecords, "find"): lambda store, target: _records(store).find(target.message),
    (MessageRecords, "release"): lambda store, target: _records(store).release(target.message),
    (MessageRecords, "seen"): lambda store, target: _records(store).seen(
        target.x.block, [_same(target.message)], []
    ),
    (MessageRecords, "report"): lambda store, target: _records(store).report(
        target.carried, MessageState.UNKNOWN
    ),
    (MessageRecords, "discard"): lambda store, target: _records(store).discard(target.message),
    (CallLookup, "find"): lambda store, target: _lookup(store).find(target.call),
    (CallLookup, "calls"): lambda store, target: [
        _lookup(store).calls(since=LONG_AGO, x_number=x, bindings=bindings, limit=100)
        for x, bindings in ((None, None), (target.x, None), (None, [target.pair]))
    ],
}

# They tell of nothing that belongs to anybody, or only of what the store is given.
NOTHING_TO_SEE = {
    (InventoryStore, "look_at_cells"),
    (InventoryStore, "set_away"),
    (InventoryStore, "loads"),
    (BindingStore, "now"),
    (BindingStore, "within"),
    (ApiKeyStore, "renew"),
    (EventStore, "renew"),
    (TenantCheckStore, "renew"),
    (BindingStore, "hold_together"),
    (LockStore, "await_others"),
    (LockStore, "forget"),
    (LockStore, "pass_strangers"),
    (LockStore, "mark"),
    (LockStore, "renew"),
    (BlocklistStore, "forget"),
    (BlocklistStore, "mark"),
    (BlocklistStore, "renew"),
}
# Whoever asks does not learn either whether there is such a thing.
ASKED_OF_ALL = {
    (BindingStore, "stream"),
    (InventoryStore, "blocks"),
    (InventoryStore, "of_operator"),
    (InventoryStore, "statistics"),
    (BindingStore, "groups"),
    (PoolStore, "all"),
    (ApiKeyStore, "all"),
    (EventStore, "webhooks"),
    (TenantStore, "all"),
    (LockStore, "of_person"),
    (ConsentStore, "all"),
    (ConsentStore, "of_person"),
    (RealNameStore, "all"),
}
# What needs a connection and no scope, and why.
UNSCOPED = {
    "BlockMove": "serves a store, which lets the operator alone move",
    "ComplainedCallers": "serves a store, which is the operator's",
    "DayRecords": "the operator's",
    "DeliveryStore": "the operator's",
    "ExportDays": "the operator's",
    "FeedStore": "the operator's",
    "GroupMembers": "serves a store, which has found the group",
    "Importer": "takes a scope for its rows",
    "LinkRecords": "the operator's",
    "NumberChooser": "serves a store, which says whether it may tell of others",
    "Recycler": "the operator's",
    "RecordingLedger": "the operator's",
    "Renewal": "renews what a store has locked",
    "Rotation": "the operator's",
    "RuleKeeping": "counts what a store has just made",
    "PersonRegister": "serves a store, which has the lines",
    "ConsentLedger": "serves a store, which says whose lines",
    "Deletion": "the operator's",
    "HoldStore": "the operator's",
    "PullStore": "the operator's",
    "WaitingFiles": "the operator's",
    "Sweep": "the operator's",
    "Notices": "the operator's",
    "Audit": "the operator's",
    "FindingStore": "the operator's",
    "DayDigests": "holds what all have done",
    "Mover": "moves by an import, which has a scope",
    "AuditChain": "signs and verifies what all have done",
    "Tracer": "the operator's",
    "Queries": "has no query of its own",
}


# What a store is made of is tried as the store.
PARTS = BindingStore.__mro__[1:-1]


def _given(each: type) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(each).parameters
    except ValueError:
        # Of C, or an enumeration.
        return {}


def _classes() -> Iterator[type]:
    """All classes of the package that are given a connection, or queries."""
    for module in pkgutil.walk_packages(agi_router.__path__, "agi_router."):
        if module.name.rpartition(".")[2] == "__main__":
            continue
        for each in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(each) and each.__module__ == module.name and each not in PARTS:
                kinds = [given.annotation for given in _given(each).values()]
                if Connection in kinds or Queries in kinds:
                    yield each


def test_no_operation_is_forgotten() -> None:
    """Every store has a scope, or a reason why not; and every method of it stands above."""
    found, unscoped = set(), set()
    for each in _classes():
        if "scope" in _given(each) and each is not Importer:
            found |= {
                (each, name)
                for name, _ in inspect.getmembers(each, inspect.isfunction)
                if not name.startswith("_")
            }
        else:
            unscoped.add(each.__name__)
    assert unscoped == set(UNSCOPED), "it needs a scope, or a reason here"
    assert found == set(OPERATIONS)


def _told(work: Callable[[], Any]) -> str:
    """What an operation answers, as text: real numbers are masked in it."""
    try:
        return repr(work())
    except AgiRouterError as error:
        return f"{type(error).__name__}: {error}"


def _anonymous(text: str, target: Target) -> str:
    """The same without the names of what was asked for."""
    for name in (getattr(target, each.name) for each in fields(target)):
        text = text.replace(str(name), "…")
    # As they stand in a Block or an XNumber.
    text = text.replace(str(target.x.value), "…").replace(str(target.block.value), "…")
    # Of what is made anew.
    return re.sub(r"datetime\.datetime\([^)]*\)", "…", text)


def _name(operation: tuple[type, str]) -> str:
    return f"{operation[0].__name__}.{operation[1]}"


@on_one_server
@pytest.mark.parametrize("operation", OPERATIONS, ids=_name)
def test_a_tenant_sees_and_changes_nothing_of_others(
    world: World, operation: tuple[type, str]
) -> None:
    """What is another's answers as what is not there, and is as it was."""
    before = world.things_of_others()
    work = OPERATIONS[operation]
    store = world.scoped(world.us)
    theirs = _told(lambda: work(store, world.theirs))
    absent = _told(lambda: work(store, world.absent))
    assert world.things_of_others() == before
    assert _anonymous(theirs, world.theirs) == _anonymous(absent, world.absent)
    if "NotFound: " not in theirs:
        # An error may repeat what was typed.
        assert not [mark for mark in world.marks if mark in theirs]


@on_one_server
@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each not in NOTHING_TO_SEE], ids=_name
)
def test_the_operator_sees_them(world: World, operation: tuple[type, str]) -> None:
    """So it is no wonder of the test that a tenant does not."""
    work = OPERATIONS[operation]

    def tell(target: Target) -> str:
        if operation == (BindingStore, "stream"):
            return _told(lambda: work(world.store, target))
        with world.connection.transaction(force_rollback=True):
            return _told(lambda: work(world.store, target))

    theirs = tell(world.theirs)
    if operation in ASKED_OF_ALL:
        assert any(mark in theirs for mark in world.marks)
    else:
        absent = tell(world.absent)
        assert _anonymous(theirs, world.theirs) != _anonymous(absent, world.absent)


@on_one_server
@pytest.mark.parametrize("a", [A, C], ids=["who is on it", "who is not"])
def test_a_number_that_others_are_on(world: World, a: PhoneNumber) -> None:
    """A tenant who gives it learns only that it cannot be had: not who is on it, nor by what."""
    store = world.scoped(world.us)
    with pytest.raises(BindingConflict) as told:
        store.bind(Axb(a=a, b=F), _terms(store, US), x=world.theirs.x)
    assert str(told.value) == f"{world.theirs.x}: {FOREIGN}"


@on_one_server
def test_members_who_are_on_the_number_by_others(world: World) -> None:
    """They cannot be let in; the binding in the way is not named, nor when another ended."""
    store = world.scoped(world.us)
    rested = BindingStore(world.connection, world.store.keys, scope=world.us)
    x = SHARED.number(123)
    with world.connection.transaction(force_rollback=True):
        group = store.bind(Gxb(members=(A,), b=B), _terms(store, US), x=x)
        other = world.store.bind(Axb(a=C, b=D), _terms(store, THEM, order_id="o-1"), x=x)
        with pytest.raises(BindingConflict) as told, world.connection.transaction():
            store.add_members(group.id, [C])
        assert str(other.id) not in str(told.value)
        world.store.unbind(other.id)
        words = _told(lambda: rested.add_members(group.id, [C]))
        assert words.startswith("NumberResting: ")
        assert words.endswith("may not be again yet")


@on_one_server
def test_only_the_operator(world: World) -> None:
    """What is refused to a tenant is refused before it is looked whether it is there."""
    store = world.scoped(world.us)
    with pytest.raises(OperatorOnly):
        store.within(OPERATOR)
    with pytest.raises(OperatorOnly):
        store.inventory.set_block_state(OWN, BlockState.DRAINING)
    with pytest.raises(TenantNotFound):
        store.bind(Axb(a=A, b=B), _terms(store, "default"))
    with pytest.raises(GroupNotFound):
        store.bind(Gxb(group=world.theirs.team, b=B), _terms(store, US))
    assert [each["name"] for each in store.inventory.tenants.all()] == [US]
    assert [each["block"] for each in store.inventory.blocks()] == [OWN.value]
    assert {each.order_id for each in store.stream(everything=True, order_id=None)} == {
        "order-ours"
    }


@on_one_server
def test_the_command_line(world: World, tmp_path: Path) -> None:
    """It is the operator's, and by --tenant it sees one tenant's things."""
    file = tmp_path / "key"
    write_key_ring(file, world.store.keys)
    env = {"AGI_ROUTER_DSN": world.dsn, "AGI_ROUTER_KEY_FILE": str(file)}

    def seen(*command: str, tenant: str | None) -> Done:
        return run([*command, *(() if tenant is None else ("--tenant", tenant)), "--json"], env)

    own, other = str(world.own.id), str(world.theirs.pair)
    for command, mine, all_of_them in (
        (("list",), 1, 4),
        (("list", "--order", "order-theirs"), 0, 1),
        (("calls",), 1, 2),
        (("block", "list"), 1, 3),
        (("pool",), 1, 3),
    ):
        assert len(seen(*command, tenant=US).json) == mine
        assert len(seen(*command, tenant=None).json) == all_of_them
    assert seen("show", own, tenant=US).json["tenant"] == US
    assert seen("show", other, tenant=THEM).json["tenant"] == THEM
    for refused, words in (
        (("show", other), "there is no binding"),
        (("unbind", other), "there is no binding"),
        (("unbind", "--order", "order-theirs"), "no binding was made for this order"),
        (("extend", other, "--ttl", "2h"), "there is no binding"),
        (("group", "add", str(world.theirs.group), "--members", A.digits), "there is no binding"),
        (("block", "show", str(OTHERS)), "is not ours"),
    ):
        done = seen(*refused, tenant=US)
        assert (done.code, words in done.error) == (66, True)
    explained = ("explain", "--from", A.digits, "--to", str(world.theirs.x))
    assert seen(*explained, tenant=None).json["verdict"] == "route"
    assert seen(*explained, tenant=US).json["reason"] == "no_binding"
    done = seen("list", tenant="nobody")
    assert (done.code, "there is no tenant" in done.error) == (66, True)


async def test_a_call_has_its_tenant(
    store: BindingStore, admissions: AdmissionStore, connection: Connection
) -> None:
    """That of the binding it used; if it was refused, that for whom its block is kept, if any."""
    tenants = store.inventory.tenants
    for name in (US, THEM):
        tenants.add(name)
    store.inventory.add_block(OTHERS, operator=None, certificate=None, tenant=THEM)
    bound = store.bind(Axb(a=A, b=B), _terms(store, US), x=X)
    admitted, refused, stray, old = (new_call_id() for _ in range(4))
    # Whose it was has moved it, before the block became another's.
    connection.execute(
        "INSERT INTO agi_router.old_number (number, x_number, tenant_id) VALUES (%s, %s, %s)",
        ("95013000001", OTHERS.number(6).value, tenants.find_id(US)),
    )
    await admissions.admit(a_call(), admitted, timeout=10)
    ends = [
        an_end(admitted),
        an_end(refused, None, x=OTHERS.number(5), reason=Reason.UNBOUND),
        an_end(stray, None, x=BLOCK.number(6), reason=Reason.UNBOUND),
        an_end(old, None, x=OTHERS.number(6), reason=Reason.NUMBER_CHANGED),
    ]
    left = await admissions.settle(ends)
    assert (left.held, left.refused, left.broken) == ([], [], [])

    def seen(scope: Scope) -> dict[str, str | None]:
        rows = CallLookup(connection, scope).calls(since=LONG_AGO, limit=9)
        return {each["id"]: each["tenant"] for each in map(describe_call, rows)}

    assert seen(OPERATOR) == {admitted: US, refused: THEM, stray: None, old: US}
    assert seen(tenants.scope(US)) == {admitted: US, old: US}
    assert seen(tenants.scope(THEM)) == {refused: THEM}
    assert bound.tenant == US


def test_the_store_of_a_tenant_is_kept(dsn: str) -> None:
    """Of some tenants, and while the keys are the same; whichever is asked for is its own."""
    with connect(dsn) as connection:
        store = BindingStore(connection, KeyRing.generate())
        scopes = [Scope(tenant_id=each, tenant=f"t{each}") for each in range(1, 150)]
        first = store.within(scopes[0])
        assert store.within(scopes[0]) is first
        for scope in (*scopes, *scopes):
            assert store.within(scope).scope == scope
        one, other = store.within(scopes[-1]), store.within(scopes[-2])
        ring = KeyRing.generate()
        one._use_keys(ring)
        assert store.keys is ring
        assert store.within(scopes[-1]) is one
        assert store.within(scopes[-2]) is not other
        assert store.within(scopes[-2]).keys is ring

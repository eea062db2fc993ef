"""The door that clients of Alibaba Cloud know: actions, codes, who may ask, what is sent again."""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from agi_router.bindings.model import Binding, BindingId
from agi_router.bindings.modes import Gxb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Direction, Mode, Side
from agi_router.db.connection import Connection, Queries, connect
from agi_router.doors.alibaba.actions import ACTIONS, NEVER
from agi_router.doors.alibaba.errors import BUSINESS, GATEWAY, Fault
from agi_router.doors.alibaba.handlers import CHANGES
from agi_router.doors.alibaba.route import LARGEST, read_request
from agi_router.doors.http.app import create_app
from agi_router.doors.http.options import Options
from agi_router.doors.http.pool import StorePool
from agi_router.errors import StoreUnavailable
from agi_router.inventory.model import BlockState
from agi_router.keys.ring import KeyRing
from agi_router.numbers import Block, PhoneNumber
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import LockedThing
from agi_router.rates import Rate
from agi_router.recordings.links import RecordingLink
from agi_router.tenants.api_key_store import ApiKeyStore
from agi_router.tenants.api_keys import KeyForm, KeyScope
from harness.alibaba import AlibabaClient, beijing
from harness.database import NO_REST, new_call_id, one
from harness.recordings import SOUND, keep_recording
from harness.values import BLOCK

A, B, C, D, E, F = (f"1380000040{serial}" for serial in range(6))
X = str(BLOCK.number(4321))
HOUR = timedelta(hours=1)
AWKWARD = "张三 +*~/&='()!"

Opener = Callable[..., AlibabaClient]


@pytest.fixture
def sign(
    stores: StorePool, options: Options, connection: Connection, ring: KeyRing, store: BindingStore
) -> Iterator[Opener]:
    """Make a key that signs, and a client that has it and asks a door of its own."""
    assert store
    with ExitStack() as stack:

        def make(
            tenant: str | None = "couriers",
            scopes: frozenset[KeyScope] | None = None,
            address: str = "127.0.0.1",
            **given: Any,
        ) -> AlibabaClient:
            words = ("networks", "life", "form")
            terms = {name: given.pop(name) for name in words if name in given}
            app = create_app(stores, replace(options, **given))
            client = TestClient(app, raise_server_exceptions=False, client=(address, 1))
            key, secret = ApiKeyStore(Queries(connection)).add(
                tenant=tenant,
                label="test",
                scopes=scopes or frozenset(each for each in KeyScope if not each.of_operator),
                keys=ring,
                **{"networks": (), "life": HOUR, "form": KeyForm.SIGNED, **terms},
            )
            return AlibabaClient(stack.enter_context(client), key.id, secret)

        yield make


@pytest.fixture
def client(sign: Opener) -> AlibabaClient:
    """A tenant's, which may do everything; strangers may call."""
    return sign(open_modes=True)


def bind_700(client: AlibabaClient, **own: str) -> Any:
    """Bind two parties by the 700 action."""
    given = {
        "PoolKey": "couriers",
        "Expiration": beijing(HOUR),
        "TelA": A,
        "TelB": B,
        "OrderId": "A-1001",
        **own,
    }
    return client.ask("BindAxb700", **given)


def named(made: Any) -> dict[str, str]:
    """What names a binding in the 700 actions."""
    return {
        "PoolKey": "couriers",
        "TelX": made["Data"]["SecretNo"],
        "SubsId": str(made["Data"]["SubsId"]),
    }


def detail(client: AlibabaClient, made: Any) -> Any:
    """A binding as the door shows it."""
    name = named(made)
    told = client.ask("QuerySubscriptionDetail", PhoneNoX=name.pop("TelX"), **name)
    return told["SecretBindDetailDTO"]


def test_the_life_of_a_binding(client: AlibabaClient, store: BindingStore) -> None:
    """By the 700 actions: made, looked at, changed, ended."""
    ids = {"OutId": AWKWARD, "IndustrialId": AWKWARD}
    made = bind_700(client, CallTimeout="15", CallRestrict="CONTROL_BX_DISABLE", **ids)
    assert made.keys() == {"Code", "Message", "RequestId", "Success", "Data"}
    assert (made["Code"], made["Success"]) == ("OK", True)
    assert made["Data"]["SecretNo"].startswith(str(BLOCK))
    assert made["Data"]["SubsId"] < 2**53
    name = named(made)
    seen = detail(client, made)
    assert (seen["PhoneNoA"], seen["PhoneNoB"], seen["Status"]) == (A, B, 1)
    assert seen["CallRestrict"] == "CONTROL_BX_DISABLE"
    later = beijing(2 * HOUR)
    told = client.ask("UpdateSubs700", OperateType="updateExpire", Expiration=later, **name)
    assert (told["Code"], told["Data"]) == ("OK", {})
    assert detail(client, made)["ExpireDate"] == later
    sooner = beijing(HOUR / 2)
    client.ask("UpdateSubs700", OperateType="updateExpire", Expiration=sooner, **name)
    client.ask(
        "UpdateSubs700",
        OperateType="updateCallRestrict",
        CallRestrict="CONTROL_AX_DISABLE",
        **name,
    )
    client.ask("UpdateSubs700", OperateType="updateOutId", OutId=f"{AWKWARD}2", **name)
    seen = detail(client, made)
    assert (seen["ExpireDate"], seen["CallRestrict"]) == (sooner, "CONTROL_AX_DISABLE")
    found = store.find(store.names.find(name["TelX"]))
    assert (found.out_id, found.industrial_id) == (f"{AWKWARD}2", AWKWARD)
    assert client.ask("QuerySubsId", PhoneNoX=name["TelX"])["SubsId"] == name["SubsId"]
    assert client.ask("UnbindSubs700", **name)["Code"] == "OK"
    assert detail(client, made)["Status"] == 0
    assert client.code("UnbindSubs700", **name) == "isv.SUBS_NOT_EXIST"
    assert client.code("UpdateSubs700", OperateType="updateExpire", Expiration=later, **name) == (
        "isv.FORBIDDEN_ACTION"
    )
    assert client.code("QuerySubsId", PhoneNoX=name["TelX"]) == "isv.SUBS_NOT_EXIST"


def test_the_older_shapes(client: AlibabaClient) -> None:
    """The same by the classic names."""
    pool = {"PoolKey": "couriers"}
    given = {**pool, "PhoneNoA": A, "PhoneNoB": B, "PhoneNoX": X, "Expiration": beijing(HOUR)}
    dto = client.ask("BindAxb", ExpectCity="上海", IsRecordingEnabled="false", **given)[
        "SecretBindDTO"
    ]
    assert dto["SecretNo"] == X
    number = {**pool, "SubsId": dto["SubsId"]}
    told = client.ask(
        "UpdateSubscription",
        PhoneNoX=X,
        OperateType="updateExpire",
        Expiration=beijing(2 * HOUR),
        **number,
    )
    assert told.keys() == {"Code", "Message", "RequestId"}
    for what in (
        {"OperateType": "updateIsRecordingEnabled", "IsRecordingEnabled": "False"},
        {"OperateType": "updateIsRecordingEnabled", "IsRecordingEnabled": "True"},
        {"OperateType": "updateCallDisplayType", "CallDisplayType": "1"},
    ):
        assert client.code("UpdateSubscription", PhoneNoX=X, **what, **number) == "OK"
    asked = {"PhoneNoX": X, **number}
    shown = client.ask("QuerySubscriptionDetail", **asked)["SecretBindDetailDTO"]
    assert shown["NeedRecord"] is True
    assert client.ask("QuerySecretNoDetail", SecretNo=X, **pool)["SecretNoInfoDTO"] == {
        "SecretStatus": 1
    }
    assert client.code("UnbindSubscription", SecretNo=X, **number) == "OK"
    free = str(BLOCK.number(1))
    assert client.ask("QuerySecretNoDetail", SecretNo=free, **pool)["SecretNoInfoDTO"] == {
        "SecretStatus": 0
    }


def test_a_number_is_locked(client: AlibabaClient, store: BindingStore, sign: Opener) -> None:
    """One of the pool's own block; nothing is bound on it until it is unlocked."""
    own = Block.parse("70012345677")
    number = {"PoolKey": "couriers", "SecretNo": str(own.number(1))}
    assert client.code("LockSecretNo", **number) == "isv.FORBIDDEN_ACTION"
    store.inventory.add_block(own, operator=None, certificate=None, tenant="couriers")
    bound = {"PoolKey": "couriers", "TelA": A, "TelB": B, "TelX": str(own.number(1))}
    for _ in range(2):
        assert client.code("LockSecretNo", **number) == "OK"
    assert len(store.locks.all(limit=9)) == 1
    told = client.ask("QuerySecretNoDetail", **number)
    assert told["SecretNoInfoDTO"] == {"SecretStatus": 2}
    refused = client.code("BindAxb700", OrderId="A-1", Expiration=beijing(HOUR), **bound)
    assert refused == "isv.NUMBER_LOCKED"
    # The operator's own stays, and is none of the pool's business.
    on_it = LockedThing(subject=Subject.NUMBER, number=own.number(1))
    kept = store.locks.set(on_it, LockReason.MISUSE, by="a test")
    for _ in range(2):
        assert client.code("UnlockSecretNo", **number) == "OK"
    assert [lock.id for lock in store.locks.all(limit=9)] == [kept.id]
    store.locks.lift(kept.id, by="a test")
    assert client.code("BindAxb700", OrderId="A-1", Expiration=beijing(HOUR), **bound) == "OK"
    reader = sign("couriers", scopes=frozenset({KeyScope.BINDINGS_WRITE}))
    assert reader.code("LockSecretNo", **number) == "Forbidden.RAM"


def test_how_many_numbers_are_left(
    client: AlibabaClient, store: BindingStore, sign: Opener, connection: Connection
) -> None:
    """Of the tenant's own blocks that take bindings, not locked; nor of shared or others' ones."""
    for digit, tenant in ((6, "couriers"), (7, "couriers"), (9, "drivers")):
        block = Block.parse(f"7001234567{digit}")
        store.inventory.add_block(block, operator=None, certificate=None, tenant=tenant)
    own = Block.parse("70012345676")
    assert bind_700(client, TelX=str(own.number(1)))["Code"] == "OK"

    def left(asked: AlibabaClient, **said: str) -> int:
        told = asked.ask("QuerySecretNoRemain", SpecId="1", **said)["SecretRemainDTO"]
        assert told["RemainDTOList"]["remainDTO"] == [{"Amount": told["Amount"], "City": "全国"}]
        return int(told["Amount"])

    assert left(client) == 19_999
    assert left(client, SecretNo="70012345676") == 9_999
    assert left(sign("drivers")) == 10_000
    assert (
        client.ask("LockSecretNo", PoolKey="couriers", SecretNo=str(own.number(2)))["Code"] == "OK"
    )
    assert left(client) == 19_998
    connection.execute("UPDATE agi_router.block SET valid_until = now() WHERE block = 70012345677")
    assert left(client) == 9_998
    connection.execute("UPDATE agi_router.block SET valid_until = 'infinity'")
    store.inventory.set_block_state(own, BlockState.DRAINING)
    assert left(client, City="北京") == 10_000
    assert client.code("QuerySecretNoRemain") == "MissingSpecId"
    for begin in ("13800000400", "700123456780"):
        assert client.code("QuerySecretNoRemain", SpecId="1", SecretNo=begin) == (
            "isv.ILLEGAL_ARGUMENT"
        )


def test_block_lists(store: BindingStore, client: AlibabaClient, sign: Opener) -> None:
    """A pair, or a number in all of the tenant's bindings; the same again changes nothing."""
    pool = {"PoolKey": "couriers"}
    pair = {"BlackNo": f"{A}:{B}", "BlackType": "POINT_TO_POINT_BLACK"}
    number = {"BlackNo": A, "BlackType": "PARTNER_GLOBAL_NUMBER_BLACK"}
    for given in (
        {**pair, "Remark": "asked for it"},
        {**number, "WayControl": "PHONEA_REJECT"},
        {**number, "WayControl": "PHONEB_REJECT"},
        number,
    ):
        for _ in range(2):
            assert client.code("AddSecretBlacklist", **pool, **given) == "OK"
    operate = {**pool, "BlackNo": A}
    assert client.code("OperateBlackNo", OperateType="AddBlack", **operate) == "OK"
    entries = store.blocklist.all(limit=9)
    assert [each.direction.value for each in entries] == ["both", "in", "out", "out"]
    assert {each.tenant for each in entries} == {"couriers"}
    pairing = entries[-1].pairing
    assert pairing is not None
    assert (entries[-1].note, pairing.other is None) == ("asked for it", False)
    assert client.code("OperateBlackNo", OperateType="DeleteBlack", **operate) == "OK"
    for _ in range(2):
        assert client.code("DeleteSecretBlacklist", **pool, **pair) == "OK"
    assert [each.direction.value for each in store.blocklist.all(limit=9)] == ["in", "out"]
    for action, given in (
        ("OperateBlackNo", {**operate, "OperateType": "Add"}),
        ("AddSecretBlacklist", {**pool, **number, "BlackType": "x"}),
        ("AddSecretBlacklist", {**pool, **number, "WayControl": "x"}),
        ("AddSecretBlacklist", {**pool, **pair, "BlackNo": f"{A}:{B}", "Remark": "x" * 501}),
    ):
        assert client.code(action, **given) == "isv.ILLEGAL_ARGUMENT"
    wrong = client.code("AddSecretBlacklist", **pool, **{**pair, "BlackNo": A})
    assert wrong == "isv.MOBILE_NUMBER_ILLEGAL"
    reader = sign("couriers", scopes=frozenset({KeyScope.BINDINGS_WRITE}))
    assert reader.code("OperateBlackNo", OperateType="AddBlack", **operate) == "Forbidden.RAM"


def audited(connection: Connection) -> list[str]:
    """The acts on record, but for looks."""
    rows = connection.execute("SELECT act FROM agi_router.audit ORDER BY id").fetchall()
    return [row["act"] for row in rows if not row["act"].startswith("Query")]


def test_numbers_that_strangers_may_call(
    client: AlibabaClient, sign: Opener, connection: Connection
) -> None:
    """Only where the operator lets them; who comes into them is on record."""
    given = {"PoolKey": "couriers", "PhoneNoA": A, "Expiration": beijing(HOUR)}
    dto = client.ask("BindAxn", PhoneNoB=B, **given)["SecretBindDTO"]
    assert "Extension" not in dto
    named = {"PoolKey": "couriers", "PhoneNoX": dto["SecretNo"], "SubsId": dto["SubsId"]}
    shown = client.ask("QuerySubscriptionDetail", **named)["SecretBindDetailDTO"]
    assert (shown["PhoneNoA"], shown["PhoneNoB"]) == (A, B)
    other = {"OperateType": "updateNoB", "PhoneNoB": C}
    assert client.code("UpdateSubscription", **other, **named) == "OK"
    shown = client.ask("QuerySubscriptionDetail", **named)["SecretBindDetailDTO"]
    assert (shown["PhoneNoA"], shown["PhoneNoB"]) == (A, C)
    assert audited(connection) == ["updateNoB"]
    assert client.code("UpdateSubscription", **{**other, "PhoneNoB": A}, **named) == (
        "isv.ILLEGAL_ARGUMENT"
    )
    dto = client.ask("BindAxnExtension", PhoneNoX=X, Extension="123", **given)["SecretBindDTO"]
    assert (dto["SecretNo"], dto["Extension"]) == (X, "123")
    dto = client.ask("BindAxnExtension", **{**given, "PhoneNoA": B})["SecretBindDTO"]
    assert dto["Extension"].isdigit()
    assert client.code("BindAxnExtension", Extension="123", **given) == "MissingPhoneNoX"
    assert client.code("BindAxnExtension", PhoneNoX=X, Extension="1234", **given) == (
        "isv.ILLEGAL_ARGUMENT"
    )
    closed = sign(open_modes=False)
    for action in ("BindAxn", "BindAxnExtension"):
        assert closed.code(action, **given) == "isv.FORBIDDEN_ACTION"


def test_a_resting_number(
    dsn: str, store: BindingStore, options: Options, client: AlibabaClient
) -> None:
    """It is frozen, and a bind on it is a conflict."""
    pool = StorePool(lambda: BindingStore(connect(dsn), store.keys), 1)
    app = create_app(pool, options)
    with TestClient(app, client=("127.0.0.1", 1)) as http:
        resting = replace(client, http=http)
        made = bind_700(resting)
        resting.ask("UnbindSubs700", **named(made))
        number = {"PoolKey": "couriers", "SecretNo": made["Data"]["SecretNo"]}
        told = resting.ask("QuerySecretNoDetail", **number)
        assert told["SecretNoInfoDTO"] == {"SecretStatus": 3}
        told = bind_700(resting, TelX=number["SecretNo"], TelA=C, TelB=D, OrderId="A-2")
        assert told["Code"] == "isv.BIND_CONFLICT"
    pool.close()


def test_groups_that_were_made_elsewhere(
    client: AlibabaClient, store: BindingStore, connection: Connection
) -> None:
    """Whom their B reaches is changed as that of GXB is: a member or another, and not B."""
    members = tuple(PhoneNumber(digits=each) for each in (A, B))
    made = store.bind(
        Gxb(members=members, b=PhoneNumber(digits=C)),
        Terms(expires_at=store.now() + HOUR, tenant="couriers"),
    )
    x = next(str(party.dials) for party in made.parties)
    name = {"PoolKey": "couriers", "TelX": x, "SubsId": str(made.id.id)}
    assert client.code("UpdateSubs700", OperateType="updateNoA", DefaultA=B, **name) == "OK"
    assert store.find(made.id).called_back == (PhoneNumber(digits=B),)
    assert client.code("UpdateSubs700", OperateType="updateNoA", DefaultA=D, **name) == "OK"
    assert store.find(made.id).called_back == (PhoneNumber(digits=D),)
    assert client.code("UpdateSubs700", OperateType="updateNoA", DefaultA=C, **name) == (
        "isv.ILLEGAL_ARGUMENT"
    )
    assert client.code("UpdateSubs700", OperateType="updateNoA", **name) == "MissingDefaultA"
    assert audited(connection) == ["updateNoA"] * 2


def test_the_life_of_a_group(
    client: AlibabaClient, store: BindingStore, connection: Connection
) -> None:
    """Made, bound by, changed with all bindings by it, removed; each change is on record."""
    pool = {"PoolKey": "couriers"}
    made = client.ask("CreateAxgGroup", Name="夜班", Remark="+*~/&", Numbers=f"{A},{B}", **pool)
    group = {**pool, "GroupId": str(made["GroupId"])}
    kept = store.find_group_by_id("couriers", made["GroupId"])
    assert (kept.label, [each.digits for each in kept.members]) == ("夜班: +*~/&", [A, B])
    bind = {**group, "Expiration": beijing(HOUR), "TelB": C, "DefaultA": B, "OrderId": "A-1"}
    bound = client.ask("BindGxb700", CallRestrict="CONTROL_GX_DISABLE", **bind)
    found = store.find(store.names.find(bound["Data"]["SecretNo"]))
    assert found.direction is Direction.B
    assert client.ask("BindGxb700", **bind)["Data"] == bound["Data"]
    other = client.ask("BindAxg", PhoneNoA=D, Expiration=beijing(HOUR), **group)

    def operate(what: str, numbers: str) -> Any:
        return client.code("OperateAxgGroup", OperateType=what, Numbers=numbers, **group)

    assert operate("addNumbers", "13900000009") == "OK"
    assert operate("addNumbers", D) == "isv.ILLEGAL_ARGUMENT"
    assert operate("deleteNumbers", A) == "OK"
    assert operate("deleteNumbers", A) == "isv.ILLEGAL_ARGUMENT"
    assert operate("overwriteNumbers", f"{B},13900000008") == "OK"
    assert operate("overwriteNumbers", "1") == "isv.MOBILE_NUMBER_ILLEGAL"
    assert operate("removeNumbers", A) == "isv.ILLEGAL_ARGUMENT"
    for x in (bound["Data"]["SecretNo"], other["SecretBindDTO"]["SecretNo"]):
        found = store.find(store.names.find(x))
        members = {each.number.digits for each in found.parties if each.side is Side.A}
        assert members == {B, "13900000008"}
    assert client.code("DeleteAxgGroup", **group) == "isv.FORBIDDEN_ACTION"
    another = client.ask("CreateAxgGroup", Numbers=A, **pool)["GroupId"]
    moved = {**named(bound), "OperateType": "updateAxgGroup", "GroupId": str(another)}
    assert client.code("UpdateSubs700", **moved) == "OK"
    assert detail(client, bound)["GroupId"] == another
    ended = {"SecretNo": other["SecretBindDTO"]["SecretNo"], **pool}
    client.ask("UnbindSubscription", SubsId=other["SecretBindDTO"]["SubsId"], **ended)
    assert client.code("DeleteAxgGroup", **group) == "OK"
    assert client.code("DeleteAxgGroup", **group) == "isv.ILLEGAL_ARGUMENT"
    gone = {"PhoneNoX": ended["SecretNo"], "SubsId": other["SecretBindDTO"]["SubsId"]}
    over = client.ask("QuerySubscriptionDetail", **gone, **pool)["SecretBindDetailDTO"]
    assert (over["Status"], "GroupId" in over) == (0, False)
    acts = audited(connection)
    assert (acts.count("OperateAxgGroup"), acts.count("DeleteAxgGroup")) == (3, 1)


def test_the_older_actions_speak_of_axg(client: AlibabaClient, store: BindingStore) -> None:
    """A is whom the members reach, and B whom A reaches: bound, restricted, changed and shown."""
    pool = {"PoolKey": "couriers"}
    group = {**pool, "GroupId": str(client.ask("CreateAxgGroup", Numbers=A, **pool)["GroupId"])}
    given = {**group, "PhoneNoA": B, "PhoneNoB": A, "Expiration": beijing(HOUR)}
    made = client.ask("BindAxg", CallRestrict="CONTROL_AX_DISABLE", **given)["SecretBindDTO"]
    named = {**pool, "PhoneNoX": made["SecretNo"], "SubsId": made["SubsId"]}

    def shown() -> tuple[str | None, ...]:
        told = client.ask("QuerySubscriptionDetail", **named)["SecretBindDetailDTO"]
        return tuple(told.get(name) for name in ("PhoneNoA", "PhoneNoB", "CallRestrict"))

    def update(what: str, **own: str) -> str:
        # The action says of what is spoken, not a parameter that is none of its own.
        return client.code("UpdateSubscription", OperateType=what, TelX=X, **named, **own)

    def kept() -> Binding:
        return store.find(store.names.find(made["SecretNo"]))

    assert (shown(), kept().direction) == ((B, A, "CONTROL_AX_DISABLE"), Direction.A)
    for word, direction in (
        ("CONTROL_BX_DISABLE", Direction.B),
        ("CONTROL_GX_DISABLE", Direction.B),
        ("CONTROL_CLEAR_DISABLE", Direction.BOTH),
    ):
        assert update("updateCallRestrict", CallRestrict=word) == "OK"
        assert kept().direction is direction
    assert update("updateNoA", PhoneNoA=C) == "OK"
    assert update("updateNoB", PhoneNoB=D) == "OK"
    assert update("updateNoB") == "MissingPhoneNoB"
    assert shown() == (C, D, None)
    (b,) = (each.number.digits for each in kept().parties if each.side is Side.B)
    assert (b, [each.digits for each in kept().called_back]) == (C, [D])


def test_another_tenants_group(client: AlibabaClient, store: BindingStore) -> None:
    """It is answered as one that is not there."""
    theirs = str(store.add_group("drivers", "team", [PhoneNumber(digits=A)]).id)
    given = {"PoolKey": "couriers", "Expiration": beijing(HOUR), "TelB": B}
    for number in (theirs, "99999999"):
        answer = client.ask("BindGxb700", GroupId=number, **given)
        assert (answer["Code"], "GroupId" in answer["Message"]) == ("isv.ILLEGAL_ARGUMENT", True)
    assert client.code("BindGxb700", **given) == "MissingGroupId"


def test_what_a_bind_is_told(client: AlibabaClient) -> None:
    """Each code of the table, and nothing of what came."""
    cases: list[tuple[dict[str, str], str]] = [
        ({"TelA": "700123456780001"}, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"TelA": "1380000"}, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"TelB": A}, "isv.ILLEGAL_ARGUMENT"),
        ({"TelX": "700999999990001"}, "isv.FORBIDDEN_ACTION"),
        ({"TelX": "7001"}, "isv.ILLEGAL_ARGUMENT"),
        ({"PoolKey": "drivers"}, "isv.POOLKEY_NOT_EXISTS"),
        ({"PoolKey": "nobody"}, "isv.POOLKEY_NOT_EXISTS"),
        ({"PoolKey": ""}, "MissingPoolKey"),
        ({"TelA": ""}, "MissingTelA"),
        ({"Expiration": ""}, "MissingExpiration"),
        ({"Expiration": "2026-01-31T15:04:05"}, "isv.EXPIRE_DATE_ILLEGAL"),
        ({"Expiration": "2020-01-31 15:04:05"}, "isv.EXPIRE_DATE_ILLEGAL"),
        ({"Expiration": beijing(timedelta(seconds=50))}, "isv.EXPIRE_DATE_ILLEGAL"),
        ({"Expiration": beijing(timedelta(days=91))}, "isv.EXPIRE_DATE_ILLEGAL"),
        ({"CallRestrict": "CONTROL_NOBODY"}, "isv.ILLEGAL_ARGUMENT"),
        ({"CallTimeout": "4"}, "isv.ILLEGAL_ARGUMENT"),
        ({"NeedRecord": "perhaps"}, "isv.ILLEGAL_ARGUMENT"),
        ({"NeedRecord": "true"}, "OK"),
        ({"NeedAsr": "True"}, "isv.ILLEGAL_ARGUMENT"),
        ({"NeedAsr": "perhaps"}, "isv.ILLEGAL_ARGUMENT"),
        ({"Audio": '{"ACallX_Apre": "1"}'}, "isv.ILLEGAL_ARGUMENT"),
        ({"Audio": "[]"}, "isv.ILLEGAL_ARGUMENT"),
        ({"DtmfConfig": '{"a": 1}'}, "isv.ILLEGAL_ARGUMENT"),
        ({"OrderId": "x" * 129}, "isv.ILLEGAL_ARGUMENT"),
        ({"Audio": "{}", "DtmfConfig": "", "NeedRecord": "False"}, "OK"),
        ({"OrderId": AWKWARD, "IndustrialId": AWKWARD, "OutOrderId": AWKWARD}, "OK"),
        ({"CallRestrict": "CONTROL_CLEAR_DISABLE"}, "OK"),
    ]
    for own, code in cases:
        given = {"PoolKey": "couriers", "Expiration": beijing(HOUR), "TelA": A, "TelB": B, **own}
        told = client.send("BindAxb700", given).json()
        assert told["Code"] == code, own
        assert A not in told["Message"]
        assert B not in told["Message"]


def test_the_message_names_what_is_wrong(client: AlibabaClient, connection: Connection) -> None:
    """Also where no parameter is wrong by itself."""
    connection.execute("UPDATE agi_router.tenant SET needs_order = true")
    given = {"PoolKey": "couriers", "Expiration": beijing(HOUR), "TelA": A, "TelB": B}
    for own, name in (({"OrderId": ""}, "OrderId"), ({"OrderId": "A-1", "TelB": A}, "TelA, TelB")):
        told = client.send("BindAxb700", {**given, **own}).json()
        assert told["Code"] == "isv.ILLEGAL_ARGUMENT"
        assert name in told["Message"]


def test_conflicts(client: AlibabaClient) -> None:
    """A party is on the number already; no number is told, masked ones neither."""
    bind_700(client, TelX=X)
    given = {"PoolKey": "couriers", "Expiration": beijing(HOUR), "TelX": X}
    told = client.ask("BindAxb700", TelA=A, TelB=C, OrderId="A-2", **given)
    assert (told["Code"], told["Success"]) == ("isv.BIND_CONFLICT", False)
    assert "138" not in told["Message"]


def test_no_number_is_left(client: AlibabaClient, store: BindingStore) -> None:
    """Why, in words that say how many."""
    store.inventory.set_block_state(BLOCK, BlockState.DRAINING)
    told = bind_700(client)
    assert told["Code"] == "isv.NO_AVAILABLE_NUMBER"
    assert told["Message"].startswith("无可用号码: ")


def test_as_many_as_may_be(client: AlibabaClient, connection: Connection) -> None:
    """A tenant's limit is the flow control of these clients."""
    connection.execute("UPDATE agi_router.tenant SET max_bindings = 1 WHERE name = 'couriers'")
    assert bind_700(client)["Code"] == "OK"
    told = bind_700(client, TelA=C, TelB=D, OrderId="A-1002")
    assert (told["Code"], told["Success"]) == ("isv.FLOW_LIMIT", False)


def test_parties_are_replaced(client: AlibabaClient, store: BindingStore) -> None:
    """By the names of both actions; it is on record, and one who is on the number is refused."""
    made = bind_700(client, TelX=X)
    other = bind_700(client, TelA=C, TelB=D, TelX=X, OrderId="A-1002")
    replaced = {"OperateType": "updateNoA", "TelA": E}
    assert client.code("UpdateSubs700", **replaced, **named(made)) == "OK"
    number = {"PhoneNoX": X, "SubsId": str(made["Data"]["SubsId"])}
    replaced = {"OperateType": "updateNoB", "PhoneNoB": F, **number}
    assert client.code("UpdateSubscription", PoolKey="couriers", **replaced) == "OK"
    binding = store.find(BindingId(BLOCK, made["Data"]["SubsId"]))
    assert [party.number.digits for party in binding.parties] == [E, F]
    assert audited(store.connection) == ["updateNoA", "updateNoB"]
    for side, number_of in (("A", C), ("B", D)):
        taken = {"OperateType": f"updateNo{side}", f"Tel{side}": number_of}
        assert client.code("UpdateSubs700", **taken, **named(made)) == "isv.UPDATE_CONFLICT"
    assert client.code("UnbindSubs700", **named(other)) == "OK"


def test_what_a_change_is_told(client: AlibabaClient) -> None:
    """It changes what it names, or nothing."""
    too_soon = beijing(timedelta(seconds=50))
    cases: list[tuple[dict[str, str], str]] = [
        ({"OperateType": "updateNoA"}, "MissingTelA"),
        ({"OperateType": "updateNoA", "TelB": C}, "MissingTelA"),
        ({"OperateType": "updateNoA", "TelA": "1380000"}, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"OperateType": "updateNoA", "TelA": B}, "isv.ILLEGAL_ARGUMENT"),
        ({"OperateType": "updateNoB", "TelB": A}, "isv.ILLEGAL_ARGUMENT"),
        ({"OperateType": "updateCallRestrict"}, "MissingCallRestrict"),
        ({"OperateType": "updateCallRestrict", "CallRestrict": "x"}, "isv.ILLEGAL_ARGUMENT"),
        ({"OperateType": "updateAxgGroup"}, "MissingGroupId"),
        ({"OperateType": "updateAxgGroup", "GroupId": "99"}, "isv.ILLEGAL_ARGUMENT"),
        ({"OperateType": "updateOutId"}, "MissingOutId"),
        ({"OperateType": "updateOutId", "OutId": "x" * 129}, "isv.ILLEGAL_ARGUMENT"),
        ({"OperateType": "updateEverything"}, "isv.ILLEGAL_ARGUMENT"),
        ({"OperateType": ""}, "MissingOperateType"),
        ({"OperateType": "updateExpire"}, "MissingExpiration"),
        ({"OperateType": "updateExpire", "Expiration": too_soon}, "isv.EXPIRE_DATE_ILLEGAL"),
        ({"OperateType": "updateIsRecordingEnabled", "NeedRecord": "x"}, "isv.ILLEGAL_ARGUMENT"),
        ({"OperateType": "updateCallDisplayType", "CallDisplayType": "2"}, "isv.ILLEGAL_ARGUMENT"),
        ({"OperateType": "updateExpire", "SubsId": "0"}, "isv.SUBS_NOT_EXIST"),
        ({"OperateType": "updateExpire", "SubsId": ""}, "MissingSubsId"),
        ({"OperateType": "updateExpire", "SubsId": "x"}, "isv.ILLEGAL_ARGUMENT"),
        ({"OperateType": "updateExpire", "TelX": str(BLOCK.number(7))}, "isv.SUBS_NOT_EXIST"),
    ]
    made = bind_700(client, TelX=X)
    before = detail(client, made)
    for own, code in cases:
        assert client.code("UpdateSubs700", **{**named(made), **own}) == code, own
        assert detail(client, made) == before


def test_another_tenants_bindings_do_not_exist(client: AlibabaClient, sign: Opener) -> None:
    """Whatever names them, and whatever pool is said."""
    made = bind_700(client)
    name = named(made)
    other = sign("drivers")
    for pool, code in (("drivers", "isv.SUBS_NOT_EXIST"), ("couriers", "isv.POOLKEY_NOT_EXISTS")):
        assert other.code("UnbindSubs700", **{**name, "PoolKey": pool}) == code
    assert other.code("QuerySubsId", PhoneNoX=name["TelX"]) == "isv.SUBS_NOT_EXIST"
    assert detail(client, made)["Status"] == 1
    operator = sign(None, scopes=frozenset(KeyScope))
    assert operator.code("UnbindSubs700", **{**name, "PoolKey": "drivers"}) == "isv.SUBS_NOT_EXIST"
    assert operator.code(
        "BindAxb700", PoolKey="nobody", TelA=C, TelB=D, Expiration=beijing(HOUR)
    ) == ("isv.POOLKEY_NOT_EXISTS")
    for nobody in ("nobody", "a\0b"):
        told = {**name, "PoolKey": nobody, "TelA": C, "TelB": D, "Expiration": beijing(HOUR)}
        told |= {"PhoneNoX": name["TelX"], "SecretNo": name["TelX"]}
        for action in ("BindAxb700", "UnbindSubs700", "QuerySubsId", "QuerySecretNoDetail"):
            assert operator.code(action, **told) == "isv.POOLKEY_NOT_EXISTS", action
    assert operator.code("UnbindSubs700", **{**name, "PoolKey": " couriers"}) == "OK"


def test_a_block_of_another_tenant(client: AlibabaClient, store: BindingStore) -> None:
    """Its numbers are not there."""
    block = Block(value=BLOCK.value + 1)
    store.inventory.add_block(block, operator=None, certificate=None, tenant="drivers")
    for number in (block.number(1), Block(value=70099999999).number(1)):
        assert client.code("QuerySecretNoDetail", PoolKey="couriers", SecretNo=str(number)) == (
            "isv.NO_NOT_EXIST"
        )


def test_numbers_are_shown_by_scope(
    sign: Opener, client: AlibabaClient, connection: Connection
) -> None:
    """Masked without it; in full with it, which is written down before."""
    made = bind_700(client)
    reader = sign(scopes=frozenset({KeyScope.BINDINGS_READ}))
    assert detail(reader, made)["PhoneNoA"] == PhoneNumber(digits=A).masked
    count = "SELECT count(*) FROM agi_router.audit WHERE act = 'QuerySubscriptionDetail'"
    assert one(connection, count) == 0
    assert detail(client, made)["PhoneNoA"] == A
    assert one(connection, count) == 1
    refused = reader.send("UnbindSubs700", named(made)).json()
    assert refused["Code"] == "Forbidden.RAM"
    assert refused["Message"].endswith(": bindings:write")


def test_what_is_not_served(client: AlibabaClient) -> None:
    """It is known, and says so."""
    assert not {*NEVER} & {*ACTIONS}
    for name in NEVER:
        answer = client.send(name, {"PoolKey": "couriers"})
        assert (answer.status_code, answer.json()["Code"]) == (400, "UnsupportedOperation"), name


def test_what_nobody_knows(client: AlibabaClient) -> None:
    """Names are those of the product, in their case."""
    assert client.code("bindAxb700") == "InvalidApi.NotFound"
    headers = client.acs3("BindAxb700", {}, x_acs_version="2017-05-26")
    assert client.http.post("/", headers=headers).json()["Code"] == "NoSuchVersion"


def test_rpc_in_query_and_body(client: AlibabaClient) -> None:
    """The older scheme, as the older clients send it."""
    own = {"PoolKey": "couriers", "TelA": A, "TelB": B, "Expiration": beijing(HOUR)}
    form = {"content-type": "application/x-www-form-urlencoded"}
    first = client.http.post("/?" + urlencode(client.rpc("BindAxb700", own)))
    assert first.json()["Code"] == "OK"
    body = urlencode(client.rpc("BindAxb700", {**own, "TelA": C, "TelB": D}))
    assert client.http.post("/", content=body, headers=form).json()["Code"] == "OK"


def test_who_may_ask(sign: Opener, client: AlibabaClient, connection: Connection) -> None:
    """What is wrong with a signature or a key has a code of its own."""

    def code(asked: AlibabaClient, **common: str) -> tuple[int, str]:
        headers = asked.acs3("QuerySubsId", {}, **common)
        answer = asked.http.post("/", headers=headers)
        return answer.status_code, answer.json()["Code"]

    assert code(client) == (400, "MissingPhoneNoX")
    assert code(replace(client, key_id="q" * 16)) == (404, "InvalidAccessKeyId.NotFound")
    assert code(replace(client, secret="x")) == (400, "SignatureDoesNotMatch")
    assert code(client, x_acs_date="2020-01-01T00:00:00Z") == (400, "InvalidTimeStamp.Expired")
    assert code(client, x_acs_date="now") == (400, "InvalidTimeStamp.Format")
    assert code(client, x_acs_security_token="x") == (400, "InvalidSecurityToken")
    rpc = urlencode(client.rpc("QuerySubsId", {}, SignatureMethod="HMAC-MD5"))
    assert client.http.post(f"/?{rpc}").json()["Code"] == "InvalidSignatureMethod"
    assert client.http.post("/").json()["Code"] == "MissingSignature"
    headers = {"authorization": "Bearer x"}
    assert client.http.post("/", headers=headers).json()["Code"] == "IncompleteSignature"
    far = sign("drivers", networks=(ip_network("192.0.2.0/24"),))
    assert code(far) == (403, "Forbidden.RAM")
    ApiKeyStore(Queries(connection)).revoke(client.key_id)
    assert code(client) == (400, "InvalidAccessKeyId.Inactive")


def test_a_key_that_signs_by_acs3_alone(sign: Opener) -> None:
    """By the older scheme it opens nothing, and nobody else learns that."""
    client = sign(form=KeyForm.ACS3)
    own = {"PoolKey": "couriers", "TelA": A, "TelB": B, "Expiration": beijing(HOUR)}
    # The second time the key is known already.
    for _ in range(2):
        assert client.code("BindAxb700", **own) == "OK"
        for asked, code in (
            (client, "InvalidSignatureMethod"),
            (replace(client, secret="x"), "SignatureDoesNotMatch"),
        ):
            answer = asked.http.post("/?" + urlencode(asked.rpc("BindAxb700", own)))
            assert (answer.status_code, answer.json()["Code"]) == (400, code)


def test_a_bearer_does_not_sign(client: AlibabaClient, make_key: Callable[..., str]) -> None:
    """Its secret is not at hand; it is no key of this door."""
    bearer = make_key("drivers")
    _, key_id, secret = bearer.split("_", 2)
    other = replace(client, key_id=key_id, secret=secret)
    assert other.code("QuerySubsId") == "InvalidAccessKeyId.NotFound"


def test_a_suspended_tenant(client: AlibabaClient, store: BindingStore) -> None:
    """Its account is out of service."""
    store.inventory.tenants.set_active("couriers", active=False)
    assert client.code("QuerySubsId") == "isv.OUT_OF_SERVICE"


def test_a_nonce_is_taken_once(sign: Opener) -> None:
    """By whatever process of the door: the database keeps it."""
    first, second = sign(), sign("drivers")
    headers = first.acs3("QuerySubsId", {})
    assert first.http.post("/", headers=headers).json()["Code"] == "MissingPhoneNoX"
    for client in (first, second):
        assert client.http.post("/", headers=headers).json()["Code"] == "SignatureNonceUsed"
    # In another spelling it is the same one, or none.
    for blank, code in ((b"\t", "SignatureNonceUsed"), (b"\xa0", "SignatureDoesNotMatch")):
        spelled = {name.encode(): value.encode() for name, value in headers.items()}
        spelled[b"x-acs-date"] += blank
        assert first.http.post("/", headers=spelled).json()["Code"] == code


def test_a_nonce_that_was_forgotten(sign: Opener, connection: Connection) -> None:
    """By a database that has crashed: nothing is done, and a client may try again."""
    client = sign()
    headers = client.acs3("QuerySubsId", {})
    assert client.http.post("/", headers=headers).json()["Code"] == "MissingPhoneNoX"
    connection.execute("TRUNCATE agi_router.nonce, agi_router.nonce_since")
    answer = client.http.post("/", headers=headers)
    assert (answer.status_code, answer.json()["Code"]) == (503, "ServiceUnavailable")
    assert answer.headers["Retry-After"] == "11"


def test_nonces_that_cannot_be_asked_for(client: AlibabaClient, connection: Connection) -> None:
    """Nothing is done, also where a bind is one statement; afterwards it is."""
    count = "SELECT count(*) FROM agi_router.binding"
    assert bind_700(client)["Code"] == "OK"
    connection.execute("ALTER TABLE agi_router.nonce RENAME TO away")
    given = {"PoolKey": "couriers", "TelA": C, "TelB": D, "Expiration": beijing(HOUR)}
    for action in ("BindAxb700", "QuerySubsId"):
        assert client.code(action, **given) in {"InternalError", "ServiceUnavailable"}
    assert one(connection, count) == 1
    connection.execute("ALTER TABLE agi_router.away RENAME TO nonce")
    assert client.code("BindAxb700", **given) == "OK"
    assert one(connection, count) == 2


def test_strangers_take_no_nonce(client: AlibabaClient, connection: Connection) -> None:
    """A wrong signature fills nothing."""
    replace(client, secret="x").send("QuerySubsId", {})
    assert one(connection, "SELECT count(*) FROM agi_router.nonce") == 0


def test_limits(sign: Opener) -> None:
    """How long to wait is told as the clients read it."""
    client = sign(rate=Rate(1, HOUR))
    assert client.code("QuerySubsId") == "MissingPhoneNoX"
    answer = client.send("QuerySubsId", {})
    assert (answer.status_code, answer.json()["Code"]) == (429, "Throttling.User")
    assert int(answer.headers["x-acs-retry-after"]) == 1000 * int(answer.headers["retry-after"])
    wrong = sign("drivers", wrong_keys=Rate(1, HOUR))
    assert replace(wrong, secret="x").code("QuerySubsId") == "SignatureDoesNotMatch"
    assert wrong.code("QuerySubsId") == "Throttling.User"


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> Iterator[None]:
    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(ApiKeyStore, "find_shown", fail)
        yield


def test_every_answer_is_theirs(
    client: AlibabaClient,
    sign: Opener,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever the status, JSON with the three fields; a client takes other JSON for success."""
    http = client.http
    answers = [
        http.get("/"),
        http.put("/"),
        http.delete("/"),
        http.get("/dypls/"),
        http.get("/favicon.ico"),
        http.post("/", content=b"x" * (2**16 + 1)),
        http.post("/", content=b"x" * (2**20 + 1)),
        http.post("/?a=%ff"),
        http.post("/?a=1&a=2"),
        sign("drivers", address="192.0.2.1").http.post("/"),
    ]
    with failing(monkeypatch, StoreUnavailable(A)):
        answers.append(client.send("QuerySubsId", {}))
    caplog.set_level(logging.INFO)
    with failing(monkeypatch, RuntimeError(A)):
        answers.append(client.send("QuerySubsId", {}))
    told = [(answer.status_code, answer.json()["Code"]) for answer in answers]
    assert told == [
        (400, "MissingSignature"),
        (403, "UnsupportedHTTPMethod"),
        (403, "UnsupportedHTTPMethod"),
        (404, "InvalidApi.NotFound"),
        (404, "InvalidApi.NotFound"),
        (413, "RequestBodyTooLarge"),
        (413, "RequestBodyTooLarge"),
        (400, "InvalidParameter"),
        (400, "InvalidParameter"),
        (404, "InvalidProtocol.NeedSsl"),
        (503, "ServiceUnavailable"),
        (500, "InternalError"),
    ]
    for answer in answers:
        assert {"Code", "Message", "RequestId"} == set(answer.json())
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["RequestId"] == answer.headers["x-request-id"]
        assert A not in answer.text
    assert http.head("/").status_code == 403
    assert "http.failed" in caplog.text
    assert A not in caplog.text


def test_a_query_is_bounded() -> None:
    """A client could not even write one so long."""
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": "/",
        "query_string": b"a" * (LARGEST + 1),
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8700),
        "state": {"body": b""},
    }
    with pytest.raises(Fault) as caught:
        read_request(Request(scope))
    assert caught.value.code == "RequestBodyTooLarge"


def test_the_log_holds_no_number(client: AlibabaClient, caplog: pytest.LogCaptureFixture) -> None:
    """A line a request: action, code, ids; nothing of its parameters."""
    caplog.set_level(logging.INFO, "agi_router")
    bind_700(client)
    client.code("13800000400")
    lines = [vars(record) for record in caplog.records if record.message == "http.request"]
    assert [(line["action"], line["code"]) for line in lines] == [
        ("BindAxb700", "ok"),
        (None, "InvalidApi.NotFound"),
    ]
    assert all(A not in str(line) and B not in str(line) for line in lines)


@pytest.fixture
def crowded(
    dsn: str, store: BindingStore, options: Options, client: AlibabaClient
) -> Iterator[AlibabaClient]:
    """The same client at a door that has a store for each of twenty requests."""
    pool = StorePool(lambda: BindingStore(connect(dsn), store.keys, NO_REST), 20)
    with TestClient(create_app(pool, options), client=("127.0.0.1", 1)) as http:
        yield replace(client, http=http)
    pool.close()


def test_the_same_order_is_bound_once(
    client: AlibabaClient, crowded: AlibabaClient, connection: Connection
) -> None:
    """Twenty at once, and once more: one binding. Another X is another one, and so is one anew."""
    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(lambda _: bind_700(crowded)["Data"]["SubsId"], range(20)))
    assert len(set(made)) == 1
    count = "SELECT count(*) FROM agi_router.binding"
    assert one(connection, count) == 1
    first = bind_700(client)
    assert first["Data"]["SubsId"] == made[0]
    assert bind_700(client, TelX=first["Data"]["SecretNo"]) | {"RequestId": ""} == first | {
        "RequestId": ""
    }
    assert bind_700(client, TelX=X)["Data"]["SubsId"] != made[0]
    assert bind_700(client, OrderId="A-1002")["Data"]["SubsId"] != made[0]
    client.ask("UnbindSubs700", **named(first))
    client.ask("UnbindSubs700", **named(bind_700(client, TelX=X)))
    assert bind_700(client)["Data"]["SubsId"] != made[0]


def test_out_order_ids(client: AlibabaClient, crowded: AlibabaClient, sign: Opener) -> None:
    """The answer of the first, whatever has become of it; for something else a conflict."""
    name = f"once-{secrets.token_hex(4)}"
    given = {"OutOrderId": name, "Expiration": beijing(HOUR)}
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: bind_700(crowded, **given)["Data"], range(8)))
    assert all(each == made[0] for each in made)
    client.ask("UnbindSubs700", **named({"Data": made[0]}))
    assert bind_700(client, **given)["Data"] == made[0]
    told = bind_700(client, **{**given, "TelB": C})
    assert (told["Code"], told["Success"]) == ("isv.BIND_CONFLICT", False)
    assert bind_700(client, **{**given, "OutOrderId": f"{name}-2"})["Data"] != made[0]
    other = sign("drivers")
    assert bind_700(other, **given, PoolKey="drivers")["Code"] == "OK"


def test_out_order_ids_in_pools(client: AlibabaClient, sign: Opener, store: BindingStore) -> None:
    """A tenant's own, though a pool of another is called the same, or as the tenant is."""
    given = {"OutOrderId": f"once-{secrets.token_hex(4)}", "Expiration": beijing(HOUR)}
    for tenant, name in (("couriers", "FC1"), ("drivers", "FC1"), ("drivers", "couriers")):
        store.pools.add(tenant, name)
    other = sign("drivers")
    made = [
        bind_700(who, **given, PoolKey=key)["Data"]
        for key in ("FC1", "couriers")
        for who in (client, other)
    ]
    assert [store.find(store.names.find(each["SecretNo"])).tenant for each in made] == [
        *("couriers", "drivers"),
        *("couriers", "drivers"),
    ]


def test_directions_are_those_of_the_binding(client: AlibabaClient, store: BindingStore) -> None:
    """Who may not call is who is named."""
    for serial, (word, direction) in enumerate(
        {
            "CONTROL_AX_DISABLE": Direction.B,
            "CONTROL_BX_DISABLE": Direction.A,
            "CONTROL_CLEAR_DISABLE": Direction.BOTH,
        }.items()
    ):
        made = bind_700(client, CallRestrict=word, OrderId=f"D-{serial}")["Data"]
        found = store.find(store.names.find(made["SecretNo"]))
        assert found.direction is direction


PAGE = (Path(__file__).parents[2] / "docs/alibaba.md").read_text("utf-8")


def first_cells(first: str, last: str) -> list[str]:
    """What stands in the first cells of a part of the page's tables."""
    part = PAGE[PAGE.index(first) : PAGE.index(last)]
    rows = re.findall(r"(?m)^\| (`[^|]*) \|", part)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def test_the_page_lists_every_action() -> None:
    """Those that are served, and the others."""
    assert first_cells("## Actions", "| parameter |") == list(ACTIONS)
    assert first_cells("Never served", "## Sent again") == list(NEVER)
    assert set(first_cells("| `OperateType`", "Never served")) - {"OperateType"} == set(CHANGES)


def test_the_page_lists_every_code() -> None:
    """With its status."""
    assert first_cells("## Errors", "Answered before") == list(BUSINESS)
    part = PAGE[PAGE.index("Answered before") :]
    for statuses, told in re.findall(r"(?m)^\| ([0-9, ]+) \| (.*) \|$", part):
        codes = set(re.findall(r"`([A-Z][A-Za-z.]+)`", told))
        of_status = {code for code, (at, _) in GATEWAY.items() if str(at) in statuses}
        assert of_status == codes - {"Retry-After"}, statuses


def test_pools(client: AlibabaClient, sign: Opener, store: BindingStore) -> None:
    """A PoolKey names a pool, or the tenant with all that it has, in pools and out of them."""
    other = Block.parse("70022345678")
    store.inventory.add_block(other, operator=None, certificate=None)
    store.pools.add("couriers", "FC1001", blocks=(other,), prompts="rides")
    store.pools.add("couriers", "FC1002", mode=Mode.GXB)
    store.pools.add("drivers", "FC1003")
    made = bind_700(client, PoolKey="FC1001")
    number = made["Data"]["SecretNo"]
    assert number.startswith(str(other))
    found = store.find(store.names.find(number))
    assert (found.tenant, found.pool, found.prompts) == ("couriers", "FC1001", "rides")
    # Asked again it is the same, and in no pool another one.
    assert bind_700(client, PoolKey="FC1001")["Data"] == made["Data"]
    plain = bind_700(client)
    assert plain["Data"] != made["Data"]
    assert client.code("QuerySubsId", PhoneNoX=number, PoolKey="FC1002") == "isv.SUBS_NOT_EXIST"
    for key in ("FC1001", "couriers"):
        told = client.ask("QuerySubsId", PhoneNoX=number, PoolKey=key)
        assert told["SubsId"] == str(made["Data"]["SubsId"])
    given = {"Expiration": beijing(HOUR), "TelA": C, "TelB": D, "OrderId": "A-1002"}
    another = client.ask("BindAxb700", PoolKey="FC1002", **given)
    assert another["Code"] == "isv.FORBIDDEN_ACTION"
    assert "PoolKey" in another["Message"]
    foreign = client.code("BindAxb700", PoolKey="FC1001", TelX=X, **given)
    assert foreign == "isv.FORBIDDEN_ACTION"
    for key in ("FC1003", "drivers", "FC1004", C):
        assert client.code("BindAxb700", PoolKey=key, **given) == "isv.POOLKEY_NOT_EXISTS"
    wrong = {**named(made), "PoolKey": "FC1002"}
    assert client.code("UnbindSubs700", **wrong) == "isv.SUBS_NOT_EXIST"
    wrong = {**named(plain), "PoolKey": "FC1001"}
    assert client.code("UnbindSubs700", **wrong) == "isv.SUBS_NOT_EXIST"
    assert client.ask("UnbindSubs700", **{**named(made), "PoolKey": "FC1001"})["Code"] == "OK"
    operators = sign(None)
    assert operators.code("BindAxb700", PoolKey="FC1001", **given) == "isv.POOLKEY_NOT_EXISTS"


def test_a_batch_of_a_group(sign: Opener, connection: Connection, store: BindingStore) -> None:
    """Each by itself, in the order in which they came; what is asked again is answered again."""
    client = sign()
    pool = {"PoolKey": "couriers"}
    group = str(client.ask("CreateAxgGroup", Numbers=f"{A},{B}", **pool)["GroupId"])
    rows: list[dict[str, Any]] = [
        {"PhoneNoA": C, "GroupId": group, "Expiration": beijing(HOUR), "OutOrderId": "batch-1"},
        {"PhoneNoA": A, "GroupId": group, "Expiration": beijing(HOUR)},
        {"PhoneNoA": D, "GroupId": "99", "Expiration": beijing(HOUR)},
        {"GroupId": group, "Expiration": beijing(HOUR)},
        # Not another tenant's pool, whatever the row says.
        {"PhoneNoA": E, "GroupId": group, "Expiration": beijing(HOUR), "PoolKey": "drivers"},
        {"PhoneNoA": F, "GroupId": int(group), "Expiration": beijing(HOUR), "PhoneNoB": B},
    ]
    told = client.ask("BindBatchAxg", AxgBindList=json.dumps(rows), **pool)
    assert told["Code"] == "OK"
    bound = told["SecretBindList"]["SecretBind"]
    assert [each["Code"] for each in bound] == [
        "OK",
        "isv.ILLEGAL_ARGUMENT",
        "isv.ILLEGAL_ARGUMENT",
        "MissingPhoneNoA",
        "OK",
        "OK",
    ]
    assert [each.get("PhoneNoA") for each in bound] == [C, A, D, None, E, F]
    assert [each["GroupId"] for each in bound] == [group, group, "99", group, group, group]
    assert all("SubsId" in each and "SecretNo" in each for each in bound if each["Code"] == "OK")
    made = store.find(store.names.find(bound[5]["SecretNo"]))
    assert made.tenant == "couriers"
    assert isinstance(made.parties[0].number, PhoneNumber)
    again = client.ask("BindBatchAxg", AxgBindList=json.dumps(rows[:1]), **pool)
    assert again["SecretBindList"]["SecretBind"] == bound[:1]
    # What is kept to be answered again has no real number in it.
    kept = connection.execute("SELECT body FROM agi_router.answer").fetchall()
    assert kept
    assert not any(number in str(kept) for number in (A, B, C, D, E, F))
    flat = {f"AxgBindList.1.{name}": str(value) for name, value in rows[0].items()}
    told = client.ask("BindBatchAxg", **flat, **pool)
    assert told["SecretBindList"]["SecretBind"] == bound[:1]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, "MissingAxgBindList"),
        ({"AxgBindList": "[]"}, "MissingAxgBindList"),
        ({"AxgBindList": "{}"}, "isv.ILLEGAL_ARGUMENT"),
        ({"AxgBindList": json.dumps([{}] * 201)}, "isv.ILLEGAL_ARGUMENT"),
        ({"AxgBindList": "[{}]", "PoolKey": "drivers"}, "OK"),
    ],
)
def test_a_batch_that_is_none(sign: Opener, given: dict[str, str], code: str) -> None:
    """It is refused as a whole; that its pool is not ours is said of each."""
    assert sign().code("BindBatchAxg", **{"PoolKey": "couriers", **given}) == code


def test_a_batch_in_which_the_database_goes_away(
    sign: Opener, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it was done, as it is told."""
    client = sign()
    pool = {"PoolKey": "couriers"}
    group = str(client.ask("CreateAxgGroup", Numbers=A, **pool)["GroupId"])
    rows = [{"PhoneNoA": each, "GroupId": group, "Expiration": beijing(HOUR)} for each in (B, C)]
    bind = BindingStore.bind

    made: list[Any] = []

    def fails_second(self: BindingStore, *args: Any, **terms: Any) -> Any:
        if made:
            raise StoreUnavailable("it went away")
        made.append(bind(self, *args, **terms))
        return made[0]

    monkeypatch.setattr(BindingStore, "bind", fails_second)
    told = client.code("BindBatchAxg", AxgBindList=json.dumps(rows), **pool)
    assert told == "ServiceUnavailable"
    assert made
    assert one(connection, "SELECT count(*) FROM agi_router.binding") == 0


def test_whether_a_binding_is_recorded(sign: Opener, store: BindingStore) -> None:
    """As its client says, if it says no as well; else as its tenant's are, which it is told."""
    store.inventory.tenants.set_record("couriers", on=True)
    client = sign()
    for own, told in (({}, True), ({"NeedRecord": "false"}, False)):
        made = bind_700(client, **own)
        assert detail(client, made)["NeedRecord"] is told
        assert client.code("UnbindSubs700", **named(made)) == "OK"


def test_what_was_said(
    sign: Opener, connection: Connection, ring: KeyRing, tmp_path: Path
) -> None:
    """At an address for two hours: of the pool's own calls, by a key that may hear, on record."""
    client = sign(recordings_sealed=tmp_path)
    made = bind_700(client)
    number, call_id = named(made), new_call_id()
    binding = f"{number['TelX'][:11]}-{number['SubsId']}"
    place = {"binding": binding, "x": number["TelX"], "call_id": call_id, "name": "abcdefabcdef"}
    pool = {"PoolKey": "couriers"}

    def asked(client: AlibabaClient, **own: str) -> str:
        return client.code("QueryRecordFileDownloadUrl", **{"CallId": call_id, **pool, **own})

    assert asked(client) == "isv.FORBIDDEN_ACTION"
    keep_recording(connection, ring, tmp_path, **place)
    assert asked(sign("drivers"), PoolKey="drivers") == "isv.FORBIDDEN_ACTION"
    assert asked(sign("drivers")) == "isv.POOLKEY_NOT_EXISTS"
    deaf = frozenset({KeyScope.BINDINGS_WRITE, KeyScope.BINDINGS_READ})
    assert asked(sign(scopes=deaf)) == "Forbidden.RAM"
    told = client.ask("GetTotalPublicUrl", CallId=call_id, PartnerKey="couriers")["Data"]
    assert told["RingPublicUrl"] == ""
    url = client.ask("QueryRecordFileDownloadUrl", CallId=call_id, **pool)["DownloadUrl"]
    assert url.partition("?")[0] == told["PhonePublicUrl"].partition("?")[0]
    assert not re.search(r"1[3-9][0-9]{9}|700[0-9]{12}", url)
    heard = client.http.get(url)
    assert (heard.status_code, heard.content) == (200, SOUND)
    assert one(connection, "SELECT count(*) FROM agi_router.audit") == 1
    (row,) = connection.execute("SELECT act, api_key, subject FROM agi_router.audit").fetchall()
    assert row["api_key"] == client.key_id
    assert row["subject"] == f"recording of call {call_id}"

    # What was changed in it, or is over, opens nothing; nor does it after the key.
    over = RecordingLink(name="abcdefabcdef", key=client.key_id, until=1_790_000_000)
    for other in (
        url[:-1] + ("a" if url[-1] != "a" else "b"),
        url.replace(client.key_id, "q" * len(client.key_id)),
        url.replace("abcdefabcdef", "abcdefabcdee"),
        over.target(client.secret.encode()),
    ):
        assert client.http.get(other).json()["code"] == "link_invalid"
    assert client.http.get(url.partition("&tag")[0]).status_code == 422
    ApiKeyStore(Queries(connection)).revoke(client.key_id)
    assert client.http.get(url).json()["code"] == "credentials_invalid"

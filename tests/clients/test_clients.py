"""The clients of Alibaba Cloud work unmodified: every action that is served, by each of them."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest

from agi_router.bindings.store import BindingStore
from agi_router.doors.alibaba.actions import ACTIONS
from harness.alibaba import beijing
from harness.database import new_call_id
from harness.recordings import SOUND, keep_recording

Ask = Callable[[str, str, dict[str, Any]], dict[str, Any]]

HOUR = timedelta(hours=1)
AWKWARD = "张三 +*~/&='()!"
CLASSIC = ("core",)
CLIENTS = (
    "sdk",
    "sdk async",
    "sdk SHA256",
    "sdk SM3",
    "sdk v2",
    *CLASSIC,
    "core common",
    "core body",
    "openapi",
    "openapi SM3",
    "openapi v2",
    "openapi body",
    "pop GET",
    "pop POST",
)
POOL = {"PoolKey": "couriers"}
PAGE = Path(__file__).parents[2] / "docs/alibaba.md"
# Of its table, from left to right.
COLUMNS = ("sdk", "classes", "core", "openapi", "pop")
_callers = count()


class Caller:
    """
    One client, with parties and an order that no other has, nor itself in a try that failed.
    """

    def __init__(self, ask: Ask, client: str) -> None:
        self._ask = ask
        self.client = client
        self.asked: set[str] = set()
        serial = next(_callers)
        self.a, self.b = (f"138000{serial:04}{place}" for place in range(2))
        self.order = f"{AWKWARD}{client} {serial}"

    def done(self, action: str, **given: Any) -> Any:
        """What an action that succeeds returns."""
        # One action has another name for it, and one none.
        pool = {} if {"PartnerKey", "SpecId"} & given.keys() else POOL
        told = self._ask(self.client, action, {**pool, **given})
        assert told.keys() == {"body"}, told
        assert told["body"]["Code"] == "OK", told
        self.asked.add(action)
        return told["body"]

    def code(self, action: str, **given: Any) -> str:
        """The code of an action that does not."""
        told = self._ask(self.client, action, {**POOL, **given})
        found = told["code"] if "error" in told else told["body"]["Code"]
        assert found != "OK"
        return str(found)

    def free_number(self) -> str:
        """A number that nobody is bound on: one that was chosen, and is free again."""
        given = {"PhoneNoA": self.a, "PhoneNoB": self.b, "Expiration": beijing(HOUR)}
        made = self.done("BindAxn", **given)["SecretBindDTO"]
        self.done("UnbindSubscription", SecretNo=made["SecretNo"], SubsId=made["SubsId"])
        return str(made["SecretNo"])


@pytest.fixture(params=CLIENTS)
def caller(request: pytest.FixtureRequest, ask: Ask) -> Caller:
    return Caller(ask, request.param)


def test_every_action(caller: Caller, store: BindingStore, sealed: Path, endpoint: str) -> None:
    """Made, looked at, changed and ended: by both shapes where the client has both."""
    if caller.client not in CLASSIC:
        live_by_700(caller, store)
    live_by_classic(caller)
    hear(caller, store, sealed, endpoint)
    assert caller.asked == told_of(caller.client)


def told_of(client: str) -> set[str]:
    """The actions that the page says it has been tried by."""
    rows = re.findall(r"(?m)^\| `(\w+)`((?: \|(?: yes)?){5}) \|$", PAGE.read_text("utf-8"))
    assert [action for action, _ in rows] == list(ACTIONS)
    column = COLUMNS.index("classes" if client in CLASSIC else client.partition(" ")[0])
    return {action for action, cells in rows if cells.split("|")[column + 1].strip() == "yes"}


def live_by_700(caller: Caller, store: BindingStore) -> None:
    """The actions of 700 numbers."""
    made = caller.done(
        "BindAxb700",
        TelA=caller.a,
        TelB=caller.b,
        Expiration=beijing(HOUR),
        OrderId=caller.order,
        OutOrderId=caller.order,
        OutId="",
        NeedRecord=False,
        CallTimeout=20,
    )["Data"]
    found = store.find(store.names.find(made["SecretNo"]))
    assert found.order_id == caller.order
    assert {party.number.digits for party in found.parties} == {caller.a, caller.b}
    assert found.ring_timeout == timedelta(seconds=20)
    number = {"TelX": made["SecretNo"], "SubsId": str(made["SubsId"])}
    later = beijing(2 * HOUR)
    caller.done("UpdateSubs700", OperateType="updateExpire", Expiration=later, **number)
    a, b = (f"{caller.a[:-1]}{place}" for place in (2, 3))
    caller.done("UpdateSubs700", OperateType="updateNoA", TelA=a, **number)
    caller.done("UpdateSubs700", OperateType="updateNoB", TelB=b, **number)
    found = store.find(found.id)
    assert {party.number.digits for party in found.parties} == {a, b}
    shown = caller.done(
        "QuerySubscriptionDetail", PhoneNoX=number["TelX"], SubsId=number["SubsId"]
    )["SecretBindDetailDTO"]
    assert (shown["PhoneNoA"], shown["ExpireDate"], int(shown["Status"])) == (
        a,
        later,
        1,
    )
    group = {"GroupId": str(caller.done("CreateAxgGroup", Numbers=f"{caller.a[:-1]}6")["GroupId"])}
    by_group = caller.done(
        "BindGxb700", TelB=f"{caller.a[:-1]}7", Expiration=beijing(HOUR), **group
    )["Data"]
    bound = store.find(store.names.find(by_group["SecretNo"]))
    assert {party.number.digits[-1] for party in bound.parties} == {"6", "7"}
    caller.done("UnbindSubs700", TelX=by_group["SecretNo"], SubsId=str(by_group["SubsId"]))
    reported = {"ANoWhiteGroupId": 7, "PhoneNoA": caller.a}
    told = caller.done("QuerySecretAPhoneNoToCust", **reported)["Data"]
    assert (str(told["ANoWhiteGroupId"]), told["ReportStatus"]) == ("7", "0")
    caller.done("DeleteSecretAPhoneNoToCust", **reported)
    caller.done("UnbindSubs700", **number)
    assert caller.code("UnbindSubs700", **number) == "isv.SUBS_NOT_EXIST"


def live_by_classic(caller: Caller) -> None:
    """The actions of before."""
    x = caller.free_number()
    given = {"PhoneNoA": caller.a, "Expiration": beijing(HOUR)}
    made = caller.done("BindAxb", PhoneNoB=caller.b, PhoneNoX=x, IsRecordingEnabled=False, **given)
    made = made["SecretBindDTO"]
    assert made["SecretNo"] == x
    number = {"SubsId": made["SubsId"]}
    later = {"OperateType": "updateExpire", "Expiration": beijing(2 * HOUR)}
    caller.done("UpdateSubscription", PhoneNoX=x, **later, **number)
    assert str(caller.done("QuerySubsId", PhoneNoX=x)["SubsId"]) == made["SubsId"]
    caller.done("QuerySubscriptionDetail", PhoneNoX=x, **number)
    state = caller.done("QuerySecretNoDetail", SecretNo=x)["SecretNoInfoDTO"]
    assert int(state["SecretStatus"]) == 1
    caller.done("UnbindSubscription", SecretNo=x, **number)
    left = caller.done("QuerySecretNoRemain", SpecId=1)["SecretRemainDTO"]
    assert int(left["RemainDTOList"]["remainDTO"][0]["Amount"]) == int(left["Amount"])
    member = f"{caller.a[:-1]}4"
    group = {"GroupId": caller.done("CreateAxgGroup", Name=AWKWARD, Numbers=member)["GroupId"]}
    caller.done("OperateAxgGroup", OperateType="addNumbers", Numbers=f"{member[:-1]}5", **group)
    bound = caller.done("BindAxg", PhoneNoX=x, **group, **given)["SecretBindDTO"]
    # Whom the members reach; in the actions of 700 numbers it is TelB.
    a = f"{member[:-1]}6"
    of_axg = {"PhoneNoX": x, "SubsId": bound["SubsId"]}
    caller.done("UpdateSubscription", OperateType="updateNoA", PhoneNoA=a, **of_axg)
    shown = caller.done("QuerySubscriptionDetail", **of_axg)["SecretBindDetailDTO"]
    assert shown["PhoneNoA"] == a
    assert caller.code("DeleteAxgGroup", **group) == "isv.FORBIDDEN_ACTION"
    caller.done("UnbindSubscription", SecretNo=x, SubsId=bound["SubsId"])
    rows = [{"PhoneNoX": x, **group, **given}, {**group, "PhoneNoA": "none"}]
    # As a list where the client knows that it is one.
    knows = caller.client in CLASSIC or caller.client.startswith("sdk")
    batch = rows if knows else json.dumps(rows)
    told = caller.done("BindBatchAxg", AxgBindList=batch)["SecretBindList"]["SecretBind"]
    assert [each["Code"] for each in told] == ["OK", "isv.MOBILE_NUMBER_ILLEGAL"]
    caller.done("UnbindSubscription", SecretNo=x, SubsId=told[0]["SubsId"])
    caller.done("DeleteAxgGroup", **group)
    made = caller.done("BindAxnExtension", PhoneNoX=x, Extension="123", **given)["SecretBindDTO"]
    assert made["Extension"] == "123"
    caller.done("UnbindSubscription", SecretNo=x, SubsId=made["SubsId"])
    caller.done("LockSecretNo", SecretNo=x)
    caller.done("UnlockSecretNo", SecretNo=x)
    pair = {"BlackNo": f"{caller.a}:{caller.b}", "BlackType": "POINT_TO_POINT_BLACK"}
    caller.done("AddSecretBlacklist", **pair, Remark=AWKWARD)
    caller.done("DeleteSecretBlacklist", **pair)
    for operation in ("AddBlack", "DeleteBlack"):
        caller.done("OperateBlackNo", BlackNo=caller.a, OperateType=operation)


def hear(caller: Caller, store: BindingStore, sealed: Path, endpoint: str) -> None:
    """What was said is told at an address, which needs nothing of the client's."""
    given = {"PhoneNoA": caller.a, "PhoneNoB": caller.b, "Expiration": beijing(HOUR)}
    x = caller.done("BindAxn", **given)["SecretBindDTO"]["SecretNo"]
    bound, call_id = str(store.names.find(x)), new_call_id()
    name = "".join(secrets.choice("abcdef") for _ in range(20))
    place = {"binding": bound, "x": x, "call_id": call_id, "name": name}
    keep_recording(store.connection, store.keys, sealed, **place)
    asked = {"CallId": call_id, "CallTime": beijing(timedelta())}
    url = caller.done("QueryRecordFileDownloadUrl", **asked)["DownloadUrl"]
    assert url.startswith(f"http://{endpoint}/v1/recordings/links/{name}?")
    assert httpx2.get(url).content == SOUND
    told = caller.done("GetTotalPublicUrl", **asked, CheckSubs=True, PartnerKey="couriers")
    assert told["Data"]["PhonePublicUrl"].startswith(url.partition("?")[0])


def test_what_cannot_be_done(caller: Caller) -> None:
    """A client finds the code where it looks for it, of business errors and of the gateway's."""
    free = caller.free_number()
    given = {"PhoneNoA": caller.a, "PhoneNoB": caller.b, "Expiration": beijing(HOUR)}
    assert (
        caller.code("BindAxb", **{**given, "PhoneNoA": "1380000"}) == "isv.MOBILE_NUMBER_ILLEGAL"
    )
    assert caller.code("BindAxb", **{**given, "PoolKey": "nobody"}) == "isv.POOLKEY_NOT_EXISTS"
    assert caller.code("QuerySubsId", PhoneNoX=free) == "isv.SUBS_NOT_EXIST"
    assert caller.code("BuySecretNo", City=AWKWARD, SpecId="1") == "UnsupportedOperation"
    assert caller.code("UnbindSubscription", SecretNo=free, SubsId="") == "MissingSubsId"

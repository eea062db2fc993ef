"""What clients of Alibaba Cloud are told where an action cannot be done."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from agi_router import errors
from agi_router.doors.alibaba.errors import (
    BUSINESS,
    GATEWAY,
    OF_DOOR,
    Fault,
    Kind,
    fault_of,
    fault_of_door,
)
from agi_router.doors.alibaba.parameters import (
    NumberInvalid,
    ParameterInvalid,
    ParameterMissing,
)
from agi_router.tenants.signature import SignatureFault, SignatureInvalid

NUMBER = "138****0001"
# What no action of this door can come to.
ELSEWHERE = {
    "api_key_limit",
    "api_key_not_found",
    "asterisk_unavailable",
    "audit_broken",
    "export_invalid",
    "audit_file_invalid",
    "reveal_limit",
    "block_exists",
    "block_in_use",
    "block_moves",
    "csv_invalid",
    "event_not_found",
    "feed_busy",
    "feed_exists",
    "feed_invalid",
    "feed_not_found",
    "journal_failed",
    "leaktest_failed",
    "feed_unreachable",
    "link_not_found",
    "call_not_found",
    "message_not_found",
    "message_over",
    "message_not_held",
    "node_taken",
    "protocol_violated",
    "tenant_exists",
    "pool_changed",
    "pool_exists",
    "webhook_changed",
    "webhook_invalid",
    "webhook_limit",
    "webhook_not_found",
    "check_not_found",
    "recordings_unusable",
    "recording_kept",
}
OURS = {
    "internal",
    "store_failed",
    "rights_missing",
    "row_invalid",
    "row_refused",
    "day_refused",
    "seal_invalid",
    "recording_damaged",
}


def all_errors() -> Iterator[type[errors.AgiRouterError]]:
    for name in errors.__all__:
        found = getattr(errors, name)
        if isinstance(found, type) and issubclass(found, errors.AgiRouterError):
            yield found


ALL_ERRORS = list(all_errors())


def made(kind: type[errors.AgiRouterError]) -> errors.AgiRouterError:
    if kind is errors.NumberError:
        return errors.NumberError(errors.NumberFault.EMPTY, NUMBER)
    return kind(NUMBER)


@pytest.mark.parametrize("kind", Kind)
def test_every_error_has_a_code(kind: Kind) -> None:
    """It is in the tables; what is a fault of ours says so."""
    for error in ALL_ERRORS:
        fault = fault_of(made(error), kind)
        assert fault.code in {**GATEWAY, **BUSINESS}, error.code
        if error.code not in ELSEWHERE | OURS:
            assert fault.code != "InternalError", error.code


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (errors.QuotaExceeded(), Kind.BIND, "isv.FLOW_LIMIT"),
        (errors.BindingConflict(), Kind.BIND, "isv.BIND_CONFLICT"),
        (errors.BindingConflict(), Kind.CHANGE, "isv.UPDATE_CONFLICT"),
        (errors.NumberResting(), Kind.BIND, "isv.BIND_CONFLICT"),
        (errors.NumberResting(), Kind.CHANGE, "isv.UPDATE_CONFLICT"),
        (errors.BindingEnded(), Kind.CHANGE, "isv.FORBIDDEN_ACTION"),
        (errors.BindingEnded(), Kind.END, "isv.SUBS_NOT_EXIST"),
        (errors.BindingNotFound(), Kind.LOOK, "isv.SUBS_NOT_EXIST"),
        (errors.BlockNotFound(), Kind.BIND, "isv.FORBIDDEN_ACTION"),
        (errors.BlockNotFound(), Kind.LOOK, "isv.NO_NOT_EXIST"),
        (errors.StoreUnavailable(), Kind.BIND, "ServiceUnavailable"),
        (errors.KeysOutdated(), Kind.BIND, "ServiceUnavailable"),
        (errors.SchemaMismatch(), Kind.BIND, "ServiceUnavailable"),
        (errors.SealError(), Kind.BIND, "InternalError"),
        (ParameterMissing("PoolKey"), Kind.BIND, "MissingPoolKey"),
        (ParameterInvalid("Audio", "JSON"), Kind.BIND, "isv.ILLEGAL_ARGUMENT"),
        (NumberInvalid("TelA", "empty"), Kind.BIND, "isv.MOBILE_NUMBER_ILLEGAL"),
        (RuntimeError(NUMBER), Kind.BIND, "InternalError"),
        (Fault("isv.NO_NOT_EXIST"), Kind.BIND, "isv.NO_NOT_EXIST"),
    ],
    ids=str,
)
def test_codes(error: Exception, kind: Kind, code: str) -> None:
    assert fault_of(error, kind).code == code


@pytest.mark.parametrize("fault", SignatureFault)
def test_signatures(fault: SignatureFault) -> None:
    """Whatever is wrong with one has a code of the gateway."""
    assert fault_of(SignatureInvalid(fault), Kind.LOOK).code in GATEWAY


@pytest.mark.parametrize("error", [errors.BindingConflict, errors.NumberResting])
def test_no_masked_number_is_told(error: type[errors.AgiRouterError]) -> None:
    """Our own words for these name parties, masked; here not even that."""
    assert NUMBER not in fault_of(error(f"{NUMBER} is on it"), Kind.BIND).body("id")["Message"]
    assert NUMBER not in fault_of(RuntimeError(NUMBER), Kind.BIND).body("id")["Message"]


def test_bodies() -> None:
    """All have the three fields; business errors say that they are no success, too."""
    assert fault_of(ParameterMissing("PoolKey"), Kind.BIND).body("id") == {
        "Code": "MissingPoolKey",
        "Message": "缺少参数: PoolKey",
        "RequestId": "id",
    }
    told = fault_of(errors.NoNumberAvailable("9120 rest"), Kind.BIND)
    assert (told.status, told.body("id")) == (
        200,
        {
            "Code": "isv.NO_AVAILABLE_NUMBER",
            "Message": "无可用号码: 9120 rest",
            "RequestId": "id",
            "Success": False,
        },
    )
    for code, (status, _) in GATEWAY.items():
        fault = Fault(code)
        assert fault.status == status >= 400
        assert {"Code", "Message", "RequestId"} == set(fault.body("id"))


def test_failures_of_one_code_are_told_apart() -> None:
    """By what their messages add; nothing of what came."""
    same = (errors.ConsentMissing, errors.PartyUnverified, errors.BlockNotFound, errors.GroupInUse)
    told = [fault_of(made(error), Kind.BIND) for error in same]
    assert {each.code for each in told} == {"isv.FORBIDDEN_ACTION"}
    assert len({each.message for each in told}) == len(same)
    assert NUMBER not in "".join(each.message for each in told)


def test_messages_are_chinese_first() -> None:
    for said in (*BUSINESS.values(), *(said for _, said in GATEWAY.values())):
        assert re.search("[\u4e00-\u9fff]", said)


def test_what_the_http_door_says() -> None:
    """Its codes have one here; how long to wait is told as the clients read it."""
    assert set(OF_DOOR.values()) <= set({**GATEWAY, **BUSINESS})
    slow = fault_of_door("rate_exceeded", {"Retry-After": "2", "RateLimit": "x"})
    assert (slow.code, slow.status) == ("Throttling.User", 429)
    assert slow.headers == {"Retry-After": "2", "x-acs-retry-after": "2000"}
    assert fault_of_door("busy", {"Retry-After": "1"}).headers == {"Retry-After": "1"}
    assert fault_of_door("rate_exceeded", {}).headers == {}
    large = fault_of_door("body_too_large", {"Connection": "close"})
    assert (large.status, large.headers) == (413, {"Connection": "close"})
    assert fault_of_door("what_nobody_knows", {}).code == "InternalError"

"""
What is answered where an action cannot be done: codes that clients of Alibaba Cloud know.

Two kinds. A *gateway* error comes before the action and has a status of 400 or more. A *business*
error is answered with 200 and a code that begins ``isv.``: the callers look at it themselves.

Rules for the editor:

1. Every answer has ``Code``, ``Message`` and ``RequestId``, of whatever status: a client takes one
   without ``Code`` for success.
2. No message holds what came, nor any digit of a party's number, masked ones either. A text of
   ours is added only where it can hold none.

Source:
    Alibaba Cloud, common error codes, and the error codes of 号码隐私保护.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from agi_router.doors.alibaba.parameters import (
    NumberInvalid,
    ParameterInvalid,
    ParameterMissing,
)
from agi_router.errors import (
    AgiRouterError,
    ExpiryInvalid,
    KeyRingError,
    ModeError,
    NoNumberAvailable,
    RequestInvalid,
    SchemaMismatch,
    SettingsError,
    StoreUnavailable,
)
from agi_router.tenants.signature import SignatureFault, SignatureInvalid

__all__ = ["BUSINESS", "GATEWAY", "OF_DOOR", "Fault", "Kind", "fault_of", "fault_of_door"]

GATEWAY: Final[Mapping[str, tuple[int, str]]] = {
    "MissingSignature": (400, "请求没有签名 (the request is not signed)"),
    "IncompleteSignature": (
        400,
        "签名不完整: 须签 host, x-acs-*, content-type (it is incomplete, or malformed)",
    ),
    "SignatureDoesNotMatch": (400, "签名不匹配 (the signature does not match the request)"),
    "InvalidSignatureMethod": (
        400,
        "签名方法不支持 (take ACS3-HMAC-SHA256, ACS3-HMAC-SM3, HMAC-SHA1 or HMAC-SHA256)",
    ),
    "InvalidAccessKeyId.NotFound": (404, "AccessKeyId 不存在 (there is no such key that signs)"),
    "InvalidAccessKeyId.Inactive": (400, "AccessKeyId 已停用或过期 (the key is over)"),
    "InvalidSecurityToken": (400, "不支持 SecurityToken (there are no security tokens here)"),
    "InvalidTimeStamp.Format": (400, "时间戳格式错误 (a date looks like 2026-01-31T12:00:00Z)"),
    "InvalidTimeStamp.Expired": (
        400,
        "时间戳超出 15 分钟 (the date is more than 15 minutes off: set the clock)",
    ),
    "SignatureNonceUsed": (400, "SignatureNonce 已使用 (the nonce was used before: sign anew)"),
    "NoSuchVersion": (400, "版本不存在, 请用 2017-05-25 (there is no such version)"),
    "InvalidApi.NotFound": (404, "接口不存在 (there is no such action)"),
    "UnsupportedOperation": (400, "暂不支持此接口 (the action is not served)"),
    "UnsupportedHTTPMethod": (403, "请用 POST 或 GET (take POST, or GET)"),
    "InvalidProtocol.NeedSsl": (404, "请用 HTTPS (take HTTPS)"),
    "InvalidParameter": (
        400,
        "参数重复或无法解析 (a parameter is there twice, or cannot be read)",
    ),
    "RequestBodyTooLarge": (413, "请求体超过 64 KiB (the body has more than 64 KiB)"),
    "RequestTimeout": (408, "请求体未及时到达 (the body did not come in time)"),
    "Forbidden.RAM": (403, "密钥无权限 (the key may not do this)"),
    "Throttling.User": (429, "请求过于频繁 (too many requests: wait)"),
    "ServiceUnavailable": (503, "服务暂不可用, 未做任何更改 (try again: nothing was done)"),
    "InternalError": (500, "内部错误, 请提供 RequestId (a fault of ours: report the RequestId)"),
}
"""What is refused before the action: code, status and message. So is ``Missing<Parameter>``."""

BUSINESS: Final[Mapping[str, str]] = {
    "isv.NO_AVAILABLE_NUMBER": "无可用号码",
    "isv.BIND_CONFLICT": "A 或 B 已在该号码上有绑定, 或号码仍在静默期",
    "isv.UPDATE_CONFLICT": "修改后的号码已在该号码上有绑定, 或仍在静默期",
    "isv.SUBS_NOT_EXIST": "绑定关系不存在或已结束, 或 PoolKey、号码与 SubsId 不匹配",
    "isv.FORBIDDEN_ACTION": "不允许的操作",
    "isv.EXPIRE_DATE_ILLEGAL": "过期时间不合法: 格式 yyyy-MM-dd HH:mm:ss, 一分钟后至 90 天内",
    "isv.MOBILE_NUMBER_ILLEGAL": "号码不合法",
    "isv.ILLEGAL_ARGUMENT": "参数不合法",
    "isv.POOLKEY_NOT_EXISTS": "号码池不存在",
    "isv.NO_NOT_EXIST": "号码不存在",
    "isv.OUT_OF_SERVICE": "账户已停用",
    "isv.FLOW_LIMIT": "绑定数量已达上限",
    "isv.NUMBER_LOCKED": "号码或当事人已锁定",
}
"""What is answered with 200 and ``Success: false``."""

OF_DOOR: Final[Mapping[str, str]] = {
    "scope_missing": "Forbidden.RAM",
    "address_refused": "Forbidden.RAM",
    "tenant_suspended": "isv.OUT_OF_SERVICE",
    "rate_exceeded": "Throttling.User",
    "address_blocked": "Throttling.User",
    "busy": "ServiceUnavailable",
    "crowded": "ServiceUnavailable",
    "http_malformed": "InvalidParameter",
    "head_too_large": "RequestBodyTooLarge",
    "header_repeated": "InvalidParameter",
    "body_too_large": "RequestBodyTooLarge",
    "body_late": "RequestTimeout",
    "credentials_invalid": "InvalidAccessKeyId.Inactive",
    "signature_repeated": "SignatureNonceUsed",
    "signatures_forgotten": "ServiceUnavailable",
    "not_found": "InvalidApi.NotFound",
    "idempotency_key_reused": "isv.BIND_CONFLICT",
    "idempotency_key_running": "ServiceUnavailable",
}
"""Codes of problems that the HTTP door raises on behalf of both, and what they are called here."""

_SIGNATURES: Final[Mapping[SignatureFault, str]] = {
    SignatureFault.MISSING: "MissingSignature",
    SignatureFault.MALFORMED: "IncompleteSignature",
    SignatureFault.INCOMPLETE: "IncompleteSignature",
    SignatureFault.METHOD: "InvalidSignatureMethod",
    SignatureFault.QUERY: "InvalidParameter",
    SignatureFault.REPEATED: "InvalidParameter",
    SignatureFault.WRONG: "SignatureDoesNotMatch",
    SignatureFault.DATE: "InvalidTimeStamp.Format",
    SignatureFault.EXPIRED: "InvalidTimeStamp.Expired",
}


class Kind(Enum):
    """
    What an action does: the same failure has another word by it.
    """

    BIND = "bind"
    CHANGE = "change"
    END = "end"
    LOOK = "look"


_SUBS_NOT_EXIST = dict.fromkeys(Kind, "isv.SUBS_NOT_EXIST")
_CONFLICT = {**dict.fromkeys(Kind, "isv.BIND_CONFLICT"), Kind.CHANGE: "isv.UPDATE_CONFLICT"}

_OURS: Final[Mapping[str, Mapping[Kind, str]]] = {
    "binding_not_found": _SUBS_NOT_EXIST,
    "binding_ended": {**_SUBS_NOT_EXIST, Kind.CHANGE: "isv.FORBIDDEN_ACTION"},
    "bind_conflict": _CONFLICT,
    "number_resting": _CONFLICT,
    "no_number_available": dict.fromkeys(Kind, "isv.NO_AVAILABLE_NUMBER"),
    "number_invalid": dict.fromkeys(Kind, "isv.MOBILE_NUMBER_ILLEGAL"),
    "expiry_invalid": dict.fromkeys(Kind, "isv.EXPIRE_DATE_ILLEGAL"),
    "cursor_invalid": dict.fromkeys(Kind, "isv.ILLEGAL_ARGUMENT"),
    "same_party": dict.fromkeys(Kind, "isv.ILLEGAL_ARGUMENT"),
    "request_invalid": dict.fromkeys(Kind, "isv.ILLEGAL_ARGUMENT"),
    "mode_invalid": dict.fromkeys(Kind, "isv.ILLEGAL_ARGUMENT"),
    "member_not_found": dict.fromkeys(Kind, "isv.ILLEGAL_ARGUMENT"),
    "block_not_found": {
        **dict.fromkeys(Kind, "isv.FORBIDDEN_ACTION"),
        Kind.LOOK: "isv.NO_NOT_EXIST",
    },
    "tenant_not_found": dict.fromkeys(Kind, "isv.POOLKEY_NOT_EXISTS"),
    "quota_exceeded": dict.fromkeys(Kind, "isv.FLOW_LIMIT"),
    "pool_not_found": dict.fromkeys(Kind, "isv.POOLKEY_NOT_EXISTS"),
    "group_not_found": dict.fromkeys(Kind, "isv.ILLEGAL_ARGUMENT"),
    "group_exists": dict.fromkeys(Kind, "isv.ILLEGAL_ARGUMENT"),
    "group_changed": dict.fromkeys(Kind, "isv.FORBIDDEN_ACTION"),
    "group_in_use": dict.fromkeys(Kind, "isv.FORBIDDEN_ACTION"),
    "binding_changed": dict.fromkeys(Kind, "isv.FORBIDDEN_ACTION"),
    "limit_too_low": dict.fromkeys(Kind, "isv.ILLEGAL_ARGUMENT"),
    "operator_only": dict.fromkeys(Kind, "Forbidden.RAM"),
    "locked": dict.fromkeys(Kind, "isv.NUMBER_LOCKED"),
    "party_locked": dict.fromkeys(Kind, "isv.NUMBER_LOCKED"),
    "number_locked": dict.fromkeys(Kind, "isv.NUMBER_LOCKED"),
    "tenant_locked": dict.fromkeys(Kind, "isv.OUT_OF_SERVICE"),
    "export_not_found": dict.fromkeys(Kind, "isv.FORBIDDEN_ACTION"),
    "hold_not_found": dict.fromkeys(Kind, "isv.FORBIDDEN_ACTION"),
    "complaint_not_found": dict.fromkeys(Kind, "isv.FORBIDDEN_ACTION"),
    "lock_not_found": dict.fromkeys(Kind, "isv.FORBIDDEN_ACTION"),
    "lock_over": dict.fromkeys(Kind, "isv.FORBIDDEN_ACTION"),
    "appeal_not_found": dict.fromkeys(Kind, "isv.FORBIDDEN_ACTION"),
    "appeal_open": dict.fromkeys(Kind, "isv.FORBIDDEN_ACTION"),
    "appeal_over": dict.fromkeys(Kind, "isv.FORBIDDEN_ACTION"),
    "appeal_not_ready": dict.fromkeys(Kind, "isv.FORBIDDEN_ACTION"),
    "same_actor": dict.fromkeys(Kind, "isv.FORBIDDEN_ACTION"),
    "tenant_unqualified": dict.fromkeys(Kind, "isv.OUT_OF_SERVICE"),
    "order_missing": dict.fromkeys(Kind, "isv.ILLEGAL_ARGUMENT"),
    "scene_unknown": dict.fromkeys(Kind, "isv.ILLEGAL_ARGUMENT"),
    "recording_not_found": dict.fromkeys(Kind, "isv.FORBIDDEN_ACTION"),
    "party_unverified": dict.fromkeys(Kind, "isv.FORBIDDEN_ACTION"),
    "consent_missing": dict.fromkeys(Kind, "isv.FORBIDDEN_ACTION"),
    "consent_not_found": dict.fromkeys(Kind, "isv.FORBIDDEN_ACTION"),
    "consent_outdated": dict.fromkeys(Kind, "isv.FORBIDDEN_ACTION"),
    "pair_too_often": dict.fromkeys(Kind, "isv.FLOW_LIMIT"),
    "too_many_binds": dict.fromkeys(Kind, "isv.FLOW_LIMIT"),
    "order_crowded": dict.fromkeys(Kind, "isv.ILLEGAL_ARGUMENT"),
    "blocklist_entry_not_found": dict.fromkeys(Kind, "isv.FORBIDDEN_ACTION"),
    "blocklist_entry_over": dict.fromkeys(Kind, "isv.FORBIDDEN_ACTION"),
}

# Those whose text holds neither a party's number nor what came.
_TOLD = (ExpiryInvalid, ModeError, NoNumberAvailable, RequestInvalid)

# What is added of others, whose text may: which parameters they are about, or which of several
# failures of one code they are.
_ABOUT: Final[Mapping[str, str]] = {
    "binding_ended": "绑定已结束 (the binding is over)",
    "block_not_found": "号码不在可用号段内 (the number is of no block that may be used)",
    "consent_missing": "当事人未同意 (a party has not agreed)",
    "consent_outdated": "当事人的同意已失效 (it was withdrawn, or the number has a new owner)",
    "party_unverified": "当事人未实名核验 (a party is not known by its real name)",
    "group_in_use": "GroupId: 群组仍有绑定, 或绑定数已达上限 (bindings live by it)",
    "pair_too_often": "同一对号码绑定过于频繁 (the pair is bound too often)",
    "too_many_binds": "绑定过快 (too many binds at once)",
    "tenant_locked": "账户已锁定 (it is locked)",
    "tenant_unqualified": "账户未通过资质审核 (it is not qualified)",
    "order_missing": "OrderId",
    "order_crowded": "OrderId, 该订单的当事人过多 (too many parties are bound by it)",
    "same_party": "TelA, TelB, PhoneNoA, PhoneNoB, Numbers: 须为不同号码 (different numbers)",
    "member_not_found": "Numbers",
    "scene_unknown": "该租户须指定场景, 请用 /v1/bindings (no parameter names a scene)",
}


@dataclass(slots=True)
class Fault(Exception):  # noqa: N818  (named after what it is)
    """
    An action that cannot be done.

    Attributes:
        code: Of :data:`GATEWAY` or :data:`BUSINESS`, or ``Missing<Parameter>``.
        detail: What is added to its message; no real number.
        headers: Of the answer.
    """

    code: str
    detail: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def business(self) -> bool:
        """
        Whether it is answered with 200.
        """
        return self.code in BUSINESS

    @property
    def status(self) -> int:
        """
        Of the answer.
        """
        if self.business:
            return 200
        return GATEWAY[self.code][0] if self.code in GATEWAY else 400

    @property
    def message(self) -> str:
        """
        What is told to people.
        """
        if self.business:
            said = BUSINESS[self.code]
        else:
            said = GATEWAY[self.code][1] if self.code in GATEWAY else "缺少参数"
        return f"{said}: {self.detail}" if self.detail else said

    def body(self, request_id: str) -> dict[str, Any]:
        """
        What is answered.
        """
        told: dict[str, Any] = {
            "Code": self.code,
            "Message": self.message,
            "RequestId": request_id,
        }
        return {**told, "Success": False} if self.business else told


def fault_of(error: Exception, kind: Kind) -> Fault:
    """
    What is answered where *error* was raised by an action of this kind.
    """
    if isinstance(error, Fault):
        return error
    if isinstance(error, AgiRouterError) and error.code in _OURS:
        told = str(error) if isinstance(error, _TOLD) else _ABOUT.get(error.code, "")
        return Fault(_OURS[error.code][kind], told)
    code, told = "InternalError", ""
    match error:
        case ParameterMissing():
            code, told = f"Missing{error.name}", error.name
        case NumberInvalid():
            code, told = "isv.MOBILE_NUMBER_ILLEGAL", str(error)
        case ParameterInvalid():
            code, told = "isv.ILLEGAL_ARGUMENT", str(error)
        case SignatureInvalid():
            code = _SIGNATURES[error.fault]
        case StoreUnavailable() | KeyRingError() | SchemaMismatch() | SettingsError():
            return Fault("ServiceUnavailable", headers={"Retry-After": "1"})
    return Fault(code, told)


def fault_of_door(code: str, headers: Mapping[str, str], detail: str = "") -> Fault:
    """
    What is answered where the HTTP door says *code* of a request.

    Args:
        code: Of the problem.
        headers: Of its answer; how long to wait is told as clients of Alibaba Cloud read it, too.
        detail: Of the problem; told where it says which scope a key lacks, or that it may not be
            used from there.
    """
    own = OF_DOOR.get(code, "InternalError")
    kept = {"Retry-After", "Connection"}
    told = {name: value for name, value in headers.items() if name in kept}
    if own == "Throttling.User" and "Retry-After" in told:
        # In milliseconds; with it the client takes any error for this one.
        told["x-acs-retry-after"] = f"{told['Retry-After']}000"
    return Fault(own, detail if own == "Forbidden.RAM" else "", headers=told)

"""
The actions of Alibaba Cloud's product 号码隐私保护: those that are served, and why not the rest.

Source:
    ``alibabacloud_dyplsapi20170525`` 2.5.1, which has all of these.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from agi_router.doors.alibaba import handlers
from agi_router.doors.alibaba.errors import Fault, Kind
from agi_router.doors.alibaba.handlers import Told
from agi_router.doors.alibaba.parameters import Parameters
from agi_router.doors.http.auth import Desk
from agi_router.tenants.api_keys import KeyScope

__all__ = ["ACTIONS", "NEVER", "VERSION", "Action", "find_action"]

VERSION: Final = "2017-05-25"
"""The version that these are of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """
    One that is served.
    """

    name: str
    kind: Kind
    scope: KeyScope
    """What a key needs."""
    handle: Callable[[Desk, Parameters], Told]


def _served(
    name: str, kind: Kind, handle: Callable[[Desk, Parameters], Told]
) -> tuple[str, Action]:
    scope = KeyScope.BINDINGS_READ if kind is Kind.LOOK else KeyScope.BINDINGS_WRITE
    return name, Action(name=name, kind=kind, scope=scope, handle=handle)


def _locking(name: str, handle: Callable[[Desk, Parameters], Told]) -> tuple[str, Action]:
    return name, Action(name=name, kind=Kind.CHANGE, scope=KeyScope.LOCKS_WRITE, handle=handle)


def _blocking(name: str, handle: Callable[[Desk, Parameters], Told]) -> tuple[str, Action]:
    return name, Action(name=name, kind=Kind.CHANGE, scope=KeyScope.BLOCKLIST_WRITE, handle=handle)


def _naming(
    name: str, kind: Kind, handle: Callable[[Desk, Parameters], Told]
) -> tuple[str, Action]:
    scope = KeyScope.REAL_NAMES_READ if kind is Kind.LOOK else KeyScope.REAL_NAMES_WRITE
    return name, Action(name=name, kind=kind, scope=scope, handle=handle)


def _hearing(name: str, handle: Callable[[Desk, Parameters], Told]) -> tuple[str, Action]:
    return name, Action(name=name, kind=Kind.LOOK, scope=KeyScope.RECORDINGS_HEAR, handle=handle)


ACTIONS: Final[Mapping[str, Action]] = dict(
    (
        _served("BindAxb700", Kind.BIND, handlers.bind_axb_700),
        _served("BindGxb700", Kind.BIND, handlers.bind_gxb_700),
        _served("UpdateSubs700", Kind.CHANGE, handlers.update_700),
        _served("UnbindSubs700", Kind.END, handlers.unbind_700),
        _served("BindAxb", Kind.BIND, handlers.bind_axb),
        _served("BindAxg", Kind.BIND, handlers.bind_axg),
        _served("BindBatchAxg", Kind.BIND, handlers.bind_batch_axg),
        _served("BindAxn", Kind.BIND, handlers.bind_axn),
        _served("BindAxnExtension", Kind.BIND, handlers.bind_axn_extension),
        _served("UpdateSubscription", Kind.CHANGE, handlers.update),
        _served("UnbindSubscription", Kind.END, handlers.unbind),
        _served("QuerySubscriptionDetail", Kind.LOOK, handlers.query_subscription),
        _served("QuerySubsId", Kind.LOOK, handlers.query_subs_id),
        _served("QuerySecretNoDetail", Kind.LOOK, handlers.query_number),
        _served("QuerySecretNoRemain", Kind.LOOK, handlers.query_remaining),
        _served("CreateAxgGroup", Kind.BIND, handlers.create_group),
        _served("OperateAxgGroup", Kind.CHANGE, handlers.operate_group),
        _served("DeleteAxgGroup", Kind.END, handlers.delete_group),
        _locking("LockSecretNo", handlers.lock_number),
        _locking("UnlockSecretNo", handlers.unlock_number),
        _blocking("AddSecretBlacklist", handlers.add_to_blacklist),
        _blocking("DeleteSecretBlacklist", handlers.delete_from_blacklist),
        _blocking("OperateBlackNo", handlers.operate_black_number),
        _hearing("QueryRecordFileDownloadUrl", handlers.query_recording),
        _hearing("GetTotalPublicUrl", handlers.get_recordings),
        _naming("QuerySecretAPhoneNoToCust", Kind.LOOK, handlers.query_real_name),
        _naming("DeleteSecretAPhoneNoToCust", Kind.CHANGE, handlers.delete_real_name),
    )
)
"""Those that are served, by name."""

_PAPERS: Final = "不受理证件 (papers are not taken)"
_BLOCKS: Final = "号码按号段分配 (numbers come by block and certificate)"
_PARCELS: Final = "不属于本服务 (another product)"
_ASR: Final = "语音转写 (speech to text)"
_TRACKS: Final = "可由单号推知真实号码 (it would give a real number away by a parcel's)"
_OTHER: Final = "其他号段的产品 (a product of other numbers)"

NEVER: Final[Mapping[str, str]] = {
    "CreatePhoneNoAReport": _PAPERS,
    "CreateFixedNoAReport": _PAPERS,
    "GetDyplsOSSInfoForUploadFile": _PAPERS,
    "BuySecretNo": _BLOCKS,
    "ReleaseSecretNo": _BLOCKS,
    "GetSecretAsrDetail": _ASR,
    "AddAxnTrackNo": _TRACKS,
    "QueryPhoneNoAByTrackNo": _TRACKS,
    "CreatePickUpWaybill": _PARCELS,
    "CreatePickUpWaybillPreQuery": _PARCELS,
    "CancelPickUpWaybill": _PARCELS,
    **dict.fromkeys(
        (
            "BindXB",
            "UnBindXB",
            "BindAXBCall",
            "UnBindAXB",
            "ConfigX",
            "GetXConfig",
            "GetXDefaultConfig",
            "ListXTelephones",
            "QuerySoundRecord",
            "CreateSmsSign",
            "BindAxbFixedLine",
            "UpdateAxbBindFixedLine",
            "DeleteAxbBindFixedLine",
            "QueryAxbBindFixedLine",
            "BindAxnFixedLine",
            "UpdateAxnBindFixedLine",
            "DeleteAxnBindFixedLine",
            "QueryAxnBindFixedLine",
            "BindAxnExtensionFixedLine",
            "UpdateAxnExtensionBindFixedLine",
            "DeleteAxnExtensionBindFixedLine",
            "QueryAxnExtensionBindFixedLine",
        ),
        _OTHER,
    ),
}
"""Those that will not be served, and why."""


def find_action(name: str, version: str) -> Action:
    """
    What serves an action.

    Raises:
        Fault: Nothing does.
    """
    if version != VERSION:
        raise Fault("NoSuchVersion")
    if name in ACTIONS:
        return ACTIONS[name]
    if (why := NEVER.get(name)) is not None:
        raise Fault("UnsupportedOperation", why)
    raise Fault("InvalidApi.NotFound")

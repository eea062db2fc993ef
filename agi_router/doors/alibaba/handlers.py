"""
What the actions of Alibaba Cloud's product 号码隐私保护 do here.

Each handler takes the desk of a request and its parameters, and returns what its answer has beside
``Code``, ``Message`` and ``RequestId``. The names of parameters and of what is told are theirs.

Rules for the editor:

1. A ``PoolKey`` names a pool of the key's tenant, or the tenant itself: all that it has, in any
   pool or in none. A tenant's pool of the tenant's own name comes first. The operator's keys are
   of no tenant: there it names the tenant.
2. A binding is found by its 700 number, which names the block, and its ``SubsId``. It has to be on
   that number and of that pool; else it does not exist.
3. A ``GroupId`` is the number of a party group of the tenant, in whichever of its pools.
4. What cannot be done is refused by the name of its parameter. Nothing that was asked for is left
   out in silence, but for what docs/alibaba.md says.
5. Of a group the actions of 700 numbers speak as we do: its members are A's side, and reach B. The
   older ones (AXG) mean the same people by other letters: A is whom the members reach, and B whom
   A reaches.
"""

import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from agi_router.bindings.asked import Answered, Asked
from agi_router.bindings.model import Binding, BindingId
from agi_router.bindings.modes import MODES, Parties, group_of
from agi_router.bindings.once import bind_once
from agi_router.bindings.party_groups import PartyGroup
from agi_router.bindings.pools import Pool
from agi_router.bindings.terms import TERMS, Span, Terms, Text
from agi_router.bindings.views import describe_binding, reveal_binding
from agi_router.bindings.words import (
    Direction,
    Mode,
    Recording,
    Side,
    check_order_id,
    check_pool,
)
from agi_router.db.connection import Queries
from agi_router.doors.alibaba.errors import Fault, Kind, fault_of, fault_of_door
from agi_router.doors.alibaba.parameters import (
    ZONE,
    ParameterInvalid,
    ParameterMissing,
    Parameters,
)
from agi_router.doors.http.auth import Desk
from agi_router.doors.http.idempotency import do_once, only_name
from agi_router.doors.http.webhooks import tenant_of
from agi_router.errors import (
    AgiRouterError,
    ExpiryInvalid,
    GroupNotFound,
    PoolNotFound,
    RecordingNotFound,
    RequestInvalid,
)
from agi_router.inventory.model import NumberState
from agi_router.numbers import PhoneNumber, XNumber, is_extension
from agi_router.persons.blocklist import BlocklistEntry, Pairing
from agi_router.persons.blocklist_store import BlocklistStore
from agi_router.persons.effects import BlockDirection, LockReason, Subject
from agi_router.persons.locks import Lock, LockedThing
from agi_router.persons.real_name_store import RealNameStore
from agi_router.persons.real_names import RealName
from agi_router.persons.store import LockStore
from agi_router.recordings.links import RecordingLink
from agi_router.recordings.store import RecordingStore, check_heard
from agi_router.records.audit import check_note
from agi_router.schemas.base import LARGEST_BATCH
from agi_router.schemas.problems import Problem
from agi_router.tenants.api_keys import KeyScope

__all__ = [
    "CHANGES",
    "Told",
    "add_to_blacklist",
    "bind_axb",
    "bind_axb_700",
    "bind_axg",
    "bind_axn",
    "bind_axn_extension",
    "bind_batch_axg",
    "bind_gxb_700",
    "create_group",
    "delete_from_blacklist",
    "delete_group",
    "delete_real_name",
    "fault_of_any",
    "get_recordings",
    "lock_number",
    "operate_black_number",
    "operate_group",
    "plan_bind",
    "query_number",
    "query_real_name",
    "query_recording",
    "query_remaining",
    "query_subs_id",
    "query_subscription",
    "tell_bound",
    "unbind",
    "unbind_700",
    "unlock_number",
    "update",
    "update_700",
]

Told = dict[str, Any]
"""What an answer has beside the three fields of all."""

_Wished = tuple[str, Mapping[str, Any], str, Callable[[Binding], Told]]
"""An action, who is said, the parameter that may give the number, and what is told."""

_NOT_HEARD: Final = "没有该通话的录音 (there is no recording of it, or not yet, or no more)"
_NAMES_A_CASE: Final = "平台的密钥须说明案件 (the operator's keys name a case, by /v1)"
_LOCKED: Final = "LockSecretNo"
# Status and result of a report.
_REPORTED: Final[Mapping[RealName, tuple[str, str]]] = {
    RealName.YES: ("1", "实名已核验"),
    RealName.NO: ("2", "实名核验未通过"),
    RealName.UNKNOWN: ("0", "未核验"),
}
# More than anybody puts on one number.
_SEVERAL: Final = 1000
# What actions of 700 numbers call X; the older ones say PhoneNoX.
_X_OF_700: Final = "TelX"
_MOST_ENTRIES: Final = 10_000
_WAYS: Final = {
    "": BlockDirection.BOTH,
    "PHONEA_REJECT": BlockDirection.OUT,
    "PHONEB_REJECT": BlockDirection.IN,
}
_UNKEPT: Final[Mapping[str, Any]] = {"name": None, "payload": None}
_SHORTEST: Final = timedelta(minutes=1)
_KINDS: Final = {term.name: term.kind for term in TERMS}
_EXTENSION: Final = 3
_BLOCK_BEGINS: Final = re.compile(r"(?:7[0-9]{0,10})?")
# A number is of no city.
_EVERYWHERE: Final = "全国"
_LARGEST_GROUP: Final = 2**31 - 1
_GROUP_NAME: Final = Text(128)
_GROUP_REMARK: Final = Text(256)

_RESTRICTED: Final[Mapping[str, Direction]] = {
    "CONTROL_AX_DISABLE": Direction.B,
    "CONTROL_GX_DISABLE": Direction.B,
    "CONTROL_BX_DISABLE": Direction.A,
    "CONTROL_CLEAR_DISABLE": Direction.BOTH,
}
_RESTRICTED_OF_AXG: Final = {
    **_RESTRICTED,
    "CONTROL_AX_DISABLE": Direction.A,
    "CONTROL_BX_DISABLE": Direction.B,
}
_TOLD: Final[Mapping[Direction, str]] = {
    Direction.A: "CONTROL_BX_DISABLE",
    Direction.B: "CONTROL_AX_DISABLE",
}
_TOLD_OF_AXG: Final = {Direction.A: "CONTROL_AX_DISABLE", Direction.B: "CONTROL_BX_DISABLE"}

_STATES: Final[Mapping[NumberState, int]] = {
    NumberState.FREE: 0,
    NumberState.BOUND: 1,
    NumberState.LOCKED: 2,
    NumberState.RESTING: 3,
}

# What says that somebody wants what is not there: a flag that is true, or an object with something
# in it.
_FLAGS: Final = ("NeedAsr", "ASRStatus")
_OBJECTS: Final = ("Audio", "DtmfConfig")
_OTHER_MODE: Final = "PoolKey: 该号码池不接受此类绑定 (its bindings are of another mode)"


def _axb_700(given: Parameters) -> _Wished:
    said = {"mode": Mode.AXB, "a": given.party("TelA"), "b": given.party("TelB")}
    return "BindAxb700", said, "TelX", _as_700


def _axb(given: Parameters) -> _Wished:
    said = {"mode": Mode.AXB, "a": given.party("PhoneNoA"), "b": given.party("PhoneNoB")}
    return "BindAxb", said, "PhoneNoX", _as_secret_bind


def bind_axb_700(desk: Desk, given: Parameters) -> Told:
    """
    ``BindAxb700``.
    """
    return _bind(desk, given, *_axb_700(given))


def bind_axb(desk: Desk, given: Parameters) -> Told:
    """
    ``BindAxb``, the same by other names.
    """
    return _bind(desk, given, *_axb(given))


def bind_gxb_700(desk: Desk, given: Parameters) -> Told:
    """
    ``BindGxb700``: the members of a group reach B.
    """
    said = {
        "mode": Mode.GXB,
        "group": _group(desk, given, _pool(desk, given).owner(desk)).name,
        "b": given.party("TelB"),
        "default": given.some_party("DefaultA"),
    }
    return _bind(desk, given, "BindGxb700", said, "TelX", _as_700)


def bind_axg(desk: Desk, given: Parameters) -> Told:
    """
    ``BindAxg``, the same by other names: who is A there is B of a group.
    """
    said = {
        "mode": Mode.GXB,
        "group": _group(desk, given, _pool(desk, given).owner(desk)).name,
        "b": given.party("PhoneNoA"),
        "default": given.some_party("PhoneNoB"),
    }
    return _bind(desk, given, "BindAxg", said, "PhoneNoX", _as_secret_bind)


def bind_batch_axg(desk: Desk, given: Parameters) -> Told:
    """
    ``BindBatchAxg``: ``BindAxg`` for each of a list; one that cannot be bound keeps off no other.
    """
    key = given.need("PoolKey")
    rows = given.rows("AxgBindList")
    if len(rows) > LARGEST_BATCH:
        raise ParameterInvalid("AxgBindList", f"1 to {LARGEST_BATCH} of them")
    queries = desk.queries
    # All or none: else nobody knew what was done where the database goes away meanwhile.
    with queries.transaction():
        bound = [_bind_one_axg(desk, queries, row.beside("PoolKey", key)) for row in rows]
    return {"SecretBindList": {"SecretBind": bound}}


def _bind_one_axg(desk: Desk, queries: Queries, row: Parameters) -> Told:
    """
    What is told of one of a batch; what names it is said as it came, and to nobody else.

    Raises:
        Exception: Nothing more can be done for the others.
    """
    asked = {name: row.text(name) for name in ("PhoneNoA", "GroupId")}
    named = {name: each for name, each in asked.items() if each is not None}
    try:
        with queries.attempt():
            told = bind_axg(desk, row)["SecretBindDTO"]
    except Exception as error:
        fault = fault_of_any(error, Kind.BIND)
        if fault.status >= 500:  # noqa: PLR2004 - a fault of ours
            raise
        return {**named, "Code": fault.code, "Message": fault.message}
    return {**named, **told, "Code": "OK", "Message": "OK"}


def fault_of_any(error: Exception, kind: Kind) -> Fault:
    """
    What is answered where *error* was raised by an action of this kind, or by the HTTP door.
    """
    if isinstance(error, Problem):
        return fault_of_door(error.code, error.headers, error.detail)
    return fault_of(error, kind)


def create_group(desk: Desk, given: Parameters) -> Told:
    """
    ``CreateAxgGroup``: of its texts nothing more is known than that they come back with it.
    """
    tenant = _pool(desk, given).owner(desk)
    texts = given.read("Name", _GROUP_NAME.read), given.read("Remark", _GROUP_REMARK.read)
    members = given.parties("Numbers") if "Numbers" in given else ()
    label = ": ".join(each for each in texts if each is not None) or None
    # Theirs may be anything, and the same twice.
    name = f"axg-{secrets.token_hex(8)}"
    with desk.queries.transaction():
        group = desk.store.add_group(tenant, name, members, label=label)
        _note(desk, "CreateAxgGroup", group)
    return {"GroupId": group.id}


def operate_group(desk: Desk, given: Parameters) -> Told:
    """
    ``OperateAxgGroup``: members come or go, or others take their place, in all bindings at once.
    """
    tenant = _pool(desk, given).owner(desk)
    name = _group(desk, given, tenant).name
    what = given.need("OperateType")
    if what not in _OPERATED:
        raise ParameterInvalid("OperateType", f"one of {', '.join(_OPERATED)}")
    members = given.parties("Numbers")
    with desk.queries.transaction():
        match what:
            case "addNumbers":
                group = desk.store.change_members(tenant, name, joining=members)
            case "deleteNumbers":
                group = desk.store.change_members(tenant, name, leaving=members)
            case _:
                group = desk.store.set_members(tenant, name, members)
        _note(desk, "OperateAxgGroup", group)
    return {}


def delete_group(desk: Desk, given: Parameters) -> Told:
    """
    ``DeleteAxgGroup``: only one by which no binding lives.
    """
    tenant = _pool(desk, given).owner(desk)
    name = _group(desk, given, tenant).name
    with desk.queries.transaction():
        _note(desk, "DeleteAxgGroup", desk.store.remove_group(tenant, name))
    return {}


def bind_axn(desk: Desk, given: Parameters) -> Told:
    """
    ``BindAxn``: anyone reaches A.
    """
    _check_open(desk)
    said = {
        "mode": Mode.AX,
        "a": given.party("PhoneNoA"),
        "default": given.some_party("PhoneNoB"),
    }
    return _bind(desk, given, "BindAxn", said, "PhoneNoX", _as_secret_bind)


def bind_axn_extension(desk: Desk, given: Parameters) -> Told:
    """
    ``BindAxnExtension``: anyone who types the extension reaches A.
    """
    _check_open(desk)
    extension = given.text("Extension")
    if extension is not None:
        if not is_extension(extension) or len(extension) > _EXTENSION:
            raise ParameterInvalid("Extension", f"1 to {_EXTENSION} digits")
        given.need_x("PhoneNoX")
    said = {
        "mode": Mode.AXE,
        "a": given.party("PhoneNoA"),
        "default": given.some_party("PhoneNoB"),
        "extension": extension,
    }
    return _bind(desk, given, "BindAxnExtension", said, "PhoneNoX", _as_secret_bind)


def update_700(desk: Desk, given: Parameters) -> Told:
    """
    ``UpdateSubs700``.
    """
    _update(desk, given, "TelX")
    return {"Success": True, "Data": {}}


def update(desk: Desk, given: Parameters) -> Told:
    """
    ``UpdateSubscription``, the same by other names.
    """
    _update(desk, given, "PhoneNoX")
    return {}


def unbind_700(desk: Desk, given: Parameters) -> Told:
    """
    ``UnbindSubs700``.
    """
    desk.store.unbind(_find(desk, given, "TelX").id)
    return {"Success": True, "Data": {}}


def unbind(desk: Desk, given: Parameters) -> Told:
    """
    ``UnbindSubscription``, the same by other names.
    """
    desk.store.unbind(_find(desk, given, "SecretNo").id)
    return {}


def query_subscription(desk: Desk, given: Parameters) -> Told:
    """
    ``QuerySubscriptionDetail``: real numbers for keys that may see them, which is written down.
    """
    found = _find(desk, given, "PhoneNoX")
    reveal = desk.key.allows(KeyScope.NUMBERS_READ)
    if reveal:
        desk.audit("QuerySubscriptionDetail", f"binding {found.id}")
    seen = reveal_binding(found) if reveal else describe_binding(found)
    axg = _is_axg(found.mode, "PhoneNoX")
    reached = next(iter(seen.get("called_back", ())), None)
    a, b = (seen["b"], reached) if axg else (seen.get("a"), seen["b"] or reached)
    told = {
        "SubsId": str(found.id.id),
        "PhoneNoX": given.need("PhoneNoX"),
        "PhoneNoA": a,
        "GroupId": _group_id(desk, found),
        "PhoneNoB": b,
        "Extension": found.extension,
        "Status": int(found.state.lives),
        "CallRestrict": (_TOLD_OF_AXG if axg else _TOLD).get(found.direction),
        "ExpireDate": _time(found.expires_at),
        "GmtCreate": _time(found.begins_at),
        "NeedRecord": _is_recorded(desk, found),
    }
    return {"SecretBindDetailDTO": {name: each for name, each in told.items() if each is not None}}


def _is_recorded(desk: Desk, found: Binding) -> bool:
    """
    Whether calls of a binding are recorded: as it says itself, or else as its tenant's are.
    """
    if found.record is None:
        return bool(desk.store.inventory.tenants.find(found.tenant)["record"])
    return found.record is Recording.ON


def query_subs_id(desk: Desk, given: Parameters) -> Told:
    """
    ``QuerySubsId``: of several live bindings on a number the newest.
    """
    asked = _pool(desk, given) if "PoolKey" in given else _Asked(desk.tenant, None)
    number, after = given.need_x("PhoneNoX"), None
    while found := desk.store.bindings(
        everything=False, order_id=None, x_number=number, after=after, limit=200
    ):
        for each in found:
            if asked.has(each):
                return {"SubsId": str(each.id.id)}
        after = found[-1].cursor
    raise Fault("isv.SUBS_NOT_EXIST")


def query_number(desk: Desk, given: Parameters) -> Told:
    """
    ``QuerySecretNoDetail``: whether a number is free, bound, locked or resting.
    """
    _pool(desk, given)
    state = desk.store.inventory.number_state(given.need_x("SecretNo"))
    return {"SecretNoInfoDTO": {"SecretStatus": _STATES[state]}}


def query_remaining(desk: Desk, given: Parameters) -> Told:
    """
    ``QuerySecretNoRemain``: how many numbers are free in the tenant's own blocks.
    """
    if given.whole("SpecId") is None:
        raise ParameterMissing("SpecId")
    begin = given.text("SecretNo") or ""
    if not _BLOCK_BEGINS.fullmatch(begin):
        raise ParameterInvalid("SecretNo", "what a block begins with: up to 11 digits")
    free = sum(
        each["free"]
        for each in desk.store.inventory.statistics()
        if each["closed"] is None and each["block"].startswith(begin)
    )
    told = {"Amount": free, "City": _EVERYWHERE}
    return {"SecretRemainDTO": {**told, "RemainDTOList": {"remainDTO": [told]}}}


def lock_number(desk: Desk, given: Parameters) -> Told:
    """
    ``LockSecretNo``: a number of the pool's own blocks is locked until it is unlocked.
    """
    locks, x_number = _locks(desk, given)
    with desk.queries.transaction():
        if not _own_locks(locks, x_number):
            made = locks.set(
                LockedThing(subject=Subject.NUMBER, number=x_number),
                LockReason.SECURITY_RISK,
                by=f"API key {desk.key.id}",
                rule=_LOCKED,
            )
            desk.audit("LockSecretNo", f"lock {made.id}")
    return {"LockSecretNoDTO": {"Code": "OK"}}


def unlock_number(desk: Desk, given: Parameters) -> Told:
    """
    ``UnlockSecretNo``: what ``LockSecretNo`` has locked; locks of the operator stay.
    """
    locks, x_number = _locks(desk, given)
    with desk.queries.transaction():
        for lifted in locks.lift_all(_own_locks(locks, x_number), by=f"API key {desk.key.id}"):
            desk.audit("UnlockSecretNo", f"lock {lifted.id}")
    return {"UnlockSecretNoDTO": {"Code": "OK"}}


def _locks(desk: Desk, given: Parameters) -> tuple[LockStore, XNumber]:
    asked = _pool(desk, given)
    store = desk.store
    if desk.tenant is None:
        store = store.within(store.inventory.tenants.scope(asked.owner(desk)))
    return store.locks, given.need_x("SecretNo")


def _own_locks(locks: LockStore, x_number: XNumber) -> list[Lock]:
    found = locks.all(subject=Subject.NUMBER, things=[x_number], limit=_SEVERAL)
    return [each for each in found if each.rule == _LOCKED and each.liftable]


def query_recording(desk: Desk, given: Parameters) -> Told:
    """
    ``QueryRecordFileDownloadUrl``: where a recording is heard for two hours.
    """
    return {"DownloadUrl": _recording_url(desk, given)}


def get_recordings(desk: Desk, given: Parameters) -> Told:
    """
    ``GetTotalPublicUrl``: the same. How it rings is not recorded.
    """
    # Their pages call it the key of the pool.
    pool = given.beside("PoolKey", given.need("PartnerKey"))
    return {"Data": {"PhonePublicUrl": _recording_url(desk, pool), "RingPublicUrl": ""}}


def _recording_url(desk: Desk, given: Parameters) -> str:
    """
    The address of a recording.

    Raises:
        Fault: There is none in this pool, or not yet, or no more.
    """
    asked = _pool(desk, given)
    try:
        found = RecordingStore(desk.queries, desk.store.scope).find(given.need("CallId"))
        name, _, _ = check_heard(found)
    except RecordingNotFound:
        raise Fault("isv.FORBIDDEN_ACTION", _NOT_HEARD) from None
    if found.binding is None or not asked.has(desk.store.find(BindingId.parse(found.binding))):
        raise Fault("isv.FORBIDDEN_ACTION", _NOT_HEARD)
    if desk.key.tenant is None:
        raise Fault("isv.FORBIDDEN_ACTION", _NAMES_A_CASE)
    secret = desk.secret
    assert secret is not None  # noqa: S101 - it has signed
    return desk.origin + RecordingLink.new(name, desk.key.id, desk.now).target(secret)


def query_real_name(desk: Desk, given: Parameters) -> Told:
    """
    ``QuerySecretAPhoneNoToCust``: whether a party is known by its real name.
    """
    group, person = _reported(given)
    desk.audit("QuerySecretAPhoneNoToCust", "the real name of a person", person=person)
    found = _real_names(desk).status(person).status
    return {
        "Success": True,
        "Data": {
            "ANoWhiteGroupId": group,
            "ReportStatus": _REPORTED[found][0],
            "ReportResult": _REPORTED[found][1],
        },
    }


def delete_real_name(desk: Desk, given: Parameters) -> Told:
    """
    ``DeleteSecretAPhoneNoToCust``: what the key has said of a party counts no longer.
    """
    _, person = _reported(given)
    with desk.queries.transaction():
        line = _real_names(desk).write(
            person,
            RealName.UNKNOWN,
            source="DeleteSecretAPhoneNoToCust",
            by=f"API key {desk.key.id}",
            tenant=desk.tenant,
        )
        subject = f"the real name of a person: line {line.id}"
        desk.audit("DeleteSecretAPhoneNoToCust", subject, person=person)
    return {"Success": True, "Data": True}


def _reported(given: Parameters) -> tuple[str, PhoneNumber]:
    # There are no groups of reports here: any is taken, and told back.
    group = given.whole("ANoWhiteGroupId")
    if group is None:
        raise ParameterMissing("ANoWhiteGroupId")
    return str(group), given.party("PhoneNoA")


def _real_names(desk: Desk) -> RealNameStore:
    return RealNameStore(desk.queries, desk.store.keys, desk.store.scope)


def add_to_blacklist(desk: Desk, given: Parameters) -> Told:
    """
    ``AddSecretBlacklist``: a pair, or a number in all of the tenant's bindings.
    """
    blocklist, owner = _blocklist(desk, given)
    pairing, direction = _pairing(given, owner)
    _block(desk, "AddSecretBlacklist", blocklist, pairing, direction, given.text("Remark"))
    return {}


def delete_from_blacklist(desk: Desk, given: Parameters) -> Told:
    """
    ``DeleteSecretBlacklist``: what ``AddSecretBlacklist`` has added by the same words.
    """
    blocklist, owner = _blocklist(desk, given)
    pairing, direction = _pairing(given, owner)
    _unblock(desk, "DeleteSecretBlacklist", blocklist, pairing, direction)
    return {}


def operate_black_number(desk: Desk, given: Parameters) -> Told:
    """
    ``OperateBlackNo``: a number in all of the tenant's bindings, both ways.
    """
    blocklist, owner = _blocklist(desk, given)
    pairing = Pairing(person=given.party("BlackNo"), tenant=owner)
    match given.need("OperateType"):
        case "AddBlack":
            _block(
                desk,
                "OperateBlackNo",
                blocklist,
                pairing,
                BlockDirection.BOTH,
                given.text("Tips"),
            )
        case "DeleteBlack":
            _unblock(desk, "OperateBlackNo", blocklist, pairing, BlockDirection.BOTH)
        case _:
            raise ParameterInvalid("OperateType", "AddBlack or DeleteBlack")
    return {}


def _blocklist(desk: Desk, given: Parameters) -> tuple[BlocklistStore, str]:
    owner = _pool(desk, given).owner(desk)
    store = desk.store
    if desk.tenant is None:
        store = store.within(store.inventory.tenants.scope(owner))
    return store.blocklist, owner


def _pairing(given: Parameters, owner: str) -> tuple[Pairing, BlockDirection]:
    """
    Who is kept from whom.

    Raises:
        Fault: The words are none of those known.
    """
    match given.need("BlackType"):
        case "POINT_TO_POINT_BLACK":
            person, other = given.pair("BlackNo")
            return Pairing(person=person, other=other, tenant=owner), BlockDirection.OUT
        case "PARTNER_GLOBAL_NUMBER_BLACK":
            pairing = Pairing(person=given.party("BlackNo"), tenant=owner)
            if (way := _WAYS.get(given.text("WayControl") or "")) is None:
                raise ParameterInvalid("WayControl", "PHONEA_REJECT or PHONEB_REJECT")
            return pairing, way
        case _:
            raise ParameterInvalid(
                "BlackType", "POINT_TO_POINT_BLACK or PARTNER_GLOBAL_NUMBER_BLACK"
            )


def _block(  # noqa: PLR0917 - the handlers above are alike
    desk: Desk,
    action: str,
    blocklist: BlocklistStore,
    pairing: Pairing,
    direction: BlockDirection,
    note: str | None,
) -> None:
    with desk.queries.transaction():
        if not _entries(blocklist, pairing, direction):
            made = blocklist.add(
                pairing,
                by=f"API key {desk.key.id}",
                direction=direction,
                note=None if note is None else _read_note(note),
            )
            desk.audit(action, f"blocklist entry {made.id}", person=pairing.person)


def _unblock(
    desk: Desk,
    action: str,
    blocklist: BlocklistStore,
    pairing: Pairing,
    direction: BlockDirection,
) -> None:
    with desk.queries.transaction():
        found = [each for each in _entries(blocklist, pairing, direction) if each.removable]
        for removed in blocklist.remove_all(found, by=f"API key {desk.key.id}"):
            desk.audit(action, f"blocklist entry {removed.id}")


def _entries(
    blocklist: BlocklistStore, pairing: Pairing, direction: BlockDirection
) -> list[BlocklistEntry]:
    """
    Those in force that say the same and end by themselves never.
    """
    return [
        each
        for each in blocklist.of_person(pairing.person, limit=_MOST_ENTRIES)
        if each.pairing == pairing and each.direction is direction and each.ends_at is None
    ]


def _read_note(text: str) -> str:
    try:
        return check_note(text)
    except ValueError:
        raise ParameterInvalid("Remark", "1 to 500 characters that are seen") from None


def _bind(  # noqa: PLR0917 - the handlers above are alike
    desk: Desk,
    given: Parameters,
    action: str,
    said: Mapping[str, Any],
    name_of_x: str,
    tell: Callable[[Binding], Told],
) -> Told:
    """
    Bind who is *said*: what was asked before with the same ``OutOrderId`` is answered once more.
    """
    plan = _plan(desk, given, action, said, name_of_x, tell)
    done = None if plan is None else desk.bind_at_once(plan)
    if done is not None:
        return tell_bound(done)
    asked = _pool(desk, given)
    parties, x, terms = _wish(desk, given, asked, said, name_of_x)

    def make() -> Told:
        return tell(bind_once(desk.store, parties, terms, x=x))

    once = given.text("OutOrderId")
    if once is None:
        return make()
    name, payload = _names(given, action, terms, once)
    told = do_once(desk, name=name, payload=payload, make=lambda: (200, json.dumps(make()), {}))
    answer: Told = json.loads(told.body)
    return answer


def _plan(  # noqa: PLR0917 - as above
    desk: Desk,
    given: Parameters,
    action: str,
    said: Mapping[str, Any],
    name_of_x: str,
    tell: Callable[[Binding], Told],
) -> Asked | None:
    """
    The same for one statement, which does it where nothing is in the way.

    Returns:
        What is asked for; :obj:`None`: it is found out step by step.
    """
    if desk.tenant is None:
        return None
    try:
        key, pool = given.need("PoolKey"), None
        if key != desk.tenant:
            pool = desk.guess_pool(desk.tenant, check_pool(key))
        parties, x, terms = _wish(desk, given, _Asked(desk.tenant, pool), said, name_of_x)
    # It is told step by step.
    except (Fault, ValueError, AgiRouterError):
        return None
    if x is not None:
        return None
    once = given.text("OutOrderId")
    kept = only_name(desk, *_names(given, action, terms, once)) if once is not None else _UNKEPT
    if kept is None:
        return None
    # A pool of the tenant's own name would come first.
    first = desk.tenant if pool is None else None
    return Asked(
        parties=parties,
        terms=terms,
        life=None,
        once=True,
        kept={"status": 200, "pool": first, **kept},
        tell=lambda made, _: ({}, json.dumps(tell(made))),
    )


_PLANNED: Final[Mapping[str, Callable[[Parameters], _Wished]]] = {
    "BindAxb700": _axb_700,
    "BindAxb": _axb,
}


def plan_bind(desk: Desk, given: Parameters, action: str) -> Asked | None:
    """
    What an action asks for that binds by one statement in most cases.

    The key is not looked at, so nothing of it may be told.

    Returns:
        It; :obj:`None`: it is no such action, or step by step it is found out why it cannot be
        done.
    """
    if action not in _PLANNED:
        return None
    try:
        return _plan(desk, given, *_PLANNED[action](given))
    except (Fault, ValueError, AgiRouterError):
        return None


def tell_bound(done: Answered) -> Told:
    """
    What is told where it was planned what was done.
    """
    told: Told = json.loads(done[1])
    return told


def _wish(
    desk: Desk, given: Parameters, asked: "_Asked", said: Mapping[str, Any], name_of_x: str
) -> tuple[Parties, XNumber | None, Terms]:
    """
    Who is to be bound, on which number if it is given, and what is agreed.
    """
    values = {word: value for word, value in said.items() if value is not None}
    if asked.pool is not None:
        try:
            values = asked.pool.fill(values)
        except RequestInvalid:
            raise Fault("isv.FORBIDDEN_ACTION", _OTHER_MODE) from None
    parties = MODES[values["mode"]].make(values)
    x = given.x(name_of_x)
    _check_wishes(given)
    return (
        parties,
        x,
        Terms(
            expires_at=_expiry(desk, given),
            order_id=given.read("OrderId", check_order_id),
            out_id=_term(given, "OutId", "out_id"),
            industrial_id=_term(given, "IndustrialId", "industrial_id"),
            tenant=asked.owner(desk),
            pool=None if asked.pool is None else asked.pool.name,
            language=values.get("language"),
            prompts=values.get("prompts"),
            direction=_direction(given, _is_axg(values["mode"], name_of_x)) or Direction.BOTH,
            ring_timeout=_ring_timeout(given),
            record=_wanted(given),
        ),
    )


def _names(
    given: Parameters, action: str, terms: Terms, once: str
) -> tuple[Sequence[bytes], Sequence[bytes]]:
    """
    Under what an answer is kept, and what is asked.
    """
    # Two tenants may have a pool of one name, and a pool may be called as another tenant is.
    place = (b"alibaba", terms.tenant.encode(), given.need("PoolKey").encode(), action.encode())
    sent = json.dumps(sorted(given.items()))
    return (*place, once.encode()), (*place, sent.encode())


def _update(desk: Desk, given: Parameters, name_of_x: str) -> None:
    """
    Change the one thing that ``OperateType`` names; nothing else is looked at.
    """
    what = given.need("OperateType")
    change = CHANGES.get(what)
    if change is None:
        raise ParameterInvalid("OperateType", f"one of {', '.join(CHANGES)}")
    change(desk, given, _find(desk, given, name_of_x), name_of_x)


def _update_a(desk: Desk, given: Parameters, found: Binding, name_of_x: str) -> None:
    if _is_axg(found.mode, name_of_x):
        _replace(desk, given, found, Side.B, "PhoneNoA")
    elif group_of(found.mode) is not None:
        _replace(desk, given, found, None, "DefaultA")
    else:
        _replace(desk, given, found, Side.A, "TelA" if name_of_x == _X_OF_700 else "PhoneNoA")


def _update_b(desk: Desk, given: Parameters, found: Binding, name_of_x: str) -> None:
    name = "TelB" if name_of_x == _X_OF_700 else "PhoneNoB"
    if _is_axg(found.mode, name_of_x) or found.mode.open:
        # B is whom A reaches.
        _replace(desk, given, found, None, name)
    else:
        _replace(desk, given, found, Side.B, name)


def _replace(desk: Desk, given: Parameters, found: Binding, side: Side | None, name: str) -> None:
    """
    Put whom the parameter *name* says into the place of a party, or of who is called back.
    """
    number = given.party(name)
    with desk.queries.transaction():
        if side is None:
            changed = desk.store.set_default(found.id, number)
        else:
            changed = desk.store.replace(found.id, side, number)
        subject = f"another {side or 'default'} of binding {found.id}"
        act = given.need("OperateType")
        desk.audit(act, subject, person=number, bindings=(found, changed))


def _update_expiry(desk: Desk, given: Parameters, found: Binding, _: str) -> None:
    desk.store.change(found.id, expires_at=_expiry(desk, given))


def _update_restrict(desk: Desk, given: Parameters, found: Binding, name_of_x: str) -> None:
    given.need("CallRestrict")
    direction = _direction(given, _is_axg(found.mode, name_of_x))
    desk.store.change(found.id, direction=direction)


def _update_out_id(desk: Desk, given: Parameters, found: Binding, _: str) -> None:
    given.need("OutId")
    desk.store.change(found.id, out_id=_term(given, "OutId", "out_id"))


def _update_recording(desk: Desk, given: Parameters, found: Binding, _: str) -> None:
    desk.store.change(found.id, record=_wanted(given) or Recording.OFF)


def _update_display(_: Desk, given: Parameters, found: Binding, _name_of_x: str) -> None:
    _check_alive(found)
    _check_display(given)


def _update_group(desk: Desk, given: Parameters, found: Binding, _: str) -> None:
    group = _group(desk, given, found.tenant)
    with desk.queries.transaction():
        both = found, desk.store.set_group(found.id, group.name)
        desk.audit("updateAxgGroup", f"another group of binding {found.id}", bindings=both)


CHANGES: Final[Mapping[str, Callable[[Desk, Parameters, Binding, str], None]]] = {
    "updateNoA": _update_a,
    "updateNoB": _update_b,
    "updateExpire": _update_expiry,
    "updateAxgGroup": _update_group,
    "updateCallRestrict": _update_restrict,
    "updateOutId": _update_out_id,
    "updateIsRecordingEnabled": _update_recording,
    "updateCallDisplayType": _update_display,
}
"""What ``OperateType`` may say."""


_OPERATED: Final = ("addNumbers", "deleteNumbers", "overwriteNumbers")


@dataclass(frozen=True, slots=True)
class _Asked:
    """
    What a ``PoolKey`` names: a tenant, and perhaps one of its pools.
    """

    tenant: str | None
    """:obj:`None`: the operator asks, and names none."""
    pool: Pool | None

    def has(self, binding: Binding) -> bool:
        """
        Whether a binding is of it.
        """
        return self.tenant in {None, binding.tenant} and (
            self.pool is None or self.pool.name == binding.pool
        )

    def owner(self, desk: Desk) -> str:
        """
        Whose a new binding is.
        """
        return self.tenant or desk.tenant or "default"


def _pool(desk: Desk, given: Parameters) -> _Asked:
    """
    The pool that is asked for.

    Raises:
        Fault: There is none, or it is another tenant's; which of both is told to nobody.
        TenantNotFound: The operator asks, and there is no such tenant.
    """
    key = given.need("PoolKey")
    tenant = desk.tenant or key
    try:
        return _Asked(tenant, desk.store.pools.find(tenant, check_pool(key)))
    except (ValueError, PoolNotFound):
        # The tenant itself, with all that it has.
        if desk.tenant is None:
            return _Asked(tenant_of(key, desk), None)
        if key == tenant:
            return _Asked(tenant, None)
    raise Fault("isv.POOLKEY_NOT_EXISTS")


def _group(desk: Desk, given: Parameters, tenant: str) -> PartyGroup:
    """
    The party group that is asked for.

    Raises:
        ParameterMissing: None is.
        ParameterInvalid: There is none of this number, or it is another tenant's.
    """
    number = given.whole("GroupId", low=1, high=_LARGEST_GROUP)
    if number is None:
        raise ParameterMissing("GroupId")
    try:
        return desk.store.find_group_by_id(tenant, number)
    except GroupNotFound:
        raise ParameterInvalid("GroupId", "群组不存在 (there is no such group)") from None


def _group_id(desk: Desk, found: Binding) -> int | None:
    """
    The number of a binding's party group, unless that is removed by now.
    """
    if found.group is not None:
        with suppress(GroupNotFound):
            return desk.store.find_group(found.tenant, found.group).id
    return None


def _note(desk: Desk, action: str, group: PartyGroup) -> None:
    desk.audit(action, f"party group {group.name} of tenant {group.tenant}")


def _find(desk: Desk, given: Parameters, name_of_x: str) -> Binding:
    """
    A binding by its pool, its number and its id, which have to belong together.

    Raises:
        Fault: There is no such binding.
    """
    asked = _pool(desk, given)
    x_number = given.need_x(name_of_x)
    number = given.whole("SubsId")
    if number is None:
        raise ParameterMissing("SubsId")
    found = desk.store.find(BindingId(x_number.block, number))
    if not asked.has(found) or not _is_on(found, x_number):
        raise Fault("isv.SUBS_NOT_EXIST")
    return found


def _is_on(binding: Binding, x_number: XNumber) -> bool:
    # Of one that is damaged nothing but its block is known; it can be ended all the same.
    return binding.damage is not None or any(party.dials == x_number for party in binding.parties)


def _check_alive(binding: Binding) -> None:
    if not binding.state.lives:
        raise Fault("isv.FORBIDDEN_ACTION")


def _check_open(desk: Desk) -> None:
    if not desk.options.open_modes:
        raise Fault("isv.FORBIDDEN_ACTION", "AGI_ROUTER_OPEN_MODES")


def _check_wishes(given: Parameters) -> None:
    """
    Make sure that nothing is asked for that is not there.

    Raises:
        ParameterInvalid: It is.
    """
    for name in _FLAGS:
        if given.flag(name):
            raise ParameterInvalid(name, "暂不支持, 请不填或填 false")
    for name in _OBJECTS:
        if given.mapping(name):
            raise ParameterInvalid(name, "暂不支持, 请不填")
    _check_display(given)


def _check_display(given: Parameters) -> None:
    # 1: the 700 number is shown. The other one would show the caller's.
    given.whole("CallDisplayType", low=1, high=1)


def _expiry(desk: Desk, given: Parameters) -> datetime:
    """
    When a binding is to end.

    Raises:
        ExpiryInvalid: It is no time, or in less than a minute.
    """
    end = given.time("Expiration")
    if end < desk.now + _SHORTEST:
        raise ExpiryInvalid("Expiration is at least a minute ahead")
    return end


def _is_axg(mode: Mode, name_of_x: str) -> bool:
    """
    Whether an action that calls the 700 number so speaks of a binding as of AXG.
    """
    return name_of_x != _X_OF_700 and group_of(mode) is not None


def _direction(given: Parameters, axg: bool) -> Direction | None:  # noqa: FBT001
    """
    Who may call; :obj:`None`: nothing is said of it.

    Raises:
        ParameterInvalid: No such restriction is known.
    """
    known = _RESTRICTED_OF_AXG if axg else _RESTRICTED

    def read(text: str) -> Direction:
        try:
            return known[text]
        except KeyError:
            raise ValueError(f"one of {', '.join(known)}") from None

    return given.read("CallRestrict", read)


def _term(given: Parameters, name: str, term: str) -> str | None:
    """
    A term that is a text, by the rule that it has everywhere.
    """
    found: str | None = given.read(name, _KINDS[term].read)
    return found


def _wanted(given: Parameters) -> Recording | None:
    """
    Whether calls are to be recorded, by either of the names that clients have for it.
    """
    # Both are read: one that is neither true nor false is refused.
    said = [given.flag(name) for name in ("NeedRecord", "IsRecordingEnabled")]
    if True in said:
        return Recording.ON
    return Recording.OFF if False in said else None


def _ring_timeout(given: Parameters) -> timedelta | None:
    """
    How long a callee rings, in seconds, within the bounds that it has everywhere.
    """
    span = _KINDS["ring_timeout"]
    assert isinstance(span, Span)  # noqa: S101 - it is a duration
    low, high = (int((each or timedelta()).total_seconds()) for each in (span.low, span.high))
    found = given.whole("CallTimeout", low=low, high=high)
    return None if found is None else timedelta(seconds=found)


def _time(moment: datetime) -> str:
    return moment.astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S")


def _number(binding: Binding) -> str:
    return next(str(party.dials) for party in binding.parties if party.side is Side.A)


def _as_700(binding: Binding) -> Told:
    data = {"SecretNo": _number(binding), "SubsId": binding.id.id}
    return {"Success": True, "Data": data}


def _as_secret_bind(binding: Binding) -> Told:
    told = {"SubsId": str(binding.id.id), "SecretNo": _number(binding)}
    if binding.extension is not None:
        told["Extension"] = binding.extension
    return {"SecretBindDTO": told}

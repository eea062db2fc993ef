"""
The door itself: who asks is found out, what is asked for is done, and the answer is written.

Rules for the editor:

1. The signature is checked first, then the nonce is taken, then the key is let in: strangers fill
   nothing, and learn of a key no more than whether its id exists.
2. Whatever happens, the answer is JSON with ``Code``, ``Message`` and ``RequestId``.
3. It is never a redirection: clients follow one by another method.
"""

from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Queries
from agi_router.doors.alibaba.actions import ACTIONS, NEVER, find_action
from agi_router.doors.alibaba.errors import Fault, Kind, fault_of_door
from agi_router.doors.alibaba.handlers import Told, fault_of_any
from agi_router.doors.alibaba.parameters import Parameters
from agi_router.doors.alibaba.signature import SignedCall, read_call
from agi_router.doors.http.answers import answer
from agi_router.doors.http.auth import (
    NOBODY,
    Desk,
    Door,
    address_of,
    admit_key,
    claim_of,
    open_secret,
    signed_part,
    take_nonce,
)
from agi_router.doors.http.guard import report
from agi_router.schemas.problems import Problem
from agi_router.tenants.api_key_store import ApiKeyStore, FoundKey
from agi_router.tenants.api_keys import Address, ApiKey, KeyForm
from agi_router.tenants.signature import SignatureFault, SignatureInvalid, Stamp

__all__ = ["LARGEST", "AlibabaDoor", "fault_response", "read_request"]

LARGEST: Final = 2**16
"""Bytes of a body, and of a query."""

_METHODS: Final = frozenset({"GET", "POST"})
_OK: Final = "OK"


class AlibabaDoor:
    """
    Answers the clients of Alibaba Cloud, as an ASGI application.

    Args:
        door: What all requests share.
    """

    def __init__(self, door: Door) -> None:
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Serve one request.
        """
        request = Request(scope, receive)
        try:
            response = await self._door.stores.run(self._answer, request)
        except Problem as problem:
            request.state.code = problem.code
            fault = fault_of_door(problem.code, problem.headers)
            response = fault_response(fault, request.state.id)
        await response(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        kind = Kind.LOOK
        try:
            call = read_request(request)
            named = call.action in {**ACTIONS, **NEVER}
            request.state.action = call.action if named else None
            action = ACTIONS.get(call.action)
            kind = kind if action is None else action.kind
            told = self._serve(request, call)
        # Whatever it is, the client is to understand the answer.
        except Exception as error:  # noqa: BLE001
            fault = fault_of_any(error, kind)
            request.state.code = fault.code
            if fault.code == "InternalError":
                report(error, request.state.id)
            return fault_response(fault, request.state.id)
        return answer({"Code": _OK, "Message": _OK, "RequestId": request.state.id, **told})

    def _serve(self, request: Request, call: SignedCall) -> Told:
        """
        Do what is asked for.

        Raises:
            Exception: It is not done; see :func:`agi_router.doors.alibaba.handlers.fault_of_any`.
        """
        door, address = self._door, address_of(request)
        door.check_address(address)
        with door.stores.lend() as store:

            def prove() -> FoundKey:
                return _authenticate(call, store, address, door)

            recalled = _recall(call, store, address, door)
            found = prove() if recalled is None else recalled[0]
            claim = None if recalled is None else claim_of(*recalled, prove)
            request.state.key = found.key.id
            request.state.headers = door.count(found, claim)
            desk = Desk(
                store=store.within(found.scope),
                found=found,
                request_id=request.state.id,
                options=door.options,
                address=address,
                claim=claim,
                origin=f"{request.url.scheme}://{request.headers.get('host', '')}",
            )
            try:
                action = find_action(call.action, call.version)
                desk.require(action.scope)
                given = Parameters(call.parameters, fixed_lines=door.options.fixed_lines)
                return action.handle(desk, given)
            finally:
                # Whatever is answered, it is to nobody whose key does not stand.
                desk.prove()


def fault_response(fault: Fault, request_id: str) -> Response:
    """
    The answer where something cannot be done.
    """
    return answer(fault.body(request_id), status=fault.status, headers=fault.headers)


def read_request(request: Request) -> SignedCall:
    """
    What is asked for, by whatever path: the one that is signed is always ``/``.

    Raises:
        Fault: It is nothing of ours.
        SignatureInvalid: It is not signed as it has to be.
    """
    if request.method not in _METHODS:
        raise Fault("UnsupportedHTTPMethod")
    if request.url.path != "/":
        raise Fault("InvalidApi.NotFound")
    if request.url.scheme != "https" and not address_of(request).is_loopback:
        raise Fault("InvalidProtocol.NeedSsl")
    if max(len(request.state.body), len(request.scope["query_string"])) > LARGEST:
        raise Fault("RequestBodyTooLarge")
    call = read_call(signed_part(request))
    if call.token:
        raise Fault("InvalidSecurityToken")
    return call


def _recall(
    call: SignedCall, store: BindingStore, address: Address, door: Door
) -> tuple[FoundKey, Stamp] | None:
    """
    The key that has signed, if it stood a moment ago, and what is good once.

    Whatever is not right is told by the look-up that follows.
    """
    found = door.known.recall(call.key_id)
    secret = open_secret(store, found)
    if found is None or secret is None or not found.key.admits(address):
        return None
    try:
        return found, _verify(call, secret, found.key, now=found.now)
    except SignatureInvalid:
        return None


def _verify(call: SignedCall, secret: bytes, key: ApiKey | None, *, now: datetime) -> Stamp:
    """
    What is good once, of a call that is signed as its key may sign.

    Raises:
        SignatureInvalid: It is not; what the key may is told to nobody who does not have it.
    """
    stamp = call.verify(secret, now=now)
    if call.proof is None and key is not None and key.form is KeyForm.ACS3:
        raise SignatureInvalid(SignatureFault.METHOD)
    return stamp


def _authenticate(call: SignedCall, store: BindingStore, address: Address, door: Door) -> FoundKey:
    """
    Find out who asks.

    Raises:
        Fault: No such key signs.
        SignatureInvalid: The signature is not that of the request.
        Problem: The key is not let in.
    """
    keys = ApiKeyStore(Queries(store.connection))
    found = keys.find_shown(call.key_id)
    secret = open_secret(store, found)
    # Of no matter without a key: nothing is signed rightly then.
    now = datetime.now(UTC) if found is None else found.now
    try:
        stamp = _verify(call, secret or NOBODY, None if found is None else found.key, now=now)
    except SignatureInvalid as error:
        if error.fault is SignatureFault.WRONG:
            door.note_wrong(address)
            if secret is None:
                raise Fault("InvalidAccessKeyId.NotFound") from None
        raise
    if found is None or secret is None:
        # Somebody has signed with what stands for no secret.
        raise Fault("InvalidAccessKeyId.NotFound")
    take_nonce(store, call.key_id, stamp)
    return door.known.keep(admit_key(found, keys, address))

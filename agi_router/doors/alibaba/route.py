"""
The door itself: who asks is found out, what is asked for is done, and the answer is written.

Rules for the editor:

1. The signature is checked first, then the nonce is taken, then the key is let in: strangers fill
   nothing, and learn of a key no more than whether its id exists.
2. Whatever happens, the answer is JSON with ``Code``, ``Message`` and ``RequestId``.
3. It is never a redirection: clients follow one by another method.
"""

import re
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from agi_router.bindings.asked import Answered, Asked
from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Queries
from agi_router.doors.alibaba.actions import ACTIONS, NEVER, VERSION, Action, find_action
from agi_router.doors.alibaba.errors import Fault, Kind
from agi_router.doors.alibaba.handlers import Told, fault_of_any, plan_bind, tell_bound
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
    named_key,
    open_secret,
    seat,
    signed_part,
    take_nonce,
)
from agi_router.doors.http.gathering import Gathering, Job
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
_KEY_ID: Final = re.compile(rb"(?:^|&)AccessKeyId=([^&]{1,64})")


class AlibabaDoor:
    """
    Answers the clients of Alibaba Cloud, as an ASGI application.

    Args:
        door: What all requests share.
        gathering: Serves those that may be served together.
    """

    def __init__(self, door: Door, gathering: Gathering) -> None:
        self._door = door
        self._gathering = gathering

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Serve one request.
        """
        request = Request(scope, receive)
        job = _Called(request, self._door)
        who = _who_binds(request)
        try:
            if who is None:
                response = await self._door.stores.run(job.run)
            else:
                response = await self._gathering.run(who, job)
        # Whatever it is, the client is to understand the answer.
        except Exception as error:  # noqa: BLE001
            response = job.tell_fault(error)
        await response(scope, receive, send)


class _Called(Job):
    """
    An action that is asked for.
    """

    def __init__(self, request: Request, door: Door) -> None:
        super().__init__(door)
        self._request = request
        self._kind = Kind.LOOK
        self._call: SignedCall | None = None

    def admit_known(self, store: BindingStore) -> Desk | None:
        request, door = self._request, self._door
        address = address_of(request)
        try:
            call, action = self._read()
            door.check_address(address)
        # It is told where it is served by itself.
        except (Fault, SignatureInvalid, Problem):
            return None
        recalled = None if action is None else _recall(call, store, address, door)
        if action is None or recalled is None or not recalled[0].key.allows(action.scope):
            return None
        try:
            desk = self._seat(call, store, address, recalled, proving=False)
        # Who has asked too often is looked at by himself.
        except Problem:
            return None
        desk.require(action.scope)
        return desk

    def plan(self, desk: Desk) -> Asked | None:
        call, _ = self._read()
        if call.version != VERSION:
            return None
        given = Parameters(call.parameters, fixed_lines=self._door.options.fixed_lines)
        return plan_bind(desk, given, call.action)

    def tell(self, done: Answered) -> Response:
        return self._tell(tell_bound(done))

    def serve(self, desk: Desk | None, borrowed: ExitStack) -> Response:
        try:
            call, _ = self._read()
            if desk is None:
                address = address_of(self._request)
                self._door.check_address(address)
                store = borrowed.enter_context(self._door.stores.lend())
                recalled = _recall(call, store, address, self._door)
                desk = self._seat(call, store, address, recalled)
            return self._tell(self._handle(call, desk))
        # Whatever it is, the client is to understand the answer.
        except Exception as error:  # noqa: BLE001
            return self.tell_fault(error)

    def tell_fault(self, error: Exception) -> Response:
        """
        The answer where it was not done.
        """
        request = self._request
        fault = fault_of_any(error, self._kind)
        request.state.code = fault.code
        if fault.code == "InternalError":
            report(error, request.state.id)
        return fault_response(fault, request.state.id)

    def _read(self) -> tuple[SignedCall, Action | None]:
        """
        What is asked for, and what serves it, if anything does.

        Raises:
            Fault: See :func:`read_request`.
            SignatureInvalid: Ditto.
        """
        if self._call is None:
            self._call = call = read_request(self._request)
            named = call.action in ACTIONS or call.action in NEVER
            self._request.state.action = call.action if named else None
        action = ACTIONS.get(self._call.action)
        self._kind = self._kind if action is None else action.kind
        return self._call, action

    def _seat(
        self,
        call: SignedCall,
        store: BindingStore,
        address: Address,
        recalled: tuple[FoundKey, Stamp] | None,
        *,
        proving: bool = True,
    ) -> Desk:
        """
        Count a request, and give it a desk.

        Args:
            call: What is asked for.
            store: By which.
            address: Where it came from.
            recalled: The key, if it stood a moment ago.
            proving: Whether such a key is looked at where it is one request too many.

        Raises:
            Exception: Nobody may ask so.
        """
        request, door = self._request, self._door

        def prove(store: BindingStore) -> FoundKey:
            return _authenticate(call, store, address, door)

        found = prove(store) if recalled is None else recalled[0]
        claim = None if recalled is None else claim_of(*recalled, prove)
        origin = f"{request.url.scheme}://{request.headers.get('host', '')}"
        return seat(request, door, store, found, claim, address, proving=proving, origin=origin)

    def _handle(self, call: SignedCall, desk: Desk) -> Told:
        """
        Do what is asked for.

        Raises:
            Exception: It is not done; see :func:`agi_router.doors.alibaba.handlers.fault_of_any`.
        """
        try:
            action = find_action(call.action, call.version)
            desk.require(action.scope)
            given = Parameters(call.parameters, fixed_lines=self._door.options.fixed_lines)
            return action.handle(desk, given)
        finally:
            # Whatever is answered, it is to nobody whose key does not stand.
            desk.prove()

    def _tell(self, told: Told) -> Response:
        request_id = self._request.state.id
        return answer({"Code": _OK, "Message": _OK, "RequestId": request_id, **told})


def _who_binds(request: Request) -> str | None:
    """
    The key that a request names, which nobody has looked at, if it may bind with others.
    """
    text = request.scope["query_string"] + b"&" + request.state.body
    if b"Action=BindAxb" in text:
        found = _KEY_ID.search(text)
        return None if found is None else found[1].decode("latin-1")
    if request.headers.get("x-acs-action", "").startswith("BindAxb"):
        return named_key(request.headers.get("authorization", ""))
    return None


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

"""
Who asks, and what he may: the API key of a request.

Rules for the editor:

1. A secret or signature is checked before anything else is said: who has a wrong one learns
   neither whether the key exists nor what has become of it. It takes as long in any case.
2. Wrong ones are counted by address, and from a certain number on nothing is looked at.
3. A key that is revoked opens nothing from that moment on. What is remembered of keys is no more
   than a guess: the statement that makes what is asked looks whether the key stands, and without
   such a statement the key is looked up before a desk lends its store.
"""

import hashlib
import re
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Annotated, Any, Final, get_args, get_origin

from fastapi import Depends
from starlette.requests import Request as HttpRequest

from agi_router.bindings.asked import Answered, Asked
from agi_router.bindings.model import Binding, BindingId
from agi_router.bindings.pools import Pool
from agi_router.bindings.store import BindingStore
from agi_router.bindings.views import describe_binding
from agi_router.calls.refusal_limit import RefusalLimit
from agi_router.db.connection import Queries
from agi_router.doors.http.known_keys import KnownKeys
from agi_router.doors.http.missing import find_missing
from agi_router.doors.http.options import Options
from agi_router.doors.http.pool import StorePool, Turn
from agi_router.doors.http.request_rates import Asking, RequestRates, lower_rate
from agi_router.doors.http.text_taking import TextTaking
from agi_router.errors import BindingNotFound, SealError
from agi_router.keys.ring import Cipher, KeyRing
from agi_router.numbers import PhoneNumber
from agi_router.rates import Rate
from agi_router.records.audit import Audit, AuditEntry, differing
from agi_router.schemas.problems import Problem
from agi_router.tenants.api_key_store import ApiKeyStore, FoundKey
from agi_router.tenants.api_keys import (
    NO_DIGEST,
    Address,
    KeyScope,
    KeyState,
    new_secret,
    parse_bearer,
    same_secret,
)
from agi_router.tenants.signature import (
    Request,
    SignatureFault,
    SignatureInvalid,
    Stamp,
    parse_signature,
    verify,
)

__all__ = [
    "MERGE_PATCH",
    "NOBODY",
    "Claim",
    "Desk",
    "Door",
    "Needs",
    "address_of",
    "admit",
    "admit_key",
    "admit_known",
    "admit_link",
    "claim_of",
    "digest_nonce",
    "named_key",
    "open_secret",
    "seat",
    "signed_part",
    "take_nonce",
    "take_turn",
    "without_store",
]

_CREDENTIAL: Final = re.compile(r"Credential=([^,\s]{1,64})")
_MINUTE: Final = timedelta(minutes=1)
MERGE_PATCH: Final = "application/merge-patch+json"
"""What the bodies of changes may be told to be, too (RFC 7396)."""
NOBODY: Final = hashlib.sha256(b"agi_router nobody").hexdigest().encode()
"""What a signature is checked with where there is no key: it takes as long, and nobody has it."""
_NUL: Final = "\0"
_NO_ID: Final = "q" * 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """
    What is to be looked at yet: the key of a request is one that stood a moment ago.
    """

    prove: Callable[[BindingStore], FoundKey]
    """Looks the key up as ever, and takes the nonce; raises :exc:`Problem`."""
    nonce: bytes | None = None
    """Digest of the nonce; :obj:`None`: the request is not signed."""
    signed_at: str | None = None


class Door:
    """
    What all requests share.

    Args:
        stores: What they work with.
        options: As the operator has set them.
    """

    def __init__(self, stores: StorePool, options: Options) -> None:
        self.stores = stores
        """What they work with."""
        self.options = options
        """As the operator has set them."""
        self.texts = TextTaking(options)
        """What takes texts."""
        self._asked = RequestRates()
        self._wrong = RefusalLimit(options.wrong_keys)
        self._lock = threading.Lock()
        self.known = KnownKeys()
        """Keys that were shown a moment ago."""

    def check_address(self, address: Address) -> None:
        """
        Make sure that an address has not shown too many wrong keys.

        Raises:
            Problem: It has.
        """
        with self._lock:
            wait = self._wrong.wait(_place(address), now=time.monotonic_ns())
        if wait:
            raise Problem.of_door("address_blocked", headers={"Retry-After": str(wait)})

    def note_wrong(self, address: Address) -> None:
        """
        An address has shown a wrong key.
        """
        with self._lock:
            self._wrong.note(_place(address), now=time.monotonic_ns())

    def count(
        self, found: FoundKey, claim: Claim | None, store: BindingStore
    ) -> Mapping[str, str]:
        """
        Count a request of a key, and of its tenant.

        Args:
            found: The key.
            claim: What is to be looked at yet; it is, where the request is one too many: one that
                was signed and is refused is good for nobody any more.
            store: By which.

        Returns:
            Headers that say how many are left; none where there is no limit.

        Raises:
            Problem: They have asked too often.
        """
        key = found.key
        own = Rate(key.max_requests or 0, _MINUTE)
        asking = [
            Asking("key", key.id, lower_rate(own, self.options.rate)),
            # The operator has no limit in all: his keys are of no tenant.
            Asking("tenant", key.tenant or "", Rate(found.tenant_requests or 0, _MINUTE)),
        ]
        with self._lock:
            free, headers = self._asked.count(asking, now=time.monotonic_ns())
        if not free:
            if claim is not None:
                claim.prove(store)
            raise Problem.of_door("rate_exceeded", headers=headers)
        return headers


class Desk:
    """
    What one request works with: a store, and who asks.

    Args:
        store: Of what the key reaches, and of nothing else.
        found: The key.
        request_id: Of the request.
        options: As the operator has set them.
        claim: What is to be looked at yet, before anything else is.
        origin: Scheme and host that were asked.
        address: Where the request came from.
    """

    def __init__(
        self,
        *,
        store: BindingStore,
        found: FoundKey,
        request_id: str,
        options: Options,
        address: Address,
        claim: Claim | None = None,
        origin: str = "",
    ) -> None:
        self._found = found
        self._address = address
        self.origin = origin
        """Scheme and host that were asked, for addresses that are told."""
        self._lend: Callable[[], BindingStore] | None = None
        self._use(store)
        self._claim = claim
        self._refused: Problem | None = None
        self._needed: KeyScope | None = None
        self.key = found.key
        """Who asks."""
        self.now = found.now
        """When that was, by the database's clock."""
        self.request_id = request_id
        self.options = options

    @property
    def store(self) -> BindingStore:
        """
        Of what the key reaches, and of nothing else.

        Raises:
            Problem: Whoever asks may not, as it turns out now.
        """
        if self._lend is not None:
            self._use(self._lend().within(self._found.scope))
            self._lend = None
        self.prove()
        return self._store

    def binding(self, name: str) -> Binding:
        """
        A binding that this key may see.

        Raises:
            BindingNotFound: There is none of this name, or it is another tenant's.
        """
        try:
            return self.store.find(BindingId.parse(name))
        except BindingNotFound:
            # What was asked for could be anything, a number too.
            raise BindingNotFound from None

    def _use(self, store: BindingStore) -> None:
        self._store = store
        key = self._found.key
        store.api_key = None if key.max_binds is None else key.id

    def borrow_anew(self, lend: Callable[[], BindingStore]) -> None:
        """
        The store was given back: who asks for it next gets another one.

        Args:
            lend: Lends it.
        """
        self._lend = lend

    def prove(self) -> None:
        """
        Look now whether the key stands, if nobody has.

        Raises:
            Problem: It does not.
        """
        if self._refused is not None:
            # Looked at once more, a nonce would be one that was used.
            raise self._refused
        if self._claim is not None:
            try:
                self.key = self._claim.prove(self._store).key
                if self._needed is not None:
                    self.require(self._needed)
            except Problem as problem:
                self._refused = problem
                raise
            self._claim = None

    @property
    def keys(self) -> KeyRing:
        """
        The keys that numbers and names are hashed by.
        """
        return self._store.keys

    def guess_pool(self, tenant: str, name: str) -> Pool:
        """
        A pool for :meth:`bind_at_once`; the key is not looked at, so nothing of it may be told.

        Raises:
            AgiRouterError: See :meth:`agi_router.bindings.bind.BindingMaking.find_pool`.
        """
        return self._store.find_pool(tenant, name)

    def bind_at_once(self, asked: Asked) -> Answered | None:
        """
        Bind by the one statement that looks at the key too.

        Args:
            asked: What is asked for.

        Returns:
            Headers and body as they are kept; :obj:`None`: nothing was done, and the key not
            looked at.
        """
        done = self._store.make_asked(asked, {**self.looked_at, **self.claimed})
        if done is not None:
            self._claim = None
        return done

    def bind_all_at_once(self, asked: Sequence[tuple["Desk", Asked]]) -> dict[int, Answered]:
        """
        The same for several who ask at once, at desks that look at the same key.

        Args:
            asked: What is asked for, and by whom.

        Returns:
            Of those that were made, by their place.
        """
        claims = [desk.claimed for desk, _ in asked]
        # Desks of two keys of one tenant have one store.
        self._use(self._store)
        done = self._store.make_asked_together([each for _, each in asked], claims, self.looked_at)
        for place in done:
            asked[place][0]._claim = None  # noqa: SLF001 - one of us
        return done

    @property
    def looked_at(self) -> Mapping[str, Any]:
        """
        What the one statement looks at of the key.
        """
        return {"api_key": self.key.id, "api_scope": self._needed}

    @property
    def claimed(self) -> Mapping[str, Any]:
        """
        What it takes of the signature.
        """
        claim = self._claim
        return {
            "nonce": None if claim is None else claim.nonce,
            "signed_at": None if claim is None else claim.signed_at,
        }

    @property
    def alone(self) -> Sequence[Any]:
        """
        What no two may have that are served together.
        """
        nonce = self.claimed["nonce"]
        return [] if nonce is None else [("nonce", nonce)]

    def move(self, store: BindingStore) -> None:
        """
        Go on with another store: the one before was given back.
        """
        self._use(store.within(self._found.scope))

    @property
    def secret(self) -> bytes | None:
        """
        The secret of a key that signs.

        Raises:
            Problem: See :meth:`prove`.
        """
        return open_secret(self.store, self._found)

    @property
    def tenant(self) -> str | None:
        """
        Whose things are seen and changed; :obj:`None`: everybody's.
        """
        return self.key.tenant

    @property
    def queries(self) -> Queries:
        """
        The queries of this request's connection, within what the key reaches.
        """
        store = self.store
        return Queries(store.connection, store.scope.values)

    def require(self, scope: KeyScope) -> None:
        """
        Make sure that the key may do something.

        Raises:
            Problem: It may not.
        """
        if not self.key.allows(scope):
            raise Problem.of_door("scope_missing", more=scope.value)
        self._needed = scope

    def audit(
        self,
        act: str,
        subject: str,
        *,
        case: str | None = None,
        reason: str | None = None,
        person: PhoneNumber | None = None,
        bindings: tuple[Binding, Binding] | None = None,
    ) -> None:
        """
        Write down what is done, before it is shown and behind what it changes.

        Args:
            act: Method and path, without what stands in it.
            subject: What it is about; no real number.
            case: The case that it is for, if there is one.
            reason: Why, without numbers.
            person: Whom it is about, if it is about one.
            bindings: A binding as it was, and as it is, where it is one that is changed: of all
                else the database notes that.

        Raises:
            StoreError: It could not be written; then nothing may be shown.
        """
        entry = self._entry(act, subject, person)
        if bindings is not None:
            told = map(describe_binding, bindings)
            before, after = differing(f"binding {bindings[0].id}", *told)
            entry = replace(entry, before=before, after=after)
        Audit(self.queries).record(replace(entry, case_id=case, reason=reason))

    def audit_reveal(
        self,
        act: str,
        subject: str,
        *,
        case: str,
        reason: str,
        acts: Sequence[str],
        person: PhoneNumber | None = None,
    ) -> None:
        """
        Write down that numbers are shown for a case, which may be so often in an hour.

        Args:
            act: Method and path.
            subject: What it is about; no real number.
            case: The case.
            reason: Why, without numbers.
            acts: What counts as the same.
            person: Whom it is about, if it is about one.

        Raises:
            RevealLimit: It was as often in the last hour.
            StoreError: It could not be written; then nothing may be shown.
        """
        Audit(self.queries).record_limited(
            replace(self._entry(act, subject, person), reason=reason, case_id=case),
            acts=acts,
            most=self.options.traces_per_hour,
        )

    def _entry(self, act: str, subject: str, person: PhoneNumber | None) -> AuditEntry:
        return AuditEntry(
            act=act,
            subject=subject,
            reason=None,
            api_key=self.key.id,
            request_id=self.request_id,
            role=self.key.role,
            address=str(self._address),
            tag=None if person is None else self.keys.tag(person),
        )


async def take_turn(request: HttpRequest) -> AsyncIterator[None]:
    """
    Wait for a store, in no thread; whoever then borrows one need not see to its return.

    Raises:
        Problem: None is free in time.
    """
    door: Door = request.app.state.door
    async with door.stores.turn() as turn:
        # Given back here and not by the borrower: that would take another change of threads.
        with ExitStack() as borrowed:
            request.state.turn, request.state.borrowed = turn, borrowed
            yield


@asynccontextmanager
async def without_store(request: HttpRequest, desk: Desk) -> AsyncIterator[None]:
    """
    Give the store of a request back for the time of a block, in which somebody else is waited for.

    Raises:
        Problem: None is free for long afterwards; what the block has done is done.
    """
    door: Door = request.app.state.door
    turn: Turn = request.state.turn
    borrowed: ExitStack = request.state.borrowed
    borrowed.close()
    desk.borrow_anew(lambda: borrowed.enter_context(door.stores.lend()))
    turn.give_up()
    yield
    await turn.take_again()


_Turn = Annotated[None, Depends(take_turn, scope="function")]


class Needs:
    """
    What a handler needs: a desk whose key has a scope.

    Args:
        scope: It.
    """

    def __init__(self, scope: KeyScope) -> None:
        self.scope = scope
        """What the key has to have."""

    def __call__(self, request: HttpRequest, _: _Turn) -> Desk:
        """
        Lend a store for the request, until its turn is over.

        Raises:
            Problem: Nobody may ask so.
        """
        door: Door = request.app.state.door
        known = request.scope["route"].dependant.query_params
        desk = admit(request, door, request.state.borrowed, self.scope, known=known)
        queries = Queries(desk.store.connection)
        missing = find_missing(queries, request.method, request.state.action)
        request.state.headers = {**request.state.headers, **missing}
        return desk


def admit(
    request: HttpRequest,
    door: Door,
    borrowed: ExitStack,
    scope: KeyScope,
    *,
    known: Sequence[Any] = (),
    trusting: bool = False,
) -> Desk:
    """
    Let somebody in.

    Args:
        request: Its ``endpoint`` says what is asked for.
        door: At which.
        borrowed: Gives the store back that is lent.
        scope: What the key has to have.
        known: What the query may say.
        trusting: Whether a key that stood a moment ago will do; whoever serves then has
            :meth:`Desk.prove` called at last.

    Raises:
        Problem: Nobody may ask so.
    """
    request.state.action = request.scope["endpoint"].__name__
    address = address_of(request)
    door.check_address(address)
    authorization = request.headers.get("authorization")
    if authorization is None:
        raise _unknown("credentials_missing")
    store = borrowed.enter_context(door.stores.lend())

    def prove(store: BindingStore) -> FoundKey:
        return _authenticate(request, store, authorization, address, door)

    trusted = trusting and _is_plain(request)
    recalled = _recall(request, store, authorization, address, door) if trusted else None
    if recalled is None or not recalled[0].key.allows(scope):
        found, claim = prove(store), None
    else:
        found, stamp = recalled
        claim = claim_of(found, stamp, prove)
    desk = seat(request, door, store, found, claim, address)
    desk.require(scope)
    if _NUL in request.scope["path"]:
        # Nothing is called so: no database could hold it.
        raise Problem.of_door("not_found")
    if request.state.body and not _is_json(request):
        raise Problem.of_door("media_type_unsupported")
    if request.scope["query_string"]:
        _check_query(request, known)
    return desk


def admit_known(
    request: HttpRequest, door: Door, store: BindingStore, scope: KeyScope
) -> Desk | None:
    """
    Let somebody in whose key stood a moment ago, without a look at the database.

    Args:
        request: As for :func:`admit`.
        door: Ditto.
        store: What is lent.
        scope: What the key has to have.

    Returns:
        The desk; :obj:`None`: whoever it is, nothing was done, and :func:`admit` finds out.
    """
    authorization = request.headers.get("authorization")
    if authorization is None or not _is_plain(request):
        return None
    address = address_of(request)
    try:
        door.check_address(address)
    except Problem:
        return None
    recalled = _recall(request, store, authorization, address, door)
    if recalled is None or not recalled[0].key.allows(scope):
        return None

    def prove(store: BindingStore) -> FoundKey:
        return _authenticate(request, store, authorization, address, door)

    found, stamp = recalled
    request.state.action = request.scope["endpoint"].__name__
    claim = claim_of(found, stamp, prove)
    try:
        desk = seat(request, door, store, found, claim, address, proving=False)
    # Who has asked too often is looked at by himself.
    except Problem:
        return None
    desk.require(scope)
    return desk


def seat(  # noqa: PLR0917 - as they are found out
    request: HttpRequest,
    door: Door,
    store: BindingStore,
    found: FoundKey,
    claim: Claim | None,
    address: Address,
    *,
    proving: bool = True,
    origin: str = "",
) -> Desk:
    """
    Count a request, and give it a desk.

    Args:
        request: What is asked.
        door: At which.
        store: What is lent.
        found: The key.
        claim: What is to be looked at yet.
        address: Where it came from.
        proving: Whether a claim is looked at where it is one too many.
        origin: Scheme and host that were asked.

    Raises:
        Problem: They have asked too often.
    """
    request.state.key = found.key.id
    request.state.headers = door.count(found, claim if proving else None, store)
    return Desk(
        store=store.within(found.scope),
        found=found,
        request_id=request.state.id,
        options=door.options,
        address=address,
        claim=claim,
        origin=origin,
    )


def _is_plain(request: HttpRequest) -> bool:
    """
    Whether it is asked for as most do: by JSON, without a query.
    """
    return not request.scope["query_string"] and _is_json(request)


def admit_link(
    request: HttpRequest,
    door: Door,
    borrowed: ExitStack,
    scope: KeyScope,
    *,
    key_id: str,
    is_tag: Callable[[bytes], bool],
) -> Desk:
    """
    Let somebody in who shows no key, but an address that was made with one that signs.

    Args:
        request: Ditto.
        door: Ditto.
        borrowed: Ditto.
        scope: Ditto.
        key_id: The key that the address names.
        is_tag: Whether its tag was made with this secret.

    Raises:
        Problem: It is no such address, or the key may not do this, or no more.
    """
    request.state.action = request.scope["endpoint"].__name__
    address = address_of(request)
    door.check_address(address)
    store = borrowed.enter_context(door.stores.lend())
    keys = ApiKeyStore(Queries(store.connection))
    found = keys.find_shown(key_id)
    secret = open_secret(store, found)
    # Looked at in any case: it takes as long.
    if not is_tag(secret or NOBODY) or found is None or secret is None:
        door.note_wrong(address)
        raise Problem.of_door("link_invalid")
    admit_key(found, keys, address)
    request.state.key = found.key.id
    request.state.headers = door.count(found, None, store)
    desk = Desk(
        store=store.within(found.scope),
        found=found,
        request_id=request.state.id,
        options=door.options,
        address=address,
    )
    desk.require(scope)
    return desk


def claim_of(
    found: FoundKey, stamp: Stamp | None, prove: Callable[[BindingStore], FoundKey]
) -> Claim:
    """
    What is to be looked at yet, of a key that stood a moment ago.

    Args:
        found: The key.
        stamp: What is good once, where it has signed.
        prove: See :class:`Claim`.
    """
    if stamp is None:
        return Claim(prove=prove)
    nonce = digest_nonce(found.key.id, stamp)
    return Claim(prove=prove, nonce=nonce, signed_at=stamp.date)


def _recall(
    request: HttpRequest, store: BindingStore, authorization: str, address: Address, door: Door
) -> tuple[FoundKey, Stamp | None] | None:
    """
    The key that is shown, if it stood a moment ago, and what is good once of a signature.

    Whatever is not right is told by the look-up that follows.
    """
    scheme, _, shown = authorization.partition(" ")
    stamp = None
    if scheme.lower() == "bearer":
        key_id, secret = parse_bearer(shown.strip()) or ("", "")
        found = door.known.recall(key_id)
        digest = None if found is None else found.digest
        # As below.
        if not same_secret(secret, digest or NO_DIGEST) or found is None:
            return None
    else:
        try:
            signature = parse_signature(authorization)
            found = door.known.recall(signature.key_id)
            own = open_secret(store, found)
            now = datetime.now(UTC) if found is None else found.now
            stamp = verify(signed_part(request), signature, own or NOBODY, now=now)
        except SignatureInvalid:
            return None
        if found is None or own is None:
            return None
    return (found, stamp) if found.key.admits(address) else None


def _authenticate(
    request: HttpRequest, store: BindingStore, authorization: str, address: Address, door: Door
) -> FoundKey:
    queries = Queries(store.connection)
    keys = ApiKeyStore(queries)
    scheme, _, shown = authorization.partition(" ")
    try:
        if scheme.lower() == "bearer":
            found = _by_bearer(keys, shown.strip())
        else:
            found = _by_signature(request, store, keys, authorization)
    except Problem as problem:
        if problem.code == "credentials_invalid":
            door.note_wrong(address)
        raise
    return door.known.keep(admit_key(found, keys, address))


def admit_key(found: FoundKey, keys: ApiKeyStore, address: Address) -> FoundKey:
    """
    Let a key in whose secret was shown.

    Returns:
        It.

    Raises:
        Problem: It is over, or may not be used from there; or its tenant is suspended.
    """
    key = found.key
    if key.state is not KeyState.ACTIVE:
        raise _unknown("credentials_invalid")
    if not key.admits(address):
        raise Problem.of_door("address_refused")
    if not found.owner_active:
        raise Problem.of_door("tenant_suspended")
    if key.last_used_at is None or found.now - key.last_used_at > _MINUTE:
        keys.note_use(key.id)
    return found


def _by_bearer(keys: ApiKeyStore, shown: str) -> FoundKey:
    key_id, secret = parse_bearer(shown) or ("", "")
    found = keys.find_shown(key_id)
    digest = None if found is None else found.digest
    # Compared in any case: it takes as long.
    if not same_secret(secret, digest or NO_DIGEST) or found is None:
        raise _unknown("credentials_invalid")
    return found


def _by_signature(
    request: HttpRequest, store: BindingStore, keys: ApiKeyStore, authorization: str
) -> FoundKey:
    try:
        signature = parse_signature(authorization)
        found = keys.find_shown(signature.key_id)
        secret = open_secret(store, found)
        # Without a key nothing is signed rightly at any time; to ask for it would take longer.
        now = datetime.now(UTC) if found is None else found.now
        stamp = verify(signed_part(request), signature, secret or NOBODY, now=now)
    except SignatureInvalid as error:
        expired = error.fault is SignatureFault.EXPIRED
        raise _unknown("signature_expired" if expired else "credentials_invalid") from None
    if found is None or secret is None:
        raise _unknown("credentials_invalid")
    take_nonce(store, signature.key_id, stamp)
    return found


def open_secret(store: BindingStore, found: FoundKey | None) -> bytes | None:
    """
    The secret of a key that signs; :obj:`None` where there is no such key.

    It takes as long to find none: another one is opened, and left out.
    """
    if found is None or found.sealed is None or not found.key.form.signs:
        keys, sealed = _stand_in(store.keys.cipher)
        keys.open_secret(sealed, _NO_ID)
        return None
    try:
        return store.keys.open_secret(found.sealed, found.key.id).encode("ascii")
    except SealError:
        return None


@cache
def _stand_in(cipher: Cipher) -> tuple[KeyRing, bytes]:
    """
    A secret of nobody's, and keys of its own to open it with: those that serve seal none for it.
    """
    keys = replace(KeyRing.generate(), cipher=cipher)
    return keys, keys.seal_secret(new_secret(), _NO_ID)


def signed_part(request: HttpRequest) -> Request:
    """
    A request, as far as it is signed.
    """
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    return Request(
        method=request.method,
        path=raw.decode("latin-1"),
        query=request.scope["query_string"].decode("latin-1"),
        headers=[
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in request.scope["headers"]
        ],
        body=request.state.body,
    )


def named_key(authorization: str) -> str | None:
    """
    The id of the key that a signature names, which nobody has looked at.
    """
    named = _CREDENTIAL.search(authorization)
    return None if named is None else named[1]


def digest_nonce(key_id: str, stamp: Stamp) -> bytes:
    """
    What is kept of a nonce.
    """
    return hashlib.sha256(f"{key_id}\n{stamp.date}\n{stamp.nonce}".encode()).digest()


def take_nonce(store: BindingStore, key_id: str, stamp: Stamp) -> None:
    """
    Take a nonce, which nobody can take again while its date is good.

    Args:
        store: On whose connection.
        key_id: Whose nonce it is.
        stamp: It, with its date.

    Raises:
        Problem: It was taken before; or the database has crashed since, and cannot tell.
    """
    asked = {"key": key_id, "digest": digest_nonce(key_id, stamp), "date": stamp.date}
    row = Queries(store.connection).row("take_nonce", asked)
    if row is not None and row["taken"]:
        return
    if row is not None and row["forgotten_for"] is not None and row["forgotten_for"] >= 0:
        # By the clock that has signed.
        headers = {"Retry-After": str(int(row["forgotten_for"]) + 1)}
        raise Problem.of_door("signatures_forgotten", headers=headers)
    raise _unknown("signature_repeated")


def _unknown(code: str) -> Problem:
    return Problem.of_door(code, headers={"WWW-Authenticate": "Bearer, ACS3-HMAC-SHA256"})


def _is_json(request: HttpRequest) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    packed = request.headers.get("content-encoding", "identity").strip().lower() != "identity"
    patches = request.method == "PATCH" and kind == MERGE_PATCH
    return (kind == "application/json" or patches) and not packed


def _check_query(request: HttpRequest, known: Sequence[Any]) -> None:
    """
    Make sure that the query says what the operation knows, each thing once, and what can be.

    A filter with a slip of the pen would else list everything.

    Raises:
        Problem: It does not.
    """
    said = Counter(name for name, _ in request.query_params.multi_items())
    once = {each.alias for each in known if not _is_list(each.field_info.annotation)}
    if (
        not said.keys() <= {each.alias for each in known}
        or any(said[name] > 1 for name in once)
        or any(_NUL in value for _, value in request.query_params.multi_items())
    ):
        raise Problem.of_door("query_invalid")


def _is_list(annotation: object) -> bool:
    return any(get_origin(each) is list for each in (annotation, *get_args(annotation)))


def _place(address: Address) -> Hashable:
    """
    What is counted as one address: whoever has one of IPv6 has the 2⁶⁴ beside it, too.
    """
    return address if address.version == 4 else int(address) >> 64  # noqa: PLR2004 - IPv4


def address_of(request: HttpRequest) -> Address:
    """
    Where a request comes from.
    """
    return _address(request.client.host if request.client else "")


@lru_cache(maxsize=1000)
def _address(host: str) -> Address:
    try:
        found = ip_address(host)
    except ValueError:
        # A Unix socket, whose proxy says nothing.
        return ip_address(0)
    # As a socket for both versions, and its proxy, writes one of IPv4: they all have one /64.
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found

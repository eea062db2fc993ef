"""Keys: the wrong ones are refused before anything is read or written with them."""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Language
from agi_router.calls.decision import Refusal
from agi_router.calls.dialplan import to_refuse
from agi_router.calls.router import Arrival, Router
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, connect
from agi_router.errors import KeyMismatch, SealError
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from harness.database import (
    NO_REST,
    a_call,
    an_end,
    bind,
    calls_used,
    look_up,
    new_call_id,
    on_each_version,
    one,
)
from harness.identities import from_header
from harness.values import BLOCK, A, B, C, D, X

pytestmark = on_each_version

TIMEOUT = 10.0


def a_key() -> bytes:
    return secrets.token_bytes(32)


def known(connection: Connection) -> set[tuple[str, int]]:
    rows = connection.execute("SELECT kind, id FROM agi_router.key").fetchall()
    return {(row["kind"], row["id"]) for row in rows}


def test_a_look_remembers_nothing(connection: Connection, keys: KeyRing) -> None:
    """And tells of a wrong key all the same."""
    assert check_keys(connection, keys, remember=False) == keys
    assert known(connection) == set()
    check_keys(connection, keys)
    more = KeyRing(tag_keys=(*keys.tag_keys, (2, a_key())), seal_keys=keys.seal_keys)
    check_keys(connection, more, remember=False)
    assert known(connection) == {("tag", 1), ("seal", 1)}
    with pytest.raises(KeyMismatch):
        check_keys(connection, KeyRing.generate(), remember=False)


def test_first_keys_are_remembered(connection: Connection, keys: KeyRing) -> None:
    """The first keys become those of the database; only their fingerprints are kept."""
    for _ in range(2):
        check_keys(connection, keys)
        assert known(connection) == {("tag", 1), ("seal", 1)}
    stored = one(connection, "SELECT fingerprint FROM agi_router.key WHERE kind = 'tag'")
    assert stored == keys.fingerprint("tag", 1)
    assert stored not in keys.tag_keys[0][1]


@pytest.mark.parametrize("wrong", ["tag", "seal"])
def test_wrong_key(wrong: str, connection: Connection, keys: KeyRing) -> None:
    """One wrong key is enough, and nothing of the ring is remembered."""
    check_keys(connection, keys)
    spare = (2, a_key())
    ring = KeyRing(
        tag_keys=(spare, (1, a_key()) if wrong == "tag" else keys.tag_keys[0]),
        seal_keys=(spare, (1, a_key()) if wrong == "seal" else keys.seal_keys[0]),
    )
    with pytest.raises(KeyMismatch):
        check_keys(connection, ring)
    assert known(connection) == {("tag", 1), ("seal", 1)}


def test_key_is_added(connection: Connection, keys: KeyRing) -> None:
    """A ring that has the old keys and new ones is accepted; without the old ones it is not."""
    check_keys(connection, keys)
    new_tag, new_seal = (2, a_key()), (2, a_key())
    both = KeyRing(tag_keys=(*keys.tag_keys, new_tag), seal_keys=(*keys.seal_keys, new_seal))
    check_keys(connection, both)
    assert known(connection) == {("tag", 1), ("tag", 2), ("seal", 1), ("seal", 2)}
    for ring in (
        keys,
        KeyRing(tag_keys=(new_tag,), seal_keys=both.seal_keys),
        KeyRing(tag_keys=both.tag_keys, seal_keys=(new_seal,)),
    ):
        with pytest.raises(KeyMismatch):
            check_keys(connection, ring)


def test_two_first_keys_at_once(dsn: str, connection: Connection) -> None:
    """Of programs that come first at the same moment with other keys, one is accepted."""
    barrier = Barrier(6)

    def work(ring: KeyRing) -> bool:
        with connect(dsn) as other:
            barrier.wait()
            try:
                check_keys(other, ring)
            except KeyMismatch:
                return False
            return True

    with ThreadPoolExecutor(6) as pool:
        for _ in range(5):
            rings = [KeyRing.generate() for _ in range(6)]
            accepted = list(pool.map(work, rings))
            assert sum(accepted) == 1
            assert known(connection) == {("tag", 1), ("seal", 1)}
            check_keys(connection, rings[accepted.index(True)])
            connection.execute(b"DELETE FROM agi_router.key")


async def test_bound_under_an_older_key(
    dsn: str, connection: Connection, store: BindingStore, keys: KeyRing
) -> None:
    """With a new key in front of the old one, what was bound before still rings."""
    bind(store)
    both = KeyRing(
        tag_keys=(*keys.tag_keys, (2, a_key())), seal_keys=(*keys.seal_keys, (2, a_key()))
    )
    bind(BindingStore(connection, both, NO_REST), C, D)
    async with AdmissionStore(dsn, both, connections=1) as admissions:
        for caller, callee in ((A, B), (B, A), (C, D), (D, C)):
            call_id = new_call_id()
            for _ in range(2):
                answer = await admissions.admit(a_call(caller), call_id, timeout=TIMEOUT)
                assert answer.admitted
                assert answer.facts.hit is not None
                assert answer.facts.hit.callees == (callee,)
    assert calls_used(connection) == 4


def swap_callees(connection: Connection) -> None:
    """Move each of two sealed numbers to the other's row."""
    connection.execute(
        b"UPDATE agi_router.route r SET callee = o.callee FROM agi_router.route o"
        b" WHERE o.caller_tag <> r.caller_tag"
    )


def alter_callee(connection: Connection) -> None:
    """Turn one bit of each sealed number."""
    connection.execute(
        b"UPDATE agi_router.route SET callee = set_bit(callee, 200, 1 - get_bit(callee, 200))"
    )


@pytest.mark.parametrize("damage", [swap_callees, alter_callee])
async def test_moved_or_altered_number_is_refused(
    damage: object, connection: Connection, store: BindingStore, admissions: AdmissionStore
) -> None:
    """A sealed number in another row rings nobody, and the use comes back at the end."""
    made = bind(store)
    assert callable(damage)
    damage(connection)
    call_id = new_call_id()
    with pytest.raises(SealError) as caught:
        await admissions.admit(a_call(), call_id, timeout=TIMEOUT)
    assert not any(party.digits in str(caught.value) for party in (A, B))
    with pytest.raises(SealError):
        look_up(store, a_call(), at=None)
    (listed,) = store.bindings(everything=True, order_id=None, limit=10)
    for found in (store.find(made.id), listed):
        assert (found.parties, found.damage) == ((), str(caught.value))
    router = Router(
        admissions,
        timeout=TIMEOUT,
        ring_timeout=timedelta(seconds=30),
        max_duration=timedelta(minutes=30),
        language=Language.ZH,
        fixed_lines=False,
    )
    second = new_call_id()
    answer = await router.answer(
        Arrival(call_id=second, caller=from_header(A.digits), dialled=X.digits)
    )
    assert answer == to_refuse(Refusal(reason=Reason.PLATFORM_FAULT), language=Language.ZH)
    await admissions.settle([an_end(each, None) for each in (call_id, second)])
    assert calls_used(connection) == 0
    # The connection serves on.
    bind(store, C, D, x=BLOCK.number(2))
    answers = await asyncio.gather(
        *(
            admissions.admit(a_call(C, BLOCK.number(2)), new_call_id(), timeout=TIMEOUT)
            for _ in range(8)
        )
    )
    assert all(each.admitted for each in answers)


async def test_wrong_keys_find_nobody(
    dsn: str, connection: Connection, store: BindingStore
) -> None:
    """Under other keys a party is a stranger: nothing is opened, nothing taken."""
    bind(store)
    async with AdmissionStore(dsn, KeyRing.generate(), connections=1) as admissions:
        answer = await admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT)
    assert not answer.admitted
    assert answer.facts.x_bound
    assert answer.facts.hit is None
    assert calls_used(connection) == 0

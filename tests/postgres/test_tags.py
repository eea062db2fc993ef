"""One tag for a person: on every row that concerns it, whatever is done, and found by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agi_router.bindings.modes import Y_TTL, Ax, Axb, Axe, Axyb, Gxb, Gxyb, Parties
from agi_router.bindings.parties import open_callees, open_last_caller
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Callback, Mode
from agi_router.calls.arrival import Call, DialledExtension
from agi_router.calls.decision import Route
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import KINDS, check_keys
from agi_router.keys.ring import KeyRing
from agi_router.maintenance.rotation import Rotation
from agi_router.numbers import PhoneNumber
from harness.database import HOUR, NO_REST, admit_as_router, new_call_id
from harness.values import A, B, C, D, E, X, Y

# The parties, and everybody by whose number the binding is found.
BOUND: list[tuple[Parties, set[PhoneNumber]]] = [
    (Axb(a=A, b=B), {A, B}),
    (Axyb(a=A, b=B), {A, B}),
    (Axyb(a=A, b=B, y_ttl=Y_TTL), {A, B}),
    (Gxb(members=(A, C), b=B, default=C), {A, B, C}),
    (Gxb(members=(A, C), b=B, callback=Callback.LAST), {A, B, C}),
    (Gxb(members=(A, C), b=B, callback=Callback.ALL), {A, B, C}),
    (Gxyb(members=(C, A), b=B, callback=Callback.SEQUENCE), {A, B, C}),
    (Ax(a=A, default=B, callback=Callback.DEFAULT), {A, B}),
    (Ax(a=A), {A}),
    (Axe(a=A, default=B, extension="1234"), {A, B}),
]

_ROWS = b"""
    SELECT r.*, b.mode
      FROM (SELECT block, binding_id, x_number, caller_tag, shown, side, callee, callee_tags,
                   last_callee, last_tag
              FROM agi_router.route
            UNION ALL
            SELECT block, binding_id, x_number, caller_tag, shown, side, callee, callee_tags,
                   NULL, NULL
              FROM agi_router.past_route) r
      JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id
"""


def check_rows(store: BindingStore) -> int:
    """See that the tags of each row are those of whom it seals; returns how many seal a last."""
    remembered = 0
    for row in store.connection.execute(_ROWS).fetchall():
        callees = [store.keys.tag(each) for each in open_callees(row, store.keys)]
        assert row["callee_tags"] == (callees or None)
        last = open_last_caller(row, store.keys, mode=Mode(row["mode"]))
        assert row["last_tag"] == (store.keys.tag(last[0]) if last else None)
        remembered += len(last)
    return remembered


def found(store: BindingStore, *, everything: bool = False) -> set[PhoneNumber]:
    """By whose number the oldest binding is found."""
    return {
        party
        for party in (A, B, C, D, E)
        for each in store.bindings(everything=everything, order_id=None, party=party, limit=9)
        if each.order_id == "first"
    }


@pytest.fixture
def keys(connection: Connection) -> KeyRing:
    """Keys that the database knows."""
    return check_keys(connection, KeyRing.generate())


@pytest.mark.parametrize(
    ("parties", "concerned"),
    BOUND,
    ids=[f"{each.mode}-{place}" for place, (each, _) in enumerate(BOUND)],
)
async def test_rows_are_tagged(
    parties: Parties,
    concerned: set[PhoneNumber],
    open_store: BindingStore,
    open_admissions: AdmissionStore,
    tmp_path: Path,
) -> None:
    """From the bind on, after calls and changes, under new keys, and when the binding is over."""
    store, connection = open_store, open_store.connection
    made = store.bind(
        parties,
        Terms(expires_at=store.now() + HOUR, order_id="first"),
        x=X,
        y=Y if parties.numbers == 2 else None,
    )
    assert check_rows(store) == 0
    assert found(store) == concerned

    typed = DialledExtension(extension="1234") if parties.mode is Mode.AXE else None
    stranger = Call(caller=E, x_number=X, typed=typed)
    call = stranger if parties.mode.open else Call(caller=A, x_number=X)
    _, decision = await admit_as_router(open_admissions, call, new_call_id())
    assert isinstance(decision, Route)
    remembers = getattr(parties, "callback", None) is Callback.LAST
    assert check_rows(store) == remembers
    if isinstance(parties, Gxb):
        store.add_members(made.id, [D])
        store.remove_member(made.id, C)
        concerned = {A, B, D}
        if not parties.rings_all:
            store.set_default(made.id, D)
            remembers = False
        assert check_rows(store) == remembers
    assert found(store) == concerned

    file = tmp_path / "key"
    write_key_ring(file, store.keys)
    rotation = Rotation(connection, store.keys, file)
    rotation.switch(rotation.add(KINDS))
    store = BindingStore(connection, rotation.keys, NO_REST, open_modes=True)
    # Some rows are of one key and some of the other: all are found.
    assert found(store) == concerned
    renewal = rotation.renewal()
    assert sum(renewal.run()) == 1
    assert renewal.left == []
    assert check_rows(store) == remembers
    assert found(store) == concerned

    store.unbind(made.id)
    assert found(store) == set()
    # It takes the place of A's row, which goes to those that were.
    store.bind(Axb(a=A, b=D), Terms(expires_at=store.now() + HOUR), x=X)
    assert connection.execute("SELECT 1 FROM agi_router.past_route").fetchall()
    check_rows(store)
    assert found(store) == set()
    assert found(store, everything=True) == concerned


def test_two_numbers_of_one_tag(store: BindingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose tag is another's is not found for it, and may not be bound where the other is."""
    store.bind(Axb(a=A, b=B), Terms(expires_at=store.now() + HOUR, order_id="first"), x=X)
    tags = KeyRing.tags
    monkeypatch.setattr(
        KeyRing, "tags", lambda ring, number: tags(ring, B if number == C else number)
    )
    assert store.keys.tags(C) == store.keys.tags(B)
    assert found(store) == {A, B}
    (same,) = store.bindings(everything=False, order_id=None, x_number=X, party=B, limit=9)
    assert store.bindings(everything=False, order_id=None, x_number=Y, party=B, limit=9) == []
    assert same.order_id == "first"

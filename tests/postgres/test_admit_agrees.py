"""The guard in SQL and the rule in Python are one: admitted if and only if the rule says route."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agi_router.bindings.sealed_routes import row_of
from agi_router.bindings.store import BindingStore
from agi_router.calls.decision import Route, decide
from agi_router.calls.end import call_day
from agi_router.calls.rows import read_admission
from agi_router.db.connection import Connection
from agi_router.db.queries import query
from agi_router.keys.ring import KeyRing, Purpose
from agi_router.numbers import PhoneNumber
from harness.database import (
    a_call,
    call_states,
    forged,
    insert_route,
    look_up,
    new_call_id,
    on_each_version,
    one,
    set_clock,
)
from harness.values import BLOCK, A, B, C, X

pytestmark = on_each_version

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

# Around the moment of the call: the moment itself and its neighbours are where rules differ.
moments = st.sampled_from([-3600 * 10**6, -1, 0, 1, 3600 * 10**6]).map(
    lambda microseconds: NOW + timedelta(microseconds=microseconds)
)
# All that holds comes often, or nearly every call would be refused for the first guard that fails.
past = st.just(NOW - timedelta(hours=1)) | moments
future = st.just(NOW + timedelta(hours=1)) | moments
blocks = st.fixed_dictionaries(
    {
        "state": st.sampled_from(["active", "active", "draining", "returned"]),
        "valid_from": st.just("-infinity") | past,
        "valid_until": st.just("infinity") | future,
    }
)


@st.composite
def bindings(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a binding as it may stand in the database."""
    max_calls = draw(st.none() | st.integers(1, 3))
    state = draw(
        st.sampled_from(
            [
                *(
                    "active",
                    "active",
                    "active",
                    "held",
                    "expired",
                    "unbound",
                    "order_ended",
                    "used_up",
                ),
                *("party_recycled", "recycle_unknown", "consent_withdrawn"),
            ]
        )
    )
    return {
        "max_calls": max_calls,
        "calls_used": draw(st.integers(0, 3 if max_calls is None else max_calls)),
        "direction": draw(st.sampled_from(["both", "both", "a", "b"])),
        "begins_at": draw(past),
        "expires_at": draw(future),
        "state": state,
        # A binding ends when it is ended; the clock does not go back afterwards.
        "ended_at": None
        if state in {"active", "held"}
        else draw(st.sampled_from([NOW, NOW - timedelta(1)])),
    }


HOURS = st.none() | st.sampled_from(
    [
        "20:00-20:01",
        "19:00-20:00",
        "sun 17:30-17:31",
        "22:00-21:00",
        "sat 22:00-20:00",
        "sat 22:00-20:01",
        "fri-mon 00:00-24:00",
        "mon-fri 09:00-18:00; sat-sun 17:00-18:00",
    ]
)
worlds = st.fixed_dictionaries(
    {
        "block": st.none() | blocks | blocks,
        "tenant": st.sampled_from([True, True, True, False]),
        # From when until when the tenant is qualified.
        "qualified": st.none() | st.tuples(past, future),
        "exact": bindings(),
        "anyone": st.none() | bindings(),
        "caller": st.sampled_from([A, A, B, C]),
        "mode": st.sampled_from(["axb", "axyb", "gxb", "gxyb", "ax", "axe"]),
        # Whom B reaches, by a mistake itself; a group may have nobody for it.
        "called_back": st.sampled_from([A, A, B, None]),
        # Who called last, when, and for how many seconds it counts.
        "last": st.none()
        | st.tuples(st.sampled_from([A, B, C]), past, st.sampled_from([None, 3600])),
        # The number that A shows and B dials: as old as the binding, not made, or a child's.
        "child": st.sampled_from(["", "", "none"]) | bindings(),
        # Whom or what, as it is or with a stranger's number under its tag; when; for which tenant.
        "locks": st.lists(
            st.tuples(
                st.sampled_from([A, B, C, "stranger", "number", "block", "tenant"]),
                past | future,
                st.none() | future,
                st.booleans(),
            ),
            max_size=3,
        )
        | st.just([]),
        # Of the binding, and of its tenant; it is 20:00 on a Sunday in Shanghai, 17:30 in Delhi.
        "hours": st.just((None, None, "Asia/Shanghai"))
        | st.tuples(HOURS, HOURS, st.sampled_from(["Asia/Shanghai", "Asia/Kolkata"])),
        # Who is kept from whom: as it is or with a stranger's number under A's tag.
        "bans": st.just([])
        | st.lists(
            st.tuples(
                st.sampled_from([A, B, C, "stranger"]),
                st.sampled_from([None, A, B, C]),
                st.sampled_from(["both", "out", "in"]),
                past | future,
                st.none() | future,
                st.booleans(),
            ),
            max_size=2,
        ),
    }
)
OPEN = {"state": "active", "valid_from": "-infinity", "valid_until": "infinity"}
ALIVE = {
    "max_calls": 1,
    "calls_used": 0,
    "direction": "both",
    "begins_at": NOW,
    "expires_at": NOW + timedelta(microseconds=1),
    "state": "active",
    "ended_at": None,
}
ALWAYS = (None, None, "Asia/Shanghai")
AXB = {
    "mode": "axb",
    "called_back": A,
    "last": None,
    "child": "",
    "locks": [],
    "bans": [],
    "hours": ALWAYS,
}


def build(connection: Connection, keys: KeyRing, world: dict[str, Any]) -> None:
    """Write a world: A and B in one binding on X, perhaps anyone in another."""
    # Without its row nothing refers to the block, so constraints are dropped for the moment.
    connection.execute(b"ALTER TABLE agi_router.binding DROP CONSTRAINT binding_block_fkey")
    # Two bindings of any modes meet on one number here.
    connection.execute(b"ALTER TABLE agi_router.route DISABLE TRIGGER route_new")
    if world["block"] is not None:
        connection.execute(
            "INSERT INTO agi_router.block (block, state, valid_from, valid_until)"
            " VALUES (%s, %s, %s, %s)",
            (BLOCK.value, *(world["block"][name] for name in OPEN)),
        )
    connection.execute(
        "UPDATE agi_router.tenant SET active = %s, qualified_from = %s, qualified_until = %s",
        (world["tenant"], *(world.get("qualified") or ("-infinity", "infinity"))),
    )
    kinds = (
        ("exact", ((A, B, "a"), (B, world["called_back"], "b"))),
        ("anyone", ((None, B, "b"),)),
    )
    mode = world["mode"]
    window = world["last"] and world["last"][2]
    for kind, callers in kinds:
        if (terms := world[kind]) is None:
            continue
        number = one(
            connection,
            "INSERT INTO agi_router.binding (block, tenant_id, mode, callback, callback_window,"
            " extension, open_number, max_calls, calls_used, direction, begins_at, expires_at,"
            " state, ended_at)"
            " SELECT %s, t.id, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s"
            " FROM agi_router.tenant t RETURNING id",
            BLOCK.value,
            mode,
            "last" if mode not in {"axb", "axyb"} else None,
            window if mode not in {"axb", "axyb"} else None,
            "1234" if mode == "axe" else None,
            X.value if mode in {"ax", "axe"} else None,
            *(terms[name] for name in ALIVE),
        )
        for caller, callee, side in callers:
            insert_route(
                connection,
                keys,
                binding=number,
                caller=caller,
                callee=callee,
                side=side,
                shown=None if world["child"] == "none" else X,
            )
    of_binding, of_tenant, zone = world["hours"]
    connection.execute("UPDATE agi_router.binding SET hours = %s", (of_binding,))
    connection.execute(
        "UPDATE agi_router.tenant SET hours = %s, time_zone = %s", (of_tenant, zone)
    )
    remember(connection, keys, world)
    give_birth(connection, world["child"])
    for place, lock in enumerate(world["locks"], 1):
        insert_lock(connection, keys, place, *lock)
    for place, ban in enumerate(world["bans"], 11):
        insert_ban(connection, keys, place, *ban)


def remember(connection: Connection, keys: KeyRing, world: dict[str, Any]) -> None:
    """Let somebody have called last, in the row of whoever calls back."""
    if world["last"] is None or world["mode"] in {"axb", "axyb"}:
        return
    who, when, _ = world["last"]
    caller = A if world["mode"] in {"ax", "axe"} else B
    tag = keys.tag(caller)
    for route in connection.execute(
        "SELECT binding_id, x_number, caller_tag, side, shown FROM agi_router.route"
        " WHERE caller_tag = %s",
        (tag,),
    ).fetchall():
        row = row_of(route)
        sealed = keys.seal([who], row.for_strangers if caller == A else row, Purpose.LAST_CALLER)
        connection.execute(
            "UPDATE agi_router.route SET last_callee = %s, last_tag = %s, last_at = %s"
            " WHERE caller_tag = %s",
            (sealed, keys.tag(who), when, tag),
        )


def insert_lock(
    connection: Connection,
    keys: KeyRing,
    number: int,
    what: PhoneNumber | str,
    starts_at: datetime,
    ends_at: datetime | None,
    for_tenant: bool,  # noqa: FBT001 - drawn
) -> None:
    """Write a lock as it may stand: of a person, under its own tag or under A's."""
    tenant = one(connection, "SELECT id FROM agi_router.tenant")
    subject, sealed, key = "person", None, 0
    match what:
        case "number":
            subject, key = "number", X.value
        case "block":
            subject, key = "block", BLOCK.value
        case "tenant":
            subject, key = "tenant", tenant
        case "stranger":
            # Another person, whose tag is that of A.
            key = keys.tag(A)
            sealed = forged(keys, PhoneNumber(digits="13912349999"), number, key)
        case PhoneNumber():
            key, sealed = keys.seal_locked(what, number)[0]
    owner = tenant if subject == "tenant" or (subject == "person" and for_tenant) else None
    if ends_at is not None and ends_at <= starts_at:
        ends_at = starts_at + timedelta(microseconds=1)
    connection.execute(
        "INSERT INTO agi_router.lock (id, subject, key, sealed, tenant_id, reason, set_by, set_at,"
        " starts_at, ends_at) VALUES (%s, %s, %s, %s, %s, 'arrears', 'a test', %s, %s, %s)",
        (number, subject, key, sealed, owner, NOW, starts_at, ends_at),
    )
    connection.execute(
        "INSERT INTO agi_router.lock_mark SELECT key, id, subject, reason, tenant_id, sealed,"
        " starts_at, ends_at FROM agi_router.lock WHERE id = %s",
        (number,),
    )


def insert_ban(
    connection: Connection,
    keys: KeyRing,
    number: int,
    who: PhoneNumber | str,
    other: PhoneNumber | None,
    direction: str,
    starts_at: datetime,
    ends_at: datetime | None,
    for_tenant: bool,  # noqa: FBT001 - drawn
) -> None:
    """Write the mark of an entry as it may stand: of a person, under its own tag or under A's."""
    if isinstance(who, PhoneNumber):
        key, sealed = keys.seal_locked(who, number)[0]
    else:
        key = keys.tag(A)
        sealed = forged(keys, PhoneNumber(digits="13912349999"), number, key)
    other_key, other_sealed = (None, None) if other is None else keys.seal_locked(other, number)[0]
    connection.execute(
        "INSERT INTO agi_router.lock_mark (key, lock_id, subject, tenant_id, sealed, starts_at,"
        " ends_at, other_key, other_sealed, direction)"
        " SELECT %s, %s, 'blocklist', CASE WHEN %s THEN t.id END, %s, %s, %s, %s, %s, %s"
        " FROM agi_router.tenant t",
        (
            key,
            number,
            for_tenant,
            sealed,
            starts_at,
            ends_at,
            other_key,
            other_sealed,
            direction,
        ),
    )


def give_birth(connection: Connection, child: str | dict[str, Any]) -> None:
    """Let the number shown be one of a child that is alive or over."""
    if isinstance(child, dict):
        number = one(
            connection,
            "INSERT INTO agi_router.binding (block, tenant_id, mode, max_calls, calls_used,"
            " direction, begins_at, expires_at, state, ended_at)"
            " SELECT %s, t.id, 'axyb', %s, %s, %s, %s, %s, %s, %s FROM agi_router.tenant t"
            " RETURNING id",
            BLOCK.value,
            *({**child, "calls_used": 0}[name] for name in ALIVE),
        )
        connection.execute("UPDATE agi_router.route SET child_id = %s", (number,))


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(world=worlds)
@example(world={"block": OPEN, "tenant": True, "exact": ALIVE, "anyone": None, "caller": A, **AXB})
@example(
    world={
        "block": OPEN,
        "tenant": True,
        "exact": {**ALIVE, "expires_at": NOW},
        "anyone": ALIVE,
        "caller": A,
        **AXB,
    }
)
@example(
    world={
        "block": {**OPEN, "valid_until": NOW},
        "tenant": True,
        "exact": ALIVE,
        "anyone": None,
        "caller": B,
        **AXB,
    }
)
@example(
    world={
        "block": OPEN,
        "tenant": True,
        "exact": ALIVE,
        "anyone": ALIVE,
        "caller": B,
        "mode": "gxb",
        "called_back": None,
        "last": None,
        "child": "",
        "locks": [],
        "bans": [],
        "hours": ALWAYS,
    }
)
@example(
    world={
        "block": OPEN,
        "tenant": True,
        "exact": ALIVE,
        "anyone": None,
        "caller": B,
        "mode": "gxb",
        "called_back": None,
        "last": (A, NOW - timedelta(hours=1), 3600),
        "child": "",
        "locks": [],
        "bans": [],
        "hours": ALWAYS,
    }
)
@example(
    world={
        "block": OPEN,
        "tenant": True,
        "exact": ALIVE,
        "anyone": None,
        "caller": A,
        **AXB,
        "locks": [("stranger", NOW, None, False)],
    }
)
@example(
    world={
        "block": OPEN,
        "tenant": True,
        "exact": ALIVE,
        "anyone": None,
        "caller": A,
        **AXB,
        "locks": [(B, NOW, NOW + timedelta(microseconds=1), True)],
    }
)
@example(
    world={
        "block": OPEN,
        "tenant": True,
        "exact": ALIVE,
        "anyone": None,
        "caller": B,
        **AXB,
        "child": {**ALIVE, "expires_at": NOW},
    }
)
@example(
    world={
        "block": OPEN,
        "tenant": True,
        "exact": ALIVE,
        "anyone": None,
        "caller": B,
        **AXB,
        "called_back": B,
    }
)
@example(
    world={
        "block": OPEN,
        "tenant": True,
        "exact": ALIVE,
        "anyone": None,
        "caller": A,
        **AXB,
        "bans": [(B, A, "in", NOW, None, True)],
    }
)
@example(
    world={
        "block": OPEN,
        "tenant": True,
        "exact": ALIVE,
        "anyone": None,
        "caller": A,
        **AXB,
        "bans": [("stranger", B, "out", NOW, None, False), (C, None, "both", NOW, None, False)],
    }
)
def test_admitted_if_and_only_if_routed(
    world: dict[str, Any], shadowed: Connection, keys: KeyRing
) -> None:
    """Whatever is bound, blocked or over, and whenever: both say the same of the facts."""
    caller: PhoneNumber = world["caller"]
    # Its day is bound by the server's own clock, which nobody here sets.
    call_id = new_call_id()
    set_clock(shadowed, NOW)
    with shadowed.transaction(force_rollback=True):
        build(shadowed, keys, world)
        used = sum(world[kind]["calls_used"] for kind in ("exact", "anyone") if world[kind])
        strangers: list[int] = []
        while True:
            row = shadowed.execute(
                query("admit_person" if strangers else "admit"),
                {
                    "block": BLOCK.value,
                    "x_number": X.value,
                    "tags": [*keys.tags(caller), 0],
                    "person": keys.tags(caller),
                    "strangers": strangers,
                    "call_id": call_id,
                    "day": call_day(call_id),
                },
            ).fetchone()
            assert row is not None
            admission = read_admission(row, caller, X, keys)
            if not admission.strangers:
                break
            # As the store does: a lock of somebody else keeps nobody off.
            strangers += admission.strangers
        decision = decide(a_call(caller), admission.facts, now=admission.now)
        assert admission.now == NOW
        assert admission.admitted is isinstance(decision, Route)
        # A use and a row, or neither.
        taken = one(shadowed, "SELECT sum(calls_used) FROM agi_router.binding") - used
        assert taken == admission.admitted
        assert call_states(shadowed) == ({call_id: "reserved"} if admission.admitted else {})
        # The look-up that takes nothing says the same, as long as nothing was taken.
        if not admission.admitted:
            looked = look_up(BindingStore(shadowed, keys, open_modes=True), a_call(caller), at=NOW)
            assert replace(looked, strangers=()) == admission

"""Settling: each call once, whatever comes twice or late; no use is lost, none leaks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import BindingState, Counting, Language, Side
from agi_router.calls.arrival import Call
from agi_router.calls.check import Checked, Verdict
from agi_router.calls.decision import AllocationNeeded, Refusal, Route, decide
from agi_router.calls.dialplan import to_refuse
from agi_router.calls.end import End, Outcome, parse_end
from agi_router.calls.lookup import CallLookup
from agi_router.calls.ports import Admission
from agi_router.calls.router import Arrival, Router
from agi_router.calls.store import AdmissionStore
from agi_router.calls.views import describe_call
from agi_router.db.connection import Connection
from agi_router.errors import BindingEnded, DayRefused, ProtocolError, RowRefused, StoreError
from agi_router.keys.ring import KeyRing
from agi_router.numbers import XNumber
from harness.database import (
    HOUR,
    SOON,
    Server,
    a_call,
    an_end,
    bind,
    call_states,
    calls_used,
    expire,
    new_call_id,
    new_party,
    on_each_version,
    one,
    until_async,
)
from harness.identities import from_header
from harness.values import BLOCK, A, C, X

pytestmark = on_each_version

TIMEOUT = 10.0

Admit = Callable[[int], Awaitable[list[str]]]


@pytest.fixture
def admit(admissions: AdmissionStore) -> Admit:
    """Admit some calls of A on X."""

    async def work(number: int) -> list[str]:
        ids = [new_call_id() for _ in range(number)]
        answers = await asyncio.gather(
            *(admissions.admit(a_call(), each, timeout=TIMEOUT) for each in ids)
        )
        assert all(answer.admitted for answer in answers)
        return ids

    return work


async def test_the_last_use_ends_a_binding(
    connection: Connection, store: BindingStore, admissions: AdmissionStore, admit: Admit
) -> None:
    """Not while a call may give its use back; then it is over, and its number is free."""
    made = bind(store, max_calls=2)
    first, second = await admit(2)
    await admissions.settle([an_end(first, Outcome.ANSWERED)])
    assert store.find(made.id).state is BindingState.ACTIVE
    await admissions.settle([an_end(second, Outcome.BUSY)])
    assert store.find(made.id).state is BindingState.ACTIVE
    (third,) = await admit(1)
    await asyncio.gather(*(admissions.settle([an_end(third, Outcome.ANSWERED)]) for _ in range(3)))
    found = store.find(made.id)
    assert (found.state, found.calls_used) == (BindingState.USED_UP, 2)
    assert found.ended_at is not None
    assert found.ended_at <= store.now()
    ends = connection.execute("SELECT DISTINCT ends_at FROM agi_router.route").fetchall()
    assert [row["ends_at"] for row in ends] == [found.ended_at]
    answer = await admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT)
    decision = decide(a_call(), answer.facts, now=answer.now)
    assert isinstance(decision, Refusal)
    assert decision.reason is Reason.USED_UP
    with pytest.raises(BindingEnded, match=r"is over \(used_up\)"):
        store.unbind(made.id)
    with pytest.raises(BindingEnded, match=r"is over \(used_up\)"):
        store.extend(made.id, store.now() + 2 * HOUR)
    assert bind(store, A, C).state is BindingState.ACTIVE


@pytest.mark.parametrize("counting", Counting)
async def test_an_unknown_end_may_keep_its_use(
    counting: Counting,
    connection: Connection,
    store: BindingStore,
    admissions: AdmissionStore,
    admit: Admit,
) -> None:
    """Whatever the binding counts; told twice it counts once; the last one ends the binding."""
    made = bind(store, max_calls=2, counting=counting)
    first, second = await admit(2)
    now = datetime.now(UTC)
    given, taken = (End.unseen(each, X, now=now, kept=each == second) for each in (first, second))
    for _ in range(2):
        await admissions.settle([given, taken])
    assert calls_used(connection) == 1
    (third,) = await admit(1)
    await admissions.settle([End.unseen(third, X, now=now, kept=True)])
    found = store.find(made.id)
    assert (found.state, found.calls_used) == (BindingState.USED_UP, 2)


@pytest.mark.parametrize("end", ["unbound", "expired"])
async def test_what_ended_a_binding_first_stands(
    end: str,
    connection: Connection,
    store: BindingStore,
    admissions: AdmissionStore,
    admit: Admit,
) -> None:
    """A last use that is settled after the end changes nothing of it."""
    made = bind(store, max_calls=1)
    (call_id,) = await admit(1)
    if end == "unbound":
        store.unbind(made.id)
    else:
        expire(connection, made.id)
    before = store.find(made.id)
    await admissions.settle([an_end(call_id, Outcome.ANSWERED)])
    assert store.find(made.id) == before
    assert before.state is BindingState(end)


async def test_used_up_by_many_at_once(
    connection: Connection, store: BindingStore, admissions: AdmissionStore
) -> None:
    """However calls of many bindings are settled, each ends with its last use and not before."""
    limit = 5
    parties = {BLOCK.number(serial): new_party() for serial in range(100, 110)}
    made = {x: bind(store, party, x=x, max_calls=limit) for x, party in parties.items()}
    answered = dict.fromkeys(parties, 0)
    while any(count < limit for count in answered.values()):
        calls = {new_call_id(): x for x in parties for _ in range(3)}
        answers = await asyncio.gather(
            *(
                admissions.admit(a_call(parties[x], x), call_id, timeout=TIMEOUT)
                for call_id, x in calls.items()
            )
        )
        ends = []
        for (call_id, x), answer in zip(calls.items(), answers, strict=True):
            if answer.admitted:
                outcome = random.choice([Outcome.ANSWERED, Outcome.BUSY, None])  # noqa: S311
                answered[x] += outcome is Outcome.ANSWERED
                ends.append(an_end(call_id, outcome, x=x))
        random.shuffle(ends)
        await asyncio.gather(
            *(admissions.settle(ends[start : start + 4]) for start in range(0, len(ends), 3))
        )
        for x, binding in made.items():
            found = store.find(binding.id)
            assert found.calls_used == answered[x]
            full = answered[x] == limit
            assert found.state is (BindingState.USED_UP if full else BindingState.ACTIVE)
    kept = one(connection, "SELECT array_agg(DISTINCT calls_settled) FROM agi_router.binding")
    assert kept == [limit]


UNANSWERED = [outcome for outcome in Outcome if outcome is not Outcome.ANSWERED]


@pytest.mark.parametrize(
    ("counting", "outcomes", "kept"),
    [
        (Counting.ANSWERED, [Outcome.ANSWERED], True),
        (Counting.ANSWERED, UNANSWERED, False),
        (Counting.ATTEMPTS, [Outcome.ANSWERED], True),
        (Counting.ATTEMPTS, UNANSWERED, True),
        # No leg was dialled: the caller gave up before, or the call was not seen to end.
        (Counting.ANSWERED, [None], False),
        (Counting.ATTEMPTS, [None], False),
    ],
)
async def test_what_keeps_a_use(
    counting: Counting,
    outcomes: Sequence[Outcome | None],
    kept: bool,  # noqa: FBT001
    connection: Connection,
    store: BindingStore,
    admissions: AdmissionStore,
    admit: Admit,
) -> None:
    """An answered call keeps its use, an unanswered one where attempts count, no other."""
    bind(store, counting=counting)
    ids = await admit(len(outcomes))
    assert calls_used(connection) == len(outcomes)
    await admissions.settle(
        [an_end(each, outcome) for each, outcome in zip(ids, outcomes, strict=True)]
    )
    assert calls_used(connection) == (len(outcomes) if kept else 0)
    assert call_states(connection) == dict.fromkeys(ids, "settled")
    assert await admissions.reserved("pbx1") == {}


async def test_record_of_a_call(
    store: BindingStore, admissions: AdmissionStore, admit: Admit
) -> None:
    """A settled call tells what its end told, and which binding it used."""
    made = bind(store)
    (call_id,) = await admit(1)
    ended = int(datetime.now(UTC).timestamp())
    line = f"2|{call_id}|{X}|{ended}||ANSWER|1500|61000||PJSIP/a-1|16||61|talk|end"
    await admissions.settle([parse_end(line)])
    (row,) = CallLookup(store.connection).calls(since=datetime.now(UTC) - HOUR, limit=10)
    assert row.pop("received_at") <= datetime.now(UTC)
    assert row == {
        "block": BLOCK.value,
        "id": call_id,
        "tenant": "default",
        "x_number": X.value,
        "binding_id": made.id.id,
        "shown": X.value,
        "side": "a",
        "answered_at": None,
        "ended_at": datetime.fromtimestamp(ended, UTC),
        "ring_ms": 1500,
        "talk_ms": 61000,
        "state": "settled",
        "reason": None,
        "outcome": "answered",
        "released_by": "us",
        "cause": 16,
        "sip_status": 200,
        "clock": "talk",
        "cut": None,
        "check_id": None,
        "check_verdict": None,
        "check_ms": None,
        "tenant_check_id": None,
        "tenant_check_verdict": None,
        "tenant_check_ms": None,
        "recording": None,
    }


async def test_record_of_a_check(
    store: BindingStore, admissions: AdmissionStore, admit: Admit
) -> None:
    """What is asked about an admitted call; the verdict is on record; refused, its use is back."""
    made = bind(store, max_calls=1, order_id="A-1001", industrial_id="700.100.1/12345678")
    (call_id,) = await admit(1)
    decision = decide(
        a_call(),
        (await admissions.admit(a_call(), call_id, timeout=TIMEOUT)).facts,
        now=store.now(),
    )
    assert isinstance(decision, Route)
    question, service = await admissions.find_question(
        a_call(), call_id, decision, timeout=TIMEOUT
    )
    assert service is None
    assert question.about == call_id
    assert (question.binding, question.side) == (decision.binding, Side.A)
    assert (question.x_number, question.caller, question.callees) == (X, None, ())
    assert (question.order_id, question.industrial_id) == ("A-1001", "700.100.1/12345678")
    assert question.out_id is None
    checked = Checked(id=question.id, verdict=Verdict.NO, ms=17)
    own = Checked(id=str(uuid4()), verdict=Verdict.UNAVAILABLE, ms=150)
    await admissions.note_checks(a_call(), call_id, checked, own, timeout=TIMEOUT)
    await admissions.settle([an_end(call_id, None, reason=Reason.CHECK_REFUSED)])
    assert store.find(made.id).calls_used == 0
    (row,) = CallLookup(store.connection).calls(since=datetime.now(UTC) - HOUR, limit=10)
    record = describe_call(row)
    assert (record["verdict"], record["reason"]) == ("refuse", "check_refused")
    assert (record["check_id"], record["check_verdict"], record["check_ms"]) == (
        question.id,
        "no",
        17,
    )
    assert record["tenant_check_id"] == own.id
    assert (record["tenant_check_verdict"], record["tenant_check_ms"]) == ("unavailable", 150)
    with pytest.raises(StoreError, match="over already"):
        await admissions.find_question(a_call(), call_id, decision, timeout=TIMEOUT)


async def test_a_line_that_is_forged_is_believed(
    connection: Connection, store: BindingStore, admissions: AdmissionStore, admit: Admit
) -> None:
    """Asterisk's account says how a call ended, though it goes on: its use is back, or kept."""
    bind(store)
    busy, answered = await admit(2)
    ended = int(datetime.now(UTC).timestamp())
    fields = f"{X}|{ended}||%s|1500|61000|PJSIP/b-2|PJSIP/a-1|16|end"
    forged = [f"1|{busy}|{fields % 'BUSY'}", f"1|{answered}|{fields % 'ANSWER'}"]
    await admissions.settle([parse_end(line) for line in forged])
    assert calls_used(connection) == 1
    assert call_states(connection) == {busy: "settled", answered: "settled"}


async def test_call_without_admission_is_inserted(
    connection: Connection, admissions: AdmissionStore
) -> None:
    """Refused calls, and those whose caller did not wait, are recorded; twice told, once."""
    foreign = XNumber.parse("700000000000009")
    ends = [an_end(new_call_id(), None, reason=reason, x=foreign) for reason in (*Reason, None)]
    for _ in range(2):
        await admissions.settle(ends)
    rows = connection.execute("SELECT * FROM agi_router.call").fetchall()
    assert {row["id"]: row["reason"] for row in rows} == {end.call_id: end.reason for end in ends}
    assert len(rows) == len(ends)
    assert {(row["binding_id"], row["state"]) for row in rows} == {(None, "settled")}


async def test_a_refused_call_came_before_its_prompt(
    connection: Connection, admissions: AdmissionStore
) -> None:
    """Its time is that of its id, to the second, and never after its end."""
    now = datetime.now(UTC).replace(microsecond=0)
    came = now - timedelta(seconds=8)
    call_id, ahead = new_call_id(came), new_call_id(now + timedelta(seconds=60))
    await admissions.settle(
        [
            replace(an_end(each, None, reason=Reason.STRANGER), ended_at=now)
            for each in (call_id, ahead)
        ]
    )
    times = {
        row["id"]: (row["received_at"], row["ended_at"])
        for row in connection.execute("SELECT id, received_at, ended_at FROM agi_router.call")
    }
    assert times == {call_id: (came, now), ahead: (now, now)}


async def test_told_again(
    connection: Connection, store: BindingStore, admissions: AdmissionStore, admit: Admit
) -> None:
    """What is told twice, late, in another order or twice in one batch is settled once."""
    bind(store)
    ids = await admit(6)
    ends = [
        an_end(each, Outcome.ANSWERED if n % 2 else Outcome.BUSY) for n, each in enumerate(ids)
    ]
    await admissions.settle([*ends[:4], *ends[:4]])
    assert calls_used(connection) == 4
    await admissions.settle(list(reversed(ends)))
    await asyncio.gather(*(admissions.settle(ends) for _ in range(5)))
    assert calls_used(connection) == 3
    # The first word stands: a call that was settled is not opened again.
    await admissions.settle([an_end(each, Outcome.BUSY) for each in ids])
    await admissions.settle([an_end(each, Outcome.ANSWERED) for each in ids])
    assert calls_used(connection) == 3
    assert one(connection, "SELECT count(*) FROM agi_router.call WHERE outcome = 'answered'") == 3


async def test_unseen_then_told(
    connection: Connection, store: BindingStore, admissions: AdmissionStore, admit: Admit
) -> None:
    """A call that nobody saw end gives its use back once, also if its line turns up later."""
    bind(store)
    (call_id,) = await admit(1)
    await admissions.settle([End.unseen(call_id, X, now=datetime.now(UTC))])
    assert calls_used(connection) == 0
    await admissions.settle([an_end(call_id, Outcome.BUSY)])
    assert calls_used(connection) == 0


@pytest.mark.parametrize("altered", ["calls_used = 0", "calls_settled = 2147483647"])
async def test_counts_that_somebody_has_altered(
    altered: str,
    connection: Connection,
    store: BindingStore,
    admissions: AdmissionStore,
    admit: Admit,
) -> None:
    """A call is settled, within what may be; who altered them has ended his binding at most."""
    made = bind(store, max_calls=5)
    busy, answered = await admit(2)
    connection.execute(f"UPDATE agi_router.binding SET {altered}")
    left = await admissions.settle(
        [an_end(busy, Outcome.BUSY), an_end(answered, Outcome.ANSWERED)]
    )
    assert (left.held, left.refused, left.broken) == ([], [], [])
    assert set(call_states(connection).values()) == {"settled"}
    found = store.find(made.id)
    assert found.calls_used == (0 if "used" in altered else 1)
    assert one(connection, "SELECT max(calls_settled) FROM agi_router.binding") in {1, 5}


async def test_what_the_database_refuses_keeps_nobody_else(
    connection: Connection, cell: Connection, store: BindingStore, admissions: AdmissionStore
) -> None:
    """Of many ends two break a rule: these are named with their binding, the others settled."""
    parties = {BLOCK.number(serial): new_party() for serial in range(20)}
    made = {x: bind(store, party, x=x, max_calls=5) for x, party in parties.items()}
    await until_async(lambda: admissions.pool.connected)
    calls = {x: new_call_id() for x in parties}
    for x, call_id in calls.items():
        answer = await admissions.admit(a_call(parties[x], x), call_id, timeout=TIMEOUT)
        assert answer.admitted
    first, second, *_ = made
    names = sorted(str(made[x].id) for x in (first, second))
    cell.execute(
        "ALTER TABLE agi_router.binding ADD CHECK (id NOT IN"
        f" ({made[first].id.id}, {made[second].id.id}) OR calls_used > 0) NOT VALID"
    )
    ends = [an_end(call_id, Outcome.BUSY, x=x) for x, call_id in calls.items()]
    refused = [an_end(new_call_id(), None, reason=Reason.STRANGER) for _ in range(10)]
    left = await admissions.settle([*ends, *refused])
    assert (left.held, left.refused) == ([], [])
    assert sorted(str(each.binding) for each in left.broken) == names
    assert {each.end.x_number for each in left.broken} == {first, second}
    assert all("(23514)" in each.why for each in left.broken)
    assert calls_used(connection) == 2
    assert sorted(call_states(connection).values()) == ["reserved"] * 2 + ["settled"] * 28


async def test_a_call_that_used_nothing_is_refused_alone(
    cell: Connection, admissions: AdmissionStore
) -> None:
    """One that used no binding has none to be named."""
    call_id = new_call_id()
    cell.execute(f"ALTER TABLE agi_router.call ADD CHECK (id <> '{call_id}') NOT VALID")
    (broken,) = (await admissions.settle([an_end(call_id, None)])).broken
    assert (broken.end.call_id, broken.binding) == (call_id, None)


async def test_a_role_without_rights_loses_no_line(
    server: Server, dsn: str, connection: Connection, admissions: AdmissionStore
) -> None:
    """What is wrong with all of it is no row's fault: it is told, and all is told again."""
    with server.cell_admin(dsn) as admin:
        admin.execute("ALTER TABLE agi_router.call OWNER TO postgres")
        with pytest.raises(StoreError) as told:
            await admissions.settle([an_end(new_call_id()), an_end(new_call_id())])
        assert not isinstance(told.value, RowRefused)
        admin.execute("ALTER TABLE agi_router.call OWNER TO agi_router")
    await admissions.settle([an_end(new_call_id())])
    assert len(call_states(connection)) == 1


async def test_rows_that_no_admission_has_written(
    connection: Connection,
    store: BindingStore,
    admissions: AdmissionStore,
    admit: Admit,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They are left out of what is reserved, and told: not one ends reconciling."""
    bind(store)
    (call_id,) = await admit(1)
    forged = [
        (5, new_call_id(), "current_date", 5),
        # Settling would look for them under their number's block, and their id's day.
        (5, new_call_id(), "current_date", X.value),
        (BLOCK.value, new_call_id(), "current_date + 400", X.value),
        (BLOCK.value, new_call_id(), "current_date", X.value * 10),
        (BLOCK.value, "pbx1-12345.1", "current_date", X.value),
    ]
    for block, name, day, x_number in forged:
        connection.execute(
            "INSERT INTO agi_router.call (block, id, day, x_number, state)"
            f" VALUES (%s, %s, {day}, %s, 'reserved')",
            (block, name, x_number),
        )
    assert await admissions.reserved("pbx1") == {call_id: X}
    (record,) = caplog.records
    assert (record.msg, vars(record)["rows"]) == ("calls.invalid", len(forged))


async def test_nothing_to_settle(connection: Connection, admissions: AdmissionStore) -> None:
    """An empty batch is fine."""
    await admissions.settle([])
    assert call_states(connection) == {}


async def test_batch_of_several_days(
    connection: Connection, cell: Connection, store: BindingStore, admissions: AdmissionStore
) -> None:
    """Each call goes to the partition of its day; one of a day without one to the default one."""
    bind(store)
    now = datetime.now(UTC)
    days = [now, now - timedelta(days=1), now + timedelta(days=1)]
    cell.execute(f"DROP TABLE agi_router.call_{days[-1]:%Y%m%d}")
    ids = [new_call_id(day) for day in days for _ in range(2)]
    for each in ids[::2]:
        await admissions.admit(a_call(), each, timeout=TIMEOUT)
    shuffled = [an_end(each, Outcome.BUSY) for each in ids]
    random.shuffle(shuffled)
    for _ in range(2):
        await admissions.settle(shuffled)
        assert call_states(connection) == dict.fromkeys(ids, "settled")
        assert calls_used(connection) == 0
    rows = cell.execute(
        "SELECT c.relname AS place, id FROM agi_router.call"
        " JOIN pg_class c ON c.oid = call.tableoid"
    ).fetchall()
    places = {row["id"]: row["place"] for row in rows}
    for day, first, second in zip(days, ids[::2], ids[1::2], strict=True):
        expected = "call_other" if day == days[-1] else f"call_{day:%Y%m%d}"
        assert places[first] == places[second] == expected


async def test_what_day_a_call_may_have(
    connection: Connection, cell: Connection, store: BindingStore, admissions: AdmissionStore
) -> None:
    """One that the database's clock allows, give or take a day, or an older one that is there."""
    bind(store)
    now = datetime.now(UTC)
    earlier = now - timedelta(days=20)
    cell.execute("SELECT agi_router.ensure_days('call', %s, %s)", (earlier.date(), earlier.date()))
    odd = [now + timedelta(days=n) for n in (2, 9, 400, -2, -400)]
    for day in (*odd, earlier):
        with pytest.raises(DayRefused, match="clock"):
            await admissions.admit(a_call(), new_call_id(day), timeout=TIMEOUT)
    assert calls_used(connection) == 0
    good = [an_end(new_call_id(day), None, reason=Reason.STRANGER) for day in (now, earlier)]
    bad = [an_end(new_call_id(day), None, reason=Reason.STRANGER) for day in odd]
    mixed = [*good, *bad]
    random.shuffle(mixed)
    for _ in range(2):
        left = await admissions.settle(mixed)
        assert {end.call_id for end in left.refused} == {end.call_id for end in bad}
        assert left.held == []
        assert set(call_states(connection)) == {end.call_id for end in good}


async def test_a_reserved_call_is_settled_whatever_its_day(
    connection: Connection, store: BindingStore, admissions: AdmissionStore
) -> None:
    """A use is given back, wherever its call stands."""
    bind(store)
    call_id = new_call_id()
    await admissions.admit(a_call(), call_id, timeout=TIMEOUT)
    day = datetime.now(UTC) + timedelta(days=60)
    odd = new_call_id(day)
    connection.execute("UPDATE agi_router.call SET id = %s, day = %s", (odd, day.date()))
    left = await admissions.settle([an_end(odd, Outcome.BUSY)])
    assert (left.held, left.refused) == ([], [])
    assert calls_used(connection) == 0


async def test_more_than_one_statement_takes(
    connection: Connection, store: BindingStore, admissions: AdmissionStore, admit: Admit
) -> None:
    """A batch larger than one statement takes is settled whole."""
    bind(store)
    ids = [*await admit(20), *(new_call_id() for _ in range(1200))]
    await admissions.settle([an_end(each) for each in ids])
    assert call_states(connection) == dict.fromkeys(ids, "settled")
    assert calls_used(connection) == 0


async def test_settled_while_being_admitted(
    connection: Connection, store: BindingStore, dsn: str, keys: KeyRing
) -> None:
    """However admissions and ends of the same calls meet, no use leaks and none is given twice."""
    limit = 5
    bind(store, max_calls=limit)
    ids = [new_call_id() for _ in range(400)]
    kept = 0
    async with (
        AdmissionStore(dsn, keys, connections=6) as admissions,
        AdmissionStore(dsn, keys, connections=3) as settling,
    ):

        async def admit(call_id: str) -> None:
            nonlocal kept
            try:
                await admissions.admit(a_call(), call_id, timeout=TIMEOUT)
            except ProtocolError:
                kept += 1  # settled before

        async def settle(batch: Sequence[str]) -> None:
            await settling.settle([an_end(each, Outcome.BUSY) for each in batch])

        for start in range(0, len(ids), 20):
            batch = ids[start : start + 20]
            works: list[Awaitable[None]] = [admit(each) for each in batch]
            works += [settle(random.sample(batch, 10)) for _ in range(2)]
            random.shuffle(works)
            await asyncio.gather(*works)
            assert 0 <= calls_used(connection) <= limit
        # Both sides came first now and then, or the test shows nothing.
        assert kept
        await settle(ids)
    assert calls_used(connection) == 0
    assert call_states(connection) == dict.fromkeys(ids, "settled")


class Watched:
    """A store that counts how often its guard and the rule did not agree."""

    def __init__(self, store: AdmissionStore) -> None:
        self._store = store
        self.disagreed = 0

    async def admit(self, call: Call, call_id: str, *, timeout: float) -> Admission:  # noqa: ASYNC109
        """Ask the store."""
        admission = await self._store.admit(call, call_id, timeout=timeout)
        decision = decide(call, admission.facts, now=admission.now)
        self.disagreed += isinstance(decision, Route) is not admission.admitted
        return admission

    async def allocate(self, needed: AllocationNeeded, *, timeout: float) -> None:  # noqa: ASYNC109
        """No call here needs one."""
        raise NotImplementedError


async def test_guard_and_facts_while_uses_come_back(
    store: BindingStore, dsn: str, keys: KeyRing
) -> None:
    """Where a use comes back between guard and facts, the router asks again and decides."""
    bind(store, max_calls=1)
    used_up = to_refuse(Refusal(reason=Reason.USED_UP), language=Language.ZH)
    async with AdmissionStore(dsn, keys, connections=8) as admissions:
        watched = Watched(admissions)
        router = Router(
            watched,
            timeout=TIMEOUT,
            ring_timeout=timedelta(seconds=30),
            max_duration=timedelta(minutes=30),
            language=Language.ZH,
            fixed_lines=False,
        )

        async def work() -> None:
            for _ in range(100):
                call_id = new_call_id()
                answer = await router.answer(
                    Arrival(call_id=call_id, caller=from_header(A.digits), dialled=X.digits)
                )
                assert answer == used_up or answer.context == "agi-router-dial"
                await admissions.settle([an_end(call_id)])

        for _ in range(20):
            await asyncio.gather(*(work() for _ in range(8)))
            if watched.disagreed:
                break
    # It did come between, or the test shows nothing.
    assert watched.disagreed


def deadlocks(server: Server, dsn: str) -> int:
    with server.cell_admin(dsn) as admin:
        ours = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return int(one(admin, ours))


async def test_settling_waits_for_nobody_in_a_circle(
    server: Server,
    dsn: str,
    connection: Connection,
    cell: Connection,
    store: BindingStore,
    admissions: AdmissionStore,
    admit: Admit,
) -> None:
    """A batch that gives a use back meets the late admission of another of its calls."""
    bind(store)
    (unanswered,) = await admit(1)
    gone = new_call_id()

    def waiting() -> int:
        return int(one(cell, "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid <> 0"))

    async def settle_all(ends: list[End]) -> None:
        # It does not wait for long at a time.
        while ends:
            ends = (await admissions.settle(ends)).held

    with server.connect(server.cell(dsn)) as other:
        other.execute("BEGIN")
        other.execute("SELECT FROM agi_router.binding FOR UPDATE")
        admission = asyncio.ensure_future(admissions.admit(a_call(), gone, timeout=SOON))
        await until_async(lambda: waiting() == 1)
        settling = asyncio.ensure_future(settle_all([an_end(unanswered), an_end(gone, None)]))
        await until_async(lambda: waiting() == 2)
        other.execute("COMMIT")
    await asyncio.gather(admission, settling, return_exceptions=True)
    await settling
    assert calls_used(connection) == 0
    assert call_states(connection) == {unanswered: "settled", gone: "settled"}
    assert deadlocks(server, dsn) == 0


async def test_two_nodes_settle_calls_of_the_same_bindings(
    server: Server, dsn: str, connection: Connection, store: BindingStore, keys: KeyRing
) -> None:
    """Batches that touch the same bindings do not wait for each other in a circle."""
    places = [BLOCK.number(serial) for serial in range(100, 130)]
    callers = {}
    for place in places:
        callers[place] = new_party()
        bind(store, callers[place], x=place)
    async with AdmissionStore(dsn, keys, connections=8) as admissions:
        for _ in range(5):
            calls = {new_call_id(): place for place in places for _ in range(8)}
            await asyncio.gather(
                *(
                    admissions.admit(a_call(callers[place], place), each, timeout=TIMEOUT)
                    for each, place in calls.items()
                )
            )
            ends = [an_end(each, x=place) for each, place in calls.items()]
            random.shuffle(ends)
            for _ in range(2):
                await asyncio.gather(
                    *(admissions.settle(ends[start : start + 30]) for start in range(0, 240, 30))
                )
                assert calls_used(connection) == 0
    assert deadlocks(server, dsn) == 0


async def test_reserved_by_a_stopped_caller(
    connection: Connection, store: BindingStore, admissions: AdmissionStore
) -> None:
    """Who no longer waits for an admission leaves nothing behind once the call is settled."""
    bind(store, max_calls=1)
    call_id = new_call_id()
    waiting = asyncio.ensure_future(admissions.admit(a_call(A), call_id, timeout=TIMEOUT))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await admissions.settle([an_end(call_id, None)])
    assert calls_used(connection) == 0

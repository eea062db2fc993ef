"""Settlement: every call is settled once, however its end is learnt."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from agi_router.ari import AriClient, AriUnavailable
from agi_router.bindings.reasons import Reason
from agi_router.calls import settlement as settlement_module
from agi_router.calls.end import Answer, End
from agi_router.calls.journal import EndJournal
from agi_router.calls.settlement import Settlement
from agi_router.calls.store import AdmissionStore, Broken, Unsettled, Untold
from agi_router.errors import NodeTaken, StoreError, StoreHeld, StoreUnavailable
from agi_router.numbers import XNumber
from agi_router.service import upkeep
from agi_router.service.jobs import Jobs
from agi_router.service.upkeep import settle_job
from harness.values import X, call_id

STARTED = datetime(2025, 3, 14, tzinfo=UTC)


def append(directory: Path, *numbers: int) -> None:
    """Write the lines of refused calls, as Asterisk does."""
    with (directory / "ends").open("a", encoding="utf-8") as ends:
        for number in numbers:
            fields = f"1|{call_id(number)}|{X}|1741988890|stranger|||"
            ends.write(f"{fields}|dialplan/builtin|PJSIP/in-{number:08x}|21|end\n")


def left(directory: Path) -> list[str]:
    """Return the names of all files in a journal."""
    return [file.name for file in directory.rglob("*") if not file.is_dir()]


def append_answers(directory: Path, *numbers: int) -> None:
    """Write that the callees of calls have answered, as Asterisk does."""
    with (directory / "ends").open("a", encoding="utf-8") as ends:
        ends.writelines(
            f"answered|{call_id(number)}|{X}|1741988830123|end\n" for number in numbers
        )


class Store:
    """Settles in memory, each call once, as the real one; it may be away."""

    def __init__(self, *reserved: str) -> None:
        self.away = False
        self.taken = False
        self.told: list[list[str]] = []
        self.lines: list[str] = []
        self.settled: dict[str, End] = {}
        self.steps: list[str] = []
        self.nodes: list[str] = []
        self.held: set[str] = set()
        self.refused: set[str] = set()
        self.broken: set[str] = set()
        self.before_settling: Callable[[], object] = lambda: None
        self._reserved = reserved

    async def settle(self, ends: Sequence[End]) -> Unsettled:
        """Keep the first end that is told of each call, unless it cannot be settled."""
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailable
        self.before_settling()
        self.steps.append("settle")
        self.told.append([end.call_id for end in ends])
        self.lines += [end.call_id for end in ends if end.reason is not None]
        left = Unsettled()
        for end in ends:
            if end.call_id in self.held:
                left.held.append(end)
            elif end.call_id in self.refused:
                left.refused.append(end)
            elif end.call_id in self.broken:
                left.broken.append(Broken(end=end, binding="70012345670-7", why="(23514)"))
            else:
                self.settled.setdefault(end.call_id, end)
        return left

    async def tell_answers(self, answers: Sequence[Answer]) -> Untold:
        """Keep the answers, unless somebody holds their bindings or they are refused."""
        await asyncio.sleep(0)
        left = Untold()
        for answer in answers:
            if answer.call_id in self.held:
                left.held.append(answer)
            elif answer.call_id in self.refused:
                left.refused.append(answer)
            else:
                self.steps.append(f"answer {answer.call_id}")
        return left

    async def see_node(self, name: str, entity_id: str, started_at: datetime) -> None:
        """Know this Asterisk, or another one of its name."""
        assert (entity_id, started_at) == ("00:16:3e:00:00:01", STARTED)
        if self.taken:
            raise NodeTaken
        self.steps.append(f"node {name}")

    async def reserved(self, node: str) -> dict[str, XNumber]:
        """Tell the calls that are not settled."""
        if self.away:
            raise StoreUnavailable
        self.steps.append("reserved")
        self.nodes.append(node)
        return {name: X for name in self._reserved if name not in self.settled}


class Ari:
    """An Asterisk with some channels."""

    def __init__(self, store: Store, *alive: str) -> None:
        self._store = store
        self._alive = alive

    async def asterisk_info(self) -> SimpleNamespace:
        """Tell its name."""
        return SimpleNamespace(
            system_name="pbx1", entity_id="00:16:3e:00:00:01", startup_time=STARTED
        )

    async def has_channel(self, name: str) -> bool:
        """Tell whether somebody is on the line."""
        self._store.steps.append("channel")
        return name in self._alive


class AwayAri(Ari):
    """An Asterisk whose connection is lost."""

    async def has_channel(self, name: str) -> bool:  # noqa: ARG002
        """Fail."""
        raise AriUnavailable("lost")


def make_settlement(store: Store, directory: Path) -> Settlement:
    """Return a settlement over *store* and the journal in *directory*."""
    return Settlement(cast(AdmissionStore, store), EndJournal(directory))


async def reconcile(settlement: Settlement, ari: Ari) -> None:
    """Reconcile with *ari*."""
    await settlement.reconcile(cast(AriClient, ari))


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for the clock."""
    monkeypatch.setattr(settlement_module, "_CLAIMED_FOR", 0)


@contextlib.asynccontextmanager
async def keeping(settlement: Settlement) -> AsyncIterator[None]:
    """Settle in the background."""
    job = replace(settle_job(settlement), every=0.0, retry=0.0)
    task = asyncio.create_task(Jobs().run(job))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], object]) -> None:
    """Let the others run until *condition* holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the condition is a test's
            await asyncio.sleep(0)


async def test_a_line_is_settled_one_run_after_it_is_claimed(tmp_path: Path) -> None:
    """What is claimed now is read next time, when nobody writes to it any more."""
    store = Store()
    settlement = make_settlement(store, tmp_path)
    append(tmp_path, 1)
    await settlement.settle_journal()
    assert store.told == []
    await settlement.settle_journal()
    assert store.told == [[call_id(1)]]
    await settlement.settle_journal()
    assert store.told == [[call_id(1)]]
    assert left(tmp_path) == []
    assert store.settled[call_id(1)].reason is Reason.STRANGER


async def test_a_run_that_waits_claims_what_comes_meanwhile(tmp_path: Path) -> None:
    """It is over as soon as there is something, and not when its time is."""
    store = Store()
    settlement = make_settlement(store, tmp_path)
    run = asyncio.create_task(settlement.settle_journal(wait=600))
    await asyncio.sleep(0)
    append(tmp_path, 1)
    async with asyncio.timeout(10):
        await run
    assert not (tmp_path / "ends").exists()
    await settlement.settle_journal()
    assert store.told == [[call_id(1)]]


async def test_a_run_that_waits_and_is_given_up_is_in_nobodys_way(tmp_path: Path) -> None:
    """The next run has the disk soon."""
    store = Store()
    settlement = make_settlement(store, tmp_path)
    run = asyncio.create_task(settlement.settle_journal(wait=600))
    await asyncio.sleep(0)
    run.cancel()
    append(tmp_path, 1)
    await settlement.close()
    assert store.told == [[call_id(1)]]


async def test_claimed_files_are_settled_before_the_next_is_claimed(tmp_path: Path) -> None:
    """Oldest first, one after the other; what comes in meanwhile waits its turn."""
    journal, store = EndJournal(tmp_path), Store()
    for number in (1, 2, 3):
        append(tmp_path, number)
        journal.claim()
    append(tmp_path, 4)
    settlement = make_settlement(store, tmp_path)
    store.before_settling = lambda: seen.append((tmp_path / "ends").exists())
    seen: list[bool] = []
    await settlement.settle_journal()
    assert store.told == [[call_id(1)], [call_id(2)], [call_id(3)]]
    assert seen == [True, True, True]
    await settlement.settle_journal()
    assert store.told[3:] == [[call_id(4)]]


async def test_a_store_that_is_away_loses_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Settling is put off, the line waits on disk, and then it is settled once."""
    store = Store()
    store.away = True
    append(tmp_path, 1)
    async with keeping(make_settlement(store, tmp_path)):
        await until(lambda: caplog.records)
        assert store.settled == {}
        append(tmp_path, 2)
        store.away = False
        await until(lambda: len(store.settled) == 2)
        await until(lambda: not left(tmp_path))
    assert store.told == [[call_id(1)], [call_id(2)]]
    assert {record.msg for record in caplog.records} == {"job.failed", "job.back"}


async def test_files_that_were_settled_are_not_told_again(tmp_path: Path) -> None:
    """Where the store goes away between two files, only the second is told later."""
    journal, store = EndJournal(tmp_path), Store()
    for number in (1, 2):
        append(tmp_path, number)
        journal.claim()
    settlement = make_settlement(store, tmp_path)
    store.before_settling = lambda: setattr(store, "away", True)
    with pytest.raises(StoreError):
        await settlement.settle_journal()
    store.away, store.before_settling = False, lambda: None
    await settlement.settle_journal()
    assert store.told == [[call_id(1)], [call_id(2)]]


async def test_what_another_router_has_claimed_is_settled_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two routers on one journal do not do the same work; what a dead one has left is done."""
    store, other = Store(), EndJournal(tmp_path)
    append(tmp_path, 1)
    assert other.claim()
    append(tmp_path, 2)
    async with keeping(make_settlement(store, tmp_path)):
        await until(lambda: store.told == [[call_id(2)]])
        await until(lambda: len(left(tmp_path)) == 1)
        monkeypatch.setattr(upkeep, "_ABANDONED", 0)
        await until(lambda: store.told == [[call_id(2)], [call_id(1)]])
        await until(lambda: not left(tmp_path))


async def test_reconciling_reads_what_others_have_claimed(tmp_path: Path) -> None:
    """The line of a call that is gone may lie with a router that is frozen: it counts."""
    store = Store(call_id(1), call_id(2))
    append(tmp_path, 1)
    assert EndJournal(tmp_path).claim()
    await reconcile(make_settlement(store, tmp_path), Ari(store, call_id(2)))
    assert list(store.settled) == [call_id(1)]
    assert store.settled[call_id(1)].reason is Reason.STRANGER


async def test_what_somebody_holds_waits_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A call whose binding is held is told again by itself; all others are settled, and go on."""
    store = Store()
    store.held = {call_id(2)}
    told: list[str] = []
    journal = EndJournal(tmp_path)
    settlement = Settlement(
        cast("AdmissionStore", store),
        journal,
        settled=lambda ends: told.extend(end.call_id for end in ends),
    )
    append(tmp_path, 1, 2, 3)
    await settlement.settle_journal()
    with pytest.raises(StoreHeld, match=r"1 call\(s\)"):
        await settlement.settle_journal()
    append(tmp_path, 4)
    for _ in range(2):
        with pytest.raises(StoreHeld):
            await settlement.settle_journal()
    assert set(store.settled) == {call_id(1), call_id(3), call_id(4)}
    store.held = set()
    await settlement.settle_journal()
    assert store.told.count([call_id(2)]) == 3
    assert sorted(told) == [call_id(number) for number in range(1, 5)]
    assert left(tmp_path) == []
    assert caplog.records == []


async def test_answers_are_told_before_ends(tmp_path: Path) -> None:
    """Of one piece of the journal; whose binding is held is told again, by itself."""
    store = Store()
    settlement = make_settlement(store, tmp_path)
    append_answers(tmp_path, 1, 2)
    append(tmp_path, 1)
    store.held = {call_id(2)}

    await settlement.settle_journal()
    with pytest.raises(StoreHeld):
        await settlement.settle_journal()

    assert store.steps == [f"answer {call_id(1)}", "settle"]
    store.held = set()
    await settlement.settle_journal()
    assert store.steps[2:] == [f"answer {call_id(2)}"]
    assert left(tmp_path) == []


async def test_an_answer_that_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is for people to look at, and keeps nothing else from being told."""
    store = Store()
    settlement = make_settlement(store, tmp_path)
    append_answers(tmp_path, 1, 2)
    store.refused = {call_id(1)}

    await settlement.settle_journal()
    await settlement.settle_journal()

    assert store.steps == [f"answer {call_id(2)}"]
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "answer.refused"
    ]
    assert left(tmp_path) == []


async def test_too_many_are_held_to_be_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their file is read again."""
    monkeypatch.setattr(settlement_module, "_LEFT_LIMIT", 1)
    store = Store()
    store.held = {call_id(1), call_id(2)}
    settlement = make_settlement(store, tmp_path)
    append(tmp_path, 1, 2)
    await settlement.settle_journal()
    for _ in range(2):
        with pytest.raises(StoreHeld):
            await settlement.settle_journal()
    assert store.told == [[call_id(1), call_id(2)]] * 2
    store.held = set()
    await settlement.settle_journal()
    assert set(store.settled) == {call_id(1), call_id(2)}
    assert left(tmp_path) == []


async def test_what_can_never_be_settled_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls of a day that none may have keep no other from being settled, nor fill the log."""
    store = Store()
    store.refused = {call_id(1), call_id(3), call_id(4)}
    settlement = make_settlement(store, tmp_path)
    append(tmp_path, 1, 2, 3, 4)
    await settlement.settle_journal()
    await settlement.settle_journal()
    assert set(store.settled) == {call_id(2)}
    assert left(tmp_path) == []
    (record,) = caplog.records
    assert (record.msg, record.__dict__["call"]) == ("settle.refused", call_id(1))
    assert record.__dict__["calls"] == 3


async def test_what_the_database_refuses_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its binding and call are told once, its line is kept, and the router is ready again."""
    store = Store()
    store.broken, store.held = {call_id(1), call_id(4)}, {call_id(4)}
    told: list[str] = []
    settlement = Settlement(
        cast("AdmissionStore", store),
        EndJournal(tmp_path),
        settled=lambda ends: told.extend(end.call_id for end in ends),
    )
    append(tmp_path, 1, 2, 3, 4)
    lines = (tmp_path / "ends").read_text("utf-8").splitlines()
    await settlement.settle_journal()
    with pytest.raises(StoreHeld):
        await settlement.settle_journal()
    assert len(settlement.trouble) == 1
    # Whoever held the other one lets go, and that turns out to be broken as well.
    store.held = set()
    await settlement.settle_journal()
    await settlement.settle_journal()
    assert set(store.settled) == {call_id(2), call_id(3)}
    assert sorted(told) == [call_id(2), call_id(3)]
    assert left(tmp_path) == ["unreadable"]
    kept = (tmp_path / "claimed/unreadable").read_text("utf-8").splitlines()
    assert kept == [lines[0], lines[3]]
    failed = [vars(record) for record in caplog.records if record.msg == "settle.failed"]
    assert [(each["call"], each["binding"]) for each in failed] == [
        (call_id(1), "70012345670-7"),
        (call_id(4), "70012345670-7"),
    ]
    assert not any(str(X) in str(each) for each in failed)
    assert "refuses to settle 1 call(s)" in settlement.trouble[0]
    monkeypatch.setattr(settlement_module, "_REFUSED", 0.0)
    assert settlement.trouble == []


async def test_what_cannot_be_reconciled_is_not_lost_for_ever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that the database refuses to settle is told each time, and counted not once."""
    store = Store(call_id(1), call_id(2))
    store.broken = {call_id(1)}
    ended: list[int] = []
    settlement = Settlement(
        cast("AdmissionStore", store), EndJournal(tmp_path), without_end=ended.append
    )
    for _ in range(3):
        await reconcile(settlement, Ari(store))
    assert ended == [1]
    assert [record.msg for record in caplog.records].count("settle.failed") == 3
    assert "1 call(s) ended without a line" in settlement.trouble[0]


async def test_close_settles_what_there_is(tmp_path: Path) -> None:
    """At the end the journal is empty."""
    store = Store()
    append(tmp_path, 1, 2)
    EndJournal(tmp_path).claim()
    append(tmp_path, 3)
    await make_settlement(store, tmp_path).close()
    assert sorted(store.settled) == [call_id(1), call_id(2), call_id(3)]
    assert left(tmp_path) == []


async def test_close_does_not_wait_for_a_store_that_is_away(tmp_path: Path) -> None:
    """What cannot be settled waits for the next start."""
    store = Store()
    store.away = True
    append(tmp_path, 1)
    await make_settlement(store, tmp_path).close()
    store.away = False
    await make_settlement(store, tmp_path).close()
    assert store.told == [[call_id(1)]]


async def test_reconcile_settles_only_whose_end_nobody_saw(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not those that are alive, and not those whose line is in the journal, claimed or not."""
    caplog.set_level(logging.INFO)
    store = Store(call_id(1), call_id(2), call_id(3), call_id(4), "not a call id")
    append(tmp_path, 2)
    EndJournal(tmp_path).claim()
    append(tmp_path, 3)
    before = datetime.now(UTC)
    await reconcile(make_settlement(store, tmp_path), Ari(store, call_id(1), call_id(99)))
    assert sorted(store.settled) == [call_id(2), call_id(3), call_id(4)]
    assert store.settled[call_id(2)].reason is Reason.STRANGER
    assert store.settled[call_id(3)].reason is Reason.STRANGER
    end = store.settled[call_id(4)]
    # Asterisk was up all the while: its line is lost, and it may have been answered.
    assert end == End.unseen(call_id(4), X, now=end.ended_at, kept=True)
    assert before <= end.ended_at <= datetime.now(UTC)
    assert store.nodes == ["pbx1", "pbx1"]
    [record] = [record for record in caplog.records if record.msg == "settle.reconciled"]
    assert (vars(record)["reserved"], vars(record)["alive"]) == (5, 1)


async def test_reconcile_asks_in_the_order_that_is_safe(tmp_path: Path) -> None:
    """The store, then Asterisk, then the journal: a call that ends meanwhile has its line."""
    store = Store(call_id(1))
    append(tmp_path, 2)
    await reconcile(make_settlement(store, tmp_path), Ari(store))
    assert store.steps == ["node pbx1", "reserved", "channel", "settle", "reserved", "settle"]
    assert store.told == [[call_id(2)], [call_id(1)]]


async def test_calls_that_may_be_of_another_asterisk(tmp_path: Path) -> None:
    """Where another one has the name nothing is given back: the calls may be alive there."""
    store = Store(call_id(1))
    store.taken = True
    with pytest.raises(NodeTaken):
        await reconcile(make_settlement(store, tmp_path), Ari(store))
    assert store.settled == {}


async def test_reconcile_asks_about_every_call(tmp_path: Path) -> None:
    """However many they are, a few at a time: a list of all would end Asterisk."""
    calls = [call_id(number) for number in range(1, 60)]
    store = Store(*calls)
    await reconcile(make_settlement(store, tmp_path), Ari(store, *calls[:57]))
    assert store.steps.count("channel") == 59
    assert sorted(store.settled) == sorted(calls[57:])


async def test_a_call_that_ends_while_reconciling_keeps_its_line(tmp_path: Path) -> None:
    """Its line is written before its channel is gone, so it is read first, and it counts."""

    class Ending(Ari):
        """An Asterisk in which a call ends just before it is asked for."""

        async def has_channel(self, name: str) -> bool:
            append(tmp_path, 1)
            return await super().has_channel(name)

    store = Store(call_id(1))
    await reconcile(make_settlement(store, tmp_path), Ending(store))
    assert store.settled[call_id(1)].reason is Reason.STRANGER


async def test_reconcile_fails_without_settling(tmp_path: Path) -> None:
    """Without an answer of Asterisk nobody is taken for dead."""
    store = Store(call_id(1))
    with pytest.raises(AriUnavailable):
        await reconcile(make_settlement(store, tmp_path), AwayAri(store))
    store.away = True
    with pytest.raises(StoreUnavailable):
        await reconcile(make_settlement(store, tmp_path), Ari(store))
    assert store.settled == {}


async def test_runs_do_not_overlap(tmp_path: Path) -> None:
    """Keeping and reconciling at once tell no line twice."""
    store = Store(call_id(1), call_id(2))
    append(tmp_path, 1)
    settlement = make_settlement(store, tmp_path)
    async with keeping(settlement):
        await asyncio.gather(*(reconcile(settlement, Ari(store, call_id(2))) for _ in range(3)))
        await until(lambda: not left(tmp_path))
    assert store.lines == [call_id(1)]
    assert list(store.settled) == [call_id(1)]


async def test_a_busy_journal_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """Closing settles what there is now, also when a call ends at every run."""
    store = Store()
    append(tmp_path, 0)
    store.before_settling = lambda: append(tmp_path, len(store.told) + 1)
    async with asyncio.timeout(20):
        await make_settlement(store, tmp_path).close()


async def test_a_line_is_not_lost_between_two_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keeping and reconciling at once leave a writer the same time as keeping alone."""
    monkeypatch.setattr(settlement_module, "_CLAIMED_FOR", 0.05)
    store = Store()
    settlement = make_settlement(store, tmp_path)
    append(tmp_path, 1)
    text = (tmp_path / "ends").read_text("utf-8")
    with (tmp_path / "ends").open("a", encoding="utf-8") as ends:
        runs = asyncio.gather(settlement.settle_journal(), settlement.settle_journal())
        await until(lambda: not (tmp_path / "ends").exists())
        ends.write(text.replace(call_id(1), call_id(2)))
        ends.flush()
        await runs
    await settlement.close()
    assert sorted(store.settled) == [call_id(1), call_id(2)]


async def test_two_routers_share_a_journal(tmp_path: Path) -> None:
    """The other has settled and discarded the second file while this one settles the first."""
    journal, store = EndJournal(tmp_path), Store()
    for number in (1, 2):
        append(tmp_path, number)
        journal.claim()
    other = EndJournal(tmp_path)
    store.before_settling = lambda: list(map(other.discard, other.claimed()[1:]))
    await make_settlement(store, tmp_path).settle_journal()
    assert store.told[0] == [call_id(1)]


async def test_an_unreadable_line_is_kept_once(tmp_path: Path) -> None:
    """However often the store is away."""
    (tmp_path / "ends").write_text("garbage\n", encoding="utf-8")
    append(tmp_path, 1)
    store = Store()
    store.away = True
    settlement = make_settlement(store, tmp_path)
    await settlement.settle_journal()
    for _ in range(3):
        with pytest.raises(StoreError):
            await settlement.settle_journal()
    store.away = False
    await settlement.settle_journal()
    assert (tmp_path / "claimed/unreadable").read_text("utf-8").splitlines() == ["garbage"]


async def test_settled_lines_are_told(tmp_path: Path) -> None:
    """Whoever counts is told of each line that was settled, and of none that was not."""
    told: list[str] = []
    store = Store(call_id(3))
    settlement = Settlement(
        cast(AdmissionStore, store),
        EndJournal(tmp_path),
        settled=lambda ends: told.extend(end.call_id for end in ends),
    )
    append(tmp_path, 1, 2)
    store.away = True
    await settlement.settle_journal()
    with pytest.raises(StoreError):
        await settlement.settle_journal()
    assert told == []
    store.away = False
    # A call whose end nobody saw has no line.
    await reconcile(settlement, Ari(store))
    assert told == [call_id(1), call_id(2)]
    assert call_id(3) in store.settled


async def test_a_look_at_nothing_makes_way(tmp_path: Path) -> None:
    """Whoever wants to settle does not wait until another, who only looks, has looked enough."""
    journal = EndJournal(tmp_path)
    journal.prepare()
    settlement = Settlement(cast(AdmissionStore, Store()), journal)
    looking = asyncio.create_task(settlement.settle_journal(wait=600))
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await settlement.settle_journal()
        await looking


async def test_what_comes_ends_a_look(tmp_path: Path) -> None:
    """A line is claimed at the next glance, and settled by the next run."""
    journal = EndJournal(tmp_path)
    journal.prepare()
    store = Store()
    settlement = Settlement(cast(AdmissionStore, store), journal)
    looking = asyncio.create_task(settlement.settle_journal(wait=600))
    await asyncio.sleep(0)
    assert journal.is_empty()
    append(tmp_path, 1)
    async with asyncio.timeout(30):
        await looking
        await settlement.settle_journal()
    assert list(store.settled) == [call_id(1)]

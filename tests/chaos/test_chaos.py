"""
Chaos under load: whatever dies, calls that are up stay up, and the records stay exact.

The short version shows each fault once; with ``--long`` it is the full table.
"""

import random
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from chaos.conftest import Callers

from agi_router.leaktest.messages import Message
from harness.load import Caller, Load, Seen
from harness.service import CallRecords, Router, Servers
from harness.stalls import Stalls, watching
from harness.table import Table
from testpbx.phones import Phones
from testpbx.waiting import until

# What a caller was promised, and what a shared machine may add.
PROMPT = 0.6
SLACK = 0.6
# Whether a machine has time for the PBX is seen by calls beside the fault, which hear something
# within so many seconds, and by a thread that does nothing and wakes no later than that.
CALM = 0.15
# For so long it may stand still, and no queue of Asterisk is too long.
STALL = 0.5


def worst(calls: list[Seen]) -> float:
    """The longest that anybody waited to hear something."""
    return max((call.wait for call in calls), default=0.0)


@pytest.mark.alone
@pytest.mark.patient
def test_router_killed_under_600_calls(
    callers: Callers, router: Router, servers: Servers, records: CallRecords, table: Table
) -> None:
    """All calls go on and end as their callers like; the next router settles each once."""
    router.leave()
    # A list of so many channels, in one frame, is more than Asterisk's stack holds.
    with callers.call(rate=90, talk=22.0, calls=600) as caller:
        caller.places(600)
        assert until(lambda: all(call.status for call in caller.so_far().calls), timeout=60)
        began = len(caller.so_far().answered)
        assert until(lambda: servers.channels() == 2 * began, timeout=20), str(caller.so_far())
        router.kill()
        time.sleep(1)
        router.start()
        time.sleep(1)
        up = servers.channels() // 2
        load = caller.over(timeout=60)
    count = records.settled(600)
    table.row(
        "600 calls up, kill -9 of the router, which is started again",
        "600 still up, all end normally, all settled once",
        f"{up} of {began} still up; {load};"
        f" {count.answered} settled as answered, {count.used} uses",
    )
    assert up == began
    # How many a busy machine takes at once is not the question here.
    assert began > 300
    assert not load.lost
    assert not load.dropped
    assert (count.calls, count.answered, count.used, count.reserved) == (600, began, began, 0)


def test_randomised_kills(
    callers: Callers,
    router: Router,
    fastagi: Router,
    servers: Servers,
    records: CallRecords,
    table: Table,
    dice: random.Random,
    *,
    long: bool,
) -> None:
    """Either door, backends and PostgreSQL are killed in any order while calls come."""
    kills = 300 if long else 10
    done = dict.fromkeys(("router", "backend", "postgres"), 0)
    with callers.call(rate=30, talk=2.0) as caller:
        time.sleep(2)
        for _ in range(kills):
            what = dice.choice(list(done))
            done[what] += 1
            if what == "router":
                dice.choice((router, fastagi)).kill()
            elif what == "backend":
                servers.kill_backend(dice)
            else:
                servers.kill("postgres")
                time.sleep(dice.uniform(0, 1))
                servers.start_postgres()
            time.sleep(dice.uniform(0.1, 2.0))
        load = caller.done(timeout=60)
    over_at = time.monotonic()
    until(lambda: servers.channels() == 0, timeout=30)
    orphans, gone_after = servers.channels(), time.monotonic() - over_at
    count = records.settled(len(load.calls))
    table.row(
        f"{kills} randomised kills under 30 calls/s ("
        + ", ".join(f"{number} × {what}" for what, number in done.items())
        + ")",
        "0 orphan channels 5 s after; count = answered calls; refusals clean, ≤ 600 ms",
        f"{orphans} orphans, after {gone_after:.1f} s; count {count.used},"
        f" answered {len(load.answered)}; {load};"
        f" longest wait {worst(load.calls):.2f} s,"
        f" {max(call.wait_inside for call in load.calls):.2f} s since Asterisk had the INVITE",
    )
    assert orphans == 0
    assert not load.lost
    assert not load.dropped
    assert count.used == count.answered == len(load.answered)
    assert (count.calls, count.reserved) == (len(load.calls), 0)


@pytest.mark.alone
@pytest.mark.patient(first=False)
def test_one_of_two_routers_frozen(
    callers: Callers, router: Router, second: Router, records: CallRecords, table: Table
) -> None:
    """The other one takes every call, also those that the frozen one has."""
    assert second.registered()
    load, calm = freeze(callers, router, rate=30)
    fault = "SIGSTOP of one of two routers at 30 calls/s"
    check_nobody_lost(load, records, table, fault, "0 failed calls, ≤ 600 ms", calm=calm)


@pytest.mark.alone
@pytest.mark.patient(first=False)
def test_only_router_frozen(
    callers: Callers, router: Router, fastagi: Router, records: CallRecords, table: Table
) -> None:
    """FastAGI takes every call."""
    assert fastagi.registered()
    load, calm = freeze(callers, router, rate=30)
    fault = "SIGSTOP of the only ARI router at 30 calls/s"
    check_nobody_lost(load, records, table, fault, "FastAGI takes over, ≤ 600 ms", calm=calm)


def check_nobody_lost(
    load: Load, records: CallRecords, table: Table, fault: str, expected: str, *, calm: bool
) -> None:
    """
    Every call was answered and counted once, and most of them in time.

    Whoever takes over has seconds here: how fast it is beside so many others is no fault of its.
    """
    count = records.settled(len(load.calls))
    table.row(
        fault,
        expected,
        f"{load}; longest wait {worst(load.calls):.2f} s; count {count.used}{busy(calm=calm)}",
    )
    assert not load.lost
    assert not load.dropped
    assert count.used == count.answered == len(load.answered)
    if calm:
        assert load.clean
        waits = sorted(call.wait for call in load.calls)
        assert waits[9 * len(waits) // 10] < PROMPT + SLACK


def busy(*, calm: bool) -> str:
    """What a row of the table says where a machine could not have kept a promise."""
    return "" if calm else "; the machine was busy: calls beside the fault waited, too"


@pytest.mark.alone
def test_all_routers_frozen(
    callers: Callers,
    router: Router,
    second: Router,
    fastagi: Router,
    records: CallRecords,
    table: Table,
) -> None:
    """Who calls meanwhile hears the prompt in time; then all is well again."""
    with second.frozen(), fastagi.frozen():
        load, calm = freeze(callers, router, rate=10, until_refused=True)
    count = records.settled(len(load.calls))
    table.row(
        "SIGSTOP of two routers and FastAGI at 10 calls/s",
        "prompt ≤ 600 ms; then all is well again",
        f"{load}; longest wait {worst(load.calls):.2f} s;"
        f" count {count.used}, answered {len(load.answered)}{busy(calm=calm)}",
    )
    assert load.refused
    assert not load.lost
    assert not load.dropped
    if calm:
        assert load.calls[-1].answered
        assert worst(load.calls) < PROMPT + SLACK
    assert count.used == count.answered == len(load.answered)
    assert count.reserved == 0


def freeze(
    callers: Callers, router: Router, *, rate: int, until_refused: bool = False
) -> tuple[Load, bool]:
    """
    Calls before a router is frozen, while it is, and when it has thawed.

    Args:
        callers: Who call.
        router: It.
        rate: Calls a second.
        until_refused: Whether it stays frozen until somebody was refused.

    Returns:
        What became of them, and whether the machine had time for those beside the fault.
    """
    with watching() as stalls, callers.call(rate=rate, talk=1.0) as caller:
        caller.places(rate // 2)
        time.sleep(0.5)
        frozen_at = time.time()
        with router.frozen():
            time.sleep(3)
            caller.places(rate, since=frozen_at)
            assert not until_refused or until(lambda: bool(caller.so_far().refused), timeout=60)
        thawed_at = time.time()
        time.sleep(1.5)
        caller.places(rate // 4, since=thawed_at + 1)
        load = caller.done(timeout=60)
    return load, is_calm(load, stalls, frozen_at, thawed_at)


def is_calm(load: Load, stalls: Stalls, fault_at: float, over_at: float) -> bool:
    """
    Whether a machine had time for a fault.

    Before it and after everybody was answered and heard something at once; it never stood still.
    """
    beside = load.between(0, fault_at - CALM) + load.between(over_at + 1)
    assert beside
    quick = all(call.answered and call.wait < CALM for call in beside)
    return quick and stalls.longest < CALM


@pytest.mark.alone
def test_postgres_frozen(
    callers: Callers,
    router: Router,
    servers: Servers,
    records: CallRecords,
    table: Table,
    *,
    long: bool,
) -> None:
    """Who calls meanwhile is refused in time; the event loop lives; then all is well again."""
    answers: list[tuple[int, int]] = []

    def lives_but_is_not_ready() -> bool:
        answers.append((router.answers("/livez"), router.answers("/readyz")))
        return answers[-1] == (200, 503)

    with watching() as stalls, callers.call(rate=10, talk=1.0) as caller:
        caller.places(5)
        time.sleep(0.5)
        with servers.frozen_postgres():
            frozen_at = time.time()
            time.sleep(6)
            until(lives_but_is_not_ready, timeout=30)
            live, ready = answers[-1]
            time.sleep(4 if long else 0)
        thawed_at = time.time()
        time.sleep(4)
        assert until(lambda: bool(answered_since(caller, thawed_at - 1)), timeout=60)
        load = caller.done(timeout=60)
    # What was sent in the last moment before the freeze may have been answered by it, and by a
    # machine that stands still what waited at its end.
    meanwhile = load.between(frozen_at + 0.2, thawed_at - 3)
    back = min(c.sent for c in load.between(thawed_at - 1) if c.answered)
    count = records.settled(len(load.calls))
    table.row(
        f"PostgreSQL SIGSTOP for {10 if long else 6} s at 10 calls/s",
        "refusals ≤ 600 ms; event loop alive; recovery ≤ 3 s",
        f"{len(meanwhile)} refused within {worst(meanwhile):.2f} s;"
        f" /livez {live}, /readyz {ready}; back after {max(0.0, back - thawed_at):.2f} s; {load};"
        f" count {count.used}, answered {len(load.answered)}",
    )
    assert meanwhile
    assert all(call.refused for call in meanwhile)
    assert (live, ready) == (200, 503)
    if is_calm(load, stalls, frozen_at, thawed_at + 3):
        assert worst(meanwhile) < PROMPT + SLACK
        assert back - thawed_at < 3 + SLACK
    assert not load.lost
    assert not load.dropped
    assert count.used == count.answered == len(load.answered)
    assert count.reserved == 0


def answered_since(caller: Caller, begin: float) -> list[Seen]:
    """Whoever was answered of those that called since."""
    return [call for call in caller.so_far().between(begin) if call.answered]


@pytest.mark.patient
def test_asterisk_restarted(
    callers: Callers, router: Router, servers: Servers, records: CallRecords, table: Table
) -> None:
    """The router finds it again by itself; calls that were up give their uses back."""
    with callers.call(rate=20, talk=4.0) as caller:
        assert until(lambda: servers.channels() > 100, timeout=60)
        up = servers.channels() // 2
        servers.kill("asterisk")
        try:
            reserved = records.count().reserved
        finally:
            servers.start_asterisk()
        with watching() as stalls:
            booted = time.monotonic()
            assert until(router.registered, timeout=60)
            reconnected = time.monotonic() - booted
        caller.done(timeout=60)
    with callers.call(rate=20, talk=1.0) as caller:
        caller.places(40)
        load = caller.done(timeout=60)
    count = records.settled(0)
    table.row(
        f"Asterisk killed with {up} calls up at 20 calls/s, and started again",
        "reconnect ≤ 2 s; reservations given back",
        f"reconnected {reconnected:.2f} s after it was fully booted; {count.reserved} reserved,"
        f" {count.unseen} ended unseen, {count.used} uses for {count.answered} answered calls;"
        f" then {load}",
    )
    assert up > 20
    # Some have ended since they were counted.
    assert reserved >= up / 2
    assert reconnected < 2 + SLACK or stalls.longest >= CALM
    assert count.reserved == 0
    assert count.unseen >= up / 2
    assert count.used == count.answered
    assert load.whole


def test_limits_with_everything_dead(
    router: Router,
    servers: Servers,
    records: CallRecords,
    pairs: list[tuple[str, str]],
    pbx: dict[str, Any],
    tmp_path: Path,
    table: Table,
    *,
    long: bool,
) -> None:
    """Router and PostgreSQL are gone: Asterisk ends what lasts too long, and what has no media."""
    phones = Phones.of_pbx(pbx, tmp_path)
    (short, x), (endless, other) = pairs[:2]
    records.limit(x, seconds=6)
    with phones.listen() as callee:
        limited = phones.dial(short, x)
        # Phones send no media. Nobody ends this call but Asterisk, after rtp_timeout.
        mute = phones.dial(endless, other, hold=120 if long else 8)
        assert until(
            lambda: sum(m.method == "ACK" and not m.sent for m in callee.messages) == 2, timeout=60
        )
        router.leave()
        router.kill()
        servers.kill("postgres")
        try:
            (first,) = limited.heard(timeout=60)
            (second,) = mute.heard(timeout=150)
            assert until(lambda: servers.channels() == 0, timeout=60)
            # The callee's legs went with those of their callers.
            assert until(lambda: hung_up(callee.messages) == 2, timeout=60)
        finally:
            servers.start_postgres()
    router.start()
    count = records.settled(2)
    talks = [talk_of(first.messages), talk_of(second.messages)]
    table.row(
        "router and PostgreSQL dead, a call over its limit of 6 s"
        + (", a call without media (rtp_timeout 30 s)" if long else ""),
        "ended by Asterisk on both legs, settled later",
        f"ended after {talks[0]:.1f} s"
        + (f" and {talks[1]:.1f} s" if long else "")
        + f"; no channel left; {count.answered} settled as answered",
    )
    # The caller is told first that time is over; for want of media it would be so after 30 s.
    assert 5 < talks[0] < 25
    assert ended_by_us(first.messages)
    if long:
        assert 28 < talks[1] < 60
        assert ended_by_us(second.messages)
    assert hung_up(callee.messages) == 2
    assert (count.answered, count.used, count.reserved) == (2, 2, 0)


def talk_of(messages: Sequence[Message]) -> float:
    """Seconds from the answer to the BYE, as one phone saw it."""
    answer = next(m.at for m in messages if m.status == 200 and not m.sent)
    bye = next(m.at for m in messages if m.method == "BYE" and m.status is None)
    return (bye - answer).total_seconds()


def hung_up(messages: Sequence[Message]) -> int:
    """How many BYEs came."""
    return sum(m.method == "BYE" and not m.sent and m.status is None for m in messages)


def ended_by_us(messages: Sequence[Message]) -> bool:
    """Whether the PBX sent the BYE."""
    return any(m.method == "BYE" and m.status is None and not m.sent for m in messages)


@pytest.mark.patient
def test_upgrade(
    callers: Callers,
    router: Router,
    fastagi: Router,
    settings: dict[str, str],
    records: CallRecords,
    table: Table,
    tmp_path: Path,
    *,
    long: bool,
) -> None:
    """
    A new router takes over, and the old one is ended after it or meanwhile: no caller notices.
    """
    upgrades = 10 if long else 2
    # A door that is open all the while, as in service.
    assert fastagi.registered()
    router.stop()
    env = {**settings, "AGI_ROUTER_HANDOVER": "20"}
    made = [Router(env, tmp_path / "router.log")]
    codes = []
    try:
        made[0].start(keep=False)
        with callers.call(rate=30, talk=2.0) as caller:
            time.sleep(1)
            for upgrade in range(upgrades):
                made.append(Router(env, tmp_path / f"router-{upgrade}.log"))
                made[-1].launch()
                if upgrade % 2:
                    # As the unit's file tells: it stands by when it is ended.
                    assert until(partial(stands_by, made[-2]), timeout=60)
                codes.append(made[-2].terminate())
                time.sleep(1)
            load = caller.done(timeout=60)
    finally:
        for each in made:
            each.kill()
    router.start()
    count = records.settled(len(load.calls))
    table.row(
        f"{upgrades} upgrades at 30 calls/s: SIGTERM while the next router starts, or after it",
        "0 failed calls",
        f"{load}; exit codes {codes}; count {count.used}",
    )
    assert codes == [0] * upgrades
    assert load.whole
    assert count.used == count.answered == len(load.calls)


def stands_by(router: Router) -> bool:
    """Whether another router has taken over."""
    return "serve.standing_by" in router.log


@pytest.mark.alone
def test_overload(
    callers: Callers,
    router: Router,
    servers: Servers,
    records: CallRecords,
    table: Table,
    *,
    long: bool,
) -> None:
    """Twice what goes clean: refusals are clean, counts stay exact, and then it is over."""
    assert router.registered()
    clean, went = highest_clean_rate(
        callers, LADDER if long else SHORT_LADDER, seconds=15 if long else 3
    )
    assert clean, "not even the lowest rate was clean"
    # As docs/dialplan.md tells an operator.
    with letting_in(servers, 2 * clean // 3), watching() as stalls:
        with callers.call(rate=2 * clean, talk=0.5) as caller:
            alerts = alerts_within(servers, 60 if long else 10)
            flood = caller.done(timeout=60)
        over_at = time.time()
        with callers.call(rate=clean // 2, talk=0.5) as caller:
            time.sleep(12 if long else 5)
            after = caller.done(timeout=60)
    unclean = [c.sent for c in after.calls if not c.answered or c.invites > 1]
    recovered = max(unclean, default=over_at) - over_at
    count = records.settled(0)
    table.row(
        f"twice the highest clean rate (2 × {clean} calls/s) for {60 if long else 10} s",
        "refusals clean; recovery ≤ 10 s; PJSIP's overload guard untouched",
        f"{flood}; {len(flood.lost)} lost; recovered after {recovered:.1f} s;"
        f" {'guard: ' + ', '.join(alerts) if alerts else 'guard untouched'};"
        f" {count.used} uses for {count.answered} answered, {count.reserved} still open",
    )
    # All share the same few cores: an INVITE may never be read, and a caller give up (487).
    # Whoever is refused is refused by us.
    assert {call.status for call in flood.lost} <= {None, 487}
    assert len(flood.lost) + len(flood.dropped) <= 0.01 * len(flood.calls)
    assert recovered <= 10
    # Where the machine stood still, a second's calls came at once.
    assert not alerts or stalls.longest > STALL
    answered = went + len(flood.answered) + len(after.answered)
    assert count.used == count.answered == answered
    assert count.reserved == 0


# Calls a second.
LADDER = (90, 120, 150, 200, 250, 300)
SHORT_LADDER = (30, 90, 200)


def highest_clean_rate(callers: Callers, rates: Sequence[int], *, seconds: int) -> tuple[int, int]:
    """The highest of some rates that stays clean for so long; how many were answered."""
    best = answered = 0
    for rate in rates:
        # A machine that stands still for a moment does not keep even the lowest.
        for _ in range(4 if rate == rates[0] else 1):
            with callers.call(rate=rate, talk=0.5) as caller:
                time.sleep(seconds)
                load: Load = caller.done(timeout=60)
            answered += len(load.answered)
            if load.clean and load.rate > 0.9 * rate:
                best = rate
                break
        if best < rate:
            break
    return best, answered


@contextmanager
def letting_in(servers: Servers, rate: int) -> Iterator[None]:
    """Let in so many calls a second and no more; as many as come after the block."""
    servers.console(f"dialplan set global AGI_ROUTER_RATE_LIMIT {rate}")
    try:
        yield
    finally:
        servers.console("dialplan set global AGI_ROUTER_RATE_LIMIT 0")


def alerts_within(servers: Servers, seconds: float) -> list[str]:
    """The queues of PJSIP for which Asterisk's overload guard has sprung in so many seconds."""
    seen: set[str] = set()
    looks = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end or looks <= seconds / 4:
        assert time.monotonic() < end + 60
        time.sleep(0.5)
        # Where there is no processor for it, a console may find its line closed.
        with suppress(subprocess.CalledProcessError):
            seen |= set(servers.console("core show taskprocessor alerted subsystems").split())
            looks += 1
    return sorted(name for name in seen if name.startswith("pjsip"))

"""
Whether the time a refusal takes tells what there is on a 700 number.

    PYTHONPATH=tests python -m bench.strangers [--calls N] [--crowd N]

Asks two routers, one of them with ``AGI_ROUTER_STRICT`` (marked by a star), about calls that are
refused for different reasons, in random order, on a PostgreSQL of its own, and prints how the
times of each compare with those of a stranger: ``later`` is the share of pairs in which it took
longer, so 0.5 tells nothing. What a caller sees comes through Asterisk and a network on top.
Asserts nothing.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Direction, Language
from agi_router.calls.identity import Signalled
from agi_router.calls.router import Arrival, Router
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection
from agi_router.keys.ring import KeyRing
from agi_router.numbers import XNumber
from harness.database import HOUR, Server, bind, expire, new_call_id
from harness.values import BLOCK, A, B, C

_NUMBERS = 200


def main() -> None:
    """
    Measure, and print a table.
    """
    parser = argparse.ArgumentParser(description="Times of refusals, by reason.")
    parser.add_argument("--calls", type=int, default=2000, help="of each reason")
    parser.add_argument("--crowd", type=int, default=4, help="at a time")
    options = parser.parse_args()
    with Server("15") as server:
        dsn, keys = server.clone(), KeyRing.generate()
        with server.connect(dsn) as connection:
            store = BindingStore(connection, keys)
            store.inventory.add_block(BLOCK, operator=None, certificate=None)
            asked = {
                reason: _numbers(store, connection, reason, place)
                for place, reason in enumerate(_CALLERS)
            }
            connection.execute("ANALYZE")
        times = asyncio.run(_measure(dsn, keys, asked, options.calls, options.crowd))
    _report(times)


_CALLERS = {
    "stranger": C,
    "no_binding": A,
    "expired": A,
    "unbound": A,
    "used_up": A,
    "wrong_direction": A,
}


def _numbers(
    store: BindingStore, connection: Connection, reason: str, place: int
) -> list[XNumber]:
    """
    Numbers on which a call is refused for a reason.
    """
    numbers = [BLOCK.number(place * _NUMBERS + serial) for serial in range(_NUMBERS)]
    for x in numbers if reason != "no_binding" else ():
        direction = Direction.B if reason == "wrong_direction" else Direction.BOTH
        made = bind(store, A, B, x=x, life=HOUR, max_calls=1, direction=direction)
        match reason:
            case "expired":
                expire(connection, made.id)
            case "unbound":
                store.unbind(made.id)
            case "used_up":
                connection.execute(
                    "UPDATE agi_router.binding SET calls_used = 1 WHERE id = %s", (made.id.id,)
                )
    return numbers


async def _measure(
    dsn: str, keys: KeyRing, asked: dict[str, list[XNumber]], calls: int, crowd: int
) -> dict[str, list[int]]:
    """
    Nanoseconds of every refusal, by its reason, with a star where the router is a strict one.
    """
    times: dict[str, list[int]] = {reason + star: [] for star in ("", "*") for reason in asked}
    async with AdmissionStore(dsn, keys, connections=4) as store:
        routers = {star: _router(store, strict=star == "*") for star in ("", "*")}

        async def ask(name: str) -> None:
            reason = name.rstrip("*")
            arrival = Arrival(
                call_id=new_call_id(),
                caller=Signalled(sender=f"<sip:{_CALLERS[reason].digits}@carrier>;tag=1"),
                dialled=random.choice(asked[reason]).digits,  # noqa: S311
            )
            began = time.perf_counter_ns()
            answer = await routers[name[len(reason) :]].answer(arrival)
            times[name].append(time.perf_counter_ns() - began)
            if not answer.extension.startswith(f"{reason}*"):
                raise SystemExit(f"a call was not refused as {reason}: {answer.extension}")

        # The first ones prepare the statements.
        await _all(ask, [*times] * 20, crowd)
        for each in times.values():
            each.clear()
        order = [name for name in times for _ in range(calls)]
        random.shuffle(order)
        await _all(ask, order, crowd)
    return times


async def _all(ask: Callable[[str], Awaitable[None]], names: Sequence[str], crowd: int) -> None:
    """
    Ask for all *names*, so many at a time.
    """
    left = iter(names)

    async def work() -> None:
        for name in left:
            await ask(name)

    await asyncio.gather(*(work() for _ in range(crowd)))


def _router(store: AdmissionStore, *, strict: bool) -> Router:
    return Router(
        store,
        timeout=10,
        ring_timeout=timedelta(seconds=30),
        max_duration=HOUR,
        language=Language.ZH,
        fixed_lines=False,
        strict=strict,
    )


def _report(times: dict[str, list[int]]) -> None:
    print(f"{'reason':17} {'p10':>8} {'median':>8} {'p90':>8} {'p99':>8}  {'later':>6}   (µs)")
    for name, each in times.items():
        stranger = times["stranger*" if name.endswith("*") else "stranger"]
        cuts = statistics.quantiles(each, n=100)
        shown = " ".join(f"{cuts[at - 1] / 1000:8.0f}" for at in (10, 50, 90, 99))
        print(f"{name:17} {shown}  {_later(each, stranger):6.3f}")


def _later(ours: Sequence[int], theirs: Sequence[int]) -> float:
    """
    The share of pairs in which ours is the larger one, by ranks (Mann and Whitney).
    """
    ranked = sorted([(each, True) for each in ours] + [(each, False) for each in theirs])
    ranks = sum(place for place, (_, mine) in enumerate(ranked) if mine)
    return (ranks - len(ours) * (len(ours) - 1) / 2) / (len(ours) * len(theirs))


if __name__ == "__main__":
    main()

"""
Whether the time a refusal takes tells what there is on a 700 number.

    PYTHONPATH=tests python -m bench.strangers [--calls N] [--connections N]

Asks a router with ``AGI_ROUTER_STRICT`` about calls that are refused for different reasons, in
random order, on a PostgreSQL of its own, and prints how the times of each compare with those of a
stranger: ``later`` is the share of pairs in which it took longer. 0.5 tells nothing; what a caller
sees comes through Asterisk and a network on top. Asserts nothing.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Sequence
from datetime import timedelta

from postgres.support import BLOCK, HOUR, A, B, C, Server, bind, expire, new_call_id

from agi_router.adapters.admission import AdmissionStore
from agi_router.adapters.bindings import BindingStore
from agi_router.adapters.database import Connection
from agi_router.model import Direction, Language
from agi_router.numbers import XNumber
from agi_router.router import Arrival, Router
from agi_router.seal import KeyRing

_NUMBERS = 200


def main() -> None:
    """
    Measure, and print a table.
    """
    parser = argparse.ArgumentParser(description="Times of refusals, by reason.")
    parser.add_argument("--calls", type=int, default=3000, help="of each reason")
    parser.add_argument("--connections", type=int, default=4)
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
        times = asyncio.run(_measure(dsn, keys, asked, options.calls, options.connections))
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
    dsn: str, keys: KeyRing, asked: dict[str, list[XNumber]], calls: int, connections: int
) -> dict[str, list[int]]:
    """
    Nanoseconds of every refusal, by its reason.
    """
    times: dict[str, list[int]] = {reason: [] for reason in asked}
    order = [reason for reason in asked for _ in range(calls)]
    random.shuffle(order)
    async with AdmissionStore(dsn, keys, connections=connections) as store:
        router = Router(
            store,
            timeout=10,
            ring_timeout=timedelta(seconds=30),
            max_duration=HOUR,
            language=Language.ZH,
            fixed_lines=False,
            strict=True,
        )
        for reason in [*asked] * 50 + order:
            arrival = Arrival(
                call_id=new_call_id(),
                caller=_CALLERS[reason].digits,
                presentation="allowed",
                dialled=random.choice(asked[reason]).digits,  # noqa: S311
            )
            began = time.perf_counter_ns()
            answer = await router.answer(arrival)
            took = time.perf_counter_ns() - began
            if answer.extension != f"{reason}*no_relation*21*zh*end":
                raise SystemExit(f"a call was not refused as {reason}: {answer.extension}")
            times[reason].append(took)
    # The first ones prepared the statements.
    return {reason: each[50:] for reason, each in times.items()}


def _report(times: dict[str, list[int]]) -> None:
    print(f"{'reason':16} {'p10':>7} {'median':>7} {'p90':>7} {'p99':>7}  {'later':>6}   (µs)")
    for reason, each in times.items():
        cuts = statistics.quantiles(each, n=100)
        shown = " ".join(f"{cuts[at - 1] / 1000:7.0f}" for at in (10, 50, 90, 99))
        print(f"{reason:16} {shown}  {_later(each, times['stranger']):6.3f}")


def _later(ours: Sequence[int], theirs: Sequence[int]) -> float:
    """
    The share of pairs in which ours is the larger one, by ranks (Mann and Whitney).
    """
    ranked = sorted([(each, True) for each in ours] + [(each, False) for each in theirs])
    ranks = sum(place for place, (_, mine) in enumerate(ranked) if mine)
    return (ranks - len(ours) * (len(ours) - 1) / 2) / (len(ours) * len(theirs))


if __name__ == "__main__":
    main()

"""Who may call whom: numbers of any amount, made up from a serial number."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["FIRST_BLOCK", "PER_BLOCK", "Binding", "Call", "bindings", "blocks", "random_calls"]

FIRST_BLOCK = 70012340000
PER_BLOCK = 10_000


@dataclass(frozen=True, slots=True)
class Binding:
    """An AXB binding: both parties, and the number between them."""

    a: str
    b: str
    x: str


@dataclass(frozen=True, slots=True)
class Call:
    """One call: who calls, what is dialled, and who is to ring."""

    caller: str
    dialled: str
    callee: str


def _binding(serial: int) -> Binding:
    # Spread over the range, as callers are; no two are alike, as 9973 and 10 share no factor.
    tail = f"{serial * 9973 % 10**8:08}"
    block, place = divmod(serial, PER_BLOCK)
    return Binding(a=f"138{tail}", b=f"139{tail}", x=f"{FIRST_BLOCK + block}{place:04}")


def bindings(count: int) -> Iterator[Binding]:
    """The first *count* bindings, each on a number of its own."""
    return map(_binding, range(count))


def blocks(count: int) -> range:
    """The blocks of the first *count* bindings."""
    return range(FIRST_BLOCK, FIRST_BLOCK + -(-count // PER_BLOCK))


def random_calls(count: int, *, out_of: int, seed: int) -> list[Call]:
    """
    Calls through bindings taken at random, from either side, each binding at most once.

    Args:
        count: How many; at most *out_of*.
        out_of: How many bindings there are.
        seed: The same seed gives the same calls.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret
    calls = []
    for serial in chance.sample(range(out_of), count):
        one = _binding(serial)
        caller, callee = (one.a, one.b) if chance.getrandbits(1) else (one.b, one.a)
        calls.append(Call(caller=caller, dialled=one.x, callee=callee))
    return calls

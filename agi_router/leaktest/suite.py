"""
The suite: every vector in every kind of call, many calls at once, and what each side received.

1. A slot is a pair of numbers with its bindings; it carries one call at a time.
2. A scenario that did not go as it should proves nothing: it is a fault, not a clean result.
3. Results are read off when all calls are over, so that what came late counts too.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from agi_router.bindings.words import Mode
from agi_router.errors import LeakTestError
from agi_router.leaktest.call import Call
from agi_router.leaktest.call_setup import CallSetup
from agi_router.leaktest.call_slots import MODES, CallSlot
from agi_router.leaktest.carrier import Address, Carrier, show
from agi_router.leaktest.results import Result, Scenario
from agi_router.leaktest.vectors import Vector, fill, plantings

__all__ = ["run_suite", "scenarios"]

# How often a call is placed that goes wrong: on a busy machine the router may be late.
_ATTEMPTS = 3
# Seconds after the last call.
_LATE = 1


def scenarios(
    vectors: Sequence[Vector],
    *,
    modes: Sequence[Mode] = MODES,
    directions: Sequence[bool] = (True, False),
    early_media: Sequence[bool] = (False, True),
) -> list[Scenario]:
    """Every vector in every kind of call."""
    kinds = itertools.product(modes, directions, early_media)
    return [
        Scenario(vector=vector, mode=mode, from_a=from_a, early_media=early)
        for (mode, from_a, early), vector in itertools.product(kinds, vectors)
    ]


async def run_suite(
    plan: Sequence[Scenario],
    slots: Sequence[CallSlot],
    *,
    pbx: Address,
    near: Address,
    far: Address,
    work: Path,
    sipp: str = "sipp",
) -> list[Result]:
    """
    Place every call of *plan*, and say what each side received.

    Args:
        plan: The scenarios.
        slots: As many calls are up at once.
        pbx: Where the PBX takes SIP over UDP.
        near: The address that the PBX knows as the carrier's; phones call from it.
        far: The address to which the PBX sends its calls; phones are called there.
        work: Directory for scripts; what belongs to a faulty scenario stays.
        sipp: The program.

    Returns:
        One result for each scenario, in the order of *plan*.

    Raises:
        LeakTestError: An address cannot be had, or SIPp is not there.
    """
    program = shutil.which(sipp)
    if program is None:
        raise LeakTestError(
            f"{sipp} is not on PATH: install SIPp (Debian: apt install sip-tester)"
        )
    async with Carrier.open(pbx=pbx, near=near, far=far) as carrier:
        # No dialog of this run may be taken for one of another.
        word = secrets.token_hex(4)
        numbers = itertools.count()
        calls: dict[Scenario, list[Call]] = {scenario: [] for scenario in plan}
        lasts: dict[str, Call] = {}

        async def serve(slot: CallSlot, waiting: Iterator[Scenario]) -> None:
            for scenario in waiting:
                number = next(numbers)
                call = Call(
                    scenario,
                    _setup(scenario, slot, f"{word}-{number}", (near, far, pbx), carrier.decoy),
                    carrier,
                    work / f"{number:04d}",
                    program,
                )
                calls[scenario].append(call)
                if last := lasts.get(slot.a.number):
                    last.ended = call.began
                lasts[slot.a.number] = call
                await call.place()

        waiting = list(plan)
        for _ in range(_ATTEMPTS):
            places = iter(waiting)
            async with asyncio.TaskGroup() as group:
                for slot in slots:
                    group.create_task(serve(slot, places))
            # What comes late comes now.
            await asyncio.sleep(_LATE)
            waiting = [scenario for scenario in waiting if calls[scenario][-1].was_in_vain()]
        return [_joined([call.result() for call in calls[scenario]]) for scenario in plan]


def _joined(attempts: Sequence[Result]) -> Result:
    """The last attempt, with what any of them found."""
    found = tuple(finding for attempt in attempts for finding in attempt.findings)
    return replace(attempts[-1], findings=found)


def _setup(
    scenario: Scenario,
    slot: CallSlot,
    tag: str,
    places: tuple[Address, Address, Address],
    decoy: str,
) -> CallSetup:
    vector = scenario.vector
    caller, callee = (slot.a, slot.b) if scenario.from_a else (slot.b, slot.a)
    near, far, pbx = map(show, places)
    call_id = f"{tag}@leaktest"
    if vector.call_id:
        planted = plantings(caller, other=slot.other.number, decoy=decoy, trunk=far)
        call_id = f"{fill(vector.call_id, planted)}-{call_id}"
    return CallSetup(
        vector=vector,
        caller=caller,
        callee=callee,
        other=slot.other,
        dialled=slot.dialled[scenario.mode][0 if scenario.from_a else 1],
        near=near,
        far=far,
        pbx=pbx,
        decoy=decoy,
        early_media=scenario.early_media,
        call_id=call_id,
        tag=tag,
    )

"""
The leak test of texts by a link: what a message centre tells of a sender, and what goes on of it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

from agi_router.bindings.words import Side
from agi_router.leaktest.centre import Centre
from agi_router.leaktest.leaks import find_leaks
from agi_router.leaktest.link_vectors import plant
from agi_router.leaktest.text_vectors import NAME
from agi_router.leaktest.texts import ARRIVES, AT_ONCE, TextPair, TextResult
from agi_router.smpp import Pdu, Status

__all__ = ["run_link_texts", "wait_until"]

# Seconds for which an answer is waited for, and a text sent again that is to come later.
_ANSWERED: Final = 10.0
_AGAIN: Final = 0.5
_TRIES: Final = 30
_LATER: Final = frozenset(
    {Status.SYSTEM_ERROR, Status.QUEUE_FULL, Status.THROTTLED, Status.TEMPORARY}
)


async def run_link_texts(
    vectors: Iterable[str], pairs: Sequence[TextPair], centre: Centre
) -> list[TextResult]:
    """
    Send a text for each vector from either side, and search what comes of it.

    Args:
        vectors: Their names.
        pairs: Whose texts they are, in turn.
        centre: Where the door is bound.
    """
    plan = [(vector, side) for vector in vectors for side in Side]
    gate = asyncio.Semaphore(AT_ONCE)

    async def place(number: int, vector: str, side: Side) -> TextResult:
        async with gate:
            return await _run(vector, side, pairs[number % len(pairs)], centre)

    return list(await asyncio.gather(*(place(n, *each) for n, each in enumerate(plan))))


async def _run(vector: str, side: Side, pair: TextPair, centre: Centre) -> TextResult:
    """
    Send one, wait for what comes of it, and search that.
    """
    a, b = pair.a.digits, pair.b.digits
    sender, receiver = (a, b) if side is Side.A else (b, a)
    # Letters, so that nothing of it is taken for a number.
    letters = "".join(secrets.choice("abcdefghjkmnpqrstuvwxyz") for _ in range(12))
    said = f"leaktest {letters}"
    message = plant(vector, sender=sender, to=str(pair.x), body=said)
    answers: list[Pdu] = []
    fault = ""
    for _ in range(_TRIES):
        answer = await centre.deliver(message, timeout=_ANSWERED)
        if answer is None:
            fault = "the door has not answered"
            break
        answers.append(answer)
        fault = "" if answer.status == Status.OK else f"the door has answered {answer.status:#04x}"
        if answer.status not in _LATER:
            break
        await asyncio.sleep(_AGAIN)
    if not fault and not await wait_until(centre, lambda: said in centre.arrived, ARRIVES):
        fault = f"it has not arrived at the message centre in {ARRIVES:g} s"
    arrived = centre.arrived.get(said, b"")
    answered = b"".join(each.write() for each in answers)
    findings = [
        f"at the receiver: {leak}" for leak in find_leaks(arrived, numbers=[sender], names=[NAME])
    ]
    findings += [f"at the sender: {leak}" for leak in find_leaks(answered, numbers=[receiver])]
    return TextResult(vector=vector, sender=side, findings=tuple(findings), fault=fault)


async def wait_until(centre: Centre, holds: Callable[[], bool], seconds: float) -> bool:
    """
    Wait until something holds of what has come; whether it does in so many seconds.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not holds():
                centre.came.clear()
                await centre.came.wait()
    return holds()

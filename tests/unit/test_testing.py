"""What is shipped for other people's tests does as PostgreSQL does, as far as it says so."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from agi_router.bindings.model import BindingId
from agi_router.bindings.modes import Ax, Axb, Axe, Axyb, Gxb, Parties
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Callback, Counting, Language
from agi_router.calls.arrival import Call
from agi_router.calls.decision import AllocationNeeded
from agi_router.calls.ports import Admission
from agi_router.calls.router import Arrival, Router
from agi_router.errors import BindingConflict, BindingNotFound, ModeError, NoNumberAvailable
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.testing import FrozenClock, MemoryAdmissions
from harness.identities import from_header
from harness.values import BLOCK, A, B, C, D, X, Y

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class World:
    """A router over admissions in memory, and a clock."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.admissions = MemoryAdmissions(self.clock)
        self.router = Router(
            self.admissions,
            timeout=1,
            ring_timeout=timedelta(seconds=45),
            max_duration=HOUR,
            language=Language.ZH,
            fixed_lines=False,
            extension_tries=1,
        )
        self.calls = 0

    def bind(
        self, parties: Parties, x: XNumber = X, y: XNumber | None = None, **terms: Any
    ) -> Any:
        """Bind for an hour."""
        return self.admissions.bind(
            parties, Terms(expires_at=self.clock() + HOUR, **terms), x=x, y=y
        )

    def call(self, caller: PhoneNumber, dialled: XNumber = X, typed: str | None = None) -> str:
        """Say whom a call rings and what is shown, or why it is refused."""
        self.calls += 1
        arrival = Arrival(
            call_id=f"pbx1-1741988825.{self.calls}",
            caller=from_header(caller.digits),
            dialled=dialled.digits,
            typed=typed,
        )
        sent = asyncio.run(self.router.answer(arrival))
        return "*".join(sent.extension.split("*")[:2])


@pytest.fixture
def world() -> World:
    """Nobody bound yet."""
    return World()


def test_two_parties(world: World) -> None:
    """They reach each other; others hear that they are no parties."""
    world.bind(Axb(a=A, b=B))
    assert world.call(A) == f"{B.digits}*{X}"
    assert world.call(B) == f"{A.digits}*{X}"
    assert world.call(C) == "stranger*no_relation"


def test_two_numbers(world: World) -> None:
    """Each side is shown the number that it dials to call back."""
    world.bind(Axyb(a=A, b=B), X, Y)
    assert world.call(A, X) == f"{B.digits}*{Y}"
    assert world.call(B, Y) == f"{A.digits}*{X}"
    with pytest.raises(ModeError):
        world.bind(Axyb(a=C, b=D), X)


def test_uses(world: World) -> None:
    """Each call takes one; it comes back where nobody answered and only answers count."""
    world.bind(Axb(a=A, b=B), max_calls=2)
    world.bind(Axb(a=C, b=D), max_calls=1, counting=Counting.ATTEMPTS)
    for _ in range(2):
        assert world.call(A) == f"{B.digits}*{X}"
    assert world.call(A).startswith("used_up*")
    first, second = world.admissions.calls
    world.admissions.end(first, answered=False)
    world.admissions.end(second, answered=True)
    assert world.call(A) == f"{B.digits}*{X}"
    assert world.call(A).startswith("used_up*")
    assert world.call(C) == f"{D.digits}*{X}"
    world.admissions.end(list(world.admissions.calls)[-1], answered=False)
    assert world.call(C).startswith("used_up*")


def test_a_call_takes_one_use(world: World) -> None:
    """However often it is asked about."""
    name = world.bind(Axb(a=A, b=B), max_calls=1)
    call = Call(caller=A, x_number=X)

    async def ask(call_id: str) -> Admission:
        return await world.admissions.admit(call, call_id, timeout=1)

    first = asyncio.run(ask("pbx1-1741988825.1"))
    assert first.admitted
    assert first.facts.hit is not None
    assert first.facts.hit.binding == str(name)
    assert asyncio.run(ask("pbx1-1741988825.1")) is first
    assert not asyncio.run(ask("pbx1-1741988825.2")).admitted


def test_ends(world: World) -> None:
    """By time and by being unbound; then the place is free."""
    name = world.bind(Axb(a=A, b=B))
    with pytest.raises(BindingConflict, match=str(name)):
        world.bind(Axb(a=A, b=C))
    world.admissions.unbind(name)
    assert world.call(A).startswith("unbound*")
    world.bind(Axb(a=A, b=C))
    assert world.call(A) == f"{C.digits}*{X}"
    world.clock.advance(HOUR)
    assert world.call(A).startswith("expired*")
    with pytest.raises(BindingNotFound):
        world.admissions.unbind(BindingId(BLOCK, 9))


def test_a_group(world: World) -> None:
    """B reaches who called last, while the window is open; before and after that the default."""
    world.bind(Gxb(members=(A, C), b=B, callback=Callback.LAST, default=A, window=MINUTE))
    assert world.call(B) == f"{A.digits}*{X}"
    assert world.call(C) == f"{B.digits}*{X}"
    assert world.call(B) == f"{C.digits}*{X}"
    world.clock.advance(MINUTE)
    assert world.call(B) == f"{A.digits}*{X}"


def test_strangers(world: World) -> None:
    """Anyone reaches A of AX, who calls back the last of them; of AXE by an extension."""
    world.bind(Ax(a=A))
    assert world.call(A).startswith("no_callback*")
    assert world.call(C) == f"{A.digits}*{X}"
    assert world.call(A) == f"{C.digits}*{X}"
    world.bind(Axe(a=B, extension="1234"), Y)
    assert world.call(D, Y) == "ask_extension*0"
    assert world.call(D, Y, typed="1234") == f"{B.digits}*{Y}"


def test_a_number_is_made(world: World) -> None:
    """On the first call, for a while; after that another call makes one again."""
    world.bind(Axyb(a=A, b=B, y_ttl=MINUTE))
    world.bind(Axb(a=B, b=C), BLOCK.number(0))
    rung = world.call(A)
    assert rung == f"{B.digits}*{Y}"
    assert world.call(B, Y) == f"{A.digits}*{X}"
    world.clock.advance(MINUTE)
    assert world.call(B, Y).startswith("expired*")
    assert world.call(A).startswith(f"{B.digits}*")


def test_no_number_is_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where B is on all of them."""
    monkeypatch.setattr("agi_router.testing.BLOCK_SIZE", 2)
    world.bind(Axyb(a=A, b=B, y_ttl=MINUTE))
    world.bind(Axb(a=B, b=C), BLOCK.number(0))
    needed = AllocationNeeded(binding=f"{BLOCK}-1", binding_id=1, x_number=X, caller=A, callee=B)
    with pytest.raises(NoNumberAvailable, match=str(BLOCK)):
        asyncio.run(world.admissions.allocate(needed, timeout=1))

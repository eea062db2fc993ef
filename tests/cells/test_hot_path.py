"""What is done on a block asks its cell, and no other: read off the log of the other one."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from cells.conftest import BLOCKS

from agi_router.bindings.modes import Ax, Axb, Gxb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Callback, Messages
from agi_router.calls.end import Outcome
from agi_router.calls.store import AdmissionStore
from agi_router.inventory.model import BlockState
from agi_router.keys.ring import KeyRing
from agi_router.messages.model import MessageState, Outgoing, Text
from agi_router.messages.store import MessageStore
from harness.cells import Cells
from harness.database import (
    HOUR,
    NO_REST,
    SOON,
    a_call,
    admit_as_router,
    an_end,
    new_call_id,
    until_async,
)
from harness.values import A, B, C

NORTH, SOUTH = BLOCKS


class Hand:
    """Who sends what was stored."""

    free = True

    def __init__(self) -> None:
        self.held: list[Outgoing] = []

    def hand_over(self, message: Outgoing) -> None:
        """Take it."""
        self.held.append(message)

    def wake(self) -> None:
        """Nobody sleeps."""


@pytest.fixture
def told_south(cells: Cells) -> Iterator[Path]:
    """The south writes down each statement; whatever was before is in its log already."""
    server = cells.cells[1]
    with server.admin() as admin:
        admin.execute("ALTER SYSTEM SET log_statement = 'all'")
        admin.execute("SELECT pg_reload_conf()")
    yield server.log
    with server.admin() as admin:
        admin.execute("ALTER SYSTEM RESET log_statement")
        admin.execute("SELECT pg_reload_conf()")


async def test_every_statement_of_a_block_goes_to_its_cell_alone(
    dsn: str, store: BindingStore, keys: KeyRing, told_south: Path
) -> None:
    """Binding and changing; calls and texts that are admitted, asked again, refused and over."""
    terms = Terms(expires_at=store.now() + HOUR, max_calls=9, messages=Messages.BOTH)
    # So both have been asked before, and connections are made.
    assert store.bindings(everything=True, order_id=None, limit=9) == []
    # Of two blocks one gives no more numbers.
    store.inventory.set_block_state(SOUTH, BlockState.DRAINING)
    anyones = BindingStore(store.connection, keys, NO_REST, open_modes=True)
    before = _asked(told_south)
    async with AdmissionStore(dsn, keys, connections=1, open_modes=True) as admissions:
        await until_async(lambda: admissions.pool.connected)
        drawn = store.bind(Axb(a=A, b=B), terms)
        assert drawn.id.block == NORTH
        store.unbind(drawn.id)
        made = store.bind(Axb(a=A, b=B), terms, x=NORTH.number(1))
        anyones.bind(Ax(a=A), terms, x=NORTH.number(3))
        group = Gxb(members=(A, C), b=B, callback=Callback.LAST)
        store.bind(group, terms, x=NORTH.number(2))
        for caller, place in ((A, 1), (A, 2), (B, 3), (A, 3)):
            x, call_id = NORTH.number(place), new_call_id()
            for _ in range(2):
                answer, _ = await admit_as_router(admissions, a_call(caller, x), call_id)
                assert answer.admitted
            assert not (await admissions.settle([an_end(call_id, Outcome.ANSWERED, x=x)])).broken
        stranger, _ = await admit_as_router(admissions, a_call(C, NORTH.number(1)), new_call_id())
        assert not stranger.admitted
        texts, hand = MessageStore(admissions.pool, keys, link="sip", validity=HOUR), Hand()
        text, same = Text(sender=A, x_number=NORTH.number(1), body="a"), secrets.token_bytes(32)
        for _ in range(2):
            await texts.admit(text, same, hands=hand, timeout=SOON)
        (held,) = hand.held
        assert await texts.finish(held, MessageState.SENT, reason=None, status=0, timeout=SOON)
        store.extend(made.id, store.now() + 2 * HOUR)
        assert store.find(made.id).calls_used == 1
        store.unbind(made.id)
    assert _asked(told_south) == before
    # What is about all asks it, too: else this would show nothing.
    assert store.bindings(everything=True, order_id=None, limit=9)
    assert _asked(told_south) != before


def _asked(log: Path) -> list[str]:
    return [line for line in log.read_text(errors="replace").splitlines() if "agi_router." in line]

"""Calls near their end: which are found, of which Asterisk is asked, and which are ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast

import pytest

from agi_router.ari import AriClient, AriRefused
from agi_router.bindings.store import BindingStore
from agi_router.calls import hang_ups
from agi_router.calls.hang_ups import HangUpWatch
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection
from agi_router.errors import StoreUnavailable
from harness.database import a_call, bind, new_call_id, on_each_version

pytestmark = on_each_version

NODE, OTHER = "pbx1", "pbx10"
WARNING = 60
_GONE = 404


class Asterisk:
    """Whose hang-up was noted, of the calls that are up."""

    def __init__(self) -> None:
        self.up: dict[str, str] = {}
        self.warning = str(WARNING)
        self.asked: list[str] = []

    async def get_variable(self, name: str) -> str:
        """As the client has it."""
        assert name == "AGI_ROUTER_WARNING"
        return self.warning

    async def channel_variable(self, channel: str, name: str) -> str:
        """As the client has it."""
        assert name == "CHANNEL(hangupsource)"
        self.asked.append(channel)
        if channel not in self.up:
            raise AriRefused(_GONE, "Not Found", "channels")
        return self.up[channel]

    async def hangup(self, channel: str, *, reason_code: int) -> None:
        """As the client has it."""
        assert reason_code == 16
        del self.up[channel]


async def test_what_is_asked_and_ended(
    store: BindingStore,
    admissions: AdmissionStore,
    connection: Connection,
    monkeypatch: Any,
) -> None:
    """From the first moment of a warning on, as long as it is up, and of this Asterisk alone."""
    # Each look asks the database.
    monkeypatch.setattr(hang_ups, "_MOST", 0.0)
    asterisk = Asterisk()

    @asynccontextmanager
    async def at_hand(_: str) -> AsyncIterator[AriClient]:
        yield cast(Any, asterisk)

    bind(store, max_duration=timedelta(seconds=90))
    admissions.node = NODE
    watch = HangUpWatch(admissions, at_hand, longest=timedelta(hours=1))

    async def admit(node: str, seconds: int) -> str:
        call_id = new_call_id(node=node)
        assert (await admissions.admit(a_call(), call_id, timeout=10)).admitted
        connection.execute(
            "UPDATE agi_router.call SET received_at = now() - %s * interval '1 second'"
            " WHERE id = %s",
            [seconds, call_id],
        )
        asterisk.up[call_id] = ""
        return call_id

    # Of 90 s the first 30 are over or not; one is long past its end, and one is another's.
    early, soon, late, over, _ = [
        await admit(node, seconds)
        for node, seconds in ((NODE, 5), (NODE, 25), (NODE, 35), (NODE, 5000), (OTHER, 35))
    ]
    await watch.look()
    assert asterisk.asked == [late]
    asterisk.up[late] = "PJSIP/carrier-out-00000001"
    await watch.look()
    assert late not in asterisk.up
    asterisk.asked.clear()
    await watch.look()
    # Its end is not on record yet: Asterisk says that it is gone.
    assert asterisk.asked == [late]
    assert {early, soon, over} <= asterisk.up.keys()

    # Whom it knows it asks for while the database is away, too.
    asterisk.up[late] = ""
    await watch.look()
    asterisk.asked.clear()
    with monkeypatch.context() as patched:
        patched.setattr(admissions.pool, "_away", "away")
        with pytest.raises(StoreUnavailable):
            await watch.look()
    assert asterisk.asked == [late]

    # Where nobody is warned, nobody is asked.
    asterisk.warning = "0"
    asterisk.asked.clear()
    await HangUpWatch(admissions, at_hand, longest=timedelta(hours=1)).look()
    assert asterisk.asked == []

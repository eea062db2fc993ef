"""Nodes: two Asterisks of one name are told apart, on a real database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection
from agi_router.errors import NodeTaken
from harness.database import on_each_version

pytestmark = on_each_version

STARTED = datetime(2025, 3, 14, 21, 30, 25, tzinfo=UTC)
ONE, OTHER = "00:16:3e:00:00:01", "00:16:3e:00:00:02"


async def test_each_has_its_name(admissions: AdmissionStore) -> None:
    """One without a name, and two with: nobody is in anybody's way, however often seen."""
    for _ in range(3):
        await admissions.see_node("", ONE, STARTED)
        await admissions.see_node("pbx1", ONE, STARTED)
        await admissions.see_node("pbx2", OTHER, STARTED)


@pytest.mark.parametrize(
    ("name", "words"), [("", "no systemname, as"), ("pbx1", "the systemname pbx1, as")]
)
async def test_two_of_one_name(admissions: AdmissionStore, name: str, words: str) -> None:
    """The second is refused; the first is not, whoever started first."""
    await admissions.see_node(name, ONE, STARTED)
    for started in (STARTED - timedelta(days=1), STARTED + timedelta(days=1)):
        with pytest.raises(NodeTaken, match=words) as caught:
            await admissions.see_node(name, OTHER, started)
        assert caught.value.certain
        assert "00:16:3e:00:00:01 and started 2025-03-14 21:30:25, is alive" in str(caught.value)
    await admissions.see_node(name, ONE, STARTED)


async def test_a_restart_is_no_other(admissions: AdmissionStore) -> None:
    """The same one has started again."""
    await admissions.see_node("pbx1", ONE, STARTED)
    await admissions.see_node("pbx1", ONE, STARTED + timedelta(seconds=3))


async def test_two_of_one_machine(admissions: AdmissionStore) -> None:
    """Their entity ids are alike: the elder notices that it was not itself who started."""
    await admissions.see_node("pbx1", ONE, STARTED)
    await admissions.see_node("pbx1", ONE, STARTED + timedelta(hours=1))
    with pytest.raises(NodeTaken) as caught:
        await admissions.see_node("pbx1", ONE, STARTED)
    assert not caught.value.certain


async def test_a_name_may_be_inherited(admissions: AdmissionStore, connection: Connection) -> None:
    """An Asterisk that has not been seen for a while is gone: a new machine has its name."""
    await admissions.see_node("pbx1", ONE, STARTED)
    connection.execute(b"UPDATE agi_router.node SET seen_at = seen_at - interval '3 minutes'")
    await admissions.see_node("pbx1", OTHER, STARTED - timedelta(days=1))
    with pytest.raises(NodeTaken):
        await admissions.see_node("pbx1", ONE, STARTED)


async def test_a_name_is_not_held_from_the_future(
    admissions: AdmissionStore, connection: Connection
) -> None:
    """A row of a writer's, or of a clock that was set back: nobody who asks has written it."""
    await admissions.see_node("pbx1", ONE, STARTED)
    connection.execute(b"UPDATE agi_router.node SET seen_at = seen_at + interval '3 minutes'")
    await admissions.see_node("pbx1", OTHER, STARTED)
    with pytest.raises(NodeTaken):
        await admissions.see_node("pbx1", ONE, STARTED)

"""Party groups in what is asked for: named instead of members, who are known when it is bound."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from agi_router.bindings.modes import Axb, Gxb
from agi_router.bindings.party_groups import PartyGroup
from agi_router.bindings.requests import find_misplaced, make_request
from agi_router.bindings.words import Callback, Mode, check_group
from agi_router.errors import ModeError, RequestInvalid, SameParty
from harness.values import A, B, C, D


def test_members_of_a_name() -> None:
    """Until they are known nothing is asked of them; then all that is asked of any group."""
    named = Gxb(group="team", b=B, default=C)
    assert (named.members, named.side_a, named.in_bulk) == ((), (), False)
    whole = named.with_members((A, C))
    assert whole == Gxb(group="team", members=(A, C), b=B, default=C)
    assert whole.with_members((C, D)).side_a == (C, D)
    # The default need not be one of them, and reaches B too.
    assert named.with_members((A, D)).side_a == (A, D, C)
    for members, error in (((), ModeError), ((A, B, C), SameParty)):
        with pytest.raises(error):
            named.with_members(members)
    own = Gxb(members=(A,), b=B)
    assert own.with_members((C, D)) is own
    pair = Axb(a=A, b=B)
    assert pair.with_members((C, D)) is pair
    with pytest.raises(ModeError):
        Gxb(group="team", b=B, callback=Callback.ALL, default=C)


@pytest.mark.parametrize("said", [{}, {"members": (A,), "group": "team"}])
def test_one_of_both(said: dict[str, Any]) -> None:
    """A group has members of its own, or a name."""
    with pytest.raises(RequestInvalid, match="give members or group, and not both") as told:
        make_request({"mode": Mode.GXB, "b": B, **said})
    assert told.value.words == ("members", "group")


def test_asked_for() -> None:
    """By its name alone."""
    request = make_request({"mode": Mode.GXB, "b": B, "group": "team"})
    assert request.parties == Gxb(group="team", b=B)
    assert find_misplaced(Mode.GXB, {"b", "group"}) == []
    assert find_misplaced(Mode.GXB, {"b"}, faulty={"group"}) == []
    (strange,) = find_misplaced(Mode.AXB, {"a", "b", "group"})
    assert str(strange) == "group: a binding by axb has none"


@pytest.mark.parametrize("name", ["", "1", "a b", "a" * 65, "组"])
def test_a_name(name: str) -> None:
    """It begins with a letter, and may stand in a path."""
    with pytest.raises(ValueError, match="a party group's name has 1 to 64"):
        check_group(name)
    assert check_group("night-shift.2") == "night-shift.2"


def test_its_place_in_a_list() -> None:
    """By when it was added, and its number."""
    now = datetime(2026, 1, 31, tzinfo=UTC)
    group = PartyGroup(
        id=17,
        tenant="couriers",
        name="team",
        label=None,
        members=(A, C),
        bindings=0,
        created_at=now,
        version=1,
    )
    assert (group.cursor.at, group.cursor.name) == (now, "17")

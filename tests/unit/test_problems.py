"""Problems: every error has a status, and says nothing that it should not."""

from __future__ import annotations

import pytest

from agi_router import errors
from agi_router.errors import AgiRouterError, NumberError, NumberFault
from agi_router.schemas.problems import DOOR, STATUSES, FieldFault, Problem, problem_of

CLASSES = [
    each for name in errors.__all__ if issubclass(each := getattr(errors, name), AgiRouterError)
]


def test_every_error_has_a_status() -> None:
    """And no status is for what is not there; the door's own codes are others."""
    assert sorted(each.code for each in CLASSES) == sorted(STATUSES)
    assert not STATUSES.keys() & DOOR.keys()
    assert {*STATUSES.values(), *(status for status, _ in DOOR.values())} <= {
        *(400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 416, 422, 428, 429, 431, 500, 503)
    }


@pytest.mark.parametrize("code", DOOR)
def test_problems_of_the_door(code: str) -> None:
    """Each says what to do, in a line."""
    problem = Problem.of_door(code)
    assert problem.body("r-1")["detail"] == DOOR[code][1]
    assert "\n" not in problem.detail
    assert not problem.detail.endswith(".")


def test_a_fault_of_ours_tells_nothing() -> None:
    """But where to look for it."""
    problem = problem_of(AgiRouterError("what is broken inside"))
    assert problem.status == 500
    assert "inside" not in problem.detail
    assert problem.body("r-1")["instance"] == "urn:agi-router:request:r-1"


def test_fields() -> None:
    """Of a number the kind of fault is told, of others the error's code."""
    problem = problem_of(NumberError(NumberFault.TOO_SHORT, "too short"), pointer="/a")
    assert problem.errors == [FieldFault("/a", "too_short", "too short")]
    assert problem.body(None)["errors"] == [
        {"pointer": "/a", "code": "too_short", "detail": "too short"}
    ]
    assert "instance" not in problem.body(None)
    problem = problem_of(errors.SameParty(), pointer="")
    assert [each.code for each in problem.errors] == ["same_party"]


def test_why_there_is_no_number() -> None:
    """Each rule is named, with how many numbers it took; nothing where that may not be told."""
    problem = problem_of(errors.NoNumberAvailable(rules={"resting": 880, "party_met": 9120}))
    assert problem.body(None)["rules"] == [
        {"rule": "resting", "numbers": 880},
        {"rule": "party_met", "numbers": 9120},
    ]
    assert "rules" not in problem_of(errors.NoNumberAvailable()).body(None)


def test_who_may_try_again() -> None:
    """Is told when."""
    assert problem_of(errors.StoreHeld()).headers == {"Retry-After": "1"}
    assert problem_of(errors.BindingNotFound()).headers == {}

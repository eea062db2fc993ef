"""
Batches: many things in one request, each with a result of its own.
"""

from collections.abc import Callable
from typing import Any

from agi_router.errors import AgiRouterError
from agi_router.schemas.problems import Problem, problem_of

__all__ = ["Result", "refused", "result_of"]

Result = dict[str, Any]
"""What became of one: a status, and what was made or the problem."""


def result_of(make: Callable[[], Result]) -> Result:
    """
    What became of one: what *make* tells of it, or why it was not made.

    Raises:
        AgiRouterError: Nothing more can be done for the others.
    """
    try:
        return make()
    except (Problem, AgiRouterError) as error:
        return refused(error)


def refused(error: Problem | AgiRouterError) -> Result:
    """
    What is told of one that was not made.

    Raises:
        AgiRouterError: Nothing more can be done for the others.
    """
    told = error if isinstance(error, Problem) else problem_of(error)
    if told.status >= 500:  # noqa: PLR2004 - as above
        raise error
    return {"status": told.status, "problem": told.body(None)}

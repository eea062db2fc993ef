"""
The short way of what is asked by the thousand: binding, one or many.

It is the same operations by the same handlers, without what FastAPI does around each: that took
three quarters of the door's CPU for a bind. One thread reads the body, lets the key in, and does
what is asked. Their place in the OpenAPI document they have from their routes.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from agi_router.bindings.asked import Answered, Asked
from agi_router.bindings.store import BindingStore
from agi_router.doors.http.auth import Desk, Door, admit, admit_known, named_key
from agi_router.doors.http.bindings import (
    create_binding,
    create_bindings,
    plan_binding,
    tell_bound,
)
from agi_router.doors.http.gathering import Gathering, Job
from agi_router.doors.http.guard import report, tell_problem
from agi_router.errors import AgiRouterError
from agi_router.logs import redact
from agi_router.schemas.bindings import BatchIn, BindingIn
from agi_router.schemas.problems import FieldFault, Problem, problem_of
from agi_router.tenants.api_keys import KeyScope

__all__ = ["WAYS", "Direct", "problem_of_faults"]

WAYS: Final[Mapping[str, tuple[Callable[..., Response], type[BaseModel]]]] = {
    "/v1/bindings": (create_binding, BindingIn),
    "/v1/bindings/batch": (create_bindings, BatchIn),
}
"""What is posted where: who does it, and what the body holds."""


class Direct:
    """
    Answers what has a short way, as an ASGI application.

    Args:
        door: What all requests share.
        gathering: Serves those that may be served together.
    """

    def __init__(self, door: Door, gathering: Gathering) -> None:
        self._door = door
        self._gathering = gathering

    def takes(self, scope: Scope) -> bool:
        """
        Whether a request has one.
        """
        return scope["path"] in WAYS and scope["method"] == "POST"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Serve one request.
        """
        request = Request(scope, receive)
        job = _Posted(request, self._door)
        shown = request.headers.get("authorization")
        try:
            if shown is None or job.model is not BindingIn:
                response = await self._door.stores.run(job.run)
            else:
                response = await self._gathering.run(_who(shown), job)
        # As those of the other routes are answered.
        except Exception as error:  # noqa: BLE001
            problem = _problem(error, request.state.id)
            request.state.code = problem.code
            response = tell_problem(scope, problem, request.state.id)
        await response(scope, receive, send)


class _Posted(Job):
    """
    What is posted.
    """

    def __init__(self, request: Request, door: Door) -> None:
        super().__init__(door)
        self._request = request
        self._handle, self.model = WAYS[request.scope["path"]]
        request.scope["endpoint"] = self._handle

    def admit_known(self, store: BindingStore) -> Desk | None:
        return admit_known(self._request, self._door, store, KeyScope.BINDINGS_WRITE)

    def plan(self, desk: Desk) -> Asked | None:
        try:
            body = _read(self._request.state.body, self.model)
        except Problem:
            return None
        assert isinstance(body, BindingIn)  # noqa: S101 - what else is posted does not come here
        return plan_binding(body, self._request, desk)

    def tell(self, done: Answered) -> Response:
        return tell_bound(done)

    def serve(self, desk: Desk | None, borrowed: ExitStack) -> Response:
        request = self._request
        if desk is None:
            needed = KeyScope.BINDINGS_WRITE
            desk = admit(request, self._door, borrowed, needed, trusting=True)
        try:
            return self._handle(_read(request.state.body, self.model), request, desk)
        finally:
            # Whatever is answered, it is to nobody whose key does not stand.
            desk.prove()


def _who(shown: str) -> str:
    """
    What those show alike who show one key: a secret is not kept, nor has it to be known.
    """
    return named_key(shown) or hashlib.sha256(shown.encode("latin-1")).hexdigest()


def problem_of_faults(found: Sequence[Mapping[str, Any]]) -> Problem:
    """
    What pydantic has found, in our words.

    Args:
        found: As it tells it; each with its place in the body, or by its name.
    """
    if any(each["type"] == "json_invalid" for each in found):
        return Problem.of_door("body_malformed")
    return Problem.of_fields(
        [FieldFault(_pointer(each), each["type"], _detail(each)) for each in found]
    )


def _read(body: bytes, model: type[BaseModel]) -> BaseModel:
    """
    What a body says.

    Raises:
        Problem: It is not what it has to be.
    """
    if not body:
        raise Problem.of_fields([FieldFault("", "missing", "Field required")])
    try:
        # As pydantic is given it elsewhere: strictly, it takes more in JSON than in values.
        return model.model_validate(json.loads(body), from_attributes=True)
    except ValidationError as error:
        raise problem_of_faults(error.errors()) from None
    except (ValueError, RecursionError):
        raise Problem.of_door("body_malformed") from None


def _problem(error: Exception, request_id: str) -> Problem:
    if isinstance(error, Problem):
        return error
    if not isinstance(error, AgiRouterError):
        report(error, request_id)
        error = AgiRouterError()
    return problem_of(error)


def _pointer(fault: Mapping[str, Any]) -> str:
    """
    Where a fault is; the name of a field that we do not know could be a number.
    """
    place: Sequence[str | int] = fault["loc"]
    if fault["type"] == "extra_forbidden":
        place = place[:-1]
    return "".join(f"/{each}" for each in place)


def _detail(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "extra_forbidden":
        return "a field here is not known: /v1/openapi.json lists those that are"
    return redact(str(fault["msg"]).removeprefix("Value error, "))

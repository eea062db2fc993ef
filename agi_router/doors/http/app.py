"""
The HTTP door as an ASGI application.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from agi_router.doors.alibaba.errors import fault_of_door
from agi_router.doors.alibaba.route import AlibabaDoor, fault_response
from agi_router.doors.http import (
    api_keys,
    appeals,
    audit,
    bindings,
    blocklist,
    calls,
    checks,
    complaints,
    consents,
    events,
    exports,
    feeds,
    findings,
    groups,
    inventory,
    locks,
    message_links,
    message_rules,
    messages,
    old_numbers,
    pools,
    real_names,
    recordings,
    retention,
    tenants,
    traces,
    webhooks,
)
from agi_router.doors.http.answers import write
from agi_router.doors.http.auth import MERGE_PATCH, Door, Needs
from agi_router.doors.http.direct import Direct, problem_of_faults
from agi_router.doors.http.gathering import Gathering
from agi_router.doors.http.guard import Guard, tell_problem
from agi_router.doors.http.headers import describe_headers
from agi_router.doors.http.links import add_links
from agi_router.doors.http.missing import describe_missing
from agi_router.doors.http.options import Options
from agi_router.doors.http.pool import StorePool
from agi_router.errors import AgiRouterError
from agi_router.schemas.answers import FieldFaultOut, NumbersTakenOut, ProblemOut
from agi_router.schemas.base import Body, Out
from agi_router.schemas.events import describe_sent
from agi_router.schemas.problems import DOOR, Problem, problem_of
from agi_router.tenants.api_keys import KeyScope

__all__ = ["create_app", "describe_api", "tell_either"]

# Whatever else is asked for is for the door of Alibaba Cloud's clients, which answers all of it in
# their form: they take an answer without it for success.
_PATHS = re.compile(r"/(?:v1|livez|readyz)(?:/|$)")

_ROOMS = (
    *(bindings, old_numbers, groups, calls, checks, events, webhooks),
    *(messages, message_rules, message_links),
    *(locks, appeals, blocklist, consents, real_names, complaints, recordings),
    *(traces, audit, retention, exports, pools, inventory, tenants),
    *(feeds, findings, api_keys),
)
_CODES = {code: status for code, (status, _) in DOOR.items()}
_OF_STARLETTE = {400: "body_malformed", 404: "not_found", 405: "method_not_allowed"}
_ABOUT = """
Bindings of 700 numbers, calls and texts on them, and events of all three. Numbers of parties are
masked in every answer.

Every answer of 400 or more is `application/problem+json` (RFC 9457): its `code` is for programs,
its `detail` says what to do, and none of them holds what came. No real number is ever put into a
path or a query: it would stand in the logs of whatever lies in between.
"""
_KEY_ABOUT = (
    "An API key: `agr_<id>_<secret>`, made by `agi-router api-key create`. Each operation names"
    " the scope that it needs."
)
_SIGNED_ABOUT = (
    "A signed request: `ACS3-HMAC-SHA256` or `ACS3-HMAC-SM3`, with the id and the secret of an API"
    " key that signs."
)


def create_app(
    stores: StorePool, options: Options, *, remarked: Callable[[], Sequence[str]] = tuple
) -> ASGIApp:
    """
    The door.

    Args:
        stores: What requests work with.
        options: As the operator has set them.
        remarked: What should be known of a door that is ready, a line each.
    """
    app = _routes()
    app.state.remarked = remarked
    door = app.state.door = Door(stores, options)
    gathering = Gathering(stores)
    return Guard(_Doors(app, Direct(door, gathering), AlibabaDoor(door, gathering)), _tell)


class _Doors:
    """
    The two doors of one process: what is no path of ours is that of Alibaba Cloud's clients.
    """

    def __init__(self, rest: ASGIApp, direct: Direct, alibaba: ASGIApp) -> None:
        self._rest = rest
        self._direct = direct
        self._alibaba = alibaba

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Hand a request on.
        """
        if scope["type"] == "http" and self._direct.takes(scope):
            await self._direct(scope, receive, send)
            return
        ours = scope["type"] != "http" or _PATHS.match(scope["path"])
        await (self._rest if ours else self._alibaba)(scope, receive, send)


def _tell(scope: Scope, problem: Problem, request_id: str) -> Response:
    """
    The answer of the door that the path is of.
    """
    if _PATHS.match(scope["path"]):
        return tell_problem(scope, problem, request_id)
    return fault_response(fault_of_door(problem.code, problem.headers), request_id)


def tell_either(problem: Problem, request_id: str) -> Response:
    """
    The answer where nobody knows which door was meant: of both.

    Clients of Alibaba Cloud take JSON without a ``Code`` for success, and look for it as it is
    spelled. Some of ``/v1`` read names in any case, and take the last one, which is ours.
    """
    fault = fault_of_door(problem.code, problem.headers)
    return Response(
        write({**fault.body(request_id), **problem.body(request_id)}),
        status_code=problem.status,
        media_type="application/problem+json",
        headers=dict(problem.headers),
    )


def describe_api() -> dict[str, Any]:
    """
    The OpenAPI document.
    """
    return _routes().openapi()


def _routes() -> FastAPI:
    app = FastAPI(
        title="agi_router",
        version="1",
        summary="Number protection service",
        description=_ABOUT.strip(),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        # It would go where the Host of the request says.
        redirect_slashes=False,
    )
    for each in _ROOMS:
        app.include_router(each.router)
    app.add_api_route("/livez", _alive, include_in_schema=False)
    app.add_api_route("/readyz", _ready, include_in_schema=False)
    app.add_api_route("/v1/openapi.json", _document, include_in_schema=False)
    app.add_exception_handler(Exception, _answer_fault)
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(AgiRouterError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return app


def _described(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            routes=app.routes,
        )
        schemas = document["components"]["schemas"]
        # FastAPI's own, which tell what came.
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for model in (ProblemOut, FieldFaultOut, NumbersTakenOut):
            told = model.model_json_schema(ref_template="#/components/schemas/{model}")
            told.pop("$defs", None)
            schemas[model.__name__] = told
        for name, examples in _examples(Out, Body):
            # FastAPI leaves out of them what is null.
            if name in schemas:
                schemas[name]["examples"] = examples
        _describe_keys(document)
        _describe_changes(document)
        add_links(document["paths"])
        describe_missing(document)
        describe_headers(document)
        document["webhooks"] = describe_sent()
        app.openapi_schema = document
    return app.openapi_schema


def _describe_keys(document: dict[str, Any]) -> None:
    """
    Write into a document how a key is shown, and which scope each operation needs.
    """
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": _KEY_ABOUT},
        "signed": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": _SIGNED_ABOUT,
        },
    }
    document["security"] = _shown()
    for route in _operations():
        for scope in _needed(route):
            for method in route.methods or ():
                document["paths"][route.path][method.lower()]["security"] = _shown(scope)


def _describe_changes(document: dict[str, Any]) -> None:
    """
    Write into a document that a change may be told to be one.
    """
    for item in document["paths"].values():
        if "patch" in item:
            content = item["patch"]["requestBody"]["content"]
            content[MERGE_PATCH] = content["application/json"]


def _operations() -> Iterator[APIRoute]:
    """
    Every operation of ``/v1``.
    """
    for room in _ROOMS:
        for route in room.router.routes:
            if isinstance(route, APIRoute):
                yield route


def _needed(route: APIRoute) -> list[KeyScope]:
    """
    The scope that an operation needs; none where no key is shown.
    """
    calls = (each.call for each in route.dependant.dependencies)
    return [call.scope for call in calls if isinstance(call, Needs)]


def _shown(*scopes: KeyScope) -> list[dict[str, list[str]]]:
    """
    What a request shows, with the scopes that it needs: a bearer, or a signature.
    """
    return [{form: [scope.value for scope in scopes]} for form in ("bearer", "signed")]


def _examples(*models: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    """
    Names of models, and of what follows from them, with their examples.
    """
    for model in models:
        extra = model.model_config.get("json_schema_extra")
        if isinstance(extra, dict) and "examples" in extra:
            yield model.__name__, extra["examples"]
        yield from _examples(*model.__subclasses__())


async def _alive() -> Response:
    """
    The process answers.
    """
    return PlainTextResponse("ok\n")


async def _ready(request: Request) -> Response:
    """
    The database answers; behind ``ok`` what should be known all the same.
    """
    door: Door = request.app.state.door

    def look() -> None:
        with door.stores.lend() as store:
            store.now()

    try:
        async with door.stores.turn():
            await run_in_threadpool(look)
    except (Problem, AgiRouterError) as error:
        told = error.detail if isinstance(error, Problem) else str(error)
        return PlainTextResponse(f"{told}\n", status_code=503)
    lines = ["ok", *request.app.state.remarked()]
    return PlainTextResponse("".join(f"{line}\n" for line in lines))


async def _document(request: Request) -> Response:
    """
    The OpenAPI document.
    """
    # Nobody need show a key for it, and writing it takes milliseconds in which nobody is served.
    state = request.app.state
    if not hasattr(state, "document"):
        state.document = write(request.app.openapi())
    return Response(state.document, media_type="application/json")


async def _answer_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - it is registered for these
    request.state.code = error.code
    return tell_problem(request.scope, error, request.state.id)


async def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AgiRouterError)  # noqa: S101 - it is registered for these
    return await _answer_problem(request, problem_of(error))


async def _answer_fault(request: Request, _: Exception) -> Response:
    # It is raised further, to the guard, which says where it came from.
    return await _answer_problem(request, problem_of(AgiRouterError()))


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for these
    code = _OF_STARLETTE.get(error.status_code)
    problem = problem_of(AgiRouterError()) if code is None else Problem.of_door(code)
    problem.headers = error.headers or {}
    if code == "method_not_allowed" and (methods := _methods_of(request.url.path)):
        # By the framework those of one operation alone.
        problem.headers = {**problem.headers, "Allow": ", ".join(sorted(methods))}
    return await _answer_problem(request, problem)


def _methods_of(path: str) -> set[str]:
    """
    What a path can be asked by, as far as it is one of operations.
    """
    found = (route for route in _operations() if route.path_regex.match(path))
    return {method for route in found for method in route.methods or ()}


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - it is registered for these
    # Each begins with where it is: in the body, the path or the query.
    found = [{**each, "loc": each["loc"][1:]} for each in error.errors()]
    return await _answer_problem(request, problem_of_faults(found))

"""
``/v1/feeds``: numbers that carriers gave to new owners, as programs tell of them.
"""

import io
import json
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from agi_router.cursors import Cursor
from agi_router.doors.http.answers import answer, page
from agi_router.doors.http.auth import Desk, Needs
from agi_router.doors.http.idempotency import KEYED, answer_once
from agi_router.errors import FeedInvalid, FeedNotFound
from agi_router.events.addresses import check_host
from agi_router.feeds.digests import digest_maker
from agi_router.feeds.files import digest_of, read_records
from agi_router.feeds.model import Feed, FeedKind, NumberForm, check_feed, check_feed_name
from agi_router.feeds.pull_store import PullStore
from agi_router.feeds.recycler import Recycler
from agi_router.feeds.store import FeedStore
from agi_router.feeds.views import describe_feed, describe_match, describe_run
from agi_router.feeds.waiting import WaitingFiles
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.feeds import (
    AuthorizationIn,
    FeedIn,
    FeedOut,
    FeedsOut,
    FileIn,
    PushOut,
    RecordsIn,
    RunOut,
    RunReportOut,
    RunsOut,
)
from agi_router.schemas.fields import read_cursor
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["feeds"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.FEEDS_READ), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.FEEDS_WRITE), scope="function")]
_WAITS: dict[int | str, dict[str, Any]] = {
    202: {
        "model": RunOut,
        "description": "Kept; it is read soon, and its run tells what came of it",
    }
}
_Run = Annotated[int, Path(ge=1, le=2**63 - 1)]


@router.get("/feeds", responses=answers(FeedsOut), response_model=None)
def list_feeds(desk: _Reads) -> Response:
    """
    List the feeds, and when records of each came last.
    """
    return answer({"feeds": list(map(describe_feed, _feeds(desk).all()))})


@router.post(
    "/feeds",
    status_code=201,
    responses=answers(FeedOut, 409, 413, 415, ok=201, told="Added"),
    openapi_extra=KEYED,
    response_model=None,
)
def add_feed(body: FeedIn, request: Request, desk: _Writes) -> Response:
    """
    Add a feed whose records a program sends, or whose address is asked.
    """
    kind = FeedKind(body.kind)
    check_feed(kind, body.path)
    if kind is FeedKind.PULL:
        parts = urlsplit(body.path or "")
        check_host(
            parts.hostname or "",
            secure=parts.scheme == "https",
            allowed=desk.options.webhook_hosts,
        )
    elif body.authorization is not None:
        raise FeedInvalid("an authorization goes with a feed of the kind pull")

    def make() -> tuple[int, Any, dict[str, str]]:
        feed = _feeds(desk).add(
            body.name,
            kind=kind,
            path=body.path,
            numbers=body.numbers,
            trust=body.trust,
            every=None if body.every is None else timedelta(seconds=body.every),
        )
        if body.authorization is not None:
            _pulls(desk).authorize(feed, body.authorization)
            feed = _feeds(desk).find(feed.name)
        desk.audit("POST /v1/feeds", f"feed {feed.name}")
        place = f"/v1/feeds/{quote(feed.name, safe='')}"
        return 201, describe_feed(feed), {"Location": place}

    return answer_once(request, desk, make)


@router.get("/feeds/{name}", responses=answers(FeedOut, 404), response_model=None)
def get_feed(name: str, desk: _Reads) -> Response:
    """
    Get a feed.
    """
    return answer(describe_feed(_find(name, desk)))


@router.delete(
    "/feeds/{name}", responses=answers(FeedOut, 404, told="Removed"), response_model=None
)
def remove_feed(name: str, desk: _Writes) -> Response:
    """
    Remove a feed and the reports of its runs. Bindings that have ended stay so.
    """
    with desk.queries.transaction():
        feed = _find(name, desk)
        _feeds(desk).remove(feed.name)
        desk.audit("DELETE /v1/feeds/{name}", f"feed {feed.name}")
    return answer(describe_feed(feed))


@router.put(
    "/feeds/{name}/authorization",
    responses=answers(FeedOut, 404, 413, 415, told="Sent from now on"),
    response_model=None,
)
def authorize_feed(name: str, body: AuthorizationIn, desk: _Writes) -> Response:
    """
    Send another authorization to the address of a feed from now on, or none.
    """
    feed = _find(name, desk)
    if feed.kind is not FeedKind.PULL:
        raise FeedInvalid(f"feed {feed.name!r} is of the kind {feed.kind}, and not pulled")
    with desk.queries.transaction():
        _pulls(desk).authorize(feed, body.authorization)
        desk.audit("PUT /v1/feeds/{name}/authorization", f"feed {feed.name}")
    return answer(describe_feed(_find(feed.name, desk)))


@router.post(
    "/feeds/{name}/pull",
    status_code=202,
    responses=answers(FeedOut, 404, ok=202, told="It is read soon"),
    response_model=None,
)
def pull_feed(name: str, desk: _Writes) -> Response:
    """
    Have the address of a feed asked, or its files looked at, by the timer that does so.

    What came of it: its runs; `pulled_at` or `failed_at` is later than `asked_at` once it is done.
    """
    with desk.queries.transaction():
        feed = _feeds(desk).ask(_find(name, desk).name)
        desk.audit("POST /v1/feeds/{name}/pull", f"feed {feed.name}")
    return answer(describe_feed(feed), status=202)


@router.post(
    "/feeds/{name}/files",
    responses={**answers(PushOut, 404, 409, 413, 415, told="All of it is done"), **_WAITS},
    response_model=None,
)
def run_file(name: str, body: FileIn, desk: _Writes) -> Response:
    """
    Do what a file says, or what is left of it, as `agi-router feed run` does.

    A line that cannot be read keeps no other from being done. A file of a feed of digests waits
    for the timer, and is answered 202.
    """
    feed = _find(name, desk)
    stream = io.BytesIO(body.content.encode())
    return _take(feed, stream, desk, "files", file=body.file, digest=digest_of(stream))


@router.post(
    "/feeds/{name}/records",
    responses={**answers(PushOut, 404, 409, 413, 415, told="All of them are done"), **_WAITS},
    response_model=None,
)
def push_records(name: str, body: RecordsIn, desk: _Writes) -> Response:
    """
    Do what records say, or what is left of it: bindings of old owners end.

    A record that cannot be read keeps no other from being done. Those of a feed of digests wait
    for the timer, and are answered 202.
    """
    feed = _find(name, desk)
    if feed.kind is not FeedKind.PUSH:
        raise FeedInvalid(
            f"feed {feed.name!r} is of the kind {feed.kind}, and read by the command line: add one"
            " for what is pushed"
        )
    lines = "".join(f"{json.dumps(each.model_dump(exclude_none=True))}\n" for each in body.records)
    stream = io.BytesIO(lines.encode())
    digest = digest_of(stream, name=body.file)
    return _take(feed, stream, desk, "records", file=body.file, digest=digest)


@router.get("/feeds/{name}/runs", responses=answers(RunsOut, 404), response_model=None)
def list_runs(
    name: str,
    request: Request,
    desk: _Reads,
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List runs of a feed, the latest first, a page at a time.
    """
    feed = _find(name, desk)
    rows = _feeds(desk).runs(feed.name, after=read_cursor(cursor), limit=limit)
    behind = Cursor(rows[-1]["begun_at"], str(rows[-1]["id"])) if len(rows) == limit else None
    return page(request, "runs", list(map(describe_run, rows)), behind)


@router.get("/feeds/{name}/runs/{run}", responses=answers(RunReportOut, 404), response_model=None)
def get_run(name: str, run: _Run, desk: _Reads) -> Response:
    """
    Get a run, with what cannot be read and the bindings that it has met.
    """
    report = _report(_feeds(desk), run)
    if report["feed"] != _find(name, desk).name:
        raise FeedNotFound
    return answer(report)


def _feeds(desk: Desk) -> FeedStore:
    """
    The feeds: the operator's, whose keys alone may have their scopes.
    """
    return FeedStore(desk.queries)


def _pulls(desk: Desk) -> PullStore:
    return PullStore(desk.queries, desk.store.keys)


def _find(name: str, desk: Desk) -> Feed:
    """
    A feed.

    Raises:
        FeedNotFound: There is none of this name.
    """
    try:
        return _feeds(desk).find(check_feed_name(name))
    except (ValueError, FeedNotFound):
        # What was asked for could be anything, a number too.
        raise FeedNotFound from None


def _take(
    feed: Feed, stream: io.BytesIO, desk: Desk, what: str, *, file: str, digest: bytes
) -> Response:
    """
    Do what was sent, or keep it for the timer where it is digests.

    Raises:
        CsvError: It cannot be read from some line on; of digests nothing is kept then.
        FeedBusy: Somebody else reads the feed, or too much waits.
        FeedInvalid: The algorithm of its digests cannot be had.
    """
    act = f"POST /v1/feeds/{{name}}/{what}"
    if feed.numbers is NumberForm.PLAIN:
        recycler = Recycler(desk.store.connection, desk.store.keys)
        desk.audit(act, f"feed {feed.name}")
        run_id = recycler.run(feed, stream, name=file, digest=digest)
        return answer({**_report(recycler.store, run_id), "damaged": recycler.damaged})
    # Whoever reads it later can tell nobody.
    digest_maker(feed.numbers)
    for _ in read_records(stream):
        pass
    with desk.queries.transaction():
        waiting = WaitingFiles(desk.queries, desk.store.keys)
        run_id = waiting.keep(feed, file, stream.getvalue().decode(), digest)
        desk.audit(act, f"feed {feed.name}")
    return answer(
        describe_run(_feeds(desk).run(run_id)),
        status=202,
        headers={"Location": f"/v1/feeds/{quote(feed.name, safe='')}/runs/{run_id}"},
    )


def _report(feeds: FeedStore, run_id: int) -> dict[str, Any]:
    told = describe_run(feeds.run(run_id), feeds.faults(run_id))
    return {**told, "matches": list(map(describe_match, feeds.matches(run_id)))}

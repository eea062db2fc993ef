"""
``/v1/recordings``: recordings of calls, and what was said.
"""

from dataclasses import asdict
from itertools import chain
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic import AfterValidator
from starlette.responses import Response, StreamingResponse

from agi_router.bindings.model import BindingId
from agi_router.db.connection import Queries
from agi_router.doors.http.answers import answer, page_of
from agi_router.doors.http.auth import Desk, Needs, admit_link, take_turn
from agi_router.doors.http.ranges import read_range
from agi_router.keys.segments import clear_length
from agi_router.logs import redact
from agi_router.numbers import XNumber
from agi_router.recordings.links import RecordingLink
from agi_router.recordings.model import Recording
from agi_router.recordings.places import Places
from agi_router.recordings.reconciliation import FOLDERS, compare
from agi_router.recordings.store import RecordingLedger, RecordingStore
from agi_router.recordings.vault import Vault
from agi_router.recordings.views import describe_recording
from agi_router.records.audit import check_case, check_note
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.fields import read_cursor, read_field, read_time
from agi_router.schemas.problems import FieldFault, Problem
from agi_router.schemas.recordings import (
    FilesOut,
    RecordingDeleteIn,
    RecordingOut,
    RecordingsOut,
)
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["recordings"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.RECORDINGS_READ), scope="function")]
_Hears = Annotated[Desk, Depends(Needs(KeyScope.RECORDINGS_HEAR), scope="function")]
_Case = Annotated[
    str | None,
    AfterValidator(lambda text: None if text is None else check_case(text)),
    Query(max_length=512, description="The case; the operator's keys have to name one."),
]
_Reason = Annotated[
    str | None,
    AfterValidator(lambda text: None if text is None else check_note(text)),
    Query(max_length=4096, description="Why; goes with the case."),
]
_Range = Annotated[
    str | None,
    Header(alias="Range", description="One range of octets, like bytes=58-; for players."),
]
_Audits = Annotated[Desk, Depends(Needs(KeyScope.AUDIT_READ), scope="function")]
_Keeps = Annotated[Desk, Depends(Needs(KeyScope.RETENTION_WRITE), scope="function")]

_SOUND = {
    **answers(RecordingOut, 404, 416, 429),
    200: {
        "description": "WAV in stereo: the caller on the left, the callee on the right",
        "content": {"audio/wav": {"schema": {"type": "string", "format": "binary"}}},
    },
    206: {
        "description": "The range that was asked for",
        "content": {"audio/wav": {"schema": {"type": "string", "format": "binary"}}},
    },
}


@router.get("/recordings", responses=answers(RecordingsOut, 404), response_model=None)
def list_recordings(  # noqa: PLR0917 - filters
    request: Request,
    desk: _Reads,
    since: queries.Since = None,
    binding: queries.Binding = None,
    x: queries.Number = None,
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List recordings, newest first, a page at a time; and calls that have none though they should.
    """
    found = _store(desk).all(
        binding=None
        if binding is None
        else read_field("/binding", lambda: BindingId.parse(binding)),
        x_number=None if x is None else read_field("/x", lambda: XNumber.parse(x)),
        since=None if since is None else read_time("/since", since),
        after=read_cursor(cursor),
        limit=limit,
    )
    return page_of(request, "recordings", found, describe_recording, limit=limit)


@router.get("/recordings/files", responses=answers(FilesOut, 404), response_model=None)
def compare_files(
    request: Request,
    desk: _Audits,
    folder: Annotated[
        str | None,
        Query(pattern="^[a-f]{2}$", description="`next_folder` of the answer before."),
    ] = None,
) -> Response:
    """
    Compare the bucket of sealed recordings with the records, a folder at a time.

    What no record has is removed by the command `recording reconcile --remove` alone.
    """
    bucket = desk.options.recordings_bucket
    if bucket is None:
        raise Problem.of_door("not_found")
    place = FOLDERS.index(folder or FOLDERS[0])
    found = compare(bucket, RecordingLedger(desk.queries), FOLDERS[place : place + 1])
    following = FOLDERS[place + 1] if place + 1 < len(FOLDERS) else None
    headers = (
        {}
        if following is None
        else {"Link": f'<{request.url.path}?folder={following}>; rel="next"'}
    )
    return answer(
        {"folder": FOLDERS[place], **asdict(found), "next_folder": following}, headers=headers
    )


@router.get("/recordings/{call}", responses=answers(RecordingOut, 404), response_model=None)
def get_recording(call: str, desk: _Reads) -> Response:
    """
    Get what is on record of the recording of a call.
    """
    return answer(describe_recording(_store(desk).find(call)))


@router.get("/recordings/{call}/sound", responses=_SOUND, response_model=None)
def hear_recording(
    call: str,
    desk: _Hears,
    case: _Case = None,
    reason: _Reason = None,
    asked: _Range = None,
) -> Response:
    """
    Hear what was said: a row of the audit comes first, and nothing is written to a disk.

    The operator's keys name a case and a reason, and hear so many in an hour. Each range that is
    asked for is a listening of its own.
    """
    found = _store(desk).find(call)
    act = "GET /v1/recordings/{call}/sound"
    if desk.key.tenant is not None and case is None and reason is None:
        return _sound(desk, act, found, asked)
    for name, said in (("case", case), ("reason", reason)):
        if said is None:
            raise Problem.of_fields([FieldFault(f"/{name}", "missing", f"say the {name}")])
    return _sound(desk, act, found, asked, case=case, reason=reason)


@router.post(
    "/recordings/{call}/delete",
    responses=answers(RecordingOut, 404, 409, 413, 415, told="Nobody hears it any more"),
    response_model=None,
)
def delete_recording(call: str, body: RecordingDeleteIn, desk: _Keeps) -> Response:
    """
    Destroy the key of a recording; its file goes soon after. What a hold keeps stays.
    """
    store = _store(desk)
    with desk.queries.transaction():
        RecordingLedger(desk.queries).delete(store.find(call), early=body.early)
        desk.audit(
            "POST /v1/recordings/{call}/delete",
            f"recording of call {call}",
            case=body.case.id,
            reason=redact(body.case.reason),
        )
    return answer(describe_recording(store.find(call)))


@router.get("/recordings/links/{name}", include_in_schema=False)
def hear_by_link(  # noqa: PLR0917 - query and header
    request: Request,
    _: Annotated[None, Depends(take_turn, scope="function")],
    name: str,
    key: Annotated[str, Query(max_length=64)],
    until: Annotated[int, Query(ge=0, le=2**40)],
    tag: Annotated[str, Query(max_length=64)],
    asked: _Range = None,
) -> Response:
    """
    Hear a recording by an address that was made for it, which is the key's listening.
    """
    link = RecordingLink(name=name, key=key, until=until)
    desk = admit_link(
        request,
        request.app.state.door,
        request.state.borrowed,
        KeyScope.RECORDINGS_HEAR,
        key_id=key,
        is_tag=lambda secret: link.is_tag(tag, secret),
    )
    # The operator's keys have to name a case, which an address has not.
    if link.is_over(desk.now) or desk.key.tenant is None:
        raise Problem.of_door("link_invalid")
    found = _store(desk).find_named(name)
    return _sound(desk, "GET /v1/recordings/links/{name}", found, asked)


def _sound(
    desk: Desk,
    act: str,
    found: Recording,
    asked: str | None,
    *,
    case: str | None = None,
    reason: str | None = None,
) -> Response:
    """
    What was said, or a range of it, once it is on record that somebody hears it.
    """
    # What has no sound is told as such below.
    part = read_range(asked, clear_length(found.octets)) if found.sealed_key else None
    places = Places(Vault(desk.options.recordings_sealed), desk.options.recordings_bucket)
    heard = _store(desk).listen(found, places, desk.store.keys)
    subject = f"recording of call {found.call_id}"
    if case is None or reason is None:
        desk.audit(act, subject)
    else:
        desk.audit_reveal(act, subject, case=case, reason=reason, acts=[act])
    headers = {"Cache-Control": "no-store", "Accept-Ranges": "bytes"}
    if part is not None:
        heard = part.cut(heard)
        headers["Content-Range"] = str(part)
    # A file that is not there is no answer of 200.
    sound = chain([next(heard, b"")], heard)
    status = 200 if part is None else 206
    return StreamingResponse(sound, status, headers=headers, media_type="audio/wav")


def _store(desk: Desk) -> RecordingStore:
    return RecordingStore(Queries(desk.store.connection), desk.store.scope)

"""
``/v1/links``: links to message centres, which process has each, and having one unbound.
"""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from agi_router.doors.http.answers import answer
from agi_router.doors.http.auth import Desk, Needs
from agi_router.messages.records import LinkRecords
from agi_router.messages.views import describe_link
from agi_router.schemas.answers import answers
from agi_router.schemas.messages import MessageLinkOut, MessageLinksOut
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["messages"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.LINKS_READ), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.LINKS_WRITE), scope="function")]


@router.get("/links", responses=answers(MessageLinksOut), response_model=None)
def list_links(desk: _Reads) -> Response:
    """
    List the links to message centres, and how many texts each owes.
    """
    rows = LinkRecords(desk.store.connection).links()
    return answer({"links": list(map(describe_link, rows))})


@router.post(
    "/links/{name}/drain",
    responses=answers(MessageLinkOut, 404, told="It is unbound within seconds"),
    response_model=None,
)
def drain_link(name: str, desk: _Writes) -> Response:
    """
    Have a link unbound once what is under way is sent; texts that it owes wait.
    """
    return _drain(name, desk, drained=True)


@router.post(
    "/links/{name}/resume",
    responses=answers(MessageLinkOut, 404, told="It is bound within seconds"),
    response_model=None,
)
def resume_link(name: str, desk: _Writes) -> Response:
    """
    Have a link bound again that was drained.
    """
    return _drain(name, desk, drained=False)


def _drain(name: str, desk: Desk, *, drained: bool) -> Response:
    done = "drain" if drained else "resume"
    with desk.queries.transaction():
        row = LinkRecords(desk.store.connection).drain(name, drained=drained)
        # A name is one of ours once it was found.
        desk.audit(f"POST /v1/links/{{name}}/{done}", f"link {row['name']}")
    return answer(describe_link(row))

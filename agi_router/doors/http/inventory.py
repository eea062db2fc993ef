"""
``/v1/blocks`` and ``/v1/pool``: the managed blocks, how full they are, and how many are needed.
"""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from agi_router.bindings.expiry import LONGEST_LIFE
from agi_router.cursors import Cursor
from agi_router.doors.http.answers import answer, page
from agi_router.doors.http.auth import Desk, Needs
from agi_router.doors.http.idempotency import KEYED, answer_once
from agi_router.errors import BlockNotFound, NumberError
from agi_router.inventory.capacity import size_pool
from agi_router.inventory.views import describe_block, describe_certificate, describe_size
from agi_router.numbers import Block
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.blocks import (
    BlockChange,
    BlockIn,
    BlockOut,
    BlocksOut,
    PoolOut,
    PoolSizeOut,
)
from agi_router.schemas.fields import read_cursor, read_field
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["inventory"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.INVENTORY_READ), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.INVENTORY_WRITE), scope="function")]

# What a certificate says.
_PAPER = {"certificate", "valid_from", "valid_until"}
_MOST = 2**31 - 1
_LONGEST = int(LONGEST_LIFE.total_seconds())


@router.get("/blocks", responses=answers(BlocksOut), response_model=None)
def list_blocks(
    request: Request,
    desk: _Reads,
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List the blocks by their numbers, a page at a time; to a tenant, those kept for it.
    """
    found = desk.store.inventory.blocks(after=read_cursor(cursor), limit=limit)
    last = found[-1] if len(found) == limit else None
    behind = None if last is None else Cursor(last["created_at"], str(last["block"]))
    return page(request, "blocks", list(map(describe_block, found)), behind)


@router.post(
    "/blocks",
    status_code=201,
    responses=answers(BlockOut, 404, 409, 413, 415, ok=201, told="Added"),
    openapi_extra=KEYED,
    response_model=None,
)
def add_block(body: BlockIn, request: Request, desk: _Writes) -> Response:
    """
    Add a block.
    """
    block = read_field("/block", lambda: Block.parse(body.block))

    def make() -> tuple[int, Any, dict[str, str]]:
        row = desk.store.inventory.add_block(
            block,
            operator=body.operator,
            certificate=body.certificate,
            tenant=body.tenant,
            valid_from=body.valid_from,
            valid_until=body.valid_until,
        )
        desk.audit("POST /v1/blocks", f"block {block}")
        return 201, describe_block(row), {"Location": f"/v1/blocks/{block}"}

    return answer_once(request, desk, make)


@router.get("/blocks/{block}", responses=answers(BlockOut, 404), response_model=None)
def get_block(block: str, desk: _Reads) -> Response:
    """
    Get a block.
    """
    return answer(describe_block(desk.store.inventory.block(_block(block))))


@router.patch(
    "/blocks/{block}",
    responses=answers(BlockOut, 404, 409, 413, 415, told="Changed"),
    response_model=None,
)
def change_block(block: str, body: BlockChange, desk: _Writes) -> Response:
    """
    Drain a block, return it, or put it into service again; say by what it is assigned.
    """
    found = _block(block)
    inventory = desk.store.inventory
    row = inventory.block(found)
    said: Any = body.model_dump(include=_PAPER, exclude_unset=True)
    # All of it, or nothing.
    with desk.queries.transaction():
        if said:
            row = inventory.certify_block(found, said)
            desk.audit("PATCH /v1/blocks/{block}", f"block {found}: {describe_certificate(said)}")
        if body.state is not None:
            row = inventory.set_block_state(found, body.state)
            desk.audit("PATCH /v1/blocks/{block}", f"block {found}: {body.state.value}")
    return answer(describe_block(row))


@router.get("/pool", responses=answers(PoolOut), response_model=None)
def get_pool(desk: _Reads) -> Response:
    """
    Say how many numbers of each block are bound, rest, are locked and free, and when none will be.
    """
    return answer({"blocks": desk.store.inventory.statistics()})


@router.get("/pool/size", responses=answers(PoolSizeOut), response_model=None)
def get_pool_size(
    desk: _Reads,
    pairs: Annotated[int, Query(ge=1, le=_MOST, description="Pairs bound at once.")],
    ttl: Annotated[
        int,
        Query(ge=60, le=_LONGEST, description="Seconds that a binding lives, on average."),
    ],
    quarantine: Annotated[
        int | None,
        Query(ge=0, le=_LONGEST, description="Seconds that a number rests; else as it is set."),
    ] = None,
    share: Annotated[
        int,
        Query(
            ge=1,
            le=_MOST,
            description="Pairs that share a number at once, coming and going together.",
        ),
    ] = 1,
) -> Response:
    """
    Reckon how many numbers and blocks are needed for so many pairs at once.
    """
    rest = desk.store.inventory.quarantine.number
    asked: dict[str, Any] = {
        "pairs": pairs,
        "ttl": timedelta(seconds=ttl),
        "quarantine": rest if quarantine is None else timedelta(seconds=quarantine),
        "share": share,
    }
    return answer(describe_size(size_pool(**asked), **asked))


def _block(text: str) -> Block:
    try:
        return Block.parse(text)
    except NumberError:
        raise BlockNotFound from None

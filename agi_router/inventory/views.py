"""
Blocks as they are shown, to people and to programs.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from agi_router.inventory.capacity import PoolSize
from agi_router.inventory.model import CertificateChange
from agi_router.inventory.moves import MoveStep
from agi_router.numbers import BLOCK_SIZE, Block

__all__ = [
    "describe_block",
    "describe_certificate",
    "describe_load",
    "describe_move",
    "describe_size",
]

_LATELY: Final = 60


def describe_block(row: dict[str, Any]) -> dict[str, Any]:
    """
    A block, from its row.
    """
    block = Block(value=row["block"])
    return {
        "block": str(block),
        "first": str(block.number(0)),
        "last": str(block.number(BLOCK_SIZE - 1)),
        "operator_digit": block.operator,
        "operator": row["operator"],
        "certificate": row["certificate"],
        "tenant": row["tenant"],
        "state": row["state"],
        "valid_from": row["valid_from"],
        "valid_until": row["valid_until"],
        "bindings": row["bindings"],
        "created_at": row["created_at"],
    }


def describe_certificate(change: CertificateChange) -> str:
    """
    What the certificate of a block says from now on, for the record.
    """
    words = []
    if "certificate" in change:
        words.append(f"certificate {change['certificate'] or 'unknown'}")
    if "valid_from" in change:
        begins = change["valid_from"]
        words.append(f"valid from {'ever' if begins is None else begins.isoformat()}")
    if "valid_until" in change:
        ends = change["valid_until"]
        words.append(f"valid until {'ever' if ends is None else ends.isoformat()}")
    return ", ".join(words)


def describe_load(
    row: dict[str, Any], blocks: Sequence[Block], room: Sequence[dict[str, Any]] | None
) -> dict[str, Any]:
    """
    What a cell has to do, from its row.

    Args:
        row: Of ``list_loads``.
        blocks: What it has.
        room: How full each of them is; :obj:`None`: that is not known.
    """
    ends = [each["exhausted_at"] for each in room or () if each["exhausted_at"] is not None]
    # One that is never exhausted has room when all others have none.
    whole = room is not None and len(ends) == len(room)
    return {
        "cell": row["cell"],
        "name": row["name"],
        "answers": row["answers"],
        "away": row["away"],
        "blocks": len(blocks),
        "moving": [str(Block(value=block)) for block in row["moving"]],
        "numbers_free": None if room is None else sum(each["free"] for each in room),
        "exhausted_at": max(ends, default=None) if whole else None,
        "bindings": row["bindings"],
        "calls_up": row["calls_up"],
        "calls_per_second": (
            None if row["calls_lately"] is None else round(row["calls_lately"] / _LATELY, 1)
        ),
        "bytes": row["size"],
        "followed": row["followed"],
        "bytes_behind": row["behind"],
    }


def describe_size(
    needed: PoolSize, *, pairs: int, ttl: timedelta, quarantine: timedelta, share: int
) -> dict[str, Any]:
    """
    How many numbers are needed, with what that was reckoned from.

    Args:
        needed: See :func:`agi_router.inventory.capacity.size_pool`, as of the others.
        pairs: Ditto.
        ttl: Ditto.
        quarantine: Ditto.
        share: Ditto.
    """
    return {
        "pairs": pairs,
        "share": share,
        "ttl": int(ttl.total_seconds()),
        "quarantine": int(quarantine.total_seconds()),
        "bound": needed.bound,
        "resting": needed.resting,
        "numbers": needed.numbers,
        "blocks": needed.blocks,
    }


def describe_move(block: Block, at: MoveStep) -> dict[str, Any]:
    """
    How far a block has come.
    """
    closed = at.closed_for
    return {
        "block": str(block),
        "from": at.from_name,
        "to": at.to_name,
        "step": at.step,
        "begun_at": at.begun_at,
        "ended_at": at.ended_at,
        "rows": at.moved,
        "closed_seconds": None if closed is None else round(closed.total_seconds(), 3),
        "calls_refused": at.refused,
    }

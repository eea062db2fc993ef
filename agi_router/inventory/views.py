"""
Blocks as they are shown, to people and to programs.
"""

from typing import Any

from agi_router.numbers import BLOCK_SIZE, Block

__all__ = ["describe_block"]


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

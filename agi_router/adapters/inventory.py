"""
The inventory: managed blocks, and the choice of numbers from them.

Numbers exist only by their block: there is no row for a free number.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Any

from agi_router.adapters.database import Statements
from agi_router.errors import BlockExists, BlockInUse, BlockNotFound, NoNumberAvailable
from agi_router.model import BlockState
from agi_router.modes import Parties
from agi_router.numbers import E164, Block, XNumber
from agi_router.seal import KeyRing

__all__ = ["Inventory", "closed"]

_CANDIDATES = 64
_ROUNDS = 8
_BLOCK_SIZE = 10_000


class Inventory:
    """
    The managed blocks of one database.

    Args:
        statements: Where they are kept.
        keys: To see on which numbers a party is.
    """

    def __init__(self, statements: Statements, keys: KeyRing) -> None:
        self._statements = statements
        self._keys = keys

    def add_block(
        self, block: Block, *, operator: str | None, certificate: str | None
    ) -> dict[str, Any]:
        """
        Add a managed block.

        Raises:
            BlockExists: It is there already.
        """
        values = {"block": block.value, "operator": operator, "certificate": certificate}
        row = self._statements.one("add_block", values)
        if row is None:
            raise BlockExists(f"block {block} is already there")
        return row

    def blocks(self) -> list[dict[str, Any]]:
        """
        All blocks, with how many bindings live in each.
        """
        return self._statements.all("list_blocks", {})

    def set_block_state(self, block: Block, state: BlockState) -> dict[str, Any]:
        """
        Drain a block, return it, or put it into service again.

        Raises:
            BlockNotFound: It is not ours.
            BlockInUse: It is to be returned, and bindings live in it.
        """
        values = {"block": block.value, "state": state}
        with self._statements.transaction():
            if (
                state is BlockState.RETURNED
                and self._statements.one("lock_block", values) is not None
            ):
                row = self._statements.one("count_alive", values)
                if row is not None and row["bindings"]:
                    raise BlockInUse(
                        f"{row['bindings']} binding(s) live in block {block}, the last until"
                        f" {row['until'].isoformat(timespec='seconds')}: drain it and wait, or"
                        " unbind them"
                    )
            changed = self._statements.one("set_block_state", values)
        if changed is None:
            raise BlockNotFound(f"block {block} is not ours")
        return changed

    def choose(
        self,
        parties: Parties,
        candidates: Sequence[XNumber],
        x: XNumber | None,
        y: XNumber | None,
    ) -> tuple[XNumber, XNumber] | None:
        """
        The numbers of A and of B, out of *candidates* where they are not given; all of one block.
        """
        if parties.numbers == 1:
            one = x or self._choose_x((*parties.side_a, parties.b), candidates)
            return None if one is None else (one, one)
        a_number = x or self._choose_x(parties.side_a, [c for c in candidates if c != y])
        b_number = y or self._choose_x((parties.b,), [c for c in candidates if c != a_number])
        if b_number is None and x is None:
            # A may have been given the only number that is free for B.
            b_number = self._choose_x((parties.b,), candidates)
            a_number = self._choose_x(parties.side_a, [c for c in candidates if c != b_number])
        return None if a_number is None or b_number is None else (a_number, b_number)

    def _choose_x(self, callers: Sequence[E164], candidates: Sequence[XNumber]) -> XNumber | None:
        # Under every key: while keys are rotated a party may be there by an old tag.
        pairs = [
            (x.value, tag)
            for x in candidates
            for caller in callers
            for tag in self._keys.tags(x, caller)
        ]
        row = self._statements.one(
            "choose_x",
            {
                "x_number": [x_number for x_number, _ in pairs],
                "caller_tag": [tag for _, tag in pairs],
            },
        )
        return None if row is None else XNumber.from_int(row["x_number"])

    def candidates(self, tenant_id: int, given: XNumber | None) -> Iterator[list[XNumber]]:
        """
        Numbers to choose from, always of one block: a few at random, again, then whole blocks.

        Args:
            tenant_id: Whose blocks, beside those shared by all.
            given: A number that is chosen already; then only its block.

        Raises:
            NoNumberAvailable: No block is open.
        """
        blocks = (
            [Block(value=given.block)]
            if given is not None
            else [
                Block(value=row["block"])
                for row in self._statements.all("list_open_blocks", {"tenant_id": tenant_id})
            ]
        )
        if not blocks:
            raise NoNumberAvailable(
                "no block is open for new bindings: add one with 'agi-router block add'"
            )
        pick = random.SystemRandom()
        for _ in range(_ROUNDS):
            block = pick.choice(blocks)
            yield [block.number(serial) for serial in pick.sample(range(_BLOCK_SIZE), _CANDIDATES)]
        for block in blocks:
            yield [block.number(serial) for serial in range(_BLOCK_SIZE)]

    def check_open(self, block: Block, tenant_id: int) -> None:
        """
        Make sure that a tenant may make new bindings in *block*.

        Raises:
            BlockNotFound: It is not ours.
            NoNumberAvailable: It takes no new bindings.
        """
        row = self._statements.one("find_block", {"block": block.value, "tenant_id": tenant_id})
        if row is None:
            raise BlockNotFound(
                f"block {block} is not ours: add it first with 'agi-router block add {block}'"
            )
        if not row["open"]:
            raise closed(block)


def closed(block: Block) -> NoNumberAvailable:
    """
    The error for a block that takes no new bindings.
    """
    return NoNumberAvailable(
        f"block {block} takes no new bindings: it is draining or returned, its certificate is not"
        " valid, or it is kept for another tenant"
    )

"""
Managed blocks, as the database keeps them.

Numbers exist only by their block: there is no row for a free number.
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from agi_router.cursors import Cursor
from agi_router.db.connection import Queries
from agi_router.errors import (
    BlockExists,
    BlockInUse,
    BlockMoves,
    BlockNotFound,
    StoreHeld,
    StoreUnavailable,
)
from agi_router.inventory.capacity import Quarantine, reckon_block
from agi_router.inventory.cells import Cell
from agi_router.inventory.model import BlockState, CertificateChange, NumberState
from agi_router.inventory.moves import BlockMove
from agi_router.inventory.views import describe_load
from agi_router.numbers import Block, XNumber
from agi_router.tenants.scope import OPERATOR, Scope
from agi_router.tenants.store import TenantStore
from agi_router.times import check_order

__all__ = ["InventoryStore"]

# Seconds for which transactions are waited for that a cell would wait for, and for its answer.
_WRITERS: Final = 3.0
_ANSWER: Final = 10.0
_PAUSE: Final = 0.05
_VALIDITY: Final = ("valid_from", "valid_until")


class InventoryStore:
    """
    The managed blocks of one database; for a tenant, those that are kept for it.

    Args:
        queries: Where they are kept.
        quarantine: How long numbers are kept from new bindings.
        scope: Who asks.
    """

    def __init__(self, queries: Queries, quarantine: Quarantine, scope: Scope = OPERATOR) -> None:
        self._queries = queries.given(scope.values)
        self.quarantine = quarantine
        """How long numbers are kept from new bindings."""
        self._scope = scope
        self.tenants = TenantStore(queries, scope)
        """Whom blocks are kept for."""

    def add_block(
        self,
        block: Block,
        *,
        operator: str | None,
        certificate: str | None,
        tenant: str | None = None,
        valid_from: datetime | None = None,
        valid_until: datetime | None = None,
    ) -> dict[str, Any]:
        """
        Add a managed block.

        Args:
            block: The block.
            operator: Name of the carrier.
            certificate: Number of the certificate that assigns it.
            tenant: Whom it is kept for; :obj:`None`: shared by all.
            valid_from: Start of the certificate; :obj:`None`: always.
            valid_until: End of the certificate; :obj:`None`: never.

        Raises:
            BlockExists: It is there already.
            TenantNotFound: There is no such tenant.
            RequestInvalid: The certificate would end before it begins.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("adds blocks")
        check_order(valid_from, valid_until, words=_VALIDITY)
        values = {
            "block": block.value,
            "operator": operator,
            "certificate": certificate,
            "tenant_id": None if tenant is None else self.tenants.find_id(tenant),
            "valid_from": valid_from,
            "valid_until": valid_until,
        }
        if self._queries.row("add_block", values) is None:
            raise BlockExists(f"block {block} is already there")
        return self.block(block)

    def blocks(
        self, *, after: Cursor | None = None, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """
        All blocks by their numbers, or a page of them, with how many bindings live in each.

        Args:
            after: Only those behind the last one of another page: its time, and its number.
            limit: At most so many; :obj:`None`: all.

        Raises:
            CursorInvalid: *after* is of another list.
        """
        return self._queries.rows("list_blocks", _listed(after=after, limit=limit))

    def of_operator(self, digit: int) -> list[Block]:
        """
        The blocks with this operator digit, the one after 700.
        """
        found = (Block(value=row["block"]) for row in self.blocks())
        return [block for block in found if block.operator == str(digit)]

    def block(self, block: Block) -> dict[str, Any]:
        """
        One block, with how many bindings live in it.

        Raises:
            BlockNotFound: It is not ours.
        """
        row = self._queries.row("list_blocks", _listed(block=block))
        if row is None:
            raise BlockNotFound(f"block {block} is not ours")
        return row

    def cells(self) -> list[Cell]:
        """
        The databases behind this one, by their numbers; one alone where all is in this one.

        Raises:
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("sees cells")
        return [
            Cell(
                number=row["cell"],
                name=row["name"],
                away=row["away"],
                blocks=tuple(Block(value=block) for block in row["blocks"]),
            )
            for row in self._queries.rows("list_cells", {})
        ]

    def move(
        self, block: Block, to_name: str, *, begun: Callable[[Queries], None] | None = None
    ) -> BlockMove:
        """
        The way of a block to another cell.

        Args:
            block: The block.
            to_name: The cell.
            begun: Run where it is not refused, see :class:`BlockMove
                <agi_router.inventory.moves.BlockMove>`.

        Raises:
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("moves blocks")
        return BlockMove(self._queries, block, to_name, begun=begun)

    def set_away(self, name: str, *, away: bool) -> bool:
        """
        Have lists and ends of orders go on without a cell, and no number be chosen there.

        Returns:
            Whether there is a cell of this name, beside others.

        Raises:
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("says which cells are away")
        return self._queries.row("set_cell_away", {"name": name, "away": away}) is not None

    def loads(self) -> list[dict[str, Any]]:
        """
        What each cell has to do, how many numbers it has left, and whether it answers.

        Returns:
            One dictionary a cell, by their numbers, see :func:`describe_load
            <agi_router.inventory.views.describe_load>`.

        Raises:
            OperatorOnly: A tenant asks.
        """
        blocks = {cell.number: cell.blocks for cell in self.cells()}
        return [
            describe_load(row, blocks[row["cell"]], self._room(row, blocks[row["cell"]]))
            for row in self._queries.rows("list_loads", {})
        ]

    def _room(
        self, row: dict[str, Any], blocks: Sequence[Block]
    ) -> Sequence[dict[str, Any]] | None:
        if not row["answers"] or row["away"]:
            return None
        try:
            return self.statistics(blocks=blocks) if blocks else []
        except StoreUnavailable:
            # It has gone meanwhile, or a block of it is on its way.
            return None

    def look_at_cells(self, *, beat: bool) -> list[dict[str, Any]]:
        """
        Which of the databases behind this one take what is changed here; none: there are none.

        Args:
            beat: Whether all of them get a sign of life. Only who gives one each second knows for
                how long one has taken nothing.

        Returns:
            A dictionary each, by name: ``name``, ``away``, ``follows`` (:obj:`None`: it has no
            slot here), ``unsent`` (bytes of WAL), ``behind`` (seconds).

        Raises:
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("sees cells")
        return self._queries.rows("look_at_cells", {"beat": beat})

    def set_block_state(self, block: Block, state: BlockState) -> dict[str, Any]:
        """
        Drain a block, return it, or put it into service again; tenants hear of it.

        Raises:
            BlockNotFound: It is not ours.
            BlockInUse: It is to be returned, and bindings live in it.
            BlockMoves: It is on its way to another cell.
            StoreHeld: A transaction in its cell would keep that from hearing of it, and of all
                that is changed behind.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("puts blocks into service, and takes them out")
        values = {"block": block.value, "state": state}
        self._wait_for_writers(block)
        with self._queries.transaction():
            # Who moves it takes the row for each step.
            self._queries.execute("lock_block", values)
            if self._queries.row("find_moving", values) is not None:
                raise BlockMoves(
                    f"block {block} is on its way to another cell: wait for"
                    " 'agi-router cell move', or run it again where it was ended"
                )
            if state is BlockState.RETURNED:
                row = self._queries.row("count_alive", values)
                if row is not None and row["bindings"]:
                    raise BlockInUse(
                        f"{row['bindings']} binding(s) live in block {block}, the last until"
                        f" {row['until'].isoformat(timespec='seconds')}: drain it and wait, or"
                        " unbind them"
                    )
            if self._queries.row("set_block_state", values) is not None:
                self._queries.execute("tell_block", values)
        return self.block(block)

    def certify_block(self, block: Block, change: CertificateChange) -> dict[str, Any]:
        """
        Say by what a block is assigned, as after a renewal; tenants hear of it.

        Args:
            block: The block.
            change: What its certificate says now; what is left out stays.

        Raises:
            BlockNotFound: It is not ours.
            RequestInvalid: The certificate would end before it begins.
            StoreHeld: As of :meth:`set_block_state`.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("says by what blocks are assigned")
        self._wait_for_writers(block)
        with self._queries.transaction():
            self._queries.execute("lock_block", {"block": block.value})
            row = self.block(block)
            values: dict[str, Any] = {
                "block": block.value,
                "certificate": row["certificate"],
                "valid_from": row["valid_from"],
                "valid_until": row["valid_until"],
                **change,
            }
            check_order(*(values[word] for word in _VALIDITY), words=_VALIDITY)
            if self._queries.row("certify_block", values) is not None:
                self._queries.execute("tell_block", values)
        return self.block(block)

    def _wait_for_writers(self, block: Block) -> None:
        """
        See that nobody writes for long where a block is, if that is another database.
        """
        deadline = time.monotonic() + _WRITERS
        left: set[str] | None = None
        while True:
            with self._queries.transaction_until(_ANSWER):
                rows = self._queries.rows("list_writers", {"block": block.value})
            found = {row["id"] for row in rows}
            left = found if left is None else left & found
            if not left:
                return
            if time.monotonic() >= deadline:
                raise StoreHeld(
                    f"a transaction writes for long in the cell of block {block}, an import for"
                    " example: the cell would hear of nothing that is changed here before its"
                    " end; do it again then"
                )
            time.sleep(_PAUSE)

    def statistics(
        self,
        *,
        tenant: str | None = None,
        digit: int | None = None,
        blocks: Sequence[Block] = (),
    ) -> list[dict[str, Any]]:
        """
        How many numbers of each block are bound, rest, are locked and free, and when none will be.

        Args:
            tenant: Only those that are kept for this one, and shared ones.
            digit: Only those with this operator digit.
            blocks: Only these; none: all.

        Returns:
            One dictionary a block, returned ones left out: ``block``, ``state``, ``tenant``,
            ``closed`` (what keeps new bindings out; :obj:`None`: nothing), ``bound``, ``resting``,
            ``locked`` (of those that are neither), ``free``, ``growth`` (numbers held more than a
            day ago), and ``exhausted_at``, :obj:`None` for never.
        """
        asked = {"tenant": tenant, "digit": digit, "blocks": [block.value for block in blocks]}
        rows = self._queries.rows("pool_statistics", {**asked, **self._spans()})
        return list(map(reckon_block, rows))

    def number_state(self, x_number: XNumber) -> NumberState:
        """
        What one number is doing; of one that is bound and locked, that it is locked.

        Raises:
            BlockNotFound: It is of no block of ours, or of another tenant's.
        """
        values = {"block": x_number.block.value, "x_number": x_number.value, **self._spans()}
        row = self._queries.row("find_number_state", values)
        if row is None:
            raise BlockNotFound(f"block {x_number.block} is not ours")
        if row["locked"]:
            return NumberState.LOCKED
        if row["bound"]:
            return NumberState.BOUND
        return NumberState.FREE if row["rests_until"] is None else NumberState.RESTING

    def unrested(self, block: Block) -> list[tuple[XNumber, bool]]:
        """
        The numbers of a block that do not rest, and whether anybody is bound on them.
        """
        rows = self._queries.rows("list_unrested", {"block": block.value, **self._spans()})
        return [(XNumber.from_int(row["x_number"]), row["bound"]) for row in rows]

    def _spans(self) -> dict[str, timedelta]:
        return {
            "number_quarantine": self.quarantine.number,
            "party_quarantine": self.quarantine.party,
        }


def _listed(
    *, block: Block | None = None, after: Cursor | None = None, limit: int | None = None
) -> dict[str, Any]:
    return {
        "block": None if block is None else block.value,
        "after": None if after is None else after.number,
        "limit": limit,
    }

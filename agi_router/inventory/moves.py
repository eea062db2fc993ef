"""
Moving a block from one cell to another, step by step.

Each step is a statement of the global database, which writes down there what comes next: whoever
is killed between two steps, or in one, is followed by the next who moves this block.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from agi_router.db.connection import Queries
from agi_router.errors import BlockInUse, BlockNotFound, StoreError, StoreHeld, StoreUnavailable
from agi_router.numbers import Block

__all__ = ["MOST_BINDINGS", "BlockMove", "MoveStep"]

MOST_BINDINGS: Final = 10_000
"""
How many bindings may live on a block that is moved, if nobody says otherwise.

All of them go while no call is taken: so many in less than five seconds on busy machines, too.
"""

_PAUSE: Final = 0.02
# Seconds for which a cell is waited for that does not hear of what was written.
_PATIENCE: Final = 20.0
# Seconds for which a step that fails is tried again.
_RETRIES: Final = 1.0
# Seconds after which a step is given up, whatever a cell does or does not. One whose processes run
# gives up its part before.
_STEP: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveStep:
    """
    How far a block has come.

    Attributes:
        step: What is to be done next; ``done``, or ``refused``: it cannot be moved.
        waits: What that waits for, or why it is refused; :obj:`None`: nothing.
        from_name: The cell that had it.
        to_name: The cell that gets it; :obj:`None`: there is none of that name.
        begun_at: When it began.
        closed_at: Since when no call was taken; :obj:`None`: calls are.
        opened_at: Since when calls are taken in the new cell; :obj:`None`: they are not.
        ended_at: When nothing was left to do.
        moved: How many rows have come.
        refused: How many calls were refused; :obj:`None`: they are not counted yet.
    """

    step: str
    waits: str | None
    from_name: str
    to_name: str | None
    begun_at: datetime | None
    closed_at: datetime | None
    opened_at: datetime | None
    ended_at: datetime | None
    moved: int | None
    refused: int | None

    @property
    def closed_for(self) -> timedelta | None:
        """
        How long no call was taken; :obj:`None` while that is not over.
        """
        if self.closed_at is None or self.opened_at is None:
            return None
        return self.opened_at - self.closed_at


class BlockMove:
    """
    The way of one block to another cell.

    Args:
        queries: Of the global database; no transaction is open.
        block: The block.
        to_name: The cell that is to have it.
        begun: Run once, in the transaction in which the first is done of what is not refused.
        step_limit: Seconds after which a step is given up.
    """

    def __init__(
        self,
        queries: Queries,
        block: Block,
        to_name: str,
        *,
        begun: Callable[[Queries], None] | None = None,
        step_limit: float = _STEP,
    ) -> None:
        self._queries = queries
        self._block = block
        self._to_name = to_name
        self._begun = begun
        self._step_limit = step_limit

    def step(self) -> MoveStep:
        """
        Begin, or take the next step, or see that it has to wait.

        Raises:
            BlockNotFound: It is not ours.
            StoreError: A cell does not answer, or fails.
        """
        values = {"block": self._block.value, "to": self._to_name}
        with self._queries.renewed() as queries, queries.transaction_until(self._step_limit):
            row = queries.row("step_move", values)
            if row is not None and row["step"] != "refused":
                self._begin(queries)
        if row is None:
            raise BlockNotFound(f"block {self._block} is not ours")
        if row["step"] != "refused":
            self._begun = None
        return MoveStep(**row)

    def undo(self) -> bool:
        """
        Leave it where it was, and delete what has come to the other cell.

        Where that one does not answer, the next undo deletes it, or the next move there.

        Returns:
            Whether that is so; else it is in the new cell already, or does not move.

        Raises:
            StoreError: A cell does not answer, or fails.
        """
        return self._leave() is True

    def _leave(self) -> bool | None:
        """
        As :meth:`undo`; :obj:`None`: it does not move, and nothing is left of a move.
        """
        with self._queries.renewed() as queries:
            undone = self._undo(queries)
            if undone:
                self._begun = None
                with suppress(StoreError):
                    self._undo(queries)
        return undone

    def _undo(self, queries: Queries) -> bool | None:
        """
        Leave it where it was; of one that does not move, delete what a move has left.
        """
        with queries.transaction_until(self._step_limit):
            row = queries.row("undo_move", {"block": self._block.value})
            if row is not None and row["undone"]:
                self._begin(queries)
        return None if row is None else bool(row["undone"])

    def _begin(self, queries: Queries) -> None:
        if self._begun is not None:
            self._begun(queries)

    def run(
        self, *, wait: float, opened: Callable[[], None], most: int = MOST_BINDINGS
    ) -> MoveStep:
        """
        Go on to the end.

        Args:
            wait: Seconds to wait for calls that were up when it went.
            opened: Run once the new cell takes calls, before the history follows.
            most: How many bindings may live on the block where it begins.

        Returns:
            How far it has come: ``done``, ``refused``, or ``follow`` where calls are up still.

        Raises:
            BlockNotFound: It is not ours.
            BlockInUse: More bindings live on it, and nothing was begun.
            StoreHeld: Somebody writes for long in the old cell; it is where it was.
            StoreUnavailable: A cell does not answer, or does not hear; it is where it was, or the
                error says that the move has to be run again.
        """
        told = False
        waiting_since = time.monotonic()
        while True:
            at = self._try_step()
            if at.step == "prepare":
                self._check_size(most)
            if at.opened_at is not None and not told:
                told = True
                opened()
            if at.step in {"done", "refused"}:
                return at
            waited = time.monotonic() - waiting_since
            if at.waits is None:
                waiting_since = time.monotonic()
            elif at.waits == "calls" and waited >= wait:
                return at
            else:
                self._check_wait(at, waited)
                time.sleep(_PAUSE)

    def _check_size(self, most: int) -> None:
        """
        Leave a block where it is, of which nothing has gone, if too much would have to at once.
        """
        with self._queries.renewed() as queries:
            row = queries.row("count_alive", {"block": self._block.value})
        if row is not None and row["bindings"] > most:
            self.undo()
            raise BlockInUse(
                f"{row['bindings']} bindings live in block {self._block}: calls to it might be"
                f" refused for more than five seconds. Drain it, and move it when no more than"
                f" {most} live; or say how many may (--most)"
            )

    def _try_step(self) -> MoveStep:
        """
        Take a step, again for a moment where it fails; then leave the block where it was.
        """
        failing_since = time.monotonic()
        while True:
            try:
                return self.step()
            except BlockNotFound:
                raise
            except StoreError as error:
                if time.monotonic() - failing_since >= _RETRIES:
                    self._give_up(error)
                    raise
                time.sleep(_PAUSE)

    def _check_wait(self, at: MoveStep, waited: float) -> None:
        match at.waits:
            case "reopened":
                self._give_up(None)
                raise StoreHeld(
                    f"a transaction writes for long in cell {at.from_name}, an import for example:"
                    f" block {self._block} stays there; move it when that has ended"
                )
            case "late":
                self._give_up(None)
                raise StoreUnavailable(
                    f"cell {at.from_name} hears late of what is written here: look at its"
                    f" subscription; block {self._block} stays there"
                )
            case "rows":
                self._give_up(None)
                raise StoreHeld(
                    f"cell {at.to_name} has rows of block {self._block}, which no move that was"
                    " undone has left there: see which cell has it; docs/restore.md says how"
                )
            case "lists" if waited >= _PATIENCE and at.opened_at is not None:
                raise StoreHeld(
                    f"a list is read for long: block {self._block} takes calls in cell"
                    f" {at.to_name}; move it again, to the same cell, when that has ended"
                )
            case "lists" if waited >= _PATIENCE:
                self._give_up(None)
                raise StoreHeld(
                    "somebody changes for long what is listed from all cells: block"
                    f" {self._block} is where it was"
                )
            case "difference":
                self._give_up(None)
                raise StoreError(
                    f"rows of block {self._block} do not come to cell {at.to_name} as they went:"
                    " look at both databases' versions of agi_router; it is where it was"
                )
            case "replication" if waited >= _PATIENCE:
                self._give_up(None)
                raise StoreUnavailable(
                    f"cell {at.from_name} or {at.to_name} does not hear of what is written here:"
                    f" look at their subscriptions; block {self._block} is where it was"
                )

    def _give_up(self, error: StoreError | None) -> None:
        """
        Leave the block where it was, or say that it has to go on.
        """
        try:
            undone = self._leave()
        except StoreError:
            undone = False
        # What does not move yet is where it was.
        if undone is False:
            raise StoreUnavailable(
                f"block {self._block} is on its way, and may take no calls: move it again, to the"
                f" same cell, as soon as all cells answer{'' if error is None else f' ({error})'}"
            ) from error

"""
Notices: tenants hear in time that their numbers run out, or the certificate of a block.

Each is told once for as long as it is so. A tenant's numbers are looked at once an hour, and only
where it is told of such. Of several databases the global one tells, which alone knows all blocks.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, Final

from agi_router.db.connection import Queries
from agi_router.errors import StoreError
from agi_router.inventory.capacity import Quarantine, Stock, StockLimits, reckon_block

__all__ = ["Notices"]

log = logging.getLogger(__name__)

_EVERY: Final = timedelta(hours=1)
# Of the blocks that are named, whoever they are kept for.
_ANY: Final = {"scope": None, "tenant": None, "digit": None}


class Notices:
    """
    What tenants are told of their numbers.

    Args:
        queries: Where numbers are kept.
        quarantine: How long numbers are kept from new bindings.
        limits: When numbers are few, and when a certificate ends soon.
    """

    def __init__(self, queries: Queries, quarantine: Quarantine, limits: StockLimits) -> None:
        self._queries = queries
        self._counted = {**_ANY, "number_quarantine": quarantine.number}
        self._limits = limits

    def steps(self) -> Iterator[int]:
        """
        Tell what is to be told, a step each time one is asked for; yields how many were told.

        Raises:
            StoreError: The database failed, or did not answer in time; what was told is told.
        """
        if self._one("is_cell")["is_cell"]:
            return
        values = {"every": _EVERY, "ahead": self._limits.certificate}
        self._queries.execute("forget_renewed", values)
        for claim, look in (("claim_expiring", self._expire), ("claim_stock", self._look)):
            while (due := self._queries.row(claim, values)) is not None:
                try:
                    yield from look(due)
                except StoreError as error:
                    # Blocks of a cell that is away: the other tenants hear of theirs.
                    log.warning("stock.uncounted", extra={"error": str(error)})

    def _expire(self, due: dict[str, Any]) -> Iterator[int]:
        yield self._one("tell_expiring", **due)["told"]

    def _look(self, due: dict[str, Any]) -> Iterator[int]:
        """
        Count the blocks that are kept for a tenant, and tell it of all together and of each pool.
        """
        found: dict[int, dict[str, Any]] = {}
        for block in due["blocks"]:
            row = self._queries.row("pool_statistics", {**self._counted, "blocks": [block]})
            # It may be given back meanwhile.
            if row is not None:
                found[block] = row
            yield 0
        for pool, blocks in ((None, found), *due["pools"].items()):
            # Of a pool that has shared blocks alone nothing is told: those are anybody's.
            rows = [found[block] for block in blocks if block in found]
            if rows:
                yield self._tell(due, pool, rows)

    def _tell(self, due: dict[str, Any], pool: str | None, rows: Sequence[dict[str, Any]]) -> int:
        now = rows[-1]["now"]
        stock = Stock.of(map(reckon_block, rows), now=now)
        ends = stock.exhausted_at
        data = {
            "pool": pool,
            "numbers": stock.numbers,
            "free": stock.free,
            "exhausted_at": None if ends is None else ends.isoformat(timespec="seconds"),
        }
        low = stock.is_low(self._limits, now=now)
        values = {"pool": pool or "", "low": low, "data": json.dumps(data)}
        return int(self._one("tell_low", tenant_id=due["tenant_id"], **values)["told"])

    def _one(self, name: str, **values: Any) -> dict[str, Any]:
        row = self._queries.row(name, values)
        assert row is not None  # noqa: S101 - an aggregate has one row
        return row

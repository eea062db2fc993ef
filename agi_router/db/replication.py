"""
Who follows the database, whom its commits wait for, and what could become of them.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from agi_router.db.connection import Connection, Queries
from agi_router.db.diagnosis import NO_STANDBY

__all__ = ["Replication", "hosts_of", "look_at_replication"]

# How far behind a standby may be; what it has to replay then, a promotion waits for.
_LAG_WARNED: Final = timedelta(seconds=10)
_ASKED_FOR: Final = re.compile(r"\s*(?:(?:ANY|FIRST)\s+)?(\d+)\s*\(", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Replication:
    """
    What a primary says of its standbys.
    """

    names: str
    """``synchronous_standby_names``."""
    followers: int
    """How many follow it, by streams of either kind."""
    waited_for: int | None
    """How many of them a commit may wait for; :obj:`None`: that is not told to this role."""
    lag: timedelta | None
    """How far the last one is behind; :obj:`None`: no one is, or it is not told."""
    idle_slots: tuple[str, ...]
    """Slots that nobody follows."""
    lost_slots: tuple[str, ...]
    """Slots of which WAL is gone already."""

    @property
    def exists(self) -> bool:
        """
        Whether there is anything of the kind.
        """
        return bool(self.names or self.followers or self.idle_slots or self.lost_slots)

    @property
    def needed(self) -> int:
        """
        How many standbys a commit waits for.
        """
        if not self.names:
            return 0
        found = _ASKED_FOR.match(self.names)
        return 1 if found is None else int(found[1])

    @property
    def hangs(self) -> str | None:
        """
        Why no commit comes to its end, if none does.
        """
        return NO_STANDBY if self._there < self.needed else None

    def warnings(self) -> Iterator[str]:
        """
        What is to be mended before it costs calls or data.
        """
        if self.needed and self._there == self.needed:
            yield (
                f"commits wait for {self.needed} of {self._there} standbys: when one stops, all"
                " calls are refused; add one more (synchronous_standby_names = 'ANY 1 (a, b)')"
            )
        if self.lag is not None and self.lag > _LAG_WARNED:
            yield (
                f"a standby is {self.lag.total_seconds():.0f} s behind: look at its disk and line"
            )
        for slot in self.idle_slots:
            yield (
                f"nobody follows the slot {slot!r}, which keeps WAL until the disk is full: start"
                f" who follows it, or drop it (pg_drop_replication_slot), and bound them all by"
                " max_slot_wal_keep_size"
            )
        for slot in self.lost_slots:
            yield f"WAL of the slot {slot!r} is gone: make who follows it anew"

    def __str__(self) -> str:
        """
        What there is, in a line.
        """
        if self.names:
            waits = f"commits wait for {self.needed} of {self.names!r}"
        else:
            waits = "no commit waits for them, so what was told last may be lost with this one"
        unseen = "; how far behind is told to members of pg_read_all_stats"
        lag = f"; {(self.lag or timedelta()).total_seconds():.1f} s behind at most"
        return f"{self.followers} follow; {waits}{unseen if self.waited_for is None else lag}"

    @property
    def _there(self) -> int:
        return self.followers if self.waited_for is None else self.waited_for


def look_at_replication(connection: Connection) -> Replication:
    """
    What the primary behind *connection* says of its standbys.

    Raises:
        StoreError: It cannot be asked.
    """
    row = Queries(connection).row("look_at_replication", {}) or {}
    row["idle_slots"], row["lost_slots"] = tuple(row["idle_slots"]), tuple(row["lost_slots"])
    return Replication(**row)


def hosts_of(dsn: str | None) -> dict[str, str]:
    """
    The DSN of each host that *dsn* and the ``PG…`` variables name, by what to call the host.
    """
    given = conninfo_to_dict(dsn or "")

    def named(key: str, variable: str) -> list[str]:
        return str(given.get(key) or os.environ.get(variable) or "").split(",")

    names, addresses = named("host", "PGHOST"), named("hostaddr", "PGHOSTADDR")
    ports = named("port", "PGPORT")
    count = max(len(names), len(addresses))
    found = {}
    for number in range(count):
        # One port is that of all; libpq refuses any other number of them.
        parts = {
            key: values[number] if len(values) > 1 else values[0]
            for key, values in (("host", names), ("hostaddr", addresses), ("port", ports))
        }
        what = f"{parts['host'] or parts['hostaddr']}:{parts['port'] or '5432'}"
        found[what] = make_conninfo(dsn or "", **{k: v for k, v in parts.items() if v})
    return found

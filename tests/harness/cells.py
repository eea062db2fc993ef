"""Several databases for one: a global one and two cells, as docs/operate-many.md has them."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from agi_router.db.connection import Connection
from harness.database import ROLE, Clock, Server, database_of, one, until

OVERLAY = Path(__file__).parent.parent.parent / "sql/cells"
CELLS = "cells"
NAMES = ("north", "south")
_VERSION = "15"
"""Of Debian 12, which has PL/Proxy for it."""


class Replicating(Server):
    """
    A server whose databases follow others table by table.

    Args:
        version: See :class:`Server`.
        like: The one that it begins as a copy of, which spares a migration; else it can be
            followed itself.
    """

    def __init__(self, version: str, like: Server | None = None) -> None:
        super().__init__(version)
        self._like = like

    def __enter__(self) -> Self:
        if self._like is None:
            return super().__enter__()
        try:
            self._like.copy_to(self, "--no-sync")
            # As a cell is set up, which nobody follows so.
            self.configure("wal_level = replica")
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def _initialise(self) -> None:
        super()._initialise()
        self.configure(
            "wal_level = logical",
            "max_wal_senders = 40",
            "max_replication_slots = 40",
            "max_logical_replication_workers = 40",
            "max_worker_processes = 60",
            "wal_retrieve_retry_interval = 100ms",
        )


class Cells:
    """
    Three servers that stand for one: each global database has two cells of its own.

    What a test sees at once on one database it is to see here: a commit in the global database
    waits until both cells have what it wrote.
    """

    def __init__(self) -> None:
        self.version = _VERSION
        self.front = Replicating(_VERSION)
        self.cells = tuple(Replicating(_VERSION, self.front) for _ in NAMES)
        self._stack = ExitStack()
        self._made: dict[str, list[str]] = {}

    def __enter__(self) -> Self:
        for server in (self.front, *self.cells):
            self._stack.enter_context(server)
        with self.front.admin("masked") as admin:
            admin.execute((OVERLAY / "global.sql").read_text("utf-8").encode())
            for number, name in enumerate(NAMES):
                self._name_cell(admin, number, name, self.cells[number].dsn("masked"))
            admin.execute("SELECT agi_cells.compose()")
        for number, server in enumerate(self.cells):
            with server.admin("masked") as admin:
                admin.execute((OVERLAY / "cell.sql").read_text("utf-8").encode())
                admin.execute("CREATE ROLE agi_mover LOGIN")
                admin.execute("SELECT agi_cells.become(%s)", (number,))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def dsn(self, database: str, *, user: str = ROLE) -> str:
        return self.front.dsn(database, user=user)

    connect = staticmethod(Server.connect)

    def admin(self, database: str = "postgres") -> Connection:
        """Connect to a global database as superuser."""
        return self.front.admin(database)

    def dsns(self, dsn: str) -> list[str]:
        """The databases of the cells behind a global one."""
        return self._made[database_of(dsn)]

    def cell(self, dsn: str) -> str:
        """The database that has the rows of a global database's first block."""
        return self.dsns(dsn)[0]

    def cell_admin(self, dsn: str) -> Connection:
        """Connect to that one as superuser."""
        return self.connect(make_conninfo(self.cell(dsn), user="postgres"))

    def clone(self, *, migrated: bool = True) -> str:
        """Make a global database and its cells, and return the DSN of the global one."""
        dsn = self.front.clone(migrated=migrated)
        if not migrated:
            return dsn
        name = database_of(dsn)
        made = self._made[name] = [server.clone() for server in self.cells]
        with self.admin(name) as admin:
            for number, cell in enumerate(made):
                admin.execute(
                    "UPDATE agi_cells.cell SET dbname = %s, slot = %s WHERE id = %s",
                    (database_of(cell), self.subscription(cell), number),
                )
            # Tests set clocks back behind the moment at which the template was composed.
            admin.execute("UPDATE agi_cells.fetched SET since = '-infinity'")
            # The rest of agi_cells.compose() was cloned.
            admin.execute("SELECT agi_cells.connect_cells()")
            admin.execute("SELECT agi_cells.share_out()")
            for number, cell in enumerate(made):
                self._subscribe(number, cell, name)
            admin.execute(f"ALTER DATABASE {name} SET synchronous_commit = remote_apply")
            self._wait_for(admin, list(map(self.subscription, made)))
        return dsn

    def clock(self, dsn: str) -> Clock:
        """The clock of a global database and of its cells."""
        return CellsClock(self, dsn)

    def hurry(self) -> None:
        """Have commits in global databases wait for no cell any more, as they are without us."""
        with self.admin() as admin:
            self._wait_for(admin, [])

    def drop(self, dsn: str) -> None:
        self.hurry()
        for number, cell in enumerate(self._made.pop(database_of(dsn), [])):
            server = self.cells[number]
            with server.admin(database_of(cell)) as admin:
                admin.execute(f"DROP SUBSCRIPTION {self.subscription(cell)}")
            server.drop(cell)
        self.front.drop(dsn)

    @staticmethod
    def _wait_for(admin: Connection, names: list[str]) -> None:
        who = f"FIRST {len(names)} ({', '.join(names)})" if names else ""
        admin.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{who}'")
        admin.execute("SELECT pg_reload_conf()")
        following = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        until(lambda: one(admin, following) == len(names))

    def _subscribe(self, number: int, cell: str, name: str) -> None:
        followed = self.front.dsn(name, user="postgres")
        with self.cells[number].admin(database_of(cell)) as admin:
            admin.execute(
                f"CREATE SUBSCRIPTION {self.subscription(cell)} CONNECTION '{followed}'"
                # Else what waits for it waits until the cell's WAL writer comes by, up to 0.2 s.
                f" PUBLICATION agi_cell_{number}"
                " WITH (copy_data = false, synchronous_commit = local)"
            )

    def subscription(self, cell: str) -> str:
        """What the subscription of a cell's database is called, and its slot."""
        # A slot is named by it, and slots of one server are of all its databases.
        return f"cell_{conninfo_to_dict(cell)['port']}_{database_of(cell)}"

    def _name_cell(self, admin: Connection, number: int, name: str, dsn: str) -> None:
        place = conninfo_to_dict(dsn)
        admin.execute(
            "INSERT INTO agi_cells.cell (id, name, host, port, dbname, login)"
            " VALUES (%(id)s, %(name)s, %(host)s, %(port)s, %(dbname)s, %(user)s)",
            {**place, "id": number, "name": name},
        )


class CellsClock(Clock):
    """
    The clock of a global database, and that of its cells: they are set together.

    Sessions in a cell are those of the global database: its time is a row there.
    """

    def __init__(self, cells: Cells, dsn: str) -> None:
        super().__init__(cells.front, dsn)
        for server, cell in zip(cells.cells, cells.dsns(dsn), strict=True):
            with server.admin(database_of(cell)) as admin:
                admin.execute(_CLOCK_OF_A_CELL)
                self.shadow(admin, "(SELECT at FROM clock.time)")
        self._admin.execute(_CLOCK_BEFORE_CELLS)

    def set(self, when: datetime) -> None:
        super().set(when)
        self._admin.execute("SELECT clock.tell(%s)", (when,))


_CLOCK_OF_A_CELL = """
CREATE SCHEMA clock;
CREATE TABLE clock.time (at timestamptz);
INSERT INTO clock.time VALUES (NULL);
CREATE FUNCTION clock.tell(_at timestamptz) RETURNS SETOF boolean
LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE clock.time SET at = _at RETURNING true
$$;
CREATE FUNCTION clock.set(_at timestamptz) RETURNS void LANGUAGE sql AS $$
    SELECT clock.tell(_at);
$$;
GRANT SELECT ON clock.time TO PUBLIC;
"""
_CLOCK_BEFORE_CELLS = """
CREATE FUNCTION clock.tell(_at timestamptz) RETURNS SETOF boolean LANGUAGE plproxy AS $$
    CLUSTER 'agi_cells'; RUN ON ALL;
$$;
CREATE OR REPLACE FUNCTION clock.set(_at timestamptz) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('test.now', _at::text, false);
    SELECT clock.tell(_at);
$$;
DO $$
DECLARE
    o record;
BEGIN
    FOR o IN SELECT s.srvname, p.option_name AS name, p.option_value AS value
               FROM pg_foreign_server s
              CROSS JOIN pg_options_to_table(s.srvoptions) p
              WHERE p.option_value LIKE '%search_path=pg_catalog%' LOOP
        EXECUTE format('ALTER SERVER %I OPTIONS (SET %I %L)', o.srvname, o.name,
                       replace(o.value, 'search_path=pg_catalog', 'search_path=clock,pg_catalog'));
    END LOOP;
END
$$;
"""

"""The database, and its bindings, are those of the tests of clients."""

from clients.conftest import connection, dsn, store

__all__ = ["connection", "dsn", "store"]

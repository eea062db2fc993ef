"""
What most commands need before they can work: settings, keys, a database that fits.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from agi_router.adapters.bindings import BindingStore
from agi_router.adapters.database import Connection, connect
from agi_router.adapters.keys import check_keys
from agi_router.adapters.migrate import check_schema
from agi_router.settings import Settings

__all__ = ["open_database", "open_store", "read_settings"]


def read_settings() -> Settings:
    """
    The settings of the environment.

    Raises:
        SettingsError: A variable is unknown or malformed.
    """
    return Settings.from_env(os.environ)


@contextmanager
def open_database(settings: Settings) -> Iterator[Connection]:
    """
    A connection to the database, whatever its schema.

    Raises:
        StoreUnavailable: It cannot be reached.
    """
    with connect(settings.dsn) as connection:
        yield connection


@contextmanager
def open_store(settings: Settings) -> Iterator[BindingStore]:
    """
    The store, with schema and keys checked.

    Raises:
        StoreUnavailable: The database cannot be reached.
        SchemaMismatch: Its schema is older or newer than the program.
        KeyMismatch: It was sealed with other keys.
    """
    keys = settings.load_keys()
    with open_database(settings) as connection:
        check_schema(connection)
        ring = check_keys(connection, keys)
        yield BindingStore(connection, ring, settings.rests, open_modes=settings.open_modes)

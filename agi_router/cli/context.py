"""
What most commands need before they can work: settings, keys, a database that fits.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import IDLE, Connection, Statements, connect
from agi_router.db.migrate import check_schema
from agi_router.db.rights import check_rights
from agi_router.inventory.store import InventoryStore
from agi_router.keys.registry import check_keys
from agi_router.settings import Settings

__all__ = [
    "open_database",
    "open_inventory",
    "open_serving_database",
    "open_store",
    "read_settings",
]


def read_settings() -> Settings:
    """
    The settings of the environment.

    Raises:
        SettingsError: A variable is unknown or malformed.
    """
    return Settings.from_env(os.environ)


@contextmanager
def open_database(settings: Settings, *, idle: int = IDLE) -> Iterator[Connection]:
    """
    A connection to the database, whatever its schema.

    Args:
        settings: They say where it is.
        idle: See :func:`agi_router.db.connection.connect`.

    Raises:
        StoreUnavailable: It cannot be reached.
    """
    with connect(settings.dsn, idle=idle) as connection:
        yield connection


@contextmanager
def open_serving_database(settings: Settings, *, idle: int = IDLE) -> Iterator[Connection]:
    """
    A connection to the database, with schema and rights checked; no key is read.

    Args:
        settings: They say where it is.
        idle: See :func:`agi_router.db.connection.connect`.

    Raises:
        StoreUnavailable: The database cannot be reached.
        SchemaMismatch: Its schema is older or newer than the program.
        StoreError: The role lacks a right.
    """
    with open_database(settings, idle=idle) as connection:
        check_schema(connection)
        check_rights(connection)
        yield connection


@contextmanager
def open_inventory(settings: Settings) -> Iterator[InventoryStore]:
    """
    Blocks and tenants, without the keys: nothing about them is sealed.

    Raises:
        StoreUnavailable: The database cannot be reached.
        SchemaMismatch: Its schema is older or newer than the program.
        StoreError: The role lacks a right.
    """
    with open_serving_database(settings) as connection:
        yield InventoryStore(Statements(connection), settings.rests)


@contextmanager
def open_store(settings: Settings, *, idle: int = IDLE) -> Iterator[BindingStore]:
    """
    The store, with schema and keys checked.

    Args:
        settings: They say where it is.
        idle: See :func:`agi_router.db.connection.connect`.

    Raises:
        StoreUnavailable: The database cannot be reached.
        SchemaMismatch: Its schema is older or newer than the program.
        StoreError: The role lacks a right.
        KeyMismatch: It was sealed with other keys.
    """
    keys = settings.load_keys()
    with open_serving_database(settings, idle=idle) as connection:
        ring = check_keys(connection, keys)
        yield BindingStore(connection, ring, settings.rests, open_modes=settings.open_modes)

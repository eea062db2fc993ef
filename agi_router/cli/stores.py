"""
The stores that commands work with.

The router needs none of them, and keeps them out of its memory.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from agi_router.bindings.store import BindingStore
from agi_router.calls.tenant_checks import TenantCheckStore
from agi_router.cli.context import open_serving_database
from agi_router.db.connection import IDLE, Connection, Queries
from agi_router.events.store import EventStore
from agi_router.inventory.store import InventoryStore
from agi_router.keys.registry import check_keys
from agi_router.settings import Settings
from agi_router.tenants.scope import OPERATOR, Scope
from agi_router.tenants.store import TenantStore

__all__ = ["find_scope", "open_checks", "open_events", "open_inventory", "open_store"]


@contextmanager
def open_inventory(
    settings: Settings, *, tenant: str | None = None, act: str | None = None
) -> Iterator[InventoryStore]:
    """
    Blocks and tenants, without the keys: nothing about them is sealed.

    Args:
        settings: They say where it is.
        tenant: Whose things alone are looked at.
        act: See :func:`agi_router.cli.context.open_serving_database`.

    Raises:
        TenantNotFound: There is no such tenant.
        StoreUnavailable: The database cannot be reached.
        SchemaMismatch: Its schema is older or newer than the program.
        StoreError: The role lacks a right.
    """
    with open_serving_database(settings, act=act) as connection:
        queries = Queries(connection)
        yield InventoryStore(queries, settings.quarantine, find_scope(connection, tenant))


@contextmanager
def open_store(
    settings: Settings,
    *,
    idle: int = IDLE,
    tenant: str | None = None,
    act: str | None = None,
) -> Iterator[BindingStore]:
    """
    The store, with schema and keys checked.

    Args:
        settings: They say where it is.
        idle: See :func:`agi_router.db.connection.connect`.
        tenant: Whose things alone are looked at and changed.
        act: See :func:`agi_router.cli.context.open_serving_database`.

    Raises:
        TenantNotFound: There is no such tenant.
        StoreUnavailable: The database cannot be reached.
        SchemaMismatch: Its schema is older or newer than the program.
        StoreError: The role lacks a right.
        KeyMismatch: It was sealed with other keys.
    """
    keys = settings.load_keys()
    with open_serving_database(settings, idle=idle, act=act) as connection:
        ring = check_keys(connection, keys)
        yield BindingStore(
            connection,
            ring,
            settings.quarantine,
            open_modes=settings.open_modes,
            scope=find_scope(connection, tenant),
        )


def find_scope(connection: Connection, tenant: str | None) -> Scope:
    """
    What a command sees: everything, or what is one tenant's.

    Raises:
        TenantNotFound: There is no such tenant.
    """
    return OPERATOR if tenant is None else TenantStore(Queries(connection)).scope(tenant)


@contextmanager
def open_events(
    settings: Settings, *, act: str | None = None
) -> Iterator[tuple[EventStore, Queries]]:
    """
    Events and webhooks, and the queries for what has to be on record of them.

    Args:
        settings: They say where it is.
        act: See :func:`agi_router.cli.context.open_serving_database`.

    Raises:
        StoreUnavailable: The database cannot be reached.
        SchemaMismatch: Its schema is older or newer than the program.
        StoreError: The role lacks a right.
        KeyMismatch: It was sealed with other keys.
    """
    keys = settings.load_keys()
    with open_serving_database(settings, act=act) as connection:
        queries = Queries(connection)
        yield EventStore(queries, check_keys(connection, keys)), queries


@contextmanager
def open_checks(settings: Settings) -> Iterator[tuple[TenantCheckStore, Queries]]:
    """
    Tenants' checks, and the queries for what has to be on record of them.

    Args:
        settings: They say where it is.

    Raises:
        StoreUnavailable: The database cannot be reached.
        SchemaMismatch: Its schema is older or newer than the program.
        StoreError: The role lacks a right.
        KeyMismatch: It was sealed with other keys.
    """
    keys = settings.load_keys()
    with open_serving_database(settings) as connection:
        queries = Queries(connection)
        yield TenantCheckStore(queries, check_keys(connection, keys)), queries

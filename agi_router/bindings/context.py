"""
What every part of the management store works with.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Self, TypeVar

from agi_router.bindings.choose import NumberChooser
from agi_router.bindings.names import BindingNames
from agi_router.bindings.openings import Openings
from agi_router.bindings.pool_store import PoolStore
from agi_router.bindings.rule_keeping import RuleKeeping
from agi_router.consent.store import ConsentStore
from agi_router.db.connection import Connection, Queries
from agi_router.errors import KeysOutdated, Locked
from agi_router.inventory.capacity import Quarantine
from agi_router.inventory.store import InventoryStore
from agi_router.keys.registry import check_rotated
from agi_router.keys.ring import KeyRing
from agi_router.numbers import Block, PhoneNumber, XNumber
from agi_router.persons.blocklist_store import BlocklistStore
from agi_router.persons.store import LockStore
from agi_router.tenants.scope import OPERATOR, Scope

__all__ = ["BindingContext"]

_QUARANTINE = Quarantine()

_Done = TypeVar("_Done")
# How often a lock is looked for anew that was there and is gone.
_TRIES = 5
# Of so many tenants the store is kept that acts for them.
_SCOPES = 100


class BindingContext:
    """
    A connection, whose things are seen on it, and the keys that are current.

    Args:
        connection: See :func:`agi_router.db.connection.connect`.
        keys: To tag and seal the parties' numbers.
        quarantine: How long numbers are kept from new bindings after a binding's end.
        open_modes: Whether numbers may be bound that strangers can call.
        scope: Whose bindings these are; see :meth:`within`.
    """

    def __init__(
        self,
        connection: Connection,
        keys: KeyRing,
        quarantine: Quarantine = _QUARANTINE,
        *,
        open_modes: bool = False,
        scope: Scope = OPERATOR,
    ) -> None:
        self.connection = connection
        """What the stores of other rooms may use too."""
        self.scope = scope
        """What lies outside is answered as what does not exist."""
        self._queries = Queries(connection, scope.values)
        self._quarantine = quarantine
        self._wider: BindingContext | None = None
        self._narrower: dict[Scope, Self] = {}
        self._openings = Openings()
        self.names = BindingNames(self._queries, scope)
        """Bindings by what they are called."""
        self.inventory = InventoryStore(self._queries, quarantine, scope)
        """The blocks."""
        self.pools = PoolStore(self._queries, self.inventory, scope)
        """Sets of their numbers."""
        self._use_keys(keys)
        self._open_modes = open_modes

    def within(self, scope: Scope) -> Self:
        """
        The same bindings, so far as they lie within *scope*; on the same connection.

        Costs no query, and is kept: one is asked for by every request.

        Raises:
            OperatorOnly: It is wider than this one.
        """
        if scope != self.scope:
            self.scope.check_operator("acts for others")
        store = self._narrower.get(scope)
        # One that was made before keys were rotated has the old ones.
        if store is None or store.keys is not self.keys:
            store = type(self)(
                self.connection,
                self.keys,
                self._quarantine,
                open_modes=self._open_modes,
                scope=scope,
            )
            store._wider, store._openings = self, self._openings  # noqa: SLF001 - one of us
            if len(self._narrower) >= _SCOPES:
                self._narrower.clear()
            self._narrower[scope] = store
        return store

    def _use_keys(self, keys: KeyRing) -> None:
        if self._wider is not None:
            # For those who come after.
            self._wider._use_keys(keys)  # noqa: SLF001 - one of us
        self.keys = keys
        """What numbers are tagged and sealed with now."""
        self.locks = LockStore(self._queries, keys, self.scope)
        """Who and what is locked."""
        self.consents = ConsentStore(self._queries, keys, self.scope)
        """Who has agreed to be bound."""
        self.rules = RuleKeeping(self._queries, keys)
        """What tenants' bindings are to keep to."""
        self.blocklist = BlocklistStore(self._queries, keys, self.scope)
        """Who is kept from whom."""
        self.chooser = NumberChooser(
            self._queries,
            keys,
            self._quarantine,
            inventory=self.inventory,
            discreet=not self.scope.whole,
        )
        """The choice of numbers."""

    def now(self) -> datetime:
        """
        The database's clock, which alone judges expiry.
        """
        row = self._queries.row("now", {})
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        return row["clock_timestamp"]  # type: ignore[no-any-return]

    def _past_strangers(
        self,
        people: Collection[PhoneNumber],
        numbers: Collection[XNumber],
        block: Block,
        tenant: Callable[[], str],
        work: Callable[[], _Done],
    ) -> _Done:
        """
        Do something that a lock refuses; again, where the lock is that of somebody else.

        Raises:
            PartyLocked: One of *people* is locked for the tenant.
            NumberLocked: One of *numbers* is, or the block.
            TenantLocked: The tenant is.
        """
        strangers: set[int] = set()
        try:
            for left in reversed(range(_TRIES)):
                try:
                    return work()
                except Locked:
                    # None: it was lifted at this moment.
                    found = self.locks.check_free(people, numbers, block, tenant())
                    if not left or (found and strangers.issuperset(found)):
                        raise
                strangers.update(found)
                self.locks.pass_strangers(strangers)
            raise AssertionError("the last try returns or raises")
        finally:
            if strangers:
                self.locks.pass_strangers(())

    def _under_current_keys(self, work: Callable[[], _Done]) -> _Done:
        """
        Do something; once more with the new keys where they were rotated since they were read.

        It is done anew where another transaction was in the way.
        """
        try:
            return self._queries.again(work)
        except KeysOutdated:
            # The new ones were in the file before.
            self._use_keys(check_rotated(self.connection, self.keys))
            return self._queries.again(work)

"""
How bindings end as one of their parties withdraws its consent.

One transaction writes the line and ends them: there is no moment at which it is withdrawn and a
call is let through. Party groups are held first, then bindings: the order that all keep to.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from agi_router.bindings.group_members import open_member
from agi_router.bindings.group_store import PartyGroupKeeping
from agi_router.bindings.model import Binding, BindingId
from agi_router.bindings.words import BindingState
from agi_router.consent.ledger import Act, ConsentLine, Purpose, Statement
from agi_router.db.arrays import array_of_integers
from agi_router.errors import RequestInvalid
from agi_router.keys.registry import assert_current_keys
from agi_router.numbers import Block, PhoneNumber

__all__ = ["ConsentWithdrawing"]

_ALL = 1_000_000
# Bindings that one statement ends, which is given up after ten seconds.
_SOME = 1000


class ConsentWithdrawing(PartyGroupKeeping):
    """
    Withdrawing consent.
    """

    def withdraw(
        self, person: PhoneNumber, tenant: str, said: Statement, *, by: str
    ) -> tuple[ConsentLine, list[Binding]]:
        """
        Write that a person no longer agrees, and end what it is party of.

        All its bindings of the tenant end, or those of the order that is withdrawn; of all orders,
        it leaves the tenant's party groups as well. Calls that are up go on, or those that the
        person is in are cut, where that is said; see :mod:`agi_router.calls.cutting`.

        Args:
            person: Who withdraws.
            tenant: From whom.
            said: What is withdrawn.
            by: Who writes it down.

        Returns:
            The line, and the bindings that have ended.

        Raises:
            RequestInvalid: Calls are to be cut, and it is not withdrawn to be bound.
            TenantNotFound: There is no such tenant.
            StoreHeld: A party group is changed all the time.
        """
        return self._under_current_keys(lambda: self._withdraw(person, tenant, said, by))

    def _withdraw(
        self, person: PhoneNumber, tenant: str, said: Statement, by: str
    ) -> tuple[ConsentLine, list[Binding]]:
        said = replace(said, act=Act.WITHDRAWN, how=None)
        if said.cut and said.purpose is not Purpose.BINDING:
            raise RequestInvalid("who is no longer recorded may talk on: no call is cut by it")
        with self._queries.transaction():
            if said.purpose is not Purpose.BINDING:
                return self.consents.write(person, tenant, said, by=by), []
            self._queries.execute("hold_moves", {})
            self.consents.hold(tenant)
            # Keys before groups, as all who take both.
            assert_current_keys(self._queries, self.keys)
            groups = [] if said.order is not None else self._groups_of(person, tenant)
            for group in groups:
                self._queries.execute("lock_group_by_id", group)
            own = self._hold_bindings(person, tenant, said.order)
            # Once nobody is waited for: routers look for the calls of a line that is new.
            line = self.consents.write(person, tenant, said, by=by)
            ended = self._end_withdrawn(own)
            for group in groups:
                self.change_members(tenant, group["name"], leaving=[person])
        return line, ended

    def _hold_bindings(self, person: PhoneNumber, tenant: str, order: str | None) -> list[Binding]:
        found = self.bindings(everything=False, order_id=None, party=person, limit=_ALL)
        own = [
            each
            for each in found
            # What does not open may be another's, and rings nobody.
            if each.damage is None
            and each.parent is None
            and each.tenant == tenant
            and order in {None, each.order_id}
        ]
        own.sort(key=lambda each: (each.id.block.value, each.id.id))
        for some in _portions(own):
            self._queries.rows("lock_bindings", _names(some))
        return own

    def _end_withdrawn(self, own: Sequence[Binding]) -> list[Binding]:
        ended = []
        for some in _portions(own):
            rows = {
                BindingId(Block(value=row.pop("block")), row.pop("id")): row
                for row in self._queries.rows("end_withdrawn", _names(some))
            }
            ended += [
                replace(each, state=BindingState.CONSENT_WITHDRAWN, **rows[each.id])
                for each in some
                if each.id in rows
            ]
        return ended

    def _groups_of(self, person: PhoneNumber, tenant: str) -> list[dict[str, Any]]:
        values = {
            "tenant_id": self.inventory.tenants.find_id(tenant),
            "tags": self.keys.tags(person),
        }
        rows = self._queries.rows("list_groups_of_member", values)
        return [row for row in rows if person in open_member(row, self.keys)]


def _portions(bindings: Sequence[Binding]) -> Iterator[Sequence[Binding]]:
    # Few statements: whoever binds for the tenant waits meanwhile.
    return (bindings[start : start + _SOME] for start in range(0, len(bindings), _SOME))


def _names(bindings: Sequence[Binding]) -> dict[str, str]:
    return {
        "block": array_of_integers(each.id.block.value for each in bindings),
        "id": array_of_integers(each.id.id for each in bindings),
    }

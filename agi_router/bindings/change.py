"""
How what is agreed for a binding is changed.
"""

from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from agi_router.bindings.expiry import LONGEST_LIFE, check_expiry
from agi_router.bindings.listing import BindingListing, no_such
from agi_router.bindings.model import Binding, BindingId
from agi_router.bindings.names import name_values
from agi_router.bindings.parties import open_callees
from agi_router.bindings.rows import tag_order
from agi_router.bindings.terms import CHANGEABLE
from agi_router.bindings.words import Side
from agi_router.errors import (
    AgiRouterError,
    BindingChanged,
    ExpiryInvalid,
    LimitTooLow,
    ModeError,
)
from agi_router.keys.registry import key_ids
from agi_router.numbers import PhoneNumber

__all__ = ["TermsChanging"]

# How often a change is tried anew that has to look at the binding first.
_TRIES = 5
_TERMS = {term.name: term for term in CHANGEABLE}


class TermsChanging(BindingListing):
    """
    Changes of a binding's terms.
    """

    def change(self, name: BindingId, *, version: int | None = None, **changes: Any) -> Binding:
        """
        Say anew what is agreed; a call that is up goes on as it began.

        Args:
            name: The binding.
            version: The one that it is to have still.
            changes: New values by the names of :class:`Terms`: all but the tenant and the pool.
                ``expires_at`` may be earlier or later; :obj:`None` takes back what was agreed.

        Raises:
            BindingNotFound: There is none.
            BindingEnded: It is over already.
            BindingChanged: It has another version by now.
            ExpiryInvalid: It would end in the past, or live too long.
            LimitTooLow: More calls or texts are used already than the new limit allows.
            ModeError: A call has made it; its parent may be changed.
            OrderMissing: Its tenant's bindings need an order.
            SceneUnknown: It comes under another order, and its scene is none of its tenant's.
            PartyUnverified: A party is not known by its real name.
            ConsentMissing: A party has not agreed to the other order.
            OrderCrowded: Too many different parties are bound by that order.
            TypeError: There is no such term.
        """
        columns = {key: _column(key, value) for key, value in changes.items()}
        for _ in range(_TRIES):
            if "order_id" in columns:
                outcome = self._under_current_keys(
                    lambda: self._change_order(name, columns, version)
                )
            else:
                outcome = self._under_current_keys(lambda: self._change(name, columns, version))
            if outcome != "stale" or version is not None:
                break
        if outcome not in {"changed", "same"}:
            raise self._not_changed(name, outcome, changes)
        return self.find(name)

    def _change_order(self, name: BindingId, columns: dict[str, Any], version: int | None) -> str:
        """
        Change a binding, its order too; under another one it is judged as if it were just made.
        """
        order = columns["order_id"]
        with self._queries.transaction():
            found = self.find(name)
            rules = self.inventory.tenants.rules(found.tenant) if found.order_id != order else None
            self.rules.hold(rules)
            if rules is not None:
                rules.check(order=order, scene=found.scene)
            # By its order and its parties an import recognises it: these may change meanwhile.
            columns["order_tag"] = self._tag_of(found, order)
            outcome = self._change(name, columns, version or found.version)
            if rules is not None and outcome == "changed":
                people = self._people_of(found)
                self.rules.check_people(
                    rules, people, order=order, stated=found.consent, binding=found.id
                )
                self.rules.check_order(rules, order, in_turn=True)
        return outcome

    def _change(self, name: BindingId, columns: dict[str, Any], version: int | None) -> str:
        values = {
            **name_values(name),
            **key_ids(self.keys),
            "changes": Jsonb(columns),
            "version": version,
            "longest": LONGEST_LIFE,
        }
        with self._queries.attempt():
            row = self._queries.row("change", values)
        assert row is not None  # noqa: S101 - the function returns one row always
        return row["outcome"]  # type: ignore[no-any-return]

    def _not_changed(
        self, name: BindingId, outcome: str, changes: dict[str, Any]
    ) -> AgiRouterError:
        """
        The error for what came of a change.
        """
        match outcome:
            case "missing":
                return no_such(name)
            case "over":
                return self._over(self.find(name))
            case "child":
                return ModeError(f"binding {name} was made by a call: change its parent")
            case "expiry":
                return _bad_expiry(changes["expires_at"], self.now())
            case "used":
                return LimitTooLow()
            case _:
                return BindingChanged()

    def _people_of(self, found: Binding) -> set[PhoneNumber]:
        """
        All who take part in a binding, as :attr:`Parties.people` of one that is just made.

        Raises:
            SealError: They cannot be read.
        """
        self._check_readable(found)
        values = {"block": [found.id.block.value], "id": [found.id.id]}
        routes = self._queries.rows("list_routes", values)
        rung = (each for route in routes for each in open_callees(route, self.keys))
        return {*(party.number for party in found.parties), *rung}

    def _tag_of(self, found: Binding, order_id: str | None) -> int | None:
        """
        The tag by which an import recognises a binding; none without an order.

        Raises:
            SealError: Its parties cannot be read.
        """
        if order_id is None:
            return None
        self._check_readable(found)
        # B is nobody in particular, or not on a number yet.
        alone = found.mode.open or found.y_ttl is not None
        sides = {
            side: [party.number for party in found.parties if party.side is side] for side in Side
        }
        return tag_order(
            found.mode,
            sides[Side.A],
            () if alone else sides[Side.B],
            group=found.group,
            tenant=found.tenant,
            order_id=order_id,
            keys=self.keys,
        )[0]

    def extend(self, name: BindingId, expires_at: datetime) -> Binding:
        """
        Move a binding's end to a later time.

        Raises:
            BindingNotFound: There is none.
            BindingEnded: It is over already.
            ExpiryInvalid: The new end is in the past, or earlier than the one it has.
        """
        check_expiry(expires_at, self.now())
        values = {**name_values(name), "expires_at": expires_at}
        if self._queries.again(lambda: self._queries.row("extend", values)) is None:
            found = self.find(name)
            self._check_live(found)
            raise ExpiryInvalid(
                "the binding would end earlier than it does now; it can only be extended"
            )
        return self.find(name)


def _column(name: str, value: Any) -> Any:
    """
    A new value of what is agreed, as it stands in JSON.

    Raises:
        TypeError: There is nothing of this name, or it may not be changed.
    """
    if name == "expires_at":
        return value.isoformat()
    if name == "order_id":
        return value
    if name not in _TERMS:
        raise TypeError(f"a binding has no {name} that may be changed")
    term = _TERMS[name]
    return term.store(term.default if value is None else value)


def _bad_expiry(expires_at: datetime, now: datetime) -> ExpiryInvalid:
    try:
        check_expiry(expires_at, now)
    except ExpiryInvalid as error:
        return error
    return ExpiryInvalid()

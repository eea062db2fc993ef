"""
How the rules of tenants are kept as bindings are made; see :mod:`agi_router.tenants.rules`.

Rules for the editor:

1. A tenant without rules costs nothing: :attr:`OpenBlocks.rules` says so. That its bindings need
   orders is looked at by the statement that binds.
2. What is counted is counted within the transaction that binds, once it has bound; before that it
   takes its turn, so that of two who come at once the second one sees the first.
3. What a rule asks is a function of the database: the statement that binds on numbers drawn keeps
   to it, and so does who binds step by step, and says why not. What is held comes in one order:
   consents, orders, pairs, rates, the key's quota, the tenant's.
4. Rates count a bind by itself, and its tenant's binds take turns: so who is counted is bound step
   by step. An import would hold that turn for too long, and is held to what is of persons alone.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from agi_router.bindings.model import BindingId
from agi_router.bindings.modes import Parties
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Side
from agi_router.consent.ledger import How
from agi_router.consent.store import ConsentLedger
from agi_router.db.arrays import array_of_integers
from agi_router.db.connection import Queries
from agi_router.errors import OrderCrowded, PairTooOften, TooManyBinds
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.persons.real_name_store import check_verified
from agi_router.rates import Rate
from agi_router.tenants.rules import Consent, TenantRules, read_rules

__all__ = ["RuleKeeping"]

_HOUR = timedelta(hours=1)
_OF = {
    "a": "with this party as A",
    "b": "with this party as B",
    "number": "on this 700 number",
    "tenant": "of this tenant",
}


class RuleKeeping:
    """
    The rules of tenants, as the database knows what they speak of.

    Args:
        queries: Where.
        keys: To find parties.
    """

    def __init__(self, queries: Queries, keys: KeyRing) -> None:
        self._queries = queries
        self._keys = keys
        self._consents = ConsentLedger(queries, keys)

    def describe(
        self, rules: TenantRules | None, wishes: Sequence[tuple[Parties, Terms]]
    ) -> dict[str, Any]:
        """
        What the statement that binds on numbers drawn needs to keep rules.

        Args:
            rules: Those of the tenant, if it has any.
            wishes: Who is to be bound, and what is agreed.

        Returns:
            As ``agi_router.bind_drawn`` names it.
        """
        consent = Consent.OFF if rules is None else rules.consent
        consents = consent is not Consent.OFF
        pairs = rules is not None and rules.max_pair_binds is not None
        real_names = rules is not None and rules.needs_real_name
        each: list[dict[str, Any]] = []
        for parties, terms in wishes if consents or real_names or pairs else ():
            told: dict[str, Any] = {}
            if consents or real_names:
                stated = consent is Consent.ASSERTED and terms.consent is not None
                told["people"] = self._consents.describe(parties.people, new=stated)
            if pairs and _is_pair(parties):
                told |= self._pair(parties)
            each.append(told)
        return {
            "consents": consents,
            "real_names": real_names,
            "pairs": pairs,
            "within": f"{_HOUR.total_seconds():.0f} s",
            "each": each,
        }

    def hold(self, rules: TenantRules | None) -> None:
        """
        Keep consent from being withdrawn until the transaction ends, where it is asked for.

        It comes first of all that is held.
        """
        if rules is not None and rules.consent is not Consent.OFF:
            self._consents.hold(rules.tenant_id)

    def hold_all(self, wishes: Sequence[tuple[str, Parties, str | None]]) -> None:
        """
        Take what many binds need as they are made one after the other, in one order for all.

        It comes first of all that is held; without rules and quotas nothing is.

        Args:
            wishes: Of each the tenant, who is bound, and by which order.
        """
        names = sorted({tenant for tenant, _, _ in wishes})
        rows = {
            row["name"]: row for row in self._queries.rows("list_tenant_rules", {"names": names})
        }
        if not rows:
            return
        rules = {name: read_rules(row) for name, row in rows.items()}
        binds = [
            (kept, parties, order)
            for tenant, parties, order in wishes
            if (kept := rules.get(tenant)) is not None
        ]
        several = sum(row["limited"] for row in rows.values()) > 1
        self._hold(list(rules.values()), binds, several=several)

    def hold_one(
        self, rules: TenantRules | None, parties: Parties | None, order: str | None
    ) -> None:
        """
        The same for one bind that may hold its block, for which a batch waits in its turn.

        Args:
            rules: Those of its tenant, if it has any.
            parties: Who is bound; :obj:`None`: they are no pair.
            order: By which order.
        """
        if rules is not None:
            self._hold([rules], [(rules, parties, order)], several=False)

    def _hold(
        self,
        rules: Sequence[TenantRules],
        binds: Sequence[tuple[TenantRules, Parties | None, str | None]],
        *,
        several: bool,
    ) -> None:
        orders, pairs = set(), set()
        for kept, parties, order in binds:
            if kept.max_order_pairs is not None and order is not None:
                orders.add(f"{kept.tenant_id} {order}")
            if kept.max_pair_binds is not None and parties is not None and _is_pair(parties):
                pairs.add(f"{kept.tenant_id} {self._pair(parties)['pair']}")
        values = {
            "consents": [kept.tenant_id for kept in rules if kept.consent is not Consent.OFF],
            "orders": list(orders),
            "pairs": list(pairs),
            "counted": [kept.tenant_id for kept in rules if kept.bind_rates.on],
            "several": several,
        }
        self._queries.execute("hold_rules", values)

    def check_none_withdrawn(self, tenant_id: int) -> None:
        """
        Make sure that nobody has withdrawn since the transaction under way has begun.

        Raises:
            StoreHeld: Somebody has: what was bound may be of that person.
        """
        self._consents.check_none_withdrawn(tenant_id)

    def check_people(
        self,
        rules: TenantRules | None,
        people: Collection[PhoneNumber],
        *,
        order: str | None,
        stated: How | None,
        binding: BindingId,
    ) -> None:
        """
        Make sure that some people, who have come into a binding, may be and agree to it.

        Args:
            rules: Those of its tenant; it is held.
            people: Who has come.
            order: By which it was made.
            stated: How they have agreed, as its tenant states it; that is written down.
            binding: The binding.

        Raises:
            PartyUnverified: One is not known by its real name, and is to be: the transaction has
                to be undone.
            ConsentMissing: One does not agree: likewise.
        """
        self.check_known(rules, people, order=order, stated=stated)
        self.write_stated(rules, people, order=order, stated=stated, binding=binding)

    def check_known(
        self,
        rules: TenantRules | None,
        people: Collection[PhoneNumber],
        *,
        order: str | None,
        stated: How | None,
    ) -> None:
        """
        What of :meth:`check_people` can be said before anything is made.

        A refusal behind what is made would have to undo it, and a cell has committed it by then.

        Raises:
            PartyUnverified: One is not known by its real name, and is to be.
            ConsentMissing: One does not agree.
        """
        if rules is None or not people:
            return
        if rules.needs_real_name:
            check_verified(people, rules.tenant_id, self._queries, self._keys)
        if rules.consent is not Consent.OFF and not _is_stated(rules, stated):
            self._consents.check(rules.tenant_id, people, order)

    def write_stated(
        self,
        rules: TenantRules | None,
        people: Collection[PhoneNumber],
        *,
        order: str | None,
        stated: How | None,
        binding: BindingId,
    ) -> None:
        """
        Write down what a tenant states of people who have come into a binding, if that is enough.
        """
        if rules is not None and people and stated is not None and _is_stated(rules, stated):
            self._consents.state(
                rules.tenant_id, people, order=order, how=stated, binding=str(binding)
            )

    def check_made(
        self, rules: TenantRules, parties: Parties, order_id: str | None, *, in_turn: bool
    ) -> None:
        """
        Make sure that a binding may stand that the transaction under way has made, or changed.

        Args:
            rules: Those of its tenant.
            parties: Who is bound.
            order_id: By which order.
            in_turn: Whether others who bind the same wait for the transaction's end. Without, it
                lasts too long for that, and those who bind at the same time are not counted.

        Raises:
            OrderCrowded: Too many are bound by its order: the transaction has to be undone.
            PairTooOften: The two were bound too often: likewise.
        """
        self.check_order(rules, order_id, in_turn=in_turn)
        if rules.max_pair_binds is not None and _is_pair(parties):
            self._check_pair(rules, rules.max_pair_binds, parties, in_turn=in_turn)

    def check_order(self, rules: TenantRules, order_id: str | None, *, in_turn: bool) -> None:
        """
        Make sure that one more binding may stand by an order; see :meth:`check_made`.

        Raises:
            OrderCrowded: Too many are bound by it: the transaction has to be undone.
        """
        most = rules.max_order_pairs
        if most is None or order_id is None:
            return
        values = {
            "tenant_id": rules.tenant_id,
            "order_id": order_id,
            "most": most,
            "refuses": rules.refuses_pairs,
            "in_turn": in_turn,
        }
        row = self._queries.row("is_order_crowded", values)
        if row is not None and row["crowded"]:
            raise OrderCrowded(
                f"by one order of this tenant {most} different pairs may be bound, and so many"
                " are: give the order that is meant"
            )

    def check_numbers(self, rules: TenantRules, numbers: Collection[XNumber]) -> None:
        """
        Make sure that one more binding may be made on 700 numbers by the rates of a tenant.

        Raises:
            TooManyBinds: On one of them it may not.
        """
        if rules.bind_rates.number.count:
            self._check_uses(rules.tenant_id, self._uses_of_numbers(rules, numbers))

    def count_bind(
        self,
        rules: TenantRules,
        people: Mapping[Side, Collection[PhoneNumber]],
        numbers: Collection[XNumber],
    ) -> None:
        """
        Count a binding that this transaction has made, where its tenant has rates.

        Args:
            rules: Those of its tenant, which is held.
            people: Who has come into it, by sides.
            numbers: The numbers that it is on; none: it counts for its parties alone.

        Raises:
            TooManyBinds: It is one too many: the transaction has to be undone.
        """
        rates = rules.bind_rates
        if not rates.on:
            return
        uses = [
            _use(side.value, self._keys.tags(each), rate)
            for side, rate in ((Side.A, rates.a), (Side.B, rates.b))
            for each in people.get(side, ())
            if rate.count
        ]
        if numbers:
            uses += self._uses_of_numbers(rules, numbers)
            if rates.tenant.count:
                uses.append(_use("tenant", [rules.tenant_id], rates.tenant))
        self._check_uses(rules.tenant_id, uses)
        if uses:
            values = {"tenant_id": rules.tenant_id, "uses": json.dumps(uses)}
            self._queries.execute("note_binds", values)

    @staticmethod
    def _uses_of_numbers(rules: TenantRules, numbers: Collection[XNumber]) -> list[dict[str, Any]]:
        rate = rules.bind_rates.number
        return [_use("number", [each.value], rate) for each in numbers if rate.count]

    def _check_uses(self, tenant_id: int, uses: Sequence[dict[str, Any]]) -> None:
        if not uses:
            return
        values = {"tenant_id": tenant_id, "uses": json.dumps(uses)}
        row = self._queries.row("find_too_many_binds", values)
        if row is None:
            return
        most = next(each["rate"] for each in uses if each["kind"] == row["kind"])
        error = TooManyBinds(
            f"{_OF[row['kind']]} so many bindings were made as may be, {most}: wait, or use those"
            " that there are"
        )
        error.wait = max(1, round(row["wait"].total_seconds()))
        raise error

    def _check_pair(
        self, rules: TenantRules, most: int, parties: Parties, *, in_turn: bool
    ) -> None:
        values = {"tenant_id": rules.tenant_id, "most": most, "within": _HOUR}
        pair = {**self._pair(parties), "in_turn": in_turn}
        row = self._queries.row("pair_too_often", {**values, **pair})
        if row is not None and row["wait"] is not None:
            error = PairTooOften(
                f"for this tenant the same two may be bound {most} times within an hour, and so"
                " often they were: wait, or use the binding that they have"
            )
            error.wait = max(1, round(row["wait"].total_seconds()))
            raise error

    def _pair(self, parties: Parties) -> dict[str, int | str]:
        """
        By what two are known who are bound with each other.
        """
        (a,), (b,) = parties.side_a, parties.side_b
        return {
            "pair": self._keys.pair_tag((a, b)),
            "a": array_of_integers(self._keys.tags(a)),
            "b": array_of_integers(self._keys.tags(b)),
        }


def _is_pair(parties: Parties) -> bool:
    return len(parties.side_a) == len(parties.side_b) == 1


def _use(kind: str, keys: Sequence[int], rate: Rate) -> dict[str, Any]:
    """
    Of what a binding is one: as the statements name it.
    """
    within = f"{rate.window.total_seconds():.0f} s"
    return {
        "kind": kind,
        "keys": list(keys),
        "most": rate.count,
        "within": within,
        "rate": str(rate),
    }


def _is_stated(rules: TenantRules, stated: How | None) -> bool:
    return rules.consent is Consent.ASSERTED and stated is not None

"""
How the rules of tenants are kept as bindings are made; see :mod:`agi_router.tenants.rules`.

Rules for the editor:

1. A tenant without rules costs nothing: :attr:`OpenBlocks.ruled` says so. That its bindings need
   orders is looked at by the statement that binds.
2. What is counted is counted within the transaction that binds, once it has bound; before that it
   takes its turn, so that of two who come at once the second one sees the first.
"""

from collections.abc import Collection
from datetime import timedelta

from agi_router.bindings.model import BindingId
from agi_router.bindings.modes import Parties
from agi_router.bindings.terms import Terms
from agi_router.consent.ledger import How
from agi_router.consent.store import ConsentLedger
from agi_router.db.connection import Queries
from agi_router.errors import OrderCrowded, PairTooOften
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber
from agi_router.tenants.rules import Consent, TenantRules

__all__ = ["RuleKeeping"]

_HOUR = timedelta(hours=1)


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

    def hold(self, rules: TenantRules | None) -> None:
        """
        Keep consent from being withdrawn until the transaction ends, where it is asked for.

        It comes first of all that is held.
        """
        if rules is not None and rules.consent is not Consent.OFF:
            self._consents.hold(rules.tenant_id)

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
        Make sure that some people, who have come into a binding, agree to it.

        Args:
            rules: Those of its tenant; it is held.
            people: Who has come.
            order: By which it was made.
            stated: How they have agreed, as its tenant states it; that is written down.
            binding: The binding.

        Raises:
            ConsentMissing: One does not agree: the transaction has to be undone.
        """
        if rules is None or rules.consent is Consent.OFF or not people:
            return
        if rules.consent is Consent.ASSERTED and stated is not None:
            self._consents.state(
                rules.tenant_id, people, order=order, how=stated, binding=str(binding)
            )
        else:
            self._consents.check(rules.tenant_id, people, order)

    def check_made(
        self, rules: TenantRules, parties: Parties, terms: Terms, *, in_turn: bool
    ) -> None:
        """
        Make sure that a binding may stand that the transaction under way has made.

        Args:
            rules: Those of its tenant.
            parties: Who is bound.
            terms: What is agreed.
            in_turn: Whether others who bind the same wait for the transaction's end. Without, it
                lasts too long for that, and those who bind at the same time are not counted.

        Raises:
            OrderCrowded: Too many are bound by its order: the transaction has to be undone.
            PairTooOften: The two were bound too often: likewise.
        """
        self.check_order(rules, terms.order_id, in_turn=in_turn)
        if rules.max_pair_binds is not None and len(parties.side_a) == len(parties.side_b) == 1:
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
        values = {"tenant_id": rules.tenant_id, "order_id": order_id}
        if in_turn:
            self._queries.execute("lock_order_rule", values)
        row = self._queries.row("count_order_pairs", values)
        pairs: int = row["pairs"] if row else 0
        if pairs > most and rules.refuses_pairs:
            raise OrderCrowded(
                f"by one order of this tenant {most} different pairs may be bound, and so many"
                " are: give the order that is meant"
            )
        # Where more are refused, the last one that is not is told: what is refused is undone.
        if pairs >= most + (not rules.refuses_pairs):
            told = {"pairs": pairs, "most": most, "refused": rules.refuses_pairs}
            self._queries.row("tell_order_crowded", {**values, **told})

    def _check_pair(
        self, rules: TenantRules, most: int, parties: Parties, *, in_turn: bool
    ) -> None:
        (a,), (b,) = parties.side_a, parties.side_b
        values = {"tenant_id": rules.tenant_id, "pair": self._keys.pair_tag((a, b))}
        if in_turn:
            self._queries.execute("lock_pair_rule", values)
        row = self._queries.row(
            "count_pair_binds",
            {
                "tenant_id": rules.tenant_id,
                "a_tags": self._keys.tags(a),
                "b_tags": self._keys.tags(b),
                "within": _HOUR,
            },
        )
        if row is not None and row["binds"] > most:
            error = PairTooOften(
                f"for this tenant the same two may be bound {most} times within an hour, and so"
                " often they were: wait, or use the binding that they have"
            )
            error.wait = max(1, round(row["wait"].total_seconds()))
            raise error

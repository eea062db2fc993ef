"""
How bindings are made.
"""

from datetime import UTC, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from agi_router.bindings.choose import NumberPolicy, OpenBlocks
from agi_router.bindings.conflicts import RouteConflicts, place_columns
from agi_router.bindings.expiry import check_expiry
from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Parties, compile_routes
from agi_router.bindings.parties import mode_columns, read_parties, who_rings
from agi_router.bindings.requests import BindRequest
from agi_router.bindings.rows import (
    find_back,
    order_tags,
    read_binding,
    route_columns,
    seal_routes,
)
from agi_router.bindings.terms import TERMS, Terms
from agi_router.bindings.words import BindingState
from agi_router.errors import (
    BindingConflict,
    ModeError,
    NoNumberAvailable,
    NumberResting,
    StoreError,
)
from agi_router.keys.registry import key_ids
from agi_router.numbers import XNumber

__all__ = ["BindingMaking"]

_POLICY = NumberPolicy()


class BindingMaking(RouteConflicts):
    """
    Binding parties on numbers, given or chosen.
    """

    def bind(
        self,
        parties: Parties,
        terms: Terms,
        *,
        x: XNumber | None = None,
        y: XNumber | None = None,
        choice: NumberPolicy = _POLICY,
    ) -> Binding:
        """
        Bind *parties* on the numbers given; those that are not are chosen for them.

        Args:
            parties: Who is bound; their class names the mode.
            terms: What is agreed.
            x: The number that side A dials, and side B too where the mode has one number.
            y: The number that side B dials, where the mode has two.
            choice: How those not given are chosen.

        Raises:
            ModeError: The mode does not allow these numbers.
            ExpiryInvalid: The binding would end before it begins, or live too long.
            TenantNotFound: There is no such tenant, or it is suspended.
            BlockNotFound: *x* lies in no block of ours.
            BindingConflict: A party is on *x* already.
            NumberResting: A binding on *x* ended not long ago.
            NoNumberAvailable: No number can be chosen; says why.
        """
        self.scope.check_tenant(terms.tenant)
        if parties.mode.open and not self._open_modes:
            raise ModeError(
                f"{parties.mode} lets strangers call, and nothing says that 700 numbers may:"
                " it is off until AGI_ROUTER_OPEN_MODES is on"
            )
        try:
            return self._under_current_keys(
                lambda: self._bind_parties(parties, terms, x, y, choice)
            )
        except (BindingConflict, NumberResting):
            # Somebody may have come to the number meanwhile.
            self._check_foreign(x, y)
            raise

    def make(
        self, request: BindRequest, *, default_ttl: timedelta, choice: NumberPolicy = _POLICY
    ) -> Binding:
        """
        Bind as it is asked for.

        Args:
            request: What is asked for.
            default_ttl: How long it lives where nothing is said of it.
            choice: How numbers that are not given are chosen.

        Raises:
            ExpiryInvalid: Its end is in the past or too far away.
            AgiRouterError: See :meth:`bind`.
        """
        terms = request.agreed(self.now(), default_ttl=default_ttl)
        return self.bind(request.parties, terms, x=request.x, y=request.y, choice=choice)

    def _bind_parties(
        self,
        parties: Parties,
        terms: Terms,
        x: XNumber | None,
        y: XNumber | None,
        choice: NumberPolicy,
    ) -> Binding:
        given = x or y
        opening = self.chooser.opening(terms.tenant, choice, None if given else parties)
        check_expiry(terms.expires_at, opening.now)
        if y is not None and parties.numbers == 1:
            raise ModeError(f"a binding by {parties.mode} has one number")
        columns = {
            **_columns(terms),
            "tenant_id": opening.tenant_id,
            # So that its values can be sealed for it.
            "id": opening.binding_id,
            "pair_tag": self.chooser.pair_tag(parties, choice),
            "order_tag": self._order_tag(parties, terms),
        }
        if given is not None:
            self.chooser.check_open(given.block, opening)
            self._check_foreign(x, y)
        for numbers in self.chooser.pairs(parties, opening, choice, x, y):
            try:
                made = self._bind(parties, numbers, columns, terms)
            except BindingConflict:
                # Another took the place between choosing and binding.
                if given is None:
                    continue
                raise
            if made is not None:
                return made
            if given is not None:
                raise self._refusal(parties, numbers, opening)
        raise AssertionError("pairs() ends by an error")

    def _bind(
        self,
        parties: Parties,
        numbers: tuple[XNumber, XNumber],
        columns: dict[str, Any],
        terms: Terms,
    ) -> Binding | None:
        """
        Bind *parties* on *numbers*; :obj:`None` where the block is closed or a number rests.
        """
        parties = parties.with_extension(lambda: self.chooser.choose_extension(numbers[0]))
        rows = compile_routes(parties, *numbers)
        block, binding_id = rows[0].x_number.block, columns["id"]
        back = find_back(parties, rows, self.keys, binding_id=binding_id)
        routes = seal_routes(rows, self.keys, binding_id=binding_id, back=back)
        written = {**columns, **mode_columns(parties, numbers[0])}
        values = {
            "block": block.value,
            "terms": Jsonb(written),
            "number_quarantine": self._quarantine.number,
            "party_quarantine": self._quarantine.party,
            **route_columns(routes),
            **key_ids(self.keys),
            **place_columns(self._places(rows)),
        }
        try:
            with self._queries.attempt():
                made = self._queries.row("bind", values)
        except psycopg.errors.UniqueViolation as error:
            if error.diag.constraint_name == "route_alone":
                raise self._not_alone(parties.mode, block, rows) from None
            raise self._conflict(block, rows, error.diag.constraint_name) from None
        if made is None:
            return None
        # As it was just written, so it would be read.
        row = {
            **written,
            "block": block.value,
            "tenant": terms.tenant,
            "state": BindingState.ACTIVE,
            "begins_at": made["begins_at"],
            "expires_at": terms.expires_at.astimezone(UTC),
            "ended_at": None,
            "calls_used": 0,
            "parent_id": None,
            "version": 1,
            "now": made["begins_at"],
        }
        own = [
            {**route._asdict(), "binding_id": binding_id, "last_callee": None} for route in routes
        ]
        return read_binding(row, read_parties(row, own, self.keys), who_rings(row, own, self.keys))

    def _refusal(
        self, parties: Parties, numbers: tuple[XNumber, XNumber], opening: OpenBlocks
    ) -> StoreError:
        """
        Why *parties* were not bound on *numbers*.

        Raises:
            NoNumberAvailable: Their block is closed.
        """
        rows = compile_routes(parties, *numbers)
        block = rows[0].x_number.block
        self.chooser.check_open(block, opening)
        return self._resting(block, rows) or NoNumberAvailable(
            "the number was resting, or its block closed, until this moment: try again"
        )

    def _order_tag(self, parties: Parties, terms: Terms) -> int | None:
        if terms.order_id is None:
            return None
        return order_tags(parties, tenant=terms.tenant, order_id=terms.order_id, keys=self.keys)[0]


def _columns(terms: Terms) -> dict[str, Any]:
    """
    What is agreed, as columns of a binding.
    """
    return {
        "expires_at": terms.expires_at.isoformat(),
        **{term.name: term.store(getattr(terms, term.name)) for term in TERMS},
        "order_id": terms.order_id,
    }

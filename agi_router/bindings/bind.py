"""
How bindings are made.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from agi_router.bindings.asked import Answered, Asked
from agi_router.bindings.choose import OpenBlocks, draw_numbers
from agi_router.bindings.conflicts import place_columns
from agi_router.bindings.draw import (
    Drawn,
    NumberDrawing,
    Place,
    Wish,
    can_draw,
    new_binding,
    terms_columns,
)
from agi_router.bindings.expiry import LONGEST_LIFE, check_expiry
from agi_router.bindings.group_members import GroupSharing
from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Parties, compile_routes
from agi_router.bindings.names import name_values
from agi_router.bindings.parties import mode_columns
from agi_router.bindings.policy import NumberPolicy
from agi_router.bindings.pools import Pool
from agi_router.bindings.requests import BindRequest
from agi_router.bindings.rows import order_tags
from agi_router.bindings.sealed_routes import route_columns
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Mode, Side
from agi_router.db.arrays import array_of_bytes, array_of_integers, array_of_texts
from agi_router.db.connection import violated
from agi_router.errors import (
    AgiRouterError,
    BindingConflict,
    ExpiryInvalid,
    ModeError,
    NoNumberAvailable,
    NumberLocked,
    NumberResting,
    PoolNotFound,
    QuotaExceeded,
    RequestInvalid,
    StoreError,
    StoreHeld,
    StoreUnavailable,
    TenantNotFound,
    TenantUnqualified,
    TooManyBinds,
)
from agi_router.keys.registry import key_ids
from agi_router.numbers import Block, XNumber
from agi_router.tenants.quotas import take_key_quota, take_quota
from agi_router.tenants.rules import TenantRules

__all__ = ["BindingMaking", "wished_terms"]

_POLICY = NumberPolicy()
# So many numbers are passed over that have had their share by rates.
_BUSY = 100
# An end that stands for none: the store reckons it.
_UNSAID = datetime.max.replace(tzinfo=UTC)


class BindingMaking(NumberDrawing, GroupSharing):
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
            BlockNotFound: *x* lies in no block of ours, or in none of its pool's.
            PoolNotFound: The tenant has no pool of this name.
            GroupNotFound: The tenant has no party group of this name.
            GroupInUse: As many bindings live by it as may.
            RequestInvalid: The pool has another mode or operator digit than is asked for.
            BindingConflict: A party is on *x* already.
            NumberResting: A binding on *x* ended not long ago.
            Locked: A party, the number, its block or the tenant is locked.
            NoNumberAvailable: No number can be chosen; says why.
            QuotaExceeded: The tenant has as many bindings as it may.
            TenantUnqualified: Its qualification is not valid.
            OrderMissing: It binds nothing without an order.
            PartyUnverified: A party is not known by its real name.
            ConsentMissing: A party has not agreed to it.
            SceneUnknown: The scene is none of its.
            PairTooOften: The same two were bound too often within an hour.
            TooManyBinds: Too many were made in a time, by the rates of the tenant.
            OrderCrowded: Too many different parties are bound by the order.
        """
        tried = None
        if _is_plain(parties, x, y, choice):
            made, tried = self._draw_remembered(parties, terms, None, choice)
            if made is not None:
                return made
        return self._bind_by_steps(parties, terms, x, y, choice, tried=tried)

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
        parties, x, y = request.parties, request.x, request.y
        tried = None
        if _may_draw(request, choice):
            terms, life = wished_terms(request, default_ttl=default_ttl)
            made, tried = self._draw_remembered(parties, terms, life, choice)
            if made is not None:
                return made
        terms = request.agreed(self.now(), default_ttl=default_ttl)
        return self._bind_by_steps(parties, terms, x, y, choice, tried=tried)

    def make_asked(self, asked: Asked, beside: Mapping[str, Any]) -> Answered | None:
        """
        Bind, look at who asks, and keep what is answered: by one statement, as far as that goes.

        Args:
            asked: What is asked for.
            beside: Who asks, as the query ``bind_asked`` names it.

        Returns:
            Headers and body, as they are kept; :obj:`None`: nothing was done, and step by step it
            is found out why it cannot be.
        """
        if not _is_plain(asked.parties, None, None, asked.choice):
            return None
        found = self._remembered(asked.terms, asked.life, asked.parties.mode, asked.choice, ask=1)
        if found is None:
            return None
        place, (binding_id,) = found
        wish = asked.wish(binding_id)

        def ask(drawn: Drawn) -> dict[str, Any] | None:
            headers, answer = asked.answer(drawn, binding_id, place.opening.now)
            kept = {
                **asked.kept,
                "headers": json.dumps(dict(headers)),
                "answer": answer,
                "once": self._once(asked),
            }
            try:
                row = self._queries.row("bind_asked", {**beside, **drawn.values, **kept})
            except StoreHeld:
                # The same is being done: step by step it is waited for, as long as that may be.
                return None
            return None if row is None else {**row, "headers": headers}

        if (done := self._try(wish, place, ask)) is None:
            return None
        _, row = done
        return row["headers"], row["body"]

    def make_asked_together(
        self,
        asked: Sequence[Asked],
        claims: Sequence[Mapping[str, Any]],
        beside: Mapping[str, Any],
    ) -> dict[int, Answered]:
        """
        The same for several at once who may :meth:`go together <Asked.together>`.

        Args:
            asked: What is asked for, of which there is one at least.
            claims: Of each its *nonce* and *signed_at*.
            beside: Who asks for all of them.

        Returns:
            What is answered, by the place among *asked*. Of the others nothing was done.
        """
        first = asked[0]
        mode, choice = first.parties.mode, first.choice
        found = self._remembered(first.terms, first.life, mode, choice, ask=len(asked))
        if found is None:
            return {}
        place, ids = found
        if place.opening.first is None:
            return {}
        wishes = [each.wish(id_) for each, id_ in zip(asked, ids, strict=True)]
        numbers = draw_numbers(place.opening.first, len(asked))
        drawn = self._drawn(wishes, numbers, place, None)
        answers = [
            each.answer(drawn, id_, place.opening.now)
            for each, id_ in zip(asked, ids, strict=True)
        ]
        values = {
            **beside,
            **drawn.values,
            "nonce": array_of_bytes(each["nonce"] for each in claims),
            "signed_at": array_of_texts(each["signed_at"] for each in claims),
            "pool": first.kept["pool"],
            "status": first.kept["status"],
            "name": array_of_bytes(each.kept["name"] for each in asked),
            "payload": array_of_bytes(each.kept["payload"] for each in asked),
            "headers": array_of_texts(json.dumps(dict(headers)) for headers, _ in answers),
            "answer": array_of_texts(answer for _, answer in answers),
            "once": array_of_texts(map(self._once, asked)),
        }
        try:
            rows = self._queries.rows("bind_asked_together", values)
        except StoreUnavailable as error:
            if isinstance(error, StoreHeld) or error.outrun:
                return {}
            raise
        told = {row["id"]: row["body"] for row in rows}
        return {
            number: (headers, told[id_])
            for number, (id_, (headers, _)) in enumerate(zip(ids, answers, strict=True))
            if id_ in told
        }

    def _once(self, asked: Asked) -> str | None:
        """
        Tags of the order of which nothing else is to live, if there is one.
        """
        order = asked.terms.order_id
        if not asked.once or order is None:
            return None
        tenant = asked.terms.tenant
        return array_of_integers(
            order_tags(asked.parties, tenant=tenant, order_id=order, keys=self.keys)
        )

    def hold_together(self, requests: Sequence[BindRequest]) -> None:
        """
        Hold what bindings need that one transaction makes one after the other.

        Two that make the same ones in another order would wait for each other in a circle.
        """
        self.rules.hold_all([(each.tenant, each.parties, each.order_id) for each in requests])

    def make_together(
        self, requests: Sequence[tuple[BindRequest, NumberPolicy]], *, default_ttl: timedelta
    ) -> dict[int, Binding]:
        """
        Bind many as they are asked for, those of one tenant by one statement, as far as that goes.

        Args:
            requests: What is asked for, and how its number is chosen.
            default_ttl: How long those live of whose end nothing is said.

        Returns:
            The bindings that could be made so, each by its place among *requests*. The others are
            for :meth:`make`, which binds them or says why they cannot be.
        """
        groups: dict[tuple[str, str | None, NumberPolicy], list[int]] = {}
        for place, (request, choice) in enumerate(requests):
            if _may_draw(request, choice):
                whose = request.tenant, request.terms["pool"], choice
                groups.setdefault(whose, []).append(place)
        made: dict[int, Binding] = {}
        # In one order for all: they wait for each other where tenants have quotas.
        for (tenant, pool_name, wished), places in sorted(
            groups.items(), key=lambda each: each[0][0]
        ):
            modes = {requests[place][0].parties.mode for place in places}
            try:
                choice, pool = self._remembered_pool(tenant, pool_name, modes, wished)
                opening = self.chooser.opening(tenant, choice, count=len(places))
            except (PoolNotFound, RequestInvalid, TenantNotFound, TenantUnqualified):
                continue
            self._openings.forget_full(opening.tenant_id)
            if not self._may_draw_in(opening):
                continue
            wishes = {}
            for place, binding_id in zip(places, opening.binding_ids, strict=True):
                request, _ = requests[place]
                # One whose end is none is refused by itself.
                with suppress(ExpiryInvalid):
                    terms = request.agreed(opening.now, default_ttl=default_ttl)
                    wishes[place] = Wish(
                        binding_id=binding_id, parties=request.parties, terms=terms
                    )
            drawn = self._draw_all(list(wishes.values()), Place(opening, pool)) if wishes else {}
            made |= {
                place: drawn[wish.binding_id]
                for place, wish in wishes.items()
                if wish.binding_id in drawn
            }
        return made

    def _draw_remembered(
        self, parties: Parties, terms: Terms, life: timedelta | None, choice: NumberPolicy
    ) -> tuple[Binding | None, Block | None]:
        """
        Bind on a number drawn where the tenant could bind a moment ago.

        Returns:
            The binding; or :obj:`None`, where the tenant is to ask. And the block that was tried.
        """
        found = self._remembered(terms, life, parties.mode, choice, ask=0)
        if found is None:
            return None, None
        place, (binding_id,) = found
        wish = Wish(binding_id=binding_id, parties=parties, terms=terms, life=life)
        return self._draw_one(wish, place), place.opening.first

    def _remembered(
        self,
        terms: Terms,
        life: timedelta | None,
        mode: Mode,
        choice: NumberPolicy,
        *,
        ask: int,
    ) -> tuple[Place, Sequence[int]] | None:
        """
        Where bindings may be made, and their numbers; :obj:`None`: they are made step by step.

        Args:
            terms: What is agreed of the first of them.
            life: How long they live, if that is said.
            mode: By which they are made.
            choice: How their numbers are chosen.
            ask: For how many it is asked if it is not remembered; 0: for one that is.
        """
        # A longer life is refused, and may be more than a database can reckon with.
        if life is not None and life > LONGEST_LIFE:
            return None
        count = ask or 1
        try:
            choice, pool = self._remembered_pool(terms.tenant, terms.pool, {mode}, choice)
            whose = terms.tenant, choice
            taken = self._openings.take(whose, count)
            if taken is None and ask:
                ahead = self._openings.ahead(whose, count)
                opening = self.chooser.opening(*whose, count=ahead)
                self._openings.keep(whose, opening, taken=count)
                taken = opening, list(opening.binding_ids[:count])
        except (PoolNotFound, RequestInvalid, TenantNotFound, TenantUnqualified):
            return None
        if taken is None or not self._may_draw_in(taken[0]):
            return None
        opening, ids = taken
        return Place(opening, pool), ids

    def _may_draw_in(self, opening: OpenBlocks) -> bool:
        """
        Whether it is worth drawing a number for a tenant.

        What an import holds for rules it would hold for too long. By rates each is counted by
        itself.
        """
        if self._is_counted(opening) and self._openings.is_full(opening.tenant_id):
            return False
        return opening.rules is None or (self.counting and not opening.rules.bind_rates.on)

    def find_pool(self, tenant: str, name: str) -> Pool:
        """
        A pool of a tenant; it may be as it was some seconds ago.

        Raises:
            PoolNotFound: The tenant has none of this name.
            TenantNotFound: It lies outside the scope.
        """
        self.scope.check_tenant(tenant)
        pool = self._openings.pool(tenant, name)
        if pool is None:
            pool = self.pools.find(tenant, name)
            self._openings.keep_pool(pool)
        return pool

    def _remembered_pool(
        self, tenant: str, name: str | None, modes: Collection[Mode], choice: NumberPolicy
    ) -> tuple[NumberPolicy, Pool | None]:
        """
        How numbers are chosen for bindings by these modes, and their pool, if they have one.

        Raises:
            PoolNotFound: There is none of this name.
            RequestInvalid: Its mode is another one, or its operator digit.
        """
        if name is None:
            return choice, None
        pool = self.find_pool(tenant, name)
        return _narrow(pool, modes, choice), pool

    def _bind_by_steps(
        self,
        parties: Parties,
        terms: Terms,
        x: XNumber | None,
        y: XNumber | None,
        choice: NumberPolicy,
        *,
        tried: Block | None,
    ) -> Binding:
        self.scope.check_tenant(terms.tenant)
        choice = self._in_pool(terms, parties.mode, choice, x, y)
        if parties.mode.open and not self._open_modes:
            raise ModeError(
                f"{parties.mode} lets strangers call, and nothing says that 700 numbers may:"
                " it is off until AGI_ROUTER_OPEN_MODES is on"
            )
        try:
            return self._under_current_keys(
                lambda: self._bind_by_group(parties, terms, x, y, choice, tried=tried)
            )
        except (BindingConflict, NumberResting):
            # Somebody may have come to the number meanwhile.
            self._check_foreign(x, y)
            raise

    def _in_pool(
        self, terms: Terms, mode: Mode, choice: NumberPolicy, *numbers: XNumber | None
    ) -> NumberPolicy:
        """
        How numbers are chosen, within the pool that a binding is to be made in, if there is one.

        Raises:
            PoolNotFound: There is none of this name.
            RequestInvalid: Its mode is another one, or its operator digit.
            BlockNotFound: One of the *numbers* given is not of it.
        """
        if terms.pool is None:
            return choice
        pool = self.pools.find(terms.tenant, terms.pool)
        self._openings.keep_pool(pool)
        pool.check_numbers(numbers)
        return _narrow(pool, {mode}, choice)

    def _bind_by_group(
        self,
        parties: Parties,
        terms: Terms,
        x: XNumber | None,
        y: XNumber | None,
        choice: NumberPolicy,
        *,
        tried: Block | None,
    ) -> Binding:
        if parties.group is None:
            return self._bind_parties(parties, terms, x, y, choice, tried=tried)
        # Who is in the group stays so until it is bound.
        with self._queries.transaction():
            if self.counting:
                self.rules.hold(self.inventory.tenants.rules(terms.tenant))
            whole = parties.with_members(self._share_group(terms.tenant, parties.group))
            return self._bind_parties(whole, terms, x, y, choice, tried=tried)

    def _bind_parties(
        self,
        parties: Parties,
        terms: Terms,
        x: XNumber | None,
        y: XNumber | None,
        choice: NumberPolicy,
        *,
        tried: Block | None,
    ) -> Binding:
        plain = _is_plain(parties, x, y, choice)
        whose = terms.tenant, choice
        # Where none could be drawn, more are not asked for ahead.
        count = self._openings.ahead(whose) if plain and tried is None else 1
        opening = self.chooser.opening(terms.tenant, choice, count=count)
        check_expiry(terms.expires_at, opening.now)
        if y is not None and parties.numbers == 1:
            raise ModeError(f"a binding by {parties.mode} has one number")
        if plain:
            self._openings.keep(whose, opening)
        rules = self._check_rules(terms, opening)
        if self._is_counted(opening):
            self._openings.check_full(opening.tenant_id)
        # Not twice in one block: from what is free there one is chosen now.
        if plain and opening.first != tried and self._may_draw_in(opening):
            pool = None if terms.pool is None else self._openings.pool(terms.tenant, terms.pool)
            wish = Wish(binding_id=opening.binding_ids[0], parties=parties, terms=terms)
            drawn = self._draw_one(wish, Place(opening, pool))
            if drawn is not None:
                return drawn
        return self._bind_ruled(parties, terms, (x, y), choice, opening, rules)

    def _check_rules(self, terms: Terms, opening: OpenBlocks) -> TenantRules | None:
        """
        The rules of a tenant, if it has any; what is agreed names what they ask for.

        Raises:
            OrderMissing: See :meth:`TenantRules.check`.
            SceneUnknown: Ditto.
        """
        rules = opening.rules
        if rules is None and opening.needs_order:
            rules = self.inventory.tenants.rules(terms.tenant)
        if rules is not None:
            rules.check(order=terms.order_id, scene=terms.scene)
        return rules

    def _bind_ruled(  # noqa: PLR0917 - as they are asked for
        self,
        parties: Parties,
        terms: Terms,
        asked: tuple[XNumber | None, XNumber | None],
        choice: NumberPolicy,
        opening: OpenBlocks,
        rules: TenantRules | None,
    ) -> Binding:
        """
        Bind step by step, by the rules and within the quotas.
        """
        if opening.rules is None and not self._is_counted(opening):
            return self._bind_opened(parties, terms, asked, choice, opening)
        made = None
        try:
            with self._queries.transaction():
                if self.counting:
                    self.rules.hold_one(rules, parties, terms.order_id)
                order, stated = terms.order_id, terms.consent
                self.rules.check_known(rules, parties.people, order=order, stated=stated)
                made = self._bind_opened(parties, terms, asked, choice, opening)
                if rules is not None:
                    self.rules.write_stated(
                        rules, parties.people, order=order, stated=stated, binding=made.id
                    )
                    self.rules.check_made(rules, parties, terms.order_id, in_turn=self.counting)
                    people = {Side.A: parties.side_a, Side.B: parties.side_b}
                    # An import is held to what is of persons alone: it is no hurry of its
                    # tenant's.
                    self.rules.count_bind(rules, people, _dialled(made) if self.counting else ())
                if self._is_counted(opening):
                    self._take_quota(opening, 1)
        except (AgiRouterError, psycopg.Error):
            if made is not None:
                # It is gone with its transaction, unless a cell has committed it by itself.
                with suppress(AgiRouterError):
                    self._queries.row("unbind", {**name_values(made.id), "version": None})
            raise
        return made

    def _take_quota(self, opening: OpenBlocks, count: int) -> None:
        """
        Count what this transaction has made for a tenant, and with an API key.

        Raises:
            QuotaExceeded: It may not have so many: the transaction has to be undone.
        """
        # First: of two with one key, the second then holds nothing that the first waits for.
        if self.api_key is not None:
            take_key_quota(self._queries, self.api_key, count)
        if not opening.limited:
            return
        try:
            take_quota(self._queries, opening.tenant_id, count)
        except QuotaExceeded as error:
            self._openings.note_full(opening.tenant_id, error)
            raise

    def _bind_opened(
        self,
        parties: Parties,
        terms: Terms,
        asked: tuple[XNumber | None, XNumber | None],
        choice: NumberPolicy,
        opening: OpenBlocks,
    ) -> Binding:
        x, y = asked
        given = x or y
        columns = {
            **terms_columns(terms),
            "expires_at": terms.expires_at.isoformat(),
            "tenant_id": opening.tenant_id,
            # So that its values can be sealed for it.
            "id": opening.binding_ids[0],
            "pair_tag": self.chooser.pair_tag(parties, choice),
            "order_tag": self._order_tag(parties, terms),
        }
        if given is not None:
            self.chooser.check_open(given.block, opening)
            self._check_foreign(x, y)
        pairs = self.chooser.pairs(parties, opening, choice, x, y)
        # An import chooses its numbers as it likes.
        if opening.rules is not None and opening.rules.bind_rates.number.count and self.counting:
            pairs = self._within_rates(pairs, opening.rules, given)
        for numbers in pairs:
            try:
                made = self._bind(parties, numbers, columns, terms)
            except (BindingConflict, NumberLocked):
                # Another took the place between choosing and binding; or the number that they had
                # before is locked, at which the choice of it does not look.
                if given is None:
                    continue
                raise
            if made is not None:
                return made
            if given is not None:
                raise self._refusal(parties, numbers, opening)
        raise AssertionError("pairs() ends by an error")

    def _within_rates(
        self,
        pairs: Iterator[tuple[XNumber, XNumber]],
        rules: TenantRules,
        given: XNumber | None,
    ) -> Iterator[tuple[XNumber, XNumber]]:
        """
        Those of *pairs* on which one more binding may be made by the rates of a tenant.

        Raises:
            TooManyBinds: On the one that is given it may not, or on none that was tried.
            NoNumberAvailable: None is left, for other reasons.
        """
        refused: list[TooManyBinds] = []
        try:
            for numbers in pairs:
                try:
                    self.rules.check_numbers(rules, set(numbers))
                except TooManyBinds as error:
                    refused.append(error)
                    if given is not None or len(refused) == _BUSY:
                        raise
                else:
                    yield numbers
        except NoNumberAvailable:
            if refused:
                raise refused[-1] from None
            raise

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
        routes = self._seal(Wish(binding_id=binding_id, parties=parties, terms=terms), rows)
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

        def write() -> dict[str, Any] | None:
            with self._queries.attempt():
                return self._queries.row("bind", values)

        try:
            made = self._past_strangers(
                parties.people, numbers, block, lambda: terms.tenant, write
            )
        except psycopg.errors.UniqueViolation as error:
            if violated(error) == "route_alone":
                raise self._not_alone(parties.mode, block, rows) from None
            raise self._conflict(block, rows, violated(error)) from None
        if made is None:
            return None
        told = {"id": binding_id, **made, "expires_at": terms.expires_at.astimezone(UTC)}
        return new_binding(parties, terms, rows, told)

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


def wished_terms(
    request: BindRequest, *, default_ttl: timedelta
) -> tuple[Terms, timedelta | None]:
    """
    What is agreed, and how long it lives where its end is not said: the store reckons that.
    """
    return request.until(request.expires_at or _UNSAID), request.life(default_ttl)


def _dialled(made: Binding) -> set[XNumber]:
    """
    The numbers that the parties of a binding dial, as far as they are made.
    """
    return {party.dials for party in made.parties if party.dials is not None}


def _may_draw(request: BindRequest, choice: NumberPolicy) -> bool:
    """
    Whether a number may be drawn for what is asked for, and its end is said in one way at most.
    """
    twice = request.ttl is not None and request.expires_at is not None
    return _is_plain(request.parties, request.x, request.y, choice) and not twice


def _narrow(pool: Pool, modes: Collection[Mode], choice: NumberPolicy) -> NumberPolicy:
    """
    How numbers of a pool are chosen for bindings by these modes.

    Raises:
        RequestInvalid: Its mode is another one, or its operator digit.
    """
    for mode in modes:
        pool.check_mode(mode)
    return pool.narrow(choice)


def _is_plain(
    parties: Parties, x: XNumber | None, y: XNumber | None, choice: NumberPolicy
) -> bool:
    """
    Whether a number may be drawn for *parties*, who have given none.
    """
    return x is None and y is None and can_draw(parties, choice)

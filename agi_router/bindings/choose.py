"""
The choice of numbers: from a tenant's own blocks first, then from those shared by all.
"""

import random
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle
from typing import Any

from agi_router.bindings.modes import Parties
from agi_router.bindings.policy import Affinity, NumberPolicy
from agi_router.bindings.words import Mode
from agi_router.db.arrays import array_of_integers
from agi_router.db.connection import Queries
from agi_router.errors import (
    BlockNotFound,
    NoNumberAvailable,
    TenantNotFound,
)
from agi_router.inventory.capacity import Quarantine
from agi_router.inventory.store import InventoryStore
from agi_router.keys.ring import KeyRing
from agi_router.numbers import BLOCK_SIZE, Block, PhoneNumber, XNumber
from agi_router.tenants.rules import TenantRules, check_qualified

__all__ = ["NumberChooser", "OpenBlocks", "draw_numbers", "draw_stride"]

# So many numbers of a block are looked at at once, and so often; then blocks are looked through.
_ROUNDS = (64, 64, 64, 64)
# The last digits of what has no factor in common with the size of a block.
_COPRIME = (1, 3, 7, 9)
_CHUNK = 1000
_EXTENSIONS = 64
_FOREVER = timedelta(days=365 * 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBlocks:
    """
    Where a tenant may make new bindings, and what time it is there.

    Attributes:
        tenant_id: The tenant.
        limited: Whether it has a quota.
        needs_order: Whether its bindings need orders.
        rules: The rules that they are to keep to, if there are others, too.
        now: The store's time.
        own: Some of its own open blocks, drawn at random.
        shared: The same of those that are shared by all.
        digit: The operator digit that they have; :obj:`None` for any.
        blocks: Those that they are among; none: all.
        binding_ids: What new bindings are numbered by: their values are sealed before they are
            made.
    """

    tenant_id: int
    limited: bool
    needs_order: bool
    rules: TenantRules | None
    now: datetime
    own: Sequence[Block]
    shared: Sequence[Block]
    digit: int | None
    blocks: tuple[Block, ...]
    binding_ids: Sequence[int]

    @property
    def first(self) -> Block | None:
        """
        One of those that come first, if there is any: its own, or else a shared one.
        """
        return next(iter(self.own or self.shared), None)


class NumberChooser:
    """
    Where new bindings find their numbers.

    Args:
        queries: Where blocks and bindings are kept.
        keys: To see on which numbers a party is.
        quarantine: How long numbers are kept from new bindings.
        inventory: The blocks.
        discreet: Whether its words are for a tenant, who must not learn on how many numbers a
            party is by the bindings of others, nor which blocks are kept for them.
    """

    def __init__(
        self,
        queries: Queries,
        keys: KeyRing,
        quarantine: Quarantine,
        *,
        inventory: InventoryStore,
        discreet: bool = False,
    ) -> None:
        self._queries = queries
        self._keys = keys
        self._quarantine = quarantine
        self._inventory = inventory
        self._discreet = discreet

    def opening(self, tenant: str, choice: NumberPolicy, *, count: int = 1) -> OpenBlocks:
        """
        The blocks in which *tenant* may make new bindings now.

        Args:
            tenant: Its name.
            choice: How numbers are chosen.
            count: How many bindings.

        Raises:
            TenantNotFound: There is no such tenant, or it is suspended.
            TenantUnqualified: Its qualification is not valid.
        """
        digit = choice.operator_digit
        values = {
            "tenant": tenant,
            "digit": digit,
            "draws": len(_ROUNDS),
            "count": count,
            "blocks": _values(choice.blocks),
        }
        row = self._queries.row("find_opening", values)
        if row is None:
            raise TenantNotFound(f"there is no active tenant {tenant!r}")
        check_qualified(tenant, qualified=row["qualified"])
        return OpenBlocks(
            tenant_id=row["tenant_id"],
            limited=row["limited"],
            needs_order=row["needs_order"],
            rules=self._inventory.tenants.rules(tenant) if row["ruled"] else None,
            now=row["opened_at"],
            own=[Block(value=each) for each in row["own"]],
            shared=[Block(value=each) for each in row["shared"]],
            digit=digit,
            blocks=choice.blocks,
            binding_ids=row["binding_ids"],
        )

    def check_open(self, block: Block, opening: OpenBlocks) -> None:
        """
        Make sure that the tenant of *opening* may make new bindings in *block*.

        Raises:
            BlockNotFound: It is not ours.
            NoNumberAvailable: It takes no new bindings of this tenant.
        """
        row = self._find_block(block, opening)
        if self._discreet and (row is None or row["closed"] == "kept"):
            raise BlockNotFound(
                f"block {block} is not ours, or takes no new bindings of this tenant"
            )
        if row is None:
            raise BlockNotFound(
                f"block {block} is not ours: add it first with 'agi-router block add {block}'"
            )
        if row["closed"] is not None:
            raise NoNumberAvailable(
                f"block {block} takes no new bindings: it {_CLOSED[row['closed']][0]}"
            )

    def pairs(
        self,
        parties: Parties,
        opening: OpenBlocks,
        choice: NumberPolicy,
        x: XNumber | None = None,
        y: XNumber | None = None,
    ) -> Iterator[tuple[XNumber, XNumber]]:
        """
        Every pair of numbers worth trying for A and B, in order, until one can be bound.

        The numbers that the same parties had last come first, if they asked for that. A number
        that could not be bound is not tried again, nor is a block that closes meanwhile.

        Args:
            parties: Who is to be bound.
            opening: Where.
            choice: How those not given are chosen.
            x: The number of A, if it is given.
            y: The number of B, if it is given.

        Raises:
            NoNumberAvailable: None is left; says which rule took how many away.
        """
        given = x or y
        if given is None and (before := self.last_numbers(parties, opening, choice)) is not None:
            yield before
        for drawn in self.candidates(opening, given):
            left = drawn
            while (numbers := self.choose(parties, left, x, y, choice)) is not None:
                yield numbers
                left = [each for each in left if each not in numbers]
                block = self._find_block(numbers[0].block, opening)
                if block is None or block["closed"] is not None or {*numbers} <= {x, y}:
                    break
        raise self.explain_exhaustion(parties, opening, given, choice)

    def candidates(self, opening: OpenBlocks, given: XNumber | None) -> Iterator[list[XNumber]]:
        """
        Numbers to choose from, always of one block: a few at random, again, then whole blocks.

        Args:
            opening: The blocks.
            given: A number that is chosen already; then only its block.
        """
        kinds = (opening.own, opening.shared) if given is None else ((given.block,), ())
        for drawn in kinds:
            # Rounds go on where there are fewer blocks than rounds; none where there is no block.
            for size, block in zip(_ROUNDS, cycle(drawn), strict=False):
                yield [block.number(serial) for serial in _draw(size)]
        for block in self._open_blocks(opening, given):
            numbers = [x for x, _ in self._inventory.unrested(block)]
            random.SystemRandom().shuffle(numbers)
            for start in range(0, len(numbers), _CHUNK):
                yield numbers[start : start + _CHUNK]

    def choose(
        self,
        parties: Parties,
        candidates: Sequence[XNumber],
        x: XNumber | None,
        y: XNumber | None,
        choice: NumberPolicy,
    ) -> tuple[XNumber, XNumber] | None:
        """
        The numbers of A and of B, out of *candidates* where they are not given; all of one block.
        """
        if parties.mode.open and x is None:
            candidates = self._free_of_others(parties.mode, candidates)

        def pick(callers: Sequence[PhoneNumber], but: XNumber | None) -> XNumber | None:
            return self._choose_x(callers, [each for each in candidates if each != but], choice)

        if parties.numbers == 1:
            one = x or pick((*parties.side_a, *parties.side_b), None)
            return None if one is None else (one, one)
        a_number = x or pick(parties.side_a, y)
        b_number = y or pick(parties.side_b, a_number)
        if b_number is None and x is None:
            # A may have been given the only number that is free for B.
            b_number = pick(parties.side_b, None)
            a_number = pick(parties.side_a, b_number)
        return None if a_number is None or b_number is None else (a_number, b_number)

    def choose_extension(self, x_number: XNumber) -> str:
        """
        An extension on *x_number* that nobody has or had.

        Raises:
            NoNumberAvailable: Of those tried none is free.
        """
        drawn = _draw(_EXTENSIONS)
        places = {
            # Under every key: while keys are rotated one may be there by an old tag.
            tag: extension
            for extension in (f"{each:04}" for each in drawn)
            for tag in self._keys.extension_tags(extension)
        }
        taken = self._queries.rows(
            "list_taken",
            {
                "block": x_number.block.value,
                "x_number": x_number.value,
                "caller_tag": list(places),
            },
        )
        held = {places[row["caller_tag"]] for row in taken}
        free = next((each for each in places.values() if each not in held), None)
        if free is None:
            raise NoNumberAvailable(f"no extension is free on {x_number}; choose another number")
        return free

    def last_numbers(
        self, parties: Parties, opening: OpenBlocks, choice: NumberPolicy
    ) -> tuple[XNumber, XNumber] | None:
        """
        The numbers that the same parties had last, if they asked to be remembered then.
        """
        if choice.same_x is not Affinity.PREFER:
            return None
        row = self._queries.row(
            "find_pair",
            {
                "pair_tags": self._keys.pair_tags((*parties.side_a, *parties.side_b)),
                "tenant_id": opening.tenant_id,
                "mode": parties.mode,
            },
        )
        if row is None:
            return None
        a_number, b_number = XNumber.from_int(row["x_number"]), XNumber.from_int(row["shown"])
        block = self._find_block(a_number.block, opening)
        if block is None or block["closed"] is not None:
            return None
        # The sides may have changed places since.
        if all(row["caller_tag"] not in self._keys.tags(each) for each in parties.side_a):
            return b_number, a_number
        return a_number, b_number

    def pair_tag(self, parties: Parties, choice: NumberPolicy) -> int | None:
        """
        What parties who ask for the same number again are known by; :obj:`None` for others.
        """
        if choice.same_x is not Affinity.PREFER:
            return None
        return self._keys.pair_tag((*parties.side_a, *parties.side_b))

    def explain_exhaustion(
        self, parties: Parties, opening: OpenBlocks, given: XNumber | None, choice: NumberPolicy
    ) -> NoNumberAvailable:
        """
        The error for a choice that found nothing: which rule took how many numbers away.

        A tenant is told so of its own blocks alone, where nobody else is bound.
        """
        blocks = self._open_blocks(opening, given, own=self._discreet)
        if self._discreet and not blocks:
            return NoNumberAvailable("no 700 number can be had for these parties")
        groups = (
            [(*parties.side_a, *parties.side_b)]
            if parties.numbers == 1
            else [parties.side_a, parties.side_b]
        )
        resting, met = 0, [0 for _ in groups]
        for block in blocks:
            unrested = [x for x, _ in self._inventory.unrested(block)]
            resting += BLOCK_SIZE - len(unrested)
            for place, callers in enumerate(groups):
                row = self._queries.row(
                    "count_met", self._looked_at(callers, unrested, choice, block)
                )
                met[place] += 0 if row is None else row["numbers"]
        rules = {"resting": resting, "party_met": max(met)} if blocks else {}
        words = [
            f"of {len(blocks) * BLOCK_SIZE:,} numbers in {len(blocks)} open block(s)"
            f" {resting:,} rest, and on {max(met):,} more one of the parties is already or was"
            " not long ago"
            if blocks
            else "no block is open"
        ]
        if self._discreet:
            told = f"no 700 number can be had: {words[0]}; wait, or unbind"
            return NoNumberAvailable(told, rules=rules)
        closed = self._queries.rows("count_closed", _asked(opening))
        if given is None:
            words += [f"{row['blocks']} {_CLOSED[row['closed']][1]}" for row in closed]
            rules |= {row["closed"]: row["blocks"] * BLOCK_SIZE for row in closed}
            if not blocks and not closed:
                words = ["no block is ours"]
        return NoNumberAvailable(
            f"no 700 number can be had: {'; '.join(words)}; wait, unbind, or add a block with"
            " 'agi-router block add'",
            rules=rules,
        )

    def _find_block(self, block: Block, opening: OpenBlocks) -> dict[str, Any] | None:
        return self._queries.row("find_block", {"block": block.value, **_asked(opening)})

    def _open_blocks(
        self, opening: OpenBlocks, given: XNumber | None, *, own: bool = False
    ) -> list[Block]:
        """
        Where a number may be had now: the block of a given one, or all that are open.

        Args:
            opening: The blocks.
            given: A number that is chosen already.
            own: Only those that are kept for the tenant.
        """
        if given is not None and not own:
            return [given.block]
        rows = self._queries.rows("list_open_blocks", _asked(opening))
        found = [Block(value=row["block"]) for row in rows if row["own"] or not own]
        return found if given is None else [each for each in found if each == given.block]

    def _choose_x(
        self, callers: Sequence[PhoneNumber], candidates: Sequence[XNumber], choice: NumberPolicy
    ) -> XNumber | None:
        if not candidates:
            return None
        block = candidates[0].block
        row = self._queries.row("choose_x", self._looked_at(callers, candidates, choice, block))
        return None if row is None else XNumber.from_int(row["x_number"])

    def _looked_at(
        self,
        callers: Sequence[PhoneNumber],
        candidates: Sequence[XNumber],
        choice: NumberPolicy,
        block: Block,
    ) -> dict[str, Any]:
        return {
            "block": block.value,
            "x_number": array_of_integers(x.value for x in candidates),
            "tags": self.tags(callers),
            **self._spans(choice),
        }

    def tags(self, callers: Sequence[PhoneNumber]) -> str:
        """
        Those of *callers* under every key: while keys are rotated one may be there by an old tag.
        """
        return array_of_integers(tag for each in callers for tag in self._keys.tags(each))

    def _spans(self, choice: NumberPolicy) -> dict[str, timedelta]:
        """
        How long numbers and parties rest, as far as a choice goes by it.
        """
        party = _FOREVER if choice.same_x is Affinity.AVOID else self._quarantine.party
        return {"number_quarantine": self._quarantine.number, "party_quarantine": party}

    def _free_of_others(self, mode: Mode, candidates: Sequence[XNumber]) -> list[XNumber]:
        if not candidates:
            return []
        values = {
            "block": candidates[0].block.value,
            "x_number": array_of_integers(x.value for x in candidates),
            "mode": mode,
        }
        rows = self._queries.rows("list_free", values)
        return [XNumber.from_int(row["x_number"]) for row in rows]


def draw_numbers(block: Block, count: int) -> list[XNumber]:
    """
    Numbers of *block* for so many bindings, at random; all of them different.
    """
    return list(map(block.number, _draw(count)))


def draw_stride() -> int:
    """
    How far the numbers lie apart that are looked through from one that was drawn.

    At random; by such steps one comes to all numbers of a block.
    """
    # Drawn at once: each draw asks the kernel.
    tens, last = divmod(secrets.randbelow(BLOCK_SIZE // 10 * len(_COPRIME)), len(_COPRIME))
    return 10 * tens + _COPRIME[last]


def _asked(opening: OpenBlocks) -> dict[str, Any]:
    """
    Whose blocks are looked for, and which.
    """
    return {
        "tenant_id": opening.tenant_id,
        "digit": opening.digit,
        "blocks": _values(opening.blocks),
    }


def _values(blocks: Sequence[Block]) -> list[int]:
    return [block.value for block in blocks]


def _draw(size: int) -> list[int]:
    """
    Some numbers of a block, at random, which nobody is to guess.
    """
    if size == 1:
        return [secrets.randbelow(BLOCK_SIZE)]  # in a quarter of the time
    return random.SystemRandom().sample(range(BLOCK_SIZE), size)


# What closes a block: said of one, and of a number of them.
_CLOSED = {
    "draining": ("is draining", "block(s) draining"),
    "returned": ("was returned", "block(s) returned"),
    "locked": ("is locked", "block(s) locked"),
    "away": ("is in a cell that is away", "block(s) in cells that are away"),
    "uncertified": (
        "lies outside the dates of its certificate",
        "block(s) outside the dates of their certificates",
    ),
    "kept": ("is kept for another tenant", "block(s) kept for other tenants"),
    "digit": (
        "has another operator digit than the one asked for",
        "block(s) with another operator digit",
    ),
    "pool": ("is not of the pool asked for", "block(s) outside the pool"),
}

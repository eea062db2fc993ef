"""
The management store: blocks, bindings and call records, for the command line.

Every change is one statement: it is done whole or not at all.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from agi_router.adapters.database import Connection, translated
from agi_router.adapters.facts import read_admission
from agi_router.adapters.queries import query
from agi_router.errors import (
    BindingConflict,
    BindingEnded,
    BindingNotFound,
    BlockExists,
    BlockNotFound,
    ExpiryInvalid,
    KeyMismatch,
    NoNumberAvailable,
    StoreError,
)
from agi_router.model import BindingState, Call, Counting, Direction, Language, RouteRow, Side
from agi_router.modes import Parties, compile_routes, mode_of
from agi_router.numbers import E164, Block, XNumber
from agi_router.ports import Admission
from agi_router.seal import KeyKind, KeyRing

__all__ = [
    "LONGEST_LIFE",
    "BindingId",
    "BindingStore",
    "Party",
    "StoredBinding",
    "Terms",
    "check_keys",
]

LONGEST_LIFE = timedelta(days=90)
"""A binding may not live longer; "never" would contradict that an order ends."""

_CANDIDATES = 64
_ROUNDS = 8
_BLOCK_SIZE = 10_000


@dataclass(frozen=True, slots=True, order=True)
class BindingId:
    """
    The name of a binding, ``<block>-<id>``: the block tells where it is kept.
    """

    block: Block
    id: int

    @classmethod
    def parse(cls, text: str) -> "BindingId":
        """
        Read a binding's name.

        Raises:
            BindingNotFound: The text names no binding that could exist.
        """
        block, _, serial = text.strip().partition("-")
        try:
            if not (serial.isascii() and serial.isdigit()):
                raise BindingNotFound("a binding's id looks like 70012345678-1")
            return cls(Block.parse(block), min(int(serial[:19]), 2**63 - 1))
        except ValueError:
            raise BindingNotFound("a binding's id looks like 70012345678-1") from None

    def __str__(self) -> str:
        return f"{self.block}-{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """
    What is agreed for a binding beside its parties.
    """

    expires_at: datetime
    max_calls: int | None = None
    counting: Counting = Counting.ANSWERED
    direction: Direction = Direction.BOTH
    ring_timeout: timedelta | None = None
    max_duration: timedelta | None = None
    language: Language | None = None
    order_id: str | None = None
    tenant: str = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """
    One party of a stored binding, and the number it dials.
    """

    side: Side
    number: E164
    dials: XNumber


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBinding:
    """
    A binding as it is kept.
    """

    id: BindingId
    mode: str
    state: BindingState
    tenant: str
    order_id: str | None
    begins_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    max_calls: int | None
    calls_used: int
    counting: Counting
    direction: Direction
    ring_timeout: timedelta | None
    max_duration: timedelta | None
    language: Language | None
    parties: tuple[Party, ...]


def check_keys(connection: Connection, keys: KeyRing) -> None:
    """
    Make sure that *keys* are those of this database; new ones are remembered.

    Raises:
        KeyMismatch: Another key of the same id was used here, or a key used here is missing.
    """
    ours = keys.fingerprints()
    # All new keys at once, and in one order: of two programs with different keys one comes first.
    with translated(), connection.transaction():
        known = _known_keys(connection, ours)
        for kind, number in sorted(ours.keys() - known):
            connection.execute(
                query("remember_key"),
                {"kind": kind, "id": number, "fingerprint": ours[kind, number]},
            )
        if ours.keys() - known:
            _known_keys(connection, ours)


def _known_keys(
    connection: Connection, ours: Mapping[tuple[KeyKind, int], bytes]
) -> set[tuple[KeyKind, int]]:
    """
    The keys used here before, all of which are *ours*.

    Raises:
        KeyMismatch: One of them is not.
    """
    known = {
        (row["kind"], row["id"]): row["fingerprint"]
        for row in connection.execute(query("list_keys")).fetchall()
    }
    for name, fingerprint in known.items():
        if ours.get(name) != fingerprint:
            raise KeyMismatch
    return set(known)


class BindingStore:
    """
    Where bindings are made, changed and looked at.

    Args:
        connection: See :func:`agi_router.adapters.database.connect`.
        keys: To tag and seal the parties' numbers.
    """

    def __init__(self, connection: Connection, keys: KeyRing) -> None:
        self._connection = connection
        self._keys = keys

    def now(self) -> datetime:
        """
        The database's clock, which alone judges expiry.
        """
        row = self._one("now", {})
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        return row["clock_timestamp"]  # type: ignore[no-any-return]

    def bind(self, parties: Parties, terms: Terms, *, x: XNumber | None = None) -> StoredBinding:
        """
        Bind *parties* on *x*, or on a number that is chosen for them.

        Raises:
            SameParty: A party would be bound with itself.
            ExpiryInvalid: The binding would end before it begins, or live too long.
            BlockNotFound: *x* lies in no block of ours.
            BindingConflict: A party is on *x* already.
            NoNumberAvailable: No number can be chosen; says why.
        """
        self._check_expiry(terms.expires_at)
        tenant_id = self._find_tenant(terms.tenant)
        if x is not None:
            self._check_block(Block(value=x.block), tenant_id)
            return self._bind(compile_routes(parties, x), parties, terms, tenant_id)
        for candidates in self._candidates(tenant_id):
            # Somebody else may take the place between choosing and binding: choose again.
            while (chosen := self._choose(parties, candidates)) is not None:
                try:
                    return self._bind(compile_routes(parties, chosen), parties, terms, tenant_id)
                except BindingConflict:
                    continue
        raise NoNumberAvailable(
            "no 700 number is free for these parties: on every number of the open blocks one of"
            " them is bound already; unbind, wait for an expiry, or add a block"
        )

    def unbind(self, name: BindingId) -> StoredBinding:
        """
        End a binding now; calls that are up go on.

        Raises:
            BindingNotFound: There is none.
            BindingEnded: It is over already.
        """
        if self._one("unbind", _key(name)) is None:
            raise self._over(self.find(name))
        return self.find(name)

    def extend(self, name: BindingId, expires_at: datetime) -> StoredBinding:
        """
        Move a binding's end to a later time.

        Raises:
            BindingNotFound: There is none.
            BindingEnded: It is over already.
            ExpiryInvalid: The new end is in the past, or earlier than the one it has.
        """
        self._check_expiry(expires_at)
        if self._one("extend", {**_key(name), "expires_at": expires_at}) is None:
            found = self.find(name)
            if found.state is not BindingState.ACTIVE:
                raise self._over(found)
            raise ExpiryInvalid(
                "the binding would end earlier than it does now; it can only be extended"
            )
        return self.find(name)

    def find(self, name: BindingId) -> StoredBinding:
        """
        One binding.

        Raises:
            BindingNotFound: There is none.
        """
        row = self._one("find_binding", _key(name))
        if row is None:
            raise BindingNotFound(f"there is no binding {name}")
        return self._read([row])[0]

    def bindings(
        self, *, everything: bool, order_id: str | None, limit: int
    ) -> list[StoredBinding]:
        """
        Bindings, newest first; those that are over only if *everything* is asked for.
        """
        values = {"all": everything, "order_id": order_id, "limit": limit}
        return self._read(self._all("list_bindings", values))

    def facts(self, call: Call, *, at: datetime | None) -> Admission:
        """
        The facts about *call* at a time, nothing taken; uses are counted as they stand now.
        """
        x_number = call.x_number
        row = self._one(
            "find_facts",
            {
                "block": x_number.block,
                "x_number": x_number.value,
                "tags": [*self._keys.tags(x_number, call.caller), 0],
                "at": at,
            },
        )
        assert row is not None  # noqa: S101 - the function returns one row always
        return read_admission(row, x_number, self._keys)

    def calls(self, *, since: datetime, limit: int) -> list[dict[str, Any]]:
        """
        Call records since a time, newest first.
        """
        return self._all("list_calls", {"since": since, "limit": limit})

    def add_block(
        self, block: Block, *, operator: str | None, certificate: str | None
    ) -> dict[str, Any]:
        """
        Add a managed block.

        Raises:
            BlockExists: It is there already.
        """
        values = {"block": block.value, "operator": operator, "certificate": certificate}
        row = self._one("add_block", values)
        if row is None:
            raise BlockExists(f"block {block} is already there")
        return row

    def blocks(self) -> list[dict[str, Any]]:
        """
        All blocks, with how many bindings live in each.
        """
        return self._all("list_blocks", {})

    def _bind(
        self, rows: Sequence[RouteRow], parties: Parties, terms: Terms, tenant_id: int
    ) -> StoredBinding:
        tags = [self._tag(row.x_number, row.caller) for row in rows]
        block = Block(value=rows[0].x_number.block)
        values = {
            "block": block.value,
            "tenant_id": tenant_id,
            "mode": mode_of(parties),
            "expires_at": terms.expires_at,
            "max_calls": terms.max_calls,
            "counting": terms.counting,
            "direction": terms.direction,
            "ring_timeout": _seconds(terms.ring_timeout),
            "max_duration": _seconds(terms.max_duration),
            "language": terms.language,
            "order_id": terms.order_id,
            "x_number": [row.x_number.value for row in rows],
            "caller_tag": tags,
            "shown": [row.shown.value for row in rows],
            "side": [row.side for row in rows],
            "callee": [
                self._keys.seal(row.callee, x=row.x_number, tag=tag)
                for row, tag in zip(rows, tags, strict=True)
            ],
        }
        try:
            row = self._one("bind", values)
        except psycopg.errors.UniqueViolation as error:
            raise self._conflict(block, rows, tags, error.diag.constraint_name) from None
        assert row is not None  # noqa: S101 - the function returns one row, or raises
        return self.find(BindingId(block, row["id"]))

    def _conflict(
        self, block: Block, rows: Sequence[RouteRow], tags: Sequence[int], constraint: str | None
    ) -> BindingConflict:
        held = self._all(
            "find_conflict",
            {
                "block": block.value,
                "x_number": [row.x_number.value for row in rows],
                "caller_tag": list(tags),
            },
        )
        who = {(row.x_number.value, tag): row.caller for row, tag in zip(rows, tags, strict=True)}
        words = [
            f"{who[each['x_number'], each['caller_tag']] or 'anyone'} is on {each['x_number']}"
            f" already, by binding {BindingId(block, each['binding_id'])}"
            for each in held
        ]
        return BindingConflict(
            "; ".join(words) + "; unbind it, or choose another number" if words else None,
            constraint=constraint,
        )

    def _choose(self, parties: Parties, candidates: Sequence[XNumber]) -> XNumber | None:
        pairs = [
            (row.x_number.value, self._tag(row.x_number, row.caller))
            for x in candidates
            for row in compile_routes(parties, x)
        ]
        row = self._one(
            "choose_x",
            {
                "x_number": [x_number for x_number, _ in pairs],
                "caller_tag": [tag for _, tag in pairs],
            },
        )
        return None if row is None else XNumber.from_int(row["x_number"])

    def _candidates(self, tenant_id: int) -> Iterator[list[XNumber]]:
        """
        Numbers to choose from: a few at random, again, then whole blocks one after the other.
        """
        blocks = [
            Block(value=row["block"])
            for row in self._all("list_open_blocks", {"tenant_id": tenant_id})
        ]
        if not blocks:
            raise NoNumberAvailable(
                "no block is open for new bindings: add one with 'agi-router block add'"
            )
        pick = random.SystemRandom()
        for _ in range(_ROUNDS):
            serials = [pick.randrange(_BLOCK_SIZE) for _ in range(_CANDIDATES)]
            yield [pick.choice(blocks).number(serial) for serial in serials]
        for block in blocks:
            yield [block.number(serial) for serial in range(_BLOCK_SIZE)]

    def _tag(self, x_number: XNumber, caller: E164 | None) -> int:
        return 0 if caller is None else self._keys.tag(x_number, caller)

    def _check_expiry(self, expires_at: datetime) -> None:
        now = self.now()
        if expires_at <= now:
            raise ExpiryInvalid("the expiry is in the past")
        if expires_at > now + LONGEST_LIFE:
            raise ExpiryInvalid(f"a binding may live {LONGEST_LIFE.days} days at most")

    def _check_block(self, block: Block, tenant_id: int) -> None:
        row = self._one("find_block", {"block": block.value, "tenant_id": tenant_id})
        if row is None:
            raise BlockNotFound(
                f"block {block} is not ours: add it first with 'agi-router block add {block}'"
            )
        if not row["open"]:
            raise NoNumberAvailable(
                f"block {block} takes no new bindings: it is draining or returned, its"
                " certificate is not valid, or it is kept for another tenant"
            )

    def _find_tenant(self, name: str) -> int:
        row = self._one("find_tenant", {"name": name})
        if row is None:
            raise StoreError(f"there is no active tenant {name!r}")
        return row["id"]  # type: ignore[no-any-return]

    def _over(self, found: StoredBinding) -> BindingEnded:
        return BindingEnded(f"binding {found.id} is over ({found.state}); make a new one")

    def _read(self, rows: Sequence[dict[str, Any]]) -> list[StoredBinding]:
        routes = self._all(
            "list_routes",
            {"block": [row["block"] for row in rows], "id": [row["id"] for row in rows]},
        )
        parties: dict[tuple[int, int], list[Party]] = {}
        for route in routes:
            parties.setdefault((route["block"], route["binding_id"]), []).append(
                self._party(route)
            )
        return [_read_binding(row, parties.get((row["block"], row["id"]), ())) for row in rows]

    def _party(self, route: dict[str, Any]) -> Party:
        # A callee stands on the other side, and dials the number it is shown.
        x_number = XNumber.from_int(route["x_number"])
        return Party(
            side=Side.B if route["side"] == Side.A else Side.A,
            number=self._keys.open(route["callee"], x=x_number, tag=route["caller_tag"]),
            dials=XNumber.from_int(route["shown"]),
        )

    def _one(self, name: str, values: dict[str, Any]) -> dict[str, Any] | None:
        with translated(but=psycopg.errors.UniqueViolation):
            return self._connection.execute(query(name), values).fetchone()

    def _all(self, name: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        with translated():
            return self._connection.execute(query(name), values).fetchall()


def _key(name: BindingId) -> dict[str, int]:
    return {"block": name.block.value, "id": name.id}


def _read_binding(row: dict[str, Any], parties: Iterable[Party]) -> StoredBinding:
    state = BindingState(row["state"])
    ended_at = row["ended_at"]
    if state is BindingState.ACTIVE and row["expires_at"] <= row["now"]:
        # Nobody has noticed yet; the clock ended it.
        state, ended_at = BindingState.EXPIRED, row["expires_at"]
    return StoredBinding(
        id=BindingId(Block(value=row["block"]), row["id"]),
        mode=row["mode"],
        state=state,
        tenant=row["tenant"],
        order_id=row["order_id"],
        begins_at=row["begins_at"],
        expires_at=row["expires_at"],
        ended_at=ended_at,
        max_calls=row["max_calls"],
        calls_used=row["calls_used"],
        counting=Counting(row["counting"]),
        direction=Direction(row["direction"]),
        ring_timeout=_span(row["ring_timeout"]),
        max_duration=_span(row["max_duration"]),
        language=None if row["language"] is None else Language(row["language"]),
        parties=tuple(sorted(set(parties), key=lambda party: (party.side, party.number.digits))),
    )


def _seconds(value: timedelta | None) -> int | None:
    return None if value is None else int(value.total_seconds())


def _span(value: int | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=value)

"""Texts in any order of events: what was accepted has arrived, waits, or has ended by a reason."""

from __future__ import annotations

import contextlib
import random
import secrets
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from postgres.test_messages_agree import asked

from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Messages
from agi_router.calls.rows import read_admission
from agi_router.db.connection import Connection
from agi_router.db.queries import query
from agi_router.errors import MessageNotHeld, MessageOver
from agi_router.keys.ring import KeyRing
from agi_router.messages.decision import Taken, decide_text
from agi_router.messages.model import CARRIED, LEASE, MessageState, Text, name_message
from agi_router.messages.records import MessageRecords
from harness.database import NO_REST, bind, set_clock
from harness.values import BLOCK, A, B, X, Y

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
# After one lease another process takes it; a text is tried for a day.
WAITS = (SECOND, 10 * SECOND, *[LEASE + SECOND] * 6, HOUR, 25 * HOUR)
LIMIT = 12
STEPS = 150
# Of these a use does not come back.
KEPT = ("held", "queued", "sent", "delivered", "unknown")
OUTCOMES = ("parts", "parts", "part", "sent", "silent", "busy", "refused", "lost", "died")


@dataclass(frozen=True)
class Hand:
    """A text that a process has in hand; perhaps it has been away for long."""

    id: str
    attempts: int
    ended: str | None = None
    over: bool = False


class Machine:
    """Texts by two bindings with a limit, and processes that die or thaw."""

    def __init__(self, connection: Connection, keys: KeyRing, chance: random.Random) -> None:
        self.connection, self.keys, self.chance = connection, keys, chance
        self.now = START
        self.accepted: list[str] = []
        self.requests: list[bytes] = []
        self.hands: list[Hand] = []
        self.carried: list[str] = []
        # Those of which a message centre has taken something.
        self.parted = ["0"]
        self.arrived: Counter[str] = Counter()
        set_clock(connection, self.now)
        store = BindingStore(connection, keys, NO_REST)
        store.inventory.add_block(BLOCK, operator=None, certificate=None)
        for number in (X, Y):
            bind(store, x=number, life=1000 * HOUR, messages=Messages.BOTH, max_messages=LIMIT)
        self.records = MessageRecords(connection)

    def ask(self, name: str, **values: Any) -> list[dict[str, Any]]:
        """Ask by a query."""
        return self.connection.execute(query(name), values).fetchall()

    def send(self) -> None:
        """One that is new, or comes again; judged by rules that hold, or by others."""
        chance = self.chance
        caller, number = chance.choice([A, B]), chance.choice([X, Y])
        rules = chance.choice([None, None, None, 1])
        hold = chance.choice([*[None] * 5, 2 * LEASE])
        lease = LEASE if hold is None and chance.random() < 0.5 else None
        name = name_message(BLOCK, self.now, secrets.randbits(64))
        values = asked(self.keys, caller, number, name)
        again = bool(self.requests) and chance.random() < 0.2
        if again:
            values["same"] = chance.choice(self.requests)
        carried = chance.random() < 0.15
        if carried:
            # Its carrier keeps it.
            hold = lease = None
            values |= {"body": None, "link_in": CARRIED}
        values |= {"rules": rules, "hold": hold, "lease": lease}
        [row] = self.ask("admit_message", **values)
        if row["admitted"] is None:
            assert again
            return
        answer = read_admission(row, caller, number, self.keys, text=True)
        text = Text(sender=caller, x_number=number, body="a")
        decided = isinstance(decide_text(text, answer.facts, now=answer.now), Taken)
        assert answer.admitted is (decided and rules is None)
        if answer.admitted:
            self.accepted.append(name)
            self.requests.append(values["same"])
            if lease is not None:
                self.hands.append(Hand(name, 1))
            if carried:
                self.carried.append(name)
                self.arrived[name] = 1

    def take(self) -> None:
        """A process looks what is due."""
        for row in self.ask("take_messages", link="sip", limit=3, lease=LEASE):
            self.hands.append(Hand(row["id"], row["attempts"], row["ended"], over=row["over"]))

    def try_one(self) -> None:
        """A try of one in hand ends somehow; its process may have lost it long ago."""
        if not self.hands:
            return
        hand = self.hands.pop(self.chance.randrange(len(self.hands)))
        outcome = self.chance.choice(OUTCOMES)
        own = {"block": BLOCK.value, "id": hand.id}
        if hand.ended is not None or hand.over:
            state = "expired" if hand.over else "failed"
            if outcome != "died":
                self.finish(hand, state, hand.ended or "expired")
            return
        self.arrived[hand.id] += outcome in {"parts", "part", "sent", "silent", "died"}
        match outcome:
            case "sent":
                self.finish(hand, "sent", None)
            case "refused":
                self.finish(hand, "failed", "refused")
            case "busy" | "silent":
                known = outcome == "busy"
                later = {"attempts": hand.attempts, "pause": 5 * SECOND, "known": known}
                self.connection.execute(query("put_off_message"), {**own, **later})
            case "part" | "parts":
                parts = [1, 2] if outcome == "parts" else [1]
                self.parted.append(hand.id)
                taken = {"parts": parts, "remote_ids": [f"{hand.id}/{part}" for part in parts]}
                self.ask("note_sent_parts", **own, **taken, link="sip", total=2, status=0)

    def finish(self, hand: Hand, state: str, reason: str | None) -> None:
        """Write the end of a try."""
        own = {"block": BLOCK.value, "id": hand.id, "attempts": hand.attempts}
        self.ask("finish_message", **own, state=state, reason=reason, status=None)

    def receipts(self) -> None:
        """Some come, perhaps before the answers that they belong to, and perhaps again."""
        name = self.chance.choice(self.parted if self.chance.random() < 0.8 else self.accepted)
        for part in self.chance.sample([1, 2], self.chance.choice([1, 2, 2])):
            state = self.chance.choice(["delivered", "delivered", "undelivered", "unknown"])
            self.ask("note_receipt", link="sip", remote_id=f"{name}/{part}", state=state)

    def report(self) -> None:
        """A carrier tells what has become of one that it keeps, perhaps something else again."""
        if self.carried:
            name = self.chance.choice(self.carried)
            states = [MessageState.DELIVERED, MessageState.UNDELIVERED, MessageState.UNKNOWN]
            with contextlib.suppress(MessageOver):
                self.records.report(name, self.chance.choice(states))

    def decide(self) -> None:
        """Its tenant lets one go, or throws it away."""
        name = self.chance.choice(self.accepted)
        act = self.chance.choice([self.records.release, self.records.discard])
        with contextlib.suppress(MessageNotHeld, MessageOver):
            act(name)

    def hold(self) -> None:
        """A binding is held, or released."""
        self.become(self.chance.choice(["held", "active", "active"]), ended=None)

    def end(self) -> None:
        """A binding ends."""
        state = self.chance.choice(["unbound", "consent_withdrawn", "party_recycled"])
        self.become(state, ended=self.now)

    def become(self, state: str, *, ended: datetime | None) -> None:
        """Say what a binding is."""
        self.connection.execute(
            "UPDATE agi_router.binding b SET state = %s, ended_at = %s FROM agi_router.route r"
            " WHERE r.block = b.block AND r.binding_id = b.id AND r.x_number = %s"
            " AND b.ended_at IS NULL",
            (state, ended, self.chance.choice([X, Y]).value),
        )

    def wait(self, by: timedelta | None = None) -> None:
        """Time goes by."""
        self.now += by or self.chance.choice(WAITS)
        set_clock(self.connection, self.now)

    def step(self) -> None:
        """Something happens."""
        acts = [self.send, self.take, self.try_one, self.wait, self.receipts, self.decide]
        weights = [80, 60, 100, 60, 40, 10]
        if not self.accepted:
            acts, weights = [self.send], [300]
        acts = [*acts, self.hold, self.end, self.report]
        weights = [*weights, 20, 1, 10]
        self.chance.choices(acts, weights)[0]()

    def rows(self) -> dict[str, dict[str, Any]]:
        """All texts, with what is owed of them."""
        rows = self.connection.execute(
            "SELECT m.id, m.state, m.reason, m.binding_id, o.id IS NOT NULL AS owed,"
            " coalesce(o.maybe_twice OR o.in_hand, m.maybe_twice) AS marked"
            " FROM agi_router.message m"
            " FULL JOIN agi_router.message_out o ON o.block = m.block AND o.id = m.id"
        ).fetchall()
        return {row["id"]: row for row in rows}

    def check(self) -> None:
        """Each has arrived, is owed, or has ended by a reason; copies are marked, uses exact."""
        rows = self.rows()
        assert rows.keys() == set(self.accepted)
        for name, row in rows.items():
            assert row["owed"] is (row["state"] in {"held", "queued"}), row
            assert (row["reason"] is not None) is (row["state"] in {"failed", "expired"}), row
            assert row["owed"] or row["reason"] is not None or self.arrived[name], row
            assert row["marked"] or self.arrived[name] <= 1, row
        used = Counter(row["binding_id"] for row in rows.values() if row["state"] in KEPT)
        found = self.connection.execute(
            b"SELECT id, messages_used FROM agi_router.binding"
        ).fetchall()
        assert {row["id"]: row["messages_used"] for row in found} == {
            row["id"]: used[row["id"]] for row in found
        }
        assert max(used.values(), default=0) <= LIMIT

    def drain(self) -> None:
        """Whatever has died, in the end none is owed."""
        while any(row["owed"] for row in self.rows().values()):
            self.wait(HOUR)
            self.take()
            while self.hands:
                self.try_one()
        self.check()


def test_lives(shadowed: Connection, keys: KeyRing) -> None:
    """Nothing is lost, doubled unmarked, or counted wrong; and all there is has happened."""
    seen: Counter[str] = Counter()
    for seed in range(8):
        with shadowed.transaction(force_rollback=True):
            machine = Machine(shadowed, keys, random.Random(seed))  # noqa: S311 - told by its seed
            for number in range(STEPS):
                machine.step()
                try:
                    machine.check()
                except AssertionError as error:
                    raise AssertionError(f"seed {seed}, step {number}") from error
            machine.drain()
            seen.update(row["reason"] or row["state"] for row in machine.rows().values())
    ends = {"sent", "delivered", "undelivered", "unknown", "expired"}
    assert seen.keys() >= ends | {"refused", "discarded", "hold_expired", "recycle_unknown"}, seen

"""
Refusals on a real Asterisk: every row of docs/refusals.md is a call, and all are made at once.
"""

from __future__ import annotations

import re
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest

from agi_router.bindings.reasons import Reason
from agi_router.bindings.words import Side
from agi_router.db.connection import Queries, connect
from agi_router.keys.file import load_key_ring
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import Purpose, Row
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import LockedThing
from agi_router.persons.store import LockStore
from calls import test_faults, test_limits, test_merged, test_old_numbers
from calls.conftest import OPEN, Serving
from calls.sound import listening
from calls.test_locks import put_tone
from harness.cli import run
from harness.pbx import Cli, expire, unused_number
from harness.prompts import restored
from harness.verification import Service, a_service
from testpbx.phones import Heard, Phones

PAGE = (Path(__file__).parents[2] / "docs/refusals.md").read_text("utf-8")
TABLE = PAGE.split("|---|---|---|---|---|---|\n")[1].split("\n\n")[0].splitlines()
_ROW = re.compile(
    r"\| (?P<call>[^|]+) \| (?:`(?P<prompt>\w+)`|nothing) \| (?P<cause>\d+) \| (?P<status>\d+)"
    r" \| (?:`(?P<reason>\w+)`|none) \| [^|]+ \|"
)
ROWS = [match.groupdict() for line in TABLE if (match := _ROW.fullmatch(line))]
_ZONE = timezone(timedelta(hours=8))
# A wave of calls at a time: a machine that does nothing else starts so many phones at once.
_WAVE = 12


def a_number() -> str:
    """A number that no other test knows."""
    return f"139{secrets.randbelow(10**8):08}"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A call that is to be refused."""

    caller: str
    x: str
    withheld: bool = False
    types: Sequence[str] = ()
    first: bool = False
    """Whether one goes through before."""


class Scene:
    """What rows are made with; what they have set is taken back at the end."""

    def __init__(self, cli: Cli, database: psycopg.Connection[Any], service: Service) -> None:
        self.cli = cli
        self.database = database
        self.port = service.port
        self.stack = ExitStack()

    def tenant(self, *rules: str) -> str:
        """A new tenant, that is held to nothing if nothing is said."""
        name = f"refused-{secrets.token_hex(4)}"
        self.cli("tenant", "add", name, *(rules or ("--no-order", "--consent", "off")))
        return name

    def pair(self, *options: str, tenant: str | None = None) -> tuple[str, str, dict[str, Any]]:
        """Two who are bound, for a tenant of their own if none is given."""
        a, b = a_number(), a_number()
        whose = self.tenant() if tenant is None else tenant
        return a, b, self.cli.bind(a, b, "--tenant", whose, "--language", "zh", *options)

    def block(self, tenant: str) -> str:
        """A new block of a tenant."""
        block = f"700{secrets.randbelow(10**8):08}"
        self.cli("block", "add", block, "--tenant", tenant)
        return block

    def lock(self, *options: str, typed: Sequence[str] = ()) -> None:
        made = self.cli("lock", "set", "--reason", "misuse", *options, typed=typed)
        self.stack.callback(self.cli, "lock", "lift", made["id"])

    def rebind(self, thing: LockedThing, made: dict[str, Any], *typed: str) -> dict[str, Any]:
        """Lock something, uphold that, and have a binding carried over to another number."""
        with connect(self.cli.env["AGI_ROUTER_DSN"]) as connection:
            ring = load_key_ring(Path(self.cli.env["AGI_ROUTER_KEY_FILE"]))
            locks = LockStore(Queries(connection), check_keys(connection, ring))
            # Whoever has set it is no judge of it.
            lock = str(locks.set(thing, LockReason.MISUSE, by="somebody@else").id)
        self.stack.callback(self.cli, "lock", "lift", lock)
        appeal = self.cli("appeal", "file", "--lock", lock)["id"]
        for kind in ("calls_in_question", "tenant_statement"):
            piece = ("--kind", kind, "--reference", "t-7", "--digest", "ab" * 32)
            self.cli("appeal", "evidence", appeal, *piece)
        self.cli("appeal", "review", appeal)
        self.cli("appeal", "decide", appeal, "--uphold")
        come = ("--with", "-") if typed else ()
        new = self.cli("appeal", "rebind", appeal, "--binding", made["id"], *come, typed=typed)
        assert isinstance(new, dict)
        return new

    def apart(self, *options: str, typed: Sequence[str]) -> None:
        made = self.cli("blocklist", "add", "--person", "-", *options, typed=typed)
        self.stack.callback(self.cli, "blocklist", "remove", made["id"])

    def recycle(self, number: str, status: str) -> None:
        """A feed says that a number has a new owner, or that nobody knows."""
        feed = f"feed-{secrets.token_hex(4)}"
        row = self.database.execute(b"SELECT clock_timestamp() AS at").fetchone()
        assert row is not None
        self.cli("feed", "add", feed)
        with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
            file.write(f"number,status,date\n{number},{status},{row['at'].isoformat()}\n")
            file.flush()
            self.cli("feed", "run", feed, file.name)
        assert run(["feed", "remove", feed], self.cli.env).code == 0


def other_hours() -> str:
    """An hour of another day in Shanghai."""
    day = datetime.now(UTC).astimezone(_ZONE) + timedelta(days=3)
    return f"{day:%a} 09:00-10:00".lower()


def locked(scene: Scene, who: str, *, everywhere: bool) -> Asked:
    tenant = scene.tenant()
    a, b, made = scene.pair(tenant=tenant)
    of_tenant = () if everywhere else ("--tenant", tenant)
    scene.lock("--person", "-", *of_tenant, typed=(a if who == "caller" else b,))
    return Asked(caller=a, x=made["x"])


def locked_number(scene: Scene) -> Asked:
    a, _, made = scene.pair()
    scene.lock("--x", made["x"])
    return Asked(caller=a, x=made["x"])


def in_own_block(scene: Scene) -> tuple[Asked, str]:
    tenant = scene.tenant()
    block = scene.block(tenant)
    a, _, made = scene.pair("--x", f"{block}0001", tenant=tenant)
    return Asked(caller=a, x=made["x"]), block


def locked_block(scene: Scene) -> Asked:
    asked, block = in_own_block(scene)
    scene.lock("--block", block)
    return asked


def over_certificate(scene: Scene) -> Asked:
    asked, block = in_own_block(scene)
    # No command lets a certificate end in the past that is used.
    scene.database.execute(
        "UPDATE agi_router.block SET valid_until = now() WHERE block = %s", [int(block)]
    )
    return asked


def of_tenant(scene: Scene, *command: str) -> Asked:
    """Something is said of the tenant; *TENANT* stands for its name."""
    tenant = scene.tenant()
    a, _, made = scene.pair(tenant=tenant)
    scene.cli(*(tenant if word == "TENANT" else word for word in command))
    return Asked(caller=a, x=made["x"], first="calls" in command)


def locked_tenant(scene: Scene) -> Asked:
    tenant = scene.tenant()
    a, _, made = scene.pair(tenant=tenant)
    scene.lock("--tenant", tenant)
    return Asked(caller=a, x=made["x"])


def expired(scene: Scene) -> Asked:
    a, _, made = scene.pair()
    expire(scene.database, made)
    return Asked(caller=a, x=made["x"])


def unbound(scene: Scene) -> Asked:
    a, _, made = scene.pair()
    scene.cli("unbind", made["id"])
    return Asked(caller=a, x=made["x"])


def ended_order(scene: Scene) -> Asked:
    order = f"O-{secrets.token_hex(4)}"
    a, _, made = scene.pair("--order", order)
    scene.cli("unbind", "--order", order)
    return Asked(caller=a, x=made["x"])


def rebound(scene: Scene, who: str) -> Asked:
    """Somebody dials the old number of an order that goes on by another one."""
    a, b, made = scene.pair()
    if who == "number":
        scene.rebind(LockedThing(subject=Subject.NUMBER, number=XNumber.parse(made["x"])), made)
    else:
        person = LockedThing(subject=Subject.PERSON, person=PhoneNumber.parse(b))
        scene.rebind(person, made, a_number())
    return Asked(caller=a, x=made["x"])


def withdrawn(scene: Scene, who: str) -> Asked:
    tenant = scene.tenant("--no-order", "--consent", "asserted")
    a, b, made = scene.pair("--consent", "app", tenant=tenant)
    person = a if who == "caller" else b
    scene.cli("consent", "withdraw", "--person", "-", "--tenant", tenant, typed=(person,))
    return Asked(caller=a, x=made["x"])


def bound(scene: Scene, *options: str, first: bool = False, back: bool = False) -> Asked:
    a, b, made = scene.pair(*options)
    return Asked(caller=b if back else a, x=made["x"], first=first)


def of_mode(scene: Scene, caller: str, *command: str, types: Sequence[str] = ()) -> Asked:
    """A binding of another mode; each ``--a``, ``--b`` and ``--members`` is a new number."""
    numbers = {word: a_number() for word in command if word in {"--a", "--b", "--members"}}
    words = [
        each
        for word in command
        for each in ((word, numbers[word]) if word in numbers else (word,))
    ]
    made = scene.cli("bind", *words, "--tenant", scene.tenant(), "--language", "zh")
    who = numbers.get(caller) or a_number()
    return Asked(caller=who, x=made["x"], types=types)


def recycled(scene: Scene, status: str) -> Asked:
    tenant = scene.tenant()
    a, b, made = scene.pair(tenant=tenant)
    scene.cli("tenant", "unknown", tenant, "refuse")
    scene.recycle(b, status)
    return Asked(caller=a, x=made["x"])


def kept_off(scene: Scene, *, of: str, by: Sequence[str] = (), anybody: bool = False) -> Asked:
    tenant = scene.tenant()
    a, b, made = scene.pair(tenant=tenant)
    typed = [a, b] if of == "caller" else [b, a]
    other = () if anybody else ("--other", "-")
    options = [tenant if word == "TENANT" else word for word in by]
    scene.apart(*other, *options, typed=typed[: 1 if anybody else 2])
    return Asked(caller=a, x=made["x"])


def calls_as(scene: Scene, caller: str, *, withheld: bool = False) -> Asked:
    _, _, made = scene.pair()
    return Asked(caller=caller, x=made["x"], withheld=withheld)


def checked(scene: Scene, word: str) -> Asked:
    """The tenant's own service answers by the end of its address."""
    tenant = scene.tenant()
    a, _, made = scene.pair(tenant=tenant)
    url = f"http://127.0.0.1:{scene.port if word == 'no' else 9}/{tenant}"
    scene.cli("tenant", "check", "set", tenant, url)
    return Asked(caller=a, x=made["x"])


def own_caller(scene: Scene) -> Asked:
    a, _, made = scene.pair()
    scene.stack.enter_context(turned_back(scene.cli, a, made))
    return Asked(caller=a, x=made["x"])


@contextmanager
def turned_back(cli: Cli, caller: str, made: dict[str, Any]) -> Iterator[None]:
    """Let a binding's number lead to who dials it, for a time: no command does."""
    person, x = PhoneNumber.parse(caller), int(made["x"])
    with connect(cli.env["AGI_ROUTER_DSN"]) as connection:
        ring = check_keys(connection, load_key_ring(Path(cli.env["AGI_ROUTER_KEY_FILE"])))
        tag = ring.tag(person)
        row = Row(int(made["id"].partition("-")[2]), x, tag, Side.A, shown=x)
        place = {"x": x, "tag": tag}
        old = connection.execute(
            "SELECT callee, callee_tags FROM agi_router.route"
            " WHERE x_number = %(x)s AND caller_tag = %(tag)s",
            place,
        ).fetchone()
        assert old is not None
        change = (
            "UPDATE agi_router.route SET callee = %(callee)s, callee_tags = %(callee_tags)s"
            " WHERE x_number = %(x)s AND caller_tag = %(tag)s"
        )
        sealed = ring.seal([person], row, Purpose.CALLEE)
        connection.execute(change, {**place, "callee": sealed, "callee_tags": [tag]})
        try:
            yield
        finally:
            # Whoever rotates the keys would find a row that is not its party's.
            connection.execute(change, {**place, **old})


CASES: Mapping[str, Callable[[Scene], Asked]] = {
    "to no 700 number of 15 digits": lambda _: Asked(caller=a_number(), x="70012345678000"),
    "to a 700 number of another's block": lambda _: Asked(
        caller=a_number(), x=f"7009999{secrets.randbelow(10**8):08}"
    ),
    "to a number on which nobody is bound": lambda s: Asked(
        caller=a_number(), x=unused_number(s.database)
    ),
    "of a stranger": lambda s: calls_as(s, a_number()),
    "after the binding's time": expired,
    "after the binding was ended": unbound,
    "after its order was ended": ended_order,
    "after its order got another number, as a party is locked": lambda s: rebound(s, "party"),
    "after its order got another number, as this one is locked": lambda s: rebound(s, "number"),
    "whose caller has withdrawn its consent": lambda s: withdrawn(s, "caller"),
    "whose callee has withdrawn its consent": lambda s: withdrawn(s, "callee"),
    "one more than was agreed": lambda s: bound(s, "--max-calls", "1", first=True),
    "of the side that may not call": lambda s: bound(s, "--direction", "a", back=True),
    "of B to a group, nobody to be called back": lambda s: of_mode(
        s, "--b", "gxb", "--members", "--b", "--callback", "last"
    ),
    "of A, nobody has called": lambda s: of_mode(s, "--a", "ax", "--a"),
    "that would ring its own caller": own_caller,
    "with wrong extensions": lambda s: of_mode(
        s, "stranger", "axe", "--a", "--extension", "1234", types=("99#", "99#", "99#")
    ),
    "without an extension": lambda s: of_mode(
        s, "stranger", "axe", "--a", "--extension", "1234", types=("#", "#", "#")
    ),
    "of a caller who is locked": lambda s: locked(s, "caller", everywhere=True),
    "of a caller who is locked for the tenant": lambda s: locked(s, "caller", everywhere=False),
    "to a callee who is locked": lambda s: locked(s, "callee", everywhere=True),
    "to a callee who is locked for the tenant": lambda s: locked(s, "callee", everywhere=False),
    "to a number that is locked": locked_number,
    "to a number of a block that is locked": locked_block,
    "of a tenant that is locked": locked_tenant,
    "of a tenant that is suspended": lambda s: of_tenant(s, "tenant", "suspend", "TENANT"),
    "of a tenant that is not qualified": lambda s: of_tenant(
        s, "tenant", "qualify", "TENANT", "--until", "2020-01-01"
    ),
    "whose block's certificate is over": over_certificate,
    "to a callee whose number has a new owner": lambda s: recycled(s, "reissued"),
    "to a callee whose owner nobody knows": lambda s: recycled(s, "unknown"),
    "of a caller who keeps off the callee": lambda s: kept_off(
        s, of="caller", by=("--direction", "out")
    ),
    "of a caller whom the callee keeps off": lambda s: kept_off(
        s, of="callee", by=("--direction", "in")
    ),
    "of a caller who keeps off everybody": lambda s: kept_off(s, of="caller", anybody=True),
    "to a callee who keeps everybody off, for the tenant": lambda s: kept_off(
        s, of="callee", by=("--tenant", "TENANT"), anybody=True
    ),
    "of a hidden number": lambda s: calls_as(s, "anonymous", withheld=True),
    "of a foreign number": lambda s: calls_as(s, "+14155550100"),
    "of a fixed line": lambda s: calls_as(s, "02012345678"),
    "of what is no number": lambda s: calls_as(s, "alice"),
    "one too many of its caller": lambda s: of_tenant(
        s, "tenant", "calls", "TENANT", "--caller", "1/1h"
    ),
    "one too many to its callee": lambda s: of_tenant(
        s, "tenant", "calls", "TENANT", "--callee", "1/1h"
    ),
    "one too many to the 700 number": lambda s: of_tenant(
        s, "tenant", "calls", "TENANT", "--number", "1/1h"
    ),
    "one too many of the tenant": lambda s: of_tenant(
        s, "tenant", "calls", "TENANT", "--all", "1/1h"
    ),
    "outside of the binding's hours": lambda s: bound(s, "--hours", other_hours()),
    "outside of the tenant's hours": lambda s: of_tenant(
        s, "tenant", "hours", "TENANT", other_hours()
    ),
    "that the check does not confirm": lambda s: checked(s, "no"),
    "whose check gives no answer": lambda s: checked(s, "nobody"),
}
ELSEWHERE: Mapping[str, Callable[..., Any]] = {
    "to a middle number of before the move to 700": test_old_numbers.test_a_moved_number,
    "to such a number, after the date": test_old_numbers.test_a_moved_number,
    "that comes twice": test_merged.test_it_rings_once,
    "more than are let in": test_limits.test_more_than_are_let_in,
    "that no router takes": test_faults.test_no_router,
}
"""The rows that need a router, or an Asterisk, of their own."""
UNUSED = {Reason.IDLE_EXPIRED, Reason.PARTY_UNVERIFIED, Reason.REGION_NOT_SERVED}
OF_TEXTS = {Reason.MESSAGES_OFF, Reason.MODE_UNSUPPORTED, Reason.TOO_LONG, Reason.BODY_REFUSED}


def test_every_reason_is_a_row() -> None:
    """And every row is a call; nothing else is there."""
    assert len(ROWS) == len(TABLE)
    assert [row["call"] for row in ROWS] == [*CASES, *ELSEWHERE]
    told = {Reason(row["reason"]) for row in ROWS if row["reason"]}
    assert told | UNUSED | OF_TEXTS | {Reason.X_MALFORMED} == set(Reason)
    for reason in UNUSED | OF_TEXTS:
        assert f"`{reason}`" in PAGE.split("\n- ")[-1]


def volume(payload: bytes) -> int:
    """How loud a piece of sound is, in A-law (ITU-T G.711), of 32,768."""

    def linear(code: int) -> int:
        code ^= 0x55
        segment, step = (code & 0x70) >> 4, ((code & 0x0F) << 4) + 8
        return step if segment == 0 else (step + 0x100) << (segment - 1)

    return max(map(linear, payload))


def spoken(payloads: Sequence[bytes], levels: Mapping[str, int]) -> set[str]:
    """Which prompts were heard, each a tone of another loudness."""
    tones = [volume(each) for each in payloads if len({code & 0x7F for code in each}) == 1]
    return {
        min(levels, key=lambda prompt: abs(levels[prompt] - tone)) for tone in tones if tone > 300
    }


@pytest.fixture
def levels(pbx: dict[str, Any]) -> Iterator[dict[str, int]]:
    """Each prompt of the table is a tone of its own loudness."""
    root = Path(pbx["rootfs"])
    prompts = sorted({row["prompt"] for row in ROWS if row["prompt"]})
    found = {prompt: round(500 * 1.18**place) for place, prompt in enumerate(prompts)}
    with restored(root):
        for prompt, level in found.items():
            put_tone(root, prompt, level=level)
        # Whoever is asked for an extension waits for no words.
        put_tone(root, "ask_extension", level=0)
        yield found


def test_every_row_is_heard(
    cli: Cli,
    phones: Phones,
    serving: Serving,
    database: psycopg.Connection[dict[str, Any]],
    levels: dict[str, int],
) -> None:
    """Nobody rings; prompt, cause, status and reason are those of the page."""
    ours = Cli({**cli.env, "AGI_ROUTER_WEBHOOK_HOSTS": "127.0.0.1"})
    rows = [row for row in ROWS if row["call"] in CASES]
    own = {
        **OPEN,
        "AGI_ROUTER_WEBHOOK_HOSTS": "127.0.0.1",
        "AGI_ROUTER_REFUSAL_LIMIT_CALLER": "off",
        "AGI_ROUTER_REFUSAL_LIMIT_EXTENSIONS": "off",
    }
    with a_service() as service, serving(**own):
        service.does = "no"
        scene = Scene(ours, database, service)
        with scene.stack:
            asked = {row["call"]: CASES[row["call"]](scene) for row in rows}
            with phones.listen():
                first = [phones.dial(e.caller, e.x, hold=0.3) for e in asked.values() if e.first]
                assert {call.heard()[0].status for call in first} == {200}
            with phones.listen() as callee, listening() as sound:
                heard: dict[str, Heard] = {}
                for wave in range(0, len(rows), _WAVE):
                    dialled = {
                        row["call"]: phones.dial(
                            each.caller, each.x, withheld=each.withheld, types=each.types
                        )
                        for row in rows[wave : wave + _WAVE]
                        for each in [asked[row["call"]]]
                    }
                    heard |= {name: call.heard()[0] for name, call in dialled.items()}
            assert not callee.messages
            seen = {}
            for row in rows:
                call, each = heard[row["call"]], asked[row["call"]]
                record: dict[str, Any] = {"reason": None, "cause": int(row["cause"])}
                if row["reason"] is not None:
                    record = ours.records(each.x, 1 + each.first)[0]
                payloads = [payload for _, payload in sound.of(call.messages)]
                told = {message.status for message in call.messages}
                # Before the answer, which no refused caller pays for.
                assert row["prompt"] is None or each.types or (183 in told and 200 not in told)
                seen[row["call"]] = {
                    "call": row["call"],
                    "prompt": "".join(spoken(payloads, levels)) or None,
                    "cause": str(record["cause"]),
                    "status": str(call.status),
                    "reason": record["reason"],
                }
    assert list(seen.values()) == rows


def test_an_order_goes_on_by_another_number(
    cli: Cli, phones: Phones, database: psycopg.Connection[dict[str, Any]]
) -> None:
    """
    A lock that was upheld: the other party reaches who came instead, and is reached.

    What the old numbers say: the rows above.
    """
    with a_service() as service, ExitStack() as stack:
        scene = Scene(cli, database, service)
        stack.enter_context(scene.stack)
        a, b, made = scene.pair()
        came = a_number()
        person = LockedThing(subject=Subject.PERSON, person=PhoneNumber.parse(a))
        new = scene.rebind(person, made, came)
        assert new["x"] != made["x"]
        for caller, callee in ((b, came), (came, b)):
            call = phones.call(caller, new["x"])
            (invite,) = call.invites
            assert (invite.request_user, invite.from_user) == (callee, new["x"])
        again = scene.rebind(
            LockedThing(subject=Subject.NUMBER, number=XNumber.parse(new["x"])), new
        )
        (invite,) = phones.call(b, again["x"]).invites
        assert (invite.request_user, invite.from_user) == (came, again["x"])

"""What somebody can do who writes to the database without keys: the list of docs/security.md."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Y_TTL, Ax, Axb, Axe, Axyb, Gxb, Gxyb, Parties
from agi_router.bindings.reseal import Renewal
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Callback
from agi_router.bulk.columns import EXPORTED
from agi_router.bulk.exporter import export_rows
from agi_router.calls.arrival import Call, DialledExtension
from agi_router.calls.decision import Route, decide
from agi_router.calls.lookup import CallLookup
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection
from agi_router.errors import AgiRouterError, KeyMismatch, RowInvalid, SealError
from agi_router.keys.file import load_key_ring, write_key_ring
from agi_router.keys.registry import KINDS, check_keys
from agi_router.keys.ring import KeyRing
from agi_router.maintenance.rotation import Rotation
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.records.audit import AuditEntry
from harness.database import HOUR, NO_REST, admit_as_router, look_up, new_call_id, one
from harness.values import BLOCK, A, B, C, D, E, F, X, Y

SECURITY = Path(__file__).parents[2] / "docs" / "security.md"
REVEAL = AuditEntry(act="test", subject="all", reason=None)


@dataclass
class Bench:
    """A database with bindings of ours, to be written to."""

    dsn: str
    connection: Connection
    keys: KeyRing
    file: Path
    store: BindingStore

    def bind(self, parties: Parties, x: XNumber = X, **terms: Any) -> Binding:
        """Bind *parties* for an hour."""
        terms = {"expires_at": self.store.now() + HOUR, **terms}
        y = BLOCK.number(x.serial + 1) if parties.numbers == 2 else None
        return self.store.bind(parties, Terms(**terms), x=x, y=y)

    def write(self, statement: str, *values: object) -> None:
        """Write to the database."""
        self.connection.execute(statement.encode(), values)

    def rings(self, caller: PhoneNumber, x: XNumber = X, typed: str | None = None) -> Any:
        """Whom a call rings and what they are shown; nobody where it is refused."""
        extension = None if typed is None else DialledExtension(extension=typed)
        call = Call(caller=caller, x_number=x, typed=extension)
        try:
            looked = look_up(self.store, call, at=None)
        except AgiRouterError:
            return None
        decision = decide(call, looked.facts, now=looked.now)
        return (decision.callees, decision.shown) if isinstance(decision, Route) else None

    def reached(self, x: XNumber = X) -> set[PhoneNumber]:
        """Everybody whom anybody reaches on *x*."""
        found = [self.rings(caller, x) for caller in (A, B, C, D, E, F)]
        found += [self.rings(F, x, typed) for typed in ("1111", "2222")]
        return {callee for each in found if each for callee in each[0]}

    async def admit(self, caller: PhoneNumber, x: XNumber = X, typed: str | None = None) -> Any:
        """Place a call as the router does."""
        call = Call(
            caller=caller,
            x_number=x,
            typed=None if typed is None else DialledExtension(extension=typed),
        )
        async with AdmissionStore(
            self.dsn, self.keys, connections=1, open_modes=True
        ) as admissions:
            _, decision = await admit_as_router(admissions, call, new_call_id())
            return decision

    def rotate(self) -> Renewal:
        """Rotate the keys; what could not be renewed is told by what is returned."""
        rotation = Rotation(self.connection, check_keys(self.connection, self.keys), self.file)
        rotation.switch(rotation.add(KINDS))
        self.keys = rotation.keys
        renewal = rotation.renewal()
        for _ in renewal.run():
            pass
        self.store = BindingStore(self.connection, self.keys, NO_REST, open_modes=True)
        return renewal


@pytest.fixture
def bench(dsn: str, connection: Connection, tmp_path: Path) -> Bench:
    """The same for each test."""
    keys = check_keys(connection, KeyRing.generate())
    file = tmp_path / "key"
    write_key_ring(file, keys)
    store = BindingStore(connection, keys, NO_REST, open_modes=True)
    store.inventory.add_block(BLOCK, operator=None, certificate=None)
    return Bench(dsn, connection, keys, file, store)


CANNOT: dict[str, Callable[[Bench], Awaitable[None]]] = {}
CAN: dict[str, Callable[[Bench], Awaitable[None]]] = {}


def cannot(what: str) -> Callable[[Callable[[Bench], Awaitable[None]]], None]:
    """One line of the list of what cannot be done."""
    return lambda test: CANNOT.update({what: test})


def can(what: str) -> Callable[[Callable[[Bench], Awaitable[None]]], None]:
    """One line of the list of what can."""
    return lambda test: CAN.update({what: test})


@cannot("connect parties of two bindings by moving a sealed number")
async def _(bench: Bench) -> None:
    one_, other = bench.bind(Axb(a=A, b=B)), bench.bind(Axb(a=C, b=D))
    names = one_.id.id, other.id.id
    bench.write(
        "UPDATE agi_router.route r SET callee = o.callee FROM agi_router.route o"
        " WHERE o.side = r.side AND o.binding_id <> r.binding_id"
    )
    assert bench.reached() == set()
    # Nor by moving the rows whole.
    bench.write(
        "UPDATE agi_router.route r SET callee = o.callee FROM agi_router.route o"
        " WHERE o.side = r.side AND o.binding_id <> r.binding_id"
    )
    assert bench.reached() == {A, B, C, D}
    bench.write(
        "UPDATE agi_router.route SET binding_id = %s - binding_id WHERE side = 'b'", sum(names)
    )
    assert bench.reached() == {B, D}  # as A and C are bound to reach them
    assert (bench.rings(B), bench.rings(D)) == (None, None)


@cannot("have a number that lies in `past_route` rung by another binding")
async def _(bench: Bench) -> None:
    past = bench.bind(Axb(a=A, b=C))
    bench.store.unbind(past.id)
    bench.bind(Axb(a=A, b=B))
    assert one(bench.connection, "SELECT count(*) FROM agi_router.past_route") == 1
    # The same caller on the same number, and so the same tag; both shown the same number.
    bench.write(
        "UPDATE agi_router.route r SET callee = p.callee FROM agi_router.past_route p"
        " WHERE p.caller_tag = r.caller_tag AND p.x_number = r.x_number"
    )
    assert bench.rings(A) is None


@cannot("put a sealed number into another column")
async def _(bench: Bench) -> None:
    bench.bind(Gxb(members=(A, C), b=B, default=A, callback=Callback.LAST))
    caller = one(
        bench.connection,
        "SELECT caller FROM agi_router.route WHERE caller_tag = %s",
        bench.keys.tag(C),
    )
    bench.write("UPDATE agi_router.route SET callee = %s WHERE side = 'b'", caller)
    assert bench.rings(B) is None
    bench.write(
        "UPDATE agi_router.route SET last_callee = callee, last_at = now(), callee = NULL"
        " WHERE side = 'a'"
    )
    assert bench.rings(A) is None


@cannot("let a stranger's number, as it was kept for one extension, be rung by another")
async def _(bench: Bench) -> None:
    bench.bind(Axe(a=A, extension="1111"))
    other = bench.bind(Axe(a=C, extension="2222"))
    assert isinstance(await bench.admit(E, typed="1111"), Route)
    assert bench.rings(A) == ((E,), X)
    bench.write(
        "UPDATE agi_router.route r SET last_callee = o.last_callee, last_at = o.last_at"
        " FROM agi_router.route o WHERE o.last_callee IS NOT NULL AND r.side = 'a'"
        " AND r.binding_id = %s",
        other.id.id,
    )
    assert bench.rings(C) is None
    assert bench.rings(A) == ((E,), X)


@cannot("have another number shown")
async def _(bench: Bench) -> None:
    bench.bind(Axyb(a=A, b=B))
    assert bench.rings(A) == ((B,), Y)
    bench.write("UPDATE agi_router.route SET shown = %s", BLOCK.number(9).value)
    assert (bench.rings(A), bench.rings(B, Y)) == (None, None)


@cannot("have a number shown that a call has made, and another call replaced")
async def _(bench: Bench) -> None:
    bench.bind(Axyb(a=A, b=B, y_ttl=Y_TTL))
    first = await bench.admit(A)
    assert isinstance(first, Route)
    bench.write("UPDATE agi_router.binding SET expires_at = now() WHERE parent_id IS NOT NULL")
    second = await bench.admit(A)
    assert isinstance(second, Route)
    assert second.shown != first.shown
    assert bench.rings(A) == ((B,), second.shown)
    bench.write("UPDATE agi_router.route SET shown = %s WHERE side = 'a'", first.shown.value)
    assert bench.rings(A) is None


@cannot("let somebody else call by a row, or on another number")
async def _(bench: Bench) -> None:
    bench.bind(Axb(a=A, b=B))
    stranger = bench.keys.tag(E)  # as it stands in some other row on X
    bench.write("UPDATE agi_router.route SET caller_tag = %s WHERE side = 'a'", stranger)
    assert bench.rings(E) is None
    # Anyone.
    bench.write("UPDATE agi_router.route SET caller_tag = 0 WHERE side = 'a'")
    assert bench.rings(F) is None
    bench.write(
        "UPDATE agi_router.route SET x_number = %s, caller_tag = %s WHERE side = 'a'",
        Y.value,
        bench.keys.tag(A),
    )
    assert bench.rings(A, Y) is None


@cannot("let a caller stand on the other side")
async def _(bench: Bench) -> None:
    bench.bind(Axb(a=A, b=B), direction="a")
    assert (bench.rings(A), bench.rings(B)) == (((B,), X), None)
    bench.write("UPDATE agi_router.route SET side = 'a' WHERE side = 'b'")
    assert bench.rings(B) is None


@cannot("let strangers reach a party of a binding that has none")
async def _(bench: Bench) -> None:
    made = bench.bind(Axb(a=A, b=B))
    bench.write(
        "UPDATE agi_router.binding SET mode = 'axe', callback = 'last', extension = '1111',"
        " open_number = %s",
        X.value,
    )
    bench.write(
        "UPDATE agi_router.route SET caller_tag = %s WHERE side = 'b'",
        bench.keys.extension_tag("1111"),
    )
    assert bench.rings(E, typed="1111") is None
    renewal = bench.rotate()
    assert [name for name, _ in renewal.left] == [made.id]
    assert bench.rings(E, typed="1111") is None


@cannot("have a rotation make a forged row valid")
async def _(bench: Bench) -> None:
    one_, other = bench.bind(Axb(a=A, b=B)), bench.bind(Axb(a=C, b=D))
    group = bench.bind(Gxb(members=(E,), b=F), x=BLOCK.number(5))
    # Rows of B change places: the party whom a renewal finds is not the one whom they are for.
    bench.write(
        "UPDATE agi_router.route SET binding_id = %s - binding_id"
        " WHERE side = 'b' AND x_number = %s",
        one_.id.id + other.id.id,
        X.value,
    )
    # Nothing is sealed in this one, and whatever stands there goes unseen.
    bench.write(
        "UPDATE agi_router.route SET x_number = %s, caller_tag = 77 WHERE side = 'b'"
        " AND callee IS NULL",
        BLOCK.number(6).value,
    )
    before = bench.reached()
    renewal = bench.rotate()
    assert [name for name, _ in renewal.left] == [one_.id, other.id, group.id]
    assert bench.reached() <= before
    assert (bench.rings(B), bench.rings(D)) == (None, None)
    assert bench.rings(F, BLOCK.number(6)) is None
    assert not bench.connection.execute(
        "SELECT FROM agi_router.route WHERE caller_tag = %s",
        (bench.keys.tag(F),),
    ).fetchall()


@cannot("pass one member of a group off as another, for `show`, `export` and a rotation")
async def _(bench: Bench) -> None:
    group = bench.bind(Gxb(members=(A, C), b=B))
    bench.write(
        "UPDATE agi_router.route r SET caller = o.caller FROM agi_router.route o"
        " WHERE r.side = 'a' AND o.side = 'a' AND o.caller_tag <> r.caller_tag"
    )
    found = bench.store.find(group.id)
    assert (found.parties, found.called_back, found.damage is None) == ((), (), False)
    [cells] = export_rows(bench.store, everything=False, order_id=None, reveal=REVEAL)
    assert (cells[EXPORTED.index("members")], cells[EXPORTED.index("state")]) == ("", "damaged")
    with pytest.raises(SealError, match=f"binding {group.id} cannot be read"):
        bench.store.remove_member(group.id, A)
    assert [name for name, _ in bench.rotate().left] == [group.id]


@cannot("stop a rotation by a row: it is named, and the others are renewed")
async def _(bench: Bench) -> None:
    good = [bench.bind(Axb(a=A, b=B), BLOCK.number(serial)) for serial in range(10, 14)]
    word = bench.bind(Axb(a=A, b=B), BLOCK.number(20))
    taken = bench.bind(Gxb(members=(C, D), b=E), BLOCK.number(21))
    bench.store.remove_member(taken.id, D)
    short = bench.bind(Axb(a=A, b=B), BLOCK.number(22))
    bench.write("DROP TRIGGER binding_mode ON agi_router.binding")
    bench.write("UPDATE agi_router.binding SET mode = 'zzz' WHERE id = %s", word.id.id)
    bench.write("UPDATE agi_router.route SET callee = '\\x04' WHERE binding_id = %s", short.id.id)
    # Refused by the database itself once it is to be written.
    tag = one(bench.connection, "SELECT caller_tag FROM agi_router.past_route")
    bench.write(f"ALTER TABLE agi_router.past_route ADD CHECK (caller_tag = {tag})")
    renewal = bench.rotate()
    assert {name for name, _ in renewal.left} == {word.id, taken.id, short.id}
    for made in good:
        x = BLOCK.number(int(str(next(p.dials for p in made.parties))[-4:]))
        assert bench.rings(A, x) == ((B,), x)
    rotation = Rotation(bench.connection, bench.keys, bench.file)
    assert rotation.uses()["tag", 2] == 8


@cannot("turn back which key is current")
async def _(bench: Bench) -> None:
    bench.bind(Axb(a=A, b=B))
    before = bench.keys
    bench.rotate()
    written = load_key_ring(bench.file)
    for kind in KINDS:
        bench.write("UPDATE agi_router.key SET state = 'old' WHERE kind = %s", kind)
        bench.write("UPDATE agi_router.key SET state = 'current' WHERE kind = %s AND id = 1", kind)
        with pytest.raises(KeyMismatch, match="turned the keys back"):
            check_keys(bench.connection, written)
        # A router on a call, too.
        bench.write(
            "UPDATE agi_router.key SET state = CASE id WHEN 1 THEN 'old' ELSE 'current' END"
            " WHERE kind = %s AND id = 1",
            kind,
        )
        bench.write("UPDATE agi_router.key SET state = 'current' WHERE kind = %s AND id = 2", kind)
    assert check_keys(bench.connection, written).seal_key_id == 2
    assert before.seal_key_id == 1
    # Nor by forgetting that there are any.
    bench.write("DELETE FROM agi_router.key")
    assert check_keys(bench.connection, written).seal_key_id == 2


@cannot("put words into the dialplan: what a row says is of closed sets, or a checked name")
async def _(bench: Bench) -> None:
    bench.bind(Axb(a=A, b=B))
    for trigger in ("terms", "mode", "state"):
        bench.write(f"DROP TRIGGER binding_{trigger} ON agi_router.binding")
    for column in (
        *("prompts", "language", "display_a", "display_b", "mode", "state", "direction"),
        "callback",
    ):
        before = one(bench.connection, f"SELECT {column} FROM agi_router.binding")
        bench.write(f"UPDATE agi_router.binding SET {column} = 'x*end),System(id'")
        # What a side sees is read where the other side calls.
        caller = A if column != "display_a" else B
        assert bench.rings(caller) is None, column
        # Its guard may see that it is not admitted, and then the facts are read all the same.
        with pytest.raises(AgiRouterError):
            await bench.admit(caller)
        (found,) = bench.store.bindings(everything=True, order_id=None, limit=9)
        assert (found.parties, found.damage) == ((), str(RowInvalid()))
        bench.write(f"UPDATE agi_router.binding SET {column} = %s", before)
        assert bench.rings(caller) is not None


@cannot("read a number, or tell a fixed line from a mobile")
async def _(bench: Bench) -> None:
    fixed = PhoneNumber.parse("010 8888 6666", fixed_lines=True)
    bench.bind(Axb(a=A, b=B))
    bench.bind(Axb(a=C, b=fixed), Y)
    rows = bench.connection.execute("SELECT * FROM agi_router.route").fetchall()
    assert len({len(row["callee"]) for row in rows}) == 1
    for row in rows:
        text = " ".join(map(str, row.values())) + bytes(row["callee"]).decode("latin-1")
        assert not any(each.digits in text for each in (A, B, C, fixed))


@can("end bindings, and have ended ones live on")
async def _(bench: Bench) -> None:
    made = bench.bind(Axb(a=A, b=B))
    bench.store.unbind(made.id)
    assert bench.rings(A) is None
    bench.write("UPDATE agi_router.binding SET state = 'active', ended_at = NULL")
    assert bench.rings(A) == ((B,), X)
    bench.write("UPDATE agi_router.binding SET state = 'unbound', ended_at = now()")
    assert bench.rings(A) is None


@can("change what is agreed: uses, times, direction, display, language, tenant, callback")
async def _(bench: Bench) -> None:
    bench.bind(Axb(a=A, b=B), max_calls=1, direction="b", display_b="anonymous")
    assert bench.rings(A) is None
    bench.write(
        "UPDATE agi_router.binding SET direction = 'both', display_b = 'number', max_calls = 9,"
        " expires_at = now() + interval '9 years'"
    )
    decision = await bench.admit(A)
    assert isinstance(decision, Route)
    assert decision.display == "number"


@can("put back an old row of the same binding, such as that of a member who has left")
async def _(bench: Bench) -> None:
    group = bench.bind(Gxb(members=(A, C), b=B))
    bench.store.remove_member(group.id, C)
    assert bench.rings(C) is None
    bench.write(
        "INSERT INTO agi_router.route (block, x_number, caller_tag, binding_id, shown, side,"
        " callee, caller, begins_at, ends_at)"
        " SELECT block, x_number, caller_tag, binding_id, shown, side, callee, caller, begins_at,"
        " ends_at FROM agi_router.past_route WHERE left_group"
    )
    assert bench.rings(C) == ((B,), X)


@can("choose who of a group, of those who are or were its members, is called back as the last")
async def _(bench: Bench) -> None:
    bench.bind(Gxyb(members=(A, C), b=B, callback=Callback.LAST))
    assert bench.rings(B, Y) is None
    bench.write(
        "UPDATE agi_router.route b SET last_callee = m.caller, last_at = now()"
        " FROM agi_router.route m WHERE b.side = 'b' AND m.caller_tag = %s",
        bench.keys.tag(C),
    )
    assert bench.rings(B, Y) == ((C,), X)


@can("put back whom a stranger's call had left to be called back, at any time")
async def _(bench: Bench) -> None:
    bench.bind(Ax(a=A, window=timedelta(minutes=1)))
    assert isinstance(await bench.admit(E), Route)
    old = one(bench.connection, "SELECT last_callee FROM agi_router.route WHERE side = 'a'")
    assert isinstance(await bench.admit(F), Route)
    assert bench.rings(A) == ((F,), X)
    bench.write("UPDATE agi_router.route SET last_callee = %s WHERE side = 'a'", old)
    assert bench.rings(A) == ((E,), X)


@can("have calls refused: by deleting, altering, suspending, or saying that keys are others")
async def _(bench: Bench) -> None:
    bench.bind(Axb(a=A, b=B))
    bench.bind(Axb(a=A, b=B), Y)
    bench.write("DELETE FROM agi_router.route WHERE x_number = %s", X.value)
    assert (bench.rings(A), bench.rings(A, Y)) == (None, ((B,), Y))
    bench.write("UPDATE agi_router.tenant SET active = false")
    assert bench.rings(A, Y) is None
    bench.write("UPDATE agi_router.key SET fingerprint = '12345678'")
    with pytest.raises(KeyMismatch):
        check_keys(bench.connection, bench.keys)


@can("rewrite what is on record: calls, who looked at numbers, how much was sealed")
async def _(bench: Bench) -> None:
    bench.bind(Axb(a=A, b=B))
    await bench.admit(A)
    bench.write("DELETE FROM agi_router.call")
    bench.write("DELETE FROM agi_router.audit")
    bench.write("SELECT setval('agi_router.seals', 1)")
    assert CallLookup(bench.store.connection).calls(since=bench.store.now() - HOUR, limit=9) == []


@can("delay a rotation of keys, by connections that have a router's name")
async def _(bench: Bench) -> None:
    rotation = Rotation(bench.connection, bench.keys, bench.file)
    assert rotation.unaware() == []
    with psycopg.connect(bench.dsn, application_name="agi_router serve 0000"):
        [told] = rotation.unaware()
    assert re.fullmatch(r"pid \d+ of 'agi_router' from 127\.0\.0\.1", told)


@can("keep a binding from being found by the number of a party, by altering its tags")
async def _(bench: Bench) -> None:
    made = bench.bind(Ax(a=A, default=B))

    def found(party: PhoneNumber) -> list[bool]:
        listed = bench.store.bindings(everything=False, order_id=None, party=party, limit=9)
        assert {each.id for each in listed} <= {made.id}
        return [each.damage is not None for each in listed]

    assert (found(A), found(B), found(E)) == ([False], [False], [])
    bench.write("UPDATE agi_router.route SET callee_tags = ARRAY[%s::bigint]", bench.keys.tag(E))
    assert (found(A), found(B), found(E)) == ([False], [], [])
    bench.write("UPDATE agi_router.route SET caller_tag = %s WHERE side = 'a'", bench.keys.tag(E))
    assert (found(A), found(B), found(E)) == ([], [], [True])


@can("see that two bindings have a party in common, on whatever number and of whatever tenant")
async def _(bench: Bench) -> None:
    bench.store.inventory.tenants.add("rides")
    bench.bind(Axb(a=A, b=B))
    bench.bind(Axb(a=C, b=A), Y, tenant="rides")
    shared = "SELECT count(*) FROM agi_router.route GROUP BY caller_tag ORDER BY 1"

    def times() -> list[int]:
        return [row["count"] for row in bench.connection.execute(shared.encode()).fetchall()]

    assert times() == [1, 1, 2]
    rows = bench.connection.execute("SELECT caller_tag, callee_tags FROM agi_router.route")
    seen = {tag for row in rows for tag in (row["caller_tag"], *row["callee_tags"])}
    assert seen == {bench.keys.tag(each) for each in (A, B, C)}


@can("read order ids, tenants, who shares a binding, how many are in a group, when and how long")
async def _(bench: Bench) -> None:
    bench.bind(Gxb(members=(A, C, D), b=B), order_id="A-1001")
    rows = bench.connection.execute(
        "SELECT b.order_id, t.name, count(*) AS members FROM agi_router.binding b"
        " JOIN agi_router.tenant t ON t.id = b.tenant_id"
        " JOIN agi_router.route r ON r.binding_id = b.id AND r.side = 'a' GROUP BY 1, 2"
    ).fetchall()
    assert rows == [{"order_id": "A-1001", "name": "default", "members": 3}]


@pytest.mark.parametrize("what", CANNOT)
async def test_what_cannot_be_done(what: str, bench: Bench) -> None:
    """A line of the list in docs/security.md."""
    await CANNOT[what](bench)


@pytest.mark.parametrize("what", CAN)
async def test_what_can_be_done(what: str, bench: Bench) -> None:
    """A line of the other list: should it not be so any more, the list is to say so."""
    await CAN[what](bench)


def lines(heading: str) -> Iterator[str]:
    """The lines of a list in docs/security.md, without what is said about them."""
    part = SECURITY.read_text().split(f"\n{heading}\n", 1)[1].split("\n#", 1)[0]
    for item in re.split(r"\n- ", part)[1:]:
        found = re.match(r"\*\*(.*?)\.?\*\*", item, re.DOTALL)
        assert found is not None, item
        yield re.sub(r"\s+", " ", found[1])


def test_the_lists_are_those_of_the_document() -> None:
    """Each line is played here, and nothing else."""
    assert list(lines("### What D cannot do")) == list(CANNOT)
    assert list(lines("### What D can do")) == list(CAN)

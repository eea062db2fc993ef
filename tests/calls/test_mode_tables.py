"""
Every row of every table in docs/modes.md, placed as a real call.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from agi_router.leaktest.leaks import find_leaks
from agi_router.leaktest.messages import Invite, Message, invites_in, received_by
from calls.mode_tables import Row, Table, tables
from harness.pbx import Cli
from testpbx.phones import Does, Heard, Phones
from testpbx.waiting import until

_numbers = itertools.count(13700301000)
TABLES = tables()


@dataclass
class Binding:
    """The binding of a row, on numbers that no other row uses."""

    row: Row
    people: dict[str, str] = field(default_factory=dict)
    id: str = ""
    x: str = ""
    y: str = ""
    uses: int = 0
    """Uses that the calls before have kept."""

    def bind(self, cli: Cli, command: tuple[str, ...]) -> None:
        """Make it as the page says, with numbers that are typed in."""
        arguments = [*command, *self.row.options]
        options = [word for word, value in itertools.pairwise(arguments) if value == "-"]
        typed = [str(next(_numbers)) for _ in options]
        members = [
            number for word, number in zip(options, typed, strict=True) if word == "--members"
        ]
        if members and "--default" in options:
            typed[options.index("--default")] = members[1]
        made = cli(*arguments, typed=typed)
        parties = dict(zip(options, typed, strict=True))
        self.people = {
            "A": parties.get("--a", ""),
            "B": parties.get("--b", ""),
            "a stranger": str(next(_numbers)),
            "the fixed number": parties.get("--default", ""),
            **{f"the {nth} member": g for nth, g in zip(("1st", "2nd"), members, strict=False)},
        }
        self.people["the stranger"] = self.people["a stranger"]
        self.id, self.x = made["id"], made["x"]
        self.y = made.get("y") or self.x

    @property
    def members(self) -> list[str]:
        """The members, in their order."""
        return [number for who, number in self.people.items() if who.endswith("member")]

    @property
    def caller(self) -> str:
        """Who places the call."""
        return self.people[self.row.who]

    @property
    def dialled(self) -> str:
        """What is dialled."""
        return self.x if self.row.number == "X" else self.y


def prepare(cli: Cli, phones: Phones, table: Table, row: Row) -> Binding:
    """Bind, and let happen what has happened before the row's call."""
    on_call = "--y-on-call" in table.command
    binding = Binding(row)
    binding.bind(cli, table.command)
    if row.before is not None:
        before = phones.call(
            binding.people[row.before],
            binding.x,
            # A stranger has to type the extension first.
            types=["1234"] if "axe" in table.command else (),
            talk=1.5 if "axe" in table.command else 0.3,
        )
        assert before.status == 200
        assert len(before.invites) == 1
        binding.uses = 1
        if on_call:
            # B learns its number from the call.
            binding.y = str(before.invites[0].from_user)
            assert binding.y != binding.x
    if row.over:
        time.sleep(4.1 if on_call else 1.1)
    return binding


def check_talked(cli: Cli, phones: Phones, binding: Binding) -> None:
    """Who rings was shown what the page says, they talk, neither saw the other's number."""
    row = binding.row
    in_turn = row.rings == "all members in turn"
    call = phones.call(
        binding.caller,
        binding.dialled,
        types=row.types,
        # Who types is answered before anybody rings.
        talk=1.5 if row.types else 0.3,
        does={
            "all members at once": Does.SILENT,
            # So that it is the next one's turn.
            "all members in turn": Does.BUSY,
        }.get(str(row.rings), Does.ANSWER),
        patience=3.0 if row.rings == "all members at once" else None,
    )
    rang = [str(invite.request_user) for invite in call.invites]
    expected = (
        binding.members
        if str(row.rings).startswith("all members")
        else [binding.people[str(row.rings)]]
    )
    assert (rang if in_turn else sorted(rang)) == (expected if in_turn else sorted(expected))
    assert call.status == {"all members at once": 487, "all members in turn": 486}.get(
        str(row.rings), 200
    )
    check_shown(call.invites, binding)
    if row.shown == "nobody":
        # Not in any other header either.
        assert binding.x.encode() not in b"".join(m.raw for m in call.callee)
    if in_turn:
        check_one_at_a_time(call.callee)
    assert list(find_leaks(received_by(call.callee), numbers=[binding.caller], names=[])) == []
    seen = received_by(call.caller.messages)
    assert list(find_leaks(seen, numbers=expected, names=[])) == []
    assert cli.record(binding.dialled)["verdict"] == "route"


def check_shown(invites: tuple[Invite, ...], binding: Binding) -> None:
    """Each saw the number of the page and no other."""
    for invite in invites:
        match binding.row.shown:
            case "X":
                assert invite.from_user == binding.x
            case "Y":
                assert invite.from_user == binding.y
            case "a new Y":
                assert invite.from_user not in {binding.x, binding.y}
                assert re.fullmatch(r"700[0-9]{12}", str(invite.from_user))
            case _:
                assert (invite.from_user, invite.from_name) == ("anonymous", "Anonymous")


def check_one_at_a_time(messages: tuple[Message, ...]) -> None:
    """Every INVITE but the first comes after the one before was refused."""
    # One that is sent again, because its answer was late, is the same.
    steps = dict.fromkeys(
        (message.call_id, "INVITE" if message.status is None else "final")
        for message in messages
        if message.method == "INVITE" and (message.status is None or message.status >= 200)
    )
    assert [step for _, step in steps] == ["INVITE", "final"] * (len(steps) // 2)


def check_refused(cli: Cli, binding: Binding, heard: Heard) -> None:
    """The record says why; who was not asked for an extension paid nothing."""
    statuses = [message.status for message in heard.messages if message.status is not None]
    if binding.row.types:
        assert heard.status == 200
        assert [m.method for m in heard.messages if not m.sent and m.status is None][-1] == "BYE"
        # Asked once answered, and refused then: no early media after the answer.
        assert 183 not in statuses[statuses.index(200) :]
    else:
        assert heard.status == 403
        assert 200 not in statuses
    mine = binding.row.reason
    assert until(lambda: cli.record(binding.dialled)["reason"] == mine, timeout=15)
    # It cost no use either.
    assert until(lambda: cli("show", binding.id)["calls_used"] == binding.uses, timeout=20)


@contextmanager
def told(row: Row) -> Iterator[None]:
    """A failure tells the row."""
    try:
        yield
    except AssertionError as error:
        error.add_note(f"in the row: {row.text}")
        raise


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.heading)
def test_rows_that_ring(cli: Cli, phones: Phones, table: Table) -> None:
    """Each by itself, with a binding of its own."""
    rows = [row for row in table.rows if row.rings is not None]
    assert rows
    for row in rows:
        with told(row):
            check_talked(cli, phones, prepare(cli, phones, table, row))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.heading)
def test_rows_that_ring_nobody(cli: Cli, phones: Phones, table: Table) -> None:
    """All at once: each hears its prompt, and nothing reaches any phone."""
    rows = [row for row in table.rows if row.reason is not None]
    assert rows
    bindings = [prepare(cli, phones, table, row) for row in rows]
    with phones.listen() as nobody:
        calls = [phones.dial(each.caller, each.dialled, types=each.row.types) for each in bindings]
        heard = [call.heard()[0] for call in calls]
    assert invites_in(nobody.messages) == ()
    for binding, each in zip(bindings, heard, strict=True):
        with told(binding.row):
            check_refused(cli, binding, each)


def test_every_mode_has_a_table() -> None:
    """A new mode has its page."""
    modes = {table.command[1] for table in TABLES}
    assert modes == {"axb", "axyb", "gxb", "gxyb", "ax", "axe"}

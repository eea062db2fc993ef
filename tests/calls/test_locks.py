"""
Locks on a real Asterisk: every row of the first table of docs/persons.md is a call.
"""

from __future__ import annotations

import re
import secrets
import struct
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from agi_router.persons.locks import LockReason
from calls.sound import listening
from harness.pbx import Cli, Router
from harness.prompts import restored
from testpbx.phones import PhoneError, Phones, RunningPhone
from testpbx.waiting import until

PAGE = (Path(__file__).parents[2] / "docs/persons.md").read_text("utf-8")
_ROW = re.compile(
    r"\| (?P<locked>the \w[^|]*|its block) \| `(?P<prompt>\w+)` \| (?P<cause>\d+) \|"
    r" (?P<status>\d+) \| `(?P<reason>\w+)` \|"
)
ROWS = [row.groupdict() for row in _ROW.finditer(PAGE.split("## Block lists")[0])]


@pytest.fixture(autouse=True)
def _whole(pbx: dict[str, Any]) -> Iterator[None]:
    """Prompts as they are shipped, when the test is over."""
    with restored(Path(pbx["rootfs"])):
        yield


def put_tone(root: Path, prompt: str, *, level: int = 8000) -> None:
    """Have a tone of half a second in place of a prompt, in Mandarin."""
    file = root / f"usr/share/asterisk/sounds/zh/agi-router/{prompt}.wav"
    assert file.exists()
    new = file.with_suffix(".tone")
    with wave.open(str(new), "wb") as tone:
        tone.setnchannels(1)
        tone.setsampwidth(2)
        tone.setframerate(8000)
        # Square, 1000 Hz: two values, which no speech keeps to.
        tone.writeframes(struct.pack("<8h", *[level] * 4, *[-level] * 4) * 500)
    new.replace(file)


@contextmanager
def locked(cli: Cli, *options: str, typed: tuple[str, ...] = ()) -> Iterator[None]:
    """Lock something for the time of a block."""
    made = cli("lock", "set", "--reason", "misuse", *options, typed=typed)
    try:
        yield
    finally:
        cli("lock", "lift", made["id"])


def is_up(phone: RunningPhone) -> bool:
    """Whether its call is answered, and not over."""
    said = [each.method for each in phone.messages if each.status is None]
    return "ACK" in said and "BYE" not in said


@pytest.fixture
def lock(cli: Cli) -> Iterator[Callable[..., Any]]:
    """Lock something until the end of the test."""
    ids: list[str] = []

    def set_lock(*options: str, typed: tuple[str, ...] = ()) -> Any:
        made = cli("lock", "set", *options, typed=typed)
        ids.append(made["id"])
        return made

    yield set_lock
    if ids:
        cli("lock", "lift", *ids)


def test_calls_that_are_up_are_cut(
    cli: Cli, phones: Phones, fastagi: Router, lock: Callable[..., Any], numbers: list[str]
) -> None:
    """
    By ARI, whatever is locked and whoever of a call; others go on.

    Another router serves the same Asterisk, and cuts the same calls.
    """
    assert fastagi
    tenant = f"cut-{secrets.token_hex(4)}"
    cli("tenant", "add", tenant, "--no-order", "--consent", "off")
    pairs = list(zip(numbers[:5], numbers[5:10], strict=True))
    bound = [cli.bind(a, b) for a, b in pairs[:4]]
    bound.append(cli.bind(*pairs[4], "--tenant", tenant))
    member, other, b = numbers[10:]
    group = cli("bind", "gxb", "--g", member, "--g", other, "--b", b)
    cut = ("--reason", "security_risk", "--cut", "--person", "-")

    with phones.listen():
        talks = [phones.dial(a, made["x"]) for (a, _), made in zip(pairs, bound, strict=True)]
        apart = phones.dial(member, group["x"])
        for talk in (*talks, apart):
            assert until(partial(is_up, talk), timeout=60)
        # Without cut a call goes on, and so does one of a group of which another member is locked.
        lock("--reason", "misuse", "--person", "-", typed=(pairs[0][0],))
        lock(*cut, typed=(other,))
        locks = [
            lock(*cut, typed=(pairs[1][0],)),
            lock(*cut, typed=(pairs[2][1],)),
            lock("--reason", "misuse", "--cut", "--x", bound[3]["x"]),
            lock("--reason", "misuse", "--cut", "--tenant", tenant),
        ]
        over = list(zip(talks[1:], bound[1:], locks, strict=True))
        for talk, _, _ in over:
            (heard,) = talk.heard(timeout=60)
            assert heard.status == 200
        assert is_up(talks[0])
        assert is_up(apart)
        left = [
            (talks[0], bound[0], lock(*cut, typed=(pairs[0][0],))),
            (apart, group, lock(*cut, typed=(member,))),
        ]
        for talk, made, of in over + left:
            (heard,) = talk.heard(timeout=60)
            assert any(m.method == "BYE" and not m.sent for m in heard.messages)
            record = cli.record(made["x"])
            assert (record["outcome"], record["released_by"]) == ("answered", "us")
            assert (record["cut"], record["clock"]) == (of["reason"], None)


def test_every_row_is_read() -> None:
    """And nothing else is there."""
    table = PAGE.split("## What a lock does")[1].split("\n\n- ")[0]
    assert len(ROWS) == len([line for line in table.splitlines() if line.startswith("| ")]) - 1


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["locked"])
def test_what_is_locked(
    cli: Cli, phones: Phones, pbx: dict[str, Any], a: str, b: str, row: dict[str, str]
) -> None:
    """Nobody rings; the prompt and the cause are those of the page; lifted, they talk."""
    tenant = f"locked-{secrets.token_hex(4)}"
    cli("tenant", "add", tenant, "--no-order", "--consent", "off")
    x = cli.bind(a, b, "--tenant", tenant, "--language", "zh")["x"]
    what: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
        "the caller": (("--person", "-"), (a,)),
        "the caller, for the tenant": (("--person", "-", "--tenant", tenant), (a,)),
        "the callee": (("--person", "-"), (b,)),
        "the callee, for the tenant": (("--person", "-", "--tenant", tenant), (b,)),
        "the 700 number": (("--x", x), ()),
        "its block": (("--block", x[:11]), ()),
        "the tenant": (("--tenant", tenant), ()),
    }
    options, typed = what[row["locked"]]
    put_tone(Path(pbx["rootfs"]), row["prompt"])

    with locked(cli, *options, typed=typed), listening() as sound:
        call = phones.call(a, x)

    assert (call.status, call.invites) == (int(row["status"]), ())
    assert any(
        # What is nearly silent has two values, too.
        len(set(payload)) == 2 and not set(payload) & {0xD5, 0x55}
        for _, payload in sound.of(call.caller.messages)
    )
    record = cli.record(x)
    assert (record["reason"], record["cause"]) == (row["reason"], int(row["cause"]))
    assert phones.call(a, x).status == 200


def test_why_is_heard(
    cli: Cli, phones: Phones, pbx: dict[str, Any], lock: Callable[..., Any], a: str, b: str
) -> None:
    """A prompt for each reason; where it was never made, the one for all."""
    root = Path(pbx["rootfs"])
    x = cli.bind(a, b, "--language", "zh")["x"]
    put_tone(root, "you_locked", level=1000)
    for level, reason in enumerate(LockReason, start=2):
        put_tone(root, f"you_locked_{reason}", level=1000 * level)

    def hear() -> frozenset[int]:
        with listening() as sound:
            call = phones.call(a, x)
        assert call.status == 403
        heard = {frozenset(payload) for _, payload in sound.of(call.caller.messages)}
        # What is nearly silent has two values, too.
        (tone,) = {each for each in heard if len(each) == 2 and not each & {0xD5, 0x55}}
        return tone

    heard = set()
    for reason in reversed(list(LockReason)):
        ends = ("--for", "2h") if reason is LockReason.MAINTENANCE else ()
        # The strongest speaks: each is stronger than those before.
        lock("--reason", reason.value, "--person", "-", *ends, typed=(a,))
        heard.add(hear())
    # Behind the reason what has become of the appeal.
    put_tone(root, "you_locked_misuse", level=0)
    put_tone(root, "appeal_filed", level=500)
    cli("appeal", "file", "--lock", cli("lock", "show", "--person", "-", typed=[a])[0]["id"])
    heard.add(hear())
    file = root / "usr/share/asterisk/sounds/zh/agi-router/you_locked_misuse.wav"
    away = file.rename(file.with_suffix(".away"))
    put_tone(root, "appeal_filed", level=0)
    try:
        heard.add(hear())
    finally:
        away.rename(file)
    assert len(heard) == len(LockReason) + 2


@pytest.mark.parametrize("locked", ["the tenant", "the caller"])
def test_the_kill_switch(
    cli: Cli,
    phones: Phones,
    database: psycopg.Connection[dict[str, Any]],
    lock: Callable[..., Any],
    a: str,
    b: str,
    locked: str,
) -> None:
    """
    While 30 calls come each second: none is admitted later than 1 s after the command returned.

    By the database's clock, which gives the time of each admission. Calls that are up are cut.
    """
    tenant = f"kill-{secrets.token_hex(4)}"
    cli("tenant", "add", tenant, "--no-order", "--consent", "off")
    bound = cli.bind(a, b, "--tenant", tenant)

    def ask(statement: str, **values: Any) -> Any:
        asked = {"binding": bound["id"], "x": int(bound["x"]), **values}
        row = database.execute(statement.encode(), asked).fetchone()
        assert row is not None
        return next(iter(row.values()))

    def admitted(more: str = "", **values: Any) -> int:
        ours = (
            "SELECT count(*) FROM agi_router.call WHERE block || '-' || binding_id = %(binding)s"
        )
        return int(ask(f"{ours} {more}", **values))

    def refused_since(moment: Any) -> int:
        since = (
            "SELECT count(*) FROM agi_router.call WHERE x_number = %(x)s AND binding_id IS NULL"
            " AND reason IN ('tenant_suspended', 'party_locked') AND received_at > %(moment)s"
        )
        return int(ask(since, moment=moment))

    # A phone that is cut off while it rings ends with an error, which is no matter here.
    with suppress(PhoneError), phones.listen():
        calls = phones.dial(a, bound["x"], calls=9000, rate=30)
        assert until(lambda: admitted() >= 10, timeout=60)
        if locked == "the tenant":
            lock("--reason", "misuse", "--cut", "--tenant", tenant)
        else:
            lock("--reason", "misuse", "--cut", "--person", "-", typed=(a,))
        returned = ask("SELECT clock_timestamp()")
        # Beyond that second others came, and were refused.
        second = "SELECT %(moment)s::timestamptz + interval '1 second'"
        assert until(lambda: refused_since(ask(second, moment=returned)) >= 10, timeout=60)
        calls.kill()
        assert until(lambda: admitted("AND state = 'reserved'") == 0, timeout=60)
    assert admitted("AND received_at > %(moment)s + interval '1 second'", moment=returned) == 0
    assert admitted("AND cut = 'misuse'") > 0

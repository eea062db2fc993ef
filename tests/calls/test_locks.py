"""
Locks on a real Asterisk; what is heard: tests/calls/test_refusal_table.py.
"""

from __future__ import annotations

import secrets
import struct
import wave
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from agi_router.persons.effects import LockReason
from calls.sound import listening
from harness.pbx import Cli, Router
from harness.prompts import restored
from testpbx.phones import PhoneError, Phones, RunningPhone
from testpbx.waiting import until


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
    group = cli("bind", "gxb", "--members", member, "--members", other, "--b", b)
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


def test_it_ends_by_itself(cli: Cli, phones: Phones, a: str, b: str) -> None:
    """At its end, by the clock of the machine; elsewhere the clock is given."""
    x = cli.bind(a, b)["x"]
    made = cli("lock", "set", "--reason", "misuse", "--for", "8s", "--person", "-", typed=(a,))
    with phones.listen():
        assert phones.dial(a, x).heard()[0].status == 403
        assert until(lambda: phones.dial(a, x, hold=0.3).heard()[0].status == 200, timeout=60)
    found = cli("lock", "show", made["id"])
    assert found["lifted_by"] is None
    assert found["state"] == "ended"


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


def test_the_kill_switch(
    cli: Cli,
    phones: Phones,
    database: psycopg.Connection[dict[str, Any]],
    a: str,
    b: str,
) -> None:
    """
    While 30 calls come each second: none is admitted later than 1 s after the command returned.

    By the database's clock, which gives the time of each admission. Calls that are up are cut.
    """
    tenant = f"kill-{secrets.token_hex(4)}"
    cli("tenant", "add", tenant, "--no-order", "--consent", "off")
    bound = cli.bind(a, b, "--tenant", tenant)
    x = bound["x"]

    def ask(statement: str, **values: Any) -> Any:
        asked = {"binding": bound["id"], "x": int(x), **values}
        row = database.execute(statement.encode(), asked).fetchone()
        assert row is not None
        return next(iter(row.values()))

    def admitted(more: str = "", **values: Any) -> int:
        ours = (
            "SELECT count(*) FROM agi_router.call WHERE block || '-' || binding_id = %(binding)s"
        )
        return int(ask(f"{ours} {more}", **values))

    def refused(since: Any) -> int:
        """Beyond the second after the command."""
        others = (
            "SELECT count(*) FROM agi_router.call WHERE x_number = %(x)s AND binding_id IS NULL"
            " AND reason IN ('tenant_suspended', 'party_locked', 'x_locked')"
            " AND received_at > %(since)s::timestamptz + interval '1 second'"
        )
        return int(ask(others, since=since))

    locks = (("--x", x), ("--block", x[:11]), ("--person", "-"), ("--tenant", tenant))
    # A phone that is cut off while it rings ends with an error, which is no matter here.
    with suppress(PhoneError), phones.listen():
        calls = phones.dial(a, x, calls=9000, rate=30)
        begin = ask("SELECT clock_timestamp()")
        for what in locks:
            assert until(
                lambda: admitted("AND received_at > %(begin)s", begin=begin) >= 10,  # noqa: B023
                timeout=60,
            )
            made = cli("lock", "set", "--reason", "misuse", "--cut", *what, typed=(a,))
            try:
                returned = ask("SELECT clock_timestamp()")
                assert until(lambda: refused(returned) >= 10, timeout=60)  # noqa: B023
                begin = ask("SELECT clock_timestamp()")
                late = (
                    "AND received_at > %(since)s::timestamptz + interval '1 second'"
                    " AND received_at < %(begin)s"
                )
                assert admitted(late, since=returned, begin=begin) == 0
                cut = admitted("AND cut = 'misuse'")
            finally:
                if what is not locks[-1]:
                    cli("lock", "lift", made["id"])
        calls.kill()
        assert until(lambda: admitted("AND state = 'reserved'") == 0, timeout=60)
    cli("lock", "lift", made["id"])
    assert cut > 0

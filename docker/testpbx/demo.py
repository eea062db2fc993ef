"""
The demo: a handful of calls and texts through the test PBX, checked by what was on the wire.

1. Bindings are made as a user makes them, by the command ``agi-router``.
2. Every check reads the captured SIP of both legs. The router's own records are only compared.
3. The phones plant the numbers and names that must not get through: a clean leg means something.
4. Numbers are invented, and still nothing prints one in full.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from agi_router.leaktest.leaks import find_leaks, mask
from agi_router.leaktest.messages import received_by
from testpbx.ladder import draw_ladder
from testpbx.phones import Call, PhoneError, Phones
from testpbx.texts import SentText, TextError, texts_served

__all__ = ["main"]

BLOCK = "70012345678"
TENANT = "demo"
OK, ACCEPTED, FORBIDDEN = 200, 202, 403

T = TypeVar("T")


class DemoError(Exception):
    """The demo cannot go on; the message says why, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Somebody with a phone: an invented number, and the display name that the phone sends."""

    number: str
    name: str


LI = Party(number="13800000001", name="Li Lei")
HAN = Party(number="13800000002", name="Han Meimei")
STRANGER = Party(number="13800000003", name="Mo Sheng")
LUO = Party(number="13800000011", name="Luo Yi")
WANG = Party(number="13800000012", name="Wang Er")
ZHAO = Party(number="13800000021", name="Zhao Da")
QIAN = Party(number="13800000022", name="Qian Duo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """
    A call, and what has to come of it.

    Attributes:
        title: What it shows, in a few words.
        caller: Who dials.
        dialled: The 700 number.
        parties: Whose numbers and names belong to the binding.
        rings: Who has to ring, :obj:`None` for nobody.
        why: The outcome or the reason that has to be on record.
    """

    title: str
    caller: Party
    dialled: str
    parties: tuple[Party, ...]
    rings: Party | None
    why: str

    @property
    def status(self) -> int:
        """The final status that the caller has to get."""
        return OK if self.rings else FORBIDDEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A call as it went; ``why`` is the router's word for its end."""

    attempt: Attempt
    call: Call
    leaks: tuple[str, ...]
    why: str
    differences: tuple[str, ...]


def leaks_of(attempt: Attempt, call: Call) -> tuple[str, ...]:
    """Every number and name of one side that the other side's phone received."""
    others = [party for party in attempt.parties if party != attempt.caller]
    at_caller = find_leaks(
        received_by(call.caller.messages),
        numbers=[party.number for party in others],
        names=[party.name for party in others],
    )
    at_callee = find_leaks(
        received_by(call.callee), numbers=[attempt.caller.number], names=[attempt.caller.name]
    )
    return tuple(
        [f"at the caller: {leak}" for leak in at_caller]
        + [f"at the callee: {leak}" for leak in at_callee]
    )


def check(attempt: Attempt, call: Call, record: Mapping[str, Any]) -> Result:
    """Compare a call with what had to come of it."""
    leaks = leaks_of(attempt, call)
    found = [f"leak {leak}" for leak in leaks]

    def same(what: str, is_: object, expected: object) -> None:
        if is_ != expected:
            found.append(f"{what}: {mask(str(is_))}, expected {mask(str(expected))}")

    same("final status", call.status, attempt.status)
    same("calls at the callee's phone", len(call.invites), 1 if attempt.rings else 0)
    for invite in call.invites if attempt.rings else ():
        same("who rang", invite.request_user, attempt.rings.number if attempt.rings else None)
        same("From", invite.from_user, attempt.dialled)
        if invite.from_name is not None:
            same("display name", invite.from_name, attempt.dialled)
        if invite.asserted_user is not None:
            same("asserted identity", invite.asserted_user, attempt.dialled)
        if (invite.contact_user or "").strip("+").isdecimal():
            same("Contact", invite.contact_user, attempt.dialled)
    why = str(record.get("reason") or record.get("outcome") or "no record")
    same("on record", why, attempt.why)
    return Result(attempt=attempt, call=call, leaks=leaks, why=why, differences=tuple(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class TextResult:
    """A text as it went, and what differs from what had to come of it."""

    title: str
    sender: Party
    to: str
    sent: SentText
    leaks: int
    differences: tuple[str, ...]


def check_text(  # noqa: PLR0917 - a row of a table
    title: str, sender: Party, receiver: Party | None, to: str, body: str, sent: SentText
) -> TextResult:
    """Compare a text with what had to come of it; *receiver* is nobody where it is refused."""
    others = [each for each in (LI, HAN) if each != sender]
    leaks = [
        *find_leaks(
            sent.at_sender,
            numbers=[each.number for each in others],
            names=[each.name for each in others],
        ),
        *find_leaks(sent.raw_at_receiver, numbers=[sender.number], names=[sender.name]),
    ]
    found = [f"leak {leak}" for leak in leaks]
    saw = [(_user(each.uri), _user(each.one("from")), each.body) for each in sent.at_receiver]
    wanted = [] if receiver is None else [(receiver.number, to, body.encode())]
    if saw != wanted:
        found.append("the receiver's phone did not get what was sent, from the 700 number")
    status = ACCEPTED if receiver else FORBIDDEN
    if sent.status != status:
        found.append(f"status {sent.status}, expected {status}")
    return TextResult(
        title=title, sender=sender, to=to, sent=sent, leaks=len(leaks), differences=tuple(found)
    )


def text_table(results: Sequence[TextResult]) -> str:
    """Render the texts for people, numbers masked."""
    head = ("text", "from", "sent to", "reached", "was shown", "said", "status", "leaks", "")
    rows: list[tuple[str, ...]] = [head]
    for result in results:
        came = result.sent.at_receiver
        rows.append(
            (
                result.title,
                mask(result.sender.number),
                result.to,
                mask(", ".join(_user(each.uri) for each in came)) or "nobody",
                mask(", ".join(_user(each.one("from")) for each in came)) or "-",
                mask(", ".join(each.body.decode() for each in came)) or "-",
                str(result.sent.status),
                str(result.leaks or "none"),
                "DIFFERS" if result.differences else "ok",
            )
        )
    return as_columns(rows)


def _user(address: str) -> str:
    return address.partition("sip:")[2].partition("@")[0]


def table(results: Sequence[Result]) -> str:
    """Render the results for people, numbers masked."""
    head = ("call", "from", "dialled", "rang", "was shown", "status", "why", "leaks", "")
    rows: list[tuple[str, ...]] = [head]
    for result in results:
        attempt, call = result.attempt, result.call
        rows.append(
            (
                attempt.title,
                mask(attempt.caller.number),
                attempt.dialled,
                mask(", ".join(i.request_user or "?" for i in call.invites)) or "nobody",
                mask(", ".join(i.from_user or "?" for i in call.invites)) or "-",
                str(call.status or "none"),
                result.why,
                str(len(result.leaks)) if result.leaks else "none",
                "DIFFERS" if result.differences else "ok",
            )
        )
    return as_columns(rows)


def as_columns(rows: list[tuple[str, ...]]) -> str:
    """Render rows for people, the first as a head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, tuple("-" * width for width in widths))
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join(lines)


class Demo:
    """One run against a PBX that is up, as ``docker/pbx up --json`` describes it."""

    def __init__(self, pbx: Mapping[str, Any], work: Path) -> None:
        """Place nothing yet; *work* takes the captures."""
        self._phones = Phones.of_pbx(pbx, work)
        # The application refuses settings that it does not know, so nothing is inherited.
        inherited = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        self._env = {**inherited, **pbx["env"]}
        self._began = datetime.now(UTC)

    def run(self) -> list[Result]:
        """Make the bindings, place the calls, check them."""
        self._add_block()
        self._add_tenant()
        # The one that is to expire first, so that its time runs while the others talk.
        brief = self._bind_briefly(ZHAO, QIAN)
        pair = self._bind(LI, HAN, "--ttl", "2h")
        once = self._bind(LUO, WANG, "--ttl", "2h", "--max-calls", "1")
        parties = {"dialled": pair["x"], "parties": (LI, HAN)}
        answered = [
            Attempt(title="A→X→B", caller=LI, rings=HAN, why="answered", **parties),
            Attempt(title="B→X→A", caller=HAN, rings=LI, why="answered", **parties),
            Attempt(
                title="the only call allowed",
                caller=LUO,
                dialled=once["x"],
                parties=(LUO, WANG),
                rings=WANG,
                why="answered",
            ),
        ]
        refused = [
            Attempt(title="a stranger", caller=STRANGER, rings=None, why="stranger", **parties),
            Attempt(
                title="an expired binding",
                caller=ZHAO,
                dialled=brief["x"],
                parties=(ZHAO, QIAN),
                rings=None,
                why="expired",
            ),
            Attempt(
                title="one call too many",
                caller=LUO,
                dialled=once["x"],
                parties=(LUO, WANG),
                rings=None,
                why="used_up",
            ),
        ]
        calls = [self._answered(attempt) for attempt in answered]
        expiry = datetime.fromisoformat(brief["expires_at"])
        until(lambda: datetime.now(UTC) > expiry, "the short binding to expire", timeout=60)
        calls += self._refused(refused)
        attempts = answered + refused
        records = self._records(attempts)
        results = [
            check(attempt, call, record)
            for attempt, call, record in zip(attempts, calls, records, strict=True)
        ]
        self._check_count(once["id"], used=1)
        return results

    def run_texts(self) -> list[TextResult]:
        """Have the two parties of one more binding text each other, and a stranger one of them."""
        pair = self._bind(LI, HAN, "--ttl", "2h", "--messages", "both")
        texts = [
            ("A→X→B", LI, HAN, "I am at the gate."),
            ("B→X→A", HAN, LI, "The code of the locker is 4711."),
            ("a stranger", STRANGER, None, "Hello?"),
        ]
        with texts_served(self._env) as carrier:
            return [
                check_text(
                    title,
                    sender,
                    receiver,
                    pair["x"],
                    body,
                    carrier.send(
                        sender.number, sender.name, pair["x"], body, arrives=receiver is not None
                    ),
                )
                for title, sender, receiver, body in texts
            ]

    def _answered(self, attempt: Attempt) -> Call:
        callee = attempt.rings or STRANGER
        return self._phones.call(
            attempt.caller.number,
            attempt.dialled,
            name=attempt.caller.name,
            headers=[identity(attempt.caller)],
            talk=0.6,
            callee_headers=[identity(callee)],
        )

    def _refused(self, attempts: Sequence[Attempt]) -> list[Call]:
        """Place calls that nobody may hear of, all at once: each plays its prompt to the end."""
        with self._phones.listen() as callee:
            running = [
                self._phones.dial(
                    attempt.caller.number,
                    attempt.dialled,
                    name=attempt.caller.name,
                    headers=[identity(attempt.caller)],
                    # Should one be answered after all, it need not last.
                    hold=0.6,
                )
                for attempt in attempts
            ]
            heard = [one for phone in running for one in phone.heard()]
        # Whatever reached the callee's phone counts against every one of them.
        return [Call(caller=one, callee=callee.messages) for one in heard]

    def _records(self, attempts: Sequence[Attempt]) -> list[Mapping[str, Any]]:
        """Return the router's record of each call, in the order of *attempts*."""

        def settled() -> list[Mapping[str, Any]] | None:
            rows = self._cli("calls", "--since", self._began.isoformat(), "--json")
            rows = [row for row in rows if row["state"] == "settled"]
            return rows[::-1] if len(rows) >= len(attempts) else None

        rows = until(settled, f"the records of {len(attempts)} calls")
        records: list[Mapping[str, Any]] = []
        for attempt in attempts:
            verdict = "route" if attempt.rings else "refuse"
            found = next(
                (r for r in rows if (r["x"], r["verdict"]) == (attempt.dialled, verdict)), None
            )
            if found:
                rows.remove(found)
            records.append(found or {})
        return records

    def _check_count(self, binding: str, *, used: int) -> None:
        def counted() -> bool:
            return bool(self._cli("show", binding, "--json")["calls_used"] == used)

        until(counted, f"binding {binding} to count {used}")

    def _add_block(self) -> None:
        blocks = self._cli("block", "list", "--json")
        if all(block["block"] != BLOCK for block in blocks):
            self._cli("block", "add", BLOCK, "--json")

    def _add_tenant(self) -> None:
        """One of our own: of the others' rules we know nothing where the database is not ours."""
        if all(tenant["name"] != TENANT for tenant in self._cli("tenant", "list", "--json")):
            self._cli("tenant", "add", TENANT, "--no-order", "--consent", "off", "--json")
        self._cli("tenant", "notice", TENANT, "off", "--json")

    def _bind(self, a: Party, b: Party, *terms: str) -> Any:
        who = ("--tenant", TENANT, "--a", a.number, "--b", b.number)
        return self._cli("bind", "axb", *who, *terms, "--json")

    def _bind_briefly(self, a: Party, b: Party) -> Any:
        """
        Bind for some seconds: by its end, for a life is never meant to be that short.
        """
        try:
            return self._bind(a, b, "--expires", _in(seconds=5))
        except DemoError:
            # A machine that stalls has let it pass before the binding was made.
            return self._bind(a, b, "--expires", _in(seconds=40))

    def _cli(self, *arguments: str) -> Any:
        done = subprocess.run(
            ["agi-router", *arguments],
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DemoError(mask(f"agi-router {arguments[0]}: {done.stderr.strip()}"))
        return json.loads(done.stdout)


def until(ready: Callable[[], T | None], what: str, *, timeout: float = 60) -> T:
    """
    Ask *ready* again and again until it has an answer that counts as true.

    Raises:
        DemoError: It had none in *timeout* seconds.
    """
    deadline = time.monotonic() + timeout
    while not (answer := ready()):
        if time.monotonic() > deadline:
            raise DemoError(f"waited {timeout} s in vain for {what}")
        time.sleep(0.1)
    return answer


def _in(*, seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def identity(party: Party) -> str:
    """The header by which the carrier asserts who somebody is."""
    return f'P-Asserted-Identity: "{party.name}" <sip:{party.number}@127.0.0.1>'


def _report(results: Sequence[Result], texts: Sequence[TextResult], out: Path) -> list[str]:
    """Print the tables, write them and the ladder of the first call to *out*."""
    text = f"{table(results)}\n\n{text_table(texts)}"
    first = results[0]
    svg = draw_ladder(
        caller=first.call.caller.messages,
        callee=first.call.callee,
        title=f"A calls {first.attempt.dialled}: B rings, and is shown {first.attempt.dialled}",
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / "calls.txt").write_text(f"{text}\n", "utf-8")
    (out / "ladder.svg").write_text(svg, "utf-8")
    print(f"\n{text}\n\n{out}/calls.txt   these tables\n{out}/ladder.svg  the first call, drawn")
    return [
        *(
            f"{result.attempt.title}: {difference}"
            for result in results
            for difference in result.differences
        ),
        *(
            f"text {result.title}: {difference}"
            for result in texts
            for difference in result.differences
        ),
    ]


def main() -> int:
    """Run the demo on the PBX whose description comes on standard input; give the exit code."""
    parser = argparse.ArgumentParser(prog="demo", description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="directory for table and picture")
    out = parser.parse_args().out
    work = Path(tempfile.mkdtemp(prefix="agi-router-demo-"))
    began = time.monotonic()
    try:
        demo = Demo(json.load(sys.stdin), work)
        results, texts = demo.run(), demo.run_texts()
        differences = _report(results, texts, out)
    except (DemoError, PhoneError, TextError, OSError) as error:
        print(f"demo: {error}\ndemo: captures are in {work}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        shutil.rmtree(work)
        print("demo: interrupted", file=sys.stderr)
        return 130
    if differences:
        print("\n".join(["", *(f"demo: {one}" for one in differences)]))
        print(f"demo: {len(differences)} differences; captures are in {work}")
        return 1
    shutil.rmtree(work)
    took = time.monotonic() - began
    print(f"\ndemo: {len(results)} calls and {len(texts)} texts as expected, in {took:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())

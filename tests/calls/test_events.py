"""
Events of a real call: what a tenant's receiver hears of it, signed, while nobody asks.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.ends import SDP, Caller, sides
from harness.pbx import STATE, Cli
from harness.receiver import Receiver
from testpbx.phones import Phones
from testpbx.rootfs import router_env
from testpbx.state import ASTERISK_ACCOUNT, ROUTER_ACCOUNT
from testpbx.waiting import until


@contextmanager
def delivering(cli: Cli, dsn: str) -> Iterator[None]:
    """Deliver meanwhile, by a process as in service."""
    log = STATE / "logs/deliver.log"
    env = {**cli.env, "AGI_ROUTER_DSN": dsn, "AGI_ROUTER_WEBHOOK_HOSTS": "127.0.0.1"}
    with log.open("ab") as file:
        process = subprocess.Popen(
            ["agi-router", "deliver"],
            env=router_env(env, Path(os.environ["PBX_CACHE"]), STATE),
            stdout=file,
            stderr=file,
            user=ROUTER_ACCOUNT,
            group=ASTERISK_ACCOUNT,
            extra_groups=[],
        )
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(20) == 0, log.read_text()


def test_an_answer_is_told_while_they_talk(
    pbx: dict[str, Any], cli: Cli, phones: Phones, a: str, b: str
) -> None:
    """Before the end, which comes when the caller has heard of it."""
    assert phones
    with Receiver() as receiver:
        made = cli("webhook", "add", receiver.url, "--types", "call.answered,call.ended")
        bound = cli.bind(a, b)

        def told() -> list[dict[str, Any]]:
            """What came of the binding, each once, in the order in which it came."""
            events = [each.verified(made["secret"]) for each in receiver.received]
            return list(
                {each["id"]: each for each in events if each["subject"] == bound["id"]}.values()
            )

        try:
            with delivering(cli, pbx["dsn"]), sides() as (near, far):
                call = Caller(near, a, bound["x"])
                call.invite()
                ringing = far.wait(lambda m: m.start_line.startswith("INVITE "))
                far.answer(ringing, "200 OK", tag=call.call_id, body=SDP.format(far.port + 2))
                # Sides without sound are parted after half a minute.
                heard: list[bool] = []
                status = call.final(
                    lambda: heard.append(until(lambda: len(told()) == 1, timeout=25))
                )
                assert (status, heard) == (200, [True])
                (record,) = cli("calls", "--binding", bound["id"])
                far.wait(lambda m: m.start_line.startswith("BYE "))
                far.be_left_alone()
                assert until(lambda: len(told()) == 2, timeout=30)
        finally:
            cli("webhook", "remove", made["id"])
            cli("events", "write", "--none")
    answered, ended = told()
    assert (answered["type"], ended["type"]) == (
        "agi_router.call.answered",
        "agi_router.call.ended",
    )
    assert answered["sequence"] < ended["sequence"]
    data = answered["data"]
    assert (data["call_id"], data["ended_at"], data["outcome"]) == (record["id"], None, None)
    assert data["answered_at"] == ended["data"]["answered_at"]
    assert ended["data"]["outcome"] == "answered"


def test_a_call_is_told(pbx: dict[str, Any], cli: Cli, phones: Phones, a: str, b: str) -> None:
    """As it is let through and when it is over, with masked numbers."""
    with Receiver() as receiver:
        made = cli("webhook", "add", receiver.url, "--types", "call.admitted,call.ended")

        def told_of(binding: Any) -> dict[str, Any]:
            """What came of a binding, by type: what is not answered in time comes again."""
            events = [each.verified(made["secret"]) for each in receiver.received]
            return {each["type"]: each for each in events if each["subject"] == binding["id"]}

        try:
            with delivering(cli, pbx["dsn"]):
                bound = cli.bind(a, b, "--order", "O-1")
                phones.call(a, bound["x"])
                assert until(lambda: len(told_of(bound)) == 2, timeout=30)
        finally:
            cli("webhook", "remove", made["id"])
            cli("events", "write", "--none")
    told_events = told_of(bound)
    admitted = told_events["agi_router.call.admitted"]
    ended = told_events["agi_router.call.ended"]
    record = cli.record(bound["x"])
    for told in (admitted, ended):
        assert told["subject"] == bound["id"]
        assert told["data"]["call_id"] == record["id"]
        assert told["data"]["parties"] == {
            side: [f"{number[:3]}****{number[-4:]}"] for side, number in (("a", a), ("b", b))
        }
    assert (ended["data"]["outcome"], ended["data"]["order_id"]) == ("answered", "O-1")
    assert ended["data"]["talk_ms"] == record["talk_ms"]
    assert (ended["data"]["sip_status"], ended["data"]["clock"]) == (200, None)
    sent = b"".join(each.body for each in receiver.received).decode()
    log = (STATE / "logs/deliver.log").read_text()
    assert not [number for number in (a, b) if number in sent + log]

"""
README.md's example by HTTP, as it stands: a key, a webhook, a binding, a call, and what is told.
"""

import re
import secrets
import shlex
from functools import partial
from pathlib import Path
from string import Template
from typing import Any

import httpx2

from calls.page import LOG, free_door, is_ready, served
from harness.pbx import Cli
from harness.receiver import Receiver
from testpbx.phones import Phones
from testpbx.waiting import until

PAGE = Path(__file__).parents[2] / "README.md"


def example(**names: str) -> tuple[list[str], list[str]]:
    """The commands of its two blocks, with names, numbers and addresses that are free here."""
    blocks = re.findall(r"(?ms)^```sh\n(.*?)^```", PAGE.read_text("utf-8"))
    commands, requests = (re.sub(r" *\\\n *| +#[^\n]*", " ", each) for each in blocks)
    for told, meant in names.items():
        place = told.strip("_").replace("__", ":")
        assert place in commands + requests
        commands, requests = commands.replace(place, meant), requests.replace(place, meant)
    return commands.splitlines(), requests.splitlines()


def curl(line: str, key: str) -> Any:
    """What it would print."""
    words = iter(shlex.split(Template(line).substitute(KEY=key))[1:])
    url = next(words)
    headers, body = {"Content-Type": "application/json"}, ""
    for word in words:
        assert word in {"-H", "--json"}
        if word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        else:
            body = next(words)
    answer = httpx2.post(url, content=body, headers=headers, timeout=30)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_the_example(cli: Cli, phones: Phones, a: str, b: str) -> None:
    """A call of the platform's is told to it, signed; neither number is told anywhere."""
    door = free_door()
    with Receiver() as receiver:
        commands, requests = example(
            couriers=f"readme-{secrets.token_hex(6)}",
            _13800000001=a,
            _13800000002=b,
            **{"127.0.0.1__8700": door, "http://127.0.0.1__9000/hooks": receiver.url},
        )
        with served(commands, {**cli.env, "AGI_ROUTER_HTTP_LISTEN": door}) as key:
            assert until(partial(is_ready, door), timeout=60)
            webhook, bound = (curl(each, key) for each in requests)
            phones.call(a, bound["x"])
            assert until(lambda: len(receiver.received) > 0, timeout=60)
    told = receiver.received[0].verified(webhook["secret"])
    assert told["type"] == "agi_router.call.ended"
    assert (told["subject"], told["data"]["order_id"]) == (bound["id"], "A-1001")
    assert told["data"]["outcome"] == "answered"
    assert told["data"]["parties"]["a"] == [f"{a[:3]}****{a[-4:]}"]
    said = receiver.received[0].body.decode() + LOG.read_text()
    assert not [secret for secret in (a, b, key.split("_", 2)[2]) if secret in said]

"""
README.md's example by HTTP, as it stands: a key, a webhook, a binding, a call, and what is told.
"""

import contextlib
import os
import re
import secrets
import shlex
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

import httpx2

from harness.cli import run
from harness.pbx import STATE, Cli
from harness.receiver import Receiver
from testpbx.phones import Phones
from testpbx.rootfs import router_env
from testpbx.state import ASTERISK_ACCOUNT, ROUTER_ACCOUNT
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


@contextlib.contextmanager
def served(commands: list[str], env: dict[str, str]) -> Iterator[str]:
    """
    Run the commands of a shell; those with ``&`` until the end, as the service's account.

    Yields the API key.
    """
    key, beside = "", []
    log = STATE / "logs/readme.log"
    try:
        for line in commands:
            words = shlex.split(line.removesuffix("&").strip())
            if words[0] == "export":
                env |= dict([words[1].split("=", 1)])
            elif line.endswith("&"):
                with log.open("ab") as file:
                    process = subprocess.Popen(
                        words,
                        env=router_env(env, Path(os.environ["PBX_CACHE"]), STATE),
                        stdout=file,
                        stderr=file,
                        user=ROUTER_ACCOUNT,
                        group=ASTERISK_ACCOUNT,
                        extra_groups=[],
                    )
                beside.append(process)
            else:
                told = run([*words[1:], "--json"], env).json
                key = told.get("bearer", key)
        yield key
    finally:
        for process in beside:
            process.terminate()
        assert [process.wait(30) for process in beside] == [0] * len(beside), log.read_text()


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
    with socket.create_server(("127.0.0.1", 0)) as probe:
        door = f"127.0.0.1:{probe.getsockname()[1]}"
    with Receiver() as receiver:
        commands, requests = example(
            couriers=f"readme-{secrets.token_hex(6)}",
            _13800000001=a,
            _13800000002=b,
            **{"127.0.0.1__8700": door, "http://127.0.0.1__9000/hooks": receiver.url},
        )
        with served(commands, {**cli.env, "AGI_ROUTER_HTTP_LISTEN": door}) as key:

            def ready() -> bool:
                with contextlib.suppress(httpx2.TransportError):
                    return httpx2.get(f"http://{door}/readyz", timeout=30).status_code == 200
                return False

            assert until(ready, timeout=60)
            webhook, bound = (curl(each, key) for each in requests)
            phones.call(a, bound["x"])
            assert until(lambda: len(receiver.received) > 0, timeout=60)
    told = receiver.received[0].verified(webhook["secret"])
    assert told["type"] == "agi_router.call.ended"
    assert (told["subject"], told["data"]["order_id"]) == (bound["id"], "A-1001")
    assert told["data"]["outcome"] == "answered"
    assert told["data"]["parties"]["a"] == [f"{a[:3]}****{a[-4:]}"]
    said = receiver.received[0].body.decode() + (STATE / "logs/readme.log").read_text()
    assert not [secret for secret in (a, b, key.rpartition("_")[2]) if secret in said]

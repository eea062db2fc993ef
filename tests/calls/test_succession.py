"""
Who has the name of the ARI application: one router at a time, and never nobody for long.
"""

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from agi_router.ari import AriClient
from harness.pbx import Cli, Router
from testpbx.phones import Phones
from testpbx.waiting import until


@pytest.fixture
def successor(pbx: dict[str, Any], tmp_path: Path) -> Iterator[Router]:
    """A second router of the same name; not started yet."""
    other = Router(
        {**pbx["env"], "AGI_ROUTER_METRICS_LISTEN": "127.0.0.1:9703"}, tmp_path / "successor.log"
    )
    yield other
    if other.process is not None and other.process.poll() is None:
        other.process.kill()
        other.process.wait()


def serves_again(router: Router, before: int) -> bool:
    """Whether a router has been ready anew since its log was so long."""
    return until(lambda: "serve.ready" in router.log[before:], timeout=20)


def test_a_second_serve_is_refused(
    cli: Cli, phones: Phones, router: Router, pbx: dict[str, Any], a: str, b: str
) -> None:
    """A serve by hand, beside the service: it says what to do, and the service goes on."""
    before = len(router.log)
    done = subprocess.run(
        ["agi-router", "serve", "--door", "ari"],
        env=pbx["env"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 69
    assert done.stderr.strip().splitlines()[-1] == (
        "agi-router: another router serves as agi_router, and would lose its calls to this one:"
        " end it first, give this one a name of its own (AGI_ROUTER_ARI_APP), or replace it by"
        " --take-over"
    )
    assert "serve.standing_by" not in router.log[before:]
    assert phones.call(a, cli.bind(a, b)["x"]).status == 200


def test_half_a_second_under_its_name(
    cli: Cli, phones: Phones, router: Router, pbx: dict[str, Any], a: str, b: str
) -> None:
    """Whoever has ARI's password can take the name for a moment: the router takes it back."""
    x = cli.bind(a, b)["x"]
    before = len(router.log)

    async def take() -> None:
        async with AriClient(
            url=pbx["env"]["AGI_ROUTER_ARI_URL"],
            user="router",
            password=pbx["env"]["AGI_ROUTER_ARI_PASSWORD"],
            app="agi_router",
        ):
            await asyncio.sleep(0.5)

    asyncio.run(take())
    assert serves_again(router, before)
    assert "serve.taking_back" in router.log[before:]
    assert phones.call(a, x).status == 200
    assert cli.record(x)["outcome"] == "answered"
    # And again: it does not tire of it.
    before = len(router.log)
    asyncio.run(take())
    assert serves_again(router, before)
    assert phones.call(a, x).status == 200


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_successor_that_goes_away(
    cli: Cli,
    phones: Phones,
    router: Router,
    successor: Router,
    a: str,
    b: str,
    end: signal.Signals,
) -> None:
    """The service comes back by itself; it holds no port and no line while it stands by."""
    x = cli.bind(a, b)["x"]
    before = len(router.log)
    successor.launch()
    assert until(lambda: "serve.standing_by" in router.log[before:], timeout=20)
    assert until(lambda: "serve.ready" in successor.log, timeout=20)
    assert phones.call(a, x).status == 200
    assert until(lambda: "call.routed" in successor.log, timeout=20)

    successor.send(end)
    assert successor.process is not None
    assert successor.process.wait(20) in {0, -9}
    assert serves_again(router, before)
    assert phones.call(a, x).status == 200
    assert {record["outcome"] for record in cli.records(x, 2)} == {"answered"}


def test_a_router_that_stands_by_is_ended(router: Router, successor: Router) -> None:
    """As in an upgrade: it ends at once, with 0, and the successor stays."""
    before = len(router.log)
    successor.launch()
    assert until(lambda: "serve.standing_by" in router.log[before:], timeout=20)
    router.send(signal.SIGTERM)
    assert router.process is not None
    assert router.process.wait(20) == 0
    assert successor.registered()
    successor.stop()


def test_an_asterisk_of_the_same_name(
    router: Router, pbx: dict[str, Any], database: psycopg.Connection[dict[str, Any]]
) -> None:
    """Another one is alive that is called as this one: this one is not served, and it says why."""
    router.stop()
    database.execute(
        "UPDATE agi_router.node SET entity_id = '00:16:3e:00:00:02', seen_at = now()"
        " WHERE name = 'pbx1'"
    )
    try:
        done = subprocess.run(
            ["agi-router", "serve", "--door", "ari"],
            env=pbx["env"],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        database.execute("DELETE FROM agi_router.node")
    assert done.returncode == 69
    error = done.stderr.strip().splitlines()[-1]
    assert error.startswith(
        "agi-router: another Asterisk, of entity id 00:16:3e:00:00:02 and started "
    )
    assert error.endswith(
        ", is alive and has the systemname pbx1, as this one: their calls cannot be told apart."
        " Give each a systemname of its own in asterisk.conf, and restart it"
    )
    router.start()
    # The name is its own again, and noted as such before calls are taken.
    mine = "SELECT FROM agi_router.node WHERE name = 'pbx1' AND entity_id <> '00:16:3e:00:00:02'"
    assert until(lambda: database.execute(mine).fetchone() is not None, timeout=10)

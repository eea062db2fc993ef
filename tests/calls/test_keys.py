"""
Keys on a real Asterisk: they are rotated under a running router, and nobody notices.
"""

import json
import subprocess

from harness.pbx import Cli
from testpbx.phones import Phones


def test_rotated_while_the_router_serves(cli: Cli, phones: Phones, a: str, b: str) -> None:
    """The router reads the file again by itself; both sides reach each other before and after."""
    x = cli.bind(a, b)["x"]
    assert phones.call(a, x).status == 200

    with subprocess.Popen(
        ["agi-router", "key", "rotate", "--json"],
        env=cli.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as rotating:
        # One at least, where it has ended before anybody looks.
        statuses = [phones.call(b, x).status]
        while rotating.poll() is None:
            statuses.append(phones.call(b, x).status)
        out, err = rotating.communicate()

    assert rotating.returncode == 0, err
    assert set(statuses) == {200}
    current = json.loads(out)["current"]
    for kind, new in current.items():
        cli("key", "retire", kind, str(new - 1))
    assert (phones.call(a, x).status, phones.call(b, x).status) == (200, 200)
    assert {(key["kind"], key["id"], key["state"]) for key in cli("key", "list")} >= {
        (kind, new, "current") for kind, new in current.items()
    }
    made = cli.bind(b, a)
    assert phones.call(a, made["x"]).status == 200

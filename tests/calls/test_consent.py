"""
Consent that is withdrawn while people talk, on a real Asterisk.
"""

from __future__ import annotations

import secrets
from functools import partial

from calls.test_locks import is_up
from harness.pbx import Cli
from testpbx.phones import Phones
from testpbx.waiting import until


def test_the_call_of_whoever_withdraws_is_cut(cli: Cli, phones: Phones, a: str, b: str) -> None:
    """By ARI, where that is said; both sides are told so, and the record says why."""
    tenant = f"agreed-{secrets.token_hex(4)}"
    cli("tenant", "add", tenant, "--consent", "asserted")
    x = cli.bind(a, b, "--tenant", tenant, "--order", "A-1", "--consent", "app")["x"]
    with phones.listen():
        talk = phones.dial(a, x)
        assert until(partial(is_up, talk), timeout=60)
        cli("consent", "withdraw", "--cut", "--person", "-", "--tenant", tenant, typed=(b,))
        (heard,) = talk.heard(timeout=60)
    assert heard.status == 200
    assert any(m.method == "BYE" and not m.sent for m in heard.messages)
    record = cli.record(x)
    assert (record["outcome"], record["released_by"], record["cut"]) == (
        "answered",
        "us",
        "consent_withdrawn",
    )

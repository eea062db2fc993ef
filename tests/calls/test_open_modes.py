"""
Numbers that strangers may call: answered and asked for an extension; and nothing where it is off.
"""

from pathlib import Path

from calls.conftest import OPEN
from calls.sound import listening
from harness.pbx import STATE, Cli, Router
from testpbx.phones import Does, Phones


def test_ringing_is_heard_after_the_answer(
    cli: Cli, phones: Phones, a: str, stranger: str
) -> None:
    """No 180 can be sent any more: Asterisk plays the tone, until A answers."""
    x = cli("bind", "axe", "--a", a, "--extension", "1234")["x"]

    with listening() as sound:
        call = phones.call(stranger, x, types=["1234"], ring=2.5, talk=3.0)

    assert (call.status, len(call.invites)) == (200, 1)
    # The first: what is not heard of in time is sent again.
    ringing = next(m.at for m in call.callee if m.sent and m.status == 180)
    answered = next(
        m.at for m in call.callee if m.sent and m.status == 200 and m.method == "INVITE"
    )
    tone = [p for at, p in sound.of(call.caller.messages) if ringing < at < answered]
    # A second of 450 Hz in five; silence is one value.
    assert sum(len(set(payload)) > 8 for payload in tone) > 20
    record = cli.record(x)
    assert (record["verdict"], record["outcome"]) == ("route", "answered")


def test_refused_after_the_answer(cli: Cli, phones: Phones, a: str, stranger: str) -> None:
    """A is busy: the caller, answered before, hears so; a BYE ends it; no use is kept."""
    binding = cli("bind", "axe", "--a", a, "--extension", "7")
    x = binding["x"]

    call = phones.call(stranger, x, types=["7#"], does=Does.BUSY, talk=30.0)

    assert call.status == 200
    assert {m.method for m in call.caller.messages if not m.sent and m.status is None} == {"BYE"}
    record = cli.record(x)
    assert (record["outcome"], record["released_by"], record["cause"]) == ("busy", "us", 17)
    assert cli("show", binding["id"])["calls_used"] == 0


def test_a_stranger_gives_up_while_asked(cli: Cli, phones: Phones, a: str, stranger: str) -> None:
    """It hangs up with digits missing: nobody rings, and the call is on record."""
    binding = cli("bind", "axe", "--a", a, "--extension", "1234")

    call = phones.call(stranger, binding["x"], types=["12"], talk=0.3)

    assert (call.status, call.invites) == (200, ())
    assert cli.record(binding["x"])["verdict"] == "gave_up"
    assert cli("show", binding["id"])["calls_used"] == 0


def test_switched_off(
    cli: Cli, phones: Phones, router: Router, a: str, b: str, stranger: str
) -> None:
    """Bindings that are there let no stranger through; A may still call back."""
    ax = cli("bind", "ax", "--a", a, "--default", b)["x"]
    axe = cli("bind", "axe", "--a", a, "--extension", "1234")["x"]
    env = {name: value for name, value in cli.env.items() if name not in OPEN}
    router.stop()
    with Router(env, STATE / "logs/router-closed.log").serving():
        for x in (ax, axe):
            call = phones.call(stranger, x)
            assert (call.status, call.invites) == (403, ())
            assert cli.record(x)["reason"] == "stranger"
        call = phones.call(a, ax)
        assert [invite.request_user for invite in call.invites] == [b]


def test_switching_on_is_logged(router: Router) -> None:
    """Whoever reads the log sees that strangers get through."""
    assert router
    assert "serve.open_modes" in Path(STATE / "logs/router.log").read_text("utf-8")

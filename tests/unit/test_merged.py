"""Requests that came lately, and which call came first with each."""

from __future__ import annotations

from agi_router.calls.merged import First, Requests
from harness.values import call_id

SECOND = 10**9
CALLS = [First(call_id(serial), f"PJSIP/in-{serial}") for serial in range(4)]


def test_the_first_one_is_known() -> None:
    """To others by the same request; the same call again is no other."""
    requests = Requests()
    assert requests.meet(b"r", CALLS[0], now=0) is None
    assert requests.meet(b"r", CALLS[0], now=1) is None
    assert requests.meet(b"r", CALLS[1], now=2) == CALLS[0]
    assert requests.meet(b"other", CALLS[2], now=3) is None


def test_it_is_forgotten_with_its_transaction() -> None:
    """After 32 s nothing is kept of it, whoever came meanwhile."""
    requests = Requests()
    requests.meet(b"r", CALLS[0], now=0)
    assert requests.meet(b"r", CALLS[1], now=32 * SECOND - 1) == CALLS[0]
    assert requests.meet(b"r", CALLS[2], now=32 * SECOND) is None
    assert requests.meet(b"r", CALLS[0], now=33 * SECOND) == CALLS[2]
    assert len(requests) == 1


def test_it_may_be_given_up() -> None:
    """By whoever has found it ended, but not for another one that has come since."""
    requests = Requests()
    requests.give_up(b"r", CALLS[0])
    requests.meet(b"r", CALLS[0], now=0)
    requests.give_up(b"r", CALLS[0])
    assert requests.meet(b"r", CALLS[1], now=1) is None
    requests.give_up(b"r", CALLS[0])
    assert requests.meet(b"r", CALLS[2], now=2) == CALLS[1]


def test_whatever_a_channel_is_called() -> None:
    """Its name comes back as it was."""
    requests = Requests()
    first = First(call_id(1), "PJSIP/\udcff\0中文-1")
    requests.meet(b"r", first, now=0)
    assert requests.meet(b"r", CALLS[0], now=1) == first
    requests.give_up(b"r", first)
    assert len(requests) == 0


def test_memory_is_bounded() -> None:
    """The one that came longest ago makes room."""
    requests = Requests(capacity=3)
    for place, call in enumerate(CALLS):
        requests.meet(bytes([place]), call, now=place)
    assert len(requests) == 3
    assert requests.meet(b"\x01", CALLS[0], now=4) == CALLS[1]
    assert requests.meet(b"\x00", CALLS[3], now=5) is None
    assert requests.meet(b"\x01", CALLS[0], now=6) is None

"""Transactions that are no INVITE, at times that are told."""

from __future__ import annotations

import pytest

from agi_router.sip import (
    Answered,
    BadMessage,
    ClientTransaction,
    Request,
    Response,
    ServerTransactions,
    Taken,
    branch_of,
    key_of,
)


def request(branch: str = "z9hG4bKa", **changed: str) -> Request:
    """Return a request with the least that one has."""
    headers = {
        "via": f"SIP/2.0/UDP 192.0.2.1;branch={branch}",
        "from": "<sip:a@b>;tag=1",
        "to": "<sip:c@d>",
        "call-id": "x",
        "cseq": "1 MESSAGE",
        **changed,
    }
    return Request(method="MESSAGE", uri="sip:c@d", headers=list(headers.items()))


def response(status: int, **changed: str) -> Response:
    """Return an answer to it."""
    return Response(status=status, reason="", headers=request(**changed).headers)


def test_a_request_whose_connection_is_gone() -> None:
    """Is given up, and not sent again."""
    sent = ClientTransaction(5.0, reliable=True)
    assert not sent.is_over(6.0)
    sent.give_up()
    assert (sent.status, sent.is_over(6.0), sent.repeats(40.0)) == (None, True, False)


def test_a_request_is_known_again_while_its_sender_may_repeat_it() -> None:
    """In hand, then answered, then, after 32 seconds, forgotten."""
    known, key = ServerTransactions(), key_of(request())
    assert known.take(key, 0.0) is None
    assert known.take(key, 0.5) == Taken()
    known.answered(key, b"202", 1.0)
    assert known.take(key, 32.9) == Answered(b"202")
    assert known.take(key_of(request("z9hG4bKb")), 32.9) is None
    assert known.take(key, 33.0) is None
    assert len(known) == 2


def test_a_request_that_gets_no_answer_is_new_when_it_is_repeated() -> None:
    """As where nobody knows whether it was stored."""
    known, key = ServerTransactions(), key_of(request())
    assert known.take(key, 0.0) is None
    known.drop(key)
    known.drop(key)
    assert known.take(key, 0.1) is None


def test_no_more_are_kept_than_agreed() -> None:
    """The oldest goes."""
    known = ServerTransactions(most=2)
    keys = [key_of(request(f"z9hG4bK{n}")) for n in range(3)]
    assert [known.take(key, float(n)) for n, key in enumerate(keys)] == [None] * 3
    assert [known.take(key, 3.0) for key in keys[1:]] == [Taken()] * 2
    assert known.take(keys[0], 3.0) is None
    assert len(known) == 2


def test_no_more_of_answers_is_kept_than_agreed() -> None:
    """The oldest go, whatever they are; what is known by more lines is no longer."""
    known = ServerTransactions(octets=10)
    first, second, third = (key_of(request(f"z9hG4bK{n}" + "x" * 5000)) for n in range(3))
    assert len(first) == len(key_of(request()))
    for key in (first, second, third):
        assert known.take(key, 0.0) is None
    known.answered(first, b"12345", 1.0)
    known.answered(first, b"54321", 1.0)
    known.answered(second, b"12345", 1.0)
    assert known.take(first, 2.0) == Answered(b"54321")
    known.answered(third, b"1", 3.0)
    assert known.take(second, 3.0) == Answered(b"12345")
    assert known.take(third, 3.0) == Answered(b"1")
    assert known.take(first, 3.0) is None
    assert len(known) == 3


@pytest.mark.parametrize(
    "other",
    [
        request("z9hG4bKb"),
        request(via="SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKa"),
        Request(method="OPTIONS", uri="sip:c@d", headers=request().headers),
    ],
)
def test_what_differs_is_another_request(other: Request) -> None:
    """By branch, sender and method (RFC 3261, 17.2.3)."""
    assert key_of(other) != key_of(request())


def test_a_request_of_an_older_standard_is_known_by_all_it_says() -> None:
    """Its branches may be alike."""
    old = request("1", cseq="1 MESSAGE")
    assert key_of(old) == key_of(request("1"))
    assert key_of(request("1", cseq="2 MESSAGE")) != key_of(old)
    assert key_of(request("z9hG4bK", **{"call-id": "y"})) != key_of(request("z9hG4bK"))


def test_a_datagram_is_repeated_until_it_is_answered() -> None:
    """After ½, 1, 2, 4, 4 … seconds, and given up after 32 (timers E and F)."""
    sent = ClientTransaction(0.0, reliable=False)
    times = []
    while not sent.is_over(now := sent.next_at):
        assert not sent.repeats(now - 0.01)
        assert sent.repeats(now)
        times.append(now)
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert (sent.next_at, sent.status) == (32.0, None)
    assert not sent.repeats(32.0)


def test_a_provisional_answer_makes_it_patient() -> None:
    """From then on it is repeated every 4 seconds."""
    sent = ClientTransaction(0.0, reliable=False)
    sent.receive(response(100))
    assert sent.repeats(0.5)
    assert sent.next_at == 4.5


def test_the_first_final_answer_counts() -> None:
    """And nothing is sent after it."""
    sent = ClientTransaction(0.0, reliable=False)
    sent.receive(response(503))
    sent.receive(response(200))
    assert (sent.status, sent.is_over(0.1), sent.repeats(0.6)) == (503, True, False)


def test_a_stream_is_not_repeated() -> None:
    """It is waited for as long."""
    sent = ClientTransaction(0.0, reliable=True)
    assert (sent.next_at, sent.repeats(5.0), sent.is_over(31.9)) == (32.0, False, False)
    assert sent.is_over(32.0)


def test_an_answer_is_known_by_its_branch() -> None:
    """One hop, ours, and our method."""
    assert branch_of(response(200), "MESSAGE") == "z9hG4bKa"
    with pytest.raises(BadMessage):
        branch_of(response(200), "OPTIONS")
    two = Response(status=200, reason="", headers=[("via", "SIP/2.0/UDP a"), *request().headers])
    with pytest.raises(BadMessage):
        branch_of(two, "MESSAGE")

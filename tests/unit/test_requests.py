"""A new binding as it is asked for: what goes together, by mode; whichever door it comes by."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agi_router.bindings.expiry import LONGEST_LIFE, find_expiry
from agi_router.bindings.fields import FIELDS, reader
from agi_router.bindings.modes import MODES, Y_TTL, Ax, Axb, Axe, Axyb, Gxb, group_of
from agi_router.bindings.requests import (
    Fault,
    find_misplaced,
    make_request,
    place_y,
)
from agi_router.bindings.terms import TERMS
from agi_router.bindings.words import Callback, Direction, Mode, Side
from agi_router.errors import ExpiryInvalid, ModeError, NumberError, RequestInvalid, SameParty
from harness.values import LINE, NOW, A, B, C, X, Y

HOUR = timedelta(hours=1)
AXB: dict[str, Any] = {"mode": Mode.AXB, "a": A, "b": B}
GXB: dict[str, Any] = {"mode": Mode.GXB, "members": (A, C), "b": B}


def test_every_mode_has_its_parties() -> None:
    """And each of its words is a field; a group is what has members."""
    assert MODES.keys() == set(Mode)
    for mode, parties in MODES.items():
        assert parties.mode is mode
        assert {*parties.needs(), *parties.may()} <= FIELDS.keys()
        assert all(each.about for each in parties.said())
        assert (group_of(mode) is not None) == ("members" in parties.needs())


def test_what_is_not_said_has_its_default() -> None:
    """Parties and terms; numbers are chosen, and the end is found when it is bound."""
    request = make_request(AXB, tenant="rides")
    assert (request.parties.mode, request.x, request.y) == (Mode.AXB, None, None)
    assert (request.tenant, request.order_id) == ("rides", None)
    assert request.terms == {term.name: term.default for term in TERMS}
    terms = request.agreed(NOW, default_ttl=HOUR)
    assert (terms.expires_at, terms.tenant) == (NOW + HOUR, "rides")


def test_what_is_said_is_there() -> None:
    """Each word has its place."""
    said = {
        **GXB,
        "callback": Callback.LAST,
        "default": C,
        "window": HOUR,
        "x": X,
        "ttl": 2 * HOUR,
        "direction": Direction.A,
        "count": "attempts",
        "order": "O-1",
        "tenant": "couriers",
    }
    request = make_request(said)
    assert request.parties == Gxb(
        members=(A, C), b=B, callback=Callback.LAST, default=C, window=HOUR
    )
    assert (request.x, request.tenant, request.order_id) == (X, "couriers", "O-1")
    terms = request.agreed(NOW, default_ttl=HOUR)
    assert terms.expires_at == NOW + 2 * HOUR
    assert (terms.direction, terms.counting) == (Direction.A, "attempts")


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ({"ttl": HOUR, "expires": NOW}, RequestInvalid, ("ttl", "expires")),
        ({"mode": Mode.AXYB, "y": Y, "y_ttl": HOUR}, RequestInvalid, ("y", "y_ttl")),
        ({"a": B}, SameParty, None),
        ({"mode": Mode.AX, "callback": Callback.ALL}, ModeError, None),
    ],
)
def test_what_does_not_go_together(
    said: dict[str, Any], error: type[Exception], words: tuple[str, ...] | None
) -> None:
    """The error names the words, so that a door can point at them."""
    with pytest.raises(error) as raised:
        make_request({**AXB, **said})
    assert getattr(raised.value, "words", None) == words


def test_what_a_mode_lacks_is_none() -> None:
    """What is kept of a binding is asked of every mode alike."""
    found = {
        name: [
            parties.callback,
            parties.window,
            parties.y_ttl,
            parties.extension,
            parties.with_extension(lambda: "77").extension,
            parties.sealed_for,
            parties.in_bulk,
            parties.called_back,
            parties.side_b,
        ]
        for name, parties in (
            ("axb", Axb(a=A, b=B)),
            ("axyb", Axyb(a=A, b=B)),
            ("on call", Axyb(a=A, b=B, y_ttl=HOUR)),
            ("gxb", Gxb(members=(A, C), b=B, callback=Callback.LAST, default=C, window=HOUR)),
            ("ax", Ax(a=A)),
            ("axe", Axe(a=A, default=C)),
            ("axe, given", Axe(a=A, extension="12")),
        )
    }
    last = Callback.LAST
    assert found == {
        "axb": [None, None, None, None, None, None, True, (A,), (B,)],
        "axyb": [None, None, None, None, None, None, True, (A,), (B,)],
        "on call": [None, None, HOUR, None, None, Side.A, False, (A,), ()],
        "gxb": [last, HOUR, None, None, None, Side.B, True, (C,), (B,)],
        "ax": [last, None, None, None, None, Side.A, False, (), ()],
        "axe": [last, None, None, None, "77", Side.A, False, (C,), ()],
        "axe, given": [last, None, None, "12", "12", Side.A, False, (), ()],
    }


def test_an_end_that_may_not_be() -> None:
    """It is judged by the store's clock, when it is bound."""
    late = make_request({**AXB, "expires": NOW + LONGEST_LIFE + HOUR})
    past = make_request({**AXB, "expires": NOW})
    for request in (late, past, make_request({**AXB, "ttl": timedelta.max})):
        with pytest.raises(ExpiryInvalid):
            request.agreed(NOW, default_ttl=HOUR)
    with pytest.raises(ExpiryInvalid):
        find_expiry(NOW, ttl=HOUR, expires_at=NOW + HOUR, default=HOUR)


@pytest.mark.parametrize(
    ("said", "placed"),
    [
        ({}, {}),
        ({"y": Y}, {"y": Y}),
        ({"y_on_call": False, "y": Y}, {"y": Y}),
        ({"y_on_call": True}, {"y_ttl": Y_TTL}),
        ({"y_on_call": True, "y_ttl": HOUR}, {"y_ttl": HOUR}),
    ],
)
def test_a_number_that_a_call_makes(said: dict[str, Any], placed: dict[str, Any]) -> None:
    """Where one says that a call is to make Y, its life is what counts."""
    assert place_y(said) == placed


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"y_ttl": HOUR}, ("y_ttl", "y_on_call")),
        ({"y_on_call": True, "y": Y}, ("y", "y_on_call")),
    ],
)
def test_a_number_that_a_call_makes_is_not_given(
    said: dict[str, Any], words: tuple[str, ...]
) -> None:
    """Nor has one that is given a life of its own."""
    with pytest.raises(RequestInvalid) as raised:
        place_y(said)
    assert raised.value.words == words


def test_what_a_mode_does_not_take() -> None:
    """What is missing comes first; a word whose value was no good is not missing."""
    said = {"b": B, "extension": "12", "direction": Direction.A}
    assert find_misplaced(Mode.AXB, said) == [
        Fault("a", "a binding by axb needs it"),
        Fault("extension", "a binding by axb has none"),
    ]
    assert find_misplaced(Mode.AXB, {"b": B}, faulty={"a"}) == []
    assert find_misplaced(Mode.GXYB, {"members": (A,), "b": B, "y": Y, "callback": "all"}) == []


@pytest.mark.parametrize(
    ("word", "text", "value"),
    [
        ("a", "+86 139 1234 0001", A),
        ("members", "13912340001;13912340003", (A, C)),
        ("x", "86700123456780001", X),
        ("extension", "１２", "12"),
        ("window", "30m", timedelta(minutes=30)),
        ("expires", "2025-03-14T21:30:25Z", NOW),
        ("tenant", " rides ", "rides"),
    ],
)
def test_words_are_read_by_their_kind(word: str, text: str, value: object) -> None:
    """As people write them; what is written is read again."""
    kind = reader(word)
    assert kind.read(text) == value
    if word == "expires":
        assert kind.read(kind.write(value)) == value


def test_fixed_lines_may_be_parties_where_they_are_allowed() -> None:
    """Of members, too; no other word asks."""
    for word in ("a", "members", "default"):
        with pytest.raises(NumberError):
            reader(word).read(LINE.digits)
        reader(word, fixed_lines=True).read(LINE.digits)
    assert reader("x", fixed_lines=True) is FIELDS["x"].kind


def test_an_extension_is_digits() -> None:
    """One to four; and only A's number makes Y when A calls."""
    with pytest.raises(ModeError):
        reader("extension").read("12345")
    assert Axyb(a=A, b=B, y_ttl=HOUR).side_b == ()

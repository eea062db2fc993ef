"""Modes: what holds for the rows of any binding."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from agi_router.ari import EXTENSION_MAX
from agi_router.extension import to_dial
from agi_router.model import Callback, Language, Route, RouteRow, Side
from agi_router.modes import RING_ALL_MAX, Axb, Axyb, Gxb, Gxyb, Parties, compile_routes
from agi_router.numbers import E164, Block, XNumber

blocks = st.integers(700 * 10**8, 701 * 10**8 - 1).map(lambda value: Block(value=value))
serials = st.integers(0, 9999)
numbers = st.from_regex(
    r"1[3-9][0-9]{9}|0(10|2[0-9]|[3-9][0-9]{2})[1-9][0-9]{6,7}", fullmatch=True
).map(lambda digits: E164(digits=digits))


@st.composite
def parties(draw: st.DrawFn) -> Parties:
    """Draw the parties of any mode. A new mode joins here; the properties do not change."""
    if draw(st.booleans()):
        a, b = draw(st.lists(numbers, min_size=2, max_size=2, unique=True))
        return draw(st.sampled_from([Axb, Axyb]))(a=a, b=b)
    callback = draw(st.sampled_from(Callback))
    most = RING_ALL_MAX if callback is Callback.ALL else 12
    b, *members = draw(st.lists(numbers, min_size=2, max_size=1 + most, unique=True))
    named = callback is not Callback.ALL and draw(st.booleans())
    return draw(st.sampled_from([Gxb, Gxyb]))(
        members=tuple(members),
        b=b,
        callback=callback,
        default=draw(st.sampled_from(members)) if named else None,
    )


@st.composite
def bindings(draw: st.DrawFn) -> tuple[Parties, tuple[RouteRow, ...]]:
    """Draw a binding of any mode on numbers that it allows, compiled."""
    bound = draw(parties())
    block = draw(blocks)
    chosen = draw(st.lists(serials, min_size=bound.numbers, max_size=bound.numbers, unique=True))
    a_number, b_number = block.number(chosen[0]), block.number(chosen[-1])
    return bound, compile_routes(bound, a_number, b_number)


Binding = tuple[Parties, tuple[RouteRow, ...]]


def follow(rows: tuple[RouteRow, ...], dialled: XNumber, caller: E164) -> RouteRow:
    """Return the one row that a call hits."""
    [row] = [row for row in rows if (row.x_number, row.caller) == (dialled, caller)]
    return row


@given(bindings())
def test_the_called_party_is_shown_the_number_it_must_dial_to_call_back(binding: Binding) -> None:
    """Whoever rings and dials what it was shown is a party there, from the other side."""
    _, rows = binding
    for row in rows:
        for callee in row.callees:
            back = follow(rows, row.shown, callee)
            assert back.shown == row.x_number
            assert {row.side, back.side} == {Side.A, Side.B}


@given(bindings())
def test_a_leg_followed_twice_leads_back(binding: Binding) -> None:
    """To the one who called; in a group from B's side, and from a member's to whom it names."""
    parties, rows = binding
    for row in rows:
        for callee in row.callees:
            back = follow(rows, row.shown, callee)
            if row.side is Side.A and isinstance(parties, Gxb):
                assert back.callees == parties.called_back
            else:
                assert back.callees == (row.caller,)


@given(bindings())
def test_a_group_is_called_back_by_its_rule(binding: Binding) -> None:
    """All of its members, the default one, or none; never anybody who is no member."""
    match binding:
        case (Gxb() as group, rows):
            [back] = [row for row in rows if row.side is Side.B]
            assert back.caller == group.b
            assert set(back.callees) <= set(group.members)
            if group.callback is Callback.ALL:
                assert back.callees == group.members
            else:
                assert back.callees == (() if group.default is None else (group.default,))
        case (_, rows):
            assert [len(row.callees) for row in rows] == [1, 1]


@given(bindings())
def test_every_party_has_one_row(binding: Binding) -> None:
    """Members and B may each call on one number, and nobody else on any."""
    bound, rows = binding
    assert sorted(row.caller.digits for row in rows if row.caller) == sorted(
        party.digits for party in (*bound.side_a, bound.b)
    )


@given(bindings())
def test_no_two_rows_have_one_key(binding: Binding) -> None:
    """The dialled number and the caller tell where a call goes."""
    _, rows = binding
    assert len({(row.x_number, row.caller) for row in rows}) == len(rows)


@given(bindings())
def test_all_rows_lie_in_one_block(binding: Binding) -> None:
    """The block is the shard key: one binding, one shard."""
    _, rows = binding
    assert len({number.block for row in rows for number in (row.x_number, row.shown)}) == 1


@given(bindings())
def test_each_side_knows_one_number(binding: Binding) -> None:
    """What a side dials is what it is shown; the two sides share it or do not, by the mode."""
    bound, rows = binding
    known: dict[Side, set[XNumber]] = {Side.A: set(), Side.B: set()}
    for row in rows:
        known[row.side].add(row.x_number)
        known[Side.B if row.side is Side.A else Side.A].add(row.shown)
    assert [len(known[side]) for side in Side] == [1, 1]
    assert len(known[Side.A] | known[Side.B]) == bound.numbers


@given(bindings())
def test_nobody_rings_itself(binding: Binding) -> None:
    """A caller never reaches its own phone."""
    _, rows = binding
    assert all(row.caller not in row.callees for row in rows)


@given(
    bindings(),
    st.timedeltas(min_value=timedelta(seconds=5), max_value=timedelta(seconds=120)),
    st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(hours=4)),
    st.sampled_from(Language),
)
def test_whatever_rings_fits_what_continue_carries(
    binding: Binding, ring: timedelta, longest: timedelta, language: Language
) -> None:
    """Asterisk cuts at 79 characters in silence."""
    _, rows = binding
    for row in rows:
        if row.callees:
            route = Route(
                binding="70012345678-1",
                callees=row.callees,
                shown=row.shown,
                ring_timeout=ring,
                max_duration=longest,
                language=language,
            )
            destination = to_dial(
                route, ring_timeout=ring, max_duration=longest, language=language
            )
            assert len(destination.extension) <= EXTENSION_MAX

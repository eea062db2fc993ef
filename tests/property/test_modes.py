"""Modes: what holds for the rows of any binding."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from agi_router.ari import EXTENSION_MAX
from agi_router.bindings.modes import Y_TTL, Ax, Axb, Axe, Axyb, Gxb, Gxyb, Parties, compile_routes
from agi_router.bindings.routes import RouteRow, compile_child
from agi_router.bindings.words import Callback, Language, Mode, Side
from agi_router.calls.decision import Route
from agi_router.calls.dialplan import to_dial
from agi_router.numbers import Block, PhoneNumber, XNumber
from harness.draws import fixed_lines, mobiles

blocks = st.integers(700 * 10**8, 701 * 10**8 - 1).map(lambda value: Block(value=value))
serials = st.integers(0, 9999)
numbers = (mobiles | fixed_lines).map(lambda digits: PhoneNumber(digits=digits))


windows = st.none() | st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=90))


@st.composite
def pairs(draw: st.DrawFn) -> Parties:
    """Draw two parties."""
    a, b = draw(st.lists(numbers, min_size=2, max_size=2, unique=True))
    made: Parties = draw(
        st.sampled_from([Axb(a=a, b=b), Axyb(a=a, b=b), Axyb(a=a, b=b, y_ttl=Y_TTL)])
    )
    return made


@st.composite
def groups(draw: st.DrawFn) -> Parties:
    """Draw a group and B."""
    callback = draw(st.sampled_from(Callback))
    b, *members = draw(st.lists(numbers, min_size=2, max_size=13, unique=True))
    named = callback in {Callback.DEFAULT, Callback.LAST} and draw(st.booleans())
    return draw(st.sampled_from([Gxb, Gxyb]))(
        members=tuple(members),
        b=b,
        callback=callback,
        default=draw(st.sampled_from(members)) if named else None,
        window=draw(windows) if callback is Callback.LAST else None,
    )


@st.composite
def open_to_strangers(draw: st.DrawFn) -> Parties:
    """Draw a party that anyone may call."""
    a, fixed = draw(st.lists(numbers, min_size=2, max_size=2, unique=True))
    callback = draw(st.sampled_from([Callback.DEFAULT, Callback.LAST]))
    default = draw(st.none() | st.just(fixed))
    window = draw(windows) if callback is Callback.LAST else None
    if draw(st.booleans()):
        return Ax(a=a, callback=callback, default=default, window=window)
    extension = draw(st.from_regex("[0-9]{1,4}", fullmatch=True))
    return Axe(a=a, callback=callback, default=default, window=window, extension=extension)


@st.composite
def bindings(draw: st.DrawFn) -> tuple[Parties, tuple[RouteRow, ...]]:
    """
    Draw a binding of any mode on numbers that it allows, compiled.

    A new mode joins here; the properties do not change. Of one whose Y is made on the first call,
    the rows after that call.
    """
    bound = draw(pairs() | groups() | open_to_strangers())
    block = draw(blocks)
    chosen = draw(st.lists(serials, min_size=2, max_size=2, unique=True))
    a_number = block.number(chosen[0])
    b_number = block.number(chosen[bound.numbers - 1])
    rows = compile_routes(bound, a_number, b_number)
    if isinstance(bound, Axyb) and bound.y_ttl is not None:
        y_number = block.number(chosen[1])
        rows = compile_child(bound.a, a_number, bound.b, y_number)
    return bound, rows


Binding = tuple[Parties, tuple[RouteRow, ...]]


def follow(rows: tuple[RouteRow, ...], dialled: XNumber | None, caller: PhoneNumber) -> RouteRow:
    """Return the one row that a call hits: the caller's own, or that for anyone."""
    found = [row for row in rows if row.x_number == dialled and row.caller in {caller, None}]
    return min(found, key=lambda row: row.caller is None)


@given(bindings())
def test_the_called_party_is_shown_the_number_it_must_dial_to_call_back(binding: Binding) -> None:
    """Who rings and dials what it was shown gets to the other side, perhaps by an extension."""
    _, rows = binding
    for row in rows:
        for callee in row.callees:
            back = follow(rows, row.shown, callee)
            assert back.shown == row.x_number
            assert {row.side, back.side} == {Side.A, Side.B}


@given(bindings())
def test_a_leg_followed_twice_leads_back(binding: Binding) -> None:
    """To the one who called, except where the callback says otherwise: groups and strangers."""
    parties, rows = binding
    for row in rows:
        for callee in row.callees:
            back = follow(rows, row.shown, callee)
            side = {Gxb: Side.A, Gxyb: Side.A, Ax: Side.B, Axe: Side.B}.get(type(parties))
            if row.side is side:
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
            if group.callback in {Callback.ALL, Callback.SEQUENCE}:
                # In their order.
                assert back.callees == group.members
            else:
                assert back.callees == (() if group.default is None else (group.default,))
        case (Ax() as open_, rows):
            [back] = [row for row in rows if row.side is Side.A]
            assert back.caller == open_.a
            assert back.callees == (() if open_.default is None else (open_.default,))
        case (_, rows):
            assert [len(row.callees) for row in rows] == [1, 1]


@given(bindings())
def test_every_party_has_one_row(binding: Binding) -> None:
    """Members and B may each call on one number, and nobody else on any but where anyone may."""
    bound, rows = binding
    named = (*bound.side_a, *([bound.b] if isinstance(bound, Axb | Gxb) else []))
    assert {row.caller.digits for row in rows if row.caller} == {p.digits for p in named}
    anyone = [row for row in rows if row.caller is None]
    assert len(anyone) == bound.mode.open
    assert all(row.callees == bound.side_a and row.side is Side.B for row in anyone)
    assert [row.extension for row in anyone if isinstance(bound, Axe)] == (
        [bound.extension] if isinstance(bound, Axe) else []
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
    numbers_ = {number for row in rows for number in (row.x_number, row.shown) if number}
    assert len({number.block for number in numbers_}) == 1


@given(bindings())
def test_each_side_knows_one_number(binding: Binding) -> None:
    """What a side dials is what it is shown; the two sides share it or do not, by the mode."""
    bound, rows = binding
    known: dict[Side, set[XNumber | None]] = {Side.A: set(), Side.B: set()}
    for row in rows:
        known[row.side].add(row.x_number)
        known[Side.B if row.side is Side.A else Side.A].add(row.shown)
    assert [len(known[side]) for side in Side] == [1, 1]
    both = 2 if bound.mode in {Mode.AXYB, Mode.GXYB} else 1
    assert len(known[Side.A] | known[Side.B]) == both


@given(bindings())
def test_nobody_rings_itself(binding: Binding) -> None:
    """A caller never reaches its own phone."""
    _, rows = binding
    for row in rows:
        assert row.caller not in row.callees
        if row.caller is None:
            # Whom anyone reaches has a row of its own.
            assert all(follow(rows, row.x_number, callee) is not row for callee in row.callees)


@given(
    bindings(),
    st.timedeltas(min_value=timedelta(seconds=5), max_value=timedelta(seconds=120)),
    st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(hours=4)),
    st.sampled_from(Language),
)
def test_whatever_rings_fits_what_continue_carries(
    binding: Binding, ring: timedelta, longest: timedelta, language: Language
) -> None:
    """Asterisk cuts at 79 characters in silence; three of the longest need no second part."""
    _, rows = binding
    for row in rows:
        if row.callees and row.shown:
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
            for part in (destination, *destination.later):
                assert len(part.extension) <= EXTENSION_MAX
            if len(row.callees) <= 3:
                assert not destination.later

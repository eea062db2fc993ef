"""
The parties of a binding: as columns of its row, and read back from its routes.

A caller is kept as a tag only; who it is, is read from the row of whoever calls it back.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from agi_router.bindings.model import Binding, Party
from agi_router.bindings.modes import MODES, Parties
from agi_router.bindings.routes import RouteRow
from agi_router.bindings.rows import seconds
from agi_router.bindings.sealed_routes import check_caller, purpose_of_caller, row_of
from agi_router.bindings.words import Callback, Mode, Side
from agi_router.errors import SealError
from agi_router.keys.ring import KeyRing, Purpose
from agi_router.numbers import PhoneNumber, XNumber

__all__ = [
    "mode_columns",
    "open_callees",
    "open_caller",
    "open_last_caller",
    "parties_of",
    "parties_of_rows",
    "read_parties",
    "who_rings",
]

_Row = dict[str, Any]


def mode_columns(parties: Parties, a_number: XNumber) -> dict[str, Any]:
    """
    The columns of a binding that its mode fills.
    """
    return {
        "mode": parties.mode,
        "party_group": parties.group,
        "callback": parties.callback,
        "callback_window": seconds(parties.window),
        "extension": parties.extension,
        "open_number": a_number.value if parties.mode.open else None,
        "y_ttl": seconds(parties.y_ttl),
    }


def read_parties(binding: _Row, routes: Sequence[_Row], keys: KeyRing) -> tuple[Party, ...]:
    """
    The parties of *binding* and what each dials, from its routes.

    Raises:
        SealError: A number does not open with these keys, or a row is not that of its party.
    """
    own = [route for route in routes if route["side"] == Side.A]
    back = next((route for route in routes if route["side"] == Side.B), None)
    found: set[Party] = set()
    for route in own:
        x_number = XNumber.from_int(route["x_number"])
        for number in _side_a(binding, route, back, keys):
            check_caller(row_of(route), number, keys)
            found.add(Party(side=Side.A, number=number, dials=x_number))
        if not Mode(binding["mode"]).open:
            dials = back["x_number"] if back and binding["y_ttl"] is None else route["shown"]
            for number in open_callees(route, keys):
                if back is not None:
                    check_caller(row_of(back), number, keys)
                found.add(
                    Party(side=Side.B, number=number, dials=dials and XNumber.from_int(dials))
                )
    return tuple(sorted(found, key=lambda party: (party.side, party.number.digits)))


def parties_of_rows(
    mode: Mode, rows: Sequence[RouteRow]
) -> tuple[tuple[Party, ...], tuple[PhoneNumber, ...]]:
    """
    The parties of a binding of these *rows*, and whom the side that calls back reaches.

    They are what :func:`read_parties` and :func:`who_rings` read once the rows are written.
    """
    back = None
    rung: tuple[PhoneNumber, ...] | None = None
    for row in rows:
        if back is None and row.side is Side.B:
            back = row
        if rung is None and row.side is (Side.A if mode.open else Side.B):
            rung = row.callees
    # By digits: they keep their hash.
    own: dict[str, Party] = {}
    others: dict[str, Party] = {}
    for row in rows:
        if row.side is Side.B:
            continue
        if row.caller is not None:
            own[row.caller.digits] = Party(side=Side.A, number=row.caller, dials=row.x_number)
        if not mode.open:
            dials = row.shown if back is None else back.x_number
            for each in row.callees:
                others[each.digits] = Party(side=Side.B, number=each, dials=dials)
    people = [of[digits] for of in (own, others) for digits in sorted(of)]
    return tuple(people), rung or ()


def parties_of(binding: Binding, called_back: Sequence[PhoneNumber]) -> Parties:
    """
    The parties of a binding as they would be bound.

    Args:
        binding: Its row and its parties, as they were read.
        called_back: Whom the side that calls back reaches, the last caller apart; in order.

    Raises:
        ModeError: They do not go together.
    """
    sides = {side: [each.number for each in binding.parties if each.side is side] for side in Side}
    rings_all = binding.callback in {Callback.ALL, Callback.SEQUENCE}
    values = {
        "a": next(iter(sides[Side.A]), None),
        "b": next(iter(sides[Side.B]), None),
        "members": tuple(called_back if rings_all and called_back else sides[Side.A]),
        "group": binding.group,
        "callback": binding.callback,
        "default": next(iter(called_back), None) if not rings_all else None,
        "window": binding.callback_window,
        "extension": binding.extension,
        "y_ttl": binding.y_ttl,
    }
    mode = MODES[binding.mode]
    return mode(**{each.word: values[each.word] for each in mode.said() if each.word in values})


def _side_a(
    binding: _Row, route: _Row, back: _Row | None, keys: KeyRing
) -> tuple[PhoneNumber, ...]:
    """
    Who calls by a row of side A.
    """
    if binding["y_ttl"] is not None or Mode(binding["mode"]).open:
        # There may be no row of B yet, or it is anyone's.
        return open_caller(route, route, keys)
    if back is None:
        return ()
    if route["caller"] is not None and binding["parent_id"] is None:
        return open_caller(route, back, keys)
    return open_callees(back, keys)


def open_caller(route: _Row, place: _Row, keys: KeyRing) -> tuple[PhoneNumber, ...]:
    """
    Who calls by a row of side A, as it is sealed for the row *place*: that of B, or its own.

    Raises:
        SealError: It does not open, or is not there.
    """
    if route["caller"] is None:
        raise SealError("a row does not tell whose it is")
    row = row_of(place)
    return keys.open(route["caller"], row, purpose_of_caller(row))


def who_rings(binding: _Row, routes: Sequence[_Row], keys: KeyRing) -> tuple[PhoneNumber, ...]:
    """
    Whom the side that calls back reaches, as it stands: B of a group; A where strangers may call.
    """
    side = Side.A if Mode(binding["mode"]).open else Side.B
    for route in routes:
        if route["side"] == side:
            last = open_last_caller(route, keys, mode=Mode(binding["mode"]))
            window = binding["callback_window"]
            if last and (
                window is None or binding["now"] - route["last_at"] < timedelta(seconds=window)
            ):
                return last
            return open_callees(route, keys)
    return ()


def open_callees(route: _Row, keys: KeyRing) -> tuple[PhoneNumber, ...]:
    """
    Whom a row rings, the last caller apart.
    """
    if route["callee"] is None:
        return ()
    return keys.open(route["callee"], row_of(route), Purpose.CALLEE)


def open_last_caller(route: _Row, keys: KeyRing, *, mode: Mode) -> tuple[PhoneNumber, ...]:
    """
    Who called last, for the row that calls back; nobody if nobody has.
    """
    if route["last_callee"] is None:
        return ()
    row = row_of(route)
    return keys.open(
        route["last_callee"], row.for_strangers if mode.open else row, Purpose.LAST_CALLER
    )

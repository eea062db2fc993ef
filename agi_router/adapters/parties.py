"""
The parties of a binding: as columns of its row, and read back from its routes.

A caller is kept as a tag only; who it is, is read from the row of whoever calls it back.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from agi_router.adapters.records import Party, seconds
from agi_router.model import Mode, Side
from agi_router.modes import Ax, Axe, AxybOnCall, Gxb, Parties
from agi_router.numbers import E164, XNumber
from agi_router.seal import KeyRing

__all__ = ["mode_columns", "open_callees", "open_last_caller", "read_parties", "who_rings"]

_Row = dict[str, Any]


def mode_columns(parties: Parties, a_number: XNumber) -> dict[str, Any]:
    """
    The columns of a binding that its mode fills.
    """
    called_back = parties if isinstance(parties, Gxb | Ax) else None
    return {
        "mode": parties.mode,
        "callback": called_back and called_back.callback,
        "callback_window": called_back and seconds(called_back.window),
        "extension": parties.extension if isinstance(parties, Axe) else None,
        "open_number": a_number.value if parties.mode.open else None,
        "y_ttl": seconds(parties.y_ttl) if isinstance(parties, AxybOnCall) else None,
    }


def read_parties(binding: _Row, routes: Sequence[_Row], keys: KeyRing) -> tuple[Party, ...]:
    """
    The parties of *binding* and what each dials, from its routes.

    Raises:
        SealError: A number does not open with these keys.
    """
    own = [route for route in routes if route["side"] == Side.A]
    back = next((route for route in routes if route["side"] == Side.B), None)
    found: set[Party] = set()
    for route in own:
        x_number = XNumber.from_int(route["x_number"])
        for number in _side_a(binding, route, back, keys):
            found.add(Party(side=Side.A, number=number, dials=x_number))
        if not Mode(binding["mode"]).open:
            dials = back["x_number"] if back and binding["y_ttl"] is None else route["shown"]
            for number in open_callees(route, keys):
                found.add(
                    Party(side=Side.B, number=number, dials=dials and XNumber.from_int(dials))
                )
    return tuple(sorted(found, key=lambda party: (party.side, party.number.digits)))


def _side_a(binding: _Row, route: _Row, back: _Row | None, keys: KeyRing) -> tuple[E164, ...]:
    """
    Who calls by a row of side A.
    """
    if binding["y_ttl"] is not None or Mode(binding["mode"]).open:
        # There may be no row of B yet, or it is anyone's.
        return _open(keys, route["caller"], route)
    if back is None:
        return ()
    member = route["caller"] if binding["parent_id"] is None else None
    sealed = member or back["callee"]
    return () if sealed is None else _open(keys, sealed, back)


def who_rings(binding: _Row, routes: Sequence[_Row], keys: KeyRing) -> tuple[E164, ...]:
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


def open_callees(route: _Row, keys: KeyRing) -> tuple[E164, ...]:
    """
    Whom a row rings, the last caller apart.
    """
    return () if route["callee"] is None else _open(keys, route["callee"], route)


def open_last_caller(route: _Row, keys: KeyRing, *, mode: Mode) -> tuple[E164, ...]:
    """
    Who called last, for the row that calls back; nobody if nobody has.
    """
    if route["last_callee"] is None:
        return ()
    # A stranger's call does not know A's tag.
    tag = 0 if mode.open else route["caller_tag"]
    return keys.open(route["last_callee"], x=XNumber.from_int(route["x_number"]), tag=tag)


def _open(keys: KeyRing, sealed: bytes, route: _Row) -> tuple[E164, ...]:
    x_number = XNumber.from_int(route["x_number"])
    return keys.open(sealed, x=x_number, tag=route["caller_tag"])

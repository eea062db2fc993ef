"""
A new binding as it is asked for: by a row of a file, the command line, or JSON.

The rules of what goes together stand here once. A door reads each word by its kind
(:mod:`agi_router.bindings.fields`), has :func:`find_misplaced` look whether the mode takes them,
makes a :class:`BindRequest` of them by :func:`make_request`, and hands that to
:meth:`agi_router.bindings.store.BindingStore.make`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agi_router.bindings.expiry import find_expiry
from agi_router.bindings.modes import MODES, Y_TTL, Parties
from agi_router.bindings.terms import TERMS, Terms
from agi_router.bindings.words import Mode
from agi_router.errors import RequestInvalid
from agi_router.numbers import XNumber

__all__ = ["BindRequest", "Fault", "find_misplaced", "make_request", "place_y"]

# What some modes take and others do not.
_OF_MODES = frozenset(
    word for parties in MODES.values() for word in (*parties.needs(), *parties.may())
)


@dataclass(frozen=True, slots=True)
class Fault:
    """
    What is wrong with what was said.

    Attributes:
        word: The word, where it is of one.
        message: What is wrong, without anything of the value.
    """

    word: str | None
    message: str

    def __str__(self) -> str:
        return self.message if self.word is None else f"{self.word}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BindRequest:
    """
    A new binding as it is asked for.

    Attributes:
        parties: Who is bound; their class names the mode.
        x: The number that side A dials, if it is given.
        y: The number that side B dials, if it is given.
        ttl: How long it lives, if that is given.
        expires_at: When it ends, if that is given; not both.
        tenant: Whose order it is.
        order_id: The order behind it, if there is one.
        terms: What else is agreed, by attributes of :class:`agi_router.bindings.terms.Terms`.
    """

    parties: Parties
    x: XNumber | None
    y: XNumber | None
    ttl: timedelta | None
    expires_at: datetime | None
    tenant: str
    order_id: str | None
    terms: Mapping[str, Any]

    def agreed(self, now: datetime, *, default_ttl: timedelta) -> Terms:
        """
        What is agreed, with its end.

        Args:
            now: The store's time.
            default_ttl: How long it lives where nothing is said of it.

        Raises:
            ExpiryInvalid: Its end is in the past or too far away.
        """
        return self.until(
            find_expiry(now, ttl=self.ttl, expires_at=self.expires_at, default=default_ttl)
        )

    def life(self, default_ttl: timedelta) -> timedelta | None:
        """
        How long it is to live, where its end is not said.
        """
        if self.expires_at is not None:
            return None
        return default_ttl if self.ttl is None else self.ttl

    def until(self, end: datetime) -> Terms:
        """
        What is agreed, with an end that nobody has looked at.
        """
        return Terms(expires_at=end, order_id=self.order_id, tenant=self.tenant, **self.terms)


def find_misplaced(
    mode: Mode, said: Collection[str], *, faulty: Collection[str | None] = ()
) -> list[Fault]:
    """
    What a mode needs and is not said, and what is said and not for it.

    Args:
        mode: The mode.
        said: The words that are said.
        faulty: Words whose values were no good: they are not missing.
    """
    parties = MODES[mode]
    needs, may = parties.needs(), parties.may()
    instead = parties.instead()
    there = {*said, *faulty}
    missing = [word for word in needs if not there & {word, instead.get(word)}]
    twice = [word for word, other in instead.items() if word in said and other in said]
    strange = _OF_MODES.intersection(said).difference(needs, may)
    return [
        *(Fault(word, _needs(mode, instead.get(word))) for word in missing),
        *(Fault(word, f"give {word} or {instead[word]}, not both") for word in twice),
        *(Fault(word, f"a binding by {mode} has none") for word in sorted(strange)),
    ]


def _needs(mode: Mode, instead: str | None) -> str:
    return f"a binding by {mode} needs it" + ("" if instead is None else f", or {instead}")


def place_y(values: Mapping[str, Any]) -> dict[str, Any]:
    """
    The same values, in which *y_on_call* says the life of a Y that is made on a call.

    Files say it by *y_ttl* alone.

    Raises:
        RequestInvalid: It does not go with what else is said of Y.
    """
    placed = dict(values)
    if not placed.pop("y_on_call", False):
        if "y_ttl" in placed:
            raise RequestInvalid("y_ttl goes with y_on_call", ("y_ttl", "y_on_call"))
        return placed
    if "y" in placed:
        raise RequestInvalid("give y or y_on_call, not both", ("y", "y_on_call"))
    return {"y_ttl": Y_TTL, **placed}


def make_request(values: Mapping[str, Any], *, tenant: str = "default") -> BindRequest:
    """
    The request that values make, which were read by their kinds.

    Args:
        values: By word, *mode* among them; what is absent is not said.
        tenant: Whose order it is, where nothing is said.

    Raises:
        RequestInvalid: Two of them do not go together.
        SameParty: One number is named twice.
        ModeError: The mode does not allow it.
    """
    if "ttl" in values and "expires" in values:
        raise RequestInvalid("give ttl or expires, not both", ("ttl", "expires"))
    if "y" in values and "y_ttl" in values:
        raise RequestInvalid("give y or y_ttl, not both", ("y", "y_ttl"))
    parties = MODES[values["mode"]]
    for word, other in parties.instead().items():
        if (word in values) is (other in values):
            raise RequestInvalid(f"give {word} or {other}, and not both", (word, other))
    return BindRequest(
        parties=parties.make(values),
        x=values.get("x"),
        y=values.get("y"),
        ttl=values.get("ttl"),
        expires_at=values.get("expires"),
        tenant=values.get("tenant", tenant),
        order_id=values.get("order"),
        terms={term.name: values.get(term.word, term.default) for term in TERMS},
    )

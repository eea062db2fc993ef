"""
How many bindings a tenant makes in a time: of one person, on one 700 number, in all.

Each bind is counted by the database, exactly: binds of a tenant with such rates take turns. What
is of a day, or of many, is a quota (:mod:`agi_router.tenants.quotas`), which nobody waits for.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from agi_router.rates import OFF, Rate, Rates, parse_rate, read_rates

__all__ = ["BindRates", "parse_bind_rate", "read_bind_rates"]

# Each bind looks at as many as the rate says.
_MOST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BindRates(Rates):
    """
    The rates of a tenant.

    Attributes:
        a: Of each person as side A, or as a member of a group.
        b: Of each person as side B.
        number: Of each 700 number.
        tenant: Of all its bindings.
    """

    a: Rate = OFF
    b: Rate = OFF
    number: Rate = OFF
    tenant: Rate = OFF


_NONE = BindRates()


def parse_bind_rate(text: str) -> Rate:
    """
    Read a rate like ``20/10m``: 1 to 10,000 in ``1s`` to ``1d``.

    Raises:
        ValueError: It is none.
    """
    rate = parse_rate(text)
    if rate.count > _MOST:
        raise ValueError(f"{_MOST} in a time at most; for more, set a quota")
    return rate


def read_bind_rates(words: Mapping[str, str]) -> BindRates:
    """
    Read them as the database keeps them; see :func:`agi_router.rates.read_rates`.

    Raises:
        ValueError: There is another name, or what is no rate.
    """
    return read_rates(_NONE, words)

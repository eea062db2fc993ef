"""
How many calls go through in a time: of one caller, to one callee, to one 700 number, of a tenant.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from agi_router.rates import OFF, Rate, parse_rate

__all__ = ["CallRates", "read_call_rates"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRates:
    """
    The rates of a tenant, or of all: the operator's.

    Attributes:
        caller: Of each caller.
        callee: To each callee.
        number: To each 700 number that is dialled.
        tenant: Of a tenant in all; the operator's holds for each tenant.
    """

    caller: Rate = OFF
    callee: Rate = OFF
    number: Rate = OFF
    tenant: Rate = OFF

    @property
    def on(self) -> bool:
        """
        Whether there is any.
        """
        return self != _NONE

    @property
    def words(self) -> dict[str, str]:
        """
        Those that there are, by name.
        """
        said = ((each.name, getattr(self, each.name)) for each in fields(self))
        return {name: str(rate) for name, rate in said if rate != OFF}


_NONE = CallRates()


def read_call_rates(words: Mapping[str, str]) -> CallRates:
    """
    Read them as the database keeps them: names and rates like ``20/10m``.

    Raises:
        ValueError: There is another name, or what is no rate.
    """
    if unknown := set(words) - {each.name for each in fields(CallRates)}:
        raise ValueError(f"there is no limit called {min(unknown)}")
    return CallRates(**{name: parse_rate(rate) for name, rate in words.items()})

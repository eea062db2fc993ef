"""
How many calls go through in a time: of one caller, to one callee, to one 700 number, of a tenant.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from agi_router.rates import OFF, Rate, Rates, read_rates

__all__ = ["CallRates", "read_call_rates"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRates(Rates):
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


_NONE = CallRates()


def read_call_rates(words: Mapping[str, str]) -> CallRates:
    """
    Read them as the database keeps them; see :func:`agi_router.rates.read_rates`.

    Raises:
        ValueError: There is another name, or what is no rate.
    """
    return read_rates(_NONE, words)

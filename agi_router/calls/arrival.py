"""
A call to a 700 number, as it is decided about.
"""

from dataclasses import dataclass

from agi_router.numbers import PhoneNumber, XNumber

__all__ = ["Call", "DialledExtension"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """
    One call to a 700 number, its numbers parsed.
    """

    caller: PhoneNumber
    x_number: XNumber
    attempts_left: int = 0
    """How often this caller may still be asked for an extension."""
    typed: "DialledExtension | None" = None
    """What was typed when asked; :obj:`None` before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DialledExtension:
    """
    What a caller typed when asked for an extension.
    """

    extension: str
    """1 to 4 digits; empty if nothing, or nothing of the kind, was typed in time."""

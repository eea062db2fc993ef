"""
What the store knows about one caller on one number, as it is decided upon.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from agi_router.bindings.words import (
    BindingState,
    Callback,
    Direction,
    Display,
    Language,
    Messages,
    Mode,
    Side,
)
from agi_router.numbers import Block, PhoneNumber, XNumber
from agi_router.persons.effects import Ban, Effect
from agi_router.tenants.call_rates import CallRates
from agi_router.tenants.hours import Hours

__all__ = ["Facts", "RouteHit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteHit:
    """
    The row that a call hit, and the binding behind it.
    """

    block: Block
    binding_id: int
    mode: Mode
    side: Side
    callees: tuple[PhoneNumber, ...]
    """Whom to ring, unless the last caller rings; nobody if the other side has no default."""
    shown: XNumber | None
    """The number the callee sees; :obj:`None` if it was never made."""
    state: BindingState
    direction: Direction | Messages
    """Which side may call; of a text, which may text."""
    begins_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    max_calls: int | None
    """Uses in all, or :obj:`None` for no limit; of a text, texts."""
    calls_used: int
    ring_timeout: timedelta | None
    max_duration: timedelta | None
    language: Language | None
    tenant_active: bool
    tenant_qualified: bool = True
    """Whether its tenant's qualification is valid at the moment."""
    callback: Callback | None = None
    last_caller: PhoneNumber | None = None
    """Who called last, if that is who is called back."""
    last_at: datetime | None = None
    callback_window: timedelta | None = None
    """For how long the last caller is called back; :obj:`None`: as long as the binding lives."""
    child_until: datetime | None = None
    """Until when the number shown or dialled lives; :obj:`None`: as long as the binding."""
    display: Display = Display.NUMBER
    prompts: str | None = None
    tell_answer: bool = False
    """Whether its tenant is told, while a call goes on, that the callee has answered."""
    record: bool = False
    """Whether calls are to be recorded."""
    tenant_check: bool = False
    """Whether its tenant has a check of its own."""
    notice: bool = False
    """Whether both parties hear the anti-fraud notice before they are joined."""
    locks: tuple[Effect, ...] = ()
    """Those in force on the tenant, the number shown, a party, or the caller for this tenant."""
    bans: tuple[Ban, ...] = ()
    """The entries of block lists in force between the caller and whom it would reach."""
    hours: Hours | None = None
    """In which it may be used; :obj:`None`: always."""
    minute: int = 0
    """The minute of the local week, where there are hours."""
    tenant_id: int = 0
    call_rates: CallRates | None = None
    """How many calls its tenant lets through; :obj:`None`: any number."""

    @property
    def binding(self) -> str:
        """
        The binding's name, ``<block>-<id>``.
        """
        return f"{self.block}-{self.binding_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """
    What the store knows about one caller on one X at one moment.
    """

    block_known: bool
    """Whether the X lies in a block of ours."""
    certificate_valid: bool
    """Whether the block is in service and the moment lies within its certificate's dates."""
    x_bound: bool
    """Whether anybody is bound on the X."""
    x_extended: bool = False
    """Whether a stranger on the X may reach somebody by an extension."""
    hit: RouteHit | None
    """The row for this caller, alive or ended; :obj:`None` for a stranger."""
    locks: tuple[Effect, ...] = ()
    """Those in force on the number that is dialled, its block, or the caller for all tenants."""

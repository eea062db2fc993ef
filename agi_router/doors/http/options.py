"""
What the HTTP door is told by whoever serves it.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from agi_router.maintenance.classes import Retention
from agi_router.messages.taking import OpenPlace
from agi_router.persons.appeal_states import Spans
from agi_router.persons.complaint_limits import ComplaintLimits
from agi_router.rates import OFF, Rate
from agi_router.recordings.bucket import Bucket

__all__ = ["Options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """
    Settings, as the door needs them.

    Attributes:
        rate: Requests of one API key in a time.
        wrong_keys: Wrong API keys from one address in a time.
        ttl: Life of a binding, if none is given.
        fixed_lines: Whether fixed lines may be parties.
        open_modes: Whether numbers may be bound that strangers can call.
        strict: Whether refused callers are told no reasons.
        traces_per_hour: Traces that may show one API key real numbers in an hour.
        appeal_spans: How long the steps of an appeal may take.
        kept: How long what is over is kept.
        complaint_limits: How many complaints are too many.
        recordings_sealed: Where sealed recordings lie.
        recordings_bucket: The bucket that they are brought to, if there is one.
        webhook_hosts: Hosts of webhooks that may have any address, and be reached without TLS.
        old_until: Until when senders to numbers of before the move to 700 are told so; always.
        open_place: Opens what takes texts; :obj:`None`: none is taken.
        text_limits: How many texts of a sender, and to a number, are looked at, and how many of a
            tenant taken.
    """

    rate: Rate
    wrong_keys: Rate
    ttl: timedelta
    traces_per_hour: int = 30
    fixed_lines: bool = False
    open_modes: bool = False
    strict: bool = False
    webhook_hosts: frozenset[str] = frozenset()
    old_until: datetime | None = None
    open_place: OpenPlace | None = None
    text_limits: tuple[Rate, Rate, Rate] = (OFF, OFF, OFF)
    recordings_sealed: Path = Path("/var/lib/agi-router/recordings")
    recordings_bucket: Bucket | None = None
    appeal_spans: Spans = field(default_factory=Spans)
    complaint_limits: ComplaintLimits = field(default_factory=ComplaintLimits)
    kept: Retention = field(default_factory=Retention)

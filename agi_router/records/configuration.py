"""
The settings that a service has begun to serve with, as rows of the audit.

Who changes them edits a file of a host and tells no program. So whatever serves compares its
settings with those that it served with before, and writes a row where they differ.
"""

import os
import socket
from collections.abc import Mapping
from typing import Final

from agi_router.db.connection import Queries
from agi_router.logs import redact
from agi_router.records.audit import Audit, AuditEntry

__all__ = ["ACT", "record_settings"]

ACT: Final = "settings"
"""What such a row is called."""


def record_settings(queries: Queries, door: str, settings: Mapping[str, str]) -> bool:
    """
    Write down the settings of a door where they are not those of before.

    It waits for no standby: whoever begins to serve is not to hang because one is away.

    Args:
        queries: Where.
        door: What is served; of several of a kind on one host, which.
        settings: All of them, by variable; no secret.

    Returns:
        Whether they were others, or there were none.

    Raises:
        StoreError: They could not be written.
    """
    subject = f"what serves {door}"
    values = {"subject": subject, "uid": os.getuid(), "host": socket.gethostname()}
    now = {name: redact(value) for name, value in settings.items()}
    row = queries.row("find_settings", values)
    before = {} if row is None else row["after"]
    if before == now:
        return False
    entry = AuditEntry(
        act=ACT,
        subject=subject,
        reason=None,
        before={name: value for name, value in before.items() if now.get(name) != value},
        after=now,
    )
    with queries.transaction():
        queries.execute("commit_here", {})
        Audit(queries).record(entry)
    return True

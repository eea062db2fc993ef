"""
File descriptors: whether this process may open all that it may need at once.

Every door bounds its connections, so what the doors need can be added up. Where the limit is
lower, somebody who opens connections at one port could keep calls from coming in at another.
"""

import resource
from typing import Final

__all__ = ["NEEDED", "raise_limit"]

NEEDED: Final = 1024
"""
What a process with all doors may need: FastAGI 456 (see its door), the health server 136, the
database 100, and some for files, Asterisk, threads and names that are looked up.
"""


def raise_limit() -> int:
    """
    Let this process open as many files as its hard limit allows, up to four times what it needs.

    Returns:
        How many it may open.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= 4 * NEEDED:
        return 4 * NEEDED
    wanted = 4 * NEEDED if hard == resource.RLIM_INFINITY else min(4 * NEEDED, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError):
        # A sandbox may forbid to ask.
        return soft
    return wanted

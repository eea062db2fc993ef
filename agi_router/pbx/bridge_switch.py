"""
The switch between Asterisk's native bridge and its simple one, by Asterisk's console.

ARI has no such switch. Calls that are up stay on the bridge that they have.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable

from agi_router.pbx.guard_test import GuardTest

__all__ = ["BRIDGE", "NATIVE", "SIMPLE", "BridgeSwitch"]

BRIDGE = "AGI_ROUTER_BRIDGE"
"""
The global of the dialplan that tells which bridge new calls are joined by.
"""

NATIVE = "native"
"""
The bridge that hands packets on as they came.
"""

SIMPLE = "simple"
"""
The bridge that makes each packet anew.
"""

log = logging.getLogger(__name__)


class BridgeSwitch:
    """
    Turns Asterisk's native bridge on while sound is guarded, and off else.

    Args:
        console: Runs a command of Asterisk's console, and returns what it prints.
    """

    def __init__(self, console: Callable[[str], str]) -> None:
        self._console = console
        self._told: str | None = None

    def turn(self, seen: GuardTest | None) -> None:
        """
        Turn it as a self-test says; off where there is none.

        It is turned again each time: Asterisk may have been started anew. Where the console does
        not answer that is logged: an Asterisk that starts has the bridge turned off by its
        ``cli.conf``.
        """
        guarded = seen is not None and seen.passed
        # It is never told to be simple while it is not.
        commands = (
            (f"dialplan set global {BRIDGE} {NATIVE}", "bridge technology unsuspend native_rtp")
            if guarded
            else ("bridge technology suspend native_rtp", f"dialplan set global {BRIDGE} {SIMPLE}")
        )
        try:
            for command in commands:
                self._console(command)
        except (OSError, subprocess.SubprocessError) as error:
            self._say("bridge.unknown", logging.ERROR, error=type(error).__name__)
            return
        if guarded:
            self._say("bridge.native", logging.INFO)
        else:
            faults = "; ".join(seen.faults) if seen is not None else "it ends"
            self._say("bridge.simple", logging.WARNING, why=faults)

    def _say(self, event: str, level: int, **extra: str) -> None:
        """Once, until something else is said."""
        if (told := f"{event} {extra}") != self._told:
            self._told = told
            log.log(level, event, extra=extra)

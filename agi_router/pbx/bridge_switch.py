"""
The switch between Asterisk's native bridge and its simple one, by Asterisk's console.

ARI has no such switch. Calls that are up stay on the bridge that they have.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress

from agi_router.pbx.guard_test import GuardTest
from agi_router.pbx.media_guard import MediaPorts

__all__ = ["BRIDGE", "BRIDGES", "NATIVE", "SIMPLE", "UNKNOWN", "BridgeSwitch"]

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

UNKNOWN = "unknown"
"""
Whichever it is, as Asterisk's console does not tell.
"""

BRIDGES = (NATIVE, SIMPLE, UNKNOWN)
"""
All of them.
"""

log = logging.getLogger(__name__)


class BridgeSwitch:
    """
    Turns Asterisk's native bridge on while sound is guarded, and off else.

    Args:
        console: Runs a command of Asterisk's console, and returns what it prints.
        ports: The ports that are guarded.
    """

    def __init__(self, console: Callable[[str], str], ports: MediaPorts) -> None:
        self._console = console
        self._ports = ports
        self._told: str | None = None

    def turn(self, seen: GuardTest) -> tuple[str, str]:
        """
        Turn it as a self-test says, and whether the guarded ports are Asterisk's.

        It is turned again each time: Asterisk may have been started anew. Where the console does
        not answer that is logged: an Asterisk that starts has the bridge turned off by its
        ``cli.conf``.

        Returns:
            The bridge that new calls have now, and why it is not the native one.
        """
        try:
            if why := "; ".join((*seen.faults, *self._elsewhere())):
                self._turn_off(why)
                return SIMPLE, why
            # It is never told to be simple while it is not.
            self._console(f"dialplan set global {BRIDGE} {NATIVE}")
            self._console("bridge technology unsuspend native_rtp")
            self._say("bridge.native", logging.INFO)
        except (OSError, subprocess.SubprocessError) as error:
            name = type(error).__name__
            self._say("bridge.unknown", logging.ERROR, error=name)
            return UNKNOWN, f"Asterisk's console does not answer ({name})"
        return NATIVE, ""

    def leave(self) -> None:
        """
        Turn it off, since nobody looks any more.
        """
        with suppress(OSError, subprocess.SubprocessError):
            self._turn_off("the watch ends")

    def _turn_off(self, why: str) -> None:
        self._console("bridge technology suspend native_rtp")
        self._console(f"dialplan set global {BRIDGE} {SIMPLE}")
        self._say("bridge.simple", logging.WARNING, why=why)

    def _elsewhere(self) -> Iterator[str]:
        theirs = MediaPorts.told(self._console("rtp show settings"))
        if theirs != self._ports:
            yield f"the ports of Asterisk's sound are {theirs or 'not told'}, not {self._ports}"

    def _say(self, event: str, level: int, **extra: str) -> None:
        """Once, until something else is said."""
        if (told := f"{event} {extra}") != self._told:
            self._told = told
            log.log(level, event, extra=extra)

"""
The journal probe: Asterisk itself leaves a line where it leaves those of calls, for us to find.

Whether Asterisk may write to the journal only Asterisk can tell: another account looks with other
rights, maybe at another directory or on another machine, and does not see its disk fill.
"""

import asyncio
import math
import os
import secrets
from typing import Final

from agi_router.ari import AriClient, AriRefused
from agi_router.calls.journal import EndJournal
from agi_router.errors import JournalError
from agi_router.side_thread import SideThread

__all__ = ["JournalProbe"]

# The context of the dialplan that writes the line; it takes sixteen digits, and nothing else.
_CONTEXT: Final = "agi-router-probe"
_TOKENS: Final = 10**16
# Where the other end of the channel would go if that were answered; there is nothing.
_NOWHERE: Final = "agi-router-nowhere"
# Seconds between two looks for the line.
_LOOK: Final = 0.05


class JournalProbe:
    """
    Asks Asterisk for a line in the end journal.

    Args:
        journal: Where it is to come.
        patience: Seconds for it to come.
    """

    def __init__(self, journal: EndJournal, *, patience: float = 5.0) -> None:
        self._journal = journal
        self._patience = patience
        self._disk = SideThread("journal-probe")

    async def ask(self, ari: AriClient) -> None:
        """
        Ask, and wait for the line.

        Raises:
            JournalError: It did not come; says what may be wrong.
            AriError: Asterisk did not answer.
        """
        token = f"{secrets.randbelow(_TOKENS):016}"
        query = {
            "endpoint": f"Local/{token}@{_CONTEXT}/n",
            "context": _NOWHERE,
            "extension": "s",
            "priority": "1",
            "timeout": str(math.ceil(self._patience)),
        }
        try:
            await ari.request("POST", "channels", query=query)
        except AriRefused:
            raise JournalError(
                f"Asterisk does not know the context {_CONTEXT}: copy the dialplan that came with"
                " this program"
            ) from None
        deadline = asyncio.get_running_loop().time() + self._patience
        while not await self._disk.do(self._journal.take_probe, token):
            if asyncio.get_running_loop().time() > deadline:
                raise JournalError(await self._why(ari))
            await asyncio.sleep(_LOOK)

    async def _why(self, ari: AriClient) -> str:
        directory = self._journal.directory
        theirs = await ari.get_variable("AGI_ROUTER_JOURNAL")
        full = await self._disk.do(_is_full, str(directory))
        return f"{directory}: Asterisk was asked for a line here, and none came: " + (
            "the disk is full"
            if full
            else f"it may not write there, its disk is full, or {theirs or 'nothing'}, which"
            " AGI_ROUTER_JOURNAL names in the dialplan, is another directory"
        )


def _is_full(directory: str) -> bool:
    try:
        return os.statvfs(directory).f_bavail == 0
    except OSError:
        return False

"""
The prompts as Asterisk finds them: it looks itself, by the dialplan's context for it.

Whoever looks with eyes of its own sees the files of another machine, or those that Asterisk's
account may not read, or a directory in which Asterisk does not search.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from agi_router.ari import AriClient, AriRefused, AriTimeout, StasisStart

__all__ = [
    "APP",
    "LONGEST_NOTICE",
    "LONGEST_NOTICES",
    "SHORTEST_NOTICE",
    "PromptFile",
    "find_sizes",
]

APP = "agi_router_doctor"
"""
The application to which the dialplan tells what it has found.
"""

LONGEST_NOTICE = 98_000
"""
Bytes of a notice: six seconds of 8 kHz and 16 bit, and what stands before them.

The dialplan plays none that has more.
"""

LONGEST_NOTICES = 194_000
"""
Bytes of a file of two notices: twelve seconds, and what stands before them.
"""

SHORTEST_NOTICE = 8_044
"""
Bytes of the notice of a recording at least: half a second, and what stands before it.

Less tells nobody anything: where it has less, nothing is recorded.
"""

_CONTEXT = "agi-router-check"
_AT_ONCE = 8
_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptFile:
    """
    One prompt of a language; of the shipped set, where the set's name is empty.
    """

    language: str
    name: str
    prompts: str = ""

    @property
    def extension(self) -> str:
        """
        What the dialplan is asked.
        """
        return f"{self.language}*{self.name}*{self.prompts}"


async def find_sizes(ari: AriClient, files: Sequence[PromptFile]) -> dict[PromptFile, int | None]:
    """
    How many bytes each of *files* has; :obj:`None` where Asterisk does not find it.

    Args:
        ari: A client of the application :data:`APP`, whose events nobody else reads.
        files: What is asked for; each costs two channels for a moment.

    Raises:
        AriTimeout: The dialplan does not tell.
        AriError: Asterisk does not answer, or refuses.
    """
    found: dict[str, int | None] = {}
    for start in range(0, len(files), _AT_ONCE):
        asked = [file.extension for file in files[start : start + _AT_ONCE]]
        await asyncio.gather(*(_ask(ari, extension) for extension in asked))
        try:
            async with asyncio.timeout(_TIMEOUT):
                while not found.keys() >= {*asked}:
                    found |= await _told(ari)
        except TimeoutError:
            raise AriTimeout("events of the context", _CONTEXT) from None
    return {file: found[file.extension] for file in files}


async def _ask(ari: AriClient, extension: str) -> None:
    query = {"endpoint": f"Local/{extension}@{_CONTEXT}/n", "app": APP, "timeout": "5"}
    await ari.request("POST", "channels", query=query)


async def _told(ari: AriClient) -> dict[str, int | None]:
    """
    What the next event says of a file, if it is one of ours.
    """
    match await anext(aiter(ari)):
        case StasisStart(channel=channel, args=(extension, there, size)):
            # It may have gone by itself.
            with contextlib.suppress(AriRefused):
                await ari.hangup(channel.id, reason_code=16)
            return {extension: int(size or "0") if there == "1" else None}
    return {}

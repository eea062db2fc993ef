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

__all__ = ["APP", "PromptFile", "find_missing"]

APP = "agi_router_doctor"
"""
The application to which the dialplan tells what it has found.
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


async def find_missing(ari: AriClient, files: Sequence[PromptFile]) -> list[PromptFile]:
    """
    Those of *files* that Asterisk does not find, in their order.

    Args:
        ari: A client of the application :data:`APP`, whose events nobody else reads.
        files: What is asked for; each costs two channels for a moment.

    Raises:
        AriTimeout: The dialplan does not tell.
        AriError: Asterisk does not answer, or refuses.
    """
    found: dict[str, bool] = {}
    for start in range(0, len(files), _AT_ONCE):
        asked = [file.extension for file in files[start : start + _AT_ONCE]]
        await asyncio.gather(*(_ask(ari, extension) for extension in asked))
        try:
            async with asyncio.timeout(_TIMEOUT):
                while not found.keys() >= {*asked}:
                    found |= await _told(ari)
        except TimeoutError:
            raise AriTimeout("events of the context", _CONTEXT) from None
    return [file for file in files if not found[file.extension]]


async def _ask(ari: AriClient, extension: str) -> None:
    query = {"endpoint": f"Local/{extension}@{_CONTEXT}/n", "app": APP, "timeout": "5"}
    await ari.request("POST", "channels", query=query)


async def _told(ari: AriClient) -> dict[str, bool]:
    """
    What the next event says of a file, if it is one of ours.
    """
    match await anext(aiter(ari)):
        case StasisStart(channel=channel, args=(extension, there)):
            # It may have gone by itself.
            with contextlib.suppress(AriRefused):
                await ari.hangup(channel.id, reason_code=16)
            return {extension: there == "1"}
    return {}

"""
Succession: who has the name of the ARI application, and what becomes of a router that lost it.

Asterisk gives an application to whoever connected last. That may be the next version of this
router, which is as it should be; or somebody's second ``serve`` by mistake, or one who has got
hold of ARI's password and leaves again after half a second. So a router takes a name that is in
use only where it was told to, and one that lost its name **stands by**: it serves nothing and
holds nothing, but looks whether the name is in use, and takes it back as soon as it is not.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final, TypeAlias

from agi_router.ari import AriClient, AriError, AriUnavailable
from agi_router.errors import AsteriskError
from agi_router.service.systemd import Notifier

__all__ = ["require_free_name", "stand_by"]

log = logging.getLogger(__name__)

_MakeClient: TypeAlias = Callable[[], AriClient]

# Seconds between two looks at the name. It must be free at two of them: a router whose connection
# broke has it again in a moment.
_LOOK: Final = 0.2
_LOOKS: Final = 2
_RETRY: Final = 1.0
# Seconds for which a router that has just died may still seem to be there.
_DYING: Final = 2.0


async def require_free_name(make: _MakeClient, app: str) -> None:
    """
    Make sure that no other router has a name, or has it no more in a moment.

    Args:
        make: Makes a client under another name.
        app: The name.

    Raises:
        AsteriskError: Another router serves under it; or Asterisk is away.
    """
    try:
        async with make() as ari:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DYING):
                    while await ari.has_application(app):  # noqa: ASYNC110 - Asterisk is asked
                        await asyncio.sleep(_LOOK)
                    return
    except AriUnavailable as error:
        raise AsteriskError(f"Asterisk cannot be reached: {error}") from None
    raise AsteriskError(
        f"another router serves as {app}, and would lose its calls to this one: end it first, give"
        " this one a name of its own (AGI_ROUTER_ARI_APP), or replace it by --take-over"
    )


async def stand_by(make: _MakeClient, app: str, stop: asyncio.Event, notifier: Notifier) -> bool:
    """
    Wait until a name is free again.

    Args:
        make: Makes a client under another name.
        app: The name.
        stop: Set when this router is to end.
        notifier: Who is told that we live.

    Returns:
        Whether the name is free; if not, this router is to end.
    """
    notifier.status(f"standing by: another router serves as {app}")
    log.warning("serve.standing_by", extra={"app": app})
    while not stop.is_set():
        try:
            async with make() as ari:
                if await _freed(ari, app, stop, notifier):
                    log.warning("serve.taking_back", extra={"app": app})
                    return True
        except AriError:
            # Asterisk is away, and nobody has the name. Whoever had it will be back with it.
            await _rest(_RETRY, stop, notifier)
    return False


async def _freed(ari: AriClient, app: str, stop: asyncio.Event, notifier: Notifier) -> bool:
    free = 0
    while not stop.is_set():
        free = 0 if await ari.has_application(app) else free + 1
        if free == _LOOKS:
            return True
        await _rest(_LOOK, stop, notifier)
    return False


async def _rest(seconds: float, stop: asyncio.Event, notifier: Notifier) -> None:
    notifier.alive()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()

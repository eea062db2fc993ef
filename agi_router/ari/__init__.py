"""
A small typed asyncio client of Asterisk's REST Interface, REST and events over one WebSocket.

It needs Asterisk 22.4 or later and the ``websockets`` package, and knows nothing of the rest of
``agi_router``. It connects, keeps the connection up, and says so in the stream of events::

    import asyncio
    from agi_router.ari import AriClient, StasisStart

    async def main() -> None:
        login = {"url": "http://127.0.0.1:8088", "user": "router", "password": "secret"}
        async with AriClient(**login, app="agi_router") as ari:
            async for event in ari:  # also Connected and Disconnected
                if isinstance(event, StasisStart):
                    await ari.hangup(event.channel.id, reason_code=17)

    asyncio.run(main())

A request may be refused (:exc:`AriRefused`, e.g. 404 for a caller who is gone), late
(:exc:`AriTimeout`) or impossible (:exc:`AriUnavailable`); all are :exc:`AriError`.
"""

from .client import AriClient, ClientEvent, Connected, Disconnected
from .errors import AriError, AriRefused, AriTimeout, AriUnauthorized, AriUnavailable, WireError
from .wire import (
    EXTENSION_MAX,
    ApplicationReplaced,
    AsteriskInfo,
    Channel,
    ChannelDestroyed,
    Event,
    Response,
    StasisEnd,
    StasisStart,
    UnknownEvent,
    UserEvent,
    path,
)

__all__ = [
    "EXTENSION_MAX",
    "ApplicationReplaced",
    "AriClient",
    "AriError",
    "AriRefused",
    "AriTimeout",
    "AriUnauthorized",
    "AriUnavailable",
    "AsteriskInfo",
    "Channel",
    "ChannelDestroyed",
    "ClientEvent",
    "Connected",
    "Disconnected",
    "Event",
    "Response",
    "StasisEnd",
    "StasisStart",
    "UnknownEvent",
    "UserEvent",
    "WireError",
    "path",
]

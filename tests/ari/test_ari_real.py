"""The ARI client against a real Asterisk 22."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import pytest

from agi_router.ari import (
    ApplicationReplaced,
    AriClient,
    AriRefused,
    AriUnauthorized,
    AriUnavailable,
    ChannelDestroyed,
    Connected,
    Disconnected,
    StasisEnd,
    StasisStart,
)

PATIENCE = 30.0
APP = "ari_real"
# A channel in Stasis without any dialplan: created for the application, never dialled.
NEW_CHANNEL = {"endpoint": "Local/1@nowhere", "app": APP, "appArgs": "700123456789012,in"}

T = TypeVar("T")


class Asterisk(Protocol):
    """What a test needs to know of the Asterisk it runs against."""

    ari_url: str
    ari_user: str
    ari_password: str

    def restart(self) -> None:
        """Kill it, start it again; return when it accepts connections."""


def client(asterisk: Asterisk, **changes: Any) -> AriClient:
    settings: dict[str, Any] = {
        "url": asterisk.ari_url,
        "user": asterisk.ari_user,
        "password": asterisk.ari_password,
        "app": APP,
        "events": ["StasisStart", "StasisEnd", "ChannelDestroyed"],
        # A machine that stalls for seconds makes no fault.
        "request_timeout": PATIENCE,
        "ping_timeout": PATIENCE + 1,
    }
    return AriClient(**(settings | changes))


async def take(ari: AriClient, kind: type[T]) -> T:
    """Take the next event, which must be of this kind."""
    async with asyncio.timeout(PATIENCE):
        event = await anext(ari)
    assert isinstance(event, kind), event
    return event


async def test_says_who_it_is(asterisk: Asterisk) -> None:
    async with client(asterisk) as ari:
        assert await take(ari, Connected) == Connected(first=True)
        info = await ari.asterisk_info()

        assert info.version.startswith("22.")
        assert info.entity_id
        assert timedelta(0) <= datetime.now(UTC) - info.startup_time < timedelta(hours=1)
        assert await ari.get_variable("NO_SUCH_VARIABLE") == ""


async def test_filter_is_what_was_asked_for(asterisk: Asterisk) -> None:
    async with client(asterisk, events=["StasisStart"]) as ari:
        answer = await ari.request("GET", f"applications/{APP}")
        await ari.set_event_filter([])
        changed = await ari.request("GET", f"applications/{APP}")

    allowed = [{"type": name} for name in ("RESTResponse", "ApplicationReplaced", "StasisStart")]
    assert json.loads(answer.body)["events_allowed"] == allowed
    assert json.loads(changed.body)["events_allowed"] == allowed[:2]


async def test_life_of_a_channel(asterisk: Asterisk) -> None:
    async with client(asterisk) as ari:
        await take(ari, Connected)
        await ari.request("POST", "channels/create", query=NEW_CHANNEL)
        start = await take(ari, StasisStart)
        channel = start.channel

        assert start.args == ("700123456789012", "in")
        assert start.application == APP
        assert start.asterisk_id == (await ari.asterisk_info()).entity_id
        assert channel.name.startswith("Local/1@nowhere")
        assert await ari.has_channel(channel.id)

        # A channel nobody dialled has no call to go on with.
        with pytest.raises(AriRefused) as caught:
            await ari.continue_in_dialplan(channel.id, context="nowhere", extension="1" * 79)
        assert caught.value.status == 412

        await ari.hangup(channel.id, reason_code=21)
        ends = {type(await take(ari, StasisEnd | ChannelDestroyed)) for _ in range(2)}  # type: ignore[arg-type]
        assert ends == {StasisEnd, ChannelDestroyed}
        assert not await ari.has_channel(channel.id)


async def test_absent_channel_is_404(asterisk: Asterisk) -> None:
    async with client(asterisk) as ari:
        for request in (
            ari.continue_in_dialplan("no-such.1", context="c", extension="1"),
            ari.hangup("no-such.1", reason_code=16),
            # One segment to Asterisk too, not a path.
            ari.hangup("no/such?a=b&c%00", reason_code=16),
        ):
            with pytest.raises(AriRefused) as caught:
                await request
            assert caught.value.status == 404


async def test_extension_too_long_is_never_sent(asterisk: Asterisk) -> None:
    async with client(asterisk) as ari:
        await ari.request("POST", "channels/create", query=NEW_CHANNEL)
        await take(ari, Connected)
        channel = (await take(ari, StasisStart)).channel
        with pytest.raises(ValueError, match="extension: 80 bytes"):
            await ari.continue_in_dialplan(channel.id, context="c", extension="1" * 80)
        assert await ari.has_channel(channel.id)
        await ari.hangup(channel.id, reason_code=16)


async def test_longest_request_is_taken(asterisk: Asterisk) -> None:
    """The longest request that is let out is read, and does not cost the connection."""
    size = 65_535
    async with client(asterisk) as ari:
        while True:
            try:
                query = {"variable": "X", "filler": "x" * size}
                answer = await ari.request("GET", "asterisk/variable", query=query)
                break
            except ValueError:
                size -= 1

    assert answer.status_code == 200
    assert size > 65_000


async def test_wrong_password(asterisk: Asterisk) -> None:
    with pytest.raises(AriUnauthorized):
        async with client(asterisk, password="wrong"):
            pass


async def test_second_client_of_the_name_is_told_to_the_first(asterisk: Asterisk) -> None:
    async with client(asterisk) as first:
        await take(first, Connected)
        async with client(asterisk) as second:
            assert (await take(first, ApplicationReplaced)).application == APP
            assert (await second.asterisk_info()).version


async def test_killed_and_restarted(asterisk: Asterisk) -> None:
    async with client(asterisk) as ari:
        before = (await ari.asterisk_info()).startup_time
        await asyncio.to_thread(asterisk.restart)
        await take(ari, Connected)
        await take(ari, Disconnected)
        assert await take(ari, Connected) == Connected(first=False)

        assert (await ari.asterisk_info()).startup_time > before
        # The filter is in force again: what it lets through comes, in both directions.
        await ari.request("POST", "channels/create", query=NEW_CHANNEL)
        channel = (await take(ari, StasisStart)).channel
        await ari.hangup(channel.id, reason_code=16)


class Line:
    """A TCP line to Asterisk which can be cut without a word, as by a firewall."""

    def __init__(self) -> None:
        self.cut = False
        self.writers: list[asyncio.StreamWriter] = []

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while data := await reader.read(65_536):
            if not self.cut:
                writer.write(data)
        writer.close()


@asynccontextmanager
async def line_to(url: str) -> AsyncIterator[tuple[Line, str]]:
    line = Line()
    parts = urlsplit(url)

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(parts.hostname, parts.port)
        await asyncio.gather(line.carry(reader, far_writer), line.carry(far_reader, writer))

    server = await asyncio.start_server(join, "127.0.0.1", 0)
    try:
        yield line, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        for writer in line.writers:
            writer.close()
        server.close()
        await server.wait_closed()


async def test_silent_cut_is_noticed(asterisk: Asterisk) -> None:
    """And the line's return. How soon is counted, not timed (tests/unit/test_ari_client.py)."""
    async with (
        line_to(asterisk.ari_url) as (line, url),
        client(asterisk, url=url, ping_timeout=1.5) as ari,
    ):
        await take(ari, Connected)
        line.cut = True
        assert await take(ari, Disconnected) == Disconnected(reason="no answer to a ping")
        with pytest.raises(AriUnavailable):
            await ari.asterisk_info()

        line.cut = False
        await take(ari, Connected)
        await ari.asterisk_info()


async def test_a_thousand_requests_at_once(asterisk: Asterisk) -> None:
    async with client(asterisk) as ari:
        names = [f"V{number}" for number in range(1_000)]
        values = await asyncio.gather(*[ari.get_variable(name) for name in names])

    assert values == [""] * 1_000

"""The ARI client against a stand-in for Asterisk, which can do what Asterisk seldom does."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import socket
import textwrap
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from http import HTTPStatus
from typing import Any, TypeVar

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.frames import Frame, Opcode
from websockets.http11 import Request as Upgrade
from websockets.http11 import Response as Refusal
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

import agi_router.ari as ari_package
import agi_router.ari.client as client_module
import agi_router.ari.errors as errors_module
import agi_router.ari.wire as wire_module
from agi_router.ari import (
    ApplicationReplaced,
    AriClient,
    AriError,
    AriRefused,
    AriTimeout,
    AriUnauthorized,
    AriUnavailable,
    Connected,
    Disconnected,
    Response,
    StasisStart,
    UnknownEvent,
    WireError,
)
from agi_router.ari.websocket import WebSocket

CALLER = "13912345678"
PASSWORD = "pass:word中"
# Upper limit of anything awaited here; nothing should come near it.
PATIENCE = 15.0

Answer = tuple[int, object] | None


class StandIn:
    """
    Speaks ARI over WebSocket as Asterisk does, with faults to order.

    ``answers`` maps "METHOD uri" to a status and a body, or to None for no answer.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.greeting: list[str] = []
        self.status: HTTPStatus | None = None
        self.hangs = False
        self.requests: list[dict[str, Any]] = []
        self.upgrades: list[Upgrade] = []
        self.sockets: list[ServerConnection] = []
        self.port = 0
        self._server: Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket(self) -> ServerConnection:
        return self.sockets[-1]

    @property
    def filters(self) -> list[list[str]]:
        """The types let through, one list for each filter request."""
        return [
            [rule["type"] for rule in json.loads(request["message_body"])["allowed"]]
            for request in self.requests
            if request["uri"].endswith("/eventFilter")
        ]

    async def start(self) -> None:
        self._server = await serve(
            self._talk,
            "127.0.0.1",
            self.port,
            process_request=self._upgrade,
            subprotocols=[Subprotocol("ari")],
            close_timeout=0.1,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            for socket in self.sockets:
                socket.transport.abort()
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def say(self, message: dict[str, Any] | str | bytes) -> None:
        frame = json.dumps(message) if isinstance(message, dict) else message
        await self.socket.send(frame, text=True)

    async def _upgrade(self, socket: ServerConnection, upgrade: Upgrade) -> Refusal | None:
        self.upgrades.append(upgrade)
        if self.hangs:
            await socket.wait_closed()
        if self.status is not None:
            return socket.respond(self.status, "no\n")
        if "Upgrade" in upgrade.headers:
            return None
        status, body = self.answers.get(f"HTTP {upgrade.path}") or (404, None)
        return socket.respond(HTTPStatus(status), json.dumps(body))

    async def _talk(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        for message in self.greeting:
            await socket.send(message)
        async for frame in socket:
            request = json.loads(frame)
            self.requests.append(request)
            answer = self.answers.get(f"{request['method']} {request['uri']}", (204, None))
            if answer is not None:
                await socket.send(json.dumps(reply(request["request_id"], *answer)))


def reply(request_id: str, status: int = 204, body: object = None) -> dict[str, Any]:
    message: dict[str, Any] = {
        "type": "RESTResponse",
        "request_id": request_id,
        "status_code": status,
        "reason_phrase": HTTPStatus(status).phrase,
    }
    return message if body is None else message | {"message_body": json.dumps(body)}


def start_of(number: int) -> dict[str, Any]:
    return {
        "type": "StasisStart",
        "application": "app",
        "timestamp": "2026-11-21T19:33:05.120+0000",
        "args": [str(number)],
        "channel": {
            "id": f"pbx1-1.{number}",
            "name": "PJSIP/in-1",
            "state": "Ring",
            "caller": {"name": "", "number": CALLER},
            "dialplan": {"context": "in", "exten": "7", "app_name": "Stasis", "app_data": "app"},
            "creationtime": "2026-11-21T19:33:05.120+0000",
        },
    }


@pytest.fixture
async def pbx() -> AsyncIterator[StandIn]:
    stand_in = StandIn()
    await stand_in.start()
    yield stand_in
    await stand_in.stop()


def client(url: str, **changes: Any) -> AriClient:
    settings: dict[str, Any] = {
        "user": "router",
        "password": PASSWORD,
        "app": "app",
        "request_timeout": PATIENCE,
        "connect_timeout": PATIENCE,
        "ping_timeout": PATIENCE,
        "backoff_first": 0.01,
        "backoff_cap": 0.1,
    }
    return AriClient(url=url, **(settings | changes))


T = TypeVar("T")


async def take(ari: AriClient, kind: type[T]) -> T:
    """Take the next event, which must be of this kind."""
    async with asyncio.timeout(PATIENCE):
        event = await anext(ari)
    assert isinstance(event, kind), event
    return event


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 what is waited for lies in other people's objects
            await asyncio.sleep(0.005)


async def test_connects_as_asterisk_wants_it(pbx: StandIn) -> None:
    async with client(pbx.url + "/prefix/") as ari:
        assert ari.ready
        assert await take(ari, Connected) == Connected(first=True)
        assert ari.connections == 1

    upgrade = pbx.upgrades[0]
    login = base64.b64decode(upgrade.headers["Authorization"].removeprefix("Basic ")).decode()

    assert upgrade.path == "/prefix/ari/events?app=app"
    assert login == f"router:{PASSWORD}"
    assert upgrade.headers["Sec-WebSocket-Protocol"] == "ari"
    assert "Sec-WebSocket-Extensions" not in upgrade.headers


async def test_example_in_the_docs_runs(pbx: StandIn) -> None:
    indented = (ari_package.__doc__ or "").partition("::\n")[2].partition("\nA request")[0]
    code = textwrap.dedent(indented)
    space: dict[str, Any] = {}
    exec(  # noqa: S102 our own text
        code.replace("http://127.0.0.1:8088", pbx.url).replace("asyncio.run(main())", ""), space
    )

    running = asyncio.create_task(space["main"]())
    await until(lambda: len(pbx.requests) == 1)
    await pbx.say(start_of(1))
    await until(lambda: len(pbx.requests) == 2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert "asyncio.run(main())" in code
    assert pbx.requests[1]["uri"] == "channels/pbx1-1.1"


def test_public_names_exist() -> None:
    for module in (ari_package, client_module, errors_module, wire_module):
        names = module.__all__

        assert len(set(names)) == len(names)
        assert all(hasattr(module, name) for name in names)


async def test_filter_lets_answers_through_and_is_confirmed(pbx: StandIn) -> None:
    async with client(pbx.url, events=["StasisStart", "ChannelDestroyed"]):
        pass

    assert pbx.requests[0]["method"] == "PUT"
    assert pbx.requests[0]["uri"] == "applications/app/eventFilter"
    assert pbx.filters == [
        ["RESTResponse", "ApplicationReplaced", "StasisStart", "ChannelDestroyed"]
    ]


@pytest.mark.parametrize("answer", [None, (403, {}), (404, {})])
async def test_unconfirmed_filter_is_no_connection(pbx: StandIn, answer: Answer) -> None:
    pbx.answers["PUT applications/app/eventFilter"] = answer

    async with asyncio.timeout(PATIENCE):
        told = ""
        # On a busy machine it may not get as far as to ask.
        while "eventFilter" not in told:
            with pytest.raises(AriUnavailable) as error:
                async with client(pbx.url, connect_timeout=2, request_timeout=0.1):
                    pass
            told = str(error.value)
    # It did not stay on a deaf socket but tried again, and left none open.
    await until(lambda: len(pbx.sockets) > 1 and all(s.state == 3 for s in pbx.sockets))


async def test_filter_answer_lost_once_is_repaired(pbx: StandIn) -> None:
    pbx.answers["PUT applications/app/eventFilter"] = None
    async with asyncio.timeout(PATIENCE):
        opening = asyncio.create_task(enter(client(pbx.url, request_timeout=0.1)))
        await until(lambda: len(pbx.requests) == 1)
        pbx.answers.clear()
        ari = await opening
    await take(ari, Connected)
    await ari.__aexit__(None, None, None)

    assert len(pbx.filters) >= 2


async def enter(ari: AriClient) -> AriClient:
    return await ari.__aenter__()


async def test_nobody_there() -> None:
    with pytest.raises(AriUnavailable, match=r"no connection within 1 s.*ConnectionRefused"):
        async with client("http://127.0.0.1:1", connect_timeout=1):
            pass


@asynccontextmanager
async def listener(greeting: bytes, *, hold: bool) -> AsyncIterator[str]:
    """Listen as something that is no WebSocket server."""
    talks: set[asyncio.Task[Any]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.create_task(say(reader, writer)))

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The client may be gone already, or leave by a reset. An error that nobody takes is shown
        # when the task is collected, which fails whatever else reads Python at that moment.
        with suppress(OSError):
            writer.write(greeting)
            if hold:
                await reader.read()
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await server.wait_closed()
    if talks:
        await asyncio.wait(talks)


@pytest.mark.parametrize(
    ("greeting", "hold"),
    [
        (b"", True),
        # What Asterisk does above its session limit.
        (b"", False),
        (b"SSH-2.0-OpenSSH\r\n\r\n", False),
        (b"\x00\xff\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", False),
    ],
)
async def test_strange_peers_are_unavailable(greeting: bytes, *, hold: bool) -> None:
    async with listener(greeting, hold=hold) as url:
        with pytest.raises(AriUnavailable):
            async with client(url, connect_timeout=0.3, request_timeout=0.1):
                pass


async def test_wrong_password_at_first_connect_is_an_error_at_once(pbx: StandIn) -> None:
    pbx.status = HTTPStatus.UNAUTHORIZED

    with pytest.raises(AriUnauthorized):
        async with client(pbx.url, connect_timeout=60):
            pass
    assert len(pbx.upgrades) == 1


async def test_no_ari_at_the_path_says_where_to_look(pbx: StandIn) -> None:
    """The HTTP server has a prefix that the URL lacks, or one less: 404 alone tells nobody."""
    pbx.status = HTTPStatus.NOT_FOUND

    with pytest.raises(AriUnavailable) as caught:
        async with client(f"{pbx.url}/prefix", connect_timeout=1):
            pass
    assert str(caught.value) == (
        "no connection within 1 s: handshake answered 404: there is no ARI at this path; where"
        " http.conf has a prefix the URL is to end in it, and ari.conf needs enabled=yes"
    )


async def test_wrong_password_at_reconnect_is_logged_and_retried(
    pbx: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    async with client(pbx.url) as ari:
        pbx.status = HTTPStatus.UNAUTHORIZED
        pbx.socket.transport.abort()
        await until(lambda: len(pbx.upgrades) >= 4)
        pbx.status = None
        await take(ari, Connected)
        await take(ari, Disconnected)
        assert await take(ari, Connected) == Connected(first=False)
        assert ari.connections == 2

    failures = [r for r in caplog.records if r.getMessage() == "ari_connect_failed"]
    # Once, not once for each attempt.
    assert [r.__dict__["reason"] for r in failures] == ["user or password refused"]


async def test_asterisk_still_booting_is_waited_for(pbx: StandIn) -> None:
    pbx.status = HTTPStatus.SERVICE_UNAVAILABLE
    opening = asyncio.create_task(enter(client(pbx.url)))
    await until(lambda: len(pbx.upgrades) >= 2)
    pbx.status = None
    ari = await opening
    await ari.__aexit__(None, None, None)


async def test_attempt_that_hangs_is_given_up_and_made_again(pbx: StandIn) -> None:
    pbx.hangs = True
    opening = asyncio.create_task(enter(client(pbx.url, request_timeout=0.1)))
    await until(lambda: len(pbx.upgrades) >= 2)
    pbx.hangs = False
    ari = await opening
    await ari.__aexit__(None, None, None)


async def test_proxies_of_the_environment_are_not_used(
    pbx: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    async with client(pbx.url) as ari:
        assert ari.ready


async def test_answers_meet_their_requests_in_any_order(pbx: StandIn) -> None:
    pbx.answers = {f"GET r/{n}": None for n in range(20)}
    async with client(pbx.url) as ari:
        asked = [asyncio.create_task(ari.request("GET", f"r/{n}")) for n in range(20)]
        await until(lambda: len(pbx.requests) == 21)
        for request in reversed(pbx.requests[1:]):
            # Events come in between.
            await pbx.say({"type": "Something"})
            await pbx.say(reply(request["request_id"], 200, request["uri"]))
        answers = await asyncio.gather(*asked)

    assert [json.loads(answer.body) for answer in answers] == [f"r/{n}" for n in range(20)]


async def test_lost_answer_is_a_time_out_and_costs_nothing_else(
    pbx: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    pbx.answers["GET lost"] = None
    async with client(pbx.url) as ari:
        # Only this one has less time than the client's requests.
        with pytest.raises(AriTimeout):
            await ari.request("GET", "lost", within=0.01)
        ari._request_timeout = 0.1
        with pytest.raises(AriTimeout, match="GET lost"):
            await ari.request("GET", "lost", query={"x": CALLER})

        # Late answers, to requests given up, meet nobody.
        for request in pbx.requests[1:]:
            await pbx.say(reply(request["request_id"]))
        assert (await ari.request("GET", "next", within=PATIENCE)).status_code == 204
        assert not ari._pending

    assert Counter(r.getMessage() for r in caplog.records)["ari_answer_unmatched"] == 2


async def test_refusals_carry_the_status(pbx: StandIn) -> None:
    pbx.answers["GET gone"] = (404, {"message": "Channel not found"})
    async with client(pbx.url) as ari:
        with pytest.raises(AriRefused, match=r"^404 Not Found: gone$") as caught:
            await ari.request("GET", "gone", query={"x": CALLER})

    assert caught.value.status == 404
    assert CALLER not in repr(caught.value)


async def test_bad_requests_are_not_sent(pbx: StandIn) -> None:
    async with client(pbx.url) as ari:
        with pytest.raises(ValueError, match="uri"):
            await ari.request("GET", "/channels")
        with pytest.raises(ValueError, match="extension: 80 bytes") as caught:
            await ari.continue_in_dialplan("1.2", context="c", extension="1" * 80)
        with pytest.raises(ValueError, match="context"):
            await ari.continue_in_dialplan("1.2", context="", extension="1")
        with pytest.raises(ValueError, match="priority"):
            await ari.continue_in_dialplan("1.2", context="c", extension="1", priority=0)
        with pytest.raises(ValueError, match="reason_code"):
            await ari.hangup("1.2", reason_code=128)

    assert "1111" not in str(caught.value)
    assert len(pbx.requests) == 1


@pytest.mark.parametrize(("status", "body"), [(200, None), (200, []), (500, {}), (503, None)])
async def test_a_channel_that_cannot_be_described_is_there(
    pbx: StandIn, status: int, body: object
) -> None:
    """Of one whose Call-ID is not UTF-8 Asterisk says nothing, and 200: it has found it."""
    pbx.answers = {"GET channels/pbx1-1.1": (status, body)}
    async with client(pbx.url) as ari:
        assert await ari.has_channel("pbx1-1.1")


async def test_operations_say_what_asterisk_expects(pbx: StandIn) -> None:
    pbx.answers = {
        "GET channels/pbx1-1.1": (200, start_of(1)["channel"]),
        "GET channels/pbx1-1.9": (404, {"message": "Channel not found"}),
        "GET asterisk/variable": (200, {"value": "x"}),
        "GET channels/pbx1-1.1/variable": (200, {"value": "1"}),
        "HTTP /ari/endpoints/PJSIP": (200, [{"resource": "in", "state": "offline"}]),
        "GET asterisk/modules": (200, [{"name": "a.so", "status": "Running"}]),
        "GET asterisk/logging": (
            200,
            [{"channel": "/log", "status": "Enabled", "configuration": "ERROR "}],
        ),
        "GET asterisk/config/dynamic/res_pjsip/endpoint/my%20trunk": (
            200,
            [{"attribute": "a", "value": "b"}],
        ),
        "GET asterisk/info": (
            200,
            {
                "system": {"version": "22.10.1", "entity_id": "02:fc"},
                "config": {"name": "pbx1"},
                "status": {"startup_time": "2026-11-21T19:32:28.701+0000"},
            },
        ),
    }
    async with client(pbx.url) as ari:
        await ari.continue_in_dialplan("pbx1-1.2", context="c", extension="1" * 79)
        await ari.hangup("a/b", reason_code=21)
        assert await ari.get_variable("V") == "x"
        assert await ari.has_channel("pbx1-1.1")
        assert not await ari.has_channel("pbx1-1.9")
        assert (await ari.asterisk_info()).version == "22.10.1"
        await ari.set_event_filter(["StasisEnd"])
        assert await ari.endpoints("PJSIP") == {"in": "offline"}
        assert await ari.channel_variable("pbx1-1.1", "F(x)") == "1"
        assert await ari.modules() == {"a.so"}
        assert await ari.log_channels() == {"/log": {"ERROR"}}
        assert await ari.config_object("res_pjsip", "endpoint", "my trunk") == {"a": "b"}

    sent = [
        (
            request["method"],
            request["uri"],
            {item["name"]: item["value"] for item in request.get("query_strings", [])},
        )
        for request in pbx.requests[1:4]
    ]
    assert sent == [
        (
            "POST",
            "channels/pbx1-1.2/continue",
            {"context": "c", "extension": "1" * 79, "priority": "1"},
        ),
        ("DELETE", "channels/a%2Fb", {"reason_code": "21"}),
        ("GET", "asterisk/variable", {"variable": "V"}),
    ]
    assert pbx.filters[1] == ["RESTResponse", "ApplicationReplaced", "StasisEnd"]


async def test_what_may_be_long_comes_by_http(pbx: StandIn) -> None:
    """With user and password; what goes wrong there is told as on the socket."""
    async with client(pbx.url) as ari:
        names = [f"phone{number}" for number in range(10_000)]
        pbx.answers["HTTP /ari/endpoints/SIP"] = (200, [{"resource": name} for name in names])
        assert await ari.endpoints("SIP") == dict.fromkeys(names, "unknown")
        first, last = pbx.upgrades[0], pbx.upgrades[-1]
        assert last.headers["Authorization"] == first.headers["Authorization"]
        assert "GET endpoints" not in str(pbx.requests)
        with pytest.raises(AriRefused, match="404"):
            await ari.endpoints("no such")
        pbx.status = HTTPStatus.UNAUTHORIZED
        with pytest.raises(AriUnauthorized):
            await ari.endpoints("SIP")
        await pbx.stop()
        with pytest.raises(AriUnavailable) as caught:
            await ari.endpoints("SIP")
        assert PASSWORD not in str(caught.value)


async def test_http_that_says_nothing(pbx: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks waits for a time only."""
    monkeypatch.setattr(client_module, "_LIST_TIMEOUT", 0.1)
    async with client(pbx.url) as ari:
        pbx.hangs = True
        with pytest.raises(AriTimeout, match="GET endpoints/SIP"):
            await ari.endpoints("SIP")


async def test_socket_cut_in_mid_request_fails_it_at_once(pbx: StandIn) -> None:
    pbx.answers["GET slow"] = None
    async with client(pbx.url, request_timeout=60) as ari:
        asked = [asyncio.create_task(ari.request("GET", "slow")) for _ in range(3)]
        await until(lambda: len(pbx.requests) == 4)
        pbx.socket.transport.abort()
        async with asyncio.timeout(PATIENCE):
            results = await asyncio.gather(*asked, return_exceptions=True)

        assert all(isinstance(result, AriUnavailable) for result in results)
        await take(ari, Connected)
        assert await take(ari, Disconnected) == Disconnected(reason="connection lost")
        await take(ari, Connected)
        assert (await ari.request("GET", "again")).status_code == 204


async def test_requests_without_connection_fail_at_once(pbx: StandIn) -> None:
    async with client(pbx.url) as ari:
        await pbx.stop()
        await take(ari, Connected)
        await take(ari, Disconnected)

        assert not ari.ready
        with pytest.raises(AriUnavailable, match="not connected"):
            await ari.request("GET", "x")
        with pytest.raises(AriUnavailable, match="not connected"):
            await ari.set_event_filter([])


async def test_reconnect_sends_the_filter_again(pbx: StandIn) -> None:
    async with client(pbx.url) as ari:
        await ari.set_event_filter(["StasisEnd"])
        await pbx.stop()
        await pbx.start()
        await take(ari, Connected)
        await take(ari, Disconnected)
        assert await take(ari, Connected) == Connected(first=False)

    # What was chosen last, not what the client was made with.
    assert pbx.filters[-1] == ["RESTResponse", "ApplicationReplaced", "StasisEnd"]
    assert len(pbx.filters) == 3


async def test_back_soon_after_a_long_outage(pbx: StandIn) -> None:
    """Once the back-off is at its cap it grows no more: the 20th would come after hours."""
    async with client(pbx.url, backoff_cap=0.02) as ari:
        pbx.status = HTTPStatus.SERVICE_UNAVAILABLE
        pbx.socket.transport.abort()
        await until(lambda: len(pbx.upgrades) >= 20)
        pbx.status = None
        await take(ari, Connected)
        await take(ari, Disconnected)
        await take(ari, Connected)


async def test_peer_that_drops_us_at_once_is_not_hammered(pbx: StandIn) -> None:
    async with client(pbx.url, backoff_cap=0.5) as ari:
        dropping = asyncio.create_task(drop_all(pbx))
        await asyncio.sleep(0.5)
        dropping.cancel()
        await until(lambda: ari.ready)

    # 10, 20, 40 ... ms, each shortened by up to a half; hammering would be 50 and more.
    assert len(pbx.upgrades) < 12


async def drop_all(pbx: StandIn) -> None:
    while True:
        for each in pbx.sockets:
            each.transport.abort()
        await asyncio.sleep(0.001)


def test_back_off_is_quick_at_first_grows_and_is_capped() -> None:
    delays = AriClient(url="http://x", user="u", password="p", app="a")._delays()
    drawn = [next(delays) for _ in range(10)]

    for delay, full in zip(drawn, [0.05, 0.1, 0.2, 0.4, 0.8, 1, 1, 1, 1, 1], strict=True):
        assert full / 2 <= delay <= full


async def test_events_before_the_filter_come_after_connected(pbx: StandIn) -> None:
    pbx.greeting = [json.dumps(start_of(1)), json.dumps(start_of(2))]
    async with client(pbx.url) as ari:
        await pbx.say(start_of(3))
        await take(ari, Connected)

        assert [(await take(ari, StasisStart)).args for _ in range(3)] == [("1",), ("2",), ("3",)]


async def test_events_of_a_connection_that_never_got_ready_are_dropped(pbx: StandIn) -> None:
    pbx.greeting = [json.dumps(start_of(1))]
    pbx.answers["PUT applications/app/eventFilter"] = None
    opening = asyncio.create_task(enter(client(pbx.url, request_timeout=0.1)))
    await until(lambda: len(pbx.requests) == 1)
    pbx.greeting = []
    pbx.answers.clear()
    ari = await opening
    await take(ari, Connected)
    assert ari.backlog == 0
    await ari.__aexit__(None, None, None)


async def test_slow_consumer_does_not_block_the_read_loop(pbx: StandIn) -> None:
    async with client(pbx.url) as ari:
        for number in range(5_000):
            await pbx.say(start_of(number))
        # Nobody has taken an event yet; the answer comes through all the same.
        assert (await ari.request("GET", "x", within=PATIENCE)).status_code == 204
        assert ari.backlog == 5_001

        await take(ari, Connected)
        assert [(await take(ari, StasisStart)).args[0] for _ in range(5_000)] == [
            str(number) for number in range(5_000)
        ]


async def test_replaced_application_is_told(pbx: StandIn) -> None:
    async with client(pbx.url) as ari:
        await pbx.say(
            {
                "type": "ApplicationReplaced",
                "application": "app",
                "timestamp": "2026-11-21T19:33:05.120+0000",
            }
        )
        await take(ari, Connected)
        assert (await take(ari, ApplicationReplaced)).application == "app"
        # What to do about it is the application's matter.
        assert ari.ready


async def test_garbage_is_skipped_and_its_contents_never_logged(
    pbx: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    garbage: list[str | bytes] = [
        "",
        CALLER,
        f'{{"type":"StasisStart","args":"{CALLER}"}}',
        f'["{CALLER}',
        b"\xff" + CALLER.encode(),
        json.dumps(reply("999", 400, CALLER)),
    ]
    async with client(pbx.url) as ari:
        for frame in garbage:
            await pbx.say(frame)
        await pbx.say({"type": "Later"})
        await pbx.say(start_of(1))
        await take(ari, Connected)
        assert await take(ari, UnknownEvent) == UnknownEvent(type="Later")
        await take(ari, StasisStart)
        pbx.answers["GET x"] = None
        with pytest.raises(AriTimeout):
            await ari.request("GET", "x", query={"number": CALLER}, within=0.01)
        assert len(pbx.sockets) == 1

    ours = [r for r in caplog.records if r.name.startswith("agi_router")]
    said = json.dumps([str(r.__dict__) for r in ours]) + "".join(
        # The server's own side logs frames, as our side must not.
        r.getMessage()
        for r in caplog.records
        if r.name != "websockets.server"
    )

    assert Counter(r.getMessage() for r in ours) == {
        "ari_connected": 1,
        "ari_bad_frame": 5,
        "ari_answer_unmatched": 1,
    }
    assert CALLER not in said
    assert PASSWORD not in said


async def test_silent_peer_is_noticed_by_ping(pbx: StandIn) -> None:
    async with client(pbx.url, request_timeout=60, ping_interval=0.1, ping_timeout=1) as ari:
        # From here on the peer takes everything and says nothing, as behind a cut line.
        pbx.socket.transport.pause_reading()
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(AriUnavailable, match="no answer to a ping"):
                await ari.request("GET", "x")
        await take(ari, Connected)
        assert await take(ari, Disconnected) == Disconnected(reason="no answer to a ping")
        await take(ari, Connected)


class LatePongs:
    """A peer in a thread of its own, which a loop that stands does not stop."""

    def __init__(self) -> None:
        self.pongs = 0
        self.looked_at, self.sent, self.again = (threading.Event() for _ in range(3))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"ws://127.0.0.1:{self._listener.getsockname()[1]}/"

    def _serve(self) -> None:
        peer = ServerProtocol(subprotocols=[Subprotocol("ari")])
        connection, _ = self._listener.accept()
        with connection, self._at_end():
            while data := connection.recv(65_536):
                peer.receive_data(data)
                for event in peer.events_received():
                    if isinstance(event, Upgrade):
                        peer.send_response(peer.accept(event))
                    elif isinstance(event, Frame) and event.opcode is Opcode.PING:
                        [pong] = peer.data_to_send()
                        # Something else first, and the pong when that is being looked at.
                        peer.send_text(b"{}")
                        connection.sendall(b"".join(peer.data_to_send()))
                        self.looked_at.wait(PATIENCE)
                        connection.sendall(pong)
                        self.pongs += 1
                        (self.again if self.sent.is_set() else self.sent).set()
                connection.sendall(b"".join(peer.data_to_send()))

    @contextmanager
    def _at_end(self) -> Iterator[None]:
        try:
            yield
        finally:
            self.again.set()

    def close(self) -> None:
        """End it, once whoever has connected has gone."""
        self._thread.join(PATIENCE)
        self._listener.close()


async def test_a_loop_that_stands_gives_nobody_up_whose_pong_has_come() -> None:
    """As when the process was frozen: its timers come due before it has read anything."""
    peer = LatePongs()
    wait = 0.2

    def receive(_: bytes) -> None:
        if peer.pongs == 0:
            peer.looked_at.set()
            assert peer.sent.wait(PATIENCE)
            began = time.monotonic()
            while time.monotonic() - began < 1.5 * wait:
                pass

    end = await WebSocket.open(
        peer.url,
        subprotocol="ari",
        headers={},
        receive=receive,
        message_max=1000,
        open_timeout=PATIENCE,
        ping_interval=0.05,
        ping_timeout=wait,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            # Once it has answered again, the first one was read; else there is no second one.
            await asyncio.to_thread(peer.again.wait, PATIENCE)
        assert not end.lost.done(), end.lost.result()
    finally:
        end.abort()
        await end.lost
        peer.close()


async def test_defaults_notice_a_silent_cut_within_three_seconds() -> None:
    ari = AriClient(url="http://x", user="u", password="p", app="a")

    assert ari._ping_interval + ari._ping_timeout + 0.2 < 3
    # Asterisk answers no ping while a request runs.
    assert ari._ping_timeout > ari._request_timeout


async def test_close_code_of_the_peer_is_told(pbx: StandIn) -> None:
    async with client(pbx.url) as ari:
        await pbx.socket.close(1011, CALLER)
        await take(ari, Connected)
        assert await take(ari, Disconnected) == Disconnected(reason="closed by Asterisk (1011)")


async def test_closing_ends_iteration_and_fails_what_waits(pbx: StandIn) -> None:
    pbx.answers["GET slow"] = None
    async with client(pbx.url) as ari:
        asked = asyncio.create_task(ari.request("GET", "slow"))
        await until(lambda: len(pbx.requests) == 2)

    with pytest.raises(AriUnavailable, match="closed by us"):
        await asked
    assert [event async for event in ari] == [Connected(first=True)]
    assert [event async for event in ari] == []
    assert not ari.ready
    with pytest.raises(RuntimeError):
        await ari.__aenter__()


async def test_cancelled_request_leaves_nothing_behind(pbx: StandIn) -> None:
    pbx.answers["GET slow"] = None
    async with client(pbx.url) as ari:
        asked = asyncio.create_task(ari.request("GET", "slow"))
        await until(lambda: len(pbx.requests) == 2)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert not ari._pending
        await ari.request("GET", "x")


async def test_cancelled_connect_leaves_nothing_behind(pbx: StandIn) -> None:
    pbx.answers["PUT applications/app/eventFilter"] = None
    opening = asyncio.create_task(enter(client(pbx.url, request_timeout=60)))
    await until(lambda: len(pbx.requests) == 1)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await until(lambda: pbx.socket.state == 3)


async def test_defect_of_the_client_is_not_a_quiet_end(
    pbx: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_frame: bytes) -> Response:
        raise ZeroDivisionError

    async with client(pbx.url) as ari:
        monkeypatch.setattr("agi_router.ari.wire.decode", broken)
        await pbx.say({"type": "Something"})
        await take(ari, Connected)
        with pytest.raises(ZeroDivisionError):
            await anext(ari)
        with pytest.raises(AriUnavailable):
            await ari.request("GET", "x")


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "127.0.0.1:8088"},
        {"url": "ftp://x"},
        {"url": "http://"},
        {"url": "http://user:secret@x"},
        {"url": "http://x/?api_key=a:b"},
        {"app": "a,b"},
        {"app": ""},
        {"app": "a&subscribeAll=true"},
        {"user": ""},
        {"user": "a:b"},
        {"request_timeout": 0},
        {"backoff_cap": -1},
    ],
)
def test_arguments_that_make_no_sense_are_refused(changes: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"url": "http://x", "user": "u", "password": "p", "app": "a"}

    with pytest.raises(ValueError, match=r"^(url|app|user|time-outs)") as caught:
        AriClient(**(settings | changes))
    assert "secret" not in str(caught.value)


def test_repr_hides_the_login() -> None:
    ari = AriClient(url="https://x:1/p", user="router", password="secret", app="a")

    assert repr(ari) == "AriClient(address='wss://x:1/p/ari/events?app=a', ready=False)"


def test_all_errors_have_one_root() -> None:
    for error in (AriUnavailable, AriUnauthorized, AriTimeout, AriRefused, WireError):
        assert issubclass(error, AriError)
    assert issubclass(AriUnauthorized, AriUnavailable)

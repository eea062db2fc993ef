"""
A stand-in for Asterisk: ARI events, and answers to what a router asks, as cheap as can be.

What is measured with it is the router and its database. It keeps a number of calls waiting for
their decision, as many at each moment: whenever one goes on in the dialplan, the next one comes.
"""

import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from select import select
from types import TracebackType
from typing import Any, Self

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from agi_router.calls.arrival import Call
from harness.identities import told

from .errors import BenchError

__all__ = ["Crowd", "StandIn"]

_PATIENCE = 20.0
_SIZE = 1 << 18
_MASKED = "agi-router-dial"
_ANSWERS: dict[str, Any] = {
    "asterisk/info": {
        "system": {"version": "22", "entity_id": "00:00:00:00:00:00"},
        "config": {"name": "bench"},
        "status": {"startup_time": "2026-01-01T00:00:00.000+0000"},
    },
    "asterisk/variable": {"value": ""},
    "asterisk/config/dynamic/res_pjsip/endpoint/carrier-in": [
        {"attribute": "context", "value": "agi-router-in"}
    ],
    "asterisk/modules": [],
    "asterisk/logging": [],
}
# What ends a router's look at the profile, and what it asks for last when it starts.
_PROFILE_ENDS = "asterisk/logging"
_LAST = "asterisk/info"
_ENDPOINTS = b'[{"technology":"PJSIP","resource":"carrier-in","state":"online","channel_ids":[]}]'


def caller_by_header(call: Call) -> str:
    """What the shipped dialplan tells of a caller whom the carrier asserts."""
    return told(asserted=[f"<sip:+86{call.caller.digits}@ims.invalid>"])


@dataclass(slots=True)
class Crowd:
    """
    What became of the calls of one measurement.

    Attributes:
        seconds: How long it took.
        waits: How long each call waited for its decision, in milliseconds.
    """

    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)


class StandIn:
    """
    A WebSocket server for one router at a time, without threads: it works while it is asked to.

    Args:
        calls: Who calls what; taken in turn, for ever.
        node: Its name, with which the ids of its calls begin.
        caller: What its dialplan tells of who calls.
    """

    def __init__(
        self,
        calls: Iterator[Call],
        *,
        node: str = "bench",
        caller: Callable[[Call], str] = caller_by_header,
    ) -> None:
        self._calls = calls
        self._node = node
        self._caller = caller
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_PATIENCE)
        self._line: socket.socket | None = None
        self._protocol: ServerProtocol | None = None
        self._begun: dict[str, float] = {}
        self._profiled = False
        self._serial = 0
        self._left = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()
        self._listener.close()

    @property
    def url(self) -> str:
        """Where the router finds it."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def meet(self, others: Sequence[Self] = ()) -> None:
        """
        Wait for a router, and answer it until it is ready for calls.

        Args:
            others: Whose routers are answered meanwhile: one that is not leaves.

        Raises:
            BenchError: None came, or it asked for something unheard of.
        """
        ready = False
        while not ready:
            lines = {each._line: each for each in (*others, self) if each._line is not None}
            asking, _, _ = select([self._listener, *lines], [], [], _PATIENCE)
            if not asking:
                raise BenchError("the router did not connect")
            for line in asking:
                if line is self._line and not line.recv(1, socket.MSG_PEEK):
                    # It has looked whether another router serves.
                    self.leave()
                elif line is not self._listener:
                    ready |= lines[line]._read(Crowd()) and lines[line] is self
                elif self._line is None:
                    self._accept()
                else:
                    self._list_endpoints()

    def _accept(self) -> None:
        self._line, _ = self._listener.accept()
        self._line.settimeout(_PATIENCE)
        self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._protocol = ServerProtocol(subprotocols=[Subprotocol("ari")])

    def _list_endpoints(self) -> None:
        """Answer the question for all endpoints, which comes over a connection of its own."""
        asker, _ = self._listener.accept()
        with asker:
            asker.recv(_SIZE)
            asker.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(_ENDPOINTS), _ENDPOINTS)
            )

    def leave(self) -> None:
        """Hang up on the router."""
        if self._line is not None:
            self._line.close()
            self._line = None
        self._begun.clear()

    def call(self, *, waiting: int, seconds: float) -> Crowd:
        """
        Let calls come for a time, then wait for the decisions on the last of them.

        Args:
            waiting: How many wait at once.
            seconds: How long.

        Raises:
            BenchError: A call was refused, or the router is gone.
        """
        crowd = Crowd()
        began = time.monotonic()
        self._left = waiting
        while self._left or self._begun:
            for _ in range(self._left):
                self._arrive()
            self._left = 0
            self._flush()
            self._read(crowd)
            if time.monotonic() - began >= seconds:
                self._left = 0
        crowd.seconds = time.monotonic() - began
        return crowd

    def call_once(self, crowd: Crowd) -> None:
        """
        Let one call come, and wait for the decision on it.

        Raises:
            BenchError: It was refused, or the router is gone.
        """
        self._arrive()
        self._flush()
        while self._begun:
            self._read(crowd)

    def _arrive(self) -> None:
        """Let one call enter the application."""
        assert self._protocol is not None
        call = next(self._calls)
        self._serial += 1
        now = datetime.now(UTC)
        call_id = f"{self._node}-{int(now.timestamp())}.{self._serial}"
        args = [str(call.x_number.value), self._caller(call)]
        at = f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}+0000"
        event = {
            "type": "StasisStart",
            "timestamp": at,
            "args": args,
            "channel": {
                "id": call_id,
                "name": f"PJSIP/carrier-in-{self._serial:08x}",
                "state": "Ring",
                "protocol_id": call_id,
                "caller": {"name": "", "number": call.caller.digits},
                "connected": {"name": "", "number": ""},
                "accountcode": "",
                "dialplan": {
                    "context": "agi-router-in",
                    "exten": str(call.x_number.value),
                    "priority": 7,
                    "app_name": "Stasis",
                    "app_data": ",".join(["agi_router", *args]),
                },
                "creationtime": at,
                "language": "en",
            },
            "asterisk_id": "00:00:00:00:00:00",
            "application": "agi_router",
        }
        self._begun[call_id] = time.perf_counter()
        self._protocol.send_text(json.dumps(event).encode())

    def _read(self, crowd: Crowd) -> bool:
        """Take what the router says and answer it; returns whether it is ready for calls now."""
        assert self._line is not None
        assert self._protocol is not None
        try:
            data = self._line.recv(_SIZE)
        except TimeoutError:
            raise BenchError("the router says nothing") from None
        if not data:
            raise BenchError("the router is gone")
        self._protocol.receive_data(data)
        ready = False
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._protocol.send_response(self._protocol.accept(event))
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                request = json.loads(bytes(event.data))
                self._answer(request, crowd)
                self._profiled |= request["uri"] == _PROFILE_ENDS
                ready |= self._profiled and request["uri"] == _LAST
        self._flush()
        return ready

    def _answer(self, request: dict[str, Any], crowd: Crowd) -> None:
        assert self._protocol is not None
        uri = request["uri"]
        status, body = HTTPStatus.NO_CONTENT, None
        if uri.endswith("/continue"):
            self._note(request, crowd)
        elif uri in _ANSWERS:
            status, body = HTTPStatus.OK, json.dumps(_ANSWERS[uri])
        elif not uri.endswith("/eventFilter"):
            status, body = HTTPStatus.NOT_FOUND, "{}"
        answer = {
            "type": "RESTResponse",
            "request_id": request["request_id"],
            "status_code": status.value,
            "reason_phrase": status.phrase,
            "uri": uri,
        }
        if body is not None:
            answer["message_body"] = body
        self._protocol.send_text(json.dumps(answer).encode())

    def _note(self, request: dict[str, Any], crowd: Crowd) -> None:
        """Note where a call goes on."""
        begun = self._begun.pop(request["uri"].split("/")[1])
        crowd.waits.append(1000 * (time.perf_counter() - begun))
        self._left += 1
        if {"name": "context", "value": _MASKED} not in request["query_strings"]:
            raise BenchError("a call was not routed")

    def _flush(self) -> None:
        assert self._line is not None
        assert self._protocol is not None
        if data := b"".join(self._protocol.data_to_send()):
            self._line.sendall(data)

"""The words on the ARI WebSocket: what is read, what is written, what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from agi_router.ari import wire
from agi_router.ari.errors import AriRefused, AriTimeout, WireError
from agi_router.ari.wire import (
    ApplicationReplaced,
    AsteriskInfo,
    Channel,
    ChannelDestroyed,
    Response,
    StasisEnd,
    StasisStart,
    UnknownEvent,
)

CALLER = "13912345678"
NAME = "Zhang San"

# As Asterisk 22.10.1 sent them.
CHANNEL: dict[str, Any] = {
    "id": "aridev-1795289585.1",
    "name": "Local/700123456789012@in-00000000;2",
    "state": "Ring",
    "protocol_id": "",
    "caller": {"name": NAME, "number": CALLER},
    "connected": {"name": "", "number": ""},
    "accountcode": "",
    "dialplan": {
        "context": "in",
        "exten": "700123456789012",
        "priority": 2,
        "app_name": "Stasis",
        "app_data": "agi_router,700123456789012,in",
    },
    "creationtime": "2026-11-21T19:33:05.120+0000",
    "language": "en",
}
COMMON = {
    "timestamp": "2026-11-21T19:33:05.120+0000",
    "asterisk_id": "02:fc:00:00:00:01",
    "application": "agi_router",
}
START = {"type": "StasisStart", "args": ["700123456789012", "in"], "channel": CHANNEL, **COMMON}
END = {"type": "StasisEnd", "channel": CHANNEL, **COMMON}
DESTROYED = {
    "type": "ChannelDestroyed",
    "cause": 21,
    "cause_txt": "Call Rejected",
    "channel": CHANNEL,
    **COMMON,
}
REPLACED = {"type": "ApplicationReplaced", **COMMON}
ANSWER = {
    "type": "RESTResponse",
    "transaction_id": "t5",
    "request_id": "5",
    "status_code": 404,
    "reason_phrase": "Not Found",
    "uri": "channels/nope.1/continue",
    "content_type": "application/json",
    "message_body": '{"message":"Channel not found"}',
    **COMMON,
}
NO_CONTENT = {
    "type": "RESTResponse",
    "transaction_id": "t8",
    "request_id": "8",
    "status_code": 204,
    "reason_phrase": "No Content",
    "uri": "channels/aridev-1795289585.1/continue",
    **COMMON,
}
INFO = {
    "build": {"os": "Linux"},
    "system": {"version": "22.10.1+dfsg", "entity_id": "02:fc:00:00:00:01"},
    "config": {"name": "aridev", "default_language": "en"},
    "status": {"startup_time": "2026-11-21T19:32:28.701+0000"},
}

WHEN = datetime(2026, 11, 21, 19, 33, 5, 120_000, tzinfo=UTC)
A_CHANNEL = Channel(
    id="aridev-1795289585.1",
    name="Local/700123456789012@in-00000000;2",
    state="Ring",
    protocol_id="",
    caller_number=CALLER,
    caller_name=NAME,
    context="in",
    exten="700123456789012",
    app_name="Stasis",
    app_data="agi_router,700123456789012,in",
    creationtime=WHEN,
)


def without(message: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name != key}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            START,
            StasisStart(
                application="agi_router",
                asterisk_id="02:fc:00:00:00:01",
                timestamp=WHEN,
                args=("700123456789012", "in"),
                channel=A_CHANNEL,
            ),
        ),
        (
            END,
            StasisEnd(
                application="agi_router",
                asterisk_id="02:fc:00:00:00:01",
                timestamp=WHEN,
                channel=A_CHANNEL,
            ),
        ),
        (
            DESTROYED,
            ChannelDestroyed(
                application="agi_router",
                asterisk_id="02:fc:00:00:00:01",
                timestamp=WHEN,
                cause=21,
                cause_txt="Call Rejected",
                channel=A_CHANNEL,
            ),
        ),
        (
            REPLACED,
            ApplicationReplaced(
                application="agi_router", asterisk_id="02:fc:00:00:00:01", timestamp=WHEN
            ),
        ),
        # asterisk_id is the one common field the API calls optional.
        (
            without(REPLACED, "asterisk_id"),
            ApplicationReplaced(application="agi_router", asterisk_id="", timestamp=WHEN),
        ),
        (
            ANSWER,
            Response(
                request_id="5",
                status_code=404,
                reason_phrase="Not Found",
                body='{"message":"Channel not found"}',
            ),
        ),
        # No body with 204.
        (
            NO_CONTENT,
            Response(request_id="8", status_code=204, reason_phrase="No Content", body=""),
        ),
        # Of an event we do not know, the shape does not matter.
        ({"type": "ChannelVarset", "value": None}, UnknownEvent(type="ChannelVarset")),
    ],
)
def test_frames_are_read(message: dict[str, Any], expected: object) -> None:
    text = json.dumps(message)

    assert expected == wire.decode(text)
    assert expected == wire.decode(text.encode())


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "null",
        "[]",
        '"StasisStart"',
        "{}",
        '{"type": 1}',
        b"\xff",
        b'{"type":"\xff"}',
        # What UTF-16 would look like to a guesser.
        '{"type":"StasisStart"}'.encode("utf-16"),
        # Deeper than Python recurses, and longer than it converts.
        "[" * 100_000,
        "1" * 10_000,
        json.dumps(without(START, "channel")),
        json.dumps(without(START, "args")),
        json.dumps(START | {"args": "700"}),
        json.dumps(START | {"args": [700]}),
        json.dumps(START | {"channel": [CHANNEL]}),
        json.dumps(START | {"channel": without(CHANNEL, "caller")}),
        json.dumps(START | {"channel": CHANNEL | {"caller": {"name": "", "number": 139}}}),
        json.dumps(START | {"channel": CHANNEL | {"dialplan": None}}),
        json.dumps(START | {"timestamp": "yesterday"}),
        # Without a zone it is no moment.
        json.dumps(START | {"timestamp": "2026-11-21T19:33:05.120"}),
        json.dumps(START | {"asterisk_id": None}),
        json.dumps(DESTROYED | {"cause": "21"}),
        json.dumps(DESTROYED | {"cause": True}),
        json.dumps(ANSWER | {"request_id": 5}),
        json.dumps(ANSWER | {"status_code": 404.0}),
        json.dumps(ANSWER | {"message_body": {}}),
    ],
)
def test_malformed_frames_are_a_wire_error(frame: str | bytes) -> None:
    with pytest.raises(WireError):
        wire.decode(frame)


def test_wire_errors_name_the_field_and_not_its_value() -> None:
    with pytest.raises(WireError) as caught:
        wire.decode(json.dumps(START | {"timestamp": CALLER}))

    assert str(caught.value) == "timestamp: not a time"
    assert caught.value.__suppress_context__


def test_no_repr_shows_a_number_or_a_name() -> None:
    dialled = CHANNEL | {"dialplan": CHANNEL["dialplan"] | {"exten": CALLER, "app_data": CALLER}}
    start = wire.decode(json.dumps(START | {"args": [CALLER], "channel": dialled}))
    answer = wire.decode(json.dumps(ANSWER | {"message_body": CALLER}))

    for shown in (repr(start), repr(answer), str(start)):
        assert CALLER not in shown
        assert NAME not in shown
    assert "caller_number='*********78'" in repr(start)


@pytest.mark.parametrize(
    ("number", "shown"),
    [("", ""), ("110", "***"), ("123456", "******"), ("1234567", "*****67")],
)
def test_caller_is_masked(number: str, shown: str) -> None:
    start = wire.decode(json.dumps(START | {"channel": CHANNEL | {"caller": caller(number)}}))

    assert f"caller_number={shown!r}" in repr(start)


def caller(number: str) -> dict[str, str]:
    return {"name": "", "number": number}


def test_answers_of_the_typed_operations_are_read() -> None:
    assert wire.decode_variable('{"value":"x"}') == "x"
    assert wire.decode_endpoints(
        '[{"technology":"PJSIP","resource":"in","state":"online"},{"resource":"out"}]'
    ) == {"in": "online", "out": "unknown"}
    assert wire.decode_modules(
        '[{"name":"a.so","status":"Running"},{"name":"b.so","status":"Not Running"}]'
    ) == {"a.so"}
    assert wire.decode_log_channels(
        '[{"channel":"/a","status":"Enabled","configuration":"NOTICE ERROR "},'
        '{"channel":"/b","status":"Disabled","configuration":"DEBUG "}]'
    ) == {"/a": {"NOTICE", "ERROR"}}
    assert wire.decode_object(
        '[{"attribute":"a","value":""},{"attribute":"b","value":"1"},{"attribute":"b","value":"2"}]'
    ) == {"a": "", "b": "2"}
    assert wire.decode_info(json.dumps(INFO)) == AsteriskInfo(
        version="22.10.1+dfsg",
        entity_id="02:fc:00:00:00:01",
        system_name="aridev",
        startup_time=datetime(2026, 11, 21, 19, 32, 28, 701_000, tzinfo=UTC),
    )


@pytest.mark.parametrize("key", ["system", "config", "status"])
def test_incomplete_info_is_a_wire_error(key: str) -> None:
    with pytest.raises(WireError, match=key):
        wire.decode_info(json.dumps(without(INFO, key)))


def test_a_request_with_parameters() -> None:
    frame = wire.encode_request(
        request_id="1042",
        method="POST",
        uri=wire.path("channels", "1741988825.0", "continue"),
        query={"context": "agi-router-dial", "priority": "1"},
    )

    assert json.loads(frame) == {
        "type": "RESTRequest",
        "request_id": "1042",
        "method": "POST",
        "uri": "channels/1741988825.0/continue",
        "query_strings": [
            {"name": "context", "value": "agi-router-dial"},
            {"name": "priority", "value": "1"},
        ],
    }


def test_a_request_with_a_body() -> None:
    body = {"value": "中"}
    frame = wire.encode_request(request_id="1", method="PUT", uri="a/b", body=body)
    message = json.loads(frame)

    # The body is a string with JSON in it, not JSON.
    assert body == json.loads(message.pop("message_body"))
    assert message == {
        "type": "RESTRequest",
        "request_id": "1",
        "method": "PUT",
        "uri": "a/b",
        "content_type": "application/json",
    }


def test_path_segments_are_percent_encoded() -> None:
    assert wire.path("channels", "a/b c%?&=;中") == "channels/a%2Fb%20c%25%3F%26%3D%3B%E4%B8%AD"


@pytest.mark.parametrize("segments", [("",), ("a", ""), ("\ud800",)])
def test_impossible_segments_are_refused(segments: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="path"):
        wire.path(*segments)


@pytest.mark.parametrize(
    "changes",
    [
        {"request_id": ""},
        # A number counts as no id, and its answer would meet nobody.
        {"request_id": 7},
        {"method": "get"},
        {"method": "PATCH"},
        {"uri": ""},
        {"uri": "/channels"},
        {"uri": "channels/"},
        {"uri": "a//b"},
        {"uri": "ari/channels"},
        {"uri": "channels?api_key=x"},
        {"uri": "channels#x"},
        {"uri": "a b"},
        {"uri": "a%2"},
        {"uri": "a\n"},
        {"uri": "中"},
        {"uri": "channels/a%00b"},
        {"query": {"priority": 1}},
        {"query": {"priority": None}},
        {"query": {"": "x"}},
        {"query": {"x": "\ud800"}},
        {"query": {"x": "a\0b"}},
        {"body": {"x": float("nan")}},
        {"body": {"x": "\0"}},
        {"body": {"x": object()}},
        {"query": {"x": "y"}, "body": {}},
    ],
)
def test_requests_that_asterisk_would_log_are_refused(changes: dict[str, Any]) -> None:
    request: dict[str, Any] = {"request_id": "1", "method": "GET", "uri": "a/b"}

    with pytest.raises(ValueError, match=r"^(request|method|uri|query|request_id)\b"):
        wire.encode_request(**(request | changes))


def test_a_frame_with_its_header_has_at_most_65535_bytes() -> None:
    def frame(text: str) -> str:
        return wire.encode_request(request_id="1", method="GET", uri="a", query={"x": text})

    room = wire.FRAME_MAX - len(frame(""))

    assert len(frame("x" * room)) == wire.FRAME_MAX == 65_535 - 8
    with pytest.raises(ValueError, match="65527"):
        frame("x" * (room + 1))
    # Bytes, not characters.
    with pytest.raises(ValueError, match="65527"):
        frame("中" * (room // 2))


def test_refusals_do_not_repeat_the_value() -> None:
    bad: list[dict[str, Any]] = [
        {"uri": f"/{CALLER}"},
        {"query": {"x": int(CALLER)}},
        {"query": {"x": f"{CALLER}\0"}},
        {"query": {"x": f"{CALLER}\ud800"}},
        {"query": {"x": CALLER * 10_000}},
    ]
    for changes in bad:
        with pytest.raises(ValueError, match=r"\w") as caught:
            wire.encode_request(**({"request_id": "1", "method": "GET", "uri": "a"} | changes))

        assert CALLER not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("", False),
        ("x", True),
        ("1" * 79, True),
        ("1" * 80, False),
        # 27 characters of three bytes each are 81.
        ("中" * 26, True),
        ("中" * 27, False),
        ("\ud800" * 27, False),
    ],
)
def test_extensions_that_asterisk_would_cut_are_refused(text: str, fits: bool) -> None:  # noqa: FBT001
    if fits:
        wire.require_extension("extension", text)
    else:
        with pytest.raises(ValueError, match="extension") as caught:
            wire.require_extension("extension", text)
        assert not text or text not in str(caught.value)


def test_the_filter_always_lets_answers_through() -> None:
    assert wire.event_filter(["StasisStart", "RESTResponse"]) == {
        "allowed": [
            {"type": "RESTResponse"},
            {"type": "ApplicationReplaced"},
            {"type": "StasisStart"},
        ]
    }


def test_errors_cut_the_query_off() -> None:
    error = AriRefused(404, "Not Found", f"channels/1.2/continue?extension={CALLER}")

    assert str(error) == "404 Not Found: channels/1.2/continue"
    assert CALLER not in repr(error)
    assert str(AriTimeout("GET", "channels")) == "no answer in time to GET channels"

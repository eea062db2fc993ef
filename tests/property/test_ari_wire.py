"""Whatever arrives on the ARI WebSocket, it is a value or a WireError."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_router.ari import wire
from agi_router.ari.errors import WireError

CHANNEL: dict[str, Any] = {
    "id": "pbx1-1795289585.1",
    "name": "PJSIP/carrier-in-00000000",
    "state": "Ring",
    "caller": {"name": "Zhang San", "number": "13912345678"},
    "dialplan": {
        "context": "in",
        "exten": "700123456789012",
        "priority": 2,
        "app_name": "Stasis",
        "app_data": "agi_router,700123456789012",
    },
    "creationtime": "2026-11-21T19:33:05.120+0000",
}
COMMON = {
    "timestamp": "2026-11-21T19:33:05.120+0000",
    "asterisk_id": "02:fc:00:00:00:01",
    "application": "agi_router",
}
FRAMES: list[dict[str, Any]] = [
    {"type": "StasisStart", "args": ["700123456789012"], "channel": CHANNEL, **COMMON},
    {"type": "StasisEnd", "channel": CHANNEL, **COMMON},
    {"type": "ChannelDestroyed", "cause": 16, "cause_txt": "", "channel": CHANNEL, **COMMON},
    {"type": "ApplicationReplaced", **COMMON},
    {
        "type": "RESTResponse",
        "request_id": "5",
        "status_code": 200,
        "reason_phrase": "OK",
        "message_body": "[]",
        **COMMON,
    },
]
BODIES: list[Any] = [
    {"value": ""},
    {
        "system": {"version": "22.10.1", "entity_id": "02:fc:00:00:00:01"},
        "config": {"name": "pbx1"},
        "status": {"startup_time": "2026-11-21T19:32:28.701+0000"},
    },
    [{"technology": "PJSIP", "resource": "carrier-in", "state": "offline", "channel_ids": []}],
    [{"name": "app_dial.so", "use_count": 0, "status": "Running"}],
    [{"channel": "/log", "type": "File", "status": "Enabled", "configuration": "ERROR "}],
    [{"attribute": "send_pai", "value": "false"}],
]
READERS: list[Callable[[str], object]] = [
    wire.decode_endpoints,
    wire.decode_info,
    wire.decode_log_channels,
    wire.decode_modules,
    wire.decode_object,
    wire.decode_variable,
]
# Lone surrogates and NULs included.
texts = st.text(st.characters())
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)


def read(frame: str | bytes) -> None:
    """Read *frame* by every reader; anything but a value or a WireError fails the test."""
    with suppress(WireError):
        message = wire.decode(frame)
        hash(message)
        repr(message)
    if isinstance(frame, str):
        for reader in READERS:
            with suppress(WireError):
                repr(reader(frame))


def places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the places in a JSON value, as keys and indexes."""
    found = [here]
    inside: dict[Any, Any] = value if isinstance(value, dict) else {}
    if isinstance(value, list):
        inside = dict(enumerate(value))
    for key, inner in inside.items():
        found += places(inner, (*here, key))
    return found


def put(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    """Copy a JSON value with another value at *place*; an absent one if *new* is Ellipsis."""
    if not place:
        return new
    key, *rest = place
    copy = value.copy()
    if not rest and new is ...:
        del copy[key]
    else:
        copy[key] = put(value[key], tuple(rest), new)
    return copy


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Draw the text of a real frame or body with up to three places spoilt."""
    value = draw(st.sampled_from(FRAMES + BODIES))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(places(value)[1:] or [()]))
        value = put(value, place, draw(values | st.just(...) if place else values))
    return json.dumps(value)


@given(texts)
def test_any_text(text: str) -> None:
    read(text)


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    read(data)


@given(values)
def test_any_json(value: Any) -> None:
    read(json.dumps(value))


@given(st.sampled_from([frame["type"] for frame in FRAMES]), values)
def test_any_json_of_a_known_type(kind: str, value: Any) -> None:
    read(json.dumps({"type": kind, "channel": value, "args": value, "status_code": value}))


@given(mutated())
def test_mutated_frames(text: str) -> None:
    read(text)


@given(st.sampled_from(FRAMES), st.data())
def test_cut_and_spoilt_frames(frame: dict[str, Any], data: st.DataObject) -> None:
    raw = json.dumps(frame).encode()
    at = data.draw(st.integers(0, len(raw)))

    read(raw[:at])
    read(raw[:at] + data.draw(st.binary(max_size=3)) + raw[at + 1 :])


@given(texts)
def test_paths_always_fit_a_request(segment: str) -> None:
    """What path() makes, encode_request() takes, and it is one segment; or both refuse."""
    try:
        uri = wire.path("channels", segment)
        frame = wire.encode_request(request_id="1", method="GET", uri=uri)
    except ValueError as error:
        assert segment == "" or "\0" in segment or has_surrogate(segment), error  # noqa: PT017
    else:
        assert json.loads(frame)["uri"].count("/") == 1


def has_surrogate(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)


@given(st.dictionaries(texts, values), st.none() | values)
def test_requests_are_written_or_refused(query: dict[str, Any], body: Any) -> None:
    """A request is one frame that Asterisk reads, or a ValueError."""
    try:
        frame = wire.encode_request(request_id="1", method="POST", uri="a", query=query, body=body)
    except ValueError:
        return
    message = json.loads(frame.encode())

    assert len(frame.encode()) <= wire.FRAME_MAX
    assert query == {item["name"]: item["value"] for item in message.get("query_strings", [])}
    if body is not None:
        assert json.loads(message["message_body"]) == body


@pytest.mark.parametrize("frame", FRAMES)
def test_the_frames_mutated_here_are_good(frame: dict[str, Any]) -> None:
    assert wire.decode(json.dumps(frame))

"""
The words on the ARI WebSocket: JSON text to typed values, requests to JSON text.

Rules for the next editor:

1. Pure: no sockets, no clock, no logging.
2. Whatever Asterisk sends, :func:`decode` and the ``decode_*`` functions return a value or raise
   :exc:`WireError`. Nothing else, whatever the bytes.
3. A request which Asterisk would answer with 400 must be refused here, by :exc:`ValueError`:
   Asterisk writes the whole text of such a request, numbers included, into its log
   (ari_websocket_requests.c).
4. No error message and no ``repr`` holds a value that could be a person's number or name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias
from urllib.parse import quote

from .errors import WireError

__all__ = [
    "EXTENSION_MAX",
    "FRAME_MAX",
    "ApplicationReplaced",
    "AsteriskInfo",
    "Channel",
    "ChannelDestroyed",
    "Event",
    "Response",
    "StasisEnd",
    "StasisStart",
    "UnknownEvent",
    "UserEvent",
    "decode",
    "decode_endpoints",
    "decode_info",
    "decode_log_channels",
    "decode_modules",
    "decode_object",
    "decode_variable",
    "encode_request",
    "event_filter",
    "path",
    "require_extension",
]

FRAME_MAX: Final = 65_527
"""
Longest text, in bytes, that Asterisk reads from a client; a longer one costs the connection.

Asterisk 22.10.1 takes 65,535 bytes with the header and mask of the frame, which are 8 here
(res_http_websocket.c; measured).
"""

EXTENSION_MAX: Final = 79
"""Longest extension or context, in bytes; Asterisk silently cuts a longer one (control.c)."""

_write = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_read = json.JSONDecoder().decode

# Shorter than this, two digits would tell too much.
_MASKABLE: Final = 7

_METHODS: Final = frozenset({"GET", "POST", "PUT", "DELETE"})

# What urllib's quote() leaves or makes: a path without query, empty segments or stray "%".
_PATH: Final = re.compile(
    r"(?:[\w.~-]|%[0-9A-Fa-f]{2})+(?:/(?:[\w.~-]|%[0-9A-Fa-f]{2})+)*", re.ASCII
)

# What quote() leaves as it is: nearly every segment.
_UNRESERVED: Final = re.compile(r"[\w.~-]+", re.ASCII)

# Answers go through the same filter as events: without RESTResponse they are dropped without a
# word (app.c). So does ApplicationReplaced, and whoever misses it does not know that it is deaf.
_ALWAYS_ALLOWED: Final = ("RESTResponse", "ApplicationReplaced")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Channel:
    """
    A channel as Asterisk saw it when it wrote the message.

    Attributes:
        id: Asterisk's UNIQUEID, with the system name in front.
        name: Channel name; of a ``Local/`` channel it holds the dialled extension.
        state: ``Down``, ``Ring``, ``Up`` and so on.
        protocol_id: Of a SIP channel its Call-ID, which the caller may have written; else empty.
        caller_number: Real number of the caller, as the trunk gave it; may be empty.
        caller_name: Display name of the caller; may be empty.
        context: Dialplan context.
        exten: Dialplan extension; may hold a real number.
        app_name: Dialplan application which runs now, e.g. ``Stasis``; may be empty.
        app_data: Its arguments; may hold a real number.
        creationtime: When the channel was made, by Asterisk's clock; timezone-aware.
    """

    id: str
    name: str
    state: str
    protocol_id: str
    caller_number: str
    caller_name: str
    context: str
    exten: str
    app_name: str
    app_data: str
    creationtime: datetime

    def __repr__(self) -> str:
        """Show what a log may show: no name, no extension, two digits of the caller."""
        return (
            f"Channel(id={self.id!r}, state={self.state!r}, "
            f"caller_number={_mask(self.caller_number)!r}, context={self.context!r}, "
            f"app_name={self.app_name!r})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StasisStart:
    """
    A channel entered the application.

    Attributes:
        application: Name of the ARI application.
        asterisk_id: Entity id of the Asterisk; empty if it sends none.
        timestamp: When it happened, by Asterisk's clock; timezone-aware.
        args: Arguments of the dialplan's ``Stasis()``, without the application.
        channel: The channel.
    """

    application: str
    asterisk_id: str
    timestamp: datetime
    args: tuple[str, ...] = field(repr=False)
    channel: Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class StasisEnd:
    """
    A channel left the application.

    Attributes:
        application: Name of the ARI application.
        asterisk_id: Entity id of the Asterisk; empty if it sends none.
        timestamp: When it happened, by Asterisk's clock; timezone-aware.
        channel: The channel.
    """

    application: str
    asterisk_id: str
    timestamp: datetime
    channel: Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationReplaced:
    """
    Another connection took the application's name; this one hears nothing more.

    Attributes:
        application: Name of the ARI application.
        asterisk_id: Entity id of the Asterisk; empty if it sends none.
        timestamp: When it happened, by Asterisk's clock; timezone-aware.
    """

    application: str
    asterisk_id: str
    timestamp: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UserEvent:
    """
    Somebody raised an event of their own (``ChannelUserevent``).

    Attributes:
        application: Name of the ARI application.
        asterisk_id: Entity id of the Asterisk; empty if it sends none.
        timestamp: When it happened, by Asterisk's clock; timezone-aware.
        name: What it was called.
    """

    application: str
    asterisk_id: str
    timestamp: datetime
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelDestroyed:
    """
    A channel to which the application is subscribed is gone.

    Attributes:
        application: Name of the ARI application.
        asterisk_id: Entity id of the Asterisk; empty if it sends none.
        timestamp: When it happened, by Asterisk's clock; timezone-aware.
        cause: Q.850 cause.
        cause_txt: Asterisk's words for the cause.
        channel: The channel as it was last.
    """

    application: str
    asterisk_id: str
    timestamp: datetime
    cause: int
    cause_txt: str
    channel: Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent:
    """
    An event this client has no type for; everything but its type is dropped.

    Attributes:
        type: Asterisk's name of the event.
    """

    type: str


Event: TypeAlias = (
    StasisStart | StasisEnd | ApplicationReplaced | ChannelDestroyed | UserEvent | UnknownEvent
)
"""Any event that Asterisk sends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """
    The answer to one request.

    Attributes:
        request_id: What the request carried; empty if Asterisk could not read the request.
        status_code: HTTP status.
        reason_phrase: HTTP reason phrase.
        body: The body as sent, usually JSON text; empty with 204. Not in the ``repr``, because
            channels have numbers in them.
    """

    request_id: str
    status_code: int
    reason_phrase: str
    body: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AsteriskInfo:
    """
    Who answers at the other end.

    Attributes:
        version: E.g. ``22.10.1``, with the packager's suffix.
        entity_id: The same id as ``asterisk_id`` in events; shaped like a MAC address.
        system_name: ``systemname`` of asterisk.conf, the prefix of channel ids; may be empty.
        startup_time: When this Asterisk process started; timezone-aware.
    """

    version: str
    entity_id: str
    system_name: str
    startup_time: datetime


def decode(frame: str | bytes) -> Event | Response:
    """
    Read one frame from Asterisk.

    Args:
        frame: The payload of a text frame.

    Raises:
        WireError: It is not JSON, or not shaped as ARI documents it.
    """
    message = _table(_load(frame), "frame")
    kind = _text(message, "type")
    build = _BUILDERS.get(kind)
    if build is None:
        return UnknownEvent(type=kind)
    return build(message)


def decode_info(body: str) -> AsteriskInfo:
    """
    Read the answer to ``GET asterisk/info``.

    Raises:
        WireError: A part of it is missing or of another type.
    """
    info = _table(_load(body), "info")
    system = _table(info.get("system"), "system")
    return AsteriskInfo(
        version=_text(system, "version"),
        entity_id=_text(system, "entity_id"),
        system_name=_text(_table(info.get("config"), "config"), "name"),
        startup_time=_time(_table(info.get("status"), "status"), "startup_time"),
    )


def decode_variable(body: str) -> str:
    """
    Read the answer to ``GET asterisk/variable``: the value, empty if the variable is not set.

    Raises:
        WireError: There is no value in it.
    """
    return _text(_table(_load(body), "variable"), "value")


def decode_endpoints(body: str) -> dict[str, str]:
    """
    Read the answer to ``GET endpoints/{technology}``: each endpoint's name and state.

    Raises:
        WireError: It is not a list of endpoints.
    """
    return {
        _text(each, "resource"): _text({"state": "unknown"} | each, "state")
        for each in _tables(body, "endpoints")
    }


def decode_modules(body: str) -> frozenset[str]:
    """
    Read the answer to ``GET asterisk/modules``: the names of those that run.

    Raises:
        WireError: It is not a list of modules.
    """
    modules = _tables(body, "modules")
    return frozenset(_text(each, "name") for each in modules if _text(each, "status") == "Running")


def decode_log_channels(body: str) -> dict[str, frozenset[str]]:
    """
    Read the answer to ``GET asterisk/logging``: the levels of each log channel that is on.

    Raises:
        WireError: It is not a list of log channels.
    """
    return {
        _text(each, "channel"): frozenset(_text(each, "configuration").split())
        for each in _tables(body, "logging")
        if _text(each, "status") == "Enabled"
    }


def decode_object(body: str) -> dict[str, str]:
    """
    Read the answer to ``GET asterisk/config/dynamic/…``: the attributes of one object.

    Of an attribute that is there several times the last value stays.

    Raises:
        WireError: It is not a list of attributes.
    """
    return {_text(each, "attribute"): _text(each, "value") for each in _tables(body, "object")}


def encode_request(
    *,
    request_id: str,
    method: str,
    uri: str,
    query: Mapping[str, str] | None = None,
    body: object = None,
) -> str:
    """
    Write one request as the text of one frame.

    Args:
        request_id: Comes back in the answer; not empty.
        method: ``GET``, ``POST``, ``PUT`` or ``DELETE``.
        uri: Path below ``/ari/``, best made by :func:`path`: percent-encoded segments, no
            slash at either end, no query.
        query: Parameters; all values are strings, numbers too.
        body: JSON object to send instead of parameters. Asterisk joins the two by rules nobody
            remembers, so one request has one of them.

    Raises:
        ValueError: Asterisk would not take it. The message holds no value of the request.
    """
    if not request_id or not isinstance(request_id, str):
        raise ValueError("request_id: must be a string, and not empty")
    if method not in _METHODS:
        raise ValueError("method: must be GET, POST, PUT or DELETE")
    # isinstance here and below: Asterisk's answer to a number is a 400 with a log line, rule 3.
    if not isinstance(uri, str) or not _PATH.fullmatch(uri):
        raise ValueError("uri: must be percent-encoded segments without query or outer slashes")
    if uri.startswith("ari/"):
        raise ValueError("uri: begins below /ari/")
    # Decoded it would end the segment: "a%00b" would be the channel "a".
    if "%00" in uri:
        raise ValueError("uri: holds a NUL")
    if query and body is not None:
        raise ValueError("query and body: one request has one of them")
    message: dict[str, object] = {
        "type": "RESTRequest",
        "request_id": request_id,
        "method": method,
        "uri": uri,
    }
    if query:
        message["query_strings"] = [_parameter(name, value) for name, value in query.items()]
    if body is not None:
        message["content_type"] = "application/json"
        message["message_body"] = _dump(body)
    frame = _dump(message)
    if len(frame.encode()) > FRAME_MAX:
        raise ValueError(f"request: longer than {FRAME_MAX} bytes")
    return frame


def event_filter(types: Iterable[str]) -> dict[str, object]:
    """
    Make the body of ``PUT applications/{app}/eventFilter`` that lets *types* through.

    Answers to requests and ``ApplicationReplaced`` always pass.
    """
    names = dict.fromkeys((*_ALWAYS_ALLOWED, *types))
    return {"allowed": [{"type": name} for name in names]}


def path(*segments: str) -> str:
    """
    Join *segments* into a uri, each percent-encoded, slashes included.

    Raises:
        ValueError: A segment is empty or not text that UTF-8 can carry.
    """
    if not all(segments):
        raise ValueError("path: empty segment")
    try:
        return "/".join(
            [each if _UNRESERVED.fullmatch(each) else quote(each, safe="") for each in segments]
        )
    except UnicodeError:
        raise ValueError("path: segment is not text") from None


def require_extension(name: str, text: str) -> None:
    """
    Refuse an extension or a context that Asterisk would cut or not take.

    Asterisk answers 204 to one that is too long and dials what is left of it.

    Args:
        name: What to call it in the message.
        text: The extension or context, which the message does not repeat.

    Raises:
        ValueError: It is empty or longer than :data:`EXTENSION_MAX` bytes.
    """
    if not text:
        raise ValueError(f"{name}: empty")
    # Lone surrogates count as three bytes here and are refused when the frame is written.
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > EXTENSION_MAX:
        raise ValueError(f"{name}: {size} bytes, Asterisk keeps {EXTENSION_MAX}")


def _parameter(name: str, value: str) -> dict[str, str]:
    if not isinstance(name, str) or not name or not isinstance(value, str):
        raise ValueError("query: names and values must be strings")
    return {"name": name, "value": value}


def _dump(value: object) -> str:
    """Write JSON that Asterisk's jansson reads: no NaN, no NUL, no lone surrogates."""
    try:
        text = _write(value)
        text.encode()
    except (ValueError, TypeError, RecursionError):
        raise ValueError("request: not JSON that Asterisk reads") from None
    # Also refuses a backslash followed by "u0000" as text, which no request of ours has.
    if "\\u0000" in text:
        raise ValueError("request: holds a NUL")
    return text


def _load(text: str | bytes) -> object:
    try:
        # json would guess UTF-16 from zero bytes; a text frame is UTF-8.
        return _read(text if isinstance(text, str) else text.decode())
    except (ValueError, RecursionError):
        # "from None": the JSON error carries the whole document.
        raise WireError("not JSON") from None


def _table(value: object, name: str) -> dict[str, object]:
    if isinstance(value, dict):
        return value
    raise WireError(f"{name}: not an object")


def _tables(body: str, name: str) -> list[dict[str, object]]:
    values = _load(body)
    if not isinstance(values, list):
        raise WireError(f"{name}: not a list")
    return [_table(value, name) for value in values]


def _text(table: dict[str, object], key: str) -> str:
    value = table.get(key)
    if isinstance(value, str):
        return value
    raise WireError(f"{key}: not a string")


def _number(table: dict[str, object], key: str) -> int:
    value = table.get(key)
    # "true" is an int to Python.
    if type(value) is int:
        return value
    raise WireError(f"{key}: not a whole number")


def _time(table: dict[str, object], key: str) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(table, key))
    except ValueError:
        raise WireError(f"{key}: not a time") from None
    if moment.tzinfo is None:
        raise WireError(f"{key}: without time zone")
    return moment


def _channel(table: dict[str, object]) -> Channel:
    caller = _table(table.get("caller"), "caller")
    dialplan = _table(table.get("dialplan"), "dialplan")
    return Channel(
        id=_text(table, "id"),
        name=_text(table, "name"),
        state=_text(table, "state"),
        protocol_id=_text(table, "protocol_id") if "protocol_id" in table else "",
        caller_number=_text(caller, "number"),
        caller_name=_text(caller, "name"),
        context=_text(dialplan, "context"),
        exten=_text(dialplan, "exten"),
        app_name=_text(dialplan, "app_name"),
        app_data=_text(dialplan, "app_data"),
        creationtime=_time(table, "creationtime"),
    )


def _args(message: dict[str, object]) -> tuple[str, ...]:
    args = message.get("args")
    if not isinstance(args, list) or not all(isinstance(arg, str) for arg in args):
        raise WireError("args: not a list of strings")
    return tuple(args)


def _asterisk_id(message: dict[str, object]) -> str:
    return _text(message, "asterisk_id") if "asterisk_id" in message else ""


def _stasis_start(message: dict[str, object]) -> StasisStart:
    return StasisStart(
        application=_text(message, "application"),
        asterisk_id=_asterisk_id(message),
        timestamp=_time(message, "timestamp"),
        args=_args(message),
        channel=_channel(_table(message.get("channel"), "channel")),
    )


def _stasis_end(message: dict[str, object]) -> StasisEnd:
    return StasisEnd(
        application=_text(message, "application"),
        asterisk_id=_asterisk_id(message),
        timestamp=_time(message, "timestamp"),
        channel=_channel(_table(message.get("channel"), "channel")),
    )


def _application_replaced(message: dict[str, object]) -> ApplicationReplaced:
    return ApplicationReplaced(
        application=_text(message, "application"),
        asterisk_id=_asterisk_id(message),
        timestamp=_time(message, "timestamp"),
    )


def _user_event(message: dict[str, object]) -> UserEvent:
    return UserEvent(
        application=_text(message, "application"),
        asterisk_id=_asterisk_id(message),
        timestamp=_time(message, "timestamp"),
        name=_text(message, "eventname"),
    )


def _channel_destroyed(message: dict[str, object]) -> ChannelDestroyed:
    return ChannelDestroyed(
        application=_text(message, "application"),
        asterisk_id=_asterisk_id(message),
        timestamp=_time(message, "timestamp"),
        cause=_number(message, "cause"),
        cause_txt=_text(message, "cause_txt"),
        channel=_channel(_table(message.get("channel"), "channel")),
    )


def _response(message: dict[str, object]) -> Response:
    return Response(
        request_id=_text(message, "request_id"),
        status_code=_number(message, "status_code"),
        reason_phrase=_text(message, "reason_phrase"),
        # Missing on 204.
        body=_text(message, "message_body") if "message_body" in message else "",
    )


_BUILDERS: Final[dict[str, Callable[[dict[str, object]], Event | Response]]] = {
    "StasisStart": _stasis_start,
    "StasisEnd": _stasis_end,
    "ApplicationReplaced": _application_replaced,
    "ChannelDestroyed": _channel_destroyed,
    "ChannelUserevent": _user_event,
    "RESTResponse": _response,
}


def _mask(number: str) -> str:
    """Hide all but the last two characters, and a short number altogether."""
    shown = number[-2:] if len(number) >= _MASKABLE else ""
    return "*" * (len(number) - len(shown)) + shown

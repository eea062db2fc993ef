"""
Logs for ``serve``: one line a record, an event and its fields, no number in full.

A line is the time (UTC), the level, the logger, the event, and ``key=value`` for every field of
``extra``; a traceback is a field too, its line ends escaped::

    2025-03-14T21:30:25.420Z INFO agi_router.calls.router call.admitted call=pbx1-1741988825.42

:func:`redact` is the last net, under types that show themselves masked and under care: it masks
whatever looks like a mainland mobile or fixed number. Its rules:

1. Digits may be grouped by spaces, tabs, hyphens and parentheses, one to three between two
   digits; dots only as 3.4.4. Full-width digits count as digits.
2. Call ids and ISO dates are left alone. A grouped number begins and ends where no further
   digit touches it: ten digits of an epoch second are never the eleven of a mobile, whatever a
   node is called.
3. An unbroken run of twelve digits or more that holds a mobile number anywhere is masked too (a
   trunk prefix, ``%20`` in front of a number), but for a 700 number, with or without 86, and
   for an epoch in milliseconds.
4. In doubt it masks: a log that hides too much can be read by its call id.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import re
import sys
import time
from datetime import UTC, datetime
from enum import Enum
from types import TracebackType
from typing import Final, TextIO

__all__ = ["Formatter", "LateLog", "redact", "set_up"]

_FULL_WIDTH = {0xFF10 + digit: str(digit) for digit in range(10)} | {0xFF0B: "+"}

_GAP = (
    r"[ \t()\u00a0\u2002-\u200f\u202a-\u202f\u205f\u2060\u3000"
    r"\u2010-\u2015\u2212\ufe58\ufe63\ufeff\uff08\uff09\uff0d-]{0,3}"
)
_COUNTRY = rf"(?:\+{_GAP}|0{_GAP}0{_GAP})?8{_GAP}6{_GAP}"
_MOBILE = rf"1{_GAP}[3-9](?:{_GAP}[0-9]){{9}}"
_DOTTED = r"1[3-9][0-9]\.[0-9]{4}\.[0-9]{4}"
_AREA = rf"(?:1{_GAP}0|2{_GAP}[0-9]|[3-9](?:{_GAP}[0-9]){{2}})"
_FIXED = rf"{_AREA}{_GAP}[1-9](?:{_GAP}[0-9]){{6,7}}"

_NUMBER = re.compile(
    # What is known to be harmless is taken first, so that no match begins or ends inside it.
    r"(?<![0-9])(?P<harmless>1[6-9][0-9]{8}\.[0-9]{1,10}|20[0-9]{2}-[01][0-9]-[0-3][0-9])(?![0-9])"
    rf"|(?<![0-9])(?:(?:{_COUNTRY})?(?:0{_GAP})?(?:{_MOBILE}|{_DOTTED})"
    rf"|(?:{_COUNTRY}(?:0{_GAP})?|0{_GAP}){_FIXED})(?![0-9])"
    r"|(?<![0-9])(?P<run>[0-9]{12,})(?![0-9])"
)
_PREFIX = re.compile(r"^(?:(?:00)?86)?0?(?=1[3-9][0-9]{9}$)")
_HOLDS_MOBILE = re.compile(r"1[3-9][0-9]{9}")
_HARMLESS = re.compile(r"(?:86|0086)?700[0-9]{12}|1[6-9][0-9]{11}")

# Ends of lines, control characters, and what turns the direction of writing.
_CONTROLS = r"\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069"
# What nearly every value is, and stays as it is by all rules: a word, a call id, a binding.
_PLAIN = re.compile(
    r"[A-Za-z_.]+|(?:[A-Za-z]+[0-9]?-)?1[6-9][0-9]{8}\.[0-9]{1,10}|700[0-9]{8}-[0-9]{1,9}"
)
_UNPRINTABLE = re.compile(f"[{_CONTROLS}]")
_QUOTED = re.compile(rf'[{_CONTROLS}\s"=\\]')
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def redact(text: str) -> str:
    """
    Mask every real number in *text*; 700 numbers, call ids and times stay. Never raises.
    """
    return _NUMBER.sub(_mask, text.translate(_FULL_WIDTH))


class Formatter(logging.Formatter):
    """
    A record as one line of event and fields, with :func:`redact` over all of it.

    Never raises: what cannot be formatted is named by its type.
    """

    def format(self, record: logging.LogRecord) -> str:
        """
        Return the line for *record*, without its line end.
        """
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        parts = [when.replace("+00:00", "Z"), record.levelname, str(record.name), _event(record)]
        parts += [
            f"{name}={_quoted(_value(value))}"
            for name, value in vars(record).items()
            if name not in _STANDARD
        ]
        if record.exc_info:
            parts.append(f"exception={_quoted(self.formatException(record.exc_info))}")
        elif record.exc_text:
            parts.append(f"exception={_quoted(record.exc_text)}")
        if record.stack_info:
            parts.append(f"stack={_quoted(record.stack_info)}")
        return " ".join(parts)


class _Handler(logging.StreamHandler[TextIO]):
    """
    Writes lines; where it cannot, it is silent.

    The standard handler would print the record's arguments as they are.
    """

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        pass


def set_up(level: str, *, stream: TextIO | None = None) -> None:
    """
    Send all logs to *stream*, and uncaught exceptions with them.

    Args:
        level: Least level that is logged, a name of :mod:`logging`.
        stream: Where to write; standard error by default.
    """
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(Formatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught


def _uncaught(
    kind: type[BaseException], exc: BaseException, traceback: TracebackType | None
) -> None:
    # Python's own hook would print the traceback with its numbers.
    logging.getLogger(__name__).critical("uncaught", exc_info=(kind, exc, traceback))


def _event(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    # A record whose arguments do not fit, of any library, must not break the log.
    except Exception:  # noqa: BLE001
        text = str(record.msg)
    return text if _PLAIN.fullmatch(text) else _one_line(redact(text))


def _value(value: object) -> str:
    try:
        match value:
            case None:
                return "-"
            case bool():
                return "true" if value else "false"
            # Sixteen digits behind the point say nothing more, and could look like a number.
            case float():
                return f"{value:.6g}"
            case Enum():
                return _value(value.value)
        return str(value)
    # As above: a foreign __str__ may raise anything.
    except Exception:  # noqa: BLE001
        return f"<{type(value).__name__}>"


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    text = redact(text)
    if text and not _QUOTED.search(text):
        return text
    return '"' + _one_line(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _one_line(text: str) -> str:
    return _UNPRINTABLE.sub(lambda found: _escape(found[0]), text)


def _escape(char: str) -> str:
    return _ESCAPES.get(char) or f"\\u{ord(char):04x}"


def _mask(found: re.Match[str]) -> str:
    text = found[0]
    if found["harmless"]:
        return text
    if found["run"] and (_HARMLESS.fullmatch(text) or not _HOLDS_MOBILE.search(text)):
        return text
    digits = _PREFIX.sub("", re.sub(r"[^0-9]", "", text))
    tail = min(4, len(digits) - 7)
    return f"{digits[:3]}****{digits[-tail:]}"


# Seconds.
_DELAY: Final = 0.1


class LateLog:
    """
    Says at INFO what happened, a tenth of a second later at most, with the time when it happened.

    A process that ends says the rest; one that is killed has lost it.

    Args:
        log: Who says it.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._events: list[tuple[float, str, dict[str, object]]] = []
        self._timer: asyncio.TimerHandle | None = None
        atexit.register(self.write)

    def info(self, event: str, **fields: object) -> None:
        """
        Keep an event and its fields; within an event loop.
        """
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_DELAY, self.write)
        self._events.append((time.time(), event, fields))

    def write(self) -> None:
        """
        Log what has been kept.
        """
        self._timer = None
        events, self._events = self._events, []
        if not self._log.isEnabledFor(logging.INFO):
            return
        for at, event, fields in events:
            record = self._log.makeRecord(
                self._log.name, logging.INFO, __file__, 0, event, (), None, extra=fields
            )
            record.created = at
            self._log.handle(record)

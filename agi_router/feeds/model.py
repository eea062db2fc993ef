"""
Feeds as values, and how one record of a file is read.

1. A record says of one number since when it has a new owner, that it was given back, that it has
   its owner still, or that nobody knows. Codes of Alibaba Cloud's look-up are taken beside our
   words.
2. A day without a time is that of Beijing, and the whole of it: a binding made on that day could
   be of the old owner, and then must ring nobody.
3. What is wrong with a record is said without a digit of it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from agi_router.errors import FeedInvalid, NumberError
from agi_router.numbers import PhoneNumber
from agi_router.texts import LONGEST_NAME, check_name, narrow, strip
from agi_router.times import parse_time

__all__ = [
    "COLUMNS",
    "CURSOR",
    "NEEDED",
    "RECORDS_AT_ONCE",
    "Answer",
    "Fault",
    "Feed",
    "FeedKind",
    "Notice",
    "NumberForm",
    "Outcome",
    "PullState",
    "Trust",
    "check_authorization",
    "check_feed",
    "check_feed_name",
    "check_file_name",
    "read_notice",
]


class FeedKind(StrEnum):
    """
    Where the files of a feed come from.
    """

    FILE = "file"
    FOLDER = "folder"
    STDIN = "stdin"
    PUSH = "push"
    """A program sends records by HTTP."""
    PULL = "pull"
    """They are asked for by HTTP."""

    @property
    def has_path(self) -> bool:
        """
        Whether its files lie somewhere: the path of a pulled feed is its address.
        """
        return self in {FeedKind.FILE, FeedKind.FOLDER, FeedKind.PULL}


class NumberForm(StrEnum):
    """
    How numbers stand in a feed: plain, or as a digest of their 11 digits, in hexadecimal.
    """

    PLAIN = "plain"
    MD5 = "md5"
    SHA256 = "sha256"
    SM3 = "sm3"


class Trust(StrEnum):
    """
    Whether what a feed says is done; who has a new owner by a hint counts as unknown.
    """

    FULL = "full"
    HINT = "hint"


class Answer(StrEnum):
    """
    What a record says of its number.
    """

    REISSUED = "reissued"
    CANCELLED = "cancelled"
    KEPT = "kept"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """
    What has become of a binding that a run has met.
    """

    ENDED = "ended"
    HELD = "held"
    """It rings nobody until a feed knows whose a party's number is."""
    RELEASED = "released"
    """That is known, and it rings again."""
    BEGAN_LATER = "began_later"
    RINGS = "rings"


RECORDS_AT_ONCE = 1000
"""Records that a program may push at once: each binding that ends is a transaction."""

CURSOR = "{cursor}"
"""What stands in the address of a pulled feed for where its last answer ended."""

COLUMNS = ("number", "status", "date")
"""What a record has; anything else is passed over."""
NEEDED = ("number", "status")
"""What no file lacks."""

_ANSWERS: dict[str, Answer] = {
    **{each.value: each for each in Answer},
    "not": Answer.KEPT,
    "0": Answer.UNKNOWN,
    "1": Answer.REISSUED,
    "2": Answer.KEPT,
    "3": Answer.CANCELLED,
}
_DIGEST_SIZES = {NumberForm.MD5: 16, NumberForm.SHA256: 32, NumberForm.SM3: 32}
_LONGEST_NAME = 64
_LONGEST_URL = 2000
_URL = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:[/?][!-\"$-~]*)?")
_AUTHORIZATION = re.compile(r"[!-~](?:[ -~]{0,4094}[!-~])?")
_HEX = re.compile(r"(?:[0-9a-f]{2})+", re.IGNORECASE)
_BARE_DAY = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_OFFSET = re.compile(r".*:.*(?:z|[+-][0-9]{2}(?::?[0-9]{2})?)", re.IGNORECASE)
_LONGEST_DATE = 40
_BEIJING = "+08:00"
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """
    Where we learn which numbers were given to new owners.
    """

    id: int
    name: str
    kind: FeedKind
    path: str | None
    numbers: NumberForm
    trust: Trust
    every: timedelta | None
    """How often a new file is expected."""
    created_at: datetime
    last_at: datetime | None
    """When a file of it was done last."""
    now: datetime
    """The store's clock when it was read."""
    authorized: bool = False
    """Whether a secret is sent to its address."""
    pulled_at: datetime | None = None
    """When its address was asked last, and all was done that was new."""
    failed_at: datetime | None = None
    """When that failed last."""
    failure: str | None = None
    """Why the last try has failed, in our words; None: it did not."""
    asked_at: datetime | None = None
    """When somebody has asked for it to be read soon."""
    waiting: int = 0
    """How many files of it were sent by HTTP and wait to be read."""

    @property
    def overdue(self) -> bool:
        """
        Whether its next file should have come.
        """
        # An address that has nothing new says so; a folder that was looked at does not.
        pulled_at = self.pulled_at if self.kind is FeedKind.PULL else None
        last = max(filter(None, (self.created_at, self.last_at, pulled_at)))
        return self.every is not None and self.now - last > self.every

    @property
    def due(self) -> bool:
        """
        Whether its address is to be asked by now, or its files are to be looked at, as ever.
        """
        if self.kind is not FeedKind.PULL:
            return self.kind.has_path
        if self.asked_at is not None and self.asked_at >= self._tried_at:
            return True
        if self.every is None:
            return False
        return self.pulled_at is None or self.now - self.pulled_at >= self.every

    @property
    def _tried_at(self) -> datetime:
        return max(filter(None, (self.created_at, self.pulled_at, self.failed_at)))


class PullState(NamedTuple):
    """
    By what the next answer of an address is told from the last one that was done.

    Attributes:
        etag: The last answer's ``ETag``.
        modified: Its ``Last-Modified``.
        cursor: Where the next one begins; stands in the address for :data:`CURSOR`.
    """

    etag: str | None = None
    modified: str | None = None
    cursor: str | None = None


class Notice(NamedTuple):
    """
    One record that can be read.

    Attributes:
        line: The line of the file that it begins on.
        number: Whose it is: the number, or a digest of it.
        answer: What it says.
        until: Who was bound before this time is the old owner.
    """

    line: int
    number: PhoneNumber | bytes
    answer: Answer
    until: datetime


class Fault(NamedTuple):
    """
    One record that cannot be read, and why.
    """

    line: int
    why: str


def check_feed_name(text: str) -> str:
    """
    Return *text*, stripped, if it may name a feed: 1 to 64 characters that are seen.

    Raises:
        ValueError: If it may not.
    """
    return check_name(text, what="a feed's name", longest=_LONGEST_NAME)


def check_file_name(text: str) -> str:
    """
    Return *text*, stripped, if it may name what is pushed: 1 to 128 characters that are seen.

    Raises:
        ValueError: If it may not.
    """
    return check_name(text, what="a file's name", longest=LONGEST_NAME)


def check_feed(kind: FeedKind, path: str | None) -> None:
    """
    Make sure that a feed may be like this.

    Raises:
        FeedInvalid: A path goes with a file or a folder, and with nothing else.
    """
    if path is not None and not kind.has_path:
        raise FeedInvalid(f"a feed of the kind {kind} has no path: leave it out")
    if path is None and kind.has_path:
        raise FeedInvalid(f"a feed of the kind {kind} needs its path")
    if path is not None and kind is FeedKind.PULL:
        _check_address(path)
    elif path is not None and not path.startswith("/"):
        raise FeedInvalid("the path of a feed begins with /: whoever runs it may stand elsewhere")


def check_authorization(text: str) -> str:
    """
    Return *text*, stripped, if it may be sent as ``Authorization``, like ``Bearer …``.

    Raises:
        ValueError: It may not; says nothing of it.
    """
    text = strip(text)
    if not _AUTHORIZATION.fullmatch(text):
        raise ValueError(
            "an authorization is what stands in the header, like 'Bearer TOKEN': up to 4,096 ASCII"
            " characters"
        )
    return text


def _check_address(url: str) -> None:
    """
    Make sure that a URL may be the address of a feed.

    Raises:
        FeedInvalid: It has another scheme, a user, a fragment, or is no address.
    """
    try:
        parts = urlsplit(url)
        fits = parts.port != 0
    except ValueError:
        fits = False
    if not fits or len(url) > _LONGEST_URL or not _URL.fullmatch(url):
        raise FeedInvalid(
            "the address of a feed looks like https://carrier.example/recycled?after={cursor},"
            " with a host in small letters, and without user and fragment"
        )


def read_notice(
    line: int, cells: Mapping[str, str], form: NumberForm, *, now: datetime
) -> Notice | Fault:
    """
    Read one record.

    Args:
        line: The line that it begins on.
        cells: What it has, by the names of :data:`COLUMNS`; a name may be missing.
        form: How numbers stand in the feed.
        now: The store's clock; no record is of a later time.
    """
    number = _read_number(cells.get("number", ""), form)
    if isinstance(number, str):
        return Fault(line, number)
    answer = _ANSWERS.get(strip(cells.get("status", "")).lower())
    if answer is None:
        known = ", ".join(Answer)
        return Fault(line, f"the status is one of {known}; got something else")
    if answer is Answer.UNKNOWN or answer is Answer.KEPT:
        return Notice(line, number, answer, now)
    date = cells.get("date", "")
    # Most records of a file have one of a few dates; what is longer than any is not kept.
    read = _read_until if len(date) > _LONGEST_DATE else _read_until_once
    until = read(date, now)
    return Fault(line, until) if isinstance(until, str) else Notice(line, number, answer, until)


def _read_number(text: str, form: NumberForm) -> PhoneNumber | bytes | str:
    """
    A number or a digest; or what is wrong with it.
    """
    if form is NumberForm.PLAIN:
        try:
            return PhoneNumber.parse(text, fixed_lines=True)
        except NumberError as error:
            return str(error)
    digits, size = strip(text), _DIGEST_SIZES[form]
    if len(digits) != 2 * size or not _HEX.fullmatch(digits):
        return f"a digest by {form} has {2 * size} hexadecimal digits; got something else"
    return bytes.fromhex(digits)


def _read_until(text: str, now: datetime) -> datetime | str:
    """
    The time before which bindings are of the old owner; or what is wrong with it.
    """
    text = narrow(strip(text))
    if not text:
        return "a number that was reissued or cancelled needs the date of it"
    if match := _BARE_DAY.fullmatch(text):
        text = "-".join(match.groups())
    try:
        at = parse_time(text if _OFFSET.fullmatch(text) else f"{text} {_BEIJING}")
    except ValueError:
        return "a date looks like 2026-01-31, or 2026-01-31 15:04"
    if at > now:
        return "the date lies in the future"
    return at if ":" in text else min(at + _DAY, now)


_read_until_once = lru_cache(maxsize=1024)(_read_until)

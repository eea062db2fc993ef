"""
What is agreed for a binding beside its parties.

:class:`Terms` is the only list: options of the command line, columns of files and of COPY, what is
stored and what is shown derive from it. A new term is a line there and a column of the table.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from agi_router.bindings.words import (
    Counting,
    Direction,
    Display,
    Language,
    Messages,
    Recording,
    check_pool,
    check_prompts,
)
from agi_router.consent.ledger import How
from agi_router.durations import format_duration, parse_within
from agi_router.tenants.hours import check_hours
from agi_router.tenants.rules import check_scene
from agi_router.texts import narrow

__all__ = [
    "CHANGEABLE",
    "TERMS",
    "Kind",
    "Name",
    "Span",
    "Term",
    "Terms",
    "Text",
    "Whole",
    "Words",
]

_WHOLE = re.compile(r"[0-9]{1,10}")
# NUL, and halves of characters.
_NOT_KEPT = re.compile("[\0\ud800-\udfff]")
_SECOND, _MINUTE = timedelta(seconds=1), timedelta(minutes=1)


class Kind(ABC):
    """
    How a term is read, written and stored.
    """

    @abstractmethod
    def read(self, text: str) -> Any:
        """
        Read what people write.

        Raises:
            ValueError: It is not of this kind, or out of bounds; says what is.
        """

    def write(self, value: Any) -> str:
        """
        Write it for people.
        """
        return str(value)

    def store(self, value: Any) -> Any:
        """
        The value in its column, and in JSON.
        """
        return value

    def load(self, value: Any) -> Any:
        """
        The value of its column.

        Raises:
            ValueError: It holds what is never written.
        """
        return value


@dataclass(frozen=True)
class Words(Kind):
    """
    One of a few words.
    """

    enum: type[StrEnum]

    def read(self, text: str) -> StrEnum:
        """
        Read one of the words, in either case.

        Raises:
            ValueError: It is none of them; says which there are.
        """
        try:
            return self.enum(narrow(text).lower())
        except ValueError:
            raise ValueError(f"one of {', '.join(self.enum)}") from None

    def load(self, value: str) -> StrEnum:
        """
        The word of its column.
        """
        return self.enum(value)


@dataclass(frozen=True)
class Whole(Kind):
    """
    A whole number, 1 to *high*.
    """

    high: int = 2**31 - 1

    def read(self, text: str) -> int:
        """
        Read a number of digits only.

        Raises:
            ValueError: It is none, or out of bounds.
        """
        text = narrow(text)
        if not _WHOLE.fullmatch(text) or not 1 <= int(text) <= self.high:
            raise ValueError(f"a whole number, 1 to {self.high}")
        return int(text)


@dataclass(frozen=True)
class Span(Kind):
    """
    A duration such as ``30m``, *low* to *high*; its column holds seconds.
    """

    low: timedelta
    high: timedelta | None = None
    bare: timedelta = timedelta()
    """The shortest that a number without a unit may say."""

    def read(self, text: str) -> timedelta:
        """
        Read a duration.

        Raises:
            ValueError: It is none, or out of bounds.
        """
        return parse_within(text, self.low, self.high, bare=self.bare)

    def write(self, value: timedelta) -> str:
        """
        Write it with units.
        """
        return format_duration(value)

    def store(self, value: timedelta) -> int:
        """
        Its seconds.
        """
        return int(value.total_seconds())

    def load(self, value: int) -> timedelta:
        """
        The span of so many seconds.
        """
        return timedelta(seconds=value)


@dataclass(frozen=True)
class Name(Kind):
    """
    A name that a rule takes.
    """

    check: Callable[[str], str]

    def read(self, text: str) -> str:
        """
        Read a name.

        Raises:
            ValueError: The rule does not take it.
        """
        return self.check(text)

    def load(self, value: str) -> str:
        """
        The name of its column.
        """
        return self.check(value)


@dataclass(frozen=True)
class Text(Kind):
    """
    A text of the customer's own, of 1 to *longest* characters: it comes back as it was given.
    """

    longest: int

    def read(self, text: str) -> str:
        """
        Take a text.

        Raises:
            ValueError: It is too long or empty, or the database cannot hold it.
        """
        if not 1 <= len(text) <= self.longest or _NOT_KEPT.search(text):
            raise ValueError(f"1 to {self.longest} characters")
        return text

    def load(self, value: str) -> str:
        """
        The text of its column.
        """
        return self.read(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """
    One term, as it is written, stored and shown.
    """

    name: str
    """Attribute of :class:`Terms`, and column of the table."""
    word: str
    """What people call it: a file's column, an option, a name in JSON."""
    kind: Kind
    about: str
    """What it is, for people."""
    default: Any
    fixed: bool = False
    """Whether it stays as it was when the binding was made."""

    def store(self, value: Any) -> Any:
        """
        A value in its column; :obj:`None` where nothing is agreed.
        """
        return None if value is None else self.kind.store(value)

    def load(self, value: Any) -> Any:
        """
        The value of its column; the default where that is empty.

        Raises:
            ValueError: It holds what is never written.
        """
        return self.default if value is None else self.kind.load(value)


def _told(
    about: str, kind: Kind, *, word: str | None = None, fixed: bool = False
) -> Mapping[str, Any]:
    return {"about": about, "kind": kind, "word": word, "fixed": fixed}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """
    What is agreed for a binding beside its parties.
    """

    expires_at: datetime
    order_id: str | None = None
    tenant: str = "default"
    max_calls: int | None = field(
        default=None, metadata=_told("calls in all; no limit if left out", Whole())
    )
    counting: Counting = field(
        default=Counting.ANSWERED,
        metadata=_told(
            "`answered` or `attempts`: what uses up a call", Words(Counting), word="count"
        ),
    )
    direction: Direction = field(
        default=Direction.BOTH,
        metadata=_told("`both`, `a` or `b`: which side may call", Words(Direction)),
    )
    ring_timeout: timedelta | None = field(
        default=None,
        metadata=_told(
            "how long a callee rings, `5s` to `2m`", Span(5 * _SECOND, 2 * _MINUTE), word="ring"
        ),
    )
    max_duration: timedelta | None = field(
        default=None,
        metadata=_told("longest call, `1s` to `4h`", Span(_SECOND, 240 * _MINUTE, bare=_MINUTE)),
    )
    language: Language | None = field(
        default=None, metadata=_told("`zh` or `en`: language of the prompts", Words(Language))
    )
    display_a: Display = field(
        default=Display.NUMBER,
        metadata=_told(
            "`number` or `anonymous`: what A's side sees when it is called", Words(Display)
        ),
    )
    display_b: Display = field(
        default=Display.NUMBER,
        metadata=_told(
            "`number` or `anonymous`: what B's side sees when it is called", Words(Display)
        ),
    )
    prompts: str | None = field(
        default=None,
        metadata=_told(
            "set of prompts that its callers hear; those shipped if left out", Name(check_prompts)
        ),
    )
    out_id: str | None = field(
        default=None,
        metadata=_told("an id of your own, 1 to 128 characters; comes back with it", Text(128)),
    )
    user_data: str | None = field(
        default=None,
        metadata=_told("a text of your own, 1 to 1024 characters; comes back with it", Text(1024)),
    )
    industrial_id: str | None = field(
        default=None,
        metadata=_told("the order's id at an industrial platform, 1 to 128 characters", Text(128)),
    )
    pool: str | None = field(
        default=None,
        metadata=_told(
            "the tenant's pool that its numbers come from; any blocks open to it if left out",
            Name(check_pool),
            fixed=True,
        ),
    )
    scene: str | None = field(
        default=None,
        metadata=_told(
            "the code of the use that it is made for, one of the tenant's scenes",
            Name(check_scene),
            fixed=True,
        ),
    )
    consent: How | None = field(
        default=None,
        metadata=_told(
            "`app`, `paper` or `spoken`: how its parties have agreed, as you state it",
            Words(How),
            fixed=True,
        ),
    )
    messages: Messages = field(
        default=Messages.OFF,
        metadata=_told("`both`, `a`, `b` or `off`: which side may text", Words(Messages)),
    )
    max_messages: int | None = field(
        default=None, metadata=_told("texts in all; no limit if left out", Whole())
    )
    hours: str | None = field(
        default=None,
        metadata=_told(
            "hours of the week in which calls and texts go through, like"
            " `mon-fri 09:00-18:00; sat 22:00-02:00`; the tenant's if left out",
            Name(check_hours),
        ),
    )
    record: Recording | None = field(
        default=None,
        metadata=_told(
            "`on` or `off`: whether calls are recorded, after a notice to both; as the tenant's"
            " if left out",
            Words(Recording),
        ),
    )


TERMS = tuple(
    Term(
        name=each.name,
        word=each.metadata["word"] or each.name,
        kind=each.metadata["kind"],
        about=each.metadata["about"],
        default=each.default,
        fixed=each.metadata["fixed"],
    )
    for each in fields(Terms)
    if each.metadata
)
"""The terms that people may choose, in the order in which they are shown."""

CHANGEABLE = tuple(term for term in TERMS if not term.fixed)
"""Those of them that may be changed while the binding lives."""

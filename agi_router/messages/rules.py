"""
What a tenant has said about the texts of its bindings: which may go on, how, and when.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from agi_router.messages.bodies import holds_number, strike_numbers
from agi_router.numbers import PhoneNumber
from agi_router.texts import INVISIBLE

__all__ = [
    "ANYTHING",
    "LONGEST_HOLD",
    "MOST_WORDS",
    "NO_RULES",
    "Judged",
    "NumberRule",
    "TextRules",
    "check_hold",
    "check_words",
    "judge_body",
    "read_rules",
]

ANYTHING: Final = "*"
"""What stands for anything in a template."""
MOST_WORDS: Final = 1000
"""Words, or templates, of one list."""
LONGEST_HOLD: Final = timedelta(days=1)

_LONGEST_WORD: Final = 500
_SHORTEST_HOLD: Final = timedelta(seconds=1)


class NumberRule(StrEnum):
    """
    What becomes of a text that tells a phone number.
    """

    PASS = "pass"  # noqa: S105 - no password
    """It goes on as it is."""
    REDACT = "redact"
    """Its digits are struck out."""
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRules:
    """
    A tenant's rules for texts.
    """

    numbers: NumberRule = NumberRule.PASS
    words: tuple[str, ...] = ()
    """A text with one of them is refused."""
    templates: tuple[str, ...] = ()
    """Where there are any, a text that is none of them is refused."""
    opt_out: tuple[str, ...] = ()
    """Who sends nothing but one of them is texted by this binding no more."""
    hold: timedelta | None = None
    """How long a text waits for its release; :obj:`None`: it does not."""
    checked: bool = False
    """Whether the tenant's verification service is asked about each, before it is taken."""

    @property
    def needs_body(self) -> bool:
        """
        Whether no text can be judged whose carrier keeps what it says, or held that it delivers.
        """
        return bool(
            self.numbers is not NumberRule.PASS or self.words or self.templates or self.hold
        )


NO_RULES: Final = TextRules()
"""Those of a tenant who has said none: all goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """
    A text that may go on.
    """

    body: str
    """What it is to say."""
    opts_out: bool


def judge_body(body: str, rules: TextRules, sender: PhoneNumber) -> Judged | None:
    """
    What becomes of what a text says.

    Args:
        body: What it says.
        rules: Those of its tenant.
        sender: Whose number is looked for most carefully. A receiver's is not: who guesses at it
            would learn by a refusal that it is the right one.

    Returns:
        What it is to say; :obj:`None`: it is refused.
    """
    plain = _plain(body)
    if plain in _plain_all(rules.opt_out):
        return Judged(body=body, opts_out=True)
    if any(word in plain for word in _plain_all(rules.words)):
        return None
    if rules.templates and not any(_fits(plain, each) for each in _plain_all(rules.templates)):
        return None
    if rules.numbers is NumberRule.REFUSE and holds_number(body, [sender]):
        return None
    if rules.numbers is NumberRule.REDACT:
        body = strike_numbers(body, [sender])
    return Judged(body=body, opts_out=False)


def read_rules(row: dict[str, Any]) -> TextRules:
    """
    The rules of a row.

    Raises:
        ValueError: It holds what is never written.
    """
    return TextRules(
        numbers=NumberRule(row["numbers"]),
        words=tuple(row["words"]),
        templates=tuple(row["templates"]),
        opt_out=tuple(row["opt_out"]),
        hold=row["hold"],
        checked=row["checked"],
    )


def check_words(words: Sequence[str]) -> tuple[str, ...]:
    """
    Take a list of words, or of templates: each once, in their order.

    Raises:
        ValueError: One has nothing to be seen or is too long, or there are too many.
    """
    if len(words) > MOST_WORDS:
        raise ValueError(f"a list has {MOST_WORDS} entries at most")
    for number, word in enumerate(words, 1):
        if not _plain(word).strip(ANYTHING) or len(word) > _LONGEST_WORD or "\0" in word:
            raise ValueError(
                f"entry {number}: 1 to {_LONGEST_WORD} characters are needed that can be seen"
            )
    return tuple(dict.fromkeys(words))


def check_hold(hold: timedelta) -> timedelta:
    """
    Take how long texts are held.

    Raises:
        ValueError: It is under a second, or over a day.
    """
    if not _SHORTEST_HOLD <= hold <= LONGEST_HOLD:
        raise ValueError("texts are held from 1 second to 1 day")
    return hold


def _plain(text: str) -> str:
    """
    *text* as words are compared: without spaces and what nobody sees, in one form and case.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in folded if not char.isspace() and char not in INVISIBLE)


@lru_cache(maxsize=12)
def _plain_all(words: tuple[str, ...]) -> tuple[str, ...]:
    # Kept for the lists of a few tenants: a list of a thousand takes a millisecond.
    return tuple(map(_plain, words))


def _fits(text: str, template: str) -> bool:
    """
    Whether a text is a template with something, or nothing, for each :data:`ANYTHING`.
    """
    first, *rest = template.split(ANYTHING)
    if not rest:
        return text == template
    *middle, last = rest
    if not text.startswith(first):
        return False
    place = len(first)
    for each in middle:
        place = text.find(each, place)
        if place < 0:
            return False
        place += len(each)
    return len(text) - len(last) >= place and text.endswith(last)

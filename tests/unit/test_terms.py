"""The terms of a binding: read, written, stored and loaded by one table."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agi_router.bindings.terms import TERMS, Term
from agi_router.bindings.words import Counting, Display, Language, Messages

BY_WORD = {term.word: term for term in TERMS}

# Word, what people write, the value, what its column holds, and how it is written for people.
CASES = [
    ("max_calls", "10", 10, 10, "10"),
    ("messages", "B", Messages.B, "b", "b"),
    ("max_messages", "20", 20, 20, "20"),
    ("hours", "MON 09:00-18:00", "mon 09:00-18:00", "mon 09:00-18:00", "mon 09:00-18:00"),
    ("count", "Attempts", Counting.ATTEMPTS, "attempts", "attempts"),
    ("ring", "15s", timedelta(seconds=15), 15, "15s"),
    ("max_duration", "1h30m", timedelta(minutes=90), 5400, "1h30m"),
    ("language", "en", Language.EN, "en", "en"),
    ("display_a", "anonymous", Display.ANONYMOUS, "anonymous", "anonymous"),
    ("prompts", "rides", "rides", "rides", "rides"),
    ("out_id", " 订单 '1'\n", " 订单 '1'\n", " 订单 '1'\n", " 订单 '1'\n"),
    ("user_data", "x" * 1024, "x" * 1024, "x" * 1024, "x" * 1024),
]


@pytest.mark.parametrize(("word", "text", "value", "stored", "written"), CASES)
def test_there_and_back(word: str, text: str, value: Any, stored: Any, written: str) -> None:
    term = BY_WORD[word]
    assert term.kind.read(text) == value
    assert term.store(value) == stored
    assert term.load(stored) == value
    assert term.kind.write(value) == written


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.word)
def test_nothing_agreed(term: Term) -> None:
    """An empty column is the default."""
    assert term.store(None) is None
    assert term.load(None) == term.default
    assert term.about


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("max_calls", "0"),
        ("max_calls", "2147483648"),
        ("max_calls", "ten"),
        ("messages", "yes"),
        ("max_messages", "0"),
        ("hours", "9-5"),
        ("count", "always"),
        ("ring", "4s"),
        ("ring", "3m"),
        ("max_duration", "5h"),
        ("max_duration", "30"),
        ("prompts", "../etc"),
        ("out_id", ""),
        ("out_id", "x" * 129),
        ("user_data", "x" * 1025),
        ("industrial_id", "a\0b"),
        ("industrial_id", "\ud800"),
    ],
)
def test_out_of_bounds(word: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        BY_WORD[word].kind.read(text)


@pytest.mark.parametrize(
    ("word", "stored"), [("count", "always"), ("prompts", "../etc"), ("out_id", "")]
)
def test_what_is_never_written(word: str, stored: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        BY_WORD[word].load(stored)

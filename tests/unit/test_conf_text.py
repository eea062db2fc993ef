"""Changes to Asterisk's files: made once or twice, and taken back to the letter."""

from __future__ import annotations

import pytest

from agi_router.setup import conf_text

STOCK = """\
; a comment with [general] and key=value
;-- over several
[general]
enabled=never
;-- nested --; enabled=never
--;
;--- not one of them
[general]
;enabled=no
enabled = no       ; why not
  Other => x
#include "more.conf"

[globals](+)
enabled=2
"""


def test_what_is_set() -> None:
    """By section; comments of either kind set nothing."""
    assert conf_text.options(STOCK) == {
        "general": {"enabled": "no", "other": "x"},
        "globals": {"enabled": "2"},
    }
    assert conf_text.options("") == {}
    assert conf_text.options("stray=1\n--;\n") == {"": {"stray": "1"}}


@pytest.mark.parametrize(
    "changed",
    [
        conf_text.above(STOCK, "[x]\na=1"),
        conf_text.below(STOCK, "[x]\na=1\n"),
        conf_text.with_options(STOCK, "general", {"enabled": "yes", "new": "1"}),
        conf_text.with_options(STOCK, "absent", {"enabled": "yes"}),
        conf_text.with_lines(STOCK, "globals", "a=1\nb=2"),
        conf_text.without(STOCK, "general"),
        conf_text.below(conf_text.above(STOCK, "a=1"), "b=1"),
    ],
)
def test_every_change_can_be_taken_back(changed: str) -> None:
    """Whatever was added elsewhere since stays."""
    assert changed != STOCK
    assert conf_text.restored(changed) == STOCK
    assert conf_text.restored(f"{changed}[mine]\nx=1\n") == f"{STOCK}[mine]\nx=1\n"
    assert conf_text.restored(STOCK) == STOCK


def test_an_option_is_set() -> None:
    """What the section says of it is switched off, what others say is not."""
    changed = conf_text.with_options(STOCK, "general", {"enabled": "yes"})
    assert conf_text.options(changed) == {
        "general": {"enabled": "yes", "other": "x"},
        "globals": {"enabled": "2"},
    }
    assert changed.count("enabled = no") == 1
    absent = conf_text.with_options(STOCK, "absent", {"a": "1"})
    assert conf_text.options(absent)["absent"] == {"a": "1"}


def test_a_section_is_added_to_once() -> None:
    """Where there are two of one name, the first."""
    twice = "[a]\nx=1\n[a]\ny=1\n"
    changed = conf_text.with_lines(twice, "a", "z=1")
    assert changed.count("z=1") == 1
    assert changed.index("z=1") < changed.index("x=1")


def test_options_are_switched_off() -> None:
    """All of a section, or some."""
    assert conf_text.options(conf_text.without(STOCK, "general"))["general"] == {}
    assert conf_text.options(conf_text.without(STOCK, "general", "other"))["general"] == {
        "enabled": "no"
    }

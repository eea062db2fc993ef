"""
The table of docs/settings.md, made of agi_router/settings.py.

    python tests/settings_page.py       # writes it; tests/unit/test_settings.py compares it
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from agi_router.settings import PREFIX, Settings

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).parents[1] / "docs/settings.md"

_ATTRIBUTE = re.compile(r"(?m)^    (\w+): (.+(?:\n {8}.+)*)")
_BEGIN = "<!-- the table is made of agi_router/settings.py by tests/settings_page.py -->\n\n"
_HEAD = "| variable | form | default | meaning |\n|---|---|---|---|\n"


def _meanings() -> dict[str, str]:
    """Return what the docstring says of each attribute, as Markdown in one line."""
    text = (inspect.getdoc(Settings) or "").partition("Attributes:\n")[2]
    return {
        name: " ".join(meaning.split()).replace("``", "`")
        for name, meaning in _ATTRIBUTE.findall(text)
    }


def _form(parse: Callable[[str], object]) -> str:
    """Return what a value has to look like, in the words in which a malformed one is refused."""
    try:
        parse("\0")
    except ValueError as exc:
        return str(exc)
    return "names, with commas" if isinstance(parse(""), frozenset) else "text"


def page() -> str:
    """Return the page with the table as it should be."""
    defaults, meanings = Settings().describe(), _meanings()
    rows = []
    for each in fields(Settings):
        variable = PREFIX + each.name.upper()
        default = defaults[variable]
        shown = "" if default.startswith("(") else f"`{default}`"
        cells = (f"`{variable}`", _form(each.metadata["parse"]), shown, meanings[each.name])
        rows.append("| " + " | ".join(cells) + " |\n")
    above, begin, _ = PAGE.read_text("utf-8").partition(_BEGIN)
    assert begin, f"{PAGE} has no line {_BEGIN}"
    return above + _BEGIN + _HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")

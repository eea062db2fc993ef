"""
The page that people follow, as what can be run: blocks of commands, in order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/install.md"


@dataclass(frozen=True, slots=True)
class Block:
    """One block of commands, and the section that it stands in."""

    section: str
    commands: str


def blocks() -> list[Block]:
    """Return all blocks of the page, as they stand there."""
    found = []
    for section in re.split(r"(?m)^## ", PAGE.read_text("utf-8"))[1:]:
        title = section.partition("\n")[0]
        found += [Block(title, text) for text in re.findall(r"(?ms)^```sh\n(.*?)^```$", section)]
    return found


def section(title: str) -> list[str]:
    """Return the blocks of one section."""
    found = [block.commands for block in blocks() if block.section == title]
    assert found, f"the page has no section {title}"
    return found

"""
Documents: every link leads somewhere, and every page that code names is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("agi_router", "dialplan", "docker", "docs", "sql", "tests")
PAGES = sorted(
    [*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))]
)

_CODE = re.compile(r"(?ms)^```.*?^```$|^(?: {4}|\t).*?$|`[^`\n]+`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:")
_HEADING = re.compile(r"(?m)^#+ (.+?)\s*$")
_NAMED = re.compile(r"(?<![\w/.-])(?:docs|sql|dialplan|docker|tests|agi_router)/[\w/-]+\.md\b")


def _links(page: Path) -> Iterator[str]:
    for link in _LINK.findall(_CODE.sub("", page.read_text("utf-8"))):
        if not _ELSEWHERE.match(link):
            yield link


def _anchors(page: Path) -> set[str]:
    """Return what GitHub makes of the page's headings."""
    found: set[str] = set()
    for heading in _HEADING.findall(re.sub(r"(?ms)^```.*?^```$", "", page.read_text("utf-8"))):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        repeated = sum(1 for each in found if re.fullmatch(rf"{re.escape(slug)}(-\d+)?", each))
        found.add(f"{slug}-{repeated}" if repeated else slug)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links(page: Path) -> None:
    """Every relative link and anchor of the page resolves."""
    broken = []
    for link in _links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)

    assert broken == []


def test_links_are_seen() -> None:
    """The check above has something to check."""
    assert sum(1 for page in PAGES for _ in _links(page)) > 50


def test_no_page_in_the_package() -> None:
    """What people look up is in ``docs/``; a wheel holds none of it."""
    assert list((ROOT / "agi_router").rglob("*.md")) == []


def test_pages_that_code_names() -> None:
    """A comment or an error that sends its reader to a page names one that is there."""
    named = {
        (file.relative_to(ROOT).as_posix(), name)
        for folder in FOLDERS
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and file.suffix in {".py", ".conf", ".sql", ".sh", ".service", ""}
        if "__pycache__" not in file.parts
        for name in _NAMED.findall(file.read_text("utf-8", errors="replace"))
    }

    assert sorted(each for each in named if not (ROOT / each[1]).is_file()) == []
    assert named


def test_globals_of_the_dialplan() -> None:
    """The table of docs/dialplan.md has every global of the shipped dialplan with its default."""
    shipped = (ROOT / "dialplan/agi_router.conf").read_text("utf-8")
    defaults = re.search(r"(?ms)^\[globals\]\(\+\)\n(.*?)^\[", shipped)
    assert defaults
    set_there = dict(re.findall(r"(?m)^(AGI_ROUTER_\w+)=(.*)$", defaults[1]))
    # It names the file's own version, which nobody sets.
    del set_there["AGI_ROUTER_DIALPLAN"]
    page = (ROOT / "docs/dialplan.md").read_text("utf-8")
    told = dict(re.findall(r"(?m)^\| `(AGI_ROUTER_\w+)` \| (?:`([^`]+)`|none) \|", page))

    assert set_there == told


def test_metrics() -> None:
    """The table of docs/operate.md names every metric, and no other."""
    page = (ROOT / "docs/operate.md").read_text("utf-8")
    told = re.findall(r"(?m)^\| `(agi_router_\w+?)(?:_total)?` \|", page)
    service = "".join(
        each.read_text("utf-8") for each in (ROOT / "agi_router/service").glob("*.py")
    )

    assert sorted(re.findall(r'"(agi_router_\w+)"', service)) == sorted(told)


def test_events() -> None:
    """The events that docs/operate.md explains are logged."""
    page = (ROOT / "docs/operate.md").read_text("utf-8").partition("\n## Logs\n")[2]
    rows = re.findall(r"(?m)^\| ((?:`\w+\.\w+`(?:, )?)+) \|", page.partition("\n## ")[0])
    told = {event for row in rows for event in re.findall(r"`(.+?)`", row)}
    code = "".join(each.read_text("utf-8") for each in (ROOT / "agi_router").rglob("*.py"))

    assert told
    assert {event for event in told if f'"{event}"' not in code} == set()


def test_the_front_page_is_short() -> None:
    """README.md fits on a few screens, and sets up by exactly two commands."""
    page = (ROOT / "README.md").read_text("utf-8")

    assert len(page.splitlines()) <= 150
    assert re.findall(r"(?m)^    (\./\S+/\S+) +# installs", page) == [
        "./docker/demo",
        "./tests/run",
    ]

"""
Changes to one of Asterisk's configuration files that can be told from the rest, and taken back.

Rules for the editor:

1. Pure: text in, text out.
2. What is added stands between two marks; what is switched off stays where it is, behind a mark.
   So :func:`restored` gives back what was there before, whatever was changed elsewhere since, and
   a change that is made again changes nothing.
"""

import re
from collections.abc import Iterator, Mapping

__all__ = ["above", "below", "options", "restored", "with_lines", "with_options", "without"]

_BEGIN = "; >>> agi-router setup"
_END = "; <<< agi-router setup"
_OFF = ";agi-router setup; "
_HEADER = re.compile(r"\[([^\]]+)\]")
_ASSIGNMENT = re.compile(r"\s*[^=;#\[\s][^=;]*=")
# Of comments that go over several lines; ";---" is an ordinary one.
_COMMENT = re.compile(r";--(?!-)|--;")


def restored(text: str) -> str:
    """
    The text as it was before anything was added or switched off.
    """
    lines = []
    ours = False
    for line in text.splitlines():
        if line == _BEGIN:
            ours = True
        elif line == _END:
            ours = False
        elif not ours:
            lines.append(line.removeprefix(_OFF))
    return _joined(lines)


def above(text: str, block: str) -> str:
    """
    The text with *block* in front of everything.
    """
    return _joined([*_marked(block), *text.splitlines()])


def below(text: str, block: str) -> str:
    """
    The text with *block* behind everything.
    """
    return _joined([*text.splitlines(), *_marked(block)])


def options(text: str) -> dict[str, dict[str, str]]:
    """
    What the text sets, by section and then by key in small letters; of several the last one.
    """
    found: dict[str, dict[str, str]] = {}
    for section, kind, line in _lines(text):
        if kind == "header":
            found.setdefault(section, {})
        elif kind == "option":
            key, value = _split(line)
            found.setdefault(section, {})[key] = value
    return found


def with_options(text: str, section: str, values: Mapping[str, str]) -> str:
    """
    The text with *values* set in a section, which is added where there is none.

    What the section says of them elsewhere is switched off.
    """
    off = without(text, section, *values)
    return with_lines(off, section, "\n".join(f"{key}={value}" for key, value in values.items()))


def with_lines(text: str, section: str, lines: str) -> str:
    """
    The text with *lines* at the beginning of a section, which is added where there is none.
    """
    found: list[str] = []
    done = False
    for name, kind, line in _lines(text):
        found.append(line)
        if kind == "header" and name == section and not done:
            found += _marked(lines)
            done = True
    return _joined(found) if done else below(text, f"[{section}]\n{lines}")


def without(text: str, section: str, *keys: str) -> str:
    """
    The text with whatever a section says of *keys* switched off; of all, where none is given.
    """
    return _joined(
        [
            f"{_OFF}{line}"
            if name == section and kind == "option" and (not keys or _split(line)[0] in keys)
            else line
            for name, kind, line in _lines(text)
        ]
    )


def _lines(text: str) -> Iterator[tuple[str, str, str]]:
    """
    Each line with the section it is in, and what it is: ``header``, ``option`` or ``other``.
    """
    section = ""
    depth = 0
    for line in text.splitlines():
        kind = "other"
        if depth == 0 and (header := _HEADER.match(line)):
            section, kind = header[1], "header"
        elif depth == 0 and _ASSIGNMENT.match(line):
            kind = "option"
        for mark in _COMMENT.findall(line):
            depth = depth + 1 if mark == ";--" else max(0, depth - 1)
        yield section, kind, line


def _split(line: str) -> tuple[str, str]:
    key, _, value = line.partition("=")
    return key.strip().lower(), value.partition(";")[0].lstrip(">").strip()


def _marked(block: str) -> list[str]:
    return [_BEGIN, *block.strip("\n").splitlines(), _END]


def _joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)

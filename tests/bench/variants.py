"""
The variants, and the dialplan that tells them apart.

Each variant has a digit that is dialled before the 700 number. The entries are made from the
shipped dialplan itself: what is called the same path stays the same path when that is changed.
"""

import re
from enum import StrEnum

from .errors import BenchError

__all__ = ["PREFIX", "Variant", "bench_dialplan"]


class Variant(StrEnum):
    """
    What is compared. The order is that of a round.
    """

    STATIC = "static"
    """A plain Dial(): no router, no database."""
    UNACCOUNTED = "unaccounted"
    """Our call path, but nobody is told that the call ended."""
    JOURNAL = "journal"
    """The shipped path: the hangup handler appends a line, the router settles it."""
    STASIS = "stasis"
    """The hangup handler enters Stasis() with the same line; a reader settles it."""
    CDR = "cdr"
    """Asterisk's own call record goes into a file by cdr_custom; a reader settles it."""

    @property
    def admits(self) -> bool:
        """Whether the router is asked."""
        return self is not Variant.STATIC

    @property
    def settles(self) -> bool:
        """Whether the end of a call gets into the books."""
        return self.admits and self is not Variant.UNACCOUNTED

    @property
    def reader(self) -> bool:
        """Whether a reader of our own settles, not the router."""
        return self in {Variant.STASIS, Variant.CDR}


PREFIX = {
    Variant.STATIC: "9",
    Variant.UNACCOUNTED: "8",
    Variant.JOURNAL: "",
    Variant.STASIS: "7",
    Variant.CDR: "6",
}

_ENTRY = "_700XXXXXXXXXXXX"
_PUSH = "Set(CHANNEL(hangup_handler_push)=agi-router-end,s,1)"
_APPEND = re.compile(r"Set\(FILE\(.*?\)=(1\|.*\|end)\)")
_CHANGED = "the shipped dialplan has changed its {}: see tests/bench/variants.py"


def _steps(dialplan: str, context: str, extension: str) -> list[str]:
    """The applications of one extension, in order."""
    section = re.search(
        rf"^\[{re.escape(context)}\]\n(.*?)(?=^\[|\Z)", dialplan, re.MULTILINE | re.DOTALL
    )
    steps: list[str] = []
    ours = False
    for line in (section[1] if section else "").splitlines():
        head, arrow, rest = line.partition("=>")
        if not arrow or line.startswith(";"):
            continue
        if head.strip() == "exten":
            name, _, rest = rest.strip().partition(",")
            ours = name == extension
        if ours:
            steps.append(rest.partition(",")[2].strip())
    return steps


def _extension(prefix: str, steps: list[str]) -> str:
    head, *tail = (step.replace("${EXTEN}", "${EXTEN:1}") for step in steps)
    lines = [f"exten => _{prefix}{_ENTRY[1:]},1,{head}", *(f" same => n,{step}" for step in tail)]
    return "\n".join(lines)


def bench_dialplan(shipped: str) -> str:
    """
    The entries of all variants but the shipped one.

    Args:
        shipped: Text of the shipped dialplan.

    Raises:
        BenchError: It is no longer of the form that this module knows.
    """
    push, *path = _steps(shipped, "agi-router-in", _ENTRY) or [""]
    if push != _PUSH or not path:
        raise BenchError(_CHANGED.format("entry"))
    append, *_ = _steps(shipped, "agi-router-end", "s") or [""]
    line = _APPEND.fullmatch(append)
    if line is None or "," in line[1]:
        raise BenchError(_CHANGED.format("hangup handler"))
    fields = line[1].replace("${CALLERID(dnid)}", "${CALLERID(dnid):1}")
    entries = {
        Variant.STATIC: ["Dial(PJSIP/139${EXTEN:-8}@carrier-out,45)"],
        Variant.UNACCOUNTED: path,
        Variant.STASIS: [push.replace("agi-router-end", "bench-end"), *path],
        # The field separator of cdr_custom must not stand in a field.
        Variant.CDR: ["Set(CDR(userfield)=${UNIQUEID}*${EXTEN})", *path],
    }
    return "\n".join(
        [
            "[agi-router-in](+)",
            *(_extension(PREFIX[variant], steps) for variant, steps in entries.items()),
            "",
            "[bench-end]",
            f"exten => s,1,Stasis(agi_router_end,{fields})",
            " same => n,Return()",
            "",
        ]
    )

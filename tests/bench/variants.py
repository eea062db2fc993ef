"""
The variants, and the dialplan that tells them apart.

Each variant has a digit that is dialled before the 700 number. The entries of our own are made
from the shipped dialplan itself: what is called the same path stays the same path when that is
changed.
"""

import re
from collections.abc import Iterable
from enum import StrEnum

from .errors import BenchError

__all__ = ["APPS", "DEFAULT", "PREFIX", "SERVERS", "STOCK_DIAL", "Variant", "bench_dialplan"]

SERVERS = ("asterisk", "router", "postgres")


class Variant(StrEnum):
    """
    What is compared. The order is that of a round.
    """

    STATIC = "static"
    """A plain Dial(): no router, no database."""
    STOCK = "stock"
    """The same line, in an Asterisk with Debian's own configuration."""
    ODBC = "odbc"
    """func_odbc finds the callee; a masked Dial(); nothing is counted and no call is recorded."""
    ODBC_CDR = "odbc_cdr"
    """What one would build without us, same accounting: func_odbc admits, cdr_pgsql settles."""
    FASTAGI = "fastagi"
    """Our FastAGI door alone."""
    JOURNAL = "journal"
    """The shipped path: the ARI door; the hangup handler appends a line, the router settles."""
    ROUTERS = "routers"
    """The same, the calls dealt out to two routers, each with an application of its own."""
    UNACCOUNTED = "unaccounted"
    """Our call path, but nobody is told that the call ended."""
    STASIS = "stasis"
    """The hangup handler enters Stasis() with the same line; a reader settles it."""
    CDR = "cdr"
    """Asterisk's own call record goes into a file by cdr_custom; a reader settles it."""

    @property
    def admits(self) -> bool:
        """Whether the router is asked."""
        return self not in _WITHOUT_US

    @property
    def settles(self) -> bool:
        """Whether the end of a call gets into the database, ours or those of its own."""
        return (self.admits and self is not Variant.UNACCOUNTED) or self is Variant.ODBC_CDR

    @property
    def servers(self) -> tuple[str, ...]:
        """What it needs; what others take meanwhile, idle, is left out of its sum."""
        if self in {Variant.STATIC, Variant.STOCK}:
            return ("asterisk",)
        if self in {Variant.ODBC, Variant.ODBC_CDR}:
            return ("asterisk", "postgres")
        return SERVERS


_WITHOUT_US = {Variant.STATIC, Variant.STOCK, Variant.ODBC, Variant.ODBC_CDR}

DEFAULT = (
    Variant.STATIC,
    Variant.STOCK,
    Variant.ODBC,
    Variant.ODBC_CDR,
    Variant.FASTAGI,
    Variant.JOURNAL,
    Variant.ROUTERS,
)
"""What is compared where nothing else is asked for."""

PREFIX = {
    Variant.STATIC: "9",
    Variant.STOCK: "9",
    Variant.UNACCOUNTED: "8",
    Variant.STASIS: "7",
    Variant.CDR: "6",
    Variant.ODBC: "5",
    Variant.ODBC_CDR: "4",
    Variant.FASTAGI: "3",
    Variant.ROUTERS: "2",
    Variant.JOURNAL: "",
}

STOCK_DIAL = "Dial(PJSIP/139${EXTEN:-8}@carrier-out,45)"
"""The plain ``Dial()`` of the configuration with one trunk."""

APPS = ("agi_router", "agi_router_2")
"""The applications of the routers, in ROUTERS; the first is that of the test PBX."""

# Stands for one of the shipped dialplan's trunks, chosen as it does.
_TRUNK = "${TRUNK}"
_STATIC_DIAL = STOCK_DIAL.replace("carrier-out", _TRUNK)

_NUMBER = "_700XXXXXXXXXXXX"
_PUSH = "Set(CHANNEL(hangup_handler_push)=agi-router-end,s,1)"
_APP = "${AGI_ROUTER_APP}"
_POLICY = re.compile(r"Set\(TRUNK=(.*)\)")
_APPEND = re.compile(r"Set\(FILE\(.*?\)=(3\|.*\|end)\)")
_CHANGED = "the shipped dialplan has changed its {}: see tests/bench/variants.py"

# The options that mask are those of the shipped dialplan.
_MASKED = "iIf(${EXTEN})u(allowed)o(${EXTEN})"
_ODBC = (
    "Set(CALLEE=${BENCH_LOOKUP(${EXTEN},${CALLERID(num)})})",
    'GotoIf($["${CALLEE}" = ""]?bench-refuse,s,1)',
    "Set(CALLERID(all)=<${EXTEN}>)",
    f"Dial(PJSIP/${{CALLEE}}@{_TRUNK},45,{_MASKED})",
)
_ODBC_CDR = (
    "Set(ARRAY(CALLEE,RING,LONGEST)=${BENCH_ADMIT(${EXTEN},${CALLERID(num)},${UNIQUEID})})",
    'GotoIf($["${CALLEE}" = ""]?bench-refuse,s,1)',
    "Set(CALLERID(all)=<${EXTEN}>)",
    f"Dial(PJSIP/${{CALLEE}}@{_TRUNK},${{RING}},{_MASKED}L(${{LONGEST}}000:60000))",
)


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


def _extension(prefix: str, steps: Iterable[str], *, last: str = "X") -> str:
    """An extension for a digit before the number; *last* is the pattern of the last digit."""
    head, *tail = (step.replace("${EXTEN}", "${EXTEN:1}") for step in steps)
    name = f"_{prefix}{_NUMBER[1:-1]}{last}"
    return "\n".join([f"exten => {name},1,{head}", *(f" same => n,{step}" for step in tail)])


def _told(steps: list[str]) -> list[str]:
    """The same steps; one that is there also tells the dialled number without its digit."""
    for place, step in enumerate(steps):
        if step.startswith("MSet("):
            told = step.replace("MSet(", "MSet(CALLERID(dnid)=${EXTEN},", 1)
            return [*steps[:place], told, *steps[place + 1 :]]
    raise BenchError(_CHANGED.format("entry"))


def bench_dialplan(shipped: str) -> str:
    """
    The entries of all variants but the shipped one.

    Args:
        shipped: Text of the shipped dialplan.

    Raises:
        BenchError: It is no longer of the form that this module knows.
    """
    # A variant's number has a digit in front, which only its own extension knows.
    entry = [
        step.replace("${CALLERID(dnid)}", "${EXTEN}")
        for step in _steps(shipped, "agi-router-entered", "s")
    ]
    fastagi = _steps(shipped, "agi-router-entered-fastagi", "s")
    if _PUSH not in entry or _PUSH not in fastagi or not any(_APP in step for step in entry):
        raise BenchError(_CHANGED.format("entry"))
    append, *_ = _steps(shipped, "agi-router-end", "line") or [""]
    line = _APPEND.fullmatch(append)
    if line is None or "," in line[1]:
        raise BenchError(_CHANGED.format("hangup handler"))
    fields = line[1].replace("${CALLERID(dnid)}", "${CALLERID(dnid):1}")
    choices = filter(None, map(_POLICY.fullmatch, _steps(shipped, "agi-router-out", "s")))
    choice = next(choices, None)
    if choice is None:
        raise BenchError(_CHANGED.format("trunk"))
    unaccounted = [step for step in entry if step != _PUSH]
    push = _PUSH.replace("agi-router-end", "bench-end")
    halves = zip(APPS, ("[02468]", "[13579]"), strict=True)
    text = "\n".join(
        [
            "[agi-router-in](+)",
            # Patience is over: no caller of the benchmark dials it.
            "exten => T,1,Goto(agi-router-fallback,s,1)",
            _extension(PREFIX[Variant.STATIC], [_STATIC_DIAL]),
            _extension(PREFIX[Variant.ODBC], _ODBC),
            _extension(PREFIX[Variant.ODBC_CDR], _ODBC_CDR),
            _extension(PREFIX[Variant.FASTAGI], _told(fastagi)),
            *(
                _extension(
                    PREFIX[Variant.ROUTERS],
                    [step.replace(_APP, app) for step in _told(entry)],
                    last=digits,
                )
                for app, digits in halves
            ),
            _extension(PREFIX[Variant.UNACCOUNTED], unaccounted),
            _extension(
                PREFIX[Variant.STASIS], [push if step == _PUSH else step for step in entry]
            ),
            # The field separator of cdr_custom must not stand in a field.
            _extension(
                PREFIX[Variant.CDR], ["Set(CDR(userfield)=${UNIQUEID}*${EXTEN})", *unaccounted]
            ),
            "",
            "[bench-end]",
            "exten => s,1,Set(TALK=${ANSWEREDTIME_MS})",
            f" same => n,Stasis(agi_router_end,{fields})",
            " same => n,Return()",
            "",
            "[bench-refuse]",
            "exten => s,1,Hangup(21)",
            "",
        ]
    )
    return text.replace(_TRUNK, choice[1])

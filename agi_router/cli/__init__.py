"""
The command line, ``agi-router``.

Exit codes: those of :mod:`agi_router.cli.exit_codes`; 1 where ``doctor`` found a fault, 2 for
wrong usage.
Errors are one line on stderr that says what to do; results are on stdout.
"""

import logging
import os
import select
import sys
from collections.abc import Sequence
from pathlib import Path

from agi_router import logs
from agi_router.cli.exit_codes import exit_code
from agi_router.errors import AgiRouterError

__all__ = ["COMMANDS", "CommandError", "main"]

log = logging.getLogger(__name__)

# Where Python looks for time zones if nobody has wished otherwise. It asks its own Makefile for
# that, whose words a router would keep; psycopg imports zoneinfo, and our sessions are in UTC.
_TIME_ZONES = "/usr/share/zoneinfo:/usr/lib/zoneinfo:/usr/share/lib/zoneinfo:/etc/zoneinfo"

COMMANDS = {
    "key": ("keys", "group"),
    "db": ("db", "group"),
    "block": ("blocks", "group"),
    "cell": ("cells", "group"),
    "blocklist": ("blocklist", "group"),
    "tenant": ("tenants", "group"),
    "pool": ("pool", "group"),
    "bind": ("bindings", "bind"),
    "group": ("groups", "group"),
    "party-group": ("party_groups", "group"),
    "unbind": ("bindings", "unbind"),
    "extend": ("bindings", "extend"),
    "change": ("bindings", "change"),
    "show": ("bindings", "show"),
    "list": ("bindings", "list_"),
    "import": ("bulk", "import_"),
    "export": ("bulk", "export"),
    "migrate-x": ("bulk", "migrate_x"),
    "export-day": ("exports", "export_day"),
    "consent": ("consents", "group"),
    "person": ("persons", "group"),
    "complaint": ("complaints", "group"),
    "lock": ("locks", "group"),
    "appeal": ("appeals", "group"),
    "explain": ("calls", "explain"),
    "calls": ("calls", "calls"),
    "messages": ("messages", "messages"),
    "message": ("messages", "group"),
    "link": ("links", "group"),
    "api-key": ("api_keys", "group"),
    "audit": ("audit", "group"),
    "trace": ("traces", "trace"),
    "webhook": ("webhooks", "group"),
    "feed": ("feeds", "group"),
    "number-range": ("number_ranges", "group"),
    "events": ("events", "group"),
    "deliver": ("deliver", "deliver"),
    "serve": ("service", "serve"),
    "sweep": ("sweep", "sweep"),
    "settle": ("settle", "settle"),
    "retention": ("retention", "group"),
    "recording": ("recordings", "group"),
    "settings": ("service", "settings"),
    "doctor": ("doctor", "doctor"),
    "setup": ("setup", "setup"),
    "leaktest": ("leaktest", "leaktest"),
    "media-guard": ("media_guard", "group"),
}
"""By its name, the module of a command and the command's name in it; none is imported here."""


class CommandError(Exception):
    """
    The command line is wrong, or somebody has broken it off.

    Args:
        said: What is wrong.
        code: The exit code.
    """

    def __init__(self, said: str, code: int) -> None:
        super().__init__(said)
        self.code = code


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Run the command line and exit.
    """
    given = sys.argv[1:] if arguments is None else arguments
    if sys.stdin is None:
        # It was closed: nothing comes from there, and no connection gets its descriptor.
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - open to the end
    try:
        "".join(given).encode()
    except UnicodeEncodeError:
        _fail("arguments are text in UTF-8; got other bytes", 2)
    try:
        result = _run(list(given))
    except CommandError as error:
        _fail(str(error), error.code)
    except AgiRouterError as error:
        _fail(str(error), exit_code(error))
    except SystemExit as error:  # click's, on a pipe that is broken
        sys.exit(0 if _nobody_reads() else error.code)
    except Exception:  # a defect of ours; Python's own traceback could quote a number
        logs.set_up("WARNING")
        log.critical("uncaught", exc_info=True)
        sys.exit(exit_code(AgiRouterError))
    sys.exit(result if isinstance(result, int) else 0)


def _run(given: list[str]) -> object:
    """
    Run a command, and import no other: a router keeps all that was imported, and needs no click.
    """
    if given[:1] == ["serve"]:
        os.environ.setdefault("PYTHONTZPATH", _TIME_ZONES)
        from agi_router.cli import serving  # noqa: PLC0415

        if (asked := serving.read(given[1:])) is not None:
            door, take_over = asked
            serving.serve(door, take_over=take_over)
            return 0
    from agi_router.cli import commands  # noqa: PLC0415

    return commands.run(given)


def _nobody_reads() -> bool:
    """
    Whether standard output is a pipe whose reader has left.
    """
    try:
        pipe = select.poll()
        pipe.register(sys.stdout.fileno(), 0)
        return any(event & select.POLLERR for _, event in pipe.poll(0))
    except (OSError, ValueError):
        return False


def _fail(message: str, code: int) -> None:
    from agi_router.cli.output import echo  # noqa: PLC0415

    # click quotes what it does not understand, and that may be a number in the wrong place.
    # Its list of words has ends of lines and tabs.
    echo(f"agi-router: {' '.join(logs.redact(message).split())}", err=True)
    sys.exit(code)

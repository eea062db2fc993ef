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
from importlib import import_module
from itertools import takewhile
from pathlib import Path

import click

from agi_router import logs
from agi_router.cli.exit_codes import exit_code
from agi_router.cli.output import echo
from agi_router.errors import AgiRouterError

__all__ = ["cli", "main"]

log = logging.getLogger(__name__)

_JSON = "--json"

_CODES = """
\b
Exit codes:
  0  done                        70  a fault of ours, or damaged data
  1  doctor or leaktest found    73  in conflict with what is there
  2  wrong usage                 76  program and database do not fit
  65 unacceptable number or time 77  it is the operator's to do
  66 no such binding or block    78  settings or keys are wrong
  69 PostgreSQL or Asterisk does not answer
"""


# The module below agi_router.cli, and the command's name in it.
_COMMANDS = {
    "key": ("keys", "group"),
    "db": ("db", "group"),
    "block": ("blocks", "group"),
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
    "lock": ("locks", "group"),
    "explain": ("calls", "explain"),
    "calls": ("calls", "calls"),
    "messages": ("messages", "messages"),
    "message": ("messages", "group"),
    "api-key": ("api_keys", "group"),
    "audit": ("audit", "group"),
    "trace": ("traces", "trace"),
    "webhook": ("webhooks", "group"),
    "feed": ("feeds", "group"),
    "events": ("events", "group"),
    "deliver": ("deliver", "deliver"),
    "serve": ("service", "serve"),
    "sweep": ("sweep", "sweep"),
    "settings": ("service", "settings"),
    "doctor": ("doctor", "doctor"),
    "setup": ("setup", "setup"),
    "leaktest": ("leaktest", "leaktest"),
}


class _Commands(click.Group):
    """
    Imports a command when it is asked for: a router keeps the others out of its memory.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click gives it
        """
        The names of all commands, in alphabetical order.
        """
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """
        The command of a name, if there is one.
        """
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"{__name__}.{module}"), name)
        _lay_out(command)
        return command


def _lay_out(command: click.Command) -> None:
    """
    Let click keep the lines of examples: docstrings are raw, so what it looks for is spelt out.
    """
    command.help = (command.help or "").replace("\\b\n", "\b\n")
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        _lay_out(each)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_CODES,
)
@click.version_option(package_name="agi_router", prog_name="agi-router")
def cli() -> None:
    r"""
    Number protection service on Asterisk: calls masked on both sides by 700 numbers.

    Settings come from the environment: AGI_ROUTER_* (see "agi-router settings") and, for the
    database, libpq's own PG* variables. Commands that read or create take --json, before or behind
    the command.

    \b
    First steps:
      agi-router key new --file /etc/agi-router/key
      export AGI_ROUTER_KEY_FILE=/etc/agi-router/key
      agi-router db migrate
      agi-router block add 70012345678
      agi-router bind axb --a - --b - --ttl 2h      # asks for the numbers, a line each
      agi-router doctor
      agi-router serve

    In front of an Asterisk of your own: agi-router setup
    """


_lay_out(cli)


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
        result = cli.main(args=_json_behind(given), prog_name="agi-router", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        echo(error.format_message())
        sys.exit(2)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "agi-router"
        _fail(f"{error.format_message()} (see '{path} --help')", 2)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except click.Abort:
        _fail("interrupted", 130)
    except AgiRouterError as error:
        _fail(str(error), exit_code(error))
    except SystemExit as error:  # click's, on a pipe that is broken
        sys.exit(0 if _nobody_reads() else error.code)
    except Exception:  # a defect of ours; Python's own traceback could quote a number
        logs.set_up("WARNING")
        log.critical("uncaught", exc_info=True)
        sys.exit(exit_code(AgiRouterError))
    sys.exit(result if isinstance(result, int) else 0)


def _json_behind(given: Sequence[str]) -> list[str]:
    """
    The arguments, with a ``--json`` that stands before the command put behind it.
    """
    head = list(takewhile(lambda word: word == _JSON or not word.startswith("-"), given))
    words = [word for word in head if word != _JSON]
    json = [_JSON] if words and len(words) < len(head) else []
    return [*words, *json, *given[len(head) :]]


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
    # click quotes what it does not understand, and that may be a number in the wrong place.
    echo(f"agi-router: {logs.redact(message)}".replace("\n", " "), err=True)
    sys.exit(code)

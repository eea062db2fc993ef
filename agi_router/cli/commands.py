"""
The group of all commands, as click reads it.
"""

from collections.abc import Sequence
from importlib import import_module
from itertools import takewhile

import click

from agi_router.cli import COMMANDS, CommandError
from agi_router.cli.output import echo

__all__ = ["cli", "run"]

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


class _Commands(click.Group):
    """
    Imports a command when it is asked for.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click gives it
        """
        The names of all commands, in alphabetical order.
        """
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """
        The command of a name, if there is one.
        """
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"agi_router.cli.{module}"), name)
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


def run(given: Sequence[str]) -> object:
    """
    Run a command; returns its exit code, if it has one of its own.

    Args:
        given: What stands behind the name of the program.

    Raises:
        CommandError: There is no such command or option, or somebody has broken it off.
        AgiRouterError: The command's.
    """
    try:
        return cli.main(args=_json_behind(given), prog_name="agi-router", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        echo(error.format_message())
        return 2
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "agi-router"
        raise CommandError(f"{error.format_message()} (see '{path} --help')", 2) from None
    except click.ClickException as error:
        raise CommandError(error.format_message(), error.exit_code) from None
    except click.Abort:
        raise CommandError("interrupted", 130) from None


def _json_behind(given: Sequence[str]) -> list[str]:
    """
    The arguments, with a ``--json`` that stands before the command put behind it.
    """
    head = list(takewhile(lambda word: word == _JSON or not word.startswith("-"), given))
    words = [word for word in head if word != _JSON]
    json = [_JSON] if words and len(words) < len(head) else []
    return [*words, *json, *given[len(head) :]]

"""
``agi-router serve`` and ``settings``, as click reads them.
"""

import click

from agi_router.cli import serving
from agi_router.cli.context import read_settings
from agi_router.cli.output import echo, echo_json, json_option

__all__ = ["serve", "settings"]


@click.command()
@click.option(
    "--door",
    type=click.Choice(serving.DOORS),
    default=serving.ALL,
    show_default=True,
    help="Which doors this process serves. A process each, and one may freeze or fail alone.",
)
@click.option(
    "--take-over",
    is_flag=True,
    help="Take the calls from a router that serves under the same name; it stands by then.",
)
@click.option(
    "--trial",
    is_flag=True,
    hidden=True,
    help='Of "leaktest", which serves a door of its own: its settings are not put on record.',
)
def serve(door: str, *, take_over: bool, trial: bool) -> None:
    r"""
    Serve calls until SIGTERM, then drain. Stand by while another router has taken over.

    Calls that are up go on without the router.

    Refuses to run on a PBX by whose configuration a number could get out; "doctor" names what is
    wrong. AGI_ROUTER_UNSAFE_PROFILE accepts it, by these names or by "allow" for all.

    The door "http" serves no calls: by it platforms make bindings. It needs the extra
    agi_router[api], and a process of its own.

    The door "sip-messages" takes and sends texts by SIP, and "smpp" by a link to a message centre;
    each in a process of its own too.

    \b
    Example:
      agi-router serve --door ari
    """
    serving.serve(door, take_over=take_over, trial=trial)


@click.command()
@json_option
def settings(*, as_json: bool) -> None:
    r"""
    Show every setting and its effective value; secrets stay hidden.

    \b
    Example:
      agi-router settings
    """
    described = read_settings().describe()
    if as_json:
        echo_json(described)
    else:
        for name, value in described.items():
            echo(f"{name}={value}")

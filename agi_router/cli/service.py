"""
``agi-router serve`` and ``settings``: the service itself.
"""

import click
import uvloop

from agi_router import logs
from agi_router.cli.context import open_database, read_settings, with_extra
from agi_router.cli.output import echo, echo_json, json_option
from agi_router.db.migrate import check_schema
from agi_router.db.rights import check_rights
from agi_router.keys.registry import check_keys
from agi_router.service import daemon

__all__ = ["serve", "settings"]

_HTTP = "http"
_SIP_MESSAGES = "sip-messages"


@click.command()
@click.option(
    "--door",
    "doors",
    type=click.Choice([*(each.value for each in daemon.Doors), _HTTP, _SIP_MESSAGES]),
    default=daemon.Doors.BOTH.value,
    show_default=True,
    help="Which doors this process serves. A process each, and one may freeze or fail alone.",
)
@click.option(
    "--take-over",
    is_flag=True,
    help="Take the calls from a router that serves under the same name; it stands by then.",
)
def serve(doors: str, *, take_over: bool) -> None:
    """
    Serve calls until SIGTERM, then drain. Stand by while another router has taken over.

    Calls that are up go on without the router.

    Refuses to run on a PBX by whose configuration a number could get out; "doctor" names what is
    wrong. AGI_ROUTER_UNSAFE_PROFILE accepts it, by these names or by "allow" for all.

    The door "http" serves no calls: by it platforms make bindings. It needs the extra
    agi_router[api], and a process of its own.

    The door "sip-messages" takes and sends texts by SIP, in a process of its own too.
    """
    if doors == _HTTP:
        # A router is to hold none of it in memory.
        with with_extra():
            from agi_router.service import http_server  # noqa: PLC0415
    effective = read_settings()
    keys = effective.load_keys()
    with open_database(effective) as connection:
        check_schema(connection)
        check_rights(connection)
        keys = check_keys(connection, keys)
    logs.set_up(effective.log_level)
    if doors == _HTTP:
        uvloop.run(http_server.serve(effective, keys))
        return
    if doors == _SIP_MESSAGES:
        # Nor any of this.
        from agi_router.service import message_server  # noqa: PLC0415

        uvloop.run(message_server.serve(effective, keys))
        return
    uvloop.run(daemon.serve(effective, keys, daemon.Doors(doors), take_over=take_over))


@click.command()
@json_option
def settings(*, as_json: bool) -> None:
    """
    Show every setting and its effective value; secrets stay hidden.
    """
    described = read_settings().describe()
    if as_json:
        echo_json(described)
    else:
        for name, value in described.items():
            echo(f"{name}={value}")

"""
What ``agi-router serve`` does. A router keeps for ever what is imported here: no click.
"""

import logging
from collections.abc import Sequence

import uvloop

from agi_router import logs
from agi_router.cli.context import open_database, read_settings, with_extra
from agi_router.db.connection import Connection, Queries
from agi_router.db.migrate import check_schema
from agi_router.db.rights import check_rights
from agi_router.errors import StoreError
from agi_router.keys.registry import check_keys
from agi_router.records.configuration import record_settings
from agi_router.service import daemon
from agi_router.settings import Settings

__all__ = ["ALL", "DOORS", "read", "serve"]

log = logging.getLogger(__name__)

_HTTP = "http"
_SIP_MESSAGES = "sip-messages"
_SMPP = "smpp"
_TAKE_OVER = "--take-over"

ALL = daemon.Doors.BOTH.value
"""What is served where nobody says."""

DOORS = (*(each.value for each in daemon.Doors), _HTTP, _SIP_MESSAGES, _SMPP)
"""What may stand behind ``--door``."""


def read(words: Sequence[str]) -> tuple[str, bool] | None:
    """
    Read the words behind ``serve`` as services write them.

    Returns:
        The door and whether to take over; None for what else may stand there, which is click's.
    """
    match [word for word in words if word != _TAKE_OVER]:
        case []:
            door = ALL
        case ["--door", word]:
            door = word
        case _:
            return None
    return (door, _TAKE_OVER in words) if door in DOORS else None


def serve(door: str, *, take_over: bool, trial: bool = False) -> None:
    """
    Serve until SIGTERM, then drain.

    Args:
        door: One of :data:`DOORS`.
        take_over: Whether to take the calls from a router that serves under the same name.
        trial: Whether its settings are those of a test, which are not put on record.

    Raises:
        AgiRouterError: Something that is needed is missing or wrong.
    """
    if door == _HTTP:
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
        if not trial:
            _record(connection, door, effective)
    if door == _HTTP:
        uvloop.run(http_server.serve(effective, keys))
        return
    if door in {_SIP_MESSAGES, _SMPP}:
        # Nor any of this.
        from agi_router.service import message_server  # noqa: PLC0415

        work = message_server.serve if door == _SIP_MESSAGES else message_server.serve_link
        uvloop.run(work(effective, keys))
        return
    uvloop.run(daemon.serve(effective, keys, daemon.Doors(door), take_over=take_over))


def _record(connection: Connection, door: str, effective: Settings) -> None:
    """
    Put the settings on record; where they cannot be, that is said, and the next start tries again.
    """
    # Of these several may serve on one host.
    which = {_HTTP: f" at {effective.http_listen}", _SMPP: f" {effective.smpp_link}"}.get(door, "")
    try:
        record_settings(Queries(connection), door + which, effective.describe())
    except StoreError as error:
        log.warning("settings.unrecorded", extra={"reason": str(error)})

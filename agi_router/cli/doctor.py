"""
``agi-router doctor``: whether everything that calls need is there.
"""

import asyncio
import errno
import hmac
import os
import re
import socket
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from importlib.resources import files
from pathlib import Path
from ssl import CERT_NONE, SSLSocket, create_default_context
from typing import Any

import click

from agi_router.ari import (
    AriClient,
    AriError,
    AriRefused,
    AriUnauthorized,
    UserEvent,
    path,
)
from agi_router.bindings.words import Language
from agi_router.calls.dialplan import DIALPLAN_VERSION
from agi_router.calls.journal import EndJournal
from agi_router.calls.journal_probe import JournalProbe
from agi_router.cli.context import read_settings
from agi_router.cli.output import echo, echo_json, json_option
from agi_router.clocks import OtherClock, steady
from agi_router.db.connection import Connection, Queries, connect
from agi_router.db.migrate import check_schema
from agi_router.db.queries import query
from agi_router.db.replication import Replication, hosts_of, look_at_replication
from agi_router.db.rights import check_rights, owns_schema, rights_to_delete
from agi_router.db.session import why_read_only
from agi_router.doors.fastagi import answers
from agi_router.durations import format_duration
from agi_router.errors import AgiRouterError, JournalError, SchemaMismatch
from agi_router.exports.kinds import ZONE
from agi_router.files import account_name, may_write, open_directory
from agi_router.inventory.cell_health import Fault, judge_cell, judge_proxy
from agi_router.keys.registry import SEALS_ALLOWED, SEALS_WARNED, check_keys, count_sealed
from agi_router.maintenance.proofs import kept
from agi_router.messages.records import LinkRecords
from agi_router.messages.views import describe_link
from agi_router.numbering import load_ranges, today
from agi_router.pbx.agreement import GLOBALS, NEXT, Known, find_differences
from agi_router.pbx.audit import read_profile
from agi_router.pbx.prompts import (
    APP,
    LONGEST_NOTICE,
    LONGEST_NOTICES,
    SHORTEST_NOTICE,
    PromptFile,
    find_sizes,
)
from agi_router.pbx.rules import Profile, find_faults, find_gaps, ways_in
from agi_router.recordings.clear import judge_directory
from agi_router.service.account import Account
from agi_router.service.certificate import end_of_certificate
from agi_router.service.health import CLOCKS_APART
from agi_router.service.recording_places import bucket_of
from agi_router.settings import Settings, is_loopback
from agi_router.texts import shown

__all__ = ["doctor"]

_OLDEST_ASTERISK = (22, 10, 1)
# Seconds; a phone that sends no silence may listen for so long.
_SHORT_SILENCE = 30
# Seconds in which Asterisk tells the time.
_TIME_TOLD = 2.0
# Seconds until the HTTP door says how it is.
_HTTP_PATIENCE = 3.0
# Whoever renews certificates by itself does so a month before their end.
_CERTIFICATE_LEFT = timedelta(days=14)
_LONGEST_ANSWER = 200
# Seconds for what a cell says of itself.
_CELL_PATIENCE = 5
# A deliverer looks five times a second.
_TAKEN_WITHIN = timedelta(minutes=1)
# The morning in which a day is packed, and how many days are looked at.
_PACKED_WITHIN = timedelta(hours=6)
_EXPORTS_LOOKED_AT = timedelta(days=6)
_OFF = "off"
_LANGUAGES = tuple(each.value for each in Language)
# The prompts that the dialplan plays only where they are short, and of how many bytes they may be.
_NOTICES = {
    "antifraud": (45, LONGEST_NOTICE),
    "recording": (SHORTEST_NOTICE, LONGEST_NOTICE),
    "antifraud_recording": (SHORTEST_NOTICE, LONGEST_NOTICES),
}


@dataclass(frozen=True, slots=True)
class _Check:
    """
    One thing that was looked at.
    """

    what: str
    status: str
    """``ok``, ``warn`` or ``fail``."""
    text: str


@click.command()
@json_option
@click.pass_context
def doctor(context: click.Context, *, as_json: bool) -> None:
    r"""
    Check database, schema, keys, journal, Asterisk with its profile and dialplan, and both doors.

    The profile is what of Asterisk's live configuration could carry a number to the wrong side:
    each option that could is named, with its value and the wanted one. "serve" refuses to run on
    it; what AGI_ROUTER_UNSAFE_PROFILE accepts, by these names or by "allow" for all, is a warning.

    Run as root it looks at keys, secrets, database and journal with the eyes of the account that
    serves, the journal's owner. Prompts, and whether the journal can be written to, it lets
    Asterisk look at.

    Exits with 1 if a check fails. It may be run while calls are served.

    \b
    Examples:
      agi-router doctor
      agi-router doctor --json
    """
    settings = read_settings()
    eyes = _Eyes(Account.serving(settings.journal))
    fastagi = _fastagi(settings, eyes)
    with eyes.acting():
        database = [*_database(settings)]
        journal = _journal(settings)
        recordings = [*_recordings(settings), *_store_of_recordings(settings)]
        sets = _prompt_sets(settings)
    checks = [
        *eyes.told(),
        *database,
        _ranges(settings),
        journal,
        *recordings,
        *asyncio.run(_asterisk(settings, sets, fastagi, eyes)),
        fastagi,
    ]
    healthy = all(check.status != "fail" for check in checks)
    if as_json:
        echo_json(
            {
                "ok": healthy,
                "checks": [
                    {"check": each.what, "status": each.status, "text": each.text}
                    for each in checks
                ],
            }
        )
    else:
        for each in checks:
            echo(f"{each.status:4}  {each.what:10}  {each.text}")
    if not healthy:
        context.exit(1)


@dataclass(frozen=True, slots=True)
class _Eyes:
    """
    As whom it is looked.
    """

    account: Account | None
    """Who serves; :obj:`None` where that is who runs this, or is not known."""

    def acting(self) -> AbstractContextManager[None]:
        """Look as whoever serves, for the time of a block."""
        return nullcontext() if self.account is None else self.account.acting()

    def read(self, file: Path | None, load: Callable[[], str]) -> str:
        """
        What *load* reads of a file of a secret; root's are read by systemd, for the service.
        """
        owner = None
        if file is not None:
            with suppress(OSError):
                owner = file.stat().st_uid
        with nullcontext() if owner == 0 else self.acting():
            return load()

    def told(self) -> Iterator[_Check]:
        """As whom, where that is somebody else."""
        if self.account is not None:
            yield _Check("account", "ok", f"looked as {self.account}, whose the journal is")


def _tried(what: str, good: str, check: Callable[[], object]) -> _Check:
    try:
        check()
    except AgiRouterError as error:
        return _Check(what, "fail", str(error))
    return _Check(what, "ok", good)


def _ranges(settings: Settings) -> _Check:
    """
    How old the table is that says which numbers are people's.
    """
    ranges = load_ranges(settings.number_ranges)
    own = sum(each.own for each in ranges.rows)
    told = f"{len(ranges.rows)} of mobile numbers, {own} of them your own"
    if ranges.as_of is None:
        return _Check("ranges", "ok", told)
    age = (today() - ranges.as_of).days
    return _Check("ranges", "ok", f"{told}, as of {ranges.as_of} ({age} days ago)")


def _recordings(settings: Settings) -> Iterator[_Check]:
    """
    Whether calls as they are recorded lie in memory, and are closed to others.
    """
    if settings.recordings is None:
        return
    faults = [*judge_directory(settings.recordings)]
    yield from (_Check("recordings", "fail", f"{settings.recordings} {each}") for each in faults)
    if not faults:
        yield _Check("recordings", "ok", f"{settings.recordings} is in memory, and closed")


def _store_of_recordings(settings: Settings) -> Iterator[_Check]:
    """
    Whether the bucket that they are brought to can be used, and by nobody else.
    """
    bucket = bucket_of(settings)
    if bucket is None:
        return
    faults = [*bucket.faults()]
    yield from (_Check("bucket", "fail", f"{bucket.address} {each}") for each in faults)
    if not faults:
        told = f"{bucket.address} can be written to and read, and not by strangers"
        yield _Check("bucket", "ok", told)


def _database(settings: Settings) -> Iterator[_Check]:
    try:
        connection = connect(settings.dsn)
    except AgiRouterError as error:
        yield _Check("database", "fail", str(error))
        yield _tried("key", "readable; not compared with the database", settings.load_keys)
        return
    with connection:
        yield _writable(connection)
        yield from _hosts(settings)
        yield from _standbys(connection)
        yield from _cells(connection)
        yield _database_clock(connection)
        schema = _tried("schema", "up to date", lambda: check_schema(connection))
        yield schema
        if schema.status == "ok":
            yield _rights(connection)
            yield _keys(connection, settings)
            for what, found in (
                ("events", _events(connection)),
                ("http", _http(connection, settings)),
                ("texts", _texts(connection, settings)),
                ("link", _links(connection, settings)),
                ("exports", _exports(connection)),
                ("retention", _retention(connection, settings)),
                ("recordings", _unrecorded(connection, settings)),
            ):
                yield from _as_far_as(what, found)
        else:
            yield _tried("key", "readable; not compared with the database", settings.load_keys)


def _as_far_as(what: str, found: Iterator[_Check]) -> Iterator[_Check]:
    """
    What can be looked at: a database behind this one may be away.
    """
    try:
        yield from found
    except AgiRouterError as error:
        yield _Check(what, "fail", str(error))


def _database_clock(connection: Connection) -> _Check:
    clock = OtherClock("the database's", limit=CLOCKS_APART)
    asked = steady()
    row = connection.execute(query("now")).fetchone()
    if row is not None:
        clock.told(row["clock_timestamp"], asked=asked)
    return _compared(clock, "the database's")


async def _clock(ari: AriClient, settings: Settings) -> _Check:
    clock = OtherClock("Asterisk's", limit=settings.patience / 2)
    asked = steady()
    await ari.raise_event("agi_router_doctor")
    try:
        async with asyncio.timeout(_TIME_TOLD):
            async for event in ari:
                if isinstance(event, UserEvent):
                    clock.told(event.timestamp, asked=asked)
                    break
    except TimeoutError:
        return _Check("clock", "warn", "Asterisk does not tell the time")
    return _compared(clock, "Asterisk's")


def _compared(clock: OtherClock, whose: str) -> _Check:
    if trouble := clock.trouble:
        return _Check("clock", "fail", trouble[0].removeprefix("clock: "))
    return _Check("clock", "ok", f"{abs(clock.ahead):.2f} s from {whose}")


def _writable(connection: Connection) -> _Check:
    """
    Whether there is a database that takes writes; of several hosts any may, as for the router.
    """
    why = why_read_only(connection)
    if why is not None:
        return _Check("database", "fail", why)
    version = connection.info.server_version
    return _Check("database", "ok", f"PostgreSQL {version // 10000}.{version % 10000}")


def _hosts(settings: Settings) -> Iterator[_Check]:
    """
    Each of several hosts, one of which takes writes; nothing where one is named.
    """
    hosts = hosts_of(settings.dsn)
    if len(hosts) == 1:
        return
    taking: dict[datetime, str] = {}
    following = []
    for name, dsn in hosts.items():
        try:
            with connect(dsn) as connection:
                row = connection.execute(query("look_at_server")).fetchone() or {}
                if why_read_only(connection) is None:
                    taking[row["started"]] = name
                else:
                    following.append(name)
        except AgiRouterError as error:
            yield _Check("hosts", "warn", f"{shown(name)}: {error}")
    told = shown(" and ".join(taking.values()))
    if len(taking) > 1:
        yield _Check(
            "hosts",
            "fail",
            f"{told} take writes, all of them: stop those that were replaced, before calls are"
            " counted on both",
        )
    elif taking:
        standing = f"; {shown(', '.join(following))} can be read" if following else ""
        yield _Check("hosts", "ok", f"{told} takes writes{standing}")


def _standbys(connection: Connection) -> Iterator[_Check]:
    """
    Whether commits come to their end, and standbys keep up; nothing where there are none.
    """
    if why_read_only(connection) is not None:
        return
    found = look_at_replication(connection)
    if found.hangs is not None:
        yield _Check("standbys", "fail", found.hangs)
    warnings = [*found.warnings()]
    yield from (_Check("standbys", "warn", each) for each in warnings)
    if found.exists and found.hangs is None and not warnings:
        yield _Check("standbys", "ok", str(found))


def _cells(connection: Connection) -> Iterator[_Check]:
    """
    Each database behind this one, and how it is asked; nothing where there are none.
    """
    queries = Queries(connection)
    try:
        proxy = queries.row("look_at_proxy", {})
        cells = queries.rows("list_cells", {})
        seen = {row["name"]: row for row in queries.rows("look_at_cells", {"beat": False})}
    except SchemaMismatch:
        # Of an older database; the schema is looked at next.
        return
    if proxy is None:
        return
    faults = [*judge_proxy(proxy)]
    yield from (_told_of_cells(each.text, fails=each.fails) for each in faults)
    if not faults:
        yield _Check("cells", "ok", f"{len(cells)}, and the functions of each go there")
    for cell in cells:
        yield from _cell(queries, cell, seen[cell["name"]], proxy)


def _cell(
    queries: Queries, cell: dict[str, Any], seen: dict[str, Any], proxy: dict[str, Any]
) -> Iterator[_Check]:
    name = cell["name"]
    if cell["away"]:
        yield _told_of_cells(
            f"{name}: it is said to be away, and its bindings, calls and texts are missing in"
            f" lists: 'agi-router cell back {name}' when it is",
        )
    try:
        with queries.transaction(seconds=_CELL_PATIENCE):
            said = queries.row("look_at_cell", {"name": name})
    except AgiRouterError as error:
        yield _told_of_cells(f"{name}: {error}", fails=not cell["away"])
        return
    if said is None:
        return
    version = said["version"]
    replication = Replication(**{each.name: said[each.name] for each in fields(Replication)})
    faults = [
        *judge_cell(cell["cell"], seen, said, proxy),
        *([Fault(fails=True, text=replication.hangs)] if replication.hangs is not None else []),
        *(Fault(fails=False, text=each) for each in replication.warnings()),
    ]
    yield from (_told_of_cells(f"{name}: {each.text}", fails=each.fails) for each in faults)
    if not faults:
        followed = f"; {replication}" if replication.exists else "; no standby"
        yield _Check(
            "cells",
            "ok",
            f"{name}: PostgreSQL {version // 10000}.{version % 10000}, takes what is changed"
            f" here{followed}",
        )


def _told_of_cells(text: str, *, fails: bool = False) -> _Check:
    return _Check("cells", "fail" if fails else "warn", text)


def _retention(connection: Connection, settings: Settings) -> Iterator[_Check]:
    """
    Whether somebody deletes what is due; nothing where nothing is.
    """
    queries = Queries(connection)
    due = [str(each.kind) for each in kept(queries, settings.kept) if each.due]
    last = queries.row("find_last_deletion", {})
    if due and last is not None and last["late"]:
        since = "ever" if last["ended_at"] is None else f"since {last['ended_at']:%Y-%m-%d}"
        told = f"due: {', '.join(due)}; nothing was deleted {since}"
        yield _Check("retention", "warn", f"{told}: enable agi-router-retention.timer")


def _keys(connection: Connection, settings: Settings) -> _Check:
    try:
        keys = check_keys(connection, settings.load_keys(), remember=False)
    except AgiRouterError as error:
        return _Check("key", "fail", str(error))
    sealed = count_sealed(connection)
    if sealed >= SEALS_WARNED:
        return _Check(
            "key",
            "warn" if sealed < SEALS_ALLOWED else "fail",
            f"seal key {keys.seal_key_id} has sealed {sealed:,} of the {SEALS_ALLOWED:,} values"
            " that it may: run 'agi-router key rotate --seal'",
        )
    gone = f"; destroyed: seal key {', '.join(map(str, sorted(keys.destroyed)))}"
    told = "the one this database was sealed with"
    return _Check("key", "ok", told + (gone if keys.destroyed else ""))


def _rights(connection: Connection) -> _Check:
    check = _tried("rights", "what serving needs", lambda: check_rights(connection))
    if check.status == "ok" and owns_schema(connection):
        return _Check(
            "rights",
            "warn",
            f"the role {connection.info.user!r} owns the schema, and could change or drop all of"
            " it: make another one that serves, and give it its rights by 'agi-router db grant'",
        )
    if check.status == "ok" and (found := rights_to_delete(connection)):
        user = connection.info.user
        told = [
            f"the role {role!r} {'serves' if role == user else 'deletes by functions'}, and may"
            f" delete records, too: {rights[0]}"
            + (f", and {len(rights) - 1} more" if rights[1:] else "")
            for role, rights in found.items()
        ]
        remedy = "take them by REVOKE (docs/operate.md, Who deletes)"
        return _Check("rights", "warn", f"{'; '.join(told)}; {remedy}")
    return check


def _events(connection: Connection) -> Iterator[_Check]:
    """
    Whether events get to webhooks; nothing where there are none.
    """
    row = Queries(connection).row("watch_deliveries", {})
    if row is None or not row["webhooks"]:
        return
    told = []
    if row["waiting"] is not None and row["waiting"] > _TAKEN_WITHIN:
        told.append(
            f"an event has waited for {format_duration(row['waiting'])} to be sent: is"
            " 'agi-router deliver' running, and is one enough?"
        )
    if row["off"]:
        names = ", ".join(map(str, row["off"]))
        told.append(
            f"switched off: webhook {names}; see 'agi-router webhook show', then resume it"
        )
    if row["held"]:
        told.append(
            f"{row['held']} deliveries have failed for seven days: see 'agi-router webhook list',"
            " then resend them"
        )
    yield from (_Check("events", "warn", each) for each in told)
    if not told:
        yield _Check("events", "ok", f"{row['webhooks']} webhooks, and nothing waits")


def _http(connection: Connection, settings: Settings) -> Iterator[_Check]:
    """
    Whether the HTTP door serves; nothing where no API key opens it.
    """
    row = Queries(connection).row("count_api_keys", {})
    address = settings.http_address
    if row is None or not row["keys"] or address is None:
        return
    door, end = _door(settings, address), None
    try:
        with closing(door):
            door.connect()
            if isinstance(door.sock, SSLSocket):
                end = end_of_certificate(door.sock)
            door.request("GET", "/readyz")
            answer = door.getresponse()
            text = shown(answer.read(_LONGEST_ANSWER).decode("utf-8", "replace").strip())
    except (OSError, HTTPException) as error:
        yield _Check(
            "http",
            "warn",
            f"the HTTP door does not answer at {settings.http_listen}"
            f" ({type(error).__name__}), and there are API keys: start it, by 'systemctl start"
            " agi-router-http', or set AGI_ROUTER_HTTP_LISTEN here as it is there",
        )
        return
    if answer.status != HTTPStatus.OK:
        yield _Check("http", "warn", f"the door at {settings.http_listen} is not ready: {text}")
    elif end is not None and end < datetime.now(UTC) + _CERTIFICATE_LEFT:
        yield _Check(
            "http",
            "warn",
            f"the certificate at {settings.http_listen} ends at"
            f" {end.isoformat(timespec='seconds')}: put a new one into"
            " AGI_ROUTER_HTTP_CERTIFICATE and its key beside it, which the door then reads",
        )
    else:
        yield _Check("http", "ok", f"answers at {settings.http_listen}")


def _door(settings: Settings, address: tuple[str, int]) -> HTTPConnection:
    if settings.http_certificate is None:
        return HTTPConnection(*address, timeout=_HTTP_PATIENCE)
    # It is asked by its address and not by its name: the file says whose it is.
    context = create_default_context()
    context.check_hostname, context.verify_mode = False, CERT_NONE
    return HTTPSConnection(*address, timeout=_HTTP_PATIENCE, context=context)


def _texts(connection: Connection, settings: Settings) -> Iterator[_Check]:
    """
    Whether texts are taken and sent; nothing where no door is set here and none owes any.
    """
    told = [
        f"{row['due']} texts that the door {shown(row['link'])!r} owes are due, the first for"
        f" {format_duration(row['waiting'])}, and nobody has taken them: is that door running?"
        for row in Queries(connection).rows("watch_messages", {"within": _TAKEN_WITHIN})
    ]
    address = settings.sip_address
    if address is not None and (trouble := _why_unserved(address)):
        told.append(f"nobody takes texts at {settings.sip_listen}: {trouble}")
    yield from (_Check("texts", "warn", each) for each in told)
    if not told and address is not None:
        yield _Check("texts", "ok", f"taken at {settings.sip_listen}, and none waits for a door")


def _links(connection: Connection, settings: Settings) -> Iterator[_Check]:
    """
    How each link to a message centre is; the one that is set here is bound where nobody has it.
    """
    links = list(map(describe_link, LinkRecords(connection).links()))
    for link in links:
        name, node = shown(link["name"]), shown(link["node"])
        if link["state"] == "up":
            yield _Check("link", "ok", f"{name!r} is bound by {node}")
        elif link["state"] == "unserved":
            if link["name"] != settings.smpp_link or settings.smpp_host is None:
                yield _Check("link", "warn", f"{name!r} is served by nobody; {node} had it last")
        else:
            text = f"{name!r} is {link['state']} at {node}: 'journalctl -u agi-router-smpp@{name}'"
            yield _Check("link", "warn", text)
    served = {link["name"] for link in links if link["state"] != "unserved"}
    if settings.smpp_host is not None and settings.smpp_link not in served:
        # Not while a process has it: two sessions of one account share windows and receipts.
        trouble = asyncio.run(_why_unbound(settings))
        name = settings.smpp_link
        if trouble is None:
            yield _Check("link", "ok", f"{name!r} can be bound, and is served by nobody")
        else:
            yield _Check("link", "fail", f"{name!r} cannot be bound: {trouble}")


def _exports(connection: Connection) -> Iterator[_Check]:
    """
    Whether the last days were handed over; nothing where none ever was.
    """
    queries = Queries(connection)
    row = queries.row("find_exports", {})
    if row is None or row["last"] is None:
        return
    # Each has the morning after it to be packed.
    until = (datetime.now(ZONE) - _PACKED_WITHIN).date() - timedelta(days=1)
    values = {"since": until - _EXPORTS_LOOKED_AT, "until": until}
    if missing := [str(each["day"]) for each in queries.rows("list_missing_exports", values)]:
        yield _Check(
            "exports",
            "warn",
            f"not exported: {', '.join(missing)}; run 'agi-router export-day {missing[0]}', and"
            " see 'systemctl status agi-router-export'",
        )
    else:
        yield _Check("exports", "ok", f"days are exported up to {row['last']}")


def _unrecorded(connection: Connection, settings: Settings) -> Iterator[_Check]:
    """
    Whether somebody wants calls to be recorded where none is.
    """
    if settings.recordings is None and Queries(connection).row("is_recording_wanted", {}):
        yield _Check(
            "recordings",
            "warn",
            "a tenant, or a binding that was called today, is to be recorded, and nothing is:"
            " AGI_ROUTER_RECORDINGS is not set; see docs/recordings.md",
        )


async def _why_unbound(settings: Settings) -> str | None:
    """
    Why a link cannot be bound; :obj:`None` where it was.
    """
    # For those alone who have a link.
    from agi_router.service.message_server import link_options_of  # noqa: PLC0415
    from agi_router.smpp import ShortMessage, SmppError, Status, Transceiver  # noqa: PLC0415

    async def deliver(_: ShortMessage) -> int:
        # It is sent again to who serves the link.
        return Status.TEMPORARY

    try:
        options = link_options_of(settings)
        async with Transceiver.bound(
            options.host,
            options.port,
            system_id=options.system_id,
            password=options.password,
            system_type=options.system_type,
            deliver=deliver,
            tls=options.tls,
        ):
            return None
    except (SmppError, AgiRouterError) as error:
        return str(error)


def _why_unserved(address: tuple[str, int]) -> str | None:
    """
    Why no door listens at an address; :obj:`None` where somebody has its port.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tried:
        try:
            tried.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return None
            return f"{error.strerror}; is AGI_ROUTER_SIP_LISTEN an address of this machine?"
    return "start the door, by 'systemctl start agi-router-sip-messages'"


def _journal(settings: Settings) -> _Check:
    """
    The journal as the router's account finds it, whoever runs this; Asterisk is asked by itself.
    """
    directory = settings.journal
    make = "make it for the router's account, with the group of Asterisk's and mode 3770"
    try:
        with open_directory(directory) as journal:
            status = os.fstat(journal)
            owner = _owner_of(journal, "claimed")
    except OSError as error:
        return _Check(
            "journal", "fail", f"{directory} (AGI_ROUTER_JOURNAL): {error.strerror}; {make}"
        )
    # Root may do anything, which says nothing of the router: its account is who owns "claimed".
    router = os.geteuid() if os.geteuid() or owner is None else owner
    if owner not in {None, router}:
        return _Check(
            "journal",
            "fail",
            f"{directory}/claimed is not {account_name(router)}'s: run this as root or as the"
            " router's account",
        )
    if not may_write(status, router):
        return _Check(
            "journal", "fail", f"{directory} is not writable for {account_name(router)}; {make}"
        )
    return _left_over(directory, status) or _Check(
        "journal", "ok", f"{directory}, served by {account_name(router)}"
    )


def _left_over(directory: Path, status: os.stat_result) -> _Check | None:
    """
    What is no fault yet, and for people to look at.
    """
    if status.st_mode & stat.S_IWOTH:
        return _Check("journal", "warn", f"{directory} is writable for all: run 'chmod 3770'")
    for name, what in (
        ("unreadable", "holds lines that are none: look, then remove it"),
        ("refused", "lay where Asterisk writes, and is not its file: look, then remove it"),
    ):
        if os.path.lexists(directory / "claimed" / name):
            return _Check("journal", "warn", f"{directory}/claimed/{name} {what}")
    return None


def _owner_of(journal: int, name: str) -> int | None:
    try:
        return os.stat(name, dir_fd=journal, follow_symlinks=False).st_uid
    except FileNotFoundError:
        return None


async def _lines_come(ari: AriClient, settings: Settings, eyes: _Eyes) -> _Check:
    """
    Whether Asterisk can write to this journal, which only itself can tell.
    """
    try:
        with eyes.acting():
            await JournalProbe(EndJournal(settings.journal)).ask(ari)
    except JournalError as error:
        return _Check("ends", "fail", str(error))
    theirs = await ari.get_variable("AGI_ROUTER_JOURNAL")
    return _Check("ends", "ok", f"Asterisk writes them to {theirs}, and they come")


def _prompt_sets(settings: Settings) -> list[str]:
    """
    Sets of prompts that bindings name; none where the database does not tell.
    """
    try:
        with connect(settings.dsn) as connection:
            return [row["prompts"] for row in Queries(connection).rows("list_prompt_sets", {})]
    except AgiRouterError:
        return []


async def _asterisk(
    settings: Settings, sets: Sequence[str], fastagi: _Check, eyes: _Eyes
) -> list[_Check]:
    try:
        async with AriClient(
            url=settings.ari_url,
            user=settings.ari_user,
            password=eyes.read(settings.ari_password_file, settings.load_ari_password),
            # Another name than the router's: a second connection of one name takes it over.
            app=APP,
            events=("ChannelUserevent", "StasisStart"),
            connect_timeout=3,
        ) as ari:
            return [
                _Check("ari", "ok", settings.ari_url),
                _version((await ari.asterisk_info()).version),
                _dialplan(await ari.get_variable("AGI_ROUTER_DIALPLAN")),
                *await _agreed(ari, settings, eyes),
                await _clock(ari, settings),
                await _lines_come(ari, settings, eyes),
                await _router(ari, settings.ari_app, fastagi),
                *await _prompts(ari, sets),
                *_of_profile(await read_profile(ari, ports=settings.media_ports), settings),
            ]
    except AriUnauthorized:
        return [_Check("ari", "fail", "Asterisk refuses AGI_ROUTER_ARI_USER or its password")]
    except (AriError, AgiRouterError) as error:
        return [_Check("ari", "fail", f"AGI_ROUTER_ARI_URL {settings.ari_url}: {error}")]


def _version(text: str) -> _Check:
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", text)
    if found is None:
        return _Check("asterisk", "warn", f"cannot tell its version from {text!r}")
    if tuple(map(int, found.groups())) < _OLDEST_ASTERISK:
        oldest = ".".join(map(str, _OLDEST_ASTERISK))
        return _Check("asterisk", "fail", f"{found[0]} is older than {oldest}: upgrade it")
    return _Check("asterisk", "ok", found[0])


def _dialplan(version: str) -> _Check:
    if not version:
        return _Check(
            "dialplan",
            "fail",
            "not loaded: #include agi_router.conf in extensions.conf and reload the dialplan",
        )
    if version != DIALPLAN_VERSION:
        return _Check(
            "dialplan",
            "fail",
            f"version {version}, but this program needs {DIALPLAN_VERSION}: copy the dialplan"
            " that came with it",
        )
    return _Check("dialplan", "ok", f"version {version}")


async def _globals(ari: AriClient) -> dict[str, str]:
    found = {name: await ari.get_variable(name) for name in GLOBALS}
    app = found["AGI_ROUTER_APP"]
    while app and f"{NEXT}{app}" not in found:
        found[f"{NEXT}{app}"] = after = await ari.get_variable(f"{NEXT}{app}")
        app = after
    return found


def _known(settings: Settings) -> Known:
    return Known(
        app=settings.ari_app,
        agi_listen=settings.agi_listen,
        language=settings.language.value,
        patience=settings.patience,
    )


async def _prompts(ari: AriClient, sets: Sequence[str]) -> list[_Check]:
    """
    Whether Asterisk finds the prompts of all languages, and of each set that is in use any.
    """
    names = _prompt_names()
    shipped = [PromptFile(language=each, name=name) for each in _LANGUAGES for name in names]
    place = f"{await ari.get_variable('ASTDATADIR')}/sounds/LANGUAGE/agi-router"
    try:
        sizes = await find_sizes(ari, shipped)
        silent = []
        for each in sets:
            own = await find_sizes(ari, _files_of(each, names))
            silent += [each] if set(own.values()) == {None} else []
            sizes |= own
    except AriError as error:
        return [_Check("prompts", "fail", f"Asterisk does not tell of them: {error}")]
    remedy = f"Asterisk looks in {place}: run 'agi-router setup', or copy them there"
    checks = []
    for language in _LANGUAGES:
        lost = [file.name for file in shipped if file.language == language and sizes[file] is None]
        if lost:
            told = f"none of {language}" if len(lost) == len(names) else ", ".join(lost)
            checks.append(_Check("prompts", "fail", f"{language} lacks {told}; {remedy}"))
    checks += [
        _Check("prompts", "fail", f"of the set '{each}', which bindings name, none is in {place}")
        for each in silent
    ]
    checks += [
        _Check(
            "prompts",
            "fail",
            f"{file.extension.replace('*', ' ').strip()} {fault}",
        )
        for file, size in sizes.items()
        if size is not None and (fault := _judge_notice(file.name, size))
    ]
    return checks or [_Check("prompts", "ok", f"{len(names)} in {' and '.join(_LANGUAGES)}")]


def _judge_notice(name: str, size: int) -> str | None:
    """What keeps a notice of so many bytes from being heard; nothing of another prompt."""
    shortest, longest = _NOTICES.get(name, (0, size))
    if size > longest:
        seconds = "six" if longest == LONGEST_NOTICE else "twelve"
        return (
            f"takes more than {seconds} seconds: the notice is not heard until the file is shorter"
        )
    if size < shortest:
        return "says nothing: the notice is not heard until the file is longer"
    return None


def _files_of(prompts: str, names: Sequence[str]) -> list[PromptFile]:
    return [
        PromptFile(language=each, name=name, prompts=prompts)
        for each in _LANGUAGES
        for name in names
    ]


def _prompt_names() -> list[str]:
    table = files("agi_router.dialplan").joinpath("prompts.tsv").read_text("utf-8")
    return [line.split("\t")[0] for line in table.splitlines()[1:]]


async def _agreed(ari: AriClient, settings: Settings, eyes: _Eyes) -> list[_Check]:
    """What the dialplan and the router must both know; nothing where they agree."""
    checks = []
    checks += [
        _Check(what, "fail", told)
        for what, told in find_differences(await _globals(ari), _known(settings))
    ]
    if await ari.get_variable("AGI_ROUTER_AGI") and settings.agi_address():
        for module in ("res_agi", "func_sha1"):
            checks += await _loaded(ari, module, "AGI_ROUTER_AGI=")
        checks += _secret(await ari.get_variable("AGI_ROUTER_AGI_SECRET"), settings, eyes)
    checks += await _recorded(ari, settings)
    if await ari.get_variable("AGI_ROUTER_EARLY_MEDIA") == "hear":
        # Without it all would be heard.
        checks += await _loaded(ari, "res_mutestream", "AGI_ROUTER_EARLY_MEDIA=none")
    return checks


async def _recorded(ari: AriClient, settings: Settings) -> list[_Check]:
    """Whether dialplan and settings both know of recordings; nothing where neither does."""
    theirs = await ari.get_variable("AGI_ROUTER_RECORDINGS")
    if not theirs and settings.recordings is not None:
        told = "the dialplan has no AGI_ROUTER_RECORDINGS, so nothing is recorded: set it there"
        return [_Check("recordings", "fail", told)]
    if not theirs:
        return []
    checks = []
    if settings.recordings is None:
        told = (
            f"Asterisk records into {theirs}, but AGI_ROUTER_RECORDINGS is not set here: set it,"
            " and see that 'agi-router recording keep' runs"
        )
        checks.append(_Check("recordings", "fail", told))
    for module in ("app_mixmonitor", "func_sha1"):
        checks += await _loaded(ari, module, "AGI_ROUTER_RECORDINGS=")
    return checks


async def _loaded(ari: AriClient, module: str, otherwise: str) -> list[_Check]:
    """Nothing where Asterisk has loaded a module; else what to do, or to set in the dialplan."""
    try:
        await ari.request("GET", path("asterisk", "modules", f"{module}.so"))
    except AriRefused:
        told = f"Asterisk has not loaded {module}.so: load it, or set {otherwise} in the dialplan"
        return [_Check(module, "fail", told)]
    return []


def _secret(theirs: str, settings: Settings, eyes: _Eyes) -> list[_Check]:
    """Whether FastAGI's secret is the same on both sides; neither is shown."""
    try:
        ours = eyes.read(settings.agi_secret_file, settings.load_agi_secret)
    except AgiRouterError as error:
        return [_Check("secret", "fail", f"{error}; FastAGI is not served without")]
    if not theirs:
        return [
            _Check(
                "secret",
                "fail",
                "the dialplan has no AGI_ROUTER_AGI_SECRET, so FastAGI takes no call: #include a"
                " file with it that only Asterisk can read, and reload the dialplan",
            )
        ]
    if not hmac.compare_digest(theirs.encode(), ours.encode()):
        return [
            _Check(
                "secret",
                "fail",
                "the dialplan's AGI_ROUTER_AGI_SECRET is not the router's, so FastAGI takes no"
                " call: give both the same, then reload the dialplan and restart the router",
            )
        ]
    return [_Check("secret", "ok", "the same in the dialplan and here")]


def _fastagi(settings: Settings, eyes: _Eyes) -> _Check:
    address = settings.agi_address()
    if address is None:
        return _Check("fastagi", "ok", _OFF)
    if not is_loopback(address[0]):
        return _Check(
            "fastagi",
            "warn",
            f"{settings.agi_listen} can be reached from outside, where the numbers of callers can"
            " be read on the way: AGI_ROUTER_AGI_LISTEN should be on loopback",
        )
    if not answers(*address):
        return _Check(
            "fastagi",
            "warn",
            f"nobody answers at {settings.agi_listen}: calls that the ARI router does not take"
            " are refused",
        )
    try:
        secret = eyes.read(settings.agi_secret_file, settings.load_agi_secret)
    except AgiRouterError:
        return _Check("fastagi", "ok", f"answers at {settings.agi_listen}")
    if not answers(*address, secret=secret):
        return _Check(
            "fastagi",
            "fail",
            f"the door at {settings.agi_listen} has another AGI_ROUTER_AGI_SECRET than is set"
            " here: restart it",
        )
    return _Check("fastagi", "ok", f"answers at {settings.agi_listen}")


def _of_profile(profile: Profile, settings: Settings) -> list[_Check]:
    return [
        *_profile(profile, settings.unsafe_profile),
        _callers(profile, settings),
        *_media(profile),
    ]


def _callers(profile: Profile, settings: Settings) -> _Check:
    """What the ways in are trusted for."""
    otherwise = "who From says" if settings.unasserted == "from" else "nobody"
    return _Check(
        "callers",
        "ok",
        f"on {', '.join(ways_in(profile)) or 'no endpoint'} the caller is whom P-Asserted-Identity"
        f" names; where it is absent, {otherwise} (AGI_ROUTER_UNASSERTED={settings.unasserted});"
        " Remote-Party-ID and Diversion are not believed",
    )


def _media(profile: Profile) -> Iterator[_Check]:
    """By which bridge calls are joined, and when those are ended whose sound has stopped."""
    if profile.unguarded:
        yield _Check(
            "media",
            "warn",
            "calls are joined by the simple bridge, as the media guard does not hold:"
            f" {'; '.join(profile.unguarded)}; see docs/media-guard.md",
        )
    for name in dict.fromkeys((*ways_in(profile), *profile.trunks)):
        told = profile.endpoints.get(name, {}).get("rtp_timeout", "")
        seconds = int(told) if told.isascii() and told.isdigit() else 0
        if not seconds:
            yield _Check(
                "media",
                "warn",
                f"{name}/rtp_timeout is {told or 'not set'}: a call whose sound has stopped stays"
                " up for as long as it may last",
            )
        elif seconds < _SHORT_SILENCE:
            yield _Check(
                "media",
                "warn",
                f"{name}/rtp_timeout is {seconds}: a call is ended when one side sends no RTP for"
                f" {seconds} s, as phones do that are muted or send no silence (VAD)",
            )


def _profile(profile: Profile, accepted: frozenset[str]) -> Iterator[_Check]:
    faults = find_faults(profile)
    if not faults:
        yield _Check("profile", "ok", f"hardened; calls go out on {', '.join(profile.trunks)}")
    for what, found in (("profile", faults), ("calls", find_gaps(profile))):
        for fault in found:
            status = "warn" if fault.accepted_by(accepted) else "fail"
            yield _Check(what, status, f"{fault}: {fault.why}")


async def _router(ari: AriClient, app: str, fastagi: _Check) -> _Check:
    try:
        await ari.request("GET", path("applications", app))
    except AriRefused:
        if fastagi.status == "ok" and fastagi.text != _OFF:
            return _Check("router", "warn", "none is connected: FastAGI alone takes the calls")
        return _Check(
            "router",
            "fail",
            "none is connected, and FastAGI does not serve: every call is refused; start one,"
            " by 'systemctl start agi-router@blue' or 'agi-router serve'",
        )
    return _Check("router", "ok", f"connected as {app}")

"""
``agi-router feed``: numbers that carriers gave to new owners.
"""

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import click

from agi_router.bindings.model import BindingId
from agi_router.bulk.workers import cores
from agi_router.cli import findings
from agi_router.cli.acts import record_act
from agi_router.cli.arguments import ROW, SECRET, SPAN, Checked
from agi_router.cli.context import open_serving_database, read_settings, with_extra
from agi_router.cli.exit_codes import exit_code
from agi_router.cli.output import echo, echo_json, echo_pairs, echo_table, json_option
from agi_router.db.connection import Queries
from agi_router.errors import (
    CsvError,
    FeedBusy,
    FeedInvalid,
    FeedUnreachable,
    SealError,
    StoreHeld,
)
from agi_router.events.addresses import check_host
from agi_router.feeds.files import changed_files, list_files, open_file
from agi_router.feeds.model import (
    Feed,
    FeedKind,
    NumberForm,
    PullState,
    Trust,
    check_authorization,
    check_feed_name,
)
from agi_router.feeds.pull_store import PullStore
from agi_router.feeds.recycler import Recycler
from agi_router.feeds.store import FeedStore
from agi_router.feeds.views import describe_feed, describe_match, describe_run
from agi_router.feeds.waiting import WaitingFiles
from agi_router.keys.registry import check_keys
from agi_router.logs import redact
from agi_router.settings import Settings
from agi_router.texts import shown

__all__ = ["group"]

# Bytes that are taken from a pipe, and held in memory: some five million numbers.
_LARGEST_PIPE = 128 * 1024 * 1024
# Lines that cannot be read, as far as they are shown at once.
_SHOWN = 10
# Seconds for which a transaction may stand still while numbers are opened.
_IDLE = 600
# So far the clock of a file system and the database's may be apart.
_APART = timedelta(hours=1)
# What keeps a feed from being pulled, and no other.
_LEFT_OUT = (CsvError, FeedBusy, FeedInvalid, FeedUnreachable, SealError, StoreHeld)

_NAME = click.argument("name", type=Checked("name", check_feed_name), metavar="NAME")


_PROCESSES = click.option(
    "--processes",
    type=click.IntRange(1, 256),
    help="Processes that open numbers, for digests; as many as there are cores if absent.",
)


@click.group("feed")
def group() -> None:
    """
    Feeds of numbers that carriers gave to new owners: bindings of the old owners end.
    """


group.add_command(findings.group)


@group.command("add")
@_NAME
@click.option(
    "--kind",
    type=click.Choice([each.value for each in FeedKind]),
    default=FeedKind.STDIN.value,
    show_default=True,
    help="Where its files come from; push: a program sends records by HTTP; pull: an address is"
    " asked.",
)
@click.option("--path", metavar="PATH", help="The file, the folder, or the address.")
@click.option(
    "--authorization",
    type=SECRET,
    metavar="-",
    help='What an address is sent as Authorization; "-": the next line of standard input.',
)
@click.option(
    "--numbers",
    type=click.Choice([each.value for each in NumberForm]),
    default=NumberForm.PLAIN.value,
    show_default=True,
    help="How numbers stand in it: plain, or as a digest of their digits in hexadecimal.",
)
@click.option(
    "--trust",
    type=click.Choice([each.value for each in Trust]),
    default=Trust.FULL.value,
    show_default=True,
    help="hint: a new owner by this feed counts as unknown.",
)
@click.option("--every", type=SPAN, help="How often a new file is expected.")
@json_option
def add(
    name: str,
    kind: str,
    path: str | None,
    numbers: str,
    *,
    authorization: str | None,
    trust: str,
    every: timedelta | None,
    as_json: bool,
) -> None:
    r"""
    Add a feed.

    \b
    Examples:
      agi-router feed add unicom
      agi-router feed add sharing --kind folder --path /srv/recycled --numbers sha256 --every 1d
      agi-router feed add telecom --kind pull --path https://carrier.example/recycled --every 1d
    """
    secret = _authorization(authorization)
    if secret is not None and kind != FeedKind.PULL:
        raise FeedInvalid("an authorization goes with a feed of the kind pull")
    settings = read_settings()
    if kind == FeedKind.PULL and path is not None:
        parts = urlsplit(path)
        check_host(
            parts.hostname or "", secure=parts.scheme == "https", allowed=settings.webhook_hosts
        )
    # Without a secret nothing of a feed needs the keys.
    keys = None if secret is None else settings.load_keys()
    with open_serving_database(settings, act=f"feed {name}") as connection:
        queries = Queries(connection)
        store = FeedStore(queries)
        # Both or none: else a timer would ask without the secret.
        with queries.transaction():
            feed = store.add(
                name,
                kind=FeedKind(kind),
                path=path,
                numbers=NumberForm(numbers),
                trust=Trust(trust),
                every=every,
            )
            if keys is not None:
                PullStore(queries, check_keys(connection, keys)).authorize(feed, secret)
                feed = store.find(name)
    (echo_json if as_json else echo_pairs)(describe_feed(feed))


@group.command("authorize")
@_NAME
@click.argument("authorization", type=SECRET, metavar="-", required=False)
@json_option
def authorize(name: str, authorization: str | None, *, as_json: bool) -> None:
    r"""
    Send another authorization to the address of a feed from now on, or none.

    \b
    Example:
      agi-router feed authorize telecom - < token
    """
    secret = _authorization(authorization)
    settings = read_settings()
    keys = settings.load_keys()
    with open_serving_database(settings, act=f"feed {name}") as connection:
        store = FeedStore(Queries(connection))
        feed = store.find(name)
        if feed.kind is not FeedKind.PULL:
            raise FeedInvalid(f"feed {name!r} is of the kind {feed.kind}, and not pulled")
        PullStore(Queries(connection), check_keys(connection, keys)).authorize(feed, secret)
        feed = store.find(name)
    (echo_json if as_json else echo_pairs)(describe_feed(feed))


@group.command("pull")
@click.argument("name", required=False, type=Checked("name", check_feed_name), metavar="[NAME]")
@_PROCESSES
@json_option
@click.pass_context
def pull(
    context: click.Context, name: str | None, processes: int | None, *, as_json: bool
) -> None:
    r"""
    Do what a feed has that is new, at its address or in its file or folder; or each that is due.

    What was sent to it by HTTP and waits is done, too.

    A feed with an address is due when its --every has passed since it had nothing new to say, or
    when somebody has asked by HTTP; files are looked at each time. One that fails keeps no other
    from being pulled. What was done before changes nothing.

    \b
    Examples:
      agi-router feed pull telecom
      agi-router feed pull            # as a timer does
    """
    settings = read_settings()
    keys = settings.load_keys()
    reports: list[dict[str, Any]] = []
    code = 0
    with open_serving_database(settings, idle=_IDLE) as connection:
        ring = check_keys(connection, keys)
        recycler = Recycler(connection, ring, processes=processes or cores())
        queries = Queries(connection)
        pulls = PullStore(queries, ring)
        waiting = WaitingFiles(queries, ring)
        every = [each for each in recycler.store.all() if each.due or each.waiting]
        for feed in every if name is None else [recycler.store.find(name)]:
            try:
                if feed.waiting:
                    record_act(queries, f"feed {feed.name}")
                    code = _read_waiting(feed, recycler, waiting, reports) or code
                asked = feed.kind.has_path and (feed.due or name is not None)
                if feed.kind is FeedKind.PUSH or (feed.waiting and not asked):
                    continue
                if feed.kind in {FeedKind.FILE, FeedKind.FOLDER}:
                    code = _look(feed, recycler, pulls, queries, reports) or code
                    continue
                record_act(queries, f"feed {feed.name}")
                for run_id in _pull(feed, recycler, pulls, settings):
                    faults = recycler.store.faults(run_id)
                    reports.append(describe_run(recycler.store.run(run_id), faults))
            except _LEFT_OUT as error:
                _warn(f"feed {feed.name}: {error}")
                code = exit_code(error)
    _finish(context, reports, recycler, code=code, as_json=as_json, empty="nothing new")


def _pull(feed: Feed, recycler: Recycler, pulls: PullStore, settings: Settings) -> Iterator[int]:
    """
    Do what the address of a feed has that is new; yields each run.
    """
    # A router does without, and so does who reads files.
    with with_extra():
        from agi_router.feeds.puller import Puller  # noqa: PLC0415
    yield from Puller(recycler, pulls, allowed=settings.webhook_hosts).pull(feed)


def _read_waiting(
    feed: Feed, recycler: Recycler, waiting: WaitingFiles, reports: list[dict[str, Any]]
) -> int:
    """
    Do what was sent to a feed by HTTP and waits; *reports* gets what came of each.

    Returns:
        The exit code; not 0 where something cannot be read.

    Raises:
        FeedBusy: Somebody else reads the feed.
        StoreHeld: A binding is changed all the time.
    """
    code = 0
    for each in waiting.all(feed):
        try:
            content = waiting.open(each)
            if content is None:
                continue
            run_id = recycler.run(feed, io.BytesIO(content), name=each.file, digest=each.digest)
        except (CsvError, FeedInvalid, SealError) as error:
            _warn(f"{each.file}: {error}")
            code = exit_code(error)
            continue
        code = _tell_run(feed, recycler, run_id, each.file, reports) or code
    return code


def _look(
    feed: Feed,
    recycler: Recycler,
    pulls: PullStore,
    queries: Queries,
    reports: list[dict[str, Any]],
) -> int:
    """
    Do what has come to the file or the folder of a feed since it was looked at.

    Returns:
        The exit code; not 0 where a file cannot be read, which is tried again the next time.

    Raises:
        FeedInvalid: The folder cannot be read.
        FeedBusy: Somebody else reads the feed.
        StoreHeld: A binding is changed all the time.
    """
    since = None if feed.pulled_at is None else feed.pulled_at - _APART
    paths = changed_files(filter(None, _paths(feed, None)), since)
    code = 0
    if paths:
        record_act(queries, f"feed {feed.name}")
        code = _run_files(feed, recycler, paths, reports)
    if code:
        pulls.failed(feed, "a file cannot be read: see 'agi-router feed runs'")
    else:
        pulls.done(feed, PullState(), at=feed.now)
    return code


@group.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    r"""
    List the feeds, and when a file of each was done last.

    \b
    Example:
      agi-router feed list
    """
    with _store() as store:
        rows = list(map(describe_feed, store.all()))
    if as_json:
        echo_json(rows)
        return
    columns = ("name", "kind", "numbers", "trust", "last_at", "overdue")
    echo_table(
        columns,
        [[row[each] for each in columns] for row in rows],
        empty="no feeds",
    )


@group.command("remove")
@_NAME
@json_option
def remove(name: str, *, as_json: bool) -> None:
    r"""
    Delete a feed and the reports of its runs. Bindings that have ended stay so.

    \b
    Example:
      agi-router feed remove unicom
    """
    with _store(act=f"feed {name}") as store:
        feed = store.find(name)
        store.remove(name)
    if as_json:
        echo_json(describe_feed(feed))
    else:
        echo(f"feed {name} is removed")


@group.command("run")
@_NAME
@click.argument("file", required=False, metavar="[FILE]")
@_PROCESSES
@json_option
@click.pass_context
def run(
    context: click.Context,
    name: str,
    file: str | None,
    processes: int | None,
    *,
    as_json: bool,
) -> None:
    r"""
    Do what FILE says ("-": standard input), or the feed's own file, or each file of its folder.

    A file is CSV with the columns number, status and date, or JSON Lines with these names, in
    UTF-8 or GB18030. The status is reissued, cancelled, kept or unknown; or 1, 3, 2 or 0. A file
    that was read before changes nothing; one that was begun goes on. A file that cannot be read
    keeps no other from being read.

    \b
    Examples:
      agi-router feed run unicom today.csv
      printf 'number,status,date\n13800000001,reissued,2026-01-31\n' | agi-router feed run unicom -
      agi-router feed run sharing
    """
    settings = read_settings()
    keys = settings.load_keys()
    with open_serving_database(settings, idle=_IDLE) as connection:
        recycler = Recycler(
            connection, check_keys(connection, keys), processes=processes or cores()
        )
        feed = recycler.store.find(name)
        record_act(Queries(connection), f"feed {feed.name}")
        reports: list[dict[str, Any]] = []
        code = _run_files(feed, recycler, _paths(feed, file), reports)
    _finish(context, reports, recycler, code=code, as_json=as_json, empty="no files")


def _run_files(
    feed: Feed,
    recycler: Recycler,
    paths: Sequence[Path | None],
    reports: list[dict[str, Any]],
) -> int:
    """
    Do what some files say; *reports* gets what came of each.

    Returns:
        The exit code; not 0 where one cannot be read.
    """
    code = 0
    for path in paths:
        file_name = "-" if path is None else _name(path)
        try:
            with _opened(path) as stream:
                run_id = recycler.run(feed, stream, name=file_name)
        except (CsvError, FeedInvalid) as error:
            # Else a file that nobody mends would keep all behind it from being read.
            _warn(f"{file_name}: {error}")
            code = exit_code(error)
            continue
        code = _tell_run(feed, recycler, run_id, file_name, reports) or code
    return code


def _tell_run(
    feed: Feed, recycler: Recycler, run_id: int, file_name: str, reports: list[dict[str, Any]]
) -> int:
    """
    Add what came of a file to *reports*.

    Returns:
        The exit code; not 0 where no record of it can be read.
    """
    report = describe_run(recycler.store.run(run_id), recycler.store.faults(run_id))
    reports.append(report)
    if not report["records"] or report["malformed"] != report["records"]:
        return 0
    # Nobody reads a report of a timer, and the file is done.
    _warn(
        f"{file_name}: no record can be read; if the feed was added with other"
        f" --numbers than {feed.numbers}, remove it and add it anew"
    )
    return exit_code(FeedInvalid)


@group.command("release")
@click.argument("binding", metavar="BINDING")
@json_option
def release(binding: str, *, as_json: bool) -> None:
    r"""
    Let a binding ring again that waits to learn whose number a party has.

    \b
    Examples:
      agi-router list --state held
      agi-router feed release 70012345678-42
    """
    name = BindingId.parse(binding)
    with _store(act=f"binding {name}") as store:
        store.release(name)
    if as_json:
        echo_json({"released": str(name)})
    else:
        echo(f"binding {name} is released")


@group.command("runs")
@click.argument("name", required=False, type=Checked("name", check_feed_name), metavar="[NAME]")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many."
)
@json_option
def runs(name: str | None, limit: int, *, as_json: bool) -> None:
    r"""
    List files that were read, of one feed or of all, the latest first.

    \b
    Examples:
      agi-router feed runs
      agi-router feed runs carrier-1 --limit 5
    """
    with _store() as store:
        rows = list(map(describe_run, store.runs(name, limit=limit)))
    if as_json:
        echo_json(rows)
        return
    _echo_runs(rows, empty="no runs")


@group.command("show")
@click.argument("run_id", type=ROW, metavar="RUN")
@json_option
def show(run_id: int, *, as_json: bool) -> None:
    r"""
    Show a run: its counts, the lines that cannot be read, and the bindings that it has met.

    \b
    Example:
      agi-router feed show 7
    """
    with _store() as store:
        report = describe_run(store.run(run_id), store.faults(run_id))
        matches = list(map(describe_match, store.matches(run_id)))
    if as_json:
        echo_json({**report, "matches": matches})
        return
    _echo(report)
    columns = ("line", "binding", "tenant", "outcome", "at")
    echo_table(columns, [[row[each] for each in columns] for row in matches], empty="no matches")


def _finish(
    context: click.Context,
    reports: list[dict[str, Any]],
    recycler: Recycler,
    *,
    code: int,
    as_json: bool,
    empty: str,
) -> None:
    """
    Tell what came of some files, and end.
    """
    if recycler.damaged:
        _warn(
            f"{recycler.damaged} binding(s) or row(s) do not open and were passed"
            " over; 'agi-router list' shows which are damaged"
        )
        code = exit_code(SealError)
    if as_json:
        echo_json(reports)
    elif len(reports) == 1:
        _echo(reports[0], most=_SHOWN)
    elif reports or not code:
        # A folder has all files of old, too.
        _echo_runs(reports, empty=empty)
    context.exit(code)


def _authorization(text: str | None) -> str | None:
    """
    What is sent as Authorization.

    Raises:
        FeedInvalid: It cannot be.
    """
    try:
        return None if text is None else check_authorization(text)
    except ValueError as error:
        raise FeedInvalid(str(error)) from None


def _warn(text: str) -> None:
    """
    Tell what is wrong in one line, whatever a file is called, and no number of it.
    """
    echo(shown(f"agi-router: {redact(text)}"), err=True)


def _echo_runs(rows: Sequence[dict[str, Any]], *, empty: str) -> None:
    columns = ("run", "feed", "file", "state", "records", "malformed", "matched", "ended")
    echo_table(columns, [[row[each] for each in columns] for row in rows], empty=empty)


def _echo(report: dict[str, Any], *, most: int | None = None) -> None:
    """
    Show a run, with its faults, or the first of them.
    """
    echo_pairs({name: value for name, value in report.items() if name != "faults"})
    for fault in report["faults"][:most]:
        echo(f"line {fault['line']}: {fault['why']}")
    if most is not None and report["malformed"] > most:
        echo(f"and more: see 'agi-router feed show {report['run']}'")


@contextmanager
def _store(*, act: str | None = None) -> Iterator[FeedStore]:
    """
    The feeds, without the keys: nothing about them is sealed.
    """
    with open_serving_database(read_settings(), act=act) as connection:
        yield FeedStore(Queries(connection))


def _paths(feed: Feed, file: str | None) -> list[Path | None]:
    """
    What is read; :obj:`None` is standard input.

    Raises:
        FeedInvalid: The feed has an address, or no file of its own, or its folder cannot be read.
    """
    if file is not None:
        return [None if file == "-" else Path(file)]
    if feed.kind is FeedKind.PULL:
        raise FeedInvalid(
            f"feed {feed.name!r} is of the kind pull: 'agi-router feed pull' asks its address"
        )
    if feed.path is None:
        raise FeedInvalid(f"feed {feed.name!r} has no file of its own: give one, or -")
    path = Path(feed.path)
    return list(list_files(path)) if feed.kind is FeedKind.FOLDER else [path]


def _name(path: Path) -> str:
    """
    What a file is called; bytes that are not UTF-8 are replaced.
    """
    return os.fsencode(path.name).decode("utf-8", "replace")


def _opened(path: Path | None) -> BinaryIO:
    """
    A file that can be read twice.

    Raises:
        FeedInvalid: It cannot be read, or too much comes by the pipe.
    """
    if path is not None:
        return open_file(path)
    whole = sys.stdin.buffer.read(_LARGEST_PIPE + 1)
    if len(whole) > _LARGEST_PIPE:
        raise FeedInvalid("standard input has more than 128 MiB: give the file by its name")
    return io.BytesIO(whole)

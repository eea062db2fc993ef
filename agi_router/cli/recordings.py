"""
``agi-router recording``: recordings of calls, and the process that seals them.
"""

import sys
from datetime import datetime

import click

from agi_router import logs
from agi_router.bindings.model import BindingId
from agi_router.cli.acts import record_act
from agi_router.cli.arguments import COUNT, SINCE, TENANT, Checked
from agi_router.cli.context import open_serving_database, read_settings
from agi_router.cli.output import echo, echo_json, echo_pairs, echo_table, json_option
from agi_router.cli.stores import find_scope
from agi_router.db.connection import Queries
from agi_router.keys.registry import check_keys
from agi_router.numbers import XNumber
from agi_router.recordings.reconciliation import compare
from agi_router.recordings.store import RecordingLedger, RecordingStore
from agi_router.recordings.views import describe_recording
from agi_router.records.audit import check_case, check_note
from agi_router.service.keeping import KeepingService
from agi_router.service.recording_places import bucket_of, places_of

__all__ = ["group"]

_CASE = Checked("text", check_case)
_NOTE = Checked("text", check_note)


@click.group("recording")
def group() -> None:
    """
    Recordings of calls: what there is, what was said, and the process that seals them.
    """


@group.command("list")
@click.option("--tenant", type=TENANT, metavar="NAME", help="Of this tenant alone.")
@click.option("--binding", type=Checked("id", BindingId.parse), help="Of this binding alone.")
@click.option(
    "--x",
    "number",
    type=Checked("number", XNumber.parse),
    metavar="700…",
    help="To this 700 number.",
)
@click.option("--since", type=SINCE, help="Begun since then: a time, or how long ago.")
@click.option("--limit", type=COUNT, default=100, show_default=True, help="At most so many.")
@json_option
def list_(
    tenant: str | None,
    binding: BindingId | None,
    number: XNumber | None,
    since: datetime | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    r"""
    List recordings, newest first; and calls that have none though they were to be recorded.

    \b
    Example:
      agi-router recording list --since 1d
    """
    with open_serving_database(read_settings()) as connection:
        store = RecordingStore(Queries(connection), find_scope(connection, tenant))
        found = store.all(binding=binding, x_number=number, since=since, limit=limit)
    rows = list(map(describe_recording, found))
    if as_json:
        echo_json(rows)
        return
    columns = ("begun_at", "call", "tenant", "binding", "x", "state", "gap", "length_ms")
    echo_table(
        [each.replace("_", " ") for each in columns],
        [[row[each] for each in columns] for row in rows],
        empty="no recordings",
    )


@group.command("show")
@click.argument("call")
@json_option
def show(call: str, *, as_json: bool) -> None:
    r"""
    Show what is on record of the recording of a call, without what was said.

    \b
    Example:
      agi-router recording show pbx1-1790000000.7
    """
    with open_serving_database(read_settings()) as connection:
        told = describe_recording(RecordingStore(Queries(connection)).find(call))
    (echo_json if as_json else echo_pairs)(told)


@group.command("listen")
@click.argument("call")
@click.option("--case", required=True, type=_CASE, help="The case that it is for.")
@click.option("--reason", required=True, type=_NOTE, help="Why.")
def listen(call: str, case: str, reason: str) -> None:
    r"""
    Write what was said to standard output: WAV, the caller on the left, the callee on the right.

    A row of the audit is written first. Nothing is written to a disk by it: pipe it to a player.

    \b
    Example:
      agi-router recording listen pbx1-1790000000.7 --case P-2026-17 --reason "court order" | aplay
    """
    if sys.stdout.isatty():
        raise click.UsageError("sound is no text: pipe it to a player")
    settings = read_settings()
    keys = settings.load_keys()
    with open_serving_database(settings) as connection:
        queries = Queries(connection)
        store = RecordingStore(queries)
        ring = check_keys(connection, keys)
        recording = store.find(call)
        heard = store.listen(recording, places_of(settings), ring)
        record_act(queries, f"recording of call {call}", reason=reason, case=case)
    for some in heard:
        sys.stdout.buffer.write(some)
    sys.stdout.buffer.flush()


@group.command("delete")
@click.argument("call")
@click.option("--case", required=True, type=_CASE, help="The case that it is for.")
@click.option("--reason", required=True, type=_NOTE, help="Why.")
@click.option("--early", is_flag=True, help="Though six months are not over: it was ordered.")
@json_option
def delete(call: str, case: str, reason: str, *, early: bool, as_json: bool) -> None:
    r"""
    Destroy the key of a recording, so that nobody hears it any more; its file goes soon after.

    What is past retention goes by itself: see "retention". What a hold keeps stays.

    \b
    Example:
      agi-router recording delete pbx1-1790000000.7 --case P-2026-17 --reason "court order" --early
    """
    with open_serving_database(read_settings()) as connection:
        queries = Queries(connection)
        store = RecordingStore(queries)
        with queries.transaction():
            RecordingLedger(queries).delete(store.find(call), early=early)
            record_act(queries, f"recording of call {call}", reason=reason, case=case)
        told = describe_recording(store.find(call))
    (echo_json if as_json else echo_pairs)(told)


@group.command("keep")
@click.option("--once", is_flag=True, help="Seal what is over, put it on record, and end.")
def keep(*, once: bool) -> None:
    r"""
    Seal what is recorded as soon as a call is over, and put it on record, until SIGTERM.

    One runs beside each Asterisk that records. It needs AGI_ROUTER_RECORDINGS, and of the database
    what a router needs.

    \b
    Example:
      agi-router recording keep
    """
    settings = read_settings()
    keys = settings.load_keys()
    service = KeepingService(settings, keys)
    logs.set_up(settings.log_level)
    (service.once if once else service.run)()


@group.command("reconcile")
@click.option("--remove", is_flag=True, help="Remove from the bucket what no record has.")
@json_option
@click.pass_context
def reconcile(context: click.Context, *, remove: bool, as_json: bool) -> None:
    r"""
    Compare the bucket of sealed recordings with the records, by the names of files.

    Exits with 1 if a file is missing that is on record there. A file that no record has is one
    that nobody can open, unless the database was restored to an older state: see docs/restore.md.
    Where there are cells, it is removed by the DSN of the global database alone.

    \b
    Example:
      agi-router recording reconcile
    """
    settings = read_settings()
    bucket = bucket_of(settings)
    if bucket is None:
        raise click.UsageError("there is no bucket: AGI_ROUTER_S3_ENDPOINT is not set")
    with open_serving_database(settings) as connection:
        queries = Queries(connection)
        ledger = RecordingLedger(queries)
        if remove:
            ledger.check_all_seen()
        found = compare(bucket, ledger)
        if remove and found.strange:
            # A block may be on its way since.
            ledger.check_all_seen()
            record_act(queries, f"{len(found.strange)} files of {bucket.address}")
            for each in found.strange:
                bucket.erase(each)
    if as_json:
        echo_json({"files": found.files, "missing": found.missing, "strange": found.strange})
    else:
        for name in found.missing:
            echo(f"missing  {name}")
        for name in found.strange:
            echo(f"{'removed' if remove else 'strange'}  {name}")
        missing, strange = len(found.missing), len(found.strange)
        echo(f"{found.files} files, {missing} missing, {strange} on no record")
    if found.missing:
        context.exit(1)

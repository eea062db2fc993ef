"""
``agi-router import`` and ``export``: bindings by the file.
"""

import contextlib
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import click

from agi_router import logs
from agi_router.bindings.requests import Fault
from agi_router.bulk.columns import COLUMNS, DAMAGED, EXPORTED, escape, unescape
from agi_router.bulk.csv_file import Record, new_file, write_record
from agi_router.bulk.exporter import export_rows
from agi_router.bulk.importer import Importer, Tally, Watcher
from agi_router.bulk.mover import Mover
from agi_router.bulk.place import check_loadable, check_movable
from agi_router.bulk.workers import cores
from agi_router.cli.acts import record_act
from agi_router.cli.arguments import ORDER_ID, TENANT
from agi_router.cli.bindings import DAMAGED_BINDINGS
from agi_router.cli.context import open_database, read_settings
from agi_router.cli.damage import fail_if_damaged
from agi_router.cli.output import echo, echo_json, echo_pairs, json_option
from agi_router.cli.stores import find_scope, open_store
from agi_router.db.connection import Queries
from agi_router.db.migrate import check_schema
from agi_router.errors import CsvError
from agi_router.keys.registry import check_keys
from agi_router.records.audit import AuditEntry
from agi_router.texts import shown

__all__ = ["export", "import_", "migrate_x"]

_FAULT = "fault"
_STATE = EXPORTED.index("state")
_NAME = EXPORTED.index("id")
# Seconds for which a transaction may stand still: who makes the file, or reads it page by page,
# may take long, and no call waits for it.
_IDLE = 600
# So many rows that cannot move are told on standard error; --rejects has all.
_MOST_TOLD = 100


_HEADER = "\n".join(
    f"  {name:13} {column.about.replace('`', '')}" for name, column in COLUMNS.items()
)


@click.command("import", epilog=f"\b\nColumns, in any order:\n{_HEADER}")
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Look at all of it, and write nothing.")
@click.option(
    "--keep-going", is_flag=True, help="Bind the rows that can be, though others cannot."
)
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write rejected rows, with the reason, to this new file (mode 0600, numbers in full).",
)
@click.option("--force", is_flag=True, help="Overwrite the file of --rejects.")
@click.option(
    "--faults",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Faulty rows to report; without --keep-going the import ends there.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
    help="Processes that seal; as many as there are cores if absent.",
)
@click.option(
    "--tenant",
    type=TENANT,
    metavar="NAME",
    help="Take rows of this tenant alone, for a file that comes from him; a row that says nothing"
    " is his.",
)
@click.option(
    "--tell", is_flag=True, help="Tell tenants of each binding, by the event binding.created."
)
@json_option
def import_(
    file: BinaryIO,
    rejects: Path | None,
    faults: int,
    processes: int | None,
    tenant: str | None,
    *,
    dry_run: bool,
    keep_going: bool,
    tell: bool,
    force: bool,
    as_json: bool,
) -> None:
    r"""
    Bind what stands in a CSV file ("-": standard input): all of its rows, or none.

    A row whose order is bound for the same parties already is left as it is: importing a file
    again, after a crash too, changes nothing that is done.

    \b
    Examples:
      agi-router import orders.csv --dry-run
      agi-router import orders.csv
      agi-router import orders.csv --keep-going --rejects rejects.csv
      agi-router import couriers.csv --tenant couriers
      printf 'mode,order,a,b,ttl\naxb,A-1001,13800000001,13800000002,2h\n' | agi-router import -
    """
    if rejects is not None and not keep_going and not dry_run:
        raise click.UsageError("--rejects goes with --keep-going or --dry-run")
    settings = read_settings()
    keys = settings.load_keys()
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(open_database(settings, idle=_IDLE))
        check_schema(connection)
        check_loadable(Queries(connection))
        keys = check_keys(connection, keys)
        out = None if rejects is None else stack.enter_context(new_file(rejects, overwrite=force))
        progress = stack.enter_context(_progress(file))
        report = _Report(out, shown=faults)
        importer = Importer(
            connection,
            keys,
            fixed_lines=settings.fixed_lines,
            ttl=settings.ttl,
            quarantine=settings.quarantine,
            open_modes=settings.open_modes,
            processes=processes or cores(),
            watcher=Watcher(
                header=report.begin,
                rejected=report.reject,
                waiting=_say_waiting,
                read=progress,
                encoding=_say_encoding,
            ),
            scope=find_scope(connection, tenant),
        )
        if not dry_run:
            record_act(Queries(connection), "bindings of a file")
        try:
            importer.run(
                file,
                keep_going=keep_going,
                dry_run=dry_run,
                tell=tell,
                limit=None if keep_going else faults,
            )
        except CsvError as error:
            report.stop(error)
    _conclude(importer.tally, report, keep_going=keep_going, dry_run=dry_run, as_json=as_json)


@click.command("migrate-x")
@click.argument("file", type=click.File("rb"))
@click.option(
    "--map",
    "numbers",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="Write the old and the new numbers to this new file (mode 0600), for the tenant.",
)
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write rows that cannot move, with the reason, to this new file (mode 0600).",
)
@click.option("--force", is_flag=True, help="Overwrite these files.")
@click.option(
    "--tenant",
    type=TENANT,
    metavar="NAME",
    help="Take rows of this tenant alone; a row that says nothing is his.",
)
@json_option
def migrate_x(
    file: BinaryIO,
    numbers: Path,
    rejects: Path | None,
    tenant: str | None,
    *,
    force: bool,
    as_json: bool,
) -> None:
    r"""
    Move bindings from middle numbers of before (mobiles, 95…) to 700 numbers.

    The file is one that "import" reads, with a column "old" for the middle number of before. All
    rows of one old number get the same 700 number where they can. Moved again, a file changes
    nothing that is done; the map is written anew.

    \b
    Examples:
      agi-router migrate-x old.csv --map numbers.csv --rejects rejects.csv --tenant couriers
      printf 'old,mode,order,a,b,ttl\n95013000001,axb,A-1,13800000001,13800000002,30d\n' |
          agi-router migrate-x - --map numbers.csv
    """
    settings = read_settings()
    keys = settings.load_keys()
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(open_database(settings, idle=_IDLE))
        check_schema(connection)
        check_movable(Queries(connection))
        keys = check_keys(connection, keys)
        scope = find_scope(connection, tenant)
        out = None if rejects is None else stack.enter_context(new_file(rejects, overwrite=force))
        told = stack.enter_context(new_file(numbers, overwrite=force))
        report = _Report(out, shown=_MOST_TOLD)

        def make(watcher: Watcher) -> Importer:
            return Importer(
                connection,
                keys,
                fixed_lines=settings.fixed_lines,
                ttl=settings.ttl,
                quarantine=settings.quarantine,
                open_modes=settings.open_modes,
                processes=cores(),
                watcher=watcher,
                scope=scope,
            )

        mover = Mover(
            Queries(connection),
            keys,
            make,
            Watcher(
                header=report.begin,
                rejected=report.reject,
                waiting=_say_waiting,
                read=lambda _: None,
                encoding=_say_encoding,
            ),
            fixed_lines=settings.fixed_lines,
            tenant=scope.tenant,
        )
        record_act(Queries(connection), "bindings on old middle numbers of a file")
        moved = mover.run(file)
        write_record(told, ("old", "new", "new_b", "order", "tenant"))
        for each in moved:
            cells = (each.old, each.new, each.new_b, each.order, each.tenant)
            write_record(told, list(map(escape, cells)))
    _conclude(mover.tally, report, keep_going=True, dry_run=False, as_json=as_json)


@click.command()
@click.option("--all", "everything", is_flag=True, help="Also those that are over.")
@click.option("--order", type=ORDER_ID, help="Only those of one order.")
@click.option("--tenant", type=TENANT, metavar="NAME", help="Only those of one tenant.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default=Path("-"),
    metavar="FILE",
    help="Write to this new file, mode 0600, instead of standard output.",
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
@click.option(
    "--reveal",
    is_flag=True,
    help="Write real numbers in full, as an import needs them. Who does so is written down first.",
)
@click.option("--reason", metavar="TEXT", help="Why they are shown; for those who ask later.")
def export(
    order: str | None,
    tenant: str | None,
    output: Path,
    reason: str | None,
    *,
    everything: bool,
    force: bool,
    reveal: bool,
) -> None:
    r"""
    Write bindings as a CSV file that "import" reads; real numbers are masked.

    Cells that a spreadsheet would take for a formula have an apostrophe in front, which an import
    takes away again. A damaged binding is a row without parties, in the state "damaged".

    Before a number is shown in full, who has it shown is written to the database, see "agi-router
    audit"; where that cannot be done nothing is shown.

    \b
    Examples:
      agi-router export --order A-1001
      agi-router export --reveal --reason "move to another host" -o bindings.csv
    """
    if reason is not None and not reveal:
        raise click.UsageError("--reason goes with --reveal")
    asked = {"--all": everything or None, "--order": order, "--tenant": tenant, "-o": output}
    revelation = AuditEntry(
        act="export",
        # An id of an order, a file and a reason are anything, even a number.
        subject=logs.redact(" ".join(f"{k} {v}" for k, v in asked.items() if v is not None)),
        reason=None if reason is None else logs.redact(reason),
    )
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(open_store(read_settings(), idle=_IDLE, tenant=tenant))
        rows = export_rows(
            store,
            everything=everything,
            order_id=order,
            reveal=revelation if reveal else None,
        )
        stack.enter_context(contextlib.closing(rows))
        stream = stack.enter_context(_output(output, overwrite=force))
        count, damaged = _write(stream, rows)
    echo(f"exported {count} binding(s)", err=True)
    fail_if_damaged(damaged, DAMAGED_BINDINGS)


class _Report:
    """
    What is told of the rows that cannot be bound.

    Args:
        out: Where they are written, if they are.
        shown: How many are told on standard error.
    """

    def __init__(self, out: TextIO | None, *, shown: int) -> None:
        self._out = out
        self._shown = shown
        self._rows = 0
        self._fault_at: int | None = None
        self.faults: list[dict[str, Any]] = []
        self.broken: CsvError | None = None

    def begin(self, header: Sequence[str]) -> None:
        """
        The header has been read.
        """
        self._fault_at = header.index(_FAULT) if _FAULT in header else None
        self._write("fault", header)

    def reject(self, record: Record, faults: Sequence[Fault]) -> None:
        """
        A row cannot be bound.
        """
        self._rows += 1
        self._write("; ".join(map(str, faults)), [escape(unescape(c)) for c in record.cells])
        if self._rows > self._shown:
            return
        for fault in faults:
            echo(f"line {record.line}: {fault}", err=True)
            self.faults.append({"line": record.line, **asdict(fault)})

    def stop(self, error: CsvError) -> None:
        """
        The file cannot be read any further.
        """
        self.broken = error

    def _write(self, fault: str, cells: Sequence[str]) -> None:
        if self._out is not None:
            kept = [cell for i, cell in enumerate(cells) if i != self._fault_at]
            write_record(self._out, [fault, *kept])


def _conclude(
    tally: Tally, report: _Report, *, keep_going: bool, dry_run: bool, as_json: bool
) -> None:
    """
    Say what has become of the rows; fails where some cannot be bound.
    """
    words = {
        "would_bind" if dry_run else "bound": tally.bound,
        "already_there": tally.there,
        "over": tally.over,
        "rejected": tally.rejected,
    }
    nothing = not keep_going and (report.broken or tally.rejected)
    if not nothing or dry_run or as_json:
        if as_json:
            echo_json({**words, "faults": report.faults})
        else:
            echo_pairs(words)
    nothing = nothing or not (tally.bound or tally.there)
    done = "" if dry_run else "nothing was imported: " if nothing else "the rest was imported: "
    if report.broken is not None:
        raise CsvError(f"{done}{report.broken}")
    if tally.rejected:
        raise CsvError(
            f"{done}{tally.rejected} row(s) cannot be bound"
            + ("" if keep_going or dry_run else "; correct them, or use --keep-going")
        )


@contextlib.contextmanager
def _progress(file: BinaryIO) -> Iterator[Any]:
    """
    Who is told how much of *file* is read: a bar, where somebody looks on and the end is known.
    """
    status = os.fstat(file.fileno())
    if not (sys.stderr.isatty() and stat.S_ISREG(status.st_mode)):
        yield lambda _: None
        return
    with click.progressbar(length=status.st_size, file=sys.stderr, label="importing") as bar:
        yield lambda read: bar.update(read - bar.pos)


def _say_encoding(encoding: str) -> None:
    echo(f"the file is not in UTF-8; it is read as {encoding}", err=True)


def _say_waiting() -> None:
    echo("another import is running; waiting for it to end", err=True)


@contextlib.contextmanager
def _output(path: Path, *, overwrite: bool) -> Iterator[TextIO]:
    if path == Path("-"):
        # Line ends are the file's, not the machine's.
        with open(sys.stdout.fileno(), "w", encoding="utf-8", newline="", closefd=False) as stream:
            yield stream
    else:
        with new_file(path, overwrite=overwrite) as stream:
            yield stream


def _write(stream: TextIO, rows: Iterator[list[str]]) -> tuple[int, list[str]]:
    """
    Write all rows; return how many they are, and the names of those that are damaged.
    """
    write_record(stream, EXPORTED)
    count = 0
    damaged: list[str] = []
    for cells in rows:
        # Other programs may have written to the database; "import" takes no such name.
        write_record(stream, list(map(shown, cells)))
        count += 1
        if cells[_STATE] == DAMAGED:
            damaged.append(cells[_NAME])
    return count, damaged

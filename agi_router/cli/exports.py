"""
``agi-router export-day``: what is handed over of a day, packed for whoever is to read it.
"""

import json
import shlex
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import click

from agi_router.cli.acts import record_act
from agi_router.cli.context import open_database, read_settings
from agi_router.cli.output import echo, echo_json, echo_pairs, json_option
from agi_router.db.connection import Connection, Queries
from agi_router.db.migrate import check_schema
from agi_router.db.rights import Purpose, check_rights
from agi_router.errors import ExpiryInvalid, ExportInvalid
from agi_router.exports.days import ExportDays
from agi_router.exports.formats import find_format
from agi_router.exports.kinds import KINDS, ZONE, bounds, describe
from agi_router.exports.manifest import Manifest, PackedFile
from agi_router.exports.opening import open_package
from agi_router.exports.packer import MANIFEST, DayPacker, Packing, first_packed
from agi_router.exports.sealing import Recipient, RecipientKey
from agi_router.exports.store import DayRecords
from agi_router.files import UnfitFile, read_private
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.keys.segments import FileCipher
from agi_router.records.heads import read_signing_key, read_verifying_key

__all__ = ["export_day"]

_FILE = click.Path(dir_okay=False, path_type=Path)
_KEYS = "/etc/agi-router-export"
_PACKAGES = "/var/lib/agi-router-export"
_LARGEST_KEY = 65536
# Seconds for which a transaction may stand still: calls wait for none of it.
_IDLE = 600

_Key = TypeVar("_Key", Recipient, RecipientKey)


class _Day(click.ParamType[Any]):
    """
    A day of the calendar, or ``yesterday``.
    """

    name = "date"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> date:
        """
        Read *value*, or fail as wrong usage.
        """
        if isinstance(value, date):
            return value
        if value == "yesterday":
            return datetime.now(ZONE).date() - timedelta(days=1)
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fail("a day looks like 2026-01-31, or is yesterday", param, ctx)


@click.command("export-day")
@click.argument("day", metavar="[DATE|yesterday]", type=_Day(), required=False)
@click.option(
    "--to",
    "root",
    type=click.Path(file_okay=False, path_type=Path),
    default=_PACKAGES,
    show_default=True,
    help="The directory that packages are made in.",
)
@click.option(
    "--recipient",
    type=_FILE,
    default=f"{_KEYS}/recipient.pem",
    show_default=True,
    help="The recipient's public key, in PEM: of X25519, or of RSA.",
)
@click.option(
    "--signing-key",
    type=_FILE,
    default=f"{_KEYS}/key",
    show_default=True,
    help="What signs the manifest; see 'agi-router audit new-key'.",
)
@click.option(
    "--format", "form", default="jsonl", show_default=True, help="jsonl, csv, or one of your own."
)
@click.option(
    "--cipher",
    type=click.Choice([each.value for each in FileCipher]),
    default=FileCipher.AES_256_GCM.value,
    show_default=True,
    help="By what it is sealed.",
)
@click.option(
    "--numbers",
    type=click.Choice(["masked", "full"]),
    default="masked",
    show_default=True,
    help="How real numbers are told; full needs --reason.",
)
@click.option("--reason", help="Why they are, for the audit.")
@click.option(
    "--late-days",
    type=click.IntRange(0, 366),
    default=0,
    help="Look at so many days before it, too, for what came late; and pack those of them that"
    " were not, since the first that was.",
)
@click.option(
    "--asked",
    is_flag=True,
    help="Instead of a day: those that were asked for by HTTP and wait, and no late days.",
)
@click.option(
    "--verify",
    "package",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Open a package and check it instead; needs --key.",
)
@click.option("--key", type=_FILE, help="With --verify: the recipient's private key.")
@click.option(
    "--signer",
    type=_FILE,
    default=f"{_KEYS}/key.pub",
    show_default=True,
    help="With --verify: the public key that is to have signed.",
)
@click.option(
    "--print",
    "printed",
    type=click.Choice([kind.name for kind in KINDS]),
    help="With --verify: print the records of a kind, too.",
)
@click.option("--schema", is_flag=True, help="Print the schema of the records, and do nothing.")
@json_option
def export_day(  # noqa: PLR0917 - options, not arguments
    day: date | None,
    root: Path,
    recipient: Path,
    signing_key: Path,
    form: str,
    cipher: str,
    numbers: str,
    reason: str | None,
    late_days: int,
    package: Path | None,
    key: Path | None,
    signer: Path,
    printed: str | None,
    *,
    asked: bool,
    schema: bool,
    as_json: bool,
) -> None:
    r"""
    Pack what happened on a day (Asia/Shanghai), sealed for a recipient and signed; or open it.

    Bindings, calls, texts, locks and consents, each kind in files of its own. The first package of
    a day holds all of it; run again, what came late or has changed since goes into a correction,
    and where nothing has, nothing is made. An export that was broken off is gone on with.

    \b
    Examples:
      agi-router export-day yesterday --late-days 7
      agi-router export-day --asked
      agi-router export-day 2026-03-01 --numbers full --reason "daily batch"
      agi-router export-day --verify 2026-03-01-000 --key recipient.key \
          --signer key.pub --print calls
    """
    if schema:
        echo_json(describe())
    elif package is not None:
        if key is None or day is not None or asked:
            raise click.UsageError("--verify needs --key, and takes no day")
        _verify(package, key, signer, printed=printed, as_json=as_json)
    elif (day is None) is not asked or key is not None or printed is not None:
        raise click.UsageError("say which day, or --asked; --key and --print go with --verify")
    elif (numbers == "full") is (reason is None):
        raise click.UsageError("--numbers full and --reason go together")
    else:
        packing = Packing(
            root=root,
            recipient=_read(recipient, Recipient.parse, private=False),
            cipher=FileCipher(cipher),
            key=read_signing_key(signing_key),
            format=find_format(form),
            format_name=form,
            reveal=numbers == "full",
        )
        days = None
        if day is not None:
            days = [day - timedelta(days=each) for each in range(late_days + 1)]
        _run(days, packing, reason=reason, as_json=as_json)


def _run(days: list[date] | None, packing: Packing, *, reason: str | None, as_json: bool) -> None:
    """
    Pack days, or those that were asked for, and tell what was made.
    """
    settings = read_settings()
    keys = settings.load_keys()
    with open_database(settings, idle=_IDLE) as connection:
        check_schema(connection)
        check_rights(connection, Purpose.EXPORT)
        ring = check_keys(connection, keys, remember=False)
        if days is None:
            made, failed = _pack_asked(packing, connection, ring, reason=reason)
        else:
            made, failed = _pack(days, packing, connection, ring, reason=reason)
    if as_json:
        echo_json(made)
    else:
        for told in made:
            echo_pairs(told)
        if not made and not failed:
            echo("nothing came late: no package was made")
    if failed:
        raise ExportInvalid("; ".join(dict.fromkeys(failed)))


_Outcome = tuple[list[dict[str, Any]], list[str]]
"""The packages that were made, and why others could not be."""


def _pack_asked(
    packing: Packing, connection: Connection, ring: KeyRing, *, reason: str | None
) -> _Outcome:
    """
    Pack the days that wait, and note what came of each.
    """
    wishes = ExportDays(Queries(connection))
    made: list[dict[str, Any]] = []
    failed: list[str] = []
    for day, asked_at in wishes.asked():
        failure = None
        try:
            packed = _pack_day(day, packing, connection, ring, reason=reason)
        except ExportInvalid as error:
            failure = str(error)
            failed.append(failure)
        else:
            made += [] if packed is None else [_described(packing.root, packed)]
        wishes.tried(day, asked_at, failure)
    return made, failed


def _pack(
    days: list[date],
    packing: Packing,
    connection: Connection,
    ring: KeyRing,
    *,
    reason: str | None,
) -> _Outcome:
    made: list[dict[str, Any]] = []
    failed: list[str] = []
    queries = Queries(connection)
    row = queries.row("now", {})
    now = row["clock_timestamp"] if row else datetime.now(UTC)
    if bounds(days[0])[1] > now:
        raise ExpiryInvalid("the day is not over yet, by the database's clock")
    begun = first_packed(packing.root) or days[0]
    for day in days:
        # Where a directory begins, it begins with the day that was asked for.
        if day != days[0] and (day < begun or _is_past(queries, day)):
            continue
        try:
            packed = _pack_day(day, packing, connection, ring, reason=reason)
        except ExportInvalid as error:
            # What is wrong with one day keeps no other from being handed over.
            failed.append(str(error))
            continue
        if packed is not None:
            made.append(_described(packing.root, packed))
    return made, failed


def _pack_day(
    day: date, packing: Packing, connection: Connection, ring: KeyRing, *, reason: str | None
) -> Manifest | None:
    queries = Queries(connection)
    if _is_past(queries, day):
        raise ExportInvalid(f"records of {day} are past retention and were deleted")
    packer = DayPacker(packing, day)
    with packer.held():
        packer.check()
        _tell(queries, packing, day, reason)
        packed = packer.pack(DayRecords(connection, ring, day, reveal=packing.reveal))
        for each in packer.packages():
            _record(queries, packing.root, each)
    return packed


def _is_past(queries: Queries, day: date) -> bool:
    """
    Whether something of a day is deleted, so that nobody can tell any more what was on it.
    """
    return queries.row("find_deleted", {"since": bounds(day)[0].date()}) is not None


def _tell(queries: Queries, packing: Packing, day: date, reason: str | None) -> None:
    """
    Write down what is exported, before it is.
    """
    numbers = "full" if packing.reveal else "masked"
    record_act(
        queries, f"{day}, numbers {numbers}, for the key {packing.recipient.id}", reason=reason
    )


def _record(queries: Queries, root: Path, manifest: Manifest) -> None:
    text = root.joinpath(manifest.name, MANIFEST).read_bytes()
    queries.execute(
        "record_export",
        {
            "day": manifest.day,
            "sequence": manifest.sequence,
            "records": json.dumps(manifest.counts),
            "numbers": manifest.numbers,
            "recipient": manifest.recipient,
            "manifest": sha256(text).digest(),
            "signed": text.decode("ascii"),
            "tenants": json.dumps(manifest.tenants),
        },
    )


def _verify(package: Path, key: Path, signer: Path, *, printed: str | None, as_json: bool) -> None:
    def show(file: PackedFile, clear: bytes) -> None:
        if file.kind == printed:
            sys.stdout.buffer.write(clear)

    manifest = open_package(
        package,
        _read(key, RecipientKey.parse, private=True),
        [read_verifying_key(signer)],
        show=show,
    )
    sys.stdout.buffer.flush()
    told = _described(package.parent, manifest)
    if printed is not None:
        echo(f"{package} is as it was packed", err=True)
    elif as_json:
        echo_json(told)
    else:
        echo_pairs(told)
        echo("it is as it was packed")


def _described(root: Path, manifest: Manifest) -> dict[str, Any]:
    return {
        "package": str(root / manifest.name),
        "day": manifest.day,
        "sequence": manifest.sequence,
        "numbers": manifest.numbers,
        "format": manifest.format,
        "cipher": manifest.cipher,
        "recipient": manifest.recipient,
        **manifest.counts,
    }


def _read(path: Path, parse: Callable[[bytes], _Key], *, private: bool) -> _Key:
    name = shlex.quote(str(path))
    try:
        content = read_private(path, largest=_LARGEST_KEY) if private else path.read_bytes()
        return parse(content[:_LARGEST_KEY])
    except OSError as error:
        raise ExportInvalid(f"the key {name} cannot be read: {error.strerror}") from error
    except (UnfitFile, ValueError) as error:
        raise ExportInvalid(f"the key {name} {error}") from None

"""
Packing a day: into a directory of its own, which is there under its name once it is whole.

Rules for the editor:

1. What lies on disk is sealed. A record is in clear in memory alone.
2. A file that is whole, and seen on disk, is written down in the progress of the package; whoever
   goes on after a crash keeps it, and goes on behind its last record. Whatever else lies there is
   removed.
3. A package gets its name by one renaming, when all of it is seen on disk. It is never changed.
"""

import fcntl
import json
import os
import re
import shlex
import shutil
import sys
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from agi_router.errors import ExportInvalid
from agi_router.exports.formats import RecordFormat
from agi_router.exports.kinds import KINDS, Kind, describe, read_cells
from agi_router.exports.ledger import Ledger, LedgerWriter, marks_of
from agi_router.exports.manifest import Manifest, PackedFile, digest, name_package
from agi_router.exports.sealing import Recipient, Sealer
from agi_router.exports.store import DayRecords
from agi_router.files import sync_directory, written_whole
from agi_router.keys.segments import FileCipher
from agi_router.records.chain import SigningKey

__all__ = ["MANIFEST", "PART", "SCHEMA", "DayPacker", "Packing", "first_packed"]

MANIFEST: Final = "manifest.json"
SCHEMA: Final = "schema.json"
PART: Final = 1_000_000
"""So many records are in a file at most."""

_LEDGERS: Final = ".ledgers"
_LOCK: Final = ".lock"
_PROGRESS: Final = ".progress"
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FAST: Final = 1
# Seconds; Python's own are ten times as many.
_TURN: Final = 0.0005
_GZIP: Final = 31
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """
    How days are packed.

    Attributes:
        root: The directory of the packages.
        recipient: Whom they are for.
        cipher: What seals them.
        key: What signs them.
        format: How records are written.
        format_name: What that is called.
        reveal: Whether numbers are in full.
        part: So many records are in a file at most.
    """

    root: Path
    recipient: Recipient
    cipher: FileCipher
    key: SigningKey
    format: RecordFormat
    format_name: str
    reveal: bool
    part: int = PART

    def begin(self, day: date, sequence: int) -> Manifest:
        """
        A package of nothing yet.
        """
        return Manifest(
            day=day.isoformat(),
            sequence=sequence,
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            numbers="full" if self.reveal else "masked",
            format=self.format_name,
            cipher=self.cipher.value,
            recipient=self.recipient.id,
            schema_sha256=digest(_schema()),
            files=[],
        )


@dataclass(slots=True)
class _Progress:
    """
    How far a package is.

    Attributes:
        manifest: It so far, as JSON; what was asked for stands in it, too.
        kind: Place of the kind that is being written.
        after: Key of the last record of it that is in a whole file.
        ledger: Octets of its ledger that stand for records in whole files.
    """

    manifest: dict[str, Any]
    files: list[PackedFile] = field(default_factory=list)
    kind: int = 0
    after: list[str] | None = None
    ledger: int = 0


def first_packed(root: Path) -> date | None:
    """
    The first day of which there is a package in a directory, if there is one.
    """
    days = [each.name[:-4] for each in root.glob("[0-9]*-000") if _DAY.fullmatch(each.name[:-4])]
    return date.fromisoformat(min(days)) if days else None


class DayPacker:
    """
    Packs one day.

    Args:
        packing: How.
        day: Which.
    """

    def __init__(self, packing: Packing, day: date) -> None:
        self._packing = packing
        self._day = day
        self._root = packing.root

    @contextmanager
    def held(self) -> Iterator[None]:
        """
        One packs at a time; the others wait.

        Raises:
            ExportInvalid: The directory cannot be used.
        """
        try:
            self._root.joinpath(_LEDGERS).mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self._root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unfit(error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        except OSError as error:
            raise self._unfit(error) from error
        finally:
            os.close(fd)

    def packages(self) -> list[Manifest]:
        """
        What was packed of the day, in order.

        Raises:
            ExportInvalid: A manifest cannot be read.
        """
        found = []
        for each in sorted(self._root.glob(f"{self._day.isoformat()}-*")):
            if re.fullmatch(r"[0-9]{3,}", each.name.removeprefix(f"{self._day.isoformat()}-")):
                try:
                    found.append(Manifest.parse(each.joinpath(MANIFEST).read_text("ascii")))
                except ValueError as error:
                    raise ExportInvalid(f"{shlex.quote(str(each / MANIFEST))} {error}") from None
        return sorted(found, key=lambda each: each.sequence)

    def check(self) -> list[Manifest]:
        """
        What was packed of the day, in order; more of it can be packed as it was.

        Raises:
            ExportInvalid: It was packed in another way: whoever wants it in this one would get
                what came late, and not the day. Or a manifest cannot be read.
        """
        packed = self.packages()
        if packed:
            last, asked = packed[-1], self._packing.begin(self._day, 0)
            for name in ("numbers", "format", "recipient"):
                was, wanted = getattr(last, name), getattr(asked, name)
                if was != wanted:
                    raise ExportInvalid(
                        f"{shlex.quote(str(self._root))} has the day {last.day} with {name}"
                        f" {was}, and not {wanted}: use another --to"
                    )
        return packed

    def pack(self, records: DayRecords) -> Manifest | None:
        """
        Pack the day, or what of it came late; :obj:`None`: nothing did.

        Args:
            records: Those of the day.

        Raises:
            ExportInvalid: It was packed in another way, see :meth:`check`, or nobody knows any
                more what was handed over of the day.
        """
        packed = self.check()
        last = packed[-1].name if packed else None
        sequence = packed[-1].sequence + 1 if packed else 0
        known = None if last is None else self._known(last)
        name = name_package(self._day.isoformat(), sequence)
        work = self._root / f".{name}"
        ledgers = self._root / _LEDGERS / f"{name}.new"
        progress = self._progress(work, self._packing.begin(self._day, sequence))
        if progress.kind == 0 and not progress.files:
            for each in (work, ledgers):
                shutil.rmtree(each, ignore_errors=True)
                each.mkdir(mode=0o700)
        made = _Package(self._packing, work, ledgers, known, progress)
        with _short_turns():
            manifest = made.write(records)
        if last is not None and not manifest.files:
            shutil.rmtree(work)
            shutil.rmtree(ledgers)
            return None
        made.finish(manifest)
        work.rename(self._root / name)
        sync_directory(self._root)
        self._known(name)
        return manifest

    def _known(self, name: str) -> Path:
        """
        The ledgers of a package; they may still lie where they were when it got its name.
        """
        known = self._root / _LEDGERS / name
        new = known.with_name(f"{name}.new")
        if not known.exists() and new.exists():
            new.rename(known)
            sync_directory(known.parent)
        if not known.exists():
            raise ExportInvalid(
                f"the ledgers of the package {name} are gone, so nobody knows what came late:"
                " move its packages away to have the day packed once more"
            )
        return known

    def _progress(self, work: Path, begun: Manifest) -> _Progress:
        """
        How far a package is that was being made for the same, or of a new one.
        """
        new = _Progress(asdict(begun.without_files()))
        try:
            told = json.loads(work.joinpath(_PROGRESS).read_text("ascii"))
        except (OSError, ValueError):
            return new
        asked = {**new.manifest, "made_at": None}
        # A correction is small: it is begun again.
        if begun.sequence or {**told["manifest"], "made_at": None} != asked:
            return new
        files = [PackedFile(**each) for each in told.pop("files")]
        return _Progress(files=files, **told)

    def _unfit(self, error: OSError) -> ExportInvalid:
        return ExportInvalid(
            f"{shlex.quote(str(self._root))} cannot be used for exports: {error.strerror}"
        )


class _Package:
    """
    A package that is being made.
    """

    def __init__(
        self,
        packing: Packing,
        work: Path,
        ledgers: Path,
        known: Path | None,
        progress: _Progress,
    ) -> None:
        self._packing = packing
        self._work = work
        self._ledgers = ledgers
        self._known = known
        self._progress = progress

    def write(self, records: DayRecords) -> Manifest:
        """
        Write all that is not written yet.
        """
        whole = {each.name for each in self._progress.files} | {_PROGRESS}
        for each in self._work.iterdir():
            if each.name not in whole:
                each.unlink()
        for place, kind in enumerate(KINDS):
            if place < self._progress.kind:
                continue
            if place > self._progress.kind:
                self._progress.kind, self._progress.after, self._progress.ledger = place, None, 0
            self._write_kind(kind, records)
        return Manifest(**{**self._progress.manifest, "files": tuple(self._progress.files)})

    def finish(self, manifest: Manifest) -> None:
        """
        Write what else lies in it, and see all of it on disk.
        """
        signed = manifest.to_text(self._packing.key)
        for name, text in ((SCHEMA, _schema().decode("ascii")), (MANIFEST, signed)):
            with written_whole(self._work / name, replace=True) as file:
                file.write(text)
        self._work.joinpath(_PROGRESS).unlink(missing_ok=True)
        sync_directory(self._ledgers)
        sync_directory(self._work)

    def _write_kind(self, kind: Kind, records: DayRecords) -> None:
        part: _Part | None = None
        last = b""
        with (
            LedgerWriter(self._ledgers / kind.name, length=self._progress.ledger) as ledger,
            self._open_known(kind) as known,
            closing(records.read(kind, self._progress.after)) as reading,
        ):
            for some in reading:
                marks = marks_of(some.masked)
                ledger.add(marks)
                lines = some.lines
                if known is not None:
                    pairs = zip(some.lines, marks, strict=True)
                    lines = [line for line, mark in pairs if not known.knows(mark)]
                if lines:
                    part = part or self._open(kind)
                    part.write(lines)
                last = some.masked[-1]
                if part is not None and part.records >= self._packing.part:
                    self._close(part, ledger, kind.place(last))
                    part = None
            if part is not None:
                self._close(part, ledger, kind.place(last))
            ledger.sync()

    def _open_known(self, kind: Kind) -> AbstractContextManager[Ledger | None]:
        return nullcontext() if self._known is None else Ledger(self._known / kind.name)

    def _open(self, kind: Kind) -> "_Part":
        number = 1 + sum(each.kind == kind.name for each in self._progress.files)
        name = f"{kind.name}-{number:04}.{self._packing.format.suffix}.gz.sealed"
        return _Part(self._packing, kind, self._work / name)

    def _close(self, part: "_Part", ledger: LedgerWriter, after: list[str]) -> None:
        self._progress.files.append(part.close())
        self._progress.after = after
        ledger.sync()
        self._progress.ledger = ledger.length
        with written_whole(self._work / _PROGRESS, replace=True) as file:
            file.write(json.dumps(asdict(self._progress)))


class _Part:
    """
    A file of records that is being written.
    """

    def __init__(self, packing: Packing, kind: Kind, path: Path) -> None:
        self._format = packing.format
        self._kind = kind
        self._path = path
        self._file = os.fdopen(os.open(path, _NEW, 0o600), "wb")
        self._sealed = sha256()
        self._clear = sha256()
        self._octets = 0
        self._gzip = zlib.compressobj(_FAST, zlib.DEFLATED, _GZIP)
        self._sealer = Sealer(self._put, packing.recipient, packing.cipher)
        # What compresses, digests and seals lets go of Python's lock: meanwhile the next records
        # are read. One batch waits at most, so no more memory is taken than for two.
        self._beside = ThreadPoolExecutor(1)
        self._packed: Future[None] | None = None
        self.records = 0
        self._tenants: Counter[bytes] = Counter()
        self._add(self._format.begin(kind))

    def write(self, lines: Sequence[bytes]) -> None:
        """
        Write some records.
        """
        self.records += len(lines)
        self._tenants += self._kind.tenants(lines)
        self._add(self._format.encode(self._kind, lines))

    def close(self) -> PackedFile:
        """
        See the file on disk.
        """
        self._add(self._format.end(self._kind))
        self._wait()
        self._beside.shutdown()
        self._sealer.write(self._gzip.flush())
        self._sealer.close()
        with self._file as file:
            file.flush()
            os.fsync(file.fileno())
        tenants = {read_cells(cell)[0]: records for cell, records in self._tenants.items()}
        return PackedFile(
            name=self._path.name,
            kind=self._kind.name,
            records=self.records,
            tenants={name: records for name, records in tenants.items() if name is not None},
            clear_sha256=self._clear.hexdigest(),
            octets=self._octets,
            sha256=self._sealed.hexdigest(),
        )

    def _add(self, clear: bytes) -> None:
        self._wait()
        self._packed = self._beside.submit(self._pack, clear)

    def _pack(self, clear: bytes) -> None:
        self._clear.update(clear)
        self._sealer.write(self._gzip.compress(clear))

    def _wait(self) -> None:
        """
        Have what was added packed, and raise what that has raised.
        """
        if self._packed is not None:
            self._packed.result()
            self._packed = None

    def _put(self, sealed: bytes) -> None:
        self._sealed.update(sealed)
        self._octets += len(sealed)
        self._file.write(sealed)


@contextmanager
def _short_turns() -> Iterator[None]:
    """
    Python hands its lock on sooner: whoever seals needs it for moments, and would wait for each.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_TURN)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _schema() -> bytes:
    return (json.dumps(describe(), indent=1) + "\n").encode("ascii")

"""
The reader of a variant that the router does not settle: ``python -m bench.reader stasis|cdr``.

Settles with the router's own code and in its rhythm, and says "ready" when it may be measured. It
runs until it is killed.
"""

import asyncio
import contextlib
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agi_router.ari import AriClient, StasisStart
from agi_router.calls.end import End, Outcome, call_day, parse_end
from agi_router.calls.store import AdmissionStore
from agi_router.numbers import XNumber
from agi_router.settings import Settings

APP = "agi_router_end"

_VISIT = 0.2
_RECORD_FIELDS = 6
_OUTCOMES = {
    "ANSWERED": Outcome.ANSWERED,
    "BUSY": Outcome.BUSY,
    "NO ANSWER": Outcome.NO_ANSWER,
}


async def read_stasis(store: AdmissionStore, settings: Settings) -> None:
    """Settle the lines that dead channels bring to the application."""
    ends: list[End] = []

    async def settle() -> None:
        while True:
            await asyncio.sleep(_VISIT)
            if ends:
                batch = ends.copy()
                ends.clear()
                await store.settle(batch)

    ari = AriClient(
        url=settings.ari_url,
        user=settings.ari_user,
        password=settings.load_ari_password(),
        app=APP,
    )
    async with asyncio.TaskGroup() as tasks, ari:
        tasks.create_task(settle())
        say_ready()
        async for event in ari:
            match event:
                case StasisStart(args=(line,)):
                    ends.append(parse_end(line))


async def read_records(store: AdmissionStore, file: Path) -> None:
    """Settle the call records in a file."""
    claimed = file.with_suffix(".claimed")
    say_ready()
    while True:
        await asyncio.sleep(_VISIT)
        await store.settle(claimed_records(claimed))
        claim_records(file, claimed)


def claimed_records(file: Path) -> list[End]:
    """What was claimed by the last run."""
    try:
        lines = file.read_text("ascii").splitlines()
    except FileNotFoundError:
        return []
    return [parse_record(line) for line in lines]


def claim_records(file: Path, claimed: Path) -> None:
    """Rename the file that Asterisk writes to; it is read by the next run."""
    claimed.unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        file.rename(claimed)


def parse_record(line: str) -> End:
    """Read a line that cdr_custom wrote; see ``asterisk.py``."""
    fields = line.split("|")
    if len(fields) != _RECORD_FIELDS or fields[-1] != "end":
        raise ValueError("a cut call record")
    call_id, _, dialled = fields[0].partition("*")
    began, answered, ended = map(float, fields[1:4])
    talked = answered > 0
    return End(
        call_id=call_id,
        day=call_day(call_id),
        x_number=XNumber.parse(dialled),
        ended_at=datetime.fromtimestamp(ended, UTC),
        reason=None,
        outcome=_OUTCOMES.get(fields[4], Outcome.UNKNOWN),
        ring_time=timedelta(seconds=answered - began) if talked else None,
        talk_time=timedelta(seconds=ended - answered) if talked else None,
        released_by=None,
        cause=0,
    )


def say_ready() -> None:
    """Tell whoever started us."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()


async def main() -> None:
    """Read until the end of the process."""
    kind, *rest = sys.argv[1:]
    settings = Settings.from_env(os.environ)
    async with AdmissionStore(settings.dsn, settings.load_keys(), connections=1) as store:
        # Connects, which is not to be measured.
        await store.ensure_days()
        if kind == "stasis":
            await read_stasis(store, settings)
        else:
            await read_records(store, Path(*rest))


if __name__ == "__main__":
    asyncio.run(main())

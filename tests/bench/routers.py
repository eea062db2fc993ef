"""Routers that a stand-in tells of calls, and calls that they can admit."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agi_router.bindings.model import BindingId
from agi_router.bindings.store import BindingStore
from agi_router.calls.arrival import Call
from agi_router.db.connection import connect
from agi_router.keys.ring import KeyRing
from agi_router.numbers import Block

from .errors import BenchError
from .scale import FILLED

__all__ = ["CHECKOUT", "calls_of", "run", "serving"]

CHECKOUT = Path(__file__).resolve().parents[2]
_CALLS = 4_000
# The statements lie beside the package in a checkout, and belong to it.
_PROGRAM = (
    "import os, agi_router; agi_router.__path__.append(os.environ['PYTHONPATH']);"
    " from agi_router.cli import main; main()"
)


def calls_of(dsn: str, keys: KeyRing) -> list[Call]:
    """Calls of parties taken at random of those that were imported, from either side."""
    calls = []
    with connect(dsn) as connection:
        store = BindingStore(connection, keys)
        chosen = connection.execute(
            b"SELECT block, id FROM agi_router.binding WHERE id < %s ORDER BY random() LIMIT %s",
            (FILLED, _CALLS),
        )
        for row in chosen.fetchall():
            found = store.find(BindingId(Block(value=row["block"]), row["id"]))
            party = random.choice(found.parties)  # noqa: S311 - no secret
            assert party.dials is not None
            calls.append(Call(caller=party.number, x_number=party.dials))
    return calls


def run(checkout: Path, *arguments: object, dsn: str, keys: Path) -> None:
    """
    Run a command of a checkout on a database.

    Raises:
        BenchError: It failed.
    """
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *map(str, arguments)],
        env={**_environment(checkout), "AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(keys)},
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise BenchError(f"{arguments[0]} of {checkout} failed: {done.stderr[-500:]}")


def _environment(checkout: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(checkout),
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@contextmanager
def serving(
    url: str, *, dsn: str, work: Path, keys: Path, checkout: Path = CHECKOUT
) -> Iterator[int]:
    """
    A router; gives its process.

    Args:
        url: Where it finds Asterisk.
        dsn: Its database.
        work: Directory for its journal and its log.
        keys: Its key ring.
        checkout: Whose code it runs.
    """
    journal = work / "journal"
    journal.mkdir(exist_ok=True)
    env = {
        **_environment(checkout),
        "AGI_ROUTER_DSN": dsn,
        "AGI_ROUTER_KEY_FILE": str(keys),
        "AGI_ROUTER_ARI_URL": url,
        "AGI_ROUTER_ARI_PASSWORD": "bench",
        "AGI_ROUTER_JOURNAL": str(journal),
        "AGI_ROUTER_METRICS_LISTEN": "off",
        # The stand-in has no profile; nobody is dialled.
        "AGI_ROUTER_UNSAFE_PROFILE": "allow",
        # A busy machine is slow, and no call is to be refused for it.
        "AGI_ROUTER_DECISION_TIMEOUT": "9",
        "AGI_ROUTER_PATIENCE": "10",
    }
    log = work / "router.log"
    with (
        log.open("wb") as lines,
        subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, "serve", "--door", "ari"],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=lines,
            stderr=lines,
        ) as process,
    ):
        try:
            yield process.pid
        except BenchError as error:
            raise BenchError(f"{error}; its log ends: {log.read_text()[-500:]}") from None
        finally:
            # What it has reserved is not settled: that is not measured here.
            process.kill()

"""
``agi-router settle``: what an Asterisk has left that is no more.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from agi_router.calls.end import End
from agi_router.calls.journal import EndJournal
from agi_router.calls.settlement import Settlement
from agi_router.calls.store import AdmissionStore
from agi_router.cli.acts import record_act
from agi_router.cli.context import open_serving_database, read_settings
from agi_router.cli.output import echo_json, echo_pairs, json_option
from agi_router.db.connection import Queries
from agi_router.keys.registry import check_keys

__all__ = ["settle"]


@click.command()
@click.argument("node")
@click.argument("journal", type=click.Path(exists=True, file_okay=False, path_type=Path))
@json_option
def settle(node: str, journal: Path, *, as_json: bool) -> None:
    r"""
    Settle what a dead Asterisk has left, on another machine of its cell.

    NODE is its systemname. JOURNAL is its end journal, from its disk or a copy; where that is
    lost, an empty directory. Ends that stand there are settled; then the calls of which no end is
    known, as AGI_ROUTER_UNKNOWN_END says. It is refused while the node may be alive: for two
    minutes after a router of it was heard of last; and where none ever was. Run twice, it
    settles nothing twice.

    \b
    Example:
      agi-router settle pbx2 /mnt/pbx2/var/spool/agi-router
    """
    settings = read_settings()
    keys = settings.load_keys()
    lines = 0

    def count(ends: Sequence[End]) -> None:
        nonlocal lines
        lines += len(ends)

    async def work() -> int:
        async with AdmissionStore(
            settings.dsn, ring, connections=1, quarantine=settings.quarantine
        ) as store:
            seen = await store.is_seen(node)
            if seen is None:
                raise click.UsageError(
                    f"no Asterisk {node} was ever seen in this database: give its systemname, and"
                    " the DSN of its cell, not the global one"
                )
            if seen:
                raise click.UsageError(
                    f"{node} was alive within the last two minutes: wait, and see that it is off"
                )
            settlement = Settlement(
                store, EndJournal(journal), settled=count, unknown_end=settings.unknown_end
            )
            return await settlement.settle_dead(node)

    with open_serving_database(settings) as connection:
        ring = check_keys(connection, keys)
        queries = Queries(connection)
        with queries.transaction():
            record_act(queries, f"node {node}")
    without_end = asyncio.run(work())
    told = {"node": node, "ends": lines, "without_end": without_end}
    (echo_json if as_json else echo_pairs)(told)

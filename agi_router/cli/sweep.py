"""
``agi-router sweep``: marking, moving and deleting what is over.
"""

from dataclasses import asdict

import click

from agi_router.cli.context import read_settings, tell_of_cells
from agi_router.cli.output import echo_json, echo_pairs, json_option
from agi_router.db.connection import Queries, connect
from agi_router.db.migrate import check_schema
from agi_router.maintenance.pace import paced
from agi_router.maintenance.retention import Sweep, Swept

__all__ = ["sweep"]

_TIMEOUT = 60


@click.command()
@click.option(
    "--batch",
    type=click.IntRange(1, 100_000),
    default=500,
    show_default=True,
    help="Rows that a step takes at most.",
)
@json_option
def sweep(batch: int, *, as_json: bool) -> None:
    r"""
    Sweep up what is over, once; "serve" does so by itself every few minutes.

    Marks bindings that have expired, moves routes out of the way once nothing rests for them any
    more, tells tenants that their numbers run out, and once a day deletes what is past retention,
    where its role may (see "retention").
    Calls are not held up.

    \b
    Example:
      agi-router sweep --batch 2000
    """
    settings = read_settings()
    done = Swept()
    with connect(settings.dsn, timeout=_TIMEOUT) as connection:
        check_schema(connection)
        steps = Sweep(
            connection,
            settings.quarantine,
            settings.kept,
            limits=settings.stock_limits,
            batch=batch,
        ).steps()
        for step in paced(steps):
            done += step
        tell_of_cells(Queries(connection), "swept")
    (echo_json if as_json else echo_pairs)(asdict(done))

"""
``agi-router feed outbound``: findings of misuse, for the carriers.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from agi_router.cli.arguments import ROW
from agi_router.cli.context import open_serving_database, read_settings
from agi_router.cli.damage import damaged_among, fail_if_damaged, with_damage
from agi_router.cli.output import echo, echo_json, echo_pairs, echo_table, json_option
from agi_router.db.connection import Queries
from agi_router.feeds.findings import FindingStore
from agi_router.feeds.views import describe_finding, reveal_finding
from agi_router.keys.registry import check_keys

__all__ = ["group"]

_OPERATOR = click.argument("operator", type=click.IntRange(0, 9), metavar="DIGIT")
_LIMIT = click.option(
    "--limit", type=click.IntRange(1, 10_000), default=1000, show_default=True, help="At most."
)
_DAMAGED = "finding(s) are damaged, and not handed out: restore their locks from a backup"
_COLUMNS = ("id", "number", "status", "since", "rule")


@click.group("outbound")
def group() -> None:
    """
    Findings of misuse, which carriers freeze numbers for: locks of persons that you have set.
    """


@group.command("list")
@click.option("--operator", type=click.IntRange(0, 9), help="For the carrier of this digit.")
@click.option("--all", "everything", is_flag=True, help="Those that were acknowledged, too.")
@click.option("--after", type=click.IntRange(min=0), default=0, help="Behind the one of this id.")
@_LIMIT
@json_option
def list_(
    operator: int | None, after: int, limit: int, *, everything: bool, as_json: bool
) -> None:
    r"""
    List findings, with masked numbers, and what was handed out and acknowledged.

    Those that are damaged are listed too, and end it with 70.

    \b
    Example:
      agi-router feed outbound list --operator 1 --all
    """
    with _store() as store:
        found = store.all(operator, everything=everything, after=after, limit=limit)
    rows = list(map(describe_finding, found))
    if as_json:
        echo_json(rows)
    else:
        columns = ("id", "operator", "number", "status", "since", "taken_at", "acknowledged_at")
        echo_table(columns, with_damage(rows, "number", columns), empty="no findings")
    fail_if_damaged(damaged_among(rows), _DAMAGED)


@group.command("take")
@_OPERATOR
@_LIMIT
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "jsonl"]),
    default="csv",
    show_default=True,
    help="What is printed.",
)
def take(operator: int, limit: int, form: str) -> None:
    r"""
    Print what the carrier of DIGIT is to be told next, with real numbers, which is put on record.

    The same is printed until it is acknowledged.

    \b
    Examples:
      agi-router feed outbound take 1 > findings.csv
      agi-router feed outbound acknowledge 1 17
    """
    with _store(act=f"findings of misuse for operator {operator}, with numbers") as store:
        rows = list(map(reveal_finding, store.take(operator, limit=limit)))
    echo(_csv(rows) if form == "csv" else _lines(rows), nl=False)


@group.command("acknowledge")
@_OPERATOR
@click.argument("up_to", type=ROW, metavar="ID")
@json_option
def acknowledge(operator: int, up_to: int, *, as_json: bool) -> None:
    r"""
    Hand out no more what was handed out to the carrier of DIGIT, up to the finding ID.

    \b
    Example:
      agi-router feed outbound acknowledge 1 17
    """
    with _store(act=f"findings of misuse for operator {operator}, up to {up_to}") as store:
        told = {"acknowledged": store.acknowledge(operator, up_to)}
    (echo_json if as_json else echo_pairs)(told)


@contextmanager
def _store(*, act: str | None = None) -> Iterator[FindingStore]:
    settings = read_settings()
    keys = settings.load_keys()
    with open_serving_database(settings, act=act) as connection:
        yield FindingStore(
            Queries(connection), check_keys(connection, keys), settings.complaint_limits
        )


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _lines(rows: Sequence[dict[str, Any]]) -> str:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)

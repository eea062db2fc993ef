"""
``agi-router audit``: who had real numbers shown to him.
"""

from datetime import datetime

import click

from agi_router.cli.arguments import COUNT, SINCE
from agi_router.cli.context import open_serving_database, read_settings
from agi_router.cli.output import echo_json, echo_table, json_option, local_time
from agi_router.db.connection import Queries
from agi_router.records.audit import Audit

__all__ = ["audit"]


@click.command()
@click.option(
    "--since",
    type=SINCE,
    default="7d",
    show_default=True,
    help="A time, or how long ago.",
)
@click.option("--limit", type=COUNT, default=100, show_default=True)
@json_option
def audit(since: datetime, limit: int, *, as_json: bool) -> None:
    r"""
    List who had real numbers shown to him, and who made or revoked API keys; newest first.

    The user is the real one of the process, the login that which the kernel keeps; what sudo said
    is a hint, for anybody can say it.

    \b
    Example:
      agi-router audit --since 30d
    """
    with open_serving_database(read_settings()) as connection:
        rows = Audit(Queries(connection)).rows(since=since, limit=limit)
    if as_json:
        echo_json(rows)
        return
    echo_table(
        ("at", "user", "login", "sudo says", "host", "act", "what", "reason", "key", "request"),
        [
            (
                local_time(row["at"]),
                f"{row['name']} ({row['uid']})",
                row["login_uid"],
                row["claimed"],
                row["host"],
                row["act"],
                row["subject"],
                row["reason"],
                row["api_key"],
                row["request_id"],
            )
            for row in rows
        ],
        empty="nobody had a real number shown to him, or changed an API key",
    )

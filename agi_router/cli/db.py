"""
``agi-router db``: the database's schema.
"""

import click

from agi_router.cli.acts import record_act
from agi_router.cli.context import open_database, read_settings
from agi_router.cli.output import echo, echo_json, echo_table, json_option
from agi_router.db.connection import Queries
from agi_router.db.migrate import check_schema, differences, migrate, status
from agi_router.db.restore import SKIPPED, skip_ids
from agi_router.db.rights import Purpose, grant, renew_grants

__all__ = ["group"]


@click.group("db")
def group() -> None:
    """
    The database's schema.
    """


@group.command("migrate")
@json_option
def migrate_(*, as_json: bool) -> None:
    r"""
    Bring the schema up to date; safe to run again, by several at once, and beside calls.

    It is for the role that owns the schema. Roles that were given their rights by "db grant" get
    those that are new.

    \b
    Example:
      PGHOST=db.internal PGDATABASE=agi agi-router db migrate
    """
    with open_database(read_settings()) as connection:
        changes = migrate(connection)
        renew_grants(connection)
    applied = [f"{each.number:04}_{each.name}" for each in changes.migrations]
    if as_json:
        echo_json({"applied": applied, "functions": changes.functions})
    else:
        for name in applied:
            echo(f"applied {name}")
        if changes.functions:
            echo(f"applied {len(changes.functions)} function(s)")
        echo("the schema is up to date")


@group.command("grant")
@click.argument("role")
@click.option(
    "--for",
    "purpose",
    type=click.Choice([each.value for each in Purpose]),
    default=Purpose.SERVE.value,
    show_default=True,
    help='To serve and bind; for "retention run"; for "agi-router deliver"; to read the audit; for'
    ' "audit sign"; for "export-day".',
)
@json_option
def grant_(role: str, purpose: str, *, as_json: bool) -> None:
    r"""
    Give ROLE what its purpose needs, and nothing else: it owns nothing and creates nothing.

    It is for the role that owns the schema, and safe to run again. The router and all commands but
    "db migrate", "db grant", "retention run", "audit sign" and "export-day" may then connect as a
    ROLE that serves.

    \b
    Examples:
      AGI_ROUTER_DSN="user=agi_owner dbname=agi" agi-router db grant agi_router
      AGI_ROUTER_DSN="user=agi_owner dbname=agi" agi-router db grant --for retain agi_retention
      AGI_ROUTER_DSN="user=agi_owner dbname=agi" agi-router db grant --for audit auditor
    """
    with open_database(read_settings()) as connection:
        check_schema(connection)
        given = grant(connection, role, Purpose(purpose))
        record_act(Queries(connection), f"role {role}, to {purpose}")
    if as_json:
        echo_json({"role": role, "granted": given})
    else:
        for each in given:
            echo(f"granted {each}")
        echo(f"{role} has what it needs to {purpose}")


@group.command("restored")
@click.option("--reason", required=True, help="What was lost, and to what moment it was restored.")
@json_option
def restored_(reason: str, *, as_json: bool) -> None:
    r"""
    Say that the database came back from a backup, before anything serves from it.

    What was written last may be lost. From here on ids of bindings, locks, events and all else go
    on a million further: none is given again that somebody may have been told in that time. It is
    for the role that owns the schema. What else is to be done: docs/restore.md.

    \b
    Example:
      PGUSER=agi_owner PGDATABASE=agi agi-router db restored --reason "disk lost at 12:01"
    """
    with open_database(read_settings()) as connection:
        check_schema(connection)
        queries = Queries(connection)
        with queries.transaction():
            skipped = skip_ids(connection)
            record_act(queries, "the database", reason=reason)
    if as_json:
        echo_json({"skipped": SKIPPED, "counters": skipped})
    else:
        echo(f"{len(skipped)} counters of ids go on {SKIPPED:,} further")


@group.command("status")
@json_option
def status_(*, as_json: bool) -> None:
    r"""
    Show which migrations were applied, and whether the functions are those of this program.

    \b
    Example:
      agi-router db status
    """
    with open_database(read_settings()) as connection:
        known = status(connection)
        differing = differences(connection)
    missing = [each for each in known if each.applied_at is None]
    if as_json:
        echo_json(
            {
                "up_to_date": not missing and not differing,
                "migrations": [
                    {
                        "number": each.number,
                        "name": each.name,
                        "applied_at": each.applied_at,
                    }
                    for each in known
                ],
                "functions": {
                    "missing": differing.missing,
                    "different": differing.changed,
                    "unknown": differing.unknown,
                },
            }
        )
    else:
        echo_table(
            ("migration", "applied"),
            [
                *(
                    (f"{each.number:04}_{each.name}", each.applied_at or "missing")
                    for each in known
                ),
                ("functions", str(differing) or "up to date"),
            ],
            empty="no migrations",
        )

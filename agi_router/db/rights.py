"""
Roles: one owns the schema and migrates; the others own nothing, and each is for a purpose.

What these need stands in ``list_rights`` of ``sql/queries/db.sql``, and nowhere else. It
makes and drops days of calls by functions that run with the owner's rights.
"""

from enum import StrEnum

from agi_router.db.connection import Connection, Queries
from agi_router.errors import RightsMissing

__all__ = [
    "Purpose",
    "check_rights",
    "grant",
    "has_rights",
    "owns_schema",
    "renew_grants",
    "rights_to_delete",
]


class Purpose(StrEnum):
    """
    What a role is for: to serve, delete, deliver events, read or sign the audit, export days.
    """

    SERVE = "serve"
    RETAIN = "retain"
    DELIVER = "deliver"
    AUDIT = "audit"
    SIGN = "sign"
    EXPORT = "export"


def grant(connection: Connection, role: str, purpose: Purpose = Purpose.SERVE) -> list[str]:
    """
    Give *role* what it needs for its purpose, all or nothing.

    Args:
        connection: Of the schema's owner.
        role: The role, which exists.
        purpose: What it is for.

    Returns:
        What it did not have before: "SELECT on table agi_router.binding", and so on.

    Raises:
        RightsMissing: There is no such role, or whoever is connected does not own the schema.
    """
    queries = Queries(connection)
    if queries.row("find_role", {"role": role}) is None:
        raise RightsMissing(f"there is no role {role!r}: make it by CREATE ROLE … LOGIN")
    if not owns_schema(connection):
        raise RightsMissing("only the owner of the schema can grant: connect as who migrates")
    given = []
    with queries.transaction():
        for row in queries.rows("list_rights", {"role": role, "purpose": purpose}):
            # Also what it has by another way: as PUBLIC, or as a member.
            right = {key: row[key] for key in ("kind", "name", "privilege")}
            queries.row("grant_right", {"role": role, **right})
            if not row["held"]:
                given.append(_told(row))
    return given


def renew_grants(connection: Connection) -> list[str]:
    """
    Give all roles that have a purpose what this program needs besides what an older one did.

    Returns:
        The roles.

    Raises:
        RightsMissing: Whoever is connected does not own the schema.
    """
    rows = Queries(connection).rows("list_granted_roles", {})
    for row in rows:
        grant(connection, row["role"], Purpose(row["purpose"]))
    return [row["role"] for row in rows]


def check_rights(connection: Connection, purpose: Purpose = Purpose.SERVE) -> None:
    """
    Make sure that whoever is connected may do all that its purpose needs.

    Raises:
        RightsMissing: Names each right that is missing.
    """
    user = connection.info.user
    rows = Queries(connection).rows("list_rights", {"role": user, "purpose": purpose})
    if missing := [_told(row) for row in rows if not row["held"]]:
        option = "" if purpose is Purpose.SERVE else f" --for {purpose}"
        raise RightsMissing(
            f"the role {user!r} lacks {', '.join(missing)}: let the owner of the schema run"
            f" 'agi-router db grant {user}{option}'"
        )


def has_rights(connection: Connection, purpose: Purpose) -> bool:
    """
    Whether whoever is connected may do all that a purpose needs.
    """
    values = {"role": connection.info.user, "purpose": purpose}
    return all(row["held"] for row in Queries(connection).rows("list_rights", values))


def rights_to_delete(connection: Connection) -> dict[str, list[str]]:
    """
    What roles may do of deleting records that they do not need, by role.

    Whoever is connected needs what serving does; who deletes what is past retention does so by
    functions alone.
    """
    queries, user = Queries(connection), connection.info.user
    purposes = {
        row["role"]: Purpose.RETAIN
        for row in queries.rows("list_granted_roles", {})
        if row["purpose"] == Purpose.RETAIN
    } | {user: Purpose.SERVE}
    needed = {
        purpose: {
            # A right to a column is in one to the table.
            _told(row): row["held"] and "(" not in row["privilege"]
            for row in queries.rows("list_rights", {"role": user, "purpose": purpose})
        }
        for purpose in (Purpose.SERVE, Purpose.RETAIN)
    }
    found = {}
    for role in sorted(purposes):
        held = [_told(row) for row in queries.rows("list_deletes", {"role": role})]
        if role == user:
            held = [told for told, has in needed[Purpose.RETAIN].items() if has] + held
        more = [told for told in held if told not in needed[purposes[role]]]
        if more:
            found[role] = more
    return found


def owns_schema(connection: Connection) -> bool:
    """
    Whether whoever is connected may change the schema.
    """
    row = Queries(connection).row("find_role", {"role": None})
    return bool(row and row["owns"])


def _told(row: dict[str, str]) -> str:
    return f"{row['privilege']} on {row['kind']} {row['name']}"

"""
Two roles: one owns the schema and migrates, the other serves and owns nothing.

What the second one needs stands in ``list_rights`` of ``sql/queries/db.sql``, and nowhere else. It
makes and drops days of calls by functions that run with the owner's rights.
"""

from agi_router.db.connection import Connection, Queries
from agi_router.errors import StoreError

__all__ = ["check_rights", "grant", "owns_schema", "renew_grants"]


def grant(connection: Connection, role: str) -> list[str]:
    """
    Give *role* what it needs to serve, all or nothing.

    Args:
        connection: Of the schema's owner.
        role: The role, which exists.

    Returns:
        What it did not have before: "SELECT on table agi_router.binding", and so on.

    Raises:
        StoreError: There is no such role, or whoever is connected does not own the schema.
    """
    queries = Queries(connection)
    if queries.row("find_role", {"role": role}) is None:
        raise StoreError(f"there is no role {role!r}: make it by CREATE ROLE … LOGIN")
    if not owns_schema(connection):
        raise StoreError("only the owner of the schema can grant: connect as who migrates")
    given = []
    with queries.transaction():
        for row in queries.rows("list_rights", {"role": role}):
            # Also what it has by another way: as PUBLIC, or as a member.
            right = {key: row[key] for key in ("kind", "name", "privilege")}
            queries.row("grant_right", {"role": role, **right})
            if not row["held"]:
                given.append(_told(row))
    return given


def renew_grants(connection: Connection) -> list[str]:
    """
    Give all roles that serve what this program needs besides what an older one did.

    Returns:
        The roles.

    Raises:
        StoreError: Whoever is connected does not own the schema.
    """
    roles = [row["role"] for row in Queries(connection).rows("list_granted_roles", {})]
    for role in roles:
        grant(connection, role)
    return roles


def check_rights(connection: Connection) -> None:
    """
    Make sure that whoever is connected may do all that serving and binding need.

    Raises:
        StoreError: Names each right that is missing.
    """
    user = connection.info.user
    rows = Queries(connection).rows("list_rights", {"role": user})
    if missing := [_told(row) for row in rows if not row["held"]]:
        raise StoreError(
            f"the role {user!r} lacks {', '.join(missing)}: let the owner of the schema run"
            f" 'agi-router db grant {user}'"
        )


def owns_schema(connection: Connection) -> bool:
    """
    Whether whoever is connected may change the schema.
    """
    row = Queries(connection).row("find_role", {"role": None})
    return bool(row and row["owns"])


def _told(row: dict[str, str]) -> str:
    return f"{row['privilege']} on {row['kind']} {row['name']}"

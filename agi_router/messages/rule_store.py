"""
Tenants' rules for texts, as the database keeps them: for those who manage them.

A door asks with :class:`agi_router.messages.store.MessageStore`.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime

from agi_router.db.connection import Queries
from agi_router.messages.rules import NO_RULES, TextRules, read_rules
from agi_router.tenants.scope import OPERATOR, Scope
from agi_router.tenants.store import TenantStore

__all__ = ["TenantRules", "TextRuleStore"]

# Versions are drawn, so that one that is gone does not come again.
_VERSIONS = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantRules:
    """
    The rules of a tenant, as they stand.
    """

    tenant: str
    rules: TextRules
    changed_at: datetime | None
    """:obj:`None`: it has never said any, or takes all again."""


class TextRuleStore:
    """
    By which rules the texts of which tenant are judged.

    Args:
        queries: Where that is kept.
        scope: Who asks.
    """

    def __init__(self, queries: Queries, *, scope: Scope = OPERATOR) -> None:
        self._queries = queries.given(scope.values)
        self._tenants = TenantStore(queries, scope)

    def find(self, tenant: str) -> TenantRules:
        """
        The rules of a tenant.

        Raises:
            TenantNotFound: There is no such tenant.
        """
        values = {"tenant_id": self._tenants.find_id(tenant)}
        row = self._queries.row("find_tenant_message_rules", values)
        if row is None:
            return TenantRules(tenant=tenant, rules=NO_RULES, changed_at=None)
        return TenantRules(tenant=tenant, rules=read_rules(row), changed_at=row["changed_at"])

    def put(self, tenant: str, rules: TextRules) -> TenantRules:
        """
        Judge each text of a tenant by *rules* from now on; its rules of before are gone.

        Raises:
            TenantNotFound: There is no such tenant.
        """
        values = {"tenant_id": self._tenants.find_id(tenant)}
        version = None if rules == NO_RULES else secrets.randbelow(_VERSIONS)
        with self._queries.transaction():
            # Of two at once the second finds what the first has made.
            self._queries.row("mark_message_rules", {**values, "version": version})
            if version is None:
                self._queries.row("remove_message_rules", values)
            else:
                self._queries.row(
                    "put_message_rules",
                    {
                        **values,
                        "version": version,
                        "numbers": rules.numbers,
                        "words": list(rules.words),
                        "templates": list(rules.templates),
                        "opt_out": list(rules.opt_out),
                        "hold": rules.hold,
                        "checked": rules.checked,
                    },
                )
        return self.find(tenant)

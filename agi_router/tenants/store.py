"""
Tenants, as the database keeps them.
"""

import json
from datetime import datetime
from typing import Any

from agi_router.cursors import Cursor, numbered
from agi_router.db.connection import Queries
from agi_router.errors import (
    RequestInvalid,
    TenantExists,
    TenantNotFound,
)
from agi_router.tenants.call_rates import CallRates
from agi_router.tenants.model import Quota, UnknownNumbers
from agi_router.tenants.rules import Consent, RulesChange, TenantRules, read_rules
from agi_router.tenants.scope import OPERATOR, Scope
from agi_router.times import check_order

__all__ = ["TenantStore"]


class TenantStore:
    """
    The tenants of one database; for a tenant, itself.

    Args:
        queries: Where they are kept.
        scope: Who asks.
    """

    def __init__(self, queries: Queries, scope: Scope = OPERATOR) -> None:
        self._queries = queries.given(scope.values)
        self._scope = scope

    def add(
        self, name: str, *, needs_order: bool = False, consent: Consent = Consent.OFF
    ) -> dict[str, Any]:
        """
        Add a tenant.

        Args:
            name: Its name.
            needs_order: Whether each of its bindings needs the id of an order.
            consent: Whether the consent of its parties is asked for. Both doors say of a new
                tenant that orders are needed and consent is required, unless told otherwise.

        Raises:
            TenantExists: It is there already.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("adds tenants")
        values = {"name": name, "needs_order": needs_order, "consent": consent}
        if self._queries.row("add_tenant", values) is None:
            raise TenantExists(f"tenant {name!r} is already there")
        return self.find(name)

    def all(
        self, *, after: Cursor | None = None, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """
        All tenants, or a page of them, newest first, with how many blocks are kept for each.

        Args:
            after: Only those behind the last one of another page: its time, and its id.
            limit: At most so many; :obj:`None`: all.

        Raises:
            CursorInvalid: *after* is of another list.
        """
        return self._queries.rows("list_tenants", _listed(after=after, limit=limit))

    def set_active(self, name: str, *, active: bool) -> dict[str, Any]:
        """
        Stop every call and every new binding of a tenant at once, or let them go on.

        Raises:
            TenantNotFound: There is no such tenant.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("suspends tenants, and lets them go on")
        return self._found("set_tenant_active", name, active=active)

    def set_unknown_numbers(self, name: str, unknown: UnknownNumbers) -> dict[str, Any]:
        """
        Say what becomes of bindings where nobody knows whether a number has a new owner.

        Raises:
            TenantNotFound: There is no such tenant.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("says what becomes of numbers whose owner is unknown")
        return self._found("set_tenant_unknown_numbers", name, unknown=unknown)

    def set_notice(self, name: str, *, notice: bool) -> dict[str, Any]:
        """
        Say whether both parties of a tenant's calls hear the anti-fraud notice before they talk.

        Raises:
            TenantNotFound: There is no such tenant.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("says whether parties hear a notice")
        return self._found("set_tenant_notice", name, notice=notice)

    def set_quota(self, name: str, quota: Quota, most: int | None) -> dict[str, Any]:
        """
        Say how many bindings a tenant may have, or have made on a day, or how often it may ask.

        Args:
            name: Of the tenant.
            quota: Of what.
            most: So many; :obj:`None`: any number.

        Raises:
            TenantNotFound: There is no such tenant.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("says how much a tenant may have")
        return self._found("set_tenant_quota", name, quota=quota, most=most)

    def qualify(
        self,
        name: str,
        *,
        number: str | None,
        issuer: str | None,
        valid_from: datetime | None,
        valid_until: datetime | None,
    ) -> dict[str, Any]:
        """
        Say from when until when a tenant is qualified: outside, no call and no new binding.

        Args:
            name: Of the tenant.
            number: Of the paper that says so.
            issuer: Who has issued it.
            valid_from: :obj:`None`: since ever.
            valid_until: :obj:`None`: for ever.

        Raises:
            TenantNotFound: There is no such tenant.
            OperatorOnly: A tenant asks.
            RequestInvalid: It would end before it begins.
        """
        self._scope.check_operator("says until when a tenant is qualified")
        check_order(valid_from, valid_until, words=("qualified_from", "qualified_until"))
        return self._found(
            "qualify_tenant",
            name,
            number=number,
            issuer=issuer,
            valid_from=valid_from,
            valid_until=valid_until,
        )

    def set_rules(self, name: str, change: RulesChange) -> dict[str, Any]:
        """
        Say what the bindings of a tenant are to keep to, from now on.

        Raises:
            TenantNotFound: There is no such tenant.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("says what bindings of a tenant keep to")
        values = change.values
        if values["bind_limits"] is not None:
            values["bind_limits"] = json.dumps(values["bind_limits"])
        return self._found("set_tenant_rules", name, **values)

    def set_hours(self, name: str, hours: str | None) -> dict[str, Any]:
        """
        Say in which hours calls and texts go through of bindings that have none of their own.

        Args:
            name: Of the tenant.
            hours: The hours; :obj:`None`: always.

        Raises:
            TenantNotFound: There is no such tenant.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("says in which hours calls go through")
        return self._found("set_tenant_hours", name, given=True, hours=hours, zone=None)

    def set_time_zone(self, name: str, zone: str) -> dict[str, Any]:
        """
        Say in which time zone its hours and those of its bindings are.

        Raises:
            TenantNotFound: There is no such tenant.
            RequestInvalid: There is no such time zone.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("says in which time zone hours are")
        if self._queries.row("find_time_zone", {"zone": zone}) is None:
            raise RequestInvalid("there is no such time zone: say one like Asia/Shanghai")
        return self._found("set_tenant_hours", name, given=False, hours=None, zone=zone)

    def set_record(self, name: str, *, on: bool) -> dict[str, Any]:
        """
        Say whether calls of bindings are recorded that do not say it themselves.

        Raises:
            TenantNotFound: There is no such tenant.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("says whether calls of a tenant are recorded")
        return self._found("set_tenant_record", name, record=on)

    def set_call_rates(self, name: str, rates: CallRates) -> dict[str, Any]:
        """
        Say how many calls of a tenant go through in a time.

        Raises:
            TenantNotFound: There is no such tenant.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("says how many calls of a tenant go through")
        limits = json.dumps(rates.words) if rates.on else None
        return self._found("set_tenant_call_limits", name, limits=limits)

    def rules(self, name: str) -> TenantRules | None:
        """
        What the bindings of a tenant are to keep to; :obj:`None`: there is nothing.
        """
        row = self._queries.row("find_tenant_rules", {"name": name})
        return None if row is None else read_rules(row)

    def find(self, name: str) -> dict[str, Any]:
        """
        A tenant.

        Raises:
            TenantNotFound: There is no such tenant.
        """
        row = self._queries.row("list_tenants", _listed(name=name))
        if row is None:
            raise TenantNotFound(f"there is no tenant {name!r}")
        return row

    def find_id(self, name: str) -> int:
        """
        The id of a tenant.

        Raises:
            TenantNotFound: There is no such tenant.
        """
        return self.find(name)["id"]  # type: ignore[no-any-return]

    def scope(self, name: str) -> Scope:
        """
        The things of one tenant.

        Raises:
            TenantNotFound: There is no such tenant.
        """
        return Scope(self.find_id(name), name)

    def _found(self, query: str, name: str, **values: Any) -> dict[str, Any]:
        """
        A tenant, once a query has changed it.

        Raises:
            TenantNotFound: There is no such tenant.
        """
        if self._queries.row(query, {"name": name, **values}) is None:
            raise TenantNotFound(f"there is no tenant {name!r}")
        return self.find(name)


def _listed(
    *, name: str | None = None, after: Cursor | None = None, limit: int | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        **numbered(after),
        "limit": limit,
    }

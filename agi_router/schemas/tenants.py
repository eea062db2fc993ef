"""
What is said of tenants.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from agi_router.rates import parse_rate
from agi_router.schemas.base import TIME, Body, NextCursor, Out, example
from agi_router.schemas.fields import Time
from agi_router.tenants.bind_rates import parse_bind_rate
from agi_router.tenants.hours import check_hours
from agi_router.tenants.model import UnknownNumbers, check_tenant
from agi_router.tenants.rules import MOST_SCENES, Consent, check_scenes
from agi_router.texts import LONGEST_NAME, check_name

__all__ = [
    "BindLimitsIn",
    "CallLimitsIn",
    "QualificationIn",
    "TenantChange",
    "TenantIn",
    "TenantOut",
    "TenantsOut",
]

_Paper = Annotated[
    str,
    Field(max_length=512),
    AfterValidator(lambda text: check_name(text, what="a qualification", longest=LONGEST_NAME)),
]


class TenantIn(Body):
    """
    A tenant to be added.
    """

    name: Annotated[str, Field(max_length=512), AfterValidator(check_tenant)]
    needs_order: bool = Field(
        default=True, description="Whether each of its bindings needs the id of an order."
    )
    consent: Annotated[Consent, Field(strict=False)] = Field(
        default=Consent.REQUIRED,
        description="Whether its parties' consent is in the ledger before (`required`), or is"
        " stated with each bind (`asserted`).",
    )

    model_config = example({"name": "couriers"})


class QualificationIn(Body):
    """
    By what a tenant is qualified; outside of its time there are no calls and no new bindings.
    """

    number: _Paper | None = Field(default=None, description="Number of the paper that says so.")
    issuer: _Paper | None = Field(default=None, description="Who has issued it.")
    valid_from: Time | None = Field(default=None, description="Since when; null: since ever.")
    valid_until: Time | None = Field(default=None, description="Until when; null: for ever.")


_Rate = Annotated[
    str,
    Field(max_length=32, examples=["30/1h"]),
    AfterValidator(lambda text: str(parse_rate(text))),
]


class CallLimitsIn(Body):
    """
    How many calls go through in any such time, at each router; what is left out is any number.
    """

    caller: _Rate | None = Field(default=None, description="Of each caller.")
    callee: _Rate | None = Field(default=None, description="To each callee.")
    number: _Rate | None = Field(default=None, description="To each 700 number.")
    tenant: _Rate | None = Field(default=None, description="Of the tenant in all.")

    model_config = example({"caller": "30/1h"})


_BindRate = Annotated[
    str,
    Field(max_length=32, examples=["20/1h"]),
    AfterValidator(lambda text: str(parse_bind_rate(text))),
]


class BindLimitsIn(Body):
    """
    How many bindings are made in any such time; what is left out is any number.
    """

    a: _BindRate | None = Field(default=None, description="Of each person as side A.")
    b: _BindRate | None = Field(default=None, description="Of each person as side B.")
    number: _BindRate | None = Field(default=None, description="On each 700 number.")
    tenant: _BindRate | None = Field(default=None, description="Of the tenant in all.")

    model_config = example({"b": "20/1h", "tenant": "100/1s"})


class TenantChange(Body):
    """
    Whether a tenant's calls and bindings go on, how many it may have, and what they keep to.

    What is left out stays (RFC 7396); null is any number.
    """

    active: bool = True
    max_bindings: int | None = Field(
        default=None, ge=1, le=10**9, description="So many of its bindings may live at once."
    )
    max_binds: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="So many may be made for it on a day, which begins at 00:00 UTC.",
    )
    max_requests: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="So many requests may its API keys make in a minute, at each process of the"
        " door.",
    )
    qualification: QualificationIn | None = Field(
        default=None, description="By what it is qualified, and until when; null: nothing is said."
    )
    needs_order: bool = Field(
        default=True, description="Whether each of its bindings needs the id of an order."
    )
    scenes: Annotated[list[str], Field(max_length=MOST_SCENES), AfterValidator(check_scenes)] = (
        Field(
            default_factory=list,
            description="Codes of the uses that it binds for: each binding names one. None: any.",
        )
    )
    max_pair_binds: int | None = Field(
        default=None, ge=1, le=10**9, description="So often the same two may be bound in an hour."
    )
    max_order_pairs: int | None = Field(
        default=None, ge=1, le=10**9, description="So many pairs may be bound by one order."
    )
    refuses_pairs: bool = Field(
        default=False,
        description="Whether more pairs of an order are refused, and not only told.",
    )
    hours: Annotated[str, Field(max_length=512), AfterValidator(check_hours)] | None = Field(
        default=None,
        description="In which calls and texts go through of bindings without hours of their own:"
        " mon-fri 09:00-18:00; sat 22:00-02:00. null: always.",
    )
    time_zone: Annotated[str, Field(max_length=64, pattern="^[A-Za-z0-9_/+-]+$")] = Field(
        default="Asia/Shanghai", description="Of these hours, and of those of its bindings."
    )
    call_limits: CallLimitsIn | None = Field(
        default=None, description="How many of its calls go through; null: any number."
    )
    bind_limits: BindLimitsIn | None = Field(
        default=None, description="How many bindings are made of it; null: any number."
    )
    unknown_numbers: Annotated[UnknownNumbers, Field(strict=False)] = Field(
        default=UnknownNumbers.RING,
        description="What becomes of bindings where a feed does not know whether a party's number"
        " has a new owner: ring, they go on; hold, they wait; refuse, they end.",
    )
    consent: Annotated[Consent, Field(strict=False)] = Field(
        default=Consent.REQUIRED, description="Whether its parties' consent is asked for."
    )
    record: bool = Field(
        default=False,
        description="Whether calls of bindings are recorded that do not say it themselves.",
    )
    needs_real_name: bool = Field(
        default=False, description="Whether nobody is bound who is not known by its real name."
    )
    notice: bool = Field(
        default=True,
        description="Whether both parties of its calls hear the anti-fraud notice after the"
        " answer, before they are joined.",
    )

    model_config = example({"active": False})


_TENANT: dict[str, Any] = {
    "name": "couriers",
    "state": "active",
    "unknown_numbers": "ring",
    "max_bindings": 100_000,
    "max_binds": None,
    "max_requests": None,
    "qualification": "B2-20260001",
    "qualified_by": "MIIT",
    "qualified_from": None,
    "qualified_until": TIME,
    "needs_order": True,
    "scenes": ["parcel", "meal"],
    "max_pair_binds": 30,
    "max_order_pairs": 5,
    "refuses_pairs": False,
    "hours": None,
    "time_zone": "Asia/Shanghai",
    "call_limits": {"caller": "30/1h"},
    "bind_limits": {"b": "20/1h"},
    "consent": "asserted",
    "record": False,
    "needs_real_name": False,
    "notice": True,
    "created_at": TIME,
}


class TenantOut(Out):
    """
    A tenant.
    """

    name: str
    state: str
    unknown_numbers: UnknownNumbers = Field(
        description="What becomes of bindings where a feed does not know whether a party's number"
        " has a new owner: ring, they go on; hold, they wait; refuse, they end."
    )
    max_bindings: int | None = Field(
        description="So many of its bindings may live at once; null: any number."
    )
    max_binds: int | None = Field(
        description="So many may be made for it on a day, which begins at 00:00 UTC."
    )
    max_requests: int | None = Field(
        description="So many requests may its API keys make in a minute, at each process of the"
        " door; null: any number."
    )
    qualification: str | None = Field(description="Number of the paper that qualifies it.")
    qualified_by: str | None = Field(description="Who has issued it.")
    qualified_from: str | None = Field(
        description="Before it no calls and no new bindings; null: since ever."
    )
    qualified_until: str | None = Field(
        description="From then on no calls and no new bindings; null: for ever."
    )
    needs_order: bool = Field(description="Whether each of its bindings needs an order.")
    scenes: list[str] = Field(
        description="Codes of the uses that it binds for: each binding names one. None: any."
    )
    max_pair_binds: int | None = Field(
        description="So often the same two may be bound within an hour; null: any number."
    )
    max_order_pairs: int | None = Field(
        description="So many different pairs may be bound by one order; null: any number."
    )
    refuses_pairs: bool = Field(
        description="Whether more pairs of one order are refused, and not only told."
    )
    hours: str | None = Field(
        description="In which calls and texts go through of bindings without hours of their own."
    )
    time_zone: str = Field(description="Of its hours, and of those of its bindings.")
    call_limits: dict[str, str] = Field(
        description="So many calls go through in a time: of a caller, to a callee, to a number, or"
        " of the tenant; at each router."
    )
    bind_limits: dict[str, str] = Field(
        description="So many bindings are made in a time: of a person as `a` or `b`, on a number,"
        " or of the tenant."
    )
    consent: Consent = Field(
        description="Whether its parties' consent is asked for: `off`; `asserted`, it states it"
        " with each bind; `required`, it is in the ledger before."
    )
    record: bool = Field(
        description="Whether calls of bindings are recorded that do not say it themselves."
    )
    needs_real_name: bool = Field(
        description="Whether nobody is bound who is not known by its real name."
    )
    notice: bool = Field(
        description="Whether both parties of its calls hear the anti-fraud notice before they are"
        " joined."
    )
    created_at: str

    model_config = example(_TENANT)


class TenantsOut(Out):
    """
    Tenants, newest first.
    """

    tenants: list[TenantOut]
    next_cursor: NextCursor = None

    model_config = example({"tenants": [_TENANT]})

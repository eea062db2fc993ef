"""
What is said of consents.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from agi_router.bindings.words import check_order_id
from agi_router.consent.ledger import Act, How, Purpose, check_evidence, check_version
from agi_router.schemas.answers import ProblemOut
from agi_router.schemas.base import LARGEST_BATCH, MASKED, TIME, Body, NextCursor, Out, example
from agi_router.schemas.fields import Number, Time
from agi_router.tenants.model import check_tenant

__all__ = [
    "CONSENT",
    "ConsentBatchIn",
    "ConsentBatchOut",
    "ConsentIn",
    "ConsentOut",
    "ConsentResultOut",
    "ConsentSearchIn",
    "ConsentsOut",
    "GivenIn",
    "WithdrawalIn",
    "WithdrawalOut",
]

_Order = Annotated[str, Field(max_length=512), AfterValidator(check_order_id)]
_Digest = Annotated[str, Field(max_length=64), AfterValidator(check_evidence)]
_Tenant = Annotated[str, Field(max_length=512), AfterValidator(check_tenant)]
_TENANT = Field(default=None, description="To whom; the operator's keys alone may say so.")


class ConsentSearchIn(Body):
    """
    Whose lines of the consent ledger are looked for.
    """

    person: Number

    model_config = example({"person": "13800000001"})


class _Said(ConsentSearchIn):
    """
    What is said of consent, to a tenant that is told otherwise.
    """

    purpose: Annotated[Purpose, Field(strict=False)] = Field(
        default=Purpose.BINDING, description="To be bound, or recorded."
    )
    order: _Order | None = Field(default=None, description="For this order alone; else for all.")
    at: Time | None = Field(default=None, description="When it was said; now if left out.")
    evidence: _Digest | None = Field(
        default=None, description="SHA-256 or SM3 of the evidence that you keep, in hexadecimal."
    )


class _ConsentSaid(_Said):
    """
    What is said of consent.
    """

    tenant: _Tenant | None = _TENANT


class WithdrawalIn(_ConsentSaid):
    """
    That a person no longer agrees.
    """

    cut: bool = Field(
        default=False,
        description="Whether the calls that the person is in, on the bindings that end, are cut.",
    )

    model_config = example({"person": "13800000001", "tenant": "couriers"})


class _Given(_Said):
    """
    That a person agrees, to a tenant that is told otherwise.
    """

    how: Annotated[How, Field(strict=False)] = Field(description="How it was given.")
    version: Annotated[str, Field(max_length=512), AfterValidator(check_version)] | None = Field(
        default=None, description="Which text was agreed to."
    )


class ConsentIn(_Given, _ConsentSaid):
    """
    That a person agrees.
    """

    model_config = example({"person": "13800000001", "how": "app", "tenant": "couriers"})


_GIVEN = {"person": "13800000001", "how": "app", "at": TIME, "version": "2026-02"}


class GivenIn(_Given):
    """
    That a person has agreed before.
    """

    at: Time = Field(description="When it was said.")

    model_config = example(_GIVEN)


class ConsentBatchIn(Body):
    """
    What persons have agreed to before, to one tenant.
    """

    tenant: _Tenant | None = _TENANT
    consents: list[GivenIn] = Field(min_length=1, max_length=LARGEST_BATCH)

    model_config = example({"tenant": "couriers", "consents": [_GIVEN]})


CONSENT: dict[str, Any] = {
    "id": "4711",
    "person": MASKED,
    "tenant": "couriers",
    "act": "given",
    "purpose": "binding",
    "order": None,
    "how": "app",
    "at": TIME,
    "evidence": None,
    "version": "2026-07",
    "binding": None,
    "cut": False,
    "void": False,
    "added_at": TIME,
    "added_by": "API key qkzwhtdmxcvbnrpl",
    "damage": None,
}


class ConsentOut(Out):
    """
    A line of the consent ledger. The number of the person is masked.
    """

    id: str
    person: str | None = Field(description="null: it is damaged.")
    tenant: str
    act: Act
    purpose: Purpose
    order: str | None = Field(description="For which order alone; null: for all of the tenant.")
    how: How | None = Field(description="How it was given.")
    at: str = Field(description="When it was said.")
    evidence: str | None = Field(description="Digest of the evidence, in hexadecimal.")
    version: str | None = Field(description="Which text was agreed to.")
    binding: str | None = Field(description="The binding with which it was stated.")
    cut: bool = Field(description="Whether calls that were up are cut by it.")
    void: bool = Field(description="Whether the number has had a new owner since.")
    added_at: str
    added_by: str | None = Field(description="Told to the operator alone.")
    damage: str | None = Field(description="Why its person cannot be read.")

    model_config = example(CONSENT)


class WithdrawalOut(ConsentOut):
    """
    What was withdrawn, and the bindings that have ended by it.
    """

    ended: list[str]

    model_config = example(
        {**CONSENT, "act": "withdrawn", "how": None, "ended": ["70012345678-1"]}
    )


class ConsentsOut(Out):
    """
    Lines of the consent ledger, newest first.
    """

    consents: list[ConsentOut]
    next_cursor: NextCursor = None

    model_config = example({"consents": [CONSENT]})


class ConsentResultOut(Out):
    """
    What became of one of a batch.
    """

    status: int = Field(description="201: it was written; 200: the ledger has it.")
    problem: ProblemOut | None = None


class ConsentBatchOut(Out):
    """
    What became of each, in the order in which they came.
    """

    results: list[ConsentResultOut]

    model_config = example({"results": [{"status": 201}, {"status": 200}]})

"""
What is said of real-time checks.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from agi_router.calls.check import Unanswered
from agi_router.events.model import check_url
from agi_router.schemas.base import Body, Out, example

__all__ = ["CheckIn", "CheckMadeOut", "CheckOut"]


class CheckIn(Body):
    """
    How a service is asked before a call is connected.
    """

    url: Annotated[
        str,
        Field(max_length=2000, examples=["https://shop.example/calls"]),
        AfterValidator(check_url),
    ] = Field(description="An https address at a public host.")
    unanswered: Annotated[Unanswered, Field(strict=False)] = Field(
        default=Unanswered.REFUSE,
        description="What becomes of a call about which it says nothing in time.",
    )
    timeout_ms: int | None = Field(
        default=None,
        ge=10,
        le=5000,
        description="Milliseconds that it has; null, or more: as many as the operator lets it.",
    )

    model_config = example({"url": "https://shop.example/calls"})


_CHECK: dict[str, Any] = {
    "tenant": "couriers",
    "url": "https://shop.example/calls",
    "unanswered": "refuse",
    "timeout_ms": None,
    "created_at": "2026-01-31T15:04:05+00:00",
}


class CheckOut(Out):
    """
    A tenant's own check, without its secrets.
    """

    tenant: str
    url: str
    unanswered: Unanswered = Field(
        description="What becomes of a call about which it says nothing in time."
    )
    timeout_ms: int | None = Field(
        description="Milliseconds that it has; null: as many as the operator lets it have."
    )
    created_at: str

    model_config = example(_CHECK)


class CheckMadeOut(CheckOut):
    """
    A check that was just put: its secret is told once, where there was none before.
    """

    secret: str | None = Field(
        default=None, description="What signs questions; left out where it stays as it was."
    )

    model_config = example({**_CHECK, "secret": f"whsec_{'A' * 43}="})

"""
What is said of what would become of a call or a text.
"""

from pydantic import Field

from agi_router.bindings.reasons import Reason
from agi_router.schemas.base import TIME, Body, Out, example
from agi_router.schemas.fields import Time

__all__ = ["ExplanationIn", "ExplanationOut", "RuleOut", "TextExplanationIn", "TextExplanationOut"]


class ExplanationIn(Body):
    """
    A call that nobody places.
    """

    from_: str = Field(
        alias="from",
        max_length=64,
        description="Caller id, as it would arrive.",
        examples=["13800000001"],
    )
    to: str = Field(max_length=64, description="What is dialled.", examples=["700123456780001"])
    extension: str | None = Field(
        default=None, max_length=16, description="What the caller types when it is asked."
    )
    at: Time | None = Field(default=None, description="Decide as of this time instead of now.")

    model_config = example({"from": "13800000001", "to": "700123456780001"})


class TextExplanationIn(Body):
    """
    A text that nobody sends.
    """

    from_: str = Field(
        alias="from",
        max_length=64,
        description="The sender's number, as it would arrive.",
        examples=["13800000001"],
    )
    to: str = Field(
        max_length=64, description="The number it is sent to.", examples=["700123456780001"]
    )
    at: Time | None = Field(default=None, description="Decide as of this time instead of now.")

    model_config = example({"from": "13800000001", "to": "700123456780001"})


class RuleOut(Out):
    """
    A rule, and whether it holds.
    """

    rule: str
    holds: bool


class ExplanationOut(Out):
    """
    What would become of a call, rule by rule.
    """

    verdict: str
    reason: Reason | None
    shown: str | None
    ring: str | None
    binding: str | None
    prompt: str | None
    cause: int | None
    display: str | None = None
    sequence: bool | None = None
    at: str | None
    rules: list[RuleOut]
    limits: list[str] = Field(
        default_factory=list,
        description="Rates that it is held to by what each router has counted; not judged here.",
    )

    model_config = example(
        {
            "verdict": "refuse",
            "reason": "stranger",
            "shown": None,
            "ring": None,
            "binding": None,
            "prompt": "no_binding",
            "cause": 21,
            "at": TIME,
            "rules": [{"rule": "numbers are of an accepted form", "holds": True}],
        }
    )


class TextExplanationOut(Out):
    """
    What would become of a text, rule by rule.
    """

    verdict: str = Field(description="take or refuse.")
    reason: Reason | None
    binding: str | None
    receiver: str | None
    shown: str | None = Field(description="null: a number is made by the text.")
    at: str | None
    rules: list[RuleOut]

    model_config = example(
        {
            "verdict": "take",
            "reason": None,
            "binding": "70012345678-42",
            "receiver": "138****0002",
            "shown": "700123456780001",
            "at": TIME,
            "rules": [{"rule": "texts are left", "holds": True}],
        }
    )

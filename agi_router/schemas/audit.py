"""
What is said in the audit.
"""

from typing import Any

from pydantic import Field

from agi_router.schemas.base import TIME, NextCursor, Out, example

__all__ = ["ActOut", "AuditOut"]

_ACT: dict[str, Any] = {
    "id": "7",
    "at": TIME,
    "act": "lock set",
    "subject": "lock 17",
    "reason": None,
    "case_id": None,
    "api_key": None,
    "request_id": None,
    "name": "li",
    "uid": 1001,
    "effective_uid": 1001,
    "login_uid": 1001,
    "claimed": None,
    "host": "console",
}


class ActOut(Out):
    """
    A row of the audit; it holds no real number.
    """

    id: str
    at: str
    act: str = Field(description="The command, or the method and path of a request.")
    subject: str = Field(description="What was asked for, or changed.")
    reason: str | None
    case_id: str | None = Field(description="The case that a full trace, or a legal hold, is for.")
    api_key: str | None = Field(description="The key of a request; null: it was a command.")
    request_id: str | None
    name: str = Field(description="The user of the host; of a request, that of the door.")
    uid: int
    effective_uid: int
    login_uid: int | None = Field(description="Who had logged in, as the kernel keeps it.")
    claimed: str | None = Field(description="What sudo said: a hint, anybody can set it.")
    host: str

    model_config = example(_ACT)


class AuditOut(Out):
    """
    Rows of the audit, newest first.
    """

    audit: list[ActOut]
    next_cursor: NextCursor = None

    model_config = example({"audit": [_ACT]})

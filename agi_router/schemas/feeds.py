"""
What is said of feeds of recycled numbers.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from agi_router.feeds.model import (
    RECORDS_AT_ONCE,
    FeedKind,
    NumberForm,
    Outcome,
    Trust,
    check_authorization,
    check_feed_name,
    check_file_name,
)
from agi_router.schemas.base import TIME, Body, NextCursor, Out, example

__all__ = [
    "AuthorizationIn",
    "FaultOut",
    "FeedIn",
    "FeedOut",
    "FeedsOut",
    "FileIn",
    "MatchOut",
    "PushOut",
    "RecordIn",
    "RecordsIn",
    "RunOut",
    "RunReportOut",
    "RunsOut",
]


_LARGEST_FILE = 1024 * 1024
_Authorization = Annotated[
    str, Field(max_length=4096, examples=["Bearer …"]), AfterValidator(check_authorization)
]


class FeedIn(Body):
    """
    A feed to be added, whose records a program sends, or whose address is asked.
    """

    name: Annotated[str, Field(max_length=512), AfterValidator(check_feed_name)]
    kind: Literal["push", "pull"] = Field(
        default="push",
        description="`push`: a program sends records, or files; `pull`: an address is asked. Feeds"
        " with a file or a folder are added on the machine.",
    )
    path: Annotated[str, Field(max_length=2000)] | None = Field(
        default=None, description="The address of a `pull`, like https://carrier.example/recycled."
    )
    authorization: _Authorization | None = Field(
        default=None, description="What is sent to the address as `Authorization`; told to nobody."
    )
    numbers: Annotated[NumberForm, Field(strict=False)] = Field(
        default=NumberForm.PLAIN,
        description="How numbers stand in it: plain, or as a digest of their 11 digits in"
        " hexadecimal. What is sent to a feed of digests is read by the timer.",
    )
    trust: Annotated[Trust, Field(strict=False)] = Field(
        default=Trust.FULL, description="hint: a new owner by this feed counts as unknown."
    )
    every: int | None = Field(
        default=None, ge=60, le=366 * 86_400, description="Seconds until new records are expected."
    )

    model_config = example({"name": "carriers"})


class AuthorizationIn(Body):
    """
    What is sent to the address of a feed.
    """

    authorization: _Authorization | None = Field(
        description="Sent as `Authorization` from now on; null: nothing is."
    )

    model_config = example({"authorization": "Bearer s3cret"})


class FileIn(Body):
    """
    A file of a feed, as a whole. Sent again, the same file changes nothing.
    """

    file: Annotated[str, Field(max_length=512), AfterValidator(check_file_name)] = Field(
        description="What it is called."
    )
    content: Annotated[str, Field(min_length=1, max_length=_LARGEST_FILE)] = Field(
        description="CSV whose first line names the columns, or JSON Lines."
    )

    model_config = example(
        {
            "file": "2026-02-01.csv",
            "content": "number,status,date\n13800000001,reissued,2026-01-31\n",
        }
    )


class RecordIn(Body):
    """
    What is known of one number.
    """

    number: str = Field(max_length=64, description="The number; or its digest, by the feed.")
    status: str = Field(
        max_length=32,
        description="`reissued`: it has a new owner; `cancelled`: it was given back; `kept`: it"
        " has its owner still; `unknown`: nobody knows. Or `1`, `3`, `2`, `0`.",
    )
    date: str | None = Field(
        default=None,
        max_length=64,
        description="When it was reissued or cancelled: a time with its offset, or Beijing's; a"
        " day without a time is the whole day.",
    )

    model_config = example({"number": "13800000001", "status": "reissued", "date": "2026-01-31"})


class RecordsIn(Body):
    """
    Records of a feed. Sent again under the same name, the same records change nothing.
    """

    file: Annotated[str, Field(max_length=512), AfterValidator(check_file_name)] = Field(
        description="What these records are called: a new name for each time."
    )
    records: Annotated[list[RecordIn], Field(min_length=1, max_length=RECORDS_AT_ONCE)]

    model_config = example(
        {
            "file": "2026-02-01/17",
            "records": [
                {"number": "13800000001", "status": "reissued", "date": "2026-01-31"},
                {"number": "13800000002", "status": "unknown"},
            ],
        }
    )


_FEED: dict[str, Any] = {
    "name": "carriers",
    "kind": "push",
    "path": None,
    "numbers": "plain",
    "trust": "full",
    "every": 86_400,
    "created_at": TIME,
    "last_at": TIME,
    "overdue": False,
    "authorized": False,
    "pulled_at": None,
    "failed_at": None,
    "failure": None,
    "asked_at": None,
    "waiting": 0,
}


class FeedOut(Out):
    """
    A feed of numbers with new owners.
    """

    name: str
    kind: FeedKind = Field(
        description="Where its records come from; push: a program sends them. The others are read"
        " by `agi-router feed pull`, or `run`."
    )
    path: str | None
    numbers: NumberForm
    trust: Trust
    every: int | None = Field(description="Seconds in which new records are expected.")
    created_at: str
    last_at: str | None = Field(description="When a file of it was done last.")
    overdue: bool
    authorized: bool = Field(
        description="Whether a secret is sent to the address of a pulled one."
    )
    pulled_at: str | None = Field(
        description="When its address was asked last, or its files were looked at, and all was"
        " done that was new."
    )
    failed_at: str | None = Field(description="When that failed last.")
    failure: str | None = Field(description="Why the last try has failed; null: it did not.")
    asked_at: str | None = Field(description="When it was asked for that it is read soon.")
    waiting: int = Field(
        description="Files that were sent and wait for `agi-router feed pull`, which reads them."
    )

    model_config = example(_FEED)


class FeedsOut(Out):
    """
    The feeds.
    """

    feeds: list[FeedOut]

    model_config = example({"feeds": [_FEED]})


_RUN: dict[str, Any] = {
    "run": 7,
    "feed": "carriers",
    "file": "2026-02-01/17",
    "state": "done",
    "begun_at": TIME,
    "ended_at": TIME,
    "records": 3,
    "reissued": 1,
    "cancelled": 0,
    "kept": 0,
    "unknown": 1,
    "malformed": 1,
    "matched": 1,
    "ended": 1,
}
_RUN_REPORT: dict[str, Any] = {
    **_RUN,
    "faults": [{"line": 3, "why": "a date looks like 2026-01-31, or 2026-01-31 15:04"}],
    "matches": [
        {
            "line": 1,
            "binding": "70012345678-42",
            "tenant": "couriers",
            "outcome": "ended",
            "at": TIME,
        }
    ],
}


class RunOut(Out):
    """
    A file of a feed, and what came of it.
    """

    run: int
    feed: str
    file: str
    state: Literal["unfinished", "done"] = Field(
        description="unfinished: it waits, is read now, or was broken off; sent again it goes on."
    )
    begun_at: str
    ended_at: str | None
    records: int = Field(description="How many are done, whatever they say.")
    reissued: int
    cancelled: int
    kept: int
    unknown: int
    malformed: int
    matched: int = Field(description="Live bindings that have such a party.")
    ended: int = Field(description="Those of them that ended by it.")

    model_config = example(_RUN)


class RunsOut(Out):
    """
    Runs of a feed, the latest first.
    """

    runs: list[RunOut]
    next_cursor: NextCursor = None

    model_config = example({"runs": [_RUN], "next_cursor": None})


class FaultOut(Out):
    """
    A record that cannot be read, by its place among those of the file, from 1.
    """

    line: int
    why: str

    model_config = ConfigDict(json_schema_extra={"examples": _RUN_REPORT["faults"]})


class MatchOut(Out):
    """
    A binding with a party of such a number.
    """

    line: int
    binding: str
    tenant: str
    outcome: Outcome = Field(
        description="began_later: the new owner was bound; rings: nobody knows, and its tenant"
        " lets it ring."
    )
    at: str

    model_config = ConfigDict(json_schema_extra={"examples": _RUN_REPORT["matches"]})


class RunReportOut(RunOut):
    """
    The same, with its first thousand faults, and ten thousand bindings at most.
    """

    faults: list[FaultOut]
    matches: list[MatchOut]

    model_config = example(_RUN_REPORT)


class PushOut(RunReportOut):
    """
    The same, as it was sent just now.
    """

    damaged: int = Field(
        description="Rows that do not open and were passed over; `agi-router list` shows which."
    )

    model_config = example({**_RUN_REPORT, "damaged": 0})

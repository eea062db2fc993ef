"""
The audit: who had real numbers shown to him, and who changed what.

Rules for the editor:

1. The table is append-only: whoever serves may read and add, and change nothing. What a change
   has changed, its own transaction notes in the database, so no caller can forget it.
2. What shows a real number records that first, and shows nothing where it cannot. The row is
   committed by then: no transaction is open.
3. Who it is, the kernel says: the real user id of the process, and the login that it keeps. What
   an environment variable says is a hint, for anybody can set it.
"""

import json
import os
import pwd
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from agi_router.cursors import Cursor, numbered
from agi_router.db.connection import Queries
from agi_router.errors import RevealLimit
from agi_router.logs import redact
from agi_router.texts import check_name

__all__ = ["Actor", "Audit", "AuditEntry", "check_case", "check_note", "cursor_of", "differing"]

_LOGIN = Path("/proc/self/loginuid")
# What the kernel has for a process that no login began.
_UNSET = 2**32 - 1
_LONGEST_CASE = 64
_LONGEST_NOTE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """
    What somebody has done.

    Attributes:
        act: The command, or the method and path of a request.
        subject: What was asked for; no real number.
        reason: Why, if that was said.
        api_key: Id of the API key of a request; :obj:`None`: a command.
        request_id: Id of the request.
        case_id: The case that it is for, where one has to be named.
        role: What an API key's owner is; :obj:`None`: the role of the database.
        address: Where a request came from.
        tag: The person that it is about, see :meth:`agi_router.keys.ring.KeyRing.tag`.
        before: What stood before; no real number. :obj:`None`: what the database has noted of it.
        after: What stands now, ditto.
    """

    act: str
    subject: str
    reason: str | None
    api_key: str | None = None
    request_id: str | None = None
    case_id: str | None = None
    role: str | None = None
    address: str | None = None
    tag: int | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """
    Who does it.

    Attributes:
        uid: Real user id of the process.
        name: Name of that user on this host.
        effective_uid: Effective user id.
        login_uid: Who had logged in; :obj:`None` where the kernel does not tell.
        claimed: What ``SUDO_USER`` says, which is not believed.
        host: Name of this host.
    """

    uid: int
    name: str
    effective_uid: int
    login_uid: int | None
    claimed: str | None
    host: str

    @classmethod
    def here(cls, environ: Mapping[str, str]) -> Self:
        """
        Who runs this process.
        """
        return cls(
            uid=os.getuid(),
            name=_name(os.getuid()),
            effective_uid=os.geteuid(),
            login_uid=_login_uid(),
            claimed=environ.get("SUDO_USER"),
            host=socket.gethostname(),
        )


def differing(
    name: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """
    What differs of a thing, by its name: as it was, and as it is; what was made was nothing.
    """
    changed = [word for word in after if before.get(word) != after[word]]
    was = {word: before[word] for word in changed if word in before}
    return {name: was}, {name: {word: after[word] for word in changed}}


def check_note(text: str) -> str:
    """
    Return *text*, stripped and with real numbers masked, if it may be why something was done.

    Raises:
        ValueError: If it may not.
    """
    return redact(check_name(text, what="a note", longest=_LONGEST_NOTE))


def check_case(text: str) -> str:
    """
    Return *text*, stripped, if it may name a case: 1 to 64 characters, and no real number.

    Raises:
        ValueError: If it may not.
    """
    case = check_name(text, what="a case", longest=_LONGEST_CASE)
    if redact(case) != case:
        raise ValueError("a case is named by a reference, not by a phone number")
    return case


class Audit:
    """
    The audit of one database.

    Args:
        queries: Where it is kept.
    """

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def record(self, what: AuditEntry) -> None:
        """
        Write down what whoever runs this process, or asks it, does now.

        Raises:
            StoreError: It could not be written; then nothing may be shown.
        """
        said = asdict(what)
        for name in ("before", "after"):
            if said[name] is not None:
                said[name] = json.dumps(_masked(said[name]), ensure_ascii=False)
        self._queries.execute("record_act", {**said, **asdict(Actor.here(os.environ))})

    def record_limited(self, what: AuditEntry, *, acts: Sequence[str], most: int) -> None:
        """
        The same for what nobody may do without end: each user of a host, and each API key.

        Args:
            what: What is done.
            acts: What counts as the same.
            most: So often in an hour.

        Raises:
            RevealLimit: It was as often in the last hour; the row of this one is written.
            StoreError: It could not be written; then nothing may be shown.
        """
        self.record(what)
        who = {**asdict(Actor.here(os.environ)), "api_key": what.api_key, "acts": list(acts)}
        row = self._queries.row("count_acts", {**who, "most": most})
        # Counted once it is written: of two at once, each sees the other.
        if row is None or row["times"] > most:
            error = RevealLimit(
                f"this was shown {most} times within the last hour, and may not be more often"
                " (AGI_ROUTER_TRACES_PER_HOUR)"
            )
            error.wait = None if row is None else row["wait"]
            raise error

    def rows(
        self,
        *,
        since: datetime,
        until: datetime | None = None,
        act: str | None = None,
        user: str | None = None,
        api_key: str | None = None,
        case_id: str | None = None,
        tags: Sequence[int] | None = None,
        after: Cursor | None = None,
        limit: int,
    ) -> list[dict[str, Any]]:
        """
        What was recorded since a time, newest first.

        Args:
            since: The time.
            until: Only before this one.
            act: Only acts that begin so.
            user: Only by this user of a host.
            api_key: Only with this API key.
            case_id: Only for this case.
            tags: Only about a person of these tags.
            after: Only those behind the last one of another page, see :func:`cursor_of`.
            limit: At most so many.

        Raises:
            CursorInvalid: *after* is of another list.
        """
        values = {
            "since": since,
            "until": until,
            "act": act,
            "name": user,
            "api_key": api_key,
            "case_id": case_id,
            "tags": None if tags is None else list(tags),
            **numbered(after),
            "limit": limit,
        }
        return self._queries.rows("list_audit", values)


def cursor_of(row: Mapping[str, Any]) -> Cursor:
    """
    Where a row of the audit stands in a list.
    """
    return Cursor(row["at"], str(row["id"]))


def _masked(value: Any) -> Any:
    """
    *value* as JSON may say it, with real numbers masked in each of its texts, and its names.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {redact(str(name)): _masked(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(each) for each in value]
    return redact(str(value))


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _login_uid() -> int | None:
    try:
        uid = int(_LOGIN.read_text("ascii"))
    except (OSError, ValueError):
        return None
    return None if uid == _UNSET else uid

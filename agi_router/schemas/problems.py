"""
What is answered where a request cannot be done: problems, as RFC 9457 has them.

Rules for the editor:

1. Every answer of 400 or more is a problem. Its ``code`` is that of the error, or one of
   :data:`DOOR`; the statuses stand in the two tables here, as exit codes do in ``cli``.
2. Nothing of what came is told back: neither a value nor the name of a field that we do not know.
   It could be a real number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from agi_router.errors import (
    AgiRouterError,
    BindingConflict,
    GroupNotFound,
    NoNumberAvailable,
    NumberError,
    NumberResting,
    PairTooOften,
    PoolNotFound,
    QuotaExceeded,
    RequestInvalid,
    RevealLimit,
    TenantNotFound,
    TooManyBinds,
)

__all__ = ["DOOR", "STATUSES", "FieldFault", "Problem", "problem_of"]

STATUSES: Final[Mapping[str, int]] = {
    "internal": 500,
    "settings_invalid": 503,
    "request_invalid": 422,
    "number_invalid": 422,
    "expiry_invalid": 422,
    "same_party": 422,
    "mode_invalid": 422,
    "csv_invalid": 422,
    "cursor_invalid": 422,
    "webhook_invalid": 422,
    "key_ring_invalid": 503,
    "key_mismatch": 503,
    "keys_outdated": 503,
    "key_used_up": 503,
    "key_in_use": 503,
    "seal_invalid": 500,
    "store_failed": 500,
    "rights_missing": 500,
    "row_invalid": 500,
    "row_refused": 500,
    "store_unavailable": 503,
    "store_busy": 503,
    "store_held": 503,
    "day_refused": 500,
    "schema_mismatch": 503,
    "binding_not_found": 404,
    "member_not_found": 404,
    "block_not_found": 404,
    "tenant_not_found": 404,
    "api_key_not_found": 404,
    "event_not_found": 404,
    "call_not_found": 404,
    "message_not_found": 404,
    "link_not_found": 404,
    "message_over": 409,
    "message_not_held": 409,
    "group_not_found": 404,
    "group_exists": 409,
    "group_changed": 412,
    "group_in_use": 409,
    "pool_not_found": 404,
    "pool_exists": 409,
    "pool_changed": 412,
    "webhook_not_found": 404,
    "webhook_changed": 412,
    "webhook_limit": 409,
    "check_not_found": 404,
    "quota_exceeded": 429,
    "bind_conflict": 409,
    "number_resting": 409,
    "binding_changed": 412,
    "limit_too_low": 409,
    "binding_ended": 409,
    "block_exists": 409,
    "block_in_use": 409,
    "block_moves": 409,
    "tenant_exists": 409,
    "operator_only": 403,
    "api_key_limit": 409,
    "no_number_available": 409,
    "feed_not_found": 404,
    "feed_exists": 409,
    "feed_busy": 409,
    "feed_invalid": 422,
    "locked": 409,
    "party_locked": 409,
    "number_locked": 409,
    "tenant_locked": 409,
    "hold_not_found": 404,
    "export_not_found": 404,
    "lock_not_found": 404,
    "complaint_not_found": 404,
    "lock_over": 409,
    "appeal_not_found": 404,
    "appeal_open": 409,
    "appeal_over": 409,
    "appeal_not_ready": 409,
    "same_actor": 409,
    "export_invalid": 500,
    "recordings_unusable": 500,
    "recording_damaged": 500,
    "recording_not_found": 404,
    "recording_kept": 409,
    "audit_file_invalid": 500,
    "audit_broken": 500,
    "tenant_unqualified": 403,
    "order_missing": 422,
    "scene_unknown": 422,
    "consent_missing": 409,
    "party_unverified": 409,
    "consent_not_found": 404,
    "consent_outdated": 409,
    "pair_too_often": 429,
    "too_many_binds": 429,
    "order_crowded": 409,
    "blocklist_entry_not_found": 404,
    "blocklist_entry_over": 409,
    "reveal_limit": 429,
    "journal_failed": 500,
    "leaktest_failed": 500,
    "feed_unreachable": 500,
    "asterisk_unavailable": 500,
    "node_taken": 500,
    "protocol_violated": 500,
}
"""Every code of an error, and the status of an answer with it."""

# Where a field of a body has another name than the word of files and options.
_POINTERS: Final = {
    "expires": "expires_at",
    "qualified_from": "qualification/valid_from",
    "qualified_until": "qualification/valid_until",
}

DOOR: Final[Mapping[str, tuple[int, str]]] = {
    "http_malformed": (400, "What came is no request of HTTP/1.1"),
    "header_repeated": (400, "A header is there twice that may be there once"),
    "body_malformed": (400, "The body is no JSON in UTF-8"),
    "idempotency_key_missing": (
        400,
        "Give an Idempotency-Key of 1 to 128 visible characters, a new one for each thing",
    ),
    "credentials_missing": (401, "Show an API key: Authorization: Bearer agr_…, or sign"),
    "credentials_invalid": (401, "The API key or the signature is wrong, or it is over"),
    "signature_expired": (401, "The signature's date is more than 15 minutes off: set the clock"),
    "signature_repeated": (401, "The signature's nonce was used before: sign anew"),
    "scope_missing": (403, "The API key lacks the scope that this needs"),
    "tenant_suspended": (403, "The tenant of the API key is suspended"),
    "address_refused": (403, "The API key may not be used from this address"),
    "link_invalid": (403, "The address is none of ours, or its time is over: ask for another"),
    "not_found": (404, "There is nothing of this path"),
    "method_not_allowed": (405, "The path does not take this method"),
    "body_late": (408, "The body did not come in time: send it again"),
    "body_too_large": (413, "A body has 1 MiB at most"),
    "range_unsatisfiable": (416, "Nothing lies in the range: Content-Range says how long it is"),
    "media_type_unsupported": (
        415,
        "A body is application/json, by PATCH application/merge-patch+json too; not compressed",
    ),
    "query_invalid": (
        422,
        "The query says what this path does not know, or something twice: see the document",
    ),
    "idempotency_key_reused": (
        422,
        "The Idempotency-Key was used for another request: take a new one",
    ),
    "idempotency_key_running": (
        409,
        "The first request under the Idempotency-Key is still being done: ask again later",
    ),
    "precondition_missing": (
        428,
        "Give If-Match with the ETag of what is to be changed",
    ),
    "text_refused": (409, "The text is refused"),
    "head_too_large": (431, "The request line and the headers have 128 KiB at most"),
    "rate_exceeded": (
        429,
        "The API key, or all of its tenant, has asked too often: wait as Retry-After says",
    ),
    "too_many_texts": (429, "Too many texts: wait as Retry-After says"),
    "address_blocked": (429, "Too many wrong API keys came from this address: wait"),
    "signatures_forgotten": (
        503,
        "The database has crashed and no longer knows which signatures were used: sign anew later",
    ),
    "crowded": (503, "Too many requests are being answered: try again"),
    "busy": (503, "All connections to the database are in use: try again"),
    "answer_late": (503, "It may have been done: send the same request again, to be told"),
}
"""What the door itself refuses: code, status and what to do."""


@dataclass(frozen=True, slots=True)
class FieldFault:
    """
    What is wrong with one field.
    """

    pointer: str
    """Where it is, as RFC 6901 has it; empty: the whole body."""
    code: str
    detail: str


@dataclass(eq=False)
class Problem(Exception):  # noqa: N818  (the word of the standard)
    """
    A request that cannot be done.

    Attributes:
        code: Of :data:`STATUSES` or :data:`DOOR`.
        status: Of the answer.
        detail: One line without a real number; says what to do.
        errors: What is wrong with which field.
        headers: Of the answer.
        conflicts: Names of the bindings that are in the way.
        until: Until when they are.
        rules: How many numbers each rule has taken away.
    """

    code: str
    status: int
    detail: str
    errors: Sequence[FieldFault] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    conflicts: Sequence[str] = ()
    until: datetime | None = None
    rules: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of_door(
        cls,
        code: str,
        *,
        headers: Mapping[str, str] | None = None,
        more: str = "",
    ) -> "Problem":
        """
        One of :data:`DOOR`.

        Args:
            code: Which.
            headers: Of the answer.
            more: What is told besides; nothing of what came.
        """
        status, detail = DOOR[code]
        told = f"{detail}: {more}" if more else detail
        return cls(code, status, told, headers=headers or {})

    @classmethod
    def of_fields(cls, errors: Sequence[FieldFault]) -> "Problem":
        """
        A request whose fields are not acceptable.
        """
        detail = "The request has fields that are not acceptable; errors names them"
        return cls(RequestInvalid.code, STATUSES[RequestInvalid.code], detail, errors)

    def body(self, request_id: str | None) -> dict[str, Any]:
        """
        What is answered.

        Args:
            request_id: Of the request; :obj:`None` for a part of a batch.
        """
        told: dict[str, Any] = {
            "type": f"urn:agi-router:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if request_id is not None:
            told["instance"] = f"urn:agi-router:request:{request_id}"
        if self.errors:
            told["errors"] = [
                {"pointer": each.pointer, "code": each.code, "detail": each.detail}
                for each in self.errors
            ]
        if self.conflicts:
            told["conflicts"] = list(self.conflicts)
        if self.until is not None:
            told["until"] = self.until.isoformat()
        if self.rules:
            told["rules"] = [
                {"rule": rule, "numbers": numbers} for rule, numbers in self.rules.items()
            ]
        return told


def problem_of(error: AgiRouterError, *, pointer: str | None = None) -> Problem:
    """
    What is answered where *error* was raised.

    Args:
        error: It; no message of ours carries a real number.
        pointer: Of the field that it is about, where that is known.
    """
    status = STATUSES[error.code]
    headers = {"Retry-After": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    waits = QuotaExceeded, PairTooOften, TooManyBinds, RevealLimit
    if isinstance(error, waits) and error.wait is not None:
        headers = {"Retry-After": str(error.wait)}
    # What is broken inside is nobody's business outside.
    detail = str(error)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        detail = "A fault of ours; report the id of the request"
    elif isinstance(error, TenantNotFound | PoolNotFound | GroupNotFound):
        # The name that was given could be anything, a number too.
        detail = str(type(error)())
    faults = []
    if isinstance(error, RequestInvalid):
        faults = [
            FieldFault(f"/{_POINTERS.get(word, word)}", error.code, detail) for word in error.words
        ]
    elif pointer is not None:
        kind = error.kind.value if isinstance(error, NumberError) else error.code
        faults = [FieldFault(pointer, kind, detail)]
    problem = Problem(error.code, status, detail, faults, headers)
    if isinstance(error, BindingConflict):
        problem.conflicts = error.bindings
    if isinstance(error, NumberResting):
        problem.until = error.until
    if isinstance(error, NoNumberAvailable):
        problem.rules = error.rules
    return problem

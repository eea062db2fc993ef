"""
What can go wrong between us and Asterisk's ARI.

::

    AriError
     ├─ AriUnavailable       no usable connection: refused, lost, filter not confirmed
     │   └─ AriUnauthorized  Asterisk refused the user or the password (401)
     ├─ AriTimeout           a request was sent, no answer came in time
     ├─ AriRefused           a request was answered with 4xx or 5xx; carries the status
     └─ WireError            a frame from Asterisk is not what the API documents

No message holds the contents of a frame, a query, a body or a password, so every text here may
be logged.
"""

from __future__ import annotations

__all__ = [
    "AriError",
    "AriRefused",
    "AriTimeout",
    "AriUnauthorized",
    "AriUnavailable",
    "WireError",
]


class AriError(Exception):
    """Root of all errors of this package."""


class AriUnavailable(AriError):  # noqa: N818 a state, named as such
    """There is no usable connection to Asterisk; the request was not, or may not be, done."""


class AriUnauthorized(AriUnavailable):
    """Asterisk refused the user or the password (HTTP 401)."""


class AriTimeout(AriError):  # noqa: N818 a state, named as such
    """
    No answer came within the deadline; whether the request was carried out is unknown.

    Attributes:
        method: HTTP method of the request.
        uri: Path of the request, without its query.
    """

    def __init__(self, method: str, uri: str) -> None:
        super().__init__(method, uri)
        self.method = method
        self.uri = uri

    def __str__(self) -> str:
        return f"no answer in time to {self.method} {self.uri}"


class AriRefused(AriError):  # noqa: N818 a state, named as such
    """
    Asterisk answered with a status of 400 or more.

    Attributes:
        status: HTTP status, e.g. 404 (channel gone) or 409 (channel not in Stasis any more).
        reason: HTTP reason phrase, e.g. ``Not Found``.
        uri: Path of the request; the query, which may hold a number, is cut off.
    """

    def __init__(self, status: int, reason: str, uri: str) -> None:
        path = uri.partition("?")[0]
        super().__init__(status, reason, path)
        self.status = status
        self.reason = reason
        self.uri = path

    def __str__(self) -> str:
        return f"{self.status} {self.reason}: {self.uri}"


class WireError(AriError):
    """A frame or an answer is malformed. The message names the field, never its value."""

"""A client of the HTTP door, as a platform would write one."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import httpx2
from starlette.testclient import TestClient

_serial = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Client:
    """
    Whoever asks with a key.

    Attributes:
        http: By what it asks.
        bearer: The key.
    """

    http: TestClient
    bearer: str

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        """Ask; names of headers have ``_`` for ``-``."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(
            method,
            path,
            json=body,
            headers={"Authorization": f"Bearer {self.bearer}", **given},
        )

    def get(self, path: str, **headers: str) -> Any:
        """Get what is there."""
        answer = self.ask("GET", path, **headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any, *, status: int = 200, **headers: str) -> Any:
        """Post, with an Idempotency-Key that nobody else has."""
        headers = {"Idempotency_Key": f"test-{next(_serial)}", **headers}
        answer = self.ask("POST", path, body, **headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    def bind(self, a: str, b: str, **terms: Any) -> Any:
        """Bind two parties."""
        return self.post("/v1/bindings", {"a": a, "b": b, **terms}, status=201)

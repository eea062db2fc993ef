"""
Headers of what is done, for the OpenAPI document: where it is found, its version, what follows.
"""

from typing import Any, Final

__all__ = ["describe_headers"]

_HEADERS: Final[dict[str, dict[str, Any]]] = {
    "Location": {
        "description": "Where what was made is found.",
        "required": True,
        "schema": {"type": "string"},
    },
    "ETag": {
        "description": "Another one after each change: for If-Match and If-None-Match.",
        "required": True,
        "schema": {"type": "string"},
        "example": '"1.9f0c2a7be4d54c19"',
    },
    "Link": {
        "description": 'The next page, as rel="next" (RFC 8288). Only where there may be one.',
        "schema": {"type": "string"},
    },
}
# What is made here has a version.
_VERSIONED: Final = frozenset({"/v1/bindings", "/v1/groups", "/v1/pools", "/v1/webhooks"})
# It is looked up by the person alone.
_WITHOUT_PLACE: Final = frozenset({"set_real_name"})


def describe_headers(document: dict[str, Any]) -> None:
    """
    Write the headers into a document, at the answers that have them.
    """
    document["components"].setdefault("headers", {}).update(_HEADERS)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            known = {each["name"] for each in operation.get("parameters", ())}
            for status, answer in operation["responses"].items():
                if status == "304" or status.startswith("2"):
                    for name in _names_of(path, method, operation["operationId"], known, status):
                        told = {"$ref": f"#/components/headers/{name}"}
                        answer.setdefault("headers", {})[name] = told


def _names_of(path: str, method: str, operation: str, known: set[str], status: str) -> list[str]:
    made = status == "201"
    read = "If-None-Match" in known
    changed = method == "patch" and "If-Match" in known
    there = {
        "Location": made and operation not in _WITHOUT_PLACE,
        "ETag": read or changed or (made and path in _VERSIONED),
        "Link": method == "get" and "cursor" in known,
    }
    return [name for name, is_there in there.items() if is_there]

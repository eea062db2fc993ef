"""
Links of the OpenAPI document: what can be asked next of what an operation has answered.

Programs that are made of the document, and those that test by it, go on from one operation to
another by them.
"""

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["LINKS", "add_links"]

_BINDING: Final = {"path.name": "$response.body#/id"}
_WEBHOOK: Final = {"path.webhook_id": "$response.body#/id"}
_AS_READ: Final = {"header.If-Match": "$response.header.ETag"}
_BLOCK: Final = {"path.block": "$response.body#/block"}

_OF_BINDING: Final[Mapping[str, Mapping[str, str]]] = {
    "get_binding": _BINDING,
    "change_binding": {**_BINDING, **_AS_READ},
    "end_binding": _BINDING,
    "list_calls": {"query.binding": "$response.body#/id"},
    "list_messages": {"query.binding": "$response.body#/id"},
}
_OF_WEBHOOK: Final[Mapping[str, Mapping[str, str]]] = {
    "get_webhook": _WEBHOOK,
    "change_webhook": {**_WEBHOOK, **_AS_READ},
    **dict.fromkeys(
        (
            *("pause_webhook", "resume_webhook", "rotate_secret", "test_webhook"),
            *("list_deliveries", "resend", "remove_webhook"),
        ),
        _WEBHOOK,
    ),
}
_TENANT: Final = {"path.name": "$response.body#/name"}
_API_KEY: Final = {"path.key_id": "$response.body#/id"}
_OF_BLOCK: Final[Mapping[str, Mapping[str, str]]] = {"get_block": _BLOCK, "change_block": _BLOCK}

LINKS: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = {
    "create_binding": _OF_BINDING,
    "get_binding": _OF_BINDING,
    "change_binding": _OF_BINDING,
    "add_webhook": _OF_WEBHOOK,
    "get_webhook": _OF_WEBHOOK,
    "change_webhook": _OF_WEBHOOK,
    "add_block": _OF_BLOCK,
    "change_block": _OF_BLOCK,
    "add_tenant": {"get_tenant": _TENANT, "change_tenant": _TENANT},
    "create_api_key": {"get_api_key": _API_KEY, "revoke_api_key": _API_KEY},
}
"""By the names of operations: which follow on the first, and what of its answer they are given."""


def add_links(paths: Mapping[str, Mapping[str, dict[str, Any]]]) -> None:
    """
    Write the links into the operations of a document, at the answer of what was done.
    """
    for item in paths.values():
        for operation in item.values():
            for status, answer in operation["responses"].items():
                following = LINKS.get(operation["operationId"])
                if following is not None and status.startswith("2"):
                    answer["links"] = {
                        name: {"operationId": name, "parameters": dict(given)}
                        for name, given in following.items()
                    }

"""
The Python clients of Alibaba Cloud, asked by lines of JSON.

Runs in a venv of its own, without anything of ours. Reads ``{"client", "action", "given"}`` and
writes ``{"body"}`` with what the client returns, or ``{"error", "code", "status"}`` with what it
raises.

Arguments: host and port, id and secret of a key.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from alibabacloud_dyplsapi20170525 import models
from alibabacloud_dyplsapi20170525.client import Client
from alibabacloud_tea_openapi.models import Config
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest

ENDPOINT, KEY_ID, SECRET = sys.argv[1:4]
HOST, PORT = ENDPOINT.split(":")
# Seconds, also on a machine that is busy.
PATIENCE = 60

Told = dict[str, Any]


def new(algorithm: str | None, *, in_background: bool = False) -> Callable[[str, Told], Told]:
    """The newer client, by a signature algorithm of its."""
    config = Config(
        access_key_id=KEY_ID,
        access_key_secret=SECRET,
        endpoint=ENDPOINT,
        protocol="http",
        signature_algorithm=algorithm,
        connect_timeout=1000 * PATIENCE,
        read_timeout=1000 * PATIENCE,
    )
    client = Client(config)
    methods = {name.replace("_", ""): name for name in dir(client)}

    def ask(action: str, given: Told) -> Told:
        request = getattr(models, f"{action}Request")().from_map(given)
        name = f"{action.lower()}async" if in_background else action.lower()
        answer = getattr(client, methods[name])(request)
        told = asyncio.run(answer) if in_background else answer
        return told.body.to_map()  # type: ignore[no-any-return]

    return ask


def old_client() -> AcsClient:
    """The older one."""
    return AcsClient(
        KEY_ID,
        SECRET,
        "cn-hangzhou",
        port=int(PORT),
        timeout=PATIENCE,
        connect_timeout=PATIENCE,
    )


def old(action: str, given: Told) -> Told:
    """The older client, by the class of the action."""
    module = import_module(f"aliyunsdkdyplsapi.request.v20170525.{action}Request")
    request = getattr(module, f"{action}Request")()
    request.set_endpoint(HOST)
    for name, value in given.items():
        getattr(request, f"set_{name}")(value)
    return json.loads(old_client().do_action_with_exception(request))  # type: ignore[no-any-return]


def common(*, in_body: bool) -> Callable[[str, Told], Told]:
    """The older client where it has no class: parameters in the query, or in the body."""

    def ask(action: str, given: Told) -> Told:
        request = CommonRequest(
            domain=HOST, version="2017-05-25", action_name=action, product="Dyplsapi"
        )
        request.set_method("POST")
        for name, value in given.items():
            (request.add_body_params if in_body else request.add_query_param)(name, value)
        told = old_client().do_action_with_exception(request)
        return json.loads(told)  # type: ignore[no-any-return]

    return ask


CLIENTS: dict[str, Callable[[str, Told], Told]] = {
    "sdk": new(None),
    "sdk async": new(None, in_background=True),
    "sdk SHA256": new("ACS3-HMAC-SHA256"),
    "sdk SM3": new("ACS3-HMAC-SM3"),
    "sdk v2": new("v2"),
    "core": old,
    "core common": common(in_body=False),
    "core body": common(in_body=True),
}


def tell(asked: Told) -> Told:
    """What becomes of one line."""
    try:
        return {"body": CLIENTS[asked["client"]](asked["action"], asked["given"])}
    except (ServerException, ClientException) as error:
        status = error.get_http_status() if isinstance(error, ServerException) else None
        return {
            "error": type(error).__name__,
            "code": error.get_error_code(),
            "status": status,
        }
    except Exception as error:  # noqa: BLE001 - whatever a client raises is the answer
        return {
            "error": type(error).__name__,
            "code": getattr(error, "code", None),
            "status": getattr(error, "status_code", None),
            "text": str(error)[:300],
        }


for line in sys.stdin:
    sys.stdout.write(f"{json.dumps(tell(json.loads(line)))}\n")
    sys.stdout.flush()

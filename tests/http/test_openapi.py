"""The OpenAPI document: kept, complete, without a real number, and what the door does."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import openapi
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import BaseModel
from schemathesis import checks
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks as schema_checks
from starlette.testclient import TestClient

from agi_router.db.connection import Connection
from agi_router.doors.http.app import create_app, describe_api
from agi_router.doors.http.links import LINKS
from agi_router.doors.http.options import Options
from agi_router.doors.http.pool import StorePool
from agi_router.events.model import EventType
from agi_router.rates import OFF
from agi_router.schemas.base import Body, Out
from agi_router.schemas.events import EVENTS
from harness.api import Client
from harness.api_scopes import SCOPED

# Not that all is taken that the schema takes: what a mode needs is no matter of the schema.
CHECKS = [
    checks.not_a_server_error,
    schema_checks.status_code_conformance,
    schema_checks.content_type_conformance,
    schema_checks.response_headers_conformance,
    schema_checks.response_schema_conformance,
]
METHODS = {"get", "post", "put", "patch", "delete"}
DOCUMENT = describe_api()


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every operation with its method and path."""
    for path, item in DOCUMENT["paths"].items():
        for method in sorted(METHODS & item.keys()):
            yield method, path, item[method]


def models(*bases: type[BaseModel]) -> list[type[BaseModel]]:
    """What is made of these and stands in the document."""
    found = [each for base in bases for each in (base, *models(*base.__subclasses__()))]
    return [each for each in found if each.__name__ in DOCUMENT["components"]["schemas"]]


def test_the_file_is_the_document() -> None:
    """``python tests/openapi.py`` writes it anew."""
    assert openapi.FILE.read_text("utf-8") == openapi.document()
    assert DOCUMENT["openapi"].startswith("3.1")


def test_it_is_served(http: TestClient) -> None:
    """To everybody."""
    assert http.get("/v1/openapi.json").json() == DOCUMENT


def test_numbers_in_it_are_invented() -> None:
    """Those of examples, and nobody's."""
    numbers = set(re.findall(r"1[3-9][0-9]{9}", openapi.document()))
    assert numbers
    assert all(number.startswith("138000000") for number in numbers)


def test_what_makes_something_may_be_sent_again() -> None:
    """Whoever has no answer sends it once more under its key."""
    made = [each for _, _, each in operations() if "201" in each["responses"]]
    named = [each for each in made if "Idempotency-Key" in str(each.get("parameters"))]
    assert made
    assert named == made


def test_every_operation_is_described() -> None:
    """By a sentence, a name of its own, the problems that it may answer, and examples."""
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(names)) == len(names)
    for method, path, operation in operations():
        where = f"{method} {path}"
        assert operation["description"] or operation["summary"], where
        answers = operation["responses"]
        every = {"400", "401", "403", "422", "429", "431", "500", "503"}
        if "requestBody" in operation:
            every |= {"408", "413", "415"}
        assert every <= answers.keys(), where
        for status, answer in answers.items():
            if status == "304":
                assert "If-None-Match" in str(operation["parameters"]), where
                continue
            kind = "application/json" if status < "300" else "application/problem+json"
            if {"audio/wav", "text/csv"} & answer["content"].keys():
                continue
            assert kind in answer["content"], (where, status)
            schema = answer["content"][kind]["schema"]["$ref"].rpartition("/")[2]
            assert DOCUMENT["components"]["schemas"][schema]["examples"], schema
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            name = schema["$ref"].rpartition("/")[2]
            assert DOCUMENT["components"]["schemas"][name]["examples"], name


def test_every_operation_names_its_scope() -> None:
    """As it is needed, however a key is shown."""
    asked = {
        # What has no parameter comes first: it is what is meant.
        (method.upper(), path): operation["security"]
        for method, path, operation in sorted(operations(), key=lambda each: "{" in each[1])
    }
    for method, path, scope in SCOPED:
        security = next(
            security
            for (asks, template), security in asked.items()
            if asks == method and re.fullmatch(re.sub(r"{[^}]*}", "[^/]+", template), path)
        )
        assert security == [{"bearer": [scope.value]}, {"signed": [scope.value]}], path


def test_every_type_of_event_is_described() -> None:
    """By a schema of its own, with an example that it takes."""
    assert DOCUMENT["webhooks"].keys() == {each.value for each in EventType}
    for type_, item in DOCUMENT["webhooks"].items():
        content = item["post"]["requestBody"]["content"]["application/cloudevents+json"]
        schema = content["schema"]["$ref"].rpartition("/")[2]
        assert schema == EVENTS[EventType(type_)].__name__
        (example,) = DOCUMENT["components"]["schemas"][schema]["examples"]
        assert example["type"] == f"agi_router.{type_}"


@pytest.mark.parametrize("model", models(Out, Body), ids=lambda model: model.__name__)
def test_examples_are_as_their_schemas(model: type[BaseModel]) -> None:
    """What is null in them is there."""
    for example in DOCUMENT["components"]["schemas"][model.__name__].get("examples", ()):
        model.model_validate_json(json.dumps(example))


def test_no_real_number_has_a_place_in_a_path_or_query() -> None:
    """Parties are named in bodies only."""
    for _, path, operation in operations():
        for parameter in operation.get("parameters", ()):
            assert parameter["name"] not in {"a", "b", "number", "from", "party"}, path


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        (method, path, example)
        for method, path, operation in operations()
        if "requestBody" in operation
        for example in DOCUMENT["components"]["schemas"][
            operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition(
                "/"
            )[2]
        ]["examples"]
    ],
)
def test_examples_are_acceptable(operator: Client, method: str, path: str, body: Any) -> None:
    """Each is taken as it stands; what it is about need not be there. What is made is found."""
    place = path.replace("{name}", "70012345678-1").replace("{block}", "70012345678")
    place = place.replace("{webhook_id}", "1")
    answer = operator.ask(method.upper(), place, body, Idempotency_Key="one", If_Match="*")
    assert answer.status_code in {200, 201, 404, 409}, answer.text
    told = DOCUMENT["paths"][path][method]["responses"][str(answer.status_code)]
    headers = told.get("headers", {})
    for name in headers:
        needed = DOCUMENT["components"]["headers"][name].get("required", False)
        assert name in answer.headers or not needed, name
    if "Location" in headers:
        operator.get(answer.headers["location"])


def with_nul(value: Any) -> Iterator[Any]:
    """*value*, each time with a NUL in one text or as one name more, at whatever depth."""
    if isinstance(value, str):
        yield "a\0b"
    elif isinstance(value, dict):
        for name, held in value.items():
            yield from ({**value, name: each} for each in with_nul(held))
        yield {**value, "a\0b": "x"}
    elif isinstance(value, list):
        for i, held in enumerate(value):
            yield from ([*value[:i], each, *value[i + 1 :]] for each in with_nul(held))


def bodies_in_question(schema: dict[str, Any]) -> Iterator[Any]:
    """Its examples with a null where it may be, and with a NUL."""
    for example in schema["examples"]:
        yield from with_nul(example)
        for name, field in schema["properties"].items():
            kinds = {kind.get("type") for kind in field.get("anyOf", [field])}
            if "null" in kinds:
                yield {**example, name: None}
            if "string" in kinds and not isinstance(example.get(name), str):
                yield {**example, name: "a\0b"}


def test_what_no_database_holds(operator: Client) -> None:
    """A null where it may be, and a character NUL anywhere: nothing of ours fails by them."""
    schemas = DOCUMENT["components"]["schemas"]
    asked = 0

    def ask(method: str, path: str, operation: dict[str, Any], body: Any = None) -> None:
        nonlocal asked
        asked += 1
        given = {"Idempotency_Key": f"none-{asked}", "If_Match": "*"}
        status = operator.ask(method.upper(), path, body, **given).status_code
        assert status < 500, (method, path, body)
        assert str(status) in operation["responses"], (method, path, body, status)

    for method, path, operation in operations():
        place = path.replace("{name}", "70012345678-1").replace("{block}", "70012345678")
        if "{" in path:
            ask(method, re.sub(r"{[^}]*}", "%00", path), operation)
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "query":
                ask(method, f"{place}?{parameter['name']}=a%00b", operation)
        if "requestBody" not in operation:
            continue
        content = operation["requestBody"]["content"]["application/json"]
        schema = schemas[content["schema"]["$ref"].rpartition("/")[2]]
        for body in bodies_in_question(schema):
            ask(method, place, operation, body)
    assert asked > 500


def test_schemathesis(stores: StorePool, options: Options, operator: Client) -> None:
    """Whatever it thinks of: no 500, nothing that the document does not say."""
    app = create_app(stores, options)
    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", app)
    headers = {"Authorization": f"Bearer {operator.bearer}"}
    tried = 0
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=5,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def check(case: Any) -> None:
            nonlocal tried
            tried += 1
            case.call_and_validate(headers=headers, checks=CHECKS)

        check()
    assert tried > 60


def test_links_lead_somewhere() -> None:
    """To operations that there are, by parameters that they have, of what is answered."""
    known = {operation["operationId"]: operation for _, _, operation in operations()}
    written = {
        name: links
        for name, operation in known.items()
        for status, answer in operation["responses"].items()
        if (links := answer.get("links"))
    }
    assert written.keys() == LINKS.keys()
    for name, links in written.items():
        (ok,) = (status for status in known[name]["responses"] if status < "300")
        schema = known[name]["responses"][ok]["content"]["application/json"]["schema"]["$ref"]
        answered = DOCUMENT["components"]["schemas"][schema.rpartition("/")[2]]["properties"]
        for link in links.values():
            target = known[link["operationId"]]
            places = {f"{each['in']}.{each['name']}" for each in target["parameters"]}
            assert link["parameters"].keys() <= places
            for taken in link["parameters"].values():
                field = taken.removeprefix("$response.body#/")
                assert field in answered or taken == "$response.header.ETag"


def test_schemathesis_goes_on_from_what_it_has_made(
    stores: StorePool, operator: Client, connection: Connection
) -> None:
    """By the links of the document: whatever it does next, nothing that is not said there."""
    options = Options(rate=OFF, wrong_keys=OFF, ttl=timedelta(hours=1))
    linked = {*LINKS, *(name for links in LINKS.values() for name in links)}
    app = create_app(stores, options)
    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", app).include(
        operation_id=sorted(linked)
    )
    # What is there before any of it, and what is to be there before each scenario: another course
    # of the same choices would be taken for a fault of the test.
    blocks, tenants, keys = (
        [
            row["id"]
            for row in connection.execute(f"SELECT {column}::text AS id FROM {table}".encode())
        ]
        for table, column in (
            ("agi_router.block", "block"),
            ("agi_router.tenant", "id"),
            ("agi_router.api_key", "id"),
        )
    )
    done: Counter[str] = Counter()

    class Machine(schema.as_state_machine()):  # type: ignore[misc]
        """Makes what can be made: of most that the schema takes nothing comes."""

        def setup(self) -> None:
            """Begin each time with the same."""
            self.serial = itertools.count(1)
            for table in (
                "route",
                "past_route",
                "binding",
                "answer",
                "delivery",
                "attempt",
                "event",
                "webhook",
            ):
                connection.execute(f"DELETE FROM agi_router.{table}".encode())
            connection.execute("DELETE FROM agi_router.api_key WHERE id <> ALL (%s)", [keys])
            connection.execute(
                "DELETE FROM agi_router.block WHERE block::text <> ALL (%s)", [blocks]
            )
            connection.execute(
                "DELETE FROM agi_router.tenant WHERE id::text <> ALL (%s)", [tenants]
            )
            connection.execute(
                "UPDATE agi_router.block SET state = 'active', tenant_id = NULL,"
                " valid_from = '-infinity', valid_until = 'infinity'"
            )
            connection.execute("UPDATE agi_router.tenant SET active = true, told = '{}'")
            connection.execute("UPDATE agi_router.api_key SET state = 'active', revoked_at = NULL")

        def before_call(self, case: Any) -> None:
            """Make things of people and names that were not there before."""
            number = next(self.serial)
            match case.operation.label:
                case "POST /v1/bindings":
                    case.body = {"a": f"138{number:08}", "b": f"139{number:08}", "ttl": 7200}
                case "POST /v1/webhooks":
                    case.body = {"url": f"https://shop.example/{number}", "types": ["call.ended"]}
                case "POST /v1/blocks":
                    case.body = {"block": f"7001{number:07}"}
                case "POST /v1/tenants":
                    case.body = {"name": f"tenant-{number}"}

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:  # noqa: ARG002
            """With a key."""
            return {"headers": {"Authorization": f"Bearer {operator.bearer}"}}

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            """By the document."""
            done[f"{case.operation.label} {response.status_code}"] += 1
            case.validate_response(response, checks=CHECKS)

    Machine.run(
        settings=settings(
            max_examples=30,
            stateful_step_count=8,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
    )
    # It has gone on from what was made, and has not only been told that there is no such thing.
    went_on = {each: count for each, count in done.items() if "{" in each and each.endswith("200")}
    assert sum(went_on.values()) > 10, done

"""What a module may use. Which room imports which stands in setup.cfg, held by import-linter."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from functools import cache
from pathlib import Path

import pytest

import agi_router

PACKAGE = Path(agi_router.__file__).parent
SETUP = ConfigParser()
SETUP.read(PACKAGE.parent / "setup.cfg", "utf-8")
# The coverage of every branch is asked of these.
PURE = frozenset(
    file.removeprefix("agi_router/").removesuffix(".py").replace("/", ".")
    for file in SETUP["coverage:report"]["include"].split()
)

# The standard library without files, sockets, clocks and threads.
HARMLESS = frozenset(
    {
        "__future__",
        "abc",
        "array",
        "collections",
        "dataclasses",
        "datetime",
        "enum",
        "fnmatch",
        "functools",
        "ipaddress",
        "itertools",
        "math",
        "re",
        "struct",
        "types",
        "typing",
        "unicodedata",
    }
)


# Hashes and random bits, and what a request is made of.
CODES = {"calls.identity", "events.signature", "keys.ring"}
CRYPTO = {
    "calls.check": {"json"},
    "cursors": {"base64"},
    "doors.alibaba.parameters": {"json"},
    "doors.alibaba.signature": {"base64", "hmac", "urllib"},
    "events.model": {"urllib"},
    "feeds.model": {"urllib"},
    "exports.manifest": {"base64", "hashlib", "json"},
    "keys.segments": {"cryptography"},
    "recordings.links": {"hashlib", "hmac", "urllib"},
    "recordings.wav": {"struct"},
    "exports.sealing": {"base64", "cryptography", "hashlib", "json", "secrets"},
    "events.signature": {"hmac", "secrets"},
    "smpp.wire": {"struct"},
    "keys.ring": {"cryptography", "hashlib", "hmac", "secrets", "sys"},
    "number_ranges": {"csv"},
    "maintenance.classes": {"hashlib"},
    "records.chain": {"base64", "cryptography", "hashlib", "json"},
    "sip.transactions": {"hashlib"},
    "tenants.api_keys": {"hashlib", "hmac", "ipaddress", "secrets"},
    "tenants.signature": {"hashlib", "hmac", "urllib"},
}


def test_every_room_is_installed() -> None:
    """A room that is not in the list is in the checkout alone."""
    shipped = SETUP["options"]["packages"].split()
    rooms = {
        ".".join(path.parent.relative_to(PACKAGE.parent).parts)
        for path in PACKAGE.rglob("__init__.py")
    }
    assert rooms | {"agi_router.sql", "agi_router.dialplan"} == set(shipped)


def name_of(path: Path) -> str:
    """Return the name of a module below the package; empty for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts).removesuffix("__init__").removesuffix(".")


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def parsed(name: str) -> ast.Module:
    """Return the source of a module, parsed."""
    return ast.parse(MODULES[name].read_text("utf-8"))


def imported(name: str) -> Iterator[str]:
    """Yield every module that *name* imports, in full; also inside functions."""
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(parsed(name)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(level=0, module=str(module), names=names):
                # "from package import module" imports the module too.
                below = [f"{module}.{alias.name}" for alias in names]
                yield from [full for full in below if is_ours(full)] or [module]
            case ast.ImportFrom(level=1, module=module, names=names):
                home = f"agi_router.{package}".removesuffix(".")
                base = f"{home}.{module}" if module else home
                below = [f"{base}.{alias.name}" for alias in names]
                yield from [full for full in below if is_ours(full)] or [base]
            case ast.ImportFrom():
                pytest.fail(f"{name}: an import that climbs is not understood here")


def is_ours(module: str) -> bool:
    """Whether *module* is one of the package's modules, the package itself left aside."""
    return module.removeprefix("agi_router.") in MODULES


def ours(name: str) -> set[str]:
    """Return what *name* imports of ours."""
    found = (module for module in imported(name) if module.partition(".")[0] == "agi_router")
    return {module.partition(".")[2] for module in found}


@cache
def theirs(name: str) -> set[str]:
    """Return the top-level modules that *name* imports from elsewhere."""
    return {module.partition(".")[0] for module in imported(name)} - {"agi_router"}


def users(library: str) -> set[str]:
    """Return the modules that import *library*."""
    return {name for name in MODULES if library in theirs(name)}


def test_the_core_does_no_io() -> None:
    """The rules can be read, and tested, without any server, file or clock."""
    # A package of ours is its docstring.
    packages = {
        "bindings",
        "calls",
        "doors.alibaba",
        "events",
        "maintenance",
        "pbx",
        "tenants",
    }
    for name in PURE:
        codes = {"base64", "binascii"} if name in CODES else set()
        assert theirs(name) <= HARMLESS | codes | CRYPTO.get(name, set()), name
        assert ours(name) <= PURE | packages, name


def test_the_core_is_given_the_time() -> None:
    """Nothing in the core asks a clock, and nothing there waits, prints or opens."""
    asked = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter", "localtime"}
    opened = {"open", "print", "input", "exec", "eval", "__import__"}
    for name in PURE:
        methods, functions = set(), set()
        for node in ast.walk(parsed(name)):
            match node:
                case ast.Call(func=ast.Attribute(attr=attribute)):
                    methods.add(attribute)
                case ast.Call(func=ast.Name(id=function)):
                    functions.add(function)
        assert not functions & (asked | opened), name
        assert not methods & asked, name


def test_the_package_itself_imports_nothing() -> None:
    """Importing one module costs no other."""
    assert list(imported("")) == []


def test_where_the_libraries_are() -> None:
    """Each foreign library has its door."""
    assert users("psycopg") == {
        "bindings.bind",
        "bindings.change",
        "bindings.group",
        "bindings.group_store",
        "bindings.replace",
        "bulk.importer",
        "calls.store",
        "db.connection",
        "db.fast_connection",
        "db.migrate",
        "db.pool",
        "db.prepared",
        "db.replication",
        "db.session",
        "exports.store",
        "messages.store",
    }
    assert users("websockets") == {"ari.client", "ari.websocket"}
    assert users("pystrix") == {"doors.fastagi"}
    assert users("cryptography") == {
        "exports.sealing",
        "keys.ring",
        "keys.segments",
        "records.chain",
        "service.certificate",
    }
    assert {name.partition(".")[0] for name in users("click")} == {"cli"}
    assert users("h11") == {"calls.verifier"}
    assert users("uvloop") == {"cli.serving"}
    assert users("botocore") == {"recordings.bucket"}
    assert users("uvicorn") == {"service.http_connections", "service.http_server"}
    for library in ("fastapi", "pydantic"):
        assert {name.rpartition(".")[0] for name in users(library)} == {"doors.http", "schemas"}
    assert {name.rpartition(".")[0] for name in users("starlette")} == {
        "doors.alibaba",
        "doors.http",
    }


def test_no_library_but_those_that_are_installed_with_us() -> None:
    """Besides the standard library there are these."""
    foreign = set().union(*map(theirs, MODULES)) - sys.stdlib_module_names
    assert foreign == {
        "botocore",
        "click",
        "cryptography",
        "fastapi",
        "h11",
        "psycopg",
        "pydantic",
        "pystrix",
        "starlette",
        "urllib3",
        "uvicorn",
        "uvloop",
        "websockets",
    }


def test_no_sql_stands_in_python() -> None:
    """Statements are in sql/, by name; docstrings may speak of them."""
    for name in MODULES:
        nodes = list(ast.walk(parsed(name)))
        docstrings = {
            id(node.value)
            for node in nodes
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        # In SIP, UPDATE is a method.
        words = "SELECT|INSERT" if name.startswith("leaktest") else "SELECT|INSERT|UPDATE"
        for node in nodes:
            if isinstance(node, ast.Constant) and id(node) not in docstrings:
                assert not re.search(rf"\b({words})\b", str(node.value)), name


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("import psycopg", "psycopg"),
        ("import agi_router.calls", "agi_router.calls"),
        ("from agi_router import calls", "agi_router.calls"),
        ("from agi_router.calls import journal", "agi_router.calls.journal"),
        ("from . import settings", "agi_router.settings"),
        ("from .calls import journal", "agi_router.calls.journal"),
        ("def f():\n    from asyncio import sleep", "asyncio"),
    ],
)
def test_no_way_to_import_is_missed(
    source: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule above sees all of these; a list of forbidden names would miss some."""
    monkeypatch.setitem(globals(), "parsed", lambda _: ast.parse(source))
    assert list(imported("logs")) == [module]

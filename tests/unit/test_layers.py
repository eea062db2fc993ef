"""The layers: who may import whom, held together with the table in agi_router/README.md."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import agi_router

PACKAGE = Path(agi_router.__file__).parent
README = (PACKAGE / "README.md").read_text("utf-8")

# The standard library without files, sockets, clocks and threads.
PURE = frozenset(
    {
        "__future__",
        "collections",
        "dataclasses",
        "datetime",
        "enum",
        "fnmatch",
        "functools",
        "re",
        "types",
        "typing",
    }
)
CORE = frozenset(
    {
        "numbers",
        "model",
        "profile",
        "agreement",
        "conf_text",
        "snippets",
        "modes",
        "decision",
        "calls",
        "seal",
        "errors",
        "extension",
        "durations",
        "limits",
        "merged",
        "pool",
        "ports",
        "csv_rows",
        "diagnosis",
        "identity",
        "texts",
        "times",
    }
)
DATABASE = frozenset(
    {
        "adapters.admission",
        "adapters.bindings",
        "adapters.database",
        "adapters.session",
        "adapters.importer",
        "adapters.migrate",
        "adapters.connection_pool",
        "adapters.line",
        "adapters.renewal",
    }
)

LEAK_TEST = frozenset(
    {
        "leaktest.call",
        "leaktest.callers",
        "leaktest.desk",
        "leaktest.identities",
        "leaktest.lanes",
        "leaktest.leaks",
        "leaktest.media",
        "leaktest.messages",
        "leaktest.report",
        "leaktest.results",
        "leaktest.scripts",
        "leaktest.sipp",
        "leaktest.suite",
        "leaktest.tap",
        "leaktest.vectors",
    }
)

# What a module of ours may import of ours. An allow-list: what is new has to be put in its place.
MAY_IMPORT = {
    **dict.fromkeys(CORE, CORE),
    "logs": frozenset[str](),
    "files": frozenset[str](),
    "keyfile": CORE | {"files"},
    "settings": CORE | {"files", "keyfile"},
    "late_log": frozenset[str](),
    "router": CORE | {"late_log"},
    "metrics": CORE,
    "adapters": frozenset[str](),
    "adapters.queries": frozenset[str](),
    "adapters.session": CORE,
    "adapters.database": CORE | {"adapters.queries", "adapters.session"},
    "adapters.keys": CORE | {"adapters.database"},
    "adapters.renewal": CORE | {"adapters.database", "adapters.records", "adapters.sealed_routes"},
    "adapters.rotation": CORE
    | {"adapters.database", "adapters.keys", "adapters.renewal", "keyfile"},
    "adapters.records": CORE,
    "adapters.inventory": CORE | {"adapters.database"},
    "adapters.facts": CORE,
    "adapters.journal": CORE | {"files"},
    "adapters.journal_probe": CORE | {"adapters.journal", "ari", "side_thread"},
    "adapters.parties": CORE | {"adapters.records", "adapters.sealed_routes"},
    "adapters.systemd": frozenset[str](),
    "adapters.clocks": frozenset[str](),
    "adapters.descriptors": frozenset[str](),
    "adapters.lobby": frozenset[str](),
    "adapters.health_server": frozenset({"adapters.lobby"}),
    "adapters.line": frozenset({"adapters.queries"}),
    "adapters.connection_pool": CORE
    | {"adapters.database", "adapters.line", "adapters.queries", "adapters.session"},
    "adapters.admission": CORE
    | {
        "adapters.call_days",
        "adapters.connection_pool",
        "adapters.database",
        "adapters.facts",
        "adapters.keys",
        "adapters.line",
        "adapters.queries",
        "adapters.sealed_routes",
        "adapters.session",
    },
    "adapters.audit": CORE | {"adapters.database"},
    "adapters.bindings": CORE
    | {
        "adapters.audit",
        "adapters.database",
        "adapters.facts",
        "adapters.inventory",
        "adapters.keys",
        "adapters.parties",
        "adapters.records",
        "adapters.renewal",
        "adapters.sealed_routes",
    },
    "adapters.sweep": CORE | {"adapters.database"},
    "adapters.call_days": CORE,
    "adapters.rights": CORE | {"adapters.database"},
    "adapters.sealed_routes": CORE,
    "adapters.copy_rows": frozenset[str](),
    "adapters.pg_arrays": frozenset[str](),
    "adapters.csv_file": CORE | {"files"},
    "adapters.sealing": CORE
    | {
        "adapters.copy_rows",
        "adapters.csv_file",
        "adapters.parties",
        "adapters.pg_arrays",
        "adapters.sealed_routes",
    },
    "adapters.importer": CORE
    | {
        "adapters.bindings",
        "adapters.copy_rows",
        "adapters.csv_file",
        "adapters.database",
        "adapters.inventory",
        "adapters.keys",
        "adapters.pg_arrays",
        "adapters.queries",
        "adapters.records",
        "adapters.sealed_routes",
        "adapters.sealing",
    },
    "adapters.exporter": CORE | {"adapters.audit", "adapters.bindings", "adapters.records"},
    "adapters.migrate": CORE | {"adapters.database", "adapters.queries"},
    "adapters.ari_door": CORE | {"adapters.clocks", "router", "ari"},
    "adapters.fastagi_door": CORE | {"router", "adapters.lobby"},
    **dict.fromkeys(LEAK_TEST, CORE | LEAK_TEST),
    "leaktest": frozenset[str](),
    "leaktest.leaks": frozenset[str](),
    "leaktest.messages": frozenset[str](),
    "leaktest.vectors": frozenset[str](),
    "leaktest.sipp": frozenset[str](),
    "adapters.live_profile": CORE | {"ari"},
    "adapters.live_prompts": frozenset({"ari"}),
    "adapters.asterisk_copy": frozenset({"errors", "files"}),
    "adapters.account": frozenset({"files"}),
    "adapters.host": CORE | {"files", "keyfile"},
    "side_thread": frozenset[str](),
    "jobs": CORE,
    "books": CORE | {"adapters.admission", "adapters.journal", "ari", "side_thread"},
    "health": CORE | {"adapters.admission", "adapters.clocks", "adapters.systemd", "ari"},
    "nodes": CORE | {"adapters.admission", "ari"},
    "succession": CORE | {"adapters.systemd", "ari"},
    "survey": CORE
    | {
        "adapters.admission",
        "adapters.clocks",
        "adapters.ari_door",
        "adapters.fastagi_door",
        "adapters.journal",
        "adapters.connection_pool",
        "ari",
        "metrics",
    },
}
# These put the parts together, and may know all of them but the command line.
WHOLE = frozenset({"daemon", "upkeep"})


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


def theirs(name: str) -> set[str]:
    """Return the top-level modules that *name* imports from elsewhere."""
    return {module.partition(".")[0] for module in imported(name)} - {"agi_router"}


def users(library: str) -> set[str]:
    """Return the modules that import *library*."""
    return {name for name in MODULES if library in theirs(name)}


@pytest.mark.parametrize("name", sorted(CORE))
def test_the_core_does_no_io(name: str) -> None:
    """The rules can be read, and tested, without any server, file or clock."""
    codes = {"base64", "binascii"} if name in {"identity", "seal"} else set()
    crypto = {"cryptography", "hmac", "secrets"} if name == "seal" else set()
    assert theirs(name) <= PURE | codes | crypto
    assert ours(name) <= CORE


@pytest.mark.parametrize("name", sorted(CORE))
def test_the_core_is_given_the_time(name: str) -> None:
    """Nothing in the core asks a clock, and nothing there waits, prints or opens."""
    asked = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter", "localtime"}
    opened = {"open", "print", "input", "exec", "eval", "__import__"}
    called = set()
    for node in ast.walk(parsed(name)):
        match node:
            case ast.Call(func=ast.Attribute(attr=attribute)):
                called.add(attribute)
            case ast.Call(func=ast.Name(id=function)):
                assert function not in opened
                called.add(function)
    assert not called & asked


@pytest.mark.parametrize("name", sorted(MAY_IMPORT))
def test_who_imports_whom(name: str) -> None:
    """Each module keeps to those below it."""
    assert ours(name) <= MAY_IMPORT[name]


def test_every_module_has_its_place() -> None:
    """A new module is put into a layer, or this fails."""
    free = {name for name in MODULES if name.partition(".")[0] in ("ari", "cli")}
    assert MAY_IMPORT.keys() | WHOLE | free | {""} == MODULES.keys()


def test_nothing_imports_the_command_line() -> None:
    """People are the outermost layer."""
    users = {name for name in MODULES if any(m.partition(".")[0] == "cli" for m in ours(name))}
    assert all(name.partition(".")[0] == "cli" for name in users)


def test_the_package_itself_imports_nothing() -> None:
    """Importing one module costs no other."""
    assert list(imported("")) == []


@pytest.mark.parametrize("name", [name for name in MODULES if name.partition(".")[0] == "ari"])
def test_the_client_library_stands_alone(name: str) -> None:
    """It can be used without the rest of agi_router."""
    assert all(module.partition(".")[0] == "ari" for module in ours(name))


def test_where_the_libraries_are() -> None:
    """Each foreign library has its door."""
    assert users("psycopg") <= DATABASE
    assert users("websockets") == {"ari.client", "ari.websocket"}
    assert users("pystrix") == {"adapters.fastagi_door"}
    assert users("cryptography") == {"seal"}
    assert users("prometheus_client") == {"metrics"}
    assert {name.partition(".")[0] for name in users("click")} == {"cli"}
    assert users("uvloop") == {"cli.service"}


def test_no_library_but_those_that_are_installed_with_us() -> None:
    """Besides the standard library there are these."""
    foreign = set().union(*map(theirs, MODULES)) - sys.stdlib_module_names
    assert foreign == {
        "click",
        "cryptography",
        "prometheus_client",
        "psycopg",
        "pystrix",
        "uvloop",
        "websockets",
    }


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_sql_stands_in_python(name: str) -> None:
    """Statements are in sql/, by name; docstrings may speak of them."""
    tree = parsed(name)
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    # In SIP, UPDATE is a method.
    words = "SELECT|INSERT" if name.startswith("leaktest") else "SELECT|INSERT|UPDATE"
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            assert not re.search(rf"\b({words})\b", str(node.value))


def table() -> dict[str, set[str]]:
    """Return the modules that the README's table names, by layer; a folder ends in a slash."""
    section = README.partition("## Layers")[2].partition("\n## ")[0]
    rows = [row.split("|")[1:3] for row in section.splitlines() if row.startswith("|")]
    return {
        layer.strip(): {name.replace("/", ".") for name in re.findall(r"`([\w/]+)`", modules)}
        for layer, modules in rows[2:]
    }


def test_the_readme_tells_the_layers() -> None:
    """Its table names every module, in the layer that is held here."""
    layers = table()
    assert layers["pure core"] == CORE
    assert layers["orchestration"] == {"router", "late_log"}
    assert layers["client library"] == {"ari."}
    assert layers["leak test"] == {"leaktest."}
    assert layers["people"] == {"cli."}
    named = set().union(*layers.values())
    real = {name for name in MODULES if name not in ("", "adapters")}
    folders = ("ari", "cli", "leaktest")
    tops = ((name, name.partition(".")[0]) for name in real)
    assert named == {f"{top}." if top in folders else name for name, top in tops}


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("import psycopg", "psycopg"),
        ("import agi_router.adapters", "agi_router.adapters"),
        ("from agi_router import adapters", "agi_router.adapters"),
        ("from agi_router.adapters import journal", "agi_router.adapters.journal"),
        ("from . import router", "agi_router.router"),
        ("from .adapters import journal", "agi_router.adapters.journal"),
        ("def f():\n    from asyncio import sleep", "asyncio"),
    ],
)
def test_no_way_to_import_is_missed(
    source: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule above sees all of these; a list of forbidden names would miss some."""
    monkeypatch.setitem(globals(), "parsed", lambda _: ast.parse(source))
    assert list(imported("decision")) == [module]

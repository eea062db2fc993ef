"""Exports: what a module promises is what it has, neither more nor less."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import agi_router

PACKAGE = Path(agi_router.__file__).parent
MODULES = sorted(
    ".".join(("agi_router", *path.relative_to(PACKAGE).with_suffix("").parts))
    .removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
)  # fmt: skip


def exported(module: str) -> list[str]:
    """Return what *module* promises; nothing where it says nothing."""
    return list(getattr(importlib.import_module(module), "__all__", ()))


@cache
def tree(module: str) -> ast.Module:
    """Return the source of *module*, parsed."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text("utf-8"))


def defined(module: ast.Module) -> Iterator[str]:
    """Yield the names that *module* itself makes, imports left aside."""
    for node in module.body:
        match node:
            case ast.ClassDef(name=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if not any(
                map(registers, node.decorator_list)
            ):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            # A type variable is of use to its own module only.
            case ast.Assign(value=ast.Call(func=ast.Name(id="TypeVar"))):
                pass
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))


def registers(decorator: ast.expr) -> bool:
    """Whether a function becomes a part of the group that *decorator* belongs to."""
    match decorator:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr="command")):
            return owner != "click"
        case ast.Call(func=ast.Attribute(value=ast.Name(id="router"))):
            return True
    return False


def imported(module: ast.Module) -> set[str]:
    """Return the names that *module* has from elsewhere in the package."""
    return {
        alias.asname or alias.name
        for node in module.body
        if isinstance(node, ast.ImportFrom)
        and (node.level or (node.module or "").startswith("agi_router"))
        for alias in node.names
    }


def public(module: ast.Module) -> set[str]:
    """Return the names that *module* makes for others; a logger is its own affair."""
    return {name for name in defined(module) if not name.startswith("_")} - {"log"}


def test_exports() -> None:
    """__all__ lists every public name, once; only what stands there may come from elsewhere."""
    for name in MODULES:
        source = tree(name)
        exports = exported(name)
        assert len(exports) == len(set(exports)), name
        assert public(source) <= set(exports), name
        assert set(exports) - public(source) <= imported(source), name


def test_every_export_is_there() -> None:
    """No name is promised that cannot be had."""
    for name in MODULES:
        module = importlib.import_module(name)
        assert [export for export in exported(name) if not hasattr(module, export)] == [], name


def test_names_handed_on() -> None:
    """Only these modules export what another one makes."""
    handing_on = {
        name: exports
        for name in MODULES
        if (exports := set(exported(name)) - public(tree(name)))
    }  # fmt: skip
    libraries = {"agi_router.ari", "agi_router.sip", "agi_router.smpp"}
    assert handing_on.keys() == {"agi_router.numbers", *libraries}
    assert handing_on["agi_router.numbers"] == {"NumberFault"}


@pytest.mark.parametrize(
    ("library", "parts"),
    [
        ("ari", ("client", "errors")),
        ("sip", ("errors", "transactions", "wire")),
        ("smpp", ("codings", "errors", "pace", "parts", "receipts", "session")),
    ],
)
def test_a_client_library_hands_on_all_it_has(library: str, parts: tuple[str, ...]) -> None:
    """Whoever uses it by itself needs to import one module."""
    package = set(importlib.import_module(f"agi_router.{library}").__all__)
    for part in parts:
        assert set(importlib.import_module(f"agi_router.{library}.{part}").__all__) <= package

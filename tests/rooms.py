"""
How large the package, its rooms and its functions are.

    python tests/rooms.py [CHECKOUT...]

Prints a line for each checkout, by default this one: modules, lines, functions, their lines
(median and 95th percentile), and the largest rooms with their share of all lines.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path
from statistics import median, quantiles


def lengths(module: Path) -> list[int]:
    """The lines of each function of a module, its docstring left out."""
    found = []
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1:2] if ast.get_docstring(node, clean=False) else node.body[:1]
            found.append(((node.end_lineno or 0) - first[0].lineno + 1) if first else 0)
    return found


def describe(checkout: Path) -> str:
    """What there is to say of a checkout, in a line."""
    package = checkout / "agi_router"
    modules = sorted(package.rglob("*.py"))
    rooms: Counter[str] = Counter()
    for module in modules:
        room = module.relative_to(package).parts[0].removesuffix(".py")
        rooms[room] += len(module.read_text("utf-8").splitlines())
    functions = [length for module in modules for length in lengths(module)]
    largest = ", ".join(
        f"{room} {lines / rooms.total():.1%}" for room, lines in rooms.most_common(4)
    )
    return (
        f"{checkout}: {len(modules)} modules, {rooms.total()} lines, {len(functions)} functions"
        f" (median {median(functions):.0f} lines, p95 {quantiles(functions, n=20)[-1]:.0f});"
        f" largest: {largest}"
    )


if __name__ == "__main__":
    for each in map(Path, sys.argv[1:] or [str(Path(__file__).parents[1])]):
        print(describe(each))  # noqa: T201 - it is what the script is for

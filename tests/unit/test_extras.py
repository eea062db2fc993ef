"""The program on a machine of docs/install.md, which has no packages of the extra [api]."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PINS = ROOT / "docker/pins"
# What an import finds where the packages are not there.
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
sys.argv = ["agi-router", *{arguments}]
from agi_router.cli import main
sys.exit(main())
"""


def names(pins: str) -> set[str]:
    """What packages are imported by, as far as it is their name."""
    found = re.findall(r"(?m)^([A-Za-z0-9_.-]+)==", (PINS / pins).read_text("utf-8"))
    return {name.lower().replace("-", "_") for name in found}


def without_the_extra(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program where only the router's packages are."""
    missing = names("http.txt") - names("router.txt")
    assert {"urllib3", "uvicorn", "fastapi"} <= missing
    code = WITHOUT.format(missing=sorted(missing), arguments=arguments)
    return subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120
    )


def test_its_help() -> None:
    """All commands are there."""
    done = without_the_extra("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "deliver" in done.stdout


@pytest.mark.parametrize("arguments", [("deliver",), ("serve", "--door", "http")])
def test_commands_of_the_extra(arguments: tuple[str, ...]) -> None:
    """They say what is to be installed."""
    done = without_the_extra(*arguments)
    assert done.returncode == 78
    assert re.search(r"the package \w+ is not installed: .* docker/pins/http.txt", done.stderr)

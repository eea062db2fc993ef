"""
The wheel, installed in a venv of its own: what a user gets.
"""

import subprocess
import sys
import zipfile
from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
UNITS = "agi_router/service"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built by way of its sdist."""
    folder = tmp_path_factory.mktemp("dist")
    # What builds it is pinned as well: nothing else is downloaded.
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    # It writes into the checkout meanwhile, and so does that of another process of these tests.
    with (CHECKOUT / "setup.cfg").open() as once:
        flock(once, LOCK_EX)
        subprocess.run([*build, CHECKOUT], check=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin directory of a venv in which nothing but the wheel is installed."""
    venv = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pins = CHECKOUT / "docker/pins/router.txt"
    install = [str(venv / "bin/pip"), "install", "--quiet"]
    subprocess.run([*install, "--require-hashes", "--requirement", pins], check=True)
    subprocess.run([*install, "--no-deps", wheel], check=True)
    return venv / "bin"


def output(*command: str | Path) -> str:
    """What a command prints, run far from the checkout."""
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd="/").stdout


def test_wheel_holds_sql_and_dialplan_as_they_are(wheel: Path) -> None:
    """The shipped copy is the tested copy."""
    with zipfile.ZipFile(wheel) as archive:
        for folder, pattern in (("sql", "*/**/*"), ("dialplan", "[!_]*"), (UNITS, "*.service")):
            for file in (CHECKOUT / folder).glob(pattern):
                if file.is_file() and file.suffix not in {".md", ".pyc"}:
                    name = file.relative_to(CHECKOUT).as_posix().removeprefix("agi_router/")
                    shipped = archive.read(f"agi_router/{name}")

                    assert shipped == file.read_bytes(), file.name


def test_wheel_holds_no_tests(wheel: Path) -> None:
    """Nothing but the package is installed, and no page of the documents."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        tops = {name.partition("/")[0] for name in archive.namelist()}

        assert not [name for name in names if name.endswith(".md")]
        assert {top for top in tops if not top.endswith(".dist-info")} == {"agi_router"}


def test_command_runs(programs: Path) -> None:
    """The command is there and knows its version."""
    assert output(programs / "agi-router", "--version").startswith("agi-router, version ")


def test_sql_is_read_from_the_wheel(programs: Path) -> None:
    """Resources are found wherever the package is installed."""
    script = (
        "from agi_router.db.migrate import functions, migrations;"
        "from agi_router.db.queries import query;"
        "print(len(migrations()) > 0, len(functions()) > 0, len(query('admit')) > 0)"
    )

    assert output(programs / "python", "-c", script).split() == ["True"] * 3


def test_metadata(programs: Path) -> None:
    """Licence, types and the oldest Python are declared."""
    script = (
        "import importlib.metadata as m; d = m.metadata('agi_router');"
        "print(d['License-Expression'], d['Requires-Python']);"
        "import importlib.resources as r;"
        "print(r.files('agi_router').joinpath('py.typed').is_file())"
    )

    assert output(programs / "python", "-c", script).splitlines() == ["MIT >=3.11", "True"]

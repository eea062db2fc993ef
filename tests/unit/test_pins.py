"""
The pins: what is installed as root is named by version and digest, and is what setup.cfg asks for.
"""

import configparser
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

CHECKOUT = Path(__file__).parents[2]
PINS = CHECKOUT / "docker/pins"


def pinned(file: str) -> dict[str, str]:
    """Versions by name; every requirement of the file has one, and digests."""
    found = {}
    text = (PINS / file).read_text("utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            requirement, *digests = line.split()
            name, equal, version = requirement.partition("==")
            assert equal, line
            assert digests, line
            assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in digests)
            found[name] = version
    return found


def required(*extras: str) -> list[Requirement]:
    """What setup.cfg asks for."""
    parser = configparser.ConfigParser()
    parser.read(CHECKOUT / "setup.cfg", "utf-8")
    texts = [
        parser["options"]["install_requires"],
        *(parser["options.extras_require"][extra] for extra in extras),
    ]
    lines = (line.partition("#")[0].strip() for text in texts for line in text.splitlines())
    return [Requirement(line) for line in lines if line]


@pytest.mark.parametrize(
    ("file", "extras"),
    [
        ("router.txt", ()),
        ("http.txt", ("api",)),
        ("s3.txt", ("api", "s3")),
        ("tests.txt", ("api", "s3", "test", "pbx")),
    ],
    ids=str,
)
def test_setup_cfg_is_met(file: str, extras: tuple[str, ...]) -> None:
    """A requirement that is new or was raised has a pin that meets it."""
    pins = pinned(file)
    for requirement in required(*extras):
        assert requirement.specifier.contains(pins[requirement.name.lower()]), requirement
    assert "setuptools" in pins


def test_router_has_nothing_that_tests_lack() -> None:
    """Both name the same versions."""
    assert pinned("router.txt").items() <= pinned("http.txt").items()
    assert pinned("http.txt").items() <= pinned("s3.txt").items()
    assert pinned("s3.txt").items() <= pinned("tests.txt").items()


def test_licences_are_told() -> None:
    """Every package of the router, the HTTP door and a store of recordings stands in NOTICE."""
    notice = (CHECKOUT / "NOTICE").read_text("utf-8")
    told = re.findall(r"(?m)^  (\S+) {2,}\S", notice)
    assert sorted(told[1:]) == sorted(pinned("s3.txt").keys() - {"setuptools"})

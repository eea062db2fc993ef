"""The test PBX: which database an ``up`` takes, and what it does to it."""

from pathlib import Path
from unittest.mock import Mock

import pytest

from testpbx import pbx, ports
from testpbx.pbx import environment, new_state
from testpbx.state import Places


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Places:
    """Places of a PBX of its own."""
    monkeypatch.setenv("PBX_BIN", str(tmp_path / "bin"))
    monkeypatch.delenv("AGI_ROUTER_DSN", raising=False)
    return Places(checkout=tmp_path, cache=tmp_path, state=tmp_path)


def test_up_again_in_the_same_shell(monkeypatch: pytest.MonkeyPatch, places: Places) -> None:
    """What `up` has printed before `down` names no database of the caller's."""
    for name, value in environment(new_state("docker", places), places).items():
        monkeypatch.setenv(name, value)
    assert new_state("docker", places).database_port

    # A database of the caller's stays one, also where an earlier `up` has printed it.
    monkeypatch.setenv("AGI_ROUTER_DSN", "postgresql://me@db.example/agi")
    own = new_state("docker", places)
    assert (own.dsn, own.database_port) == ("postgresql://me@db.example/agi", 0)
    for name, value in environment(own, places).items():
        monkeypatch.setenv(name, value)
    assert new_state("docker", places).dsn == own.dsn


@pytest.mark.parametrize("dsn", ["", "postgresql://me@db.example/agi"])
def test_whose_rules_go(
    monkeypatch: pytest.MonkeyPatch,
    places: Places,
    capsys: pytest.CaptureFixture[str],
    dsn: str,
) -> None:
    """A database of our own is one to play with; of the caller's, no rule is taken away."""
    if dsn:
        monkeypatch.setenv("AGI_ROUTER_DSN", dsn)
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(pbx, "run_cli", lambda _, *words: ran.append(words))
    monkeypatch.setattr(pbx, "form_of", lambda *_: Mock())
    monkeypatch.setattr(pbx, "description", lambda *_: {})
    monkeypatch.setattr(ports, "check_free", lambda: None)
    pbx.up(places, engine="docker", router=True)
    command = ("tenant", "rules", "default", "--no-order", "--consent", "off")
    assert ("db", "migrate") in ran
    assert (command in ran) is not bool(dsn)
    assert (f"agi-router {' '.join(command)}" in capsys.readouterr().err) is bool(dsn)

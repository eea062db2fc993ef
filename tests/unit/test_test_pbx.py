"""The test PBX: which database an ``up`` takes."""

from pathlib import Path

import pytest

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

"""systemd: its messages on a real socket, and the unit file as systemd itself reads it."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from agi_router.cli.exit_codes import exit_code
from agi_router.errors import SettingsError
from agi_router.service.systemd import Notifier

SERVICE = Path(str(files("agi_router"))) / "service"
UNIT = SERVICE / "agi-router@.service"
HTTP_UNIT = SERVICE / "agi-router-http.service"
KEEPER = SERVICE / "agi-router-recordings.service"
DELIVER = SERVICE / "agi-router-deliver.service"
TEXTS = SERVICE / "agi-router-sip-messages.service"
AUDIT = SERVICE / "agi-router-audit.service"
LINK = SERVICE / "agi-router-smpp@.service"
EXPORT = SERVICE / "agi-router-export.service"
EXPORT_ASKED = SERVICE / "agi-router-export-asked.service"
UNITS = sorted(SERVICE.glob("*.service"))
TIMERS = sorted(SERVICE.glob("*.timer"))
# Of 10; what is left is the network, and that group members may read what it writes.
EXPOSURE = 1.5
# Rights in the network, which its rules need; the first is root.
EXPOSED = {"agi-router-media-guard.service": 1.8, "agi-router-media-watch.service": 1.8}


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket as systemd has it, and what NOTIFY_SOCKET holds."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        name = f"@{tmp_path}" if request.param == "abstract" else str(tmp_path / "notify")
        receiver.bind(name.replace("@", "\0", 1))
        receiver.settimeout(0)
        yield receiver, name


def test_messages(systemd: tuple[socket.socket, str]) -> None:
    """Each is one datagram, in the words of sd_notify(3)."""
    receiver, name = systemd
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "5000000"})
    notifier.ready()
    notifier.alive()
    notifier.status("standing by")
    notifier.stopping("draining")
    assert [receiver.recv(100) for _ in range(4)] == [
        b"READY=1",
        b"WATCHDOG=1",
        b"STATUS=standing by",
        b"STOPPING=1\nSTATUS=draining",
    ]


def test_no_watchdog(systemd: tuple[socket.socket, str]) -> None:
    """Who is not watched sends no sign of life."""
    receiver, name = systemd
    Notifier({"NOTIFY_SOCKET": name}).alive()
    with pytest.raises(BlockingIOError):
        receiver.recv(100)


@pytest.mark.parametrize(("limit", "interval"), [("300000", 0.1), ("60000000", 1.0), ("", 1.0)])
def test_signs_of_life_come_three_times_in_a_limit(limit: str, interval: float) -> None:
    """And at least every second."""
    assert Notifier({"WATCHDOG_USEC": limit}).interval == pytest.approx(interval)


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_without_systemd(environ: dict[str, str]) -> None:
    """Nobody listens: nothing happens."""
    notifier = Notifier(environ)
    notifier.ready()
    notifier.stopping("draining")


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run systemd's own check; it needs no running systemd."""
    program = shutil.which("systemd-analyze")
    assert program, "systemd-analyze is missing: install the package systemd"
    return subprocess.run(
        [program, *arguments], check=False, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_unit_is_valid(tmp_path: Path, unit: Path) -> None:
    """Systemd reads every line of it."""
    # Only the program is not where the unit expects it.
    program, count = re.subn(
        r"^(ExecStart=)\S+", r"\1/bin/true", unit.read_text(), flags=re.MULTILINE
    )
    assert count == 1
    copy = tmp_path / unit.name
    copy.write_text(program)
    done = analyze("verify", "--man=no", "--recursive-errors=no", str(copy))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("timer", TIMERS, ids=lambda unit: unit.name)
def test_timer_is_valid(tmp_path: Path, timer: Path) -> None:
    """And it starts the service of its name."""
    unit = tmp_path / timer.with_suffix(".service").name
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    copy = tmp_path / timer.name
    copy.write_text(timer.read_text())
    assert timer.with_suffix(".service") in UNITS
    done = analyze("verify", "--man=no", "--recursive-errors=no", str(copy))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_unit_is_hardened(unit: Path) -> None:
    """Systemd's own judgement of what the service could do if it were taken over."""
    most = 10 * EXPOSED.get(unit.name, EXPOSURE)
    done = analyze(
        "security", "--offline=true", "--no-pager", f"--threshold={most:.0f}", str(unit)
    )
    assert done.returncode == 0, done.stdout


def test_unit_of_the_http_door() -> None:
    """It has an account of its own, a copy of the key, and nothing that is Asterisk's."""
    text = HTTP_UNIT.read_text()
    lines = set(text.splitlines())
    assert {"User=agi-router-http", "Type=notify", "Restart=on-failure"} <= lines
    assert "ExecStart=/opt/agi-router/bin/agi-router serve --door http" in lines
    assert "LoadCredential=key:/etc/agi-router/key" in lines
    assert "Environment=AGI_ROUTER_KEY_FILE=%d/key" in lines
    # By it the door reads sealed recordings, which are the keeper's.
    assert "SupplementaryGroups=agi-router" in lines
    assert "Group=agi-router" in KEEPER.read_text().splitlines()
    assert not re.search(r"(?m)^(Group|ReadWritePaths|LoadCredential=a)", text)


def test_unit_says_how_it_is_watched() -> None:
    """The settings that the code counts on."""
    lines = UNIT.read_text().splitlines()
    assert {"Type=notify", "WatchdogSec=5", "Restart=on-failure"} <= set(lines)
    # A process a door: one that is frozen leaves the other, and the next one finds no port taken.
    assert "Environment=DOOR=ari" in lines
    assert [line.partition(" ")[2] for line in lines if line.startswith("ExecStart=")] == [
        "serve --door ${DOOR} --take-over"
    ]
    # Tried again each second, what only a person can mend would fill the log.
    assert f"RestartPreventExitStatus={exit_code(SettingsError)}" in lines
    # A credential is a copy made at the start: a router would not see that keys are rotated.
    assert "Environment=AGI_ROUTER_KEY_FILE=/etc/agi-router/key" in lines
    # A service that is told to end ends with 0 and must not come back.
    assert not any(line.startswith("RestartForceExitStatus") for line in lines)


def test_the_deliverer_says_how_it_is_watched() -> None:
    """It is no door, and has a role of its own in the database."""
    lines = set(DELIVER.read_text().splitlines())
    assert {"Type=notify", "WatchdogSec=60", "Restart=on-failure"} <= lines
    assert "ExecStart=/opt/agi-router/bin/agi-router deliver" in lines
    assert f"RestartPreventExitStatus={exit_code(SettingsError)}" in lines
    assert "EnvironmentFile=-/etc/agi-router/deliver.env" in lines
    assert "Environment=AGI_ROUTER_KEY_FILE=/etc/agi-router/key" in lines
    assert not any(line.startswith("ReadWritePaths") for line in lines)


def test_unit_of_texts() -> None:
    """It follows the key file, writes nowhere, and shows its health at a port of its own."""
    lines = TEXTS.read_text().splitlines()
    assert {"Type=notify", "WatchdogSec=5", "Restart=on-failure", "User=agi-router"} <= set(lines)
    assert "ExecStart=/opt/agi-router/bin/agi-router serve --door sip-messages" in lines
    assert f"RestartPreventExitStatus={exit_code(SettingsError)}" in lines
    assert "Environment=AGI_ROUTER_KEY_FILE=/etc/agi-router/key" in lines
    assert "Environment=AGI_ROUTER_METRICS_LISTEN=127.0.0.1:9703" in lines
    assert not any(line.startswith("ReadWritePaths") for line in lines)


def test_unit_that_signs_the_audit() -> None:
    """It has an account of its own, for its key, and is begun by a timer of its own each hour."""
    lines = AUDIT.read_text().splitlines()
    assert {"Type=oneshot", "User=agi-router-audit", "StateDirectory=agi-router-audit"} <= set(
        lines
    )
    assert "ExecStart=/opt/agi-router/bin/agi-router audit sign" in lines
    timer = AUDIT.with_suffix(".timer")
    assert {"OnCalendar=hourly", "Persistent=yes"} <= set(timer.read_text().splitlines())


def test_unit_that_exports() -> None:
    """It has an account of its own, and is begun by a timer each night."""
    lines = EXPORT.read_text().splitlines()
    assert {"Type=oneshot", "User=agi-router-export", "StateDirectory=agi-router-export"} <= set(
        lines
    )
    assert "LoadCredential=key:/etc/agi-router/key" in lines
    assert "RestartPreventExitStatus=2 65 77 78" in lines
    timer = EXPORT.with_suffix(".timer").read_text().splitlines()
    assert {"OnCalendar=*-*-* 01:00:00 Asia/Shanghai", "Persistent=yes"} <= set(timer)


def test_unit_that_exports_what_was_asked_for() -> None:
    """It is that of each night, but for which days it packs."""
    nightly, asked = (
        [line for line in each.read_text().splitlines() if not line.startswith(("#", "Desc"))]
        for each in (EXPORT, EXPORT_ASKED)
    )
    differs = {line for line in (*nightly, *asked) if line not in nightly or line not in asked}
    command = "ExecStart=/opt/agi-router/bin/agi-router export-day"
    assert differs == {
        f"{command} yesterday --late-days 7 $EXPORT_OPTIONS",
        f"{command} --asked $EXPORT_OPTIONS",
    }
    timer = EXPORT_ASKED.with_suffix(".timer").read_text().splitlines()
    assert {"OnCalendar=*:0/5", "Persistent=yes"} <= set(timer)


def test_unit_of_a_link() -> None:
    """An instance each: its settings, its password as a copy, and what it is called."""
    lines = LINK.read_text().splitlines()
    assert {"Type=notify", "WatchdogSec=5", "Restart=on-failure", "User=agi-router"} <= set(lines)
    assert "ExecStart=/opt/agi-router/bin/agi-router serve --door smpp" in lines
    assert f"RestartPreventExitStatus={exit_code(SettingsError)}" in lines
    assert "Environment=AGI_ROUTER_KEY_FILE=/etc/agi-router/key" in lines
    assert "Environment=AGI_ROUTER_SMPP_LINK=%i" in lines
    assert "EnvironmentFile=/etc/agi-router/smpp-%i.env" in lines
    assert "LoadCredential=smpp-password:/etc/agi-router/smpp-%i.password" in lines
    # Calls go first.
    assert "CPUWeight=20" in lines
    # It looks whether the process that had the link before is gone.
    assert "ProcSubset=pid" not in lines

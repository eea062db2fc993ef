"""
``agi-router media-guard``: what the kernel lets through to the ports of Asterisk's sound.
"""

import logging
import secrets
import signal
import subprocess
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Event

import click

from agi_router import logs
from agi_router.cli.arguments import Checked, Duration
from agi_router.cli.context import read_settings
from agi_router.cli.output import echo, echo_json, json_option
from agi_router.errors import SettingsError
from agi_router.pbx.bridge_switch import BridgeSwitch
from agi_router.pbx.guard_test import try_guard
from agi_router.pbx.media_guard import TABLE, MediaPorts, make_ruleset
from agi_router.pbx.sound_state import SoundState, count_refused, write_state

__all__ = ["group"]

log = logging.getLogger(__name__)

# Seconds that the parts of a look may take besides its pause.
_SLOW = 30.0

_PORTS = click.option(
    "--ports",
    type=Checked("first-last", MediaPorts.parse),
    help="rtpstart and rtpend of rtp.conf.  [default: AGI_ROUTER_MEDIA_PORTS]",
)


@click.group("media-guard")
def group() -> None:
    """
    The media guard: only plain packets come to Asterisk's sound, so its native bridge is safe.
    """


@group.command("print")
@_PORTS
@click.option(
    "--event",
    "events",
    type=click.IntRange(96, 127),
    multiple=True,
    default=(101,),
    show_default=True,
    help="A payload type by which the trunks agree on events; may be given several times.",
)
@click.option("--noise", is_flag=True, help="Let comfort noise through, a byte of it.")
@click.option("--count", is_flag=True, help="Count what would be refused, and refuse nothing.")
def print_(ports: MediaPorts | None, events: tuple[int, ...], *, noise: bool, count: bool) -> None:
    r"""
    Print the rules of nftables, which root loads; a second time they replace the first.

    \b
    Examples:
      agi-router media-guard print --ports 10000-20000 --count | nft -f -   # for a day
      nft list counters table inet agi_router_media
      agi-router media-guard print --ports 10000-20000 | nft -f -
    """
    rules = make_ruleset(
        _given(ports), seed=secrets.randbits(32), events=events, noise=noise, counts_only=count
    )
    echo(rules.removesuffix("\n"))


@group.command()
@_PORTS
@json_option
def check(ports: MediaPorts | None, *, as_json: bool) -> None:
    r"""
    Try whether only plain packets come through, without any right; else it ends with 1.

    \b
    Example:
      agi-router media-guard check --ports 10000-20000
    """
    seen = try_guard(_given(ports))
    if as_json:
        echo_json({"guarded": seen.passed, "ports": seen.ports, "faults": seen.faults})
    else:
        for each in seen.faults:
            echo(each)
        if seen.passed:
            echo(f"guarded; tried at the ports {', '.join(map(str, seen.ports))}")
    if not seen.passed:
        raise SystemExit(1)


@group.command()
@_PORTS
@click.option(
    "--every",
    type=Duration(timedelta(seconds=1), timedelta(minutes=1)),
    default="10s",
    show_default=True,
    help="Between two tries.",
)
@click.option(
    "--asterisk",
    "program",
    default="/usr/sbin/asterisk",
    show_default=True,
    help="Asterisk's program, by which its console is reached.",
)
def watch(ports: MediaPorts | None, every: timedelta, program: str) -> None:
    r"""
    Let Asterisk join calls by its native bridge while sound is guarded, until SIGTERM.

    Where it is not, new calls are joined by the simple bridge; those that are up are left alone.
    It runs as an account that may use Asterisk's console. What it sees it tells the routers by the
    file AGI_ROUTER_MEDIA_STATE; packets that were refused too, where it may read counters of nft.

    \b
    Example:
      agi-router media-guard watch --ports 10000-20000
    """
    given, settings = _given(ports), read_settings()
    logs.set_up(settings.log_level)
    over = Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: over.set())

    def console(command: str) -> str:
        return _said(program, "-rx", command)

    switch = BridgeSwitch(console, given)
    teller = _Teller(settings.media_state, lasts=3 * every.total_seconds() + _SLOW)
    try:
        while not over.is_set():
            bridge, why = switch.turn(try_guard(given))
            teller.tell(SoundState(bridge=bridge, why=why, refused=_refused()))
            over.wait(every.total_seconds())
    finally:
        switch.leave()
        teller.leave()


class _Teller:
    """
    Tells routers what the watch sees, and the log where that cannot be done.
    """

    def __init__(self, file: Path, *, lasts: float) -> None:
        self._file = file
        self._lasts = lasts
        self._fails = False

    def tell(self, state: SoundState) -> None:
        try:
            write_state(self._file, state, lasts=self._lasts)
        except OSError as error:
            if not self._fails:
                log.warning("watch.untold", extra={"file": self._file, "error": error.strerror})
            self._fails = True
        else:
            self._fails = False

    def leave(self) -> None:
        with suppress(OSError):
            self._file.unlink()


def _refused() -> dict[str, int]:
    """What the guard has refused; nothing where it is not there, or where we may not look."""
    try:
        counters = _said("nft", "-j", "list", "counters", "table", "inet", TABLE)
        return count_refused(counters)
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}


def _said(*words: str) -> str:
    """What a program prints."""
    return subprocess.run(
        words, check=True, capture_output=True, text=True, timeout=5, stdin=subprocess.DEVNULL
    ).stdout


def _given(ports: MediaPorts | None) -> MediaPorts:
    ports = ports or read_settings().media_ports
    if ports is None:
        raise SettingsError("give --ports, or AGI_ROUTER_MEDIA_PORTS, as rtp.conf has them")
    return ports

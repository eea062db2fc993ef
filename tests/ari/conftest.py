"""A real Asterisk for the tests of the ARI client, run in the root file system PBX_ROOTFS."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

PORT = 18088
START_TIMEOUT = 60.0

CONFIG = {
    "asterisk.conf": """
[directories]
astetcdir => {home}/etc
astrundir => {home}/run
astspooldir => {home}/spool
astlogdir => {home}/log
astdbdir => {home}/db
[options]
systemname = aritest
""",
    "modules.conf": """
[modules]
autoload = no
load = res_timing_timerfd.so
load = res_sorcery_config.so
load = res_sorcery_memory.so
load = res_http_websocket.so
load = res_websocket_client.so
load = res_stasis.so
load = res_stasis_answer.so
load = res_stasis_playback.so
load = res_stasis_recording.so
load = res_stasis_snoop.so
load = res_ari.so
load = res_ari_model.so
load = res_ari_events.so
load = res_ari_channels.so
load = res_ari_applications.so
load = res_ari_asterisk.so
load = app_stasis.so
load = codec_ulaw.so
""",
    "ari.conf": """
[general]
enabled = yes
websocket_write_timeout = 2000
[router]
type = user
password = {password}
password_format = plain
""",
    "http.conf": """
[general]
enabled = yes
bindaddr = 127.0.0.1
bindport = {port}
""",
    "logger.conf": """
[general]
queue_log = no
[logfiles]
messages => notice,warning,error
""",
}


class Asterisk:
    """One Asterisk process with a configuration of its own, beneath /srv of a root file system."""

    def __init__(self, root: Path) -> None:
        self.ari_url = f"http://127.0.0.1:{PORT}"
        self.ari_user = "router"
        self.ari_password = "not-a-secret"
        self._root = root
        self._home = f"/srv/ari-test-{os.getpid()}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def home(self) -> Path:
        """Where its files are, seen from outside."""
        return self._root / self._home.lstrip("/")

    def configure(self) -> None:
        for name in ("etc", "run", "spool", "log", "db"):
            (self.home / name).mkdir(parents=True)
        for name, text in CONFIG.items():
            filled = text.format(home=self._home, password=self.ari_password, port=PORT)
            (self.home / "etc" / name).write_text(filled.lstrip())

    def start(self) -> None:
        """Start it and wait until ARI answers."""
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", PORT)) == 0:
                raise RuntimeError(f"something else listens on port {PORT}")
        config = f"{self._home}/etc/asterisk.conf"
        with (self.home / "output").open("ab") as output:
            self._process = subprocess.Popen(
                ["chroot", self._root, "/usr/sbin/asterisk", "-f", "-C", config],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + START_TIMEOUT
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError("Asterisk did not start:\n" + self.said())
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill it, start it again, and wait until ARI answers."""
        self.kill()
        self.start()

    def said(self) -> str:
        files = [self.home / "output", *self.home.glob("log/messages*")]
        return "\n".join(file.read_text(errors="replace") for file in files if file.exists())

    def _answers(self) -> bool:
        login = base64.b64encode(f"{self.ari_user}:{self.ari_password}".encode()).decode()
        request = urllib.request.Request(  # noqa: S310 http, to ourselves
            f"{self.ari_url}/ari/asterisk/info", headers={"Authorization": f"Basic {login}"}
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(request, timeout=1):
                return True
        except OSError:
            return False


@pytest.fixture(scope="module")
def asterisk() -> Iterator[Asterisk]:
    """Asterisk 22, freshly configured and running."""
    root = os.environ.get("PBX_ROOTFS")
    if not root:
        pytest.fail("PBX_ROOTFS must name a root file system with Asterisk 22 in it")
    server = Asterisk(Path(root))
    server.configure()
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(server.home)

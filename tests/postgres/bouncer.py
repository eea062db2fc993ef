"""PgBouncer in front of a server of the tests."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from harness.database import database_of, until

PROGRAM = "/usr/sbin/pgbouncer"


@contextlib.contextmanager
def bouncer(dsn: str, *, mode: str, ignored: str) -> Iterator[str]:
    """
    Run PgBouncer in front of a database, and give the DSN that leads through it.

    Args:
        dsn: The database.
        mode: ``pool_mode``.
        ignored: ``ignore_startup_parameters``.
    """
    assert Path(PROGRAM).exists(), "pgbouncer is not installed"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = Path(tempfile.mkdtemp(prefix="agi-router-pgbouncer-"))
    # It refuses to run as root.
    user = pwd.getpwnam("postgres").pw_uid if os.geteuid() == 0 else None
    place = conninfo_to_dict(dsn)
    (home / "users").write_text('"agi_router" ""\n')
    (home / "ini").write_text(
        f"[databases]\n{database_of(dsn)} = host=127.0.0.1 port={place['port']}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = trust\nauth_file = {home}/users\npool_mode = {mode}\n"
        f"default_pool_size = 4\nignore_startup_parameters = {ignored}\n"
    )
    if user is not None:
        for each in (home, *home.iterdir()):
            os.chown(each, user, -1)
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [PROGRAM, home / "ini"],
            user=user,
            extra_groups=None if user is None else [],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    through = make_conninfo(dsn, port=port)

    def serves() -> bool:
        assert process.poll() is None, (home / "log").read_text(errors="replace")
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(through).close()
            return True
        return False

    try:
        until(serves)
        yield through
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(home)
